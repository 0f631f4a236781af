//! A tree in memory that notes what it was asked.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::rsync::tree::{
    Basis, Committed, Found, Intent, Kind, Meta, NewFile, Refused, Summary, Time, Tree,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(Vec<u8>),
    Link(Vec<u8>),
}

type Nodes = BTreeMap<Vec<u8>, (Node, Time)>;

/// What the next commit says, after it was asked.
type Verdict = Box<dyn Fn() -> Result<Committed, Refused> + Send + Sync>;

pub(super) struct Memory {
    pub(super) nodes: Arc<Mutex<Nodes>>,
    pub(super) commits: Mutex<Vec<Summary>>,
    pub(super) begun: Mutex<Vec<Intent>>,
    /// Halves of files that a broken push left.
    pub(super) kept: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(super) verdict: Verdict,
    pub(super) panics_at: Option<Vec<u8>>,
}

impl Memory {
    pub(super) fn new(nodes: &[(&str, Node)]) -> Self {
        let mut all = Nodes::from([(Vec::new(), (Node::Dir, Time::default()))]);
        all.extend(
            nodes.iter().map(|(path, node)| (path.as_bytes().to_vec(), (node.clone(), Time::default()))),
        );
        Self {
            nodes: Arc::new(Mutex::new(all)),
            commits: Mutex::default(),
            begun: Mutex::default(),
            kept: Arc::default(),
            verdict: Box::new(|| Ok(Committed::Done(None))),
            panics_at: None,
        }
    }

    pub(super) fn file(&self, path: &str) -> Option<Vec<u8>> {
        match self.nodes.lock().unwrap().get(path.as_bytes()) {
            Some((Node::File(bytes), _)) => Some(bytes.clone()),
            _ => None,
        }
    }

    pub(super) fn committed(&self) -> usize {
        self.commits.lock().unwrap().len()
    }
}

struct Bytes(Vec<u8>);

impl Basis for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let at = offset as usize;
        buffer.copy_from_slice(&self.0[at..at + buffer.len()]);
        Ok(())
    }
}

struct Growing {
    path: Vec<u8>,
    bytes: Vec<u8>,
    nodes: Arc<Mutex<Nodes>>,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl NewFile for Growing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, meta: &Meta) -> Result<(), Refused> {
        let node = (Node::File(self.bytes), meta.mtime.unwrap_or_default());
        self.nodes.lock().unwrap().insert(self.path, node);
        Ok(())
    }

    fn keep(self: Box<Self>) {
        self.kept.lock().unwrap().push(self.bytes);
    }

    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused> {
        Ok(Box::new(Bytes(self.bytes)))
    }
}

impl Tree for Memory {
    fn destination(&self, raw: &[u8]) -> Result<Vec<u8>, Refused> {
        Ok(raw.strip_suffix(b"/").unwrap_or(raw).to_vec())
    }

    fn begin(&self, intent: &Intent) -> Result<(), Refused> {
        self.begun.lock().unwrap().push(intent.clone());
        Ok(())
    }

    fn look(&self, path: &[u8]) -> io::Result<Option<Found>> {
        assert_ne!(self.panics_at.as_deref(), Some(path), "the tree was told to panic here");
        let nodes = self.nodes.lock().unwrap();
        Ok(nodes.get(path).map(|(node, mtime)| {
            let (kind, size) = match node {
                Node::Dir => (Kind::Dir, 0),
                Node::File(bytes) => (Kind::File, bytes.len() as u64),
                Node::Link(target) => (Kind::Link(target.clone()), 0),
            };
            let mode = if kind == Kind::Dir { 0o755 } else { 0o644 };
            Found { kind, size, mtime: *mtime, mode, inode: None }
        }))
    }

    fn list(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, Found)>> {
        let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let names: Vec<Vec<u8>> = self.nodes.lock().unwrap().keys().cloned().collect();
        let below = names.into_iter().filter(|name| !name.is_empty());
        let direct = below.filter_map(|name| {
            let rest = name.strip_prefix(&prefix[..])?.to_vec();
            (!rest.contains(&b'/')).then_some((rest, name))
        });
        direct.map(|(rest, name)| Ok((rest, self.look(&name)?.expect("listed")))).collect()
    }

    fn content(&self, path: &[u8]) -> io::Result<Box<dyn Basis>> {
        match self.nodes.lock().unwrap().get(path) {
            Some((Node::File(bytes), _)) => Ok(Box::new(Bytes(bytes.clone()))),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn basis(&self, path: &[u8], _: u64) -> io::Result<Option<Box<dyn Basis>>> {
        Ok(self.content(path).ok())
    }

    fn create(&self, path: &[u8], _: u64) -> Result<Box<dyn NewFile>, Refused> {
        let (nodes, kept) = (Arc::clone(&self.nodes), Arc::clone(&self.kept));
        Ok(Box::new(Growing { path: path.to_vec(), bytes: Vec::new(), nodes, kept }))
    }

    fn make_dir(&self, path: &[u8]) -> Result<(), Refused> {
        self.nodes.lock().unwrap().insert(path.to_vec(), (Node::Dir, Time::default()));
        Ok(())
    }

    fn make_link(&self, path: &[u8], target: &[u8], meta: &Meta) -> Result<(), Refused> {
        let node = (Node::Link(target.to_vec()), meta.mtime.unwrap_or_default());
        self.nodes.lock().unwrap().insert(path.to_vec(), node);
        Ok(())
    }

    fn hard_link(&self, existing: &[u8], path: &[u8]) -> Result<(), Refused> {
        let mut nodes = self.nodes.lock().unwrap();
        let node = nodes.get(existing).cloned().expect("what is linked is there");
        nodes.insert(path.to_vec(), node);
        Ok(())
    }

    fn set(&self, path: &[u8], meta: &Meta) -> Result<(), Refused> {
        if let (Some((_, mtime)), Some(time)) = (self.nodes.lock().unwrap().get_mut(path), meta.mtime) {
            *mtime = time;
        }
        Ok(())
    }

    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        self.nodes.lock().unwrap().remove(path);
        Ok(())
    }

    fn commit(&self, summary: &Summary) -> Result<Committed, Refused> {
        self.commits.lock().unwrap().push(summary.clone());
        (self.verdict)()
    }
}
