//! Sections `[access-log]`, `[stats]`, `[[stats.page]]` and `[[stats.window]]`, and the windows that each call counts.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use toml::de::DeTable;

use super::profile::Profile;
use super::read::{Reader, Section};
use super::value::{self, Bad};
use super::{count, filled, flag, list, network, one_of, optional, period, positive, size, text};
use crate::model::{Event, EventKind};
use crate::stats::{Addresses, PageName, Robots, Window};

/// Section `[access-log]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct AccessLog {
    pub enabled: bool,
    pub addresses: Addresses,
    pub keep: Duration,
    pub proxies: Vec<IpNet>,
    pub queue: u64,
    pub sync: Duration,
}

/// Section `[stats]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Statistics {
    pub settle: Duration,
    pub internal: Vec<IpNet>,
    pub monitors: Vec<IpNet>,
    pub monitor_agents: Vec<String>,
    /// The list, read.
    pub robots: Robots,
    pub sessions: usize,
    pub paths: usize,
    pub pages: Vec<PageName>,
    /// Those of the call for each event, then those of the file.
    pub windows: Vec<Window>,
}

pub(super) fn access_log<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<AccessLog> {
    let s = r.section(root, "access-log");
    let kinds = [("truncated", Addresses::Truncated), ("full", Addresses::Full)];
    let log = AccessLog {
        enabled: r.get(s, "enabled", flag)?,
        addresses: r.get(s, "addresses", |v| one_of(v, &kinds))?,
        keep: r.get(s, "keep", period)?,
        proxies: r.get(s, "proxies", |v| list(v, network))?,
        queue: r.get(s, "queue", size)?.clamp(64 << 10, 1 << 30),
        sync: r.get(s, "sync", period)?,
    };
    if log.addresses == Addresses::Full && log.keep.is_zero() {
        let at = s.table.and_then(|t| t.get("addresses")).map_or(0..0, toml::Spanned::span);
        let es =
            "con access-log.addresses = \"full\" hay que decir cuánto se guardan: access-log.keep = \"90d\"";
        let en = "with access-log.addresses = \"full\" say how long they are kept: access-log.keep = \"90d\"";
        r.fault(at, Bad { es: es.to_owned(), en: en.to_owned() });
    }
    Some(log)
}

pub(super) fn section<'t>(
    r: &mut Reader<'t>,
    root: &DeTable<'t>,
    base: &Path,
    (events, zone): (&[Event], &TimeZone),
) -> Option<Statistics> {
    let s = r.section(root, "stats");
    let file = r.get(s, "robots", |v| optional(v, |t| Ok(base.join(t))))?;
    let robots = match file {
        Some(file) => robots(r, s, &file),
        None => Robots::default(),
    };
    let pages = r.array(s.table.and_then(|t| t.get("page")), "stats.page");
    let pages = pages.into_iter().filter_map(|(at, s)| page(r, at, s)).collect();
    let mut windows: Vec<Window> = events
        .iter()
        .filter(|e| e.kind == EventKind::Jornada)
        .flat_map(|e| of_the_call(r.profile, e))
        .collect();
    let own = r.array(s.table.and_then(|t| t.get("window")), "stats.window");
    for (at, s) in own {
        let Some(window) = window(r, at.clone(), s, zone) else { continue };
        if windows.iter().any(|other| other.name == window.name) {
            let es = format!("la ventana «{}» se repite", window.name);
            let en = format!("window '{}' repeats", window.name);
            r.fault(at, Bad { es, en });
        }
        windows.push(window);
    }
    Some(Statistics {
        settle: r.get(s, "settle", positive)?,
        internal: r.get(s, "internal", |v| list(v, network))?,
        monitors: r.get(s, "monitors", |v| list(v, network))?,
        monitor_agents: r.get(s, "monitor-agents", |v| list(v, |t| Ok(t.to_owned())))?,
        robots,
        sessions: r.get(s, "sessions", |v| count(v, 1000, 100_000_000))?,
        paths: r.get(s, "paths", |v| count(v, 100, 1_000_000))?,
        pages,
        windows,
    })
}

/// The list of robots in this file; a fault if it cannot be read.
fn robots(r: &mut Reader<'_>, s: Section<'_, '_>, file: &PathBuf) -> Robots {
    let bounded = std::fs::metadata(file).and_then(|m| {
        if m.len() > ROBOTS_BYTES_MAX { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    });
    let read = bounded.and_then(|()| std::fs::read_to_string(file)).map_err(|e| e.to_string());
    let parsed = read.and_then(|text| Robots::parse(&text).map_err(|e| e.to_string()));
    parsed.unwrap_or_else(|error| {
        let at = s.table.and_then(|t| t.get("robots")).map_or(0..0, toml::Spanned::span);
        let es = format!("stats.robots: {}: {error}", file.display());
        r.fault(at, Bad { en: es.clone(), es });
        Robots::default()
    })
}

fn page<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>) -> Option<PageName> {
    let pattern = r.require(s, at.clone(), "pattern", |v| Ok(filled(v)?.to_owned()));
    let name = r.require(s, at, "name", |v| Ok(filled(v)?.to_owned()));
    Some(PageName { pattern: pattern?, name: name? })
}

fn window<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>, zone: &TimeZone) -> Option<Window> {
    let own = r.get(s, "timezone", |v| optional(v, value::zone))?;
    let zone = own.as_ref().unwrap_or(zone);
    let name = r.require(s, at.clone(), "name", |v| Ok(filled(v)?.to_owned()));
    let from = r.require(s, at.clone(), "from", |v| value::instant(text(v)?, zone));
    let to = r.require(s, at.clone(), "to", |v| value::instant(text(v)?, zone));
    let (name, from, to) = (name?, from?, to?);
    if to <= from {
        let es = format!("la ventana «{name}» termina antes de empezar");
        let en = format!("window '{name}' ends before it begins");
        r.fault(at, Bad { es, en });
        return None;
    }
    let zone = zone.iana_name().unwrap_or("UTC").to_owned();
    Some(Window { name, from, to, zone })
}

/// The name of a window, and its ends as days after the election and hours.
type Spell = (&'static str, (i64, i64), (i64, i64));

/// The windows that a call asks for, counted from the day of the election. `to` is the first second that is not in
/// the window: "until 23:59" is until midnight.
fn of_the_call(profile: Profile, event: &Event) -> Vec<Window> {
    let windows: &[Spell] = match profile {
        Profile::NuevoLeon => &[("jornada", (0, 18), (1, 18)), ("resultados", (1, 18), (8, 0))],
        Profile::Tamaulipas => &[("jornada-y-resultados", (0, 0), (11, 0))],
        Profile::QuintanaRoo | Profile::Durango | Profile::Ine => &[("jornada-y-resultados", (0, 0), (8, 0))],
    };
    let Ok(zone) = TimeZone::get(&event.zone) else { return Vec::new() };
    let midnight = event.opens.to_zoned(zone).start_of_day();
    let at = |(days, hours): (i64, i64)| -> Option<Timestamp> {
        let day = midnight.as_ref().ok()?.checked_add(Span::new().days(days)).ok()?;
        Some(
            day.datetime()
                .checked_add(Span::new().hours(hours))
                .ok()?
                .to_zoned(day.time_zone().clone())
                .ok()?
                .timestamp(),
        )
    };
    let window = |(name, from, to): &Spell| {
        let name = format!("{}/{name}", event.name);
        Some(Window { name, from: at(*from)?, to: at(*to)?, zone: event.zone.clone() })
    };
    windows.iter().filter_map(window).collect()
}

/// Longest list of robots.
const ROBOTS_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn windows(profile: &str, zone: &str) -> Vec<(String, String, String)> {
        let text = format!(
            "profile = \"{profile}\"\ntimezone = \"{zone}\"\n[[event]]\nname = \"j\"\nopens = \"2024-06-02T20:00\"\ncloses = \"2024-06-09T23:59\"\n\
             [[event]]\nname = \"s\"\nkind = \"simulacro\"\nopens = \"2024-05-19T20:00\"\ncloses = \"2024-05-20T00:00\"\n"
        );
        let config = Config::parse(Path::new("/x/difusor.toml"), &text).unwrap();
        config.stats.windows.into_iter().map(|w| (w.name, w.from.to_string(), w.to.to_string())).collect()
    }

    #[test]
    fn each_call_has_its_windows_in_its_own_zone() {
        let all = |list: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
            list.iter().map(|(a, b, c)| (format!("j/{a}"), (*b).to_owned(), (*c).to_owned())).collect()
        };
        assert_eq!(
            windows("nuevo-leon", "America/Monterrey"),
            all(&[
                ("jornada", "2024-06-03T00:00:00Z", "2024-06-04T00:00:00Z"),
                ("resultados", "2024-06-04T00:00:00Z", "2024-06-10T06:00:00Z"),
            ])
        );
        assert_eq!(
            windows("quintana-roo", "America/Cancun"),
            all(&[("jornada-y-resultados", "2024-06-02T05:00:00Z", "2024-06-10T05:00:00Z")])
        );
        assert_eq!(
            windows("tamaulipas", "America/Matamoros"),
            all(&[("jornada-y-resultados", "2024-06-02T05:00:00Z", "2024-06-13T05:00:00Z")])
        );
    }

    #[test]
    fn what_cannot_be_is_said_with_its_place() {
        let text = "[access-log]\naddresses = \"full\"\nkeep = \"0s\"\n[stats]\nrobots = \"none.txt\"\n\
                    [[stats.window]]\nname = \"a\"\nfrom = \"2024-06-02T20:00\"\nto = \"2024-06-02T20:00\"\n";
        let faults = Config::parse(Path::new("/nowhere/difusor.toml"), text).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [2, 5, 6], "{faults:?}");
    }
}
