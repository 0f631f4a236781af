//! What an operator may ask of the publisher, and what it finds at its start.

use std::io;

use tokio::sync::oneshot;

use super::{Publisher, is_page, store_failed};
use crate::control::{Answer, NightAct, Shown, Status};
use crate::drop::{self, Arrival, Payload};
use crate::history::{Decision, Kept, Record};
use crate::ledger::{self, Entry, Kind};
use crate::model::{Receipt, ReleaseId, Sender, Via};
use crate::release::Release;

/// What an operator asks of the publisher itself. A publication by hand is no order: it is
/// an arrival like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// What is live, staged, and came last.
    Status,
    /// Show an earlier release again.
    Rollback {
        /// Which; `None` is the one before the live one.
        release: Option<ReleaseId>,
        /// How long what arrives is kept back afterwards, in seconds; `None` not at all.
        hold_s: Option<u64>,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Keep what arrives from being published, for so many seconds.
    Hold(u64, By),
    /// Publish again.
    Resume(By),
    /// Put the institute's notice, with this text, in the place of the results.
    NoticeOn(String, By),
    /// Remove it.
    NoticeOff(By),
    /// Close the night, let it go on, or publish what came after its end.
    Night(NightAct, By),
}

/// Who gives an order, and why: for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Name of the operator.
    pub who: String,
    /// The reason.
    pub why: String,
}

/// An order with its way back.
pub type Ordered = (Order, oneshot::Sender<Answer>);

impl Publisher {
    /// Answers an operator.
    pub fn answer(&mut self, order: Order) -> Answer {
        match order {
            Order::Status => Answer::Status(Box::new(self.status())),
            Order::Rollback { release, hold_s, operator, reason } => {
                self.roll_back(release, hold_s, &operator, &reason)
            }
            Order::Hold(seconds, By { who, why }) => match self.begin_hold(seconds, &who, &why) {
                Ok(message) => Answer::Done { message },
                Err(message) => Answer::Refused { message, code: None },
            },
            Order::Resume(By { who, why }) => self.resume(&who, &why),
            Order::NoticeOn(text, By { who, why }) => self.post_notice(&text, &who, &why),
            Order::NoticeOff(By { who, why }) => self.withdraw_notice(&who, &why),
            Order::Night(act, By { who, why }) => self.night(act, &who, &why),
        }
    }

    /// What is live, staged, and came last.
    pub fn status(&self) -> Status {
        let live = self.live.as_ref();
        Status {
            sandbox: None,
            running: true,
            started: Some(self.started),
            live: live.filter(|r| !is_page(r)).map(|r| self.shown(r)),
            staged: self.staged.as_ref().map(|r| self.shown(r)),
            waiting: live.is_none_or(is_page),
            hold: self.pauses.hold.clone(),
            notice: self.pauses.notice.clone(),
            ended: self.pauses.ended.last().cloned(),
            next_change: self.windows.next_change(self.parts.clock.now()),
            receptions: self.receptions.list(),
            ..Status::default()
        }
    }

    fn shown(&self, release: &Release) -> Shown {
        let meta = &release.meta;
        Shown {
            release: release.id.clone(),
            cut: meta.cut,
            package: meta.package,
            since: meta.verified,
            files: release.manifest.len(),
            doubt: meta.package.and_then(|package| self.doubts.get(&package).cloned()),
        }
    }

    fn roll_back(
        &mut self,
        wanted: Option<ReleaseId>,
        hold_s: Option<u64>,
        operator: &str,
        reason: &str,
    ) -> Answer {
        let result = self.earlier(wanted).and_then(|release| {
            // The hold comes first: nothing may be published between the two.
            let held = hold_s.map(|seconds| self.begin_hold(seconds, operator, reason)).transpose()?;
            let id = release.id.clone();
            let from = self.live.as_ref().map(|r| r.id.clone());
            let entry = Entry::new(Kind::RolledBack).with("release", &id).with("from", from);
            self.record(entry.with("who", operator).with("why", reason))
                .map_err(|r| r.line(self.parts.lang))?;
            self.publish(release, self.parts.clock.now()).map_err(|r| r.line(self.parts.lang))?;
            Ok((id, held))
        });
        let lang = self.parts.lang;
        match result {
            Ok((id, held)) => {
                let held = held.map_or_else(String::new, |held| format!("; {held}"));
                Answer::Done {
                    message: format!("{} {id}{held}", lang.pick("vigente de nuevo:", "live again:")),
                }
            }
            Err(message) => Answer::Refused { message, code: None },
        }
    }

    /// The release to go back to: the one named, or the one before the live one.
    fn earlier(&self, wanted: Option<ReleaseId>) -> Result<Release, String> {
        let lang = self.parts.lang;
        let live = self.live.as_ref().filter(|r| !is_page(r));
        let Some(live) = live else {
            return Err(lang.pick("no hay un corte vigente", "there is no live cut").to_owned());
        };
        let all = self.releases().map_err(|e| store_failed(e).line(lang))?;
        let same_event = |r: &&Release| !is_page(r) && r.meta.event == live.meta.event;
        let found = match wanted {
            Some(id) => all.iter().filter(same_event).find(|r| r.id == id),
            None => all.iter().filter(same_event).filter(|r| r.id < live.id).max_by_key(|r| r.id.clone()),
        };
        let missing = lang.pick(
            "no hay tal corte de este evento; vea difusor releases list",
            "there is no such cut of this event; see difusor releases list",
        );
        let release = found.ok_or_else(|| missing.to_owned())?;
        let differences = release.verify().map_err(|e| store_failed(e).line(lang))?;
        if differences.is_empty() {
            Ok(release.clone())
        } else {
            Err(lang
                .pick("ese corte ya no es igual a su manifiesto", "that cut no longer equals its manifest")
                .to_owned())
        }
    }

    /// An intention that a crash left open: the pointer tells whether it was carried out.
    pub(super) fn close_intention(&self) -> io::Result<()> {
        let Some(line) = ledger::unfinished(&self.parts.ledger.dir())? else { return Ok(()) };
        let release = line.text("release").unwrap_or_default().to_owned();
        let done = self.live.as_ref().is_some_and(|r| r.id.as_str() == release);
        let entry = match (done, &self.live) {
            (true, Some(live)) => Entry::new(Kind::Published).with("tree", live.tree).with("recovered", true),
            _ => Entry::new(Kind::Abandoned).with("why", "restart"),
        };
        self.parts.ledger.append(entry.with("release", release))
    }

    /// Finds the newest release that was verified for a window still to come, or was held back. What readers have seen
    /// does not come back by itself: it may be what an operator went back from.
    pub(super) fn find_staged(&mut self) -> io::Result<()> {
        let now = self.parts.clock.now();
        let current = self.parts.events.iter().find(|e| now < e.closes).map(|e| e.name.clone());
        if current.is_none() && !(self.parts.events.is_empty() && self.pauses.any()) {
            return Ok(());
        }
        let all = self.releases()?;
        let of_event: Vec<Release> =
            all.into_iter().filter(|r| r.meta.event == current && !is_page(r)).collect();
        let seen = ledger::published(&self.parts.ledger.dir())?;
        let last_seen = seen.iter().find_map(|id| of_event.iter().find(|r| r.id == *id));
        let live = self.live.as_ref().filter(|r| !is_page(r));
        let after = live.or(last_seen);
        let is_new = |r: &&Release| after.is_none_or(|a| r.id > a.id) && !seen.contains(&r.id);
        let newest = of_event.iter().filter(is_new).max_by_key(|r| (r.meta.cut, r.id.clone()));
        self.staged = newest.or_else(|| last_seen.filter(|_| live.is_none())).cloned();
        Ok(())
    }

    /// Packages that were stored but have no verdict get one now (the sender's exit code
    /// said that they are safe); if nothing can be shown, the newest accepted original
    /// is unpacked again.
    pub(super) fn take_up(&mut self) -> io::Result<()> {
        self.find_held()?;
        for record in self.parts.history.list()? {
            if record.verdicts.is_empty() && !record.is_tree() {
                tracing::warn!(package = %record.id, "a stored package had no verdict; verifying it now");
                self.take_again(&record);
            }
        }
        if self.base().is_some() {
            self.take_held();
            return Ok(());
        }
        let accepted = |r: &Record| {
            r.verdicts.iter().any(|v| matches!(v.result, Decision::Published | Decision::Staged))
        };
        if let Some(record) =
            self.parts.history.list()?.into_iter().rev().find(|r| !r.is_tree() && accepted(r))
        {
            self.note(Entry::new(Kind::Recovery).with("what", "release_rebuilt").with("package", record.id));
            self.rebuild(&record);
        }
        self.take_held();
        Ok(())
    }

    /// An original as it came, to be verified once more.
    pub(super) fn take_again(&mut self, record: &Record) {
        let (kept, receipt) = self.received_again(record);
        let payload = Payload::Package { kept, sidecars: Vec::new(), early: None };
        self.decide(Arrival { payload, receipt, base: None, verdict: drop::Answer::to_nobody() });
    }

    /// Where an original lies, and what is known of its last reception.
    pub(super) fn received_again(&self, record: &Record) -> (Kept, Receipt) {
        let unknown = || Receipt {
            name: record.file(),
            sender: Sender { name: "?".to_owned(), key: None, addr: None, via: Via::Drop },
            first_byte: self.started,
            last_byte: self.started,
            bytes: 0,
        };
        let receipt = record.receptions.last().cloned().unwrap_or_else(unknown);
        let path = self.parts.history.dir().path().join(record.file());
        (Kept { id: record.id, path, is_new: true }, receipt)
    }

    /// All releases that can be opened, oldest first.
    fn releases(&self) -> io::Result<Vec<Release>> {
        Ok(self.parts.store.list()?.iter().filter_map(|id| self.parts.store.load(id).ok()).collect())
    }
}
