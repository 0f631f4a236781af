//! Numbers as the protocol writes them.

/// 32 bits, little-endian.
pub fn int(value: i32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// One to five bytes: the leading ones of the first say how many follow.
pub fn varint(value: i32) -> Vec<u8> {
    prefixed(u64::from(value.cast_unsigned()), 1, 4)
}

/// At least `least` bytes, for what is usually large.
pub fn varlong(value: i64, least: u32) -> Vec<u8> {
    prefixed(value.cast_unsigned(), least, 9 - least)
}

fn prefixed(value: u64, least: u32, most_extra: u32) -> Vec<u8> {
    let extra = (0..=most_extra).find(|extra| {
        let bits = 8 * (least - 1 + extra) + 7 - extra;
        bits >= 64 || value >> bits == 0
    });
    let extra = extra.unwrap_or(most_extra);
    let low = (least - 1 + extra) as usize;
    let bytes = value.to_le_bytes();
    let top = bytes.get(low).copied().unwrap_or(0);
    let mut written = vec![(0xff00_u16 >> extra) as u8 | top];
    written.extend_from_slice(&bytes[..low]);
    written
}

/// Below 30: 32 bits, or -1 and 64.
pub fn longint(value: i64) -> Vec<u8> {
    match i32::try_from(value) {
        Ok(short) if short >= 0 => int(short),
        _ => [int(-1), value.to_le_bytes().to_vec()].concat(),
    }
}

/// A string of at most 32,767 bytes.
pub fn vstring(text: &[u8]) -> Vec<u8> {
    let len = text.len();
    let mut bytes = if len > 127 { vec![(len >> 8) as u8 | 0x80, len as u8] } else { vec![len as u8] };
    bytes.extend_from_slice(text);
    bytes
}

/// The file index, written as a difference from the one before since protocol 30.
#[derive(Clone)]
pub struct Index {
    positive: i32,
    negative: i32,
}

pub const DONE: i32 = -1;

impl Default for Index {
    fn default() -> Self {
        Self { positive: -1, negative: 1 }
    }
}

impl Index {
    pub fn write(&mut self, protocol: u8, index: i32) -> Vec<u8> {
        if protocol < 30 {
            return int(index);
        }
        if index == DONE {
            return vec![0];
        }
        let (mut bytes, magnitude, before) = if index >= 0 {
            (Vec::new(), index, &mut self.positive)
        } else {
            (vec![0xff], index.wrapping_neg(), &mut self.negative)
        };
        let difference = magnitude.wrapping_sub(*before);
        *before = magnitude;
        let b = magnitude.to_le_bytes();
        match difference {
            1..=0xfd => bytes.push(difference as u8),
            0 | 0xfe..=0x7fff => bytes.extend([0xfe, (difference >> 8) as u8, difference as u8]),
            _ => bytes.extend([0xfe, b[3] | 0x80, b[0], b[1], b[2]]),
        }
        bytes
    }

    /// Reads with `need`, which gives so many bytes of the stream.
    pub fn read<E>(
        &mut self,
        protocol: u8,
        mut need: impl FnMut(usize) -> Result<Vec<u8>, E>,
    ) -> Result<i32, E> {
        if protocol < 30 {
            return Ok(i32::from_le_bytes(need(4)?.try_into().unwrap()));
        }
        let mut first = need(1)?[0];
        if first == 0 {
            return Ok(DONE);
        }
        let negative = first == 0xff;
        if negative {
            first = need(1)?[0];
        }
        let before = if negative { &mut self.negative } else { &mut self.positive };
        let magnitude = if first == 0xfe {
            let two = need(2)?;
            if two[0] & 0x80 == 0 {
                before.wrapping_add(i32::from(two[0]) << 8 | i32::from(two[1]))
            } else {
                let more = need(2)?;
                i32::from_le_bytes([two[1], more[0], more[1], two[0] & 0x7f])
            }
        } else {
            before.wrapping_add(i32::from(first))
        };
        *before = magnitude;
        Ok(if negative { -magnitude } else { magnitude })
    }
}
