use std::sync::Arc;

use axum::body::Body;
use http::{Request as HttpRequest, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::super::{Entrance, House, Peer, guard};
use super::routes;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Answer, Asked, Hold, Request, Status};
use crate::durable::Dir;
use crate::incident::{Book, Opening, Trouble};
use crate::ledger::{Entry, Kind, Ledger};
use crate::metrics::Metrics;

struct Rig {
    _dir: tempfile::TempDir,
    house: House,
    service: axum::Router,
    asked: mpsc::Receiver<Asked>,
    cookie: String,
    _settings: watch::Sender<Arc<Config>>,
}

const NOW: &str = "2027-06-07T01:20:00Z";

async fn rig(settings: &str) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("domain = \"prep.ejemplo.mx\"\ntimezone = \"America/Cancun\"\n[admin]\n{settings}\n");
    let config = Config::parse(&dir.path().join("difusor.toml"), &text).unwrap();
    let clock = Clock::at(NOW.parse().unwrap());
    std::fs::create_dir_all(dir.path().join("keys/trusted")).unwrap();
    std::fs::create_dir_all(dir.path().join("var")).unwrap();
    let ledger = Dir::create(dir.path().join("ledger")).unwrap();
    let (ledger, _) = Ledger::open_with(&ledger, clock.clone(), TimeZone::UTC, 0).unwrap();
    let (settings, config) = watch::channel(Arc::new(config));
    let (control, asked) = mpsc::channel(4);
    let house = House {
        config,
        clock: clock.clone(),
        ledger,
        control,
        readers: dir.path().join("readers.sock"),
        entrance: Entrance::default(),
        metrics: Metrics::default(),
    };
    let service = guard::guarded(house.clone(), routes());
    let (token, _) = house.entrance.link("ana".to_owned(), clock.now()).unwrap();
    let mut rig = Rig { _dir: dir, house, service, asked, cookie: String::new(), _settings: settings };
    let entered = rig.put(get(&format!("/login?t={token}")), "").await;
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    rig.cookie = cookie.split(';').next().unwrap().to_owned();
    rig
}

impl Rig {
    async fn put(&self, request: http::request::Builder, body: &str) -> http::Response<Body> {
        let mut request = request.header("cookie", &self.cookie).body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Peer(None));
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// Asks for a page while the service answers `answers`, in order; gives what the service was asked too.
    async fn see(
        &mut self,
        request: http::request::Builder,
        body: &str,
        answers: Vec<Answer>,
    ) -> (StatusCode, String, Vec<Request>) {
        let mut service = std::mem::replace(&mut self.asked, mpsc::channel(1).1);
        let answering = async {
            let mut seen = Vec::new();
            for answer in answers {
                let (request, back) = service.recv().await.unwrap();
                seen.push(request);
                back.send(answer).unwrap();
            }
            seen
        };
        let (response, seen) = tokio::join!(self.put(request, body), answering);
        self.asked = service;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap(), seen)
    }
}

fn get(path: &str) -> http::request::Builder {
    HttpRequest::get(path).header("host", "localhost:9080")
}

fn post(path: &str) -> http::request::Builder {
    HttpRequest::post(path)
        .header("host", "localhost:9080")
        .header("content-type", "application/x-www-form-urlencoded")
}

fn status() -> Answer {
    Answer::Status(Box::default())
}

fn received(rig: &Rig, package: &str, name: &str) {
    let entry =
        Entry::new(Kind::Received).with("package", package).with("name", name).with("bytes", 33_000_000);
    let entry = entry.with("first_byte", "2027-06-07T01:15:30Z").with("last_byte", "2027-06-07T01:15:36Z");
    rig.house.ledger.append(entry.with("via", "rsync").with("sender", "ieqroo")).unwrap();
}

#[tokio::test]
async fn the_page_tells_the_night_and_foreign_text_stays_text() {
    let mut rig = rig("").await;
    received(&rig, "aa11", "<script>alert(1)</script>.tar.gz");
    let rejected = Entry::new(Kind::Rejected).with("package", "aa11").with("code", "GZIP_CRC");
    rig.house.ledger.append(rejected).unwrap();
    let book = Book::open(rig.house.ledger.clone(), rig.house.clock.clone()).unwrap();
    book.begin(Opening::new(Trouble::Rejected, "vigía", "<b>gzip</b>")).unwrap();
    let (code, page, _) = rig.see(get("/"), "", vec![status()]).await;
    assert_eq!(code, StatusCode::OK);
    assert!(page.contains("GZIP_CRC") && page.contains("class=\"rechazado\""), "{page}");
    assert!(!page.contains("<script>alert") && page.contains("&#60;script&#62;alert"), "{page}");
    assert!(page.contains("&#60;b&#62;gzip&#60;/b&#62;"), "{page}");
    // Hours are those of the election: 01:15:36Z is 20:15:36 in Cancún.
    assert!(page.contains("<td>20:15:36</td>"), "{page}");
    // Nothing to act with, and how to act.
    assert!(!page.contains("action=\"/actuar"), "{page}");
    assert!(page.contains("[admin] actions = true"));
}

#[tokio::test]
async fn the_page_speaks_english_when_asked() {
    let mut rig = rig("").await;
    let (_, page, _) = rig.see(get("/?lang=en"), "", vec![status()]).await;
    assert!(page.contains("<html lang=\"en\">") && page.contains("What readers see"), "{page}");
}

#[tokio::test]
async fn a_hold_is_loud_and_offers_its_end() {
    let mut rig = rig("actions = true").await;
    let until: Timestamp = "2027-06-07T01:50:00Z".parse().unwrap();
    let since = NOW.parse().unwrap();
    let hold = Hold { since, until, who: "ana".to_owned(), why: "se revisa".to_owned() };
    let held = Answer::Status(Box::new(Status { hold: Some(hold), ..Status::default() }));
    let (_, page, _) = rig.see(get("/"), "", vec![held]).await;
    assert!(page.contains("Publicación retenida") && page.contains("hasta 20:50:00"), "{page}");
    assert!(page.contains("/actuar/seguir") && !page.contains("/actuar/retener"));
}

#[tokio::test]
async fn each_form_is_the_order_that_it_shows() {
    let mut rig = rig("actions = true").await;
    let session = {
        let secret = rig.cookie.split_once('=').unwrap().1.to_owned();
        rig.house.entrance.session(&secret, rig.house.clock.now()).unwrap()
    };
    let csrf = session.csrf;
    let done = || vec![Answer::Done { message: "así quedó".to_owned() }, status()];
    for (path, fields, expected) in [
        (
            "/actuar/retener",
            "time=30m&reason=x",
            Request::Hold { seconds: 1800, operator: "ana".to_owned(), reason: "x".to_owned() },
        ),
        ("/actuar/seguir", "", Request::Resume { operator: "ana".to_owned(), reason: String::new() }),
        (
            "/actuar/quitar-aviso",
            "reason=oficio+124",
            Request::NoticeOff { operator: "ana".to_owned(), reason: "oficio 124".to_owned() },
        ),
        (
            "/actuar/volver",
            "release=&time=&reason=mal+sumado",
            Request::Rollback {
                release: None,
                operator: "ana".to_owned(),
                reason: "mal sumado".to_owned(),
                hold_s: None,
            },
        ),
    ] {
        let body = format!("csrf={csrf}&{fields}");
        let (code, page, asked) = rig.see(post(path), &body, done()).await;
        assert_eq!((code, &asked[0]), (StatusCode::OK, &expected), "{path}");
        assert!(page.contains("Hecho: así quedó"), "{page}");
    }
    // Without a reason nothing is asked of the service but how it stands.
    let body = format!("csrf={csrf}&time=30m&reason=");
    let (code, page, asked) = rig.see(post("/actuar/retener"), &body, vec![status()]).await;
    assert_eq!((code, asked), (StatusCode::CONFLICT, vec![Request::Status]));
    assert!(page.contains("No se hizo: falta el motivo"), "{page}");
    let unknown = rig.put(post("/actuar/borrar"), &format!("csrf={csrf}")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_line_of_the_ledger_is_an_event() {
    use http_body_util::BodyExt as _;
    let rig = rig("").await;
    let response = rig.put(get("/eventos"), "").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body();
    let first = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"event: cambio\ndata: "), "{first:?}");
    rig.house.ledger.append(Entry::new(Kind::Opened).with("event", "jornada")).unwrap();
    let n = rig.house.ledger.head().n;
    let next = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(next, format!("event: cambio\ndata: {n}\n\n"));
}
