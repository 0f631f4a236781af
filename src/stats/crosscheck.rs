//! The figures that GoAccess and AWStats give for the same log, by their own definitions.
//!
//! They differ from ours on purpose: an hour between visits and a new visit at midnight (AWStats), a visitor for
//! each day (GoAccess). With these a person can see that the difference is one of definition. Measured against
//! GoAccess 1.7 and AWStats 7.8 of Debian.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::line::{Hours, Line, Read};
use super::page;
use super::query::Class;
use super::shelf_of;

/// Figures as the others give them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrossCheck {
    /// GoAccess: valid requests.
    pub goaccess_requests: u64,
    /// GoAccess: bytes.
    pub goaccess_bytes: u64,
    /// Day by day, in the zone of the election.
    pub days: BTreeMap<String, CrossDay>,
}

/// One day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrossDay {
    /// GoAccess: hits of the day.
    pub goaccess_hits: u64,
    /// GoAccess: unique visitors of the day: address, agent and date, with an answer that is no 4xx.
    pub goaccess_visitors: u64,
    /// AWStats: hits: 200 and 304, no robots.
    pub awstats_hits: u64,
    /// AWStats: pages, with `NotPageList` as docs/STATISTICS.md has it.
    pub awstats_pages: u64,
    /// AWStats: visits: by address, a new one after an hour or at midnight.
    pub awstats_visits: u64,
}

/// Counts a source by the definitions of the others. Robots, monitors and our own networks are left out of what is
/// AWStats', which has a list of its own.
pub fn crosscheck(var: &Path, source: &str, zone: &TimeZone) -> io::Result<CrossCheck> {
    let mut check = CrossCheck::default();
    let mut hours = Hours::new(zone.clone());
    let mut day = String::new();
    let mut day_from = i64::MAX;
    let mut seen = HashSet::new();
    let mut last = HashMap::new();
    shelf_of(var, source)?.read_on(None, None, u64::MAX, |_, read| {
        let Read::Hit(line) = read else { return };
        let midnight = hours.midnight(line.at);
        if midnight != day_from {
            (day, day_from) = (hours.day(line.at).to_string(), midnight);
        }
        let own = check.days.entry(day.clone()).or_default();
        check.goaccess_requests += 1;
        check.goaccess_bytes += line.sent;
        own.goaccess_hits += 1;
        let is_client_error = (400..500).contains(&line.status);
        if !is_client_error && seen.insert((line.address, line.agent.to_vec(), midnight)) {
            own.goaccess_visitors += 1;
        }
        if line.class == Class::Human && matches!(line.status, 200 | 304) {
            own.awstats_hits += 1;
            if is_page(&line) {
                own.awstats_pages += 1;
                let before = last.insert(line.address, line.at);
                let is_new = before.is_none_or(|before| is_another_visit(before, line.at, midnight));
                own.awstats_visits += u64::from(is_new);
            }
        }
    })?;
    Ok(check)
}

/// AWStats compares `yyyymmddhhmmss` as numbers: more than 10000 apart is a new visit, so is midnight.
fn is_another_visit(before: i64, at: i64, midnight: i64) -> bool {
    let digits = |second: i64| {
        let of_day = second - midnight;
        of_day / 3600 * 10_000 + of_day / 60 % 60 * 100 + of_day % 60
    };
    before < midnight || digits(at) > digits(before) + 10_000
}

fn is_page(line: &Line<'_>) -> bool {
    let path = page::path(&line.target);
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let extension = memchr::memrchr(b'.', name).and_then(|at| name.get(at + 1..)).unwrap_or_default();
    !NOT_PAGES.iter().any(|no| no.as_bytes().eq_ignore_ascii_case(extension))
}

/// AWStats' own list, and what a results site has besides.
pub const NOT_PAGES: &[&str] = &[
    "css",
    "js",
    "class",
    "gif",
    "jpg",
    "jpeg",
    "png",
    "bmp",
    "ico",
    "rss",
    "xml",
    "swf",
    "eot",
    "woff",
    "woff2",
    "json",
    "csv",
    "zip",
    "gz",
    "svg",
    "map",
    "txt",
    "ttf",
    "geojson",
    "webmanifest",
];
