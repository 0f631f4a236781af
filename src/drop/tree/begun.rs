//! A file of the tree being written, from its first byte to its name.

use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::super::DropError;
use super::super::room::{Room, lock};
use super::live::{Content, LiveFile, Node};
use super::state::State;
use crate::durable::Dir;
use crate::model::{Code, Digest, Rejection};

/// A file of the tree being written.
#[derive(Debug)]
pub(in crate::drop) struct Begun {
    pub(super) state: Arc<Mutex<State>>,
    /// Its path in the site.
    pub(in crate::drop) path: String,
    pub(super) number: u64,
    pub(super) finished: bool,
}

impl Begun {
    /// The file is whole: from now on the session sees it.
    pub(in crate::drop) fn finish(
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
    pub(in crate::drop) fn leave(&self) {
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
    pub(in crate::drop) fn give_up(&mut self, keep: impl FnOnce(&Dir, &str) -> io::Result<()>) {
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
    pub(in crate::drop) fn forget(&mut self) {
        let mut state = lock(&self.state);
        state.open.remove(&self.number);
        if !state.over {
            let _ = state.files.remove_file(self.number.to_string());
        }
        self.finished = true;
    }

    pub(in crate::drop) fn grown(&self, to: u64) {
        if let Some((_, size)) = lock(&self.state).open.get_mut(&self.number) {
            *size = to;
        }
    }

    /// Counts bytes against what a tree may hold.
    pub(in crate::drop) fn charge(&self, room: &Room, bytes: u64) -> Result<(), DropError> {
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
