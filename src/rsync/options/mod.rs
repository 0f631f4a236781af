//! The argument vector of `rsync --server`, as meant; refusing by name what we do not do.
//!
//! Owns the policy: each option is honoured, accepted without effect, or refused with exit 4
//! (`table` has one row for each). `words` takes command lines apart. Imports the room's error,
//! limits and wire.

mod table;
#[cfg(test)]
mod tests;
mod words;

pub use self::words::{lex, read_words, unescape};

use self::table::{Effect, Row};
use super::Limits;
use super::error::{Error, Exit};

/// When deletions happen. All end in the same tree; the client's output differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delete {
    /// Nothing is deleted.
    #[default]
    No,
    /// Before the transfer.
    Before,
    /// As each directory's turn comes; also what a bare `--delete` means.
    During,
    /// Found during, deleted at the end.
    Delay,
    /// At the end.
    After,
}

/// A push as asked. Field names follow rsync(1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-r`.
    pub recurse: bool,
    /// `-d`: directories without what they hold; `-r` includes it.
    pub dirs: bool,
    /// `-l`: links in the list have targets.
    pub links: bool,
    /// `--safe-links`: links that lead out are left out.
    pub safe_links: bool,
    /// `-t`.
    pub times: bool,
    /// `-O`.
    pub omit_dir_times: bool,
    /// `-J`.
    pub omit_link_times: bool,
    /// `-p`.
    pub perms: bool,
    /// `-E`.
    pub executability: bool,
    /// `-o`.
    pub owner: bool,
    /// `-g`.
    pub group: bool,
    /// `--devices`, half of `-D`.
    pub devices: bool,
    /// `--specials`, the other half.
    pub specials: bool,
    /// `-A`.
    pub acls: bool,
    /// `-X`.
    pub xattrs: bool,
    /// `-U`: times of access are in the list.
    pub atimes: bool,
    /// `-N`: times of birth are in the list.
    pub crtimes: bool,
    /// `-H`.
    pub hard_links: bool,
    /// `-c`.
    pub checksum: bool,
    /// `-I`.
    pub ignore_times: bool,
    /// `--size-only`.
    pub size_only: bool,
    /// `-u`.
    pub update: bool,
    /// `--existing`.
    pub existing: bool,
    /// `--ignore-existing`.
    pub ignore_existing: bool,
    /// `--min-size`, bytes.
    pub min_size: Option<u64>,
    /// `--max-size`, bytes.
    pub max_size: Option<u64>,
    /// `-W`, or `--no-W`.
    pub whole_file: Option<bool>,
    /// `-B`, bytes.
    pub block_size: Option<u32>,
    /// `--modify-window`, seconds; below 0 nanoseconds count too.
    pub modify_window: i64,
    /// `-R`.
    pub relative: bool,
    /// Directories that `-R` implies are in the list.
    pub implied_dirs: bool,
    /// `--delete*`.
    pub delete: Delete,
    /// `--delete-excluded`.
    pub delete_excluded: bool,
    /// `--max-delete`.
    pub max_delete: Option<u64>,
    /// `--force`.
    pub force: bool,
    /// `--ignore-errors`: delete although the source had errors.
    pub ignore_errors: bool,
    /// `--delete-missing-args`.
    pub delete_missing_args: bool,
    /// `-m`.
    pub prune_empty_dirs: bool,
    /// `-n`.
    pub dry_run: bool,
    /// `--append` or `--append-verify`.
    pub append: bool,
    /// `--inplace`.
    pub inplace: bool,
    /// `--partial`, also as `--partial-dir`.
    pub partial: bool,
    /// `--partial-dir`: what broke off may not take the file's own name.
    pub partial_dir: bool,
    /// `--remove-source-files`.
    pub remove_source_files: bool,
    /// `--remove-sent-files`, its old name, spares what was here already.
    pub remove_sent_only: bool,
    /// `--mkpath`.
    pub mkpath: bool,
    /// `--numeric-ids`: no id lists.
    pub numeric_ids: bool,
    /// `--iconv`: the wire is UTF-8 and indices count by arrival.
    pub iconv: Option<Vec<u8>>,
    /// `-y`.
    pub fuzzy: bool,
    /// How many `-v`.
    pub verbose: u8,
    /// `--info=name…`; `-vv` is 2.
    pub info_name: u8,
    /// `--info=skip…`; `-vv` is 1.
    pub info_skip: u8,
    /// `-q`.
    pub quiet: bool,
    /// `-i`: `%i` in the format.
    pub itemize: bool,
    /// `--log-format` / `--out-format` was sent.
    pub log_format: Option<Vec<u8>>,
    /// `--stats`.
    pub stats: bool,
    /// `--progress`.
    pub progress: bool,
    /// `--timeout`, seconds; 0 is none.
    pub timeout: u32,
    /// Compression was asked for, by any spelling.
    pub compress: bool,
    /// Its name, if it is not to be negotiated: `--compress-choice`, `--new-compress` (zlibx),
    /// `--old-compress` (zlib).
    pub compress_choice: Option<Vec<u8>>,
    /// `--compress-level`; with zlib and zlibx 0 turns compression off on both sides.
    pub compress_level: Option<i32>,
    /// `--checksum-choice`: one name, or two with a comma.
    pub checksum_choice: Option<Vec<u8>>,
    /// `--checksum-seed`; `None` is ours to choose.
    pub checksum_seed: Option<i32>,
    /// `-s`: the rest comes on standard input.
    pub secluded: bool,
    /// Capability letters after `-e….`.
    pub capabilities: Capabilities,
    /// The destination word; `None` is the root.
    pub destination: Option<Vec<u8>>,
    /// Names of options that were accepted and have no effect, for one log line.
    pub ignored: Vec<String>,
    /// Long names of all options that were given, for `refuse options` of a module.
    pub used: Vec<&'static str>,
    /// `--server --daemon .`: the daemon protocol over this stream.
    pub daemon: bool,
}

/// What the `-e` letters promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `L`.
    pub symlink_times: bool,
    /// `s`.
    pub symlink_iconv: bool,
    /// `f`.
    pub safe_flist: bool,
    /// `x`.
    pub avoid_xattr_optim: bool,
    /// `C`.
    pub checksum_seed_fix: bool,
    /// `I`.
    pub inplace_partial: bool,
    /// `v`: varint flags, and names are negotiated.
    pub varint_flags: bool,
    /// `u`.
    pub id0_names: bool,
    /// `V`: a pre-release; compatibility flags are one plain byte.
    pub pre_release: bool,
    /// `-e` was given at all.
    pub any: bool,
}

impl Capabilities {
    /// Letters behind an optional version and a dot; unknown ones promise nothing.
    fn parse(text: &[u8]) -> Self {
        let has = |letter| text.contains(&letter);
        Self {
            symlink_times: has(b'L'),
            symlink_iconv: has(b's'),
            safe_flist: has(b'f'),
            avoid_xattr_optim: has(b'x'),
            checksum_seed_fix: has(b'C'),
            inplace_partial: has(b'I'),
            varint_flags: has(b'v'),
            id0_names: has(b'u'),
            pre_release: has(b'V'),
            any: true,
        }
    }
}

impl Options {
    /// Reads the words behind `rsync` (from `--server` on).
    pub fn parse(words: &[Vec<u8>], limits: &Limits) -> Result<Self, Error> {
        if words.first().map(Vec::as_slice) != Some(b"--server") {
            return Err(Error::new(
                Exit::Syntax,
                "se esperaba `rsync --server …`, como lo manda un cliente rsync",
                "expected `rsync --server …`, as an rsync client sends it",
            ));
        }
        Self { implied_dirs: true, ..Self::default() }.take(words, limits)
    }

    /// Goes on with the words of a secluded list, which begins with the program's name.
    pub fn parse_secluded(mut self, words: &[Vec<u8>], limits: &Limits) -> Result<Self, Error> {
        self.secluded = false;
        self.take(words.get(1..).unwrap_or_default(), limits)
    }

    fn take(mut self, words: &[Vec<u8>], limits: &Limits) -> Result<Self, Error> {
        words::bound(words, limits)?;
        let mut rest = Words { rest: words };
        while let Some(word) = rest.next() {
            match word {
                b"." => {
                    self.paths(rest.rest)?;
                    break;
                }
                b"--" => {}
                [b'-', b'-', name @ ..] => self.long(name, &mut rest)?,
                [b'-', letters @ ..] if !letters.is_empty() => self.bundle(letters, &mut rest)?,
                _ => return Err(misplaced(word)),
            }
        }
        self.check()
    }

    fn paths(&mut self, words: &[Vec<u8>]) -> Result<(), Error> {
        match words {
            [] => {}
            [destination] => self.destination = Some(destination.clone()).filter(|word| !word.is_empty()),
            _ => {
                let count = words.len();
                return Err(Error::new(
                    Exit::Unsupported,
                    format!(
                        "llegaron {count} destinos y solo se admite uno: si el nombre lleva espacios, enciérrelo entre comillas dobles y simples, o use rsync -s"
                    ),
                    format!(
                        "{count} destinations came and one is accepted: quote a name with spaces twice, or use rsync -s"
                    ),
                ));
            }
        }
        let up = |word: &Vec<u8>| word.split(|byte| *byte == b'/').any(|component| component == b"..");
        if self.destination.as_ref().is_some_and(up) {
            return Err(refusal("el destino no puede llevar '..'", "the destination may not hold '..'"));
        }
        Ok(())
    }

    /// One word of letters; some take the rest of it, or the next word.
    fn bundle(&mut self, letters: &[u8], rest: &mut Words<'_>) -> Result<(), Error> {
        let mut letters = letters;
        while let [letter, tail @ ..] = letters {
            letters = tail;
            let Some(row) = table::short(*letter) else { return Err(unknown(&[b'-', *letter])) };
            if !row.effect.takes_value() {
                self.apply(row, true, b"")?;
                continue;
            }
            let value = if tail.is_empty() { rest.value(row)? } else { tail };
            return self.apply(row, true, value);
        }
        Ok(())
    }

    /// `name`, `name=value`, `name value` or `no-name`.
    fn long(&mut self, word: &[u8], rest: &mut Words<'_>) -> Result<(), Error> {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(equals) => (word.get(..equals).unwrap_or_default(), word.get(equals + 1..)),
            None => (word, None),
        };
        if let Some(row) = table::long(name) {
            let value = match (row.effect.takes_value(), value) {
                (true, Some(value)) => value,
                (true, None) => rest.value(row)?,
                (false, None) => b"",
                (false, Some(_)) => return Err(bad_value(row.long, word)),
            };
            return self.apply(row, true, value);
        }
        let negated = name.strip_prefix(b"no-").and_then(|name| match name {
            [letter] => table::short(*letter),
            _ => table::long(name),
        });
        match negated {
            Some(row) if value.is_none() && row.effect.negates() => self.apply(row, false, b""),
            _ => Err(unknown(&[b"--", name].concat())),
        }
    }

    fn apply(&mut self, row: &'static Row, on: bool, value: &[u8]) -> Result<(), Error> {
        if on && !self.used.contains(&row.long) {
            self.used.push(row.long);
        }
        match row.effect {
            Effect::Flag(set) => set(self, on),
            Effect::Value(set) => set(self, value).ok_or_else(|| bad_value(row.long, value))?,
            Effect::Ignored | Effect::IgnoredValue => {
                if on && !self.ignored.iter().any(|known| known == row.long) {
                    self.ignored.push(row.long.to_owned());
                }
            }
            Effect::Refused | Effect::RefusedValue if !on => {}
            Effect::Refused | Effect::RefusedValue => {
                let long = row.long;
                return Err(match long {
                    "sender" => refusal(
                        "este servidor solo recibe: no se puede descargar con rsync",
                        "this server only receives: nothing can be pulled with rsync",
                    ),
                    _ => refusal(
                        &format!("este servidor no admite --{long}; quítelo de la orden"),
                        &format!("this server does not accept --{long}; leave it out"),
                    ),
                });
            }
        }
        Ok(())
    }

    /// What holds between options.
    fn check(mut self) -> Result<Self, Error> {
        if self.delete_excluded && self.delete == Delete::No {
            self.delete = Delete::During;
        }
        if self.secluded || self.delete == Delete::No || self.recurse || self.dirs {
            return Ok(self);
        }
        Err(Error::new(
            Exit::Syntax,
            "--delete necesita --recursive (-r) o --dirs (-d)",
            "--delete does not work without --recursive (-r) or --dirs (-d)",
        ))
    }
}

/// The words not read yet.
struct Words<'a> {
    rest: &'a [Vec<u8>],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(word)
    }

    fn value(&mut self, row: &Row) -> Result<&'a [u8], Error> {
        self.next().ok_or_else(|| bad_value(row.long, b""))
    }
}

fn refusal(es: &str, en: &str) -> Error {
    Error::new(Exit::Unsupported, es, en)
}

/// A word of the peer for a sentence: short, without control characters.
fn shown(word: &[u8]) -> String {
    let word = word.get(..80).unwrap_or(word);
    String::from_utf8_lossy(word).escape_debug().to_string()
}

fn unknown(word: &[u8]) -> Error {
    let word = shown(word);
    refusal(
        &format!("este servidor no conoce la opción {word}; quítela de la orden"),
        &format!("this server does not know the option {word}; leave it out"),
    )
}

fn misplaced(word: &[u8]) -> Error {
    let word = shown(word);
    Error::new(
        Exit::Syntax,
        format!("palabra fuera de lugar en la orden de rsync: {word}"),
        format!("a word out of place in rsync's command: {word}"),
    )
}

fn bad_value(long: &str, value: &[u8]) -> Error {
    let value = shown(value);
    Error::new(
        Exit::Syntax,
        format!("valor inválido para --{long}: '{value}'"),
        format!("invalid value for --{long}: '{value}'"),
    )
}
