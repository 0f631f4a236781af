//! The body of a response: bytes that are in memory, parts of open files, or both in turn.

use std::collections::VecDeque;
use std::fs::File;
use std::future::{Future as _, poll_fn};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::meter::Ticket;
use super::range::Part;
use crate::site::Stored;
use crate::stats::Observed;

/// A body. It holds the bytes it sends and nothing of the snapshot they came from, so a
/// slow reader keeps one file alive, not a cut.
#[derive(Debug, Default)]
pub(super) struct Body {
    next: Option<Piece>,
    rest: VecDeque<Piece>,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    _ticket: Option<Ticket>,
    observed: Option<Observed>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    File { file: Arc<File>, part: Part },
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { part, .. } => part.len,
        }
    }
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// These bytes.
    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        Self::empty().then(Piece::Bytes(bytes.into()))
    }

    /// The part of a stored content.
    pub(super) fn part(stored: &Stored, part: Part) -> Self {
        Self::empty().and_part(stored, part)
    }

    /// These bytes after what there is.
    pub(super) fn and(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Piece::Bytes(bytes.into()))
    }

    /// The part of a stored content after what there is.
    pub(super) fn and_part(self, stored: &Stored, part: Part) -> Self {
        match stored {
            Stored::Memory(bytes) => self.then(Piece::Bytes(slice(bytes, part))),
            Stored::Disk(file) => self.then(Piece::File { file: Arc::clone(file), part }),
        }
    }

    /// Counts as a running response for as long as it lives.
    pub(super) fn held_by(mut self, ticket: Ticket) -> Self {
        self._ticket = Some(ticket);
        self
    }

    /// Is told of for as long as it lives.
    pub(super) fn observed(mut self, observed: Option<Observed>) -> Self {
        self.observed = observed;
        self.note(0);
        self
    }

    /// So many bytes were handed on.
    fn note(&mut self, bytes: u64) {
        if let Some(observed) = &mut self.observed {
            observed.sent(bytes);
            if self.left == 0 {
                observed.whole();
            }
        }
    }

    /// Bytes that are still to come.
    pub(super) fn len(&self) -> u64 {
        self.left
    }

    fn then(mut self, piece: Piece) -> Self {
        self.left += piece.len();
        match self.next {
            _ if piece.len() == 0 => {}
            None => self.next = Some(piece),
            Some(_) => self.rest.push_back(piece),
        }
        self
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let read = ready!(self.poll_read(cx));
        if let Some(Ok(bytes)) = &read {
            self.left = self.left.saturating_sub(bytes.len() as u64);
            self.note(bytes.len() as u64);
        }
        Poll::Ready(read)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            return Poll::Ready(Some(read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))));
        }
        match self.next.take() {
            None => Poll::Ready(None),
            Some(Piece::Bytes(bytes)) => {
                self.next = self.rest.pop_front();
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Piece::File { file, part }) => {
                let now = part.len.min(READ_BLOCK);
                let later = Part { start: part.start + now, len: part.len - now };
                self.next = if later.len == 0 {
                    self.rest.pop_front()
                } else {
                    Some(Piece::File { file: Arc::clone(&file), part: later })
                };
                self.reading = Some(tokio::task::spawn_blocking(move || read(&file, part.start, now)));
                self.poll_read(cx)
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_next(cx).map(|read| read.map(|r| r.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read(file: &File, start: u64, len: u64) -> io::Result<Bytes> {
    let mut block = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut block, start)?;
    Ok(Bytes::from(block))
}

/// A part of bytes in memory; parts are made to lie within them.
fn slice(bytes: &Bytes, part: Part) -> Bytes {
    let (Ok(start), Ok(len)) = (usize::try_from(part.start), usize::try_from(part.len)) else {
        return Bytes::new();
    };
    let end = start.saturating_add(len).min(bytes.len());
    bytes.slice(start.min(end)..end)
}

/// Bytes read from disk at a time: large enough to stream, small enough to hold for
/// every reader at once.
const READ_BLOCK: u64 = 256 * 1024;
