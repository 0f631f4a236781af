//! A refusal says what, where and what to do, and the site keeps the last good cut (T-09, T-10).

use crate::cuts::Cuts;
use crate::night::{Node, shown};

#[test]
fn a_broken_package_is_refused_to_its_sender_and_the_site_stays() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let mut broken = cuts.bytes(1);
    let middle = broken.len() / 2;
    broken[middle] ^= 0x40;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("20240602_2115_PREP.tar.gz");
    std::fs::write(&file, &broken).unwrap();
    for options in [&[] as &[&str], &["-O"]] {
        let pushed = node.scp(options, &[&file], "");
        assert!(!pushed.status.success(), "{}", shown(&pushed));
        assert!(shown(&pushed).contains("rechazado en integridad"), "{}", shown(&pushed));
    }
    let cut_short = node.exec("cat > corto.tar.gz", &cuts.bytes(1)[..1000]);
    assert_eq!(cut_short.status.code(), Some(1), "{}", shown(&cut_short));
    assert!(shown(&cut_short).contains("TRUNCATED"), "{}", shown(&cut_short));
    let rejected = node.ledger_of("rejected");
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    node.wait_live(&cuts.path(0));
    assert_eq!(node.get("/index.html").status, 200);
    // What was refused is kept too.
    assert!(node.path(&format!("var/history/{}.tar.gz", crate::night::sha256(&file))).exists());
}

#[test]
fn an_older_cut_is_stored_and_not_shown() {
    let (node, cuts) = (Node::start(), Cuts::good(2));
    assert!(node.scp(&[], &[&cuts.path(2)], "").status.success());
    node.wait_live(&cuts.path(2));
    let older = node.scp(&[], &[&cuts.path(0)], "");
    assert!(shown(&older).contains("CUT_OLDER"), "{}", shown(&older));
    node.wait_live(&cuts.path(2));
    assert!(node.path(&format!("var/history/{}.tar.gz", crate::night::sha256(&cuts.path(0)))).exists());
}

#[test]
fn the_same_package_again_is_recognised() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    let again = node.scp(&[], &[&cuts.path(0)], "");
    assert!(again.status.success(), "{}", shown(&again));
    assert_eq!(node.ledger_of("published").iter().filter(|l| l["package"].is_string()).count(), 1);
}

#[test]
fn a_command_outside_the_set_ends_with_127_and_one_sentence() {
    let node = Node::start();
    let refused = node.exec("perl -e 'print 1'", b"");
    assert_eq!(refused.status.code(), Some(127), "{}", shown(&refused));
    assert_eq!(String::from_utf8_lossy(&refused.stderr).trim().lines().count(), 1, "{}", shown(&refused));
    let explained = node.difusor(&["explain", "cd paquetes && perl -e 1"]);
    assert!(shown(&explained).contains("127"), "{}", shown(&explained));
}
