//! What can be known before the night: keys, directories, certificate, disk.
//!
//! Looks and changes nothing. Imports the rooms whose things it looks at; what it finds
//! are values, said by the command line.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::access::Keyring;
use crate::config::{Config, Fault};
use crate::control;
use crate::durable::Dir;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The service would not start, or would not do its work.
    Fault,
    /// The operator should know.
    Warning,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// Where it is, what it is, and what to do.
    pub what: Fault,
}

impl Finding {
    /// Something that must be mended.
    pub fn fault(what: Fault) -> Self {
        Self { weight: Weight::Fault, what }
    }

    fn warning(file: &Path, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, what: Fault::of_file(file, es, en) }
    }

    fn of(file: &Path, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self::fault(Fault::of_file(file, es, en))
    }
}

/// Looks at everything the configuration names. Empty is good.
pub fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    directories(config, &mut found);
    keys(config, now, &mut found);
    certificate(config, &mut found);
    addresses(config, &mut found);
    events(config, now, &mut found);
    found
}

/// All exist (or can be made), can be written, and what is renamed between lies on one file system.
fn directories(config: &Config, found: &mut Vec<Finding>) {
    let paths = &config.paths;
    for dir in [&paths.keys, &paths.www, &paths.var] {
        match fs::metadata(dir) {
            Ok(meta) if !meta.is_dir() => {
                found.push(Finding::of(dir, "no es una carpeta", "is not a folder"))
            }
            Ok(_) => {}
            Err(e) => found.push(Finding::of(
                dir,
                format!("no existe o no se puede leer ({e}); créela con: difusor init"),
                format!("does not exist or cannot be read ({e}); make it with: difusor init"),
            )),
        }
    }
    for dir in [&paths.www, &paths.var] {
        if dir.is_dir() && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_err() {
            found.push(Finding::of(
                dir,
                "no se puede escribir; dé permiso al usuario del servicio",
                "cannot be written; give the service's user permission",
            ));
        }
    }
    one_file_system(&paths.var, found);
    if let Ok(space) = Dir::open(&paths.var).and_then(|d| d.space())
        && space.free_bytes < config.release.min_free.saturating_add(config.limits.package_size)
    {
        let free = space.free_bytes >> 20;
        found.push(Finding::warning(
            &paths.var,
            format!("quedan {free} MiB libres: un paquete grande sería rechazado (release.min-free)"),
            format!("{free} MiB are free: a large package would be refused (release.min-free)"),
        ));
    }
}

fn one_file_system(var: &Path, found: &mut Vec<Finding>) {
    let device = |name: &str| fs::metadata(var.join(name)).ok().map(|m| m.dev());
    let Some(first) = device("incoming") else { return };
    for name in ["history", "releases", "inbox"] {
        if device(name).is_some_and(|d| d != first) {
            found.push(Finding::of(
                &var.join(name),
                "debe estar en el mismo sistema de archivos que var/incoming",
                "must be on the same file system as var/incoming",
            ));
        }
    }
}

fn keys(config: &Config, now: Timestamp, found: &mut Vec<Finding>) {
    let trusted = config.paths.keys.join("trusted");
    let ring = match Keyring::load(&trusted, &config.zone) {
        Ok(ring) => ring,
        Err(e) => {
            let text = e.to_string();
            return found.push(Finding::of(&trusted, text.clone(), text));
        }
    };
    for fault in ring.faults() {
        let line = |lang| format!("{}: {}", fault.place(), fault.text(lang));
        found.push(Finding::of(&trusted, line(crate::model::Lang::Es), line(crate::model::Lang::En)));
    }
    if !config.ssh.listen.is_empty() && !ring.keys().iter().any(|key| key.is_current(now)) {
        found.push(Finding::warning(
            &trusted,
            "no hay ninguna llave vigente: nadie podrá enviar; agregue una con: difusor keys add",
            "there is no current key: nobody can push; add one with: difusor keys add",
        ));
    }
}

fn certificate(config: &Config, found: &mut Vec<Finding>) {
    let Some((chain, key)) = &config.https.certificate else { return };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            found.push(Finding::of(chain, "no contiene ningún certificado PEM", "holds no PEM certificate"));
        }
        Ok(_) => {}
        Err(e) => found.push(Finding::of(
            chain,
            format!("no se puede leer como PEM: {e}"),
            format!("cannot be read as PEM: {e}"),
        )),
    }
    if let Err(e) = PrivateKeyDer::from_pem_file(key) {
        found.push(Finding::of(
            key,
            format!("no es una llave privada PEM: {e}"),
            format!("is not a PEM private key: {e}"),
        ));
    }
    if fs::metadata(key).is_ok_and(|m| m.mode() & 0o004 != 0) {
        found.push(Finding::warning(
            key,
            "cualquiera puede leerla: chmod 640",
            "anybody can read it: chmod 640",
        ));
    }
}

/// Addresses can be bound, unless our own service is what holds them.
fn addresses(config: &Config, found: &mut Vec<Finding>) {
    let running = matches!(
        control::ask(&config.paths.var.join("run/control.sock"), &control::Request::Status),
        Ok(Some(_))
    );
    if running {
        return;
    }
    let all: [(&str, &[SocketAddr]); 3] =
        [("ssh", &config.ssh.listen), ("https", &config.https.listen), ("http", &config.http_listen)];
    for (name, addresses) in all {
        for address in addresses {
            if let Err(e) = TcpListener::bind(address) {
                found.push(Finding::of(
                    &config.file,
                    format!("{name}.listen: {address}: {e}; ¿lo usa otro programa?"),
                    format!("{name}.listen: {address}: {e}; does another program use it?"),
                ));
            }
        }
    }
    if !config.rsync_listen.is_empty() {
        found.push(Finding::warning(
            &config.file,
            "rsync.listen: esta versión aún no atiende rsync; el instituto puede usar scp, sftp o tar por SSH",
            "rsync.listen: this version does not serve rsync yet; the institute can use scp, sftp or tar over SSH",
        ));
    }
}

fn events(config: &Config, now: Timestamp, found: &mut Vec<Finding>) {
    for event in &config.events {
        if event.closes.duration_since(now) < SignedDuration::ZERO {
            found.push(Finding::warning(
                &config.file,
                format!("el evento «{}» ya terminó", event.name),
                format!("event '{}' is over", event.name),
            ));
        }
    }
    if !config.events.is_empty() && config.events.iter().all(|e| e.closes < now) {
        found.push(Finding::warning(
            &config.file,
            "todos los eventos terminaron: los lectores solo verán la página de espera",
            "every event is over: readers will see the waiting page only",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("difusor.toml");
        let text = "[https]\ncertificate = \"no.pem\"\nkey = \"no.key\"\nlisten = [\"127.0.0.1:0\"]\n[http]\nlisten = []\n[ssh]\nlisten = [\"127.0.0.1:0\"]\n";
        let config = Config::parse(&file, text).unwrap();
        let found = check(&config, "2024-06-02T20:00:00Z".parse().unwrap());
        let faults: Vec<_> =
            found.iter().filter(|f| f.weight == Weight::Fault).map(|f| &f.what.file).collect();
        for name in ["keys", "www", "var", "no.pem", "no.key"] {
            assert!(faults.iter().any(|f| f.ends_with(name)), "{name}: {found:#?}");
        }
    }
}
