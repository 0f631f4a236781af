//! `--remove-source-files` with a tree: a file leaves the institute's disk once readers have it, and
//! not before.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, shown};
use crate::rsync_daemon::{address, module};
use crate::rsync_ssh::{at, inside, remote_shell};
use crate::rsync_transactions::{noise, wait_bytes, wait_quiet};

/// The ways into one site.
const WAYS: [&str; 2] = ["ssh", "daemon"];

fn node(more: &str) -> Node {
    Node::start_with(&format!("{more}[rsync]\nlisten = [\"127.0.0.1:0\"]\n{}", module("prep", "/sitio", "")))
}

fn push(node: &Node, way: &str, options: &[&str], source: &Path) -> Command {
    let mut rsync = Command::new("rsync");
    rsync.env("RSYNC_RSH", remote_shell(node)).args(["-a", "--remove-source-files"]).args(options);
    rsync.arg(inside(source)).arg(match way {
        "ssh" => at("sitio/"),
        _ => format!("rsync://{}/prep/", address(node, "rsync")),
    });
    rsync
}

fn said(mut rsync: Command) -> Output {
    rsync.output().unwrap()
}

#[test]
fn a_published_tree_is_gone_from_its_source() {
    let (node, cuts) = (node(""), Cuts::good(1));
    for (n, way) in (0..).zip(WAYS) {
        let source = cuts.unpacked(n);
        let sent = tree(source.path());
        let pushed = said(push(&node, way, &["--delete"], source.path()));
        assert!(pushed.status.success(), "{way}: {}\n{}", shown(&pushed), node.log());
        assert!(tree(source.path()).is_empty(), "{way}: {:?}", tree(source.path()).keys());
        assert_eq!(tree(&node.path("www/current")), sent, "{way}");
    }
}

#[test]
fn a_refused_tree_stays_at_its_source() {
    let (node, cuts) = (node(""), Cuts::good(1));
    let live = cuts.unpacked(0);
    let pushed = said(push(&node, "ssh", &[], live.path()));
    assert!(pushed.status.success(), "{}", shown(&pushed));
    let before = tree(&node.path("www/current"));
    for way in WAYS {
        let source = cuts.unpacked(1);
        std::fs::remove_file(source.path().join("index.html")).unwrap();
        let kept = tree(source.path());
        let refused = said(push(&node, way, &["--delete"], source.path()));
        assert_eq!(refused.status.code(), Some(23), "{way}: {}", shown(&refused));
        assert!(shown(&refused).contains("rechazado"), "{way}: {}", shown(&refused));
        assert_eq!(tree(source.path()), kept, "{way}: nothing left its source");
        assert_eq!(tree(&node.path("www/current")), before, "{way}");
    }
}

#[test]
fn a_broken_push_takes_nothing_from_its_source() {
    let (node, cuts) = (node(""), Cuts::good(0));
    for way in WAYS {
        let source = cuts.unpacked(0);
        // Sorted behind all that came whole by then.
        std::fs::create_dir(source.path().join("zz")).unwrap();
        std::fs::write(source.path().join("zz/large.bin"), noise(3 << 20, 5)).unwrap();
        let kept = tree(source.path());
        let mut rsync = push(&node, way, &["--bwlimit=1000"], source.path());
        let mut pushing = rsync.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_bytes(&node, "var/incoming", 1 << 20);
        pushing.kill().unwrap();
        pushing.wait().unwrap();
        wait_quiet(&node);
        assert_eq!(tree(source.path()), kept, "{way}");
        assert!(!node.path("www/current/zz").exists());
    }
}

#[test]
fn a_push_whose_verdict_is_not_waited_for_keeps_its_source() {
    let (node, source) = (node("[ssh]\nverdict-wait = \"0s\"\n"), Cuts::good(0).unpacked(0));
    let kept = tree(source.path());
    let pushed = said(push(&node, "ssh", &[], source.path()));
    assert!(pushed.status.success() && shown(&pushed).contains("pendiente"), "{}", shown(&pushed));
    assert_eq!(tree(source.path()), kept);
}
