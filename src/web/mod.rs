//! The HTTPS door: what readers, browsers, caches and the institute's monitor talk to.
//!
//! Owns the listeners, TLS, the clocks and caps of connections, and HTTP. Imports `site`,
//! `durable`, `clock` and `model`. Changes nothing anywhere but its own self-signed certificate.
//!
//! The flow of a request: `listener` accepts and asks `admission` → `connection` shakes hands
//! and chooses the protocol by ALPN → `front` takes one snapshot of the site and finds the path →
//! `files` answers from memory; what is not a file goes through the router of `reserved`. After any
//! error the connection ends and every other goes on; a failed `accept` ends nothing.

mod admission;
mod body;
mod certificate;
mod condition;
mod config;
mod connection;
mod files;
mod front;
mod headers;
mod listener;
mod meter;
mod negotiate;
mod path;
mod range;
mod redirect;
mod reserved;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::site::Site;

use admission::Admission;
pub use admission::Counts;
use certificate::Certificates;
pub use certificate::SELF_SIGNED_CHAIN;
pub use config::{
    CacheProfile, CertificateSource, Cors, Disguised, Fallback, Report, WebConfig, WebEvent, WebLimits,
};
use connection::{Door, Shared};
use front::Front;
use listener::{Listener, listen};
use redirect::Redirect;

/// The server, bound to its addresses and not yet serving.
pub struct Server {
    site: Vec<Listener>,
    plain: Vec<Listener>,
    front: Arc<Front>,
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    redirect: Arc<Redirect>,
    shared: Shared,
}

impl Server {
    /// Binds the configured addresses. Must be called within a tokio runtime.
    pub fn bind(
        config: WebConfig,
        site: Arc<Site>,
        report: Report,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let open =
            |addresses: &[SocketAddr]| addresses.iter().map(|a| listen(*a)).collect::<io::Result<Vec<_>>>();
        let (https, http) = (open(&config.https)?, open(&config.http)?);
        Self::with_listeners(config, https, http, site, report, stop)
    }

    /// Serves on sockets that somebody else bound, such as systemd.
    pub fn with_listeners(
        config: WebConfig,
        https: Vec<TcpListener>,
        http: Vec<TcpListener>,
        site: Arc<Site>,
        report: Report,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let provider = tls::provider();
        let now = site.clock().now();
        let certificate = config.certificate.clone();
        let certificates =
            Certificates::load(certificate, &config.domain, Arc::clone(&provider), now, report)
                .map_err(io::Error::other)?;
        let tls = tls::settings(provider, Arc::clone(&certificates)).map_err(io::Error::other)?;
        let adopt = |sockets: Vec<TcpListener>| {
            sockets.into_iter().map(Listener::new).collect::<io::Result<Vec<_>>>()
        };
        let (https, http) = (adopt(https)?, adopt(http)?);
        let port = config.public_port.or_else(|| https.first().map(|l| l.address().port())).unwrap_or(443);
        let limits = config.limits.clone();
        let total = listener::connections_max(limits.connections);
        let admission = Admission::new(total, limits.connections_per_address, limits.exempt.clone());
        Ok(Self {
            site: https,
            plain: http,
            front: Arc::new(Front::new(site, &config)),
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            certificates,
            redirect: Arc::new(Redirect { domain: config.domain, port }),
            shared: Shared { limits: Arc::new(limits), admission, stop, kill: CancellationToken::new() },
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

    /// What was taken, turned away and cut; goes on counting while the server runs.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.admission.counts)
    }

    /// Serves until the stop, then lets running responses end within the drain time.
    pub async fn run(self) {
        let Self { site, plain, front, acceptor, certificates, redirect, shared } = self;
        let (connections, mut loops) = (TaskTracker::new(), JoinSet::new());
        for listener in site {
            let door = Door::Site(Arc::clone(&front), acceptor.clone());
            loops.spawn(listener.run(door, shared.clone(), connections.clone()));
        }
        for listener in plain {
            let door = Door::Redirect(Arc::clone(&redirect));
            loops.spawn(listener.run(door, shared.clone(), connections.clone()));
        }
        loops.spawn(certificates.watch(shared.limits.certificate_poll, shared.stop.clone()));
        shared.stop.cancelled().await;
        while loops.join_next().await.is_some() {}
        connections.close();
        if tokio::time::timeout(shared.limits.drain, connections.wait()).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "connections are cut at the end of the drain time"
            );
            shared.kill.cancel();
            connections.wait().await;
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("https", &self.local_addrs())
            .field("http", &self.redirect_addrs())
            .finish()
    }
}
