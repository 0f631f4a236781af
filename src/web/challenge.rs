//! The answers that an ACME server looks for: a file over plain HTTP (RFC 8555 §8.3), or a certificate
//! shown to whoever asks for the protocol `acme-tls/1` (RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// What is being asked for at the moment; nothing most of the year.
#[derive(Debug)]
pub(super) struct Challenges {
    provider: Arc<CryptoProvider>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    http: HashMap<String, String>,
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// Why the answer over TLS could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswerable {
    #[error("making the certificate of a challenge: {0}")]
    Generation(#[from] rcgen::Error),
    #[error("using the certificate of a challenge: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("a challenge of a wrong length")]
    Length,
}

impl Challenges {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { provider, open: Mutex::default() })
    }

    /// Has this said to whoever asks for the token over plain HTTP.
    pub(super) fn answer_http(&self, token: &str, authorization: &str) {
        self.lock().http.insert(token.to_owned(), authorization.to_owned());
    }

    /// Has a certificate with this digest shown to whoever asks for the name with `acme-tls/1`.
    pub(super) fn answer_tls(&self, name: &str, digest: &[u8]) -> Result<(), Unanswerable> {
        if digest.len() != DIGEST_BYTES {
            return Err(Unanswerable::Length);
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::new([name.to_owned()])?;
        params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
        let certificate = CertificateDer::from(params.self_signed(&key)?.der().to_vec());
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // Not checked against each other: the library's reader stops at the critical extension, which
        // is the answer itself.
        let shown =
            CertifiedKey::new(vec![certificate], self.provider.key_provider.load_private_key(private)?);
        self.lock().tls.insert(name.to_owned(), Arc::new(shown));
        Ok(())
    }

    /// Ends all of them.
    pub(super) fn forget(&self) {
        *self.lock() = Open::default();
    }

    /// What to say for a token.
    pub(super) fn http(&self, token: &str) -> Option<String> {
        self.lock().http.get(token).cloned()
    }

    /// What to show, where a handshake is such a question.
    pub(super) fn tls(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut protocols = hello.alpn()?;
        let is_question = protocols.next() == Some(ACME_TLS) && protocols.next().is_none();
        is_question.then(|| self.lock().tls.get(hello.server_name()?).cloned()).flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ALPN name of the question (RFC 8737 §6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";
/// Where the question is asked over plain HTTP.
pub(super) const ACME_HTTP: &str = "/.well-known/acme-challenge/";
/// SHA-256.
const DIGEST_BYTES: usize = 32;
