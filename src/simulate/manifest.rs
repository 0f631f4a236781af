//! What a receiver should make of one package, written beside it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::Sending;
use super::results::Totals;
use crate::model::{Code, Cut, Digest, Stage};

/// The content of `cut_NNN.manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Name of the profile.
    pub profile: &'static str,
    /// The seed.
    pub seed: u64,
    /// Name of the curve by which actas arrive.
    pub curve: &'static str,
    /// IANA name of the institute's zone.
    pub zone: String,
    /// Seconds between two cuts.
    pub interval_seconds: u32,
    /// `jornada` or `simulacro1`….
    pub process: String,
    /// The number of the cut.
    pub cut: u32,
    /// The hour a receiver should find: JSON, then tables, then name, then file times.
    pub stamp: Cut,
    /// Whether the data is marked as the last of the night.
    pub last: bool,
    /// Faults of this cut.
    pub faults: Vec<String>,
    /// The package; nothing when none is sent.
    pub package: Option<PackageFacts>,
    /// Files sent beside it.
    pub sidecars: Vec<String>,
    /// How a driver shall send it; nothing means as always.
    pub sending: Option<Sending>,
    /// What should become of it.
    pub expected: Expected,
    /// Totals of each election, by its key.
    pub totals: BTreeMap<String, Totals>,
    /// The tree the sender means readers to see, sorted by path.
    pub files: Vec<FileFacts>,
    /// Entries of the package that a receiver leaves out.
    pub junk: Vec<String>,
    /// Paths that stay from earlier packages, where packages build on one another.
    pub kept: Vec<String>,
    /// The cut that the differences are against: the last one that should be live.
    pub against: Option<u32>,
    /// Paths whose content differs from that cut.
    pub changed: Vec<String>,
    /// Paths that cut had not.
    pub added: Vec<String>,
    /// Paths only that cut had.
    pub removed: Vec<String>,
    /// Bytes of `changed` and `added`.
    pub changed_bytes: u64,
}

/// The package as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageFacts {
    /// File name; of a tree, the name it would have.
    pub name: String,
    /// `tar.gz`, `zip` or `tree`, whatever the damage.
    pub container: &'static str,
    /// `full`, or `increment` on what came before.
    pub scope: &'static str,
    /// Bytes of the file, or of all files of a tree.
    pub bytes: u64,
    /// SHA-256 of the file; a tree has none.
    pub sha256: Option<Digest>,
}

/// One file of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// Relative, without `./`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
    /// Whether it changes on the night.
    pub class: Class,
}

/// Whether a file changes on the night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Part of the template.
    Static,
    /// Results.
    Data,
}

/// What should become of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// In one word.
    pub verdict: Verdict,
    /// The code of a refusal.
    pub reason: Option<Code>,
    /// The stage of a refusal.
    pub stage: Option<Stage>,
    /// What must be configured for it, or what else happens.
    pub when: Option<&'static str>,
    /// Other right answers, under another policy.
    pub alternatives: Vec<Alternative>,
}

/// Another right answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// In one word.
    pub verdict: Verdict,
    /// The code of a refusal.
    pub reason: Option<Code>,
    /// The policy under which it is right.
    pub when: &'static str,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Published, or staged before the opening.
    Accept,
    /// Refused; readers see the cut before.
    Reject,
    /// Stored until the package comes that it builds on.
    Hold,
    /// Recognised as received before.
    Repeat,
    /// Nothing is sent.
    Nothing,
}
