//! The HTTPS door: what readers, browsers, caches and the institute's monitor talk to.
//!
//! Owns the listeners, TLS, the clocks and caps of connections, and HTTP. Imports `site`,
//! `stats`, `durable`, `clock` and `model`. Changes nothing anywhere but its own self-signed certificate.
//!
//! The flow of a request: `listener` accepts and asks `admission` → `connection` shakes hands
//! and chooses the protocol by ALPN → `http1` reads heads where they lie (`head`), `http2` lends hyper the connection →
//! `front` takes one snapshot of the site and finds the path → `files` answers from memory with a block
//! that was composed before (`reply`); what is not a file goes through the router of `reserved`. After
//! any error the connection ends and every other goes on; a failed `accept` ends nothing.

mod acme;
mod admission;
mod body;
mod certificate;
mod challenge;
mod condition;
mod config;
mod connection;
mod counts;
mod date;
mod fields;
mod files;
mod front;
mod head;
mod headers;
mod http1;
mod http2;
mod listener;
mod meter;
mod negotiate;
mod observe;
mod pace;
mod path;
mod range;
mod redirect;
mod reply;
mod reserved;
mod secure;
#[cfg(test)]
mod tests;
mod tickets;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::site::Site;

use acme::Acme;
pub use acme::AcmeConfig;
pub use acme::CERTIFICATE as ACME_CERTIFICATE;
use admission::Admission;
use certificate::Certificates;
pub use certificate::{CertificateError, Facts, SELF_SIGNED_CHAIN, Shown, inspect};
pub use config::{
    CachePolicy, CertificateSource, Challenge, Cors, Disguised, Fallback, OverRate, Rate, Report, WebConfig,
    WebEvent, WebLimits,
};
use connection::{Door, Shared};
pub use counts::Counts;
use date::Dates;
use front::Front;
use listener::{Listener, listen};
use redirect::Redirect;
use tickets::Tickets;

/// The server, bound to its addresses and not yet serving.
pub struct Server {
    site: Vec<Listener>,
    plain: Vec<Listener>,
    front: Arc<Front>,
    tls: Arc<rustls::ServerConfig>,
    certificates: Arc<Certificates>,
    tickets: Option<Arc<Tickets>>,
    acme: Option<Acme>,
    redirect: Arc<Redirect>,
    shared: Arc<Shared>,
}

impl Server {
    /// Binds the configured addresses. Sockets of the site and of the redirection that somebody else
    /// bound, such as systemd, take their place. Must be called within a tokio runtime.
    pub fn bind(
        config: WebConfig,
        (https, http): (Vec<TcpListener>, Vec<TcpListener>),
        site: Arc<Site>,
        report: Report,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let provider = tls::provider();
        let now = site.clock().now();
        let certificate = config.certificate.clone();
        let tickets = tickets(&config.certificate, &site);
        let certificates =
            Certificates::load(certificate, &config.domain, Arc::clone(&provider), now, report.clone())
                .map_err(io::Error::other)?;
        let acme = acme(&config, &site, &certificates, report);
        let sink = config.sink.clone();
        let challenges = Arc::clone(certificates.challenges());
        let tls =
            tls::settings(provider, Arc::clone(&certificates), tickets.clone()).map_err(io::Error::other)?;
        let (https, http) = (listeners(&config.https, https)?, listeners(&config.http, http)?);
        let port = config.public_port.or_else(|| https.first().map(|l| l.address().port())).unwrap_or(443);
        let limits = config.limits.clone();
        let total = listener::connections_max(limits.connections);
        let admission = Admission::new(total, &limits);
        let dates = Dates::new(site.clock().clone());
        Ok(Self {
            site: https,
            plain: http,
            front: Arc::new(Front::new(site, &config)),
            tls: Arc::new(tls),
            certificates,
            tickets,
            acme,
            redirect: Arc::new(Redirect { domain: config.domain, port, challenges }),
            shared: Arc::new(Shared {
                limits: ArcSwap::from_pointee(limits),
                admission,
                stop,
                is_stopping: AtomicBool::new(false),
                dates,
                kill: CancellationToken::new(),
                sink,
            }),
        })
    }

    /// Where the site is, in the order of the configuration.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.site.iter().map(Listener::address).collect()
    }

    /// Where plain HTTP is redirected.
    pub fn redirect_addrs(&self) -> Vec<SocketAddr> {
        self.plain.iter().map(Listener::address).collect()
    }

    /// SHA-256 of the certificate that is shown now, as browsers write it.
    pub fn fingerprint(&self) -> String {
        self.certificates.fingerprint()
    }

    /// How the readers fare; goes on counting while the server runs.
    pub fn gauge(&self) -> Gauge {
        let (admission, certificates) = (Arc::clone(&self.shared.admission), Arc::clone(&self.certificates));
        Gauge { admission, certificates }
    }

    /// Sets other limits while the server runs.
    pub fn knob(&self) -> Knob {
        Knob(Arc::clone(&self.shared))
    }

    /// Serves until the stop, then lets running responses end within the drain time.
    pub async fn run(self) {
        let Self { site, plain, front, tls, certificates, tickets, acme, redirect, shared } = self;
        let (connections, mut loops) = (TaskTracker::new(), JoinSet::new());
        for listener in site {
            let door = Door::Site(Arc::clone(&front), Arc::clone(&tls));
            loops.spawn(listener.run(door, Arc::clone(&shared), connections.clone()));
        }
        for listener in plain {
            let door = Door::Redirect(Arc::clone(&redirect));
            loops.spawn(listener.run(door, Arc::clone(&shared), connections.clone()));
        }
        if let Some(tickets) = tickets {
            loops.spawn(tickets.keep(shared.stop.clone()));
        }
        if let Some(acme) = acme {
            loops.spawn(acme.keep(shared.stop.clone()));
        }
        loops.spawn(certificates.watch(shared.limits.load().certificate_poll, shared.stop.clone()));
        let admission = Arc::clone(&shared.admission);
        loops.spawn(counts::tell(Arc::clone(&admission.counts), shared.stop.clone()));
        loops.spawn(admission::pulse(admission, shared.limits.load().overload_lag, shared.stop.clone()));
        shared.stop.cancelled().await;
        shared.is_stopping.store(true, Ordering::Relaxed);
        while loops.join_next().await.is_some() {}
        connections.close();
        if tokio::time::timeout(shared.limits.load().drain, connections.wait()).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "connections are cut at the end of the drain time"
            );
            shared.kill.cancel();
            connections.wait().await;
        }
    }
}

/// Other limits for a running server.
#[derive(Clone)]
pub struct Knob(Arc<Shared>);

impl Knob {
    /// These hold from now on: the paces for everybody, the clocks for who comes next.
    pub fn set(&self, limits: WebLimits) {
        self.0.admission.set(listener::connections_max(limits.connections), &limits);
        self.0.limits.store(Arc::new(limits));
    }
}

/// What can be read off a running server.
#[derive(Clone, Debug)]
pub struct Gauge {
    admission: Arc<Admission>,
    certificates: Arc<Certificates>,
}

impl Gauge {
    /// Connections at this moment.
    pub fn connections(&self) -> usize {
        self.admission.open()
    }

    /// What was taken, turned away and cut.
    pub fn counts(&self) -> &Counts {
        &self.admission.counts
    }

    /// The certificate that is shown.
    pub fn certificate(&self) -> Shown {
        self.certificates.shown()
    }
}

/// The ticket keys that this host shares; without them a restart costs readers full handshakes.
fn tickets(source: &CertificateSource, site: &Site) -> Option<Arc<Tickets>> {
    let folder = source.folder();
    let opened = Tickets::open(folder.to_owned(), site.clock().clone());
    opened
        .inspect_err(|error| tracing::warn!(%error, folder = %folder.display(), "no shared ticket keys"))
        .ok()
}

/// The orders for the certificate, where an ACME server gives it.
fn acme(config: &WebConfig, site: &Site, certificates: &Certificates, report: Report) -> Option<Acme> {
    let CertificateSource::Acme { from, folder } = &config.certificate else { return None };
    Some(Acme {
        config: from.clone(),
        domain: config.domain.clone(),
        folder: folder.clone(),
        clock: site.clock().clone(),
        challenges: Arc::clone(certificates.challenges()),
        report,
    })
}

/// The inherited sockets, or new ones at these addresses.
fn listeners(addresses: &[SocketAddr], inherited: Vec<TcpListener>) -> io::Result<Vec<Listener>> {
    if inherited.is_empty() {
        return addresses.iter().map(|a| listen(*a).and_then(Listener::new)).collect();
    }
    inherited.into_iter().map(Listener::new).collect()
}

/// TLS with the certificate of the site, for another door of the house. The certificate is
/// renewed until `stop`; must be called within a tokio runtime.
pub fn tls_of_the_site(
    source: CertificateSource,
    domain: &str,
    now: jiff::Timestamp,
    report: Report,
    stop: CancellationToken,
) -> io::Result<Arc<rustls::ServerConfig>> {
    let provider = tls::provider();
    let certificates = Certificates::load(source, domain, Arc::clone(&provider), now, report);
    let certificates = certificates.map_err(io::Error::other)?;
    let mut tls = tls::settings(provider, Arc::clone(&certificates), None).map_err(io::Error::other)?;
    // The names of HTTP mean nothing there.
    tls.alpn_protocols.clear();
    tokio::spawn(certificates.watch(WebLimits::default().certificate_poll, stop));
    Ok(Arc::new(tls))
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("https", &self.local_addrs())
            .field("http", &self.redirect_addrs())
            .finish()
    }
}
