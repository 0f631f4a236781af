//! Watches the content of a package, or of a pushed tree, go by, and judges it at the end.
//!
//! A [`Sink`] that never fails: what it finds wrong waits for [`Examiner::finish`], so that
//! a damaged container is told as such. Held in memory: one file at a time, and of it only
//! JSON up to [`Rules::json_bytes`], the head of CSV files and of required pages.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;

use super::json::{self, Peek};
use super::stamp::{CSV_HEAD_BYTES, Found, Source, Stamp};
use super::verdict::Warning;
use super::{BaseTag, GzipJson, Rules};
use crate::archive::Sink;
use crate::model::{Code, Cut, Rejection};

/// The sink. Made for one package or tree.
#[derive(Debug)]
pub struct Examiner<'r> {
    rules: &'r Rules,
    extent: Extent,
    now: Timestamp,
    file: Option<Open>,
    files: u64,
    bytes: u64,
    top: Top,
    /// Whether a page, script or style went by: an increment holds data only (Tamaulipas, III.b).
    has_pages: bool,
    /// Facts of required and identity files, by their path in the package: under
    /// the root and, when everything lies in one directory, under that.
    facts: BTreeMap<String, Facts>,
    /// The earliest time of a file that the clock has not reached.
    ahead: Option<Timestamp>,
    /// The best stamp of each source.
    stamps: BTreeMap<Source, Found>,
    /// The first JSON file that does not parse.
    fault: Option<Rejection>,
    warnings: Vec<Warning>,
    /// Whether a JSON file says that this is the last cut.
    last: bool,
}

/// Whether what goes by is the whole site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All files: the required ones must be among them.
    Whole,
    /// All files if a page, script or style is among them, else only what changed.
    AsFound,
    /// Only what changed: required and identity files are judged where they come.
    Changes,
}

/// What the content shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The cut, where one was found, and where.
    pub cut: Option<Found>,
    /// Files seen.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The single directory that everything lies in.
    pub top: Option<String>,
    /// Whether it was the whole site: never [`Extent::AsFound`].
    pub extent: Extent,
    /// What an operator should look at.
    pub warnings: Vec<Warning>,
    /// Whether it says that it is the last cut (`ultimo_corte` 1).
    pub last: bool,
}

/// The file going by.
#[derive(Debug)]
struct Open {
    path: String,
    size: u64,
    watch: Watch,
    head: Vec<u8>,
    /// How much of it is kept in `head`.
    most: usize,
}

/// Why it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Nothing,
    Json,
    Csv,
    Page,
}

/// The first components of all paths.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Top {
    None,
    One(String),
    Many,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Dir,
}

/// What was seen of a file that a rule asks for.
#[derive(Clone, Debug, Default)]
struct Facts {
    size: u64,
    has_base: bool,
    /// Values of the identity rules, by their place in the rules.
    values: BTreeMap<usize, Option<String>>,
}

impl Sink for Examiner<'_> {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        self.top.see(path, Kind::Dir);
        Ok(())
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        self.top.see(path, Kind::File);
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.has_pages |= is_of_pages(path);
        self.see_time(path, mtime);
        self.see_name(path);
        self.file = Some(self.open(path, size));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let room = file.most.saturating_sub(file.head.len()).min(bytes.len());
            file.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            self.look(&file);
        }
        Ok(())
    }
}

impl<'r> Examiner<'r> {
    /// An examiner that has seen nothing yet.
    pub fn new(rules: &'r Rules, extent: Extent, now: Timestamp) -> Self {
        Self {
            rules,
            extent,
            now,
            file: None,
            files: 0,
            bytes: 0,
            top: Top::None,
            has_pages: false,
            facts: BTreeMap::new(),
            ahead: None,
            stamps: BTreeMap::new(),
            fault: None,
            warnings: Vec::new(),
            last: false,
        }
    }

    /// Moves the hour of judgement on, for content that took its time to go by. An error if
    /// a file's time was ahead of the clock when it was seen and is not any more: who looks
    /// again now would keep it.
    pub(super) fn judge_at(&mut self, now: Timestamp) -> Result<(), Rejection> {
        let is_back = now < self.now;
        self.now = now;
        // A clock that went back since is no witness either.
        if is_back || self.ahead.is_some_and(|ahead| ahead <= self.latest()) {
            return Err(Rejection::new(Code::CutInFuture));
        }
        Ok(())
    }

    /// The verdict on everything that went by. `name` is the package's file name (empty
    /// for a tree), `live` the cut that readers see.
    pub fn finish(mut self, name: &str, live: Option<Cut>) -> Result<Content, Rejection> {
        if self.files == 0 && self.extent != Extent::Changes {
            return Err(Rejection::new(Code::Empty));
        }
        if self.extent == Extent::AsFound {
            self.extent = if self.has_pages { Extent::Whole } else { Extent::Changes };
        }
        let top = self.root();
        self.check_required(top.as_deref())?;
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.check_identity(top.as_deref())?;
        if let Some(stamp) = Stamp::in_name(name) {
            // The sender's own word outranks the names of archives inside.
            self.stamps.remove(&Source::Name);
            self.note(stamp, Source::Name, name);
        }
        let cut = self.decide(live)?;
        let Self { files, bytes, extent, warnings, last, .. } = self;
        Ok(Content { cut, files, bytes, top, extent, warnings, last })
    }

    /// Every stamp found so far, best source first.
    pub fn stamps(&self) -> impl Iterator<Item = &Found> {
        self.stamps.values()
    }

    fn open(&self, path: &str, size: u64) -> Open {
        let lower = path.to_ascii_lowercase();
        let watch = if lower.ends_with(".json") || lower.ends_with(".geojson") {
            Watch::Json
        } else if lower.ends_with(".csv") {
            Watch::Csv
        } else if self.is_page(path) {
            Watch::Page
        } else {
            Watch::Nothing
        };
        let whole = usize::try_from(size.min(self.rules.json_bytes)).unwrap_or(usize::MAX);
        let most = match watch {
            Watch::Nothing => 0,
            Watch::Json => whole,
            Watch::Csv => CSV_HEAD_BYTES,
            Watch::Page => PAGE_BYTES,
        };
        // What a header announces is not reserved before it comes.
        Open { path: path.to_owned(), size, watch, head: Vec::new(), most }
    }

    /// Whether this may be the index, at the root or in the one top directory.
    fn is_page(&self, path: &str) -> bool {
        self.rules.base == BaseTag::Required && below_top(path, Rules::INDEX)
    }

    /// A file is whole.
    fn look(&mut self, file: &Open) {
        let mut facts = Facts { size: file.size, ..Facts::default() };
        match file.watch {
            Watch::Nothing => {}
            Watch::Json => self.look_at_json(file, &mut facts),
            Watch::Csv => {
                if let Some(stamp) = Stamp::in_csv(&file.head) {
                    self.note(stamp, Source::Csv, &file.path);
                }
            }
            Watch::Page => facts.has_base = holds_base(&file.head),
        }
        let named = self.rules.required.iter().chain(self.rules.identity.iter().map(|rule| &rule.file));
        if file.watch == Watch::Page || named.into_iter().any(|named| below_top(&file.path, named)) {
            self.facts.insert(file.path.clone(), facts);
        }
    }

    fn look_at_json(&mut self, file: &Open, facts: &mut Facts) {
        if file.size > self.rules.json_bytes {
            self.warn(Warning::JsonUnread(file.path.clone()));
            return;
        }
        let rules: Vec<(usize, &str)> = (self.rules.identity.iter().enumerate())
            .filter(|(_, rule)| below_top(&file.path, &rule.file))
            .map(|(at, rule)| (at, rule.pointer.as_str()))
            .collect();
        let pointers: Vec<&str> = rules.iter().map(|(_, pointer)| *pointer).collect();
        match self.parse(file, &pointers) {
            Ok(peek) => {
                self.last |= peek.last;
                for stamp in peek.stamps {
                    self.note(stamp, Source::Json, &file.path);
                }
                facts.values = rules.iter().map(|(at, _)| *at).zip(peek.values).collect();
            }
            Err(why) => {
                self.fault
                    .get_or_insert_with(|| Rejection::new(Code::JsonInvalid).entry(&file.path).detail(why));
            }
        }
    }

    fn parse(&mut self, file: &Open, pointers: &[&str]) -> Result<Peek, String> {
        if !file.head.starts_with(b"\x1f\x8b") {
            return json::peek(&file.head, pointers);
        }
        if self.rules.gzip_json == GzipJson::Refuse {
            return Err("gzip bytes".to_owned());
        }
        let mut inside = Vec::new();
        let most = self.rules.json_bytes;
        let read =
            MultiGzDecoder::new(file.head.as_slice()).take(most.saturating_add(1)).read_to_end(&mut inside);
        read.map_err(|error| format!("gzip: {error}"))?;
        if inside.len() as u64 > most {
            self.warn(Warning::JsonUnread(file.path.clone()));
            return Ok(Peek { values: vec![None; pointers.len()], ..Peek::default() });
        }
        let peek = json::peek(&inside, pointers)?;
        self.warn(Warning::JsonGzip(file.path.clone()));
        Ok(peek)
    }

    fn see_name(&mut self, path: &str) {
        if let Some(stamp) = Stamp::in_name(path) {
            self.note(stamp, Source::Name, path);
        }
    }

    /// A time in the future is the packer's clock, not a cut.
    fn see_time(&mut self, path: &str, mtime: i64) {
        let Ok(instant) = Timestamp::from_second(mtime) else { return };
        if instant > self.latest() {
            self.ahead = Some(self.ahead.map_or(instant, |earliest| earliest.min(instant)));
        } else if mtime > 0 {
            self.keep(Cut::at(instant, &self.rules.zone), Source::Mtime, path);
        }
    }

    fn note(&mut self, stamp: Stamp, source: Source, place: &str) {
        let Some(cut) = stamp.cut(&self.rules.zone) else { return };
        self.keep(cut, source, place);
    }

    /// The newest of each source: what older cuts left behind may lie beside it.
    fn keep(&mut self, cut: Cut, source: Source, place: &str) {
        let newer = self.stamps.get(&source).is_none_or(|found| found.cut < cut);
        if newer {
            self.stamps.insert(source, Found { cut, source, place: place.to_owned() });
        }
    }

    fn latest(&self) -> Timestamp {
        self.now.checked_add(self.rules.skew).unwrap_or(self.now)
    }

    /// The directory to strip: the only top one, if the required files lie in it.
    fn root(&self) -> Option<String> {
        let Top::One(top) = &self.top else { return None };
        if self.extent == Extent::Changes || self.rules.required.is_empty() {
            return None;
        }
        let there = |path: &String| self.facts.contains_key(&format!("{top}/{path}"));
        self.rules.required.iter().all(there).then(|| top.clone())
    }

    fn fact(&self, top: Option<&str>, path: &str) -> Option<&Facts> {
        match top {
            Some(top) => self.facts.get(&format!("{top}/{path}")),
            None => self.facts.get(path),
        }
    }

    /// An increment may lie in one directory as its first package does; only that one knows.
    fn fact_in_changes(&self, path: &str) -> Option<&Facts> {
        match (&self.top, self.extent) {
            (Top::One(top), Extent::Changes) => self.fact(Some(top), path),
            _ => None,
        }
    }

    fn check_required(&self, top: Option<&str>) -> Result<(), Rejection> {
        for path in &self.rules.required {
            let Some(facts) = self.fact(top, path) else {
                if self.extent == Extent::Changes {
                    continue;
                }
                return Err(Rejection::new(Code::RequiredMissing).entry(path));
            };
            if facts.size == 0 {
                return Err(Rejection::new(Code::RequiredEmpty).entry(path).detail("0 B".to_owned()));
            }
        }
        let index = self.fact(top, Rules::INDEX);
        let lacks_base = index.is_some_and(|facts| !facts.has_base);
        if self.rules.base == BaseTag::Required && lacks_base {
            return Err(Rejection::new(Code::RequiredEmpty).entry(Rules::INDEX).detail("<base".to_owned()));
        }
        Ok(())
    }

    fn check_identity(&self, top: Option<&str>) -> Result<(), Rejection> {
        for (at, rule) in self.rules.identity.iter().enumerate() {
            let facts = self.fact(top, &rule.file).or_else(|| self.fact_in_changes(&rule.file));
            let Some(facts) = facts else {
                if self.extent == Extent::Changes {
                    continue;
                }
                return Err(Rejection::new(Code::RequiredMissing).entry(&rule.file));
            };
            let found = facts.values.get(&at).and_then(Option::as_deref);
            if found != Some(rule.expected.as_str()) {
                let (pointer, expected) = (&rule.pointer, &rule.expected);
                let figures = format!("{pointer}: {expected} ≠ {}", found.unwrap_or("∅"));
                return Err(Rejection::new(Code::WrongElection).entry(&rule.file).detail(figures));
            }
        }
        Ok(())
    }

    /// The cut that counts, whether it may be published, and what contradicts it.
    fn decide(&mut self, live: Option<Cut>) -> Result<Option<Found>, Rejection> {
        let found: Vec<Found> = self.stamps.values().cloned().collect();
        let mut found = found.into_iter();
        let Some(used) = found.next() else {
            self.warn(Warning::NoStamp);
            return Ok(None);
        };
        if used.cut.instant() > self.latest() {
            return Err(Rejection::new(Code::CutInFuture).entry(&used.place).detail(used.cut.to_string()));
        }
        if let Some(live) = live.filter(|live| used.is_older_than(*live, self.rules.period)) {
            let figures = format!("{} < {live}", used.cut);
            return Err(Rejection::new(Code::CutOlder).entry(&used.place).detail(figures));
        }
        for other in found {
            self.compare(&used, other);
        }
        if used.source == Source::Mtime {
            self.warn(Warning::NoStamp);
        }
        let at = used.cut.instant();
        if used.source != Source::Mtime && Cut::at(at, &self.rules.zone).civil() != used.cut.civil() {
            self.warn(Warning::StampOffset(used.clone()));
        }
        Ok(Some(used))
    }

    fn compare(&mut self, used: &Found, other: Found) {
        let apart = used.cut.instant().duration_since(other.cut.instant()).abs();
        // Files are written after the hour of their cut; only stamps bind.
        if apart > self.rules.period && other.source != Source::Mtime {
            self.warn(Warning::StampMismatch { used: used.clone(), other });
        }
    }

    fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning);
        }
    }
}

impl Top {
    fn see(&mut self, path: &str, kind: Kind) {
        let first = path.split('/').next().unwrap_or(path);
        *self = match self {
            // A file at the root ends the idea of a single directory.
            _ if kind == Kind::File && first == path => Self::Many,
            Self::None => Self::One(first.to_owned()),
            Self::One(top) if top == first => return,
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}

/// Whether `path` is `wanted`, or that in a directory at the root.
fn below_top(path: &str, wanted: &str) -> bool {
    path == wanted || path.split_once('/').is_some_and(|(_, rest)| rest == wanted)
}

/// Whether a site cannot do without files of this kind, and an increment holds none.
fn is_of_pages(path: &str) -> bool {
    let suffix = path.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
    suffix.is_some_and(|suffix| OF_PAGES.contains(&suffix.as_str()))
}

/// `<base` in any case, as INE's monitor looks for it.
fn holds_base(page: &[u8]) -> bool {
    page.windows(BASE.len()).any(|window| window.eq_ignore_ascii_case(BASE))
}

/// Suffixes of pages, scripts and styles.
const OF_PAGES: [&str; 5] = ["html", "htm", "js", "mjs", "css"];
const BASE: &[u8] = b"<base";
/// How much of an index is searched; it stands in the head.
const PAGE_BYTES: usize = 1 << 20;
/// Warnings kept: past these nobody reads on.
const WARNINGS_MAX: usize = 100;
