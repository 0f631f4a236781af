//! `sha256sum` and its kin, and `-c`, with which scripts prove what they sent.

use std::fmt::Write as _;

use sha2::digest::DynDigest;

use crate::model::escape;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::super::source::Broken;
use super::cat::read;
use super::{Builtin, broken};

/// Which sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sha256,
    Sha512,
    Sha1,
    Md5,
    /// POSIX `cksum`.
    Crc,
}

#[derive(Debug)]
struct Sums {
    name: String,
    kind: Kind,
    check: bool,
    status_only: bool,
    quiet: bool,
    strict: bool,
    warn: bool,
    ignore_missing: bool,
    tag: bool,
    binary: bool,
    files: Vec<Word>,
}

const KNOWN: Known = &[
    ('c', "check", Value::None),
    ('b', "binary", Value::None),
    ('t', "text", Value::None),
    ('s', "status", Value::None),
    ('q', "quiet", Value::None),
    ('w', "warn", Value::None),
    ('a', "algorithm", Value::Needed),
    ('→', "strict", Value::None),
    ('←', "ignore-missing", Value::None),
    ('↑', "tag", Value::None),
];

pub(super) fn sums(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = call.options(KNOWN)?;
    let kind = match (call.name, options.value('a')) {
        ("sha256sum", None) | ("shasum", Some(b"256")) => Kind::Sha256,
        ("sha512sum", None) | ("shasum", Some(b"512")) => Kind::Sha512,
        ("sha1sum", None) | ("shasum", None | Some(b"1")) => Kind::Sha1,
        ("md5sum", None) => Kind::Md5,
        ("cksum", None) if !options.has('c') => Kind::Crc,
        _ => return Err(call.usage("sha256sum|sha512sum|sha1sum|md5sum [-c] [--status] [--quiet] FILE…")),
    };
    Ok(Box::new(Sums {
        name: call.name.to_owned(),
        kind,
        check: options.has('c'),
        status_only: options.has('s'),
        quiet: options.has('q'),
        strict: options.has('→'),
        warn: options.has('w'),
        ignore_missing: options.has('←'),
        tag: options.has('↑'),
        binary: options.has('b'),
        files: options.operands,
    }))
}

impl Kind {
    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Self::Sha256 => Box::new(sha2::Sha256::default()),
            Self::Sha512 => Box::new(sha2::Sha512::default()),
            Self::Sha1 => Box::new(sha1::Sha1::default()),
            // cksum has its own walk and never asks.
            Self::Md5 | Self::Crc => Box::new(md5::Md5::default()),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Sha1 => "SHA1",
            Self::Md5 => "MD5",
            Self::Crc => "CRC",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
            Self::Sha1 => 40,
            Self::Md5 => 32,
            Self::Crc => 0,
        }
    }

    /// The sum of the input, as it is printed; for cksum with the length.
    fn of_input(self, shell: &mut Shell<'_>) -> Result<String, Broken> {
        if self == Self::Crc {
            return cksum(shell);
        }
        let mut hasher = self.hasher();
        while let Some(piece) = shell.pull()? {
            hasher.update(&piece);
        }
        let mut text = String::new();
        for byte in hasher.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }
}

/// POSIX's CRC (XCU cksum): the length follows the data, lowest byte first.
fn cksum(shell: &mut Shell<'_>) -> Result<String, Broken> {
    let table: [u32; 256] = std::array::from_fn(|at| {
        let mut value = u32::try_from(at).unwrap_or_default() << 24;
        for _ in 0..8 {
            value = if value >> 31 == 1 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
        }
        value
    });
    let step = |crc: u32, byte: u8| {
        let at = usize::from((crc >> 24) as u8 ^ byte);
        crc << 8 ^ table.get(at).copied().unwrap_or_default()
    };
    let (mut crc, mut length) = (0_u32, 0_u64);
    while let Some(piece) = shell.pull()? {
        crc = piece.iter().fold(crc, |crc, byte| step(crc, *byte));
        length += piece.len() as u64;
    }
    let mut rest = length;
    while rest > 0 {
        crc = step(crc, (rest & 0xff) as u8);
        rest >>= 8;
    }
    Ok(format!("{} {length}", !crc))
}

/// One line of a list of sums.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    sum: String,
    name: Vec<u8>,
}

impl Listed {
    /// `SUM  NAME`, `SUM *NAME` or `SHA256 (NAME) = SUM`.
    fn parse(kind: Kind, line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        let is_sum = |text: &[u8]| text.len() == kind.digits() && text.iter().all(u8::is_ascii_hexdigit);
        let (sum, name) = match line.strip_prefix(kind.label().as_bytes()).and_then(|l| l.strip_prefix(b" ("))
        {
            Some(rest) => {
                let at = rest.windows(4).rposition(|w| w == b") = ")?;
                (rest.get(at + 4..)?, rest.get(..at)?)
            }
            None => {
                let (sum, rest) = line.split_at_checked(kind.digits())?;
                let name = rest.strip_prefix(b" ")?;
                (sum, name.strip_prefix(b" ").or_else(|| name.strip_prefix(b"*")).unwrap_or(name))
            }
        };
        let sum = String::from_utf8_lossy(sum).to_ascii_lowercase();
        (is_sum(sum.as_bytes()) && !name.is_empty()).then(|| Self { sum, name: name.to_vec() })
    }
}

/// What a check found.
#[derive(Debug, Default)]
struct Tally {
    good: u64,
    wrong: u64,
    unread: u64,
    bad_lines: u64,
}

impl Sums {
    fn print(&self, shell: &mut Shell<'_>) -> Done {
        if self.files.is_empty() {
            return self.print_one(shell, b"-");
        }
        let mut status = 0;
        for name in shell.expand(&self.files) {
            if !read(shell, &self.name, &name)? {
                status = 1;
                continue;
            }
            status |= self.print_one(shell, &name)?;
        }
        Ok(status)
    }

    fn print_one(&self, shell: &mut Shell<'_>, name: &[u8]) -> Done {
        let sum = match self.kind.of_input(shell) {
            Ok(sum) => sum,
            Err(why) => return broken(shell, &self.name, &escape(name), why),
        };
        let sum = sum.as_bytes();
        let line = match (self.kind, self.tag) {
            (Kind::Crc, _) if self.files.is_empty() => sum.to_vec(),
            (Kind::Crc, _) => [sum, b" ", name].concat(),
            (kind, true) => [kind.label().as_bytes(), b" (", name, b") = ", sum].concat(),
            (_, false) => [sum, if self.binary { b" *" } else { b"  " }, name].concat(),
        };
        shell.line(line)?;
        Ok(0)
    }

    fn check_all(&self, shell: &mut Shell<'_>) -> Done {
        let mut lists = shell.expand(&self.files);
        if lists.is_empty() {
            lists.push(b"-".to_vec());
        }
        let mut status = 0;
        for list in lists {
            if !read(shell, &self.name, &list)? {
                status = 1;
                continue;
            }
            status |= self.check_list(shell, &list)?;
        }
        Ok(status)
    }

    fn check_list(&self, shell: &mut Shell<'_>, list: &[u8]) -> Done {
        let shown = if list == b"-" { "'standard input'".to_owned() } else { escape(list) };
        let text = match read_list(shell) {
            Ok(text) => text,
            Err(why) => return broken(shell, &self.name, &shown, why),
        };
        let mut tally = Tally::default();
        for (at, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            match Listed::parse(self.kind, line) {
                Some(listed) => self.check_one(shell, &listed, &mut tally)?,
                None => {
                    tally.bad_lines += 1;
                    if self.warn {
                        let label = self.kind.label();
                        let number = at + 1;
                        shell.err(format!(
                            "{}: {shown}: {number}: improperly formatted {label} checksum line",
                            self.name
                        ))?;
                    }
                }
            }
        }
        self.judge(shell, &shown, &tally)
    }

    fn check_one(&self, shell: &mut Shell<'_>, listed: &Listed, tally: &mut Tally) -> Result<(), Gone> {
        let name = &listed.name;
        let missing = || shell.path(name).and_then(|path| shell.view.stat(&path)).is_err();
        if self.ignore_missing && missing() {
            return Ok(());
        }
        let sum = match read(shell, &self.name, name)? {
            false => None,
            true => match self.kind.of_input(shell) {
                Ok(sum) => Some(sum),
                Err(why) => {
                    broken(shell, &self.name, &escape(name), why)?;
                    None
                }
            },
        };
        let verdict: &[u8] = match sum {
            Some(sum) if sum == listed.sum => {
                tally.good += 1;
                if self.quiet || self.status_only {
                    return Ok(());
                }
                b": OK"
            }
            Some(_) => {
                tally.wrong += 1;
                b": FAILED"
            }
            None => {
                tally.unread += 1;
                b": FAILED open or read"
            }
        };
        if self.status_only { Ok(()) } else { shell.line([name.as_slice(), verdict].concat()) }
    }

    fn judge(&self, shell: &mut Shell<'_>, list: &str, tally: &Tally) -> Done {
        let name = &self.name;
        let Tally { good, wrong, unread, bad_lines } = tally;
        if good + wrong + unread == 0 && (*bad_lines > 0 || !self.ignore_missing) {
            shell.err(format!("{name}: {list}: no properly formatted checksum lines found"))?;
            return Ok(1);
        }
        if !self.status_only {
            let warnings = [
                (*bad_lines, "line is improperly formatted", "lines are improperly formatted"),
                (*unread, "listed file could not be read", "listed files could not be read"),
                (*wrong, "computed checksum did NOT match", "computed checksums did NOT match"),
            ];
            for (count, one, many) in warnings.into_iter().filter(|(count, ..)| *count > 0) {
                shell.err(format!("{name}: WARNING: {count} {}", if count == 1 { one } else { many }))?;
            }
        }
        let none = self.ignore_missing && good + wrong + unread == 0;
        if none && !self.status_only {
            shell.err(format!("{name}: {list}: no file was verified"))?;
        }
        Ok(u32::from(none || wrong + unread > 0 || (self.strict && *bad_lines > 0)))
    }
}

/// A list of sums, at most [`LIST_BYTES_MAX`] of it.
fn read_list(shell: &mut Shell<'_>) -> Result<Vec<u8>, Broken> {
    let mut text = Vec::new();
    while let Some(piece) = shell.pull()? {
        if text.len() + piece.len() > LIST_BYTES_MAX {
            return Err(Broken::TooBig);
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

impl Builtin for Sums {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        if self.check { self.check_all(shell) } else { self.print(shell) }
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        let label = self.kind.label();
        if self.files.is_empty() {
            let (check, sum) = (
                teller.say("comprueba las sumas que llegan", "checks the sums that come in"),
                teller.say("calcula la suma de lo que llega", "computes the sum of what comes in"),
            );
            return format!("{} ({label})", if self.check { check } else { sum });
        }
        if self.check {
            let text = teller.about("comprueba las sumas de", "checks the sums in", &self.files);
            return format!("{text} ({label})");
        }
        let text = teller.about("calcula la suma de", "computes the sum of", &self.files);
        format!("{text} ({label})")
    }
}

/// Bytes of a list of sums: one for each of 6,000 files of a site fits three times.
const LIST_BYTES_MAX: usize = 2 << 20;
