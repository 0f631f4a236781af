//! Counters, fed by the lines of the ledger.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::ledger::{Kind, Line};

/// One label.
type Label = [(&'static str, String); 1];
/// A counter for each value of a label.
type Counts = Family<Label, Counter>;

/// Every counter there is.
#[derive(Debug)]
pub(super) struct Counted {
    cuts: Counts,
    rejected: Counts,
    received_bytes: Counts,
    received_seconds: Family<Label, Histogram, fn() -> Histogram>,
    publish_seconds: Histogram,
    ssh_auth: Counts,
    refused: Counts,
    warnings: Counts,
    lines: Counter,
    missed: Counter,
    words: Words,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            cuts: Counts::default(),
            rejected: Counts::default(),
            received_bytes: Counts::default(),
            received_seconds: Family::new_with_constructor(seconds),
            publish_seconds: seconds(),
            ssh_auth: Counts::default(),
            refused: Counts::default(),
            warnings: Counts::default(),
            lines: Counter::default(),
            missed: Counter::default(),
            words: Words::default(),
        }
    }
}

impl Counted {
    /// One line of the ledger.
    pub(super) fn line(&self, line: &Line) {
        self.lines.inc();
        let cut = |result: &str| _ = self.cuts.get_or_create(&label("result", result)).inc();
        match line.kind {
            // The waiting page is published too, and is no cut.
            Some(Kind::Published) if line.text("package").is_some() => {
                cut("published");
                if let Some(ms) = number(line, "ms") {
                    self.publish_seconds.observe(ms as f64 / 1000.0);
                }
            }
            Some(Kind::Rejected) => {
                cut("rejected");
                self.count(&self.rejected, "code", line.text("code"), 1);
            }
            Some(Kind::Repeated) => cut("duplicate"),
            Some(Kind::Held) => cut("held"),
            Some(Kind::Superseded) => cut("superseded"),
            Some(Kind::RolledBack) => cut("rolled_back"),
            Some(Kind::Received) => self.received(line),
            Some(Kind::Refused) => self.refused(line),
            Some(Kind::Warning) => self.count(&self.warnings, "what", warned_of(line), 1),
            _ => {}
        }
    }

    fn received(&self, line: &Line) {
        let via = line.fields.get("sender").and_then(|sender| sender.get("via")?.as_str());
        self.count(&self.received_bytes, "via", via, number(line, "bytes").unwrap_or_default());
        let at = |name: &str| line.text(name)?.parse::<jiff::Timestamp>().ok();
        if let (Some(first), Some(last)) = (at("first_byte"), at("last_byte")) {
            let label = label("via", &self.words.bounded(via));
            self.received_seconds.get_or_create(&label).observe(last.duration_since(first).as_secs_f64());
        }
    }

    fn refused(&self, line: &Line) {
        let count = number(line, "count").unwrap_or(1);
        let reason = line.text("reason");
        self.count(&self.refused, "reason", reason, count);
        if reason.is_some_and(|reason| FAILED_LOGINS.contains(&reason)) {
            self.count(&self.ssh_auth, "result", reason, count);
        }
    }

    /// Lines that were written faster than they were counted.
    pub(super) fn missed(&self, lines: u64) {
        self.missed.inc_by(lines);
    }

    pub(super) fn ssh_session(&self) {
        self.ssh_auth.get_or_create(&label("result", "accepted")).inc();
    }

    fn count(&self, counts: &Counts, name: &'static str, value: Option<&str>, by: u64) {
        counts.get_or_create(&label(name, &self.words.bounded(value))).inc_by(by);
    }

    /// Names what is counted.
    pub(super) fn register(&self, registry: &mut Registry) {
        for result in ["published", "rejected", "duplicate", "held"] {
            // There from the start, so that the first of them is a rise.
            let _ = self.cuts.get_or_create(&label("result", result));
        }
        let _ = self.ssh_auth.get_or_create(&label("result", "accepted"));
        registry.register("cuts", "Packages by what became of them", self.cuts.clone());
        registry.register("cut_rejections", "Rejected packages by code", self.rejected.clone());
        registry.register("receive_bytes", "Bytes of packages received", self.received_bytes.clone());
        let help = "From the first to the last byte of a package";
        registry.register("receive_seconds", help, self.received_seconds.clone());
        let help = "From the last byte of a package until readers see it";
        registry.register("publish_seconds", help, self.publish_seconds.clone());
        registry.register("ssh_auth", "SSH logins by result", self.ssh_auth.clone());
        let help = "Connections and transfers refused, by reason";
        registry.register("refusals", help, self.refused.clone());
        registry.register("warnings", "Warnings on the ledger, by what they say", self.warnings.clone());
        registry.register("ledger_lines", "Lines of the ledger", self.lines.clone());
        let help = "Lines of the ledger that were not counted here";
        registry.register("ledger_lines_uncounted", help, self.missed.clone());
    }
}

/// Values of labels that were seen, bounded: a word beyond them is `other`.
#[derive(Debug, Default)]
struct Words(Mutex<BTreeSet<String>>);

impl Words {
    fn bounded(&self, word: Option<&str>) -> String {
        let Some(word) = word.filter(|w| w.len() <= WORD_BYTES_MAX) else { return "other".to_owned() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(word) || known.len() < WORDS_MAX {
            known.insert(word.to_owned());
            return word.to_owned();
        }
        "other".to_owned()
    }
}

fn seconds() -> Histogram {
    Histogram::new(BOUNDS)
}

fn label(name: &'static str, value: &str) -> Label {
    [(name, value.to_owned())]
}

/// The word of a warning: what happened, or what was found in a package.
fn warned_of(line: &Line) -> Option<&str> {
    let skipped = line.fields.get("skipped").map(|_| "skipped");
    line.text("what").or_else(|| line.text("warning")).or(skipped)
}

fn number(line: &Line, name: &str) -> Option<u64> {
    line.fields.get(name).and_then(Value::as_u64)
}

/// From a cut that was ready ahead to a link of 2 Mbit/s; the calls' bounds of 10 and 60 s are among them.
const BOUNDS: [f64; 14] = [0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// Reasons of refusals that are a login that failed.
const FAILED_LOGINS: [&str; 10] = [
    "unknown_key",
    "key_address",
    "key_expired",
    "unknown_authority",
    "certificate",
    "presence",
    "user",
    "algorithm",
    "grace",
    "password",
];
/// Different values of labels in all: reasons, codes and ways are fewer than a hundred.
const WORDS_MAX: usize = 160;
/// A reason is a word.
const WORD_BYTES_MAX: usize = 64;
