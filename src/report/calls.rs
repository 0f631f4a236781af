//! What each of the five calls asks of a report: windows, bounds, dates and clauses.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::model::{Event, EventKind, Lang};

/// One of the five calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Nuevo León (000).
    NuevoLeon,
    /// INE, federal (001).
    Ine,
    /// Tamaulipas (002).
    Tamaulipas,
    /// Quintana Roo (003).
    QuintanaRoo,
    /// Durango (004).
    Durango,
}

/// A stretch of time with its name, from its first instant to the first one behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What people call it.
    pub name: String,
    /// First instant.
    pub from: Timestamp,
    /// First instant that is not in it.
    pub to: Timestamp,
}

/// A section of the memoria and the clause that asks for it.
pub(super) type Clause = (&'static str, &'static str);

impl Call {
    /// The institute, as people write it.
    pub fn institute(self) -> &'static str {
        match self {
            Self::NuevoLeon => "IEEPCNL",
            Self::Ine => "INE",
            Self::Tamaulipas => "IETAM",
            Self::QuintanaRoo => "IEQROO",
            Self::Durango => "IEPC Durango",
        }
    }

    /// The call, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NuevoLeon => "Nuevo León",
            Self::Ine => "INE (federal)",
            Self::Tamaulipas => "Tamaulipas",
            Self::QuintanaRoo => "Quintana Roo",
            Self::Durango => "Durango",
        }
    }

    /// Percent of a month that the call asks for, and its clause; Quintana Roo and Durango name none.
    pub fn availability(self) -> Option<(f64, &'static str)> {
        match self {
            Self::NuevoLeon => Some((99.9, "3.1")),
            Self::Ine => Some((99.9, "V.a")),
            Self::Tamaulipas => Some((99.7, "IV.b")),
            Self::QuintanaRoo | Self::Durango => None,
        }
    }

    /// Link that the call asks for, in Mbps, and its clause.
    pub fn link(self) -> Option<(f64, &'static str)> {
        match self {
            Self::NuevoLeon => None,
            Self::Ine => Some((50.0, "II.a.iii.2")),
            Self::Tamaulipas => Some((30.0, "II.b")),
            Self::QuintanaRoo => Some((50.0, "II.3.2")),
            Self::Durango => Some((100.0, "Red a")),
        }
    }

    /// Seconds that a transfer may take, and the clause.
    pub fn transfer(self) -> Option<(f64, &'static str)> {
        (self == Self::QuintanaRoo).then_some((180.0, "III.b"))
    }

    /// Seconds from the institute's publication to ours, and the clause; where a call names none,
    /// Durango's is our own measure.
    pub fn delay(self) -> (f64, &'static str) {
        (60.0, "Durango I.11")
    }

    /// Days after the election on which the memoria is due, and the clause.
    pub fn due(self) -> Option<(i32, &'static str)> {
        match self {
            Self::NuevoLeon => Some((12, "6.2")),
            Self::Ine => Some((12, "VIII.b")),
            Self::QuintanaRoo => Some((10, "VII")),
            Self::Tamaulipas | Self::Durango => None,
        }
    }

    /// Sections of the memoria that the call asks for, in the call's order.
    pub fn clauses(self) -> &'static [Clause] {
        match self {
            Self::NuevoLeon => &[("8", "6.1.1"), ("5", "6.1.2"), ("5", "6.1.3"), ("9", "3.1")],
            Self::Ine => &[("4", "VIII.a"), ("8", "VIII.a.i"), ("5", "VIII.a.ii"), ("9", "V.a")],
            Self::Tamaulipas => &[
                ("4", "VI.a.i"),
                ("10", "VI.a.ii"),
                ("8", "VI.a.iii"),
                ("7", "VI.a.iv"),
                ("10", "VI.a.v"),
                ("9", "IV.b"),
            ],
            Self::QuintanaRoo => {
                &[("4", "VII"), ("10", "VII"), ("8", "VII"), ("5", "VII"), ("10", "VII"), ("6", "I.j")]
            }
            Self::Durango => &[("C", "IV.1"), ("8", "IV.2"), ("7", "IV.3"), ("10", "IV.4")],
        }
    }

    /// The windows of an event, to the second. A drill has one: its own.
    ///
    /// Days are those of the election's zone; "to 23:59" means to the end of that minute, "2 to 9 June"
    /// from the first second of the first day to the last of the last.
    pub fn windows(self, event: &Event, zone: &TimeZone, lang: Lang) -> Vec<Span> {
        let day = event.opens.to_zoned(zone.clone()).date();
        if event.kind == EventKind::Simulacro {
            return vec![Span { name: event.name.clone(), from: event.opens, to: event.closes }];
        }
        let at = |days: i32, hour: i8| instant(day, days, hour, zone);
        let spans = match self {
            Self::NuevoLeon => vec![(at(0, 18), at(1, 18)), (at(1, 18), at(8, 0))],
            Self::Ine | Self::QuintanaRoo | Self::Durango => vec![(at(0, 0), at(8, 0))],
            Self::Tamaulipas => vec![(at(0, 0), at(11, 0))],
        };
        let names = self.window_names(lang);
        let spans = spans.into_iter().zip(names);
        spans
            .filter_map(|((from, to), name)| Some(Span { name: (*name).to_owned(), from: from?, to: to? }))
            .collect()
    }

    fn window_names(self, lang: Lang) -> &'static [&'static str] {
        match (self, lang) {
            (Self::NuevoLeon, Lang::Es) => &["Jornada (6.1.2)", "Resultados (6.1.3)"],
            (Self::NuevoLeon, Lang::En) => &["Election day (6.1.2)", "Results (6.1.3)"],
            (Self::Ine, Lang::Es) => &["Jornada y resultados (VIII.a.ii)"],
            (Self::Ine, Lang::En) => &["Election day and results (VIII.a.ii)"],
            (Self::Tamaulipas, Lang::Es) => &["Jornada y resultados (VI.a.iv)"],
            (Self::Tamaulipas, Lang::En) => &["Election day and results (VI.a.iv)"],
            (Self::QuintanaRoo, Lang::Es) => &["Jornada y resultados (VII)"],
            (Self::QuintanaRoo, Lang::En) => &["Election day and results (VII)"],
            (Self::Durango, Lang::Es) => &["Jornada y resultados (IV.1, IV.3)"],
            (Self::Durango, Lang::En) => &["Election day and results (IV.1, IV.3)"],
        }
    }
}

/// The hour of a day so many days after `day`.
fn instant(day: Date, days: i32, hour: i8, zone: &TimeZone) -> Option<Timestamp> {
    let day = day.checked_add(days.days()).ok()?;
    let time = Time::new(hour, 0, 0, 0).ok()?;
    Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-32: the windows of the five calls of 2024, to the second.
    #[test]
    fn windows_are_those_of_the_calls() {
        type Case = (Call, &'static str, &'static [(&'static str, &'static str)]);
        let expected: &[Case] = &[
            (
                Call::NuevoLeon,
                "America/Monterrey",
                &[
                    ("2024-06-02T18:00-06", "2024-06-03T18:00-06"),
                    ("2024-06-03T18:00-06", "2024-06-10T00:00-06"),
                ],
            ),
            (Call::Ine, "America/Mexico_City", &[("2024-06-02T00:00-06", "2024-06-10T00:00-06")]),
            (Call::Tamaulipas, "America/Monterrey", &[("2024-06-02T00:00-06", "2024-06-13T00:00-06")]),
            (Call::QuintanaRoo, "America/Cancun", &[("2024-06-02T00:00-05", "2024-06-10T00:00-05")]),
            (Call::Durango, "America/Mexico_City", &[("2024-06-02T00:00-06", "2024-06-10T00:00-06")]),
        ];
        for (call, zone, windows) in expected {
            let zone = TimeZone::get(zone).unwrap();
            let opens =
                Date::constant(2024, 6, 2).at(20, 0, 0, 0).to_zoned(zone.clone()).unwrap().timestamp();
            let mut event = Event {
                name: "jornada".to_owned(),
                kind: EventKind::Jornada,
                opens,
                closes: opens + 200.hours(),
                accepts_from: opens,
                zone: String::new(),
            };
            let found: Vec<_> =
                call.windows(&event, &zone, Lang::Es).into_iter().map(|s| (s.from, s.to)).collect();
            let wanted: Vec<_> =
                windows.iter().map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).collect();
            assert_eq!(found, wanted, "{call:?}");
            event.kind = EventKind::Simulacro;
            let drill = call.windows(&event, &zone, Lang::Es);
            assert_eq!((drill[0].from, drill[0].to, drill.len()), (event.opens, event.closes, 1));
        }
    }
}
