//! Lines of a window, for the annex of a report, and files that are past their time.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::line::Read;
use super::{LOCAL, shelf_of};
use crate::durable::Dir;
use crate::model::{Digest, Hasher};

/// What was written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extract {
    /// Hits in it.
    pub lines: u64,
    /// Hits of the window that found no room on their way to the log.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, which also stands beside it in `FILE.sha256`, for `sha256sum -c`.
    pub sha256: Digest,
}

/// Copies the lines of a window of our own log, and the remarks on hits that were lost in it, to a new file.
pub fn extract(var: &Path, from: Timestamp, to: Timestamp, out: &Path) -> io::Result<Extract> {
    let window = from.as_second()..to.as_second();
    let name = out.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = Dir::open(parent)?;
    let mut file = io::BufWriter::with_capacity(1 << 20, folder.create_file(name)?);
    let (mut hasher, mut done) = (Hasher::new(), (0, 0, 0));
    let mut failed = None;
    shelf_of(var, LOCAL)?.read_between(window.start, window.end, |line, read| {
        let (lines, lost) = match read {
            Read::Hit(hit) if window.contains(&hit.at) => (1, 0),
            Read::Lost(at, count) if window.contains(&at) => (0, count),
            _ => return,
        };
        done = (done.0 + lines, done.1 + lost, done.2 + line.len() as u64 + 1);
        hasher.update(line);
        hasher.update(b"\n");
        let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
        failed = failed.take().or_else(|| written.err());
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    crate::durable::sync_file(&file)?;
    let sha256 = hasher.finish();
    let mut sums = name.to_owned();
    sums.push(".sha256");
    folder.write_atomic(sums, format!("{sha256}  {}\n", name.to_string_lossy()).as_bytes())?;
    let (lines, lost, bytes) = done;
    Ok(Extract { lines, lost, bytes, sha256 })
}

/// A file that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Its day.
    pub day: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Removes the files of days that ended longer ago than `keep`; zero keeps all.
pub fn expire(var: &Path, keep: Duration, now: Timestamp, zone: &TimeZone) -> io::Result<Vec<Expired>> {
    let shelf = match shelf_of(var, LOCAL) {
        Ok(shelf) if !keep.is_zero() => shelf,
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut gone = Vec::new();
    let days = shelf.days()?;
    // The newest is being written, whatever the clock says.
    for day in days.iter().take(days.len().saturating_sub(1)) {
        let end = day.parse::<Date>().and_then(|d| d.tomorrow()).and_then(|d| d.to_zoned(zone.clone()));
        let is_over = end.is_ok_and(|end| end.timestamp() + keep <= now);
        if is_over {
            let bytes = shelf.open(day)?.metadata()?.len();
            shelf.remove(day)?;
            gone.push(Expired { day: day.clone(), bytes });
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_past_their_time_are_removed_and_named() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::create(scratch.path().join("access")).unwrap();
        for day in ["2027-06-01", "2027-06-02", "2027-06-03", "2027-06-04"] {
            dir.write_atomic(format!("{day}.log"), b"x\n").unwrap();
        }
        dir.write_atomic("notes.txt", b"x").unwrap();
        let zone = TimeZone::get("America/Cancun").unwrap();
        let run = |keep: u64, now: &str| {
            let gone =
                expire(scratch.path(), Duration::from_secs(keep * 86_400), now.parse().unwrap(), &zone);
            gone.unwrap().into_iter().map(|e| e.day).collect::<Vec<_>>()
        };
        assert_eq!(run(0, "2099-01-01T00:00:00Z"), Vec::<String>::new());
        // 2 June ends at 05:00 UTC of the 3rd.
        assert_eq!(run(1, "2027-06-04T04:59:59Z"), ["2027-06-01"]);
        assert_eq!(run(1, "2027-06-04T05:00:00Z"), ["2027-06-02"]);
        assert_eq!(run(1, "2099-01-01T00:00:00Z"), ["2027-06-03"], "the newest is being written");
    }
}
