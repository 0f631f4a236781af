//! What the ledger says of receptions and cuts, put together: one value for each time something came.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use crate::durable::Dir;
use crate::ledger::{self, Filter, Kind, Line};
use crate::model::{Cut, Digest, Sender};

/// Everything the ledger says of a stretch of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Night {
    /// What came, in the order of the lines.
    pub(super) receptions: Vec<Reception>,
    /// Peers refused before anything was stored, by reason.
    pub(super) refused: BTreeMap<String, u64>,
    /// What people did: rollbacks and publications by hand, as (when, kind, who, why).
    pub(super) acts: Vec<(Timestamp, String, String, String)>,
    /// Lines that were read.
    pub(super) lines: u64,
    /// SHA-256 of the last of them.
    pub(super) head: Option<Digest>,
}

/// One reception, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    /// The name its sender gave.
    pub(super) name: String,
    /// SHA-256; of a pushed tree, of its list. `None` for a tree that was never verified.
    pub(super) package: Option<String>,
    /// Who sent it.
    pub(super) sender: Option<Sender>,
    /// When the first byte came.
    pub(super) first_byte: Timestamp,
    /// When the last byte came.
    pub(super) last_byte: Timestamp,
    /// How many bytes.
    pub(super) bytes: u64,
    /// The stamp that was found in it.
    pub(super) cut: Option<Cut>,
    /// When it was verified.
    pub(super) verified: Option<Timestamp>,
    /// When readers first saw it.
    pub(super) published: Option<Timestamp>,
    /// The release it became.
    pub(super) release: Option<String>,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What became of a reception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Readers saw it.
    Published,
    /// Verified, never shown: a newer one came first, or the window never opened.
    Verified,
    /// Older than what readers saw.
    Superseded,
    /// The same bytes had come before.
    Repeated,
    /// An increment that waited for its first package.
    Held,
    /// Refused: code, stage, entry or detail.
    Rejected(String, String, String),
    /// The ledger says no more of it.
    Unknown,
}

impl Reception {
    /// Seconds from the first byte to the last one.
    pub(super) fn seconds(&self) -> f64 {
        self.last_byte.duration_since(self.first_byte).as_secs_f64().max(0.0)
    }

    /// Megabits (10⁶) per second; `None` where the clock saw no time pass.
    pub(super) fn mbps(&self) -> Option<f64> {
        let seconds = self.seconds();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a package are far below 2⁵³")]
        let megabits = self.bytes as f64 * 8.0 / 1e6;
        (seconds >= 0.001).then(|| megabits / seconds)
    }

    /// Seconds from the last byte (or from `opens`, where that was later) to the first reader.
    pub(super) fn delay(&self, opens: Option<Timestamp>) -> Option<f64> {
        let since = opens.map_or(self.last_byte, |opens| opens.max(self.last_byte));
        self.published.map(|at| at.duration_since(since).as_secs_f64().max(0.0))
    }

    /// Seconds from the hour of the stamp to the first reader.
    pub(super) fn age(&self) -> Option<f64> {
        let cut = self.cut?.instant();
        self.published.map(|at| at.duration_since(cut).as_secs_f64())
    }
}

/// The kinds that tell of receptions.
const KINDS: &[Kind] = &[
    Kind::Received,
    Kind::Verified,
    Kind::Rejected,
    Kind::Superseded,
    Kind::Repeated,
    Kind::Held,
    Kind::Published,
    Kind::Refused,
    Kind::RolledBack,
    Kind::Warning,
];

/// Reads what was received from `from` on and before `to`, with all that is known of it until
/// `as_of`; no later line counts.
pub(super) fn read(dir: &Dir, from: Timestamp, to: Timestamp, as_of: Timestamp) -> io::Result<Night> {
    let mut night = Night::default();
    let filter = Filter {
        since: None,
        until: as_of.checked_add(jiff::SignedDuration::from_millis(1)).ok(),
        kinds: KINDS.to_vec(),
    };
    for line in ledger::read(dir, filter)? {
        let line = line?;
        night.lines += 1;
        night.head = Some(Digest::of(line.raw.as_bytes()));
        night.take(&line);
    }
    night.receptions.retain(|r| r.last_byte >= from && r.last_byte < to);
    night.acts.retain(|(t, ..)| *t >= from && *t < to);
    Ok(night)
}

/// The instant of the last line there is: what a report speaks of unless it is told otherwise.
pub(super) fn last_line(dir: &Dir) -> io::Result<Option<Timestamp>> {
    let mut last = None;
    for line in ledger::read(dir, Filter::default())? {
        last = Some(line?.at);
    }
    Ok(last)
}

impl Night {
    fn take(&mut self, line: &Line) {
        let word = |name: &str| line.text(name).unwrap_or_default().to_owned();
        match line.kind {
            Some(Kind::Received) => self.receptions.push(reception(line)),
            Some(Kind::Refused) => {
                let count = line.fields.get("count").and_then(Value::as_u64).unwrap_or(0);
                *self.refused.entry(word("reason")).or_default() += count;
            }
            Some(Kind::RolledBack) => {
                self.acts.push((
                    line.at,
                    word("ev"),
                    word("who"),
                    format!("{} ← {}: {}", word("release"), word("from"), word("why")),
                ));
            }
            Some(Kind::Warning) if line.text("what") == Some("published_by_hand") => {
                self.acts.push((
                    line.at,
                    word("what"),
                    word("operator"),
                    format!("{}: {}", word("name"), word("reason")),
                ));
            }
            Some(kind) => self.settle(kind, line),
            None => {}
        }
    }

    fn settle(&mut self, kind: Kind, line: &Line) {
        let word = |name: &str| line.text(name).unwrap_or_default().to_owned();
        let Some(reception) = self.of(line) else { return };
        match kind {
            Kind::Verified => {
                reception.verified = Some(line.at);
                reception.package =
                    line.text("package").map(str::to_owned).or_else(|| reception.package.take());
                reception.release = line.text("release").map(str::to_owned);
                reception.cut =
                    line.fields.get("cut").and_then(|cut| Cut::deserialize(cut).ok()).or(reception.cut);
                reception.fate = Fate::Verified;
            }
            Kind::Published => {
                // A rollback shows a release again: the first time counts.
                reception.published.get_or_insert(line.at);
                reception.fate = Fate::Published;
            }
            Kind::Superseded => reception.fate = Fate::Superseded,
            Kind::Repeated => reception.fate = Fate::Repeated,
            Kind::Held => reception.fate = Fate::Held,
            Kind::Rejected => {
                let parts = [word("entry"), word("detail")];
                let detail = parts.iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join(": ");
                reception.fate = Fate::Rejected(word("code"), word("stage"), detail);
            }
            _ => {}
        }
    }

    /// Which reception a line is about: that of its release, else the last one of its package, else
    /// the last tree that has no name yet.
    fn of(&mut self, line: &Line) -> Option<&mut Reception> {
        let (release, package) = (line.text("release"), line.text("package"));
        let published = line.kind == Some(Kind::Published);
        let place = |same: &dyn Fn(&Reception) -> bool| self.receptions.iter().rposition(same);
        let by_release =
            release.filter(|_| published).and_then(|id| place(&|r| r.release.as_deref() == Some(id)));
        let by_package = || package.and_then(|id| place(&|r| r.package.as_deref() == Some(id)));
        let by_name = || line.text("name").and_then(|name| place(&|r| r.package.is_none() && r.name == name));
        let tree = || {
            let waits = |r: &Reception| r.package.is_none() && r.fate == Fate::Unknown;
            place(&waits).filter(|_| line.kind == Some(Kind::Verified))
        };
        let at = by_release.or_else(by_package).or_else(by_name).or_else(tree)?;
        self.receptions.get_mut(at)
    }
}

fn reception(line: &Line) -> Reception {
    let instant = |name: &str| line.text(name).and_then(|t| t.parse().ok()).unwrap_or(line.at);
    Reception {
        name: line.text("name").unwrap_or_default().to_owned(),
        package: line.text("package").map(str::to_owned),
        sender: line.fields.get("sender").and_then(|s| Sender::deserialize(s).ok()),
        first_byte: instant("first_byte"),
        last_byte: instant("last_byte"),
        bytes: line.fields.get("bytes").and_then(Value::as_u64).unwrap_or(0),
        cut: None,
        verified: None,
        published: None,
        release: None,
        fate: Fate::Unknown,
    }
}
