//! From the configuration to what each room needs to know.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use crate::archive;
use crate::clock::Clock;
use crate::config::{self, Cache, Config};
use crate::drop::DropConfig;
use crate::package::{BaseTag, GzipJson, Identity, Increments, Rules};
use crate::site::SiteConfig;
use crate::ssh;
use crate::ssh::exec::{Scripts, Setup, Sudo};
use crate::ssh::program::Context;
use crate::web::{
    AcmeConfig, CachePolicy, CertificateSource, Challenge, Cors, Fallback, OverRate, Rate, WebConfig,
    WebLimits,
};

/// How long a second push to the site waits for the first.
const TREE_WAIT: Duration = Duration::from_secs(30);

/// What a package must satisfy.
pub fn rules(config: &Config) -> Rules {
    let package = &config.package;
    let defaults = Rules::default();
    Rules {
        limits: limits(config),
        names: package.names.clone(),
        required: package.required.clone(),
        base: if package.base_tag { BaseTag::Required } else { BaseTag::NotAsked },
        increments: if package.increments { Increments::Taken } else { Increments::Refused },
        identity: package.identity.iter().map(identity).collect(),
        json_bytes: if package.json { defaults.json_bytes } else { 0 },
        gzip_json: GzipJson::Accept,
        zone: config.zone.clone(),
        skew: SignedDuration::try_from(package.future_skew).unwrap_or(defaults.skew),
        period: config.schedule.longest,
    }
}

/// What the drop needs to know.
pub(super) fn drop_room(config: &Config, clock: &Clock) -> DropConfig {
    DropConfig {
        aliases: config.ssh.paths.clone(),
        lang: config.lang,
        package_names: config.package.names.clone(),
        limits: limits(config),
        visible: config.drop.visible,
        tree_wait: if config.drop.tree_waits { TREE_WAIT } else { Duration::ZERO },
        reserve_bytes: config.release.min_free,
        settle: config.drop.settle,
        late_sums: config.drop.late_sums,
        partial_bytes: config.rsync.partial,
        ..DropConfig::new(clock.now())
    }
}

/// Bounds of the SSH door.
pub(super) fn door(config: &Config) -> ssh::Limits {
    let own = &config.ssh;
    ssh::Limits {
        unauthenticated_max: own.connections,
        unauthenticated_per_source_max: own.connections_per_address,
        startups: own.early_drop,
        startups_rate: own.early_drop_rate,
        connections_per_second: own.new_connections,
        connections_burst: own.new_connections_burst,
        sessions_per_source_max: own.sessions_per_address,
        grace: own.grace,
        idle: own.idle,
        drain: own.stop_grace,
        ..ssh::Limits::default()
    }
}

/// Which host keys the SSH door has.
pub fn host_keys(config: &Config) -> ssh::Kinds {
    ssh::Kinds { ecdsa: config.ssh.ecdsa_host_key || config.ssh.legacy, rsa: config.ssh.legacy }
}

/// What command lines may do.
pub fn commands(config: &Config) -> Setup {
    let context = Context { lang: config.lang, verdict_wait: config.ssh.verdict_wait };
    Setup {
        zone: config.zone.clone(),
        limits: limits(config),
        scripts: if config.ssh.scripts { Scripts::Read } else { Scripts::Refuse },
        sudo: if config.ssh.sudo { Sudo::Ignore } else { Sudo::Refuse },
        rsync: Some(super::rsync::server(config)),
        ..Setup::new(context)
    }
}

/// How the live cut is held.
pub(super) fn site(config: &Config) -> SiteConfig {
    SiteConfig { memory_bytes: config.site.memory, base: config.site.base.clone(), ..SiteConfig::default() }
}

/// How it is served.
pub(super) fn web(config: &Config) -> WebConfig {
    let folder = config.paths.var.join("tls");
    let https = &config.https;
    let defaults = WebLimits::default();
    WebConfig {
        https: https.listen.clone(),
        http: config.http_listen.clone(),
        domain: config.domain.clone(),
        certificate: certificate(config, &folder),
        lang: config.lang,
        cache: cache(&config.site),
        fallback: if config.site.fallback { Fallback::Index } else { Fallback::NotFound },
        cors: if config.site.cors { Cors::Any } else { Cors::SameOrigin },
        hsts: (!https.hsts.is_zero()).then_some(https.hsts),
        frame_ancestors: https.frame_ancestors.clone(),
        limits: WebLimits {
            connections: https.connections,
            connections_per_address: https.connections_per_address,
            new_connections: rate(https.new_connections, https.new_connections_burst),
            requests: rate(https.requests, https.requests_burst),
            over_rate: match https.over_rate {
                config::OverRate::Log => OverRate::Log,
                config::OverRate::Delay => OverRate::Delay,
                config::OverRate::Refuse => OverRate::Refuse,
            },
            exempt: https.exempt.clone(),
            overload_lag: https.overload_lag,
            handshake: https.handshake_time,
            head: https.head_time,
            idle: https.idle,
            idle_http2: https.idle_http2,
            progress: https.progress_time,
            progress_bytes: https.progress_bytes,
            drain: https.stop_grace,
            ..defaults
        },
        ..WebConfig::new(folder)
    }
}

fn certificate(config: &Config, folder: &Path) -> CertificateSource {
    let folder = folder.to_owned();
    match (&config.https.certificate, &config.acme) {
        (Some((chain, key)), _) => {
            CertificateSource::Files { chain: chain.clone(), key: key.clone(), folder }
        }
        (None, Some(acme)) => CertificateSource::Acme {
            from: AcmeConfig {
                directory: acme.directory.clone(),
                contact: acme.contact.clone(),
                challenge: if acme.tls { Challenge::TlsAlpn01 } else { Challenge::Http01 },
                root: acme.root.clone(),
            },
            folder,
        },
        (None, None) => CertificateSource::SelfSigned { folder },
    }
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second, burst }
}

fn cache(site: &config::Site) -> CachePolicy {
    let edge = match site.cache {
        Cache::Direct => return CachePolicy::Direct,
        Cache::Cdn => site.edge_max_age,
        Cache::CdnPurged => site.edge_max_age_purged,
    };
    CachePolicy::Edge {
        browser: site.browser_max_age,
        edge,
        stale: site.edge_stale,
        on_error: site.edge_stale_on_error,
    }
}

/// Absolute bounds of one package.
pub(super) fn limits(config: &Config) -> archive::Limits {
    let limits = &config.limits;
    archive::Limits {
        package_bytes: limits.package_size,
        unpacked_bytes: limits.unpacked_size,
        file_bytes: limits.file_size,
        entries: limits.entries,
        depth: limits.depth,
        name_bytes: limits.name_length,
        ..archive::Limits::default()
    }
}

fn identity(one: &config::Identity) -> Identity {
    let expected = match &one.value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Identity { file: one.file.clone(), pointer: one.pointer.clone(), expected }
}
