//! When each key was last used: `var/keys-used.json`, for `difusor keys list`.
//!
//! Not a record (that is the ledger), but an answer to "does anybody still use this key?".

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Grant;
use crate::durable::Dir;

/// One use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub from: IpAddr,
}

/// The last use of each key, by its fingerprint (of a password: `password:USER`). Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    last: BTreeMap<String, Use>,
    changed: bool,
}

impl Uses {
    /// What the file in `var` says; nothing where it cannot be read.
    pub fn load(var: &Path) -> Self {
        let bytes = Dir::open(var).and_then(|dir| dir.read(FILE, FILE_BYTES_MAX)).unwrap_or_default();
        let last = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { inner: Arc::new(Mutex::new(Inner { last, changed: false })) }
    }

    /// Somebody was let in.
    pub fn note(&self, grant: &Grant, now: Timestamp) {
        let key = match grant.fingerprint.is_empty() {
            true => format!("password:{}", grant.user),
            false => grant.fingerprint.clone(),
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.insert(key, Use { at: now, from: grant.addr });
        inner.changed = true;
        // Certified keys come and go: of too many the one unused longest is forgotten.
        if inner.last.len() > KEYS_MAX
            && let Some(oldest) =
                inner.last.iter().min_by_key(|(_, used)| used.at).map(|(key, _)| key.clone())
        {
            inner.last.remove(&oldest);
        }
    }

    /// The last use of a key, by its fingerprint.
    pub fn of(&self, key: &str) -> Option<Use> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last.get(key).cloned()
    }

    /// Writes the file, if anything changed since it was written.
    pub fn save(&self, var: &Path) -> io::Result<()> {
        let text = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut inner.changed) {
                return Ok(());
            }
            serde_json::to_vec(&inner.last)?
        };
        Dir::open(var)?.write_atomic(FILE, &text)
    }
}

const FILE: &str = "keys-used.json";
/// More than there are keys.
const KEYS_MAX: usize = 2048;
const FILE_BYTES_MAX: u64 = 1 << 20;
