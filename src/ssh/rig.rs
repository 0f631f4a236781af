//! A drop with a publisher behind it, for the tests of programs.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::access::{Grant, Proof, Rights};
use crate::clock::Clock;
use crate::drop::{Arrival, Drop, DropConfig, Live, Payload, VPath, View};
use crate::durable::Dir;
use crate::history::History;
use crate::ledger::Ledger;
use crate::model::{Code, Digest, Outcome, Rejection, ReleaseId, Via};

/// A package the publisher takes.
pub(super) const GOOD: &[u8] = b"\x1f\x8b good package";
/// A package the publisher refuses.
pub(super) const REFUSED: &[u8] = b"\x1f\x8b refused package";

/// What reached the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// A package: its name and content.
    Package(String, Vec<u8>),
    /// A tree: the files it brought, and the folders that stay empty.
    Tree(Vec<String>),
}

impl Arrived {
    pub(super) fn package(name: &str, content: &[u8]) -> Self {
        Self::Package(name.to_owned(), content.to_vec())
    }

    pub(super) fn tree(paths: &[&str]) -> Self {
        Self::Tree(paths.iter().map(|path| (*path).to_owned()).collect())
    }
}

/// The drop, and what came out of it. Clones share it.
#[derive(Clone)]
pub(super) struct Rig {
    drop: Drop,
    log: Arc<(Mutex<Vec<Arrived>>, Condvar)>,
    _scratch: Arc<tempfile::TempDir>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let var = Dir::create(scratch.path()).unwrap();
        let clock = Clock::system();
        let history = History::open(&var.sub_create("history").unwrap()).unwrap();
        let ledger = var.sub_create("ledger").unwrap();
        let (ledger, _) = Ledger::open_with(&ledger, clock.clone(), TimeZone::UTC, 0).unwrap();
        let mut config = DropConfig::new(clock.now());
        config.reserve_bytes = 0;
        config.tree_wait = Duration::ZERO;
        let (drop, mut arrivals) =
            Drop::open(&var, config, history, ledger, clock, Live::default(), None).unwrap();
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let written = Arc::clone(&log);
        thread::spawn(move || {
            while let Some(arrival) = arrivals.blocking_recv() {
                decide(arrival, &written);
            }
        });
        Self { drop, log, _scratch: Arc::new(scratch) }
    }

    pub(super) fn view(&self, via: Via) -> View {
        let grant = Grant {
            name: "instituto".into(),
            fingerprint: "SHA256:x".into(),
            addr: [127, 0, 0, 1].into(),
            user: "prep".into(),
            proof: Proof::Key,
            rights: Rights::default(),
            revoked: CancellationToken::new(),
        };
        self.drop.view(grant, via)
    }

    /// What has reached the publisher so far.
    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.log.0.lock().unwrap().clone()
    }

    /// What a sender sees of a file.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        let view = self.view(Via::Sftp);
        let path = view.resolve(&VPath::root(), name.as_bytes()).unwrap();
        view.stat(&path).ok().map(|stat| stat.size)
    }

    /// Waits until so many have.
    pub(super) fn wait_for(&self, count: usize) {
        let log = self.log.0.lock().unwrap();
        drop(self.log.1.wait_while(log, |log| log.len() < count).unwrap());
    }
}

/// A publisher that refuses what says so.
fn decide(arrival: Arrival, log: &(Mutex<Vec<Arrived>>, Condvar)) {
    let arrived = match arrival.payload {
        Payload::Package { kept, .. } => {
            Arrived::Package(arrival.receipt.name, std::fs::read(kept.path).unwrap())
        }
        Payload::Sum(_) => return,
        Payload::Tree(tree) => Arrived::Tree(tree.changes.into_keys().collect()),
    };
    let refused = matches!(&arrived, Arrived::Package(_, content) if content == REFUSED);
    log.0.lock().unwrap().push(arrived);
    log.1.notify_all();
    let release = ReleaseId::new(1, None, &Digest::of(b"tree"));
    let outcome = if refused {
        Outcome::Rejected(Rejection::new(Code::GzipCrc))
    } else {
        Outcome::Published { cut: None, release, delay: Duration::from_millis(200) }
    };
    // The sender may not have waited.
    let _ = arrival.verdict.send(outcome);
}
