//! Who a reader is: the address behind proxies, how much of it is kept, the key that stands for address
//! and agent, and the class.
//!
//! The key is SipHash-2-4 of the whole address and the agent under a secret of this instance. The log holds
//! the key beside the truncated address, so that visitors can be counted again from the log alone, and nobody
//! without the secret can try addresses out. The secret is made anew when the log that it was used for is past
//! its retention.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError};
use ipnet::IpNet;
use jiff::Timestamp;
use siphasher::sip::SipHasher24;

use super::query::Class;
use crate::durable::Dir;

/// Numbers that are hashes already.
pub(super) type Keyed<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

/// A hasher for keys that are hashes already.
#[derive(Debug, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// How much of an address is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// The /24 or the /48 it lies in.
    #[default]
    Truncated,
    /// All of it: personal data, which the privacy notice must name.
    Full,
}

impl Addresses {
    pub(super) fn keep(self, address: IpAddr) -> IpAddr {
        match (self, address) {
            (Self::Full, address) => address,
            (Self::Truncated, IpAddr::V4(v4)) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xFF)),
            (Self::Truncated, IpAddr::V6(v6)) => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48)))
            }
        }
    }
}

/// The reader's address: the peer, or what the proxies that we name say of it. They write behind what is
/// there, so the last address that is none of them is the reader's (RFC 7239 §5.2 has the same order).
pub(super) fn client(peer: IpAddr, forwarded: &[u8], proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut client = peer;
    let Ok(forwarded) = std::str::from_utf8(forwarded) else { return client };
    let mut hops = forwarded.rsplit(',').map(str::trim);
    while is_proxy(&client) {
        // What cannot be read was not written by a proxy of ours.
        let Some(hop) = hops.next().and_then(parse_hop) else { break };
        client = hop;
    }
    client
}

/// `203.0.113.7`, `203.0.113.7:4711`, `[2001:db8::1]:4711`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse().map(|a: std::net::SocketAddr| a.ip()).ok());
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bare).map(|a: IpAddr| a.to_canonical())
}

/// Who is no reader.
#[derive(Clone, Debug)]
pub struct Classes {
    /// The difusor's own networks.
    pub internal: Vec<IpNet>,
    /// Addresses of the institute's checker and of whoever else watches.
    pub monitors: Vec<IpNet>,
    /// Their agents, in part; our own probe's is among them.
    pub monitor_agents: Vec<String>,
    /// Robots.
    pub robots: Robots,
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            internal: Vec::new(),
            monitors: Vec::new(),
            monitor_agents: vec!["difusor".to_owned()],
            robots: Robots::default(),
        }
    }
}

impl Classes {
    /// The class of a reader. Whoever watches is a monitor wherever it stands.
    pub(super) fn of(&self, address: IpAddr, agent: &[u8]) -> Class {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        let is_named = |part: &String| memchr::memmem::find(agent, part.as_bytes()).is_some();
        if within(&self.monitors) || self.monitor_agents.iter().any(is_named) {
            Class::Monitor
        } else if within(&self.internal) {
            Class::Internal
        } else if self.robots.names(agent) {
            Class::Robot
        } else {
            Class::Human
        }
    }
}

/// Agents that are no people's.
#[derive(Clone, Debug)]
pub struct Robots {
    parts: Option<AhoCorasick>,
    /// What looks like one and is none: a telephone is called Cubot.
    except: Option<AhoCorasick>,
}

impl Default for Robots {
    fn default() -> Self {
        // The list is ours and is read by a test; none takes everybody for a person.
        Self::parse(LIST).unwrap_or(Self { parts: None, except: None })
    }
}

impl Robots {
    /// A list of parts of agents, one a line; case does not matter, `!` excepts agents, `#` begins a remark.
    pub fn parse(list: &str) -> Result<Self, BuildError> {
        let lines = list.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty());
        let (except, parts): (Vec<&str>, Vec<&str>) = lines.partition(|l| l.starts_with('!'));
        let except: Vec<&str> = except.iter().map(|l| l.trim_start_matches('!')).collect();
        let build = |parts: &[&str]| {
            let found = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(parts);
            found.map(|found| Some(found).filter(|_| !parts.is_empty()))
        };
        Ok(Self { parts: build(&parts)?, except: build(&except)? })
    }

    /// Whether this is a robot's. Browsers always say who they are.
    fn names(&self, agent: &[u8]) -> bool {
        let has = |parts: &Option<AhoCorasick>| parts.as_ref().is_some_and(|parts| parts.is_match(agent));
        agent.is_empty() || (has(&self.parts) && !has(&self.except))
    }
}

/// The secret under which readers are counted.
#[derive(Clone, Debug)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// The key of this instance, made if there is none, or if it is older than the log is kept. Beside the
    /// statistics, for its owner only.
    pub(super) fn open(stats: &Dir, keep: Duration, now: Timestamp) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let made = stats.stat(KEY_FILE).ok().and_then(|stat| Timestamp::from_second(stat.st_mtime).ok());
        let age = made.map(|made| now.duration_since(made).unsigned_abs());
        let is_spent = !keep.is_zero() && age.is_some_and(|age| age > keep);
        let held = if is_spent { Err(io::ErrorKind::NotFound.into()) } else { stats.read(KEY_FILE, 64) };
        match held {
            Ok(bytes) => {
                let key = bytes.try_into().map_err(|_| io::Error::other("visitor.key has not 16 bytes"))?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 16];
                aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
                stats.write_atomic(KEY_FILE, &key)?;
                stats.open_file(KEY_FILE)?.set_permissions(PermissionsExt::from_mode(0o600))?;
                Ok(Self(key))
            }
            Err(error) => Err(error),
        }
    }

    #[cfg(test)]
    pub(super) fn of(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// What stands for this reader.
    pub(super) fn visitor(&self, address: IpAddr, agent: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.write(agent);
        hasher.finish()
    }
}

/// Where the secret lies.
pub(super) const KEY_FILE: &str = "visitor.key";
/// The list that comes with the program.
const LIST: &str = include_str!("robots.txt");

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_named_proxies_are_believed_and_only_about_their_own_peers() {
        let proxies: Vec<IpNet> =
            ["198.51.100.0/24", "2001:db8:1::/48"].iter().map(|n| n.parse().unwrap()).collect();
        for (peer, forwarded, expected) in [
            ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
            ("198.51.100.1", "", "198.51.100.1"),
            ("198.51.100.1", "203.0.113.7", "203.0.113.7"),
            ("198.51.100.1", "9.9.9.9, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1", "9.9.9.9,203.0.113.7, 198.51.100.2", "203.0.113.7"),
            ("198.51.100.1", "9.9.9.9, unknown", "198.51.100.1"),
            ("198.51.100.1", "unknown, 203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8:1::5", "[2001:db8:9::1]:443", "2001:db8:9::1"),
            ("198.51.100.1", "::ffff:203.0.113.7", "203.0.113.7"),
            ("198.51.100.1", "198.51.100.2", "198.51.100.2"),
        ] {
            assert_eq!(client(ip(peer), forwarded.as_bytes(), &proxies), ip(expected), "{forwarded}");
        }
    }

    #[test]
    fn truncated_addresses_are_networks() {
        for (whole, kept) in [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2:3::4", "2001:db8:1::")] {
            assert_eq!(Addresses::Truncated.keep(ip(whole)), ip(kept));
            assert_eq!(Addresses::Full.keep(ip(whole)), ip(whole));
        }
    }

    #[test]
    fn classes_go_by_address_and_agent() {
        let classes = Classes {
            internal: vec!["10.0.0.0/8".parse().unwrap()],
            monitors: vec!["192.0.2.7/32".parse().unwrap()],
            ..Classes::default()
        };
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
        for (address, agent, class) in [
            ("203.0.113.1", chrome, Class::Human),
            (
                "203.0.113.1",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
                Class::Human,
            ),
            (
                "203.0.113.1",
                "Mozilla/5.0 (compatible; GoogleBot/2.1; +http://www.google.com/bot.html)",
                Class::Robot,
            ),
            ("203.0.113.1", "Mozilla/5.0 AppleWebKit/537.36; compatible; GPTBot/1.2", Class::Robot),
            ("203.0.113.1", "python-requests/2.31", Class::Robot),
            ("203.0.113.1", "curl/8.5.0", Class::Robot),
            ("203.0.113.1", "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/96", Class::Human),
            ("203.0.113.1", "", Class::Robot),
            ("10.1.2.3", chrome, Class::Internal),
            ("192.0.2.7", "python-requests/2.31", Class::Monitor),
            ("10.1.2.3", "difusor-probe/1", Class::Monitor),
        ] {
            assert_eq!(classes.of(ip(address), agent.as_bytes()), class, "{agent}");
        }
    }

    #[test]
    fn a_list_of_robots_can_be_replaced() {
        let robots = Robots::parse("# ours\n  RaspaDatos # a scraper\n\n").unwrap();
        assert!(robots.names(b"x raspadatos/1") && !robots.names(b"Googlebot") && !robots.names(b"# ours"));
    }

    #[test]
    fn a_visitor_is_an_address_with_an_agent_under_a_secret() {
        let key = Key::of([1; 16]);
        let one = key.visitor(ip("203.0.113.1"), b"a");
        assert_eq!(one, key.visitor(ip("203.0.113.1"), b"a"));
        let others = [
            key.visitor(ip("203.0.113.2"), b"a"),
            key.visitor(ip("203.0.113.1"), b"b"),
            Key::of([2; 16]).visitor(ip("203.0.113.1"), b"a"),
        ];
        assert!(others.iter().all(|other| *other != one));
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::create(scratch.path()).unwrap();
        let day = Duration::from_secs(86_400);
        let now = crate::clock::Clock::system().now();
        let (made, read) = (Key::open(&dir, day, now).unwrap(), Key::open(&dir, day, now).unwrap());
        assert_eq!(made.0, read.0);
        assert_ne!(made.0, [0; 16]);
        let later = Key::open(&dir, day, now + 2 * day).unwrap();
        assert_ne!(later.0, made.0, "what nobody may read any more is not counted under its key");
    }
}
