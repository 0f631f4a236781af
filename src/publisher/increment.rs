//! Packages that hold only what changed (Tamaulipas, III.b): laid over the release before
//! them as the exact union, or held until there is one.
//!
//! An increment builds on the newest release of its own event, published or staged. A new
//! whole package begins anew. What a release was laid over is in its facts and in the
//! history, so that the same tree can be made again from the originals alone.

use std::collections::BTreeMap;

use super::{Judged, Publisher, is_page};
use crate::history::{Decision, Record};
use crate::ledger::{Entry, Kind};
use crate::model::{Code, Digest, Outcome, Receipt, Rejection};
use crate::package::Verified;
use crate::release::{Manifest, Meta, Release, Staging};

/// Increments that may wait at once: more than any night has cuts. One more is refused.
const HELD_MAX: usize = 512;

impl Publisher {
    /// What an increment of this event builds on.
    pub(super) fn ground(&self, meta: &Meta) -> Option<&Release> {
        self.base().filter(|base| !is_page(base) && base.meta.event == meta.event)
    }

    /// Completes an increment with everything it does not replace.
    pub(super) fn lay_over(
        &self,
        ground: &Release,
        staging: &mut Staging,
        meta: &mut Meta,
    ) -> Result<(), Rejection> {
        let blame = |e| self.parts.store.blame(&e);
        meta.top.clone_from(&ground.meta.top);
        if let Some(top) = &meta.top
            && staging.manifest().common_top() == Some(top)
        {
            staging.strip(top).map_err(blame)?;
        }
        agree(&ground.manifest, staging.manifest())?;
        staging.complete_from_base().map_err(blame)?;
        self.fits(staging.manifest())?;
        meta.onto = ground.meta.onto.iter().copied().chain(ground.meta.package).collect();
        Ok(())
    }

    /// The union keeps to the bounds of a package.
    fn fits(&self, union: &Manifest) -> Result<(), Rejection> {
        let limits = &self.parts.rules.limits;
        let (bytes, files) = (union.bytes(), union.len() as u64);
        if bytes > limits.unpacked_bytes {
            let figures = format!("{bytes} > {}", limits.unpacked_bytes);
            return Err(Rejection::new(Code::SizeTotal).detail(figures));
        }
        if files > limits.entries {
            return Err(Rejection::new(Code::Entries).detail(format!("{files} > {}", limits.entries)));
        }
        Ok(())
    }

    /// Puts an increment by until the package comes that it builds on.
    pub(super) fn hold(&mut self, package: Digest, verified: &Verified, receipt: &Receipt) -> Outcome {
        if self.held.len() >= HELD_MAX && !self.held.contains(&package) {
            let full = Rejection::new(Code::RequiredMissing).detail(format!("> {HELD_MAX}"));
            return self.reject(Some(package), receipt, full);
        }
        let cut = verified.cut.as_ref().map(|found| found.cut);
        let entry = Entry::new(Kind::Held).with("package", package).with("name", &receipt.name);
        self.note(entry.with_some("cut", cut).with("sender", &receipt.sender));
        self.held.retain(|held| *held != package);
        self.held.push(package);
        Outcome::Held { cut }
    }

    /// Finds what waited when the last run ended.
    pub(super) fn find_held(&mut self) -> std::io::Result<()> {
        let is_held = |r: &Record| r.standing().is_some_and(|v| v.result == Decision::Held);
        self.held = self.parts.history.list()?.iter().filter(|r| is_held(r)).map(|r| r.id).collect();
        Ok(())
    }

    /// Gives every held increment its verdict, in the order of the cuts, once there is something
    /// to build on. One that is older than that is passed over as any older cut.
    pub(super) fn take_held(&mut self) {
        if self.held.is_empty() || self.base().is_none() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let mut records: Vec<Record> =
            held.into_iter().filter_map(|id| self.parts.history.get(id).ok().flatten()).collect();
        records.sort_by_key(|r| (r.standing().and_then(|v| v.cut), r.last_received()));
        for record in &records {
            self.take_again(record);
        }
    }

    /// Makes the release of an original again, from all the originals it was made of.
    pub(super) fn rebuild(&mut self, record: &Record) {
        let onto = record.standing().map(|verdict| verdict.onto.clone()).unwrap_or_default();
        let sound = onto.into_iter().all(|part| self.lay_again(part));
        let beneath = self.staged.as_ref().map(|release| release.id.clone());
        if sound {
            self.take_again(record);
        }
        if beneath.is_some() && self.staged.as_ref().map(|release| &release.id) == beneath.as_ref() {
            // It was there to be built on, never to be shown.
            self.staged = None;
        }
    }

    /// Stages one part of a release again; `false` if it is gone, or refused today.
    fn lay_again(&mut self, part: Digest) -> bool {
        let Some(record) = self.parts.history.get(part).ok().flatten() else { return false };
        let (kept, receipt) = self.received_again(&record);
        match self.verify(&kept, &[], &receipt).and_then(|judged| self.on_record(judged)) {
            Ok(Judged::Ready(ready)) => self.staged = Some(ready.release),
            Ok(Judged::Waits(_)) => return false,
            Err(rejection) => {
                tracing::error!(%rejection, %part, "a part of the newest cut cannot be unpacked again");
                return false;
            }
        }
        true
    }
}

/// Whether an original is part of a release.
pub(super) fn holds(release: &Release, package: Digest) -> bool {
    release.meta.package == Some(package) || release.meta.onto.contains(&package)
}

/// No name of an increment clashes with another one of the site, as none may within a package:
/// neither as file and folder nor in the case of its letters.
fn agree(site: &Manifest, increment: &Manifest) -> Result<(), Rejection> {
    let mut names: BTreeMap<String, (&str, Role)> = BTreeMap::new();
    for path in site.files().keys().chain(increment.files().keys()) {
        let folders = path.match_indices('/').filter_map(|(at, _)| Some((path.get(..at)?, Role::Folder)));
        for (name, role) in folders.chain([(path.as_str(), Role::File)]) {
            let known = names.entry(name.to_lowercase()).or_insert((name, role));
            if *known != (name, role) {
                return Err(Rejection::new(Code::NameCollision).entry(path).detail(known.0.to_string()));
            }
        }
    }
    Ok(())
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    File,
    Folder,
}
