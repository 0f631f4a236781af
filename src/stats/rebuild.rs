//! The figures again, from the logs alone.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::engine::{Bounds, Engine};
use super::line::Read;
use super::shelf::{Place, Shelf};
use super::store::{self, Settled, Store};
use super::{FOLDER, IMPORTS, LOCAL, shelf_of};
use crate::durable::Dir;

/// What came of one source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// `local`, or an import.
    pub source: String,
    /// Hits that were read.
    pub hits: u64,
    /// Lines that could not be.
    pub bad: u64,
    /// Whether what was counted before is what was counted now; `None` if nothing was.
    pub equal: Option<bool>,
}

/// Why nothing was made again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// What was counted is older than what is left of the log: it would be lost.
    #[error("{0}: the log begins at {1}, and the figures before that")]
    Shorter(String, Timestamp),
    /// The file of the statistics.
    #[error("the statistics cannot be written: {0}")]
    Store(#[from] rusqlite::Error),
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
}

/// Counts every log beneath `var` again, compares, and puts the new figures in the place of the old ones, unless
/// it is only to compare. A service that runs goes on from the new ones.
pub fn rebuild(
    var: &Path,
    bounds: Bounds,
    now: Timestamp,
    only_compare: bool,
) -> Result<Vec<Rebuilt>, RebuildError> {
    let stats = Dir::create(var.join(FOLDER))?;
    let mut store = Store::open(&stats.path().join(store::FILE))?;
    let mut sources = vec![LOCAL.to_owned()];
    if let Ok(imports) = stats.sub(IMPORTS) {
        sources.extend(imports.list()?.into_iter().filter_map(|n| n.name.into_string().ok()));
    }
    let mut done = Vec::new();
    for source in sources {
        let shelf = match shelf_of(var, &source) {
            Ok(shelf) => shelf,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        done.push(one(&mut store, &shelf, &source, bounds, now, only_compare)?);
    }
    Ok(done)
}

/// Counts one source again.
pub(super) fn one(
    store: &mut Store,
    shelf: &Shelf,
    source: &str,
    bounds: Bounds,
    now: Timestamp,
    only_compare: bool,
) -> Result<Rebuilt, RebuildError> {
    let (since, left) = (store.since(source)?, shelf.reaches_back_to()?);
    if !only_compare && since.is_some_and(|since| left.is_none_or(|left| left >= since + 60)) {
        let left = left.and_then(|at| Timestamp::from_second(at).ok()).unwrap_or(now);
        return Err(RebuildError::Shorter(source.to_owned(), left));
    }
    let before = store.state(source)?;
    let beside = format!("{source}~");
    store.forget(&beside)?;
    // Up to where the old figures stand first, so that the two can be compared.
    let mut counter = Counter { engine: Engine::new(bounds), place: None, hits: 0, bad: 0 };
    if let Some((place, _)) = &before {
        counter.read(store, shelf, &beside, Some(place), now)?;
    }
    let equal = match &before {
        Some((_, sum)) => Some(store.state(&beside)?.is_some_and(|(_, again)| again == *sum)),
        None => None,
    };
    if only_compare {
        store.forget(&beside)?;
    } else {
        counter.read(store, shelf, &beside, None, now)?;
        store.supersede(source, &beside)?;
    }
    let Counter { hits, bad, .. } = counter;
    Ok(Rebuilt { source: source.to_owned(), hits, bad, equal })
}

struct Counter {
    engine: Engine,
    place: Option<Place>,
    hits: u64,
    bad: u64,
}

impl Counter {
    /// Counts up to a place, or to the end, and writes down now and then: a night need not fit in memory.
    fn read(
        &mut self,
        store: &mut Store,
        shelf: &Shelf,
        source: &str,
        to: Option<&Place>,
        now: Timestamp,
    ) -> Result<(), RebuildError> {
        loop {
            let Self { engine, hits, bad, .. } = self;
            let place = shelf.read_on(self.place.as_ref(), to, PART_BYTES, |_, read| match read {
                Read::Hit(line) => {
                    *hits += 1;
                    engine.hit(&super::engine::Fact::of(&line));
                }
                Read::Lost(at, count) => engine.lost(at, count),
                Read::Remark => {}
                Read::Bad => {
                    *bad += 1;
                    engine.bad();
                }
            })?;
            if place == self.place {
                return Ok(());
            }
            if let Some(place) = &place {
                let from_to = (self.place.as_ref(), place);
                let settled = store.settle(source, &mut self.engine, from_to, now.as_second())?;
                if settled == Settled::Overtaken {
                    return Err(io::Error::other("somebody else counts again at the same time").into());
                }
            }
            self.place = place;
        }
    }
}

/// Read between two times that figures are written down.
const PART_BYTES: u64 = 64 << 20;
