//! The stamp of a cut, in the spellings that institutes use.
//!
//! `07 junio 2021` + `00:16`, `03/06/2024 20:15 (UTC-6)`, `2019/06/03 05:47 (UTC-5)`,
//! `20240603_2005_PREP.zip`, `2024-06-02T20:15:00-05:00`. What does not look like one of
//! them is no stamp; nothing here fails.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::model::{Cut, Lang};

/// A date and hour as written, with the offset if one was written beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    civil: DateTime,
    offset_hours: Option<i8>,
}

/// Where a cut was found, in order of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A JSON file's `ultimoCorte` or `horaCorte`.
    Json,
    /// The head of a CSV file.
    Csv,
    /// The name of the package, or of an archive inside it.
    Name,
    /// The newest modification time.
    Mtime,
}

/// A cut and its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The cut.
    pub cut: Cut,
    /// The kind of evidence.
    pub source: Source,
    /// The file that shows it.
    pub place: String,
}

impl Found {
    /// Whether this cut is older than `live`. A file's time is a weak witness: it is only believed
    /// beyond a whole `period`.
    pub(super) fn is_older_than(&self, live: Cut, period: SignedDuration) -> bool {
        match self.source {
            Source::Json | Source::Csv | Source::Name => self.cut < live,
            Source::Mtime => live.instant().duration_since(self.cut.instant()) > period,
        }
    }
}

impl Source {
    /// As people say it.
    pub fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Name => lang.pick("nombre", "name"),
            Self::Mtime => lang.pick("fecha de archivo", "file time"),
        }
    }
}

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = s.serialize_struct("Found", 3)?;
        fields.serialize_field("cut", &self.cut)?;
        fields.serialize_field("source", &self.source)?;
        fields.serialize_field("place", &self.place)?;
        fields.end()
    }
}

impl Stamp {
    /// The first stamp in a short text: a date and an hour.
    pub fn in_text(text: &str) -> Option<Self> {
        let tokens = tokens(text);
        let date = first(&tokens, date)?;
        let (hour, minute, offset) = first(&tokens, time)?;
        Self::new(date, (hour, minute), offset.or_else(|| first(&tokens, utc)))
    }

    /// Date and hour from two texts, as in `{"fecha":"07 junio 2021","hora":"00:16"}`.
    pub fn in_parts(date_text: &str, hour_text: &str) -> Option<Self> {
        Self::in_text(&format!("{} {}", short(date_text), short(hour_text)))
    }

    /// The stamp in the first lines of a CSV file, in whatever encoding, delimiter
    /// and line end. Only one with its `(UTC-6)` counts: rows hold other dates.
    pub fn in_csv(head: &[u8]) -> Option<Self> {
        let head = head.get(..CSV_HEAD_BYTES).unwrap_or(head);
        let lines = head.split(|b| matches!(b, b'\n' | b'\r')).filter(|line| !line.is_empty());
        lines.take(CSV_LINES).find_map(|line| {
            let line = line.get(..CSV_LINE_BYTES).unwrap_or(line);
            // Latin-1: every byte is a character, and the stamp itself is ASCII.
            let text: String = line.iter().copied().map(char::from).collect();
            let tokens = tokens(&text);
            let offset = first(&tokens, utc)?;
            let (hour, minute, _) = first(&tokens, time)?;
            Self::new(first(&tokens, date)?, (hour, minute), Some(offset))
        })
    }

    /// `YYYYMMDD_HHMM_PREP…` anywhere in a file name.
    pub fn in_name(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next()?.as_bytes();
        (0..name.len()).find_map(|at| {
            let after_digit = at.checked_sub(1).and_then(|b| name.get(b)).is_some_and(u8::is_ascii_digit);
            let (stamp, rest) = name.get(at..)?.split_at_checked(NAME_STAMP.len())?;
            let fits = NAME_STAMP.iter().zip(stamp).all(|(want, found)| match want {
                b'0' => found.is_ascii_digit(),
                want => want == found,
            });
            let prep = rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"_PREP"));
            if after_digit || !fits || !prep {
                return None;
            }
            let number = |from, to| digits(stamp.get(from..to)?);
            let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
            Self::new((year, month, day), (number(9, 11)?, number(11, 13)?), None)
        })
    }

    /// The cut, read in `zone` where the stamp names no offset.
    pub fn cut(self, zone: &TimeZone) -> Option<Cut> {
        match self.offset_hours {
            Some(hours) => Cut::with_offset(self.civil, hours).ok(),
            None => Cut::in_zone(self.civil, zone).ok(),
        }
    }

    /// The offset that was written, in hours east of UTC.
    pub fn offset_hours(self) -> Option<i8> {
        self.offset_hours
    }

    fn new(date: (u32, u32, u32), time: (u32, u32), offset_hours: Option<i8>) -> Option<Self> {
        let year = i16::try_from(date.0).ok().filter(|year| YEARS.contains(year))?;
        let small = |n: u32| i8::try_from(n).ok();
        let (month, day) = (small(date.1)?, small(date.2)?);
        let civil = DateTime::new(year, month, day, small(time.0)?, small(time.1)?, 0, 0).ok()?;
        Some(Self { civil, offset_hours })
    }
}

/// A piece of text; blanks separate and vanish.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A number and how many digits it was written with.
    Number(u32, usize),
    /// Letters, in lower case.
    Word(String),
    Sign(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_ascii_digit() {
            run(rest, |c| c.is_ascii_digit())
        } else if c.is_alphabetic() {
            run(rest, char::is_alphabetic)
        } else {
            c.len_utf8()
        };
        let (piece, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = tail;
        if c.is_ascii_digit() {
            tokens.push(Token::Number(digits(piece.as_bytes()).unwrap_or(u32::MAX), piece.len()));
        } else if c.is_alphabetic() {
            tokens.push(Token::Word(piece.to_lowercase()));
        } else if !c.is_whitespace() {
            tokens.push(Token::Sign(if c == '−' { '-' } else { c }));
        }
    }
    tokens
}

fn run(text: &str, inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !inside(c)).unwrap_or(text.len())
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |sum, b| {
        let digit = b.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The first place at which a pattern fits.
fn first<T>(tokens: &[Token], pattern: impl Fn(&[Token]) -> Option<T>) -> Option<T> {
    (0..tokens.len()).find_map(|at| pattern(tokens.get(at..)?))
}

/// Year, month, day in any of the three orders.
fn date(tokens: &[Token]) -> Option<(u32, u32, u32)> {
    use Token::{Number, Sign, Word};
    match tokens {
        [Number(y, 4), Sign(a @ ('/' | '-')), Number(m, 1 | 2), Sign(b), Number(d, 1 | 2), ..] if a == b => {
            Some((*y, *m, *d))
        }
        // Mexico writes the day first.
        [Number(d, 1 | 2), Sign(a @ ('/' | '-')), Number(m, 1 | 2), Sign(b), Number(y, 4), ..] if a == b => {
            Some((*y, *m, *d))
        }
        [Number(d, 1 | 2), Word(_), ..] => {
            let mut words = tokens.iter().skip(1).filter(|t| !is_of(t));
            match (words.next()?, words.next()?) {
                (Word(name), Number(y, 4)) => Some((*y, month(name)?, *d)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_of(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word == "de" || word == "del")
        || matches!(token, Token::Sign(',' | '.'))
}

fn month(name: &str) -> Option<u32> {
    let full = MONTHS.iter().position(|months| months.contains(&name));
    full.and_then(|at| u32::try_from(at + 1).ok())
}

/// Hour, minute, and the offset if one follows at once, as in ISO 8601.
fn time(tokens: &[Token]) -> Option<(u32, u32, Option<i8>)> {
    use Token::{Number, Sign, Word};
    let [Number(hour, 1 | 2), Sign(':'), Number(minute, 2), rest @ ..] = tokens else { return None };
    let rest = match rest {
        [Sign(':'), Number(_, 2), Sign('.' | ','), Number(_, _), rest @ ..] => rest,
        [Sign(':'), Number(_, 2), rest @ ..] => rest,
        rest => rest,
    };
    let hour = match half_of_day(rest) {
        Some(Half::Morning) if *hour == 12 => 0,
        Some(Half::Afternoon) if *hour < 12 => hour + 12,
        _ => *hour,
    };
    let offset = match rest {
        [Word(z), ..] if z == "z" => Some(0),
        [Sign(sign @ ('+' | '-')), Number(hours, 2), Sign(':'), Number(_, 2), ..] => signed(*sign, *hours),
        _ => None,
    };
    Some((hour, *minute, offset))
}

enum Half {
    Morning,
    Afternoon,
}

/// `a. m.`, `p.m.`, `PM`.
fn half_of_day(rest: &[Token]) -> Option<Half> {
    let mut words = rest.iter().filter(|t| **t != Token::Sign('.'));
    let Token::Word(word) = words.next()? else { return None };
    let next_is_m = words.next() == Some(&Token::Word("m".to_owned()));
    match word.as_str() {
        "am" => Some(Half::Morning),
        "pm" => Some(Half::Afternoon),
        "a" if next_is_m => Some(Half::Morning),
        "p" if next_is_m => Some(Half::Afternoon),
        _ => None,
    }
}

/// `UTC-6`, with or without its parentheses.
fn utc(tokens: &[Token]) -> Option<i8> {
    match tokens {
        [Token::Word(word), Token::Sign(sign @ ('+' | '-')), Token::Number(hours, 1 | 2), ..]
            if word == "utc" || word == "gmt" =>
        {
            signed(*sign, *hours)
        }
        _ => None,
    }
}

fn signed(sign: char, hours: u32) -> Option<i8> {
    let hours = i8::try_from(hours).ok().filter(|hours| *hours <= 14)?;
    Some(if sign == '-' { -hours } else { hours })
}

/// The start of a text that is longer than any stamp.
fn short(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_CHARS).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.cut, self.source.label(Lang::En), self.place)
    }
}

/// Spanish names and their short forms; English ones, for exports of foreign tools.
const MONTHS: [&[&str]; 12] = [
    &["enero", "ene", "january", "jan"],
    &["febrero", "feb", "february"],
    &["marzo", "mar", "march"],
    &["abril", "abr", "april", "apr"],
    &["mayo", "may"],
    &["junio", "jun", "june"],
    &["julio", "jul", "july"],
    &["agosto", "ago", "august", "aug"],
    &["septiembre", "setiembre", "sep", "sept", "september"],
    &["octubre", "oct", "october"],
    &["noviembre", "nov", "november"],
    &["diciembre", "dic", "december", "dec"],
];

/// Years that a PREP can have been in; a typing error of a century is no stamp.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2199;

const NAME_STAMP: &[u8] = b"00000000_0000";

/// The head of a CSV that is searched: a title, the stamp and the totals.
const CSV_LINES: usize = 10;
/// Bytes of that head.
pub(super) const CSV_HEAD_BYTES: usize = 16 << 10;
const CSV_LINE_BYTES: usize = 1024;
/// Characters of a text that may hold a stamp.
pub(super) const TEXT_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stamp: Option<Stamp>) -> String {
        let zone = TimeZone::get("America/Cancun").unwrap();
        stamp.and_then(|stamp| stamp.cut(&zone)).map_or_else(|| "none".to_owned(), |cut| cut.to_string())
    }

    #[test]
    fn texts_of_json_files() {
        for (text, cut) in [
            ("07 junio 2021 00:16", "2021-06-07T00:16:00-05:00"),
            ("7 de junio de 2021, 00:16 h", "2021-06-07T00:16:00-05:00"),
            ("02/06/2024 08:15 p. m.", "2024-06-02T20:15:00-05:00"),
            ("2024-06-02T20:15:00-06:00", "2024-06-02T20:15:00-06:00"),
            ("2024-06-03T02:15:00.000Z", "2024-06-03T02:15:00+00:00"),
            ("03/06/2024 20:05 (UTC-6)", "2024-06-03T20:05:00-06:00"),
            ("1", "none"),
            ("20:15", "none"),
            ("31/02/2024 20:15", "none"),
            ("02/06/2024 25:15", "none"),
        ] {
            assert_eq!(shown(Stamp::in_text(text)), cut, "{text}");
        }
        assert_eq!(shown(Stamp::in_parts("07 junio 2021", "00:16")), "2021-06-07T00:16:00-05:00");
    }

    #[test]
    fn heads_of_csv_files() {
        for (head, cut) in [
            (
                &b"\xef\xbb\xbfPRESIDENCIA DE LA REP\xc3\x9aBLICA\r03/06/2024 20:05 (UTC-6)\r\rACTAS"[..],
                "2024-06-03T20:05:00-06:00",
            ),
            (b"sep=|\nDIPUTACIONES LOCALES\n2019/06/03 05:47 (UTC-5)\nA|B\n", "2019-06-03T05:47:00-05:00"),
            (b"JEFATURA DE GOBIERNO M\xc9XICO\r\n2/6/2024 20:45(UTC-6)\r\n", "2024-06-02T20:45:00-06:00"),
            (b"a,b\n230085B0100,2019-06-02 20:15:11,03/06/2024 20:05\n", "none"),
            (b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n03/06/2024 20:05 (UTC-6)", "none"),
        ] {
            assert_eq!(shown(Stamp::in_csv(head)), cut, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn names_of_packages() {
        assert_eq!(shown(Stamp::in_name("20190603_0547_PREP_DIP_QROO.zip")), "2019-06-03T05:47:00-05:00");
        assert_eq!(shown(Stamp::in_name("a/b/x-20240603_2005_prep.tar.gz")), "2024-06-03T20:05:00-05:00");
        assert_eq!(shown(Stamp::in_name("20240602_CATALOGO_CASILLAS_PEF24.zip")), "none");
        assert_eq!(shown(Stamp::in_name("120240603_2005_PREP.zip")), "none");
        assert_eq!(shown(Stamp::in_name("20241303_2005_PREP.zip")), "none");
    }
}
