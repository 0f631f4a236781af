//! The files of a log: one for each local day, `2027-06-06.log`, only ever appended to.
//!
//! A file holds what was written down in its day; a line that ended in the last instants of the day before
//! may stand at its beginning. A line that a crash tore is ended before anything follows it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::line::{self, Read};
use crate::durable::{self, Dir};

/// How far a log was read: the file of a day, and the bytes of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// `2027-06-06`.
    pub(super) day: String,
    pub(super) offset: u64,
}

/// A folder of day files.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    dir: Dir,
}

/// The file of a day, open for appending.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) day: String,
    file: File,
}

impl Shelf {
    pub(super) fn new(dir: Dir) -> Self {
        Self { dir }
    }

    /// The days there are files of, oldest first.
    pub(super) fn days(&self) -> io::Result<Vec<String>> {
        let names = self.dir.list()?;
        let day = |name: &std::ffi::OsStr| {
            let day = name.to_str()?.strip_suffix(EXTENSION)?;
            day.parse::<Date>().ok().filter(|d| d.to_string() == day).map(|_| day.to_owned())
        };
        Ok(names.iter().filter(|n| n.is_file()).filter_map(|n| day(&n.name)).collect())
    }

    /// The newest day there is a file of.
    pub(super) fn newest(&self) -> io::Result<Option<String>> {
        Ok(self.days()?.pop())
    }

    /// Bytes in the file of a day.
    pub(super) fn len(&self, day: &str) -> io::Result<u64> {
        Ok(self.open(day)?.metadata()?.len())
    }

    /// The turn to write, among the processes of this instance; it ends when the file is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file = self.dir.open_or_create(".lock")?;
        file.lock()?;
        Ok(file)
    }

    /// The file of a day, to write to; a torn last line is ended.
    pub(super) fn append(&self, day: &str) -> io::Result<Day> {
        let name = format!("{day}{EXTENSION}");
        let is_new = !self.dir.exists(&name);
        let mut file = self.dir.append_file(&name)?;
        if is_new {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(PermissionsExt::from_mode(0o640))?;
            self.dir.sync()?;
        }
        let len = file.seek(SeekFrom::End(0))?;
        if len > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(len - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Day { day: day.to_owned(), file })
    }

    /// The file of a day, to read.
    pub(super) fn open(&self, day: &str) -> io::Result<File> {
        self.dir.open_file(format!("{day}{EXTENSION}"))
    }

    /// Removes the file of a day.
    pub(super) fn remove(&self, day: &str) -> io::Result<()> {
        self.dir.remove_file(format!("{day}{EXTENSION}"))
    }

    /// Replaces the file of a day in one step.
    pub(super) fn replace(&self, day: &str, lines: &[u8]) -> io::Result<()> {
        self.dir.write_atomic(format!("{day}{EXTENSION}"), lines)
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The second of the first hit there is.
    pub(super) fn reaches_back_to(&self) -> io::Result<Option<i64>> {
        for day in self.days()? {
            if let Some(at) = first_hit(self.open(&day)?)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Reads whole lines from a place on, file after file, until about `bytes` were read, `to` is reached or
    /// nothing whole is left. Gives the place behind the last line.
    pub(super) fn read_on(
        &self,
        from: Option<&Place>,
        to: Option<&Place>,
        bytes: u64,
        mut see: impl FnMut(&[u8], Read<'_>),
    ) -> io::Result<Option<Place>> {
        let days = self.days()?;
        let mut place = from.cloned();
        let mut left = bytes;
        for (n, day) in days.iter().enumerate() {
            let offset = match &place {
                Some(place) if place.day > *day => continue,
                Some(place) if place.day == *day => place.offset,
                _ => 0,
            };
            let bound = match to {
                Some(to) if to.day < *day => break,
                Some(to) if to.day == *day => to.offset,
                _ => u64::MAX,
            };
            // The last line of a day that is over was torn, and nobody will end it.
            let is_over = n + 1 < days.len();
            let end =
                lines(self.open(day)?, offset..bound, left, is_over, |line| see(line, line::read(line)))?;
            place = Some(Place { day: day.clone(), offset: end });
            left = left.saturating_sub(end - offset);
            if left == 0 {
                break;
            }
        }
        Ok(place)
    }
}

impl Shelf {
    /// Reads the lines of every file that may hold some of this stretch; others are among them.
    pub(super) fn read_between(
        &self,
        from: i64,
        to: i64,
        mut see: impl FnMut(&[u8], Read<'_>),
    ) -> io::Result<()> {
        let days = self.days()?;
        // In whatever zone, and whatever the clock did: files are left out only when they are surely older.
        let first =
            Timestamp::from_second(from - 2 * 86_400).map(|t| t.to_zoned(TimeZone::UTC).date().to_string());
        let first = first.unwrap_or_default();
        for day in days.iter().filter(|day| **day >= first) {
            if starts_after(self.open(day)?, to)? {
                continue;
            }
            lines(self.open(day)?, 0..u64::MAX, u64::MAX, true, |line| see(line, line::read(line)))?;
        }
        Ok(())
    }
}

/// Whether the first hit of a file is later than anything that is looked for. Within a file lines are in order
/// but for the seconds that an answer may take to be written down.
fn starts_after(file: File, to: i64) -> io::Result<bool> {
    Ok(first_hit(file)?.is_some_and(|at| at >= to.saturating_add(DISORDER_SECONDS)))
}

/// The second of the first hit of a file, if it is at its beginning.
fn first_hit(file: File) -> io::Result<Option<i64>> {
    let mut head = Vec::new();
    file.take(LINE_BYTES_MAX as u64).read_to_end(&mut head)?;
    Ok(head.split(|b| *b == b'\n').find_map(|line| match line::read(line) {
        Read::Hit(line) => Some(line.at),
        _ => None,
    }))
}

impl Day {
    /// Appends whole lines. When that fails what is there of them is taken back.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.len()?;
        let written = self.file.write_all(lines);
        if written.is_err() {
            // Best effort: what stays is a torn line, which is known as such when it is read.
            let _ = self.file.set_len(before);
        }
        written
    }

    /// Bytes in it, whoever wrote them.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        durable::sync_data(&self.file)
    }
}

/// Calls `see` with each whole line of a part of a file, without its end, until about `bytes` are read. Gives
/// the offset behind the last one.
fn lines(
    mut file: File,
    part: Range<u64>,
    bytes: u64,
    ends_lines: bool,
    mut see: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let offset = part.start;
    file.seek(SeekFrom::Start(offset))?;
    let (mut done, mut held) = (offset, Vec::with_capacity(BLOCK_BYTES));
    loop {
        let before = held.len();
        let left = part.end.saturating_sub(done + before as u64);
        let read = (&mut file).take(left.min(BLOCK_BYTES as u64)).read_to_end(&mut held)?;
        let mut from = 0;
        let news = held.get(before..).unwrap_or_default();
        for end in memchr::memchr_iter(b'\n', news).map(|at| before + at) {
            see(held.get(from..end).unwrap_or_default());
            from = end + 1;
        }
        held.drain(..from);
        done += from as u64;
        if read == 0 {
            if ends_lines && !held.is_empty() {
                see(&held);
                done += held.len() as u64;
            }
            return Ok(done);
        }
        if done - offset >= bytes {
            return Ok(done);
        }
        if held.len() > LINE_BYTES_MAX {
            // No line of ours: passed over to its end.
            see(&held);
            done += held.len() as u64;
            held.clear();
        }
    }
}

const EXTENSION: &str = ".log";
/// How far a line may stand behind its place.
const DISORDER_SECONDS: i64 = 3600;
/// Read at a time.
const BLOCK_BYTES: usize = 1 << 20;
/// Longest line: every text at its bound and escaped has a quarter of this.
const LINE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(scratch: &tempfile::TempDir) -> Shelf {
        Shelf::new(Dir::create(scratch.path()).unwrap())
    }

    fn all(shelf: &Shelf, from: Option<&Place>, bytes: u64) -> (Vec<String>, Option<Place>) {
        let mut seen = Vec::new();
        let place = shelf
            .read_on(from, None, bytes, |line, _| seen.push(String::from_utf8(line.to_vec()).unwrap()))
            .unwrap();
        (seen, place)
    }

    #[test]
    fn lines_are_read_on_from_where_one_was_over_all_days() {
        let scratch = tempfile::tempdir().unwrap();
        let shelf = shelf(&scratch);
        assert_eq!(all(&shelf, None, u64::MAX), (vec![], None));
        shelf.append("2027-06-06").unwrap().write(b"a\nb\n").unwrap();
        std::fs::write(scratch.path().join("other.log"), "no").unwrap();
        let (seen, place) = all(&shelf, None, u64::MAX);
        assert_eq!(seen, ["a", "b"]);
        shelf.append("2027-06-06").unwrap().write(b"c\n").unwrap();
        shelf.append("2027-06-07").unwrap().write(b"d\ne").unwrap();
        let (seen, place) = all(&shelf, place.as_ref(), u64::MAX);
        assert_eq!(seen, ["c", "d"], "a line that is not whole yet waits");
        shelf.append("2027-06-07").unwrap().write(b"f\n").unwrap();
        let (seen, _) = all(&shelf, place.as_ref(), u64::MAX);
        assert_eq!(seen, ["e", "f"], "a torn line swallows nothing");
    }

    #[test]
    fn a_torn_last_line_of_a_day_that_is_over_is_seen() {
        let scratch = tempfile::tempdir().unwrap();
        let shelf = shelf(&scratch);
        shelf.append("2027-06-06").unwrap().write(b"a\nb").unwrap();
        shelf.append("2027-06-07").unwrap().write(b"c\n").unwrap();
        let (seen, place) = all(&shelf, None, u64::MAX);
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(place, Some(Place { day: "2027-06-07".to_owned(), offset: 2 }));
    }

    #[test]
    fn a_line_without_end_takes_no_memory_without_end() {
        let scratch = tempfile::tempdir().unwrap();
        let shelf = shelf(&scratch);
        let mut day = shelf.append("2027-06-06").unwrap();
        day.write(&vec![b'x'; 3 << 20]).unwrap();
        day.write(b"\nlast\n").unwrap();
        let mut longest = 0;
        let mut count = 0;
        shelf
            .read_on(None, None, u64::MAX, |line, _| (longest, count) = (longest.max(line.len()), count + 1))
            .unwrap();
        assert!(longest <= BLOCK_BYTES + LINE_BYTES_MAX && count > 2, "{longest} {count}");
    }
}
