//! Values as people write them: sizes and durations with units, addresses, hours.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Why a value was not understood; the sentence ends with what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) es: String,
    pub(super) en: String,
}

fn bad(es: impl Into<String>, en: impl Into<String>) -> Bad {
    Bad { es: es.into(), en: en.into() }
}

/// `35MiB`, `1 GB`, `4096`: bytes. Units of 1000 (kB, MB, GB) and 1024 (KiB, MiB, GiB).
pub(super) fn size(text: &str) -> Result<u64, Bad> {
    let fault = || {
        bad(format!("«{text}» no es un tamaño; escriba por ejemplo \"35MiB\""), {
            format!("'{text}' is not a size; write for example \"35MiB\"")
        })
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| fault())?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(fault()),
    };
    number.checked_mul(factor).ok_or_else(fault)
}

/// `15m`, `2s`, `500ms`, `1h30m`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, Bad> {
    let fault = || {
        bad(format!("«{text}» no es una duración; escriba por ejemplo \"15m\" o \"2s\""), {
            format!("'{text}' is not a duration; write for example \"15m\" or \"2s\"")
        })
    };
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| fault())?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(fault()),
        };
        let piece = Duration::from_millis(number.checked_mul(millis).ok_or_else(fault)?);
        total = total.checked_add(piece).ok_or_else(fault)?;
        rest = tail.trim_start();
    }
    Ok(total)
}

/// `127.0.0.1:2222`, `[::]:443`, `:8443` (all addresses).
pub(super) fn address(text: &str) -> Result<SocketAddr, Bad> {
    let whole = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    whole.parse().map_err(|_| {
        bad(format!("«{text}» no es una dirección con puerto; escriba por ejemplo \"0.0.0.0:2222\""), {
            format!("'{text}' is not an address with a port; write for example \"0.0.0.0:2222\"")
        })
    })
}

/// An IANA zone by its name.
pub(super) fn zone(text: &str) -> Result<TimeZone, Bad> {
    TimeZone::get(text).map_err(|_| {
        bad(format!("«{text}» no es una zona horaria; escriba por ejemplo \"America/Cancun\""), {
            format!("'{text}' is not a time zone; write for example \"America/Cancun\"")
        })
    })
}

/// `2027-06-06T20:00` in `zone`, or an instant with its own offset.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, Bad> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let civil = text.parse::<DateTime>().ok().and_then(|civil| civil.to_zoned(zone.clone()).ok());
    civil.map(|zoned| zoned.timestamp()).ok_or_else(|| {
        bad(format!("«{text}» no es fecha y hora; escriba por ejemplo \"2027-06-06T20:00\""), {
            format!("'{text}' is not a date and hour; write for example \"2027-06-06T20:00\"")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_both_kinds() {
        assert_eq!(size("35MiB"), Ok(35 << 20));
        assert_eq!(size("1 GB"), Ok(1_000_000_000));
        assert_eq!(size("4096"), Ok(4096));
        assert!(size("35 megas").is_err() && size("").is_err() && size("99999999999 TiB").is_err());
    }

    #[test]
    fn durations_can_be_joined() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("15").is_err() && duration("").is_err() && duration("m").is_err());
    }

    #[test]
    fn an_hour_without_offset_is_read_in_the_zone() {
        let cancun = zone("America/Cancun").unwrap();
        assert_eq!(instant("2024-06-02T20:00", &cancun).unwrap().to_string(), "2024-06-03T01:00:00Z");
        assert_eq!(instant("2024-06-02T20:00-06:00", &cancun).unwrap().to_string(), "2024-06-03T02:00:00Z");
        assert!(instant("mañana", &cancun).is_err());
    }
}
