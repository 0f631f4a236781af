//! A connection as two blocking halves with a clock.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

/// The socket of a peer, or the near end of its TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(UnixStream),
}

impl Stream {
    /// Small answers leave at once, a peer that vanished is noticed, and one that does not
    /// read is not waited for for ever. What cannot be set is not worth a connection.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => {
                socket.set_nonblocking(false)?;
                socket.set_nodelay(true)?;
                sockopt::set_socket_keepalive(socket, true)?;
                sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
                socket.set_write_timeout(Some(WRITE_TIMEOUT))
            }
            Self::Tls(socket) => socket.set_write_timeout(Some(WRITE_TIMEOUT)),
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Tls(socket) => Self::Tls(socket.try_clone()?),
        })
    }

    /// Ends the connection for every holder of a clone.
    pub(super) fn shut(&self) {
        // It may have ended already.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Tls(socket) => socket.shutdown(Shutdown::Both),
        };
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(Some(patience)),
            Self::Tls(socket) => socket.set_read_timeout(Some(patience)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Tls(socket) => socket.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reading half: until the greeting is over against one deadline, then against silence.
#[derive(Debug)]
pub(super) struct Timed {
    stream: Stream,
    deadline: Instant,
    idle: Duration,
    greeted: Arc<AtomicBool>,
    /// Whether the socket knows of the idle time already.
    settled: bool,
}

impl Timed {
    pub(super) fn new(stream: Stream, deadline: Instant, idle: Duration, greeted: Arc<AtomicBool>) -> Self {
        Self { stream, deadline, idle, greeted, settled: false }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.settled {
            self.settled = self.greeted.load(Ordering::Acquire);
            let left = match self.settled {
                true => self.idle,
                false => self.deadline.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_patience(left)?;
        }
        self.stream.read(buffer)
    }
}

/// For a peer to take what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
