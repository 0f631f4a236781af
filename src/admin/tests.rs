use std::net::Ipv4Addr;

use axum::Extension;
use axum::body::Body;
use http::{Request as HttpRequest, Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tower::ServiceExt as _;

use super::*;
use crate::durable::Dir;

/// The guard around one page that shows its form token and takes a form.
struct Rig {
    _dir: tempfile::TempDir,
    house: House,
    service: axum::Router,
    _settings: watch::Sender<Arc<Config>>,
}

fn rig(admin: &str) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse(&dir.path().join("difusor.toml"), &format!("[admin]\n{admin}\n")).unwrap();
    let clock = Clock::at(Timestamp::UNIX_EPOCH);
    let (ledger, _) =
        Ledger::open_with(&Dir::open(dir.path()).unwrap(), clock.clone(), TimeZone::UTC, 0).unwrap();
    let (settings, config) = watch::channel(Arc::new(config));
    let house = House {
        config,
        clock,
        ledger,
        control: mpsc::channel(1).0,
        readers: dir.path().join("readers.sock"),
        entrance: Entrance::default(),
        metrics: Metrics::default(),
    };
    let page = |Extension(session): Extension<Session>| async move { session.csrf };
    let pages = axum::Router::new().route("/", axum::routing::get(page).post(page));
    let service = guard::guarded(house.clone(), pages.merge(measures::routes()));
    Rig { _dir: dir, house, service, _settings: settings }
}

const HERE: Peer = Peer(Some(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST)));

impl Rig {
    async fn ask(&self, peer: Peer, request: http::request::Builder, body: &str) -> Response<Body> {
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(peer);
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// The cookie of a new session.
    async fn enter(&self) -> String {
        let (token, _) = self.house.entrance.link("ana".to_owned(), self.house.clock.now()).unwrap();
        let entered = self.ask(HERE, get(&format!("/login?t={token}")), "").await;
        assert_eq!(entered.status(), StatusCode::SEE_OTHER);
        let cookie = entered.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict;"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The form token of a session.
    async fn token(&self, cookie: &str) -> String {
        let page = self.ask(HERE, get("/").header("cookie", cookie), "").await;
        assert_eq!(page.status(), StatusCode::OK);
        let body = axum::body::to_bytes(page.into_body(), 1 << 16).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

fn get(path: &str) -> http::request::Builder {
    HttpRequest::get(path).header("host", "localhost:9080")
}

fn form(cookie: &str) -> http::request::Builder {
    HttpRequest::post("/")
        .header("host", "localhost:9080")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookie)
}

#[tokio::test]
async fn nothing_is_shown_before_the_login() {
    let rig = rig("");
    for path in ["/", "/estado.json", "/nothing", "/salir"] {
        let answer = rig.ask(HERE, get(path), "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    let wrong = rig.ask(HERE, get("/login?t=guess"), "").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered() {
    let rig = rig("hosts = [\"guardia.ejemplo.mx\"]");
    let cookie = rig.enter().await;
    let asked = async |host: &str| {
        let request = HttpRequest::get("/").header("host", host).header("cookie", &cookie);
        rig.ask(HERE, request, "").await.status()
    };
    for ours in ["localhost:9080", "127.0.0.1:9080", "[::1]:9080", "guardia.ejemplo.mx"] {
        assert_eq!(asked(ours).await, StatusCode::OK, "{ours}");
    }
    for foreign in ["evil.example", "localhost.evil.example:9080", "127.0.0.1.evil.example", ""] {
        assert_eq!(asked(foreign).await, StatusCode::MISDIRECTED_REQUEST, "{foreign}");
    }
}

#[tokio::test]
async fn only_a_form_of_this_session_acts_and_only_where_actions_are_on() {
    let rig = rig("actions = true");
    let cookie = rig.enter().await;
    let token = rig.token(&cookie).await;
    let good = rig.ask(HERE, form(&cookie), &format!("csrf={token}&reason=x")).await;
    assert_eq!(good.status(), StatusCode::OK);
    let another = rig.enter().await;
    for (request, body) in [
        (form(&cookie), "reason=x".to_owned()),
        (form(&cookie), "csrf=guess".to_owned()),
        (form(&another), format!("csrf={token}")),
        (form(&cookie).header("origin", "https://evil.example"), format!("csrf={token}")),
        (form(&cookie).header("origin", "null"), format!("csrf={token}")),
        (form(&cookie).header("sec-fetch-site", "cross-site"), format!("csrf={token}")),
    ] {
        assert_eq!(rig.ask(HERE, request, &body).await.status(), StatusCode::FORBIDDEN, "{body}");
    }
    let much = format!("csrf={token}&reason={}", "x".repeat(1 << 17));
    assert_eq!(rig.ask(HERE, form(&cookie), &much).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn without_actions_the_page_only_shows() {
    let rig = rig("");
    let cookie = rig.enter().await;
    let token = rig.token(&cookie).await;
    let answer = rig.ask(HERE, form(&cookie), &format!("csrf={token}")).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    // Leaving is no action.
    let leave = HttpRequest::post("/salir")
        .header("host", "localhost:9080")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", &cookie);
    let left = rig.ask(HERE, leave, &format!("csrf={token}")).await;
    assert_eq!(left.status(), StatusCode::SEE_OTHER);
    let after = rig.ask(HERE, get("/").header("cookie", &cookie), "").await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let rig = rig("session = \"1h\"");
    let cookie = rig.enter().await;
    rig.house.clock.set(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1));
    let answer = rig.ask(HERE, get("/").header("cookie", &cookie), "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn other_networks_are_not_answered() {
    let rig = rig("allow = [\"192.0.2.0/24\"]\nmetrics = [\"198.51.100.7\"]");
    let from = |text: &str| Peer(Some(text.parse().unwrap()));
    let admin = &rig.house.config().admin;
    assert!(from("192.0.2.9").connects(admin) && from("198.51.100.7").connects(admin));
    assert!(!from("127.0.0.1").connects(admin));
    let asked = async |peer, path| rig.ask(peer, get(path), "").await.status();
    assert_eq!(asked(from("198.51.100.7"), "/").await, StatusCode::FORBIDDEN);
    assert_eq!(asked(from("198.51.100.7"), "/login?t=x").await, StatusCode::FORBIDDEN);
    assert_eq!(asked(from("192.0.2.9"), "/").await, StatusCode::UNAUTHORIZED);
    assert_eq!(asked(from("198.51.100.7"), "/metrics").await, StatusCode::OK);
    assert_eq!(asked(from("192.0.2.9"), "/metrics").await, StatusCode::UNAUTHORIZED);
    assert_eq!(asked(Peer(None), "/metrics").await, StatusCode::OK);
}
