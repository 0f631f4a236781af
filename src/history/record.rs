//! What is known of one original: when it came, from whom, what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Code, Cut, Digest, Outcome, Receipt, ReleaseId};

/// All that is known of one original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// SHA-256 of the bytes.
    pub id: Digest,
    /// Suffix of its file, such as `tar.gz`; `tree` for the manifest of a pushed tree.
    pub ext: String,
    /// Each time it came, oldest first. Empty if a crash fell between the bytes and this record.
    #[serde(default)]
    pub receptions: Vec<Receipt>,
    /// Receptions that were not written down any more, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub receptions_left_out: u64,
    /// What was decided, oldest first. Empty: still to be verified.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
}

/// One decision about an original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// What.
    pub result: Decision,
    /// The cut that was found in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The release it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The entry at fault and the figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Readers saw it.
    Published,
    /// Verified and staged, not (yet) shown.
    Staged,
    /// The same bytes had been dealt with.
    Repeated,
    /// Refused.
    Rejected,
}

impl Verdict {
    /// The verdict that `outcome` gives the sender.
    pub fn of(outcome: &Outcome, at: Timestamp) -> Self {
        let bare = |result, cut| Self { at, result, cut, release: None, code: None, detail: None };
        match outcome {
            Outcome::Published { cut, release, .. } => {
                Self { release: Some(release.clone()), ..bare(Decision::Published, *cut) }
            }
            Outcome::Staged { cut, .. } => bare(Decision::Staged, *cut),
            Outcome::Repeated { .. } => bare(Decision::Repeated, None),
            Outcome::Rejected(no) => {
                let detail: Vec<&str> =
                    [&no.entry, &no.detail].into_iter().flatten().map(String::as_str).collect();
                let detail = (!detail.is_empty()).then(|| detail.join(": "));
                Self { code: Some(no.code), detail, ..bare(Decision::Rejected, None) }
            }
        }
    }
}

impl Record {
    pub(super) fn new(id: Digest, ext: &str) -> Self {
        Self { id, ext: ext.to_owned(), receptions: Vec::new(), receptions_left_out: 0, verdicts: Vec::new() }
    }

    /// Name of the file that holds its bytes.
    pub fn file(&self) -> String {
        format!("{}.{}", self.id, self.ext)
    }

    /// When its bytes came last.
    pub fn last_received(&self) -> Option<Timestamp> {
        self.receptions.iter().map(|r| r.last_byte).max()
    }

    /// The name it came under last.
    pub fn name(&self) -> Option<&str> {
        self.receptions.last().map(|r| r.name.as_str())
    }

    pub(super) fn receive(&mut self, receipt: &Receipt) {
        push_bounded(&mut self.receptions, receipt.clone(), &mut self.receptions_left_out);
    }

    pub(super) fn decide(&mut self, verdict: Verdict) {
        push_bounded(&mut self.verdicts, verdict, &mut 0);
    }
}

/// Adds to a list that a script gone wild must not grow without end: the first half of
/// the bound is kept for ever, of the rest the latest.
fn push_bounded<T>(list: &mut Vec<T>, item: T, left_out: &mut u64) {
    if list.len() >= EVENTS_MAX {
        list.remove(EVENTS_MAX / 2);
        *left_out += 1;
    }
    list.push(item);
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Receptions and verdicts written down for one original. A night has a hundred cuts; only
/// a script that sends the same bytes in a loop comes near.
const EVENTS_MAX: usize = 200;
