//! A report for machines: CSV (RFC 4180) and JSON.

use serde_json::{Map, Value, json};

use super::document::{Block, Cell, Document, Facts, Source, SourceId, Table};
use super::sheets;

/// All tables one below the other, each under a line with its id and title and a line of heads;
/// first the single figures.
pub(super) fn csv(doc: &Document) -> String {
    let mut out = String::new();
    line(&mut out, ["#", doc.kind, &doc.title, &doc.subtitle].map(str::to_owned));
    out.push_str("\r\n");
    if !doc.facts.figures.is_empty() {
        line(&mut out, ["#", "figures", doc.lang.pick("Cifras", "Figures")].map(str::to_owned));
        let head = [
            doc.lang.pick("cifra", "figure"),
            doc.lang.pick("valor", "value"),
            doc.lang.pick("fuente", "source"),
        ];
        line(&mut out, head.map(str::to_owned));
        for figure in &doc.facts.figures {
            line(&mut out, [figure.id.to_owned(), plain(&figure.value, doc), figure.source.to_string()]);
        }
    }
    for table in sheets::shown(doc) {
        out.push_str("\r\n");
        let from = format!("{} {}", doc.lang.pick("fuente", "source"), table.source);
        line(&mut out, ["#".to_owned(), table.id.to_owned(), table.title.clone(), from]);
        one_table(&mut out, table, doc);
    }
    out
}

/// One table alone, its heads first: an annex by itself.
pub(super) fn csv_of(table: &Table, doc: &Document) -> String {
    let mut out = String::new();
    one_table(&mut out, table, doc);
    out
}

fn one_table(out: &mut String, table: &Table, doc: &Document) {
    line(out, table.columns.iter().map(|c| c.name.clone()));
    for row in &table.rows {
        line(out, row.iter().map(|cell| plain(cell, doc)));
    }
}

fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&cell)).collect();
    out.push_str(&cells.join(","));
    out.push_str("\r\n");
}

/// Numbers without grouping, instants with their offset. A text that a spreadsheet would take
/// for a formula has an apostrophe before it.
fn plain(cell: &Cell, doc: &Document) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Cell::Text(text) => text.clone(),
        Cell::Count(n) => n.to_string(),
        Cell::Real(x, decimals) => format!("{x:.decimals$}"),
        Cell::Percent(x, decimals) => format!("{:.1$}", x * 100.0, decimals),
        Cell::At(t) => t.to_zoned(doc.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The whole report as one object: the body, and figures, tables and sources by their ids.
pub(super) fn json(doc: &Document) -> String {
    let blocks: Vec<Value> = doc.blocks.iter().map(block).collect();
    let mut value = json!({
        "schema": format!("difusor.report.{}/1", doc.kind),
        "title": doc.title,
        "subtitle": doc.subtitle,
        "lang": doc.lang.pick("es", "en"),
        "zone": doc.zone.iana_name(),
        "as_of": doc.as_of.to_zoned(doc.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
    });
    if let Value::Object(top) = &mut value {
        top.extend(facts(doc));
        top.insert("body".to_owned(), Value::Array(blocks));
    }
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn block(block: &Block) -> Value {
    match block {
        Block::Heading(level, text) => json!({"heading": text, "level": level}),
        Block::Paragraph(text) => json!({"paragraph": text}),
        Block::Item(text) => json!({"item": text}),
        Block::Table(id) => json!({"table": id}),
        Block::Chart(id) => json!({"chart": id}),
        Block::PageBreak => json!({"page": true}),
    }
}

/// Figures, tables and sources: what templates see too.
pub(super) fn facts(doc: &Document) -> Map<String, Value> {
    let Facts { figures, tables, charts, sources, missing } = &doc.facts;
    let figures: Map<String, Value> = (figures.iter())
        .map(|f| (f.id.to_owned(), json!({"value": value(&f.value, doc), "shown": f.value.shown(&doc.zone), "source": f.source.to_string()})))
        .collect();
    let tables: Map<String, Value> = tables.iter().map(|t| (t.id.to_owned(), table(t, doc))).collect();
    let charts: Map<String, Value> = (charts.iter())
        .map(|c| (c.id.to_owned(), json!({"title": c.title, "source": c.source.to_string()})))
        .collect();
    let sources: Vec<Value> = sources.iter().enumerate().map(source).collect();
    let mut all = Map::new();
    all.insert("missing".to_owned(), json!(missing));
    all.insert("figures".to_owned(), Value::Object(figures));
    all.insert("tables".to_owned(), Value::Object(tables));
    all.insert("charts".to_owned(), Value::Object(charts));
    all.insert("sources".to_owned(), Value::Array(sources));
    all
}

fn table(table: &Table, doc: &Document) -> Value {
    let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let row = |row: &Vec<Cell>| Value::Array(row.iter().map(|cell| value(cell, doc)).collect());
    let rows: Vec<Value> = table.rows.iter().map(row).collect();
    json!({"title": table.title, "columns": columns, "rows": rows, "note": table.note, "source": table.source.to_string()})
}

fn source((at, source): (usize, &Source)) -> Value {
    json!({"id": SourceId::nth(at).to_string(), "how": source.how, "from": source.from, "query": source.query})
}

fn value(cell: &Cell, doc: &Document) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(n) => json!(n),
        Cell::Real(x, _) | Cell::Percent(x, _) => json!(x),
        Cell::At(_) => json!(plain(cell, doc)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_formula_and_stays_in_its_cell() {
        assert_eq!(quoted("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
