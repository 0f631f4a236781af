//! The generator: walks the list, compares each name with what stands here, makes what needs
//! no data and asks for what does.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::delete::{Sweep, Why};
use super::item::{self, LOCAL_CHANGE, NAME_FOLLOWS, TRANSFER, keeps_time, same_time};
use super::links::{Groups, Turn};
use super::meeting::{Asked, Redo, aborted};
use super::push::{IO_GENERAL, IO_MAX_DELETE, IO_VANISHED, Push, parent};
use crate::rsync::checksum::{BlockSum, ListSum};
use crate::rsync::error::{Error, Exit};
use crate::rsync::flist::{Entry, EntryKind};
use crate::rsync::mux::Tag;
use crate::rsync::options::Delete;
use crate::rsync::signature::{SumHead, sign};
use crate::rsync::tree::{Basis, Found, Kind, Meta, Refused};
use crate::rsync::wire::{NDX_DEL_STATS, NDX_DONE, NdxWriter, put_short, put_varint, put_vstring};

/// Requests are handed to the writer in batches of about this many bytes.
const BATCH: usize = 2 << 10;
/// Signatures in larger ones.
const SIGNATURE_BATCH: usize = 16 << 10;
/// Reading a file for `-c` happens in pieces of this size.
const PIECE: usize = 128 << 10;

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
        if self.push.options.verbose > 1 { self.push.info(why) } else { Ok(()) }
    }

    /// Makes the parents that the list does not name.
    fn parents(&mut self, name: &[u8]) -> Result<bool, Error> {
        let push = self.push;
        let Some(dir) = parent(name) else { return Ok(true) };
        if dir == self.parent || push.options.dry_run {
            return Ok(true);
        }
        if let Err(refused) = super::target::make_path(push.tree, &push.below(dir)) {
            push.soft_at(dir, &refused)?;
            return Ok(false);
        }
        self.parent = dir.to_vec();
        Ok(true)
    }

    fn directory(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<Found>,
        content: bool,
    ) -> Result<(), Error> {
        let push = self.push;
        let name = &*entry.name();
        let mut found = found;
        if let Some(other) = found.take_if(|found| found.kind != Kind::Dir)
            && !self.sweep.item(name, path, &other.kind, Why::Room("directory"))?
        {
            self.missing.insert(name.to_vec());
            return Ok(());
        }
        let made = push.target.made && name.is_empty();
        let before = found.as_ref().filter(|_| !made);
        let flags = if before.is_none() { LOCAL_CHANGE } else { 0 };
        self.item(ndx, entry, before, flags, None)?;
        if !push.options.dry_run {
            let done = match &found {
                None => push.tree.make_dir(path),
                Some(found) => self.permissions(entry, path, found),
            };
            if let Err(refused) = done {
                self.missing.insert(name.to_vec());
                return push.soft_at(name, &refused);
            }
        }
        if push.options.dry_run && found.is_none() {
            self.unmade.insert(name.to_vec());
        }
        self.name_directory(entry, before)?;
        if !content || found.is_none() || !push.deletes() {
            return Ok(());
        }
        match push.options.delete {
            Delete::During => {
                self.flush()?;
                self.sweep.directory(name, path)
            }
            Delete::Delay => self.sweep.remember(name, path),
            Delete::No | Delete::Before | Delete::After => Ok(()),
        }
    }

    /// Before protocol 29 the client does not learn of directories; with `-v` it is told.
    fn name_directory(&self, entry: Entry<'_>, before: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        if push.agreed.protocol >= 29 || push.options.verbose == 0 {
            return Ok(());
        }
        if push.options.dry_run
            || push.changes(entry, before, 0, b"") & (item::TIME | item::PERMS | item::IS_NEW) != 0
        {
            let name = entry.name();
            return push.info(&[if name.is_empty() { b"." } else { &name[..] }, b"/"].concat());
        }
        Ok(())
    }

    /// Permissions of a directory that stays; its time is set when all is in it.
    fn permissions(&self, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<(), Refused> {
        match self.push.mode(entry.kind()).filter(|mode| *mode != found.mode) {
            Some(mode) => self.push.tree.set(path, &Meta { mtime: None, mode: Some(mode) }),
            None => Ok(()),
        }
    }

    fn link(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<Found>,
        target: &[u8],
    ) -> Result<(), Error> {
        let push = self.push;
        let name = &*entry.name();
        if !super::target::stays_inside(name, target) {
            return self.foreign_link(name, target);
        }
        if found.as_ref().is_some_and(|found| matches!(&found.kind, Kind::Link(here) if here == target)) {
            self.item(ndx, entry, found.as_ref(), 0, None)?;
            self.settle(entry, path, found.as_ref())?;
            push.succeeded(ndx);
            return Ok(());
        }
        let dir = found.as_ref().filter(|found| matches!(found.kind, Kind::Dir | Kind::Other));
        if let Some(dir) = dir
            && !self.sweep.item(name, path, &dir.kind, Why::Room("symlink"))?
        {
            return Ok(());
        }
        if !push.options.dry_run
            && let Err(refused) = push.tree.make_link(path, target, &push.meta(entry))
        {
            return push.soft_at(name, &refused);
        }
        let before = found.as_ref().filter(|found| matches!(found.kind, Kind::Link(_)));
        self.item(ndx, entry, before, LOCAL_CHANGE | item::CHANGE, None)?;
        if push.agreed.protocol < 29 && push.options.verbose > 0 {
            push.info(&[name, b" -> ", target].concat())?;
        }
        push.succeeded(ndx);
        Ok(())
    }

    fn foreign_link(&self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let push = self.push;
        if push.options.safe_links {
            let line = [b"ignoring unsafe symlink \"", name, b"\" -> \"", target, b"\""].concat();
            return if push.options.verbose > 0 { push.info(&line) } else { Ok(()) };
        }
        let (name, target) = (shown(name), shown(target));
        let why = push.settings.lang.pick(
            format!("el enlace \"{name}\" -> \"{target}\" sale del árbol"),
            format!("the link \"{name}\" -> \"{target}\" leaves the tree"),
        );
        match push.settings.links {
            super::ForeignLinks::Refuse => push.soft(&Refused::partial(why)),
            super::ForeignLinks::Drop => push.warn(why.as_bytes()),
        }
    }

    fn file(&mut self, ndx: u32, entry: Entry<'_>, path: &[u8], found: Option<Found>) -> Result<(), Error> {
        let push = self.push;
        let (name, options) = (&*entry.name(), push.options);
        match self.groups.turn(push.linked(entry), ndx) {
            Turn::Link(first) => return self.hard_link(ndx, entry, path, found, first),
            Turn::Wait => return Ok(()),
            Turn::File => {}
        }
        if options.max_size.is_some_and(|max| entry.size() > max) {
            return self.skip(name, false, &[name, b" is over max-size"].concat());
        }
        if options.min_size.is_some_and(|min| entry.size() < min) {
            return self.skip(name, false, &[name, b" is under min-size"].concat());
        }
        let newer = |found: &Found| {
            found.mtime.secs > entry.mtime().secs.saturating_add(options.modify_window.max(0))
        };
        if options.update && found.as_ref().is_some_and(newer) {
            return self.skip(name, false, &[name, b" is newer"].concat());
        }
        let mut found = found;
        if let Some(other) = found.take_if(|found| found.kind != Kind::File)
            && !matches!(other.kind, Kind::Link(_))
            && !self.sweep.item(name, path, &other.kind, Why::Room("regular file"))?
        {
            return Ok(());
        }
        if let Some(here) = &found {
            if self.unchanged(entry, path, here)? {
                return self.up_to_date(ndx, entry, path, here);
            }
            // As stock: what is as long is taken for appended.
            if options.append && here.size >= entry.size() {
                return Ok(());
            }
        }
        if self.groups.waits(push.linked(entry), ndx, found.is_some()) {
            return Ok(());
        }
        self.ask(ndx, entry, path, found.as_ref())
    }

    fn up_to_date(&mut self, ndx: u32, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<(), Error> {
        let push = self.push;
        self.item(ndx, entry, Some(found), 0, None)?;
        self.settle(entry, path, Some(found))?;
        push.succeeded(ndx);
        for waiting in self.groups.found(push.linked(entry), ndx) {
            self.link_later(waiting, ndx)?;
        }
        Ok(())
    }

    /// Whether the file here counts as the sender's, by the client's rules.
    fn unchanged(&mut self, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<bool, Error> {
        let options = self.push.options;
        if found.size != entry.size() {
            return Ok(false);
        }
        if options.checksum {
            return self.same_content(entry, path, found);
        }
        if options.size_only {
            return Ok(true);
        }
        Ok(!options.ignore_times && same_time(found.mtime, entry.mtime(), options.modify_window))
    }

    fn same_content(&mut self, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<bool, Error> {
        let push = self.push;
        let Some(theirs) = entry.sum() else { return Ok(false) };
        if !push.may_hash(found.size) {
            return Ok(false);
        }
        if found.size > PIECE as u64 {
            self.flush()?;
        }
        let Ok(content) = push.tree.content(path) else { return Ok(false) };
        let mut sum = ListSum::new(push.agreed.list_sum);
        Ok(read_pieces(content.as_ref(), |piece| sum.update(piece)).is_ok()
            && sum.finish().as_bytes() == theirs)
    }

    /// Sets what differs on a name that stays, and says it is up to date with `-vv`.
    fn settle(&self, entry: Entry<'_>, path: &[u8], found: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        let Some(found) = found else { return Ok(()) };
        let wanted = push.meta(entry);
        let mtime = wanted.mtime.filter(|time| !same_time(*time, found.mtime, push.options.modify_window));
        let mode = wanted.mode.filter(|mode| *mode != found.mode);
        let differs = mtime.is_some() || mode.is_some();
        if differs
            && !push.options.dry_run
            && let Err(refused) = push.tree.set(path, &Meta { mtime, mode })
        {
            return push.soft_at(&entry.name(), &refused);
        }
        let silent = push.itemizes() > 0 && push.agreed.protocol >= 29;
        if push.options.verbose > 1 && !silent {
            let tail: &[u8] = if differs { b"" } else { b" is uptodate" };
            return push.info(&[&entry.name()[..], tail].concat());
        }
        Ok(())
    }

    /// Asks for a file's data.
    fn ask(&mut self, ndx: u32, entry: Entry<'_>, path: &[u8], found: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        self.ndx.write(signed(ndx), &mut self.batch);
        if push.agreed.protocol >= 29 {
            let flags = TRANSFER | if push.options.checksum { item::CHANGE } else { 0 };
            let flags = push.changes(entry, found, flags, b"");
            put_short(&mut self.batch, flags);
        }
        if push.options.dry_run {
            push.meeting.ask(ndx, Asked { basis: None, head: SumHead::default(), again: false });
            return self.item_ends();
        }
        let basis = self.basis(path, entry);
        self.sums(ndx, basis, false)
    }

    /// What the file is rebuilt from; what cannot be read is as good as absent.
    fn basis(&self, path: &[u8], entry: Entry<'_>) -> Option<Arc<dyn Basis>> {
        let options = self.push.options;
        if options.append || options.whole_file == Some(true) {
            return None;
        }
        let basis = self.push.tree.basis(path, entry.size()).ok().flatten()?;
        (basis.size() > 0 && self.push.may_hash(basis.size())).then(|| Arc::from(basis))
    }

    /// Sends the sums of a basis, or that there is none.
    fn sums(&mut self, ndx: u32, basis: Option<Arc<dyn Basis>>, again: bool) -> Result<(), Error> {
        let push = self.push;
        let Some(basis) = basis else {
            push.meeting.ask(ndx, Asked { basis: None, head: SumHead::default(), again });
            SumHead::default().put(&mut self.batch);
            return self.item_ends();
        };
        if push.meeting.crowded() {
            self.hand_over(false)?;
            push.meeting.wait_for_room()?;
        }
        let digest = push.agreed.transfer_sum.len();
        let head = SumHead::for_size(basis.size(), push.options.block_size, digest, again);
        push.meeting.ask(ndx, Asked { basis: Some(Arc::clone(&basis)), head, again });
        head.put(&mut self.batch);
        let sum = BlockSum::new(push.agreed.transfer_sum, push.agreed.seed, push.agreed.seed_fix);
        let (batch, out) = (&mut self.batch, &push.out);
        sign(basis.as_ref(), &head, &sum, &mut |bytes| {
            batch.extend_from_slice(bytes);
            if batch.len() >= SIGNATURE_BATCH {
                out.data(batch, false)?;
                batch.clear();
            }
            Ok(())
        })?;
        self.item_ends()
    }

    /// Asks again, with full sums, for a file whose sum was wrong.
    fn again(&mut self, (ndx, kept): Redo) -> Result<(), Error> {
        let push = self.push;
        let Some(entry) = push.list.get(ndx as usize) else { return Ok(()) };
        self.ndx.write(signed(ndx), &mut self.batch);
        if push.agreed.protocol >= 29 {
            put_short(&mut self.batch, TRANSFER);
        }
        let path = push.path(entry);
        let basis = match kept.filter(|kept| kept.size() > 0 && push.may_hash(kept.size())) {
            Some(kept) if !push.options.append => Some(kept),
            _ => self.basis(&path, entry),
        };
        self.sums(ndx, basis, true)
    }

    /// Tells an item without data, if the client wants to hear of it.
    fn item(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        found: Option<&Found>,
        flags: u16,
        xname: Option<&[u8]>,
    ) -> Result<(), Error> {
        let push = self.push;
        let name = xname.unwrap_or_default();
        let flags = flags | if xname.is_some() { NAME_FOLLOWS } else { 0 };
        let flags = push.changes(entry, found, flags, name);
        if push.agreed.protocol < 29 || !push.tells(flags, name) {
            return Ok(());
        }
        self.ndx.write(signed(ndx), &mut self.batch);
        put_short(&mut self.batch, flags);
        if xname.is_some() {
            put_vstring(&mut self.batch, name);
        }
        self.item_ends()
    }

    /// Gives `entry` the content of `first` now.
    fn hard_link(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<Found>,
        first: u32,
    ) -> Result<(), Error> {
        let push = self.push;
        let Some(source) = push.list.get(first as usize) else { return Ok(()) };
        let source_path = push.path(source);
        let there = push.tree.look(&source_path).ok().flatten();
        let inode = |found: &Option<Found>| found.as_ref().and_then(|found| found.inode);
        if inode(&found).is_some() && inode(&found) == inode(&there) {
            self.item(ndx, entry, found.as_ref(), LOCAL_CHANGE, Some(b""))?;
            push.succeeded(ndx);
            return self.settle_linked(entry, found.as_ref());
        }
        let other = found.as_ref().filter(|found| matches!(found.kind, Kind::Dir | Kind::Other));
        if let Some(other) = other
            && !self.sweep.item(&entry.name(), path, &other.kind, Why::Room("regular file"))?
        {
            return Ok(());
        }
        if !push.options.dry_run
            && let Err(refused) = push.tree.hard_link(&source_path, path)
        {
            return push.soft_at(&entry.name(), &refused);
        }
        let before = found.filter(|found| found.kind == Kind::File);
        self.item(ndx, entry, before.as_ref(), LOCAL_CHANGE, Some(&source.name()))?;
        if push.agreed.protocol < 29 && push.options.verbose > 0 {
            push.info(&[&entry.name()[..], b" => ", &source.name()[..]].concat())?;
        }
        push.succeeded(ndx);
        Ok(())
    }

    fn settle_linked(&self, entry: Entry<'_>, found: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        let silent = push.itemizes() > 0 && push.agreed.protocol >= 29;
        if found.is_some() && push.options.verbose > 1 && !silent {
            return push.info(&[&entry.name()[..], b" is uptodate"].concat());
        }
        Ok(())
    }

    fn link_later(&mut self, ndx: u32, first: u32) -> Result<(), Error> {
        let push = self.push;
        let Some(entry) = push.list.get(ndx as usize) else { return Ok(()) };
        let path = push.path(entry);
        let found = push.tree.look(&path).ok().flatten();
        self.hard_link(ndx, entry, &path, found, first)
    }

    /// Links what waited for a file that has come by now.
    fn late_links(&mut self) -> Result<(), Error> {
        for (first, waiting) in self.groups.drain() {
            if self.push.meeting.failed(first) {
                continue;
            }
            for ndx in waiting {
                self.link_later(ndx, first)?;
            }
        }
        self.flush()
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

    /// Directories get their times last: what was made in them changed them.
    fn directory_times(&self) -> Result<(), Error> {
        let push = self.push;
        let kind = EntryKind::Dir { content: false };
        if push.options.dry_run || push.hopeless() || !keeps_time(push.options, kind) {
            return Ok(());
        }
        for (_, entry) in push.list.iter() {
            let missing = !self.missing.is_empty() && self.missing.contains(&*entry.name());
            if missing
                || push.implied(entry)
                || push.pruned.contains(&*entry.name())
                || !matches!(entry.kind(), EntryKind::Dir { .. })
            {
                continue;
            }
            let path = push.path(entry);
            let found = push.tree.look(&path).ok().flatten().filter(|found| found.kind == Kind::Dir);
            let Some(found) = found else { continue };
            if same_time(found.mtime, entry.mtime(), push.options.modify_window) {
                continue;
            }
            if let Err(refused) = push.tree.set(&path, &Meta { mtime: Some(entry.mtime()), mode: None }) {
                push.soft_at(&entry.name(), &refused)?;
            }
        }
        Ok(())
    }

    fn delete_stats(&mut self) -> Result<(), Error> {
        let options = self.push.options;
        let wanted = options.stats || options.used.contains(&"info");
        if !wanted || (options.delete == Delete::No && !options.force) {
            return Ok(());
        }
        self.ndx.write(NDX_DEL_STATS, &mut self.batch);
        for count in self.sweep.counts() {
            put_varint(&mut self.batch, i32::try_from(count).unwrap_or(i32::MAX));
        }
        self.item_ends()
    }

    /// Makes the push real, or says why not.
    fn commit(&mut self) -> Result<Exit, Error> {
        let push = self.push;
        self.flush()?;
        let summary = push.tally.summary(push.settings.lang);
        let refused = push.tally.refused.load(Ordering::Relaxed);
        if !push.options.dry_run && !refused {
            match &summary.incomplete {
                Some(why) if push.settings.whole_only => self.refuse(why)?,
                _ => match push.tree.commit(&summary) {
                    Ok(line) => self.committed(line)?,
                    Err(refused) => {
                        push.soft(&refused)?;
                        return Ok(refused.exit.max(Exit::Partial));
                    }
                },
            }
        }
        Ok(self.status())
    }

    /// Nothing is published of what is not whole.
    fn refuse(&self, why: &str) -> Result<(), Error> {
        let push = self.push;
        let (es, en) =
            ("no se publicó nada, el envío no está completo", "nothing was published, the push is not whole");
        let text = format!("{}: {why}", push.settings.lang.pick(es, en));
        // The client knows of this limit by its own exit code, which an error would hide.
        if self.status() == Exit::MaxDelete {
            push.warn(text.as_bytes())
        } else {
            push.soft(&Refused::partial(text))
        }
    }

    fn committed(&self, line: Option<String>) -> Result<(), Error> {
        let push = self.push;
        for ndx in push.tally.take_successes() {
            push.out.message(Tag::Success, &ndx.to_le_bytes())?;
        }
        line.map_or(Ok(()), |line| push.info(line.as_bytes()))
    }

    /// What stock's server would exit with.
    fn status(&self) -> Exit {
        let tally = &self.push.tally;
        let io_error = tally.io_error.load(Ordering::Relaxed);
        match () {
            () if tally.partial.load(Ordering::Relaxed) || io_error & IO_GENERAL != 0 => Exit::Partial,
            () if io_error & IO_VANISHED != 0 => Exit::Vanished,
            () if io_error & IO_MAX_DELETE != 0 => Exit::MaxDelete,
            () => Exit::Ok,
        }
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

/// Hands a file on in pieces.
fn read_pieces(basis: &dyn Basis, mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < basis.size() {
        let want = usize::try_from(basis.size() - at).map_or(PIECE, |rest| rest.min(PIECE));
        let Some(piece) = buffer.get_mut(..want) else { break };
        basis.read_at(piece, at)?;
        each(piece);
        at += want as u64;
    }
    Ok(())
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
