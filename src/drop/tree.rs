//! The tree below `sitio/`: the live site, and one session's changes on top of it.
//!
//! A [`Transaction`] belongs to one view and holds the turn. It begins with a copy of the
//! live tree's index; every operation changes that index alone, written files lie under
//! numbers in `var/incoming/tree-…/`. [`Transaction::commit`] compares the index with the live one
//! and hands the difference on; dropping it instead leaves nothing.

mod begun;
mod index;
mod live;
mod record;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use super::room::{Room, Turn, lock};
use super::shelf::Shelf;
use super::{DropError, Stat, Submission, submit};
use crate::model::{Code, Digest, Receipt, Rejection, Sender};

use index::Index;
use live::{Content, Node};
use record::{RECORD, Record, hand_on};
use state::{Fate, State, judge};

pub(super) use begun::Begun;
pub use live::{Live, LiveFile, LiveTree};
pub(super) use live::{Seen, Still};
pub(super) use record::hand_on_again;

/// One session's changes.
#[derive(Debug)]
pub(super) struct Transaction {
    room: Arc<Room>,
    state: Arc<Mutex<State>>,
    scratch: String,
    /// Whether the scratch directory is the publisher's now.
    handed_on: bool,
    /// Passed on with the tree when it is committed.
    turn: Option<Turn>,
}

impl Transaction {
    /// Waits for the turn and begins from what is live.
    pub(super) fn begin(room: &Arc<Room>) -> Result<Self, DropError> {
        let turn = room.turn()?;
        let base = room.shared.live.get();
        let mut nodes = Index::new(base);
        for dir in lock(&room.promised).iter() {
            if nodes.get(dir).is_none() {
                nodes.insert(dir.clone(), Node::Dir { mtime: 0 });
            }
        }
        let scratch = room.fresh("tree-");
        let state = State {
            nodes,
            root_gone: false,
            files: room.incoming.sub_create(&scratch)?,
            next: 0,
            bytes: 0,
            open: BTreeMap::new(),
            broken: BTreeSet::new(),
            over: false,
            first_byte: None,
            last_byte: None,
        };
        let state = Arc::new(Mutex::new(state));
        Ok(Self { room: Arc::clone(room), state, scratch, handed_on: false, turn: Some(turn) })
    }

    pub(super) fn stat(&self, path: &str) -> Result<Stat, DropError> {
        lock(&self.state).stat(path)
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<(String, Stat)>, DropError> {
        let state = lock(&self.state);
        if !state.stat(path)?.is_dir {
            return Err(DropError::NotDir);
        }
        let mut names: BTreeMap<String, Stat> = state.children(path).into_iter().collect();
        for (open, size) in state.open.values() {
            let (parent, name) = split(open);
            if parent == path {
                let begun = Stat { is_dir: false, size: *size, mtime: 0 };
                names.entry(name.to_owned()).or_insert(begun);
            }
        }
        Ok(names.into_iter().collect())
    }

    pub(super) fn read(&self, path: &str) -> Result<File, DropError> {
        lock(&self.state).read(path)
    }

    /// What stands there, to the last detail.
    pub(super) fn see(&self, path: &str) -> Option<Seen> {
        let state = lock(&self.state);
        if path.is_empty() {
            return (!state.root_gone).then_some(Seen::Dir { mtime: 0 });
        }
        state.nodes.get(path).map(Node::seen)
    }

    /// Whole names directly in a directory.
    pub(super) fn children(&self, path: &str) -> Vec<String> {
        lock(&self.state).nodes.children(path).into_iter().map(|(name, _)| name).collect()
    }

    /// Whether a new name may stand at `path`.
    pub(super) fn admit(&self, path: &str) -> Result<(), DropError> {
        lock(&self.state).admit(&self.room, path)
    }

    /// Files that were written again with the content they had, and their times.
    pub(super) fn rewritten(&self) -> Vec<(String, (Digest, i64))> {
        let state = lock(&self.state);
        let base = state.nodes.base().map(|base| &base.files);
        let same = |path: &String, facts: &LiveFile| {
            base.and_then(|base| base.get(path)).is_some_and(|was| was.sha256 == facts.sha256)
        };
        let facts = state.nodes.changed().filter_map(|(path, node)| Some((path, node?.file()?)));
        let same = facts.filter(|(path, facts)| same(path, facts));
        same.map(|(path, facts)| (path.clone(), (facts.sha256, facts.mtime))).collect()
    }

    /// Files that were written and will be left out at the commit: bytes and time.
    pub(super) fn left_out(&self) -> Vec<(String, (u64, i64))> {
        let state = lock(&self.state);
        let facts = state.nodes.changed().filter_map(|(path, node)| Some((path, node?.file()?)));
        let out = facts.filter(|(path, _)| matches!(judge(&self.room, path), Ok(Fate::LeftOut)));
        out.map(|(path, facts)| (path.clone(), (facts.size, facts.mtime))).collect()
    }

    /// Leaves what came whole to the next push.
    pub(super) fn shelve(&self, shelf: &Shelf) {
        let state = lock(&self.state);
        for (path, node) in state.nodes.changed() {
            let Some(Node::File { content: Content::Stored(name), .. }) = node else { continue };
            let raw = format!("{}/{path}", super::view::SITE);
            // What cannot be kept is sent again.
            let _ = shelf.put(raw.as_bytes(), &state.files, OsStr::new(name));
        }
    }

    /// Begins a file; gives its scratch, filled with what was there if `go_on`.
    pub(super) fn create(&self, path: &str, go_on: bool) -> Result<(File, Begun), DropError> {
        let mut state = lock(&self.state);
        state.admit(&self.room, path)?;
        if state.open.len() >= self.room.config.uploads_max {
            let (es, en) = ("hay demasiados envíos abiertos a la vez", "too many uploads are open at once");
            return Err(self.room.denied(es, en));
        }
        let before = if go_on && state.nodes.get(path).is_some() { Some(state.read(path)?) } else { None };
        let number = state.next;
        let mut file = state.files.create_file(number.to_string())?;
        state.next += 1;
        if let Some(mut before) = before {
            self.room.admit_bytes(before.metadata()?.len())?;
            io::copy(&mut before, &mut file)?;
            io::Seek::rewind(&mut file)?;
        }
        state.open.insert(number, (path.to_owned(), 0));
        let begun = Begun { state: Arc::clone(&self.state), path: path.to_owned(), number, finished: false };
        Ok((file, begun))
    }

    /// Whether a whole file stands there.
    pub(super) fn holds(&self, path: &str) -> bool {
        matches!(lock(&self.state).nodes.get(path), Some(Node::File { .. }))
    }

    pub(super) fn mkdir(&self, path: &str) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        if path.is_empty() {
            return if std::mem::take(&mut state.root_gone) { Ok(()) } else { Err(DropError::Exists) };
        }
        if state.stat(path).is_ok() {
            return Err(DropError::Exists);
        }
        state.admit(&self.room, path)?;
        let mtime = self.room.shared.clock.now().as_second();
        state.nodes.insert(path.to_owned(), Node::Dir { mtime });
        Ok(())
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        if state.stat(path)?.is_dir {
            return Err(DropError::IsDir);
        }
        state.broken.remove(path);
        state.nodes.remove(path);
        Ok(())
    }

    pub(super) fn remove_dir(&self, path: &str, all: bool) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        if !state.stat(path)?.is_dir {
            return Err(DropError::NotDir);
        }
        if !all && state.nodes.below(path).next().is_some() {
            return Err(DropError::NotEmpty);
        }
        state.cut(path);
        state.root_gone |= path.is_empty();
        Ok(())
    }

    pub(super) fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        let source = state.stat(from)?;
        if from == to {
            return Ok(());
        }
        if from.is_empty() || to.is_empty() || to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(self.room.denied("no se puede mover ahí", "cannot be moved there"));
        }
        match state.stat(to) {
            Ok(there) if there.is_dir && !source.is_dir => return Err(DropError::IsDir),
            Ok(there) if !there.is_dir && source.is_dir => return Err(DropError::NotDir),
            Ok(there) if there.is_dir && state.nodes.below(to).next().is_some() => {
                return Err(DropError::NotEmpty);
            }
            Ok(there) if !there.is_dir && !replace => return Err(DropError::Exists),
            _ => {}
        }
        state.admit(&self.room, to)?;
        state.broken.remove(to);
        for (path, node) in state.cut(from) {
            let path = format!("{to}{}", path.get(from.len()..).unwrap_or_default());
            state.nodes.insert(path, node);
        }
        Ok(())
    }

    /// Copies one file; nothing is read, both names share the content.
    pub(super) fn copy_file(&self, from: &str, to: &str) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        let Some(node) = state.nodes.movable(from).filter(|node| !node.stat().is_dir) else {
            return Err(state.stat(from).map_or(DropError::NotFound, |_| DropError::IsDir));
        };
        if from == to {
            return Ok(());
        }
        state.admit(&self.room, to)?;
        state.broken.remove(to);
        state.nodes.insert(to.to_owned(), node);
        Ok(())
    }

    /// Sets the time of a file that this session wrote; the others keep theirs.
    pub(super) fn set_mtime(&self, path: &str, to: i64) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        state.stat(path)?;
        if let Some(Node::File { content: content @ Content::Stored(_), facts }) = state.nodes.get(path) {
            let facts = LiveFile { mtime: to, ..*facts };
            let node = Node::File { content: content.clone(), facts };
            state.nodes.insert(path.to_owned(), node);
        }
        Ok(())
    }

    /// Hands the changes on, durable. `None` if there are none.
    pub(super) fn commit(mut self, sender: Sender) -> Result<Option<Submission>, DropError> {
        self.hand_on_whole(sender)
    }

    /// The same; after an error what was written is still here.
    pub(super) fn hand_on_whole(&mut self, sender: Sender) -> Result<Option<Submission>, DropError> {
        let whole = {
            let mut state = lock(&self.state);
            state.over = true;
            let half = state.open.values().map(|(path, _)| path).chain(&state.broken).next();
            if let Some(half) = half {
                let refused = Rejection::new(Code::TransferIncomplete).entry(half);
                tracing::warn!(%refused, sender = sender.name, "tree transaction abandoned");
                return Err(refused.into());
            }
            state.whole(&self.room)?
        };
        let Some(whole) = whole else { return Ok(None) };
        let receipt = Receipt {
            name: super::view::SITE.to_owned(),
            sender,
            first_byte: whole.first_byte,
            last_byte: whole.last_byte,
            bytes: whole.bytes,
        };
        whole.files.sync_filesystem().map_err(|e| submit::stored_badly(&e))?;
        let record = Record { receipt, changes: whole.changes };
        let text = serde_json::to_vec(&record).map_err(io::Error::from)?;
        whole.files.write_atomic(RECORD, &text).map_err(|e| submit::stored_badly(&e))?;
        self.room.incoming.sync()?;
        let (files, removed) = record.counts();
        let line = submit::line(&record.receipt).with("files", files).with("removed", removed);
        self.room.shared.ledger.append(line).map_err(|error| {
            tracing::error!(%error, "ledger could not be written");
            Rejection::new(Code::LedgerFailed)
        })?;
        // From here on it is accepted: what happens next is the publisher's to tell.
        self.handed_on = true;
        Ok(Some(hand_on(&self.room, whole.files, record, whole.base, self.turn.take())))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        lock(&self.state).over = true;
        if !self.handed_on
            && let Err(error) = self.room.incoming.remove_all(&self.scratch)
        {
            tracing::warn!(%error, "scratch of a tree could not be removed; the next start does");
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
