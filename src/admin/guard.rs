//! What every request must satisfy before a page sees it, and what every answer carries.
//!
//! Pages are given [`Session`] and [`Peer`] as extensions and rely on this: whoever asks came in
//! by a link, reached us under a name of ours, and a form was ours and is allowed.

use std::net::IpAddr;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Form, FromRequest as _, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, SET_COOKIE,
};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::{House, Session};
use crate::config::Admin;
use crate::ledger::{Entry, Kind};
use crate::model::Lang;

/// Where a request comes from; `None` over a unix socket, which only the instance's own user can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

impl Peer {
    /// Whether it may connect at all: for the pages, or for the metrics alone.
    pub(super) fn connects(self, admin: &Admin) -> bool {
        self.comes_in(admin) || self.measures(admin)
    }

    /// Whether pages are for it.
    fn comes_in(self, admin: &Admin) -> bool {
        self.0.is_none_or(|addr| admin.allow.iter().any(|net| net.contains(&addr)))
    }

    /// Whether it reads the metrics without a session.
    fn measures(self, admin: &Admin) -> bool {
        self.0.map_or(!admin.metrics.is_empty(), |addr| admin.metrics.iter().any(|net| net.contains(&addr)))
    }
}

/// The pages behind all checks.
pub(super) fn guarded(house: House, pages: Router<House>) -> Router {
    let inner = pages.route("/salir", post(leave)).fallback(nothing).with_state(house.clone());
    let inner = inner.layer(middleware::from_fn_with_state(house.clone(), admit));
    let open = Router::new().route("/healthz", get(health)).route("/login", get(login));
    open.with_state(house.clone())
        .merge(Router::new().fallback_service(inner))
        .layer(middleware::from_fn_with_state(house, screen))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER))
}

/// First of all checks: the name we were reached by and the page that asks. Last of all: the headers of
/// whatever is answered.
async fn screen(State(house): State<House>, request: Request, next: Next) -> Response {
    let config = house.config();
    let lang = config.lang;
    let peer = peer(&request);
    let for_metrics = request.uri().path() == METRICS && peer.measures(&config.admin);
    let mut response = if !peer.comes_in(&config.admin) && !for_metrics {
        refuse(StatusCode::FORBIDDEN, lang, FOREIGN_NETWORK)
    } else if !host_is_ours(request.headers(), &config.admin) {
        refuse(StatusCode::MISDIRECTED_REQUEST, lang, FOREIGN_HOST)
    } else if !origin_is_ours(&request) {
        refuse(StatusCode::FORBIDDEN, lang, FOREIGN_ORIGIN)
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Who came in goes on, and may act where actions are allowed and the form is ours.
async fn admit(State(house): State<House>, mut request: Request, next: Next) -> Response {
    let config = house.config();
    let lang = config.lang;
    if request.uri().path() == METRICS && peer(&request).measures(&config.admin) {
        return next.run(request).await;
    }
    let secret = cookie(request.headers());
    let Some(session) = secret.and_then(|s| house.entrance.session(s, house.clock.now())) else {
        return refuse(StatusCode::UNAUTHORIZED, lang, NO_SESSION);
    };
    if !request.method().is_safe() {
        let leaves = request.uri().path() == "/salir";
        if !config.admin.actions && !leaves {
            return refuse(StatusCode::FORBIDDEN, lang, READ_ONLY);
        }
        request = match with_token(request, &session).await {
            Ok(request) => request,
            Err(status) => return refuse(status, lang, FOREIGN_FORM),
        };
    }
    request.extensions_mut().insert(session);
    next.run(request).await
}

/// The request whole again, if it is a form that carries the session's token.
async fn with_token(request: Request, session: &Session) -> Result<Request, StatusCode> {
    let is_form = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let whole = |bytes: Bytes| Request::from_parts(parts.clone(), Body::from(bytes));
    let form = Form::<Token>::from_request(whole(bytes.clone()), &()).await;
    let token = form.map_err(|_| StatusCode::FORBIDDEN)?.0.csrf;
    match token.as_bytes().ct_eq(session.csrf.as_bytes()).into() {
        true => Ok(whole(bytes)),
        false => Err(StatusCode::FORBIDDEN),
    }
}

#[derive(Deserialize)]
struct Token {
    csrf: String,
}

#[derive(Deserialize)]
struct Opened {
    #[serde(default)]
    t: String,
}

/// Uses a link up and lets its bearer in.
async fn login(State(house): State<House>, Query(opened): Query<Opened>, request: Request) -> Response {
    let config = house.config();
    let peer = peer(&request);
    if !peer.comes_in(&config.admin) {
        return refuse(StatusCode::FORBIDDEN, config.lang, FOREIGN_NETWORK);
    }
    let lasts = SignedDuration::try_from(config.admin.session).unwrap_or(SignedDuration::ZERO);
    let entered = match house.entrance.enter(&opened.t, lasts, house.clock.now()) {
        Ok(entered) => entered,
        Err(error) => {
            tracing::error!(%error, "no session can be made");
            None
        }
    };
    let Some((secret, session)) = entered else {
        tracing::warn!(from = ?peer.0, "admin page: a link that is used up, has ended or never was");
        return refuse(StatusCode::UNAUTHORIZED, config.lang, USED_LINK);
    };
    let entry = Entry::new(Kind::Admin).with("what", "entered").with("who", &session.who);
    if let Err(error) = house.ledger.note(entry.with_some("addr", peer.0)) {
        tracing::error!(%error, "the ledger cannot be written");
    }
    let cookie = format!(
        "{SESSION}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
        config.admin.session.as_secs()
    );
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Ends the session.
async fn leave(State(house): State<House>, headers: HeaderMap) -> Response {
    if let Some(secret) = cookie(&headers) {
        house.entrance.leave(secret);
    }
    let gone = format!("{SESSION}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(SET_COOKIE, gone)], Redirect::to("/")).into_response()
}

/// Says that the service answers, and nothing else: for monitors on this machine.
async fn health(State(house): State<House>) -> Response {
    match house.status().await {
        Some(_) => "ok\n".into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no\n").into_response(),
    }
}

async fn nothing(State(house): State<House>) -> Response {
    refuse(StatusCode::NOT_FOUND, house.config().lang, NOTHING)
}

fn peer(request: &Request) -> Peer {
    // Missing only where a test calls the service without a listener: then it is a stranger.
    let nowhere = Peer(Some(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
    request.extensions().get::<Peer>().copied().unwrap_or(nowhere)
}

/// A page of another name that resolves to our address (DNS rebinding) still asks under its own
/// name. A bare address cannot be rebound.
fn host_is_ours(headers: &HeaderMap, admin: &Admin) -> bool {
    let Some(host) = headers.get(HOST).and_then(|h| h.to_str().ok()) else { return false };
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || admin.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// What another site makes a browser send is told by the browser (`Origin`, `Sec-Fetch-Site`).
fn origin_is_ours(request: &Request) -> bool {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if let Some(origin) = headers.get(ORIGIN) {
        let own = |scheme: &str| origin.as_bytes() == format!("{scheme}://{host}").as_bytes();
        return own("http") || own("https");
    }
    let from_elsewhere = text(HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"));
    // A link in a message may be followed: that is a GET, and the cookie stays at home.
    !from_elsewhere || *request.method() == Method::GET
}

/// The secret of the session, from the cookies.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION).then_some(value)
    })
}

/// A page of one sentence.
fn refuse(status: StatusCode, lang: Lang, (es, en): (&str, &str)) -> Response {
    let code = lang.pick("es", "en");
    let text = lang.pick(es, en);
    let page = format!(
        "<!doctype html><html lang=\"{code}\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>difusor</title><main><h1>{}</h1><p>{text}</p></main></html>\n",
        status.as_u16()
    );
    (status, Html(page)).into_response()
}

/// The cookie's name.
const SESSION: &str = "difusor_admin";
/// The one path that networks of `admin.metrics` read without a session.
const METRICS: &str = "/metrics";
/// A form of ours is a reason and a few names.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Until the head of an answer; events that are followed live begin at once.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);
/// Nothing but our own files; nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// On every answer.
const ALWAYS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // A link's token must not travel on.
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

const FOREIGN_NETWORK: (&str, &str) = (
    "Esta dirección no está en las redes de admin.allow.",
    "This address is not in the networks of admin.allow.",
);
const FOREIGN_HOST: (&str, &str) = (
    "Se llegó aquí con un nombre que no es nuestro: use localhost o la dirección, o agregue el nombre a admin.hosts.",
    "This was reached by a name that is not ours: use localhost or the address, or add the name to admin.hosts.",
);
const FOREIGN_ORIGIN: (&str, &str) =
    ("La consulta viene de otra página.", "The request comes from another page.");
const FOREIGN_FORM: (&str, &str) = (
    "El formulario no es de esta sesión: vuelva a la página y envíelo de nuevo.",
    "The form is not of this session: go back to the page and send it again.",
);
const NO_SESSION: (&str, &str) = (
    "Para entrar pida un enlace en el servidor: <code>difusor admin link</code>",
    "To come in ask for a link on the server: <code>difusor admin link</code>",
);
const USED_LINK: (&str, &str) = (
    "El enlace ya se usó o venció (dura 10 minutos). Pida otro: <code>difusor admin link</code>",
    "The link was used or has ended (it lasts 10 minutes). Ask for another: <code>difusor admin link</code>",
);
const READ_ONLY: (&str, &str) = (
    "Aquí solo se mira. Para actuar desde la página: <code>[admin] actions = true</code> y <code>difusor reload</code>",
    "This page only shows. To act from it: <code>[admin] actions = true</code> and <code>difusor reload</code>",
);
const NOTHING: (&str, &str) = ("No hay nada aquí.", "There is nothing here.");
