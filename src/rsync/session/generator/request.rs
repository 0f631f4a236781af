//! What is put to the client: items, and requests for data with the sums of what we have.

use std::sync::Arc;

use super::super::item::{self, NAME_FOLLOWS, TRANSFER};
use super::super::meeting::{Asked, Redo};
use super::{Generator, signed};
use crate::rsync::checksum::BlockSum;
use crate::rsync::error::Error;
use crate::rsync::flist::Entry;
use crate::rsync::signature::{SumHead, sign};
use crate::rsync::tree::{Basis, Found};
use crate::rsync::wire::{put_short, put_vstring};

/// Signatures are handed to the writer in batches of about this many bytes.
const SIGNATURE_BATCH: usize = 16 << 10;

impl Generator<'_, '_> {
    /// Asks for a file's data.
    pub(super) fn ask(
        &mut self,
        ndx: u32,
        entry: Entry<'_>,
        path: &[u8],
        found: Option<&Found>,
    ) -> Result<(), Error> {
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
    pub(super) fn basis(&self, path: &[u8], entry: Entry<'_>) -> Option<Arc<dyn Basis>> {
        let options = self.push.options;
        if options.append || options.whole_file == Some(true) {
            return None;
        }
        let basis = self.push.tree.basis(path, entry.size()).ok().flatten()?;
        (basis.size() > 0 && self.push.may_hash(basis.size())).then(|| Arc::from(basis))
    }

    /// Sends the sums of a basis, or that there is none.
    pub(super) fn sums(&mut self, ndx: u32, basis: Option<Arc<dyn Basis>>, again: bool) -> Result<(), Error> {
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
        let head =
            SumHead::for_size(basis.size(), push.options.block_size, digest, push.agreed.compression, again);
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
    pub(super) fn again(&mut self, (ndx, kept): Redo) -> Result<(), Error> {
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
    pub(super) fn item(
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
}
