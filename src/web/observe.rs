//! What is kept of each request for the access log. Everything that the door does about it is here and
//! in the calls of `connection` and `http1`.

use std::net::IpAddr;
use std::time::Instant;

use http::Version;
use http::header::CONTENT_ENCODING;

use super::fields::{Ask, Field, Fields};
use super::headers::X_PREP_CORTE;
use super::reply::Reply;
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
    pub(super) fn asked<F: Fields>(&self, ask: &Ask<'_, F>, began: Instant) -> Observed {
        let first = |field| ask.fields.first(field).unwrap_or_default();
        self.sink.observe(&Asked {
            peer: self.peer,
            began,
            method: ask.method.as_str().as_bytes(),
            target: ask.target.as_bytes(),
            protocol: match ask.version {
                Version::HTTP_10 | Version::HTTP_09 => Protocol::Http10,
                Version::HTTP_2 => Protocol::Http2,
                Version::HTTP_3 => Protocol::Http3,
                _ => Protocol::Http11,
            },
            tls: self.tls,
            host: ask.authority.map_or_else(|| first(Field::Host), str::as_bytes),
            referer: first(Field::Referer),
            agent: first(Field::UserAgent),
            // A proxy adds itself to the last line (RFC 9110 §5.3).
            forwarded: ask.fields.all(Field::XForwardedFor).last().unwrap_or_default(),
        })
    }
}

/// Its answer begins; what is observed is told how much of it leaves, and dropped at the end.
pub(super) fn answered(mut observed: Observed, reply: &Reply) -> Observed {
    let value = |name| reply.headers().get(name).map_or(b"".as_slice(), |value| value.as_bytes());
    observed.answered(reply.status.as_u16(), value(X_PREP_CORTE), value(CONTENT_ENCODING));
    observed
}
