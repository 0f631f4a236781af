//! What `difusor keys` does: add a key, let one follow another, revoke one; set a password.
//! (Listing is [`Keyring::load`].)
//!
//! Works on the key directory (`keys/`, with `trusted/` and `revoked/` in it) and on
//! nothing else: a running service sees the change by itself. What people wrote is kept
//! byte for byte; a revoked key is moved, never destroyed. After an error nothing is
//! trusted that was not trusted before.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::keyring::{SUFFIX, foreign_format, numbered_lines, safe_name};
use super::line::{self, Line, parse_time};
use super::{
    Intake, KEY_FILE_BYTES_MAX, Keyring, Passwords, PasswordsFault, Sources, TrustedKey, Unusable,
    WeakPassword, Wrong,
};
use crate::durable::Dir;
use crate::model::Lang;

/// A key to be trusted from now on.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// Its name: becomes `trusted/NAME.pub`.
    pub name: &'a str,
    /// Addresses and networks it may come from, as in `from="…"`; `*` for anywhere.
    pub from: &'a [String],
    /// Its end, in OpenSSH's form or as `2027-06-07` or `2027-06-07T02:00`.
    pub expires: Option<&'a str>,
    /// The one intake it may use, as in `command="…"`.
    pub command: Option<&'a str>,
    /// Of an authority: the principals one of which a certificate must have. Where none is
    /// named, that is the user's name. `None` for a key that is trusted itself.
    pub principals: Option<&'a [String]>,
    /// The institute's public key: the content of its `.pub` file.
    pub key: &'a [u8],
}

/// A key that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub struct Successor<'a> {
    /// Name, file stem or fingerprint of the key that goes.
    pub old: &'a str,
    /// Name of the one that comes: becomes `trusted/NAME.pub`.
    pub name: &'a str,
    /// The new public key: the content of its `.pub` file.
    pub key: &'a [u8],
    /// From when on the old one no longer counts.
    pub until: Timestamp,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that goes, with its end.
    pub old: TrustedKey,
    /// The key that comes: same addresses, same rights, no end but its authority's.
    pub new: TrustedKey,
}

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The keys that are trusted no longer.
    pub keys: Vec<TrustedKey>,
    /// Where what was written now lies, below the key directory.
    pub kept_in: Vec<String>,
    /// Names under which one of these very keys is still trusted.
    pub still_trusted_as: Vec<String>,
}

/// Why a key was not added or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The name could not be a file name.
    #[error(
        "'{0}' is not a usable name: letters, digits, '.', '_', '-' and '@', at most 64, no leading point"
    )]
    Name(String),
    /// A key of that name exists.
    #[error("a key named '{0}' exists already; revoke it first or choose another name")]
    Exists(String),
    /// That very key is trusted.
    #[error("this key is trusted already, as '{0}'")]
    Trusted(String),
    /// Without addresses it would be trusted from anywhere.
    #[error(
        "no address given: say where the key may come from (--from 192.0.2.0/24), or --from '*' for anywhere"
    )]
    NoSources,
    /// The end lies in the past.
    #[error("'{0}' is already past")]
    Past(String),
    /// The addresses, the end or the key are not what they should be.
    #[error("{}", .0.text(Lang::En))]
    Wrong(Wrong),
    /// The public key came with options of its own.
    #[error("the key comes with options of its own; give only the key, and addresses by --from")]
    Options,
    /// More than one key was given.
    #[error("one key at a time, please: {0} were given")]
    Many(usize),
    /// The password is not taken.
    #[error(transparent)]
    Weak(WeakPassword),
    /// The file of passwords cannot be used.
    #[error("keys/passwords: {0}")]
    Passwords(PasswordsFault),
    /// More than one current key is meant.
    #[error("'{0}' means several keys; give the fingerprint of one (difusor keys list)")]
    Several(String),
    /// No key has that name or fingerprint.
    #[error("no key named '{0}'")]
    Unknown(String),
    /// The directory of trusted keys cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The system would not let us.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What we were about.
        doing: &'static str,
        /// On which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl ManageError {
    /// What went wrong and what to do, for an operator.
    pub fn text(&self, lang: Lang) -> String {
        if lang == Lang::En {
            return self.to_string();
        }
        match self {
            Self::Name(n) => {
                format!("«{n}» no sirve como nombre: letras, cifras, «.», «_», «-» y «@», hasta 64, sin punto inicial")
            }
            Self::Exists(n) => format!("ya existe una llave llamada «{n}»; revóquela primero o elija otro nombre"),
            Self::Trusted(n) => format!("esta llave ya es de confianza, como «{n}»"),
            Self::NoSources => {
                "falta la dirección: diga desde dónde puede venir (--from 192.0.2.0/24), o --from '*' si de cualquier parte"
                    .to_owned()
            }
            Self::Past(t) => format!("«{t}» ya pasó"),
            Self::Wrong(wrong) => wrong.text(lang),
            Self::Options => "la llave trae opciones propias; dé sólo la llave, y las direcciones con --from".to_owned(),
            Self::Many(n) => format!("una llave a la vez: llegaron {n}"),
            Self::Weak(WeakPassword::User) => {
                "un usuario lleva letras, cifras, «.», «_», «-» y «@», a lo más 64".to_owned()
            }
            Self::Weak(WeakPassword::Length) => "una contraseña tiene de 12 a 256 caracteres".to_owned(),
            Self::Weak(WeakPassword::Hash) => "no se pudo resumir la contraseña".to_owned(),
            Self::Passwords(fault) => format!("keys/passwords: {}", fault.text(lang)),
            Self::Several(n) => {
                format!("«{n}» son varias llaves; dé la huella de una (difusor keys list)")
            }
            Self::Unknown(n) => format!("no hay ninguna llave llamada «{n}»"),
            Self::Unusable(e) => e.text(lang),
            Self::Io { path, source, .. } => format!("no se pudo escribir {path}: {source}"),
        }
    }
}

/// Trusts a key: writes `trusted/NAME.pub` whole or not at all, never over another.
pub fn add(keys: &Path, new: NewKey<'_>, zone: &TimeZone, now: Timestamp) -> Result<TrustedKey, ManageError> {
    if safe_name(new.name).as_deref() != Some(new.name) {
        return Err(ManageError::Name(new.name.to_owned()));
    }
    if new.from.is_empty() {
        return Err(ManageError::NoSources);
    }
    let from = new.from.join(",");
    Sources::parse(&from).map_err(ManageError::Wrong)?;
    let mut options = format!("from=\"{from}\"");
    if let Some(text) = new.expires {
        options.push_str(&format!(",expiry-time=\"{}\"", expiry(text, zone, now)?));
    }
    if let Some(line) = new.command {
        Intake::parse(line).map_err(ManageError::Wrong)?;
        options.push_str(&format!(",command=\"{line}\""));
    }
    if let Some(principals) = new.principals {
        options.push_str(",cert-authority");
        if !principals.is_empty() {
            options.push_str(&format!(",principals=\"{}\"", principals.join(",")));
        }
    }
    let given = only_key(new.key, zone)?;
    let trusted = open_or_make(keys, TRUSTED)?;
    let ring = Keyring::load(trusted.path(), zone)?;
    let file = format!("{}{SUFFIX}", new.name);
    if trusted.exists(&file) || ring.keys().iter().any(|key| key.name == new.name) {
        return Err(ManageError::Exists(new.name.to_owned()));
    }
    let fingerprint = given.1.fingerprint();
    if let Some(twin) = ring.keys().iter().find(|key| key.fingerprint == fingerprint) {
        return Err(ManageError::Trusted(twin.name.clone()));
    }
    let text = format!("{options},restrict {}\n", given.0);
    write_new(&trusted, &file, text.as_bytes())?;
    let mut ring = Keyring::load(trusted.path(), zone)?.keys().to_vec();
    ring.retain(|key| key.file == file);
    ring.pop().ok_or_else(|| ManageError::Unknown(new.name.to_owned()))
}

/// Trusts a new key as the old one is trusted, and gives the old one an end: both count until
/// then. The new one first, so that there is one at every moment.
pub fn rotate(
    keys: &Path,
    with: Successor<'_>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Rotated, ManageError> {
    if safe_name(with.name).as_deref() != Some(with.name) {
        return Err(ManageError::Name(with.name.to_owned()));
    }
    let given = only_key(with.key, zone)?;
    let trusted = open_or_make(keys, TRUSTED)?;
    let ring = Keyring::load(trusted.path(), zone)?;
    let stem_file = format!("{}{SUFFIX}", with.old);
    let is_old = |key: &&TrustedKey| {
        (key.name == with.old || key.fingerprint == with.old || key.file == stem_file) && key.is_current(now)
    };
    let mut olds = ring.keys().iter().filter(is_old);
    let old = olds.next().ok_or_else(|| ManageError::Unknown(with.old.to_owned()))?;
    if olds.next().is_some() {
        return Err(ManageError::Several(with.old.to_owned()));
    }
    let file = format!("{}{SUFFIX}", with.name);
    if trusted.exists(&file) || ring.keys().iter().any(|key| key.name == with.name) {
        return Err(ManageError::Exists(with.name.to_owned()));
    }
    let fingerprint = given.1.fingerprint();
    if let Some(twin) = ring.keys().iter().find(|key| key.fingerprint == fingerprint) {
        return Err(ManageError::Trusted(twin.name.clone()));
    }
    let until = old.expires.map_or(with.until, |before| before.min(with.until));
    let (options, changed) = ending(&trusted, old, until)?;
    write_new(&trusted, &file, format!("{options} {}\n", given.0).as_bytes())?;
    trusted
        .replace(&old.file, &changed)
        .map_err(|source| failed("change", &trusted.path().join(&old.file).display().to_string(), source))?;
    let after = Keyring::load(trusted.path(), zone)?;
    let find = |fingerprint: &str| after.keys().iter().find(|key| key.fingerprint == fingerprint).cloned();
    match (find(&old.fingerprint), find(&fingerprint)) {
        (Some(old), Some(new)) => Ok(Rotated { old, new }),
        _ => Err(ManageError::Unknown(with.old.to_owned())),
    }
}

/// The options of a key's line without its end, and its whole file with this end in that line.
fn ending(trusted: &Dir, old: &TrustedKey, until: Timestamp) -> Result<(String, Vec<u8>), ManageError> {
    let bytes = trusted
        .read(&old.file, KEY_FILE_BYTES_MAX)
        .map_err(|source| failed("read", &trusted.path().join(&old.file).display().to_string(), source))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let line = lines.get(old.line - 1).copied().unwrap_or_default();
    let is_end = |option: &String| option.to_ascii_lowercase().starts_with("expiry-time=");
    let mut options: Vec<String> = line::options_of(line).into_iter().filter(|o| !is_end(o)).collect();
    let kept = if options.is_empty() { "restrict".to_owned() } else { options.join(",") };
    options.push(format!("expiry-time=\"{}\"", until.strftime("%Y%m%d%H%M%SZ")));
    let ended = [options.join(",").as_bytes(), b" ", line::without_options(line)].concat();
    let at = |n: usize, line| if n + 1 == old.line { ended.clone() } else { <[u8]>::to_vec(line) };
    Ok((kept, lines.iter().enumerate().flat_map(|(n, line)| at(n, line)).collect()))
}

/// Gives a user a password (`None` takes it away); true if there was one before. The file
/// belongs to whom the host keys belong to: the service must be able to read it.
pub fn set_password(keys: &Path, user: &str, password: Option<&str>) -> Result<bool, ManageError> {
    let path = keys.join(PASSWORDS);
    let mut passwords = Passwords::load(&path).map_err(ManageError::Passwords)?;
    let was = passwords.set(user, password).map_err(ManageError::Weak)?;
    let error = |source| failed("write", &path.display().to_string(), source);
    let dir = Dir::create(keys).map_err(error)?;
    if !dir.exists(PASSWORDS) {
        let owner = dir.stat("host").or_else(|_| dir.stat(".")).map_err(error)?;
        let file = dir.create_file(PASSWORDS).map_err(error)?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        file.set_permissions(private).map_err(error)?;
        let _ = std::os::unix::fs::fchown(&file, Some(owner.st_uid), Some(owner.st_gid));
    }
    dir.replace(PASSWORDS, passwords.text().as_bytes()).map_err(error)?;
    Ok(was)
}

/// Stops trusting every key of this name, file stem or fingerprint. What was written is
/// moved to `revoked/`; other lines of the same file stay as they are.
pub fn revoke(keys: &Path, which: &str, zone: &TimeZone, now: Timestamp) -> Result<Revoked, ManageError> {
    let trusted = open_or_make(keys, TRUSTED)?;
    let revoked = open_or_make(keys, REVOKED)?;
    let ring = Keyring::load(trusted.path(), zone)?;
    let stem_file = format!("{which}{SUFFIX}");
    let is_meant = |key: &&TrustedKey| key.name == which || key.fingerprint == which || key.file == stem_file;
    let meant: Vec<_> = ring.keys().iter().filter(is_meant).cloned().collect();
    let mut files: Vec<&str> = meant.iter().map(|key| key.file.as_str()).collect();
    files.dedup();
    // A file of that name whose lines are all faulty is meant too.
    if files.is_empty() && ring.faults().iter().any(|fault| fault.file == stem_file) {
        files.push(&stem_file);
    }
    if files.is_empty() {
        return Err(ManageError::Unknown(which.to_owned()));
    }
    let mut kept_in = Vec::new();
    for file in files {
        let lines: Vec<_> = meant.iter().filter(|key| key.file == file).map(|key| key.line).collect();
        let all = ring.keys().iter().filter(|key| key.file == file).count() == lines.len();
        let kept = free_name(&revoked, file, now);
        if all {
            move_file(&trusted, file, &revoked, &kept)?;
        } else {
            move_lines(&trusted, file, &lines, &revoked, &kept)?;
        }
        kept_in.push(format!("{REVOKED}/{kept}"));
    }
    let after = Keyring::load(trusted.path(), zone)?;
    let same = |key: &&TrustedKey| meant.iter().any(|gone| gone.fingerprint == key.fingerprint);
    let still_trusted_as = after.keys().iter().filter(same).map(|key| key.name.clone()).collect();
    Ok(Revoked { keys: meant, kept_in, still_trusted_as })
}

/// The end in OpenSSH's form. A day means its first moment.
fn expiry(text: &str, zone: &TimeZone, now: Timestamp) -> Result<String, ManageError> {
    let canonical = match text.parse::<DateTime>() {
        Ok(day) if text.contains('-') => day.strftime("%Y%m%d%H%M%S").to_string(),
        _ => text.to_owned(),
    };
    let end = parse_time(&canonical, zone).map_err(ManageError::Wrong)?;
    if end <= now {
        return Err(ManageError::Past(text.to_owned()));
    }
    Ok(canonical)
}

/// The one key in `text`, as written and as understood.
fn only_key(text: &[u8], zone: &TimeZone) -> Result<(String, Line), ManageError> {
    if let Some(wrong) = foreign_format(text) {
        return Err(ManageError::Wrong(wrong));
    }
    if text.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(ManageError::Wrong(Wrong::TooLarge));
    }
    let mut found = Vec::new();
    for (_, raw) in numbered_lines(text) {
        if let Some(line) = line::parse(raw, zone).map_err(|(_, wrong)| ManageError::Wrong(wrong))? {
            let written: String = String::from_utf8_lossy(raw).trim().replace(char::is_control, " ");
            found.push((written, line));
        }
    }
    match (found.len(), found.pop()) {
        (1, Some((_, line))) if line.has_options => Err(ManageError::Options),
        (1, Some(key)) => Ok(key),
        (0, _) => Err(ManageError::Wrong(Wrong::NoKey)),
        (n, _) => Err(ManageError::Many(n)),
    }
}

fn open_or_make(keys: &Path, name: &str) -> Result<Dir, ManageError> {
    let path = keys.join(name);
    Dir::create(&path).map_err(|source| failed("open", &path.display().to_string(), source))
}

/// Whole or not at all: scratch, sync, a rename that does not replace, sync.
fn write_new(dir: &Dir, file: &str, bytes: &[u8]) -> Result<(), ManageError> {
    use std::io::Write as _;
    let scratch = format!(".{file}.{}~", std::process::id());
    let write = || {
        let mut out = dir.create_file(&scratch)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        dir.rename_new(&scratch, file)?;
        dir.sync()
    };
    write().map_err(|source| {
        let _ = dir.remove_file(&scratch);
        match source.kind() {
            io::ErrorKind::AlreadyExists => ManageError::Exists(file.trim_end_matches(SUFFIX).to_owned()),
            _ => failed("write", &dir.path().join(file).display().to_string(), source),
        }
    })
}

fn move_file(trusted: &Dir, file: &str, revoked: &Dir, kept: &str) -> Result<(), ManageError> {
    let moved = || {
        trusted.rename_to(file, revoked, kept)?;
        revoked.sync()?;
        trusted.sync()
    };
    moved().map_err(|source| failed("move", &trusted.path().join(file).display().to_string(), source))
}

/// The record first, then the removal: a crash in between leaves a key trusted that the
/// operator was not yet told is gone.
fn move_lines(
    trusted: &Dir,
    file: &str,
    lines: &[usize],
    revoked: &Dir,
    kept: &str,
) -> Result<(), ManageError> {
    let error = |source| failed("change", &trusted.path().join(file).display().to_string(), source);
    let bytes = trusted.read(file, KEY_FILE_BYTES_MAX).map_err(error)?;
    let (mut gone, mut stays) = (Vec::new(), Vec::new());
    for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let side = if lines.contains(&(at + 1)) { &mut gone } else { &mut stays };
        side.extend_from_slice(line);
    }
    write_new(revoked, kept, &gone)?;
    trusted.replace(file, &stays).map_err(error)
}

/// `NAME.pub`, or with the time in it if one of that name was revoked before.
fn free_name(dir: &Dir, file: &str, now: Timestamp) -> String {
    if !dir.exists(file) {
        return file.to_owned();
    }
    let stem = file.strip_suffix(SUFFIX).unwrap_or(file);
    let stamped = format!("{stem}.{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let mut name = format!("{stamped}{SUFFIX}");
    let mut n = 1;
    while dir.exists(&name) {
        n += 1;
        name = format!("{stamped}.{n}{SUFFIX}");
    }
    name
}

fn failed(doing: &'static str, path: &str, source: io::Error) -> ManageError {
    ManageError::Io { doing, path: path.to_owned(), source }
}

const TRUSTED: &str = "trusted";
const REVOKED: &str = "revoked";
const PASSWORDS: &str = "passwords";
