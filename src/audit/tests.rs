use std::io::Write as _;

use jiff::tz::TimeZone;

use super::*;
use crate::archive::Sink as _;
use crate::clock::Clock;
use crate::ledger::{Entry, Ledger};
use crate::model::{Code, Receipt, Sender, Via};
use crate::release::{Expected, FileFacts, Meta, Store, StoreConfig};

struct Bench {
    scratch: tempfile::TempDir,
    ledger_dir: Dir,
    ledger: Ledger,
    history: History,
    store: Store,
    release: Release,
}

const FILES: [(&str, &str); 3] = [("data/a.json", "{}"), ("index.html", "i"), ("z", "z")];

impl Bench {
    /// An original whose bytes are "package", published as the three files.
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        let clock = Clock::at("2100-06-03T02:00:00Z".parse().unwrap());
        let ledger_dir = root.sub_create("ledger").unwrap();
        let (ledger, _) = Ledger::open_with(&ledger_dir, clock.clone(), TimeZone::UTC, 0).unwrap();
        let history = History::open(&root.sub_create("history").unwrap()).unwrap();
        let config = StoreConfig {
            releases: root.sub_create("releases").unwrap(),
            www: root.sub_create("www").unwrap(),
            keep: 3,
            min_free_bytes: 0,
            min_free_inodes: 0,
            clock,
        };
        let (store, _) = Store::open(config, &[]).unwrap();
        let id = keep(&root, &history, b"package");
        ledger.append(Entry::new(Kind::Received).with("package", id)).unwrap();
        let mut staging = store.stage(None, Expected::default()).unwrap();
        for (path, text) in FILES {
            staging.file(path, text.len() as u64, 0).unwrap();
            staging.data(text.as_bytes()).unwrap();
            staging.end().unwrap();
        }
        let meta = Meta {
            package: Some(id),
            name: Some("p.tar.gz".to_owned()),
            ..Meta::new(crate::release::Origin::Package)
        };
        let release = staging.seal(meta).unwrap().commit().unwrap();
        store.point(&release.id).unwrap();
        let line = Entry::new(Kind::Published).with("release", &release.id).with("tree", release.tree);
        ledger.append(line).unwrap();
        Self { scratch, ledger_dir, ledger, history, store, release }
    }

    fn audit(&self, files: &[(&str, &str)]) -> Report {
        let facts = |t: &str| FileFacts { sha256: Digest::of(t.as_bytes()), size: 0, mtime: 0 };
        let read = |file: &File, name: &str| {
            let mut text = String::new();
            (&*file).read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), name), ("package", "p.tar.gz"));
            let files = files.iter().map(|(p, t)| ((*p).to_owned(), facts(t))).collect();
            Ok(Unpacked { files, top: None })
        };
        local(&self.history, self.store.reader(), &self.ledger_dir, None, &read).unwrap()
    }

    fn on_disk(&self, path: &str) -> std::path::PathBuf {
        self.scratch.path().join("www/current").join(path)
    }
}

fn keep(root: &Dir, history: &History, bytes: &[u8]) -> Digest {
    let mut file = root.create_file("part").unwrap();
    file.write_all(bytes).unwrap();
    let sender = Sender { name: "x".to_owned(), key: None, addr: None, via: Via::Drop };
    let at = "2024-06-03T01:00:00Z".parse().unwrap();
    let receipt = Receipt { name: "p.tar.gz".to_owned(), sender, first_byte: at, last_byte: at, bytes: 7 };
    history.keep(&file, root, "part", Digest::of(bytes), &receipt).unwrap().id
}

fn wrong(report: &Report) -> Vec<(&str, Compared, Compared)> {
    let wrong = report.files.iter().filter(|f| !f.is_sound());
    wrong.map(|f| (f.path.as_str(), f.original, f.disk)).collect()
}

#[test]
fn an_untouched_machine_is_sound() {
    let report = Bench::new().audit(&FILES);
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!((report.originals, report.files.len()), (1, 3));
}

#[test]
fn files_that_differ_are_named_with_the_place() {
    let bench = Bench::new();
    std::fs::write(bench.on_disk("z"), "y").unwrap();
    std::fs::write(bench.on_disk("extra"), "").unwrap();
    std::fs::remove_file(bench.on_disk("index.html")).unwrap();
    let report = bench.audit(&[("data/a.json", "[]"), ("index.html", "i"), ("more", ""), ("z", "z")]);
    let changed = |text: &str| Compared::Changed { found: Digest::of(text.as_bytes()) };
    assert_eq!(
        wrong(&report),
        [
            ("data/a.json", changed("[]"), Compared::Equal),
            ("extra", Compared::Skipped, Compared::Extra),
            ("index.html", Compared::Equal, Compared::Missing),
            ("more", Compared::Extra, Compared::Skipped),
            ("z", Compared::Equal, changed("y")),
        ]
    );
    assert!(!report.is_sound() && report.faults.is_empty());
}

#[test]
fn originals_are_compared_with_their_name_and_the_ledger() {
    let bench = Bench::new();
    let root = Dir::open(bench.scratch.path()).unwrap();
    let unrecorded = keep(&root, &bench.history, b"other");
    let lost = Digest::of(b"lost");
    bench.ledger.append(Entry::new(Kind::Received).with("package", lost)).unwrap();
    let pruned = Digest::of(b"pruned");
    bench.ledger.append(Entry::new(Kind::Received).with("package", pruned)).unwrap();
    bench.ledger.append(Entry::new(Kind::Pruned).with("packages", [pruned])).unwrap();
    assert_eq!(bench.audit(&FILES).faults, [Fault::Unrecorded { id: unrecorded }, Fault::Lost { id: lost }]);
    let id = Digest::of(b"package");
    let path = bench.history.dir().path().join(format!("{id}.tar.gz"));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "Package").unwrap();
    let read: ReadOriginal<'_> = &|_, _| Err(Rejection::new(Code::Truncated));
    let report = local(&bench.history, bench.store.reader(), &bench.ledger_dir, None, read).unwrap();
    assert!(matches!(
        report.faults[..],
        [
            Fault::Original { .. } | Fault::Unrecorded { .. },
            Fault::Original { .. } | Fault::Unrecorded { .. },
            Fault::Lost { .. },
            Fault::Refused { .. }
        ]
    ));
}

#[test]
fn a_release_that_the_ledger_does_not_know_is_named() {
    let bench = Bench::new();
    let mut staging = bench.store.stage(Some(&bench.release), Expected::default()).unwrap();
    staging.start_from_base().unwrap();
    let by_hand = staging.seal(Meta::new(crate::release::Origin::Package)).unwrap().commit().unwrap();
    bench.store.point(&by_hand.id).unwrap();
    assert_eq!(bench.audit(&FILES).faults, [Fault::Unpublished { release: by_hand.id.clone() }]);
    let line = Entry::new(Kind::Published).with("release", &by_hand.id).with("tree", "0");
    bench.ledger.append(line).unwrap();
    assert!(matches!(&bench.audit(&FILES).faults[..], [Fault::OtherTree { ledger, .. }] if ledger == "0"));
}

#[test]
fn a_broken_chain_or_pointer_is_a_fault() {
    let bench = Bench::new();
    let path = bench.ledger_dir.path().join("ledger.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("received", "rejected")).unwrap();
    let faults = bench.audit(&FILES).faults;
    assert_eq!(faults[0].to_string(), "ledger: line 1: altered");
    std::fs::remove_file(bench.scratch.path().join("www/current")).unwrap();
    std::os::unix::fs::symlink("/etc", bench.scratch.path().join("www/current")).unwrap();
    assert!(bench.audit(&FILES).faults.iter().any(|f| matches!(f, Fault::Release { .. })));
}

#[test]
fn a_pushed_tree_is_compared_with_its_kept_manifest() {
    let bench = Bench::new();
    let mut staging = bench.store.stage(Some(&bench.release), Expected::default()).unwrap();
    staging.start_from_base().unwrap();
    for (path, facts) in staging.manifest().files() {
        bench.history.keep_blob(&bench.release.site, path, facts.sha256).unwrap();
    }
    let sender = Sender { name: "x".to_owned(), key: None, addr: None, via: Via::Sftp };
    let at = "2024-06-03T01:00:00Z".parse().unwrap();
    let receipt = Receipt { name: "sitio".to_owned(), sender, first_byte: at, last_byte: at, bytes: 7 };
    let kept = bench.history.keep_tree(&staging.manifest().text(), &receipt).unwrap();
    bench.ledger.append(Entry::new(Kind::Received).with("package", kept.id)).unwrap();
    let meta = Meta { package: Some(kept.id), ..Meta::new(crate::release::Origin::Tree) };
    let release = staging.seal(meta).unwrap().commit().unwrap();
    bench.store.point(&release.id).unwrap();
    let line = Entry::new(Kind::Published).with("release", &release.id).with("tree", release.tree);
    bench.ledger.append(line).unwrap();
    let report = bench.audit(&[]);
    assert!(report.is_sound(), "{:?}", report.faults);
    assert!(report.files.iter().all(|f| f.original == Compared::Equal));
}
