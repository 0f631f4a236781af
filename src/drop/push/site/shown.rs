//! What is seen of a site: what stands there, and what earlier pushes left beside the cut.

use std::collections::BTreeMap;

use super::super::super::tree::Seen;
use super::super::{FILE_MODE, directory, seconds};
use super::{last, parent};
use crate::model::Digest;
use crate::rsync::{Found, Kind};

/// What a push finds of earlier ones that is no part of a cut.
#[derive(Clone, Debug, Default)]
pub(in crate::drop) struct Shown {
    /// Times of directories.
    pub(super) dirs: BTreeMap<String, i64>,
    /// Times of files, as long as they have this content.
    pub(super) files: BTreeMap<String, (Digest, i64)>,
    /// Files that no cut takes in (`.gitkeep`, `Thumbs.db`): bytes and time.
    pub(super) left_out: BTreeMap<String, (u64, i64)>,
    /// Links, as long as what they became has this content.
    pub(super) links: BTreeMap<String, (Digest, Link)>,
}

/// A link as the sender has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) target: String,
    pub(super) mtime: i64,
}

impl Shown {
    pub(super) fn left_out(&self, path: &str) -> Option<Found> {
        let (size, mtime) = self.left_out.get(path)?;
        Some(Found { kind: Kind::File, size: *size, mtime: seconds(*mtime), mode: FILE_MODE, inode: None })
    }

    pub(super) fn left_out_in(&self, path: &str) -> impl Iterator<Item = (Vec<u8>, Found)> {
        let here = self.left_out.keys().filter(move |at| parent(at) == path);
        here.filter_map(|at| Some((last(at).as_bytes().to_vec(), self.left_out(at)?)))
    }

    pub(super) fn found(&self, path: &str, seen: Seen) -> Found {
        let found = seen.found();
        let Some(digest) = seen.digest() else {
            let mtime = self.dirs.get(path).map_or(found.mtime, |mtime| seconds(*mtime));
            return Found { mtime, ..found };
        };
        if let Some((_, link)) = self.links.get(path).filter(|(known, _)| *known == digest) {
            return link.found();
        }
        match self.files.get(path).filter(|(known, _)| *known == digest) {
            Some((_, mtime)) => Found { mtime: seconds(*mtime), ..found },
            None => found,
        }
    }
}

impl Link {
    pub(super) fn found(&self) -> Found {
        Found {
            kind: Kind::Link(self.target.clone().into_bytes()),
            size: self.target.len() as u64,
            mtime: seconds(self.mtime),
            mode: 0o777,
            inode: None,
        }
    }
}

impl Seen {
    pub(super) fn found(&self) -> Found {
        match self {
            Self::Dir { mtime } => directory(*mtime),
            Self::File(facts) => Found {
                kind: Kind::File,
                size: facts.size,
                mtime: seconds(facts.mtime),
                mode: FILE_MODE,
                // Equal content is one file here, whatever names it has.
                inode: Some(facts.sha256.halves()),
            },
        }
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Dir { .. } => None,
            Self::File(facts) => Some(facts.sha256),
        }
    }
}
