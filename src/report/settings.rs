//! What a report is told of the instance: composed from the configuration by `app`.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::calls::Call;
use crate::model::{Event, Lang};
use crate::monitor;

/// Everything a report is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose call.
    pub call: Call,
    /// Public name of the site.
    pub domain: String,
    /// Zone of the election.
    pub zone: TimeZone,
    /// Language of the report.
    pub lang: Lang,
    /// Windows of publication.
    pub events: Vec<Event>,
    /// Where ledger, statistics and the monitor's probes lie.
    pub var: PathBuf,
    /// Ways in and out.
    pub doors: Doors,
    /// Bounds that were set, as (key, value).
    pub limits: Vec<(&'static str, String)>,
    /// Longest ordinary time between two cuts, in seconds.
    pub period_seconds: u64,
    /// How availability is computed; `None` where there is no monitor.
    pub monitor: Option<monitor::Settings>,
    /// Who is who.
    pub office: Office,
    /// Paragraphs of the operator: criteria for improvement, comments.
    pub remarks: Remarks,
}

/// Ways in and out.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// SSH.
    pub ssh: Vec<SocketAddr>,
    /// Users that SSH accepts; empty: any.
    pub users: Vec<String>,
    /// The institute's own paths and where they lead.
    pub paths: Vec<(String, String)>,
    /// The rsync daemon, plain.
    pub rsync: Vec<SocketAddr>,
    /// The rsync daemon under TLS.
    pub rsync_tls: Vec<SocketAddr>,
    /// Its modules: name, path, networks.
    pub modules: Vec<(String, String, String)>,
    /// The site.
    pub https: Vec<SocketAddr>,
    /// What redirects to it.
    pub http: Vec<SocketAddr>,
    /// Prefix of the site.
    pub base: String,
    /// What stands in front: `direct`, `cdn`, `cdn-purged`.
    pub cache: String,
    /// Fingerprints of the host keys: algorithm, SHA-256.
    pub host_keys: Vec<(String, String)>,
    /// Trusted keys: name, fingerprint, networks, last day.
    pub trusted: Vec<(String, String, String, String)>,
    /// Host keys or trusted keys that could not be read.
    pub faults: Vec<String>,
}

/// Who is who, and what the calls want on paper.
#[derive(Clone, Debug, Default)]
pub struct Office {
    /// The difusor.
    pub difusor: Party,
    /// The institute.
    pub institute: Party,
    /// Everybody who has a part in it.
    pub staff: Vec<Person>,
    /// Certificates and contracts.
    pub evidence: Vec<Evidence>,
    /// What is expected: users, bandwidth, zones.
    pub estimate: Estimate,
    /// Addresses from which this instance speaks to the outside.
    pub addresses: Vec<String>,
    /// Servers of time.
    pub ntp: Vec<String>,
}

/// A company or institute. Empty texts are missing.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Party {
    pub name: String,
    pub address: String,
    pub city: String,
    pub state: String,
    pub representative: String,
    pub contact: String,
    pub post: String,
    pub phone: String,
    pub email: String,
    pub hours: String,
    pub night_phone: String,
    pub description: String,
    pub hosting: String,
    pub motives: String,
    pub logo: String,
}

/// One of the staff (INE VI.a.ii, NL 4.1.2).
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Person {
    pub name: String,
    pub post: String,
    pub phone: String,
    pub email: String,
    pub hours: String,
}

/// A paper that proves something (NL 1.5, INE II.a.v).
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Which standard or duty.
    pub what: String,
    /// Where the paper lies.
    pub file: String,
    /// First day on which it holds.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
}

/// The estimate (NL 1.3.3.4, INE II.a.iii.3).
#[derive(Clone, Debug, Default)]
pub struct Estimate {
    /// Users expected.
    pub users: String,
    /// Bandwidth.
    pub bandwidth: String,
    /// Geographic zones.
    pub zones: String,
    /// Day on which it was made.
    pub date: Option<Date>,
}

/// What only people can say.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Criteria for improvement and planning.
    pub criteria: Vec<String>,
    /// Comments and suggestions.
    pub comments: Vec<String>,
}
