//! Reading lines back, for lists, exports and the start of the service.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader};

use jiff::Timestamp;

use super::chain::read_line;
use super::{Kind, LEDGER, Line};
use crate::durable::Dir;
use crate::model::ReleaseId;

/// Which lines are wanted. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only lines written at this instant or later.
    pub since: Option<Timestamp>,
    /// Only lines written before this instant.
    pub until: Option<Timestamp>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<Kind>,
}

impl Filter {
    /// Lines of these kinds, whenever they were written.
    pub fn kinds(kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), ..Self::default() }
    }

    fn takes(&self, line: &Line) -> bool {
        self.since.is_none_or(|t| line.at >= t)
            && self.until.is_none_or(|t| line.at < t)
            && (self.kinds.is_empty() || line.kind.is_some_and(|k| self.kinds.contains(&k)))
    }

    /// Whether the line may be of a wanted kind, seen without parsing it.
    fn may_take(&self, raw: &[u8]) -> bool {
        let holds = |needle: &[u8]| raw.windows(needle.len()).any(|w| w == needle);
        self.kinds.is_empty() || self.kinds.iter().any(|k| holds(format!("\"{}\"", k.name()).as_bytes()))
    }
}

/// The wanted lines of the ledger in `dir`, oldest first; none where there is no ledger. A
/// line that cannot be read is an error that names it, after which reading goes on;
/// [`super::verify`] says more. A last line without end is left out: it may be in the making.
pub fn read(dir: &Dir, filter: Filter) -> io::Result<Lines> {
    let reader = match dir.open_file(LEDGER) {
        Ok(file) => Some(BufReader::with_capacity(128 * 1024, file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    Ok(Lines { reader, filter, number: 0 })
}

/// Lines on their way out of the file.
#[derive(Debug)]
pub struct Lines {
    reader: Option<BufReader<File>>,
    filter: Filter,
    number: u64,
}

impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut raw = Vec::new();
        loop {
            raw.clear();
            match read_line(self.reader.as_mut()?, &mut raw) {
                Ok(0) => return None,
                Ok(_) if raw.last() != Some(&b'\n') => return None,
                Ok(_) => self.number += 1,
                Err(e) => {
                    self.reader = None;
                    return Some(Err(e));
                }
            }
            if !self.filter.may_take(&raw) {
                continue;
            }
            match Line::parse(self.number, &raw) {
                Some(line) if self.filter.takes(&line) => return Some(Ok(line)),
                Some(_) => {}
                None => {
                    let text = format!("place {} of the ledger holds no line", self.number);
                    return Some(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
            }
        }
    }
}

/// Every release that readers ever saw, the latest first, each once: where a start
/// looks when what `current` names is broken. Lines that cannot be read are passed over.
pub fn published(dir: &Dir) -> io::Result<Vec<ReleaseId>> {
    let mut releases: Vec<ReleaseId> = read(dir, Filter::kinds(&[Kind::Published, Kind::RolledBack]))?
        .flatten()
        .filter_map(|line| release(&line))
        .collect();
    releases.reverse();
    let mut seen = HashSet::new();
    releases.retain(|id| seen.insert(id.clone()));
    Ok(releases)
}

/// The intention that no later line carried out or gave up: a crash fell between it and
/// the swap, or between the swap and its record.
pub fn unfinished(dir: &Dir) -> io::Result<Option<Line>> {
    let ends = [Kind::Published, Kind::RolledBack, Kind::Abandoned];
    let mut open: Option<Line> = None;
    for line in read(dir, Filter::kinds(&[Kind::Intention, ends[0], ends[1], ends[2]]))?.flatten() {
        let ended = open.as_ref().is_some_and(|o| o.text("release") == line.text("release"));
        if line.kind == Some(Kind::Intention) {
            open = Some(line);
        } else if ended {
            open = None;
        }
    }
    Ok(open)
}

fn release(line: &Line) -> Option<ReleaseId> {
    line.text("release").and_then(ReleaseId::parse)
}
