//! SFTP replies, gathered for the channel.
//!
//! Owns the shape of every packet that goes back (draft-ietf-secsh-filexfer-02, sections
//! 4, 7, and OpenSSH's PROTOCOL file for the extensions).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::drop::Stat;

use super::listing::{self, Line};
use super::wire::{ATTR_ACMODTIME, ATTR_PERMISSIONS, ATTR_SIZE, ATTR_UIDGID, HANDLE_LENGTH};

/// The only version there is.
const VERSION: u32 = 3;

const SSH_FXP_VERSION: u8 = 2;
const SSH_FXP_STATUS: u8 = 101;
const SSH_FXP_HANDLE: u8 = 102;
const SSH_FXP_DATA: u8 = 103;
const SSH_FXP_NAME: u8 = 104;
const SSH_FXP_ATTRS: u8 = 105;
const SSH_FXP_EXTENDED_REPLY: u8 = 201;

/// What the VERSION reply promises, each with its version.
const EXTENSIONS: [(&str, &str); 7] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// Status codes of version 3 (draft-ietf-secsh-filexfer-02, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    OpUnsupported = 8,
}

/// Replies that wait to be sent together.
#[derive(Debug, Default)]
pub(super) struct Replies {
    bytes: BytesMut,
    /// How many they are.
    pub(super) count: usize,
}

impl Replies {
    /// Their length in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All of them, for the channel.
    pub(super) fn take(&mut self) -> Bytes {
        self.count = 0;
        self.bytes.split().freeze()
    }

    pub(super) fn version(&mut self) {
        self.packet(SSH_FXP_VERSION, |b| {
            b.put_u32(VERSION);
            for (name, version) in EXTENSIONS {
                put_string(b, name.as_bytes());
                put_string(b, version.as_bytes());
            }
        });
    }

    pub(super) fn status(&mut self, id: u32, code: Code, text: &str) {
        self.packet(SSH_FXP_STATUS, |b| {
            b.put_u32(id);
            b.put_u32(code as u32);
            put_string(b, text.as_bytes());
            put_string(b, b"");
        });
    }

    pub(super) fn handle(&mut self, id: u32, handle: [u8; HANDLE_LENGTH]) {
        self.packet(SSH_FXP_HANDLE, |b| {
            b.put_u32(id);
            put_string(b, &handle);
        });
    }

    pub(super) fn data(&mut self, id: u32, data: &[u8]) {
        self.packet(SSH_FXP_DATA, |b| {
            b.put_u32(id);
            put_string(b, data);
        });
    }

    pub(super) fn attributes(&mut self, id: u32, stat: &Stat) {
        self.packet(SSH_FXP_ATTRS, |b| {
            b.put_u32(id);
            put_attributes(b, stat);
        });
    }

    /// One path without attributes: the answer to REALPATH.
    pub(super) fn path(&mut self, id: u32, path: &[u8]) {
        self.packet(SSH_FXP_NAME, |b| {
            b.put_u32(id);
            b.put_u32(1);
            put_string(b, path);
            put_string(b, path);
            b.put_u32(0);
        });
    }

    /// Some lines of a listing.
    pub(super) fn names(&mut self, id: u32, lines: &[Line]) {
        self.packet(SSH_FXP_NAME, |b| {
            b.put_u32(id);
            b.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
            for line in lines {
                put_string(b, &line.name);
                put_string(b, &line.long);
                put_attributes(b, &line.stat);
            }
        });
    }

    /// The answer to an extension: nothing but numbers.
    pub(super) fn numbers(&mut self, id: u32, numbers: &[u64]) {
        self.packet(SSH_FXP_EXTENDED_REPLY, |b| {
            b.put_u32(id);
            numbers.iter().for_each(|n| b.put_u64(*n));
        });
    }

    fn packet(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        let start = self.bytes.len();
        self.bytes.put_u32(0);
        self.bytes.put_u8(kind);
        body(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.count += 1;
    }
}

fn put_string(b: &mut BytesMut, bytes: &[u8]) {
    b.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    b.put_slice(bytes);
}

fn put_attributes(b: &mut BytesMut, stat: &Stat) {
    let mtime = u32::try_from(stat.mtime.max(0)).unwrap_or(u32::MAX);
    b.put_u32(ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_ACMODTIME);
    b.put_u64(stat.size);
    b.put_u64(0);
    b.put_u32(listing::mode(stat));
    b.put_u32(mtime);
    b.put_u32(mtime);
}
