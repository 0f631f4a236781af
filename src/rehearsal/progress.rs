//! How far one package has come, told by its upload and awaited by those who follow it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;
use crate::archive::Arriving;
use crate::model::{Digest, Hasher, Receipt};

/// Shared by an upload and its run.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    /// Bytes that are in the file and stay as they are.
    there: u64,
    /// The fewest bytes that somebody waits for.
    awaited: u64,
    grown: Instant,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    /// More may come.
    Open,
    /// All is there.
    Whole(Box<(Digest, Receipt)>),
    /// It will not be whole, or nobody wants to know.
    Over,
}

impl Progress {
    pub(super) fn new() -> Self {
        let state = State { there: 0, awaited: u64::MAX, grown: Instant::now(), end: End::Open };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    /// The first `bytes` bytes are there. Costs the sender a lock that is hardly ever held.
    pub(super) fn grown(&self, bytes: u64) {
        let mut state = lock(&self.state);
        (state.there, state.grown) = (bytes, Instant::now());
        if bytes >= state.awaited {
            // Whoever has not enough yet says so again.
            state.awaited = u64::MAX;
            drop(state);
            self.moved.notify_all();
        }
    }

    pub(super) fn whole(&self, sha256: Digest, receipt: &Receipt) {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Open) {
            state.end = End::Whole(Box::new((sha256, receipt.clone())));
        }
        drop(state);
        self.moved.notify_all();
    }

    /// Ends the run wherever it is.
    pub(super) fn abandon(&self) {
        lock(&self.state).end = End::Over;
        self.moved.notify_all();
    }

    /// Ends the run unless its package is whole already; whether it was not.
    pub(super) fn abandon_open(&self) -> bool {
        let mut state = lock(&self.state);
        let is_open = matches!(state.end, End::Open);
        if is_open {
            state.end = End::Over;
            drop(state);
            self.moved.notify_all();
        }
        is_open
    }

    /// How long nothing has come for a package that is not whole.
    pub(super) fn silence(&self) -> Duration {
        let state = lock(&self.state);
        if matches!(state.end, End::Open) { state.grown.elapsed() } else { Duration::ZERO }
    }

    /// What the package is, once it is whole.
    pub(super) fn fact(&self) -> Option<(Digest, Receipt)> {
        match &lock(&self.state).end {
            End::Whole(fact) => Some((**fact).clone()),
            End::Open | End::Over => None,
        }
    }

    /// Whether the run has been ended from outside.
    pub(super) fn is_over(&self) -> bool {
        matches!(lock(&self.state).end, End::Over)
    }

    /// Whether somebody waits for more.
    #[cfg(test)]
    pub(super) fn is_awaited(&self) -> bool {
        lock(&self.state).awaited < u64::MAX
    }

    /// Waits until `wanted` bytes are there or no more will come; gives how many there are
    /// and whether these are all.
    pub(super) fn reach(&self, wanted: u64) -> io::Result<(u64, bool)> {
        let waits = |state: &mut State| {
            let is_short = state.there < wanted && matches!(state.end, End::Open);
            if is_short {
                state.awaited = state.awaited.min(wanted);
            }
            is_short
        };
        let state = self.moved.wait_while(lock(&self.state), waits);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        match state.end {
            End::Open => Ok((state.there, false)),
            End::Whole(_) => Ok((state.there, true)),
            End::Over => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// The growing file, read as far as it has come, and the hash of what was read.
#[derive(Debug)]
pub(super) struct Bytes {
    file: File,
    progress: Arc<Progress>,
    read: Mutex<(Hasher, u64)>,
}

impl Bytes {
    pub(super) fn new(file: File, progress: Arc<Progress>) -> Self {
        Self { file, progress, read: Mutex::default() }
    }

    /// SHA-256 and number of the bytes that were read.
    pub(super) fn finish(self) -> (Digest, u64) {
        let (hasher, count) = self.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        (hasher.finish(), count)
    }
}

impl Arriving for Bytes {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = lock(&self.read);
        if read.1 != at {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let count = self.peek(buffer, at)?;
        let (hasher, hashed) = &mut *read;
        hasher.update(buffer.get(..count).unwrap_or_default());
        *hashed += count as u64;
        Ok(count)
    }

    fn peek(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        // A few large pieces are decoded faster than many small ones.
        let wanted = at.saturating_add((buffer.len() as u64).min(STEP));
        let (there, _) = self.progress.reach(wanted)?;
        let most = usize::try_from(there.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..most).unwrap_or_default();
        self.file.read_exact_at(piece, at)?;
        Ok(most)
    }
}

/// Bytes that are worth waking a decoder for.
const STEP: u64 = 128 << 10;
