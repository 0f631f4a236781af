//! What all views share: directories, limits, open uploads, the turn at the site.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::names::Names;
use super::path::Aliases;
use super::push::Shown;
use super::sums::Awaiting;
use super::{Arrival, DropConfig, DropError, Live, Look, Lookers, VPath, tree};
use crate::clock::Clock;
use crate::durable::Dir;
use crate::history::History;
use crate::ledger::{Entry, Kind, Ledger};
use crate::model::{Code, Digest, Rejection};

/// The shared state of one instance's drop.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) config: DropConfig,
    pub(super) names: Names,
    pub(super) aliases: Aliases,
    pub(super) inbox: Dir,
    pub(super) incoming: Dir,
    pub(super) watched: Dir,
    /// What arrived of pushes that broke off: see [`super::shelf`].
    pub(super) partial: Dir,
    /// What the drop shares with its neighbours.
    pub(super) shared: Shared,
    /// Directories of the site that hold nothing yet, made by sessions that ended.
    pub(super) promised: Mutex<BTreeSet<String>>,
    /// Packages that no sum has spoken of yet, oldest first.
    pub(super) awaiting: Mutex<Vec<Awaiting>>,
    /// What pushes left that is no part of a cut.
    pub(super) shown: Mutex<Arc<Shown>>,
    /// Sums that disagreed with the package before them, and when that was found.
    pub(super) spent: Mutex<HashMap<Digest, Timestamp>>,
    /// Held while a link to a kept package is made or dropped in an inbox.
    pub(super) showing: Mutex<()>,
    slots: Mutex<Slots>,
    usage: Mutex<HashMap<String, Usage>>,
    hashes: Mutex<BTreeMap<FileId, Digest>>,
    /// Files that were looked at and are whole, but have no package's name yet; oldest first.
    looks: Mutex<Vec<Patient>>,
    turn: Arc<(Mutex<bool>, Condvar)>,
    next: AtomicU64,
}

/// Uploads that are open, by device and inode of their scratch file. Held from the look at
/// a scratch name to its change, and taken before the lock of a [`Slot`].
pub(super) type Slots = HashMap<(u64, u64), Known>;

/// An open upload, as the others know it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: String,
    pub(super) slot: Arc<Mutex<Slot>>,
}

/// Where the scratch file of an open upload is, and whose it is. Held while writing, so
/// that whoever takes the file over sees all or nothing of a write.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) dir: Dir,
    pub(super) name: OsString,
    pub(super) standing: Standing,
}

/// What has become of an upload's place since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the one upload of that name.
    First,
    /// A newer upload of the name has begun; this one goes on aside.
    Aside,
    /// Another session goes on with the file, or removed it.
    Lost,
}

/// What an inbox holds, counted upwards: when it reaches a limit it is counted anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) names: u64,
    pub(super) bytes: u64,
}

/// Who looked at a file that waits for its last name.
#[derive(Debug)]
struct Patient {
    file: FileId,
    since: Timestamp,
    look: Box<dyn Look>,
}

/// A file as it was when it was hashed: device, inode, size, modification time.
type FileId = (u64, u64, i64, i64, i64);

impl Slot {
    /// Moves the scratch file out of its folder, unless that is done; its upload does
    /// not notice. Once aside the name is fixed: a finishing upload relies on it unlocked.
    pub(super) fn move_aside(&mut self, room: &Room) -> io::Result<()> {
        if self.standing != Standing::First {
            return Ok(());
        }
        let aside = OsString::from(room.fresh("aside-"));
        self.dir.rename_to(&self.name, &room.incoming, &aside)?;
        (self.dir, self.name, self.standing) = (room.incoming.clone(), aside, Standing::Aside);
        Ok(())
    }
}

/// What the drop shares with its neighbours.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) history: History,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) live: Live,
    pub(super) lookers: Lookers,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

impl Room {
    pub(super) fn open(var: &Dir, config: DropConfig, shared: Shared) -> io::Result<Self> {
        Ok(Self {
            names: Names::new(&config.package_names),
            aliases: Aliases::new(&config.aliases),
            inbox: var.sub_create(INBOX)?,
            incoming: var.sub_create(INCOMING)?,
            watched: var.sub_create(WATCHED)?,
            partial: var.sub_create(PARTIAL)?,
            shown: Mutex::default(),
            promised: Mutex::default(),
            awaiting: Mutex::default(),
            spent: Mutex::default(),
            showing: Mutex::default(),
            slots: Mutex::default(),
            usage: Mutex::default(),
            hashes: Mutex::default(),
            looks: Mutex::default(),
            turn: Arc::default(),
            next: AtomicU64::new(0),
            config,
            shared,
        })
    }

    /// The path that `raw` means when the working directory is `cwd`: `~` and absolute
    /// paths lead to the virtual root (aliases of the configuration first), `..` never leaves it.
    pub(super) fn resolve(&self, cwd: &VPath, raw: &[u8]) -> Result<VPath, DropError> {
        if raw.contains(&0) {
            return Err(Rejection::new(Code::PathBadChar).entry(raw).into());
        }
        if raw.len() > RAW_BYTES {
            return Err(Rejection::new(Code::PathTooLong).into());
        }
        Ok(self.aliases.follow(VPath::resolve(cwd, raw)))
    }

    /// Puts in order what a crash left in `incoming`.
    pub(super) fn recover(&self) -> io::Result<()> {
        let (mut removed, mut returned, mut trees) = (0, 0, 0);
        for listed in self.incoming.list()? {
            let name = listed.name.to_string_lossy().into_owned();
            if name.starts_with(COPY) && listed.stat.st_mtime >= self.config.started.as_second() {
                // Another process of ours (`difusor publish`) may be at work.
                continue;
            }
            if name.starts_with(TAKEN) {
                returned += self.give_back(&name)?;
            } else if tree::hand_on_again(self, &name)? {
                trees += 1;
            } else {
                self.incoming.remove_all(&listed.name)?;
                removed += 1;
            }
        }
        if removed + returned + trees > 0 {
            tracing::info!(removed, returned, trees, "incoming put in order after an abrupt end");
            let entry = Entry::new(Kind::Recovery).with("room", "drop").with("scratch_removed", removed);
            self.note(entry.with("files_returned", returned).with("trees_resumed", trees));
        }
        Ok(())
    }

    /// Puts files that had been taken from the watched directory back there.
    pub(super) fn give_back(&self, taken: &str) -> io::Result<usize> {
        let dir = self.incoming.sub(taken)?;
        let mut returned = 0;
        for listed in dir.list()? {
            let mut place = listed.name.clone();
            if self.watched.exists(&place) {
                // Something newer stands there: both are tried.
                place =
                    OsString::from(format!("{}-{}", self.fresh("devuelto"), listed.name.to_string_lossy()));
            }
            dir.rename_to(&listed.name, &self.watched, &place)?;
            returned += 1;
        }
        self.watched.sync()?;
        self.incoming.remove_dir(taken)?;
        Ok(returned)
    }

    /// A name that nobody else uses in `incoming`.
    pub(super) fn fresh(&self, kind: &str) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{kind}{}-{}-{n}", std::process::id(), self.config.started.as_millisecond())
    }

    /// A sentence of refusal in the sender's language.
    pub(super) fn denied(&self, es: &str, en: &str) -> DropError {
        DropError::Denied(self.config.lang.pick(es, en).to_owned())
    }

    /// Refuses what would leave less than the reserve: early, with the site unharmed. What was
    /// unpacked ahead of its time goes first.
    pub(super) fn admit_bytes(&self, more: u64) -> Result<(), Rejection> {
        let admitted = self.fits(more);
        if admitted.is_err() && self.shared.lookers.as_ref().is_some_and(|ahead| ahead.give_way(GIVE_WAY)) {
            return self.fits(more);
        }
        admitted
    }

    fn fits(&self, more: u64) -> Result<(), Rejection> {
        let Ok(space) = self.incoming.space() else { return Ok(()) };
        if space.free_inodes < INODES_MIN {
            return Err(Rejection::new(Code::NoInodes).detail(format!("{}", space.free_inodes)));
        }
        let wanted = self.config.reserve_bytes.saturating_add(more);
        if space.free_bytes < wanted {
            let detail = format!("{} MiB < {} MiB", space.free_bytes >> 20, wanted >> 20);
            return Err(Rejection::new(Code::NoSpace).detail(detail));
        }
        Ok(())
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, Slots> {
        lock(&self.slots)
    }

    /// Adds to what an inbox holds. `count` walks it, when the limit seems reached.
    pub(super) fn charge(
        &self,
        key: &str,
        more: Usage,
        count: impl Fn() -> io::Result<Usage>,
    ) -> Result<(), DropError> {
        let mut usage = lock(&self.usage);
        let fits = |u: &Usage| u.names <= self.config.names_max && u.bytes <= self.config.inbox_bytes;
        if !usage.contains_key(key) {
            usage.insert(key.to_owned(), count()?);
        }
        let now = usage.entry(key.to_owned()).or_default();
        now.names = now.names.saturating_add(more.names);
        now.bytes = now.bytes.saturating_add(more.bytes);
        if !fits(now) {
            *now = count()?;
            now.names = now.names.saturating_add(more.names);
            now.bytes = now.bytes.saturating_add(more.bytes);
        }
        if fits(now) {
            return Ok(());
        }
        Err(self.denied(
            "el buzón está lleno: borre archivos que ya no necesite",
            "the inbox is full: remove files you no longer need",
        ))
    }

    /// Remembers a hash taken while writing, and who looked on, for a later rename.
    pub(super) fn remember(&self, stat: &rustix::fs::Stat, digest: Digest, look: Option<Box<dyn Look>>) {
        if let Some(look) = look {
            let mut looks = lock(&self.looks);
            if looks.len() >= LOOKS_MAX {
                looks.remove(0);
            }
            looks.push(Patient { file: file_id(stat), since: self.shared.clock.now(), look });
        }
        let mut hashes = lock(&self.hashes);
        while hashes.len() >= HASHES_MAX {
            hashes.pop_first();
        }
        hashes.insert(file_id(stat), digest);
    }

    /// The hash of a file that has not changed since it was remembered.
    pub(super) fn remembered(&self, stat: &rustix::fs::Stat) -> Option<Digest> {
        lock(&self.hashes).get(&file_id(stat)).copied()
    }

    /// Who looked at a file that has not changed since it was written.
    pub(super) fn called_back(&self, stat: &rustix::fs::Stat) -> Option<Box<dyn Look>> {
        let mut looks = lock(&self.looks);
        let at = looks.iter().position(|patient| patient.file == file_id(stat))?;
        Some(looks.remove(at).look)
    }

    /// Ends the looks at files that were not renamed: what they hold is worth more elsewhere.
    pub(super) fn forget_looks(&self) {
        let now = self.shared.clock.now();
        lock(&self.looks).retain(|patient| now.duration_since(patient.since).unsigned_abs() < RENAMED_WITHIN);
    }

    /// Waits for the turn to change the site, as long as the configuration allows.
    pub(super) fn turn(&self) -> Result<Turn, Rejection> {
        let (taken, freed) = &*self.turn;
        let taken = lock(taken);
        let (mut taken, _) = freed
            .wait_timeout_while(taken, self.config.tree_wait, |taken| *taken)
            .unwrap_or_else(PoisonError::into_inner);
        if *taken {
            return Err(Rejection::new(Code::TreeBusy));
        }
        *taken = true;
        Ok(Turn(Arc::clone(&self.turn)))
    }

    /// A ledger line that may be lost; its failure is only logged.
    pub(super) fn note(&self, entry: Entry) {
        if let Err(error) = self.shared.ledger.note(entry) {
            tracing::error!(%error, "ledger could not be written");
        }
    }

    /// Hands an arrival to the publisher. A queue that stays full loses nothing: the
    /// publisher finds what is durable by itself.
    pub(super) fn hand_on(&self, arrival: Arrival) {
        let mut arrival = arrival;
        let mut waited = Duration::ZERO;
        loop {
            match self.shared.arrivals.try_send(arrival) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(back)) if waited < self.config.queue_wait => {
                    arrival = back
                }
                Err(error) => {
                    tracing::warn!(%error, "publisher takes nothing now; the arrival is stored");
                    return;
                }
            }
            std::thread::sleep(QUEUE_STEP);
            waited += QUEUE_STEP;
        }
    }
}

/// The right to change the site; the next one's when dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Turn {
    fn drop(&mut self) {
        let (taken, freed) = &*self.0;
        *lock(taken) = false;
        freed.notify_one();
    }
}

/// A lock whose holder panicked still holds whole values: each is changed in one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn inode(stat: &rustix::fs::Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

pub(super) fn size(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn file_id(stat: &rustix::fs::Stat) -> FileId {
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, nanos)
}

const INBOX: &str = "inbox";
const INCOMING: &str = "incoming";
const WATCHED: &str = "drop";
const PARTIAL: &str = "partial";

/// Bytes of a path as a client sends it; Linux takes no more either.
const RAW_BYTES: usize = 4096;

/// Front of the names of copies made by [`super::Drop::deposit`].
pub(super) const COPY: &str = "copy-";

/// Front of the names of directories with a file of the watched directory.
pub(super) const TAKEN: &str = "taken-";

/// Inodes that stay free: one package needs half a dozen, the unpacking asks for its own.
const INODES_MIN: u64 = 64;

/// How long an upload waits for what was unpacked ahead to be removed.
const GIVE_WAY: Duration = Duration::from_secs(2);

/// Hashes of finished files kept in memory, for renames that follow at once.
const HASHES_MAX: usize = 256;

/// Files that wait for their last name with somebody looking; more are hashed and read then.
const LOOKS_MAX: usize = 4;

/// A script renames what it uploaded at once, or not at all.
const RENAMED_WITHIN: Duration = Duration::from_secs(60);

/// How often a full queue is tried again.
const QUEUE_STEP: Duration = Duration::from_millis(20);
