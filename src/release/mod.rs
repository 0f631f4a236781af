//! The release store: immutable trees, and the pointer that says which one readers see.
//!
//! Owns `var/releases` (`<id>/site`, `<id>/MANIFEST.sha256`, `<id>/release.json`, `.tmp-*`, `lock`) and the
//! link `www/current`. Imports `archive` (the [`Sink`](crate::archive::Sink) it implements), `drop` (the changes of a
//! pushed tree), `durable`, `clock` and `model`. Knows nothing of windows, verdicts or the
//! ledger: its caller does.
//!
//! The way of a cut: [`Store::stage`] → [`Staging`] fills → [`Staging::seal`] (manifest inside the scratch, one
//! `syncfs`) → [`Staged::commit`] (rename, sync of the directory) → [`Store::point`] (link renamed over
//! `current`, sync). A power cut anywhere in it leaves the old tree whole and current; what
//! lies half done is removed at the next [`Store::open`].

mod manifest;
mod reader;
mod staging;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::Sink as _;
use crate::clock::Clock;
use crate::durable::Dir;
use crate::model::{Code, Rejection, ReleaseId};

pub use manifest::{FileFacts, Manifest, ManifestError};
pub use reader::{Difference, Meta, Origin, Reader, Release, What};
pub use staging::{Flusher, Staged, Staging, Witness};

/// Settings of the room.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where the trees lie: `var/releases`. On the file system of the history and of the drop.
    pub releases: Dir,
    /// Where `current` is: `www`.
    pub www: Dir,
    /// Extracted trees that pruning leaves, the current one included.
    pub keep: usize,
    /// Bytes that must stay free after staging.
    pub min_free_bytes: u64,
    /// Inodes that must stay free after staging.
    pub min_free_inodes: u64,
    /// The time of seals.
    pub clock: Clock,
}

/// The store, open for writing: one process at a time. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: StoreConfig,
    reader: Reader,
    sequence: AtomicU64,
    scratch: AtomicU64,
    /// Held as long as the store is open.
    _lock: File,
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the release store is in use by process {pid}")]
    Busy {
        /// The process, as it wrote itself down; 0 if it did not.
        pid: u32,
    },
    /// The file system.
    #[error("opening the release store")]
    Io(#[from] io::Error),
}

/// What was found at the opening, and done about it.
#[derive(Debug)]
pub struct Recovery {
    /// Half-done trees that were removed.
    pub scratch_removed: usize,
    /// How the pointer stands now.
    pub standing: Standing,
}

/// How the pointer stands.
#[derive(Debug)]
pub enum Standing {
    /// Nothing was ever shown.
    Fresh,
    /// It names a release whose every file is what its manifest says.
    Sound(Release),
    /// It was broken and names an earlier release now.
    Mended {
        /// What it named.
        was: Option<ReleaseId>,
        /// What was wrong with it.
        why: String,
        /// What it names now.
        now: Release,
    },
    /// It is broken, and no release that was shown is whole: one must be made again
    /// from an original.
    Lost {
        /// What it named.
        was: Option<ReleaseId>,
        /// What was wrong with it.
        why: String,
    },
}

/// How much a tree will need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Bytes unpacked.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
}

impl Store {
    /// Opens the store and puts right what a crash left. `shown` names releases that may be shown,
    /// in the order in which they should be tried if the current one is broken: those
    /// that readers have seen, the latest first, and none that the window of now excludes.
    /// Reads every file of the current release, and of others only if that one is broken.
    pub fn open(config: StoreConfig, shown: &[ReleaseId]) -> Result<(Self, Recovery), OpenError> {
        let lock = exclusive(&config.releases)?;
        let reader = Reader::new(config.releases.clone(), config.www.clone());
        let scratch_removed = remove_scratch(&config.releases)?;
        let next = reader.list()?.last().map_or(0, ReleaseId::sequence) + 1;
        let inner =
            Inner { config, reader, sequence: AtomicU64::new(next), scratch: AtomicU64::new(0), _lock: lock };
        let store = Self { inner: Arc::new(inner) };
        let standing = store.stand(shown)?;
        Ok((store, Recovery { scratch_removed, standing }))
    }

    /// The store for those who only read.
    pub fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    /// Begins a new tree. Files whose content `base` has are shared with it. If a release that
    /// was sealed over a base turns out not to verify, stage once more without a base.
    pub fn stage(&self, base: Option<&Release>, expected: Expected) -> Result<Staging, Rejection> {
        self.room_for(expected)?;
        let number = self.inner.scratch.fetch_add(1, Ordering::Relaxed);
        let name = format!("{SCRATCH}{}-{number}", std::process::id());
        Staging::new(self, base, name).map_err(|e| self.blame(&e))
    }

    /// What the sender is told when storing failed with this error.
    pub fn blame(&self, error: &io::Error) -> Rejection {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let no_inodes = self.releases().space().is_ok_and(|s| s.free_inodes == 0);
                Rejection::new(if no_inodes { Code::NoInodes } else { Code::NoSpace })
            }
            _ => Rejection::new(Code::StoreFailed).detail(error.to_string()),
        }
    }

    /// Shows a release: `current` leads to it from now on, durably. The link is replaced
    /// in one step; readers of the path see the one tree or the other.
    pub fn point(&self, id: &ReleaseId) -> io::Result<()> {
        let (www, releases) = (&self.inner.config.www, self.releases());
        releases.sub(id.as_str())?.sub(SITE)?;
        let way = reader::relative(&www.path().canonicalize()?, &releases.path().canonicalize()?);
        www.point(CURRENT, &way.join(id.as_str()).join(SITE))
    }

    /// What the pointer names.
    pub fn current(&self) -> io::Result<Option<ReleaseId>> {
        self.reader().current()
    }

    /// Opens a release.
    pub fn load(&self, id: &ReleaseId) -> io::Result<Release> {
        self.reader().load(id)
    }

    /// All releases, oldest first.
    pub fn list(&self) -> io::Result<Vec<ReleaseId>> {
        self.reader().list()
    }

    /// Reads every file of a release again: what differs from its manifest.
    pub fn verify(&self, id: &ReleaseId) -> io::Result<Vec<Difference>> {
        self.reader().verify(id)
    }

    /// Removes extracted trees beyond the `keep` of the settings: the oldest first, never the current
    /// one, one that `in_use` claims, or one that a reader holds in any process.
    pub fn prune(&self, in_use: &dyn Fn(&ReleaseId) -> bool) -> io::Result<Vec<ReleaseId>> {
        self.prune_to(self.inner.config.keep, in_use)
    }

    /// The same with another number of trees to leave, for when the disk is full.
    pub fn prune_to(&self, keep: usize, in_use: &dyn Fn(&ReleaseId) -> bool) -> io::Result<Vec<ReleaseId>> {
        let (current, ids, mut gone) = (self.current()?, self.list()?, Vec::new());
        // The newest stays in any case: the next one takes its number from it.
        let old = ids.len().saturating_sub(keep.max(1));
        for id in ids.into_iter().take(old) {
            if current.as_ref() != Some(&id) && !in_use(&id) && self.remove(&id)? {
                gone.push(id);
            }
        }
        Ok(gone)
    }

    /// The release that holds nothing but this page as `index.html`; made if it is not there.
    pub fn waiting_release(&self, html: &[u8]) -> io::Result<Release> {
        self.page_release(Origin::Waiting, html)
    }

    /// The same of another page of our own.
    pub fn page_release(&self, kind: Origin, html: &[u8]) -> io::Result<Release> {
        let sha256 = crate::model::Digest::of(html);
        let is_it = |r: &Release| {
            let page = r.manifest.get(INDEX).is_some_and(|f| f.sha256 == sha256);
            r.meta.kind == kind && r.manifest.len() == 1 && page
        };
        for id in self.list()?.iter().rev() {
            if let Some(release) = self.load(id).ok().filter(is_it)
                && release.verify()?.is_empty()
            {
                return Ok(release);
            }
        }
        let number = self.inner.scratch.fetch_add(1, Ordering::Relaxed);
        let mut staging = Staging::new(self, None, format!("{SCRATCH}{}-{number}", std::process::id()))?;
        staging.file(INDEX, html.len() as u64, self.clock().now().as_second())?;
        staging.data(html)?;
        staging.end()?;
        staging.seal(Meta::new(kind))?.commit()
    }

    fn releases(&self) -> &Dir {
        &self.inner.config.releases
    }

    fn clock(&self) -> &Clock {
        &self.inner.config.clock
    }

    fn next_sequence(&self) -> u64 {
        self.inner.sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn room_for(&self, expected: Expected) -> Result<(), Rejection> {
        let config = &self.inner.config;
        let space = self.releases().space().map_err(|e| self.blame(&e))?;
        let bytes = expected.bytes.saturating_add(config.min_free_bytes);
        if space.free_bytes < bytes {
            let detail = format!("{} < {bytes}", space.free_bytes);
            return Err(Rejection::new(Code::NoSpace).detail(detail));
        }
        let inodes = expected.entries.saturating_add(config.min_free_inodes);
        if space.free_inodes < inodes {
            let detail = format!("{} < {inodes}", space.free_inodes);
            return Err(Rejection::new(Code::NoInodes).detail(detail));
        }
        Ok(())
    }

    /// Looks at the pointer and mends it if need be.
    fn stand(&self, shown: &[ReleaseId]) -> io::Result<Standing> {
        let (was, why) = match self.current() {
            Ok(None) if shown.is_empty() => return Ok(Standing::Fresh),
            Ok(None) => (None, "there is no pointer".to_owned()),
            Ok(Some(id)) => match self.sound(&id) {
                Ok(release) => return Ok(Standing::Sound(release)),
                Err(why) => (Some(id), why),
            },
            Err(e) => (None, e.to_string()),
        };
        for id in shown.iter().filter(|id| Some(*id) != was.as_ref()) {
            if let Ok(now) = self.sound(id) {
                self.point(id)?;
                return Ok(Standing::Mended { was, why, now });
            }
        }
        Ok(Standing::Lost { was, why })
    }

    /// The release, if every file of it is what its manifest says.
    fn sound(&self, id: &ReleaseId) -> Result<Release, String> {
        let release = self.load(id).map_err(|e| e.to_string())?;
        match release.verify().map_err(|e| e.to_string())?.first() {
            None => Ok(release),
            Some(first) => Err(format!("{}: {:?}", first.path, first.what)),
        }
    }

    /// Removes a release nobody holds; `false` if somebody does.
    fn remove(&self, id: &ReleaseId) -> io::Result<bool> {
        let pin = self.releases().sub(id.as_str())?.open_file(FACTS);
        match pin.as_ref().map(File::try_lock) {
            Ok(Err(TryLockError::WouldBlock)) => return Ok(false),
            Ok(Err(TryLockError::Error(e))) => return Err(e),
            // A release without facts cannot be held.
            Ok(Ok(())) | Err(_) => {}
        }
        // First out of sight, so that a crash leaves a scratch and never half a release.
        let scratch = format!("{SCRATCH}{id}");
        self.releases().rename(id.as_str(), &scratch)?;
        self.releases().remove_all(&scratch)?;
        Ok(true)
    }
}

/// Takes the store for this process, or says which process has it.
fn exclusive(releases: &Dir) -> Result<File, OpenError> {
    let mut lock = releases.open_or_create(LOCK)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = (&lock).take(16).read_to_string(&mut text);
            return Err(OpenError::Busy { pid: text.trim().parse().unwrap_or(0) });
        }
        Err(TryLockError::Error(e)) => return Err(e.into()),
    }
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(lock)
}

fn remove_scratch(releases: &Dir) -> io::Result<usize> {
    let mut count = 0;
    for entry in releases.list()? {
        if entry.name.to_string_lossy().starts_with(SCRATCH) {
            releases.remove_all(&entry.name)?;
            count += 1;
        }
    }
    Ok(count)
}

/// The pointer's name.
const CURRENT: &str = "current";
/// The tree of a release.
const SITE: &str = "site";
/// What `sha256sum` says of it.
const MANIFEST: &str = "MANIFEST.sha256";
/// What else is known of it.
const FACTS: &str = "release.json";
/// Beginning of the names of what is half done.
const SCRATCH: &str = ".tmp-";
/// Kept from two processes at once.
const LOCK: &str = "lock";
/// The page of a directory.
const INDEX: &str = "index.html";
