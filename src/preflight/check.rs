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
use crate::config::{AuthDigest, Config, Fault, Module};
use crate::control;
use crate::durable::Dir;
use crate::rsyncd::{SecretsFault, check_secrets};
use crate::web::{self, CertificateError};

/// A certificate that ends within this is told.
const CERTIFICATE_WARNED: SignedDuration = SignedDuration::from_hours(30 * 24);

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
    certificate(config, now, &mut found);
    addresses(config, &mut found);
    rsync(config, &mut found);
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

/// A certificate must be for our name, and outlive the duty to show results (T-25).
fn lifetime(config: &Config, chain: &Path, key: &Path, now: Timestamp, found: &mut Vec<Finding>) {
    let facts = match web::inspect(chain, key, &config.domain) {
        Ok(facts) => facts,
        Err(CertificateError::Unusable(e)) => {
            let (es, en) = ("no es el de la llave", "does not belong to the key");
            return found.push(Finding::of(chain, format!("{es}: {e}"), format!("{en}: {e}")));
        }
        // The files themselves are looked at elsewhere.
        Err(_) => return,
    };
    if !facts.covers {
        found.push(Finding::of(
            chain,
            format!("no es para «{}»: los navegadores lo rechazarán", config.domain),
            format!("is not for '{}': browsers will refuse it", config.domain),
        ));
    }
    let needed = config.events.iter().map(|e| e.closes).max().unwrap_or(now).max(now);
    if facts.ends < needed {
        let end = facts.ends;
        found.push(Finding::of(
            chain,
            format!("vence el {end}, antes de que termine la obligación de mostrar resultados ({needed})"),
            format!("ends on {end}, before the obligation to show results does ({needed})"),
        ));
    } else if facts.ends.duration_since(now) < CERTIFICATE_WARNED {
        let end = facts.ends;
        found.push(Finding::warning(chain, format!("vence el {end}"), format!("ends on {end}")));
    }
}

fn certificate(config: &Config, now: Timestamp, found: &mut Vec<Finding>) {
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
    lifetime(config, chain, key, now, found);
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
    let all: [(&str, &[SocketAddr]); 5] = [
        ("ssh.listen", &config.ssh.listen),
        ("rsync.listen", &config.rsync.listen),
        ("rsync.tls-listen", &config.rsync.tls_listen),
        ("https.listen", &config.https.listen),
        ("http.listen", &config.http_listen),
    ];
    for (name, addresses) in all {
        for address in addresses {
            if let Err(e) = TcpListener::bind(address) {
                found.push(Finding::of(
                    &config.file,
                    format!("{name}: {address}: {e}; ¿lo usa otro programa?"),
                    format!("{name}: {address}: {e}; does another program use it?"),
                ));
            }
        }
    }
}

/// The daemon's protocol is old: what it cannot keep secret is said before the night.
fn rsync(config: &Config, found: &mut Vec<Finding>) {
    let own = &config.rsync;
    if own.listen.is_empty() && own.tls_listen.is_empty() {
        return;
    }
    if !own.listen.is_empty() {
        found.push(Finding::warning(
            &config.file,
            "rsync.listen: el demonio rsync no cifra y no prueba quién es el servidor; úselo solo desde redes de confianza (rsync.networks), o pida al instituto rsync por SSH o rsync.tls-listen",
            "rsync.listen: the rsync daemon does not encrypt and does not prove who the server is; use it from trusted networks only (rsync.networks), or ask the institute for rsync over SSH or rsync.tls-listen",
        ));
    }
    for module in &own.modules {
        let name = &module.name;
        if module.networks.iter().any(|net| net.prefix_len() == 0) {
            found.push(Finding::warning(
                &config.file,
                format!("el módulo «{name}» confía en todas las direcciones"),
                format!("module '{name}' trusts every address"),
            ));
        }
        if !module.users.is_empty() {
            secrets(module, found);
        }
        if !module.users.is_empty() && module.digest < AuthDigest::Sha256 {
            found.push(Finding::warning(
                &config.file,
                format!(
                    "el módulo «{name}» acepta {}: quien escuche la red puede probar contraseñas",
                    module.digest.name()
                ),
                format!(
                    "module '{name}' accepts {}: whoever listens can try passwords",
                    module.digest.name()
                ),
            ));
        }
    }
}

fn secrets(module: &Module, found: &mut Vec<Finding>) {
    let path = &module.secrets;
    match check_secrets(path, &module.users) {
        Ok(()) => {}
        Err(SecretsFault::Io(e)) => found.push(Finding::of(
            path,
            format!("no se puede leer: {e}; escriba una línea usuario:contraseña por usuario, modo 0600"),
            format!("cannot be read: {e}; write one user:password line for each user, mode 0600"),
        )),
        Err(SecretsFault::Mode(mode)) => found.push(Finding::of(
            path,
            format!("otros pueden leerlo (modo {mode:04o}): chmod 600"),
            format!("others can read it (mode {mode:04o}): chmod 600"),
        )),
        Err(SecretsFault::Missing(users)) => found.push(Finding::of(
            path,
            format!("faltan contraseñas para: {}", users.join(", ")),
            format!("passwords are missing for: {}", users.join(", ")),
        )),
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
    fn a_certificate_must_be_ours_and_outlive_the_retention() {
        let dir = tempfile::tempdir().unwrap();
        let (now, closes) = ("2027-06-01T00:00:00Z".parse().unwrap(), "2027-06-15T12:00:00Z");
        let found = |name: &str, month: u8, day: u8| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(2027, month, day);
            fs::write(dir.path().join("c.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
            fs::write(dir.path().join("k.pem"), key.serialize_pem()).unwrap();
            let text = format!(
                "domain = \"prep.mx\"\n[https]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[[event]]\n\
                 name = \"x\"\nopens = \"2027-06-06T20:00:00-06:00\"\ncloses = \"{closes}\"\n"
            );
            let config = Config::parse(&dir.path().join("difusor.toml"), &text).unwrap();
            let mut found = Vec::new();
            certificate(&config, now, &mut found);
            found.iter().filter(|f| f.what.file.ends_with("c.pem")).map(|f| f.weight).collect::<Vec<_>>()
        };
        assert_eq!(found("prep.mx", 12, 31), []);
        assert_eq!(found("prep.mx", 6, 20), [Weight::Warning]);
        assert_eq!(found("prep.mx", 6, 15), [Weight::Fault]);
        assert_eq!(found("otro.mx", 12, 31), [Weight::Fault]);
    }

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
