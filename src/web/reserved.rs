//! What we say ourselves beneath `/.well-known/prep/`. The prefix is never the package's.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::headers::{Composer, X_PREP_CORTE, framing, put};
use crate::model::{Cut, Digest, Lang, ReleaseId};
use crate::site::{Live, page};

/// Where it all lies, without the slash in front.
pub(super) const PREFIX: &str = ".well-known/";

#[derive(Debug)]
struct Desk {
    composer: Arc<Composer>,
    lang: Lang,
    frame_policy: String,
}

/// The routes. Each request brings its snapshot as an extension.
pub(super) fn routes(composer: Arc<Composer>, lang: Lang, frame_ancestors: &[String]) -> Router {
    let desk = Arc::new(Desk { composer, lang, frame_policy: frame_policy(frame_ancestors) });
    Router::new()
        .route("/.well-known/prep/estado.json", get(state))
        .route("/.well-known/prep/manifiesto.json", get(manifest))
        .route("/.well-known/prep/marco", get(frame))
        .route("/.well-known/prep/salud", get(health))
        .fallback(nothing)
        .layer(CatchPanicLayer::new())
        .with_state(desk)
}

/// What `estado.json` says.
#[derive(Serialize)]
struct StateDocument<'a> {
    /// `published`, `waiting`, or `notice` where the institute had the results taken away.
    state: &'static str,
    cut: Option<Cut>,
    received: Option<Timestamp>,
    published: Option<Timestamp>,
    package_sha256: Option<Digest>,
    release: Option<&'a ReleaseId>,
    event: Option<&'a str>,
    files: usize,
}

async fn state(State(desk): State<Arc<Desk>>, Extension(live): Extension<Arc<Live>>) -> Response {
    let release = live.results();
    let document = StateDocument {
        state: match release {
            Some(_) => "published",
            None if live.is_notice() => "notice",
            None => "waiting",
        },
        cut: live.cut(),
        received: release.and_then(|r| r.meta.received),
        published: live.since().filter(|_| release.is_some()),
        package_sha256: release.and_then(|r| r.meta.package),
        release: release.map(|r| &r.id),
        event: release.and_then(|r| r.meta.event.as_deref()),
        files: release.map_or(0, |r| r.manifest.len()),
    };
    desk.json(&live, to_json(&document))
}

/// What `manifiesto.json` says: path → hash and size.
#[derive(Serialize)]
struct ManifestDocument<'a> {
    release: Option<&'a ReleaseId>,
    cut: Option<Cut>,
    tree_sha256: Option<Digest>,
    files: BTreeMap<&'a str, FileDocument>,
}

#[derive(Serialize)]
struct FileDocument {
    sha256: Digest,
    size: u64,
}

async fn manifest(State(desk): State<Arc<Desk>>, Extension(live): Extension<Arc<Live>>) -> Response {
    let compose = || {
        let release = live.results();
        let files = release.into_iter().flat_map(|r| r.manifest.files());
        to_json(&ManifestDocument {
            release: release.map(|r| &r.id),
            cut: live.cut(),
            tree_sha256: release.map(|r| r.tree),
            files: files
                .map(|(path, f)| (path.as_str(), FileDocument { sha256: f.sha256, size: f.size }))
                .collect(),
        })
    };
    desk.json(&live, live.listing(compose))
}

async fn frame(State(desk): State<Arc<Desk>>, Extension(live): Extension<Arc<Live>>) -> Response {
    let html = page::Frame { lang: desk.lang, base: live.base().to_owned(), cut: live.cut() }.html();
    let mut headers = desk.headers(&live);
    put(&mut headers, CONTENT_SECURITY_POLICY, &desk.frame_policy);
    (headers, Html(html)).into_response()
}

async fn health(State(desk): State<Arc<Desk>>, Extension(live): Extension<Arc<Live>>) -> Response {
    desk.json(&live, Bytes::from_static(b"{\"status\":\"ok\"}\n"))
}

async fn nothing(State(desk): State<Arc<Desk>>) -> Response {
    let mut headers = desk.composer.common();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (StatusCode::NOT_FOUND, headers, Html(page::error(desk.lang, StatusCode::NOT_FOUND))).into_response()
}

impl Desk {
    fn headers(&self, live: &Live) -> HeaderMap {
        let mut headers = self.composer.common();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(cut) = live.cut() {
            put(&mut headers, X_PREP_CORTE, &cut.to_string());
        }
        headers
    }

    fn json(&self, live: &Live, document: Bytes) -> Response {
        let mut headers = self.headers(live);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (headers, document).into_response()
    }
}

fn to_json(document: &impl Serialize) -> Bytes {
    // Documents of strings and numbers always serialise.
    let mut text = serde_json::to_vec(document).unwrap_or_default();
    text.push(b'\n');
    Bytes::from(text)
}

/// The frame page runs its one script and frames this host, nothing else.
fn frame_policy(ancestors: &[String]) -> String {
    let (script, style) = page::Frame::script_and_style();
    let hash =
        |text: &str| base64::engine::general_purpose::STANDARD.encode(Digest::of(text.as_bytes()).as_bytes());
    let (script, style) = (hash(script), hash(style));
    let framing = framing(ancestors).map_or_else(String::new, |f| format!("; {f}"));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         frame-src 'self'{framing}"
    )
}
