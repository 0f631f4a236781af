//! The decision: who may speak to us, who may come in, and who must leave.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use russh::keys::{Certificate, HashAlg, PublicKey};
use tokio_util::sync::CancellationToken;

use super::keyring::{Change, Keyring};
use super::line::Rights;
use super::networks::Networks;
use super::passwords::Passwords;
use super::penalties::{Offence, Penalties, Rates};
use super::{Grant, Proof, Tally};

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
    /// The address is in none of the trusted networks.
    #[error("the address is in none of the trusted networks")]
    Network,
    /// No current key may come from this address.
    #[error("no key is trusted from this address")]
    Stranger,
    /// It misbehaved, and must wait.
    #[error("the address misbehaved and is not listened to for a while")]
    Penalty,
    /// Nobody trusts this key.
    #[error("unknown key")]
    UnknownKey,
    /// The key is trusted, but not from here.
    #[error("key {0} is not trusted from this address")]
    Address(String),
    /// The key's time ran out.
    #[error("key {0} has expired")]
    Expired(String),
    /// Nobody trusts the authority of this certificate.
    #[error("nobody trusts the authority that signed this certificate")]
    UnknownAuthority,
    /// The certificate is of a trusted authority, but this of it keeps it out.
    #[error("certificate of {0}: {1}")]
    Certificate(String, &'static str),
    /// A security key that was not touched, or did not ask for its PIN.
    #[error("key {0} was not touched, or did not ask for its PIN")]
    Presence(String),
    /// Not the password of this user, or not from here.
    #[error("wrong password, or none is taken from this address")]
    Password,
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
            Self::Network => "network",
            Self::Stranger => "stranger",
            Self::Penalty => "penalty",
            Self::UnknownKey => "unknown_key",
            Self::Address(_) => "key_address",
            Self::Expired(_) => "key_expired",
            Self::UnknownAuthority => "unknown_authority",
            Self::Certificate(..) => "certificate",
            Self::Presence(_) => "presence",
            Self::Password => "password",
            Self::User => "user",
            Self::Algorithm => "algorithm",
        }
    }
}

/// Decides. Clones share one keyring, one list of networks and one list of who is in.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring: ArcSwap<Keyring>,
    networks: ArcSwap<Networks>,
    passwords: Option<ArcSwap<Passwords>>,
    users: Users,
    inside: Mutex<Inside>,
    penalties: Mutex<Penalties>,
    /// What wrong passwords cost, the institute's too: time, never a ban.
    guesses: Mutex<Penalties>,
    counts: Mutex<Counts>,
}

/// Who is in, and up to when expired keys were reported.
#[derive(Debug, Default)]
struct Inside {
    stays: HashMap<u64, Grant>,
    next: u64,
    swept: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Counts {
    admitted: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    bans: u64,
}

/// What a gate goes by.
#[derive(Debug, Default)]
pub struct Terms {
    /// The trusted keys.
    pub ring: Keyring,
    /// Which user names may be used.
    pub users: Users,
    /// Within which networks.
    pub networks: Networks,
    /// What offences cost.
    pub rates: Rates,
    /// Passwords, where they are taken at all.
    pub passwords: Option<Passwords>,
}

impl Gate {
    /// A gate that trusts `ring`, from wherever its keys may come.
    pub fn new(ring: Keyring, users: Users) -> Self {
        Self::under(Terms { ring, users, ..Terms::default() })
    }

    /// A gate that goes by these terms.
    pub fn under(terms: Terms) -> Self {
        let shared = Shared {
            ring: ArcSwap::from_pointee(terms.ring),
            networks: ArcSwap::from_pointee(terms.networks),
            passwords: terms.passwords.map(ArcSwap::from_pointee),
            users: terms.users,
            inside: Mutex::default(),
            penalties: Mutex::new(Penalties::new(terms.rates)),
            guesses: Mutex::default(),
            counts: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whom it trusts now.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.shared.ring.load_full()
    }

    /// Within which networks.
    pub fn networks(&self) -> Arc<Networks> {
        self.shared.networks.load_full()
    }

    /// Whether a peer may see as much as our banner: it is in a trusted network, is not
    /// being punished, and some current key may come from its address.
    pub fn admit(&self, addr: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        self.hear(addr, now)?;
        let may =
            self.shared.ring.load().admits(addr.to_canonical(), now) || self.passwords(addr, now).is_some();
        if may { Ok(()) } else { Err(Refusal::Stranger) }
    }

    /// The part of [`Gate::admit`] that asks no key: for a door that has networks of its own.
    pub fn hear(&self, addr: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let addr = addr.to_canonical();
        if !self.shared.networks.load().allow(addr, now) {
            return Err(Refusal::Network);
        }
        if !self.is_institute(addr, now) && self.penalties().bans(addr, Instant::now()) {
            return Err(Refusal::Penalty);
        }
        Ok(())
    }

    /// Whether an address is the institute's own: in a network that the operator named, or
    /// named by a key. Such a one is never banned; limits hold for it as for all.
    pub fn is_institute(&self, addr: IpAddr, now: Timestamp) -> bool {
        let addr = addr.to_canonical();
        self.shared.networks.load().name(addr, now) || self.shared.ring.load().names(addr, now)
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
        Ok(grant(&trusted.name, trusted.fingerprint.clone(), addr, user, Proof::Key, &trusted.rights))
    }

    /// The same for a user certificate.
    pub fn certified(
        &self,
        user: &str,
        certificate: &Certificate,
        addr: IpAddr,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let addr = addr.to_canonical();
        let ring = self.shared.ring.load();
        let (authority, rights) = ring.certify(certificate, user, addr, now)?;
        if !self.knows_user(user) {
            return Err(Refusal::User);
        }
        let fingerprint = certificate.public_key().fingerprint(HashAlg::Sha256).to_string();
        let proof = Proof::Certificate(Arc::new(certificate.clone()));
        Ok(grant(&authority.name, fingerprint, addr, user, proof, &rights))
    }

    /// The passwords that a peer at `addr` may try: those of the house in a network that the
    /// operator named, none elsewhere.
    pub fn passwords(&self, addr: IpAddr, now: Timestamp) -> Option<Arc<Passwords>> {
        let passwords = self.shared.passwords.as_ref()?.load_full();
        let named = self.shared.networks.load().name(addr, now);
        (named && !passwords.is_empty()).then_some(passwords)
    }

    /// Whether passwords are taken from anybody.
    pub fn takes_passwords(&self) -> bool {
        self.shared.passwords.is_some()
    }

    /// How long a peer at `addr` waits before its next password is looked at: it grows with
    /// every wrong one and decays.
    pub fn password_wait(&self, addr: IpAddr) -> Duration {
        self.guesses().owes(addr, Instant::now()).min(PASSWORD_WAIT_MAX)
    }

    /// A password from `addr` was right, or wrong.
    pub fn password_tried(&self, addr: IpAddr, right: bool) {
        match right {
            true => self.guesses().forgive(addr),
            false => _ = self.guesses().add(addr, Offence::Proof, Instant::now()),
        }
    }

    /// A grant for whoever proved the password of `user`, whose hash [`Passwords::prove`] gave.
    pub fn knows_password(
        &self,
        user: &str,
        hash: String,
        addr: IpAddr,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let addr = addr.to_canonical();
        if !self.knows_user(user) {
            return Err(Refusal::User);
        }
        if !self.passwords(addr, now).is_some_and(|passwords| passwords.holds(user, &hash)) {
            return Err(Refusal::Password);
        }
        Ok(grant(user, String::new(), addr, user, Proof::Password(hash), &Rights::default()))
    }

    /// Takes these passwords from now on (where any are), and ends the stays of others.
    pub fn learn(&self, passwords: Passwords, now: Timestamp) {
        if let Some(known) = &self.shared.passwords {
            known.store(Arc::new(passwords));
            self.end_what_no_longer_holds(now);
        }
    }

    /// Holds a grant for the length of a session: its token is cancelled when what it rests
    /// on is removed, expires, or may no longer come from the peer's address (at once, if
    /// that happened since the grant was given).
    pub fn enter(&self, grant: &Grant, now: Timestamp) -> Stay {
        let id = {
            let mut inside = self.inside();
            let id = inside.next;
            inside.next += 1;
            inside.stays.insert(id, grant.clone());
            id
        };
        *self.counts().admitted.entry(grant.proof.name()).or_default() += 1;
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

    /// Trusts these networks from now on, and ends the stays outside them. Gives those
    /// trusted before.
    pub fn confine(&self, networks: Networks, now: Timestamp) -> Arc<Networks> {
        let before = self.shared.networks.swap(Arc::new(networks));
        self.end_what_no_longer_holds(now);
        before
    }

    /// Ends the stays whose key or network has expired. Gives the keys that expired since
    /// it was last called.
    pub fn sweep(&self, now: Timestamp) -> Vec<Change> {
        let since = self.inside().swept.replace(now).unwrap_or(now);
        let changes = self.shared.ring.load().expired_between(since, now);
        self.end_what_no_longer_holds(now);
        changes
    }

    /// Counts somebody who was turned away, by a word of ours.
    pub fn count_refused(&self, reason: &'static str) {
        *self.counts().refused.entry(reason).or_default() += 1;
    }

    /// Punishes a peer that had proved nothing; the institute's own addresses never. True
    /// when it is banned from now on.
    pub fn punish(&self, addr: IpAddr, offence: Offence, now: Timestamp) -> bool {
        let addr = addr.to_canonical();
        if self.is_institute(addr, now) {
            return false;
        }
        let banned = self.penalties().add(addr, offence, Instant::now());
        self.counts().bans += u64::from(banned);
        banned
    }

    /// What was decided since the start, and how many are in.
    pub fn tally(&self) -> Tally {
        let (banned, sessions) = (self.penalties().banned(Instant::now()), self.stays());
        let counts = self.counts();
        Tally {
            admitted: counts.admitted.clone(),
            refused: counts.refused.clone(),
            bans: counts.bans,
            banned,
            sessions,
        }
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

    /// Whether what was proved would still let it in. A key's name may be another now.
    fn still_holds(&self, grant: &Grant, now: Timestamp) -> bool {
        let ring = self.shared.ring.load();
        let holds = match &grant.proof {
            Proof::Key => ring.find_fingerprint(&grant.fingerprint, grant.addr, now).is_ok(),
            Proof::Certificate(certificate) => {
                ring.certify(certificate, &grant.user, grant.addr, now).is_ok()
            }
            Proof::Password(hash) => {
                let passwords = self.passwords(grant.addr, now);
                passwords.is_some_and(|passwords| passwords.holds(&grant.user, hash))
            }
            Proof::Address => true,
        };
        holds && self.shared.networks.load().allow(grant.addr, now)
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

    fn penalties(&self) -> MutexGuard<'_, Penalties> {
        self.shared.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guesses(&self) -> MutexGuard<'_, Penalties> {
        self.shared.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn grant(name: &str, fingerprint: String, addr: IpAddr, user: &str, proof: Proof, rights: &Rights) -> Grant {
    Grant {
        name: name.to_owned(),
        fingerprint,
        addr,
        user: user.to_owned(),
        proof,
        rights: rights.clone(),
        revoked: CancellationToken::new(),
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

/// Below the grace of a connection: who knows the password gets in after all.
const PASSWORD_WAIT_MAX: Duration = Duration::from_secs(8);
