//! What is asked before the night, of real clocks, doors and firewalls.

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Node, shown};

/// Answers by topic: verdict and what was found.
fn asked(node: &Node, args: &[&str]) -> Vec<(String, String, String)> {
    let output = node.difusor(&[&["doctor", "--json"], args].concat());
    let value: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", shown(&output)));
    assert_eq!(value["schema"], "difusor.doctor/1", "{value}");
    let failed = value["data"]["answers"].as_array().unwrap().iter().any(|a| a["verdict"] == "fault");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{}", shown(&output));
    assert_eq!(value["ok"], !failed);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let answers = value["data"]["answers"].as_array().unwrap();
    answers.iter().map(|a| (text(&a["topic"]), text(&a["verdict"]), text(&a["found"]))).collect()
}

fn verdict<'a>(answers: &'a [(String, String, String)], topic: &str) -> (&'a str, &'a str) {
    let (_, verdict, found) = answers.iter().find(|(t, _, _)| t == topic).unwrap();
    (verdict, found)
}

#[test]
fn a_running_instance_is_examined_without_the_network() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let answers = asked(&node, &["--offline"]);
    let doors: Vec<_> = answers.iter().filter(|(topic, _, _)| topic == "ports").collect();
    assert_eq!(doors.len(), 3, "ssh, https, http: {answers:?}");
    assert!(doors.iter().all(|(_, verdict, _)| verdict == "good"), "{doors:?}");
    assert_eq!(verdict(&answers, "liveness").0, "good", "{answers:?}");
    assert_eq!(verdict(&answers, "keys").0, "good", "{answers:?}");
    assert_eq!(verdict(&answers, "dns").0, "attention", "localhost is no public name");
    assert_eq!(verdict(&answers, "certificate").0, "fault", "self-signed");
    assert_eq!(verdict(&answers, "windows").0, "attention", "no event");
    let (state, found) = verdict(&answers, "history");
    assert!(state == "attention" && found.starts_with("1 "), "{found}");
    // The same for people: a line an answer, with its verdict, and what to do.
    let told = node.difusor(&["doctor", "--offline"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(
        text.lines()
            .any(|line| line.starts_with("falla") && line.contains("certificado: ") && line.contains(" → ")),
        "{text}"
    );
    assert_eq!(text.lines().count(), answers.len() + 1, "{text}");
}

#[test]
fn a_taken_port_and_a_public_address_are_tried() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut node = Node::prepare("");
    let text = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    let ssh = format!("[ssh]\nlisten = [\"127.0.0.1:{port}\"]");
    std::fs::write(node.path("difusor.toml"), text.replace("[ssh]\nlisten = [\"127.0.0.1:0\"]", &ssh))
        .unwrap();
    let answers = asked(&node, &["--offline"]);
    let (state, found) = verdict(&answers, "ports");
    assert!(state == "fault" && found.contains(&port.to_string()), "{found}");
    drop(taken);
    node.up("run");
    let answers = asked(&node, &["--public", "127.0.0.1", "--public", "127.0.0.2"]);
    let through = |address: &str| {
        let at = format!("ssh {address}:{port}");
        let (_, verdict, _) = answers
            .iter()
            .find(|(topic, _, found)| topic == "ports" && found.starts_with(&at) && found.contains("pública"))
            .unwrap();
        verdict.clone()
    };
    assert_eq!(through("127.0.0.1"), "good");
    assert_eq!(through("127.0.0.2"), "attention", "nobody listens there");
}

/// A stock chronyd that serves its own clock, and one that answers nothing.
#[test]
fn the_clock_is_compared_with_a_server_or_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = format!(
        "port {free}\nbindaddress 127.0.0.1\nallow 127.0.0.0/8\nlocal stratum 3\ncmdport 0\nbindcmdaddress /\npidfile {0}/pid\ndriftfile {0}/drift\n",
        dir.path().display()
    );
    std::fs::write(dir.path().join("chrony.conf"), conf).unwrap();
    let mut chronyd = Command::new("/usr/sbin/chronyd")
        .args(["-x", "-d", "-u", "root", "-f"])
        .arg(dir.path().join("chrony.conf"))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let node = Node::prepare(&format!("[doctor]\nntp = [\"127.0.0.1:{free}\"]\ntimeout = \"2s\"\n"));
    let mut found = (String::new(), String::new());
    for _ in 0..20 {
        let answers = asked(&node, &[]);
        let (state, what) = verdict(&answers, "clock");
        found = (state.to_owned(), what.to_owned());
        if what.contains(" ms ") {
            break;
        }
    }
    chronyd.kill().unwrap();
    chronyd.wait().unwrap();
    assert!(found.0 == "good" && found.1.contains(&format!("según 127.0.0.1:{free}")), "{found:?}");
    // Nobody answers there any more: what the clock is worth is not known from here, unless this machine's keeper says so.
    let answers = asked(&node, &[]);
    let (_, what) = verdict(&answers, "clock");
    assert!(what.contains("sin respuesta") && !what.contains(" ms "), "{what}");
}

/// nft's own parser takes the rules, in a network namespace of their own.
#[test]
fn rules_are_what_nft_and_ufw_can_read() {
    let node = Node::prepare(
        "[rsync]\nlisten = [\"127.0.0.1:0\"]\n[[rsync.module]]\nname = \"prep\"\nnetworks = [\"203.0.113.0/28\", \"2001:db8:17::/48\"]\n",
    );
    let key = std::fs::read_to_string(node.path("id.pub")).unwrap();
    let line = format!("from=\"198.51.100.0/24,!198.51.100.66,2001:db8::/48\" {key}");
    std::fs::write(node.path("keys/trusted/id.pub"), line).unwrap();
    let file = node.path("reglas.nft");
    for (admin, sets) in [(vec![], 4), (vec!["--admin", "192.0.2.0/24", "--admin", "2001:db8:aa::/64"], 6)] {
        let written = node.difusor(&[&["doctor", "--firewall", "nft"], admin.as_slice()].concat());
        assert!(written.status.success(), "{}", shown(&written));
        let text = String::from_utf8(written.stdout).unwrap();
        assert!(text.contains("tcp dport { 80, 443") && text.contains("{ 22, 873, "), "{text}");
        assert!(text.matches("elements = ").count() >= sets - 1, "{text}");
        std::fs::write(&file, &text).unwrap();
        // Twice: loading them again replaces them.
        let script = "nft -c -f \"$1\" && nft -f \"$1\" && nft -f \"$1\" && nft list table inet difusor";
        let read =
            Command::new("unshare").args(["-n", "sh", "-ec", script, "nft"]).arg(&file).output().unwrap();
        assert!(read.status.success(), "this test needs root\n{}\n{text}", shown(&read));
        let loaded = String::from_utf8(read.stdout).unwrap();
        assert!(loaded.contains("203.0.113.0/28") && loaded.contains("2001:db8:17::/48"), "{loaded}");
        assert_eq!(loaded.matches("policy drop").count(), 1, "{loaded}");
    }
    let written = node.difusor(&["doctor", "--firewall", "ufw", "--admin", "192.0.2.0/24"]);
    let text = String::from_utf8(written.stdout).unwrap();
    let script = node.path("reglas.sh");
    std::fs::write(&script, &text).unwrap();
    let syntax = Command::new("sh").arg("-n").arg(&script).output().unwrap();
    assert!(syntax.status.success(), "{}", shown(&syntax));
    let rules: Vec<&str> =
        text.lines().filter(|l| l.starts_with("ufw allow") || l.starts_with("ufw deny")).collect();
    assert!(rules.len() >= 6, "{text}");
    for rule in rules {
        let dry = rule.replacen("ufw ", "ufw --dry-run ", 1);
        let parsed = Command::new("unshare").args(["-n", "sh", "-c", &dry]).output().unwrap();
        assert!(parsed.status.success(), "{rule}\n{}", shown(&parsed));
    }
}

#[test]
fn every_call_is_measured_clause_by_clause() {
    let node = Node::prepare("");
    for (profile, first, least) in [
        ("nuevo-leon", "1", 30),
        ("ine", "I.a inicio", 40),
        ("tamaulipas", "I.a", 40),
        ("quintana-roo", "I.a", 38),
        ("durango", "I.1", 28),
    ] {
        let output = node.difusor(&["doctor", "--offline", "--requirements", profile, "--json"]);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["schema"], "difusor.requirements/1");
        let clauses = value["data"]["clauses"].as_array().unwrap();
        assert!(clauses.len() >= least, "{profile}: {}", clauses.len());
        assert_eq!(clauses[0]["clause"], first);
        let standings: Vec<&str> = clauses.iter().map(|c| c["standing"].as_str().unwrap()).collect();
        assert!(standings.iter().all(|s| ["met", "not-met", "outside", "no-data"].contains(s)));
        let unmet = standings.contains(&"not-met");
        assert_eq!(output.status.code(), Some(i32::from(unmet)), "{profile}");
        // No event: nothing keeps the hour, so that clause is not met whatever the call.
        let hour = clauses.iter().find(|c| c["requirement"].as_str().unwrap().contains("20:00"));
        if let Some(hour) = hour {
            assert_eq!(hour["standing"], "not-met", "{hour}");
        }
        let text = node.difusor(&["doctor", "--offline", "--requirements", profile]);
        let text = String::from_utf8(text.stdout).unwrap();
        assert_eq!(text.lines().count(), clauses.len() + 2, "{text}");
        assert!(text.contains("fuera del software") && text.contains("sin dato"), "{text}");
    }
    let unknown = node.difusor(&["doctor", "--requirements", "yucatan"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", shown(&unknown));
}
