//! `difusor keys host`: by which keys clients know this server, and how the next one comes.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::args::KeysHost;
use super::super::{Done, Failure, IO_FAILED, NO, Out};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::ssh::{HostKey, HostKeyError, HostKeys, prepare_host_key, switch_host_key};

pub(super) fn run(verb: &KeysHost, config: &Config, out: Out) -> Done {
    match verb {
        KeysHost::Show => show(config, out),
        KeysHost::Rotate { switch: false } => prepare(config, out),
        KeysHost::Rotate { switch: true } => switch(config, out),
    }
}

fn show(config: &Config, out: Out) -> Done {
    let folder = config.paths.keys.join("host");
    let keys = HostKeys::open(&folder, app::host_keys(config)).map_err(|e| failed(&e, out))?;
    let keys = keys.described();
    let data: Vec<Value> = keys.iter().map(|key| described(key, config)).collect();
    out.answer("keys-host", true, json!({ "keys": data }), || {
        keys.iter().map(|key| paragraph(key, config, out)).collect::<Vec<_>>().join("\n\n")
    });
    Ok(ExitCode::SUCCESS)
}

fn prepare(config: &Config, out: Out) -> Done {
    let folder = config.paths.keys.join("host");
    // The one that is used comes first.
    HostKeys::open(&folder, app::host_keys(config)).map_err(|e| failed(&e, out))?;
    let key = prepare_host_key(&folder).map_err(|e| failed(&e, out))?;
    out.answer("keys-host-rotate", true, described(&key, config), || {
        let told = out.pick(
            "Se anuncia a cada cliente que se conecta (OpenSSH con UpdateHostKeys la guarda sola). Dé esta huella y la línea a los demás;\ncuando todos la tengan: difusor keys host rotate --switch",
            "Every client that connects is told (OpenSSH with UpdateHostKeys keeps it by itself). Give fingerprint and line to the others;\nwhen all have it: difusor keys host rotate --switch",
        );
        format!("{}\n\n{told}", paragraph(&key, config, out))
    });
    Ok(ExitCode::SUCCESS)
}

fn switch(config: &Config, out: Out) -> Done {
    let folder = config.paths.keys.join("host");
    let switched = switch_host_key(&folder, Clock::system().now()).map_err(|e| failed(&e, out))?;
    let Some(key) = switched else {
        let sentence = out.pick(
            "no hay llave preparada; primero: difusor keys host rotate",
            "no key is prepared; first: difusor keys host rotate",
        );
        return Err(Failure::Sentence(NO, sentence.to_owned()));
    };
    out.answer("keys-host-rotate", true, described(&key, config), || {
        let kept = out.pick(
            "En uso. La anterior quedó en keys/host/old.",
            "In use. The one before is kept in keys/host/old.",
        );
        format!("{}\n\n{kept}", paragraph(&key, config, out))
    });
    Ok(ExitCode::SUCCESS)
}

/// The port that clients connect to, as far as the configuration says.
fn port(config: &Config) -> u16 {
    config.ssh.listen.first().map_or(22, std::net::SocketAddr::port)
}

fn described(key: &HostKey, config: &Config) -> Value {
    json!({
        "algorithm": key.algorithm, "fingerprint": key.fingerprint,
        "known_hosts": key.known_hosts(&config.domain, port(config)),
        "sshfp": format!("{} IN SSHFP {}", config.domain, key.sshfp),
        "state": if key.next { "next" } else { "current" }, "certificate": key.certified,
    })
}

fn paragraph(key: &HostKey, config: &Config, out: Out) -> String {
    let state = match (key.next, key.certified) {
        (true, _) => out.pick("siguiente, anunciada", "next, announced"),
        (false, true) => out.pick("en uso, con certificado", "in use, with certificate"),
        (false, false) => out.pick("en uso", "in use"),
    };
    format!(
        "{} {} ({state})\n{}\n{} IN SSHFP {}",
        key.algorithm,
        key.fingerprint,
        key.known_hosts(&config.domain, port(config)),
        config.domain,
        key.sshfp
    )
}

fn failed(error: &HostKeyError, out: Out) -> Failure {
    Failure::Sentence(IO_FAILED, error.text(out.lang))
}
