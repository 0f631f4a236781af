//! What the public sees now: one immutable snapshot of one release, swapped whole.
//!
//! Owns the snapshot in memory ([`Live`]), the threads that compress it, and our own pages
//! ([`page`]). Writes nothing to disk. Imports `release`, `durable`, `clock` and `model`.
//!
//! The flow: [`Site::follow`] watches the store's pointer → [`Live::load`] reads and checks
//! every file of the release it names, sharing what the previous snapshot already holds and what
//! a [`Preview`] kept when the files passed through this process →
//! [`Site::show`] swaps in one step → compressed variants follow. A request takes
//! [`Site::live`] once. A release that cannot be read whole, or a pointer that leads
//! nowhere, changes nothing: the last good snapshot stays.

#[cfg(test)]
pub(crate) mod bench;
mod content;
mod entry;
mod follow;
mod live;
mod media;
pub mod page;
mod press;
mod preview;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::release::Release;

pub use content::{Coding, Content, Stored};
pub use entry::{Block, Entry, Freshness, Head};
pub use follow::{Follower, SiteEvent};
pub use live::{Found, Live, LoadError};
pub use media::Media;
use press::Press;
pub use preview::Preview;
use preview::{Contents, Next};

/// Settings of the room.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Bytes of files a snapshot keeps in memory, compressed variants not counted. What does
    /// not fit, the largest files first, is read from disk at each request.
    pub memory_bytes: u64,
    /// A file larger than this is always read from disk: one download of it should not
    /// decide how much memory the whole site has.
    pub memory_file_bytes_max: u64,
    /// Files held open for reading from disk. Beyond it files stay in memory whatever the
    /// budget says: descriptors belong to readers first.
    pub open_files_max: usize,
    /// Threads that compress after a swap; 0 serves everything as it came.
    pub press_threads: usize,
    /// Prefix, such as `/publicacion/nacional/`, under which the site is served besides `/`. With `/`
    /// the `<base href>` of the site's own index.html decides.
    pub base: String,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            memory_file_bytes_max: 64 << 20,
            open_files_max: 256,
            press_threads: 1,
            base: "/".to_owned(),
        }
    }
}

/// The public side. One per process, shared behind an `Arc`.
#[derive(Debug)]
pub struct Site {
    config: SiteConfig,
    clock: Clock,
    live: ArcSwap<Live>,
    /// What the publisher of this process is about to point at.
    next: Mutex<Option<Next>>,
    press: Press,
}

impl Site {
    /// A site that shows nothing yet: readers get the waiting page.
    pub fn new(config: SiteConfig, clock: Clock) -> Arc<Self> {
        let live = ArcSwap::from_pointee(Live::empty(&config));
        let press = Press::start(config.press_threads);
        Arc::new(Self { config, clock, live, next: Mutex::default(), press })
    }

    /// The snapshot of this instant. A request takes it once and keeps to it.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Reads a release into a snapshot that can be shown. `since` is when readers were first
    /// meant to see it: the time of the pointer, or now.
    pub fn load(&self, release: &Release, since: Timestamp) -> Result<Live, LoadError> {
        self.load_with(release, Contents::new(), since)
    }

    /// The same with content that need not be read.
    fn load_with(&self, release: &Release, ready: Contents, since: Timestamp) -> Result<Live, LoadError> {
        let now = self.clock.now();
        Live::load(release, &self.live(), ready, since.min(now), &self.config)
    }

    fn next(&self) -> MutexGuard<'_, Option<Next>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a snapshot from the next request on, and has it compressed.
    pub fn show(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        self.live.store(Arc::clone(&live));
        self.press.take(&live);
        live
    }

    /// Returns when every file of the snapshot that was shown last has its variants.
    pub async fn pressed(&self) {
        self.press.idle().await;
    }

    /// The time, as the site sees it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}
