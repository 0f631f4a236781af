//! The sender's half of a list, for tests.

use std::collections::BTreeMap;

use super::Shape;
use crate::rsync::options::Options;
use crate::rsync::wire::{put_int, put_longint, put_varint, put_varint30, put_varlong, put_varlong30};

/// The bytes of a list from its first entry to its end.
pub(in crate::rsync) fn wire(items: &[Item], options: &Options, shape: &Shape) -> Vec<u8> {
    let (out, last, firsts) = (Vec::new(), Item::default(), BTreeMap::new());
    let mut writer = Writer { options, shape: *shape, out, last, firsts, count: 0 };
    items.iter().for_each(|item| writer.put(item));
    writer.end()
}

/// What a test sends.
#[derive(Clone, Debug, Default)]
pub(in crate::rsync) struct Item {
    pub(in crate::rsync) name: Vec<u8>,
    pub(in crate::rsync) mode: u32,
    pub(in crate::rsync) size: i64,
    pub(in crate::rsync) secs: i64,
    pub(in crate::rsync) nanos: u32,
    pub(in crate::rsync) uid: i32,
    pub(in crate::rsync) target: Vec<u8>,
    /// Number of the file that names share; 0 is none.
    pub(in crate::rsync) inode: i64,
    pub(in crate::rsync) top: bool,
}

impl Item {
    pub(in crate::rsync) fn file(name: &str) -> Self {
        Self { name: name.into(), mode: 0o100_644, size: 5, ..Self::default() }
    }

    pub(in crate::rsync) fn dir(name: &str) -> Self {
        Self { name: name.into(), mode: 0o040_755, ..Self::default() }
    }

    pub(in crate::rsync) fn link(name: &str, target: &str) -> Self {
        Self { name: name.into(), mode: 0o120_777, target: target.into(), ..Self::default() }
    }
}

/// The sender's half, as plainly as the protocol allows.
struct Writer<'a> {
    options: &'a Options,
    shape: Shape,
    out: Vec<u8>,
    last: Item,
    firsts: BTreeMap<i64, i32>,
    count: i32,
}

impl Writer<'_> {
    fn put(&mut self, item: &Item) {
        let p = self.shape.protocol;
        let shared = item.name.iter().zip(&self.last.name).take_while(|(a, b)| a == b).count().min(255);
        let own = &item.name[shared..];
        let mut flags = 1u32 << 6; // LONG_NAME also spares a first flag byte of 0
        if shared > 0 {
            flags |= 1 << 5;
        }
        if own.len() < 256 && (shared > 0 || item.top) {
            flags &= !(1 << 6);
        }
        flags |= u32::from(item.top);
        flags |= u32::from(item.mode == self.last.mode) << 1;
        flags |= u32::from(item.uid == self.last.uid) << 3;
        flags |= u32::from(item.secs == self.last.secs) << 7;
        if p >= 31 && item.nanos != 0 {
            flags |= 1 << 13;
        }
        let first = *self.firsts.entry(item.inode).or_insert(self.count);
        let linked = self.options.hard_links && item.inode != 0;
        let follows = linked && p >= 30 && first != self.count;
        if linked && p >= 28 {
            flags |= 1 << 9;
            flags |= u32::from(p >= 30 && !follows) << 12;
        }
        if self.shape.varint_flags {
            put_varint(&mut self.out, flags as i32);
        } else if p >= 28 && flags > 0xFF {
            self.out.extend_from_slice(&((flags | 4) as u16).to_le_bytes());
        } else {
            self.out.push(flags as u8);
        }
        if shared > 0 {
            self.out.push(shared as u8);
        }
        if flags & (1 << 6) != 0 {
            put_varint30(&mut self.out, own.len() as i32, p);
        } else {
            self.out.push(own.len() as u8);
        }
        self.out.extend_from_slice(own);
        if follows {
            put_varint(&mut self.out, first);
        } else {
            self.attributes(item, flags, linked);
        }
        self.last = item.clone();
        self.count += 1;
    }

    fn attributes(&mut self, item: &Item, flags: u32, linked: bool) {
        let p = self.shape.protocol;
        put_varlong30(&mut self.out, item.size, p, 3);
        if flags & (1 << 7) == 0 {
            if p >= 30 {
                put_varlong(&mut self.out, item.secs, 4)
            } else {
                put_int(&mut self.out, item.secs as i32)
            }
        }
        if flags & (1 << 13) != 0 {
            put_varint(&mut self.out, item.nanos as i32);
        }
        if flags & 2 == 0 {
            put_int(&mut self.out, item.mode as i32);
        }
        if self.options.owner && flags & 8 == 0 {
            put_varint30(&mut self.out, item.uid, p);
        }
        if self.options.links && item.mode & 0o170_000 == 0o120_000 {
            put_varint30(&mut self.out, item.target.len() as i32, p);
            self.out.extend_from_slice(&item.target);
        }
        let regular = item.mode & 0o170_000 == 0o100_000;
        if self.options.hard_links && p < 30 && (linked || p == 27 && regular) {
            put_longint(&mut self.out, 3);
            put_longint(&mut self.out, if item.inode == 0 { -9 - i64::from(self.count) } else { item.inode });
        }
        if self.options.checksum && (regular || p < 28) {
            self.out.extend_from_slice(&[self.count as u8; 16]);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(0);
        if self.shape.varint_flags {
            self.out.push(0);
        }
        if self.options.owner {
            put_varint30(&mut self.out, 7, self.shape.protocol);
            self.out.extend_from_slice(b"\x03ana");
            put_varint30(&mut self.out, 0, self.shape.protocol);
            if self.shape.id0_names {
                self.out.extend_from_slice(b"\x04root");
            }
        }
        if self.shape.protocol < 30 {
            put_int(&mut self.out, 0);
        }
        self.out
    }
}
