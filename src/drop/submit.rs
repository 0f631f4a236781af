//! The step that every package takes: hash, history, ledger, publisher.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::sync::Arc;

use jiff::Timestamp;

use super::names::shown;
use super::room::{COPY, Room};
use super::{Answer, Arrival, DropError, Look, Payload, Submission};
use crate::durable::Dir;
use crate::history::Kept;
use crate::ledger::{Entry, Kind};
use crate::model::{Code, Digest, Hasher, Receipt, Rejection, Sender};

/// A whole file on its way into the history. Nobody writes to it any more.
pub(super) struct Whole<'a> {
    /// Open on the file.
    pub(super) file: &'a File,
    /// The directory of its scratch name, which is gone afterwards.
    pub(super) dir: &'a Dir,
    /// Its scratch name.
    pub(super) scratch: &'a str,
    /// Its package name, as the sender gave it.
    pub(super) name: &'a OsStr,
    /// SHA-256, if it was taken while the bytes came.
    pub(super) digest: Option<Digest>,
    pub(super) sender: Sender,
    pub(super) first_byte: Timestamp,
    pub(super) last_byte: Timestamp,
    pub(super) sidecars: Vec<(String, Vec<u8>)>,
    /// Who looked at it while it came, if its digest is known.
    pub(super) look: Option<Box<dyn Look>>,
}

/// Keeps the file, writes the ledger line and hands it on. Durable when this returns.
pub(super) fn submit(room: &Room, whole: Whole<'_>) -> Result<(Submission, Kept), DropError> {
    let bytes = whole.file.metadata()?.len();
    let digest = match whole.digest {
        Some(digest) => digest,
        None => hash(whole.file)?,
    };
    let receipt = Receipt {
        name: shown(whole.name),
        sender: whole.sender,
        first_byte: whole.first_byte,
        last_byte: whole.last_byte,
        bytes,
    };
    // Told before the disk is waited for: the last step of the one goes beside the other.
    let early = whole.look.zip(whole.digest).map(|(look, digest)| look.whole(digest, &receipt));
    let kept = room
        .shared
        .history
        .keep(whole.file, whole.dir, whole.scratch, digest, &receipt)
        .map_err(|error| stored_badly(&error))?;
    room.shared.ledger.append(line(&receipt).with("package", kept.id).with("new", kept.is_new)).map_err(
        |error| {
            tracing::error!(%error, "ledger could not be written");
            Rejection::new(Code::LedgerFailed)
        },
    )?;
    tracing::info!(name = receipt.name, sender = receipt.sender.name, bytes, package = %digest, "package received");
    room.await_sum(&receipt, kept.id, &whole.sidecars);
    let (verdict, submission) = Answer::promise(&receipt.name, None);
    let payload = Payload::Package { kept: kept.clone(), sidecars: whole.sidecars, early };
    room.hand_on(Arrival { payload, receipt, base: None, verdict });
    Ok((submission, kept))
}

/// The ledger line of a reception, without what was received.
pub(super) fn line(receipt: &Receipt) -> Entry {
    Entry::new(Kind::Received)
        .with("name", &receipt.name)
        .with("bytes", receipt.bytes)
        .with("sender", &receipt.sender)
        .with("first_byte", receipt.first_byte)
        .with("last_byte", receipt.last_byte)
}

/// The history could not take it: the disk, most of the time.
pub(super) fn stored_badly(error: &io::Error) -> Rejection {
    tracing::error!(%error, "history could not be written");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Rejection::new(Code::NoSpace),
        _ => Rejection::new(Code::StoreFailed).detail(error.to_string()),
    }
}

/// Copies a file from elsewhere and submits the copy.
pub(super) fn deposit(
    room: &Arc<Room>,
    source: &mut dyn Read,
    name: &OsStr,
    sender: Sender,
    sidecars: Vec<(String, Vec<u8>)>,
) -> Result<Submission, DropError> {
    let first_byte = room.shared.clock.now();
    let scratch = room.fresh(COPY);
    let file = room.incoming.create_file(&scratch)?;
    let done = copy(room, source, &file).and_then(|digest| {
        let (dir, last_byte) = (&room.incoming, room.shared.clock.now());
        let whole = Whole {
            file: &file,
            dir,
            scratch: &scratch,
            name,
            digest: Some(digest),
            sender,
            first_byte,
            last_byte,
            sidecars,
            look: None,
        };
        submit(room, whole)
    });
    if done.is_err() {
        // Gone already if the history took it.
        let _ = room.incoming.remove_file(&scratch);
    }
    Ok(done?.0)
}

/// Copies up to the largest package, hashing.
fn copy(room: &Room, source: &mut dyn Read, mut file: &File) -> Result<Digest, DropError> {
    let (mut hasher, mut copied) = (Hasher::new(), 0_u64);
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { return Ok(hasher.finish()) };
        room.admit_bytes(bytes.len() as u64)?;
        copied += bytes.len() as u64;
        if copied > room.config.limits.package_bytes {
            return Err(Rejection::new(Code::SizePackage).into());
        }
        hasher.update(bytes);
        file.write_all(bytes)?;
    }
}

/// SHA-256 of a whole file, from its first byte.
pub(super) fn hash(mut file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    file.rewind()?;
    feed(file, &mut hasher)?;
    Ok(hasher.finish())
}

/// Feeds the rest of a file to a hash; returns how many bytes that were.
pub(super) fn feed(mut file: &File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut fed = 0;
    loop {
        let n = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { return Ok(fed) };
        hasher.update(bytes);
        fed += bytes.len() as u64;
    }
}

/// Bytes read at once: small enough for the cache, large enough to be few.
const CHUNK: usize = 256 << 10;
