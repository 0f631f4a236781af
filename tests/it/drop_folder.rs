//! Packages that come into `var/drop` by any other hand: taken when whole, once (point 4).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, sha256, shown};

fn drop_of(node: &Node) -> PathBuf {
    node.path("var/drop")
}

/// `cp` or `mv`, as an operator types it.
fn by_hand(program: &str, from: &Path, to: &Path) {
    let done = Command::new(program).arg(from).arg(to).output().unwrap();
    assert!(done.status.success(), "{}", shown(&done));
}

/// Names in the drop.
fn left(node: &Node) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(drop_of(node))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn wait_rejected(node: &Node, code: &str) {
    let begun = Instant::now();
    while !node.ledger_of("rejected").iter().any(|l| l["code"] == code) {
        assert!(begun.elapsed() < PATIENCE, "{:?}\n{}", node.ledger(), node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_copy_and_a_move_are_taken_whole_and_leave_the_folder_empty() {
    let (node, cuts) = (Node::start(), Cuts::good(2));
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.wait_live(&cuts.path(0));
    let beside = node.path("var/llegó.tar.gz");
    std::fs::copy(cuts.path(1), &beside).unwrap();
    by_hand("mv", &beside, &drop_of(&node).join(cuts.name(1)));
    node.wait_live(&cuts.path(1));
    let part = drop_of(&node).join(format!("{}.part", cuts.name(2)));
    by_hand("cp", &cuts.path(2), &part);
    by_hand("mv", &part, &drop_of(&node).join(cuts.name(2)));
    node.wait_live(&cuts.path(2));
    assert_eq!(left(&node), [] as [&str; 0]);
    let received = node.ledger_of("received");
    assert!(received.iter().all(|l| l["sender"]["via"] == "drop"), "{received:?}");
    assert_eq!(received.len(), 3);
    for n in 0..=2 {
        let kept = node.path(&format!("var/history/{}.tar.gz", sha256(&cuts.path(n))));
        assert_eq!(std::fs::read(kept).unwrap(), cuts.bytes(n));
    }
}

#[test]
fn a_writer_that_reopens_its_file_is_waited_for() {
    let mut node = Node::prepare("");
    let cuts = Cuts::good(0);
    let config = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    std::fs::write(node.path("difusor.toml"), config.replace("settle = \"300ms\"", "settle = \"3s\""))
        .unwrap();
    node.up("run");
    // Forty pieces with pauses: longer in all than the settle time, each pause far shorter.
    let (file, bytes) = (drop_of(&node).join(cuts.name(0)), cuts.bytes(0));
    for piece in bytes.chunks(bytes.len().div_ceil(40)) {
        let mut end = std::fs::File::options().create(true).append(true).open(&file).unwrap();
        end.write_all(piece).unwrap();
        drop(end);
        std::thread::sleep(Duration::from_millis(100));
    }
    node.wait_live(&cuts.path(0));
    assert_eq!(node.ledger_of("received").len(), 1);
    assert!(node.ledger_of("rejected").is_empty());
}

#[test]
fn a_file_that_is_still_open_for_writing_is_left_alone_however_long_it_rests() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    let bytes = cuts.bytes(1);
    let mut open = std::fs::File::create(drop_of(&node).join(cuts.name(1))).unwrap();
    open.write_all(&bytes[..1000]).unwrap();
    // Another one that began later has rested and gone: so has this one.
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.wait_live(&cuts.path(0));
    assert_eq!(left(&node), [cuts.name(1)]);
    open.write_all(&bytes[1000..]).unwrap();
    drop(open);
    node.wait_live(&cuts.path(1));
    assert!(node.ledger_of("rejected").is_empty());
}

#[test]
fn sums_that_agree_go_with_their_package() {
    let (node, cuts) = (Node::start(), Cuts::good(2));
    let name = cuts.name(0);
    std::fs::write(
        drop_of(&node).join(format!("{name}.sha256")),
        format!("{}  {name}\n", sha256(&cuts.path(0))),
    )
    .unwrap();
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.wait_live(&cuts.path(0));
    for (n, program, end) in [(1, "sha512sum", "sha512"), (2, "md5sum", "md5")] {
        let dir = cuts.path(n).parent().unwrap().to_owned();
        let sum = Command::new(program).current_dir(dir).arg(cuts.name(n)).output().unwrap();
        std::fs::write(drop_of(&node).join(format!("{}.{end}", cuts.name(n))), sum.stdout).unwrap();
        by_hand("cp", &cuts.path(n), &drop_of(&node));
        node.wait_live(&cuts.path(n));
    }
    assert_eq!(left(&node), [] as [&str; 0]);
}

#[test]
fn a_sum_that_disagrees_is_one_refusal_and_the_right_sum_mends_it() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.wait_live(&cuts.path(0));
    let name = cuts.name(1);
    let sum = drop_of(&node).join(format!("{name}.sha256"));
    std::fs::write(&sum, format!("{}  {name}\n", sha256(&cuts.path(0)))).unwrap();
    by_hand("cp", &cuts.path(1), &drop_of(&node));
    wait_rejected(&node, "SIDECAR_MISMATCH");
    assert_eq!(left(&node), [] as [&str; 0], "neither comes back");
    node.wait_live(&cuts.path(0));
    std::fs::write(&sum, format!("{}  {name}\n", sha256(&cuts.path(1)))).unwrap();
    by_hand("cp", &cuts.path(1), &drop_of(&node));
    node.wait_live(&cuts.path(1));
    assert_eq!(node.ledger_of("rejected").len(), 1);
}

#[test]
fn a_truncated_package_is_refused_once_and_does_not_come_back() {
    let (mut node, cuts) = (Node::start(), Cuts::good(2));
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.wait_live(&cuts.path(0));
    std::fs::write(drop_of(&node).join(cuts.name(1)), &cuts.bytes(1)[..5000]).unwrap();
    wait_rejected(&node, "TRUNCATED");
    node.wait_live(&cuts.path(0));
    node.stop();
    node.up("run");
    // What comes after a restart is taken; what was refused is not taken again.
    by_hand("cp", &cuts.path(2), &drop_of(&node));
    node.wait_live(&cuts.path(2));
    assert_eq!(left(&node), [] as [&str; 0]);
    assert_eq!(node.ledger_of("rejected").len(), 1);
    assert_eq!(node.ledger_of("received").len(), 3);
}

#[test]
fn what_has_no_packages_name_or_is_no_file_is_left_where_it_is() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let at = |name: &str| drop_of(&node).join(name);
    for junk in
        ["notas.txt", ".oculto.tar.gz", "x.tar.gz.part", "x.tar.gz.filepart", "Thumbs.db", "~x.tar.gz.tmp"]
    {
        std::fs::copy(cuts.path(0), at(junk)).unwrap();
    }
    std::fs::create_dir(at("carpeta.tar.gz")).unwrap();
    std::os::unix::fs::symlink(cuts.path(0), at("enlace.tar.gz")).unwrap();
    assert!(Command::new("mkfifo").arg(at("tubo.tar.gz")).status().unwrap().success());
    let before = left(&node);
    assert_eq!(before.len(), 9);
    by_hand("cp", &cuts.path(0), &at("bueno.tar.gz"));
    node.wait_live(&cuts.path(0));
    assert_eq!(left(&node), before);
    assert_eq!(node.ledger_of("received").len(), 1);
    let told = node.ledger_of("warning");
    for odd in ["carpeta.tar.gz", "enlace.tar.gz", "tubo.tar.gz"] {
        assert_eq!(told.iter().filter(|l| l["name"] == odd).count(), 1, "{told:?}");
    }
}

#[test]
fn what_lay_there_before_the_start_is_taken_at_the_start() {
    let mut node = Node::prepare("");
    let cuts = Cuts::good(1);
    by_hand("cp", &cuts.path(0), &drop_of(&node));
    node.up("run");
    node.wait_live(&cuts.path(0));
    // And what came while the service was down.
    node.stop();
    by_hand("cp", &cuts.path(1), &drop_of(&node));
    node.up("run");
    node.wait_live(&cuts.path(1));
    assert_eq!(left(&node), [] as [&str; 0]);
}

#[test]
fn names_follow_the_configured_pattern() {
    let node = Node::start_with("[package]\nnames = [\"PREP_*.tar.gz\"]\n");
    let cuts = Cuts::good(0);
    std::fs::copy(cuts.path(0), drop_of(&node).join("otra-cosa.tar.gz")).unwrap();
    by_hand("cp", &cuts.path(0), &drop_of(&node).join("PREP_2000.tar.gz"));
    node.wait_live(&cuts.path(0));
    assert_eq!(left(&node), ["otra-cosa.tar.gz"]);
}

#[test]
fn an_unwatched_folder_is_left_alone() {
    let node = Node::start_with("[drop]\nwatch = false\n");
    let cuts = Cuts::good(1);
    by_hand("cp", &cuts.path(1), &drop_of(&node));
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(0));
    assert_eq!(left(&node), [cuts.name(1)]);
}
