//! A publisher in small, killed at every system call that changes the disk.
//!
//! The test runs this very binary under strace, which kills it (or fails the call) at the n-th call
//! of each kind; then everything is opened again and must agree with what was promised.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::tz::TimeZone;

use super::*;
use crate::archive::Sink as _;
use crate::clock::Clock;
use crate::ledger::{Entry, Finding, Ledger};
use crate::model::{Receipt, Sender, Via};
use crate::release::{Expected, Meta, Standing, Store, StoreConfig};

/// Set for the run that is killed: where it works.
const WORK: &str = "DIFUSOR_KILL_WORK";

/// Calls that change the disk, with how many the worker makes.
const CALLS: [(&str, u32); 13] = [
    ("mkdirat", 16),
    ("renameat", 5),
    ("renameat2", 2),
    ("symlinkat", 2),
    ("linkat", 3),
    ("unlinkat", 16),
    ("fsync", 12),
    ("fdatasync", 6),
    ("syncfs", 2),
    ("write", 27),
    ("pwrite64", 6),
    ("fchmod", 2),
    ("ftruncate", 1),
];

struct Rooms {
    root: Dir,
    ledger_dir: Dir,
    ledger: Ledger,
    history: History,
    store: Store,
}

/// Opens everything as a start does; the findings must be such as a crash leaves.
fn open(path: &Path) -> Rooms {
    let (root, clock) = (Dir::create(path).unwrap(), Clock::system());
    let ledger_dir = root.sub_create("var/ledger").unwrap();
    let (ledger, found) = Ledger::open_with(&ledger_dir, clock.clone(), TimeZone::UTC, 4096).unwrap();
    assert!(found.found.iter().all(|f| matches!(f, Finding::TornLine { .. })), "{found:?}");
    let history = History::open(&root.sub_create("var/history").unwrap()).unwrap();
    let config = StoreConfig {
        releases: root.sub_create("var/releases").unwrap(),
        www: root.sub_create("www").unwrap(),
        keep: 1,
        min_free_bytes: 0,
        min_free_inodes: 0,
        clock,
    };
    let shown = ledger::published(&ledger_dir).unwrap();
    let (store, recovery) = Store::open(config, &shown).unwrap();
    match recovery.standing {
        Standing::Sound(_) => {}
        Standing::Fresh if shown.is_empty() => {}
        other => panic!("{other:?}"),
    }
    Rooms { root, ledger_dir, ledger, history, store }
}

/// Receives and publishes two cuts, telling on standard output what it promised.
fn publish_two(rooms: &Rooms) {
    let Rooms { root, ledger, history, store, .. } = rooms;
    let incoming = root.sub_create("var/incoming").unwrap();
    let mut base = store.reader().load_current().unwrap();
    let first = store.list().unwrap().last().map_or(0, ReleaseId::sequence);
    for cut in first..first + 2 {
        let bytes = format!("package {cut}");
        let _ = incoming.remove_file("part");
        let mut file = incoming.create_file("part").unwrap();
        file.write_all(bytes.as_bytes()).unwrap();
        let id = Digest::of(bytes.as_bytes());
        let sender = Sender { name: "x".to_owned(), key: None, addr: None, via: Via::Drop };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let receipt = Receipt { name: "p.tar".to_owned(), sender, first_byte: at, last_byte: at, bytes: 9 };
        history.keep(&file, &incoming, "part", id, &receipt).unwrap();
        ledger.append(Entry::new(Kind::Received).with("package", id)).unwrap();
        println!("\nreceived {id}");
        let mut staging = store.stage(base.as_ref(), Expected::default()).unwrap();
        for (path, text) in [("a/cut", bytes.as_str()), ("same", "same")] {
            staging.file(path, text.len() as u64, 5).unwrap();
            staging.data(text.as_bytes()).unwrap();
            staging.end().unwrap();
        }
        let meta = Meta { package: Some(id), ..Meta::new(crate::release::Origin::Package) };
        let release = staging.seal(meta).unwrap().commit().unwrap();
        ledger.append(Entry::new(Kind::Intention).with("release", &release.id)).unwrap();
        store.point(&release.id).unwrap();
        ledger.append(Entry::new(Kind::Published).with("release", &release.id)).unwrap();
        println!("\npublished {}", release.id);
        base = Some(release);
        store.prune(&|_| false).unwrap();
    }
}

/// Everything promised is there, and everything that is there is whole.
fn check(rooms: &Rooms, promises: &str) {
    let proof = ledger::verify(&rooms.ledger_dir).unwrap();
    assert!(proof.is_sound(), "{:?}", proof.flaws);
    let awaited = received(&rooms.ledger_dir).unwrap();
    let promised = |word: &str| -> Vec<String> {
        promises.lines().filter_map(|l| l.strip_prefix(word)).map(str::to_owned).collect()
    };
    for id in promised("received ") {
        assert!(awaited.contains(&id.parse().unwrap()));
    }
    for id in awaited {
        assert_eq!(rooms.history.verify(id).unwrap(), Check::Equal);
    }
    for id in rooms.store.list().unwrap() {
        assert_eq!(rooms.store.verify(&id).unwrap(), []);
    }
    if let Some(last) = promised("published ").last() {
        let last = ReleaseId::parse(last).unwrap();
        assert!(rooms.store.current().unwrap().unwrap().sequence() >= last.sequence());
        assert!(ledger::published(&rooms.ledger_dir).unwrap().contains(&last));
    }
}

#[test]
fn worker() {
    if let Some(work) = std::env::var_os(WORK) {
        publish_two(&open(Path::new(&work)));
    }
}

fn run(tracer: &[&str], work: &Path) -> (bool, String) {
    let this = std::env::current_exe().unwrap();
    let (program, before) =
        tracer.split_first().map_or((this.as_os_str(), tracer), |(p, rest)| ((*p).as_ref(), rest));
    let mut command = Command::new(program);
    command.args(before);
    if !tracer.is_empty() {
        command.arg(&this);
    }
    let out = command
        .args(["--exact", "audit::kill::worker", "--nocapture", "--test-threads=1"])
        .env(WORK, work)
        .stderr(Stdio::null())
        .output()
        .expect("strace must be installed");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

/// C1, C5 and C7 of the test catalogue, for what lies on disk.
#[test]
fn a_kill_or_an_error_at_any_call_loses_nothing() {
    // Only the order of the calls matters here, not how slowly the disk turns.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut failed = 0;
    for (call, times) in CALLS {
        for (at, fault) in (1..=times).flat_map(|at| [(at, "signal=SIGKILL"), (at, "error=EIO")]) {
            let work = scratch.path().join(format!("{call}-{at}-{fault}"));
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}:when={at}"));
            let mut tracer = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            if fault.starts_with("error") {
                // Much faster, but strace then counts no signals beyond the first call.
                tracer.push("--seccomp-bpf");
            }
            let (whole, said) = run(&tracer, &work);
            failed += u32::from(!whole);
            check(&open(&work), &said);
            // The next start goes on as if nothing had been.
            let (again, more) = run(&[], &work);
            assert!(again, "{call} {at} {fault}");
            check(&open(&work), &(said + &more));
            std::fs::remove_dir_all(&work).unwrap();
        }
    }
    assert!(failed > 150, "only {failed} faults took effect");
}
