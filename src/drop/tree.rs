//! The tree below `sitio/`: the live site, and one session's changes on top of it.
//!
//! A [`Transaction`] belongs to one view and holds the turn. It begins with a copy of the
//! live tree's index; every operation changes that index alone, written files lie under
//! numbers in `var/incoming/tree-…/`. [`Transaction::commit`] compares the index with the live one
//! and hands the difference on; dropping it instead leaves nothing.

mod index;
mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::room::{Room, Turn, lock, size};
use super::shelf::Shelf;
use super::{Answer, Arrival, Change, DropError, Payload, Stat, Submission, TreeChange, submit};
use crate::archive::{self, Name};
use crate::durable::Dir;
use crate::model::{Code, Digest, Receipt, Rejection, Sender};

use index::Index;
use live::{Content, Node};

pub use live::{Live, LiveFile, LiveTree};
pub(super) use live::{Seen, Still};

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

/// What a transaction and its uploads share.
#[derive(Debug)]
pub(super) struct State {
    nodes: Index,
    /// The session removed `sitio` itself and has not made it again.
    root_gone: bool,
    files: Dir,
    next: u64,
    bytes: u64,
    /// Files being written, with their size so far.
    open: BTreeMap<u64, (String, u64)>,
    /// Files whose writing was broken off and not repeated.
    broken: BTreeSet<String>,
    /// Committed or abandoned: an upload that comes later is too late.
    over: bool,
    first_byte: Option<Timestamp>,
    last_byte: Option<Timestamp>,
}

/// A file of the tree being written.
#[derive(Debug)]
pub(super) struct Begun {
    state: Arc<Mutex<State>>,
    /// Its path in the site.
    pub(super) path: String,
    number: u64,
    finished: bool,
}

impl Transaction {
    /// Waits for the turn and begins from what is live.
    pub(super) fn begin(room: &Arc<Room>) -> Result<Self, DropError> {
        let turn = room.turn()?;
        let base = room.live.get();
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
        let mtime = self.room.clock.now().as_second();
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
        self.room.ledger.append(line).map_err(|error| {
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

/// What a commit hands on.
struct WholeTree {
    files: Dir,
    changes: BTreeMap<String, Change>,
    base: Option<Arc<LiveTree>>,
    bytes: u64,
    first_byte: Timestamp,
    last_byte: Timestamp,
}

impl State {
    fn stat(&self, path: &str) -> Result<Stat, DropError> {
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

    fn read(&self, path: &str) -> Result<File, DropError> {
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

    fn children(&self, path: &str) -> Vec<(String, Stat)> {
        self.nodes.children(path).into_iter().map(|(name, node)| (name, node.stat())).collect()
    }

    /// Whether a new name may stand at `path`.
    fn admit(&mut self, room: &Room, path: &str) -> Result<(), DropError> {
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
    fn cut(&mut self, path: &str) -> Vec<(String, Node)> {
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
    fn clear_up(&self) -> io::Result<u64> {
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
    fn whole(&self, room: &Room) -> Result<Option<WholeTree>, DropError> {
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
        let now = room.clock.now();
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

impl Begun {
    /// The file is whole: from now on the session sees it.
    pub(super) fn finish(
        &mut self,
        sha256: Digest,
        size: u64,
        mtime: i64,
        (first_byte, last_byte): (Timestamp, Timestamp),
    ) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        if state.over {
            return Err(Rejection::new(Code::TransferIncomplete).entry(&self.path).into());
        }
        if state.nodes.get(&self.path).is_some_and(|node| node.stat().is_dir) {
            return Err(DropError::IsDir);
        }
        let content = Content::Stored(self.number.to_string());
        state
            .nodes
            .insert(self.path.clone(), Node::File { content, facts: LiveFile { sha256, size, mtime } });
        state.broken.remove(&self.path);
        state.open.remove(&self.number);
        state.first_byte.get_or_insert(first_byte);
        state.last_byte = Some(last_byte);
        self.finished = true;
        Ok(())
    }

    /// The upload ends. Without [`Begun::finish`] the transaction has a half file.
    pub(super) fn leave(&self) {
        if self.finished {
            return;
        }
        let mut state = lock(&self.state);
        state.open.remove(&self.number);
        state.broken.insert(self.path.clone());
        if !state.over {
            let _ = state.files.remove_file(self.number.to_string());
        }
    }

    /// The upload broke off: `keep` is given what was written, with the directory it lies in.
    pub(super) fn give_up(&mut self, keep: impl FnOnce(&Dir, &str) -> io::Result<()>) {
        let mut state = lock(&self.state);
        state.open.remove(&self.number);
        state.broken.insert(self.path.clone());
        if !state.over
            && let Err(error) = keep(&state.files, &self.number.to_string())
        {
            tracing::debug!(%error, "what arrived could not be kept");
        }
        self.finished = true;
    }

    /// An upload that was opened to be gone on with and left as it was.
    pub(super) fn forget(&mut self) {
        let mut state = lock(&self.state);
        state.open.remove(&self.number);
        if !state.over {
            let _ = state.files.remove_file(self.number.to_string());
        }
        self.finished = true;
    }

    pub(super) fn grown(&self, to: u64) {
        if let Some((_, size)) = lock(&self.state).open.get_mut(&self.number) {
            *size = to;
        }
    }

    /// Counts bytes against what a tree may hold.
    pub(super) fn charge(&self, room: &Room, bytes: u64) -> Result<(), DropError> {
        let mut state = lock(&self.state);
        let limit = room.config.limits.unpacked_bytes;
        if state.bytes.saturating_add(bytes) > limit {
            state.bytes = state.clear_up()?;
        }
        state.bytes = state.bytes.saturating_add(bytes);
        if state.bytes > limit {
            return Err(Rejection::new(Code::SizeTotal).detail(format!("> {limit} B")).into());
        }
        Ok(())
    }
}

/// What becomes of a name in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    /// Junk or a dotfile: may be written, is left out at the commit.
    LeftOut,
}

/// Judges a name by the rules that packages follow, before a byte is written.
fn judge(room: &Room, path: &str) -> Result<Fate, DropError> {
    match archive::check_name(path.as_bytes(), &room.config.limits) {
        Ok(Name::Path(_)) => Ok(Fate::Kept),
        Ok(Name::Skip(_)) => Ok(Fate::LeftOut),
        Ok(Name::Root) => Err(DropError::IsDir),
        Err(refusal) => Err(Rejection::new(refusal.reason.into()).entry(path).into()),
    }
}

/// A committed tree that waits for the publisher: what a crash must not lose.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    receipt: Receipt,
    changes: BTreeMap<String, Change>,
}

impl Record {
    fn counts(&self) -> (usize, usize) {
        let removed = self.changes.values().filter(|change| **change == Change::Removed).count();
        (self.changes.len() - removed, removed)
    }
}

/// Hands a tree on, with the turn.
fn hand_on(
    room: &Room,
    files: Dir,
    record: Record,
    base: Option<Arc<LiveTree>>,
    turn: Option<Turn>,
) -> Submission {
    let (verdict, submission) = Answer::promise(&record.receipt.name, turn);
    let payload = Payload::Tree(TreeChange { files, changes: record.changes });
    room.hand_on(Arrival { payload, receipt: record.receipt, base, verdict });
    submission
}

/// Hands a tree on that was committed before a crash; `false` if `name` is none.
pub(super) fn hand_on_again(room: &Room, name: &str) -> io::Result<bool> {
    let Ok(dir) = room.incoming.sub(name) else { return Ok(false) };
    let Ok(text) = dir.read(RECORD, RECORD_BYTES) else { return Ok(false) };
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(false) };
    hand_on(room, dir, record, None, None);
    Ok(true)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The file that makes a scratch directory a committed tree.
const RECORD: &str = "commit.json";

/// Bytes of that file: 50,000 entries of 1 KiB are 60 MB.
const RECORD_BYTES: u64 = 128 << 20;

/// Empty directories remembered between sessions.
const PROMISED_MAX: usize = 1000;
