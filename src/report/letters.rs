//! The two faces that PDFs are set in, how wide their letters are, and the breaking of lines.
//!
//! The files beside it are Liberation Sans cut down to Latin letters; `font/LICENSE` has their licence.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

/// The upright face.
pub(super) const REGULAR: &[u8] = include_bytes!("font/difusor-sans-regular.ttf");
/// The bold face.
pub(super) const BOLD: &[u8] = include_bytes!("font/difusor-sans-bold.ttf");

/// Widths of both faces.
#[derive(Debug)]
pub(super) struct Letters {
    regular: Widths,
    bold: Widths,
}

/// Advance of each letter for a size of one, by its code; 0 for what the face does not have.
#[derive(Debug)]
struct Widths(Vec<f32>);

/// Codes up to here are in the table; the faces hold Latin letters and a few signs.
const CODES: u32 = 0x2700;

impl Letters {
    /// Reads both faces; `None` only if the program was built with broken ones.
    pub(super) fn new() -> Option<Self> {
        Some(Self { regular: Widths::of(REGULAR)?, bold: Widths::of(BOLD)? })
    }

    /// Width of a line in points.
    pub(super) fn width(&self, text: &str, size: f32, bold: bool) -> f32 {
        text.chars().map(|c| self.face(bold).advance(c)).sum::<f32>() * size
    }

    /// The text with a question mark for each letter that the faces do not have.
    pub(super) fn known(&self, text: &str) -> String {
        let known = |c: char| if self.regular.advance(c) > 0.0 { c } else { '?' };
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { known(c) }).collect()
    }

    /// The text in lines no wider than `width`; a word that is wider is broken anywhere.
    pub(super) fn lines(&self, text: &str, size: f32, bold: bool, width: f32) -> Vec<String> {
        let text = self.known(text);
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
        let space = self.face(bold).advance(' ') * size;
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            let wide = self.width(word, size, bold);
            if !line.is_empty() && used + space + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            if !line.is_empty() {
                line.push(' ');
                used += space;
            }
            if wide <= width {
                line.push_str(word);
                used += wide;
                continue;
            }
            for c in word.chars() {
                let wide = self.face(bold).advance(c) * size;
                if used + wide > width && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(c);
                used += wide;
            }
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(line);
        }
        lines
    }

    fn face(&self, bold: bool) -> &Widths {
        if bold { &self.bold } else { &self.regular }
    }
}

impl Widths {
    fn of(file: &[u8]) -> Option<Self> {
        let font = FontRef::new(file).ok()?;
        let (map, metrics) = (font.charmap(), font.glyph_metrics(Size::new(1.0), LocationRef::default()));
        let advance = |code| map.map(code).and_then(|glyph| metrics.advance_width(glyph)).unwrap_or(0.0);
        Some(Self((0..CODES).map(advance).collect()))
    }

    fn advance(&self, c: char) -> f32 {
        usize::try_from(u32::from(c)).ok().and_then(|code| self.0.get(code).copied()).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_nothing() {
        let letters = Letters::new().unwrap();
        let text = "Publicación de los resultados electorales preliminares ".repeat(3) + &"a1".repeat(90);
        let lines = letters.lines(&text, 9.0, false, 120.0);
        assert!(lines.iter().all(|line| letters.width(line, 9.0, false) <= 120.5), "{lines:?}");
        let all = |text: &str| text.replace(' ', "");
        assert_eq!(all(&lines.concat()), all(&text));
    }

    #[test]
    fn both_faces_have_the_letters_of_spanish_and_our_signs() {
        let letters = Letters::new().unwrap();
        let needed = "áéíóúüñÁÉÍÓÚÜÑ¿¡«»–—…·→↑≤≥≈°%€“”";
        assert_eq!(letters.known(needed), needed);
        assert!(needed.chars().all(|c| letters.bold.advance(c) > 0.0));
        assert_eq!(letters.known("選挙\u{7}"), "???");
    }
}
