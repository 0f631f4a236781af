//! The sockets of the page: who connects, from where, and how long a connection may last.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::House;
use super::guard::Peer;
use crate::config::AdminPlace;

/// A listening socket that systemd holds for us.
#[derive(Debug)]
pub enum Inherited {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix socket.
    Unix(StdUnixListener),
}

/// Bound, not yet serving.
#[derive(Debug, Default)]
pub struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

/// Binds the configured places, unless systemd holds sockets for us. Must be called within a tokio runtime.
pub fn bind(places: &[AdminPlace], inherited: Vec<Inherited>) -> io::Result<Listeners> {
    let mut bound = Listeners::default();
    if inherited.is_empty() {
        for place in places {
            bound.open(place).map_err(|e| io::Error::new(e.kind(), format!("{place}: {e}")))?;
        }
        return Ok(bound);
    }
    for socket in inherited {
        match socket {
            Inherited::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                bound.tcp.push(TcpListener::from_std(listener)?);
            }
            Inherited::Unix(listener) => {
                listener.set_nonblocking(true)?;
                bound.unix.push(UnixListener::from_std(listener)?);
            }
        }
    }
    Ok(bound)
}

impl Listeners {
    fn open(&mut self, place: &AdminPlace) -> io::Result<()> {
        match place {
            AdminPlace::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                self.tcp.push(TcpListener::from_std(listener)?);
            }
            AdminPlace::Unix(path) => {
                match std::fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                self.unix.push(listener);
            }
        }
        Ok(())
    }

    /// Where the page listens on TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|l| l.local_addr().ok()).collect()
    }

    /// Where it listens on unix sockets.
    pub fn paths(&self) -> Vec<std::path::PathBuf> {
        let path = |l: &UnixListener| l.local_addr().ok()?.as_pathname().map(std::path::Path::to_owned);
        self.unix.iter().filter_map(path).collect()
    }
}

/// What every connection is given.
#[derive(Clone)]
struct Shared {
    house: House,
    service: Router,
    /// Connections at once.
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Accepts until the stop; then running answers get a moment.
pub(super) async fn run(
    listeners: Listeners,
    house: House,
    service: Router,
    connections: usize,
    stop: CancellationToken,
) {
    let shared = Shared { house, service, room: Arc::new(Semaphore::new(connections)), stop };
    let mut accepting = JoinSet::new();
    for listener in listeners.tcp {
        accepting.spawn(accept_tcp(listener, shared.clone()));
    }
    for listener in listeners.unix {
        accepting.spawn(accept_unix(listener, shared.clone()));
    }
    shared.stop.cancelled().await;
    while accepting.join_next().await.is_some() {}
    // Their permits come back when connections end.
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN, shared.room.acquire_many(all)).await;
}

async fn accept_tcp(listener: TcpListener, shared: Shared) {
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, from)) => admit(stream, Some(from.ip().to_canonical()), &shared),
            Err(error) => pause(error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, shared: Shared) {
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => admit(stream, None, &shared),
            Err(error) => pause(error).await,
        }
    }
}

async fn pause(error: io::Error) {
    tracing::warn!(%error, "the admin page cannot accept");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Serves whoever may connect from where it does; others are closed before any byte.
fn admit(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: Option<IpAddr>,
    shared: &Shared,
) {
    let peer = Peer(from);
    if !peer.connects(&shared.house.config().admin) {
        tracing::warn!(?from, "admin page: not a network of admin.allow");
        return;
    }
    let Ok(permit) = Arc::clone(&shared.room).try_acquire_owned() else {
        tracing::warn!(?from, "admin page: too many connections");
        return;
    };
    let (service, stop) = (shared.service.clone(), shared.stop.clone());
    tokio::spawn(async move {
        let answer = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            service.clone().oneshot(request.map(axum::body::Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), answer);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            // A peer that breaks off is its own affair.
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                // Events that are followed live have no end of their own.
                let _ = tokio::time::timeout(DRAIN, connection).await;
            }
        }
        drop(permit);
    });
}

/// From the first byte of a request to the end of its head, and between requests.
const HEAD: Duration = Duration::from_secs(30);
/// A browser sends two dozen.
const HEADERS_MAX: usize = 64;
/// Head and buffers of one connection.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Time that running answers get at the stop.
const DRAIN: Duration = Duration::from_secs(1);
