//! One line of the file: how it is written and how it is read back.

use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::ser::{CharEscape, Formatter};
use serde_json::{Map, Value};

use super::{Entry, Kind};
use crate::model::Digest;

/// Names that the chain itself uses, at the head of every line.
const CHAIN_FIELDS: [&str; 4] = ["n", "t", "prev", "ev"];

/// Longest line we write, newline included. The longest name a sender can give is some
/// kilobytes; nothing stored on the word of a stranger should be larger than a page or two.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Characters kept of each text when a line would be too long.
const TEXT_CHARS_KEPT: usize = 200;

/// Longest line we read back; a longer one was not written by us.
pub(super) const READ_BYTES_MAX: usize = 1024 * 1024;

/// A line read back from the ledger.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its place in the file, counted from 1.
    pub number: u64,
    /// Its running number.
    pub n: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it is about; `None` for a kind that a later version invented.
    pub kind: Option<Kind>,
    /// All its fields in order, those of the chain included.
    pub fields: Map<String, Value>,
    /// The line as it stands in the file, newline included.
    pub raw: String,
}

impl Line {
    /// A field that holds text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    pub(super) fn parse(number: u64, raw: &[u8]) -> Option<Self> {
        let raw = std::str::from_utf8(raw).ok()?.to_owned();
        let fields: Map<String, Value> = serde_json::from_str(&raw).ok()?;
        let n = fields.get("n")?.as_u64()?;
        let at = fields.get("t")?.as_str()?.parse().ok()?;
        let kind = fields.get("ev")?.as_str()?.parse().ok();
        Some(Self { number, n, at, kind, fields, raw })
    }
}

/// What the chain needs to know of a line.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) n: u64,
    pub(super) prev: Digest,
    #[serde(rename = "t")]
    _t: Timestamp,
    pub(super) ev: String,
    /// For `recovery` lines: what was found, and in which line.
    #[serde(default)]
    pub(super) what: Option<Value>,
    #[serde(default)]
    pub(super) line: Option<Value>,
}

/// The bytes of the line for `entry`, newline included.
pub(super) fn render(n: u64, at: Timestamp, zone: &TimeZone, prev: &Digest, entry: &Entry) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("n".to_owned(), n.into());
    let local = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
    object.insert("t".to_owned(), local.into());
    object.insert("prev".to_owned(), prev.to_string().into());
    object.insert("ev".to_owned(), entry.kind.name().into());
    let head = object.clone();
    for (name, value) in &entry.fields {
        object.insert(free_name(name), value.clone());
    }
    let bytes = one_line(&object);
    if bytes.len() <= LINE_BYTES_MAX { bytes } else { shortened(head, entry) }
}

/// The same line with its texts cut, or with no fields at all if even that is too long.
fn shortened(mut object: Map<String, Value>, entry: &Entry) -> Vec<u8> {
    let bare = object.clone();
    for (name, value) in &entry.fields {
        object.insert(free_name(name), cut(value));
    }
    object.insert("shortened".to_owned(), true.into());
    let bytes = one_line(&object);
    if bytes.len() <= LINE_BYTES_MAX {
        return bytes;
    }
    object = bare;
    object.insert("shortened".to_owned(), true.into());
    one_line(&object)
}

fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS_KEPT => {
            Value::String(text.chars().take(TEXT_CHARS_KEPT).chain(['…']).collect())
        }
        Value::Array(_) | Value::Object(_) => Value::String("…".to_owned()),
        other => other.clone(),
    }
}

fn free_name(name: &str) -> String {
    if CHAIN_FIELDS.contains(&name) { format!("{name}_") } else { name.to_owned() }
}

fn one_line(object: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Visible);
    // Writing text and numbers into memory cannot fail; an empty line would be
    // found by the next reader.
    let _ = serde::Serialize::serialize(object, &mut writer);
    bytes.push(b'\n');
    bytes
}

/// JSON whose strings hold nothing that moves a terminal's cursor, breaks a line or
/// turns the direction of reading: serde escapes only what JSON demands.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut clean = 0;
        for (at, c) in text.char_indices() {
            if is_visible(c) {
                continue;
            }
            out.write_all(text.get(clean..at).unwrap_or_default().as_bytes())?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
            clean = at + c.len_utf8();
        }
        out.write_all(text.get(clean..).unwrap_or_default().as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(&mut self, out: &mut W, c: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(out, c)
    }
}

fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
