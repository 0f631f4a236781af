//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// The count of what is there and of what was turned away.
#[derive(Debug)]
pub(super) struct Admission {
    total_max: usize,
    address_max: usize,
    exempt: Vec<IpNet>,
    open: Mutex<Open>,
    pub(super) counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What was turned away or cut, by reason, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections taken.
    pub accepted: AtomicU64,
    /// Turned away: too many in all.
    pub over_total: AtomicU64,
    /// Turned away: too many of one address.
    pub over_address: AtomicU64,
    /// Cut: no TLS handshake in time, or a failed one.
    pub handshake: AtomicU64,
    /// Cut: a request that did not end.
    pub slow_head: AtomicU64,
    /// Cut: a response that was not read.
    pub stalled: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Leave to hold one connection.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    key: IpAddr,
}

impl Admission {
    pub(super) fn new(total_max: usize, address_max: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        let (open, counts) = (Mutex::default(), Arc::default());
        Arc::new(Self { total_max, address_max, exempt, open, counts })
    }

    /// Leave for a connection from this address, unless there are too many.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Permit> {
        let peer = peer.to_canonical();
        let key = key(peer);
        let is_exempt = self.exempt.iter().any(|net| net.contains(&peer));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.total_max {
            Counts::add(&self.counts.over_total);
            return None;
        }
        let count = open.by_address.entry(key).or_default();
        if *count >= self.address_max && !is_exempt {
            Counts::add(&self.counts.over_address);
            return None;
        }
        *count += 1;
        open.total += 1;
        Counts::add(&self.counts.accepted);
        Some(Permit { admission: Arc::clone(self), key })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.key);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_take_the_place_of_another() {
        let admission = Admission::new(6, 2, vec!["192.0.2.0/24".parse().unwrap()]);
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
        let admission = Admission::new(9, 1, Vec::new());
        let _one = admission.admit(ip("2001:db8:1:2::1")).unwrap();
        assert!(admission.admit(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(admission.admit(ip("2001:db8:1:3::1")).is_some());
    }
}
