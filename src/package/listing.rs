//! What is inside a package, for `difusor package inspect`.

use std::fs::File;
use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::examiner::{Examiner, Extent};
use super::stamp::{Found, Source, Stamp};
use super::{Rules, local_limits, verdict};
use crate::archive::{self, Sink};
use crate::model::Rejection;

/// A package's content, as far as its container could be read.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// What it is.
    pub format: String,
    /// Its entries, in their order.
    pub entries: Vec<Listed>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Names left out: junk and dotfiles.
    pub skipped: Vec<String>,
    /// The hours found, best evidence first.
    pub stamps: Vec<Found>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its path.
    pub path: String,
    /// Bytes; `None` for a directory.
    pub size: Option<u64>,
    /// Seconds since 1970; `None` for a directory.
    pub mtime: Option<i64>,
}

/// Lists a package. It is read as strictly as by [`super::verify`], to the last byte, but
/// its content may be anything.
pub fn inspect(file: &File, name: &str, rules: &Rules, now: Timestamp) -> Result<Listing, Rejection> {
    let mut list = List { entries: Vec::new(), examiner: Examiner::new(rules, Extent::Changes, now) };
    let limits = local_limits(rules, now);
    let facts = archive::read(file, name, &limits, &mut list).map_err(verdict::rejection)?;
    let mut stamps: Vec<Found> = list.examiner.stamps().cloned().collect();
    let named = Stamp::in_name(name).and_then(|stamp| stamp.cut(&rules.zone));
    stamps.extend(named.map(|cut| Found { cut, source: Source::Name, place: name.to_owned() }));
    stamps.sort_by_key(|found| found.source);
    Ok(Listing {
        format: facts.format.to_string(),
        entries: list.entries,
        bytes: facts.bytes,
        skipped: facts.skipped.names,
        stamps,
    })
}

/// Keeps entries and lets the examiner look.
struct List<'r> {
    entries: Vec<Listed>,
    examiner: Examiner<'r>,
}

impl Sink for List<'_> {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        self.entries.push(Listed { path: path.to_owned(), size: None, mtime: None });
        self.examiner.dir(path)
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        self.entries.push(Listed { path: path.to_owned(), size: Some(size), mtime: Some(mtime) });
        self.examiner.file(path, size, mtime)
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.examiner.data(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.examiner.end()
    }
}
