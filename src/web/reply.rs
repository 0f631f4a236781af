//! An answer before it takes the form of its protocol.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::body::Body;
use crate::site::Block;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    said: Said,
    pub(super) body: Body,
}

/// Its header block.
#[derive(Debug)]
enum Said {
    /// Composed once for all answers with it.
    Ready(Arc<Block>),
    /// Composed for this one.
    Made(HeaderMap),
}

impl Reply {
    /// An answer with these headers.
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { status, said: Said::Made(headers), body }
    }

    /// An answer with a block that was composed for this status.
    pub(super) fn ready(status: StatusCode, block: &Arc<Block>, body: Body) -> Self {
        Self { status, said: Said::Ready(Arc::clone(block)), body }
    }

    /// The headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        match &self.said {
            Said::Ready(block) => &block.fields,
            Said::Made(headers) => headers,
        }
    }

    /// The headers, to be changed for this answer alone.
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        if let Said::Ready(block) = &self.said {
            self.said = Said::Made(block.fields.clone());
        }
        match &mut self.said {
            Said::Made(headers) => headers,
            // Made above.
            Said::Ready(block) => &mut Arc::make_mut(block).fields,
        }
    }

    /// The same, of its body only what the headers say of it: the answer to HEAD.
    pub(super) fn without_body_if(mut self, is_so: bool) -> Self {
        if is_so {
            self.body = Body::empty();
        }
        self
    }

    /// Status line and field lines, as HTTP/1 has them.
    pub(super) fn lines(&mut self) -> Bytes {
        match &mut self.said {
            Said::Ready(block) => block.lines.clone(),
            Said::Made(headers) => {
                if self.status != StatusCode::NOT_MODIFIED {
                    headers.entry(CONTENT_LENGTH).or_insert_with(|| self.body.len().into());
                }
                lines(self.status, headers)
            }
        }
    }

    /// The answer as HTTP/2 takes it.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = match self.said {
            Said::Ready(block) => block.fields.clone(),
            Said::Made(headers) => headers,
        };
        response
    }
}

/// A header block in both forms.
pub(super) fn block(status: StatusCode, fields: HeaderMap) -> Arc<Block> {
    let lines = lines(status, &fields);
    Arc::new(Block { fields, lines })
}

/// Status line and field lines (RFC 9112 §4, §5).
fn lines(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut out = Vec::with_capacity(LINES_BYTES);
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(HeaderValue::as_bytes(value));
        out.extend_from_slice(b"\r\n");
    }
    out.shrink_to_fit();
    Bytes::from(out)
}

/// What a usual block takes.
const LINES_BYTES: usize = 768;
