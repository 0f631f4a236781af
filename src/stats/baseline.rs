//! The portal's usual figures, which Tamaulipas and Durango compare the election with.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::FOLDER;
use crate::durable::Dir;
use crate::model::Digest;

/// Usual figures, day by day, as somebody stated them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What they are called.
    pub name: String,
    /// Where they come from, in the operator's words.
    pub origin: String,
    /// The file they were read from, and its SHA-256.
    pub file: String,
    /// SHA-256 of it.
    pub sha256: Digest,
    /// When they were read.
    pub at: Timestamp,
    /// The days.
    pub days: Vec<BaselineDay>,
    /// The mean of a day.
    pub mean: BaselineMean,
}

/// One day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineDay {
    /// Which.
    pub day: Date,
    /// Visits, if stated.
    pub visits: Option<u64>,
    /// Pages, if stated.
    pub pages: Option<u64>,
    /// Hits, if stated.
    pub hits: Option<u64>,
}

/// Means over the days that state a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in BaselineDay")]
pub struct BaselineMean {
    pub visits: Option<f64>,
    pub pages: Option<f64>,
    pub hits: Option<f64>,
}

/// Why a file is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// No such columns.
    #[error(
        "the first line must name the columns: day, and visits, pages or hits (fecha, visitas, paginas, hits)"
    )]
    Columns,
    /// A line.
    #[error("line {0} is not understood")]
    Line(usize),
    /// No day at all, or too many.
    #[error("a baseline has 1 to {DAYS_MAX} days")]
    Days,
    /// A name that is no file name.
    #[error("a baseline is named by letters, digits and hyphens: {0}")]
    Name(String),
    /// Keeping it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads a table with a heading (comma, semicolon or tab) and keeps it beneath `var`, in the place of one of the
/// same name.
pub fn import_baseline(
    var: &Path,
    (name, origin): (&str, &str),
    file: &Path,
    at: Timestamp,
) -> Result<Baseline, BaselineError> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(BaselineError::Name(name.to_owned()));
    }
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let text = Dir::open(parent)?.read(file.file_name().unwrap_or_default(), FILE_BYTES_MAX)?;
    let days = parse(&String::from_utf8_lossy(&text))?;
    let baseline = Baseline {
        name: name.to_owned(),
        origin: origin.to_owned(),
        file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: Digest::of(&text),
        at,
        mean: mean(&days),
        days,
    };
    let folder = Dir::create(var.join(FOLDER))?.sub_create(BASELINES)?;
    let text = serde_json::to_vec_pretty(&baseline).map_err(io::Error::other)?;
    folder.write_atomic(format!("{name}.json"), &text)?;
    Ok(baseline)
}

/// All baselines beneath `var`, by name.
pub fn baselines(var: &Path) -> io::Result<Vec<Baseline>> {
    let folder = match Dir::open(var.join(FOLDER).join(BASELINES)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for listed in folder.list()?.into_iter().filter(|l| l.is_file()) {
        let text = folder.read(&listed.name, FILE_BYTES_MAX)?;
        all.push(serde_json::from_slice(&text).map_err(io::Error::other)?);
    }
    Ok(all)
}

fn parse(text: &str) -> Result<Vec<BaselineDay>, BaselineError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, heading) = lines.next().ok_or(BaselineError::Days)?;
    let separator = [';', '\t', ','].into_iter().find(|s| heading.contains(*s)).unwrap_or(',');
    let cells = |line: &str| -> Vec<String> {
        line.split(separator).map(|cell| cell.trim().trim_matches('"').to_lowercase()).collect()
    };
    let heading = cells(heading);
    let column = |names: &[&str]| heading.iter().position(|cell| names.contains(&cell.as_str()));
    let day = column(&["fecha", "dia", "día", "day", "date"]).ok_or(BaselineError::Columns)?;
    let figures = [
        column(&["visitas", "visits", "sesiones", "sessions"]),
        column(&["paginas", "páginas", "pages", "pageviews"]),
        column(&["hits", "accesos", "requests"]),
    ];
    if figures.iter().all(Option::is_none) {
        return Err(BaselineError::Columns);
    }
    let mut days = Vec::new();
    for (n, line) in lines {
        let cells = cells(line);
        let bad = || BaselineError::Line(n + 1);
        let date = cells.get(day).and_then(|cell| cell.parse::<Date>().ok()).ok_or_else(bad)?;
        let mut read = [None; 3];
        for (own, column) in read.iter_mut().zip(figures) {
            let cell = column.and_then(|c| cells.get(c)).filter(|cell| !cell.is_empty());
            *own = cell.map(|cell| cell.parse::<u64>().map_err(|_| bad())).transpose()?;
        }
        let [visits, pages, hits] = read;
        days.push(BaselineDay { day: date, visits, pages, hits });
    }
    if days.is_empty() || days.len() > DAYS_MAX {
        return Err(BaselineError::Days);
    }
    days.sort_by_key(|d| d.day);
    Ok(days)
}

fn mean(days: &[BaselineDay]) -> BaselineMean {
    let of = |figure: fn(&BaselineDay) -> Option<u64>| {
        let stated: Vec<u64> = days.iter().filter_map(figure).collect();
        (!stated.is_empty()).then(|| stated.iter().sum::<u64>() as f64 / stated.len() as f64)
    };
    BaselineMean { visits: of(|d| d.visits), pages: of(|d| d.pages), hits: of(|d| d.hits) }
}

const BASELINES: &str = "baselines";
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Some ten years.
const DAYS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_usual_days_gives_their_mean() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("portal.csv");
        std::fs::write(&file, "\u{feff}Fecha;Visitas;Páginas\n2024-05-02;300;\n2024-05-01;100;40\n").unwrap();
        let at = "2024-06-01T00:00:00Z".parse().unwrap();
        let made = import_baseline(scratch.path(), ("portal", "AWStats del portal"), &file, at).unwrap();
        assert_eq!(made.mean, BaselineMean { visits: Some(200.0), pages: Some(40.0), hits: None });
        assert_eq!(made.days[0].day.to_string(), "2024-05-01");
        assert_eq!(baselines(scratch.path()).unwrap(), [made]);
    }

    #[test]
    fn what_is_no_table_is_said_so_with_its_line() {
        assert!(matches!(parse("a,b\n"), Err(BaselineError::Columns)));
        assert!(matches!(parse("day,hits\n2024-05-01,1\n2024-05-02,many\n"), Err(BaselineError::Line(3))));
        assert!(matches!(parse("day,hits\n"), Err(BaselineError::Days)));
    }
}
