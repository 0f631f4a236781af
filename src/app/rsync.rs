//! rsync, wired: its program behind the SSH door, and its daemon.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::doors::listeners;
use super::sockets::Sockets;
use super::{StartFault, doing, settings};
use crate::access::Gate;
use crate::archive;
use crate::clock::Clock;
use crate::config::Config;
use crate::drop::{Drop, PushConfig, Start, VPath, Vanished, View};
use crate::ledger::Refusals;
use crate::rsync::{self, Options};
use crate::rsyncd::{self, Door, Event, Limits, Module, Parts, Pushes};
use crate::ssh::exec::RsyncServer;
use crate::ssh::io::Io;
use crate::web::{self, Report};

/// The daemon, open.
pub(super) struct Running {
    /// Where it listens, plain.
    pub(super) plain: Vec<SocketAddr>,
    /// Where it listens under TLS.
    pub(super) tls: Vec<SocketAddr>,
    door: Door,
    accepting: Vec<JoinHandle<()>>,
}

/// What the program behind the SSH door is made of.
pub(super) fn server(config: &Config) -> RsyncServer {
    let (pushes, modules) = (pushes(config), modules(config));
    let modules = if modules.is_empty() { rsyncd::usual_modules() } else { modules };
    Arc::new(move |words, io, view, cwd, _| {
        over_ssh(words, io, view, Start::Within(cwd.clone()), &pushes, &modules)
    })
}

/// The same for a key that may push below one folder only, and to no module.
pub(super) fn server_below(config: &Config, dir: &str) -> RsyncServer {
    let pushes = pushes(config);
    let root: VPath = std::path::Path::new(&format!("/{dir}")).into();
    Arc::new(move |words, io, view, _, _| {
        over_ssh(words, io, view, Start::Confined(root.clone()), &pushes, &[])
    })
}

/// `rsync --server …`, and `rsync --server --daemon .`.
fn over_ssh(words: &[Vec<u8>], io: Io, view: View, start: Start, pushes: &Pushes, modules: &[Module]) -> u32 {
    let (input, output) = io.split();
    let errors = output.clone();
    let mut stderr = move |line: &str| {
        // A client that is gone reads nothing, and the session notices by itself.
        let _ = errors.err(line);
    };
    let settings = pushes.settings();
    let options = match Options::parse(words, &settings.limits) {
        Ok(options) => options,
        Err(error) => {
            let (input, output) = (Box::new(input), Box::new(output));
            return rsync::refuse(&error, input, output, &mut stderr, &settings).code().into();
        }
    };
    if options.daemon {
        return rsyncd::over_channel(modules, pushes, view, Box::new(input), Box::new(output));
    }
    if !options.ignored.is_empty() {
        tracing::info!(options = options.ignored.join(" "), "rsync options without effect here");
    }
    let push = view.push(PushConfig {
        start,
        module: "ssh".to_owned(),
        verdict_wait: pushes.verdict_wait,
        similar: pushes.similar,
        vanished: pushes.vanished,
    });
    let exit = rsync::serve(options, Box::new(input), Box::new(output), &mut stderr, &push, &settings);
    exit.code().into()
}

/// How pushes are received.
fn pushes(config: &Config) -> Pushes {
    let own = &config.rsync;
    Pushes {
        lang: config.lang,
        motd: own.motd.lines().map(str::to_owned).collect(),
        limits: bounds(&settings::limits(config), own),
        verdict_wait: config.ssh.verdict_wait,
        similar: own.similar,
        vanished: if own.vanished { Vanished::Publish } else { Vanished::Refuse },
        list_within: own.list_within,
    }
}

/// What a package may hold, a push may hold too.
fn bounds(limits: &archive::Limits, own: &crate::config::Rsync) -> rsync::Limits {
    let defaults = rsync::Limits::default();
    rsync::Limits {
        entries: u32::try_from(limits.entries).unwrap_or(u32::MAX).saturating_add(ENTRIES_SLACK),
        file_bytes: limits.file_bytes.max(limits.package_bytes),
        // A folder of packages may come in one push.
        total_bytes: defaults.total_bytes.max(limits.unpacked_bytes),
        list_bytes: own.list_memory,
        args: own.arguments,
        rules: own.filter_rules,
        zstd_window_log: own.zstd_window_log,
        hashed_bytes: own.hashed,
        ..defaults
    }
}

fn modules(config: &Config) -> Vec<Module> {
    let module = |own: &crate::config::Module| Module {
        name: own.name.clone(),
        root: std::path::Path::new(&own.path).into(),
        networks: own.networks.clone(),
        users: own.users.clone(),
        secrets: own.secrets.clone(),
        digest: own.digest.name().to_owned(),
        sessions_max: own.max_connections,
        comment: own.comment.clone(),
        listed: own.list,
        timeout: own.timeout,
    };
    config.rsync.modules.iter().map(module).collect()
}

/// Opens the daemon's door, if it has an address.
pub(super) async fn open(
    config: &Arc<Config>,
    clock: &Clock,
    stop: &CancellationToken,
    sockets: &mut Sockets,
    drop: &Drop,
    gate: &Gate,
    refusals: &Refusals,
) -> Result<Option<Running>, StartFault> {
    let own = &config.rsync;
    // Two names for the two ports of Durango's call: a socket unit has one name.
    let held: Vec<_> = ["rsync", "rsync-alt"].into_iter().flat_map(|name| sockets.take(name)).collect();
    let held_tls = sockets.take("rsync-tls");
    let none = held.is_empty() && held_tls.is_empty();
    if none && own.listen.is_empty() && own.tls_listen.is_empty() {
        return Ok(None);
    }
    let tls = match own.tls_listen.is_empty() && held_tls.is_empty() {
        true => None,
        false => Some(doing("rsync.tls-listen", tls(config, clock, stop))?),
    };
    let (counted, at) = (refusals.clone(), clock.clone());
    let door = Door::new(Parts {
        modules: modules(config),
        limits: limits(config),
        pushes: pushes(config),
        drop: drop.clone(),
        gate: gate.clone(),
        tls,
        clock: clock.clone(),
        watch: Arc::new(move |event| tell(&counted, &at, event)),
    });
    let (mut plain, mut wrapped, mut accepting) = (Vec::new(), Vec::new(), Vec::new());
    for listener in listeners("rsync.listen", &own.listen, held)? {
        plain.push(doing("rsync.listen", listener.local_addr())?);
        let door = door.clone();
        accepting.push(tokio::spawn(async move { door.serve(listener).await }));
    }
    for listener in listeners("rsync.tls-listen", &own.tls_listen, held_tls)? {
        wrapped.push(doing("rsync.tls-listen", listener.local_addr())?);
        let door = door.clone();
        accepting.push(tokio::spawn(async move { door.serve_tls(listener).await }));
    }
    Ok(Some(Running { plain, tls: wrapped, door, accepting }))
}

/// Bounds of the daemon's door.
pub(super) fn limits(config: &Config) -> Limits {
    let own = &config.rsync;
    Limits {
        connections: own.connections,
        connections_per_source: own.connections_per_address,
        handshake: own.handshake,
        idle: own.idle,
        drain: config.ssh.stop_grace,
    }
}

impl Running {
    /// The door, for new limits.
    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }

    /// Closes the door and waits for the sessions, within their grace.
    pub(super) async fn stopped(self) {
        self.door.stop().await;
        for accepting in self.accepting {
            accepting.abort();
        }
    }
}

fn tls(
    config: &Config,
    clock: &Clock,
    stop: &CancellationToken,
) -> std::io::Result<Arc<rustls::ServerConfig>> {
    let web = settings::web(config);
    // The site's own door says what is wrong with the certificate.
    web::tls_of_the_site(web.certificate, &web.domain, clock.now(), Report::silent(), stop.clone())
}

fn tell(refusals: &Refusals, clock: &Clock, event: Event) {
    match event {
        Event::Opened { addr, module, sender } => {
            tracing::info!(%addr, module, sender, "rsync session opened");
        }
        Event::Closed { addr, module, exit, lasted } => {
            tracing::info!(%addr, module, exit, ?lasted, "rsync session ended");
        }
        Event::Refused { addr, why } => {
            // The ledger has them counted: a flood of them must not flood the log.
            tracing::debug!(%addr, why = why.name(), "rsync connection refused");
            if let Err(error) = refusals.count(addr, why.name(), clock.now()) {
                tracing::error!(%error, "the ledger cannot be written");
            }
        }
    }
}

/// A push lists its own top, and what a package would leave out.
const ENTRIES_SLACK: u32 = 1_000;
