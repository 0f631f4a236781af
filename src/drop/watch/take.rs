//! Taking one file out of the watched directory, and telling whether it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use jiff::Timestamp;

use super::super::names::{Sidecar, shown};
use super::super::room::{Room, TAKEN, inode, size};
use super::super::submit::{self, Whole};
use super::super::{DropError, Submission};
use super::{state, writers};
use crate::archive::Format;
use crate::durable::Dir;
use crate::history::Kept;
use crate::model::{Code, Rejection, Sender, Via};

/// Takes `name` out of the directory and submits it. After an error it stands there again.
pub(super) fn take(
    room: &Room,
    dir: &Dir,
    name: &OsStr,
    sidecars: &[Sidecar],
) -> Result<(Submission, Kept), DropError> {
    let stat = dir.stat(name)?;
    if size(&stat) > room.config.limits.package_bytes {
        let detail = format!("{} B > {} B", size(&stat), room.config.limits.package_bytes);
        return Err(Rejection::new(Code::SizePackage).detail(detail).into());
    }
    // Unpacking needs its room too: asked for by whoever unpacks.
    room.admit_bytes(0)?;
    // Opened by its old name: a file we may not read is left alone.
    let file = dir.open_file(name)?;
    let taken = room.fresh(TAKEN);
    let scratch = room.incoming.sub_create(&taken)?;
    let done = move_in(room, dir, name, &file, &scratch).and_then(|(own, moved)| {
        let done = submit_taken(room, &own, &scratch, name, &stat, sidecars);
        // A newer file of that name is not ours to remove.
        if moved == Moved::Copied
            && done.is_ok()
            && dir.stat(name).is_ok_and(|now| state(&now) == state(&stat))
        {
            dir.remove_file(name)?;
        }
        done
    });
    match &done {
        Ok(_) => {
            dir.sync()?;
            room.incoming.remove_dir(&taken)?;
        }
        Err(_) => put_back(room, dir, &scratch, name, &taken)?,
    }
    done
}

/// How a file came into scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Renamed,
    Copied,
}

/// Moves the file under its own name into scratch. One that has other names, another owner or
/// lies on another file system is copied: its inode stays within reach of others.
fn move_in(
    room: &Room,
    dir: &Dir,
    name: &OsStr,
    file: &File,
    scratch: &Dir,
) -> Result<(File, Moved), DropError> {
    let before = rustix::fs::fstat(file).map_err(io::Error::from)?;
    if before.st_nlink == 1 && writers::are_visible(file) {
        match dir.rename_to(name, scratch, name) {
            Ok(()) => {
                // Whoever opened it in the last moment still has it.
                let after = scratch.stat(name)?;
                let changed = (inode(&after), size(&after)) != (inode(&before), size(&before));
                if changed || writers::any(file, name, &after) {
                    return Err(still_written());
                }
                return Ok((file.try_clone()?, Moved::Renamed));
            }
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {}
            Err(e) => return Err(e.into()),
        }
    }
    room.admit_bytes(size(&before))?;
    let mut source = file;
    let mut copy = scratch.create_file(name)?;
    source.rewind()?;
    let copied = io::copy(&mut source.take(size(&before) + 1), &mut copy)?;
    let after = dir.stat(name)?;
    let same = state(&before) == state(&after) && copied == size(&before);
    if same { Ok((copy, Moved::Copied)) } else { Err(still_written()) }
}

fn submit_taken(
    room: &Room,
    file: &File,
    scratch: &Dir,
    name: &OsStr,
    stat: &rustix::fs::Stat,
    sidecars: &[Sidecar],
) -> Result<(Submission, Kept), DropError> {
    // The history names its scratch as text. After a crash it must still say "package".
    let plain = shown(name);
    if name != OsStr::new(&plain) {
        scratch.rename(name, &plain)?;
    }
    let before = rustix::fs::fstat(file).map_err(io::Error::from)?;
    let digest = submit::hash(file)?;
    let after = rustix::fs::fstat(file).map_err(io::Error::from)?;
    if (before.st_size, before.st_mtime, before.st_mtime_nsec)
        != (after.st_size, after.st_mtime, after.st_mtime_nsec)
    {
        return Err(still_written());
    }
    let now = room.shared.clock.now();
    // The change time is that of the last write, or of the rename into place.
    let came = |seconds| Timestamp::from_second(seconds).unwrap_or(now).min(now);
    let whole = Whole {
        file,
        dir: scratch,
        scratch: &plain,
        name,
        digest: Some(digest),
        sender: sender(stat),
        first_byte: came(stat.st_mtime.min(stat.st_ctime)),
        last_byte: came(stat.st_ctime),
        sidecars: sidecars.iter().map(|side| (side.name.clone(), side.content.clone())).collect(),
        look: None,
    };
    submit::submit(room, whole)
}

/// Gives back what was not kept. The sender's newer file of that name, if there is one by
/// now, keeps its place.
fn put_back(room: &Room, dir: &Dir, scratch: &Dir, name: &OsStr, taken: &str) -> io::Result<()> {
    let plain = shown(name);
    if name != OsStr::new(&plain) && scratch.exists(&plain) {
        scratch.rename(&plain, name)?;
    }
    if !scratch.exists(name) {
        return room.incoming.remove_dir(taken);
    }
    if dir.exists(name) {
        // Taken by copy, or replaced meanwhile: then both are tried.
        let same = dir.open_file(name).and_then(|a| same_bytes(a, scratch.open_file(name)?)).unwrap_or(false);
        if same {
            return room.incoming.remove_all(taken);
        }
        let mut other = OsString::from(room.fresh("devuelto-"));
        other.push("-");
        other.push(name);
        scratch.rename_to(name, dir, other)?;
    } else {
        scratch.rename_to(name, dir, name)?;
    }
    dir.sync()?;
    room.incoming.remove_dir(taken)
}

fn same_bytes(a: File, b: File) -> io::Result<bool> {
    Ok(submit::hash(&a)? == submit::hash(&b)?)
}

fn still_written() -> DropError {
    Rejection::new(Code::TransferIncomplete).into()
}

/// Whether the container ends as it should: enough to take a renamed file at once. The
/// verdict over its content is the publisher's.
pub(super) fn is_whole(dir: &Dir, name: &OsStr, limit: u64) -> bool {
    dir.open_file(name).and_then(|file| ends_well(file, limit)).unwrap_or(false)
}

fn ends_well(mut file: File, limit: u64) -> io::Result<bool> {
    let mut head = [0; 512];
    let filled = read_up_to(&mut file, &mut head)?;
    let format = Format::sniff(head.get(..filled).unwrap_or_default());
    file.rewind()?;
    match format {
        Some(Format::TarGz) => drains(flate2::read::MultiGzDecoder::new(file), limit),
        Some(Format::TarZst) => drains(zstd::stream::read::Decoder::new(file)?, limit),
        Some(Format::Tar) => Ok(tail(&mut file, 1024)?.iter().all(|b| *b == 0)),
        Some(Format::Zip) => Ok(tail(&mut file, 66_000)?.windows(4).any(|w| w == b"PK\x05\x06")),
        None => Ok(false),
    }
}

/// Whether a decoder reaches its end. A bomb is not followed: it waits for its rest.
fn drains(decoder: impl Read, limit: u64) -> io::Result<bool> {
    Ok(io::copy(&mut decoder.take(limit + 1), &mut io::sink())? <= limit)
}

/// The last bytes of a file, fewer if it is shorter.
fn tail(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let from = file.metadata()?.len().saturating_sub(bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(bytes).read_to_end(&mut tail)?;
    Ok(tail)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Whose a file of the watched directory is.
pub(super) fn sender(stat: &rustix::fs::Stat) -> Sender {
    Sender { name: owner(stat.st_uid), key: None, addr: None, via: Via::Drop }
}

/// Name of the user a file belongs to; `drop` if the host knows none.
fn owner(uid: u32) -> String {
    let mut users = String::new();
    let read = File::open(PASSWD).and_then(|file| file.take(PASSWD_BYTES).read_to_string(&mut users));
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    read.ok().and(name).filter(|name| !name.is_empty()).unwrap_or_else(|| "drop".to_owned())
}

/// The host's users.
const PASSWD: &str = "/etc/passwd";

/// Bytes of that file: some thousand users.
const PASSWD_BYTES: u64 = 1 << 20;
