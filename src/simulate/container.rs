//! tar.gz and zip, written byte by byte so that nothing in them depends on the machine.
//!
//! Fixed owner, mode and times; gzip without name and time. A [`Packed`] body is
//! compressed once and copied into as many containers as it lies in.

use std::ops::Range;
use std::sync::Arc;

use flate2::Crc;
use jiff::Timestamp;

use super::deflate::{self, Effort};
use crate::model::Digest;

/// The body of a file, ready to be copied into a container.
pub(super) struct Packed {
    /// Bytes before compression.
    pub(super) len: u64,
    /// SHA-256 before compression.
    pub(super) digest: Digest,
    crc: Crc,
    deflated: Vec<u8>,
}

impl Packed {
    /// Packs `raw`.
    pub(super) fn new(raw: &[u8], effort: Effort) -> Self {
        let mut deflated = Vec::new();
        deflate::fragment(raw, effort, &mut deflated);
        Self { len: raw.len() as u64, digest: Digest::of(raw), crc: crc(raw), deflated }
    }

    /// Only measured: for files that no container takes.
    pub(super) fn measured(raw: &[u8]) -> Self {
        Self { len: raw.len() as u64, digest: Digest::of(raw), crc: Crc::new(), deflated: Vec::new() }
    }

    /// `mebibytes` of zeros, from one compressed piece repeated: a bomb costs its maker
    /// nothing. The digest is that of nothing; no manifest lists it.
    pub(super) fn zeros(mebibytes: u32) -> Self {
        let piece = Self::new(&vec![0; 1 << 20], Effort::Match);
        let mut whole = Self { len: 0, digest: Digest::of(b""), crc: Crc::new(), deflated: Vec::new() };
        for _ in 0..mebibytes {
            whole.len += piece.len;
            whole.crc.combine(&piece.crc);
            whole.deflated.extend_from_slice(&piece.deflated);
        }
        whole
    }

    /// Bytes after compression.
    pub(super) fn packed_len(&self) -> usize {
        self.deflated.len()
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
    Symlink(&'static str),
    Hardlink(&'static str),
    Fifo,
}

/// One entry of a container.
#[derive(Clone)]
pub(super) struct Entry {
    /// As it will stand in the container.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) body: Arc<Packed>,
}

/// A container and where each entry's compressed body lies in it.
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) bodies: Vec<Range<usize>>,
}

/// How a tar ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Two blocks of zeros, filled up to GNU tar's record of 10,240 bytes.
    Whole,
    /// In the middle of the last entry, inside an intact gzip.
    Torn,
}

/// A GNU tar in one gzip member.
pub(super) fn tar_gz(entries: &[Entry], ending: Ending) -> Built {
    let mut gz = Gzip::new();
    let mut bodies = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.name.len() > NAME_MAX {
            // GNU's way for long names: an entry of type L whose body is the name.
            let mut name = entry.name.clone();
            name.push(0);
            gz.raw(&header(b"././@LongLink", name.len() as u64, b'L', b"", 0));
            gz.raw(&name);
            gz.pad(name.len() as u64);
        }
        let (kind, link) = match entry.kind {
            Kind::File => (b'0', ""),
            Kind::Dir => (b'5', ""),
            Kind::Symlink(to) => (b'2', to),
            Kind::Hardlink(to) => (b'1', to),
            Kind::Fifo => (b'6', ""),
        };
        gz.raw(&header(&entry.name, entry.body.len, kind, link.as_bytes(), entry.mtime));
        bodies.push(gz.body(&entry.body));
        gz.pad(entry.body.len);
    }
    match ending {
        Ending::Whole => {
            let end = gz.len + 1024;
            gz.raw(&vec![0; (end.next_multiple_of(RECORD) - gz.len) as usize]);
        }
        Ending::Torn => {
            gz.raw(&header(b"./zz-fin.json", 4096, b'0', b"", 0));
            gz.raw(b"{\"actasCapturadas\":");
        }
    }
    Built { bytes: gz.finish(), bodies }
}

/// `bytes` in one gzip member.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = Gzip::new();
    gz.raw(bytes);
    gz.finish()
}

/// A gzip member in the making.
#[derive(Default)]
struct Gzip {
    out: Vec<u8>,
    crc: Crc,
    /// Bytes before compression, so far.
    len: u64,
    /// Headers and padding that still wait to be compressed, together.
    pending: Vec<u8>,
}

impl Gzip {
    /// Without name and time; made on Unix (RFC 1952 §2.3).
    fn new() -> Self {
        Self { out: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], ..Self::default() }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.len += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
    }

    fn pad(&mut self, len: u64) {
        let zeros = len.next_multiple_of(BLOCK) - len;
        self.raw(&vec![0; zeros as usize]);
    }

    fn body(&mut self, body: &Packed) -> Range<usize> {
        if body.len > 0 {
            self.flush();
            self.out.extend_from_slice(&body.deflated);
            self.crc.combine(&body.crc);
            self.len += body.len;
        }
        self.out.len() - body.deflated.len()..self.out.len()
    }

    fn flush(&mut self) {
        deflate::fragment(&self.pending, Effort::Match, &mut self.out);
        self.pending.clear();
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out.extend_from_slice(&deflate::END);
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&(self.len as u32).to_le_bytes());
        self.out
    }
}

/// A tar header in GNU's old format.
fn header(name: &[u8], size: u64, kind: u8, link: &[u8], mtime: i64) -> [u8; BLOCK as usize] {
    let mode = if kind == b'5' { "0000755\0" } else { "0000644\0" };
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    put(0, name.get(..NAME_MAX).unwrap_or(name));
    put(100, mode.as_bytes());
    put(108, b"0001000\x000001000\0");
    put(124, format!("{size:011o}\0{mtime:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link);
    put(257, b"ustar  \0prep");
    put(297, b"prep");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    let sum = format!("{sum:06o}\0 ");
    block.iter_mut().skip(148).zip(sum.as_bytes()).for_each(|(to, from)| *to = *from);
    block
}

/// A zip. `offset_seconds` is the zone its DOS times are written in; `wrong_crc` names an
/// entry whose checksum shall be false.
pub(super) fn zip(entries: &[Entry], offset_seconds: i32, wrong_crc: Option<usize>) -> Built {
    let mut out = Vec::new();
    let mut central = Vec::new();
    let mut bodies = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let at = out.len() as u32;
        let fields = zip_fields(entry, offset_seconds, wrong_crc == Some(index));
        out.extend_from_slice(b"PK\x03\x04\x14\0");
        out.extend_from_slice(&fields);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&entry.name);
        let start = out.len();
        if entry.body.len > 0 {
            out.extend_from_slice(&entry.body.deflated);
            out.extend_from_slice(&deflate::END);
        }
        bodies.push(start..out.len());
        let mode: u32 = if entry.kind == Kind::Dir { 0o040_755 } else { 0o100_644 };
        central.extend_from_slice(b"PK\x01\x02\x14\x03\x14\0");
        central.extend_from_slice(&fields);
        central.extend_from_slice(&[0; 8]);
        central.extend_from_slice(&(mode << 16).to_le_bytes());
        central.extend_from_slice(&at.to_le_bytes());
        central.extend_from_slice(&entry.name);
    }
    let (at, count) = (out.len() as u32, entries.len() as u16);
    out.extend_from_slice(&central);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&(central.len() as u32).to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    Built { bytes: out, bodies }
}

/// What the two headers of an entry share: flags to name length.
fn zip_fields(entry: &Entry, offset_seconds: i32, wrong_crc: bool) -> Vec<u8> {
    // A name that is not ASCII is marked as UTF-8 where it is; CP437 has no mark.
    let marked = !entry.name.is_ascii() && std::str::from_utf8(&entry.name).is_ok();
    let packed = match entry.body.len {
        0 => 0,
        _ => entry.body.packed_len() + deflate::END.len(),
    };
    let crc = entry.body.crc.sum() ^ u32::from(wrong_crc);
    let mut fields = Vec::with_capacity(22);
    fields.extend_from_slice(&(if marked { 0x0800_u16 } else { 0 }).to_le_bytes());
    fields.extend_from_slice(&(if packed == 0 { 0_u16 } else { 8 }).to_le_bytes());
    fields.extend_from_slice(&dos_time(entry.mtime + i64::from(offset_seconds)));
    fields.extend_from_slice(&crc.to_le_bytes());
    fields.extend_from_slice(&(packed as u32).to_le_bytes());
    fields.extend_from_slice(&(entry.body.len as u32).to_le_bytes());
    fields.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
    fields
}

/// Time and date in two 16-bit words, two-second steps since 1980.
fn dos_time(seconds: i64) -> [u8; 4] {
    let instant = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let t = jiff::tz::Offset::UTC.to_datetime(instant);
    let time = (t.hour() as u16) << 11 | (t.minute() as u16) << 5 | (t.second() as u16 / 2);
    let date = (t.year().max(1980) - 1980) as u16;
    let date = date << 9 | (t.month() as u16) << 5 | t.day() as u16;
    let ([a, b], [c, d]) = (time.to_le_bytes(), date.to_le_bytes());
    [a, b, c, d]
}

fn crc(bytes: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc
}

/// Unit of a tar.
const BLOCK: u64 = 512;
/// GNU tar writes twenty blocks at a time.
const RECORD: u64 = 10_240;
/// Longest name that fits a tar header.
const NAME_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    fn entries() -> Vec<Entry> {
        let long = format!("./{}/x.json", "carpeta-larga/".repeat(9));
        let bodies = [&b""[..], b"<base href=\"/\">", &[7; 5000]];
        ["./index.html", "./a\u{f1}o.css", long.as_str()]
            .iter()
            .zip(bodies)
            .map(|(name, body)| Entry {
                name: name.as_bytes().to_vec(),
                kind: Kind::File,
                mtime: 1_717_372_800,
                body: Arc::new(Packed::new(body, Effort::Match)),
            })
            .collect()
    }

    #[test]
    fn tar_reads_back_what_was_packed() {
        let built = tar_gz(&entries(), Ending::Whole);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&built.bytes[..]));
        let mut seen = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            seen.push((entry.path_bytes().into_owned(), body.len() as u64));
        }
        let sent: Vec<_> = entries().into_iter().map(|e| (e.name, e.body.len)).collect();
        assert_eq!(seen, sent);
    }

    #[test]
    fn zip_reads_back_what_was_packed() {
        let built = zip(&entries(), 0, None);
        let mut zip = zip::ZipArchive::new(Cursor::new(built.bytes)).unwrap();
        for (index, sent) in entries().iter().enumerate() {
            let mut entry = zip.by_index(index).unwrap();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            assert_eq!(
                (entry.name().unwrap().as_bytes(), body.len() as u64),
                (&sent.name[..], sent.body.len)
            );
        }
    }

    #[test]
    fn zeros_are_as_many_as_they_say() {
        let entry = Entry { body: Arc::new(Packed::zeros(3)), ..entries().remove(0) };
        let built = zip(&[entry], 0, None);
        let mut zip = zip::ZipArchive::new(Cursor::new(built.bytes)).unwrap();
        assert_eq!(std::io::copy(&mut zip.by_index(0).unwrap(), &mut std::io::sink()).unwrap(), 3 << 20);
    }
}
