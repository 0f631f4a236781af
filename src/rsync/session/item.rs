//! What changed about one name: the flags that clients print with `-i`, and when two times are the same.

use super::push::Push;
use crate::rsync::flist::{Entry, EntryKind};
use crate::rsync::options::Options;
use crate::rsync::tree::{Found, Time};

/// The checksum differs, or a link's target.
pub(super) const CHANGE: u16 = 1 << 1;
/// Sizes differ.
pub(super) const SIZE: u16 = 1 << 2;
/// Times differ.
pub(super) const TIME: u16 = 1 << 3;
/// Permissions differ.
pub(super) const PERMS: u16 = 1 << 4;
/// A byte that names the kind of basis follows.
pub(super) const BASIS_FOLLOWS: u16 = 1 << 11;
/// A name follows.
pub(super) const NAME_FOLLOWS: u16 = 1 << 12;
/// It was not there.
pub(super) const IS_NEW: u16 = 1 << 13;
/// Changed here, without data.
pub(super) const LOCAL_CHANGE: u16 = 1 << 14;
/// Data is asked for.
pub(super) const TRANSFER: u16 = 1 << 15;
/// Flags that make an item worth telling by themselves.
const SIGNIFICANT: u16 = !(BASIS_FOLLOWS | NAME_FOLLOWS | LOCAL_CHANGE);

/// Whether two times count as one: by `--modify-window`; negative compares nanoseconds too.
pub(super) fn same_time(a: Time, b: Time, window: i64) -> bool {
    match window {
        0 => a.secs == b.secs,
        1.. => a.secs.abs_diff(b.secs) <= window.unsigned_abs(),
        _ => a == b,
    }
}

/// Whether a sender's time is given to names of this kind.
pub(super) fn keeps_time(options: &Options, kind: EntryKind<'_>) -> bool {
    options.times
        && match kind {
            EntryKind::Dir { .. } => !options.omit_dir_times && !leaves_backups(options),
            EntryKind::Link(_) => !options.omit_link_times,
            _ => true,
        }
}

/// Backups beside the files change their directories' times: stock leaves these alone then.
fn leaves_backups(options: &Options) -> bool {
    options.used.contains(&"backup") && !options.used.contains(&"backup-dir")
}

/// Whether the client wants to hear of a time that differs; of a link's only if it said so.
fn tells_time(options: &Options, kind: EntryKind<'_>, protocol: u8) -> bool {
    let knows_links = options.capabilities.symlink_times && protocol >= 30;
    keeps_time(options, kind) && (knows_links || !matches!(kind, EntryKind::Link(_)))
}

impl Push<'_> {
    /// Adds to `flags` what differs between the sender's name and what stands here.
    pub(super) fn changes(
        &self,
        entry: Entry<'_>,
        found: Option<&Found>,
        mut flags: u16,
        xname: &[u8],
    ) -> u16 {
        let Some(found) = found else { return flags | IS_NEW };
        let kind = entry.kind();
        if kind == EntryKind::File && found.size != entry.size() {
            flags |= SIZE;
        }
        let time_differs = if tells_time(self.options, kind, self.agreed.protocol) {
            !same_time(found.mtime, entry.mtime(), self.options.modify_window)
        } else {
            flags & (TRANSFER | LOCAL_CHANGE) != 0 && (flags & NAME_FOLLOWS == 0 || !xname.is_empty())
        };
        if time_differs {
            flags |= TIME;
        }
        if self.mode(kind).is_some_and(|mode| mode != found.mode) {
            flags |= PERMS;
        }
        flags
    }

    /// The permission bits this name is given, if the client asked for permissions at all.
    /// A published site has two: files are 0644 and directories 0755.
    pub(super) fn mode(&self, kind: EntryKind<'_>) -> Option<u32> {
        match kind {
            EntryKind::Dir { .. } => self.options.perms.then_some(0o755),
            EntryKind::File => self.options.perms.then_some(0o644),
            _ => None,
        }
    }

    /// Whether the client wants to hear of an item with these flags.
    pub(super) fn tells(&self, flags: u16, xname: &[u8]) -> bool {
        flags & SIGNIFICANT != 0 || !xname.is_empty() || self.tells_unchanged() || self.itemizes() > 1
    }

    /// How often `%i` was asked: 0, 1 (`-i`) or 2 (`-ii`: unchanged names too).
    pub(super) fn itemizes(&self) -> u8 {
        let Some(format) = &self.options.log_format else { return 0 };
        let has = |letters: &[u8]| format.windows(2).any(|pair| pair == letters);
        if has(b"%I") { 2 } else { u8::from(has(b"%i")) }
    }
}
