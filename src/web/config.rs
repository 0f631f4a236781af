//! What the room has to be told.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::acme::{AcmeConfig, CERTIFICATE};
use crate::model::Lang;
use crate::stats::Sink;

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
    pub cache: CachePolicy,
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
    /// Where answered requests are told; none keeps no log.
    pub sink: Option<Sink>,
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
            cache: CachePolicy::Direct,
            fallback: Fallback::Index,
            cors: Cors::SameOrigin,
            disguised: Disguised::Encoded,
            hsts: None,
            frame_ancestors: Vec::new(),
            limits: WebLimits::default(),
            sink: None,
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
    /// One that an ACME server gives us, kept in this folder; one of our own making until then.
    Acme {
        /// Which server, and how.
        from: AcmeConfig,
        /// Where.
        folder: PathBuf,
    },
    /// One of our own making, kept in this folder.
    SelfSigned {
        /// Where.
        folder: PathBuf,
    },
}

impl CertificateSource {
    /// Where we keep what is ours.
    pub(super) fn folder(&self) -> &Path {
        let (Self::Files { folder, .. } | Self::Acme { folder, .. } | Self::SelfSigned { folder }) = self;
        folder
    }

    /// The chain and the key that somebody, or we ourselves, put there.
    pub(super) fn files(&self) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::Files { chain, key, .. } => Some((chain.clone(), key.clone())),
            // One file: chain and key change together.
            Self::Acme { folder, .. } => Some((folder.join(CERTIFICATE), folder.join(CERTIFICATE))),
            Self::SelfSigned { .. } => None,
        }
    }
}

/// How an ACME server is shown that the name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// A file on the plain port, which must be reached as 80. Works behind a distribution network.
    #[default]
    Http01,
    /// A certificate on the port of the site, which must be reached as 443.
    TlsAlpn01,
}

/// Who keeps copies in front of us, and for how long they may be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// Nobody but browsers: everything that changes is asked for again.
    #[default]
    Direct,
    /// A distribution network. Copies of what changes with the cut are held
    Edge {
        /// by the reader's browser,
        browser: Duration,
        /// by the network: until it is purged, or for as long as a cut may be seen late,
        edge: Duration,
        /// after that for one more answer while the network asks again,
        stale: Duration,
        /// and when we cannot be reached.
        on_error: Duration,
    },
}

impl CachePolicy {
    /// `Cache-Control` of what changes with the cut (RFC 9111 §5.2.2, RFC 5861).
    pub(super) fn live(self) -> String {
        let Self::Edge { browser, edge, stale, on_error } = self else { return "no-cache".to_owned() };
        format!(
            "public, max-age={}, s-maxage={}, stale-while-revalidate={}, stale-if-error={}",
            browser.as_secs(),
            edge.as_secs(),
            stale.as_secs(),
            on_error.as_secs()
        )
    }
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
    /// Connections at once. Above fifteen sixteenths of it strangers are told to come back.
    pub connections: usize,
    /// Connections at once of one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// New connections of one address.
    pub new_connections: Rate,
    /// Requests of one address.
    pub requests: Rate,
    /// What becomes of a request above that.
    pub over_rate: OverRate,
    /// Networks that no bound per address is for, and no shedding.
    pub exempt: Vec<IpNet>,
    /// A runtime this late with its timers sheds the load of strangers; zero never does.
    pub overload_lag: Duration,
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

/// So many a second in the long run, and so many at once after a rest. Zero a second is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// What becomes of a request above the rate of its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverRate {
    /// It is counted and answered.
    Log,
    /// It waits for its turn, a second at most; then 429.
    Delay,
    /// 429 with Retry-After.
    #[default]
    Refuse,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 64,
            new_connections: Rate { per_second: 50, burst: 200 },
            // A page of a results site asks for thirty to sixty things, and many readers stand
            // behind one address of a telephone company.
            requests: Rate { per_second: 200, burst: 2000 },
            over_rate: OverRate::Refuse,
            // Whoever is on this machine is a proxy or a monitor of ours, and stands for many.
            exempt: ["127.0.0.0/8", "::1/128"].iter().filter_map(|n| n.parse().ok()).collect(),
            overload_lag: Duration::from_secs(1),
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
        /// When it ends.
        until: Option<Timestamp>,
        /// Whether it is one of our own making.
        self_signed: bool,
    },
    /// The ACME server gave no certificate: the last good one stays.
    RenewalFailed {
        /// Why.
        why: String,
        /// When it is asked again.
        again_in: Duration,
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
