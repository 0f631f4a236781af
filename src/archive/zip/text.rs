//! What a zip entry's name says: UTF-8, Info-ZIP's Unicode path, or the PC's first code page.

use flate2::Crc;

use super::super::{Reason, Refusal};
use super::directory::Facts;

/// The name of an entry.
pub(super) fn decode(facts: &Facts) -> Result<String, Refusal> {
    let raw = facts.raw_name.as_slice();
    let plain = std::str::from_utf8(raw).ok();
    if plain.is_none() && facts.flags & UTF8 != 0 {
        return Err(Refusal::new(Reason::PathNotUtf8));
    }
    match (plain, unicode(facts)?) {
        (Some(plain), Some(unicode)) if plain != unicode => Err(Refusal::new(Reason::ZipAmbiguous)
            .detail(("la ruta Unicode es otro nombre", "the Unicode path is another name"))),
        (Some(plain), _) => Ok(plain.to_owned()),
        // Windows packers put the name there because the code page of the raw one is anyone's guess.
        (None, Some(unicode)) => Ok(unicode.to_owned()),
        (None, None) => Ok(raw.iter().copied().map(cp437).collect()),
    }
}

/// The Unicode path, which must belong to this very name: tools ignore a stale one
/// or not, as they please.
fn unicode(facts: &Facts) -> Result<Option<&str>, Refusal> {
    let Some((crc, name)) = &facts.extra.unicode else { return Ok(None) };
    let mut sum = Crc::new();
    sum.update(&facts.raw_name);
    if sum.sum() != *crc {
        return Err(Refusal::new(Reason::ZipAmbiguous)
            .detail(("la ruta Unicode es de otro nombre anterior", "the Unicode path is stale")));
    }
    let name = std::str::from_utf8(name).map_err(|_| Refusal::new(Reason::PathNotUtf8))?;
    if name.ends_with('/') != facts.raw_name.ends_with(b"/") {
        return Err(Refusal::new(Reason::ZipAmbiguous)
            .detail(("la ruta Unicode es de otro tipo", "the Unicode path is another kind")));
    }
    Ok(Some(name))
}

fn cp437(byte: u8) -> char {
    let high = usize::from(byte).checked_sub(0x80).and_then(|at| CP437.get(at));
    high.copied().unwrap_or_else(|| char::from(byte))
}

/// Flag bit 11.
const UTF8: u16 = 0x800;

/// The upper half of IBM code page 437, which APPNOTE D.1 names as the default.
const CP437: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', 'É', 'æ', 'Æ', 'ô', 'ö',
    'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', 'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐',
    '¬', '½', '¼', '¡', '«', '»', '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛',
    '┐', '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧', '╨', '╤', '╥', '╙',
    '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐', '▀', 'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ',
    'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', '≡', '±', '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²',
    '■', '\u{a0}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_code_page_has_spanish_letters() {
        let spanish: String = b"\xa0\x82\xa1\xa2\xa3\xa4\xa5\x90\x9a".iter().copied().map(cp437).collect();
        assert_eq!(spanish, "áéíóúñÑÉÜ");
        assert_eq!((cp437(b'a'), cp437(0xff)), ('a', '\u{a0}'));
    }
}
