//! Sections `[monitor]`, `[[monitor.exclusion]]` and `[watch]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use toml::de::{DeTable, DeValue};

use super::read::Reader;
use super::value::{self, Bad};
use super::{expected, filled, integer, list, optional, period, positive, size, text};
use crate::monitor::{Exclusion, Target};

/// Section `[monitor]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Monitor {
    /// The ways that are probed; none where nothing is.
    pub targets: Vec<Target>,
    pub pages: Vec<String>,
    pub every: Duration,
    pub timeout: Duration,
    pub lag: Duration,
    pub rounds: u32,
    pub keep: u32,
    pub root: Option<PathBuf>,
    /// Percent that the call asks for.
    pub availability: f64,
    pub exclusions: Vec<Exclusion>,
}

/// Section `[watch]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Watch {
    pub disk_low: u64,
    pub certificate: Duration,
    pub clock_warning: Duration,
    pub clock_critical: Duration,
    pub hold: Duration,
    pub ntp: Vec<String>,
}

pub(super) fn watch<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Watch> {
    let s = r.section(root, "watch");
    Some(Watch {
        disk_low: r.get(s, "disk-low", size)?,
        certificate: r.get(s, "certificate", period)?,
        clock_warning: r.get(s, "clock-warning", positive)?,
        clock_critical: r.get(s, "clock-critical", positive)?,
        hold: r.get(s, "hold", positive)?,
        ntp: r.get(s, "ntp", |v| list(v, |t| Ok(t.to_owned())))?,
    })
}

pub(super) fn section<'t>(
    r: &mut Reader<'t>,
    root: &DeTable<'t>,
    domain: &str,
    zone: &TimeZone,
    base: &Path,
) -> Option<Monitor> {
    let s = r.section(root, "monitor");
    let url = r.get(s, "url", |v| optional(v, address))?;
    let cdn = r.get(s, "cdn", |v| optional(v, address))?;
    // A name of its own is a site that readers reach by it; localhost is somebody's desk.
    let own = || (domain != "localhost" && !domain.is_empty()).then(|| format!("https://{domain}"));
    let target = |name: &str, url: String| Target { name: name.to_owned(), url };
    let every = r.get(s, "every", period)?;
    let mut targets: Vec<Target> = Vec::new();
    targets.extend(url.or_else(own).map(|url| target("public", url)));
    targets.extend(cdn.map(|url| target("cdn", url)));
    if every.is_zero() {
        targets.clear();
    }
    let tables = r.array(s.table.and_then(|t| t.get("exclusion")), "monitor.exclusion");
    let mut exclusions = Vec::new();
    for (at, s) in tables {
        let from = r.require(s, at.clone(), "from", |v| value::instant(text(v)?, zone));
        let to = r.require(s, at.clone(), "to", |v| value::instant(text(v)?, zone));
        let reason = r.require(s, at, "reason", |v| Ok(filled(v)?.to_owned()));
        if let (Some(from), Some(to), Some(reason)) = (from, to, reason) {
            exclusions.push(Exclusion { from, to, reason });
        }
    }
    Some(Monitor {
        targets,
        pages: r.get(s, "pages", |v| list(v, path))?,
        every,
        timeout: r.get(s, "timeout", positive)?,
        lag: r.get(s, "lag", period)?,
        rounds: r.get(s, "rounds", |v| integer(v, 1, 1000)).and_then(|n| u32::try_from(n).ok())?,
        keep: r.get(s, "keep-days", |v| integer(v, 1, 3650)).and_then(|n| u32::try_from(n).ok())?,
        root: r.get(s, "root", |v| optional(v, |t| Ok(base.join(t))))?,
        availability: r.get(s, "availability", percent)?,
        exclusions,
    })
}

fn address(text: &str) -> Result<String, Bad> {
    if text.starts_with("https://") || text.starts_with("http://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(expected("se espera una dirección https://", "an https:// address is expected"))
    }
}

fn path(text: &str) -> Result<String, Bad> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(expected("una página empieza con «/»", "a page begins with '/'"))
    }
}

/// `"99.9"`: two decimals at most, so that a report says what was written.
fn percent(v: &DeValue<'_>) -> Result<f64, Bad> {
    let number = text(v)?.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
    number.ok_or_else(|| {
        expected(
            "se espera un porcentaje, por ejemplo \"99.9\"",
            "a percentage is expected, for example \"99.9\"",
        )
    })
}

impl Monitor {
    /// What availability is computed by.
    pub fn availability(&self, zone: &TimeZone) -> crate::monitor::Settings {
        crate::monitor::Settings {
            required: self.availability,
            every: SignedDuration::try_from(self.every).unwrap_or(SignedDuration::MAX),
            exclusions: self.exclusions.clone(),
            zone: zone.clone(),
        }
    }
}
