//! Compresses what is live, on threads that yield to everything else.
//!
//! A swap replaces the work list: what the old cut still lacked is nobody's wish any more.
//! Between two lists the threads hold no content, so an old cut is freed when its last
//! reader ends.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::content::{Coding, Content};
use super::live::Live;
use super::media::{Class, Media};

#[derive(Debug)]
pub(super) struct Press {
    shared: Option<Arc<Shared>>,
    idle: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    idle: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    list: Option<Arc<List>>,
    is_over: bool,
}

#[derive(Debug)]
struct List {
    work: Vec<(Coding, Arc<Content>)>,
    next: AtomicUsize,
    done: AtomicUsize,
}

impl Press {
    /// Starts the threads; with none, nothing is ever compressed.
    pub(super) fn start(threads: usize) -> Self {
        let (sender, idle) = watch::channel(true);
        if threads == 0 {
            return Self { shared: None, idle };
        }
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), idle: sender });
        for _ in 0..threads.min(THREADS_MAX) {
            let shared = Arc::clone(&shared);
            let spawned = std::thread::Builder::new().name("press".to_owned()).spawn(move || run(&shared));
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread to compress with; files are served as they came");
            }
        }
        Self { shared: Some(shared), idle }
    }

    /// Makes this snapshot the one to work on.
    pub(super) fn take(&self, live: &Live) {
        let Some(shared) = &self.shared else { return };
        let work = work(live);
        let list = List { work, next: AtomicUsize::new(0), done: AtomicUsize::new(0) };
        let is_idle = list.work.is_empty();
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.list = (!is_idle).then(|| Arc::new(list));
        shared.idle.send_replace(is_idle);
        shared.wake.notify_all();
    }

    /// Returns when there is nothing left to do.
    pub(super) async fn idle(&self) {
        // An error means that the threads are gone: nothing more will come.
        let _ = self.idle.clone().wait_for(|idle| *idle).await;
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.is_over, state.list) = (true, None);
            shared.wake.notify_all();
        }
    }
}

impl Shared {
    fn list(&self) -> Option<Arc<List>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.is_over {
                return None;
            }
            match &state.list {
                Some(list) if list.next.load(Ordering::Relaxed) < list.work.len() => {
                    return Some(Arc::clone(list));
                }
                _ => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn is_current(&self, list: &Arc<List>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.list.as_ref().is_some_and(|l| Arc::ptr_eq(l, list))
    }

    fn finish(&self, list: &Arc<List>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.list.as_ref().is_some_and(|l| Arc::ptr_eq(l, list)) {
            state.list = None;
            self.idle.send_replace(true);
        }
    }
}

fn run(shared: &Shared) {
    // On Linux this is the nice value of the calling thread alone.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the compressing thread keeps its priority");
    }
    while let Some(list) = shared.list() {
        while let Some((coding, content)) = list.work.get(list.next.fetch_add(1, Ordering::Relaxed)) {
            if !shared.is_current(&list) {
                break;
            }
            content.keep(*coding, content.bytes().and_then(|bytes| press(*coding, bytes)));
            if list.done.fetch_add(1, Ordering::AcqRel) + 1 == list.work.len() {
                shared.finish(&list);
            }
        }
    }
}

/// What is to be done: gzip of everything first, as every reader takes it, then the two
/// better ones; in each the pages first and then the small files, which are asked for most.
fn work(live: &Live) -> Vec<(Coding, Arc<Content>)> {
    let mut list: Vec<_> = live
        .entries()
        .filter(|(_, e)| {
            e.media.is_compressible() && !e.content.is_gzip && e.content.size >= PRESS_FROM_BYTES
        })
        .filter(|(_, e)| e.content.bytes().is_some())
        .map(|(_, e)| (e.media.class != Class::Html, e.content.size, e))
        .collect();
    list.sort_by_key(|(is_data, size, e)| (*is_data, *size, e.content.sha256));
    list.dedup_by_key(|(_, _, e)| e.content.sha256);
    let pass = |coding: Coding| {
        list.iter()
            .filter(move |(_, size, e)| e.content.lacks(coding) && is_worth(coding, e.media, *size))
            .map(move |(_, _, e)| (coding, Arc::clone(&e.content)))
    };
    [Coding::Gzip, Coding::Zstd, Coding::Brotli].into_iter().flat_map(pass).collect()
}

/// Brotli gains little over zstd on data and costs eight times the time: it is for what
/// stays the same over many cuts, and for what is small.
fn is_worth(coding: Coding, media: Media, size: u64) -> bool {
    match coding {
        Coding::Identity => false,
        Coding::Gzip | Coding::Zstd => true,
        Coding::Brotli if matches!(media.essence, "text/html" | "text/css" | "text/javascript") => {
            size <= BROTLI_CODE_BYTES_MAX
        }
        Coding::Brotli => size <= BROTLI_DATA_BYTES_MAX,
    }
}

/// The variant, if it is smaller.
fn press(coding: Coding, bytes: &Bytes) -> Option<Bytes> {
    let packed = match coding {
        Coding::Identity => return None,
        Coding::Gzip => gzip(bytes),
        Coding::Brotli => brotli(bytes),
        Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL).ok(),
    };
    packed.filter(|p| p.len() < bytes.len()).map(|mut p| {
        p.shrink_to_fit();
        Bytes::from(p)
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(bytes.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn brotli(bytes: &[u8]) -> Option<Vec<u8>> {
    let params =
        brotli::enc::BrotliEncoderParams { quality: BROTLI_QUALITY, lgwin: 22, ..Default::default() };
    let mut out = Vec::with_capacity(bytes.len() / 4);
    brotli::BrotliCompress(&mut &*bytes, &mut out, &params).ok()?;
    Some(out)
}

/// Two share the work of a cut on a machine of two cores; more would only fight readers.
const THREADS_MAX: usize = 2;
/// Lower than anything that serves or receives.
const NICE: i32 = 10;
/// Below this a packet holds it either way.
const PRESS_FROM_BYTES: u64 = 256;
/// 18.3 MB of 60 MB in 0.64 s; level 9 gains 2 % for twice the time.
const GZIP_LEVEL: u32 = 6;
/// 18.6 MB of 60 MB in 0.28 s. Its window of 2 MiB is within the 8 MiB of RFC 9659.
const ZSTD_LEVEL: i32 = 3;
/// 17.5 MB of 60 MB in 1.4 s; the next level takes twice that.
const BROTLI_QUALITY: i32 = 4;
/// Largest script or style for brotli.
const BROTLI_CODE_BYTES_MAX: u64 = 4 << 20;
/// Largest data file for brotli.
const BROTLI_DATA_BYTES_MAX: u64 = 64 << 10;
