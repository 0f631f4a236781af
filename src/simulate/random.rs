//! Named streams of random numbers: the same on every machine, and independent of
//! the order in which they are asked for.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::model::Digest;

/// A ChaCha8 stream whose key is `sha256(seed/profile/name)`.
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this name.
    pub(super) fn new(seed: u64, profile: &str, name: &str) -> Self {
        let key = Digest::of(format!("{seed}/{profile}/{name}").as_bytes());
        Self(ChaCha8Rng::from_seed(*key.as_bytes()))
    }

    /// A number below `bound`, by the high half of a product: the bias is below 2⁻¹⁶
    /// for every bound used here, and no draw ever takes a varying number of words.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A number from `low` to `high`, both possible.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// `true` in `per_thousand` of 1,000 draws.
    pub(super) fn chance(&mut self, per_thousand: u32) -> bool {
        self.below(1000) < per_thousand
    }

    /// One of several, which are not none.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u32) as usize)
    }

    /// Fills `bytes`.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `len` random bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_profile_and_name_only() {
        let draw = |seed, profile, name| Stream::new(seed, profile, name).bytes(16);
        assert_eq!(draw(1, "qroo", "a"), draw(1, "qroo", "a"));
        assert_ne!(draw(1, "qroo", "a"), draw(2, "qroo", "a"));
        assert_ne!(draw(1, "qroo", "a"), draw(1, "nl", "a"));
        assert_ne!(draw(1, "qroo", "a"), draw(1, "qroo", "b"));
    }
}
