//! Lines → incidents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Incident, Level, Note, Trouble};
use crate::ledger::{Kind, Line};
use crate::model::Cut;

/// Incidents by number, as the lines so far tell them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    incidents: BTreeMap<u64, Incident>,
}

/// What a line changes about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It began.
    Opened,
    /// A rule says how grave it has become.
    Raised(Level),
    /// Somebody remarked on it.
    Noted,
    /// It ended.
    Closed,
}

/// The number and the change that a line is about, if it is about an incident.
pub fn change_of(line: &Line) -> Option<(u64, Change)> {
    let change = match line.kind? {
        Kind::IncidentOpened => Change::Opened,
        Kind::IncidentNoted => value(&line.fields, "level").map_or(Change::Noted, Change::Raised),
        Kind::IncidentClosed => Change::Closed,
        _ => return None,
    };
    Some((value(&line.fields, "incident")?, change))
}

impl Table {
    /// Takes in a line; lines about anything else change nothing.
    pub fn follow(&mut self, line: &Line) {
        if let Some(kind) = line.kind {
            self.take(line.at, kind, &line.fields);
        }
    }

    /// The incident of that number.
    pub fn get(&self, number: u64) -> Option<&Incident> {
        self.incidents.get(&number)
    }

    /// All, oldest first.
    pub fn list(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// The open one of that kind and subject.
    pub(super) fn open(&self, kind: Trouble, subject: &str) -> Option<&Incident> {
        self.incidents.values().rev().find(|i| i.is_open() && i.kind == kind && i.subject == subject)
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u64 {
        self.incidents.last_key_value().map_or(0, |(n, _)| *n).saturating_add(1)
    }

    pub(super) fn take(&mut self, at: Timestamp, kind: Kind, fields: &Map<String, Value>) {
        let Some(number) = value::<u64>(fields, "incident") else { return };
        match kind {
            Kind::IncidentOpened => {
                let incident = opened(number, at, fields);
                // The first line of a number holds: nothing that follows can rewrite it.
                self.incidents.entry(number).or_insert(incident);
            }
            Kind::IncidentNoted => {
                if let Some(incident) = self.incidents.get_mut(&number) {
                    noted(incident, at, fields);
                }
            }
            Kind::IncidentClosed => {
                if let Some(incident) = self.incidents.get_mut(&number).filter(|i| i.is_open()) {
                    incident.end = Some(value(fields, "end").unwrap_or(at));
                    incident.closed_by = value(fields, "who");
                    incident.action = value::<String>(fields, "action").filter(|a| !a.is_empty());
                    incident.cuts.extend(value::<Cut>(fields, "cut"));
                }
            }
            _ => {}
        }
    }
}

fn opened(number: u64, at: Timestamp, fields: &Map<String, Value>) -> Incident {
    let kind = value(fields, "kind").unwrap_or(Trouble::Other);
    Incident {
        number,
        kind,
        subject: value(fields, "subject").unwrap_or_default(),
        stage: value(fields, "stage"),
        level: value(fields, "level").unwrap_or_default(),
        start: value(fields, "start").unwrap_or(at),
        end: None,
        cuts: value(fields, "cuts").unwrap_or_default(),
        cause: value(fields, "cause").unwrap_or_default(),
        affected: value(fields, "affected").unwrap_or_else(|| kind.affects()),
        detected_by: value(fields, "detected_by").unwrap_or_default(),
        opened_by: value(fields, "who"),
        closed_by: None,
        action: None,
        notes: Vec::new(),
    }
}

fn noted(incident: &mut Incident, at: Timestamp, fields: &Map<String, Value>) {
    if let Some(affected) = value(fields, "affected") {
        incident.affected = affected;
    }
    if let Some(cause) = value(fields, "cause") {
        incident.cause = cause;
    }
    let level: Option<Level> = value(fields, "level");
    incident.level = incident.level.max(level.unwrap_or_default());
    let text = value(fields, "text").unwrap_or_default();
    incident.notes.push(Note { at, who: value(fields, "who"), text, level });
}

fn value<T: DeserializeOwned>(fields: &Map<String, Value>, name: &str) -> Option<T> {
    fields.get(name).and_then(|value| T::deserialize(value).ok())
}
