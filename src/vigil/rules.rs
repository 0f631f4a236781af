//! The rules: which line, and which state of the rhythm, opens and closes what.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Vigil;
use crate::cadence::{Reading, State};
use crate::incident::{Closing, Level, Opening, Trouble};
use crate::ledger::{self, Entry, Filter, Kind, Line};
use crate::model::{Cut, Lang, Stage};

impl Vigil {
    /// Takes in a line of the ledger.
    pub fn hear(&mut self, line: &Line) {
        if let Some(cut) = self.cadence.follow(line) {
            self.came(line, cut);
        }
        self.tell(line);
        match line.kind {
            Some(Kind::Received) => self.received(line),
            Some(Kind::Rejected) => self.rejected(line),
            Some(Kind::Published) => self.published(line),
            Some(Kind::Warning) => self.warned(line),
            Some(Kind::Recovery) => self.recovered(line),
            Some(Kind::Summed) => {
                self.end(
                    Trouble::Sum,
                    line.text("package").unwrap_or_default(),
                    &self.seen("llegó la suma correcta", "the right sum came"),
                );
            }
            Some(Kind::Certificate) => {
                for subject in ["rejected", "renewal"] {
                    self.end(
                        Trouble::Certificate,
                        subject,
                        &self.seen("hay un certificado nuevo", "there is a new certificate"),
                    );
                }
            }
            Some(Kind::HoldBegan) => {
                let opening = Opening::new(Trouble::Hold, "operador", line.text("why").unwrap_or_default());
                let until = line.text("until").and_then(|t| t.parse().ok()).map(|t: Timestamp| self.hour(t));
                let cause = format!(
                    "{} ({} {})",
                    opening.cause,
                    self.parts.lang.pick("hasta", "until"),
                    until.unwrap_or_default()
                );
                let who = line.text("who").map(str::to_owned);
                self.begin(Opening { cause, who, ..opening }.critical());
            }
            Some(Kind::HoldEnded) => self.end(Trouble::Hold, "", &self.by(line)),
            Some(Kind::NoticeOn) => {
                let opening = Opening::new(Trouble::Notice, "operador", line.text("why").unwrap_or_default());
                let who = line.text("who").map(str::to_owned);
                self.begin(Opening { who, ..opening }.critical());
            }
            Some(Kind::NoticeOff) => self.end(Trouble::Notice, "", &self.by(line)),
            Some(Kind::NightReopened | Kind::CorrectionAccepted) => {
                self.end(Trouble::Correction, "", &self.by(line));
            }
            _ => {}
        }
    }

    /// Looks at the rhythm, and at a hold that lasts.
    pub fn look(&mut self, now: Timestamp) {
        let reading = self.cadence.at(now);
        if reading.state != self.state {
            self.turn(&reading, now);
        }
        let limit = self.parts.thresholds.hold;
        let long = |i: &crate::incident::Incident| {
            i.duration(now) >= limit && i.notes.iter().all(|n| n.level.is_none())
        };
        if let Some(hold) = self.parts.book.find(Trouble::Hold, "").filter(long) {
            let text = self.parts.lang.pick(
                "la retención dura ya demasiado: la convocatoria obliga a publicar el último corte (difusor releases resume)",
                "the hold lasts too long: the call obliges you to publish the last cut (difusor releases resume)",
            );
            self.raise(hold.number, Level::Critical, text.to_owned());
        }
    }

    /// The rhythm changed its state: a step of the warnings of T-19.
    fn turn(&mut self, reading: &Reading, now: Timestamp) {
        let (was, is) = (self.state, reading.state);
        self.state = is;
        if was.is_missing() || is.is_missing() || is == State::Ended {
            let entry = Entry::new(Kind::Cadence).with("state", is).with_some("since", reading.since);
            let entry = entry.with_some("due", reading.next_due).with("missed", reading.missed);
            self.record(entry.with_some("event", reading.event.as_ref()));
        }
        if !is.is_missing() {
            if was.is_missing() {
                let text = match is {
                    State::Ended => self.parts.lang.pick("la noche terminó", "the night is over"),
                    _ => self.parts.lang.pick("llegó un corte", "a cut came"),
                };
                self.end(Trouble::LateCut, "", &Closing::seen(text));
            }
            return;
        }
        let due = reading.next_due.unwrap_or(now);
        let cause = self.late_cause(reading);
        let opening = Opening::new(Trouble::LateCut, "cadencia", cause).since(due);
        let cuts = reading.last_cut.into_iter().collect();
        self.begin(Opening { cuts, ..opening });
        let Some(open) = self.parts.book.find(Trouble::LateCut, "") else { return };
        let (level, text) = match is {
            State::Missed1 => return,
            State::Missed2 => (Level::Warning, self.with_contact(is.label(self.parts.lang))),
            State::Missed3 => (Level::Critical, self.with_contact(&self.about_to_interrupt(reading))),
            _ => (Level::Critical, self.with_contact(is.label(self.parts.lang))),
        };
        self.raise(open.number, level, text);
    }

    fn late_cause(&self, reading: &Reading) -> String {
        let since = reading.since.map_or_else(String::new, |t| self.hour(t));
        match (self.parts.lang, reading.last_cut) {
            (Lang::Es, Some(cut)) => {
                format!("el último corte es el de las {}; nada nuevo desde {since}", cut.label())
            }
            (Lang::Es, None) => format!("aún no llega ningún corte; se esperaba desde {since}"),
            (Lang::En, Some(cut)) => {
                format!("the last cut is that of {}; nothing new since {since}", cut.label())
            }
            (Lang::En, None) => format!("no cut has come yet; expected since {since}"),
        }
    }

    fn about_to_interrupt(&self, reading: &Reading) -> String {
        let at = reading.interrupted_at.map_or_else(String::new, |t| self.hour(t));
        let lang = self.parts.lang;
        let text = lang.pick("a las", "at");
        let what = lang
            .pick("la transmisión se dará por interrumpida", "the transmission will count as interrupted");
        format!("{}: {what} {text} {at}", State::Missed3.label(lang))
    }

    /// The sentence, and whom to call.
    fn with_contact(&self, text: &str) -> String {
        let contact = self.parts.institute.line(self.parts.lang);
        let call = self.parts.lang.pick("llame al instituto", "call the institute");
        if contact.is_empty() { text.to_owned() } else { format!("{text}\n{call}: {contact}") }
    }

    /// A new cut is verified: what waited for one is over.
    fn came(&mut self, line: &Line, cut: Option<Cut>) {
        let end = |text: &str| Closing { cut, end: Some(line.at), ..Closing::seen(text) };
        let text = self.parts.lang.pick("llegó un corte", "a cut came");
        let gap = self.parts.book.find(Trouble::LateCut, "");
        if let Some(open) = gap {
            let entry = Entry::new(Kind::Cadence).with("state", State::OnTime).with_some("cut", cut);
            self.record(entry.with("seconds", line.at.duration_since(open.start).as_secs()));
            self.state = State::OnTime;
            self.end(Trouble::LateCut, "", &end(text));
        }
        self.end(Trouble::Rejected, "", &end(text));
        self.end(Trouble::Connection, "", &end(text));
    }

    /// How long the transfer took, against the call's bounds (T-06).
    fn received(&self, line: &Line) {
        let instant = |name: &str| line.text(name).and_then(|t| t.parse::<Timestamp>().ok());
        let (Some(first), Some(last)) = (instant("first_byte"), instant("last_byte")) else { return };
        let (took, bounds) = (last.duration_since(first), &self.parts.bounds);
        let bytes = line.fields.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        let name = line.text("name").unwrap_or_default();
        let mbps = bytes as f64 * 8.0 / 1e6 / took.as_secs_f64().max(0.001);
        let figures = format!("{name}: {bytes} bytes, {:.1} s, {mbps:.2} Mbps", took.as_secs_f64());
        let subject = format!("{}@{first}", line.text("package").unwrap_or(name));
        if took >= bounds.limit {
            let text = self.parts.lang.pick("la convocatoria pide a lo más", "the call asks for at most");
            let cause = format!("{figures}; {text} {} s", bounds.limit.as_secs());
            let opening = Opening::new(Trouble::SlowTransfer, "recepción", cause).about(subject).since(first);
            self.happened(opening.critical(), last);
        } else if took >= bounds.warn {
            let entry = Entry::new(Kind::Warning).with("what", "transfer_slow").with("name", name);
            self.remark(entry.with("seconds", took.as_secs_f64()).with("bytes", bytes).with("mbps", mbps));
            self.alarm(line.at, self.parts.lang.pick("transferencia lenta", "slow transfer"), &figures);
        }
        if bounds.bytes.is_some_and(|(least, most)| bytes < least || bytes > most) {
            let entry = Entry::new(Kind::Warning).with("what", "size_unusual").with("name", name);
            self.remark(entry.with("bytes", bytes).with("expected", bounds.bytes));
            self.alarm(
                line.at,
                self.parts.lang.pick("tamaño fuera de lo habitual", "unusual size"),
                &figures,
            );
        }
    }

    fn rejected(&self, line: &Line) {
        let text = |name: &str| line.text(name).unwrap_or_default();
        let parts = [text("name"), text("code"), text("entry"), text("detail")];
        let cause = parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ");
        let stage = line.fields.get("stage").cloned().and_then(|s| serde_json::from_value::<Stage>(s).ok());
        if let Some(open) = self.parts.book.find(Trouble::Rejected, "") {
            return self.raise(open.number, Level::Critical, cause);
        }
        let opening = Opening::new(Trouble::Rejected, "verificación", cause);
        self.begin(Opening { stage: stage.or(opening.stage), ..opening });
    }

    /// From the last byte to the readers (Durango I.11).
    fn published(&self, line: &Line) {
        let took = line.fields.get("ms").and_then(Value::as_i64).map(SignedDuration::from_millis);
        let Some(took) = took.filter(|took| *took > self.parts.bounds.publish) else { return };
        let text =
            self.parts.lang.pick("del último byte a los lectores", "from the last byte to the readers");
        let cause = format!("{text}: {:.1} s", took.as_secs_f64());
        let opening = Opening::new(Trouble::SlowPublication, "publicación", cause);
        let start = line.at.checked_sub(took).unwrap_or(line.at);
        let opening = opening.about(line.text("release").unwrap_or_default()).since(start);
        self.happened(Opening { cuts: cut_of(line).into_iter().collect(), ..opening }, line.at);
    }

    fn warned(&self, line: &Line) {
        let text = |name: &str| line.text(name).unwrap_or_default();
        if text("warning") == "STAMP_MISMATCH" {
            let opening = Opening::new(Trouble::Stamp, "verificación", text("message"));
            return self.happened(opening.about(text("package")), line.at);
        }
        let why = || {
            [text("why"), text("detail"), text("name")]
                .into_iter()
                .find(|t| !t.is_empty())
                .unwrap_or_default()
        };
        let opening = match text("what") {
            "sum_disagrees" => {
                Opening::new(Trouble::Sum, "verificación", why()).about(text("package")).critical()
            }
            "disk_full" => Opening::new(
                Trouble::Disk,
                "bitácora",
                self.parts.lang.pick("el disco está lleno", "the disk is full"),
            )
            .critical(),
            "certificate_rejected" => Opening::new(Trouble::Certificate, "https", why()).about("rejected"),
            "certificate_renewal_failed" => {
                Opening::new(Trouble::Certificate, "https", why()).about("renewal")
            }
            "correction_waits" => Opening::new(
                Trouble::Correction,
                "publicación",
                format!(
                    "{}: {}",
                    text("name"),
                    self.parts.lang.pick(
                        "decida con difusor night accept, o night reopen",
                        "decide with difusor night accept, or night reopen"
                    )
                ),
            )
            .critical(),
            "transfer_broken" => Opening::new(Trouble::Connection, "recepción", why()),
            what if what.starts_with("mirror") || what.starts_with("purge") => {
                Opening::new(Trouble::Mirror, "copias", format!("{what}: {}", why())).about(text("mirror"))
            }
            _ => return,
        };
        self.begin(Opening { cuts: cut_of(line).into_iter().collect(), ..opening });
    }

    /// What a start, or an append, found amiss.
    fn recovered(&self, line: &Line) {
        let what = line.text("what").unwrap_or_default();
        let opening = match what {
            "chain_broken" => {
                let text = self.parts.lang.pick(
                    "la cadena está rota: difusor ledger verify",
                    "the chain is broken: difusor ledger verify",
                );
                self.begin(Opening::new(Trouble::Ledger, "bitácora", text).about("chain").critical());
                return;
            }
            "torn_line" => Opening::new(Trouble::Ledger, "bitácora", "torn_line"),
            other => Opening::new(Trouble::Recovery, "arranque", other),
        };
        let affected = matches!(what, "pointer_lost" | "pointer_mended" | "release_rebuilt");
        let opening = Opening { affected, ..opening.about(format!("línea {}", line.n)).since(line.at) };
        self.happened(opening, line.at);
    }

    /// What the ledger recorded before this watch began.
    pub(super) fn take_up(&self) -> std::io::Result<()> {
        for line in ledger::read(&self.parts.ledger.dir(), Filter::kinds(&[Kind::Recovery]))?.flatten() {
            self.recovered(&line);
        }
        Ok(())
    }

    fn by(&self, line: &Line) -> Closing {
        let text = |name: &str| line.text(name).map(str::to_owned);
        let action = text("why").filter(|w| !w.is_empty()).or_else(|| text("what"));
        Closing { who: text("who"), action: action.unwrap_or_default(), ..Closing::default() }
    }
}

fn cut_of(line: &Line) -> Option<Cut> {
    line.fields.get("cut").cloned().and_then(|c| serde_json::from_value(c).ok())
}
