use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::drop::{Change, TreeChange};
use crate::model::{Cut, Digest};

struct Bench {
    scratch: tempfile::TempDir,
    root: Dir,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        // Later than now: what the file system stamps must not lie after a seal.
        Self { scratch, root, clock: Clock::at("2100-06-03T02:00:00Z".parse().unwrap()) }
    }

    fn config(&self) -> StoreConfig {
        StoreConfig {
            releases: self.root.sub_create("var/releases").unwrap(),
            www: self.root.sub_create("www").unwrap(),
            keep: 3,
            min_free_bytes: 0,
            min_free_inodes: 0,
            clock: self.clock.clone(),
        }
    }

    fn open(&self, shown: &[ReleaseId]) -> (Store, Recovery) {
        Store::open(self.config(), shown).unwrap()
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.scratch.path().join(relative)
    }

    fn site(&self, release: &Release, path: &str) -> PathBuf {
        self.path("var/releases").join(release.id.as_str()).join("site").join(path)
    }
}

fn put(staging: &mut Staging, path: &str, bytes: &[u8]) {
    staging.file(path, bytes.len() as u64, MTIME).unwrap();
    bytes.chunks(1000).for_each(|part| staging.data(part).unwrap());
    staging.end().unwrap();
}

fn made(store: &Store, base: Option<&Release>, files: &[(&str, &[u8])]) -> Release {
    let mut staging = store.stage(base, Expected::default()).unwrap();
    files.iter().for_each(|(path, bytes)| put(&mut staging, path, bytes));
    staging.seal(Meta::new(Origin::Package)).unwrap().commit().unwrap()
}

fn ids(releases: &[&Release]) -> Vec<ReleaseId> {
    releases.iter().map(|r| r.id.clone()).collect()
}

const MTIME: i64 = 1_717_380_000;

#[test]
fn a_tree_is_staged_sealed_named_and_shown() {
    let bench = Bench::new();
    let (store, recovery) = bench.open(&[]);
    assert!(matches!(recovery.standing, Standing::Fresh));
    let mut staging = store.stage(None, Expected { bytes: 10, entries: 3 }).unwrap();
    staging.dir("empty/inside").unwrap();
    put(&mut staging, "index.html", b"<base href=\"/\">");
    put(&mut staging, "data/a.json", b"{}");
    let cut = Cut::with_offset(jiff::civil::date(2024, 6, 2).at(20, 15, 0, 0), -5).unwrap();
    let staged = staging.seal(Meta { cut: Some(cut), ..Meta::new(Origin::Package) }).unwrap();
    let name = format!("000001-20240602T2015-{}", staged.tree().short());
    assert!(!bench.path("var/releases").join(&name).exists());
    let release = staged.commit().unwrap();
    assert_eq!(release.id.as_str(), name);
    assert_eq!((release.meta.cut, release.tree), (Some(cut), release.manifest.tree_hash()));
    assert_eq!(release.verify().unwrap(), []);
    store.point(&release.id).unwrap();
    let target = std::fs::read_link(bench.path("www/current")).unwrap();
    assert_eq!(target, Path::new("../var/releases").join(&name).join("site"));
    assert_eq!(std::fs::read(bench.path("www/current/data/a.json")).unwrap(), b"{}");
    assert!(bench.path("www/current/empty/inside").is_dir());
    let stat = std::fs::metadata(bench.path("www/current/data/a.json")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o644, MTIME));
    assert_eq!(release.manifest.get("data/a.json").unwrap().mtime, MTIME);
    let loaded = store.reader().load_current().unwrap().unwrap();
    assert_eq!((loaded.id, loaded.manifest, loaded.meta), (release.id, release.manifest, release.meta));
}

#[test]
fn sha256sum_checks_a_release() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let release = made(&store, None, &[("a b", b"1"), ("d/ñ", b"2")]);
    let check = || {
        let command = std::process::Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "../MANIFEST.sha256"])
            .current_dir(bench.site(&release, ""))
            .output();
        command.unwrap().status.success()
    };
    assert!(check());
    std::fs::write(bench.site(&release, "d/ñ"), "3").unwrap();
    assert!(!check());
}

#[test]
fn times_to_come_are_not_applied() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let mut staging = store.stage(None, Expected::default()).unwrap();
    for (path, mtime) in [("future", i64::MAX), ("past", i64::MIN)] {
        staging.file(path, 0, mtime).unwrap();
        staging.end().unwrap();
    }
    let release = staging.seal(Meta::new(Origin::Package)).unwrap().commit().unwrap();
    let mtime = |path| std::fs::metadata(bench.site(&release, path)).unwrap().mtime();
    assert_eq!((mtime("future"), mtime("past")), (bench.clock.now().as_second(), 0));
    assert_eq!(store.load(&release.id).unwrap().manifest.get("future").unwrap().mtime, i64::MAX);
}

#[test]
fn unchanged_files_are_shared_and_never_touched() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let large = vec![7; 9 * 1024 * 1024];
    let first = made(&store, None, &[("same", b"1"), ("old", b"moved"), ("big", &large), ("x", b"1x")]);
    let look = |release: &Release, path: &str| {
        let stat = std::fs::metadata(bench.site(release, path)).unwrap();
        (stat.ino(), stat.mtime(), stat.mtime_nsec(), stat.mode(), stat.size())
    };
    let before = [look(&first, "same"), look(&first, "old"), look(&first, "big")];
    let mut staging = store.stage(Some(&first), Expected::default()).unwrap();
    put(&mut staging, "same", b"1");
    put(&mut staging, "sub/new", b"moved");
    put(&mut staging, "sub/big", &large);
    put(&mut staging, "x", b"2x");
    assert_eq!(staging.shared(), 3);
    let second = staging.seal(Meta::new(Origin::Package)).unwrap().commit().unwrap();
    assert_eq!([look(&second, "same"), look(&second, "sub/new"), look(&second, "sub/big")], before);
    assert_ne!(look(&second, "x").0, look(&first, "x").0);
    assert_eq!((first.verify().unwrap(), second.verify().unwrap()), (vec![], vec![]));
    assert_eq!(std::fs::read_dir(bench.site(&second, "")).unwrap().count(), 3);
}

#[test]
fn a_file_that_was_tampered_with_is_not_shared() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let first = made(&store, None, &[("a", b"11"), ("b", b"22")]);
    std::fs::write(bench.site(&first, "a"), "longer").unwrap();
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5_000_000_000);
    std::fs::write(bench.site(&first, "b"), "XX").unwrap();
    File::options().write(true).open(bench.site(&first, "b")).unwrap().set_modified(later).unwrap();
    let second = made(&store, Some(&first), &[("a", b"11"), ("b", b"22")]);
    assert_eq!(second.verify().unwrap(), []);
    assert_eq!(first.verify().unwrap().len(), 2);
}

#[test]
fn a_file_that_is_not_what_was_announced_is_an_error() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let mut staging = store.stage(None, Expected::default()).unwrap();
    staging.file("a", 2, 0).unwrap();
    assert!(staging.data(b"123").is_err());
    staging.file("b", 2, 0).unwrap();
    staging.data(b"1").unwrap();
    assert!(staging.end().is_err() && staging.data(b"1").is_err());
    put(&mut staging, "c", b"1");
    assert!(staging.file("../d", 20_000_000, 0).is_err() && staging.file("c/d", 20_000_000, 0).is_err());
    staging.file("c", 1, 0).unwrap();
    staging.data(b"2").unwrap();
    assert!(staging.end().is_err(), "a name twice");
    drop(staging);
    assert_eq!(store.releases().list().unwrap().len(), 1, "only the lock is left");
}

#[test]
fn one_top_directory_can_be_taken_away() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let mut staging = store.stage(None, Expected::default()).unwrap();
    put(&mut staging, "prep/index.html", b"i");
    put(&mut staging, "prep/prep/a", b"a");
    assert_eq!(staging.manifest().common_top(), Some("prep"));
    assert!(staging.strip("other").is_err());
    staging.strip("prep").unwrap();
    put(&mut staging, "prep/b", b"b");
    let release = staging.seal(Meta::new(Origin::Package)).unwrap().commit().unwrap();
    let paths: Vec<&String> = release.manifest.files().keys().collect();
    assert_eq!(paths, ["index.html", "prep/a", "prep/b"]);
    assert_eq!(release.verify().unwrap(), []);
}

#[test]
fn a_pushed_tree_changes_the_live_one() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let base = made(
        &store,
        None,
        &[("index.html", b"i"), ("d/a", b"a"), ("d/b", b"b"), ("e/c", b"c"), ("f", b"file"), ("g/x", b"x")],
    );
    let files = bench.root.sub_create("tree").unwrap();
    files.create_file("1").unwrap().write_all(b"new").unwrap();
    files.create_file("2").unwrap().write_all(b"b").unwrap();
    let file = |stored: &str, bytes: &[u8]| Change::File {
        stored: stored.to_owned(),
        sha256: Digest::of(bytes),
        size: bytes.len() as u64,
        mtime: MTIME,
    };
    let changes = BTreeMap::from([
        ("d/a".to_owned(), file("1", b"new")),
        ("d/b".to_owned(), file("2", b"b")),
        ("e".to_owned(), Change::Removed),
        ("e2".to_owned(), Change::Live { path: "e".to_owned() }),
        ("f".to_owned(), Change::Dir),
        ("f/under".to_owned(), file("1", b"new")),
        ("g".to_owned(), file("1", b"new")),
        ("nowhere/at/all".to_owned(), Change::Removed),
    ]);
    let mut staging = store.stage(Some(&base), Expected::default()).unwrap();
    staging.start_from_base().unwrap();
    staging.apply(&TreeChange { files, changes }).unwrap();
    let release = staging.seal(Meta::new(Origin::Tree)).unwrap().commit().unwrap();
    let paths: Vec<&String> = release.manifest.files().keys().collect();
    assert_eq!(paths, ["d/a", "d/b", "e2/c", "f/under", "g", "index.html"]);
    assert_eq!((release.verify().unwrap(), base.verify().unwrap()), (vec![], vec![]));
    let ino = |release, path| std::fs::metadata(bench.site(release, path)).unwrap().ino();
    assert_eq!(ino(&release, "e2/c"), ino(&base, "e/c"));
    assert_eq!(ino(&release, "d/b"), ino(&base, "d/b"), "unchanged content stays shared");
}

#[test]
fn every_kind_of_difference_is_named() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let release = made(&store, None, &[("a", b"a"), ("b", b"b"), ("c", b"c"), ("d", b"d")]);
    std::fs::write(bench.site(&release, "a"), "A").unwrap();
    std::fs::remove_file(bench.site(&release, "b")).unwrap();
    std::fs::remove_file(bench.site(&release, "c")).unwrap();
    symlink("d", bench.site(&release, "c")).unwrap();
    std::fs::create_dir(bench.site(&release, "e")).unwrap();
    std::fs::write(bench.site(&release, "e/f"), "").unwrap();
    symlink("/etc", bench.site(&release, "g")).unwrap();
    let what: Vec<(String, What)> =
        store.verify(&release.id).unwrap().into_iter().map(|d| (d.path, d.what)).collect();
    let named = |path: &str, what| (path.to_owned(), what);
    assert_eq!(
        what,
        [
            named("a", What::Changed { found: Digest::of(b"A") }),
            named("b", What::Missing),
            named("c", What::Unreadable),
            named("e/f", What::Extra),
            named("g", What::Extra),
        ]
    );
}

#[test]
fn a_second_process_is_told_who_has_the_store() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let busy = Store::open(bench.config(), &[]).unwrap_err();
    assert!(matches!(busy, OpenError::Busy { pid } if pid == std::process::id()), "{busy}");
    drop(store);
    bench.open(&[]);
}

#[test]
fn what_a_crash_left_is_removed_and_counted() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let mut staging = store.stage(None, Expected::default()).unwrap();
    put(&mut staging, "a", b"a");
    std::mem::forget(staging.seal(Meta::new(Origin::Package)).unwrap());
    let mut half = store.stage(None, Expected::default()).unwrap();
    put(&mut half, "a", b"a");
    std::mem::forget(half);
    assert_eq!(bench.config().releases.list().unwrap().len(), 3);
    // The forgotten values hold the lock as a dead process would not.
    store.inner._lock.unlock().unwrap();
    let (store, recovery) = bench.open(&[]);
    assert_eq!((recovery.scratch_removed, store.list().unwrap().len()), (2, 0));
}

#[test]
fn a_broken_pointer_is_mended_from_what_was_shown() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let one = made(&store, None, &[("index.html", b"1")]);
    let two = made(&store, None, &[("index.html", b"2")]);
    let staged_only = made(&store, None, &[("index.html", b"embargoed")]);
    store.point(&two.id).unwrap();
    drop((store, staged_only));
    let shown = ids(&[&two, &one]);
    let reopen = |shown: &[ReleaseId]| {
        let (store, recovery) = bench.open(shown);
        (recovery.standing, store.current().ok().flatten())
    };
    assert!(matches!(reopen(&shown), (Standing::Sound(r), Some(id)) if r.id == two.id && id == two.id));
    // Every way in which it can be broken leads to the other one that was shown.
    let link = bench.path("www/current");
    let relink = |to: &Path| {
        let _ = std::fs::remove_file(&link);
        symlink(to, &link).unwrap();
    };
    let target = std::fs::read_link(&link).unwrap();
    type Break<'a> = Box<dyn Fn() + 'a>;
    let breaks: [(&str, Break<'_>); 6] = [
        ("dangling", Box::new(|| relink(Path::new("../var/releases/000009-x/site")))),
        ("foreign", Box::new(|| relink(Path::new("/etc")))),
        ("elsewhere", Box::new(|| relink(Path::new("../nowhere/000002-x/site")))),
        ("gone", Box::new(|| std::fs::remove_file(&link).unwrap())),
        (
            "extra",
            Box::new(|| {
                relink(&target);
                std::fs::write(bench.site(&two, "extra"), "").unwrap();
            }),
        ),
        (
            "changed",
            Box::new(|| {
                relink(&target);
                std::fs::remove_file(bench.site(&two, "extra")).unwrap();
                std::fs::write(bench.site(&two, "index.html"), "X").unwrap();
            }),
        ),
    ];
    for (what, break_it) in breaks {
        break_it();
        let candidates = if what == "extra" || what == "changed" { &shown[..] } else { &shown[1..] };
        let (standing, current) = reopen(candidates);
        assert!(matches!(standing, Standing::Mended { now, .. } if now.id == one.id), "{what}");
        assert_eq!(current.as_ref(), Some(&one.id), "{what}");
    }
    std::fs::write(bench.site(&one, "index.html"), "X").unwrap();
    let (standing, current) = reopen(&shown);
    assert!(matches!(standing, Standing::Lost { was: Some(was), .. } if was == one.id));
    assert_eq!(current, Some(one.id), "the pointer is left for readers until there is something better");
}

#[test]
fn pruning_leaves_the_current_the_used_and_the_held() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let all: Vec<ReleaseId> = (0..8_u8).map(|i| made(&store, None, &[("index.html", &[i])]).id).collect();
    store.point(&all[0]).unwrap();
    // Another process, as far as locks go, reads the third.
    let reader = Reader::new(bench.config().releases, bench.config().www);
    let held = reader.load(&all[2]).unwrap();
    let gone = store.prune(&|id| *id == all[1]).unwrap();
    assert_eq!(gone, all[3..5]);
    assert_eq!(store.list().unwrap(), [&all[..3], &all[5..]].concat());
    assert_eq!(held.verify().unwrap(), []);
    drop(held);
    assert_eq!(store.prune_to(0, &|_| false).unwrap(), [&all[1..3], &all[5..7]].concat());
    assert_eq!(store.list().unwrap(), [all[0].clone(), all[7].clone()]);
    assert_eq!(made(&store, None, &[("index.html", b"9")]).id.sequence(), 9);
}

#[test]
fn shared_files_survive_the_pruning_of_their_first_release() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let first = made(&store, None, &[("a", b"a")]);
    let second = made(&store, Some(&first), &[("a", b"a")]);
    drop(first);
    assert_eq!(store.prune_to(1, &|_| false).unwrap().len(), 1);
    assert_eq!(second.verify().unwrap(), []);
}

#[test]
fn the_waiting_page_is_made_once() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let first = store.waiting_release(b"<base href=\"/\">pronto").unwrap();
    made(&store, None, &[("index.html", b"<base href=\"/\">pronto")]);
    assert_eq!(store.waiting_release(b"<base href=\"/\">pronto").unwrap().id, first.id);
    assert_ne!(store.waiting_release(b"other").unwrap().id, first.id);
    std::fs::write(bench.site(&first, "index.html"), "X").unwrap();
    let again = store.waiting_release(b"<base href=\"/\">pronto").unwrap();
    assert!(again.id != first.id && again.verify().unwrap().is_empty());
}

#[test]
fn too_little_room_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let code = |expected| store.stage(None, expected).map(drop).unwrap_err().code;
    assert_eq!(code(Expected { bytes: u64::MAX / 2, entries: 0 }), Code::NoSpace);
    drop(store);
    let config = StoreConfig { min_free_inodes: u64::MAX, ..bench.config() };
    let (store, _) = Store::open(config, &[]).unwrap();
    let unlimited = store.releases().space().unwrap().free_inodes == u64::MAX;
    assert_eq!(store.stage(None, Expected::default()).is_err(), !unlimited);
}

#[test]
fn a_manifest_that_was_changed_is_not_loaded() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let release = made(&store, None, &[("a", b"a")]);
    let path = bench.path("var/releases").join(release.id.as_str()).join("MANIFEST.sha256");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("  a", "  b")).unwrap();
    assert_eq!(store.load(&release.id).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_way_between_directories_is_relative() {
    let way = |a, b| reader::relative(Path::new(a), Path::new(b));
    assert_eq!(way("/srv/prep/www", "/srv/prep/var/releases"), Path::new("../var/releases"));
    assert_eq!(way("/www", "/var/releases"), Path::new("../var/releases"));
    assert_eq!(way("/srv/a/b/c", "/srv/d"), Path::new("../../../d"));
}

#[test]
fn a_file_of_the_base_that_is_not_what_it_was_is_not_shared() {
    let bench = Bench::new();
    let (store, _) = bench.open(&[]);
    let (same, rotten) = (vec![1; 50_000], vec![2; 50_000]);
    let files: [(&str, &[u8]); 2] = [("same", &same), ("rotten", &rotten)];
    let base = made(&store, None, &files);
    let path = bench.site(&base, "rotten");
    let mut text = rotten.clone();
    text[40_000] = 3;
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, &text).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let next = made(&store, Some(&base), &files);
    let inode = |release: &Release, path: &str| std::fs::metadata(bench.site(release, path)).unwrap().ino();
    assert_eq!(inode(&base, "same"), inode(&next, "same"));
    assert_ne!(inode(&base, "rotten"), inode(&next, "rotten"));
    assert!(next.verify().unwrap().is_empty());
}
