//! Before anything else: the ports that need a privilege, then the privileges given up.
//!
//! It runs while the process has one thread, so that what is given up is gone for all that come after.

use std::net::SocketAddr;
use std::path::Path;

use super::sockets::Sockets;
use super::{Half, StartFault, doing};
use crate::config::{AdminPlace, Config, Fault, Sandboxing};
use crate::durable::Dir;
use crate::sandbox::{self, Identity, Level, Plan, State};

/// Ports below this are opened by whoever may.
const PRIVILEGED: u16 = 1024;

/// A process that has given up what it does not need.
#[derive(Debug, Default)]
pub struct Confined {
    pub(super) sockets: Sockets,
    pub(super) state: Option<State>,
}

impl Confined {
    /// A process that keeps what it has, with the sockets that systemd holds for it.
    pub fn not() -> Result<Self, StartFault> {
        Ok(Self { sockets: doing("LISTEN_FDS", Sockets::inherited())?, state: None })
    }
}

/// Takes over inherited sockets, opens privileged ports, makes our folders, and gives up the rest. To be called
/// before any other thread is there. A `passing` folder may still be removed in the end.
pub fn confine(config: &Config, half: Half, passing: Option<&Path>) -> Result<Confined, StartFault> {
    let mut confined = Confined::not()?;
    for (name, addresses) in doors(config, half) {
        if addresses.iter().any(|a| (1..PRIVILEGED).contains(&a.port())) {
            let hint = config.lang.pick(
                "los puertos menores de 1024 los abre root (service.user) o systemd, con difusor",
                "ports below 1024 are opened by root (service.user) or by systemd, with difusor",
            );
            doing(format!("{hint}-{name}.socket"), confined.sockets.bind(name, addresses))?;
        }
    }
    if config.service.sandbox == Sandboxing::Off {
        tracing::warn!("the sandbox is off (service.sandbox)");
        return Ok(confined);
    }
    let plan = Plan { passing: passing.map(Into::into), ..plan(config, half)? };
    let state = doing("service.user", sandbox::enter(&plan))?;
    match state.level {
        Level::Enforced => tracing::info!(uid = state.uid, "sandbox enforced"),
        Level::Partial | Level::Off => {
            tracing::warn!(uid = state.uid, missing = state.missing.join("; "), "sandbox not whole");
        }
    }
    if config.service.sandbox == Sandboxing::Required && state.level != Level::Enforced {
        let why = std::io::Error::new(std::io::ErrorKind::PermissionDenied, state.missing.join("; "));
        return Err(StartFault::Machine("service.sandbox = \"required\"".to_owned(), why));
    }
    confined.state = Some(state);
    Ok(confined)
}

/// The doors of TCP that this half opens, by the names of their sockets.
fn doors(config: &Config, half: Half) -> Vec<(&'static str, &[SocketAddr])> {
    let mut doors: Vec<(&str, &[SocketAddr])> = Vec::new();
    if half != Half::Serve {
        doors.push(("ssh", &config.ssh.listen));
        doors.push(("rsync", &config.rsync.listen));
        doors.push(("rsync-tls", &config.rsync.tls_listen));
    }
    if half != Half::Receive {
        doors.push(("https", &config.https.listen));
        doors.push(("http", &config.http_listen));
    }
    doors
}

fn plan(config: &Config, half: Half) -> Result<Plan, StartFault> {
    let unknown = |unknown: sandbox::Unknown| {
        let es = format!("service.user: no hay usuario «{}» en /etc/passwd", unknown.0);
        StartFault::Config(vec![Fault::of_file(&config.file, es, format!("service.user: {unknown}"))])
    };
    let user = config.service.user.as_deref().map(Identity::of).transpose().map_err(unknown)?;
    let own = config.paths.var.join("run");
    let mut writable = vec![config.paths.var.clone(), config.paths.www.clone()];
    if half != Half::Serve {
        writable.push(config.paths.keys.join("host"));
    }
    // Made now where it is missing; only read from here on.
    let trusted = (half != Half::Serve).then(|| config.paths.keys.join("trusted"));
    for folder in writable.iter().chain([&own]).chain(&trusted) {
        doing(folder.display().to_string(), Dir::create(folder))?;
    }
    let mut ports: Vec<u16> = doors(config, half)
        .iter()
        .flat_map(|(_, addresses)| addresses.iter().map(SocketAddr::port))
        .collect();
    for place in &config.admin.listen {
        match place {
            AdminPlace::Tcp(address) => ports.push(address.port()),
            AdminPlace::Unix(path) => writable.extend(path.parent().map(Into::into)),
        }
    }
    let file = std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone());
    let guarded = file.parent().map(Into::into).unwrap_or_default();
    Ok(Plan { user, writable, passing: None, ports, guarded, own })
}
