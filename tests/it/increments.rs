//! Tamaulipas, III.a and III.b (T-12): a first whole package, then JSON and ZIP only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::cuts::{Cuts, tree};
use crate::night::{Node, piped, shown};

/// An instance of the call; the small packages of the tests carry the hour of Cancún.
fn node() -> Node {
    Node::start_with("profile = \"tamaulipas\"\ntimezone = \"America/Cancun\"\n")
}

/// What readers get: path → SHA-256.
fn served(node: &Node) -> BTreeMap<String, String> {
    let answer = node.get("/.well-known/prep/manifiesto.json");
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let files = manifest["files"].as_object().unwrap_or_else(|| panic!("{manifest}"));
    files.iter().map(|(path, facts)| (path.clone(), facts["sha256"].as_str().unwrap().to_owned())).collect()
}

fn audit(node: &Node) -> Value {
    let done = node.difusor(&["audit", "--json"]);
    assert!(done.status.success(), "{}", shown(&done));
    serde_json::from_slice::<Value>(&done.stdout).unwrap()["data"]["local"].clone()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn good(output: Output) -> String {
    assert!(output.status.success(), "{}", shown(&output));
    said(&output)
}

/// A night of small cuts, whole, and what an institute would send of them.
struct Night {
    cuts: Cuts,
    dir: tempfile::TempDir,
}

impl Night {
    fn new() -> Self {
        Self { cuts: Cuts::good(4), dir: tempfile::tempdir().unwrap() }
    }

    fn first(&self, n: u32) -> PathBuf {
        self.cuts.path(n)
    }

    /// The data of a cut, as far as `takes` says so, packed by GNU tar.
    fn increment(&self, n: u32, name: &str, takes: impl Fn(&str) -> bool) -> PathBuf {
        let tree = self.cuts.unpacked(n);
        let package = self.dir.path().join(name);
        let done = Command::new("tar")
            .arg("czf")
            .arg(&package)
            .arg("-C")
            .arg(tree.path())
            .args(self.data(n).iter().filter(|path| takes(path)))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", shown(&done));
        package
    }

    /// Everything that an increment of a cut holds.
    fn all(&self, n: u32) -> PathBuf {
        self.increment(n, &format!("incremento_{n}.tar.gz"), |_| true)
    }

    fn data(&self, n: u32) -> Vec<String> {
        let manifest = self.cuts.manifest(n);
        let files = manifest["files"].as_array().unwrap().iter();
        files.filter(|f| f["class"] == "data").map(|f| f["path"].as_str().unwrap().to_owned()).collect()
    }

    /// The exact union of a whole cut and the data of others, later ones winning.
    fn union(&self, first: u32, rest: &[u32]) -> BTreeMap<String, String> {
        let mut union = tree(self.cuts.unpacked(first).path());
        for n in rest {
            let whole = tree(self.cuts.unpacked(*n).path());
            union.extend(self.data(*n).into_iter().map(|path| (path.clone(), whole[&path].clone())));
        }
        union
    }
}

#[test]
fn a_night_of_tamaulipas_is_the_exact_union_at_every_cut() {
    let cuts = Cuts::of("tamps", "0..2", &[]);
    let node = Node::start_with("profile = \"tamaulipas\"\n");
    let union = tempfile::tempdir().unwrap();
    for n in 0..=2 {
        let told = good(node.scp(&[], &[&cuts.path(n)], ""));
        assert!(told.contains("publicado corte"), "{told}");
        node.wait_live(&cuts.path(n));
        let unzip =
            Command::new("unzip").args(["-qo", "-d"]).arg(union.path()).arg(cuts.path(n)).output().unwrap();
        assert!(unzip.status.success(), "{}", shown(&unzip));
        assert_eq!(served(&node), tree(union.path()), "cut {n}");
        let manifest = cuts.manifest(n);
        let kept = manifest["kept"].as_array().unwrap().len();
        assert_eq!(served(&node).len(), manifest["files"].as_array().unwrap().len() + kept);
        assert_eq!(manifest["package"]["scope"], if n == 0 { "full" } else { "increment" });
    }
    let report = audit(&node);
    assert_eq!(report["files"].as_array().unwrap().len(), served(&node).len());
    let url = format!("https://127.0.0.1:{}", node.https.port());
    let done = node.difusor(&["audit", "--url", &url]);
    assert!(done.status.success(), "{}", shown(&done));
}

#[test]
fn an_increment_before_the_first_package_is_held_and_follows_it() {
    let night = Night::new();
    let mut node = node();
    for n in [2, 1, 0] {
        let told = good(node.scp(&[], &[&night.all(n)], ""));
        assert!(told.contains("retenido") && told.contains("primer paquete"), "{told}");
    }
    assert_eq!((node.ledger_of("held").len(), node.ledger_of("published").len()), (3, 1));
    assert_eq!(node.get("/assets/api/avance.json").status, 404);
    let status = node.difusor(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("retenido"), "{}", shown(&status));
    // What waits outlives a restart.
    node.stop();
    node.up("run");
    good(node.scp(&[], &[&night.first(1)], ""));
    node.wait_state("the newest held one", |s| {
        s["package_sha256"] == crate::night::sha256(&night.all(2)).as_str()
    });
    assert_eq!(served(&node), night.union(1, &[1, 2]));
    let older = node.ledger_of("superseded");
    assert_eq!((older.len(), &older[0]["code"]), (1, &Value::from("CUT_OLDER")));
    audit(&node);
    // Sent once more, it is known.
    assert!(good(node.scp(&[], &[&night.all(2)], "")).contains("ya recibido"));
}

#[test]
fn a_new_first_package_begins_anew() {
    let night = Night::new();
    let node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    good(node.scp(&[], &[&night.increment(1, "uno.tar.gz", |_| true)], ""));
    assert_eq!(served(&node), night.union(0, &[1]));
    good(node.scp(&[], &[&night.first(2)], ""));
    assert_eq!(served(&node), tree(night.cuts.unpacked(2).path()));
    let older = node.scp(&[], &[&night.all(1)], "");
    assert!(!older.status.success() && said(&older).contains("CUT_OLDER"), "{}", shown(&older));
    good(node.scp(&[], &[&night.all(3)], ""));
    assert_eq!(served(&node), night.union(2, &[3]));
    audit(&node);
}

#[test]
fn an_increment_of_before_the_reset_is_laid_over_what_came_after() {
    let night = Night::new();
    let node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    good(node.scp(&[], &[&night.all(2)], ""));
    // A corrected template with the data of an earlier hour, by hand.
    let by_hand = night.first(1);
    let done = node.difusor(&["publish", by_hand.to_str().unwrap(), "--reason", "plantilla corregida"]);
    assert!(done.status.success(), "{}", shown(&done));
    assert_eq!(served(&node), tree(night.cuts.unpacked(1).path()));
    let told = good(node.scp(&[], &[&night.all(2)], ""));
    assert!(told.contains("publicado"), "{told}");
    assert_eq!(served(&node), night.union(1, &[2]));
    audit(&node);
}

#[test]
fn two_increments_at_once_are_serialised() {
    let night = Night::new();
    let node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    // Both carry the hour; the rest of the cut is shared out between them.
    let is_json = |path: &str| path.ends_with(".json");
    let halves = [
        night.increment(1, "mitad_a.tar.gz", |p| p.contains("avance") || is_json(p)),
        night.increment(1, "mitad_b.tar.gz", |p| p.contains("avance") || !is_json(p)),
    ];
    std::thread::scope(|scope| {
        let pushes = halves.each_ref().map(|half| scope.spawn(|| good(node.scp(&[], &[half.as_path()], ""))));
        for push in pushes {
            let told = push.join().unwrap();
            assert!(told.contains("publicado"), "{told}");
        }
    });
    assert_eq!(served(&node), night.union(0, &[1]));
    let onto: Vec<usize> =
        releases(&node).iter().map(|r| r["meta"]["onto"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(onto.iter().max(), Some(&2), "{onto:?}");
    audit(&node);
}

#[test]
fn an_older_increment_is_stored_and_not_published() {
    let night = Night::new();
    let node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    good(node.scp(&[], &[&night.all(3)], ""));
    let before = served(&node);
    let late = node.scp(&[], &[&night.all(2)], "");
    assert!(!late.status.success() && said(&late).contains("CUT_OLDER"), "{}", shown(&late));
    assert_eq!(served(&node), before);
    let sha = crate::night::sha256(&night.all(2));
    assert!(node.path(&format!("var/history/{sha}.tar.gz")).exists());
    audit(&node);
}

#[test]
fn the_same_tree_is_made_again_from_the_history_alone() {
    let night = Night::new();
    let mut node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    for n in 1..=3 {
        good(node.scp(&[], &[&night.all(n)], ""));
    }
    let before = audit(&node);
    node.stop();
    std::fs::remove_file(node.path("www/current")).unwrap();
    std::fs::remove_dir_all(node.path("var/releases")).unwrap();
    node.up("run");
    let after = audit(&node);
    assert_eq!(after["tree"], before["tree"]);
    assert_eq!(served(&node), night.union(0, &[1, 2, 3]));
    // The parts it was made of were never shown.
    let shown_since = node.ledger_of("published").len();
    assert_eq!(shown_since, 6, "{:?}", node.ledger_of("published"));
    good(node.scp(&[], &[&night.all(4)], ""));
    assert_eq!(served(&node), night.union(0, &[1, 2, 3, 4]));
}

#[test]
fn increments_lie_in_the_folder_that_their_first_package_lay_in() {
    let night = Night::new();
    let node = node();
    let wrapped = |n: u32, only_data: bool| {
        let tree = night.cuts.unpacked(n);
        let package = night.dir.path().join(format!("envuelto_{n}.tar.gz"));
        let mut tar = Command::new("tar");
        tar.arg("czf")
            .arg(&package)
            .arg("-C")
            .arg(tree.path())
            .args(["--transform", "s,^\\(\\./\\)\\?,prep/,"]);
        match only_data {
            true => tar.args(night.data(n)),
            false => tar.args(std::fs::read_dir(tree.path()).unwrap().map(|e| e.unwrap().file_name())),
        };
        let done = tar.output().unwrap();
        assert!(done.status.success(), "{}", shown(&done));
        package
    };
    good(node.scp(&[], &[&wrapped(0, false)], ""));
    good(node.scp(&[], &[&wrapped(1, true)], ""));
    assert_eq!(served(&node), night.union(0, &[1]));
    audit(&node);
}

#[test]
fn a_site_without_its_index_is_no_increment() {
    let night = Night::new();
    let bare = |path: &Path| {
        let tree = night.cuts.unpacked(0);
        std::fs::remove_file(tree.path().join("index.html")).unwrap();
        let tar =
            Command::new("tar").arg("czf").arg(path).arg("-C").arg(tree.path()).arg(".").output().unwrap();
        assert!(tar.status.success(), "{}", shown(&tar));
    };
    let package = night.dir.path().join("sin_indice.tar.gz");
    bare(&package);
    let node = node();
    let refused = node.scp(&[], &[&package], "");
    assert!(!refused.status.success() && said(&refused).contains("REQUIRED_MISSING"), "{}", shown(&refused));
    // Where a call knows no increments, data alone is no package either.
    let other = Node::start();
    good(other.scp(&[], &[&night.first(0)], ""));
    let refused = other.scp(&[], &[&night.all(1)], "");
    assert!(!refused.status.success() && said(&refused).contains("REQUIRED_MISSING"), "{}", shown(&refused));
}

#[test]
fn names_of_an_increment_do_not_clash_with_the_site() {
    let night = Night::new();
    let node = node();
    good(node.scp(&[], &[&night.first(0)], ""));
    let before = served(&node);
    for name in ["ASSETS/api/avance.json", "index.html/a.json"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{}").unwrap();
        let mut tar = Command::new("tar");
        tar.arg("czf").arg("-").arg("-C").arg(dir.path()).arg(name);
        let package = piped(&mut tar, b"").stdout;
        let refused = node.exec("cat > choque.tar.gz", &package);
        assert!(
            !refused.status.success() && said(&refused).contains("NAME_COLLISION"),
            "{}",
            shown(&refused)
        );
    }
    assert_eq!(served(&node), before);
}

fn releases(node: &Node) -> Vec<Value> {
    let done = node.difusor(&["releases", "list", "--json"]);
    serde_json::from_slice::<Value>(&done.stdout).unwrap()["data"].as_array().unwrap().clone()
}
