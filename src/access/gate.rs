//! The decision: who may speak to us, who may come in, and who must leave.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use russh::keys::PublicKey;
use tokio_util::sync::CancellationToken;

use super::Grant;
use super::keyring::{Change, Keyring};

/// Which user names may be used. The key decides who somebody is; a list only catches
/// scripts that knock at the wrong house.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// Whatever the client says.
    #[default]
    Any,
    /// One of these.
    Listed(Vec<String>),
}

/// Why somebody was not let in. The peer is never told which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No current key may come from this address.
    #[error("no key is trusted from this address")]
    Stranger,
    /// Nobody trusts this key.
    #[error("unknown key")]
    UnknownKey,
    /// The key is trusted, but not from here.
    #[error("key {0} is not trusted from this address")]
    Address(String),
    /// The key's time ran out.
    #[error("key {0} has expired")]
    Expired(String),
    /// The user name is not in the list.
    #[error("user name is not in the list")]
    User,
    /// The key would be used with an algorithm that is no longer safe.
    #[error("the client signs with an algorithm that is no longer safe")]
    Algorithm,
}

impl Refusal {
    /// The word for ledgers and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::UnknownKey => "unknown_key",
            Self::Address(_) => "key_address",
            Self::Expired(_) => "key_expired",
            Self::User => "user",
            Self::Algorithm => "algorithm",
        }
    }
}

/// Decides. Clones share one keyring and one list of who is in.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring: ArcSwap<Keyring>,
    users: Users,
    inside: Mutex<Inside>,
}

/// Who is in, and up to when expired keys were reported.
#[derive(Debug, Default)]
struct Inside {
    stays: HashMap<u64, Grant>,
    next: u64,
    swept: Option<Timestamp>,
}

impl Gate {
    /// A gate that trusts `ring`.
    pub fn new(ring: Keyring, users: Users) -> Self {
        let ring = ArcSwap::from_pointee(ring);
        Self { shared: Arc::new(Shared { ring, users, inside: Mutex::default() }) }
    }

    /// Whom it trusts now.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.shared.ring.load_full()
    }

    /// Whether a peer may see as much as our banner: some current key may come from
    /// its address.
    pub fn admit(&self, addr: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let addr = addr.to_canonical();
        if self.shared.ring.load().admits(addr, now) { Ok(()) } else { Err(Refusal::Stranger) }
    }

    /// Whether `key` may come in. Whoever has not proved that the key is its own gets
    /// the same answer: a grant becomes a stay with [`Gate::enter`].
    pub fn offered(
        &self,
        user: &str,
        key: &PublicKey,
        addr: IpAddr,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let addr = addr.to_canonical();
        let ring = self.shared.ring.load();
        let trusted = ring.find(key, addr, now)?;
        if !self.knows_user(user) {
            return Err(Refusal::User);
        }
        Ok(Grant {
            name: trusted.name.clone(),
            fingerprint: trusted.fingerprint.clone(),
            addr,
            user: user.to_owned(),
            revoked: CancellationToken::new(),
        })
    }

    /// Holds a grant for the length of a session: its token is cancelled when the key is
    /// removed, expires, or may no longer come from the peer's address (at once, if that
    /// happened since the grant was given).
    pub fn enter(&self, grant: &Grant, now: Timestamp) -> Stay {
        let id = {
            let mut inside = self.inside();
            let id = inside.next;
            inside.next += 1;
            inside.stays.insert(id, grant.clone());
            id
        };
        // After the insertion, so that no change of the keyring falls in between.
        if !self.still_holds(grant, now) {
            grant.revoked.cancel();
        }
        Stay { gate: self.clone(), id }
    }

    /// Trusts `ring` from now on, and ends the stays that it no longer allows.
    pub fn replace(&self, ring: Keyring, now: Timestamp) -> Vec<Change> {
        let before = self.shared.ring.swap(Arc::new(ring));
        let changes = self.shared.ring.load().changes_since(&before);
        self.end_what_no_longer_holds(now);
        changes
    }

    /// Ends the stays whose key has expired. Gives the keys that expired since it was
    /// last called.
    pub fn sweep(&self, now: Timestamp) -> Vec<Change> {
        let since = self.inside().swept.replace(now).unwrap_or(now);
        let changes = self.shared.ring.load().expired_between(since, now);
        self.end_what_no_longer_holds(now);
        changes
    }

    /// How many stays there are.
    pub fn stays(&self) -> usize {
        self.inside().stays.len()
    }

    fn end_what_no_longer_holds(&self, now: Timestamp) {
        for grant in self.inside().stays.values().filter(|grant| !self.still_holds(grant, now)) {
            grant.revoked.cancel();
        }
    }

    /// Whether some entry of the very key still lets it in. Its name may be another now.
    fn still_holds(&self, grant: &Grant, now: Timestamp) -> bool {
        self.shared.ring.load().find_fingerprint(&grant.fingerprint, grant.addr, now).is_ok()
    }

    fn knows_user(&self, user: &str) -> bool {
        match &self.shared.users {
            Users::Any => true,
            Users::Listed(names) => names.iter().any(|name| name == user),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody is in. Dropped when the session ends.
#[derive(Debug)]
pub struct Stay {
    gate: Gate,
    id: u64,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.gate.inside().stays.remove(&self.id);
    }
}
