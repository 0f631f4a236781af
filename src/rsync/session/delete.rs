//! What the sender does not have, and what stands in the way.
//!
//! Only directories whose content is in the list are swept, and only below the destination:
//! the list's names are relative to it and were checked, so that a sweep can not be widened by
//! what the peer says. Order and words are stock's: last name first, content before its
//! directory.

use std::cmp::Ordering as Order;
use std::sync::atomic::Ordering;

use super::generator::shown;
use super::push::{IO_GENERAL, IO_MAX_DELETE, Push, join};
use crate::rsync::error::Error;
use crate::rsync::flist::EntryKind;
use crate::rsync::mux::Tag;
use crate::rsync::options::Delete;
use crate::rsync::tree::{Kind, Refused};

/// Directories nested deeper than this are left: it would be our stack that is used up.
const DEPTH_MAX: usize = 1024;

/// A name, its path in the tree, and what it is.
type Extra = (Vec<u8>, Vec<u8>, Kind);

/// Why something is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The sender does not have it.
    Extra,
    /// The way must be free for a new name of this kind.
    Room(&'static str),
}

/// How a removal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Yes,
    /// A directory that keeps something, or the limit.
    Kept,
    Failed,
}

/// Removals of one push.
pub(super) struct Sweep<'p, 'a> {
    push: &'p Push<'a>,
    /// Files, directories, links, devices, specials.
    counts: [u64; 5],
    skipped: u64,
    told_of_error: bool,
    /// `--delete-delay`: what was found on the way.
    later: Vec<Extra>,
}

impl<'p, 'a> Sweep<'p, 'a> {
    pub(super) fn new(push: &'p Push<'a>) -> Self {
        Self { push, counts: [0; 5], skipped: 0, told_of_error: false, later: Vec::new() }
    }

    /// Files, directories, links, devices and specials that were deleted.
    pub(super) fn counts(&self) -> [u64; 5] {
        self.counts
    }

    /// Sweeps every directory whose content is in the list.
    pub(super) fn everything(&mut self) -> Result<(), Error> {
        let push = self.push;
        for (_, entry) in push.list.iter() {
            if !matches!(entry.kind(), EntryKind::Dir { content: true })
                || push.pruned.contains(&*entry.name())
            {
                continue;
            }
            let path = push.path(entry);
            if matches!(push.tree.look(&path), Ok(Some(found)) if found.kind == Kind::Dir) {
                self.directory(&entry.name(), &path)?;
            }
        }
        Ok(())
    }

    /// Removes what lies in a directory and is not in the list.
    pub(super) fn directory(&mut self, name: &[u8], path: &[u8]) -> Result<(), Error> {
        for (name, path, kind) in self.extras(name, path)? {
            self.remove(&name, &path, &kind, Why::Extra, 0)?;
        }
        Ok(())
    }

    /// Notes what lies in a directory and is not in the list, for the end.
    pub(super) fn remember(&mut self, name: &[u8], path: &[u8]) -> Result<(), Error> {
        let extras = self.extras(name, path)?;
        self.later.extend(extras);
        Ok(())
    }

    /// Removes what was noted.
    pub(super) fn remembered(&mut self) -> Result<(), Error> {
        for (name, path, kind) in std::mem::take(&mut self.later) {
            self.remove(&name, &path, &kind, Why::Extra, 0)?;
        }
        Ok(())
    }

    /// Removes one name and all below it. `false`: it is still there.
    pub(super) fn item(&mut self, name: &[u8], path: &[u8], kind: &Kind, why: Why) -> Result<bool, Error> {
        let gone = self.remove(name, path, kind, why, 0)?;
        if let (Why::Room(what), true) = (why, gone != Gone::Yes) {
            let text = format!("could not make way for new {what}: {}", shown(name));
            self.push.soft(&Refused::partial(text))?;
        }
        Ok(gone == Gone::Yes)
    }

    /// Tells of deletions that `--max-delete` stopped.
    pub(super) fn report(&self) -> Result<(), Error> {
        let push = self.push;
        if self.skipped == 0 {
            return Ok(());
        }
        let text = format!("Deletions stopped due to --max-delete limit ({} skipped)", self.skipped);
        push.warn(text.as_bytes())?;
        push.tally.io_error.fetch_or(IO_MAX_DELETE, Ordering::Relaxed);
        push.tally.incomplete(&text);
        if push.agreed.protocol >= 30 {
            push.out.message(Tag::IoError, &IO_MAX_DELETE.to_le_bytes())?;
        }
        Ok(())
    }

    fn extras(&mut self, name: &[u8], path: &[u8]) -> Result<Vec<Extra>, Error> {
        let push = self.push;
        if self.stopped_by_error()? {
            return Ok(Vec::new());
        }
        let there = match self.children(path) {
            Ok(there) => there,
            Err(refused) => return push.soft_at(name, &refused).map(|()| Vec::new()),
        };
        let mut extras = Vec::new();
        for (child, kind) in there {
            let rel = join(name, &child);
            let listed = push.list.find(&rel).is_some() && !push.pruned.contains(&rel);
            if !listed && !push.rules.protects(&rel, kind == Kind::Dir) {
                let path = join(path, &child);
                extras.push((rel, path, kind));
            }
        }
        Ok(extras)
    }

    /// A source that could not be read whole must not empty the destination.
    fn stopped_by_error(&mut self) -> Result<bool, Error> {
        let push = self.push;
        let errors = push.tally.io_error.load(Ordering::Relaxed) & IO_GENERAL != 0;
        if !errors || push.options.ignore_errors {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.told_of_error, true) {
            push.info(b"IO error encountered -- skipping file deletion")?;
        }
        Ok(true)
    }

    /// Last name first, as stock.
    fn children(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Kind)>, Refused> {
        let mut there: Vec<(Vec<u8>, Kind)> =
            self.push.tree.list(path)?.into_iter().map(|(name, found)| (name, found.kind)).collect();
        let old = self.push.agreed.protocol < 29;
        there.sort_unstable_by(|a, b| order(b, a, old));
        Ok(there)
    }

    fn remove(
        &mut self,
        name: &[u8],
        path: &[u8],
        kind: &Kind,
        why: Why,
        depth: usize,
    ) -> Result<Gone, Error> {
        let push = self.push;
        if *kind == Kind::Dir {
            let gone = self.empty(name, path, why, depth)?;
            if gone == Gone::Kept {
                self.kept_below(name, depth)?;
                return Ok(gone);
            }
        }
        let extra = why == Why::Extra;
        if extra && self.at_limit() {
            self.skipped += 1;
            return Ok(Gone::Kept);
        }
        if !push.options.dry_run
            && let Err(refused) = push.tree.remove(path)
        {
            push.soft_at(name, &refused)?;
            return Ok(Gone::Failed);
        }
        if extra {
            self.count(kind);
            self.tell(name, *kind == Kind::Dir)?;
        }
        Ok(Gone::Yes)
    }

    /// Below a directory that goes stock tries all the same: it counts what the limit stops, and
    /// says of the rest again that it is not empty.
    fn kept_below(&mut self, name: &[u8], depth: usize) -> Result<(), Error> {
        if depth == 0 || self.push.options.dry_run {
            return Ok(());
        }
        if self.at_limit() {
            self.skipped += 1;
            return Ok(());
        }
        self.push.info(&[b"cannot delete non-empty directory: ", name].concat())
    }

    fn at_limit(&self) -> bool {
        self.push.options.max_delete.is_some_and(|max| self.counts.iter().sum::<u64>() >= max)
    }

    /// Empties a directory that goes.
    fn empty(&mut self, name: &[u8], path: &[u8], why: Why, depth: usize) -> Result<Gone, Error> {
        let push = self.push;
        let there = match self.children(path) {
            Ok(there) => there,
            Err(refused) => return push.soft_at(name, &refused).map(|()| Gone::Failed),
        };
        let mut gone = Gone::Yes;
        let allowed = why == Why::Extra || push.options.force || push.options.delete != Delete::No;
        if depth >= DEPTH_MAX || (!allowed && !there.is_empty()) {
            gone = Gone::Kept;
        } else {
            for (child, kind) in there {
                let (rel, child) = (join(name, &child), join(path, &child));
                let kept = push.rules.protects_inside(&rel, kind == Kind::Dir)
                    || self.remove(&rel, &child, &kind, Why::Extra, depth + 1)? != Gone::Yes;
                if kept {
                    gone = Gone::Kept;
                }
            }
        }
        if gone == Gone::Kept {
            push.info(&[b"cannot delete non-empty directory: ", name].concat())?;
        }
        Ok(gone)
    }

    fn count(&mut self, kind: &Kind) {
        let at = match kind {
            Kind::File => 0,
            Kind::Dir => 1,
            Kind::Link(_) => 2,
            Kind::Other => 4,
        };
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.push.tally.deleted.fetch_add(1, Ordering::Relaxed);
    }

    /// The client prints it by its own options.
    fn tell(&self, name: &[u8], is_dir: bool) -> Result<(), Error> {
        let push = self.push;
        if !push.tells_deletions() {
            return Ok(());
        }
        if push.agreed.protocol >= 29 {
            // The NUL tells a directory.
            let tail: &[u8] = if is_dir { b"\0" } else { b"" };
            return push.out.message(Tag::Deleted, &[name, tail].concat());
        }
        let tail: &[u8] = if is_dir { b"/" } else { b"" };
        if push.itemizes() > 0 {
            // Stock's line, which has no name: its format is the client's, less the name.
            return push.info(b"*deleting  ");
        }
        push.info(&[b"deleting ", name, tail].concat())
    }
}

/// The order of the list within one directory: files before directories from protocol 29 on.
fn order(a: &(Vec<u8>, Kind), b: &(Vec<u8>, Kind), old: bool) -> Order {
    let (a_dir, b_dir) = (a.1 == Kind::Dir, b.1 == Kind::Dir);
    if old || !(a_dir || b_dir) {
        return a.0.cmp(&b.0);
    }
    let slash = |name: &[u8]| name.iter().copied().chain(Some(b'/')).collect::<Vec<u8>>();
    a_dir.cmp(&b_dir).then_with(|| slash(&a.0).cmp(&slash(&b.0)))
}
