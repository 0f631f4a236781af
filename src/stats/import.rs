//! Taking the logs of others into the same engine, each as a source of its own.
//!
//! An import becomes day files of our own form beneath `var/stats/imports/NAME`, in order, without the requests that
//! are there already; then the source is counted again. What was imported, with its hash, is in `imported.jsonl`.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::foreign::{Foreign, Format, Found};
use super::line::{self, Hours, Line, Read};
use super::reader::Key;
use super::rebuild::{self, RebuildError};
use super::shelf::Shelf;
use super::store::{self, Store};
use super::{FOLDER, IMPORTS, LOCAL, LogConfig};
use crate::durable::Dir;
use crate::model::{Digest, Hasher};

/// What became of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The source that they are in now.
    pub source: String,
    /// File by file.
    pub files: Vec<ImportedFile>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFile {
    /// Its name.
    pub file: String,
    /// SHA-256 of it as it was given.
    pub sha256: Digest,
    /// Who wrote it: `cloudfront`, `cloudflare`, `combined`.
    pub format: String,
    /// Requests taken.
    pub taken: u64,
    /// Requests that were there already, by their numbers; the whole file, if it was imported before.
    pub known: u64,
    /// Lines that are none.
    pub bad: u64,
    /// When.
    pub at: Timestamp,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not a name for a folder.
    #[error("a source is named by letters, digits and hyphens, and not `local`: {0}")]
    Name(String),
    /// Too much at once.
    #[error("more than {LINES_MAX} requests at once; import them in parts")]
    Much,
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// Counting it.
    #[error(transparent)]
    Count(#[from] RebuildError),
    /// The imports on disk.
    #[error("the import cannot be kept: {0}")]
    Keep(#[from] io::Error),
}

/// Takes files into a source. Gzip is unpacked. Classes and truncation are those of our own log.
pub fn import(
    config: &LogConfig,
    source: &str,
    files: &[PathBuf],
    now: Timestamp,
) -> Result<Imported, ImportError> {
    if !is_name(source) {
        return Err(ImportError::Name(source.to_owned()));
    }
    let stats = Dir::create(&config.stats)?;
    let folder = stats.sub_create(IMPORTS)?.sub_create(source)?;
    let shelf = Shelf::new(folder);
    let mut taking = Taking {
        key: Key::open(&stats, config.keep, now)?,
        config,
        hours: Hours::new(config.zone.clone()),
        known: ids(&shelf)?,
        days: BTreeMap::new(),
        lines: 0,
    };
    let mut register = register(&shelf)?;
    let mut done = Vec::new();
    for path in files {
        let failed = |error| ImportError::File(path.clone(), error);
        let mut file = File::open(path).map_err(failed)?;
        let sha256 = hash(&mut file).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(before) = register.iter().find(|one: &&ImportedFile| one.sha256 == sha256) {
            let known = before.taken + before.known;
            done.push(ImportedFile { file: name, taken: 0, known, at: now, ..before.clone() });
            continue;
        }
        let one = taking.file(file, name, sha256, now).map_err(|error| match error {
            Stopped::Much => ImportError::Much,
            Stopped::Io(error) => ImportError::File(path.clone(), error),
        })?;
        register.push(one.clone());
        done.push(one);
    }
    for (day, lines) in taking.days {
        merge(&shelf, &day, lines)?;
    }
    let text: Vec<String> =
        register.iter().map(|one| serde_json::to_string(one).unwrap_or_default()).collect();
    shelf.dir().write_atomic(REGISTER, format!("{}\n", text.join("\n")).as_bytes())?;
    let mut store = Store::open(&stats.path().join(store::FILE)).map_err(RebuildError::from)?;
    rebuild::one(&mut store, &shelf, source, config.bounds, now, false)?;
    Ok(Imported { source: source.to_owned(), files: done })
}

/// What a source was made of.
pub fn imported(var: &Path, source: &str) -> io::Result<Vec<ImportedFile>> {
    register(&Shelf::new(Dir::open(var.join(FOLDER).join(IMPORTS).join(source))?))
}

fn is_name(source: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    source != LOCAL && !source.is_empty() && source.len() <= 64 && source.chars().all(plain)
}

fn register(shelf: &Shelf) -> io::Result<Vec<ImportedFile>> {
    match shelf.dir().read(REGISTER, REGISTER_BYTES_MAX) {
        Ok(text) => Ok(text.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Numbers of the requests that a source has, as the half of their hashes.
fn ids(shelf: &Shelf) -> io::Result<HashSet<u128>> {
    let mut known = HashSet::new();
    shelf.read_on(None, None, u64::MAX, |_, read| {
        if let Read::Hit(Line { id, .. }) = read
            && !id.is_empty()
        {
            known.insert(short(&id));
        }
    })?;
    Ok(known)
}

fn short(id: &[u8]) -> u128 {
    let (high, low) = Digest::of(id).halves();
    u128::from(high) << 64 | u128::from(low)
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        hasher.update(block.get(..read).unwrap_or_default());
    }
    file.rewind()?;
    Ok(hasher.finish())
}

struct Taking<'c> {
    config: &'c LogConfig,
    key: Key,
    hours: Hours,
    known: HashSet<u128>,
    /// New lines of each day, each with its second.
    days: BTreeMap<String, Vec<(i64, Vec<u8>)>>,
    lines: usize,
}

enum Stopped {
    Much,
    Io(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Taking<'_> {
    fn file(
        &mut self,
        mut file: File,
        name: String,
        sha256: Digest,
        at: Timestamp,
    ) -> Result<ImportedFile, Stopped> {
        let mut magic = [0; 2];
        let is_gzip = file.read(&mut magic)? == 2 && magic == [0x1F, 0x8B];
        file.rewind()?;
        let plain: Box<dyn io::Read> =
            if is_gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut lines = BufReader::with_capacity(1 << 20, plain);
        let (mut foreign, mut taken, mut known, mut bad) = (Foreign::default(), 0, 0, 0);
        let mut text = Vec::new();
        loop {
            text.clear();
            if (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut text)? == 0 {
                break;
            }
            match foreign.read(text.strip_suffix(b"\n").unwrap_or(&text)) {
                Found::Nothing => {}
                Found::Bad => bad += 1,
                Found::Request(request) => {
                    if !request.line.id.is_empty() && !self.known.insert(short(&request.line.id)) {
                        known += 1;
                        continue;
                    }
                    self.take(*request)?;
                    taken += 1;
                }
            }
        }
        let format = foreign.format().map_or("", |format| match format {
            Format::Cloudfront => "cloudfront",
            Format::Cloudflare => "cloudflare",
            Format::Combined => "combined",
        });
        Ok(ImportedFile { file: name, sha256, format: format.to_owned(), taken, known, bad, at })
    }

    fn take(&mut self, request: super::foreign::Request<'_>) -> Result<(), Stopped> {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(Stopped::Much);
        }
        let super::foreign::Request { line, address, is_ours } = request;
        let (visitor, class) = if is_ours {
            (line.visitor, line.class)
        } else {
            (self.key.visitor(address, &line.agent), self.config.classes.of(address, &line.agent))
        };
        let line = Line { address: self.config.addresses.keep(address), visitor, class, ..line };
        let mut text = Vec::new();
        line.write(&mut self.hours, &mut text);
        let day = self.hours.day(line.at).to_string();
        self.days.entry(day).or_default().push((line.at, text));
        Ok(())
    }
}

/// Puts new lines among those of a day, in the order of their hours.
fn merge(shelf: &Shelf, day: &str, mut lines: Vec<(i64, Vec<u8>)>) -> io::Result<()> {
    let mut all = Vec::new();
    if shelf.days()?.iter().any(|d| d == day) {
        let mut text = Vec::new();
        shelf.open(day)?.read_to_end(&mut text)?;
        for line in text.split_inclusive(|b| *b == b'\n') {
            if let Read::Hit(read) = line::read(line.strip_suffix(b"\n").unwrap_or(line)) {
                all.push((read.at, line.to_vec()));
            }
        }
    }
    all.append(&mut lines);
    // Stable: equal seconds stay in the order of the files.
    all.sort_by_key(|(at, _)| *at);
    let text: Vec<u8> = all.into_iter().flat_map(|(_, line)| line).collect();
    shelf.replace(day, &text)
}

/// The register of a source.
const REGISTER: &str = "imported.jsonl";
const REGISTER_BYTES_MAX: u64 = 64 << 20;
/// Requests of one import: some 2 GB of memory.
const LINES_MAX: usize = 5_000_000;
const LINE_BYTES_MAX: u64 = 64 << 10;
