//! What a client has open.

use std::fs::File;

use crate::drop::{Upload, VPath};

use super::listing::Listing;
use super::wire::HandleName;

/// Most handles at a time: clients use one per file in flight, sshfs a few more.
pub(super) const HANDLES_MAX: usize = 64;

/// Something open.
#[derive(Debug)]
pub(super) enum Handle {
    /// A file on its way in.
    Write(Box<Writing>),
    /// A file that is read.
    Read(File),
    /// A directory that is listed.
    List(Listing),
}

/// A file on its way in.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) path: VPath,
    pub(super) upload: Upload,
    pub(super) place: Place,
    /// The first write that failed was reported; the client may have sent many more.
    pub(super) failed: bool,
}

/// Where writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the offset each names.
    Offset,
    /// To the end (APPEND).
    End,
}

/// The open handles of a session. A handle's name holds its slot and a serial number, so
/// that one used after its close is known for what it is.
#[derive(Debug, Default)]
pub(super) struct Handles {
    slots: Vec<Option<(u32, Handle)>>,
    serial: u32,
}

impl Handles {
    /// Whether one more fits.
    pub(super) fn has_room(&self) -> bool {
        self.slots.iter().flatten().count() < HANDLES_MAX
    }

    /// Keeps a handle and names it.
    pub(super) fn add(&mut self, handle: Handle) -> [u8; 8] {
        self.serial = self.serial.wrapping_add(1);
        let entry = Some((self.serial, handle));
        let slot = if let Some(free) = self.slots.iter().position(Option::is_none) {
            if let Some(place) = self.slots.get_mut(free) {
                *place = entry;
            }
            free
        } else {
            self.slots.push(entry);
            self.slots.len() - 1
        };
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        (u64::from(slot) << 32 | u64::from(self.serial)).to_be_bytes()
    }

    /// The handle of that name.
    pub(super) fn get(&mut self, name: HandleName) -> Option<&mut Handle> {
        let slot = self.slot(name)?;
        slot.as_mut().map(|(_, handle)| handle)
    }

    /// Takes the handle of that name out.
    pub(super) fn remove(&mut self, name: HandleName) -> Option<Handle> {
        self.slot(name)?.take().map(|(_, handle)| handle)
    }

    /// The files on their way in.
    pub(super) fn writing(&mut self) -> impl Iterator<Item = &mut Writing> {
        self.slots.iter_mut().flatten().filter_map(|(_, handle)| match handle {
            Handle::Write(writing) => Some(&mut **writing),
            Handle::Read(_) | Handle::List(_) => None,
        })
    }

    fn slot(&mut self, name: HandleName) -> Option<&mut Option<(u32, Handle)>> {
        let name = u64::from_be_bytes(name?);
        let (slot, serial) = (usize::try_from(name >> 32).ok()?, name & u64::from(u32::MAX));
        let slot = self.slots.get_mut(slot)?;
        let is_it = slot.as_ref().is_some_and(|(of, _)| u64::from(*of) == serial);
        is_it.then_some(slot)
    }
}
