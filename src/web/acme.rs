//! A certificate from an ACME server (RFC 8555), asked for in time and asked for again.
//!
//! The order runs beside everything else. What it gives is one PEM file, chain and key together, which
//! replaces the last one in one step; `certificate` notices it like any file that somebody renews. As
//! long as the server refuses or cannot be reached, the last certificate stays.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::certificate::validity;
use super::challenge::{Challenges, Unanswerable};
use super::config::{Challenge, Report, WebEvent};
use crate::clock::Clock;
use crate::durable::Dir;

/// Where a certificate comes from, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// URL of the server's directory.
    pub directory: String,
    /// Where the server may write to, such as `mailto:soporte@ejemplo.mx`.
    pub contact: Vec<String>,
    /// How we prove that the name is ours.
    pub challenge: Challenge,
    /// The authority that signed the server's own certificate, where it is not a public one.
    pub root: Option<PathBuf>,
}

/// One name and its certificate.
#[derive(Debug)]
pub(super) struct Acme {
    pub(super) config: AcmeConfig,
    pub(super) domain: String,
    pub(super) folder: PathBuf,
    pub(super) clock: Clock,
    pub(super) challenges: Arc<Challenges>,
    pub(super) report: Report,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("{0}")]
    Server(#[from] Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("making a key or a request: {0}")]
    Generation(#[from] rcgen::Error),
    #[error(transparent)]
    Challenge(#[from] Unanswerable),
    #[error("the server offers no {0:?} for {1}")]
    NoChallenge(ChallengeType, String),
    #[error("the authorization of {0} is {1:?}")]
    Refused(String, AuthorizationStatus),
    #[error("the order is {0:?}: the server could not see our answer to its challenge")]
    NotReady(OrderStatus),
}

impl Acme {
    /// Renews the certificate for as long as the server runs.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.due() {
                Some(wait) => wait,
                None => match self.order().await {
                    Ok(()) => {
                        pause = FIRST_PAUSE;
                        continue;
                    }
                    Err(error) => {
                        let (why, again_in) = (told(&error), pause);
                        self.report.tell(WebEvent::RenewalFailed { why, again_in });
                        pause = (pause * 2).min(PAUSE_MAX);
                        again_in
                    }
                },
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// How long until it should be looked at again; `None` where it should be renewed now.
    fn due(&self) -> Option<Duration> {
        let (begins, ends) = validity(&self.folder.join(CERTIFICATE))?;
        let left = renewal(begins, ends).duration_since(self.clock.now());
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
        Some(left.min(LOOKED_AT_EVERY))
    }

    async fn order(&self) -> Result<(), OrderError> {
        let account = self.account().await?;
        let names = [Identifier::Dns(self.domain.clone())];
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(OrderError::Refused(self.domain.clone(), other)),
            }
            let kind = match self.config.challenge {
                Challenge::Http01 => ChallengeType::Http01,
                Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let mut challenge = authorization
                .challenge(kind.clone())
                .ok_or_else(|| OrderError::NoChallenge(kind, self.domain.clone()))?;
            let key = challenge.key_authorization();
            match self.config.challenge {
                Challenge::Http01 => self.challenges.answer_http(&challenge.token, key.as_str()),
                Challenge::TlsAlpn01 => self.challenges.answer_tls(&self.domain, key.digest().as_ref())?,
            }
            challenge.set_ready().await?;
        }
        let status = order.poll_ready(&RetryPolicy::default()).await;
        self.challenges.forget();
        match status? {
            OrderStatus::Ready => {}
            other => return Err(OrderError::NotReady(other)),
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let request = rcgen::CertificateParams::new([self.domain.clone()])?.serialize_request(&key)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await?;
        self.write(CERTIFICATE, &format!("{chain}\n{}", key.serialize_pem()))?;
        Ok(())
    }

    /// The account of earlier orders with this server, or a new one.
    async fn account(&self) -> Result<Account, OrderError> {
        let folder = Dir::create(&self.folder)?;
        let kept = folder.read(ACCOUNT, ACCOUNT_BYTES_MAX).ok();
        let kept: Option<(String, AccountCredentials)> = kept.and_then(|b| serde_json::from_slice(&b).ok());
        if let Some((directory, credentials)) = kept
            && directory == self.config.directory
        {
            return Ok(self.builder()?.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.config.contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) =
            self.builder()?.create(&new, self.config.directory.clone(), None).await?;
        let text = serde_json::to_string(&(&self.config.directory, &credentials)).map_err(io::Error::from)?;
        self.write(ACCOUNT, &text)?;
        Ok(account)
    }

    fn builder(&self) -> Result<AccountBuilder, Error> {
        match &self.config.root {
            Some(root) => Account::builder_with_root(root),
            None => Account::builder(),
        }
    }

    /// Replaces a file that nobody else may read.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let folder = Dir::create(&self.folder)?;
        let scratch = format!("{name}.tmp~");
        if folder.exists(&scratch) {
            folder.remove_file(&scratch)?;
        }
        let mut file = folder.create_file(&scratch)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        // The server gives a name only so many certificates a week: none may be lost in a power cut.
        crate::durable::sync_file(&file)?;
        folder.rename(&scratch, name)?;
        folder.sync()
    }
}

/// An error with its causes: the outermost one of a connection says only that there is none.
fn told(error: &OrderError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.ends_with(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}

/// When a certificate is renewed: a third of its life before its end.
fn renewal(begins: Timestamp, ends: Timestamp) -> Timestamp {
    let third = ends.duration_since(begins) / 3;
    ends.checked_sub(third).unwrap_or(begins)
}

/// Chain and key.
pub const CERTIFICATE: &str = "acme.pem";
/// Directory and credentials.
const ACCOUNT: &str = "acme-account.json";
const ACCOUNT_BYTES_MAX: u64 = 64 * 1024;
/// Pause after the first failure; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause: servers allow five failures an hour for a name.
const PAUSE_MAX: Duration = Duration::from_secs(1800);
/// Clocks jump: the date of renewal is looked at this often.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_a_third_before_its_end() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let due = renewal(at("2027-03-01T00:00:00Z"), at("2027-05-30T00:00:00Z"));
        assert_eq!(due, at("2027-04-30T00:00:00Z"));
    }
}
