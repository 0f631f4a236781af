//! The receiving half: ledger → history → store → publisher → doors.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{StartFault, control_socket, doing, doors, operator, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::drop::{Arrival, Drop, Live};
use crate::durable::Dir;
use crate::history::History;
use crate::ledger::{self, Entry, Kind, Ledger};
use crate::model::ReleaseId;
use crate::publisher::{Parts, Publisher};
use crate::release::{OpenError, Standing, Store, StoreConfig};
use crate::site::page::Waiting;

/// Questions of operators that wait for the publisher.
const ASKED: usize = 8;
/// Inodes that no staging may use up.
const MIN_FREE_INODES: u64 = 1_000;

/// Told of each swap.
pub(super) type Swapped = Box<dyn Fn() + Send + Sync>;

/// The receiving half, up.
pub(super) struct Running {
    doors: doors::Running,
    publisher: JoinHandle<()>,
    control: JoinHandle<()>,
    ledger: Ledger,
    /// Ends the publisher, after the doors.
    drained: CancellationToken,
}

/// The publisher with the rooms that its neighbours share with it.
pub(super) struct Core {
    pub(super) publisher: Publisher,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) tree: Live,
    pub(super) var: Dir,
}

/// Opens ledger, history and store, mends what a crash left, and takes up the work.
pub(super) fn core(config: &Config, clock: &Clock, swapped: Option<Swapped>) -> Result<Core, StartFault> {
    let var = doing("var", Dir::create(&config.paths.var))?;
    let open = |name: &str| doing(format!("var/{name}"), var.sub_create(name));
    let (ledger, found) =
        doing("var/ledger", Ledger::open(&open("ledger")?, clock.clone(), config.zone.clone()))?;
    for finding in &found.found {
        tracing::error!(?finding, "the ledger was not as it was left");
    }
    let history = doing("var/history", History::open(&open("history")?))?;
    let (store, standing) = store(config, clock, &ledger, open("releases")?)?;
    let tree = Live::default();
    let (lang, zone, base) = (config.lang, config.zone.clone(), config.site.base.clone());
    let waiting = move |opens: Option<jiff::Timestamp>| {
        Waiting { lang, base: base.clone(), opens: opens.map(|t| (t, zone.clone())) }.html()
    };
    let swapped = swapped.unwrap_or_else(|| Box::new(|| {}));
    let parts = Parts {
        store,
        history: history.clone(),
        ledger: ledger.clone(),
        rules: settings::rules(config),
        events: config.events.clone(),
        waiting_page: Box::new(waiting),
        tree: tree.clone(),
        in_use: Box::new(|_| false),
        swapped: Box::new(move |_| swapped()),
        clock: clock.clone(),
        lang,
    };
    let publisher = doing("publisher", Publisher::open(parts, standing))?;
    Ok(Core { publisher, ledger, history, tree, var })
}

/// The release store, under its lock, with a pointer that leads to something whole.
fn store(
    config: &Config,
    clock: &Clock,
    ledger: &Ledger,
    releases: Dir,
) -> Result<(Store, Standing), StartFault> {
    let www = doing("www", Dir::create(&config.paths.www))?;
    let settings = StoreConfig {
        releases,
        www,
        keep: config.release.keep,
        min_free_bytes: config.release.min_free,
        min_free_inodes: MIN_FREE_INODES,
        clock: clock.clone(),
    };
    // What was shown before may be shown again only where no window forbids it.
    let shown: Vec<ReleaseId> = match config.events.is_empty() {
        true => doing("var/ledger", ledger::published(&ledger.dir()))?,
        false => Vec::new(),
    };
    let (store, recovery) = Store::open(settings, &shown).map_err(|error| match error {
        OpenError::Busy { .. } => {
            StartFault::Machine("var/releases".to_owned(), std::io::Error::other(error))
        }
        OpenError::Io(error) => StartFault::Machine("var/releases".to_owned(), error),
    })?;
    let what = match &recovery.standing {
        Standing::Mended { was, why, now } => {
            Some(("pointer_mended", was.clone(), why.clone(), Some(now.id.clone())))
        }
        Standing::Lost { was, why } => Some(("pointer_lost", was.clone(), why.clone(), None)),
        Standing::Fresh | Standing::Sound(_) => None,
    };
    if let Some((what, was, why, now)) = what {
        tracing::error!(what, ?was, why, ?now, "the live release was not as it was left");
        let entry = Entry::new(Kind::Recovery).with("what", what).with_some("was", was);
        doing("var/ledger", ledger.append(entry.with("why", why).with_some("release", now)))?;
    }
    Ok((store, recovery.standing))
}

/// Starts the half; it is ready when this returns.
pub(super) async fn start(
    config: &Arc<Config>,
    clock: &Clock,
    stop: &CancellationToken,
    swapped: Option<Swapped>,
) -> Result<Running, StartFault> {
    let core = tokio::task::block_in_place(|| core(config, clock, swapped))?;
    let start = Entry::new(Kind::Start).with("half", "receive").with("version", env!("CARGO_PKG_VERSION"));
    doing("var/ledger", core.ledger.append(start.with("pid", std::process::id())))?;
    let (drop, arrivals) = core.drop(config, clock)?;
    let (to_publisher, orders) = mpsc::channel(ASKED);
    let doors = doors::start(config, clock, stop, &drop, &core.ledger).await?;
    let drained = CancellationToken::new();
    let publisher = tokio::spawn(core.publisher.run(arrivals, orders, drained.clone()));
    let socket = control_socket(config);
    doing("var/run", socket.parent().map_or(Ok(()), std::fs::create_dir_all))?;
    let control =
        tokio::spawn(operator::listen(socket, drop, core.ledger.clone(), to_publisher, config.lang));
    Ok(Running { doors, publisher, control, ledger: core.ledger, drained })
}

impl Core {
    /// The drop that feeds this publisher.
    pub(super) fn drop(
        &self,
        config: &Config,
        clock: &Clock,
    ) -> Result<(Drop, mpsc::Receiver<Arrival>), StartFault> {
        let (history, ledger) = (self.history.clone(), self.ledger.clone());
        let settings = settings::drop_room(config, clock);
        doing("var/inbox", Drop::open(&self.var, settings, history, ledger, clock.clone(), self.tree.clone()))
    }
}

impl Running {
    /// Where the SSH door listens.
    pub(super) fn bound(&self) -> Vec<SocketAddr> {
        self.doors.bound()
    }

    /// Waits until the doors are closed and everything that was received has its verdict.
    pub(super) async fn stopped(self) {
        self.doors.stopped().await;
        self.control.abort();
        self.drained.cancel();
        if self.publisher.await.is_err() {
            tracing::error!("the publisher ended in disorder");
        }
        if let Err(error) = self.ledger.append(Entry::new(Kind::Stop).with("half", "receive")) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}
