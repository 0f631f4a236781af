//! Does the public name lead here, and from where is this machine reached?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::Path;

use super::Scene;
use super::answer::{Answer, Topic, Verdict};
use super::store::{self, Reception};
use crate::ntp;

/// Addresses shown of a name that has many.
const SHOWN_MAX: usize = 8;

/// The domain has addresses, and they are the ones that the operator named.
pub(super) fn names(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let domain = &scene.config.domain;
    if is_placeholder(domain) {
        return answers.push(
            Answer::of(
                Topic::Names,
                Verdict::Attention,
                format!("domain es «{domain}»: los lectores necesitan un nombre público"),
                format!("domain is '{domain}': readers need a public name"),
            )
            .todo("escriba domain en difusor.toml", "write domain into difusor.toml"),
        );
    }
    if scene.asked.offline {
        return answers.push(not_asked(Topic::Names));
    }
    let found = resolved(scene, domain);
    let Some(found) = found.filter(|found| !found.is_empty()) else {
        return answers.push(
            Answer::of(
                Topic::Names,
                Verdict::Fault,
                format!("«{domain}» no lleva a ninguna dirección"),
                format!("'{domain}' leads to no address"),
            )
            .todo("dé de alta registros A y AAAA en el DNS", "add A and AAAA records to the DNS"),
        );
    };
    let list = listed(&found);
    let public = known_public(scene);
    let strangers: Vec<IpAddr> = found.iter().filter(|a| !public.contains(a)).copied().collect();
    answers.push(if found.iter().any(|address| !is_public(*address)) {
        Answer::of(
            Topic::Names,
            Verdict::Attention,
            format!("«{domain}» lleva a direcciones que no son públicas: {list}"),
            format!("'{domain}' leads to addresses that are not public: {list}"),
        )
        .todo("corrija el DNS, o /etc/hosts de esta máquina", "mend the DNS, or /etc/hosts of this machine")
    } else if !public.is_empty() && !strangers.is_empty() {
        let strangers = listed(&strangers);
        Answer::of(
            Topic::Names,
            Verdict::Attention,
            format!("«{domain}» lleva también a {strangers}, que no es de esta máquina"),
            format!("'{domain}' leads to {strangers} too, which is not this machine's"),
        )
        .todo("está bien si es su CDN; si no, corrija el DNS", "fine if it is your CDN; else mend the DNS")
    } else {
        Answer::good(Topic::Names, format!("«{domain}»: {list}"), format!("'{domain}': {list}"))
    });
}

/// The address that the institute and readers come to: named by the operator, or this machine's own.
pub(super) fn address(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    if let Some(gateway) = hidden_senders(scene) {
        return answers.push(
            Answer::of(
                Topic::Address,
                Verdict::Attention,
                format!("todos los envíos parecen venir de la puerta de enlace {gateway}: la red del contenedor (o un NAT) oculta al instituto"),
                format!("every push seems to come from the gateway {gateway}: the container's network (or a NAT) hides the institute"),
            )
            .todo("use la red del anfitrión: network_mode: host", "use the host's network: network_mode: host"),
        );
    }
    let named = known_public(scene);
    if !named.is_empty() {
        let list = listed(&named);
        return answers.push(Answer::good(
            Topic::Address,
            format!("{list}, según el operador"),
            format!("{list}, as the operator says"),
        ));
    }
    let own: Vec<IpAddr> = [own_address(false), own_address(true)].into_iter().flatten().collect();
    let public: Vec<IpAddr> = own.iter().copied().filter(|a| is_public(*a)).collect();
    answers.push(if own.is_empty() {
        let (es, en) =
            ("esta máquina no tiene salida a la red", "this machine has no way out to the network");
        Answer::of(Topic::Address, Verdict::Unknown, es, en).todo("vea: ip route", "see: ip route")
    } else if public.is_empty() {
        let list = listed(&own);
        Answer::of(
            Topic::Address,
            Verdict::Unknown,
            format!("esta máquina sale con {list}, que no es pública: la pública la tiene otro equipo (NAT)"),
            format!(
                "this machine goes out as {list}, which is not public: another box has the public one (NAT)"
            ),
        )
        .todo(
            "dígala con --public DIRECCIÓN o doctor.public",
            "name it with --public ADDRESS or doctor.public",
        )
    } else {
        let list = listed(&public);
        Answer::good(
            Topic::Address,
            format!("{list}, de esta máquina"),
            format!("{list}, this machine's own"),
        )
    });
}

/// Nothing was asked, so nothing is known.
pub(super) fn not_asked(topic: Topic) -> Answer {
    Answer::of(topic, Verdict::Unknown, "no se preguntó (--offline)", "not asked (--offline)")
}

/// Whether the domain is one that `init` or an operator in a hurry wrote.
pub(super) fn is_placeholder(domain: &str) -> bool {
    domain == "localhost" || domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The addresses of a name, in time.
pub(super) fn resolved(scene: &Scene<'_>, name: &str) -> Option<Vec<IpAddr>> {
    let name = name.to_owned();
    let found = ntp::within(scene.config.doctor.timeout, move || {
        let found = (name.as_str(), 443).to_socket_addrs().ok()?;
        let mut found: Vec<IpAddr> = found.map(|a| a.ip().to_canonical()).collect();
        found.sort();
        found.dedup();
        Some(found)
    });
    found?
}

/// Public addresses that somebody named: on the command line or in the configuration.
pub(super) fn known_public(scene: &Scene<'_>) -> Vec<IpAddr> {
    let mut all = scene.asked.public.clone();
    all.extend(&scene.config.doctor.public);
    all.sort();
    all.dedup();
    all
}

/// With which address this machine would go out; nothing is sent.
fn own_address(v6: bool) -> Option<IpAddr> {
    let (here, there): (SocketAddr, SocketAddr) = match v6 {
        false => ((Ipv4Addr::UNSPECIFIED, 0).into(), ([192, 0, 2, 1], 9).into()),
        true => ((Ipv6Addr::UNSPECIFIED, 0).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9).into()),
    };
    let socket = UdpSocket::bind(here).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// Whether anybody on the internet could come to it (IANA's special-purpose registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let local = v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared;
            let nobodys = v4.is_unspecified() || v4.is_documentation();
            !(local || nobodys || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let documentation = v6.segments().starts_with(&[0x2001, 0xdb8]);
            let local = v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local();
            !(local || documentation || v6.is_unspecified() || v6.is_multicast())
        }
    }
}

/// The gateway, if every push of the ledger came from it and from nowhere else.
fn hidden_senders(scene: &Scene<'_>) -> Option<IpAddr> {
    let gateway = gateway(&scene.asked.root)?;
    let senders: Vec<Reception> = store::receptions(scene);
    let all = !senders.is_empty() && senders.iter().all(|r| r.from == Some(gateway));
    all.then_some(gateway)
}

/// The default gateway, of `/proc/net/route` (proc(5): hexadecimal, as the processor stores it).
fn gateway(root: &Path) -> Option<IpAddr> {
    let table = std::fs::read_to_string(root.join("proc/net/route")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, gateway) = (fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|g| *g != 0)?;
        (to == "00000000").then(|| Ipv4Addr::from(gateway.to_ne_bytes()).into())
    })
}

fn listed(addresses: &[IpAddr]) -> String {
    let shown: Vec<String> = addresses.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if shown.is_empty() { "–".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_shared_addresses_are_not_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for text in ["8.8.8.8", "200.94.180.1", "2806:10::1", "::ffff:8.8.8.8"] {
            assert!(public(text), "{text}");
        }
        for text in [
            "10.1.2.3",
            "172.17.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "::1",
            "192.0.2.2",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn the_gateway_is_read_from_the_kernels_table() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/net")).unwrap();
        let line = u32::from_ne_bytes([172, 17, 0, 1]);
        let table = format!("Iface\tDestination\tGateway\neth0\t00000000\t{line:08X}\t0003\n");
        std::fs::write(root.path().join("proc/net/route"), table).unwrap();
        assert_eq!(gateway(root.path()), Some("172.17.0.1".parse().unwrap()));
        assert_eq!(gateway(Path::new("/nowhere")), None);
    }
}
