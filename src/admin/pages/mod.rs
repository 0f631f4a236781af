//! The pages, as routes over [`House`]. Each page is a file here; it is merged below and stands behind
//! every check of `guard`.
//!
//! The one page of the night: `night` gathers what the house knows → `view` puts it in words →
//! `page.html`. `strip` draws the cuts, `acts` takes the forms, `live` tells a browser that something changed.
//! It is whole without script: `vivo.js` only fetches it again.

mod acts;
mod live;
mod night;
mod strip;
#[cfg(test)]
mod tests;
mod view;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::{House, Session};
use crate::model::Lang;

/// All pages.
pub(super) fn routes() -> Router<House> {
    Router::new()
        .route("/", get(night::show))
        .route("/estado.json", get(state))
        .route("/eventos", get(live::events))
        .route("/actuar/{act}", post(acts::act))
        .route("/estilo.css", get(|| file("text/css; charset=utf-8", include_str!("estilo.css"))))
        .route("/vivo.js", get(|| file("text/javascript; charset=utf-8", include_str!("vivo.js"))))
}

/// The language that a page is asked for in.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    lang: String,
}

impl Asked {
    fn lang(&self, house: &House) -> Lang {
        match self.lang.as_str() {
            "en" => Lang::En,
            "es" => Lang::Es,
            _ => house.config().lang,
        }
    }
}

/// What `difusor status --json` says, for whoever came in.
async fn state(
    State(house): State<House>,
    Query(_): Query<Asked>,
    Extension(session): Extension<Session>,
) -> Response {
    let Some(status) = house.status().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let readers = house.readers().await;
    tracing::debug!(who = session.who, "admin page");
    Json(crate::control::Status { readers, ..status }).into_response()
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}
