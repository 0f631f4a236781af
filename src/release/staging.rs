//! A release in the making: files come in, unchanged ones are shared with the base.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{File, FileTimes};
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::reader::{Facts, hash};
use super::{FACTS, FileFacts, MANIFEST, Manifest, Meta, Release, SITE, Store};
use crate::archive::Sink;
use crate::drop::{Change, TreeChange};
use crate::durable::Dir;
use crate::model::{Digest, Hasher, ReleaseId};

/// A tree beneath the scratch directory. Dropped before it is sealed, it is removed.
///
/// Files come by [`Sink`] as an archive is read, or one by one for a pushed tree. A file whose
/// content the base release has already becomes a second name of the base's file: such a
/// file is never written to, nor are its mode and times touched.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    scratch: Scratch,
    site: Dir,
    base: Option<Base>,
    manifest: Manifest,
    folders: HashSet<String>,
    writing: Option<Writing>,
    /// Reused for every small file.
    buffer: Vec<u8>,
    shared: usize,
    now: Timestamp,
    witness: Option<Box<dyn Witness>>,
}

/// Somebody who wants the content of a release while it passes, and so need not read it again:
/// the serving half of the same process.
pub trait Witness: Send + fmt::Debug {
    /// A file that the base has not, with its SHA-256. Large ones are not shown.
    fn file(&mut self, sha256: Digest, bytes: &[u8]);
    /// The release that holds these files will be shown next.
    fn next(self: Box<Self>, release: &Release);
}

/// Flushes the file system of a tree that is still being filled. Through a handle of its own:
/// an error that it meets is told to [`Staging::seal`] too.
#[derive(Debug)]
pub struct Flusher(Dir);

impl Flusher {
    /// Makes durable what is there. Promises nothing: only [`Staging::seal`] does. After an error
    /// the tree must be given up.
    pub fn flush(&self) -> io::Result<()> {
        self.0.sync_filesystem()
    }
}

/// A release whose files may be shared.
#[derive(Debug)]
struct Base {
    release: Release,
    by_content: HashMap<Digest, String>,
}

/// How a file of the base compares with bytes that came.
#[derive(Clone, Copy, Debug)]
enum Likeness {
    /// It holds them, and its manifest says that this is their hash.
    Same(Digest),
    /// It holds others, whatever its manifest's hash says.
    Other(Digest),
    /// Nobody looked.
    Unknown,
}

/// A directory that goes away with its owner unless it got its final name.
#[derive(Debug)]
struct Scratch {
    store: Store,
    name: String,
    dir: Dir,
    kept: bool,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is removed at the next start.
            let _ = self.store.releases().remove_all(&self.name);
        }
    }
}

/// The file that is coming in.
#[derive(Debug)]
struct Writing {
    path: String,
    size: u64,
    taken: u64,
    mtime: i64,
    /// Large ones go straight to disk; small ones wait in the buffer for their hash.
    large: Option<(File, Hasher)>,
}

impl Staging {
    pub(super) fn new(store: &Store, base: Option<&Release>, name: String) -> io::Result<Self> {
        let releases = store.releases();
        releases.create_dir(&name)?;
        let dir = releases.sub(&name)?;
        let scratch = Scratch { store: store.clone(), name, dir, kept: false };
        let site = scratch.dir.sub_create(SITE)?;
        Ok(Self {
            store: store.clone(),
            scratch,
            site,
            base: base.map(Base::of),
            manifest: Manifest::default(),
            folders: HashSet::new(),
            writing: None,
            buffer: Vec::new(),
            shared: 0,
            now: store.clock().now(),
            witness: None,
        })
    }

    /// Shows the files that come from now on to `witness`.
    pub fn watched_by(&mut self, witness: Option<Box<dyn Witness>>) {
        self.witness = witness;
    }

    /// Writes out what has come in while more comes.
    pub fn flusher(&self) -> io::Result<Flusher> {
        Ok(Flusher(Dir::open(self.scratch.dir.path())?))
    }

    /// What has come in so far.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Files that are second names of the base's.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// Opens a file that has come in, for checks of its content.
    pub fn open(&self, path: &str) -> io::Result<File> {
        self.site.open_file(path)
    }

    /// Begins with everything the base holds: what a pushed tree changes. Without a base
    /// it begins empty.
    pub fn start_from_base(&mut self) -> io::Result<()> {
        let Some(base) = &self.base else { return Ok(()) };
        let release = base.release.clone();
        release
            .manifest
            .files()
            .iter()
            .try_for_each(|(path, facts)| self.take_from(&release, path, path, *facts))
    }

    /// Adds every file of the base that has not come in: what an increment leaves as it was.
    pub fn complete_from_base(&mut self) -> io::Result<()> {
        let Some(base) = &self.base else { return Ok(()) };
        let release = base.release.clone();
        for (path, facts) in release.manifest.files() {
            if self.manifest.get(path).is_none() {
                self.take_from(&release, path, path, *facts)?;
            }
        }
        Ok(())
    }

    /// Applies what a session did to the live tree. The base must be that tree.
    pub fn apply(&mut self, changes: &TreeChange) -> io::Result<()> {
        for (path, change) in &changes.changes {
            match change {
                Change::Dir => {
                    self.no_file_on_the_way(path)?;
                    self.folder(path)?;
                }
                Change::File { stored, sha256, size, mtime } => {
                    let facts = FileFacts { sha256: *sha256, size: *size, mtime: *mtime };
                    self.adopt(path, &changes.files, stored, facts)?;
                }
                Change::Live { path: from } => self.copy_live(from, path)?,
                Change::Removed => self.remove(path)?,
            }
        }
        Ok(())
    }

    /// Takes in a file that is already written elsewhere on the same file system, by a second
    /// name: nobody may write to it afterwards. Replaces what stood at `path`.
    pub fn adopt(&mut self, path: &str, from: &Dir, stored: &str, facts: FileFacts) -> io::Result<()> {
        let stat = from.stat(stored)?;
        if u64::try_from(stat.st_size).ok() != Some(facts.size) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file has not the size it came with"));
        }
        self.make_way(path)?;
        if !self.share(path, facts)? {
            from.link_to(stored, &self.site, path)?;
            self.manifest.insert(path, facts);
        }
        Ok(())
    }

    /// Removes a file, or a directory with everything in it; nothing there is fine.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        match self.site.remove_all(path) {
            // Below something that is a file: not there either.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            removed => removed?,
        }
        for gone in self.manifest.beneath(path) {
            self.manifest.remove(&gone);
        }
        // A pass over all folders, which a tree of 100,000 files must not cost for each of them.
        if self.folders.contains(path) {
            let inside = format!("{path}/");
            self.folders.retain(|f| f != path && !f.starts_with(&inside));
        }
        Ok(())
    }

    /// Puts a file or directory of the base under `to`, whatever has become of it here.
    pub fn copy_live(&mut self, from: &str, to: &str) -> io::Result<()> {
        let Some(base) = &self.base else { return Err(io::ErrorKind::NotFound.into()) };
        let release = base.release.clone();
        let paths = release.manifest.beneath(from);
        if paths.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.make_way(to)?;
        for path in paths {
            let target = format!("{to}{}", path.strip_prefix(from).unwrap_or_default());
            if let Some(facts) = release.manifest.get(&path) {
                self.take_from(&release, &path, &target, *facts)?;
            }
        }
        Ok(())
    }

    /// Takes away the one directory that everything lies beneath.
    pub fn strip(&mut self, top: &str) -> io::Result<()> {
        let outside =
            || io::Error::new(io::ErrorKind::InvalidInput, "not everything lies beneath that directory");
        let stripped = self.manifest.stripped(top).ok_or_else(outside)?;
        let dir = &self.scratch.dir;
        dir.rename(format!("{SITE}/{top}"), STRIPPED)?;
        dir.remove_all(SITE)?;
        dir.rename(STRIPPED, SITE)?;
        self.site = dir.sub(SITE)?;
        self.manifest = stripped;
        let inside = format!("{top}/");
        self.folders =
            self.folders.iter().filter_map(|f| Some(f.strip_prefix(&inside)?.to_owned())).collect();
        Ok(())
    }

    /// Writes the manifest and what is known of the release, and makes all of it durable with one
    /// sync. A sync that fails must not be tried again on the same files: they are
    /// removed, and the caller may stage once more from the original.
    pub fn seal(mut self, meta: Meta) -> io::Result<Staged> {
        if self.writing.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file is not whole"));
        }
        let (text, dir) = (self.manifest.text(), &self.scratch.dir);
        let tree = Digest::of(text.as_bytes());
        let id = ReleaseId::new(self.store.next_sequence(), meta.cut, &tree);
        let files = self.manifest.files().iter().map(|(p, f)| (p.clone(), (f.size, f.mtime))).collect();
        let facts = Facts { id, tree, sealed: self.store.clock().now(), meta, files };
        dir.create_file(MANIFEST)?.write_all(text.as_bytes())?;
        dir.create_file(FACTS)?.write_all(&serde_json::to_vec(&facts)?)?;
        dir.sync_filesystem()?;
        let Facts { id, sealed, meta, .. } = facts;
        let manifest = std::mem::take(&mut self.manifest);
        Ok(Staged { scratch: self.scratch, id, tree, manifest, sealed, meta, witness: self.witness })
    }

    /// Removes whatever stands at `path` and makes the directories above it.
    fn make_way(&mut self, path: &str) -> io::Result<()> {
        self.remove(path)?;
        match path.rsplit_once('/') {
            Some((folder, _)) => {
                self.no_file_on_the_way(folder)?;
                self.folder(folder)
            }
            None => Ok(()),
        }
    }

    /// Removes a file that stands where a directory must be. Only a pushed tree may
    /// replace a file by a directory; in an archive that is a collision.
    fn no_file_on_the_way(&mut self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for part in ends.filter_map(|end| path.get(..end)) {
            if self.manifest.remove(part).is_some() {
                self.site.remove_file(part)?;
            }
        }
        Ok(())
    }

    /// Makes a directory and those above it.
    fn folder(&mut self, path: &str) -> io::Result<()> {
        if self.folders.contains(path) {
            return Ok(());
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above)?;
        }
        match self.site.create_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.folders.insert(path.to_owned());
        Ok(())
    }

    /// Gives a file of `release` the name `to`, or copies it where the file system
    /// cannot give it one more name or the file was tampered with.
    fn take_from(&mut self, release: &Release, path: &str, to: &str, facts: FileFacts) -> io::Result<()> {
        if let Some((folder, _)) = to.rsplit_once('/') {
            self.folder(folder)?;
        }
        if !self.share(to, facts)? {
            let mut from = release.open(path)?;
            io::copy(&mut from, &mut self.site.create_file(to)?)?;
            let (found, size) = hash(self.site.open_file(to)?)?;
            if found != facts.sha256 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a file of the base was changed"));
            }
            self.manifest.insert(to, FileFacts { size, ..facts });
        }
        Ok(())
    }

    /// Shares a file of the base that has this content, if there is one that can be trusted.
    fn share(&mut self, path: &str, facts: FileFacts) -> io::Result<bool> {
        let Some(base) = &self.base else { return Ok(false) };
        let Some(known) = base.find(path, &facts) else { return Ok(false) };
        // Whatever the reason (too many links, another file system): writing it works too.
        if base.release.site.link_to(known, &self.site, path).is_err() {
            return Ok(false);
        }
        self.manifest.insert(path, facts);
        self.shared += 1;
        Ok(true)
    }

    fn end_small(&mut self, writing: Writing) -> io::Result<()> {
        // Most files of a cut are as they were: to compare costs a quarter of hashing.
        let likeness = self.base.as_ref().map(|base| base.compare(&writing.path, &self.buffer));
        let sha256 = match likeness {
            Some(Likeness::Same(sha256)) => sha256,
            Some(Likeness::Other(_) | Likeness::Unknown) | None => Digest::of(&self.buffer),
        };
        let facts = FileFacts { sha256, size: writing.size, mtime: writing.mtime };
        let is_rotten = matches!(likeness, Some(Likeness::Other(promised)) if promised == sha256);
        if is_rotten || !self.share(&writing.path, facts)? {
            let mut file = self.site.create_file(&writing.path)?;
            file.write_all(&self.buffer)?;
            self.date(&file, writing.mtime)?;
            self.manifest.insert(writing.path, facts);
            if let Some(witness) = &mut self.witness {
                witness.file(facts.sha256, &self.buffer);
            }
        }
        Ok(())
    }

    fn end_large(&mut self, writing: Writing, file: &File, sha256: Digest) -> io::Result<()> {
        let facts = FileFacts { sha256, size: writing.size, mtime: writing.mtime };
        let known = self.base.as_ref().and_then(|b| b.find(&writing.path, &facts));
        if known.is_some() {
            self.site.rename(&writing.path, UNSHARED)?;
            if self.share(&writing.path, facts)? {
                return self.site.remove_file(UNSHARED);
            }
            self.site.rename(UNSHARED, &writing.path)?;
        }
        self.date(file, writing.mtime)?;
        self.manifest.insert(writing.path, facts);
        Ok(())
    }

    /// Gives a file that was just written the time the package says, never one to come.
    fn date(&self, file: &File, mtime: i64) -> io::Result<()> {
        let seconds = u64::try_from(mtime.clamp(0, self.now.as_second().max(0))).unwrap_or(0);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_times(FileTimes::new().set_modified(at))
    }
}

impl Sink for Staging {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        self.folder(path)
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        let is_large = size > BUFFERED_BYTES_MAX;
        let large = if is_large { Some((self.site.create_file(path)?, Hasher::new())) } else { None };
        self.buffer.clear();
        self.writing = Some(Writing { path: path.to_owned(), size, taken: 0, mtime, large });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return Err(disorder()) };
        writing.taken += bytes.len() as u64;
        if writing.taken > writing.size {
            return Err(disorder());
        }
        match &mut writing.large {
            Some((file, hasher)) => {
                hasher.update(bytes);
                file.write_all(bytes)
            }
            None => {
                self.buffer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(mut writing) = self.writing.take() else { return Err(disorder()) };
        if writing.taken != writing.size {
            return Err(disorder());
        }
        match writing.large.take() {
            Some((file, hasher)) => self.end_large(writing, &file, hasher.finish()),
            None => self.end_small(writing),
        }
    }
}

impl Base {
    fn of(release: &Release) -> Self {
        let by_content = release.manifest.files().iter().map(|(path, facts)| (facts.sha256, path.clone()));
        Self { release: release.clone(), by_content: by_content.collect() }
    }

    /// Compares `bytes` with the base's file of that name (or of that name below the one top directory
    /// that was taken away).
    fn compare(&self, path: &str, bytes: &[u8]) -> Likeness {
        let files = self.release.manifest.files();
        let below = || files.get_key_value(path.split_once('/')?.1);
        match files.get_key_value(path).or_else(below) {
            Some((path, facts)) if bytes.len() >= COMPARED_BYTES_MIN && facts.size == bytes.len() as u64 => {
                match self.holds(path, bytes) {
                    Ok(true) => Likeness::Same(facts.sha256),
                    Ok(false) => Likeness::Other(facts.sha256),
                    Err(_) => Likeness::Unknown,
                }
            }
            _ => Likeness::Unknown,
        }
    }

    fn holds(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        let mut file = self.release.site.open_file(path)?;
        let mut block = vec![0; COMPARED_BLOCK];
        for piece in bytes.chunks(COMPARED_BLOCK) {
            let read = block.get_mut(..piece.len()).unwrap_or_default();
            file.read_exact(read)?;
            if read != piece {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The base's file with this content, preferably of the same name. A file that was written
    /// to after the release was sealed is not what its manifest says.
    fn find(&self, path: &str, facts: &FileFacts) -> Option<&str> {
        let same = self.release.manifest.files().get_key_value(path);
        let same = same.filter(|(_, f)| f.sha256 == facts.sha256).map(|(path, _)| path);
        let path = same.or_else(|| self.by_content.get(&facts.sha256))?;
        let stat = self.release.site.stat(path).ok()?;
        let sealed = self.release.sealed.as_second();
        let untouched = u64::try_from(stat.st_size).ok() == Some(facts.size) && stat.st_mtime <= sealed;
        untouched.then_some(path.as_str())
    }
}

/// A whole, durable tree that has not got its name yet. Dropped, it is removed.
#[derive(Debug)]
pub struct Staged {
    scratch: Scratch,
    id: ReleaseId,
    tree: Digest,
    manifest: Manifest,
    sealed: Timestamp,
    meta: Meta,
    witness: Option<Box<dyn Witness>>,
}

impl Staged {
    /// The name it will have.
    pub fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// SHA-256 of its manifest's text.
    pub fn tree(&self) -> Digest {
        self.tree
    }

    /// Its files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What else was sealed with it.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whoever saw its files pass.
    pub fn take_witness(&mut self) -> Option<Box<dyn Witness>> {
        self.witness.take()
    }

    /// Gives it its name, durably. Readers do not see it yet: see [`Store::point`].
    pub fn commit(mut self) -> io::Result<Release> {
        let releases = self.scratch.store.releases();
        releases.rename_new(&self.scratch.name, self.id.as_str())?;
        self.scratch.kept = true;
        releases.sync()?;
        let dir = releases.sub(self.id.as_str())?;
        let (id, tree, sealed) = (self.id, self.tree, self.sealed);
        Release::new(id, dir, self.manifest, tree, sealed, self.meta)
    }
}

fn disorder() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a file did not come as it was announced")
}

/// Files up to this size wait in memory for their hash, so that an unchanged one is
/// never written at all. One buffer is used for all.
const BUFFERED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Below this a hash is made sooner than a file is opened.
const COMPARED_BYTES_MIN: usize = 16 * 1024;
/// Bytes compared at a time: small enough to stay in the processor's cache.
const COMPARED_BLOCK: usize = 64 * 1024;
/// The site while its top directory is being taken away.
const STRIPPED: &str = "stripped";
/// A large file while its place is given to the base's. No entry of an archive can be
/// called so: names that begin with a dot do not come in.
const UNSHARED: &str = ".unshared~";
