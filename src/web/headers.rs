//! The header blocks of files, composed once per representation and snapshot.

use std::fmt::Write as _;

use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::condition::http_date;
use super::config::{CachePolicy, Cors, Disguised, WebConfig};
use super::reply::block;
use crate::model::{Cut, ReleaseId};
use crate::site::{Coding, Entry, Freshness, Head};

/// The cut that an answer belongs to (T-21).
pub(super) const X_PREP_CORTE: HeaderName = HeaderName::from_static("x-prep-corte");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What networks call a set of copies that is purged at once: words apart for Fastly and Varnish …
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// … and commas between them for Cloudflare and Akamai.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// The tag of everything of the site, and the one of what a swap may change.
const TAG_ALL: &str = "prep";
const TAG_LIVE: &str = "prep-vigente";

/// What every answer carries, and what a file's representation does.
#[derive(Debug)]
pub(super) struct Composer {
    common: HeaderMap,
    live: HeaderValue,
    policy: CachePolicy,
    cors: Cors,
    disguised: Disguised,
}

/// What a file's answer says of the snapshot it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belonging<'a> {
    pub(super) cut: Option<Cut>,
    pub(super) release: Option<&'a ReleaseId>,
}

impl Composer {
    pub(super) fn new(config: &WebConfig) -> Self {
        // Seconds and fixed words always make a header.
        let live = HeaderValue::try_from(config.cache.live())
            .unwrap_or_else(|_| HeaderValue::from_static("no-cache"));
        Self {
            common: common(config),
            live,
            policy: config.cache,
            cors: config.cors,
            disguised: config.disguised,
        }
    }

    /// The headers of any answer.
    pub(super) fn common(&self) -> HeaderMap {
        self.common.clone()
    }

    /// The codings that an entry can be sent in: one that is compressed under another name is
    /// sent as it is.
    pub(super) fn is_available(entry: &Entry, coding: Coding) -> bool {
        match coding {
            Coding::Identity => true,
            coding => !entry.is_gzip_in_disguise() && entry.content.variant(coding).is_some(),
        }
    }

    /// The strong tag of a representation, with its quotes: 128 bits of the content's hash.
    fn tag(entry: &Entry, coding: Coding) -> String {
        let mut tag = String::with_capacity(42);
        tag.push('"');
        for byte in entry.content.sha256.as_bytes().iter().take(16) {
            // Writing to a string cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push_str(coding.tag_suffix());
        tag.push('"');
        tag
    }

    /// What a representation says with its answers.
    pub(super) fn head(&self, entry: &Entry, coding: Coding, belonging: Belonging<'_>) -> Head {
        let whole = self.file(entry, coding, belonging);
        // RFC 9110 §15.4.5: what the reader needs to keep its copy, and nothing about a body.
        let mut unchanged = whole.clone();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_RANGES] {
            unchanged.remove(name);
        }
        let tag = whole.get(ETAG).cloned().unwrap_or_else(|| HeaderValue::from_static("\"\""));
        Head {
            tag,
            whole: block(StatusCode::OK, whole),
            unchanged: block(StatusCode::NOT_MODIFIED, unchanged),
        }
    }

    fn file(&self, entry: &Entry, coding: Coding, belonging: Belonging<'_>) -> HeaderMap {
        let mut headers = self.common();
        let size = entry.content.variant(coding).map_or(entry.content.size, |v| v.len() as u64);
        headers.insert(CONTENT_TYPE, self.content_type(entry));
        headers.insert(CONTENT_LENGTH, size.into());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CACHE_CONTROL, self.cache_control(entry.freshness));
        put(&mut headers, ETAG, &Self::tag(entry, coding));
        if let Some(seconds) = entry.last_modified {
            put(&mut headers, LAST_MODIFIED, &http_date(seconds));
        }
        if entry.is_gzip_in_disguise() {
            if self.disguised == Disguised::Encoded {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        } else if entry.media.is_compressible() {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            if coding != Coding::Identity {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
            }
        }
        if let Some(cut) = belonging.cut {
            put(&mut headers, X_PREP_CORTE, &cut.to_string());
        }
        if self.policy != CachePolicy::Direct {
            let mut tags = vec![TAG_ALL];
            if entry.freshness == Freshness::Live {
                tags.push(TAG_LIVE);
            }
            tags.extend(belonging.release.map(ReleaseId::as_str));
            put(&mut headers, SURROGATE_KEY, &tags.join(" "));
            put(&mut headers, CACHE_TAG, &tags.join(","));
        }
        if self.cors == Cors::Any && entry.media.is_data() {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        headers
    }

    fn content_type(&self, entry: &Entry) -> HeaderValue {
        if entry.is_gzip_in_disguise() && self.disguised == Disguised::Octets {
            return HeaderValue::from_static("application/gzip");
        }
        // The charset is named where it is known: a Latin-1 file of an institute is left to what
        // the reader makes of it rather than declared to be what it is not.
        let named = entry.media.has_charset() && (entry.content.is_utf8 || entry.is_gzip_in_disguise());
        let charset = if named { "; charset=utf-8" } else { "" };
        HeaderValue::try_from(format!("{}{charset}", entry.media.essence))
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
    }

    fn cache_control(&self, freshness: Freshness) -> HeaderValue {
        match freshness {
            Freshness::Hashed => HeaderValue::from_static("public, max-age=31536000, immutable"),
            Freshness::Stamped => HeaderValue::from_static("public, max-age=86400, immutable"),
            Freshness::Live => self.live.clone(),
        }
    }
}

fn common(config: &WebConfig) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    if let Some(age) = config.hsts.filter(|age| !age.is_zero()) {
        put(&mut headers, STRICT_TRANSPORT_SECURITY, &format!("max-age={}", age.as_secs()));
    }
    if let Some(framing) = framing(&config.frame_ancestors) {
        put(&mut headers, CONTENT_SECURITY_POLICY, &framing);
    }
    headers
}

/// Who may frame us, if not everybody. Nothing else is ever restricted: the contents are
/// the institute's.
pub(super) fn framing(ancestors: &[String]) -> Option<String> {
    (!ancestors.is_empty()).then(|| format!("frame-ancestors 'self' {}", ancestors.join(" ")))
}

/// Sets a header; a value that cannot be one leaves it out.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::try_from(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => tracing::warn!(%name, "a header cannot carry its value"),
    }
}
