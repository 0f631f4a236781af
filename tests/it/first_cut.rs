//! From a stock client's push to a reader's browser: the main job (T-01, T-11, T-22, T-23).

use crate::cuts::{Cuts, tree};
use crate::night::{Node, shown};

#[test]
fn a_pushed_package_is_what_readers_get_byte_for_byte() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    assert!(shown(&pushed).contains("publicado corte"), "{}", shown(&pushed));
    node.wait_live(&cuts.path(0));
    for (path, sha) in tree(cuts.unpacked(0).path()) {
        let url = format!("/{}", path.split('/').map(encode).collect::<Vec<_>>().join("/"));
        let answer = node.get(&url);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-prep-corte"), Some("2024-06-02T20:00:00-05:00"), "{path}");
        assert_eq!(difusor::model::Digest::of(&answer.body).to_string(), sha, "{path}");
    }
    // Full replacement: what the next cut does not hold is gone.
    let pushed = node.scp(&[], &[&cuts.path(1)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(1));
    let (before, after) = (tree(cuts.unpacked(0).path()), tree(cuts.unpacked(1).path()));
    let gone: Vec<_> = before.keys().filter(|p| !after.contains_key(*p)).collect();
    assert!(!gone.is_empty(), "the generator removes the stamped zip of the cut before");
    for path in gone {
        assert_eq!(node.get(&format!("/{path}")).status, 404, "{path}");
    }
}

fn encode(part: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    part.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[test]
fn every_way_in_publishes() {
    let (node, cuts) = (Node::start(), Cuts::good(5));
    let live = |n: u32| node.wait_live(&cuts.path(n));
    assert!(node.scp(&["-O"], &[&cuts.path(0)], "").status.success());
    live(0);
    let put = format!("put {} paquetes/{}\n", cuts.path(1).display(), cuts.name(1));
    assert!(node.sftp(&put).status.success());
    live(1);
    let cat = node.exec(&format!("cat > {}", cuts.name(2)), &cuts.bytes(2));
    assert!(cat.status.success(), "{}", shown(&cat));
    live(2);
    let temporary = node.exec("cat > corte.tmp", &cuts.bytes(3));
    assert!(temporary.status.success(), "{}", shown(&temporary));
    let renamed = node.exec(&format!("mv corte.tmp {}", cuts.name(3)), b"");
    assert!(renamed.status.success(), "{}", shown(&renamed));
    live(3);
    std::fs::copy(cuts.path(4), node.path("var/drop").join(cuts.name(4))).unwrap();
    live(4);
    let by_hand = node.difusor(&["publish", cuts.path(5).to_str().unwrap(), "--reason", "enlace caído"]);
    assert!(by_hand.status.success(), "{}", shown(&by_hand));
    live(5);
    let vias: Vec<_> =
        node.ledger_of("received").iter().map(|l| l["sender"]["via"].as_str().unwrap().to_owned()).collect();
    assert_eq!(vias, ["scp", "sftp", "exec", "exec", "drop", "operator"]);
}

#[test]
fn a_tree_pushed_through_tar_is_one_cut() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let pushed = node.exec("tar xzf - -C sitio", &cuts.bytes(0));
    assert!(pushed.status.success(), "{}", shown(&pushed));
    let state = node.state();
    assert!(state["release"].is_string(), "{state}");
    for (path, sha) in
        tree(cuts.unpacked(0).path()).into_iter().filter(|(p, _)| p.is_ascii() && !p.contains(' '))
    {
        assert_eq!(
            difusor::model::Digest::of(&node.get(&format!("/{path}")).body).to_string(),
            sha,
            "{path}"
        );
    }
}

#[test]
fn a_tree_pushed_file_by_file_starts_from_the_live_one() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let before = node.state()["release"].clone();
    let extra = tempfile::tempdir().unwrap();
    std::fs::create_dir(extra.path().join("nuevo")).unwrap();
    std::fs::write(extra.path().join("nuevo/uno.txt"), "uno").unwrap();
    std::fs::write(extra.path().join("nuevo/dos.txt"), "dos").unwrap();
    let pushed = node.scp(&["-r"], &[&extra.path().join("nuevo")], "sitio/");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_state("a new release", |s| s["release"] != before);
    assert_eq!(node.get("/nuevo/dos.txt").text(), "dos");
    assert_eq!(node.get("/index.html").status, 200);
}

#[test]
fn a_cut_connection_publishes_nothing_and_can_be_resumed() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    let bytes = cuts.bytes(0);
    let half = &bytes[..bytes.len() / 2];
    // The peer dies in the middle: ssh is killed while its standard input is still open.
    let mut ssh = std::process::Command::new("ssh");
    ssh.args(node.ssh_options("id")).args([
        "-p",
        &node.ssh.port().to_string(),
        "prep@127.0.0.1",
        &format!("cat > {}", cuts.name(0)),
    ]);
    let mut child = ssh.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), half).unwrap();
    let listed = || String::from_utf8(node.exec("ls -l", b"").stdout).unwrap();
    let begun = std::time::Instant::now();
    while !listed().contains(&half.len().to_string()) {
        assert!(begun.elapsed() < crate::night::PATIENCE, "{}", listed());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(node.ledger_of("received").is_empty());
    let resumed = node.sftp(&format!("reput {} {}\n", cuts.path(0).display(), cuts.name(0)));
    assert!(resumed.status.success(), "{}", shown(&resumed));
    node.wait_live(&cuts.path(0));
}
