//! The end of a zip: its one end record, with the zip64 pair in front where needed.

use std::ops::Range;

use super::super::inflate::{PADDING_MAX, RECORD};
use super::super::source::Source;
use super::super::{Error, Reason, Refusal};
use super::{Fields, bad};

/// What the end record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) entries: u64,
    /// Place of the central directory.
    pub(super) directory: Range<u64>,
}

/// Whether a zip's end can be found in a file that does not begin like one.
pub(in super::super) fn has_end_record(source: Source<'_>) -> Result<bool, Error> {
    Ok(exact(source)?.len() == 1)
}

/// The end record, if it is the only one and closes the file.
pub(super) fn find(source: Source<'_>) -> Result<End, Error> {
    match exact(source)?.as_slice() {
        [] => Err(why_none(source)?.into()),
        [at] => read(source, *at),
        [..] => Err(Refusal::new(Reason::ZipAmbiguous)
            .detail(("dos registros finales", "two end records"))
            .into()),
    }
}

/// The archive without padding: zeros behind the end record that fill the file up to a
/// whole record. The record itself may end in zeros, so every end it can have is tried.
pub(super) fn unpadded(source: Source<'_>) -> Result<Source<'_>, Error> {
    if !source.size().is_multiple_of(RECORD) || !exact(source)?.is_empty() {
        return Ok(source);
    }
    let content = last_content(source)?;
    for end in content..(content + LENGTH as u64).min(source.size()) {
        if !exact(source.up_to(end))?.is_empty() {
            return Ok(source.up_to(end));
        }
    }
    Ok(source)
}

/// The place behind the last byte that is not zero, as far back as padding reaches.
fn last_content(source: Source<'_>) -> Result<u64, Error> {
    let from = source.size().saturating_sub(PADDING_MAX);
    let tail = source.get(from, usize::try_from(source.size() - from).unwrap_or(0))?.unwrap_or_default();
    let zeros = tail.iter().rev().take_while(|b| **b == 0).count();
    Ok(source.size() - zeros as u64)
}

/// Places of all end records whose comment ends with the file.
fn exact(source: Source<'_>) -> Result<Vec<u64>, Error> {
    let from = source.size().saturating_sub((LENGTH + usize::from(u16::MAX)) as u64);
    let tail = source.get(from, usize::try_from(source.size() - from).unwrap_or(0))?.unwrap_or_default();
    let mut found = Vec::new();
    for (at, record) in tail.windows(LENGTH).enumerate() {
        if record.starts_with(SIGNATURE) && comment(record) == Some(tail.len() - at - LENGTH) {
            found.push(from + at as u64);
        }
    }
    Ok(found)
}

fn comment(record: &[u8]) -> Option<usize> {
    record.get(20..22)?.try_into().ok().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
}

/// Why no end record closes the file: there is one with something behind it, or it is missing.
fn why_none(source: Source<'_>) -> Result<Refusal, Error> {
    match coherent(source, source.size())? {
        Some(at) => {
            let record = source.get(at, LENGTH)?.unwrap_or_default();
            let declared = at + (LENGTH + comment(&record).unwrap_or(0)) as u64;
            let reason = if declared > source.size() { Reason::Truncated } else { Reason::ZipTrailing };
            Ok(Refusal::new(reason))
        }
        None => Ok(Refusal::new(Reason::Truncated)
            .detail(("zip sin su registro final", "zip without its end record"))),
    }
}

/// The last end record before `limit` that points to a directory right before itself.
/// Reads the file through; only done to explain a refusal.
fn coherent(source: Source<'_>, limit: u64) -> Result<Option<u64>, Error> {
    let (mut at, mut found) = (0, None);
    while at < limit {
        let length = usize::try_from(limit - at).unwrap_or(SCAN).min(SCAN);
        let piece = source.get(at, length)?.unwrap_or_default();
        for (offset, record) in piece.windows(LENGTH).enumerate() {
            let place = at + offset as u64;
            if record.starts_with(SIGNATURE) && points_back(record, place) {
                found = Some(place);
            }
        }
        if length < SCAN {
            break;
        }
        at += (SCAN - LENGTH + 1) as u64;
    }
    Ok(found)
}

fn points_back(record: &[u8], place: u64) -> bool {
    let mut fields = Fields(record.get(12..).unwrap_or_default());
    match (fields.u32(), fields.u32()) {
        // A zip64 record stands between.
        (Some(u32::MAX), _) | (_, Some(u32::MAX)) => true,
        (Some(size), Some(offset)) => u64::from(size) + u64::from(offset) == place,
        _ => false,
    }
}

fn read(source: Source<'_>, at: u64) -> Result<End, Error> {
    let record = source.get(at, LENGTH)?.unwrap_or_default();
    let small = Small::parse(&record).ok_or_else(|| bad(("registro final", "end record")))?;
    let locator = at.checked_sub(LOCATOR_LENGTH as u64);
    let locator = match locator {
        Some(place) => source.array::<LOCATOR_LENGTH>(place)?,
        None => None,
    };
    match locator {
        Some(locator) if locator.starts_with(LOCATOR) => {
            zip64(source, at - LOCATOR_LENGTH as u64, &locator, &small)
        }
        _ if small.needs_zip64() => {
            Err(bad(("falta el registro final zip64", "zip64 end record missing")).into())
        }
        _ => place(source, at, u64::from(small.entries), u64::from(small.size), u64::from(small.offset)),
    }
}

/// The fields of the plain end record (APPNOTE 4.3.16).
#[derive(Debug)]
struct Small {
    entries: u16,
    size: u32,
    offset: u32,
}

impl Small {
    fn parse(record: &[u8]) -> Option<Self> {
        let mut fields = Fields(record);
        fields.take(4)?;
        let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
        let (here, entries) = (fields.u16()?, fields.u16()?);
        let one_disk = matches!((disk, directory_disk), (0, 0) | (u16::MAX, u16::MAX)) && here == entries;
        one_disk.then_some(())?;
        Some(Self { entries, size: fields.u32()?, offset: fields.u32()? })
    }

    fn needs_zip64(&self) -> bool {
        self.entries == u16::MAX || self.size == u32::MAX || self.offset == u32::MAX
    }
}

/// APPNOTE 4.3.14 and 4.3.15: the record must stand right before its locator.
fn zip64(source: Source<'_>, at: u64, locator: &[u8], small: &Small) -> Result<End, Error> {
    let big =
        at.checked_sub(BIG_LENGTH as u64).ok_or_else(|| bad(("registro final zip64", "zip64 end record")))?;
    let record =
        source.array::<BIG_LENGTH>(big)?.ok_or_else(|| bad(("registro final zip64", "zip64 end record")))?;
    let (entries, size, offset, place_said) =
        big_fields(&record, locator).ok_or_else(|| bad(("registro final zip64", "zip64 end record")))?;
    let agree = |small: u64, most: u64, big: u64| small == most || small == big;
    let same = agree(small.entries.into(), u16::MAX.into(), entries)
        && agree(small.size.into(), u32::MAX.into(), size)
        && agree(small.offset.into(), u32::MAX.into(), offset);
    if !same {
        return Err(Refusal::new(Reason::ZipAmbiguous)
            .detail(("los dos registros finales difieren", "the two end records differ"))
            .into());
    }
    if place_said < big {
        // The same shift as for the directory: something stands before the zip.
        return Err(shifted(source, big - place_said)?.into());
    }
    if place_said != big {
        return Err(bad(("localizador zip64", "zip64 locator")).into());
    }
    place(source, big, entries, size, offset)
}

fn big_fields(record: &[u8], locator: &[u8]) -> Option<(u64, u64, u64, u64)> {
    let mut fields = Fields(record);
    let sound = fields.take(4)? == BIG && fields.u64()? == (BIG_LENGTH - 12) as u64;
    // Versions made by and needed.
    fields.take(4)?;
    let (disk, directory_disk) = (fields.u32()?, fields.u32()?);
    let (here, entries) = (fields.u64()?, fields.u64()?);
    let (size, offset) = (fields.u64()?, fields.u64()?);
    let mut locator = Fields(locator);
    locator.take(4)?;
    let (locator_disk, place) = (locator.u32()?, locator.u64()?);
    let disks = locator.u32()?;
    let one_disk = disk == 0 && directory_disk == 0 && locator_disk == 0 && disks <= 1 && here == entries;
    (sound && one_disk).then_some((entries, size, offset, place))
}

/// The directory must end where the end record (or its zip64 part) begins.
fn place(source: Source<'_>, at: u64, entries: u64, size: u64, offset: u64) -> Result<End, Error> {
    let end = offset
        .checked_add(size)
        .filter(|end| *end <= source.size())
        .ok_or_else(|| bad(("lugar del directorio", "directory place")))?;
    if end > at {
        return Err(bad(("lugar del directorio", "directory place")).into());
    }
    if end < at {
        return Err(misplaced(source, at, size, offset)?.into());
    }
    Ok(End { entries, directory: offset..end })
}

/// The directory ends before the end record: either everything is shifted by something
/// in front, or there is a hole.
fn misplaced(source: Source<'_>, at: u64, size: u64, offset: u64) -> Result<Refusal, Error> {
    let stands = |place: u64| -> Result<bool, Error> {
        Ok(source.array::<4>(place)?.is_some_and(|found| found.starts_with(super::directory::SIGNATURE)))
    };
    let shift = at - size - offset;
    if stands(at - size)? || (size == 0 && shift > 0) {
        return shifted(source, shift);
    }
    if stands(offset)? {
        Ok(Refusal::new(Reason::ZipHidden))
    } else {
        Ok(bad(("lugar del directorio", "directory place")))
    }
}

/// A whole zip stands `shift` bytes into the file. When the file itself begins like a zip
/// whose end never came, that is a stored zip inside a truncated one.
fn shifted(source: Source<'_>, shift: u64) -> Result<Refusal, Error> {
    let begins = source.array::<4>(0)?.is_some_and(|head| head == *super::local::SIGNATURE);
    let cut_short = begins && coherent(source, shift)?.is_none();
    Ok(Refusal::new(if cut_short { Reason::Truncated } else { Reason::ZipPrefix }))
}

const SIGNATURE: &[u8] = b"PK\x05\x06";
const LENGTH: usize = 22;
const BIG: &[u8] = b"PK\x06\x06";
const BIG_LENGTH: usize = 56;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: usize = 20;
/// Bytes looked through at a time.
const SCAN: usize = 1 << 20;
