//! Readers that ask without a pause over kept connections, and hold every request against its answer:
//! one that was sent and not answered is lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::night::PATIENCE;

/// How one reader asks.
#[derive(Clone, Copy)]
pub enum Steady {
    Http1,
    Http2,
}

/// Readers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    lost: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub fn start(readers: &[Steady], address: SocketAddr) -> Self {
        let (stop, answers, lost) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { stop, answers, lost, thread: None };
        let (readers, parts) = (readers.to_vec(), load.parts());
        load.thread = Some(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let tasks: Vec<_> =
                    readers.into_iter().map(|r| tokio::spawn(read(r, address, parts.clone()))).collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        }));
        load
    }

    fn parts(&self) -> Parts {
        Parts {
            stop: Arc::clone(&self.stop),
            answers: Arc::clone(&self.answers),
            lost: Arc::clone(&self.lost),
        }
    }

    /// Waits until this many more answers have come.
    pub fn wait_for_answers(&self, more: u64) {
        let (from, begun) = (self.answers.load(Ordering::Relaxed), Instant::now());
        while self.answers.load(Ordering::Relaxed) < from + more {
            assert!(begun.elapsed() < PATIENCE, "no {more} answers: {:?}", self.lost.lock().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Ends them: how many answers there were, and every request that got none.
    pub fn finish(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        (self.answers.load(Ordering::Relaxed), std::mem::take(&mut *self.lost.lock().unwrap()))
    }
}

#[derive(Clone)]
struct Parts {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    lost: Arc<Mutex<Vec<String>>>,
}

impl Parts {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn lose(&self, what: impl Into<String>) {
        self.lost.lock().unwrap().push(what.into());
    }
}

async fn read(reader: Steady, address: SocketAddr, parts: Parts) {
    while !parts.is_over() {
        let connected = match reader {
            Steady::Http1 => connect(address, b"http/1.1").await,
            Steady::Http2 => connect(address, b"h2").await,
        };
        match connected {
            Ok(stream) => match reader {
                Steady::Http1 => over_http1(stream, &parts).await,
                Steady::Http2 => over_http2(stream, &parts).await,
            },
            Err(error) => parts.lose(format!("connecting: {error}")),
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Asks until the server says that an answer was the last.
async fn over_http1(mut stream: TlsStream<TcpStream>, parts: &Parts) {
    let mut buffer = Vec::new();
    while !parts.is_over() {
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        if let Err(error) = asked.and(stream.flush().await) {
            return parts.lose(format!("asking: {error}"));
        }
        match answer(&mut stream, &mut buffer).await {
            Ok(head) if !head.starts_with("HTTP/1.1 200") => {
                parts.lose(head.lines().next().unwrap_or_default())
            }
            Ok(head) => {
                parts.answers.fetch_add(1, Ordering::Relaxed);
                if head.to_ascii_lowercase().contains("\r\nconnection: close") {
                    return;
                }
            }
            Err(error) => return parts.lose(format!("reading: {error}")),
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// The head of the next answer, whose body is read and dropped.
async fn answer(stream: &mut TlsStream<TcpStream>, buffer: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = end + length.map_or(0, |n| n.trim().parse::<usize>().unwrap());
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Ok(head);
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Asks until the server says that it takes no more. A request that it says it has not looked at
/// (GOAWAY, RFC 9113 §6.8) is not lost: it is asked again elsewhere.
async fn over_http2(stream: TlsStream<TcpStream>, parts: &Parts) {
    let io = TokioIo::new(stream);
    let Ok((mut sender, connection)) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await
    else {
        return parts.lose("handshake of HTTP/2");
    };
    let connection = tokio::spawn(connection);
    while !parts.is_over() && sender.ready().await.is_ok() {
        let request = http::Request::get("https://a/").body(Empty::<Bytes>::new()).unwrap();
        match sender.send_request(request).await {
            Ok(response) if response.status() == 200 => match response.into_body().collect().await {
                Ok(_) => _ = parts.answers.fetch_add(1, Ordering::Relaxed),
                Err(error) => parts.lose(format!("body: {error:?}")),
            },
            Ok(response) => parts.lose(response.status().to_string()),
            Err(error) if is_unseen(&error) => break,
            Err(error) => parts.lose(format!("{error:?}")),
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    drop(sender);
    connection.abort();
}

fn is_unseen(error: &hyper::Error) -> bool {
    error.is_canceled()
        || format!("{error:?}").contains("GoAway") && format!("{error:?}").contains("NO_ERROR")
}

/// A TLS connection that trusts anybody.
pub async fn connect(address: SocketAddr, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    connect_from("127.0.0.1", address, protocol).await
}

/// A TCP connection from this address of the machine.
pub async fn open_from(from: &str, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same over TLS.
pub async fn connect_from(
    from: &str,
    address: SocketAddr,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = open_from(from, address).await?;
    TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Takes any certificate.
#[derive(Debug)]
pub struct Anybody(pub Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
