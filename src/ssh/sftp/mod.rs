//! The SFTP subsystem: version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions.
//!
//! Owns one session: its handles and the replies that wait. One request at a time goes
//! from [`wire::receive`] to the virtual root and back as exactly one reply; the data of
//! a write goes from the network's buffers into the upload without a copy. Imports
//! `drop`, `model` and the channel's end. After any error the session goes on, and what
//! was accepted stays accepted; a file whose handle is not closed, or one of whose writes
//! failed, is never a package.
//!
//! The sender learns the verdict on a package from the status of the CLOSE (or RENAME)
//! that made it whole, and in words on the channel's standard error, because OpenSSH's
//! clients show the number of a status but not its text. A tree written under the site
//! is committed at the clean end of the session, if nothing that was written failed.

mod handles;
mod listing;
mod reply;
mod wire;

#[cfg(test)]
mod tests;

use std::os::unix::fs::FileExt as _;

use crate::clock::Clock;
use crate::drop::{DropError, Open, Stat, Submission, VPath, View};
use crate::model::escape;

use super::io::{Gone, Io};
use super::program::Context;
use handles::{HANDLES_MAX, Handle, Handles, Place, Writing};
use listing::Listing;
use reply::{Code, Replies};
use wire::{End, HandleName, OpenFlags, Packet, Request, Target, Wish};

/// Most replies that wait for company while more requests are queued. A quarter of the
/// 64 requests that OpenSSH keeps in flight, so that it never waits for us in vain.
const REPLIES_TOGETHER: usize = 16;
/// Replies that are sent at once: the data of reads is not gathered.
const REPLY_BYTES: usize = 32 * 1024;
/// Most lines of one session on standard error: a client that does not read them must
/// not find its window full (paramiko counts them and reads none).
const LINES_MAX: u32 = 100;
/// Longest file name of our virtual root, for statvfs.
const NAME_MAX: u64 = 255;
/// Block size that statvfs speaks of.
const BLOCK: u64 = 4096;

/// Serves one SFTP session to its end; the value is the channel's exit status: 0 if all
/// that was sent was taken, else 1.
pub fn serve(io: Io, view: View, context: &Context) -> u32 {
    let mut session = Session {
        io,
        view,
        context: *context,
        handles: Handles::default(),
        replies: Replies::default(),
        begun: false,
        failed: false,
        touched: false,
        unconfirmed: None,
        lines_left: LINES_MAX,
    };
    let end = loop {
        if let Err(end) = session.turn() {
            break end;
        }
    };
    session.finish(end)
}

struct Session {
    io: Io,
    view: View,
    context: Context,
    handles: Handles,
    replies: Replies,
    /// INIT came.
    begun: bool,
    /// Something that was sent was not taken: a tree of this session would have a hole,
    /// or belong to a batch that its client broke off.
    failed: bool,
    /// Something was changed that is not a package: perhaps a tree was begun.
    touched: bool,
    /// The file whose CLOSE was just refused, and why.
    unconfirmed: Option<(Vec<u8>, String)>,
    lines_left: u32,
}

/// What a reply that is only a status says.
struct Status(Code, String);

impl Status {
    fn ok() -> Self {
        Self(Code::Ok, String::new())
    }
}

/// Whether a failure leaves a hole in what the sender wanted to bring.
#[derive(Clone, Copy)]
enum Matter {
    /// A file is missing or incomplete.
    Content,
    /// The rest: clients probe and go on (mkdir of what exists, rm of what does not).
    Other,
}

impl Session {
    /// One request and its reply.
    fn turn(&mut self) -> Result<(), End> {
        if self.replies.count >= REPLIES_TOGETHER || !self.io.waiting() || self.replies.len() >= REPLY_BYTES {
            self.flush()?;
        }
        match wire::receive(&mut self.io)? {
            Packet::Init if !self.begun => {
                self.begun = true;
                self.replies.version();
                Ok(())
            }
            Packet::Request { id, request, left } if self.begun => self.answer(id, request, left),
            Packet::Init | Packet::Request { .. } => Err(End::Garbage),
        }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.replies.count == 0 {
            return Ok(());
        }
        let replies = self.replies.take();
        self.io.out(replies)
    }

    fn answer(&mut self, id: u32, request: Option<Request>, left: usize) -> Result<(), End> {
        let Some(request) = request else {
            return self
                .status(id, Status(Code::BadMessage, self.say("mensaje mal formado", "malformed message")));
        };
        let unconfirmed = self.unconfirmed.take();
        match request {
            Request::Open { path, flags, wish } => self.open(id, &path, flags, wish),
            Request::Close { handle } => self.close(id, handle),
            Request::Read { handle, offset, length } => self.read(id, handle, offset, length),
            Request::Write { handle, offset, length } => {
                let mut rest = left.saturating_sub(length);
                self.write(id, handle, offset, length)?;
                self.skip(&mut rest)
            }
            Request::Stat { path } => self.stat(id, &path, unconfirmed),
            Request::Fstat { handle } => self.fstat(id, handle),
            Request::Setstat { path, wish } => {
                let done = self.setstat(&path, wish);
                self.done(id, &path, done, Matter::Other)
            }
            Request::Fsetstat { handle, wish } => self.fsetstat(id, handle, wish),
            Request::Opendir { path } => self.opendir(id, &path),
            Request::Readdir { handle } => self.readdir(id, handle),
            Request::Remove { path } => {
                let done = self.resolve(&path).and_then(|path| self.view.remove(&path));
                self.altered(id, &path, done)
            }
            Request::Mkdir { path } => {
                let done = self.resolve(&path).and_then(|path| self.view.mkdir(&path, false));
                self.altered(id, &path, done)
            }
            Request::Rmdir { path } => {
                let done = self.resolve(&path).and_then(|path| self.view.remove_dir(&path, false));
                self.altered(id, &path, done)
            }
            Request::Realpath { path } => self.realpath(id, &path),
            Request::Rename { from, to, target } => self.rename(id, &from, &to, target),
            Request::Link => {
                let text = self.say("aquí no hay enlaces", "there are no links here");
                self.status(id, Status(Code::PermissionDenied, text))
            }
            Request::Fsync { handle } => self.fsync(id, handle),
            Request::Space => self.space(id),
            Request::Limits => {
                let data = u64::from(wire::DATA_MAX);
                self.replies.numbers(id, &[wire::PACKET_ADVERTISED, data, data, HANDLES_MAX as u64]);
                Ok(())
            }
            Request::Unknown => {
                let text = self.say("operación no admitida", "operation not supported");
                self.status(id, Status(Code::OpUnsupported, text))
            }
        }
    }

    fn open(&mut self, id: u32, raw: &[u8], flags: OpenFlags, wish: Wish) -> Result<(), End> {
        if !self.handles.has_room() {
            let text = self.say("demasiados archivos abiertos", "too many open files");
            return self.status(id, Status(Code::Failure, text));
        }
        // Without CREATE a client looks for something to go on with.
        let brings = flags.has(OpenFlags::WRITE) && flags.has(OpenFlags::CREATE);
        let matter = if brings { Matter::Content } else { Matter::Other };
        match self.try_open(raw, flags, wish) {
            Ok(handle) => {
                let name = self.handles.add(handle);
                self.replies.handle(id, name);
                Ok(())
            }
            Err(error) => self.fail(id, raw, &error, matter),
        }
    }

    fn try_open(&mut self, raw: &[u8], flags: OpenFlags, wish: Wish) -> Result<Handle, DropError> {
        let path = self.resolve(raw)?;
        if !flags.has(OpenFlags::WRITE) {
            return self.view.read(&path).map(Handle::Read);
        }
        if !flags.has(OpenFlags::CREATE) && self.view.stat(&path)?.is_dir {
            return Err(DropError::IsDir);
        }
        let open = if flags.has(OpenFlags::CREATE) && flags.has(OpenFlags::EXCLUSIVE) {
            Open::New
        } else if flags.has(OpenFlags::TRUNCATE) {
            Open::Truncate
        } else {
            Open::Resume
        };
        let place = if flags.has(OpenFlags::APPEND) { Place::End } else { Place::Offset };
        let upload = self.view.create(&path, open, wish.size)?;
        Ok(Handle::Write(Box::new(Writing { path, upload, place, failed: false })))
    }

    fn close(&mut self, id: u32, handle: HandleName) -> Result<(), End> {
        let writing = match self.handles.remove(handle) {
            Some(Handle::Write(writing)) => *writing,
            Some(Handle::Read(_) | Handle::List(_)) => return self.status(id, Status::ok()),
            None => return self.no_handle(id),
        };
        let path = writing.path.to_bytes();
        let status = if writing.failed {
            let text = self.say("el archivo no se escribió completo", "the file was not written whole");
            Status(Code::Failure, text)
        } else {
            // The replies to its last writes must not wait for the disk.
            self.flush()?;
            self.conclusion(&path, writing.upload.close(), Matter::Content)?
        };
        if status.0 != Code::Ok {
            self.unconfirmed = Some((path, status.1.clone()));
        }
        self.status(id, status)
    }

    /// Attributes by name. The request that follows a refused CLOSE and asks for the same
    /// file is a client's confirmation (paramiko's `put` drops the status of the CLOSE and
    /// trusts this one alone): it is told the refusal too.
    fn stat(&mut self, id: u32, raw: &[u8], unconfirmed: Option<(Vec<u8>, String)>) -> Result<(), End> {
        let path = self.resolve(raw);
        match (unconfirmed, &path) {
            (Some((refused, text)), Ok(path)) if refused == path.to_bytes() => {
                self.status(id, Status(Code::Failure, text))
            }
            _ => {
                let stat = path.and_then(|path| self.view.stat(&path));
                self.attributes(id, raw, stat)
            }
        }
    }

    fn read(&mut self, id: u32, handle: HandleName, offset: u64, length: u32) -> Result<(), End> {
        let length = length.min(wire::DATA_MAX) as usize;
        let data = match self.handles.get(handle) {
            Some(Handle::Read(file)) => {
                let mut data = vec![0; length];
                file.read_at(&mut data, offset).map_err(DropError::Io).map(|n| {
                    data.truncate(n);
                    data
                })
            }
            Some(Handle::Write(writing)) => writing.upload.read_at(offset, length),
            Some(Handle::List(_)) | None => return self.no_handle(id),
        };
        match data {
            Ok(data) if data.is_empty() && length > 0 => self.end_of_file(id),
            Ok(data) => {
                self.replies.data(id, &data);
                Ok(())
            }
            Err(error) => self.fail(id, b"", &error, Matter::Other),
        }
    }

    /// Moves the data of a write from the channel into the file, piece by piece as the
    /// network delivered it.
    fn write(&mut self, id: u32, handle: HandleName, offset: u64, mut left: usize) -> Result<(), End> {
        let Some(Handle::Write(writing)) = self.handles.get(handle) else {
            self.skip(&mut left)?;
            return self.no_handle(id);
        };
        let mut place = match writing.place {
            Place::Offset => offset,
            Place::End => writing.upload.size(),
        };
        let mut written = Ok(());
        while let Some(piece) = wire::piece(&mut self.io, &mut left)? {
            if written.is_ok() {
                written = writing.upload.write_at(place, &piece);
                place = place.saturating_add(piece.len() as u64);
            }
        }
        let Err(error) = written else { return self.status(id, Status::ok()) };
        let reported = std::mem::replace(&mut writing.failed, true);
        if reported {
            return self.status(id, Status(code(&error), self.context.explain(&error)));
        }
        let path = writing.path.to_bytes();
        self.fail(id, &path, &error, Matter::Content)
    }

    fn skip(&mut self, left: &mut usize) -> Result<(), End> {
        while wire::piece(&mut self.io, left)?.is_some() {}
        Ok(())
    }

    fn fstat(&mut self, id: u32, handle: HandleName) -> Result<(), End> {
        let stat = match self.handles.get(handle) {
            Some(Handle::Write(writing)) => {
                let mtime = Clock::system().now().as_second();
                Ok(Stat { is_dir: false, size: writing.upload.size(), mtime })
            }
            Some(Handle::Read(file)) => file.metadata().map_err(DropError::Io).map(|found| {
                use std::os::unix::fs::MetadataExt as _;
                Stat { is_dir: false, size: found.len(), mtime: found.mtime() }
            }),
            Some(Handle::List(_)) => self.view.stat(&VPath::root()),
            None => return self.no_handle(id),
        };
        self.attributes(id, b"", stat)
    }

    /// Attributes by name: of a file that this session is writing, or of one that is there.
    fn setstat(&mut self, raw: &[u8], wish: Wish) -> Result<(), DropError> {
        let path = self.resolve(raw)?;
        let open = self.handles.writing().find(|writing| writing.path == path);
        if let Some(writing) = open {
            return apply(writing, wish);
        }
        // Owner and mode are accepted and ignored, but a missing file is still missing.
        self.view.stat(&path)?;
        if let Some(size) = wish.size {
            // Left unclosed: what is cut to a size by name is about to be written
            // (sshfs), and only what is written and closed can be a package.
            self.view.create(&path, Open::Resume, Some(size))?.set_size(size)?;
        }
        wish.mtime.map_or(Ok(()), |mtime| self.view.set_mtime(&path, mtime))
    }

    fn fsetstat(&mut self, id: u32, handle: HandleName, wish: Wish) -> Result<(), End> {
        match self.handles.get(handle) {
            Some(Handle::Write(writing)) => {
                let path = writing.path.to_bytes();
                let applied = apply(writing, wish);
                let matter = if wish.size.is_some() { Matter::Content } else { Matter::Other };
                self.done(id, &path, applied, matter)
            }
            Some(Handle::Read(_) | Handle::List(_)) => self.status(id, Status::ok()),
            None => self.no_handle(id),
        }
    }

    fn opendir(&mut self, id: u32, raw: &[u8]) -> Result<(), End> {
        if !self.handles.has_room() {
            let text = self.say("demasiados archivos abiertos", "too many open files");
            return self.status(id, Status(Code::Failure, text));
        }
        let listing = self.resolve(raw).and_then(|path| {
            let here = self.view.stat(&path)?;
            Ok(Listing::new(here, self.view.list(&path)?))
        });
        match listing {
            Ok(listing) => {
                let name = self.handles.add(Handle::List(listing));
                self.replies.handle(id, name);
                Ok(())
            }
            Err(error) => self.fail(id, raw, &error, Matter::Other),
        }
    }

    fn readdir(&mut self, id: u32, handle: HandleName) -> Result<(), End> {
        let Some(Handle::List(listing)) = self.handles.get(handle) else { return self.no_handle(id) };
        let lines = listing.next(Clock::system().now());
        if lines.is_empty() {
            return self.end_of_file(id);
        }
        self.replies.names(id, &lines);
        Ok(())
    }

    fn realpath(&mut self, id: u32, raw: &[u8]) -> Result<(), End> {
        match self.resolve(raw) {
            Ok(path) => {
                self.replies.path(id, &path.to_bytes());
                Ok(())
            }
            Err(error) => self.fail(id, raw, &error, Matter::Other),
        }
    }

    fn rename(&mut self, id: u32, from: &[u8], to: &[u8], target: Target) -> Result<(), End> {
        self.flush()?;
        let renamed = self.resolve(from).and_then(|from| {
            let to = self.resolve(to)?;
            self.view.rename(&from, &to, target == Target::Replace)
        });
        let status = self.conclusion(to, renamed, Matter::Other)?;
        self.status(id, status)
    }

    fn fsync(&mut self, id: u32, handle: HandleName) -> Result<(), End> {
        match self.handles.get(handle) {
            Some(Handle::Write(writing)) => {
                let path = writing.path.to_bytes();
                let synced = writing.upload.sync();
                self.done(id, &path, synced, Matter::Content)
            }
            Some(Handle::Read(_) | Handle::List(_)) => self.status(id, Status::ok()),
            None => self.no_handle(id),
        }
    }

    /// The eleven numbers of statvfs@openssh.com.
    fn space(&mut self, id: u32) -> Result<(), End> {
        match self.view.space() {
            Ok(space) => {
                let (total, free) = (space.total_bytes / BLOCK, space.free_bytes / BLOCK);
                let nodes = space.free_inodes;
                self.replies
                    .numbers(id, &[BLOCK, BLOCK, total, free, free, nodes, nodes, nodes, 0, 0, NAME_MAX]);
                Ok(())
            }
            Err(error) => self.fail(id, b"", &error, Matter::Other),
        }
    }

    fn resolve(&self, raw: &[u8]) -> Result<VPath, DropError> {
        self.view.resolve(&VPath::root(), raw)
    }

    /// The answer to what made a file whole: waits for the verdict if it is a package.
    fn conclusion(
        &mut self,
        path: &[u8],
        concluded: Result<Option<Submission>, DropError>,
        matter: Matter,
    ) -> Result<Status, Gone> {
        match concluded {
            Ok(None) => {
                self.touched = true;
                Ok(Status::ok())
            }
            Ok(Some(submission)) => {
                let verdict = self.context.verdict(submission);
                let line = verdict.line(self.context.lang);
                self.failed |= !verdict.is_success();
                self.line(&line)?;
                Ok(Status(if verdict.is_success() { Code::Ok } else { Code::Failure }, line))
            }
            Err(error) => self.failure(path, &error, matter),
        }
    }

    fn done(&mut self, id: u32, path: &[u8], done: Result<(), DropError>, matter: Matter) -> Result<(), End> {
        match done {
            Ok(()) => self.status(id, Status::ok()),
            Err(error) => self.fail(id, path, &error, matter),
        }
    }

    fn altered(&mut self, id: u32, path: &[u8], done: Result<(), DropError>) -> Result<(), End> {
        self.touched |= done.is_ok();
        self.done(id, path, done, Matter::Other)
    }

    fn attributes(&mut self, id: u32, path: &[u8], stat: Result<Stat, DropError>) -> Result<(), End> {
        match stat {
            Ok(stat) => {
                self.replies.attributes(id, &stat);
                Ok(())
            }
            Err(error) => self.fail(id, path, &error, Matter::Other),
        }
    }

    fn fail(&mut self, id: u32, path: &[u8], error: &DropError, matter: Matter) -> Result<(), End> {
        let status = self.failure(path, error, matter)?;
        self.status(id, status)
    }

    /// The answer to an operation that failed. What a rule or a disk refused is also said
    /// in words: a status number alone would not tell its sender what to do.
    fn failure(&mut self, path: &[u8], error: &DropError, matter: Matter) -> Result<Status, Gone> {
        let text = self.context.explain(error);
        let in_words = match error {
            DropError::Denied(_) | DropError::Rejected(_) | DropError::Io(_) => true,
            DropError::NotFound
            | DropError::Exists
            | DropError::IsDir
            | DropError::NotDir
            | DropError::NotEmpty => false,
        };
        if matches!(matter, Matter::Content) {
            self.failed = true;
        }
        if in_words {
            let at = if path.is_empty() { String::new() } else { format!("{}: ", escape(path)) };
            self.line(&format!("{at}{text}"))?;
        }
        Ok(Status(code(error), text))
    }

    fn no_handle(&mut self, id: u32) -> Result<(), End> {
        let text = self.say("ese archivo no está abierto así", "that file is not open like this");
        self.status(id, Status(Code::Failure, text))
    }

    fn end_of_file(&mut self, id: u32) -> Result<(), End> {
        let text = self.say("fin", "end of file");
        self.status(id, Status(Code::Eof, text))
    }

    fn status(&mut self, id: u32, Status(code, text): Status) -> Result<(), End> {
        self.replies.status(id, code, &text);
        Ok(())
    }

    fn say(&self, es: &str, en: &str) -> String {
        self.context.lang.pick(es, en).to_owned()
    }

    fn line(&mut self, line: &str) -> Result<(), Gone> {
        match self.lines_left.checked_sub(1) {
            Some(left) => self.lines_left = left,
            None => return Ok(()),
        }
        self.io.err(line)
    }

    /// Commits the tree, if one was written and came whole; gives the exit status.
    fn finish(mut self, end: End) -> u32 {
        let flushed = self.flush();
        // A client that was killed ends its channel as cleanly as one that is done: only
        // the file it left open tells.
        let torn = end == End::Torn || self.handles.writing().next().is_some();
        match end {
            End::Clean | End::Torn if torn || self.failed => self.abandon(torn),
            End::Clean if flushed.is_ok() => self.commit(),
            End::Garbage => {
                let text = self.say("lo recibido no es SFTP versión 3", "what came is not SFTP version 3");
                let _ = self.line(&text);
                1
            }
            End::Clean | End::Torn | End::Gone => 1,
        }
    }

    fn commit(mut self) -> u32 {
        let (view, io) = (self.view, &mut self.io);
        let (ok, line) = match view.finish() {
            Ok(None) => return 0,
            Ok(Some(submission)) => {
                let verdict = self.context.verdict(submission);
                (verdict.is_success(), verdict.line(self.context.lang))
            }
            Err(error) => (false, self.context.explain(&error)),
        };
        // Nobody may be listening any more; the verdict stands all the same.
        let _ = io.err(&line);
        u32::from(!ok)
    }

    fn abandon(mut self, torn: bool) -> u32 {
        if torn {
            let text =
                self.say("la sesión terminó con un archivo incompleto", "the session ended inside a file");
            let _ = self.line(&text);
        }
        if self.touched {
            let _ = self.line(self.context.unpublished());
        }
        1
    }
}

/// Size and time for a file on its way.
fn apply(writing: &mut Writing, wish: Wish) -> Result<(), DropError> {
    if let Some(mtime) = wish.mtime {
        writing.upload.set_mtime(mtime);
    }
    let sized = wish.size.map_or(Ok(()), |size| writing.upload.set_size(size));
    writing.failed |= sized.is_err();
    sized
}

/// The status that a failure has in version 3. A missing file is always NO_SUCH_FILE:
/// WinSCP takes any other answer to a removal for an error.
fn code(error: &DropError) -> Code {
    match error {
        DropError::NotFound => Code::NoSuchFile,
        DropError::Denied(_) => Code::PermissionDenied,
        DropError::Exists
        | DropError::IsDir
        | DropError::NotDir
        | DropError::NotEmpty
        | DropError::Rejected(_)
        | DropError::Io(_) => Code::Failure,
    }
}
