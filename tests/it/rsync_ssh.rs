//! Stock rsync through the SSH door: trees, packages, words of every kind.

use std::path::Path;
use std::process::{Command, Output};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, shown};

/// `rsync` with these options over the SSH door; the last words are sources and target.
pub fn rsync(node: &Node, options: &[&str], words: &[&str]) -> Output {
    let mut rsync = Command::new("rsync");
    rsync.env("RSYNC_RSH", remote_shell(node)).env_remove("RSYNC_PASSWORD").args(options).args(words);
    rsync.output().unwrap()
}

/// The remote shell of this node, as one word of a command line.
pub fn remote_shell(node: &Node) -> String {
    format!("ssh {} -p {}", node.ssh_options("id").join(" "), node.ssh.port())
}

/// `path` below the virtual root, as rsync names it.
pub fn at(path: &str) -> String {
    format!("prep@127.0.0.1:{path}")
}

/// A number that `--stats` prints.
#[track_caller]
pub fn stat(output: &Output, name: &str) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    line.and_then(|line| digits(line.split(' ').next()?).parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {}", shown(output)))
}

/// How often a swap showed a cut: the waiting page is none.
pub fn cuts_shown(node: &Node) -> usize {
    node.ledger_of("published").iter().filter(|line| !line["cut"].is_null()).count()
}

/// A folder as the source of a push of its content.
pub fn inside(folder: &Path) -> String {
    format!("{}/", folder.display())
}

#[test]
fn a_tree_is_one_cut_and_the_same_tree_again_is_nothing() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    let (first, second) = (cuts.unpacked(0), cuts.unpacked(1));
    let push = |source: &Path, options: &[&str]| {
        let pushed = rsync(&node, options, &[&inside(source), &at("sitio/")]);
        assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
        pushed
    };
    let pushed = push(first.path(), &["-a", "--delete"]);
    assert!(shown(&pushed).contains("publicado"), "{}", shown(&pushed));
    assert_eq!(tree(&node.path("www/current")), tree(first.path()));
    assert_eq!(cuts_shown(&node), 1);
    let again = push(first.path(), &["-ai", "--delete", "--stats"]);
    assert_eq!(stat(&again, "Literal data"), 0, "{}", shown(&again));
    assert_eq!(stat(&again, "Number of regular files transferred"), 0, "{}", shown(&again));
    assert_eq!(cuts_shown(&node), 1, "nothing changed, no cut");
    let changed = push(second.path(), &["-ac", "--delete", "--stats"]);
    assert_eq!(tree(&node.path("www/current")), tree(second.path()));
    assert!(stat(&changed, "Literal data") < stat(&changed, "Total file size"), "{}", shown(&changed));
    assert_eq!(cuts_shown(&node), 2);
    let received = node.ledger_of("received");
    assert_eq!(received[0]["sender"]["via"], "rsync", "{}", received[0]);
}

#[test]
fn a_package_is_published_or_refused_as_with_scp() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let source = cuts.path(0).display().to_string();
    let pushed = rsync(&node, &["-t"], &[&source, &at("paquetes/")]);
    assert!(pushed.status.success() && shown(&pushed).contains("publicado"), "{}", shown(&pushed));
    node.wait_live(&cuts.path(0));
    let scratch = tempfile::tempdir().unwrap();
    let broken = scratch.path().join("corte.tar.gz");
    std::fs::write(&broken, &cuts.bytes(0)[..5000]).unwrap();
    let broken = broken.display().to_string();
    let refused = rsync(&node, &["-t", "--remove-source-files"], &[&broken, &at("")]);
    assert_eq!(refused.status.code(), Some(23), "{}", shown(&refused));
    assert!(shown(&refused).contains("rechazado en integridad"), "{}", shown(&refused));
    assert!(Path::new(&broken).exists(), "what was refused is not removed at its source");
}

#[test]
fn a_source_is_removed_once_its_package_is_accepted() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let source = cuts.path(0).display().to_string();
    let pushed = rsync(&node, &["-t", "--remove-source-files"], &[&source, &at("")]);
    assert!(pushed.status.success(), "{}", shown(&pushed));
    assert_eq!(cuts_shown(&node), 1);
    assert!(!Path::new(&source).exists());
}

#[test]
fn every_path_and_prefix_of_the_far_rsync_is_understood() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let source = cuts.unpacked(0);
    for far in [
        "/usr/local/bin/rsync -x",
        "/opt/rsync-3.2/bin/rsync",
        "sudo rsync",
        "env LANG=C rsync",
        "nice -n 5 ionice -c3 rsync",
    ] {
        let far = format!("--rsync-path={far}");
        let pushed = rsync(&node, &["-a", &far], &[&inside(source.path()), &at("sitio")]);
        assert!(pushed.status.success(), "{far}: {}", shown(&pushed));
    }
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
}

#[test]
fn the_institutes_own_paths_lead_to_the_site() {
    let node = Node::start_with("[ssh]\npaths = { \"/var/www/html/prep\" = \"/sitio\" }\n");
    let source = Cuts::good(0).unpacked(0);
    for target in ["/var/www/html/prep", "/var/www/html/prep/", "~/sitio", "sitio/."] {
        let pushed = rsync(&node, &["-a", "--delete"], &[&inside(source.path()), &at(target)]);
        assert!(pushed.status.success(), "{target}: {}", shown(&pushed));
        assert_eq!(tree(&node.path("www/current")), tree(source.path()), "{target}");
    }
    assert_eq!(cuts_shown(&node), 1);
}

#[test]
fn a_pull_is_refused_by_its_name() {
    let node = Node::start();
    let scratch = tempfile::tempdir().unwrap();
    let pulled = rsync(&node, &["-a"], &[&at("sitio/"), &inside(scratch.path())]);
    assert!(!pulled.status.success(), "{}", shown(&pulled));
    assert!(shown(&pulled).contains("solo recibe"), "{}", shown(&pulled));
    let explained = node.difusor(&["explain", "rsync --server --sender -logDtpre.iLsfxCIvu . sitio/"]);
    assert!(
        !explained.status.success() && shown(&explained).contains("solo recibe"),
        "{}",
        shown(&explained)
    );
    let explained = node.difusor(&["explain", "sudo rsync --server -logDtpre.iLsfxCIvu . sitio/"]);
    assert!(shown(&explained).contains("recibe por rsync en /sitio"), "{}", shown(&explained));
}

#[test]
fn a_dry_run_tells_the_truth_and_changes_nothing() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let source = cuts.unpacked(0);
    let pushed = rsync(&node, &["-a"], &[&inside(source.path()), &at("sitio/")]);
    assert!(pushed.status.success(), "{}", shown(&pushed));
    std::fs::write(source.path().join("nuevo.html"), "x").unwrap();
    std::fs::remove_file(source.path().join("index.html")).unwrap();
    let lines = node.ledger().len();
    let dry = rsync(&node, &["-ain", "--delete"], &[&inside(source.path()), &at("sitio/")]);
    assert!(dry.status.success(), "{}", shown(&dry));
    for line in ["*deleting   index.html", "<f+++++++++ nuevo.html"] {
        assert!(shown(&dry).contains(line), "{line}: {}", shown(&dry));
    }
    assert!(node.path("www/current/index.html").exists());
    assert_eq!(node.ledger().len(), lines, "no trace of it");
}

#[test]
fn the_daemons_protocol_comes_through_the_ssh_door() {
    let (node, source) = (Node::start(), Cuts::good(0).unpacked(0));
    let shell = remote_shell(&node);
    let pushed = rsync(&node, &["-a", "-e", &shell], &[&inside(source.path()), "prep@127.0.0.1::prep/"]);
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
    let listed = rsync(&node, &["-e", &shell], &["prep@127.0.0.1::"]);
    assert!(shown(&listed).contains("paquetes"), "{}", shown(&listed));
}
