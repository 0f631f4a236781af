//! Attempts at what must be refused. Each is harmless should it succeed.

use std::fs::OpenOptions;
use std::io;
use std::net::TcpListener;

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountFlags;

use super::Plan;

/// What was tried, and whether it was refused for lack of permission.
pub(super) fn attempts(plan: &Plan) -> Vec<(&'static str, bool)> {
    vec![
        ("write_shadow", refused(OpenOptions::new().write(true).open("/etc/shadow").map(drop))),
        ("write_outside", write_outside(plan)),
        ("mount", mount()),
        ("make_device", make_node(plan)),
        ("become_root", refused(become_root())),
        ("open_port", open_port(plan)),
    ]
}

/// A file beside the configuration.
fn write_outside(plan: &Plan) -> bool {
    let path = plan.guarded.join(format!(".difusor-sandbox-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&path);
    if made.is_ok() {
        let _ = std::fs::remove_file(&path);
    }
    refused(made.map(drop))
}

/// A mount over a folder that is not there: without a sandbox root is told so.
fn mount() -> bool {
    let tried = rustix::mount::mount("none", "/nonexistent/difusor", "tmpfs", MountFlags::empty(), None);
    refused(tried.map_err(Into::into))
}

/// A pipe with a name in our own folder, which anybody may make: only the refused call stands against it.
fn make_node(plan: &Plan) -> bool {
    let path = plan.own.join(format!(".difusor-sandbox-{}", std::process::id()));
    let made = rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0);
    if made.is_ok() {
        let _ = std::fs::remove_file(&path);
    }
    refused(made.map_err(Into::into))
}

/// Of this thread alone; nothing changes for who is root.
fn become_root() -> io::Result<()> {
    Ok(rustix::thread::set_thread_uid(rustix::process::Uid::ROOT)?)
}

/// A port of nobody's, where it is not among ours.
fn open_port(plan: &Plan) -> bool {
    let port = FOREIGN_PORTS.into_iter().find(|port| !plan.ports.contains(port)).unwrap_or_default();
    refused(TcpListener::bind(("127.0.0.1", port)).map(drop))
}

fn refused(tried: io::Result<()>) -> bool {
    tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Ports that no door of ours is expected at.
const FOREIGN_PORTS: [u16; 3] = [47_911, 47_913, 47_917];
