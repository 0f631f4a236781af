//! `difusor init`: a new instance, never over an old one.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::Init;
use super::{Done, Failure, Out};
use crate::config::{Addresses, Profile, sample};

const KEYS_README: &str = "\
# keys/

trusted/*.pub   quién puede enviar: líneas de authorized_keys de OpenSSH, con from=\"red\" y
                expiry-time=\"AAAAMMDD\". Agregue con: difusor keys add NOMBRE --from RED ARCHIVO.pub
                (who may push: OpenSSH authorized_keys lines with from= and expiry-time=)
host/           llaves del servidor, generadas al primer arranque, modo 0600. No se copian a
                ningún lado; su huella se entrega al instituto.
                (the server's own keys, generated at first start, mode 0600)
revoked/        llaves quitadas, para la memoria. (keys that were revoked)
";

pub(super) fn run(init: Init, out: Out) -> Done {
    let profile = Profile::parse(&init.profile).ok_or_else(|| unknown_profile(&init.profile, out))?;
    let addresses = Addresses {
        ssh: init.ssh,
        https: init.https,
        http: init.http,
        rsync: init.rsync,
        domain: init.domain,
    };
    let made = lay_out(&init.dir, &sample(profile, &addresses, out.lang))?;
    let config = init.dir.join("difusor.toml");
    out.answer("init", true, json!({"config": config, "made": made, "profile": profile.name()}), || {
        let mut text = match made.is_empty() {
            true => {
                out.pick("todo estaba ya; no se cambió nada", "all was there; nothing was changed").to_owned()
            }
            false => format!("{}: {}", out.pick("creado", "made"), made.join(", ")),
        };
        let next = out.pick(
            "siguiente: difusor keys add NOMBRE --from RED LLAVE.pub, luego difusor check y difusor run",
            "next: difusor keys add NAME --from NETWORK KEY.pub, then difusor check and difusor run",
        );
        text.push_str(&format!("\n{next} --config {}", config.display()));
        text
    });
    Ok(ExitCode::SUCCESS)
}

fn unknown_profile(name: &str, out: Out) -> Failure {
    let all = Profile::ALL.map(|(name, _)| name).join(", ");
    let text = out.pick("perfil desconocido", "unknown profile");
    let which = out.pick("elija uno de", "choose one of");
    Failure::Sentence(2, format!("{text} «{name}»; {which}: {all}"))
}

/// Makes what is missing of an instance in `dir` and names it; what exists is left as it is.
pub(super) fn lay_out(dir: &Path, config: &str) -> io::Result<Vec<String>> {
    let mut made = Vec::new();
    let folders = [
        ("keys", 0o755),
        ("keys/trusted", 0o755),
        ("keys/host", 0o700),
        ("keys/revoked", 0o755),
        ("www", 0o755),
        ("var", 0o750),
        ("var/drop", 0o770),
        ("var/history", 0o750),
        ("var/releases", 0o755),
        ("var/ledger", 0o750),
        ("var/inbox", 0o700),
        ("var/incoming", 0o700),
        ("var/run", 0o700),
        ("var/tls", 0o700),
    ];
    fs::create_dir_all(dir)?;
    for (folder, mode) in folders {
        match fs::DirBuilder::new().mode(mode).create(dir.join(folder)) {
            Ok(()) => made.push(format!("{folder}/")),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    for (name, text) in [("difusor.toml", config), ("keys/README.md", KEYS_README)] {
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(dir.join(name)) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                made.push(name.to_owned());
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_time_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!lay_out(dir.path(), "# uno\n").unwrap().is_empty());
        assert_eq!(lay_out(dir.path(), "# otro\n").unwrap(), Vec::<String>::new());
        assert_eq!(fs::read_to_string(dir.path().join("difusor.toml")).unwrap(), "# uno\n");
    }
}
