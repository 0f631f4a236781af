//! The server as its peers see it, over loopback.

mod clocks;
mod hits;
mod http;
mod swap;
mod tls;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::site::SiteConfig;
use crate::site::bench::Bench;

/// A running server over a scratch store.
struct Rig {
    bench: Bench,
    https: SocketAddr,
    http: SocketAddr,
    gauge: Gauge,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Rig {
    fn start(change: impl FnOnce(&mut WebConfig)) -> Self {
        Self::over(Bench::new(SiteConfig::default()), change)
    }

    fn over(bench: Bench, change: impl FnOnce(&mut WebConfig)) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = WebConfig::new(bench.scratch.path().join("keys"));
        (config.https, config.http) = (vec![any], vec![any]);
        change(&mut config);
        let stop = CancellationToken::new();
        let site = Arc::clone(&bench.site);
        let server = Server::bind(config, Default::default(), site, Report::silent(), stop.clone()).unwrap();
        let (https, http) = (server.local_addrs()[0], server.redirect_addrs()[0]);
        let gauge = server.gauge();
        Self { bench, https, http, gauge, stop, running: tokio::spawn(server.run()) }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https.port())
    }

    /// curl, trusting our own certificate.
    async fn curl(&self, path: &str, options: &[&str]) -> Answer {
        let mut command = Command::new("curl");
        command.args(["-sS", "--path-as-is", "-i", "--max-time", "20", "--cacert"]).arg(self.certificate());
        command.args(options).arg(self.url(path));
        let out = run(command).await;
        assert!(!out.stdout.is_empty(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
        Answer::read(&out.stdout)
    }

    fn certificate(&self) -> std::path::PathBuf {
        self.bench.scratch.path().join("keys/self-signed.pem")
    }

    /// A TLS connection that trusts our own certificate.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(super::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap()
    }

    fn counted(&self, counter: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        counter(self.gauge.counts()).load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Runs a program without holding up the server.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// One answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = find(bytes, b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
        let (status, headers) = head(&bytes[..end]);
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn head(bytes: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair = |line: &str| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
    (status, lines.filter_map(pair).collect())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|w| w == part)
}

/// A small HTTP/1.1 client that keeps its connection.
struct Keeping<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Keeping<S> {
    fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        self.answer().await.expect("closed instead of an answer")
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next answer with its body; `None` at the end of the connection.
    async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let (status, headers) = head(&self.buffer[..end]);
                let length = headers
                    .iter()
                    .find(|(n, _)| n == "content-length")
                    .map_or(0, |(_, v)| v.parse().unwrap());
                if self.buffer.len() >= end + 4 + length {
                    let body = self.buffer[end + 4..end + 4 + length].to_vec();
                    self.buffer.drain(..end + 4 + length);
                    return Some(Answer { status, headers, body });
                }
            }
            let mut block = vec![0; 65536];
            match self.stream.read(&mut block).await {
                Ok(count) if count > 0 => self.buffer.extend(&block[..count]),
                _ => return None,
            }
        }
    }
}
