//! One connection from accept to close: handshake, protocol, clocks.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Leave, Permit};
use super::body::Body;
use super::challenge::ACME_TLS;
use super::config::WebLimits;
use super::counts::Counts;
use super::date::{Close, Dates};
use super::fields::{Ask, Fields};
use super::front::Front;
use super::http1;
use super::http2::Together;
use super::meter::{Heads, Meter, Metered, Verdict};
use super::observe::{self, Observer};
use super::redirect::{self, Redirect};
use super::reply::Reply;
use super::secure::Secure;
use super::tls::HTTP_2;
use crate::stats::{Observed, Sink, Tls};

/// What a listener leads to.
#[derive(Clone)]
pub(super) enum Door {
    /// The site, over TLS.
    Site(Arc<Front>, Arc<ServerConfig>),
    /// The way to the site, in the clear.
    Redirect(Arc<Redirect>),
}

/// What all connections have in common.
pub(super) struct Shared {
    pub(super) limits: ArcSwap<WebLimits>,
    pub(super) admission: Arc<Admission>,
    /// No new connections: those there are come to their end.
    pub(super) stop: CancellationToken,
    /// The same, as every answer asks it.
    pub(super) is_stopping: AtomicBool,
    pub(super) dates: Dates,
    /// Nothing any more.
    pub(super) kill: CancellationToken,
    /// Where answered requests are told.
    pub(super) sink: Option<Sink>,
}

/// How requests are answered on one connection.
enum Answers {
    Site(Arc<Front>),
    Redirect(Arc<Redirect>),
}

/// One connection, as its requests see it.
pub(super) struct Visit {
    answers: Answers,
    pub(super) meter: Arc<Meter>,
    pub(super) permit: Permit,
    observer: Option<Observer>,
    shared: Arc<Shared>,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: IpAddr, door: Door, shared: Arc<Shared>, permit: Permit) {
    let meter = Meter::new(Instant::now());
    let stream = Metered::new(stream, Arc::clone(&meter));
    let observer = shared.sink.clone().map(|sink| Observer::new(sink, peer));
    let visit = |answers| Visit { answers, meter, permit, observer, shared: Arc::clone(&shared) };
    match door {
        Door::Redirect(redirect) => {
            let stream = BufReader::with_capacity(PLAIN_BYTES, stream);
            Box::pin(http1(stream, visit(Answers::Redirect(redirect)), &shared)).await;
        }
        Door::Site(front, tls) => secure(stream, visit(Answers::Site(front)), tls, &shared).await,
    }
}

async fn secure(stream: Metered, mut visit: Visit, tls: Arc<ServerConfig>, shared: &Shared) {
    let accept = timeout(shared.limits.load().handshake, Secure::accept(stream, tls));
    let Some(accepted) = shared.kill.run_until_cancelled(accept).await else { return };
    let Ok(Ok(stream)) = accepted else {
        return Counts::add(&shared.admission.counts.handshake);
    };
    if let Some(observer) = &mut visit.observer {
        observer.tls = match stream.version() {
            Some(ProtocolVersion::TLSv1_2) => Tls::V12,
            _ => Tls::V13,
        };
    }
    // Boxed: what a handshake needed is not carried through the whole visit.
    match stream.protocol() {
        Some(HTTP_2) => Box::pin(http2(stream, visit, shared)).await,
        // The certificate was all that was asked for (RFC 8737 §3).
        Some(ACME_TLS) => {}
        _ => Box::pin(http1(stream, visit, shared)).await,
    }
}

async fn http1<S>(stream: S, visit: Visit, shared: &Shared)
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    let meter = Arc::clone(&visit.meter);
    meter.begin(Heads::Every, Instant::now());
    let connection = http1::serve(stream, &visit);
    drive(connection, |_| meter.leave(), Heads::Every, &meter, shared.limits.load().idle, shared).await;
}

async fn http2(stream: Secure, visit: Visit, shared: &Shared) {
    let meter = Arc::clone(&visit.meter);
    meter.begin(Heads::First, Instant::now());
    let connection = Together::new(stream, visit);
    let finish = |connection: Pin<&mut Together>| connection.get_mut().finish();
    drive(connection, finish, Heads::First, &meter, shared.limits.load().idle_http2, shared).await;
}

impl Visit {
    /// Answers a request of HTTP/2.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let now = Instant::now();
        let ticket = self.meter.request(now);
        let leave = self.permit.request();
        let (parts, _) = request.into_parts();
        let ask = Ask::of(&parts);
        let observed = self.observe(&ask, now);
        let reply = match self.prompt(&ask, leave) {
            Some(reply) => reply,
            None => self.answer_later(&parts, leave).await,
        };
        if leave == Leave::Shed || self.is_stopping() {
            self.meter.finish();
        }
        let observed = observed.map(|observed| observe::answered(observed, &reply));
        reply.into_response().map(|body| body.held_by(ticket).observed(observed))
    }

    /// Begins to tell of a request.
    pub(super) fn observe<F: Fields>(&self, ask: &Ask<'_, F>, began: Instant) -> Option<Observed> {
        self.observer.as_ref().map(|observer| observer.asked(ask, began.into_std()))
    }

    /// The answer to a request, if it need not be waited for.
    pub(super) fn prompt<F: Fields>(&self, ask: &Ask<'_, F>, leave: Leave) -> Option<Reply> {
        match (&self.answers, leave) {
            (Answers::Redirect(redirect), _) => Some(redirect.answer(ask)),
            (Answers::Site(front), Leave::Now) => front.prompt(ask),
            (Answers::Site(_), Leave::After(_)) => None,
            (Answers::Site(front), Leave::TooFast(wait)) => {
                Some(front.later(StatusCode::TOO_MANY_REQUESTS, wait, ask.method))
            }
            (Answers::Site(front), Leave::Shed) => {
                Some(front.later(StatusCode::SERVICE_UNAVAILABLE, SHED_FOR, ask.method))
            }
        }
    }

    /// The answer that there was none for at once.
    pub(super) async fn answer_later(&self, parts: &Parts, leave: Leave) -> Reply {
        if let Leave::After(wait) = leave {
            tokio::time::sleep(wait).await;
        }
        match &self.answers {
            Answers::Site(front) => front.answer(parts).await,
            Answers::Redirect(redirect) => redirect.answer(&Ask::of(parts)),
        }
    }

    /// The answer to what is no request.
    pub(super) fn refuse(&self, status: StatusCode) -> Reply {
        match &self.answers {
            Answers::Site(front) => front.error(status),
            Answers::Redirect(_) => redirect::plain(status),
        }
    }

    /// What ends the head of an answer over HTTP/1.
    pub(super) fn tail(&self, close: Close) -> Bytes {
        self.shared.dates.tail(close)
    }

    /// Whether an answer is to be the last of its connection.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether no further request is to be waited for.
    pub(super) fn is_over(&self) -> bool {
        self.meter.is_left()
    }
}

/// Lets a connection run under its clocks until it ends, is cut, or the server stops.
async fn drive<C: Future>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    heads: Heads,
    meter: &Arc<Meter>,
    idle: Duration,
    shared: &Shared,
) {
    let mut connection = pin!(connection);
    let limits = shared.limits.load_full();
    let beat = limits.head.min(limits.progress).min(idle).min(CLOCK_MAX * 2) / 2;
    let mut clock = interval_at(Instant::now() + beat, beat);
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
                    Heads::First => finish(connection.as_mut()),
                    // The next request may be on its way: for a moment it is answered still, and told
                    // that it is the last.
                    Heads::Every => lingers = Some(now + LINGER.min(limits.drain / 2)),
                }
            }
            () = sleep_until(lingers.unwrap_or_else(Instant::now)), if lingers.is_some() => {
                lingers = None;
                finish(connection.as_mut());
            }
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return,
            now = clock.tick() => {
                match meter.check(&limits, idle, now) {
                    Verdict::Keep => {}
                    Verdict::Finish if end.is_some() => {}
                    Verdict::Finish => {
                        finish(connection.as_mut());
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

/// What is read at a time of those who are sent on.
const PLAIN_BYTES: usize = 2048;
/// Longest time between two looks at the clocks.
const CLOCK_MAX: Duration = Duration::from_secs(5);
/// When to come back is told to those who are shed.
const SHED_FOR: Duration = Duration::from_secs(5);
/// How long idle connections stay open after a stop, for requests that are on their way.
const LINGER: Duration = Duration::from_secs(1);
/// What an idle peer gets to take notice of the end.
const FAREWELL: Duration = Duration::from_secs(5);
