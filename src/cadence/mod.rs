//! The rhythm of a night: when the next cut is due, how late it is, and what each took.
//!
//! Owns no file. [`Cadence`] is fed with the ledger's lines and asked with an instant: it says
//! [`State`] and hours, decides nothing and writes nothing. [`timings`] reads from the ledger how long each cut
//! took. Imports `ledger`, `durable` and `model`.
//!
//! A cut counts when it is verified and its stamp is newer than any before it: the same stamp again, or
//! the same package, is silence; equal content under a new stamp is a cut. The clock of a gap starts when the
//! last cut came, or at the opening of the window less one period.

#[cfg(test)]
mod tests;
mod timing;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::{Kind, Line};
use crate::model::{Cut, Event, Lang};

pub use timing::{Bounds, Timing, bandwidth, timings};

/// What the call says of the rhythm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Shortest time between two cuts that is ordinary.
    pub shortest: SignedDuration,
    /// Longest time between two cuts: the period that lateness is counted in.
    pub longest: SignedDuration,
    /// What a cut may be late before anybody is told.
    pub grace: SignedDuration,
    /// Consecutive periods without a cut after which the transmission is interrupted (QRoo IV.3, Tamaulipas III.f).
    pub limit: u8,
    /// From the opening to the last cut (the calls: 24 hours).
    pub duration: SignedDuration,
    /// How long after that a cut is still taken for a late one and not for a correction.
    pub overtime: SignedDuration,
}

/// How the rhythm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No cut is expected: before the opening, or nothing has come yet where there are no windows.
    Idle,
    /// The next cut is not due yet.
    OnTime,
    /// It is due and within its grace.
    Late,
    /// One is missing: due plus grace have passed (first warning).
    #[serde(rename = "missed_1")]
    Missed1,
    /// Two periods have passed (second warning, with whom to call).
    #[serde(rename = "missed_2")]
    Missed2,
    /// The last period before the limit is about to end (critical).
    #[serde(rename = "missed_3")]
    Missed3,
    /// The limit has passed: the institute counts the transmission as interrupted.
    Interrupted,
    /// The last cut is in.
    Ended,
}

impl State {
    /// The name in ledger and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::OnTime => "on_time",
            Self::Late => "late",
            Self::Missed1 => "missed_1",
            Self::Missed2 => "missed_2",
            Self::Missed3 => "missed_3",
            Self::Interrupted => "interrupted",
            Self::Ended => "ended",
        }
    }

    /// As people call it.
    pub fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Idle => lang.pick("no se espera ningún corte", "no cut is expected"),
            Self::OnTime => lang.pick("a tiempo", "on time"),
            Self::Late => lang.pick("tarde", "late"),
            Self::Missed1 => lang.pick("falta 1", "1 missing"),
            Self::Missed2 => lang.pick("falta 2", "2 missing"),
            Self::Missed3 => lang.pick("falta 3", "3 missing"),
            Self::Interrupted => lang.pick("transmisión interrumpida", "transmission interrupted"),
            Self::Ended => lang.pick("terminó", "ended"),
        }
    }

    /// Whether a cut is missing.
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Missed1 | Self::Missed2 | Self::Missed3 | Self::Interrupted)
    }
}

/// Where the rhythm stands at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// How it stands.
    pub state: State,
    /// The event whose cuts are expected.
    pub event: Option<String>,
    /// The newest cut that came.
    pub last_cut: Option<Cut>,
    /// When the gap that runs began: the last cut came, or one period before the opening.
    pub since: Option<Timestamp>,
    /// When the next cut is due.
    pub next_due: Option<Timestamp>,
    /// When the transmission will be interrupted if nothing comes.
    pub interrupted_at: Option<Timestamp>,
    /// Whole periods that passed without a cut.
    pub missed: u32,
    /// Shortest ordinary period, in seconds.
    pub shortest_s: i64,
    /// Longest period, in seconds.
    pub period_s: i64,
    /// Grace, in seconds.
    pub grace_s: i64,
    /// Periods after which it is interrupted.
    pub limit: u8,
}

/// Follows the rhythm of one instance.
#[derive(Clone, Debug)]
pub struct Cadence {
    schedule: Schedule,
    events: Vec<Event>,
    /// When the newest cut came, and its stamp where it has one.
    last: Option<(Timestamp, Option<Cut>)>,
    /// The first cut where there are no windows.
    first: Option<Timestamp>,
    /// When the last byte of a package came, by its hash, until its verdict.
    received: std::collections::BTreeMap<String, Timestamp>,
    /// Events whose night is over, by name; `""` where there are no windows.
    closed: std::collections::BTreeSet<String>,
}

/// The kinds of lines that the rhythm is made of.
pub const KINDS: [Kind; 7] = [
    Kind::Received,
    Kind::Verified,
    Kind::Rejected,
    Kind::Repeated,
    Kind::Superseded,
    Kind::NightClosed,
    Kind::NightReopened,
];
/// Packages whose verdict is awaited; more are given the hour of their verdict.
const AWAITED_MAX: usize = 64;

impl Cadence {
    /// A rhythm that has heard nothing yet.
    pub fn new(schedule: Schedule, events: Vec<Event>) -> Self {
        Self {
            schedule,
            events,
            last: None,
            first: None,
            received: std::collections::BTreeMap::new(),
            closed: std::collections::BTreeSet::new(),
        }
    }

    /// The schedule it goes by.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Takes in a line of the ledger. Gives the cut if it brought a new one.
    pub fn follow(&mut self, line: &Line) -> Option<Option<Cut>> {
        let event = || line.text("event").unwrap_or_default().to_owned();
        match line.kind? {
            Kind::Received => {
                let at = line.text("last_byte").and_then(|t| t.parse().ok()).unwrap_or(line.at);
                if self.received.len() < AWAITED_MAX
                    && let Some(package) = line.text("package")
                {
                    self.received.insert(package.to_owned(), at);
                }
            }
            Kind::Verified => {
                let at = line.text("package").and_then(|p| self.received.remove(p)).unwrap_or(line.at);
                return self.came(at, cut_of(line));
            }
            Kind::Rejected | Kind::Repeated | Kind::Superseded => {
                line.text("package").map(|p| self.received.remove(p));
            }
            Kind::NightClosed => _ = self.closed.insert(event()),
            Kind::NightReopened => _ = self.closed.remove(&event()),
            _ => {}
        }
        None
    }

    /// A verified cut; one whose stamp is no newer is not news.
    fn came(&mut self, at: Timestamp, cut: Option<Cut>) -> Option<Option<Cut>> {
        let newest = self.last.and_then(|(_, cut)| cut);
        if let (Some(cut), Some(newest)) = (cut, newest)
            && cut <= newest
        {
            return None;
        }
        // A clock that stepped back must not make a gap out of nothing.
        let at = self.last.map_or(at, |(before, _)| at.max(before));
        self.last = Some((at, cut.or(newest)));
        self.first.get_or_insert(at);
        Some(cut)
    }

    /// Where it stands at `now`.
    pub fn at(&self, now: Timestamp) -> Reading {
        let open = self.events.iter().find(|event| event.is_open(now));
        let event = open.map(|event| event.name.clone());
        let Some((since, end)) = self.gap(open) else { return self.reading(State::Idle, event, None, now) };
        let is_closed = self.closed.contains(event.as_deref().unwrap_or_default());
        // A cut of the last hour is expected however late it comes; none beyond it is missed (F11).
        let stamp = self.last.and_then(|(_, cut)| cut).map_or(since, Cut::instant);
        let next = later(stamp, self.schedule.shortest);
        if is_closed || end.is_some_and(|end| next > end) {
            return self.reading(State::Ended, event, Some(since), now);
        }
        self.reading(self.state(now.duration_since(since)), event, Some(since), now)
    }

    /// When the gap began, and when cuts end to be expected.
    fn gap(&self, open: Option<&Event>) -> Option<(Timestamp, Option<Timestamp>)> {
        let last = self.last.map(|(at, _)| at);
        if let Some(event) = open {
            let before = later(event.opens, -self.schedule.longest);
            let end = later(event.opens, self.schedule.duration).min(event.closes);
            return Some((last.map_or(before, |at| at.max(before)), Some(end)));
        }
        let end = self.first.map(|first| later(first, self.schedule.duration));
        last.filter(|_| self.events.is_empty()).map(|at| (at, end))
    }

    fn state(&self, gap: SignedDuration) -> State {
        let Schedule { longest, grace, limit, .. } = &self.schedule;
        let limit = *longest * i32::from((*limit).max(1));
        // The critical warning comes one grace before the limit, but never before the second one.
        let critical = (limit - *grace).max(*longest * 2);
        if gap >= limit {
            State::Interrupted
        } else if gap >= critical {
            State::Missed3
        } else if gap >= *longest * 2 {
            State::Missed2
        } else if gap >= *longest + *grace {
            State::Missed1
        } else if gap >= *longest {
            State::Late
        } else {
            State::OnTime
        }
    }

    fn reading(
        &self,
        state: State,
        event: Option<String>,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Reading {
        let Schedule { shortest, longest, grace, limit, .. } = self.schedule;
        let awaited = since.filter(|_| !matches!(state, State::Idle | State::Ended));
        let opening = || self.events.iter().map(|e| e.opens).find(|opens| *opens > now);
        let passed = awaited.map_or(0, |since| now.duration_since(since).as_secs());
        Reading {
            state,
            event,
            last_cut: self.last.and_then(|(_, cut)| cut),
            since,
            next_due: match state {
                State::Idle => opening(),
                _ => awaited.map(|since| later(since, longest)),
            },
            interrupted_at: awaited.map(|since| later(since, longest * i32::from(limit.max(1)))),
            missed: u32::try_from(passed / longest.as_secs().max(1)).unwrap_or(0),
            shortest_s: shortest.as_secs(),
            period_s: longest.as_secs(),
            grace_s: grace.as_secs(),
            limit,
        }
    }
}

impl Schedule {
    /// Whether a cut that came at `now` is no late one any more but something after the end of the night that opened
    /// at `opens`.
    pub fn is_over(&self, opens: Timestamp, now: Timestamp) -> bool {
        now >= later(later(opens, self.duration), self.overtime)
    }
}

fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.checked_add(by).unwrap_or(instant)
}

fn cut_of(line: &Line) -> Option<Cut> {
    line.fields.get("cut").and_then(|value| Cut::deserialize(value).ok())
}
