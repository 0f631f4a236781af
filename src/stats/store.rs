//! The figures on disk: one SQLite file in WAL mode, which can be made again from the logs.
//!
//! Each source (our own log, or an import) has a place: how far its log has been counted. What was counted from
//! there on is added in one transaction that moves the place, and only if the place is where the counter
//! believes it: two processes of one instance, as there are for a moment at a restart, cannot count twice.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::engine::{Asked, Bounds, Counts, Delta, Engine, Session};
use super::page::PageName;
use super::query::Class;
use super::shelf::Place;
use crate::model::{Digest, Hasher};

/// The file beneath `var/stats`.
pub(super) const FILE: &str = "stats.sqlite";

/// The statistics on disk.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
}

/// What became of an attempt to write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is on disk.
    Yes,
    /// Somebody else has counted further, or again: what is on disk holds.
    Overtaken,
}

/// A source's counter as it is on disk.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) engine: Engine,
    pub(super) place: Option<Place>,
    /// The second at which it was written down.
    pub(super) settled: Option<i64>,
}

impl Store {
    /// Opens the file, making it where there is none.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What a power cut takes is counted again from the log.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    /// Opens the file to read it; `None` where there is none.
    pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Some(Self { connection }))
    }

    /// A source's counter where it was left; a new one for a source that is not known.
    pub(super) fn resume(&self, source: &str, bounds: Bounds) -> rusqlite::Result<Resumed> {
        let found = self
            .connection
            .query_row(
                "SELECT day, offset, open, until, settled FROM place WHERE source = ?1",
                [source],
                |row| {
                    let place = Place { day: row.get(0)?, offset: row.get::<_, i64>(1)?.unsigned_abs() };
                    let open: Vec<u8> = row.get(2)?;
                    Ok((place, open, row.get::<_, Option<i64>>(3)?, row.get(4)?))
                },
            )
            .optional()?;
        let Some((place, open, until, settled)) = found else {
            return Ok(Resumed { engine: Engine::new(bounds), place: None, settled: None });
        };
        let engine = Engine::resumed(bounds, self.paths(source)?, sessions(&open), until);
        Ok(Resumed { engine, place: Some(place), settled })
    }

    /// Adds what the engine has counted from `from` to `to`. What was taken from the engine is given back to
    /// it when the disk fails.
    pub(super) fn settle(
        &mut self,
        source: &str,
        engine: &mut Engine,
        (from, to): (Option<&Place>, &Place),
        now: i64,
    ) -> rusqlite::Result<Settled> {
        let delta = engine.take();
        let done = self.add(source, engine, &delta, (from, to), now);
        if done.is_err() {
            engine.give_back(delta);
        }
        done
    }

    fn add(
        &mut self,
        source: &str,
        engine: &Engine,
        delta: &Delta,
        (from, to): (Option<&Place>, &Place),
        now: i64,
    ) -> rusqlite::Result<Settled> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let held = tx
            .query_row("SELECT day, offset FROM place WHERE source = ?1", [source], |row| {
                Ok(Place { day: row.get(0)?, offset: row.get::<_, i64>(1)?.unsigned_abs() })
            })
            .optional()?;
        if held.as_ref() != from {
            return Ok(Settled::Overtaken);
        }
        {
            let mut minute = tx.prepare(ADD_MINUTE)?;
            for ((at, class), counts) in &delta.minutes {
                let [s1, s2, s3, s4, s5] = counts.statuses.map(int);
                minute.execute(params![
                    source,
                    at,
                    code(*class),
                    int(counts.hits),
                    int(counts.valid),
                    int(counts.pages),
                    int(counts.views),
                    int(counts.bytes),
                    s1,
                    s2,
                    s3,
                    s4,
                    s5,
                    int(counts.untracked)
                ])?;
            }
            let mut path = tx.prepare("INSERT OR IGNORE INTO path VALUES (?1, ?2, ?3)")?;
            let known: i64 =
                tx.query_row("SELECT count(*) FROM path WHERE source = ?1", [source], |row| row.get(0))?;
            let known = usize::try_from(known).unwrap_or(0);
            for (number, text) in engine.paths().iter().enumerate().skip(known) {
                path.execute(params![source, int(number as u64), text])?;
            }
            let mut asked = tx.prepare(ADD_ASKED)?;
            for ((at, class, number), counts) in &delta.asked {
                asked.execute(params![
                    source,
                    at,
                    number,
                    code(*class),
                    int(counts.pages),
                    int(counts.views)
                ])?;
            }
            let mut session = tx.prepare("INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            for one in &delta.ended {
                session.execute(params![
                    source,
                    one.first,
                    one.visitor.cast_signed(),
                    code(one.class),
                    one.last,
                    one.began,
                    one.hits
                ])?;
            }
            let mut odd = tx.prepare(ADD_ODD)?;
            let odds = [("lost", &delta.lost), ("bad", &delta.bad)];
            for (what, at, count) in odds.iter().flat_map(|(w, all)| all.iter().map(move |(a, n)| (w, a, n)))
            {
                odd.execute(params![source, at, what, int(*count)])?;
            }
            let open = blob(engine.open());
            tx.prepare("INSERT OR REPLACE INTO place VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
                source,
                to.day,
                int(to.offset),
                open,
                engine.until(),
                now
            ])?;
        }
        tx.commit()?;
        Ok(Settled::Yes)
    }

    /// Forgets a source.
    pub(super) fn forget(&mut self, source: &str) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        forget(&tx, source)?;
        tx.commit()
    }

    /// Puts one source in the place of another, in one step.
    pub(super) fn supersede(&mut self, source: &str, by: &str) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        forget(&tx, source)?;
        for table in TABLES {
            tx.execute(&format!("UPDATE {table} SET source = ?1 WHERE source = ?2"), [source, by])?;
        }
        tx.commit()
    }

    /// Where a source stands, and everything that was counted of it in one sum: equal counts have equal
    /// sums, wherever the counting was interrupted.
    pub(super) fn state(&self, source: &str) -> rusqlite::Result<Option<(Place, Digest)>> {
        // One transaction: nobody writes between two of these looks.
        self.connection.execute_batch("BEGIN")?;
        let state = self.state_now(source);
        self.connection.execute_batch("COMMIT")?;
        state
    }

    fn state_now(&self, source: &str) -> rusqlite::Result<Option<(Place, Digest)>> {
        let place = self
            .connection
            .query_row("SELECT day, offset FROM place WHERE source = ?1", [source], |row| {
                Ok(Place { day: row.get(0)?, offset: row.get::<_, i64>(1)?.unsigned_abs() })
            })
            .optional()?;
        let Some(place) = place else { return Ok(None) };
        let mut sum = Hasher::new();
        for row in self.minutes(source, i64::MIN, i64::MAX)? {
            sum.update(format!("{row:?}\n").as_bytes());
        }
        let mut asked = self.connection.prepare(
            "SELECT minute, class, path.path, pages, views FROM asked
             JOIN path ON path.source = asked.source AND path.number = asked.path
             WHERE asked.source = ?1 ORDER BY minute, class, path.path",
        )?;
        let mut rows = asked.query([source])?;
        while let Some(row) = rows.next()? {
            let path: Vec<u8> = row.get(2)?;
            let numbers: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?];
            sum.update(format!("{numbers:?} {path:?}\n").as_bytes());
        }
        let mut sessions = self.sessions(source, i64::MIN, i64::MAX)?;
        sessions.sort_unstable();
        for session in sessions {
            sum.update(format!("{session:?}\n").as_bytes());
        }
        for what in ["lost", "bad"] {
            sum.update(format!("{what} {}\n", self.odd(source, what, i64::MIN, i64::MAX)?).as_bytes());
        }
        Ok(Some((place, sum.finish())))
    }

    /// The first minute that anything was counted in, as its second.
    pub(super) fn since(&self, source: &str) -> rusqlite::Result<Option<i64>> {
        let first = "SELECT min(minute) * 60 FROM minute WHERE source = ?1";
        self.connection.query_row(first, [source], |row| row.get(0))
    }

    /// Sessions of a source that have a hit at or after `from` and one before `to`, those under way too.
    pub(super) fn sessions(&self, source: &str, from: i64, to: i64) -> rusqlite::Result<Vec<Session>> {
        let mut statement = self.connection.prepare(
            "SELECT first, visitor, class, last, began, hits FROM session WHERE source = ?1 AND first < ?3 AND last >= ?2",
        )?;
        let rows = statement.query_map(params![source, from, to], |row| {
            Ok(Session {
                first: row.get(0)?,
                visitor: row.get::<_, i64>(1)?.cast_unsigned(),
                class: class(row.get(2)?),
                last: row.get(3)?,
                began: row.get(4)?,
                hits: row.get(5)?,
            })
        })?;
        let mut all = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let open = self
            .connection
            .query_row("SELECT open FROM place WHERE source = ?1", [source], |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let under_way = open.iter().flat_map(|open| sessions(open));
        all.extend(under_way.filter(|session| session.first < to && session.last >= from));
        Ok(all)
    }

    /// Figures of the minutes from one second to another, both of which begin one.
    pub(super) fn minutes(
        &self,
        source: &str,
        from: i64,
        to: i64,
    ) -> rusqlite::Result<Vec<((i64, Class), Counts)>> {
        let mut statement = self.connection.prepare(
            "SELECT minute, class, hits, valid, pages, views, bytes, s1, s2, s3, s4, s5, untracked FROM minute
             WHERE source = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute, class",
        )?;
        let rows = statement.query_map(params![source, minute_from(from), minute_from(to)], |row| {
            let number = |n| row.get::<_, i64>(n).map(i64::unsigned_abs);
            let counts = Counts {
                hits: number(2)?,
                valid: number(3)?,
                pages: number(4)?,
                views: number(5)?,
                bytes: number(6)?,
                statuses: [number(7)?, number(8)?, number(9)?, number(10)?, number(11)?],
                untracked: number(12)?,
            };
            Ok(((row.get(0)?, class(row.get(1)?)), counts))
        })?;
        rows.collect()
    }

    /// How often people asked for each path, by its number.
    pub(super) fn asked(&self, source: &str, from: i64, to: i64) -> rusqlite::Result<Vec<(usize, Asked)>> {
        let mut statement = self.connection.prepare(
            "SELECT path, sum(pages), sum(views) FROM asked
             WHERE source = ?1 AND minute >= ?2 AND minute < ?3 AND class = 0 GROUP BY path ORDER BY path",
        )?;
        let rows = statement.query_map(params![source, minute_from(from), minute_from(to)], |row| {
            let number = |n| row.get::<_, i64>(n).map(i64::unsigned_abs);
            Ok((usize::try_from(number(0)?).unwrap_or(0), Asked { pages: number(1)?, views: number(2)? }))
        })?;
        rows.collect()
    }

    /// Paths of a source by their numbers.
    pub(super) fn paths(&self, source: &str) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement =
            self.connection.prepare("SELECT path FROM path WHERE source = ?1 ORDER BY number")?;
        statement.query_map([source], |row| row.get(0))?.collect()
    }

    /// Hits lost, and lines that are none.
    pub(super) fn odd(&self, source: &str, what: &str, from: i64, to: i64) -> rusqlite::Result<u64> {
        let sum = "SELECT coalesce(sum(count), 0) FROM odd
                   WHERE source = ?1 AND what = ?2 AND minute >= ?3 AND minute < ?4";
        let bounds = params![source, what, minute_from(from), minute_from(to)];
        self.connection.query_row(sum, bounds, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    }

    /// The second of the last line, if anything was counted.
    pub(super) fn until(&self, source: &str) -> rusqlite::Result<Option<i64>> {
        let until = self
            .connection
            .query_row("SELECT until FROM place WHERE source = ?1", [source], |row| row.get(0))
            .optional()?;
        Ok(until.flatten())
    }

    /// Keeps the names of pages beside the figures, for whoever reads them without the configuration.
    pub(super) fn keep_names(&self, names: &[PageName]) -> rusqlite::Result<()> {
        let text = serde_json::to_string(names).unwrap_or_default();
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('names', ?1)", [text]).map(|_| ())
    }

    /// The names that were kept.
    pub(super) fn names(&self) -> rusqlite::Result<Vec<PageName>> {
        let text: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE name = 'names'", [], |row| row.get(0))
            .optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Names of the sources, ours first.
    pub(super) fn sources(&self) -> rusqlite::Result<Vec<String>> {
        let mut statement =
            self.connection.prepare("SELECT source FROM place ORDER BY source <> 'local', source")?;
        statement.query_map([], |row| row.get(0))?.collect()
    }
}

fn forget(tx: &Transaction<'_>, source: &str) -> rusqlite::Result<()> {
    for table in TABLES {
        tx.execute(&format!("DELETE FROM {table} WHERE source = ?1"), [source])?;
    }
    Ok(())
}

/// The minute that begins at this second or after it.
fn minute_from(second: i64) -> i64 {
    second.saturating_add(59).div_euclid(60)
}

/// Counts fit; SQLite has no unsigned numbers.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn code(class: Class) -> i64 {
    class as i64
}

pub(super) fn class(code: i64) -> Class {
    usize::try_from(code).ok().and_then(|n| Class::ALL.get(n)).map_or_else(Class::default, |(c, _)| *c)
}

/// Sessions under way, 41 bytes each: a row for each would be written again every minute.
fn blob<'a>(open: impl Iterator<Item = &'a Session>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for one in open {
        bytes.extend_from_slice(&one.visitor.to_le_bytes());
        bytes.extend_from_slice(&one.first.to_le_bytes());
        bytes.extend_from_slice(&one.last.to_le_bytes());
        bytes.extend_from_slice(&one.began.unwrap_or(i64::MIN).to_le_bytes());
        bytes.extend_from_slice(&one.hits.to_le_bytes());
        bytes.push(one.class as u8);
    }
    bytes
}

fn sessions(blob: &[u8]) -> Vec<Session> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*taken)
    }
    fn one(bytes: &mut &[u8]) -> Option<Session> {
        Some(Session {
            visitor: u64::from_le_bytes(take(bytes)?),
            first: i64::from_le_bytes(take(bytes)?),
            last: i64::from_le_bytes(take(bytes)?),
            began: Some(i64::from_le_bytes(take(bytes)?)).filter(|at| *at != i64::MIN),
            hits: u32::from_le_bytes(take(bytes)?),
            class: class(i64::from(take::<1>(bytes)?[0])),
        })
    }
    let mut rest = blob;
    std::iter::from_fn(|| one(&mut rest)).collect()
}

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);
const TABLES: &[&str] = &["place", "minute", "path", "asked", "session", "odd"];
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (
    source TEXT PRIMARY KEY, day TEXT NOT NULL, offset INTEGER NOT NULL, open BLOB NOT NULL, until INTEGER,
    settled INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
    source TEXT, minute INTEGER, class INTEGER, hits INTEGER, valid INTEGER, pages INTEGER, views INTEGER,
    bytes INTEGER, s1 INTEGER, s2 INTEGER, s3 INTEGER, s4 INTEGER, s5 INTEGER, untracked INTEGER,
    PRIMARY KEY (source, minute, class)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS path (
    source TEXT, number INTEGER, path BLOB, PRIMARY KEY (source, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
    source TEXT, minute INTEGER, path INTEGER, class INTEGER, pages INTEGER, views INTEGER,
    PRIMARY KEY (source, minute, path, class)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
    source TEXT, first INTEGER, visitor INTEGER, class INTEGER, last INTEGER, began INTEGER, hits INTEGER
);
CREATE INDEX IF NOT EXISTS session_first ON session (source, first);
CREATE TABLE IF NOT EXISTS odd (
    source TEXT, minute INTEGER, what TEXT, count INTEGER, PRIMARY KEY (source, minute, what)
) WITHOUT ROWID;
";
const ADD_MINUTE: &str = "
INSERT INTO minute VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, valid = valid + excluded.valid,
    pages = pages + excluded.pages, views = views + excluded.views, bytes = bytes + excluded.bytes,
    s1 = s1 + excluded.s1, s2 = s2 + excluded.s2, s3 = s3 + excluded.s3, s4 = s4 + excluded.s4,
    s5 = s5 + excluded.s5, untracked = untracked + excluded.untracked";
const ADD_ASKED: &str = "
INSERT INTO asked VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET pages = pages + excluded.pages, views = views + excluded.views";
const ADD_ODD: &str = "
INSERT INTO odd VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + excluded.count";
