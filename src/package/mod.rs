//! One received package: is it whole, is it ours, which cut is it?
//!
//! Owns the rules of a profile ([`Rules`]), the walk from a file to a verdict
//! ([`verify`]; [`watch`] for one that still arrives), the [`Examiner`] that watches content go by (archives and pushed trees
//! alike) and what `difusor package inspect` shows ([`inspect`]). Keeps nothing on disk.
//!
//! The order is fixed and the first failure speaks: name, size, sidecars, container and
//! names, required files, JSON, identity, hour of the cut. Content is only peeked at,
//! never changed; a peek that fails is a warning, not a verdict.

mod ahead;
mod examiner;
mod json;
mod listing;
mod sidecar;
mod stamp;
mod verdict;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::archive::{self, Format, Limits, Sink, Skipped};
use crate::model::{Code, Cut, Digest, Rejection};

pub use ahead::{Foreseen, Seen, watch};
pub use examiner::{Content, Examiner, Extent};
pub use json::peek as peek_json;
pub use listing::{Listed, Listing, inspect};
pub use sidecar::{compare as compare_sums, is_sidecar, parse as parse_sums};
pub use stamp::{Found, Source, Stamp};
pub use verdict::{Report, Warning};

/// What a package must be. Filled by the configuration, from the institute's profile.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Absolute bounds.
    pub limits: Limits,
    /// Patterns (`*`, `?`) of which the package's name must match one; any name if empty.
    pub names: Vec<String>,
    /// Files that must be there and hold something, relative to the site's root.
    pub required: Vec<String>,
    /// Whether [`Rules::INDEX`] must hold a `<base` tag, as INE's monitoring demands.
    pub base: BaseTag,
    /// Whether a package may hold only what changed (Tamaulipas, III.b).
    pub increments: Increments,
    /// Facts that show which election this is.
    pub identity: Vec<Identity>,
    /// Bytes of the largest JSON file that is parsed; a larger one passes with a warning.
    pub json_bytes: u64,
    /// What to do with gzip bytes in a file called `.json`.
    pub gzip_json: GzipJson,
    /// Zone of stamps that name none.
    pub zone: TimeZone,
    /// How far a cut may lie in the future: two clocks never agree.
    pub skew: SignedDuration,
    /// Time between two cuts. Stamps that differ by more are reported.
    pub period: SignedDuration,
}

impl Rules {
    /// The page that the site opens with.
    pub const INDEX: &str = "index.html";
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            names: Vec::new(),
            required: vec![Self::INDEX.to_owned()],
            base: BaseTag::NotAsked,
            increments: Increments::Refused,
            identity: Vec::new(),
            json_bytes: 32 << 20,
            gzip_json: GzipJson::Accept,
            zone: TimeZone::UTC,
            skew: SignedDuration::from_mins(2),
            period: SignedDuration::from_mins(15),
        }
    }
}

/// Whether the index must hold a `<base` tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseTag {
    /// Missing is `REQUIRED_EMPTY`.
    Required,
    /// Nobody looks.
    NotAsked,
}

/// Whether a package may hold only what changed since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Increments {
    /// A package without page, script and style is laid over the site that is there.
    Taken,
    /// Every package is the whole site.
    Refused,
}

/// What to do with gzip bytes in a file called `.json`, which copies of cloud storage hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GzipJson {
    /// Take it with a warning, if what is inside parses.
    Accept,
    /// `JSON_INVALID`.
    Refuse,
}

/// One fact of a JSON file that tells this election from any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Path relative to the site's root.
    pub file: String,
    /// JSON pointer (RFC 6901) to a string, number or boolean.
    pub pointer: String,
    /// The text of that value.
    pub expected: String,
}

/// A package that may be published.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it was.
    pub format: Format,
    /// Its SHA-256, where a sidecar made us compute it.
    pub sha256: Option<Digest>,
    /// Its cut, where one was found, and where.
    pub cut: Option<Found>,
    /// Files given to the sink.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Junk and dotfiles left out.
    pub skipped: Skipped,
    /// What an operator should look at.
    pub warnings: Vec<Warning>,
    /// The single directory that everything lies in, to be stripped: the site's root. Of an
    /// increment nothing is known: the package it builds on tells.
    pub top: Option<String>,
    /// Whether it is the whole site, or changes to one.
    pub extent: Extent,
    /// Whether it says that it is the last cut of the night (`ultimo_corte` 1).
    pub last: bool,
}

/// Walks `file` to its verdict and gives its entries to `sink` on the way.
///
/// `name` is the sender's file name, `sidecars` the sums that came beside it (name,
/// content), `live` the cut that readers see. After a rejection the sink's content is void.
pub fn verify(
    file: &File,
    name: &str,
    sidecars: &[(String, Vec<u8>)],
    rules: &Rules,
    live: Option<Cut>,
    now: Timestamp,
    sink: &mut dyn Sink,
) -> Result<Verified, Rejection> {
    admit(file, name, rules)?;
    let sums = sidecar::check(file, name, sidecars)?;
    let extent = match rules.increments {
        Increments::Taken => Extent::AsFound,
        Increments::Refused => Extent::Whole,
    };
    let mut examiner = Examiner::new(rules, extent, now);
    let limits = local_limits(rules, now);
    let facts = archive::read(file, name, &limits, &mut Both { examiner: &mut examiner, sink })
        .map_err(verdict::rejection)?;
    let content = examiner.finish(name, live)?;
    let mut warnings = sums.warnings;
    warnings.extend(content.warnings);
    Ok(Verified {
        format: facts.format,
        sha256: sums.sha256,
        cut: content.cut,
        files: facts.files,
        bytes: facts.bytes,
        skipped: facts.skipped,
        warnings,
        top: content.top,
        extent: content.extent,
        last: content.last,
    })
}

/// Name and size, before a byte is read.
fn admit(file: &File, name: &str, rules: &Rules) -> Result<(), Rejection> {
    admit_as(name, file.metadata().map_err(verdict::unreadable)?.len(), rules)
}

fn admit_as(name: &str, size: u64, rules: &Rules) -> Result<(), Rejection> {
    // As the drop does: a name in capitals is the same package.
    let lower = name.to_lowercase();
    let fits = |pattern: &String| glob(&pattern.to_lowercase(), &lower);
    let matches = rules.names.is_empty() || rules.names.iter().any(fits);
    if !matches {
        return Err(Rejection::new(Code::NameForeign).entry(name));
    }
    let most = rules.limits.package_bytes;
    if size > most {
        return Err(Rejection::new(Code::SizePackage).detail(format!("{size} > {most}")));
    }
    Ok(())
}

/// The limits, with the clock of the election's zone for zip's zoneless times.
fn local_limits(rules: &Rules, now: Timestamp) -> Limits {
    let dos_offset_seconds = rules.zone.to_offset(now).seconds();
    Limits { dos_offset_seconds, ..rules.limits.clone() }
}

/// Whether `pattern` (`*` any text, `?` one character) fits the whole of `text`.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match (pattern.get(p), star) {
            (Some('*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(q), _) if *q == '?' || q == c => {
                p += 1;
                t += 1;
            }
            (_, Some((at, eaten))) => {
                star = Some((at, eaten + 1));
                p = at + 1;
                t = eaten + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// The examiner first, then the store.
struct Both<'a, 'r> {
    examiner: &'a mut Examiner<'r>,
    sink: &'a mut dyn Sink,
}

impl Sink for Both<'_, '_> {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        self.examiner.dir(path)?;
        self.sink.dir(path)
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        self.examiner.file(path, size, mtime)?;
        self.sink.file(path, size, mtime)
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.examiner.data(bytes)?;
        self.sink.data(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.examiner.end()?;
        self.sink.end()
    }
}
