//! What the reports are told of the instance.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::access::Keyring;
use crate::config::{Cache, Config, Profile};
use crate::model::Lang;
use crate::report::{Call, Doors, Estimate, Evidence, Office, Party, Person, Remarks, Settings};
use crate::ssh::HostKeys;

/// Longest text of criteria or comments.
const REMARKS_BYTES_MAX: u64 = 256 << 10;

/// The settings of a report in `lang`.
pub fn report_settings(config: &Config, lang: Lang) -> std::io::Result<Settings> {
    let read = |path: &Option<std::path::PathBuf>| path.as_deref().map_or(Ok(Vec::new()), paragraphs);
    Ok(Settings {
        call: call(config.profile),
        domain: config.domain.clone(),
        zone: config.zone.clone(),
        lang,
        events: config.events.clone(),
        var: config.paths.var.clone(),
        doors: doors(config, lang),
        limits: limits(config),
        period_seconds: u64::try_from(config.schedule.longest.as_secs()).unwrap_or(PERIOD_SECONDS),
        monitor: Some(config.monitor.availability(&config.zone)),
        office: office(config),
        remarks: Remarks {
            criteria: read(&config.office.report.criteria)?,
            comments: read(&config.office.report.comments)?,
        },
    })
}

/// The paragraphs of a text file: what empty lines part.
pub fn paragraphs(path: &Path) -> std::io::Result<Vec<String>> {
    let mut text = String::new();
    let named = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    File::open(path).and_then(|f| f.take(REMARKS_BYTES_MAX).read_to_string(&mut text)).map_err(named)?;
    let lines = text.replace('\r', "");
    let joined = lines.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(joined.filter(|p| !p.is_empty()).collect())
}

fn call(profile: Profile) -> Call {
    match profile {
        Profile::QuintanaRoo => Call::QuintanaRoo,
        Profile::Durango => Call::Durango,
        Profile::Ine => Call::Ine,
        Profile::NuevoLeon => Call::NuevoLeon,
        Profile::Tamaulipas => Call::Tamaulipas,
    }
}

fn doors(config: &Config, lang: Lang) -> Doors {
    let mut faults = Vec::new();
    let host_keys = match HostKeys::open(&config.paths.keys.join("host"), super::host_keys(config)) {
        Ok(keys) => keys.fingerprints(),
        Err(e) => {
            faults.push(e.text(lang));
            Vec::new()
        }
    };
    let trusted = match Keyring::load(&config.paths.keys.join("trusted"), &config.zone) {
        Ok(ring) => ring
            .keys()
            .iter()
            .map(|key| {
                let from = key
                    .from
                    .as_ref()
                    .map_or_else(|| lang.pick("cualquiera", "anywhere").to_owned(), ToString::to_string);
                let until = key
                    .expires
                    .map_or_else(String::new, |t| t.to_zoned(config.zone.clone()).date().to_string());
                (key.name.clone(), key.fingerprint.clone(), from, until)
            })
            .collect(),
        Err(e) => {
            faults.push(e.text(lang));
            Vec::new()
        }
    };
    let modules = config.rsync.modules.iter().map(|m| {
        let networks: Vec<String> = m.networks.iter().map(ToString::to_string).collect();
        (m.name.clone(), m.path.clone(), networks.join(", "))
    });
    let rsync_on = !(config.rsync.listen.is_empty() && config.rsync.tls_listen.is_empty());
    Doors {
        ssh: config.ssh.listen.clone(),
        users: config.ssh.users.clone(),
        paths: config.ssh.paths.iter().map(|(from, to)| (from.display().to_string(), to.clone())).collect(),
        rsync: config.rsync.listen.clone(),
        rsync_tls: config.rsync.tls_listen.clone(),
        modules: if rsync_on { modules.collect() } else { Vec::new() },
        https: config.https.listen.clone(),
        http: config.http_listen.clone(),
        base: config.site.base.clone(),
        cache: match config.site.cache {
            Cache::Direct => "direct",
            Cache::Cdn => "cdn",
            Cache::CdnPurged => "cdn-purged",
        }
        .to_owned(),
        host_keys,
        trusted,
        faults,
    }
}

/// Bounds that an institute may ask about.
fn limits(config: &Config) -> Vec<(&'static str, String)> {
    let (h, l) = (&config.https, &config.limits);
    let bytes = |n: u64| format!("{} MiB", n >> 20);
    vec![
        ("https.connections", h.connections.to_string()),
        ("https.connections-per-address", h.connections_per_address.to_string()),
        ("https.requests-per-address", format!("{}/s", h.requests)),
        ("ssh.connections", config.ssh.connections.to_string()),
        ("limits.package-size", bytes(l.package_size)),
        ("limits.unpacked-size", bytes(l.unpacked_size)),
        ("limits.entries", l.entries.to_string()),
        ("site.memory", bytes(config.site.memory)),
        ("release.keep", config.release.keep.to_string()),
        ("release.min-free", bytes(config.release.min_free)),
    ]
}

fn office(config: &Config) -> Office {
    let o = &config.office;
    let (d, i) = (&o.difusor, &config.institute);
    let difusor = Party {
        name: d.name.clone(),
        address: d.address.clone(),
        city: d.city.clone(),
        state: d.state.clone(),
        representative: d.representative.clone(),
        contact: d.contact.clone(),
        post: d.post.clone(),
        phone: d.phone.clone(),
        email: d.email.clone(),
        hours: d.hours.clone(),
        night_phone: d.night_phone.clone(),
        description: d.description.clone(),
        hosting: d.hosting.clone(),
        motives: d.motives.clone(),
        logo: d.logo.clone(),
    };
    let staff = o.staff.iter().map(|p| Person {
        name: p.name.clone(),
        post: p.post.clone(),
        phone: p.phone.clone(),
        email: p.email.clone(),
        hours: p.hours.clone(),
    });
    let evidence = o.evidence.iter().map(|e| Evidence {
        what: e.what.clone(),
        file: e.file.clone(),
        from: e.from,
        until: e.until,
    });
    let e = &o.estimate;
    Office {
        difusor,
        institute: Party {
            name: i.name.clone(),
            contact: i.person.clone(),
            phone: i.phone.clone(),
            night_phone: i.night_phone.clone(),
            email: i.email.clone(),
            hours: i.hours.clone(),
            ..Party::default()
        },
        staff: staff.collect(),
        evidence: evidence.collect(),
        estimate: Estimate {
            users: e.users.clone(),
            bandwidth: e.bandwidth.clone(),
            zones: e.zones.clone(),
            date: e.date,
        },
        addresses: d.addresses.clone(),
        ntp: d.ntp.clone(),
    }
}

/// The period of four of the five calls.
const PERIOD_SECONDS: u64 = 900;
