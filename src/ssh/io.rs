//! One exec or subsystem channel as a program sees it: bytes in, bytes out, errors out.
//!
//! Programs (SFTP, scp, the command grammar) are synchronous and run on a blocking
//! thread; the session task moves bytes between this and russh. The two directions
//! never wait for each other (a consumer that writes while nobody reads would otherwise
//! wedge the whole connection, `PR #730` of russh).

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// The peer is gone: disconnected without an end-of-file, revoked, or too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection ended before the transfer did")]
pub struct Gone;

impl From<Gone> for io::Error {
    fn from(gone: Gone) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, gone)
    }
}

/// What the session task feeds in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum In {
    /// Bytes of the peer's standard output.
    Data(Bytes),
    /// The peer's clean end. A channel that closes without it was cut off.
    Eof,
}

/// What a program sends back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Standard output.
    Data(Bytes),
    /// Standard error (SSH extended data).
    Error(Bytes),
}

/// A program's end of the channel.
#[derive(Debug)]
pub struct Io {
    input: mpsc::Receiver<In>,
    output: mpsc::Sender<Out>,
    rest: Bytes,
    ended: bool,
}

impl Io {
    /// A program's end, and the ends of the session task.
    pub fn pair(depth: usize) -> (Self, mpsc::Sender<In>, mpsc::Receiver<Out>) {
        let (to_program, input) = mpsc::channel(depth);
        let (output, from_program) = mpsc::channel(depth);
        (Self { input, output, rest: Bytes::new(), ended: false }, to_program, from_program)
    }

    /// The next bytes as they came; `None` at the peer's clean end.
    #[expect(clippy::should_implement_trait, reason = "it fails; an iterator does not")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.input.blocking_recv() {
                Some(In::Data(bytes)) if bytes.is_empty() => {}
                Some(In::Data(bytes)) => return Ok(Some(bytes)),
                Some(In::Eof) => {
                    self.ended = true;
                    return Ok(None);
                }
                None => return Err(Gone),
            }
        }
    }

    /// The two directions, for a program that reads on one thread and writes on another.
    pub fn split(self) -> (Self, Outward) {
        let outward = Outward { output: self.output.clone() };
        (self, outward)
    }

    /// Whether [`Io::next`] would return at once, so that replies may wait for company.
    pub fn waiting(&self) -> bool {
        !self.rest.is_empty() || !self.input.is_empty()
    }

    /// Puts bytes back in front; the next call to [`Io::next`] or `read` gives them.
    pub fn put_back(&mut self, bytes: Bytes) {
        debug_assert!(self.rest.is_empty(), "only what was just taken is put back");
        self.rest = bytes;
    }

    /// Writes to the peer's standard output.
    pub fn out(&self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        self.output.blocking_send(Out::Data(bytes.into())).map_err(|_| Gone)
    }

    /// Writes one line to the peer's standard error.
    pub fn err(&self, line: &str) -> Result<(), Gone> {
        self.output.blocking_send(Out::Error(Bytes::from(format!("{line}\n")))).map_err(|_| Gone)
    }
}

/// The way to the peer of an [`Io`] that was split. Clones lead the same way.
#[derive(Clone, Debug)]
pub struct Outward {
    output: mpsc::Sender<Out>,
}

impl Outward {
    /// Writes one line to the peer's standard error.
    pub fn err(&self, line: &str) -> Result<(), Gone> {
        self.output.blocking_send(Out::Error(Bytes::from(format!("{line}\n")))).map_err(|_| Gone)
    }
}

impl io::Write for Outward {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.blocking_send(Out::Data(Bytes::copy_from_slice(bytes))).map_err(|_| Gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Io {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.next()? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let n = self.rest.len().min(buf.len());
        self.rest.copy_to_slice(buf.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_connection_is_not_an_end_of_file() {
        let (mut io, to_program, _out) = Io::pair(4);
        to_program.blocking_send(In::Data(Bytes::from_static(b"half"))).unwrap();
        drop(to_program);
        let mut text = String::new();
        assert_eq!(io.read_to_string(&mut text).unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(text, "half");
    }

    #[test]
    fn a_clean_end_stays_ended() {
        let (mut io, to_program, _out) = Io::pair(4);
        to_program.blocking_send(In::Eof).unwrap();
        assert_eq!(io.next(), Ok(None));
        drop(to_program);
        assert_eq!(io.next(), Ok(None));
    }
}
