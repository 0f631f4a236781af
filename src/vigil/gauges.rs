//! What is measured rather than recorded: disk, certificate, clock, the monitor's rounds, deliveries.

use jiff::{SignedDuration, Timestamp};

use super::{Round, Vigil, told};
use crate::alert::Delivery;
use crate::incident::{Closing, Level, Opening, Remark, Trouble};
use crate::ledger::{Entry, Kind};

/// What the gauges show; `None` where nobody can know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Bytes free where packages are stored.
    pub disk_free: Option<u64>,
    /// When the certificate that readers see ends.
    pub certificate_ends: Option<Timestamp>,
    /// Why a newer certificate is not used.
    pub certificate_rejected: Option<String>,
    /// How far the clock is off.
    pub clock: Option<Offset>,
}

/// How far the clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub SignedDuration);

impl Vigil {
    /// Compares the gauges with their thresholds.
    pub fn gauge(&mut self, gauges: &Gauges, now: Timestamp) {
        if let Some(free) = gauges.disk_free {
            self.disk(free);
        }
        if let Some(ends) = gauges.certificate_ends {
            self.certificate(ends, now);
        }
        match &gauges.certificate_rejected {
            Some(why) => {
                self.begin(Opening::new(Trouble::Certificate, "vigía", why.clone()).about("rejected"));
            }
            None => self.end(
                Trouble::Certificate,
                "rejected",
                &self.seen("hay un certificado en uso", "a certificate is in use"),
            ),
        }
        if let Some(Offset(offset)) = gauges.clock {
            self.clock(offset.abs());
        }
    }

    pub(super) fn seen(&self, es: &str, en: &str) -> Closing {
        Closing::seen(self.parts.lang.pick(es, en))
    }

    fn disk(&self, free: u64) {
        let low = self.parts.thresholds.disk_low;
        if free < low {
            let (mib, want) = (free >> 20, low >> 20);
            let cause = match self.parts.lang {
                crate::model::Lang::Es => {
                    format!("quedan {mib} MiB libres de {want} MiB que se piden (watch.disk-low)")
                }
                crate::model::Lang::En => {
                    format!("{mib} MiB free of the {want} MiB asked for (watch.disk-low)")
                }
            };
            self.begin(Opening::new(Trouble::Disk, "vigía", cause).critical());
        } else if free > low.saturating_add(low / 10) {
            // A little above, so that it does not open and close at every package.
            self.end(Trouble::Disk, "", &self.seen("hay espacio", "there is room"));
        }
    }

    fn certificate(&self, ends: Timestamp, now: Timestamp) {
        let left = ends.duration_since(now);
        let warned = self.parts.thresholds.certificate;
        let needed = self.parts.events.iter().filter(|e| now < e.closes).map(|e| e.closes).max();
        let short = needed.is_some_and(|needed| ends < needed);
        if left >= warned && !short {
            return self.end(Trouble::Certificate, "ends", &self.seen("se renovó", "it was renewed"));
        }
        let text = self.parts.lang.pick("vence el", "ends on");
        let opening =
            Opening::new(Trouble::Certificate, "vigía", format!("{text} {}", self.hour(ends))).about("ends");
        let critical = left < warned / 4 || short;
        let new = self.begin(if critical { opening.critical() } else { opening });
        let raised = self.parts.book.find(Trouble::Certificate, "ends").filter(|i| i.level < Level::Critical);
        if let (None, Some(open), true) = (new, raised, critical) {
            self.raise(open.number, Level::Critical, format!("{text} {}", self.hour(ends)));
        }
    }

    fn clock(&self, offset: SignedDuration) {
        let limits = &self.parts.thresholds;
        if offset < limits.clock_warning {
            return self.end(Trouble::Clock, "", &self.seen("el reloj coincide", "the clock agrees"));
        }
        let text = self.parts.lang.pick("el reloj difiere", "the clock is off by");
        let opening = Opening::new(Trouble::Clock, "vigía", format!("{text} {:.3} s", offset.as_secs_f64()));
        self.begin(if offset >= limits.clock_critical { opening.critical() } else { opening });
    }

    /// A round of the monitor.
    pub fn probed(&mut self, round: &Round) {
        let Some(fault) = &round.fault else {
            self.failed.remove(&round.target);
            return self.end(
                Trouble::Monitor,
                &round.target,
                &self.seen("se ve bien de nuevo", "seen right again"),
            );
        };
        let failed = self.failed.entry(round.target.clone()).or_default();
        *failed = failed.saturating_add(1);
        if *failed >= self.parts.thresholds.monitor_rounds {
            let cause = format!("{}: {fault}", round.target);
            self.begin(Opening::new(Trouble::Monitor, "monitor", cause).about(&round.target).critical());
        }
    }

    /// What became of a message.
    pub fn delivered(&mut self, delivery: &Delivery) {
        let channel = &delivery.channel;
        let Some(fault) = &delivery.fault else {
            return self.end(Trouble::Alert, channel, &self.seen("se entregan de nuevo", "delivered again"));
        };
        let entry = Entry::new(Kind::Warning).with("what", "alert_failed").with("channel", channel);
        self.record(entry.with("alerts", delivery.alerts).with("why", fault));
        self.begin(Opening::new(Trouble::Alert, "avisos", format!("{channel}: {fault}")).about(channel));
    }

    pub(super) fn raise(&self, number: u64, level: Level, text: String) {
        let remark = Remark { text, level: Some(level), ..Remark::default() };
        told(self.parts.book.note(number, &remark));
    }

    pub(super) fn hour(&self, instant: Timestamp) -> String {
        instant.to_zoned(self.parts.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}
