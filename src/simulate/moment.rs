//! The moment of each cut: its hours, how much has come, and what the faults make of that.

use jiff::SignedDuration;
use jiff::Timestamp;

use super::Plan;
use super::fault::Fault;
use super::manifest::{Expected, Verdict};
use super::results::Last;
use super::settings::{DAY_SECONDS, Process};
use super::site::{Arrivals, Moment};
use crate::model::Cut;

impl Plan {
    /// The moment of cut `number`.
    pub(super) fn moment(&self, number: u32) -> Moment {
        let seconds = number.saturating_mul(self.interval_seconds);
        let mut moment = self.plain_moment(number, seconds);
        if self.settings.has_begun(Fault::StuckAt375, number) {
            moment.arrivals = Arrivals::Stuck;
        }
        for fault in self.settings.faults_at(number) {
            self.apply(fault, &mut moment);
        }
        moment
    }

    fn plain_moment(&self, number: u32, seconds: u32) -> Moment {
        let stamp = self.stamp(i64::from(seconds));
        Moment {
            cut: number,
            seconds,
            stamp,
            json: Some(stamp),
            csv: Some(stamp),
            name: Some(stamp),
            inner: Some(stamp),
            csv_utc_shift: 0,
            arrivals: Arrivals::Curve,
            last: if number == self.final_cut { Last::Yes } else { Last::No },
            process: self.settings.process.to_string(),
            build: self.settings.count_until(Fault::StaticUpdate, number),
        }
    }

    fn apply(&self, fault: Fault, moment: &mut Moment) {
        let interval = i64::from(self.interval_seconds);
        let previous = self.settings.previous(moment.cut);
        // Minutes that leave every grid used, but never reach the next cut.
        let minutes = if moment.cut.is_multiple_of(2) { 120 } else { 420 };
        let off_grid = minutes.min(interval / 2 / 60 * 60);
        let now = i64::from(moment.cut) * interval;
        match fault {
            Fault::OlderCut => {
                let before = previous.map_or(0, |p| self.moment(p).stamp.instant().as_second());
                let older = before - self.opening.as_second() - interval / 2;
                moment.seconds = older.max(0) as u32;
                self.restamp(moment, older);
            }
            Fault::SameNameOtherContent => {
                if let Some(stamp) = previous.map(|p| self.moment(p).stamp) {
                    moment.restamp(stamp);
                }
            }
            Fault::FutureStamp => {
                let civil = moment.stamp.civil();
                let later = civil.with().year(civil.year() + 50).build().unwrap_or(civil);
                moment.restamp(Cut::in_zone(later, &self.zone).unwrap_or(moment.stamp));
            }
            Fault::NoStamp => {
                (moment.json, moment.csv, moment.name, moment.inner) = (None, None, None, None);
            }
            // An hour: the mistake of a wrong zone, and more than any interval.
            Fault::StampMismatchName => moment.name = Some(self.stamp(now - HOUR_SECONDS)),
            Fault::StampMismatchCsv => moment.csv = Some(self.stamp(now - HOUR_SECONDS)),
            // Minutes: the JSON is believed, and must not make the cut older than the last.
            Fault::StampMismatchJson => moment.json = Some(self.stamp(now - off_grid)),
            Fault::UtcSuffixWrong => moment.csv_utc_shift = -1,
            Fault::OffGrid => self.restamp(moment, now + off_grid),
            Fault::EarlyEnd => {
                moment.arrivals = Arrivals::All;
                self.restamp(moment, now + off_grid);
            }
            Fault::LateFinal => {
                moment.arrivals = Arrivals::All;
                self.restamp(moment, i64::from(DAY_SECONDS) + LATE_SECONDS);
            }
            Fault::IdenticalContent => {
                if let Some(before) = previous.map(|p| self.moment(p)) {
                    moment.seconds = before.seconds;
                    moment.arrivals = before.arrivals;
                }
            }
            Fault::Legit52 => moment.arrivals = Arrivals::None,
            Fault::DrillDataOnNight => {
                let other = match self.settings.process {
                    Process::Jornada => Process::Simulacro(3),
                    Process::Simulacro(_) => Process::Jornada,
                };
                moment.process = other.to_string();
            }
            // The others change files, bytes or the sending, not the moment.
            _ => {}
        }
    }

    fn restamp(&self, moment: &mut Moment, seconds: i64) {
        moment.restamp(self.stamp(seconds));
    }

    /// The cut so many seconds after the opening, cut to whole minutes.
    fn stamp(&self, seconds: i64) -> Cut {
        let whole = seconds.div_euclid(60) * 60;
        let instant = self.opening.saturating_add(SignedDuration::from_secs(whole));
        Cut::at(instant.unwrap_or(Timestamp::UNIX_EPOCH), &self.zone)
    }

    /// What should become of cut `number`: its first fault that is not fine decides.
    pub(super) fn expected(&self, number: u32) -> Expected {
        let container = self.settings.container_at(&self.shape, number);
        let verdicts = self.settings.faults_at(number).map(|fault| fault.expected(container));
        let mut fine = Expected::accept();
        for expected in verdicts {
            if expected.verdict != Verdict::Accept {
                return expected;
            }
            fine.when = fine.when.or(expected.when);
            fine.alternatives.extend(expected.alternatives);
        }
        fine
    }
}

impl Moment {
    /// Gives the cut another hour, everywhere.
    fn restamp(&mut self, stamp: Cut) {
        self.stamp = stamp;
        (self.json, self.csv, self.name, self.inner) = (Some(stamp), Some(stamp), Some(stamp), Some(stamp));
    }

    /// The hour a receiver should find: JSON, tables, name, times of the files.
    pub(super) fn found(&self) -> Cut {
        self.json.or(self.csv).or(self.name).unwrap_or(self.stamp)
    }
}

const HOUR_SECONDS: i64 = 3600;
/// INE 2024 ended at 20:05 of the next day.
const LATE_SECONDS: i64 = 5 * 60;
