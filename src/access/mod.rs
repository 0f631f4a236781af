//! Who may come in: trusted keys and the addresses they may come from.
//!
//! Owns `keys/trusted/*.pub` (authorized_keys lines, readable by a real sshd) and
//! `keys/revoked/`. A [`Keyring`] is what the directory said at one moment; the [`Gate`]
//! decides with it and holds a [`Stay`] for everybody who is in; [`follow`] keeps the
//! gate equal to the directory; [`manage`] adds and revokes. Imports `model`, `durable`
//! and `clock`. After an error (directory unreadable, writable by others) what was
//! trusted before stays trusted; a bad line costs only its own key.

use std::net::IpAddr;

use tokio_util::sync::CancellationToken;

mod fault;
mod follow;
mod gate;
mod keyring;
mod line;
pub mod manage;
mod sources;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Wrong};
pub use follow::{Following, Report, follow};
pub use gate::{Gate, Refusal, Stay, Users};
pub use keyring::{Change, Keyring, TrustedKey, Unusable, What};
pub use sources::{Sources, source};

/// Proof that a peer was admitted: being there means having been checked.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Name of the trusted key (its file name without `.pub`, or the key's comment).
    pub name: String,
    /// SHA-256 fingerprint in OpenSSH's form (`SHA256:…`).
    pub fingerprint: String,
    /// Address of the peer, v4-mapped addresses unmapped.
    pub addr: IpAddr,
    /// User name the client gave.
    pub user: String,
    /// Cancelled when the key is revoked, expires or changes its networks.
    pub revoked: CancellationToken,
}

/// Fewer bits are within reach of those who would like to publish results of their own.
const RSA_BITS_MIN: u32 = 2048;
/// A file of keys is a few hundred bytes a line; this holds hundreds of them.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// One file per institute and technician.
const KEY_FILES_MAX: usize = 256;
