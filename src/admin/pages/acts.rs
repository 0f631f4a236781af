//! Forms: each is one order of the command line, put to the running service under the name of who came in.

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, extract::Query};
use http::StatusCode;
use serde::Deserialize;

use super::super::{House, Session};
use super::{Asked, night};
use crate::config;
use crate::control::{Answer, IncidentAct, NightAct, Request};
use crate::incident::Remark;
use crate::ledger::{Entry, Kind};
use crate::model::{Lang, ReleaseId};

/// What became of an order.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) done: bool,
    pub(super) text: String,
}

/// The fields of all forms; each uses its own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    release: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    number: String,
}

/// Puts the order, and shows the page with what became of it.
pub(super) async fn act(
    State(house): State<House>,
    Path(act): Path<String>,
    Query(asked): Query<Asked>,
    Extension(session): Extension<Session>,
    Form(fields): Form<Fields>,
) -> Response {
    let lang = asked.lang(&house);
    let said = match request(&act, fields, &session.who, lang) {
        Ok(Some(request)) => order(&house, request, &act, &session.who, lang).await,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(text) => Said { done: false, text },
    };
    night::page(&house, &session, lang, Some(said)).await
}

async fn order(house: &House, request: Request, act: &str, who: &str, lang: Lang) -> Said {
    // The service records what it does; that it was asked from the page is recorded here.
    let entry = Entry::new(Kind::Admin).with("what", "asked").with("act", act).with("who", who);
    if let Err(error) = house.ledger.note(entry) {
        tracing::error!(%error, "the ledger cannot be written");
    }
    match house.ask(request).await {
        Some(Answer::Done { message }) => Said { done: true, text: message },
        Some(Answer::Refused { message, .. }) => Said { done: false, text: message },
        Some(_) | None => {
            let text = lang.pick("el servicio no respondió a tiempo", "the service did not answer in time");
            Said { done: false, text: text.to_owned() }
        }
    }
}

/// The order that a form means; `None` where no form is called so.
pub(super) fn request(act: &str, fields: Fields, who: &str, lang: Lang) -> Result<Option<Request>, String> {
    let Fields { reason, release, time, text, number } = fields;
    let operator = who.to_owned();
    let reason = |needed: bool| match reason.trim() {
        "" if needed => Err(lang.pick("falta el motivo", "the reason is missing").to_owned()),
        reason => Ok(reason.to_owned()),
    };
    let seconds = |needed: bool| match time.trim() {
        "" if !needed => Ok(None),
        time => config::duration(time, lang).map(|d| Some(d.as_secs())),
    };
    let number = || {
        number.trim().parse::<u64>().map_err(|_| {
            lang.pick("falta el número del incidente", "the incident's number is missing").to_owned()
        })
    };
    let request = match act {
        "retener" => {
            let seconds = seconds(true)?.unwrap_or_default();
            Request::Hold { seconds, operator, reason: reason(true)? }
        }
        "seguir" => Request::Resume { operator, reason: reason(false)? },
        "volver" => {
            let known = |text: &str| {
                ReleaseId::parse(text)
                    .ok_or_else(|| lang.pick("no hay tal corte", "there is no such cut").to_owned())
            };
            let release = Some(release.trim()).filter(|r| !r.is_empty()).map(known).transpose()?;
            Request::Rollback { release, operator, reason: reason(true)?, hold_s: seconds(false)? }
        }
        "avisar" => Request::NoticeOn { text, operator, reason: reason(true)? },
        "quitar-aviso" => Request::NoticeOff { operator, reason: reason(true)? },
        "cerrar-noche" => Request::Night { act: NightAct::Close, operator, reason: reason(true)? },
        "reabrir-noche" => Request::Night { act: NightAct::Reopen, operator, reason: reason(true)? },
        "aceptar" => Request::Night { act: NightAct::Accept, operator, reason: reason(true)? },
        "anotar" => {
            let remark = Remark { who: Some(who.to_owned()), text, ..Remark::default() };
            Request::Incident { act: IncidentAct::Note { number: number()?, remark }, operator }
        }
        "cerrar" => {
            Request::Incident { act: IncidentAct::Close { number: number()?, action: text }, operator }
        }
        "probar-avisos" => Request::AlertTest { channel: None, operator },
        _ => return Ok(None),
    };
    Ok(Some(request))
}
