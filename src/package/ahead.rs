//! The walk to a verdict while the package still arrives.
//!
//! Ahead of the last byte only good news can be told: whoever finds a fault here forgets the
//! walk and has [`super::verify`] read the whole file, so that a refusal has one author.

use std::fs::File;
use std::io;

use jiff::Timestamp;

use super::examiner::{Content, Examiner, Extent};
use super::{Both, Rules, Verified, admit_as, sidecar, verdict};
use crate::archive::{self, Arriving, Format, Report, Sink};
use crate::model::{Code, Cut, Digest, Rejection};

/// A package read to its last byte, whose name is not judged yet.
#[derive(Debug)]
pub struct Seen<'r> {
    rules: &'r Rules,
    examiner: Examiner<'r>,
    report: Report,
}

/// A package with which nothing is wrong, as far as its content tells.
#[derive(Clone, Debug)]
pub struct Foreseen {
    verified: Verified,
}

/// Follows a package that began to arrive at `now` and gives its entries to `sink`.
/// Returns when the last byte is read, or earlier with a fault.
pub fn watch<'r>(
    bytes: &dyn Arriving,
    rules: &'r Rules,
    now: Timestamp,
    sink: &mut dyn Sink,
) -> Result<Seen<'r>, Rejection> {
    let mut examiner = Examiner::new(rules, Extent::Whole, now);
    let report = archive::read_arriving(bytes, &rules.limits, &mut Both { examiner: &mut examiner, sink })
        .map_err(verdict::rejection)?;
    Ok(Seen { rules, examiner, report })
}

impl Seen<'_> {
    /// What [`super::verify`] would say at `now` of this package of `size` bytes, were there no sums
    /// beside it and no live cut.
    pub fn judge(mut self, name: &str, size: u64, now: Timestamp) -> Result<Foreseen, Rejection> {
        admit_as(name, size, self.rules)?;
        if Format::from_name(name) != Some(self.report.format) {
            return Err(Rejection::new(Code::FormatMismatch));
        }
        self.examiner.judge_at(now)?;
        let content = self.examiner.finish(name, None)?;
        let Report { format, files, bytes, skipped, .. } = self.report;
        let Content { cut, warnings, top, extent, last, .. } = content;
        let sha256 = None;
        let verified = Verified { format, sha256, cut, files, bytes, skipped, warnings, top, extent, last };
        Ok(Foreseen { verified })
    }
}

impl Foreseen {
    /// The cut, where one was found.
    pub fn cut(&self) -> Option<Cut> {
        self.verified.cut.as_ref().map(|found| found.cut)
    }

    /// The single directory that everything lies in, to be stripped.
    pub fn top(&self) -> Option<&str> {
        self.verified.top.as_deref()
    }

    /// The verdict, now that the live cut and the sums that came beside the package are known.
    /// `file` has the SHA-256 `id`; it is read again only for sums of other kinds.
    pub fn confirm(
        mut self,
        file: impl FnOnce() -> io::Result<File>,
        name: &str,
        id: Digest,
        sidecars: &[(String, Vec<u8>)],
        rules: &Rules,
        live: Option<Cut>,
    ) -> Result<Verified, Rejection> {
        let sums = sidecar::check_known(file, name, id, sidecars)?;
        if let (Some(found), Some(live)) = (&self.verified.cut, live)
            && found.is_older_than(live, rules.period)
        {
            return Err(Rejection::new(Code::CutOlder));
        }
        self.verified.sha256 = sums.sha256;
        let content = std::mem::replace(&mut self.verified.warnings, sums.warnings);
        self.verified.warnings.extend(content);
        Ok(self.verified)
    }
}
