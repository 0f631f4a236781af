//! Where connections come in, and the one task that watches over each.
//!
//! The path of a connection: accept (whatever `accept` says, the listener lives on) →
//! trusted address, or closed without a byte → token bucket → a place at the turnstile →
//! russh under a [`Guarded`] stream → key → programs. The watching task ends it when its
//! grace is over, its key is revoked, it fell silent, it was displaced, or the service
//! stops. A panic in one connection is that connection's end and nobody else's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use russh::server::{Config, Handle, run_stream};
use russh::{Disconnect, MethodKind, MethodSet};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Guarded;
use super::life::{Life, Phase};
use super::limits::{Arrival, Shut, Turnstile};
use super::refusals::Refusals;
use super::session::Programs;
use super::visitor::{Visitor, why};
use super::{Compat, HostKeys, Limits, Tally, Why, algorithms};
use crate::access::{Gate, Grant, Offence, behind_proxy};
use crate::clock::Clock;
use crate::model::Lang;

/// What the door tells about who comes and goes.
#[derive(Debug)]
pub enum Event {
    /// Somebody proved a trusted key and was let in.
    Opened(Grant),
    /// That session ended.
    Closed {
        /// Whose it was.
        grant: Grant,
        /// How.
        end: End,
        /// How long it lasted.
        lasted: Duration,
    },
    /// Who was turned away since the last such event; at most one a minute.
    Refused(Vec<Tally>),
    /// No connection can be accepted now (no descriptors, no memory), for this reason; told once
    /// until one can be again.
    Unable(io::Error),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer left, in order or not.
    Left,
    /// Its key was revoked, expired, or may no longer come from there.
    Revoked,
    /// It said nothing for too long.
    Idle,
    /// It asked for nothing within the grace time.
    Grace,
    /// The service stops.
    Stopped,
    /// It gave way to others before it was authenticated.
    Displaced,
}

/// Told of every [`Event`], from the door's tasks; should not wait long.
pub type Watch = Arc<dyn Fn(Event) + Send + Sync>;

/// What a door is made of.
pub struct Parts {
    /// By which clients know it.
    pub host_keys: HostKeys,
    /// Who may come in.
    pub gate: Gate,
    /// What they find.
    pub programs: Programs,
    /// Its bounds.
    pub limits: Limits,
    /// How old its clients may be.
    pub compat: Compat,
    /// In which language a peer is told why it must leave.
    pub lang: Lang,
    /// For keys that expire.
    pub clock: Clock,
    /// Told of who comes and goes.
    pub watch: Watch,
}

/// The SSH door. Clones share its bounds, so that one can be opened on several addresses.
#[derive(Clone)]
pub struct Door {
    house: Arc<House>,
}

/// What all connections share.
pub(super) struct House {
    pub(super) gate: Gate,
    pub(super) programs: Programs,
    pub(super) compat: Compat,
    pub(super) clock: Clock,
    /// Cancelled when the service stops.
    pub(super) stop: CancellationToken,
    /// Passwords that are proved at once: each takes 19 MiB and a core.
    pub(super) hashing: Semaphore,
    limits: ArcSwap<Limits>,
    config: ArcSwap<Config>,
    methods: MethodSet,
    turnstile: Arc<Turnstile>,
    refusals: Refusals,
    watch: Watch,
    lang: Lang,
    tasks: TaskTracker,
}

impl Door {
    /// A door, not yet open.
    pub fn new(parts: Parts) -> Self {
        keep_freed_memory();
        let mut methods = MethodSet::from(&[MethodKind::PublicKey][..]);
        if parts.gate.takes_passwords() {
            methods.push(MethodKind::Password);
        }
        let config = algorithms::configs(&parts.host_keys, &parts.limits, parts.compat, methods.clone());
        let house = House {
            gate: parts.gate,
            programs: parts.programs,
            compat: parts.compat,
            clock: parts.clock,
            stop: CancellationToken::new(),
            hashing: Semaphore::new(HASHING_MAX),
            turnstile: Turnstile::new(parts.limits.clone()),
            limits: ArcSwap::from_pointee(parts.limits),
            config: ArcSwap::from_pointee(config),
            methods,
            refusals: Refusals::default(),
            watch: parts.watch,
            lang: parts.lang,
            tasks: TaskTracker::new(),
        };
        Self { house: Arc::new(house) }
    }

    /// Shows these host keys to who connects from now on.
    pub fn present(&self, keys: &HostKeys) {
        let house = &self.house;
        let config = algorithms::configs(keys, &house.limits.load(), house.compat, house.methods.clone());
        house.config.store(Arc::new(config));
    }

    /// Other bounds from now on, for who comes next.
    pub fn set_limits(&self, limits: Limits) {
        self.house.turnstile.set(limits.clone());
        self.house.limits.store(Arc::new(limits));
    }

    /// Serves a listening socket until [`Door::stop`]; no error ends it before.
    pub async fn serve(&self, listener: TcpListener) {
        let mut report = tokio::time::interval(self.house.limits.load().refusals_every);
        let mut failing = false;
        loop {
            tokio::select! {
                () = self.house.stop.cancelled() => break,
                _ = report.tick() => self.house.report(),
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        failing = false;
                        self.house.receive(socket, peer);
                    }
                    // The peer was gone before we looked.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors or memory: worth another try, in a moment.
                    Err(error) => {
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "cannot accept connections; trying again");
                            (self.house.watch)(Event::Unable(error));
                        }
                        sleep(BACK_OFF).await;
                    }
                },
            }
        }
    }

    /// Stops in order: no new connections, sessions without a running program end at
    /// once, the others when their programs are done or the drain time is over. Returns
    /// when all are gone.
    pub async fn stop(&self) {
        self.house.stop.cancel();
        self.house.tasks.close();
        if timeout(self.house.limits.load().drain + LAST_CALL, self.house.tasks.wait()).await.is_err() {
            tracing::warn!("programs still run after the drain time; leaving them");
        }
        self.house.report();
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("limits", &self.house.limits.load()).finish_non_exhaustive()
    }
}

/// A packet's buffer is made on one thread and freed on another. glibc gives the free end
/// of a heap back to the kernel beyond 128 KiB and faults it in again for the next packets:
/// a tenth of the CPU of a transfer. It keeps twice the largest mapping ever freed, so one
/// is freed (mallopt(3), M_TRIM_THRESHOLD: "dynamic"). Elsewhere this does nothing.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BYTES / 2)));
}

impl House {
    /// Finds out who is there: the peer, or whom a balancer of ours names.
    fn receive(self: &Arc<Self>, mut socket: TcpStream, peer: SocketAddr) {
        let addr = peer.ip().to_canonical();
        if !self.gate.networks().is_proxy(addr) {
            return self.meet(socket, addr);
        }
        let house = self.clone();
        self.tasks.spawn(async move {
            match timeout(PROXY_WAIT, behind_proxy(&mut socket)).await {
                Ok(Ok(behind)) => house.meet(socket, behind.unwrap_or(addr)),
                _ => house.refuse(addr, Why::Proxy, String::new()),
            }
        });
    }

    /// Before the first byte: trusted addresses only, and not too often. What is refused
    /// here costs an accept, a close and a count.
    fn meet(self: &Arc<Self>, socket: TcpStream, addr: IpAddr) {
        let now = self.clock.now();
        if let Err(refusal) = self.gate.admit(addr, now) {
            return self.refuse(addr, why(&refusal), String::new());
        }
        let cut = CancellationToken::new();
        let life = Life::new(self.limits.load_full(), cut.clone(), self.tasks.clone());
        let ours = self.gate.is_institute(addr, now);
        let arrival = Arrival { addr, ours, heard: life.heard.clone(), cut };
        let place = match self.turnstile.arrive(arrival, Instant::now()) {
            Ok(place) => place,
            Err(Shut::Startups) => return self.refuse(addr, Why::Startups, String::new()),
            Err(Shut::Full) => return self.refuse(addr, Why::Full, String::new()),
        };
        let house = self.clone();
        self.tasks.spawn(async move {
            let deadline = tokio::time::Instant::now() + house.limits.load().grace;
            tokio::select! {
                () = place.admitted() => {}
                () = life.cut.cancelled() => return house.refuse(addr, Why::Rate, String::new()),
                () = hung_up(&socket) => return house.punish(addr, Offence::Nothing),
                () = tokio::time::sleep_until(deadline) => return house.refuse(addr, Why::Grace, String::new()),
            }
            prepare(&socket);
            let stream = Guarded::new(socket, life.cut.clone(), life.heard.clone());
            let visitor = Visitor::new(house.clone(), addr, life.clone(), place);
            house.attend(stream, visitor, addr, &life, deadline).await;
        });
    }

    /// Runs one connection to its end.
    async fn attend(
        &self,
        stream: Guarded<TcpStream>,
        visitor: Visitor,
        addr: IpAddr,
        life: &Life,
        deadline: tokio::time::Instant,
    ) {
        let config = self.config.load_full();
        let greeting = timeout_at(deadline, run_stream(config, stream, visitor));
        let mut session = match greeting.await {
            Ok(Ok(session)) => session,
            Ok(Err(_)) if life.cut.is_cancelled() => return self.refuse(addr, Why::Displaced, String::new()),
            Ok(Err(error)) => return self.blame(addr, life, End::Left, Some(&error)),
            Err(_) => return self.blame(addr, life, End::Grace, None),
        };
        let mut broke = None;
        let end = tokio::select! {
            result = &mut session => {
                broke = result.err();
                if let Some(error) = &broke {
                    tracing::debug!(%addr, %error, "connection broke");
                }
                End::Left
            }
            end = self.watch_over(life, deadline) => {
                farewell(&session.handle(), end, self.lang).await;
                let _ = timeout(FAREWELL, &mut session).await;
                end
            }
        };
        life.cut.cancel();
        match life.grant() {
            Some(grant) => {
                (self.watch)(Event::Closed { grant: grant.clone(), end, lasted: life.lasted() });
            }
            None => self.blame(addr, life, end, broke.as_ref()),
        }
    }

    /// Puts on record, and punishes, a connection that ended without having proved anything.
    fn blame(&self, addr: IpAddr, life: &Life, end: End, broke: Option<&russh::Error>) {
        match (end, broke) {
            (End::Grace, _) => {
                self.refuse(addr, Why::Grace, String::new());
                self.punish(addr, Offence::Grace);
            }
            (End::Displaced, _) => self.refuse(addr, Why::Displaced, String::new()),
            (_, Some(russh::Error::NoCommonAlgo { kind, .. })) => {
                self.refuse(addr, Why::NoCommonAlgorithm, format!("{kind:?}"));
                self.punish(addr, Offence::Nothing);
            }
            (_, Some(error)) if is_breach(error) => {
                self.refuse(addr, Why::Protocol, String::new());
                self.punish(addr, Offence::Breach);
            }
            (End::Left, _) if life.tried() => self.punish(addr, Offence::Proof),
            (End::Left, _) => self.punish(addr, Offence::Nothing),
            _ => {}
        }
    }

    fn punish(&self, addr: IpAddr, offence: Offence) {
        if self.gate.punish(addr, offence, self.clock.now()) {
            tracing::debug!(%addr, ?offence, "not listened to for a while");
        }
    }

    /// Returns when the connection must end.
    async fn watch_over(&self, life: &Life, deadline: tokio::time::Instant) -> End {
        let grace = async {
            if timeout_at(deadline, life.reached(Phase::Working)).await.is_ok() {
                std::future::pending().await
            }
        };
        let revoked = async {
            life.reached(Phase::Authenticated).await;
            match life.grant() {
                Some(grant) => grant.revoked.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let idle = async {
            life.reached(Phase::Working).await;
            while let Some(left) = life.limits.idle.checked_sub(life.idle_for()) {
                sleep(left.max(Duration::from_millis(10))).await;
            }
        };
        let drained = async {
            self.stop.cancelled().await;
            let done = async {
                while life.programs() > 0 {
                    sleep(DRAIN_LOOK).await;
                }
            };
            let _ = timeout(life.limits.drain, done).await;
        };
        tokio::select! {
            () = life.cut.cancelled() => End::Displaced,
            () = grace => End::Grace,
            () = revoked => End::Revoked,
            () = idle => End::Idle,
            () = drained => End::Stopped,
        }
    }

    pub(super) fn refuse(&self, addr: IpAddr, why: Why, detail: String) {
        self.gate.count_refused(why.name());
        self.refusals.note(addr, why, detail, self.clock.now());
    }

    pub(super) fn opened(&self, grant: &Grant) {
        (self.watch)(Event::Opened(grant.clone()));
    }

    fn report(&self) {
        let tallies = self.refusals.take();
        if !tallies.is_empty() {
            (self.watch)(Event::Refused(tallies));
        }
    }
}

/// Returns when a peer that waits for its turn has gone; never for one that spoke.
async fn hung_up(socket: &TcpStream) {
    if matches!(socket.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// Whether a peer did what no client does, rather than leave or vanish.
fn is_breach(error: &russh::Error) -> bool {
    use russh::Error;
    let gone = matches!(
        error,
        Error::IO(_)
            | Error::Disconnect
            | Error::HUP
            | Error::ConnectionTimeout
            | Error::KeepaliveTimeout
            | Error::InactivityTimeout
            | Error::SendError
            | Error::RecvError
            | Error::Elapsed(_)
            | Error::Join(_)
    );
    !gone
}

/// Small answers leave at once, and a peer that vanished is noticed by the kernel even
/// while nobody reads. What cannot be set is not worth a connection.
fn prepare(socket: &TcpStream) {
    let set = || {
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_BETWEEN)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)?;
        sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED_MS)?;
        Ok::<_, io::Error>(())
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "cannot prepare a socket");
    }
}

/// Tells the peer why it must leave, if it still listens.
async fn farewell(session: &Handle, end: End, lang: Lang) {
    let text = match end {
        End::Left | End::Displaced => return,
        End::Revoked => lang.pick("la llave ya no es de confianza", "the key is no longer trusted"),
        End::Idle => lang.pick("sin actividad", "idle for too long"),
        End::Grace => lang.pick("no se pidió nada a tiempo", "nothing was asked for in time"),
        End::Stopped => lang.pick("el servicio se detiene; intente de nuevo", "the service stops; try again"),
    };
    let said = session.disconnect(Disconnect::ByApplication, text.to_owned(), String::new());
    let _ = timeout(FAREWELL, said).await;
}

/// Two cores may hash; the other pushes go on.
const HASHING_MAX: usize = 2;
/// After a failed accept: long enough for something to close, short enough for a push.
const BACK_OFF: Duration = Duration::from_millis(50);
/// For a balancer to say who is behind it; it does so at once.
const PROXY_WAIT: Duration = Duration::from_secs(5);
/// For the peer to be told, and to go.
const FAREWELL: Duration = Duration::from_millis(250);
/// How often running programs are counted while the service stops.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// After the drain time, for what was cut to notice.
const LAST_CALL: Duration = Duration::from_secs(5);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_BETWEEN: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 3;
/// `TCP_USER_TIMEOUT`: a session without progress is dead after a minute.
const UNACKNOWLEDGED_MS: u32 = 60_000;

/// Freed memory of a heap that is kept for the next packets: a channel's window and as
/// much again.
const KEPT_BYTES: usize = 8 << 20;
