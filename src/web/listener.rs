//! The accept loop. Nothing that a peer or the kernel does ends it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio_util::task::TaskTracker;

use super::connection::{Door, Shared, serve};

/// A listening socket and where it is.
#[derive(Debug)]
pub(super) struct Listener {
    socket: tokio::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        prepare(&socket);
        let address = socket.local_addr()?;
        Ok(Self { socket: tokio::net::TcpListener::from_std(socket)?, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections until the stop.
    pub(super) async fn run(self, door: Door, shared: Arc<Shared>, connections: TaskTracker) {
        while let Some(accepted) = shared.stop.run_until_cancelled(self.socket.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    // Turned away by closing: under attack even a sentence would be work.
                    if let Some(permit) = shared.admission.admit(peer.ip()) {
                        connections.spawn(serve(
                            stream,
                            peer.ip(),
                            door.clone(),
                            Arc::clone(&shared),
                            permit,
                        ));
                    }
                }
                Err(error) if is_of_one_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "no connection can be taken; waiting");
                    shared.stop.run_until_cancelled(tokio::time::sleep(BACK_OFF)).await;
                }
            }
        }
    }
}

/// Small answers leave at once, and what the kernel queues for a slow reader stays small: the progress
/// clock would otherwise see a megabyte drain in one step. Connections have it from their listener.
fn prepare(socket: &TcpListener) {
    let socket = SockRef::from(socket);
    let set = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket keeps its defaults");
    }
}

/// A new listening socket. An IPv6 wildcard takes IPv4 too.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{address}: {e}"));
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(named)
}

/// The configured number of connections, or what the descriptors allow when some are kept for the
/// other doors and for files.
pub(super) fn connections_max(configured: usize) -> usize {
    let mut of_files = getrlimit(Resource::Nofile);
    // Most systems start a program with 1,024 and let it have far more.
    let raised = Rlimit { current: of_files.maximum, ..of_files };
    if of_files.current != of_files.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        of_files = raised;
    }
    let limit = of_files.current.and_then(|n| usize::try_from(n).ok());
    let allowed = limit.map_or(usize::MAX, |n| n.saturating_sub(DESCRIPTORS_KEPT).max(1));
    if allowed < configured {
        tracing::warn!(configured, allowed, "the limit of open files allows fewer connections");
    }
    configured.min(allowed)
}

/// A connection that was gone before we took it.
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Bytes queued in the kernel that are not on the wire yet. We are woken when half of them are gone, so
/// a reader of 550 B/s still counts as one who reads; measured on loopback it costs no throughput.
const NOT_SENT_BYTES_MAX: u32 = 32 * 1024;
/// Connections that wait in the kernel while we are busy; it caps this by itself.
const BACKLOG: i32 = 4096;
/// Descriptors that readers never get: the SSH door, the ledger, a package in the making.
const DESCRIPTORS_KEPT: usize = 64;
/// Pause when descriptors or memory have run out: some connection ends meanwhile.
const BACK_OFF: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_has_the_options_of_its_listener() {
        let listener = Listener::new(listen("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let _peer = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
        let (taken, _) = listener.socket.accept().await.unwrap();
        assert!(taken.nodelay().unwrap());
        assert_eq!(SockRef::from(&taken).tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES_MAX);
    }
}
