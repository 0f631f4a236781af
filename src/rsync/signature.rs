//! Block sums of a basis, and the head that announces them.
//!
//! Imports [`super::checksum`], the wire, the names of [`Compression`] and the [`Basis`] it reads. One flow: the generator asks
//! [`SumHead::for_size`], sends the head and what [`sign`] hands on; the client echoes the head
//! before the tokens, and [`SumHead::block`] says where a block number lies.

use super::checksum::{BlockSum, rolling};
use super::error::Error;
use super::token::Compression;
use super::tree::Basis;
use super::wire::{Take, put_int};

/// The four integers before the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumHead {
    /// Blocks; 0 asks for the whole file.
    pub count: u32,
    /// Bytes of a block, but for the last.
    pub block: u32,
    /// Bytes of a strong sum on the wire.
    pub strong: u32,
    /// Bytes of the last block; 0 if it is a full one.
    pub remainder: u32,
}

/// Block up to which the reference does not take roots, bytes.
const SMALLEST_BLOCK: u32 = 700;
/// A longer block would meet the bug of zlib's old framing below protocol 31, where pieces after
/// the first repeat the block's start. The reference passes it for bases above 4 GiB only.
const LONGEST_BLOCK: u32 = 65_535;
/// Old `-z` has the sender deflate each matched block into a buffer of 32,816 bytes: a longer one that
/// does not compress ends the client ("deflate on token returned 0"), with stock's server too.
const LONGEST_ZLIB_BLOCK: u32 = 32 << 10;
/// What an echo may say: the reference's bound before protocol 30.
const ECHOED_BLOCK: u32 = 1 << 29;
/// The reference's bias of the strong sum's length, bits.
const BIAS: u64 = 10;
/// Strong sums are never shorter.
const SHORTEST_STRONG: usize = 2;
/// Strong sums are never longer than this on the wire.
const LONGEST_STRONG: usize = 16;

impl SumHead {
    /// Sizes by the reference's rules for a basis of `size` bytes (block <= 65535), so that a
    /// signature takes as many bytes as stock's. `block_size` is `-B`; `digest` the length of the
    /// whole sum; `redo` asks for all of it.
    pub fn for_size(
        size: u64,
        block_size: Option<u32>,
        digest: usize,
        compression: Compression,
        redo: bool,
    ) -> Self {
        let longest = if compression == Compression::Zlib { LONGEST_ZLIB_BLOCK } else { LONGEST_BLOCK };
        let asked = block_size.filter(|block| *block > 0);
        let block = asked.unwrap_or_else(|| block_for(size)).min(longest);
        let Ok(count) = i32::try_from(size.div_ceil(u64::from(block))) else {
            return Self::default();
        };
        let longest = digest.min(LONGEST_STRONG);
        // `--checksum-choice=none`: a client that is sent blocks then ends with 4.
        if count == 0 || longest < SHORTEST_STRONG {
            return Self::default();
        }
        let strong = if redo { longest } else { strong_for(size, block).min(longest) };
        Self {
            count: count.unsigned_abs(),
            block,
            strong: strong as u32,
            remainder: (size % u64::from(block)) as u32,
        }
    }

    /// Reads the echo and bounds it. `digest` is the length of the session's block sums.
    pub fn read(input: &mut dyn Take, digest: usize) -> Result<Self, Error> {
        let mut field = |what: &str, max: u64| {
            let value = input.int()?;
            u32::try_from(value)
                .ok()
                .filter(|value| u64::from(*value) <= max)
                .ok_or_else(|| Error::protocol(format!("sum head: {what} {value}")))
        };
        let count = field("count", i32::MAX as u64)?;
        let block = field("block length", u64::from(ECHOED_BLOCK))?;
        let strong = field("sum length", digest as u64)?;
        let remainder = field("remainder", u64::from(block))?;
        if count > 0 && block == 0 {
            return Err(Error::protocol("sum head: blocks of no length"));
        }
        Ok(Self { count, block, strong, remainder })
    }

    /// Appends the head as on the wire.
    pub fn put(&self, out: &mut Vec<u8>) {
        for field in [self.count, self.block, self.strong, self.remainder] {
            put_int(out, field.cast_signed());
        }
    }

    /// Where block `n` begins and how long it is.
    pub fn block(&self, n: u32) -> Option<(u64, u32)> {
        self.run(n, 1).map(|(from, length)| (from, length as u32))
    }

    /// Where `count` blocks from `first` on begin and how long they are together.
    pub fn run(&self, first: u32, count: u32) -> Option<(u64, u64)> {
        let end = first.checked_add(count).filter(|end| *end <= self.count && count > 0)?;
        let from = u64::from(first) * u64::from(self.block);
        let to = if end == self.count { self.bytes() } else { u64::from(end) * u64::from(self.block) };
        Some((from, to - from))
    }

    /// Bytes of the basis.
    pub fn bytes(&self) -> u64 {
        let all = u64::from(self.count) * u64::from(self.block);
        if self.count == 0 || self.remainder == 0 {
            all
        } else {
            all - u64::from(self.block - self.remainder.min(self.block))
        }
    }
}

/// The root of the size, down to a multiple of 8.
fn block_for(size: u64) -> u32 {
    if size <= u64::from(SMALLEST_BLOCK) * u64::from(SMALLEST_BLOCK) {
        return SMALLEST_BLOCK;
    }
    u32::try_from(size.isqrt() & !7).unwrap_or(LONGEST_BLOCK).clamp(SMALLEST_BLOCK, LONGEST_BLOCK)
}

/// Bytes that keep a false match unlikely over all pairs of places and blocks, the rolling sum's
/// 32 bits counted in.
fn strong_for(size: u64, block: u32) -> usize {
    let bits = (BIAS + 2 * u64::from(size.ilog2())).saturating_sub(u64::from(block.ilog2()));
    let bytes = (bits + 1).saturating_sub(32).div_ceil(8);
    (bytes as usize).clamp(SHORTEST_STRONG, LONGEST_STRONG)
}

/// Bytes of a basis read at once; blocks are never split.
const READ_BYTES: usize = 256 << 10;
/// Bytes of a signature handed on at once: below a frame of ours.
const PIECE_BYTES: usize = 16 << 10;

/// Signs a basis, handing the bytes of the signature on in pieces of at most 16 KiB (memory stays
/// at one buffer).
pub fn sign(
    basis: &dyn Basis,
    head: &SumHead,
    sum: &BlockSum,
    out: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let block = (head.block as usize).max(1);
    let window = (READ_BYTES / block).max(1) * block;
    let size = head.bytes();
    let mut buffer = vec![0; window.min(usize::try_from(size).unwrap_or(window))];
    let strong = head.strong as usize;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut at = 0;
    while at < size {
        let wanted = usize::try_from(size - at).unwrap_or(window).min(buffer.len());
        let Some(read) = buffer.get_mut(..wanted) else { break };
        basis.read_at(read, at).map_err(unreadable)?;
        for block in read.chunks(block) {
            if piece.len() + 4 + strong > PIECE_BYTES {
                out(&piece)?;
                piece.clear();
            }
            piece.extend_from_slice(&rolling(block).to_le_bytes());
            sum.sum(block, &mut piece, strong);
        }
        at += wanted as u64;
    }
    if piece.is_empty() { Ok(()) } else { out(&piece) }
}

fn unreadable(error: std::io::Error) -> Error {
    let exit = super::error::Exit::FileIo;
    Error::new(
        exit,
        format!("no se puede leer lo que ya estaba: {error}"),
        format!("what we hold cannot be read: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::checksum::Algorithm;
    use super::*;

    /// What stock 3.5.0 prints with `--no-W --debug=deltasum2` for files of these sizes.
    const STOCK: [(u64, [u32; 4]); 16] = [
        (1, [1, 700, 2, 1]),
        (699, [1, 700, 2, 699]),
        (700, [1, 700, 2, 0]),
        (701, [2, 700, 2, 1]),
        (1_400, [2, 700, 2, 0]),
        (100_000, [143, 700, 2, 600]),
        (490_000, [700, 700, 2, 0]),
        (490_001, [701, 700, 2, 1]),
        (495_616, [704, 704, 2, 0]),
        (495_617, [705, 704, 2, 1]),
        (1_000_000, [1000, 1000, 2, 0]),
        (10_000_000, [3165, 3160, 2, 1760]),
        (33_554_432, [5794, 5792, 3, 1376]),
        (35_000_000, [5921, 5912, 3, 960]),
        (134_217_728, [11_587, 11_584, 3, 5504]),
        (1_073_741_824, [32_768, 32_768, 3, 0]),
    ];

    #[test]
    fn sizes_are_those_of_stock_rsync() {
        for (size, [count, block, strong, remainder]) in STOCK {
            let head = SumHead { count, block, strong, remainder };
            assert_eq!(SumHead::for_size(size, None, 16, Compression::None, false), head, "{size} bytes");
            assert_eq!(SumHead::for_size(size, None, 8, Compression::None, true).strong, 8);
            assert_eq!(SumHead::for_size(size, None, 20, Compression::None, true).strong, 16);
        }
        assert_eq!(SumHead::for_size(0, None, 16, Compression::None, false), SumHead::default());
        assert_eq!(
            SumHead::for_size(10_000, None, Algorithm::None.len(), Compression::None, false),
            SumHead::default()
        );
    }

    proptest! {
        #[test]
        fn blocks_tile_the_basis(size in 0_u64..5_000_000_000, asked in proptest::option::of(1_u32..200_000)) {
            let head = SumHead::for_size(size, asked, 16, Compression::None, false);
            prop_assert_eq!(head.bytes(), size);
            prop_assert!(head.block <= 65_535);
            if let Some(last) = head.count.checked_sub(1) {
                let (from, length) = head.block(last).unwrap();
                prop_assert_eq!(from + u64::from(length), size);
                prop_assert_eq!(head.run(0, head.count), Some((0, size)));
            }
            prop_assert_eq!(head.block(head.count), None);
            prop_assert_eq!(head.run(0, head.count.saturating_add(1)), None);
            prop_assert_eq!(head.run(u32::MAX, u32::MAX), None);
            let mut wire = Vec::new();
            head.put(&mut wire);
            prop_assert_eq!(SumHead::read(&mut &wire[..], 16).unwrap(), head);
        }

        #[test]
        fn no_head_panics(fields in proptest::array::uniform4(any::<i32>()), first: u32, count: u32) {
            let wire: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            if let Ok(head) = SumHead::read(&mut &wire[..], 16) {
                head.run(first, count);
            }
        }
    }

    /// What -B asks for too, and bases above 1 GiB.
    #[test]
    fn blocks_for_old_zlib_fit_the_senders_buffer() {
        for (size, asked) in [(10 << 20, Some(131_072)), (10 << 20, Some(32_769)), (6 << 30, None)] {
            let head = SumHead::for_size(size, asked, 16, Compression::Zlib, false);
            assert_eq!((head.block, head.bytes()), (32_768, size), "{size} {asked:?}");
            let head = SumHead::for_size(size, asked, 16, Compression::Zlibx, false);
            assert!(head.block > 32_768, "only where matched blocks are deflated");
        }
    }

    #[test]
    fn heads_out_of_bounds_break_the_protocol() {
        let read = |fields: [i32; 4]| {
            let wire: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            SumHead::read(&mut &wire[..], 16)
        };
        for bad in [
            [-1, 700, 16, 0],
            [1, -1, 16, 0],
            [1, 1 << 30, 16, 0],
            [1, 700, 17, 0],
            [1, 700, 255, 0],
            [1, 700, -1, 0],
            [1, 700, 16, 701],
            [1, 700, 16, -1],
            [1, 0, 16, 0],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read([i32::MAX, 1 << 29, 16, 1 << 29]).is_ok());
        assert!(SumHead::read(&mut &[0; 15][..], 16).is_err());
    }

    struct Held(Vec<u8>);
    impl Basis for Held {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
            let from = offset as usize;
            buffer.copy_from_slice(
                self.0.get(from..from + buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?,
            );
            Ok(())
        }
    }

    #[test]
    fn a_signature_is_a_sum_per_block_in_small_pieces() {
        for size in [0, 1, 700, 701, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 1_000_000] {
            let held = Held((0..size).map(|n| (n * n / 7) as u8).collect());
            let head = SumHead::for_size(held.size(), None, 16, Compression::None, true);
            let sum = BlockSum::new(Algorithm::Xxh128, 5, true);
            let mut whole = Vec::new();
            sign(&held, &head, &sum, &mut |piece| {
                assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                whole.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
            let mut expected = Vec::new();
            for block in held.0.chunks(700.max(head.block as usize)) {
                expected.extend_from_slice(&rolling(block).to_le_bytes());
                sum.sum(block, &mut expected, 16);
            }
            assert!(whole == expected, "{size} bytes");
        }
    }

    #[test]
    fn a_basis_that_shrank_is_an_error() {
        let head = SumHead::for_size(1000, None, 16, Compression::None, false);
        let sum = BlockSum::new(Algorithm::Xxh3, 5, true);
        let error = sign(&Held(vec![0; 999]), &head, &sum, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.exit, super::super::error::Exit::FileIo);
    }
}
