//! The real file system as a tree: no staging, each file under a temporary name until it is proved.
//!
//! Everything is reached beneath one directory handle, never through a symbolic link, so that
//! neither the peer nor whoever changes the tree meanwhile can lead a write elsewhere.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use difusor::rsync::{
    Basis, Committed, Exit, Found, Intent, Kind, Meta, NewFile, Refused, Summary, Time, Tree,
};
use rustix::fs::{self as sys, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::newborn::{Held, Newborn, temporary};

/// Directory handles kept open.
const HANDLES: usize = 8;

/// Where the destination words of clients are looked up.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// As a shell would, from the working directory (`--server`).
    Here,
    /// Below a directory that nothing leads out of (a module).
    Module(PathBuf),
}

/// A tree of the file system.
pub(crate) struct Disk {
    start: Start,
    root: OnceLock<Arc<OwnedFd>>,
    handles: Mutex<Vec<(Vec<u8>, Arc<OwnedFd>)>>,
}

impl Disk {
    pub(crate) fn new(start: Start) -> Self {
        Self { start, root: OnceLock::new(), handles: Mutex::default() }
    }

    /// The handle of a directory.
    fn dir(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let root = self.root.get().ok_or_else(|| io::Error::other("no destination yet"))?;
        if path.is_empty() {
            return Ok(Arc::clone(root));
        }
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = handles.iter().position(|(held, _)| held == path) {
            let held = handles.remove(at);
            let handle = Arc::clone(&held.1);
            handles.insert(0, held);
            return Ok(handle);
        }
        let handle = Arc::new(beneath(root, path, OFlags::PATH | OFlags::DIRECTORY)?);
        handles.truncate(HANDLES - 1);
        handles.insert(0, (path.to_vec(), Arc::clone(&handle)));
        Ok(handle)
    }

    /// The directory that holds a path, and the name in it.
    fn parent<'p>(&self, path: &'p [u8]) -> io::Result<(Arc<OwnedFd>, &'p OsStr)> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (dir, name) =
            slash.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?))).unwrap_or((b"", path));
        if name.is_empty() {
            return Ok((self.dir(b"")?, OsStr::new(".")));
        }
        Ok((self.dir(dir)?, OsStr::from_bytes(name)))
    }

    /// Forgets the handles of a directory that goes.
    fn forget(&self, path: &[u8]) {
        let below = |held: &[u8]| {
            held.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).retain(|(held, _)| !below(held));
    }

    fn open(&self, path: &[u8]) -> io::Result<Held> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Held::new(File::from(sys::openat(&*dir, name, flags, Mode::empty())?))
    }

    /// From the word of a client to a handle and what is left to make beneath it.
    fn anchor(&self, word: &Path) -> io::Result<(OwnedFd, Vec<u8>)> {
        let open = |path: &Path| {
            sys::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        if let Start::Module(root) = &self.start {
            return Ok((open(root)?, inside(word)?));
        }
        let word = if word.as_os_str().is_empty() { Path::new(".") } else { word };
        let mut rest = Vec::new();
        let mut at = word.to_path_buf();
        loop {
            let up = if at.as_os_str().is_empty() { Path::new(".") } else { &at };
            match open(up) {
                Ok(handle) => {
                    rest.reverse();
                    return Ok((handle, rest.join(&b'/')));
                }
                Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                    let Some(name) = at.file_name() else { return Err(error.into()) };
                    rest.push(name.as_bytes().to_vec());
                    at.pop();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A module's path as components; nothing leads up.
fn inside(word: &Path) -> io::Result<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in word.components() {
        match part {
            Component::Normal(name) => parts.push(name.as_bytes()),
            Component::ParentDir => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "\"..\" leads out of the module",
                ));
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok(parts.join(&b'/'))
}

/// Opens beneath a directory, following no link.
fn beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(sys::openat2(root, OsStr::from_bytes(path), flags | OFlags::CLOEXEC, Mode::empty(), rules)?)
}

pub(crate) fn stamps(time: Time) -> Timestamps {
    let mtime = Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: sys::UTIME_OMIT }, last_modification: mtime }
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link(Vec::new()),
        _ => Kind::Other,
    }
}

fn absent<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        _ => Err(error),
    }
}

impl Tree for Disk {
    fn destination(&self, raw: &[u8]) -> Result<Vec<u8>, Refused> {
        let (root, rest) = self.anchor(Path::new(OsStr::from_bytes(raw)))?;
        let _ = self.root.set(Arc::new(root));
        Ok(rest)
    }

    fn begin(&self, _: &Intent) -> Result<(), Refused> {
        Ok(())
    }

    fn look(&self, path: &[u8]) -> io::Result<Option<Found>> {
        let (dir, name) = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) => return absent(error),
        };
        let stat = match sys::statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => return absent(error.into()),
        };
        let mut kind = kind(FileType::from_raw_mode(stat.st_mode));
        if let Kind::Link(target) = &mut kind {
            *target = sys::readlinkat(&*dir, name, Vec::new())?.into_bytes();
        }
        Ok(Some(Found {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: Time { secs: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
            mode: stat.st_mode & 0o7777,
            inode: Some((stat.st_dev, stat.st_ino)),
        }))
    }

    fn list(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, Found)>> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = sys::openat(&*dir, name, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in sys::Dir::new(handle)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let mut file_type = entry.file_type();
            if file_type == FileType::Unknown {
                let stat = sys::statat(&*self.dir(path)?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                file_type = FileType::from_raw_mode(stat.st_mode);
            }
            names.push((name.to_vec(), Found::bare(kind(file_type))));
        }
        Ok(names)
    }

    fn content(&self, path: &[u8]) -> io::Result<Box<dyn Basis>> {
        Ok(Box::new(self.open(path)?))
    }

    fn basis(&self, path: &[u8], _: u64) -> io::Result<Option<Box<dyn Basis>>> {
        match self.open(path) {
            Ok(held) => Ok(Some(Box::new(held))),
            Err(error) => absent(error),
        }
    }

    fn create(&self, path: &[u8], _: u64) -> Result<Box<dyn NewFile>, Refused> {
        let (dir, name) = self.parent(path)?;
        Ok(Box::new(Newborn::create(dir, name)?))
    }

    fn make_dir(&self, path: &[u8]) -> Result<(), Refused> {
        let (dir, name) = self.parent(path)?;
        Ok(sys::mkdirat(&*dir, name, Mode::from_raw_mode(0o755)).map_err(io::Error::from)?)
    }

    fn make_link(&self, path: &[u8], target: &[u8], meta: &Meta) -> Result<(), Refused> {
        let (dir, name) = self.parent(path)?;
        let target = OsStr::from_bytes(target);
        let link = |name: &OsStr| {
            sys::symlinkat(target, &*dir, name)?;
            meta.mtime
                .map_or(Ok(()), |time| sys::utimensat(&*dir, name, &stamps(time), AtFlags::SYMLINK_NOFOLLOW))
        };
        replace(&dir, name, link)
    }

    fn hard_link(&self, existing: &[u8], path: &[u8]) -> Result<(), Refused> {
        let (from, source) = self.parent(existing)?;
        let (dir, name) = self.parent(path)?;
        replace(&dir, name, |name| sys::linkat(&*from, source, &*dir, name, AtFlags::empty()))
    }

    fn set(&self, path: &[u8], meta: &Meta) -> Result<(), Refused> {
        let (dir, name) = self.parent(path)?;
        if let Some(mode) = meta.mode {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = sys::openat(&*dir, name, flags, Mode::empty()).map_err(io::Error::from)?;
            sys::fchmod(&file, Mode::from_raw_mode(mode)).map_err(io::Error::from)?;
        }
        if let Some(time) = meta.mtime {
            sys::utimensat(&*dir, name, &stamps(time), AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
        }
        Ok(())
    }

    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        let (dir, name) = self.parent(path)?;
        let removed = match sys::unlinkat(&*dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                self.forget(path);
                sys::unlinkat(&*dir, name, AtFlags::REMOVEDIR)
            }
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(Refused { exit: Exit::Partial, text: io::Error::from(error).to_string() }),
        }
    }

    fn commit(&self, _: &Summary) -> Result<Committed, Refused> {
        Ok(Committed::Done(None))
    }
}

/// Makes a name; if it is taken, makes another and renames it over the first.
fn replace(dir: &OwnedFd, name: &OsStr, make: impl Fn(&OsStr) -> Result<(), Errno>) -> Result<(), Refused> {
    match make(name) {
        Err(Errno::EXIST) => {}
        other => return Ok(other.map_err(io::Error::from)?),
    }
    let temporary = temporary(name);
    make(&temporary).map_err(io::Error::from)?;
    let renamed = sys::renameat(dir, &*temporary, dir, name);
    // Two names of one inode are both left by a rename.
    let _ = sys::unlinkat(dir, &*temporary, AtFlags::empty());
    Ok(renamed.map_err(io::Error::from)?)
}

impl Basis for Held {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
