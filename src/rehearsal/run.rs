//! One run: from the first bytes of a package to its sealed tree.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::progress::{Bytes, Progress};
use super::{Parts, Rehearsed};
use crate::archive::Arriving as _;
use crate::model::{Digest, Receipt, Rejection};
use crate::package::{self, Foreseen};
use crate::release::{Expected, Flusher, Meta, Origin, Release};

/// Follows a file until it is whole; `None` if the run is to be forgotten.
pub(super) fn run(
    parts: &Parts,
    base: impl FnOnce() -> Option<Release>,
    file: File,
    progress: &Arc<Progress>,
) -> Option<Rehearsed> {
    match follow(parts, base, file, progress) {
        Ok(done) => Some(done),
        Err(Stopped::Over) => None,
        Err(Stopped::Fault(fault)) => {
            tracing::debug!(%fault, "not unpacked ahead; read again when it is whole");
            None
        }
        Err(Stopped::Disk(error)) => {
            tracing::warn!(%error, "not unpacked ahead; read again when it is whole");
            None
        }
    }
}

/// Why a run ends without a tree.
enum Stopped {
    /// It was ended from outside.
    Over,
    /// Something is wrong with the package, perhaps: whoever reads it whole will say.
    Fault(Rejection),
    /// Our own disk.
    Disk(io::Error),
}

impl From<Rejection> for Stopped {
    fn from(fault: Rejection) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn follow(
    parts: &Parts,
    base: impl FnOnce() -> Option<Release>,
    file: File,
    progress: &Arc<Progress>,
) -> Result<Rehearsed, Stopped> {
    let bytes = Bytes::new(file, Arc::clone(progress));
    // Nothing is made for a connection that brings nothing.
    bytes.peek(&mut [0; FIRST], 0).map_err(|_| Stopped::Over)?;
    let base = base();
    let mut staging = parts.store.stage(base.as_ref(), expected(base.as_ref()))?;
    staging.watched_by(parts.witnesses.as_ref().map(|make| make()));
    let flusher = staging.flusher()?;
    let seen = std::thread::scope(|scope| {
        let flushing = std::thread::Builder::new().name("flush".to_owned());
        // Without a thread everything is flushed at the end.
        let _ = flushing.spawn_scoped(scope, || flush(&flusher, progress));
        let seen = package::watch(&bytes, &parts.rules, parts.clock.now(), &mut staging);
        if seen.is_err() {
            progress.abandon();
        }
        seen
    });
    if progress.is_over() && seen.is_ok() {
        return Err(Stopped::Over);
    }
    let seen = seen?;
    let (found, count) = bytes.finish();
    let (sha256, receipt) = progress.fact().ok_or(Stopped::Over)?;
    let behind = |step| {
        let since = parts.clock.now().duration_since(receipt.last_byte);
        tracing::debug!(package = %sha256, ms = since.as_millis(), step, "behind the last byte");
    };
    behind("read");
    if found != sha256 || count != receipt.bytes {
        return Err(Stopped::Disk(io::Error::other("other bytes were read than came")));
    }
    let foreseen = seen.judge(&receipt.name, receipt.bytes, parts.clock.now())?;
    if let Some(top) = foreseen.top() {
        staging.strip(top)?;
    }
    let meta = meta(parts, &foreseen, sha256, &receipt).ok_or(Stopped::Over)?;
    let staged = staging.seal(meta)?;
    behind("sealed");
    Ok(Rehearsed { staged, foreseen, sha256 })
}

/// Writes out what has come and what was unpacked, a little at a time, so that the sync at
/// the end finds little left. An error ends the run: a failed sync is not tried again on
/// the same files.
fn flush(flusher: &Flusher, progress: &Progress) {
    let mut flushed = 0;
    while let Ok((there, false)) = progress.reach(flushed + FLUSH_STEP) {
        if let Err(error) = flusher.flush() {
            tracing::warn!(%error, "writing out ahead failed");
            return progress.abandon();
        }
        flushed = there;
    }
}

/// What is known of the release beside its files. `None` where the publisher must say.
fn meta(parts: &Parts, foreseen: &Foreseen, sha256: Digest, receipt: &Receipt) -> Option<Meta> {
    let (cut, now) = (foreseen.cut(), parts.clock.now());
    Some(Meta {
        cut,
        package: Some(sha256),
        name: Some(receipt.name.clone()),
        sender: Some(receipt.sender.clone()),
        received: Some(receipt.last_byte),
        verified: Some(now),
        event: (parts.foresee)(cut, now)?,
        top: foreseen.top().map(str::to_owned),
        ..Meta::new(Origin::Package)
    })
}

/// What a package will need, judged by the release before it.
fn expected(base: Option<&Release>) -> Expected {
    let (bytes, entries) = base.map_or((0, 0), |r| (r.manifest.bytes(), r.manifest.len() as u64));
    Expected { bytes, entries }
}

/// Bytes that tell whether anything comes at all.
const FIRST: usize = 512;
/// Bytes that arrive between two flushes: a tenth of a real package.
const FLUSH_STEP: u64 = 4 << 20;
