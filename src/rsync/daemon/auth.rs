//! The daemon's challenge: which digest, and whether an answer proves a secret.
//!
//! Imports no room. The answer is the digest of the secret and the challenge, in that order.

use md4::Md4;
use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Digests of answers, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Digest {
    /// Protocols below 30: MD4 that begins with four zero bytes, a seed that nobody chose.
    SeededMd4,
    Md4,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    const OFFERED: [Self; 5] = [Self::Sha512, Self::Sha256, Self::Sha1, Self::Md5, Self::Md4];

    /// Our list as in the greeting.
    pub(super) fn offered() -> String {
        Self::OFFERED.map(Self::name).join(" ")
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SeededMd4 | Self::Md4 => "md4",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::OFFERED.into_iter().find(|digest| digest.name() == name)
    }

    /// What the client will answer with: the first of its names that we offer; without a list,
    /// what its protocol always used.
    pub(super) fn choose<'a>(theirs: impl Iterator<Item = &'a str>, protocol: u8) -> Option<Self> {
        let mut theirs = theirs.peekable();
        match theirs.peek() {
            Some(_) => theirs.find_map(Self::from_name),
            None if protocol >= 30 => Some(Self::Md5),
            None => Some(Self::SeededMd4),
        }
    }

    /// Whether it is as strong as a floor. A floor we do not know is reached by none.
    pub(super) fn reaches(self, floor: Option<&str>) -> bool {
        match floor {
            None => true,
            // Its four zeros make it no stronger.
            Some("md4") => true,
            Some(floor) => Self::from_name(floor).is_some_and(|floor| self >= floor),
        }
    }

    /// Whether `given` is the answer, compared in constant time. Without a secret nothing is, at
    /// the same cost.
    pub(super) fn proves(self, secret: Option<&[u8]>, challenge: &[u8], given: &[u8]) -> bool {
        let expected = self.answer(secret.unwrap_or(b"nobody's"), challenge);
        let same = expected.ct_eq(given);
        bool::from(same & u8::from(secret.is_some()).into())
    }

    fn answer(self, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
        match self {
            Self::SeededMd4 => Md4::new()
                .chain_update([0; 4])
                .chain_update(secret)
                .chain_update(challenge)
                .finalize()
                .to_vec(),
            Self::Md4 => digest::<Md4>(secret, challenge),
            Self::Md5 => digest::<Md5>(secret, challenge),
            Self::Sha1 => digest::<Sha1>(secret, challenge),
            Self::Sha256 => digest::<Sha256>(secret, challenge),
            Self::Sha512 => digest::<Sha512>(secret, challenge),
        }
    }
}

fn digest<D: sha2::digest::Digest>(secret: &[u8], challenge: &[u8]) -> Vec<u8> {
    D::new().chain_update(secret).chain_update(challenge).finalize().to_vec()
}
