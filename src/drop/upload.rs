//! One file being written, in the packages area or in the tree of a transaction.
//!
//! Bytes go to a scratch file; its hash is taken as they pass, as long as they come in
//! order. The file gets its name in [`Upload::close`] and at no other moment.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rustix::fs::Stat as Raw;

use super::inbox::{Finished, Inbox, Seen, found, gone, partial_name, set_mtime};
use super::names::shown;
use super::order::Order;
use super::room::{Known, Room, Slot, Slots, Standing, Usage, inode, lock};
use super::tree::Begun;
use super::{DropError, Look, Open, Submission, submit};
use crate::durable::{self, Dir};
use crate::ledger::{Entry, Kind};
use crate::model::{Code, Digest, Rejection, Sender};

/// A file being written. Dropping it without [`Upload::close`] leaves a partial
/// file that can be resumed and is never a package.
#[derive(Debug)]
pub struct Upload {
    room: Arc<Room>,
    file: File,
    place: Place,
    /// What is refused beyond.
    limit: Limit,
    size: u64,
    /// The hash of what came without a gap; `None` once there is no order in it, or if nobody
    /// will ask for it.
    order: Option<Order>,
    /// Who looks at the bytes while they come: a package's, as long as there is an order.
    look: Option<Box<dyn Look>>,
    /// Size up to which the disk has been asked.
    admitted: u64,
    mtime: Option<i64>,
    first_byte: Option<Timestamp>,
    last_byte: Option<Timestamp>,
    opened: Timestamp,
    /// Whether anything was written, or an empty file is what was asked for.
    changed: bool,
    /// Whether the scratch file has its final place, or must not stay.
    settled: bool,
    /// Why a write failed: then the file is not whole, whatever the client thinks
    /// (OpenSSH's sftp closes the handle after a failed write as after a good one).
    failed: Option<Rejection>,
}

/// The most bytes, and the code of the refusal.
#[derive(Clone, Copy, Debug)]
struct Limit {
    bytes: u64,
    code: Code,
}

#[derive(Debug)]
enum Place {
    Inbox(InboxPlace),
    Tree(Begun),
}

#[derive(Debug)]
struct InboxPlace {
    inbox: Inbox,
    parent: Dir,
    name: OsString,
    slot: Arc<Mutex<Slot>>,
    id: (u64, u64),
    sender: Sender,
    /// Whether a file of this name is a package when it is whole.
    package: bool,
    /// Whether the scratch file is an older upload's, gone on with.
    resumed: bool,
}

impl Upload {
    /// Begins a file of the packages area.
    pub(super) fn in_inbox(
        inbox: &Inbox,
        path: &Path,
        open: Open,
        expected: Option<u64>,
        package: bool,
        sender: Sender,
    ) -> Result<Self, DropError> {
        let room = &inbox.room;
        inbox.check_name(path)?;
        let (parent, name) = inbox.place(path)?;
        let seen = match inbox.look(path) {
            Err(DropError::NotFound) => None,
            seen => Some(seen?),
        };
        match (&seen, open) {
            (Some(Seen::Dir(_)), _) => return Err(DropError::IsDir),
            (Some(_), Open::New) => return Err(DropError::Exists),
            _ => {}
        }
        let limit = Limit { bytes: room.config.limits.package_bytes, code: Code::SizePackage };
        admit(room, limit, expected, name.as_bytes())?;
        inbox.charge(Usage { names: 1, bytes: 0 })?;
        let begun = begin(inbox, &parent, name, open, seen)?;
        let order = room.names.may_become_package(name).then(Order::default);
        let place = InboxPlace {
            inbox: inbox.clone(),
            parent,
            name: name.to_owned(),
            slot: begun.slot,
            id: begun.id,
            sender,
            package,
            resumed: begun.resumed,
        };
        let mut upload = Self::new(room, begun.file, Place::Inbox(place), limit, order);
        upload.changed = open != Open::Resume || seen.is_none();
        upload.go_on()?;
        upload.be_seen();
        Ok(upload)
    }

    /// Begins a file of the tree; `file` holds what was there before, if it is gone on with.
    pub(super) fn in_tree(
        room: &Arc<Room>,
        file: File,
        begun: Begun,
        existed: bool,
        expected: Option<u64>,
    ) -> Result<Self, DropError> {
        let limit = Limit { bytes: room.config.limits.file_bytes, code: Code::SizeFile };
        let path = begun.path.clone();
        let mut upload = Self::new(room, file, Place::Tree(begun), limit, Some(Order::default()));
        upload.changed = !existed;
        admit(room, limit, expected, path.as_bytes())?;
        upload.go_on()?;
        Ok(upload)
    }

    fn new(room: &Arc<Room>, file: File, place: Place, limit: Limit, order: Option<Order>) -> Self {
        Self {
            room: Arc::clone(room),
            file,
            place,
            limit,
            size: 0,
            order,
            look: None,
            admitted: 0,
            mtime: None,
            first_byte: None,
            last_byte: None,
            opened: room.shared.clock.now(),
            changed: false,
            settled: false,
            failed: None,
        }
    }

    /// Takes in what the scratch file holds already.
    fn go_on(&mut self) -> io::Result<()> {
        self.size = self.file.metadata()?.len();
        self.admitted = self.size;
        if self.order.is_some() {
            self.order = Some(Order::of(&self.file)?);
        }
        Ok(())
    }

    /// Lets a package be looked at while it comes. That nobody can costs time, nothing else.
    fn be_seen(&mut self) {
        let (Some(order), Some(ahead)) = (&self.order, &self.room.shared.lookers) else { return };
        self.look = self.file.try_clone().ok().and_then(|file| ahead.begin(file));
        if let Some(look) = &mut self.look {
            look.grown(order.reached());
        }
    }

    /// Bytes there so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes at an offset; the whole file is bounded by the limits.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DropError> {
        let written = self.write(offset, bytes);
        self.judged(written)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DropError> {
        let end = offset.saturating_add(bytes.len() as u64);
        self.admit(end)?;
        let (file, settled) = (&self.file, &mut self.settled);
        self.place.guarded(&self.room, || {
            file.write_all_at(bytes, offset).inspect_err(|error| {
                // A full disk gets back what it lent.
                *settled |= is_full(error);
            })
        })?;
        if let Some(order) = self.order.take() {
            self.order = order.after(&self.file, offset, bytes)?;
            self.tell();
        }
        let now = self.room.shared.clock.now();
        self.first_byte.get_or_insert(now);
        self.last_byte = Some(now);
        self.changed = true;
        self.size = self.size.max(end);
        self.place.grown(self.size);
        Ok(())
    }

    /// Says how far the bytes have come; without an order there is nothing to look at.
    fn tell(&mut self) {
        match (&self.order, &mut self.look) {
            (Some(order), Some(look)) => look.grown(order.reached()),
            (Some(_), None) => {}
            (None, _) => self.look = None,
        }
    }

    /// Reads back (SFTP handles opened for both).
    pub fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, DropError> {
        let mut bytes = vec![0; length.min(READ_MAX)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Cuts or (sparsely) extends: SFTP FSETSTAT size.
    pub fn set_size(&mut self, size: u64) -> Result<(), DropError> {
        let set = self.cut(size);
        self.judged(set)
    }

    fn cut(&mut self, size: u64) -> Result<(), DropError> {
        if size == self.size {
            return Ok(());
        }
        self.admit(size)?;
        let file = &self.file;
        self.place.guarded(&self.room, || file.set_len(size))?;
        self.order = None;
        self.tell();
        self.changed = true;
        self.size = size;
        self.place.grown(size);
        Ok(())
    }

    /// Modification time to give the finished file.
    pub fn set_mtime(&mut self, mtime: i64) {
        self.mtime = Some(mtime);
    }

    /// fsync@openssh.com.
    pub fn sync(&mut self) -> Result<(), DropError> {
        Ok(durable::sync_data(&self.file)?)
    }

    /// A handle on what was written, which outlives the name.
    pub(super) fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Ends the upload and leaves nothing to be resumed.
    pub(super) fn abandon(mut self) {
        self.settled = true;
    }

    /// The file is whole. If its name is a package's, it is durable in history and ledger
    /// when this returns, and the verdict follows in the [`Submission`].
    pub fn close(mut self) -> Result<Option<Submission>, DropError> {
        if let Some(rejection) = self.failed.take() {
            return Err(rejection.into());
        }
        if !self.changed {
            // Opened to be gone on with and left as it was: not a new file.
            match &mut self.place {
                Place::Inbox(place) => self.settled = !place.resumed,
                Place::Tree(begun) => begun.forget(),
            }
            return Ok(None);
        }
        if let Some(mtime) = self.mtime {
            set_mtime(&self.file, mtime)?;
        }
        let digest = self.digest();
        let (first_byte, last_byte) = (self.first_byte, self.last_byte);
        let (first_byte, last_byte) = (first_byte.unwrap_or(self.opened), last_byte.unwrap_or(self.opened));
        let done = match &mut self.place {
            Place::Tree(begun) => {
                let digest = digest.map_or_else(|| submit::hash(&self.file), Ok)?;
                let mtime = self.mtime.unwrap_or_else(|| last_byte.as_second());
                begun.finish(digest, self.size, mtime, (first_byte, last_byte)).map(|()| None)
            }
            Place::Inbox(place) => {
                let look = self.look.take();
                place.finish(&self.file, digest, look, (first_byte, last_byte))
            }
        };
        self.settled |= done.is_ok();
        done
    }

    /// Remembers the first failure.
    fn judged(&mut self, done: Result<(), DropError>) -> Result<(), DropError> {
        if let (None, Err(error)) = (&self.failed, &done) {
            self.failed = Some(match error {
                DropError::Rejected(rejection) => rejection.clone(),
                _ => Rejection::new(Code::TransferIncomplete),
            });
        }
        done
    }

    /// The hash of the whole file, if its bytes came in order.
    fn digest(&mut self) -> Option<Digest> {
        self.order.take()?.finish(self.size)
    }

    /// Refuses what is beyond the limits; asks for disk and quota a step ahead.
    fn admit(&mut self, end: u64) -> Result<(), DropError> {
        if end > self.limit.bytes {
            self.settled = true;
            return Err(self.limit.refusal(end).into());
        }
        let admitted = self.admit_disk(end).map_err(DropError::from).and_then(|()| {
            let bytes = end.saturating_sub(self.size);
            match &self.place {
                Place::Inbox(place) => place.inbox.charge(Usage { names: 0, bytes }),
                Place::Tree(begun) => begun.charge(&self.room, bytes),
            }
        });
        // What cannot be finished does not keep the disk full.
        self.settled |= admitted.is_err();
        admitted
    }

    fn admit_disk(&mut self, end: u64) -> Result<(), Rejection> {
        if end > self.admitted {
            let step = (end - self.admitted).max(STEP);
            self.room.admit_bytes(step)?;
            self.admitted = self.admitted.saturating_add(step);
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        match &mut self.place {
            Place::Inbox(place) => {
                if !self.settled && self.size > 0 && place.package {
                    place.tell_broken(self.first_byte.unwrap_or(self.opened), self.size);
                }
                place.leave(self.settled);
            }
            Place::Tree(begun) => begun.leave(),
        }
    }
}

impl Place {
    /// Writes, unless the file has been taken over meanwhile.
    fn guarded(&self, room: &Room, write: impl FnOnce() -> io::Result<()>) -> Result<(), DropError> {
        let Self::Inbox(place) = self else { return Ok(write()?) };
        let slot = lock(&place.slot);
        if slot.standing == Standing::Lost {
            return Err(lost(room));
        }
        Ok(write()?)
    }

    fn grown(&self, size: u64) {
        if let Self::Tree(begun) = self {
            begun.grown(size);
        }
    }
}

impl InboxPlace {
    /// A package that broke off: the connection, or the client's will.
    fn tell_broken(&self, first_byte: Timestamp, bytes: u64) {
        let entry = Entry::new(Kind::Warning).with("what", "transfer_broken").with("bytes", bytes);
        let entry = entry.with("name", shown(&self.name)).with("sender", &self.sender);
        if let Err(error) = self.inbox.room.shared.ledger.note(entry.with("first_byte", first_byte)) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }

    /// Gives the whole file its name; submits it if that is a package's.
    fn finish(
        &self,
        file: &File,
        digest: Option<Digest>,
        look: Option<Box<dyn Look>>,
        (first_byte, last_byte): (Timestamp, Timestamp),
    ) -> Result<Option<Submission>, DropError> {
        let room = &self.inbox.room;
        let (dir, scratch) = self.step_aside()?;
        if self.package {
            let finished = Finished {
                file,
                from: (&dir, &scratch),
                to: (&self.parent, &self.name),
                digest,
                sender: self.sender.clone(),
                first_byte,
                last_byte,
                look,
            };
            return self.inbox.submit(finished).map(Some);
        }
        dir.rename_to(&scratch, &self.parent, &self.name)?;
        let summed = self.inbox.late_sum(&self.parent, &self.name, || self.sender.clone())?;
        if let Some(digest) = digest {
            // The file's own: another session may have replaced or moved the name already.
            room.remember(&rustix::fs::fstat(file).map_err(io::Error::from)?, digest, look);
        }
        Ok(summed)
    }

    /// Takes the scratch file out of everybody's way: nobody waits for us while it is
    /// kept, and nobody goes on with it.
    fn step_aside(&self) -> Result<(Dir, OsString), DropError> {
        let room = &self.inbox.room;
        let mut slot = lock(&self.slot);
        if slot.standing == Standing::Lost {
            return Err(lost(room));
        }
        slot.move_aside(room)?;
        Ok((slot.dir.clone(), slot.name.clone()))
    }

    /// The upload ends. What has no final place stays to be resumed, unless it must not
    /// or another upload has its name.
    fn leave(&self, settled: bool) {
        // Before the slot: nobody may find this upload open when it is not.
        let mut slots = self.inbox.room.slots();
        let slot = lock(&self.slot);
        match slot.standing {
            Standing::Lost => {}
            // Gone already if it was whole and went to its place.
            Standing::Aside => drop(slot.dir.remove_file(&slot.name)),
            // After a good close there is nothing left under this name, or a newer upload's.
            Standing::First if settled => {
                if let Ok(Some(raw)) = found(slot.dir.stat(&slot.name))
                    && inode(&raw) == self.id
                {
                    drop(slot.dir.remove_file(&slot.name));
                }
            }
            Standing::First => {}
        }
        if slots.get(&self.id).is_some_and(|known| Arc::ptr_eq(&known.slot, &self.slot)) {
            slots.remove(&self.id);
        }
    }
}

impl Limit {
    fn refusal(self, bytes: u64) -> Rejection {
        Rejection::new(self.code).detail(format!("{bytes} B > {} B", self.bytes))
    }
}

/// A scratch file with its place among the open ones.
struct Scratch {
    file: File,
    slot: Arc<Mutex<Slot>>,
    id: (u64, u64),
    resumed: bool,
}

/// Makes or takes over the scratch file of a name.
fn begin(
    inbox: &Inbox,
    parent: &Dir,
    name: &OsStr,
    open: Open,
    seen: Option<Seen>,
) -> Result<Scratch, DropError> {
    let room = &inbox.room;
    let scratch = partial_name(name);
    // Held to the end: between the look and the change no other session has the name.
    let mut slots = room.slots();
    let partial = found(parent.stat(&scratch))?;
    // Never an inode that the history holds, nor one it made read-only.
    let writable = |raw: &Raw| raw.st_nlink == 1 && raw.st_mode & 0o200 != 0;
    let resumed = partial.filter(|raw| open == Open::Resume && writable(raw));
    let taken = resumed.as_ref().map(inode);
    let others = slots.iter().filter(|(id, known)| known.key == inbox.key && Some(**id) != taken);
    if others.count() >= room.config.uploads_max {
        return Err(
            room.denied("hay demasiados envíos abiertos a la vez", "too many uploads are open at once")
        );
    }
    let mut source = None;
    let file = if let Some(raw) = resumed {
        inbox.take_over(&mut slots, &raw);
        parent.open_file_rw(&scratch)?
    } else {
        match (open, partial, seen) {
            (Open::Resume, Some(_), _) => source = Some(parent.open_file(&scratch)?),
            (Open::Resume, None, Some(Seen::Whole(_))) => source = Some(parent.open_file(name)?),
            _ => {}
        }
        set_aside(room, &slots, parent, &scratch)?;
        parent.create_file(&scratch)?
    };
    let id = inode(&rustix::fs::fstat(&file).map_err(io::Error::from)?);
    let slot = Slot { dir: parent.clone(), name: scratch, standing: Standing::First };
    let slot = Arc::new(Mutex::new(slot));
    slots.insert(id, Known { key: inbox.key.clone(), slot: Arc::clone(&slot) });
    drop(slots);
    if let Some(mut source) = source {
        room.admit_bytes(source.metadata()?.len())?;
        io::copy(&mut source, &mut &file)?;
        io::Seek::rewind(&mut &file)?;
    }
    Ok(Scratch { file, slot, id, resumed: resumed.is_some() })
}

/// Frees a scratch name: a running upload goes on elsewhere, a broken-off one is given up.
/// One that finishes just now frees the name itself.
fn set_aside(room: &Room, slots: &Slots, parent: &Dir, scratch: &OsStr) -> io::Result<()> {
    let Some(raw) = found(parent.stat(scratch))? else { return Ok(()) };
    let Some(known) = slots.get(&inode(&raw)) else { return gone(parent.remove_file(scratch)) };
    gone(lock(&known.slot).move_aside(room))
}

/// Refuses a declared size before its first byte.
fn admit(room: &Room, limit: Limit, expected: Option<u64>, name: &[u8]) -> Result<(), Rejection> {
    let expected = expected.unwrap_or_default();
    if expected > limit.bytes {
        return Err(limit.refusal(expected).entry(name));
    }
    room.admit_bytes(expected).map_err(|rejection| rejection.entry(name))
}

fn lost(room: &Room) -> DropError {
    room.denied(
        "otra sesión continuó o borró este archivo",
        "another session went on with this file, or removed it",
    )
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How far ahead of the bytes the disk is asked.
const STEP: u64 = 8 << 20;

/// Bytes given back at once: more than any client asks for.
const READ_MAX: usize = 1 << 20;
