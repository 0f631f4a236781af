//! The watched directory, looked at by hand (so that no test sleeps) and through inotify.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use super::super::watch::{Watch, Watcher};
use super::*;

/// A bench, its watcher, and the time by the watcher's clock.
struct Watched {
    bench: Bench,
    watcher: Watcher,
    now: Instant,
}

impl Watched {
    fn new() -> Self {
        let bench = Bench::new();
        let watcher = Watcher::by_hand(&bench.drop);
        Self { bench, watcher, now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.var("drop").join(name)
    }

    fn look(&mut self, later: u64) {
        self.now += Duration::from_secs(later);
        self.watcher.look_at(self.now);
    }

    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = names.map(|n| n.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn warnings(&self) -> usize {
        self.bench.ledger_kinds().iter().filter(|kind| **kind == ledger::Kind::Warning).count()
    }
}

/// Moves as another program would.
fn move_to(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    Ok(rustix::fs::rename(from.as_ref(), to.as_ref())?)
}

/// A small package that is whole.
fn package(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_file_is_taken_when_it_rests() {
    let mut watched = Watched::new();
    fs::write(watched.path("p.tar.gz"), b"first").unwrap();
    watched.look(0);
    watched.look(1);
    assert!(watched.bench.quiet());
    // It grows: the rest begins anew.
    fs::write(watched.path("p.tar.gz"), b"first and second").unwrap();
    watched.look(1);
    watched.look(1);
    assert!(watched.bench.quiet());
    watched.look(1);
    assert_eq!(watched.bench.package(), ("p.tar.gz".to_owned(), b"first and second".to_vec()));
    assert!(watched.left().is_empty());
    watched.look(10);
    assert!(watched.bench.quiet(), "one package, one arrival");
    assert_eq!(fs::read_dir(watched.bench.var("incoming")).unwrap().count(), 0);
}

#[test]
fn a_file_that_somebody_writes_is_never_taken() {
    let mut watched = Watched::new();
    let mut writer = fs::File::create(watched.path("p.tar.gz")).unwrap();
    writer.write_all(b"slow ").unwrap();
    for _ in 0..5 {
        watched.look(10);
    }
    watched.watcher.moved_in("p.tar.gz");
    watched.look(0);
    assert!(watched.bench.quiet());
    writer.write_all(b"writer").unwrap();
    drop(writer);
    watched.look(0);
    // One that opens it again before it has rested.
    let reopened = fs::OpenOptions::new().append(true).open(watched.path("p.tar.gz")).unwrap();
    watched.look(10);
    assert!(watched.bench.quiet());
    drop(reopened);
    watched.look(2);
    assert_eq!(watched.bench.package().1, b"slow writer");
}

#[test]
fn a_whole_package_moved_in_is_taken_at_once() {
    let mut watched = Watched::new();
    let outside = watched.bench.scratch.path().join("outside");
    fs::write(&outside, package("whole")).unwrap();
    move_to(&outside, watched.path("p.tar.gz")).unwrap();
    watched.watcher.moved_in("p.tar.gz");
    watched.look(0);
    assert_eq!(watched.bench.package().1, package("whole"));
    // Half of one rests first, and is then judged like any other.
    let whole = package("half of this is missing");
    fs::write(&outside, &whole[..whole.len() / 2]).unwrap();
    move_to(&outside, watched.path("p.tar.gz")).unwrap();
    watched.watcher.moved_in("p.tar.gz");
    watched.look(0);
    watched.look(1);
    assert!(watched.bench.quiet());
    watched.look(1);
    assert_eq!(watched.bench.package().1.len(), whole.len() / 2);
    for _ in 0..50 {
        watched.look(5);
    }
    assert!(watched.bench.quiet(), "one verdict, not fifty");
}

#[test]
fn only_regular_files_with_a_packages_name_are_taken() {
    let mut watched = Watched::new();
    let outside = watched.bench.scratch.path().join("outside.zip");
    fs::write(&outside, b"secret").unwrap();
    std::os::unix::fs::symlink(&outside, watched.path("link.zip")).unwrap();
    fs::create_dir(watched.path("folder.zip")).unwrap();
    let fifo = watched.path("fifo.zip");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    for name in ["notes.txt", ".p.tar.gz.AbC", "p.tar.gz.part"] {
        fs::write(watched.path(name), b"x").unwrap();
    }
    for _ in 0..5 {
        watched.look(5);
    }
    assert!(watched.bench.quiet());
    assert_eq!((watched.left().len(), watched.warnings()), (6, 3), "each is said once");
}

#[test]
fn sums_are_taken_with_their_package() {
    let mut watched = Watched::new();
    let sum = |text: &[u8]| Digest::of(text).to_string();
    fs::write(watched.path("SHA256SUMS"), sum(b"one") + "  p.zip\n").unwrap();
    fs::write(watched.path("p.zip.sha256"), sum(b"one")).unwrap();
    fs::write(watched.path("p.zip"), b"one").unwrap();
    watched.look(0);
    watched.look(2);
    let Payload::Package { sidecars, .. } = watched.bench.arrivals.try_recv().unwrap().payload else {
        panic!()
    };
    assert_eq!(sidecars.len(), 2);
    assert_eq!(watched.left(), ["SHA256SUMS"], "a list may speak of others");
    // The sum came late; it does not condemn the next package of that name.
    fs::write(watched.path("p.zip.sha256"), sum(b"one")).unwrap();
    fs::write(watched.path("p.zip"), b"two").unwrap();
    watched.look(0);
    watched.look(2);
    let Payload::Package { sidecars, .. } = watched.bench.arrivals.try_recv().unwrap().payload else {
        panic!()
    };
    assert!(sidecars.is_empty());
}

#[test]
fn the_directory_may_go_and_come_back() {
    let mut watched = Watched::new();
    watched.look(0);
    move_to(watched.path(""), watched.bench.var("elsewhere")).unwrap();
    for _ in 0..3 {
        watched.look(5);
    }
    assert_eq!(watched.warnings(), 1);
    fs::create_dir(watched.path("")).unwrap();
    fs::write(watched.path("p.zip"), b"p").unwrap();
    watched.look(5);
    watched.look(5);
    assert_eq!(watched.bench.package().0, "p.zip");
}

#[test]
fn a_file_with_other_names_is_copied() {
    let mut watched = Watched::new();
    let other = watched.bench.scratch.path().join("other");
    fs::write(&other, b"shared").unwrap();
    fs::hard_link(&other, watched.path("p.zip")).unwrap();
    watched.look(0);
    watched.look(2);
    fs::write(&other, b"CHANGED").unwrap();
    assert_eq!(watched.bench.package().1, b"shared");
    assert!(watched.left().is_empty());
}

#[test]
fn what_is_not_kept_goes_back_and_is_tried_again() {
    let mut watched = Watched::new();
    fs::write(watched.path("p.zip"), b"p").unwrap();
    // The record of the history cannot be written: a folder stands in its place.
    let id = Digest::of(b"p");
    let in_the_way = watched.bench.var("history").join(format!("{id}.json"));
    fs::create_dir(&in_the_way).unwrap();
    watched.look(0);
    for _ in 0..3 {
        watched.look(10);
    }
    assert!(watched.bench.quiet());
    assert_eq!((watched.left(), watched.warnings()), (vec!["p.zip".to_owned()], 1));
    assert_eq!(fs::read_dir(watched.bench.var("incoming")).unwrap().count(), 0);
    fs::remove_dir(in_the_way).unwrap();
    watched.look(40);
    assert_eq!(watched.bench.package().1, b"p");
}

#[test]
fn a_crash_while_taking_loses_nothing() {
    let bench = Bench::new();
    for (n, text) in ["one", "two"].into_iter().enumerate() {
        let taken = bench.var("incoming").join(format!("taken-{n}"));
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("p.zip"), text).unwrap();
    }
    let mut watched = Watched::new();
    watched.bench = bench.restart();
    watched.watcher = Watcher::by_hand(&watched.bench.drop);
    assert_eq!(watched.left().len(), 2);
    watched.look(0);
    watched.look(2);
    let mut packages = [watched.bench.package().1, watched.bench.package().1];
    packages.sort();
    assert_eq!(packages, [b"one", b"two"]);
}

/// Waits for what the watching thread does; its end is an event, the bound only for a failure.
fn awaited(bench: &mut Bench) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let bound = Duration::from_secs(30);
    let arrival = runtime.block_on(async { tokio::time::timeout(bound, bench.arrivals.recv()).await });
    match arrival.expect("nothing came").unwrap().payload {
        Payload::Package { kept, .. } => fs::read(kept.path).unwrap(),
        Payload::Tree(_) | Payload::Sum(_) => panic!("no package"),
    }
}

#[test]
fn inotify_tells_of_moves_and_closes() {
    let mut bench = Bench::with(|config| {
        // So long that only the event can be the reason.
        config.rescan = Duration::from_secs(3600);
        config.settle = Duration::from_millis(100);
    });
    let watch = Watch::spawn(&bench.drop).unwrap();
    for n in 0..3 {
        let outside = bench.scratch.path().join("outside");
        fs::write(&outside, package(&n.to_string())).unwrap();
        move_to(&outside, bench.var("drop/moved.tar.gz")).unwrap();
        assert_eq!(awaited(&mut bench), package(&n.to_string()));
        fs::write(bench.var("drop/written.zip"), n.to_string()).unwrap();
        assert_eq!(awaited(&mut bench), n.to_string().as_bytes());
    }
    drop(watch);
    fs::write(bench.var("drop/late.zip"), b"late").unwrap();
    assert!(bench.quiet());
}

#[test]
fn the_regular_look_finds_what_no_event_told() {
    let mut bench = Bench::with(|config| {
        config.rescan = Duration::from_millis(50);
        config.settle = Duration::from_millis(100);
    });
    fs::write(bench.var("drop/before.zip"), b"before the start").unwrap();
    let _watch = Watch::spawn(&bench.drop).unwrap();
    assert_eq!(awaited(&mut bench), b"before the start");
    fs::remove_dir(bench.var("drop")).unwrap();
    fs::create_dir(bench.var("drop")).unwrap();
    fs::write(bench.var("drop/after.zip"), b"in the new one").unwrap();
    assert_eq!(awaited(&mut bench), b"in the new one");
}

#[test]
fn a_slow_copy_by_another_process_is_taken_whole() {
    let mut bench = Bench::with(|config| {
        config.settle = Duration::from_millis(100);
        config.rescan = Duration::from_millis(50);
    });
    let _watch = Watch::spawn(&bench.drop).unwrap();
    let script = "exec > \"$0\"; printf one; sleep 0.5; printf two; sleep 0.5; printf three";
    let mut writer = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(bench.var("drop/p.tar.gz"))
        .spawn()
        .unwrap();
    assert_eq!(awaited(&mut bench), b"onetwothree");
    assert!(writer.wait().unwrap().success() && bench.quiet());
}
