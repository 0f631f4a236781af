//! Where connections come in, and the thread that serves each.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guest::{Guest, Proof};
use super::module::Said;
use super::stream::Stream;
use super::turnstile::{Place, Turnstile};
use super::visit::House;
use super::{Event, Limits, Parts, Why};
use crate::access::{Offence, Refusal, behind_proxy, source};

/// The daemon's door. Clones share its bounds, so that one can be opened on several addresses.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    house: House,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    tasks: TaskTracker,
    visits: Mutex<HashMap<u64, Visit>>,
    next: AtomicU64,
}

/// A connection, as the door knows it.
struct Visit {
    stream: Stream,
    /// Past its greeting.
    working: Arc<AtomicBool>,
}

/// Somebody who may come in.
struct Welcome {
    addr: IpAddr,
    said: Said,
    place: Place,
}

impl Door {
    /// A door, not yet open.
    pub fn new(parts: Parts) -> Self {
        let house = House {
            modules: parts.modules,
            limits: ArcSwap::from_pointee(parts.limits),
            pushes: parts.pushes,
            drop: parts.drop,
            turnstile: Arc::new(Turnstile::default()),
            gate: parts.gate,
            clock: parts.clock,
            watch: parts.watch,
        };
        let inner = Inner {
            house,
            tls: parts.tls.map(TlsAcceptor::from),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            visits: Mutex::default(),
            next: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Serves a listening socket until [`Door::stop`]; no error ends it before.
    pub async fn serve(&self, listener: TcpListener) {
        self.accept(listener, |inner, socket, welcome| {
            let stream = socket.into_std().map(Stream::Tcp);
            inner.receive(stream, welcome);
        })
        .await;
    }

    /// The same under TLS.
    pub async fn serve_tls(&self, listener: TcpListener) {
        self.accept(listener, |inner, socket, welcome| {
            let Some(tls) = inner.tls.clone() else { return };
            let at = Arc::clone(&inner);
            inner.tasks.spawn(async move { at.unwrap(tls, socket, welcome).await });
        })
        .await;
    }

    async fn accept(
        &self,
        listener: TcpListener,
        take: impl Fn(Arc<Inner>, TcpStream, Welcome) + Clone + Send + 'static,
    ) {
        let inner = &self.inner;
        let mut failing = false;
        loop {
            tokio::select! {
                () = inner.stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        failing = false;
                        let addr = peer.ip().to_canonical();
                        if inner.house.gate.networks().is_proxy(addr) {
                            inner.tasks.spawn(Arc::clone(inner).unveil(socket, addr, take.clone()));
                        } else if let Some(welcome) = inner.welcome(addr) {
                            take(Arc::clone(inner), socket, welcome);
                        }
                    }
                    // The peer was gone before we looked.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors or memory: worth another try, in a moment.
                    Err(error) => {
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "cannot accept rsync connections; trying again");
                        }
                        sleep(BACK_OFF).await;
                    }
                },
            }
        }
    }

    /// Other bounds from now on, for who comes next.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.house.limits.store(Arc::new(limits));
    }

    /// Stops in order: no new connections, those at the greeting end at once, sessions when
    /// they are done or the drain time is over. Returns when all are gone.
    pub async fn stop(&self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.tasks.close();
        inner.shut(|visit| !visit.working.load(Ordering::Acquire));
        if timeout(inner.house.limits.load().drain, inner.tasks.wait()).await.is_err() {
            tracing::warn!("rsync sessions still run after the drain time; cutting them");
            inner.shut(|_| true);
            let _ = timeout(LAST_CALL, inner.tasks.wait()).await;
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("limits", &self.inner.house.limits.load()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Finds out whom a balancer brings.
    async fn unveil(
        self: Arc<Self>,
        mut socket: TcpStream,
        proxy: IpAddr,
        take: impl Fn(Arc<Self>, TcpStream, Welcome),
    ) {
        let Ok(Ok(behind)) = timeout(PROXY_WAIT, behind_proxy(&mut socket)).await else {
            return self.refuse(proxy, Why::Proxy);
        };
        if let Some(welcome) = self.welcome(behind.unwrap_or(proxy)) {
            take(self, socket, welcome);
        }
    }

    /// Before the first byte: addresses that are trusted, also by a module, and not too many.
    fn welcome(&self, addr: IpAddr) -> Option<Welcome> {
        let (gate, now) = (&self.house.gate, self.house.clock.now());
        if let Err(refusal) = gate.hear(addr, now) {
            self.refuse(addr, if refusal == Refusal::Penalty { Why::Penalty } else { Why::Network });
            return None;
        }
        let said = Said { named: gate.networks().name(addr, now), admitted: gate.admit(addr, now).is_ok() };
        let (house, proof) = (&self.house, Proof::Address(said));
        if !Guest::new(&house.modules, &house.pushes, &house.turnstile, addr, proof).is_welcome() {
            self.refuse(addr, Why::Stranger);
            return None;
        }
        let limits = house.limits.load();
        let place = house.turnstile.arrive(source(addr), limits.connections, limits.connections_per_source);
        if place.is_none() {
            self.refuse(addr, Why::Full);
        }
        Some(Welcome { addr, said, place: place? })
    }

    /// Gives a connection its thread.
    fn receive(self: &Arc<Self>, stream: io::Result<Stream>, welcome: Welcome) {
        let addr = welcome.addr;
        let begun = stream.and_then(|stream| {
            stream.prepare()?;
            self.spawn(stream, welcome)
        });
        if let Err(error) = begun {
            tracing::warn!(%addr, %error, "an rsync connection could not be served");
            self.refuse(addr, Why::Full);
        }
    }

    fn spawn(self: &Arc<Self>, stream: Stream, welcome: Welcome) -> io::Result<()> {
        let (id, working) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::<AtomicBool>::default());
        let visit = Visit { stream: stream.try_clone()?, working: Arc::clone(&working) };
        self.visits().insert(id, visit);
        let (at, counted) = (Arc::clone(self), self.tasks.token());
        let leave = Leave { inner: Arc::clone(self), id, gone: CancellationToken::new() };
        let (gone, revoked, last) = (leave.gone.clone(), CancellationToken::new(), stream.try_clone()?);
        let trust = revoked.clone();
        // Its thread waits for bytes; that its address is trusted no longer comes from elsewhere.
        self.tasks.spawn(async move {
            tokio::select! {
                () = gone.cancelled() => {}
                () = trust.cancelled() => last.shut(),
            }
        });
        let thread = std::thread::Builder::new().name("rsyncd".to_owned());
        thread.spawn(move || {
            let (_counted, _leave, _place) = (counted, leave, welcome.place);
            at.house.attend(stream, welcome.addr, welcome.said, &working, revoked);
        })?;
        Ok(())
    }

    /// Shakes hands and serves what is inside as if it had come plain.
    async fn unwrap(self: Arc<Self>, tls: TlsAcceptor, socket: TcpStream, welcome: Welcome) {
        let addr = welcome.addr;
        let Ok(Ok(outside)) = timeout(self.house.limits.load().handshake, tls.accept(socket)).await else {
            return self.refuse(addr, Why::Handshake);
        };
        let pair = UnixStream::pair().and_then(|(near, far)| {
            far.set_nonblocking(true)?;
            Ok((near, tokio::net::UnixStream::from_std(far)?))
        });
        let (near, far) = match pair {
            Ok(pair) => pair,
            Err(error) => {
                tracing::warn!(%addr, %error, "an rsync connection could not be served");
                return self.refuse(addr, Why::Full);
            }
        };
        self.receive(Ok(Stream::Tls(near)), welcome);
        carry(outside, far).await;
    }

    fn refuse(&self, addr: IpAddr, why: Why) {
        if why == Why::Handshake {
            self.house.gate.punish(addr, Offence::Grace, self.house.clock.now());
        }
        self.house.gate.count_refused(why.name());
        (self.house.watch)(Event::Refused { addr, why });
    }

    fn shut(&self, which: impl Fn(&Visit) -> bool) {
        self.visits().values().filter(|visit| which(visit)).for_each(|visit| visit.stream.shut());
    }

    fn visits(&self) -> MutexGuard<'_, HashMap<u64, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a connection, however its thread ends.
struct Leave {
    inner: Arc<Inner>,
    id: u64,
    gone: CancellationToken,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.inner.visits().remove(&self.id);
        self.gone.cancel();
    }
}

/// Carries bytes both ways until our side has ended and what it said is out.
async fn carry(outside: tokio_rustls::server::TlsStream<TcpStream>, inside: tokio::net::UnixStream) {
    let (mut from_peer, mut to_peer) = tokio::io::split(outside);
    let (mut from_us, mut to_us) = inside.into_split();
    let inward = async {
        let _ = tokio::io::copy(&mut from_peer, &mut to_us).await;
        // The peer's end is the session's end-of-file.
        drop(to_us);
        std::future::pending::<()>().await
    };
    let outward = async {
        let _ = tokio::io::copy(&mut from_us, &mut to_peer).await;
        let _ = timeout(LAST_CALL, tokio::io::AsyncWriteExt::shutdown(&mut to_peer)).await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

/// After a failed accept: long enough for something to close, short enough for a push.
const BACK_OFF: Duration = Duration::from_millis(50);
/// For a balancer to say who is behind it; it does so at once.
const PROXY_WAIT: Duration = Duration::from_secs(5);
/// For what was cut to notice, and for a last word to leave.
const LAST_CALL: Duration = Duration::from_secs(5);
