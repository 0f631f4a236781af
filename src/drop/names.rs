//! Names: which make a file a package, which a sidecar, which are only on their way.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;

use md5::Digest as _;

use crate::archive::Format;
use crate::durable::Dir;
use crate::model::{Hasher, escape};

/// The names that are packages.
#[derive(Clone, Debug)]
pub(super) struct Names {
    patterns: Vec<Vec<u8>>,
}

impl Names {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self { patterns: patterns.iter().map(|p| p.to_ascii_lowercase().into_bytes()).collect() }
    }

    /// Whether a whole file of this name is a package.
    pub(super) fn is_package(&self, name: &OsStr) -> bool {
        let name = name.as_bytes().to_ascii_lowercase();
        let passing = name.starts_with(b".") || PASSING.iter().any(|end| name.ends_with(end.as_bytes()));
        !passing && !is_sidecar(&String::from_utf8_lossy(&name)) && self.fits(&name)
    }

    /// Whether it is one or may be renamed to one: then its hash is wanted.
    pub(super) fn may_become_package(&self, name: &OsStr) -> bool {
        let lower = name.as_bytes().to_ascii_lowercase();
        let holds = |suffix: &str| lower.windows(suffix.len()).any(|part| part == suffix.as_bytes());
        self.is_package(name) || HINTS.iter().any(|hint| holds(hint))
    }

    fn fits(&self, name: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, name))
    }
}

/// Shell pattern with `*` and `?`: the usual walk with one point of return.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                back = Some((p, n));
                p += 1;
            }
            (Some(b'?'), Some(_)) => (p, n) = (p + 1, n + 1),
            (Some(a), Some(b)) if a == b => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((star, at)) => {
                    (p, n) = (star + 1, at + 1);
                    back = Some((star, at + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

/// Whether two names say the same container: a package that only moves between
/// such names is not a new one.
pub(super) fn same_format(a: &OsStr, b: &OsStr) -> bool {
    let format = |name: &OsStr| Format::from_name(&name.to_string_lossy());
    format(a) == format(b)
}

/// Whether a file of this name holds sums.
pub(super) fn is_sidecar(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_list(&name)
        || name.rsplit_once('.').is_some_and(|(owner, end)| !owner.is_empty() && SUMS.contains(&end))
}

/// `SHA256SUMS`, `md5sums.txt`…: may speak of any file beside it.
pub(super) fn is_list(lower: &str) -> bool {
    let stem = lower.strip_suffix(".txt").unwrap_or(lower);
    let kind = stem.strip_suffix("sums").or_else(|| stem.strip_suffix("sum"));
    kind.is_some_and(|kind| SUMS.contains(&kind))
}

/// A sidecar that lies beside a package.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// Its name on disk.
    pub(super) name: String,
    /// What it says.
    pub(super) content: Vec<u8>,
    /// Whether it is about this one package only.
    pub(super) own: bool,
}

/// The sidecars in `dir` that may speak of `package`. One that agrees with `before` (the
/// package of that name that stood here until now) is that one's: many institutes send
/// `prep.tar.gz` and then its sum, each quarter of an hour, under the same two names, and
/// the sum of the last cut must not condemn the next.
pub(super) fn sidecars(
    dir: &Dir,
    package: &OsStr,
    before: Option<&std::fs::File>,
) -> io::Result<Vec<Sidecar>> {
    let mut found = Vec::new();
    for listed in dir.list()? {
        let Some(name) = listed.name.to_str().filter(|_| listed.is_file()) else { continue };
        let own = name.rsplit_once('.').is_some_and(|(owner, _)| OsStr::new(owner) == package);
        if found.len() == SIDECARS_MAX || !is_sidecar(name) || !(own || is_list(&name.to_ascii_lowercase())) {
            continue;
        }
        // One that cannot be read, or is too long for sums, says nothing.
        let Ok(content) = dir.read(&listed.name, SIDECAR_BYTES) else { continue };
        found.push(Sidecar { name: name.to_owned(), content, own });
    }
    if let Some(before) = before.filter(|_| !found.is_empty()) {
        let sums = sums_of(before)?;
        found.retain(|side| !speaks_of(&side.content, &sums));
    }
    Ok(found)
}

/// Whether one of the sums stands in a sidecar.
pub(super) fn speaks_of(content: &[u8], sums: &[String]) -> bool {
    let text = String::from_utf8_lossy(content).to_ascii_lowercase();
    sums.iter().any(|sum| text.contains(sum.as_str()))
}

/// All the sums of a file that a sidecar could hold, in lower-case hexadecimal.
pub(super) fn sums_of(mut file: &std::fs::File) -> io::Result<Vec<String>> {
    use std::io::Seek as _;
    file.rewind()?;
    let (mut sha256, mut sha512) = (Hasher::new(), sha2::Sha512::new());
    let (mut sha1, mut md5) = (sha1::Sha1::new(), md5::Md5::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        sha256.update(bytes);
        sha512.update(bytes);
        sha1.update(bytes);
        md5.update(bytes);
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Ok(vec![
        sha256.finish().to_string(),
        hex(&sha512.finalize()),
        hex(&sha1.finalize()),
        hex(&md5.finalize()),
    ])
}

/// A name for people: one line, whatever bytes it holds.
pub(super) fn shown(name: &OsStr) -> String {
    escape(name.as_bytes())
}

/// Ends of names that say "not whole yet", in lower case.
const PASSING: [&str; 6] = [".tmp", ".part", ".filepart", ".partial", ".swp", "~"];

/// What a temporary name of a package usually still holds.
const HINTS: [&str; 4] = [".tar", ".tgz", ".zip", ".tzst"];

/// Kinds of sums, as suffix and as the front of `…SUMS`.
const SUMS: [&str; 8] = ["sha256", "sha512", "sha1", "md5", "sha256sum", "sha512sum", "sha1sum", "md5sum"];

/// Bytes of a sidecar: a list of 500 files is 64 KiB.
pub(super) const SIDECAR_BYTES: u64 = 64 << 10;

/// Sidecars that travel with one package: the four kinds, alone and as lists.
const SIDECARS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(&["*.tar.gz".to_owned(), "*.ZIP".to_owned(), "prep?.bin".to_owned()])
    }

    #[test]
    fn only_whole_names_are_packages() {
        for yes in ["a.tar.gz", "A.TAR.GZ", "20240602_2000_PREP.zip", "prep1.bin"] {
            assert!(names().is_package(OsStr::new(yes)), "{yes}");
        }
        for no in [
            ".a.tar.gz",
            "a.tar.gz.filepart",
            "a.tar.gz~",
            "a.tar.gz.sha256",
            "a.gz",
            "prep10.bin",
            "index.html",
        ] {
            assert!(!names().is_package(OsStr::new(no)), "{no}");
        }
        assert!(names().may_become_package(OsStr::new(".x.tar.gz.AbCdEf")));
        assert!(!names().may_become_package(OsStr::new("index.html")));
    }

    #[test]
    fn a_pattern_of_stars_is_walked_in_bounded_time() {
        let pattern = "*a".repeat(30) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(200).as_bytes()));
        assert!(matches(b"*a*b*", b"xxaxxbxx"));
    }

    #[test]
    fn sums_are_known_by_their_names() {
        for yes in ["p.tar.gz.sha256", "SHA256SUMS", "md5sum.txt", "p.zip.MD5"] {
            assert!(is_sidecar(yes), "{yes}");
        }
        for no in ["p.tar.gz", "sums", ".sha256", "x.txt"] {
            assert!(!is_sidecar(no), "{no}");
        }
    }
}
