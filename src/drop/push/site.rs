//! A push below `sitio/`: a transaction on the published tree.
//!
//! Times of directories and of files whose content did not change are no part of a cut.
//! They are remembered in memory ([`Shown`]) so that the next push finds what this one
//! left and has nothing to say; after a restart one push says it again.

mod file;
mod shown;
mod work;

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use unicode_normalization::UnicodeNormalization as _;

use super::super::room::{Room, lock};
use super::super::shelf::Shelf;
use super::super::tree::{Still, Transaction};
use super::super::{DropError, Submission};
use super::{basis, refused};
use crate::archive::Nfd;
use crate::model::{Code, Hasher, Rejection, Sender};
use crate::rsync::{Basis, Found, Kind, Meta, NewFile, Refused};

use file::SiteFile;
use shown::Link;
use work::Work;

pub(in crate::drop) use shown::Shown;

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

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// A file below this is sent whole sooner than a kin is read.
const KIN_BYTES: u64 = 64 << 10;
