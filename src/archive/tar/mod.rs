//! tar as a state machine that is pushed: `feed` what came, `finish` at the end.
//!
//! Comes in: plain tar bytes in pieces of any size. Goes out: entries to the sink.
//! Held meanwhile: one block, one extended header, and a hash per path. Only files and
//! directories pass; every header is read in the one way all tools agree on. The end is
//! two zero blocks, then zeros only: a tar cut at a block boundary is `Truncated`.

mod header;
mod pax;

use super::tally::{Admit, Tally};
use super::{Error, Format, Limits, Reason, Refusal, Report, Sink};
use header::{Header, Kind, is_zero};
use pax::Pax;

pub(super) use header::{BLOCK, looks_like};

/// The reader. After an error it takes nothing more.
#[derive(Debug)]
pub(super) struct Tar {
    state: State,
    block: [u8; BLOCK],
    /// Bytes of `block` that have come.
    filled: usize,
    pending: Pending,
    tally: Tally,
    /// Whether a header was read: before that, nonsense means that this is no tar.
    begun: bool,
}

/// What the next bytes are.
#[derive(Debug)]
enum State {
    Header,
    /// Content of a file.
    Data {
        left: u64,
        padding: u64,
        dest: Dest,
    },
    /// Fill up to the block.
    Padding {
        left: u64,
    },
    /// Content of an extended header.
    Meta {
        kind: Kind,
        left: u64,
        padding: u64,
        bytes: Vec<u8>,
    },
    /// After the first zero block: how many zeros came since.
    End {
        zeros: u64,
    },
}

/// Where a file's content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dest {
    Sink,
    Nowhere,
}

/// What extended headers said about the next entry.
#[derive(Debug, Default)]
struct Pending {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && !self.long_link
    }
}

impl Tar {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Header,
            block: [0; BLOCK],
            filled: 0,
            pending: Pending::default(),
            tally: Tally::new(limits),
            begun: false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut input: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        while !input.is_empty() {
            let taken = match &mut self.state {
                State::Header => self.fill(input, sink)?,
                State::Data { .. } => self.data(input, sink)?,
                State::Padding { left } => {
                    let count = up_to(*left, input.len());
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    count
                }
                State::Meta { .. } => self.meta(input)?,
                State::End { zeros } => {
                    *zeros += input.len() as u64;
                    if !is_zero(input) || *zeros > PADDING_MAX {
                        return Err(Refusal::new(Reason::TarTrailing).into());
                    }
                    input.len()
                }
            };
            input = input.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The bytes are over; the archive must be.
    pub(super) fn finish(self, format: Format) -> Result<Report, Refusal> {
        match self.state {
            State::End { zeros } if zeros >= BLOCK as u64 => self.tally.report(format),
            State::End { .. } => Err(truncated((
                "tras el primero de sus dos bloques finales",
                "after the first of two end blocks",
            ))),
            State::Header if self.filled == 0 => {
                Err(truncated(("tar sin sus bloques finales", "tar without its end blocks")))
            }
            _ => Err(truncated(("el tar termina a mitad de una entrada", "tar ends inside an entry"))),
        }
    }

    /// Completes a header block, and reads it when it is whole.
    fn fill(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<usize, Error> {
        let room = self.block.get_mut(self.filled..).unwrap_or_default();
        let count = room.len().min(input.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), input.get(..count)) {
            to.copy_from_slice(from);
        }
        self.filled += count;
        if self.filled == BLOCK {
            self.filled = 0;
            self.header(sink)?;
        }
        Ok(count)
    }

    fn header(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        if is_zero(&self.block) {
            self.no_pending(("el final del tar", "the end of the tar"))?;
            self.state = State::End { zeros: 0 };
            return Ok(());
        }
        if !self.begun && !looks_like(&self.block) {
            return Err(Refusal::new(Reason::FormatMismatch)
                .detail(("el contenido no es un tar", "content is no tar"))
                .into());
        }
        self.begun = true;
        let header = Header::parse(&self.block)?;
        match header.kind {
            Kind::File => self.file(&header, sink),
            Kind::Dir | Kind::OldDir => self.dir(&header, sink),
            Kind::Pax | Kind::PaxGlobal | Kind::LongName | Kind::LongLink => Ok(self.extended(&header)?),
            Kind::Other(byte) => Err(self.wrong_type(&header, byte).into()),
        }
    }

    fn file(&mut self, header: &Header, sink: &mut dyn Sink) -> Result<(), Error> {
        let (name, pax) = self.resolve(header)?;
        let size = size_of(header, &pax).map_err(|refusal| refusal.entry(&name))?;
        let mtime = pax.mtime.unwrap_or(header.mtime);
        let dest = match self.tally.file(&name, size)? {
            Admit::Skip => Dest::Nowhere,
            Admit::Keep(path) => {
                sink.file(&path, size, mtime).map_err(Error::Sink)?;
                Dest::Sink
            }
        };
        if size > 0 {
            self.state = State::Data { left: size, padding: padding(size), dest };
        } else if dest == Dest::Sink {
            sink.end().map_err(Error::Sink)?;
        }
        Ok(())
    }

    fn dir(&mut self, header: &Header, sink: &mut dyn Sink) -> Result<(), Error> {
        let (name, pax) = self.resolve(header)?;
        size_of(header, &pax).map_err(|refusal| refusal.entry(&name))?;
        match self.tally.dir(&name)? {
            Admit::Keep(path) => sink.dir(&path).map_err(Error::Sink),
            Admit::Skip => Ok(()),
        }
    }

    /// An extended header begins: bounded before a byte of it is kept.
    fn extended(&mut self, header: &Header) -> Result<(), Refusal> {
        self.tally.without_entry()?;
        let limits = self.tally.limits();
        let (most, reason) = match header.kind {
            // A NUL ends the name.
            Kind::LongName => (limits.name_bytes + LONG_NAME_SLACK, Reason::PathTooLong),
            _ => (limits.pax_bytes, Reason::PaxTooBig),
        };
        if header.size > most as u64 {
            return Err(Refusal::new(reason).detail(format!("{} > {most}", header.size)));
        }
        let (left, padding) = (header.size, padding(header.size));
        self.state = State::Meta { kind: header.kind, left, padding, bytes: Vec::new() };
        if left == 0 { self.meta(&[]).map(|_| ()) } else { Ok(()) }
    }

    fn data(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<usize, Error> {
        let State::Data { left, padding, dest } = &mut self.state else { return Ok(0) };
        let count = up_to(*left, input.len());
        *left -= count as u64;
        let (whole, padding, dest) = (*left == 0, *padding, *dest);
        if dest == Dest::Sink {
            sink.data(input.get(..count).unwrap_or_default()).map_err(Error::Sink)?;
        }
        if whole {
            self.state = after(padding);
            if dest == Dest::Sink {
                sink.end().map_err(Error::Sink)?;
            }
        }
        Ok(count)
    }

    fn meta(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let State::Meta { kind, left, padding, bytes } = &mut self.state else { return Ok(0) };
        let count = up_to(*left, input.len());
        *left -= count as u64;
        bytes.extend_from_slice(input.get(..count).unwrap_or_default());
        if *left == 0 {
            let (kind, padding, bytes) = (*kind, *padding, std::mem::take(bytes));
            self.state = after(padding);
            self.extend(kind, &bytes)?;
        }
        Ok(count)
    }

    /// An extended header is whole.
    fn extend(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), Refusal> {
        match kind {
            Kind::PaxGlobal => {
                self.no_pending(("una cabecera global", "a global header"))?;
                Pax::check_global(bytes)
            }
            Kind::Pax if self.pending.pax.is_some() => Err(Refusal::new(Reason::PaxAmbiguous)
                .detail(("dos cabeceras PAX para una entrada", "two PAX headers for one entry"))),
            Kind::Pax => {
                self.pending.pax = Some(Pax::of_entry(bytes)?);
                Ok(())
            }
            Kind::LongName if self.pending.long_name.is_some() => Err(Refusal::new(Reason::HeaderAmbiguous)
                .detail(("dos nombres largos para una entrada", "two long names for one entry"))),
            Kind::LongName => {
                self.pending.long_name = Some(long_name(bytes)?);
                Ok(())
            }
            Kind::LongLink | Kind::File | Kind::Dir | Kind::OldDir | Kind::Other(_) => {
                self.pending.long_link = true;
                Ok(())
            }
        }
    }

    /// The name of a file or directory and its records, from whichever headers came before it.
    fn resolve(&mut self, header: &Header) -> Result<(Vec<u8>, Pax), Refusal> {
        let pending = std::mem::take(&mut self.pending);
        let pax = pending.pax.unwrap_or_default();
        let name = match (&pax.path, pending.long_name) {
            (Some(path), Some(_)) => {
                return Err(Refusal::new(Reason::PaxAmbiguous)
                    .entry(path)
                    .detail(("dos nombres largos", "two long names")));
            }
            (Some(path), None) => path.clone(),
            (None, Some(name)) => name,
            (None, None) => header.name.clone(),
        };
        if pending.long_link {
            return Err(Refusal::new(Reason::HeaderAmbiguous)
                .entry(&name)
                .detail(("un destino de enlace sin enlace", "a link target, but no link")));
        }
        if pax.sparse {
            return Err(Refusal::new(Reason::EntryType)
                .entry(&name)
                .detail(("archivo disperso", "sparse file")));
        }
        let slash = name.ends_with(b"/");
        let unclear = match header.kind {
            // GNU tar makes a directory of this, Python a file.
            Kind::File if slash => ("un archivo cuyo nombre termina en «/»", "a file whose name ends in '/'"),
            // The other way round: Python looks at the short name, GNU tar at the long one.
            Kind::OldDir if !slash => {
                ("una carpeta cuyo nombre largo es de archivo", "a directory whose long name is a file's")
            }
            _ => return Ok((name, pax)),
        };
        Err(Refusal::new(Reason::HeaderAmbiguous).entry(&name).detail(unclear))
    }

    fn wrong_type(&mut self, header: &Header, byte: u8) -> Refusal {
        let pending = std::mem::take(&mut self.pending);
        let name = pending.long_name.or_else(|| pending.pax.and_then(|pax| pax.path));
        let (es, en) = match byte {
            b'1' => ("enlace duro", "hard link"),
            b'2' => ("enlace simbólico", "symbolic link"),
            b'3' => ("dispositivo de caracteres", "character device"),
            b'4' => ("dispositivo de bloques", "block device"),
            b'6' => ("FIFO", "FIFO"),
            b'S' => ("archivo disperso", "sparse file"),
            _ => ("tipo desconocido", "unknown type"),
        };
        let type_byte = char::from(byte).escape_default();
        Refusal::new(Reason::EntryType)
            .entry(name.as_ref().unwrap_or(&header.name))
            .detail((format!("{es} '{type_byte}'"), format!("{en} '{type_byte}'")))
    }

    /// Nothing may wait for an entry when none follows.
    fn no_pending(&self, (es, en): (&str, &str)) -> Result<(), Refusal> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let reason = if self.pending.pax.is_some() { Reason::PaxAmbiguous } else { Reason::HeaderAmbiguous };
        let (es, en) =
            (format!("tras una cabecera extendida, {es}"), format!("an extended header, then {en}"));
        Err(Refusal::new(reason).detail((es, en)))
    }
}

/// The one size that header and PAX records agree on.
fn size_of(header: &Header, pax: &Pax) -> Result<u64, Refusal> {
    match pax.size {
        None => Ok(header.size),
        Some(size) if size == header.size => Ok(size),
        // Twelve octal digits cannot hold it, so the header says nothing.
        Some(size) if size > OCTAL_SIZE_MAX && header.size == 0 && header.kind == Kind::File => Ok(size),
        Some(size) => {
            let es = format!("tamaño {} en la cabecera, {size} en PAX", header.size);
            let en = format!("size {} in the header, {size} in PAX", header.size);
            Err(Refusal::new(Reason::PaxAmbiguous).detail((es, en)))
        }
    }
}

/// GNU's long name: text, a NUL, nothing else.
fn long_name(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (name, rest) = bytes.split_at(end);
    if is_zero(rest) {
        return Ok(name.to_vec());
    }
    Err(Refusal::new(Reason::HeaderAmbiguous)
        .entry(name)
        .detail(("el nombre sigue después de su NUL", "a name goes on behind its NUL")))
}

fn after(padding: u64) -> State {
    if padding == 0 { State::Header } else { State::Padding { left: padding } }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn up_to(left: u64, there: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(there)
}

fn truncated(how: (&str, &str)) -> Refusal {
    Refusal::new(Reason::Truncated).detail(how)
}

/// Zeros allowed after the first end block. GNU tar fills up its record, 10 KiB by
/// default and 1 MiB in the largest use seen; a flood of zeros is not padding.
const PADDING_MAX: u64 = 16 << 20;

/// A GNU long name may carry `./`, doubled slashes and its NUL beyond the limit.
const LONG_NAME_SLACK: usize = 64;

/// The largest size that the header's twelve octal digits can say.
const OCTAL_SIZE_MAX: u64 = 0o777_7777_7777;
