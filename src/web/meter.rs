//! The clocks of one connection, and the socket that drives them.
//!
//! A connection is *busy* while a response runs or the socket takes no bytes. One that is
//! busy for a whole window and moves less than a few kilobytes in it is cut, whatever the reason:
//! a reader who does not read, an HTTP/2 window that stays at zero. One that begins a
//! request and does not end it is cut too.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::config::WebLimits;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    written: AtomicU64,
    read: AtomicU64,
    is_left: AtomicBool,
    /// What the state says too, to be seen without its lock.
    is_blocked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    running: u32,
    is_blocked: bool,
    busy_since: Option<Instant>,
    quiet_since: Option<Instant>,
    head_since: Option<Instant>,
    heads: Heads,
    is_over: bool,
    window: Instant,
    window_written: u64,
    window_read: u64,
    window_requests: u64,
}

/// Which requests have a clock on their head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Every one: HTTP/1, where bytes from an idle peer are the next head.
    Every,
    /// The first: HTTP/2, where they may be anything.
    First,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// Let it end in order: nobody has used it for long.
    Finish,
    /// Cut: a request is not being finished.
    SlowHead,
    /// Cut: a response is not being read.
    Stalled,
    /// Cut: bytes without end that ask for nothing, such as pings, settings and windows.
    Flood,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Arc<Self> {
        let state = State {
            running: 0,
            is_blocked: false,
            busy_since: None,
            quiet_since: Some(now),
            head_since: Some(now),
            heads: Heads::Every,
            is_over: false,
            window: now,
            window_written: 0,
            window_read: 0,
            window_requests: 0,
        };
        Arc::new(Self {
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            is_left: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// The handshake is over: the clock of the first request starts.
    pub(super) fn begin(&self, heads: Heads, now: Instant) {
        let mut state = self.lock();
        (state.heads, state.head_since) = (heads, Some(now));
    }

    /// A request has come in whole; the ticket lives as long as its response.
    pub(super) fn request(self: &Arc<Self>, now: Instant) -> Ticket {
        let mut state = self.lock();
        state.head_since = None;
        state.running += 1;
        state.window_requests += 1;
        state.touch(now);
        Ticket { meter: Arc::clone(self) }
    }

    /// Looks at all clocks.
    pub(super) fn check(&self, limits: &WebLimits, idle: Duration, now: Instant) -> Verdict {
        let written = self.written.load(Ordering::Relaxed);
        let mut state = self.lock();
        if state.head_since.is_some_and(|since| now - since >= limits.head) {
            return Verdict::SlowHead;
        }
        let read = self.read.load(Ordering::Relaxed);
        let asked = FLOOD_FROM_BYTES
            + state.window_requests * FLOOD_BYTES_PER_REQUEST
            + (written - state.window_written) / FLOOD_SHARE_OF_WRITTEN;
        if read - state.window_read > asked {
            return Verdict::Flood;
        }
        if now - state.window >= limits.progress {
            let busy_throughout =
                state.is_busy() && state.busy_since.is_some_and(|since| since <= state.window);
            if busy_throughout && written - state.window_written < limits.progress_bytes {
                return Verdict::Stalled;
            }
            (state.window, state.window_written) = (now, written);
            (state.window_read, state.window_requests) = (read, 0);
        }
        let is_idle =
            state.head_since.is_none() && state.quiet_since.is_some_and(|since| now - since >= idle);
        if is_idle || state.is_over { Verdict::Finish } else { Verdict::Keep }
    }

    /// The connection is to end in order at the next look at its clocks.
    pub(super) fn finish(&self) {
        self.lock().is_over = true;
    }

    /// No further request is waited for.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    fn done(&self, now: Instant) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        state.touch(now);
    }

    fn wrote(&self, count: usize, now: impl Fn() -> Instant) {
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        // One task drives a socket: nobody blocks it in between.
        if self.is_blocked.load(Ordering::Relaxed) {
            self.is_blocked.store(false, Ordering::Relaxed);
            let mut state = self.lock();
            state.is_blocked = false;
            state.touch(now());
        }
    }

    fn blocked(&self, now: impl Fn() -> Instant) {
        if !self.is_blocked.load(Ordering::Relaxed) {
            self.is_blocked.store(true, Ordering::Relaxed);
            let mut state = self.lock();
            state.is_blocked = true;
            state.touch(now());
        }
    }

    fn read(&self, count: usize, now: impl Fn() -> Instant) {
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        let mut state = self.lock();
        if state.running == 0 && state.head_since.is_none() && state.heads == Heads::Every {
            state.head_since = Some(now());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.running > 0 || self.is_blocked
    }

    /// Notes a change between busy and quiet. A write that comes through is followed at once by the
    /// next one: so short a pause does not end a busy time.
    fn touch(&mut self, now: Instant) {
        if !self.is_busy() {
            self.quiet_since.get_or_insert(now);
        } else if let Some(quiet) = self.quiet_since.take()
            && (self.busy_since.is_none() || now - quiet > PAUSE)
        {
            self.busy_since = Some(now);
        }
    }
}

/// One running response.
#[derive(Debug)]
pub(super) struct Ticket {
    meter: Arc<Meter>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.meter.done(Instant::now());
    }
}

/// A socket that tells its meter what passes.
#[derive(Debug)]
pub(super) struct Metered {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => self.meter.wrote(*count, Instant::now),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.meter.blocked(Instant::now),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            self.meter.read(count, Instant::now);
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes that a peer may send in a window without asking for anything.
const FLOOD_FROM_BYTES: u64 = 1 << 20;
/// What one request may take: the largest head, and what HTTP/2 puts around it.
const FLOOD_BYTES_PER_REQUEST: u64 = 32 * 1024;
/// Of what we write, this part may come back as window updates and acknowledgements; an honest
/// reader sends less than a hundredth.
const FLOOD_SHARE_OF_WRITTEN: u64 = 8;
/// Quiet for less than this is not quiet.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> WebLimits {
        WebLimits::default()
    }

    const IDLE: Duration = Duration::from_secs(30);

    fn second(start: Instant, n: u64) -> Instant {
        start + Duration::from_secs(n)
    }

    /// A request whose response ends when the test says so.
    fn request(meter: &Arc<Meter>, now: Instant) {
        std::mem::forget(meter.request(now));
    }

    #[test]
    fn a_head_that_does_not_end_is_cut() {
        let start = Instant::now();
        let meter = Meter::new(start);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 9)), Verdict::Keep);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 10)), Verdict::SlowHead);
        request(&meter, second(start, 10));
        meter.done(second(start, 10));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 20)), Verdict::Keep);
        meter.read(1, || second(start, 20));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 30)), Verdict::SlowHead);
    }

    #[test]
    fn bytes_that_ask_for_nothing_are_cut() {
        let start = Instant::now();
        let meter = Meter::new(start);
        meter.begin(Heads::First, start);
        request(&meter, start);
        meter.done(start);
        meter.read(1 << 20, || second(start, 1));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 1)), Verdict::Keep);
        meter.read(64 << 10, || second(start, 2));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 2)), Verdict::Flood);
        // Who downloads a gigabyte acknowledges it.
        let meter = Meter::new(start);
        request(&meter, start);
        meter.wrote(1 << 30, || start);
        meter.read(10 << 20, || start);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 1)), Verdict::Keep);
    }

    #[test]
    fn a_response_that_nobody_reads_is_cut() {
        let start = Instant::now();
        let meter = Meter::new(start);
        request(&meter, start);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 29)), Verdict::Keep);
        meter.wrote(9000, || second(start, 29));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 30)), Verdict::Keep);
        meter.wrote(100, || second(start, 31));
        assert_eq!(meter.check(&limits(), IDLE, second(start, 59)), Verdict::Keep);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 60)), Verdict::Stalled);
    }

    #[test]
    fn a_dripping_reader_is_one_that_does_not_read() {
        let start = Instant::now();
        let meter = Meter::new(start);
        request(&meter, start);
        meter.blocked(|| start);
        meter.done(start);
        let dripped = |n: u64| {
            let now = second(start, 5 * n);
            meter.wrote(50, || now);
            meter.blocked(|| now);
            meter.check(&limits(), IDLE, now)
        };
        let at = (1..=12).find(|n| dripped(*n) == Verdict::Stalled);
        assert!(matches!(at, Some(6..=12)), "{at:?}");
    }

    #[test]
    fn a_reader_who_asks_now_and_then_is_kept() {
        let start = Instant::now();
        let meter = Meter::new(start);
        for n in 0..100 {
            request(&meter, second(start, 5 * n));
            meter.wrote(200, || second(start, 5 * n));
            assert_eq!(meter.check(&limits(), IDLE, second(start, 5 * n)), Verdict::Keep);
            meter.done(second(start, 5 * n));
        }
        assert_eq!(meter.check(&limits(), IDLE, second(start, 495 + 29)), Verdict::Keep);
        assert_eq!(meter.check(&limits(), IDLE, second(start, 495 + 30)), Verdict::Finish);
    }
}
