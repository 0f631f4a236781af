//! The pages, as routes over [`House`]. Each page is a file here with a function `routes()`; it is merged
//! below and stands behind every check of `guard`.

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::StatusCode;

use super::{House, Session};

/// All pages.
pub(super) fn routes() -> Router<House> {
    Router::new().route("/", get(state)).route("/estado.json", get(state))
}

/// What `difusor status --json` says, for whoever came in.
async fn state(State(house): State<House>, Extension(session): Extension<Session>) -> Response {
    let Some(status) = house.status().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let readers = house.readers().await;
    tracing::debug!(who = session.who, "admin page");
    Json(crate::control::Status { readers, ..status }).into_response()
}
