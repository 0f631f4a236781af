//! `ls`: what lies in a folder.

use std::os::unix::ffi::OsStringExt as _;

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::drop::Stat;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::options::{Call, Known, Options, Value};
use super::super::shell::{Done, Shell};
use super::look::{human, size as bytes};
use super::{Builtin, quote};

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Name,
    Time,
    Size,
}

#[derive(Debug)]
struct Ls {
    options: Options,
    order: Order,
}

const KNOWN: Known = &[
    ('l', "", Value::None),
    ('a', "all", Value::None),
    ('A', "almost-all", Value::None),
    ('1', "", Value::None),
    ('h', "human-readable", Value::None),
    ('t', "", Value::None),
    ('S', "", Value::None),
    ('r', "reverse", Value::None),
    ('d', "directory", Value::None),
    ('n', "numeric-uid-gid", Value::None),
    ('p', "", Value::None),
    ('F', "", Value::None),
    // Colours and the like are for terminals, and there is none.
    ('→', "color", Value::Maybe),
];

pub(super) fn ls(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = call.options(KNOWN)?;
    let order = match options.last_of(&['t', 'S']) {
        Some('t') => Order::Time,
        Some(_) => Order::Size,
        None => Order::Name,
    };
    Ok(Box::new(Ls { options, order }))
}

/// A name and what is known of it.
type Entry = (Vec<u8>, Stat);

impl Ls {
    fn long(&self) -> bool {
        self.options.has('l') || self.options.has('n')
    }

    fn sort(&self, entries: &mut [Entry]) {
        entries.sort_by(|(a_name, a), (b_name, b)| {
            let first = match self.order {
                Order::Name => std::cmp::Ordering::Equal,
                Order::Time => b.mtime.cmp(&a.mtime),
                Order::Size => b.size.cmp(&a.size),
            };
            first.then_with(|| a_name.cmp(b_name))
        });
        if self.options.has('r') {
            entries.reverse();
        }
    }

    fn print(&self, shell: &mut Shell<'_>, entries: &[Entry]) -> Result<(), Gone> {
        let size = |stat: &Stat| match self.options.has('h') {
            true => human(bytes(stat)),
            false => bytes(stat).to_string(),
        };
        let width = entries.iter().map(|(_, stat)| size(stat).len()).max().unwrap_or(0);
        for (name, stat) in entries {
            let mut line = Vec::new();
            if self.long() {
                let (kind, links) = if stat.is_dir { ("drwxr-xr-x", 2) } else { ("-rw-r--r--", 1) };
                let time = time(shell, stat.mtime);
                let owner = if self.options.has('n') { "1000 1000" } else { "prep prep" };
                line.extend(format!("{kind} {links} {owner} {:>width$} {time} ", size(stat)).into_bytes());
            }
            line.extend_from_slice(name);
            if stat.is_dir && (self.options.has('p') || self.options.has('F')) {
                line.push(b'/');
            }
            shell.line(line)?;
        }
        Ok(())
    }

    fn folder(&self, shell: &mut Shell<'_>, name: &[u8]) -> Done {
        let path = shell.path(name);
        let listed = path.and_then(|path| Ok((shell.view.list(&path)?, shell.view.stat(&path)?)));
        let (listed, own) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                let text = format!("ls: cannot open directory {}: {}", quote(name), shell.strerror(&error));
                shell.err(text)?;
                return Ok(2);
            }
        };
        let hidden = self.options.has('a') || self.options.has('A');
        let mut entries: Vec<Entry> = listed
            .into_iter()
            .map(|(name, stat)| (name.into_vec(), stat))
            .filter(|(name, _)| hidden || name.first() != Some(&b'.'))
            .collect();
        if self.options.has('a') {
            entries.extend([(b".".to_vec(), own), (b"..".to_vec(), own)]);
        }
        self.sort(&mut entries);
        if self.long() {
            let blocks: u64 = entries.iter().map(|(_, stat)| bytes(stat).div_ceil(4096) * 4).sum();
            shell.line(format!("total {blocks}"))?;
        }
        self.print(shell, &entries)?;
        Ok(0)
    }
}

/// As `ls -l` in the C locale: the hour for the last half year, else the year.
fn time(shell: &Shell<'_>, mtime: i64) -> String {
    const HALF_YEAR_SECONDS: i64 = 15_778_476;
    let instant = Timestamp::from_second(mtime).unwrap_or_default();
    let age = shell.setup.clock.now().as_second() - mtime;
    let format = if (0..HALF_YEAR_SECONDS).contains(&age) { "%b %e %H:%M" } else { "%b %e  %Y" };
    strtime::format(format, &instant.to_zoned(shell.setup.zone.clone())).unwrap_or_default()
}

impl Builtin for Ls {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut names = shell.expand(&self.options.operands);
        if names.is_empty() {
            names.push(b".".to_vec());
        }
        let (mut status, mut files, mut folders) = (0, Vec::new(), Vec::new());
        for name in &names {
            match shell.path(name).and_then(|path| shell.view.stat(&path)) {
                Ok(stat) if stat.is_dir && !self.options.has('d') => folders.push((name.clone(), stat)),
                Ok(stat) => files.push((name.clone(), stat)),
                Err(error) => {
                    let text = format!("ls: cannot access {}: {}", quote(name), shell.strerror(&error));
                    shell.err(text)?;
                    status = 2;
                }
            }
        }
        self.sort(&mut files);
        self.sort(&mut folders);
        self.print(shell, &files)?;
        let titled = names.len() > 1;
        for (at, (name, _)) in folders.iter().enumerate() {
            if titled {
                let gap: &[u8] = if at > 0 || !files.is_empty() { b"\n" } else { b"" };
                shell.line([gap, name, b":"].concat())?;
            }
            status = status.max(self.folder(shell, name)?);
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        if self.options.operands.is_empty() {
            return teller.say("muestra la carpeta actual", "lists the working folder");
        }
        teller.about("muestra", "lists", &self.options.operands)
    }
}
