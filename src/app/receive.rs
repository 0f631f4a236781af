//! The receiving half: ledger → history → store → publisher → doors.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sockets::Sockets;
use super::{
    Bound, Reload, StartFault, access, control_socket, doing, doors, duty, operator, readers_socket,
    settings as rooms,
};
use crate::admin::{self, Entrance, House};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Asked, Ear};
use crate::drop::{Arrival, Drop, Live, Lookers};
use crate::durable::Dir;
use crate::history::History;
use crate::incident::Book;
use crate::ledger::{self, Entry, Kind, Ledger};
use crate::metrics::Metrics;
use crate::model::ReleaseId;
use crate::publisher::{self, Parts, Publisher};
use crate::rehearsal::{self, Rehearsals, Witnesses};
use crate::release::{OpenError, Standing, Store, StoreConfig};
use crate::sandbox::State;
use crate::site::page::{Notice, Waiting};
use crate::web::WebEvent;

/// Questions of operators that wait for the publisher.
const ASKED: usize = 8;
/// Inodes that no staging may use up.
const MIN_FREE_INODES: u64 = 1_000;

/// The serving half of the same process, as the publisher knows it.
pub(super) struct Serving {
    /// Told of each swap.
    pub(super) swapped: Box<dyn Fn() + Send + Sync>,
    /// Wants to see files while they are staged.
    pub(super) witnesses: Witnesses,
}

/// The receiving half, up.
pub(super) struct Running {
    doors: doors::Running,
    publisher: JoinHandle<()>,
    control: JoinHandle<()>,
    admin: AdminPage,
    ledger: Ledger,
    /// Ends the publisher, after the doors.
    drained: CancellationToken,
}

/// The publisher with the rooms that its neighbours share with it.
pub(super) struct Core {
    pub(super) publisher: Publisher,
    pub(super) ledger: Ledger,
    pub(super) book: Book,
    pub(super) history: History,
    pub(super) tree: Live,
    pub(super) var: Dir,
    pub(super) rehearsals: Rehearsals,
}

/// Opens ledger, history and store, mends what a crash left, and takes up the work.
pub(super) fn core(config: &Config, clock: &Clock, serving: Option<Serving>) -> Result<Core, StartFault> {
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
    let base = config.site.base.clone();
    let notice = move |text: &str| Notice { lang, base: base.clone(), text: text.to_owned() }.html();
    let (swapped, witnesses) = serving.map(|s| (s.swapped, s.witnesses)).unzip();
    let rules = Arc::new(rooms::rules(config));
    let rehearsals = Rehearsals::new(rehearsal::Parts {
        store: store.clone(),
        rules: Arc::clone(&rules),
        foresee: publisher::foresee(config.events.clone()),
        witnesses: witnesses.clone(),
        at_once_max: config.drop.ahead,
        clock: clock.clone(),
    });
    let parts = Parts {
        store,
        history: history.clone(),
        ledger: ledger.clone(),
        rules,
        rehearsals: rehearsals.clone(),
        witnesses,
        events: config.events.clone(),
        waiting_page: Box::new(waiting),
        notice_page: Box::new(notice),
        schedule: config.schedule.clone(),
        tree: tree.clone(),
        in_use: Box::new(|_| false),
        swapped: Box::new(move |_| {
            if let Some(swapped) = &swapped {
                swapped();
            }
        }),
        clock: clock.clone(),
        lang,
    };
    let publisher = doing("publisher", Publisher::open(parts, standing))?;
    let book = doing("var/ledger", Book::open(ledger.clone(), clock.clone()))?;
    Ok(Core { publisher, ledger, book, history, tree, var, rehearsals })
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
    reload: &Reload,
    clock: &Clock,
    stop: &CancellationToken,
    sockets: &mut Sockets,
    serving: Option<Serving>,
    tidings: mpsc::Receiver<WebEvent>,
    sandbox: Option<State>,
) -> Result<Running, StartFault> {
    let settings = reload.settings();
    let config = &Arc::clone(&settings.borrow());
    let core = tokio::task::block_in_place(|| core(config, clock, serving))?;
    let metrics = Metrics::default();
    tokio::spawn(metrics.follow(&core.ledger));
    let start = Entry::new(Kind::Start).with("half", "receive").with("version", env!("CARGO_PKG_VERSION"));
    doing("var/ledger", core.ledger.append(start.with("pid", std::process::id())))?;
    doing("var/ledger", reload.record(&core.ledger))?;
    let (drop, arrivals) = core.drop(config, clock)?;
    let (to_publisher, orders) = mpsc::channel(ASKED);
    let doors = doors::start(config, clock, stop, sockets, &drop, &core.ledger, &metrics).await?;
    doors.follow_settings(reload);
    let drained = CancellationToken::new();
    let publisher = tokio::spawn(core.publisher.run(arrivals, orders, drained.clone()));
    let socket = control_socket(config);
    doing("var/run", socket.parent().map_or(Ok(()), std::fs::create_dir_all))?;
    let ear = doing("var/run/control.sock", Ear::open(socket))?;
    let line = operator::line();
    let duty = duty::start(config, clock, &core.ledger, &core.book, &drained)?;
    let admin = admin(&settings, clock, stop, sockets, &core.ledger, &line.0, &metrics)?;
    let desk = operator::Desk {
        drop,
        ledger: core.ledger.clone(),
        orders: to_publisher,
        lang: config.lang,
        page: admin.page.clone(),
        book: core.book,
        readings: Some(duty.readings),
        post: duty.post,
        clock: clock.clone(),
        reload: Some(reload.clone()),
        sandbox,
    };
    let control = tokio::spawn(operator::listen(ear, desk, line));
    tokio::spawn(record(tidings, core.ledger.clone()));
    tokio::spawn(access::expire(Arc::clone(config), clock.clone(), core.ledger.clone(), stop.clone()));
    Ok(Running { doors, publisher, control, admin, ledger: core.ledger, drained })
}

/// The admin page, if it listens anywhere.
fn admin(
    settings: &watch::Receiver<Arc<Config>>,
    clock: &Clock,
    stop: &CancellationToken,
    sockets: &mut Sockets,
    ledger: &Ledger,
    control: &mpsc::Sender<Asked>,
    metrics: &Metrics,
) -> Result<AdminPage, StartFault> {
    let now = Arc::clone(&settings.borrow());
    let inherited = doing("admin", sockets.take_admin())?;
    if inherited.is_empty() && now.admin.listen.is_empty() {
        return Ok(AdminPage::default());
    }
    let listeners = doing("admin.listen", admin::bind(&now.admin.listen, inherited))?;
    let (addresses, paths) = (listeners.addresses(), listeners.paths());
    let house = House {
        config: settings.clone(),
        clock: clock.clone(),
        ledger: ledger.clone(),
        control: control.clone(),
        readers: readers_socket(&now),
        entrance: Entrance::default(),
        metrics: metrics.clone(),
    };
    let page = operator::Page {
        entrance: house.entrance.clone(),
        clock: clock.clone(),
        addresses: addresses.clone(),
        sockets: paths,
    };
    let serving = admin::serve(house, listeners, stop.clone());
    Ok(AdminPage { page: Some(page), serving: Some(serving), addresses })
}

/// The admin page, up or off.
#[derive(Default)]
struct AdminPage {
    page: Option<operator::Page>,
    serving: Option<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

/// Puts on record what the serving half of this process tells.
async fn record(mut tidings: mpsc::Receiver<WebEvent>, ledger: Ledger) {
    while let Some(event) = tidings.recv().await {
        let entry = match event {
            WebEvent::CertificateShown { fingerprint, until, self_signed } => Entry::new(Kind::Certificate)
                .with("sha256", fingerprint)
                .with_some("until", until)
                .with("self_signed", self_signed),
            WebEvent::CertificateRejected { why } => {
                Entry::new(Kind::Warning).with("what", "certificate_rejected").with("why", why)
            }
            WebEvent::RenewalFailed { why, .. } => {
                Entry::new(Kind::Warning).with("what", "certificate_renewal_failed").with("why", why)
            }
        };
        if let Err(error) = ledger.append(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}

impl Core {
    /// The drop that feeds this publisher.
    pub(super) fn drop(
        &self,
        config: &Config,
        clock: &Clock,
    ) -> Result<(Drop, mpsc::Receiver<Arrival>), StartFault> {
        let (history, ledger) = (self.history.clone(), self.ledger.clone());
        let settings = rooms::drop_room(config, clock);
        let lookers: Lookers = Some(Arc::new(self.rehearsals.clone()));
        let (clock, tree) = (clock.clone(), self.tree.clone());
        doing("var/inbox", Drop::open(&self.var, settings, history, ledger, clock, tree, lookers))
    }
}

impl Running {
    /// Where the doors listen.
    pub(super) fn bound(&self) -> Bound {
        Bound { admin: self.admin.addresses.clone(), ..self.doors.bound() }
    }

    /// What the doors have decided since the start.
    pub(super) fn tally(&self) -> crate::access::Tally {
        self.doors.tally()
    }

    /// Waits until the doors are closed and everything that was received has its verdict.
    pub(super) async fn stopped(self) {
        self.doors.stopped().await;
        if let Some(serving) = self.admin.serving
            && let Err(error) = serving.await
        {
            tracing::error!(%error, "the admin page ended in disorder");
        }
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
