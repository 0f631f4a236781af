//! Our own monitor sees what readers see, and says so when it is not what it should be (T-48, T-26, T-38).

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, shown};

fn until(what: &str, node: &Node, good: impl Fn() -> bool) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < PATIENCE, "never {what}\n{}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn monitor(node: &Node) -> Value {
    let answer = node.difusor(&["monitor", "show", "--json"]);
    assert!(answer.status.success(), "{}", shown(&answer));
    serde_json::from_slice::<Value>(&answer.stdout).unwrap()["data"].clone()
}

fn open(node: &Node) -> Vec<Value> {
    let answer = node.difusor(&["incidents", "list", "--open", "--json"]);
    serde_json::from_slice::<Value>(&answer.stdout).unwrap()["data"].as_array().unwrap().clone()
}

#[test]
fn t_48_the_monitor_proves_the_site_and_opens_an_incident_when_it_is_gone() {
    let mut node = Node::prepare("");
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(node.path("c.pem"), made.pem()).unwrap();
    std::fs::write(node.path("k.pem"), key.serialize_pem()).unwrap();
    // The port is known before the start: the public address of a site is.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    node.configure("");
    let file = node.path("difusor.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replacen(
        "[https]\nlisten = [\"127.0.0.1:0\"]",
        &format!("[https]\nlisten = [\"127.0.0.1:{port}\"]\ncertificate = \"c.pem\"\nkey = \"k.pem\""),
        1,
    );
    let more = format!(
        "[monitor]\nurl = \"https://localhost:{port}\"\nroot = \"c.pem\"\nevery = \"200ms\"\nrounds = 2\nlag = \"0s\"\ntimeout = \"5s\"\n"
    );
    std::fs::write(&file, format!("{text}{more}")).unwrap();
    node.up("receive");
    node.up("serve");
    let cuts = Cuts::good(0);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let good = || monitor(&node)["availability"][0]["rounds"].as_u64().is_some_and(|n| n >= 3);
    until("three rounds", &node, good);
    until("seen right", &node, || open(&node).iter().all(|i| i["kind"] != "monitor"));
    // The serving half is gone: two bad rounds open the incident, a good one closes it.
    node.kill(Some("serve"));
    until("incident", &node, || {
        open(&node).iter().any(|i| i["kind"] == "monitor" && i["subject"] == "public")
    });
    node.up("serve");
    until("closed", &node, || open(&node).iter().all(|i| i["kind"] != "monitor"));
    let seen = monitor(&node);
    let total = &seen["availability"][0]["total"];
    assert!(total["down_ms"].as_u64().unwrap() > 0 && total["met"] == false, "{seen}");
    assert!(
        seen["response"].as_array().unwrap().iter().any(|r| r["path"] == "/" && r["max_ms"].is_u64()),
        "{seen}"
    );
    let all = node.ledger_of("incident_closed");
    assert!(all.iter().any(|l| l["kind"] == "monitor" && l["seconds"].is_i64()), "{all:?}");
}
