//! The head of an HTTP/1 request, read where it lies (RFC 9112).
//!
//! The parser is httparse. Around it stands what a proxy in front and we must not read in two ways: a line
//! ends in CRLF and in nothing else, a length is one number, and where a request says that
//! something follows its head, nothing that follows is taken for a request.

use std::mem::MaybeUninit;

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use httparse::{Header, Status};

use super::fields::{Ask, Field, Fields, target};

/// A head.
#[derive(Debug)]
pub(super) struct Head<'b> {
    method: Method,
    target: Target<'b>,
    version: Version,
    lines: Lines<'b>,
}

/// What is asked for.
#[derive(Debug)]
enum Target<'b> {
    /// A path as nearly all readers write it, and its query.
    Plain { all: &'b str, path: &'b str, query: Option<&'b str> },
    /// Any other form (RFC 9112 §3.2).
    Other(Uri),
}

/// The field lines.
#[derive(Debug)]
pub(super) struct Lines<'b> {
    lines: &'b [Header<'b>],
    /// What each of them is.
    fields: &'b [Option<Field>],
    /// Bits of the fields that are there.
    known: u16,
}

impl Fields for Lines<'_> {
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(field) { self.lines } else { &[] };
        lines.iter().zip(self.fields).filter(move |(_, f)| **f == Some(field)).map(|(line, _)| line.value)
    }

    fn has(&self, field: Field) -> bool {
        self.known & field.bit() != 0
    }
}

/// Reads a head that may be whole, and hands it on: what came of it and how many bytes it takes. `None` is
/// one that is not whole yet.
pub(super) fn read<T>(
    bytes: &[u8],
    hand: impl FnOnce(&Head<'_>) -> T,
) -> Result<Option<(T, usize)>, StatusCode> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut room) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < BYTES_MAX => return Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    };
    if length > BYTES_MAX {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    if !ends_in_crlf(bytes.get(..length).unwrap_or_default()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let (mut fields, mut known) = ([None; FIELDS_MAX], 0);
    for (line, field) in request.headers.iter().zip(&mut fields) {
        *field = Field::of(line.name);
        known |= field.map_or(0, Field::bit);
    }
    let head = Head {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?,
        target: Target::of(target)?,
        version: if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 },
        lines: Lines { lines: request.headers, fields: &fields, known },
    };
    head.check_length()?;
    Ok(Some((hand(&head), length)))
}

/// Whether each line feed has its carriage return (RFC 9112 §2.2). The parser takes a bare one for a line
/// end, as the standard allows; a proxy in front may not.
fn ends_in_crlf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at.checked_sub(1).and_then(|n| head.get(n)) == Some(&b'\r'))
}

impl<'b> Head<'b> {
    pub(super) fn ask(&self) -> Ask<'_, Lines<'b>> {
        let (method, version, fields) = (&self.method, self.version, &self.lines);
        match &self.target {
            Target::Plain { all, path, query } => {
                Ask { method, version, target: all, authority: None, path, query: *query, fields }
            }
            Target::Other(uri) => {
                let authority = uri.authority().map(http::uri::Authority::as_str);
                let (path, query) = (uri.path(), uri.query());
                Ask { method, version, target: target(uri), authority, path, query, fields }
            }
        }
    }

    /// Whether the reader has said that this is its last request (RFC 9112 §9.3).
    pub(super) fn is_last(&self) -> bool {
        let says = |word: &str| {
            let mut words = self.lines.texts(Field::Connection).flat_map(|value| value.split(','));
            words.any(|w| w.trim().eq_ignore_ascii_case(word))
        };
        says("close") || (self.is_1_0() && !says("keep-alive"))
    }

    /// Whether it is of the version that ends a connection unless told not to.
    pub(super) fn is_1_0(&self) -> bool {
        self.version == Version::HTTP_10
    }

    /// Whether something may follow that is not the next request.
    pub(super) fn has_body(&self) -> bool {
        self.lines.has(Field::TransferEncoding)
            || self.lines.first(Field::ContentLength).is_some_and(|length| length != b"0")
    }

    /// The request as something that outlives the bytes it came in.
    pub(super) fn owned(&self) -> Option<Request<()>> {
        let uri = match &self.target {
            Target::Plain { all, .. } => Uri::try_from(*all).ok()?,
            Target::Other(uri) => uri.clone(),
        };
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = self.version;
        for line in self.lines.lines {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(line.value).ok()?);
        }
        Some(request)
    }

    /// One length, and a number (RFC 9112 §6.3).
    fn check_length(&self) -> Result<(), StatusCode> {
        let mut lengths = self.lines.all(Field::ContentLength);
        let Some(first) = lengths.next() else { return Ok(()) };
        let is_number =
            !first.is_empty() && first.len() <= LENGTH_DIGITS_MAX && first.iter().all(u8::is_ascii_digit);
        if is_number && lengths.all(|other| other == first) { Ok(()) } else { Err(StatusCode::BAD_REQUEST) }
    }
}

impl<'b> Target<'b> {
    fn of(target: &'b str) -> Result<Self, StatusCode> {
        let is_common = |b: u8| b.is_ascii_alphanumeric() || b"/.-_~%?=&,:+@!$'()*;".contains(&b);
        if target.starts_with('/') && target.bytes().all(is_common) {
            return Ok(match target.split_once('?') {
                Some((path, query)) => Self::Plain { all: target, path, query: Some(query) },
                None => Self::Plain { all: target, path: target, query: None },
            });
        }
        Uri::try_from(target).map(Self::Other).map_err(|_| StatusCode::BAD_REQUEST)
    }
}

/// The head of a request: cookies are none of ours.
pub(super) const BYTES_MAX: usize = 16 * 1024;
/// Field lines of a request; browsers send about twenty.
const FIELDS_MAX: usize = 100;
/// Digits of the longest length there is.
const LENGTH_DIGITS_MAX: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Result<Option<String>, u16> {
        let shown = |head: &Head<'_>| {
            let ask = head.ask();
            format!(
                "{} {} {:?} last {} body {}",
                ask.method,
                ask.path,
                ask.query,
                head.is_last(),
                head.has_body()
            )
        };
        match read(text.as_bytes(), shown) {
            Ok(read) => Ok(read.map(|(seen, length)| format!("{seen} {length}"))),
            Err(status) => Err(status.as_u16()),
        }
    }

    #[test]
    fn a_head_is_read_in_one_way_or_not_at_all() {
        for (text, expected) in [
            (
                "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\nGET",
                Some("GET /a Some(\"b=c\") last false body false 32"),
            ),
            ("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Some("GET /b None last false body false 36")),
            ("GET / HTTP/1.0\r\n\r\n", Some("GET / None last true body false 18")),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("GET / None last false body false 42")),
            ("GET / HTTP/1.1\r\nconnection: te, CLOSE\r\n\r\n", Some("GET / None last true body false 41")),
            ("\r\nHEAD /x HTTP/1.1\r\n\r\n", Some("HEAD /x None last false body false 22")),
            ("POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n", Some("POST / None last false body true 38")),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Some("GET / None last false body false 37")),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Some("GET / None last false body true 46"),
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\n", None),
            ("", None),
        ] {
            assert_eq!(seen(text), Ok(expected.map(str::to_owned)), "{text:?}");
        }
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: b\rY: c\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: +4\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 4, 4\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.10\r\n\r\n",
            "GET x HTTP/1.1 \r\n\r\n",
            "GET / HTTP/1.1\r\nX: \0\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(seen(text), Err(400), "{text:?}");
        }
        let large = format!("GET / HTTP/1.1\r\nX: {}\r\n", "a".repeat(BYTES_MAX));
        assert_eq!(seen(&large), Err(431));
        assert_eq!(seen(&format!("{large}\r\n")), Err(431));
        assert_eq!(seen(&format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(101))), Err(431));
    }

    #[test]
    fn a_head_that_must_wait_keeps_everything() {
        let text = "GET /a%20b?c HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nrange: x\r\n\r\n";
        let (owned, _) = read(text.as_bytes(), |head| head.owned().unwrap()).unwrap().unwrap();
        assert_eq!(owned.uri(), "/a%20b?c");
        assert_eq!((owned.headers().len(), owned.headers().get_all("range").iter().count()), (3, 2));
    }
}
