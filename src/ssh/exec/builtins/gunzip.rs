//! `gunzip`, `gzip -d`, `zcat`: one gzip file, or a stream on its way to `tar x`.

use std::collections::VecDeque;

use crate::drop::DropError;
use crate::model::escape;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::super::source::Source;
use super::cat::open;
use super::{Builtin, broken};

#[derive(Debug)]
struct Gunzip {
    to: To,
    force: bool,
    keep: bool,
    files: Vec<Word>,
}

/// Where the content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// Into a file without the suffix.
    File,
    /// `-c`.
    Output,
    /// `-t`: nowhere.
    Nowhere,
}

pub(super) fn gunzip(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[
        ('d', "decompress", Value::None),
        ('c', "stdout", Value::None),
        ('t', "test", Value::None),
        ('f', "force", Value::None),
        ('k', "keep", Value::None),
        ('q', "quiet", Value::None),
        ('v', "verbose", Value::None),
        ('n', "no-name", Value::None),
        ('N', "name", Value::None),
    ];
    let options = call.options(KNOWN)?;
    let (test, stdout) =
        (options.has('t'), options.has('c') || call.name == "zcat" || options.operands.is_empty());
    if call.name == "gzip" && !options.has('d') && !test {
        return Err(call.usage("gzip -d|-t [-c] [-k] FILE…"));
    }
    let to = match (test, stdout) {
        (true, _) => To::Nowhere,
        (false, true) => To::Output,
        (false, false) => To::File,
    };
    Ok(Box::new(Gunzip { to, force: options.has('f'), keep: options.has('k'), files: options.operands }))
}

impl Gunzip {
    /// Unpacks one file of the drop.
    fn file(&self, shell: &mut Shell<'_>, name: &[u8]) -> Done {
        let shown = escape(name);
        let plain = match self.to {
            To::File => without_suffix(name),
            To::Output | To::Nowhere => Some(Vec::new()),
        };
        let Some(plain) = plain else {
            shell.err(format!("gzip: {shown}: unknown suffix -- ignored"))?;
            return Ok(2);
        };
        let Some(file) = open(shell, "gzip", name)? else { return Ok(1) };
        shell.read_operand(Some(Source::Files([file].into()).gunzip(most(shell))));
        if self.to != To::File {
            return self.flow(shell, &shown);
        }
        let target = match shell.path(&plain) {
            Ok(target) => target,
            Err(error) => return failed(shell, &escape(&plain), &error),
        };
        if !self.force && shell.view.stat(&target).is_ok() {
            shell.err(format!("gzip: {} already exists;\tnot overwritten", escape(&plain)))?;
            return Ok(2);
        }
        shell.changes(&target);
        let mut upload = match shell.view.create_unpacked(&target, None) {
            Ok(upload) => upload,
            Err(error) => return failed(shell, &escape(&plain), &error),
        };
        let mut at = 0;
        loop {
            match shell.pull() {
                Ok(Some(piece)) => {
                    if let Err(error) = upload.write_at(at, &piece) {
                        shell.spoil_at(&target);
                        return failed(shell, &escape(&plain), &error);
                    }
                    at += piece.len() as u64;
                }
                Ok(None) => break,
                Err(why) => {
                    shell.spoil_at(&target);
                    drop(upload);
                    // As gzip does, nothing half made stays; what cannot be removed is partial.
                    let _ = shell.view.remove(&target);
                    return broken(shell, "gzip", &shown, why);
                }
            }
        }
        if let Err(error) = upload.close() {
            shell.spoil_at(&target);
            return failed(shell, &escape(&plain), &error);
        }
        self.drop_packed(shell, name)
    }

    /// As gunzip does, what was unpacked goes.
    fn drop_packed(&self, shell: &mut Shell<'_>, name: &[u8]) -> Done {
        if self.keep {
            return Ok(0);
        }
        let removed = shell.path(name).and_then(|path| {
            shell.changes(&path);
            shell.view.remove(&path)
        });
        match removed {
            Ok(()) => Ok(0),
            Err(error) => failed(shell, &escape(name), &error),
        }
    }

    /// Unpacks the input to the output, or only to see that it is whole.
    fn flow(&self, shell: &mut Shell<'_>, name: &str) -> Done {
        loop {
            match shell.pull() {
                Ok(Some(piece)) if self.to == To::Output && !shell.out_failed() => shell.out(piece)?,
                Ok(Some(_)) => {}
                Ok(None) => return Ok(0),
                Err(why) => return broken(shell, "gzip", name, why),
            }
        }
    }
}

/// What may come out of one gzip.
fn most(shell: &Shell<'_>) -> u64 {
    shell.setup.limits.unpacked_bytes
}

fn failed(shell: &mut Shell<'_>, name: &str, error: &DropError) -> Done {
    let text = format!("gzip: {name}: {}", shell.strerror(error));
    shell.err(text)?;
    Ok(1)
}

/// `a.tar` for `a.tgz`; `None` where gunzip would not know what to call it.
fn without_suffix(name: &[u8]) -> Option<Vec<u8>> {
    let lower = name.to_ascii_lowercase();
    let stem = |suffix: &str| name.get(..name.len() - suffix.len()).filter(|stem| !stem.is_empty());
    if lower.ends_with(b".tgz") {
        return Some([stem(".tgz")?, b".tar"].concat());
    }
    lower.ends_with(b".gz").then(|| stem(".gz")).flatten().map(<[u8]>::to_vec)
}

impl Builtin for Gunzip {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        if self.files.is_empty() {
            let packed = shell.take_input().gunzip(most(shell));
            shell.read_operand(Some(packed));
            return self.flow(shell, "stdin");
        }
        let mut status = 0;
        for name in shell.expand(&self.files) {
            status = status.max(self.file(shell, &name)?);
        }
        Ok(status)
    }

    fn pour(&self, shell: &mut Shell<'_>) -> Result<Source, Gone> {
        if self.files.is_empty() {
            return Ok(shell.take_input().gunzip(most(shell)));
        }
        let mut files = VecDeque::new();
        for name in shell.expand(&self.files) {
            files.extend(open(shell, "gzip", &name)?);
        }
        Ok(Source::Files(files).gunzip(most(shell)))
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        match self.to {
            To::Nowhere => teller.about("revisa el gzip", "checks the gzip", &self.files),
            To::File | To::Output if self.files.is_empty() => {
                teller.say("descomprime lo que llega", "decompresses what comes in")
            }
            To::File | To::Output => teller.about("descomprime", "decompresses", &self.files),
        }
    }
}
