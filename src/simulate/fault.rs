//! What can be wrong with a package or its sending, and the verdict each deserves.

use std::fmt;

use serde::Serialize;

use super::manifest::{Alternative, Expected, Verdict};
use super::profile::Container;
use crate::model::Code;

/// One thing that goes wrong at one cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The `.tar.gz` ends at three fifths.
    TruncateGz,
    /// The tar ends inside an entry, within an intact gzip.
    TruncateTar,
    /// One bit of a picture is turned over.
    BitFlip,
    /// A zip names a false CRC for one entry.
    CrcZip,
    /// A `.sha256` beside the package belongs to something else.
    WrongSidecar,
    /// A container that holds nothing.
    Empty,
    /// An HTML error page under the package's name.
    HtmlErrorPage,
    /// No `index.html`.
    NoIndex,
    /// The `index.html` has no `<base>`.
    IndexWithoutBase,
    /// A JSON file ends in the middle.
    BadJson,
    /// A JSON file holds gzip bytes, as copied from an object store.
    GzInJson,
    /// One of the twelve ways out of the site, 1 to 12.
    Traversal(u8),
    /// 60,000 empty files.
    BombEntries,
    /// 1,152 MiB of zeros in little more than one megabyte.
    BombSize,
    /// Honest data that compresses 52:1.
    Legit52,
    /// A zip whose names are CP437 without a mark.
    Cp437Names,
    /// A name with a decomposed accent.
    NfdNames,
    /// What a Mac leaves behind, in every folder.
    DsStore,
    /// Two names that differ only in case.
    CaseTwins,
    /// The index twice, with other content.
    DupEntry,
    /// A cut older than the one before, never sent until now.
    OlderCut,
    /// The package before, byte for byte.
    SameCutAgain,
    /// Name and hour of the package before, other data.
    SameNameOtherContent,
    /// The hour lies fifty years ahead.
    FutureStamp,
    /// No hour anywhere but in the files' times.
    NoStamp,
    /// The package's name tells another hour.
    StampMismatchName,
    /// The JSON tells another hour.
    StampMismatchJson,
    /// The tables tell another hour.
    StampMismatchCsv,
    /// The tables show last decade's offset.
    UtcSuffixWrong,
    /// A minute off the grid, such as :47 or :52.
    OffGrid,
    /// Everything is in: this is the last cut, minutes off the grid.
    EarlyEnd,
    /// The last cut is that of 20:05 of the next day.
    LateFinal,
    /// From here on no acta beyond 37.5 % comes.
    StuckAt375,
    /// The data of the cut before under a new hour.
    IdenticalContent,
    /// So many cuts are not sent, 1 to 3.
    Skip(u8),
    /// The data of a drill.
    DrillDataOnNight,
    /// From here on a rebuilt application: new script names, old ones gone.
    StaticUpdate,
    /// An increment although nothing came before.
    IncrementBeforeFirst,
    /// Sent at 1.63 Mbit/s.
    SlowUpload,
    /// The sender pauses in the middle.
    StallMidUpload,
    /// The sender breaks off and comes back again and again.
    ReconnectStorm,
    /// Two senders at the same time.
    TwoAtOnce,
}

/// How the bytes shall be sent; a driver's business, the package is as always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Sending {
    /// With this rate and no faster.
    Slow {
        /// The rate that needs three minutes for 35 MiB.
        bits_per_second: u32,
    },
    /// A pause after a part.
    Stall {
        /// Thousandths sent before the pause.
        after_permille: u32,
        /// Its length.
        seconds: u32,
    },
    /// Connections that break, then a whole one.
    Reconnect {
        /// How many break.
        broken: u32,
        /// Thousandths that each sends.
        after_permille: u32,
    },
    /// Several connections send the same package at once.
    AtOnce {
        /// How many.
        senders: u32,
    },
}

impl Fault {
    /// Every fault, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        let traversals = (1..=12).map(Self::Traversal);
        let skips = (1..=3).map(Self::Skip);
        NAMES.iter().map(|(fault, _)| *fault).chain(traversals).chain(skips)
    }

    /// The fault of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|fault| fault.to_string() == name)
    }

    /// The container this fault can only live in.
    pub(super) fn container(self) -> Option<Container> {
        match self {
            // Links and devices: a zip has no name for them.
            Self::Traversal(7..=10) | Self::TruncateGz | Self::TruncateTar => Some(Container::TarGz),
            Self::CrcZip | Self::Cp437Names => Some(Container::Zip),
            _ => None,
        }
    }

    /// Whether it needs bytes in a container, so that a tree is sent as `.tar.gz`.
    pub(super) fn needs_container(self) -> bool {
        matches!(
            self,
            Self::BitFlip
                | Self::WrongSidecar
                | Self::Empty
                | Self::HtmlErrorPage
                | Self::Traversal(_)
                | Self::BombEntries
                | Self::BombSize
                | Self::DupEntry
        )
    }

    /// Whether it makes no sense without a cut before it.
    pub(super) fn needs_previous(self) -> bool {
        matches!(
            self,
            Self::OlderCut | Self::SameCutAgain | Self::SameNameOtherContent | Self::IdenticalContent
        )
    }

    /// How it shall be sent.
    pub(super) fn sending(self) -> Option<Sending> {
        match self {
            Self::SlowUpload => Some(Sending::Slow { bits_per_second: 1_630_000 }),
            Self::StallMidUpload => Some(Sending::Stall { after_permille: 500, seconds: 600 }),
            Self::ReconnectStorm => Some(Sending::Reconnect { broken: 20, after_permille: 300 }),
            Self::TwoAtOnce => Some(Sending::AtOnce { senders: 2 }),
            _ => None,
        }
    }

    /// The verdict a package with this fault deserves in `container`.
    pub(super) fn expected(self, container: Container) -> Expected {
        let crc = if container == Container::Zip { Code::ZipCrc } else { Code::GzipCrc };
        match self {
            Self::TruncateGz | Self::TruncateTar => Expected::reject(Code::Truncated),
            Self::BitFlip => Expected::reject(crc),
            Self::CrcZip => Expected::reject(Code::ZipCrc),
            Self::WrongSidecar => Expected::reject(Code::SidecarMismatch),
            Self::Empty => Expected::reject(Code::Empty),
            Self::HtmlErrorPage => Expected::reject(Code::FormatMismatch),
            Self::NoIndex => Expected::reject(Code::RequiredMissing).when("index.html is required"),
            Self::IndexWithoutBase => {
                Expected::reject(Code::RequiredEmpty).when("<base is required in index.html")
            }
            Self::BadJson => Expected::reject(Code::JsonInvalid),
            Self::GzInJson => Expected::accept().or(
                Verdict::Reject,
                Some(Code::JsonInvalid),
                "gzip bytes under a .json name are not taken",
            ),
            Self::Traversal(kind) => Expected::reject(hostile(kind).1),
            Self::BombEntries => Expected::reject(Code::Entries).when("at most 50,000 entries"),
            Self::BombSize => Expected::reject(Code::SizeTotal).when("at most 1 GiB unpacked"),
            Self::Cp437Names => Expected::accept().or(
                Verdict::Reject,
                Some(Code::PathNotUtf8),
                "names in other code pages are not translated",
            ),
            Self::NfdNames => Expected::reject(Code::PathNotNfc).or(
                Verdict::Accept,
                None,
                "names are composed instead of refused",
            ),
            Self::CaseTwins => Expected::reject(Code::NameCollision),
            Self::DupEntry => Expected::reject(Code::DuplicateEntry),
            Self::OlderCut => Expected::reject(Code::CutOlder),
            Self::SameCutAgain => Expected::of(Verdict::Repeat),
            Self::SameNameOtherContent => Expected::accept().when("both packages are kept"),
            Self::FutureStamp => Expected::reject(Code::CutInFuture),
            Self::StampMismatchName
            | Self::StampMismatchJson
            | Self::StampMismatchCsv
            | Self::UtcSuffixWrong => Expected::accept().when("the disagreement is an incident"),
            Self::Skip(_) => Expected::of(Verdict::Nothing),
            Self::DrillDataOnNight => Expected::reject(Code::WrongElection)
                .when("package.identity asks for /proceso in the JSON of the avance"),
            Self::IncrementBeforeFirst => Expected::of(Verdict::Hold).or(
                Verdict::Reject,
                Some(Code::RequiredMissing),
                "package.increments is off",
            ),
            Self::Legit52
            | Self::DsStore
            | Self::NoStamp
            | Self::OffGrid
            | Self::EarlyEnd
            | Self::LateFinal
            | Self::StuckAt375
            | Self::IdenticalContent
            | Self::StaticUpdate
            | Self::SlowUpload
            | Self::StallMidUpload
            | Self::ReconnectStorm
            | Self::TwoAtOnce => Expected::accept(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traversal(kind) => write!(f, "traversal-{kind:02}"),
            Self::Skip(cuts) => write!(f, "skip-{cuts}"),
            _ => {
                let name = NAMES.iter().find(|(fault, _)| fault == self).map_or("", |(_, name)| *name);
                f.write_str(name)
            }
        }
    }
}

/// The entry of each way out, and what to call it.
pub(super) fn hostile(kind: u8) -> (Hostile, Code) {
    use Hostile::{Fifo, Hardlink, Name, Symlink};
    match kind {
        1 => (Name("../fuera.html"), Code::PathTraversal),
        2 => (Name("./assets/img/../../../fuera.html"), Code::PathTraversal),
        3 => (Name("/etc/cron.d/fuera"), Code::PathAbsolute),
        4 => (Name("C:/inetpub/fuera.html"), Code::PathAbsolute),
        5 => (Name("assets\\..\\..\\fuera.html"), Code::PathBadChar),
        6 => (Name("\\\\servidor\\fuera.html"), Code::PathAbsolute),
        7 => (Symlink("./zz-enlace", "/etc/passwd"), Code::EntryType),
        8 => (Symlink("./zz-carpeta", "../.."), Code::EntryType),
        9 => (Hardlink("./zz-duro", "../../keys/host/ed25519"), Code::EntryType),
        10 => (Fifo("./zz-tubo"), Code::EntryType),
        11 => (Name("./assets/zz\nfuera.json"), Code::PathBadChar),
        _ => (Name("./.well-known/prep/estado.json"), Code::PathDotfile),
    }
}

/// One hostile entry: its name, and where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hostile {
    Name(&'static str),
    Symlink(&'static str, &'static str),
    Hardlink(&'static str, &'static str),
    Fifo(&'static str),
}

impl Expected {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, reason: None, stage: None, when: None, alternatives: Vec::new() }
    }

    /// It is published.
    pub(super) fn accept() -> Self {
        Self::of(Verdict::Accept)
    }

    fn reject(code: Code) -> Self {
        Self { reason: Some(code), stage: Some(code.stage()), ..Self::of(Verdict::Reject) }
    }

    fn when(self, when: &'static str) -> Self {
        Self { when: Some(when), ..self }
    }

    fn or(mut self, verdict: Verdict, reason: Option<Code>, when: &'static str) -> Self {
        self.alternatives.push(Alternative { verdict, reason, when });
        self
    }
}

const NAMES: [(Fault, &str); 40] = [
    (Fault::TruncateGz, "truncate-gz"),
    (Fault::TruncateTar, "truncate-tar"),
    (Fault::BitFlip, "bit-flip"),
    (Fault::CrcZip, "crc-zip"),
    (Fault::WrongSidecar, "wrong-sidecar"),
    (Fault::Empty, "empty"),
    (Fault::HtmlErrorPage, "html-error-page"),
    (Fault::NoIndex, "no-index"),
    (Fault::IndexWithoutBase, "index-without-base"),
    (Fault::BadJson, "bad-json"),
    (Fault::GzInJson, "gz-in-json"),
    (Fault::BombEntries, "bomb-entries"),
    (Fault::BombSize, "bomb-size"),
    (Fault::Legit52, "legit-52:1"),
    (Fault::Cp437Names, "cp437-names"),
    (Fault::NfdNames, "nfd-names"),
    (Fault::DsStore, "ds-store"),
    (Fault::CaseTwins, "case-twins"),
    (Fault::DupEntry, "dup-entry"),
    (Fault::OlderCut, "older-cut"),
    (Fault::SameCutAgain, "same-cut-again"),
    (Fault::SameNameOtherContent, "same-name-other-content"),
    (Fault::FutureStamp, "future-stamp"),
    (Fault::NoStamp, "no-stamp"),
    (Fault::StampMismatchName, "stamp-mismatch-name"),
    (Fault::StampMismatchJson, "stamp-mismatch-json"),
    (Fault::StampMismatchCsv, "stamp-mismatch-csv"),
    (Fault::UtcSuffixWrong, "utc-suffix-wrong"),
    (Fault::OffGrid, "off-grid"),
    (Fault::EarlyEnd, "early-end"),
    (Fault::LateFinal, "late-final"),
    (Fault::StuckAt375, "stuck-at-37.5"),
    (Fault::IdenticalContent, "identical-content"),
    (Fault::DrillDataOnNight, "drill-data-on-night"),
    (Fault::StaticUpdate, "static-update"),
    (Fault::IncrementBeforeFirst, "increment-before-first"),
    (Fault::SlowUpload, "slow-upload"),
    (Fault::StallMidUpload, "stall-mid-upload"),
    (Fault::ReconnectStorm, "reconnect-storm"),
    (Fault::TwoAtOnce, "two-at-once"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back_by_its_name() {
        assert_eq!(Fault::all().count(), 55);
        for fault in Fault::all() {
            assert_eq!(Fault::parse(&fault.to_string()), Some(fault));
        }
        assert_eq!(Fault::parse("traversal-13"), None);
    }
}
