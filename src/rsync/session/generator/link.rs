//! Symbolic and hard links.

use super::super::delete::Why;
use super::super::item::{self, LOCAL_CHANGE};
use super::super::{ForeignLinks, target};
use super::{Generator, shown};
use crate::rsync::error::Error;
use crate::rsync::flist::Entry;
use crate::rsync::tree::{Found, Kind, Refused};

impl Generator<'_, '_> {
    pub(super) fn link(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<Found>,
        target: &[u8],
    ) -> Result<(), Error> {
        let push = self.push;
        let name = &*entry.name();
        if !target::stays_inside(name, target) {
            return self.foreign_link(name, target);
        }
        if found.as_ref().is_some_and(|found| matches!(&found.kind, Kind::Link(here) if here == target)) {
            self.item(ndx, entry, found.as_ref(), 0, None)?;
            self.settle(entry, path, found.as_ref())?;
            push.stands(ndx);
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
        if push.agreed.protocol < 29 && push.tells_names() {
            push.info(&[name, b" -> ", target].concat())?;
        }
        push.stands(ndx);
        Ok(())
    }

    pub(super) fn foreign_link(&self, name: &[u8], target: &[u8]) -> Result<(), Error> {
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
            ForeignLinks::Refuse => push.soft(&Refused::partial(why)),
            ForeignLinks::Drop => push.warn(why.as_bytes()),
        }
    }

    /// Gives `entry` the content of `first` now.
    pub(super) fn hard_link(
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
            push.stands(ndx);
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
        if push.agreed.protocol < 29 && push.tells_names() {
            push.info(&[&entry.name()[..], b" => ", &source.name()[..]].concat())?;
        }
        push.stands(ndx);
        Ok(())
    }

    pub(super) fn settle_linked(&self, entry: Entry<'_>, found: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        let silent = push.itemizes() > 0 && push.agreed.protocol >= 29;
        if found.is_some() && push.tells_unchanged() && !silent {
            return push.info(&[&entry.name()[..], b" is uptodate"].concat());
        }
        Ok(())
    }

    pub(super) fn link_later(&mut self, ndx: u32, first: u32) -> Result<(), Error> {
        let push = self.push;
        let Some(entry) = push.list.get(ndx as usize) else { return Ok(()) };
        let path = push.path(entry);
        let found = push.tree.look(&path).ok().flatten();
        self.hard_link(ndx, entry, &path, found, first)
    }

    /// Links what waited for a file that has come by now.
    pub(super) fn late_links(&mut self) -> Result<(), Error> {
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
}
