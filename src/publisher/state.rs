//! The last receptions, for `status`.

use std::collections::VecDeque;

use crate::control::Reception;
use crate::model::{Lang, Outcome, Receipt};

/// Receptions that `status` shows.
const REMEMBERED: usize = 20;

/// A ring of the last receptions, newest first.
#[derive(Debug, Default)]
pub(super) struct Receptions {
    ring: VecDeque<(u64, Reception)>,
    next: u64,
}

impl Receptions {
    /// A reception whose verdict is to come; gives the number to end it with.
    pub(super) fn begin(&mut self, receipt: Receipt) -> u64 {
        self.next += 1;
        self.ring.push_front((self.next, Reception { receipt, verdict: None, code: None }));
        self.ring.truncate(REMEMBERED);
        self.next
    }

    /// The verdict of the reception with that number.
    pub(super) fn end(&mut self, number: u64, outcome: &Outcome, lang: Lang) {
        let Some((_, reception)) = self.ring.iter_mut().find(|(n, _)| *n == number) else { return };
        reception.verdict = Some(outcome.line(lang));
        reception.code = match outcome {
            Outcome::Rejected(rejection) => Some(rejection.code),
            _ => None,
        };
    }

    /// All, newest first.
    pub(super) fn list(&self) -> Vec<Reception> {
        self.ring.iter().map(|(_, reception)| reception.clone()).collect()
    }
}
