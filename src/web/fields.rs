//! The fields of a request that an answer may depend on, however the request came: as the map of HTTP/2,
//! or as the lines of an HTTP/1 head, which are looked at where they lie.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, REFERER, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Method, Uri, Version};

/// One of those fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Accept,
    AcceptEncoding,
    Connection,
    ContentLength,
    Host,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    Range,
    Referer,
    TransferEncoding,
    UserAgent,
    XForwardedFor,
}

impl Field {
    /// The field of this name, in whatever case; every other means nothing to us.
    pub(super) fn of(name: &str) -> Option<Self> {
        // By length first: most lines of a head are told apart by it.
        let candidates: &[(Self, &str)] = match name.len() {
            4 => &[(Self::Host, "host")],
            5 => &[(Self::Range, "range")],
            6 => &[(Self::Accept, "accept")],
            7 => &[(Self::Referer, "referer")],
            8 => &[(Self::IfMatch, "if-match"), (Self::IfRange, "if-range")],
            10 => &[(Self::Connection, "connection"), (Self::UserAgent, "user-agent")],
            13 => &[(Self::IfNoneMatch, "if-none-match")],
            14 => &[(Self::ContentLength, "content-length")],
            15 => &[(Self::AcceptEncoding, "accept-encoding"), (Self::XForwardedFor, "x-forwarded-for")],
            17 => {
                &[(Self::IfModifiedSince, "if-modified-since"), (Self::TransferEncoding, "transfer-encoding")]
            }
            19 => &[(Self::IfUnmodifiedSince, "if-unmodified-since")],
            _ => &[],
        };
        candidates.iter().find(|(_, ours)| name.eq_ignore_ascii_case(ours)).map(|(field, _)| *field)
    }

    fn name(self) -> HeaderName {
        match self {
            Self::Accept => ACCEPT,
            Self::AcceptEncoding => ACCEPT_ENCODING,
            Self::Connection => CONNECTION,
            Self::ContentLength => CONTENT_LENGTH,
            Self::Host => HOST,
            Self::IfMatch => IF_MATCH,
            Self::IfModifiedSince => IF_MODIFIED_SINCE,
            Self::IfNoneMatch => IF_NONE_MATCH,
            Self::IfRange => IF_RANGE,
            Self::IfUnmodifiedSince => IF_UNMODIFIED_SINCE,
            Self::Range => RANGE,
            Self::Referer => REFERER,
            Self::TransferEncoding => TRANSFER_ENCODING,
            Self::UserAgent => USER_AGENT,
            Self::XForwardedFor => X_FORWARDED_FOR,
        }
    }

    /// One bit of its own.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Where the fields of a request are looked up.
pub(super) trait Fields {
    /// Every value of a field, line by line.
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]>;

    /// Whether there is one.
    fn has(&self, field: Field) -> bool;

    /// The first value.
    fn first(&self, field: Field) -> Option<&[u8]> {
        if self.has(field) { self.all(field).next() } else { None }
    }

    /// Every value that is text. What is not visible ASCII is none of what we know (RFC 9110 §5.5).
    fn texts(&self, field: Field) -> impl Iterator<Item = &str> {
        self.all(field).filter_map(text)
    }

    /// The first value, if it is text.
    fn text(&self, field: Field) -> Option<&str> {
        self.first(field).and_then(text)
    }
}

impl Fields for HeaderMap {
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.get_all(field.name()).iter().map(http::HeaderValue::as_bytes)
    }

    fn has(&self, field: Field) -> bool {
        self.contains_key(field.name())
    }
}

fn text(value: &[u8]) -> Option<&str> {
    let is_text = value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'));
    if is_text { std::str::from_utf8(value).ok() } else { None }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A request, as far as an answer depends on it.
#[derive(Debug)]
pub(super) struct Ask<'a, F> {
    pub(super) method: &'a Method,
    pub(super) version: Version,
    /// Path and query as they came.
    pub(super) target: &'a str,
    /// The host, where the request names it before its fields.
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fields: &'a F,
}

impl<'a> Ask<'a, HeaderMap> {
    /// The request that these parts are of.
    pub(super) fn of(parts: &'a http::request::Parts) -> Self {
        Self {
            method: &parts.method,
            version: parts.version,
            target: target(&parts.uri),
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
            path: parts.uri.path(),
            query: parts.uri.query(),
            fields: &parts.headers,
        }
    }
}

/// Path and query.
pub(super) fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("*", http::uri::PathAndQuery::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_known_by_its_name_in_any_case() {
        for field in [
            Field::Accept,
            Field::AcceptEncoding,
            Field::Connection,
            Field::ContentLength,
            Field::Host,
            Field::IfMatch,
            Field::IfModifiedSince,
            Field::IfNoneMatch,
            Field::IfRange,
            Field::IfUnmodifiedSince,
            Field::Range,
            Field::Referer,
            Field::TransferEncoding,
            Field::UserAgent,
            Field::XForwardedFor,
        ] {
            let name = field.name();
            assert_eq!(Field::of(name.as_str()), Some(field));
            assert_eq!(Field::of(&name.as_str().to_ascii_uppercase()), Some(field));
        }
        assert_eq!(Field::of("cookie"), None);
    }
}
