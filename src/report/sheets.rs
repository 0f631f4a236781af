//! A report as a workbook: the text on the first sheet, each table on its own, values as values.

use std::io;

use jiff::Timestamp;
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::document::{Block, Cell, Document, Table};

/// Excel's longest text of a cell.
const TEXT_CHARS_MAX: usize = 32_000;
/// Excel's longest name of a sheet.
const NAME_CHARS_MAX: usize = 31;
/// A4 by Excel's number.
const A4: u8 = 9;
/// Colour of heads.
const HEAD: u32 = 0x1f_4e79;

/// The whole file.
pub(super) fn render(doc: &Document) -> io::Result<Vec<u8>> {
    let failed = |e: XlsxError| io::Error::other(e.to_string());
    let mut book = Workbook::new();
    let properties = DocProperties::new().set_title(&doc.title).set_subject(&doc.subtitle);
    let properties = properties.set_author(format!("difusor {}", env!("CARGO_PKG_VERSION")));
    book.set_properties(&properties.set_creation_datetime(&local(doc, doc.as_of).map_err(failed)?));
    text(&mut book, doc).map_err(failed)?;
    let mut names = Vec::new();
    for table in shown(doc) {
        sheet(&mut book, doc, table, &mut names).map_err(failed)?;
    }
    book.save_to_buffer().map_err(failed)
}

/// The tables of the body in its order, each once.
pub(super) fn shown(doc: &Document) -> Vec<&Table> {
    let mut tables: Vec<&Table> = Vec::new();
    for block in &doc.blocks {
        if let Block::Table(id) = block
            && let Some(table) = doc.facts.table(id)
            && !tables.iter().any(|t| t.id == table.id)
        {
            tables.push(table);
        }
    }
    tables
}

fn text(book: &mut Workbook, doc: &Document) -> Result<(), XlsxError> {
    let sheet = book.add_worksheet();
    sheet.set_name(doc.lang.pick("Texto", "Text"))?;
    paper(sheet, doc);
    sheet.set_column_width(0, 110.0)?;
    let title = Format::new().set_bold().set_font_size(18).set_font_color(HEAD);
    let small = Format::new().set_font_color(0x55_5f6d);
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    sheet.write_string_with_format(0, 0, &doc.title, &title)?;
    sheet.write_string_with_format(1, 0, &doc.subtitle, &small)?;
    let mut row = 3;
    for block in &doc.blocks {
        match block {
            Block::Heading(level, text) => {
                let size = match level {
                    1 => 14,
                    2 => 12,
                    _ => 11,
                };
                let heading = Format::new().set_bold().set_font_size(size).set_font_color(HEAD);
                row += 1;
                sheet.write_string_with_format(row, 0, bounded(text), &heading)?;
            }
            Block::Paragraph(text) => _ = sheet.write_string_with_format(row, 0, bounded(text), &wrapped)?,
            Block::Item(text) => {
                let text = format!("•  {}", bounded(text));
                sheet.write_string_with_format(row, 0, text, &wrapped)?;
            }
            Block::Table(id) => {
                let Some(table) = doc.facts.table(id) else { continue };
                let place = doc.lang.pick("tabla en la hoja", "table on sheet");
                let text = format!("→ {}: {place} «{}»", table.title, name_of(table));
                sheet.write_string_with_format(row, 0, bounded(&text), &small)?;
            }
            Block::Chart(_) | Block::PageBreak => continue,
        }
        row += 1;
    }
    Ok(())
}

fn sheet(
    book: &mut Workbook,
    doc: &Document,
    table: &Table,
    names: &mut Vec<String>,
) -> Result<(), XlsxError> {
    let name = name_of(table);
    if names.contains(&name) {
        return Ok(());
    }
    let sheet = book.add_worksheet();
    sheet.set_name(&name)?;
    names.push(name);
    paper(sheet, doc);
    let title = Format::new().set_bold().set_font_size(13).set_font_color(HEAD);
    let small = Format::new().set_font_color(0x55_5f6d).set_italic();
    let head = Format::new().set_bold().set_background_color(0xee_f2f6).set_text_wrap();
    let head = head.set_border_bottom(FormatBorder::Medium).set_border_bottom_color(HEAD);
    sheet.write_string_with_format(0, 0, bounded(&table.title), &title)?;
    let from = format!("{}: {}", doc.lang.pick("Fuente", "Source"), table.source);
    let note = table.note.as_ref().map_or_else(|| from.clone(), |note| format!("{note} · {from}"));
    sheet.write_string_with_format(1, 0, bounded(&note), &small)?;
    for (at, column) in (0..).zip(&table.columns) {
        sheet.write_string_with_format(3, at, &column.name, &head)?;
        let longest = table.rows.iter().filter_map(|row| row.get(usize::from(at)));
        let longest = longest.map(|cell| cell.shown(&doc.zone).chars().count()).max().unwrap_or(0);
        let width = longest.max(column.name.chars().count() * 3 / 4).clamp(8, 66);
        sheet.set_column_width(at, f64::from(u32::try_from(width).unwrap_or(66)) + 2.0)?;
    }
    for (at, row) in (4..).zip(&table.rows) {
        for (column, value) in (0..).zip(row) {
            cell(sheet, (at, column), value, doc)?;
        }
    }
    sheet.set_freeze_panes(4, 0)?;
    sheet.set_repeat_rows(3, 3)?;
    let last = (u32::try_from(table.rows.len()), u16::try_from(table.columns.len()));
    if let (Ok(rows @ 1..), Ok(columns @ 1..)) = last {
        sheet.autofilter(3, 0, 3 + rows, columns - 1)?;
    }
    Ok(())
}

fn cell(sheet: &mut Worksheet, at: (u32, u16), value: &Cell, doc: &Document) -> Result<(), XlsxError> {
    let (row, column) = at;
    let number = |sheet: &mut Worksheet, x: f64, pattern: &str| {
        let format = Format::new().set_num_format(pattern);
        sheet.write_number_with_format(row, column, x, &format).map(|_| ())
    };
    match value {
        Cell::Empty => Ok(()),
        Cell::Text(text) => sheet.write_string(row, column, bounded(text)).map(|_| ()),
        #[expect(clippy::cast_precision_loss, reason = "Excel knows no other numbers")]
        Cell::Count(n) => number(sheet, *n as f64, "#,##0"),
        Cell::Real(x, 0) => number(sheet, *x, "#,##0"),
        Cell::Real(x, decimals) => number(sheet, *x, &format!("#,##0.{}", "0".repeat(*decimals))),
        Cell::Percent(x, 0) => number(sheet, *x, "0 %"),
        Cell::Percent(x, decimals) => number(sheet, *x, &format!("0.{} %", "0".repeat(*decimals))),
        Cell::At(t) => {
            let format = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
            sheet.write_datetime_with_format(row, column, local(doc, *t)?, &format).map(|_| ())
        }
    }
}

fn paper(sheet: &mut Worksheet, doc: &Document) {
    sheet.set_paper_size(A4).set_landscape().set_print_fit_to_pages(1, 0);
    let (page, of) = (doc.lang.pick("Página", "Page"), doc.lang.pick("de", "of"));
    sheet.set_footer(format!("&L{}&R{page} &P {of} &N", doc.title.replace('&', "&&")));
}

/// The instant on the report's own clock: Excel knows no zones.
fn local(doc: &Document, t: Timestamp) -> Result<ExcelDateTime, XlsxError> {
    let t = t.to_zoned(doc.zone.clone());
    let small = |n: i8| u8::try_from(n).unwrap_or(0);
    let day =
        ExcelDateTime::from_ymd(u16::try_from(t.year()).unwrap_or(1900), small(t.month()), small(t.day()))?;
    day.and_hms(u16::from(small(t.hour())), small(t.minute()), small(t.second()))
}

/// The name of the sheet: the table's id.
fn name_of(table: &Table) -> String {
    table.id.chars().take(NAME_CHARS_MAX).collect()
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(TEXT_CHARS_MAX).collect()
}
