//! Sections `[difusor]`, `[[staff]]`, `[[evidence]]`, `[estimate]` and `[report]`: what
//! papers say of people.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::read::{Reader, Section};
use super::value::Bad;
use super::{expected, filled, list, optional, text};

/// Longest text of a key: a paragraph or two.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// Everything about people and papers.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Office {
    pub difusor: Difusor,
    pub staff: Vec<Person>,
    pub evidence: Vec<Evidence>,
    pub estimate: Estimate,
    pub report: Report,
}

/// Section `[difusor]`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Difusor {
    pub name: String,
    pub address: String,
    pub city: String,
    pub state: String,
    pub representative: String,
    pub contact: String,
    pub post: String,
    pub phone: String,
    pub email: String,
    pub hours: String,
    pub night_phone: String,
    pub description: String,
    pub hosting: String,
    pub motives: String,
    pub logo: String,
    pub addresses: Vec<String>,
    pub ntp: Vec<String>,
}

/// One `[[staff]]`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Person {
    pub name: String,
    pub post: String,
    pub phone: String,
    pub email: String,
    pub hours: String,
}

/// One `[[evidence]]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Evidence {
    pub what: String,
    pub file: String,
    pub from: Option<Date>,
    pub until: Option<Date>,
}

/// Section `[estimate]`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Estimate {
    pub users: String,
    pub bandwidth: String,
    pub zones: String,
    pub date: Option<Date>,
}

/// Section `[report]`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Report {
    pub criteria: Option<PathBuf>,
    pub comments: Option<PathBuf>,
    pub template: Option<PathBuf>,
}

pub(super) fn sections<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Option<Office> {
    let staff = r.array(root.get("staff"), "staff");
    let evidence = r.array(root.get("evidence"), "evidence");
    Some(Office {
        difusor: difusor(r, root)?,
        staff: staff.into_iter().filter_map(|(at, s)| person(r, at, s)).collect(),
        evidence: evidence.into_iter().filter_map(|(at, s)| paper(r, at, s)).collect(),
        estimate: estimate(r, root)?,
        report: report(r, root, base)?,
    })
}

fn difusor<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Difusor> {
    let s = r.section(root, "difusor");
    Some(Difusor {
        name: r.get(s, "name", line)?,
        address: r.get(s, "address", line)?,
        city: r.get(s, "city", line)?,
        state: r.get(s, "state", line)?,
        representative: r.get(s, "representative", line)?,
        contact: r.get(s, "contact", line)?,
        post: r.get(s, "post", line)?,
        phone: r.get(s, "phone", line)?,
        email: r.get(s, "email", line)?,
        hours: r.get(s, "hours", line)?,
        night_phone: r.get(s, "night-phone", line)?,
        description: r.get(s, "description", line)?,
        hosting: r.get(s, "hosting", line)?,
        motives: r.get(s, "motives", line)?,
        logo: r.get(s, "logo", logo)?,
        addresses: r.get(s, "addresses", |v| list(v, |t| Ok(t.to_owned())))?,
        ntp: r.get(s, "ntp", |v| list(v, |t| Ok(t.to_owned())))?,
    })
}

/// A person without phone or mail is of no use on the night (INE VI.a.ii, NL 4.1.2).
fn person<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>) -> Option<Person> {
    let name = r.require(s, at.clone(), "name", |v| Ok(filled(v)?.to_owned()));
    let post = r.require(s, at.clone(), "post", |v| Ok(filled(v)?.to_owned()));
    let phone = r.require(s, at.clone(), "phone", |v| Ok(filled(v)?.to_owned()));
    let email = r.require(s, at, "email", |v| Ok(filled(v)?.to_owned()));
    Some(Person { name: name?, post: post?, phone: phone?, email: email?, hours: r.get(s, "hours", line)? })
}

fn paper<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>) -> Option<Evidence> {
    let what = r.require(s, at.clone(), "what", |v| Ok(filled(v)?.to_owned()));
    let file = r.require(s, at, "file", |v| Ok(filled(v)?.to_owned()));
    Some(Evidence {
        what: what?,
        file: file?,
        from: r.get(s, "from", |v| optional(v, day))?,
        until: r.get(s, "until", |v| optional(v, day))?,
    })
}

fn estimate<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Estimate> {
    let s = r.section(root, "estimate");
    Some(Estimate {
        users: r.get(s, "users", line)?,
        bandwidth: r.get(s, "bandwidth", line)?,
        zones: r.get(s, "zones", line)?,
        date: r.get(s, "date", |v| optional(v, day))?,
    })
}

fn report<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Option<Report> {
    let s = r.section(root, "report");
    let mut path = |name| r.get(s, name, |v| optional(v, |t| Ok(base.join(t))));
    Some(Report { criteria: path("criteria")?, comments: path("comments")?, template: path("template")? })
}

fn line(v: &DeValue<'_>) -> Result<String, Bad> {
    let text = text(v)?;
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(text.replace(char::is_control, " ").trim().to_owned());
    }
    Err(expected("el texto es demasiado largo", "the text is too long"))
}

fn day(text: &str) -> Result<Date, Bad> {
    let fault = || {
        expected(
            format!("«{text}» no es un día, por ejemplo 2027-06-06"),
            format!("'{text}' is not a day, for example 2027-06-06"),
        )
    };
    text.parse().map_err(|_| fault())
}

/// The calls take a vector file (INE I.f).
fn logo(v: &DeValue<'_>) -> Result<String, Bad> {
    let name = line(v)?;
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || lower.ends_with(".svg") || lower.ends_with(".ai") {
        return Ok(name);
    }
    Err(expected("se espera un archivo .svg o .ai (INE I.f)", "an .svg or .ai file is expected (INE I.f)"))
}
