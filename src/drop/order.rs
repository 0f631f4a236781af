//! How far a file has come from its first byte without a gap, and the hash of that much.
//!
//! Clients that keep many writes under way (rclone, lftp) let some overtake others: a piece
//! behind a small gap waits for it. A byte that is written twice ends the order for good,
//! and the whole file is hashed when it is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::submit;
use crate::model::{Digest, Hasher};

/// The order of one file's bytes, as long as there is one.
#[derive(Debug, Default)]
pub(super) struct Order {
    hasher: Hasher,
    hashed: u64,
    /// Pieces behind a gap: start → end.
    waiting: BTreeMap<u64, u64>,
}

impl Order {
    /// The order of what a file holds already.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut order = Self::default();
        order.hashed = submit::feed(file, &mut order.hasher)?;
        Ok(order)
    }

    /// Bytes from the first on that are there and do not change any more.
    pub(super) fn reached(&self) -> u64 {
        self.hashed
    }

    /// `bytes` have been written at `offset`. `None` if there is no order any more.
    pub(super) fn after(mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<Option<Self>> {
        let end = offset.saturating_add(bytes.len() as u64);
        if bytes.is_empty() {
            return Ok(Some(self));
        }
        if offset != self.hashed {
            return Ok(self.wait(offset, end).then_some(self));
        }
        if self.waiting.first_key_value().is_some_and(|(start, _)| *start < end) {
            return Ok(None);
        }
        self.hasher.update(bytes);
        self.hashed = end;
        while let Some(piece) = self.waiting.first_entry().filter(|piece| *piece.key() == self.hashed) {
            let (start, end) = piece.remove_entry();
            self.read_back(file, start, end)?;
        }
        Ok(Some(self))
    }

    /// The hash, if these are all the bytes.
    pub(super) fn finish(self, size: u64) -> Option<Digest> {
        (self.hashed == size && self.waiting.is_empty()).then(|| self.hasher.finish())
    }

    /// Notes a piece behind a gap; `false` if it overlaps another or is too much to keep track of.
    fn wait(&mut self, start: u64, end: u64) -> bool {
        let before = self.waiting.range(..end).next_back().is_none_or(|(_, there)| *there <= start);
        let fits = self.waiting.len() < WAITING_MAX && end - self.hashed.min(end) <= AHEAD_MAX;
        if start < self.hashed || !before || !fits {
            return false;
        }
        self.waiting.insert(start, end);
        true
    }

    fn read_back(&mut self, file: &File, mut at: u64, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece = buffer.get_mut(..most).unwrap_or_default();
            file.read_exact_at(piece, at)?;
            self.hasher.update(piece);
            at += most as u64;
        }
        self.hashed = end;
        Ok(())
    }
}

/// Pieces behind gaps; rclone has 64 writes under way.
const WAITING_MAX: usize = 128;
/// Bytes behind the first gap: then one of many connections has stalled.
const AHEAD_MAX: u64 = 16 << 20;
/// Bytes read back at a time.
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the pieces (offset, length) of a pattern in this order.
    fn written(pieces: &[(u64, usize)]) -> Option<(u64, Option<Digest>)> {
        let file = tempfile::tempfile().unwrap();
        let mut order = Order::default();
        for (offset, length) in pieces {
            let bytes: Vec<u8> = (*offset..).take(*length).map(|n| n as u8).collect();
            file.write_all_at(&bytes, *offset).unwrap();
            order = order.after(&file, *offset, &bytes).unwrap()?;
        }
        let size = file.metadata().unwrap().len();
        Some((order.reached(), order.finish(size)))
    }

    fn digest(size: u64) -> Option<Digest> {
        Some(Digest::of(&(0..size).map(|n| n as u8).collect::<Vec<_>>()))
    }

    #[test]
    fn pieces_that_overtook_others_are_hashed_in_their_place() {
        assert_eq!(written(&[(0, 10), (10, 10)]), Some((20, digest(20))));
        assert_eq!(written(&[(10, 10), (30, 5), (0, 10), (20, 10)]), Some((35, digest(35))));
        assert_eq!(written(&[(0, 10), (20, 10)]), Some((10, None)));
    }

    #[test]
    fn a_byte_that_is_written_twice_ends_the_order() {
        assert_eq!(written(&[(0, 10), (5, 10)]), None);
        assert_eq!(written(&[(0, 10), (20, 10), (25, 10)]), None);
        assert_eq!(written(&[(0, 10), (20, 10), (15, 6)]), None);
        assert_eq!(written(&[(0, 10), (12, 3), (10, 5)]), None);
        assert_eq!(written(&[(AHEAD_MAX, 1)]), None);
    }
}
