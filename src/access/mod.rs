//! Who may come in: trusted keys, authorities and networks, and who must wait.
//!
//! Owns `keys/trusted/*.pub` (authorized_keys lines, readable by a real sshd) and
//! `keys/revoked/`, and `keys/passwords`. A [`Keyring`] is what the directory said at one moment, [`Networks`]
//! what the configuration says; the [`Gate`] decides with both, for every door, punishes who
//! misbehaves, counts ([`Tally`]), and holds a [`Stay`] for everybody who is in; [`follow`]
//! keeps the gate equal to the directory; [`manage`] adds, rotates and revokes. Imports
//! `model`, `durable` and `clock`. After an error (directory unreadable, writable by others) what was
//! trusted before stays trusted; a bad line costs only its own key.

use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::Certificate;
use tokio_util::sync::CancellationToken;

mod certificate;
mod fault;
mod follow;
mod gate;
mod intake;
mod keyring;
mod line;
pub mod manage;
mod networks;
mod passwords;
mod penalties;
mod proxy;
mod sources;
mod tally;
#[cfg(test)]
mod tests;
mod uses;

pub use fault::{Fault, Wrong};
pub use follow::{Following, Report, follow};
pub use gate::{Gate, Refusal, Stay, Terms, Users};
pub use intake::Intake;
pub use keyring::{Change, Keyring, TrustedKey, Unusable, What};
pub use line::Rights;
pub use networks::{Network, Networks};
pub use passwords::{PASSWORD_BYTES_MAX, Passwords, PasswordsFault, WeakPassword};
pub use penalties::{Offence, Rates};
pub use proxy::behind_proxy;
pub use sources::{Sources, source};
pub use tally::Tally;
pub use uses::{Use, Uses};

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
    /// What was proved.
    pub proof: Proof,
    /// What it may do.
    pub rights: Rights,
    /// Cancelled when the key is revoked, expires or changes its networks.
    pub revoked: CancellationToken,
}

/// What a peer has proved.
#[derive(Clone, Debug)]
pub enum Proof {
    /// That a trusted key is its own.
    Key,
    /// That a key is its own which a trusted authority has certified.
    Certificate(Arc<Certificate>),
    /// That it knows the password of its user, whose hash this is.
    Password(String),
    /// That it comes from a trusted address; whatever else was asked, a door knows itself.
    Address,
}

impl Proof {
    /// The word for counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate(_) => "certificate",
            Self::Password(_) => "password",
            Self::Address => "address",
        }
    }
}

/// Fewer bits are within reach of those who would like to publish results of their own.
const RSA_BITS_MIN: u32 = 2048;
/// A file of keys is a few hundred bytes a line; this holds hundreds of them.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// One file per institute and technician.
const KEY_FILES_MAX: usize = 256;
