//! The virtual root as one channel sees it: which area a path lies in, and what an
//! operation means there or between the two.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use unicode_normalization::UnicodeNormalization as _;

use super::inbox::Inbox;
use super::room::Room;
use super::tree::{Still, Transaction};
use super::{DropError, Open, Push, PushConfig, Stat, Submission, Upload, VPath};
use crate::access::Grant;
use crate::archive::Nfd;
use crate::durable::Space;
use crate::model::{Code, Rejection, Sender, Via};

/// The virtual root as one channel (or command) sees it. Synchronous: runs on a blocking thread.
#[derive(Debug)]
pub struct View {
    /// Who looks.
    pub grant: Grant,
    via: Via,
    room: Arc<Room>,
    inbox: OnceLock<Inbox>,
    tree: Option<Transaction>,
}

/// Where a path leads.
enum Spot {
    /// The packages area; empty for the root itself.
    Packages(PathBuf),
    /// The tree; empty for `sitio` itself.
    Site(String),
}

/// Whether a file that gets a package's name is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Package,
    Plain,
}

impl View {
    pub(super) fn new(room: Arc<Room>, grant: Grant, via: Via) -> Self {
        Self { grant, via, room, inbox: OnceLock::new(), tree: None }
    }

    /// The path that `raw` means when the working directory is `cwd`: `~` and absolute
    /// paths lead to the virtual root (aliases of the configuration first), `..` never leaves it.
    pub fn resolve(&self, cwd: &VPath, raw: &[u8]) -> Result<VPath, DropError> {
        self.room.resolve(cwd, raw)
    }

    /// What is there, as this sender sees it (partial uploads under their final names).
    pub fn stat(&self, path: &VPath) -> Result<Stat, DropError> {
        let stat = match self.spot(path)? {
            Spot::Packages(path) => self.inbox()?.stat(&path),
            Spot::Site(path) => match &self.tree {
                Some(tree) => tree.stat(&path),
                None => Still::now(&self.room).stat(&path),
            },
        };
        match stat {
            // A script that walks to `/var/www/html/prep` passes `/var/www`.
            Err(DropError::NotFound) if self.room.aliases.leads_on(path) => {
                Ok(Stat { is_dir: true, size: 0, mtime: self.room.shared.clock.now().as_second() })
            }
            stat => stat,
        }
    }

    /// Names in a directory with their stats, sorted.
    pub fn list(&self, path: &VPath) -> Result<Vec<(OsString, Stat)>, DropError> {
        match self.spot(path)? {
            Spot::Packages(path) => {
                let mut names = self.inbox()?.list(&path)?;
                if path.as_os_str().is_empty()
                    && let Ok(site) = self.stat(&VPath::root().join(OsStr::new(SITE)))
                {
                    names.push((SITE.into(), site));
                    names.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                Ok(names)
            }
            Spot::Site(path) => {
                let names = match &self.tree {
                    Some(tree) => tree.list(&path)?,
                    None => Still::now(&self.room).list(&path)?,
                };
                Ok(names.into_iter().map(|(name, stat)| (name.into(), stat)).collect())
            }
        }
    }

    /// Opens for reading (checksum commands, `tar xzf FILE`, `cp`, SFTP resume checks).
    pub fn read(&self, path: &VPath) -> Result<File, DropError> {
        match self.spot(path)? {
            Spot::Packages(path) => self.inbox()?.read(&path),
            Spot::Site(path) => match &self.tree {
                Some(tree) => tree.read(&path),
                None => Still::now(&self.room).read(&path),
            },
        }
    }

    /// Begins to write a file; `expected` is the size the client declared, if it did:
    /// too much for the limits or the disk is refused before the first byte.
    pub fn create(&mut self, path: &VPath, open: Open, expected: Option<u64>) -> Result<Upload, DropError> {
        self.begin(path, open, expected, Meaning::Package)
    }

    /// The same for a file that comes out of an archive the sender unpacks: a site holds
    /// downloads such as `20240602_2000_PREP.zip`, which are no packages of ours.
    pub fn create_unpacked(&mut self, path: &VPath, expected: Option<u64>) -> Result<Upload, DropError> {
        self.begin(path, Open::Truncate, expected, Meaning::Plain)
    }

    fn begin(
        &mut self,
        path: &VPath,
        open: Open,
        expected: Option<u64>,
        meaning: Meaning,
    ) -> Result<Upload, DropError> {
        match self.spot(path)? {
            Spot::Packages(path) => {
                let name = path.file_name().ok_or(DropError::IsDir)?;
                let package = meaning == Meaning::Package && self.room.names.is_package(name);
                Upload::in_inbox(self.inbox()?, &path, open, expected, package, self.sender())
            }
            Spot::Site(path) => {
                let room = Arc::clone(&self.room);
                let tree = self.tree()?;
                if open == Open::New && tree.stat(&path).is_ok() {
                    return Err(DropError::Exists);
                }
                let (file, begun) = tree.create(&path, open == Open::Resume)?;
                let existed = open == Open::Resume && tree.holds(&path);
                Upload::in_tree(&room, file, begun, existed, expected)
            }
        }
    }

    /// Makes a directory (with its parents if `parents`; then an existing one is fine).
    pub fn mkdir(&mut self, path: &VPath, parents: bool) -> Result<(), DropError> {
        if !parents {
            return match self.spot(path)? {
                Spot::Packages(path) if path.as_os_str().is_empty() => Err(DropError::Exists),
                Spot::Packages(path) => self.inbox()?.mkdir(&path),
                Spot::Site(path) if path.is_empty() && self.tree.is_none() => Err(DropError::Exists),
                Spot::Site(path) => self.tree()?.mkdir(&path),
            };
        }
        let mut here = VPath::root();
        for part in path.components() {
            here = here.join(part);
            // Asked first: an existing directory needs no turn at the site. A real look, as
            // an alias' parents are only seen, not there.
            match self.spot_stat(&here) {
                Ok(stat) if stat.is_dir => {}
                Ok(_) => return Err(DropError::NotDir),
                Err(DropError::NotFound) => self.mkdir(&here, false)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &VPath) -> Result<(), DropError> {
        // What is not there needs no turn at the site.
        self.spot_stat(path)?;
        match self.spot(path)? {
            Spot::Packages(path) => self.inbox()?.remove(&path),
            Spot::Site(path) => self.tree()?.remove(&path),
        }
    }

    /// Removes a directory; with everything in it if `all`.
    pub fn remove_dir(&mut self, path: &VPath, all: bool) -> Result<(), DropError> {
        self.spot_stat(path)?;
        match self.spot(path)? {
            Spot::Packages(path) if path.as_os_str().is_empty() => {
                Err(self.room.denied("esa carpeta es fija", "that folder is fixed"))
            }
            Spot::Packages(path) => self.inbox()?.remove_dir(&path, all),
            Spot::Site(path) => self.tree()?.remove_dir(&path, all),
        }
    }

    /// Renames. A file that gets a package's name by it becomes a package.
    pub fn rename(
        &mut self,
        from: &VPath,
        to: &VPath,
        replace: bool,
    ) -> Result<Option<Submission>, DropError> {
        let stat = self.spot_stat(from)?;
        match (self.spot(from)?, self.spot(to)?) {
            (Spot::Packages(from), Spot::Packages(to)) => {
                if from.as_os_str().is_empty() || to.starts_with(&from) && to != from {
                    return Err(self.room.denied("no se puede mover ahí", "cannot be moved there"));
                }
                self.inbox()?.rename(&from, &to, replace, || self.sender())
            }
            (Spot::Site(from), Spot::Site(to)) => self.tree()?.rename(&from, &to, replace).map(|()| None),
            _ => self.carry(from, to, stat, replace),
        }
    }

    /// Moves between packages area and tree: `mv nuevo sitio`, `mv sitio anterior`.
    fn carry(
        &mut self,
        from: &VPath,
        to: &VPath,
        stat: Stat,
        replace: bool,
    ) -> Result<Option<Submission>, DropError> {
        match self.spot_stat(to) {
            Ok(there) if there.is_dir && !self.list(to)?.is_empty() => return Err(DropError::NotEmpty),
            Ok(there) if !there.is_dir && !replace => return Err(DropError::Exists),
            Ok(_) | Err(DropError::NotFound) => {}
            Err(e) => return Err(e),
        }
        let mut submissions = self.copy(from, to, true)?;
        if stat.is_dir {
            self.remove_dir(from, true)?
        } else {
            self.remove(from)?
        }
        Ok(submissions.pop())
    }

    /// Copies a file (or a tree if `recursive`). A copy with a package's name becomes a package,
    /// unless it comes out of the site.
    pub fn copy(&mut self, from: &VPath, to: &VPath, recursive: bool) -> Result<Vec<Submission>, DropError> {
        let mut submissions = Vec::new();
        if self.stat(from)?.is_dir {
            if !recursive {
                return Err(DropError::IsDir);
            }
            if to.is_within(from) {
                return Err(self
                    .room
                    .denied("no se copia dentro de sí misma", "cannot be copied into itself"));
            }
            self.mkdir(to, true)?;
            for (name, _) in self.list(from)? {
                submissions.extend(self.copy(&from.join(&name), &to.join(&name), true)?);
            }
            return Ok(submissions);
        }
        if let (Spot::Site(from), Spot::Site(to)) = (self.spot(from)?, self.spot(to)?) {
            self.tree()?.copy_file(&from, &to)?;
            return Ok(submissions);
        }
        submissions.extend(self.copy_bytes(from, to)?);
        Ok(submissions)
    }

    fn copy_bytes(&mut self, from: &VPath, to: &VPath) -> Result<Option<Submission>, DropError> {
        if from == to {
            return Ok(None);
        }
        let meaning = match self.spot(from)? {
            Spot::Packages(_) => Meaning::Package,
            Spot::Site(_) => Meaning::Plain,
        };
        let stat = self.stat(from)?;
        let mut source = self.read(from)?;
        let mut upload = self.begin(to, Open::Truncate, Some(stat.size), meaning)?;
        let mut buffer = vec![0; COPY];
        let mut offset = 0;
        loop {
            let n = source.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            upload.write_at(offset, bytes)?;
            offset += bytes.len() as u64;
        }
        upload.set_mtime(stat.mtime);
        upload.close()
    }

    /// Sets a modification time (`scp -p`, SFTP SETSTAT, touch); silently nothing on a package.
    pub fn set_mtime(&mut self, path: &VPath, mtime: i64) -> Result<(), DropError> {
        match (self.spot(path)?, &self.tree) {
            (Spot::Packages(path), _) => self.inbox()?.set_mtime(&path, mtime),
            (Spot::Site(path), Some(tree)) => tree.set_mtime(&path, mtime),
            // Only what this session wrote gets times: no turn is needed to change nothing.
            (Spot::Site(path), None) => Still::now(&self.room).stat(&path).map(|_| ()),
        }
    }

    /// Room left, for `df` and statvfs@openssh.com.
    pub fn space(&self) -> Result<Space, DropError> {
        let space = self.room.incoming.space()?;
        let free_bytes = space.free_bytes.saturating_sub(self.room.config.reserve_bytes);
        Ok(Space { free_bytes, ..space })
    }

    /// The clean end of the session: commits the tree transaction, if one was begun.
    /// A view that is dropped instead abandons it.
    pub fn finish(mut self) -> Result<Option<Submission>, DropError> {
        let sender = self.sender();
        match self.tree.take() {
            Some(tree) => tree.commit(sender),
            None => Ok(None),
        }
    }

    /// This view for one rsync session.
    pub fn push(self, config: PushConfig) -> Push {
        let sender = self.sender();
        Push::new(self.room, sender, config)
    }

    /// What is really there, without the parents of aliases.
    fn spot_stat(&self, path: &VPath) -> Result<Stat, DropError> {
        match self.spot(path)? {
            Spot::Packages(path) => self.inbox()?.stat(&path),
            Spot::Site(_) => self.stat(path),
        }
    }

    fn spot(&self, path: &VPath) -> Result<Spot, DropError> {
        // Aliases again: a path may have been joined since it was resolved.
        let path = self.room.aliases.follow(path.clone());
        let plain = |part: &OsString| {
            let bytes = part.as_bytes();
            !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|b| matches!(b, b'/' | 0))
        };
        if !path.components().iter().all(plain) {
            return Err(Rejection::new(Code::PathBadChar).entry(path.to_bytes()).into());
        }
        match path.components() {
            [first, rest @ ..] if first == SITE => {
                let relative: PathBuf = rest.iter().collect();
                let bytes = relative.as_os_str().as_bytes();
                let text =
                    std::str::from_utf8(bytes).map_err(|_| Rejection::new(Code::PathNotUtf8).entry(bytes))?;
                Ok(Spot::Site(match self.room.config.limits.nfd {
                    Nfd::Refuse => text.to_owned(),
                    Nfd::Compose => text.nfc().collect(),
                }))
            }
            _ => Ok(Spot::Packages(path.to_relative())),
        }
    }

    fn inbox(&self) -> Result<&Inbox, DropError> {
        if let Some(inbox) = self.inbox.get() {
            return Ok(inbox);
        }
        let inbox = Inbox::open(&self.room, &self.grant.name)?;
        Ok(self.inbox.get_or_init(|| inbox))
    }

    /// The transaction, begun now if it was not.
    fn tree(&mut self) -> Result<&Transaction, DropError> {
        match &mut self.tree {
            Some(tree) => Ok(tree),
            none => Ok(none.insert(Transaction::begin(&self.room)?)),
        }
    }

    fn sender(&self) -> Sender {
        Sender {
            name: self.grant.name.clone(),
            key: Some(self.grant.fingerprint.clone()).filter(|key| !key.is_empty()),
            addr: Some(self.grant.addr),
            via: self.via,
        }
    }
}

/// The folder of the virtual root that is the published tree.
pub(super) const SITE: &str = "sitio";

/// Bytes copied at once.
const COPY: usize = 256 << 10;
