//! Server CPU of one request, against nginx tuned for it: same certificate, cipher and keep-alive, each
//! server on core 0 and the generator (h2load, or ourselves for handshakes) on core 1, in turns.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::median;
use crate::night::{self, Node};
use crate::script::free_port;
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

pub fn compare(rounds: u64, seconds: u64) {
    pin_ourselves();
    let (node, files) = ours();
    let nginx = Nginx::start(&node, files.path());
    let sides = [
        Side { address: node.https, pids: vec![node.pid()] },
        Side { address: nginx.address, pids: nginx.pids() },
    ];
    println!("CPU of the server, µs a request: difusor, nginx, nginx / difusor (range)");
    for row in ROWS {
        let options = sides.each_ref().map(|side| options(side, row));
        in_turns(row.name, rounds, |n| load(&sides[n], row, &options[n], seconds));
    }
    for (name, kind) in [("handshake TLS 1.3", Kind::Full), ("handshake resumed", Kind::Resumed)] {
        in_turns(name, rounds, |n| handshakes(&sides[n], kind, seconds));
    }
    // The OpenSSL of Debian 12 does not speak it: there is nothing to compare with.
    let taken: Vec<f64> = (0..rounds).map(|_| handshakes(&sides[0], Kind::PostQuantum, seconds)).collect();
    println!("{:<24} {:>8.1}", "handshake post-quantum", median(&taken));
}

/// Memory of connections that say nothing.
pub fn idle(count: usize) {
    let (node, files) = ours();
    let nginx = Nginx::start(&node, files.path());
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

fn in_turns(name: &str, rounds: u64, measure: impl Fn(usize) -> f64) {
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (n, taken) in taken.iter_mut().enumerate() {
            taken.push(measure(n));
        }
    }
    let [ours, theirs] = &taken;
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| b / a).collect();
    let (low, high) =
        (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
    println!(
        "{name:<24} {:>8.1} {:>8.1}   {:.2} ({low:.2}–{high:.2})",
        median(ours),
        median(theirs),
        median(&ratios)
    );
}

fn pin_ourselves() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-acp", "1", &pid]).stdout(Stdio::null()).status().unwrap();
    assert!(pinned.success());
}

/// Our server with the files to ask for, all of one cut.
fn ours() -> (Node, tempfile::TempDir) {
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
    let mut node = Node::prepare("[https]\nconnections = 20000\n");
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

/// nginx as a good administrator sets it up.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(node: &Node, files: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, port) = (dir.path().display(), free_port());
        let tls = node.path("var/tls");
        let conf = format!(
            "user root; daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error;\n\
             worker_rlimit_nofile 30000; events {{ worker_connections 20000; }}\n\
             http {{ include /etc/nginx/mime.types; access_log off; server_tokens off;\n\
             client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
             sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 75; keepalive_requests 1000000000;\n\
             gzip_static on; gzip_vary on; output_buffers 2 256k;\n\
             open_file_cache max=10000 inactive=60s; open_file_cache_valid 30s; open_file_cache_min_uses 1;\n\
             ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:20m; ssl_session_tickets on;\n\
             ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519;\n\
             ssl_certificate {tls}/self-signed.pem; ssl_certificate_key {tls}/self-signed.key;\n\
             server {{ listen 127.0.0.1:{port} ssl http2 reuseport backlog=4096; root {root}; etag on; }} }}\n",
            tls = tls.display(),
            root = files.display(),
        );
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let mut nginx = Command::new("taskset");
        nginx.args(["-c", "0", "/usr/sbin/nginx", "-p"]).arg(dir.path());
        let child = nginx.arg("-c").arg(dir.path().join("nginx.conf")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _dir: dir }
    }

    fn pids(&self) -> Vec<u32> {
        let found = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
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

/// µs of CPU of a new connection with one request.
fn handshakes(side: &Side, kind: Kind, seconds: u64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(kind);
        drop(one_request(side.address, &client).await);
        let (before, begun, mut done) = (spent(&side.pids), Instant::now(), 0.0);
        while begun.elapsed() < Duration::from_secs(seconds) {
            let mut stream = one_request(side.address, &client).await;
            let expected = match kind {
                Kind::Resumed => rustls::HandshakeKind::Resumed,
                Kind::Full | Kind::PostQuantum => rustls::HandshakeKind::Full,
            };
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
            let _ = stream.shutdown().await;
            done += 1.0;
        }
        (spent(&side.pids) - before) / done
    })
}
