//! Every answer leaves one hit, with what was asked, what was answered and how much of it went out.

use super::*;
use crate::clock::Clock;
use crate::stats::{Seen, Sink, Tls};

/// A server that tells its answers, and where.
fn rig() -> (Rig, Sink) {
    let sink = Sink::new(1 << 20, Clock::system());
    let own = sink.clone();
    (Rig::start(move |config| config.sink = Some(own)), sink)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_told_once() {
    let (rig, sink) = rig();
    rig.bench.show(0, &[("index.html", b"<html>"), ("a.json", b"{}")]);
    let tag = rig.curl("/a.json", &["--http1.1"]).await.header("etag").unwrap().to_owned();
    rig.curl("/a.json?x=%20", &["--http2", "-A", "agent", "-e", "https://from/"]).await;
    rig.curl("/a.json", &["--http1.1", "-H", &format!("If-None-Match: {tag}")]).await;
    rig.curl("/no", &["--http1.1", "-H", "X-Forwarded-For: 1.1.1.1", "-H", "X-Forwarded-For: 2.2.2.2"]).await;
    rig.curl("/", &["--http1.1", "-X", "POST", "--tls-max", "1.2"]).await;
    rig.curl("/", &["--http1.1", "-I"]).await;
    let plain = TcpStream::connect(rig.http).await.unwrap();
    assert_eq!(Keeping::over(plain).get("/a.json").await.status, 308);
    let cut = rig.bench.site.live().cut().unwrap().to_string();
    rig.end().await;
    let seen = Seen::all(&sink);
    let cuts: Vec<_> = seen.iter().map(|s| s.cut.as_str()).collect();
    assert_eq!(cuts, [&cut, &cut, &cut, "", "", &cut, ""].map(|c: &str| c));
    assert!(seen.iter().all(|s| s.encoding.is_empty()));
    let seen: Vec<_> = seen
        .into_iter()
        .map(|s| (s.line, s.status, s.sent, s.is_whole, s.tls, s.agent_and_referer, s.forwarded))
        .collect();
    let one = |line: &str, status, sent, tls, said: &str, forwarded: &str| {
        (line.to_owned(), status, sent, true, tls, said.to_owned(), forwarded.to_owned())
    };
    let curl = seen[0].5.clone();
    assert!(curl.starts_with("curl/"), "{curl}");
    assert_eq!(
        seen,
        [
            one("GET /a.json HTTP/1.1", 200, 2, Tls::V13, &curl, ""),
            one("GET /a.json?x=%20 HTTP/2.0", 200, 2, Tls::V13, "agent https://from/", ""),
            one("GET /a.json HTTP/1.1", 304, 0, Tls::V13, &curl, ""),
            one("GET /no HTTP/1.1", 404, seen[3].2, Tls::V13, &curl, "2.2.2.2"),
            one("POST / HTTP/1.1", 405, seen[4].2, Tls::V12, &curl, ""),
            one("HEAD / HTTP/1.1", 200, 0, Tls::V13, &curl, ""),
            one("GET /a.json HTTP/1.1", 308, 0, Tls::None, "", ""),
        ]
    );
    assert!(seen[3].2 > 0 && seen[4].2 > 0, "pages of errors have bodies");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_says_so() {
    let sink = Sink::new(1 << 20, Clock::system());
    let bench = Bench::new(SiteConfig { memory_file_bytes_max: 0, ..SiteConfig::default() });
    let own = sink.clone();
    let rig = Rig::over(bench, move |config| config.sink = Some(own));
    let large = "0123456789abcdef".repeat(1 << 20);
    rig.bench.show(0, &[("index.html", b"<html>"), ("large.csv", large.as_bytes())]);
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /large.csv HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 1024];
    stream.read_exact(&mut some).await.unwrap();
    drop(stream);
    rig.end().await;
    let seen = Seen::all(&sink);
    assert_eq!((seen.len(), seen[0].status, seen[0].is_whole), (1, 200, false));
    assert!(seen[0].sent < large.len() as u64, "{}", seen[0].sent);
}
