//! `tar x` and `tar t`, in all the ways people write their options.

use crate::archive::Format;
use crate::drop::DropError;
use crate::model::escape;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Options, Value};
use super::super::shell::{Done, Shell};
use super::super::source::Broken;
use super::unpack::{Existing, Failure, Purpose, Times, Unpacking};
use super::{Builtin, broken};

#[derive(Debug)]
struct Tar {
    /// `None` is standard input.
    file: Option<Word>,
    /// `-C`, one after the other.
    folders: Vec<Vec<u8>>,
    formats: &'static [Format],
    how: How,
    members: Vec<Word>,
}

/// The part that does not depend on where the line stands.
#[derive(Clone, Copy, Debug)]
struct How {
    purpose: Purpose,
    strip: usize,
    existing: Existing,
    times: Times,
    verbose: bool,
}

const USAGE: &str = "tar x[z]f FILE|- [-C DIR] [--strip-components=N]";

const KNOWN: Known = &[
    ('x', "extract", Value::None),
    ('→', "get", Value::None),
    ('t', "list", Value::None),
    ('z', "gzip", Value::None),
    ('←', "gunzip", Value::None),
    ('↑', "zstd", Value::None),
    ('a', "auto-compress", Value::None),
    ('v', "verbose", Value::None),
    ('f', "file", Value::Needed),
    ('C', "directory", Value::Needed),
    ('k', "keep-old-files", Value::None),
    ('↓', "skip-old-files", Value::None),
    ('m', "touch", Value::None),
    ('S', "strip-components", Value::Needed),
    // Owners, modes and attributes are ours alone, and files are always replaced whole.
    ('p', "preserve-permissions", Value::None),
    ('p', "same-permissions", Value::None),
    ('o', "no-same-owner", Value::None),
    ('o', "no-same-permissions", Value::None),
    ('o', "same-owner", Value::None),
    ('o', "numeric-owner", Value::None),
    ('U', "unlink-first", Value::None),
    ('U', "overwrite", Value::None),
    ('U', "overwrite-dir", Value::None),
    ('U', "no-overwrite-dir", Value::None),
    ('U', "no-xattrs", Value::None),
    ('U', "no-acls", Value::None),
    ('U', "no-selinux", Value::None),
    ('U', "delay-directory-restore", Value::None),
    ('U', "warning", Value::Needed),
    ('U', "no-wildcards", Value::None),
    ('h', "dereference", Value::None),
];

pub(super) fn tar(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = sorted(call)?;
    let purpose = match options.last_of(&['x', '→', 't']) {
        Some('t') => Purpose::Look,
        Some(_) => Purpose::Extract,
        None => return Err(call.usage(USAGE)),
    };
    let strip = options.number('S').transpose().map_err(|()| call.usage(USAGE))?.unwrap_or(0);
    let formats: &[Format] = match options.last_of(&['z', '←', '↑']) {
        Some('↑') => &[Format::TarZst],
        Some(_) => &[Format::TarGz],
        None => &[Format::Tar, Format::TarGz, Format::TarZst],
    };
    let existing = match options.last_of(&['k', '↓', 'U']) {
        Some('k') => Existing::Refuse,
        Some('↓') => Existing::Skip,
        _ => Existing::Replace,
    };
    Ok(Box::new(Tar {
        file: options.value('f').filter(|name| *name != b"-").map(Word::from),
        folders: options.values('C').map(<[u8]>::to_vec).collect(),
        formats,
        how: How {
            purpose,
            strip: usize::try_from(strip).unwrap_or(usize::MAX),
            existing,
            times: if options.has('m') { Times::Now } else { Times::Archive },
            verbose: options.has('v') || purpose == Purpose::Look,
        },
        members: options.operands,
    }))
}

/// The words of tar: the first may be a cluster without a dash, whose values follow it.
fn sorted(call: &Call<'_>) -> Result<Options, Fault> {
    let Some((first, rest)) = call.args.split_first().filter(|(first, _)| !first.bytes().starts_with(b"-"))
    else {
        // `S` stands for a long option only.
        return checked(call, call.options(KNOWN)?, call.args);
    };
    let mut given = Vec::new();
    let mut words = rest.iter();
    for letter in first.bytes() {
        if letter == b'S' {
            return Err(call.unknown(b"-S"));
        }
        call.cluster(KNOWN, &[letter], &mut words, &mut given)?;
    }
    let rest = Call { name: call.name, args: words.as_slice() };
    let mut options = checked(call, rest.options(KNOWN)?, words.as_slice())?;
    given.into_iter().for_each(|given| options.push(given));
    Ok(options)
}

/// `-S` means sparse files to tar, which an extraction need not be told.
fn checked(call: &Call<'_>, options: Options, words: &[Word]) -> Result<Options, Fault> {
    let is_sparse = |word: &Word| {
        let bytes = word.bytes();
        bytes.starts_with(b"-S") || bytes.len() > 2 && bytes.starts_with(b"-") && bytes.ends_with(b"S")
    };
    if options.has('S') && words.iter().any(is_sparse) { Err(call.unknown(b"-S")) } else { Ok(options) }
}

impl Tar {
    fn unpack(&self, shell: &mut Shell<'_>) -> Done {
        let Some(base) = self.base(shell)? else { return Ok(2) };
        let members = shell.expand(&self.members);
        let how = Unpacking {
            strip: self.how.strip,
            members,
            existing: self.how.existing,
            times: self.how.times,
            verbose: self.how.verbose.then_some(""),
            purpose: self.how.purpose,
            ..Unpacking::into(base)
        };
        let done = match self.open(shell)? {
            Input::Missing => return Ok(2),
            Input::File(file) => how.file(shell, &file, self.formats),
            Input::Stream => how.input(shell, self.formats),
        };
        match done {
            Ok(()) => Ok(0),
            Err(failure) => self.tell_failure(shell, failure),
        }
    }

    /// The folder that files go to, which must be there.
    fn base(&self, shell: &mut Shell<'_>) -> Result<Option<crate::drop::VPath>, Gone> {
        let mut base = shell.cwd.clone();
        for folder in &self.folders {
            let found = match folder.as_slice() {
                [] => Err(DropError::NotFound),
                folder => shell.view.resolve(&base, folder),
            };
            let found = found.and_then(|path| match shell.view.stat(&path)?.is_dir {
                true => Ok(path),
                false => Err(DropError::NotDir),
            });
            match found {
                Ok(path) => base = path,
                Err(error) => {
                    let text = format!("tar: {}: Cannot open: {}", escape(folder), shell.strerror(&error));
                    shell.err(text)?;
                    shell.err("tar: Error is not recoverable: exiting now")?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(base))
    }

    fn open(&self, shell: &mut Shell<'_>) -> Result<Input, Gone> {
        let Some(word) = &self.file else { return Ok(Input::Stream) };
        let names = shell.expand(std::slice::from_ref(word));
        let name = names.into_iter().next().unwrap_or_default();
        match shell.path(&name).and_then(|path| shell.view.read(&path)) {
            Ok(file) => Ok(Input::File(file)),
            Err(error) => {
                let text = format!("tar: {}: Cannot open: {}", escape(&name), shell.strerror(&error));
                shell.err(text)?;
                shell.err("tar: Error is not recoverable: exiting now")?;
                Ok(Input::Missing)
            }
        }
    }

    fn tell_failure(&self, shell: &mut Shell<'_>, failure: Failure) -> Done {
        shell.spoil();
        match failure {
            Failure::Gone | Failure::Read(Broken::Gone) => return Err(Gone),
            Failure::Rejected(rejection) => shell.reject(&rejection)?,
            Failure::Write { name, error } => {
                let text =
                    format!("tar: {}: Cannot open: {}", escape(name.as_bytes()), shell.strerror(&error));
                shell.err(text)?;
            }
            Failure::NoMember(name) => shell.err(format!("tar: {}: Not found in archive", escape(&name)))?,
            Failure::Read(why) => {
                broken(shell, "tar", "-", why)?;
            }
        }
        shell.err("tar: Exiting with failure status due to previous errors")?;
        Ok(2)
    }
}

/// What an archive is read from.
enum Input {
    Missing,
    File(std::fs::File),
    Stream,
}

impl Builtin for Tar {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        self.unpack(shell)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        let from = match &self.file {
            Some(word) => teller.path(word),
            None => teller.say("lo que llega por la entrada", "what comes in"),
        };
        if self.how.purpose == Purpose::Look {
            return format!("{} {from}", teller.say("revisa y enumera", "checks and lists"));
        }
        let base = teller.folder(&self.folders);
        let (unpacks, into) = (teller.say("desempaca", "unpacks"), teller.say("en", "into"));
        format!("{unpacks} {from} {into} {base}")
    }
}
