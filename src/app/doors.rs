//! The doors of the receiving half: SSH with its trusted keys, and the watched directory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::intake::{self, Chosen};
use super::sockets::Sockets;
use super::{Bound, Reload, StartFault, doing, rsync, settings, trust};
use crate::access::{self, Change, Following, Gate, Keyring, Passwords, Rates, Tally, Terms, Users, Uses};
use crate::clock::Clock;
use crate::config::{Config, Fault};
use crate::drop::watch::Watch;
use crate::drop::{Drop, View};
use crate::ledger::{Entry, Kind, Ledger, Refusals};
use crate::metrics::Metrics;
use crate::model::{Lang, Via};
use crate::ssh::exec::{self, Setup};
use crate::ssh::{Compat, Door, End, Event, HostKeys, Parts, Program, Programs, sftp};

/// Connections that the kernel holds for us while we accept.
const BACKLOG: u32 = 1024;
/// How often counted refusals become lines of the ledger, and old partial uploads go.
const HOUSEKEEPING: std::time::Duration = std::time::Duration::from_secs(1);
/// Housekeeping rounds between two sweeps of partial uploads.
const SWEEP_EVERY: u32 = 60;

/// The doors, open.
pub(super) struct Running {
    bound: Bound,
    door: Door,
    rsync: Option<rsync::Running>,
    stop: CancellationToken,
    accepting: Vec<JoinHandle<()>>,
    keeping: JoinHandle<()>,
    refusals: Refusals,
    /// Decides for every door, and counts.
    gate: Gate,
    /// Networks, passwords and host keys are followed until it is dropped.
    _trust: trust::Following,
    /// Both end when they are dropped.
    _following: Following,
    watch: Option<Watch>,
}

/// What the doors share of the house.
struct House {
    config: Arc<Config>,
    clock: Clock,
    ledger: Ledger,
    refusals: Refusals,
    metrics: Metrics,
    uses: Uses,
}

/// Opens the doors.
pub(super) async fn start(
    config: &Arc<Config>,
    clock: &Clock,
    stop: &CancellationToken,
    sockets: &mut Sockets,
    drop: &Drop,
    ledger: &Ledger,
    metrics: &Metrics,
) -> Result<Running, StartFault> {
    let house = Arc::new(House {
        config: Arc::clone(config),
        clock: clock.clone(),
        ledger: ledger.clone(),
        refusals: Refusals::new(ledger.clone()),
        metrics: metrics.clone(),
        uses: Uses::load(&config.paths.var),
    });
    let gate = gate(&house)?;
    let following = follow(&house, &gate);
    let mut trust = trust::Following::default();
    trust.networks(&config.file, &gate, clock, ledger);
    trust.passwords(config.paths.keys.join("passwords"), &gate, clock);
    let rsync = rsync::open(config, clock, stop, sockets, drop, &gate, &house.refusals).await?;
    let door = door(&house, gate.clone(), drop)?;
    trust.host_keys(config.paths.keys.join("host"), settings::host_keys(config), &door);
    let (mut bound, mut accepting) = (Vec::new(), Vec::new());
    for listener in listeners("ssh.listen", &config.ssh.listen, sockets.take("ssh"))? {
        bound.push(doing("ssh.listen", listener.local_addr())?);
        let door = door.clone();
        accepting.push(tokio::spawn(async move { door.serve(listener).await }));
    }
    let watch = match config.drop.watch {
        true => Some(doing("var/drop", Watch::spawn(drop))?),
        false => None,
    };
    let keeping = tokio::spawn(keep_house(Arc::clone(&house), drop.clone()));
    let refusals = house.refusals.clone();
    let (plain, tls) = rsync.as_ref().map(|r| (r.plain.clone(), r.tls.clone())).unwrap_or_default();
    Ok(Running {
        bound: Bound { ssh: bound, rsync: plain, rsync_tls: tls, ..Bound::default() },
        door,
        rsync,
        stop: stop.clone(),
        accepting,
        keeping,
        refusals,
        gate,
        _trust: trust,
        _following: following,
        watch,
    })
}

impl Running {
    /// Where the doors listen.
    pub(super) fn bound(&self) -> Bound {
        self.bound.clone()
    }

    /// What the doors have decided since the start, for metrics.
    pub(super) fn tally(&self) -> Tally {
        self.gate.tally()
    }

    /// Takes new limits when the configuration is read again.
    pub(super) fn follow_settings(&self, reload: &Reload) {
        let (ssh, rsync) = (self.door.clone(), self.rsync.as_ref().map(rsync::Running::door));
        reload.room(move |config| {
            ssh.set_limits(settings::door(config));
            if let Some(rsync) = &rsync {
                rsync.set_limits(rsync::limits(config));
            }
        });
    }

    /// Closes the doors and waits for the sessions, within their grace.
    pub(super) async fn stopped(self) {
        self.stop.cancelled().await;
        let watch = self.watch;
        // It ends when it is dropped, and waits for its thread.
        let closed = tokio::task::spawn_blocking(move || drop(watch));
        match self.rsync {
            Some(rsync) => drop(tokio::join!(self.door.stop(), rsync.stopped())),
            None => self.door.stop().await,
        }
        for accepting in self.accepting {
            accepting.abort();
        }
        self.keeping.abort();
        if closed.await.is_err() {
            tracing::error!("the watch of var/drop ended in disorder");
        }
        if let Err(error) = self.refusals.flush() {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}

/// The sockets that systemd holds for us, or our own at the addresses of this key.
pub(super) fn listeners(
    key: &str,
    addresses: &[SocketAddr],
    inherited: Vec<std::net::TcpListener>,
) -> Result<Vec<TcpListener>, StartFault> {
    if inherited.is_empty() {
        let own = |address: &SocketAddr| doing(format!("{key} {address}"), listen(*address));
        return addresses.iter().map(own).collect();
    }
    let adopt = |listener: std::net::TcpListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    inherited.into_iter().map(|listener| doing(key, adopt(listener))).collect()
}

pub(super) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Who may come in, as the key directory says now.
fn gate(house: &Arc<House>) -> Result<Gate, StartFault> {
    let config = &house.config;
    let trusted = config.paths.keys.join("trusted");
    doing(trusted.display().to_string(), std::fs::create_dir_all(&trusted))?;
    let ring = Keyring::load(&trusted, &config.zone)
        .map_err(|e| StartFault::Config(vec![Fault::of_file(&trusted, e.to_string(), e.to_string())]))?;
    for fault in ring.faults() {
        tracing::error!(
            place = fault.place(),
            fault = fault.text(Lang::En),
            "a line of the trusted keys is not used"
        );
    }
    let users = match config.ssh.users.is_empty() {
        true => Users::Any,
        false => Users::Listed(config.ssh.users.clone()),
    };
    let rates = match config.trust.penalties {
        true => Rates::default(),
        false => Rates { max: std::time::Duration::ZERO, ..Rates::default() },
    };
    let networks = config.trust.networks.clone();
    let passwords = config.ssh.passwords.then(|| {
        let file = config.paths.keys.join("passwords");
        Passwords::load(&file).unwrap_or_else(|fault| {
            trust::not_used(&file, &fault);
            Passwords::default()
        })
    });
    Ok(Gate::under(Terms { ring, users, networks, rates, passwords }))
}

/// Keeps the gate equal to the directory; every change is on record.
fn follow(house: &Arc<House>, gate: &Gate) -> Following {
    let (path, zone) = (house.config.paths.keys.join("trusted"), house.config.zone.clone());
    let at = Arc::clone(house);
    access::follow(path, zone, gate.clone(), house.clock.clone(), move |report| match report {
        access::Report::Changes(changes) => changes.iter().for_each(|change| at.key_changed(change)),
        access::Report::Faults(faults) => {
            for fault in faults {
                tracing::error!(
                    place = fault.place(),
                    fault = fault.text(Lang::En),
                    "a line of the trusted keys is not used"
                );
            }
        }
        access::Report::Unusable(error) => {
            tracing::error!(%error, "trusted keys cannot be read; those read before stay")
        }
        access::Report::Usable => tracing::info!("trusted keys can be read again"),
    })
}

fn door(house: &Arc<House>, gate: Gate, drop: &Drop) -> Result<Door, StartFault> {
    let config = &house.config;
    let compat = match (config.ssh.legacy, config.ssh.strict) {
        (true, _) => Compat::Legacy,
        (false, true) => Compat::Strict,
        (false, false) => Compat::Modern,
    };
    let folder = config.paths.keys.join("host");
    let host_keys = HostKeys::open(&folder, settings::host_keys(config))
        .map_err(|e| StartFault::Config(vec![Fault::of_file(&folder, e.to_string(), e.to_string())]))?;
    for (algorithm, fingerprint) in host_keys.fingerprints() {
        tracing::info!(algorithm, fingerprint, "host key");
    }
    let at = Arc::clone(house);
    Ok(Door::new(Parts {
        host_keys,
        gate,
        programs: programs(config, &house.clock, drop),
        limits: settings::door(config),
        compat,
        lang: config.lang,
        clock: house.clock.clone(),
        watch: Arc::new(move |event| at.tell(event)),
    }))
}

/// What a sender finds behind the door: SFTP, scp and the command lines, over its own view.
fn programs(config: &Arc<Config>, clock: &Clock, drop: &Drop) -> Programs {
    let setup = Arc::new(Setup { clock: clock.clone(), ..settings::commands(config) });
    let below = Arc::clone(config);
    let (by_exec, by_sftp, context, name) =
        (drop.clone(), drop.clone(), setup.context, config.domain.clone());
    Programs {
        exec: Arc::new(move |grant, command| match intake::chosen(grant, command) {
            Chosen::Line(line) => {
                let (view, setup) = (view(&by_exec, grant, &line), Arc::clone(&setup));
                Box::new(move |io| exec::run(&line, io, view, &setup))
            }
            Chosen::Below(dir, line) => {
                let view = view(&by_exec, grant, &line);
                let setup = Setup { rsync: Some(rsync::server_below(&below, &dir)), ..(*setup).clone() };
                Box::new(move |io| exec::run(&line, io, view, &setup))
            }
            Chosen::Sftp => {
                let view = by_exec.view(grant.clone(), Via::Sftp);
                Box::new(move |io| sftp::serve(io, view, &context))
            }
            Chosen::Nothing(refusal) => refuse(refusal, context.lang),
        }),
        sftp: Arc::new(move |grant| match intake::sftp(grant) {
            Chosen::Nothing(refusal) => refuse(refusal, context.lang),
            _ => {
                let view = by_sftp.view(grant.clone(), Via::Sftp);
                Box::new(move |io| sftp::serve(io, view, &context))
            }
        }),
        status: Arc::new(move |grant| {
            let text = context.lang.pick(
                "aquí se reciben paquetes; no hay shell. Su llave es válida:",
                "packages are received here; there is no shell. Your key is valid:",
            );
            format!("difusor {name}: {text} {}\n", grant.name)
        }),
    }
}

/// One sentence, and the exit status of a command that there is not.
fn refuse(refusal: intake::Refusal, lang: Lang) -> Program {
    Box::new(move |io| {
        tracing::info!(asked = refusal.asked, only = refusal.only, "the key's command= allows no such thing");
        let _ = io.err(&format!("difusor: {}\n", refusal.text(lang)));
        exec::fault::UNSUPPORTED
    })
}

fn view(drop: &Drop, grant: &access::Grant, command: &[u8]) -> View {
    let mut words = command.split(|b| *b == b' ').map(|word| word.rsplit(|b| *b == b'/').next());
    let via = match words.next() {
        Some(Some(b"scp")) => Via::Scp,
        // Behind `sudo`, `nice` and their like too.
        first if command.windows(9).any(|w| w == b" --server") => {
            match first == Some(Some(b"rsync")) || words.any(|word| word == Some(b"rsync")) {
                true => Via::Rsync,
                false => Via::Exec,
            }
        }
        _ => Via::Exec,
    };
    drop.view(grant.clone(), via)
}

impl House {
    fn key_changed(&self, change: &Change) {
        tracing::info!(what = change.what.name(), key = %change.key.fingerprint, name = change.key.name, "trusted keys changed");
        let entry = Entry::new(Kind::Keys).with("what", change.what.name());
        self.note(entry.with("key", &change.key.fingerprint).with("name", &change.key.name));
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Opened(grant) => {
                self.metrics.ssh_session();
                self.uses.note(&grant, self.clock.now());
                tracing::info!(name = grant.name, addr = %grant.addr, user = grant.user, "session opened");
            }
            Event::Closed { grant, end, lasted } => {
                let level_up = !matches!(end, End::Left | End::Stopped);
                if level_up {
                    tracing::warn!(name = grant.name, addr = %grant.addr, ?end, ?lasted, "session ended");
                } else {
                    tracing::info!(name = grant.name, addr = %grant.addr, ?end, ?lasted, "session ended");
                }
            }
            Event::Unable(error) => {
                let entry = Entry::new(Kind::Warning).with("what", "cannot_accept");
                self.note(entry.with("why", error.to_string()));
            }
            Event::Refused(tallies) => {
                for tally in tallies {
                    tracing::warn!(addr = ?tally.addr, why = ?tally.why, count = tally.count, detail = tally.detail, "refused");
                    let addr = tally.addr.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    let entry =
                        Entry::new(Kind::Refused).with("reason", tally.why).with("from", addr.to_string());
                    let entry =
                        entry.with("count", tally.count).with("first", tally.first).with("last", tally.last);
                    self.note(entry.with("detail", &tally.detail));
                }
            }
        }
    }

    fn note(&self, entry: Entry) {
        if let Err(error) = self.ledger.append(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}

async fn keep_house(house: Arc<House>, drop: Drop) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    for round in 0_u32.. {
        tick.tick().await;
        let (house, drop) = (Arc::clone(&house), drop.clone());
        let kept = tokio::task::spawn_blocking(move || {
            house.refusals.tick(house.clock.now())?;
            house.uses.save(&house.config.paths.var)?;
            if round.is_multiple_of(SWEEP_EVERY) { drop.sweep().map(|_| ()) } else { Ok(()) }
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "housekeeping");
        }
    }
}
