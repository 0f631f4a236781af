//! Entries off the wire, in the order of arrival: flags, then only what differs from the entry
//! before.

use std::collections::HashMap;

use super::names::{Names, too_large};
use super::record::{CONTENT, Raw, Records, TOP, Tag};
use super::{FileList, Shape, extras, flag};
use crate::rsync::Limits;
use crate::rsync::error::{Error, Exit};
use crate::rsync::options::Options;
use crate::rsync::wire::Take;

const NANOS: i32 = 999_999_999;

/// Reads a list to its end, unsorted.
pub(super) fn read<T: Take + ?Sized>(
    input: &mut T,
    options: &Options,
    shape: &Shape,
    limits: &Limits,
) -> Result<FileList, Error> {
    let mut decoder = Decoder::new(options, shape, limits)?;
    while let Some(flags) = decoder.flags(input)? {
        decoder.entry(input, flags)?;
    }
    extras::id_lists(input, options, shape, limits.entries)?;
    if shape.protocol < 30 {
        decoder.list.io_error |= input.int()?;
    }
    Ok(decoder.list)
}

/// What the entry before leaves for the next one.
struct Decoder<'a> {
    options: &'a Options,
    shape: &'a Shape,
    limits: &'a Limits,
    list: FileList,
    /// The name as it came, and how much of it is directory.
    last: Vec<u8>,
    last_dir: usize,
    parent: u32,
    cleaned: Vec<u8>,
    /// Target of the link at hand, until its name is kept.
    target: Vec<u8>,
    mode: u32,
    secs: i64,
    dev: i64,
    /// First entry of each inode, protocols below 30.
    inodes: HashMap<(i64, i64), u32>,
    /// Below 30, what was listed whole: `None` outside, else how much of a name is its top.
    top: Option<usize>,
}

impl<'a> Decoder<'a> {
    fn new(options: &'a Options, shape: &'a Shape, limits: &'a Limits) -> Result<Self, Error> {
        let list = FileList {
            records: Records::new(limits.list_bytes),
            names: Names::new(limits.list_bytes)?,
            by_arrival: options.iconv.is_some(),
            plain: shape.protocol < 29,
            sum_len: if options.checksum { shape.sum_len } else { 0 },
            ..FileList::default()
        };
        Ok(Self {
            options,
            shape,
            limits,
            list,
            last: Vec::new(),
            last_dir: 0,
            parent: 0,
            cleaned: Vec::new(),
            target: Vec::new(),
            mode: 0,
            secs: 0,
            dev: 0,
            inodes: HashMap::new(),
            top: None,
        })
    }

    /// The flags of the next entry; `None` at the end of the list.
    fn flags<T: Take + ?Sized>(&mut self, input: &mut T) -> Result<Option<u32>, Error> {
        if self.shape.varint_flags {
            let flags = input.varint()? as u32;
            if flags == 0 {
                self.list.io_error |= input.varint()?;
                return Ok(None);
            }
            return Ok(Some(flags));
        }
        let mut flags = u32::from(input.byte()?);
        if flags == 0 {
            return Ok(None);
        }
        if self.shape.protocol >= 28 && flags & flag::EXTENDED != 0 {
            flags |= u32::from(input.byte()?) << 8;
        }
        if flags != flag::END_WITH_ERROR || self.shape.protocol < 30 {
            return Ok(Some(flags));
        }
        if !self.shape.safe_flist && self.shape.protocol < 31 {
            return Err(Error::protocol("an end of the file list that was not agreed"));
        }
        self.list.io_error |= input.varint()?;
        Ok(None)
    }

    fn entry<T: Take + ?Sized>(&mut self, input: &mut T, flags: u32) -> Result<(), Error> {
        self.room()?;
        let shared = self.raw_name(input, flags)?;
        let leader = self.leader(input, flags)?;
        let mut raw = match leader {
            Some(leader) => self.copy(leader)?,
            None => self.attributes(input, flags)?,
        };
        self.place(&mut raw)?;
        self.content(&mut raw, flags, shared);
        self.links(input, flags, leader, &raw)?;
        self.sum(input, leader, &raw)?;
        if self.options.acls && raw.tag != Tag::Link {
            extras::acl(input, raw.tag == Tag::Dir)?;
        }
        if self.options.xattrs {
            extras::xattrs(input)?;
        }
        let base: &[u8] = if raw.tag == Tag::Dir { &[] } else { &self.cleaned };
        let at = self.list.records.push(&raw, base, &self.target)?;
        self.list.arrivals.push(at);
        Ok(())
    }

    /// Bounds before anything of the next entry is read.
    fn room(&self) -> Result<(), Error> {
        let entries = self.list.arrivals.len();
        if entries >= self.limits.entries as usize {
            let most = self.limits.entries;
            return Err(Error::new(
                Exit::Memory,
                format!("la lista pasa de {most} archivos, el límite de una sesión"),
                format!("the list passes {most} files, the limit of a session"),
            ));
        }
        let each = 4 + self.list.sum_len + 4;
        let bytes = entries * each + self.list.records.len() + self.list.names.bytes();
        let bytes = bytes + self.inodes.len() * 32;
        if bytes as u64 > self.limits.list_bytes { Err(too_large()) } else { Ok(()) }
    }

    /// Reads a name into `last`. The value is how many bytes it shares with the one before.
    fn raw_name<T: Take + ?Sized>(&mut self, input: &mut T, flags: u32) -> Result<usize, Error> {
        let shared = if flags & flag::SAME_NAME != 0 { usize::from(input.byte()?) } else { 0 };
        let own = if flags & flag::LONG_NAME != 0 {
            usize::try_from(input.varint30(self.shape.protocol)?).unwrap_or(usize::MAX)
        } else {
            usize::from(input.byte()?)
        };
        let most = (self.limits.name_bytes as usize).min(usize::from(u16::MAX) - 1);
        if shared > self.last.len() || own > most.saturating_sub(shared) {
            return Err(Error::protocol(format!("a name of {shared} shared and {own} own bytes")));
        }
        self.last.resize(shared + own, 0);
        let fresh = self.last.get_mut(shared..).unwrap_or_default();
        input.fill(fresh)?;
        if fresh.contains(&0) || shared + own == 0 {
            return Err(Error::protocol("a name that is empty or holds a NUL"));
        }
        if shared < self.last_dir || fresh.contains(&b'/') {
            self.last_dir = 0;
        }
        Ok(shared)
    }

    /// 30 and later: the entry whose attributes this one repeats.
    fn leader<T: Take + ?Sized>(&self, input: &mut T, flags: u32) -> Result<Option<u32>, Error> {
        if self.shape.protocol < 28 || flags & flag::HLINKED == 0 {
            return Ok(None);
        }
        if !self.options.hard_links {
            return Err(Error::protocol("a hard link that was not asked for"));
        }
        if self.shape.protocol < 30 || flags & flag::HLINK_FIRST != 0 {
            return Ok(None);
        }
        let index = input.varint()?;
        let group = usize::try_from(index).ok().and_then(|at| self.list.leaders.get(at));
        if group.is_none_or(|leader| *leader as i64 != i64::from(index) + 1) {
            return Err(Error::protocol(format!("a hard link to entry {index}, which leads none")));
        }
        Ok(Some(index as u32))
    }

    fn copy(&mut self, leader: u32) -> Result<Raw, Error> {
        let Some(at) = self.list.arrivals.get(leader as usize).copied() else {
            return Err(Error::protocol("a hard link to nothing"));
        };
        let raw = self.list.records.get(at);
        self.target.clear();
        self.target.extend_from_slice(self.list.records.target(at));
        self.secs = raw.secs;
        self.mode = u32::from(raw.mode) | kind_bits(raw.tag);
        Ok(Raw { bits: 0, ..raw })
    }

    fn attributes<T: Take + ?Sized>(&mut self, input: &mut T, flags: u32) -> Result<Raw, Error> {
        let protocol = self.shape.protocol;
        let size = size(input.varlong30(protocol, 3)?)?;
        if flags & flag::SAME_TIME == 0 {
            self.secs = if protocol >= 30 { input.varlong(4)? } else { i64::from(input.int()? as u32) };
        }
        let nanos = if protocol >= 31 && flags & flag::MOD_NSEC != 0 { nanos(input)? } else { 0 };
        if self.options.crtimes && flags & flag::CRTIME_IS_MTIME == 0 {
            input.varlong(4)?;
        }
        if flags & flag::SAME_MODE == 0 {
            self.mode = input.int()? as u32;
        }
        let tag = self.tag()?;
        if self.options.atimes && tag != Tag::Dir && flags & flag::SAME_ATIME == 0 {
            input.varlong(4)?;
        }
        self.owners(input, flags)?;
        self.device(input, flags, tag)?;
        self.read_target(input, tag)?;
        let (secs, mode) = (self.secs, (self.mode & 0o7777) as u16);
        Ok(Raw { size, secs, nanos, mode, tag, ..Raw::default() })
    }

    /// The kind that the mode says, in the wire's octal of S_IFMT.
    fn tag(&self) -> Result<Tag, Error> {
        match self.mode & 0o170_000 {
            0o100_000 => Ok(Tag::File),
            0o040_000 => Ok(Tag::Dir),
            0o120_000 => Ok(Tag::Link),
            0o020_000 | 0o060_000 => Ok(Tag::Device),
            0o010_000 | 0o140_000 => Ok(Tag::Special),
            0 if self.mode == 0 && self.options.delete_missing_args => Ok(Tag::Missing),
            _ => Err(Error::protocol(format!("a file of unknown kind (mode {:o})", self.mode))),
        }
    }

    fn owners<T: Take + ?Sized>(&self, input: &mut T, flags: u32) -> Result<(), Error> {
        let modern = self.shape.protocol >= 30;
        let sides = [
            (self.options.owner, flag::SAME_UID, flag::USER_NAME),
            (self.options.group, flag::SAME_GID, flag::GROUP_NAME),
        ];
        for (asked, same, named) in sides {
            if asked && flags & same == 0 {
                input.varint30(self.shape.protocol)?;
                if modern && flags & named != 0 {
                    extras::short_name(input)?;
                }
            }
        }
        Ok(())
    }

    fn device<T: Take + ?Sized>(&self, input: &mut T, flags: u32, tag: Tag) -> Result<(), Error> {
        let protocol = self.shape.protocol;
        let special = self.options.specials && tag == Tag::Special && protocol < 31;
        let device = self.options.devices && tag == Tag::Device;
        if !special && !device {
            return Ok(());
        }
        if protocol < 28 {
            return if flags & flag::SAME_RDEV == 0 { input.int().map(drop) } else { Ok(()) };
        }
        if flags & flag::SAME_RDEV_MAJOR == 0 {
            input.varint30(protocol)?;
        }
        match protocol {
            30.. => input.varint().map(drop),
            _ if flags & flag::RDEV_MINOR_8 != 0 => input.byte().map(drop),
            _ => input.int().map(drop),
        }
    }

    fn read_target<T: Take + ?Sized>(&mut self, input: &mut T, tag: Tag) -> Result<(), Error> {
        self.target.clear();
        if tag != Tag::Link || !self.options.links {
            return Ok(());
        }
        let length = input.varint30(self.shape.protocol)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.limits.name_bytes as usize)
            .ok_or_else(|| Error::protocol(format!("a link to a name of {length} bytes")))?;
        self.target.resize(length, 0);
        input.fill(&mut self.target)?;
        if self.target.contains(&0) {
            return Err(Error::protocol("a link to a name with a NUL"));
        }
        Ok(())
    }

    /// Cleans the name and finds it a directory.
    fn place(&mut self, raw: &mut Raw) -> Result<(), Error> {
        let base = self.last.get(self.last_dir..).unwrap_or_default();
        let plain = self.last_dir > 0 && !matches!(base, b"" | b"." | b"..");
        if !plain {
            clean(&self.last, self.options.relative, &mut self.cleaned)?;
            self.list.rooted |= self.cleaned.starts_with(b"/");
            let split = self.cleaned.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let key = self.cleaned.get(..split).unwrap_or_default();
            // Below 30 the directories above may be left out of the list (-R --no-implied-dirs).
            self.parent = if self.options.relative && self.shape.protocol < 30 {
                self.list.names.intern_with_ancestors(key)?
            } else {
                self.list.names.intern(key)?
            };
            self.cleaned.drain(..split);
            self.last_dir = self.last.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            // A name that had to be cleaned says nothing about where the next one lies.
            if !self.last.ends_with(&self.cleaned) || self.cleaned.is_empty() {
                self.last_dir = 0;
            }
        } else {
            self.cleaned.clear();
            self.cleaned.extend_from_slice(base);
        }
        if raw.tag != Tag::Dir {
            return self.place_file(raw);
        }
        raw.dir = self.parent;
        if !self.cleaned.is_empty() {
            self.cleaned.push(b'/');
            self.cleaned.splice(..0, self.list.names.key(self.parent).iter().copied());
            raw.dir = self.list.names.intern(&self.cleaned)?;
        }
        Ok(())
    }

    fn place_file(&self, raw: &mut Raw) -> Result<(), Error> {
        let dotted = self.last.ends_with(b"/.") || self.last.ends_with(b"/") || self.last == b".";
        if dotted || self.cleaned.is_empty() {
            return Err(Error::protocol("a file under the name of a directory"));
        }
        raw.dir = self.parent;
        Ok(())
    }

    /// Whether what a directory holds was listed: told from 30 on, followed from above before.
    fn content(&mut self, raw: &mut Raw, flags: u32, shared: usize) {
        if raw.tag != Tag::Dir {
            return;
        }
        let top = flags & flag::TOP_DIR != 0;
        if self.shape.protocol >= 30 {
            // Both flags: a directory that `-R` implies.
            let content = if flags & flag::NO_CONTENT_DIR == 0 { CONTENT } else { 0 };
            raw.bits |= content | if top { TOP } else { 0 };
            return;
        }
        if top {
            raw.bits |= CONTENT | TOP;
            let length = if self.list.names.key(raw.dir).is_empty() { 0 } else { self.last.len() };
            let length =
                if self.options.relative && self.last.ends_with(b"/.") { length - 2 } else { length };
            self.top = self.options.recurse.then_some(length);
            return;
        }
        let Some(length) = self.top else { return };
        let below = shared >= length && self.last.get(length) == Some(&b'/');
        if !self.options.relative || length == 0 || below {
            raw.bits |= CONTENT;
        } else {
            self.top = None;
        }
    }

    /// Notes which names share a file.
    fn links<T: Take + ?Sized>(
        &mut self,
        input: &mut T,
        flags: u32,
        leader: Option<u32>,
        raw: &Raw,
    ) -> Result<(), Error> {
        if !self.options.hard_links {
            return Ok(());
        }
        let at = self.list.arrivals.len() as u32;
        let linked = match self.shape.protocol {
            27 => raw.tag == Tag::File,
            _ => flags & flag::HLINKED != 0,
        };
        let group = match leader {
            _ if !linked => None,
            Some(leader) => Some(leader),
            None if self.shape.protocol >= 30 => Some(at),
            None => self.inode(input, flags, at)?,
        };
        if group.is_some() && raw.tag == Tag::Dir {
            return Err(Error::protocol("a hard link to a directory"));
        }
        self.list.leaders.push(group.map_or(0, |first| first + 1));
        Ok(())
    }

    /// Below 30: device and inode, and the first entry that had them.
    fn inode<T: Take + ?Sized>(&mut self, input: &mut T, flags: u32, at: u32) -> Result<Option<u32>, Error> {
        if self.shape.protocol < 28 || flags & flag::SAME_DEV == 0 {
            self.dev = input.longint()?;
        }
        let inode = input.longint()?;
        let first = *self.inodes.entry((self.dev, inode)).or_insert(at);
        Ok(Some(first))
    }

    /// The `-c` sum; below 28 every entry has one.
    fn sum<T: Take + ?Sized>(&mut self, input: &mut T, leader: Option<u32>, raw: &Raw) -> Result<(), Error> {
        let length = self.list.sum_len;
        if length == 0 {
            return Ok(());
        }
        let start = self.list.sums.len();
        if let Some(leader) = leader {
            let from = leader as usize * length;
            self.list.sums.extend_from_within(from..(from + length).min(start));
        }
        self.list.sums.resize(start + length, 0);
        let sent = leader.is_none() && (raw.tag == Tag::File || self.shape.protocol < 28);
        if sent {
            input.fill(self.list.sums.get_mut(start..).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// A size in 48 bits, more than any file system holds.
fn size(bytes: i64) -> Result<u64, Error> {
    let size = u64::try_from(bytes).ok().filter(|size| size >> 48 == 0);
    size.ok_or_else(|| Error::protocol(format!("a file of {bytes} bytes")))
}

fn nanos<T: Take + ?Sized>(input: &mut T) -> Result<u32, Error> {
    let value = input.varint()?;
    if !(0..=NANOS).contains(&value) {
        return Err(Error::protocol(format!("a time of {value} nanoseconds")));
    }
    Ok(value as u32)
}

/// The kind in the mode that a copied entry leaves for the next one.
fn kind_bits(tag: Tag) -> u32 {
    match tag {
        Tag::File => 0o100_000,
        Tag::Dir => 0o040_000,
        Tag::Link => 0o120_000,
        Tag::Device => 0o060_000,
        Tag::Special => 0o010_000,
        Tag::Missing => 0,
    }
}

/// A name without empty and `.` components; what leads out of the tree breaks the protocol.
/// A slash in front stays, for the order, and is allowed with `-R` only. `out` is empty for
/// the root.
fn clean(name: &[u8], relative: bool, out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    if name.starts_with(b"/") {
        if !relative {
            return Err(Error::protocol("a name that begins with a slash"));
        }
        out.push(b'/');
    }
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(Error::protocol("a name with a '..' in it")),
            _ => {}
        }
        if !matches!(out.last(), None | Some(b'/')) {
            out.push(b'/');
        }
        out.extend_from_slice(component);
    }
    Ok(())
}
