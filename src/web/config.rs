//! What the room has to be told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::Lang;

/// Settings of the room.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Addresses of the site.
    pub https: Vec<SocketAddr>,
    /// Addresses that only redirect to HTTPS.
    pub http: Vec<SocketAddr>,
    /// The site's name; empty where it has none and is reached by any.
    pub domain: String,
    /// The port that readers reach HTTPS on, where it is not the one listened on.
    pub public_port: Option<u16>,
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// Language of our own pages.
    pub lang: Lang,
    /// Who keeps copies in front of us.
    pub cache: CacheProfile,
    /// What a path without extension gets that is no file.
    pub fallback: Fallback,
    /// Whether scripts of other portals may read JSON and CSV.
    pub cors: Cors,
    /// How gzip bytes named `.json` are announced.
    pub disguised: Disguised,
    /// `Strict-Transport-Security`, where a real certificate stands behind it.
    pub hsts: Option<Duration>,
    /// Origins that may frame the site; empty lets any (INE I.e, Tamaulipas I.e).
    pub frame_ancestors: Vec<String>,
    /// Bounds.
    pub limits: WebLimits,
}

impl WebConfig {
    /// The defaults, with a self-signed certificate kept in `keys`.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        Self {
            https: Vec::new(),
            http: Vec::new(),
            domain: String::new(),
            public_port: None,
            certificate: CertificateSource::SelfSigned { folder: keys.into() },
            lang: Lang::Es,
            cache: CacheProfile::Direct,
            fallback: Fallback::Index,
            cors: Cors::SameOrigin,
            disguised: Disguised::Encoded,
            hsts: None,
            frame_ancestors: Vec::new(),
            limits: WebLimits::default(),
        }
    }
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files that somebody else renews.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// The leaf's private key.
        key: PathBuf,
        /// Where a self-signed one is kept for as long as these cannot be read.
        folder: PathBuf,
    },
    /// One of our own making, kept in this folder.
    SelfSigned {
        /// Where.
        folder: PathBuf,
    },
}

/// Who keeps copies in front of us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheProfile {
    /// Nobody but browsers: everything that changes is asked for again.
    #[default]
    Direct,
    /// A distribution network that is not told of swaps: 40 s at most (Durango allows a minute).
    Cdn,
    /// A distribution network that is purged at each swap.
    CdnPurged,
}

/// What a path without extension gets that is no file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// The nearest index.html, if HTML is asked for: applications that route by path.
    #[default]
    Index,
    /// 404.
    NotFound,
}

/// Whether scripts of other portals may read JSON and CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// They may not.
    #[default]
    SameOrigin,
    /// They may.
    Any,
}

/// How gzip bytes under another name are announced (F16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disguised {
    /// As the named type with `Content-Encoding: gzip`: the publisher's own way.
    #[default]
    Encoded,
    /// As `application/gzip`.
    Octets,
}

/// Bounds of what a peer may take. The times are clocks of one connection.
#[derive(Clone, Debug)]
pub struct WebLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// Networks without the per-address bound.
    pub exempt: Vec<IpNet>,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Between two requests over HTTP/1.
    pub idle: Duration,
    /// Between two requests over HTTP/2, where one connection serves a whole visit.
    pub idle_http2: Duration,
    /// A response must move [`WebLimits::progress_bytes`] in each of these.
    pub progress: Duration,
    /// See [`WebLimits::progress`].
    pub progress_bytes: u64,
    /// Time that running responses get when the server stops.
    pub drain: Duration,
    /// How often certificate files are looked at.
    pub certificate_poll: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 64,
            // Whoever is on this machine is a proxy or a monitor of ours, and stands for many.
            exempt: ["127.0.0.0/8", "::1/128"].iter().filter_map(|n| n.parse().ok()).collect(),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            idle_http2: Duration::from_secs(300),
            progress: Duration::from_secs(30),
            progress_bytes: 8 * 1024,
            drain: Duration::from_secs(10),
            certificate_poll: Duration::from_secs(1),
        }
    }
}

/// Something the operator or the record may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebEvent {
    /// Readers are shown this certificate from now on.
    CertificateShown {
        /// SHA-256 of the leaf, as colon-separated hexadecimal.
        fingerprint: String,
        /// Whether it is one of our own making.
        self_signed: bool,
    },
    /// Certificate files that cannot be used: the last good one stays.
    CertificateRejected {
        /// Why.
        why: String,
    },
}

/// Called with each event, from the server's tasks.
#[derive(Clone)]
pub struct Report(Arc<dyn Fn(WebEvent) + Send + Sync>);

impl Report {
    /// A report that goes to this function.
    pub fn to(sink: impl Fn(WebEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// A report that goes nowhere.
    pub fn silent() -> Self {
        Self::to(|_| {})
    }

    pub(super) fn tell(&self, event: WebEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}
