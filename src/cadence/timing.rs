//! How long each cut took: stamped → received → published, and how fast it was sent.

use std::collections::HashMap;
use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cut_of;
use crate::durable::Dir;
use crate::ledger::{self, Filter, Kind, Line};
use crate::model::{Cut, ReleaseId, Sender};

/// One reception with its times. What has not happened (yet) is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// SHA-256 of the package.
    pub package: String,
    /// The name its sender gave.
    pub name: String,
    /// Who sent it.
    pub sender: Option<Sender>,
    /// Its stamp.
    pub cut: Option<Cut>,
    /// First byte.
    pub first_byte: Timestamp,
    /// Last byte.
    pub last_byte: Timestamp,
    /// How many.
    pub bytes: u64,
    /// When it was verified.
    pub verified: Option<Timestamp>,
    /// When readers saw it first.
    pub published: Option<Timestamp>,
    /// The release it became.
    pub release: Option<ReleaseId>,
    /// The code of a refusal.
    pub code: Option<String>,
}

impl Timing {
    /// From first to last byte; never negative.
    pub fn transfer(&self) -> SignedDuration {
        self.last_byte.duration_since(self.first_byte).max(SignedDuration::ZERO)
    }

    /// Megabits (10⁶) per second, where there was a time to divide by.
    pub fn mbps(&self) -> Option<f64> {
        let seconds = self.transfer().as_secs_f64();
        (seconds >= SHORTEST_MEASURED_S).then(|| self.bytes as f64 * 8.0 / 1e6 / seconds)
    }

    /// From the hour in the stamp to the last byte.
    pub fn stamp_to_received(&self) -> Option<SignedDuration> {
        self.cut.map(|cut| self.last_byte.duration_since(cut.instant()))
    }

    /// From the last byte to the first reader.
    pub fn received_to_published(&self) -> Option<SignedDuration> {
        self.published.map(|at| at.duration_since(self.last_byte))
    }
}

/// How fast packages came, in Mbps: slowest, middle, fastest (T-07). `None` where nothing could be measured.
pub fn bandwidth(timings: &[Timing]) -> Option<[f64; 3]> {
    let mut all: Vec<f64> = timings.iter().filter_map(Timing::mbps).collect();
    all.sort_by(f64::total_cmp);
    let (slowest, fastest) = (all.first()?, all.last()?);
    Some([*slowest, *all.get(all.len() / 2)?, *fastest])
}

/// What the call says a transfer may take (QRoo III.b) and be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Longer than this is worth a warning.
    pub warn: SignedDuration,
    /// Longer than this breaks the call.
    pub limit: SignedDuration,
    /// Smallest and largest package that is ordinary; one outside is warned of, never refused.
    pub bytes: Option<(u64, u64)>,
    /// Link that the call asks for, in Mbps.
    pub mbps: u64,
    /// From the last byte to publication (Durango I.11).
    pub publish: SignedDuration,
}

/// Receptions whose lines lie in the filter's time, oldest first, one for each time that a package came.
pub fn timings(dir: &Dir, since: Option<Timestamp>, until: Option<Timestamp>) -> io::Result<Vec<Timing>> {
    let kinds = vec![Kind::Received, Kind::Verified, Kind::Published, Kind::Rejected, Kind::Superseded];
    let mut all: Vec<Timing> = Vec::new();
    let mut latest: HashMap<String, usize> = HashMap::new();
    let mut by_release: HashMap<String, usize> = HashMap::new();
    for line in ledger::read(dir, Filter { since, until, kinds })?.flatten() {
        let package = line.text("package").unwrap_or_default().to_owned();
        if line.kind == Some(Kind::Received) {
            latest.insert(package.clone(), all.len());
            all.push(received(&line, package));
            continue;
        }
        let at = match line.kind {
            Some(Kind::Published) => {
                by_release.get(line.text("release").unwrap_or_default()).or_else(|| latest.get(&package))
            }
            _ => latest.get(&package),
        };
        let Some(at) = at.copied() else { continue };
        let Some(timing) = all.get_mut(at) else { continue };
        match line.kind {
            Some(Kind::Verified) => {
                timing.verified = Some(line.at);
                timing.cut = cut_of(&line);
                timing.release = line.text("release").and_then(ReleaseId::parse);
                by_release.insert(line.text("release").unwrap_or_default().to_owned(), at);
            }
            // Shown again after a rollback or a notice is not shown first.
            Some(Kind::Published) => _ = timing.published.get_or_insert(line.at),
            _ => timing.code = line.text("code").map(str::to_owned),
        }
    }
    Ok(all)
}

fn received(line: &Line, package: String) -> Timing {
    let instant = |name: &str| line.text(name).and_then(|t| t.parse().ok()).unwrap_or(line.at);
    Timing {
        package,
        name: line.text("name").unwrap_or_default().to_owned(),
        sender: line.fields.get("sender").and_then(|s| Sender::deserialize(s).ok()),
        cut: None,
        first_byte: instant("first_byte"),
        last_byte: instant("last_byte"),
        bytes: line.fields.get("bytes").and_then(Value::as_u64).unwrap_or_default(),
        verified: None,
        published: None,
        release: None,
        code: None,
    }
}

/// Below this the clock says more than the link.
const SHORTEST_MEASURED_S: f64 = 0.001;
