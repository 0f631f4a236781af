//! The room on real files, with a publisher that only collects.

mod ahead;
mod packages;
mod push;
mod tree;
mod watch;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::access::{Proof, Rights};
use crate::ledger;
use crate::model::Outcome;

/// One instance below a temporary directory.
struct Bench {
    scratch: tempfile::TempDir,
    clock: Clock,
    live: Live,
    drop: Drop,
    arrivals: Receiver<Arrival>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DropConfig)) -> Self {
        Self::at(tempfile::tempdir().unwrap(), change)
    }

    fn at(scratch: tempfile::TempDir, change: impl FnOnce(&mut DropConfig)) -> Self {
        let clock = Clock::at("2024-06-03T02:15:00Z".parse().unwrap());
        let live = Live::default();
        let (drop, arrivals) = open(scratch.path(), &clock, &live, None, change);
        Self { scratch, clock, live, drop, arrivals }
    }

    /// With somebody who looks at packages while they come.
    fn seen_by(lookers: Arc<dyn Ahead>, change: impl FnOnce(&mut DropConfig)) -> Self {
        let (scratch, live) = (tempfile::tempdir().unwrap(), Live::default());
        let clock = Clock::at("2024-06-03T02:15:00Z".parse().unwrap());
        let (drop, arrivals) = open(scratch.path(), &clock, &live, Some(lookers), change);
        Self { scratch, clock, live, drop, arrivals }
    }

    /// The same instance after an abrupt end: nothing of the old one runs its destructors.
    fn restart(self) -> Self {
        let Self { scratch, clock, live, drop, arrivals } = self;
        std::mem::forget((drop, arrivals));
        let (drop, arrivals) = open(scratch.path(), &clock, &live, None, |_| {});
        Self { scratch, clock, live, drop, arrivals }
    }

    fn view(&self) -> View {
        self.view_of("iepc")
    }

    fn view_of(&self, key: &str) -> View {
        let grant = Grant {
            name: key.to_owned(),
            fingerprint: "SHA256:x".to_owned(),
            addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user: "prep".to_owned(),
            proof: Proof::Key,
            rights: Rights::default(),
            revoked: CancellationToken::new(),
        };
        self.drop.view(grant, Via::Sftp)
    }

    fn var(&self, path: &str) -> PathBuf {
        self.scratch.path().join("var").join(path)
    }

    fn inbox(&self, path: &str) -> PathBuf {
        self.var("inbox").join(inbox::on_disk("iepc", path))
    }

    /// The next arrival that is a package: its name and its bytes in the history.
    fn package(&mut self) -> (String, Vec<u8>) {
        let arrival = self.arrivals.try_recv().unwrap();
        let Payload::Package { kept, .. } = arrival.payload else { panic!("a tree") };
        (arrival.receipt.name, std::fs::read(kept.path).unwrap())
    }

    fn quiet(&mut self) -> bool {
        self.arrivals.try_recv().is_err()
    }

    fn ledger_kinds(&self) -> Vec<ledger::Kind> {
        let dir = Dir::open(self.var("ledger")).unwrap();
        ledger::read(&dir, ledger::Filter::default())
            .unwrap()
            .map(|line| line.unwrap().kind.unwrap())
            .collect()
    }

    /// Makes these files the live tree.
    fn publish(&self, files: &[(&str, &str)]) {
        let site = self.scratch.path().join(format!("site-{}", files.len()));
        let mut known = BTreeMap::new();
        for (path, text) in files {
            let place = site.join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
            let facts = LiveFile { sha256: Digest::of(text.as_bytes()), size: text.len() as u64, mtime: 7 };
            known.insert((*path).to_owned(), facts);
        }
        self.live.set(Some(LiveTree::new("r1", known, Dir::create(site).unwrap(), Arc::new(()))));
    }
}

fn open(
    scratch: &Path,
    clock: &Clock,
    live: &Live,
    lookers: Lookers,
    change: impl FnOnce(&mut DropConfig),
) -> (Drop, Receiver<Arrival>) {
    let var = Dir::create(scratch.join("var")).unwrap();
    let history = History::open(&var.sub_create("history").unwrap()).unwrap();
    let ledger = var.sub_create("ledger").unwrap();
    let (ledger, _) = Ledger::open_with(&ledger, clock.clone(), TimeZone::UTC, 0).unwrap();
    let mut config = DropConfig::new(Timestamp::MAX);
    config.reserve_bytes = 0;
    config.queue_wait = Duration::ZERO;
    config.tree_wait = Duration::ZERO;
    change(&mut config);
    Drop::open(&var, config, history, ledger, clock.clone(), live.clone(), lookers).unwrap()
}

fn at(path: &str) -> VPath {
    VPath::resolve(&VPath::root(), path.as_bytes())
}

/// Writes a whole file.
fn put(view: &mut View, path: &str, bytes: &[u8]) -> Result<Option<Submission>, DropError> {
    let mut upload = view.create(&at(path), Open::Truncate, Some(bytes.len() as u64))?;
    upload.write_at(0, bytes)?;
    upload.close()
}

/// Writes a file and loses the connection.
fn half(view: &mut View, path: &str, bytes: &[u8]) {
    view.create(&at(path), Open::Truncate, None).unwrap().write_at(0, bytes).unwrap();
}

fn names(view: &View, path: &str) -> Vec<String> {
    view.list(&at(path)).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
}

fn text(view: &View, path: &str) -> String {
    io::read_to_string(view.read(&at(path)).unwrap()).unwrap()
}

fn code<T: std::fmt::Debug>(done: Result<T, DropError>) -> Code {
    match done {
        Err(DropError::Rejected(rejection)) => rejection.code,
        other => panic!("{other:?}"),
    }
}
