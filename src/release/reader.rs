//! Reading the store: what is there, what is current, whether it is what it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CURRENT, FACTS, FileFacts, MANIFEST, Manifest, SITE};
use crate::durable::Dir;
use crate::model::{Cut, Digest, Hasher, ReleaseId, Sender, escape};

/// Where a release came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An archive that was pushed or dropped.
    Package,
    /// A tree written file by file.
    Tree,
    /// Our own page for the time outside a window.
    Waiting,
    /// The notice that an operator put up on the institute's order.
    Notice,
    /// A package an operator published by hand.
    Manual,
}

impl Origin {
    /// Whether it is a page of our own, without results.
    pub fn is_page(self) -> bool {
        matches!(self, Self::Waiting | Self::Notice)
    }
}

/// What is known of a release beside its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Where it came from.
    pub kind: Origin,
    /// Its cut, where one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// SHA-256 of the package, or of the manifest kept for a pushed tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Digest>,
    /// The name it was sent under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    /// When its last byte came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Timestamp>,
    /// When it had passed all checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Timestamp>,
    /// Name of the event it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The one directory that its first package lay in, and that its increments may lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<String>,
    /// Of an increment: the originals it was laid over, the first package first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub onto: Vec<Digest>,
}

impl Meta {
    /// A release of which only the origin is known.
    pub fn new(kind: Origin) -> Self {
        Self {
            kind,
            cut: None,
            package: None,
            name: None,
            sender: None,
            received: None,
            verified: None,
            event: None,
            top: None,
            onto: Vec::new(),
        }
    }
}

/// What `release.json` holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) id: ReleaseId,
    pub(super) tree: Digest,
    pub(super) sealed: Timestamp,
    #[serde(flatten)]
    pub(super) meta: Meta,
    /// Size and modification time by path; the hashes are in the manifest.
    pub(super) files: BTreeMap<String, (u64, i64)>,
}

/// One immutable release. As long as a clone lives, in this process or in another, its
/// tree is not pruned.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its name.
    pub id: ReleaseId,
    /// Its directory: the site, `MANIFEST.sha256` and `release.json`.
    pub dir: Dir,
    /// The tree that readers see.
    pub site: Dir,
    /// Every file of the site.
    pub manifest: Arc<Manifest>,
    /// SHA-256 of the manifest's text.
    pub tree: Digest,
    /// When it was written and synced.
    pub sealed: Timestamp,
    /// What else is known.
    pub meta: Arc<Meta>,
    /// Shared lock that keeps the pruner away.
    _pin: Arc<File>,
}

impl Release {
    /// A release that was sealed a moment ago and has its name: what [`Reader::load`] would read of it.
    pub(super) fn new(
        id: ReleaseId,
        dir: Dir,
        manifest: Manifest,
        tree: Digest,
        sealed: Timestamp,
        meta: Meta,
    ) -> io::Result<Self> {
        let pin = Arc::new(pinned(&dir)?);
        let site = dir.sub(SITE)?;
        Ok(Self {
            id,
            dir,
            site,
            manifest: Arc::new(manifest),
            tree,
            sealed,
            meta: Arc::new(meta),
            _pin: pin,
        })
    }

    /// Opens one file of the site for reading.
    pub fn open(&self, path: &str) -> io::Result<File> {
        self.site.open_file(path)
    }

    /// Reads every file again and names all that differs from the manifest, in the order of the paths.
    pub fn verify(&self) -> io::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        let mut found = std::collections::BTreeSet::new();
        let mut todo = vec![String::new()];
        while let Some(folder) = todo.pop() {
            for entry in self.site.sub(&folder)?.list()? {
                let Some(name) = entry.name.to_str() else {
                    let shown = escape(std::os::unix::ffi::OsStrExt::as_bytes(&*entry.name));
                    differences.push(Difference { path: beneath(&folder, &shown), what: What::Extra });
                    continue;
                };
                let path = beneath(&folder, name);
                match self.manifest.get(&path) {
                    Some(facts) => differences.extend(self.compare(&path, facts)),
                    None if entry.is_dir() => todo.push(path.clone()),
                    None => differences.push(Difference { path: path.clone(), what: What::Extra }),
                }
                found.insert(path);
            }
        }
        let missing = self.manifest.files().keys().filter(|path| !found.contains(*path));
        differences.extend(missing.map(|path| Difference { path: path.clone(), what: What::Missing }));
        differences.sort();
        Ok(differences)
    }

    fn compare(&self, path: &str, facts: &FileFacts) -> Option<Difference> {
        let what = match self.site.open_file(path).and_then(hash) {
            Ok((sha256, size)) if sha256 == facts.sha256 && size == facts.size => return None,
            Ok((found, _)) => What::Changed { found },
            Err(_) => What::Unreadable,
        };
        Some(Difference { path: path.to_owned(), what })
    }
}

/// One way in which a tree is not what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Relative to the site.
    pub path: String,
    /// What is wrong.
    #[serde(flatten)]
    pub what: What,
}

/// What is wrong with one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum What {
    /// In the manifest, not on disk.
    Missing,
    /// On disk, not in the manifest.
    Extra,
    /// Other bytes than in the manifest.
    Changed {
        /// SHA-256 of what is there.
        found: Digest,
    },
    /// Not a file that can be read to its end.
    Unreadable,
}

/// The store for those who only read: the serving half, `status`, `audit`. Needs no lock.
#[derive(Clone, Debug)]
pub struct Reader {
    releases: Dir,
    www: Dir,
}

impl Reader {
    /// Reads the store whose trees lie in `releases` and whose pointer is in `www`.
    pub fn new(releases: Dir, www: Dir) -> Self {
        Self { releases, www }
    }

    /// The directory that holds `current`.
    pub fn www(&self) -> &Dir {
        &self.www
    }

    /// What the pointer names, whether or not it is there; `None` without a pointer. An
    /// error of kind `InvalidData` if it leads out of the store.
    pub fn current(&self) -> io::Result<Option<ReleaseId>> {
        let target = match self.www.pointee(CURRENT) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Not a link at all.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(foreign()),
            target => self.www.path().join(target?),
        };
        let release = target.parent().filter(|_| target.ends_with(SITE)).ok_or_else(foreign)?;
        let id = release.file_name().and_then(|n| ReleaseId::parse(n.to_str()?)).ok_or_else(foreign)?;
        let store = release.parent().ok_or_else(foreign)?.canonicalize().map_err(|_| foreign())?;
        if store == self.releases.path().canonicalize()? { Ok(Some(id)) } else { Err(foreign()) }
    }

    /// When the pointer was made; `None` where there is none.
    pub fn pointed_at(&self) -> Option<Timestamp> {
        let seconds = self.www.stat(CURRENT).ok()?.st_mtime;
        Timestamp::from_second(seconds).ok()
    }

    /// The release that the pointer names. If the pointer moves and the release is pruned
    /// meanwhile, looks again.
    pub fn load_current(&self) -> io::Result<Option<Release>> {
        let mut tries = 0;
        loop {
            let Some(id) = self.current()? else { return Ok(None) };
            match self.load(&id) {
                Err(_) if tries < RELOADS_MAX && self.current()?.as_ref() != Some(&id) => tries += 1,
                release => return release.map(Some),
            }
        }
    }

    /// Opens a release and reads its manifest. Its files are not read: see [`Release::verify`].
    pub fn load(&self, id: &ReleaseId) -> io::Result<Release> {
        let dir = self.releases.sub(id.as_str())?;
        let pin = pinned(&dir)?;
        let facts: Facts = serde_json::from_slice(&dir.read(FACTS, FACTS_BYTES_MAX)?)?;
        let text = dir.read(MANIFEST, FACTS_BYTES_MAX)?;
        let mut manifest = Manifest::parse(std::str::from_utf8(&text).map_err(invalid)?).map_err(invalid)?;
        if facts.id != *id || facts.tree != Digest::of(&text) || facts.files.len() != manifest.len() {
            return Err(invalid("release.json and MANIFEST.sha256 contradict each other"));
        }
        for (path, known) in manifest.files_mut() {
            let (size, mtime) = facts.files.get(path).ok_or_else(|| invalid("a file without size"))?;
            (known.size, known.mtime) = (*size, *mtime);
        }
        Ok(Release {
            id: facts.id,
            site: dir.sub(SITE)?,
            dir,
            manifest: Arc::new(manifest),
            tree: facts.tree,
            sealed: facts.sealed,
            meta: Arc::new(facts.meta),
            _pin: Arc::new(pin),
        })
    }

    /// The names of all releases, oldest first.
    pub fn list(&self) -> io::Result<Vec<ReleaseId>> {
        let name =
            |l: crate::durable::Listed| l.is_dir().then(|| ReleaseId::parse(l.name.to_str()?)).flatten();
        let mut ids: Vec<ReleaseId> = self.releases.list()?.into_iter().filter_map(name).collect();
        ids.sort_by_key(|id| (id.sequence(), id.clone()));
        Ok(ids)
    }

    /// Reads every file of a release again: what differs from its manifest.
    pub fn verify(&self, id: &ReleaseId) -> io::Result<Vec<Difference>> {
        self.load(id)?.verify()
    }
}

/// Keeps the pruner away from a release as long as the file is open.
fn pinned(dir: &Dir) -> io::Result<File> {
    let pin = dir.open_file(FACTS)?;
    // Somebody who is removing it holds it exclusively: it is as good as gone.
    pin.try_lock_shared().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(pin)
}

/// SHA-256 and length of what is left to read.
pub(super) fn hash(mut file: File) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut block, mut size) = (Hasher::new(), vec![0; READ_BLOCK], 0);
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(block.get(..count).unwrap_or_default());
        size += count as u64;
    }
}

fn beneath(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn foreign() -> io::Error {
    invalid("the pointer leads out of the store")
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The way from one directory to another, both canonical: `../var/releases`.
pub(super) fn relative(from: &Path, to: &Path) -> std::path::PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// Longest manifest or `release.json`: a hundred thousand files with names of 500 bytes.
const FACTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes read at a time.
const READ_BLOCK: usize = 256 * 1024;
/// Times a reader follows a pointer that runs away from it.
const RELOADS_MAX: u32 = 8;
