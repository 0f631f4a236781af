//! HTTP/2 on one connection: hyper and h2, with the answers made where the requests are read.
//!
//! As they come, each request would be a task of its own, and each frame a call into the kernel. Here
//! all requests that one look at the socket brings are answered in turn by the task of the
//! connection, and what the answers come to leaves when there is nothing more to do. Only an answer that
//! has to wait, for its window or for a disk, becomes a task.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Visit;
use super::head::BYTES_MAX;
use super::secure::Secure;

/// A connection with its requests under way.
pub(super) struct Together {
    connection: Pin<Box<dyn Ending>>,
    begun: Begun,
    stream: Lent,
}

impl Together {
    pub(super) fn new(stream: Secure, visit: Visit) -> Self {
        let (stream, begun) = (Lent(Arc::new(Mutex::new(stream))), Begun::default());
        let visit = Arc::new(visit);
        let service = service_fn(move |request| {
            let visit = Arc::clone(&visit);
            async move { Ok::<_, Infallible>(visit.answer(request).await) }
        });
        let connection = http2::Builder::new(begun.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(BYTES_MAX).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
            .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream.clone()), service);
        Self { connection: Box::pin(connection), begun, stream }
    }

    /// No further request is taken: GOAWAY.
    pub(super) fn finish(&mut self) {
        self.connection.as_mut().finish();
    }
}

impl Future for Together {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.connection.as_mut().poll_end(cx).is_ready() {
                return Poll::Ready(());
            }
            let begun = std::mem::take(&mut *lock(&self.begun.0));
            if begun.is_empty() {
                let sent = Pin::new(&mut *lock(&self.stream.0)).poll_flush(cx);
                // A socket that fails is told to the connection at its next look, which is now.
                if let Poll::Ready(Err(_)) = sent {
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            for mut answer in begun {
                if answer.as_mut().poll(cx).is_pending() {
                    tokio::spawn(answer);
                }
            }
        }
    }
}

/// A connection of hyper's, whatever its service is called.
trait Ending: Send {
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B, E> Ending for http2::Connection<I, S, E>
where
    Self: Future + Send,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(|_| ())
    }

    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Answers that were begun and not yet looked at.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<Vec<Answer>>>);

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, answer: F) {
        lock(&self.0).push(Box::pin(answer));
    }
}

/// The stream as hyper has it. Its flushes are many and are left out; ours is at the end of each turn.
#[derive(Clone)]
struct Lent(Arc<Mutex<Secure>>);

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(cx)
    }
}

/// Both halves are of one task: nobody ever waits for the other.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests at once on a connection: a page of a results site asks for fewer.
const STREAMS_MAX: u32 = 64;
/// Streams opened and taken back before we end the connection (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 16;
/// Streams we reset for the peer's faults before we end the connection.
const LOCAL_RESETS_MAX: usize = 64;
/// Buffered per stream. Bodies are shared bytes, so this is a count of references, not memory.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// What a peer may send of bodies nobody reads.
const RECEIVE_WINDOW_BYTES: u32 = 64 * 1024;
/// How a vanished HTTP/2 peer is noticed.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
