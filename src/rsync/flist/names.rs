//! Names in one arena: each directory's path once, and the last component of each entry.
//!
//! A directory's key is its path with a slash behind; the root's key is empty. Keys compared
//! as bytes are in the order of the list (`foo.d/` before `foo/`), and with `-R` the key of
//! what began with a slash still does, since clients sort before they strip it.

use std::hash::{BuildHasher, RandomState};

use super::Raw;
use crate::rsync::error::{Error, Exit};

/// A stretch of the arena.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    length: u16,
}

/// The arena and the directories in it.
#[derive(Debug, Default)]
pub(super) struct Names {
    arena: Vec<u8>,
    dirs: Vec<Span>,
    /// Open addressing over `dirs`, number plus one; while the list is read.
    index: Vec<u32>,
    /// Keyed by chance, so that no peer can choose names that collide.
    hasher: RandomState,
    limit: usize,
}

impl Names {
    /// An empty arena that may grow to `limit` bytes, with the root in it as number 0.
    pub(super) fn new(limit: u64) -> Result<Self, Error> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(u32::MAX as usize);
        let mut names = Self { limit, index: vec![0; 64], ..Self::default() };
        names.intern(b"")?;
        Ok(names)
    }

    /// Bytes taken.
    pub(super) fn bytes(&self) -> usize {
        self.arena.len() + self.dirs.len() * size_of::<Span>() + self.index.len() * 4
    }

    /// How many directories there are.
    pub(super) fn dirs(&self) -> usize {
        self.dirs.len()
    }

    /// The key of a directory.
    pub(super) fn key(&self, dir: u32) -> &[u8] {
        self.dirs.get(dir as usize).map_or(&[], |span| self.slice(span.start, usize::from(span.length)))
    }

    /// The last component of an entry.
    pub(super) fn base(&self, raw: &Raw) -> &[u8] {
        self.slice(raw.base, usize::from(raw.base_len))
    }

    /// The target of a link: behind its last component and two bytes of length.
    pub(super) fn target(&self, raw: &Raw) -> &[u8] {
        let at = raw.base.saturating_add(u32::from(raw.base_len));
        match self.slice(at, 2) {
            [low, high] => self.slice(at.saturating_add(2), usize::from(u16::from_le_bytes([*low, *high]))),
            _ => &[],
        }
    }

    /// Keeps bytes; where they lie.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        if bytes.len() > self.limit.saturating_sub(self.arena.len()) {
            return Err(too_large());
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        u32::try_from(start).map_err(|_| too_large())
    }

    /// Keeps the target of a link whose last component was kept just now.
    pub(super) fn put_target(&mut self, target: &[u8]) -> Result<(), Error> {
        let length = u16::try_from(target.len()).map_err(|_| too_large())?;
        self.put(&length.to_le_bytes())?;
        self.put(target)?;
        Ok(())
    }

    /// The number of a directory, new or known.
    pub(super) fn intern(&mut self, key: &[u8]) -> Result<u32, Error> {
        if (self.dirs.len() + 1) * 2 > self.index.len() {
            self.grow();
        }
        let slot = match self.probe(key) {
            Ok(known) => return Ok(known),
            Err(slot) => slot,
        };
        let length = u16::try_from(key.len()).map_err(|_| too_large())?;
        let start = self.put(key)?;
        let number = u32::try_from(self.dirs.len()).map_err(|_| too_large())?;
        self.dirs.push(Span { start, length });
        if let Some(free) = self.index.get_mut(slot) {
            *free = number + 1;
        }
        Ok(number)
    }

    /// The number of a directory; those above it are known from here on too.
    pub(super) fn intern_with_ancestors(&mut self, key: &[u8]) -> Result<u32, Error> {
        let mut above = key;
        while let Some(path) = above.strip_suffix(b"/") {
            let parent = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            above = path.get(..parent).unwrap_or_default();
            // Whoever is known brought all above it.
            if self.probe(above).is_ok() {
                break;
            }
            self.intern(above)?;
        }
        self.intern(key)
    }

    /// The number under a key, or the free slot for it.
    fn probe(&self, key: &[u8]) -> Result<u32, usize> {
        let mask = self.index.len().saturating_sub(1);
        let mut slot = self.hasher.hash_one(key) as usize & mask;
        loop {
            match self.index.get(slot).copied().unwrap_or_default().checked_sub(1) {
                None => return Err(slot),
                Some(number) if self.key(number) == key => return Ok(number),
                Some(_) => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.index = vec![0; self.index.len() * 4];
        for number in 0..self.dirs.len() as u32 {
            let Err(slot) = self.probe(self.key(number)) else { continue };
            if let Some(free) = self.index.get_mut(slot) {
                *free = number + 1;
            }
        }
    }

    /// Renumbers the directories in the order of their keys and forgets the index. The value
    /// leads from old numbers to new ones.
    pub(super) fn rank(&mut self) -> Vec<u32> {
        self.index = Vec::new();
        let mut order: Vec<u32> = (0..self.dirs.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        let mut ranks = vec![0; order.len()];
        for (rank, old) in order.iter().enumerate() {
            if let Some(place) = ranks.get_mut(*old as usize) {
                *place = rank as u32;
            }
        }
        self.dirs = order.iter().filter_map(|old| self.dirs.get(*old as usize).copied()).collect();
        self.arena.shrink_to_fit();
        ranks
    }

    /// The number of a key, once ranked.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let at = self.dirs.binary_search_by(|span| self.slice(span.start, usize::from(span.length)).cmp(key));
        at.ok().map(|rank| rank as u32)
    }

    fn slice(&self, start: u32, length: usize) -> &[u8] {
        let start = start as usize;
        self.arena.get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

/// The list takes more memory than it may.
pub(super) fn too_large() -> Error {
    Error::new(
        Exit::Memory,
        "la lista de archivos rebasa el límite de memoria de una sesión",
        "the file list passes the memory limit of a session",
    )
}
