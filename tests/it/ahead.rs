//! Packages are unpacked while they arrive, and nobody can tell but by the clock.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::cuts::{Cuts, tree};
use crate::night::{Node, PATIENCE, shown};

/// Whether the last package was staged before it was whole.
fn was_ahead(node: &Node) -> bool {
    node.ledger_of("verified").last().unwrap()["ahead"] == Value::Bool(true)
}

/// Scratch trees of the release store.
fn scratch(node: &Node) -> usize {
    let entries = std::fs::read_dir(node.path("var/releases")).unwrap();
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp-")).count()
}

fn wait_for(what: &str, mut good: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// `cat > NAME` that sends what it is given and then waits.
struct Slow {
    ssh: Child,
    input: ChildStdin,
}

impl Slow {
    fn start(node: &Node, name: &str) -> Self {
        let mut ssh = Command::new("ssh");
        ssh.args(node.ssh_options("id")).args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1"]);
        let mut ssh = ssh.arg(format!("cat > {name}")).stdin(Stdio::piped()).spawn().unwrap();
        let input = ssh.stdin.take().unwrap();
        Self { ssh, input }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
        self.input.flush().unwrap();
    }

    fn finish(mut self) -> bool {
        drop(self.input);
        self.ssh.wait().unwrap().success()
    }
}

#[test]
fn every_way_that_brings_a_package_in_order_is_followed() {
    let (node, cuts) = (Node::start(), Cuts::good(5));
    let source = |n| cuts.path(n);
    let ok = |n: u32, done: std::process::Output| {
        assert!(done.status.success(), "{n}: {}", shown(&done));
        node.wait_live(&cuts.path(n));
        assert!(was_ahead(&node), "{n}: {:#?}", node.ledger_of("verified").last());
    };
    ok(0, node.scp(&[], &[&source(0)], ""));
    ok(1, node.scp(&["-O"], &[&source(1)], ""));
    ok(2, node.sftp(&format!("put {}\n", source(2).display())));
    ok(3, node.exec(&format!("cat > {}", cuts.name(3)), &cuts.bytes(3)));
    let (path, name) = (source(4), cuts.name(4));
    ok(
        4,
        node.sftp(&format!(
            "put {} subiendo.tar.gz.part\nrename subiendo.tar.gz.part {name}\n",
            path.display()
        )),
    );
    let bytes = cuts.bytes(5);
    let mut half = Slow::start(&node, &cuts.name(5));
    half.send(&bytes[..bytes.len() / 2]);
    let partial = node.path(&format!("var/inbox/id/.~{}", cuts.name(5)));
    wait_for("half there", || partial.metadata().is_ok_and(|m| m.len() == bytes.len() as u64 / 2));
    half.ssh.kill().unwrap();
    half.ssh.wait().unwrap();
    ok(5, node.sftp(&format!("reput {}\n", source(5).display())));
    assert_eq!(tree(&node.path("www/current")), tree(cuts.unpacked(5).path()));
    assert_eq!(scratch(&node), 0);
    assert!(node.difusor(&["audit"]).status.success());
}

#[test]
fn the_other_ways_end_with_the_same_verdict() {
    let node = Node::start_with("[drop]\nahead = 0\n");
    let cuts = Cuts::good(0);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    assert!(!was_ahead(&node));
    let node = Node::start();
    let folder = cuts.unpacked(0);
    let zip = folder.path().join("20240602_2000_PREP_QROO.zip");
    let zipped = Command::new("zip").current_dir(folder.path()).args(["-qr"]).arg(&zip).arg(".").output();
    assert!(zipped.unwrap().status.success());
    let pushed = node.scp(&[], &[&zip], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&zip);
    assert!(!was_ahead(&node), "a zip is read from its end");
}

#[test]
fn a_refusal_is_the_same_whoever_looked_first() {
    let (first, late) = (Node::start(), Node::start_with("[drop]\nahead = 0\n"));
    let cuts = Cuts::good(1);
    let good = cuts.bytes(1);
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let cases = [
        ("cut short", good[..middle].to_vec()),
        ("damaged", damaged),
        ("more behind", [good.as_slice(), b"x"].concat()),
        ("a page", b"<html>502</html>".repeat(100)),
        ("older", cuts.bytes(0)),
    ];
    for node in [&first, &late] {
        assert!(node.exec(&format!("cat > {}", cuts.name(1)), &good).status.success());
        node.wait_live(&cuts.path(1));
    }
    for (n, (what, bytes)) in cases.iter().enumerate() {
        let name = if *what == "older" { cuts.name(0) } else { format!("20240602_23{n}0_PREP_QROO.tar.gz") };
        let [a, b] = [&first, &late].map(|node| node.exec(&format!("cat > {name}"), bytes));
        assert!(!a.status.success(), "{what}: {}", shown(&a));
        assert_eq!(shown(&a), shown(&b), "{what}");
    }
    let facts = |node: &Node| -> Vec<Value> {
        let lines = node
            .ledger()
            .into_iter()
            .filter(|l| ["rejected", "superseded"].contains(&l["ev"].as_str().unwrap()));
        lines.map(|l| serde_json::json!([l["ev"], l["code"], l["entry"], l["detail"]])).collect()
    };
    assert_eq!(facts(&first), facts(&late));
    assert_eq!(facts(&first).len(), cases.len());
    wait_for("without scratch", || scratch(&first) == 0);
}

#[test]
fn packages_at_once_are_followed_as_far_as_the_bound_allows() {
    let (node, cuts) = (Node::start_with("[drop]\nahead = 2\n"), Cuts::good(2));
    let mut slow: Vec<Slow> = (0..3).map(|n| Slow::start(&node, &cuts.name(n))).collect();
    for (n, slow) in slow.iter_mut().enumerate() {
        let bytes = cuts.bytes(n as u32);
        slow.send(&bytes[..bytes.len() - 1]);
        let partial = node.path(&format!("var/inbox/id/.~{}", cuts.name(n as u32)));
        wait_for("nearly there", || partial.metadata().is_ok_and(|m| m.len() + 1 == bytes.len() as u64));
    }
    let mut ahead = Vec::new();
    for (n, mut slow) in slow.into_iter().enumerate() {
        slow.send(&cuts.bytes(n as u32)[cuts.bytes(n as u32).len() - 1..]);
        assert!(slow.finish(), "{n}");
        node.wait_live(&cuts.path(n as u32));
        ahead.push(was_ahead(&node));
        // Each is whole, whatever it was built on.
        assert_eq!(tree(&node.path("www/current")), tree(cuts.unpacked(n as u32).path()));
    }
    // Which of them begins last is the clients' affair.
    assert_eq!(ahead.iter().filter(|is_ahead| **is_ahead).count(), 2);
    assert!(node.difusor(&["audit"]).status.success());
}

#[test]
fn a_client_that_vanishes_leaves_no_tree() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let bytes = cuts.bytes(0);
    let mut slow = Slow::start(&node, &cuts.name(0));
    slow.send(&bytes[..bytes.len() - 1]);
    wait_for("begun", || scratch(&node) == 1);
    slow.ssh.kill().unwrap();
    slow.ssh.wait().unwrap();
    wait_for("given up", || scratch(&node) == 0);
    assert!(node.ledger_of("received").is_empty());
}
