//! Whether anybody has a file open for writing.
//!
//! The kernel gives nobody a lease for reading on such a file (`fcntl(2)`, F_SETLEASE); it gives it to the
//! file's owner and to root only. Where there is none (another owner, a network file system) `/proc` tells as far as
//! it lets us see: other users' processes are seen by root alone, those of another machine by nobody, and
//! from within Landlock none. The settle rule covers those.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::inode;

/// Whether a process that we can see may write to the file, which is called `name` now.
pub(super) fn any(file: &File, name: &OsStr, stat: &rustix::fs::Stat) -> bool {
    leased(file).unwrap_or_else(|| {
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        processes.flatten().any(|process| {
            let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
            is_process && process_writes(&process.path(), name, stat)
        })
    })
}

/// Whether a writer would be seen, whoever it is.
pub(super) fn are_visible(file: &File) -> bool {
    leased(file).is_some()
}

/// Whether somebody writes; `None` where no lease can tell.
fn leased(file: &File) -> Option<bool> {
    let handle = file.as_raw_fd();
    // Who opens it while we hold the lease has us signalled: by a signal that is ignored.
    control(handle, F_SETSIG, libc::SIGURG).ok()?;
    match control(handle, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // Given back at once; the writer that waits for it goes on.
            let _ = control(handle, libc::F_SETLEASE, libc::F_UNLCK);
            Some(false)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(true),
        Err(_) => None,
    }
}

/// `F_SETSIG` of `linux/fcntl.h`, which the crate does not name.
const F_SETSIG: i32 = 10;

#[expect(unsafe_code, reason = "leases are in no safe interface")]
fn control(handle: RawFd, command: i32, value: i32) -> io::Result<()> {
    // SAFETY: the handle is open for as long as the caller's `File`, and these commands take a number.
    match unsafe { libc::fcntl(handle, command, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
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
