//! What is kept of each request for the access log. Everything that the door does about it is here and
//! in two calls of `connection`.

use std::net::IpAddr;
use std::time::Instant;

use http::header::{CONTENT_ENCODING, HOST, HeaderName, REFERER, USER_AGENT};
use http::{HeaderMap, Request, Response, Version};

use super::body::Body;
use super::headers::X_PREP_CORTE;
use crate::stats::{Asked, Observed, Protocol, Sink, Tls};

/// One connection, as the log sees it.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    sink: Sink,
    peer: IpAddr,
    pub(super) tls: Tls,
}

impl Observer {
    pub(super) fn new(sink: Sink, peer: IpAddr) -> Self {
        Self { sink, peer: peer.to_canonical(), tls: Tls::None }
    }

    /// A request has come.
    pub(super) fn asked<B>(&self, request: &Request<B>, began: Instant) -> Observed {
        let (uri, headers) = (request.uri(), request.headers());
        let authority = uri.authority().map(|a| a.as_str().as_bytes());
        self.sink.observe(&Asked {
            peer: self.peer,
            began,
            method: request.method().as_str().as_bytes(),
            target: uri.path_and_query().map_or(b"*".as_slice(), |p| p.as_str().as_bytes()),
            protocol: match request.version() {
                Version::HTTP_10 | Version::HTTP_09 => Protocol::Http10,
                Version::HTTP_2 => Protocol::Http2,
                Version::HTTP_3 => Protocol::Http3,
                _ => Protocol::Http11,
            },
            tls: self.tls,
            host: authority.unwrap_or_else(|| value(headers, HOST)),
            referer: value(headers, REFERER),
            agent: value(headers, USER_AGENT),
            // A proxy adds itself to the last line (RFC 9110 §5.3).
            forwarded: headers.get_all(X_FORWARDED_FOR).iter().next_back().map_or(b"", |v| v.as_bytes()),
        })
    }
}

/// Its answer begins; what is observed lives in the body, to the end of it.
pub(super) fn answered(mut observed: Observed, response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let (cut, encoding) = (value(headers, X_PREP_CORTE), value(headers, CONTENT_ENCODING));
    observed.answered(response.status().as_u16(), cut, encoding);
    response.map(|body| body.observed(observed))
}

fn value(headers: &HeaderMap, name: HeaderName) -> &[u8] {
    headers.get(name).map_or(b"", |value| value.as_bytes())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
