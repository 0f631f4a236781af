//! What the archive room refuses, under the codes that are published.

use super::{Code, Rejection};
use crate::archive::{Reason, Refusal};

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, entry, detail } = refusal;
        let mut rejection = Self::new(Code::from(reason));
        if let Some(entry) = entry {
            rejection = rejection.entry(entry);
        }
        rejection.detail = detail;
        rejection
    }
}

impl From<Reason> for Code {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::PathTraversal => Self::PathTraversal,
            Reason::PathAbsolute => Self::PathAbsolute,
            Reason::PathBadChar => Self::PathBadChar,
            Reason::PathNotUtf8 => Self::PathNotUtf8,
            Reason::PathNotNfc => Self::PathNotNfc,
            Reason::PathTooLong => Self::PathTooLong,
            Reason::PathTooDeep => Self::PathTooDeep,
            Reason::PathEmpty => Self::PathEmpty,
            Reason::PathDotfile => Self::PathDotfile,
            Reason::NameCollision => Self::NameCollision,
            Reason::DuplicateEntry => Self::DuplicateEntry,
            Reason::EntryType => Self::EntryType,
            Reason::Entries => Self::Entries,
            Reason::SizeFile => Self::SizeFile,
            Reason::SizeTotal => Self::SizeTotal,
            Reason::SizePackage => Self::SizePackage,
            Reason::SizeMismatch => Self::SizeMismatch,
            Reason::HeaderBad => Self::HeaderBad,
            Reason::HeaderChecksum => Self::HeaderChecksum,
            Reason::HeaderAmbiguous => Self::HeaderAmbiguous,
            Reason::PaxKey => Self::PaxKey,
            Reason::PaxMalformed => Self::PaxMalformed,
            Reason::PaxAmbiguous => Self::PaxAmbiguous,
            Reason::PaxTooBig => Self::PaxTooBig,
            Reason::TarTrailing => Self::TarTrailing,
            Reason::GzipCrc => Self::GzipCrc,
            Reason::GzipTrailing => Self::GzipTrailing,
            Reason::Truncated => Self::Truncated,
            Reason::FormatMismatch => Self::FormatMismatch,
            Reason::Empty => Self::Empty,
            Reason::ZipOverlap => Self::ZipOverlap,
            Reason::ZipMismatch => Self::ZipMismatch,
            Reason::ZipAmbiguous => Self::ZipAmbiguous,
            Reason::ZipPrefix => Self::ZipPrefix,
            Reason::ZipTrailing => Self::ZipTrailing,
            Reason::ZipEncrypted => Self::ZipEncrypted,
            Reason::ZipMethod => Self::ZipMethod,
            Reason::ZipCrc => Self::ZipCrc,
            Reason::ZipHidden => Self::ZipHidden,
            Reason::ZipBad => Self::ZipBad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_its_code_have_one_name() {
        let refusal = Refusal { reason: Reason::ZipHidden, entry: Some("a\nb".into()), detail: None };
        let rejection = Rejection::from(refusal);
        assert_eq!((rejection.code.name(), rejection.entry.as_deref()), ("ZIP_HIDDEN", Some("a\\nb")));
    }
}
