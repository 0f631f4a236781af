//! What keeps verified cuts from readers though their window is open: a hold after a rollback, the
//! institute's notice, the end of the night.
//!
//! All three are what the ledger says of them, so a restart changes nothing. What comes meanwhile is verified and
//! staged; the newest is published when the last reason is gone.

use std::collections::BTreeSet;
use std::io;

use jiff::{SignedDuration, Timestamp};

use super::{Publisher, Window, is_page, store_failed};
use crate::control::{Answer, Ended, Hold, NightAct, Posted};
use crate::durable::Dir;
use crate::ledger::{self, Entry, Filter, Kind, Line};
use crate::model::{ReleaseId, Wait};
use crate::release::{Origin, Release};

/// Longest hold: the call obliges the difusor to publish the last cut.
const HOLD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The reasons that hold now.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    pub(super) hold: Option<Hold>,
    pub(super) notice: Option<Posted>,
    /// Nights that are over, by the name of their event; an empty name where there are no windows.
    pub(super) ended: Vec<Ended>,
    /// Nights that an operator let go on: their hours do not close them again.
    reopened: BTreeSet<Option<String>>,
    /// Releases whose package says that it is the last cut.
    last: BTreeSet<ReleaseId>,
}

impl Pauses {
    /// What the ledger says.
    pub(super) fn read(dir: &Dir) -> io::Result<Self> {
        let mut pauses = Self::default();
        for line in ledger::read(dir, Filter::kinds(&KINDS))?.flatten() {
            pauses.follow(&line);
        }
        Ok(pauses)
    }

    fn follow(&mut self, line: &Line) {
        let text = |name: &str| line.text(name).unwrap_or_default().to_owned();
        let release = || line.text("release").and_then(ReleaseId::parse);
        let event = || line.text("event").map(str::to_owned).filter(|e| !e.is_empty());
        let (who, why, since) = (text("who"), text("why"), line.at);
        match line.kind {
            Some(Kind::HoldBegan) => {
                let until = text("until").parse().unwrap_or(line.at);
                self.hold = Some(Hold { since, until, who, why });
            }
            Some(Kind::HoldEnded) => self.hold = None,
            Some(Kind::NoticeOn) => {
                self.notice = release().map(|page| Posted { since, page, event: event(), who, why });
            }
            Some(Kind::NoticeOff) => self.notice = None,
            Some(Kind::NightClosed) => {
                let cut = line.fields.get("cut").and_then(|c| serde_json::from_value(c.clone()).ok());
                self.end(Ended { since, event: event(), how: text("what"), cut, who, why });
            }
            Some(Kind::NightReopened) => self.reopen(event()),
            Some(Kind::Verified) if line.fields.get("last").is_some_and(|l| l == true) => {
                self.last.extend(release());
            }
            _ => {}
        }
    }

    fn end(&mut self, night: Ended) {
        self.ended.retain(|e| e.event != night.event);
        self.ended.push(night);
    }

    fn reopen(&mut self, event: Option<String>) {
        self.ended.retain(|e| e.event != event);
        self.reopened.insert(event);
    }

    /// Why a cut of this event is not shown.
    pub(super) fn wait(&self, event: Option<&String>) -> Option<Wait> {
        if self.notice.is_some() {
            return Some(Wait::Notice);
        }
        if let Some(hold) = &self.hold {
            return Some(Wait::Hold(hold.until));
        }
        self.is_over(event).then_some(Wait::Decision)
    }

    pub(super) fn is_over(&self, event: Option<&String>) -> bool {
        self.ended.iter().any(|e| e.event.as_ref() == event)
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.notice.is_some() || self.hold.is_some() || !self.ended.is_empty()
    }

    /// A verified release whose package says that no other follows.
    pub(super) fn note_last(&mut self, release: &ReleaseId) {
        self.last.insert(release.clone());
    }
}

impl Publisher {
    /// Ends what has run its time.
    pub(super) fn look_at_pauses(&mut self, now: Timestamp) {
        if self.pauses.hold.as_ref().is_some_and(|hold| hold.until <= now) {
            let _ = self.end_hold("expired", None, now);
        }
        let current: Vec<String> =
            self.parts.events.iter().filter(|e| now < e.closes).map(|e| e.name.clone()).collect();
        let over = |event: Option<&String>| event.is_some_and(|name| !current.contains(name));
        if self.pauses.notice.as_ref().is_some_and(|notice| over(notice.event.as_ref())) {
            let _ = self.remove_notice(Entry::new(Kind::NoticeOff).with("what", "closed"));
        }
        // Nothing of an event that is over is built on, or shown.
        if self.staged.as_ref().is_some_and(|r| over(r.meta.event.as_ref())) {
            self.staged = None;
            self.show_senders();
        }
        self.end_night_by_hours(now);
    }

    /// Keeps what arrives from being published, until an hour.
    pub(super) fn begin_hold(&mut self, seconds: u64, who: &str, why: &str) -> Result<String, String> {
        let lang = self.parts.lang;
        let now = self.parts.clock.now();
        let asked = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        if asked.is_zero() || asked > HOLD_MAX {
            return Err(lang
                .pick("una retención dura de 1 s a 24 h", "a hold lasts from 1 s to 24 h")
                .to_owned());
        }
        let until = now.checked_add(asked).unwrap_or(now);
        let entry = Entry::new(Kind::HoldBegan).with("until", until).with("who", who).with("why", why);
        self.record(entry).map_err(|r| r.line(lang))?;
        self.pauses.hold = Some(Hold { since: now, until, who: who.to_owned(), why: why.to_owned() });
        let (time, unit) = if seconds.is_multiple_of(60) { (seconds / 60, "min") } else { (seconds, "s") };
        let held = lang.pick("publicación retenida", "publication on hold for");
        Ok(format!("{held} {time} {unit} (difusor releases resume)"))
    }

    /// Publishes again, the newest of what was held first.
    pub(super) fn resume(&mut self, who: &str, why: &str) -> Answer {
        let lang = self.parts.lang;
        if self.pauses.hold.is_none() {
            return refused(lang.pick("no hay ninguna retención", "there is no hold").to_owned());
        }
        let now = self.parts.clock.now();
        match self.end_hold("resumed", Some((who, why)), now) {
            Ok(()) => {
                self.look_at_windows();
                done(format!("{}; {}", lang.pick("retención terminada", "hold ended"), self.seen_now()))
            }
            Err(message) => refused(message),
        }
    }

    fn end_hold(&mut self, what: &str, by: Option<(&str, &str)>, now: Timestamp) -> Result<(), String> {
        let held = self.staged.as_ref().map(|r| r.id.clone());
        let entry = Entry::new(Kind::HoldEnded).with("what", what).with_some("release", held);
        let entry = entry.with_some("who", by.map(|(who, _)| who)).with_some("why", by.map(|(_, why)| why));
        self.record(entry).map_err(|r| r.line(self.parts.lang))?;
        tracing::warn!(what, %now, "the hold has ended");
        self.pauses.hold = None;
        Ok(())
    }

    /// Puts the institute's notice in the place of the results (QRoo I.k, Durango I.12).
    pub(super) fn post_notice(&mut self, text: &str, who: &str, why: &str) -> Answer {
        match self.try_post(text, who, why) {
            Ok(message) => done(message),
            Err(message) => refused(message),
        }
    }

    fn try_post(&mut self, text: &str, who: &str, why: &str) -> Result<String, String> {
        let lang = self.parts.lang;
        let page = (self.parts.notice_page)(text);
        if !page.to_ascii_lowercase().contains("<base") {
            return Err(lang
                .pick(
                    "a la página del aviso le falta la etiqueta <base, que busca el monitor del instituto",
                    "the page of the notice lacks the <base tag that the institute's monitor looks for",
                )
                .to_owned());
        }
        let now = self.parts.clock.now();
        let made = self.parts.store.page_release(Origin::Notice, page.as_bytes());
        let release = made.map_err(|e| store_failed(e).line(lang))?;
        // What readers see now is what they see afterwards, unless something newer comes.
        let under = self.live.as_ref().filter(|r| !is_page(r)).cloned();
        let event = self.parts.events.iter().find(|e| now < e.closes).map(|e| e.name.clone());
        let entry = Entry::new(Kind::NoticeOn).with("release", &release.id);
        let entry =
            entry.with_some("under", under.as_ref().map(|r| &r.id)).with_some("event", event.as_ref());
        self.record(entry.with("who", who).with("why", why)).map_err(|r| r.line(lang))?;
        let page = release.id.clone();
        self.publish(release, now).map_err(|r| r.line(lang))?;
        if self.staged.is_none() {
            self.staged = under;
        }
        let (who, why) = (who.to_owned(), why.to_owned());
        self.pauses.notice = Some(Posted { since: now, page, event, who, why });
        self.waiting_for = None;
        self.show_senders();
        Ok(lang
            .pick(
                "aviso publicado: los lectores ya no ven resultados; quítelo con: difusor notice off",
                "notice published: readers see no results; remove it with: difusor notice off",
            )
            .to_owned())
    }

    /// Takes it away: readers see again what they saw, or what is newer.
    pub(super) fn withdraw_notice(&mut self, who: &str, why: &str) -> Answer {
        let lang = self.parts.lang;
        if self.pauses.notice.is_none() {
            return refused(lang.pick("no hay ningún aviso puesto", "no notice is up").to_owned());
        }
        match self.remove_notice(Entry::new(Kind::NoticeOff).with("who", who).with("why", why)) {
            Ok(()) => {
                self.look_at_windows();
                done(format!("{}; {}", lang.pick("aviso retirado", "notice removed"), self.seen_now()))
            }
            Err(message) => refused(message),
        }
    }

    fn remove_notice(&mut self, entry: Entry) -> Result<(), String> {
        let next = self.staged.as_ref().map(|r| r.id.clone());
        self.record(entry.with_some("release", next)).map_err(|r| r.line(self.parts.lang))?;
        self.pauses.notice = None;
        Ok(())
    }

    /// The notice stays what readers see, whatever a crash left.
    pub(super) fn show_notice(&mut self) {
        let Some(posted) = &self.pauses.notice else { return };
        if self.live.as_ref().is_some_and(|live| live.id == posted.page) {
            return;
        }
        let again = self.parts.store.load(&posted.page).map_err(store_failed);
        let under = self.live.as_ref().filter(|r| !is_page(r)).cloned();
        match again.and_then(|page| self.publish(page, self.parts.clock.now())) {
            Ok(_) if self.staged.is_none() => self.staged = under,
            Ok(_) => {}
            Err(rejection) => tracing::error!(%rejection, "the notice cannot be shown"),
        }
    }

    /// What an operator says of the night.
    pub(super) fn night(&mut self, act: NightAct, who: &str, why: &str) -> Answer {
        let lang = self.parts.lang;
        let event = self.event_of_now();
        let over = self.pauses.is_over(event.as_ref());
        let by = |kind| Entry::new(kind).with_some("event", event.as_ref()).with("who", who).with("why", why);
        let result = match act {
            NightAct::Close if over => {
                Err(lang.pick("la noche ya está cerrada", "the night is closed already").to_owned())
            }
            NightAct::Close => {
                self.close_night(by(Kind::NightClosed).with("what", "operator"), "operator", who, why)
            }
            NightAct::Reopen | NightAct::Accept if !over => {
                Err(lang.pick("la noche no está cerrada", "the night is not closed").to_owned())
            }
            NightAct::Reopen => self.record(by(Kind::NightReopened)).map_err(|r| r.line(lang)).map(|()| {
                self.pauses.reopen(event);
                self.look_at_windows();
            }),
            NightAct::Accept => self.accept_correction(by(Kind::NightReopened)),
        };
        match result {
            Ok(()) => done(self.seen_now()),
            Err(message) => refused(message),
        }
    }

    /// Publishes the newest package that came after the end; the night stays closed for the next one.
    fn accept_correction(&mut self, entry: Entry) -> Result<(), String> {
        let lang = self.parts.lang;
        let wait = self.pauses.wait(self.event_of_now().as_ref());
        let Some(release) = self.staged.clone().filter(|_| wait == Some(Wait::Decision)) else {
            return Err(lang
                .pick(
                    "no hay un paquete en espera de decisión, o hay una retención o un aviso",
                    "no package awaits a decision, or there is a hold or a notice",
                )
                .to_owned());
        };
        self.record(Entry { kind: Kind::CorrectionAccepted, ..entry }.with("release", &release.id))
            .map_err(|r| r.line(lang))?;
        self.publish(release, self.parts.clock.now()).map(|_| ()).map_err(|r| r.line(lang))
    }

    /// The last cut was published: the institute says that it is the last.
    pub(super) fn end_night_by_flag(&mut self, release: &Release) {
        if !self.pauses.last.contains(&release.id) || self.pauses.is_over(release.meta.event.as_ref()) {
            return;
        }
        let event = release.meta.event.as_ref();
        let entry = Entry::new(Kind::NightClosed).with_some("event", event).with("what", "last_cut");
        if self.close_night(entry, "last_cut", "", "").is_err() {
            tracing::error!("the end of the night could not be put on record");
        }
    }

    fn end_night_by_hours(&mut self, now: Timestamp) {
        let Window::Open(event) = self.windows.at(now) else { return };
        let (name, opens) = (event.name.clone(), event.opens);
        let settled = self.pauses.is_over(Some(&name)) || self.pauses.reopened.contains(&Some(name.clone()));
        if settled || !self.parts.schedule.is_over(opens, now) {
            return;
        }
        let entry = Entry::new(Kind::NightClosed).with("event", &name).with("what", "hours");
        let _ = self.close_night(entry, "hours", "", "");
    }

    fn close_night(&mut self, entry: Entry, how: &str, who: &str, why: &str) -> Result<(), String> {
        let cut = self.live.as_ref().and_then(|r| r.meta.cut);
        let event = entry.fields.get("event").and_then(|e| e.as_str()).map(str::to_owned);
        self.record(entry.with_some("cut", cut)).map_err(|r| r.line(self.parts.lang))?;
        let since = self.parts.clock.now();
        let (how, who, why) = (how.to_owned(), who.to_owned(), why.to_owned());
        self.pauses.end(Ended { since, event, how, cut, who, why });
        Ok(())
    }

    /// The event whose window is open or comes next; none where there are no windows.
    fn event_of_now(&self) -> Option<String> {
        let now = self.parts.clock.now();
        self.parts.events.iter().find(|e| now < e.closes).map(|e| e.name.clone())
    }

    /// What readers see now, for an operator.
    fn seen_now(&self) -> String {
        let lang = self.parts.lang;
        let see = lang.pick("los lectores ven", "readers see");
        match self.live.as_ref() {
            Some(live) if live.meta.kind == Origin::Notice => {
                format!("{see} {}", lang.pick("el aviso", "the notice"))
            }
            Some(live) if !is_page(live) => match live.meta.cut {
                Some(cut) => format!("{see} {} {} [{}]", lang.pick("el corte", "cut"), cut.label(), live.id),
                None => format!("{see} {}", live.id),
            },
            _ => format!("{see} {}", lang.pick("la página de espera", "the waiting page")),
        }
    }
}

fn done(message: String) -> Answer {
    Answer::Done { message }
}

fn refused(message: String) -> Answer {
    Answer::Refused { message, code: None }
}

/// The lines that say it.
const KINDS: [Kind; 7] = [
    Kind::HoldBegan,
    Kind::HoldEnded,
    Kind::NoticeOn,
    Kind::NoticeOff,
    Kind::NightClosed,
    Kind::NightReopened,
    Kind::Verified,
];
