//! The proof that nothing was lost or changed between an original and the tree on disk.
//!
//! Compares ledger, history and release store with each other; writes nothing. What HTTPS
//! serves is compared by the caller, which also lends the reading of archives. Imports
//! `history`, `ledger`, `release` and `model`.

#[cfg(test)]
mod kill;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use serde::Serialize;

use crate::durable::Dir;
use crate::history::{Check, History, Record};
use crate::ledger::{self, Filter, Kind, Line, Proof};
use crate::model::{Digest, Rejection, ReleaseId};
use crate::release::{Manifest, Reader, Release, What};

/// Reads an original again under the strict rules: the file and the name it came under
/// → what it holds.
pub type ReadOriginal<'a> = &'a dyn Fn(&File, &str) -> Result<Unpacked, Rejection>;

/// What an original holds.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Its files, as they would be published.
    pub files: Manifest,
    /// The one directory they lay in, which is not in their paths any more.
    pub top: Option<String>,
}

/// What an audit found, file by file.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The chain of the ledger.
    pub ledger: Proof,
    /// Originals that were read again.
    pub originals: usize,
    /// The release that was compared; `None` if nothing is published.
    pub release: Option<ReleaseId>,
    /// SHA-256 of its manifest.
    pub tree: Option<Digest>,
    /// SHA-256 of the original it came from.
    pub package: Option<Digest>,
    /// Every file of original, manifest or disk.
    pub files: Vec<FileReport>,
    /// Everything that is wrong, files excepted.
    pub faults: Vec<Fault>,
}

/// One file, as three places have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Relative to the site.
    pub path: String,
    /// What the manifest says; `None` if it is not in it.
    pub sha256: Option<Digest>,
    /// The same file in the original.
    pub original: Compared,
    /// The same file on disk.
    pub disk: Compared,
}

/// A file compared with the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Compared {
    /// The same bytes.
    Equal,
    /// Other bytes.
    Changed {
        /// SHA-256 of what is there.
        found: Digest,
    },
    /// In the manifest but not there.
    Missing,
    /// There but not in the manifest.
    Extra,
    /// It cannot be read.
    Unreadable,
    /// Not compared: there is nothing to compare with.
    Skipped,
}

/// Something that is wrong beside single files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The chain of the ledger is broken.
    Ledger {
        /// Which line and how.
        flaw: String,
    },
    /// An original is not what its name says.
    Original {
        /// Its name.
        id: Digest,
        /// What is wrong.
        what: String,
    },
    /// An original without a line `received`.
    Unrecorded {
        /// Its name.
        id: Digest,
    },
    /// Received according to the ledger, never removed, and not there.
    Lost {
        /// Its name.
        id: Digest,
    },
    /// What is current cannot be read as a release.
    Release {
        /// Why.
        why: String,
    },
    /// The ledger does not say that this release was published.
    Unpublished {
        /// The release.
        release: ReleaseId,
    },
    /// The ledger names another tree for this release.
    OtherTree {
        /// The hash in the ledger.
        ledger: String,
        /// The hash of the manifest.
        manifest: Digest,
    },
    /// The original of the release is refused today.
    Refused {
        /// Why.
        rejection: Rejection,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger { flaw } => write!(f, "ledger: {flaw}"),
            Self::Original { id, what } => write!(f, "original {id}: {what}"),
            Self::Unrecorded { id } => {
                write!(f, "original {id}: no line of the ledger says that it was received")
            }
            Self::Lost { id } => write!(f, "original {id}: received according to the ledger, but not there"),
            Self::Release { why } => write!(f, "current release: {why}"),
            Self::Unpublished { release } => {
                write!(f, "release {release}: no line of the ledger says that it was published")
            }
            Self::OtherTree { ledger, manifest } => {
                write!(f, "manifest: its hash is {manifest}, the ledger says {ledger}")
            }
            Self::Refused { rejection } => write!(f, "original of the release: {rejection}"),
        }
    }
}

impl Report {
    /// Whether everything agrees with everything.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.files.iter().all(FileReport::is_sound)
    }
}

impl FileReport {
    /// Whether the file is the same everywhere.
    pub fn is_sound(&self) -> bool {
        let fine = |c: Compared| matches!(c, Compared::Equal | Compared::Skipped);
        self.sha256.is_some() && fine(self.original) && fine(self.disk)
    }
}

/// Audits what lies on this machine: the chain; every original against its name and the ledger;
/// `which` release (the current one if `None`) against its original, its manifest and the disk.
pub fn local(
    history: &History,
    store: &Reader,
    ledger_dir: &Dir,
    which: Option<&ReleaseId>,
    read_original: ReadOriginal<'_>,
) -> io::Result<Report> {
    let proof = ledger::verify(ledger_dir)?;
    let faults = proof.flaws.iter().map(|f| Fault::Ledger { flaw: f.to_string() }).collect();
    let mut report = Report {
        ledger: proof,
        originals: 0,
        release: None,
        tree: None,
        package: None,
        files: Vec::new(),
        faults,
    };
    report.check_originals(history, ledger_dir)?;
    let release = match which {
        Some(id) => store.load(id).map(Some),
        None => store.load_current(),
    };
    match release {
        Ok(None) => {}
        Ok(Some(release)) => report.check_release(&release, history, ledger_dir, read_original)?,
        Err(e) => report.faults.push(Fault::Release { why: e.to_string() }),
    }
    Ok(report)
}

impl Report {
    fn check_originals(&mut self, history: &History, ledger_dir: &Dir) -> io::Result<()> {
        let mut awaited = received(ledger_dir)?;
        for Record { id, .. } in history.list()? {
            self.originals += 1;
            if !awaited.remove(&id) {
                self.faults.push(Fault::Unrecorded { id });
            }
            let what = match history.verify(id) {
                Ok(Check::Equal) => continue,
                Ok(Check::Changed(found)) => format!("its bytes have the hash {found}"),
                Ok(Check::Missing) => "its bytes are not there".to_owned(),
                Ok(Check::Blobs(blobs)) => format!("{} of its files are missing or changed", blobs.len()),
                Err(e) => e.to_string(),
            };
            self.faults.push(Fault::Original { id, what });
        }
        self.faults.extend(awaited.into_iter().map(|id| Fault::Lost { id }));
        Ok(())
    }

    fn check_release(
        &mut self,
        release: &Release,
        history: &History,
        ledger_dir: &Dir,
        read_original: ReadOriginal<'_>,
    ) -> io::Result<()> {
        self.release = Some(release.id.clone());
        self.tree = Some(release.tree);
        self.package = release.meta.package;
        self.check_publication(release, ledger_dir)?;
        let original = match original_tree(release, history, read_original) {
            None => None,
            Some(Ok(tree)) => Some(tree),
            Some(Err(fault)) => {
                self.faults.push(fault);
                None
            }
        };
        let on_disk: BTreeMap<String, What> =
            release.verify()?.into_iter().map(|d| (d.path, d.what)).collect();
        self.files = compare(&release.manifest, original.as_ref(), &on_disk);
        Ok(())
    }

    /// The last line about this release says that it was shown, and names its tree.
    fn check_publication(&mut self, release: &Release, ledger_dir: &Dir) -> io::Result<()> {
        let shown = ledger::read(ledger_dir, Filter::kinds(&[Kind::Published, Kind::RolledBack]))?
            .flatten()
            .filter(|line| line.text("release") == Some(release.id.as_str()))
            .last();
        let Some(line) = shown else {
            // Our own page is no publication, and may be pointed at without one.
            if !release.meta.kind.is_page() {
                self.faults.push(Fault::Unpublished { release: release.id.clone() });
            }
            return Ok(());
        };
        if let Some(tree) = line.text("tree").filter(|tree| *tree != release.tree.to_string()) {
            self.faults.push(Fault::OtherTree { ledger: tree.to_owned(), manifest: release.tree });
        }
        Ok(())
    }
}

/// What the ledger says came and was never removed.
fn received(ledger_dir: &Dir) -> io::Result<BTreeSet<Digest>> {
    let package = |line: &Line| line.text("package").and_then(|p| p.parse::<Digest>().ok());
    let mut awaited = BTreeSet::new();
    for line in
        ledger::read(ledger_dir, Filter::kinds(&[Kind::Received, Kind::Verified, Kind::Pruned]))?.flatten()
    {
        // A pushed tree gets its name, the hash of its list, only when it is verified.
        if line.kind != Some(Kind::Pruned) {
            awaited.extend(package(&line));
        } else if let Some(gone) = line.fields.get("packages").and_then(|p| p.as_array()) {
            let gone = gone.iter().filter_map(|p| p.as_str()?.parse::<Digest>().ok());
            gone.for_each(|id| _ = awaited.remove(&id));
        }
    }
    Ok(awaited)
}

/// The tree that the originals of a release hold, each laid over the one before it; `None` for
/// a release without any.
fn original_tree(
    release: &Release,
    history: &History,
    read_original: ReadOriginal<'_>,
) -> Option<Result<Manifest, Fault>> {
    let package = release.meta.package.filter(|_| !release.meta.kind.is_page())?;
    let mut union = Manifest::default();
    let mut first_top = None;
    for (at, id) in release.meta.onto.iter().copied().chain([package]).enumerate() {
        let part = match unpacked(id, release, history, read_original) {
            Ok(part) => part,
            Err(fault) => return Some(Err(fault)),
        };
        if at == 0 {
            (union, first_top) = (part.files, part.top);
            continue;
        }
        // An increment may lie in the directory that its first package lay in.
        let stripped = first_top.as_ref().and_then(|top: &String| part.files.stripped(top));
        for (path, facts) in stripped.as_ref().unwrap_or(&part.files).files() {
            union.insert(path, *facts);
        }
    }
    Some(Ok(union))
}

/// What one original of a release holds.
fn unpacked(
    id: Digest,
    release: &Release,
    history: &History,
    read_original: ReadOriginal<'_>,
) -> Result<Unpacked, Fault> {
    let fault = |e: io::Error| Fault::Original { id, what: e.to_string() };
    let record = history.get(id).map_err(fault)?;
    let mut file = history.open_original(id).map_err(fault)?;
    if !record.as_ref().is_some_and(Record::is_tree) {
        let own = release.meta.name.as_deref().filter(|_| release.meta.package == Some(id));
        let name = own.or_else(|| record.as_ref().and_then(Record::name)).unwrap_or_default();
        return read_original(&file, name).map_err(|rejection| Fault::Refused { rejection });
    }
    let mut text = String::new();
    (&mut file).take(MANIFEST_BYTES_MAX).read_to_string(&mut text).map_err(fault)?;
    let files = Manifest::parse(&text).map_err(|e| Fault::Original { id, what: e.to_string() })?;
    Ok(Unpacked { files, top: None })
}

/// Every path that anybody knows of, with what original and disk have there.
fn compare(
    manifest: &Manifest,
    original: Option<&Manifest>,
    on_disk: &BTreeMap<String, What>,
) -> Vec<FileReport> {
    let of_original = original.into_iter().flat_map(|m| m.files().keys());
    let paths: BTreeSet<&String> = manifest.files().keys().chain(of_original).chain(on_disk.keys()).collect();
    let report = |path: &String| {
        let known = manifest.get(path).map(|f| f.sha256);
        let original = match original {
            None => Compared::Skipped,
            Some(tree) => against(known, tree.get(path).map(|f| f.sha256)),
        };
        let disk = match on_disk.get(path) {
            Some(What::Missing) => Compared::Missing,
            Some(What::Extra) => Compared::Extra,
            Some(What::Changed { found }) => Compared::Changed { found: *found },
            Some(What::Unreadable) => Compared::Unreadable,
            // Nothing differs: it is there as the manifest says, or nowhere on disk.
            None if known.is_some() => Compared::Equal,
            None => Compared::Skipped,
        };
        FileReport { path: path.clone(), sha256: known, original, disk }
    };
    paths.into_iter().map(report).collect()
}

fn against(manifest: Option<Digest>, other: Option<Digest>) -> Compared {
    match (manifest, other) {
        (Some(known), Some(found)) if known == found => Compared::Equal,
        (Some(_), Some(found)) => Compared::Changed { found },
        (Some(_), None) => Compared::Missing,
        (None, Some(_)) => Compared::Extra,
        (None, None) => Compared::Skipped,
    }
}

/// Longest manifest of a pushed tree that is read back.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
