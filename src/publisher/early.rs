//! A package that was staged while it arrived: taken as it is, or not at all.

use std::time::Duration;

use super::{How, Publisher, Ready};
use crate::drop::Early;
use crate::history::Kept;
use crate::model::Receipt;
use crate::rehearsal::{Rehearsal, Rehearsed};

/// How long a tree may take from the last byte of its package to its seal. Reading the
/// original takes less on any disk that works.
const PATIENCE: Duration = Duration::from_secs(10);

impl Publisher {
    /// The release of a rehearsal, if all that it took for granted holds. `None` sends the package
    /// the usual way, which alone refuses.
    pub(super) fn rehearsed(
        &self,
        early: Early,
        kept: &Kept,
        sidecars: &[(String, Vec<u8>)],
        receipt: &Receipt,
    ) -> Option<Ready> {
        let rehearsed = Rehearsal::of(early)?.take(PATIENCE)?;
        if !self.still_holds(&rehearsed, kept) {
            rehearsed.forget();
            return None;
        }
        let Rehearsed { mut staged, foreseen, .. } = rehearsed;
        let original = || self.parts.history.open_original(kept.id);
        let live = self.newest_for(receipt);
        let verdict = foreseen.confirm(original, &receipt.name, kept.id, sidecars, &self.parts.rules, live);
        let verified = verdict.ok()?;
        let witness = staged.take_witness();
        match staged.commit() {
            Ok(release) => Some(Ready { release, verified, witness, how: How::Ahead }),
            Err(error) => {
                tracing::warn!(%error, "a tree staged ahead could not be kept; staging it anew");
                None
            }
        }
    }

    /// Whether the same bytes were staged, for the same event, and nothing younger has come between.
    fn still_holds(&self, rehearsed: &Rehearsed, kept: &Kept) -> bool {
        let staged = &rehearsed.staged;
        let younger = [&self.live, &self.staged].into_iter().flatten();
        let event = self.event_for(rehearsed.foreseen.cut(), self.parts.clock.now());
        rehearsed.sha256 == kept.id
            && younger.map(|release| release.id.sequence()).all(|before| before < staged.id().sequence())
            && event.is_ok_and(|event| event == staged.meta().event)
    }
}
