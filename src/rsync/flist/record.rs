//! Entries as they are kept: packed one behind the other in one run of bytes, each found by where
//! it begins.
//!
//! A record is its bits, the number of its directory, its last component, then mode (unless it is
//! the usual one of its kind), size, seconds counted from the first record's, nanoseconds if there
//! are any, and a link's target. That is 13 bytes and the name where a struct takes 32 and the
//! name; an unchanged site of 100,000 files is all list.

use super::names::too_large;
use crate::rsync::error::Error;

/// Kinds as they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tag {
    Dir,
    #[default]
    File,
    Link,
    Device,
    Special,
    Missing,
}

/// One entry, unpacked; its last component and target stay where they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raw {
    pub(super) secs: i64,
    pub(super) nanos: u32,
    /// Of a directory its own number, of anything else its parent's.
    pub(super) dir: u32,
    pub(super) size: u64,
    /// Permission bits.
    pub(super) mode: u16,
    pub(super) tag: Tag,
    pub(super) bits: u8,
}

/// Another entry has its name.
pub(super) const DEAD: u8 = 1 << 3;
pub(super) const TOP: u8 = 1 << 4;
pub(super) const CONTENT: u8 = 1 << 5;
/// Nanoseconds follow.
const NANOS: u8 = 1 << 6;
/// The mode is not the usual one and follows.
const MODE: u8 = 1 << 7;
/// The lowest three bits are the kind.
const TAG: u8 = 7;
/// What the caller may set.
const MARKS: u8 = DEAD | TOP | CONTENT;

impl Raw {
    pub(super) fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }
}

impl Tag {
    fn of(bits: u8) -> Self {
        match bits & TAG {
            0 => Self::Dir,
            1 => Self::File,
            2 => Self::Link,
            3 => Self::Device,
            4 => Self::Special,
            _ => Self::Missing,
        }
    }

    fn mode(self) -> u16 {
        match self {
            Self::Dir => 0o755,
            Self::File => 0o644,
            Self::Link => 0o777,
            Self::Device | Self::Special | Self::Missing => 0,
        }
    }
}

/// The packed entries of a list.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Seconds are counted from here: those of the first record.
    epoch: Option<i64>,
    limit: usize,
}

impl Records {
    /// No records yet; they may take `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(u32::MAX as usize);
        Self { limit, ..Self::default() }
    }

    /// Bytes taken.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps an entry; where it begins. `target` is a link's.
    pub(super) fn push(&mut self, raw: &Raw, base: &[u8], target: &[u8]) -> Result<u32, Error> {
        let start = self.bytes.len();
        if start + base.len() + target.len() + LONGEST > self.limit {
            return Err(too_large());
        }
        let mut bits = raw.bits & MARKS | raw.tag as u8;
        bits |= if raw.nanos != 0 { NANOS } else { 0 } | if raw.mode != raw.tag.mode() { MODE } else { 0 };
        self.bytes.push(bits);
        self.put(raw.dir.into());
        self.put(base.len() as u64);
        self.bytes.extend_from_slice(base);
        if bits & MODE != 0 {
            self.bytes.extend_from_slice(&raw.mode.to_le_bytes());
        }
        self.put(raw.size);
        let since = raw.secs.wrapping_sub(*self.epoch.get_or_insert(raw.secs));
        self.put((since << 1 ^ since >> 63).cast_unsigned());
        if bits & NANOS != 0 {
            self.bytes.extend_from_slice(&raw.nanos.to_le_bytes());
        }
        if raw.tag == Tag::Link {
            self.put(target.len() as u64);
            self.bytes.extend_from_slice(target);
        }
        u32::try_from(start).map_err(|_| too_large())
    }

    /// The entry that begins here.
    pub(super) fn get(&self, at: u32) -> Raw {
        let (mut reader, bits, dir) = self.reader(at);
        let tag = Tag::of(bits);
        reader.slice();
        let mode = if bits & MODE != 0 { u16::from_le_bytes(reader.array()) } else { tag.mode() };
        let size = reader.number();
        let since = reader.number();
        let since = (since >> 1).cast_signed() ^ -(since & 1).cast_signed();
        let secs = self.epoch.unwrap_or_default().wrapping_add(since);
        let nanos = if bits & NANOS != 0 { u32::from_le_bytes(reader.array()) } else { 0 };
        Raw { secs, nanos, dir, size, mode, tag, bits: bits & MARKS }
    }

    /// Its kind and marks.
    pub(super) fn marks(&self, at: u32) -> (Tag, u8) {
        let bits = self.bytes.get(at as usize).copied().unwrap_or(DEAD);
        (Tag::of(bits), bits & MARKS)
    }

    /// Its directory's number.
    pub(super) fn dir(&self, at: u32) -> u32 {
        self.reader(at).2
    }

    /// Its last component; empty for a directory.
    pub(super) fn base(&self, at: u32) -> &[u8] {
        self.reader(at).0.slice()
    }

    /// The target of a link.
    pub(super) fn target(&self, at: u32) -> &[u8] {
        let (mut reader, bits, _) = self.reader(at);
        reader.slice();
        if bits & MODE != 0 {
            reader.array::<2>();
        }
        reader.number();
        reader.number();
        if bits & NANOS != 0 {
            reader.array::<4>();
        }
        if Tag::of(bits) == Tag::Link { reader.slice() } else { &[] }
    }

    /// Sets marks.
    pub(super) fn mark(&mut self, at: u32, marks: u8) {
        if let Some(bits) = self.bytes.get_mut(at as usize) {
            *bits |= marks & MARKS;
        }
    }

    fn reader(&self, at: u32) -> (Reader<'_>, u8, u32) {
        let mut reader = Reader(self.bytes.get(at as usize..).unwrap_or_default());
        let [bits] = reader.array();
        let dir = reader.number() as u32;
        (reader, bits, dir)
    }

    /// Seven bits a byte, the lowest first; the last has its top bit clear.
    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Most bytes of a record besides its names: bits, six numbers, mode, nanoseconds.
const LONGEST: usize = 1 + 6 * 10 + 2 + 4;

/// Reads what [`Records`] wrote; behind the end everything is zero.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                break;
            }
        }
        value
    }

    fn slice(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let (slice, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        slice
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((array, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *array
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raws() -> impl Strategy<Value = (Raw, Vec<u8>, Vec<u8>)> {
        let numbers = (any::<i64>(), 0..1_000_000_000_u32, any::<u32>(), any::<u64>());
        let kinds = (0..6_u8, 0..0o10000_u16, any::<u8>());
        let names =
            (proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(any::<u8>(), 0..9));
        (numbers, kinds, names).prop_map(|((secs, nanos, dir, size), (tag, mode, bits), (base, target))| {
            let mode = if bits & 1 == 0 { Tag::of(tag).mode() } else { mode };
            let nanos = if bits & 2 == 0 { 0 } else { nanos };
            let raw = Raw { secs, nanos, dir, size, mode, tag: Tag::of(tag), bits: bits & MARKS };
            (raw, base, if tag == 2 { target } else { Vec::new() })
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_found(all in proptest::collection::vec(raws(), 1..20)) {
            let mut records = Records::new(1 << 20);
            let starts: Vec<u32> =
                all.iter().map(|(raw, base, target)| records.push(raw, base, target).unwrap()).collect();
            records.mark(starts[0], DEAD);
            for (n, ((raw, base, target), at)) in all.iter().zip(starts).enumerate() {
                let bits = if n == 0 { raw.bits | DEAD } else { raw.bits };
                let kept = format!("{:?}", records.get(at));
                prop_assert_eq!(kept, format!("{:?}", Raw { bits, ..*raw }));
                prop_assert_eq!(records.marks(at), (raw.tag, bits));
                prop_assert_eq!((records.dir(at), records.base(at)), (raw.dir, &base[..]));
                prop_assert_eq!(records.target(at), &target[..]);
            }
        }
    }

    #[test]
    fn a_usual_file_takes_thirteen_bytes_and_its_name() {
        let mut records = Records::new(1 << 20);
        let raw =
            Raw { secs: 1_780_000_000, nanos: 5, dir: 700, size: 40_000, mode: 0o644, ..Raw::default() };
        records.push(&raw, b"", b"").unwrap();
        let before = records.len();
        records.push(&Raw { secs: raw.secs + 3_600, ..raw }, b"index.html", b"").unwrap();
        assert_eq!(records.len() - before, 13 + 10);
        assert!(Records::new(50).push(&raw, b"", b"").is_err(), "more than may be taken");
    }
}
