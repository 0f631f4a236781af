//! A module, and who may use it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::drop::VPath;

/// A folder of the virtual root under a name of its own.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Where it leads; nothing in it leads out.
    pub root: VPath,
    /// From where it may be reached; empty: from a network that `[trust]` names or, where there
    /// are users, from where some trusted key may come.
    pub networks: Vec<IpNet>,
    /// Users with a password; empty asks for none.
    pub users: Vec<String>,
    /// Where the passwords are.
    pub secrets: PathBuf,
    /// Weakest digest of a password.
    pub digest: String,
    /// Sessions at once.
    pub sessions_max: usize,
    /// What the list says of it.
    pub comment: String,
    /// Whether the list shows it.
    pub listed: bool,
    /// Silence that a client is asked not to exceed.
    pub timeout: Duration,
}

/// What is said of an address beside a module's own networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// It is in a network that `[trust]` names.
    pub(super) named: bool,
    /// Some trusted key may come from there.
    pub(super) admitted: bool,
}

impl Module {
    /// A module without guards of its own.
    pub(super) fn open(name: &str, root: VPath) -> Self {
        Self {
            name: name.to_owned(),
            root,
            networks: Vec::new(),
            users: Vec::new(),
            secrets: PathBuf::new(),
            digest: String::new(),
            sessions_max: usize::MAX,
            comment: String::new(),
            listed: true,
            timeout: Duration::ZERO,
        }
    }

    /// Whether it may be reached from this address; `said` is what others say of it.
    pub(super) fn trusts(&self, addr: IpAddr, said: Said) -> bool {
        match self.networks.is_empty() {
            // A module without any guard is refused when the file is read.
            true => said.named || (said.admitted && !self.users.is_empty()),
            false => self.networks.iter().any(|net| net.contains(&addr)),
        }
    }

    /// The password of a user. Read anew each time: a password is withdrawn by its line.
    pub(super) fn secret(&self, user: &[u8]) -> Option<Vec<u8>> {
        let user =
            std::str::from_utf8(user).ok().filter(|user| self.users.iter().any(|known| known == user))?;
        match lines(&self.secrets) {
            Ok(lines) => {
                lines.into_iter().find(|(known, _)| known == user).map(|(_, secret)| secret.into_bytes())
            }
            Err(fault) => {
                tracing::error!(module = self.name, fault = ?fault, "the passwords of a module cannot be used");
                None
            }
        }
    }
}

/// Why the passwords of a module cannot be used.
#[derive(Debug)]
pub enum SecretsFault {
    /// It cannot be read.
    Io(io::Error),
    /// Others than its owner can read it: its mode.
    Mode(u32),
    /// Users of the module that have no line.
    Missing(Vec<String>),
}

/// Looks at the passwords of a module before the night.
pub fn check_secrets(path: &Path, users: &[String]) -> Result<(), SecretsFault> {
    let known = lines(path)?;
    let missing = |user: &&String| !known.iter().any(|(name, _)| name == *user);
    let missing: Vec<String> = users.iter().filter(missing).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(SecretsFault::Missing(missing)) }
}

/// `user:password` lines; `#` begins a comment.
fn lines(path: &Path) -> Result<Vec<(String, String)>, SecretsFault> {
    let mode = fs::metadata(path).map_err(SecretsFault::Io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretsFault::Mode(mode));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(SecretsFault::Io)?;
    file.take(SECRETS_BYTES_MAX).read_to_string(&mut text).map_err(SecretsFault::Io)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.filter_map(|line| line.split_once(':'));
    Ok(parts
        .filter(|(user, secret)| !user.is_empty() && !secret.is_empty())
        .map(|(user, secret)| (user.trim().to_owned(), secret.to_owned()))
        .collect())
}

/// A file of a few users.
const SECRETS_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_module_is_reached_from_its_networks_or_those_of_trust_and_keys() {
        let mut module = Module::open("prep", VPath::root());
        let addr = "203.0.113.7".parse().unwrap();
        let nobody = Said::default();
        let (keys, named) = (Said { admitted: true, ..nobody }, Said { named: true, ..nobody });
        assert!(!module.trusts(addr, keys), "no guard at all is no trust");
        assert!(module.trusts(addr, named));
        module.users = vec!["iepc".to_owned()];
        assert!(module.trusts(addr, keys) && !module.trusts(addr, nobody));
        module.networks = vec!["203.0.113.0/24".parse().unwrap()];
        let other = "203.0.114.1".parse().unwrap();
        assert!(module.trusts(addr, nobody) && !module.trusts(other, keys) && !module.trusts(other, named));
    }

    #[test]
    fn passwords_that_others_can_read_are_none() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("secrets");
        fs::write(&path, "# users\niepc:clave:con:dos puntos\notro:x\n").unwrap();
        let mut module = Module::open("prep", VPath::root());
        (module.users, module.secrets) = (vec!["iepc".to_owned()], path.clone());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(module.secret(b"iepc"), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(module.secret(b"iepc").as_deref(), Some(b"clave:con:dos puntos".as_slice()));
        assert_eq!(module.secret(b"otro"), None, "not a user of this module");
        assert!(matches!(check_secrets(&path, &["nadie".to_owned()]), Err(SecretsFault::Missing(_))));
    }
}
