//! The page of the night: gathers what the house knows, once, and shows it.

use std::collections::BTreeSet;

use askama::Template as _;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;

use super::super::{House, Session};
use super::view::Page;
use super::{Asked, acts::Said};
use crate::access::{Keyring, Uses};
use crate::cadence::{self, Timing};
use crate::config::Config;
use crate::control::{Readers, Status};
use crate::durable::{Dir, Space};
use crate::incident::{self, Incident};
use crate::ledger::{self, Filter, Kind};
use crate::model::Lang;

/// What there is to see at one moment. A part that could not be read is left out, and the page says so.
pub(super) struct Sight {
    pub(super) now: Timestamp,
    pub(super) status: Option<Status>,
    pub(super) readers: Option<Readers>,
    /// Receptions of the night, oldest first.
    pub(super) cuts: Vec<Timing>,
    /// Oldest first.
    pub(super) incidents: Vec<Incident>,
    pub(super) keys: Option<Keyring>,
    pub(super) uses: Uses,
    pub(super) space: Option<Space>,
    /// Number and sum of the last line of the ledger.
    pub(super) head: (u64, String),
    /// Refusals before anything was stored, since the night began.
    pub(super) refused: u64,
    /// Parts that could not be read.
    pub(super) missing: BTreeSet<&'static str>,
}

/// Shows the page.
pub(super) async fn show(
    State(house): State<House>,
    Query(asked): Query<Asked>,
    Extension(session): Extension<Session>,
) -> Response {
    page(&house, &session, asked.lang(&house), None).await
}

/// The page as it is now, below what was just said.
pub(super) async fn page(house: &House, session: &Session, lang: Lang, said: Option<Said>) -> Response {
    let sight = look(house).await;
    let config = house.config();
    let status = match &said {
        Some(said) if !said.done => StatusCode::CONFLICT,
        _ => StatusCode::OK,
    };
    match Page::of(&sight, &config, session, lang, said).render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the admin page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn look(house: &House) -> Sight {
    let (status, readers) = tokio::join!(house.status(), house.readers());
    let (config, ledger, now) = (house.config(), house.ledger.clone(), house.clock.now());
    let head = ledger.head();
    let head = (head.n, head.sha256.to_string());
    let read = tokio::task::spawn_blocking(move || read(&config, &ledger.dir(), now)).await;
    let disk = read.unwrap_or_default();
    Sight {
        now,
        status,
        readers,
        cuts: disk.cuts,
        incidents: disk.incidents,
        keys: disk.keys,
        uses: disk.uses,
        space: disk.space,
        head,
        refused: disk.refused,
        missing: disk.missing,
    }
}

/// What lies on disk.
#[derive(Default)]
struct Kept {
    cuts: Vec<Timing>,
    incidents: Vec<Incident>,
    keys: Option<Keyring>,
    uses: Uses,
    space: Option<Space>,
    refused: u64,
    missing: BTreeSet<&'static str>,
}

fn read(config: &Config, ledger: &Dir, now: Timestamp) -> Kept {
    let mut missing = BTreeSet::new();
    let mut told = |part: &'static str, why: &dyn std::fmt::Display| {
        tracing::warn!(%why, part, "the admin page cannot read this");
        missing.insert(part);
    };
    let since = now.checked_sub(NIGHT).ok();
    let cuts = cadence::timings(ledger, since, None).unwrap_or_else(|e| {
        told("ledger", &e);
        Vec::new()
    });
    let incidents = incident::read(ledger).unwrap_or_else(|e| {
        told("incidents", &e);
        Vec::new()
    });
    let keys =
        Keyring::load(&config.paths.keys.join("trusted"), &config.zone).map_err(|e| told("keys", &e)).ok();
    let space = Dir::open(&config.paths.var).and_then(|var| var.space()).map_err(|e| told("disk", &e)).ok();
    let filter = Filter { since, until: None, kinds: vec![Kind::Refused] };
    let refused = ledger::read(ledger, filter)
        .map(|lines| lines.flatten().filter_map(|line| line.fields.get("count")?.as_u64()).sum())
        .unwrap_or_default();
    let uses = Uses::load(&config.paths.var);
    Kept { cuts, incidents, keys, uses, space, refused, missing }
}

/// What the page looks back on.
const NIGHT: jiff::SignedDuration = jiff::SignedDuration::from_hours(36);
