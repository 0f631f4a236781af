//! From a moment to a package: files, bodies, container, damage, manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use super::container::{Entry, Kind, Packed};
use super::damage;
use super::deflate::Effort;
use super::fault::{Fault, Sending};
use super::manifest::{Class, Expected, FileFacts, Manifest, PackageFacts, Verdict};
use super::profile::{Container, Increments};
use super::results::Last;
use super::site::{Moment, Piece, Site};
use super::statics::{Recipe, Setting};
use super::{Content, Package, Plan, TreeFile, stamp};
use crate::model::Digest;

/// A file of a cut, before anybody asked for its bytes.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) role: Role,
}

/// Where a file's bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Recipe(Recipe),
    Piece(Piece),
    Bytes(Arc<[u8]>),
}

/// What a file is to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Shown(Class),
    /// Left out: dotfiles.
    Junk,
}

/// The bytes of a file in the form its container needs.
pub(super) struct Body {
    packed: Arc<Packed>,
    raw: Option<Arc<[u8]>>,
}

/// What form that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Compressed, for an archive.
    Packed,
    /// As it is, for a tree.
    Raw,
    /// Only measured.
    Listed,
}

/// Size, digest and class of every file readers see.
pub(super) type Listing = BTreeMap<String, (u64, Digest, Class)>;

/// How one tree differs from another.
#[derive(Default)]
struct Difference {
    changed: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
    bytes: u64,
}

impl Plan {
    /// Cut `number`, which exists.
    pub(super) fn build(&self, number: u32) -> Package {
        if self.settings.faults_at(number).any(|fault| fault == Fault::SameCutAgain) {
            return self.repeat(number);
        }
        let moment = self.moment(number);
        let site = Site::new(&self.shape, self.catalog(), &moment, self.settings.curve, self.opening);
        if self.settings.is_skipped(number) {
            return self.finish(
                &site,
                String::new(),
                Content::Nothing,
                Listing::new(),
                Vec::new(),
                Vec::new(),
            );
        }
        let container = self.settings.container_at(&self.shape, number);
        let name = self.package_name(&moment, container);
        let mut files = self.files(&site);
        let form = if container == Container::Tree { Form::Raw } else { Form::Packed };
        let bodies = self.bodies(&site, &files, form);
        let listing = list(&files, &bodies);
        let junk = files.iter().filter(|f| f.role == Role::Junk).map(|f| f.path.clone()).collect();
        let mut bodies = bodies;
        if let Some(keep) = self.increment(number, &listing) {
            let pairs = files.into_iter().zip(bodies).filter(|(file, _)| keep.contains(&file.path));
            (files, bodies) = pairs.unzip();
        }
        let content = match container {
            Container::Tree => tree(&files, &bodies, &self.times(&moment)),
            Container::TarGz | Container::Zip => {
                let entries = self.entries(&files, &bodies, &moment, container);
                let faults: Vec<Fault> = self.settings.faults_at(number).collect();
                let offset = stamp::offset_seconds(moment.stamp);
                Content::Archive(damage::pack(entries, container, offset, &faults))
            }
        };
        let sidecars = damage::sidecars(&name, self.settings.faults_at(number));
        self.remember(number, Arc::new(listing.clone()));
        self.finish(&site, name, content, listing, junk, sidecars)
    }

    /// The package before, byte for byte.
    fn repeat(&self, number: u32) -> Package {
        let before = self.settings.previous(number).unwrap_or(0);
        let mut package = self.build(before);
        let manifest = &mut package.manifest;
        manifest.cut = number;
        manifest.faults = self.settings.faults_at(number).map(|fault| fault.to_string()).collect();
        manifest.expected = self.expected(number);
        manifest.sending = self.settings.faults_at(number).find_map(Fault::sending);
        manifest.against = Some(before);
        manifest.changed_bytes = 0;
        for paths in [&mut manifest.changed, &mut manifest.added, &mut manifest.removed] {
            paths.clear();
        }
        package
    }

    /// `20240602_2015_PREP_QROO.tar.gz`.
    fn package_name(&self, moment: &Moment, container: Container) -> String {
        let mut name = moment.name.map_or_else(String::new, |cut| format!("{}_", stamp::name(cut)));
        name.push_str("PREP");
        if !self.shape.code.is_empty() {
            name.push('_');
            name.push_str(self.shape.code);
        }
        name + container.suffix()
    }

    /// Every file of the cut, sorted by path, with what the faults do to them.
    fn files(&self, site: &Site<'_>) -> Vec<File> {
        let setting = Setting {
            seed: self.settings.seed,
            profile: self.settings.profile.name(),
            base: self.shape.base,
            state: self.shape.state,
            avance: Site::avance_path(&self.shape),
            build: site.moment.build,
        };
        let recipes = self.shape.statics.recipes(&setting).into_iter().map(|recipe| File {
            path: recipe.path.clone(),
            role: if recipe.is_junk() { Role::Junk } else { Role::Shown(Class::Static) },
            origin: Origin::Recipe(recipe),
        });
        let pieces = site.pieces().into_iter().map(|(path, piece)| File {
            path,
            role: Role::Shown(Class::Data),
            origin: Origin::Piece(piece),
        });
        let mut files: Vec<File> = recipes.chain(pieces).collect();
        for fault in self.settings.faults_at(site.moment.cut) {
            let render = |file: &File| self.render(site, &file.origin);
            damage::files(&mut files, fault, &render);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    fn render(&self, site: &Site<'_>, origin: &Origin) -> Arc<[u8]> {
        match origin {
            Origin::Recipe(recipe) => recipe.render(self.settings.seed, self.settings.profile.name()).into(),
            Origin::Piece(piece) => site.render(*piece).into(),
            Origin::Bytes(bytes) => Arc::clone(bytes),
        }
    }

    /// The bodies of all files, made by as many threads as there are cores.
    fn bodies(&self, site: &Site<'_>, files: &[File], form: Form) -> Vec<Arc<Body>> {
        let slots: Vec<OnceLock<Arc<Body>>> = files.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((file, slot)) = at(files, &slots, next.fetch_add(1, Ordering::Relaxed)) {
                slot.get_or_init(|| self.body(site, file, form));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let fill = |(slot, file): (OnceLock<Arc<Body>>, &File)| {
            slot.into_inner().unwrap_or_else(|| self.body(site, file, form))
        };
        slots.into_iter().zip(files).map(fill).collect()
    }

    /// One body; those of recipes are kept.
    fn body(&self, site: &Site<'_>, file: &File, form: Form) -> Arc<Body> {
        let Origin::Recipe(recipe) = &file.origin else {
            let raw = self.render(site, &file.origin);
            let effort = match &file.origin {
                Origin::Piece(piece) => piece.effort(),
                Origin::Recipe(_) | Origin::Bytes(_) => Effort::Match,
            };
            return Arc::new(Body::new(raw, effort, form));
        };
        // Measuring alone is not worth keeping apart from the form the packages need.
        let form = match (form, self.shape.container) {
            (Form::Listed, Container::Tree) => Form::Raw,
            (Form::Listed, Container::TarGz | Container::Zip) => Form::Packed,
            (form, _) => form,
        };
        let key = (form, recipe.clone());
        if let Some(body) = self.bodies.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(body);
        }
        let body = Arc::new(Body::new(self.render(site, &file.origin), recipe.effort(), form));
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&body));
        body
    }

    /// The paths that an increment holds; nothing for a whole package.
    fn increment(&self, number: u32, listing: &Listing) -> Option<BTreeSet<String>> {
        if self.shape.increments == Increments::None {
            return None;
        }
        if self.settings.faults_at(number).any(|fault| fault == Fault::IncrementBeforeFirst) {
            let data = listing.iter().filter(|(_, (_, _, class))| *class == Class::Data);
            return Some(data.map(|(path, _)| path.clone()).collect());
        }
        let before = self.listing(self.settings.previous(number)?);
        let difference = Difference::between(&before, listing);
        Some(difference.changed.into_iter().chain(difference.added).collect())
    }

    fn entries(
        &self,
        files: &[File],
        bodies: &[Arc<Body>],
        moment: &Moment,
        container: Container,
    ) -> Vec<Entry> {
        let times = self.times(moment);
        let prefix = if container == Container::TarGz { "./" } else { "" };
        let mut entries = Vec::with_capacity(files.len());
        if container == Container::TarGz {
            let dirs: BTreeSet<&str> = files.iter().flat_map(|file| parents(&file.path)).collect();
            let nothing = Arc::new(Packed::new(b"", Effort::Store));
            entries.extend(dirs.into_iter().map(|dir| Entry {
                name: format!("./{dir}").into_bytes(),
                kind: Kind::Dir,
                mtime: times.template,
                body: Arc::clone(&nothing),
            }));
        }
        entries.extend(files.iter().zip(bodies).map(|(file, body)| Entry {
            name: format!("{prefix}{}", file.path).into_bytes(),
            kind: Kind::File,
            mtime: times.of(file),
            body: Arc::clone(&body.packed),
        }));
        // Parents come before what lies in them: `/` sorts after nothing.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn times(&self, moment: &Moment) -> Times {
        let built = self.opening.as_second() - TEMPLATE_AGE_SECONDS;
        Times { template: built / 60 * 60, data: moment.stamp.instant().as_second() }
    }

    /// What readers see at cut `number`, which is an accepted one.
    fn listing(&self, number: u32) -> Arc<Listing> {
        let known = self.listings.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        if let Some(listing) = known {
            return listing;
        }
        let moment = self.moment(number);
        let site = Site::new(&self.shape, self.catalog(), &moment, self.settings.curve, self.opening);
        let files = self.files(&site);
        let listing = Arc::new(list(&files, &self.bodies(&site, &files, Form::Listed)));
        self.remember(number, Arc::clone(&listing));
        listing
    }

    fn remember(&self, number: u32, listing: Arc<Listing>) {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        listings.insert(number, listing);
        if listings.len() > LISTINGS_MAX {
            listings.pop_first();
        }
    }

    fn finish(
        &self,
        site: &Site<'_>,
        name: String,
        content: Content,
        listing: Listing,
        junk: Vec<String>,
        sidecars: Vec<(String, Vec<u8>)>,
    ) -> Package {
        let moment = site.moment;
        let number = moment.cut;
        let against = self.settings.previous(number);
        let sent = !matches!(content, Content::Nothing);
        let before = against.filter(|_| sent).map(|before| self.listing(before));
        let mut difference = before.map_or_else(Difference::default, |b| Difference::between(&b, &listing));
        let mut kept = Vec::new();
        if self.shape.increments == Increments::AfterFirst && against.is_some() && sent {
            // Nothing says how an increment could take something away.
            difference.removed.clear();
            kept = self.kept(number, &listing);
        }
        let mut expected = if sent { self.expected(number) } else { Expected::nothing() };
        let package = self.package_facts(&name, number, &content);
        if package.as_ref().is_some_and(|p| p.scope == INCREMENT) && expected.verdict == Verdict::Accept {
            expected.when = expected.when.or(Some("increments are laid over the live tree"));
        }
        let manifest = Manifest {
            profile: self.settings.profile.name(),
            seed: self.settings.seed,
            curve: self.settings.curve.name(),
            zone: self.settings.zone_name(&self.shape).to_owned(),
            interval_seconds: self.interval_seconds,
            process: moment.process.clone(),
            cut: number,
            stamp: moment.found(),
            last: moment.last == Last::Yes,
            faults: self.settings.faults_at(number).map(|fault| fault.to_string()).collect(),
            package,
            sidecars: sidecars.iter().map(|(name, _)| name.clone()).collect(),
            sending: self.settings.faults_at(number).find_map(Fault::sending).filter(|_: &Sending| sent),
            expected,
            totals: if sent { totals(site) } else { BTreeMap::new() },
            files: listing
                .into_iter()
                .map(|(path, (size, sha256, class))| FileFacts { path, size, sha256, class })
                .collect(),
            junk,
            kept,
            against,
            changed: difference.changed,
            added: difference.added,
            removed: difference.removed,
            changed_bytes: difference.bytes,
        };
        Package { name, content, sidecars, manifest }
    }

    /// The stamped downloads of earlier packages, which no increment takes away.
    fn kept(&self, number: u32, listing: &Listing) -> Vec<String> {
        let mut kept = BTreeSet::new();
        for earlier in (0..number).filter(|&cut| self.settings.is_accepted(cut)) {
            let moment = self.moment(earlier);
            let site = Site::new(&self.shape, self.catalog(), &moment, self.settings.curve, self.opening);
            kept.extend(
                site.pieces().into_iter().map(|(path, _)| path).filter(|path| !listing.contains_key(path)),
            );
        }
        kept.into_iter().collect()
    }

    fn package_facts(&self, name: &str, number: u32, content: &Content) -> Option<PackageFacts> {
        let (bytes, sha256) = match content {
            Content::Archive(bytes) => (bytes.len() as u64, Some(Digest::of(bytes))),
            Content::Tree(files) => (files.iter().map(|f| f.bytes.len() as u64).sum(), None),
            Content::Nothing => return None,
        };
        let builds_on = self.settings.previous(number).is_some()
            || self.settings.faults_at(number).any(|fault| fault == Fault::IncrementBeforeFirst);
        let increment = self.shape.increments == Increments::AfterFirst && builds_on;
        Some(PackageFacts {
            name: name.to_owned(),
            container: match self.settings.container_at(&self.shape, number) {
                Container::TarGz => "tar.gz",
                Container::Zip => "zip",
                Container::Tree => "tree",
            },
            scope: if increment { INCREMENT } else { "full" },
            bytes,
            sha256,
        })
    }
}

impl Body {
    fn new(raw: Arc<[u8]>, effort: Effort, form: Form) -> Self {
        match form {
            Form::Packed => Self { packed: Arc::new(Packed::new(&raw, effort)), raw: None },
            Form::Raw => Self { packed: Arc::new(Packed::measured(&raw)), raw: Some(raw) },
            Form::Listed => Self { packed: Arc::new(Packed::measured(&raw)), raw: None },
        }
    }
}

impl Difference {
    fn between(before: &Listing, after: &Listing) -> Self {
        let mut difference = Self::default();
        for (path, facts) in after {
            match before.get(path) {
                Some(old) if old == facts => continue,
                Some(_) => difference.changed.push(path.clone()),
                None => difference.added.push(path.clone()),
            }
            difference.bytes += facts.0;
        }
        difference.removed = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
        difference
    }
}

impl Expected {
    fn nothing() -> Self {
        Self { verdict: Verdict::Nothing, ..Self::accept() }
    }
}

/// Times that files carry.
struct Times {
    template: i64,
    data: i64,
}

impl Times {
    fn of(&self, file: &File) -> i64 {
        match file.role {
            Role::Shown(Class::Data) => self.data,
            Role::Shown(Class::Static) | Role::Junk => self.template,
        }
    }
}

fn at<'a, A, B>(a: &'a [A], b: &'a [B], index: usize) -> Option<(&'a A, &'a B)> {
    Some((a.get(index)?, b.get(index)?))
}

fn list(files: &[File], bodies: &[Arc<Body>]) -> Listing {
    let shown = files.iter().zip(bodies).filter_map(|(file, body)| match file.role {
        Role::Shown(class) => Some((file.path.clone(), (body.packed.len, body.packed.digest, class))),
        Role::Junk => None,
    });
    shown.collect()
}

fn tree(files: &[File], bodies: &[Arc<Body>], times: &Times) -> Content {
    let files = files.iter().zip(bodies).map(|(file, body)| TreeFile {
        path: file.path.clone(),
        mtime: times.of(file),
        bytes: body.raw.clone().unwrap_or_default(),
    });
    Content::Tree(files.collect())
}

/// `""`, `a/`, `a/b/` of `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end + 1);
    std::iter::once(0).chain(ends).filter_map(|end| path.get(..end))
}

fn totals(site: &Site<'_>) -> BTreeMap<String, super::Totals> {
    let elections = site.shape.elections.iter().enumerate();
    elections.map(|(index, e)| (e.key.to_owned(), site.tally_all(index).totals(site.moment.last))).collect()
}

const INCREMENT: &str = "increment";
/// More threads than this only wait for memory.
const THREADS_MAX: usize = 8;
/// Trees remembered for the differences of later cuts.
const LISTINGS_MAX: usize = 4;
/// The template was finished a month before the night.
const TEMPLATE_AGE_SECONDS: i64 = 30 * 86_400;
