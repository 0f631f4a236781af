//! A report as one HTML file: no script, nothing fetched, and rules for paper.

use std::fmt::Write as _;

use super::document::{Block, Cell, Document, Table};
use super::drawing::escape;

/// The whole file.
pub(super) fn render(doc: &Document) -> String {
    let lang = doc.lang.pick("es", "en");
    let mut html = format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&doc.title)
    );
    let _ = writeln!(
        html,
        "<header>\n<h1>{}</h1>\n<p class=\"sub\">{}</p>\n</header>",
        escape(&doc.title),
        escape(&doc.subtitle)
    );
    contents(&mut html, doc);
    let mut heading = 0;
    let mut in_list = false;
    for block in &doc.blocks {
        let is_item = matches!(block, Block::Item(_));
        if is_item != in_list {
            html.push_str(if is_item { "<ul>\n" } else { "</ul>\n" });
            in_list = is_item;
        }
        let _ = match block {
            Block::Heading(level, text) => {
                heading += 1;
                let level = level + 1;
                writeln!(html, "<h{level} id=\"s{heading}\">{}</h{level}>", escape(text))
            }
            Block::Paragraph(text) => writeln!(html, "<p>{}</p>", escape(text)),
            Block::Item(text) => writeln!(html, "<li>{}</li>", escape(text)),
            Block::PageBreak => writeln!(html, "<div class=\"page\"></div>"),
            Block::Table(id) => doc.facts.table(id).map_or(Ok(()), |t| write!(html, "{}", table(t, doc))),
            Block::Chart(id) => doc.facts.chart(id).map_or(Ok(()), |c| {
                let from = doc.lang.pick("Fuente", "Source");
                let (svg, title) = (c.drawing.svg(&c.title), escape(&c.title));
                writeln!(
                    html,
                    "<figure>\n<figcaption>{title}</figcaption>\n{svg}<p class=\"from\">{from}: {}</p>\n</figure>",
                    c.source
                )
            }),
        };
    }
    if in_list {
        html.push_str("</ul>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn contents(html: &mut String, doc: &Document) {
    let title = doc.lang.pick("Contenido", "Contents");
    let headings = doc.blocks.iter().filter_map(|b| match b {
        Block::Heading(level, text) => Some((*level, text)),
        _ => None,
    });
    if headings.clone().count() < 4 {
        return;
    }
    let _ = writeln!(html, "<nav aria-label=\"{title}\">\n<p class=\"toc\">{title}</p>\n<ol>");
    for (at, (level, text)) in headings.enumerate() {
        if level == 1 {
            let _ = writeln!(html, "<li><a href=\"#s{}\">{}</a></li>", at + 1, escape(text));
        }
    }
    html.push_str("</ol>\n</nav>\n");
}

/// One table with its caption and source, also for templates in HTML.
pub(super) fn table(table: &Table, doc: &Document) -> String {
    let mut html = format!(
        "<div class=\"wide\">\n<table id=\"t-{}\">\n<caption>{}</caption>\n<thead><tr>",
        table.id,
        escape(&table.title)
    );
    for column in &table.columns {
        let class = if column.numeric { " class=\"n\"" } else { "" };
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(&column.name));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let class = match cell {
                _ if column.numeric => " class=\"n\"",
                Cell::Text(text) if is_hash(text) => " class=\"h\"",
                _ => "",
            };
            let _ = write!(html, "<td{class}>{}</td>", escape(&cell.shown(&doc.zone)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    let note = table.note.as_deref().map_or_else(String::new, |note| format!("{} · ", escape(note)));
    let from = doc.lang.pick("Fuente", "Source");
    let _ = writeln!(html, "<p class=\"from\">{note}{from}: {}</p>", table.source);
    html
}

/// What may be broken anywhere, and is set in a narrower hand.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

const STYLE: &str = "\
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a202c; font: 15px/1.5 \"Liberation Sans\", Arial, Helvetica, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header { border-bottom: 3px solid #1f4e79; margin-bottom: 1.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; color: #1f4e79; margin: 0; }
.sub { font-size: 1.05rem; color: #555f6d; margin: .3rem 0 .9rem; }
h2 { font-size: 1.3rem; color: #1f4e79; border-bottom: 1px solid #cfd6de; padding-bottom: .2rem; margin: 2.2rem 0 .8rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
a { color: #1f4e79; }
nav ol { columns: 2; list-style: none; padding: 0; margin: 0 0 1rem; }
.toc { font-weight: bold; margin: 0 0 .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .84rem; line-height: 1.35; }
caption { text-align: left; font-weight: bold; padding: .7rem 0 .35rem; }
th { background: #eef2f6; text-align: left; border-bottom: 2px solid #1f4e79; }
th, td { padding: .25rem .5rem; vertical-align: top; }
td { border-bottom: 1px solid #cfd6de; overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.h { font-size: .74rem; }
.from { color: #555f6d; font-size: .78rem; margin: .25rem 0 1rem; }
figure { margin: 1rem 0; }
figcaption { font-weight: bold; font-size: .9rem; margin-bottom: .3rem; }
svg { width: 100%; height: auto; }
@page { size: A4; margin: 18mm 18mm 20mm; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2, h3, h4, caption { break-after: avoid; }
  .page { break-before: page; }
  .wide { overflow: visible; }
  a { color: inherit; text-decoration: none; }
}
";
