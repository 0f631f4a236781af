//! Probes on disk: a file a day, bounded in size and number.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::Probe;
use crate::durable::Dir;

/// The files of probes, open for writing.
#[derive(Clone, Debug)]
pub struct Store {
    dir: Dir,
    zone: TimeZone,
    /// Days that are kept.
    days: i64,
}

impl Store {
    /// Keeps `days` days of probes in `dir`; days are those of `zone`.
    pub fn new(dir: Dir, zone: TimeZone, days: u32) -> Self {
        Self { dir, zone, days: i64::from(days.max(1)) }
    }

    /// Appends a round. A day that is larger than any honest day takes no more.
    pub fn keep(&self, round: &[Probe]) -> io::Result<()> {
        let Some(first) = round.first() else { return Ok(()) };
        let day = self.zone.to_datetime(first.t).date();
        let mut file = self.dir.append_file(name_of(day))?;
        if file.metadata()?.len() >= DAY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file of the day is full"));
        }
        let mut text = Vec::new();
        for probe in round {
            serde_json::to_writer(&mut text, probe)?;
            text.push(b'\n');
        }
        // One write: a crash leaves at worst one torn line, which readers pass over.
        file.write_all(&text)
    }

    /// Removes the days before the retention; gives how many.
    pub fn prune(&self, now: Timestamp) -> io::Result<usize> {
        let today = self.zone.to_datetime(now).date();
        let Ok(oldest) = today.checked_sub(self.days.days()) else { return Ok(0) };
        let old = days(&self.dir)?.into_iter().filter(|day| *day < oldest);
        old.map(|day| self.dir.remove_file(name_of(day)).map(|()| 1)).sum()
    }
}

/// The probes in `dir` from `from` until just before `to`, in the order in which they were made. Lines that
/// cannot be read are passed over.
pub fn probes(dir: &Dir, zone: &TimeZone, from: Timestamp, to: Timestamp) -> io::Result<Vec<Probe>> {
    let (first, last) = (zone.to_datetime(from).date(), zone.to_datetime(to).date());
    let mut found = Vec::new();
    for day in days(dir)?.into_iter().filter(|day| (first..=last).contains(day)) {
        let file = dir.open_file(name_of(day))?;
        let bounded = BufReader::new(file).take(DAY_BYTES_MAX + LINE_BYTES_MAX);
        for line in bounded.split(b'\n') {
            let probe: Option<Probe> = serde_json::from_slice(&line?).ok();
            found.extend(probe.filter(|p| p.t >= from && p.t < to));
        }
    }
    Ok(found)
}

/// The days there are files of, oldest first.
fn days(dir: &Dir) -> io::Result<Vec<Date>> {
    let listed = dir.list()?;
    let names = listed.iter().filter_map(|entry| entry.name.to_str()?.strip_suffix(SUFFIX));
    let mut days: Vec<Date> = names.filter_map(|name| name.parse().ok()).collect();
    days.sort();
    Ok(days)
}

fn name_of(day: Date) -> String {
    format!("{day}{SUFFIX}")
}

const SUFFIX: &str = ".jsonl";
/// Eight probes every ten seconds are 14 MB a day.
const DAY_BYTES_MAX: u64 = 64 << 20;
/// A line is some two hundred bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;
