//! The filter list: which names `--delete` must spare (and `-m` may not prune).
//!
//! Owns the rules that a client sends for the receiving side, and asks them of paths; what the
//! sender hides it simply does not send. `pattern` matches one name. Imports the room's error,
//! limits, options and wire.

mod pattern;
#[cfg(test)]
mod tests;

use self::pattern::Pattern;
use super::Limits;
use super::error::{Error, Exit};
use super::options::{Delete, Options};
use super::wire::Take;

/// The rules in the order of the client; the first that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The destination, where it is absolute, for rules that name absolute paths.
    root: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    include: bool,
    /// `!`: matches what the pattern does not.
    negated: bool,
    /// `/`: the pattern is of the absolute path.
    absolute: bool,
    /// `p`: spares nothing inside a directory that goes.
    perishable: bool,
}

impl Rules {
    /// Whether the client sends a list at all.
    pub fn expected(options: &Options, protocol: u8) -> bool {
        let deletes = options.delete != Delete::No && (!options.delete_excluded || protocol >= 29);
        deletes || options.prune_empty_dirs
    }

    /// Reads the list from the wire.
    pub fn read<T: Take + ?Sized>(
        input: &mut T,
        options: &Options,
        protocol: u8,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let root = options.destination.clone().filter(|path| path.starts_with(b"/"));
        let mut list = Self { rules: Vec::new(), root };
        let mut count = 0;
        loop {
            let length = input.int()?;
            if length == 0 {
                return Ok(list);
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > limits.rule_bytes || count >= limits.rules {
                return Err(too_much(limits));
            }
            count += 1;
            list.add(&input.bytes(length)?, options, protocol)?;
        }
    }

    /// Whether a name that the sender does not have must stay. `path` is relative to the
    /// transfer's root. The caller walks from the top and does not enter what is protected.
    pub fn protects(&self, path: &[u8], is_dir: bool) -> bool {
        self.decides(path, is_dir, false)
    }

    /// The same inside a directory that is about to go, where perishable rules spare nothing.
    pub fn protects_inside(&self, path: &[u8], is_dir: bool) -> bool {
        self.decides(path, is_dir, true)
    }

    fn decides(&self, path: &[u8], is_dir: bool, going: bool) -> bool {
        let rules = self.rules.iter().filter(|rule| !(going && rule.perishable));
        rules.clone().find(|rule| self.matches(rule, path, is_dir)).is_some_and(|rule| !rule.include)
    }

    fn matches(&self, rule: &Rule, path: &[u8], is_dir: bool) -> bool {
        let found = match &self.root {
            _ if !rule.absolute => rule.pattern.matches(path, is_dir),
            Some(root) => {
                let slash: &[u8] = if root.ends_with(b"/") { b"" } else { b"/" };
                rule.pattern.matches(&[root, slash, path].concat(), is_dir)
            }
            None => return false,
        };
        found != rule.negated
    }

    fn add(&mut self, text: &[u8], options: &Options, protocol: u8) -> Result<(), Error> {
        if text == b"!" {
            self.rules.clear();
            return Ok(());
        }
        let prefix = if protocol < 29 { Prefix::old(text) } else { Prefix::read(text)? };
        let Some(prefix) = prefix else { return merge(text, options) };
        if prefix.pattern.is_empty() || prefix.pattern.contains(&0) {
            return Err(malformed(text));
        }
        // With --delete-excluded a rule without a side is the sender's alone.
        let ours = prefix.receiver || !(prefix.sender || options.delete_excluded);
        if ours && !prefix.foreign {
            self.rules.push(Rule {
                pattern: Pattern::new(prefix.pattern),
                include: prefix.include,
                negated: prefix.negated,
                absolute: prefix.absolute,
                perishable: prefix.perishable,
            });
        }
        Ok(())
    }
}

/// What stands before a pattern.
#[derive(Debug, Default)]
struct Prefix<'a> {
    include: bool,
    negated: bool,
    absolute: bool,
    perishable: bool,
    sender: bool,
    receiver: bool,
    /// `x`: of names of extended attributes.
    foreign: bool,
    pattern: &'a [u8],
}

impl<'a> Prefix<'a> {
    /// Protocols below 29: `+ `, `- ` or nothing.
    fn old(text: &'a [u8]) -> Option<Self> {
        let (include, pattern) = match text {
            [b'+', b' ', pattern @ ..] => (true, pattern),
            [b'-', b' ', pattern @ ..] => (false, pattern),
            pattern => (false, pattern),
        };
        Some(Self { include, pattern, ..Self::default() })
    }

    /// A letter, modifiers, a space, the pattern. `None` is a rule that reads files.
    fn read(text: &'a [u8]) -> Result<Option<Self>, Error> {
        let mut prefix = Self::default();
        let [kind, rest @ ..] = text else { return Err(malformed(text)) };
        match kind {
            b'-' => {}
            b'+' => prefix.include = true,
            b'P' => prefix.receiver = true,
            b'R' => (prefix.include, prefix.receiver) = (true, true),
            b'H' => prefix.sender = true,
            b'S' => (prefix.include, prefix.sender) = (true, true),
            b':' | b'.' => return Ok(None),
            _ => return Err(malformed(text)),
        }
        for (at, letter) in rest.iter().enumerate() {
            match letter {
                b' ' | b'_' => {
                    prefix.pattern = rest.get(at + 1..).unwrap_or_default();
                    return Ok(Some(prefix));
                }
                b'/' => prefix.absolute = true,
                b'!' => prefix.negated = true,
                b'p' => prefix.perishable = true,
                b's' => prefix.sender = true,
                b'r' => prefix.receiver = true,
                b'x' => prefix.foreign = true,
                b'C' | b'n' | b'e' | b'w' | b',' => {}
                _ => return Err(malformed(text)),
            }
        }
        Err(malformed(text))
    }
}

/// Rules in files of the destination: they would be read from a published tree. Without
/// deletions they decide nothing.
fn merge(text: &[u8], options: &Options) -> Result<(), Error> {
    if options.delete == Delete::No {
        return Ok(());
    }
    let rule = shown(text);
    Err(Error::new(
        Exit::Unsupported,
        format!(
            "este servidor no lee reglas de filtros en archivos ('{rule}'): con --delete, quite -F, -C o dir-merge"
        ),
        format!(
            "this server reads no filter rules from files ('{rule}'): with --delete, leave out -F, -C or dir-merge"
        ),
    ))
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..80).unwrap_or(text)).escape_debug().to_string()
}

fn malformed(text: &[u8]) -> Error {
    let rule = shown(text);
    Error::new(
        Exit::Syntax,
        format!("regla de filtro que no se entiende: '{rule}'"),
        format!("a filter rule that cannot be read: '{rule}'"),
    )
}

fn too_much(limits: &Limits) -> Error {
    let (rules, bytes) = (limits.rules, limits.rule_bytes);
    Error::new(
        Exit::Syntax,
        format!("los filtros pasan de {rules} reglas o de {bytes} bytes en una"),
        format!("the filters pass {rules} rules or {bytes} bytes in one"),
    )
}
