//! Bytes that can be read at any place: a file, or a slice in memory.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::Error;

/// An archive whose bytes are still coming. Only what will not change any more is given.
pub trait Arriving: Sync {
    /// Waits until there are bytes at `at` and reads some of them; 0 once the archive is over.
    /// An error if it will never be whole. Asked for in order, by one thread, each byte once.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// The same for a first look at bytes that will be read.
    fn peek(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

/// Bytes that are read once, from the first to the last.
pub(super) trait Pieces: Sync {
    /// The piece at `at`, as much as there is and `buffer` holds, and moves `at` behind it;
    /// `None` at the end.
    fn next<'b>(&self, at: &mut u64, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error>;
}

impl Pieces for Source<'_> {
    fn next<'b>(&self, at: &mut u64, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        Source::next(*self, at, buffer)
    }
}

impl Pieces for &dyn Arriving {
    fn next<'b>(&self, at: &mut u64, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        let count = self.read_at(buffer, *at).map_err(Error::Read)?;
        *at += count as u64;
        Ok(buffer.get(..count).filter(|piece| !piece.is_empty()))
    }
}

/// A finished archive. Never read behind its end; no cursor is moved.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    bytes: Bytes<'a>,
    size: u64,
}

#[derive(Clone, Copy)]
enum Bytes<'a> {
    File(&'a File),
    Slice(&'a [u8]),
}

impl<'a> Source<'a> {
    pub(super) fn file(file: &'a File) -> Result<Self, Error> {
        let size = file.metadata().map_err(Error::Read)?.len();
        Ok(Self { bytes: Bytes::File(file), size })
    }

    pub(super) fn slice(slice: &'a [u8]) -> Self {
        Self { bytes: Bytes::Slice(slice), size: slice.len() as u64 }
    }

    /// Bytes in all.
    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// The first `size` bytes of it.
    pub(super) fn up_to(self, size: u64) -> Self {
        Self { size: self.size.min(size), ..self }
    }

    /// Fills `buffer` from `at`. A file that became shorter meanwhile is an error.
    pub(super) fn fill(self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        match self.bytes {
            Bytes::File(file) => file.read_exact_at(buffer, at).map_err(Error::Read),
            Bytes::Slice(slice) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let found = slice.get(from..).and_then(|rest| rest.get(..buffer.len()));
                let found = found.ok_or_else(|| Error::Read(io::ErrorKind::UnexpectedEof.into()))?;
                buffer.copy_from_slice(found);
                Ok(())
            }
        }
    }

    /// Exactly these bytes; `None` if the archive ends before.
    pub(super) fn get(self, at: u64, length: usize) -> Result<Option<Vec<u8>>, Error> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// A record of fixed length.
    pub(super) fn array<const N: usize>(self, at: u64) -> Result<Option<[u8; N]>, Error> {
        Ok(self.get(at, N)?.and_then(|bytes| bytes.try_into().ok()))
    }

    /// The piece at `at`, as much as `buffer` holds, and moves `at` behind it;
    /// `None` at the end.
    pub(super) fn next<'b>(self, at: &mut u64, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        let want = usize::try_from(self.size - *at).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(None);
        }
        let piece = buffer.get_mut(..want).unwrap_or_default();
        self.fill(piece, *at)?;
        *at += want as u64;
        Ok(Some(piece))
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("size", &self.size).finish_non_exhaustive()
    }
}
