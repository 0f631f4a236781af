//! Where answers leave their hits: bounded, and nobody waits in it.
//!
//! Each thread that serves has a place of its own in turn, so that two seldom meet. A place that is full or
//! held passes to the next; when all are, the hit is lost, and counted.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::thread::{self, Thread};

use jiff::Timestamp;

use super::hit::{Asked, Hit, Observed};
use crate::clock::Clock;

/// The way to the log. Clones lead to the same.
#[derive(Clone, Debug)]
pub struct Sink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Box<[Mutex<Vec<u8>>]>,
    place_bytes: usize,
    clock: Clock,
    lost: AtomicU64,
    /// Who is woken when much waits.
    writer: OnceLock<Thread>,
}

impl Sink {
    /// A sink in which at most about `bytes` wait.
    pub fn new(bytes: usize, clock: Clock) -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from).min(PLACES_MAX);
        let places = (0..count).map(|_| Mutex::default()).collect();
        let place_bytes = bytes / count;
        Self(Arc::new(Shared {
            places,
            place_bytes,
            clock,
            lost: AtomicU64::new(0),
            writer: OnceLock::new(),
        }))
    }

    /// A request has come. What is returned is told of its answer and dropped at its end.
    pub fn observe(&self, asked: &Asked<'_>) -> Observed {
        Observed::new(self.clone(), asked)
    }

    /// Takes a hit, if there is room. Never waits.
    pub fn offer(&self, hit: &Hit<'_>) {
        let Shared { places, place_bytes, lost, writer, .. } = &*self.0;
        let (own, room) = (own_place(), hit.room());
        for n in 0..places.len() {
            let Some(place) = places.get((own + n) % places.len()) else { continue };
            let mut waiting = match place.try_lock() {
                Ok(waiting) => waiting,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let before = waiting.len();
            if before + room > *place_bytes {
                continue;
            }
            hit.write(&mut waiting);
            let is_much = before < place_bytes / 2 && waiting.len() >= place_bytes / 2;
            drop(waiting);
            if is_much && let Some(writer) = writer.get() {
                writer.unpark();
            }
            return;
        }
        lost.fetch_add(1, Ordering::Relaxed);
    }

    /// So many hits were taken and could not be written.
    pub(super) fn lose(&self, count: u64) {
        self.0.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Hits lost since the start.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Takes what waits, a block for each place. Blocks that are handed in are used again.
    pub(super) fn take(&self, blocks: &mut Vec<Vec<u8>>) {
        blocks.resize_with(self.0.places.len(), Vec::new);
        for (place, block) in self.0.places.iter().zip(blocks) {
            block.clear();
            let mut waiting = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::swap(&mut *waiting, block);
        }
    }

    /// From now on this thread is woken when much waits.
    pub(super) fn wakes_this_thread(&self) {
        // The first one stays: there is one writer.
        let _ = self.0.writer.set(thread::current());
    }
}

/// The number of this thread, in the order in which threads came.
fn own_place() -> usize {
    thread_local!(static OWN: Cell<Option<usize>> = const { Cell::new(None) });
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            own.set(Some(new));
            new
        })
    })
}

/// Threads that serve are as many as cores; beyond this they share.
const PLACES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::hit::{Protocol, Tls};
    use super::*;

    fn hit() -> Hit<'static> {
        Hit {
            at: Timestamp::UNIX_EPOCH,
            taken_micros: 1,
            peer: "192.0.2.1".parse().unwrap(),
            status: 200,
            sent: 1,
            is_whole: true,
            protocol: Protocol::Http11,
            tls: Tls::V13,
            method: b"GET",
            target: b"/",
            host: b"",
            referer: b"",
            agent: b"",
            forwarded: b"",
            cut: b"",
            encoding: b"",
        }
    }

    fn count(blocks: &[Vec<u8>]) -> usize {
        let mut count = 0;
        for block in blocks {
            let mut rest = block.as_slice();
            while let Some((_, after)) = Hit::read(rest) {
                (count, rest) = (count + 1, after);
            }
        }
        count
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_else_is_lost() {
        let sink = Sink::new(100_000, Clock::system());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let sink = sink.clone();
                thread::spawn(move || (0..1000).for_each(|_| sink.offer(&hit())))
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        let mut blocks = Vec::new();
        sink.take(&mut blocks);
        assert!(sink.lost() > 0);
        assert_eq!(count(&blocks) as u64 + sink.lost(), 4000);
        sink.offer(&hit());
        sink.take(&mut blocks);
        assert_eq!(count(&blocks), 1, "there is room again");
    }
}
