//! HTTP to the letter, asked by curl.

use super::*;

const PAGE: &[u8] =
    b"<!DOCTYPE html><html><head><base href=\"/publicacion/nacional/\"><title>PREP</title></head></html>";

fn site() -> Vec<(&'static str, Vec<u8>)> {
    let json = format!("{{\"votos\":[{}]}}", "1,".repeat(2000)).replace(",]", "]");
    let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    io::Write::write_all(&mut gzipped, b"{\"a\":1}").unwrap();
    vec![
        ("index.html", PAGE.to_vec()),
        ("app/index.html", b"<title>app</title>".to_vec()),
        ("assets/avance.json", json.into_bytes()),
        ("assets/ready.json", gzipped.finish().unwrap()),
        ("assets/main.3f2a8b1c9d0e4f56.js", b"let a = 1;".to_vec()),
        ("assets/20240602_2005_PREP.zip", b"PK-not-really".to_vec()),
        ("assets/datos.csv", "entidad,votos\nMichoacán,1\n".as_bytes().to_vec()),
        ("assets/latin1.csv", b"Michoac\xe1n,1\n".to_vec()),
        ("assets/pequeña (1).svg", b"<svg/>".to_vec()),
        ("assets/31.geojson", b"{}".to_vec()),
        ("digits.txt", b"0123456789".repeat(1000)),
    ]
}

fn rig(change: impl FnOnce(&mut WebConfig)) -> Rig {
    let rig = Rig::start(change);
    let files = site();
    let files: Vec<_> = files.iter().map(|(p, b)| (*p, b.as_slice())).collect();
    rig.bench.show(3, &files);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_served_byte_for_byte_with_its_type() {
    let rig = rig(|_| {});
    rig.bench.site.pressed().await;
    for (path, expected) in site() {
        let answer = rig.curl(&format!("/{}", path.replace(' ', "%20")), &[]).await;
        assert_eq!((answer.status, &answer.body), (200, &expected), "{path}");
        assert_eq!(answer.header("x-prep-corte"), Some("2024-06-02T20:15:00-05:00"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("x-frame-options").is_none() && answer.header("server").is_none());
        assert!(answer.header("content-security-policy").is_none() && answer.header("date").is_some());
    }
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/avance.json", "application/json"),
        ("/assets/main.3f2a8b1c9d0e4f56.js", "text/javascript; charset=utf-8"),
        ("/assets/20240602_2005_PREP.zip", "application/zip"),
        ("/assets/datos.csv", "text/csv; charset=utf-8"),
        ("/assets/latin1.csv", "text/csv"),
        ("/assets/31.geojson", "application/geo+json"),
        ("/assets/pequen%CC%83a%20(1).svg", "image/svg+xml"),
    ] {
        assert_eq!(rig.curl(path, &[]).await.header("content-type"), Some(kind), "{path}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_version_gives_the_same() {
    let rig = rig(|_| {});
    for version in ["--http1.0", "--http1.1", "--http2"] {
        for tls in ["--tlsv1.2", "--tlsv1.3"] {
            let answer = rig.curl("/", &[version, tls, "--tls-max", &tls[6..]]).await;
            assert_eq!((answer.status, answer.body.as_slice()), (200, PAGE), "{version} {tls}");
            let head = rig.curl("/", &[version, tls, "-I", "-A", "monitor-del-instituto/1.0"]).await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{version} {tls}");
            let length = PAGE.len().to_string();
            assert_eq!(head.header("content-length"), Some(length.as_str()));
            assert_eq!(head.header("etag"), answer.header("etag"));
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_accepted_coding_is_sent() {
    let rig = rig(|_| {});
    rig.bench.site.pressed().await;
    let plain = rig.curl("/assets/avance.json", &[]).await;
    let mut tags = vec![plain.header("etag").unwrap().to_owned()];
    for (accepts, coding) in [("gzip", "gzip"), ("gzip, zstd;q=0.9, br", "br"), ("zstd", "zstd")] {
        let accept = format!("Accept-Encoding: {accepts}");
        let answer = rig.curl("/assets/avance.json", &["-H", &accept]).await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert!(answer.body.len() < plain.body.len() / 10);
        tags.push(answer.header("etag").unwrap().to_owned());
        // curl undoes what it can.
        if coding != "zstd" {
            let undone = rig.curl("/assets/avance.json", &["-H", &accept, "--compressed"]).await;
            assert_eq!(undone.body, plain.body);
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4);
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    let ready = rig.curl("/assets/ready.json", &[]).await;
    assert_eq!(
        (ready.header("content-type"), ready.header("content-encoding")),
        (Some("application/json"), Some("gzip"))
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_reader_has_is_not_sent_again() {
    let rig = rig(|_| {});
    let first = rig.curl("/assets/avance.json", &["-H", "Accept-Encoding: gzip"]).await;
    let (tag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    rig.bench.site.pressed().await;
    // The variant came after the reader: it is asked for what it has, not for what is best now.
    let holds = format!("If-None-Match: \"x\", {tag}");
    let again = rig.curl("/assets/avance.json", &["-H", "Accept-Encoding: gzip", "-H", &holds]).await;
    assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
    assert!(
        again.body.is_empty() && again.header("content-type").is_none() && again.header("vary").is_some()
    );
    assert_eq!(again.header("cache-control"), Some("no-cache"));
    for (condition, status) in [
        ("If-None-Match: *".to_owned(), 304),
        ("If-None-Match: \"other\"".to_owned(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        ("If-Modified-Since: Sun, 02 Jun 2024 00:00:00 GMT".to_owned(), 200),
        ("If-Match: \"other\"".to_owned(), 412),
        ("If-Unmodified-Since: Sun, 02 Jun 2019 00:00:00 GMT".to_owned(), 412),
    ] {
        let answer = rig.curl("/assets/avance.json", &["-H", &condition]).await;
        assert_eq!(answer.status, status, "{condition}");
    }
    let before = tag.to_owned();
    let mut files = site();
    files[2].1[10] = b'2';
    let files: Vec<_> = files.iter().map(|(p, b)| (*p, b.as_slice())).collect();
    rig.bench.show(4, &files);
    let changed = rig.curl("/assets/avance.json", &["-H", &format!("If-None-Match: {before}")]).await;
    assert_eq!((changed.status, changed.body.as_slice()), (200, files[2].1));
    assert_ne!(changed.header("etag"), Some(before.as_str()));
    let same = rig
        .curl("/", &["-H", &format!("If-None-Match: {}", rig.curl("/", &[]).await.header("etag").unwrap())])
        .await;
    assert_eq!((same.status, same.header("x-prep-corte")), (304, Some("2024-06-02T20:20:00-05:00")));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_are_its_parts() {
    let rig = rig(|_| {});
    let whole = b"0123456789".repeat(1000);
    let tag = rig.curl("/digits.txt", &[]).await.header("etag").unwrap().to_owned();
    for (range, status, body, said) in [
        ("bytes=0-3", 206, &whole[..4], Some("bytes 0-3/10000")),
        ("bytes=-2", 206, &whole[9998..], Some("bytes 9998-9999/10000")),
        ("bytes=9990-18446744073709551615", 206, &whole[9990..], Some("bytes 9990-9999/10000")),
        ("bytes=10000-", 416, &[][..], Some("bytes */10000")),
        ("bytes=oops", 200, &whole, None),
        ("bytes=0-9,5-20", 200, &whole, None),
    ] {
        let answer = rig.curl("/digits.txt", &["-H", &format!("Range: {range}")]).await;
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.header("content-range")),
            (status, body, said),
            "{range}"
        );
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{range}");
    }
    for (condition, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let answer = rig
            .curl("/digits.txt", &["-H", "Range: bytes=0-0", "-H", &format!("If-Range: {condition}")])
            .await;
        assert_eq!(answer.status, status, "{condition}");
    }
    let many = rig.curl("/digits.txt", &["-H", "Range: bytes=0-1,10-11"]).await;
    let boundary =
        many.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10000\r\n\r\n01"
        )
    };
    assert_eq!(many.text(), format!("{}{}\r\n--{boundary}--\r\n", part("0-1"), part("10-11")));
    let thousand: Vec<String> = (0..1000).map(|n| format!("{n}-{n}")).collect();
    let answer = rig.curl("/digits.txt", &["-H", &format!("Range: bytes={}", thousand.join(","))]).await;
    assert_eq!((answer.status, answer.body), (200, whole));
    assert_eq!(rig.curl("/digits.txt", &["-I", "-H", "Range: bytes=0-1"]).await.status, 200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_prefixes_and_routes_find_their_page() {
    let rig = rig(|_| {});
    let html = ["-H", "Accept: text/html,*/*;q=0.8"];
    for (path, options, status, location) in [
        ("/publicacion/nacional/", &[][..], 200, None),
        ("/publicacion/nacional", &[], 308, Some("/publicacion/nacional/")),
        ("/publicacion/nacional/assets/avance.json", &[], 200, None),
        ("/publicacion/nacional/nacional/presidencia", &html, 200, None),
        ("/publicacion/nacional/nacional/presidencia", &[], 404, None),
        ("/app?x=1", &[], 308, Some("/app/?x=1")),
        ("/app/", &[], 200, None),
        ("/app/route/5", &html, 200, None),
        ("/assets", &[], 404, None),
        ("/releases/", &[], 404, None),
        ("/bitacora", &[], 404, None),
        ("/.git", &html, 404, None),
        ("/assets/missing.json", &html, 404, None),
        ("/assets/missing.js", &html, 404, None),
        ("/assets/avance.json.gz", &html, 404, None),
        ("/index.html/", &html, 404, None),
        ("/?rand=1", &[], 200, None),
    ] {
        let answer = rig.curl(path, options).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{path} {options:?}");
        if status == 404 {
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.text().contains("lang=\"es-MX\""));
        }
    }
    assert_eq!(rig.curl("/app/route/5", &html).await.text(), "<title>app</title>");
    let route = rig.curl("/x/y", &html).await;
    assert_eq!((route.body.as_slice(), route.header("vary")), (PAGE, Some("accept, accept-encoding")));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_get_nothing() {
    let rig = rig(|_| {});
    for path in [
        "/%2e%2e%2fetc/passwd",
        "/../../etc/passwd",
        "/..%5c..%5cx",
        "/a%00",
        "//etc/passwd",
        "/./index.html",
        "/%c0%ae%c0%ae/",
        "/%",
    ] {
        let status = rig.curl(path, &[]).await.status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"] {
        let answer = rig.curl("/", &["-X", method]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(rig.curl("/", &["-d", "x=1"]).await.status, 405);
    for (request, statuses) in [
        ("GET / HTTP/1.1\r\n\r\n", &[400][..]),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\nHost: a\n\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", &[400]),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
    ] {
        let mut client = Keeping::over(rig.connect().await);
        client.send(request).await;
        let answer = client.answer().await.unwrap();
        assert!(statuses.contains(&answer.status), "{request:?}: {}", answer.status);
        if answer.status == 400 && request.contains("Length") {
            assert!(client.answer().await.is_none(), "kept after {request:?}");
        }
    }
    for (head, statuses) in
        [(format!("X: {}", "a".repeat(20_000)), [431, 400]), ("X: a\r\n".repeat(200), [431, 400])]
    {
        let mut client = Keeping::over(rig.connect().await);
        client.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert!(statuses.contains(&answer.status), "{}", answer.status);
        assert!(client.answer().await.is_none());
    }
    let mut client = Keeping::over(rig.connect().await);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n....").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(client.answer().await.is_none());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_documents_say_what_is_live() {
    let rig = rig(|_| {});
    let json = |answer: &Answer| serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap();
    let state = json(&rig.curl("/.well-known/prep/estado.json", &[]).await);
    assert_eq!((&state["state"], &state["cut"]), (&"published".into(), &"2024-06-02T20:15:00-05:00".into()));
    assert_eq!(state["release"], rig.bench.site.live().release().unwrap().id.as_str());
    let manifest = json(&rig.curl("/.well-known/prep/manifiesto.json", &[]).await);
    assert_eq!(manifest["files"].as_object().unwrap().len(), site().len());
    for (path, bytes) in site() {
        let file = &manifest["files"][path];
        assert_eq!(file["sha256"], crate::model::Digest::of(&bytes).to_string(), "{path}");
        assert_eq!(file["size"], bytes.len());
    }
    let frame = rig.curl("/.well-known/prep/marco", &[]).await;
    assert!(frame.text().contains("Corte del 2 de junio de 2024, 20:15 horas (UTC-5)"));
    assert!(frame.text().contains("<iframe src=\"/publicacion/nacional/\""));
    for (path, status) in [
        ("/.well-known/prep/salud", 200),
        ("/%2ewell-known/prep/estado.json", 200),
        ("/.well-known/prep/", 404),
        ("/.well-known/acme-challenge/x", 404),
        ("/.well-known/%F1", 400),
        ("/.well-known/%C3%B1", 404),
    ] {
        assert_eq!(rig.curl(path, &[]).await.status, status, "{path}");
    }
    let head = rig.curl("/.well-known/prep/estado.json", &["-I"]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(rig.curl("/.well-known/prep/estado.json", &["-X", "POST"]).await.status, 405);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_are_results_only_the_waiting_page_is_there() {
    let rig = Rig::start(|_| {});
    let waiting = crate::site::page::Waiting::default().html();
    let secret = rig.bench.release(9, &[("index.html", b"<base href=\"/\">early"), ("a.json", b"early")]);
    for shown in [None, Some(rig.bench.store.waiting_release(waiting.as_bytes()).unwrap())] {
        if let Some(release) = shown {
            rig.bench.site.show(rig.bench.site.load(&release, rig.bench.site.clock().now()).unwrap());
        }
        for (path, options, status) in [
            ("/", &[][..], 200),
            ("/", &["-I"][..], 200),
            ("/", &["-H", "If-None-Match: *"], 200),
            ("/", &["-H", "Range: bytes=0-3"], 200),
            ("/index.html", &[], 200),
            ("/mapa.html", &[], 200),
            ("/nacional", &["-H", "Accept: text/html"], 200),
            ("/a.json", &["-H", "Accept: text/html"], 404),
            ("/a.json.gz", &[], 404),
            ("/sitemap.xml", &[], 404),
            ("/.git", &["-H", "Accept: text/html"], 404),
        ] {
            let answer = rig.curl(path, options).await;
            assert_eq!(answer.status, status, "{path} {options:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.header("x-prep-corte").is_none() && answer.header("etag").is_none());
            assert!(!answer.text().contains("early"));
            assert!(
                status != 200 || options.contains(&"-I") || answer.text().contains("<base href=\"/\">"),
                "{path}"
            );
        }
        let state = rig.curl("/.well-known/prep/estado.json", &[]).await;
        assert!(state.text().contains("\"state\":\"waiting\",\"cut\":null"), "{}", state.text());
        assert!(rig.curl("/.well-known/prep/manifiesto.json", &[]).await.text().contains("\"files\":{}"));
    }
    rig.bench.site.show(rig.bench.site.load(&secret, rig.bench.site.clock().now()).unwrap());
    assert_eq!(rig.curl("/a.json", &[]).await.text(), "early");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_the_operators() {
    let rig = rig(|config| {
        let second = std::time::Duration::from_secs(1);
        config.cache = CachePolicy::Edge {
            browser: second * 2,
            edge: second * 15,
            stale: second,
            on_error: second * 60,
        };
        config.cors = Cors::Any;
        config.fallback = Fallback::NotFound;
        config.disguised = Disguised::Octets;
        config.hsts = Some(std::time::Duration::from_secs(86400));
        config.frame_ancestors = vec!["https://www.ejemplo.mx".to_owned()];
    });
    let data = rig.curl("/assets/avance.json", &[]).await;
    assert_eq!(
        data.header("cache-control"),
        Some("public, max-age=2, s-maxage=15, stale-while-revalidate=1, stale-if-error=60")
    );
    let release = rig.bench.site.live().release().unwrap().id.to_string();
    let tags = |answer: &Answer| answer.header("cache-tag").map(str::to_owned);
    assert_eq!(tags(&data), Some(format!("prep,prep-vigente,{release}")));
    assert_eq!(data.header("surrogate-key"), Some(format!("prep prep-vigente {release}").as_str()));
    let kept = rig
        .curl("/assets/avance.json", &["-H", &format!("If-None-Match: {}", data.header("etag").unwrap())])
        .await;
    assert_eq!((kept.status, tags(&kept)), (304, tags(&data)));
    assert_eq!(data.header("access-control-allow-origin"), Some("*"));
    assert_eq!(data.header("strict-transport-security"), Some("max-age=86400"));
    assert_eq!(data.header("content-security-policy"), Some("frame-ancestors 'self' https://www.ejemplo.mx"));
    assert!(rig.curl("/", &[]).await.header("access-control-allow-origin").is_none());
    assert_eq!(rig.curl("/x", &["-H", "Accept: text/html"]).await.status, 404);
    let ready = rig.curl("/assets/ready.json", &[]).await;
    assert_eq!(
        (ready.header("content-type"), ready.header("content-encoding")),
        (Some("application/gzip"), None)
    );
    let cache = |a: Answer| a.header("cache-control").unwrap().to_owned();
    let hashed = rig.curl("/assets/main.3f2a8b1c9d0e4f56.js", &[]).await;
    // A purge of what changes with the cut leaves them.
    assert_eq!(tags(&hashed), Some(format!("prep,{release}")));
    let hashed = cache(hashed);
    assert_eq!(hashed, "public, max-age=31536000, immutable");
    assert!(cache(rig.curl("/assets/20240602_2005_PREP.zip", &[]).await).ends_with("immutable"));
    let frame = rig.curl("/.well-known/prep/marco", &[]).await;
    assert!(
        frame
            .header("content-security-policy")
            .unwrap()
            .ends_with("frame-ancestors 'self' https://www.ejemplo.mx")
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_leads_to_https() {
    let rig = rig(|_| {});
    let mut client = Keeping::over(TcpStream::connect(rig.http).await.unwrap());
    client.send("GET /a%20b?c=d HTTP/1.1\r\nHost: localhost:80\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    let expected = rig.url("/a%20b?c=d");
    assert_eq!((answer.status, answer.header("location")), (308, Some(expected.as_str())));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_disk_is_served_like_any_other() {
    let config = SiteConfig { memory_file_bytes_max: 100_000, ..SiteConfig::default() };
    let rig = Rig::over(Bench::new(config), |_| {});
    let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    rig.bench.show(1, &[("large.bin", &large), ("index.html", b"x")]);
    for version in ["--http1.1", "--http2"] {
        assert_eq!(rig.curl("/large.bin", &[version]).await.body, large);
        let part = rig.curl("/large.bin", &[version, "-H", "Range: bytes=262140-1000000"]).await;
        assert_eq!((part.status, part.body.as_slice()), (206, &large[262_140..=1_000_000]));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_one_breath_are_answered_in_turn() {
    let rig = rig(|_| {});
    let mut client = Keeping::over(rig.connect().await);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(&format!("\r\n{}{}{}GET /dig", get("/digits.txt"), get("/no"), get("/"))).await;
    for (status, size) in [(200, 10_000), (404, 0), (200, PAGE.len())] {
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status);
        assert!(status == 404 || answer.body.len() == size);
    }
    // The rest of the last head comes byte by byte.
    for byte in "its.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".chars() {
        client.send(&byte.to_string()).await;
    }
    let kept = client.answer().await.unwrap();
    assert_eq!((kept.status, kept.header("connection")), (200, Some("keep-alive")));
    client.send("GET http://a/digits.txt?x HTTP/1.0\r\n\r\n").await;
    let last = client.answer().await.unwrap();
    assert_eq!((last.body.len(), last.header("connection")), (10_000, Some("close")));
    assert!(client.answer().await.is_none());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_a_body_still_reads_its_answer() {
    let rig = rig(|_| {});
    for _ in 0..20 {
        let mut client = Keeping::over(rig.connect().await);
        let body = "x".repeat(200_000);
        client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{body}")).await;
        let answer = client.answer().await.expect("an answer, not a reset");
        assert_eq!((answer.status, answer.header("connection")), (405, Some("close")));
    }
    rig.end().await;
}
