//! Section `[schedule]`: what the call says of the rhythm of the cuts and of their transfer.

use jiff::SignedDuration;
use toml::de::{DeTable, DeValue};

use super::read::Reader;
use super::value::{self, Bad};
use super::{expected, integer, period, positive, text};
use crate::cadence::{Bounds, Schedule};

/// The section: the rhythm, and the bounds of a transfer.
pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<(Schedule, Bounds)> {
    let s = r.section(root, "schedule");
    let (shortest, longest) = r.get(s, "period", range)?;
    let schedule = Schedule {
        shortest,
        longest,
        grace: signed(r.get(s, "grace", period)?),
        limit: r.get(s, "periods", |v| integer(v, 1, 20)).and_then(|n| u8::try_from(n).ok())?,
        duration: signed(r.get(s, "duration", positive)?),
        overtime: signed(r.get(s, "overtime", period)?),
    };
    let bounds = Bounds {
        warn: signed(r.get(s, "transfer-warning", positive)?),
        limit: signed(r.get(s, "transfer-limit", positive)?),
        bytes: r.get(s, "package-size", sizes)?,
        mbps: r.get(s, "bandwidth", |v| integer(v, 0, 1_000_000))?,
        publish: signed(r.get(s, "publish-limit", positive)?),
    };
    Some((schedule, bounds))
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// `15m`, or `5m..20m`.
fn range(v: &DeValue<'_>) -> Result<(SignedDuration, SignedDuration), Bad> {
    let fault = || {
        expected(
            "se espera un periodo de 1 s a 24 h, por ejemplo \"15m\", o un intervalo, \"5m..20m\"",
            "a period from 1 s to 24 h is expected, for example \"15m\", or a range, \"5m..20m\"",
        )
    };
    let text = text(v)?;
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (signed(value::duration(from)?), signed(value::duration(to)?));
    let good = from >= SignedDuration::from_secs(1) && from <= to && to <= SignedDuration::from_hours(24);
    if good { Ok((from, to)) } else { Err(fault()) }
}

/// `30MB..35MiB`; empty where the call does not say.
fn sizes(v: &DeValue<'_>) -> Result<Option<(u64, u64)>, Bad> {
    let text = text(v)?;
    if text.is_empty() {
        return Ok(None);
    }
    let both = text.split_once("..").ok_or_else(|| {
        expected(
            "se espera un intervalo, por ejemplo \"30MB..35MiB\"",
            "a range is expected, for example \"30MB..35MiB\"",
        )
    })?;
    Ok(Some((value::size(both.0)?, value::size(both.1)?)))
}
