//! `cat` and `wc`: bytes from here to there.

use std::collections::VecDeque;
use std::fs::File;

use crate::drop::DropError;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Value};
use super::super::shell::{Done, Shell};
use super::super::source::{Broken, Source};
use super::{Builtin, broken};

/// `cat [FILE…]`: also how most scripts send a file (`cat > NAME`).
#[derive(Debug)]
struct Cat(Vec<Word>);

pub(super) fn cat(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    Ok(Box::new(Cat(call.options(&[('u', "", Value::None)])?.operands)))
}

impl Builtin for Cat {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        if self.0.is_empty() {
            return copy(shell, "-");
        }
        let mut status = 0;
        for name in shell.expand(&self.0) {
            if !read(shell, "cat", &name)? {
                status = 1;
                continue;
            }
            status |= copy(shell, &String::from_utf8_lossy(&name))?;
        }
        Ok(status)
    }

    fn pour(&self, shell: &mut Shell<'_>) -> Result<Source, Gone> {
        if self.0.is_empty() || self.0.iter().any(|word| word.bytes() == b"-") {
            return Ok(shell.take_input());
        }
        let mut files = VecDeque::new();
        for name in shell.expand(&self.0) {
            files.extend(open(shell, "cat", &name)?);
        }
        Ok(Source::Files(files))
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        if self.0.is_empty() {
            return teller
                .say("copia lo que llega por la conexión", "copies what comes through the connection");
        }
        teller.about("lee", "reads", &self.0)
    }
}

/// Copies the input to the output, whole or not at all: a cut connection is no end.
fn copy(shell: &mut Shell<'_>, name: &str) -> Done {
    loop {
        match shell.pull() {
            Ok(Some(piece)) if !shell.out_failed() => shell.out(piece)?,
            // The output's own error is told when it is closed.
            Ok(Some(_)) => return Ok(0),
            Ok(None) => return Ok(0),
            Err(why) => return broken(shell, "cat", name, why),
        }
    }
}

/// Makes a file (`-` is the input) what is read next; `false` (told) if it cannot be.
pub(super) fn read(shell: &mut Shell<'_>, command: &str, name: &[u8]) -> Result<bool, Gone> {
    let file = match name {
        b"-" => None,
        name => match open(shell, command, name)? {
            Some(file) => Some(Source::Files([file].into())),
            None => return Ok(false),
        },
    };
    shell.read_operand(file);
    Ok(true)
}

/// Opens a file to read; tells and gives `None` if it cannot be.
pub(super) fn open(shell: &mut Shell<'_>, command: &str, name: &[u8]) -> Result<Option<File>, Gone> {
    let file = shell.path(name).and_then(|path| match shell.view.stat(&path)?.is_dir {
        true => Err(DropError::IsDir),
        false => shell.view.read(&path),
    });
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) => {
            let text = format!("{command}: {}: {}", crate::model::escape(name), shell.strerror(&error));
            shell.err(text)?;
            Ok(None)
        }
    }
}

/// `wc -c` and `wc -l`.
#[derive(Debug)]
struct Wc {
    lines: bool,
    bytes: bool,
    files: Vec<Word>,
}

pub(super) fn wc(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = call.options(&[('c', "bytes", Value::None), ('l', "lines", Value::None)])?;
    let (lines, bytes) = (options.has('l'), options.has('c'));
    if !lines && !bytes {
        return Err(call.usage("wc -c | -l [FILE]"));
    }
    Ok(Box::new(Wc { lines, bytes, files: options.operands }))
}

impl Wc {
    fn report(&self, shell: &mut Shell<'_>, counts: [u64; 2], width: usize, name: &[u8]) -> Result<(), Gone> {
        let wanted = [(self.lines, counts[0]), (self.bytes, counts[1])];
        let shown: Vec<String> =
            wanted.iter().filter(|(wanted, _)| *wanted).map(|(_, n)| format!("{n:>width$}")).collect();
        let mut line = shown.join(" ").into_bytes();
        if !name.is_empty() {
            line.push(b' ');
            line.extend_from_slice(name);
        }
        shell.line(line)
    }
}

impl Builtin for Wc {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        if self.files.is_empty() {
            return match count(shell) {
                Ok(counts) => {
                    // wc cannot know the size of a pipe and leaves room for seven digits.
                    let width = if self.lines && self.bytes { 7 } else { 1 };
                    self.report(shell, counts, width, b"")?;
                    Ok(0)
                }
                Err(why) => broken(shell, "wc", "-", why),
            };
        }
        let (mut status, mut totals, mut found) = (0, [0; 2], Vec::new());
        let names = shell.expand(&self.files);
        for name in &names {
            if !read(shell, "wc", name)? {
                status = 1;
                continue;
            }
            match count(shell) {
                Ok(counts) => {
                    totals = [totals[0] + counts[0], totals[1] + counts[1]];
                    found.push((counts, name.clone()));
                }
                Err(why) => status = broken(shell, "wc", &String::from_utf8_lossy(name), why)?,
            }
        }
        if names.len() > 1 {
            found.push((totals, b"total".to_vec()));
        }
        let alone = names.len() == 1 && !(self.lines && self.bytes);
        let width = if alone { 1 } else { totals[1].to_string().len() };
        for (counts, name) in found {
            self.report(shell, counts, width, &name)?;
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("cuenta líneas o bytes de", "counts lines or bytes of", &self.files)
    }
}

/// Lines and bytes of the input.
fn count(shell: &mut Shell<'_>) -> Result<[u64; 2], Broken> {
    let mut counts = [0; 2];
    while let Some(piece) = shell.pull()? {
        counts[0] += piece.iter().filter(|b| **b == b'\n').count() as u64;
        counts[1] += piece.len() as u64;
    }
    Ok(counts)
}
