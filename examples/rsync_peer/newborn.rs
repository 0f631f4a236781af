//! A file under its temporary name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use difusor::rsync::{Basis, Meta, NewFile, Refused};
use rustix::fs::{self as sys, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::stamps;

/// Longest name of a file system.
const NAME_MAX: usize = 255;
/// Names tried before giving up.
const ATTEMPTS: u32 = 100;

static ID: OnceLock<u32> = OnceLock::new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A hidden name beside `name` that nobody else uses.
pub(crate) fn temporary(name: &OsStr) -> OsString {
    let id = *ID.get_or_init(std::process::id);
    let tail = format!(".{id:x}-{:x}", COUNTER.fetch_add(1, Ordering::Relaxed));
    let name = name.as_bytes();
    let kept = name.get(..NAME_MAX - 1 - tail.len()).unwrap_or(name);
    OsString::from_vec([b".", kept, tail.as_bytes()].concat())
}

/// A file whose bytes are read for sums; a temporary one goes when it is no longer needed.
pub(crate) struct Held {
    pub(crate) file: File,
    pub(crate) size: u64,
    /// The name of a temporary file goes with it.
    _place: Option<Place>,
}

impl Held {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Err(Errno::NOENT.into());
        }
        Ok(Self { size: stat.len(), file, _place: None })
    }
}

/// A temporary name; removed when dropped.
struct Place {
    dir: Arc<OwnedFd>,
    temporary: OsString,
    taken: bool,
}

/// A directory, a temporary name in it, and the name it is to have.
type Unfinished = (Arc<OwnedFd>, OsString, OsString);

/// Temporary files as they are, for the end that a signal brings.
static PLACES: Mutex<Vec<Unfinished>> = Mutex::new(Vec::new());
/// `--partial`: they get their names even so.
static KEEPS: AtomicBool = AtomicBool::new(false);

/// What is not finished when a signal comes takes its name.
pub(crate) fn keep_unfinished() {
    KEEPS.store(true, Ordering::Relaxed);
}

/// Removes every temporary file, or gives it its name, as stock does on a signal.
pub(crate) fn clear_away() {
    for (dir, temporary, name) in PLACES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = match KEEPS.load(Ordering::Relaxed) {
            true => sys::renameat(&*dir, &*temporary, &*dir, &*name),
            false => sys::unlinkat(&*dir, &*temporary, AtFlags::empty()),
        };
    }
}

impl Place {
    fn new(dir: Arc<OwnedFd>, temporary: OsString, name: &OsStr) -> Self {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        places.push((Arc::clone(&dir), temporary.clone(), name.to_owned()));
        Self { dir, temporary, taken: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.taken {
            let _ = sys::unlinkat(&*self.dir, &*self.temporary, AtFlags::empty());
        }
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(dir, temporary, _)| *temporary != self.temporary || !Arc::ptr_eq(dir, &self.dir));
    }
}

/// A file being written.
pub(crate) struct Newborn {
    file: File,
    place: Place,
    name: OsString,
    written: u64,
}

impl Newborn {
    pub(crate) fn create(dir: Arc<OwnedFd>, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            let temporary = temporary(name);
            match sys::openat(&*dir, &*temporary, flags, Mode::from_raw_mode(0o644)) {
                Ok(file) => {
                    let place = Place::new(dir, temporary, name);
                    return Ok(Self { file: File::from(file), place, name: name.to_owned(), written: 0 });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn take_name(&mut self) -> io::Result<()> {
        sys::renameat(&*self.place.dir, &*self.place.temporary, &*self.place.dir, &*self.name)?;
        self.place.taken = true;
        Ok(())
    }
}

impl NewFile for Newborn {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>, meta: &Meta) -> Result<(), Refused> {
        if let Some(time) = meta.mtime {
            sys::futimens(&self.file, &stamps(time)).map_err(io::Error::from)?;
        }
        Ok(self.take_name()?)
    }

    fn keep(mut self: Box<Self>) {
        // What cannot be kept is sent again.
        let _ = self.take_name();
    }

    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused> {
        let Self { file, place, written, .. } = *self;
        Ok(Box::new(Held { file, size: written, _place: Some(place) }))
    }
}
