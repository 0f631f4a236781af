//! The generator: walks the list, compares each name with what stands here, makes what needs
//! no data and asks for what does.

mod directory;
mod ending;
mod file;
mod link;
mod request;

use std::collections::HashSet;

use super::delete::{Sweep, Why};
use super::links::Groups;
use super::meeting::aborted;
use super::push::{Push, parent};
use crate::rsync::error::{Error, Exit};
use crate::rsync::flist::{Entry, EntryKind};
use crate::rsync::options::Delete;
use crate::rsync::tree::{Found, Kind, Refused};
use crate::rsync::wire::{NDX_DONE, NdxWriter};

/// Requests are handed to the writer in batches of about this many bytes.
const BATCH: usize = 2 << 10;

/// The generator of one push.
pub(super) struct Generator<'p, 'a> {
    push: &'p Push<'a>,
    ndx: NdxWriter,
    batch: Vec<u8>,
    groups: Groups,
    sweep: Sweep<'p, 'a>,
    /// Directories that are not there and will not be: nothing below them is looked at.
    missing: HashSet<Vec<u8>>,
    /// Directories that a dry run would have made: nothing is in them.
    unmade: HashSet<Vec<u8>>,
    /// The parent that was last made sure of (`-R --no-implied-dirs`).
    parent: Vec<u8>,
}

impl<'p, 'a> Generator<'p, 'a> {
    pub(super) fn new(push: &'p Push<'a>) -> Self {
        Self {
            push,
            ndx: NdxWriter::new(push.agreed.protocol),
            batch: Vec::with_capacity(BATCH * 2),
            groups: Groups::new(push),
            sweep: Sweep::new(push),
            missing: HashSet::new(),
            unmade: HashSet::new(),
            parent: Vec::new(),
        }
    }

    /// All phases, the commit, and the goodbye. Gives the exit status.
    pub(super) fn run(&mut self) -> Result<Exit, Error> {
        let protocol = self.push.agreed.protocol;
        self.first_phase()?;
        self.close_phase()?;
        self.push.meeting.wait_for_phase(1)?;
        for redo in self.push.meeting.take_redo() {
            self.again(redo)?;
        }
        self.close_phase()?;
        if protocol >= 29 {
            self.push.meeting.wait_for_phase(2)?;
            self.late_links()?;
            self.close_phase()?;
            self.push.meeting.wait_for_phase(3)?;
        } else {
            self.push.meeting.wait_for_phase(2)?;
            self.late_links()?;
        }
        self.last_deletions()?;
        self.directory_times()?;
        if protocol >= 31 {
            self.delete_stats()?;
            self.close_phase()?;
            self.push.meeting.wait_for_phase(4)?;
        }
        let exit = self.commit()?;
        self.done();
        self.flush()?;
        Ok(exit)
    }

    fn first_phase(&mut self) -> Result<(), Error> {
        let push = self.push;
        if push.options.verbose > 1 && !push.options.dry_run {
            let whole = push.options.whole_file == Some(true);
            push.info(if whole {
                b"delta-transmission disabled for local transfer or --whole-file"
            } else {
                b"delta-transmission enabled"
            })?;
        }
        if push.deletes() && push.options.delete == Delete::Before {
            self.sweep.everything()?;
        }
        for (ndx, entry) in push.list.iter() {
            if push.hopeless() {
                break;
            }
            self.visit(u32::try_from(ndx).map_err(|_| aborted())?, entry)?;
        }
        // The last name of a group may have been left out by an option.
        for ndx in self.groups.unasked() {
            if let Some(entry) = push.list.get(ndx as usize) {
                self.ask(ndx, entry, &push.path(entry), None)?;
            }
        }
        Ok(())
    }

    fn visit(&mut self, ndx: u32, entry: Entry<'_>) -> Result<(), Error> {
        let push = self.push;
        let (name, options) = (&*entry.name(), push.options);
        let is_dir = matches!(entry.kind(), EntryKind::Dir { .. });
        if is_dir && (push.pruned.contains(name) || push.implied(entry)) {
            return Ok(());
        }
        if !self.missing.is_empty() && parent(name).is_some_and(|dir| self.missing.contains(dir)) {
            if is_dir {
                self.missing.insert(name.to_vec());
            }
            return Ok(());
        }
        // Before protocol 30 a list need not name the parents that `-R` implies.
        let unlisted = options.relative && (!options.implied_dirs || push.agreed.protocol < 30);
        if unlisted && !self.parents(name)? {
            return Ok(());
        }
        let path = push.path(entry);
        let unmade = !self.unmade.is_empty() && parent(name).is_some_and(|dir| self.unmade.contains(dir));
        let found = match push.tree.look(&path) {
            _ if unmade => None,
            Ok(found) => found,
            Err(error) => return push.soft_at(name, &Refused::from(error)),
        };
        if entry.kind() == EntryKind::Missing {
            return found
                .map_or(Ok(()), |found| self.sweep.item(name, &path, &found.kind, Why::Extra).map(drop));
        }
        if options.existing && found.is_none() {
            return self.skip(
                name,
                is_dir,
                &[b"not creating new ", kind_word(is_dir), b" \"", name, b"\""].concat(),
            );
        }
        let both_dirs = |found: &Found| is_dir && found.kind == Kind::Dir;
        if options.ignore_existing && found.as_ref().is_some_and(|found| !both_dirs(found)) {
            return self.skip(name, false, &[name, b" exists"].concat());
        }
        match entry.kind() {
            EntryKind::Dir { content } => self.directory(ndx, entry, &path, found, content),
            EntryKind::Link(target) if options.links => self.link(ndx, entry, &path, found, target),
            EntryKind::File => self.file(ndx, entry, &path, found),
            _ => push.info(&[b"skipping non-regular file \"", name, b"\""].concat()),
        }
    }

    /// Leaves a name out; `-vv` tells why.
    fn skip(&mut self, name: &[u8], is_dir: bool, why: &[u8]) -> Result<(), Error> {
        if is_dir {
            self.missing.insert(name.to_vec());
        }
        if self.push.tells_skipped() { self.push.info(why) } else { Ok(()) }
    }

    fn last_deletions(&mut self) -> Result<(), Error> {
        let push = self.push;
        if push.deletes() && !push.hopeless() {
            match push.options.delete {
                Delete::Delay => self.sweep.remembered()?,
                Delete::After => self.sweep.everything()?,
                Delete::No | Delete::Before | Delete::During => {}
            }
        }
        self.sweep.report()
    }

    fn close_phase(&mut self) -> Result<(), Error> {
        self.push.meeting.close_phase();
        self.done();
        self.flush()
    }

    fn done(&mut self) {
        self.ndx.write(NDX_DONE, &mut self.batch);
    }

    fn item_ends(&mut self) -> Result<(), Error> {
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.hand_over(true)
    }

    fn hand_over(&mut self, whole: bool) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.push.out.data(&self.batch, whole)?;
        self.batch.clear();
        Ok(())
    }
}

fn signed(ndx: u32) -> i32 {
    i32::try_from(ndx).unwrap_or(i32::MAX)
}

fn kind_word(is_dir: bool) -> &'static [u8] {
    if is_dir { b"directory" } else { b"file" }
}

/// A name as text of a message.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
