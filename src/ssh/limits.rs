//! Every bound of the door, and the turnstile that keeps the counts.
//!
//! Only trusted addresses come this far, so the bounds protect the institute from its
//! own runaway scripts and from whoever sits behind the same address. A connection that
//! stays silent gives way to a newcomer: a push gets through while hundreds of dead
//! connections hang on the same address. Who connects faster than its rate waits for its
//! turn without a byte. Where a key may come from anywhere, strangers come this far too:
//! of many of them newcomers are dropped at random (sshd_config(5), `MaxStartups`), and
//! never do they take the places of the institute's own addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::access::source;

/// The bounds of a door. The defaults are those of the threat model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that have not proved a key yet, in all.
    pub unauthenticated_max: usize,
    /// … and from one source (an IPv4 address, or an IPv6 /64).
    pub unauthenticated_per_source_max: usize,
    /// Sessions in all.
    pub sessions_max: usize,
    /// Sessions from one source.
    pub sessions_per_source_max: usize,
    /// Channels open at once in one session.
    pub channels_per_session_max: usize,
    /// From how many unauthenticated strangers on newcomers are dropped at random…
    pub startups: usize,
    /// … at first so many of a hundred, and all of them at three quarters of
    /// `unauthenticated_max`.
    pub startups_rate: u32,
    /// New connections a second from one source, in the long run; further ones wait. Each
    /// costs a key exchange (CVE-2002-20001): ssh-audit wants fewer than 20.
    pub connections_per_second: u32,
    /// … and at once.
    pub connections_burst: u32,
    /// From accept to the first program, authentication included.
    pub grace: Duration,
    /// Without a byte of channel data while it is the client's turn.
    pub idle: Duration,
    /// For a client to take what a program writes.
    pub write_timeout: Duration,
    /// Between signs of life that we ask for.
    pub keepalive: Duration,
    /// For running programs when the service stops.
    pub drain: Duration,
    /// Bytes a client may send ahead of the program, per channel. 8 MiB doubles the
    /// OpenSSH client's CPU time, 2 MiB costs a third of the speed at 40 ms.
    pub window_bytes: u32,
    /// Length of an exec request.
    pub command_bytes_max: usize,
    /// Between two reports of refusals.
    pub refusals_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unauthenticated_max: 64,
            unauthenticated_per_source_max: 4,
            sessions_max: 64,
            sessions_per_source_max: 8,
            channels_per_session_max: 8,
            startups: 10,
            startups_rate: 30,
            connections_per_second: 12,
            connections_burst: 8,
            grace: Duration::from_secs(20),
            idle: Duration::from_secs(600),
            write_timeout: Duration::from_secs(60),
            keepalive: Duration::from_secs(15),
            drain: Duration::from_secs(30),
            window_bytes: 4 * 1024 * 1024,
            command_bytes_max: 64 * 1024,
            refusals_every: Duration::from_secs(60),
        }
    }
}

/// Counts who is in, who knocks and who waits to knock.
#[derive(Debug)]
pub(super) struct Turnstile {
    limits: ArcSwap<Limits>,
    state: Mutex<State>,
    moved: Notify,
    /// A number below a hundred that nobody can foresee.
    dice: fn() -> u32,
}

/// A new connection, as the door knows it.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Where it comes from.
    pub(super) addr: IpAddr,
    /// Whether that is the institute's own address.
    pub(super) ours: bool,
    /// Becomes true with its first byte.
    pub(super) heard: Arc<AtomicBool>,
    /// Ends it.
    pub(super) cut: CancellationToken,
}

/// Why the turnstile did not turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Too many unauthenticated strangers.
    Startups,
    /// Too many sessions.
    Full,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    visits: HashMap<u64, Visit>,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug)]
struct Visit {
    source: IpAddr,
    ours: bool,
    since: Instant,
    phase: Phase,
    /// Whether it has said anything yet.
    heard: Arc<AtomicBool>,
    /// Ends it.
    cut: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For a place among those who knock.
    Waiting,
    /// Not authenticated.
    Knocking,
    Seated,
    /// Gave way; its connection is closing.
    Displaced,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Turnstile {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Self::with_dice(limits, dice)
    }

    fn with_dice(limits: Limits, dice: fn() -> u32) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            state: Mutex::default(),
            moved: Notify::new(),
            dice,
        })
    }

    /// Other bounds from now on. Who is in stays in.
    pub(super) fn set(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
        self.moved.notify_waiters();
    }

    /// A new connection. It may speak after [`Place::admitted`].
    pub(super) fn arrive(self: &Arc<Self>, arrival: Arrival, now: Instant) -> Result<Place, Shut> {
        let Arrival { addr, ours, heard, cut } = arrival;
        let source = source(addr);
        let limits = self.limits.load();
        let mut state = self.state();
        if !ours && (self.dice)() < state.early_drop(&limits) {
            return Err(Shut::Startups);
        }
        if state.is_full(source, &limits) {
            return Err(Shut::Full);
        }
        state.make_waiting_room(source, ours);
        let id = state.next;
        state.next += 1;
        state.visits.insert(id, Visit { source, ours, since: now, phase: Phase::Waiting, heard, cut });
        Ok(Place { turnstile: self.clone(), id })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    turnstile: Arc<Turnstile>,
    id: u64,
}

impl Place {
    /// Returns when it is this connection's turn to speak.
    pub(super) async fn admitted(&self) {
        loop {
            let moved = self.turnstile.moved.notified();
            if self.settle(Instant::now()) {
                return;
            }
            // Somebody may have become old enough to give way.
            let _ = tokio::time::timeout(RETRY, moved).await;
        }
    }

    /// The peer has proved its key.
    pub(super) fn seat(&self) -> Result<(), Shut> {
        let mut state = self.turnstile.state();
        let Some(source) = state.visits.get(&self.id).map(|visit| visit.source) else {
            return Err(Shut::Full);
        };
        if state.is_full(source, &self.turnstile.limits.load()) {
            return Err(Shut::Full);
        }
        if let Some(visit) = state.visits.get_mut(&self.id) {
            visit.phase = Phase::Seated;
        }
        drop(state);
        self.turnstile.moved.notify_waiters();
        Ok(())
    }

    /// Lets in whoever may come in; whether this one is among them.
    fn settle(&self, now: Instant) -> bool {
        let mut state = self.turnstile.state();
        if state.settle(&self.turnstile.limits.load(), now) {
            self.turnstile.moved.notify_waiters();
        }
        state.visits.get(&self.id).is_some_and(|visit| visit.phase == Phase::Knocking)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turnstile.state().visits.remove(&self.id);
        self.turnstile.moved.notify_waiters();
    }
}

impl State {
    fn count(&self, phase: Phase, source: Option<IpAddr>) -> usize {
        let counts = |visit: &&Visit| visit.phase == phase && source.is_none_or(|s| s == visit.source);
        self.visits.values().filter(counts).count()
    }

    fn is_full(&self, source: IpAddr, limits: &Limits) -> bool {
        self.count(Phase::Seated, Some(source)) >= limits.sessions_per_source_max
            || self.count(Phase::Seated, None) >= limits.sessions_max
    }

    /// Of a hundred strangers, how many are turned away now.
    fn early_drop(&self, limits: &Limits) -> u32 {
        let waits = |visit: &&Visit| !visit.ours && matches!(visit.phase, Phase::Waiting | Phase::Knocking);
        let here = self.visits.values().filter(waits).count();
        let full = (limits.unauthenticated_max * 3 / 4).max(1);
        if here >= full {
            return 100;
        }
        let Some(above) = here.checked_sub(limits.startups) else { return 0 };
        let span = full.saturating_sub(limits.startups).max(1);
        let steps = u32::try_from(above * 100 / span).unwrap_or(100);
        let rate = limits.startups_rate.min(100);
        rate + (100 - rate) * steps / 100
    }

    /// A token bucket per source. Full buckets are forgotten: they say nothing.
    fn take_token(&mut self, source: IpAddr, limits: &Limits, now: Instant) -> bool {
        let (rate, burst) = (f64::from(limits.connections_per_second), f64::from(limits.connections_burst));
        let level = |bucket: &Bucket| {
            (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(burst)
        };
        if self.buckets.len() >= BUCKETS_MAX {
            self.buckets.retain(|_, bucket| level(bucket) < burst);
        }
        if self.buckets.len() >= BUCKETS_MAX && !self.buckets.contains_key(&source) {
            return false;
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = level(bucket);
        bucket.at = now;
        let has_one = bucket.tokens >= 1.0;
        bucket.tokens -= if has_one { 1.0 } else { 0.0 };
        has_one
    }

    /// If too many wait, the one that waited longest goes: the newcomer is as likely to
    /// be the push as any of them, and it is the one whose sender still looks on. A stranger
    /// goes before the institute.
    fn make_waiting_room(&mut self, source: IpAddr, ours: bool) {
        if self.count(Phase::Waiting, Some(source)) >= WAITING_PER_SOURCE_MAX {
            self.displace(Some(source), |visit| visit.phase == Phase::Waiting);
        }
        if self.count(Phase::Waiting, None) >= WAITING_MAX {
            let waits = |visit: &Visit| visit.phase == Phase::Waiting;
            let _ = self.displace(None, |visit| waits(visit) && !visit.ours)
                || (ours && self.displace(None, waits));
        }
    }

    /// The institute's first, then youngest first, for the same reason. Returns whether
    /// anybody came in.
    fn settle(&mut self, limits: &Limits, now: Instant) -> bool {
        let mut waiting: Vec<_> = self.visits.iter().filter(|(_, v)| v.phase == Phase::Waiting).collect();
        waiting.sort_by_key(|(_, visit)| (std::cmp::Reverse(visit.ours), std::cmp::Reverse(visit.since)));
        let waiting: Vec<_> =
            waiting.into_iter().map(|(id, visit)| (*id, visit.source, visit.ours)).collect();
        let mut came_in = false;
        for (id, source, ours) in waiting {
            if !self.has_room(source, ours, limits, now) || !self.take_token(source, limits, now) {
                continue;
            }
            if let Some(visit) = self.visits.get_mut(&id) {
                visit.phase = Phase::Knocking;
                visit.since = now;
                came_in = true;
            }
        }
        came_in
    }

    /// Whether one more of `source` may knock, if need be in the place of somebody silent.
    fn has_room(&mut self, source: IpAddr, ours: bool, limits: &Limits, now: Instant) -> bool {
        let here = self.count(Phase::Knocking, Some(source)) < limits.unauthenticated_per_source_max
            || self.displace(Some(source), |visit| visit.gives_way(now));
        here && (self.count(Phase::Knocking, None) < limits.unauthenticated_max
            || self.displace(None, |visit| visit.gives_way(now) && (ours || !visit.ours)))
    }

    /// Ends the oldest visit of `source` (or of all) that `may` go.
    fn displace(&mut self, source: Option<IpAddr>, may: impl Fn(&Visit) -> bool) -> bool {
        let fits = |visit: &&mut Visit| source.is_none_or(|s| s == visit.source) && may(visit);
        let Some(oldest) = self.visits.values_mut().filter(fits).min_by_key(|visit| visit.since) else {
            return false;
        };
        oldest.phase = Phase::Displaced;
        oldest.cut.cancel();
        true
    }
}

impl Visit {
    /// Clients speak within a round trip; one that does not, or cannot finish, gives way.
    fn gives_way(&self, now: Instant) -> bool {
        let patience = if self.heard.load(Ordering::Relaxed) { PATIENCE } else { PATIENCE_SILENT };
        self.phase == Phase::Knocking && now.duration_since(self.since) >= patience
    }
}

/// Bits that nobody can foresee, without a generator of our own.
fn dice() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let bits = std::hash::RandomState::new().build_hasher().finish() % 100;
    u32::try_from(bits).unwrap_or(0)
}

/// A connection that has not sent its banner by now is dead or hostile (when others wait).
const PATIENCE_SILENT: Duration = Duration::from_millis(300);
/// Time to type a passphrase (when others wait).
const PATIENCE: Duration = Duration::from_secs(5);
/// How often those who wait look again.
const RETRY: Duration = Duration::from_millis(40);
/// A parallel client opens eight connections at once; twice that may wait.
const WAITING_PER_SOURCE_MAX: usize = 16;
/// A waiting connection costs a socket and nothing else.
const WAITING_MAX: usize = 128;
/// Trusted sources that connected within the last seconds.
const BUCKETS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Peer {
        place: Place,
        heard: Arc<AtomicBool>,
        cut: CancellationToken,
    }

    impl Peer {
        fn arrive(turnstile: &Arc<Turnstile>, addr: &str, now: Instant) -> Result<Self, Shut> {
            Self::come(turnstile, addr, true, now)
        }

        fn come(turnstile: &Arc<Turnstile>, addr: &str, ours: bool, now: Instant) -> Result<Self, Shut> {
            let (heard, cut) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
            let arrival =
                Arrival { addr: addr.parse().unwrap(), ours, heard: heard.clone(), cut: cut.clone() };
            Ok(Self { place: turnstile.arrive(arrival, now)?, heard, cut })
        }
    }

    fn turnstile() -> Arc<Turnstile> {
        Turnstile::new(Limits { connections_burst: 1000, ..Limits::default() })
    }

    fn later(ms: u64, from: Instant) -> Instant {
        from + Duration::from_millis(ms)
    }

    #[test]
    fn the_silent_give_way_to_a_newcomer_and_the_busy_do_not() {
        let (t, now) = (turnstile(), Instant::now());
        let peers: Vec<_> = (0..4).map(|_| Peer::arrive(&t, "10.0.0.1", now).unwrap()).collect();
        assert!(peers.iter().all(|p| p.place.settle(now)));
        for busy in &peers[1..] {
            busy.heard.store(true, Ordering::Relaxed);
        }
        let new = Peer::arrive(&t, "10.0.0.1", later(100, now)).unwrap();
        assert!(!new.place.settle(later(100, now)), "everybody gets a moment");
        assert!(new.place.settle(later(300, now)));
        assert!(peers[0].cut.is_cancelled() && !peers[1].cut.is_cancelled());
        let other = Peer::arrive(&t, "10.0.0.2", later(300, now)).unwrap();
        assert!(other.place.settle(later(300, now)), "another source has places of its own");
    }

    #[test]
    fn places_are_given_back() {
        let (t, now) = (turnstile(), Instant::now());
        let peers: Vec<_> = (0..5).map(|_| Peer::arrive(&t, "10.0.0.1", now).unwrap()).collect();
        let (inside, waiting): (Vec<_>, Vec<_>) = peers.into_iter().partition(|p| p.place.settle(now));
        assert_eq!((inside.len(), waiting.len()), (4, 1));
        drop(inside);
        assert!(waiting[0].place.settle(now));
    }

    #[test]
    fn sessions_of_one_source_are_bounded() {
        let (t, now) = (turnstile(), Instant::now());
        let seat = |addr| {
            let peer = Peer::arrive(&t, addr, now)?;
            assert!(peer.place.settle(now));
            peer.place.seat().map(|()| peer)
        };
        let seated: Vec<_> = (0..8).map(|_| seat("10.0.0.1").unwrap()).collect();
        assert_eq!(seat("10.0.0.1").map(|_| ()), Err(Shut::Full));
        assert!(seat("10.0.0.2").is_ok());
        drop(seated);
        assert!(seat("10.0.0.1").is_ok());
    }

    #[test]
    fn a_source_that_connects_too_fast_waits_for_its_turn() {
        let limits = Limits {
            connections_per_second: 10,
            connections_burst: 2,
            unauthenticated_per_source_max: 100,
            ..Limits::default()
        };
        let (t, now) = (Turnstile::new(limits), Instant::now());
        let arrive = |addr| Peer::arrive(&t, addr, now).unwrap();
        let [first, second] = ["2001:db8::1", "2001:db8::2"].map(arrive);
        let enters = |peer: &Peer, ms| peer.place.settle(later(ms, now));
        assert!(enters(&first, 0) && enters(&second, 0));
        let third = arrive("2001:db8::3");
        assert!(!enters(&third, 50), "a /64 is one source");
        assert!(enters(&arrive("2001:db8:1::1"), 50), "another one has its own rate");
        assert!(enters(&third, 100));
    }

    #[test]
    fn many_strangers_are_dropped_at_random_and_the_institute_is_not() {
        let limits = || Limits { connections_burst: 1000, ..Limits::default() };
        let addr = |n: usize| format!("198.51.100.{n}");
        let unlucky = Turnstile::with_dice(limits(), || 0);
        let now = Instant::now();
        let stays: Vec<_> = (0..10).map(|n| Peer::come(&unlucky, &addr(n), false, now).unwrap()).collect();
        assert_eq!(Peer::come(&unlucky, "192.0.2.1", false, now).map(|_| ()), Err(Shut::Startups));
        assert!(Peer::come(&unlucky, "192.0.2.1", true, now).is_ok());
        drop(stays);
        let lucky = Turnstile::with_dice(limits(), || 99);
        let stays: Vec<_> = (0..48).map(|n| Peer::come(&lucky, &addr(n), false, now).unwrap()).collect();
        assert!(stays.iter().all(|peer| peer.place.settle(now)));
        assert_eq!(Peer::come(&lucky, "192.0.2.1", false, now).map(|_| ()), Err(Shut::Startups));
        let ours = Peer::come(&lucky, "192.0.2.1", true, now).unwrap();
        assert!(ours.place.settle(now), "a quarter of the places is kept");
        assert!((0..100).map(|_| dice()).all(|n| n < 100));
    }

    #[test]
    fn of_too_many_who_wait_the_oldest_goes() {
        let (t, now) = (turnstile(), Instant::now());
        let peers: Vec<_> = (0..30).map(|i| Peer::arrive(&t, "10.0.0.1", later(i, now)).unwrap()).collect();
        assert_eq!(peers.iter().filter(|p| p.cut.is_cancelled()).count(), 14);
        assert!(peers[29].place.settle(later(30, now)) && !peers[25].place.settle(later(30, now)));
    }
}
