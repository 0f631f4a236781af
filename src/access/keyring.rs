//! The trusted keys as they were at one moment: read from a directory, never changed.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::fault::{Fault, Wrong};
use super::line::{self, Line, Rights};
use super::sources::Sources;
use super::{KEY_FILE_BYTES_MAX, KEY_FILES_MAX, Refusal};
use crate::durable::{Dir, Listed};
use crate::model::Lang;

/// One trusted key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The file's stem where the file holds one key, else the key's comment. Safe as a
    /// file name: letters, digits, `.`, `_`, `-`, `@`, not starting with a point.
    pub name: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// `ssh-ed25519`, `ssh-rsa`…
    pub algorithm: String,
    /// What stands behind the key in its line.
    pub comment: String,
    /// File name in the directory.
    pub file: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// Where it may come from; `None` is anywhere.
    pub from: Option<Sources>,
    /// From when on it no longer counts.
    pub expires: Option<Timestamp>,
    /// What it may do, and how it must prove itself.
    pub rights: Rights,
    key: KeyData,
}

impl TrustedKey {
    /// Whether it counts at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// Whether it is this very key.
    pub(super) fn is(&self, key: &KeyData) -> bool {
        self.key == *key
    }

    /// Whether it may come from `addr`.
    pub fn allows(&self, addr: IpAddr) -> bool {
        self.from.as_ref().is_none_or(|from| from.allows(addr))
    }
}

/// What happened to a key between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its addresses, its end or its rights are others.
    Changed,
    /// Its time ran out.
    Expired,
}

impl What {
    /// The word for the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Expired => "expired",
        }
    }
}

/// One difference, with the key as it is now (or was, if it is gone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub what: What,
    /// To which key.
    pub key: TrustedKey,
}

/// All keys of the directory, and what was wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<TrustedKey>,
    faults: Vec<Fault>,
}

impl Keyring {
    /// Reads a directory. A bad line or file is a fault of the result and the others
    /// count; an error means that nothing can be said about the directory (it cannot be
    /// read, or others may write to it), and what was trusted before should stay.
    pub fn load(path: &Path, zone: &TimeZone) -> Result<Self, Unusable> {
        Ok(Self::parse(&Content::read(path)?, zone))
    }

    pub(super) fn parse(content: &Content, zone: &TimeZone) -> Self {
        let mut ring = Self { keys: Vec::new(), faults: content.faults.clone() };
        for (file, bytes) in &content.files {
            ring.parse_file(file, bytes, zone);
        }
        ring
    }

    fn parse_file(&mut self, file: &str, bytes: &[u8], zone: &TimeZone) {
        if let Some(wrong) = foreign_format(bytes) {
            self.faults.push(Fault::of_file(file, wrong));
            return;
        }
        let mut lines = Vec::new();
        for (at, text) in numbered_lines(bytes) {
            match line::parse(text, zone) {
                Ok(None) => {}
                Ok(Some(line)) => lines.push((at, line)),
                Err((column, wrong)) => {
                    self.faults.push(Fault { file: file.to_owned(), line: at, column, wrong });
                }
            }
        }
        let alone = lines.len() == 1;
        let stem = file.strip_suffix(SUFFIX).unwrap_or(file);
        for (at, line) in lines {
            let name = match safe_name(&line.comment) {
                Some(name) if !alone => name,
                _ if alone => safe_name(stem).unwrap_or_else(|| "key".to_owned()),
                _ => safe_name(&format!("{stem}-{at}")).unwrap_or_else(|| "key".to_owned()),
            };
            self.keys.push(TrustedKey::new(name, file, at, line));
        }
    }

    /// The keys, in file and line order.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// What keeps lines and files from counting.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether any key may come from `addr` at `now`.
    pub fn admits(&self, addr: IpAddr, now: Timestamp) -> bool {
        self.keys.iter().any(|key| key.is_current(now) && key.allows(addr))
    }

    /// The first entry of `key` that counts at `now` from `addr`; if none does, the
    /// reason that came nearest to letting it in.
    pub fn find(&self, key: &PublicKey, addr: IpAddr, now: Timestamp) -> Result<&TrustedKey, Refusal> {
        self.judge(addr, now, |trusted| !trusted.rights.authority && trusted.key == *key.key_data())
    }

    /// Whether some current key may come from `addr` that does not let everybody come: the
    /// institute's own address, as far as its keys say.
    pub fn names(&self, addr: IpAddr, now: Timestamp) -> bool {
        let names = |key: &TrustedKey| {
            key.from.as_ref().is_some_and(|from| from.name_somebody() && from.allows(addr))
        };
        self.keys.iter().any(|key| key.is_current(now) && names(key))
    }

    /// As [`Keyring::find`], for a key known by its fingerprint.
    pub fn find_fingerprint(
        &self,
        fingerprint: &str,
        addr: IpAddr,
        now: Timestamp,
    ) -> Result<&TrustedKey, Refusal> {
        self.judge(addr, now, |trusted| !trusted.rights.authority && trusted.fingerprint == fingerprint)
    }

    fn judge(
        &self,
        addr: IpAddr,
        now: Timestamp,
        is_it: impl Fn(&TrustedKey) -> bool,
    ) -> Result<&TrustedKey, Refusal> {
        let mut refusal = Refusal::UnknownKey;
        for key in self.keys.iter().filter(|key| is_it(key)) {
            match (key.is_current(now), key.allows(addr)) {
                (true, true) => return Ok(key),
                (true, false) => refusal = Refusal::Address(key.name.clone()),
                (false, _) if refusal == Refusal::UnknownKey => refusal = Refusal::Expired(key.name.clone()),
                (false, _) => {}
            }
        }
        Err(refusal)
    }

    /// What changed since `before`. Two entries are the same key when name and
    /// fingerprint agree; where it stands in its file does not matter.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let same = |a: &TrustedKey, b: &TrustedKey| a.name == b.name && a.fingerprint == b.fingerprint;
        let mut changes = Vec::new();
        let mut push = |what, key: &TrustedKey| changes.push(Change { what, key: key.clone() });
        for old in &before.keys {
            if !self.keys.iter().any(|key| same(key, old)) {
                push(What::Removed, old);
            }
        }
        for key in &self.keys {
            let twins = || before.keys.iter().filter(|old| same(key, old));
            if twins().next().is_none() {
                push(What::Added, key);
            } else if !twins()
                .any(|old| old.from == key.from && old.expires == key.expires && old.rights == key.rights)
            {
                push(What::Changed, key);
            }
        }
        changes
    }

    /// The keys whose time ran out after `since`, up to `now`.
    pub fn expired_between(&self, since: Timestamp, now: Timestamp) -> Vec<Change> {
        let ran_out = |key: &&TrustedKey| key.is_current(since) && !key.is_current(now);
        let change = |key: &TrustedKey| Change { what: What::Expired, key: key.clone() };
        self.keys.iter().filter(ran_out).map(change).collect()
    }
}

impl TrustedKey {
    pub(super) fn new(name: String, file: &str, at: usize, line: Line) -> Self {
        Self {
            name,
            fingerprint: line.fingerprint(),
            algorithm: line.algorithm(),
            comment: line.comment,
            file: file.to_owned(),
            line: at,
            from: line.from,
            expires: line.expires,
            rights: line.rights,
            key: line.key,
        }
    }
}

/// The directory says nothing about whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system would not let us read it.
    #[error("{path}: {source}")]
    Io {
        /// The directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could put keys into it.
    #[error("{path}: {}", wrong.text(Lang::En))]
    Unsafe {
        /// The directory.
        path: String,
        /// Why.
        wrong: Wrong,
    },
}

impl Unusable {
    /// What is wrong and what to do, for an operator.
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Self::Io { path, source } => {
                let cannot = lang.pick("no se puede leer", "cannot be read");
                format!("{path}: {cannot}: {source}")
            }
            Self::Unsafe { path, wrong } => format!("{path}: {}", wrong.text(lang)),
        }
    }
}

/// The bytes of the directory at one moment; equal contents give equal keyrings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    files: Vec<(String, Vec<u8>)>,
    faults: Vec<Fault>,
}

impl Content {
    pub(super) fn read(path: &Path) -> Result<Self, Unusable> {
        let io = |source| Unusable::Io { path: path.display().to_string(), source };
        let dir = Dir::open(path).map_err(io)?;
        let stat = dir.stat(".").map_err(io)?;
        if let Some(wrong) = others_may_write(stat.st_mode, stat.st_uid) {
            return Err(Unusable::Unsafe { path: path.display().to_string(), wrong });
        }
        let mut content = Self::default();
        for entry in dir.list().map_err(io)? {
            let name = entry.name.to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            match content.read_file(&dir, &entry, &name) {
                Ok(()) => {}
                // Removed since it was listed.
                Err(Wrong::Unreadable(_)) if !dir.exists(&entry.name) => {}
                Err(wrong) => content.faults.push(Fault::of_file(&name, wrong)),
            }
        }
        Ok(content)
    }

    fn read_file(&mut self, dir: &Dir, entry: &Listed, name: &str) -> Result<(), Wrong> {
        if !name.ends_with(SUFFIX) {
            return Err(Wrong::Suffix);
        }
        if !entry.is_file() {
            return Err(Wrong::NotAFile);
        }
        if let Some(wrong) = others_may_write(entry.stat.st_mode, entry.stat.st_uid) {
            return Err(wrong);
        }
        if self.files.len() >= KEY_FILES_MAX {
            return Err(Wrong::TooMany);
        }
        let bytes = dir.read(&entry.name, KEY_FILE_BYTES_MAX).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => Wrong::TooLarge,
            _ => Wrong::Unreadable(e.to_string()),
        })?;
        self.files.push((name.to_owned(), bytes));
        Ok(())
    }
}

/// sshd's StrictModes: a key file that others may write to is theirs, not ours.
fn others_may_write(mode: u32, owner: u32) -> Option<Wrong> {
    let us = rustix::process::geteuid().as_raw();
    if mode & 0o022 != 0 {
        return Some(Wrong::Writable(mode & 0o7777));
    }
    (owner != 0 && owner != us).then_some(Wrong::Owner(owner))
}

/// The lines of a file with their numbers, from 1, without ends and without the byte
/// order mark that some editors put before the first.
pub(super) fn numbered_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.split(|b| *b == b'\n').enumerate().map(|(i, line)| (i + 1, line))
}

/// Files that hold a key, but not in a form that can be trusted line by line.
pub(super) fn foreign_format(bytes: &[u8]) -> Option<Wrong> {
    let has = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    if has("PRIVATE KEY-----") || has("PuTTY-User-Key-File") {
        return Some(Wrong::PrivateKey);
    }
    (has("---- BEGIN SSH2 PUBLIC KEY") || has("-----BEGIN PUBLIC KEY") || has("-----BEGIN RSA PUBLIC KEY"))
        .then_some(Wrong::OtherFormat)
}

/// A name that is safe in file names, logs and ledgers; `None` if nothing is left.
pub(super) fn safe_name(text: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-@".contains(c) { c } else { '_' };
    let name: String = text.trim().trim_start_matches('.').chars().take(NAME_CHARS_MAX).map(plain).collect();
    (!name.is_empty()).then_some(name)
}

/// How key files end; everything else in the directory is a fault.
pub(super) const SUFFIX: &str = ".pub";
/// Names become directory names and columns of reports.
const NAME_CHARS_MAX: usize = 64;
