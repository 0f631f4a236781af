//! The configuration read again while the night goes on.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::night::{Node, PATIENCE, sha256, shown};

fn reload(node: &Node) -> Value {
    let done = node.difusor(&["reload", "--json"]);
    assert!(done.status.success(), "{}", shown(&done));
    serde_json::from_slice::<Value>(&done.stdout).unwrap()["data"].clone()
}

fn hang_up(node: &Node) {
    let sent = Command::new("kill").args(["-HUP", &node.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn until(what: &str, node: &Node, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never {what}\n{}", node.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_bad_configuration_changes_nothing_and_every_fault_is_told() {
    let node = Node::start_with("[https]\nexempt = []\nrequests-per-address = 0\n");
    let good = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    let bad = "[https]\nrequests-per-address = 1\nidle = \"mucho\"\n[ssh]\ngrase = \"3s\"\n";
    std::fs::write(node.path("difusor.toml"), bad).unwrap();
    let told = node.difusor(&["reload"]);
    assert_eq!(told.status.code(), Some(78), "{}", shown(&told));
    let text = shown(&told);
    assert!(text.contains("difusor.toml:3:8:") && text.contains("¿quiso decir «grace»?"), "{text}");
    // A signal is told by the ledger only.
    hang_up(&node);
    let rejected = || -> Vec<Value> {
        let warnings = node.ledger_of("warning").into_iter();
        warnings.filter(|line| line["what"] == "config_rejected").collect()
    };
    until("on record", &node, || rejected().len() == 2);
    assert_eq!(rejected()[0]["faults"].as_array().unwrap().len(), 2);
    assert!((0..8).all(|_| node.get("/").status != 429));
    std::fs::write(node.path("difusor.toml"), good).unwrap();
    assert_eq!(reload(&node), serde_json::json!({"applied": [], "restart": []}));
}

#[test]
fn limits_hold_at_once_and_what_needs_a_restart_is_named() {
    let node = Node::start_with("[https]\nexempt = []\n");
    assert!((0..8).all(|_| node.get("/").status != 429));
    let whole = "[https]\nexempt = []\nrequests-per-address = 1\nrequests-burst = 2\n[admin]\nactions = true\n\
                 [log]\nlevel = \"debug\"\n[package]\nnames = [\"*.zip\"]\n";
    node.configure(whole);
    let told = reload(&node);
    let applied = ["admin.actions", "https.requests-burst", "https.requests-per-address", "log.level"];
    assert_eq!(told["applied"], serde_json::json!(applied));
    assert_eq!(told["restart"], serde_json::json!(["package.names"]));
    assert!((0..8).any(|_| node.get("/").status == 429), "{}", node.log());
    let line = node.ledger_of("config").pop().unwrap();
    assert_eq!(line["sha256"], sha256(&node.path("difusor.toml")).as_str());
    assert_eq!((&line["applied"], &line["restart"]), (&told["applied"], &told["restart"]));
    // It is named until the restart; what holds already is not.
    let again = reload(&node);
    assert_eq!(again, serde_json::json!({"applied": [], "restart": ["package.names"]}));
}

#[test]
fn each_half_takes_new_limits_by_signal() {
    let mut node = Node::prepare("[https]\nexempt = []\n");
    node.up("serve");
    assert!((0..8).all(|_| node.get("/").status != 429));
    node.configure("[https]\nexempt = []\nrequests-per-address = 1\nrequests-burst = 2\n");
    hang_up(&node);
    until("paced", &node, || node.get("/").status == 429);
    // And by the operator, who reaches both.
    node.up("receive");
    node.configure("[https]\nexempt = []\nrequests-per-address = 0\n[ssh]\ngrace = \"9s\"\n");
    let applied = reload(&node)["applied"].clone();
    assert_eq!(
        applied,
        serde_json::json!(["https.requests-burst", "https.requests-per-address", "ssh.grace"])
    );
    assert!((0..8).all(|_| node.get("/").status != 429));
}
