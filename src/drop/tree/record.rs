//! A committed tree on its way to the publisher, and the file that makes it survive a crash.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::room::{Room, Turn};
use super::super::{Answer, Arrival, Change, Payload, Submission, TreeChange};
use super::live::LiveTree;
use crate::durable::Dir;
use crate::model::Receipt;

/// A committed tree that waits for the publisher: what a crash must not lose.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) receipt: Receipt,
    pub(super) changes: BTreeMap<String, Change>,
}

impl Record {
    pub(super) fn counts(&self) -> (usize, usize) {
        let removed = self.changes.values().filter(|change| **change == Change::Removed).count();
        (self.changes.len() - removed, removed)
    }
}

/// Hands a tree on, with the turn.
pub(super) fn hand_on(
    room: &Room,
    files: Dir,
    record: Record,
    base: Option<Arc<LiveTree>>,
    turn: Option<Turn>,
) -> Submission {
    let (verdict, submission) = Answer::promise(&record.receipt.name, turn);
    let payload = Payload::Tree(TreeChange { files, changes: record.changes });
    room.hand_on(Arrival { payload, receipt: record.receipt, base, verdict });
    submission
}

/// Hands a tree on that was committed before a crash; `false` if `name` is none.
pub(in crate::drop) fn hand_on_again(room: &Room, name: &str) -> io::Result<bool> {
    let Ok(dir) = room.incoming.sub(name) else { return Ok(false) };
    let Ok(text) = dir.read(RECORD, RECORD_BYTES) else { return Ok(false) };
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(false) };
    hand_on(room, dir, record, None, None);
    Ok(true)
}

/// The file that makes a scratch directory a committed tree.
pub(super) const RECORD: &str = "commit.json";

/// Bytes of that file: 50,000 entries of 1 KiB are 60 MB.
const RECORD_BYTES: u64 = 128 << 20;
