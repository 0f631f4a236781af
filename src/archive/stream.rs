//! The tar formats from end to end: compression below, tar above, one verdict.
//!
//! Owns the rule that the lowest broken layer speaks: after the tar was found at fault
//! the decoder still runs to the end, because damaged or missing bytes explain any
//! nonsense above them. A passed limit ends everything at once.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::inflate::Inflate;
use super::source::{Arriving, Pieces, Source};
use super::tar::Tar;
use super::{Error, Format, Limits, Reason, Refusal, Report, Sink};

/// A `.tar.gz`, `.tar` or `.tar.zst` that is read while its bytes arrive.
#[derive(Debug)]
pub struct Stream {
    inflate: Inflate,
    upper: Upper,
    arrived: u64,
    package_max: u64,
    buffer: Vec<u8>,
}

impl Stream {
    /// A reader for `format`; a zip cannot be judged before its end and is refused here.
    pub fn new(format: Format, limits: &Limits) -> Result<Self, Refusal> {
        if format == Format::Zip {
            return Err(Refusal::new(Reason::FormatMismatch)
                .detail(("un zip se lee desde su final", "a zip is read from its end")));
        }
        Ok(Self {
            inflate: Inflate::new(format)?,
            upper: Upper::new(format, limits),
            arrived: 0,
            package_max: limits.package_bytes,
            buffer: vec![0; CHUNK],
        })
    }

    /// Takes the next bytes. Once this has failed the sink gets nothing more.
    ///
    /// A fault inside the tar is not told before [`Stream::finish`], see [`Stream::fault`].
    pub fn feed(&mut self, mut input: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        self.arrived = self.arrived.saturating_add(input.len() as u64);
        if self.arrived > self.package_max {
            let figures = format!("> {}", self.package_max);
            return Err(Refusal::new(Reason::SizePackage).detail(figures).into());
        }
        loop {
            let step = self.inflate.step(input, &mut self.buffer)?;
            self.upper.feed(self.buffer.get(..step.given).unwrap_or_default(), sink)?;
            input = input.get(step.taken..).unwrap_or_default();
            if step.given == 0 && step.taken == 0 {
                return Ok(());
            }
        }
    }

    /// The fault that the tar already has, for a caller who would rather stop now.
    pub fn fault(&self) -> Option<&Refusal> {
        self.upper.fault.as_ref()
    }

    /// The bytes are over.
    pub fn finish(self) -> Result<Report, Error> {
        if self.arrived == 0 {
            return Err(Refusal::new(Reason::Truncated).detail(("0 bytes", "0 bytes")).into());
        }
        self.inflate.finish()?;
        Ok(self.upper.finish()?)
    }
}

/// Reads a whole file. The decoder runs on a thread of its own, so that a large
/// package is unpacked by two cores; memory stays at a few buffers.
pub(super) fn read(
    source: Source<'_>,
    format: Format,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    if format == Format::Tar || source.size() <= CHUNK as u64 {
        return read_inline(&source, format, limits, sink);
    }
    read_with_two(&source, format, limits, sink)
}

/// Reads an archive that is still coming, as far behind as its decoder is slow. Its format is
/// what its first bytes show; a zip is read from its end and is refused here.
pub(super) fn read_arriving(
    bytes: &dyn Arriving,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    let mut head = [0; super::tar::BLOCK];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match bytes.peek(rest, filled as u64).map_err(Error::Read)? {
            0 => break,
            count => filled += count,
        }
    }
    let format = Format::sniff(head.get(..filled).unwrap_or_default());
    match format.filter(|format| *format != Format::Zip) {
        Some(format) => read_with_two(&bytes, format, limits, sink),
        None => Err(Refusal::new(Reason::FormatMismatch).into()),
    }
}

fn read_with_two(
    source: &dyn Pieces,
    format: Format,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    let inflate = Inflate::new(format)?;
    thread::scope(|scope| {
        let (full, chunks) = sync_channel(CHUNKS_IN_FLIGHT);
        let (used, empty) = sync_channel(CHUNKS_IN_FLIGHT);
        let decoder = thread::Builder::new().name("inflate".to_owned());
        match decoder.spawn_scoped(scope, move || decode(source, inflate, &full, &empty)) {
            Ok(_) => consume(&chunks, &used, Upper::new(format, limits), sink),
            // No thread to be had: slower, but the cut is not lost.
            Err(_) => read_inline(source, format, limits, sink),
        }
    })
}

fn read_inline(
    source: &dyn Pieces,
    format: Format,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    let mut stream = Stream::new(format, limits)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while let Some(chunk) = source.next(&mut at, &mut buffer)? {
        stream.feed(chunk, sink)?;
    }
    stream.finish()
}

/// What the decoding thread sends: decoded bytes, then one end.
enum Piece {
    /// A buffer and how much of it counts: it keeps its length, so that none is wiped for reuse.
    Bytes(Vec<u8>, usize),
    End(Result<(), Error>),
}

fn decode(source: &dyn Pieces, mut inflate: Inflate, full: &SyncSender<Piece>, empty: &Receiver<Vec<u8>>) {
    let end = decode_all(source, &mut inflate, full, empty);
    // Nobody listens any more when a limit was passed or the sink failed.
    let _ = full.send(Piece::End(end));
}

fn decode_all(
    source: &dyn Pieces,
    inflate: &mut Inflate,
    full: &SyncSender<Piece>,
    empty: &Receiver<Vec<u8>>,
) -> Result<(), Error> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while let Some(mut input) = source.next(&mut at, &mut buffer)? {
        loop {
            let mut out = empty.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
            let step = inflate.step(input, &mut out)?;
            input = input.get(step.taken..).unwrap_or_default();
            if step.given == 0 && step.taken == 0 {
                break;
            }
            if full.send(Piece::Bytes(out, step.given)).is_err() {
                return Err(Error::Read(io::ErrorKind::BrokenPipe.into()));
            }
        }
    }
    Ok(inflate.finish()?)
}

fn consume(
    chunks: &Receiver<Piece>,
    used: &SyncSender<Vec<u8>>,
    mut upper: Upper,
    sink: &mut dyn Sink,
) -> Result<Report, Error> {
    loop {
        match chunks.recv() {
            Ok(Piece::Bytes(bytes, given)) => {
                upper.feed(bytes.get(..given).unwrap_or_default(), sink)?;
                // A full pool only means that the decoder makes no new buffers.
                let _ = used.try_send(bytes);
            }
            Ok(Piece::End(end)) => {
                end?;
                return Ok(upper.finish()?);
            }
            // The thread ended without a word: it panicked, and the scope will say so.
            Err(_) => return Err(Error::Read(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// The tar above the decoder, and the fault that waits for the decoder's verdict.
#[derive(Debug)]
struct Upper {
    tar: Tar,
    format: Format,
    fault: Option<Refusal>,
    /// Decoded bytes that came after the fault.
    drained: u64,
}

impl Upper {
    fn new(format: Format, limits: &Limits) -> Self {
        Self { tar: Tar::new(limits), format, fault: None, drained: 0 }
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            self.drained = self.drained.saturating_add(bytes.len() as u64);
            return if self.drained > DRAIN_MAX { Err(fault.clone().into()) } else { Ok(()) };
        }
        match self.tar.feed(bytes, sink) {
            Err(Error::Refused(refusal)) if !refusal.reason.is_limit() => {
                self.fault = Some(refusal);
                Ok(())
            }
            other => other,
        }
    }

    fn finish(self) -> Result<Report, Refusal> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.tar.finish(self.format),
        }
    }
}

/// Bytes of one buffer: large enough that threads meet rarely, small enough for the cache.
const CHUNK: usize = 256 << 10;

/// Buffers under way between the two threads: 8 MiB, so that a large JSON file, which is
/// judged at its end, does not stop the decoder meanwhile.
const CHUNKS_IN_FLIGHT: usize = 32;

/// How much is decoded only to see if the container is whole. A real package fits;
/// a bomb with a fault in front costs a fraction of a second.
const DRAIN_MAX: u64 = 512 << 20;
