//! Sums that come after their package. What is published stays: its container was whole to the
//! last byte. But its sender is told, and the operator sees the doubt until a right sum comes.

use std::io;

use super::Publisher;
use crate::drop::LateSum;
use crate::ledger::{self, Entry, Filter, Kind};
use crate::model::{Digest, Outcome, Receipt, Rejection};
use crate::package;

/// The word on the ledger for a package whose late sum says otherwise.
const DISAGREES: &str = "sum_disagrees";

impl Publisher {
    /// Compares, and puts on record what came of it.
    pub(super) fn late_sum(&mut self, sum: &LateSum, receipt: &Receipt) -> Outcome {
        let mut outcome = Outcome::Agreed;
        for (package, name) in &sum.packages {
            let fact = |kind| {
                let entry = Entry::new(kind).with("package", package).with("name", name);
                entry.with("sums", &receipt.name).with("sender", &receipt.sender)
            };
            match self.compare(*package, name, &receipt.name, &sum.content) {
                Ok(()) => {
                    self.doubts.remove(package);
                    self.note(fact(Kind::Summed));
                }
                Err(rejection) => {
                    tracing::error!(%package, name, sums = receipt.name, %rejection, "a sum that came after its package disagrees");
                    let entry = fact(Kind::Warning).with("what", DISAGREES).with("code", rejection.code);
                    self.note(entry.with_some("detail", rejection.detail.as_ref()));
                    self.doubts.insert(*package, receipt.name.clone());
                    outcome = Outcome::Rejected(rejection);
                }
            }
        }
        outcome
    }

    fn compare(&self, package: Digest, name: &str, side: &str, content: &[u8]) -> Result<(), Rejection> {
        let file = self.parts.history.open_original(package).map_err(super::store_failed)?;
        package::compare_sums(&file, name, side, content)
    }

    /// Finds the doubts that the last run left.
    pub(super) fn find_doubts(&mut self) -> io::Result<()> {
        let kinds = Filter::kinds(&[Kind::Warning, Kind::Summed]);
        for line in ledger::read(&self.parts.ledger.dir(), kinds)?.flatten() {
            let Some(package) = line.text("package").and_then(|text| text.parse().ok()) else { continue };
            if line.kind == Some(Kind::Summed) {
                self.doubts.remove(&package);
            } else if line.text("what") == Some(DISAGREES) {
                self.doubts.insert(package, line.text("sums").unwrap_or_default().to_owned());
            }
        }
        Ok(())
    }
}
