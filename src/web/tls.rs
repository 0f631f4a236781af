//! TLS as we speak it: 1.2 and 1.3, post-quantum key exchange first, resumption by tickets.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use super::certificate::Certificates;
use super::challenge::ACME_TLS;
use super::tickets::Tickets;

/// The cryptography of the house, with the cheapest of the strong ciphers in front: AES-256
/// costs 13 % more on large files.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        (!name.starts_with("TLS13"), !name.contains("AES_128"))
    });
    Arc::new(provider)
}

/// The settings of every handshake. Without `tickets` this process opens its own only.
pub(super) fn settings(
    provider: Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    tickets: Option<Arc<Tickets>>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    // Clients that speak HTTP/1.0 on purpose say so, and would be turned away with an alert.
    config.alpn_protocols = [HTTP_2, b"http/1.1", b"http/1.0", ACME_TLS].map(<[u8]>::to_vec).to_vec();
    config.ticketer = match tickets {
        Some(tickets) => tickets,
        None => aws_lc_rs::Ticketer::new()?,
    };
    config.send_tls13_tickets = 1;
    config.ignore_client_order = true;
    Ok(config)
}

/// The ALPN name of HTTP/2 (RFC 9113 §3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
