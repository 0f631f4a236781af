//! The addresses a key may come from: the value of `from="…"`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::fault::Wrong;

/// A list of addresses, networks and exclusions, as OpenSSH reads it
/// (sshd(8), AUTHORIZED_KEYS FILE FORMAT, `from=`), but without names: a decision
/// about trust must not hang on a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    text: String,
    rules: Vec<Rule>,
}

impl Sources {
    /// Reads a list separated by commas. Blanks around its parts are allowed.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let rules = text.split(',').map(|part| Rule::parse(part.trim())).collect::<Result<Vec<_>, _>>()?;
        if rules.iter().all(|rule| rule.sense == Sense::Excluded) {
            return Err(Wrong::OnlyNegations);
        }
        Ok(Self { text: text.to_owned(), rules })
    }

    /// Whether they are few enough to name somebody: nothing in them includes everybody.
    pub fn name_somebody(&self) -> bool {
        let everybody = |rule: &Rule| match &rule.pattern {
            Pattern::Net(net) => net.prefix_len() == 0,
            Pattern::Glob(glob) => glob.chars().all(|c| matches!(c, '*' | '?' | '.' | ':')),
        };
        !self.rules.iter().any(|rule| rule.sense == Sense::Included && everybody(rule))
    }

    /// Whether `addr` may come: something includes it and nothing excludes it, in
    /// whatever order they stand.
    pub fn allows(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let hit = |sense| self.rules.iter().any(|rule| rule.sense == sense && rule.pattern.matches(addr));
        hit(Sense::Included) && !hit(Sense::Excluded)
    }
}

impl Sources {
    /// The networks that it names and those that it excludes, for who writes rules of a firewall;
    /// patterns with `*` and `?` are in neither.
    pub fn networks(&self) -> (Vec<IpNet>, Vec<IpNet>) {
        let of = |sense| {
            let rules = self.rules.iter().filter(move |rule| rule.sense == sense);
            let nets = rules.filter_map(|rule| match &rule.pattern {
                Pattern::Net(net) => Some(*net),
                Pattern::Glob(_) => None,
            });
            nets.collect()
        };
        (of(Sense::Included), of(Sense::Excluded))
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What counts as one source: whoever has an IPv6 address has a /64 of them.
pub fn source(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Included,
    Excluded,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    sense: Sense,
    pattern: Pattern,
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let (sense, body) = match text.strip_prefix('!') {
            Some(body) => (Sense::Excluded, body),
            None => (Sense::Included, text),
        };
        Ok(Self { sense, pattern: Pattern::parse(body)? })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// An address is a network of full length.
    Net(IpNet),
    /// `*` and `?` over the address as it is written.
    Glob(String),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Ok(addr) = text.parse::<IpAddr>() {
            return Ok(Self::Net(addr.to_canonical().into()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            let network = net.trunc();
            if net.addr() != network.addr() {
                return Err(Wrong::HostBits { given: text.to_owned(), network: network.to_string() });
            }
            return Ok(Self::Net(canonical(network)));
        }
        let wild = |c| matches!(c, '*' | '?');
        let v4 = |c: char| c.is_ascii_digit() || c == '.' || wild(c);
        let v6 = |c: char| c.is_ascii_hexdigit() || c == ':' || wild(c);
        if text.contains(wild) && (text.chars().all(v4) || (text.contains(':') && text.chars().all(v6))) {
            return Ok(Self::Glob(text.to_ascii_lowercase()));
        }
        let name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.') || wild(c);
        if text.chars().any(char::is_alphabetic) && text.chars().all(name) {
            return Err(Wrong::HostName(text.to_owned()));
        }
        Err(Wrong::BadAddress(text.to_owned()))
    }

    fn matches(&self, addr: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&addr),
            Self::Glob(glob) => glob_matches(glob.as_bytes(), addr.to_string().as_bytes()),
        }
    }
}

/// A network of v4-mapped addresses is the v4 network: peers are compared unmapped.
pub(super) fn canonical(net: IpNet) -> IpNet {
    let mapped = match net.addr() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    mapped
        .zip(net.prefix_len().checked_sub(96))
        .and_then(|(v4, len)| IpNet::new(v4.into(), len).ok())
        .unwrap_or(net)
}

/// Both are at most a few dozen bytes long, so going back is cheap.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob_matches(rest, text) || text.split_first().is_some_and(|(_, t)| glob_matches(glob, t))
        }
        (Some((b'?', rest)), Some((_, t))) => glob_matches(rest, t),
        (Some((a, rest)), Some((b, t))) => a == b && glob_matches(rest, t),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, addr: &str) -> bool {
        Sources::parse(list).unwrap().allows(addr.parse().unwrap())
    }

    #[test]
    fn networks_addresses_and_exclusions_are_read_as_openssh_does() {
        assert!(allows("192.0.2.0/24,2001:db8::/32", "192.0.2.9"));
        assert!(allows("192.0.2.0/24,2001:db8::/32", "2001:db8::1"));
        assert!(!allows("192.0.2.0/24", "192.0.3.1"));
        assert!(!allows("!192.0.2.5,192.0.2.0/24", "192.0.2.5"));
        assert!(!allows("*,!192.0.2.0/24", "192.0.2.5"), "an exclusion counts wherever it stands");
        assert!(allows("*,!192.0.2.0/24", "198.51.100.1") && allows("*", "::1"));
        assert!(allows("192.0.2.*", "192.0.2.77") && !allows("192.0.2.*", "192.0.20.7"));
        assert!(allows("10.0.0.?", "10.0.0.7") && !allows("10.0.0.?", "10.0.0.77"));
    }

    #[test]
    fn mapped_addresses_are_the_addresses_they_map() {
        assert!(allows("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(allows("::ffff:192.0.2.7", "192.0.2.7"));
        assert!(allows("::ffff:192.0.2.0/120", "192.0.2.7"));
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_its_reason() {
        let wrong = |list| Sources::parse(list).unwrap_err();
        assert_eq!(wrong("prep.example.mx"), Wrong::HostName("prep.example.mx".into()));
        assert_eq!(wrong("*.example.mx"), Wrong::HostName("*.example.mx".into()));
        assert_eq!(
            wrong("10.1.2.3/24"),
            Wrong::HostBits { given: "10.1.2.3/24".into(), network: "10.1.2.0/24".into() }
        );
        assert_eq!(wrong("10.0.0.0/33"), Wrong::BadAddress("10.0.0.0/33".into()));
        assert_eq!(wrong("10.0.0.1,"), Wrong::BadAddress(String::new()));
        assert_eq!(wrong("!10.0.0.1"), Wrong::OnlyNegations);
    }
}
