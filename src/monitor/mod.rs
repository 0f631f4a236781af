//! What readers see, seen as one of them: probes through the public address, and the availability they prove.
//!
//! Owns `var/monitor/<date>.jsonl`, one [`Probe`] a line, a file a day of the election's zone. Imports
//! `durable`, `clock` and `model`. The way: a round of probes → [`Store::keep`] → [`availability`] over any window.
//! The file is no record of law: the ledger has the incidents; this has the figures.

mod availability;
mod probe;
mod store;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Cut;

pub use availability::{Availability, Exclusion, Settings, Share, availability};
pub use probe::{Expected, Prober, Questions, Target};
pub use store::{Store, probes};

/// One question to the site, and how it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// When it was asked.
    pub t: Timestamp,
    /// Which way: `public` or `cdn`.
    pub target: String,
    /// The path, such as `/`.
    pub path: String,
    /// The status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// From the question to the last byte, in milliseconds.
    pub ms: u64,
    /// Bytes of the body.
    pub bytes: u64,
    /// Whether everything was as it should be.
    pub ok: bool,
    /// What was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The cut that was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}
