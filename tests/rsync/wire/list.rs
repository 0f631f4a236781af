//! The file list: entries, each with fields that can be made to lie.

use super::numbers::{int, longint, varint, varlong};

pub const TOP_DIR: u32 = 1;
pub const EXTENDED: u32 = 1 << 2;
pub const SAME_NAME: u32 = 1 << 5;
pub const LONG_NAME: u32 = 1 << 6;
pub const HLINKED: u32 = 1 << 9;
pub const HLINK_FIRST: u32 = 1 << 12;
pub const MOD_NSEC: u32 = 1 << 13;

/// One entry; what is None is written honestly.
#[derive(Clone, Default)]
pub struct Entry {
    pub name: Vec<u8>,
    pub mode: u32,
    /// What is sent when asked for.
    pub data: Vec<u8>,
    pub mtime: i64,
    pub link: Option<Vec<u8>>,
    /// Length said in the list, if it is not the data's.
    pub declared: Option<i64>,
    /// Flags in addition to the honest ones.
    pub flags: u32,
    /// With SAME_NAME: how many bytes of the last name are kept.
    pub shared: u8,
    /// Length said of the name, if it is not its own.
    pub name_length: Option<i32>,
    /// Length said of the link's target, if it is not its own.
    pub link_length: Option<i32>,
    /// HLINKED, and the leader's index unless it is the first.
    pub leader: Option<Option<i32>>,
    pub nanoseconds: Option<i32>,
    /// Bytes after the entry's fields: sums of -c, devices, attributes.
    pub tail: Vec<u8>,
}

impl Entry {
    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let (name, data) = (name.as_ref().to_vec(), data.as_ref().to_vec());
        Self { name, data, mode: 0o100_644, mtime: 1_780_000_001, ..Self::default() }
    }

    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_vec();
        // The root is an argument of the client's, below which deletion reaches.
        let flags = if name == b"." { TOP_DIR } else { 0 };
        Self { name, flags, mode: 0o040_755, mtime: 1_780_000_002, declared: Some(4096), ..Self::default() }
    }

    pub fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let (name, target) = (name.as_ref().to_vec(), target.as_ref().to_vec());
        Self { name, mode: 0o120_777, mtime: 1_780_000_003, link: Some(target), ..Self::default() }
    }

    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// The entry's bytes; `varint_flags` as the server's compatibility flags said.
    pub fn write(&self, protocol: u8, varint_flags: bool) -> Vec<u8> {
        let mut flags = self.flags;
        if self.name.len() > 255 || self.name_length.is_some() {
            flags |= LONG_NAME;
        }
        match self.leader {
            Some(None) => flags |= HLINKED | HLINK_FIRST,
            Some(Some(_)) => flags |= HLINKED,
            None => {}
        }
        if self.nanoseconds.is_some() {
            flags |= MOD_NSEC;
        }
        let mut bytes = write_flags(flags, self.is_file(), protocol, varint_flags);
        if flags & SAME_NAME != 0 {
            bytes.push(self.shared);
        }
        let length = self.name_length.unwrap_or(self.name.len() as i32);
        if flags & LONG_NAME == 0 && !(protocol < 28 && bytes[0] & LONG_NAME as u8 != 0) {
            bytes.push(length as u8);
        } else {
            bytes.extend(if protocol < 30 { int(length) } else { varint(length) });
        }
        bytes.extend(&self.name);
        if let Some(Some(leader)) = self.leader {
            bytes.extend(varint(leader));
            return bytes;
        }
        let honest = self.link.as_ref().map_or(self.data.len(), Vec::len) as i64;
        let size = self.declared.unwrap_or(honest);
        bytes.extend(if protocol < 30 { longint(size) } else { varlong(size, 3) });
        bytes.extend(if protocol < 30 { int(self.mtime as i32) } else { varlong(self.mtime, 4) });
        if let Some(nanoseconds) = self.nanoseconds {
            bytes.extend(varint(nanoseconds));
        }
        bytes.extend(int(self.mode.cast_signed()));
        if let Some(target) = &self.link {
            let length = self.link_length.unwrap_or(target.len() as i32);
            bytes.extend(if protocol < 30 { int(length) } else { varint(length) });
            bytes.extend(target);
        }
        bytes.extend(&self.tail);
        bytes
    }
}

/// Flags of zero would end the list, so that a plain file says TOP_DIR and a directory something else.
fn write_flags(mut flags: u32, file: bool, protocol: u8, as_varint: bool) -> Vec<u8> {
    if as_varint {
        return varint((if flags == 0 { EXTENDED } else { flags }).cast_signed());
    }
    if flags & 0xff == 0 && file {
        flags |= TOP_DIR;
    }
    if protocol < 28 {
        return vec![if flags & 0xff == 0 { LONG_NAME as u8 } else { flags as u8 }];
    }
    if flags == 0 || flags & 0xff00 != 0 {
        flags |= EXTENDED;
        return vec![flags as u8, (flags >> 8) as u8];
    }
    vec![flags as u8]
}

/// What ends the list.
pub fn end(protocol: u8, varint_flags: bool, io_error: i32) -> Vec<u8> {
    if varint_flags {
        return [varint(0), varint(io_error)].concat();
    }
    if protocol >= 30 {
        if io_error == 0 {
            return vec![0];
        }
        let error_flag = EXTENDED | HLINK_FIRST;
        return [vec![error_flag as u8, (error_flag >> 8) as u8], varint(io_error)].concat();
    }
    [vec![0], int(io_error)].concat()
}

/// As both sides count: from 29 on a directory's files come before its directories.
pub fn sorted(entries: &[Entry], protocol: u8) -> Vec<Entry> {
    let mut sorted = entries.to_vec();
    let key = |entry: &Entry| -> Vec<(bool, Vec<u8>)> {
        if entry.name == b"." {
            return Vec::new();
        }
        let parts: Vec<&[u8]> = entry.name.split(|byte| *byte == b'/').collect();
        let last = parts.len() - 1;
        let dir = |n: usize| n < last || !entry.is_file();
        parts.iter().enumerate().map(|(n, part)| (protocol >= 29 && dir(n), part.to_vec())).collect()
    };
    sorted.sort_by_key(key);
    sorted
}
