//! What an operator keeps from readers, and gives back: holds, the institute's notice, the end of the night
//! (T-20, T-46), in one process and in two.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{DIFUSOR, Node, sha256, shown};

fn push(node: &Node, cuts: &Cuts, n: u32) -> String {
    let pushed = node.scp(&[], &[&cuts.path(n)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    shown(&pushed)
}

fn act(node: &Node, args: &[&str]) -> String {
    let done = node.difusor(args);
    assert!(done.status.success(), "{args:?}: {}", shown(&done));
    shown(&done)
}

fn status(node: &Node) -> Value {
    let answer = node.difusor(&["status", "--json"]);
    let value: Value = serde_json::from_slice(&answer.stdout).unwrap();
    value["data"].clone()
}

#[test]
fn a_rollback_with_a_hold_keeps_what_comes_until_it_is_resumed() {
    let mut node = Node::start();
    let cuts = Cuts::good(3);
    push(&node, &cuts, 0);
    push(&node, &cuts, 1);
    node.wait_live(&cuts.path(1));
    act(&node, &["releases", "rollback", "--previous", "--hold", "30m", "--reason", "totales mal sumados"]);
    node.wait_live(&cuts.path(0));
    let told = push(&node, &cuts, 2);
    assert!(told.contains("retiene"), "the sender is told: {told}");
    assert_eq!(status(&node)["hold"]["why"], "totales mal sumados");
    // A restart takes nothing back, neither the hold nor the rollback.
    node.stop();
    node.up("run");
    node.wait_live(&cuts.path(0));
    assert_eq!(status(&node)["staged"]["package"], sha256(&cuts.path(2)).as_str());
    act(&node, &["releases", "resume", "--reason", "ya coincide"]);
    node.wait_live(&cuts.path(2));
    assert!(status(&node)["hold"].is_null());
    let began = &node.ledger_of("hold_began")[0];
    assert!(began["who"].is_string() && began["until"].is_string(), "{began}");
    assert_eq!(node.ledger_of("hold_ended")[0]["what"], "resumed");
}

#[test]
fn a_hold_that_runs_out_publishes_the_newest() {
    let node = Node::start();
    let cuts = Cuts::good(2);
    push(&node, &cuts, 0);
    act(&node, &["releases", "hold", "--for", "6s", "--reason", "se revisa"]);
    push(&node, &cuts, 1);
    push(&node, &cuts, 2);
    assert_eq!(node.state()["package_sha256"], sha256(&cuts.path(0)).as_str(), "held");
    node.wait_live(&cuts.path(2));
    assert_eq!(node.ledger_of("hold_ended")[0]["what"], "expired");
    let seen: Vec<Value> = node.ledger_of("published").iter().map(|l| l["package"].clone()).collect();
    let seen: Vec<&Value> = seen.iter().filter(|p| !p.is_null()).collect();
    assert_eq!(
        seen,
        [sha256(&cuts.path(0)).as_str(), sha256(&cuts.path(2)).as_str()],
        "the one between is stored only"
    );
}

#[test]
fn a_rollback_at_a_terminal_offers_the_cuts_with_their_age() {
    let node = Node::start();
    let cuts = Cuts::good(2);
    for n in 0..=2 {
        push(&node, &cuts, n);
    }
    node.wait_live(&cuts.path(2));
    let config = node.path("difusor.toml");
    let line = format!("{DIFUSOR} releases rollback --config {}", config.display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_remove("LANG").env_remove("LC_ALL");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"2\nno cuadra\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = shown(&output);
    assert!(said.contains("hace ") && said.contains("(corte "), "{said}");
    node.wait_live(&cuts.path(0));
    assert_eq!(node.ledger_of("rolled_back")[0]["why"], "no cuadra");
}

#[test]
fn the_notice_replaces_the_results_and_leaves_them_as_they_were() {
    let mut node = Node::prepare("");
    node.up("receive");
    node.up("serve");
    let cuts = Cuts::good(1);
    push(&node, &cuts, 0);
    node.wait_live(&cuts.path(0));
    let paths: Vec<String> = cuts.manifest(0)["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap().to_owned())
        .collect();
    let before: Vec<Vec<u8>> = paths.iter().map(|p| node.get(&format!("/{p}")).body).collect();
    let text = node.path("aviso.txt");
    std::fs::write(
        &text,
        "Por acuerdo IEQROO/CG/123 se interrumpe la publicación.\n\nVea el sitio <oficial>.",
    )
    .unwrap();
    act(&node, &["notice", "on", "--reason", "oficio 123", "--text", text.to_str().unwrap()]);
    node.wait_state("notice", |s| s["state"] == "notice");
    // IV.b: still 200, still with <base; and no result by any path.
    let page = node.get("/");
    assert_eq!(page.status, 200);
    let shown_page = page.text();
    assert!(shown_page.contains("<base") && shown_page.contains("IEQROO/CG/123"), "{shown_page}");
    assert!(shown_page.contains("&lt;oficial&gt;"), "foreign text stays text");
    for path in paths.iter().filter(|p| p.ends_with(".json") || p.ends_with(".zip")) {
        assert_eq!(node.get(&format!("/{path}")).status, 404, "{path}");
    }
    // It survives a restart of either half.
    node.stop();
    node.up("receive");
    node.up("serve");
    assert_eq!(node.wait_state("notice", |s| s["state"] == "notice")["cut"], Value::Null);
    act(&node, &["notice", "off", "--reason", "oficio 124"]);
    node.wait_live(&cuts.path(0));
    let after: Vec<Vec<u8>> = paths.iter().map(|p| node.get(&format!("/{p}")).body).collect();
    assert!(before == after, "every byte is as it was");
    let (on, off) = (&node.ledger_of("notice_on")[0], &node.ledger_of("notice_off")[0]);
    assert_eq!((&on["why"], &off["why"]), (&"oficio 123".into(), &"oficio 124".into()));
    assert!(on["who"].is_string() && off["who"].is_string());
}

#[test]
fn a_cut_that_comes_under_the_notice_is_seen_after_it() {
    let node = Node::start();
    let cuts = Cuts::good(1);
    push(&node, &cuts, 0);
    act(&node, &["notice", "on", "--reason", "oficio 123"]);
    assert!(push(&node, &cuts, 1).contains("aviso"));
    assert_eq!(node.state()["state"], "notice");
    act(&node, &["notice", "off", "--reason", "oficio 124"]);
    node.wait_live(&cuts.path(1));
    let again = node.difusor(&["notice", "off", "--reason", "otra vez"]);
    assert_eq!(again.status.code(), Some(1), "{}", shown(&again));
}

#[test]
fn after_the_end_of_the_night_a_correction_waits_for_the_operator() {
    let mut node = Node::start();
    let cuts = Cuts::good(3);
    push(&node, &cuts, 0);
    act(&node, &["night", "close", "--reason", "el instituto avisó por teléfono"]);
    assert!(push(&node, &cuts, 1).contains("decide el operador"));
    assert_eq!(node.state()["package_sha256"], sha256(&cuts.path(0)).as_str());
    node.stop();
    node.up("run");
    assert_eq!(node.state()["package_sha256"], sha256(&cuts.path(0)).as_str(), "a restart decides nothing");
    act(&node, &["night", "accept", "--reason", "confirmada"]);
    node.wait_live(&cuts.path(1));
    push(&node, &cuts, 2);
    assert_eq!(node.state()["package_sha256"], sha256(&cuts.path(1)).as_str(), "the next one waits again");
    act(&node, &["night", "reopen", "--reason", "faltaban actas"]);
    node.wait_live(&cuts.path(2));
    push(&node, &cuts, 3);
    node.wait_live(&cuts.path(3));
    assert_eq!(node.ledger_of("night_closed")[0]["what"], "operator");
}
