//! The one value every format is made from: headings, paragraphs, tables and charts, each with the
//! sources its figures came from.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::drawing::Drawing;
use crate::model::Lang;

/// A whole report.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which report: `memoria`, `interconnection`…
    pub kind: &'static str,
    /// Title on the first page.
    pub title: String,
    /// The line below it.
    pub subtitle: String,
    /// Its language.
    pub lang: Lang,
    /// Zone of every hour in it.
    pub zone: TimeZone,
    /// The instant it speaks of: nothing later is in it.
    pub as_of: Timestamp,
    /// The body, in reading order.
    pub blocks: Vec<Block>,
    /// What the blocks are about.
    pub facts: Facts,
}

/// A piece of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading of level 1 to 3.
    Heading(u8, String),
    /// A paragraph.
    Paragraph(String),
    /// One item of a list.
    Item(String),
    /// The table of this id.
    Table(String),
    /// The chart of this id.
    Chart(String),
    /// What follows begins on a new page.
    PageBreak,
}

/// Everything a report may show, by id, and where each thing came from.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Single numbers.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Charts.
    pub charts: Vec<Chart>,
    /// Where they came from.
    pub sources: Vec<Source>,
    /// What is missing in the configuration, with the clauses that ask for it.
    pub missing: Vec<String>,
}

/// A number that the text names.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Such as `cuts.published`; the same in every language.
    pub id: &'static str,
    /// Its value.
    pub value: Cell,
    /// Where it came from.
    pub source: SourceId,
}

/// The number of a source in its report: `C3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(usize);

impl SourceId {
    /// The id of the source at this place, from 0.
    pub(super) fn nth(at: usize) -> Self {
        Self(at)
    }
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "C{}", self.0 + 1)
    }
}

/// Where figures came from, and how to get them again.
#[derive(Clone, Debug)]
pub struct Source {
    /// What was counted, and how.
    pub how: String,
    /// Files, with their hash where they are whole.
    pub from: String,
    /// A command that shows the same.
    pub query: String,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Such as `cuts`; the same in every language.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
    /// What stands below it, or in its place if it has no rows.
    pub note: Option<String>,
    /// Where it came from.
    pub source: SourceId,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Its share of the width.
    pub weight: f32,
    /// Whether it holds numbers, which stand to the right.
    pub numeric: bool,
}

/// A value in a table, still a value: a spreadsheet can add it up.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Empty,
    /// Words.
    Text(String),
    /// A count.
    Count(u64),
    /// A measure with so many decimals.
    Real(f64, usize),
    /// A share of one, shown as per cent with so many decimals.
    Percent(f64, usize),
    /// An instant, to the second.
    At(Timestamp),
}

/// A chart, drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Such as `hits-by-hour`.
    pub id: &'static str,
    /// What it shows; also what a screen reader says.
    pub title: String,
    /// The picture.
    pub drawing: Drawing,
    /// Where its numbers came from.
    pub source: SourceId,
}

impl Facts {
    /// Takes a source in and gives its number.
    pub fn source(
        &mut self,
        how: impl Into<String>,
        from: impl Into<String>,
        query: impl Into<String>,
    ) -> SourceId {
        self.sources.push(Source { how: how.into(), from: from.into(), query: query.into() });
        SourceId(self.sources.len() - 1)
    }

    /// A source, to say more of it.
    pub(super) fn source_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.sources.get_mut(id.0)
    }

    /// Takes a number in.
    pub fn figure(&mut self, id: &'static str, value: impl Into<Cell>, source: SourceId) {
        self.figures.push(Figure { id, value: value.into(), source });
    }

    /// The table of this id.
    pub fn table(&self, id: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.id == id)
    }

    /// The chart of this id.
    pub fn chart(&self, id: &str) -> Option<&Chart> {
        self.charts.iter().find(|c| c.id == id)
    }

    /// The number of this id.
    pub fn figure_of(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.id == id)
    }
}

impl Table {
    /// An empty table; columns are `name:weight`, numeric ones with a `#` in front.
    pub fn new(
        id: &'static str,
        title: impl Into<String>,
        columns: &[(&str, f32)],
        source: SourceId,
    ) -> Self {
        let columns = columns.iter().map(|(name, weight)| Column {
            numeric: name.starts_with('#'),
            name: name.trim_start_matches('#').to_owned(),
            weight: *weight,
        });
        Self { id, title: title.into(), columns: columns.collect(), rows: Vec::new(), note: None, source }
    }

    /// The same with what stands below it.
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Adds a row; it is made as long as the head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        cells.resize(self.columns.len(), Cell::Empty);
        self.rows.push(cells);
    }
}

impl Cell {
    /// As people read it; the same in Mexico's Spanish and in English.
    pub fn shown(&self, zone: &TimeZone) -> String {
        match self {
            Self::Empty => "–".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Count(n) => grouped(&n.to_string()),
            Self::Real(x, decimals) => grouped(&format!("{x:.decimals$}")),
            Self::Percent(x, decimals) => format!("{:.decimals$} %", x * 100.0),
            Self::At(t) => hour(*t, zone),
        }
    }
}

impl From<u64> for Cell {
    fn from(n: u64) -> Self {
        Self::Count(n)
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        Self::Count(n as u64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Timestamp> for Cell {
    fn from(t: Timestamp) -> Self {
        Self::At(t)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

/// `2027-06-06 20:15:07`, in the report's zone.
pub(super) fn hour(t: Timestamp, zone: &TimeZone) -> String {
    t.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `1234567.5` → `1,234,567.5`, as Mexico writes it.
fn grouped(digits: &str) -> String {
    let (sign, rest) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (at, c) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_as_mexico_writes_them() {
        assert_eq!(grouped("1234567"), "1,234,567");
        assert_eq!(grouped("-1234.50"), "-1,234.50");
        assert_eq!(grouped("999"), "999");
        assert_eq!(Cell::Percent(0.99912, 3).shown(&TimeZone::UTC), "99.912 %");
    }
}
