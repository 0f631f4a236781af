//! The serving half: site → HTTPS. Needs nothing of the receiving half but its store.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receive::Serving;
use super::sockets::Sockets;
use super::{Reload, StartFault, doing, readers_socket, settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Answer, Asked, Ear, Readers, Request};
use crate::durable::Dir;
use crate::release::Reader;
use crate::sandbox::State;
use crate::site::{Follower, Preview, Site, SiteEvent};
use crate::stats;
use crate::web::{Gauge, Report, Server, WebConfig, WebEvent};

/// The serving half, up.
pub(super) struct Running {
    https: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    server: JoinHandle<()>,
    telling: JoinHandle<()>,
    log: Option<stats::Log>,
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
    reload: &Reload,
    sandbox: Option<State>,
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
    let log = access_log(config, clock);
    let web = WebConfig { sink: log.as_ref().map(stats::Log::sink), ..settings::web(config) };
    let server = Server::bind(web, (https, http), Arc::clone(&site), report, stop.clone());
    let server = doing("https", server)?;
    let knob = server.knob();
    reload.room(move |config| knob.set(settings::web(config).limits));
    let (https, http) = (server.local_addrs(), server.redirect_addrs());
    doing("var/run", Dir::create(config.paths.var.join("run")))?;
    let ear = doing("var/run/readers.sock", Ear::open(readers_socket(config)))?;
    let telling =
        tokio::spawn(tell(ear, server.gauge(), reload.clone(), sandbox, log.as_ref().map(stats::Log::desk)));
    Ok(Running { https, http, server: tokio::spawn(server.run()), telling, log, follower, site })
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
        if let Some(log) = self.log {
            // Every answer is given: what they leave is written and counted before the end.
            tokio::task::block_in_place(|| log.stop());
        }
        self.telling.abort();
    }
}

/// The access log, unless it is off. Where it cannot be opened readers are served all the same: who is not counted
/// is still a reader.
fn access_log(config: &Config, clock: &Clock) -> Option<stats::Log> {
    if !config.access_log.enabled {
        return None;
    }
    stats::Log::start(super::access_log(config), clock.clone())
        .inspect_err(|error| {
            tracing::error!(%error, "no access log and no statistics: see owner and mode of var/access and var/stats");
        })
        .ok()
}

/// Answers who asks how the readers fare, until the task is aborted.
async fn tell(ear: Ear, gauge: Gauge, reload: Reload, sandbox: Option<State>, desk: Option<stats::Desk>) {
    let (to, mut from) = mpsc::channel::<Asked>(ASKED_AT_ONCE);
    let answering = async {
        while let Some((request, back)) = from.recv().await {
            let answer = match request {
                Request::Readers => Answer::Readers(Box::new(Readers {
                    log_lost: desk.as_ref().map_or(0, stats::Desk::lost),
                    sandbox: sandbox.clone(),
                    ..readers(&gauge)
                })),
                Request::Traffic => traffic(desk.as_ref()).await,
                Request::Settle => settled(desk.as_ref()).await,
                Request::Reload => reload.asked().await,
                _ => Answer::Refused { message: "only readers are known here".to_owned(), code: None },
            };
            // Who asked may have gone away.
            let _ = back.send(answer);
        }
    };
    tokio::join!(ear.hear(to), answering);
}

async fn traffic(desk: Option<&stats::Desk>) -> Answer {
    let Some(desk) = desk else { return no_log() };
    desk.traffic().await.map_or_else(no_log, |traffic| Answer::Traffic(Box::new(traffic)))
}

async fn settled(desk: Option<&stats::Desk>) -> Answer {
    let Some(desk) = desk else { return no_log() };
    desk.settle().await.map_or_else(no_log, |()| Answer::Done { message: String::new() })
}

fn no_log() -> Answer {
    Answer::Refused { message: "no access log is written".to_owned(), code: None }
}

fn readers(gauge: &Gauge) -> Readers {
    let certificate = gauge.certificate();
    Readers {
        connections: gauge.connections(),
        sandbox: None,
        counts: gauge.counts().all().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        certificate: certificate.fingerprint,
        certificate_ends: certificate.ends,
        certificate_rejected: certificate.rejected,
        ..Readers::default()
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
