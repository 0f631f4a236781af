//! Who is tested and who judges: the server under test, stock rsync as reference, the clients.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The clients that `tests/clients/fetch` unpacks.
pub const CLIENTS: [&str; 4] = ["3.2.3", "3.2.7", "3.4.1", "3.5.0"];

/// The reference server: what it makes of a push is right, but for the rows of `expected`.
pub const REFERENCE: &str = "3.5.0";

/// Ours has a policy that stock has not (no links out of the tree, modes 0644 and 0755 …), so the
/// expected differences are looked for only there; `RSYNC_PEER=/usr/bin/rsync` validates the harness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ours,
    Stock,
}

/// `target/`, found from this test's own executable (`target/<profile>/deps/rsync-…`).
fn target() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    me.ancestors().nth(3).unwrap().to_owned()
}

/// The program under test, absolute.
pub fn peer() -> &'static Path {
    static PEER: OnceLock<PathBuf> = OnceLock::new();
    PEER.get_or_init(|| {
        let path = std::env::var_os("RSYNC_PEER").map_or_else(
            || {
                let me = std::env::current_exe().unwrap();
                me.ancestors().nth(2).unwrap().join("examples/rsync_peer")
            },
            PathBuf::from,
        );
        assert!(path.is_file(), "{} is missing: cargo build --example rsync_peer", path.display());
        path
    })
}

/// Whether the program under test is stock rsync, told by its name.
pub fn kind() -> Kind {
    match peer().file_name() {
        Some(name) if name == "rsync" => Kind::Stock,
        _ => Kind::Ours,
    }
}

/// The wrapper that runs a fetched client of this version (`RSYNC_CLIENTS` overrides the directory).
pub fn client(version: &str) -> PathBuf {
    let clients = std::env::var_os("RSYNC_CLIENTS").map_or_else(|| target().join("clients"), PathBuf::from);
    let path = clients.join(version).join("rsync");
    assert!(path.is_file(), "{} is missing: run tests/clients/fetch", path.display());
    path
}

/// Memory rather than disk: a run writes some twenty thousand trees.
pub fn scratch() -> PathBuf {
    std::env::var_os("RSYNC_SCRATCH").map_or_else(
        || if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() },
        PathBuf::from,
    )
}
