//! A stream that can be cut from outside, at any moment, whatever russh is waiting for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream under a token: once that is cancelled every read and write fails at once,
/// also those that are waiting.
pub(super) struct Guarded<S> {
    stream: S,
    cut: CancellationToken,
    // One each, because the two directions may be polled by different tasks.
    read_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    write_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    heard: Arc<AtomicBool>,
}

impl<S> Guarded<S> {
    /// `heard` becomes true with the peer's first byte.
    pub(super) fn new(stream: S, cut: CancellationToken, heard: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            read_cut: Box::pin(cut.clone().cancelled_owned()),
            write_cut: Box::pin(cut.clone().cancelled_owned()),
            cut,
            heard,
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// What the stream says, or the cut if the stream has nothing to say.
    fn unless_cut<T>(
        poll: Poll<io::Result<T>>,
        cut: &mut Pin<Box<WaitForCancellationFutureOwned>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_pending() && cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && !self.heard.load(Ordering::Relaxed) {
            self.heard.store(true, Ordering::Relaxed);
        }
        Self::unless_cut(poll, &mut self.read_cut, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        Self::unless_cut(poll, &mut self.write_cut, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        Self::unless_cut(poll, &mut self.write_cut, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        Self::unless_cut(poll, &mut self.write_cut, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_what_waits_and_what_comes_after() {
        let (near, _far) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let (mut read, mut write) = tokio::io::split(Guarded::new(near, cut.clone(), Arc::default()));
        let waiting = async {
            let reading = async { read.read_u8().await.unwrap_err().kind() };
            let writing = async { write.write_all(&[0; 100]).await.unwrap_err().kind() };
            tokio::join!(reading, writing)
        };
        let cutting = async {
            tokio::task::yield_now().await;
            cut.cancel();
        };
        let (kinds, ()) = tokio::join!(waiting, cutting);
        assert_eq!(kinds, (io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionAborted));
        assert!(write.write_all(b"x").await.is_err());
    }
}
