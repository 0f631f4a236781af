//! The room on a real store, with uploads that are played by hand.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::durable::Dir;
use crate::model::{Sender, Via};
use crate::release::StoreConfig;

const NAME: &str = "20240602_2015_PREP.tar.gz";
const INDEX: (&str, &[u8]) = ("index.html", b"<base href=\"/\">");
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    scratch: tempfile::TempDir,
    clock: Clock,
    store: Store,
    rehearsals: Rehearsals,
}

impl Bench {
    fn new(at_once_max: usize) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let clock = Clock::at("2100-06-03T02:00:00Z".parse().unwrap());
        let config = StoreConfig {
            releases: Dir::create(scratch.path().join("releases")).unwrap(),
            www: Dir::create(scratch.path().join("www")).unwrap(),
            keep: 1,
            min_free_bytes: 0,
            min_free_inodes: 0,
            clock: clock.clone(),
        };
        let (store, _) = Store::open(config, &[]).unwrap();
        let rehearsals = Rehearsals::new(Parts {
            store: store.clone(),
            rules: Arc::new(Rules::default()),
            foresee: Box::new(|_, _| Some(None)),
            witnesses: None,
            at_once_max,
            clock: clock.clone(),
        });
        Self { scratch, clock, store, rehearsals }
    }

    fn upload(&self) -> Upload {
        let file = tempfile::tempfile().unwrap();
        let look = self.rehearsals.begin(file.try_clone().unwrap()).unwrap();
        Upload { file, look, bytes: 0 }
    }

    /// Waits until no run is left, and says what lies in the store.
    fn left(&self) -> Vec<String> {
        let runs = lock(&self.rehearsals.stage.runs);
        let runs = self.rehearsals.stage.over.wait_timeout_while(runs, PATIENCE, |runs| !runs.is_empty());
        assert!(runs.unwrap().0.is_empty(), "a run goes on");
        self.trees()
    }

    fn trees(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.scratch.path().join("releases")).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "lock");
        names
    }
}

struct Upload {
    file: File,
    look: Box<dyn Look>,
    bytes: u64,
}

impl Upload {
    fn write(&mut self, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.bytes).unwrap();
        self.bytes += bytes.len() as u64;
        self.look.grown(self.bytes);
    }

    fn whole(self, name: &str, sha256: Digest) -> Option<Rehearsed> {
        let instant = "2100-06-03T02:00:00Z".parse().unwrap();
        let receipt = Receipt {
            name: name.to_owned(),
            sender: Sender { name: "iepc".to_owned(), key: None, addr: None, via: Via::Sftp },
            first_byte: instant,
            last_byte: instant,
            bytes: self.bytes,
        };
        Rehearsal::of(self.look.whole(sha256, &receipt)).unwrap().take(PATIENCE)
    }
}

/// Noise: a package as large as it looks.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn tar(files: &[(&str, &[u8])], mtime: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(mtime);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    gzip(&tar(files, 1_717_377_300))
}

/// Sends it in pieces of no particular size.
fn rehearsed(bench: &Bench, name: &str, bytes: &[u8]) -> Option<Rehearsed> {
    let mut upload = bench.upload();
    bytes.chunks(70_001).for_each(|piece| upload.write(piece));
    upload.whole(name, Digest::of(bytes))
}

#[test]
fn a_package_is_staged_by_the_time_it_is_whole() {
    let bench = Bench::new(2);
    let noise = noise(3 << 20);
    let bytes = package(&[INDEX, ("a/noise.bin", &noise), ("a/empty", b"")]);
    let done = rehearsed(&bench, NAME, &bytes).unwrap();
    assert_eq!((done.sha256, done.staged.manifest().len()), (Digest::of(&bytes), 3));
    assert_eq!(done.staged.meta().package, Some(Digest::of(&bytes)));
    assert_eq!(done.foreseen.cut().unwrap().to_string(), "2024-06-02T20:15:00+00:00");
    let release = done.staged.commit().unwrap();
    assert!(release.verify().unwrap().is_empty());
    let loaded = bench.store.load(&release.id).unwrap();
    assert_eq!((loaded.manifest, loaded.tree, loaded.meta), (release.manifest, release.tree, release.meta));
    assert_eq!(bench.left(), [release.id.to_string()]);
}

#[test]
fn a_tar_and_a_tar_zst_are_followed_too_and_a_zip_is_not() {
    let bench = Bench::new(2);
    let plain = tar(&[INDEX], 1_717_377_300);
    let zst = zstd::encode_all(plain.as_slice(), 3).unwrap();
    assert!(rehearsed(&bench, "p.tar", &plain).is_some());
    assert!(rehearsed(&bench, "p.tar.zst", &zst).is_some());
    assert!(rehearsed(&bench, "p.zip", b"PK\x03\x04 and so on").is_none());
    assert!(rehearsed(&bench, "p.tar.gz", &plain).is_none(), "name and content disagree");
    assert!(bench.left().is_empty());
}

#[test]
fn a_package_with_a_fault_is_left_to_whoever_reads_it_whole() {
    let bench = Bench::new(2);
    let good = package(&[INDEX, ("noise.bin", &noise(1 << 20))]);
    let mut damaged = good.clone();
    damaged[600_000] ^= 1;
    let trailing = [good.as_slice(), b"x"].concat();
    let no_index = package(&[("a.json", b"{}")]);
    let bad_json = package(&[INDEX, ("a.json", b"{")]);
    for (what, bytes) in [
        ("cut short", &good[..good.len() - 4]),
        ("damaged", &damaged),
        ("trailing", &trailing),
        ("no index", &no_index),
        ("bad JSON", &bad_json),
        ("nothing", b""),
        ("twice the same", &package(&[INDEX, INDEX])),
    ] {
        assert!(rehearsed(&bench, NAME, bytes).is_none(), "{what}");
        assert!(bench.left().is_empty(), "{what}");
    }
}

#[test]
fn other_bytes_than_those_that_were_hashed_are_nothing() {
    let bench = Bench::new(2);
    let bytes = package(&[INDEX]);
    let mut upload = bench.upload();
    upload.write(&bytes);
    assert!(upload.whole(NAME, Digest::of(b"other")).is_none());
    assert!(bench.left().is_empty());
}

#[test]
fn a_sender_that_vanishes_leaves_nothing() {
    let bench = Bench::new(2);
    let bytes = package(&[INDEX, ("noise.bin", &noise(2 << 20))]);
    let mut upload = bench.upload();
    upload.write(&bytes[..1 << 20]);
    drop(upload);
    assert!(bench.left().is_empty());
    let untouched = bench.upload();
    drop(untouched);
    assert!(bench.left().is_empty());
}

#[test]
fn a_run_begins_with_the_first_bytes_however_few() {
    let bench = Bench::new(2);
    let bytes = package(&[INDEX]);
    let mut upload = bench.upload();
    // The run waits before there is anything.
    while !lock(&bench.rehearsals.stage.runs).iter().all(|run| run.is_awaited()) {
        std::thread::yield_now();
    }
    bytes.chunks(100).for_each(|piece| upload.write(piece));
    upload.write(&[0; 512]);
    let begun = Instant::now();
    while bench.trees().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "never begun");
        std::thread::yield_now();
    }
}

#[test]
fn a_tree_that_nobody_takes_is_removed() {
    let bench = Bench::new(2);
    let bytes = package(&[INDEX]);
    let mut upload = bench.upload();
    upload.write(&bytes);
    let instant = bench.clock.now();
    let receipt = Receipt {
        name: NAME.to_owned(),
        sender: Sender { name: "iepc".to_owned(), key: None, addr: None, via: Via::Sftp },
        first_byte: instant,
        last_byte: instant,
        bytes: bytes.len() as u64,
    };
    drop(upload.look.whole(Digest::of(&bytes), &receipt));
    assert!(bench.left().is_empty());
}

#[test]
fn more_than_the_bound_are_read_when_they_are_whole() {
    let bench = Bench::new(1);
    let bytes = package(&[INDEX]);
    let mut first = bench.upload();
    first.write(&bytes);
    assert!(bench.rehearsals.begin(tempfile::tempfile().unwrap()).is_none());
    assert!(first.whole(NAME, Digest::of(&bytes)).is_some());
    bench.left();
    assert!(bench.rehearsals.begin(tempfile::tempfile().unwrap()).is_some());
    assert!(Bench::new(0).rehearsals.begin(tempfile::tempfile().unwrap()).is_none());
}

#[test]
fn a_short_disk_gets_back_what_is_not_whole() {
    let bench = Bench::new(2);
    assert!(!bench.rehearsals.give_way(PATIENCE), "there was nothing");
    let bytes = package(&[INDEX, ("noise.bin", &noise(2 << 20))]);
    let mut upload = bench.upload();
    upload.write(&bytes[..1 << 20]);
    assert!(bench.rehearsals.give_way(PATIENCE));
    assert!(bench.trees().is_empty());
    upload.write(&bytes[1 << 20..]);
    assert!(upload.whole(NAME, Digest::of(&bytes)).is_none());
}

#[test]
fn what_a_tree_is_built_on_is_not_pruned_under_it() {
    let bench = Bench::new(2);
    let noise = noise(2 << 20);
    let old = package(&[INDEX, ("noise.bin", &noise)]);
    let base = rehearsed(&bench, NAME, &old).unwrap().staged.commit().unwrap();
    bench.rehearsals.build_on(Some(base.clone()));
    let bytes = package(&[INDEX, ("more.txt", b"more"), ("noise.bin", &noise)]);
    let mut upload = bench.upload();
    upload.write(&bytes[..1 << 20]);
    // Another cut comes in between and the old one goes.
    let other = rehearsed(&bench, NAME, &package(&[INDEX, ("b", b"b")])).unwrap().staged.commit().unwrap();
    bench.store.point(&other.id).unwrap();
    bench.rehearsals.build_on(Some(other));
    drop(base);
    let gone = bench.store.prune(&|_| false).unwrap();
    upload.write(&bytes[1 << 20..]);
    let release = upload.whole(NAME, Digest::of(&bytes)).unwrap().staged.commit().unwrap();
    assert!(release.verify().unwrap().is_empty(), "pruned: {gone:?}");
    assert_eq!(release.manifest.len(), 3);
}
