//! What one connection's tasks know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Limits;
use crate::access::Grant;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Knocking,
    Authenticated,
    /// Its first program was started.
    Working,
}

/// The shared state of one connection: counters and signals, no decisions.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) limits: Arc<Limits>,
    /// Cuts the stream.
    pub(super) cut: CancellationToken,
    /// Whether the peer has sent anything.
    pub(super) heard: Arc<AtomicBool>,
    phase: watch::Sender<Phase>,
    grant: OnceLock<Grant>,
    began: Instant,
    /// Milliseconds from `began` to the last channel data, either way.
    touched: AtomicU64,
    /// Channels where the peer has said all and waits for us.
    ours: AtomicUsize,
    programs: AtomicUsize,
    channels: AtomicUsize,
    /// Keys or passwords of the peer that were refused.
    refused: AtomicUsize,
    tasks: TaskTracker,
}

impl Life {
    pub(super) fn new(limits: Arc<Limits>, cut: CancellationToken, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            limits,
            cut,
            heard: Arc::default(),
            phase: watch::Sender::new(Phase::Knocking),
            grant: OnceLock::new(),
            began: Instant::now(),
            touched: AtomicU64::new(0),
            ours: AtomicUsize::new(0),
            programs: AtomicUsize::new(0),
            channels: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            tasks,
        })
    }

    /// The peer proved its key. False if it had done so before.
    pub(super) fn authenticated(&self, grant: Grant) -> bool {
        let first = self.grant.set(grant).is_ok();
        self.reach(Phase::Authenticated);
        first
    }

    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.get()
    }

    /// A key or password of the peer was refused.
    pub(super) fn proved_nothing(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether any was.
    pub(super) fn tried(&self) -> bool {
        self.refused.load(Ordering::Relaxed) > 0
    }

    pub(super) fn reach(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > *now;
            *now = phase.max(*now);
            further
        });
    }

    /// Returns when the connection has come this far; never, if it ends before.
    pub(super) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        if phases.wait_for(|now| *now >= phase).await.is_err() {
            std::future::pending().await
        }
    }

    pub(super) fn lasted(&self) -> Duration {
        self.began.elapsed()
    }

    /// Data went in or out.
    pub(super) fn touch(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.touched.store(since, Ordering::Relaxed);
    }

    /// How long it has been the peer's turn without a word.
    pub(super) fn idle_for(&self) -> Duration {
        if self.ours.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.touched.load(Ordering::Relaxed)))
    }

    /// On one channel it is ours to answer, until the value is dropped.
    pub(super) fn our_turn(&self) -> Counted<'_> {
        Counted::new(&self.ours)
    }

    /// A channel is open until the value is dropped; `None` if there are enough.
    pub(super) fn open_channel(self: &Arc<Self>) -> Option<OpenChannel> {
        let max = self.limits.channels_per_session_max;
        let more = |open| (open < max).then_some(open + 1);
        self.channels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(OpenChannel(self.clone()))
    }

    /// Programs that have not returned.
    pub(super) fn programs(&self) -> usize {
        self.programs.load(Ordering::Relaxed)
    }

    /// Runs a program on a blocking thread.
    pub(super) fn run(self: &Arc<Self>, program: impl FnOnce() -> u32 + Send + 'static) -> JoinHandle<u32> {
        self.programs.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.clone());
        self.tasks.spawn_blocking(move || {
            let _running = running;
            program()
        })
    }

    /// Starts a task that the service waits for when it stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// One more, until dropped.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open channel; counted until dropped.
pub(super) struct OpenChannel(Arc<Life>);

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Running(Arc<Life>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.programs.fetch_sub(1, Ordering::Relaxed);
    }
}
