//! Reading the whole chain and saying which lines are not what they were.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use serde::Serialize;

use super::line::{Link, READ_BYTES_MAX};
use super::{HEAD, LEDGER};
use crate::durable::Dir;
use crate::model::Digest;

/// The last durable line: what the head file holds, and what may be told to a notary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its running number; 0 for an empty ledger.
    pub n: u64,
    /// SHA-256 of its bytes, newline included; zeros for an empty ledger.
    pub sha256: Digest,
}

impl Head {
    /// Before the first line.
    pub(super) fn none() -> Self {
        Self { n: 0, sha256: zeros() }
    }

    pub(super) fn read(dir: &Dir) -> Option<Self> {
        let bytes = dir.read(HEAD, 128).ok()?;
        let text = std::str::from_utf8(&bytes).ok()?;
        let (n, sha256) = text.strip_suffix('\n')?.trim_start().split_once(' ')?;
        Some(Self { n: n.parse().ok()?, sha256: sha256.parse().ok()? })
    }

    /// Always the same number of bytes, so that it can be written in place.
    pub(super) fn text(&self) -> String {
        format!("{:>20} {}\n", self.n, self.sha256)
    }
}

/// What is wrong with a line, or between two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "wrong", rename_all = "snake_case")]
pub enum Wrong {
    /// The next line (or the head file) holds the hash of other bytes.
    Altered,
    /// The next line was altered itself, so that nothing vouches for this one.
    Unproven,
    /// It is not a line of the ledger: no JSON, or without the fields of the chain.
    Damaged,
    /// The last line has no end.
    Torn,
    /// Lines with these running numbers are gone.
    Removed {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// It changed places with another.
    Swapped {
        /// Running number of the other.
        with: u64,
    },
    /// It stands elsewhere than its number says.
    Moved,
    /// It is there more than once.
    Duplicated,
}

/// One fault: the running number it is about, where that is in the file, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Running number of the line; for removed lines the first of them.
    pub n: u64,
    /// Place in the file, counted from 1; 0 where the line is not there any more.
    pub line: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub wrong: Wrong,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.n;
        match &self.wrong {
            Wrong::Altered => write!(f, "line {n}: altered"),
            Wrong::Unproven => write!(f, "line {n}: unproven, the line after it was altered"),
            Wrong::Damaged => write!(f, "line {n}: not a line of the ledger"),
            Wrong::Torn => write!(f, "line {n}: torn, it has no end"),
            Wrong::Removed { from, to } if from == to => write!(f, "line {from}: removed"),
            Wrong::Removed { from, to } => write!(f, "lines {from} to {to}: removed"),
            Wrong::Swapped { with } => write!(f, "line {n}: swapped with line {with}"),
            Wrong::Moved => write!(f, "line {n}: moved, it stands in place {}", self.line),
            Wrong::Duplicated => write!(f, "line {n}: duplicated in place {}", self.line),
        }
    }
}

/// The verification of a whole ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// Lines in the file, torn ones included.
    pub lines: u64,
    /// The last line in the file.
    pub head: Head,
    /// Everything that is wrong, in the order of the running numbers.
    pub flaws: Vec<Flaw>,
}

impl Proof {
    /// Whether every line is what it was when it was written.
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }
}

/// Proves the ledger in `dir` without opening it for writing. A ledger that is not there
/// is sound and empty, unless its head file says otherwise.
pub fn verify(dir: &Dir) -> io::Result<Proof> {
    let head = Head::read(dir);
    let scan = match dir.open_file(LEDGER) {
        Ok(file) => {
            // A writer holds the lock while its line is half there.
            file.lock_shared()?;
            Scan::of(&file, 0, 0)?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Scan::default(),
        Err(e) => return Err(e),
    };
    let flaws = scan.flaws(head);
    let lines = scan.lines.len() as u64 + u64::from(scan.torn.is_some());
    let head = scan.head().unwrap_or_else(Head::none);
    Ok(Proof { lines, head, flaws })
}

/// What is kept of each line while the chain is read.
pub(super) struct Seen {
    /// Running number and hash of the line before, if it is a line at all.
    link: Option<(u64, Digest)>,
    /// SHA-256 of its bytes.
    sha256: Digest,
    /// Where it begins.
    start: u64,
    /// For `recovery` lines about a broken chain: the line that was named.
    broken: Option<u64>,
}

/// The lines of a ledger, or of its end.
#[derive(Default)]
pub(super) struct Scan {
    /// Running number of the line before the first one here.
    before: u64,
    lines: Vec<Seen>,
    /// Where a last line without end begins.
    torn: Option<u64>,
}

impl Scan {
    /// Reads from byte `start`, where the line after number `before` begins, to the end.
    pub(super) fn of(file: &File, start: u64, before: u64) -> io::Result<Self> {
        let mut file = file;
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::with_capacity(128 * 1024, file);
        let (mut scan, mut at, mut raw) = (Self { before, ..Self::default() }, start, Vec::new());
        loop {
            raw.clear();
            let count = read_line(&mut reader, &mut raw)?;
            if count == 0 {
                return Ok(scan);
            }
            if raw.last() == Some(&b'\n') {
                scan.lines.push(Seen::new(&raw, at));
            } else {
                scan.torn = Some(at);
            }
            at += count;
        }
    }

    /// Where the tail begins that has to go before the chain can be continued: a last
    /// line without end, or one with an end that is no line.
    pub(super) fn tail(&self) -> Option<u64> {
        self.torn.or_else(|| self.lines.last().filter(|l| l.link.is_none()).map(|l| l.start))
    }

    /// The same without that tail.
    pub(super) fn without_tail(mut self) -> Self {
        if self.torn.take().is_none() && self.lines.last().is_some_and(|l| l.link.is_none()) {
            self.lines.pop();
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last line; an unreadable one gets the number that its place suggests.
    pub(super) fn head(&self) -> Option<Head> {
        self.head_before(u64::MAX)
    }

    /// The last line that begins before byte `tail`.
    pub(super) fn head_before(&self, tail: u64) -> Option<Head> {
        let count = self.lines.partition_point(|l| l.start < tail);
        let last = self.lines.get(count.checked_sub(1)?)?;
        let n = last.link.map_or_else(|| self.before.saturating_add(count as u64), |(n, _)| n);
        Some(Head { n, sha256: last.sha256 })
    }

    /// Lines that earlier starts already complained about.
    pub(super) fn complained(&self) -> impl Iterator<Item = u64> + '_ {
        self.lines.iter().filter_map(|l| l.broken)
    }

    /// Everything wrong in a scan from the beginning of the file. The order of the
    /// running numbers and the links between neighbours are judged apart, so that two
    /// swapped lines are called swapped and not altered.
    pub(super) fn flaws(&self, head: Option<Head>) -> Vec<Flaw> {
        let (mut flaws, chain) = self.order();
        flaws.extend(links(&chain, &flaws));
        if let Some(head) = head {
            flaws.extend(against_head(&chain, head, &flaws));
        }
        if self.torn.is_some() {
            let (n, line) = (self.head().map_or(0, |h| h.n).saturating_add(1), self.lines.len() as u64 + 1);
            flaws.push(Flaw { n, line, wrong: Wrong::Torn });
        }
        flaws.sort_by_key(|f| (f.n, f.line));
        flaws
    }

    /// Judges the numbers; also gives the lines once each, in the order of their numbers.
    fn order(&self) -> (Vec<Flaw>, Vec<Numbered<'_>>) {
        let (mut flaws, mut chain, mut place) = (Vec::new(), Vec::new(), HashMap::new());
        for (at, seen) in self.lines.iter().enumerate() {
            let (Some((n, _)), line) = (seen.link, at as u64 + 1) else { continue };
            match place.entry(n) {
                MapEntry::Occupied(_) => flaws.push(Flaw { n, line, wrong: Wrong::Duplicated }),
                MapEntry::Vacant(free) => {
                    free.insert(line);
                    chain.push(Numbered { n, line, seen });
                }
            }
        }
        // Still in the order of the file.
        flaws.extend(displaced(&chain, &place));
        for (n, line, seen) in self.unreadable() {
            flaws.push(Flaw { n, line, wrong: Wrong::Damaged });
            if place.insert(n, line).is_none() {
                chain.push(Numbered { n, line, seen });
            }
        }
        chain.sort_by_key(|l| l.n);
        flaws.extend(removed(&chain));
        (flaws, chain)
    }

    /// The lines that are none, with the number that the line above suggests.
    fn unreadable(&self) -> impl Iterator<Item = (u64, u64, &Seen)> {
        let above = |last: &mut u64, seen: &Seen| {
            *last = seen.link.map_or_else(|| last.saturating_add(1), |(n, _)| n);
            Some((*last, seen.link.is_none()))
        };
        let numbers = self.lines.iter().scan(0, above);
        let lines = self.lines.iter().zip(numbers).zip(1..);
        lines.filter(|((_, (_, none)), _)| *none).map(|((seen, (n, _)), line)| (n, line, seen))
    }
}

/// A line with the number it goes by.
struct Numbered<'a> {
    n: u64,
    line: u64,
    seen: &'a Seen,
}

/// Lines that do not stand where their numbers say: the fewest whose numbers would
/// have to go so that the others rise.
fn displaced(file: &[Numbered<'_>], place: &HashMap<u64, u64>) -> Vec<Flaw> {
    let mut flaws: Vec<Flaw> = Vec::new();
    let rising = longest_rising(file);
    for (line, rises) in file.iter().zip(rising) {
        if rises || flaws.iter().any(|f| f.n == line.n) {
            continue;
        }
        let other = if flaws.len() < FLAWS_SEARCHED_MAX { swapped_with(line, file, place) } else { None };
        let Some((n, at)) = other else {
            flaws.push(Flaw { n: line.n, line: line.line, wrong: Wrong::Moved });
            continue;
        };
        flaws.push(Flaw { n: line.n, line: line.line, wrong: Wrong::Swapped { with: n } });
        flaws.push(Flaw { n, line: at, wrong: Wrong::Swapped { with: line.n } });
    }
    flaws
}

/// For each line whether it belongs to one longest run of rising numbers.
fn longest_rising(file: &[Numbered<'_>]) -> Vec<bool> {
    // Last line of the best run of each length, and the line before each in its run.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    let number = |at: usize| file.get(at).map_or(0, |l| l.n);
    for (at, line) in file.iter().enumerate() {
        let length = ends.partition_point(|end| number(*end) < line.n);
        before.push(length.checked_sub(1).and_then(|l| ends.get(l)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut rising = vec![false; file.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        if let Some(mark) = rising.get_mut(at) {
            *mark = true;
        }
        next = before.get(at).copied().flatten();
    }
    rising
}

/// The line that `line` changed places with: each stands beside the other's neighbours.
fn swapped_with(line: &Numbered<'_>, file: &[Numbered<'_>], place: &HashMap<u64, u64>) -> Option<(u64, u64)> {
    let number = |at: u64| Some(file.get(file.binary_search_by_key(&at, |l| l.line).ok()?)?.n);
    let last = file.last().map_or(0, |l| l.line);
    let fits = |n: u64, at: u64| {
        let after =
            if at == 1 { n == 1 } else { number(at - 1).is_some_and(|m| m.checked_add(1) == Some(n)) };
        let before =
            if at == last { n == last } else { number(at + 1).is_some_and(|m| m.checked_sub(1) == Some(n)) };
        after || before
    };
    let crossed = |n: u64, at: u64| (line.n < n) == (line.line > at);
    place
        .iter()
        .map(|(n, at)| (*n, *at))
        .find(|&(n, at)| n != line.n && crossed(n, at) && fits(line.n, at) && fits(n, line.line))
}

/// The runs of numbers from 1 on that stand nowhere.
fn removed(chain: &[Numbered<'_>]) -> Vec<Flaw> {
    let (mut flaws, mut next) = (Vec::new(), 1);
    for line in chain {
        if next < line.n {
            flaws.push(Flaw { n: next, line: 0, wrong: Wrong::Removed { from: next, to: line.n - 1 } });
        }
        next = line.n.saturating_add(1);
    }
    flaws
}

/// Checks that each line holds the hash of the one numbered before it.
fn links(chain: &[Numbered<'_>], known: &[Flaw]) -> Vec<Flaw> {
    let holds = |before: Option<&Numbered<'_>>, line: &Numbered<'_>| {
        let Some((_, prev)) = line.seen.link else { return true };
        match before {
            None if line.n == 1 => prev == zeros(),
            Some(before) if before.n.checked_add(1) == Some(line.n) => prev == before.seen.sha256,
            // A gap, named as such.
            _ => true,
        }
    };
    let damaged: HashSet<u64> = known.iter().filter(|f| f.wrong == Wrong::Damaged).map(|f| f.n).collect();
    let mut flaws = Vec::new();
    let mut before: Option<&Numbered<'_>> = None;
    let mut lines = chain.iter().peekable();
    while let Some(line) = lines.next() {
        if !holds(before, line) {
            let also_after = lines.peek().is_some_and(|after| !holds(Some(line), after));
            match before {
                None => flaws.push(Flaw { n: line.n, line: line.line, wrong: Wrong::Altered }),
                Some(before) if damaged.contains(&before.n) => {}
                Some(before) => {
                    let wrong = if also_after { Wrong::Unproven } else { Wrong::Altered };
                    flaws.push(Flaw { n: before.n, line: before.line, wrong });
                }
            }
        }
        before = Some(line);
    }
    flaws.dedup();
    flaws
}

/// Checks the end of the chain, for which no next line vouches.
fn against_head(chain: &[Numbered<'_>], head: Head, known: &[Flaw]) -> Option<Flaw> {
    let last = chain.last().map_or(0, |l| l.n);
    if head.n > last {
        let wrong = Wrong::Removed { from: last + 1, to: head.n };
        return Some(Flaw { n: last + 1, line: 0, wrong });
    }
    let line = chain.iter().find(|l| l.n == head.n)?;
    let named = known.iter().any(|f| f.n == head.n);
    let differs = line.seen.sha256 != head.sha256;
    (differs && !named).then_some(Flaw { n: head.n, line: line.line, wrong: Wrong::Altered })
}

impl Seen {
    fn new(raw: &[u8], start: u64) -> Self {
        let link = serde_json::from_slice::<Link>(raw).ok();
        let broken = link.as_ref().and_then(|l| {
            let about =
                l.ev == "recovery" && l.what.as_ref().and_then(|w| w.as_str()) == Some("chain_broken");
            about.then(|| l.line.as_ref().and_then(serde_json::Value::as_u64)).flatten()
        });
        Self { link: link.map(|l| (l.n, l.prev)), sha256: Digest::of(raw), start, broken }
    }
}

/// Reads one line with its newline; of a line beyond the bound only the beginning is
/// kept, the rest is read past. Gives the bytes it took in the file.
pub(super) fn read_line(reader: &mut impl io::BufRead, raw: &mut Vec<u8>) -> io::Result<u64> {
    let mut count = reader.take(READ_BYTES_MAX as u64).read_until(b'\n', raw)? as u64;
    if count < READ_BYTES_MAX as u64 || raw.last() == Some(&b'\n') {
        return Ok(count);
    }
    loop {
        let mut more = Vec::new();
        let got = reader.take(READ_BYTES_MAX as u64).read_until(b'\n', &mut more)?;
        count += got as u64;
        if got == 0 {
            return Ok(count);
        }
        if more.last() == Some(&b'\n') {
            raw.push(b'\n');
            return Ok(count);
        }
    }
}

/// What the first line holds as the hash of the line before it.
fn zeros() -> Digest {
    Digest::from([0; 32])
}

/// Flaws beyond which a displaced line is called moved without looking for the one it
/// was swapped with: the search is linear, and such a file is past reading.
const FLAWS_SEARCHED_MAX: usize = 100;
