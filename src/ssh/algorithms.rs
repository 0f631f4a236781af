//! What we offer a client, and how russh is set up.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::Config;
use russh::{MethodSet, Preferred, SshId, cipher, compression, kex, mac};

use super::{Compat, HostKeys, Limits};

fn config(keys: &HostKeys, limits: &Limits, preferred: Preferred, methods: MethodSet) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-difusor")),
        methods,
        // The same for an unknown key as for an unknown user; short, because a client
        // with five keys pays it four times.
        auth_rejection_time: Duration::from_millis(300),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: keys.private(),
        certificates: keys.certificates(),
        next_keys: keys.next(),
        announce_keys: true,
        limits: russh::Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_AFTER),
        window_size: limits.window_bytes,
        // OpenSSH sends no larger ones; 64 KiB and 256 KiB brought nothing.
        maximum_packet_size: 32 * 1024,
        channel_buffer_size: 32,
        event_buffer_size: 64,
        preferred,
        max_auth_attempts: 6,
        // A peer that says nothing at all, not even to a keepalive, is gone long before.
        inactivity_timeout: Some(limits.idle.max(Duration::from_secs(60))),
        keepalive_interval: Some(limits.keepalive),
        keepalive_max: 3,
        window_by_consumer: true,
        ..Config::default()
    }
}

/// The hash of RSA signatures that is not safe any more.
pub(super) const RSA_SHA1: Algorithm = Algorithm::Rsa { hash: None };

/// russh's configuration for this door: for whoever comes, and for clients that are known
/// to need less.
pub(super) fn configs(keys: &HostKeys, limits: &Limits, compat: Compat, methods: MethodSet) -> Config {
    let of = |client| config(keys, limits, preferred(compat, client), methods.clone());
    let (openssh, quantum) = (Arc::new(of(Client::OpenSsh)), Arc::new(of(Client::PostQuantum)));
    Config {
        for_client: (compat == Compat::Modern).then(|| -> russh::server::ForClient {
            Arc::new(move |id| match Client::of(id) {
                Client::Any => None,
                Client::OpenSsh => Some(Arc::clone(&openssh)),
                Client::PostQuantum => Some(Arc::clone(&quantum)),
            })
        }),
        ..of(Client::Any)
    }
}

/// What a client's identification says of what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Nothing.
    Any,
    /// OpenSSH since 7.4: curve25519 by its final name, encrypt-then-MAC.
    OpenSsh,
    /// OpenSSH since 9.9: mlkem768x25519 besides.
    PostQuantum,
}

impl Client {
    fn of(id: &[u8]) -> Self {
        let version = id.strip_prefix(b"SSH-2.0-OpenSSH_").and_then(|rest| std::str::from_utf8(rest).ok());
        let Some((major, minor)) = version.and_then(|text| text.split_once('.')) else { return Self::Any };
        let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        let minor = minor.get(..digits).and_then(|minor| minor.parse::<u32>().ok());
        match (major.parse::<u32>().ok(), minor) {
            (Some(major), Some(minor)) if (major, minor) >= (9, 9) => Self::PostQuantum,
            (Some(major), Some(minor)) if (major, minor) >= (7, 4) => Self::OpenSsh,
            _ => Self::Any,
        }
    }
}

/// No Diffie-Hellman groups by default: they cost the server much and the client nothing
/// (CVE-2002-20001), and every client of the last ten years knows curve25519. MACs that
/// are not encrypt-then-MAC, for libssh2 1.10 (curl and PHP on Debian), are not offered to
/// who is known to do without.
fn preferred(compat: Compat, client: Client) -> Preferred {
    let mut kexes = vec![kex::MLKEM768X25519_SHA256];
    let mut keys = vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::SkEd25519,
        Algorithm::SkEcdsaSha2NistP256,
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ];
    let mut macs = vec![mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
    if compat != Compat::Strict && client != Client::PostQuantum {
        kexes.push(kex::CURVE25519);
    }
    if compat != Compat::Strict && client == Client::Any {
        kexes.push(kex::CURVE25519_PRE_RFC_8731);
        macs.extend([mac::HMAC_SHA256, mac::HMAC_SHA512]);
    }
    if compat == Compat::Legacy {
        kexes.extend([kex::ECDH_SHA2_NISTP256, kex::DH_G16_SHA512, kex::DH_G14_SHA256, kex::DH_G14_SHA1]);
        keys.push(RSA_SHA1);
        macs.push(mac::HMAC_SHA1);
    }
    kexes.extend([kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER]);
    let ciphers = vec![
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    Preferred {
        kex: Cow::Owned(kexes),
        key: Cow::Owned(keys),
        // russh offers those for which there is a certificate.
        host_key_certificates: Cow::Borrowed(&[
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        ]),
        cipher: Cow::Owned(ciphers),
        mac: Cow::Owned(macs),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// New keys at the latest after so many bytes each way, and so long (RFC 4253 section 9).
const REKEY_BYTES: usize = 1 << 30;
const REKEY_AFTER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_known_to_need_less_is_offered_less() {
        let of = |id: &str| Client::of(id.as_bytes());
        assert_eq!(of("SSH-2.0-OpenSSH_10.0p2 Debian-7"), Client::PostQuantum);
        assert_eq!(of("SSH-2.0-OpenSSH_9.9"), Client::PostQuantum);
        assert_eq!(of("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"), Client::OpenSsh);
        assert_eq!(of("SSH-2.0-OpenSSH_for_Windows_9.5"), Client::Any);
        assert_eq!(of("SSH-2.0-OpenSSH_6.6.1p1 Ubuntu-2ubuntu2.13"), Client::Any);
        for other in
            ["SSH-2.0-libssh2_1.10.0", "SSH-2.0-paramiko_2.12.0", "SSH-2.0-Go", "SSH-2.0-OpenSSH_", "x"]
        {
            assert_eq!(of(other), Client::Any, "{other}");
        }
        let old = preferred(Compat::Modern, Client::Any);
        assert!(old.mac.contains(&mac::HMAC_SHA256) && old.kex.contains(&kex::CURVE25519_PRE_RFC_8731));
        let openssh = preferred(Compat::Modern, Client::OpenSsh);
        assert!(!openssh.mac.contains(&mac::HMAC_SHA256) && openssh.kex.contains(&kex::CURVE25519));
        for client in [Client::Any, Client::OpenSsh, Client::PostQuantum] {
            let strict = preferred(Compat::Strict, client);
            assert!(!strict.kex.contains(&kex::CURVE25519) && !strict.mac.contains(&mac::HMAC_SHA256));
        }
        assert!(!preferred(Compat::Modern, Client::PostQuantum).kex.contains(&kex::CURVE25519));
    }
}
