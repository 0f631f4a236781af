//! Peers that do not do their part. The clocks are wound short; what is tested is that they end
//! what they should, and nothing else.

use std::time::Duration;

use super::*;

fn short(config: &mut WebConfig) {
    config.limits.handshake = Duration::from_secs(1);
    config.limits.head = Duration::from_secs(1);
    config.limits.idle = Duration::from_secs(2);
    config.limits.progress = Duration::from_secs(1);
    config.limits.drain = Duration::from_secs(20);
}

pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 20 s: {what}");
}

/// Reads to the end or the reset of a connection.
pub(super) async fn ends(mut stream: impl AsyncRead + Unpin) {
    let mut block = [0; 4096];
    while stream.read(&mut block).await.is_ok_and(|count| count > 0) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_dripping_peers_are_cut() {
    let rig = Rig::start(short);
    rig.bench.show(1, &[("index.html", b"x")]);
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(rig.https).await.unwrap());
    }
    let mut half = rig.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
    let mute = rig.connect().await;
    let mut served = Keeping::over(rig.connect().await);
    assert_eq!(served.get("/").await.status, 200);
    // An honest reader meanwhile.
    assert_eq!(rig.curl("/", &[]).await.status, 200);
    let drip = tokio::spawn(async move {
        while half.write_all(b"a").await.is_ok() && half.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends(mute).await;
    drip.await.unwrap();
    for stream in silent {
        ends(stream).await;
    }
    // Idle after an answer: closed too, but not as an offence.
    assert!(served.answer().await.is_none());
    until("counted", || rig.counted(|c| &c.slow_head) == 2 && rig.counted(|c| &c.handshake) == 20).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_not_read_is_cut() {
    let rig = Rig::start(short);
    let large = vec![b'x'; 32 << 20];
    rig.bench.show(1, &[("large.txt", &large), ("index.html", b"x")]);
    let mut slow = rig.connect().await;
    slow.write_all(b"GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("stalled", || rig.counted(|c| &c.stalled) == 1).await;
    ends(slow).await;
    assert_eq!(rig.curl("/large.txt", &[]).await.body.len(), large.len());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_window_stays_shut_is_cut() {
    let rig = Rig::start(short);
    rig.bench.show(1, &[("index.html", b"<html>")]);
    let mut client = rig.connect_h2().await;
    // Preface, SETTINGS with INITIAL_WINDOW_SIZE 0, one GET of `/` with indexed header fields.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    client.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
    client.write_all(&[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x87, 0x41, 1, b'a']).await.unwrap();
    client.flush().await.unwrap();
    until("stalled", || rig.counted(|c| &c.stalled) == 1).await;
    ends(client).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_its_share_and_no_more() {
    let rig = Rig::start(|config| {
        config.limits.connections_per_address = 4;
        config.limits.exempt = Vec::new();
        config.https = vec!["0.0.0.0:0".parse().unwrap()];
    });
    rig.bench.show(1, &[("index.html", b"x")]);
    let port = rig.https.port();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    until("taken", || rig.counted(|c| &c.accepted) == 4).await;
    ends(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await;
    assert_eq!(rig.counted(|c| &c.over_address), 1);
    let other = rig
        .curl("/", &["--interface", "127.0.0.2", "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .await;
    assert_eq!(other.status, 200);
    drop(held);
    rig.stop.cancel();
    rig.running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_answers_end() {
    let rig = Rig::start(short_drain);
    let large = vec![b'x'; 16 << 20];
    rig.bench.show(1, &[("large.txt", &large)]);
    let mut reader = Keeping::over(rig.connect().await);
    let idle = rig.connect().await;
    reader.send("GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut first = vec![0; 1000];
    reader.stream.read_exact(&mut first).await.unwrap();
    reader.buffer = first;
    rig.stop.cancel();
    ends(idle).await;
    assert_eq!(reader.answer().await.unwrap().body.len(), large.len());
    assert!(reader.answer().await.is_none());
    rig.running.await.unwrap();
    assert!(TcpStream::connect(rig.https).await.is_err());
}

fn short_drain(config: &mut WebConfig) {
    config.limits.drain = Duration::from_secs(20);
}

impl Rig {
    pub(super) async fn connect_h2(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let mut client = rustls::ClientConfig::builder_with_provider(crate::web::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_shakes_hands_gets_its_ticket_too() {
    let rig = Rig::start(short);
    let mut mute = rig.connect().await;
    let mut block = [0; 16];
    // Until the clock of the head ends it: by then the ticket has come.
    assert!(!mute.read(&mut block).await.is_ok_and(|count| count > 0));
    assert_eq!(mute.get_ref().1.tls13_tickets_received(), 1);
    rig.end().await;
}
