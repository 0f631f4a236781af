//! The certificate that readers are shown, renewed while they read.
//!
//! Files are looked at by content, not by time: whoever renews them may copy, link or write
//! in place. A pair that cannot be read, parsed or does not belong together is reported once and
//! ignored; the last good one stays.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::challenge::Challenges;
use super::config::{CertificateSource, Report, WebEvent};
use crate::durable::Dir;
use crate::model::Digest;

/// The current certificate. Every handshake asks for it.
#[derive(Debug)]
pub(super) struct Certificates {
    source: CertificateSource,
    provider: Arc<CryptoProvider>,
    challenges: Arc<Challenges>,
    current: ArcSwap<CertifiedKey>,
    rejected: Mutex<Option<String>>,
    report: Report,
}

/// The certificate that is shown, and why a newer one is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of the leaf, as browsers write it.
    pub fingerprint: String,
    /// When it ends.
    pub ends: Option<Timestamp>,
    /// Why the files are not used.
    pub rejected: Option<String>,
}

/// What a pair of files is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When the leaf ends.
    pub ends: Timestamp,
    /// Whether it is for the name that was asked about.
    pub covers: bool,
}

/// Looks at a pair of files as the server would.
pub fn inspect(chain: &Path, key: &Path, domain: &str) -> Result<Facts, CertificateError> {
    let pair = read_pair(chain, key, &super::tls::provider())?;
    let ends = ends(&pair).ok_or_else(|| CertificateError::NoCertificate(chain.display().to_string()))?;
    Ok(Facts { ends, covers: covers(&pair, domain) })
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// The chain is none.
    #[error("{0}: no PEM certificate in it")]
    NoCertificate(String),
    /// The key is none.
    #[error("{0}: no PEM private key in it")]
    NoKey(String),
    /// They are of two pairs, or of a kind that we do not speak.
    #[error("certificate and key do not belong together, or cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
    /// Our own could not be made.
    #[error("making a self-signed certificate: {0}")]
    Generation(#[from] rcgen::Error),
}

/// The text of both files, to see whether they have changed.
type Seen = Option<(Digest, Digest)>;

impl Certificates {
    /// Loads the files, or the self-signed certificate for as long as there are none that can be used.
    pub(super) fn load(
        source: CertificateSource,
        domain: &str,
        provider: Arc<CryptoProvider>,
        now: Timestamp,
        report: Report,
    ) -> Result<Arc<Self>, CertificateError> {
        let files = source.files().map(|(chain, key)| read_pair(&chain, &key, &provider));
        let mut rejected = None;
        let (current, self_signed) = match files {
            Some(Ok(current)) => (current, false),
            other => {
                // Before the first order there is no file, and nothing wrong with that.
                let is_first = matches!(source, CertificateSource::Acme { .. })
                    && !source.folder().join(super::acme::CERTIFICATE).exists();
                if let Some(Err(error)) = other.filter(|_| !is_first) {
                    rejected = Some(error.to_string());
                    report.tell(WebEvent::CertificateRejected { why: error.to_string() });
                }
                (self_signed(source.folder(), domain, &provider, now)?, true)
            }
        };
        report.tell(tidings(&current, self_signed));
        let (current, rejected) = (ArcSwap::from_pointee(current), Mutex::new(rejected));
        let challenges = Challenges::new(Arc::clone(&provider));
        Ok(Arc::new(Self { source, provider, challenges, current, rejected, report }))
    }

    /// SHA-256 of the leaf, as browsers show it.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&self.current.load())
    }

    /// What an ACME server may be asking.
    pub(super) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// What readers are shown, for the operator.
    pub(super) fn shown(&self) -> Shown {
        let current = self.current.load();
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Shown { fingerprint: fingerprint(&current), ends: ends(&current), rejected }
    }

    /// Looks at the files now and then until `stop`.
    pub(super) async fn watch(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        let Some((chain, key)) = self.source.files() else { return };
        let mut seen = digests(&chain, &key);
        // Between loading and the first look they may have changed: look once more at once.
        let mut first = true;
        while stop
            .run_until_cancelled(tokio::time::sleep(if first { Duration::ZERO } else { every }))
            .await
            .is_some()
        {
            let now = digests(&chain, &key);
            let is_there = now.is_some() || matches!(self.source, CertificateSource::Files { .. });
            if (now != seen || first) && is_there {
                self.reload(&chain, &key);
            }
            (seen, first) = (now, false);
        }
    }

    fn reload(&self, chain: &Path, key: &Path) {
        let next = read_pair(chain, key, &self.provider);
        let rejected = next.as_ref().err().map(ToString::to_string);
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&rejected);
        match next {
            Ok(next) if next.cert == self.current.load().cert => {}
            Ok(next) => {
                let tidings = tidings(&next, false);
                self.current.store(Arc::new(next));
                self.report.tell(tidings);
            }
            Err(error) => self.report.tell(WebEvent::CertificateRejected { why: error.to_string() }),
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.challenges.tls(&hello).or_else(|| Some(self.current.load_full()))
    }
}

fn digests(chain: &Path, key: &Path) -> Seen {
    let digest = |path| bounded(path).ok().map(|bytes| Digest::of(&bytes));
    Some((digest(chain)?, digest(key)?))
}

fn read_pair(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let read = |path: &Path| bounded(path).map_err(|e| CertificateError::Io(path.display().to_string(), e));
    let (chain_text, key_text) = (read(chain)?, read(key)?);
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_text).collect();
    let certificates = certificates
        .ok()
        .filter(|c| !c.is_empty())
        .ok_or_else(|| CertificateError::NoCertificate(chain.display().to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&key_text)
        .map_err(|_| CertificateError::NoKey(key.display().to_string()))?;
    CertifiedKey::from_der(certificates, private, provider).map_err(CertificateError::Unusable)
}

/// The self-signed certificate in `folder`, made anew where there is none for this name, or an old one.
fn self_signed(
    folder: &Path,
    domain: &str,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<CertifiedKey, CertificateError> {
    let (chain, key) = (folder.join(SELF_SIGNED_CHAIN), folder.join(SELF_KEY));
    let made = fs::metadata(&chain).and_then(|m| m.modified()).ok().and_then(|t| Timestamp::try_from(t).ok());
    let is_young = made.is_some_and(|made| now.duration_since(made) < SELF_RENEWED_AFTER);
    if is_young
        && let Ok(kept) = read_pair(&chain, &key, provider)
        && names(domain).iter().all(|name| covers(&kept, name))
    {
        return Ok(kept);
    }
    let written = |e| CertificateError::Io(folder.display().to_string(), e);
    let (certificate, private) = generate(domain, now)?;
    let folder = Dir::create(folder).map_err(written)?;
    keep(&folder, SELF_KEY, &private, 0o600).map_err(written)?;
    keep(&folder, SELF_SIGNED_CHAIN, &certificate, 0o644).map_err(written)?;
    read_pair(&chain, &key, provider)
}

fn generate(domain: &str, now: Timestamp) -> Result<(String, String), CertificateError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = rcgen::CertificateParams::new(names(domain))?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, if domain.is_empty() { "difusor" } else { domain });
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let date = |instant: Timestamp| {
        let d = TimeZone::UTC.to_datetime(instant);
        rcgen::date_time_ymd(
            d.year().into(),
            u8::try_from(d.month()).unwrap_or(1),
            u8::try_from(d.day()).unwrap_or(1),
        )
    };
    // A clock that is a day off, here or there, must not make it invalid.
    params.not_before = date(now.checked_sub(SignedDuration::from_hours(48)).unwrap_or(now));
    params.not_after = date(now.checked_add(SELF_VALID).unwrap_or(now));
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes a file that nobody else may read before it holds anything.
fn keep(folder: &Dir, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let scratch = format!("{name}.tmp~");
    if folder.exists(&scratch) {
        folder.remove_file(&scratch)?;
    }
    let mut file = folder.create_file(&scratch)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    // Lost in a power cut it is made again: no sync.
    file.write_all(text.as_bytes())?;
    folder.rename(&scratch, name)
}

fn names(domain: &str) -> Vec<String> {
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let domain = (!domain.is_empty()).then(|| domain.to_owned());
    domain.into_iter().chain(local).collect()
}

fn covers(key: &CertifiedKey, name: &str) -> bool {
    let (Ok(leaf), Ok(name)) = (key.end_entity_cert(), ServerName::try_from(name)) else { return false };
    ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
}

fn tidings(key: &CertifiedKey, self_signed: bool) -> WebEvent {
    WebEvent::CertificateShown { fingerprint: fingerprint(key), until: ends(key), self_signed }
}

/// When the leaf ends.
fn ends(key: &CertifiedKey) -> Option<Timestamp> {
    Some(lasts(key.cert.first()?)?.1)
}

fn lasts(leaf: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let at = |seconds| Timestamp::from_second(seconds).ok();
    Some((at(leaf.validity().not_before.timestamp())?, at(leaf.validity().not_after.timestamp())?))
}

/// From when to when the first certificate of a PEM file is good.
pub(super) fn validity(path: &Path) -> Option<(Timestamp, Timestamp)> {
    let text = bounded(path).ok()?;
    lasts(&CertificateDer::from_pem_slice(&text).ok()?)
}

fn fingerprint(key: &CertifiedKey) -> String {
    let Some(leaf) = key.cert.first() else { return String::new() };
    let bytes = Digest::of(leaf);
    bytes.as_bytes().iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Longest PEM file: a chain is under 20 KB.
const PEM_BYTES_MAX: u64 = 1 << 20;
/// Names of the files of our own certificate.
pub const SELF_SIGNED_CHAIN: &str = "self-signed.pem";
const SELF_KEY: &str = "self-signed.key";
/// Validity: the longest that Apple's systems take from a certificate trusted by hand.
const SELF_VALID: SignedDuration = SignedDuration::from_hours(825 * 24);
/// Age at which a start makes a new one, long before the old one ends.
const SELF_RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(365 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn now() -> Timestamp {
        crate::clock::Clock::system().now()
    }

    #[test]
    fn our_own_certificate_is_private_and_reused() {
        let scratch = tempfile::tempdir().unwrap();
        let load = |domain: &str| {
            let source = CertificateSource::SelfSigned { folder: scratch.path().to_owned() };
            Certificates::load(source, domain, provider(), now(), Report::silent()).unwrap().fingerprint()
        };
        let first = load("");
        let mode = fs::metadata(scratch.path().join(SELF_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load(""), first);
        let named = load("prep.ejemplo.mx");
        assert_ne!(named, first);
        assert_eq!(load("prep.ejemplo.mx"), named);
        fs::write(scratch.path().join(SELF_SIGNED_CHAIN), "half").unwrap();
        assert_ne!(load("prep.ejemplo.mx"), named);
    }

    #[test]
    fn a_bad_pair_leaves_the_last_good_one() {
        let scratch = tempfile::tempdir().unwrap();
        let (chain, key) = (scratch.path().join("c.pem"), scratch.path().join("k.pem"));
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let report = Report::to(move |event| sink.lock().unwrap().push(event));
        let folder = scratch.path().join("own");
        let source = CertificateSource::Files { chain: chain.clone(), key: key.clone(), folder };
        let held = Certificates::load(source, "", provider(), now(), report).unwrap();
        let own = held.fingerprint();
        let (one, two) = (generate("a.mx", now()).unwrap(), generate("b.mx", now()).unwrap());
        fs::write(&chain, &one.0).unwrap();
        fs::write(&key, &two.1).unwrap();
        held.reload(&chain, &key);
        assert_eq!(held.fingerprint(), own);
        fs::write(&key, &one.1).unwrap();
        held.reload(&chain, &key);
        let good = held.fingerprint();
        assert_ne!(good, own);
        fs::write(&chain, &one.0.as_bytes()[..200]).unwrap();
        held.reload(&chain, &key);
        assert_eq!(held.fingerprint(), good);
        let events = events.lock().unwrap();
        let shown = |self_signed| move |e: &&WebEvent| matches!(e, WebEvent::CertificateShown { self_signed: s, .. } if *s == self_signed);
        assert_eq!(events.iter().filter(shown(true)).count(), 1);
        assert_eq!(events.iter().filter(shown(false)).count(), 1);
        assert_eq!(events.len(), 5, "{events:?}");
    }
}
