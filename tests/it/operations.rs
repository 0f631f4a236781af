//! What an operator does on the night, and what it leaves behind.

use std::process::Command;

use crate::cuts::Cuts;
use crate::night::{Node, shown};

#[test]
fn a_rollback_shows_the_cut_before_and_the_next_push_moves_on() {
    let (node, cuts) = (Node::start(), Cuts::good(2));
    for n in [0, 1] {
        assert!(node.scp(&[], &[&cuts.path(n)], "").status.success());
        node.wait_live(&cuts.path(n));
    }
    let back = node.difusor(&["releases", "rollback", "--reason", "totales mal sumados"]);
    assert!(back.status.success(), "{}", shown(&back));
    node.wait_live(&cuts.path(0));
    let line = node.ledger_of("rolled_back").pop().unwrap();
    assert_eq!(line["why"], "totales mal sumados");
    assert!(node.scp(&[], &[&cuts.path(2)], "").status.success());
    node.wait_live(&cuts.path(2));
}

#[test]
fn the_ledger_is_checked_by_a_shell_loop_and_names_an_altered_line() {
    let (mut node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.stop();
    let file = node.path("var/ledger/ledger.jsonl");
    let script = r#"prev=$(printf '0%.0s' $(seq 64)); while IFS= read -r line; do
        case "$line" in *"\"prev\":\"$prev\""*) ;; *) echo "broken: $line"; exit 1;; esac
        prev=$(printf '%s\n' "$line" | sha256sum | cut -c1-64); done < "$1""#;
    let by_hand = Command::new("bash").args(["-c", script, "check"]).arg(&file).output().unwrap();
    assert!(by_hand.status.success(), "{}", shown(&by_hand));
    assert!(node.difusor(&["ledger", "verify"]).status.success());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"received\"", "\"receiveD\"", 1)).unwrap();
    let verified = node.difusor(&["ledger", "verify"]);
    assert_eq!(verified.status.code(), Some(1), "{}", shown(&verified));
    assert!(shown(&verified).contains("línea"), "{}", shown(&verified));
}

#[test]
fn an_audit_proves_every_file_and_finds_a_changed_one() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    for n in [0, 1] {
        assert!(node.scp(&[], &[&cuts.path(n)], "").status.success());
        node.wait_live(&cuts.path(n));
    }
    let url = format!("https://127.0.0.1:{}", node.https.port());
    let audited = node.difusor(&["audit", "--url", &url]);
    assert!(audited.status.success(), "{}", shown(&audited));
    let index = node.path("www/current/index.html");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    std::fs::write(&index, text.replacen("<base", "<BASE", 1)).unwrap();
    let audited = node.difusor(&["audit"]);
    assert_eq!(audited.status.code(), Some(1), "{}", shown(&audited));
    assert!(shown(&audited).contains("index.html"), "{}", shown(&audited));
    // Readers still get the verified bytes.
    assert!(node.get("/index.html").text().contains("<base"));
}

#[test]
fn status_tells_what_is_live_and_what_came() {
    let (mut node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    let status = node.difusor(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(value["data"]["running"], true);
    assert_eq!(value["data"]["live"]["package"], crate::night::sha256(&cuts.path(0)).as_str());
    assert_eq!(value["data"]["receptions"][0]["receipt"]["sender"]["name"], "id");
    assert_eq!(node.stop(), Some(0));
    let stopped = node.difusor(&["status"]);
    assert_eq!(stopped.status.code(), Some(4), "{}", shown(&stopped));
    assert!(shown(&stopped).contains("detenido"), "{}", shown(&stopped));
}

#[test]
fn a_bad_configuration_is_told_whole_and_ends_with_78() {
    let node = Node::prepare("");
    std::fs::write(node.path("difusor.toml"), "[ssh]\nlisten = [\"127.0.0.1:84430\"]\ngrase = \"3s\"\n")
        .unwrap();
    for verb in ["check", "run"] {
        let told = node.difusor(&[verb]);
        assert_eq!(told.status.code(), Some(78), "{}", shown(&told));
        assert!(
            shown(&told).contains(":2:10:") && shown(&told).contains("¿quiso decir «grace»?"),
            "{}",
            shown(&told)
        );
    }
}
