//! The published tree as senders may read it, and the index that a session's changes are made in.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::super::room::{Room, lock};
use super::super::{DropError, Stat};
use super::index;
use crate::durable::Dir;
use crate::model::Digest;

/// The tree that readers see now, as the publisher tells it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<ArcSwapOption<LiveTree>>);

impl Live {
    /// From now on this tree is live; `None` if nothing is.
    pub fn set(&self, tree: Option<LiveTree>) {
        self.0.store(tree.map(Arc::new));
    }

    /// The tree that is live now.
    pub fn get(&self) -> Option<Arc<LiveTree>> {
        self.0.load_full()
    }
}

/// A published tree, as far as a sender may know it.
#[derive(Debug)]
pub struct LiveTree {
    /// Which release it is.
    pub id: String,
    /// Every file, by its path relative to the site.
    pub files: BTreeMap<String, LiveFile>,
    /// The site's directory.
    pub dir: Dir,
    /// Whatever must live as long as somebody reads here, so that nobody prunes the tree.
    pub hold: Arc<dyn Any + Send + Sync>,
    pub(super) nodes: Nodes,
}

/// One file of a published tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveFile {
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
}

impl LiveTree {
    /// The tree of release `id`, whose files lie in `dir`.
    pub fn new(
        id: impl Into<String>,
        files: BTreeMap<String, LiveFile>,
        dir: Dir,
        hold: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let mut nodes = Nodes::new();
        for (path, file) in &files {
            for (at, _) in path.match_indices('/') {
                let dir = path.get(..at).unwrap_or_default();
                if !nodes.contains_key(dir) {
                    nodes.insert(dir.to_owned(), Node::Dir { mtime: file.mtime });
                }
            }
            nodes.insert(path.clone(), Node::File { content: Content::Here, facts: *file });
        }
        Self { id: id.into(), files, dir, hold, nodes }
    }
}

/// An index of a whole tree, directories included; the root is not in it.
pub(super) type Nodes = BTreeMap<String, Node>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir { mtime: i64 },
    File { content: Content, facts: LiveFile },
}

/// What stands under a name.
#[derive(Clone, Copy, Debug)]
pub(in crate::drop) enum Seen {
    Dir { mtime: i64 },
    File(LiveFile),
}

impl Seen {
    pub(in crate::drop) fn is_dir(&self) -> bool {
        matches!(self, Self::Dir { .. })
    }
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// In the base tree, under the node's own path.
    Here,
    /// In the base tree, under this path.
    Live(String),
    /// In the scratch directory, under this name.
    Stored(String),
}

impl Node {
    /// What is known of a file; `None` for a directory.
    pub(super) fn file(&self) -> Option<&LiveFile> {
        match self {
            Self::Dir { .. } => None,
            Self::File { facts, .. } => Some(facts),
        }
    }

    /// As a push compares it with its own.
    pub(super) fn seen(&self) -> Seen {
        match self {
            Self::Dir { mtime } => Seen::Dir { mtime: *mtime },
            Self::File { facts, .. } => Seen::File(*facts),
        }
    }

    pub(super) fn stat(&self) -> Stat {
        match self {
            Self::Dir { mtime } => Stat { is_dir: true, size: 0, mtime: *mtime },
            Self::File { facts, .. } => Stat { is_dir: false, size: facts.size, mtime: facts.mtime },
        }
    }
}

/// The tree as it is while nobody in this view has written to it.
#[derive(Debug)]
pub(in crate::drop) struct Still {
    live: Option<Arc<LiveTree>>,
    promised: BTreeSet<String>,
}

impl Still {
    pub(in crate::drop) fn now(room: &Room) -> Self {
        Self { live: room.shared.live.get(), promised: lock(&room.promised).clone() }
    }

    pub(in crate::drop) fn see(&self, path: &str) -> Option<Seen> {
        if path.is_empty() || self.promised.contains(path) {
            return Some(Seen::Dir { mtime: 0 });
        }
        self.nodes().and_then(|nodes| nodes.get(path)).map(Node::seen)
    }

    /// Names directly in a directory.
    pub(in crate::drop) fn children(&self, path: &str) -> Vec<(String, Seen)> {
        let promised =
            children(&self.promised, path, |set, range| set.range::<str, _>(range).cloned().collect());
        let mut names: BTreeMap<String, Seen> =
            promised.into_iter().map(|name| (name, Seen::Dir { mtime: 0 })).collect();
        if let Some(nodes) = self.nodes() {
            names.extend(index::children(nodes, path).into_iter().map(|(name, node)| (name, node.seen())));
        }
        names.into_iter().collect()
    }

    pub(in crate::drop) fn stat(&self, path: &str) -> Result<Stat, DropError> {
        if path.is_empty() || self.promised.contains(path) {
            return Ok(Stat { is_dir: true, size: 0, mtime: 0 });
        }
        self.nodes().and_then(|nodes| nodes.get(path)).map(Node::stat).ok_or(DropError::NotFound)
    }

    pub(in crate::drop) fn list(&self, path: &str) -> Result<Vec<(String, Stat)>, DropError> {
        if !self.stat(path)?.is_dir {
            return Err(DropError::NotDir);
        }
        let mut names: BTreeMap<String, Stat> =
            children(&self.promised, path, |set, range| set.range::<str, _>(range).cloned().collect())
                .into_iter()
                .map(|name| (name, Stat { is_dir: true, size: 0, mtime: 0 }))
                .collect();
        if let Some(nodes) = self.nodes() {
            names.extend(index::children(nodes, path).into_iter().map(|(name, node)| (name, node.stat())));
        }
        Ok(names.into_iter().collect())
    }

    pub(in crate::drop) fn read(&self, path: &str) -> Result<File, DropError> {
        if self.stat(path)?.is_dir {
            return Err(DropError::IsDir);
        }
        Ok(self.live.as_ref().ok_or(DropError::NotFound)?.dir.open_file(path)?)
    }

    fn nodes(&self) -> Option<&Nodes> {
        self.live.as_ref().map(|live| &live.nodes)
    }
}

/// The names directly in a directory, of a sorted set of paths.
fn children<S>(
    set: &S,
    path: &str,
    range: impl FnOnce(&S, (Bound<&str>, Bound<&str>)) -> Vec<String>,
) -> Vec<String> {
    let (prefix, end) = bounds(path);
    let paths = match &end {
        Some(end) => range(set, (Bound::Included(&prefix), Bound::Excluded(end))),
        None => range(set, (Bound::Unbounded, Bound::Unbounded)),
    };
    let below = paths.iter().filter_map(|p| p.strip_prefix(&prefix));
    below.filter(|rest| !rest.contains('/')).map(str::to_owned).collect()
}

/// What every path below a directory begins with, and the first string after them all.
pub(super) fn bounds(path: &str) -> (String, Option<String>) {
    if path.is_empty() { (String::new(), None) } else { (format!("{path}/"), Some(format!("{path}0"))) }
}
