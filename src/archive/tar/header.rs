//! One 512-byte tar header: v7, ustar (POSIX.1-1988) or GNU, read one way only.

use super::super::{Reason, Refusal};

/// Bytes of a block, a header among them.
pub(in super::super) const BLOCK: usize = 512;

/// A header whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Raw name, the ustar prefix in front.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
}

/// The types that may pass, and those that say what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
    /// A directory by the slash at its name's end, as before POSIX.
    OldDir,
    /// `x`: PAX records for the next entry.
    Pax,
    /// `g`: PAX records for all that follow.
    PaxGlobal,
    /// GNU `L`: the name of the next entry.
    LongName,
    /// GNU `K`: the target of the next entry, which is a link.
    LongLink,
    /// A link, device, FIFO, sparse file or something unknown, by its type byte.
    Other(u8),
}

impl Header {
    /// Reads a block that is not all zeros.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, Refusal> {
        check_sum(block)?;
        let dialect = Dialect::of(block)?;
        let name = name_of(block, dialect)?;
        let (kind, size, mtime) = facts(block, &name).map_err(|refusal| refusal.entry(&name))?;
        Ok(Self { name, kind, size, mtime })
    }
}

fn facts(block: &[u8; BLOCK], name: &[u8]) -> Result<(Kind, u64, i64), Refusal> {
    let kind = kind_of(block, name)?;
    if let Kind::Other(_) = kind {
        // To be refused by its type, whatever else is wrong with it.
        return Ok((kind, 0, 0));
    }
    let size = number(field(block, SIZE)).and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| bad(("tamaño", "size")))?;
    let mtime = number_or_blank(field(block, MTIME)).ok_or_else(|| bad(("fecha", "mtime")))?;
    match kind {
        Kind::Dir | Kind::OldDir if size > 0 => {
            Err(ambiguous(("una carpeta con datos", "a directory with data")))
        }
        kind => Ok((kind, size, mtime)),
    }
}

/// Whether these bytes may be the start of a tar: by its magic word, or as a v7 header
/// whose numbers are numbers. An all-zero block is the end of an empty tar.
pub(in super::super) fn looks_like(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<BLOCK>() else {
        return head.get(257..262) == Some(b"ustar");
    };
    let octal = |range| number(field(block, range)).is_some();
    let v7 = block.first() != Some(&0) && octal(CHECKSUM) && octal(SIZE) && octal(MODE);
    block.get(257..262) == Some(b"ustar") || v7 || is_zero(block)
}

/// Whether nothing but zeros is there.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

/// Which fields beyond the first 257 bytes mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V7,
    Ustar,
    Gnu,
}

impl Dialect {
    fn of(block: &[u8; BLOCK]) -> Result<Self, Refusal> {
        let dialect = match field(block, MAGIC) {
            // The version after POSIX's magic word is 00; some writers leave it blank.
            [b'u', b's', b't', b'a', b'r', 0, ..] => Self::Ustar,
            b"ustar  \0" => Self::Gnu,
            magic if is_zero(magic) => Self::V7,
            _ => return Err(bad(("marca desconocida", "unknown magic word"))),
        };
        let unused = match dialect {
            Self::Ustar => USTAR_UNUSED,
            Self::V7 | Self::Gnu => PREFIX_ON,
        };
        // Times of incremental GNU and star archives stand where ustar has its prefix:
        // Python's tarfile reads them as part of the name, GNU tar does not.
        if is_zero(field(block, unused)) {
            Ok(dialect)
        } else {
            Err(ambiguous(("campos sin uso que llevan datos", "unused fields are set")))
        }
    }
}

fn name_of(block: &[u8; BLOCK], dialect: Dialect) -> Result<Vec<u8>, Refusal> {
    let name = text(field(block, NAME))?;
    if dialect != Dialect::Ustar {
        return Ok(name.to_vec());
    }
    match text(field(block, PREFIX))? {
        b"" => Ok(name.to_vec()),
        prefix => Ok([prefix, b"/", name].concat()),
    }
}

fn kind_of(block: &[u8; BLOCK], name: &[u8]) -> Result<Kind, Refusal> {
    let slash = name.ends_with(b"/");
    match field(block, TYPE) {
        // Before POSIX a directory was a file of no bytes whose name ends in a slash.
        [0] if slash => Ok(Kind::OldDir),
        // A slash at its end may be where a long name was cut: the whole name decides.
        [0] | b"0" => Ok(Kind::File),
        b"5" => Ok(Kind::Dir),
        b"x" => Ok(Kind::Pax),
        b"g" => Ok(Kind::PaxGlobal),
        b"L" => Ok(Kind::LongName),
        b"K" => Ok(Kind::LongLink),
        [other] => Ok(Kind::Other(*other)),
        _ => Err(bad(("tipo", "type"))),
    }
}

/// A text up to its first NUL; what follows that must be NUL too.
fn text(field: &[u8]) -> Result<&[u8], Refusal> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    if is_zero(rest) {
        Ok(text)
    } else {
        Err(ambiguous(("el nombre sigue después de su NUL", "a name goes on behind its NUL")).entry(text))
    }
}

/// The sum of all bytes with the checksum field as blanks, unsigned as POSIX says
/// or signed as old Suns wrote it.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), Refusal> {
    let blanks = 8 * i64::from(b' ');
    let (mut unsigned, mut signed) = (blanks, blanks);
    for (at, byte) in block.iter().enumerate() {
        if !(CHECKSUM.0..CHECKSUM.1).contains(&at) {
            unsigned += i64::from(*byte);
            signed += i64::from(i8::from_ne_bytes([*byte]));
        }
    }
    match number(field(block, CHECKSUM)) {
        Some(found) if found == unsigned || found == signed => Ok(()),
        _ => Err(Refusal::new(Reason::HeaderChecksum)),
    }
}

/// Octal digits with blanks before and blanks or NULs after, or base-256 (GNU, star).
fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80 | 0xff => base256(field),
        _ => octal(field),
    }
}

fn number_or_blank(field: &[u8]) -> Option<i64> {
    let blank = field.iter().all(|b| matches!(b, 0 | b' '));
    if blank { Some(0) } else { number(field) }
}

fn octal(field: &[u8]) -> Option<i64> {
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|b| !matches!(b, b'0'..=b'7')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if digits.is_empty() || !rest.iter().all(|b| matches!(b, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_i64, |sum, b| sum.checked_mul(8)?.checked_add(i64::from(b - b'0')))
}

/// Two's complement, big endian; the first byte holds only the mark and the sign.
fn base256(field: &[u8]) -> Option<i64> {
    let (mark, rest) = field.split_first()?;
    let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let fill = if *mark == 0xff { 0xff } else { 0 };
    let value = i64::from_be_bytes(low.try_into().ok()?);
    let fits = high.iter().all(|b| *b == fill) && (value < 0) == (fill == 0xff);
    fits.then_some(value)
}

fn field(block: &[u8; BLOCK], (from, to): (usize, usize)) -> &[u8] {
    block.get(from..to).unwrap_or_default()
}

fn bad((es, en): (&str, &str)) -> Refusal {
    Refusal::new(Reason::HeaderBad).detail((format!("tar: {es}"), format!("tar: {en}")))
}

fn ambiguous(what: (&str, &str)) -> Refusal {
    Refusal::new(Reason::HeaderAmbiguous).detail(what)
}

// Fields by first and last-but-one byte, as in POSIX.1-1988 §10.1.1.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 108);
const SIZE: (usize, usize) = (124, 136);
const MTIME: (usize, usize) = (136, 148);
const CHECKSUM: (usize, usize) = (148, 156);
const TYPE: (usize, usize) = (156, 157);
const MAGIC: (usize, usize) = (257, 265);
const PREFIX: (usize, usize) = (345, 500);
/// From the prefix to the end: nothing in v7, times and sparse maps in GNU archives.
const PREFIX_ON: (usize, usize) = (345, BLOCK);
const USTAR_UNUSED: (usize, usize) = (500, BLOCK);
