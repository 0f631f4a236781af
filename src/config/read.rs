//! From text to values, collecting every fault with its line and column.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{ARRAYS, KEYS, Key};
use super::profile::Profile;
use super::value::Bad;
use crate::model::Lang;

/// One thing wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 where the fault is not in the text.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What and what to do, in Spanish and English.
    pub text: [String; 2],
}

impl Fault {
    /// A fault that lies outside the text: a directory, a key file, a certificate.
    pub fn of_file(file: impl Into<PathBuf>, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, text: [es.into(), en.into()] }
    }

    /// `difusor.toml:3:10: …`
    pub fn line(&self, lang: Lang) -> String {
        let text = match lang {
            Lang::Es => &self.text[0],
            Lang::En => &self.text[1],
        };
        match self.line {
            0 => format!("{}: {text}", self.file.display()),
            line => format!("{}:{line}:{}: {text}", self.file.display(), self.column),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(Lang::En))
    }
}

/// Reads one file, remembering what was wrong.
pub(super) struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    pub(super) faults: Vec<Fault>,
    pub(super) profile: Profile,
}

/// A table of the file, or none where the file does not mention the section.
#[derive(Clone, Copy)]
pub(super) struct Section<'a, 't> {
    pub(super) name: &'static str,
    pub(super) table: Option<&'a DeTable<'t>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, faults: Vec::new(), profile: Profile::QuintanaRoo }
    }

    /// The whole file; every syntax error is a fault.
    pub(super) fn parse(&mut self) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            let es = format!("no se entiende: {}", error.message());
            self.fault(at, Bad { es, en: error.message().to_owned() });
        }
        table.into_inner()
    }

    pub(super) fn fault(&mut self, at: Range<usize>, bad: Bad) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let text = [bad.es, bad.en];
        self.faults.push(Fault { file: self.file.to_owned(), line, column, text });
    }

    /// The value of a key: from the file, else the call's default, else the table's.
    /// A bad value is a fault and reads as the default.
    pub(super) fn get<T>(
        &mut self,
        section: Section<'_, 't>,
        name: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Bad>,
    ) -> Option<T> {
        if let Some(value) = section.table.and_then(|t| t.get(name)) {
            match parse(value.get_ref()) {
                Ok(value) => return Some(value),
                Err(bad) => self.fault(value.span(), named(section.name, name, bad)),
            }
        }
        let key = KEYS.iter().find(|k| k.section == section.name && k.name == name)?;
        default_value(key, self.profile).and_then(|v| parse(&v).ok())
    }

    /// A key without which its table means nothing.
    pub(super) fn require<T>(
        &mut self,
        section: Section<'_, 't>,
        at: Range<usize>,
        name: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Bad>,
    ) -> Option<T> {
        let missing = section.table.is_some_and(|t| t.get(name).is_none());
        if missing {
            let es = format!("falta la clave «{name}» en [[{}]]", section.name);
            let en = format!("key '{name}' is missing in [[{}]]", section.name);
            self.fault(at, Bad { es, en });
            return None;
        }
        self.get(section, name, parse)
    }

    /// The one table of a section.
    pub(super) fn section<'a>(&mut self, root: &'a DeTable<'t>, name: &'static str) -> Section<'a, 't> {
        if name.is_empty() {
            return Section { name, table: Some(root) };
        }
        let value = root.get(name);
        let table = value.and_then(|v| v.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            let es = format!("«{name}» debe ser una sección: escriba [{name}]");
            let en = format!("'{name}' must be a section: write [{name}]");
            self.fault(value.span(), Bad { es, en });
        }
        Section { name, table }
    }

    /// Every table of a repeatable section, with its place.
    pub(super) fn array<'a>(
        &mut self,
        value: Option<&'a Spanned<DeValue<'t>>>,
        name: &'static str,
    ) -> Vec<(Range<usize>, Section<'a, 't>)> {
        let Some(value) = value else { return Vec::new() };
        let tables: Option<Vec<_>> = value.get_ref().as_array().and_then(|items| {
            let section = |v: &'a Spanned<DeValue<'t>>| {
                Some((v.span(), Section { name, table: Some(v.get_ref().as_table()?) }))
            };
            items.iter().map(section).collect()
        });
        tables.unwrap_or_else(|| {
            let es = format!("«{name}» puede repetirse: escriba [[{name}]]");
            let en = format!("'{name}' may repeat: write [[{name}]]");
            self.fault(value.span(), Bad { es, en });
            Vec::new()
        })
    }

    /// Names every key that does not exist, with the nearest that does.
    pub(super) fn refuse_unknown(&mut self, root: &DeTable<'t>) {
        self.refuse_unknown_in(root, "");
    }

    fn refuse_unknown_in(&mut self, table: &DeTable<'t>, section: &str) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            if KEYS.iter().any(|k| k.section == section && k.name == name) {
                continue;
            }
            let tables: Vec<&DeTable<'t>> = match value.get_ref() {
                DeValue::Table(t) => vec![t],
                DeValue::Array(items) if ARRAYS.contains(&path.as_str()) => {
                    items.iter().filter_map(|v| v.get_ref().as_table()).collect()
                }
                _ => Vec::new(),
            };
            let is_section = KEYS.iter().any(|k| k.section == path);
            if is_section {
                tables.into_iter().for_each(|t| self.refuse_unknown_in(t, &path));
                continue;
            }
            self.fault(key.span(), unknown(section, name));
        }
    }
}

fn unknown(section: &str, name: &str) -> Bad {
    let here = KEYS.iter().filter(|k| k.section == section).map(|k| k.name);
    let below = KEYS.iter().filter_map(|k| {
        let rest = if section.is_empty() {
            Some(k.section)
        } else {
            k.section.strip_prefix(section)?.strip_prefix('.')
        };
        rest.filter(|r| !r.is_empty() && !r.contains('.'))
    });
    let near = here
        .chain(below)
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let near = near.filter(|n| strsim::jaro_winkler(n, name) > 0.6);
    // A key of another section, typed in the wrong place.
    let elsewhere = KEYS.iter().find(|k| k.name == name).map(|k| k.section);
    let (mut es, mut en) = (format!("clave desconocida «{name}»"), format!("unknown key '{name}'"));
    if let Some(near) = near {
        es.push_str(&format!("; ¿quiso decir «{near}»?"));
        en.push_str(&format!("; did you mean '{near}'?"));
    } else if let Some(other) = elsewhere {
        es.push_str(&format!("; esa clave va en [{other}]"));
        en.push_str(&format!("; that key belongs in [{other}]"));
    }
    Bad { es, en }
}

fn named(section: &str, name: &str, bad: Bad) -> Bad {
    let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    Bad { es: format!("{path}: {}", bad.es), en: format!("{path}: {}", bad.en) }
}

fn default_value(key: &Key, profile: Profile) -> Option<DeValue<'static>> {
    let default = profile.default_of(key);
    DeValue::parse(default).ok().map(Spanned::into_inner)
}
