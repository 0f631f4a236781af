//! Many refusals, few lines: nothing a stranger does can fill the disk.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::{Entry, Kind, Ledger};

/// Counts refusals and writes one line per minute, reason and network. Clones share it.
#[derive(Clone, Debug)]
pub struct Refusals {
    ledger: Ledger,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// When the minute that is being counted began.
    began: Option<Timestamp>,
    groups: BTreeMap<(&'static str, Option<IpNet>), Group>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    addr: IpAddr,
}

impl Refusals {
    /// A counter that writes to `ledger`.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, table: Arc::default() }
    }

    /// Counts one refusal. `reason` is a word of ours, never of the peer's. Writes the
    /// lines of the minute before, if one has ended.
    pub fn count(&self, addr: IpAddr, reason: &'static str, now: Timestamp) -> io::Result<()> {
        let ended = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = table.take_if_ended(now);
            table.add(addr, reason, now);
            ended
        };
        self.write(ended)
    }

    /// Writes what was counted if its minute has ended. To be called now and then, so
    /// that the last refusals before a silence are written too.
    pub fn tick(&self, now: Timestamp) -> io::Result<()> {
        let ended = self.table.lock().unwrap_or_else(PoisonError::into_inner).take_if_ended(now);
        self.write(ended)
    }

    /// Writes what was counted, whether or not its minute has ended: at the stop.
    pub fn flush(&self) -> io::Result<()> {
        let all = self.table.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.write(all)
    }

    fn write(&self, entries: Vec<Entry>) -> io::Result<()> {
        entries.into_iter().try_for_each(|entry| self.ledger.note(entry))
    }
}

impl Table {
    fn add(&mut self, addr: IpAddr, reason: &'static str, now: Timestamp) {
        self.began.get_or_insert(now);
        let addr = addr.to_canonical();
        let mut key = (reason, Some(network(addr)));
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            key = (reason, None);
        }
        let new = Group { count: 0, first: now, last: now, addr };
        let group = self.groups.entry(key).or_insert(new);
        group.count += 1;
        group.last = now;
        group.addr = addr;
    }

    fn take_if_ended(&mut self, now: Timestamp) -> Vec<Entry> {
        // A clock that was set back must not hold the lines for hours.
        let ended = self.began.is_some_and(|began| now.duration_since(began).abs() >= WINDOW);
        if ended { self.take() } else { Vec::new() }
    }

    fn take(&mut self) -> Vec<Entry> {
        self.began = None;
        std::mem::take(&mut self.groups).into_iter().map(|((reason, net), g)| g.entry(reason, net)).collect()
    }
}

impl Group {
    fn entry(&self, reason: &str, net: Option<IpNet>) -> Entry {
        Entry::new(Kind::Refused)
            .with("reason", reason)
            .with("from", net.map_or_else(|| "elsewhere".to_owned(), |n| n.to_string()))
            .with("addr", self.addr)
            .with("count", self.count)
            .with("first", self.first)
            .with("last", self.last)
    }
}

/// The network an address is counted under: about one household or office.
fn network(addr: IpAddr) -> IpNet {
    let bits = if addr.is_ipv4() { IPV4_BITS } else { IPV6_BITS };
    IpNet::new_assert(addr, bits).trunc()
}

/// How long refusals are gathered before they become lines.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Lines a minute for single networks; further networks share one line a reason. At 250
/// bytes a line a whole day of flood writes 6 MB.
const GROUPS_MAX: usize = 16;
/// Length of the prefix that IPv4 addresses share a line by.
const IPV4_BITS: u8 = 24;
/// Length of the prefix that IPv6 addresses share a line by: a site's allocation.
const IPV6_BITS: u8 = 48;
