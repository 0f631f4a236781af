//! Keeps a gate's keyring equal to its directory.
//!
//! The directory is read whole every [`POLL`] and compared by content: what is on disk
//! is the truth, so no event can be lost (queue overflow, network file systems, a
//! directory replaced by another). A change counts when two readings in a row agree, so
//! that an editor caught between truncating and writing does not throw anybody out.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::fault::Fault;
use super::gate::Gate;
use super::keyring::{Change, Content, Keyring, Unusable};
use crate::clock::Clock;

/// What a reading brought to light.
#[derive(Debug)]
pub enum Report {
    /// Keys came, went, changed or expired. Sessions that may no longer be are ended.
    Changes(Vec<Change>),
    /// The faults are others than before; empty when all is well again.
    Faults(Vec<Fault>),
    /// The directory says nothing any more; the keys it held before stay trusted.
    Unusable(Unusable),
    /// It can be read again.
    Usable,
}

/// The task that follows the directory; dropping it ends the task.
#[derive(Debug)]
pub struct Following {
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows `path` into `gate`, starting from what the gate already trusts. `report` is
/// called from the task and should not wait long. Needs a tokio runtime.
pub fn follow(
    path: PathBuf,
    zone: TimeZone,
    gate: Gate,
    clock: Clock,
    report: impl Fn(Report) + Send + 'static,
) -> Following {
    let reader = Reader { zone, gate, clock, pending: None, applied: None, usable: true };
    Following { task: tokio::spawn(run(path, reader, report)) }
}

async fn run(path: PathBuf, mut reader: Reader, report: impl Fn(Report)) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let path = path.clone();
        // A reading that panicked is a reading that did not happen.
        let Ok(content) = spawn_blocking(move || Content::read(&path)).await else { continue };
        for found in reader.take(content) {
            report(found);
        }
    }
}

struct Reader {
    zone: TimeZone,
    gate: Gate,
    clock: Clock,
    /// Read once; counts when the next reading agrees.
    pending: Option<Content>,
    applied: Option<Content>,
    usable: bool,
}

impl Reader {
    fn take(&mut self, content: Result<Content, Unusable>) -> Vec<Report> {
        let mut reports = Vec::new();
        match content {
            Ok(content) => {
                if !std::mem::replace(&mut self.usable, true) {
                    reports.push(Report::Usable);
                }
                self.settle(content, &mut reports);
            }
            Err(e) => {
                self.pending = None;
                if std::mem::replace(&mut self.usable, false) {
                    reports.push(Report::Unusable(e));
                }
            }
        }
        let expired = self.gate.sweep(self.clock.now());
        if !expired.is_empty() {
            reports.push(Report::Changes(expired));
        }
        reports
    }

    fn settle(&mut self, content: Content, reports: &mut Vec<Report>) {
        if self.applied.as_ref() == Some(&content) {
            self.pending = None;
            return;
        }
        if self.pending.as_ref() != Some(&content) {
            self.pending = Some(content);
            return;
        }
        let ring = Keyring::parse(&content, &self.zone);
        let faults = (ring.faults() != self.gate.keyring().faults()).then(|| ring.faults().to_vec());
        let changes = self.gate.replace(ring, self.clock.now());
        if !changes.is_empty() {
            reports.push(Report::Changes(changes));
        }
        reports.extend(faults.map(Report::Faults));
        self.pending = None;
        self.applied = Some(content);
    }
}

/// Two readings must agree, so a change counts after at most twice this, and a bit: well
/// within the second that is promised. Reading a handful of small files costs microseconds.
const POLL: Duration = Duration::from_millis(250);
