//! The plain port: everything is at the same place over HTTPS.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};

use super::body::Body;
use super::challenge::{ACME_HTTP, Challenges};
use super::fields::{Ask, Field, Fields};
use super::headers::put;
use super::reply::Reply;

/// Where to.
#[derive(Debug)]
pub(super) struct Redirect {
    /// The configured name; empty takes the one that the reader used.
    pub(super) domain: String,
    /// The port of HTTPS as readers reach it.
    pub(super) port: u16,
    /// What an ACME server may be asking.
    pub(super) challenges: Arc<Challenges>,
}

impl Redirect {
    pub(super) fn answer<F: Fields>(&self, ask: &Ask<'_, F>) -> Reply {
        let path = ask.path;
        // An ACME server asks here, over plain HTTP, and must not be sent elsewhere.
        if let Some(token) = path.strip_prefix(ACME_HTTP) {
            let answer = self.challenges.http(token).map_or_else(|| plain(StatusCode::NOT_FOUND), said);
            return answer.without_body_if(ask.method == Method::HEAD);
        }
        let Some(host) = self.host(ask.fields).filter(|_| path.starts_with('/')) else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let query = ask.query.map_or_else(String::new, |q| format!("?{q}"));
        let mut response = plain(StatusCode::PERMANENT_REDIRECT);
        put(response.headers_mut(), LOCATION, &format!("https://{host}{port}{path}{query}"));
        response
    }

    /// The configured name, so that no foreign `Host` ends up in a cache; without one, the host that
    /// was asked, if it is nothing but a host.
    fn host(&self, fields: &impl Fields) -> Option<String> {
        if !self.domain.is_empty() {
            return Some(self.domain.clone());
        }
        let mut hosts = fields.all(Field::Host);
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        let text = std::str::from_utf8(host).ok()?;
        let authority = text.parse::<Uri>().ok()?.into_parts().authority?;
        let name = authority.host();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let is_host = authority.as_str() == text && !text.contains('@') && name.chars().all(plain);
        (is_host && !name.is_empty() && name.len() <= HOST_BYTES_MAX).then(|| name.to_owned())
    }
}

/// An answer without a word.
pub(super) fn plain(status: StatusCode) -> Reply {
    let mut response = Reply::new(status, http::HeaderMap::new(), Body::empty());
    response.headers_mut().insert(CONTENT_LENGTH, 0.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn said(text: String) -> Reply {
    let mut response = plain(StatusCode::OK);
    response.headers_mut().insert(CONTENT_LENGTH, text.len().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.body = Body::of(text);
    response
}

/// Longest name of a host (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::HOST;

    use super::*;

    fn location(domain: &str, port: u16, host: &str, path: &str) -> Option<String> {
        let mut request = Request::builder().uri(path);
        if !host.is_empty() {
            request = request.header(HOST, host);
        }
        let challenges = Challenges::new(crate::web::tls::provider());
        challenges.answer_http("open", "open.thumbprint");
        let redirect = Redirect { domain: domain.to_owned(), port, challenges };
        let response = redirect.answer(&Ask::of(&request.body(()).unwrap().into_parts().0));
        response.into_response().headers().get(LOCATION).map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_same_place_over_https() {
        for (domain, port, host, expected) in [
            ("", 8443, "127.0.0.1:8080", Some("https://127.0.0.1:8443/a?b=c")),
            ("", 443, "[::1]:80", Some("https://[::1]/a?b=c")),
            ("", 443, "prep.mx", Some("https://prep.mx/a?b=c")),
            ("prep.mx", 443, "evil.example", Some("https://prep.mx/a?b=c")),
            ("prep.mx", 443, "", Some("https://prep.mx/a?b=c")),
            ("", 443, "", None),
            ("", 443, "a@evil.example", None),
            ("", 443, "evil.example/x", None),
            ("", 443, "a b", None),
            ("", 443, "a%2eb", None),
        ] {
            assert_eq!(location(domain, port, host, "/a?b=c").as_deref(), expected, "{host}");
        }
        for path in ["/.well-known/acme-challenge/x", "/.well-known/acme-challenge/open"] {
            assert_eq!(location("prep.mx", 443, "", path), None);
        }
    }
}
