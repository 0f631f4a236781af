//! gzip (RFC 1952), read to its last byte: every member, its CRC and its length.
//!
//! What follows a member must be another member; padding is the caller's business.

use std::fmt;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::inflate::Step;
use super::{Reason, Refusal};

/// A gzip decoder that is pushed.
pub(super) struct Gunzip {
    place: Place,
    /// Bytes of the present header field still to come, or its bytes so far.
    count: usize,
    /// FLG of the present header; a bit is cleared when its field has been read.
    flags: u8,
    /// Fixed header, or trailer, as far as it has come.
    fixed: [u8; 10],
    header_crc: Crc,
    inflate: Decompress,
    crc: Crc,
    members: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Fixed,
    ExtraLen,
    Extra,
    Name,
    Comment,
    HeaderCrc,
    Body,
    Trailer,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Start,
            count: 0,
            flags: 0,
            fixed: [0; 10],
            header_crc: Crc::new(),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            members: 0,
        }
    }

    /// Decodes from `input` into `out`.
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        let mut taken = 0;
        loop {
            while self.place != Place::Body {
                let Some(&byte) = input.get(taken) else { return Ok(Step { taken, given: 0 }) };
                if byte == 0 && self.is_over() {
                    return Ok(Step { taken, given: 0 });
                }
                taken += 1;
                self.frame(byte)?;
            }
            let body = self.body(input.get(taken..).unwrap_or_default(), out)?;
            taken += body.taken;
            // A member may end without moving a byte, when its end mark was already
            // in the bit buffer: then there is more to do before asking for input.
            if body.given > 0 || self.place == Place::Body {
                return Ok(Step { taken, given: body.given });
            }
        }
    }

    /// The input is over; it must have been so between two members.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        if self.is_over() {
            return Ok(());
        }
        let member = self.members + 1;
        Err(Refusal::new(Reason::Truncated).detail((
            format!("el gzip termina dentro de su parte {member}"),
            format!("gzip ends inside member {member}"),
        )))
    }

    /// Whether a member has ended and no other begun. A zero is then left to the caller.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Start && self.members > 0
    }

    fn body(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, FlushDecompress::None).map_err(|_| {
            let at = self.inflate.total_out();
            Refusal::new(Reason::GzipCrc).detail((
                format!("datos deflate dañados tras {at} bytes"),
                format!("deflate data damaged after {at} bytes"),
            ))
        })?;
        let taken = delta(before.0, self.inflate.total_in());
        let given = delta(before.1, self.inflate.total_out());
        self.crc.update(out.get(..given).unwrap_or_default());
        if status == Status::StreamEnd {
            self.go(Place::Trailer);
        }
        Ok(Step { taken, given })
    }

    /// One byte of a header or trailer.
    fn frame(&mut self, byte: u8) -> Result<(), Refusal> {
        match self.place {
            Place::Start => self.start(byte)?,
            Place::Fixed => self.fixed(byte)?,
            Place::ExtraLen => {
                self.keep(byte);
                if self.count == 2 {
                    let [low, high, ..] = self.fixed;
                    self.place = Place::Extra;
                    self.count = usize::from(u16::from_le_bytes([low, high]));
                    if self.count == 0 {
                        self.next_field()?;
                    }
                }
            }
            Place::Extra => {
                self.count -= 1;
                if self.count == 0 {
                    self.next_field()?;
                }
            }
            Place::Name | Place::Comment => self.text(byte)?,
            Place::HeaderCrc => return self.check_header(byte),
            Place::Trailer => return self.trailer(byte),
            Place::Body => {}
        }
        self.header_crc.update(&[byte]);
        Ok(())
    }

    fn start(&mut self, byte: u8) -> Result<(), Refusal> {
        if byte != MAGIC[0] {
            return Err(self.not_a_member());
        }
        self.header_crc.reset();
        self.go(Place::Fixed);
        self.keep(byte);
        Ok(())
    }

    fn fixed(&mut self, byte: u8) -> Result<(), Refusal> {
        self.keep(byte);
        match (self.count, byte) {
            (2, byte) if byte != MAGIC[1] => return Err(self.not_a_member()),
            (3, byte) if byte != DEFLATE => return Err(bad_header(("método desconocido", "unknown method"))),
            (4, byte) if byte & RESERVED != 0 => {
                return Err(bad_header(("banderas reservadas", "reserved flags")));
            }
            (4, byte) => self.flags = byte,
            (10, _) => self.next_field()?,
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, byte: u8) -> Result<(), Refusal> {
        self.count += 1;
        if byte == 0 {
            return self.next_field();
        }
        if self.count > TEXT_MAX { Err(bad_header(("nombre sin fin", "endless name"))) } else { Ok(()) }
    }

    /// Goes to the next optional field that the flags announce, in the order of RFC 1952 §2.3.
    fn next_field(&mut self) -> Result<(), Refusal> {
        let optional = [
            (FEXTRA, Place::ExtraLen),
            (FNAME, Place::Name),
            (FCOMMENT, Place::Comment),
            (FHCRC, Place::HeaderCrc),
        ];
        let next = optional.into_iter().find(|(flag, _)| self.flags & flag != 0);
        if let Some((flag, place)) = next {
            self.flags &= !flag;
            self.go(place);
            return Ok(());
        }
        self.inflate.reset(false);
        self.crc.reset();
        self.go(Place::Body);
        Ok(())
    }

    fn check_header(&mut self, byte: u8) -> Result<(), Refusal> {
        self.keep(byte);
        if self.count < 2 {
            return Ok(());
        }
        let [low, high, ..] = self.fixed;
        let sum = self.header_crc.sum().to_le_bytes();
        if sum.starts_with(&[low, high]) {
            self.next_field()
        } else {
            Err(bad_header(("la suma de la cabecera difiere", "header CRC differs")))
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<(), Refusal> {
        self.keep(byte);
        if self.count < 8 {
            return Ok(());
        }
        let [a, b, c, d, e, f, g, h, ..] = self.fixed;
        let (crc, size) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if crc != self.crc.sum() {
            let figures = format!("{:08x} ≠ {:08x}", crc, self.crc.sum());
            return Err(Refusal::new(Reason::GzipCrc).detail(figures));
        }
        // ISIZE is the length modulo 2^32.
        if u64::from(size) != self.inflate.total_out() & u64::from(u32::MAX) {
            let figures = format!("gzip: {size} ≠ {} B", self.inflate.total_out());
            return Err(Refusal::new(Reason::SizeMismatch).detail(figures));
        }
        self.members += 1;
        self.go(Place::Start);
        Ok(())
    }

    fn go(&mut self, place: Place) {
        self.place = place;
        self.count = 0;
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.fixed.get_mut(self.count) {
            *slot = byte;
        }
        self.count += 1;
    }

    fn not_a_member(&self) -> Refusal {
        match self.members {
            0 => {
                Refusal::new(Reason::FormatMismatch).detail(("el contenido no es gzip", "content is no gzip"))
            }
            _ => Refusal::new(Reason::GzipTrailing),
        }
    }
}

impl fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gunzip").field("place", &self.place).field("members", &self.members).finish()
    }
}

/// How far a 64-bit total moved in one call, which is never more than a buffer.
fn delta(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

fn bad_header((es, en): (&str, &str)) -> Refusal {
    Refusal::new(Reason::HeaderBad).detail((format!("gzip: {es}"), format!("gzip: {en}")))
}

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
/// Longest name or comment: no file system gives longer ones.
const TEXT_MAX: usize = 4096;
