//! Incidents: troubles from their beginning to their end, as the calls want them told (T-35).
//!
//! Owns no file: an incident is what the ledger's lines `incident_opened`, `incident_noted` and
//! `incident_closed` say of one number. Imports `ledger`, `clock`, `durable` and `model`.
//!
//! The way: who notices trouble asks the [`Book`] to open, note or close → a ledger line, synced →
//! the table of the book. [`read`] makes the same table of the lines alone, for reports and for
//! a stopped service.

mod export;
mod table;
#[cfg(test)]
mod tests;
mod trouble;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::durable::Dir;
use crate::ledger::{self, Entry, Filter, Kind, Ledger};
use crate::model::{Cut, Stage};

pub use export::{csv, spoken};
pub use table::{Change, Table, change_of};
pub use trouble::{Level, Trouble};

/// One trouble, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Running number, from 1.
    pub number: u64,
    /// What it is about.
    pub kind: Trouble,
    /// What tells two of a kind apart: a package, a probe, an hour; may be empty.
    pub subject: String,
    /// The stage of the calls, where it belongs to one.
    pub stage: Option<Stage>,
    /// The gravest that it has been.
    pub level: Level,
    /// When the trouble began (which may be before it was noticed).
    pub start: Timestamp,
    /// When it ended; `None` while it lasts.
    pub end: Option<Timestamp>,
    /// The cuts it is about.
    pub cuts: Vec<Cut>,
    /// Why, as far as is known.
    pub cause: String,
    /// Whether what readers saw was affected.
    pub affected: bool,
    /// Who or what noticed: `cadencia`, `monitor`, `operador`…
    pub detected_by: String,
    /// The person who opened it, where it was one.
    pub opened_by: Option<String>,
    /// The person who closed it, where it was one.
    pub closed_by: Option<String>,
    /// What was done about it.
    pub action: Option<String>,
    /// What people and rules added, oldest first.
    pub notes: Vec<Note>,
}

impl Incident {
    /// Whether it lasts.
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// From its start to its end, or to `now` while it lasts; never negative.
    pub fn duration(&self, now: Timestamp) -> SignedDuration {
        self.end.unwrap_or(now).duration_since(self.start).max(SignedDuration::ZERO)
    }
}

/// One remark on an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// The person; `None` for a rule of ours.
    pub who: Option<String>,
    /// What.
    pub text: String,
    /// How grave the rule that wrote it says it is now.
    pub level: Option<Level>,
}

/// What is known of a trouble when it is noticed.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What it is about.
    pub kind: Trouble,
    /// What tells two of a kind apart.
    pub subject: String,
    /// The stage; by default the kind's.
    pub stage: Option<Stage>,
    /// How grave.
    pub level: Level,
    /// When it began; `None` for now.
    pub start: Option<Timestamp>,
    /// The cuts it is about.
    pub cuts: Vec<Cut>,
    /// Why.
    pub cause: String,
    /// Whether readers are affected; by default what the kind says.
    pub affected: bool,
    /// Who or what noticed.
    pub detected_by: String,
    /// The person, where it is one.
    pub who: Option<String>,
}

impl Opening {
    /// A trouble noticed by a rule.
    pub fn new(kind: Trouble, detected_by: &str, cause: impl Into<String>) -> Self {
        Self {
            kind,
            subject: String::new(),
            stage: kind.stage(),
            level: Level::Warning,
            start: None,
            cuts: Vec::new(),
            cause: cause.into(),
            affected: kind.affects(),
            detected_by: detected_by.to_owned(),
            who: None,
        }
    }

    /// Tells it from others of its kind.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// When it began.
    pub fn since(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self
    }

    /// Somebody must act now.
    pub fn critical(mut self) -> Self {
        self.level = Level::Critical;
        self
    }

    fn entry(&self, number: u64, now: Timestamp) -> Entry {
        let entry = Entry::new(Kind::IncidentOpened).with("incident", number).with("kind", self.kind);
        let entry = entry.with_some("subject", Some(&self.subject).filter(|s| !s.is_empty()));
        let entry = entry.with_some("stage", self.stage).with("level", self.level);
        let entry = entry.with("start", self.start.unwrap_or(now).min(now));
        let entry = entry.with_some("cuts", Some(&self.cuts).filter(|c| !c.is_empty()));
        let entry = entry.with("cause", &self.cause).with("affected", self.affected);
        entry.with("detected_by", &self.detected_by).with_some("who", self.who.as_ref())
    }
}

/// What a remark changes beside its text; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The person; `None` for a rule.
    pub who: Option<String>,
    /// What is said.
    pub text: String,
    /// Whether readers were affected.
    #[serde(default)]
    pub affected: Option<bool>,
    /// The cause, now that it is known.
    #[serde(default)]
    pub cause: Option<String>,
    /// How grave it is now.
    #[serde(default)]
    pub level: Option<Level>,
}

/// How an incident ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// When the trouble ended; `None` for now.
    pub end: Option<Timestamp>,
    /// The person; `None` for a rule.
    pub who: Option<String>,
    /// What was done about it.
    pub action: String,
    /// The cut that ended it, where one did.
    pub cut: Option<Cut>,
}

impl Closing {
    /// A rule saw it end.
    pub fn seen(action: impl Into<String>) -> Self {
        Self { action: action.into(), ..Self::default() }
    }
}

/// Why something could not be written into the book.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// No incident has that number.
    #[error("there is no incident {0}")]
    Unknown(u64),
    /// It is closed: what was decided stays, a new one must be opened.
    #[error("incident {0} is closed")]
    Closed(u64),
    /// The ledger.
    #[error("the ledger cannot be written")]
    Ledger(#[from] io::Error),
}

/// The incidents of a running service. Clones share them.
#[derive(Clone, Debug)]
pub struct Book {
    ledger: Ledger,
    clock: Clock,
    table: Arc<Mutex<Table>>,
}

impl Book {
    /// Takes up what the ledger says.
    pub fn open(ledger: Ledger, clock: Clock) -> io::Result<Self> {
        let table = Table::read(&ledger.dir())?;
        Ok(Self { ledger, clock, table: Arc::new(Mutex::new(table)) })
    }

    /// Puts a trouble on record, unless one of its kind and subject is open. Gives its number, and whether it is new.
    pub fn begin(&self, opening: Opening) -> Result<(u64, bool), BookError> {
        let mut table = self.table();
        if let Some(open) = table.open(opening.kind, &opening.subject) {
            return Ok((open.number, false));
        }
        let number = table.next();
        let now = self.clock.now();
        let entry = opening.entry(number, now);
        self.ledger.append(entry.clone())?;
        table.take(now, Kind::IncidentOpened, &entry.fields);
        Ok((number, true))
    }

    /// Adds a remark. A closed incident takes remarks too (what was learned afterwards).
    pub fn note(&self, number: u64, remark: &Remark) -> Result<(), BookError> {
        let mut table = self.table();
        table.get(number).ok_or(BookError::Unknown(number))?;
        let entry = Entry::new(Kind::IncidentNoted).with("incident", number);
        let entry = entry.with_some("who", remark.who.as_ref()).with("text", &remark.text);
        let entry = entry.with_some("affected", remark.affected).with_some("cause", remark.cause.as_ref());
        let entry = entry.with_some("level", remark.level);
        self.ledger.append(entry.clone())?;
        table.take(self.clock.now(), Kind::IncidentNoted, &entry.fields);
        Ok(())
    }

    /// Puts its end on record.
    pub fn close(&self, number: u64, closing: &Closing) -> Result<(), BookError> {
        let mut table = self.table();
        let incident = table.get(number).ok_or(BookError::Unknown(number))?;
        if !incident.is_open() {
            return Err(BookError::Closed(number));
        }
        let now = self.clock.now();
        let end = closing.end.unwrap_or(now).min(now).max(incident.start);
        let seconds = end.duration_since(incident.start).as_secs();
        let entry = Entry::new(Kind::IncidentClosed).with("incident", number).with("kind", incident.kind);
        let entry = entry.with("end", end).with("seconds", seconds).with_some("cut", closing.cut);
        let entry = entry.with_some("who", closing.who.as_ref()).with("action", &closing.action);
        self.ledger.append(entry.clone())?;
        table.take(now, Kind::IncidentClosed, &entry.fields);
        Ok(())
    }

    /// Closes what is open of that kind and subject; nothing if nothing is.
    pub fn end(&self, kind: Trouble, subject: &str, closing: &Closing) -> Result<(), BookError> {
        let open = self.table().open(kind, subject).map(|incident| incident.number);
        open.map_or(Ok(()), |number| self.close(number, closing))
    }

    /// The open incident of that kind and subject.
    pub fn find(&self, kind: Trouble, subject: &str) -> Option<Incident> {
        self.table().open(kind, subject).cloned()
    }

    /// What lasts, oldest first.
    pub fn lasting(&self) -> Vec<Incident> {
        self.table().list().filter(|i| i.is_open()).cloned().collect()
    }

    /// All, oldest first.
    pub fn list(&self) -> Vec<Incident> {
        self.table().list().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic in here left at worst a line that the table does not know of.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All incidents of the ledger in `dir`, oldest first. Lines that cannot be read are passed over:
/// [`ledger::verify`] tells of them.
pub fn read(dir: &Dir) -> io::Result<Vec<Incident>> {
    Ok(Table::read(dir)?.list().cloned().collect())
}

impl Table {
    /// The table that the ledger in `dir` makes.
    pub fn read(dir: &Dir) -> io::Result<Self> {
        let mut table = Self::default();
        for line in ledger::read(dir, Filter::kinds(&KINDS))?.flatten() {
            table.follow(&line);
        }
        Ok(table)
    }
}

/// The kinds of lines that incidents are made of.
pub const KINDS: [Kind; 3] = [Kind::IncidentOpened, Kind::IncidentNoted, Kind::IncidentClosed];
