//! The commands: one table, one file per kind.
//!
//! Each row says how a command's words are understood; what comes out of that can be run
//! on a [`Shell`] or told in words. Messages and exit statuses are those of coreutils, GNU
//! tar, Info-ZIP and gzip in the C locale, because scripts read them.

mod cat;
mod find;
mod flow;
mod gunzip;
mod list;
mod look;
mod relocate;
mod remove;
mod say;
mod sums;
mod test;
mod tree;
mod unpack;
mod untar;
mod unzip;

use std::fmt;

use crate::drop::DropError;
use crate::model::escape;
use crate::ssh::io::Gone;

use super::explain::Teller;
use super::fault::Fault;
use super::grammar::Word;
use super::options::Call;
use super::shell::{Done, Shell};
use super::source::{Broken, Source};

/// A command whose words were understood.
pub(super) trait Builtin: fmt::Debug {
    /// Does it.
    fn run(&self, shell: &mut Shell<'_>) -> Done;

    /// What it gives to the command behind a pipe.
    fn pour(&self, shell: &mut Shell<'_>) -> Result<Source, Gone> {
        self.run(shell)?;
        Ok(shell.take_captured())
    }

    /// What it would do, as a sentence without capital or period.
    fn tell(&self, teller: &Teller<'_>) -> String;

    /// Where it goes, if it changes the working directory.
    fn moves_to(&self) -> Option<&Word> {
        None
    }

    /// Whether it is accepted and does nothing.
    fn is_ignored(&self) -> bool {
        false
    }
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    names: &'static [&'static str],
    pub(super) parse: fn(&Call<'_>) -> Result<Box<dyn Builtin>, Fault>,
    pub(super) patterns: Patterns,
    pub(super) output: Output,
    pub(super) pipes: Pipes,
}

/// Whether `*` and `?` mean something in a command's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patterns {
    None,
    Followed,
}

/// Whether a command's output may be kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Idle,
    Kept,
}

/// On which side of a pipe a command may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipes {
    None,
    Front,
    Back,
    Both,
}

/// The row of a command.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.names.contains(&name))
}

/// Every command's first name, for sentences.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter_map(|row| row.names.first().copied()).chain(["exit"])
}

/// A name as coreutils quotes it.
fn quote(name: &[u8]) -> String {
    let shown = escape(name);
    if shown.contains('\'') { format!("\"{shown}\"") } else { format!("'{shown}'") }
}

/// Options that were not understood after all: a number that is none and the like.
fn bad(call: &Call<'_>, usage: &'static str) -> Fault {
    call.usage(usage)
}

/// At least one operand, or the usage.
fn some(call: &Call<'_>, operands: Vec<Word>, usage: &'static str) -> Result<Vec<Word>, Fault> {
    if operands.is_empty() { Err(call.usage(usage)) } else { Ok(operands) }
}

/// Tells why an input ended early; a client that is gone ends the line.
fn broken(shell: &mut Shell<'_>, command: &str, name: &str, broken: Broken) -> Done {
    let text = match broken {
        Broken::Gone => return Err(Gone),
        Broken::Disk(error) => format!("{command}: {name}: {}", shell.strerror(&DropError::Io(error))),
        Broken::TooBig => format!("{command}: {name}: File too large"),
        Broken::NotGzip => format!("gzip: {name}: not in gzip format or damaged"),
    };
    shell.err(text)?;
    Ok(1)
}

use Output::{Idle, Kept};
use Patterns::{Followed, None as Literal};

/// All of them, in the order in which a refusal names them. Names of one row are told by
/// its first.
const TABLE: &[Row] = &[
    row(&["cat"], cat::cat, Followed, Kept, Pipes::Both),
    row(&["tar", "gtar"], untar::tar, Followed, Kept, Pipes::Back),
    row(&["unzip"], unzip::unzip, Followed, Idle, Pipes::None),
    row(&["gunzip", "gzip", "zcat"], gunzip::gunzip, Followed, Kept, Pipes::Both),
    row(&["mkdir"], tree::mkdir, Literal, Idle, Pipes::None),
    row(&["mv"], relocate::mv, Followed, Idle, Pipes::None),
    row(&["cp"], relocate::cp, Followed, Idle, Pipes::None),
    row(&["rm"], remove::rm, Followed, Idle, Pipes::None),
    row(&["rmdir"], tree::rmdir, Followed, Idle, Pipes::None),
    row(&["ls"], list::ls, Followed, Kept, Pipes::None),
    row(&["find"], find::find, Followed, Kept, Pipes::None),
    row(&["cd"], flow::cd, Literal, Idle, Pipes::None),
    row(&["pwd"], say::pwd, Literal, Kept, Pipes::None),
    row(&["test", "[", "[["], test::test, Literal, Idle, Pipes::None),
    row(&["echo"], say::echo, Literal, Kept, Pipes::Front),
    row(&["printf"], say::printf, Literal, Kept, Pipes::Front),
    row(&["date"], say::date, Literal, Kept, Pipes::None),
    row(&["touch"], tree::touch, Followed, Idle, Pipes::None),
    row(
        &["sha256sum", "sha512sum", "sha1sum", "md5sum", "shasum", "cksum"],
        sums::sums,
        Followed,
        Kept,
        Pipes::Back,
    ),
    row(&["stat"], look::stat, Followed, Kept, Pipes::None),
    row(&["wc"], cat::wc, Followed, Kept, Pipes::Back),
    row(&["df"], look::df, Literal, Kept, Pipes::None),
    row(&["du"], look::du, Followed, Kept, Pipes::None),
    row(&["whoami", "id", "hostname", "uname"], say::identity, Literal, Kept, Pipes::None),
    row(&["sleep"], flow::sleep, Literal, Idle, Pipes::None),
    row(&["true", "false", ":"], flow::constant, Literal, Idle, Pipes::None),
    row(&["set"], flow::set, Literal, Idle, Pipes::None),
    row(
        &["chmod", "chown", "chgrp", "umask", "sync", "export", "ulimit"],
        flow::ignored,
        Followed,
        Idle,
        Pipes::None,
    ),
    row(&["ln"], tree::ln, Followed, Idle, Pipes::None),
];

const fn row(
    names: &'static [&'static str],
    parse: fn(&Call<'_>) -> Result<Box<dyn Builtin>, Fault>,
    patterns: Patterns,
    output: Output,
    pipes: Pipes,
) -> Row {
    Row { names, parse, patterns, output, pipes }
}
