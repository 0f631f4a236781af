//! Hostile pushes by rsync through the doors of the service: what the protocol's own tests cannot show.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, shown};
use crate::rsync_daemon::{knock, module, start, until};
use crate::rsync_ssh::{at, inside, rsync};

/// Swaps what lies in a directory with a link that leads out, and back.
fn flip(dir: &Path, link: &Path) -> u64 {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    names
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| {
            let swap = || renameat_with(CWD, entry.path(), CWD, link, RenameFlags::EXCHANGE).is_ok();
            swap() && {
                std::thread::yield_now();
                swap()
            }
        })
        .count() as u64
}

/// CVE-2026-53796, CVE-2026-53799 and their like: somebody with the service's own rights turns its
/// staging, its inboxes and its shelves into links while pushes write there.
#[test]
fn a_staging_that_turns_into_a_link_leads_nowhere() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    let (first, second) = (cuts.unpacked(0), cuts.unpacked(1));
    let outside = tempfile::tempdir_in(node.path("var").parent().unwrap()).unwrap();
    std::fs::create_dir(outside.path().join("target")).unwrap();
    let link = outside.path().join("link");
    std::os::unix::fs::symlink(outside.path().join("target"), &link).unwrap();
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for dir in ["var/incoming", "var/inbox", "var/inbox/id", "var/partial", "var/partial/id"] {
                    swaps.fetch_add(flip(&node.path(dir), &link), Ordering::Relaxed);
                }
            }
        });
        for round in 0..20 {
            let source = [&first, &second][round % 2];
            std::fs::write(source.path().join("ronda.txt"), round.to_string()).unwrap();
            // It may fail: what matters is where nothing is written.
            rsync(&node, &["-a", "--delete"], &[&inside(source.path()), &at("sitio/")]);
            rsync(
                &node,
                &["-t"],
                &[&source.path().join("ronda.txt").display().to_string(), &at("paquetes/n.txt")],
            );
            assert!(tree(&outside.path().join("target")).is_empty(), "round {round}: written outside");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(swaps.load(Ordering::Relaxed) > 100, "the attacker hardly came to it");
    // Two rounds of one second are told apart by their content only.
    let pushed = rsync(&node, &["-ac", "--delete"], &[&inside(second.path()), &at("sitio/")]);
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    assert_eq!(tree(&node.path("www/current")), tree(second.path()), "and the next push is whole");
    assert!(tree(&outside.path().join("target")).is_empty());
}

/// CVE-2026-53788, CVE-2026-53790.
#[test]
fn names_that_steer_a_terminal_are_written_down_harmless() {
    let mut node = Node::start();
    let source = Cuts::good(0).unpacked(0);
    let name = "\u{1b}[2J\u{9b}31m\r\n{\"ev\":\"published\"}.html";
    std::fs::write(source.path().join(name), "x").unwrap();
    let refused = rsync(&node, &["-a"], &[&inside(source.path()), &at("sitio/")]);
    assert_eq!(refused.status.code(), Some(23), "{}", shown(&refused));
    let one = source.path().join(name).display().to_string();
    rsync(&node, &["-t"], &[&one, &at("paquetes/")]);
    node.stop();
    let written = [node.log(), std::fs::read_to_string(node.path("var/ledger/ledger.jsonl")).unwrap()];
    for text in written {
        let odd = text.chars().find(|c| c.is_control() && *c != '\n');
        assert!(odd.is_none(), "{odd:?} in {text}");
    }
    assert!(node.ledger_of("published").iter().all(|line| line["cut"].is_null()), "no line of theirs");
}

/// CVE-2026-53789: what `--delete` sweeps is what the command line named.
#[test]
fn deletion_reaches_no_further_than_the_destination_that_was_named() {
    let node = Node::start();
    let source = Cuts::good(0).unpacked(0);
    let live = node.path("www/current");
    let pushed = rsync(&node, &["-a"], &[&inside(source.path()), &at("sitio/")]);
    assert!(pushed.status.success(), "{}", shown(&pushed));
    let before = tree(&live);
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(scratch.path().join("extra/hondo")).unwrap();
    std::fs::write(scratch.path().join("extra/hondo/x.html"), "x").unwrap();
    // -R implies `extra`, which is not the sender's to sweep; `hondo` is.
    let relative = format!("{}/./extra/hondo", scratch.path().display());
    for (options, from, to) in [
        (["-aR", "--delete"], relative.as_str(), "sitio/"),
        (["-aR", "--delete-after"], relative.as_str(), "sitio/"),
        (["-a", "--delete"], &*inside(&scratch.path().join("extra")), "sitio/extra/"),
    ] {
        let pushed = rsync(&node, &options, &[from, &at(to)]);
        assert!(pushed.status.success(), "{options:?}: {}", shown(&pushed));
        let mut now = tree(&live);
        assert!(now.remove("extra/hondo/x.html").is_some(), "{:?}", now.keys());
        assert_eq!(now, before, "{options:?} {to}");
    }
    let empty = tempfile::tempdir().unwrap();
    let refused = rsync(&node, &["-a", "--delete"], &[&inside(empty.path()), &at("sitio/")]);
    assert!(!refused.status.success(), "{}", shown(&refused));
    assert!(tree(&live).len() > before.len(), "an empty folder empties no site");
}

/// CVE-2026-70464, behind the greeting: a byte now and then is no silence, and holds no place.
#[test]
fn a_sender_that_trickles_its_list_is_cut() {
    let node =
        start(&format!("list-within = \"600ms\"\n{}", module("prep", "/sitio", "max-connections = 1\n")));
    let mut socket = knock(&node);
    until(&mut socket, "\n");
    socket.write_all(b"@RSYNCD: 31.0\nprep\n").unwrap();
    until(&mut socket, "@RSYNCD: OK\n");
    socket.write_all(b"--server\0-ltpr\0.\0prep/\0\0").unwrap();
    let mut theirs = socket.try_clone().unwrap();
    // A frame of data that announces more than ever comes, and in it a name, letter by letter.
    let trickle = std::thread::spawn(move || {
        let _ = theirs.write_all(&[&(7_u32 << 24 | 0xffff).to_le_bytes()[..], &[1, 255]].concat());
        while theirs.write_all(b"n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    assert!(String::from_utf8_lossy(&said).contains("tiempo agotado"), "{}", String::from_utf8_lossy(&said));
    drop(socket);
    trickle.join().unwrap();
    let mut next = knock(&node);
    until(&mut next, "\n");
    next.write_all(b"@RSYNCD: 31.0\nprep\n").unwrap();
    until(&mut next, "@RSYNCD: OK\n");
}
