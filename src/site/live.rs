//! The snapshot: every path of one release, and what may be asked of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::SiteConfig;
use super::content::{Content, ContentError, Place, Stored};
use super::entry::{Entry, Freshness};
use super::media::Class;
use super::preview::Contents;
use crate::model::{Cut, Digest};
use crate::release::{FileFacts, Origin, Release};

/// One release, whole and immutable.
#[derive(Debug)]
pub struct Live {
    release: Option<Release>,
    since: Option<Timestamp>,
    base: String,
    entries: HashMap<String, Arc<Entry>>,
    folders: HashSet<String>,
    /// Scripts and styles with a hash in their name that earlier cuts had, with their age
    /// in swaps: a page loaded before the swap still asks for them.
    retired: HashMap<String, (Arc<Entry>, u8)>,
    listing: OnceLock<Bytes>,
}

/// What a path is in a snapshot.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A file.
    File(&'a Arc<Entry>),
    /// A folder, with its index if it has one.
    Folder(Option<&'a Arc<Entry>>),
    /// A hashed script or style that an earlier cut had.
    Retired(&'a Arc<Entry>),
    /// Nothing.
    Absent,
}

/// Why a release could not be made into a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct LoadError {
    /// Which file.
    pub path: String,
    /// What about it.
    pub source: ContentError,
}

impl Live {
    /// The snapshot before there is any release.
    pub(super) fn empty(config: &SiteConfig) -> Self {
        Self {
            release: None,
            since: None,
            base: config.base.clone(),
            entries: HashMap::new(),
            folders: HashSet::new(),
            retired: HashMap::new(),
            listing: OnceLock::new(),
        }
    }

    /// Reads and checks every file of `release` that neither `previous` nor `ready` holds already.
    pub(super) fn load(
        release: &Release,
        previous: &Self,
        ready: Contents,
        since: Timestamp,
        config: &SiteConfig,
    ) -> Result<Self, LoadError> {
        let contents = contents(release, previous, ready, config)?;
        let seconds = u64::try_from(since.as_second()).unwrap_or(0);
        let (mut entries, mut folders) = (HashMap::new(), HashSet::new());
        for (path, facts) in release.manifest.files() {
            // Every hash of the manifest was loaded or shared above.
            let Some(content) = contents.get(&facts.sha256) else { continue };
            let old = previous.entries.get(path).or_else(|| previous.retired.get(path).map(|(e, _)| e));
            let entry = Entry::new(path, Arc::clone(content), seconds, old.map(Arc::as_ref));
            folders.extend(path.match_indices('/').filter_map(|(at, _)| path.get(..at)).map(str::to_owned));
            entries.insert(path.clone(), Arc::new(entry));
        }
        let retired = if is_page(release) {
            HashMap::new()
        } else {
            previous.retire(|path| entries.contains_key(path))
        };
        let base = base(config, &entries);
        Ok(Self {
            release: Some(release.clone()),
            since: Some(since),
            base,
            entries,
            folders,
            retired,
            listing: OnceLock::new(),
        })
    }

    /// The release, if there is one; it may be the waiting page's.
    pub fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }

    /// Whether the notice of the institute stands in the place of the results.
    pub fn is_notice(&self) -> bool {
        self.release.as_ref().is_some_and(|r| r.meta.kind == Origin::Notice)
    }

    /// The release, if it holds results.
    pub fn results(&self) -> Option<&Release> {
        self.release.as_ref().filter(|r| !is_page(r))
    }

    /// The cut that is shown.
    pub fn cut(&self) -> Option<Cut> {
        self.results().and_then(|r| r.meta.cut)
    }

    /// Since when readers see it.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The prefix under which the site is served besides `/`; begins and ends with a slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What lies at a path relative to the root, without a slash at either end.
    pub fn find(&self, path: &str) -> Found<'_> {
        if let Some(entry) = self.entries.get(path) {
            return Found::File(entry);
        }
        if path.is_empty() || self.folders.contains(path) {
            return Found::Folder(self.index(path));
        }
        match self.retired.get(path) {
            Some((entry, _)) => Found::Retired(entry),
            None => Found::Absent,
        }
    }

    /// The index page that answers for `path`: the one of the nearest folder above it.
    pub fn index_above(&self, path: &str) -> Option<&Arc<Entry>> {
        let mut folder = path;
        loop {
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            let index = self.index(folder);
            if index.is_some() || folder.is_empty() {
                return index;
            }
        }
    }

    /// The page of a folder; `""` is the root.
    pub fn index(&self, folder: &str) -> Option<&Arc<Entry>> {
        if folder.is_empty() {
            self.entries.get(INDEX)
        } else {
            self.entries.get(&format!("{folder}/{INDEX}"))
        }
    }

    /// Every path with its entry, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Arc<Entry>)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// A document about this snapshot, composed the first time it is asked for.
    pub fn listing(&self, compose: impl FnOnce() -> Bytes) -> Bytes {
        self.listing.get_or_init(compose).clone()
    }

    /// The hashed scripts and styles that outlive this snapshot.
    fn retire(&self, is_kept: impl Fn(&str) -> bool) -> HashMap<String, (Arc<Entry>, u8)> {
        let bundled = |entry: &Entry| {
            entry.freshness == Freshness::Hashed
                && entry.media.class == Class::Text
                && matches!(entry.content.stored, Stored::Memory(_))
        };
        let now = self.entries.iter().filter(|(_, e)| bundled(e)).map(|(p, e)| (p, (Arc::clone(e), 1)));
        let before = self.retired.iter().map(|(p, (e, age))| (p, (Arc::clone(e), age + 1)));
        now.chain(before)
            .filter(|(path, (_, age))| *age <= RETIRED_SWAPS_MAX && !is_kept(path))
            .map(|(path, kept)| (path.clone(), kept))
            .collect()
    }
}

fn is_page(release: &Release) -> bool {
    release.meta.kind.is_page()
}

/// The prefix: what the operator set, or what the site's own index page says.
fn base(config: &SiteConfig, entries: &HashMap<String, Arc<Entry>>) -> String {
    if config.base != "/" {
        return config.base.clone();
    }
    let index = entries.get(INDEX).and_then(|e| e.content.bytes());
    index.and_then(|html| base_href(html)).unwrap_or_else(|| "/".to_owned())
}

/// The path in `<base href="/…/">`, if it is one on this host.
fn base_href(html: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(html.get(..html.len().min(BASE_WITHIN_BYTES))?);
    let tag = head.get(head.to_ascii_lowercase().find("<base")?..)?;
    let tag = tag.get(..tag.find('>')?)?;
    let value =
        tag.get(tag.to_ascii_lowercase().find("href")? + 4..)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let path = value.get(1..)?.split(quote).next()?;
    let plain = path.starts_with('/')
        && path.ends_with('/')
        && !path.contains("//")
        && !path.contains(['%', '?', '#']);
    (plain && !path.split('/').any(|s| s == "." || s == "..")).then(|| path.to_owned())
}

/// The content of every hash in the manifest, shared or read.
fn contents(
    release: &Release,
    previous: &Live,
    seen: Contents,
    config: &SiteConfig,
) -> Result<Contents, LoadError> {
    let mut wanted: BTreeMap<Digest, (&str, &FileFacts)> = BTreeMap::new();
    for (path, facts) in release.manifest.files() {
        wanted.entry(facts.sha256).or_insert((path, facts));
    }
    let old = previous.entries.values().chain(previous.retired.values().map(|(e, _)| e));
    let on_disk = spilled(&wanted, config);
    let mut ready = seen;
    ready.retain(|sha256, content| {
        let is_it = wanted.get(sha256).is_some_and(|(_, facts)| facts.size == content.size);
        is_it && !on_disk.contains(sha256)
    });
    // What the previous snapshot has comes with its variants.
    ready.extend(
        old.filter(|e| wanted.contains_key(&e.content.sha256))
            .map(|e| (e.content.sha256, Arc::clone(&e.content))),
    );
    let missing: Vec<Job<'_>> = wanted
        .iter()
        .filter(|(sha256, _)| !ready.contains_key(*sha256))
        .map(|(sha256, (path, facts))| {
            let place = if on_disk.contains(sha256) { Place::Disk } else { Place::Memory };
            Job { path, facts, place }
        })
        .collect();
    let read = read_all(release, &missing)?;
    ready.extend(read.into_iter().map(|content| (content.sha256, Arc::new(content))));
    Ok(ready)
}

/// The contents that stay on disk: those above the limit of one file, then the largest until
/// the rest fits.
fn spilled(wanted: &BTreeMap<Digest, (&str, &FileFacts)>, config: &SiteConfig) -> HashSet<Digest> {
    let mut sizes: Vec<(u64, Digest)> = wanted.values().map(|(_, f)| (f.size, f.sha256)).collect();
    let mut total: u64 = sizes.iter().map(|(size, _)| size).sum();
    sizes.sort_by(|a, b| b.cmp(a));
    let mut out = HashSet::new();
    for (size, sha256) in sizes.into_iter().take(config.open_files_max) {
        if size <= config.memory_file_bytes_max && total <= config.memory_bytes {
            break;
        }
        total -= size;
        out.insert(sha256);
    }
    out
}

struct Job<'a> {
    path: &'a str,
    facts: &'a FileFacts,
    place: Place,
}

/// Reads the files on a few threads; the first fault ends it.
fn read_all(release: &Release, jobs: &[Job<'_>]) -> Result<Vec<Content>, LoadError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let fault: Mutex<Option<LoadError>> = Mutex::new(None);
    let work = || {
        let mut done = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            match read(release, job) {
                Ok(content) => done.push(content),
                Err(e) => {
                    failed.store(true, Ordering::Relaxed);
                    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                }
            }
        }
        done
    };
    let mut read = Vec::with_capacity(jobs.len());
    if jobs.len() < THREADS_FROM_FILES {
        read = work();
    } else {
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..LOAD_THREADS).map(|_| scope.spawn(work)).collect();
            read.extend(work());
            // A panic in a helper leaves files unread: the check below finds it.
            read.extend(helpers.into_iter().filter_map(|h| h.join().ok()).flatten());
        });
    }
    match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None if read.len() < jobs.len() => {
            let source = ContentError::Io(io::Error::other("a reading thread ended early"));
            Err(LoadError { path: release.id.to_string(), source })
        }
        None => Ok(read),
    }
}

fn read(release: &Release, job: &Job<'_>) -> Result<Content, LoadError> {
    release
        .open(job.path)
        .map_err(ContentError::Io)
        .and_then(|file| Content::read(file, job.facts.sha256, job.facts.size, job.place))
        .map_err(|source| LoadError { path: job.path.to_owned(), source })
}

/// The page of a folder.
const INDEX: &str = "index.html";
/// `<base` stands in the head of the page.
const BASE_WITHIN_BYTES: usize = 16 * 1024;
/// Swaps that a hashed script or style outlives its cut: at five minutes a cut, a page that
/// was loaded ten minutes ago still finds its parts.
const RETIRED_SWAPS_MAX: u8 = 2;
/// Threads that read and hash; more than two only move the wait to the disk.
const LOAD_THREADS: usize = 2;
/// Below this many files a second thread costs more than it saves.
const THREADS_FROM_FILES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_read_from_the_index() {
        for (html, base) in [
            ("<html><BASE HREF='/publicacion/nacional/'>", Some("/publicacion/nacional/")),
            ("<base target=_top href = \"/\">", Some("/")),
            ("<base href=\"https://prep.mx/x/\">", None),
            ("<base href=\"//prep.mx/\">", None),
            ("<base href=\"/../\">", None),
            ("<base href=\"./\">", None),
            ("<base href=", None),
            ("nothing", None),
        ] {
            assert_eq!(base_href(html.as_bytes()).as_deref(), base, "{html}");
        }
    }
}
