//! The plain port: everything is at the same place over HTTPS.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, Uri};

use super::body::Body;
use super::files::respond;
use super::headers::put;

/// Where to.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    /// The configured name; empty takes the one that the reader used.
    pub(super) domain: String,
    /// The port of HTTPS as readers reach it.
    pub(super) port: u16,
}

impl Redirect {
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let path = request.uri().path();
        // Kept free: an ACME server asks here, over plain HTTP, and must not be sent elsewhere.
        if path.starts_with("/.well-known/acme-challenge/") {
            return plain(StatusCode::NOT_FOUND);
        }
        let Some(host) = self.host(request).filter(|_| path.starts_with('/')) else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let query = request.uri().query().map_or_else(String::new, |q| format!("?{q}"));
        let mut response = plain(StatusCode::PERMANENT_REDIRECT);
        put(response.headers_mut(), LOCATION, &format!("https://{host}{port}{path}{query}"));
        response
    }

    /// The configured name, so that no foreign `Host` ends up in a cache; without one, the host that
    /// was asked, if it is nothing but a host.
    fn host<B>(&self, request: &Request<B>) -> Option<String> {
        if !self.domain.is_empty() {
            return Some(self.domain.clone());
        }
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        let text = host.to_str().ok()?;
        let authority = text.parse::<Uri>().ok()?.into_parts().authority?;
        let name = authority.host();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let is_host = authority.as_str() == text && !text.contains('@') && name.chars().all(plain);
        (is_host && !name.is_empty() && name.len() <= HOST_BYTES_MAX).then(|| name.to_owned())
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = respond(status, http::HeaderMap::new(), Body::empty());
    response.headers_mut().insert(CONTENT_LENGTH, 0.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Longest name of a host (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn location(domain: &str, port: u16, host: &str, path: &str) -> Option<String> {
        let mut request = Request::builder().uri(path);
        if !host.is_empty() {
            request = request.header(HOST, host);
        }
        let redirect = Redirect { domain: domain.to_owned(), port };
        let response = redirect.answer(&request.body(()).unwrap());
        response.headers().get(LOCATION).map(|v| v.to_str().unwrap().to_owned())
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
        assert_eq!(location("prep.mx", 443, "", "/.well-known/acme-challenge/x"), None);
    }
}
