//! A window in which something may be public.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a window is for. The data of a drill never becomes public in the
/// window of the election (T-36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The election itself.
    Jornada,
    /// A drill.
    Simulacro,
}

/// One published process: readers see cuts from `opens` until just before
/// `closes`, the waiting page otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique name, as the operator wrote it.
    pub name: String,
    /// Election or drill.
    pub kind: EventKind,
    /// First instant at which a cut may be seen.
    pub opens: Timestamp,
    /// First instant at which it may not be seen any more: the end of the
    /// obligation to show results, never earlier (T-17).
    pub closes: Timestamp,
    /// A package whose cut is older than this belongs to something else and is
    /// never published in this window.
    pub accepts_from: Timestamp,
    /// IANA name of the zone the operator wrote the hours in.
    pub zone: String,
}

impl Event {
    /// Whether readers may see this event's cuts at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opens <= now && now < self.closes
    }
}
