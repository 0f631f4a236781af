//! Verdicts in words: the room's warnings, what the archive's failures mean, and the one
//! line that `difusor package verify --json` prints.

use std::io;

use serde::{Serialize, Serializer};

use super::Verified;
use super::examiner::Extent;
use super::stamp::Found;
use crate::archive::{Error, Skipped};
use crate::model::{Code, Cut, Digest, Lang, Rejection, Stage};

/// What an operator should look at although the package is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Two stamps are further apart than a period.
    StampMismatch {
        /// The one that counts.
        used: Found,
        /// The one that says otherwise.
        other: Found,
    },
    /// No stamp but a file's time, or none at all.
    NoStamp,
    /// A stamp's offset is not the zone's, as when `(UTC-6)` is left over from elsewhere.
    StampOffset(Found),
    /// A `.json` file holds gzip bytes.
    JsonGzip(String),
    /// A JSON file was too large to be parsed.
    JsonUnread(String),
    /// A list of sums does not name the package.
    SumIgnored(String),
    /// A sidecar agrees, but names another file.
    SumName(String),
}

impl Warning {
    /// The stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::StampMismatch { .. } => "STAMP_MISMATCH",
            Self::NoStamp => "NO_STAMP",
            Self::StampOffset(_) => "STAMP_OFFSET",
            Self::JsonGzip(_) => "JSON_GZIP",
            Self::JsonUnread(_) => "JSON_UNREAD",
            Self::SumIgnored(_) => "SUM_IGNORED",
            Self::SumName(_) => "SUM_NAME",
        }
    }

    /// What it means, as a sentence without capital or period.
    pub fn message(&self, lang: Lang) -> String {
        let hour = |found: &Found| format!("{} ({}: {})", found.cut, found.source.label(lang), found.place);
        match self {
            Self::StampMismatch { used, other } => {
                let differ = lang.pick("las horas del corte difieren", "the hours of the cut differ");
                format!("{differ}: {} / {}", hour(used), hour(other))
            }
            Self::NoStamp => {
                lang.pick("no se encontró la hora del corte", "no hour of the cut was found").to_owned()
            }
            Self::StampOffset(found) => {
                let foreign =
                    lang.pick("el huso no es el de la elección", "the offset is not the election's");
                format!("{foreign}: {}", hour(found))
            }
            Self::JsonGzip(path) => about(lang.pick("JSON comprimido con gzip", "JSON inside gzip"), path),
            Self::JsonUnread(path) => {
                about(lang.pick("JSON demasiado grande para revisarlo", "JSON too large to be checked"), path)
            }
            Self::SumIgnored(name) => about(
                lang.pick("la lista de sumas no nombra el paquete", "the sums do not name the package"),
                name,
            ),
            Self::SumName(name) => about(
                lang.pick(
                    "la suma coincide, pero nombra otro archivo",
                    "the sum agrees, but names another file",
                ),
                name,
            ),
        }
    }
}

fn about(what: &str, name: &str) -> String {
    format!("{what}: {name}")
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = s.serialize_struct("Warning", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.message(Lang::En))?;
        fields.end()
    }
}

/// A verdict as `difusor package verify --json` prints it. The first five fields are
/// always there.
#[derive(Debug, Serialize)]
pub struct Report {
    verdict: &'static str,
    stage: Option<Stage>,
    reason: Option<Code>,
    entry: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Accepted>,
}

/// The facts of an accepted package.
#[derive(Debug, Serialize)]
struct Accepted {
    format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    cut: Option<Cut>,
    cut_source: Option<Found>,
    files: u64,
    bytes: u64,
    skipped: u64,
    skipped_names: Vec<String>,
    top: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    increment: bool,
    warnings: Vec<Warning>,
}

impl Report {
    /// The line of a verdict.
    pub fn of(verdict: &Result<Verified, Rejection>, lang: Lang) -> Self {
        match verdict {
            Ok(verified) => Self::accept(verified, lang),
            Err(rejection) => Self::reject(rejection, lang),
        }
    }

    fn accept(verified: &Verified, lang: Lang) -> Self {
        let cut = verified.cut.as_ref().map(|found| found.cut);
        let hour = match cut {
            Some(cut) => format!("{} {cut}", lang.pick("corte", "cut")),
            None => lang.pick("sin hora de corte", "no hour of the cut").to_owned(),
        };
        let increment = verified.extent == Extent::Changes;
        let what = if increment { lang.pick("incremento, ", "increment, ") } else { "" };
        let files = lang.pick("archivos", "files");
        let Skipped { count, names } = &verified.skipped;
        Self {
            verdict: "accept",
            stage: None,
            reason: None,
            entry: None,
            message: format!("{what}{hour}, {} {files}, {} bytes", verified.files, verified.bytes),
            accepted: Some(Accepted {
                format: verified.format.to_string(),
                sha256: verified.sha256,
                cut,
                cut_source: verified.cut.clone(),
                files: verified.files,
                bytes: verified.bytes,
                skipped: *count,
                skipped_names: names.clone(),
                top: verified.top.clone(),
                increment,
                warnings: verified.warnings.clone(),
            }),
        }
    }

    fn reject(rejection: &Rejection, lang: Lang) -> Self {
        Self {
            verdict: "reject",
            stage: Some(rejection.stage()),
            reason: Some(rejection.code),
            entry: rejection.entry.clone(),
            message: format!("{}; {}", rejection.message(lang), rejection.code.todo(lang)),
            accepted: None,
        }
    }
}

/// What the archive room found, in published words.
pub(super) fn rejection(error: Error) -> Rejection {
    match error {
        Error::Refused(refusal) => refusal.into(),
        Error::Sink(error) => unstored(&error),
        Error::Read(error) => unreadable(error),
    }
}

/// A sink may say why in our own words; else it is the disk.
fn unstored(error: &io::Error) -> Rejection {
    if let Some(rejection) = error.get_ref().and_then(|inner| inner.downcast_ref::<Rejection>()) {
        return rejection.clone();
    }
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Rejection::new(if full { Code::NoSpace } else { Code::StoreFailed }).detail(error.to_string())
}

/// Our own copy of the package cannot be read.
pub(super) fn unreadable(error: io::Error) -> Rejection {
    Rejection::new(Code::StoreFailed).detail(error.to_string())
}
