//! What we offer a client, and how russh is set up.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};

use super::{Compat, HostKeys, Limits};

/// russh's configuration for this door.
pub(super) fn config(keys: &HostKeys, limits: &Limits, compat: Compat) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-difusor")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // The same for an unknown key as for an unknown user; short, because a client
        // with five keys pays it four times.
        auth_rejection_time: Duration::from_millis(300),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: keys.private(),
        window_size: limits.window_bytes,
        // OpenSSH sends no larger ones; 64 KiB and 256 KiB brought nothing.
        maximum_packet_size: 32 * 1024,
        channel_buffer_size: 32,
        event_buffer_size: 64,
        preferred: preferred(compat),
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

/// No Diffie-Hellman groups by default: they cost the server much and the client nothing
/// (CVE-2002-20001), and every client of the last ten years knows curve25519. MACs that
/// are not encrypt-then-MAC come last, for libssh2 1.10 (curl and PHP on Debian).
fn preferred(compat: Compat) -> Preferred {
    let mut kexes = vec![kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
    let mut keys = vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ];
    let mut macs = vec![mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];
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
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned(ciphers),
        mac: Cow::Owned(macs),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}
