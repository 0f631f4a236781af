//! The packages area of one sender: real files below `var/inbox/<key name>/`.
//!
//! `NAME` is whole; `.~NAME` beside it is on its way or was broken off. The sender sees
//! one file under `NAME`: the broken-off one if there is one (that is what a client
//! resumes), else the whole one. A whole package is a second name of the original in the
//! history and read-only; nothing in this room opens a whole file for writing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{Stat as Raw, Timespec, Timestamps, UTIME_OMIT};

use super::names::{self, same_format, shown};
use super::room::{Room, Slots, Standing, Usage, inode, lock, size};
use super::submit::{self, Whole};
use super::sums::Sums;
use super::{DropError, Look, Stat, Submission};
use crate::durable::{Dir, Listed};
use crate::history::Kept;
use crate::model::{Code, Rejection, Sender};

/// The packages area of one sender.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    pub(super) room: Arc<Room>,
    pub(super) dir: Dir,
    pub(super) key: String,
}

/// What stands under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    Dir(Raw),
    Whole(Raw),
    Partial(Raw),
}

impl Seen {
    pub(super) fn raw(&self) -> &Raw {
        match self {
            Self::Dir(raw) | Self::Whole(raw) | Self::Partial(raw) => raw,
        }
    }

    fn stat(&self) -> Stat {
        let raw = self.raw();
        match self {
            Self::Dir(_) => Stat { is_dir: true, size: 0, mtime: raw.st_mtime },
            Self::Whole(_) | Self::Partial(_) => Stat { is_dir: false, size: size(raw), mtime: raw.st_mtime },
        }
    }
}

impl Inbox {
    /// The inbox of a trusted key, made where missing.
    pub(super) fn open(room: &Arc<Room>, key: &str) -> io::Result<Self> {
        let key = folder(key);
        let dir = room.inbox.sub_create(&key)?;
        dir.create_dir_all(PACKAGES)?;
        Ok(Self { room: Arc::clone(room), dir, key })
    }

    pub(super) fn stat(&self, path: &Path) -> Result<Stat, DropError> {
        Ok(self.look(path)?.stat())
    }

    /// What stands there.
    pub(super) fn look(&self, path: &Path) -> Result<Seen, DropError> {
        if path.as_os_str().is_empty() {
            return Ok(Seen::Dir(self.dir.stat(".")?));
        }
        let (parent, name) = self.place(path)?;
        let whole = found(parent.stat(name))?;
        if let Some(raw) = whole.filter(|raw| Listed { name: OsString::new(), stat: *raw }.is_dir()) {
            return Ok(Seen::Dir(raw));
        }
        let partial = found(parent.stat(partial_name(name)))?;
        self.choose(whole, partial).ok_or(DropError::NotFound)
    }

    /// A broken-off upload hides the whole file of its name; a running one does not.
    fn choose(&self, whole: Option<Raw>, partial: Option<Raw>) -> Option<Seen> {
        match (whole, partial) {
            (None, None) => None,
            (Some(whole), Some(partial)) if self.room.slots().contains_key(&inode(&partial)) => {
                Some(Seen::Whole(whole))
            }
            (_, Some(partial)) => Some(Seen::Partial(partial)),
            (Some(whole), None) => Some(Seen::Whole(whole)),
        }
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<(OsString, Stat)>, DropError> {
        let dir = self.sub(path)?;
        let mut seen = Vec::new();
        for listed in dir.list()? {
            if let Some(name) = partial_of(&listed.name) {
                // Beside a whole file it is seen when that one is.
                if let (Ok(None), Some(partial)) =
                    (found(dir.stat(name)), self.choose(None, Some(listed.stat)))
                {
                    seen.push((name.to_owned(), partial.stat()));
                }
            } else if listed.is_dir() {
                seen.push((listed.name, Seen::Dir(listed.stat).stat()));
            } else if listed.is_file() {
                let partial = found(dir.stat(partial_name(&listed.name)))?;
                let choice = self.choose(Some(listed.stat), partial);
                seen.extend(choice.map(|choice| (listed.name, choice.stat())));
            }
        }
        seen.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(seen)
    }

    /// A whole file or directory; broken-off uploads are not seen.
    pub(super) fn whole(&self, path: &Path) -> Result<Option<Raw>, DropError> {
        match self.place(path) {
            Ok((parent, name)) => Ok(found(parent.stat(name))?),
            Err(DropError::NotFound | DropError::NotDir) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whole files and directories in a directory.
    pub(super) fn list_whole(&self, path: &Path) -> Result<Vec<Listed>, DropError> {
        let mut names = self.sub(path)?.list()?;
        names.retain(|listed| partial_of(&listed.name).is_none());
        Ok(names)
    }

    pub(super) fn read(&self, path: &Path) -> Result<File, DropError> {
        let seen = self.look(path)?;
        let (parent, name) = self.place(path)?;
        match seen {
            Seen::Dir(_) => Err(DropError::IsDir),
            Seen::Whole(_) => Ok(parent.open_file(name)?),
            Seen::Partial(_) => Ok(parent.open_file(partial_name(name))?),
        }
    }

    pub(super) fn mkdir(&self, path: &Path) -> Result<(), DropError> {
        self.check_name(path)?;
        match self.look(path) {
            Err(DropError::NotFound) => {}
            Ok(_) => return Err(DropError::Exists),
            Err(e) => return Err(e),
        }
        self.charge(Usage { names: 1, bytes: 0 })?;
        Ok(self.dir.create_dir(path)?)
    }

    /// Removes what the sender sees under the name: whole file and broken-off upload.
    pub(super) fn remove(&self, path: &Path) -> Result<(), DropError> {
        let seen = self.look(path)?;
        let (parent, name) = self.place(path)?;
        if matches!(seen, Seen::Dir(_)) {
            return Err(DropError::IsDir);
        }
        gone(parent.remove_file(name))?;
        if let Seen::Partial(raw) = seen {
            let partial = partial_name(name);
            let mut slots = self.room.slots();
            // Not an upload that began since.
            if found(parent.stat(&partial))?.is_some_and(|now| inode(&now) == inode(&raw)) {
                self.take_over(&mut slots, &raw);
                gone(parent.remove_file(partial))?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_dir(&self, path: &Path, all: bool) -> Result<(), DropError> {
        if !matches!(self.look(path)?, Seen::Dir(_)) {
            return Err(DropError::NotDir);
        }
        let fixed = path.as_os_str().is_empty() || path == Path::new(PACKAGES);
        if fixed && !all {
            return Err(self.room.denied("esa carpeta es fija", "that folder is fixed"));
        }
        if !all {
            return Ok(self.dir.remove_dir(path)?);
        }
        if fixed {
            let dir = self.sub(path)?;
            for listed in dir.list()? {
                dir.remove_all(&listed.name)?;
            }
            return Ok(self.dir.create_dir_all(PACKAGES)?);
        }
        Ok(self.dir.remove_all(path)?)
    }

    /// Renames. What gets a package's name by it is submitted first.
    pub(super) fn rename(
        &self,
        from: &Path,
        to: &Path,
        replace: bool,
        sender: impl FnOnce() -> Sender,
    ) -> Result<Option<Submission>, DropError> {
        let seen = self.look(from)?;
        self.check_name(to)?;
        if from == to {
            return Ok(None);
        }
        match (seen, self.look(to)) {
            (Seen::Dir(_), Ok(Seen::Dir(_))) | (_, Err(DropError::NotFound)) => {}
            (Seen::Dir(_), Ok(_)) => return Err(DropError::NotDir),
            (_, Ok(Seen::Dir(_))) => return Err(DropError::IsDir),
            (_, Ok(_)) if !replace => return Err(DropError::Exists),
            (_, Ok(_)) => {}
            (_, Err(e)) => return Err(e),
        }
        match seen {
            Seen::Dir(_) if from == Path::new(PACKAGES) => {
                Err(self.room.denied("esa carpeta es fija", "that folder is fixed"))
            }
            Seen::Dir(_) => Ok(self.dir.rename(from, to).map(|()| None)?),
            Seen::Partial(raw) => {
                let refused = Rejection::new(Code::TransferIncomplete);
                Err(refused.entry(from.as_os_str().as_bytes()).detail(format!("{} B", size(&raw))).into())
            }
            Seen::Whole(_) => self.rename_file(from, to, sender),
        }
    }

    fn rename_file(
        &self,
        from: &Path,
        to: &Path,
        sender: impl FnOnce() -> Sender,
    ) -> Result<Option<Submission>, DropError> {
        let ((from_dir, from_name), (to_dir, to_name)) = (self.place(from)?, self.place(to)?);
        // What is known of the file comes from the file: the name may get another one.
        let file = from_dir.open_file(from_name)?;
        let raw = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        // A package that stays one is known already.
        let known = raw.st_nlink > 1 && same_format(from_name, to_name);
        let submission = if self.room.names.is_package(to_name) && !known {
            let arrived = Timestamp::from_second(raw.st_mtime).unwrap_or_default();
            let done = self.submit(Finished {
                file: &file,
                from: (&from_dir, from_name),
                to: (&to_dir, to_name),
                digest: self.room.remembered(&raw),
                sender: sender(),
                first_byte: arrived,
                // The rename is what makes it whole.
                last_byte: self.room.shared.clock.now(),
                look: self.room.called_back(&raw),
            })?;
            Some(done)
        } else {
            from_dir.rename_to(from_name, &to_dir, to_name)?;
            self.late_sum(&to_dir, to_name, sender)?
        };
        // Of the name that is replaced nothing stays, not even a broken-off upload.
        // A package is safe by now: that this fails is no reason to refuse it.
        let partial = partial_name(to_name);
        let slots = self.room.slots();
        if let Ok(Some(raw)) = found(to_dir.stat(&partial))
            && !slots.contains_key(&inode(&raw))
        {
            let _ = to_dir.remove_file(&partial);
        }
        Ok(submission)
    }

    /// Submits a whole file that stands under `from` and shows the original under `to`.
    pub(super) fn submit(&self, done: Finished<'_>) -> Result<Submission, DropError> {
        let (from_dir, from_name) = done.from;
        let (to_dir, to_name) = done.to;
        let before = to_dir.open_file(to_name).ok();
        let mut sidecars = names::sidecars(to_dir, to_name, before.as_ref())?;
        sidecars.retain(|side| !self.room.is_spent(&side.content));
        // The history takes a second name: a crash on the way leaves the first.
        let scratch = self.room.fresh("package-");
        from_dir.link_to(from_name, &self.room.incoming, &scratch)?;
        let id = inode(&rustix::fs::fstat(done.file).map_err(io::Error::from)?);
        if inode(&self.room.incoming.stat(&scratch)?) != id {
            // Another session put a newer file there meanwhile: its hash is not this one's.
            self.room.incoming.remove_file(&scratch)?;
            return Err(DropError::NotFound);
        }
        let whole = Whole {
            file: done.file,
            dir: &self.room.incoming,
            scratch: &scratch,
            name: to_name,
            digest: done.digest,
            sender: done.sender,
            first_byte: done.first_byte,
            last_byte: done.last_byte,
            sidecars: sidecars.into_iter().map(|side| (side.name, side.content)).collect(),
            look: done.look,
        };
        let (submission, kept) = submit::submit(&self.room, whole).inspect_err(|_| {
            // Gone already if the history took it.
            let _ = self.room.incoming.remove_file(&scratch);
        })?;
        // From here on the package is safe: what the sender sees of it is a courtesy.
        if let Err(error) = self.show(&kept, to_dir, to_name) {
            tracing::warn!(%error, name = %shown(to_name), "package is kept but not shown to its sender");
        }
        let moved = (from_name, inode(&from_dir.stat(".")?)) != (to_name, inode(&to_dir.stat(".")?));
        // Not a newer file that came under the old name.
        if moved && from_dir.stat(from_name).is_ok_and(|raw| inode(&raw) == id) {
            let _ = from_dir.remove_file(from_name);
        }
        Ok(submission)
    }

    /// Compares a sums file that has just got its name with packages that came before it.
    pub(super) fn late_sum(
        &self,
        dir: &Dir,
        name: &OsStr,
        sender: impl FnOnce() -> Sender,
    ) -> Result<Option<Submission>, DropError> {
        match name.to_str().filter(|name| names::is_sidecar(name)) {
            Some(side) => {
                let sums = Sums { name: side, written: self.room.shared.clock.now(), sender: &sender() };
                let late = self.room.late_sum(&sums, || dir.read(name, names::SIDECAR_BYTES))?;
                Ok(late.map(|late| late.submission))
            }
            None => Ok(None),
        }
    }

    /// Gives the original a second name in the inbox and drops the oldest such names.
    fn show(&self, kept: &Kept, dir: &Dir, name: &OsStr) -> io::Result<()> {
        // One session at a time: none drops a name that another has just given anew.
        let _showing = lock(&self.room.showing);
        let original = kept.path.file_name().unwrap_or_default();
        let (incoming, scratch) = (&self.room.incoming, self.room.fresh("show-"));
        self.room.shared.history.dir().link_to(original, incoming, &scratch)?;
        let shown_now = incoming.rename_to(&scratch, dir, name);
        // Gone already, unless both were names of one inode: rename leaves those.
        let _ = incoming.remove_file(&scratch);
        shown_now?;
        let mut shown = Vec::new();
        walk(&self.dir, &mut |dir, listed| {
            if listed.is_file() && listed.stat.st_nlink > 1 && partial_of(&listed.name).is_none() {
                shown.push((
                    listed.stat.st_ctime,
                    listed.stat.st_ctime_nsec,
                    dir.clone(),
                    listed.name.clone(),
                ));
            }
        })?;
        shown.sort_by_key(|(second, nanos, ..)| std::cmp::Reverse((*second, *nanos)));
        for (_, _, dir, name) in shown.iter().skip(self.room.config.visible) {
            gone(dir.remove_file(name))?;
        }
        Ok(())
    }

    /// Sets a modification time; on a package nothing, on a directory neither.
    pub(super) fn set_mtime(&self, path: &Path, mtime: i64) -> Result<(), DropError> {
        let seen = self.look(path)?;
        if matches!(seen, Seen::Dir(_)) || seen.raw().st_nlink > 1 {
            return Ok(());
        }
        Ok(set_mtime(&self.read(path)?, mtime)?)
    }

    /// Marks the open upload of this inode as lost, once its last write is done; not one
    /// that is finishing, as its file is no longer under the name.
    pub(super) fn take_over(&self, slots: &mut Slots, raw: &Raw) {
        let Some(known) = slots.get(&inode(raw)) else { return };
        let mut slot = lock(&known.slot);
        if slot.standing == Standing::First {
            slot.standing = Standing::Lost;
            drop(slot);
            slots.remove(&inode(raw));
        }
    }

    /// The directory that holds `path`, and its last component.
    pub(super) fn place<'p>(&self, path: &'p Path) -> Result<(Dir, &'p OsStr), DropError> {
        let hidden = path.iter().any(|part| partial_of(part).is_some());
        let name = path.file_name().filter(|_| !hidden).ok_or(DropError::NotFound)?;
        Ok((self.dir.parent_of(path)?, name))
    }

    /// Refuses names that could not be kept, or would deceive.
    pub(super) fn check_name(&self, path: &Path) -> Result<(), DropError> {
        let raw = path.as_os_str().as_bytes();
        let refuse = |code| Err(Rejection::new(code).entry(raw).into());
        if path.iter().count() > self.room.config.limits.depth {
            return refuse(Code::PathTooDeep);
        }
        if raw.len() > self.room.config.limits.name_bytes || path.iter().any(|part| part.len() > NAME_BYTES) {
            return refuse(Code::PathTooLong);
        }
        if raw.iter().any(u8::is_ascii_control) {
            return refuse(Code::PathBadChar);
        }
        if path.iter().any(|part| partial_of(part).is_some()) {
            return Err(self.room.denied("los nombres «.~…» están reservados", "names '.~…' are reserved"));
        }
        Ok(())
    }

    /// Counts what comes in addition.
    pub(super) fn charge(&self, more: Usage) -> Result<(), DropError> {
        self.room.charge(&self.key, more, || {
            let mut usage = Usage::default();
            walk(&self.dir, &mut |_, listed| {
                usage.names += 1;
                if listed.is_file() && listed.stat.st_nlink == 1 {
                    usage.bytes += size(&listed.stat);
                }
            })?;
            Ok(usage)
        })
    }

    fn sub(&self, path: &Path) -> Result<Dir, DropError> {
        match self.look(path)? {
            Seen::Dir(_) if path.as_os_str().is_empty() => Ok(self.dir.clone()),
            Seen::Dir(_) => Ok(self.dir.sub(path)?),
            Seen::Whole(_) | Seen::Partial(_) => Err(DropError::NotDir),
        }
    }
}

/// A file that has become a package.
pub(super) struct Finished<'a> {
    pub(super) file: &'a File,
    pub(super) from: (&'a Dir, &'a OsStr),
    pub(super) to: (&'a Dir, &'a OsStr),
    pub(super) digest: Option<crate::model::Digest>,
    pub(super) sender: Sender,
    pub(super) first_byte: Timestamp,
    pub(super) last_byte: Timestamp,
    /// Who looked at it while it came.
    pub(super) look: Option<Box<dyn Look>>,
}

/// Removes partial uploads of all inboxes that are older than the configuration allows.
pub(super) fn sweep(room: &Room, oldest: i64) -> io::Result<usize> {
    room.forget_looks();
    let mut swept = 0;
    for key in room.inbox.list()?.into_iter().filter(Listed::is_dir) {
        walk(&room.inbox.sub(&key.name)?, &mut |dir, listed| {
            if !listed.is_file() || partial_of(&listed.name).is_none() {
                return;
            }
            let slots = room.slots();
            // Asked again: an upload may have begun since the directory was read.
            let Ok(Some(raw)) = found(dir.stat(&listed.name)) else { return };
            if raw.st_mtime < oldest && !slots.contains_key(&inode(&raw)) {
                swept += usize::from(dir.remove_file(&listed.name).is_ok());
            }
        })?;
    }
    Ok(swept)
}

pub(super) fn set_mtime(file: &File, mtime: i64) -> io::Result<()> {
    let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let stamp = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: keep, last_modification: stamp })?)
}

/// Every name below a directory. Its depth is bounded where names are made.
fn walk(dir: &Dir, see: &mut dyn FnMut(&Dir, &Listed)) -> io::Result<()> {
    for listed in dir.list()? {
        see(dir, &listed);
        if listed.is_dir() {
            match dir.sub(&listed.name) {
                // Another session removed or renamed it meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                sub => walk(&sub?, see)?,
            }
        }
    }
    Ok(())
}

/// The scratch name beside a final one.
pub(super) fn partial_name(name: &OsStr) -> OsString {
    let mut partial = OsString::from(PARTIAL);
    partial.push(name);
    partial
}

/// The final name of a scratch one.
fn partial_of(name: &OsStr) -> Option<&OsStr> {
    name.as_bytes().strip_prefix(PARTIAL.as_bytes()).map(OsStr::from_bytes)
}

/// "Not there" as an answer, other failures as failures.
pub(super) fn found(stat: io::Result<Raw>) -> io::Result<Option<Raw>> {
    match stat {
        Ok(raw) => Ok(Some(raw)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // Longer than any name on disk: not there, and it could not be made either.
        Err(e) if e.kind() == io::ErrorKind::InvalidFilename => Ok(None),
        Err(e) => Err(e),
    }
}

/// A name is free: whether by us or by another session just before is the same.
pub(super) fn gone(freed: io::Result<()>) -> io::Result<()> {
    match freed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        freed => freed,
    }
}

/// A key's name as one component: a comment may hold anything, and two names never
/// share a folder.
pub(super) fn folder(key: &str) -> String {
    let mut folder = String::new();
    for byte in key.bytes() {
        let plain =
            byte.is_ascii_alphanumeric() || b"@_-".contains(&byte) || (byte == b'.' && !folder.is_empty());
        if plain {
            folder.push(char::from(byte));
        } else {
            folder.push_str(&format!("%{byte:02x}"));
        }
    }
    match folder.len() {
        0 => "%".to_owned(),
        1..=KEY_BYTES => folder,
        _ => format!("%{}", crate::model::Digest::of(key.as_bytes())),
    }
}

/// The folder of the virtual root that every client finds.
pub(super) const PACKAGES: &str = "paquetes";

/// Front of the names of files on their way.
const PARTIAL: &str = ".~";

/// Bytes of a name, so that its scratch name fits into the 255 of a file system.
const NAME_BYTES: usize = 240;

/// Bytes of an inbox's name.
const KEY_BYTES: usize = 200;

/// For the tests: where a path lies on disk.
#[cfg(test)]
pub(super) fn on_disk(key: &str, path: &str) -> std::path::PathBuf {
    Path::new(&folder(key)).join(path)
}
