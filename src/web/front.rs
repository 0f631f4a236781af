//! From a request to its answer, over one snapshot.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use tower::ServiceExt as _;

use super::body::Body;
use super::config::{Fallback, WebConfig};
use super::fields::{Ask, Field, Fields};
use super::files::{self, Asked, Way};
use super::headers::{Belonging, Composer, put};
use super::negotiate::wants_html;
use super::path::{Ending, Refused, Wanted};
use super::reply::Reply;
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
    pub(super) fn later(&self, status: StatusCode, wait: Duration, method: &Method) -> Reply {
        let mut reply = self.error(status);
        let seconds = wait.as_secs().clamp(1, LATER_SECONDS_MAX);
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
        reply.without_body_if(method == Method::HEAD)
    }

    /// Answers a request. Its body, if it has one, is never read.
    pub(super) async fn answer(&self, parts: &http::request::Parts) -> Reply {
        let ask = Ask::of(parts);
        match self.prompt(&ask) {
            Some(reply) => reply,
            None => self.reserved(&ask).await,
        }
    }

    /// The answer to what need not be waited for: everything but our own documents.
    pub(super) fn prompt<F: Fields>(&self, ask: &Ask<'_, F>) -> Option<Reply> {
        let reply = self.refusal(ask).map_or_else(|| self.over(&self.site.live(), ask), Some);
        reply.map(|reply| reply.without_body_if(ask.method == Method::HEAD))
    }

    /// The answer to what need not reach the site.
    fn refusal<F: Fields>(&self, ask: &Ask<'_, F>) -> Option<Reply> {
        let hosts = ask.fields.all(Field::Host).count();
        if hosts > 1 || (hosts == 0 && ask.version == Version::HTTP_11) {
            return Some(self.error(StatusCode::BAD_REQUEST));
        }
        if !matches!(*ask.method, Method::GET | Method::HEAD) {
            let mut reply = self.error(StatusCode::METHOD_NOT_ALLOWED);
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(reply);
        }
        // An odd client cannot be told from one who would have two parties disagree about where the request ends.
        if ask.fields.has(Field::TransferEncoding) {
            return Some(self.error(StatusCode::BAD_REQUEST));
        }
        None
    }

    fn over<F: Fields>(&self, live: &Live, ask: &Ask<'_, F>) -> Option<Reply> {
        let wanted = match Wanted::parse(ask.path) {
            Ok(wanted) => wanted,
            Err(Refused::Malformed) => return Some(self.error(StatusCode::BAD_REQUEST)),
            Err(Refused::Nothing) => return Some(self.error(StatusCode::NOT_FOUND)),
        };
        if wanted.path.starts_with(reserved::PREFIX) {
            return None;
        }
        if live.results().is_none() {
            return Some(self.waiting(live, &wanted, ask.fields));
        }
        Some(match self.find(live, &wanted, ask.fields) {
            Target::File(entry, way) => {
                let belonging = Belonging { cut: live.cut(), release: live.results().map(|r| &r.id) };
                let asked = Asked { method: ask.method, fields: ask.fields, way, belonging };
                files::answer(&self.composer, entry, &asked)
            }
            Target::Slash => self.to_folder(&wanted, ask.query),
            Target::Absent => self.error(StatusCode::NOT_FOUND),
        })
    }

    /// Looks a path up at the root, then beneath the site's own prefix, then as a route of
    /// the application.
    fn find<'a>(&self, live: &'a Live, wanted: &Wanted, fields: &impl Fields) -> Target<'a> {
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
        let is_route = self.fallback == Fallback::Index && wanted.is_route() && wants_html(fields);
        match target {
            Target::Absent if is_route => {
                live.index_above(inner).map_or(Target::Absent, |index| Target::File(index, Way::Fallback))
            }
            target => target,
        }
    }

    /// Before the opening, and before there is anything: the waiting page wherever HTML could be,
    /// and nothing wherever data will be.
    fn waiting(&self, live: &Live, wanted: &Wanted, fields: &impl Fields) -> Reply {
        let base = live.base().trim_matches('/');
        let inner = beneath(&wanted.path, base).unwrap_or(&wanted.path);
        let is_page = inner.is_empty()
            || inner == "index.html"
            || wanted.name().ends_with(".html")
            || (wanted.is_route() && wants_html(fields));
        if !is_page {
            return self.error(StatusCode::NOT_FOUND);
        }
        let shown = live.index("").and_then(|index| index.content.bytes().cloned());
        let html = shown.unwrap_or_else(|| {
            page::Waiting { lang: self.lang, base: live.base().to_owned(), opens: None }.html().into()
        });
        self.page(StatusCode::OK, Body::of(html))
    }

    /// The answer to what is ours.
    async fn reserved<F: Fields>(&self, ask: &Ask<'_, F>) -> Reply {
        let Ok(wanted) = Wanted::parse(ask.path) else { return self.error(StatusCode::NOT_FOUND) };
        // The router sees the decoded path: no other spelling of the prefix passes it by.
        let path = if wanted.path.is_ascii() { wanted.path.as_str() } else { "" };
        let Ok(mut request) = Request::builder().uri(format!("/{path}")).body(axum::body::Body::empty())
        else {
            return self.error(StatusCode::NOT_FOUND);
        };
        *request.method_mut() = ask.method.clone();
        request.extensions_mut().insert(self.site.live());
        let Ok(response) = self.reserved.clone().oneshot(request).await;
        let (head, body) = response.into_parts();
        match Limited::new(body, DOCUMENT_BYTES_MAX).collect().await {
            Ok(body) => Reply::new(head.status, head.headers, Body::of(body.to_bytes()))
                .without_body_if(ask.method == Method::HEAD),
            Err(error) => {
                tracing::error!(%error, "a document of ours could not be read");
                self.error(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn to_folder(&self, wanted: &Wanted, query: Option<&str>) -> Reply {
        let mut reply = self.error(StatusCode::PERMANENT_REDIRECT);
        let query = query.map_or_else(String::new, |q| format!("?{q}"));
        reply.headers_mut().remove(CONTENT_TYPE);
        reply.headers_mut().insert(CONTENT_LENGTH, 0.into());
        put(reply.headers_mut(), LOCATION, &format!("{}{query}", wanted.as_folder()));
        reply.without_body_if(true)
    }

    pub(super) fn error(&self, status: StatusCode) -> Reply {
        let ready = self.errors.iter().find(|(s, _)| *s == status).map(|(_, page)| page.clone());
        self.page(status, Body::of(ready.unwrap_or_else(|| page::error(self.lang, status).into())))
    }

    fn page(&self, status: StatusCode, body: Body) -> Reply {
        let mut headers = self.composer.common();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Reply::new(status, headers, body)
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
