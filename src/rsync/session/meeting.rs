//! Where generator and receiver meet: what was asked for and not yet answered, how many phases
//! the client closed, what must be tried again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::rsync::error::{Error, Exit};
use crate::rsync::signature::SumHead;
use crate::rsync::tree::Basis;

/// Bases held open at once: the generator waits beyond, so that a tree of many changed files
/// does not take as many descriptors.
const BASES_MAX: usize = 192;
/// Failed files whose bytes are kept for the second attempt; the others are sent whole.
const REDO_BASES_MAX: usize = 64;

/// What the generator asked about one index.
pub(super) struct Asked {
    /// What the blocks of the answer refer to.
    pub(super) basis: Option<Arc<dyn Basis>>,
    /// The head that was sent; the echo is not trusted.
    pub(super) head: SumHead,
    /// The second attempt, with full sums.
    pub(super) again: bool,
}

/// A file to try again, and what arrived of it.
pub(super) type Redo = (u32, Option<Arc<dyn Basis>>);

#[derive(Default)]
pub(super) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asked: HashMap<u32, Asked>,
    bases: usize,
    closed: u32,
    dones: u32,
    redo: Vec<Redo>,
    failed: HashSet<u32>,
    over: bool,
    /// Somebody waits; telling nobody costs a system call all the same.
    waiting: bool,
}

impl Meeting {
    /// Notes a request, before the client can know of it.
    pub(super) fn ask(&self, ndx: u32, asked: Asked) {
        let mut state = self.lock();
        state.bases += usize::from(asked.basis.is_some());
        state.asked.insert(ndx, asked);
    }

    /// Takes the request that an answer belongs to.
    pub(super) fn answered(&self, ndx: u32) -> Option<Asked> {
        let mut state = self.lock();
        let asked = state.asked.remove(&ndx)?;
        if asked.basis.is_some() {
            state.bases -= 1;
            self.tell(&state);
        }
        Some(asked)
    }

    /// Whether another basis must wait for answers.
    pub(super) fn crowded(&self) -> bool {
        self.lock().bases >= BASES_MAX
    }

    /// Waits until fewer bases are held.
    pub(super) fn wait_for_room(&self) -> Result<(), Error> {
        self.wait(|state| state.bases < BASES_MAX / 2)
    }

    /// We close a phase, before the client can know of it.
    pub(super) fn close_phase(&self) {
        self.lock().closed += 1;
    }

    /// The client closed a phase: its requests that have no answer never will. Gives them.
    pub(super) fn done(&self) -> Result<Vec<u32>, Error> {
        let mut state = self.lock();
        if state.dones >= state.closed {
            return Err(Error::protocol("a phase was closed before its time"));
        }
        let unanswered: Vec<u32> = state.asked.drain().map(|(ndx, _)| ndx).collect();
        state.bases = 0;
        state.failed.extend(&unanswered);
        state.dones += 1;
        self.tell(&state);
        Ok(unanswered)
    }

    /// Waits until the client closed `phases` phases.
    pub(super) fn wait_for_phase(&self, phases: u32) -> Result<(), Error> {
        self.wait(|state| state.dones >= phases)
    }

    /// A sum was wrong: try again.
    pub(super) fn redo(&self, ndx: u32, basis: Option<Arc<dyn Basis>>) {
        let mut state = self.lock();
        let held = state.redo.iter().filter(|(_, basis)| basis.is_some()).count();
        let basis = basis.filter(|_| held < REDO_BASES_MAX);
        state.redo.push((ndx, basis));
    }

    /// What is to be tried again.
    pub(super) fn take_redo(&self) -> Vec<Redo> {
        std::mem::take(&mut self.lock().redo)
    }

    /// This file will not come.
    pub(super) fn fail(&self, ndx: u32) {
        self.lock().failed.insert(ndx);
    }

    /// Whether this file will not come.
    pub(super) fn failed(&self, ndx: u32) -> bool {
        self.lock().failed.contains(&ndx)
    }

    /// The other side of the meeting ended: nobody waits any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        self.tell(&state);
    }

    fn wait(&self, ready: impl Fn(&State) -> bool) -> Result<(), Error> {
        let mut state = self.lock();
        state.waiting = true;
        let state = self.changed.wait_while(state, |state| !state.over && !ready(state));
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting = false;
        if ready(&state) { Ok(()) } else { Err(aborted()) }
    }

    fn tell(&self, state: &State) {
        if state.waiting {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one thread ends with because the other did; the other's reason is the one told.
pub(super) fn aborted() -> Error {
    Error::new(Exit::Signal, "la sesión terminó", "the session ended")
}
