//! The abuse table of the threat notes, bounded, on loopback: each row is a test named after it. The
//! attacker is 127.0.0.2, a stranger; the victim is an honest stranger at 127.0.0.3; the institute's
//! monitor at 127.0.0.9 is exempt. Clocks are wound short; speed is not asserted here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE};
use crate::steady::{connect_from, open_from};

const ATTACKER: &str = "127.0.0.2";
const VICTIM: &str = "127.0.0.3";
const MONITOR: &str = "127.0.0.9";

const SHORT: &str = "[https]\nexempt = [\"127.0.0.9/32\"]\nhandshake-time = \"2s\"\nhead-time = \"2s\"\n\
    idle = \"2s\"\nprogress-time = \"2s\"\nconnections-per-address = 1000\nnew-connections-burst = 5000\n";

/// A node with one cut live.
fn node(more: &str) -> Node {
    let node = Node::start_with(&format!("{SHORT}{more}"));
    let cuts = Cuts::good(0);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    node
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// What `status --json` counts.
fn counted(node: &Node, what: &str) -> u64 {
    let status = node.difusor(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let counts = &status["data"]["readers"]["counts"];
    assert!(counts.is_object(), "{status}");
    counts[what].as_u64().unwrap_or_else(|| panic!("no {what} in {counts}"))
}

fn until_counted(node: &Node, what: &str, at_least: u64) {
    let begun = Instant::now();
    while counted(node, what) < at_least {
        assert!(begun.elapsed() < PATIENCE, "{what}: {} of {at_least}", counted(node, what));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Resident memory in bytes.
fn resident(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// The victim asks over a new connection and gets its page.
fn victim_is_served(node: &Node) {
    assert_eq!(from(node, VICTIM, "/", &[]).status, 200);
}

fn from(node: &Node, source: &str, path: &str, options: &[&str]) -> crate::night::Answer {
    node.curl(path, &[&["--interface", source], options].concat())
}

/// Reads until the peer closes.
async fn ends(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut block = vec![0; 16384];
    let read = async { while stream.read(&mut block).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection stays open");
}

/// A connection that has said its preface and these settings.
async fn http2(address: SocketAddr, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = connect_from(ATTACKER, address, b"h2").await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://a/` in HPACK (RFC 7541), all but the authority indexed.
const GET: &[u8] = &[0x82, 0x84, 0x87, 0x41, 1, b'a'];
const POST: &[u8] = &[0x83, 0x84, 0x87, 0x41, 1, b'a'];
/// `SETTINGS_INITIAL_WINDOW_SIZE = 0`.
const SHUT: &[u8] = &[0, 4, 0, 0, 0, 0];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Writes until the peer closes: how many bytes it took. What it says is read.
async fn pour(stream: TlsStream<TcpStream>, mut next: impl FnMut(u32) -> Vec<u8>, max: u64) -> u64 {
    let (mut read, mut write) = tokio::io::split(stream);
    let reading = tokio::spawn(async move {
        let mut block = [0; 16384];
        while read.read(&mut block).await.is_ok_and(|n| n > 0) {}
    });
    let mut poured = 0;
    for n in 0.. {
        let bytes = next(n);
        if poured >= max || reading.is_finished() || write.write_all(&bytes).await.is_err() {
            break;
        }
        poured += bytes.len() as u64;
    }
    reading.abort();
    poured
}

#[test]
fn rapid_reset() {
    let node = node("");
    let before = resident(&node);
    run(async {
        let stream = http2(node.https, &[]).await;
        let next = |n: u32| {
            let id = 2 * n + 1;
            [frame(HEADERS, END_STREAM | END_HEADERS, id, GET), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])]
                .concat()
        };
        let poured = pour(stream, next, 64 << 20).await;
        assert!(poured < 64 << 20, "never ended");
    });
    victim_is_served(&node);
    assert!(resident(&node) < before + (16 << 20));
}

#[test]
fn continuation_flood() {
    let node = node("");
    let before = resident(&node);
    run(async {
        let mut stream = http2(node.https, &[]).await;
        stream.write_all(&frame(HEADERS, 0, 1, GET)).await.unwrap();
        let header: Vec<u8> =
            (0..100).flat_map(|_| [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat()).collect();
        let poured = pour(stream, |_| frame(CONTINUATION, 0, 1, &header), 64 << 20).await;
        assert!(poured < 8 << 20, "{poured}");
    });
    victim_is_served(&node);
    assert!(resident(&node) < before + (16 << 20));
}

#[test]
fn empty_data() {
    let node = node("");
    let before = resident(&node);
    run(async {
        let mut stream = http2(node.https, &[]).await;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, POST)).await.unwrap();
        let poured = pour(stream, |_| frame(DATA, 0, 1, &[]), 64 << 20).await;
        assert!(poured < 64 << 20, "never ended");
    });
    victim_is_served(&node);
    assert!(resident(&node) < before + (5 << 20));
}

#[test]
fn ping_and_settings_floods() {
    let node = node("");
    let before = resident(&node);
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let cut = counted(&node, "flood");
        run(async {
            // Who reads the answers is cut for asking nothing; who does not is stopped by TCP before.
            let stream = http2(node.https, &[]).await;
            let many = flood.repeat(100);
            pour(stream, |_| many.clone(), 1 << 30).await;
            let mut deaf = http2(node.https, &[]).await;
            let poured = async { while deaf.write_all(&many).await.is_ok() {} };
            tokio::time::timeout(PATIENCE, poured).await.expect("a peer that never reads goes on for ever");
        });
        until_counted(&node, "flood", cut + 1);
    }
    victim_is_served(&node);
    assert!(resident(&node) < before + (5 << 20), "{} MB", (resident(&node) - before) >> 20);
}

#[test]
fn zero_window() {
    let node = node("");
    // What the first answers need is not the attack's doing.
    victim_is_served(&node);
    let before = resident(&node);
    run(async {
        let mut held = Vec::new();
        for _ in 0..20 {
            let mut stream = http2(node.https, SHUT).await;
            for id in 0..100 {
                stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 2 * id + 1, GET)).await.unwrap();
            }
            stream.flush().await.unwrap();
            held.push(stream);
        }
        victim_is_served(&node);
        assert!(resident(&node) < before + (10 << 20), "{} MB", (resident(&node) - before) >> 20);
        for mut stream in held {
            ends(&mut stream).await;
        }
    });
    until_counted(&node, "stalled", 20);
}

#[test]
fn slow_read() {
    let node = node("");
    let large = large_path();
    run(async {
        let mut held = Vec::new();
        for _ in 0..50 {
            let mut stream = connect_from(ATTACKER, node.https, b"http/1.1").await.unwrap();
            // Enough answers in a row that no kernel holds them all.
            let request = format!("GET /{large} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(200);
            stream.write_all(request.as_bytes()).await.unwrap();
            held.push(stream);
        }
        victim_is_served(&node);
        // Ten bytes a second are as good as none to a clock that wants 8 KiB.
        until_counted(&node, "stalled", 50);
    });
}

/// The largest file of the cut that every test shows.
fn large_path() -> String {
    let cuts = Cuts::good(0);
    let dir = cuts.unpacked(0);
    let files = crate::cuts::tree(dir.path());
    let size = |path: &String| std::fs::metadata(dir.path().join(path)).unwrap().len();
    let plain = |p: &String| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    files.into_keys().filter(plain).max_by_key(size).unwrap()
}

#[test]
fn slowloris() {
    let node = node("");
    run(async {
        let mut held = Vec::new();
        for n in 0..400 {
            let mut stream = connect_from(ATTACKER, node.https, b"http/1.1").await.unwrap();
            // It may be cut already if it is slow to come up: that is the test's aim.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
            if n % 100 == 0 {
                victim_is_served(&node);
            }
            held.push(stream);
        }
        for mut stream in held {
            ends(&mut stream).await;
        }
    });
    until_counted(&node, "slow_head", 400);
}

#[test]
fn silent_tls_sockets() {
    let node = node("");
    run(async {
        let mut held = Vec::new();
        for _ in 0..400 {
            held.push(open_from(ATTACKER, node.https).await.unwrap());
        }
        victim_is_served(&node);
        for mut stream in held {
            ends(&mut stream).await;
        }
    });
    until_counted(&node, "handshake", 400);
}

#[test]
fn handshake_flood() {
    let short = SHORT.replace("new-connections-burst = 5000", "new-connections-burst = 100");
    let node = Node::start_with(&format!("{short}new-connections-per-address = 10\n"));
    run(async {
        let mut taken = 0;
        for _ in 0..300 {
            taken += u32::from(connect_from(ATTACKER, node.https, b"http/1.1").await.is_ok());
        }
        assert!((100..300).contains(&taken), "{taken}");
    });
    victim_is_served(&node);
    until_counted(&node, "over_new_connections", 1);
}

#[test]
fn the_next_connection_of_a_full_address_is_refused_while_another_is_served() {
    let short = SHORT.replace("connections-per-address = 1000", "connections-per-address = 64");
    let node = Node::start_with(&short);
    run(async {
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(connect_from(ATTACKER, node.https, b"http/1.1").await.unwrap());
        }
        assert!(connect_from(ATTACKER, node.https, b"http/1.1").await.is_err());
        victim_is_served(&node);
        assert_eq!(counted(&node, "over_address"), 1);
    });
}

#[test]
fn a_million_requests_from_one_address() {
    let node = node("requests-per-address = 50\nrequests-burst = 100\n");
    let asked = |source: &'static str| {
        run(async {
            let mut stream = connect_from(source, node.https, b"http/1.1").await.unwrap();
            let mut statuses = Vec::new();
            for _ in 0..400 {
                stream.write_all(b"HEAD /?rand=1 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                let head = String::from_utf8(head).unwrap();
                assert_eq!(head.contains("retry-after: "), head.starts_with("HTTP/1.1 429"), "{head}");
                statuses.push(head.split(' ').nth(1).unwrap().parse::<u16>().unwrap());
            }
            statuses
        })
    };
    let attacker = asked(ATTACKER);
    assert!(attacker[..100].iter().all(|s| *s == 200));
    let refused = attacker.iter().filter(|s| **s == 429).count() as u64;
    assert!(refused > 0);
    assert_eq!(counted(&node, "over_requests"), refused);
    assert!(asked(MONITOR).iter().all(|s| *s == 200), "the monitor is never limited");
    victim_is_served(&node);
}

#[test]
fn cache_busters_cost_nothing() {
    let node = node("requests-per-address = 0\n");
    let plain = from(&node, ATTACKER, "/", &[]);
    let ask = |n: u32| format!("GET /?rand={n}{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1000));
    let many = |from: u32| {
        run(async {
            let mut stream = connect_from(ATTACKER, node.https, b"http/1.1").await.unwrap();
            for n in from..from + 5_000 {
                stream.write_all(ask(n).as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(&plain.body) {
                    assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
                }
                assert!(answer.starts_with(b"HTTP/1.1 200"));
            }
        });
    };
    // The buffers of the access log reach their size once, whatever is asked for.
    many(0);
    let before = resident(&node);
    many(5_000);
    assert!(resident(&node) < before + (2 << 20), "{} KB more", (resident(&node) - before) >> 10);
}
