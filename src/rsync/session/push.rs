//! One push, as generator and receiver share it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Settings;
use super::meeting::Meeting;
use super::outbox::Outbox;
use crate::rsync::error::{Error, Lang};
use crate::rsync::filter::Rules;
use crate::rsync::flist::{Entry, EntryKind, FileList};
use crate::rsync::mux::Tag;
use crate::rsync::negotiate::Agreed;
use crate::rsync::options::{Delete, Options};
use crate::rsync::tree::{Meta, Refused, Summary, Tree};

use super::item::keeps_time;

/// `io_error` bits of the sender.
pub(super) const IO_GENERAL: i32 = 1;
/// Source files vanished meanwhile.
pub(super) const IO_VANISHED: i32 = 2;
/// `--max-delete` stopped us.
pub(super) const IO_MAX_DELETE: i32 = 4;

/// Everything both sides of a push read, and what they count.
pub(super) struct Push<'a> {
    pub(super) options: &'a Options,
    pub(super) settings: &'a Settings,
    pub(super) agreed: Agreed,
    pub(super) rules: &'a Rules,
    pub(super) list: &'a FileList,
    /// `-m`: directories that hold no file.
    pub(super) pruned: HashSet<Vec<u8>>,
    pub(super) tree: &'a dyn Tree,
    pub(super) target: Target,
    pub(super) out: Outbox,
    pub(super) meeting: Meeting,
    pub(super) tally: Tally,
}

/// Where the names of the list go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The destination: a directory, or the very name of a single file.
    pub(super) path: Vec<u8>,
    /// The list's only entry gets the destination's own name.
    pub(super) single: bool,
    /// The destination directory was made by this push.
    pub(super) made: bool,
}

/// What happened so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) transferred: AtomicU64,
    pub(super) literal: AtomicU64,
    pub(super) matched: AtomicU64,
    pub(super) deleted: AtomicU64,
    /// Bytes of ours read for sums.
    pub(super) hashed: AtomicU64,
    pub(super) io_error: AtomicI32,
    /// Something could not be done; the rest was.
    pub(super) partial: AtomicBool,
    /// Nothing of this push is wanted.
    pub(super) refused: AtomicBool,
    /// The first reason why the push is not whole.
    incomplete: Mutex<Option<String>>,
    /// The first source file that was not sent; the bits tell later whether it vanished.
    unsent: Mutex<Option<String>>,
    /// Acknowledged only after the commit.
    successes: Mutex<Vec<u32>>,
}

impl Push<'_> {
    /// Where an entry lies in the tree.
    pub(super) fn path(&self, entry: Entry<'_>) -> Vec<u8> {
        if self.target.single { self.target.path.clone() } else { self.below(&entry.name()) }
    }

    /// A name of the transfer as a path of the tree.
    pub(super) fn below(&self, name: &[u8]) -> Vec<u8> {
        join(&self.target.path, name)
    }

    /// What an entry's name becomes.
    pub(super) fn meta(&self, entry: Entry<'_>) -> Meta {
        let kind = entry.kind();
        let mtime = keeps_time(self.options, kind).then(|| entry.mtime());
        Meta { mtime, mode: self.mode(kind) }
    }

    /// A line on the client's standard output.
    pub(super) fn info(&self, line: &[u8]) -> Result<(), Error> {
        self.line(Tag::Info, line)
    }

    /// A line on the client's standard error that changes no exit code.
    pub(super) fn warn(&self, line: &[u8]) -> Result<(), Error> {
        let tag = if self.agreed.protocol >= 30 { Tag::Warning } else { Tag::Info };
        self.line(tag, line)
    }

    fn line(&self, tag: Tag, line: &[u8]) -> Result<(), Error> {
        self.out.message(tag, &[line, b"\n"].concat())
    }

    /// Something of this push cannot be: the client is told and will end with 23, the session goes on.
    pub(super) fn soft(&self, refused: &Refused) -> Result<(), Error> {
        self.tally.partial.store(true, Ordering::Relaxed);
        self.tally.incomplete(&refused.text);
        self.line(Tag::ErrorXfer, refused.text.as_bytes())
    }

    /// A soft refusal about one name: the name, a colon, why.
    pub(super) fn soft_at(&self, name: &[u8], refused: &Refused) -> Result<(), Error> {
        let text = if refused.text.as_bytes().windows(name.len().max(1)).any(|part| part == name) {
            Cow::Borrowed(refused.text.as_str())
        } else {
            Cow::Owned(format!("{}: {}", String::from_utf8_lossy(name), refused.text))
        };
        self.soft(&Refused { exit: refused.exit, text: text.into_owned() })
    }

    /// Whether to ask for nothing more, as nothing of this push will be published.
    pub(super) fn hopeless(&self) -> bool {
        let tally = &self.tally;
        tally.refused.load(Ordering::Relaxed)
            || (self.settings.whole_only && tally.partial.load(Ordering::Relaxed))
    }

    /// Holds a file's acknowledgement (`--remove-source-files`) until the commit.
    pub(super) fn succeeded(&self, ndx: u32) {
        if self.options.remove_source_files && !self.options.dry_run {
            self.tally.successes.lock().unwrap_or_else(PoisonError::into_inner).push(ndx);
        }
    }

    /// The same for what was here already.
    pub(super) fn stands(&self, ndx: u32) {
        if !self.options.remove_sent_only {
            self.succeeded(ndx);
        }
    }

    /// Whether the client wants to read names; below 29 it learns some of them from us only.
    pub(super) fn tells_names(&self) -> bool {
        self.options.verbose > 0 || self.options.info_name > 0
    }

    /// Whether the client wants to read of names that stay as they are.
    pub(super) fn tells_unchanged(&self) -> bool {
        self.options.verbose > 1 || self.options.info_name > 1
    }

    /// … and of names that an option leaves out.
    pub(super) fn tells_skipped(&self) -> bool {
        self.options.verbose > 1 || self.options.info_skip > 0
    }

    /// Whether names that the sender does not have are removed.
    pub(super) fn deletes(&self) -> bool {
        self.options.delete != Delete::No && !self.target.single
    }

    /// Directories that `-R` only implies, with `--no-implied-dirs`: they are not the sender's.
    pub(super) fn implied(&self, entry: Entry<'_>) -> bool {
        !self.options.implied_dirs
            && self.agreed.protocol >= 30
            && entry.top_dir()
            && entry.kind() == (EntryKind::Dir { content: false })
    }

    /// Whether the client prints deletions, as far as we can know.
    pub(super) fn tells_deletions(&self) -> bool {
        let options = self.options;
        options.verbose > 0 || options.log_format.is_some() || options.used.contains(&"info")
    }

    /// Spends bytes of the budget for sums of what we hold. `false`: it is used up.
    pub(super) fn may_hash(&self, bytes: u64) -> bool {
        let before = self.tally.hashed.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes) <= self.settings.limits.hashed_bytes
    }

    /// Whether the entry is a name that is given out (a hard link group of its own kind).
    pub(super) fn linked(&self, entry: Entry<'_>) -> Option<u32> {
        if !self.options.hard_links || entry.kind() != EntryKind::File {
            return None;
        }
        entry.leader().and_then(|leader| u32::try_from(leader).ok())
    }
}

impl Tally {
    /// Notes why the push is not whole; the first reason stays.
    pub(super) fn incomplete(&self, why: &str) {
        let mut reason = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert_with(|| why.to_owned());
    }

    /// A source file was asked for and will not come.
    pub(super) fn unsent(&self, why: String) {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// The sender's `io_error` bits, as they come.
    pub(super) fn source_error(&self, bits: i32) {
        self.io_error.fetch_or(bits, Ordering::Relaxed);
    }

    /// The acknowledgements held so far.
    pub(super) fn take_successes(&self) -> Vec<u32> {
        std::mem::take(&mut self.successes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The account of the session.
    pub(super) fn summary(&self, lang: Lang) -> Summary {
        let bits = self.io_error.load(Ordering::Relaxed);
        Summary {
            transferred: self.transferred.load(Ordering::Relaxed),
            literal: self.literal.load(Ordering::Relaxed),
            matched: self.matched.load(Ordering::Relaxed),
            deleted: self.deleted.load(Ordering::Relaxed),
            incomplete: self.why_incomplete(bits, lang),
            vanished: bits & IO_VANISHED != 0,
        }
    }

    fn why_incomplete(&self, bits: i32, lang: Lang) -> Option<String> {
        let first =
            |reason: &Mutex<Option<String>>| reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(why) = first(&self.incomplete) {
            return Some(why);
        }
        // What vanished is for the host to judge.
        if let Some(why) = first(&self.unsent).filter(|_| bits & IO_VANISHED == 0 || bits & IO_GENERAL != 0) {
            return Some(why);
        }
        let (es, en) =
            ("el cliente no pudo leer todo su origen", "the client could not read all of its source");
        (bits & IO_GENERAL != 0).then(|| lang.pick(es, en).to_owned())
    }
}

/// The directories that `-m` leaves out: those with nothing but directories below them, unless a
/// rule protects them. The root stays.
pub(super) fn pruned(options: &Options, list: &FileList, rules: &Rules) -> HashSet<Vec<u8>> {
    if !options.prune_empty_dirs {
        return HashSet::new();
    }
    let mut dirs = HashSet::new();
    let mut kept: HashSet<Vec<u8>> = HashSet::new();
    for (_, entry) in list.iter() {
        let name = entry.name();
        let is_dir = matches!(entry.kind(), EntryKind::Dir { .. });
        let mut holder = if is_dir && rules.protects(&name, true) { Some(&name[..]) } else { parent(&name) };
        if is_dir {
            dirs.insert(name.to_vec());
            holder = holder.filter(|holder| *holder == &name[..]);
        }
        while let Some(dir) = holder.filter(|dir| kept.insert(dir.to_vec())) {
            holder = parent(dir);
        }
    }
    dirs.retain(|dir| !dir.is_empty() && !kept.contains(dir));
    dirs
}

/// Joins two paths; either may be empty.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The directory part of a path; `None` if it has none.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    path.get(..slash)
}
