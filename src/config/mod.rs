//! The configuration: the file as typed → what is meant, all faults at once.
//!
//! `keys` is the table of every key, `read` collects faults with line and column,
//! `value` understands sizes, durations and hours, `profile` knows the five calls,
//! `sample` writes the commented file. What comes out is plain values; the rooms'
//! own settings are composed from it in `app`.

mod admin;
mod alert;
mod difference;
mod doctor;
mod institute;
mod keys;
mod monitor;
mod office;
mod profile;
mod read;
mod rsync;
mod sample;
mod schedule;
mod service;
mod stats;
mod trust;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use toml::de::{DeTable, DeValue};

use crate::alert::Channel;
use crate::cadence::{Bounds, Schedule};
use crate::model::{Contact, Event, EventKind, Lang};
pub use admin::{Admin, AdminPlace};
pub use difference::{difference, with_old};
pub use doctor::Doctor;
pub use keys::{ARRAYS, KEYS, Key, SECTIONS};
pub use monitor::{Monitor, Watch};
pub use office::{Difusor, Estimate, Evidence, Office, Person, Report};
pub use profile::Profile;
pub use read::Fault;
use read::{Reader, Section};
pub use rsync::{AuthDigest, Module, Rsync};
pub use sample::{Addresses, reference, sample};
pub use service::{Sandboxing, Service};
pub use stats::{AccessLog, Statistics};
pub use trust::Trust;
use value::Bad;

/// How long before its opening an event takes packages, where the operator does not say:
/// 13.8 % of Quintana Roo's actas of 2019 were in before 20:00, none before that day.
const ACCEPTS_BEFORE: SignedDuration = SignedDuration::from_hours(12);
/// A configuration file is a page or two.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// Everything an instance was told.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is the key of that name, documented once in `keys`")]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    pub profile: Profile,
    pub domain: String,
    pub zone: TimeZone,
    pub lang: Lang,
    pub paths: Paths,
    pub trust: Trust,
    pub ssh: Ssh,
    pub rsync: Rsync,
    pub https: Https,
    pub acme: Option<Acme>,
    pub http_listen: Vec<SocketAddr>,
    pub site: Site,
    pub package: Package,
    pub limits: Limits,
    pub drop: Drop,
    pub release: Release,
    pub events: Vec<Event>,
    pub schedule: Schedule,
    /// What section `[schedule]` says of one transfer.
    pub bounds: Bounds,
    pub institute: Contact,
    pub alerts: Vec<Channel>,
    pub monitor: Monitor,
    pub watch: Watch,
    pub log: Log,
    pub access_log: AccessLog,
    pub stats: Statistics,
    pub admin: Admin,
    pub doctor: Doctor,
    pub office: Office,
    pub service: Service,
}

/// Section `[paths]`, made absolute.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Paths {
    pub keys: PathBuf,
    pub www: PathBuf,
    pub var: PathBuf,
}

/// Section `[ssh]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Ssh {
    pub listen: Vec<SocketAddr>,
    pub users: Vec<String>,
    pub paths: Vec<(PathBuf, String)>,
    pub verdict_wait: Duration,
    pub scripts: bool,
    pub sudo: bool,
    /// Only what quantum computers do not break either.
    pub strict: bool,
    pub ecdsa_host_key: bool,
    pub passwords: bool,
    pub legacy: bool,
    pub grace: Duration,
    pub idle: Duration,
    pub connections: usize,
    pub early_drop: usize,
    pub early_drop_rate: u32,
    pub new_connections: u32,
    pub new_connections_burst: u32,
    pub connections_per_address: usize,
    pub sessions_per_address: usize,
    pub stop_grace: Duration,
}

/// Section `[https]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Https {
    pub listen: Vec<SocketAddr>,
    /// Certificate chain and private key, both or neither.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub hsts: Duration,
    pub frame_ancestors: Vec<String>,
    pub connections: usize,
    pub connections_per_address: usize,
    pub new_connections: u32,
    pub new_connections_burst: u32,
    pub requests: u32,
    pub requests_burst: u32,
    pub over_rate: OverRate,
    pub exempt: Vec<IpNet>,
    pub overload_lag: Duration,
    pub handshake_time: Duration,
    pub head_time: Duration,
    pub idle: Duration,
    pub idle_http2: Duration,
    pub progress_time: Duration,
    pub progress_bytes: u64,
    pub stop_grace: Duration,
}

/// Section `[acme]`, where it names a server.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Acme {
    pub directory: String,
    pub contact: Vec<String>,
    /// Whether the name is proved over TLS (tls-alpn-01) rather than HTTP (http-01).
    pub tls: bool,
    pub root: Option<PathBuf>,
}

/// What becomes of requests above the rate of their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverRate {
    /// They are counted.
    Log,
    /// They wait.
    Delay,
    /// 429.
    Refuse,
}

/// Section `[site]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Site {
    pub base: String,
    pub fallback: bool,
    pub cache: Cache,
    pub browser_max_age: Duration,
    pub edge_max_age: Duration,
    pub edge_max_age_purged: Duration,
    pub edge_stale: Duration,
    pub edge_stale_on_error: Duration,
    pub cors: bool,
    pub memory: u64,
}

/// Who keeps copies in front of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Nobody.
    Direct,
    /// A network that is not told of swaps.
    Cdn,
    /// A network that is purged at each swap.
    CdnPurged,
}

/// Section `[package]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Package {
    pub names: Vec<String>,
    pub required: Vec<String>,
    pub base_tag: bool,
    pub increments: bool,
    pub json: bool,
    pub future_skew: Duration,
    pub identity: Vec<Identity>,
}

/// One `[[package.identity]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Identity {
    pub file: String,
    pub pointer: String,
    pub value: serde_json::Value,
}

/// Section `[limits]`; sizes in bytes.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Limits {
    pub package_size: u64,
    pub unpacked_size: u64,
    pub file_size: u64,
    pub entries: u64,
    pub depth: usize,
    pub name_length: usize,
}

/// Section `[drop]`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Drop {
    pub watch: bool,
    pub settle: Duration,
    pub late_sums: Duration,
    pub visible: usize,
    /// Packages unpacked while they arrive.
    pub ahead: usize,
    /// Whether a second push to the site waits (or is refused).
    pub tree_waits: bool,
}

/// Section `[release]`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Release {
    pub keep: usize,
    pub min_free: u64,
}

/// Section `[log]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Log {
    pub format: String,
    pub level: String,
}

impl Config {
    /// Reads a file; gives every fault there is in it, not only the first.
    pub fn load(file: &Path) -> Result<Self, Vec<Fault>> {
        use std::io::Read as _;
        let mut text = String::new();
        let read = std::fs::File::open(file).and_then(|f| f.take(FILE_SIZE_MAX).read_to_string(&mut text));
        if let Err(e) = read {
            let es = format!("no se puede leer: {e}; créela con: difusor init DIRECTORIO");
            let en = format!("cannot be read: {e}; make one with: difusor init DIRECTORY");
            return Err(vec![Fault::of_file(file, es, en)]);
        }
        Self::parse(file, &text)
    }

    /// What holds where there is no file: the defaults.
    pub fn default_for(file: PathBuf) -> Result<Self, Vec<Fault>> {
        Self::parse(&file, "")
    }

    /// Understands the text of a file at `file` (relative paths start from its folder).
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(file, text);
        let root = reader.parse();
        reader.refuse_unknown(&root);
        let config = build(&mut reader, &root, file).map(|config| Self { text: text.to_owned(), ..config });
        match config {
            Some(config) if reader.faults.is_empty() => Ok(config),
            _ => {
                reader.faults.sort_by_key(|f| (f.line, f.column));
                Err(reader.faults)
            }
        }
    }
}

/// A duration typed on the command line, or the sentence that says what was expected.
pub fn duration(text: &str, lang: Lang) -> Result<Duration, String> {
    value::duration(text).map_err(|bad| match lang {
        Lang::Es => bad.es,
        Lang::En => bad.en,
    })
}

/// The end of a network's trust typed on the command line, or the sentence that says what was
/// expected.
pub fn expiry(text: &str, zone: &TimeZone, lang: Lang) -> Result<Timestamp, String> {
    trust::expiry(text, zone).map_err(|bad| match lang {
        Lang::Es => bad.es,
        Lang::En => bad.en,
    })
}

/// An hour typed on the command line, read in `zone` unless it has an offset, or the sentence that says what was expected.
pub fn instant(text: &str, zone: &TimeZone, lang: Lang) -> Result<Timestamp, String> {
    value::instant(text, zone).map_err(|bad| match lang {
        Lang::Es => bad.es,
        Lang::En => bad.en,
    })
}

/// The walk through the file, section by section. `None` only where even the defaults
/// of a key do not parse, which a test rules out.
fn build<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, file: &Path) -> Option<Config> {
    let top = r.section(root, "");
    r.get(top, "version", |v| one_of(v, &[("1", ())]).or_else(|_| integer(v, 1, 1).map(|_| ())))?;
    r.profile = r.get(top, "profile", |v| one_of(v, &Profile::ALL))?;
    let zone = r.get(top, "timezone", |v| value::zone(text(v)?))?;
    let (schedule, bounds) = schedule::section(r, root)?;
    let own_name = r.get(top, "domain", domain)?;
    let base =
        std::path::absolute(file).ok().and_then(|p| p.parent().map(Path::to_owned)).unwrap_or_default();
    let paths = paths(r, root, &base)?;
    let trust = trust::section(r, root, &zone)?;
    let ssh = ssh(r, root)?;
    trust::guard(r, root, &trust, &ssh);
    let rsync = rsync::section(r, root, &base, !trust.networks.is_empty())?;
    let events = events(r, root, &zone);
    Some(Config {
        file: file.to_owned(),
        text: String::new(),
        profile: r.profile,
        domain: own_name.clone(),
        lang: r.get(top, "lang", |v| one_of(v, &[("es", Lang::Es), ("en", Lang::En)]))?,
        trust,
        ssh,
        rsync,
        https: https(r, root, &base)?,
        acme: acme(r, root, &base)?,
        http_listen: {
            let s = r.section(root, "http");
            r.get(s, "listen", |v| list(v, value::address))?
        },
        site: site(r, root)?,
        package: package(r, root)?,
        limits: limits(r, root)?,
        drop: drop_section(r, root)?,
        release: release(r, root)?,
        access_log: stats::access_log(r, root)?,
        stats: stats::section(r, root, &base, (&events, &zone))?,
        events,
        schedule,
        bounds,
        institute: institute::section(r, root)?,
        alerts: alert::section(r, root, &base),
        monitor: monitor::section(r, root, &own_name, &zone, &base)?,
        watch: monitor::watch(r, root)?,
        log: log(r, root)?,
        admin: admin::section(r, root, &paths.var)?,
        office: office::sections(r, root, &base)?,
        service: service::section(r, root)?,
        paths,
        doctor: doctor::section(r, root)?,
        zone,
    })
}

fn paths<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Option<Paths> {
    let s = r.section(root, "paths");
    let mut path = |name| r.get(s, name, |v| Ok(base.join(filled(v)?)));
    Some(Paths { keys: path("keys")?, www: path("www")?, var: path("var")? })
}

fn ssh<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Ssh> {
    let s = r.section(root, "ssh");
    Some(Ssh {
        listen: r.get(s, "listen", |v| list(v, value::address))?,
        users: r.get(s, "users", |v| list(v, |t| Ok(t.to_owned())))?,
        paths: r.get(s, "paths", aliases)?,
        verdict_wait: r.get(s, "verdict-wait", period)?,
        scripts: r.get(s, "scripts", flag)?,
        sudo: r.get(s, "sudo", flag)?,
        strict: r.get(s, "algorithms", |v| one_of(v, &[("compatible", false), ("strict", true)]))?,
        ecdsa_host_key: r.get(s, "ecdsa-host-key", flag)?,
        passwords: r.get(s, "passwords", flag)?,
        legacy: r.get(s, "legacy", flag)?,
        grace: r.get(s, "grace", positive)?,
        idle: r.get(s, "idle", positive)?,
        connections: r.get(s, "connections", |v| count(v, 1, 65_536))?,
        early_drop: r.get(s, "early-drop", |v| count(v, 1, 65_536))?,
        early_drop_rate: r.get(s, "early-drop-rate", |v| small(v, 0, 100))?,
        new_connections: r.get(s, "new-connections-per-address", |v| small(v, 1, 10_000))?,
        new_connections_burst: r.get(s, "new-connections-burst", |v| small(v, 1, 10_000))?,
        connections_per_address: r.get(s, "connections-per-address", |v| count(v, 1, 65_536))?,
        sessions_per_address: r.get(s, "sessions-per-address", |v| count(v, 1, 65_536))?,
        stop_grace: r.get(s, "stop-grace", period)?,
    })
}

fn https<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Option<Https> {
    let s = r.section(root, "https");
    let certificate = r.get(s, "certificate", |v| Ok(text(v)?.to_owned()))?;
    let key = r.get(s, "key", |v| Ok(text(v)?.to_owned()))?;
    if certificate.is_empty() != key.is_empty() {
        let at = s
            .table
            .and_then(|t| t.get("certificate").or_else(|| t.get("key")))
            .map_or(0..0, toml::Spanned::span);
        let es = "https.certificate y https.key van juntas: indique las dos o ninguna".to_owned();
        let en = "https.certificate and https.key go together: give both or neither".to_owned();
        r.fault(at, Bad { es, en });
    }
    Some(Https {
        listen: r.get(s, "listen", |v| list(v, value::address))?,
        certificate: (!certificate.is_empty() && !key.is_empty())
            .then(|| (base.join(certificate), base.join(key))),
        hsts: r.get(s, "hsts", period)?,
        frame_ancestors: r.get(s, "frame-ancestors", |v| list(v, frame_source))?,
        connections: r.get(s, "connections", |v| count(v, 1, 1 << 20))?,
        connections_per_address: r.get(s, "connections-per-address", |v| count(v, 1, 1 << 20))?,
        new_connections: r.get(s, "new-connections-per-address", pace)?,
        new_connections_burst: r.get(s, "new-connections-burst", pace)?,
        requests: r.get(s, "requests-per-address", pace)?,
        requests_burst: r.get(s, "requests-burst", pace)?,
        over_rate: r.get(s, "over-rate", |v| one_of(v, OVER_RATE))?,
        exempt: r.get(s, "exempt", |v| list(v, network))?,
        overload_lag: r.get(s, "overload-lag", period)?,
        handshake_time: r.get(s, "handshake-time", positive)?,
        head_time: r.get(s, "head-time", positive)?,
        idle: r.get(s, "idle", positive)?,
        idle_http2: r.get(s, "idle-http2", positive)?,
        progress_time: r.get(s, "progress-time", positive)?,
        progress_bytes: r.get(s, "progress-bytes", size)?,
        stop_grace: r.get(s, "stop-grace", period)?,
    })
}

/// `Some(None)` where no server is named.
#[expect(clippy::option_option, reason = "the outer one is the reader's: a fault in a key")]
fn acme<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Option<Option<Acme>> {
    let s = r.section(root, "acme");
    let directory = r.get(s, "directory", directory)?;
    let acme = Acme {
        directory,
        contact: r.get(s, "contact", |v| list(v, |t| Ok(t.to_owned())))?,
        tls: r.get(s, "challenge", |v| one_of(v, &[("http-01", false), ("tls-alpn-01", true)]))?,
        root: r.get(s, "root", |v| optional(v, |t| Ok(base.join(t))))?,
    };
    Some(Some(acme).filter(|acme| !acme.directory.is_empty()))
}

fn directory(v: &DeValue<'_>) -> Result<String, Bad> {
    let url = text(v)?;
    if url.is_empty() || url.starts_with("https://") {
        Ok(url.to_owned())
    } else {
        Err(expected("se espera una dirección https://", "an https:// address is expected"))
    }
}

fn site<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Site> {
    let s = r.section(root, "site");
    Some(Site {
        base: r.get(s, "base", prefix)?,
        fallback: r.get(s, "fallback", flag)?,
        cache: r.get(s, "cache", |v| one_of(v, CACHE))?,
        browser_max_age: r.get(s, "browser-max-age", period)?,
        edge_max_age: r.get(s, "edge-max-age", period)?,
        edge_max_age_purged: r.get(s, "edge-max-age-purged", period)?,
        edge_stale: r.get(s, "edge-stale", period)?,
        edge_stale_on_error: r.get(s, "edge-stale-on-error", period)?,
        cors: r.get(s, "cors", flag)?,
        memory: r.get(s, "memory", size)?,
    })
}

fn package<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Package> {
    let s = r.section(root, "package");
    let identities = r.array(s.table.and_then(|t| t.get("identity")), "package.identity");
    Some(Package {
        names: r.get(s, "names", |v| list(v, |t| Ok(t.to_owned())))?,
        required: r.get(s, "required", |v| list(v, |t| Ok(t.to_owned())))?,
        base_tag: r.get(s, "base-tag", flag)?,
        increments: r.get(s, "increments", flag)?,
        json: r.get(s, "json", flag)?,
        future_skew: r.get(s, "future-skew", period)?,
        identity: identities.into_iter().filter_map(|(at, s)| identity(r, at, s)).collect(),
    })
}

fn identity<'t>(r: &mut Reader<'t>, at: std::ops::Range<usize>, s: Section<'_, 't>) -> Option<Identity> {
    let file = r.require(s, at.clone(), "file", |v| Ok(filled(v)?.to_owned()));
    let pointer = r.require(s, at.clone(), "pointer", pointer);
    let value = r.require(s, at, "value", scalar);
    Some(Identity { file: file?, pointer: pointer?, value: value? })
}

fn limits<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Limits> {
    let s = r.section(root, "limits");
    Some(Limits {
        package_size: r.get(s, "package-size", size)?,
        unpacked_size: r.get(s, "unpacked-size", size)?,
        file_size: r.get(s, "file-size", size)?,
        entries: r.get(s, "entries", |v| integer(v, 1, 10_000_000))?,
        depth: r.get(s, "depth", |v| count(v, 1, 256))?,
        name_length: r.get(s, "name-length", |v| count(v, 16, 4000))?,
    })
}

fn drop_section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Drop> {
    let s = r.section(root, "drop");
    Some(Drop {
        watch: r.get(s, "watch", flag)?,
        settle: r.get(s, "settle", period)?,
        late_sums: r.get(s, "late-sums", period)?,
        visible: r.get(s, "visible", |v| count(v, 1, 10_000))?,
        ahead: r.get(s, "ahead", |v| count(v, 0, 64))?,
        tree_waits: r.get(s, "tree-busy", |v| one_of(v, &[("wait", true), ("refuse", false)]))?,
    })
}

fn release<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Release> {
    let s = r.section(root, "release");
    Some(Release { keep: r.get(s, "keep", |v| count(v, 2, 10_000))?, min_free: r.get(s, "min-free", size)? })
}

fn log<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Log> {
    let s = r.section(root, "log");
    let format = |v: &DeValue<'_>| {
        one_of(v, &[("auto", "auto"), ("text", "text"), ("json", "json"), ("journald", "journald")])
    };
    let level = |v: &DeValue<'_>| {
        one_of(
            v,
            &[("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")],
        )
    };
    Some(Log { format: r.get(s, "format", format)?.to_owned(), level: r.get(s, "level", level)?.to_owned() })
}

fn events<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, zone: &TimeZone) -> Vec<Event> {
    let tables = r.array(root.get("event"), "event");
    let mut events: Vec<Event> = Vec::new();
    for (at, s) in tables {
        let Some(event) = event(r, at.clone(), s, zone) else { continue };
        if let Some(other) =
            events.iter().find(|e| e.name == event.name || (e.opens < event.closes && event.opens < e.closes))
        {
            let es = format!("el evento «{}» se repite o se encima con «{}»", event.name, other.name);
            let en = format!("event '{}' repeats or overlaps '{}'", event.name, other.name);
            r.fault(at, Bad { es, en });
        }
        events.push(event);
    }
    events.sort_by_key(|e| e.opens);
    events
}

fn event<'t>(
    r: &mut Reader<'t>,
    at: std::ops::Range<usize>,
    s: Section<'_, 't>,
    zone: &TimeZone,
) -> Option<Event> {
    let own = r.get(s, "timezone", |v| optional(v, value::zone))?;
    let zone = own.as_ref().unwrap_or(zone);
    let name = r.require(s, at.clone(), "name", |v| Ok(filled(v)?.to_owned()));
    let kinds = [("jornada", EventKind::Jornada), ("simulacro", EventKind::Simulacro)];
    let kind = r.get(s, "kind", |v| one_of(v, &kinds));
    let opens = r.require(s, at.clone(), "opens", |v| value::instant(text(v)?, zone));
    let closes = r.require(s, at.clone(), "closes", |v| value::instant(text(v)?, zone));
    let from = r.get(s, "accepts-from", |v| optional(v, |t| value::instant(t, zone)))?;
    let (name, kind, opens, closes) = (name?, kind?, opens?, closes?);
    if closes <= opens {
        let es = format!("el evento «{name}» cierra antes de abrir");
        let en = format!("event '{name}' closes before it opens");
        r.fault(at, Bad { es, en });
        return None;
    }
    let accepts_from = from.unwrap_or_else(|| opens.checked_sub(ACCEPTS_BEFORE).unwrap_or(opens));
    let zone = zone.iana_name().unwrap_or("UTC").to_owned();
    Some(Event { name, kind, opens, closes, accepts_from, zone })
}

fn expected(es: impl Into<String>, en: impl Into<String>) -> Bad {
    Bad { es: es.into(), en: en.into() }
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Bad> {
    value.as_str().ok_or_else(|| expected("se espera un texto entre comillas", "a quoted text is expected"))
}

fn filled<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Bad> {
    let text = text(value)?;
    if text.is_empty() { Err(expected("no puede estar vacío", "must not be empty")) } else { Ok(text) }
}

fn optional<T>(value: &DeValue<'_>, parse: impl Fn(&str) -> Result<T, Bad>) -> Result<Option<T>, Bad> {
    match text(value)? {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn flag(value: &DeValue<'_>) -> Result<bool, Bad> {
    value.as_bool().ok_or_else(|| expected("se espera true o false", "true or false is expected"))
}

fn integer(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, Bad> {
    let number = value.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
    number.filter(|n| (min..=max).contains(n)).ok_or_else(|| {
        expected(
            format!("se espera un número de {min} a {max}"),
            format!("a number from {min} to {max} is expected"),
        )
    })
}

fn count(value: &DeValue<'_>, min: usize, max: usize) -> Result<usize, Bad> {
    integer(value, min as u64, max as u64).map(|n| usize::try_from(n).unwrap_or(max))
}

fn small(value: &DeValue<'_>, min: u32, max: u32) -> Result<u32, Bad> {
    integer(value, min.into(), max.into()).map(|n| u32::try_from(n).unwrap_or(max))
}

fn pace(value: &DeValue<'_>) -> Result<u32, Bad> {
    integer(value, 0, 1_000_000).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

fn size(v: &DeValue<'_>) -> Result<u64, Bad> {
    match v {
        DeValue::Integer(_) => integer(v, 0, u64::MAX >> 1),
        _ => value::size(text(v)?),
    }
}

fn period(v: &DeValue<'_>) -> Result<Duration, Bad> {
    value::duration(text(v)?)
}

fn positive(v: &DeValue<'_>) -> Result<Duration, Bad> {
    let duration = period(v)?;
    if duration.is_zero() {
        Err(expected("debe ser mayor que cero", "must be more than zero"))
    } else {
        Ok(duration)
    }
}

fn one_of<T: Copy>(v: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, Bad> {
    let given = text(v)?;
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == given) {
        return Ok(*value);
    }
    let all = choices.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
    Err(expected(format!("«{given}» no es uno de: {all}"), format!("'{given}' is not one of: {all}")))
}

fn list<T>(v: &DeValue<'_>, parse: impl Fn(&str) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
    let fault = || expected("se espera una lista: [\"…\"]", "a list is expected: [\"…\"]");
    v.as_array().ok_or_else(fault)?.iter().map(|item| parse(text(item.get_ref())?)).collect()
}

fn aliases(v: &DeValue<'_>) -> Result<Vec<(PathBuf, String)>, Bad> {
    let fault = || {
        let example = "{ \"/var/www/html/prep\" = \"/sitio\" }";
        expected(
            format!("se espera una tabla de rutas absolutas: {example}"),
            format!("a table of absolute paths is expected: {example}"),
        )
    };
    let table = v.as_table().ok_or_else(fault)?;
    table
        .iter()
        .map(|(from, to)| {
            let (from, to): (&str, &str) = (from.get_ref(), text(to.get_ref())?);
            let good =
                from.starts_with('/') && to.starts_with('/') && !format!("{from}/{to}/").contains("/../");
            if good { Ok((PathBuf::from(from), to.to_owned())) } else { Err(fault()) }
        })
        .collect()
}

fn domain(v: &DeValue<'_>) -> Result<String, Bad> {
    domain_name(filled(v)?)
}

fn domain_name(text: &str) -> Result<String, Bad> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    let good = !name.is_empty() && name.len() <= 253 && name.chars().all(plain);
    if good {
        Ok(name)
    } else {
        Err(expected(
            "se espera un nombre de dominio, sin https:// ni /",
            "a domain name is expected, without https:// or /",
        ))
    }
}

fn prefix(v: &DeValue<'_>) -> Result<String, Bad> {
    let text = text(v)?;
    let good = text.starts_with('/') && text.ends_with('/') && !text.contains("//") && !text.contains("/../");
    if good {
        Ok(text.to_owned())
    } else {
        Err(expected("debe empezar y terminar con «/»", "must begin and end with '/'"))
    }
}

fn frame_source(text: &str) -> Result<String, Bad> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !",;".contains(c));
    if plain {
        Ok(text.to_owned())
    } else {
        Err(expected(
            format!("«{text}» no es un origen, por ejemplo https://www.ejemplo.mx"),
            format!("'{text}' is not an origin, for example https://www.example.mx"),
        ))
    }
}

fn network(text: &str) -> Result<IpNet, Bad> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| {
        expected(
            format!("«{text}» no es una red, por ejemplo 203.0.113.0/24"),
            format!("'{text}' is not a network, for example 203.0.113.0/24"),
        )
    })
}

fn pointer(v: &DeValue<'_>) -> Result<String, Bad> {
    let text = text(v)?;
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(expected("un apuntador JSON empieza con «/»", "a JSON pointer begins with '/'"))
    }
}

fn scalar(v: &DeValue<'_>) -> Result<serde_json::Value, Bad> {
    match v {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Boolean(flag) => Ok((*flag).into()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed
                .map(Into::into)
                .map_err(|_| expected("el número es demasiado grande", "the number is too large"))
        }
        _ => Err(expected(
            "se espera un texto, un número o true/false",
            "a text, a number or true/false is expected",
        )),
    }
}

const CACHE: &[(&str, Cache)] =
    &[("direct", Cache::Direct), ("cdn", Cache::Cdn), ("cdn-purged", Cache::CdnPurged)];
const OVER_RATE: &[(&str, OverRate)] =
    &[("log", OverRate::Log), ("delay", OverRate::Delay), ("429", OverRate::Refuse)];

#[cfg(test)]
mod tests;
