//! Is the page alive as the institute's monitor sees it, and under a certificate that lasts?

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Certificate, Client};

use super::answer::{Answer, Topic, Verdict};
use super::{Scene, hours, names};
use crate::web;

/// An operator renews within this.
const RENEWED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// An ACME client that has not renewed by now does not work: servers ask for it at a third of the life.
const ACME_RENEWED: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Bytes of the page that are looked at for its tag.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// It is for our name, browsers trust it, and it outlives the duty to show results (T-25, T-17).
pub(super) fn certificate(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let (config, tls) = (scene.config, scene.config.paths.var.join("tls"));
    if config.https.listen.is_empty() {
        let (es, en) = ("difusor no sirve HTTPS aquí", "difusor serves no HTTPS here");
        return answers.push(Answer::of(Topic::Certificate, Verdict::Unknown, es, en));
    }
    if let Some((chain, key)) = &config.https.certificate {
        return answers.push(judged(scene, chain, key, false));
    }
    if config.acme.is_some() {
        let pair = tls.join(web::ACME_CERTIFICATE);
        return answers.push(match pair.exists() {
            true => judged(scene, &pair, &pair, true),
            false => Answer::of(
                Topic::Certificate,
                Verdict::Attention,
                "todavía no lo ha dado el servidor ACME: se pide al arrancar el servicio",
                "the ACME server has not given one yet: it is asked for when the service starts",
            )
            .todo(
                "arranque el servicio con el puerto 80 (o 443) abierto y vea difusor status",
                "start the service with port 80 (or 443) open and look at difusor status",
            ),
        });
    }
    answers.push(
        Answer::of(
            Topic::Certificate,
            Verdict::Fault,
            "es uno propio, sin autoridad: los navegadores y el monitor del instituto lo rechazarán",
            "it is self-signed: browsers and the institute's monitor will refuse it",
        )
        .todo(
            "indique https.certificate y https.key, o un servidor en acme.directory",
            "give https.certificate and https.key, or a server in acme.directory",
        ),
    );
}

fn judged(scene: &Scene<'_>, chain: &Path, key: &Path, renewed: bool) -> Answer {
    let facts = match web::inspect(chain, key, &scene.config.domain) {
        Ok(facts) => facts,
        Err(web::CertificateError::Io(what, error))
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            let (es, en) =
                (format!("{what}: sin permiso para leer"), format!("{what}: no permission to read"));
            return Answer::of(Topic::Certificate, Verdict::Unknown, es, en)
                .todo("ejecute doctor como root", "run doctor as root");
        }
        Err(error) => {
            let text = error.to_string();
            return Answer::of(Topic::Certificate, Verdict::Fault, text.clone(), text)
                .todo("véalo con: difusor check", "see it with: difusor check");
        }
    };
    let (ends, needed) = (facts.ends, hours::duty_ends(scene));
    let day = |at: Timestamp| at.to_zoned(scene.config.zone.clone()).strftime("%F %H:%M").to_string();
    let (until, duty) = (day(ends), day(needed));
    if !facts.covers {
        let domain = &scene.config.domain;
        return Answer::of(
            Topic::Certificate,
            Verdict::Fault,
            format!("no es para «{domain}»"),
            format!("it is not for '{domain}'"),
        )
        .todo("pida uno con ese nombre", "ask for one with that name");
    }
    let left = ends.duration_since(scene.now);
    let (warned, fails) = match renewed {
        true => (ACME_RENEWED, left <= SignedDuration::ZERO),
        false => (RENEWED, ends < needed),
    };
    if fails {
        return Answer::of(
            Topic::Certificate,
            Verdict::Fault,
            format!("vence el {until}, y los resultados deben verse hasta el {duty}"),
            format!("it ends on {until}, and results must be shown until {duty}"),
        )
        .todo("renuévelo antes de la jornada", "renew it before the election");
    }
    if left < warned {
        return Answer::of(
            Topic::Certificate,
            Verdict::Attention,
            format!("vence el {until}"),
            format!("it ends on {until}"),
        )
        .todo("renuévelo", "renew it");
    }
    let (es, en) = match renewed {
        true => (
            format!("hasta el {until}, se renueva solo (ACME)"),
            format!("until {until}, renews itself (ACME)"),
        ),
        false => (
            format!("hasta el {until}; debe durar hasta el {duty}"),
            format!("until {until}; must last until {duty}"),
        ),
    };
    Answer::good(Topic::Certificate, es, en)
}

/// INE IV.b: GET answers 200, and then the page holds the tag `base`.
pub(super) fn alive(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let config = scene.config;
    // Asked here it goes by its own name all the same: that is what the certificate is for.
    let own = scene.running.https().map(|at| (format!("https://{}:{}/", config.domain, at.port()), at));
    let (url, here) = match (&scene.asked.url, names::is_placeholder(&config.domain) || scene.asked.offline) {
        (Some(url), _) if !scene.asked.offline => (url.clone(), None),
        (None, false) => (format!("https://{}/", config.domain), None),
        _ => match own {
            Some((url, at)) => (url, Some(at)),
            None => {
                let (es, en) = ("el servicio no está en marcha", "the service is not running");
                let answer = Answer::of(Topic::Liveness, Verdict::Unknown, es, en);
                return answers.push(answer.todo("arránquelo y pregunte otra vez", "start it and ask again"));
            }
        },
    };
    let remedy = (
        "compare: curl -sv URL | grep -i '<base'; revise DNS, certificado y cortafuegos",
        "compare: curl -sv URL | grep -i '<base'; look at DNS, certificate and firewall",
    );
    let wait = config.doctor.timeout;
    let own = config.paths.var.join("tls").join(web::SELF_SIGNED_CHAIN);
    let here = here.map(|at| (config.domain.as_str(), at, own.as_path()));
    answers.push(match get(&url, here, wait) {
        Ok((200, true)) => Answer::good(
            Topic::Liveness,
            format!("{url} responde 200 y trae <base"),
            format!("{url} answers 200 and holds <base"),
        ),
        Ok((200, false)) if !config.package.base_tag => Answer::good(
            Topic::Liveness,
            format!("{url} responde 200 (esta convocatoria no pide <base)"),
            format!("{url} answers 200 (this call does not ask for <base)"),
        ),
        Ok((200, false)) => Answer::of(
            Topic::Liveness,
            Verdict::Fault,
            format!("{url} responde 200, pero sin la etiqueta <base que el monitor busca"),
            format!("{url} answers 200, but without the tag <base that the monitor looks for"),
        )
        .todo(remedy.0, remedy.1),
        Ok((status, _)) => Answer::of(
            Topic::Liveness,
            Verdict::Fault,
            format!("{url} responde {status}, y el monitor exige 200"),
            format!("{url} answers {status}, and the monitor wants 200"),
        )
        .todo(remedy.0, remedy.1),
        Err(error) => Answer::of(
            Topic::Liveness,
            Verdict::Fault,
            format!("{url} no responde: {error}"),
            format!("{url} does not answer: {error}"),
        )
        .todo(remedy.0, remedy.1),
    });
}

/// Status of the page and whether it holds the tag. Redirections are not followed: the registered address answers
/// itself. `here`: name, address and own certificate of this machine's site, where it is asked without the network.
fn get(url: &str, here: Option<(&str, SocketAddr, &Path)>, wait: Duration) -> Result<(u16, bool), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let mut client = Client::builder()
        .timeout(wait)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("difusor-doctor/", env!("CARGO_PKG_VERSION")));
    if let Some((name, at, own)) = here {
        client = client.resolve(name, at);
        if let Ok(pem) = std::fs::read(own) {
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| e.to_string())?;
            client = client.tls_certs_merge(certificates);
        }
    }
    let client = client.build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut answer = client.get(url).send().await.map_err(|e| reason(&e))?;
        let status = answer.status().as_u16();
        let mut page = Vec::new();
        while page.len() < PAGE_BYTES_MAX {
            match answer.chunk().await.map_err(|e| reason(&e))? {
                Some(chunk) => page.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok((status, page.to_ascii_lowercase().windows(5).any(|w| w == b"<base")))
    })
}

/// The innermost cause: what the outer ones say is that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
