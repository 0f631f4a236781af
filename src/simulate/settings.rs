//! What a night shall be like, as somebody typed it.

use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::curve::Curve;
use super::fault::Fault;
use super::profile::{Container, Increments, Profile, Shape};

/// Everything a package depends on besides the number of its cut.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose packages to imitate.
    pub profile: Profile,
    /// Decides every random choice.
    pub seed: u64,
    /// Election or drill.
    pub process: Process,
    /// Local hour of cut 0; 20:00 of 2 June 2024 unless given.
    pub start: Option<DateTime>,
    /// IANA name of the institute's zone; the profile's unless given.
    pub zone: Option<String>,
    /// Seconds between two cuts; the profile's unless given.
    pub interval_seconds: Option<u32>,
    /// How actas arrive.
    pub curve: Curve,
    /// What goes wrong, and when.
    pub faults: Faults,
}

/// Whether the data says it is of the election or of a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Process {
    /// The election.
    #[default]
    Jornada,
    /// A drill, 1 to 9.
    Simulacro(u8),
}

/// Faults and the cuts they happen at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<(Fault, u32)>);

/// What is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No fault of this name.
    #[error("unknown fault '{name}'; did you mean '{nearest}'?")]
    UnknownFault {
        /// As typed.
        name: String,
        /// The most similar name.
        nearest: String,
    },
    /// Not `NAME@CUT`.
    #[error("'{0}' is not NAME@CUT")]
    FaultForm(String),
    /// A fault that cannot happen there.
    #[error("fault '{fault}' at cut {cut}: {why}")]
    FaultPlace {
        /// Its name.
        fault: String,
        /// The cut.
        cut: u32,
        /// Why not.
        why: &'static str,
    },
    /// Not `jornada` or `simulacro1`…`simulacro9`.
    #[error("unknown process '{0}'; known are jornada and simulacro1 to simulacro9")]
    UnknownProcess(String),
    /// Not in the time zone tables.
    #[error("unknown time zone '{0}'")]
    UnknownZone(String),
    /// Not `2024-06-02T20:00`.
    #[error("'{0}' is not a date and hour such as 2024-06-02T20:00")]
    Start(String),
    /// Not `15m`.
    #[error("'{0}' is not an interval between 1m and 24h, such as 15m")]
    Interval(String),
    /// Not `0..96`.
    #[error("'{0}' is not a range of cuts such as 0..96")]
    Cuts(String),
}

impl Settings {
    /// A night of this profile and seed, otherwise as usual.
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            seed,
            process: Process::default(),
            start: None,
            zone: None,
            interval_seconds: None,
            curve: Curve::default(),
            faults: Faults::default(),
        }
    }

    pub(super) fn zone_name<'a>(&'a self, shape: &'a Shape) -> &'a str {
        self.zone.as_deref().unwrap_or(shape.zone)
    }

    /// The zone, from the tables compiled in: those of an old machine may be wrong.
    pub(super) fn zone(&self, shape: &Shape) -> Result<TimeZone, SettingsError> {
        let name = self.zone_name(shape);
        TimeZoneDatabase::bundled().get(name).map_err(|_| SettingsError::UnknownZone(name.to_owned()))
    }

    /// The instant of cut 0.
    pub(super) fn opening(&self, zone: &TimeZone) -> Result<Timestamp, SettingsError> {
        let start = self.start.unwrap_or(DateTime::constant(2024, 6, 2, 20, 0, 0, 0));
        let in_range = (YEAR_MIN..=YEAR_MAX).contains(&start.year());
        let zoned = start.to_zoned(zone.clone()).ok().filter(|_| in_range);
        zoned.map(|z| z.timestamp()).ok_or_else(|| SettingsError::Start(start.to_string()))
    }

    pub(super) fn interval_seconds(&self, shape: &Shape) -> u32 {
        self.interval_seconds.unwrap_or(shape.interval_minutes * 60).clamp(60, DAY_SECONDS)
    }

    /// The last cut: that of 24 hours, or where a fault ends the night.
    pub(super) fn final_cut(&self, interval_seconds: u32) -> u32 {
        let ends = |fault| matches!(fault, Fault::EarlyEnd | Fault::LateFinal);
        let ended = self.faults.0.iter().filter(|(fault, _)| ends(*fault)).map(|(_, cut)| *cut).min();
        ended.unwrap_or(DAY_SECONDS / interval_seconds)
    }

    /// Whether every fault can happen where it shall.
    pub(super) fn check(&self, shape: &Shape, final_cut: u32) -> Result<(), SettingsError> {
        for &(fault, cut) in &self.faults.0 {
            let increments = shape.increments == Increments::AfterFirst;
            let why = if cut > final_cut {
                "the night is over by then"
            } else if fault.needs_previous() && self.previous(cut).is_none() {
                "it needs an accepted cut before it"
            } else if fault == Fault::IncrementBeforeFirst && !increments {
                "only tamps sends increments"
            } else {
                continue;
            };
            return Err(SettingsError::FaultPlace { fault: fault.to_string(), cut, why });
        }
        Ok(())
    }

    /// Faults of this cut, in the order given.
    pub(super) fn faults_at(&self, cut: u32) -> impl Iterator<Item = Fault> + '_ {
        self.faults.0.iter().filter(move |(_, at)| *at == cut).map(|(fault, _)| *fault)
    }

    /// Whether a fault that lasts has begun by this cut.
    pub(super) fn has_begun(&self, fault: Fault, cut: u32) -> bool {
        self.faults.0.iter().any(|&(f, at)| f == fault && at <= cut)
    }

    /// How many faults of this kind have happened by this cut.
    pub(super) fn count_until(&self, fault: Fault, cut: u32) -> u32 {
        self.faults.0.iter().filter(|&&(f, at)| f == fault && at <= cut).count() as u32
    }

    /// Whether this cut is never sent.
    pub(super) fn is_skipped(&self, cut: u32) -> bool {
        self.faults.0.iter().any(|&(fault, at)| match fault {
            Fault::Skip(cuts) => (at..at.saturating_add(u32::from(cuts))).contains(&cut),
            _ => false,
        })
    }

    /// The container of this cut.
    pub(super) fn container_at(&self, shape: &Shape, cut: u32) -> Container {
        let forced = self.faults_at(cut).find_map(Fault::container);
        let needs_one = shape.container == Container::Tree && self.faults_at(cut).any(Fault::needs_container);
        forced.unwrap_or(if needs_one { Container::TarGz } else { shape.container })
    }

    /// Whether this cut should be published as itself.
    pub(super) fn is_accepted(&self, cut: u32) -> bool {
        use super::manifest::Verdict;
        // The container only decides between two codes of refusal.
        let fine = |fault: Fault| fault.expected(Container::TarGz).verdict == Verdict::Accept;
        !self.is_skipped(cut) && self.faults_at(cut).all(fine)
    }

    /// The cut that should be live when this one comes.
    pub(super) fn previous(&self, cut: u32) -> Option<u32> {
        (0..cut).rev().find(|&earlier| self.is_accepted(earlier))
    }
}

impl FromStr for Process {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let number = || text.strip_prefix("simulacro").and_then(|n| n.parse().ok());
        match text {
            "jornada" => Ok(Self::Jornada),
            _ => match number() {
                Some(n @ 1..=9) => Ok(Self::Simulacro(n)),
                _ => Err(SettingsError::UnknownProcess(text.to_owned())),
            },
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Jornada => f.write_str("jornada"),
            Self::Simulacro(n) => write!(f, "simulacro{n}"),
        }
    }
}

impl Faults {
    /// Adds one.
    pub fn with(mut self, fault: Fault, cut: u32) -> Self {
        self.0.push((fault, cut));
        self
    }
}

impl FromStr for Faults {
    type Err = SettingsError;

    /// `NAME@CUT[,NAME@CUT…]`; nothing means none.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let form = || SettingsError::FaultForm(part.to_owned());
            let (name, cut) = part.split_once('@').ok_or_else(form)?;
            let fault = Fault::parse(name).ok_or_else(|| unknown_fault(name))?;
            faults.0.push((fault, cut.parse().map_err(|_| form())?));
        }
        Ok(faults)
    }
}

fn unknown_fault(name: &str) -> SettingsError {
    let names = Fault::all().map(|fault| fault.to_string());
    let nearest = names.min_by_key(|known| strsim::levenshtein(known, name)).unwrap_or_default();
    SettingsError::UnknownFault { name: name.to_owned(), nearest }
}

/// `0..96`, both ends included, or one number.
pub fn parse_cuts(text: &str) -> Result<RangeInclusive<u32>, SettingsError> {
    let bad = || SettingsError::Cuts(text.to_owned());
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |part: &str| part.trim().parse::<u32>().map_err(|_| bad());
    let (from, to) = (number(from)?, number(to.trim_start_matches('='))?);
    if from <= to { Ok(from..=to) } else { Err(bad()) }
}

/// `15m`, `900s`, `1h`; seconds between one minute and a day.
pub fn parse_interval(text: &str) -> Result<u32, SettingsError> {
    let bad = || SettingsError::Interval(text.to_owned());
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m" | "min") => 60,
        Some("h") => 3600,
        _ => return Err(bad()),
    };
    let seconds = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    seconds.filter(|s| (60..=DAY_SECONDS).contains(s)).ok_or_else(bad)
}

/// `2024-06-02T20:00`.
pub fn parse_start(text: &str) -> Result<DateTime, SettingsError> {
    text.parse().map_err(|_| SettingsError::Start(text.to_owned()))
}

/// A night lasts at most a day.
pub(super) const DAY_SECONDS: u32 = 86_400;
/// Years that every format of the package can write, with fifty to spare.
const YEAR_MIN: i16 = 1990;
const YEAR_MAX: i16 = 2049;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_values_are_read_or_explained() {
        assert_eq!(parse_cuts("0..96"), Ok(0..=96));
        assert_eq!(parse_cuts("7"), Ok(7..=7));
        assert!(parse_cuts("9..3").is_err());
        assert_eq!(parse_interval("15m"), Ok(900));
        assert!(parse_interval("15").is_err() && parse_interval("0m").is_err());
        assert!(parse_start("2024-06-02T20:00").is_ok() && parse_start("anoche").is_err());
        assert_eq!("simulacro2".parse(), Ok(Process::Simulacro(2)));
        assert_eq!(
            "trunkate-gz@3".parse::<Faults>().unwrap_err().to_string(),
            "unknown fault 'trunkate-gz'; did you mean 'truncate-gz'?"
        );
        assert_eq!("legit-52:1@0,skip-2@4".parse::<Faults>().unwrap().0.len(), 2);
    }
}
