//! Sums that come after their package: `scp p.tar.gz p.tar.gz.sha256 HOST:` sends them last.
//!
//! A package that came without a sum is awaited by one for a while. A sum that comes later, or
//! for a package that had its own, is about the package to come.

use jiff::{SignedDuration, Timestamp};

use super::names::{is_sidecar, speaks_of, sums_of};
use super::room::{Room, lock};
use super::{Answer, Arrival, LateSum, Payload, Submission};
use crate::model::{Digest, Receipt, Sender, Via};

/// A package that no sum has spoken of yet.
#[derive(Debug)]
pub(super) struct Awaiting {
    name: String,
    sender: String,
    watched: bool,
    package: Digest,
    came: Timestamp,
}

impl Awaiting {
    /// Whether a sums file with this content is about it.
    fn is_meant(&self, sums: &Sums<'_>, content: &[u8]) -> bool {
        let by_same = self.watched == (sums.sender.via == Via::Drop) && self.sender == sums.sender.name;
        // Whole seconds: that is what a file system may tell of a file.
        let after = sums.written.as_second() >= self.came.as_second();
        by_same && after && is_about(&self.name, sums.name, content)
    }
}

/// A sums file that is whole.
pub(super) struct Sums<'a> {
    pub(super) name: &'a str,
    pub(super) written: Timestamp,
    pub(super) sender: &'a Sender,
}

/// A sums file that was handed on.
pub(super) struct Late {
    pub(super) submission: Submission,
    pub(super) agrees: bool,
}

/// Whether a sums file says something about this package: by its own name, or within.
fn is_about(package: &str, side: &str, content: &[u8]) -> bool {
    side.rsplit_once('.').is_some_and(|(owner, _)| owner == package)
        || String::from_utf8_lossy(content).contains(package)
}

impl Room {
    /// A package was received, with these sums.
    pub(super) fn await_sum(&self, receipt: &Receipt, package: Digest, sums: &[(String, Vec<u8>)]) {
        let mut awaiting = lock(&self.awaiting);
        let same = |one: &Awaiting| one.name == receipt.name && one.sender == receipt.sender.name;
        awaiting.retain(|one| !same(one));
        // One that disagreed before says nothing for it.
        let speaks = |side: &str, content: &[u8]| {
            is_about(&receipt.name, side, content) && self.spent_at(content).is_none()
        };
        if sums.iter().any(|(side, content)| speaks(side, content)) {
            return;
        }
        if awaiting.len() >= AWAITING_MAX {
            awaiting.remove(0);
        }
        awaiting.push(Awaiting {
            name: receipt.name.clone(),
            sender: receipt.sender.name.clone(),
            watched: receipt.sender.via == Via::Drop,
            package,
            came: receipt.last_byte,
        });
    }

    /// A file became whole that is no package: if it holds sums of packages that came shortly
    /// before, they are compared. `content` is asked for only then.
    pub(super) fn late_sum(
        &self,
        sums: &Sums<'_>,
        content: impl FnOnce() -> std::io::Result<Vec<u8>>,
    ) -> std::io::Result<Option<Late>> {
        if !is_sidecar(sums.name) || lock(&self.awaiting).is_empty() {
            return Ok(None);
        }
        let (content, now) = (content()?, self.shared.clock.now());
        let (mut packages, mut agrees) = (Vec::new(), true);
        lock(&self.awaiting).retain(|one| {
            if now.duration_since(one.came) > self.patience() {
                return false;
            }
            if !one.is_meant(sums, &content) {
                return true;
            }
            packages.push((one.package, one.name.clone()));
            let agreed = self.agrees(one.package, &content);
            agrees &= agreed;
            // One that disagrees may be put right by another.
            !agreed
        });
        if packages.is_empty() {
            return Ok(None);
        }
        if !agrees {
            self.spend(&content);
        }
        let receipt = Receipt {
            name: sums.name.to_owned(),
            sender: sums.sender.clone(),
            first_byte: now,
            last_byte: now,
            bytes: content.len() as u64,
        };
        let (verdict, submission) = Answer::promise(sums.name, None);
        let payload = Payload::Sum(LateSum { packages, content });
        self.hand_on(Arrival { payload, receipt, base: None, verdict });
        Ok(Some(Late { submission, agrees }))
    }

    /// Remembers that sums disagreed. For as long as sums may be late they may yet be about a
    /// package that follows; after that they must not condemn the next of that name.
    fn spend(&self, content: &[u8]) {
        let mut spent = lock(&self.spent);
        if spent.len() >= AWAITING_MAX {
            spent.clear();
        }
        spent.insert(Digest::of(content), self.shared.clock.now());
    }

    fn spent_at(&self, content: &[u8]) -> Option<Timestamp> {
        let spent = lock(&self.spent);
        if spent.is_empty() { None } else { spent.get(&Digest::of(content)).copied() }
    }

    /// Whether sums that lie beside a package have nothing more to say.
    pub(super) fn is_spent(&self, content: &[u8]) -> bool {
        let found = self.spent_at(content);
        found.is_some_and(|when| self.shared.clock.now().duration_since(when) > self.patience())
    }

    fn patience(&self) -> SignedDuration {
        SignedDuration::try_from(self.config.late_sums).unwrap_or(SignedDuration::MAX)
    }

    fn agrees(&self, package: Digest, content: &[u8]) -> bool {
        let sums = self.shared.history.open_original(package).and_then(|file| sums_of(&file));
        sums.is_ok_and(|sums| speaks_of(content, &sums))
    }
}

/// Packages of the last minutes: more come in no night.
const AWAITING_MAX: usize = 64;
