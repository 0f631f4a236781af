//! `find DIR… [-type f|d] [-name PATTERN] [-mtime N] [-delete] [-exec chmod … {} \;]`.

use crate::drop::{DropError, Stat, VPath};

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::glob;
use super::super::grammar::{Piece, Word};
use super::super::options::Call;
use super::super::shell::{Done, Shell};
use super::look::{named_below, walk};
use super::{Builtin, quote};

#[derive(Debug, Default)]
struct Find {
    tops: Vec<Word>,
    conditions: Vec<Condition>,
    depth: (usize, usize),
    action: Action,
}

/// All must hold.
#[derive(Debug)]
enum Condition {
    Dir(bool),
    Name(Vec<Piece>, Case),
    Empty,
    /// Whole days old: more than, less than, exactly.
    Days(std::cmp::Ordering, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Matters,
    Folded,
}

/// What is done with what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Action {
    #[default]
    Print,
    Delete,
    /// `-exec chmod …`: accepted, nothing done.
    Nothing,
}

pub(super) fn find(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "find DIR [-type f|d] [-name PATTERN] [-mtime N] [-delete] [-exec chmod … {} \\;]";
    let tops = call.args.iter().take_while(|word| !word.bytes().starts_with(b"-")).count();
    let (tops, tests) = call.args.split_at(tops);
    let mut find = Find { tops: tops.to_vec(), depth: (0, usize::MAX), ..Find::default() };
    let mut words = tests.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().map(Word::bytes).ok_or_else(|| call.usage(USAGE));
        match word.bytes().as_slice() {
            b"-type" => match value()?.as_slice() {
                b"f" => find.conditions.push(Condition::Dir(false)),
                b"d" => find.conditions.push(Condition::Dir(true)),
                _ => return Err(call.usage(USAGE)),
            },
            b"-name" => find.conditions.push(Condition::Name(glob::pieces(&value()?), Case::Matters)),
            b"-iname" => {
                let lower = value()?.to_ascii_lowercase();
                find.conditions.push(Condition::Name(glob::pieces(&lower), Case::Folded));
            }
            b"-mtime" => find.conditions.push(days(&value()?).ok_or_else(|| call.usage(USAGE))?),
            b"-empty" => find.conditions.push(Condition::Empty),
            b"-maxdepth" => find.depth.1 = number(&value()?).ok_or_else(|| call.usage(USAGE))?,
            b"-mindepth" => find.depth.0 = number(&value()?).ok_or_else(|| call.usage(USAGE))?,
            b"-print" => find.action = Action::Print,
            b"-delete" => find.action = Action::Delete,
            b"-exec" => {
                let what = value()?;
                if !HARMLESS.iter().any(|name| name.as_bytes() == what) {
                    return Err(call.unknown(&[b"-exec ", what.as_slice()].concat()));
                }
                find.action = Action::Nothing;
                words
                    .by_ref()
                    .map(Word::bytes)
                    .find(|w| w == b";" || w == b"+")
                    .ok_or_else(|| call.usage(USAGE))?;
            }
            other => return Err(call.unknown(other)),
        }
    }
    Ok(Box::new(find))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn days(text: &[u8]) -> Option<Condition> {
    use std::cmp::Ordering;
    let (order, digits) = match text {
        [b'+', digits @ ..] => (Ordering::Greater, digits),
        [b'-', digits @ ..] => (Ordering::Less, digits),
        digits => (Ordering::Equal, digits),
    };
    Some(Condition::Days(order, i64::try_from(number(digits)?).ok()?))
}

impl Find {
    fn wants(&self, shell: &Shell<'_>, top: &[u8], path: &VPath, stat: &Stat, depth: usize) -> bool {
        let name = || if depth == 0 { top.to_vec() } else { glob::name_of(path) };
        (self.depth.0..=self.depth.1).contains(&depth)
            && self.conditions.iter().all(|condition| match condition {
                Condition::Dir(dir) => stat.is_dir == *dir,
                Condition::Name(pattern, Case::Matters) => glob::matches(pattern, &name()),
                Condition::Name(pattern, Case::Folded) => {
                    glob::matches(pattern, &name().to_ascii_lowercase())
                }
                Condition::Empty if stat.is_dir => shell.view.list(path).is_ok_and(|names| names.is_empty()),
                Condition::Empty => stat.size == 0,
                Condition::Days(order, days) => {
                    const DAY_SECONDS: i64 = 86_400;
                    let age = shell.setup.clock.now().as_second() - stat.mtime;
                    age.div_euclid(DAY_SECONDS).cmp(days) == *order
                }
            })
    }

    fn below(&self, shell: &mut Shell<'_>, top: &[u8]) -> Done {
        let walked = shell.path(top).and_then(|path| Ok((walk(shell, &path)?, path)));
        let (mut found, path) = match walked {
            Ok(found) => found,
            Err(error) => {
                let text = format!("find: {}: {}", quote(top), shell.strerror(&error));
                shell.err(text)?;
                return Ok(1);
            }
        };
        if self.action == Action::Delete {
            // What a folder holds goes first.
            found.reverse();
        }
        let mut status = 0;
        for (at, stat) in found {
            let depth = at.components().len() - path.components().len();
            if !self.wants(shell, top, &at, &stat, depth) {
                continue;
            }
            let name = named_below(top, &path, &at);
            match self.action {
                Action::Print => shell.line(name)?,
                Action::Nothing => {}
                // As find itself: the folder it stands in is never deleted.
                Action::Delete if depth == 0 && top == b"." => {}
                Action::Delete => {
                    if let Err(error) = delete(shell, &at, &stat) {
                        status = 1;
                        let text =
                            format!("find: cannot delete {}: {}", quote(&name), shell.strerror(&error));
                        shell.err(text)?;
                    }
                }
            }
        }
        Ok(status)
    }
}

fn delete(shell: &mut Shell<'_>, path: &VPath, stat: &Stat) -> Result<(), DropError> {
    shell.changes(path);
    if stat.is_dir { shell.view.remove_dir(path, false) } else { shell.view.remove(path) }
}

impl Builtin for Find {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut tops = shell.expand(&self.tops);
        if tops.is_empty() {
            tops.push(b".".to_vec());
        }
        let mut status = 0;
        for top in tops {
            status |= self.below(shell, &top)?;
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        match self.action {
            Action::Print => teller.about("busca en", "searches", &self.tops),
            Action::Delete => {
                teller.about("borra lo que encuentra en", "removes what it finds in", &self.tops)
            }
            Action::Nothing => teller.ignored(),
        }
    }

    fn is_ignored(&self) -> bool {
        self.action == Action::Nothing
    }
}

/// What `-exec` may name: nothing that would do anything here.
const HARMLESS: [&str; 6] = ["chmod", "chown", "chgrp", "/bin/chmod", "/usr/bin/chmod", "/bin/chown"];
