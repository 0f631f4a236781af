//! The serving half: site → HTTPS. Needs nothing of the receiving half but its store.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receive::Serving;
use super::sockets::Sockets;
use super::{StartFault, doing, readers_socket, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Answer, Asked, Ear, Readers, Request};
use crate::durable::Dir;
use crate::release::Reader;
use crate::site::{Follower, Preview, Site, SiteEvent};
use crate::web::{Gauge, Report, Server, WebEvent};

/// The serving half, up.
pub(super) struct Running {
    https: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    server: JoinHandle<()>,
    telling: JoinHandle<()>,
    follower: Arc<Follower>,
    site: Arc<Site>,
}

/// Starts the half; the last good cut is served when this returns.
pub(super) async fn start(
    config: &Arc<Config>,
    clock: &Clock,
    stop: &CancellationToken,
    sockets: &mut Sockets,
    told: mpsc::Sender<WebEvent>,
) -> Result<Running, StartFault> {
    let releases = doing("var/releases", Dir::create(config.paths.var.join("releases")))?;
    let www = doing("www", Dir::create(&config.paths.www))?;
    let site = Site::new(settings::site(config), clock.clone());
    let reader = Reader::new(releases, www);
    let follower = tokio::task::block_in_place(|| site.follow(reader, report_site));
    let follower = Arc::new(doing("www/current", follower)?);
    let (https, http) = (sockets.take("https"), sockets.take("http"));
    let report = Report::to(move |event: WebEvent| {
        report_web(&event);
        // Nobody listens where the ledger is another process's: the log and `status` have it.
        let _ = told.try_send(event);
    });
    let server = Server::bind(settings::web(config), (https, http), Arc::clone(&site), report, stop.clone());
    let server = doing("https", server)?;
    let (https, http) = (server.local_addrs(), server.redirect_addrs());
    doing("var/run", Dir::create(config.paths.var.join("run")))?;
    let ear = doing("var/run/readers.sock", Ear::open(readers_socket(config)))?;
    let telling = tokio::spawn(tell(ear, server.gauge()));
    Ok(Running { https, http, server: tokio::spawn(server.run()), telling, follower, site })
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

    /// What a publisher in this process knows of this half.
    pub(super) fn serving(&self) -> Serving {
        let (follower, site) = (Arc::clone(&self.follower), Arc::clone(&self.site));
        Serving {
            swapped: Box::new(move || follower.look()),
            witnesses: Arc::new(move || Box::new(Preview::new(Arc::clone(&site)))),
        }
    }

    /// Waits until the running answers are given.
    pub(super) async fn stopped(self) {
        if self.server.await.is_err() {
            tracing::error!("the site ended in disorder");
        }
        self.telling.abort();
    }
}

/// Answers who asks how the readers fare, until the task is aborted.
async fn tell(ear: Ear, gauge: Gauge) {
    let (to, mut from) = mpsc::channel::<Asked>(ASKED_AT_ONCE);
    let answering = async {
        while let Some((request, back)) = from.recv().await {
            let answer = match request {
                Request::Readers => Answer::Readers(Box::new(readers(&gauge))),
                _ => Answer::Refused { message: "only readers are known here".to_owned(), code: None },
            };
            // Who asked may have gone away.
            let _ = back.send(answer);
        }
    };
    tokio::join!(ear.hear(to), answering);
}

fn readers(gauge: &Gauge) -> Readers {
    let certificate = gauge.certificate();
    Readers {
        connections: gauge.connections(),
        counts: gauge.counts().all().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        certificate: certificate.fingerprint,
        certificate_ends: certificate.ends,
        certificate_rejected: certificate.rejected,
    }
}

/// Questions that wait.
const ASKED_AT_ONCE: usize = 4;

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

fn report_web(event: &WebEvent) {
    match event {
        WebEvent::CertificateShown { fingerprint, until, self_signed } => {
            tracing::info!(fingerprint, ?until, self_signed, "certificate");
        }
        WebEvent::RenewalFailed { why, again_in } => {
            tracing::error!(why, again_in_s = again_in.as_secs(), "the ACME server gave no certificate");
        }
        WebEvent::CertificateRejected { why } => {
            tracing::error!(why, "certificate cannot be used; the last good one stays")
        }
    }
}
