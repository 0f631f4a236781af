//! Server CPU of one request, against nginx tuned for it: same certificate, cipher and keep-alive, each
//! server on core 0 and the generator (h2load, or ourselves for handshakes) on core 1, in turns.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::median;
use crate::nginx::{self, Nginx};
use crate::night::{self, Node};
use crate::steady::Anybody;

/// One thing that is asked: its name, path, and how h2load asks it.
struct Row {
    name: &'static str,
    path: &'static str,
    how: &'static [&'static str],
    conditional: bool,
}

const fn row(name: &'static str, path: &'static str, how: &'static [&'static str]) -> Row {
    Row { name, path, how, conditional: false }
}

const ROWS: &[Row] = &[
    row("h1 5 KB JSON", "/avance.json", &["--h1", "-c64"]),
    Row { conditional: true, ..row("h1 304", "/avance.json", &["--h1", "-c64"]) },
    row("h1 200 KB JSON gzip", "/mapa.json", &["--h1", "-c32", "-Haccept-encoding: gzip"]),
    row("h1 5 MB CSV", "/cinco.csv", &["--h1", "-c8"]),
    row("h2 5 KB JSON", "/avance.json", &["-c16", "-m16"]),
    row("h2 200 KB JSON gzip", "/mapa.json", &["-c16", "-m8", "-Haccept-encoding: gzip"]),
    row("h2 5 MB CSV", "/cinco.csv", &["-c4", "-m2"]),
];

/// A server of the comparison.
struct Side {
    address: SocketAddr,
    pids: Vec<u32>,
}

pub fn compare(rounds: u64, seconds: u64, also_of_crate: bool) {
    pin_ourselves();
    let (node, files) = ours("");
    let mut programs = vec![PathBuf::from(nginx::OF_DEBIAN)];
    if also_of_crate {
        programs.push(nginx::of_crate());
    }
    let others: Vec<Nginx> = programs.iter().map(|p| Nginx::start(p, &node, files.path())).collect();
    let mut sides = vec![Side { address: node.https, pids: vec![node.pid()] }];
    sides.extend(others.iter().map(|nginx| Side { address: nginx.address, pids: nginx.pids() }));
    println!("CPU of the server, µs a request: difusor, then of each nginx: µs, ratio to difusor (range)");
    for row in ROWS {
        let options: Vec<_> = sides.iter().map(|side| options(side, row)).collect();
        in_turns(row.name, rounds, sides.len(), |n| load(&sides[n], row, &options[n], seconds));
    }
    for (name, kind) in [("handshake TLS 1.3", Kind::Full), ("handshake resumed", Kind::Resumed)] {
        in_turns(name, rounds, sides.len(), |n| handshakes(&sides[n], kind, seconds));
    }
    // The OpenSSL of Debian 12 does not speak it: there is nothing to compare with.
    let taken: Vec<f64> = (0..rounds).map(|_| handshakes(&sides[0], Kind::PostQuantum, seconds)).collect();
    println!("{:<24} {:>8.1}", "handshake post-quantum", median(&taken));
}

/// What the access log and the statistics cost a request, their thread included.
pub fn statistics(rounds: u64, seconds: u64) {
    pin_ourselves();
    let (with, _files) = ours("");
    let (without, _other) = ours("[access-log]\nenabled = false\n");
    let sides = [&with, &without].map(|node| Side { address: node.https, pids: vec![node.pid()] });
    println!("CPU of the server, µs a request: with log and statistics, without, difference (share)");
    for row in ROWS.iter().filter(|row| !row.name.contains("CSV")) {
        let options = sides.each_ref().map(|side| options(side, row));
        let mut taken = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (n, taken) in taken.iter_mut().enumerate() {
                taken.push(load(&sides[n], row, &options[n], seconds));
            }
        }
        let [with, without] = taken.each_ref().map(|taken| median(taken));
        println!(
            "{:<24} {with:>8.2} {without:>8.2}   {:+.2} ({:+.1} %)",
            row.name,
            with - without,
            (with / without - 1.0) * 100.0
        );
    }
    let lost = with.difusor(&["status", "--json"]);
    let lost: serde_json::Value = serde_json::from_slice(&lost.stdout).unwrap();
    println!("lost to the log: {}", lost["data"]["traffic"]["lost"]);
    let checked = with.difusor(&["stats", "rebuild", "--check"]);
    println!("{}", String::from_utf8_lossy(&checked.stdout).trim());
}

/// Memory of connections that say nothing.
pub fn idle(count: usize) {
    let (node, files) = ours("");
    let nginx = Nginx::start(Path::new(nginx::OF_DEBIAN), &node, files.path());
    for (name, side) in [
        ("difusor", Side { address: node.https, pids: vec![node.pid()] }),
        ("nginx", Side { address: nginx.address, pids: nginx.pids() }),
    ] {
        let before = proportional(&side.pids);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let held = runtime.block_on(async {
            let client = client(Kind::Resumed);
            let mut held = Vec::new();
            for _ in 0..count {
                held.push(one_request(side.address, &client).await);
            }
            held
        });
        let each = (proportional(&side.pids) - before) as f64 / 1024.0 / count as f64;
        println!("{name:<10} {} idle TLS connections, {each:.1} KB each", held.len());
    }
}

fn in_turns(name: &str, rounds: u64, sides: usize, measure: impl Fn(usize) -> f64) {
    let mut taken = vec![Vec::new(); sides];
    for _ in 0..rounds {
        for (n, taken) in taken.iter_mut().enumerate() {
            taken.push(measure(n));
        }
    }
    let ours = &taken[0];
    print!("{name:<24} {:>8.1}", median(ours));
    for theirs in &taken[1..] {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| b / a).collect();
        let low = ratios.iter().copied().fold(f64::MAX, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        print!("   {:>8.1} {:.2} ({low:.2}–{high:.2})", median(theirs), median(&ratios));
    }
    println!();
}

fn pin_ourselves() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-acp", "1", &pid]).stdout(Stdio::null()).status().unwrap();
    assert!(pinned.success());
}

/// Our server with the files to ask for, all of one cut.
fn ours(more: &str) -> (Node, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    fs::set_permissions(files.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let write = |name: &str, text: String| {
        fs::write(files.path().join(name), &text).unwrap();
        let zipped = Command::new("gzip").args(["-k", "-6"]).arg(files.path().join(name)).status().unwrap();
        assert!(zipped.success());
    };
    write("index.html", "<html><head><base href=\"/\"></head></html>".to_owned());
    write("avance.json", json(5_000));
    write("mapa.json", json(200_000));
    let line = |n: usize| format!("{n},Distrito {},{},{}\n", n % 300, n * 7919 % 10_007, n * 31 % 977);
    write(
        "cinco.csv",
        (0..)
            .map(line)
            .scan(0, |size, l| {
                *size += l.len();
                (*size < 5 << 20).then_some(l)
            })
            .collect(),
    );
    let package = Command::new("tar")
        .args(["-czf", "-", "-C"])
        .arg(files.path())
        .args(["index.html", "avance.json", "mapa.json", "cinco.csv"])
        .output()
        .unwrap();
    let mut node = Node::prepare(&format!("[https]\nconnections = 20000\n{more}"));
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0", night::DIFUSOR]);
    node.up_as("run", pinned);
    let pushed = node.exec("cat > lectores.tar.gz", &package.stdout);
    assert!(pushed.status.success(), "{}", night::shown(&pushed));
    let begun = Instant::now();
    while node.curl("/mapa.json", &["-H", "Accept-Encoding: gzip"]).header("content-encoding").is_none() {
        assert!(begun.elapsed() < night::PATIENCE, "never compressed");
        std::thread::sleep(Duration::from_millis(50));
    }
    (node, files)
}

/// A JSON document of about this size, as results look.
fn json(size: usize) -> String {
    let mut text = "[".to_owned();
    for n in 0.. {
        if text.len() + 60 > size {
            break;
        }
        text.push_str(&format!(
            "{{\"seccion\":{n},\"votos\":{},\"p\":{}}},",
            n * 7919 % 10_007,
            n * 31 % 977
        ));
    }
    text.pop();
    text + "]"
}

/// What a row adds for one side: the tag that it would answer 304 to.
fn options(side: &Side, row: &Row) -> Vec<String> {
    if !row.conditional {
        return Vec::new();
    }
    let answer = night::curl(&format!("https://{}{}", side.address, row.path), &[]);
    vec![format!("-Hif-none-match: {}", answer.header("etag").unwrap())]
}

/// µs of CPU a request.
fn load(side: &Side, row: &Row, options: &[String], seconds: u64) -> f64 {
    let mut h2load = Command::new("taskset");
    h2load.args(["-c", "1", "h2load", "-t1", "--duration", &seconds.to_string()]);
    h2load.args(["--ciphers=ECDHE-ECDSA-AES128-GCM-SHA256"]).args(row.how).args(options);
    h2load.arg(format!("https://{}{}", side.address, row.path));
    let before = spent(&side.pids);
    let out = h2load.output().unwrap();
    let spent = spent(&side.pids) - before;
    let text = String::from_utf8_lossy(&out.stdout);
    let line =
        text.lines().find(|l| l.starts_with("requests:")).unwrap_or_else(|| panic!("{}", night::shown(&out)));
    let number = |word: &str| -> f64 {
        let part = line.split(", ").find(|p| p.ends_with(word)).unwrap();
        part.split_whitespace().rev().nth(1).unwrap().parse().unwrap()
    };
    let (done, failed) = (number("succeeded"), number("failed") + number("errored"));
    // Those under way when the time is over count as failed: one for each stream at most.
    assert!(failed <= 256.0 && done > failed, "{}", night::shown(&out));
    spent / done
}

/// Microseconds of CPU that these processes have used.
fn spent(pids: &[u32]) -> f64 {
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1000.0
    };
    let of =
        |pid: &u32| fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().map(of_task).sum::<f64>();
    pids.iter().map(of).sum()
}

/// Bytes of memory, shared pages divided among those who share them.
fn proportional(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find(|l| l.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    pids.iter().map(of).sum()
}

/// What kind of handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Resumed,
    PostQuantum,
}

fn client(kind: Kind) -> Arc<rustls::ClientConfig> {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    let group = if kind == Kind::PostQuantum { kx_group::X25519MLKEM768 } else { kx_group::X25519 };
    let provider = Arc::new(rustls::crypto::CryptoProvider { kx_groups: vec![group], ..default_provider() });
    let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    if kind != Kind::Resumed {
        client.resumption = rustls::client::Resumption::disabled();
    }
    Arc::new(client)
}

/// Connects, asks for the page, reads its first bytes.
async fn one_request(
    address: SocketAddr,
    client: &Arc<rustls::ClientConfig>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut block = [0; 4096];
    assert!(stream.read(&mut block).await.unwrap() > 0);
    stream
}

/// µs of CPU of a new connection with one request, many of them under way at once: a server that sleeps
/// between any two packets would be measured by its naps.
fn handshakes(side: &Side, kind: Kind, seconds: u64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..AT_ONCE {
            let client = client(kind);
            drop(one_request(side.address, &client).await);
            clients.push(client);
        }
        let (before, until) = (spent(&side.pids), Instant::now() + Duration::from_secs(seconds));
        let mut readers = tokio::task::JoinSet::new();
        for client in clients {
            readers.spawn(connects(side.address, client, kind, until));
        }
        let done: f64 = readers.join_all().await.iter().sum();
        (spent(&side.pids) - before) / done
    })
}

/// One reader who comes again and again; how often.
async fn connects(address: SocketAddr, client: Arc<rustls::ClientConfig>, kind: Kind, until: Instant) -> f64 {
    let mut done = 0.0;
    while Instant::now() < until {
        let mut stream = one_request(address, &client).await;
        let expected = match kind {
            Kind::Resumed => rustls::HandshakeKind::Resumed,
            Kind::Full | Kind::PostQuantum => rustls::HandshakeKind::Full,
        };
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
        let _ = stream.shutdown().await;
        done += 1.0;
    }
    done
}

/// Readers who connect at once.
const AT_ONCE: usize = 32;
