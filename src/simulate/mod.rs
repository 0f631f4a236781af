//! Realistic packages, made up: what an institute would push at each cut of a night.
//!
//! Owns nothing on disk; comes in a [`Settings`], goes out a [`Package`] per cut with the
//! [`Manifest`] a receiver is judged by. May import model and durable only.
//!
//! The one flow: settings → [`Plan`] (checked) → [`Plan::cut`]: the cut's moment (hour,
//! share of actas, faults) → list of files → bodies packed → container → damage → manifest.
//! A package is a pure function of the settings and the number of the cut: cut 40 alone
//! is byte-equal to cut 40 of a whole night, on any machine. Hence no floats, no map
//! orders, no clock, no compressor from outside, and time zones from the tables compiled
//! in (a machine's own may still give the centre its summer time).
//!
//! After an error of [`Plan::write`], the cut it failed at may lie there in part; the
//! same call writes it anew.

mod build;
mod catalog;
mod container;
mod curve;
mod damage;
mod deflate;
mod fault;
mod manifest;
mod moment;
mod objects;
mod profile;
mod random;
mod results;
mod settings;
mod site;
mod stamp;
mod statics;
mod tables;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::FileTimes;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use curve::Curve;
pub use fault::{Fault, Sending};
pub use manifest::{Alternative, Class, Expected, FileFacts, Manifest, PackageFacts, Verdict};
pub use profile::{Container, Custom, Profile};
pub use results::Totals;
pub use settings::{Faults, Process, Settings, SettingsError, parse_cuts, parse_interval, parse_start};

use build::{Body, Form, Listing};
use catalog::Catalog;
use profile::Shape;
use statics::Recipe;

use crate::durable::Dir;

/// A night, ready to be played. Cheap to make; the catalogue and the bodies that never
/// change are made with the first cut and kept (about 35 MB for Quintana Roo).
pub struct Plan {
    settings: Settings,
    shape: Shape,
    opening: Timestamp,
    zone: TimeZone,
    interval_seconds: u32,
    final_cut: u32,
    catalog: OnceLock<Catalog>,
    bodies: Mutex<HashMap<(Form, Recipe), Arc<Body>>>,
    listings: Mutex<BTreeMap<u32, Arc<Listing>>>,
}

/// One cut as it would be pushed.
#[derive(Debug)]
pub struct Package {
    /// Name of the file; of a tree, the name it would have.
    pub name: String,
    /// What is pushed.
    pub content: Content,
    /// Sums that go beside it: file name and content.
    pub sidecars: Vec<(String, Vec<u8>)>,
    /// What a receiver should make of it.
    pub manifest: Manifest,
}

/// What is pushed.
pub enum Content {
    /// One file.
    Archive(Vec<u8>),
    /// Files in directories, sorted by path.
    Tree(Vec<TreeFile>),
    /// Nothing: this cut is skipped.
    Nothing,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(bytes) => write!(f, "Archive({} bytes)", bytes.len()),
            Self::Tree(files) => write!(f, "Tree({} files)", files.len()),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// One file of a tree.
pub struct TreeFile {
    /// Relative, without `./`.
    pub path: String,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

/// Why a cut could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The night is over before this cut.
    #[error("cut {cut} does not exist: the last one is {last}")]
    PastTheEnd {
        /// The cut asked for.
        cut: u32,
        /// The last one.
        last: u32,
    },
    /// Writing failed.
    #[error("{path}: {source}")]
    Write {
        /// Relative to the output directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Plan {
    /// Checks the settings.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let shape = settings.profile.shape();
        let zone = settings.zone(&shape)?;
        let opening = settings.opening(&zone)?;
        let interval_seconds = settings.interval_seconds(&shape);
        let final_cut = settings.final_cut(interval_seconds);
        settings.check(&shape, final_cut)?;
        let (catalog, bodies, listings) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Ok(Self { settings, shape, opening, zone, interval_seconds, final_cut, catalog, bodies, listings })
    }

    /// The last cut of the night; the first is 0.
    pub fn final_cut(&self) -> u32 {
        self.final_cut
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where readers see the cut once it is published: `<base href>` of the index.
    pub fn base(&self) -> &'static str {
        self.shape.base
    }

    /// Cut `number`, whatever was asked before.
    pub fn cut(&self, number: u32) -> Result<Package, PlanError> {
        self.exists(number)?;
        Ok(self.build(number))
    }

    fn exists(&self, cut: u32) -> Result<(), PlanError> {
        let last = self.final_cut;
        if cut > last { Err(PlanError::PastTheEnd { cut, last }) } else { Ok(()) }
    }

    /// Writes `cut_NNN/…` and `cut_NNN.manifest.json` of every cut of `range` into `out`,
    /// replacing what stood there under these names. `progress` sees each when it is written.
    pub fn write(
        &self,
        range: RangeInclusive<u32>,
        out: &Path,
        progress: &mut dyn FnMut(&Manifest),
    ) -> Result<(), PlanError> {
        self.exists(*range.end())?;
        let root = Dir::create(out).map_err(at(&out.display().to_string()))?;
        for number in range {
            let package = self.cut(number)?;
            write_cut(&root, number, &package)?;
            progress(&package.manifest);
        }
        Ok(())
    }

    fn catalog(&self) -> &Catalog {
        self.catalog
            .get_or_init(|| Catalog::new(self.settings.seed, self.settings.profile.name(), &self.shape))
    }
}

fn write_cut(root: &Dir, number: u32, package: &Package) -> Result<(), PlanError> {
    let name = format!("cut_{number:03}");
    if root.exists(&name) {
        root.remove_all(&name).map_err(at(&name))?;
    }
    let dir = root.sub_create(&name).map_err(at(&name))?;
    let put = |path: &str, bytes: &[u8], mtime: i64| {
        put(&dir, path, bytes, mtime).map_err(at(&format!("{name}/{path}")))
    };
    let mtime = package.manifest.stamp.instant().as_second();
    match &package.content {
        Content::Archive(bytes) => put(&package.name, bytes, mtime)?,
        Content::Tree(files) => files.iter().try_for_each(|file| put(&file.path, &file.bytes, file.mtime))?,
        Content::Nothing => {}
    }
    for (name, bytes) in &package.sidecars {
        put(name, bytes, mtime)?;
    }
    let manifest = format!("{name}.manifest.json");
    let json = serde_json::to_vec_pretty(&package.manifest).map_err(|e| at(&manifest)(e.into()))?;
    root.write_atomic(&manifest, &json).map_err(at(&manifest))
}

fn put(dir: &Dir, path: &str, bytes: &[u8], mtime: i64) -> io::Result<()> {
    if let Some((parent, _)) = path.rsplit_once('/') {
        dir.create_dir_all(parent)?;
    }
    let mut file = dir.create_file(path)?;
    file.write_all(bytes)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime.unsigned_abs());
    file.set_times(FileTimes::new().set_modified(time))
}

fn at(path: &str) -> impl FnOnce(io::Error) -> PlanError {
    let path = path.to_owned();
    move |source| PlanError::Write { path, source }
}
