//! One JSON file: does it parse, what hour does it show, which election does it name?
//!
//! Walked once, value by value, without a tree in memory. Depth is bounded by
//! `serde_json` at 127.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::stamp::{Stamp, TEXT_CHARS};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// Stamps of cuts, the first few.
    pub stamps: Vec<Stamp>,
    /// For each pointer asked: the text of the scalar it leads to.
    pub values: Vec<Option<String>>,
    /// Whether an `ultimo_corte` is the flag 1 and not an hour: the cut says that it is the last one.
    pub last: bool,
}

/// Parses `bytes` (a BOM in front is allowed) and looks up JSON pointers (RFC 6901).
/// The error names line and column.
pub fn peek(bytes: &[u8], pointers: &[&str]) -> Result<Peek, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut peek = Peek { values: vec![None; pointers.len()], ..Peek::default() };
    let open: Vec<Open> = pointers
        .iter()
        .enumerate()
        .filter_map(|(at, pointer)| Some(Open { at, left: tokens(pointer)? }))
        .collect();
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let walk = Walk { peek: &mut peek, open, text: Text::Unwanted };
    walk.deserialize(&mut parser).and_then(|_| parser.end()).map_err(|error| error.to_string())?;
    Ok(peek)
}

/// The reference tokens of a pointer; `None` if it is not one.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let tokens = pointer.strip_prefix('/')?.split('/');
    Some(tokens.map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// A pointer that may still lead below the present value.
#[derive(Clone, Debug)]
struct Open {
    at: usize,
    /// Tokens still to follow.
    left: Vec<String>,
}

/// Whether anybody asked for the text of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Wanted,
    Unwanted,
}

/// Walks one value.
struct Walk<'a> {
    peek: &'a mut Peek,
    open: Vec<Open>,
    text: Text,
}

/// What a value tells its parent.
enum Value {
    Text(String),
    /// An object with a date and an hour of its own.
    Parts(Option<String>, Option<String>),
    Other,
}

impl Walk<'_> {
    /// A string, number or boolean.
    fn scalar(self, text: &str) -> Value {
        for open in self.open.iter().filter(|open| open.left.is_empty()) {
            if let Some(value) = self.peek.values.get_mut(open.at) {
                *value = Some(text.chars().take(VALUE_CHARS).collect());
            }
        }
        if self.text == Text::Wanted && text.len() <= TEXT_CHARS {
            Value::Text(text.to_owned())
        } else {
            Value::Other
        }
    }

    fn number(self, number: impl fmt::Display) -> Value {
        if self.open.is_empty() && self.text == Text::Unwanted {
            return Value::Other;
        }
        self.scalar(&number.to_string())
    }

    /// The walk of a child.
    fn child(&mut self, key: &str, text: Text) -> Walk<'_> {
        let open = self.open.iter().filter_map(|open| match open.left.split_first() {
            Some((first, left)) if first == key => Some(Open { at: open.at, left: left.to_vec() }),
            _ => None,
        });
        Walk { open: open.collect(), peek: self.peek, text }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(self.number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.number(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(self.number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.scalar(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut at = 0_usize;
        loop {
            // The number is only spelled out when a pointer asks for it.
            let key = if self.open.is_empty() { String::new() } else { at.to_string() };
            if items.next_element_seed(self.child(&key, Text::Unwanted))?.is_none() {
                return Ok(Value::Other);
            }
            at = at.checked_add(1).ok_or_else(|| A::Error::custom("too many items"))?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let (mut date, mut hour) = (None, None);
        while let Some(Key(key, role)) = fields.next_key_seed(Wanted(!self.open.is_empty()))? {
            let text = if role == Role::None { Text::Unwanted } else { Text::Wanted };
            let value = fields.next_value_seed(self.child(&key, text))?;
            match (role, value) {
                (Role::Date, Value::Text(text)) => date = Some(text),
                (Role::Hour, Value::Text(text)) => hour = Some(text),
                (Role::LastCut | Role::Cut | Role::CutHour, Value::Text(text)) => match Stamp::in_text(&text)
                {
                    Some(stamp) => self.note(stamp),
                    None if role == Role::LastCut => self.peek.last |= matches!(text.as_str(), "1" | "true"),
                    None if role == Role::CutHour => hour = Some(text),
                    None => {}
                },
                (Role::LastCut | Role::Cut | Role::CutHour, Value::Parts(Some(date), Some(hour))) => {
                    if let Some(stamp) = Stamp::in_parts(&date, &hour) {
                        self.note(stamp);
                    }
                }
                (Role::CutDate, Value::Text(text)) => match Stamp::in_text(&text) {
                    Some(stamp) => self.note(stamp),
                    None => date = Some(text),
                },
                _ => {}
            }
            // Two fields of one object: `fechaCorte` beside `horaCorte`.
            if matches!(role, Role::CutDate | Role::CutHour)
                && let (Some(date), Some(hour)) = (&date, &hour)
                && let Some(stamp) = Stamp::in_parts(date, hour)
            {
                self.note(stamp);
            }
        }
        Ok(Value::Parts(date, hour))
    }
}

impl Walk<'_> {
    fn note(&mut self, stamp: Stamp) {
        if self.peek.stamps.len() < STAMPS_MAX && !self.peek.stamps.contains(&stamp) {
            self.peek.stamps.push(stamp);
        }
    }
}

/// A key, if its text is wanted, and what it means for the hour of the cut.
struct Key(String, Role);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The stamp of the cut, whole.
    Cut,
    /// The same, or in Quintana Roo's files a flag: 1 in the last cut.
    LastCut,
    CutDate,
    CutHour,
    /// A date and an hour inside an object that may be the stamp.
    Date,
    Hour,
    None,
}

/// Whether a pointer asks for the text of keys: else only their meaning is taken, and a
/// table of results, which is mostly keys, costs no allocation.
struct Wanted(bool);

impl<'de> DeserializeSeed<'de> for Wanted {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Wanted {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        let text = if self.0 { key.to_owned() } else { String::new() };
        Ok(Key(text, role(key)))
    }
}

/// `ultimoCorte`, `ultimo_corte` and `UltimoCorte` are one word.
fn role(key: &str) -> Role {
    if key.len() > KEY_BYTES || !may_tell_an_hour(key) {
        return Role::None;
    }
    let word: String =
        key.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect();
    match word.as_str() {
        "ultimocorte" | "últimocorte" => Role::LastCut,
        "corte" | "fechahoracorte" | "fechahoraultimocorte" | "fechayhoracorte" => Role::Cut,
        "horacorte" | "horaultimocorte" => Role::CutHour,
        "fechacorte" | "fechaultimocorte" => Role::CutDate,
        "fecha" => Role::Date,
        "hora" => Role::Hour,
        _ => Role::None,
    }
}

/// By first and last letter, as nearly all keys of a results file tell nothing.
fn may_tell_an_hour(key: &str) -> bool {
    let key = key.trim_matches(['_', '-', ' ']);
    key.starts_with(['u', 'U', 'ú', 'Ú', 'c', 'C', 'f', 'F', 'h', 'H']) && key.ends_with(['e', 'E', 'a', 'A'])
}

/// Stamps kept of one file: it has one, or a few equal ones.
const STAMPS_MAX: usize = 8;
/// Characters kept of a value that a pointer leads to.
const VALUE_CHARS: usize = 256;
/// Bytes of the longest key that means anything here.
const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(text: &str) -> Vec<Stamp> {
        peek(text.as_bytes(), &[]).unwrap().stamps
    }

    #[test]
    fn the_known_spellings_give_the_hour() {
        let hour = Stamp::in_text("07/06/2021 00:16").unwrap();
        for text in [
            r#"{"ultimoCorte":{"fecha":"07 junio 2021","hora":"00:16"},"actas":1}"#,
            r#"{"a":[{"b":{"horaCorte":"07/06/2021 00:16"}}]}"#,
            r#"{"fechaCorte":"2021-06-07","horaCorte":"00:16"}"#,
            r#"{"horaCorte":"00:16","x":2,"fechaCorte":"07 de junio de 2021"}"#,
            "\u{feff}{\"ultimo_corte\":\"07/06/2021 00:16\"}",
        ] {
            assert_eq!(stamps(text), [hour], "{text}");
        }
    }

    #[test]
    fn a_flag_is_no_hour() {
        for text in
            [r#"{"ultimo_corte":1}"#, r#"{"ultimo_corte":"1"}"#, r#"{"fecha":"07/06/2021","hora":"00:16"}"#]
        {
            assert_eq!(stamps(text), []);
        }
        let last = |text: &str| peek(text.as_bytes(), &[]).unwrap().last;
        for text in [r#"{"a":[{"ultimo_corte":1}]}"#, r#"{"ultimo_corte":"1"}"#, r#"{"ultimoCorte":true}"#] {
            assert!(last(text), "{text}");
        }
        for text in
            [r#"{"ultimo_corte":0}"#, r#"{"ultimo_corte":"0"}"#, r#"{"corte":1}"#, r#"{"ultimo_corte":12}"#]
        {
            assert!(!last(text), "{text}");
        }
    }

    #[test]
    fn pointers_lead_to_scalars() {
        let text = br#"{"a/b":{"~":[1,{"x":"QROO"}]},"n":23,"t":true,"o":{}}"#;
        let seen = peek(text, &["/a~1b/~0/1/x", "/n", "/t", "/o", "/none", "n"]).unwrap();
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(seen.values, [value("QROO"), value("23"), value("true"), None, None, None]);
    }

    #[test]
    fn what_does_not_parse_is_told_with_its_place() {
        assert!(peek(b"{\"a\":1,}", &[]).unwrap_err().contains("line 1"));
        assert!(peek(b"", &[]).is_err());
        assert!(peek(b"{} x", &[]).is_err());
        assert!(peek(b"\"\xf1\"", &[]).is_err(), "Latin-1");
        assert!(peek("[".repeat(200).as_bytes(), &[]).unwrap_err().contains("recursion"));
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(peek(deep.as_bytes(), &[]).is_ok());
    }
}
