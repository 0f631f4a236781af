//! How fast one address may go: the generic cell rate algorithm, in one atomic number.
//!
//! The number is the instant at which everything taken so far would have been taken at an even
//! pace. What lies further ahead of now than the burst is too fast.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::config::Rate;

/// A rate made ready for use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// Nanoseconds that one costs; zero is no bound.
    cost: u64,
    /// Nanoseconds that may be taken ahead.
    ahead: u64,
}

impl Pacing {
    pub(super) fn new(rate: Rate) -> Self {
        let cost = SECOND.checked_div(u64::from(rate.per_second)).unwrap_or(0);
        Self { cost, ahead: cost.saturating_mul(u64::from(rate.burst.max(1))) }
    }
}

/// What one address has taken.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Takes one at `now` (nanoseconds since any fixed instant), if it need not wait longer than `patience`: how
    /// long it has to. Otherwise nothing is taken, and the error says how long it would have been.
    pub(super) fn take(&self, pacing: Pacing, now: u64, patience: Duration) -> Result<Duration, Duration> {
        // What was taken under another pace is no debt where there is none.
        if pacing.cost == 0 {
            return Ok(Duration::ZERO);
        }
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let mut taken = self.0.load(Ordering::Relaxed);
        loop {
            let next = taken.max(now).saturating_add(pacing.cost);
            let wait = (next - now).saturating_sub(pacing.ahead);
            if wait > patience {
                return Err(Duration::from_nanos(wait));
            }
            match self.0.compare_exchange_weak(taken, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(Duration::from_nanos(wait)),
                Err(other) => taken = other,
            }
        }
    }

    /// Whether what was taken has been worn off: a new one would say the same.
    pub(super) fn is_rested(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn a_burst_then_an_even_pace() {
        let (pacing, pace) = (Pacing::new(Rate { per_second: 10, burst: 3 }), Pace::default());
        for _ in 0..3 {
            assert_eq!(pace.take(pacing, 1, NONE), Ok(NONE));
        }
        assert_eq!(pace.take(pacing, 1, NONE), Err(Duration::from_millis(100)));
        assert!(!pace.is_rested(1));
        assert_eq!(pace.take(pacing, 1 + SECOND / 10, NONE), Ok(NONE));
        assert!(pace.take(pacing, 1 + SECOND / 10, NONE).is_err());
        assert!(pace.is_rested(SECOND));
    }

    #[test]
    fn who_can_wait_is_told_how_long() {
        let (pacing, pace) = (Pacing::new(Rate { per_second: 10, burst: 1 }), Pace::default());
        let patience = Duration::from_millis(250);
        let waits: Vec<_> = (0..4).map(|_| pace.take(pacing, 0, patience)).collect();
        let ms = Duration::from_millis;
        assert_eq!(waits, [Ok(NONE), Ok(ms(100)), Ok(ms(200)), Err(ms(300))]);
    }

    #[test]
    fn a_rate_of_zero_is_no_bound() {
        let (pacing, pace) = (Pacing::new(Rate { per_second: 0, burst: 0 }), Pace::default());
        assert!((0..1000).all(|_| pace.take(pacing, 5, NONE) == Ok(NONE)));
    }
}
