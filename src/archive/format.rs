//! What an archive is: by its first bytes, which its name must not contradict.

use std::fmt;

use super::source::Source;
use super::{Detail, Error, Reason, Refusal, tar, zip};

/// The archive formats a package may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// gzip around tar: `.tar.gz`, `.tgz`.
    TarGz,
    /// tar alone: `.tar`.
    Tar,
    /// Zstandard around tar: `.tar.zst`, `.tzst`.
    TarZst,
    /// `.zip`.
    Zip,
}

impl Format {
    /// The format that a file name promises by its suffix, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, format)| *format)
    }

    /// The usual suffix, without its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::TarGz => "tar.gz",
            Self::Tar => "tar",
            Self::TarZst => "tar.zst",
            Self::Zip => "zip",
        }
    }

    /// The format that the first bytes show; `None` if they are of none.
    ///
    /// 512 bytes decide every case; fewer give the answer that they allow.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        let magic = [(GZIP, Self::TarGz), (ZSTD, Self::TarZst), (ZIP, Self::Zip), (ZIP_EMPTY, Self::Zip)];
        let known = magic.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, format)| *format);
        known.or_else(|| tar::looks_like(head).then_some(Self::Tar))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}

/// The format of a file whose name and content agree.
///
/// A file of no bytes, or of fewer than tell its format, is `Truncated`: nobody
/// makes such an archive, but broken transfers and full disks leave them.
pub(super) fn agree(source: Source<'_>, name: &str) -> Result<Format, Error> {
    let promised =
        Format::from_name(name).ok_or_else(|| mismatch(("extensión desconocida", "unknown suffix")))?;
    let mut buffer = [0; tar::BLOCK];
    let head = source.next(&mut 0, &mut buffer)?.unwrap_or_default();
    if cut_short(head, promised) {
        return Err(Refusal::new(Reason::Truncated).detail(format!("{} B", source.size())).into());
    }
    match Format::sniff(head) {
        Some(found) if found == promised => Ok(promised),
        Some(found) => {
            Err(mismatch((format!("el contenido es {found}"), format!("content is {found}"))).into())
        }
        // A zip is read from its end, so something may stand before it.
        None if promised == Format::Zip && zip::has_end_record(source)? => {
            Err(Refusal::new(Reason::ZipPrefix).into())
        }
        None => Err(mismatch(("el contenido no es un paquete", "content is no archive")).into()),
    }
}

/// Whether these are all the bytes there are and too few to tell, but such as the
/// promised format may begin with.
fn cut_short(head: &[u8], promised: Format) -> bool {
    let begins = |magic: &[u8]| head.len() < magic.len() && magic.starts_with(head);
    match promised {
        Format::TarGz => begins(GZIP),
        Format::TarZst => begins(ZSTD),
        Format::Zip => begins(ZIP) || begins(ZIP_EMPTY),
        Format::Tar => head.len() < tar::BLOCK && Format::sniff(head).is_none() && !is_markup(head),
    }
}

/// An HTML or XML page, such as a server's error saved under the package's name.
fn is_markup(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start().starts_with(b"<")
}

fn mismatch(why: impl Into<Detail>) -> Refusal {
    Refusal::new(Reason::FormatMismatch).detail(why)
}

const SUFFIXES: &[(&str, Format)] = &[
    (".tar.gz", Format::TarGz),
    (".tgz", Format::TarGz),
    (".tar", Format::Tar),
    (".tar.zst", Format::TarZst),
    (".tzst", Format::TarZst),
    (".zip", Format::Zip),
];

/// RFC 1952 §2.3.1.
const GZIP: &[u8] = b"\x1f\x8b";
/// RFC 8878 §3.1.1.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// APPNOTE 4.3.7: local file header.
const ZIP: &[u8] = b"PK\x03\x04";
/// APPNOTE 4.3.16: an end record comes first in a zip without entries.
const ZIP_EMPTY: &[u8] = b"PK\x05\x06";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_promises_a_format_in_any_case() {
        assert_eq!(Format::from_name("20240602_2015_PREP.TAR.GZ"), Some(Format::TarGz));
        assert_eq!(Format::from_name("p.tgz"), Some(Format::TarGz));
        assert_eq!(Format::from_name("p.tar.zst"), Some(Format::TarZst));
        assert_eq!(Format::from_name("p.gz"), None);
    }

    #[test]
    fn an_error_page_is_no_archive() {
        assert_eq!(Format::sniff(b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>"), None);
    }
}
