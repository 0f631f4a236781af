//! Gauges: what is so at the moment somebody asks.

use std::path::PathBuf;

use jiff::Timestamp;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::control::{Readers, Status};
use crate::durable::{Dir, Space};
use crate::sandbox::Level;

/// What there was to see at one moment. A part that nobody could tell is left out: a missing figure is not zero.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The moment.
    pub now: Timestamp,
    /// What the publisher says.
    pub status: Option<Status>,
    /// What the serving half says.
    pub readers: Option<Readers>,
    /// Where packages and releases lie.
    pub var: PathBuf,
}

impl Scene {
    /// Names what is seen.
    pub(super) fn register(&self, registry: &mut Registry) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "This program", Info::new(version));
        self.cut(registry);
        self.night(registry);
        self.readers(registry);
        self.sandbox(registry);
        self.machine(registry);
    }

    fn cut(&self, r: &mut Registry) {
        let Some(status) = &self.status else { return };
        gauge(
            r,
            "window_open",
            "Whether readers see results, not the waiting page",
            i64::from(!status.waiting),
        );
        if let Some(started) = status.started {
            seconds(r, "start_timestamp_seconds", "When the receiving half started", started);
        }
        let live = status.live.as_ref().filter(|_| !status.waiting);
        if let Some(since) = live.and_then(|live| live.since) {
            seconds(r, "cut_published_timestamp_seconds", "When the live cut was published", since);
            let age = self.now.duration_since(since).as_secs_f64();
            gauge(r, "cut_age_seconds", "Since the live cut was published", age);
        }
        if let Some(cut) = live.and_then(|live| live.cut) {
            seconds(r, "cut_stamp_timestamp_seconds", "The institute's hour of the live cut", cut.instant());
        }
        if let Some(live) = live {
            gauge(r, "cut_files", "Files of the live cut", count(live.files));
        }
    }

    /// Rhythm, hold, notice and what lasts of incidents.
    fn night(&self, r: &mut Registry) {
        let Some(status) = &self.status else { return };
        gauge(
            r,
            "hold_active",
            "Whether what arrives is kept from readers",
            i64::from(status.hold.is_some()),
        );
        gauge(r, "notice_active", "Whether the institute's notice is up", i64::from(status.notice.is_some()));
        if let Some(reading) = &status.cadence {
            gauge(r, "cut_missed", "Whole periods without a cut", i64::from(reading.missed));
            if let Some(due) = reading.next_due {
                seconds(r, "cut_due_timestamp_seconds", "When the next cut is due", due);
            }
        }
        let open = Family::<[(&str, &str); 1], Gauge>::default();
        for incident in &status.incidents {
            open.get_or_create(&[("kind", incident.kind.name())]).inc();
        }
        r.register("incidents_open", "Incidents that last", open);
    }

    fn readers(&self, r: &mut Registry) {
        gauge(r, "serving_up", "Whether the serving half answers", i64::from(self.readers.is_some()));
        let Some(readers) = &self.readers else { return };
        gauge(r, "http_connections", "Connections of readers now", count(readers.connections));
        let of = |name: &str| readers.counts.get(name).copied().unwrap_or_default();
        let counter = ConstCounter::new;
        r.register("http_requests", "Requests of readers", counter(of("requests")));
        r.register("http_accepted", "Connections of readers taken", counter(of("accepted")));
        let help = "Requests that found no room on their way to the access log";
        r.register("access_log_lost", help, counter(readers.log_lost));
        let turned_away = Family::<[(&str, String); 1], Counter>::default();
        for (reason, count) in &readers.counts {
            if !matches!(reason.as_str(), "requests" | "accepted") {
                turned_away.get_or_create(&[("reason", reason.clone())]).inc_by(*count);
            }
        }
        let help = "Readers turned away, delayed or cut since the serving half started";
        r.register("http_turned_away", help, turned_away);
        if let Some(ends) = readers.certificate_ends {
            seconds(r, "cert_expiry_timestamp_seconds", "End of the certificate that readers see", ends);
        }
        let rejected = i64::from(readers.certificate_rejected.is_some());
        gauge(r, "cert_rejected", "Whether newer certificate files cannot be used", rejected);
    }

    /// One line for each half that runs: 1 at the level that holds.
    fn sandbox(&self, r: &mut Registry) {
        let halves = [
            ("receive", self.status.as_ref().map(|s| s.sandbox.as_ref())),
            ("serve", self.readers.as_ref().map(|r| r.sandbox.as_ref())),
        ];
        let levels = Family::<[(&str, &str); 2], Gauge>::default();
        for (half, state) in halves {
            let Some(state) = state else { continue };
            let level = match state.map(|s| s.level).unwrap_or_default() {
                Level::Enforced => "enforced",
                Level::Partial => "partial",
                Level::Off => "off",
            };
            levels.get_or_create(&[("half", half), ("level", level)]).set(1);
        }
        r.register("sandbox", "Whether each half is confined", levels);
    }

    fn machine(&self, r: &mut Registry) {
        if let Ok(Space { total_bytes, free_bytes, free_inodes }) =
            Dir::open(&self.var).and_then(|var| var.space())
        {
            gauge(r, "disk_free_bytes", "Room left where packages lie", whole(free_bytes));
            gauge(r, "disk_size_bytes", "Size of that file system", whole(total_bytes));
            if free_inodes != u64::MAX {
                gauge(r, "disk_free_inodes", "Files that can still be made there", whole(free_inodes));
            }
        }
        let memory = std::fs::read_to_string("/proc/self/statm").ok();
        let pages = memory.and_then(|text| text.split(' ').nth(1)?.parse::<i64>().ok());
        if let (Some(pages), Ok(page)) = (pages, i64::try_from(rustix::param::page_size())) {
            gauge(r, "resident_memory_bytes", "Memory of the receiving half", pages.saturating_mul(page));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            gauge(r, "open_fds", "Files and connections of the receiving half", count(open.count()));
        }
    }
}

/// One figure without labels.
fn gauge<N>(registry: &mut Registry, name: &str, help: &str, value: N)
where
    ConstGauge<N>: prometheus_client::registry::Metric,
{
    registry.register(name, help, ConstGauge::new(value));
}

/// An instant, as Unix time.
fn seconds(registry: &mut Registry, name: &str, help: &str, at: Timestamp) {
    gauge(registry, name, help, at.as_millisecond() as f64 / 1000.0);
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
