//! SEALED. Untrusted archives in, checked entries out, under absolute limits.
//!
//! Imports nothing of this crate; `tests/archive_alone.rs` compiles it outside.
//!
//! Three ways through: [`read`] takes a whole file (`.tar.gz`, `.tar`, `.tar.zst`, `.zip`),
//! [`read_arriving`] follows one of the three tar formats while it grows, and [`Stream`] is
//! pushed the bytes of one. All give the same
//! entries to a [`Sink`] and the same verdict. Every layer is followed to its last byte:
//! checksums, sizes, the end marks and nothing after them. Limits are absolute, never
//! ratios, because the first cut of a night compresses 52:1.
//!
//! After an error the sink holds what came before the fault; the caller throws it away.
//! A fault of the layer below outranks one above it: a truncated gzip is `Truncated`
//! whatever the tar inside looked like.

mod format;
mod gzip;
mod inflate;
mod names;
mod source;
mod stream;
mod tally;
mod tar;
mod zip;
mod zst;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use source::Source;

pub use format::Format;
pub use names::{Name, Nfd, check_name};
pub use source::Arriving;
pub use stream::Stream;
pub use tally::Skipped;

/// Takes the checked entries of one archive, in the order they come. Implemented by
/// the release store's scratch tree, by the examiner that looks at content, and by tests.
///
/// Names are relative, UTF-8, NFC, without `.`/`..`/empty components, already
/// proved free of duplicates and collisions. `file` … `data`* … `end` come in that order
/// for each file; parents may or may not have been announced with `dir`.
pub trait Sink {
    /// A directory entry.
    fn dir(&mut self, path: &str) -> io::Result<()>;
    /// A file begins: `size` bytes will follow, `mtime` is in seconds since 1970.
    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()>;
    /// The next bytes of the file.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// The file is whole.
    fn end(&mut self) -> io::Result<()>;
}

/// Absolute bounds of one package. Nothing is ever judged by its compression ratio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the package itself. The largest real one is Tamaulipas' 156 MB.
    pub package_bytes: u64,
    /// Bytes of all its files together. INE's whole site is about 230 MB.
    pub unpacked_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files and directories, announced or implied. San Luis Potosí's portal has 2,135.
    pub entries: u64,
    /// Components of one path.
    pub depth: usize,
    /// Bytes of one path.
    pub name_bytes: usize,
    /// Bytes of one component; 255 is what Linux file systems hold.
    pub component_bytes: usize,
    /// Bytes of one PAX header. bsdtar keeps extended attributes there.
    pub pax_bytes: usize,
    /// What to do with names that are not in Unicode form NFC.
    pub nfd: Nfd,
    /// Seconds east of UTC of the clock that zip's DOS times were taken from: they name no zone.
    pub dos_offset_seconds: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            package_bytes: 512 << 20,
            unpacked_bytes: 1 << 30,
            file_bytes: 256 << 20,
            entries: 50_000,
            depth: 32,
            name_bytes: 1024,
            component_bytes: 255,
            pax_bytes: 64 << 10,
            nfd: Nfd::Refuse,
            dos_offset_seconds: 0,
        }
    }
}

/// Why an archive is refused: the most precise reason that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the published codes of the same names document them")]
pub enum Reason {
    PathTraversal,
    PathAbsolute,
    PathBadChar,
    PathNotUtf8,
    PathNotNfc,
    PathTooLong,
    PathTooDeep,
    PathEmpty,
    PathDotfile,
    NameCollision,
    DuplicateEntry,
    EntryType,
    Entries,
    SizeFile,
    SizeTotal,
    SizePackage,
    SizeMismatch,
    HeaderBad,
    HeaderChecksum,
    HeaderAmbiguous,
    PaxKey,
    PaxMalformed,
    PaxAmbiguous,
    PaxTooBig,
    TarTrailing,
    GzipCrc,
    GzipTrailing,
    Truncated,
    FormatMismatch,
    Empty,
    ZipOverlap,
    ZipMismatch,
    ZipAmbiguous,
    ZipPrefix,
    ZipTrailing,
    ZipEncrypted,
    ZipMethod,
    ZipCrc,
    ZipHidden,
    ZipBad,
}

impl Reason {
    /// Whether a bound was passed: then nothing more is read, not even to see
    /// if the container is whole.
    fn is_limit(self) -> bool {
        matches!(self, Self::Entries | Self::SizeFile | Self::SizeTotal | Self::SizePackage)
    }
}

/// What a reason's name does not say, in Spanish and in English.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// In Spanish.
    pub es: String,
    /// In English.
    pub en: String,
}

impl From<String> for Detail {
    /// Figures, names and what the system says: the same in both.
    fn from(figures: String) -> Self {
        Self { es: figures.clone(), en: figures }
    }
}

impl<E: Into<String>, N: Into<String>> From<(E, N)> for Detail {
    fn from((es, en): (E, N)) -> Self {
        Self { es: es.into(), en: en.into() }
    }
}

/// One refusal: why, which entry, and figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}")]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The raw name of the entry at fault, if it is about one.
    pub entry: Option<Vec<u8>>,
    /// More for people: limits, offsets, declared and found values.
    pub detail: Option<Detail>,
}

impl Refusal {
    fn new(reason: Reason) -> Self {
        Self { reason, entry: None, detail: None }
    }

    fn entry(mut self, raw: &[u8]) -> Self {
        // A hostile name may be as long as its header allows; the start tells enough.
        const SHOWN: usize = 512;
        self.entry.get_or_insert_with(|| raw.get(..SHOWN).unwrap_or(raw).to_vec());
        self
    }

    fn detail(mut self, text: impl Into<Detail>) -> Self {
        self.detail.get_or_insert_with(|| text.into());
        self
    }
}

/// How reading an archive can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive is at fault.
    #[error("archive refused: {0}")]
    Refused(#[from] Refusal),
    /// The sink would not take an entry.
    #[error("the sink failed")]
    Sink(#[source] io::Error),
    /// The file could not be read.
    #[error("the archive file could not be read")]
    Read(#[source] io::Error),
}

/// The facts of an archive that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it was.
    pub format: Format,
    /// Files given to the sink.
    pub files: u64,
    /// Distinct directories, announced or implied.
    pub dirs: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// What was left out: junk and dotfiles.
    pub skipped: Skipped,
}

/// Reads the whole of `file` (from its first byte, whatever its cursor) and gives its
/// entries to `sink`. `name` is the package's file name; its suffix must agree with the content.
pub fn read(file: &File, name: &str, limits: &Limits, sink: &mut dyn Sink) -> Result<Report, Error> {
    read_source(Source::file(file)?, name, limits, sink)
}

/// The same for an archive in memory.
pub fn read_bytes(bytes: &[u8], name: &str, limits: &Limits, sink: &mut dyn Sink) -> Result<Report, Error> {
    read_source(Source::slice(bytes), name, limits, sink)
}

/// Reads an archive while it arrives, to its last byte. It may be any of the tar formats: whether
/// its name agrees is for the caller to see, who learns the name last. Nothing of what
/// [`read`] says about a file with a fault is promised here but that there is one.
pub fn read_arriving(bytes: &dyn Arriving, limits: &Limits, sink: &mut dyn Sink) -> Result<Report, Error> {
    stream::read_arriving(bytes, limits, sink)
}

fn read_source(
    source: Source<'_>,
    name: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    let (size, most) = (source.size(), limits.package_bytes);
    if size > most {
        return Err(Refusal::new(Reason::SizePackage).detail(format!("{size} > {most}")).into());
    }
    match format::agree(source, name)? {
        Format::Zip => zip::read(source, limits, sink),
        format => stream::read(source, format, limits, sink),
    }
}
