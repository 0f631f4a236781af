//! Archives into the virtual root: the strict readers of `archive`, with the view behind them.
//!
//! Nothing counts before the last byte: files under `sitio/` belong to the line's
//! transaction, and an archive that holds nothing but packages (and their sums) hands them
//! on only after its own clean end.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;

use crate::archive::{self, Format, Limits, Sink, Stream};
use crate::drop::{DropError, Upload, VPath};
use crate::model::{Code, Rejection};
use crate::package;
use crate::ssh::io::Gone;

use super::super::shell::Shell;
use super::super::source::{Broken, Source};

/// How an archive is unpacked.
#[derive(Clone, Debug)]
pub(super) struct Unpacking {
    /// Where to.
    pub(super) base: VPath,
    /// Leading components that are dropped (`--strip-components`).
    pub(super) strip: usize,
    /// Only these and what lies below them; all if empty.
    pub(super) members: Vec<Vec<u8>>,
    /// What happens to a file that is there.
    pub(super) existing: Existing,
    /// Whether times are the archive's.
    pub(super) times: Times,
    /// What each entry is told with; `None` tells nothing.
    pub(super) verbose: Option<&'static str>,
    /// Whether anything is written at all.
    pub(super) purpose: Purpose,
}

/// What happens to a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Replace,
    Skip,
    Refuse,
}

/// Which times files get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Archive,
    Now,
}

/// What an archive is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Extract,
    /// Names only, or only to see that it is whole.
    Look,
}

/// Why an archive was not unpacked.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens any more.
    Gone,
    /// The archive is at fault.
    Rejected(Rejection),
    /// Writing `name` failed.
    Write { name: String, error: DropError },
    /// The archive could not be read.
    Read(Broken),
    /// A member that was asked for is not in it.
    NoMember(Vec<u8>),
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Unpacking {
    /// Everything, into `base`.
    pub(super) fn into(base: VPath) -> Self {
        Self {
            base,
            strip: 0,
            members: Vec::new(),
            existing: Existing::Replace,
            times: Times::Archive,
            verbose: None,
            purpose: Purpose::Extract,
        }
    }

    /// Unpacks a file of the drop, read at any place and by two cores.
    pub(super) fn file(&self, shell: &mut Shell<'_>, file: &File, wanted: &[Format]) -> Result<(), Failure> {
        let mut head = vec![0; HEAD_BYTES];
        let length = fill(file, &mut head).map_err(|error| Failure::Read(Broken::Disk(error)))?;
        let format = sniff(head.get(..length).unwrap_or_default(), wanted)?;
        // The name on disk is the sender's affair here; the reader wants one that fits.
        let name = format!("x.{}", format.suffix());
        let limits = shell.setup.limits.clone();
        let mut at = At::new(self, shell);
        let read = archive::read(file, &name, &limits, &mut at).map(|_| ());
        at.end(read)
    }

    /// Unpacks what comes through the input, to its very end.
    pub(super) fn input(&self, shell: &mut Shell<'_>, wanted: &[Format]) -> Result<(), Failure> {
        let mut source = shell.take_input();
        let limits = shell.setup.limits.clone();
        let mut at = At::new(self, shell);
        let read = stream(&mut source, &mut at, &limits, wanted);
        if matches!(read, Err(Failure::Rejected(_) | Failure::Write { .. })) {
            drain(&mut source, at.shell, limits.package_bytes)?;
        }
        read.and_then(|()| at.end(Ok(())))
    }
}

fn stream(
    source: &mut Source,
    at: &mut At<'_, '_>,
    limits: &Limits,
    wanted: &[Format],
) -> Result<(), Failure> {
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES {
        let Some(piece) = source.pull(at.shell.channel()).map_err(Failure::Read)? else { break };
        head.extend_from_slice(&piece);
    }
    let format = sniff(&head, wanted)?;
    let mut stream = Stream::new(format, limits).map_err(|refusal| Failure::Rejected(refusal.into()))?;
    stream.feed(&head, at).map_err(|error| at.failure(error))?;
    while let Some(piece) = source.pull(at.shell.channel()).map_err(Failure::Read)? {
        stream.feed(&piece, at).map_err(|error| at.failure(error))?;
    }
    stream.finish().map(|_| ()).map_err(|error| at.failure(error))
}

/// Reads on to the end, so that the sender's own tool ends well and its user sees our
/// reason instead of a broken pipe.
fn drain(source: &mut Source, shell: &mut Shell<'_>, most: u64) -> Result<(), Failure> {
    let mut drained = 0;
    while drained < most {
        match source.pull(shell.channel()) {
            Ok(Some(piece)) => drained += piece.len() as u64,
            Err(Broken::Gone) => return Err(Failure::Gone),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(())
}

fn fill(file: &File, head: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;
    let mut length = 0;
    loop {
        let read = file.read_at(head.get_mut(length..).unwrap_or_default(), length as u64)?;
        length += read;
        if read == 0 {
            return Ok(length);
        }
    }
}

fn sniff(head: &[u8], wanted: &[Format]) -> Result<Format, Failure> {
    if head.is_empty() {
        return Err(Failure::Rejected(Rejection::new(Code::Truncated).detail("0 B".to_owned())));
    }
    let found = Format::sniff(head);
    found.filter(|format| wanted.contains(format)).ok_or_else(|| {
        let detail = found.map_or_else(|| "?".to_owned(), |format| format.to_string());
        Failure::Rejected(Rejection::new(Code::FormatMismatch).detail(detail))
    })
}

/// An archive on its way into the view.
struct At<'s, 'a> {
    how: &'s Unpacking,
    shell: &'s mut Shell<'a>,
    /// The file that is being written; `None` while one is passed over.
    file: Option<Writing>,
    /// Folders that are known to be there.
    made: BTreeSet<VPath>,
    /// Members that were found.
    found: BTreeSet<usize>,
    /// Packages that came out, whose turn is after the clean end.
    packages: Vec<VPath>,
    /// Something else than packages and sums came out too: then this is a site, and the
    /// archives in it are downloads.
    is_site: bool,
    /// Why the sink gave up.
    failed: Option<Failure>,
}

struct Writing {
    name: String,
    path: VPath,
    upload: Upload,
    at: u64,
}

impl<'s, 'a> At<'s, 'a> {
    fn new(how: &'s Unpacking, shell: &'s mut Shell<'a>) -> Self {
        if how.purpose == Purpose::Extract {
            shell.changes(&how.base);
        }
        Self {
            how,
            shell,
            file: None,
            made: BTreeSet::new(),
            found: BTreeSet::new(),
            packages: Vec::new(),
            is_site: false,
            failed: None,
        }
    }

    /// Where an entry goes; `None` if it is not wanted.
    fn place(&mut self, name: &str) -> Option<VPath> {
        if !self.how.members.is_empty() {
            let member = self.how.members.iter().position(|member| is_below(name.as_bytes(), member))?;
            self.found.insert(member);
        }
        let mut parts = name.split('/').skip(self.how.strip).peekable();
        parts.peek()?;
        Some(parts.fold(self.how.base.clone(), |path, part| path.join(OsStr::new(part))))
    }

    fn folder(&mut self, path: &VPath) -> Result<(), DropError> {
        if self.made.contains(path) || path.components().is_empty() {
            return Ok(());
        }
        self.shell.changes(path);
        self.shell.view.mkdir(path, true)?;
        self.made.insert(path.clone());
        Ok(())
    }

    fn tell(&mut self, name: &str) -> io::Result<()> {
        let Some(prefix) = self.how.verbose else { return Ok(()) };
        self.shell.line(format!("{prefix}{name}")).map_err(|gone| {
            self.failed = Some(Failure::Gone);
            gone.into()
        })
    }

    fn give_up(&mut self, name: &str, error: DropError) -> io::Error {
        self.failed = Some(Failure::Write { name: name.to_owned(), error });
        io::ErrorKind::Other.into()
    }

    fn begin(
        &mut self,
        name: &str,
        path: VPath,
        size: u64,
        mtime: i64,
    ) -> Result<Option<Writing>, DropError> {
        self.folder(&path.parent())?;
        if self.how.existing != Existing::Replace && self.shell.view.stat(&path).is_ok() {
            return match self.how.existing {
                Existing::Refuse => Err(DropError::Exists),
                Existing::Skip | Existing::Replace => Ok(None),
            };
        }
        self.shell.changes(&path);
        let mut upload = self.shell.view.create_unpacked(&path, Some(size))?;
        if self.how.times == Times::Archive {
            upload.set_mtime(mtime);
        }
        Ok(Some(Writing { name: name.to_owned(), path, upload, at: 0 }))
    }

    fn note(&mut self, path: VPath) {
        let name = path.name().unwrap_or_default().to_string_lossy().into_owned();
        if is_for_packages(&path.parent()) && Format::from_name(&name).is_some() {
            self.packages.push(path);
        } else if !package::is_sidecar(&name) {
            self.is_site = true;
        }
    }

    fn failure(&mut self, error: archive::Error) -> Failure {
        match (error, self.failed.take()) {
            (_, Some(failure)) => failure,
            (archive::Error::Refused(refusal), None) => Failure::Rejected(refusal.into()),
            (archive::Error::Sink(error) | archive::Error::Read(error), None) => {
                Failure::Read(Broken::Disk(error))
            }
        }
    }

    /// The archive is over: what was asked for must have come, and packages have their turn.
    fn end(mut self, read: Result<(), archive::Error>) -> Result<(), Failure> {
        read.map_err(|error| self.failure(error))?;
        if let Some(missing) = (0..self.how.members.len()).find(|at| !self.found.contains(at)) {
            return Err(Failure::NoMember(self.how.members.get(missing).cloned().unwrap_or_default()));
        }
        if self.is_site {
            return Ok(());
        }
        for path in std::mem::take(&mut self.packages) {
            let name = path.name().unwrap_or_default().to_os_string();
            // A file that gets a package's name becomes a package: so it gets it again.
            let mut passing = name.clone();
            passing.push(PASSING);
            let passing = path.parent().join(&passing);
            let renamed = self
                .shell
                .view
                .rename(&path, &passing, true)
                .and_then(|_| self.shell.view.rename(&passing, &path, true));
            match renamed {
                Ok(submission) => self.shell.await_verdicts(submission)?,
                Err(error) => {
                    return Err(Failure::Write { name: name.to_string_lossy().into_owned(), error });
                }
            }
        }
        Ok(())
    }
}

impl Sink for At<'_, '_> {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        let Some(place) = self.place(path) else { return Ok(()) };
        self.tell(&format!("{path}/"))?;
        if self.how.purpose == Purpose::Look {
            return Ok(());
        }
        self.folder(&place).map_err(|error| self.give_up(path, error))
    }

    fn file(&mut self, path: &str, size: u64, mtime: i64) -> io::Result<()> {
        let Some(place) = self.place(path) else { return Ok(()) };
        self.tell(path)?;
        if self.how.purpose == Purpose::Look {
            return Ok(());
        }
        self.file = self.begin(path, place, size, mtime).map_err(|error| self.give_up(path, error))?;
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(mut writing) = self.file.take() else { return Ok(()) };
        if let Err(error) = writing.upload.write_at(writing.at, bytes) {
            return Err(self.give_up(&writing.name, error));
        }
        writing.at += bytes.len() as u64;
        self.file = Some(writing);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(Writing { name, path, upload, .. }) = self.file.take() else { return Ok(()) };
        upload.close().map_err(|error| self.give_up(&name, error))?;
        self.note(path);
        Ok(())
    }
}

/// Whether an entry is `member` or lies below it.
fn is_below(name: &[u8], member: &[u8]) -> bool {
    let member = member.strip_prefix(b"./").unwrap_or(member);
    let member = member.strip_suffix(b"/").unwrap_or(member);
    name.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Where whole archives are packages: at the top and in `paquetes/`.
fn is_for_packages(folder: &VPath) -> bool {
    match folder.components() {
        [] => true,
        [only] => only == "paquetes",
        _ => false,
    }
}

/// Bytes that tell every format.
const HEAD_BYTES: usize = 512;

/// End of a name that says "not whole yet".
const PASSING: &str = ".part";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_whole_components() {
        assert!(is_below(b"dist/a", b"./dist/"));
        assert!(is_below(b"dist", b"dist"));
        assert!(!is_below(b"distant", b"dist"));
    }
}
