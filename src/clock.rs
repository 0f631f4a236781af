//! Now. The only room that reads the wall clock; tests wind their own by hand.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// A source of the present instant. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    hand: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `instant` until it is set.
    pub fn at(instant: Timestamp) -> Self {
        Self { hand: Some(Arc::new(Mutex::new(instant))) }
    }

    /// The present instant.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn now(&self) -> Timestamp {
        match &self.hand {
            Some(hand) => *hand.lock().unwrap_or_else(PoisonError::into_inner),
            None => Timestamp::now(),
        }
    }

    /// Moves a hand-wound clock; a system clock is left alone.
    pub fn set(&self, instant: Timestamp) {
        if let Some(hand) = &self.hand {
            *hand.lock().unwrap_or_else(PoisonError::into_inner) = instant;
        }
    }
}
