//! A session's tree: the live one, and over it what the session changed.
//!
//! The live index is shared, not copied: a session that changes nothing in a site of
//! 100,000 files costs a few hundred bytes.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use super::live::{Content, LiveTree, Node, Nodes, bounds};

/// The live index with a session's changes over it.
#[derive(Debug, Default)]
pub(super) struct Index {
    base: Option<Arc<LiveTree>>,
    /// What the session wrote; `None` where it removed what the base has.
    own: BTreeMap<String, Option<Node>>,
    count: usize,
}

impl Index {
    pub(super) fn new(base: Option<Arc<LiveTree>>) -> Self {
        let count = base.as_ref().map_or(0, |base| base.nodes.len());
        Self { base, own: BTreeMap::new(), count }
    }

    /// The tree that the session began from.
    pub(super) fn base(&self) -> Option<&Arc<LiveTree>> {
        self.base.as_ref()
    }

    /// Files and directories in all.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        match self.own.get(path) {
            Some(own) => own.as_ref(),
            None => self.base_node(path),
        }
    }

    pub(super) fn insert(&mut self, path: String, node: Node) {
        if self.get(&path).is_none() {
            self.count += 1;
        }
        self.own.insert(path, Some(node));
    }

    /// Removes a node; gives it as it can stand under another name.
    pub(super) fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.movable(path)?;
        self.count -= 1;
        if self.base_node(path).is_some() {
            self.own.insert(path.to_owned(), None);
        } else {
            self.own.remove(path);
        }
        Some(node)
    }

    /// A copy of a node that can stand under another name.
    pub(super) fn movable(&self, path: &str) -> Option<Node> {
        let mut node = self.get(path)?.clone();
        if let Node::File { content: content @ Content::Here, .. } = &mut node {
            *content = Content::Live(path.to_owned());
        }
        Some(node)
    }

    /// What the session changed, in the order of the paths: `None` is gone.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&String, Option<&Node>)> {
        self.own.iter().map(|(path, node)| (path, node.as_ref()))
    }

    /// Everything below a directory, in the order of the paths.
    pub(super) fn below<'i>(&'i self, path: &str) -> Below<'i> {
        let (prefix, end) = bounds(path);
        let range = (Bound::Included(prefix), end.map_or(Bound::Unbounded, Bound::Excluded));
        let base = self.base.as_ref().map(|base| base.nodes.range(range.clone()).peekable());
        Below { base, own: self.own.range(range).peekable() }
    }

    /// Names directly in a directory. What lies deeper is passed over, not walked.
    pub(super) fn children(&self, path: &str) -> Vec<(String, &Node)> {
        let (prefix, end) = bounds(path);
        let mut names = Vec::new();
        let mut from = Bound::Included(prefix.clone());
        loop {
            let range = (from, end.clone().map_or(Bound::Unbounded, Bound::Excluded));
            let base = self.base.as_ref().map(|base| base.nodes.range(range.clone()).peekable());
            let mut deeper = None;
            for (at, node) in (Below { base, own: self.own.range(range).peekable() }) {
                let name = at.get(prefix.len()..).unwrap_or_default();
                match name.split_once('/') {
                    None => names.push((name.to_owned(), node)),
                    Some((above, _)) => {
                        deeper = Some(format!("{prefix}{above}0"));
                        break;
                    }
                }
            }
            match deeper {
                Some(next) => from = Bound::Included(next),
                None => return names,
            }
        }
    }

    fn base_node(&self, path: &str) -> Option<&Node> {
        self.base.as_ref().and_then(|base| base.nodes.get(path))
    }
}

/// The two indexes, merged.
pub(super) struct Below<'i> {
    base: Option<Peekable<Range<'i, String, Node>>>,
    own: Peekable<Range<'i, String, Option<Node>>>,
}

impl<'i> Iterator for Below<'i> {
    type Item = (&'i String, &'i Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let base = self.base.as_mut().and_then(|base| base.peek().map(|(path, _)| *path));
            let own = self.own.peek().map(|(path, _)| *path);
            let is_own = match (base, own) {
                (None, None) => return None,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (Some(base), Some(own)) => own <= base,
            };
            if !is_own {
                return self.base.as_mut().and_then(Iterator::next);
            }
            if base == own {
                self.base.as_mut().and_then(Iterator::next);
            }
            if let Some((path, Some(node))) = self.own.next() {
                return Some((path, node));
            }
        }
    }
}

/// The same walk over a live index alone.
pub(super) fn children<'n>(nodes: &'n Nodes, path: &str) -> Vec<(String, &'n Node)> {
    let (prefix, end) = bounds(path);
    let mut names = Vec::new();
    let mut from = Bound::Included(prefix.clone());
    loop {
        let mut range = nodes.range((from, end.clone().map_or(Bound::Unbounded, Bound::Excluded)));
        let deeper = range.find_map(|(at, node)| {
            let name = at.get(prefix.len()..).unwrap_or_default();
            match name.split_once('/') {
                None => {
                    names.push((name.to_owned(), node));
                    None
                }
                Some((above, _)) => Some(format!("{prefix}{above}0")),
            }
        });
        match deeper {
            Some(next) => from = Bound::Included(next),
            None => return names,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::live::LiveFile;
    use super::*;
    use crate::durable::Dir;
    use crate::model::Digest;

    fn facts() -> LiveFile {
        LiveFile { sha256: Digest::of(b""), size: 0, mtime: 0 }
    }

    fn index(paths: &[&str]) -> Index {
        let files: BTreeMap<_, _> = paths.iter().map(|p| ((*p).to_owned(), facts())).collect();
        let dir = Dir::open("/").unwrap();
        Index::new(Some(Arc::new(LiveTree::new("r", files, dir, Arc::new(())))))
    }

    fn file() -> Node {
        Node::File { content: Content::Stored("0".to_owned()), facts: facts() }
    }

    fn all(index: &Index) -> Vec<&str> {
        index.below("").map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn changes_lie_over_the_base() {
        let mut index = index(&["a/x", "a/y", "a.txt", "b"]);
        assert_eq!((index.len(), all(&index)), (5, vec!["a", "a.txt", "a/x", "a/y", "b"]));
        index.remove("a/x");
        index.insert("a/z".to_owned(), file());
        index.insert("b".to_owned(), file());
        assert_eq!((index.len(), all(&index)), (5, vec!["a", "a.txt", "a/y", "a/z", "b"]));
        assert!(index.get("a/x").is_none() && index.remove("a/x").is_none());
        let names: Vec<_> = index.children("").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a.txt", "b"]);
        let names: Vec<_> = index.children("a").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["y", "z"]);
    }

    #[test]
    fn a_file_of_the_base_keeps_its_content_under_another_name() {
        let mut index = index(&["a"]);
        let node = index.remove("a").unwrap();
        index.insert("b".to_owned(), node);
        let Some(Node::File { content: Content::Live(path), .. }) = index.get("b") else { panic!() };
        assert_eq!(path, "a");
    }
}
