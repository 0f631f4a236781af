//! From a request to its answer, over one snapshot.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use tower::ServiceExt as _;

use super::body::Body;
use super::config::{Fallback, WebConfig};
use super::files::{self, Asked, Way, respond};
use super::headers::{Belonging, Composer, put};
use super::negotiate::wants_html;
use super::path::{Ending, Refused, Wanted};
use super::reserved;
use crate::model::Lang;
use crate::site::{Entry, Found, Live, Site, page};

/// Everything that answers requests over HTTPS.
#[derive(Debug)]
pub(super) struct Front {
    site: Arc<Site>,
    composer: Arc<Composer>,
    reserved: Router,
    lang: Lang,
    fallback: Fallback,
    errors: Vec<(StatusCode, Bytes)>,
}

/// What a path comes to.
enum Target<'a> {
    File(&'a Arc<Entry>, Way),
    Slash,
    Absent,
}

impl Front {
    pub(super) fn new(site: Arc<Site>, config: &WebConfig) -> Self {
        let composer = Arc::new(Composer::new(config));
        let reserved = reserved::routes(Arc::clone(&composer), config.lang, &config.frame_ancestors);
        let lang = config.lang;
        let error = |status| (status, Bytes::from(page::error(lang, status)));
        let errors = ERRORS.into_iter().map(error).collect();
        Self { site, composer, reserved, lang, fallback: config.fallback, errors }
    }

    /// The answer to a request that is not looked at: come back later.
    pub(super) fn later(&self, status: StatusCode, wait: Duration, method: &Method) -> Response<Body> {
        let mut response = self.error(status);
        let seconds = wait.as_secs().clamp(1, LATER_SECONDS_MAX);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        if method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// Answers a request. Its body, if it has one, is never read.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let closes = parts.version < Version::HTTP_2 && has_body(&parts.headers);
        let mut response = match self.refusal(&parts) {
            Some(refusal) => refusal,
            None => self.over(self.site.live(), &parts).await,
        };
        if closes {
            // What follows on the connection may be a body or a smuggled request: it is neither read nor guessed at.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// The answer to what need not reach the site.
    fn refusal(&self, parts: &http::request::Parts) -> Option<Response<Body>> {
        let hosts = parts.headers.get_all(HOST).iter().count();
        if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
            return Some(self.error(StatusCode::BAD_REQUEST));
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let mut response = self.error(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        // The parser drops a Content-Length beside it (RFC 9112 §6.3), so what is left cannot tell an odd client
        // from one who would have two parties disagree about where the request ends.
        if parts.headers.contains_key(TRANSFER_ENCODING) {
            return Some(self.error(StatusCode::BAD_REQUEST));
        }
        None
    }

    async fn over(&self, live: Arc<Live>, parts: &http::request::Parts) -> Response<Body> {
        let wanted = match Wanted::parse(parts.uri.path()) {
            Ok(wanted) => wanted,
            Err(Refused::Malformed) => return self.error(StatusCode::BAD_REQUEST),
            Err(Refused::Nothing) => return self.error(StatusCode::NOT_FOUND),
        };
        if wanted.path.starts_with(reserved::PREFIX) {
            return self.reserved(live, &wanted, parts).await;
        }
        if live.results().is_none() {
            return self.waiting(&live, &wanted, &parts.headers);
        }
        match self.find(&live, &wanted, &parts.headers) {
            Target::File(entry, way) => {
                let belonging = Belonging { cut: live.cut(), release: live.results().map(|r| &r.id) };
                let asked = Asked { method: &parts.method, headers: &parts.headers, way, belonging };
                files::answer(&self.composer, entry, &asked)
            }
            Target::Slash => self.to_folder(&wanted, parts.uri.query()),
            Target::Absent => self.error(StatusCode::NOT_FOUND),
        }
    }

    /// Looks a path up at the root, then beneath the site's own prefix, then as a route of
    /// the application.
    fn find<'a>(&self, live: &'a Live, wanted: &Wanted, headers: &HeaderMap) -> Target<'a> {
        let mut inner = wanted.path.as_str();
        let mut target = exact(live, inner, wanted.ending);
        let base = live.base().trim_matches('/');
        if let (Target::Absent, Some(rest)) = (&target, beneath(inner, base)) {
            inner = rest;
            target = match (rest, wanted.ending) {
                ("", Ending::Plain) => Target::Slash,
                _ => exact(live, rest, wanted.ending),
            };
        }
        let is_route = self.fallback == Fallback::Index && wanted.is_route() && wants_html(headers);
        match target {
            Target::Absent if is_route => {
                live.index_above(inner).map_or(Target::Absent, |index| Target::File(index, Way::Fallback))
            }
            target => target,
        }
    }

    /// Before the opening, and before there is anything: the waiting page wherever HTML could be,
    /// and nothing wherever data will be.
    fn waiting(&self, live: &Live, wanted: &Wanted, headers: &HeaderMap) -> Response<Body> {
        let base = live.base().trim_matches('/');
        let inner = beneath(&wanted.path, base).unwrap_or(&wanted.path);
        let is_page = inner.is_empty()
            || inner == "index.html"
            || wanted.name().ends_with(".html")
            || (wanted.is_route() && wants_html(headers));
        if !is_page {
            return self.error(StatusCode::NOT_FOUND);
        }
        let shown = live.index("").and_then(|index| index.content.bytes().cloned());
        let html = shown.unwrap_or_else(|| {
            page::Waiting { lang: self.lang, base: live.base().to_owned(), opens: None }.html().into()
        });
        self.page(StatusCode::OK, Body::of(html))
    }

    async fn reserved(
        &self,
        live: Arc<Live>,
        wanted: &Wanted,
        parts: &http::request::Parts,
    ) -> Response<Body> {
        // The router sees the decoded path: no other spelling of the prefix passes it by.
        let path = if wanted.path.is_ascii() { wanted.path.as_str() } else { "" };
        let Ok(mut request) = Request::builder().uri(format!("/{path}")).body(axum::body::Body::empty())
        else {
            return self.error(StatusCode::NOT_FOUND);
        };
        *request.method_mut() = parts.method.clone();
        request.extensions_mut().insert(live);
        let Ok(response) = self.reserved.clone().oneshot(request).await;
        let (head, body) = response.into_parts();
        match Limited::new(body, DOCUMENT_BYTES_MAX).collect().await {
            Ok(body) => respond(head.status, head.headers, Body::of(body.to_bytes())),
            Err(error) => {
                tracing::error!(%error, "a document of ours could not be read");
                self.error(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn to_folder(&self, wanted: &Wanted, query: Option<&str>) -> Response<Body> {
        let mut response = self.error(StatusCode::PERMANENT_REDIRECT);
        let query = query.map_or_else(String::new, |q| format!("?{q}"));
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_LENGTH, 0.into());
        put(response.headers_mut(), LOCATION, &format!("{}{query}", wanted.as_folder()));
        response
    }

    fn error(&self, status: StatusCode) -> Response<Body> {
        let ready = self.errors.iter().find(|(s, _)| *s == status).map(|(_, page)| page.clone());
        self.page(status, Body::of(ready.unwrap_or_else(|| page::error(self.lang, status).into())))
    }

    fn page(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut headers = self.composer.common();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        respond(status, headers, body)
    }
}

fn exact<'a>(live: &'a Live, path: &str, ending: Ending) -> Target<'a> {
    match (live.find(path), ending) {
        (Found::File(entry) | Found::Retired(entry), Ending::Plain) => Target::File(entry, Way::Direct),
        (Found::Folder(Some(index)), Ending::Slash) => Target::File(index, Way::Direct),
        (Found::Folder(Some(_)), Ending::Plain) => Target::Slash,
        _ => Target::Absent,
    }
}

/// What of `path` lies beneath the prefix, if there is one.
fn beneath<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(base).filter(|_| !base.is_empty())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|v| v.as_bytes() != b"0")
}

/// Answers that an attack may ask for by the thousand: their pages are made once.
const ERRORS: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// Longest time that a reader is told to stay away.
const LATER_SECONDS_MAX: u64 = 30;
/// The manifest of two hundred thousand files.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
