//! The keys by which clients know this server: `keys/host/`.
//!
//! Owns the private keys, in OpenSSH's form and under sshd's names, so that those of an
//! existing server can be copied here and clients notice nothing. Made when missing,
//! mode 0600, never replaced but by [`switch`], which keeps the old one in `old/`. The next
//! key, in `next/`, is announced to clients before that. After an error nothing was written
//! but possibly one whole new key.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PrivateKey, PublicKey};

use crate::durable::Dir;
use crate::model::Lang;

/// Which kinds of host keys there are, beside Ed25519.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// ECDSA P-256, for clients before OpenSSH 6.5. Its curve and its nonces are weaker
    /// ground than Ed25519's (ssh-audit fails it).
    pub ecdsa: bool,
    /// RSA, for clients that know nothing else: the `rsa` crate's private operations leak
    /// timing (RUSTSEC-2023-0071).
    pub rsa: bool,
}

/// The host keys, most preferred first.
#[derive(Clone)]
pub struct HostKeys {
    keys: Vec<PrivateKey>,
    next: Vec<PrivateKey>,
    certificates: Vec<Certificate>,
}

/// One of them, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519`…
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// The public key in OpenSSH's form, without comment.
    pub public: String,
    /// What stands behind the name in its SSHFP record (RFC 4255, RFC 6594): algorithm,
    /// kind of digest, SHA-256.
    pub sshfp: String,
    /// Whether it is used, or only announced.
    pub next: bool,
    /// Whether there is a certificate for it.
    pub certified: bool,
}

impl HostKeys {
    /// Loads the keys of `dir`, making those that are missing. A certificate beside a key
    /// (`…_key-cert.pub`) is shown to clients that know of them.
    pub fn open(dir: &Path, kinds: Kinds) -> Result<Self, HostKeyError> {
        let io = |source| HostKeyError::Io { path: dir.display().to_string(), source };
        let dir = Dir::create(dir).map_err(io)?;
        let of_next = if dir.exists(NEXT) { Some(dir.sub(NEXT).map_err(io)?) } else { None };
        let (mut keys, mut next, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
        for kind in KINDS.iter().filter(|kind| kind.is_among(kinds)) {
            let key = kind.load_or_make(&dir)?;
            certificates.extend(kind.certificate(&dir, &key)?);
            keys.push(key);
            if let Some(dir) = of_next.as_ref().filter(|dir| dir.exists(kind.file)) {
                next.push(kind.load(dir)?);
            }
        }
        Ok(Self { keys, next, certificates })
    }

    /// Every key, for people; those that are only announced last.
    pub fn described(&self) -> Vec<HostKey> {
        let certified = |key: &PrivateKey| {
            self.certificates.iter().any(|c| c.public_key() == key.public_key().key_data())
        };
        let used = self.keys.iter().map(|key| HostKey::of(key, false, certified(key)));
        used.chain(self.next.iter().map(|key| HostKey::of(key, true, false))).collect()
    }

    /// What to print for people: algorithm and `SHA256:…` of each key that is used.
    pub fn fingerprints(&self) -> Vec<(String, String)> {
        let used = self.described().into_iter().filter(|key| !key.next);
        used.map(|key| (key.algorithm, key.fingerprint)).collect()
    }

    pub(super) fn private(&self) -> Vec<PrivateKey> {
        self.keys.clone()
    }

    pub(super) fn next(&self) -> Vec<PrivateKey> {
        self.next.clone()
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.certificates.clone()
    }
}

impl HostKey {
    fn of(key: &PrivateKey, next: bool, certified: bool) -> Self {
        let public = key.public_key().to_openssh().unwrap_or_default();
        let without_comment: Vec<_> = public.split(' ').take(2).collect();
        Self {
            algorithm: key.algorithm().as_str().to_owned(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            public: without_comment.join(" "),
            sshfp: sshfp(key.public_key()),
            next,
            certified,
        }
    }

    /// Its line for a client's `known_hosts`: `HOST` or `[HOST]:PORT`, then the key.
    pub fn known_hosts(&self, host: &str, port: u16) -> String {
        let host = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        format!("{host} {}", self.public)
    }
}

fn sshfp(key: &PublicKey) -> String {
    let algorithm = match key.algorithm() {
        Algorithm::Rsa { .. } => 1,
        Algorithm::Ecdsa { .. } => 3,
        _ => 4,
    };
    let digest = key.fingerprint(HashAlg::Sha256);
    let hex: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{algorithm} 2 {hex}")
}

/// Makes the next Ed25519 key, which clients are told of from then on. The key that is
/// there already if it was made before.
pub fn prepare(dir: &Path) -> Result<HostKey, HostKeyError> {
    let io = |source| HostKeyError::Io { path: dir.display().to_string(), source };
    let next = Dir::create(dir).and_then(|dir| dir.sub_create(NEXT)).map_err(io)?;
    std::fs::set_permissions(next.path(), Permissions::from_mode(0o700)).map_err(io)?;
    let made = ED25519.load_or_make(&next)?;
    give_to_owner_of(
        dir,
        &[next.path(), &next.path().join(ED25519.file), &next.path().join(ED25519.public())],
    )
    .map_err(io)?;
    Ok(HostKey::of(&made, true, false))
}

/// Puts the next key in the place of the one that is used, and keeps that in `old/`; a
/// certificate goes with its key. `None` where no next key was prepared.
pub fn switch(dir: &Path, now: Timestamp) -> Result<Option<HostKey>, HostKeyError> {
    let io = |source| HostKeyError::Io { path: dir.display().to_string(), source };
    let host = Dir::create(dir).map_err(io)?;
    if !host.exists(Path::new(NEXT).join(ED25519.file)) {
        return Ok(None);
    }
    let next = host.sub(NEXT).map_err(io)?;
    let key = ED25519.load(&next)?;
    let old = host.sub_create(OLD).map_err(io)?;
    std::fs::set_permissions(old.path(), Permissions::from_mode(0o700)).map_err(io)?;
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let moved = || {
        for file in [ED25519.file.to_owned(), ED25519.public(), ED25519.certified()] {
            let kept = format!("{file}.{stamp}");
            // Linked first: there is a key at every moment.
            if host.exists(&file) {
                host.link_to(&file, &old, &kept)?;
            }
        }
        old.sync()?;
        for file in [ED25519.certified(), ED25519.public(), ED25519.file.to_owned()] {
            match next.exists(&file) {
                true => next.rename_to(&file, &host, &file)?,
                false if host.exists(&file) => host.remove_file(&file)?,
                false => {}
            }
        }
        host.sync()?;
        next.sync()
    };
    moved().map_err(io)?;
    Ok(Some(HostKey::of(&key, false, host.exists(ED25519.certified()))))
}

/// What root makes, the service must be able to read.
fn give_to_owner_of(dir: &Path, made: &[&Path]) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(dir)?;
    made.iter().try_for_each(|path| std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())))
}

impl fmt::Debug for HostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.described()).finish()
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
    /// A certificate that is not one for this key.
    #[error("{path}: not a usable host certificate: {why}")]
    Certificate {
        /// The file.
        path: String,
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
            (Lang::Es, Self::Certificate { path, why }) => {
                format!("{path}: no es un certificado de servidor utilizable: {why}")
            }
            (Lang::Es, Self::Io { path, source }) => format!("{path}: {source}"),
        }
    }
}

struct Kind {
    name: &'static str,
    file: &'static str,
    algorithm: Algorithm,
}

impl Kind {
    fn is_among(&self, kinds: Kinds) -> bool {
        match self.algorithm {
            Algorithm::Ecdsa { .. } => kinds.ecdsa,
            Algorithm::Rsa { .. } => kinds.rsa,
            _ => true,
        }
    }

    fn public(&self) -> String {
        format!("{}.pub", self.file)
    }

    fn certified(&self) -> String {
        format!("{}-cert.pub", self.file)
    }

    /// The certificate beside the key, as `ssh-keygen -s CA -h` writes it.
    fn certificate(&self, dir: &Dir, key: &PrivateKey) -> Result<Option<Certificate>, HostKeyError> {
        let file = self.certified();
        if !dir.exists(&file) {
            return Ok(None);
        }
        let unusable = |why: &str| HostKeyError::Certificate {
            path: dir.path().join(&file).display().to_string(),
            why: why.to_owned(),
        };
        let bytes = dir.read(&file, FILE_BYTES_MAX).map_err(|e| self.io(dir, e))?;
        let text = String::from_utf8(bytes).map_err(|e| unusable(&e.to_string()))?;
        let certificate = Certificate::from_openssh(&text).map_err(|e| unusable(&e.to_string()))?;
        if certificate.cert_type() != CertType::Host {
            return Err(unusable("a user's certificate; sign with ssh-keygen -h"));
        }
        if certificate.public_key() != key.public_key().key_data() {
            return Err(unusable("it certifies another key"));
        }
        Ok(Some(certificate))
    }

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
            dir.write_atomic(self.public(), format!("{public}\n").as_bytes())?;
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

/// The kind that is always there.
const ED25519: &Kind = &Kind { name: "Ed25519", file: "ssh_host_ed25519_key", algorithm: Algorithm::Ed25519 };

/// sshd's own file names.
const KINDS: &[&Kind] = &[
    ED25519,
    &Kind {
        name: "ECDSA P-256",
        file: "ssh_host_ecdsa_key",
        algorithm: Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    },
    &Kind { name: "RSA", file: "ssh_host_rsa_key", algorithm: Algorithm::Rsa { hash: None } },
];

/// Where the key lies that will be used next.
const NEXT: &str = "next";
/// Where those lie that were used.
const OLD: &str = "old";
/// An RSA key of 16384 bits takes 13 KiB.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Kinds = Kinds { ecdsa: true, rsa: false };

    fn keygen(args: &[&str]) -> String {
        let out = std::process::Command::new("ssh-keygen").args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn keys_are_made_once_private_and_known_to_ssh_keygen() {
        let dir = tempfile::tempdir().unwrap();
        let made = HostKeys::open(dir.path(), BOTH).unwrap();
        assert_eq!(made.described(), HostKeys::open(dir.path(), BOTH).unwrap().described());
        for (file, key) in ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"].iter().zip(made.described()) {
            let path = dir.path().join(file);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(keygen(&["-lf", path.to_str().unwrap()]).contains(&key.fingerprint), "{file}");
            let records = keygen(&["-r", "prep.mx", "-f", path.to_str().unwrap()]);
            assert!(records.contains(&format!("prep.mx IN SSHFP {}", key.sshfp)), "{records}");
        }
        assert!(!dir.path().join("ssh_host_rsa_key").exists());
        assert!(
            made.described()[0].known_hosts("prep.mx", 2222).starts_with("[prep.mx]:2222 ssh-ed25519 AAAA")
        );
        let only = tempfile::tempdir().unwrap();
        assert_eq!(HostKeys::open(only.path(), Kinds::default()).unwrap().described().len(), 1);
        assert!(!only.path().join("ssh_host_ecdsa_key").exists());
    }

    #[test]
    fn the_next_key_takes_the_place_of_the_one_before_which_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let open = || HostKeys::open(dir.path(), Kinds::default()).unwrap().described();
        let now: Timestamp = "2027-06-06T20:00:00Z".parse().unwrap();
        let before = open().remove(0);
        assert_eq!(switch(dir.path(), now).unwrap(), None);
        let next = prepare(dir.path()).unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), next, "prepared once");
        assert_eq!(open(), [before.clone(), next.clone()]);
        let used = switch(dir.path(), now).unwrap().unwrap();
        assert_eq!((used.fingerprint, used.next), (next.fingerprint, false));
        assert_eq!(open().len(), 1);
        let kept = dir.path().join("old/ssh_host_ed25519_key.20270606T200000Z");
        assert!(keygen(&["-lf", kept.to_str().unwrap()]).contains(&before.fingerprint));
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_must_be_a_hosts_and_of_this_key() {
        let dir = tempfile::tempdir().unwrap();
        HostKeys::open(dir.path(), Kinds::default()).unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &at("ca")]);
        keygen(&["-q", "-s", &at("ca"), "-I", "x", "-h", "-n", "prep.mx", &at("ssh_host_ed25519_key.pub")]);
        assert!(HostKeys::open(dir.path(), Kinds::default()).unwrap().described()[0].certified);
        keygen(&["-q", "-s", &at("ca"), "-I", "x", "-n", "prep.mx", &at("ssh_host_ed25519_key.pub")]);
        let wrong = HostKeys::open(dir.path(), Kinds::default()).unwrap_err();
        assert!(matches!(wrong, HostKeyError::Certificate { .. }), "{wrong}");
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        HostKeys::open(dir.path(), BOTH).unwrap();
        let path = dir.path().join("ssh_host_ecdsa_key");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = HostKeys::open(dir.path(), BOTH).unwrap_err();
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
        HostKeys::open(dir.path(), Kinds::default()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
