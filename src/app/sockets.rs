//! Listening sockets that systemd holds for us (`sd_listen_fds(3)`): while we restart, connections
//! wait in them instead of being refused.
//!
//! Each is told by the name of its unit's `FileDescriptorName=`: `https`, `http`, `ssh`, `rsync`, `rsync-alt`,
//! `admin`. Where a name has sockets, the addresses of the configuration are not bound.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::admin::Inherited;

/// What was inherited and nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<String, Vec<Socket>>);

impl Sockets {
    /// Takes over what systemd passed to this process, once.
    pub(super) fn inherited() -> io::Result<Self> {
        let mut sockets = Self::default();
        for (fd, name) in sd_notify::listen_fds_with_names()? {
            sockets.add(own(fd), name)?;
        }
        Ok(sockets)
    }

    fn add(&mut self, fd: OwnedFd, name: String) -> io::Result<()> {
        let socket = Socket::from(fd);
        let known = NAMES.contains(&name.as_str()) && socket.is_listener()?;
        if !known || name != ADMIN && socket.domain()? == Domain::UNIX {
            let names = NAMES.join(" | ");
            let text = format!("«{name}»: FileDescriptorName={names}, ListenStream=");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.0.entry(name).or_default().push(socket);
        Ok(())
    }

    /// Opens sockets of this name, unless systemd holds some.
    pub(super) fn bind(&mut self, name: &str, addresses: &[SocketAddr]) -> io::Result<()> {
        if self.0.contains_key(name) {
            return Ok(());
        }
        for address in addresses {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket
                .bind(&(*address).into())
                .map_err(|e| io::Error::new(e.kind(), format!("{address}: {e}")))?;
            socket.listen(BACKLOG)?;
            self.0.entry(name.to_owned()).or_default().push(socket);
        }
        Ok(())
    }

    /// The sockets of a name; there are none the second time.
    pub(super) fn take(&mut self, name: &str) -> Vec<TcpListener> {
        self.0.remove(name).unwrap_or_default().into_iter().map(TcpListener::from).collect()
    }

    /// Those of the admin page, on TCP or not.
    pub(super) fn take_admin(&mut self) -> io::Result<Vec<Inherited>> {
        let kind = |socket: Socket| match socket.domain()? {
            Domain::UNIX => Ok(Inherited::Unix(OwnedFd::from(socket).into())),
            _ => Ok(Inherited::Tcp(socket.into())),
        };
        self.0.remove(ADMIN).unwrap_or_default().into_iter().map(kind).collect()
    }
}

#[expect(unsafe_code, reason = "the protocol of systemd is a number in the environment")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the number comes from LISTEN_FDS, which was meant for this process (LISTEN_PID), and
    // this is called once, before anything else could have opened or closed it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Connections that wait in the kernel; it caps this by itself.
const BACKLOG: i32 = 4096;
/// The doors that can be opened for us.
const NAMES: &[&str] = &["https", "http", "ssh", "rsync", "rsync-alt", "rsync-tls", ADMIN];
/// The one that may be a unix socket.
const ADMIN: &str = "admin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_to_the_door_of_its_name() {
        let mut sockets = Sockets::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        sockets.add(listener.into(), "https".to_owned()).unwrap();
        assert!(sockets.take("http").is_empty());
        assert_eq!(sockets.take("https")[0].local_addr().unwrap(), address);
        assert!(sockets.take("https").is_empty());
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(sockets.add(stranger.into(), "difusor.socket".to_owned()).is_err());
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(sockets.add(datagrams.into(), "https".to_owned()).is_err());
    }
}
