//! The serving half: site → HTTPS. Needs nothing of the receiving half but its store.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{StartFault, doing, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::durable::Dir;
use crate::release::Reader;
use crate::site::{Follower, Site, SiteEvent};
use crate::web::{Report, Server, WebEvent};

/// The serving half, up.
pub(super) struct Running {
    https: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    server: JoinHandle<()>,
    follower: Arc<Follower>,
}

/// Starts the half; the last good cut is served when this returns.
pub(super) async fn start(
    config: &Arc<Config>,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<Running, StartFault> {
    let releases = doing("var/releases", Dir::create(config.paths.var.join("releases")))?;
    let www = doing("www", Dir::create(&config.paths.www))?;
    let site = Site::new(settings::site(config), clock.clone());
    let reader = Reader::new(releases, www);
    let follower = tokio::task::block_in_place(|| site.follow(reader, report_site));
    let follower = Arc::new(doing("www/current", follower)?);
    let server =
        doing("https", Server::bind(settings::web(config), site, Report::to(report_web), stop.clone()))?;
    let (https, http) = (server.local_addrs(), server.redirect_addrs());
    Ok(Running { https, http, server: tokio::spawn(server.run()), follower })
}

impl Running {
    /// Where readers are served.
    pub(super) fn https(&self) -> &[SocketAddr] {
        &self.https
    }

    /// Where they are redirected.
    pub(super) fn http(&self) -> &[SocketAddr] {
        &self.http
    }

    /// What a publisher in this process calls after a swap.
    pub(super) fn nudge(&self) -> Box<dyn Fn() + Send + Sync> {
        let follower = Arc::clone(&self.follower);
        Box::new(move || follower.look())
    }

    /// Waits until the running answers are given.
    pub(super) async fn stopped(self) {
        if self.server.await.is_err() {
            tracing::error!("the site ended in disorder");
        }
    }
}

fn report_site(event: SiteEvent) {
    match event {
        SiteEvent::Shown { release, cut, files, took } => {
            tracing::info!(%release, cut = ?cut.map(|c| c.to_string()), files, took_ms = took.as_millis(), "readers see this");
        }
        SiteEvent::Kept { release, why } => {
            tracing::error!(release = ?release.map(|r| r.to_string()), why, "cannot be shown; readers still see what they saw");
        }
    }
}

fn report_web(event: WebEvent) {
    match event {
        WebEvent::CertificateShown { fingerprint, self_signed } => {
            tracing::info!(fingerprint, self_signed, "certificate")
        }
        WebEvent::CertificateRejected { why } => {
            tracing::error!(why, "certificate cannot be used; the last good one stays")
        }
    }
}
