//! A destination with a moat: files around it that nobody may touch, and what must hold after an attack.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::peer::{self, Kind};
use crate::tree::{self, Snapshot, What};
use crate::wire::{End, Entry, Session, Start};

/// What is outside the destination and would be worth stealing.
pub const SECRET: &[u8] = b"the secret of another institute\n";

/// More than any of these small sessions may need.
const MEMORY_KIB: u64 = 96 * 1024;

pub struct Arena {
    scratch: tempfile::TempDir,
    before: Snapshot,
}

impl Arena {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir_in(peer::scratch()).unwrap();
        let dir = scratch.path();
        fs::create_dir_all(dir.join("moat/dest")).unwrap();
        fs::create_dir_all(dir.join("moat/neighbour")).unwrap();
        fs::write(dir.join("moat/secret"), SECRET).unwrap();
        fs::write(dir.join("moat/neighbour/x"), b"neighbour's").unwrap();
        let mut arena = Self { scratch, before: Snapshot::new() };
        arena.before = arena.outside();
        arena
    }

    pub fn dest(&self) -> PathBuf {
        self.moat().join("dest")
    }

    pub fn moat(&self) -> PathBuf {
        self.scratch.path().join("moat")
    }

    /// The destination is not walked: an attack may be changing it under our feet.
    fn outside(&self) -> Snapshot {
        let around = fs::read_dir(self.moat()).unwrap().map(Result::unwrap);
        let around = around.filter(|entry| entry.file_name() != "dest");
        around.flat_map(|entry| below(&entry.file_name(), tree::snapshot(&entry.path()))).collect()
    }

    pub fn start(&self, protocol: u8) -> Start {
        Start::new(protocol, self.dest())
    }

    /// Runs an attack; that the server cuts it short is no failure of the attacker.
    pub fn attack(&self, start: &Start, attack: impl FnOnce(&mut Session) -> io::Result<()>) -> End {
        let mut session = Session::spawn(start);
        let _ = session.handshake().and_then(|()| attack(&mut session)).and_then(|()| session.flush());
        let end = session.finish();
        self.holds(start, &end);
        end
    }

    /// An attack that must end in an error.
    pub fn refused(&self, start: &Start, attack: impl FnOnce(&mut Session) -> io::Result<()>) -> End {
        let end = self.attack(start, attack);
        assert_ne!(end.code, Some(0), "protocol {}: accepted; said: {}", start.protocol, end.text());
        end
    }

    /// A list that must be refused, sent with nothing else wrong.
    pub fn list_refused(&self, start: &Start, entries: &[Entry]) -> End {
        self.refused(start, |session| {
            session.filters(&[]);
            session.list(entries);
            session.flush()?;
            session.serve(entries)
        })
    }

    /// What holds whatever was sent: an end of its own, nothing outside touched, memory flat,
    /// nothing of the secret inside, no leftovers.
    pub fn holds(&self, start: &Start, end: &End) {
        let protocol = start.protocol;
        let code = end.code.unwrap_or_else(|| panic!("protocol {protocol}: hung; said: {}", end.text()));
        assert!(code < 128 && code != 101, "protocol {protocol}: crashed with {code}: {}", end.text());
        self.untouched(protocol);
        assert!(end.peak_kib < MEMORY_KIB, "protocol {protocol}: took {} KiB", end.peak_kib);
        for (path, node) in tree::snapshot(&self.dest()) {
            let stolen =
                matches!(&node.what, What::File(bytes) if bytes.windows(SECRET.len()).any(|w| w == SECRET));
            assert!(!stolen, "protocol {protocol}: the secret is in {}", path.escape_ascii());
            let escapes = matches!(&node.what, What::Link(target) if escapes(&path, target));
            assert!(
                !escapes || peer::kind() == Kind::Stock,
                "{} leads out: {:?}",
                path.escape_ascii(),
                node.what
            );
        }
    }

    /// Nothing around the destination has changed.
    pub fn untouched(&self, protocol: u8) {
        assert_eq!(self.outside(), self.before, "protocol {protocol}: something outside was touched");
    }

    /// A file of the destination.
    pub fn read(&self, name: impl AsRef<Path>) -> Option<Vec<u8>> {
        fs::read(self.dest().join(name)).ok()
    }

    /// Names at the destination, the root left out.
    pub fn names(&self) -> Vec<String> {
        let names = tree::snapshot(&self.dest()).into_keys().filter(|name| name != b".");
        names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }
}

/// A snapshot under the name of what it is of.
fn below(name: &std::ffi::OsStr, snapshot: Snapshot) -> Snapshot {
    use std::os::unix::ffi::OsStrExt as _;
    let named = |path: Vec<u8>| [name.as_bytes(), b"/", &path].concat();
    snapshot.into_iter().map(|(path, node)| (named(path), node)).collect()
}

/// Whether a link's target leaves the tree, read as text.
fn escapes(path: &[u8], target: &[u8]) -> bool {
    let mut depth = path.iter().filter(|byte| **byte == b'/').count() as i64;
    if target.starts_with(b"/") || target.is_empty() {
        return true;
    }
    for part in target.split(|byte| *byte == b'/') {
        depth += match part {
            b"" | b"." => 0,
            b".." => -1,
            _ => 1,
        };
        if depth < 0 {
            return true;
        }
    }
    false
}

/// Every protocol that a client may negotiate.
pub const PROTOCOLS: [u8; 6] = [27, 28, 29, 30, 31, 32];
