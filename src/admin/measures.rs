//! What monitors read: `/metrics`, in the form they ask for.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::House;
use crate::metrics::{Form, Scene};

pub(super) fn routes() -> Router<House> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(house): State<House>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let form = Form::accepted(accept);
    let (status, readers) = tokio::join!(house.status(), house.readers());
    let var = house.config().paths.var.clone();
    let scene = Scene { now: house.clock.now(), status, readers, var };
    let measured = house.metrics.clone();
    // The disk is asked.
    let text = tokio::task::spawn_blocking(move || measured.text(&scene, form)).await;
    match text {
        Ok(Ok(text)) => ([(CONTENT_TYPE, form.content_type())], text).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
