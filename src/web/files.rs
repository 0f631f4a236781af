//! The answer for one file: conditions, representation, parts.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::body::Body;
use super::condition::{self, Condition};
use super::fields::Fields;
use super::headers::{Belonging, Composer, put};
use super::negotiate::Accepted;
use super::range::{Part, Ranges, ranges};
use super::reply::Reply;
use crate::site::{Block, Coding, Content, Entry, Head, Stored};

/// How a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its own path.
    Direct,
    /// In place of a path that is no file, because HTML was asked for.
    Fallback,
}

/// What is asked of a file.
#[derive(Debug)]
pub(super) struct Asked<'a, F> {
    pub(super) method: &'a Method,
    pub(super) fields: &'a F,
    pub(super) way: Way,
    pub(super) belonging: Belonging<'a>,
}

/// Answers with a file.
pub(super) fn answer<F: Fields>(composer: &Composer, entry: &Entry, asked: &Asked<'_, F>) -> Reply {
    let head = |coding| entry.head(coding, || composer.head(entry, coding, asked.belonging));
    let coding = select(entry, asked.fields, head);
    let Head { tag, whole, unchanged } = head(coding);
    let tag = tag.to_str().unwrap_or_default();
    match condition::evaluate(asked.fields, tag, entry.last_modified) {
        Condition::Met => {}
        Condition::NotModified => {
            return with(StatusCode::NOT_MODIFIED, unchanged, asked.way, Body::empty());
        }
        Condition::Failed => {
            // What failed is the request, not the file: nobody may keep this answer for it.
            let mut head = composer.common();
            head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Reply::new(StatusCode::PRECONDITION_FAILED, head, Body::empty());
        }
    }
    if asked.method == Method::HEAD {
        return with(StatusCode::OK, whole, asked.way, Body::empty());
    }
    let stored = representation(&entry.content, coding);
    let size = entry.content.variant(coding).map_or(entry.content.size, |v| v.len() as u64);
    let wanted = if condition::range_holds(asked.fields, tag, entry.last_modified) {
        ranges(asked.fields, size)
    } else {
        Ranges::Whole
    };
    let head = || varied(&whole.fields, asked.way);
    match wanted {
        Ranges::Whole => with(StatusCode::OK, whole, asked.way, all(&stored, size)),
        Ranges::One(part) => {
            let mut head = head();
            put(&mut head, CONTENT_RANGE, &part.content_range(size));
            head.insert(CONTENT_LENGTH, part.len.into());
            Reply::new(StatusCode::PARTIAL_CONTENT, head, Body::part(&stored, part))
        }
        Ranges::Many(parts) => many(head(), &stored, size, &parts),
        Ranges::Unsatisfiable => {
            let mut head = head();
            put(&mut head, CONTENT_RANGE, &format!("bytes */{size}"));
            head.remove(CONTENT_TYPE);
            head.remove(CONTENT_ENCODING);
            head.insert(CONTENT_LENGTH, 0.into());
            Reply::new(StatusCode::RANGE_NOT_SATISFIABLE, head, Body::empty())
        }
    }
}

/// The answer whose head is composed already.
fn with(status: StatusCode, block: &Arc<Block>, way: Way, body: Body) -> Reply {
    match way {
        Way::Direct => Reply::ready(status, block, body),
        Way::Fallback => Reply::new(status, varied(&block.fields, way), body),
    }
}

fn all(stored: &Stored, size: u64) -> Body {
    Body::part(stored, Part { start: 0, len: size })
}

/// The head as it stands, or with what else a fallback depends on.
fn varied(head: &HeaderMap, way: Way) -> HeaderMap {
    let mut head = head.clone();
    if way == Way::Fallback {
        // The same path is a 404 to whoever does not ask for HTML.
        head.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    }
    head
}

/// The representation to answer with: one that the reader says it holds, else the best that
/// there is.
fn select<'e>(entry: &'e Entry, fields: &impl Fields, head: impl Fn(Coding) -> &'e Head) -> Coding {
    let accepted = Accepted::of(fields);
    let mut available = accepted.iter().filter(|c| Composer::is_available(entry, *c));
    if !condition::is_conditional(fields) {
        return available.next().unwrap_or(Coding::Identity);
    }
    let is_held = |c: &Coding| head(*c).tag.to_str().is_ok_and(|tag| condition::names(fields, tag));
    let best = available.next();
    let held = best.into_iter().chain(available).find(is_held);
    held.or(best).unwrap_or(Coding::Identity)
}

fn representation(content: &Content, coding: Coding) -> Stored {
    content.variant(coding).map_or_else(|| content.stored.clone(), |bytes| Stored::Memory(bytes.clone()))
}

/// Several parts in one answer (RFC 9110 §14.6), if that is less than the whole.
fn many(mut head: HeaderMap, stored: &Stored, size: u64, parts: &[Part]) -> Reply {
    let kind =
        head.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/octet-stream").to_owned();
    let mut body = Body::empty();
    for part in parts {
        let range = part.content_range(size);
        body = body
            .and(format!("\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n"))
            .and_part(stored, *part);
    }
    body = body.and(format!("\r\n--{BOUNDARY}--\r\n"));
    if body.len() >= size {
        return Reply::new(StatusCode::OK, head, all(stored, size));
    }
    put(&mut head, CONTENT_TYPE, &format!("multipart/byteranges; boundary={BOUNDARY}"));
    head.insert(CONTENT_LENGTH, body.len().into());
    Reply::new(StatusCode::PARTIAL_CONTENT, head, body)
}

/// Fixed, as the parts say their own length: a file that held this line could not end a part.
const BOUNDARY: &str = "prep-parte-5f1d0c9a7b3e42c8";
