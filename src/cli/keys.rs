//! `difusor keys`: who may push, from where, until when and how.

mod host;
mod password;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{self, Common};
use super::status::hour;
use super::{Done, Failure, NO, NOT_FOUND, Out};
use crate::access::manage::{self, ManageError, NewKey, Successor};
use crate::access::{Keyring, Passwords, TrustedKey, Use, Uses};
use crate::clock::Clock;
use crate::config::{self, Config};

/// A public key is a line; an RSA one of 16,384 bits has under 3 kB.
const KEY_BYTES_MAX: u64 = 64 << 10;

pub(super) fn run(verb: args::Keys, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    match verb {
        args::Keys::List => list(&config, out),
        args::Keys::Add { name, from, expires, command, authority, principal, file } => {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            let key = public_key(file.as_deref())?;
            let new = NewKey {
                name: &name,
                from: &from,
                expires: expires.as_deref(),
                command: command.as_deref(),
                principals: authority.then_some(&principal),
                key: &key,
            };
            add(&config, new, out)
        }
        args::Keys::Rotate { old, new, file, overlap } => rotate(&config, &old, new, file, &overlap, out),
        args::Keys::Password { user, remove } => password::run(&config, &user, remove, out),
        args::Keys::Host(verb) => host::run(&verb, &config, out),
        args::Keys::Revoke { which } => revoke(&config, &which, out),
    }
}

fn list(config: &Config, out: Out) -> Done {
    let trusted = config.paths.keys.join("trusted");
    let ring = Keyring::load(&trusted, &config.zone)
        .map_err(|e| Failure::Sentence(super::IO_FAILED, e.to_string()))?;
    let (now, uses) = (Clock::system().now(), Uses::load(&config.paths.var));
    let keys: Vec<Value> = ring
        .keys()
        .iter()
        .map(|key| with_use(described(key, key.is_current(now)), uses.of(&key.fingerprint)))
        .collect();
    let mut faults: Vec<String> = ring.faults().iter().map(|f| f.text(out.lang)).collect();
    let passwords = Passwords::load(&config.paths.keys.join("passwords")).unwrap_or_else(|fault| {
        faults.push(format!("keys/passwords: {}", fault.text(out.lang)));
        Passwords::default()
    });
    let users: Vec<Value> = passwords
        .users()
        .map(|user| with_use(json!({ "user": user }), uses.of(&format!("password:{user}"))))
        .collect();
    let data =
        json!({"keys": keys, "passwords": users, "passwords_taken": config.ssh.passwords, "faults": faults});
    out.answer("keys", faults.is_empty(), data, || {
        let mut table = table(&ring, config, &uses, out);
        for user in passwords.users() {
            let state = match config.ssh.passwords {
                true => "",
                false => out.pick("apagada (ssh.passwords)", "off (ssh.passwords)"),
            };
            let used = used(uses.of(&format!("password:{user}")), config);
            let (kind, networks) = (out.pick("contraseña", "password"), "trust.networks");
            table.add_row([user, kind, networks, "–", &may(None, out), &used, state]);
        }
        let mut text = table.to_string();
        for fault in &faults {
            text.push_str(&format!("\n{fault}"));
        }
        text
    });
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn table(ring: &Keyring, config: &Config, uses: &Uses, out: Out) -> comfy_table::Table {
    let now = Clock::system().now();
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        out.pick("nombre", "name"),
        out.pick("huella", "fingerprint"),
        out.pick("desde", "from"),
        out.pick("vence", "expires"),
        out.pick("puede", "may"),
        out.pick("último uso", "last use"),
        "",
    ]);
    for key in ring.keys() {
        let from = key.from.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        let expires = key.expires.map_or_else(|| "–".to_owned(), |t| hour(t, &config.zone));
        let state = if key.is_current(now) { "" } else { out.pick("vencida", "expired") };
        let used = used(uses.of(&key.fingerprint), config);
        table.add_row([&key.name, &key.fingerprint, &from, &expires, &may(Some(key), out), &used, state]);
    }
    table
}

fn used(last: Option<Use>, config: &Config) -> String {
    last.map_or_else(|| "–".to_owned(), |last| format!("{} {}", hour(last.at, &config.zone), last.from))
}

/// What a key may do, for people.
fn may(key: Option<&TrustedKey>, out: Out) -> String {
    let rights = key.map(|key| &key.rights);
    let brings = match rights.and_then(|rights| rights.intake.as_ref()) {
        Some(intake) => intake.to_string(),
        None => out.pick("enviar", "push").to_owned(),
    };
    let mut words = vec![brings];
    if let Some(rights) = rights.filter(|rights| rights.authority) {
        let names = rights
            .principals
            .as_ref()
            .map_or_else(|| out.pick("su usuario", "its user").to_owned(), |n| n.join(","));
        words.push(format!(
            "{} ({names})",
            out.pick("por certificados que firme", "by certificates that it signs")
        ));
    }
    if rights.is_some_and(|rights| rights.verify) {
        words.push(out.pick("con PIN", "with PIN").to_owned());
    }
    words.join(", ")
}

fn with_use(mut value: Value, last: Option<Use>) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("last_use".to_owned(), json!(last));
    }
    value
}

fn described(key: &TrustedKey, current: bool) -> Value {
    json!({
        "name": key.name, "fingerprint": key.fingerprint, "algorithm": key.algorithm,
        "from": key.from.as_ref().map(ToString::to_string), "expires": key.expires, "current": current,
        "may": key.rights.intake.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string),
        "authority": key.rights.authority, "principals": key.rights.principals,
        "verify_required": key.rights.verify, "file": key.file, "line": key.line,
    })
}

/// From a file, or from standard input.
fn public_key(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match file {
        Some(path) => {
            let file = std::fs::File::open(path)
                .map_err(|e| Failure::Sentence(NOT_FOUND, format!("{}: {e}", path.display())))?;
            file.take(KEY_BYTES_MAX).read_to_end(&mut text)?;
        }
        None => _ = std::io::stdin().lock().take(KEY_BYTES_MAX).read_to_end(&mut text)?,
    }
    Ok(text)
}

fn add(config: &Config, new: NewKey<'_>, out: Out) -> Done {
    let key = manage::add(&config.paths.keys, new, &config.zone, Clock::system().now())
        .map_err(|e| refused(&e, out))?;
    out.answer("keys-add", true, described(&key, true), || {
        format!("{} {} {}", out.pick("de confianza:", "trusted:"), key.name, key.fingerprint)
    });
    Ok(ExitCode::SUCCESS)
}

/// `NEW` is a name where a file follows (or standard input has the key), else the file itself.
fn rotate(config: &Config, old: &str, new: String, file: Option<PathBuf>, overlap: &str, out: Out) -> Done {
    let overlap = config::duration(overlap, out.lang).map_err(|e| Failure::Sentence(NO, e))?;
    let now = Clock::system().now();
    let until = now.checked_add(overlap).map_err(|e| Failure::Sentence(NO, e.to_string()))?;
    let (name, file) = match file {
        Some(file) => (new, Some(file)),
        None if Path::new(&new).is_file() => (fresh_name(config, Path::new(&new), old), Some(new.into())),
        None => (new, None),
    };
    let key = public_key(file.as_deref())?;
    let with = Successor { old, name: &name, key: &key, until };
    let done = manage::rotate(&config.paths.keys, with, &config.zone, now).map_err(|e| refused(&e, out))?;
    let data = json!({"old": described(&done.old, true), "new": described(&done.new, true)});
    out.answer("keys-rotate", true, data, || {
        let end = done.old.expires.map_or_else(String::new, |t| hour(t, &config.zone));
        format!(
            "{} {} {}\n{} {} {} {end}",
            out.pick("de confianza:", "trusted:"),
            done.new.name,
            done.new.fingerprint,
            out.pick("vale hasta:", "counts until:"),
            done.old.name,
            done.old.fingerprint,
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// A name for a key that came without: its file's, or the old one's with a number.
fn fresh_name(config: &Config, file: &Path, old: &str) -> String {
    let trusted = config.paths.keys.join("trusted");
    let free = |name: &str| !trusted.join(format!("{name}.pub")).exists();
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    let usual = stem.starts_with("id_") || stem.is_empty() || !stem.chars().all(plain);
    if !usual && free(&stem) {
        return stem;
    }
    let numbered = (2..).map(|n| format!("{old}-{n}"));
    numbered.take(NAMES_TRIED).find(|name| free(name)).unwrap_or(stem)
}

/// A key does not have as many successors.
const NAMES_TRIED: usize = 1000;

fn revoke(config: &Config, which: &str, out: Out) -> Done {
    let revoked = manage::revoke(&config.paths.keys, which, &config.zone, Clock::system().now())
        .map_err(|e| refused(&e, out))?;
    let keys: Vec<Value> = revoked.keys.iter().map(|key| described(key, false)).collect();
    let data =
        json!({"revoked": keys, "kept_in": revoked.kept_in, "still_trusted_as": revoked.still_trusted_as});
    out.answer("keys-revoke", true, data, || {
        let names: Vec<String> =
            revoked.keys.iter().map(|k| format!("{} {}", k.name, k.fingerprint)).collect();
        let mut text = format!("{} {}", out.pick("revocada:", "revoked:"), names.join(", "));
        if !revoked.still_trusted_as.is_empty() {
            let still = out.pick(
                "ojo: la misma llave sigue siendo de confianza como",
                "mind: the very same key is still trusted as",
            );
            text.push_str(&format!("\n{still} {}", revoked.still_trusted_as.join(", ")));
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}

fn refused(error: &ManageError, out: Out) -> Failure {
    let code = if matches!(error, ManageError::Unknown(_)) { NOT_FOUND } else { NO };
    Failure::Sentence(code, error.text(out.lang))
}
