//! The rules of a firewall for Durango's ports (network, c): 80 and 443 for anybody; 22, 873 and 2873 for
//! trusted networks only. What the instance really listens on is added to both lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;

use super::answer::{Answer, Topic, Verdict};
use super::{Asked, Call, Scene, doors, trust};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Lang;
use crate::ntp;

/// Ports of readers.
const PUBLIC: [u16; 2] = [80, 443];
/// Ports of the institute.
const TRUSTED: [u16; 3] = [22, 873, 2873];

/// For which program rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// nftables: one table of our own.
    Nft,
    /// ufw: a list of commands.
    Ufw,
}

/// What the rules are made from.
struct Plan {
    domain: String,
    public: BTreeSet<u16>,
    trusted: BTreeSet<u16>,
    /// Port that is dialled, port that we listen on, and whether anybody may come.
    redirected: Vec<(u16, u16, bool)>,
    from: Vec<IpNet>,
    excluded: Vec<IpNet>,
    admin: Vec<IpNet>,
}

/// The rules for the instance, as text with comments. `admin`: networks from which its own operators reach port 22.
pub fn rules(kind: Firewall, config: &Config, admin: &[IpNet], clock: &Clock, lang: Lang) -> String {
    let asked = Asked { offline: true, ..Asked::default() };
    let running = doors::Running::ask(config);
    let scene =
        Scene { config, asked: &asked, clock, now: clock.now(), call: Call::of(config.profile), running };
    let plan = Plan::of(&scene, admin);
    match kind {
        Firewall::Nft => plan.nft(lang),
        Firewall::Ufw => plan.ufw(lang),
    }
}

impl Plan {
    fn of(scene: &Scene<'_>, admin: &[IpNet]) -> Self {
        let config = scene.config;
        let ports = |lists: &[&[SocketAddr]]| -> Vec<u16> {
            lists
                .iter()
                .flat_map(|list| list.iter())
                .map(SocketAddr::port)
                .filter(|port| *port != 0)
                .collect()
        };
        let (https, http) = (ports(&[&config.https.listen]), ports(&[&config.http_listen]));
        let ssh = ports(&[&config.ssh.listen]);
        let rsync = ports(&[&config.rsync.listen, &config.rsync.tls_listen]);
        let dialled = [(443, &https, true), (80, &http, true), (22, &ssh, false)];
        let redirected = dialled.into_iter().filter(|(port, ours, _)| !ours.contains(port));
        let (from, excluded) = trust::trusted(scene);
        Self {
            domain: config.domain.clone(),
            public: PUBLIC.into_iter().chain(https.iter().chain(&http).copied()).collect(),
            trusted: TRUSTED.into_iter().chain(ssh.iter().copied()).chain(rsync).collect(),
            redirected: redirected
                .filter_map(|(port, ours, any)| Some((port, *ours.first()?, any)))
                .collect(),
            from,
            excluded,
            admin: admin.to_vec(),
        }
    }

    fn head(&self, how: &str, lang: Lang) -> String {
        let mut text = String::new();
        let title = lang.pick("reglas de cortafuegos para", "firewall rules for");
        let _ = writeln!(text, "# difusor: {title} {}", self.domain);
        for line in how.lines() {
            let _ = writeln!(text, "# {line}");
        }
        if self.from.is_empty() {
            let none = lang.pick(
                "AVISO: no hay redes de confianza (difusor keys add --from RED): nadie podrá enviar",
                "WARNING: there are no trusted networks (difusor keys add --from NETWORK): nobody can push",
            );
            let _ = writeln!(text, "# {none}");
        }
        if self.admin.is_empty() {
            let locked = lang.pick(
                "AVISO: sin --admin RED, su propia entrada al puerto 22 queda cerrada (las sesiones abiertas siguen)",
                "WARNING: without --admin NETWORK your own way in at port 22 is closed (open sessions go on)",
            );
            let _ = writeln!(text, "# {locked}");
        }
        text
    }

    fn nft(&self, lang: Lang) -> String {
        let how = lang.pick(
            "compruebe: nft -c -f ARCHIVO   aplique: nft -f ARCHIVO\nen cada arranque: include en /etc/nftables.conf",
            "check: nft -c -f FILE   apply: nft -f FILE\nat each boot: include it in /etc/nftables.conf",
        );
        let mut text = format!("#!/usr/sbin/nft -f\n{}", self.head(how, lang));
        text.push_str("table inet difusor\ndelete table inet difusor\ntable inet difusor {\n");
        let sets =
            [("confianza", &self.from), ("excluidas", &self.excluded), ("administracion", &self.admin)];
        for (name, nets) in sets {
            for (six, kind) in [(false, "ipv4_addr"), (true, "ipv6_addr")] {
                set(&mut text, name, six, kind, nets);
            }
        }
        self.nft_redirections(&mut text);
        text.push_str("\tchain entrada {\n\t\ttype filter hook input priority filter; policy drop;\n");
        for rule in [
            "ct state established,related accept",
            "ct state invalid drop",
            "iif \"lo\" accept",
            "meta l4proto { icmp, ipv6-icmp } accept",
            "udp sport 547 udp dport 546 accept",
        ] {
            let _ = writeln!(text, "\t\t{rule}");
        }
        let _ = writeln!(text, "\t\ttcp dport {{ {} }} accept", listed(&self.public));
        let trusted = listed(&self.trusted);
        for (ip, six) in [("ip", 4), ("ip6", 6)] {
            let _ = writeln!(text, "\t\t{ip} saddr @administracion{six} tcp dport 22 accept");
            let _ = writeln!(text, "\t\t{ip} saddr @excluidas{six} drop");
            let _ = writeln!(text, "\t\t{ip} saddr @confianza{six} tcp dport {{ {trusted} }} accept");
        }
        text.push_str("\t\tcounter comment \"rechazados\"\n\t}\n}\n");
        text
    }

    /// A door that listens elsewhere than where it is dialled: readers' ports for anybody, the institute's for it alone.
    fn nft_redirections(&self, text: &mut String) {
        if self.redirected.is_empty() {
            return;
        }
        text.push_str(
            "\tchain redirecciones {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n",
        );
        for (dialled, ours, anybody) in &self.redirected {
            if *anybody {
                let _ = writeln!(text, "\t\ttcp dport {dialled} redirect to :{ours}");
                continue;
            }
            for (ip, six) in [("ip", 4), ("ip6", 6)] {
                let who = format!("{ip} saddr @confianza{six} {ip} saddr != @excluidas{six}");
                let _ = writeln!(text, "\t\t{who} tcp dport {dialled} redirect to :{ours}");
            }
        }
        text.push_str("\t}\n");
    }

    fn ufw(&self, lang: Lang) -> String {
        let how = lang.pick(
            "léalo y ejecútelo con: sh ARCHIVO   pruebe antes: ufw --dry-run …",
            "read it and run it with: sh FILE   try before: ufw --dry-run …",
        );
        let mut text = format!("#!/bin/sh\n{}set -e\n", self.head(how, lang));
        text.push_str("ufw default deny incoming\nufw default allow outgoing\n");
        let ports = |all: &BTreeSet<u16>| listed(all).replace(' ', "");
        let _ = writeln!(
            text,
            "ufw allow proto tcp from any to any port {} comment 'difusor: lectores'",
            ports(&self.public)
        );
        // The first rule that fits decides.
        for net in &self.admin {
            let _ = writeln!(text, "ufw allow proto tcp from {net} to any port 22 comment 'administracion'");
        }
        let trusted = ports(&self.trusted);
        for net in &self.excluded {
            let _ = writeln!(
                text,
                "ufw deny proto tcp from {net} to any port {trusted} comment 'difusor: excluida'"
            );
        }
        for net in &self.from {
            let _ = writeln!(
                text,
                "ufw allow proto tcp from {net} to any port {trusted} comment 'difusor: instituto'"
            );
        }
        for (dialled, ours, _) in &self.redirected {
            let say = lang.pick(
                "ufw no redirige puertos con una orden; hágalo en /etc/ufw/before.rules (*nat) o use nft:",
                "ufw redirects no ports by a command; do it in /etc/ufw/before.rules (*nat) or use nft:",
            );
            let _ = writeln!(text, "# {say} {dialled} -> {ours}");
        }
        text.push_str("ufw --force enable\n");
        text
    }
}

fn set(text: &mut String, name: &str, six: bool, kind: &str, nets: &[IpNet]) {
    let digit = if six { 6 } else { 4 };
    let own = nets.iter().filter(|net| matches!(net, IpNet::V6(_)) == six);
    // All addresses: nft writes them as a range only if they are one network.
    let list: Vec<String> = own.map(ToString::to_string).collect();
    let _ = writeln!(text, "\tset {name}{digit} {{\n\t\ttype {kind}\n\t\tflags interval\n\t\tauto-merge");
    if !list.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", list.join(", "));
    }
    text.push_str("\t}\n");
}

fn listed(ports: &BTreeSet<u16>) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether rules are in force, as far as this user may see.
pub(super) fn in_force(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let remedy =
        ("compárelo con: difusor doctor --firewall nft", "compare it with: difusor doctor --firewall nft");
    let wait = scene.config.doctor.timeout;
    let local = scene.asked.root == Path::new("/");
    let tables = local.then(|| ntp::told("nft", &["list", "tables"], wait)).flatten();
    let ufw = local.then(|| ntp::told("ufw", &["status"], wait)).flatten();
    if tables.as_deref().is_some_and(|t| t.lines().any(|line| line.trim() == "table inet difusor")) {
        let (es, en) = ("nft: las reglas de difusor están puestas", "nft: difusor's rules are in force");
        return answers.push(Answer::good(Topic::Firewall, es, en));
    }
    if ufw.as_deref().is_some_and(|u| u.starts_with("Status: active")) {
        let (es, en) = ("ufw está activo", "ufw is active");
        return answers.push(Answer::good(Topic::Firewall, es, en).todo(
            "compárelo con: difusor doctor --firewall ufw",
            "compare it with: difusor doctor --firewall ufw",
        ));
    }
    answers.push(match tables {
        Some(tables) if tables.trim().is_empty() => Answer::of(
            Topic::Firewall,
            Verdict::Attention,
            "esta máquina no tiene ninguna regla",
            "this machine has no rule at all",
        )
        .todo(
            "difusor doctor --firewall nft --admin SU-RED > reglas.nft; nft -f reglas.nft (si no hay un cortafuegos delante)",
            "difusor doctor --firewall nft --admin YOUR-NETWORK > rules.nft; nft -f rules.nft (unless a firewall stands in front)",
        ),
        Some(_) => {
            let (es, en) = ("hay reglas, pero no son las de difusor", "there are rules, but not difusor's");
            Answer::of(Topic::Firewall, Verdict::Unknown, es, en).todo(remedy.0, remedy.1)
        }
        None => {
            let (es, en) = ("no se pueden leer las reglas (nft, ufw)", "the rules cannot be read (nft, ufw)");
            Answer::of(Topic::Firewall, Verdict::Unknown, es, en).todo(
                "ejecute doctor como root; o vea las reglas que hacen falta: difusor doctor --firewall nft",
                "run doctor as root; or see which rules are needed: difusor doctor --firewall nft",
            )
        }
    });
}
