//! One connection from accept to close: handshake, protocol, clocks.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Counts, Permit};
use super::body::Body;
use super::config::WebLimits;
use super::front::Front;
use super::meter::{Heads, Meter, Metered, Verdict};
use super::redirect::Redirect;
use super::tls::HTTP_2;

/// What a listener leads to.
#[derive(Clone)]
pub(super) enum Door {
    /// The site, over TLS.
    Site(Arc<Front>, TlsAcceptor),
    /// The way to the site, in the clear.
    Redirect(Arc<Redirect>),
}

/// What every connection is given.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) limits: Arc<WebLimits>,
    pub(super) admission: Arc<Admission>,
    /// No new requests: running responses end.
    pub(super) stop: CancellationToken,
    /// Nothing any more.
    pub(super) kill: CancellationToken,
}

/// How requests are answered on one connection.
#[derive(Clone)]
enum Answers {
    Site(Arc<Front>),
    Redirect(Arc<Redirect>),
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, door: Door, shared: Shared, permit: Permit) {
    let _permit = permit;
    prepare(&stream);
    let meter = Meter::new(Instant::now());
    let stream = Metered::new(stream, Arc::clone(&meter));
    let kill = shared.kill.clone();
    let served = async {
        match door {
            Door::Redirect(redirect) => http1(stream, Answers::Redirect(redirect), meter, &shared).await,
            Door::Site(front, acceptor) => secure(stream, front, acceptor, meter, &shared).await,
        }
    };
    kill.run_until_cancelled(served).await;
}

/// Small answers leave at once, and what the kernel queues for a slow reader stays small: the
/// progress clock would otherwise see a megabyte drain in one step.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let set = stream.set_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket keeps its defaults");
    }
}

async fn secure(
    stream: Metered,
    front: Arc<Front>,
    acceptor: TlsAcceptor,
    meter: Arc<Meter>,
    shared: &Shared,
) {
    let accept = acceptor.accept_with(stream, |tls| tls.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX)));
    let Ok(Ok(stream)) = timeout(shared.limits.handshake, accept).await else {
        return Counts::add(&shared.admission.counts.handshake);
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    // Boxed: what a handshake needed is not carried through the whole visit.
    if is_http2 {
        Box::pin(http2(stream, Answers::Site(front), meter, shared)).await;
    } else {
        Box::pin(http1(stream, Answers::Site(front), meter, shared)).await;
    }
}

async fn http1<S>(stream: S, answers: Answers, meter: Arc<Meter>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    meter.begin(Heads::Every, Instant::now());
    let counting = Arc::clone(&meter);
    let service = service_fn(move |request| {
        let (answers, meter) = (answers.clone(), Arc::clone(&counting));
        async move { answer(&answers, &meter, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.idle)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, &meter, shared.limits.idle, shared).await;
}

async fn http2<S>(stream: S, answers: Answers, meter: Arc<Meter>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    meter.begin(Heads::First, Instant::now());
    let counting = Arc::clone(&meter);
    let service = service_fn(move |request| {
        let (answers, meter) = (answers.clone(), Arc::clone(&counting));
        async move { answer(&answers, &meter, request).await }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
        .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, &meter, shared.limits.idle_http2, shared).await;
}

async fn answer(
    answers: &Answers,
    meter: &Arc<Meter>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let ticket = meter.request(Instant::now());
    let response = match answers {
        Answers::Site(front) => front.answer(request).await,
        Answers::Redirect(redirect) => redirect.answer(&request),
    };
    Ok(response.map(|body| body.held_by(ticket)))
}

/// Lets a connection run under its clocks until it ends, is cut, or the server stops.
async fn drive<C: GracefulConnection>(connection: C, meter: &Arc<Meter>, idle: Duration, shared: &Shared) {
    let mut connection = pin!(connection);
    let limits = &shared.limits;
    let mut clock = interval(limits.head.min(limits.progress).min(idle).min(CLOCK_MAX * 2) / 2);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut end = None;
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = shared.stop.cancelled(), if end.is_none() => {
                connection.as_mut().graceful_shutdown();
                end = Some(Instant::now() + limits.drain);
            }
            now = clock.tick() => {
                if end.is_some_and(|end| now >= end) {
                    return;
                }
                match meter.check(limits, idle, now) {
                    Verdict::Keep => {}
                    Verdict::Finish if end.is_some() => {}
                    Verdict::Finish => {
                        connection.as_mut().graceful_shutdown();
                        end = Some(now + FAREWELL);
                    }
                    Verdict::SlowHead => return Counts::add(&shared.admission.counts.slow_head),
                    Verdict::Stalled => return Counts::add(&shared.admission.counts.stalled),
                }
            }
        }
    }
}

/// Plain text that waits to be encrypted: large files leave in one system call of many records.
const TLS_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Bytes queued in the kernel that are not on the wire yet. We are woken when half of them are gone, so
/// a reader of 550 B/s still counts as one who reads; measured on loopback it costs no throughput.
const NOT_SENT_BYTES_MAX: u32 = 32 * 1024;
/// The head of a request: cookies are none of ours.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request; browsers send about twenty.
const HEADERS_MAX: usize = 100;
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
/// Longest time between two looks at the clocks.
const CLOCK_MAX: Duration = Duration::from_secs(5);
/// What an idle peer gets to take notice of the end.
const FAREWELL: Duration = Duration::from_secs(5);
