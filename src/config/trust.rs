//! Section `[trust]`: from which addresses anybody is listened to.

use std::ops::Range;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::Reader;
use super::value::{self, Bad};
use super::{Ssh, expected, flag, list, network, text};
use crate::access::{Network, Networks};

/// Section `[trust]`.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Trusted networks, and the balancers in front of the doors.
    pub networks: Networks,
    /// Whether who misbehaves is not listened to for a while.
    pub penalties: bool,
}

pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, zone: &TimeZone) -> Option<Trust> {
    let s = r.section(root, "trust");
    let value = s.table.and_then(|t| t.get("networks"));
    let mut networks: Vec<Network> = Vec::new();
    for (at, found) in value.map(|v| entries(r, v, zone)).unwrap_or_default() {
        if networks.iter().any(|known| known.net() == found.net()) {
            let net = found.net();
            let es = format!("la red {net} se repite");
            let en = format!("network {net} repeats");
            let _: Option<()> = tell(r, at, Err(Bad { es, en }));
        }
        networks.push(found);
    }
    let proxies = r.get(s, "proxies", |v| list(v, network))?;
    Some(Trust { networks: Networks::new(networks, proxies), penalties: r.get(s, "penalties", flag)? })
}

/// A password that anybody could try would be tried by everybody; a choice of algorithms is one.
pub(super) fn guard<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, trust: &Trust, ssh: &Ssh) {
    let place = |key| {
        let table = root.get("ssh").and_then(|v| v.get_ref().as_table());
        table.and_then(|t| t.get(key)).map_or(0..0, Spanned::span)
    };
    if ssh.passwords && trust.networks.is_empty() {
        let es = "ssh.passwords: sólo con redes de confianza; nómbrelas en [trust] networks".to_owned();
        let en = "ssh.passwords: only with trusted networks; name them in [trust] networks".to_owned();
        r.fault(place("passwords"), Bad { es, en });
    }
    if ssh.strict && ssh.legacy {
        let es = "ssh.legacy contradice ssh.algorithms = \"strict\"; quite una".to_owned();
        let en = "ssh.legacy contradicts ssh.algorithms = \"strict\"; remove one".to_owned();
        r.fault(place("legacy"), Bad { es, en });
    }
}

/// `["203.0.113.0/24", { net = "…", note = "…", expires = "…" }]`, or tables `[[trust.networks]]`.
fn entries<'t>(
    r: &mut Reader<'t>,
    value: &Spanned<DeValue<'t>>,
    zone: &TimeZone,
) -> Vec<(Range<usize>, Network)> {
    let few = |items: &[_]| items.len() <= NETWORKS_MAX;
    let items = value.get_ref().as_array().filter(|items| few(items)).ok_or_else(expected_entries);
    let Some(items) = tell(r, value.span(), items) else { return Vec::new() };
    items.iter().filter_map(|item| Some((item.span(), entry(r, item, zone)?))).collect()
}

fn entry<'t>(r: &mut Reader<'t>, item: &Spanned<DeValue<'t>>, zone: &TimeZone) -> Option<Network> {
    let table = match item.get_ref() {
        DeValue::Table(table) => table,
        other => {
            let net = text(other).map_err(|_| expected_entries()).and_then(strict);
            return tell(r, item.span(), net).map(|net| Network::new(net, String::new(), None));
        }
    };
    refuse_unknown(r, table);
    let Some(net) = table.get("net") else {
        let (es, en) = ("falta net en una red", "net is missing in a network");
        return tell(r, item.span(), Err(expected(es, en)));
    };
    let net = tell(r, net.span(), text(net.get_ref()).and_then(strict));
    let note = match table.get("note") {
        Some(note) => {
            tell(r, note.span(), text(note.get_ref()).map(|note| note.replace(char::is_control, " ")))?
        }
        None => String::new(),
    };
    let expires = match table.get("expires") {
        Some(expires) => Some(tell(r, expires.span(), end(expires.get_ref(), zone))?),
        None => None,
    };
    Some(Network::new(net?, note, expires))
}

fn refuse_unknown<'t>(r: &mut Reader<'t>, table: &DeTable<'t>) {
    for (key, _) in table {
        let name: &str = key.get_ref();
        if !["net", "note", "expires"].contains(&name) {
            let es = format!("clave desconocida «{name}»; son net, note y expires");
            let en = format!("unknown key '{name}'; there are net, note and expires");
            let _: Option<()> = tell(r, key.span(), Err(Bad { es, en }));
        }
    }
}

/// The value, or a fault at its place.
fn tell<T>(r: &mut Reader<'_>, at: Range<usize>, read: Result<T, Bad>) -> Option<T> {
    let name = |bad: Bad| Bad {
        es: format!("trust.networks: {}", bad.es),
        en: format!("trust.networks: {}", bad.en),
    };
    read.map_err(|bad| r.fault(at, name(bad))).ok()
}

/// A network whose address is its beginning: a slip of the hand must not trust others.
fn strict(text: &str) -> Result<IpNet, Bad> {
    let net = network(text)?;
    if net == net.trunc() {
        return Ok(net);
    }
    let meant = net.trunc();
    Err(expected(
        format!("«{text}» no es el comienzo de una red; ¿quiso decir {meant}?"),
        format!("'{text}' is not the start of a network; was {meant} meant?"),
    ))
}

/// An hour, or a day that means its first moment.
fn end(v: &DeValue<'_>, zone: &TimeZone) -> Result<Timestamp, Bad> {
    let written = match v {
        DeValue::Datetime(at) => at.to_string(),
        _ => text(v)?.to_owned(),
    };
    expiry(&written, zone)
}

/// The end of a network's trust, as `expires` and `difusor trust add --expires` write it.
pub(super) fn expiry(text: &str, zone: &TimeZone) -> Result<Timestamp, Bad> {
    match text.parse::<Date>() {
        Ok(day) if text.len() == 10 => day
            .to_zoned(zone.clone())
            .map(|day| day.timestamp())
            .map_err(|_| expected(format!("«{text}» no es un día"), format!("'{text}' is not a day"))),
        _ => value::instant(text, zone),
    }
}

fn expected_entries() -> Bad {
    expected(
        "se espera una lista: [\"203.0.113.0/24\", { net = \"2001:db8::/32\", note = \"instituto\", expires = \"2027-06-14\" }]",
        "a list is expected: [\"203.0.113.0/24\", { net = \"2001:db8::/32\", note = \"institute\", expires = \"2027-06-14\" }]",
    )
}

/// An institute has a handful.
const NETWORKS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;
    use crate::model::Lang;

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let line = |faults: Vec<crate::config::Fault>| faults.iter().map(|f| f.line(Lang::En)).collect();
        Config::parse(Path::new("difusor.toml"), text).map_err(line)
    }

    #[test]
    fn networks_are_read_in_every_form() {
        let inline = "[trust]\nnetworks = [\"192.0.2.0/24\", \"::ffff:198.51.100.7\", \
                      { net = \"2001:db8::/32\", note = \"instituto\", expires = \"2027-06-14\" }]\n";
        let config = read(inline).unwrap();
        let all: Vec<_> = config.trust.networks.iter().collect();
        assert_eq!(all[1].net().to_string(), "198.51.100.7/32");
        assert_eq!((all[2].note.as_str(), all[0].expires), ("instituto", None));
        assert_eq!(all[2].expires.unwrap().to_string(), "2027-06-14T05:00:00Z", "the zone of the file");
        let tables = "[[trust.networks]]\nnet = \"192.0.2.7\"\nexpires = 2027-06-14T02:00:00Z\n";
        let config = read(tables).unwrap();
        assert_eq!(
            config.trust.networks.iter().next().unwrap().expires.unwrap().to_string(),
            "2027-06-14T02:00:00Z"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = |text: &str| read(text).unwrap_err().join("\n");
        assert!(
            wrong("[trust]\nnetworks = [\"192.0.2.7/24\"]")
                .contains("2:13: trust.networks: '192.0.2.7/24' is not the start")
        );
        assert!(wrong("[trust]\nnetworks = \"192.0.2.7\"").contains("a list is expected"));
        assert!(wrong("[trust]\nnetworks = [{ note = \"x\" }]").contains("net is missing"));
        assert!(
            wrong("[trust]\nnetworks = [{ net = \"::1\", until = \"x\" }]").contains("unknown key 'until'")
        );
        assert!(wrong("[trust]\nnetworks = [\"::1\", \"::1/128\"]").contains("repeats"));
        assert!(wrong("[trust]\nnetworks = [{ net = \"::1\", expires = \"soon\" }]").contains("2:38"));
    }
}
