//! `difusor keys`: who may push, from where and until when.

use std::io::Read as _;
use std::process::ExitCode;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::args::{self, Common};
use super::status::hour;
use super::{Done, Failure, NO, NOT_FOUND, Out};
use crate::access::manage::{self, ManageError, NewKey};
use crate::access::{Keyring, TrustedKey};
use crate::clock::Clock;
use crate::config::Config;

/// A public key is a line; an RSA one of 16,384 bits has under 3 kB.
const KEY_BYTES_MAX: u64 = 64 << 10;

pub(super) fn run(verb: args::Keys, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    match verb {
        args::Keys::List => list(&config, out),
        args::Keys::Add { name, from, expires, file } => {
            add(&config, &name, &from, expires.as_deref(), file, out)
        }
        args::Keys::Revoke { which } => revoke(&config, &which, out),
    }
}

fn list(config: &Config, out: Out) -> Done {
    let trusted = config.paths.keys.join("trusted");
    let ring = Keyring::load(&trusted, &config.zone)
        .map_err(|e| Failure::Sentence(super::IO_FAILED, e.to_string()))?;
    let now = Clock::system().now();
    let keys: Vec<Value> = ring.keys().iter().map(|key| described(key, key.is_current(now))).collect();
    let faults: Vec<String> =
        ring.faults().iter().map(|f| format!("{}: {}", f.place(), f.text(out.lang))).collect();
    out.answer("keys", faults.is_empty(), json!({"keys": keys, "faults": faults}), || {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([
            out.pick("nombre", "name"),
            out.pick("huella", "fingerprint"),
            out.pick("desde", "from"),
            out.pick("vence", "expires"),
            "",
        ]);
        for key in ring.keys() {
            let from = key.from.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
            let expires = key.expires.map_or_else(|| "–".to_owned(), |t| hour(t, &config.zone));
            let state = if key.is_current(now) { "" } else { out.pick("vencida", "expired") };
            table.add_row([key.name.clone(), key.fingerprint.clone(), from, expires, state.to_owned()]);
        }
        let mut text = table.to_string();
        for fault in &faults {
            text.push_str(&format!("\n{fault}"));
        }
        text
    });
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn described(key: &TrustedKey, current: bool) -> Value {
    json!({
        "name": key.name, "fingerprint": key.fingerprint, "algorithm": key.algorithm,
        "from": key.from.as_ref().map(ToString::to_string), "expires": key.expires, "current": current,
        "file": key.file, "line": key.line,
    })
}

fn add(
    config: &Config,
    name: &str,
    from: &[IpNet],
    expires: Option<&str>,
    file: Option<std::path::PathBuf>,
    out: Out,
) -> Done {
    let mut text = Vec::new();
    match &file {
        Some(path) => {
            let file = std::fs::File::open(path)
                .map_err(|e| Failure::Sentence(NOT_FOUND, format!("{}: {e}", path.display())))?;
            file.take(KEY_BYTES_MAX).read_to_end(&mut text)?;
        }
        None => _ = std::io::stdin().lock().take(KEY_BYTES_MAX).read_to_end(&mut text)?,
    }
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    let new = NewKey { name, from: &from, expires, key: &text };
    let key = manage::add(&config.paths.keys, new, &config.zone, Clock::system().now())
        .map_err(|e| refused(&e, out))?;
    out.answer("keys-add", true, described(&key, true), || {
        format!("{} {} {}", out.pick("de confianza:", "trusted:"), key.name, key.fingerprint)
    });
    Ok(ExitCode::SUCCESS)
}

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
