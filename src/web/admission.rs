//! Who may come in, and how fast: connections in all and of one address, new connections and
//! requests of one address, and what is shed when there are too many of everybody.
//!
//! An address is an IPv4 address or an IPv6 /64. Networks of the exempt list, such as those of a
//! distribution network or of the institute's monitor, have no bound but the last place of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::config::{OverRate, WebLimits};
use super::counts::Counts;
use super::pace::{Pace, Pacing};

/// The count of what is there and of what was turned away.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: ArcSwap<Bounds>,
    start: Instant,
    is_late: AtomicBool,
    open: Mutex<Open>,
    pub(super) counts: Arc<Counts>,
}

/// What was configured, made ready for use.
#[derive(Debug)]
struct Bounds {
    places: Places,
    address_max: usize,
    connections: Pacing,
    requests: Pacing,
    over_rate: OverRate,
    exempt: Vec<IpNet>,
}

impl Bounds {
    fn new(total: usize, limits: &WebLimits) -> Self {
        let places = Places { served: total - total / 16, told: total - total / 32, all: total };
        Self {
            places,
            address_max: limits.connections_per_address,
            connections: Pacing::new(limits.new_connections),
            requests: Pacing::new(limits.requests),
            over_rate: limits.over_rate,
            exempt: limits.exempt.clone(),
        }
    }
}

/// Up to which number of open connections a stranger is served, is told to come back, and anybody is
/// taken at all.
#[derive(Clone, Copy, Debug)]
struct Places {
    served: usize,
    told: usize,
    all: usize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    sources: HashMap<IpAddr, Arc<Source>>,
    sweep_at: usize,
}

/// One address: what it holds and what it has taken lately.
#[derive(Debug, Default)]
struct Source {
    open: AtomicUsize,
    connections: Pace,
    requests: Pace,
}

impl Source {
    fn is_forgettable(&self, now: u64) -> bool {
        self.open.load(Ordering::Relaxed) == 0
            && self.connections.is_rested(now)
            && self.requests.is_rested(now)
    }
}

/// Leave to hold one connection.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    source: Arc<Source>,
    standing: Standing,
}

/// What a connection may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Every answer.
    Exempt,
    /// Answers at the pace of its address.
    Paced,
    /// To be told to come back: there are too many.
    Spare,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Its answer.
    Now,
    /// Its answer, after this.
    After(Duration),
    /// 429, and when to come back.
    TooFast(Duration),
    /// 503: there are too many of everybody.
    Shed,
}

impl Admission {
    /// Bounds as configured; `total` is what the descriptors allow.
    pub(super) fn new(total: usize, limits: &WebLimits) -> Arc<Self> {
        Arc::new(Self {
            bounds: ArcSwap::from_pointee(Bounds::new(total, limits)),
            start: Instant::now(),
            is_late: AtomicBool::new(false),
            open: Mutex::default(),
            counts: Arc::default(),
        })
    }

    /// Other bounds from now on. Who is in stays in.
    pub(super) fn set(&self, total: usize, limits: &WebLimits) {
        self.bounds.store(Arc::new(Bounds::new(total, limits)));
    }

    /// Leave for a connection from this address, unless there are too many.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Permit> {
        let peer = peer.to_canonical();
        let bounds = self.bounds.load();
        let is_exempt = bounds.exempt.iter().any(|net| net.contains(&peer));
        let now = self.now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let places = if is_exempt { bounds.places.all } else { bounds.places.told };
        if open.total >= places {
            Counts::add(&self.counts.over_total);
            return None;
        }
        let source = open.source(key(peer), now);
        if !is_exempt {
            if source.open.load(Ordering::Relaxed) >= bounds.address_max {
                Counts::add(&self.counts.over_address);
                return None;
            }
            if source.connections.take(bounds.connections, now, Duration::ZERO).is_err() {
                Counts::add(&self.counts.over_new_connections);
                return None;
            }
        }
        let is_full = open.total >= bounds.places.served || self.is_late.load(Ordering::Relaxed);
        let standing = match (is_exempt, is_full) {
            (true, _) => Standing::Exempt,
            (false, true) => Standing::Spare,
            (false, false) => Standing::Paced,
        };
        source.open.fetch_add(1, Ordering::Relaxed);
        open.total += 1;
        drop(open);
        Counts::add(&self.counts.accepted);
        Some(Permit { admission: Arc::clone(self), source, standing })
    }

    /// Connections at this moment.
    pub(super) fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Says how late the runtime is with its timers: strangers who come while it is too late are shed.
    pub(super) fn note_lag(&self, is_late: bool) {
        self.is_late.store(is_late, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Feels the pulse of the runtime until `stop`: how late it is with a timer is how long a request
/// waits for its turn. Zero never sheds.
pub(super) async fn pulse(admission: Arc<Admission>, late_from: Duration, stop: CancellationToken) {
    if late_from.is_zero() {
        return;
    }
    loop {
        let due = tokio::time::Instant::now() + BEAT;
        if stop.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
            return;
        }
        admission.note_lag(due.elapsed() >= late_from);
    }
}

impl Open {
    /// The source of an address, known or new. Beyond the bound a new one is not remembered, and
    /// such an address has only the bound in all: better than to turn away whom we cannot tell apart.
    fn source(&mut self, key: IpAddr, now: u64) -> Arc<Source> {
        if let Some(source) = self.sources.get(&key) {
            return Arc::clone(source);
        }
        if self.sources.len() >= self.sweep_at.max(SOURCES_SWEPT_FROM) {
            self.sources.retain(|_, source| !source.is_forgettable(now));
            // Twice what is left, so that a sweep is paid for by as many newcomers.
            self.sweep_at = (self.sources.len() * 2).min(SOURCES_MAX);
        }
        let source = Arc::<Source>::default();
        if self.sources.len() < SOURCES_MAX {
            self.sources.insert(key, Arc::clone(&source));
        }
        source
    }
}

impl Permit {
    /// What the next request on this connection gets.
    pub(super) fn request(&self) -> Leave {
        let admission = &self.admission;
        let counts = &admission.counts;
        Counts::add(&counts.requests);
        match self.standing {
            Standing::Exempt => return Leave::Now,
            Standing::Spare => {
                Counts::add(&counts.shed);
                return Leave::Shed;
            }
            Standing::Paced => {}
        }
        let bounds = admission.bounds.load();
        let patience = match bounds.over_rate {
            OverRate::Delay => DELAY_MAX,
            OverRate::Log | OverRate::Refuse => Duration::ZERO,
        };
        match (self.source.requests.take(bounds.requests, admission.now(), patience), bounds.over_rate) {
            (Ok(Duration::ZERO), _) => Leave::Now,
            (Ok(wait), _) => {
                Counts::add(&counts.delayed);
                Leave::After(wait)
            }
            (Err(_), OverRate::Log) => {
                Counts::add(&counts.over_requests);
                Leave::Now
            }
            (Err(wait), OverRate::Delay | OverRate::Refuse) => {
                Counts::add(&counts.over_requests);
                Leave::TooFast(wait)
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.source.open.fetch_sub(1, Ordering::Relaxed);
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
    }
}

/// Whom an address stands for: a subscriber's IPv6 prefix is one reader, however many
/// addresses it makes up.
fn key(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// How often the pulse is felt.
const BEAT: Duration = Duration::from_millis(50);
/// Addresses remembered at once: 10 MB.
const SOURCES_MAX: usize = 1 << 16;
/// Below this nobody looks for addresses to forget.
const SOURCES_SWEPT_FROM: usize = 1 << 10;
/// Longest time that a request waits for its turn.
const DELAY_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::config::Rate;
    use super::*;

    const UNBOUND: Rate = Rate { per_second: 0, burst: 0 };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(per_address: usize) -> WebLimits {
        let exempt = vec!["192.0.2.0/24".parse().unwrap()];
        let (new_connections, requests) = (UNBOUND, UNBOUND);
        WebLimits {
            connections_per_address: per_address,
            exempt,
            new_connections,
            requests,
            ..WebLimits::default()
        }
    }

    #[test]
    fn one_address_does_not_take_the_place_of_another() {
        let admission = Admission::new(6, &limits(2));
        let first = admission.admit(ip("203.0.113.1")).unwrap();
        let _second = admission.admit(ip("::ffff:203.0.113.1")).unwrap();
        assert!(admission.admit(ip("203.0.113.1")).is_none());
        let _other = admission.admit(ip("203.0.113.2")).unwrap();
        drop(first);
        let _again = admission.admit(ip("203.0.113.1")).unwrap();
        let _exempt: Vec<_> = (0..3).map(|_| admission.admit(ip("192.0.2.9")).unwrap()).collect();
        assert!(admission.admit(ip("203.0.113.3")).is_none());
        assert_eq!(admission.counts.over_total.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_prefix_of_ipv6_is_one_reader() {
        let admission = Admission::new(9, &limits(1));
        let _one = admission.admit(ip("2001:db8:1:2::1")).unwrap();
        assert!(admission.admit(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(admission.admit(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn the_last_places_are_for_telling_strangers_and_for_the_exempt() {
        let admission = Admission::new(64, &limits(64));
        let mut held: Vec<_> = (0..60).map(|_| admission.admit(ip("203.0.113.1")).unwrap()).collect();
        assert!(held.iter().all(|p| p.request() == Leave::Now));
        held.extend((0..2).map(|_| admission.admit(ip("203.0.113.2")).unwrap()));
        assert_eq!(held.last().map(Permit::request), Some(Leave::Shed));
        assert!(admission.admit(ip("203.0.113.3")).is_none());
        let exempt: Vec<_> = (0..2).map(|_| admission.admit(ip("192.0.2.9")).unwrap()).collect();
        assert!(exempt.iter().all(|p| p.request() == Leave::Now));
        assert!(admission.admit(ip("192.0.2.9")).is_none());
        drop(held);
        assert_eq!(admission.open(), 2);
    }

    #[test]
    fn a_runtime_that_is_late_sheds_strangers_who_come_meanwhile() {
        let admission = Admission::new(64, &limits(64));
        let before = admission.admit(ip("203.0.113.1")).unwrap();
        admission.note_lag(true);
        let (during, exempt) =
            (admission.admit(ip("203.0.113.2")).unwrap(), admission.admit(ip("192.0.2.1")).unwrap());
        assert_eq!(
            (before.request(), during.request(), exempt.request()),
            (Leave::Now, Leave::Shed, Leave::Now)
        );
        admission.note_lag(false);
        assert_eq!(admission.admit(ip("203.0.113.2")).unwrap().request(), Leave::Now);
    }

    #[test]
    fn requests_of_one_address_go_at_its_pace_over_all_its_connections() {
        let slow = Rate { per_second: 1, burst: 4 };
        for (over_rate, expected) in [
            (OverRate::Log, [Leave::Now, Leave::Now]),
            (OverRate::Refuse, [Leave::TooFast(NONE), Leave::TooFast(NONE)]),
            (OverRate::Delay, [Leave::After(NONE), Leave::TooFast(NONE)]),
        ] {
            let limits = WebLimits { requests: slow, over_rate, ..limits(64) };
            let admission = Admission::new(64, &limits);
            let held: Vec<_> = (0..6).map(|_| admission.admit(ip("203.0.113.1")).unwrap()).collect();
            let leaves: Vec<_> = held.iter().map(|p| timeless(p.request())).collect();
            assert_eq!(leaves[..4], [Leave::Now; 4]);
            assert_eq!(leaves[4..], expected, "{over_rate:?}");
            let exempt = admission.admit(ip("192.0.2.1")).unwrap();
            assert!((0..100).all(|_| exempt.request() == Leave::Now));
            assert_eq!(admission.admit(ip("203.0.113.2")).unwrap().request(), Leave::Now);
        }
    }

    #[test]
    fn new_connections_of_one_address_have_a_pace_too() {
        let limits = WebLimits { new_connections: Rate { per_second: 1, burst: 3 }, ..limits(64) };
        let admission = Admission::new(64, &limits);
        assert!((0..3).all(|_| admission.admit(ip("203.0.113.1")).is_some()));
        assert!(admission.admit(ip("203.0.113.1")).is_none());
        assert!(admission.admit(ip("203.0.113.2")).is_some());
        assert_eq!(admission.counts.over_new_connections.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn addresses_that_came_once_are_forgotten() {
        let admission = Admission::new(64, &limits(64));
        for n in 0..100_000_u32 {
            drop(admission.admit(IpAddr::V4((0x0B00_0000 + n).into())));
        }
        let open = admission.open.lock().unwrap();
        assert!(open.sources.len() <= SOURCES_SWEPT_FROM, "{}", open.sources.len());
    }

    const NONE: Duration = Duration::ZERO;

    /// The same without the time, which depends on the machine.
    fn timeless(leave: Leave) -> Leave {
        match leave {
            Leave::After(_) => Leave::After(NONE),
            Leave::TooFast(_) => Leave::TooFast(NONE),
            other => other,
        }
    }
}
