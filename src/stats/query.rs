//! What may be asked of the statistics, and what is answered.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::engine::{Asked, Bounds, Counts, Engine, Fact, GAP_SECONDS, Session};
use super::line::Read;
use super::page::PageName;
use super::store::{self, Store};
use super::{FOLDER, LOCAL, shelf_of, text};

/// Who asks. Figures are of people; the rest is shown apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A reader.
    #[default]
    Human,
    /// A crawler, a preview, a library.
    Robot,
    /// The institute's checker, our own probe: once a minute is 1,440 pages a day.
    Monitor,
    /// The difusor's own networks.
    Internal,
}

impl Class {
    /// All, with their names in the log and in JSON.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Human, "human"),
        (Self::Robot, "robot"),
        (Self::Monitor, "monitor"),
        (Self::Internal, "internal"),
    ];

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).map_or("", |(_, name)| name)
    }

    /// The class of that name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.as_bytes() == name).map(|(class, _)| *class)
    }
}

/// A stretch of time, from the first second in it to the first one behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What people call it; may be empty.
    pub name: String,
    /// First second.
    pub from: Timestamp,
    /// First second that is not in it.
    pub to: Timestamp,
    /// IANA name of the zone whose days and hours are counted.
    pub zone: String,
}

/// Figures of one class in one stretch of time (definitions: docs/STATISTICS.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Answered requests of any status (hits, accesos).
    pub hits: u64,
    /// Of these, 2xx and 304 (hits válidos).
    pub valid: u64,
    /// Valid hits that are no pages (hits of resources: Quintana Roo's glossary).
    pub resources: u64,
    /// HTML documents (GET, 200 or 304).
    pub pages: u64,
    /// Data of results (GET of JSON, 200 or 304): a page of an application that asks for no HTML.
    pub views: u64,
    /// Visits that began.
    pub visits: u64,
    /// Distinct pairs of address and agent.
    pub visitors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

/// An hour, a day or a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its first second that lies in the window.
    pub from: Timestamp,
    /// People in it.
    pub people: Totals,
}

/// How long visits lasted: last hit less first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    /// Visits of one hit: nothing can be said of them.
    pub unknown: u64,
    /// The others.
    pub known: u64,
    /// Mean of the others.
    pub mean_seconds: Option<f64>,
    /// Median of the others.
    pub median_seconds: Option<u64>,
    /// The others by length.
    pub buckets: Vec<Bucket>,
}

/// Visits of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// From this length on,
    pub from_seconds: u64,
    /// up to just below this; none for the last bucket.
    pub to_seconds: Option<u64>,
    /// so many.
    pub visits: u64,
}

/// A page or a view, and how often people asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCount {
    /// What people call it; the path where nobody gave it a name.
    pub name: String,
    /// The paths behind it, most asked first; a few of them.
    pub paths: Vec<String>,
    /// Times asked for as an HTML document.
    pub pages: u64,
    /// Times asked for as data.
    pub views: u64,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which window.
    pub window: Window,
    /// Where the lines come from: `local`, or the name of an import.
    pub source: String,
    /// People.
    pub people: Totals,
    /// Every class.
    pub classes: BTreeMap<Class, Totals>,
    /// How long people stayed.
    pub stay: Stay,
    /// Hour by hour, empty ones too.
    pub hours: Vec<Slot>,
    /// Day by day, empty ones too.
    pub days: Vec<Slot>,
    /// The hour with most hits of people.
    pub peak_hour: Option<Slot>,
    /// The minute with most hits of people.
    pub peak_minute: Option<Slot>,
    /// Pages and views, most asked first.
    pub pages: Vec<PageCount>,
    /// Answers to people by hundred of their status: `2xx`.
    pub statuses: BTreeMap<String, u64>,
    /// Hits that found no room on their way to the log.
    pub lost: u64,
    /// Lines of the log that could not be read.
    pub bad: u64,
    /// Hits of whom there was no room to follow: they are in no visit.
    pub untracked: u64,
    /// The last line that is in these figures.
    pub until: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No statistics have been kept here.
    #[error("there are no statistics here")]
    Nothing,
    /// The zone of the window has no tables.
    #[error("unknown zone {0}")]
    Zone(String),
    /// It ends before it begins, or is longer than any election.
    #[error("the window is empty, or longer than {WINDOW_DAYS_MAX} days")]
    Window,
    /// The window begins or ends within a minute whose lines are gone.
    #[error("the log does not reach back to {0}: windows of whole minutes can still be counted")]
    Gone(Timestamp),
    /// The file of the statistics.
    #[error("the statistics cannot be read: {0}")]
    Store(#[from] rusqlite::Error),
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
}

/// The figures of a window, from the statistics beneath `var` as they were last written down; a
/// service that runs does so when it is asked to (`control::Request::Settle`).
pub fn query(var: &Path, window: &Window) -> Result<Summary, QueryError> {
    query_source(var, window, LOCAL, None)
}

/// The same of one source, `local` or an import, with other names of pages than those that are kept.
pub fn query_source(
    var: &Path,
    window: &Window,
    source: &str,
    names: Option<&[PageName]>,
) -> Result<Summary, QueryError> {
    let zone = TimeZone::get(&window.zone).map_err(|_| QueryError::Zone(window.zone.clone()))?;
    let (from, to) = (window.from.as_second(), window.to.as_second());
    if to <= from || to - from > WINDOW_DAYS_MAX * 86_400 {
        return Err(QueryError::Window);
    }
    let store = Store::open_to_read(&var.join(FOLDER).join(store::FILE))?.ok_or(QueryError::Nothing)?;
    let kept;
    let names = match names {
        Some(names) => names,
        None => {
            kept = store.names()?;
            &kept
        }
    };
    let gathered = gather(var, &store, source, (from, to))?;
    Ok(summed(window, source, &zone, &gathered, names))
}

/// People in each minute of a window of our own log. Who was there in a minute is told by the visits that it
/// lies in: for a chart, not for a sum.
pub fn minutes(var: &Path, window: &Window) -> Result<Vec<Slot>, QueryError> {
    let (from, to) = (window.from.as_second(), window.to.as_second());
    if to <= from || to - from > MINUTES_MAX * 60 {
        return Err(QueryError::Window);
    }
    let store = Store::open_to_read(&var.join(FOLDER).join(store::FILE))?.ok_or(QueryError::Nothing)?;
    let gathered = gather(var, &store, LOCAL, (from, to))?;
    Ok(slots(&gathered, (from, to), starts(from, to, |second| second.div_euclid(60) * 60 + 60)))
}

/// Names of all sources there are figures of, `local` first.
pub fn sources(var: &Path) -> Result<Vec<String>, QueryError> {
    let store = Store::open_to_read(&var.join(FOLDER).join(store::FILE))?.ok_or(QueryError::Nothing)?;
    Ok(store.sources()?)
}

/// Everything there is of a window.
struct Gathered {
    minutes: BTreeMap<(i64, Class), Counts>,
    /// Of people, by path.
    asked: BTreeMap<Vec<u8>, Asked>,
    sessions: Vec<Session>,
    /// Every visitor of a window that is shorter than a visit may pause.
    visitors: Option<HashSet<(u64, Class)>>,
    lost: u64,
    bad: u64,
    until: Option<i64>,
}

/// Whole minutes are on disk; the seconds of a window before and behind them are counted from the log.
fn gather(var: &Path, store: &Store, source: &str, (from, to): (i64, i64)) -> Result<Gathered, QueryError> {
    let (first, last) = (from.saturating_add(59).div_euclid(60) * 60, to.div_euclid(60) * 60);
    let mut gathered = Gathered {
        minutes: BTreeMap::new(),
        asked: BTreeMap::new(),
        sessions: store.sessions(source, from, to)?,
        visitors: None,
        lost: 0,
        bad: 0,
        until: store.until(source)?,
    };
    if first < last {
        gathered.minutes.extend(store.minutes(source, first, last)?);
        let paths = store.paths(source)?;
        for (number, asked) in store.asked(source, first, last)? {
            let path = paths.get(number).cloned().unwrap_or_default();
            gathered.asked.insert(path, asked);
        }
        gathered.lost = store.odd(source, "lost", first, last)?;
        gathered.bad = store.odd(source, "bad", first, last)?;
    }
    let edges = if first < last { vec![(from, first), (last, to)] } else { vec![(from, to)] };
    for edge in edges.into_iter().filter(|(from, to)| from < to) {
        count_edge(var, store, source, edge, &mut gathered)?;
    }
    if to - from <= GAP_SECONDS {
        let mut visitors = HashSet::new();
        scan(var, store, source, (from, to), |fact| _ = visitors.insert((fact.visitor, fact.class)))?;
        gathered.visitors = Some(visitors);
    }
    Ok(gathered)
}

fn count_edge(
    var: &Path,
    store: &Store,
    source: &str,
    edge: (i64, i64),
    gathered: &mut Gathered,
) -> Result<(), QueryError> {
    let mut engine = Engine::new(Bounds { paths: usize::MAX, sessions: 0 });
    scan(var, store, source, edge, |fact| _ = engine.hit(fact))?;
    let delta = engine.take();
    for (key, counts) in &delta.minutes {
        gathered.minutes.entry(*key).or_default().add(counts);
    }
    for ((_, class, number), asked) in delta.asked {
        let path = usize::try_from(number).ok().and_then(|n| engine.paths().get(n)).cloned();
        if class == Class::Human {
            let own = gathered.asked.entry(path.unwrap_or_default()).or_default();
            (own.pages, own.views) = (own.pages + asked.pages, own.views + asked.views);
        }
    }
    Ok(())
}

/// Shows every hit of a stretch of the log.
fn scan(
    var: &Path,
    store: &Store,
    source: &str,
    (from, to): (i64, i64),
    mut see: impl FnMut(&Fact<'_>),
) -> Result<(), QueryError> {
    // What was counted in the minutes that the stretch lies in must still be there to be counted again.
    let whole = (from.div_euclid(60) * 60, to.saturating_add(59).div_euclid(60) * 60);
    let counted: u64 = store.minutes(source, whole.0, whole.1)?.iter().map(|(_, counts)| counts.hits).sum();
    let mut found = 0;
    shelf_of(var, source)?.read_between(whole.0, whole.1, |_, read| {
        if let Read::Hit(line) = read {
            found += u64::from(within(line.at, whole));
            if within(line.at, (from, to)) {
                see(&Fact::of(&line));
            }
        }
    })?;
    if found < counted {
        return Err(QueryError::Gone(Timestamp::from_second(from).unwrap_or_default()));
    }
    Ok(())
}

/// The answer, from what was gathered.
fn summed(
    window: &Window,
    source: &str,
    zone: &TimeZone,
    gathered: &Gathered,
    names: &[PageName],
) -> Summary {
    let range = (window.from.as_second(), window.to.as_second());
    let mut classes: BTreeMap<Class, Totals> =
        Class::ALL.iter().map(|(c, _)| (*c, Totals::default())).collect();
    let mut statuses = BTreeMap::new();
    let mut untracked = 0;
    for ((_, class), counts) in &gathered.minutes {
        if let Some(own) = classes.get_mut(class) {
            own.count(counts);
        }
        untracked += counts.untracked;
        if *class == Class::Human {
            for (n, count) in counts.statuses.iter().enumerate().filter(|(_, count)| **count > 0) {
                *statuses.entry(format!("{}xx", n + 1)).or_default() += count;
            }
        }
    }
    for (class, own) in &mut classes {
        let of_class = || gathered.sessions.iter().filter(|s| s.class == *class);
        own.visits = of_class().filter(|s| s.began.is_some_and(|at| within(at, range))).count() as u64;
        own.visitors = match &gathered.visitors {
            Some(all) => all.iter().filter(|(_, c)| c == class).count() as u64,
            None => of_class().map(|s| s.visitor).collect::<HashSet<_>>().len() as u64,
        };
    }
    let people = classes.get(&Class::Human).copied().unwrap_or_default();
    let hours = slots(gathered, range, hour_starts(zone, range));
    let days = slots(gathered, range, day_starts(zone, range));
    // The first of equals: hours are in order.
    let peak = |slots: &[Slot]| {
        slots.iter().rev().max_by_key(|slot| slot.people.hits).filter(|slot| slot.people.hits > 0).copied()
    };
    Summary {
        window: window.clone(),
        source: source.to_owned(),
        people,
        stay: stay(gathered.sessions.iter().filter(|s| s.class == Class::Human), range),
        peak_hour: peak(&hours),
        peak_minute: peak_minute(gathered, range),
        hours,
        days,
        pages: pages(&gathered.asked, names),
        statuses,
        lost: gathered.lost,
        bad: gathered.bad,
        untracked,
        until: gathered.until.and_then(|at| Timestamp::from_second(at).ok()),
        classes,
    }
}

fn within(at: i64, (from, to): (i64, i64)) -> bool {
    from <= at && at < to
}

impl Totals {
    fn count(&mut self, counts: &Counts) {
        self.hits += counts.hits;
        self.valid += counts.valid;
        self.resources += counts.valid - counts.pages;
        self.pages += counts.pages;
        self.views += counts.views;
        self.bytes += counts.bytes;
    }
}

/// The first seconds of the hours of a window; the first one is where it begins.
fn hour_starts(zone: &TimeZone, (from, to): (i64, i64)) -> Vec<i64> {
    let into_hour = |second: i64| {
        let zoned = Timestamp::from_second(second).unwrap_or_default().to_zoned(zone.clone());
        i64::from(zoned.minute()) * 60 + i64::from(zoned.second())
    };
    starts(from, to, |second| second - into_hour(second) + 3600)
}

/// The same for days.
fn day_starts(zone: &TimeZone, (from, to): (i64, i64)) -> Vec<i64> {
    starts(from, to, |second| {
        let zoned = Timestamp::from_second(second).unwrap_or_default().to_zoned(zone.clone());
        let next = zoned.tomorrow().and_then(|z| z.start_of_day());
        next.map_or(second + 86_400, |z| z.timestamp().as_second())
    })
}

fn starts(from: i64, to: i64, next: impl Fn(i64) -> i64) -> Vec<i64> {
    std::iter::successors(Some(from), |at| Some(next(*at).max(at + 1))).take_while(|at| *at < to).collect()
}

/// People in each stretch of a window.
fn slots(gathered: &Gathered, (from, to): (i64, i64), starts: Vec<i64>) -> Vec<Slot> {
    let mut totals = vec![Totals::default(); starts.len()];
    let mut visitors: Vec<HashSet<u64>> = vec![HashSet::new(); starts.len()];
    let slot_of = |at: i64| starts.partition_point(|start| *start <= at).saturating_sub(1);
    for ((minute, class), counts) in &gathered.minutes {
        // A slot that begins within a minute is the first one.
        if *class == Class::Human
            && let Some(own) = totals.get_mut(slot_of((minute * 60).max(from)))
        {
            own.count(counts);
        }
    }
    for session in gathered.sessions.iter().filter(|s| s.class == Class::Human) {
        if let Some(began) = session.began.filter(|at| within(*at, (from, to)))
            && let Some(own) = totals.get_mut(slot_of(began))
        {
            own.visits += 1;
        }
        let (first, last) = (session.first.max(from), session.last.min(to - 1));
        for own in visitors.get_mut(slot_of(first)..=slot_of(last)).unwrap_or_default() {
            own.insert(session.visitor);
        }
    }
    let stamped = starts.iter().zip(totals).zip(visitors);
    stamped
        .map(|((start, people), visitors)| Slot {
            from: Timestamp::from_second(*start).unwrap_or_default(),
            people: Totals { visitors: visitors.len() as u64, ..people },
        })
        .collect()
}

fn peak_minute(gathered: &Gathered, (from, to): (i64, i64)) -> Option<Slot> {
    let people = gathered.minutes.iter().rev().filter(|((_, class), _)| *class == Class::Human);
    let ((minute, _), counts) = people.max_by_key(|(_, counts)| counts.hits)?;
    let (start, end) = ((minute * 60).max(from), (minute * 60 + 60).min(to));
    let mut people = Totals::default();
    people.count(counts);
    let own = gathered.sessions.iter().filter(|s| s.class == Class::Human);
    people.visits = own.filter(|s| s.began.is_some_and(|at| within(at, (start, end)))).count() as u64;
    Some(Slot { from: Timestamp::from_second(start).unwrap_or_default(), people })
}

/// How long the visits that began in the window lasted, wherever they ended.
fn stay<'a>(people: impl Iterator<Item = &'a Session>, range: (i64, i64)) -> Stay {
    let mut stay = Stay::default();
    let mut lengths = Vec::new();
    for session in people {
        match session.began.filter(|at| within(*at, range)) {
            Some(_) if session.hits < 2 => stay.unknown += 1,
            Some(began) => lengths.push((session.last - began).unsigned_abs()),
            None => {}
        }
    }
    lengths.sort_unstable();
    stay.known = lengths.len() as u64;
    if !lengths.is_empty() {
        stay.mean_seconds = Some(lengths.iter().sum::<u64>() as f64 / lengths.len() as f64);
        let (low, high) = (lengths.get((lengths.len() - 1) / 2), lengths.get(lengths.len() / 2));
        // Of an even number the mean of the two in the middle, rounded down to the second.
        stay.median_seconds = low.zip(high).map(|(low, high)| u64::midpoint(*low, *high));
    }
    stay.buckets = BUCKET_STARTS
        .iter()
        .enumerate()
        .map(|(n, from)| {
            let to = BUCKET_STARTS.get(n + 1).copied();
            let visits = lengths.iter().filter(|l| *l >= from && to.is_none_or(|to| **l < to)).count();
            Bucket { from_seconds: *from, to_seconds: to, visits: visits as u64 }
        })
        .collect();
    stay
}

/// Paths by the names that people know, most asked first.
fn pages(asked: &BTreeMap<Vec<u8>, Asked>, names: &[PageName]) -> Vec<PageCount> {
    let mut named: BTreeMap<String, (Asked, Vec<(u64, String)>)> = BTreeMap::new();
    for (path, asked) in asked {
        let path = text(path);
        let name = names.iter().find_map(|name| name.of(&path)).unwrap_or_else(|| path.clone());
        let (own, paths) = named.entry(name).or_default();
        (own.pages, own.views) = (own.pages + asked.pages, own.views + asked.views);
        paths.push((asked.pages + asked.views, path));
    }
    let mut all: Vec<PageCount> = named
        .into_iter()
        .map(|(name, (asked, mut paths))| {
            paths.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let paths = paths.into_iter().take(PATHS_SHOWN).map(|(_, path)| path).collect();
            PageCount { name, paths, pages: asked.pages, views: asked.views }
        })
        .collect();
    all.sort_by(|a, b| (b.pages + b.views).cmp(&(a.pages + a.views)).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Longest window: a year and a leap day.
const WINDOW_DAYS_MAX: i64 = 366;
/// A day, minute by minute.
const MINUTES_MAX: i64 = 24 * 60;
/// AWStats' lengths of visits.
const BUCKET_STARTS: [u64; 7] = [0, 30, 120, 300, 900, 1800, 3600];
/// Paths shown behind one name.
const PATHS_SHOWN: usize = 5;
