//! A cut (corte): the stamp an institute puts on a set of results.

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hour and date of a cut with the offset it was stamped in. Ordered by the
/// instant, so that 20:00 (UTC-5) comes before 20:00 (UTC-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    civil: DateTime,
    offset: Offset,
}

/// A date, hour or offset that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cut stamp")]
pub struct CutError;

impl Cut {
    /// A stamp whose offset was written beside it, as in `03/06/2024 20:15 (UTC-6)`.
    pub fn with_offset(civil: DateTime, offset_hours: i8) -> Result<Self, CutError> {
        let offset = Offset::from_hours(offset_hours).map_err(|_| CutError)?;
        offset.to_timestamp(civil).map_err(|_| CutError)?;
        Ok(Self { civil, offset })
    }

    /// A stamp without offset, read in the zone of the election.
    pub fn in_zone(civil: DateTime, zone: &TimeZone) -> Result<Self, CutError> {
        let zoned = civil.to_zoned(zone.clone()).map_err(|_| CutError)?;
        Ok(Self { civil: zoned.datetime(), offset: zoned.offset() })
    }

    /// The cut that an instant falls on, as seen in `zone`.
    pub fn at(instant: Timestamp, zone: &TimeZone) -> Self {
        let offset = zone.to_offset(instant);
        Self { civil: offset.to_datetime(instant), offset }
    }

    /// The instant of the cut.
    pub fn instant(self) -> Timestamp {
        // Both constructors proved that the pair is representable.
        self.offset.to_timestamp(self.civil).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Date and hour as the institute wrote them.
    pub fn civil(self) -> DateTime {
        self.civil
    }

    /// `20:15`, as it is spoken on the night.
    pub fn label(self) -> String {
        format!("{:02}:{:02}", self.civil.hour(), self.civil.minute())
    }

    /// `20240602T2015`, for names of releases.
    pub fn id(self) -> String {
        let c = self.civil;
        format!("{:04}{:02}{:02}T{:02}{:02}", c.year(), c.month(), c.day(), c.hour(), c.minute())
    }
}

impl fmt::Display for Cut {
    /// RFC 3339 with the offset of the stamp.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.offset.seconds();
        let (sign, abs) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
        write!(f, "{}{sign}{:02}:{:02}", self.civil, abs / 3600, abs / 60 % 60)
    }
}

impl PartialOrd for Cut {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cut {
    fn cmp(&self, other: &Self) -> Ordering {
        self.instant().cmp(&other.instant()).then(self.civil.cmp(&other.civil))
    }
}

impl Serialize for Cut {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cut {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(d)?;
        let pieces = jiff::fmt::temporal::DateTimeParser::new();
        let instant = pieces.parse_timestamp(&text).map_err(D::Error::custom)?;
        let civil = pieces.parse_datetime(&text).map_err(D::Error::custom)?;
        let seconds =
            Offset::UTC.to_timestamp(civil).map_err(D::Error::custom)?.as_second() - instant.as_second();
        let offset = i32::try_from(seconds).ok().and_then(|s| Offset::from_seconds(s).ok());
        Ok(Self { civil, offset: offset.ok_or_else(|| D::Error::custom(CutError))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_hour_is_earlier_in_quintana_roo() {
        let hour = jiff::civil::date(2024, 6, 2).at(20, 0, 0, 0);
        let qroo = Cut::with_offset(hour, -5).unwrap();
        let centre = Cut::in_zone(hour, &TimeZone::get("America/Mexico_City").unwrap()).unwrap();
        assert!(qroo < centre);
        assert_eq!(centre.to_string(), "2024-06-02T20:00:00-06:00");
        assert_eq!((qroo.label(), qroo.id()), ("20:00".to_owned(), "20240602T2000".to_owned()));
    }

    #[test]
    fn a_cut_survives_json() {
        let cut = Cut::with_offset(jiff::civil::date(2024, 6, 3).at(5, 47, 0, 0), -5).unwrap();
        let text = serde_json::to_string(&cut).unwrap();
        assert_eq!(text, "\"2024-06-03T05:47:00-05:00\"");
        assert_eq!(serde_json::from_str::<Cut>(&text).unwrap(), cut);
    }
}
