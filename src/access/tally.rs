//! Counts since the start, for metrics: words of ours and numbers, nothing of a peer's.

use std::collections::BTreeMap;

use serde::Serialize;

/// What the doors have decided since the start, and how many are in. A snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Who was let in, by what they proved: `key`, `certificate`, `password`, `address`.
    pub admitted: BTreeMap<&'static str, u64>,
    /// Who was turned away, by reason: the words of the ledger's `refused` lines.
    pub refused: BTreeMap<&'static str, u64>,
    /// Bans that began.
    pub bans: u64,
    /// Sources banned now.
    pub banned: usize,
    /// Sessions now.
    pub sessions: usize,
}
