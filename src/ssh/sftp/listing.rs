//! A directory as READDIR gives it, in portions.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use jiff::{Timestamp, ToSpan as _};

use crate::drop::Stat;

/// Most names in one reply, as OpenSSH's server has it: clients grow no further buffer.
const PORTION: usize = 100;

/// One name of a listing.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: Vec<u8>,
    /// The line that `ls -l` would print.
    pub(super) long: Vec<u8>,
    pub(super) stat: Stat,
}

/// What of an open directory has not been sent yet.
#[derive(Debug)]
pub(super) struct Listing {
    rest: std::vec::IntoIter<(OsString, Stat)>,
}

impl Listing {
    /// `.` and `..`, which clients expect (both shown as `here`), then the names.
    pub(super) fn new(here: Stat, names: Vec<(OsString, Stat)>) -> Self {
        let mut all = vec![(OsString::from("."), here), (OsString::from(".."), here)];
        all.extend(names);
        Self { rest: all.into_iter() }
    }

    /// The next portion; empty at the end.
    pub(super) fn next(&mut self, now: Timestamp) -> Vec<Line> {
        self.rest.by_ref().take(PORTION).map(|(name, stat)| line(name, stat, now)).collect()
    }
}

/// The mode that files and directories show: all are public, none is executable.
pub(super) fn mode(stat: &Stat) -> u32 {
    if stat.is_dir { 0o040_755 } else { 0o100_644 }
}

fn line(name: OsString, stat: Stat, now: Timestamp) -> Line {
    let kind = if stat.is_dir { "drwxr-xr-x" } else { "-rw-r--r--" };
    let head = format!("{kind}    1 prep     prep     {:>8} {} ", stat.size, day(stat.mtime, now));
    let name = name.as_bytes().to_vec();
    let long = [head.as_bytes(), &name].concat();
    Line { name, long, stat }
}

/// `Nov 21 09:59`, or `Nov 21  2025` for what is older than half a year or yet to come.
fn day(mtime: i64, now: Timestamp) -> String {
    let then = Timestamp::from_second(mtime).unwrap_or(Timestamp::UNIX_EPOCH);
    let recent = now.checked_sub((182 * 24).hours()).is_ok_and(|half_year_ago| then > half_year_ago);
    let format = if recent && then <= now { "%b %e %H:%M" } else { "%b %e  %Y" };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_read_like_ls() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let stat = Stat { is_dir: false, size: 34_012_345, mtime: now.as_second() - 60 };
        let new = line(OsString::from("p.tar.gz"), stat, now);
        assert_eq!(
            String::from_utf8(new.long).unwrap(),
            "-rw-r--r--    1 prep     prep     34012345 Nov 21 09:59 p.tar.gz"
        );
        assert_eq!(day(now.as_second() - 200 * 86_400, now), "May  5  2026");
        assert_eq!(day(i64::MAX, now), "Jan  1  1970");
    }

    #[test]
    fn a_listing_comes_in_portions_and_ends() {
        let stat = Stat { is_dir: true, size: 0, mtime: 0 };
        let names = (0..150).map(|n| (OsString::from(n.to_string()), stat)).collect();
        let mut listing = Listing::new(stat, names);
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!([100, 52, 0], [(); 3].map(|()| listing.next(now).len()));
    }
}
