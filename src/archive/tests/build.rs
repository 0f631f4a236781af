//! Archives made byte by byte, right or wrong in exactly one place.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

pub(super) const BLOCK: usize = 512;

/// A tar under construction.
#[derive(Clone, Default)]
pub(super) struct Tar(pub(super) Vec<u8>);

/// One header, ustar unless changed.
#[derive(Clone)]
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    pub(super) fn new(name: &str, kind: u8, size: u64) -> Self {
        let mut block = [0; BLOCK];
        put(&mut block, 0, name.as_bytes());
        put(&mut block, 100, b"0000644\0");
        put(&mut block, 108, b"0001750\0");
        put(&mut block, 116, b"0001750\0");
        put(&mut block, 124, format!("{size:011o}\0").as_bytes());
        put(&mut block, 136, b"14627243760\0");
        block[156] = kind;
        put(&mut block, 257, b"ustar\x0000");
        Self(block).sum()
    }

    /// GNU's magic word.
    pub(super) fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    /// No magic word.
    pub(super) fn v7(self) -> Self {
        self.with(257, &[0; 8])
    }

    /// Other bytes at `at`, and the checksum made right again.
    pub(super) fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        put(&mut self.0, at, bytes);
        self.sum()
    }

    fn sum(mut self) -> Self {
        put(&mut self.0, 148, b"        ");
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        put(&mut self.0, 148, format!("{sum:06o}\0 ").as_bytes());
        self
    }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Tar {
    /// The one file that makes a package acceptable.
    pub(super) fn site() -> Self {
        Self::default().file("index.html", b"<html><base href=\"/\">")
    }

    pub(super) fn file(self, name: &str, data: &[u8]) -> Self {
        self.header(&Header::new(name, b'0', data.len() as u64)).data(data)
    }

    pub(super) fn entry(self, name: &str, kind: u8) -> Self {
        self.header(&Header::new(name, kind, 0))
    }

    pub(super) fn header(mut self, header: &Header) -> Self {
        self.0.extend_from_slice(&header.0);
        self
    }

    /// Content, filled up to the block.
    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(super) fn meta(self, kind: u8, data: &[u8]) -> Self {
        self.header(&Header::new("././@PaxHeader", kind, data.len() as u64)).data(data)
    }

    /// An `x` header with these records.
    pub(super) fn pax(self, records: &[(&str, &str)]) -> Self {
        let data: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.meta(b'x', &data)
    }

    /// With its two end blocks.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    /// Ended and compressed.
    pub(super) fn gz(self) -> Vec<u8> {
        gzip(&self.end())
    }
}

/// One PAX record with its own length in front.
pub(super) fn record(key: &str, value: &str) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (body + 1..).find(|n| body + n.to_string().len() == *n).unwrap();
    format!("{length} {key}={value}\n").into_bytes()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// One entry of a zip; every field may lie.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    /// The name in the local header, where it is another.
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) size: u32,
    pub(super) mode: u32,
    pub(super) data: Vec<u8>,
    pub(super) extra: Vec<u8>,
    pub(super) local_extra: Vec<u8>,
    /// What follows the data.
    pub(super) tail: Vec<u8>,
    /// Where the directory says it begins, where that is a lie.
    pub(super) offset: Option<u32>,
    /// Written to the directory only.
    pub(super) only_listed: bool,
}

impl Item {
    pub(super) fn stored(name: &str, data: &[u8]) -> Self {
        let length = data.len() as u32;
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            flags: 0,
            method: 0,
            crc: crc(data),
            packed: length,
            size: length,
            mode: 0o100_644,
            data: data.to_vec(),
            extra: Vec::new(),
            local_extra: Vec::new(),
            tail: Vec::new(),
            offset: None,
            only_listed: false,
        }
    }

    pub(super) fn deflated(name: &str, data: &[u8]) -> Self {
        let packed = deflate(data);
        Self { method: 8, packed: packed.len() as u32, data: packed, ..Self::stored(name, data) }
    }

    pub(super) fn dir(name: &str) -> Self {
        Self { mode: 0o040_755, ..Self::stored(name, b"") }
    }

    /// Sizes and CRC behind the data, as streaming packers write them.
    pub(super) fn streamed(mut self, tail: Vec<u8>) -> Self {
        self.flags |= 8;
        self.tail = tail;
        self
    }

    /// The usual descriptor of this item.
    pub(super) fn descriptor(&self) -> Vec<u8> {
        let mut bytes = b"PK\x07\x08".to_vec();
        for word in [self.crc, self.packed, self.size] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let streamed = self.flags & 8 != 0;
        let numbers = if streamed { [0; 3] } else { [self.crc, self.packed, self.size] };
        let mut bytes = b"PK\x03\x04\x14\0".to_vec();
        words(&mut bytes, &[self.flags, self.method, DOS_TIME, DOS_DATE]);
        numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        words(&mut bytes, &[name.len() as u16, self.local_extra.len() as u16]);
        [name, &self.local_extra, &self.data, &self.tail]
            .iter()
            .for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x1e\x03\x14\0".to_vec();
        words(&mut bytes, &[self.flags, self.method, DOS_TIME, DOS_DATE]);
        let numbers = [self.crc, self.packed, self.size];
        numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        words(&mut bytes, &[self.name.len() as u16, self.extra.len() as u16, 0, 0, 0]);
        bytes.extend_from_slice(&(self.mode << 16).to_le_bytes());
        bytes.extend_from_slice(&self.offset.unwrap_or(offset).to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.extra);
        bytes
    }
}

fn words(bytes: &mut Vec<u8>, words: &[u16]) {
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// An extra field.
pub(super) fn field(id: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    words(&mut bytes, &[id, body.len() as u16]);
    bytes.extend_from_slice(body);
    bytes
}

/// A zip of these items; `comment` closes it.
pub(super) fn zip_with(items: &[Item], comment: &[u8]) -> Vec<u8> {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for item in items {
        directory.extend(item.central(bytes.len() as u32));
        count += 1;
        if !item.only_listed {
            bytes.extend(item.local());
        }
    }
    let start = bytes.len() as u32;
    let length = directory.len() as u32;
    bytes.extend(directory);
    bytes.extend(end_record(count, length, start, comment));
    bytes
}

pub(super) fn zip(items: &[Item]) -> Vec<u8> {
    zip_with(items, b"")
}

pub(super) fn end_record(count: u16, length: u32, start: u32, comment: &[u8]) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06\0\0\0\0".to_vec();
    words(&mut bytes, &[count, count]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    words(&mut bytes, &[comment.len() as u16]);
    bytes.extend_from_slice(comment);
    bytes
}

/// The same zip with its end record in the zip64 form.
pub(super) fn zip64(items: &[Item]) -> Vec<u8> {
    let mut bytes = zip(items);
    let end = bytes.split_off(bytes.len() - 22);
    let number = |at: usize| u64::from(u32::from_le_bytes(end[at..at + 4].try_into().unwrap()));
    let (length, start) = (number(12), number(16));
    let place = bytes.len() as u64;
    bytes.extend_from_slice(b"PK\x06\x06");
    bytes.extend_from_slice(&44_u64.to_le_bytes());
    words(&mut bytes, &[45, 45, 0, 0, 0, 0]);
    for value in [items.len() as u64, items.len() as u64, length, start] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    bytes.extend_from_slice(&place.to_le_bytes());
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend(end_record(u16::MAX, u32::MAX, u32::MAX, b""));
    bytes
}

/// 2024-06-02 20:15:00
const DOS_TIME: u16 = 20 << 11 | 15 << 5;
const DOS_DATE: u16 = (2024 - 1980) << 9 | 6 << 5 | 2;
