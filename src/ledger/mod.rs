//! The append-only, hash-chained record of the night.
//!
//! Owns `ledger.jsonl` (one JSON object a line, each with the SHA-256 of the line before),
//! `ledger.head` (the last durable line, so that the end of the chain has a witness too),
//! `ledger.torn-<n>` (what a crash left of a line) and `ballast` (room that is given
//! up when the disk is full, so that the ledger can still speak). `docs/RECORD.md` tells
//! a notary how to read and check it.
//!
//! Imports `durable`, `clock` and `model`. Several processes may append: each line is
//! written under a lock on the file, after reading what others wrote meanwhile.
//! The way of a fact: [`Entry`] → [`Ledger::append`] → a line, synced → [`read`] and [`verify`];
//! who wants each as it is written, [`Ledger::follow`]s.
//! After an error the line is not there; the chain can be continued.

mod chain;
mod entry;
mod line;
mod lines;
mod refusals;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::durable::{self, Dir};
use crate::model::Digest;

pub use chain::{Flaw, Head, Proof, Wrong, verify};
pub use entry::{Entry, Kind};
pub use line::Line;
pub use lines::{Filter, Lines, published, read, unfinished};
pub use refusals::Refusals;

use chain::Scan;

/// The open ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    inner: Arc<Mutex<Inner>>,
    told: broadcast::Sender<Arc<Line>>,
}

/// What was found at the opening, already written to the ledger itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Everything found; empty after an orderly stop.
    pub found: Vec<Finding>,
}

/// One thing found at the opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Finding {
    /// The last line was torn (a crash): it was moved aside.
    TornLine {
        /// The running number it would have had.
        n: u64,
        /// Name of the file it was moved to.
        file: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The chain is broken: somebody, or a disk, changed the past. Appending goes on,
    /// [`verify`] fails from now on, and the operator must be told.
    ChainBroken {
        /// The first line that is not what it was, by its running number.
        line: u64,
        /// All flaws.
        flaws: Vec<Flaw>,
    },
}

impl Ledger {
    /// Opens the ledger in `dir`, or begins one. Hours are written as seen in `zone`.
    pub fn open(dir: &Dir, clock: Clock, zone: TimeZone) -> io::Result<(Self, Recovery)> {
        Self::open_with(dir, clock, zone, BALLAST_BYTES)
    }

    /// The same with a ballast of another size; 0 for none.
    pub fn open_with(
        dir: &Dir,
        clock: Clock,
        zone: TimeZone,
        ballast_bytes: u64,
    ) -> io::Result<(Self, Recovery)> {
        let (ledger, head) = (dir.append_file(LEDGER)?, dir.open_or_create(HEAD)?);
        let told = broadcast::Sender::new(FOLLOWED_LINES);
        let mut inner = Inner {
            dir: dir.clone(),
            ledger: Arc::new(ledger),
            head,
            clock,
            zone,
            last: Head::none(),
            len: 0,
            ballast_bytes,
            told: told.clone(),
            #[cfg(test)]
            full: false,
        };
        let found = inner.begin()?;
        Ok((Self { inner: Arc::new(Mutex::new(inner)), told }, Recovery { found }))
    }

    /// Appends a fact and returns when it is durable (fdatasync). After an error it is
    /// not in the ledger.
    pub fn append(&self, entry: Entry) -> io::Result<()> {
        self.inner().record(&entry, Durability::Synced)
    }

    /// Makes durable what was only noted.
    pub fn sync(&self) -> io::Result<()> {
        durable::sync_data(&self.inner().ledger)
    }

    /// Appends a fact that may be lost by a power cut, until the next one is appended durably.
    pub fn note(&self, entry: Entry) -> io::Result<()> {
        self.inner().record(&entry, Durability::Lazy)
    }

    /// Each line that this process writes from now on, as it stands in the file. Who falls
    /// behind by more than a thousand lines is told how many were missed and can [`read`] them.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Line>> {
        self.told.subscribe()
    }

    /// The last line this process knows of: what to show outside, so that a later
    /// rewriting of the whole chain can be proved.
    pub fn head(&self) -> Head {
        self.inner().last
    }

    /// The directory it lies in, for [`read`] and [`verify`].
    pub fn dir(&self) -> Dir {
        self.inner().dir.clone()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A thread that panicked in here left at worst a line that the next append
        // finds and moves aside.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line has to survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Lazy,
}

#[derive(Debug)]
struct Inner {
    dir: Dir,
    ledger: Arc<File>,
    head: File,
    clock: Clock,
    zone: TimeZone,
    /// The last line of the file.
    last: Head,
    /// Length of the file after that line.
    len: u64,
    ballast_bytes: u64,
    /// Who follows what is written.
    told: broadcast::Sender<Arc<Line>>,
    /// Acts as a disk that stays full until the ballast is gone.
    #[cfg(test)]
    full: bool,
}

impl Inner {
    /// Reads the whole chain, heals its end and records what was found.
    fn begin(&mut self) -> io::Result<Vec<Finding>> {
        let file = Arc::clone(&self.ledger);
        let _lock = Lock::on(&file)?;
        let known = Head::read(&self.dir);
        let scan = Scan::of(&file, 0, 0)?;
        if scan.is_empty() {
            self.dir.sync()?;
        }
        if let Some(known) = known {
            self.last = known;
        }
        let mut found: Vec<Finding> = self.adopt(&scan)?.into_iter().collect();
        let scan = scan.without_tail();
        let flaws = scan.flaws(known);
        if let Some(first) = flaws.first()
            && !scan.complained().any(|line| line == first.n)
        {
            found.push(Finding::ChainBroken { line: first.n, flaws: flaws.clone() });
        }
        self.keep_ballast();
        for finding in &found {
            self.push(&finding.entry(), Durability::Synced)?;
        }
        Ok(found)
    }

    fn record(&mut self, entry: &Entry, durability: Durability) -> io::Result<()> {
        self.follow_the_name()?;
        let file = Arc::clone(&self.ledger);
        let _lock = Lock::on(&file)?;
        if let Some(finding) = self.catch_up()? {
            self.push(&finding.entry(), Durability::Synced)?;
        }
        self.push(entry, durability)
    }

    /// Opens the file anew if somebody moved or removed it under us: lines written to
    /// a file without a name would be lost.
    fn follow_the_name(&mut self) -> io::Result<()> {
        let ours = self.ledger.metadata()?;
        let same = self.dir.stat(LEDGER).is_ok_and(|s| s.st_ino == ours.ino() && s.st_dev == ours.dev());
        if !same {
            self.ledger = Arc::new(self.dir.append_file(LEDGER)?);
            self.dir.sync()?;
            self.len = 0;
        }
        Ok(())
    }

    /// Takes in what other processes appended since our last line.
    fn catch_up(&mut self) -> io::Result<Option<Finding>> {
        let len = self.ledger.metadata()?.len();
        if len == self.len {
            return Ok(None);
        }
        // Shorter than we left it: somebody cut it, so it is read from the beginning.
        let (from, before) = if len > self.len { (self.len, self.last.n) } else { (0, 0) };
        let scan = Scan::of(&self.ledger, from, before)?;
        self.adopt(&scan)
    }

    /// Continues after the lines of `scan`, moving a torn end aside first. Where lines
    /// that we know of are gone, the chain goes on from those and not from what is left:
    /// so the gap can be proved for ever.
    fn adopt(&mut self, scan: &Scan) -> io::Result<Option<Finding>> {
        let len = self.ledger.metadata()?.len();
        let tail = scan.tail();
        self.len = tail.unwrap_or(len);
        if let Some(last) = scan.head_before(self.len)
            && last.n > self.last.n
        {
            self.last = last;
        }
        let Some(tail) = tail else { return Ok(None) };
        let (n, bytes) = (self.last.n.saturating_add(1), len.saturating_sub(tail));
        let file = self.with_ballast(|inner| inner.move_aside(n, tail))?;
        Ok(Some(Finding::TornLine { n, file, bytes }))
    }

    /// Copies what follows byte `tail` into a file of its own, durably, then cuts it off.
    fn move_aside(&self, n: u64, tail: u64) -> io::Result<String> {
        let name = (1..).map(|i| if i == 1 { format!("{TORN}{n}") } else { format!("{TORN}{n}-{i}") });
        let name = name.take(TORN_FILES_MAX).find(|name| !self.dir.exists(name));
        let name = name.ok_or_else(|| io::Error::other("too many torn lines of one number"))?;
        let copied = self.dir.create_file(&name).and_then(|mut aside| {
            let mut from = &*self.ledger;
            from.seek(SeekFrom::Start(tail))?;
            io::copy(&mut from, &mut aside)?;
            durable::sync_file(&aside)
        });
        if let Err(e) = copied {
            let _ = self.dir.remove_file(&name);
            return Err(e);
        }
        self.dir.sync()?;
        self.ledger.set_len(tail)?;
        durable::sync_data(&self.ledger)?;
        Ok(name)
    }

    fn push(&mut self, entry: &Entry, durability: Durability) -> io::Result<()> {
        let had_ballast = self.dir.exists(BALLAST);
        self.with_ballast(|inner| inner.write(entry, durability))?;
        if had_ballast && !self.dir.exists(BALLAST) {
            let freed = Entry::new(Kind::Warning).with("what", "disk_full");
            // The fact itself is written; that there is no room for more is seen again soon.
            let _ = self.write(&freed, Durability::Synced);
        } else if !had_ballast {
            self.keep_ballast();
        }
        Ok(())
    }

    fn write(&mut self, entry: &Entry, durability: Durability) -> io::Result<()> {
        let next = self.last.n.saturating_add(1);
        let bytes = line::render(next, self.clock.now(), &self.zone, &self.last.sha256, entry);
        let written = self.put(&bytes).and_then(|()| match durability {
            Durability::Synced => durable::sync_data(&self.ledger),
            Durability::Lazy => Ok(()),
        });
        if let Err(e) = written {
            // Half a line must not stay; if even this fails the next append moves it aside.
            let _ = self.ledger.set_len(self.len);
            return Err(e);
        }
        self.last = Head { n: next, sha256: Digest::of(&bytes) };
        self.len += bytes.len() as u64;
        if durability == Durability::Synced {
            // Only a witness: an older head is still true, so an error here costs nothing.
            let _ = self.head.write_all_at(self.last.text().as_bytes(), 0);
        }
        if self.told.receiver_count() > 0
            && let Some(line) = Line::parse(next, &bytes)
        {
            // Fails only when the last follower has just gone.
            let _ = self.told.send(Arc::new(line));
        }
        Ok(())
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if self.full && self.dir.exists(BALLAST) {
            let _ = (&*self.ledger).write_all(bytes.get(..bytes.len() / 2).unwrap_or_default());
            return Err(io::ErrorKind::StorageFull.into());
        }
        (&*self.ledger).write_all(bytes)
    }

    /// Does `step`; if the disk is full, gives up the ballast and does it once more.
    fn with_ballast<T>(&mut self, mut step: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match step(self) {
            Err(e) if is_full(&e) && self.dir.remove_file(BALLAST).is_ok() => step(self),
            done => done,
        }
    }

    /// Lays the ballast down where it is missing and there is room to spare. That it
    /// cannot be laid down is no error: the ledger works without.
    fn keep_ballast(&self) {
        let there = self.dir.stat(BALLAST).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0));
        if there >= self.ballast_bytes {
            return;
        }
        let free = self.dir.space().map_or(0, |s| s.free_bytes);
        if free < self.ballast_bytes.saturating_mul(BALLAST_ROOM) {
            return;
        }
        let _ = self.dir.remove_file(BALLAST);
        let laid = self
            .dir
            .create_file(BALLAST)
            .and_then(|mut file| durable::preallocate(&mut file, self.ballast_bytes));
        if laid.is_err() {
            let _ = self.dir.remove_file(BALLAST);
        }
    }
}

impl Finding {
    fn entry(&self) -> Entry {
        let entry = Entry::new(Kind::Recovery);
        match self {
            Self::TornLine { n, file, bytes } => {
                entry.with("what", "torn_line").with("line", n).with("file", file).with("bytes", bytes)
            }
            Self::ChainBroken { line, flaws } => {
                let shown: Vec<String> =
                    flaws.iter().take(FLAWS_RECORDED_MAX).map(ToString::to_string).collect();
                entry
                    .with("what", "chain_broken")
                    .with("line", line)
                    .with("flaws", shown)
                    .with("count", flaws.len())
            }
        }
    }
}

/// The lock of one line: other processes wait until it is dropped.
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn on(file: &'a File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Fails only for a handle that is not open.
        let _ = self.0.unlock();
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The chain.
const LEDGER: &str = "ledger.jsonl";
/// Its last durable line.
const HEAD: &str = "ledger.head";
/// Beginning of the names of torn lines moved aside.
const TORN: &str = "ledger.torn-";
/// Torn lines kept for one running number; a machine that crashes this often at the
/// same line has another trouble.
const TORN_FILES_MAX: usize = 1000;
/// Room given up when the disk is full.
const BALLAST: &str = "ballast";
/// Enough for twenty thousand lines: a night has about 1,200.
const BALLAST_BYTES: u64 = 8 * 1024 * 1024;
/// The ballast is laid down again when this many times its size is free.
const BALLAST_ROOM: u64 = 4;
/// Lines kept for a follower that is slow; a night has about 1,200.
const FOLLOWED_LINES: usize = 1024;
/// Flaws spelt out in the line that records a broken chain.
const FLAWS_RECORDED_MAX: usize = 20;
