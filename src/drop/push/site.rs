//! A push below `sitio/`: a transaction on the published tree.
//!
//! Times of directories and of files whose content did not change are no part of a cut.
//! They are remembered in memory ([`Shown`]) so that the next push finds what this one
//! left and has nothing to say; after a restart one push says it again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use unicode_normalization::UnicodeNormalization as _;

use super::super::room::{Room, lock};
use super::super::shelf::Shelf;
use super::super::tree::{Begun, Seen, Still, Transaction};
use super::super::{DropError, Submission};
use super::{FILE_MODE, basis, directory, refused, seconds};
use crate::archive::Nfd;
use crate::model::{Code, Digest, Hasher, Rejection, Sender};
use crate::rsync::{Basis, Found, Kind, Meta, NewFile, Refused};
use jiff::Timestamp;

/// What a push finds of earlier ones that is no part of a cut.
#[derive(Clone, Debug, Default)]
pub(in crate::drop) struct Shown {
    /// Times of directories.
    dirs: BTreeMap<String, i64>,
    /// Times of files, as long as they have this content.
    files: BTreeMap<String, (Digest, i64)>,
    /// Files that no cut takes in (`.gitkeep`, `Thumbs.db`): bytes and time.
    left_out: BTreeMap<String, (u64, i64)>,
    /// Links, as long as what they became has this content.
    links: BTreeMap<String, (Digest, Link)>,
}

/// A link as the sender has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    target: String,
    mtime: i64,
}

/// The site as one push sees and changes it.
#[derive(Debug)]
pub(super) struct Site {
    room: Arc<Room>,
    shelf: Arc<Shelf>,
    similar: bool,
    shown: Arc<Shown>,
    /// What is live, for a push that has not begun to change it.
    still: OnceLock<Still>,
    work: Mutex<Option<Work>>,
    /// Bytes that the disk was asked for and that were not written yet.
    admitted: Arc<AtomicU64>,
    /// The first thing that could not be taken as it came: then nothing is published.
    broken: Mutex<Option<Refused>>,
    /// What the session left beside the cut, to be shown once it is published.
    left: Mutex<Option<Shown>>,
}

#[derive(Debug)]
struct Work {
    tree: Transaction,
    dirs: BTreeMap<String, i64>,
    files: BTreeMap<String, i64>,
    links: BTreeMap<String, Link>,
    /// Names of the left-out files that this session removed.
    gone: BTreeSet<String>,
}

impl Site {
    pub(super) fn new(room: &Arc<Room>, shelf: &Arc<Shelf>, similar: bool) -> Self {
        Self {
            room: Arc::clone(room),
            shelf: Arc::clone(shelf),
            similar,
            shown: Arc::clone(&lock(&room.shown)),
            still: OnceLock::new(),
            work: Mutex::default(),
            admitted: Arc::default(),
            broken: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// A path below the site, as names are kept here.
    pub(super) fn path<'p>(&self, raw: &'p [u8]) -> Result<Cow<'p, str>, DropError> {
        let text = std::str::from_utf8(raw).map_err(|_| Rejection::new(Code::PathNotUtf8).entry(raw))?;
        Ok(match self.room.config.limits.nfd {
            Nfd::Refuse => text.into(),
            Nfd::Compose if text.is_ascii() => text.into(),
            Nfd::Compose => text.nfc().collect::<String>().into(),
        })
    }

    /// Waits for the turn and begins from what is live.
    pub(super) fn begin(&self) -> Result<(), DropError> {
        let mut work = lock(&self.work);
        if work.is_none() {
            let (dirs, files, links, gone) = Default::default();
            *work = Some(Work { tree: Transaction::begin(&self.room)?, dirs, files, links, gone });
        }
        Ok(())
    }

    pub(super) fn is_begun(&self) -> bool {
        lock(&self.work).is_some()
    }

    /// Remembers that something of the push is missing, in the words the sender read.
    pub(super) fn refuse(&self, error: &DropError) -> Refused {
        let refused = refused(error, self.room.config.lang);
        lock(&self.broken).get_or_insert_with(|| refused.clone());
        refused
    }

    /// Runs on the transaction, begun now if it was not.
    fn with<T>(&self, act: impl FnOnce(&mut Work) -> Result<T, DropError>) -> Result<T, DropError> {
        self.begin()?;
        match lock(&self.work).as_mut() {
            Some(work) => act(work),
            // Committed: nothing may change any more.
            None => Err(Rejection::new(Code::TransferIncomplete).into()),
        }
    }

    fn still(&self) -> &Still {
        self.still.get_or_init(|| Still::now(&self.room))
    }

    pub(super) fn look(&self, path: &str) -> Option<Found> {
        let work = lock(&self.work);
        match work.as_ref() {
            Some(work) => work.look(path, &self.shown),
            None => match self.still().see(path) {
                Some(seen) => Some(self.shown.found(path, seen)),
                None => self.shown.left_out(path),
            },
        }
    }

    pub(super) fn list(&self, path: &str) -> Vec<(Vec<u8>, Found)> {
        let work = lock(&self.work);
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let Some(work) = work.as_ref() else {
            let children = self.still().children(path).into_iter();
            let children = children.map(|(name, seen)| {
                let found = self.shown.found(&below(&name), seen);
                (name.into_bytes(), found)
            });
            return children.chain(self.shown.left_out_in(path)).collect();
        };
        let mut names: Vec<(Vec<u8>, Found)> = work
            .tree
            .children(path)
            .into_iter()
            .filter_map(|name| {
                let found = work.look(&below(&name), &self.shown)?;
                Some((name.into_bytes(), found))
            })
            .collect();
        let left_out = self.shown.left_out_in(path);
        names.extend(left_out.filter(|(name, _)| {
            let at = below(&String::from_utf8_lossy(name));
            work.tree.see(&at).is_none() && !work.gone.contains(&at)
        }));
        let links = work.links.iter().filter(|(at, _)| parent(at) == path);
        for (at, link) in links {
            let name = at.get(at.len() - last(at).len()..).unwrap_or_default().as_bytes().to_vec();
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, link.found()));
            }
        }
        names
    }

    pub(super) fn read(&self, path: &str) -> Result<File, DropError> {
        match lock(&self.work).as_ref() {
            Some(work) => work.tree.read(path),
            None => self.still().read(path),
        }
    }

    /// What an earlier push kept, and what stands there or comes nearest.
    pub(super) fn basis(&self, raw: &[u8], path: &str, size: u64) -> io::Result<Option<Box<dyn Basis>>> {
        let kept = self.shelf.find(raw);
        if kept.as_ref().is_some_and(|kept| kept.metadata().is_ok_and(|kept| kept.len() == size)) {
            return Ok(basis::Pieces::of(kept)?.or_none());
        }
        let there = match self.read(path) {
            Ok(file) => Some(file),
            Err(_) if self.similar && size >= KIN_BYTES => self.kin(path),
            Err(_) => None,
        };
        Ok(basis::Pieces::of(kept.into_iter().chain(there))?.or_none())
    }

    /// The newest file of the same kind beside it: sites keep downloads under names with an hour.
    fn kin(&self, path: &str) -> Option<File> {
        let kind = last(path).rsplit_once('.')?.1;
        let name = self
            .list(parent(path))
            .into_iter()
            .filter(|(_, found)| found.kind == Kind::File && found.size >= KIN_BYTES)
            .filter_map(|(name, found)| Some((found.mtime.secs, String::from_utf8(name).ok()?)))
            .filter(|(_, name)| name.rsplit_once('.').is_some_and(|(_, end)| end == kind))
            .max()?
            .1;
        let at = if parent(path).is_empty() { name } else { format!("{}/{name}", parent(path)) };
        self.read(&at).ok()
    }

    pub(super) fn create(&self, raw: &[u8], path: &str, size: u64) -> Result<Box<dyn NewFile>, DropError> {
        let limit = self.room.config.limits.file_bytes;
        if size > limit {
            let refused = Rejection::new(Code::SizeFile).entry(path);
            return Err(refused.detail(format!("{size} B > {limit} B")).into());
        }
        let (file, begun) = self.with(|work| {
            work.forget(path);
            work.tree.create(path, false)
        })?;
        Ok(Box::new(SiteFile {
            room: Arc::clone(&self.room),
            shelf: Arc::clone(&self.shelf),
            admitted: Arc::clone(&self.admitted),
            raw: raw.to_owned(),
            file,
            begun,
            hasher: Hasher::new(),
            size: 0,
            first_byte: None,
        }))
    }

    pub(super) fn make_dir(&self, path: &str) -> Result<(), DropError> {
        self.with(|work| {
            work.forget(path);
            match work.tree.mkdir(path) {
                Err(DropError::Exists) if work.tree.see(path).is_some_and(|seen| seen.is_dir()) => Ok(()),
                made => made,
            }
        })
    }

    pub(super) fn make_link(&self, path: &str, target: &[u8], meta: &Meta) -> Result<(), DropError> {
        let target = self.path(target)?.into_owned();
        self.with(|work| {
            work.tree.admit(path)?;
            let mtime = meta.mtime.map_or(0, |mtime| mtime.secs);
            match work.tree.see(path) {
                Some(seen) if seen.is_dir() => return Err(DropError::IsDir),
                Some(_) => work.tree.remove(path)?,
                None => {}
            }
            work.links.insert(path.to_owned(), Link { target, mtime });
            Ok(())
        })
    }

    pub(super) fn hard_link(&self, from: &str, to: &str) -> Result<(), DropError> {
        self.with(|work| {
            work.forget(to);
            work.tree.copy_file(from, to)
        })
    }

    pub(super) fn set_mtime(&self, path: &str, mtime: i64) -> Result<(), DropError> {
        self.with(|work| {
            if let Some(link) = work.links.get_mut(path) {
                link.mtime = mtime;
                return Ok(());
            }
            match work.tree.see(path) {
                // It is remembered with the time that it came with.
                None if self.shown.left_out(path).is_some() => {}
                None => return Err(DropError::NotFound),
                Some(seen) if seen.is_dir() => drop(work.dirs.insert(path.to_owned(), mtime)),
                Some(_) => {
                    work.files.insert(path.to_owned(), mtime);
                    work.tree.set_mtime(path, mtime)?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), DropError> {
        self.with(|work| {
            if work.links.remove(path).is_some() && work.tree.see(path).is_none() {
                return Ok(());
            }
            match work.tree.see(path) {
                Some(seen) if seen.is_dir() => work.tree.remove_dir(path, false),
                Some(_) => work.tree.remove(path),
                None if self.shown.left_out(path).is_some() => {
                    work.gone.insert(path.to_owned());
                    Ok(())
                }
                None => Err(DropError::NotFound),
            }
        })
    }

    /// Hands the changes on, durable. What could not be taken means that nothing is.
    pub(super) fn commit(&self, sender: Sender) -> Result<Option<Submission>, DropError> {
        if let Some(refused) = lock(&self.broken).take() {
            // Its sentence stands for all.
            return Err(DropError::Denied(
                refused.text.strip_prefix("difusor: ").unwrap_or(&refused.text).to_owned(),
            ));
        }
        let mut held = lock(&self.work);
        let Some(work) = held.as_mut() else { return Ok(None) };
        work.follow_links(&self.room, &self.shown)?;
        let left = work.left(&self.shown);
        let submission = work.tree.hand_on_whole(sender)?;
        *lock(&self.left) = Some(left);
        *held = None;
        self.shelf.clear();
        Ok(submission)
    }

    /// The verdict was good: what the session left is what the next one finds.
    pub(super) fn settled(&self) {
        if let Some(left) = lock(&self.left).take() {
            *lock(&self.room.shown) = Arc::new(left);
        }
    }
}

impl Drop for Site {
    /// What came whole is kept for the next push, unless it went on.
    fn drop(&mut self) {
        let work = self.work.get_mut().map_or_else(|poisoned| poisoned.into_inner().take(), Option::take);
        if let Some(work) = work {
            work.tree.shelve(&self.shelf);
            self.shelf.tidy();
        }
    }
}

impl Work {
    fn look(&self, path: &str, shown: &Shown) -> Option<Found> {
        if let Some(link) = self.links.get(path) {
            return Some(link.found());
        }
        let Some(seen) = self.tree.see(path) else {
            return shown.left_out(path).filter(|_| !self.gone.contains(path));
        };
        let mtime = if seen.is_dir() { self.dirs.get(path) } else { self.files.get(path) };
        match mtime {
            Some(mtime) => Some(Found { mtime: seconds(*mtime), ..seen.found() }),
            None => Some(shown.found(path, seen)),
        }
    }

    /// A new thing comes to stand there: nothing that was remembered holds.
    fn forget(&mut self, path: &str) {
        self.links.remove(path);
        self.files.remove(path);
        self.dirs.remove(path);
    }

    /// Makes every link of the session, and every one still shown, the content it leads to.
    fn follow_links(&mut self, room: &Room, shown: &Shown) -> Result<(), DropError> {
        // A link of an earlier push whose target has changed in this one.
        for (path, (digest, link)) in &shown.links {
            let stands = self.tree.see(path).and_then(|seen| seen.digest()) == Some(*digest);
            if stands && !self.links.contains_key(path) {
                self.links.insert(path.clone(), link.clone());
            }
        }
        for path in self.links.keys() {
            let Some(target) = self.target(path) else {
                // It leads nowhere: nobody could have followed it.
                if self.tree.see(path).is_some() {
                    self.tree.remove(path)?;
                }
                continue;
            };
            match self.tree.see(&target) {
                None => {}
                Some(seen) if seen.is_dir() => {
                    let link = room.denied(
                        &format!(
                            "el enlace «{path}» lleva a una carpeta: envíe la carpeta misma (rsync -L o -k)"
                        ),
                        &format!("link '{path}' leads to a folder: send the folder itself (rsync -L or -k)"),
                    );
                    return Err(link);
                }
                Some(_) => self.tree.copy_file(&target, path)?,
            }
        }
        Ok(())
    }

    /// Where a link leads in the end, inside the site, by the letters of its targets.
    fn target(&self, path: &str) -> Option<String> {
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Some(link) = self.links.get(&at) else { return self.tree.see(&at).map(|_| at) };
            let mut parts: Vec<&str> = parent(&at).split('/').filter(|part| !part.is_empty()).collect();
            for part in link.target.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()?),
                    part => parts.push(part),
                }
            }
            at = parts.join("/");
        }
        None
    }

    /// What the next push should find besides the cut.
    fn left(&self, shown: &Shown) -> Shown {
        let mut left = shown.clone();
        left.dirs.extend(self.dirs.iter().map(|(path, mtime)| (path.clone(), *mtime)));
        let digest = |path: &String| self.tree.see(path).and_then(|seen| seen.digest());
        let files = self.files.iter().filter_map(|(path, at)| Some((path.clone(), (digest(path)?, *at))));
        left.files.extend(files);
        left.files.extend(self.tree.rewritten());
        left.left_out.retain(|path, _| !self.gone.contains(path));
        left.left_out.extend(self.tree.left_out());
        while left.left_out.len() > LEFT_OUT_MAX {
            left.left_out.pop_last();
        }
        left.links = self
            .links
            .iter()
            .filter_map(|(path, link)| Some((path.clone(), (digest(path)?, link.clone()))))
            .collect();
        left.dirs.retain(|path, _| path.is_empty() || self.tree.see(path).is_some_and(|seen| seen.is_dir()));
        left.files.retain(|path, (known, _)| digest(path) == Some(*known));
        left
    }
}

impl Shown {
    fn left_out(&self, path: &str) -> Option<Found> {
        let (size, mtime) = self.left_out.get(path)?;
        Some(Found { kind: Kind::File, size: *size, mtime: seconds(*mtime), mode: FILE_MODE, inode: None })
    }

    fn left_out_in(&self, path: &str) -> impl Iterator<Item = (Vec<u8>, Found)> {
        let here = self.left_out.keys().filter(move |at| parent(at) == path);
        here.filter_map(|at| Some((last(at).as_bytes().to_vec(), self.left_out(at)?)))
    }

    fn found(&self, path: &str, seen: Seen) -> Found {
        let found = seen.found();
        let Some(digest) = seen.digest() else {
            let mtime = self.dirs.get(path).map_or(found.mtime, |mtime| seconds(*mtime));
            return Found { mtime, ..found };
        };
        if let Some((_, link)) = self.links.get(path).filter(|(known, _)| *known == digest) {
            return link.found();
        }
        match self.files.get(path).filter(|(known, _)| *known == digest) {
            Some((_, mtime)) => Found { mtime: seconds(*mtime), ..found },
            None => found,
        }
    }
}

impl Link {
    fn found(&self) -> Found {
        Found {
            kind: Kind::Link(self.target.clone().into_bytes()),
            size: self.target.len() as u64,
            mtime: seconds(self.mtime),
            mode: 0o777,
            inode: None,
        }
    }
}

impl Seen {
    fn found(&self) -> Found {
        match self {
            Self::Dir { mtime } => directory(*mtime),
            Self::File(facts) => Found {
                kind: Kind::File,
                size: facts.size,
                mtime: seconds(facts.mtime),
                mode: FILE_MODE,
                // Equal content is one file here, whatever names it has.
                inode: Some(facts.sha256.halves()),
            },
        }
    }

    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Dir { .. } => None,
            Self::File(facts) => Some(facts.sha256),
        }
    }
}

/// A file of the site being rebuilt.
#[derive(Debug)]
struct SiteFile {
    room: Arc<Room>,
    shelf: Arc<Shelf>,
    admitted: Arc<AtomicU64>,
    raw: Vec<u8>,
    file: File,
    begun: Begun,
    hasher: Hasher,
    size: u64,
    first_byte: Option<Timestamp>,
}

impl SiteFile {
    fn take(&mut self, bytes: &[u8]) -> Result<(), DropError> {
        let more = bytes.len() as u64;
        let (size, limit) = (self.size.saturating_add(more), self.room.config.limits.file_bytes);
        if size > limit {
            return Err(Rejection::new(Code::SizeFile)
                .entry(&self.raw)
                .detail(format!("> {limit} B"))
                .into());
        }
        self.admit(more)?;
        self.begun.charge(&self.room, more)?;
        if self.first_byte.is_none() {
            self.first_byte = Some(self.room.clock.now());
        }
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Asks the disk a step ahead, for the whole session.
    fn admit(&self, more: u64) -> Result<(), Rejection> {
        let spend = |left: u64| left.checked_sub(more);
        if self.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            return Ok(());
        }
        let step = more.max(STEP);
        self.room.admit_bytes(step)?;
        self.admitted.fetch_add(step - more, Ordering::Relaxed);
        Ok(())
    }

    fn refused(&self, error: &DropError) -> Refused {
        refused(error, self.room.config.lang)
    }
}

impl NewFile for SiteFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.take(bytes).map_err(|e| self.refused(&e))
    }

    fn finish(mut self: Box<Self>, meta: &Meta) -> Result<(), Refused> {
        let now = self.room.clock.now();
        let mtime = meta.mtime.map_or_else(|| now.as_second(), |mtime| mtime.secs);
        let first = self.first_byte.unwrap_or(now);
        let digest = std::mem::take(&mut self.hasher).finish();
        self.begun.finish(digest, self.size, mtime, (first, now)).map_err(|e| self.refused(&e))
    }

    fn keep(mut self: Box<Self>) {
        let (shelf, raw) = (Arc::clone(&self.shelf), std::mem::take(&mut self.raw));
        self.begun.give_up(|files, scratch| shelf.put(&raw, files, OsStr::new(scratch)));
    }

    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused> {
        Ok(Box::new(basis::Pieces::of([self.file.try_clone()?])?))
    }
}

impl Drop for SiteFile {
    fn drop(&mut self) {
        self.begun.leave();
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// How far ahead of the bytes the disk is asked.
const STEP: u64 = 8 << 20;

/// A file below this is sent whole sooner than a kin is read.
const KIN_BYTES: u64 = 64 << 10;

/// Left-out files remembered: a site has a handful.
const LEFT_OUT_MAX: usize = 1_000;

/// Links that lead to links: as the kernel bounds them.
const LINKS_MAX: usize = 40;
