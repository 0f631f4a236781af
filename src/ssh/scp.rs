//! The receiving end of the legacy scp protocol: `scp -t`, which `scp -O`, pscp and every
//! scp before OpenSSH 9 start on the far side.
//!
//! Owns one transfer. Control lines come one by one, each answered by one byte or by one
//! sentence; a file's data goes from the network's buffers into the upload without a copy.
//! Imports `drop`, `model` and the channel's end. There is no standard for the protocol:
//! where a choice is free, the reference is `sink()` of OpenSSH's scp.c.
//!
//! A file is whole when its declared bytes have come, and after them the client's NUL or
//! its clean end: libssh2 (curl's scp://, PHP) never sends that NUL, and takes the file
//! for delivered. A refusal is sent as a warning (`\x01` and a sentence): the client prints it, goes on with
//! the next file and ends with 1. A tree is committed at the clean end of the transfer, and
//! not at all if the client or we failed with any of its files.

mod control;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;

use crate::drop::{DropError, Open, Submission, VPath, View};
use crate::model::escape;

use super::io::{Gone, Io};
use super::program::Context;
use control::{Control, LINE_MAX, Request};

/// Deepest nesting of folders; the verification of trees asks for less.
const DEPTH_MAX: usize = 64;

/// Receives what an `scp` client sends; `args` are the words after `scp`. The value is
/// the exit status: 0 if everything was taken, else 1.
pub fn sink(args: &[Vec<u8>], io: &mut Io, view: View, context: &Context) -> u32 {
    let mut sink = Sink { io, view, context: *context, failed: false, touched: false };
    let received = Request::parse(args).map_err(|no| Stop::Fatal(no.text(context.lang).to_owned()));
    let stop = received.and_then(|request| sink.run(&request));
    sink.finish(stop)
}

struct Sink<'a> {
    io: &'a mut Io,
    view: View,
    context: Context,
    /// Something was not taken: a tree of this transfer would have a hole.
    failed: bool,
    /// Something was written that is not a package: perhaps a tree was begun.
    touched: bool,
}

/// Why a transfer ends before its clean end.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The peer's end of file where more had been promised.
    Torn,
    /// The connection went away.
    Gone,
    /// The client gave up, and said so.
    Theirs,
    /// Nothing more is taken, for this reason.
    Fatal(String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The client's word after the data of a file; its clean end is one, too.
enum Word {
    Whole,
    Failed,
}

/// A folder that is being filled.
struct Folder {
    path: VPath,
    mtime: Option<i64>,
}

impl Sink<'_> {
    fn run(&mut self, request: &Request) -> Result<(), Stop> {
        let target = self.target(request)?;
        let mut folders: Vec<Folder> = Vec::new();
        let mut mtime = None;
        self.accept()?;
        while let Some(line) = self.line()? {
            let control = Control::parse(&line).ok_or_else(|| self.unexpected())?;
            let place = |name: &[u8]| match (folders.last(), &target) {
                (Some(folder), _) => folder.path.join(OsStr::from_bytes(name)),
                (None, Destination::Folder(path)) => path.join(OsStr::from_bytes(name)),
                (None, Destination::Name(path)) => path.clone(),
            };
            match control {
                Control::Warning => self.failed = true,
                Control::Fatal => return Err(Stop::Theirs),
                Control::Time(seconds) => {
                    mtime = Some(seconds);
                    self.accept()?;
                }
                Control::File { size, name } => {
                    let path = place(&name);
                    self.file(&path, size, mtime.take())?;
                }
                Control::Folder { name } => {
                    let path = place(&name);
                    if !request.recursive || folders.len() >= DEPTH_MAX {
                        return Err(self.unexpected());
                    }
                    let mtime = mtime.take();
                    if self.folder(&path)? {
                        folders.push(Folder { path, mtime });
                    }
                }
                Control::FolderEnd => {
                    let Some(Folder { path, mtime }) = folders.pop() else {
                        self.accept()?;
                        return Ok(());
                    };
                    // A time that is not kept is no reason to refuse a folder.
                    let _ = mtime.map(|mtime| self.view.set_mtime(&path, mtime));
                    self.accept()?;
                }
            }
        }
        if folders.is_empty() { Ok(()) } else { Err(Stop::Torn) }
    }

    /// Where things go: into the target if it is a folder, else to its name.
    fn target(&self, request: &Request) -> Result<Destination, Stop> {
        let fatal = |error: &DropError| {
            Stop::Fatal(format!("{}: {}", escape(&request.target), self.context.explain(error)))
        };
        let path = self.view.resolve(&VPath::root(), &request.target).map_err(|e| fatal(&e))?;
        match self.view.stat(&path) {
            Ok(stat) if stat.is_dir => Ok(Destination::Folder(path)),
            Ok(_) if request.wants_folder() => Err(fatal(&DropError::NotDir)),
            Err(DropError::NotFound) if request.wants_folder() => Err(fatal(&DropError::NotFound)),
            Ok(_) | Err(DropError::NotFound) => Ok(Destination::Name(path)),
            Err(error) => Err(fatal(&error)),
        }
    }

    /// Takes one file: its data, the client's word that they are all, and the verdict.
    fn file(&mut self, path: &VPath, size: u64, mtime: Option<i64>) -> Result<(), Stop> {
        let mut upload = match self.view.create(path, Open::Truncate, Some(size)) {
            Ok(upload) => upload,
            Err(error) => return self.refuse(path, &error),
        };
        self.accept()?;
        let mut written = Ok(());
        let mut place = 0;
        while place < size {
            let piece = self.piece(size - place)?;
            if written.is_ok() {
                written = upload.write_at(place, &piece);
            }
            place += piece.len() as u64;
        }
        match (self.word()?, written) {
            (Word::Whole, Ok(())) => {
                if let Some(mtime) = mtime {
                    upload.set_mtime(mtime);
                }
                match upload.close() {
                    Ok(None) => {
                        self.touched = true;
                        Ok(self.accept()?)
                    }
                    Ok(Some(submission)) => self.verdict(submission),
                    Err(error) => self.refuse(path, &error),
                }
            }
            (_, Err(error)) => self.refuse(path, &error),
            (Word::Failed, Ok(())) => {
                self.failed = true;
                let text =
                    self.context.lang.pick("no llegó completo y no se toma", "did not come whole, not taken");
                Ok(self.warn(&format!("{}: {text}", escape(&path.to_bytes())))?)
            }
        }
    }

    /// Makes a folder that is to be filled; `false` if it was refused, so that the client
    /// leaves it out.
    fn folder(&mut self, path: &VPath) -> Result<bool, Stop> {
        let made = match self.view.stat(path) {
            Ok(stat) if stat.is_dir => Ok(()),
            Ok(_) => Err(DropError::NotDir),
            Err(DropError::NotFound) => self.view.mkdir(path, false),
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => {
                self.touched = true;
                self.accept()?;
                Ok(true)
            }
            Err(error) => {
                self.refuse(path, &error)?;
                Ok(false)
            }
        }
    }

    fn verdict(&mut self, submission: Submission) -> Result<(), Stop> {
        let verdict = self.context.verdict(submission);
        let line = verdict.line(self.context.lang);
        if verdict.is_success() {
            self.io.err(&line)?;
            self.accept()?;
        } else {
            self.failed = true;
            self.warn(&line)?;
        }
        Ok(())
    }

    fn refuse(&mut self, path: &VPath, error: &DropError) -> Result<(), Stop> {
        self.failed = true;
        Ok(self.warn(&format!("{}: {}", escape(&path.to_bytes()), self.context.explain(error)))?)
    }

    fn accept(&self) -> Result<(), Gone> {
        self.io.out(Bytes::from_static(b"\0"))
    }

    /// A sentence that the client prints; it goes on with the next file.
    fn warn(&self, text: &str) -> Result<(), Gone> {
        self.io.out(format!("\x01scp: {text}\n"))
    }

    fn unexpected(&self) -> Stop {
        let text =
            self.context.lang.pick("orden inesperada del cliente scp", "unexpected order of the scp client");
        Stop::Fatal(text.to_owned())
    }

    /// The next control line without its newline; `None` at the peer's end of file.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let mut line = Vec::new();
        loop {
            let Some(mut bytes) = self.io.next()? else {
                return if line.is_empty() { Ok(None) } else { Err(Stop::Torn) };
            };
            let end = bytes.iter().position(|b| *b == b'\n');
            let part = bytes.split_to(end.unwrap_or(bytes.len()));
            if line.len() + part.len() > LINE_MAX {
                return Err(self.unexpected());
            }
            line.extend_from_slice(&part);
            if end.is_some() {
                self.io.put_back(bytes.split_off(1));
                return Ok(Some(line));
            }
        }
    }

    /// The next piece of a file's data, as it came from the network.
    fn piece(&mut self, left: u64) -> Result<Bytes, Stop> {
        let mut bytes = self.io.next()?.ok_or(Stop::Torn)?;
        if let Some(left) = usize::try_from(left).ok().filter(|left| *left < bytes.len()) {
            self.io.put_back(bytes.split_off(left));
        }
        Ok(bytes)
    }

    fn word(&mut self) -> Result<Word, Stop> {
        let Some(mut bytes) = self.io.next()? else { return Ok(Word::Whole) };
        let first = bytes.split_to(1);
        self.io.put_back(bytes);
        match first.first() {
            Some(0) => Ok(Word::Whole),
            Some(1) => {
                self.line()?;
                Ok(Word::Failed)
            }
            Some(2) => Err(Stop::Theirs),
            _ => Err(self.unexpected()),
        }
    }

    /// Commits the tree, if one was written and came whole; gives the exit status.
    fn finish(self, stop: Result<(), Stop>) -> u32 {
        // Whoever sent this may have left already: what cannot be said is not said.
        match &stop {
            Ok(()) if !self.failed => return self.commit(),
            Ok(()) | Err(Stop::Theirs | Stop::Gone) => {}
            Err(Stop::Torn) => {
                let text =
                    self.context.lang.pick("la transferencia no terminó", "the transfer did not finish");
                let _ = self.io.err(text);
            }
            Err(Stop::Fatal(text)) => {
                let _ = self.io.out(format!("\x02scp: {text}\n"));
            }
        }
        if self.touched {
            let _ = self.io.err(self.context.unpublished());
        }
        1
    }

    fn commit(self) -> u32 {
        let (ok, line) = match self.view.finish() {
            Ok(None) => return 0,
            Ok(Some(submission)) => {
                let verdict = self.context.verdict(submission);
                (verdict.is_success(), verdict.line(self.context.lang))
            }
            Err(error) => (false, self.context.explain(&error)),
        };
        let _ = self.io.err(&line);
        u32::from(!ok)
    }
}

/// What the target is when the transfer begins.
enum Destination {
    /// An existing folder: everything keeps its name in it.
    Folder(VPath),
    /// A file to replace or a name to be: what comes is called so.
    Name(VPath),
}
