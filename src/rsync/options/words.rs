//! Words: of a command line without a shell, of a daemon's arguments, of a secluded list.

use crate::rsync::Limits;
use crate::rsync::error::{Error, Exit};
use crate::rsync::wire::Take;

/// Words of a shell-less command line: backslash, single and double quotes; no globbing, no `$`.
pub fn lex(line: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, Error> {
    if line.contains(&0) {
        return Err(Error::protocol("a NUL in the command"));
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            words.extend(word.take());
            continue;
        }
        let now = word.get_or_insert_default();
        match byte {
            b'\'' => rest = single(rest, now)?,
            b'"' => rest = double(rest, now)?,
            b'\\' => match rest {
                [escaped, tail @ ..] => {
                    now.push(*escaped);
                    rest = tail;
                }
                [] => now.push(b'\\'),
            },
            _ => now.push(*byte),
        }
        if now.len() > limits.arg_bytes || words.len() >= limits.args {
            return Err(too_much(limits));
        }
    }
    words.extend(word);
    Ok(words)
}

fn single<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Error> {
    let end = text.iter().position(|byte| *byte == b'\'').ok_or_else(unclosed)?;
    let (inside, rest) = text.split_at_checked(end).ok_or_else(unclosed)?;
    word.extend_from_slice(inside);
    Ok(rest.get(1..).unwrap_or_default())
}

/// Inside double quotes a backslash escapes only what sh(1) would act on.
fn double<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Error> {
    let mut rest = text;
    loop {
        match rest {
            [] => return Err(unclosed()),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', escaped @ (b'"' | b'\\' | b'$' | b'`'), tail @ ..] => {
                word.push(*escaped);
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn unclosed() -> Error {
    Error::new(Exit::Syntax, "comillas sin cerrar en la orden de rsync", "unclosed quotes in rsync's command")
}

/// Undoes the backslashes that clients put in daemon arguments.
pub fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'\\', [escaped, tail @ ..]) => (escaped, tail),
            other => other,
        };
        out.push(*byte);
        rest = tail;
    }
    out
}

/// Words off the wire, each behind a terminator (NUL, or newline of a daemon below protocol
/// 30), up to an empty one.
pub fn read_words<T: Take + ?Sized>(
    input: &mut T,
    terminator: u8,
    limits: &Limits,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut words = Vec::new();
    loop {
        let mut word = Vec::new();
        loop {
            let byte = input.byte()?;
            if byte == terminator {
                break;
            }
            if word.len() >= limits.arg_bytes {
                return Err(too_much(limits));
            }
            word.push(byte);
        }
        if word.is_empty() {
            return Ok(words);
        }
        if words.len() >= limits.args {
            return Err(too_much(limits));
        }
        words.push(word);
    }
}

/// Words that were made elsewhere keep the same bounds.
pub(super) fn bound(words: &[Vec<u8>], limits: &Limits) -> Result<(), Error> {
    let long = words.iter().any(|word| word.len() > limits.arg_bytes);
    if long || words.len() > limits.args { Err(too_much(limits)) } else { Ok(()) }
}

fn too_much(limits: &Limits) -> Error {
    let (args, bytes) = (limits.args, limits.arg_bytes);
    Error::new(
        Exit::Syntax,
        format!("la orden de rsync pasa de {args} palabras o de {bytes} bytes en una"),
        format!("rsync's command passes {args} words or {bytes} bytes in one"),
    )
}
