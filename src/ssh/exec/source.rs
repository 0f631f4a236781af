//! What a command reads: the channel, files of the drop, bytes of a pipe, or the same unpacked.
//!
//! Everything is handed on in pieces as it comes; nothing is ever held whole.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use crate::ssh::io::{Gone, Io};

/// The standard input of one command.
#[derive(Debug, Default)]
pub(super) enum Source {
    /// Nothing: `/dev/null`, or a script that was read already.
    #[default]
    Empty,
    /// What the sender's client sends.
    Channel,
    /// The output of `echo` before a pipe.
    Bytes(Bytes),
    /// Files, one after the other.
    Files(VecDeque<File>),
    /// What `gunzip` makes of another source.
    Gunzip(Box<Gunzip>),
}

/// A source that is unpacked on its way.
#[derive(Debug)]
pub(super) struct Gunzip {
    inner: Source,
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    /// Bytes that may still come out.
    left: u64,
}

/// Why a source ends before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client is gone.
    Gone,
    /// Our disk.
    Disk(io::Error),
    /// What should be gzip is not, or is damaged.
    NotGzip,
    /// More comes out than the limits allow.
    TooBig,
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Source {
    /// This source, unpacked to `most` bytes.
    pub(super) fn gunzip(self, most: u64) -> Self {
        let decoder = Some(MultiGzDecoder::new(Vec::new()));
        Self::Gunzip(Box::new(Gunzip { inner: self, decoder, left: most }))
    }

    /// The next piece; `None` at the clean end.
    pub(super) fn pull(&mut self, io: &mut Io) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Empty => Ok(None),
            Self::Channel => Ok(io.next()?),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                Ok((!bytes.is_empty()).then_some(bytes))
            }
            Self::Files(files) => next_piece(files).map_err(Broken::Disk),
            Self::Gunzip(gunzip) => gunzip.pull(io),
        }
    }
}

impl Gunzip {
    fn pull(&mut self, io: &mut Io) -> Result<Option<Bytes>, Broken> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            match self.inner.pull(io)? {
                Some(piece) => decoder.write_all(&piece).map_err(|_| Broken::NotGzip)?,
                None => {
                    decoder.try_finish().map_err(|_| Broken::NotGzip)?;
                    let rest = self.decoder.take().map(|mut d| std::mem::take(d.get_mut()));
                    return Ok(Some(self.count(rest.unwrap_or_default())?).filter(|rest| !rest.is_empty()));
                }
            }
            let out = std::mem::take(decoder.get_mut());
            if !out.is_empty() {
                return Ok(Some(self.count(out)?));
            }
        }
    }

    fn count(&mut self, out: Vec<u8>) -> Result<Bytes, Broken> {
        self.left = self.left.checked_sub(out.len() as u64).ok_or(Broken::TooBig)?;
        Ok(Bytes::from(out))
    }
}

fn next_piece(files: &mut VecDeque<File>) -> io::Result<Option<Bytes>> {
    while let Some(file) = files.front_mut() {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece)?;
        if read > 0 {
            piece.truncate(read);
            return Ok(Some(Bytes::from(piece)));
        }
        files.pop_front();
    }
    Ok(None)
}

/// Bytes read from a file at once. With gzip in between, one piece unpacks to 64 MiB at most.
const PIECE_BYTES: usize = 64 << 10;
