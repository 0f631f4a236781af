//! A report laid out on A4 pages: text in lines, tables whose heads repeat, charts, numbers of pages.

use super::document::{Block, Cell, Chart, Document, Table};
use super::drawing::{Anchor, BLUE, Drawing, GREY, INK, PALE, RULE, Shape};
use super::letters::Letters;

/// A4 in points.
pub(super) const PAGE: (f32, f32) = (595.28, 841.89);
const LEFT: f32 = 51.0;
const RIGHT: f32 = PAGE.0 - 51.0;
const TOP: f32 = 54.0;
const BOTTOM: f32 = PAGE.1 - 58.0;
const WIDTH: f32 = RIGHT - LEFT;
/// Size of running text and its line.
const BODY: (f32, f32) = (9.5, 13.5);
/// Size of tables and their line.
const CELLS: (f32, f32) = (7.5, 9.6);
/// Room between the edge of a cell and its text.
const PAD: f32 = 3.0;
/// A first row taller than this may begin on another page than its head's.
const FIRST_ROW_MAX: f32 = 300.0;

/// The pages, and the headings that lead to them.
#[derive(Debug)]
pub(super) struct Pages {
    /// What is on each page.
    pub(super) pages: Vec<Vec<Shape>>,
    /// Level, text, page (from 0) and height of each heading.
    pub(super) outline: Vec<(u8, String, usize, f32)>,
}

/// The pen: where the next thing goes.
struct Pen<'a> {
    letters: &'a Letters,
    doc: &'a Document,
    pages: Vec<Vec<Shape>>,
    y: f32,
    outline: Vec<(u8, String, usize, f32)>,
    /// Where the lines of the contents stand on the first page.
    contents: Vec<f32>,
}

/// Lays the report out.
pub(super) fn lay_out(doc: &Document, letters: &Letters) -> Pages {
    let mut pen =
        Pen { letters, doc, pages: vec![Vec::new()], y: TOP, outline: Vec::new(), contents: Vec::new() };
    pen.front();
    for (at, block) in doc.blocks.iter().enumerate() {
        match block {
            Block::Heading(level, text) => {
                pen.heading(*level, text, doc.blocks.get(at + 1..).unwrap_or_default())
            }
            Block::Paragraph(text) => pen.paragraph(text, 0.0),
            Block::Item(text) => pen.item(text),
            Block::Table(id) => doc.facts.table(id).into_iter().for_each(|t| pen.table(t)),
            Block::Chart(id) => doc.facts.chart(id).into_iter().for_each(|c| pen.chart(c)),
            Block::PageBreak => pen.page(),
        }
    }
    pen.number_contents();
    pen.feet();
    Pages { pages: pen.pages, outline: pen.outline }
}

impl Pen<'_> {
    fn put(&mut self, shape: Shape) {
        if let Some(page) = self.pages.last_mut() {
            page.push(shape);
        }
    }

    fn page(&mut self) {
        if self.pages.last().is_some_and(|page| !page.is_empty()) {
            self.pages.push(Vec::new());
        }
        self.y = TOP;
    }

    /// Goes to a new page unless `height` fits on this one.
    fn need(&mut self, height: f32) {
        if self.y + height > BOTTOM && self.y > TOP {
            self.page();
        }
    }

    /// Title, subtitle, and the contents where there are several parts.
    fn front(&mut self) {
        self.put(Shape::rect(LEFT, TOP - 14.0, WIDTH, 3.0, BLUE));
        self.y += 18.0;
        for line in self.letters.lines(&self.doc.title, 21.0, true, WIDTH) {
            self.put(Shape::text(LEFT, self.y, 21.0, line).bold().coloured(BLUE));
            self.y += 26.0;
        }
        for line in self.letters.lines(&self.doc.subtitle, 11.0, false, WIDTH) {
            self.put(Shape::text(LEFT, self.y, 11.0, line).coloured(GREY));
            self.y += 15.0;
        }
        self.y += 4.0;
        self.put(Shape::line((LEFT, self.y), (RIGHT, self.y), 0.8, RULE));
        self.y += 14.0;
        let parts = self.doc.blocks.iter().filter(|b| matches!(b, Block::Heading(1, _))).count();
        if parts >= 4 {
            self.y += 8.0;
            let title = self.doc.lang.pick("Contenido", "Contents");
            self.put(Shape::text(LEFT, self.y, 11.0, title).bold());
            self.y += 18.0;
            for _ in 0..parts {
                self.contents.push(self.y);
                self.y += 14.5;
            }
            self.y += 12.0;
        }
    }

    /// A heading stays with what follows it.
    fn heading(&mut self, level: u8, text: &str, following: &[Block]) {
        let (size, before) = match level {
            1 => (14.0, 20.0),
            2 => (11.0, 13.0),
            _ => (9.5, 10.0),
        };
        self.need(before + size * 1.25 + 9.0 + self.least(following));
        if self.y > TOP {
            self.y += before;
        }
        let page = self.pages.len() - 1;
        self.outline.push((level, text.to_owned(), page, self.y - size));
        let colour = if level == 1 { BLUE } else { INK };
        for line in self.letters.lines(text, size, true, WIDTH) {
            self.y += size;
            self.put(Shape::text(LEFT, self.y, size, line).bold().coloured(colour));
            self.y += size * 0.25;
        }
        if level == 1 {
            self.y += 2.0;
            self.put(Shape::line((LEFT, self.y), (RIGHT, self.y), 0.7, RULE));
        }
        self.y += 7.0;
    }

    /// How much of what follows must be on the page of its heading.
    fn least(&self, following: &[Block]) -> f32 {
        match following {
            [Block::Chart(id), ..] => self.doc.facts.chart(id).map_or(0.0, |c| c.drawing.height + 42.0),
            [Block::Heading(_, _), rest @ ..] => 30.0 + self.least(rest),
            [Block::Table(_), ..] => 78.0,
            _ => BODY.1 * 2.0,
        }
    }

    fn paragraph(&mut self, text: &str, indent: f32) {
        let lines = self.letters.lines(text, BODY.0, false, WIDTH - indent);
        let few = lines.len().min(2);
        self.need(BODY.1 * f32::from(u8::try_from(few).unwrap_or(2)));
        for line in lines {
            self.need(BODY.1);
            self.y += BODY.1;
            self.put(Shape::text(LEFT + indent, self.y - 3.5, BODY.0, line));
        }
        self.y += 5.0;
    }

    fn item(&mut self, text: &str) {
        self.need(BODY.1);
        self.put(Shape::text(LEFT + 3.0, self.y + BODY.1 - 3.5, BODY.0, "•").coloured(BLUE));
        self.paragraph(text, 14.0);
        self.y -= 2.5;
    }

    fn chart(&mut self, chart: &Chart) {
        let Drawing { width, height, shapes } = &chart.drawing;
        self.need(height + 40.0);
        self.y += 14.0;
        for line in self.letters.lines(&chart.title, 9.0, true, WIDTH) {
            self.put(Shape::text(LEFT, self.y, 9.0, line).bold());
            self.y += 12.0;
        }
        self.y -= 6.0;
        let dx = LEFT + (WIDTH - width).max(0.0) / 2.0;
        for shape in shapes {
            let shape = shape.clone().moved(dx, self.y);
            self.put(shape);
        }
        self.y += height;
        self.small(&format!("{}: {}", self.doc.lang.pick("Fuente", "Source"), chart.source));
    }

    /// The small print below a table or chart.
    fn small(&mut self, text: &str) {
        for line in self.letters.lines(text, 7.0, false, WIDTH) {
            self.need(10.0);
            self.y += 10.0;
            self.put(Shape::text(LEFT, self.y - 1.0, 7.0, line).coloured(GREY));
        }
        self.y += 8.0;
    }

    fn table(&mut self, table: &Table) {
        let total: f32 = table.columns.iter().map(|c| c.weight).sum::<f32>().max(0.001);
        let widths: Vec<f32> = table.columns.iter().map(|c| c.weight / total * WIDTH).collect();
        let names = |text: &str, width: f32| self.letters.lines(text, CELLS.0, true, width - 2.0 * PAD);
        let head: Vec<Vec<String>> =
            table.columns.iter().zip(&widths).map(|(c, w)| names(&c.name, *w)).collect();
        let first = table.rows.first().map_or(0.0, |row| height(&self.wrapped(row, &widths)));
        self.need(30.0 + height(&head) + first.min(FIRST_ROW_MAX));
        self.y += 13.0;
        for line in self.letters.lines(&table.title, 9.0, true, WIDTH) {
            self.put(Shape::text(LEFT, self.y, 9.0, line).bold());
            self.y += 12.0;
        }
        self.y -= 6.0;
        if !table.rows.is_empty() {
            self.head(table, &head, &widths);
        }
        for row in &table.rows {
            let cells = self.wrapped(row, &widths);
            self.row(table, cells, &head, &widths);
        }
        let from = format!("{}: {}", self.doc.lang.pick("Fuente", "Source"), table.source);
        self.small(&table.note.as_ref().map_or_else(|| from.clone(), |note| format!("{note} · {from}")));
    }

    /// The cells of a row in lines.
    fn wrapped(&self, row: &[Cell], widths: &[f32]) -> Vec<Vec<String>> {
        let lines = |(cell, width): (&Cell, &f32)| {
            self.letters.lines(&cell.shown(&self.doc.zone), CELLS.0, false, width - 2.0 * PAD)
        };
        row.iter().zip(widths).map(lines).collect()
    }

    fn head(&mut self, table: &Table, head: &[Vec<String>], widths: &[f32]) {
        let tall = height(head);
        self.put(Shape::rect(LEFT, self.y, WIDTH, tall, PALE));
        self.cells(table, head, widths, true);
        self.y += tall;
        self.put(Shape::line((LEFT, self.y), (RIGHT, self.y), 1.0, BLUE));
    }

    /// A row; where it does not fit, the head is set again on the next page, and a row taller
    /// than a page goes on there.
    fn row(&mut self, table: &Table, mut cells: Vec<Vec<String>>, head: &[Vec<String>], widths: &[f32]) {
        loop {
            let tall = height(&cells);
            let room = BOTTOM - self.y;
            if tall <= room {
                self.cells(table, &cells, widths, false);
                self.y += tall;
                self.put(Shape::line((LEFT, self.y), (RIGHT, self.y), 0.4, RULE));
                return;
            }
            if tall > BOTTOM - TOP - height(head) && room > CELLS.1 * 4.0 {
                let fit = whole((room - 2.0 * PAD) / CELLS.1);
                let first: Vec<Vec<String>> =
                    cells.iter_mut().map(|lines| lines.drain(..fit.min(lines.len())).collect()).collect();
                self.cells(table, &first, widths, false);
            }
            self.page();
            self.head(table, head, widths);
        }
    }

    fn cells(&mut self, table: &Table, cells: &[Vec<String>], widths: &[f32], bold: bool) {
        let mut x = LEFT;
        for ((lines, width), column) in cells.iter().zip(widths).zip(&table.columns) {
            let mut y = self.y + PAD + CELLS.0 * 0.85;
            for line in lines {
                let (at, anchor) =
                    if column.numeric { (x + width - PAD, Anchor::End) } else { (x + PAD, Anchor::Start) };
                let mut text = Shape::text(at, y, CELLS.0, line).anchored(anchor);
                if bold {
                    text = text.bold();
                }
                self.put(text);
                y += CELLS.1;
            }
            x += width;
        }
    }

    /// The contents, now that each part has its page.
    fn number_contents(&mut self) {
        let parts = self.outline.iter().filter(|(level, ..)| *level == 1);
        let mut shapes = Vec::new();
        for ((_, text, page, _), y) in parts.zip(&self.contents) {
            let line =
                self.letters.lines(text, BODY.0, false, WIDTH - 40.0).into_iter().next().unwrap_or_default();
            let from = LEFT + self.letters.width(&line, BODY.0, false) + 6.0;
            shapes.push(Shape::text(LEFT, *y, BODY.0, line));
            shapes.push(Shape::line((from, y - 1.0), (RIGHT - 22.0, y - 1.0), 0.4, RULE));
            shapes.push(Shape::text(RIGHT, *y, BODY.0, (page + 1).to_string()).anchored(Anchor::End));
        }
        if let Some(first) = self.pages.first_mut() {
            first.extend(shapes);
        }
    }

    fn feet(&mut self) {
        let count = self.pages.len();
        let y = PAGE.1 - 32.0;
        let (page, of) = (self.doc.lang.pick("Página", "Page"), self.doc.lang.pick("de", "of"));
        let title = format!("{} · {}", self.doc.title, self.doc.subtitle);
        let title =
            self.letters.lines(&title, 7.5, false, WIDTH - 90.0).into_iter().next().unwrap_or_default();
        for (at, shapes) in self.pages.iter_mut().enumerate() {
            shapes.push(Shape::line((LEFT, y - 11.0), (RIGHT, y - 11.0), 0.5, RULE));
            shapes.push(Shape::text(LEFT, y, 7.5, title.clone()).coloured(GREY));
            let number = Shape::text(RIGHT, y, 7.5, format!("{page} {} {of} {count}", at + 1));
            shapes.push(number.anchored(Anchor::End).coloured(GREY));
        }
    }
}

/// Height of a row of these cells.
fn height(cells: &[Vec<String>]) -> f32 {
    let lines = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
    CELLS.1 * super::chart::narrow(lines as f64) + 2.0 * PAD
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lines that fit on a page")]
fn whole(lines: f32) -> usize {
    lines.max(0.0) as usize
}
