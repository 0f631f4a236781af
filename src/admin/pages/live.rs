//! Tells a browser that something changed (server-sent events): one with each line of the ledger, and one
//! now and then, so that ages and hours go on.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::super::House;

/// A stream that ends by itself after a while: the browser asks again, and a session that ended is told so.
pub(super) async fn events(State(house): State<House>) -> Response {
    let (to, from) = mpsc::channel(1);
    tokio::spawn(tell(house, to));
    ([(CONTENT_TYPE, "text/event-stream")], axum::body::Body::new(Events(from))).into_response()
}

async fn tell(house: House, to: mpsc::Sender<Bytes>) {
    let mut lines = house.ledger.follow();
    let mut beat = tokio::time::interval(BEAT);
    let end = tokio::time::sleep(LASTS);
    tokio::pin!(end);
    loop {
        tokio::select! {
            line = lines.recv() => if matches!(line, Err(RecvError::Closed)) { return },
            _ = beat.tick() => {}
            () = &mut end => return,
            () = to.closed() => return,
        }
        let head = house.ledger.head().n;
        // One that waits already says the same.
        if let Err(mpsc::error::TrySendError::Closed(_)) =
            to.try_send(Bytes::from(format!("event: cambio\ndata: {head}\n\n")))
        {
            return;
        }
    }
}

struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Without a line of the ledger.
const BEAT: Duration = Duration::from_secs(10);
/// One stream.
const LASTS: Duration = Duration::from_secs(600);
