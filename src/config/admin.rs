//! Section `[admin]`: the page of the person on duty.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use super::read::Reader;
use super::value::{self, Bad};
use super::{count, domain_name, flag, list, network, positive};

/// Section `[admin]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Admin {
    pub listen: Vec<AdminPlace>,
    pub allow: Vec<IpNet>,
    pub hosts: Vec<String>,
    pub actions: bool,
    pub metrics: Vec<IpNet>,
    pub session: Duration,
    pub connections: usize,
}

/// Where the page listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminPlace {
    /// An address with a port.
    Tcp(SocketAddr),
    /// A unix socket, which only the instance's own user can open.
    Unix(PathBuf),
}

impl fmt::Display for AdminPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The section; relative sockets lie in `var/run`.
pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, var: &Path) -> Option<Admin> {
    let s = r.section(root, "admin");
    let run = var.join("run");
    Some(Admin {
        listen: r.get(s, "listen", |v| list(v, |t| place(t, &run)))?,
        allow: r.get(s, "allow", |v| list(v, network))?,
        hosts: r.get(s, "hosts", |v| list(v, domain_name))?,
        actions: r.get(s, "actions", flag)?,
        metrics: r.get(s, "metrics", |v| list(v, network))?,
        session: r.get(s, "session", positive)?,
        connections: r.get(s, "connections", |v| count(v, 1, 4096))?,
    })
}

fn place(text: &str, run: &Path) -> Result<AdminPlace, Bad> {
    match text.strip_prefix("unix:") {
        Some("") => Err(Bad {
            es: "«unix:» necesita la ruta de un socket, por ejemplo \"unix:admin.sock\"".to_owned(),
            en: "'unix:' needs the path of a socket, for example \"unix:admin.sock\"".to_owned(),
        }),
        Some(path) => Ok(AdminPlace::Unix(run.join(path))),
        None => value::address(text).map(AdminPlace::Tcp),
    }
}
