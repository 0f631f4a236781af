//! Follows the store's pointer: what it names is what readers see.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use notify::Watcher as _;

use super::{Contents, Site};
use crate::model::{Cut, ReleaseId};
use crate::release::{Reader, Release};

/// Something the operator or the record may want to know.
#[derive(Clone, Debug)]
pub enum SiteEvent {
    /// Readers see this release now.
    Shown {
        /// Which.
        release: ReleaseId,
        /// Its cut; `None` for the waiting page and for cuts without hour.
        cut: Option<Cut>,
        /// How many files.
        files: usize,
        /// From the moment the pointer was seen to have moved.
        took: Duration,
    },
    /// The pointer moved, but what it names cannot be shown: readers still see what they saw.
    Kept {
        /// What the pointer names, where it names anything.
        release: Option<ReleaseId>,
        /// Why.
        why: String,
    },
}

/// The thread that follows; ends when it is dropped.
#[derive(Debug)]
pub struct Follower {
    nudge: Option<Sender<Nudge>>,
    thread: Option<JoinHandle<()>>,
}

enum Nudge {
    Look,
    End,
}

impl Site {
    /// Loads what the pointer names now, before it returns, and follows it on a thread of its own from
    /// then on. `report` is called on that thread.
    pub fn follow(
        self: &Arc<Self>,
        reader: Reader,
        report: impl Fn(SiteEvent) + Send + 'static,
    ) -> io::Result<Follower> {
        let (nudge, nudges) = channel();
        let watcher = watch(&reader, nudge.clone());
        let mut sight = Sight { site: Arc::clone(self), reader, shown: None, complained: None, retry: None };
        sight.look(&report);
        let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(move || {
            let _watcher = watcher;
            sight.run(&nudges, &report);
        })?;
        Ok(Follower { nudge: Some(nudge), thread: Some(thread) })
    }
}

impl Follower {
    /// Looks at the pointer at once instead of at the next event: for a publisher in the
    /// same process.
    pub fn look(&self) {
        if let Some(nudge) = &self.nudge {
            let _ = nudge.send(Nudge::Look);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(nudge) = self.nudge.take() {
            let _ = nudge.send(Nudge::End);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An event on the pointer's directory is only a hint: without a watcher the poll finds
/// the swap a little later.
fn watch(reader: &Reader, nudge: Sender<Nudge>) -> Option<notify::RecommendedWatcher> {
    let hint = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|e| e.kind.is_access()) {
            let _ = nudge.send(Nudge::Look);
        }
    };
    let watcher = notify::recommended_watcher(hint).and_then(|mut watcher| {
        watcher.watch(reader.www().path(), notify::RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "the pointer is not watched, only polled")).ok()
}

struct Sight {
    site: Arc<Site>,
    reader: Reader,
    shown: Option<ReleaseId>,
    complained: Option<String>,
    retry: Option<(Instant, Option<ReleaseId>)>,
}

impl Sight {
    fn run(&mut self, nudges: &Receiver<Nudge>, report: &dyn Fn(SiteEvent)) {
        loop {
            match nudges.recv_timeout(POLL) {
                Ok(Nudge::Look) | Err(RecvTimeoutError::Timeout) => self.look(report),
                Ok(Nudge::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Compares the pointer with what is shown, and loads what is new.
    fn look(&mut self, report: &dyn Fn(SiteEvent)) {
        let named = match self.reader.current() {
            Ok(Some(id)) if self.shown.as_ref() == Some(&id) => {
                self.complained = None;
                return;
            }
            Ok(Some(id)) => id,
            // Nothing was ever published, or the link is gone: what is shown stays.
            Ok(None) if self.shown.is_none() => return,
            Ok(None) => return self.complain(None, "the pointer is gone".to_owned(), report),
            Err(e) => return self.complain(None, e.to_string(), report),
        };
        let failed_lately = self
            .retry
            .as_ref()
            .is_some_and(|(until, id)| id.as_ref() == Some(&named) && Instant::now() < *until);
        if failed_lately {
            return;
        }
        let began = Instant::now();
        match self.load(&named) {
            Ok(None) => {}
            Ok(Some(release)) => {
                (self.complained, self.retry, self.shown) = (None, None, Some(release.id.clone()));
                report(SiteEvent::Shown {
                    cut: release.meta.cut,
                    files: release.manifest.len(),
                    release: release.id,
                    took: began.elapsed(),
                });
            }
            Err(why) => {
                self.retry = Some((Instant::now() + RETRY, Some(named.clone())));
                self.complain(Some(named), why, report);
            }
        }
    }

    fn load(&self, named: &ReleaseId) -> Result<Option<Release>, String> {
        let (release, ready) = match self.site.take_next(named) {
            Some(next) => (Some(next.release), next.contents),
            None => (self.reader.load_current().map_err(|e| e.to_string())?, Contents::new()),
        };
        let Some(release) = release else { return Ok(None) };
        let live = self.site.load_with(&release, ready, self.pointed_at()).map_err(|e| e.to_string())?;
        self.site.show(live);
        Ok(Some(release))
    }

    /// When the pointer was made: the same after every restart, and later after a rollback.
    fn pointed_at(&self) -> Timestamp {
        let seconds = self.reader.www().stat(POINTER).ok().map(|s| s.st_mtime);
        seconds.and_then(|s| Timestamp::from_second(s).ok()).unwrap_or_else(|| self.site.clock().now())
    }

    fn complain(&mut self, release: Option<ReleaseId>, why: String, report: &dyn Fn(SiteEvent)) {
        if self.complained.as_ref() != Some(&why) {
            self.complained = Some(why.clone());
            report(SiteEvent::Kept { release, why });
        }
    }
}

/// The store's link.
const POINTER: &str = "current";
/// How late a swap is seen when the watcher sleeps.
const POLL: Duration = Duration::from_millis(250);
/// Pause before a release that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(2);
