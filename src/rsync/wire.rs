//! Integers and strings of the wire, read and written (little-endian, varint, varlong,
//! longint, vstring, ndx).
//!
//! Reading is generic over [`Take`], so that the same decoders serve the raw stream, the
//! multiplexed stream and a slice in a test. Imports the room's error only.

use super::error::Error;

/// Index that ends a phase.
pub const NDX_DONE: i32 = -1;
/// Index before the counts of what was deleted.
pub const NDX_DEL_STATS: i32 = -3;

/// Longest payload after the prefix of a variable length integer.
const EXTRA: usize = 6;

/// Something bytes can be taken from, exactly.
pub trait Take {
    /// Fills the buffer or fails (end of stream is an error).
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error>;

    /// One byte.
    fn byte(&mut self) -> Result<u8, Error> {
        let mut one = [0];
        self.fill(&mut one)?;
        Ok(u8::from_le_bytes(one))
    }

    /// LE16.
    fn short(&mut self) -> Result<u16, Error> {
        let mut two = [0; 2];
        self.fill(&mut two)?;
        Ok(u16::from_le_bytes(two))
    }

    /// LE32, signed.
    fn int(&mut self) -> Result<i32, Error> {
        let mut four = [0; 4];
        self.fill(&mut four)?;
        Ok(i32::from_le_bytes(four))
    }

    /// Variable length integer of protocol 30.
    fn varint(&mut self) -> Result<i32, Error> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(i32::from(first));
        }
        let (extra, top) = prefix(first);
        if extra > 4 || (extra == 4 && top != 0) {
            return Err(Error::protocol("a variable integer beyond 32 bits"));
        }
        let mut low = [0; 4];
        self.fill(low.get_mut(..extra).unwrap_or_default())?;
        let value = u64::from(u32::from_le_bytes(low)) | (u64::from(top) << (8 * extra));
        Ok((value & 0xFFFF_FFFF) as u32 as i32)
    }

    /// Variable length 64-bit integer of protocol 30, at least `min` bytes (3 to 8).
    fn varlong(&mut self, min: usize) -> Result<i64, Error> {
        let base = min.clamp(1, 8) - 1;
        let mut head = [0; 8];
        self.fill(head.get_mut(..=base).unwrap_or_default())?;
        let [first, rest @ ..] = head;
        let (extra, top) = prefix(first);
        let known = base + extra;
        if known > 8 || (known == 8 && top != 0) {
            return Err(Error::protocol("a variable integer beyond 64 bits"));
        }
        let mut low = [0; 8];
        for (to, from) in low.iter_mut().zip(rest).take(base) {
            *to = from;
        }
        self.fill(low.get_mut(base..known).unwrap_or_default())?;
        if let Some(last) = low.get_mut(known) {
            *last = top;
        }
        Ok(i64::from_le_bytes(low))
    }

    /// int32, or -1 and 64 bits (before protocol 30).
    fn longint(&mut self) -> Result<i64, Error> {
        let short = self.int()?;
        if short != -1 {
            return Ok(i64::from(short));
        }
        let mut eight = [0; 8];
        self.fill(&mut eight)?;
        Ok(i64::from_le_bytes(eight))
    }

    /// [`Take::int`] before protocol 30, else [`Take::varint`].
    fn varint30(&mut self, protocol: u8) -> Result<i32, Error> {
        if protocol < 30 { self.int() } else { self.varint() }
    }

    /// [`Take::longint`] before protocol 30, else [`Take::varlong`].
    fn varlong30(&mut self, protocol: u8, min: usize) -> Result<i64, Error> {
        if protocol < 30 { self.longint() } else { self.varlong(min) }
    }

    /// Length-prefixed string of the negotiation; longer than `max` is an error.
    fn vstring(&mut self, max: usize) -> Result<Vec<u8>, Error> {
        let first = self.byte()?;
        let length = match first {
            0x80.. => usize::from(first & 0x7F) << 8 | usize::from(self.byte()?),
            _ => usize::from(first),
        };
        if length > max {
            return Err(Error::protocol(format!("a string of {length} bytes where {max} are the most")));
        }
        self.bytes(length)
    }

    /// `n` bytes; the caller has bounded `n`.
    fn bytes(&mut self, n: usize) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; n];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// Passes over `n` bytes without keeping them.
    fn skip(&mut self, mut n: u64) -> Result<(), Error> {
        let mut sink = [0; 512];
        while n > 0 {
            let piece = n.min(sink.len() as u64) as usize;
            self.fill(sink.get_mut(..piece).unwrap_or_default())?;
            n -= piece as u64;
        }
        Ok(())
    }
}

impl Take for &[u8] {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let Some((now, later)) = self.split_at_checked(buffer.len()) else {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        };
        buffer.copy_from_slice(now);
        *self = later;
        Ok(())
    }
}

/// How many bytes follow a prefix byte, and the value's top bits that it carries.
fn prefix(first: u8) -> (usize, u8) {
    let extra = (first.leading_ones() as usize).min(EXTRA);
    let bits = 8u32.saturating_sub(extra as u32);
    let mask = if bits == 8 { 0x7F } else { (1u8 << bits) - 1 };
    (extra, first & mask)
}

/// Index reader of one direction: differences to the index before, kept per sign.
#[derive(Clone, Copy, Debug)]
pub struct NdxReader {
    protocol: u8,
    positive: i32,
    negative: i32,
}

impl NdxReader {
    /// A reader for this protocol.
    pub fn new(protocol: u8) -> Self {
        Self { protocol, positive: -1, negative: 1 }
    }

    /// The next index; [`NDX_DONE`] is -1.
    pub fn read<T: Take + ?Sized>(&mut self, input: &mut T) -> Result<i32, Error> {
        if self.protocol < 30 {
            return input.int();
        }
        match input.byte()? {
            0 => Ok(NDX_DONE),
            0xFF => {
                let first = input.byte()?;
                self.negative = magnitude(input, first, self.negative)?;
                Ok(-self.negative)
            }
            first => {
                self.positive = magnitude(input, first, self.positive)?;
                Ok(self.positive)
            }
        }
    }
}

/// The absolute value behind the first byte of an index.
fn magnitude<T: Take + ?Sized>(input: &mut T, first: u8, before: i32) -> Result<i32, Error> {
    let difference = match first {
        0xFE => {
            let (high, low) = (input.byte()?, input.byte()?);
            if high & 0x80 != 0 {
                let (b1, b2) = (input.byte()?, input.byte()?);
                return Ok(i32::from_le_bytes([low, b1, b2, high & 0x7F]));
            }
            i32::from(u16::from_be_bytes([high, low]))
        }
        _ => i32::from(first),
    };
    before.checked_add(difference).ok_or_else(|| Error::protocol("an index beyond 31 bits"))
}

/// The writing twin.
#[derive(Clone, Copy, Debug)]
pub struct NdxWriter {
    protocol: u8,
    positive: i32,
    negative: i32,
}

impl NdxWriter {
    /// A writer for this protocol.
    pub fn new(protocol: u8) -> Self {
        Self { protocol, positive: -1, negative: 1 }
    }

    /// Appends an index; `i32::MIN` is not one.
    pub fn write(&mut self, ndx: i32, out: &mut Vec<u8>) {
        if self.protocol < 30 {
            return put_int(out, ndx);
        }
        if ndx == NDX_DONE {
            return out.push(0);
        }
        let before = if ndx >= 0 { &mut self.positive } else { &mut self.negative };
        let value = ndx.saturating_abs();
        let difference = i64::from(value) - i64::from(*before);
        *before = value;
        if ndx < 0 {
            out.push(0xFF);
        }
        match difference {
            1..=0xFD => out.push(difference as u8),
            0..=0x7FFF => {
                out.push(0xFE);
                out.extend_from_slice(&(difference as u16).to_be_bytes());
            }
            _ => {
                let [b0, b1, b2, b3] = value.to_le_bytes();
                out.extend_from_slice(&[0xFE, b3 | 0x80, b0, b1, b2]);
            }
        }
    }
}

/// Appends a LE16.
pub fn put_short(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a LE32.
pub fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a variable length integer of protocol 30.
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_variable(out, u64::from(value as u32), 1);
}

/// Appends a variable length 64-bit integer of at least `min` bytes (3 to 8).
pub fn put_varlong(out: &mut Vec<u8>, value: i64, min: usize) {
    put_variable(out, value as u64, min.clamp(1, 8));
}

/// A value as `min` bytes, or as many more as it needs, counted by the ones of the first byte.
fn put_variable(out: &mut Vec<u8>, value: u64, min: usize) {
    let bytes = value.to_le_bytes();
    let used = (64 - value.leading_zeros()) as usize;
    let mut extra = 0;
    while extra < EXTRA && used > 8 * (min - 1 + extra) + 7 - extra {
        extra += 1;
    }
    let low = min - 1 + extra;
    let ones = if extra == 0 { 0 } else { !(0xFFu8 >> extra) };
    out.push(ones | bytes.get(low).copied().unwrap_or_default());
    out.extend_from_slice(bytes.get(..low).unwrap_or(&bytes));
}

/// Appends an int32, or -1 and 64 bits (before protocol 30).
pub fn put_longint(out: &mut Vec<u8>, value: i64) {
    match i32::try_from(value) {
        Ok(short) if short >= 0 => put_int(out, short),
        _ => {
            put_int(out, -1);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// [`put_int`] before protocol 30, else [`put_varint`].
pub fn put_varint30(out: &mut Vec<u8>, value: i32, protocol: u8) {
    if protocol < 30 { put_int(out, value) } else { put_varint(out, value) }
}

/// [`put_longint`] before protocol 30, else [`put_varlong`].
pub fn put_varlong30(out: &mut Vec<u8>, value: i64, protocol: u8, min: usize) {
    if protocol < 30 { put_longint(out, value) } else { put_varlong(out, value, min) }
}

/// Appends a length-prefixed string; of more than 32,767 bytes only the first are sent.
pub fn put_vstring(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..0x7FFF).unwrap_or(text);
    let [low, high] = (text.len() as u16).to_le_bytes();
    if text.len() > 0x7F {
        out.push(high | 0x80);
    }
    out.push(low);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(mut bytes: &[u8]) -> Result<i32, Error> {
        let value = bytes.varint()?;
        assert!(bytes.is_empty());
        Ok(value)
    }

    #[test]
    fn varints_have_the_reference_form() {
        let cases: &[(i32, &[u8])] = &[
            (0, &[0]),
            (0x7F, &[0x7F]),
            (0x80, &[0x80, 0x80]),
            (0x1BA, &[0x81, 0xBA]),
            (0x3FFF, &[0xBF, 0xFF]),
            (0x4000, &[0xC0, 0x00, 0x40]),
            (i32::MAX, &[0xF0, 0xFF, 0xFF, 0xFF, 0x7F]),
            (-1, &[0xF0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ];
        for (value, form) in cases {
            let mut out = Vec::new();
            put_varint(&mut out, *value);
            assert_eq!(out, *form, "{value:#x}");
            assert_eq!(varint(form).unwrap(), *value);
        }
    }

    #[test]
    fn varints_beyond_32_bits_are_refused() {
        for first in 0xF1..=0xFF {
            assert!(varint(&[first, 0, 0, 0, 0, 0, 0, 0]).is_err(), "{first:#x}");
        }
    }

    #[test]
    fn varlongs_have_the_reference_form() {
        let cases: &[(i64, usize, &[u8])] = &[
            (0, 3, &[0, 0, 0]),
            (1000, 3, &[0, 0xE8, 0x03]),
            (0x7F_FFFF, 3, &[0x7F, 0xFF, 0xFF]),
            (0x80_0000, 3, &[0x80, 0, 0, 0x80]),
            (0x6568_9A00, 4, &[0x65, 0x00, 0x9A, 0x68]),
            (-1, 4, &[0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ];
        for (value, min, form) in cases {
            let mut out = Vec::new();
            put_varlong(&mut out, *value, *min);
            assert_eq!(out, *form, "{value:#x}");
            assert_eq!((&out[..]).varlong(*min).unwrap(), *value);
        }
    }

    #[test]
    fn indices_have_the_reference_form() {
        let mut out = Vec::new();
        let mut writer = NdxWriter::new(31);
        for ndx in [0, 1, 1, 300, 33_100, 5, NDX_DONE, NDX_DEL_STATS] {
            writer.write(ndx, &mut out);
        }
        let expected: &[u8] =
            &[1, 1, 0xFE, 0, 0, 0xFE, 0x01, 0x2B, 0xFE, 0x80, 0x4C, 0x81, 0, 0xFE, 0x80, 5, 0, 0, 0, 0xFF, 2];
        assert_eq!(out, expected);
    }

    #[test]
    fn an_index_that_overflows_is_refused() {
        let mut bytes: &[u8] = &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        let mut reader = NdxReader::new(30);
        assert_eq!(reader.read(&mut bytes).unwrap(), i32::MAX);
        assert!(reader.read(&mut bytes).is_err());
    }

    #[test]
    fn strings_are_bounded_before_they_are_read() {
        let mut text = Vec::new();
        put_vstring(&mut text, &[b'x'; 300]);
        assert_eq!(text.get(..2), Some(&[0x81, 0x2C][..]));
        assert_eq!((&text[..]).vstring(300).unwrap().len(), 300);
        assert!((&text[..]).vstring(299).is_err());
    }

    proptest! {
        #[test]
        fn every_integer_comes_back(short: u16, int: i32, long: i64, min in 3usize..=8, protocol in 27u8..=32) {
            let mut out = Vec::new();
            put_short(&mut out, short);
            put_int(&mut out, int);
            put_varint(&mut out, int);
            put_varlong(&mut out, long, min);
            put_longint(&mut out, long);
            put_varint30(&mut out, int, protocol);
            put_varlong30(&mut out, long, protocol, 3);
            let mut input = &out[..];
            prop_assert_eq!(input.short().unwrap(), short);
            prop_assert_eq!(input.int().unwrap(), int);
            prop_assert_eq!(input.varint().unwrap(), int);
            prop_assert_eq!(input.varlong(min).unwrap(), long);
            prop_assert_eq!(input.longint().unwrap(), long);
            prop_assert_eq!(input.varint30(protocol).unwrap(), int);
            prop_assert_eq!(input.varlong30(protocol, 3).unwrap(), long);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn every_index_comes_back(list in proptest::collection::vec(-1_000_000i32.., 0..50), protocol in 27u8..=32) {
            let (mut writer, mut out) = (NdxWriter::new(protocol), Vec::new());
            list.iter().for_each(|ndx| writer.write(*ndx, &mut out));
            let (mut reader, mut input) = (NdxReader::new(protocol), &out[..]);
            for ndx in list {
                prop_assert_eq!(reader.read(&mut input).unwrap(), ndx);
            }
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, min: usize) {
            for protocol in [27, 32] {
                let mut input = &bytes[..];
                let mut reader = NdxReader::new(protocol);
                while reader.read(&mut input).is_ok() && input.varlong(min).is_ok() && input.varint().is_ok() {}
                let _ = (&bytes[..]).vstring(100);
            }
        }
    }
}
