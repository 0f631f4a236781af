//! Every package ever received, byte-equal, by its SHA-256.
//!
//! Owns `var/history`: `<sha256>.<ext>` (the bytes, read-only), `<sha256>.json` (each reception and
//! each verdict), `blobs/ab/<sha256>` (files of pushed trees) and `lock`. A pushed tree is
//! an original too: its manifest, under `<sha256>.tree`. Imports `durable` and `model`.
//!
//! A whole scratch file comes in by [`History::keep`] and is durable when that returns; nothing
//! goes out before the end of the retention. After an error in `keep` either nothing is
//! there or the bytes are, without a record: the next reception adds it.

mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::durable::{self, Dir, Listed};
use crate::model::{Digest, Hasher, Receipt};

pub use record::{Decision, Record, Verdict};

/// The directory of originals. Clones share it.
#[derive(Clone, Debug)]
pub struct History {
    dir: Dir,
    lock: Arc<Mutex<File>>,
}

/// A package that is safe: its bytes, name and receipt survive a power cut.
#[derive(Clone, Debug)]
pub struct Kept {
    /// SHA-256 of the bytes.
    pub id: Digest,
    /// Where the bytes are.
    pub path: PathBuf,
    /// Whether these bytes had never come before.
    pub is_new: bool,
}

/// What comparing an original with its name gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The bytes are what came.
    Equal,
    /// The bytes have this hash instead.
    Changed(Digest),
    /// The bytes are not there.
    Missing,
    /// For a pushed tree: files of it that are missing or changed.
    Blobs(Vec<Digest>),
}

/// Why originals were not removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The end of the retention lies ahead.
    #[error("originals are kept until {0}")]
    TooEarly(Timestamp),
    /// The file system.
    #[error("removing originals")]
    Io(#[from] io::Error),
}

impl History {
    /// Opens the history in `dir`, or begins one.
    pub fn open(dir: &Dir) -> io::Result<Self> {
        dir.create_dir_all(BLOBS)?;
        let lock = dir.open_or_create(LOCK)?;
        dir.sync()?;
        Ok(Self { dir: dir.clone(), lock: Arc::new(Mutex::new(lock)) })
    }

    /// The directory itself.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Moves a whole, written file (beneath the same file system) into the history and
    /// makes it durable, with its receipt beside it. `file` is open on `name` in `scratch` and
    /// nobody writes to it any more. Bytes that came before are not stored twice;
    /// the receipt is, and the scratch file is gone all the same.
    pub fn keep(
        &self,
        file: &File,
        scratch: &Dir,
        name: &str,
        id: Digest,
        receipt: &Receipt,
    ) -> io::Result<Kept> {
        // Before it gets its second name: mode and bytes belong to the inode.
        file.set_permissions(read_only())?;
        durable::sync_file(file)?;
        self.locked(|history| {
            let known = history.record(id)?;
            let is_new = known.is_none();
            let mut record = known.unwrap_or_else(|| Record::new(id, extension(&receipt.name)));
            history.put(scratch, name, &record)?;
            record.receive(receipt);
            history.write(&record)?;
            scratch.remove_file(name)?;
            Ok(Kept { id, path: history.dir.path().join(record.file()), is_new })
        })
    }

    /// Keeps the manifest of a pushed tree (lines of `sha256sum`), so that the tree can be made again
    /// byte-equal. Every file it names must already be there by [`History::keep_blob`].
    /// One sync makes all of it durable.
    pub fn keep_tree(&self, manifest: &str, receipt: &Receipt) -> io::Result<Kept> {
        if let Some(missing) = blobs_of(manifest).into_iter().find(|b| !self.dir.exists(blob_path(*b))) {
            let text = format!("file {missing} of the tree was not kept");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        self.dir.sync_filesystem()?;
        let id = Digest::of(manifest.as_bytes());
        self.locked(|history| {
            let known = history.record(id)?;
            let is_new = known.is_none();
            let mut record = known.unwrap_or_else(|| Record::new(id, TREE));
            history.dir.write_atomic(record.file(), manifest.as_bytes())?;
            history.dir.open_file(record.file())?.set_permissions(read_only())?;
            record.receive(receipt);
            history.write(&record)?;
            Ok(Kept { id, path: history.dir.path().join(record.file()), is_new })
        })
    }

    /// Gives a file of a tree a second name here, if its content is not here yet. Nobody
    /// may write to the file afterwards. Durable after [`History::keep_tree`].
    pub fn keep_blob(&self, from: &Dir, name: &str, sha256: Digest) -> io::Result<()> {
        let path = blob_path(sha256);
        if self.dir.exists(&path) {
            return Ok(());
        }
        let shelf = path.split_once('/').map_or("", |(_, rest)| rest.get(..2).unwrap_or_default());
        self.dir.create_dir_all(format!("{BLOBS}/{shelf}"))?;
        match from.link_to(name, &self.dir, &path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    /// Opens a file of a pushed tree by its content.
    pub fn open_blob(&self, sha256: Digest) -> io::Result<File> {
        self.dir.open_file(blob_path(sha256))
    }

    /// Adds a verdict to the record of an original.
    pub fn record_verdict(&self, id: Digest, verdict: Verdict) -> io::Result<()> {
        self.locked(|history| {
            let mut record = history.record(id)?.ok_or_else(not_found)?;
            record.decide(verdict);
            history.write(&record)
        })
    }

    /// What is known of an original; `None` if it never came.
    pub fn get(&self, id: Digest) -> io::Result<Option<Record>> {
        self.record(id)
    }

    /// Originals by SHA-256, by its first digits (four at least) or by the exact name a
    /// sender gave, the latest first. One name may stand for several contents.
    pub fn find(&self, text: &str) -> io::Result<Vec<Record>> {
        let by_digits = text.len() >= PREFIX_MIN && text.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = text.to_ascii_lowercase();
        let mut found = self.list()?;
        found.retain(|r| {
            (by_digits && r.id.to_string().starts_with(&digits))
                || r.receptions.iter().any(|e| e.name == text)
        });
        found.reverse();
        Ok(found)
    }

    /// Every original, in the order in which they came last.
    pub fn list(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for (id, _) in self.originals()? {
            records.extend(self.record(id)?);
        }
        records.sort_by_key(|r: &Record| (r.last_received(), r.id));
        Ok(records)
    }

    /// Opens the bytes of an original for reading.
    pub fn open_original(&self, id: Digest) -> io::Result<File> {
        let record = self.record(id)?.ok_or_else(not_found)?;
        self.dir.open_file(record.file())
    }

    /// Opens the package of the same container as `name` that came last.
    pub fn newest(&self, name: &str) -> io::Result<Option<File>> {
        let suffix = format!(".{}", extension(name));
        let fits = |listed: &Listed| {
            let id = listed.name.to_str().and_then(|name| name.strip_suffix(&suffix));
            id.is_some_and(|id| id.parse::<Digest>().is_ok())
        };
        let originals = self.dir.list()?.into_iter().filter(fits);
        let newest = originals.max_by_key(|listed| (listed.stat.st_ctime, listed.stat.st_ctime_nsec));
        newest.map(|listed| self.dir.open_file(listed.name)).transpose()
    }

    /// Reads an original (and the files of a pushed tree) again and compares it with its name.
    pub fn verify(&self, id: Digest) -> io::Result<Check> {
        let Some(record) = self.record(id)? else { return Ok(Check::Missing) };
        let file = match self.dir.open_file(record.file()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Check::Missing),
            file => file?,
        };
        let found = hash(file)?;
        if found != id {
            return Ok(Check::Changed(found));
        }
        if record.ext != TREE {
            return Ok(Check::Equal);
        }
        let bytes = self.dir.read(record.file(), MANIFEST_BYTES_MAX)?;
        let wrong: Vec<Digest> = blobs_of(&String::from_utf8_lossy(&bytes))
            .into_iter()
            .filter(|blob| self.open_blob(*blob).and_then(hash).ok() != Some(*blob))
            .collect();
        Ok(if wrong.is_empty() { Check::Equal } else { Check::Blobs(wrong) })
    }

    /// Removes originals whose last reception was before `retention_end`, and files of
    /// trees that no tree needs any more. Refuses before that instant. Not to be called
    /// between `keep_blob` and `keep_tree`: the publisher does all three.
    pub fn prune_after(&self, retention_end: Timestamp, now: Timestamp) -> Result<Vec<Digest>, PruneError> {
        if now < retention_end {
            return Err(PruneError::TooEarly(retention_end));
        }
        Ok(self.locked(|history| history.prune(retention_end))?)
    }

    fn prune(&self, before: Timestamp) -> io::Result<Vec<Digest>> {
        let (mut gone, mut needed) = (Vec::new(), HashSet::new());
        for record in self.list()? {
            if record.last_received().is_some_and(|t| t < before) {
                self.dir.remove_file(record.file())?;
                self.dir.remove_file(json_name(record.id))?;
                gone.push(record.id);
            } else if record.ext == TREE {
                let bytes = self.dir.read(record.file(), MANIFEST_BYTES_MAX)?;
                needed.extend(blobs_of(&String::from_utf8_lossy(&bytes)));
            }
        }
        for shelf in self.dir.sub(BLOBS)?.list()? {
            let shelf = self.dir.sub(BLOBS)?.sub(&shelf.name)?;
            for blob in shelf.list()? {
                let id: Option<Digest> = blob.name.to_str().and_then(|n| n.parse().ok());
                if id.is_some_and(|id| !needed.contains(&id)) {
                    shelf.remove_file(&blob.name)?;
                }
            }
        }
        self.dir.sync()?;
        Ok(gone)
    }

    /// Puts the scratch file in its place, unless equal bytes are there. Bytes under its
    /// name that are not what the name says are moved aside first.
    fn put(&self, scratch: &Dir, name: &str, record: &Record) -> io::Result<()> {
        let place = record.file();
        match scratch.link_to(name, &self.dir, &place) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        if hash(self.dir.open_file(&place)?)? == record.id {
            return Ok(());
        }
        let aside =
            (1..u32::MAX).map(|i| format!("{place}.damaged-{i}")).find(|aside| !self.dir.exists(aside));
        self.dir.rename(&place, aside.ok_or_else(not_found)?)?;
        scratch.link_to(name, &self.dir, &place)
    }

    fn record(&self, id: Digest) -> io::Result<Option<Record>> {
        match self.dir.read(json_name(id), RECORD_BYTES_MAX) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Some(record)),
                // Never in the way of a package: the bytes are what counts.
                Err(_) => self.bare(id),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.bare(id),
            Err(e) => Err(e),
        }
    }

    /// The record of an original that has none, because a crash fell between the two.
    fn bare(&self, id: Digest) -> io::Result<Option<Record>> {
        let ext = EXTENSIONS.iter().chain([&TREE]).find(|ext| self.dir.exists(format!("{id}.{ext}")));
        Ok(ext.map(|ext| Record::new(id, ext)))
    }

    /// Identity and suffix of every file of bytes.
    fn originals(&self) -> io::Result<Vec<(Digest, String)>> {
        let parse = |listed: Listed| {
            let name = listed.name.to_str()?.to_owned();
            let (id, ext) = name.split_once('.')?;
            let known = EXTENSIONS.contains(&ext) || ext == TREE;
            known.then_some(())?;
            Some((id.parse().ok()?, ext.to_owned()))
        };
        let mut originals: Vec<(Digest, String)> = self.dir.list()?.into_iter().filter_map(parse).collect();
        originals.dedup_by_key(|(id, _)| *id);
        Ok(originals)
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(record)?;
        bytes.push(b'\n');
        self.dir.write_atomic(json_name(record.id), &bytes)
    }

    /// Reads and writes records with other threads and processes kept out.
    fn locked<T>(&self, act: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock()?;
        let done = act(self);
        file.unlock()?;
        done
    }
}

/// The suffix an original is kept under: that of its name, if it is one of ours.
fn extension(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let fits = |ext: &&&str| name.strip_suffix(**ext).is_some_and(|rest| rest.ends_with('.'));
    EXTENSIONS.iter().find(fits).copied().unwrap_or(UNKNOWN)
}

fn read_only() -> Permissions {
    Permissions::from_mode(READ_ONLY)
}

fn json_name(id: Digest) -> String {
    format!("{id}.json")
}

fn blob_path(id: Digest) -> String {
    let name = id.to_string();
    format!("{BLOBS}/{}/{name}", name.get(..2).unwrap_or_default())
}

/// The hashes in a manifest. A name with a backslash or line break makes `sha256sum` put a
/// backslash before the hash.
fn blobs_of(manifest: &str) -> Vec<Digest> {
    let hash = |line: &str| line.strip_prefix('\\').unwrap_or(line).get(..64)?.parse().ok();
    manifest.lines().filter_map(hash).collect()
}

fn hash(mut file: File) -> io::Result<Digest> {
    let (mut hasher, mut block) = (Hasher::new(), vec![0; READ_BLOCK]);
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(block.get(..count).unwrap_or_default());
    }
}

fn not_found() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such original")
}

/// Kept from two processes at once.
const LOCK: &str = "lock";
/// Files of pushed trees, by content.
const BLOBS: &str = "blobs";
/// Suffix of the manifest of a pushed tree.
const TREE: &str = "tree";
/// Suffix of something that came under no known name.
const UNKNOWN: &str = "bin";
/// Suffixes of packages, longer ones first.
const EXTENSIONS: &[&str] = &["tar.gz", "tar.zst", "tgz", "tar", "zip", UNKNOWN];
/// Mode of everything that is kept: not even we write to it again.
const READ_ONLY: u32 = 0o444;
/// Digits of a SHA-256 that may stand for all of it.
const PREFIX_MIN: usize = 4;
/// Longest record: two hundred receptions and verdicts with long names.
const RECORD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest manifest: a hundred thousand files with names of 500 bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes read at a time.
const READ_BLOCK: usize = 256 * 1024;
