//! Sums that came beside a package: one for it (`p.tar.gz.sha256`), or a list
//! (`SHA256SUMS`). Any that names it must agree.
//!
//! Three forms: `HASH  NAME` and `HASH *NAME` (GNU), `SHA256 (NAME) = HASH` (BSD), and the
//! bare hash. The hash's length tells the algorithm. SHA-1 and MD5 are compared too: they
//! show damage on the way, nothing else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::Digest as _;

use super::verdict::{Warning, unreadable};
use crate::model::{Code, Digest, Rejection};

/// Compares sums that came after their package with it; a file that does not speak of it is
/// no contradiction.
pub fn compare(file: &File, name: &str, side: &str, content: &[u8]) -> Result<(), Rejection> {
    check(file, name, &[(side.to_owned(), content.to_vec())]).map(|_| ())
}

/// What the sums gave.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) sha256: Option<Digest>,
    pub(super) warnings: Vec<Warning>,
}

/// One line of a sums file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The hash, in binary; its length tells the algorithm.
    pub hash: Vec<u8>,
    /// The name beside it, without directories; `None` in a bare one.
    pub name: Option<String>,
}

/// Whether a file of this name holds sums and not a package.
pub fn is_sidecar(name: &str) -> bool {
    owner(name).is_some() || is_list(name)
}

/// The sums of a file: lines that are none are left out.
pub fn parse(content: &[u8]) -> Vec<Sum> {
    let content = content.get(..CONTENT_BYTES).unwrap_or(content);
    let text = String::from_utf8_lossy(content);
    text.trim_start_matches('\u{feff}').lines().take(LINES_MAX).filter_map(line).collect()
}

/// Compares every sum that is about the package.
pub(super) fn check(file: &File, name: &str, sidecars: &[(String, Vec<u8>)]) -> Result<Checked, Rejection> {
    let (checked, due) = gather(name, sidecars)?;
    if due.is_empty() {
        return Ok(checked);
    }
    agree(checked, &due, file)
}

/// The same for a package whose SHA-256 is known already: it is read only for sums of other kinds.
pub(super) fn check_known(
    file: impl FnOnce() -> io::Result<File>,
    name: &str,
    sha256: Digest,
    sidecars: &[(String, Vec<u8>)],
) -> Result<Checked, Rejection> {
    let (checked, due) = gather(name, sidecars)?;
    if due.iter().all(|(_, sum)| sum.hash == sha256.as_bytes()) {
        let sha256 = (!due.is_empty()).then_some(sha256);
        return Ok(Checked { sha256, ..checked });
    }
    agree(checked, &due, &file().map_err(unreadable)?)
}

/// A sum that must agree, with the sidecar that holds it.
type Due<'s> = Vec<(&'s str, Sum)>;

/// The sums that are about the package.
fn gather<'s>(name: &str, sidecars: &'s [(String, Vec<u8>)]) -> Result<(Checked, Due<'s>), Rejection> {
    let mut checked = Checked::default();
    let mut due: Due<'s> = Vec::new();
    for (side, content) in sidecars {
        match about(name, side, &parse(content)) {
            About::This(sums, warning) => {
                due.extend(sums.into_iter().map(|sum| (side.as_str(), sum)));
                checked.warnings.extend(warning);
            }
            About::Nothing => return Err(mismatch(side).detail(("no trae ninguna suma", "no sum in it"))),
            About::Others => checked.warnings.push(Warning::SumIgnored(side.clone())),
        }
    }
    Ok((checked, due))
}

fn agree(mut checked: Checked, due: &Due<'_>, file: &File) -> Result<Checked, Rejection> {
    let found = Sums::of(file, due)?;
    for (side, sum) in due {
        if !found.agrees(&sum.hash) {
            return Err(mismatch(side).detail(format!("≠ {}", hex(&sum.hash))));
        }
    }
    checked.sha256 = found.sha256.map(|sum| Digest::from(<[u8; 32]>::from(sum.finalize())));
    Ok(checked)
}

/// What a sidecar is about.
enum About {
    This(Vec<Sum>, Option<Warning>),
    /// It should be about this package, but holds no sum.
    Nothing,
    Others,
}

fn about(package: &str, side: &str, sums: &[Sum]) -> About {
    let naming: Vec<Sum> = sums.iter().filter(|sum| sum.name.as_deref() == Some(package)).cloned().collect();
    if !naming.is_empty() {
        return About::This(naming, None);
    }
    if owner(side) != Some(package) {
        return About::Others;
    }
    match sums {
        [] => About::Nothing,
        // The package may have been renamed on its way; its sum still speaks of it.
        [sum] => {
            let warning = sum.name.is_some().then(|| Warning::SumName(side.to_owned()));
            About::This(vec![sum.clone()], warning)
        }
        _ => About::Others,
    }
}

/// The file that a sidecar's name says it belongs to.
fn owner(side: &str) -> Option<&str> {
    let (owner, suffix) = side.rsplit_once('.')?;
    let known = SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known));
    (known && !owner.is_empty()).then_some(owner)
}

/// `SHA256SUMS`, `sha512sums.txt`, `MD5SUMS`…
fn is_list(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.strip_suffix(".txt").unwrap_or(&name);
    stem.strip_suffix("sums")
        .or_else(|| stem.strip_suffix("sum"))
        .is_some_and(|kind| SUFFIXES.contains(&kind))
}

fn line(text: &str) -> Option<Sum> {
    let text = text.trim();
    bsd(text).or_else(|| gnu(text))
}

/// `SHA256 (NAME) = HASH`
fn bsd(text: &str) -> Option<Sum> {
    let (algorithm, rest) = text.split_once(" (").or_else(|| text.split_once('('))?;
    let (name, hash) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(")= "))?;
    let hash = unhex(hash.trim())?;
    let algorithm = algorithm.trim().to_ascii_lowercase().replace('-', "");
    (Some(algorithm.as_str()) == algorithm_of(&hash)).then(|| Sum { hash, name: Some(base(name)) })
}

/// `HASH  NAME`, `HASH *NAME`, `HASH`; a backslash in front says that the name is escaped.
fn gnu(text: &str) -> Option<Sum> {
    let text = text.strip_prefix('\\').unwrap_or(text);
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (hash, name) = text.split_at_checked(end)?;
    let hash = unhex(hash)?;
    algorithm_of(&hash)?;
    let name = name.trim_start();
    let name = name.strip_prefix('*').unwrap_or(name);
    Some(Sum { hash, name: (!name.is_empty()).then(|| base(name)) })
}

fn base(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned()
}

fn algorithm_of(hash: &[u8]) -> Option<&'static str> {
    match hash.len() {
        16 => Some("md5"),
        20 => Some("sha1"),
        32 => Some("sha256"),
        64 => Some("sha512"),
        _ => None,
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty()
        || !text.len().is_multiple_of(2)
        || text.len() > 128
        || !text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn mismatch(side: &str) -> Rejection {
    Rejection::new(Code::SidecarMismatch).entry(side)
}

/// The hashes that were asked for, made in one reading.
#[derive(Default)]
struct Sums {
    md5: Option<md5::Md5>,
    sha1: Option<sha1::Sha1>,
    sha256: Option<sha2::Sha256>,
    sha512: Option<sha2::Sha512>,
}

impl Sums {
    fn of(file: &File, due: &[(&str, Sum)]) -> Result<Self, Rejection> {
        let asked = |length| due.iter().any(|(_, sum)| sum.hash.len() == length);
        let mut sums = Self {
            md5: asked(16).then(Default::default),
            sha1: asked(20).then(Default::default),
            sha256: asked(32).then(Default::default),
            sha512: asked(64).then(Default::default),
        };
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        loop {
            let count = file.read_at(&mut buffer, at).map_err(unreadable)?;
            if count == 0 {
                return Ok(sums);
            }
            sums.update(buffer.get(..count).unwrap_or_default());
            at += count as u64;
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        let Self { md5, sha1, sha256, sha512 } = self;
        md5.iter_mut().for_each(|sum| sum.update(bytes));
        sha1.iter_mut().for_each(|sum| sum.update(bytes));
        sha256.iter_mut().for_each(|sum| sum.update(bytes));
        sha512.iter_mut().for_each(|sum| sum.update(bytes));
    }

    fn agrees(&self, hash: &[u8]) -> bool {
        let found: Option<Vec<u8>> = match hash.len() {
            16 => self.md5.clone().map(|sum| sum.finalize().to_vec()),
            20 => self.sha1.clone().map(|sum| sum.finalize().to_vec()),
            32 => self.sha256.clone().map(|sum| sum.finalize().to_vec()),
            _ => self.sha512.clone().map(|sum| sum.finalize().to_vec()),
        };
        found.as_deref() == Some(hash)
    }
}

/// Suffixes of a sidecar, and the kinds of a list.
const SUFFIXES: &[&str] = &["sha256", "sha512", "sha1", "md5", "sha256sum", "sha512sum", "sha1sum", "md5sum"];

/// Bytes of a sums file that are read: thousands of lines.
const CONTENT_BYTES: usize = 1 << 20;
/// Lines of a sums file that are read.
const LINES_MAX: usize = 10_000;
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_read() {
        let hash = "d41d8cd98f00b204e9800998ecf8427e";
        for (text, name) in [
            (format!("{hash}  p.tar.gz\n"), Some("p.tar.gz")),
            (format!("\u{feff}{hash} *./out/p.tar.gz\r\n"), Some("p.tar.gz")),
            (format!("MD5 (p.tar.gz) = {}\n", hash.to_uppercase()), Some("p.tar.gz")),
            (format!("MD5(p.tar.gz)= {hash}\n"), Some("p.tar.gz")),
            (hash.to_owned(), None),
        ] {
            let sums = parse(text.as_bytes());
            assert_eq!(sums.len(), 1, "{text}");
            assert_eq!((hex(&sums[0].hash).as_str(), sums[0].name.as_deref()), (hash, name));
        }
        assert_eq!(parse(b"# comment\n\nSHA256 (p) = d41d8cd98f00b204e9800998ecf8427e\nabc  p\n"), []);
    }

    #[test]
    fn sidecars_are_known_by_name() {
        for name in
            ["p.tar.gz.sha256", "p.zip.MD5", "SHA256SUMS", "md5sums.txt", "sha1sum.txt", "p.tgz.sha512sum"]
        {
            assert!(is_sidecar(name), "{name}");
        }
        for name in ["p.tar.gz", "sums", "checksums.html", ".sha256"] {
            assert!(!is_sidecar(name), "{name}");
        }
    }
}
