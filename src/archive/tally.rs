//! The count of one archive: which entries go to the sink, and when it is too much.

use super::names::{Index, Kind};
use super::{Format, Limits, Name, Reason, Refusal, Report, check_name};

/// What was left out of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many entries.
    pub count: u64,
    /// Their names, the first [`Skipped::NAMES_MAX`] of them.
    pub names: Vec<String>,
}

impl Skipped {
    /// How many names are kept; a Mac leaves one or two per directory.
    pub const NAMES_MAX: usize = 256;

    fn add(&mut self, name: String) {
        self.count += 1;
        if self.names.len() < Self::NAMES_MAX {
            self.names.push(name);
        }
    }
}

/// Admits entries one by one and keeps the sums.
#[derive(Debug)]
pub(super) struct Tally {
    limits: Limits,
    index: Index,
    /// Entries that are not in the index: junk, repeated directories, headers without an entry.
    extra: u64,
    files: u64,
    bytes: u64,
    /// Bytes of kept and skipped files: both are unpacked.
    total: u64,
    skipped: Skipped,
}

/// What becomes of an admitted entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admit {
    /// Give it to the sink under this path.
    Keep(String),
    /// Read past it.
    Skip,
}

impl Tally {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            index: Index::default(),
            extra: 0,
            files: 0,
            bytes: 0,
            total: 0,
            skipped: Skipped::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A regular file of `size` bytes.
    pub(super) fn file(&mut self, raw: &[u8], size: u64) -> Result<Admit, Refusal> {
        let name = check_name(raw, &self.limits)?;
        self.weigh(size).map_err(|refusal| refusal.entry(raw))?;
        match name {
            Name::Root => Err(Refusal::new(Reason::PathEmpty).entry(raw)),
            Name::Skip(name) => self.skip(name),
            Name::Path(path) => {
                self.index.add(&path, Kind::File).map_err(|reason| Refusal::new(reason).entry(raw))?;
                self.bound().map_err(|refusal| refusal.entry(raw))?;
                self.files += 1;
                self.bytes += size;
                Ok(Admit::Keep(path))
            }
        }
    }

    /// A directory.
    pub(super) fn dir(&mut self, raw: &[u8]) -> Result<Admit, Refusal> {
        match check_name(raw, &self.limits)? {
            Name::Root => self.without_entry().map(|()| Admit::Skip),
            Name::Skip(name) => self.skip(name),
            Name::Path(path) => {
                let before = self.index.len();
                self.index.add(&path, Kind::Dir).map_err(|reason| Refusal::new(reason).entry(raw))?;
                self.extra += u64::from(self.index.len() == before);
                self.bound().map_err(|refusal| refusal.entry(raw))?;
                Ok(Admit::Keep(path))
            }
        }
    }

    /// A header that announces no entry of its own still counts: a million of them cost time.
    pub(super) fn without_entry(&mut self) -> Result<(), Refusal> {
        self.extra += 1;
        self.bound()
    }

    /// The end of the archive.
    pub(super) fn report(self, format: Format) -> Result<Report, Refusal> {
        if self.files == 0 {
            let skipped = self.skipped.count;
            return Err(Refusal::new(Reason::Empty)
                .detail((format!("{skipped} entradas omitidas"), format!("{skipped} entries skipped"))));
        }
        let (files, dirs, bytes) = (self.files, self.index.dirs(), self.bytes);
        Ok(Report { format, files, dirs, bytes, skipped: self.skipped })
    }

    fn skip(&mut self, name: String) -> Result<Admit, Refusal> {
        self.without_entry()?;
        self.skipped.add(name);
        Ok(Admit::Skip)
    }

    fn weigh(&mut self, size: u64) -> Result<(), Refusal> {
        let Limits { file_bytes, unpacked_bytes, .. } = self.limits;
        if size > file_bytes {
            return Err(Refusal::new(Reason::SizeFile).detail(format!("{size} > {file_bytes}")));
        }
        self.total = self.total.saturating_add(size);
        if self.total > unpacked_bytes {
            return Err(Refusal::new(Reason::SizeTotal).detail(format!("{} > {unpacked_bytes}", self.total)));
        }
        Ok(())
    }

    fn bound(&self) -> Result<(), Refusal> {
        let (count, most) = (self.index.len().saturating_add(self.extra), self.limits.entries);
        if count > most {
            return Err(Refusal::new(Reason::Entries).detail(format!("> {most}")));
        }
        Ok(())
    }
}
