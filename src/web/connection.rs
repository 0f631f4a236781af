//! One connection from accept to close: handshake, protocol, clocks.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ProtocolVersion;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Leave, Permit};
use super::body::Body;
use super::challenge::ACME_TLS;
use super::config::WebLimits;
use super::counts::Counts;
use super::front::Front;
use super::lines::Lines;
use super::meter::{Heads, Meter, Metered, Verdict};
use super::observe::{self, Observer};
use super::redirect::Redirect;
use super::tls::HTTP_2;
use crate::stats::{Sink, Tls};

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
    /// No new connections: those there are come to their end.
    pub(super) stop: CancellationToken,
    /// The same, as every answer asks it.
    pub(super) is_stopping: Arc<AtomicBool>,
    /// Nothing any more.
    pub(super) kill: CancellationToken,
    /// Where answered requests are told.
    pub(super) sink: Option<Sink>,
}

/// How requests are answered on one connection.
#[derive(Clone)]
enum Answers {
    Site(Arc<Front>),
    Redirect(Arc<Redirect>),
}

/// One connection, as its requests see it.
#[derive(Clone)]
struct Visit {
    answers: Answers,
    meter: Arc<Meter>,
    permit: Arc<Permit>,
    is_stopping: Arc<AtomicBool>,
    observer: Option<Observer>,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: IpAddr, door: Door, shared: Shared, permit: Permit) {
    prepare(&stream);
    let meter = Meter::new(Instant::now());
    let stream = Metered::new(stream, Arc::clone(&meter));
    let kill = shared.kill.clone();
    let visit = |answers| Visit {
        answers,
        meter,
        permit: Arc::new(permit),
        is_stopping: Arc::clone(&shared.is_stopping),
        observer: shared.sink.clone().map(|sink| Observer::new(sink, peer)),
    };
    let served = async {
        match door {
            Door::Redirect(redirect) => http1(stream, visit(Answers::Redirect(redirect)), &shared).await,
            Door::Site(front, acceptor) => {
                secure(stream, visit(Answers::Site(front)), acceptor, &shared).await
            }
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

async fn secure(stream: Metered, mut visit: Visit, acceptor: TlsAcceptor, shared: &Shared) {
    let accept = acceptor.accept_with(stream, |tls| tls.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX)));
    let Ok(Ok(stream)) = timeout(shared.limits.handshake, accept).await else {
        return Counts::add(&shared.admission.counts.handshake);
    };
    if let Some(observer) = &mut visit.observer {
        observer.tls = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Tls::V12,
            _ => Tls::V13,
        };
    }
    // Boxed: what a handshake needed is not carried through the whole visit.
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP_2) => Box::pin(http2(stream, visit, shared)).await,
        // The certificate was all that was asked for (RFC 8737 §3).
        Some(ACME_TLS) => {}
        _ => Box::pin(http1(stream, visit, shared)).await,
    }
}

async fn http1<S>(stream: S, visit: Visit, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let meter = Arc::clone(&visit.meter);
    meter.begin(Heads::Every, Instant::now());
    let service = service_fn(move |request| {
        let visit = visit.clone();
        async move {
            let (mut response, is_last) = visit.answer(request).await;
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Behind our own clocks, which say why: only for what they do not see.
        .header_read_timeout(shared.limits.idle.max(shared.limits.head) + CLOCK_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Lines::new(stream)), service);
    drive(connection, Heads::Every, &meter, shared.limits.idle, shared).await;
}

async fn http2<S>(stream: S, visit: Visit, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let meter = Arc::clone(&visit.meter);
    meter.begin(Heads::First, Instant::now());
    let service = service_fn(move |request| {
        let visit = visit.clone();
        async move {
            let (response, is_last) = visit.answer(request).await;
            if is_last {
                visit.meter.finish();
            }
            Ok::<_, Infallible>(response)
        }
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
    drive(connection, Heads::First, &meter, shared.limits.idle_http2, shared).await;
}

impl Visit {
    /// Answers a request, and says whether it is the last one of the connection.
    async fn answer(&self, request: Request<Incoming>) -> (Response<Body>, bool) {
        let now = Instant::now();
        let ticket = self.meter.request(now);
        let observed = self.observer.as_ref().map(|observer| observer.asked(&request, now.into_std()));
        let leave = self.permit.request();
        if let Leave::After(wait) = leave {
            tokio::time::sleep(wait).await;
        }
        let response = match (&self.answers, leave) {
            (Answers::Redirect(redirect), _) => redirect.answer(&request),
            (Answers::Site(front), Leave::Now | Leave::After(_)) => front.answer(request).await,
            (Answers::Site(front), Leave::TooFast(wait)) => {
                front.later(StatusCode::TOO_MANY_REQUESTS, wait, request.method())
            }
            (Answers::Site(front), Leave::Shed) => {
                front.later(StatusCode::SERVICE_UNAVAILABLE, SHED_FOR, request.method())
            }
        };
        let is_last = leave == Leave::Shed || self.is_stopping.load(Ordering::Relaxed);
        let response = response.map(|body| body.held_by(ticket));
        let response = match observed {
            Some(observed) => observe::answered(observed, response),
            None => response,
        };
        (response, is_last)
    }
}

/// Lets a connection run under its clocks until it ends, is cut, or the server stops.
async fn drive<C: GracefulConnection>(
    connection: C,
    heads: Heads,
    meter: &Arc<Meter>,
    idle: Duration,
    shared: &Shared,
) {
    let mut connection = pin!(connection);
    let limits = &shared.limits;
    let mut clock = interval(limits.head.min(limits.progress).min(idle).min(CLOCK_MAX * 2) / 2);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut end, mut lingers, mut is_stopped) = (None, None, false);
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = shared.stop.cancelled(), if !is_stopped => {
                let now = Instant::now();
                (is_stopped, end) = (true, Some(now + limits.drain));
                match heads {
                    // GOAWAY says which request is the last to be answered: none is lost.
                    Heads::First => connection.as_mut().graceful_shutdown(),
                    // The next request may be on its way: for a moment it is answered still, and told
                    // that it is the last.
                    Heads::Every => lingers = Some(now + LINGER.min(limits.drain / 2)),
                }
            }
            () = sleep_until(lingers.unwrap_or_else(Instant::now)), if lingers.is_some() => {
                lingers = None;
                connection.as_mut().graceful_shutdown();
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
                    Verdict::Flood => return Counts::add(&shared.admission.counts.flood),
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
/// When to come back is told to those who are shed.
const SHED_FOR: Duration = Duration::from_secs(5);
/// How long idle connections stay open after a stop, for requests that are on their way.
const LINGER: Duration = Duration::from_secs(1);
/// What an idle peer gets to take notice of the end.
const FAREWELL: Duration = Duration::from_secs(5);
