//! What goes to the peer: one queue, one thread that writes it.
//!
//! The receiver must never wait for output: clients before 3.1 do not read while they write, so
//! a receiver that waits for them waits for ever. Messages therefore always fit (up to a bound
//! no honest session reaches); only the generator's data waits when the queue is long.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::meeting::aborted;
use crate::rsync::error::{Error, Exit, Lang};
use crate::rsync::mux::{Tag, frame};

/// Data beyond this many queued bytes makes the generator wait.
const DATA_MAX: usize = 256 << 10;
/// Messages beyond this many queued bytes end the session.
const QUEUE_MAX: usize = 64 << 20;
/// Largest payload of one frame of ours.
const FRAME_MAX: usize = 16 << 10;
/// Longest text of one message.
const TEXT_MAX: usize = 8 << 10;

/// The queue; clones share it.
#[derive(Clone)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something to write, or the end.
    work: Condvar,
    /// The writer took the queue, or gave up.
    room: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<u8>,
    framed: bool,
    protocol: u8,
    /// Entries of the file list, once known: the keepalive of protocol 29 is the index behind the last.
    entries: Option<i32>,
    /// Data ended inside an item; protocol 29 may not send its keepalive there.
    inside: bool,
    every: Option<Duration>,
    writing: bool,
    /// The writer waits for work; telling nobody costs a system call all the same.
    idle: bool,
    closed: bool,
    /// The receiver failed: no more data, messages still go.
    halted: bool,
    /// The error that ends the session was told.
    last_words: bool,
    failed: Option<io::ErrorKind>,
}

impl Outbox {
    /// Starts the writer. It ends with [`Outbox::close`] or when the peer is gone.
    pub(super) fn start(output: Box<dyn Write + Send>) -> Result<Self, Error> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), room: Condvar::new() });
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("rsync-writer".into())
            .spawn(move || {
                // A host's stream that panics must not leave the session waiting.
                if catch_unwind(AssertUnwindSafe(|| write(output, &theirs))).is_err() {
                    theirs.fail(io::ErrorKind::BrokenPipe);
                }
            })
            .map_err(|e| Error::new(Exit::Memory, format!("sin hilos: {e}"), format!("no threads: {e}")))?;
        Ok(Self { shared })
    }

    /// From here on bytes travel in frames; when nothing was sent for `every`, a keepalive is.
    pub(super) fn multiplex(&self, protocol: u8, every: Option<Duration>) {
        let mut state = self.lock();
        state.framed = true;
        state.protocol = protocol;
        state.every = every;
        self.shared.wake(&state);
    }

    /// How many entries the file list has.
    pub(super) fn entries(&self, entries: usize) {
        self.lock().entries = i32::try_from(entries).ok();
    }

    /// Protocol data. Waits while much is queued. `whole`: an item ends with these bytes.
    pub(super) fn data(&self, bytes: &[u8], whole: bool) -> Result<(), Error> {
        let mut state = self.lock();
        while state.queue.len() > DATA_MAX && state.failed.is_none() && !state.closed && !state.halted {
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.alive()?;
        if state.halted {
            return Err(aborted());
        }
        state.inside = !whole;
        if !state.framed {
            state.queue.extend_from_slice(bytes);
        } else {
            for piece in bytes.chunks(FRAME_MAX) {
                frame(Tag::Data, piece, &mut state.queue);
            }
        }
        self.shared.wake(&state);
        Ok(())
    }

    /// A message; never waits. Before the stream is framed it is lost: the caller has said it elsewhere.
    pub(super) fn message(&self, tag: Tag, payload: &[u8]) -> Result<(), Error> {
        let mut state = self.lock();
        state.alive()?;
        if !state.framed {
            return Ok(());
        }
        if state.queue.len() > QUEUE_MAX {
            return Err(Error::protocol("the client does not read its messages"));
        }
        let payload = payload.get(..TEXT_MAX).unwrap_or(payload);
        frame(tag, payload, &mut state.queue);
        self.shared.wake(&state);
        Ok(())
    }

    /// Ends the data: who sends more of it fails.
    pub(super) fn halt(&self) {
        self.lock().halted = true;
        self.shared.room.notify_all();
    }

    /// Tells the error that ends the session, once. `false`: it could not be told.
    pub(super) fn last_words(&self, error: &Error, lang: Lang) -> bool {
        let protocol = {
            let mut state = self.lock();
            if !state.framed || std::mem::replace(&mut state.last_words, true) {
                return state.framed;
            }
            state.protocol
        };
        let tag = if protocol >= 30 { Tag::Error } else { Tag::ErrorXfer };
        let text = format!("{}\n", error.text(lang));
        let exit = i32::from(error.exit.code()).to_le_bytes();
        self.message(tag, text.as_bytes()).is_ok()
            && (protocol < 31 || self.message(Tag::ErrorExit, &exit).is_ok())
    }

    /// Waits, at most `limit`, until all was written. `false`: it was not.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let state = self.lock();
        let busy = |state: &mut State| state.failed.is_none() && (state.writing || !state.queue.is_empty());
        let waited = self.shared.room.wait_timeout_while(state, limit, busy);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out() && state.failed.is_none()
    }

    /// No more will be sent; what is queued still goes out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn wake(&self, state: &State) {
        if state.idle {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for bytes to write and takes them in exchange for an empty buffer. `false`: the end.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        state.writing = false;
        if state.queue.is_empty() {
            self.room.notify_all();
        }
        while state.queue.is_empty() && !state.closed {
            state.idle = true;
            state = match state.every {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(every) => {
                    let waited = self.work.wait_timeout(state, every).unwrap_or_else(PoisonError::into_inner);
                    let (mut state, timeout) = waited;
                    if timeout.timed_out() && state.queue.is_empty() {
                        state.keepalive();
                    }
                    state
                }
            };
        }
        state.idle = false;
        if state.queue.is_empty() {
            return false;
        }
        state.writing = true;
        std::mem::swap(&mut state.queue, bytes);
        self.room.notify_all();
        true
    }

    fn fail(&self, kind: io::ErrorKind) {
        let mut state = self.lock();
        state.failed = Some(kind);
        state.writing = false;
        state.queue = Vec::new();
        self.room.notify_all();
    }
}

impl State {
    fn alive(&self) -> Result<(), Error> {
        match self.failed {
            Some(kind) => Err(io::Error::from(kind).into()),
            None if self.closed => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
            None => Ok(()),
        }
    }

    /// What each protocol has for "still here"; 27 and 28 have nothing.
    fn keepalive(&mut self) {
        match self.protocol {
            31.. => frame(Tag::Data, &[], &mut self.queue),
            30 => frame(Tag::Noop, &[], &mut self.queue),
            29 => {
                let Some(entries) = self.entries.filter(|_| !self.inside) else { return };
                let mut item = entries.to_le_bytes().to_vec();
                item.extend_from_slice(&super::item::IS_NEW.to_le_bytes());
                frame(Tag::Data, &item, &mut self.queue);
            }
            _ => {}
        }
    }
}

fn write(mut output: Box<dyn Write + Send>, shared: &Shared) {
    let mut bytes = Vec::new();
    while shared.take(&mut bytes) {
        if let Err(error) = output.write_all(&bytes).and_then(|()| output.flush()) {
            return shared.fail(error.kind());
        }
        bytes.clear();
        if bytes.capacity() > DATA_MAX * 2 {
            bytes = Vec::new();
        }
    }
}
