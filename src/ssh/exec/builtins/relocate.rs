//! `mv` and `cp`: the step with which many scripts turn an upload into a package.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::drop::{DropError, Stat, VPath};
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Options, Value};
use super::super::shell::{Done, Shell};
use super::{Builtin, quote};

/// Where things go.
#[derive(Debug)]
struct Targets {
    sources: Vec<Word>,
    /// The last operand, or the value of `-t`.
    target: Word,
    /// `-T`: the target is a name, never a folder to go into.
    is_name: bool,
    /// `-t`: the target must be a folder.
    is_folder: bool,
}

impl Targets {
    fn of(call: &Call<'_>, options: &mut Options, usage: &'static str) -> Result<Self, Fault> {
        let mut sources = std::mem::take(&mut options.operands);
        let folder = options.value('t').map(Word::from);
        let is_folder = folder.is_some();
        let target = folder.or_else(|| sources.pop()).ok_or_else(|| call.usage(usage))?;
        let is_name = options.has('T');
        let single = sources.len() == 1 && !sources.iter().any(Word::is_pattern);
        if sources.is_empty() || (is_name && (is_folder || !single)) {
            return Err(call.usage(usage));
        }
        Ok(Self { sources, target, is_name, is_folder })
    }

    /// Each source with the place it goes to; what cannot be is told.
    fn pairs(&self, shell: &mut Shell<'_>, command: &str) -> Result<Option<Vec<Pair>>, Gone> {
        let sources = shell.expand(&self.sources);
        // As a shell does: a pattern for the target must stand for one name.
        let targets = shell.expand(std::slice::from_ref(&self.target));
        let [target] = targets.as_slice() else {
            shell.err(format!("{command}: target {}: Not a directory", quote(&self.target.bytes())))?;
            return Ok(None);
        };
        let found = shell.path(target).map(|path| (shell.view.stat(&path), path));
        let (stat, path) = match found {
            Ok(found) => found,
            Err(error) => return failed(shell, format!("{command}: {}", quote(target)), &error),
        };
        let into = match stat {
            Ok(stat) => stat.is_dir && !self.is_name,
            Err(DropError::NotFound) => false,
            Err(error) => {
                return failed(shell, format!("{command}: cannot access {}", quote(target)), &error);
            }
        };
        if !into && (sources.len() > 1 || self.is_folder || target.ends_with(b"/") && stat.is_ok()) {
            let error = if stat.is_ok() { DropError::NotDir } else { DropError::NotFound };
            return failed(shell, format!("{command}: target {}", quote(target)), &error);
        }
        let pairs = sources.into_iter().map(|source| match base(&source).filter(|_| into) {
            Some(name) => {
                let mut shown = target.clone();
                if !shown.ends_with(b"/") {
                    shown.push(b'/');
                }
                shown.extend_from_slice(name);
                Pair { to: path.join(OsStr::from_bytes(name)), shown, source }
            }
            None => Pair { to: path.clone(), shown: target.clone(), source },
        });
        Ok(Some(pairs.collect()))
    }
}

fn failed<T>(shell: &mut Shell<'_>, text: String, error: &DropError) -> Result<Option<T>, Gone> {
    let text = format!("{text}: {}", shell.strerror(error));
    shell.err(text)?;
    Ok(None)
}

/// One thing and its new place.
#[derive(Debug)]
struct Pair {
    source: Vec<u8>,
    to: VPath,
    /// The new place as the sender would write it.
    shown: Vec<u8>,
}

/// The last component of a name; `None` for `.`, `..` and the root, whose contents are meant.
fn base(name: &[u8]) -> Option<&[u8]> {
    let last = name.rsplit(|b| *b == b'/').find(|part| !part.is_empty())?;
    (last != b"." && last != b"..").then_some(last)
}

/// What happens to a name that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Replace,
    Keep,
    KeepNewer,
}

impl Taken {
    fn of(options: &Options) -> Self {
        match options.last_of(&['n', 'f', 'u']) {
            Some('n') => Self::Keep,
            Some('u') => Self::KeepNewer,
            _ => Self::Replace,
        }
    }

    /// Whether what is there stays.
    fn keeps(self, new: &Stat, old: Result<Stat, DropError>) -> bool {
        match (self, old) {
            (Self::Replace, _) | (_, Err(_)) => false,
            (Self::Keep, Ok(_)) => true,
            (Self::KeepNewer, Ok(old)) => old.mtime >= new.mtime,
        }
    }
}

/// `mv [-fnuvT] [-t DIR] SOURCE… TARGET`.
#[derive(Debug)]
struct Mv {
    targets: Targets,
    taken: Taken,
    verbose: bool,
}

pub(super) fn mv(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[
        ('f', "force", Value::None),
        ('n', "no-clobber", Value::None),
        ('u', "update", Value::None),
        ('v', "verbose", Value::None),
        ('T', "no-target-directory", Value::None),
        ('t', "target-directory", Value::Needed),
    ];
    let mut options = call.options(KNOWN)?;
    let targets = Targets::of(call, &mut options, "mv [-f] [-n] [-T] SOURCE… TARGET")?;
    Ok(Box::new(Mv { targets, taken: Taken::of(&options), verbose: options.has('v') }))
}

impl Mv {
    fn one(&self, shell: &mut Shell<'_>, pair: &Pair) -> Done {
        let Pair { source, to, shown } = pair;
        let found = shell.path(source).and_then(|from| Ok((shell.view.stat(&from)?, from)));
        let (stat, from) = match found {
            Ok(found) => found,
            Err(error) => {
                let text = format!("mv: cannot stat {}: {}", quote(source), shell.strerror(&error));
                shell.err(text)?;
                return Ok(1);
            }
        };
        if self.taken.keeps(&stat, shell.view.stat(to)) {
            return Ok(0);
        }
        if &from == to {
            shell.err(format!("mv: {} and {} are the same file", quote(source), quote(shown)))?;
            return Ok(1);
        }
        if to.is_within(&from) {
            shell.err(format!(
                "mv: cannot move {} to a subdirectory of itself, {}",
                quote(source),
                quote(shown)
            ))?;
            return Ok(1);
        }
        if stat.is_dir && shell.view.stat(to).is_ok_and(|old| !old.is_dir) {
            let (source, shown) = (quote(source), quote(shown));
            shell.err(format!("mv: cannot overwrite non-directory {shown} with directory {source}"))?;
            return Ok(1);
        }
        shell.changes(&from);
        shell.changes(to);
        // `nope/` can only be a folder.
        let renamed = match shown.ends_with(b"/") && !stat.is_dir {
            true => Err(DropError::NotDir),
            false => shell.view.rename(&from, to, true),
        };
        match renamed {
            Ok(submission) => {
                if self.verbose {
                    shell.line(format!("renamed {} -> {}", quote(source), quote(shown)))?;
                }
                shell.await_verdicts(submission)?;
                Ok(0)
            }
            Err(error) => {
                let (source, shown) = (quote(source), quote(shown));
                let text = format!("mv: cannot move {source} to {shown}: {}", shell.strerror(&error));
                shell.err(text)?;
                Ok(1)
            }
        }
    }
}

impl Builtin for Mv {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let Some(pairs) = self.targets.pairs(shell, "mv")? else { return Ok(1) };
        let mut status = 0;
        for pair in pairs {
            status |= self.one(shell, &pair)?;
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.onto("mueve", "moves", &self.targets.sources, &self.targets.target)
    }
}

/// `cp [-rRapfnuvT] [-t DIR] SOURCE… TARGET`.
#[derive(Debug)]
struct Cp {
    targets: Targets,
    taken: Taken,
    recursive: bool,
    /// `-p`, `-a`: times too.
    preserves: bool,
    verbose: bool,
}

pub(super) fn cp(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[
        ('r', "recursive", Value::None),
        ('R', "", Value::None),
        ('a', "archive", Value::None),
        ('p', "", Value::None),
        ('→', "preserve", Value::Maybe),
        ('f', "force", Value::None),
        ('n', "no-clobber", Value::None),
        ('u', "update", Value::None),
        ('v', "verbose", Value::None),
        ('L', "dereference", Value::None),
        ('T', "no-target-directory", Value::None),
        ('t', "target-directory", Value::Needed),
    ];
    let mut options = call.options(KNOWN)?;
    let targets = Targets::of(call, &mut options, "cp [-r] [-p] [-f] SOURCE… TARGET")?;
    let archive = options.has('a');
    Ok(Box::new(Cp {
        targets,
        taken: Taken::of(&options),
        recursive: archive || options.has('r') || options.has('R'),
        preserves: archive || options.has('p') || options.has('→'),
        verbose: options.has('v'),
    }))
}

impl Cp {
    fn one(&self, shell: &mut Shell<'_>, pair: &Pair) -> Done {
        let found = shell.path(&pair.source).and_then(|from| Ok((shell.view.stat(&from)?, from)));
        let (stat, from) = match found {
            Ok(found) => found,
            Err(error) => {
                let text = format!("cp: cannot stat {}: {}", quote(&pair.source), shell.strerror(&error));
                shell.err(text)?;
                return Ok(1);
            }
        };
        if stat.is_dir && !self.recursive {
            shell.err(format!("cp: -r not specified; omitting directory {}", quote(&pair.source)))?;
            return Ok(1);
        }
        if from == pair.to {
            let (source, shown) = (quote(&pair.source), quote(&pair.shown));
            shell.err(format!("cp: {source} and {shown} are the same file"))?;
            return Ok(1);
        }
        if stat.is_dir && pair.to.is_within(&from) {
            let (source, shown) = (quote(&pair.source), quote(&pair.shown));
            shell.err(format!("cp: cannot copy a directory, {source}, into itself, {shown}"))?;
            return Ok(1);
        }
        self.tree(shell, &from, &stat, pair)
    }

    /// Copies file by file, into folders that may be there already.
    fn tree(&self, shell: &mut Shell<'_>, from: &VPath, stat: &Stat, pair: &Pair) -> Done {
        shell.changes(&pair.to);
        if !stat.is_dir {
            return self.file(shell, from, stat, pair);
        }
        let made = match shell.view.stat(&pair.to) {
            Ok(old) if old.is_dir => Ok(()),
            Ok(_) => Err(DropError::Exists),
            Err(_) => shell.view.mkdir(&pair.to, false),
        };
        let listed = match made.and_then(|()| shell.view.list(from)) {
            Ok(listed) => listed,
            Err(error) => {
                shell.spoil_at(&pair.to);
                let text =
                    format!("cp: cannot create directory {}: {}", quote(&pair.shown), shell.strerror(&error));
                shell.err(text)?;
                return Ok(1);
            }
        };
        let mut status = 0;
        for (name, stat) in listed {
            let below = |path: &[u8]| [path, b"/", name.as_bytes()].concat();
            let child =
                Pair { source: below(&pair.source), to: pair.to.join(&name), shown: below(&pair.shown) };
            status |= self.tree(shell, &from.join(&name), &stat, &child)?;
        }
        Ok(status)
    }

    fn file(&self, shell: &mut Shell<'_>, from: &VPath, stat: &Stat, pair: &Pair) -> Done {
        let (source, shown) = (quote(&pair.source), quote(&pair.shown));
        let old = shell.view.stat(&pair.to);
        if old.as_ref().is_ok_and(|old| old.is_dir) {
            shell.err(format!("cp: cannot overwrite directory {shown} with non-directory"))?;
            return Ok(1);
        }
        if self.taken.keeps(stat, old) {
            return Ok(0);
        }
        let copied = match pair.shown.ends_with(b"/") {
            true => Err(DropError::NotDir),
            false => shell.view.copy(from, &pair.to, false),
        };
        let copied = copied.and_then(|submitted| {
            if self.preserves {
                shell.view.set_mtime(&pair.to, stat.mtime)?;
            }
            Ok(submitted)
        });
        match copied {
            Ok(submitted) => {
                if self.verbose {
                    shell.line(format!("{source} -> {shown}"))?;
                }
                shell.await_verdicts(submitted)?;
                Ok(0)
            }
            Err(error) => {
                shell.spoil_at(&pair.to);
                let text = format!("cp: cannot create regular file {shown}: {}", shell.strerror(&error));
                shell.err(text)?;
                Ok(1)
            }
        }
    }
}

impl Builtin for Cp {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let Some(pairs) = self.targets.pairs(shell, "cp")? else { return Ok(1) };
        let mut status = 0;
        for pair in pairs {
            status |= self.one(shell, &pair)?;
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.onto("copia", "copies", &self.targets.sources, &self.targets.target)
    }
}
