//! What a transaction has come to: names, files being written, and the difference to what is live.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::room::{Room, lock, size};
use super::super::{Change, DropError, Stat};
use super::index::Index;
use super::live::{Content, LiveFile, LiveTree, Node};
use super::split;
use crate::archive::{self, Name};
use crate::durable::Dir;
use crate::model::{Code, Rejection};

/// What a transaction and its uploads share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) nodes: Index,
    /// The session removed `sitio` itself and has not made it again.
    pub(super) root_gone: bool,
    pub(super) files: Dir,
    pub(super) next: u64,
    pub(super) bytes: u64,
    /// Files being written, with their size so far.
    pub(super) open: BTreeMap<u64, (String, u64)>,
    /// Files whose writing was broken off and not repeated.
    pub(super) broken: BTreeSet<String>,
    /// Committed or abandoned: an upload that comes later is too late.
    pub(super) over: bool,
    pub(super) first_byte: Option<Timestamp>,
    pub(super) last_byte: Option<Timestamp>,
}

/// What a commit hands on.
pub(super) struct WholeTree {
    pub(super) files: Dir,
    pub(super) changes: BTreeMap<String, Change>,
    pub(super) base: Option<Arc<LiveTree>>,
    pub(super) bytes: u64,
    pub(super) first_byte: Timestamp,
    pub(super) last_byte: Timestamp,
}

impl State {
    pub(super) fn stat(&self, path: &str) -> Result<Stat, DropError> {
        if path.is_empty() {
            let root = Stat { is_dir: true, size: 0, mtime: 0 };
            return if self.root_gone { Err(DropError::NotFound) } else { Ok(root) };
        }
        if let Some(node) = self.nodes.get(path) {
            return Ok(node.stat());
        }
        let begun = self.open.values().rfind(|(open, _)| open == path);
        begun.map(|(_, size)| Stat { is_dir: false, size: *size, mtime: 0 }).ok_or(DropError::NotFound)
    }

    pub(super) fn read(&self, path: &str) -> Result<File, DropError> {
        match self.nodes.get(path) {
            Some(Node::Dir { .. }) => Err(DropError::IsDir),
            None if path.is_empty() => Err(DropError::IsDir),
            None => Err(DropError::NotFound),
            Some(Node::File { content: Content::Stored(name), .. }) => Ok(self.files.open_file(name)?),
            Some(Node::File { content: Content::Here, .. }) => self.read_live(path),
            Some(Node::File { content: Content::Live(path), .. }) => self.read_live(path),
        }
    }

    fn read_live(&self, path: &str) -> Result<File, DropError> {
        Ok(self.nodes.base().ok_or(DropError::NotFound)?.dir.open_file(path)?)
    }

    pub(super) fn children(&self, path: &str) -> Vec<(String, Stat)> {
        self.nodes.children(path).into_iter().map(|(name, node)| (name, node.stat())).collect()
    }

    /// Whether a new name may stand at `path`.
    pub(super) fn admit(&mut self, room: &Room, path: &str) -> Result<(), DropError> {
        if path.is_empty() || self.nodes.get(path).is_some_and(|node| node.stat().is_dir) {
            return Err(DropError::IsDir);
        }
        judge(room, path)?;
        let (parent, _) = split(path);
        if parent.is_empty() {
            // `rm -rf sitio; tar x -C sitio` without `mkdir` has but one meaning.
            self.root_gone = false;
        }
        match self.stat(parent) {
            Ok(stat) if stat.is_dir => {}
            Ok(_) => return Err(DropError::NotDir),
            Err(e) => return Err(e),
        }
        if self.nodes.len() as u64 >= room.config.limits.entries {
            return Err(Rejection::new(Code::Entries).detail(room.config.limits.entries.to_string()).into());
        }
        Ok(())
    }

    /// Takes a node and everything below it out of the index.
    pub(super) fn cut(&mut self, path: &str) -> Vec<(String, Node)> {
        let mut paths: Vec<String> = self.nodes.below(path).map(|(path, _)| path.clone()).collect();
        paths.push(path.to_owned());
        self.broken.retain(|broken| !paths.contains(broken));
        paths
            .into_iter()
            .filter_map(|path| Some((self.nodes.remove(&path)?, path)))
            .map(|(n, p)| (p, n))
            .collect()
    }

    /// Removes scratch files that no name leads to any more; returns the bytes of the rest.
    pub(super) fn clear_up(&self) -> io::Result<u64> {
        let stored = |node: &Node| match node {
            Node::File { content: Content::Stored(name), .. } => Some(name.clone()),
            _ => None,
        };
        let mut needed: BTreeSet<String> =
            self.nodes.changed().filter_map(|(_, node)| node.and_then(stored)).collect();
        needed.extend(self.open.keys().map(u64::to_string));
        let mut bytes = 0;
        for listed in self.files.list()? {
            if listed.name.to_str().is_some_and(|name| needed.contains(name)) {
                bytes += size(&listed.stat);
            } else {
                self.files.remove_file(&listed.name)?;
            }
        }
        Ok(bytes)
    }

    /// The difference to the base. Junk that desktops and packers leave stays behind.
    pub(super) fn whole(&self, room: &Room) -> Result<Option<WholeTree>, DropError> {
        let (mut changes, mut bytes) = (BTreeMap::new(), 0);
        let (mut dirs, mut new) = (BTreeSet::new(), BTreeMap::new());
        for (path, node) in self.nodes.changed() {
            let before = self.nodes.base().and_then(|base| base.nodes.get(path));
            let was = before.and_then(Node::file);
            match node {
                Some(_) if !matches!(judge(room, path), Ok(Fate::Kept)) => {}
                Some(Node::File { content, facts }) => {
                    if before.is_none()
                        && let Some(twin) = new.insert(path.to_lowercase(), path)
                    {
                        return Err(collision(path, twin));
                    }
                    if was.is_some_and(|was| was.sha256 == facts.sha256) {
                        continue;
                    }
                    if let Content::Stored(_) = content {
                        bytes += facts.size;
                    }
                    changes.insert(path.clone(), changed(path, content, facts));
                }
                Some(Node::Dir { .. }) => {
                    if before.is_none()
                        && let Some(twin) = new.insert(path.to_lowercase(), path)
                    {
                        return Err(collision(path, twin));
                    }
                    dirs.insert(path.clone());
                    changes.extend(was.map(|_| (path.clone(), Change::Removed)));
                }
                None => {
                    changes.extend(was.map(|_| (path.clone(), Change::Removed)));
                    dirs.extend(above(path).map(str::to_owned));
                }
            }
        }
        self.no_twins(room, &new)?;
        self.promise(room, dirs);
        let now = room.shared.clock.now();
        let (first_byte, last_byte) = (self.first_byte.unwrap_or(now), self.last_byte.unwrap_or(now));
        let (files, base) = (self.files.clone(), self.nodes.base().cloned());
        Ok((!changes.is_empty()).then_some(WholeTree { files, changes, base, bytes, first_byte, last_byte }))
    }

    /// Refuses new names that differ from others by their case only.
    fn no_twins(&self, room: &Room, new: &BTreeMap<String, &String>) -> Result<(), DropError> {
        if new.is_empty() {
            return Ok(());
        }
        for (path, _) in self.nodes.below("") {
            if let Some(twin) = new.get(&path.to_lowercase()).filter(|twin| **twin != path)
                && matches!(judge(room, path), Ok(Fate::Kept))
            {
                return Err(collision(path, twin));
            }
        }
        Ok(())
    }

    /// Empty directories are no content; but the next session of a script that makes
    /// them first must find them.
    fn promise(&self, room: &Room, dirs: BTreeSet<String>) {
        let empty = |dir: &String| {
            matches!(self.nodes.get(dir), Some(Node::Dir { .. }))
                && self.nodes.below(dir).all(|(_, node)| node.stat().is_dir)
        };
        *lock(&room.promised) = dirs.into_iter().filter(empty).take(PROMISED_MAX).collect();
    }
}

fn collision(path: &str, twin: &str) -> DropError {
    Rejection::new(Code::NameCollision).entry(path).detail(twin.to_owned()).into()
}

/// The directories above a path, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').filter_map(|(at, _)| path.get(..at))
}

fn changed(path: &str, content: &Content, facts: &LiveFile) -> Change {
    match content {
        Content::Here => Change::Live { path: path.to_owned() },
        Content::Live(path) => Change::Live { path: path.clone() },
        Content::Stored(stored) => Change::File {
            stored: stored.clone(),
            sha256: facts.sha256,
            size: facts.size,
            mtime: facts.mtime,
        },
    }
}

/// What becomes of a name in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// Junk or a dotfile: may be written, is left out at the commit.
    LeftOut,
}

/// Judges a name by the rules that packages follow, before a byte is written.
pub(super) fn judge(room: &Room, path: &str) -> Result<Fate, DropError> {
    match archive::check_name(path.as_bytes(), &room.config.limits) {
        Ok(Name::Path(_)) => Ok(Fate::Kept),
        Ok(Name::Skip(_)) => Ok(Fate::LeftOut),
        Ok(Name::Root) => Err(DropError::IsDir),
        Err(refusal) => Err(Rejection::new(refusal.reason.into()).entry(path).into()),
    }
}

/// Empty directories remembered between sessions.
const PROMISED_MAX: usize = 1000;
