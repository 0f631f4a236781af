//! What may be asked of the statistics, and what is answered.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who asks. Figures are of people; the rest is shown apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A reader.
    #[default]
    Human,
    /// A crawler, a preview, a library.
    Robot,
    /// The institute's checker, our own probe: once a minute is 1,440 pages a day.
    Monitor,
    /// The difusor's own networks.
    Internal,
}

impl Class {
    /// All, with their names in the log and in JSON.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Human, "human"),
        (Self::Robot, "robot"),
        (Self::Monitor, "monitor"),
        (Self::Internal, "internal"),
    ];

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).map_or("", |(_, name)| name)
    }

    /// The class of that name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.as_bytes() == name).map(|(class, _)| *class)
    }
}

/// A stretch of time, from the first second in it to the first one behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What people call it; may be empty.
    pub name: String,
    /// First second.
    pub from: Timestamp,
    /// First second that is not in it.
    pub to: Timestamp,
    /// IANA name of the zone whose days and hours are counted.
    pub zone: String,
}

/// Figures of one class in one stretch of time (definitions: docs/STATISTICS.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Answered requests of any status (hits, accesos).
    pub hits: u64,
    /// Of these, 2xx and 304 (hits válidos).
    pub valid: u64,
    /// Valid hits that are no pages (hits of resources: Quintana Roo's glossary).
    pub resources: u64,
    /// HTML documents (GET, 200 or 304).
    pub pages: u64,
    /// Data of results (GET of JSON, 200 or 304): a page of an application that asks for no HTML.
    pub views: u64,
    /// Visits that began.
    pub visits: u64,
    /// Distinct pairs of address and agent.
    pub visitors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

/// An hour, a day or a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its first second that lies in the window.
    pub from: Timestamp,
    /// People in it.
    pub people: Totals,
}

/// How long visits lasted: last hit less first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    /// Visits of one hit: nothing can be said of them.
    pub unknown: u64,
    /// The others.
    pub known: u64,
    /// Mean of the others.
    pub mean_seconds: Option<f64>,
    /// Median of the others.
    pub median_seconds: Option<u64>,
    /// The others by length.
    pub buckets: Vec<Bucket>,
}

/// Visits of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// From this length on,
    pub from_seconds: u64,
    /// up to just below this; none for the last bucket.
    pub to_seconds: Option<u64>,
    /// so many.
    pub visits: u64,
}

/// A page or a view, and how often people asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCount {
    /// What people call it; the path where nobody gave it a name.
    pub name: String,
    /// The paths behind it, most asked first; a few of them.
    pub paths: Vec<String>,
    /// Times asked for as an HTML document.
    pub pages: u64,
    /// Times asked for as data.
    pub views: u64,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which window.
    pub window: Window,
    /// Where the lines come from: `local`, or the name of an import.
    pub source: String,
    /// People.
    pub people: Totals,
    /// Every class.
    pub classes: BTreeMap<Class, Totals>,
    /// How long people stayed.
    pub stay: Stay,
    /// Hour by hour, empty ones too.
    pub hours: Vec<Slot>,
    /// Day by day, empty ones too.
    pub days: Vec<Slot>,
    /// The hour with most hits of people.
    pub peak_hour: Option<Slot>,
    /// The minute with most hits of people.
    pub peak_minute: Option<Slot>,
    /// Pages and views, most asked first.
    pub pages: Vec<PageCount>,
    /// Answers to people by hundred of their status: `2xx`.
    pub statuses: BTreeMap<String, u64>,
    /// Hits that found no room on their way to the log.
    pub lost: u64,
    /// The last line that is in these figures.
    pub until: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No statistics have been kept here.
    #[error("there are no statistics here")]
    Nothing,
    /// The zone of the window has no tables.
    #[error("unknown zone {0}")]
    Zone(String),
}

/// The figures of a window, from the statistics beneath `var` as they were last written down; a
/// service that runs does so when it is asked to (`control::Request::Settle`).
pub fn query(var: &Path, window: &Window) -> Result<Summary, QueryError> {
    let _ = (var, window);
    Err(QueryError::Nothing)
}
