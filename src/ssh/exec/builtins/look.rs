//! `stat`, `df`, `du`: sizes and times.

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::drop::{DropError, Stat, VPath};

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::glob::name_of;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::{Builtin, quote, some};

/// `stat -c FORMAT FILE…`.
#[derive(Debug)]
struct StatFile {
    format: Vec<u8>,
    newline: bool,
    files: Vec<Word>,
}

pub(super) fn stat(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "stat [-c FORMAT] FILE… (%n, %s, %Y, %y, %F, %a, %U, %G)";
    let options = call.options(&[
        ('c', "format", Value::Needed),
        ('→', "printf", Value::Needed),
        ('L', "dereference", Value::None),
    ])?;
    let newline = !options.has('→');
    let format =
        options.value('c').or_else(|| options.value('→')).unwrap_or(b"%n: %F, %s bytes, %y").to_vec();
    let mut kinds = format.iter().skip_while(|b| **b != b'%');
    while let Some(byte) = kinds.next() {
        if *byte == b'%' && !kinds.next().is_some_and(|kind| b"nsYyFaUGugh%".contains(kind)) {
            return Err(call.usage(USAGE));
        }
    }
    Ok(Box::new(StatFile { format, newline, files: some(call, options.operands, USAGE)? }))
}

impl StatFile {
    fn shown(&self, shell: &Shell<'_>, name: &[u8], stat: &Stat) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = self.format.iter();
        while let Some(byte) = bytes.next() {
            if *byte != b'%' {
                out.push(*byte);
                continue;
            }
            let text = match bytes.next() {
                Some(b's') => size(stat).to_string(),
                Some(b'Y') => stat.mtime.to_string(),
                Some(b'y') => {
                    let zoned = Timestamp::from_second(stat.mtime).unwrap_or_default();
                    let zoned = zoned.to_zoned(shell.setup.zone.clone());
                    strtime::format("%Y-%m-%d %H:%M:%S.000000000 %z", &zoned).unwrap_or_default()
                }
                Some(b'F') if stat.is_dir => "directory".to_owned(),
                Some(b'F') if stat.size == 0 => "regular empty file".to_owned(),
                Some(b'F') => "regular file".to_owned(),
                Some(b'a') => if stat.is_dir { "755" } else { "644" }.to_owned(),
                Some(b'U' | b'G') => "prep".to_owned(),
                Some(b'u' | b'g') => "1000".to_owned(),
                Some(b'h') => "1".to_owned(),
                Some(b'n') => {
                    out.extend_from_slice(name);
                    continue;
                }
                _ => "%".to_owned(),
            };
            out.extend(text.into_bytes());
        }
        out
    }
}

impl Builtin for StatFile {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut status = 0;
        for name in shell.expand(&self.files) {
            match shell.path(&name).and_then(|path| shell.view.stat(&path)) {
                Ok(stat) => {
                    let text = self.shown(shell, &name, &stat);
                    if self.newline { shell.line(text)? } else { shell.out(text)? }
                }
                Err(error) => {
                    status = 1;
                    let text = format!("stat: cannot statx {}: {}", quote(&name), shell.strerror(&error));
                    shell.err(text)?;
                }
            }
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("dice tamaño y hora de", "tells size and time of", &self.files)
    }
}

/// `df [-h] [PATH…]`: the room left, whatever path it names.
#[derive(Debug)]
struct Df {
    human: bool,
    /// Bytes of one block.
    block: u64,
}

pub(super) fn df(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[
        ('h', "human-readable", Value::None),
        ('k', "", Value::None),
        ('m', "", Value::None),
        ('P', "portability", Value::None),
        ('T', "", Value::None),
        ('→', "output", Value::Needed),
    ];
    let options = call.options(KNOWN)?;
    if let Some(unknown) = options.last_of(&['T', '→']) {
        return Err(call.unknown(if unknown == 'T' { b"-T" } else { b"--output" }));
    }
    let block = if options.has('m') { 1 << 20 } else { 1 << 10 };
    Ok(Box::new(Df { human: options.has('h'), block }))
}

impl Builtin for Df {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let space = match shell.view.space() {
            Ok(space) => space,
            Err(error) => {
                let text = format!("df: {}", shell.strerror(&error));
                shell.err(text)?;
                return Ok(1);
            }
        };
        let used = space.total_bytes.saturating_sub(space.free_bytes);
        let show = |bytes: u64| if self.human { human(bytes) } else { (bytes / self.block).to_string() };
        let size = if self.human {
            "Size"
        } else if self.block == 1 << 20 {
            "1M-blocks"
        } else {
            "1K-blocks"
        };
        // 0 of 0 is not full.
        let percent = (used.saturating_mul(100)).checked_div(space.total_bytes).unwrap_or(0);
        let (total, used, free) = (show(space.total_bytes), show(used), show(space.free_bytes));
        shell.line(format!(
            "{:<10} {size:>12} {:>12} {:>12} Use% Mounted on",
            "Filesystem", "Used", "Available"
        ))?;
        shell.line(format!("{:<10} {total:>12} {used:>12} {free:>12} {percent:>3}% /", "difusor"))?;
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.say("dice cuánto espacio queda", "tells how much room is left")
    }
}

/// `du -s [-h|-b|-k] PATH…`.
#[derive(Debug)]
struct Du {
    human: bool,
    bytes: bool,
    paths: Vec<Word>,
}

pub(super) fn du(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "du -s [-h|-b|-k] [PATH…]";
    let options = call.options(&[
        ('s', "summarize", Value::None),
        ('h', "human-readable", Value::None),
        ('b', "bytes", Value::None),
        ('k', "", Value::None),
        ('c', "", Value::None),
    ])?;
    if !options.has('s') || options.has('c') {
        return Err(call.usage(USAGE));
    }
    Ok(Box::new(Du { human: options.has('h'), bytes: options.has('b'), paths: options.operands }))
}

impl Builtin for Du {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut names = shell.expand(&self.paths);
        if names.is_empty() {
            names.push(b".".to_vec());
        }
        let mut status = 0;
        for name in names {
            let walked = shell.path(&name).and_then(|path| walk(shell, &path));
            let files = match walked {
                Ok(files) => files,
                Err(error) => {
                    status = 1;
                    let text = format!("du: cannot access {}: {}", quote(&name), shell.strerror(&error));
                    shell.err(text)?;
                    continue;
                }
            };
            let total: u64 =
                files.iter().map(|(_, stat)| if self.bytes { size(stat) } else { on_disk(stat) }).sum();
            let shown = match (self.human, self.bytes) {
                (true, _) => human(total),
                (false, true) => total.to_string(),
                (false, false) => total.div_ceil(1024).to_string(),
            };
            shell.line([shown.as_bytes(), b"\t", &name].concat())?;
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("suma los tamaños en", "adds up the sizes in", &self.paths)
    }
}

/// Folders have a size on every file system that scripts know.
pub(super) fn size(stat: &Stat) -> u64 {
    if stat.is_dir { FOLDER_BYTES } else { stat.size }
}

fn on_disk(stat: &Stat) -> u64 {
    size(stat).div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// A path and everything below it, parents first, at most [`WALK_MAX`] names.
pub(super) fn walk(shell: &Shell<'_>, top: &VPath) -> Result<Vec<(VPath, Stat)>, DropError> {
    let mut found = vec![(top.clone(), shell.view.stat(top)?)];
    let mut at = 0;
    while let Some((path, stat)) = found.get(at).cloned() {
        if stat.is_dir {
            let children = shell.view.list(&path)?.into_iter();
            let room = WALK_MAX.saturating_sub(found.len());
            found.extend(children.map(|(name, stat)| (path.join(&name), stat)).take(room));
        }
        at += 1;
    }
    // Siblings stay together but children follow their parent.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// A path below `top`, as it is named when `top` is called `name`.
pub(super) fn named_below(name: &[u8], top: &VPath, path: &VPath) -> Vec<u8> {
    let mut shown = name.to_vec();
    for part in path.components().iter().skip(top.components().len()) {
        if !shown.ends_with(b"/") {
            shown.push(b'/');
        }
        shown.extend(name_of(&VPath::root().join(part)));
    }
    shown
}

/// `1.5G`, rounded up as coreutils do.
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut unit, mut size) = (0, 1024_u64);
    while bytes.div_ceil(size) >= 1024 && unit < 4 {
        size = size.saturating_mul(1024);
        unit += 1;
    }
    let letter = "KMGTP".chars().nth(unit).unwrap_or('P');
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(size));
    if tenths < 100 {
        format!("{}.{}{letter}", tenths / 10, tenths % 10)
    } else {
        format!("{}{letter}", tenths.div_ceil(10))
    }
}

/// Size of a folder, and of a block, as ext4 has them.
const FOLDER_BYTES: u64 = 4096;
const BLOCK_BYTES: u64 = 4096;

/// Names that one walk looks at: more than a site and an inbox hold together.
const WALK_MAX: usize = 200_000;
