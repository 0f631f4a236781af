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
    /// The address is in none of the trusted networks. Closed before the first byte.
    Network,
    /// No current key may come from the address. Closed before the first byte.
    Stranger,
    /// It misbehaved before and must wait. Closed before the first byte.
    Penalty,
    /// A balancer did not say who is behind it. Closed before the first byte.
    Proxy,
    /// The source connects too often: it gave way while it waited. Closed before the first byte.
    Rate,
    /// One of many that are not authenticated, dropped at random. Closed before the first byte.
    Startups,
    /// Too many sessions of this source, or in all.
    Full,
    /// It gave way to a newcomer while it was silent or slow.
    Displaced,
    /// Not authenticated, or nothing asked for, within the grace time.
    Grace,
    /// It broke the protocol.
    Protocol,
    /// It and we have no algorithm in common.
    NoCommonAlgorithm,
    /// A key that nobody trusts.
    UnknownKey,
    /// A trusted key from an address it may not come from.
    KeyAddress,
    /// A key whose time ran out.
    KeyExpired,
    /// A certificate of an authority that nobody trusts.
    UnknownAuthority,
    /// A certificate of a trusted authority that does not fit (type, time, principals, address, options).
    Certificate,
    /// A security key that was not touched, or did not ask for its PIN.
    Presence,
    /// A wrong password, or one from where none is taken.
    Password,
    /// A user name that is not in the list.
    User,
    /// An algorithm that is no longer safe.
    Algorithm,
}

impl Why {
    /// The word for ledgers and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Stranger => "stranger",
            Self::Penalty => "penalty",
            Self::Proxy => "proxy",
            Self::Rate => "rate",
            Self::Startups => "startups",
            Self::Full => "full",
            Self::Displaced => "displaced",
            Self::Grace => "grace",
            Self::Protocol => "protocol",
            Self::NoCommonAlgorithm => "no_common_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::KeyAddress => "key_address",
            Self::KeyExpired => "key_expired",
            Self::UnknownAuthority => "unknown_authority",
            Self::Certificate => "certificate",
            Self::Presence => "presence",
            Self::Password => "password",
            Self::User => "user",
            Self::Algorithm => "algorithm",
        }
    }
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

/// Lines a minute for single addresses; whoever comes beyond shares one line a reason. At 300
/// bytes a line a whole day of flood writes 20 MB.
const TALLIES_MAX: usize = 32;

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
