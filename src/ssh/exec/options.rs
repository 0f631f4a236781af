//! Options of a command, as getopt_long reads them: clusters, values, `--`, anywhere.
//!
//! An option that a command does not know refuses the whole line before anything runs:
//! a script that asked for something else than what would happen must not go on.

use super::fault::Fault;
use super::grammar::Word;

/// What a command knows: letter, long name (empty without), and whether it takes a value.
/// An option that has only a long name gets a letter no byte can stand for (`'→'`).
pub(super) type Known = &'static [(char, &'static str, Value)];

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Needed,
    /// Only in the same word: `-Iseconds`, `--iso-8601=seconds`.
    Maybe,
}

/// A command and its words before they are sorted.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The name it was called by, without directory.
    pub(super) name: &'a str,
    /// Everything behind it.
    pub(super) args: &'a [Word],
}

/// Options and operands of a call.
#[derive(Debug, Default)]
pub(super) struct Options {
    given: Vec<(char, Option<Vec<u8>>)>,
    /// What is not an option, in order.
    pub(super) operands: Vec<Word>,
}

/// Whether operands may stand before options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// GNU: options are found everywhere before `--`.
    Any,
    /// POSIX: the first operand ends the options.
    OptionsFirst,
}

impl Call<'_> {
    /// Sorts the words of a GNU command.
    pub(super) fn options(&self, known: Known) -> Result<Options, Fault> {
        self.sorted(known, Order::Any)
    }

    /// Sorts the words.
    pub(super) fn sorted(&self, known: Known, order: Order) -> Result<Options, Fault> {
        let mut options = Options::default();
        let mut words = self.args.iter();
        while let Some(word) = words.next() {
            let bytes = word.bytes();
            match bytes.as_slice() {
                b"--" => options.operands.extend(words.by_ref().cloned()),
                [b'-', b'-', long @ ..] => {
                    let given = self.long(known, long, &mut words)?;
                    options.given.push(given);
                }
                [b'-', cluster @ ..] if !cluster.is_empty() => {
                    self.cluster(known, cluster, &mut words, &mut options.given)?;
                }
                _ => {
                    options.operands.push(word.clone());
                    if order == Order::OptionsFirst {
                        options.operands.extend(words.by_ref().cloned());
                    }
                }
            }
        }
        Ok(options)
    }

    /// A cluster of letters, its dash gone; also tar's old style, where the values follow.
    pub(super) fn cluster<'w>(
        &self,
        known: Known,
        cluster: &[u8],
        words: &mut impl Iterator<Item = &'w Word>,
        given: &mut Vec<(char, Option<Vec<u8>>)>,
    ) -> Result<(), Fault> {
        let mut letters = cluster.iter();
        while let Some(byte) = letters.next() {
            let letter = char::from(*byte);
            let found = known.iter().find(|(known, ..)| *known == letter);
            let (_, _, value) = found.ok_or_else(|| self.unknown(&[b'-', *byte]))?;
            let value = match value {
                Value::Needed | Value::Maybe if !letters.as_slice().is_empty() => {
                    Some(std::mem::take(&mut letters).as_slice().to_vec())
                }
                Value::None | Value::Maybe => None,
                Value::Needed => Some(words.next().ok_or_else(|| self.unknown(&[b'-', *byte]))?.bytes()),
            };
            given.push((letter, value));
        }
        Ok(())
    }

    fn long<'w>(
        &self,
        known: Known,
        long: &[u8],
        words: &mut impl Iterator<Item = &'w Word>,
    ) -> Result<(char, Option<Vec<u8>>), Fault> {
        let equals = long.iter().position(|b| *b == b'=');
        let (name, inline) = match equals {
            Some(at) => (long.get(..at).unwrap_or_default(), long.get(at + 1..)),
            None => (long, None),
        };
        let unknown = || self.unknown(&[b"--", long].concat());
        let found = known.iter().find(|(_, known, _)| !known.is_empty() && known.as_bytes() == name);
        let (letter, _, value) = found.ok_or_else(unknown)?;
        match (value, inline) {
            (Value::None, Some(_)) => Err(unknown()),
            (Value::None | Value::Maybe, None) => Ok((*letter, None)),
            (Value::Needed | Value::Maybe, Some(inline)) => Ok((*letter, Some(inline.to_vec()))),
            (Value::Needed, None) => Ok((*letter, Some(words.next().ok_or_else(unknown)?.bytes()))),
        }
    }

    /// The fault of an option that is not known here.
    pub(super) fn unknown(&self, option: &[u8]) -> Fault {
        Fault::Option { command: self.name.to_owned(), option: super::fault::shown(option) }
    }

    /// The fault of arguments that make no sense.
    pub(super) fn usage(&self, usage: &'static str) -> Fault {
        Fault::Usage { command: self.name.to_owned(), usage }
    }
}

impl Options {
    /// Whether the option was given.
    pub(super) fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// Its last value.
    pub(super) fn value(&self, letter: char) -> Option<&[u8]> {
        self.given.iter().rev().find(|(given, _)| *given == letter).and_then(|(_, value)| value.as_deref())
    }

    /// All its values.
    pub(super) fn values(&self, letter: char) -> impl Iterator<Item = &[u8]> {
        self.given.iter().filter(move |(given, _)| *given == letter).filter_map(|(_, value)| value.as_deref())
    }

    /// Its value as a number.
    pub(super) fn number(&self, letter: char) -> Option<Result<u64, ()>> {
        let value = self.value(letter)?;
        Some(std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(()))
    }

    /// The option that was given last among these.
    pub(super) fn last_of(&self, letters: &[char]) -> Option<char> {
        self.given.iter().rev().map(|(given, _)| *given).find(|given| letters.contains(given))
    }

    /// For callers that sort words themselves.
    pub(super) fn push(&mut self, given: (char, Option<Vec<u8>>)) {
        self.given.push(given);
    }
}
