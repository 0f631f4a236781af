//! A file of the site being rebuilt.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::super::super::DropError;
use super::super::super::room::Room;
use super::super::super::shelf::Shelf;
use super::super::super::tree::Begun;
use super::super::{basis, refused};
use crate::model::{Code, Hasher, Rejection};
use crate::rsync::{Basis, Meta, NewFile, Refused};

/// A file of the site being rebuilt.
#[derive(Debug)]
pub(super) struct SiteFile {
    pub(super) room: Arc<Room>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) admitted: Arc<AtomicU64>,
    pub(super) raw: Vec<u8>,
    pub(super) file: File,
    pub(super) begun: Begun,
    pub(super) hasher: Hasher,
    pub(super) size: u64,
    pub(super) first_byte: Option<Timestamp>,
}

impl SiteFile {
    fn take(&mut self, bytes: &[u8]) -> Result<(), DropError> {
        let more = bytes.len() as u64;
        let (size, limit) = (self.size.saturating_add(more), self.room.config.limits.file_bytes);
        if size > limit {
            return Err(Rejection::new(Code::SizeFile)
                .entry(&self.raw)
                .detail(format!("> {limit} B"))
                .into());
        }
        self.admit(more)?;
        self.begun.charge(&self.room, more)?;
        if self.first_byte.is_none() {
            self.first_byte = Some(self.room.shared.clock.now());
        }
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Asks the disk a step ahead, for the whole session.
    fn admit(&self, more: u64) -> Result<(), Rejection> {
        let spend = |left: u64| left.checked_sub(more);
        if self.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            return Ok(());
        }
        let step = more.max(STEP);
        self.room.admit_bytes(step)?;
        self.admitted.fetch_add(step - more, Ordering::Relaxed);
        Ok(())
    }

    fn refused(&self, error: &DropError) -> Refused {
        refused(error, self.room.config.lang)
    }
}

impl NewFile for SiteFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.take(bytes).map_err(|e| self.refused(&e))
    }

    fn finish(mut self: Box<Self>, meta: &Meta) -> Result<(), Refused> {
        let now = self.room.shared.clock.now();
        let mtime = meta.mtime.map_or_else(|| now.as_second(), |mtime| mtime.secs);
        let first = self.first_byte.unwrap_or(now);
        let digest = std::mem::take(&mut self.hasher).finish();
        self.begun.finish(digest, self.size, mtime, (first, now)).map_err(|e| self.refused(&e))
    }

    fn keep(mut self: Box<Self>) {
        let (shelf, raw) = (Arc::clone(&self.shelf), std::mem::take(&mut self.raw));
        self.begun.give_up(|files, scratch| shelf.put(&raw, files, OsStr::new(scratch)));
    }

    fn into_basis(self: Box<Self>) -> Result<Box<dyn Basis>, Refused> {
        Ok(Box::new(basis::Pieces::of([self.file.try_clone()?])?))
    }
}

impl Drop for SiteFile {
    fn drop(&mut self) {
        self.begun.leave();
    }
}

/// How far ahead of the bytes the disk is asked.
const STEP: u64 = 8 << 20;
