//! What a kill, at any moment, costs: nothing that was accepted and nothing that is seen (T-14).

use std::time::{Duration, Instant};

use crate::cuts::Cuts;
use crate::night::{Node, shown};
use crate::reader::{Readers, right_answers};

/// Every call by which the receiving half changes what is on disk.
const STEPS: [&str; 8] =
    ["renameat", "renameat2", "linkat", "symlinkat", "unlinkat", "fsync", "fdatasync", "syncfs"];

#[test]
fn killing_the_receiving_half_costs_readers_nothing() {
    let mut node = Node::prepare("");
    node.up("serve");
    node.up("receive");
    let cuts = Cuts::good(1);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    node.kill(Some("receive"));
    for _ in 0..20 {
        assert_eq!(node.get("/index.html").status, 200);
    }
    node.up("receive");
    assert!(node.scp(&[], &[&cuts.path(1)], "").status.success());
    node.wait_live(&cuts.path(1));
}

#[test]
fn a_package_whose_sender_was_told_yes_survives_kill_9() {
    let (mut node, cuts) = (Node::start(), Cuts::good(2));
    for n in 0..=2 {
        let pushed = node.exec(&format!("cat > {}", cuts.name(n)), &cuts.bytes(n));
        assert!(pushed.status.success(), "{}", shown(&pushed));
        node.kill(None);
        let begun = Instant::now();
        node.up("run");
        assert!(begun.elapsed() < Duration::from_secs(10), "a restart serves at once");
        node.wait_live(&cuts.path(n));
    }
    assert!(node.difusor(&["ledger", "verify"]).status.success());
}

#[test]
fn a_second_instance_on_the_same_store_is_refused() {
    let node = Node::start();
    let second = node.difusor(&["receive"]);
    assert!(!second.status.success(), "{}", shown(&second));
    assert!(shown(&second).contains(&node.pid().to_string()), "{}", shown(&second));
}

/// The receiving half is killed at its first, second, third… call of each kind, until a push
/// passes without reaching that many; a reader looks on all the time.
#[test]
fn a_kill_at_any_step_loses_nothing_and_shows_nothing_half() {
    let mut node = Node::prepare("");
    node.up("serve");
    node.up("receive");
    let last = 96;
    let cuts = Cuts::good(last);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let readers = Readers::start(2, node.https, right_answers(&cuts, 0..=last));
    let (mut cut, mut kills) = (0, 0);
    for step in STEPS {
        for times in 1.. {
            cut += 1;
            assert!(cut <= last, "{step} is reached more than {times} times: more steps than cuts");
            node.kill(Some("receive"));
            node.up_traced("receive", &format!("inject={step}:signal=SIGKILL:when={times}"));
            let pushed = node.exec(&format!("cat > {}", cuts.name(cut)), &cuts.bytes(cut));
            let killed = node.has_died("receive");
            kills += usize::from(killed);
            node.kill(Some("receive"));
            node.up("receive");
            if !pushed.status.success() {
                let again = node.exec(&format!("cat > {}", cuts.name(cut)), &cuts.bytes(cut));
                assert!(again.status.success(), "{step} {times}: {}", shown(&again));
            }
            node.wait_live(&cuts.path(cut));
            assert!(node.difusor(&["ledger", "verify"]).status.success(), "{step} {times}");
            if !killed {
                break;
            }
        }
    }
    let (answers, wrong) = readers.finish();
    assert!(wrong.is_empty(), "{} of {answers}: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(kills >= 8, "only {kills} kills");
    assert!(node.difusor(&["audit"]).status.success());
}
