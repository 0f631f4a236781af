//! Lines end in CRLF, and in nothing else (RFC 9112 §2.2).
//!
//! The parser takes a bare LF for a line end, as the standard allows; a proxy in front may not, and
//! the two would then disagree about where a header ends. Bytes from a peer of HTTP/1 are request
//! heads and nothing else, as a connection with a body ends after its answer: a bare LF is made
//! into a byte that no head may hold, and the parser's own 400 follows.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose bare line feeds cannot be read as line ends.
#[derive(Debug)]
pub(super) struct Lines<S> {
    stream: S,
    last: u8,
}

impl<S> Lines<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, last: 0 }
    }
}

/// Spoils every LF without a CR in front; `last` is the byte before these.
fn spoil(bytes: &mut [u8], last: u8) {
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)).map(|n| from + n) {
        let before = at.checked_sub(1).and_then(|n| bytes.get(n)).copied().unwrap_or(last);
        if before != b'\r'
            && let Some(feed) = bytes.get_mut(at)
        {
            *feed = SPOILT;
        }
        from = at + 1;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let last = self.last;
        if let Some(new) = buf.filled_mut().get_mut(before..)
            && let Some(end) = new.last().copied()
        {
            spoil(new, last);
            self.last = end;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// No head may hold it (RFC 9110 §5.5).
const SPOILT: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_feed_after_a_carriage_return_ends_a_line() {
        for (last, given, expected) in [
            (0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (0, "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\0Host: a\0\0"),
            (b'\r', "\nHost: a\r\n\n", "\nHost: a\r\n\0"),
            (b'a', "\n", "\0"),
            (0, "", ""),
        ] {
            let mut bytes = given.as_bytes().to_vec();
            spoil(&mut bytes, last);
            assert_eq!(bytes, expected.as_bytes(), "{given:?}");
        }
    }
}
