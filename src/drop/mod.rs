//! The drop: uploads in flight, what a sender sees, and the watched directory.
//!
//! Owns `var/drop` (watched), `var/inbox/<key name>/` (what a sender sees of its own
//! packages), `var/incoming/` (bytes on their way) and `var/partial/` (what rsync pushes left that broke off). A file that became whole under
//! a package's name is kept in the history, written to the ledger and handed on as an
//! [`Arrival`]; a tree written under `sitio/` becomes one at the clean end of its session.
//! Imports `archive`, `durable`, `clock`, `model`, `access`, `history`, `ledger`, `rsync`.
//!
//! The flow of a package: [`View::create`] → [`Upload::write_at`] → [`Upload::close`] →
//! `submit` → [`Arrival`]. A file is always written anew, as `.~NAME` beside its final
//! name, and gets that name when it is whole; an inode that the history holds is never
//! opened for writing. After an error or a broken session the `.~NAME` stays, is shown
//! under its final name, can be resumed, and is never a package.
//!
//! Sums that lie beside a package when it becomes whole travel with it. One that comes
//! within minutes after it is compared too ([`LateSum`]); the package is not held up for it.

mod ahead;
mod config;
mod inbox;
mod names;
mod order;
mod path;
mod push;
mod room;
mod shelf;
mod submission;
mod submit;
mod sums;
mod tree;
mod upload;
mod view;
pub mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::access::Grant;
use crate::clock::Clock;
use crate::durable::Dir;
use crate::history::{History, Kept};
use crate::ledger::Ledger;
use crate::model::{Code, Digest, Lang, Receipt, Rejection, Sender, Via};

pub use ahead::{Ahead, Early, Look, Lookers};
pub use config::DropConfig;
pub use path::{Aliases, VPath};
pub use push::{Push, PushConfig, Start, Vanished};
pub use submission::{Answer, Submission};
pub use tree::{Live, LiveFile, LiveTree};
pub use upload::Upload;
pub use view::View;

/// Something whole and durable that waits for its verdict.
#[derive(Debug)]
pub struct Arrival {
    /// What came.
    pub payload: Payload,
    /// The facts of the transfer.
    pub receipt: Receipt,
    /// For a tree: the live tree it began from. `None` if nothing was live, or if it comes
    /// back after a restart.
    pub base: Option<Arc<LiveTree>>,
    /// Where the verdict goes; nobody may be listening any more.
    pub verdict: Answer,
}

/// What came.
#[derive(Debug)]
pub enum Payload {
    /// An archive, already in the history.
    Package {
        /// Its place in the history.
        kept: Kept,
        /// Sums that came beside it: file name and content.
        sidecars: Vec<(String, Vec<u8>)>,
        /// What was seen of it before it was whole.
        early: Option<Early>,
    },
    /// Changes to the live tree.
    Tree(TreeChange),
    /// Sums of packages that came before.
    Sum(LateSum),
}

/// A sums file that came after the packages it speaks of; the receipt has its name.
#[derive(Debug)]
pub struct LateSum {
    /// Those packages: their place in the history, and the name they came under.
    pub packages: Vec<(Digest, String)>,
    /// What the file says.
    pub content: Vec<u8>,
}

/// A transaction on the published tree: what its session wrote and removed,
/// relative to the site, as it should be after the commit. Applied in the order of the
/// paths, it gives the session's tree.
///
/// Whoever has taken what it needs calls [`TreeChange::discard`]. Until then the change
/// survives a crash: the next start hands it on again.
#[derive(Debug)]
pub struct TreeChange {
    /// Directory that holds the written files.
    pub files: Dir,
    /// Final state of every path that was touched.
    pub changes: BTreeMap<String, Change>,
}

impl TreeChange {
    /// Removes the scratch directory: the verdict is reached and durable.
    pub fn discard(self) -> io::Result<()> {
        let path = self.files.path();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        Dir::open(parent)?.remove_all(name)
    }
}

/// What becomes of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A directory that must exist.
    Dir,
    /// A file with this content.
    File {
        /// Its name in [`TreeChange::files`].
        stored: String,
        /// SHA-256 of the content.
        sha256: Digest,
        /// Length in bytes.
        size: u64,
        /// Modification time the sender gave, seconds since 1970.
        mtime: i64,
    },
    /// A file of the live tree under another name (renamed or copied by the session).
    Live {
        /// Its path in the live tree.
        path: String,
    },
    /// The path (and everything below it) is gone.
    Removed,
}

/// What a sender may know of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Directory or regular file; there is nothing else.
    pub is_dir: bool,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// From nothing, whatever was there before.
    Truncate,
    /// From nothing; fails if the name exists.
    New,
    /// Go on with what is there (SFTP without TRUNC, `reput`, `cat >>`).
    Resume,
}

/// Why an operation on the virtual root failed. Maps to SFTP status codes, scp
/// messages and exit codes.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// No such file or directory.
    #[error("no such file or directory")]
    NotFound,
    /// The name exists.
    #[error("file exists")]
    Exists,
    /// Not allowed here, with the reason in one sentence.
    #[error("{0}")]
    Denied(String),
    /// A directory where a file is needed.
    #[error("is a directory")]
    IsDir,
    /// A file where a directory is needed.
    #[error("not a directory")]
    NotDir,
    /// The directory holds something.
    #[error("directory not empty")]
    NotEmpty,
    /// Refused by a rule, with its code.
    #[error("{0}")]
    Rejected(Rejection),
    /// Our disk or file system.
    #[error("input/output error")]
    Io(#[source] io::Error),
}

impl DropError {
    /// One sentence for the sender, without period.
    pub fn explain(&self, lang: Lang) -> String {
        let text = match self {
            Self::NotFound => lang.pick("no existe el archivo o la carpeta", "no such file or folder"),
            Self::Exists => lang.pick("el nombre ya existe", "the name exists already"),
            Self::IsDir => lang.pick("es una carpeta", "it is a folder"),
            Self::NotDir => lang.pick("no es una carpeta", "it is not a folder"),
            Self::NotEmpty => lang.pick("la carpeta no está vacía", "the folder is not empty"),
            Self::Io(_) => lang.pick(
                "el difusor no pudo leer o escribir en su disco; avise a su operador",
                "the difusor could not read or write its disk; tell its operator",
            ),
            Self::Denied(reason) => reason,
            Self::Rejected(rejection) => return rejection.line(lang),
        };
        text.to_owned()
    }
}

impl From<io::Error> for DropError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::NotFound => Self::NotFound,
            K::AlreadyExists => Self::Exists,
            K::IsADirectory => Self::IsDir,
            K::NotADirectory => Self::NotDir,
            K::DirectoryNotEmpty => Self::NotEmpty,
            K::StorageFull | K::QuotaExceeded => Self::Rejected(Rejection::new(Code::NoSpace)),
            K::InvalidFilename => Self::Rejected(Rejection::new(Code::PathTooLong)),
            _ => Self::Io(error),
        }
    }
}

impl From<Rejection> for DropError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The drop of one instance. Clones share it.
#[derive(Clone, Debug)]
pub struct Drop {
    room: Arc<room::Room>,
}

impl Drop {
    /// Opens the drop below `var`, making what is missing, and the publisher's end of its
    /// queue. `lookers` are told of packages while they arrive. Leftovers of a crash are put in order: scratch is removed, files taken from
    /// the watched directory go back there, whole trees come first in the queue.
    pub fn open(
        var: &Dir,
        config: DropConfig,
        history: History,
        ledger: Ledger,
        clock: Clock,
        live: Live,
        lookers: Lookers,
    ) -> io::Result<(Self, mpsc::Receiver<Arrival>)> {
        let (to_publisher, arrivals) = mpsc::channel(config.queue);
        let shared = room::Shared { history, ledger, clock, live, lookers, arrivals: to_publisher };
        let room = room::Room::open(var, config, shared)?;
        room.recover()?;
        Ok((Self { room: Arc::new(room) }, arrivals))
    }

    /// A fresh view for one channel. Two channels of one connection do not share a transaction.
    pub fn view(&self, grant: Grant, via: Via) -> View {
        View::new(Arc::clone(&self.room), grant, via)
    }

    /// Takes a file from elsewhere, as `difusor publish` does: copies it, keeps it and hands
    /// it on. The source is left as it is.
    pub fn deposit(
        &self,
        source: &mut dyn io::Read,
        name: &std::ffi::OsStr,
        sender: Sender,
        sidecars: Vec<(String, Vec<u8>)>,
    ) -> Result<Submission, DropError> {
        submit::deposit(&self.room, source, name, sender, sidecars)
    }

    /// Removes partial uploads that are too old to be resumed; returns how many. For a
    /// timer: once a minute is often enough.
    pub fn sweep(&self) -> io::Result<usize> {
        let age = i64::try_from(self.room.config.partial_age.as_secs()).unwrap_or(i64::MAX);
        let oldest = self.room.shared.clock.now().as_second().saturating_sub(age);
        Ok(inbox::sweep(&self.room, oldest)? + shelf::sweep(&self.room, oldest)?)
    }
}
