//! `difusor audit`: original = manifest = disk = what HTTPS serves, file by file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{Certificate, Client, Url};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::args::{self, Common};
use super::{Done, Failure, IO_FAILED, NO, Out};
use crate::app;
use crate::archive::Sink;
use crate::audit::{self, Compared, FileReport, Unpacked};
use crate::clock::Clock;
use crate::config::Config;
use crate::durable::Dir;
use crate::history::History;
use crate::model::{Digest, Hasher, Rejection};
use crate::package::{self, Increments, Rules};
use crate::release::{FileFacts, Manifest};
use crate::web;

/// Requests under way at once: enough to keep one connection busy.
const PARALLEL: usize = 8;
/// Bytes of one answer; what a release may hold is bounded at its reception.
const ANSWER_BYTES_MAX: u64 = 4 << 30;
/// Encodings each file is asked for; the first is the file itself.
const ENCODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];
/// Paths that must not exist, whatever the release holds.
const MUST_BE_MISSING: [&str; 4] =
    ["/MANIFEST.sha256", "/release.json", "/..%2frelease.json", "/var/ledger/ledger.jsonl"];

/// One answer that was not what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Wrong {
    path: String,
    encoding: String,
    what: String,
}

pub(super) fn run(audit: &args::Audit, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let report = local(&config)?;
    let served = match &audit.url {
        Some(url) => Some(served(url, &config, &report, out)?),
        None => None,
    };
    let sound = report.is_sound() && served.as_ref().is_none_or(|s| s.wrong.is_empty());
    let data = json!({"local": &report, "served": &served});
    out.answer("audit", sound, data, || text(&report, served.as_ref(), sound, out));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn local(config: &Config) -> Result<audit::Report, Failure> {
    let var = &config.paths.var;
    let history = History::open(&Dir::open(var.join("history"))?)?;
    let store = app::store_to_read(config)?;
    let rules = lenient(app::rules(config));
    let read = |file: &File, name: &str| read_again(file, name, &rules);
    Ok(audit::local(&history, &store, &Dir::open(var.join("ledger"))?, None, &read)?)
}

/// The rules of the container without those of the hour: an audit of old cuts asks what
/// they are, not whether they may be published now.
fn lenient(rules: Rules) -> Rules {
    Rules { names: Vec::new(), skew: jiff::SignedDuration::MAX, increments: Increments::Taken, ..rules }
}

fn read_again(file: &File, name: &str, rules: &Rules) -> Result<Unpacked, Rejection> {
    let mut sink = Listing::default();
    let now = Clock::system().now();
    let verified = package::verify(file, name, &[], rules, None, now, &mut sink)?;
    let files = sink.manifest;
    let stripped = verified.top.as_ref().and_then(|top| files.stripped(top));
    Ok(Unpacked { files: stripped.unwrap_or(files), top: verified.top })
}

/// Hashes what goes by.
#[derive(Default)]
struct Listing {
    manifest: Manifest,
    file: Option<(String, FileFacts, Hasher)>,
}

impl Sink for Listing {
    fn dir(&mut self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        let facts = FileFacts { sha256: Digest::from([0; 32]), size, mtime };
        self.file = Some((path.to_owned(), facts, Hasher::new()));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some((_, _, hasher)) = &mut self.file {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some((path, facts, hasher)) = self.file.take() {
            self.manifest.insert(path, FileFacts { sha256: hasher.finish(), ..facts });
        }
        Ok(())
    }
}

/// What HTTPS gave.
#[derive(Debug, Serialize)]
struct Served {
    url: String,
    answers: usize,
    wrong: Vec<Wrong>,
}

fn served(url: &str, config: &Config, report: &audit::Report, out: Out) -> Result<Served, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::Sentence(2, format!("«{url}»: {e}"));
    let base = Url::parse(url).map_err(|e| bad(&e))?;
    let client = client(config).map_err(|e| Failure::Sentence(IO_FAILED, e.to_string()))?;
    let files: Vec<(String, Digest)> =
        report.files.iter().filter_map(|f| Some((f.path.clone(), f.sha256?))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (answers, mut wrong) = runtime.block_on(ask_all(client.clone(), &base, files));
    wrong.extend(runtime.block_on(ask_missing(&client, &base, out)));
    wrong.sort_by(|a, b| (&a.path, &a.encoding).cmp(&(&b.path, &b.encoding)));
    Ok(Served { url: url.to_owned(), answers, wrong })
}

/// Verifies certificates as a browser would, and takes the one this instance serves.
fn client(config: &Config) -> Result<Client, reqwest::Error> {
    let own = match &config.https.certificate {
        Some((certificate, _)) => certificate.clone(),
        None => config.paths.var.join("tls").join(web::SELF_SIGNED_CHAIN),
    };
    let mut builder =
        Client::builder().timeout(Duration::from_secs(60)).redirect(reqwest::redirect::Policy::none());
    if let Ok(pem) = std::fs::read(own)
        && let Ok(certificates) = Certificate::from_pem_bundle(&pem)
    {
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build()
}

async fn ask_all(client: Client, base: &Url, files: Vec<(String, Digest)>) -> (usize, Vec<Wrong>) {
    let client = Arc::new(client);
    let (mut running, mut wrong, mut answers) = (JoinSet::new(), Vec::new(), 0);
    let asked = files.iter().flat_map(|file| ENCODINGS.map(|encoding| (file.clone(), encoding)));
    for ((path, sha256), encoding) in asked {
        if running.len() >= PARALLEL
            && let Some(done) = running.join_next().await
        {
            wrong.extend(done.ok().flatten());
        }
        answers += 1;
        let (client, url) = (Arc::clone(&client), address(base, &path));
        running.spawn(async move {
            let what = ask(&client, url, encoding, sha256).await.err()?;
            Some(Wrong { path, encoding: encoding.to_owned(), what })
        });
    }
    while let Some(done) = running.join_next().await {
        wrong.extend(done.ok().flatten());
    }
    (answers, wrong)
}

/// The address of a file: each component escaped by itself.
fn address(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path.split('/'));
    }
    url
}

async fn ask(client: &Client, url: Url, encoding: &'static str, sha256: Digest) -> Result<(), String> {
    let answer = client.get(url).header(ACCEPT_ENCODING, encoding).send().await.map_err(|e| e.to_string())?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(answer.status().to_string());
    }
    let used =
        answer.headers().get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("identity").to_owned();
    if used != "identity" && used != encoding {
        return Err(format!("content-encoding: {used}"));
    }
    let body = answer.bytes().await.map_err(|e| e.to_string())?;
    let found =
        tokio::task::spawn_blocking(move || decoded(&used, &body)).await.map_err(|e| e.to_string())?;
    match found.map_err(|e| e.to_string())? {
        found if found == sha256 => Ok(()),
        found => Err(format!("{found} != {sha256}")),
    }
}

/// The hash of what a browser would see.
fn decoded(encoding: &str, body: &[u8]) -> io::Result<Digest> {
    let reader: Box<dyn Read> = match encoding {
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 64 << 10)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(body)?),
        _ => Box::new(body),
    };
    let (mut hasher, mut reader, mut buffer) =
        (Hasher::new(), reader.take(ANSWER_BYTES_MAX), vec![0; 64 << 10]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

async fn ask_missing(client: &Client, base: &Url, out: Out) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for path in MUST_BE_MISSING {
        let url = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let status = client.get(url).send().await.map(|a| a.status().as_u16());
        if !matches!(status, Ok(400 | 404)) {
            let what = format!("{}: {status:?}", out.pick("no debe existir", "must not exist"));
            wrong.push(Wrong { path: path.to_owned(), encoding: "identity".to_owned(), what });
        }
    }
    wrong
}

fn text(report: &audit::Report, served: Option<&Served>, sound: bool, out: Out) -> String {
    let mut text = String::new();
    let verdict = if sound {
        out.pick("TODO COINCIDE", "EVERYTHING AGREES")
    } else {
        out.pick("HAY DIFERENCIAS", "THERE ARE DIFFERENCES")
    };
    let _ = writeln!(text, "{verdict}");
    let _ = writeln!(
        text,
        "{}: {} {}",
        out.pick("bitácora", "ledger"),
        report.ledger.lines,
        out.pick("líneas", "lines")
    );
    let _ = writeln!(text, "{}: {}", out.pick("paquetes originales", "original packages"), report.originals);
    if let Some(release) = &report.release {
        let _ = writeln!(
            text,
            "{}: {release}, {} {}",
            out.pick("corte", "cut"),
            report.files.len(),
            out.pick("archivos", "files")
        );
    }
    if let Some(served) = served {
        let _ = writeln!(text, "{}: {} {}", served.url, served.answers, out.pick("respuestas", "answers"));
        for wrong in &served.wrong {
            let _ = writeln!(text, "  https {} ({}): {}", wrong.path, wrong.encoding, wrong.what);
        }
    }
    for fault in &report.faults {
        let _ = writeln!(text, "  {fault}");
    }
    for file in report.files.iter().filter(|f| !f.is_sound()) {
        let _ = writeln!(text, "  {}", difference(file, out));
    }
    text
}

fn difference(file: &FileReport, out: Out) -> String {
    let side = |compared: Compared| match compared {
        Compared::Equal => out.pick("igual", "equal"),
        Compared::Changed { .. } => out.pick("cambiado", "changed"),
        Compared::Missing => out.pick("falta", "missing"),
        Compared::Extra => out.pick("sobra", "extra"),
        Compared::Unreadable => out.pick("ilegible", "unreadable"),
        Compared::Skipped => "–",
    };
    format!(
        "{}: original {}, {} {}",
        file.path,
        side(file.original),
        out.pick("disco", "disk"),
        side(file.disk)
    )
}
