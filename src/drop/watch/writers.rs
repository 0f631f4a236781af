//! Whether anybody has a file open for writing, as far as `/proc` lets us see.
//!
//! Another user's processes can only be seen by root, those of another machine (NFS) by
//! nobody: the settle rule covers them. A file lease would answer the same question, but
//! only for its owner and only through unsafe code.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::inode;

/// Whether a process that we can see may write to the file, which is called `name` now.
pub(super) fn any(name: &OsStr, stat: &rustix::fs::Stat) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        is_process && process_writes(&process.path(), name, stat)
    })
}

/// Whether we would see a process of the file's owner.
pub(super) fn are_visible(stat: &rustix::fs::Stat) -> bool {
    let me = rustix::process::geteuid();
    me.is_root() || me.as_raw() == stat.st_uid
}

fn process_writes(process: &Path, name: &OsStr, stat: &rustix::fs::Stat) -> bool {
    let Ok(handles) = fs::read_dir(process.join("fd")) else { return false };
    handles.flatten().any(|handle| {
        // The link follows renames. Compared first: asking a file on a dead network mount
        // for its inode would hang us.
        let named = fs::read_link(handle.path()).is_ok_and(|target| target.file_name() == Some(name));
        let same = || fs::metadata(handle.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == inode(stat));
        named && same() && writes(&process.join("fdinfo").join(handle.file_name()))
    })
}

/// `flags:` in `/proc/PID/fdinfo/N` is octal; the last two bits are the access mode.
fn writes(info: &Path) -> bool {
    let Ok(text) = fs::read_to_string(info) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let mode = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    mode.is_some_and(|mode| mode & 0o3 != 0)
}
