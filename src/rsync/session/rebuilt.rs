//! A file being rebuilt: small pieces are gathered, large ones written at once; after a refusal
//! of the host the rest is read and thrown away.

use crate::rsync::tree::{Basis, Meta, NewFile, Refused};

/// Pieces are gathered up to this many bytes.
const GATHER: usize = 128 << 10;
/// A piece of at least this many bytes is written as it is.
const LARGE: usize = 32 << 10;

/// How a whole file ended.
pub(super) enum Ended {
    /// It has its name.
    Whole,
    /// The host does not want it.
    Refused(Refused),
}

pub(super) struct Rebuilt {
    file: Option<Box<dyn NewFile>>,
    refused: Option<Refused>,
    gathered: Vec<u8>,
}

impl Rebuilt {
    /// Begins with a buffer of an earlier file.
    pub(super) fn new(
        file: Option<Box<dyn NewFile>>,
        refused: Option<Refused>,
        mut gathered: Vec<u8>,
    ) -> Self {
        gathered.clear();
        Self { file, refused, gathered }
    }

    /// The next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        if self.gathered.is_empty() && bytes.len() >= LARGE {
            return self.put(bytes);
        }
        if self.gathered.len() + bytes.len() > GATHER {
            self.flush();
        }
        if bytes.len() >= GATHER {
            return self.put(bytes);
        }
        self.gathered.extend_from_slice(bytes);
    }

    /// No more of this file is kept.
    pub(super) fn refuse(&mut self, refused: Refused) {
        self.refused.get_or_insert(refused);
    }

    fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.put(&gathered);
        self.gathered = gathered;
        self.gathered.clear();
    }

    fn put(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if let Err(refused) = file.write(bytes) {
            self.refuse(refused);
        }
    }

    /// The file is proved: gives it its name. The buffer comes back.
    pub(super) fn finish(mut self, meta: &Meta) -> (Ended, Vec<u8>) {
        if self.refused.is_none() {
            self.flush();
        }
        let ended = match (self.refused, self.file) {
            (Some(refused), _) => Ended::Refused(refused),
            (None, Some(file)) => file.finish(meta).map_or_else(Ended::Refused, |()| Ended::Whole),
            (None, None) => Ended::Refused(Refused::partial("no file")),
        };
        (ended, self.gathered)
    }

    /// The session broke: keeps what arrived, if that is wanted.
    pub(super) fn broken(mut self, keep: bool) {
        if !keep || self.refused.is_some() {
            return;
        }
        self.flush();
        if let (None, Some(file)) = (&self.refused, self.file) {
            file.keep();
        }
    }

    /// The sum was wrong: what arrived may serve the second attempt. The buffer comes back.
    pub(super) fn into_basis(mut self) -> (Option<Box<dyn Basis>>, Option<Refused>, Vec<u8>) {
        if self.refused.is_none() {
            self.flush();
        }
        match (self.refused, self.file) {
            (None, Some(file)) => (file.into_basis().ok(), None, self.gathered),
            (refused, _) => (None, refused, self.gathered),
        }
    }
}
