//! Every digest that clients negotiate, with its seed rules, and the rolling sum.
//!
//! Owns nothing between calls. Imports no room. One flow: [`BlockSum`] and [`rolling`] sign what
//! we hold, [`FileSum`] proves what was rebuilt, [`ListSum`] answers `-c`.

use md4::Md4;
use md5::{Digest, Md5};
use sha1::Sha1;
use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

/// A strong sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// 128 bits of XXH3; what clients since 3.2 prefer.
    Xxh128,
    /// 64 bits of XXH3.
    Xxh3,
    /// XXH64.
    Xxh64,
    /// What protocol 30 uses without a negotiation.
    Md5,
    /// SHA-1.
    Sha1,
    /// MD4: protocols 27 to 29, or named by `--checksum-choice`; never offered.
    Md4,
    /// `--checksum-choice=none`: whole files, unproved.
    None,
}

impl Algorithm {
    /// What we offer, best first (rsync's own order).
    pub const OFFERED: [Self; 5] = [Self::Xxh128, Self::Xxh3, Self::Xxh64, Self::Md5, Self::Sha1];

    /// The sum of this name, as on the wire and in `--checksum-choice` (case does not count there).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let known = [Self::Xxh128, Self::Xxh3, Self::Xxh64, Self::Md5, Self::Sha1, Self::Md4, Self::None];
        if name.eq_ignore_ascii_case(b"xxhash") {
            return Some(Self::Xxh64);
        }
        known.into_iter().find(|sum| name.eq_ignore_ascii_case(sum.name().as_bytes()))
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
            Self::Xxh3 => "xxh3",
            Self::Xxh64 => "xxh64",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Md4 => "md4",
            Self::None => "none",
        }
    }

    /// Bytes of a digest (`None`: one zero byte stands where a sum would).
    #[expect(clippy::len_without_is_empty, reason = "a digest is never empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Xxh128 | Self::Md5 | Self::Md4 => 16,
            Self::Xxh3 | Self::Xxh64 => 8,
            Self::Sha1 => 20,
            Self::None => 1,
        }
    }
}

/// Longest digest, for buffers of the caller.
pub const LONGEST: usize = 20;

/// A digest and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Sum {
    /// Its bytes as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    fn of(digest: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        let len = digest.len().min(LONGEST);
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self { bytes, len }
    }
}

/// The digests behind all three uses, running.
enum Running {
    // XXH3 keeps half a kilobyte of state: boxed, so that the others stay small.
    Xxh128(Box<XxHash3_128>),
    Xxh3(Box<XxHash3_64>),
    Xxh64(XxHash64),
    Md5(Md5),
    Sha1(Sha1),
    Md4(Md4),
    None,
}

impl Running {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Xxh128 => Self::Xxh128(Box::new(XxHash3_128::new())),
            Algorithm::Xxh3 => Self::Xxh3(Box::new(XxHash3_64::new())),
            Algorithm::Xxh64 => Self::Xxh64(XxHash64::with_seed(0)),
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Md4 => Self::Md4(Md4::new()),
            Algorithm::None => Self::None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Xxh128(state) => state.write(bytes),
            Self::Xxh3(state) => std::hash::Hasher::write(&mut **state, bytes),
            Self::Xxh64(state) => std::hash::Hasher::write(state, bytes),
            Self::Md5(state) => state.update(bytes),
            Self::Sha1(state) => state.update(bytes),
            Self::Md4(state) => state.update(bytes),
            Self::None => {}
        }
    }

    fn finish(self) -> Sum {
        match self {
            Self::Xxh128(state) => Sum::of(&state.finish_128().to_le_bytes()),
            Self::Xxh3(state) => Sum::of(&std::hash::Hasher::finish(&*state).to_le_bytes()),
            Self::Xxh64(state) => Sum::of(&std::hash::Hasher::finish(&state).to_le_bytes()),
            Self::Md5(state) => Sum::of(&state.finalize()),
            Self::Sha1(state) => Sum::of(&state.finalize()),
            Self::Md4(state) => Sum::of(&state.finalize()),
            Self::None => Sum::of(&[0]),
        }
    }
}

/// A running whole-file sum: over the data alone, but for MD4 of protocols 27 to 29, which
/// begins with the seed.
pub struct FileSum(Running);

impl FileSum {
    /// An empty sum. The seed counts for MD4 below protocol 30 only.
    pub fn new(algorithm: Algorithm, protocol: u8, seed: i32) -> Self {
        let mut running = Running::new(algorithm);
        if algorithm == Algorithm::Md4 && protocol < 30 {
            running.update(&seed.to_le_bytes());
        }
        Self(running)
    }

    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum as the peer sends it.
    pub fn finish(self) -> Sum {
        self.0.finish()
    }
}

/// Sum of a file as `-c` sends it in the list: never seeded.
pub struct ListSum(Running);

impl ListSum {
    /// An empty sum.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(Running::new(algorithm))
    }

    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum as the peer sends it.
    pub fn finish(self) -> Sum {
        self.0.finish()
    }
}

/// The sum of a block, seeded.
#[derive(Clone, Copy, Debug)]
pub struct BlockSum {
    algorithm: Algorithm,
    seed: i32,
    seed_first: bool,
}

impl BlockSum {
    /// Sums of one session. `seed_fix` is the compatibility flag that puts the seed of MD5 before
    /// the data; MD4 always has it behind (clients whose library makes MD4, where it is named by
    /// `--checksum-choice`, put it before: they then find no block and send whole files), SHA-1
    /// before.
    pub fn new(algorithm: Algorithm, seed: i32, seed_fix: bool) -> Self {
        let seed_first = match algorithm {
            Algorithm::Md5 => seed_fix,
            Algorithm::Md4 => false,
            _ => true,
        };
        Self { algorithm, seed, seed_first }
    }

    /// Appends the first `length` bytes of a block's sum.
    pub fn sum(&self, block: &[u8], out: &mut Vec<u8>, length: usize) {
        // The reference hands its int to a 64-bit parameter: sign-extended.
        let seed = i64::from(self.seed).cast_unsigned();
        match self.algorithm {
            Algorithm::Xxh128 => {
                append(&XxHash3_128::oneshot_with_seed(seed, block).to_le_bytes(), out, length)
            }
            Algorithm::Xxh3 => append(&XxHash3_64::oneshot_with_seed(seed, block).to_le_bytes(), out, length),
            Algorithm::Xxh64 => append(&XxHash64::oneshot(seed, block).to_le_bytes(), out, length),
            Algorithm::Md5 => append(&self.seeded::<Md5>(block), out, length),
            Algorithm::Sha1 => append(&self.seeded::<Sha1>(block), out, length),
            Algorithm::Md4 => append(&self.seeded::<Md4>(block), out, length),
            Algorithm::None => append(&[0], out, length),
        }
    }

    /// A zero seed is no seed.
    fn seeded<D: Digest>(&self, block: &[u8]) -> md5::digest::Output<D> {
        let seed = self.seed.to_le_bytes();
        let seed = if self.seed == 0 { &[][..] } else { &seed[..] };
        match self.seed_first {
            true => D::new().chain_update(seed).chain_update(block).finalize(),
            false => D::new().chain_update(block).chain_update(seed).finalize(),
        }
    }
}

fn append(digest: &[u8], out: &mut Vec<u8>, length: usize) {
    out.extend(digest.iter().take(length));
}

/// Lanes of [`rolling`]: two vectors of 16 bits on plain x86-64, half of its registers with the
/// running sums.
const LANES: usize = 32;

/// The rolling sum of a block: the sum of its signed bytes, and above it the sum of all partial
/// sums, 16 bits each.
pub fn rolling(block: &[u8]) -> u32 {
    // Both halves live modulo 2^16, so that 16-bit lanes may wrap: column sums `a`, and sums `t`
    // of the columns' partial sums, from which the places of single bytes are restored at the end.
    // Bytes count as unsigned (with the top bit flipped) meanwhile: unpacking is then one
    // instruction, and the surplus of 128 each is known.
    let mut a = [0_u16; LANES];
    let mut t = [0_u16; LANES];
    let (rows, tail) = block.as_chunks::<LANES>();
    for row in rows {
        for ((a, t), byte) in a.iter_mut().zip(&mut t).zip(row) {
            *a = a.wrapping_add(u16::from(byte ^ 0x80));
            *t = t.wrapping_add(*a);
        }
    }
    let mut s1 = a.iter().fold(0_u16, |sum, a| sum.wrapping_add(*a));
    let columns = (0_u16..).zip(&a).fold(0_u16, |sum, (j, a)| sum.wrapping_add(a.wrapping_mul(j)));
    let partial = t.iter().fold(0_u16, |sum, t| sum.wrapping_add(*t));
    let mut s2 = partial.wrapping_mul(LANES as u16).wrapping_sub(columns);
    for byte in tail {
        s1 = s1.wrapping_add(u16::from(byte ^ 0x80));
        s2 = s2.wrapping_add(s1);
    }
    let n = block.len() as u64;
    let triangle = n.wrapping_mul(n.wrapping_add(1)) / 2;
    s1 = s1.wrapping_sub((n as u16).wrapping_mul(128));
    s2 = s2.wrapping_sub((triangle as u16).wrapping_mul(128));
    u32::from(s1) | u32::from(s2) << 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_definition(block: &[u8]) -> u32 {
        let (mut s1, mut s2) = (0_u32, 0_u32);
        for byte in block {
            s1 = s1.wrapping_add(i32::from(byte.cast_signed()).cast_unsigned());
            s2 = s2.wrapping_add(s1);
        }
        (s1 & 0xffff).wrapping_add(s2 << 16)
    }

    proptest! {
        #[test]
        fn the_rolling_sum_is_the_one_of_the_definition(block in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(rolling(&block), by_definition(&block));
        }

        #[test]
        fn a_sum_does_not_depend_on_the_pieces(data in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0_usize..3000) {
            for sum in [Algorithm::Xxh128, Algorithm::Xxh3, Algorithm::Xxh64, Algorithm::Md5, Algorithm::Sha1, Algorithm::Md4] {
                let (a, b) = data.split_at(cut.min(data.len()));
                let mut pieces = ListSum::new(sum);
                pieces.update(a);
                pieces.update(b);
                let mut whole = FileSum::new(sum, 32, 7);
                whole.update(&data);
                prop_assert_eq!(pieces.finish(), whole.finish());
            }
        }
    }

    #[test]
    fn long_blocks_of_any_sign_wrap_alike() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            for length in [65_535, 65_536, 131_072] {
                let block = vec![byte; length];
                assert_eq!(rolling(&block), by_definition(&block), "{length} of {byte}");
            }
        }
    }

    fn hex(sum: Sum) -> String {
        sum.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn file(algorithm: Algorithm, protocol: u8) -> String {
        let mut sum = FileSum::new(algorithm, protocol, 0x0102_0304);
        sum.update(b"abc");
        hex(sum.finish())
    }

    /// `printf abc | xxhsum -H1 --little-endian` (-H3, -H2); RFC 1320, RFC 1321, FIPS 180-4.
    #[test]
    fn digests_are_those_of_their_standards() {
        assert_eq!(file(Algorithm::Md5, 32), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(file(Algorithm::Sha1, 32), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(file(Algorithm::Md4, 30), "a448017aaf21d8525fc10ae87aa6729d");
        assert_eq!(file(Algorithm::Xxh64, 32), "990977adf52cbc44");
        assert_eq!(file(Algorithm::Xxh3, 32), "50392f89945faf78");
        assert_eq!(file(Algorithm::Xxh128, 32), "50392f89945faf7885613a73b65ab006");
        assert_eq!(file(Algorithm::None, 32), "00");
    }

    #[test]
    fn md4_of_old_protocols_begins_with_the_seed() {
        let mut seeded = ListSum::new(Algorithm::Md4);
        seeded.update(&[4, 3, 2, 1]);
        seeded.update(b"abc");
        assert_eq!(file(Algorithm::Md4, 29), hex(seeded.finish()));
    }

    #[test]
    fn seeds_stand_where_the_client_expects_them() {
        let sum = |algorithm, seed, fix| {
            let mut out = Vec::new();
            BlockSum::new(algorithm, seed, fix).sum(b"abc", &mut out, 16);
            out
        };
        let md5 = |data: &[u8]| Md5::digest(data).to_vec();
        assert_eq!(sum(Algorithm::Md5, 1, true), md5(b"\x01\0\0\0abc"));
        assert_eq!(sum(Algorithm::Md5, 1, false), md5(b"abc\x01\0\0\0"));
        assert_eq!(sum(Algorithm::Md5, 0, true), md5(b"abc"));
        assert_eq!(sum(Algorithm::Md4, 1, true), Md4::digest(b"abc\x01\0\0\0").to_vec());
        assert_eq!(sum(Algorithm::Sha1, 1, false), Sha1::digest(b"\x01\0\0\0abc").to_vec()[..16]);
        let extended = XxHash3_128::oneshot_with_seed(u64::MAX, b"abc");
        assert_eq!(sum(Algorithm::Xxh128, -1, true), extended.to_le_bytes());
    }

    #[test]
    fn names_are_those_of_the_option_and_shorter_sums_are_prefixes() {
        for sum in Algorithm::OFFERED {
            assert_eq!(Algorithm::from_name(sum.name().as_bytes()), Some(sum));
            let mut out = Vec::new();
            BlockSum::new(sum, 9, true).sum(b"abc", &mut out, LONGEST);
            assert_eq!(out.len(), sum.len());
            let mut short = Vec::new();
            BlockSum::new(sum, 9, true).sum(b"abc", &mut short, 2);
            assert_eq!(short, out[..2]);
        }
        assert_eq!(Algorithm::from_name(b"XXHash"), Some(Algorithm::Xxh64));
        assert_eq!(Algorithm::from_name(b"crc32"), None);
    }
}
