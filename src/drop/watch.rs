//! The watched directory `var/drop`: packages that anything else puts there.
//!
//! inotify only wakes the watcher; what it does follows from reading the directory, at each
//! event and every few seconds. A file is taken when it rests (size and times unchanged for
//! the settle time), has a package's name and nobody has it open for writing. One that was
//! renamed into place is taken at once if its container is whole. Taking is a rename into
//! `var/incoming`, so that a writer who comes later cannot reach the file; whatever fails
//! before the history has it, it goes back. Imports nothing above `drop`.
//!
//! Sums (`NAME.sha256`, `SHA256SUMS`) count if they are there when the package is taken:
//! with `mv`, move them first.

mod take;
mod writers;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::names::{self, shown};
use super::room::{Room, inode};
use super::sums::{Late, Sums};
use super::{DropError, Submission};
use crate::durable::{Dir, Listed};
use crate::ledger::{Entry, Kind};
use crate::model::Lang;

/// The running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    wake: mpsc::SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
}

/// What wakes the watcher.
#[derive(Debug)]
enum Wake {
    /// A name was renamed into the directory.
    Moved(OsString),
    /// Anything else happened there, or events were lost.
    Look,
    /// The service ends.
    Stop,
}

impl Watch {
    /// Watches `var/drop` on a thread of its own, beginning with what lies there.
    pub fn spawn(drop: &super::Drop) -> io::Result<Self> {
        let (wake, woken) = mpsc::sync_channel(WAKES);
        let mut watcher = Watcher::new(&drop.room, Some(wake.clone()));
        let thread = std::thread::Builder::new().name("drop-watch".to_owned()).spawn(move || {
            watcher.run(&woken);
        })?;
        Ok(Self { wake, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A full queue is being read: this waits a moment at most.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the watcher knows between two looks.
pub(super) struct Watcher {
    room: Arc<Room>,
    path: PathBuf,
    /// Where events go; none in tests that look by hand.
    wake: Option<mpsc::SyncSender<Wake>>,
    notify: Option<RecommendedWatcher>,
    /// The directory that is watched, by device and inode.
    watched: Option<(u64, u64)>,
    seen: HashMap<OsString, Seen>,
    moved: HashSet<OsString>,
    /// Said once, not at every look.
    said: HashSet<OsString>,
    /// Where the last package of a name went, for sums that come late.
    last: HashMap<OsString, PathBuf>,
    verdicts: Vec<Submission>,
    /// Sums as they were when they were compared.
    compared: HashMap<OsString, State>,
}

/// A file as it was at the last look.
#[derive(Debug)]
struct Seen {
    state: State,
    /// When it was first seen so.
    since: Instant,
    /// When it is looked at again.
    due: Instant,
    /// Whether taking it has failed already.
    failed: bool,
}

/// What must not change while a file rests.
type State = (u64, i64, i64, i64, i64, i64);

impl Watcher {
    fn new(room: &Arc<Room>, wake: Option<mpsc::SyncSender<Wake>>) -> Self {
        Self {
            room: Arc::clone(room),
            path: room.watched.path().to_owned(),
            wake,
            notify: None,
            watched: None,
            seen: HashMap::new(),
            moved: HashSet::new(),
            said: HashSet::new(),
            last: HashMap::new(),
            verdicts: Vec::new(),
            compared: HashMap::new(),
        }
    }

    fn run(&mut self, woken: &mpsc::Receiver<Wake>) {
        let mut patience = Duration::ZERO;
        loop {
            match woken.recv_timeout(patience) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(wake) => self.note(wake),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // A burst of events is one look.
            for wake in woken.try_iter().take(WAKES) {
                match wake {
                    Wake::Stop => return,
                    wake => self.note(wake),
                }
            }
            let now = Instant::now();
            self.look(now);
            patience = self.next(now);
        }
    }

    fn note(&mut self, wake: Wake) {
        if let Wake::Moved(name) = wake
            && self.moved.len() < WAKES
        {
            self.moved.insert(name);
        }
    }

    /// Reads the directory and takes what is ready.
    fn look(&mut self, now: Instant) {
        self.report_verdicts();
        let Some(dir) = self.directory() else { return };
        let listed = match dir.list() {
            Ok(listed) => listed,
            Err(error) => return tracing::warn!(%error, "watched directory could not be read"),
        };
        let there: HashSet<&OsStr> = listed.iter().map(|file| file.name.as_os_str()).collect();
        self.seen.retain(|name, _| there.contains(name.as_os_str()));
        self.said.retain(|name| there.contains(name.as_os_str()) || *name == *ABSENT);
        self.compared.retain(|name, _| there.contains(name.as_os_str()));
        let candidates: Vec<&Listed> = listed.iter().filter(|file| self.is_candidate(file)).collect();
        for file in candidates.into_iter().take(NAMES_MAX) {
            if self.is_ready(&dir, file, now) {
                self.take(&dir, &file.name, now);
            }
        }
        for file in listed.iter().filter(|file| is_sums(file)).take(NAMES_MAX) {
            if self.is_ready(&dir, file, now) {
                self.compare(&dir, file, now);
            }
        }
        self.moved.clear();
    }

    /// Until when nothing happens by itself.
    fn next(&self, now: Instant) -> Duration {
        let due = self.seen.values().map(|seen| seen.due).min();
        let soonest = due.map_or(self.room.config.rescan, |due| due.saturating_duration_since(now));
        soonest.max(LOOK_MIN).min(self.room.config.rescan)
    }

    /// The directory as it is now: gone, replaced or the same.
    fn directory(&mut self) -> Option<Dir> {
        let dir = Dir::open(&self.path).and_then(|dir| Ok((inode(&dir.stat(".")?), dir)));
        let (id, dir) = match dir {
            Ok(found) => found,
            Err(error) => {
                self.watched = None;
                self.notify = None;
                if self.said.insert(ABSENT.into()) {
                    let path = self.path.display().to_string();
                    tracing::warn!(%error, path, "watched directory is gone; make it again");
                    self.warn("watched directory is gone", OsStr::new(&path));
                }
                return None;
            }
        };
        if self.watched != Some(id) {
            if self.said.remove(OsStr::new(ABSENT)) {
                tracing::info!(path = %self.path.display(), "watched directory is back");
            }
            self.watched = Some(id);
            self.notify = self.listen();
        }
        Some(dir)
    }

    /// Asks inotify for events. Without them the regular look is slower, not worse.
    fn listen(&self) -> Option<RecommendedWatcher> {
        let wake = self.wake.clone()?;
        let watching = notify::recommended_watcher(move |event| {
            for wake_up in heard(event) {
                // A full queue means that a look is due anyway.
                let _ = wake.try_send(wake_up);
            }
        })
        .and_then(|mut watcher| watcher.watch(&self.path, RecursiveMode::NonRecursive).map(|()| watcher));
        watching
            .inspect_err(
                |error| tracing::warn!(%error, "no events for the watched directory; it is read regularly"),
            )
            .ok()
    }

    /// Whether an entry may become a package at all. What never can is said once.
    fn is_candidate(&mut self, file: &Listed) -> bool {
        if !file.is_file() {
            // A folder may be somebody's workshop: its files are moved up when they are ready.
            if self.said.insert(file.name.clone()) {
                self.warn("not a regular file: ignored", &file.name);
            }
            return false;
        }
        self.room.names.is_package(&file.name)
    }

    fn is_ready(&mut self, dir: &Dir, file: &Listed, now: Instant) -> bool {
        let settle = self.room.config.settle;
        let state = state(&file.stat);
        let fresh = Seen { state, since: now, due: now + settle, failed: false };
        let seen = self.seen.entry(file.name.clone()).or_insert(fresh);
        if seen.state != state {
            *seen = Seen { state, since: now, due: now + settle, failed: seen.failed };
        }
        let moved = self.moved.contains(&file.name);
        if now < seen.due && !moved {
            return false;
        }
        // What cannot be opened is told when it is taken.
        let opened = dir.open_file(&file.name);
        if opened.as_ref().is_ok_and(|opened| writers::any(opened, &file.name, &file.stat)) {
            // Whatever it looks like now: it is not finished.
            (seen.since, seen.due) = (now, now + settle);
            return false;
        }
        let rested = now.saturating_duration_since(seen.since);
        if rested >= settle && opened.as_ref().is_ok_and(writers::are_visible) || rested >= settle * UNSEEN {
            return true;
        }
        // Renamed into place, or written by somebody we cannot see: its end must tell.
        let whole = take::is_whole(dir, &file.name, self.room.config.limits.unpacked_bytes);
        if !whole && rested >= settle {
            seen.due = seen.since + settle * UNSEEN;
        }
        whole
    }

    /// Compares sums with the package that was taken before they came. They have done their work
    /// then, unless they are a list, which may speak of more.
    fn compare(&mut self, dir: &Dir, file: &Listed, now: Instant) {
        if let Some(seen) = self.seen.get_mut(&file.name) {
            // Nothing more is due of it before it changes.
            seen.due = now + self.room.config.rescan;
        }
        let state = state(&file.stat);
        let Some(name) = file.name.to_str() else { return };
        // It went with its package just now, or was looked at before.
        if !dir.exists(name) || self.compared.insert(file.name.clone(), state) == Some(state) {
            return;
        }
        let written = Timestamp::from_second(file.stat.st_ctime).unwrap_or_default();
        let sums = Sums { name, written, sender: &take::sender(&file.stat) };
        match self.room.late_sum(&sums, || dir.read(name, names::SIDECAR_BYTES)) {
            Ok(None) => {}
            Ok(Some(Late { submission, agrees })) => {
                if agrees && !names::is_list(&name.to_ascii_lowercase()) {
                    let _ = dir.remove_file(name);
                }
                if self.verdicts.len() < VERDICTS_MAX {
                    self.verdicts.push(submission);
                }
            }
            Err(error) => tracing::warn!(%error, name, "sums could not be compared"),
        }
    }

    /// Takes a file and submits it; what fails goes back and is tried again later.
    fn take(&mut self, dir: &Dir, name: &OsStr, now: Instant) {
        let before = self.last.get(name).and_then(|path| std::fs::File::open(path).ok());
        let mut sidecars = names::sidecars(dir, name, before.as_ref()).unwrap_or_else(|error| {
            tracing::warn!(%error, "sums beside a package could not be read");
            Vec::new()
        });
        sidecars.retain(|side| !self.room.is_spent(&side.content));
        match take::take(&self.room, dir, name, &sidecars) {
            Ok((submission, kept)) => {
                for side in sidecars.iter().filter(|side| side.own) {
                    let _ = dir.remove_file(&side.name);
                }
                self.seen.remove(name);
                if self.last.len() >= NAMES_MAX {
                    self.last.clear();
                }
                self.last.insert(name.to_owned(), kept.path);
                if self.verdicts.len() < VERDICTS_MAX {
                    self.verdicts.push(submission);
                }
            }
            Err(error) => {
                let refused = refusal(&error);
                let first = match self.seen.get_mut(name) {
                    Some(seen) => {
                        // Going there and back has touched it.
                        seen.state = dir.stat(name).map_or(seen.state, |stat| state(&stat));
                        (seen.since, seen.due) = (now, now + RETRY);
                        !std::mem::replace(&mut seen.failed, true)
                    }
                    None => false,
                };
                if first {
                    tracing::warn!(name = %shown(name), refused, "package in the watched directory was not taken");
                    self.warn(&refused, name);
                }
            }
        }
    }

    /// Logs what became of packages: nobody else here hears it.
    fn report_verdicts(&mut self) {
        self.verdicts.retain_mut(|submission| match submission.verdict.try_recv() {
            Ok(outcome) => {
                tracing::info!(name = submission.name, "{}", outcome.line(Lang::En));
                false
            }
            Err(error) => error == tokio::sync::oneshot::error::TryRecvError::Empty,
        });
    }

    fn warn(&self, what: &str, name: &OsStr) {
        self.room.note(
            Entry::new(Kind::Warning).with("room", "drop").with("what", what).with("name", shown(name)),
        );
    }
}

/// Whether an entry holds sums.
fn is_sums(file: &Listed) -> bool {
    file.is_file() && names::is_sidecar(&file.name.to_string_lossy())
}

/// What an event asks for. Our own opening and reading make events too: not those.
fn heard(event: notify::Result<notify::Event>) -> Vec<Wake> {
    let Ok(event) = event else { return vec![Wake::Look] };
    if event.need_rescan() {
        return vec![Wake::Look];
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => vec![Wake::Look],
        EventKind::Access(_) => Vec::new(),
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            let name = event.paths.last().and_then(|path: &PathBuf| Path::file_name(path));
            name.map(|name| Wake::Moved(name.to_owned())).into_iter().collect()
        }
        _ => vec![Wake::Look],
    }
}

fn state(stat: &rustix::fs::Stat) -> State {
    let nanos = |nanos| i64::try_from(nanos).unwrap_or_default();
    let (mtime, ctime) = (nanos(stat.st_mtime_nsec), nanos(stat.st_ctime_nsec));
    (stat.st_ino, stat.st_size, stat.st_mtime, mtime, stat.st_ctime, ctime)
}

fn refusal(error: &DropError) -> String {
    match error {
        DropError::Rejected(rejection) => rejection.to_string(),
        DropError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Key under which the absence of the directory is remembered as said: no file's name.
const ABSENT: &str = "/";

/// Events that wait; what does not fit is found by the look.
const WAKES: usize = 1024;

/// Names read at one look; the next one finds the rest.
const NAMES_MAX: usize = 10_000;

/// Verdicts waited for.
const VERDICTS_MAX: usize = 64;

/// Between two looks, however many events come.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// How many times as long a file rests whose writers we cannot see, if its end does not
/// tell that it is whole.
const UNSEEN: u32 = 15;

/// After a failure (no rights, full disk) a file is tried again.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
impl Watcher {
    /// A watcher that looks when it is told to.
    pub(super) fn by_hand(drop: &super::Drop) -> Self {
        Self::new(&drop.room, None)
    }

    pub(super) fn look_at(&mut self, now: Instant) {
        self.look(now);
    }

    pub(super) fn moved_in(&mut self, name: &str) {
        self.note(Wake::Moved(name.into()));
    }
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{CreateKind, Flag};

    use super::*;

    #[test]
    fn lost_events_and_closed_files_ask_for_a_look() {
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        let closed = Event::new(EventKind::Access(AccessKind::Close(AccessMode::Write)));
        for event in [lost, closed, Event::new(EventKind::Create(CreateKind::File))] {
            assert!(matches!(heard(Ok(event)).as_slice(), [Wake::Look]));
        }
        assert!(matches!(heard(Err(notify::Error::generic("x"))).as_slice(), [Wake::Look]));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let moved = heard(Ok(Event::new(renamed).add_path("/var/drop/p.zip".into())));
        assert!(matches!(moved.as_slice(), [Wake::Moved(name)] if name == "p.zip"));
        assert!(heard(Ok(Event::new(EventKind::Access(AccessKind::Open(AccessMode::Read))))).is_empty());
    }
}
