//! The watch of the night: what the ledger and the gauges say → incidents by rule → alerts.
//!
//! Owns no file. Imports `ledger`, `incident`, `cadence`, `alert`, `clock` and `model`. One task: it hears every line
//! of the ledger as it is written ([`Vigil::hear`]) and looks at rhythm and gauges every few seconds ([`Vigil::look`]).
//! What it finds it writes into the book; what the book says, whoever wrote it, goes out as alerts. It decides
//! nothing about publication and can hold nothing up: if it falls behind it reads what it missed from the ledger's
//! table at its next start.

mod gauges;
mod rules;
mod telling;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alert::{Delivery, Post};
use crate::cadence::{Bounds, Cadence, Reading, Schedule, State};
use crate::clock::Clock;
use crate::incident::{Book, BookError, Closing, Opening, Trouble};
use crate::ledger::{self, Entry, Filter, Kind, Ledger, Line};
use crate::model::{Contact, Event, Lang};

pub use gauges::{Gauges, Offset};

/// From what on a gauge is worth an incident.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// Bytes free, below which the disk is low.
    pub disk_low: u64,
    /// How long before its end the certificate is a warning; a quarter of it is critical.
    pub certificate: SignedDuration,
    /// Offset of the clock that is a warning (T-42).
    pub clock_warning: SignedDuration,
    /// Offset that is critical.
    pub clock_critical: SignedDuration,
    /// How long a hold may last before it is told again, critically.
    pub hold: SignedDuration,
    /// Rounds of the monitor in a row that must fail.
    pub monitor_rounds: u32,
}

/// What the watch works with.
pub struct Parts {
    /// The record.
    pub ledger: Ledger,
    /// The book of incidents.
    pub book: Book,
    /// What the call says of the rhythm.
    pub schedule: Schedule,
    /// And of one transfer.
    pub bounds: Bounds,
    /// Publication windows.
    pub events: Vec<Event>,
    /// When gauges are worth an incident.
    pub thresholds: Thresholds,
    /// Reads the gauges; may take its time, so it is called off the runtime.
    pub gauges: Arc<dyn Fn() -> Gauges + Send + Sync>,
    /// The channels of alerts.
    pub post: Option<Post>,
    /// Whom to call.
    pub institute: Contact,
    /// The time.
    pub clock: Clock,
    /// Zone of the hours in texts.
    pub zone: TimeZone,
    /// Language of the texts.
    pub lang: Lang,
}

/// What a round of the monitor came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Which way: `public` or `cdn`.
    pub target: String,
    /// What was wrong; `None` if nothing was.
    pub fault: Option<String>,
}

/// The watch.
pub struct Vigil {
    parts: Parts,
    cadence: Cadence,
    /// How the rhythm stood at the last look.
    state: State,
    /// Rounds of the monitor that failed in a row, by target.
    failed: std::collections::BTreeMap<String, u32>,
}

/// How often rhythm and gauges are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two readings of the gauges.
const GAUGES_EVERY: u32 = 10;

impl Vigil {
    /// A watch that knows what the ledger tells.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let mut cadence = Cadence::new(parts.schedule.clone(), parts.events.clone());
        let mut state = State::Idle;
        for line in ledger::read(&parts.ledger.dir(), Filter::default())?.flatten() {
            cadence.follow(&line);
            if line.kind == Some(Kind::Cadence) {
                let said = line.fields.get("state").cloned().and_then(|s| serde_json::from_value(s).ok());
                state = said.unwrap_or(state);
            }
        }
        let vigil = Self { parts, cadence, state, failed: std::collections::BTreeMap::new() };
        vigil.take_up()?;
        Ok(vigil)
    }

    /// Where the rhythm stands.
    pub fn reading(&self, now: Timestamp) -> Reading {
        self.cadence.at(now)
    }

    fn record(&self, entry: Entry) {
        if let Err(error) = self.parts.ledger.append(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }

    /// A remark that is durable with the next fact: nobody waits for the disk.
    fn remark(&self, entry: Entry) {
        if let Err(error) = self.parts.ledger.note(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }

    /// Opens an incident; its number if it is new.
    fn begin(&self, opening: Opening) -> Option<u64> {
        match self.parts.book.begin(opening) {
            Ok((number, true)) => Some(number),
            Ok((_, false)) => None,
            Err(error) => {
                tracing::error!(%error, "an incident cannot be put on record");
                None
            }
        }
    }

    fn end(&self, kind: Trouble, subject: &str, closing: &Closing) {
        told(self.parts.book.end(kind, subject, closing));
    }

    /// An incident that is over when it is noticed, once for its subject.
    fn happened(&self, opening: Opening, end: Timestamp) {
        let known = self.parts.book.list();
        if known.iter().any(|i| i.kind == opening.kind && i.subject == opening.subject) {
            return;
        }
        if let Some(number) = self.begin(opening) {
            told(self.parts.book.close(number, &Closing { end: Some(end), ..Closing::default() }));
        }
    }
}

fn told(result: Result<(), BookError>) {
    if let Err(error) = result {
        tracing::error!(%error, "an incident cannot be put on record");
    }
}

/// Keeps the watch until `stop`. `readings` always has the newest state of the rhythm.
pub async fn run(
    mut vigil: Vigil,
    mut lines: broadcast::Receiver<Arc<Line>>,
    mut rounds: mpsc::Receiver<Round>,
    mut deliveries: mpsc::Receiver<Delivery>,
    readings: watch::Sender<Option<Reading>>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => tokio::task::block_in_place(|| vigil.hear(&line)),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the watch fell behind the ledger");
                }
                Err(broadcast::error::RecvError::Closed) => break,
            },
            Some(round) = rounds.recv() => tokio::task::block_in_place(|| vigil.probed(&round)),
            Some(delivery) = deliveries.recv() => tokio::task::block_in_place(|| vigil.delivered(&delivery)),
            _ = tick.tick() => {
                let now = vigil.parts.clock.now();
                tokio::task::block_in_place(|| vigil.look(now));
                if looks.is_multiple_of(GAUGES_EVERY) {
                    let read = Arc::clone(&vigil.parts.gauges);
                    if let Ok(gauges) = tokio::task::spawn_blocking(move || read()).await {
                        tokio::task::block_in_place(|| vigil.gauge(&gauges, now));
                    }
                }
                looks = looks.wrapping_add(1);
                // Who reads it may have gone.
                let _ = readings.send(Some(vigil.reading(now)));
            }
            () = stop.cancelled() => break,
        }
    }
}
