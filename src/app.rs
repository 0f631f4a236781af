//! Wiring: builds the rooms from the configuration, starts their tasks in order and
//! stops them in reverse.
//!
//! The receiving half: ledger → history → store → publisher → doors. The serving half:
//! site → HTTPS. They meet at the release store only; `run` holds both in one process.
//! What each half bound to is written to `var/run/<half>.json`.

mod access;
mod confine;
mod doors;
mod duty;
mod intake;
mod offline;
mod operator;
mod receive;
mod reload;
mod report;
mod rsync;
mod serve;
mod settings;
mod sockets;
mod trust;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Fault};
use crate::control::{self, Answer, Request};
use crate::durable::Dir;
use crate::model::Lang;

pub use access::log as access_log;
pub use confine::{Confined, confine};
pub use offline::{answer_offline, cadence_on_disk, listening, status_on_disk, store_to_read};
pub use reload::{Reload, Reloaded};
pub use report::{paragraphs, report_settings};
pub use settings::{commands, host_keys, rules};

/// Which half of the service runs in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Both.
    Both,
    /// Doors, verification, publication.
    Receive,
    /// HTTPS to readers.
    Serve,
}

/// Where a process listens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bound {
    /// SSH door.
    pub ssh: Vec<SocketAddr>,
    /// rsync daemon.
    pub rsync: Vec<SocketAddr>,
    /// rsync daemon under TLS.
    pub rsync_tls: Vec<SocketAddr>,
    /// Site.
    pub https: Vec<SocketAddr>,
    /// Redirection.
    pub http: Vec<SocketAddr>,
    /// Admin page, where it is on TCP.
    pub admin: Vec<SocketAddr>,
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartFault {
    /// The configuration, keys or certificate are at fault.
    Config(Vec<Fault>),
    /// The machine: what was being done, and what went wrong.
    Machine(String, io::Error),
}

impl StartFault {
    /// The sentence for the operator.
    pub fn line(&self, lang: Lang) -> String {
        match self {
            Self::Config(faults) => faults.iter().map(|f| f.line(lang)).collect::<Vec<_>>().join("\n"),
            Self::Machine(doing, error) => format!("{doing}: {error}"),
        }
    }
}

/// Tidings of certificates that wait for the ledger; a few a year.
const TIDINGS_MAX: usize = 16;

/// Names what was being done when the machine failed.
fn doing<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T, StartFault> {
    result.map_err(|error| StartFault::Machine(what.into(), error))
}

/// A service that is up.
pub struct Running {
    bound: Bound,
    receive: Option<receive::Running>,
    serve: Option<serve::Running>,
    reload: Reload,
    stop: CancellationToken,
}

/// Starts what `half` names and returns when it is ready: the last good cut is served and
/// the doors are open.
pub async fn start(
    config: Config,
    half: Half,
    clock: Clock,
    confined: Confined,
) -> Result<Running, StartFault> {
    let stop = CancellationToken::new();
    let config = Arc::new(config);
    let reload = Reload::new(Arc::clone(&config));
    let Confined { mut sockets, state } = confined;
    // The ledger is the receiving half's, which starts later: what is told until then waits.
    let (told, tidings) = mpsc::channel(TIDINGS_MAX);
    let serve = match half {
        Half::Both | Half::Serve => {
            Some(serve::start(&config, &clock, &stop, &mut sockets, told, &reload, state.clone()).await?)
        }
        Half::Receive => None,
    };
    let receive = match half {
        Half::Both | Half::Receive => {
            let serving = serve.as_ref().map(serve::Running::serving);
            Some(receive::start(&reload, &clock, &stop, &mut sockets, serving, tidings, state).await?)
        }
        Half::Serve => None,
    };
    let doors = receive.as_ref().map(receive::Running::bound).unwrap_or_default();
    let bound = Bound {
        https: serve.as_ref().map(|s| s.https().to_vec()).unwrap_or_default(),
        http: serve.as_ref().map(|s| s.http().to_vec()).unwrap_or_default(),
        ..doors
    };
    doing("var/run", announce(&config, half, &bound))?;
    tracing::info!(ssh = ?bound.ssh, rsync = ?bound.rsync, rsync_tls = ?bound.rsync_tls, https = ?bound.https, http = ?bound.http, "ready");
    notify(&[sd_notify::NotifyState::Ready]);
    tokio::spawn(feed_watchdog(control_socket(&config), half, stop.clone()));
    Ok(Running { bound, receive, serve, reload, stop })
}

impl Running {
    /// What the doors have decided since the start; `None` where this process has none.
    pub fn tally(&self) -> Option<crate::access::Tally> {
        self.receive.as_ref().map(receive::Running::tally)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Bound {
        &self.bound
    }

    /// Reads its configuration again.
    pub fn reload(&self) -> &Reload {
        &self.reload
    }

    /// Closes the doors, lets what runs finish within its grace, and ends.
    pub async fn stop(self) {
        tracing::info!("stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
        self.stop.cancel();
        if let Some(receive) = self.receive {
            receive.stopped().await;
        }
        if let Some(serve) = self.serve {
            serve.stopped().await;
        }
    }
}

fn announce(config: &Config, half: Half, bound: &Bound) -> io::Result<()> {
    let name = match half {
        Half::Both | Half::Receive => "receive.json",
        Half::Serve => "serve.json",
    };
    let run = Dir::create(config.paths.var.join("run"))?;
    run.write_atomic(name, &serde_json::to_vec(bound)?)
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// Tells systemd that we live, only while the publisher answers.
async fn feed_watchdog(socket: PathBuf, half: Half, stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval(period / 3);
    while !stop.is_cancelled() {
        tick.tick().await;
        let socket = socket.clone();
        let alive = half == Half::Serve
            || tokio::time::timeout(
                Duration::from_secs(10),
                tokio::task::spawn_blocking(move || {
                    matches!(control::ask(&socket, &Request::Status), Ok(Some(Answer::Status(_))))
                }),
            )
            .await
            .is_ok_and(|asked| asked.unwrap_or(false));
        if alive {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

/// The socket on which the serving half of this instance says how its readers fare.
pub fn readers_socket(config: &Config) -> PathBuf {
    config.paths.var.join("run/readers.sock")
}

/// The socket on which the receiving half of this instance listens to its operator.
pub fn control_socket(config: &Config) -> PathBuf {
    config.paths.var.join("run/control.sock")
}
