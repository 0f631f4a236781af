//! The commit, and how the push ends for the client.

use std::sync::atomic::Ordering;

use super::super::push::{IO_GENERAL, IO_MAX_DELETE, IO_VANISHED};
use super::Generator;
use crate::rsync::error::{Error, Exit};
use crate::rsync::mux::Tag;
use crate::rsync::options::Delete;
use crate::rsync::tree::{Committed, Refused};
use crate::rsync::wire::{NDX_DEL_STATS, put_varint};

impl Generator<'_, '_> {
    pub(super) fn delete_stats(&mut self) -> Result<(), Error> {
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
    pub(super) fn commit(&mut self) -> Result<Exit, Error> {
        let push = self.push;
        self.flush()?;
        let summary = push.tally.summary(push.settings.lang);
        let refused = push.tally.refused.load(Ordering::Relaxed);
        if !push.options.dry_run && !refused {
            match &summary.incomplete {
                Some(why) if push.settings.whole_only => self.refuse(why)?,
                _ => match push.tree.commit(&summary) {
                    Ok(committed) => self.committed(committed)?,
                    Err(refused) => return self.refused(&refused),
                },
            }
        }
        Ok(self.status())
    }

    /// Nothing is published of what is not whole.
    pub(super) fn refuse(&self, why: &str) -> Result<(), Error> {
        let push = self.push;
        let (es, en) =
            ("no se publicó nada, el envío no está completo", "nothing was published, the push is not whole");
        let text = format!("{}: {why}", push.settings.lang.pick(es, en));
        self.refused(&Refused::partial(text)).map(drop)
    }

    /// Tells a refusal; what the client will end with.
    pub(super) fn refused(&self, refused: &Refused) -> Result<Exit, Error> {
        // The client knows of this limit by its own exit code, which an error would hide.
        if self.status() == Exit::MaxDelete {
            self.push.warn(refused.text.as_bytes())?;
            return Ok(Exit::MaxDelete);
        }
        self.push.soft(refused)?;
        Ok(refused.exit.max(Exit::Partial))
    }

    /// Only now may the client remove its source; and not while the host has yet to decide.
    pub(super) fn committed(&self, committed: Committed) -> Result<(), Error> {
        let push = self.push;
        let (Committed::Done(line) | Committed::Pending(line)) = &committed;
        if matches!(committed, Committed::Done(_)) {
            for ndx in push.tally.take_successes() {
                push.out.message(Tag::Success, &ndx.to_le_bytes())?;
            }
        }
        line.as_ref().map_or(Ok(()), |line| push.info(line.as_bytes()))
    }

    /// What stock's server would exit with.
    pub(super) fn status(&self) -> Exit {
        let tally = &self.push.tally;
        let io_error = tally.io_error.load(Ordering::Relaxed);
        match () {
            () if tally.partial.load(Ordering::Relaxed) || io_error & IO_GENERAL != 0 => Exit::Partial,
            () if io_error & IO_VANISHED != 0 => Exit::Vanished,
            () if io_error & IO_MAX_DELETE != 0 => Exit::MaxDelete,
            () => Exit::Ok,
        }
    }
}
