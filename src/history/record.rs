//! What is known of one original: when it came, from whom, what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TREE;
use crate::model::{Code, Cut, Digest, Lang, Outcome, Receipt, ReleaseId};

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
    /// Of an increment: the originals it was laid over, the first package first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub onto: Vec<Digest>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Readers saw it.
    Published,
    /// Verified and staged, not (yet) shown.
    Staged,
    /// An increment that waits for the package it builds on.
    Held,
    /// The same bytes had been dealt with.
    Repeated,
    /// Refused.
    Rejected,
}

impl Verdict {
    /// The verdict that `outcome` gives the sender, its detail in `lang`.
    pub fn of(outcome: &Outcome, at: Timestamp, lang: Lang) -> Self {
        let bare =
            |result, cut| Self { at, result, cut, release: None, code: None, detail: None, onto: Vec::new() };
        match outcome {
            Outcome::Published { cut, release, .. } => {
                Self { release: Some(release.clone()), ..bare(Decision::Published, *cut) }
            }
            Outcome::Staged { cut, .. } => bare(Decision::Staged, *cut),
            Outcome::Held { cut } => bare(Decision::Held, *cut),
            Outcome::Repeated { .. } | Outcome::Agreed => bare(Decision::Repeated, None),
            Outcome::Rejected(no) => {
                let detail = no.detail_text(lang);
                let detail: Vec<&str> = no.entry.as_deref().into_iter().chain(detail).collect();
                let detail = (!detail.is_empty()).then(|| detail.join(": "));
                Self { code: Some(no.code), detail, ..bare(Decision::Rejected, None) }
            }
        }
    }
}

impl Record {
    /// What was decided last, repetitions apart.
    pub fn standing(&self) -> Option<&Verdict> {
        self.verdicts.iter().rev().find(|verdict| verdict.result != Decision::Repeated)
    }

    pub(super) fn new(id: Digest, ext: &str) -> Self {
        Self { id, ext: ext.to_owned(), receptions: Vec::new(), receptions_left_out: 0, verdicts: Vec::new() }
    }

    /// Whether it is the manifest of a pushed tree.
    pub fn is_tree(&self) -> bool {
        self.ext == TREE
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
