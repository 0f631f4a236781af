//! The memoria técnica and the other reports that the calls want (issue of the night's papers).
//!
//! Owns no state. Reads `ledger`, `stats`, `incident` and `monitor`; what it must know of the configuration comes
//! as [`Settings`]. The one flow: [`Request`] → facts, each with its source → a [`Template`] gives them
//! an order → one [`Document`] → HTML, PDF, XLSX, CSV or JSON by [`render`].
//!
//! The same data and the same request give the same bytes: no clock is read here.

mod audience;
mod calls;
mod chart;
mod document;
mod drawing;
mod gather;
mod html;
mod letters;
mod night;
mod operation;
mod pages;
mod pdf;
mod people;
mod plain;
mod plant;
mod settings;
mod sheets;
mod template;
mod troubles;

use std::io;

use jiff::Timestamp;

use crate::model::Lang;

pub use calls::{Call, Span};
pub use document::{Block, Cell, Chart, Column, Document, Facts, Figure, Source, SourceId, Table};
pub use drawing::{Anchor, Colour, Drawing, Shape};
pub use settings::{Doors, Estimate, Evidence, Office, Party, Person, Remarks, Settings};
pub use template::{Fault as TemplateFault, Template};

/// Which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The memoria técnica.
    Memoria,
    /// What the institute must know to push.
    Interconnection,
    /// The diagram of the service, with ports and capacity.
    Architecture,
    /// Availability and response times.
    Availability,
    /// Participation in a drill.
    Drill,
    /// Contacts, staff, evidence and estimate; what is missing is an error.
    Dossier,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Memoria,
        Self::Interconnection,
        Self::Architecture,
        Self::Availability,
        Self::Drill,
        Self::Dossier,
    ];

    /// Its name on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memoria => "memoria",
            Self::Interconnection => "interconnection",
            Self::Architecture => "architecture",
            Self::Availability => "availability",
            Self::Drill => "drill",
            Self::Dossier => "dossier",
        }
    }

    /// Whether it tells of a stretch of time; the others tell of the configuration alone.
    pub fn has_window(self) -> bool {
        matches!(self, Self::Memoria | Self::Availability | Self::Drill)
    }

    /// Our own template.
    pub fn template(self, lang: Lang) -> Template {
        let text =
            match self {
                Self::Memoria => lang
                    .pick(include_str!("templates/memoria.es.md"), include_str!("templates/memoria.en.md")),
                Self::Interconnection => lang.pick(
                    include_str!("templates/interconnection.es.md"),
                    include_str!("templates/interconnection.en.md"),
                ),
                Self::Architecture => lang.pick(
                    include_str!("templates/architecture.es.md"),
                    include_str!("templates/architecture.en.md"),
                ),
                Self::Availability => lang.pick(
                    include_str!("templates/availability.es.md"),
                    include_str!("templates/availability.en.md"),
                ),
                Self::Drill => {
                    lang.pick(include_str!("templates/drill.es.md"), include_str!("templates/drill.en.md"))
                }
                Self::Dossier => lang
                    .pick(include_str!("templates/dossier.es.md"), include_str!("templates/dossier.en.md")),
            };
        Template { name: format!("{}.md", self.name()), text: text.to_owned() }
    }
}

/// A form that every report can be given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One page with rules for paper.
    Html,
    /// A4.
    Pdf,
    /// A sheet a table.
    Xlsx,
    /// Every table, one below the other.
    Csv,
    /// Everything, for machines.
    Json,
}

impl Format {
    /// All, with their names, which are the suffixes of their files.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Html, "html"),
        (Self::Pdf, "pdf"),
        (Self::Xlsx, "xlsx"),
        (Self::Csv, "csv"),
        (Self::Json, "json"),
    ];

    /// Suffix of its file.
    pub fn suffix(self) -> &'static str {
        Self::ALL.iter().find(|(format, _)| *format == self).map_or("", |(_, name)| name)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which report.
    pub kind: Kind,
    /// The event it tells of, by name or by kind (`jornada`, `simulacro`).
    pub event: Option<String>,
    /// A window of one's own instead.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The instant it speaks of; nothing later is in it. Without it: the last line of the ledger.
    pub as_of: Option<Timestamp>,
    /// A template of one's own.
    pub template: Option<Template>,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The report.
    pub document: Document,
    /// Its text, where the template gives no blocks but one file.
    pub text: Option<String>,
    /// The event or window it tells of.
    pub event: Option<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The template.
    #[error("{}", .0.en)]
    Template(TemplateFault),
    /// No event of that name.
    #[error("no event {wanted:?}; there are: {known}")]
    Event {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Statistics, ledger or a file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fault {
    /// For people.
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Template(fault), _) => lang.pick(&fault.es, &fault.en).to_owned(),
            (Self::Event { wanted, known }, Lang::Es) => {
                format!("no hay un evento «{wanted}»; hay: {known} (sección [[event]])")
            }
            (other, _) => other.to_string(),
        }
    }
}

/// Gathers the facts and fills the template.
pub fn make(settings: &Settings, request: &Request) -> Result<Made, Fault> {
    let (mut document, more) = gather::facts(settings, request)?;
    let event = more.pointer("/event/title").and_then(|t| t.as_str()).map(str::to_owned);
    let event = event.filter(|_| request.kind.has_window());
    let template = request.template.clone().unwrap_or_else(|| request.kind.template(settings.lang));
    if template.gives_blocks() {
        template.fill(&mut document, more).map_err(Fault::Template)?;
        return Ok(Made { document, text: None, event });
    }
    // Title and blocks as ours would have them, so that the other formats are there too.
    let text = template.rendered(&document, more.clone()).map_err(Fault::Template)?;
    request.kind.template(settings.lang).fill(&mut document, more).map_err(Fault::Template)?;
    Ok(Made { document, text: Some(text), event })
}

/// The bytes of one form.
pub fn render(document: &Document, format: Format) -> io::Result<Vec<u8>> {
    Ok(match format {
        Format::Html => html::render(document).into_bytes(),
        Format::Pdf => pdf::render(document)?,
        Format::Xlsx => sheets::render(document)?,
        Format::Csv => plain::csv(document).into_bytes(),
        Format::Json => plain::json(document).into_bytes(),
    })
}

/// Every table as a file of its own: name and CSV.
pub fn annexes(document: &Document) -> Vec<(String, String)> {
    let tables = sheets::shown(document).into_iter();
    tables.map(|table| (format!("{}.csv", table.id), plain::csv_of(table, document))).collect()
}
