//! Keeps what the doors go by equal to the disk, without a restart: the trusted networks of
//! the configuration file, the passwords, the host keys. (The trusted keys have
//! [`access::follow`](crate::access::follow).)
//!
//! Each is looked at several times a second, and a change counts when two looks agree. What
//! cannot be read changes nothing.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::access::{Gate, Network, Networks, Passwords, PasswordsFault};
use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::{Entry, Kind, Ledger};
use crate::model::Lang;
use crate::ssh::{Door, HostKeys, Kinds};

/// Two looks must agree: well within the second that is promised.
const POLL: Duration = Duration::from_millis(250);
/// A configuration file is a page or two.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The tasks that follow; dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Following(Vec<JoinHandle<()>>);

impl Following {
    /// Follows the networks of a configuration file.
    pub(super) fn networks(&mut self, file: &Path, gate: &Gate, clock: &Clock, ledger: &Ledger) {
        let (at, gate, clock, ledger) = (file.to_owned(), gate.clone(), clock.clone(), ledger.clone());
        self.watch(file.to_owned(), read, move |text| {
            if let Some(text) = text {
                apply(&at, text, &gate, &clock, &ledger);
            }
        });
    }

    /// Follows the file of passwords, where passwords are taken.
    pub(super) fn passwords(&mut self, file: PathBuf, gate: &Gate, clock: &Clock) {
        if !gate.takes_passwords() {
            return;
        }
        let (at, gate, clock) = (file.clone(), gate.clone(), clock.clone());
        self.watch(file, stamp, move |_| match Passwords::load(&at) {
            Ok(passwords) => gate.learn(passwords, clock.now()),
            Err(fault) => not_used(&at, &fault),
        });
    }

    /// Follows the folder of host keys.
    pub(super) fn host_keys(&mut self, folder: PathBuf, kinds: Kinds, door: &Door) {
        let (at, door) = (folder.clone(), door.clone());
        self.watch(folder, stamps, move |_| match HostKeys::open(&at, kinds) {
            Ok(keys) => {
                tracing::info!(?keys, "host keys changed");
                door.present(&keys);
            }
            Err(error) => tracing::error!(%error, "host keys cannot be read; those shown before stay"),
        });
    }

    /// Looks at `path`, and calls `changed` (on a thread that may wait) with what it is now.
    fn watch<T: Clone + PartialEq + Send + 'static>(
        &mut self,
        path: PathBuf,
        look: fn(&Path) -> T,
        changed: impl Fn(&T) + Clone + Send + 'static,
    ) {
        let mut seen = look(&path);
        self.0.push(tokio::spawn(async move {
            let mut ticks = interval(POLL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut pending = None;
            loop {
                ticks.tick().await;
                let at = path.clone();
                let Ok(now) = spawn_blocking(move || look(&at)).await else { continue };
                if now == seen {
                    pending = None;
                } else if pending.as_ref() != Some(&now) {
                    pending = Some(now);
                } else {
                    pending = None;
                    seen = now.clone();
                    let changed = changed.clone();
                    // One that panicked is one that did not happen.
                    let _ = spawn_blocking(move || changed(&now)).await;
                }
            }
        }));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Says that the passwords known before stay.
pub(super) fn not_used(file: &Path, fault: &PasswordsFault) {
    tracing::error!(file = %file.display(), %fault, "passwords cannot be used; those known before stay");
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// What changes when a file does: its inode, times, length and mode.
type Stamp = Option<(u64, i64, i64, u64, u32)>;

fn stamp(file: &Path) -> Stamp {
    let stat = std::fs::metadata(file).ok()?;
    Some((stat.ino(), stat.ctime(), stat.ctime_nsec(), stat.len(), stat.mode()))
}

/// The stamps of a folder's files and of those in its folders.
fn stamps(folder: &Path) -> Vec<(PathBuf, Stamp)> {
    let files = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).take(FILES_MAX).collect()
    };
    let mut all: Vec<PathBuf> = files(folder);
    all.extend(files(&folder.join("next")));
    all.sort();
    all.into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}

/// A handful of keys, each in three files.
const FILES_MAX: usize = 64;

fn apply(file: &Path, text: &str, gate: &Gate, clock: &Clock, ledger: &Ledger) {
    match Config::parse(file, text) {
        Ok(config) => confine(config.trust.networks, gate, clock, ledger),
        Err(faults) => {
            for fault in faults {
                tracing::error!(
                    fault = fault.line(Lang::En),
                    "the configuration is at fault; the networks trusted before stay"
                );
            }
        }
    }
}

/// Trusts these networks from now on; what changed is put on record.
fn confine(networks: Networks, gate: &Gate, clock: &Clock, ledger: &Ledger) {
    if *gate.networks() == networks {
        return;
    }
    let before = gate.confine(networks, clock.now());
    let after = gate.networks();
    let missing = |from: &Networks, of: &Networks| -> Vec<String> {
        let known = |net: &Network| from.iter().any(|known| known == net);
        of.iter().filter(|net| !known(net)).map(|net| net.net().to_string()).collect()
    };
    let (added, removed) = (missing(&before, &after), missing(&after, &before));
    tracing::info!(?added, ?removed, "trusted networks changed");
    let entry = Entry::new(Kind::Networks).with("added", added).with("removed", removed);
    if let Err(error) = ledger.append(entry) {
        tracing::error!(%error, "the ledger cannot be written");
    }
}
