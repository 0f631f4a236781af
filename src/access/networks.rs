//! The addresses that are trusted at all: `[trust] networks`.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::sources::canonical;

/// One trusted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its addresses; a network of v4-mapped ones is the v4 network.
    net: IpNet,
    /// Whose it is, for people.
    pub note: String,
    /// From when on it is trusted no longer.
    pub expires: Option<Timestamp>,
}

impl Network {
    /// A network; bits beyond its length are dropped.
    pub fn new(net: IpNet, note: String, expires: Option<Timestamp>) -> Self {
        Self { net: canonical(net.trunc()), note, expires }
    }

    /// Its addresses.
    pub fn net(&self) -> IpNet {
        self.net
    }

    /// Whether it counts at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    fn holds(&self, addr: IpAddr, now: Timestamp) -> bool {
        self.is_current(now) && self.net.contains(&addr)
    }
}

/// All of them. Where none is named, keys and modules alone say who may come from where;
/// where some are, an address must be in one of them besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    trusted: Vec<Network>,
    proxies: Vec<IpNet>,
}

impl Networks {
    /// These networks, and the balancers that may say who is behind them.
    pub fn new(trusted: Vec<Network>, proxies: Vec<IpNet>) -> Self {
        Self { trusted, proxies: proxies.into_iter().map(|net| canonical(net.trunc())).collect() }
    }

    /// Whether the operator named none.
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Each, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.trusted.iter()
    }

    /// Whether a peer at `addr` is a balancer of ours, which begins with a header.
    pub fn is_proxy(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.proxies.iter().any(|net| net.contains(&addr))
    }

    /// Whether nothing here keeps `addr` out. A list whose entries have all expired lets
    /// nobody in.
    pub fn allow(&self, addr: IpAddr, now: Timestamp) -> bool {
        self.is_empty() || self.name(addr, now)
    }

    /// Whether `addr` is in a network that is named.
    pub fn name(&self, addr: IpAddr, now: Timestamp) -> bool {
        let addr = addr.to_canonical();
        self.trusted.iter().any(|network| network.holds(addr, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn networks(list: &[(&str, Option<&str>)]) -> Networks {
        let network = |(net, end): &(&str, Option<&str>)| {
            Network::new(net.parse().unwrap(), String::new(), end.map(at))
        };
        Networks::new(list.iter().map(network).collect(), Vec::new())
    }

    #[test]
    fn an_address_is_in_a_network_until_that_expires() {
        let list = networks(&[("192.0.2.0/24", Some("2027-06-07T00:00:00Z")), ("2001:db8::/32", None)]);
        let allows = |addr: &str, now| list.allow(addr.parse().unwrap(), at(now));
        assert!(allows("192.0.2.9", "2027-06-06T23:59:59Z") && !allows("192.0.2.9", "2027-06-07T00:00:00Z"));
        assert!(allows("::ffff:192.0.2.9", "2027-06-06T20:00:00Z"), "a mapped address is what it maps");
        assert!(allows("2001:db8::1", "2027-06-08T00:00:00Z") && !allows("::1", "2027-06-06T00:00:00Z"));
    }

    #[test]
    fn no_list_keeps_nobody_out_and_an_expired_one_everybody() {
        let now = at("2027-06-06T20:00:00Z");
        let addr = "192.0.2.9".parse().unwrap();
        assert!(Networks::default().allow(addr, now) && !Networks::default().name(addr, now));
        assert!(!networks(&[("192.0.2.0/24", Some("2027-01-01T00:00:00Z"))]).allow(addr, now));
        assert!(networks(&[("::ffff:192.0.2.0/120", None)]).allow(addr, now));
    }
}
