//! The keys by which clients know this server: `keys/host/`.
//!
//! Owns the private keys, in OpenSSH's form and under sshd's names, so that those of an
//! existing server can be copied here and clients notice nothing. Made when missing,
//! mode 0600, never replaced. After an error nothing was written but possibly one whole
//! new key.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};

use super::Compat;
use crate::durable::Dir;
use crate::model::Lang;

/// The host keys, most preferred first.
#[derive(Clone)]
pub struct HostKeys {
    keys: Vec<PrivateKey>,
}

impl HostKeys {
    /// Loads the keys of `dir`, making those that are missing: Ed25519, ECDSA P-256 for
    /// old clients, and RSA only for [`Compat::Legacy`] (the `rsa` crate's private
    /// operations leak timing, RUSTSEC-2023-0071).
    pub fn open(dir: &Path, compat: Compat) -> Result<Self, HostKeyError> {
        let io = |source| HostKeyError::Io { path: dir.display().to_string(), source };
        let dir = Dir::create(dir).map_err(io)?;
        let kinds = KINDS.iter().filter(|kind| compat == Compat::Legacy || kind.use_ == Use::Always);
        let keys = kinds.map(|kind| kind.load_or_make(&dir)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// What to print for people: algorithm and `SHA256:…` of each key.
    pub fn fingerprints(&self) -> Vec<(String, String)> {
        let of = |key: &PrivateKey| {
            (key.algorithm().as_str().to_owned(), key.fingerprint(HashAlg::Sha256).to_string())
        };
        self.keys.iter().map(of).collect()
    }

    /// Lines for a client's `known_hosts`: `HOST` or `[HOST]:PORT`, then the key.
    pub fn known_hosts(&self, host: &str, port: u16) -> Vec<String> {
        let host = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        let line = |key: &PrivateKey| {
            let public = key.public_key().to_openssh().unwrap_or_default();
            let without_comment: Vec<_> = public.split(' ').take(2).collect();
            format!("{host} {}", without_comment.join(" "))
        };
        self.keys.iter().map(line).collect()
    }

    pub(super) fn private(&self) -> Vec<PrivateKey> {
        self.keys.clone()
    }
}

impl fmt::Debug for HostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

/// Why the host keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// Others could read it, so it may be known to others.
    #[error("{path}: mode {mode:04o} lets others use it; chmod 600, and consider making a new key")]
    Exposed {
        /// The key file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Not a private key in OpenSSH's form, of another kind than its name says, or locked.
    #[error("{path}: not a usable {kind} private key: {why}")]
    Unusable {
        /// The key file.
        path: String,
        /// The kind its name says.
        kind: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The system would not let us.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl HostKeyError {
    /// What is wrong and what to do, for an operator.
    pub fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Es, Self::Exposed { path, mode }) => {
                format!(
                    "{path}: con modo {mode:04o} otros pueden usarla; chmod 600, y considere hacer una nueva"
                )
            }
            (Lang::Es, Self::Unusable { path, kind, why }) => {
                format!("{path}: no es una llave privada {kind} utilizable: {why}")
            }
            (Lang::Es, Self::Io { path, source }) => format!("{path}: {source}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Always,
    Legacy,
}

struct Kind {
    name: &'static str,
    file: &'static str,
    algorithm: Algorithm,
    use_: Use,
}

impl Kind {
    fn load_or_make(&self, dir: &Dir) -> Result<PrivateKey, HostKeyError> {
        if dir.exists(self.file) { self.load(dir) } else { self.make(dir) }
    }

    fn load(&self, dir: &Dir) -> Result<PrivateKey, HostKeyError> {
        let mode = dir.stat(self.file).map_err(|e| self.io(dir, e))?.st_mode & 0o7777;
        if mode & 0o077 != 0 {
            return Err(HostKeyError::Exposed { path: self.path(dir), mode });
        }
        let bytes = dir.read(self.file, FILE_BYTES_MAX).map_err(|e| self.io(dir, e))?;
        let key = PrivateKey::from_openssh(bytes).map_err(|e| self.unusable(dir, &e.to_string()))?;
        if key.is_encrypted() {
            return Err(self.unusable(dir, "it is locked with a passphrase"));
        }
        if key.algorithm().as_str() != self.algorithm.as_str() {
            return Err(self.unusable(dir, key.algorithm().as_str()));
        }
        Ok(key)
    }

    /// Private from the first byte on: the mode is set before anything is written.
    fn make(&self, dir: &Dir) -> Result<PrivateKey, HostKeyError> {
        let unusable = |e: russh::keys::ssh_key::Error| self.unusable(dir, &e.to_string());
        let mut key = PrivateKey::random(&mut russh::keys::key::safe_rng(), self.algorithm.clone())
            .map_err(unusable)?;
        key.set_comment("difusor");
        let private = key.to_openssh(LineEnding::LF).map_err(unusable)?;
        let public = key.public_key().to_openssh().map_err(unusable)?;
        let scratch = format!(".{}~", self.file);
        let write = || {
            if dir.exists(&scratch) {
                dir.remove_file(&scratch)?;
            }
            let mut file = dir.create_file(&scratch)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(private.as_bytes())?;
            file.sync_all()?;
            dir.write_atomic(format!("{}.pub", self.file), format!("{public}\n").as_bytes())?;
            dir.rename_new(&scratch, self.file)?;
            dir.sync()
        };
        write().map_err(|e| self.io(dir, e))?;
        Ok(key)
    }

    fn path(&self, dir: &Dir) -> String {
        dir.path().join(self.file).display().to_string()
    }

    fn io(&self, dir: &Dir, source: io::Error) -> HostKeyError {
        HostKeyError::Io { path: self.path(dir), source }
    }

    fn unusable(&self, dir: &Dir, why: &str) -> HostKeyError {
        HostKeyError::Unusable { path: self.path(dir), kind: self.name, why: why.to_owned() }
    }
}

/// sshd's own file names.
const KINDS: &[Kind] = &[
    Kind { name: "Ed25519", file: "ssh_host_ed25519_key", algorithm: Algorithm::Ed25519, use_: Use::Always },
    Kind {
        name: "ECDSA P-256",
        file: "ssh_host_ecdsa_key",
        algorithm: Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        use_: Use::Always,
    },
    Kind {
        name: "RSA",
        file: "ssh_host_rsa_key",
        algorithm: Algorithm::Rsa { hash: None },
        use_: Use::Legacy,
    },
];

/// An RSA key of 16384 bits takes 13 KiB.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_private_and_known_to_ssh_keygen() {
        let dir = tempfile::tempdir().unwrap();
        let made = HostKeys::open(dir.path(), Compat::Modern).unwrap();
        assert_eq!(made.fingerprints(), HostKeys::open(dir.path(), Compat::Modern).unwrap().fingerprints());
        for (file, (_, fingerprint)) in
            ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"].iter().zip(made.fingerprints())
        {
            let path = dir.path().join(file);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let out = std::process::Command::new("ssh-keygen").arg("-lf").arg(&path).output().unwrap();
            assert!(String::from_utf8_lossy(&out.stdout).contains(&fingerprint), "{file}");
        }
        assert!(!dir.path().join("ssh_host_rsa_key").exists());
        assert!(made.known_hosts("prep.mx", 2222)[0].starts_with("[prep.mx]:2222 ssh-ed25519 AAAA"));
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        HostKeys::open(dir.path(), Compat::Modern).unwrap();
        let path = dir.path().join("ssh_host_ecdsa_key");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = HostKeys::open(dir.path(), Compat::Modern).unwrap_err();
        assert!(matches!(error, HostKeyError::Exposed { mode: 0o640, .. }), "{error}");
    }

    #[test]
    fn a_key_of_sshd_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ssh_host_ed25519_key");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        let before = std::fs::read(&path).unwrap();
        HostKeys::open(dir.path(), Compat::Modern).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
