//! Who is in: connections in all and by source, sessions by module.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts, each with its bound.
#[derive(Debug, Default)]
pub(super) struct Turnstile(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    sources: HashMap<IpAddr, usize>,
    modules: HashMap<String, usize>,
}

/// A place that is somebody's until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    turnstile: Arc<Turnstile>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Source(IpAddr),
    Module(String),
}

impl Turnstile {
    /// A place for a connection; `None` if there are enough, in all or of this source.
    pub(super) fn arrive(self: &Arc<Self>, source: IpAddr, total: usize, each: usize) -> Option<Place> {
        let mut counts = self.counts();
        if counts.connections >= total || !more(&mut counts.sources, source, each) {
            return None;
        }
        counts.connections += 1;
        Some(Place { turnstile: Arc::clone(self), of: Of::Source(source) })
    }

    /// A place in a module.
    pub(super) fn enter(self: &Arc<Self>, module: &str, max: usize) -> Option<Place> {
        let taken = more(&mut self.counts().modules, module.to_owned(), max);
        taken.then(|| Place { turnstile: Arc::clone(self), of: Of::Module(module.to_owned()) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.turnstile.counts();
        match &self.of {
            Of::Source(source) => {
                counts.connections = counts.connections.saturating_sub(1);
                fewer(&mut counts.sources, source);
            }
            Of::Module(module) => fewer(&mut counts.modules, module),
        }
    }
}

fn more<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, max: usize) -> bool {
    let count = counts.entry(key).or_default();
    let fits = *count < max;
    *count += usize::from(fits);
    fits
}

fn fewer<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let turnstile = Arc::new(Turnstile::default());
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|addr| addr.parse::<IpAddr>().unwrap());
        let first = turnstile.arrive(a, 3, 2).unwrap();
        let _second = turnstile.arrive(a, 3, 2).unwrap();
        assert!(turnstile.arrive(a, 3, 2).is_none(), "two of one source");
        let _third = turnstile.arrive(b, 3, 2).unwrap();
        assert!(turnstile.arrive(b, 3, 2).is_none(), "three in all");
        drop(first);
        assert!(turnstile.arrive(a, 3, 2).is_some());
        let session = turnstile.enter("prep", 1).unwrap();
        assert!(turnstile.enter("prep", 1).is_none() && turnstile.enter("otro", 1).is_some());
        drop(session);
        assert!(turnstile.enter("prep", 1).is_some());
    }
}
