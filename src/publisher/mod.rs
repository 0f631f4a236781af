//! THE MAIN FLOW: arrival → verify → stage → commit → publish → record.
//!
//! One task alone changes releases and the live pointer. It takes whole, durable
//! [`Arrival`]s, gives each a verdict, and swaps the pointer when a window allows it;
//! a tick looks at the windows. Nothing here is concurrent, so nothing here needs a lock.
//!
//! After an error the last good cut is still live: a rejection removes its scratch, a
//! ledger that cannot be written stops publishing, a sync that failed is never retried
//! on the same files.

mod early;
mod increment;
mod operator;
mod pause;
mod state;
mod sums;
mod tree;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cadence::Schedule;
use crate::clock::Clock;
use crate::drop::{Ahead as _, Arrival, Early, Live, LiveFile, LiveTree, Payload};
use crate::history::{Decision, History, Kept, Record, Verdict};
use crate::ledger::{Entry, Kind, Ledger};
use crate::model::{Code, Cut, Digest, Event, Lang, Outcome, Receipt, Rejection, Via, Wait};
use crate::package::{self, Extent, Rules, Verified};
use crate::rehearsal::{Rehearsals, Witnesses};
use crate::release::{Expected, FileFacts, Meta, Origin, Release, Staging, Standing, Store, Witness};
pub use operator::{By, Order, Ordered};
use pause::Pauses;
use state::Receptions;
pub use window::foresee;
use window::{Place, Window, Windows};

/// How often the windows are looked at: the opening is met within a tenth of a second.
const TICK: Duration = Duration::from_millis(100);
/// How long a package waits for the disk to be freed of what was unpacked ahead.
const GIVE_WAY: Duration = Duration::from_secs(2);

/// A package that passed every check, and its release.
struct Ready {
    release: Release,
    verified: Verified,
    /// Whoever saw the files pass.
    witness: Option<Box<dyn Witness>>,
    how: How,
}

/// What became of a package with which nothing is wrong.
enum Judged {
    /// A release.
    Ready(Ready),
    /// An increment that has nothing to build on yet.
    Waits(Verified),
}

/// How a package was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// While it arrived.
    Ahead,
    /// When it was whole.
    Whole,
}

/// What the publisher works with; it alone holds the store.
pub struct Parts {
    /// Releases and the live pointer.
    pub store: Store,
    /// Originals.
    pub history: History,
    /// The record.
    pub ledger: Ledger,
    /// What a package must satisfy.
    pub rules: Arc<Rules>,
    /// Packages that are staged while they arrive.
    pub rehearsals: Rehearsals,
    /// The serving half of this process, if there is one.
    pub witnesses: Option<Witnesses>,
    /// Publication windows, in order of opening.
    pub events: Vec<Event>,
    /// The page shown when nothing may be seen, given the next opening.
    pub waiting_page: Box<dyn Fn(Option<Timestamp>) -> String + Send>,
    /// The institute's notice as a page, given its text.
    pub notice_page: Box<dyn Fn(&str) -> String + Send>,
    /// When a night is over.
    pub schedule: Schedule,
    /// Tree that senders see under `sitio/` and that their changes start from.
    pub tree: Live,
    /// Releases that a reader still holds are not pruned.
    pub in_use: Box<dyn Fn(&crate::model::ReleaseId) -> bool + Send>,
    /// Told of each swap, so that a serving half in this process need not poll.
    pub swapped: Box<dyn Fn(&Release) + Send>,
    /// The time.
    pub clock: Clock,
    /// Language of verdicts.
    pub lang: Lang,
}

/// The one owner of what is live.
pub struct Publisher {
    parts: Parts,
    windows: Windows,
    pauses: Pauses,
    /// What the pointer names.
    live: Option<Release>,
    /// Newest verified release of the window to come.
    staged: Option<Release>,
    receptions: Receptions,
    /// Increments that wait for the package they build on.
    held: Vec<Digest>,
    /// Packages that a sum contradicts which came after them, and what it says.
    doubts: BTreeMap<Digest, String>,
    /// The event whose window is open, as the ledger knows it.
    open_event: Option<String>,
    /// The opening that the waiting page tells of, once it is up.
    waiting_for: Option<Option<Timestamp>>,
    started: Timestamp,
}

impl Publisher {
    /// Takes up where the last run ended: the pointer stays where it is, packages that
    /// were stored without a verdict get one, and a pointer that leads nowhere is
    /// mended from the newest original.
    pub fn open(parts: Parts, standing: Standing) -> io::Result<Self> {
        let live = match standing {
            Standing::Sound(release) | Standing::Mended { now: release, .. } => Some(release),
            Standing::Fresh | Standing::Lost { .. } => None,
        };
        let opened = live.as_ref().and_then(|r| r.meta.event.clone());
        let started = parts.clock.now();
        let windows = Windows::new(parts.events.clone(), opened.clone());
        let receptions = Receptions::default();
        let pauses = Pauses::read(&parts.ledger.dir())?;
        let mut publisher = Self {
            parts,
            windows,
            pauses,
            live,
            staged: None,
            receptions,
            held: Vec::new(),
            doubts: BTreeMap::new(),
            open_event: opened,
            waiting_for: None,
            started,
        };
        publisher.close_intention()?;
        publisher.find_doubts()?;
        publisher.find_staged()?;
        publisher.take_up()?;
        publisher.look_at_windows();
        publisher.show_senders();
        Ok(publisher)
    }

    /// Serves arrivals, operators and the clock until `stop`, then what is still queued.
    pub async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut orders: mpsc::Receiver<Ordered>,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                Some(arrival) = arrivals.recv() => tokio::task::block_in_place(|| self.take(arrival)),
                Some((order, back)) = orders.recv() => {
                    let answer = tokio::task::block_in_place(|| self.answer(order));
                    // An operator who went away has its answer in the ledger.
                    let _ = back.send(answer);
                }
                _ = tick.tick() => tokio::task::block_in_place(|| self.look_at_windows()),
                () = stop.cancelled() => break,
            }
        }
        arrivals.close();
        while let Some(arrival) = arrivals.recv().await {
            tokio::task::block_in_place(|| self.take(arrival));
        }
    }

    /// One arrival, from the queue to its verdict.
    fn take(&mut self, arrival: Arrival) {
        self.decide(arrival);
        self.take_held();
    }

    fn decide(&mut self, arrival: Arrival) {
        let Arrival { payload, receipt, base, verdict } = arrival;
        let seen = self.receptions.begin(receipt.clone());
        let outcome = match payload {
            Payload::Package { kept, sidecars, early } => self.package(&kept, &sidecars, &receipt, early),
            Payload::Tree(change) => self.tree(change, base.as_deref(), &receipt),
            Payload::Sum(sum) => self.late_sum(&sum, &receipt),
        };
        tracing::info!(package = %receipt.name, sender = %receipt.sender.name, verdict = %outcome.line(Lang::En), "verdict");
        self.receptions.end(seen, &outcome, self.parts.lang);
        // The sender may have left with "received": the ledger has the verdict.
        let _ = verdict.send(outcome);
        // Nobody waits for the removal of old trees.
        self.prune();
    }

    /// A package: the same bytes again need no work, others are verified and settled.
    fn package(
        &mut self,
        kept: &Kept,
        sidecars: &[(String, Vec<u8>)],
        receipt: &Receipt,
        early: Option<Early>,
    ) -> Outcome {
        let by_hand = receipt.sender.via == Via::Operator;
        if !kept.is_new && !by_hand && self.needs_no_work(kept.id) {
            self.note(Entry::new(Kind::Repeated).with("package", kept.id).with("name", &receipt.name));
            return Outcome::Repeated { package: kept.id };
        }
        let mut onto = Vec::new();
        let early = early.and_then(|early| self.rehearsed(early, kept, sidecars, receipt));
        let judged =
            early.map_or_else(|| self.verify(kept, sidecars, receipt), |ready| Ok(Judged::Ready(ready)));
        let outcome = match judged.and_then(|judged| self.on_record(judged)) {
            Ok(Judged::Ready(ready)) => {
                self.warn(&receipt.name, kept.id, &ready.verified);
                onto.clone_from(&ready.release.meta.onto);
                self.settle(ready.release, ready.witness, receipt)
            }
            Ok(Judged::Waits(verified)) => {
                self.warn(&receipt.name, kept.id, &verified);
                self.hold(kept.id, &verified, receipt)
            }
            Err(rejection) => self.reject(Some(kept.id), receipt, rejection),
        };
        let verdict = Verdict { onto, ..Verdict::of(&outcome, self.parts.clock.now(), self.parts.lang) };
        if let Err(error) = self.parts.history.record_verdict(kept.id, verdict) {
            tracing::error!(%error, package = %kept.id, "verdict cannot be kept beside the package");
        }
        outcome
    }

    /// Reads the original once: checked, unpacked beneath scratch, synced, renamed. No release
    /// comes of an increment that has nothing to build on.
    fn verify(
        &self,
        kept: &Kept,
        sidecars: &[(String, Vec<u8>)],
        receipt: &Receipt,
    ) -> Result<Judged, Rejection> {
        let now = self.parts.clock.now();
        let newest = self.newest_for(receipt);
        let file = self.parts.history.open_original(kept.id).map_err(store_failed)?;
        let mut staging = self.stage(receipt.bytes)?;
        let verified =
            package::verify(&file, &receipt.name, sidecars, &self.parts.rules, newest, now, &mut staging)?;
        let cut = verified.cut.as_ref().map(|found| found.cut);
        if let Some(top) = &verified.top {
            staging.strip(top).map_err(|e| self.parts.store.blame(&e))?;
        }
        let kind = if receipt.sender.via == Via::Operator { Origin::Manual } else { Origin::Package };
        let mut meta = self.meta(kind, cut, kept.id, receipt)?;
        meta.top.clone_from(&verified.top);
        if verified.extent == Extent::Changes {
            let Some(ground) = self.ground(&meta) else { return Ok(Judged::Waits(verified)) };
            self.lay_over(ground, &mut staging, &mut meta)?;
        }
        let mut staged = staging.seal(meta).map_err(|e| self.parts.store.blame(&e))?;
        let witness = staged.take_witness();
        let release = staged.commit().map_err(|e| self.parts.store.blame(&e))?;
        Ok(Judged::Ready(Ready { release, verified, witness, how: How::Whole }))
    }

    /// A new tree. What was unpacked of packages that are not whole yet makes way for it.
    fn stage(&self, packed_bytes: u64) -> Result<Staging, Rejection> {
        let expected = expected(self.base(), packed_bytes);
        let stage = || self.parts.store.stage(self.base(), expected);
        let mut staging = stage().or_else(|rejection| match self.parts.rehearsals.give_way(GIVE_WAY) {
            true => stage(),
            false => Err(rejection),
        })?;
        staging.watched_by(self.parts.witnesses.as_ref().map(|make| make()));
        Ok(staging)
    }

    /// The cut that this arrival must not be older than.
    fn newest_for(&self, receipt: &Receipt) -> Option<Cut> {
        match receipt.sender.via {
            Via::Operator => None,
            _ => self.newest_cut(),
        }
    }

    /// What is known of a release beside its files.
    fn meta(
        &self,
        kind: Origin,
        cut: Option<Cut>,
        package: Digest,
        receipt: &Receipt,
    ) -> Result<Meta, Rejection> {
        let now = self.parts.clock.now();
        Ok(Meta {
            cut,
            package: Some(package),
            name: Some(receipt.name.clone()),
            sender: Some(receipt.sender.clone()),
            received: Some(receipt.last_byte),
            verified: Some(now),
            event: self.event_for(cut, now)?,
            ..Meta::new(kind)
        })
    }

    fn on_record(&mut self, judged: Judged) -> Result<Judged, Rejection> {
        if let Judged::Ready(ready) = &judged {
            self.verified(&ready.release, ready.how, ready.verified.last)?;
        }
        Ok(judged)
    }

    fn verified(&mut self, release: &Release, how: How, last: bool) -> Result<(), Rejection> {
        let entry = Entry::new(Kind::Verified).with("release", &release.id).with("cut", release.meta.cut);
        let entry = entry.with("package", release.meta.package).with("tree", release.tree);
        let entry = entry.with("files", release.manifest.len()).with_some("onto", release.meta.onto.last());
        let entry = entry.with_some("ahead", (how == How::Ahead).then_some(true));
        let last = last && self.is_not_first(release);
        let entry = entry.with_some("last", last.then_some(true));
        if last {
            self.pauses.note_last(&release.id);
        }
        // Durable with the line that follows: the intention, or the end of the staging.
        self.parts.ledger.note(entry).map_err(ledger_failed)
    }

    /// Whether readers, or those who wait, have an earlier cut of the same night: a field that counts cuts is 1 in the first.
    fn is_not_first(&self, release: &Release) -> bool {
        self.base().is_some_and(|base| base.meta.event == release.meta.event)
    }

    /// Whether these bytes were verified before, and not refused since. An increment must also
    /// be part of what is there: a new first package begins anew.
    fn needs_no_work(&self, package: Digest) -> bool {
        let record = self.parts.history.get(package).ok().flatten();
        let Some(last) = record.as_ref().and_then(Record::standing) else { return false };
        let accepted = matches!(last.result, Decision::Published | Decision::Staged);
        accepted && (last.onto.is_empty() || self.base().is_some_and(|base| increment::holds(base, package)))
    }

    /// The name of the event a cut is for, or why it is for none.
    fn event_for(&self, cut: Option<Cut>, now: Timestamp) -> Result<Option<String>, Rejection> {
        match self.windows.place(cut, now) {
            Place::Always | Place::Over => Ok(None),
            Place::Event(event) => Ok(Some(event.name.clone())),
            Place::Foreign(event) => {
                let rejection = Rejection::new(Code::WrongElection);
                let Some(cut) = cut else { return Err(rejection.detail(event.name.clone())) };
                let es = format!("el corte {cut} es anterior a lo que admite «{}»", event.name);
                let en = format!("cut {cut} is older than what '{}' takes", event.name);
                Err(rejection.detail((es, en)))
            }
        }
    }

    /// A release that is whole and synced: shown now, or kept for its window.
    fn settle(&mut self, release: Release, witness: Option<Box<dyn Witness>>, receipt: &Receipt) -> Outcome {
        let cut = release.meta.cut;
        let now = self.parts.clock.now();
        let visible = match self.windows.at(now) {
            Window::Always => true,
            Window::Open(event) => release.meta.event.as_ref() == Some(&event.name),
            Window::Closed => false,
        };
        let wait = match self.pauses.wait(release.meta.event.as_ref()) {
            // Who publishes by hand has decided.
            Some(Wait::Decision) if receipt.sender.via == Via::Operator => None,
            wait => wait,
        };
        let opens = || Wait::Opening(self.windows.opening_of(release.meta.event.as_deref()));
        if let Some(wait) = if visible { wait } else { Some(opens()) } {
            if let Err(error) = self.parts.ledger.sync() {
                return Outcome::Rejected(ledger_failed(error));
            }
            if wait == Wait::Decision {
                let entry = Entry::new(Kind::Warning).with("what", "correction_waits");
                self.note(entry.with("release", &release.id).with("cut", cut).with("name", &receipt.name));
            }
            self.staged = Some(release);
            self.show_senders();
            return Outcome::Staged { cut, wait };
        }
        let id = release.id.clone();
        if let Some(witness) = witness {
            witness.next(&release);
        }
        match self.publish(release, receipt.last_byte) {
            Ok(delay) => Outcome::Published { cut, release: id, delay },
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    /// The swap: intention on record, pointer, readers, fact on record.
    fn publish(&mut self, release: Release, since: Timestamp) -> Result<Duration, Rejection> {
        let fact = |kind| {
            let meta = &release.meta;
            let entry = Entry::new(kind).with("release", &release.id).with("cut", meta.cut);
            entry.with("package", meta.package).with("tree", release.tree)
        };
        self.record(fact(Kind::Intention))?;
        self.parts.store.point(&release.id).map_err(store_failed)?;
        (self.parts.swapped)(&release);
        let delay = Duration::try_from(self.parts.clock.now().duration_since(since)).unwrap_or_default();
        let published = fact(Kind::Published).with("files", release.manifest.len());
        let published = published.with("ms", u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        if let Err(error) = self.parts.ledger.append(published) {
            // Readers see it: that cannot be taken back, and recovery finds the intention.
            tracing::error!(%error, release = %release.id, "published, but the ledger could not say so");
        }
        self.live = Some(release.clone());
        if self.staged.as_ref().is_some_and(|staged| staged.id == release.id) {
            self.staged = None;
        }
        self.show_senders();
        self.end_night_by_flag(&release);
        Ok(delay)
    }

    /// Meets openings and closings.
    fn look_at_windows(&mut self) {
        let now = self.parts.clock.now();
        self.look_at_pauses(now);
        if self.pauses.notice.is_some() {
            return self.show_notice();
        }
        let wanted = match self.windows.at(now) {
            Window::Always => return self.show_something(),
            Window::Open(event) => Some(event.name.clone()),
            Window::Closed => None,
        };
        self.note_turn(wanted.as_ref());
        let shown = self.live.as_ref().and_then(|r| r.meta.event.clone());
        let ready = self.staged.as_ref().and_then(|r| r.meta.event.clone());
        let due = match &wanted {
            Some(name) if ready.as_ref() == Some(name) && self.pauses.wait(Some(name)).is_none() => {
                self.staged.take()
            }
            Some(name) if shown.as_ref() == Some(name) => return,
            _ => return self.show_waiting(),
        };
        self.show_due(due, now);
    }

    fn show_due(&mut self, due: Option<Release>, now: Timestamp) {
        if let Some(release) = due
            && let Err(rejection) = self.publish(release.clone(), now)
        {
            tracing::error!(%rejection, "what is due could not be shown; trying again");
            self.staged = Some(release);
        }
    }

    /// Puts an opening or closing on record, once.
    fn note_turn(&mut self, open: Option<&String>) {
        if self.open_event.as_ref() == open {
            return;
        }
        if let Some(closed) = self.open_event.take() {
            self.note(Entry::new(Kind::Closed).with("event", closed));
        }
        if let Some(opened) = open {
            self.note(Entry::new(Kind::Opened).with("event", opened));
        }
        self.open_event = open.cloned();
    }

    /// Without windows there is something to show from the first start on, and what was held when it no longer is.
    fn show_something(&mut self) {
        if self.staged.is_some() && self.pauses.wait(None).is_none() {
            let due = self.staged.take();
            return self.show_due(due, self.parts.clock.now());
        }
        if self.live.as_ref().is_none_or(|live| live.meta.kind == Origin::Notice) {
            self.show_waiting();
        }
    }

    /// Shows our own page, made anew when the next opening is another one.
    fn show_waiting(&mut self) {
        let opens = self.windows.next_opening(self.parts.clock.now());
        if self.waiting_for == Some(opens) && self.live.as_ref().is_some_and(is_waiting) {
            return;
        }
        let page = (self.parts.waiting_page)(opens);
        let shown =
            self.parts.store.waiting_release(page.as_bytes()).map_err(store_failed).and_then(|release| {
                if self.live.as_ref().is_some_and(|live| live.id == release.id) {
                    return Ok(());
                }
                self.publish(release, self.parts.clock.now()).map(|_| ())
            });
        match shown {
            Ok(()) => self.waiting_for = Some(opens),
            Err(rejection) => tracing::error!(%rejection, "the waiting page cannot be shown"),
        }
    }

    /// The tree that the next change or package builds on: unchanged files are shared with it.
    fn base(&self) -> Option<&Release> {
        let live = self.live.as_ref().filter(|r| !is_page(r));
        self.staged.as_ref().or(live)
    }

    /// Cut that a new one must not be older than.
    fn newest_cut(&self) -> Option<Cut> {
        self.base().and_then(|r| r.meta.cut)
    }

    /// What senders see under `sitio/` and their changes start from.
    fn show_senders(&self) {
        let tree = self.base().map(|release| {
            let facts = |f: &FileFacts| LiveFile { sha256: f.sha256, size: f.size, mtime: f.mtime };
            let files = release.manifest.files().iter().map(|(path, f)| (path.clone(), facts(f))).collect();
            LiveTree::new(release.id.to_string(), files, release.site.clone(), Arc::new(release.clone()))
        });
        self.parts.tree.set(tree);
        self.parts.rehearsals.build_on(self.base().cloned());
    }

    fn reject(&self, package: Option<Digest>, receipt: &Receipt, rejection: Rejection) -> Outcome {
        // Nothing is wrong with an older cut: it is kept, and passed over.
        let kind = if rejection.code == Code::CutOlder { Kind::Superseded } else { Kind::Rejected };
        let entry = Entry::new(kind).with("package", package).with("name", &receipt.name);
        let entry = entry.with("code", rejection.code).with("stage", rejection.stage());
        let entry =
            entry.with("entry", &rejection.entry).with("detail", rejection.detail_text(self.parts.lang));
        let entry = entry.with("sender", &receipt.sender);
        self.note(entry);
        Outcome::Rejected(rejection)
    }

    fn warn(&self, name: &str, package: Digest, verified: &Verified) {
        self.warn_of_content(name, package, &verified.warnings);
        if verified.skipped.count > 0 {
            let entry = Entry::new(Kind::Warning).with("package", package).with("name", name);
            self.remark(entry.with("skipped", verified.skipped.count).with("names", &verified.skipped.names));
        }
    }

    fn warn_of_content(&self, name: &str, package: Digest, warnings: &[package::Warning]) {
        for warning in warnings {
            let entry = Entry::new(Kind::Warning).with("package", package).with("name", name);
            let entry = entry.with("warning", warning.code());
            self.remark(entry.with("message", warning.message(self.parts.lang)));
        }
    }

    fn prune(&self) {
        let keep = [self.live.as_ref(), self.staged.as_ref()];
        let kept: Vec<_> = keep.into_iter().flatten().map(|r| r.id.clone()).collect();
        let in_use = |id: &crate::model::ReleaseId| kept.contains(id) || (self.parts.in_use)(id);
        if let Err(error) = self.parts.store.prune(&in_use) {
            tracing::warn!(%error, "old releases cannot be pruned");
        }
    }

    /// A fact without which we do not go on.
    fn record(&self, entry: Entry) -> Result<(), Rejection> {
        self.parts.ledger.append(entry).map_err(ledger_failed)
    }

    /// A remark that is durable with the next fact.
    fn remark(&self, entry: Entry) {
        if let Err(error) = self.parts.ledger.note(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }

    /// A fact whose loss changes nothing that readers see.
    fn note(&self, entry: Entry) {
        if let Err(error) = self.parts.ledger.append(entry) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}

/// A page of our own, without results.
fn is_page(release: &Release) -> bool {
    release.meta.kind.is_page()
}

/// Our own page, shown when nothing may be seen.
fn is_waiting(release: &Release) -> bool {
    release.meta.kind == Origin::Waiting
}

/// What a package will need, judged by the release before it: real ones hardly grow.
fn expected(base: Option<&Release>, packed_bytes: u64) -> Expected {
    let (bytes, entries) = base.map_or((0, 0), |r| (r.manifest.bytes(), r.manifest.len() as u64));
    Expected { bytes: bytes.max(packed_bytes), entries }
}

/// Nothing is published that cannot be accounted for.
fn ledger_failed(error: io::Error) -> Rejection {
    tracing::error!(%error, "the ledger cannot be written: nothing is published");
    Rejection::new(Code::LedgerFailed).detail(error.to_string())
}

/// Our own disk failed: told to the sender without its inside.
fn store_failed(error: io::Error) -> Rejection {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::NoSpace,
        _ => Code::StoreFailed,
    };
    tracing::error!(%error, "the store failed");
    Rejection::new(code)
}
