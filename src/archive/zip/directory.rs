//! One central directory record (APPNOTE 4.3.12) and what its extra fields add.

use super::super::source::Source;
use super::super::{Error, Reason, Refusal};
use super::{Fields, bad, text};

/// A central record, read.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Bytes that it takes.
    pub(super) length: u64,
    /// The name as it stands.
    pub(super) name: Vec<u8>,
    /// The name as it is meant.
    pub(super) path: String,
    pub(super) facts: Facts,
}

/// What both headers of an entry say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) raw_name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    /// DOS time and date.
    pub(super) dos: [u16; 2],
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) extra: Extra,
    /// Only in the directory: place of the local header.
    pub(super) offset: u64,
    /// Only in the directory: file type bits of the Unix mode, 0 if there are none.
    mode_type: u32,
    pub(super) kind: Kind,
    dos_directory: bool,
}

/// Entries are one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
}

/// The extra fields that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    /// Payload of the zip64 field (0x0001).
    zip64: Option<Vec<u8>>,
    /// Info-ZIP Unicode path (0x7075): CRC of the raw name, and the name.
    pub(super) unicode: Option<(u32, Vec<u8>)>,
    /// Seconds since 1970 (0x5455).
    pub(super) mtime: Option<i64>,
}

impl Record {
    /// The record at `at`.
    pub(super) fn read(source: Source<'_>, at: u64) -> Result<Self, Error> {
        let fixed = source
            .array::<FIXED>(at)?
            .ok_or_else(|| bad(("el directorio rebasa su lugar", "directory overruns")))?;
        let (facts, lengths) = fixed_fields(&fixed)
            .ok_or_else(|| bad(("no es un registro del directorio", "no directory record")))?;
        let [name, extra, comment] = lengths.map(usize::from);
        let body = source
            .get(at + FIXED as u64, name + extra)?
            .ok_or_else(|| bad(("el directorio rebasa su lugar", "directory overruns")))?;
        let (name, extra) = body
            .split_at_checked(name)
            .ok_or_else(|| bad(("el directorio rebasa su lugar", "directory overruns")))?;
        let length = (FIXED + body.len() + comment) as u64;
        let facts = complete(facts, name, extra).map_err(|refusal| refusal.entry(name))?;
        let path = text::decode(&facts).map_err(|refusal| refusal.entry(name))?;
        Ok(Self { length, name: name.to_vec(), path, facts })
    }
}

impl Facts {
    /// Whether this is an entry that is read at all.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        // Bits 0, 6 and 13: encrypted, strongly so, directory masked. Method 99 is AES.
        if self.flags & 0x2041 != 0 || self.method == AES {
            return Err(Refusal::new(Reason::ZipEncrypted));
        }
        if !matches!(self.method, STORED | DEFLATED) || self.flags & PATCHED != 0 {
            return Err(Refusal::new(Reason::ZipMethod).detail(format!("{}", self.method)));
        }
        match (self.mode_type, self.kind) {
            (0, _) | (S_IFREG, Kind::File) | (S_IFDIR, Kind::Dir) => {}
            (S_IFREG | S_IFDIR, _) => {
                return Err(ambiguous((
                    "modo y nombre se contradicen sobre si es carpeta",
                    "mode and name disagree about a directory",
                )));
            }
            (S_IFLNK, _) => {
                return Err(Refusal::new(Reason::EntryType).detail(("enlace simbólico", "symbolic link")));
            }
            (kind, _) => return Err(Refusal::new(Reason::EntryType).detail(format!("0{kind:o}"))),
        }
        if self.dos_directory && self.kind == Kind::File {
            return Err(ambiguous((
                "atributos y nombre se contradicen sobre si es carpeta",
                "attributes and name disagree about a directory",
            )));
        }
        if self.kind == Kind::Dir && self.size > 0 {
            return Err(ambiguous(("una carpeta con datos", "a directory with data")));
        }
        if self.method == STORED && self.packed != self.size {
            return Err(Refusal::new(Reason::SizeMismatch).detail(format!("{} ≠ {}", self.packed, self.size)));
        }
        Ok(())
    }

    /// Whether sizes and CRC follow the data.
    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }
}

/// The fields of fixed length, and the lengths of name, extra fields and comment.
fn fixed_fields(fixed: &[u8]) -> Option<(Facts, [u16; 3])> {
    let mut f = Fields(fixed);
    (f.take(4)? == SIGNATURE).then_some(())?;
    // Version made by, version needed.
    f.take(4)?;
    let (flags, method) = (f.u16()?, f.u16()?);
    let dos = [f.u16()?, f.u16()?];
    let (crc, packed, size) = (f.u32()?, f.u32()?, f.u32()?);
    let lengths = [f.u16()?, f.u16()?, f.u16()?];
    let disk = f.u16()?;
    (disk == 0 || disk == u16::MAX).then_some(())?;
    // Internal attributes.
    f.take(2)?;
    let (attributes, offset) = (f.u32()?, f.u32()?);
    let facts = Facts {
        raw_name: Vec::new(),
        flags,
        method,
        dos,
        crc,
        packed: packed.into(),
        size: size.into(),
        extra: Extra::default(),
        offset: offset.into(),
        mode_type: attributes >> 16 & S_IFMT,
        kind: Kind::File,
        dos_directory: attributes & DOS_DIRECTORY != 0,
    };
    Some((facts, lengths))
}

/// Adds what name and extra fields say.
fn complete(mut facts: Facts, name: &[u8], extra: &[u8]) -> Result<Facts, Refusal> {
    facts.extra = Extra::parse(extra)?;
    facts.raw_name = name.to_vec();
    facts.kind = if name.ends_with(b"/") { Kind::Dir } else { Kind::File };
    let mut wide = [&mut facts.size, &mut facts.packed, &mut facts.offset];
    widen(&mut wide, facts.extra.zip64.as_deref())?;
    Ok(facts)
}

/// Replaces every value that says "see zip64" (APPNOTE 4.5.3). The field holds those
/// values only, in this order; more (a disk number) may follow, less may not.
pub(super) fn widen(values: &mut [&mut u64], zip64: Option<&[u8]>) -> Result<(), Refusal> {
    let mut fields = Fields(zip64.unwrap_or_default());
    for value in values.iter_mut().filter(|value| ***value == u64::from(u32::MAX)) {
        **value =
            fields.u64().ok_or_else(|| bad(("campo zip64 demasiado corto", "zip64 field too short")))?;
    }
    Ok(())
}

impl Extra {
    /// Reads all fields of a header; any of ours that comes twice could be read two ways.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut extra = Self::default();
        let mut fields = Fields(bytes);
        // Up to three bytes of padding are left by tools that align data.
        while fields.0.len() >= 4 {
            let (id, length) = (fields.u16().unwrap_or(0), fields.u16().unwrap_or(0));
            let body = fields
                .take(length.into())
                .ok_or_else(|| bad(("un campo adicional rebasa su lugar", "extra field overruns")))?;
            let twice = match id {
                0x0001 => extra.zip64.replace(body.to_vec()).is_some(),
                0x7075 => extra.unicode.replace(unicode(body)?).is_some(),
                0x5455 => extra.mtime(body),
                _ => false,
            };
            if twice {
                return Err(ambiguous(("un campo adicional viene dos veces", "an extra field comes twice")));
            }
        }
        if fields.0.iter().any(|b| *b != 0) {
            return Err(bad(("un campo adicional rebasa su lugar", "extra field overruns")));
        }
        Ok(extra)
    }

    pub(super) fn zip64(&self) -> Option<&[u8]> {
        self.zip64.as_deref()
    }

    /// Info-ZIP's extended timestamp: flags, then the modification time if bit 0 is set.
    fn mtime(&mut self, body: &[u8]) -> bool {
        let mut fields = Fields(body);
        let flags = fields.take(1).and_then(|flags| flags.first()).copied().unwrap_or(0);
        match fields.array().map(i32::from_le_bytes) {
            Some(mtime) if flags & 1 != 0 => self.mtime.replace(mtime.into()).is_some(),
            _ => false,
        }
    }
}

fn unicode(body: &[u8]) -> Result<(u32, Vec<u8>), Refusal> {
    let mut fields = Fields(body);
    let version = fields.take(1);
    let crc = fields.u32().filter(|_| version == Some(&[1]));
    crc.map(|crc| (crc, fields.0.to_vec()))
        .ok_or_else(|| bad(("campo de ruta Unicode", "unicode path field")))
}

fn ambiguous(what: (&str, &str)) -> Refusal {
    Refusal::new(Reason::ZipAmbiguous).detail(what)
}

pub(super) const SIGNATURE: &[u8] = b"PK\x01\x02";
const FIXED: usize = 46;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
const AES: u16 = 99;
const DESCRIPTOR: u16 = 8;
const PATCHED: u16 = 0x20;
const DOS_DIRECTORY: u32 = 0x10;

// File types of a Unix mode.
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
