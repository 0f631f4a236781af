//! One TLS connection over its socket.
//!
//! What is written is sealed at once and leaves at the next flush, or when there is much of it: the frames of
//! many small answers, or the last word of a handshake and the first answer, are one call into the
//! kernel. What is read is looked at where it was opened.

use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Metered;

/// A connection whose handshake is over.
#[derive(Debug)]
pub(super) struct Secure {
    /// Boxed: a kilobyte and more, and it is handed on several times.
    session: Box<ServerConnection>,
    socket: Metered,
    /// Nothing more comes.
    is_ended: bool,
    /// The ticket of a handshake waits for company, until the peer is waited for a second time.
    holds_ticket: bool,
    is_closing: bool,
}

impl Secure {
    /// Shakes hands.
    pub(super) async fn accept(socket: Metered, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut session = Box::new(ServerConnection::new(config).map_err(io::Error::other)?);
        session.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        let mut secure = Self { session, socket, is_ended: false, holds_ticket: false, is_closing: false };
        std::future::poll_fn(|cx| secure.poll_handshake(cx)).await?;
        Ok(secure)
    }

    /// The protocol that was agreed on, if any was.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The version that was agreed on.
    pub(super) fn version(&self) -> Option<ProtocolVersion> {
        self.session.protocol_version()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_send_all(cx))?;
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        // In 1.2 the last word is the handshake's own; in 1.3 it is the ticket, which nobody waits for.
        self.holds_ticket = self.session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if self.holds_ticket { Poll::Ready(Ok(())) } else { self.poll_send_all(cx) }
    }

    /// Reads what there is and opens it. The count is of the sealed bytes; 0 is the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let count = ready!(blocking(self.session.read_tls(&mut Sync { socket: &mut self.socket, cx })))?;
        match self.session.process_new_packets() {
            Ok(state) => self.is_ended |= state.peer_has_closed() || count == 0,
            Err(error) => {
                // The peer is told why, if that can be done at once.
                let _ = self.poll_send_all(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(blocking(self.session.write_tls(&mut Sync { socket: &mut self.socket, cx })))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Seals what fits; sends only when nothing does.
    fn poll_seal(
        &mut self,
        cx: &mut Context<'_>,
        mut seal: impl FnMut(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match seal(&mut self.session.writer())? {
                0 => ready!(self.poll_send(cx))?,
                count => return Poll::Ready(Ok(count)),
            }
        }
    }
}

impl AsyncBufRead for Secure {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while !this.is_ended && this.session.wants_read() {
            match this.poll_receive(cx)? {
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // The peer may be waiting for what is held here.
                    if !std::mem::take(&mut this.holds_ticket)
                        && let Poll::Ready(Err(error)) = this.poll_send_all(cx)
                    {
                        return Poll::Ready(Err(error));
                    }
                    return Poll::Pending;
                }
            }
        }
        match this.session.reader().into_first_chunk() {
            // What came held no data and there is nothing to wait for: look again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            chunk => Poll::Ready(chunk),
        }
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.session.reader().consume(count);
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = chunk.len().min(buf.remaining());
        buf.put_slice(chunk.get(..count).unwrap_or_default());
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secure {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_seal(cx, |writer| writer.write(buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.poll_seal(cx, |writer| writer.write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send_all(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_closing, true) {
            self.session.send_close_notify();
        }
        ready!(self.poll_send_all(cx))?;
        if self.is_ended {
            // Both sides are done: the close that follows says it all.
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.socket).poll_shutdown(cx)) {
            // Who is gone needs no farewell.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

/// The socket as rustls takes it: what would have to wait is an error.
struct Sync<'s, 'c, 'w> {
    socket: &'s mut Metered,
    cx: &'c mut Context<'w>,
}

impl Read for Sync<'_, '_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut buf)? {
            Poll::Ready(()) => Ok(buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Sync<'_, '_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write(self.cx, buf)? {
            Poll::Ready(count) => Ok(count),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // One record, as most answers are, takes the shorter way through the kernel.
        if let [buf] = bufs {
            return self.write(buf);
        }
        match Pin::new(&mut *self.socket).poll_write_vectored(self.cx, bufs)? {
            Poll::Ready(count) => Ok(count),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocking<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

/// Sealed bytes that wait for the socket: large files leave in one system call of many records.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
