//! The destination of a push, as the session sees it. The host implements it.
//!
//! Paths are bytes relative to the tree's root, components joined by `/`, no empty, `.` or
//! `..` component; the empty path is the root. The session has checked them.

use std::io;

use super::error::Exit;

/// A time: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970.
    pub secs: i64,
    /// Nanoseconds, below 10^9.
    pub nanos: u32,
}

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link and its target.
    Link(Vec<u8>),
    /// Anything else; only ever removed.
    Other,
}

/// What stands at a path, never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its kind.
    pub kind: Kind,
    /// Bytes of a file.
    pub size: u64,
    /// Modification time.
    pub mtime: Time,
    /// Permission bits as they will be shown.
    pub mode: u32,
    /// Names that share one inode have the same value; for `-H`.
    pub inode: Option<(u64, u64)>,
}

impl Found {
    /// A name of which only the kind is told.
    pub fn bare(kind: Kind) -> Self {
        Self { kind, size: 0, mtime: Time::default(), mode: 0, inode: None }
    }
}

/// What a finished file or directory is given. `None` leaves it as the host does by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Modification time, if `-t` was asked.
    pub mtime: Option<Time>,
    /// Permission bits, if `-p` was asked: 0644 for files, 0755 for directories.
    pub mode: Option<u32>,
}

/// Why the host refuses; the text goes to the peer as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Exit code for the client.
    pub exit: Exit,
    /// One sentence in the host's language.
    pub text: String,
}

impl Refused {
    /// A refusal of content: exit 23.
    pub fn partial(text: impl Into<String>) -> Self {
        Self { exit: Exit::Partial, text: text.into() }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        // "(2)" instead of "(os error 2)", as rsync says it.
        Self { exit: Exit::FileIo, text: error.to_string().replace("(os error ", "(") }
    }
}

/// What a session is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Where: the resolved destination. A file name if `single`, else a directory.
    pub destination: Vec<u8>,
    /// One file is pushed to a name of its own.
    pub single: bool,
    /// `-n`: nothing may change.
    pub dry_run: bool,
    /// Something below the destination may be deleted.
    pub deletes: bool,
    /// Sum of the sizes in the file list.
    pub bytes: u64,
    /// Entries of the file list.
    pub entries: u64,
}

/// How a session went, at its clean end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files rebuilt.
    pub transferred: u64,
    /// Bytes that came literally.
    pub literal: u64,
    /// Bytes taken from what we held.
    pub matched: u64,
    /// Names removed.
    pub deleted: u64,
    /// Why the source is not whole, in one sentence (io_error, NO_SEND, failed after redo): a
    /// host that publishes whole trees refuses then; a plain copy does not.
    pub incomplete: Option<String>,
    /// Only some source files vanished meanwhile (exit 24).
    pub vanished: bool,
}

/// How a push was taken; the line is told to the peer as information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Its changes are real.
    Done(Option<String>),
    /// It is safe with the host, which has yet to decide: sources are not removed
    /// (`--remove-source-files`).
    Pending(Option<String>),
}

/// The bytes that block sums are made of. The peer never sees which they were.
pub trait Basis: Send + Sync {
    /// Length in bytes; does not change.
    fn size(&self) -> u64;
    /// Fills `buffer` from `offset`. A short file is an error.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file being rebuilt; written from its first byte to its last. Dropped without a word, it
/// leaves nothing.
pub trait NewFile: Send {
    /// The next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused>;
    /// The file is whole and proved by its sum: gives it its name.
    fn finish(self: Box<Self>, meta: &Meta) -> Result<(), Refused>;
    /// The session broke: keeps what arrived so that the next push can go on from it.
    fn keep(self: Box<Self>);
    /// The sum was wrong: what arrived becomes the basis of the second attempt.
    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused>;
}

/// Where a push goes. Generator and receiver use it from two threads.
pub trait Tree: Send + Sync {
    /// Resolves the destination word of the client (absolute, `~`, relative, empty) to a path
    /// of this tree.
    fn destination(&self, raw: &[u8]) -> Result<Vec<u8>, Refused>;
    /// Called once the file list is known and before anything changes; may wait for a turn.
    fn begin(&self, intent: &Intent) -> Result<(), Refused>;
    /// What stands at a path. Asked before [`Tree::begin`] too, about the destination.
    fn look(&self, path: &[u8]) -> io::Result<Option<Found>>;
    /// What lies directly in a directory, in any order. Only the kinds need be told
    /// ([`Found::bare`]; targets of links may be empty).
    fn list(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, Found)>>;
    /// The content of the file at this very path, for `-c`.
    fn content(&self, path: &[u8]) -> io::Result<Box<dyn Basis>>;
    /// The best bytes to rebuild `path` from: the file itself, what an earlier broken push left,
    /// or a kin under another name. `None`: whole file.
    fn basis(&self, path: &[u8], size: u64) -> io::Result<Option<Box<dyn Basis>>>;
    /// Begins a file that will replace whatever file or link stands at `path`.
    fn create(&self, path: &[u8], size: u64) -> Result<Box<dyn NewFile>, Refused>;
    /// Makes one directory; its parent exists.
    fn make_dir(&self, path: &[u8]) -> Result<(), Refused>;
    /// Makes or replaces a symbolic link. The session has checked that it stays inside.
    fn make_link(&self, path: &[u8], target: &[u8], meta: &Meta) -> Result<(), Refused>;
    /// Gives `path` the content of `existing` (`-H`).
    fn hard_link(&self, existing: &[u8], path: &[u8]) -> Result<(), Refused>;
    /// Sets what differs on a file or directory that stays.
    fn set(&self, path: &[u8], meta: &Meta) -> Result<(), Refused>;
    /// Removes a file, a link or an empty directory.
    fn remove(&self, path: &[u8]) -> Result<(), Refused>;
    /// The session ended cleanly: makes its changes real, all or none. Never called for a dry run.
    fn commit(&self, summary: &Summary) -> Result<Committed, Refused>;
}
