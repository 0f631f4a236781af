//! Tokens of a file: literal bytes and block numbers, plain or compressed.
//!
//! Imports the framed input and [`SumHead`]. One flow: [`Decoder::begin`] per file, then
//! [`Decoder::next`] until [`Token::End`]; what the peer claims is bounded before it is returned:
//! blocks by the head, literals and blocks together by [`Limits::file_bytes`].

use std::io::Read;

use super::Limits;
use super::error::{Error, Exit};
use super::mux::Input;
use super::signature::SumHead;
use super::wire::Take;

/// How tokens are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain.
    None,
    /// Old `-z`: matched blocks pass the inflater too.
    Zlib,
    /// zlib without the matched blocks.
    Zlibx,
    /// One zstd stream for the whole session.
    Zstd,
    /// Independent LZ4 blocks.
    Lz4,
}

impl Compression {
    /// What we offer, best first (rsync's own order).
    pub const OFFERED: [Self; 5] = [Self::Zstd, Self::Lz4, Self::Zlibx, Self::Zlib, Self::None];

    /// The compression of this name, as on the wire and in `--compress-choice` (case does not
    /// count there).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::OFFERED.into_iter().find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Zlibx => "zlibx",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}

/// What comes next of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bytes of the new file.
    Literal(&'a [u8]),
    /// `count` blocks of the basis from `first` on; [`SumHead::run`] says where they lie.
    Blocks {
        /// Number of the first block.
        first: u32,
        /// Blocks that follow each other in the basis; at least one.
        count: u32,
    },
    /// The file's sum follows.
    End,
}

/// Bytes of a literal handed on at once.
const PIECE_BYTES: usize = 64 << 10;
/// What a sender cuts from the end of every flush of its deflate stream.
const FLUSH_END: [u8; 4] = [0, 0, 0xff, 0xff];

/// The decoder of a session (zstd's stream spans files).
pub struct Decoder {
    packing: Packing,
    head: SumHead,
    /// Bytes that this file may still grow by.
    room: u64,
    file_bytes: u64,
}

enum Packing {
    Plain(Plain),
    Packed(Box<Packed>),
}

impl Decoder {
    /// The decoder for what was agreed.
    pub fn new(compression: Compression, limits: &Limits) -> Self {
        let packing = match Codec::new(compression, limits) {
            Some(codec) => Packing::Packed(Box::new(Packed::new(codec))),
            None => Packing::Plain(Plain::default()),
        };
        Self { packing, head: SumHead::default(), room: 0, file_bytes: limits.file_bytes }
    }

    /// A new file begins, its blocks as in `head`: what we sent, never what the peer claims.
    pub fn begin(&mut self, head: &SumHead) {
        self.head = *head;
        self.room = self.file_bytes;
        match &mut self.packing {
            Packing::Plain(plain) => *plain = Plain::default(),
            Packing::Packed(packed) => packed.begin(),
        }
    }

    /// The next token. Literals come in pieces of at most 64 KiB, straight from the input's buffer
    /// where they are plain. After an error the session is over.
    pub fn next<'a, R: Read>(&'a mut self, input: &'a mut Input<R>) -> Result<Token<'a>, Error> {
        let token = match &mut self.packing {
            Packing::Plain(plain) => plain.next(input, &self.head)?,
            Packing::Packed(packed) => packed.next(input, &self.head)?,
        };
        let bytes = match &token {
            Token::Literal(bytes) => bytes.len() as u64,
            Token::Blocks { first, count } => {
                self.head.run(*first, *count).map_or(u64::MAX, |(_, length)| length)
            }
            Token::End => 0,
        };
        self.room = self.room.checked_sub(bytes).ok_or_else(|| too_long(self.file_bytes))?;
        Ok(token)
    }

    /// The bytes of a matched block, in any pieces: old `-z` has them pass the inflater too; for
    /// all others nothing happens.
    pub fn saw_block(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.packing {
            Packing::Plain(_) => Ok(()),
            Packing::Packed(packed) => packed.saw_block(bytes),
        }
    }

    /// Whether [`Decoder::saw_block`] wants to see the matched blocks.
    pub fn wants_blocks(&self) -> bool {
        matches!(&self.packing, Packing::Packed(packed) if matches!(packed.codec, Codec::Zlib(_)))
    }
}

fn too_long(limit: u64) -> Error {
    Error::new(
        Exit::Partial,
        format!("el archivo pasa del límite de {limit} bytes"),
        format!("the file is longer than the limit of {limit} bytes"),
    )
}

/// Refuses blocks that the basis does not have.
fn blocks<'a>(head: &SumHead, first: u32, count: u32) -> Result<Token<'a>, Error> {
    match head.run(first, count) {
        Some(_) => Ok(Token::Blocks { first, count }),
        None => Err(Error::protocol(format!("token: blocks {first}+{count} of {}", head.count))),
    }
}

/// Plain tokens.
#[derive(Default)]
struct Plain {
    /// Bytes of the literal still to come.
    literal: usize,
    /// Bytes shown of the input's buffer, to be taken at the next call.
    shown: usize,
    /// A token read ahead while a run of blocks was collected.
    ahead: Option<i32>,
}

impl Plain {
    fn next<'a, R: Read>(&mut self, input: &'a mut Input<R>, head: &SumHead) -> Result<Token<'a>, Error> {
        input.consume(std::mem::take(&mut self.shown));
        if self.literal == 0 {
            let token = match self.ahead.take() {
                Some(token) => token,
                None => input.int()?,
            };
            match usize::try_from(token) {
                Ok(0) => return Ok(Token::End),
                Ok(length) => self.literal = length,
                Err(_) => return self.run(token, input, head),
            }
        }
        let piece = input.peek(self.literal.min(PIECE_BYTES))?;
        if piece.is_empty() {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        self.shown = piece.len();
        self.literal = self.literal.saturating_sub(piece.len());
        Ok(Token::Literal(piece))
    }

    /// Collects the blocks that follow each other: every file ends in a token, so that reading
    /// one ahead never waits for what will not come.
    fn run<'a, R: Read>(
        &mut self,
        token: i32,
        input: &mut Input<R>,
        head: &SumHead,
    ) -> Result<Token<'a>, Error> {
        let first = !token;
        let mut last = first;
        // The basis bounds the run, so that the collecting ends.
        while last.unsigned_abs() < head.count {
            let ahead = input.int()?;
            if ahead >= 0 || !ahead != last.saturating_add(1) {
                self.ahead = Some(ahead);
                break;
            }
            last = !ahead;
        }
        blocks(head, first.unsigned_abs(), last.abs_diff(first).saturating_add(1))
    }
}

/// What unpacks literals.
enum Codec {
    Zlib(flate2::Decompress),
    Zlibx(flate2::Decompress),
    Zstd(zstd::stream::raw::Decoder<'static>),
    Lz4,
    /// The library could not make its decoder (memory).
    Broken,
}

impl Codec {
    fn new(compression: Compression, limits: &Limits) -> Option<Self> {
        match compression {
            Compression::None => None,
            Compression::Zlib => Some(Self::Zlib(flate2::Decompress::new(false))),
            Compression::Zlibx => Some(Self::Zlibx(flate2::Decompress::new(false))),
            Compression::Zstd => Some(zstd_decoder(limits.zstd_window_log).map_or(Self::Broken, Self::Zstd)),
            Compression::Lz4 => Some(Self::Lz4),
        }
    }
}

fn zstd_decoder(window_log: u32) -> std::io::Result<zstd::stream::raw::Decoder<'static>> {
    let mut decoder = zstd::stream::raw::Decoder::new()?;
    decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(window_log.clamp(10, 27)))?;
    Ok(decoder)
}

/// Packed tokens: the framing that zlib, zstd and LZ4 share.
struct Packed {
    codec: Codec,
    /// A chunk as it came, and how much of it is unpacked.
    chunk: Vec<u8>,
    at: usize,
    /// The last output was full: there may be more without more input.
    pending: bool,
    /// Unpacked bytes, lent to the caller.
    out: Vec<u8>,
    /// A flag byte that waits until the inflater has given everything.
    flag: Option<u8>,
    /// The inflater still lacks the end of its flush.
    flush_due: bool,
    /// Base of relative tokens: the last block of this file.
    last: u32,
}

impl Packed {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            chunk: Vec::new(),
            at: 0,
            pending: false,
            out: vec![0; PIECE_BYTES],
            flag: None,
            flush_due: false,
            last: 0,
        }
    }

    fn begin(&mut self) {
        self.last = 0;
        self.flag = None;
        if let Codec::Zlib(inflater) | Codec::Zlibx(inflater) = &mut self.codec {
            inflater.reset(false);
            self.flush_due = false;
        }
    }

    fn next<'a, R: Read>(&'a mut self, input: &mut Input<R>, head: &SumHead) -> Result<Token<'a>, Error> {
        loop {
            if self.pending || self.at < self.chunk.len() {
                let unpacked = self.unpack()?;
                if unpacked > 0 {
                    return Ok(Token::Literal(self.out.get(..unpacked).unwrap_or_default()));
                }
                continue;
            }
            let flag = match self.flag.take() {
                Some(flag) => flag,
                None => input.byte()?,
            };
            if flag & 0xc0 == 0x40 {
                self.read_chunk(flag, input)?;
            } else if std::mem::take(&mut self.flush_due) {
                self.chunk.clear();
                self.chunk.extend_from_slice(&FLUSH_END);
                self.at = 0;
                self.flag = Some(flag);
            } else {
                return self.token(flag, input, head);
            }
        }
    }

    fn read_chunk<R: Read>(&mut self, flag: u8, input: &mut Input<R>) -> Result<(), Error> {
        let length = usize::from(flag & 0x3f) << 8 | usize::from(input.byte()?);
        self.chunk.resize(length, 0);
        self.at = 0;
        self.flush_due = matches!(self.codec, Codec::Zlib(_) | Codec::Zlibx(_));
        input.fill(&mut self.chunk)
    }

    fn token<'a, R: Read>(
        &mut self,
        flag: u8,
        input: &mut Input<R>,
        head: &SumHead,
    ) -> Result<Token<'a>, Error> {
        let step = u32::from(flag & 0x3f);
        let (first, is_run) = match flag {
            0 => return Ok(Token::End),
            0x20 | 0x21 => (absolute(input.int()?)?, flag == 0x21),
            0x80..=0xff => (self.last.checked_add(step).ok_or_else(|| unknown(flag))?, flag & 0x40 != 0),
            _ => return Err(unknown(flag)),
        };
        let more = if is_run { u32::from(input.short()?) } else { 0 };
        let run = blocks(head, first, more + 1)?;
        self.last = first + more;
        Ok(run)
    }

    /// Unpacks the next piece into `out`; the value is its length, 0 when the chunk is used up.
    fn unpack(&mut self) -> Result<usize, Error> {
        let chunk = self.chunk.get(self.at..).unwrap_or_default();
        let (used, made) = match &mut self.codec {
            Codec::Zlib(inflater) | Codec::Zlibx(inflater) => inflate(inflater, chunk, &mut self.out)?,
            Codec::Zstd(decoder) => unzstd(decoder, chunk, &mut self.out)?,
            Codec::Lz4 => (chunk.len(), unlz4(chunk, &mut self.out)?),
            Codec::Broken => {
                return Err(Error::new(
                    Exit::Memory,
                    "no hay memoria para descomprimir zstd",
                    "no memory to unpack zstd",
                ));
            }
        };
        self.at += used;
        let left = self.at < self.chunk.len();
        if used == 0 && made == 0 && left {
            return Err(corrupt("unpacking stands still"));
        }
        self.pending = made == self.out.len() && !matches!(self.codec, Codec::Lz4);
        Ok(made)
    }

    /// Feeds matched bytes as stored blocks, which is how they come into the window.
    fn saw_block(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Codec::Zlib(inflater) = &mut self.codec else {
            return Ok(());
        };
        // As long as the shortest room that is lent: stored blocks are at most 65,535 bytes.
        for piece in bytes.chunks(PIECE_BYTES - 1) {
            let length = piece.len() as u16;
            let [a, b] = length.to_le_bytes();
            let [c, d] = (!length).to_le_bytes();
            feed(inflater, &[0, a, b, c, d], &mut self.out)?;
            feed(inflater, piece, &mut self.out)?;
        }
        Ok(())
    }
}

fn absolute(token: i32) -> Result<u32, Error> {
    u32::try_from(token).map_err(|_| Error::protocol(format!("token: block {token}")))
}

fn unknown(flag: u8) -> Error {
    Error::protocol(format!("token: flag {flag:#04x}"))
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::new(
        Exit::Stream,
        format!("los datos comprimidos llegaron dañados ({what}); repita el envío sin -z si persiste"),
        format!("the compressed data came damaged ({what}); push again without -z if it persists"),
    )
}

/// Bytes used and made.
fn inflate(inflater: &mut flate2::Decompress, chunk: &[u8], out: &mut [u8]) -> Result<(usize, usize), Error> {
    let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
    let status = inflater.decompress(chunk, out, flate2::FlushDecompress::Sync).map_err(corrupt)?;
    // No sender ever ends its stream: it flushes.
    if status == flate2::Status::StreamEnd {
        return Err(corrupt("deflate stream ended"));
    }
    Ok(((inflater.total_in() - before_in) as usize, (inflater.total_out() - before_out) as usize))
}

/// Has the inflater take all of `bytes`; what it makes is already known to the caller.
fn feed(inflater: &mut flate2::Decompress, mut bytes: &[u8], out: &mut [u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let (used, made) = inflate(inflater, bytes, out)?;
        if used == 0 && made == 0 {
            return Err(corrupt("a matched block was not taken"));
        }
        bytes = bytes.get(used..).unwrap_or_default();
    }
    Ok(())
}

/// Bytes used and made.
fn unzstd(
    decoder: &mut zstd::stream::raw::Decoder<'static>,
    chunk: &[u8],
    out: &mut [u8],
) -> Result<(usize, usize), Error> {
    use zstd::stream::raw::Operation;
    let status = decoder.run_on_buffers(chunk, out).map_err(|error| match error.to_string() {
        text if text.contains("memory") => Error::new(
            Exit::Unsupported,
            "la ventana de zstd pasa del límite: use --compress-level=19 o menor",
            "zstd's window is above the limit: use --compress-level=19 or lower",
        ),
        text => corrupt(text),
    })?;
    Ok((status.bytes_read, status.bytes_written))
}

fn unlz4(chunk: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    lz4_flex::block::decompress_into(chunk, out).map_err(corrupt)
}

#[cfg(test)]
mod tests;
