//! Sums that come after their package: compared, told to their sender, shown to the operator.

use std::path::{Path, PathBuf};

use crate::cuts::Cuts;
use crate::night::{Node, sha256, shown};

/// A sums file of this name in a new folder.
fn sums(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn doubts(node: &Node) -> usize {
    node.ledger_of("warning").iter().filter(|line| line["what"] == "sum_disagrees").count()
}

fn status(node: &Node) -> String {
    shown(&node.difusor(&["status"]))
}

#[test]
fn a_late_sum_that_agrees_is_put_on_record() {
    let (node, cuts, dir) = (Node::start(), Cuts::good(1), tempfile::tempdir().unwrap());
    let name = cuts.name(0);
    let sum = sums(&dir, &format!("{name}.sha256"), &format!("{}  {name}\n", sha256(&cuts.path(0))));
    // As `scp p.tar.gz p.tar.gz.sha256 HOST:` does, in one session.
    let pushed = node.scp(&[], &[&cuts.path(0), &sum], "");
    assert!(pushed.status.success() && shown(&pushed).contains("la suma coincide"), "{}", shown(&pushed));
    assert_eq!(node.ledger_of("summed").len(), 1);
    // A list, renamed from a temporary name, by command line.
    assert!(node.scp(&[], &[&cuts.path(1)], "paquetes/").status.success());
    let line = format!("{}  {}\n", sha256(&cuts.path(1)), cuts.name(1));
    let told = node.exec("cd paquetes && cat > .x.tmp && mv .x.tmp SHA256SUMS", line.as_bytes());
    assert!(told.status.success() && shown(&told).contains("la suma coincide"), "{}", shown(&told));
    assert_eq!((node.ledger_of("summed").len(), doubts(&node)), (2, 0));
    assert!(!status(&node).contains("atención"), "{}", status(&node));
}

#[test]
fn a_late_sum_that_disagrees_is_refused_and_the_cut_is_flagged() {
    let (mut node, cuts, dir) = (Node::start(), Cuts::good(0), tempfile::tempdir().unwrap());
    let name = cuts.name(0);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    let side = format!("{name}.md5");
    let wrong = sums(&dir, &side, "d41d8cd98f00b204e9800998ecf8427e\n");
    for options in [&[] as &[&str], &["-O"]] {
        let refused = node.scp(options, &[&wrong], "");
        assert!(!refused.status.success(), "{}", shown(&refused));
        assert!(shown(&refused).contains("SIDECAR_MISMATCH"), "{}", shown(&refused));
    }
    assert_eq!(doubts(&node), 2);
    // Readers keep what was published, whose container was whole.
    node.wait_live(&cuts.path(0));
    for _ in 0..2 {
        assert!(status(&node).contains(&format!("lo contradice la suma «{side}»")), "{}", status(&node));
        node.stop();
        node.up("run");
    }
    // It was the sum that was wrong: it goes, the package comes once more, and a right one.
    assert!(node.exec("rm *.md5", b"").status.success());
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    let right = sums(&dir, &format!("{name}.sha256"), &format!("{}\n", sha256(&cuts.path(0))));
    let agreed = node.scp(&[], &[&right], "");
    assert!(agreed.status.success() && shown(&agreed).contains("coincide"), "{}", shown(&agreed));
    assert!(!status(&node).contains("atención"), "{}", status(&node));
}

#[test]
fn the_sum_of_the_next_cut_is_not_held_against_the_last() {
    let (node, cuts, dir) = (Node::start(), Cuts::good(2), tempfile::tempdir().unwrap());
    // Sums first, always under the same two names.
    for n in 0..=2 {
        let package = dir.path().join("prep.tar.gz");
        std::fs::copy(cuts.path(n), &package).unwrap();
        let sum = sums(&dir, "prep.tar.gz.sha256", &format!("{}\n", sha256(&package)));
        for file in [&sum, &package] {
            let pushed = node.scp(&[], &[file as &Path], "");
            assert!(pushed.status.success(), "{n}: {}", shown(&pushed));
        }
        node.wait_live(&package);
    }
    assert_eq!((node.ledger_of("summed").len(), doubts(&node)), (0, 0));
}

#[test]
fn sums_late_in_the_watched_folder_are_compared_too() {
    let (node, cuts, dir) = (Node::start(), Cuts::good(1), tempfile::tempdir().unwrap());
    for (n, text) in [(0, sha256(&cuts.path(0))), (1, sha256(&cuts.path(0)))] {
        let name = cuts.name(n);
        std::fs::copy(cuts.path(n), node.path(&format!("var/drop/{name}"))).unwrap();
        node.wait_live(&cuts.path(n));
        let sum = sums(&dir, &format!("{name}.sha256"), &text);
        std::fs::copy(sum, node.path(&format!("var/drop/{name}.sha256"))).unwrap();
        let begun = std::time::Instant::now();
        while node.ledger_of("summed").len() + doubts(&node) <= n as usize {
            assert!(begun.elapsed() < crate::night::PATIENCE, "{:?}", node.ledger());
            std::thread::yield_now();
        }
    }
    assert_eq!((node.ledger_of("summed").len(), doubts(&node)), (1, 1));
    assert!(status(&node).contains("lo contradice la suma"), "{}", status(&node));
}
