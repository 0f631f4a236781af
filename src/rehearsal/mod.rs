//! Rehearsals: packages unpacked, checked and staged while their bytes still arrive.
//!
//! Owns the threads that do it, in number as the configuration says, and nothing on disk but
//! scratch trees of the release store. Imports `archive`, `drop` (which tells how far a file
//! has come), `package`, `release`, `clock` and `model`.
//!
//! The flow: [`Ahead::begin`] → a [`run`] follows the growing file → at its last byte the tree is
//! sealed beside the work that makes the original durable → [`Rehearsal::take`], by the
//! publisher. A run only ever saves time. Whatever it stumbles over (a fault in the package, bytes
//! out of order, a full disk, a clock that moved) ends it without a word and without a trace,
//! and the publisher reads the kept original instead: every refusal comes from there. A tree may
//! have been staged over another base than the one of now: that costs disk, as fewer
//! files are shared, and nothing else.

mod progress;
mod run;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::drop::{Ahead, Early, Look};
use crate::model::{Cut, Digest, Receipt};
use crate::package::{Foreseen, Rules};
use crate::release::{Release, Staged, Store, Witness};
use progress::Progress;

/// The event that a cut will be for at an instant, if it is for none (`Some(None)`), or that
/// somebody else must say (`None`).
pub type Foresee = Box<dyn Fn(Option<Cut>, Timestamp) -> Option<Option<String>> + Send + Sync>;

/// Makes whoever wants to see the files of a release pass.
pub type Witnesses = Arc<dyn Fn() -> Box<dyn Witness> + Send + Sync>;

/// What rehearsals need.
pub struct Parts {
    /// Where trees are staged.
    pub store: Store,
    /// What a package must satisfy.
    pub rules: Arc<Rules>,
    /// Which event a cut is for.
    pub foresee: Foresee,
    /// The serving half of this process, if there is one.
    pub witnesses: Option<Witnesses>,
    /// Packages at once; more are read when they are whole.
    pub at_once_max: usize,
    /// The time.
    pub clock: Clock,
}

/// All rehearsals of an instance. Clones share them.
#[derive(Clone)]
pub struct Rehearsals {
    stage: Arc<Stage>,
}

struct Stage {
    parts: Parts,
    /// What the next tree shares its files with.
    base: Mutex<Option<Release>>,
    runs: Mutex<Vec<Arc<Progress>>>,
    /// Told when a run is over and its scratch gone.
    over: Condvar,
}

/// A package that was seen to its last byte, and its tree.
#[derive(Debug)]
pub struct Rehearsed {
    /// The tree, whole and durable.
    pub staged: Staged,
    /// What is known of the package.
    pub foreseen: Foreseen,
    /// SHA-256 of the bytes that were read.
    pub sha256: Digest,
}

/// A run that goes on behind the last byte. Dropped, it ends.
#[derive(Debug)]
pub struct Rehearsal {
    progress: Arc<Progress>,
    result: Receiver<Rehearsed>,
}

impl Rehearsals {
    /// No rehearsal yet.
    pub fn new(parts: Parts) -> Self {
        let (base, runs) = (Mutex::default(), Mutex::default());
        Self { stage: Arc::new(Stage { parts, base, runs, over: Condvar::new() }) }
    }

    /// What trees share their files with from now on.
    pub fn build_on(&self, base: Option<Release>) {
        *lock(&self.stage.base) = base;
    }
}

impl Ahead for Rehearsals {
    fn begin(&self, file: File) -> Option<Box<dyn Look>> {
        let progress = self.stage.enter()?;
        // Handed over, not queued: a tree that nobody takes is removed by the thread that made it.
        let (give, result) = sync_channel(0);
        let (stage, run) = (Arc::clone(&self.stage), Arc::clone(&progress));
        let spawned = std::thread::Builder::new().name("rehearse".to_owned()).spawn(move || {
            if let Some(done) = run::run(&stage.parts, || lock(&stage.base).clone(), file, &run) {
                // Nobody waits for it any more: it goes away here.
                let _ = give.send(done);
            }
            stage.leave(&run);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to unpack ahead with");
            self.stage.leave(&progress);
            return None;
        }
        Some(Box::new(Rehearsal { progress, result }))
    }

    fn give_way(&self, patience: Duration) -> bool {
        let mut runs = lock(&self.stage.runs);
        let open: Vec<_> = runs.iter().filter(|run| run.abandon_open()).cloned().collect();
        if open.is_empty() {
            return false;
        }
        let there = |runs: &mut Vec<Arc<Progress>>| {
            runs.iter().any(|run| open.iter().any(|gone| Arc::ptr_eq(run, gone)))
        };
        tracing::info!(count = open.len(), "disk is short: packages are read when they are whole");
        let waited = self.stage.over.wait_timeout_while(runs, patience, there);
        runs = waited.unwrap_or_else(PoisonError::into_inner).0;
        !there(&mut runs)
    }
}

impl std::fmt::Debug for Rehearsals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsals").field("runs", &lock(&self.stage.runs).len()).finish_non_exhaustive()
    }
}

impl Stage {
    /// A place for one more run; one whose sender has fallen silent makes room.
    fn enter(&self) -> Option<Arc<Progress>> {
        let mut runs = lock(&self.runs);
        if runs.len() >= self.parts.at_once_max {
            let silent = runs.iter().enumerate().filter(|(_, run)| run.silence() >= SILENCE);
            let (at, _) = silent.max_by_key(|(_, run)| run.silence())?;
            runs.get(at)?.abandon_open().then(|| runs.remove(at))?;
        }
        let progress = Arc::new(Progress::new());
        runs.push(Arc::clone(&progress));
        Some(progress)
    }

    fn leave(&self, progress: &Arc<Progress>) {
        lock(&self.runs).retain(|run| !Arc::ptr_eq(run, progress));
        self.over.notify_all();
    }
}

impl Look for Rehearsal {
    fn grown(&mut self, bytes: u64) {
        self.progress.grown(bytes);
    }

    fn whole(self: Box<Self>, sha256: Digest, receipt: &Receipt) -> Early {
        self.progress.whole(sha256, receipt);
        Early::new(*self)
    }
}

impl Rehearsal {
    /// The rehearsal of an arrival, if there was one.
    pub fn of(early: Early) -> Option<Self> {
        early.open().map(|rehearsal| *rehearsal)
    }

    /// What came of it, as soon as its tree is sealed. `None` if it had to be given up, or is not
    /// done within `patience`.
    pub fn take(self, patience: Duration) -> Option<Rehearsed> {
        self.result.recv_timeout(patience).ok()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.progress.abandon();
    }
}

impl Rehearsed {
    /// Removes the tree, on a thread of its own: whoever has no use for it is in a hurry.
    pub fn forget(self) {
        let forgetting = std::thread::Builder::new().name("forget".to_owned());
        // Without a thread it goes away here.
        let _ = forgetting.spawn(move || drop(self));
    }
}

/// A lock whose holder panicked still holds whole values: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sender that has sent nothing for this long gives its place to one that does.
const SILENCE: Duration = Duration::from_secs(5);
