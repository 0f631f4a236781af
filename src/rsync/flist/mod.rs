//! The file list: decoded, checked, sorted as the client sorts it.
//!
//! Owns what the peer says it has. Imports the room's error, limits, options, tree and wire.
//! One flow: [`FileList::read`] decodes entries as they come (`decode`, with `extras` for what
//! is read and dropped), keeps paths once per directory (`names`) and entries packed (`record`),
//! then sorts, marks duplicates and checks that every name hangs below a listed directory (`sort`).
//!
//! Memory is the reason for the shape: some 17 bytes an entry and its last component, instead of
//! an allocation each.

mod decode;
mod extras;
mod flag;
mod names;
mod record;
mod sort;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::rsync) mod writer;

use std::borrow::Cow;

use self::names::Names;
use self::record::{CONTENT, DEAD, Raw, Records, TOP, Tag};
use super::Limits;
use super::error::Error;
use super::options::Options;
use super::tree::Time;
use super::wire::Take;

/// What the negotiation decided about the list's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The protocol agreed, 27 to 32.
    pub protocol: u8,
    /// Entry flags are varints (compatibility flag 128).
    pub varint_flags: bool,
    /// The end of the list may carry io_error (flag 8, or protocol 31).
    pub safe_flist: bool,
    /// Id lists end with the name of id 0 (flag 256).
    pub id0_names: bool,
    /// Bytes of a `-c` sum.
    pub sum_len: usize,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A directory; `content`: what it holds was listed, so the rest may be deleted.
    Dir {
        /// Its content was listed.
        content: bool,
    },
    /// A regular file.
    File,
    /// A symbolic link and its target; empty if `-l` was not asked.
    Link(&'a [u8]),
    /// A block or character device.
    Device,
    /// A FIFO or a socket.
    Special,
    /// `--delete-missing-args`: an argument that the client does not have (mode 0).
    Missing,
}

/// A whole list. The index on the wire is the position here; a duplicate's place stays, marked
/// dead.
#[derive(Debug, Default)]
pub struct FileList {
    records: Records,
    names: Names,
    /// Where records begin, in the order of arrival; once sorted, only if that order still counts.
    arrivals: Vec<u32>,
    /// The same, sorted.
    order: Vec<u32>,
    /// Where in `order` each directory's share begins; from protocol 29 on.
    starts: Vec<u32>,
    /// Some name began with a slash.
    rooted: bool,
    /// `--iconv`: the wire counts by arrival.
    by_arrival: bool,
    /// Protocols below 29 sort whole paths.
    plain: bool,
    /// `-c` sums, `sum_len` bytes each, by arrival.
    sums: Vec<u8>,
    sum_len: usize,
    /// `-H`: by arrival, the index on the wire of the group's leader plus one; 0 is none.
    leaders: Vec<u32>,
    io_error: i32,
    bytes: u64,
}

impl FileList {
    /// Reads a list to its end, id lists included, and sorts it.
    pub fn read<T: Take + ?Sized>(
        input: &mut T,
        options: &Options,
        shape: &Shape,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut list = decode::read(input, options, shape, limits)?;
        sort::sort(&mut list, options, shape)?;
        Ok(list)
    }

    /// Places in the list, dead ones included: indices are below it.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the list has no place at all.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The entry at an index of the wire; `None` if it is dead or beyond the end.
    pub fn get(&self, ndx: usize) -> Option<Entry<'_>> {
        let places = if self.by_arrival { &self.arrivals } else { &self.order };
        self.entry(*places.get(ndx)?)
    }

    /// The live entries in sorted order, each with its index on the wire: a directory before
    /// what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Entry<'_>)> {
        self.order.iter().enumerate().filter_map(|(position, at)| {
            let entry = self.entry(*at)?;
            Some((if self.by_arrival { self.arrival(*at)? } else { position }, entry))
        })
    }

    /// The index of a live entry of this path; the empty path is the root.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let position = sort::find(self, path)?;
        if self.by_arrival { self.arrival(*self.order.get(position)?) } else { Some(position) }
    }

    /// The client's io_error bits: 1 general, 2 vanished, 4 max-delete.
    pub fn io_error(&self) -> i32 {
        self.io_error
    }

    /// Sum of the sizes of live regular files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn entry(&self, at: u32) -> Option<Entry<'_>> {
        let raw = self.records.get(at);
        (!raw.has(DEAD)).then_some(Entry { list: self, raw, at })
    }

    /// When the record that begins here came: records lie as they arrived.
    fn arrival(&self, at: u32) -> Option<usize> {
        self.arrivals.binary_search(&at).ok()
    }
}

/// One name of the sender, seen in its list.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    list: &'a FileList,
    raw: Raw,
    at: u32,
}

impl<'a> Entry<'a> {
    /// The path, checked: no empty, `.` or `..` component, no slash at either end. The root is
    /// the empty path. Joined only for a file below a directory.
    pub fn name(&self) -> Cow<'a, [u8]> {
        let (dir, base) = (self.dir_key(), self.base());
        if self.raw.tag == Tag::Dir {
            return Cow::Borrowed(dir.strip_suffix(b"/").unwrap_or(dir));
        }
        if dir.is_empty() { Cow::Borrowed(base) } else { Cow::Owned([dir, base].concat()) }
    }

    /// Puts the path into a buffer, emptied first: [`Entry::name`] without an allocation.
    pub fn name_into(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.dir_key());
        if self.raw.tag == Tag::Dir {
            out.pop();
        } else {
            out.extend_from_slice(self.base());
        }
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind<'a> {
        match self.raw.tag {
            Tag::Dir => EntryKind::Dir { content: self.raw.has(CONTENT) },
            Tag::File => EntryKind::File,
            Tag::Link => EntryKind::Link(self.list.records.target(self.at)),
            Tag::Device => EntryKind::Device,
            Tag::Special => EntryKind::Special,
            Tag::Missing => EntryKind::Missing,
        }
    }

    /// Bytes of a file, as the client saw it.
    pub fn size(&self) -> u64 {
        self.raw.size
    }

    /// Modification time.
    pub fn mtime(&self) -> Time {
        Time { secs: self.raw.secs, nanos: self.raw.nanos }
    }

    /// Permission bits (the lower twelve).
    pub fn mode(&self) -> u32 {
        u32::from(self.raw.mode)
    }

    /// The `-c` sum of a regular file.
    pub fn sum(&self) -> Option<&'a [u8]> {
        if self.list.sum_len == 0 || self.raw.tag != Tag::File {
            return None;
        }
        let start = self.list.arrival(self.at)?.checked_mul(self.list.sum_len)?;
        self.list.sums.get(start..start.checked_add(self.list.sum_len)?)
    }

    /// A directory named on the client's command line; without content, one that `-R` implies (30
    /// and later).
    pub fn top_dir(&self) -> bool {
        self.raw.has(TOP)
    }

    /// `-H`: the index of the first name, in the list's order, of the file that this name
    /// shares with others; a leader's is its own. `None`: not shared.
    pub fn leader(&self) -> Option<usize> {
        let arrival = if self.list.leaders.is_empty() { return None } else { self.list.arrival(self.at)? };
        (*self.list.leaders.get(arrival)?).checked_sub(1).map(|ndx| ndx as usize)
    }

    /// The directory's key without the slash that `-R` allows in front.
    fn dir_key(&self) -> &'a [u8] {
        let key = self.list.names.key(self.raw.dir);
        key.strip_prefix(b"/").unwrap_or(key)
    }

    fn base(&self) -> &'a [u8] {
        self.list.records.base(self.at)
    }
}
