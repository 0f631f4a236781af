//! The paths of directories in one arena, each once; entries know theirs by its number.
//!
//! A directory's key is its path with a slash behind; the root's key is empty. Keys compared
//! as bytes are in the order of the list (`foo.d/` before `foo/`), and with `-R` the key of
//! what began with a slash still does, since clients sort before they strip it.

use std::hash::{BuildHasher, RandomState};

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
    /// Numbers in the order of their keys, and the place of each number in it; once ranked.
    sorted: Vec<u32>,
    ranks: Vec<u32>,
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
        self.arena.len() + self.dirs.len() * (size_of::<Span>() + 8) + self.index.len() * 4
    }

    /// How many directories there are.
    pub(super) fn dirs(&self) -> usize {
        self.dirs.len()
    }

    /// The key of a directory.
    pub(super) fn key(&self, dir: u32) -> &[u8] {
        self.dirs.get(dir as usize).map_or(&[], |span| self.slice(span.start, usize::from(span.length)))
    }

    /// Keeps bytes; where they lie.
    fn put(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        if bytes.len() > self.limit.saturating_sub(self.arena.len()) {
            return Err(too_large());
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        u32::try_from(start).map_err(|_| too_large())
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

    /// Puts the directories in the order of their keys and forgets the index.
    pub(super) fn rank(&mut self) {
        self.index = Vec::new();
        let mut sorted: Vec<u32> = (0..self.dirs.len() as u32).collect();
        sorted.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        self.ranks = vec![0; sorted.len()];
        for (rank, number) in sorted.iter().enumerate() {
            if let Some(place) = self.ranks.get_mut(*number as usize) {
                *place = rank as u32;
            }
        }
        self.sorted = sorted;
    }

    /// Where a directory stands among all.
    pub(super) fn rank_of(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or_default()
    }

    /// The number of a key, once ranked.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let at = self.sorted.binary_search_by(|number| self.key(*number).cmp(key)).ok()?;
        self.sorted.get(at).copied()
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
