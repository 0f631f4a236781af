//! Today's figures as they change, for who looks at them now.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasherDefault;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Fact, Seen};
use super::line::Hours;
use super::page::Kind;
use super::query::Class;
use super::reader::AsIs;
use super::store::Store;
use super::{LOCAL, text};

/// Who reads what, as counted now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Today, in the zone of the election.
    pub day: String,
    /// Today's figures by class: `human`, `robot`, `monitor`, `internal`.
    pub today: BTreeMap<String, Counted>,
    /// The last sixty minutes of people, oldest first, without those in which nobody came.
    pub minutes: Vec<Minute>,
    /// People whose last hit is less than five minutes old.
    pub present: u64,
    /// Most asked pages and views of people today, most asked first.
    pub pages: Vec<(String, u64)>,
    /// Hits that found no room on their way to the log since the start.
    pub lost: u64,
    /// The last time the statistics were written down.
    pub settled: Option<Timestamp>,
}

/// Figures as in `docs/STATISTICS.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "defined in docs/STATISTICS.md")]
pub struct Counted {
    pub hits: u64,
    pub valid: u64,
    pub pages: u64,
    pub views: u64,
    pub visits: u64,
    pub visitors: u64,
    pub bytes: u64,
}

/// One minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Its beginning.
    pub from: Timestamp,
    /// What happened in it; visits and visitors are not counted by the minute.
    pub counted: Counted,
}

/// Today.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// When the figures were written down.
    pub(super) settled: Option<i64>,
    midnight: i64,
    classes: [Counted; 4],
    visitors: HashSet<u64, BuildHasherDefault<AsIs>>,
    minutes: BTreeMap<i64, Counted>,
    /// Times that people asked for a path, by its number.
    paths: Vec<u64>,
}

impl Live {
    /// Today as far as it is on disk.
    pub(super) fn seed(
        store: &Store,
        engine: &Engine,
        hours: &mut Hours,
        now: i64,
    ) -> rusqlite::Result<Self> {
        let midnight = hours.midnight(now);
        let mut live = Self { midnight, ..Self::default() };
        for ((minute, class), counts) in store.minutes(LOCAL, midnight, i64::MAX)? {
            let counted = Counted {
                hits: counts.hits,
                valid: counts.valid,
                pages: counts.pages,
                views: counts.views,
                bytes: counts.bytes,
                ..Counted::default()
            };
            if let Some(own) = live.classes.get_mut(class as usize) {
                add(own, &counted);
            }
            if class == Class::Human && minute * 60 + SHOWN_SECONDS >= now {
                live.minutes.insert(minute, counted);
            }
        }
        for session in store.sessions(LOCAL, midnight, i64::MAX)? {
            let is_new = live.visitors.insert(session.visitor);
            let own = live.classes.get_mut(session.class as usize);
            if let Some(own) = own {
                own.visitors += u64::from(is_new);
                own.visits += u64::from(session.began.is_some_and(|began| began >= midnight));
            }
        }
        live.paths = vec![0; engine.paths().len()];
        for (number, asked) in store.asked(LOCAL, midnight, i64::MAX)? {
            if let Some(count) = live.paths.get_mut(number) {
                *count += asked.pages + asked.views;
            }
        }
        Ok(live)
    }

    /// Counts a hit.
    pub(super) fn hit(&mut self, fact: &Fact<'_>, seen: &Seen, hours: &mut Hours) {
        if fact.at < self.midnight {
            return;
        }
        if fact.at >= self.midnight + SHORTEST_DAY_SECONDS {
            let midnight = hours.midnight(fact.at);
            if midnight > self.midnight {
                let minutes = std::mem::take(&mut self.minutes);
                *self = Self { midnight, minutes, settled: self.settled, ..Self::default() };
            }
        }
        let counted = Counted {
            hits: 1,
            valid: u64::from((200..300).contains(&fact.status) || fact.status == 304),
            pages: u64::from(seen.kind == Kind::Page),
            views: u64::from(seen.kind == Kind::View),
            bytes: fact.sent,
            ..Counted::default()
        };
        let is_new = self.visitors.len() < VISITORS_MAX && self.visitors.insert(fact.visitor);
        if let Some(own) = self.classes.get_mut(fact.class as usize) {
            add(own, &counted);
            own.visits += u64::from(seen.visit_begins);
            own.visitors += u64::from(is_new);
        }
        if fact.class != Class::Human {
            return;
        }
        let minute = fact.at.div_euclid(60);
        if let Some(own) = self.minutes.get_mut(&minute) {
            add(own, &counted);
        } else {
            self.minutes.insert(minute, counted);
            self.minutes = self.minutes.split_off(&(minute - SHOWN_SECONDS / 60 + 1));
        }
        if let Some(number) = seen.number.and_then(|n| usize::try_from(n).ok()) {
            if self.paths.len() <= number {
                self.paths.resize(number + 1, 0);
            }
            if let Some(count) = self.paths.get_mut(number) {
                *count += 1;
            }
        }
    }

    /// What is shown.
    pub(super) fn traffic(&self, engine: &Engine, hours: &mut Hours, now: i64) -> Traffic {
        let is_today = self.midnight == hours.midnight(now);
        let today = Class::ALL.iter().map(|(class, name)| {
            let counted = self.classes.get(*class as usize).copied().filter(|_| is_today);
            ((*name).to_owned(), counted.unwrap_or_default())
        });
        let is_present =
            |s: &&super::engine::Session| s.class == Class::Human && s.last + PRESENT_SECONDS > now;
        let mut pages: Vec<(String, u64)> = if is_today {
            let named = engine.paths().iter().zip(&self.paths);
            named.filter(|(_, count)| **count > 0).map(|(path, count)| (text(path), *count)).collect()
        } else {
            Vec::new()
        };
        pages.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        pages.truncate(PAGES_SHOWN);
        let from = now.div_euclid(60) - SHOWN_SECONDS / 60;
        let minutes = self.minutes.range(from + 1..).filter_map(|(minute, counted)| {
            Some(Minute { from: Timestamp::from_second(minute * 60).ok()?, counted: *counted })
        });
        Traffic {
            day: hours.day(now).to_string(),
            today: today.collect(),
            minutes: minutes.collect(),
            present: engine.open().filter(is_present).count() as u64,
            pages,
            lost: 0,
            settled: self.settled.and_then(|at| Timestamp::from_second(at).ok()),
        }
    }
}

fn add(own: &mut Counted, more: &Counted) {
    own.hits += more.hits;
    own.valid += more.valid;
    own.pages += more.pages;
    own.views += more.views;
    own.bytes += more.bytes;
}

/// Minutes that are shown.
const SHOWN_SECONDS: i64 = 3600;
/// Who came in this time is there.
const PRESENT_SECONDS: i64 = 300;
const PAGES_SHOWN: usize = 20;
/// Before this no day is over, whatever becomes of its summer time.
const SHORTEST_DAY_SECONDS: i64 = 20 * 3600;
/// Visitors of a day that are told apart here: 64 MB. On disk all are.
const VISITORS_MAX: usize = 4_000_000;
