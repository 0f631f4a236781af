//! Who misbehaves is not listened to for a while.
//!
//! As OpenSSH's `PerSourcePenalties` (sshd_config(5)): each offence adds seconds to what a
//! source owes; nothing happens below a minimum, so that a slip costs nothing; time pays.
//! Bounded: of too many sources the one that owes least is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::sources::source;

/// What a peer did before it had proved anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It offered keys or passwords that nobody trusts.
    Proof,
    /// It did not finish in time.
    Grace,
    /// It broke the protocol.
    Breach,
    /// It connected and left.
    Nothing,
}

/// What offences cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// For [`Offence::Proof`].
    pub proof: Duration,
    /// For [`Offence::Grace`].
    pub grace: Duration,
    /// For [`Offence::Breach`].
    pub breach: Duration,
    /// For [`Offence::Nothing`].
    pub nothing: Duration,
    /// Who owes less is still listened to.
    pub min: Duration,
    /// Nobody owes more.
    pub max: Duration,
}

impl Default for Rates {
    /// OpenSSH's own.
    fn default() -> Self {
        Self {
            proof: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            breach: Duration::from_secs(90),
            nothing: Duration::from_secs(1),
            min: Duration::from_secs(15),
            max: Duration::from_secs(600),
        }
    }
}

impl Rates {
    fn of(&self, offence: Offence) -> Duration {
        match offence {
            Offence::Proof => self.proof,
            Offence::Grace => self.grace,
            Offence::Breach => self.breach,
            Offence::Nothing => self.nothing,
        }
    }
}

/// What every source owes.
#[derive(Debug, Default)]
pub(super) struct Penalties {
    rates: Rates,
    owed: HashMap<IpAddr, Debt>,
}

#[derive(Clone, Copy, Debug)]
struct Debt {
    until: Instant,
    /// Whether it ever came to the minimum; until it is paid then, nobody listens.
    banned: bool,
}

impl Penalties {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates, owed: HashMap::new() }
    }

    /// Adds to what the source of `addr` owes. True when it is banned from now on.
    pub(super) fn add(&mut self, addr: IpAddr, offence: Offence, now: Instant) -> bool {
        let source = source(addr);
        let cost = self.rates.of(offence);
        if cost.is_zero() {
            return false;
        }
        self.make_room(source, now);
        let debt = self.owed.entry(source).or_insert(Debt { until: now, banned: false });
        if debt.until < now {
            *debt = Debt { until: now, banned: false };
        }
        debt.until = (debt.until + cost).min(now + self.rates.max);
        let begins = !debt.banned && debt.until.duration_since(now) >= self.rates.min;
        debt.banned |= begins;
        begins
    }

    /// Whether the source of `addr` is listened to.
    pub(super) fn bans(&mut self, addr: IpAddr, now: Instant) -> bool {
        let source = source(addr);
        match self.owed.get(&source) {
            Some(debt) if debt.until <= now => {
                self.owed.remove(&source);
                false
            }
            Some(debt) => debt.banned,
            None => false,
        }
    }

    /// What the source of `addr` owes.
    pub(super) fn owes(&self, addr: IpAddr, now: Instant) -> Duration {
        self.owed.get(&source(addr)).map_or(Duration::ZERO, |debt| debt.until.saturating_duration_since(now))
    }

    /// Forgets what the source of `addr` owes.
    pub(super) fn forgive(&mut self, addr: IpAddr) {
        self.owed.remove(&source(addr));
    }

    /// How many sources are not listened to.
    pub(super) fn banned(&self, now: Instant) -> usize {
        self.owed.values().filter(|debt| debt.banned && debt.until > now).count()
    }

    fn make_room(&mut self, source: IpAddr, now: Instant) {
        if self.owed.len() < SOURCES_MAX || self.owed.contains_key(&source) {
            return;
        }
        self.owed.retain(|_, debt| debt.until > now);
        if self.owed.len() >= SOURCES_MAX
            && let Some(least) = self.owed.iter().min_by_key(|(_, debt)| debt.until).map(|(at, _)| *at)
        {
            self.owed.remove(&least);
        }
    }
}

/// 200 KB of memory.
const SOURCES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn offences_add_up_to_a_ban_and_time_pays() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let after = |secs| now + Duration::from_secs(secs);
        assert!(!penalties.add(addr(1), Offence::Proof, now) && !penalties.add(addr(1), Offence::Proof, now));
        assert!(!penalties.bans(addr(1), now), "two slips are nothing");
        assert!(penalties.add(addr(1), Offence::Proof, now), "the third makes fifteen seconds");
        assert!(penalties.bans(addr(1), after(14)) && !penalties.bans(addr(2), now));
        assert!(!penalties.add(addr(1), Offence::Grace, now), "it grows, and begins only once");
        assert!(penalties.bans(addr(1), after(24)) && !penalties.bans(addr(1), after(26)));
        assert_eq!(penalties.banned(now), 0, "forgotten when paid");
        penalties.add(addr(3), Offence::Proof, now);
        assert_eq!(penalties.owes(addr(3), after(1)), Duration::from_secs(4));
        penalties.forgive(addr(3));
        assert!(penalties.owes(addr(3), now).is_zero());
    }

    #[test]
    fn nobody_owes_more_than_the_maximum() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        (0..100).for_each(|_| _ = penalties.add(addr(1), Offence::Breach, now));
        assert!(penalties.bans(addr(1), now + Duration::from_secs(599)));
        assert!(!penalties.bans(addr(1), now + Duration::from_secs(601)));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        penalties.add(addr(0), Offence::Breach, now);
        (1..6_000).for_each(|n| _ = penalties.add(addr(n), Offence::Nothing, now));
        assert!(penalties.owed.len() <= SOURCES_MAX);
        assert!(penalties.bans(addr(0), now));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_source() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        penalties.add("2001:db8::1".parse().unwrap(), Offence::Breach, now);
        assert!(penalties.bans("2001:db8::2".parse().unwrap(), now));
        assert!(!penalties.bans("2001:db8:0:1::1".parse().unwrap(), now));
    }
}
