//! One entry in place: local header (APPNOTE 4.3.7), data, descriptor (4.3.9). It must say
//! what the directory says and fill its bytes exactly.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::super::source::Source;
use super::super::{Error, Limits, Reason, Refusal, Sink};
use super::directory::{DEFLATED, Extra, Facts, Kind, widen};
use super::{Fields, Place, bad};

/// Checks an entry and gives it to the sink.
pub(super) fn copy(
    source: Source<'_>,
    facts: &Facts,
    place: &Place<'_>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let start = check_header(source, facts, place)?;
    let data_end = start.checked_add(facts.packed).filter(|end| *end <= place.to);
    let data_end = data_end.ok_or_else(|| Refusal::new(Reason::ZipOverlap))?;
    check_rest(source, facts, data_end, place.to)?;
    match (place.path, facts.kind) {
        (Some(path), Kind::File) => {
            sink.file(path, facts.size, mtime(facts, limits)).map_err(Error::Sink)?;
            content(source, facts, start, Some(sink))?;
            sink.end().map_err(Error::Sink)
        }
        (Some(path), Kind::Dir) => {
            sink.dir(path).map_err(Error::Sink)?;
            content(source, facts, start, None)
        }
        (None, _) => content(source, facts, start, None),
    }
}

/// Compares the local header with the directory; gives the place of the data.
fn check_header(source: Source<'_>, facts: &Facts, place: &Place<'_>) -> Result<u64, Error> {
    let fixed = source
        .array::<FIXED>(place.from)?
        .ok_or_else(|| bad(("la cabecera local rebasa su lugar", "local header overruns")))?;
    let (local, name, extra) = Local::parse(&fixed).ok_or_else(|| Refusal::new(Reason::ZipMismatch))?;
    let body = source.get(place.from + FIXED as u64, name + extra)?;
    let body = body.ok_or_else(|| bad(("la cabecera local rebasa su lugar", "local header overruns")))?;
    let (name, extra) = body
        .split_at_checked(name)
        .ok_or_else(|| bad(("la cabecera local rebasa su lugar", "local header overruns")))?;
    let start = place.from + (FIXED + body.len()) as u64;
    if start > place.to {
        return Err(Refusal::new(Reason::ZipOverlap).into());
    }
    local.agree(facts, name, &Extra::parse(extra)?)?;
    Ok(start)
}

/// The fields of a local header.
#[derive(Debug)]
struct Local {
    flags: u16,
    method: u16,
    dos: [u16; 2],
    crc: u32,
    packed: u64,
    size: u64,
}

impl Local {
    /// With the lengths of name and extra fields.
    fn parse(fixed: &[u8]) -> Option<(Self, usize, usize)> {
        let mut f = Fields(fixed);
        (f.take(4)? == SIGNATURE).then_some(())?;
        // Version needed.
        f.take(2)?;
        let (flags, method) = (f.u16()?, f.u16()?);
        let dos = [f.u16()?, f.u16()?];
        let (crc, packed, size) = (f.u32()?, f.u32()?.into(), f.u32()?.into());
        let (name, extra) = (f.u16()?.into(), f.u16()?.into());
        Some((Self { flags, method, dos, crc, packed, size }, name, extra))
    }

    fn agree(mut self, facts: &Facts, name: &[u8], extra: &Extra) -> Result<(), Refusal> {
        if name != facts.raw_name {
            return Err(mismatch(("nombre", "name")).detail(name.escape_ascii().to_string()));
        }
        widen(&mut [&mut self.size, &mut self.packed], extra.zip64())?;
        let times = match (extra.mtime, facts.extra.mtime) {
            (Some(local), Some(central)) => local == central,
            _ => true,
        };
        let unicode = match (&extra.unicode, &facts.extra.unicode) {
            (Some(local), Some(central)) => local == central,
            (Some(_), None) => false,
            _ => true,
        };
        // A descriptor may leave them zero here, but not otherwise.
        let blank = facts.has_descriptor();
        let number = |local: u64, central: u64| local == central || (blank && local == 0);
        let checks = [
            (("banderas", "flags"), self.flags == facts.flags),
            (("método", "method"), self.method == facts.method),
            (("hora", "time"), self.dos == facts.dos && times),
            (("ruta Unicode", "unicode path"), unicode),
            (("crc", "crc"), number(self.crc.into(), facts.crc.into())),
            (("tamaño comprimido", "packed size"), number(self.packed, facts.packed)),
            (("tamaño", "size"), number(self.size, facts.size)),
        ];
        match checks.iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(mismatch(*what)),
            None => Ok(()),
        }
    }
}

/// Between the data and the next entry: nothing, or the one descriptor that was announced.
fn check_rest(source: Source<'_>, facts: &Facts, from: u64, to: u64) -> Result<(), Error> {
    if !facts.has_descriptor() {
        return if from == to { Ok(()) } else { Err(hidden(to - from).into()) };
    }
    let length = usize::try_from(to - from).unwrap_or(usize::MAX);
    if !matches!(length, 12 | 16 | 20 | 24) {
        let reason = if length < 12 { Reason::ZipMismatch } else { Reason::ZipHidden };
        return Err(Refusal::new(reason).detail(format!("descriptor: {length} B")).into());
    }
    let bytes = source.get(from, length)?.unwrap_or_default();
    if descriptor_agrees(&bytes, facts) == Some(true) {
        Ok(())
    } else {
        Err(mismatch(("descriptor", "descriptor")).into())
    }
}

/// With its signature or without, in 32 or 64 bits: the length tells which.
fn descriptor_agrees(bytes: &[u8], facts: &Facts) -> Option<bool> {
    let mut f = Fields(bytes);
    if matches!(bytes.len(), 16 | 24) && f.take(4)? != DESCRIPTOR {
        return Some(false);
    }
    let crc = f.u32()?;
    let (packed, size) =
        if f.0.len() == 8 { (f.u32()?.into(), f.u32()?.into()) } else { (f.u64()?, f.u64()?) };
    Some((crc, packed, size) == (facts.crc, facts.packed, facts.size))
}

/// The data, checked by length and CRC while it goes by.
fn content(source: Source<'_>, facts: &Facts, start: u64, sink: Option<&mut dyn Sink>) -> Result<(), Error> {
    let mut out = Output { crc: Crc::new(), left: facts.size, sink };
    if facts.method == DEFLATED {
        inflate(source, facts, start, &mut out)?;
    } else {
        pieces(source, start, facts.packed, |bytes| out.put(bytes))?;
    }
    if out.left > 0 {
        let figures = format!("{} ≠ {} B", facts.size, facts.size - out.left);
        return Err(Refusal::new(Reason::SizeMismatch).detail(figures).into());
    }
    if out.crc.sum() != facts.crc {
        let figures = format!("{:08x} ≠ {:08x}", facts.crc, out.crc.sum());
        return Err(Refusal::new(Reason::ZipCrc).detail(figures).into());
    }
    if facts.kind == Kind::Dir && facts.packed > 0 && facts.method != DEFLATED {
        return Err(bad(("una carpeta con datos", "a directory with data")).into());
    }
    Ok(())
}

fn inflate(source: Source<'_>, facts: &Facts, start: u64, out: &mut Output<'_>) -> Result<(), Error> {
    let mut inflate = Decompress::new(false);
    let mut buffer = vec![0; PIECE];
    let mut ended = false;
    pieces(source, start, facts.packed, |mut bytes| {
        while !ended {
            let before = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(bytes, &mut buffer, FlushDecompress::None).map_err(|_| {
                Refusal::new(Reason::ZipCrc).detail(("datos deflate dañados", "deflate data damaged"))
            })?;
            let taken = usize::try_from(inflate.total_in() - before.0).unwrap_or(usize::MAX);
            let given = usize::try_from(inflate.total_out() - before.1).unwrap_or(usize::MAX);
            out.put(buffer.get(..given).unwrap_or_default())?;
            bytes = bytes.get(taken..).unwrap_or_default();
            ended = status == Status::StreamEnd;
            if taken == 0 && given == 0 {
                break;
            }
        }
        // The stream knows its end; what follows inside the entry is nobody's.
        if ended && !bytes.is_empty() { Err(hidden(bytes.len() as u64).into()) } else { Ok(()) }
    })?;
    if ended {
        return Ok(());
    }
    Err(Refusal::new(Reason::SizeMismatch)
        .detail(("los datos deflate siguen después de su entrada", "deflate data goes on behind its entry"))
        .into())
}

/// Gives a range of the file piece by piece.
fn pieces(
    source: Source<'_>,
    start: u64,
    length: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(PIECE).min(PIECE)];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..count).unwrap_or_default();
        source.fill(piece, start + done)?;
        take(piece)?;
        done += count as u64;
    }
    Ok(())
}

/// Where the content goes, never more than was declared.
struct Output<'a> {
    crc: Crc,
    left: u64,
    sink: Option<&'a mut dyn Sink>,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| {
            Refusal::new(Reason::SizeMismatch)
                .detail(("más datos que los declarados", "more data than declared"))
        })?;
        self.crc.update(bytes);
        match &mut self.sink {
            Some(sink) => sink.data(bytes).map_err(Error::Sink),
            None => Ok(()),
        }
    }
}

/// Seconds since 1970: the extended timestamp, else the DOS time on the packer's clock.
fn mtime(facts: &Facts, limits: &Limits) -> i64 {
    facts.extra.mtime.unwrap_or_else(|| {
        let [time, date] = facts.dos.map(i64::from);
        let (day, month, year) = (date & 31, date >> 5 & 15, 1980 + (date >> 9));
        let (second, minute, hour) = ((time & 31) * 2, time >> 5 & 63, time >> 11);
        let seconds = days_from_civil(year, month.clamp(1, 12), day.max(1)) * 86_400;
        seconds + hour * 3600 + minute * 60 + second - i64::from(limits.dos_offset_seconds)
    })
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so
/// that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn mismatch(what: (&str, &str)) -> Refusal {
    Refusal::new(Reason::ZipMismatch).detail(what)
}

fn hidden(bytes: u64) -> Refusal {
    Refusal::new(Reason::ZipHidden).detail((
        format!("{bytes} bytes que no son de ninguna entrada"),
        format!("{bytes} bytes belong to no entry"),
    ))
}

pub(super) const SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const FIXED: usize = 30;
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
/// Bytes read or inflated at a time.
const PIECE: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
        assert_eq!(days_from_civil(2024, 6, 2), 19_876);
    }
}
