//! DEFLATE (RFC 1951), written here so that its output can never change.
//!
//! A compressor from a library may find other matches on another processor, with
//! another back end chosen by feature unification, or after an update: all correct,
//! none byte-identical. This one is 300 lines of integer arithmetic without a choice
//! that depends on anything but its input.
//!
//! It writes *fragments*: whole blocks that end on a byte boundary and refer to nothing
//! before them. Fragments made once (of files that never change) are joined to fresh
//! ones by copying, which is what makes a 33 MB package in milliseconds.

#![expect(
    clippy::indexing_slicing,
    reason = "tables of fixed size, indexed by values masked or bounded a line above; input is our own"
)]

/// How hard to look for matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Not at all: images, fonts and archives are random already.
    Store,
    /// Huffman codes only: base64 text has no repetitions, but six bits in eight.
    Entropy,
    /// Matches and Huffman codes.
    Match,
}

/// Appends the fragment of `input` to `out`. Empty input appends nothing.
pub(super) fn fragment(input: &[u8], effort: Effort, out: &mut Vec<u8>) {
    if input.is_empty() {
        return;
    }
    if effort == Effort::Store {
        return stored(input, out);
    }
    let mut bits = Bits { out, hold: 0, count: 0 };
    let mut finder = (effort == Effort::Match).then(|| Finder::new(input));
    let mut block = Block::default();
    let mut at = 0;
    while at < input.len() {
        let found = finder.as_mut().and_then(|f| f.step(at));
        match found {
            Some((length, distance)) => {
                block.copy(length, distance);
                at += length;
            }
            None => {
                block.literal(input[at]);
                at += 1;
            }
        }
        if block.tokens.len() == BLOCK_TOKENS || at >= input.len() {
            block.write(&input[block.start..at], &mut bits);
            block = Block { start: at, ..Block::default() };
        }
    }
    bits.align();
}

/// The end of a deflate stream: an empty stored block marked as the last.
pub(super) const END: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Blocks that hold the bytes as they are.
fn stored(input: &[u8], out: &mut Vec<u8>) {
    for chunk in input.chunks(STORED_MAX) {
        let len = chunk.len() as u16;
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(chunk);
    }
}

/// Finds earlier copies of what comes next, by chains of equal hashes.
struct Finder<'a> {
    input: &'a [u8],
    /// Newest position of each hash, plus one; zero is none.
    head: Vec<u32>,
    /// The position before, of the same hash, plus one.
    prev: Vec<u32>,
    /// First position that is not in the chains yet.
    next: usize,
}

impl<'a> Finder<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self { input, head: vec![0; 1 << HASH_BITS], prev: vec![0; WINDOW], next: 0 }
    }

    /// The match to take at `at`, unless the next byte begins a longer one.
    fn step(&mut self, at: usize) -> Option<(usize, usize)> {
        let here = self.longest(at)?;
        if here.0 < LAZY_BELOW && self.longest(at + 1).is_some_and(|next| next.0 > here.0) {
            return None;
        }
        Some(here)
    }

    fn longest(&mut self, at: usize) -> Option<(usize, usize)> {
        let hash = self.hash(at)?;
        self.insert_to(at);
        let mut candidate = self.head[hash];
        let mut best = (MIN_MATCH - 1, 0);
        for _ in 0..CHAIN_MAX {
            let Some(from) = (candidate as usize).checked_sub(1) else { break };
            // Positions are inserted in order, so a candidate may lie ahead after a
            // look at the next byte; such a one ends no chain, it is passed over.
            if from < at {
                if at - from > WINDOW - 1 {
                    break;
                }
                let length = self.common(from, at);
                if length > best.0 {
                    best = (length, at - from);
                    if length >= GOOD_ENOUGH {
                        break;
                    }
                }
            }
            let older = self.prev[from % WINDOW];
            if older >= candidate {
                break;
            }
            candidate = older;
        }
        (best.0 >= MIN_MATCH).then_some(best)
    }

    fn hash(&self, at: usize) -> Option<usize> {
        let word = self.input.get(at..at + 4)?;
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        Some((word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
    }

    /// Puts every position before `at` into its chain.
    fn insert_to(&mut self, at: usize) {
        while self.next < at {
            if let Some(hash) = self.hash(self.next) {
                self.prev[self.next % WINDOW] = self.head[hash];
                self.head[hash] = self.next as u32 + 1;
            }
            self.next += 1;
        }
    }

    fn common(&self, from: usize, at: usize) -> usize {
        let limit = (self.input.len() - at).min(MATCH_MAX);
        let (a, b) = (&self.input[from..from + limit], &self.input[at..at + limit]);
        let mut length = 0;
        for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
            if x != y {
                break;
            }
            length += 8;
        }
        length + a[length..].iter().zip(&b[length..]).take_while(|(x, y)| x == y).count()
    }
}

/// What one block will say, and how often each symbol comes.
struct Block {
    /// Where in the input it begins.
    start: usize,
    /// A literal, or `length << 16 | distance`.
    tokens: Vec<u32>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

impl Default for Block {
    fn default() -> Self {
        let mut literals = [0; LITERALS];
        literals[END_OF_BLOCK] = 1;
        Self { start: 0, tokens: Vec::new(), literals, distances: [0; DISTANCES] }
    }
}

impl Block {
    fn literal(&mut self, byte: u8) {
        self.tokens.push(u32::from(byte));
        self.literals[usize::from(byte)] += 1;
    }

    fn copy(&mut self, length: usize, distance: usize) {
        self.tokens.push((length as u32) << 16 | distance as u32);
        self.literals[length_code(length).0] += 1;
        self.distances[distance_code(distance).0] += 1;
    }

    /// Writes the block in the shortest of the three ways.
    fn write(&self, raw: &[u8], bits: &mut Bits<'_>) {
        let fixed = Codes::fixed();
        let dynamic = Codes::fitted(&self.literals, &self.distances);
        let header = dynamic.header();
        let extra = self.extra_bits();
        let fixed_size = fixed.cost(self) + extra;
        let dynamic_size = dynamic.cost(self) + extra + header.cost();
        if (raw.len() as u64 + 8) * 8 < fixed_size.min(dynamic_size) {
            // The three header bits of a stored block, the last block's tail aligned first.
            bits.align();
            stored(raw, bits.out);
        } else if fixed_size <= dynamic_size {
            bits.put(0b010, 3);
            self.write_tokens(&fixed, bits);
        } else {
            bits.put(0b100, 3);
            header.write(bits);
            self.write_tokens(&dynamic, bits);
        }
    }

    fn extra_bits(&self) -> u64 {
        let lengths = self.literals.iter().skip(257).zip(LENGTHS).map(|(n, (_, extra))| n * u32::from(extra));
        let distances = self.distances.iter().zip(DISTANCE_BASES).map(|(n, (_, extra))| n * u32::from(extra));
        lengths.chain(distances).map(u64::from).sum()
    }

    fn write_tokens(&self, codes: &Codes, bits: &mut Bits<'_>) {
        for &token in &self.tokens {
            let (length, distance) = ((token >> 16) as usize, (token & 0xffff) as usize);
            if length == 0 {
                codes.literals.put(distance, bits);
                continue;
            }
            let (symbol, value, extra) = length_code(length);
            codes.literals.put(symbol, bits);
            bits.put(value, extra);
            let (symbol, value, extra) = distance_code(distance);
            codes.distances.put(symbol, bits);
            bits.put(value, extra);
        }
        codes.literals.put(END_OF_BLOCK, bits);
    }
}

/// The two codes of a block.
struct Codes {
    literals: Code,
    distances: Code,
}

impl Codes {
    /// RFC 1951 §3.2.6.
    fn fixed() -> Self {
        let literals = (0..288).map(|symbol| match symbol {
            0..=143 => 8,
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        });
        Self { literals: Code::of(literals.collect()), distances: Code::of(vec![5; DISTANCES]) }
    }

    fn fitted(literals: &[u32], distances: &[u32]) -> Self {
        Self { literals: Code::of(lengths(literals, 15)), distances: Code::of(lengths(distances, 15)) }
    }

    fn cost(&self, block: &Block) -> u64 {
        self.literals.cost(&block.literals) + self.distances.cost(&block.distances)
    }

    /// RFC 1951 §3.2.7: the code lengths, themselves run-length and Huffman coded.
    fn header(&self) -> Header {
        let used = |code: &Code, least: usize| {
            code.lengths.iter().rposition(|&l| l != 0).map_or(least, |last| (last + 1).max(least))
        };
        let (literals, distances) = (used(&self.literals, 257), used(&self.distances, 1));
        let all = [&self.literals.lengths[..literals], &self.distances.lengths[..distances]].concat();
        let runs = run_lengths(&all);
        let mut counts = [0; 19];
        runs.iter().for_each(|&(symbol, _, _)| counts[symbol] += 1);
        Header { literals, distances, runs, code: Code::of(lengths(&counts, 7)) }
    }
}

/// The head of a block with its own codes.
struct Header {
    literals: usize,
    distances: usize,
    /// Symbol, value of its extra bits, how many of them.
    runs: Vec<(usize, u32, u8)>,
    code: Code,
}

impl Header {
    fn sent(&self) -> usize {
        ORDER.iter().rposition(|&symbol| self.code.lengths[symbol] != 0).map_or(4, |last| (last + 1).max(4))
    }

    fn cost(&self) -> u64 {
        let runs = self.runs.iter().map(|&(symbol, _, extra)| u64::from(self.code.lengths[symbol] + extra));
        14 + 3 * self.sent() as u64 + runs.sum::<u64>()
    }

    fn write(&self, bits: &mut Bits<'_>) {
        bits.put(self.literals as u32 - 257, 5);
        bits.put(self.distances as u32 - 1, 5);
        bits.put(self.sent() as u32 - 4, 4);
        for &symbol in &ORDER[..self.sent()] {
            bits.put(u32::from(self.code.lengths[symbol]), 3);
        }
        for &(symbol, value, extra) in &self.runs {
            self.code.put(symbol, bits);
            bits.put(value, extra);
        }
    }
}

fn run_lengths(lengths: &[u8]) -> Vec<(usize, u32, u8)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < lengths.len() {
        let length = lengths[at];
        let run = lengths[at..].iter().take_while(|&&l| l == length).count();
        at += match (length, run) {
            (0, 11..) => {
                let run = run.min(138);
                runs.push((18, run as u32 - 11, 7));
                run
            }
            (0, 3..) => {
                runs.push((17, run as u32 - 3, 3));
                run
            }
            (_, 4..) => {
                let again = (run - 1).min(6);
                runs.push((usize::from(length), 0, 0));
                runs.push((16, again as u32 - 3, 2));
                again + 1
            }
            _ => {
                runs.push((usize::from(length), 0, 0));
                1
            }
        };
    }
    runs
}

/// A canonical Huffman code (RFC 1951 §3.2.2).
struct Code {
    lengths: Vec<u8>,
    /// Bits of each symbol, reversed: the most significant goes out first.
    words: Vec<u16>,
}

impl Code {
    fn of(lengths: Vec<u8>) -> Self {
        let mut next = [0_u16; 17];
        for &length in lengths.iter().filter(|&&l| l != 0) {
            next[usize::from(length) + 1] += 1;
        }
        for length in 1..17 {
            next[length] = (next[length] + next[length - 1]) << 1;
        }
        let words = lengths.iter().map(|&length| {
            if length == 0 {
                return 0;
            }
            let word = next[usize::from(length)];
            next[usize::from(length)] += 1;
            word.reverse_bits() >> (16 - length)
        });
        let words = words.collect();
        Self { lengths, words }
    }

    fn put(&self, symbol: usize, bits: &mut Bits<'_>) {
        bits.put(u32::from(self.words[symbol]), self.lengths[symbol]);
    }

    fn cost(&self, counts: &[u32]) -> u64 {
        counts.iter().zip(&self.lengths).map(|(&n, &length)| u64::from(n) * u64::from(length)).sum()
    }
}

/// Huffman's lengths for these counts, none above `limit`. At least two symbols get a
/// code, so that it is complete and every reader accepts it.
fn lengths(counts: &[u32], limit: usize) -> Vec<u8> {
    let mut leaves: Vec<(u32, usize)> =
        counts.iter().enumerate().filter(|&(_, &n)| n != 0).map(|(symbol, &n)| (n, symbol)).collect();
    let unused = counts.iter().enumerate().filter(|&(_, &n)| n == 0).map(|(symbol, _)| (1, symbol));
    leaves.extend(unused.take(2_usize.saturating_sub(leaves.len())));
    leaves.sort_unstable();
    let mut per_length = count_depths(&leaves, limit);
    shorten(&mut per_length, limit);
    // The rarest symbols get the longest words.
    let mut lengths = vec![0; counts.len()];
    let mut rarest = leaves.iter();
    for length in (1..=limit).rev() {
        for (_, symbol) in rarest.by_ref().take(per_length[length]) {
            lengths[*symbol] = length as u8;
        }
    }
    lengths
}

/// How many leaves lie at each depth of the Huffman tree; deeper ones count at `limit`.
fn count_depths(leaves: &[(u32, usize)], limit: usize) -> Vec<usize> {
    // Leaves first, then inner nodes in the order they are made: both ascending.
    let mut weights: Vec<u32> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut parents = vec![0; 2 * leaves.len() - 1];
    let (mut leaf, mut inner) = (0, leaves.len());
    while weights.len() < parents.len() {
        let mut sum = 0;
        for _ in 0..2 {
            let take_leaf =
                leaf < leaves.len() && (inner >= weights.len() || weights[leaf] <= weights[inner]);
            let taken = if take_leaf { &mut leaf } else { &mut inner };
            parents[*taken] = weights.len();
            sum += weights[*taken];
            *taken += 1;
        }
        weights.push(sum);
    }
    let mut depths = vec![0_usize; parents.len()];
    let mut per_length = vec![0; limit + 1];
    for node in (0..parents.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
        if node < leaves.len() {
            per_length[depths[node].min(limit)] += 1;
        }
    }
    per_length
}

/// Makes room for the words that were cut to the limit, by lengthening others.
fn shorten(per_length: &mut [usize], limit: usize) {
    let mut room: usize = (1..=limit).map(|length| per_length[length] << (limit - length)).sum();
    while room > 1 << limit {
        per_length[limit] -= 1;
        let longer = (1..limit).rev().find(|&length| per_length[length] != 0).unwrap_or(1);
        per_length[longer] -= 1;
        per_length[longer + 1] += 2;
        room -= 1;
    }
}

fn length_code(length: usize) -> (usize, u32, u8) {
    let at = LENGTHS.partition_point(|&(base, _)| usize::from(base) <= length) - 1;
    let (base, extra) = LENGTHS[at];
    (257 + at, (length - usize::from(base)) as u32, extra)
}

fn distance_code(distance: usize) -> (usize, u32, u8) {
    let at = DISTANCE_BASES.partition_point(|&(base, _)| usize::from(base) <= distance) - 1;
    let (base, extra) = DISTANCE_BASES[at];
    (at, (distance - usize::from(base)) as u32, extra)
}

/// Bits on their way out, least significant first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    hold: u64,
    count: u8,
}

impl Bits<'_> {
    fn put(&mut self, value: u32, bits: u8) {
        self.hold |= u64::from(value) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.out.push(self.hold as u8);
            self.hold >>= 8;
            self.count -= 8;
        }
    }

    /// Ends on a byte boundary: an empty stored block, where one is needed.
    fn align(&mut self) {
        if self.count == 0 {
            return;
        }
        self.put(0, 3);
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.out.extend_from_slice(&[0, 0, 0xff, 0xff]);
    }
}

const WINDOW: usize = 1 << 15;
const HASH_BITS: u32 = 14;
/// Shorter copies cost more than the literals they replace.
const MIN_MATCH: usize = 4;
const MATCH_MAX: usize = 258;
/// A copy this long is taken without looking at the next byte.
const LAZY_BELOW: usize = 24;
/// A copy this long ends the search.
const GOOD_ENOUGH: usize = 96;
/// How many earlier places are tried.
const CHAIN_MAX: usize = 12;
/// Tokens in a block: about what zlib's default holds.
const BLOCK_TOKENS: usize = 1 << 14;
const STORED_MAX: usize = 0xffff;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const END_OF_BLOCK: usize = 256;
/// Order in which the lengths of the code-length code are sent (RFC 1951 §3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Shortest length and extra bits of symbols 257… (RFC 1951 §3.2.5).
#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1),
    (19, 2), (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4),
    (115, 4), (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
];
/// Shortest distance and extra bits of the distance symbols (RFC 1951 §3.2.5).
#[rustfmt::skip]
const DISTANCE_BASES: [(u16, u8); DISTANCES] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4),
    (65, 5), (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9),
    (2049, 10), (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::random::Stream;
    use super::*;

    fn round_trip(input: &[u8], effort: Effort) -> usize {
        let mut out = Vec::new();
        fragment(input, effort, &mut out);
        let packed = out.len();
        out.extend_from_slice(&END);
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, input);
        packed
    }

    #[test]
    fn every_reader_gets_back_what_went_in() {
        let mut stream = Stream::new(7, "deflate", "inputs");
        for len in [0, 1, 2, 3, 4, 5, 8, 257, 258, 259, 65_535, 65_536, 200_000] {
            for alphabet in [1, 2, 5, 64, 256] {
                let input: Vec<u8> = (0..len).map(|_| stream.below(alphabet) as u8).collect();
                for effort in [Effort::Store, Effort::Entropy, Effort::Match] {
                    round_trip(&input, effort);
                }
            }
        }
    }

    #[test]
    fn codes_stay_within_fifteen_bits() {
        // Fibonacci counts make the deepest tree there is.
        let (mut a, mut b) = (1_u32, 1_u32);
        let counts: Vec<u32> = (0..40)
            .map(|_| {
                (a, b) = (b, a + b);
                a
            })
            .collect();
        let lengths = lengths(&counts, 15);
        assert_eq!(lengths.iter().map(|&l| 1_u64 << (15 - l)).sum::<u64>(), 1 << 15);
    }

    #[test]
    fn repetitions_and_small_alphabets_shrink() {
        assert!(round_trip(&vec![0; 1 << 20], Effort::Match) < 2500);
        let mut stream = Stream::new(7, "deflate", "base64");
        let input: Vec<u8> = (0..1 << 18).map(|_| b'A' + stream.below(16) as u8).collect();
        assert!(round_trip(&input, Effort::Entropy) < (1 << 17) + 4000);
    }

    #[test]
    fn fragments_join_into_one_stream() {
        let mut out = Vec::new();
        for part in [&b"corte 20:15, corte 20:30"[..], b"", b"x", &[7; 100_000]] {
            fragment(part, Effort::Match, &mut out);
        }
        out.extend_from_slice(&END);
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back.len(), 24 + 1 + 100_000);
    }

    #[test]
    fn the_bytes_never_change() {
        let text = "ACTAS_ESPERADAS|ACTAS_REGISTRADAS|ACTAS_CAPTURADAS\n".repeat(40);
        let mut out = Vec::new();
        fragment(text.as_bytes(), Effort::Match, &mut out);
        assert_eq!(crate::model::Digest::of(&out).short(), "d884c661");
    }
}
