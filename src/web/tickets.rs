//! Session tickets that every process of this host can open: resumption costs half a handshake, and a
//! restart, or a second process on the same sockets, should not make every reader pay in full.
//!
//! The keys are in a file that only we can read. A new one is added every few hours, is used for sealing once the
//! other processes have had time to read it, and is erased when the last ticket under it has
//! expired: a stolen file opens no older session (RFC 8446 §8.1 has the rest of the argument).

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable::Dir;

/// The keys, as this process knows them.
pub(super) struct Tickets {
    folder: PathBuf,
    clock: Clock,
    keys: ArcSwap<Keys>,
}

struct Keys {
    text: String,
    /// Newest first.
    keys: Vec<Key>,
    /// The one to seal with.
    sealing: usize,
}

struct Key {
    made: i64,
    name: [u8; NAME_BYTES],
    aead: RandomizedNonceKey,
}

impl Tickets {
    /// Reads the keys, and makes the first one where there is none.
    pub(super) fn open(folder: PathBuf, clock: Clock) -> io::Result<Arc<Self>> {
        let keys = ArcSwap::from_pointee(Keys { text: String::new(), keys: Vec::new(), sealing: 0 });
        let tickets = Self { folder, clock, keys };
        tickets.turn()?;
        Ok(Arc::new(tickets))
    }

    /// Reads the keys now and then, and adds one when its time has come, until `stop`.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(READ_EVERY)).await.is_some() {
            let tickets = Arc::clone(&self);
            let turned = tokio::task::spawn_blocking(move || tickets.turn()).await;
            if let Ok(Err(error)) = turned {
                tracing::warn!(%error, "ticket keys stay as they are");
            }
        }
    }

    /// Takes over what is in the file. Two processes that add a key in one instant cost the loser's
    /// tickets, which are then answered with a full handshake: no lock is worth that.
    fn turn(&self) -> io::Result<()> {
        let now = self.clock.now().as_second();
        let folder = Dir::create(&self.folder)?;
        let mut text = match folder.read(FILE, FILE_BYTES_MAX) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let newest = lines(&text).map(|(made, _)| made).max();
        if newest.is_none_or(|made| now - made >= ROTATED_AFTER || made > now + ROTATED_AFTER) {
            text = added(&text, now)?;
            write(&folder, &text)?;
        }
        if self.keys.load().text != text || self.keys.load().is_due(now) {
            self.keys.store(Arc::new(Keys::read(text, now)));
        }
        Ok(())
    }
}

impl Keys {
    fn read(text: String, now: i64) -> Self {
        let mut keys: Vec<Key> = lines(&text).filter_map(|(made, secret)| Key::of(made, secret)).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.made));
        let sealing = sealing(&keys, now);
        Self { text, keys, sealing }
    }

    /// Whether a newer key may be used for sealing by now.
    fn is_due(&self, now: i64) -> bool {
        self.sealing != sealing(&self.keys, now)
    }
}

impl Key {
    fn of(made: i64, hex: &str) -> Option<Self> {
        let secret = unhex(hex)?;
        let (name, key) = secret.split_first_chunk::<NAME_BYTES>()?;
        Some(Self { made, name: *name, aead: RandomizedNonceKey::new(&AES_256_GCM, key).ok()? })
    }
}

/// The newest key that others have had time to read; on the first day the only one.
fn sealing(keys: &[Key], now: i64) -> usize {
    keys.iter().position(|key| now - key.made >= KNOWN_AFTER).unwrap_or_else(|| keys.len().saturating_sub(1))
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(VALID).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let key = keys.keys.get(keys.sealing)?;
        let mut sealed = plain.to_vec();
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(&key.name), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_BYTES + sealed.len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let keys = self.keys.load();
        // Names are public: that they are not compared in constant time tells nothing.
        let key = keys.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let length = key.aead.open_in_place(Nonce::from(nonce), Aad::from(name), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The keys of a file: second of 1970 in which each was made, and its secret.
fn lines(text: &str) -> impl Iterator<Item = (i64, &str)> {
    text.lines().take(KEYS_MAX).filter_map(|line| {
        let (made, secret) = line.split_once(' ')?;
        Some((made.parse().ok()?, secret))
    })
}

/// The text with a new key in front, without those that no ticket needs.
fn added(text: &str, now: i64) -> io::Result<String> {
    let mut secret = [0; NAME_BYTES + KEY_BYTES];
    rand::fill(&mut secret).map_err(io::Error::other)?;
    let secret: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let mut out = format!("{now} {secret}\n");
    // Sealed with until its successor is known everywhere, and opened for as long as a ticket lives.
    let is_needed = |made: i64| (0..=ROTATED_AFTER + KNOWN_AFTER + VALID).contains(&(now - made));
    for (made, secret) in lines(text).filter(|(made, _)| is_needed(*made)) {
        out.push_str(&format!("{made} {secret}\n"));
    }
    Ok(out)
}

/// Replaces the file. Lost in a power cut it is made again: no sync.
fn write(folder: &Dir, text: &str) -> io::Result<()> {
    let scratch = format!("{FILE}.{}~", std::process::id());
    if folder.exists(&scratch) {
        folder.remove_file(&scratch)?;
    }
    let mut file = folder.create_file(&scratch)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    folder.rename(&scratch, FILE)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [a, b] = pair { Some(digit(*a)? << 4 | digit(*b)?) } else { None }).collect()
}

/// The file.
const FILE: &str = "tickets.key";
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Keys that a file may hold; six are in use at most.
const KEYS_MAX: usize = 16;
const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// How often the file is read.
const READ_EVERY: Duration = Duration::from_secs(60);
/// Seconds after which a key is known to every process: two readings.
const KNOWN_AFTER: i64 = 120;
/// Seconds after which a new key is made.
const ROTATED_AFTER: i64 = 6 * 3600;
/// Seconds that a ticket is good for: an election night.
const VALID: i64 = 12 * 3600;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// The keys of `folder` as a process reads them `hours` into the night.
    fn at(folder: &std::path::Path, hours: i64) -> Arc<Tickets> {
        let start = Timestamp::from_second(1_717_380_000 + hours * 3600).unwrap();
        Tickets::open(folder.to_owned(), Clock::at(start)).unwrap()
    }

    #[test]
    fn every_process_of_the_host_opens_a_ticket_for_as_long_as_it_lives() {
        let scratch = tempfile::tempdir().unwrap();
        let ticket = at(scratch.path(), 0).encrypt(b"session").unwrap();
        for hours in [0, 1, 7, 12] {
            let other = at(scratch.path(), hours);
            assert_eq!(other.decrypt(&ticket).as_deref(), Some(&b"session"[..]), "{hours} h");
        }
        let late = at(scratch.path(), 24);
        assert_eq!(late.decrypt(&ticket), None);
        assert!(lines(&late.keys.load().text).count() <= 4);
        let mode = std::fs::metadata(scratch.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_new_key_seals_only_when_the_others_know_it() {
        let scratch = tempfile::tempdir().unwrap();
        let old = at(scratch.path(), 0);
        let next = at(scratch.path(), 7);
        assert_eq!(lines(&next.keys.load().text).count(), 2);
        // The other process has not read the new key yet, and opens what this one seals.
        assert!(old.decrypt(&next.encrypt(b"x").unwrap()).is_some());
        let later = at(scratch.path(), 8);
        assert!(old.decrypt(&later.encrypt(b"x").unwrap()).is_none());
        assert!(next.decrypt(&later.encrypt(b"x").unwrap()).is_some());
    }

    #[test]
    fn what_is_not_ours_is_not_opened() {
        let scratch = tempfile::tempdir().unwrap();
        let tickets = at(scratch.path(), 0);
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut bent = ticket.clone();
            bent[at] ^= 1;
            assert_eq!(tickets.decrypt(&bent), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
        }
        std::fs::write(scratch.path().join(FILE), "not\nkeys at all\n").unwrap();
        assert!(at_least_one(&at(scratch.path(), 0)));
    }

    fn at_least_one(tickets: &Tickets) -> bool {
        tickets.encrypt(b"x").is_some_and(|ticket| tickets.decrypt(&ticket).is_some())
    }
}
