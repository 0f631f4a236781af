//! A push outside `sitio/`: files of the packages area, packages among them, as with scp.
//!
//! The session sees whole files only. What another push broke off is no file to it, or
//! `-u` and `--ignore-existing` would leave it broken; it lends its bytes instead.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::inbox::{Inbox, Seen, found, partial_name};
use super::super::names::same_format;
use super::super::room::{inode, lock, size as bytes_of};
use super::super::shelf::Shelf;
use super::super::{DropError, Open, Submission, Upload};
use super::{FILE_MODE, basis, directory, refused, seconds};
use crate::durable::Listed;
use crate::model::{Lang, Sender};
use crate::rsync::{Basis, Found, Kind, Meta, NewFile, Refused};

pub(super) fn look(inbox: &Inbox, path: &Path) -> Result<Option<Found>, DropError> {
    if path.as_os_str().is_empty() {
        return Ok(Some(directory(0)));
    }
    let Some(raw) = inbox.whole(path)? else { return Ok(None) };
    Ok(Some(of(&Listed { name: path.into(), stat: raw })))
}

/// Everything whole in a directory. The folder that every client finds is not offered: a push
/// with `--delete` to the root means its own files.
pub(super) fn list(inbox: &Inbox, path: &Path) -> Result<Vec<(Vec<u8>, Found)>, DropError> {
    let is_root = path.as_os_str().is_empty();
    let names = inbox.list_whole(path)?.into_iter();
    let names = names.filter(|listed| !is_root || listed.name != super::super::inbox::PACKAGES);
    Ok(names.map(|listed| (listed.name.as_bytes().to_vec(), of(&listed))).collect())
}

pub(super) fn whole(inbox: &Inbox, path: &Path) -> Result<File, DropError> {
    let (parent, name) = inbox.place(path)?;
    Ok(parent.open_file(name)?)
}

pub(super) fn remove(inbox: &Inbox, path: &Path) -> Result<(), DropError> {
    match inbox.look(path)? {
        Seen::Dir(_) => inbox.remove_dir(path, false),
        Seen::Whole(_) | Seen::Partial(_) => inbox.remove(path),
    }
}

/// What earlier pushes left under this name, and the package it replaces or follows.
pub(super) fn basis(
    inbox: &Inbox,
    shelf: &Shelf,
    (raw, path): (&[u8], &Path),
    size: u64,
    similar: bool,
) -> io::Result<Option<Box<dyn Basis>>> {
    let Ok((parent, name)) = inbox.place(path) else { return Ok(None) };
    let partial = parent.open_file(partial_name(name)).ok();
    let there = parent.open_file(name).ok();
    let kin = || newest(inbox, path, name).filter(|_| similar && size >= KIN_BYTES);
    let there = there.or_else(kin);
    Ok(basis::Pieces::of(shelf.find(raw).into_iter().chain(partial).chain(there))?.or_none())
}

/// The newest package of the same container: beside it, else of the history.
fn newest(inbox: &Inbox, path: &Path, name: &OsStr) -> Option<File> {
    if !inbox.room.names.is_package(name) {
        return None;
    }
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    let beside = inbox.list_whole(parent).ok()?.into_iter().filter(|listed| {
        listed.is_file() && inbox.room.names.is_package(&listed.name) && same_format(&listed.name, name)
    });
    let newest = beside.max_by_key(|listed| (listed.stat.st_ctime, listed.stat.st_ctime_nsec));
    match newest {
        Some(newest) => whole(inbox, &parent.join(newest.name)).ok(),
        None => inbox.room.shared.history.newest(&name.to_string_lossy()).ok().flatten(),
    }
}

fn of(listed: &Listed) -> Found {
    if listed.is_dir() {
        return directory(listed.stat.st_mtime);
    }
    Found {
        kind: if listed.is_file() { Kind::File } else { Kind::Other },
        size: bytes_of(&listed.stat),
        mtime: seconds(listed.stat.st_mtime),
        mode: FILE_MODE,
        inode: None,
    }
}

/// A file of the packages area being rebuilt.
#[derive(Debug)]
pub(super) struct PackageFile {
    /// `None` once it went its way.
    upload: Option<Upload>,
    offset: u64,
    shelf: Arc<Shelf>,
    submissions: Arc<Mutex<Vec<Submission>>>,
    raw: Vec<u8>,
    lang: Lang,
}

impl PackageFile {
    pub(super) fn create(
        inbox: &Inbox,
        shelf: Arc<Shelf>,
        submissions: Arc<Mutex<Vec<Submission>>>,
        (raw, path): (&[u8], &Path),
        size: u64,
        sender: Sender,
    ) -> Result<Box<dyn NewFile>, DropError> {
        put_by(inbox, &shelf, raw, path);
        let package = path.file_name().is_some_and(|name| inbox.room.names.is_package(name));
        let upload = Upload::in_inbox(inbox, path, Open::Truncate, Some(size), package, sender)?;
        let lang = inbox.room.config.lang;
        Ok(Box::new(Self { upload: Some(upload), offset: 0, shelf, submissions, raw: raw.to_owned(), lang }))
    }
}

/// What was broken off under this name is kept: this push may break off sooner.
fn put_by(inbox: &Inbox, shelf: &Shelf, raw: &[u8], path: &Path) {
    let Ok((parent, name)) = inbox.place(path) else { return };
    let partial = partial_name(name);
    let slots = inbox.room.slots();
    if let Ok(Some(stat)) = found(parent.stat(&partial))
        && !slots.contains_key(&inode(&stat))
    {
        // What cannot be kept is sent again.
        let _ = shelf.put(raw, &parent, &partial);
    }
}

impl NewFile for PackageFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let Some(upload) = &mut self.upload else { return Err(gone()) };
        upload.write_at(self.offset, bytes).map_err(|e| refused(&e, self.lang))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>, meta: &Meta) -> Result<(), Refused> {
        let Some(mut upload) = self.upload.take() else { return Err(gone()) };
        if let Some(mtime) = meta.mtime {
            upload.set_mtime(mtime.secs);
        }
        let submission = upload.close().map_err(|e| refused(&e, self.lang))?;
        self.shelf.forget(&self.raw);
        lock(&self.submissions).extend(submission);
        Ok(())
    }

    fn keep(mut self: Box<Self>) {
        // A broken-off upload stays under its scratch name, where every door finds it.
        drop(self.upload.take());
    }

    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused> {
        let Some(upload) = &self.upload else { return Err(gone()) };
        Ok(Box::new(basis::Pieces::of([upload.reader()?])?))
    }
}

impl Drop for PackageFile {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abandon();
        }
    }
}

fn gone() -> Refused {
    io::Error::from(io::ErrorKind::NotFound).into()
}

/// A package below this is sent whole sooner than a kin is read.
const KIN_BYTES: u64 = 64 << 10;
