//! Directories: made on the way, dated at the end.

use super::super::delete::Why;
use super::super::item::{self, LOCAL_CHANGE, keeps_time, same_time};
use super::super::push::parent;
use super::super::target;
use super::Generator;
use crate::rsync::error::Error;
use crate::rsync::flist::{Entry, EntryKind};
use crate::rsync::options::Delete;
use crate::rsync::tree::{Found, Kind, Meta, Refused};

impl Generator<'_, '_> {
    pub(super) fn directory(
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
    pub(super) fn name_directory(&self, entry: Entry<'_>, before: Option<&Found>) -> Result<(), Error> {
        let push = self.push;
        if push.agreed.protocol >= 29 || !push.tells_names() {
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
    pub(super) fn permissions(&self, entry: Entry<'_>, path: &[u8], found: &Found) -> Result<(), Refused> {
        match self.push.mode(entry.kind()).filter(|mode| *mode != found.mode) {
            Some(mode) => self.push.tree.set(path, &Meta { mtime: None, mode: Some(mode) }),
            None => Ok(()),
        }
    }

    /// Makes the parents that the list does not name.
    pub(super) fn parents(&mut self, name: &[u8]) -> Result<bool, Error> {
        let push = self.push;
        let Some(dir) = parent(name) else { return Ok(true) };
        if dir == self.parent || push.options.dry_run {
            return Ok(true);
        }
        if let Err(refused) = target::make_path(push.tree, &push.below(dir)) {
            push.soft_at(dir, &refused)?;
            return Ok(false);
        }
        self.parent = dir.to_vec();
        Ok(true)
    }

    /// Directories get their times last: what was made in them changed them.
    pub(super) fn directory_times(&self) -> Result<(), Error> {
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
}
