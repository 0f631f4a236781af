//! zip (APPNOTE 6.3) as a tiled floor: local entries from the first byte, then the central
//! directory, then the end record, with nothing between, before or behind but the zeros
//! that bsdtar fills a record up with when it writes to a pipe.
//!
//! The directory is read first and names, sizes and limits are judged there, before any
//! data is inflated. Each local header must then say the same. What is refused: a second
//! reading of any kind (two end records, two names, two sizes), encryption, methods other
//! than stored and deflate, links.
//!
//! A name without the UTF-8 flag that is valid UTF-8 is UTF-8, as most packers mean it;
//! else the Info-ZIP Unicode path decides, where there is one; else it is CP437.

mod directory;
mod end;
mod local;
mod text;

use super::source::Source;
use super::tally::{Admit, Tally};
use super::{Error, Format, Limits, Name, Reason, Refusal, Report, Sink, check_name};
use directory::Record;
use end::End;

pub(super) use end::has_end_record;

/// Reads a whole zip.
pub(super) fn read(source: Source<'_>, limits: &Limits, sink: &mut dyn Sink) -> Result<Report, Error> {
    let source = end::unpadded(source)?;
    let end = end::find(source)?;
    let mut tally = Tally::new(limits);
    let mut entries = judge_directory(source, &end, &mut tally)?;
    lay_out(source, &mut entries, end.directory.start)?;
    for entry in &entries {
        let record = Record::read(source, entry.record)?;
        let path = match check_name(record.path.as_bytes(), limits)? {
            Name::Path(path) if entry.dest == Dest::Sink => Some(path),
            _ => None,
        };
        let place = Place { from: entry.offset, to: entry.end, path: path.as_deref() };
        local::copy(source, &record.facts, &place, limits, sink)
            .map_err(|error| name_it(error, &record.name))?;
    }
    Ok(tally.report(Format::Zip)?)
}

/// Every central record: its own sense, its name, the limits.
fn judge_directory(source: Source<'_>, end: &End, tally: &mut Tally) -> Result<Vec<Entry>, Error> {
    if end.entries > tally.limits().entries {
        let figures = format!("{} > {}", end.entries, tally.limits().entries);
        return Err(Refusal::new(Reason::Entries).detail(figures).into());
    }
    let mut entries = Vec::new();
    let mut at = end.directory.start;
    for _ in 0..end.entries {
        let record = Record::read(source, at)?;
        let next = at + record.length;
        if next > end.directory.end {
            return Err(Refusal::new(Reason::ZipBad)
                .entry(&record.name)
                .detail(("el directorio rebasa su lugar", "directory overruns"))
                .into());
        }
        let (name, facts) = (record.name, record.facts);
        let dest = admit(tally, &record.path, &facts).map_err(|refusal| refusal.entry(&name))?;
        entries.push(Entry { offset: facts.offset, end: 0, record: at, dest });
        at = next;
    }
    if at != end.directory.end {
        return Err(Refusal::new(Reason::ZipHidden)
            .detail((
                "hay bytes del directorio que no son de ninguna entrada",
                "bytes in the directory belong to no entry",
            ))
            .into());
    }
    Ok(entries)
}

fn admit(tally: &mut Tally, path: &str, facts: &directory::Facts) -> Result<Dest, Refusal> {
    facts.check()?;
    let admit = match facts.kind {
        directory::Kind::File => tally.file(path.as_bytes(), facts.size)?,
        directory::Kind::Dir => tally.dir(path.as_bytes())?,
    };
    Ok(if admit == Admit::Skip { Dest::Nowhere } else { Dest::Sink })
}

/// A record as it is kept while all of them are judged: a few words, since 50,000
/// names would take more memory than a hostile package deserves.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Place of the local header.
    offset: u64,
    /// Place of the next entry, or of the directory.
    end: u64,
    /// Place of the central record.
    record: u64,
    dest: Dest,
}

/// Where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dest {
    Sink,
    Nowhere,
}

/// The bytes of the file that are one entry's, and its path in the sink, if it has one.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    from: u64,
    to: u64,
    path: Option<&'a str>,
}

/// Sorts the entries by place and gives each the bytes up to the next one. Whether it
/// fills them exactly is seen when it is read; that they start right is seen here.
fn lay_out(source: Source<'_>, entries: &mut [Entry], directory: u64) -> Result<(), Error> {
    entries.sort_by_key(|entry| entry.offset);
    match entries.first() {
        Some(first) if first.offset > 0 => return Err(Refusal::new(Reason::ZipPrefix).into()),
        None if directory > 0 => return Err(Refusal::new(Reason::ZipPrefix).into()),
        _ => {}
    }
    let ends: Vec<u64> = entries.iter().skip(1).map(|next| next.offset).chain([directory]).collect();
    for (entry, end) in entries.iter_mut().zip(ends) {
        entry.end = end;
        if end <= entry.offset {
            let raw = Record::read(source, entry.record)?.name;
            return Err(Refusal::new(Reason::ZipOverlap).entry(&raw).into());
        }
    }
    Ok(())
}

fn name_it(error: Error, raw: &[u8]) -> Error {
    match error {
        Error::Refused(refusal) => Error::Refused(refusal.entry(raw)),
        other => other,
    }
}

/// Little-endian numbers out of a record, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

fn bad(what: (&str, &str)) -> Refusal {
    Refusal::new(Reason::ZipBad).detail(what)
}
