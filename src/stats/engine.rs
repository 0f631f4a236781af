//! The one place where lines become figures: as they are written, and again when the log is read.
//!
//! Whatever is counted here depends on the lines, their order and [`Bounds`], and on nothing else: no clock, no
//! address that the log does not hold. So the figures of a running service and those made again from its log are
//! the same. What was counted since the last [`Engine::take`] waits to be added to what is on disk; the
//! sessions that are under way stay.

use std::collections::{BTreeMap, HashMap};

use super::line::Line;
use super::page::{self, Kind};
use super::query::Class;
use super::reader::Keyed;

/// What the engine may hold, and when a visit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions under way; who comes when there are as many is counted in hits, not in visits.
    pub sessions: usize,
    /// Paths counted by themselves; the others are counted together.
    pub paths: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sessions: 1_000_000, paths: 10_000 }
    }
}

/// What the engine takes of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact<'a> {
    pub(super) at: i64,
    pub(super) visitor: u64,
    pub(super) class: Class,
    pub(super) status: u16,
    pub(super) sent: u64,
    pub(super) is_get: bool,
    pub(super) target: &'a [u8],
}

impl<'a> Fact<'a> {
    pub(super) fn of(line: &'a Line<'_>) -> Self {
        Self {
            at: line.at,
            visitor: line.visitor,
            class: line.class,
            status: line.status,
            sent: line.sent,
            is_get: &*line.method == b"GET",
            target: &line.target,
        }
    }
}

/// Figures of a minute and a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) valid: u64,
    pub(super) pages: u64,
    pub(super) views: u64,
    pub(super) bytes: u64,
    /// By hundred of the status, from 1xx.
    pub(super) statuses: [u64; 5],
    /// Hits of whom there was no room to follow.
    pub(super) untracked: u64,
}

/// How often a path was asked for in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) pages: u64,
    pub(super) views: u64,
}

/// Hits of one reader with no gap of more than half an hour between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    pub(super) first: i64,
    pub(super) visitor: u64,
    pub(super) class: Class,
    pub(super) last: i64,
    /// The first page or view, with which a visit begins; without one it is none.
    pub(super) began: Option<i64>,
    /// Hits from there on.
    pub(super) hits: u32,
}

/// What was counted since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) minutes: BTreeMap<(i64, Class), Counts>,
    /// By minute, class and number of the path.
    pub(super) asked: HashMap<(i64, Class, u32), Asked>,
    pub(super) ended: Vec<Session>,
    /// By minute: hits lost, and lines that are none.
    pub(super) lost: BTreeMap<i64, u64>,
    pub(super) bad: BTreeMap<i64, u64>,
}

/// What a hit was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// The number of its path, if it was a page or a view.
    pub(super) number: Option<u32>,
    /// Whether a visit began with it.
    pub(super) visit_begins: bool,
}

/// The engine.
#[derive(Debug)]
pub(super) struct Engine {
    bounds: Bounds,
    minute: i64,
    open: Keyed<Session>,
    paths: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
    delta: Delta,
    /// The row of the minute and class that was counted in last.
    row: ((i64, Class), Counts),
    until: Option<i64>,
}

impl Engine {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            minute: i64::MIN,
            open: Keyed::default(),
            paths: Vec::new(),
            numbers: HashMap::new(),
            delta: Delta::default(),
            row: ((i64::MIN, Class::Human), Counts::default()),
            until: None,
        }
    }

    /// One that goes on where another stopped.
    pub(super) fn resumed(
        bounds: Bounds,
        paths: Vec<Vec<u8>>,
        open: Vec<Session>,
        until: Option<i64>,
    ) -> Self {
        let mut engine = Self::new(bounds);
        engine.numbers = paths.iter().cloned().zip(0..).collect();
        engine.paths = paths;
        engine.open = open.into_iter().map(|session| (session.visitor, session)).collect();
        engine.minute = until.map_or(i64::MIN, |until| until.div_euclid(60));
        engine.until = until;
        engine
    }

    /// Counts a hit, and says what it was.
    pub(super) fn hit(&mut self, fact: &Fact<'_>) -> Seen {
        let minute = fact.at.div_euclid(60);
        if minute > self.minute {
            self.minute = minute;
            self.sweep(fact.at);
        }
        self.until = self.until.max(Some(fact.at));
        let is_answer = matches!(fact.status, 200 | 304) && fact.is_get;
        let path = page::path(fact.target);
        let kind = if is_answer { page::kind(path) } else { Kind::Other };
        let (is_tracked, visit_begins) = self.follow(fact, kind != Kind::Other);
        let key = (minute, fact.class);
        if self.row.0 != key {
            self.put_row();
            self.row = (key, Counts::default());
        }
        let row = &mut self.row.1;
        row.hits += 1;
        row.bytes += fact.sent;
        row.valid += u64::from((200..300).contains(&fact.status) || fact.status == 304);
        row.pages += u64::from(kind == Kind::Page);
        row.views += u64::from(kind == Kind::View);
        row.untracked += u64::from(!is_tracked);
        if let Some(count) = row.statuses.get_mut(usize::from(fact.status / 100).saturating_sub(1)) {
            *count += 1;
        }
        let mut number = None;
        if kind != Kind::Other {
            let own = self.number(page::counted(path));
            let asked = self.delta.asked.entry((minute, fact.class, own)).or_default();
            asked.pages += u64::from(kind == Kind::Page);
            asked.views += u64::from(kind == Kind::View);
            number = Some(own);
        }
        Seen { kind, number, visit_begins }
    }

    /// Counts hits that never became lines.
    pub(super) fn lost(&mut self, at: i64, count: u64) {
        self.until = self.until.max(Some(at));
        *self.delta.lost.entry(at.div_euclid(60)).or_default() += count;
    }

    /// Counts a line that is none, at the hour of the last good one.
    pub(super) fn bad(&mut self) {
        let minute = self.until.map_or(0, |until| until.div_euclid(60));
        *self.delta.bad.entry(minute).or_default() += 1;
    }

    /// The session that a hit belongs to, or a new one. Whether there was room for it, and whether a visit
    /// began with the hit.
    fn follow(&mut self, fact: &Fact<'_>, begins: bool) -> (bool, bool) {
        let Fact { at, visitor, class, .. } = *fact;
        let new = Session {
            first: at,
            visitor,
            class,
            last: at,
            began: begins.then_some(at),
            hits: u32::from(begins),
        };
        let full = self.open.len() >= self.bounds.sessions;
        let Some(session) = self.open.get_mut(&visitor) else {
            if !full {
                self.open.insert(visitor, new);
            }
            return (!full, begins && !full);
        };
        let mut is_first = begins;
        if at > session.last + GAP_SECONDS {
            self.delta.ended.push(std::mem::replace(session, new));
        } else if at + GAP_SECONDS < session.first {
            // Written down half an hour late: it joins nothing.
            self.delta.ended.push(new);
        } else {
            session.first = session.first.min(at);
            session.last = session.last.max(at);
            is_first &= session.began.is_none();
            if session.began.is_some() || begins {
                session.began = session.began.or(Some(at));
                session.hits = session.hits.saturating_add(1);
            }
        }
        (true, is_first)
    }

    /// Ends what no hit can join any more.
    fn sweep(&mut self, now: i64) {
        let ended = &mut self.delta.ended;
        self.open.retain(|_, session| {
            let is_open = session.last + GAP_SECONDS >= now;
            if !is_open {
                ended.push(*session);
            }
            is_open
        });
    }

    /// The number of a path; beyond the bound all share one.
    fn number(&mut self, path: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let path = if self.paths.len() < self.bounds.paths { path } else { OTHER_PATHS };
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        self.paths.push(path.to_vec());
        self.numbers.insert(path.to_vec(), number);
        number
    }

    fn put_row(&mut self) {
        let (key, counts) = self.row;
        if counts.hits > 0 {
            self.delta.minutes.entry(key).or_default().add(&counts);
        }
        self.row.1 = Counts::default();
    }

    /// What was counted since this was last asked.
    pub(super) fn take(&mut self) -> Delta {
        self.put_row();
        std::mem::take(&mut self.delta)
    }

    /// Gives back what could not be written down.
    pub(super) fn give_back(&mut self, delta: Delta) {
        let mut newer = std::mem::replace(&mut self.delta, delta);
        let held = &mut self.delta;
        newer.minutes.iter().for_each(|(key, counts)| held.minutes.entry(*key).or_default().add(counts));
        for (key, asked) in newer.asked {
            let own = held.asked.entry(key).or_default();
            (own.pages, own.views) = (own.pages + asked.pages, own.views + asked.views);
        }
        held.ended.append(&mut newer.ended);
        newer.lost.into_iter().for_each(|(minute, n)| *held.lost.entry(minute).or_default() += n);
        newer.bad.into_iter().for_each(|(minute, n)| *held.bad.entry(minute).or_default() += n);
    }

    /// Paths by their numbers.
    pub(super) fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    /// Sessions that a hit may still join.
    pub(super) fn open(&self) -> impl Iterator<Item = &Session> {
        self.open.values()
    }

    /// The second of the last line.
    pub(super) fn until(&self) -> Option<i64> {
        self.until
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.valid += other.valid;
        self.pages += other.pages;
        self.views += other.views;
        self.bytes += other.bytes;
        self.untracked += other.untracked;
        for (own, other) in self.statuses.iter_mut().zip(other.statuses) {
            *own += other;
        }
    }
}

/// A hit that comes later than this after the one before begins a new visit: Matomo's and most others' half
/// hour. AWStats has an hour.
pub(super) const GAP_SECONDS: i64 = 30 * 60;
/// What is counted together beyond the bound. No path begins so.
pub(super) const OTHER_PATHS: &[u8] = b"*";

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(at: i64, visitor: u64, target: &'static str) -> Fact<'static> {
        Fact {
            at,
            visitor,
            class: Class::Human,
            status: 200,
            sent: 10,
            is_get: true,
            target: target.as_bytes(),
        }
    }

    fn sessions(engine: &mut Engine) -> Vec<Session> {
        let mut all: Vec<_> = engine.open().copied().collect();
        all.extend(engine.take().ended);
        all.sort();
        all
    }

    #[test]
    fn a_visit_begins_with_a_page_or_a_view_and_ends_after_half_an_hour() {
        let mut engine = Engine::new(Bounds::default());
        for (at, target) in
            [(0, "/a.css"), (5, "/"), (5 + 1800, "/a.json"), (5 + 3601, "/x.js"), (5 + 3602, "/b.json")]
        {
            engine.hit(&fact(at, 1, target));
        }
        engine.hit(&fact(7, 2, "/a.css"));
        let own = |first, visitor, last, began, hits| Session {
            first,
            visitor,
            class: Class::Human,
            last,
            began,
            hits,
        };
        assert_eq!(
            sessions(&mut engine),
            [own(0, 1, 1805, Some(5), 2), own(7, 2, 7, None, 0), own(3606, 1, 3607, Some(3607), 1)]
        );
    }

    #[test]
    fn hits_are_counted_by_what_they_were() {
        let mut engine = Engine::new(Bounds::default());
        let base = fact(60, 1, "/");
        for fact in [
            base,
            Fact { status: 304, target: b"/a.json?x", ..base },
            Fact { status: 206, target: b"/a.json", ..base },
            Fact { is_get: false, ..base },
            Fact { status: 404, ..base },
            Fact { status: 308, ..base },
            Fact { target: b"/a.css", ..base },
            Fact { class: Class::Robot, visitor: 9, ..base },
        ] {
            engine.hit(&fact);
        }
        let delta = engine.take();
        let human = delta.minutes[&(1, Class::Human)];
        let expected = Counts {
            hits: 7,
            valid: 5,
            pages: 1,
            views: 1,
            bytes: 70,
            statuses: [0, 4, 2, 1, 0],
            untracked: 0,
        };
        assert_eq!(human, expected);
        assert_eq!(delta.minutes[&(1, Class::Robot)].hits, 1);
        assert_eq!(engine.paths(), [b"/".to_vec(), b"/a.json".to_vec()]);
        assert_eq!(delta.asked[&(1, Class::Human, 1)], Asked { pages: 0, views: 1 });
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_all_the_same() {
        let mut engine = Engine::new(Bounds { sessions: 2, paths: 1 });
        for visitor in 0..4 {
            engine.hit(&fact(0, visitor, ["/", "/b", "/c", "/d"][visitor as usize]));
        }
        assert_eq!(engine.paths(), [b"/".to_vec(), b"*".to_vec()]);
        let delta = engine.take();
        assert_eq!(delta.minutes[&(0, Class::Human)].untracked, 2);
        assert_eq!(delta.asked[&(0, Class::Human, 1)].pages, 3);
        // An hour later there is room again.
        engine.hit(&fact(3600, 7, "/"));
        assert_eq!(engine.take().minutes[&(60, Class::Human)].untracked, 0);
    }

    #[test]
    fn where_the_counting_was_interrupted_makes_no_difference() {
        let facts: Vec<_> = (0..5000_i64)
            .map(|n| {
                let at = n * 7 % 9000 + (n / 100) * 60;
                fact(at, (n * n % 37) as u64, ["/", "/a.json", "/x.css"][n as usize % 3])
            })
            .collect();
        let whole = |cut: Option<usize>| {
            let mut engine = Engine::new(Bounds::default());
            let mut minutes = BTreeMap::<_, Counts>::new();
            let mut all = Vec::new();
            for (n, fact) in facts.iter().enumerate() {
                if cut == Some(n) {
                    let delta = engine.take();
                    delta.minutes.iter().for_each(|(k, c)| minutes.entry(*k).or_default().add(c));
                    all.extend(delta.ended);
                    let open = engine.open().copied().collect();
                    engine =
                        Engine::resumed(Bounds::default(), engine.paths().to_vec(), open, engine.until());
                }
                engine.hit(fact);
            }
            all.extend(engine.open().copied());
            let delta = engine.take();
            delta.minutes.iter().for_each(|(k, c)| minutes.entry(*k).or_default().add(c));
            all.extend(delta.ended);
            all.sort();
            (minutes, all)
        };
        let expected = whole(None);
        for cut in [0, 1, 2500, 4999] {
            assert_eq!(whole(Some(cut)), expected, "{cut}");
        }
    }
}
