//! The hour of a cut, in the four places and formats in which institutes write it.

use jiff::tz::Offset;

use super::profile::Dialect;
use crate::model::Cut;

/// `20240602_2015`, the beginning of file names; local time.
pub(super) fn name(cut: Cut) -> String {
    let c = cut.civil();
    format!("{:04}{:02}{:02}_{:02}{:02}", c.year(), c.month(), c.day(), c.hour(), c.minute())
}

/// `{"fecha":"02 junio 2024","hora":"20:15"}`.
pub(super) fn json(cut: Cut) -> String {
    let c = cut.civil();
    let month = MONTHS.get(c.month() as usize - 1).copied().unwrap_or("enero");
    format!("{{\"fecha\":\"{:02} {month} {:04}\",\"hora\":\"{}\"}}", c.day(), c.year(), cut.label())
}

/// `02/06/2024 20:15`.
pub(super) fn plain(cut: Cut) -> String {
    let c = cut.civil();
    format!("{:02}/{:02}/{:04} {}", c.day(), c.month(), c.year(), cut.label())
}

/// The head of a CSV: `2024/06/02 20:15 (UTC-5)` or one of its relatives. `shift` is
/// added to the hours of the offset, for a centre that forgot that summer time is gone.
pub(super) fn csv(cut: Cut, dialect: Dialect, shift: i32) -> String {
    let c = cut.civil();
    let zone = utc(cut, shift);
    let (year, month, day, hour) = (c.year(), c.month(), c.day(), cut.label());
    match dialect {
        Dialect::Qroo => format!("{year:04}/{month:02}/{day:02} {hour} {zone}"),
        Dialect::Ine | Dialect::Plain => format!("{day:02}/{month:02}/{year:04} {hour} {zone}"),
        Dialect::Latin => format!("{day:02}/{month:02}/{year:04} {hour}{zone}"),
    }
}

/// `(UTC-5)`.
pub(super) fn utc(cut: Cut, shift: i32) -> String {
    format!("(UTC{:+})", offset_seconds(cut) / 3600 + shift)
}

/// Seconds east of UTC of the stamp.
pub(super) fn offset_seconds(cut: Cut) -> i32 {
    let as_utc = Offset::UTC.to_timestamp(cut.civil()).map_or(0, |t| t.as_second());
    (as_utc - cut.instant().as_second()) as i32
}

const MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cut_is_written_in_every_way() {
        let cut = Cut::with_offset(jiff::civil::date(2024, 6, 2).at(20, 15, 0, 0), -5).unwrap();
        assert_eq!(name(cut), "20240602_2015");
        assert_eq!(json(cut), r#"{"fecha":"02 junio 2024","hora":"20:15"}"#);
        assert_eq!(plain(cut), "02/06/2024 20:15");
        assert_eq!(csv(cut, Dialect::Qroo, 0), "2024/06/02 20:15 (UTC-5)");
        assert_eq!(csv(cut, Dialect::Ine, -1), "02/06/2024 20:15 (UTC-6)");
        assert_eq!(csv(cut, Dialect::Latin, 0), "02/06/2024 20:15(UTC-5)");
    }
}
