//! HTTP/1 on one connection (RFC 9112): heads in, answers out, one after the other.
//!
//! A head is looked at in the buffer of TLS and answered from blocks that were composed before; a
//! connection that waits holds no buffer of ours. Nothing is read while an answer is being written, so whoever sends
//! many requests at once waits for as many answers, and what it sends meanwhile stays in its kernel.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::StatusCode;
use http::request::Parts;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::admission::Leave;
use super::connection::Visit;
use super::date::Close;
use super::head::{self, BYTES_MAX, Head};
use super::meter::Ticket;
use super::observe;
use super::reply::Reply;
use crate::stats::Observed;

/// One connection.
struct Line<'v, S> {
    stream: S,
    visit: &'v Visit,
    /// The beginning of a head whose rest has not come; empty, and no allocation, most of the time.
    kept: Vec<u8>,
}

/// One request, and what is to be said to it.
struct Turn {
    answer: Answer,
    close: Close,
    /// Whether something may follow that is nobody's request.
    is_followed: bool,
    ticket: Ticket,
    observed: Option<Observed>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are ready: a box would be an allocation a request")]
enum Answer {
    Ready(Reply),
    /// It has to be waited for.
    Later(Box<(Parts, Leave)>),
}

/// How a conversation came to its end.
#[derive(PartialEq, Eq)]
enum End {
    /// Both sides know.
    Agreed,
    /// The peer may be sending still.
    Ours,
}

/// Answers requests until one side has had enough.
pub(super) async fn serve<S>(stream: S, visit: &Visit)
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    let mut line = Line { stream, visit, kept: Vec::new() };
    // An error is the end of this connection and nobody else's affair.
    let Ok(end) = line.converse().await else { return };
    if line.stream.shutdown().await.is_ok() && end == End::Ours {
        let _ = timeout(DRAINED_FOR, line.drain()).await;
    }
}

impl<S: AsyncBufRead + AsyncWrite + Unpin> Line<'_, S> {
    async fn converse(&mut self) -> io::Result<End> {
        while let Some(turn) = poll_fn(|cx| self.poll_turn(cx)).await? {
            let Turn { answer, close, is_followed, ticket, observed } = turn;
            let reply = match answer {
                Answer::Ready(reply) => reply,
                Answer::Later(asked) => Box::pin(self.visit.answer_later(&asked.0, asked.1)).await,
            };
            // It may have come to its end meanwhile.
            let close = if self.visit.is_stopping() { Close::Yes } else { close };
            let observed = observed.map(|observed| observe::answered(observed, &reply));
            self.send(reply, close, observed).await?;
            drop(ticket);
            if close == Close::Yes {
                return Ok(if is_followed { End::Ours } else { End::Agreed });
            }
        }
        Ok(End::Agreed)
    }

    /// The next request; `None` at the end of all.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Turn>>> {
        loop {
            if self.kept.is_empty() && self.visit.is_over() {
                return Poll::Ready(Ok(None));
            }
            let chunk = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
            if chunk.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let (turn, used) = hear(self.visit, &mut self.kept, chunk);
            Pin::new(&mut self.stream).consume(used);
            if turn.is_some() {
                return Poll::Ready(Ok(turn));
            }
        }
    }

    /// Writes an answer to its end, and tells of it: this is where every answer ends.
    async fn send(
        &mut self,
        mut reply: Reply,
        close: Close,
        mut observed: Option<Observed>,
    ) -> io::Result<()> {
        let (lines, tail) = (reply.lines(), self.visit.tail(close));
        let mut body = std::mem::take(&mut reply.body);
        let first = body.next().await.transpose()?.unwrap_or_default();
        let head = lines.len() + tail.len();
        self.write(lines.chain(tail).chain(first), head, &mut observed).await?;
        while let Some(piece) = body.next().await {
            self.write(piece?, 0, &mut observed).await?;
        }
        self.stream.flush().await?;
        observed.iter_mut().for_each(Observed::whole);
        Ok(())
    }

    /// Writes these bytes, of which the first belong to no body.
    async fn write(
        &mut self,
        mut out: impl Buf,
        mut head: usize,
        observed: &mut Option<Observed>,
    ) -> io::Result<()> {
        while out.has_remaining() {
            let count = self.stream.write_buf(&mut out).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_body = count.saturating_sub(head) as u64;
            observed.iter_mut().for_each(|observed| observed.sent(of_body));
            head = head.saturating_sub(count);
        }
        Ok(())
    }

    /// Takes what is on its way: a socket that is closed over unread bytes resets, and a reset may reach the
    /// peer before the answer does (RFC 9112 §9.6).
    async fn drain(&mut self) {
        let mut left = DRAINED_BYTES_MAX;
        while let Ok(chunk) = self.stream.fill_buf().await {
            let count = chunk.len();
            if count == 0 || count > left {
                return;
            }
            left -= count;
            self.stream.consume(count);
        }
    }
}

/// Looks for a head at the beginning of what has come: the turn that it makes, and how much of `chunk` is used.
fn hear(visit: &Visit, kept: &mut Vec<u8>, chunk: &[u8]) -> (Option<Turn>, usize) {
    let before = kept.len();
    let heard = if before == 0 {
        head::read(chunk, |head| Turn::of(visit, head))
    } else {
        kept.extend_from_slice(chunk);
        // Every head ends in a line feed: without one there is nothing new to be seen.
        let is_worth_it = kept.len() >= BYTES_MAX || memchr::memchr(b'\n', chunk).is_some();
        if is_worth_it { head::read(kept, |head| Turn::of(visit, head)) } else { Ok(None) }
    };
    match heard {
        Ok(Some((turn, length))) => {
            *kept = Vec::new();
            (Some(turn), length.saturating_sub(before))
        }
        Ok(None) => {
            if before == 0 {
                kept.extend_from_slice(chunk);
            }
            (None, chunk.len())
        }
        Err(status) => {
            *kept = Vec::new();
            (Some(Turn::refusing(visit, status)), chunk.len())
        }
    }
}

impl Turn {
    fn of(visit: &Visit, head: &Head<'_>) -> Self {
        let now = Instant::now();
        let ticket = visit.meter.request(now);
        let leave = visit.permit.request();
        let ask = head.ask();
        let observed = visit.observe(&ask, now);
        let is_followed = head.has_body();
        let answer = match visit.prompt(&ask, leave) {
            Some(reply) => Answer::Ready(reply),
            None => match head.owned() {
                Some(request) => Answer::Later(Box::new((request.into_parts().0, leave))),
                None => Answer::Ready(visit.refuse(StatusCode::BAD_REQUEST)),
            },
        };
        // What follows may be a body or a smuggled request: it is neither read nor guessed at.
        let close = match () {
            () if is_followed || leave == Leave::Shed || head.is_last() => Close::Yes,
            () if head.is_1_0() => Close::NoAsAsked,
            () => Close::No,
        };
        Self { answer, close, is_followed, ticket, observed }
    }

    /// The answer to what is no request.
    fn refusing(visit: &Visit, status: StatusCode) -> Self {
        let ticket = visit.meter.request(Instant::now());
        visit.permit.request();
        let answer = Answer::Ready(visit.refuse(status));
        Self { answer, close: Close::Yes, is_followed: true, ticket, observed: None }
    }
}

/// How long a peer that is told to go may go on sending, and how much.
const DRAINED_FOR: Duration = Duration::from_secs(1);
const DRAINED_BYTES_MAX: usize = 256 * 1024;
