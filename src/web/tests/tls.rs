//! TLS, asked by openssl and curl.

use super::*;

async fn openssl(rig: &Rig, options: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-connect", &rig.https.to_string()]).args(options);
    command.stdin(std::process::Stdio::null());
    let out = run(command).await;
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_current_versions_are_spoken() {
    let rig = Rig::start(|_| {});
    let weak = ["-cipher", "ALL:@SECLEVEL=0"];
    for (version, expected) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = openssl(&rig, &[version, "-alpn", "h2,http/1.1"]).await;
        assert!(said.contains(&format!("Protocol version: {expected}")), "{said}");
    }
    for version in ["-tls1_1", "-tls1"] {
        let said = openssl(&rig, &[&[version], &weak[..]].concat()).await;
        assert!(!said.contains("CONNECTION ESTABLISHED"), "{said}");
    }
    let said = openssl(&rig, &["-tls1_3"]).await;
    assert!(said.contains("TLS_AES_128_GCM_SHA256"), "{said}");
    assert_eq!(rig.curl("/", &["--http2"]).await.status, 200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_connections_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let (chain, key) = (scratch.path().join("c.pem"), scratch.path().join("k.pem"));
    let generate = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![name.to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let bench = Bench::new(SiteConfig::default());
    bench.show(1, &[("index.html", b"x")]);
    let mut config = WebConfig::new(scratch.path());
    config.https = vec!["127.0.0.1:0".parse().unwrap()];
    config.limits.certificate_poll = std::time::Duration::from_millis(20);
    config.certificate = CertificateSource::Files {
        chain: chain.clone(),
        key: key.clone(),
        folder: scratch.path().to_owned(),
    };
    let stop = CancellationToken::new();
    let report = Report::to(move |event| drop(sender.send(event)));
    let server =
        Server::bind(config, Default::default(), Arc::clone(&bench.site), report, stop.clone()).unwrap();
    let address = server.local_addrs()[0];
    let running = tokio::spawn(server.run());
    assert!(matches!(events.recv().await.unwrap(), WebEvent::CertificateRejected { .. }));
    assert!(matches!(events.recv().await.unwrap(), WebEvent::CertificateShown { self_signed: true, .. }));
    let (one, two) = (generate("one.mx"), generate("two.mx"));
    // The watcher may look between the two writes: what it then says is its own affair.
    std::fs::write(&chain, &one.0).unwrap();
    std::fs::write(&key, &one.1).unwrap();
    shown(&mut events).await;
    let seen = |pem: std::path::PathBuf| async move {
        let mut command = Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]).arg(pem);
        command.arg(format!("https://localhost:{}/", address.port()));
        String::from_utf8(run(command).await.stdout).unwrap()
    };
    assert_eq!(seen(chain.clone()).await, "200");
    std::fs::write(&key, &two.1).unwrap();
    std::fs::write(&chain, &two.0).unwrap();
    shown(&mut events).await;
    assert_eq!(seen(chain.clone()).await, "200");
    let good = scratch.path().join("good.pem");
    std::fs::copy(&chain, &good).unwrap();
    std::fs::write(&chain, &two.0.as_bytes()[..100]).unwrap();
    while !matches!(events.recv().await.unwrap(), WebEvent::CertificateRejected { .. }) {}
    assert_eq!(seen(good).await, "200");
    stop.cancel();
    running.await.unwrap();
}

async fn shown(events: &mut tokio::sync::mpsc::UnboundedReceiver<WebEvent>) {
    while !matches!(events.recv().await.unwrap(), WebEvent::CertificateShown { .. }) {}
}
