//! Counts who was turned away, so that a flood makes a line in the ledger and not a flood
//! of lines.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No current key may come from the address. Closed before the first byte.
    Stranger,
    /// The source connects too often. Closed before the first byte.
    Rate,
    /// Too many sessions of this source, or in all.
    Full,
    /// It gave way to a newcomer while it was silent or slow.
    Displaced,
    /// Not authenticated, or nothing asked for, within the grace time.
    Grace,
    /// A key that nobody trusts.
    UnknownKey,
    /// A trusted key from an address it may not come from.
    KeyAddress,
    /// A key whose time ran out.
    KeyExpired,
    /// A user name that is not in the list.
    User,
    /// An algorithm that is no longer safe.
    Algorithm,
}

/// How often one thing happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// From where; `None` gathers the addresses beyond the bound.
    pub addr: Option<IpAddr>,
    /// Why.
    pub why: Why,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The last time's particulars: user name and fingerprint of the key. The user name
    /// is a stranger's text, escaped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The counts since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    tallies: Mutex<HashMap<(Option<IpAddr>, Why), Tally>>,
}

impl Refusals {
    /// Counts one.
    pub(super) fn note(&self, addr: IpAddr, why: Why, detail: String, now: Timestamp) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tallies.contains_key(&(Some(addr), why)) || tallies.len() < TALLIES_MAX;
        let addr = known.then_some(addr);
        let tally = tallies.entry((addr, why)).or_insert(Tally {
            addr,
            why,
            count: 0,
            first: now,
            last: now,
            detail: String::new(),
        });
        tally.count += 1;
        tally.last = now;
        tally.detail = detail;
    }

    /// Takes the counts, by address.
    pub(super) fn take(&self) -> Vec<Tally> {
        let taken = std::mem::take(&mut *self.tallies.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tallies: Vec<_> = taken.into_values().collect();
        tallies.sort_by_key(|tally| (tally.addr, tally.why));
        tallies
    }
}

/// A minute's worth of scanners; whoever comes beyond is counted without address.
const TALLIES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_flood_is_counted_in_bounded_memory() {
        let refusals = Refusals::default();
        for n in 0..10_000u32 {
            let addr = Ipv4Addr::from_bits(n % 1000).into();
            refusals.note(addr, Why::Stranger, String::new(), Timestamp::UNIX_EPOCH);
        }
        let tallies = refusals.take();
        assert_eq!(tallies.len(), TALLIES_MAX + 1);
        assert_eq!(tallies.iter().map(|t| t.count).sum::<u64>(), 10_000);
        assert_eq!(tallies[0].addr, None);
        assert!(refusals.take().is_empty());
    }
}
