//! Passwords, for an institute that has no keys: `keys/passwords`.
//!
//! Off unless the configuration says so, and then from named networks only. Of a password
//! there is only its argon2id hash (RFC 9106) in the file, `user:$argon2id$…` a line; the
//! very same work is done for a user that does not exist.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};

use super::keyring::safe_name;
use crate::model::Lang;

/// Users with a password, as the file was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    entries: Vec<(String, String)>,
}

/// Why the file of passwords cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordsFault {
    /// Others than its owner can read it.
    #[error("mode {0:04o} lets others read it; chmod 600")]
    Exposed(u32),
    /// A line that is not `user:$argon2id$…`.
    #[error("line {0}: not USER:$argon2id$…; set it again with difusor keys password USER")]
    Line(usize),
    /// The system would not let us.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PasswordsFault {
    /// What is wrong and what to do, for an operator.
    pub fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Es, Self::Exposed(mode)) => {
                format!("con modo {mode:04o} otros pueden leerlo; chmod 600")
            }
            (Lang::Es, Self::Line(at)) => {
                format!(
                    "la línea {at} no es USUARIO:$argon2id$…; póngala de nuevo con difusor keys password USUARIO"
                )
            }
            (Lang::Es, Self::Io(error)) => error.to_string(),
        }
    }
}

impl Passwords {
    /// Reads the file; none is there where nobody has a password.
    pub fn load(path: &Path) -> Result<Self, PasswordsFault> {
        let stat = match std::fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            stat => stat?,
        };
        if stat.mode() & 0o077 != 0 {
            return Err(PasswordsFault::Exposed(stat.mode() & 0o7777));
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(std::fs::File::open(path)?, FILE_BYTES_MAX), &mut text)?;
        let mut entries = Vec::new();
        for (at, line) in
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let read =
                line.split_once(':').filter(|(user, hash)| is_user(user) && PasswordHash::new(hash).is_ok());
            let (user, hash) = read.ok_or(PasswordsFault::Line(at + 1))?;
            entries.push((user.to_owned(), hash.to_owned()));
        }
        Ok(Self { entries })
    }

    /// The users.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(user, _)| user.as_str())
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The hash that `password` proves to be `user`'s. Takes a tenth of a second and 19 MiB,
    /// whether or not there is such a user.
    pub fn prove(&self, user: &str, password: &str) -> Option<String> {
        let known = self.entries.iter().find(|(name, _)| name == user).map(|(_, hash)| hash.as_str());
        let hash = PasswordHash::new(known.unwrap_or(NOBODY)).ok()?;
        let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        known.filter(|_| right).map(str::to_owned)
    }

    /// Whether this hash is still the user's.
    pub(super) fn holds(&self, user: &str, hash: &str) -> bool {
        self.entries.iter().any(|(name, known)| name == user && known == hash)
    }

    /// The same with this password for `user` (`None` takes it away); true if there was one.
    pub fn set(&mut self, user: &str, password: Option<&str>) -> Result<bool, WeakPassword> {
        let before = self.entries.len();
        if !is_user(user) {
            return Err(WeakPassword::User);
        }
        let line = match password {
            Some(password) => Some((user.to_owned(), hashed(password)?)),
            None => None,
        };
        self.entries.retain(|(name, _)| name != user);
        let was = self.entries.len() < before;
        self.entries.extend(line);
        Ok(was)
    }

    /// The content of the file.
    pub fn text(&self) -> String {
        self.entries.iter().map(|(user, hash)| format!("{user}:{hash}\n")).collect()
    }
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Not a user's name.
    #[error("a user has letters, digits, '.', '_', '-' and '@', at most 64")]
    User,
    /// Fewer or more characters than bounds.
    #[error("a password has from {PASSWORD_CHARS_MIN} to {PASSWORD_BYTES_MAX} characters")]
    Length,
    /// No random salt could be had, or the like.
    #[error("the password could not be hashed")]
    Hash,
}

fn hashed(password: &str) -> Result<String, WeakPassword> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(WeakPassword::Length);
    }
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|_| WeakPassword::Hash)?;
    Ok(hash.to_string())
}

/// Its name becomes the sender's.
fn is_user(user: &str) -> bool {
    safe_name(user).as_deref() == Some(user)
}

/// Of a password that nobody has: verifying it costs what verifying any costs.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$jOFlaYb1eFPrHEVzyWBnYcBVfcLpLM0nFBDpRYFSV5A";
/// A password that a stranger may try for a night must be long.
const PASSWORD_CHARS_MIN: usize = 12;
/// Nobody types more; hashing takes time in proportion.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// A few users.
const FILE_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_password_is_kept_as_a_hash_and_proved_by_itself_only() {
        let mut passwords = Passwords::default();
        assert_eq!(passwords.set("iepc", Some("corta")), Err(WeakPassword::Length));
        assert_eq!(passwords.set("../x", Some("clave larga 2027")), Err(WeakPassword::User));
        assert_eq!(passwords.set("iepc", Some("clave larga 2027")), Ok(false));
        let text = passwords.text();
        assert!(text.starts_with("iepc:$argon2id$") && !text.contains("clave"), "{text}");
        let hash = passwords.prove("iepc", "clave larga 2027").unwrap();
        assert!(passwords.holds("iepc", &hash));
        assert_eq!(passwords.prove("iepc", "clave larga 2028"), None);
        assert_eq!(passwords.prove("nadie", "clave larga 2027"), None);
        assert_eq!(passwords.set("iepc", None), Ok(true));
        assert!(passwords.is_empty() && !passwords.holds("iepc", &hash));
    }

    #[test]
    fn a_user_that_does_not_exist_costs_the_same_work() {
        assert!(PasswordHash::new(NOBODY).is_ok(), "a hash that cannot be read would cost nothing");
        let mut passwords = Passwords::default();
        passwords.set("iepc", Some("clave larga 2027")).unwrap();
        let params = |text: &str| text.split('$').nth(3).map(str::to_owned);
        assert_eq!(params(&passwords.text()), params(NOBODY));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwords");
        assert!(Passwords::load(&path).unwrap().is_empty());
        let mut passwords = Passwords::default();
        passwords.set("iepc", Some("clave larga 2027")).unwrap();
        std::fs::write(&path, passwords.text()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Passwords::load(&path), Err(PasswordsFault::Exposed(0o640))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Passwords::load(&path).unwrap(), passwords);
        std::fs::write(&path, "# x\niepc:clave\n").unwrap();
        assert!(matches!(Passwords::load(&path), Err(PasswordsFault::Line(2))));
    }
}
