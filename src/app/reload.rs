//! Reading the configuration again while the service runs.
//!
//! A file with a fault changes nothing: every fault is told, and the ledger says so. Of a good one, what can change
//! live does ([`LIVE`]), all at once; the keys that need a restart are named and keep their old value
//! until then. Trusted keys and certificates need no reading again: their files are followed.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::notify;
use crate::config::{Config, Fault, difference, with_old};
use crate::control::Answer;
use crate::ledger::{Entry, Kind, Ledger};
use crate::model::Digest;

/// Keys that take effect without a restart. Whoever adds one hands its room to [`Reload::room`], or reads it
/// from the watched configuration each time.
const LIVE: &[&str] = &[
    // The doors follow the file by themselves.
    "trust.networks",
    // Asked of the file at each look.
    "doctor.ntp",
    "doctor.timeout",
    "doctor.public",
    "ssh.new-connections-per-address",
    "ssh.new-connections-burst",
    "ssh.early-drop",
    "ssh.early-drop-rate",
    "ssh.grace",
    "ssh.idle",
    "ssh.connections",
    "ssh.connections-per-address",
    "ssh.sessions-per-address",
    "ssh.stop-grace",
    "rsync.connections",
    "rsync.connections-per-address",
    "rsync.handshake",
    "rsync.idle",
    "https.connections",
    "https.connections-per-address",
    "https.new-connections-per-address",
    "https.new-connections-burst",
    "https.requests-per-address",
    "https.requests-burst",
    "https.over-rate",
    "https.exempt",
    "https.handshake-time",
    "https.head-time",
    "https.idle",
    "https.idle-http2",
    "https.progress-time",
    "https.progress-bytes",
    "log.level",
    "admin.allow",
    "admin.hosts",
    "admin.actions",
    "admin.metrics",
    "admin.session",
];

/// Sections that only the papers read, from the file itself.
const PAPERS: &[&str] = &["difusor", "staff", "evidence", "estimate", "report"];

fn is_live(key: &str) -> bool {
    LIVE.contains(&key) || key.split('.').next().is_some_and(|section| PAPERS.contains(&section))
}

/// What applies new settings in a room.
type Apply = Box<dyn Fn(&Config) + Send + Sync>;

/// Reads the file again, for whoever asks. Clones share it.
#[derive(Clone)]
pub struct Reload {
    inner: Arc<Inner>,
}

struct Inner {
    settings: watch::Sender<Arc<Config>>,
    rooms: Mutex<Vec<Apply>>,
    /// Once it is open; the serving half alone has none.
    ledger: Mutex<Option<Ledger>>,
    /// The text that was read last; one reading at a time.
    last: Mutex<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The new settings hold.
    Done {
        /// Keys that changed and hold.
        applied: Vec<String>,
        /// Keys that changed and hold after a restart.
        restart: Vec<String>,
    },
    /// Nothing changed: the file has these faults.
    Refused(Vec<Fault>),
}

impl Reload {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let last = Mutex::new(config.text.clone());
        let (settings, _) = watch::channel(config);
        let inner = Inner { settings, rooms: Mutex::default(), ledger: Mutex::default(), last };
        Self { inner: Arc::new(inner) }
    }

    /// The configuration that holds, now and later.
    pub(super) fn settings(&self) -> watch::Receiver<Arc<Config>> {
        self.inner.settings.subscribe()
    }

    /// A room that takes new settings; told of each reading that changed something.
    pub fn room(&self, apply: impl Fn(&Config) + Send + Sync + 'static) {
        lock(&self.inner.rooms).push(Box::new(apply));
    }

    /// Where readings are put on record from now on, the first one at once.
    pub(super) fn record(&self, ledger: &Ledger) -> io::Result<()> {
        *lock(&self.inner.ledger) = Some(ledger.clone());
        let config = Arc::clone(&self.inner.settings.borrow());
        ledger.append(fact(&config.file, &config.text).with("what", "start"))
    }

    /// Reads the file again. Waits for the ledger.
    pub fn again(&self) -> Reloaded {
        let mut last = lock(&self.inner.last);
        match sd_notify::NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[sd_notify::NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "no monotonic clock for systemd"),
        }
        let done = self.read(&mut last).unwrap_or_else(Reloaded::Refused);
        notify(&[sd_notify::NotifyState::Ready]);
        done
    }

    fn read(&self, last: &mut String) -> Result<Reloaded, Vec<Fault>> {
        let old = Arc::clone(&self.inner.settings.borrow());
        let read = Config::load(&old.file).and_then(|new| {
            let changed = difference((&old.text, old.profile), (&new.text, new.profile));
            let (applied, restart): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| is_live(key));
            let holds = Config::parse(&old.file, &with_old(&old.text, &new.text, &restart))?;
            Ok((new.text, holds, applied, restart))
        });
        let (text, holds, applied, restart) = read.inspect_err(|faults| self.refuse(&old, faults))?;
        // An operator asks each half, which may be this process twice: one line for one text.
        if *last != text {
            let entry = fact(&old.file, &text).with("what", "reload");
            self.note(entry.with("applied", &applied).with("restart", &restart));
            *last = text;
        }
        tracing::info!(applied = applied.join(" "), restart = restart.join(" "), "configuration read again");
        if !applied.is_empty() {
            lock(&self.inner.rooms).iter().for_each(|apply| apply(&holds));
            self.inner.settings.send_replace(Arc::new(holds));
        }
        Ok(Reloaded::Done { applied, restart })
    }

    fn refuse(&self, old: &Config, faults: &[Fault]) {
        for fault in faults {
            tracing::error!(%fault, "the configuration has a fault: nothing changed");
        }
        let lines: Vec<String> = faults.iter().map(|f| f.line(old.lang)).collect();
        self.note(Entry::new(Kind::Warning).with("what", "config_rejected").with("faults", lines));
    }

    fn note(&self, entry: Entry) {
        let ledger = lock(&self.inner.ledger).clone();
        if let Some(Err(error)) = ledger.map(|ledger| ledger.append(entry)) {
            tracing::error!(%error, "the ledger cannot be written");
        }
    }

    /// The same for an operator at a socket.
    pub(super) async fn asked(&self) -> Answer {
        let (reload, lang) = (self.clone(), self.inner.settings.borrow().lang);
        let done = tokio::task::spawn_blocking(move || reload.again()).await;
        match done {
            Ok(Reloaded::Done { applied, restart }) => {
                Answer::Reloaded { applied, restart, faults: Vec::new() }
            }
            Ok(Reloaded::Refused(faults)) => Answer::Reloaded {
                applied: Vec::new(),
                restart: Vec::new(),
                faults: faults.iter().map(|f| f.line(lang)).collect(),
            },
            Err(error) => Answer::Refused { message: error.to_string(), code: None },
        }
    }
}

/// What was read, by its hash.
fn fact(file: &Path, text: &str) -> Entry {
    Entry::new(Kind::Config).with("file", file).with("sha256", Digest::of(text.as_bytes()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked in a room left the settings as they were.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
