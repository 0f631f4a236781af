//! Who consulted the results, and what: the access log, and the figures that are drawn from it.
//!
//! Owns `var/access` (a file for each day, the combined format and what T-31 adds) and `var/stats` (SQLite that can
//! be made again from the log, the logs that were imported, the secret under which readers are counted).
//! Imports `durable`, `clock` and `model`. Definitions: `docs/STATISTICS.md`.
//!
//! The one flow: an answer that ends is a [`Hit`] → [`Sink::offer`], which never waits → the writer's thread makes a
//! `line` of it, appends it to the `shelf` and shows it to the `engine` → [`Store`](store::Store) → [`query()`].
//! What is counted comes from lines alone, so [`rebuild`](rebuild()) gives the same figures.

mod baseline;
mod crosscheck;
mod engine;
mod extract;
mod foreign;
mod hit;
mod import;
mod line;
mod live;
mod page;
mod query;
mod reader;
mod rebuild;
#[cfg(test)]
mod seen;
mod shelf;
mod sink;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::durable::Dir;

pub use baseline::{Baseline, BaselineDay, BaselineError, BaselineMean, baselines, import_baseline};
pub use crosscheck::{CrossCheck, CrossDay, NOT_PAGES, crosscheck};
pub use engine::Bounds;
pub use extract::{Expired, Extract, expire, extract};
pub use foreign::Format;
pub use hit::{Asked, Hit, Observed, Protocol, Tls};
pub use import::{ImportError, Imported, ImportedFile, import, imported};
pub use live::{Counted, Minute, Traffic};
pub use page::PageName;
pub use query::{
    Bucket, Class, PageCount, QueryError, Slot, Stay, Summary, Totals, Window, minutes, query, query_source,
    sources,
};
pub use reader::{Addresses, Classes, Robots};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
#[cfg(test)]
pub(crate) use seen::Seen;
use shelf::Shelf;
pub use sink::Sink;
use writer::{Command, Writer};

/// What the room has to be told.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `var/access`.
    pub log: PathBuf,
    /// `var/stats`.
    pub stats: PathBuf,
    /// The zone of the election: its days are the files, its hours are in the lines.
    pub zone: TimeZone,
    /// Who may say whom it speaks for.
    pub proxies: Vec<IpNet>,
    /// How much of an address is kept.
    pub addresses: Addresses,
    /// How long files are kept; zero keeps them for ever.
    pub keep: Duration,
    /// Who is no reader.
    pub classes: Classes,
    /// What the engine may hold.
    pub bounds: Bounds,
    /// Bytes of hits that may wait to be written.
    pub queue_bytes: usize,
    /// How long a line may be without being durable; zero makes it so at each turn.
    pub sync: Duration,
    /// How often the figures are written down.
    pub settle: Duration,
    /// Names of pages.
    pub names: Vec<PageName>,
}

impl LogConfig {
    /// The defaults, beneath `var`.
    pub fn new(var: &Path, zone: TimeZone) -> Self {
        Self {
            log: var.join(LOG_FOLDER),
            stats: var.join(FOLDER),
            zone,
            proxies: Vec::new(),
            addresses: Addresses::default(),
            keep: Duration::ZERO,
            classes: Classes::default(),
            bounds: Bounds::default(),
            queue_bytes: 16 << 20,
            sync: Duration::from_secs(5),
            settle: Duration::from_secs(60),
            names: Vec::new(),
        }
    }
}

/// The log, being written.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    desk: Desk,
    thread: JoinHandle<()>,
}

/// Where the log may be asked. Clones ask the same.
#[derive(Clone, Debug)]
pub struct Desk {
    sink: Sink,
    commands: mpsc::Sender<Command>,
    thread: std::thread::Thread,
}

impl Log {
    /// Opens the log and starts to write and count. What was written before and not counted is counted first,
    /// while it goes on.
    pub fn start(config: LogConfig, clock: Clock) -> io::Result<Self> {
        let sink = Sink::new(config.queue_bytes, clock.clone());
        let (commands, asked) = mpsc::channel();
        let writer = Writer::open(config, clock, sink.clone(), asked)?;
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        let desk = Desk { sink: sink.clone(), commands, thread: thread.thread().clone() };
        Ok(Self { sink, desk, thread })
    }

    /// Where hits go.
    pub fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Where it may be asked.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Writes all that was offered, makes it durable, and ends. Blocks.
    pub fn stop(self) {
        self.desk.tell(Command::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the access log ended in disorder");
        }
    }
}

impl Desk {
    /// Hits lost to the log since the start.
    pub fn lost(&self) -> u64 {
        self.sink.lost()
    }

    /// Who reads what now; `None` when the log has ended.
    pub async fn traffic(&self) -> Option<Traffic> {
        let (back, answer) = oneshot::channel();
        self.tell(Command::Traffic(back));
        answer.await.ok()
    }

    /// Returns when every line is counted and written down; `None` when the log has ended.
    pub async fn settle(&self) -> Option<()> {
        let (back, answer) = oneshot::channel();
        self.tell(Command::Settle(back));
        answer.await.ok()
    }

    fn tell(&self, command: Command) {
        // Nobody hears it when the thread has ended: then nobody answers either.
        let _ = self.commands.send(command);
        self.thread.unpark();
    }
}

/// The lines of a source.
fn shelf_of(var: &Path, source: &str) -> io::Result<Shelf> {
    let folder =
        if source == LOCAL { var.join(LOG_FOLDER) } else { var.join(FOLDER).join(IMPORTS).join(source) };
    Dir::open(folder).map(Shelf::new)
}

/// A path for people.
fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The name of our own log among the sources.
pub const LOCAL: &str = "local";
const LOG_FOLDER: &str = "access";
const FOLDER: &str = "stats";
const IMPORTS: &str = "imports";
