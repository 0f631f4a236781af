//! Regular files: whether the one here is the sender's already.

use super::super::delete::Why;
use super::super::item::same_time;
use super::super::links::Turn;
use super::Generator;
use crate::rsync::checksum::ListSum;
use crate::rsync::error::Error;
use crate::rsync::flist::Entry;
use crate::rsync::tree::{Basis, Found, Kind, Meta};

/// Reading a file for `-c` happens in pieces of this size.
const PIECE: usize = 128 << 10;

impl Generator<'_, '_> {
    pub(super) fn file(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<Found>,
    ) -> Result<(), Error> {
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

    pub(super) fn up_to_date(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: &Found,
    ) -> Result<(), Error> {
        let push = self.push;
        self.item(ndx, entry, Some(found), 0, None)?;
        self.settle(entry, path, Some(found))?;
        push.stands(ndx);
        for waiting in self.groups.found(push.linked(entry), ndx) {
            self.link_later(waiting, ndx)?;
        }
        Ok(())
    }

    /// Whether the file here counts as the sender's, by the client's rules.
    pub(super) fn unchanged(&mut self, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<bool, Error> {
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

    pub(super) fn same_content(
        &mut self,
        entry: Entry<'_>,
        path: &[u8],
        found: &Found,
    ) -> Result<bool, Error> {
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
    pub(super) fn settle(&self, entry: Entry<'_>, path: &[u8], found: Option<&Found>) -> Result<(), Error> {
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
        if push.tells_unchanged() && !silent {
            let tail: &[u8] = if differs { b"" } else { b" is uptodate" };
            return push.info(&[&entry.name()[..], tail].concat());
        }
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
