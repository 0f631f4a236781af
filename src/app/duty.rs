//! The watch of the night, its alerts and the monitor, wired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{StartFault, doing, offline, readers_socket};
use crate::alert::{self, Letterhead, Post};
use crate::cadence::Reading;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::durable::Dir;
use crate::incident::Book;
use crate::ledger::Ledger;
use crate::monitor::{Expected, Probe, Prober, Questions, Store};
use crate::ntp;
use crate::vigil::{self, Gauges, Offset, Parts, Round, Thresholds, Vigil};

/// Outcomes that wait for the watch.
const WAITING: usize = 64;
/// Readings of the gauges between two questions about the hour: five minutes.
const CLOCK_EVERY: u32 = 30;
/// The serving half answers in a moment, or is not there.
const READERS_WAIT: Duration = Duration::from_secs(2);

/// What others ask of the watch.
pub(super) struct Duty {
    pub(super) post: Option<Post>,
    pub(super) readings: watch::Receiver<Option<Reading>>,
}

/// Starts the watch; it ends with `stop`.
pub(super) fn start(
    config: &Arc<Config>,
    clock: &Clock,
    ledger: &Ledger,
    book: &Book,
    stop: &CancellationToken,
) -> Result<Duty, StartFault> {
    let (told, deliveries) = mpsc::channel(WAITING);
    let (probed, rounds) = mpsc::channel(WAITING);
    let head = Letterhead {
        site: config.domain.clone(),
        institute: config.institute.clone(),
        lang: config.lang,
        zone: config.zone.clone(),
    };
    let channels = config.alerts.clone();
    let post = (!channels.is_empty()).then(|| alert::start(channels, head, told, stop));
    // Followed before anything is read: no line falls between.
    let lines = ledger.follow();
    let parts = Parts {
        ledger: ledger.clone(),
        book: book.clone(),
        schedule: config.schedule.clone(),
        bounds: config.bounds,
        events: config.events.clone(),
        thresholds: thresholds(config),
        gauges: gauges(config, clock)?,
        post: post.clone(),
        institute: config.institute.clone(),
        clock: clock.clone(),
        zone: config.zone.clone(),
        lang: config.lang,
    };
    let vigil = doing("var/ledger", tokio::task::block_in_place(|| Vigil::new(parts)))?;
    let (told, readings) = watch::channel(Some(vigil.reading(clock.now())));
    tokio::spawn(vigil::run(vigil, lines, rounds, deliveries, told, stop.clone()));
    if !config.monitor.targets.is_empty() {
        monitor(config, clock, probed, stop)?;
    }
    Ok(Duty { post, readings })
}

fn thresholds(config: &Config) -> Thresholds {
    let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
    let watch = &config.watch;
    Thresholds {
        disk_low: watch.disk_low,
        certificate: signed(watch.certificate),
        clock_warning: signed(watch.clock_warning),
        clock_critical: signed(watch.clock_critical),
        hold: signed(watch.hold),
        monitor_rounds: config.monitor.rounds,
    }
}

fn gauges(config: &Config, clock: &Clock) -> Result<Arc<dyn Fn() -> Gauges + Send + Sync>, StartFault> {
    let var = doing("var", Dir::create(&config.paths.var))?;
    let socket = readers_socket(config);
    let (servers, wait, clock) = (config.watch.ntp.clone(), config.doctor.timeout, clock.clone());
    let readings = AtomicU32::new(0);
    Ok(Arc::new(move || {
        let asked = control::ask_within(&socket, &Request::Readers, READERS_WAIT);
        let (ends, rejected) = match asked {
            Ok(Some(Answer::Readers(readers))) => (readers.certificate_ends, readers.certificate_rejected),
            _ => (None, None),
        };
        Gauges {
            disk_free: var.space().ok().map(|s| s.free_bytes),
            certificate_ends: ends,
            certificate_rejected: rejected,
            // A server that anybody may ask is not asked more often than that.
            clock: readings
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(CLOCK_EVERY)
                .then(|| offset(&servers, wait, &clock))
                .flatten(),
        }
    }))
}

/// How far the clock is off, by the first server that answers.
fn offset(servers: &[String], wait: Duration, clock: &Clock) -> Option<Offset> {
    let (servers, clock) = (servers.to_vec(), clock.clone());
    let asked = move || servers.iter().take(2).find_map(|server| ntp::ask(server, wait, &clock).ok());
    ntp::within(wait * 2, asked).flatten().map(|answer| Offset(answer.ahead))
}

/// A round of probes at every beat, kept and told.
fn monitor(
    config: &Arc<Config>,
    clock: &Clock,
    probed: mpsc::Sender<Round>,
    stop: &CancellationToken,
) -> Result<(), StartFault> {
    let own = &config.monitor;
    let questions = Questions {
        targets: own.targets.clone(),
        pages: own.pages.clone(),
        timeout: own.timeout,
        base_tag: config.package.base_tag,
        lag: SignedDuration::try_from(own.lag).unwrap_or(SignedDuration::MAX),
        root: own.root.clone(),
    };
    let prober = Prober::new(questions)
        .map_err(|e| StartFault::Machine("monitor".to_owned(), std::io::Error::other(e)))?;
    let dir = doing("var/monitor", Dir::create(config.paths.var.join("monitor")))?;
    let store = Store::new(dir, config.zone.clone(), own.keep);
    let work = probing(prober, store, Arc::clone(config), clock.clone(), probed);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(())
}

async fn probing(
    prober: Prober,
    store: Store,
    config: Arc<Config>,
    clock: Clock,
    probed: mpsc::Sender<Round>,
) {
    let mut beat = tokio::time::interval(config.monitor.every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first beat is at once: the site is not up yet.
    beat.tick().await;
    let mut today = None;
    loop {
        beat.tick().await;
        let now = clock.now();
        let before = expected(&config).await;
        let round = prober.round(now, before, expected(&config)).await;
        let (kept, day) = (store.clone(), TimeZone::to_datetime(&config.zone, now).date());
        let is_new_day = today.replace(day) != Some(day);
        let probes = round.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            kept.keep(&probes)?;
            if is_new_day { kept.prune(now).map(|_| ()) } else { Ok(()) }
        });
        if let Ok(Err(error)) = keeping.await {
            tracing::warn!(%error, "what the monitor saw cannot be kept");
        }
        for outcome in outcomes(&config, &round) {
            // The watch may be stopping.
            let _ = probed.send(outcome).await;
        }
    }
}

/// One outcome for each target.
fn outcomes(config: &Config, round: &[Probe]) -> Vec<Round> {
    let of = |name: &str| {
        let fault = round.iter().filter(|p| p.target == name).find_map(|p| p.why.clone());
        Round { target: name.to_owned(), fault }
    };
    config.monitor.targets.iter().map(|t| of(&t.name)).collect()
}

/// What the pointer says that readers should see.
async fn expected(config: &Arc<Config>) -> Option<Expected> {
    let config = Arc::clone(config);
    let read = tokio::task::spawn_blocking(move || {
        let store = offline::store_to_read(&config).ok()?;
        let release = store.load_current().ok()??;
        let since = store.pointed_at().unwrap_or(release.sealed);
        Some(Expected { release: release.id.to_string(), cut: release.meta.cut, since })
    });
    read.await.ok().flatten()
}
