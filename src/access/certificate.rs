//! Whether a user certificate lets somebody in.
//!
//! Its signature was checked by whoever hands it over, and that the peer holds its key. What
//! remains is ours (PROTOCOL.certkeys; sshd(8), `cert-authority`): a trusted authority, the
//! type, the principals, the time, and critical options, of which an unknown one refuses.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate};

use super::Refusal;
use super::intake::Intake;
use super::keyring::{Keyring, TrustedKey};
use super::line::{Rights, short_rsa};

impl Keyring {
    /// The authority by whose word `certificate` lets `user` in from `addr` at `now`, and
    /// what both together allow.
    pub fn certify(
        &self,
        certificate: &Certificate,
        user: &str,
        addr: IpAddr,
        now: Timestamp,
    ) -> Result<(&TrustedKey, Rights), Refusal> {
        let mut refusal = Refusal::UnknownAuthority;
        for authority in self.authorities(certificate) {
            let found = match (authority.is_current(now), authority.allows(addr)) {
                (false, _) => Err(Refusal::Expired(authority.name.clone())),
                (_, false) => Err(Refusal::Address(authority.name.clone())),
                _ => judge(certificate, authority, user, addr, now),
            };
            match found {
                Ok(rights) => return Ok((authority, rights)),
                Err(why) => refusal = why,
            }
        }
        Err(refusal)
    }

    fn authorities(&self, certificate: &Certificate) -> impl Iterator<Item = &TrustedKey> {
        self.keys().iter().filter(|key| key.rights.authority && key.is(certificate.signature_key()))
    }
}

fn judge(
    certificate: &Certificate,
    authority: &TrustedKey,
    user: &str,
    addr: IpAddr,
    now: Timestamp,
) -> Result<Rights, Refusal> {
    let fault = |what| Err(Refusal::Certificate(authority.name.clone(), what));
    if certificate.cert_type() != CertType::User {
        return fault("type");
    }
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    if seconds < certificate.valid_after() || seconds >= certificate.valid_before() {
        return fault("time");
    }
    let sha1 = certificate.signature().algorithm() == Algorithm::Rsa { hash: None };
    if sha1 || short_rsa(certificate.public_key()).is_some() {
        return fault("algorithm");
    }
    // One without principals would be everybody's.
    let asked = authority.rights.principals.clone().unwrap_or_else(|| vec![user.to_owned()]);
    if !certificate.valid_principals().iter().any(|name| asked.contains(name)) {
        return fault("principals");
    }
    let mut rights = Rights { authority: false, ..authority.rights.clone() };
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "source-address" if holds(value, addr) => {}
            "source-address" => return fault("source-address"),
            "force-command" => match (Intake::parse(value), &rights.intake) {
                (Ok(intake), None) => rights.intake = Some(intake),
                (Ok(intake), Some(of_the_line)) if intake == *of_the_line => {}
                _ => return fault("force-command"),
            },
            "verify-required" => rights.verify = true,
            _ => return fault("option"),
        }
    }
    // An extension only gives; of those there are, one means something here.
    rights.untouched &= certificate.extensions().contains_key("no-touch-required");
    Ok(rights)
}

/// `source-address` (PROTOCOL.certkeys): networks and addresses, by commas. What cannot be
/// read holds nobody.
fn holds(list: &str, addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    let net = |part: &str| part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
    let nets: Result<Vec<IpNet>, _> = list.split(',').map(|part| net(part.trim())).collect();
    nets.is_ok_and(|nets| nets.iter().any(|net| net.contains(&addr)))
}
