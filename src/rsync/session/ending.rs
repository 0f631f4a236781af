//! How a session ends for the peer: what it is told, how long it is listened to.

use std::io::Read;
use std::sync::mpsc;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Shared;
use super::outbox::Outbox;
use crate::rsync::error::{Error, Exit, Lang};

/// How long a refused client is listened to: one that is cut off while it writes never reads why.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// A refused client that says nothing for this long is through.
const QUIET: Duration = Duration::from_secs(1);
/// How long keepalives may still come after a goodbye.
const LINGER: Duration = Duration::from_millis(100);
/// How long the last bytes may take to leave.
const LAST_FLUSH: Duration = Duration::from_secs(10);

pub(super) struct Ending {
    out: Outbox,
    input: Shared,
    lang: Lang,
    /// The client sends keepalives of its own.
    chatty: bool,
}

impl Ending {
    pub(super) fn new(out: Outbox, input: Shared, lang: Lang) -> Self {
        Self { out, input, lang, chatty: false }
    }

    /// A client with a timeout may write up to the last moment.
    pub(super) fn timeout(&mut self, seconds: u32) {
        self.chatty = seconds > 0;
    }

    /// The goodbye was said.
    pub(super) fn clean(self, exit: Exit) -> Exit {
        self.out.flush(LAST_FLUSH);
        if self.chatty {
            self.drain(LINGER);
        }
        self.out.close();
        exit
    }

    /// The session broke: says why where the client can hear it.
    pub(super) fn broken(self, error: &Error, stderr: &mut dyn FnMut(&str)) -> Exit {
        if !self.out.last_words(error, self.lang) {
            stderr(error.text(self.lang));
        } else if self.out.flush(LAST_FLUSH) && !gone(error) {
            self.drain(DRAIN_MAX);
        }
        self.out.close();
        error.exit
    }

    /// Reads what still comes, until the client closes or the time is over. The thread that reads
    /// ends with the stream, which the host closes.
    fn drain(&self, limit: Duration) {
        let (heard, news) = mpsc::channel::<()>();
        let input = Arc::clone(&self.input);
        let drain = move || {
            let mut buffer = vec![0; 16 << 10];
            let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
            while matches!(input.read(&mut buffer), Ok(1..)) && heard.send(()).is_ok() {}
        };
        if thread::Builder::new().name("rsync-drain".into()).spawn(drain).is_err() {
            return;
        }
        let until = Instant::now() + limit;
        // Clients before 3.1 know no message that ends them: they wait for us to close.
        while news.recv_timeout(QUIET.min(until.saturating_duration_since(Instant::now()))).is_ok() {}
    }
}

/// Whether the peer's stream itself has ended.
fn gone(error: &Error) -> bool {
    matches!(error.exit, Exit::Timeout | Exit::Stream)
}
