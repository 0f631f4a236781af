//! `*` and `?` in operands, within what the sender sees.
//!
//! As a shell does it: a pattern that fits nothing stays as it is, names that begin with a
//! dot must be asked for, and what was found is sorted. What a pattern finds is always an
//! operand, never an option, so a file called `-rf` is just a file.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::drop::{VPath, View};

use super::grammar::{Piece, Word};

/// The operand's names, at most [`FOUND_MAX`].
pub(super) fn expand(view: &View, cwd: &VPath, word: &Word) -> Vec<Vec<u8>> {
    if !word.is_pattern() {
        return vec![word.bytes()];
    }
    let pieces = word.pieces();
    let mut found = vec![Vec::new()];
    let mut parts = pieces.split(|p| *p == Piece::Byte(b'/')).peekable();
    while let Some(part) = parts.next() {
        found = found.iter().flat_map(|prefix| step(view, cwd, prefix, part)).take(FOUND_MAX).collect();
        if parts.peek().is_some() {
            found.iter_mut().for_each(|name: &mut Vec<u8>| name.push(b'/'));
        }
    }
    if found.is_empty() {
        // `is_pattern` words have no home but a leading one, which `bytes` follows.
        return vec![word.bytes()];
    }
    found.sort();
    found
}

/// `prefix` with every name that fits `part` behind it.
fn step(view: &View, cwd: &VPath, prefix: &[u8], part: &[Piece]) -> Vec<Vec<u8>> {
    let with = |name: &[u8]| [prefix, name].concat();
    if let Some(plain) = part.iter().map(plain).collect::<Option<Vec<u8>>>() {
        let name = with(&plain);
        let there = plain.is_empty() || view.resolve(cwd, &name).is_ok_and(|path| view.stat(&path).is_ok());
        return if there { vec![name] } else { Vec::new() };
    }
    let dir: &[u8] = if prefix.is_empty() { b"." } else { prefix };
    let Ok(listed) = view.resolve(cwd, dir).and_then(|path| view.list(&path)) else { return Vec::new() };
    let names = listed.into_iter().map(|(name, _)| name.into_vec());
    names.filter(|name| fits(part, name)).map(|name| with(&name)).collect()
}

fn plain(piece: &Piece) -> Option<u8> {
    match piece {
        Piece::Byte(byte) => Some(*byte),
        Piece::One | Piece::Any => None,
    }
}

/// Whether a pattern fits a name as a shell sees it: a leading dot only fits a dot.
fn fits(pattern: &[Piece], name: &[u8]) -> bool {
    let hidden = name.first() == Some(&b'.');
    (!hidden || pattern.first() == Some(&Piece::Byte(b'.'))) && matches(pattern, name)
}

/// Whether a pattern fits a whole name; one point of return keeps it from exploding.
pub(super) fn matches(pattern: &[Piece], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(Piece::Any) => {
                back = Some((p, n));
                p += 1;
            }
            Some(Piece::One) => (p, n) = (p + 1, n + 1),
            Some(Piece::Byte(want)) if want == byte => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((star, from)) = back else { return false };
                (p, n) = (star + 1, from + 1);
                back = Some((star, from + 1));
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|piece| *piece == Piece::Any)
}

/// A quoted pattern, as `find -name` gets it.
pub(super) fn pieces(text: &[u8]) -> Vec<Piece> {
    let piece = |byte: &u8| match byte {
        b'*' => Piece::Any,
        b'?' => Piece::One,
        byte => Piece::Byte(*byte),
    };
    text.iter().map(piece).collect()
}

/// A name in a directory, as bytes.
pub(super) fn name_of(path: &VPath) -> Vec<u8> {
    path.name().map_or_else(|| b"/".to_vec(), |name| name.as_bytes().to_vec())
}

/// Names that one pattern may find: as many as an inbox can hold files.
const FOUND_MAX: usize = 20_000;
