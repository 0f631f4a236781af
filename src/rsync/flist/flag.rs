//! Bits of an entry's flags; several mean different things in different protocols.

pub(super) const TOP_DIR: u32 = 1;
pub(super) const SAME_MODE: u32 = 1 << 1;
/// A second byte follows (28 and later).
pub(super) const EXTENDED: u32 = 1 << 2;
/// Protocol 27.
pub(super) const SAME_RDEV: u32 = 1 << 2;
pub(super) const SAME_UID: u32 = 1 << 3;
pub(super) const SAME_GID: u32 = 1 << 4;
pub(super) const SAME_NAME: u32 = 1 << 5;
pub(super) const LONG_NAME: u32 = 1 << 6;
pub(super) const SAME_TIME: u32 = 1 << 7;
/// Devices, 28 and later.
pub(super) const SAME_RDEV_MAJOR: u32 = 1 << 8;
/// Directories, 30 and later.
pub(super) const NO_CONTENT_DIR: u32 = 1 << 8;
pub(super) const HLINKED: u32 = 1 << 9;
/// 28 and 29.
pub(super) const SAME_DEV: u32 = 1 << 10;
/// 30 and later.
pub(super) const USER_NAME: u32 = 1 << 10;
/// 28 and 29.
pub(super) const RDEV_MINOR_8: u32 = 1 << 11;
/// 30 and later.
pub(super) const GROUP_NAME: u32 = 1 << 11;
pub(super) const HLINK_FIRST: u32 = 1 << 12;
/// As the whole of the flags: the end of the list, with io_error.
pub(super) const END_WITH_ERROR: u32 = EXTENDED | 1 << 12;
pub(super) const MOD_NSEC: u32 = 1 << 13;
pub(super) const SAME_ATIME: u32 = 1 << 14;
pub(super) const CRTIME_IS_MTIME: u32 = 1 << 17;
