//! The form of a report: a template, ours or an institute's.
//!
//! Jinja as minijinja knows it: no file is read, nothing is run, and its steps are bounded. A template whose
//! name ends in `.md` gives blocks, and through them every format; any other gives the text of one file.
//! `docs/REPORTS.md` says what may stand in one.

use std::io::{self, Write};
use std::sync::Arc;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::document::{Block, Document};
use super::{html, plain};
use crate::model::Lang;

/// Steps a template may take; ours take some thousands.
const FUEL: u64 = 20_000_000;
/// Bytes a template may write: a memoria has a hundredth of it.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// What gives a report its form.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its file name: `.md` gives blocks, `.html` is escaped as HTML, others are plain text.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a template gave nothing, in Spanish and English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In Spanish.
    pub es: String,
    /// In English.
    pub en: String,
}

impl Template {
    /// Whether it gives blocks, and through them every format.
    pub fn gives_blocks(&self) -> bool {
        self.name.ends_with(".md")
    }

    /// Fills the title and the body of `doc`, whose facts are there already. `more` is what the
    /// template sees beside the facts.
    pub fn fill(&self, doc: &mut Document, more: serde_json::Value) -> Result<(), Fault> {
        let text = self.rendered(doc, more)?;
        doc.blocks = Vec::new();
        let mut titles = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            match parse(line) {
                Line::Title(text) => titles.push(text),
                Line::Block(block) => {
                    known(&block, doc, number, &self.name)?;
                    join(&mut doc.blocks, block);
                }
                // An empty line ends a paragraph.
                Line::Empty => doc.blocks.push(Block::Paragraph(String::new())),
            }
        }
        doc.blocks.retain(|block| *block != Block::Paragraph(String::new()));
        let mut titles = titles.into_iter();
        doc.title = titles.next().unwrap_or_default();
        doc.subtitle = titles.next().unwrap_or_default();
        Ok(())
    }

    /// The text of the one file that a template of another kind gives.
    pub fn rendered(&self, doc: &Document, more: serde_json::Value) -> Result<String, Fault> {
        let mut context = plain::facts(doc);
        if let serde_json::Value::Object(more) = more {
            context.extend(more);
        }
        let environment = environment(self.gives_blocks(), doc);
        let fault = |e: Error| fault(&self.name, &e);
        let template = environment.template_from_named_str(&self.name, &self.text).map_err(fault)?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(Value::from(Serde(&context)), &mut out).map_err(fault)?;
        String::from_utf8(out.0).map_err(|e| fault(Error::new(ErrorKind::WriteFailure, e.to_string())))
    }
}

/// Output up to its bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("the template writes without end"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment<'s>(blocks: bool, doc: &Document) -> Environment<'s> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(move |name| {
        let html = name.ends_with(".html") || name.ends_with(".htm");
        if html && !blocks { AutoEscape::Html } else { AutoEscape::None }
    });
    let doc = Arc::new(doc.clone());
    let figures = Arc::clone(&doc);
    environment.add_function("f", move |id: &str| figure(&figures, id, true));
    let figures = Arc::clone(&doc);
    environment.add_function("n", move |id: &str| figure(&figures, id, false));
    if blocks {
        environment.set_formatter(quoted);
        return environment;
    }
    let tables = Arc::clone(&doc);
    environment.add_function("table", move |id: &str| {
        let table = tables.facts.table(id).ok_or_else(|| unknown("table", id))?;
        Ok::<_, Error>(Value::from_safe_string(html::table(table, &tables)))
    });
    environment.add_function("chart", move |id: &str| {
        let chart = doc.facts.chart(id).ok_or_else(|| unknown("chart", id))?;
        Ok::<_, Error>(Value::from_safe_string(chart.drawing.svg(&chart.title)))
    });
    environment
}

/// A figure as people read it, and where it came from.
fn figure(doc: &Document, id: &str, sourced: bool) -> Result<String, Error> {
    let figure = doc.facts.figure_of(id).ok_or_else(|| unknown("figure", id))?;
    let shown = figure.value.shown(&doc.zone);
    Ok(if sourced { format!("{shown} [{}]", figure.source) } else { shown })
}

fn unknown(what: &str, id: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} {id:?} does not exist in this report"))
}

/// Values stay on their line and are never taken for marks of the template.
fn quoted(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    for (at, c) in text.chars().enumerate() {
        let marks = matches!(c, '\\' | '[') || at == 0 && matches!(c, '#' | '-' | '%');
        if marks {
            out.write_str("\\")?;
        }
        let c = if c.is_control() { ' ' } else { c };
        write!(out, "{c}")?;
    }
    Ok(())
}

enum Line {
    Title(String),
    Block(Block),
    Empty,
}

/// One line of what a template gave: `%` title, `#` heading, `-` item, `[[table id]]`,
/// `[[chart id]]`, `[[page]]`, and text.
fn parse(line: &str) -> Line {
    let line = line.trim();
    let inside = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")).map(str::trim);
    let words = inside.map(|inside| inside.split_once(' ').unwrap_or((inside, "")));
    match words {
        Some(("table", id)) => return Line::Block(Block::Table(id.trim().to_owned())),
        Some(("chart", id)) => return Line::Block(Block::Chart(id.trim().to_owned())),
        Some(("page", _)) => return Line::Block(Block::PageBreak),
        _ => {}
    }
    if line.is_empty() {
        return Line::Empty;
    }
    if let Some(title) = line.strip_prefix("% ") {
        return Line::Title(plainly(title));
    }
    for (level, mark) in [(1, "# "), (2, "## "), (3, "### ")] {
        if let Some(text) = line.strip_prefix(mark) {
            return Line::Block(Block::Heading(level, plainly(text)));
        }
    }
    match line.strip_prefix("- ") {
        Some(item) => Line::Block(Block::Item(plainly(item))),
        None => Line::Block(Block::Paragraph(plainly(line))),
    }
}

/// Without the backslashes that [`quoted`] put before marks.
fn plainly(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// Lines of a paragraph that follow each other are one.
fn join(blocks: &mut Vec<Block>, block: Block) {
    match (blocks.last_mut(), block) {
        (Some(Block::Paragraph(last)), Block::Paragraph(more)) if !last.is_empty() => {
            last.push(' ');
            last.push_str(&more);
        }
        (_, block) => blocks.push(block),
    }
}

/// A table or chart that is not there is a fault of the template, not a hole in the report.
fn known(block: &Block, doc: &Document, line: usize, name: &str) -> Result<(), Fault> {
    let facts = &doc.facts;
    let (is_there, id, ids): (bool, &str, Vec<&str>) = match block {
        Block::Table(id) => (facts.table(id).is_some(), id, facts.tables.iter().map(|t| t.id).collect()),
        Block::Chart(id) => (facts.chart(id).is_some(), id, facts.charts.iter().map(|c| c.id).collect()),
        _ => return Ok(()),
    };
    if is_there {
        return Ok(());
    }
    let ids = ids.join(", ");
    Err(Fault {
        es: format!(
            "plantilla {name}, línea {line} de su resultado: «{id}» no está en este informe; hay: {ids}"
        ),
        en: format!(
            "template {name}, line {line} of its result: '{id}' is not in this report; there are: {ids}"
        ),
    })
}

fn fault(name: &str, error: &Error) -> Fault {
    let line = |lang: Lang| {
        error.line().map_or_else(String::new, |n| format!(", {} {n}", lang.pick("línea", "line")))
    };
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Fault {
        es: format!("plantilla {name}{}: {what}", line(Lang::Es)),
        en: format!("template {name}{}: {what}", line(Lang::En)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::super::document::{Facts, Table};
    use super::*;

    fn doc() -> Document {
        let mut facts = Facts::default();
        let source = facts.source("contado", "bitácora", "difusor ledger list");
        facts.figure("cuts.published", 97_u64, source);
        facts.tables.push(Table::new("cuts", "Cortes", &[("corte", 1.0)], source));
        Document {
            kind: "memoria",
            title: String::new(),
            subtitle: String::new(),
            lang: Lang::Es,
            zone: TimeZone::UTC,
            as_of: Timestamp::UNIX_EPOCH,
            blocks: Vec::new(),
            facts,
        }
    }

    fn filled(text: &str, more: serde_json::Value) -> Result<Document, Fault> {
        let mut doc = doc();
        let template = Template { name: "suya.md".to_owned(), text: text.to_owned() };
        template.fill(&mut doc, more).map(|()| doc)
    }

    #[test]
    fn a_template_gives_title_and_blocks() {
        let text = "% Memoria\n% Jornada\n# Uno\nHubo {{ f('cuts.published') }}\ncortes.\n\n- a\n[[table cuts]]\n[[page]]\n";
        let doc = filled(text, json!({})).unwrap();
        assert_eq!((doc.title.as_str(), doc.subtitle.as_str()), ("Memoria", "Jornada"));
        let expected = [
            Block::Heading(1, "Uno".to_owned()),
            Block::Paragraph("Hubo 97 [C1] cortes.".to_owned()),
            Block::Item("a".to_owned()),
            Block::Table("cuts".to_owned()),
            Block::PageBreak,
        ];
        assert_eq!(doc.blocks, expected);
    }

    #[test]
    fn a_value_is_never_a_mark_of_the_template() {
        for value in
            ["# no", "- no", "% no", "[[page]]", "[[table x]]", "a\\b", "{{ f('x') }}", "dos\n# líneas"]
        {
            let doc = filled("{{ name }}", json!({ "name": value })).unwrap();
            assert_eq!(doc.blocks, [Block::Paragraph(value.replace('\n', " "))]);
            assert_eq!(doc.title, "");
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let faults = [
            ("[[table nada]]", "«nada» no está en este informe; hay: cuts"),
            ("uno\n{{ f('nada') }}", "línea 2"),
            ("{{ nada.nada }}", "línea 1"),
            ("{% for %}", "línea 1"),
            ("{% include 'otra' %}", "suya.md"),
        ];
        for (text, told) in faults {
            let fault = filled(text, json!({})).unwrap_err();
            assert!(fault.es.contains(told), "{text}: {}", fault.es);
        }
    }

    #[test]
    fn a_template_without_end_ends() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
        let fault = filled(text, json!({})).unwrap_err();
        assert!(fault.en.contains("fuel") || fault.en.contains("without end"), "{}", fault.en);
    }

    #[test]
    fn an_html_template_escapes_values_and_holds_tables() {
        let template = Template {
            name: "suya.html".to_owned(),
            text: "<p>{{ name }}</p>{{ table('cuts') }}".to_owned(),
        };
        let text = template.rendered(&doc(), json!({ "name": "<b>" })).unwrap();
        assert!(text.starts_with("<p>&lt;b&gt;</p><div class=\"wide\">\n<table id=\"t-cuts\">"), "{text}");
    }
}
