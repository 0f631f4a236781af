//! Probes → the percentage that the calls ask for, with its method and what was left out (T-38).

use std::io;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Unit, Zoned};
use serde::{Deserialize, Serialize};

use super::{Probe, probes};
use crate::durable::Dir;

/// What an availability is computed by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Percent that the call asks for a month: 99.9, or 99.7 in Tamaulipas (IV.b).
    pub required: f64,
    /// Time between two rounds of probes.
    pub every: SignedDuration,
    /// Times that are left out.
    pub exclusions: Vec<Exclusion>,
    /// Whose days and hours.
    pub zone: TimeZone,
}

/// A time that is left out of the reckoning, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// First instant that is left out.
    pub from: Timestamp,
    /// First instant that counts again.
    pub to: Timestamp,
    /// Why, as the operator wrote it.
    pub reason: String,
}

/// Available or not, second by second, over one stretch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// Milliseconds in which the site was as it should be.
    pub up_ms: u64,
    /// Milliseconds in which it was not.
    pub down_ms: u64,
    /// Milliseconds that nobody measured: they count as down.
    pub unmeasured_ms: u64,
    /// Milliseconds left out.
    pub excluded_ms: u64,
    /// `up / (up + down + unmeasured)`, in percent; `None` where nothing counts.
    pub percent: Option<f64>,
    /// Whether that is what the call asks for.
    pub met: Option<bool>,
}

/// How available a way to the site was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Availability {
    /// Which way: `public` or `cdn`.
    pub target: String,
    /// Percent that the call asks for.
    pub required: f64,
    /// How many rounds of probes it rests on.
    pub rounds: u64,
    /// Rounds in which something was wrong.
    pub failed: u64,
    /// The whole window, from the first round in it.
    pub total: Share,
    /// By the hour.
    pub hours: Vec<Share>,
    /// By the day.
    pub days: Vec<Share>,
    /// By the month, which is what the calls speak of.
    pub months: Vec<Share>,
    /// What was left out.
    pub exclusions: Vec<Exclusion>,
}

/// The ways that were probed in the window, each with its availability. The window begins with the first round in
/// it and ends with the last one's stretch, `to` or the present, whichever is first.
pub fn availability(
    dir: &Dir,
    from: Timestamp,
    to: Timestamp,
    settings: &Settings,
) -> io::Result<Vec<Availability>> {
    let probes = probes(dir, &settings.zone, from, to)?;
    let mut targets: Vec<&str> = probes.iter().map(|p| p.target.as_str()).collect();
    targets.sort_unstable_by_key(|t| (*t != "public", *t));
    targets.dedup();
    Ok(targets.iter().map(|target| of_target(target, &probes, to, settings)).collect())
}

/// One stretch of time and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    is: Was,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    Up,
    Down,
    Unmeasured,
}

fn of_target(target: &str, probes: &[Probe], to: Timestamp, settings: &Settings) -> Availability {
    let rounds = rounds(probes.iter().filter(|p| p.target == target));
    let stretches = stretches(&rounds, to, settings.every);
    let share = |from, to| share(from, to, &stretches, settings);
    let begin = stretches.first().map_or(to, |s| s.from);
    let end = stretches.last().map_or(to, |s| s.to);
    let by = |unit| parts(begin, end, unit, &settings.zone).into_iter().map(|(a, b)| share(a, b)).collect();
    let touches = |e: &&Exclusion| e.from < end && e.to > begin;
    Availability {
        target: target.to_owned(),
        required: settings.required,
        rounds: rounds.len() as u64,
        failed: rounds.iter().filter(|(_, ok)| !ok).count() as u64,
        total: share(begin, end),
        hours: by(Unit::Hour),
        days: by(Unit::Day),
        months: by(Unit::Month),
        exclusions: settings.exclusions.iter().filter(touches).cloned().collect(),
    }
}

/// Probes of one instant are one round; one that failed fails it.
fn rounds<'a>(probes: impl Iterator<Item = &'a Probe>) -> Vec<(Timestamp, bool)> {
    let mut rounds: Vec<(Timestamp, bool)> = Vec::new();
    for probe in probes {
        match rounds.last_mut() {
            Some((t, ok)) if *t == probe.t => *ok &= probe.ok,
            _ => rounds.push((probe.t, probe.ok)),
        }
    }
    rounds.sort_by_key(|(t, _)| *t);
    rounds
}

/// A round speaks for the time until the next one, but not for more than two periods.
fn stretches(rounds: &[(Timestamp, bool)], to: Timestamp, every: SignedDuration) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(rounds.len());
    for (at, (t, ok)) in rounds.iter().enumerate() {
        let is = if *ok { Was::Up } else { Was::Down };
        let next = rounds.get(at + 1).map(|(next, _)| *next);
        let reach = later(*t, if next.is_some() { every * 2 } else { every });
        let end = next.map_or(reach, |next| next.min(reach)).min(to.max(*t));
        stretches.push(Stretch { from: *t, to: end, is });
        if let Some(next) = next.filter(|next| *next > end) {
            stretches.push(Stretch { from: end, to: next, is: Was::Unmeasured });
        }
    }
    stretches
}

fn share(from: Timestamp, to: Timestamp, stretches: &[Stretch], settings: &Settings) -> Share {
    let excluded = merged(&settings.exclusions);
    let (mut up, mut down, mut unmeasured, mut left_out) = (0, 0, 0, 0);
    let first = stretches.partition_point(|s| s.to <= from);
    for stretch in stretches.iter().skip(first).take_while(|s| s.from < to) {
        let (a, b) = (stretch.from.max(from), stretch.to.min(to));
        let whole = millis(a, b);
        let out: u64 = excluded.iter().map(|(x, y)| millis(a.max(*x), b.min(*y))).sum();
        left_out += out;
        match stretch.is {
            Was::Up => up += whole - out,
            Was::Down => down += whole - out,
            Was::Unmeasured => unmeasured += whole - out,
        }
    }
    let counted = up + down + unmeasured;
    let percent = (counted > 0).then(|| up as f64 * 100.0 / counted as f64);
    Share {
        from,
        to,
        up_ms: up,
        down_ms: down,
        unmeasured_ms: unmeasured,
        excluded_ms: left_out,
        percent,
        met: percent.map(|p| p >= settings.required),
    }
}

/// Exclusions in order, those that touch joined: nothing is left out twice.
fn merged(exclusions: &[Exclusion]) -> Vec<(Timestamp, Timestamp)> {
    let mut all: Vec<_> = exclusions.iter().map(|e| (e.from, e.to)).collect();
    all.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (from, to) in all {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// The hours, days or months of the zone between two instants.
fn parts(from: Timestamp, to: Timestamp, unit: Unit, zone: &TimeZone) -> Vec<(Timestamp, Timestamp)> {
    let mut parts = Vec::new();
    let mut begin = from;
    while begin < to && parts.len() < PARTS_MAX {
        let end = following(&begin.to_zoned(zone.clone()), unit).filter(|end| *end > begin).unwrap_or(to);
        parts.push((begin, end.min(to)));
        begin = end;
    }
    parts
}

/// When the unit after the one that `instant` lies in begins.
fn following(instant: &Zoned, unit: Unit) -> Option<Timestamp> {
    let next = match unit {
        Unit::Hour => {
            // Not by the wall clock: an hour that comes twice is two hours.
            let second = instant.timestamp().as_second();
            let offset = i64::from(instant.offset().seconds());
            let into = (second + offset).rem_euclid(3600);
            return Timestamp::from_second(second - into + 3600).ok();
        }
        Unit::Day => instant.start_of_day().ok()?.checked_add(1.day()).ok()?,
        _ => instant.first_of_month().ok()?.start_of_day().ok()?.checked_add(1.month()).ok()?,
    };
    Some(next.timestamp())
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.checked_add(by).unwrap_or(instant)
}

/// A year of hours.
const PARTS_MAX: usize = 9_000;
