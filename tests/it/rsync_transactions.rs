//! A push by rsync is all or nothing, and what broke off is not sent twice.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, PATIENCE, shown};
use crate::rsync_ssh::{at, cuts_shown, inside, remote_shell, rsync, stat};

/// Bytes that no compression or chance makes shorter.
pub fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

/// A live site, and a folder that is its next state with one large file more.
fn site(node: &Node) -> (Cuts, tempfile::TempDir) {
    let cuts = Cuts::good(0);
    let source = cuts.unpacked(0);
    let pushed = rsync(node, &["-a"], &[&inside(source.path()), &at("sitio/")]);
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    std::fs::create_dir(source.path().join("descargas")).unwrap();
    std::fs::write(source.path().join("descargas/base.bin"), noise(3 << 20, 5)).unwrap();
    (cuts, source)
}

/// A push that goes on slowly until it is killed.
fn slow_push(node: &Node, source: &Path, target: &str) -> Child {
    let mut rsync = Command::new("rsync");
    rsync.env("RSYNC_RSH", remote_shell(node)).args(["-a", "--bwlimit=400"]);
    rsync.args([&inside(source), &at(target)]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until this much lies in files below a folder whose names begin so.
pub fn wait_bytes(node: &Node, folder: &str, wanted: u64) {
    fn bytes(path: &Path) -> u64 {
        let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
        if !meta.is_dir() {
            return meta.len();
        }
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| bytes(&entry.path())).sum()
    }
    let begun = Instant::now();
    while bytes(&node.path(folder)) < wanted {
        assert!(begun.elapsed() < PATIENCE, "never {wanted} bytes in {folder}\n{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until nothing is on its way any more.
pub fn wait_quiet(node: &Node) {
    let begun = Instant::now();
    while std::fs::read_dir(node.path("var/incoming")).unwrap().next().is_some() {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_push_leaves_the_old_cut_and_the_next_one_goes_on() {
    let node = Node::start();
    let (_cuts, source) = site(&node);
    let before = tree(&node.path("www/current"));
    let mut push = slow_push(&node, source.path(), "sitio/");
    wait_bytes(&node, "var/incoming", 1 << 20);
    assert_eq!(tree(&node.path("www/current")), before, "nothing is seen of a push on its way");
    push.kill().unwrap();
    push.wait().unwrap();
    wait_quiet(&node);
    assert_eq!(tree(&node.path("www/current")), before);
    assert_eq!(cuts_shown(&node), 1);
    let resumed = rsync(&node, &["-a", "--stats"], &[&inside(source.path()), &at("sitio/")]);
    assert!(resumed.status.success(), "{}\n{}", shown(&resumed), node.log());
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
    assert!(stat(&resumed, "Literal data") < (5 << 20) / 2, "a third was there: {}", shown(&resumed));
    assert!(stat(&resumed, "Matched data") > 900 << 10, "{}", shown(&resumed));
}

#[test]
fn a_package_that_broke_off_is_gone_on_with() {
    let (node, scratch) = (Node::start(), tempfile::tempdir().unwrap());
    let package = scratch.path().join("corte.tar.gz");
    std::fs::write(&package, noise(3 << 20, 9)).unwrap();
    let mut push = slow_push(&node, scratch.path(), "paquetes/");
    wait_bytes(&node, "var/inbox", 1 << 20);
    push.kill().unwrap();
    push.wait().unwrap();
    let resumed = rsync(&node, &["-t", "--stats"], &[&package.display().to_string(), &at("paquetes/")]);
    assert!(shown(&resumed).contains("rechazado en integridad"), "whole, and no gzip: {}", shown(&resumed));
    assert!(stat(&resumed, "Matched data") > 900 << 10, "{}", shown(&resumed));
}

#[test]
fn a_package_of_a_new_name_travels_as_its_difference() {
    let (node, scratch) = (Node::start(), tempfile::tempdir().unwrap());
    let mut bytes = noise(1 << 20, 11);
    let push = |name: &str, bytes: &[u8]| {
        let path: PathBuf = scratch.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        rsync(&node, &["-t", "--stats"], &[&path.display().to_string(), &at("paquetes/")])
    };
    let first = push("20:00.tar.gz", &bytes);
    assert_eq!(stat(&first, "Literal data"), 1 << 20, "{}", shown(&first));
    bytes[500_000..500_010].fill(0);
    let second = push("20:15.tar.gz", &bytes);
    assert!(stat(&second, "Literal data") < 10_000, "{}", shown(&second));
    let kept = node.ledger_of("received");
    assert_eq!(kept.len(), 2);
    let id = kept[1]["package"].as_str().unwrap();
    assert_eq!(std::fs::read(node.path(&format!("var/history/{id}.tar.gz"))).unwrap(), bytes);
}

#[test]
fn two_pushes_at_once_wait_or_are_refused() {
    for (more, waits) in [("", true), ("[drop]\ntree-busy = \"refuse\"\n", false)] {
        let node = Node::start_with(more);
        let (_cuts, source) = site(&node);
        let mut ssh = Command::new("ssh");
        ssh.args(node.ssh_options("id")).args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1"]);
        ssh.arg("mkdir sitio/turno; echo dentro; cat > sitio/turno/x.txt");
        let mut holder = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "dentro");
        let push = || rsync(&node, &["-a"], &[&inside(source.path()), &at("sitio/")]);
        let pushed = std::thread::scope(|scope| {
            let pushing = scope.spawn(push);
            if waits {
                drop(holder.stdin.take());
            }
            pushing.join().unwrap()
        });
        assert_eq!(pushed.status.success(), waits, "{}", shown(&pushed));
        assert_eq!(shown(&pushed).contains("TREE_BUSY"), !waits, "{}", shown(&pushed));
        drop(holder.stdin.take());
        holder.wait().unwrap();
    }
}

#[test]
fn a_source_that_is_not_whole_publishes_nothing() {
    let node = Node::start();
    let (_cuts, source) = site(&node);
    let before = tree(&node.path("www/current"));
    std::os::unix::fs::symlink("no-existe", source.path().join("roto.html")).unwrap();
    let pushed = rsync(&node, &["-aL"], &[&inside(source.path()), &at("sitio/")]);
    assert_eq!(pushed.status.code(), Some(23), "{}", shown(&pushed));
    assert!(shown(&pushed).contains("lo anterior sigue vigente"), "{}", shown(&pushed));
    assert_eq!(tree(&node.path("www/current")), before);
}

/// The script that counts on rsync's own code for this limit gets it, and a site that is whole.
#[test]
fn deletions_beyond_the_limit_publish_nothing_and_end_with_25() {
    let node = Node::start();
    let (_cuts, source) = site(&node);
    let before = tree(&node.path("www/current"));
    std::fs::remove_dir_all(source.path().join("assets")).unwrap();
    for way in ["--delete", "--delete-after", "--delete-delay"] {
        let pushed = rsync(&node, &["-a", way, "--max-delete=1"], &[&inside(source.path()), &at("sitio/")]);
        assert_eq!(pushed.status.code(), Some(25), "{way}: {}", shown(&pushed));
        assert!(shown(&pushed).contains("lo anterior sigue vigente"), "{way}: {}", shown(&pushed));
        assert_eq!(tree(&node.path("www/current")), before, "{way}");
    }
}

#[test]
fn a_link_in_the_source_becomes_its_content() {
    let node = Node::start();
    let (_cuts, source) = site(&node);
    std::os::unix::fs::symlink("index.html", source.path().join("inicio.html")).unwrap();
    let push = |options: &[&str]| rsync(&node, options, &[&inside(source.path()), &at("sitio/")]);
    let pushed = push(&["-a"]);
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    let read = |name: &str| std::fs::read(node.path("www/current").join(name)).unwrap();
    assert_eq!(read("inicio.html"), read("index.html"));
    assert!(std::fs::symlink_metadata(node.path("www/current/inicio.html")).unwrap().is_file());
    let again = push(&["-ai"]);
    assert!(again.status.success() && !shown(&again).contains("inicio.html"), "{}", shown(&again));
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("fuera.html")).unwrap();
    let refused = push(&["-a"]);
    assert_eq!(refused.status.code(), Some(23), "{}", shown(&refused));
    assert!(!node.path("www/current/fuera.html").exists());
}
