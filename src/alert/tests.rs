use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn alert(class: Class, title: &str) -> Alert {
    Alert {
        at: "2027-06-07T01:19:00Z".parse().unwrap(),
        class,
        level: Level::Warning,
        change: "opened",
        title: title.to_owned(),
        text: "nada desde las 20:00".to_owned(),
        incident: None,
    }
}

fn head() -> Letterhead {
    let institute = Contact { name: "IEQROO".to_owned(), phone: "983 1".to_owned(), ..Contact::default() };
    Letterhead { site: "prep.mx".to_owned(), institute, lang: Lang::Es, zone: TimeZone::UTC }
}

fn channel(way: Way) -> Channel {
    Channel {
        name: "guardia".to_owned(),
        on: vec![Class::All],
        way,
        root: None,
        timeout: Duration::from_secs(10),
        attempts: 3,
        pause: Duration::from_millis(1),
        group: Duration::ZERO,
        per_hour: 100,
    }
}

/// A server that answers each request with the next status, and gives what it was sent.
async fn server(statuses: Vec<u16>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/aviso", listener.local_addr().unwrap());
    let (told, heard) = mpsc::channel(16);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let body = loop {
                let mut chunk = [0; 4096];
                let n = stream.read(&mut chunk).await.unwrap();
                text.extend_from_slice(&chunk[..n]);
                let all = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                    break all;
                }
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            told.send(body).await.unwrap();
        }
    });
    (url, heard)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|l| l.to_lowercase().starts_with(&format!("{name}: "))).unwrap();
    line.split_once(": ").unwrap().1
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("llave");
    std::fs::write(&key, "s3creto\n").unwrap();
    let (url, mut heard) = server(vec![500, 503, 204]).await;
    let (told, mut outcomes) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let way = Way::Webhook { url, secret: Some(Secret::File(key)) };
    let post = start(vec![channel(way)], head(), told, &stop);
    post.send(alert(Class::Late, "corte tardío"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let request = heard.recv().await.unwrap();
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let signed = webhook::signature("s3creto", header(&request, "x-difusor-timestamp"), body.as_bytes());
        assert_eq!(header(&request, "x-difusor-signature"), signed);
        ids.push(header(&request, "x-difusor-id").to_owned());
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["schema"], "difusor.alert/1");
        assert!(document["text"].as_str().unwrap().contains("IEQROO · tel. 983 1"), "{document}");
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "every try is the same message: {ids:?}");
    assert_eq!(outcomes.recv().await.unwrap().fault, None);
}

#[test]
fn the_signature_is_the_one_that_others_compute() {
    // printf '1780000000.{"a":1}' | openssl dgst -sha256 -hmac s3creto
    let ours = webhook::signature("s3creto", "1780000000", b"{\"a\":1}");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", "s3creto"]);
    openssl.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = openssl.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"1780000000.{\"a\":1}").unwrap();
    let theirs = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(ours.strip_prefix("sha256="), theirs.trim().rsplit(' ').next());
}

#[tokio::test]
async fn what_comes_together_goes_together_and_the_pace_is_kept() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (url, mut heard) = server(vec![200, 200]).await;
    let (told, mut outcomes) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let grouped = Channel {
        group: Duration::from_millis(300),
        per_hour: 1,
        ..channel(Way::Webhook { url, secret: None })
    };
    let post = start(vec![grouped], head(), told, &stop);
    for n in 0..30 {
        post.send(alert(Class::Rejected, &format!("rechazo {n}")));
    }
    let request = heard.recv().await.unwrap();
    let document: serde_json::Value =
        serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((document["alerts"].as_array().unwrap().len(), &document["left_out"]), (20, &10.into()));
    assert_eq!(outcomes.recv().await.unwrap().alerts, 30);
    // The hour is used up: the next one waits for the pace, a test does not.
    let (tested, _) =
        tokio::join!(post.test(Some("guardia"), "prueba", alert(Class::Test, "").at), heard.recv());
    assert_eq!(tested, [("guardia".to_owned(), Ok(()))]);
    assert!(post.test(Some("nadie"), "prueba", alert(Class::Test, "").at).await.is_empty());
}

#[tokio::test]
async fn a_program_has_its_time_and_its_exit_code_tells() {
    let run = |script: &str| Way::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    let (told, _outcomes) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let slow = Channel {
        name: "lento".to_owned(),
        timeout: Duration::from_millis(200),
        ..channel(run("exec sleep 60"))
    };
    let bad = Channel { name: "malo".to_owned(), ..channel(run("exit 3")) };
    let post = start(vec![slow, bad, channel(run("exit 0"))], head(), told, &stop);
    let outcomes = post.test(None, "prueba", alert(Class::Test, "").at).await;
    assert!(outcomes[0].1.as_ref().unwrap_err().contains("in time"), "{outcomes:?}");
    assert!(outcomes[1].1.as_ref().unwrap_err().contains('3'), "{outcomes:?}");
    assert_eq!(outcomes[2].1, Ok(()));
}

#[test]
fn channels_are_told_what_they_ask_for_and_never_of_themselves() {
    let way = || Way::Command(vec!["/bin/true".to_owned()]);
    let only = Channel { on: vec![Class::Disk], ..channel(way()) };
    assert!(only.wants(&alert(Class::Disk, "")) && !only.wants(&alert(Class::Late, "")));
    assert!(only.wants(&alert(Class::Test, "")));
    let all = Arc::new(channel(way()));
    assert!(all.wants(&alert(Class::Late, "")));
    assert!(Class::ALL.iter().all(|(name, class)| class.name() == *name));
}
