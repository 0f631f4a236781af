//! Sections `[rsync]` and `[[rsync.module]]`.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::profile::Profile;
use super::read::{Reader, Section};
use super::value::{self, Bad};
use super::{count, expected, filled, flag, list, network, one_of, period, positive, size, small, text};

/// Section `[rsync]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Rsync {
    pub listen: Vec<SocketAddr>,
    pub tls_listen: Vec<SocketAddr>,
    pub motd: String,
    pub connections: usize,
    pub connections_per_address: usize,
    pub handshake: Duration,
    pub idle: Duration,
    pub list_within: Duration,
    pub similar: bool,
    /// Whether a push whose source lost files is published.
    pub vanished: bool,
    pub list_memory: u64,
    pub arguments: usize,
    pub filter_rules: usize,
    pub zstd_window_log: u32,
    pub hashed: u64,
    pub partial: u64,
    /// Those of the file, or those of the call.
    pub modules: Vec<Module>,
}

/// One `[[rsync.module]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Module {
    pub name: String,
    pub path: String,
    /// Its own, else those of `[rsync]`; empty: whoever a trusted key may come from.
    pub networks: Vec<IpNet>,
    pub users: Vec<String>,
    pub secrets: PathBuf,
    pub digest: AuthDigest,
    pub max_connections: usize,
    pub comment: String,
    pub list: bool,
    pub timeout: Duration,
}

/// What a password is proved with, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AuthDigest {
    Md4,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl AuthDigest {
    const ALL: [(&'static str, Self); 5] = [
        ("md4", Self::Md4),
        ("md5", Self::Md5),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha512", Self::Sha512),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, digest)| *digest == self).map_or("", |(name, _)| name)
    }
}

/// `trusted` says whether `[trust] networks` names any: those guard every module.
pub(super) fn section<'t>(
    r: &mut Reader<'t>,
    root: &DeTable<'t>,
    base: &Path,
    trusted: bool,
) -> Option<Rsync> {
    let s = r.section(root, "rsync");
    let networks = r.get(s, "networks", |v| list(v, network))?;
    let tables = r.array(s.table.and_then(|t| t.get("module")), "rsync.module");
    let mut modules: Vec<Module> = Vec::new();
    for (at, own) in tables {
        let Some(module) = module(r, at.clone(), own, &networks, base) else { continue };
        if modules.iter().any(|known| known.name == module.name) {
            let es = format!("el módulo «{}» se repite", module.name);
            let en = format!("module '{}' repeats", module.name);
            r.fault(at, Bad { es, en });
        }
        modules.push(module);
    }
    if modules.is_empty() {
        modules = of_the_call(r.profile, &networks);
    }
    let (listen, tls_listen): (Vec<_>, Vec<_>) = (
        r.get(s, "listen", |v| list(v, value::address))?,
        r.get(s, "tls-listen", |v| list(v, value::address))?,
    );
    let at = s.table.and_then(|t| t.get("listen").or_else(|| t.get("tls-listen")));
    let at = at.map_or(0..0, toml::Spanned::span);
    if !(listen.is_empty() && tls_listen.is_empty()) {
        guard(r, at, &modules, trusted);
    }
    Some(Rsync {
        listen,
        tls_listen,
        motd: r.get(s, "motd", |v| Ok(text(v)?.to_owned()))?,
        connections: r.get(s, "connections", |v| count(v, 1, 65_536))?,
        connections_per_address: r.get(s, "connections-per-address", |v| count(v, 1, 65_536))?,
        handshake: r.get(s, "handshake", positive)?,
        idle: r.get(s, "idle", positive)?,
        list_within: r.get(s, "list-within", positive)?,
        similar: r.get(s, "similar", flag)?,
        vanished: r.get(s, "vanished", |v| one_of(v, &[("refuse", false), ("publish", true)]))?,
        list_memory: r.get(s, "list-memory", size)?,
        arguments: r.get(s, "arguments", |v| count(v, 4, 65_536))?,
        filter_rules: r.get(s, "filter-rules", |v| count(v, 0, 1_000_000))?,
        // What zstd itself allows: 1 KiB to 128 MiB.
        zstd_window_log: r.get(s, "zstd-window-log", |v| small(v, 10, 27))?,
        hashed: r.get(s, "hashed", size)?,
        partial: r.get(s, "partial", size)?,
        modules,
    })
}

/// A daemon that anybody could push to would publish results of anybody.
fn guard(r: &mut Reader<'_>, at: Range<usize>, modules: &[Module], trusted: bool) {
    if modules.is_empty() {
        let es = "rsync.listen: falta al menos un [[rsync.module]] con name y networks".to_owned();
        let en = "rsync.listen: at least one [[rsync.module]] with name and networks is needed".to_owned();
        r.fault(at.clone(), Bad { es, en });
    }
    let open = |m: &&Module| m.networks.is_empty() && m.users.is_empty() && !trusted;
    for module in modules.iter().filter(open) {
        let name = &module.name;
        let es = format!(
            "el módulo «{name}» del demonio rsync quedaría abierto a todos: dé [trust] networks, rsync.networks, o networks o users al módulo"
        );
        let en = format!(
            "module '{name}' of the rsync daemon would be open to everybody: give [trust] networks, rsync.networks, or networks or users to the module"
        );
        r.fault(at.clone(), Bad { es, en });
    }
}

/// Durango names the ports of the daemon: its modules are there once it listens.
fn of_the_call(profile: Profile, networks: &[IpNet]) -> Vec<Module> {
    let module = |name: &str, path: &str| Module {
        name: name.to_owned(),
        path: path.to_owned(),
        networks: networks.to_vec(),
        users: Vec::new(),
        secrets: PathBuf::new(),
        digest: AuthDigest::Sha256,
        max_connections: 4,
        comment: String::new(),
        list: true,
        timeout: Duration::ZERO,
    };
    match profile {
        Profile::Durango => vec![module("prep", "/sitio"), module("paquetes", "/paquetes")],
        Profile::QuintanaRoo | Profile::Ine | Profile::NuevoLeon | Profile::Tamaulipas => Vec::new(),
    }
}

fn module<'t>(
    r: &mut Reader<'t>,
    at: Range<usize>,
    s: Section<'_, 't>,
    networks: &[IpNet],
    base: &Path,
) -> Option<Module> {
    let name = r.require(s, at.clone(), "name", name);
    let own = r.get(s, "networks", |v| list(v, network))?;
    let users = r.get(s, "users", |v| list(v, user))?;
    let secrets = r.get(s, "secrets", |v| Ok(text(v)?.to_owned()))?;
    if users.is_empty() != secrets.is_empty() {
        let es = "rsync.module: users y secrets van juntos".to_owned();
        let en = "rsync.module: users and secrets go together".to_owned();
        r.fault(at, Bad { es, en });
        return None;
    }
    Some(Module {
        name: name?,
        path: r.get(s, "path", path)?,
        networks: if own.is_empty() { networks.to_vec() } else { own },
        users,
        secrets: base.join(secrets),
        digest: r.get(s, "digest", |v| one_of(v, &AuthDigest::ALL))?,
        max_connections: r.get(s, "max-connections", |v| count(v, 1, 65_536))?,
        comment: r.get(s, "comment", |v| Ok(text(v)?.replace(char::is_control, " ")))?,
        list: r.get(s, "list", flag)?,
        timeout: r.get(s, "timeout", period)?,
    })
}

/// As rsyncd.conf(5) has them, without what would need quoting.
fn name(v: &DeValue<'_>) -> Result<String, Bad> {
    let name = filled(v)?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(name.to_owned());
    }
    Err(expected(
        "un nombre lleva letras, cifras, «-», «_» y «.»",
        "a name has letters, digits, '-', '_' and '.'",
    ))
}

fn user(text: &str) -> Result<String, Bad> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ':' | '#' | '@');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(expected(
        format!("«{text}» no puede ser un usuario: sin espacios, comas, «:», «#» ni «@»"),
        format!("'{text}' cannot be a user: no spaces, commas, ':', '#' or '@'"),
    ))
}

fn path(v: &DeValue<'_>) -> Result<String, Bad> {
    let path = filled(v)?;
    if path.starts_with('/') && !format!("{path}/").contains("/../") {
        return Ok(path.to_owned());
    }
    Err(expected(
        "se espera /sitio, /paquetes, / o algo debajo",
        "/sitio, /paquetes, / or something below is expected",
    ))
}
