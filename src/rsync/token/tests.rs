//! Tokens as senders pack them, and as they should not.

use proptest::prelude::*;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

use super::*;

const ALL: [Compression; 5] = Compression::OFFERED;
const HEAD: SumHead = SumHead { count: 10, block: 700, strong: 2, remainder: 300 };

#[derive(Debug, PartialEq, Eq, Clone)]
enum Seen {
    Bytes(Vec<u8>),
    Blocks(u32, u32),
}

/// Reads one file of `wire`; neighbouring literals are joined.
fn read_with(decoder: &mut Decoder, input: &mut Input<&[u8]>, head: &SumHead) -> Result<Vec<Seen>, Error> {
    decoder.begin(head);
    let mut seen = Vec::new();
    loop {
        let token = match decoder.next(input)? {
            Token::End => return Ok(seen),
            Token::Literal(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= PIECE_BYTES);
                Seen::Bytes(bytes.to_vec())
            }
            Token::Blocks { first, count } => Seen::Blocks(first, count),
        };
        match (seen.last_mut(), token) {
            (Some(Seen::Bytes(before)), Seen::Bytes(more)) => before.extend(more),
            (_, token) => seen.push(token),
        }
    }
}

fn read(compression: Compression, wire: &[u8], limits: &Limits) -> Result<Vec<Seen>, Error> {
    read_with(&mut Decoder::new(compression, limits), &mut Input::new(wire), &HEAD)
}

fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn chunk(packed: &[u8], out: &mut Vec<u8>) {
    for piece in packed.chunks(0x3fff) {
        out.extend([0x40 | (piece.len() >> 8) as u8, piece.len() as u8]);
        out.extend(piece);
    }
}

/// A sender's packer.
enum Packer {
    Deflate(flate2::Compress),
    Zstd(Encoder<'static>),
    Lz4,
}

impl Packer {
    fn new(compression: Compression) -> Self {
        match compression {
            Compression::Zstd => Self::Zstd(Encoder::new(3).unwrap()),
            Compression::Lz4 => Self::Lz4,
            _ => Self::Deflate(flate2::Compress::new(flate2::Compression::default(), false)),
        }
    }

    fn literal(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Deflate(deflate) => {
                let mut packed = Vec::with_capacity(bytes.len() * 2 + 1000);
                deflate.compress_vec(bytes, &mut packed, flate2::FlushCompress::Sync).unwrap();
                assert!(packed.ends_with(&FLUSH_END));
                packed.truncate(packed.len() - 4);
                chunk(&packed, out);
            }
            Self::Zstd(encoder) => {
                let mut packed = vec![0; bytes.len() * 2 + 1000];
                let mut to = OutBuffer::around(&mut packed[..]);
                encoder.run(&mut InBuffer::around(bytes), &mut to).unwrap();
                assert_eq!(encoder.flush(&mut to).unwrap(), 0);
                let made = to.pos();
                chunk(&packed[..made], out);
            }
            Self::Lz4 => bytes.chunks(16_000).for_each(|bytes| chunk(&lz4_flex::block::compress(bytes), out)),
        }
    }
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).flat_map(|n| (n * n).to_string().into_bytes()).take(bytes).collect()
}

#[test]
fn plain_tokens_are_literals_and_runs_of_blocks() {
    let mut wire = ints(&[3]);
    wire.extend(b"abc");
    wire.extend(ints(&[-1, -2, -3, -3, -10, 2]));
    wire.extend(b"de");
    wire.extend(ints(&[-5, 0, 99]));
    let mut input = Input::new(&wire[..]);
    let mut decoder = Decoder::new(Compression::None, &Limits::default());
    let seen = read_with(&mut decoder, &mut input, &HEAD).unwrap();
    let bytes = |bytes: &[u8]| Seen::Bytes(bytes.to_vec());
    let expected = [
        bytes(b"abc"),
        Seen::Blocks(0, 3),
        Seen::Blocks(2, 1),
        Seen::Blocks(9, 1),
        bytes(b"de"),
        Seen::Blocks(4, 1),
    ];
    assert_eq!(seen, expected);
    assert_eq!(input.int().unwrap(), 99, "nothing behind the end was taken");
}

#[test]
fn plain_literals_are_lent_from_the_inputs_buffer() {
    let mut wire = ints(&[100_000]);
    wire.extend(text(100_000));
    wire.extend(ints(&[0]));
    let mut input = Input::new(&wire[..]);
    let mut decoder = Decoder::new(Compression::None, &Limits::default());
    decoder.begin(&HEAD);
    let Token::Literal(lent) = decoder.next(&mut input).unwrap() else { panic!("a literal") };
    let lent = lent.as_ptr_range();
    assert!(lent.contains(&input.peek(1).unwrap().as_ptr()), "the same memory");
}

#[test]
fn every_codec_reads_what_its_packer_wrote_over_several_files() {
    for compression in [Compression::Zlibx, Compression::Zstd, Compression::Lz4] {
        let mut packer = Packer::new(compression);
        let mut wire = Vec::new();
        let long = text(300_000);
        for _ in 0..3 {
            if compression == Compression::Zlibx {
                packer = Packer::new(compression);
            }
            packer.literal(b"Durango", &mut wire);
            wire.extend([0x80 | 2, 0xc0 | 1, 3, 0]);
            packer.literal(&long, &mut wire);
            wire.extend([0x20, 9, 0, 0, 0, 0x21, 1, 0, 0, 0, 2, 0]);
            wire.push(0);
        }
        let mut input = Input::new(&wire[..]);
        let mut decoder = Decoder::new(compression, &Limits::default());
        for _ in 0..3 {
            let seen = read_with(&mut decoder, &mut input, &HEAD).unwrap();
            let expected = [
                Seen::Bytes(b"Durango".to_vec()),
                Seen::Blocks(2, 1),
                Seen::Blocks(3, 4),
                Seen::Bytes(long.clone()),
                Seen::Blocks(9, 1),
                Seen::Blocks(1, 3),
            ];
            assert!(seen == expected, "{compression:?}");
        }
    }
}

#[test]
fn tokens_that_the_basis_does_not_have_break_the_protocol() {
    let none = SumHead::default();
    for (compression, head, wire) in [
        (Compression::None, HEAD, ints(&[-11])),
        (Compression::None, HEAD, ints(&[-10, -11, 0])),
        (Compression::None, HEAD, ints(&[i32::MIN, 0])),
        (Compression::None, none, ints(&[-1, 0])),
        (Compression::Lz4, HEAD, vec![0x80 | 10, 0]),
        (Compression::Lz4, HEAD, vec![0xc0, 9, 0, 0xc0 | 1, 0, 0]),
        (Compression::Lz4, HEAD, vec![0xc0, 0xff, 0xff, 0]),
        (Compression::Lz4, HEAD, vec![0x20, 0xff, 0xff, 0xff, 0xff]),
        (Compression::Lz4, HEAD, vec![0x21, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff]),
        (Compression::Lz4, none, vec![0x80, 0]),
        (Compression::Lz4, HEAD, vec![0x3f]),
        (Compression::Lz4, HEAD, vec![0x22]),
    ] {
        let mut decoder = Decoder::new(compression, &Limits::default());
        let error = read_with(&mut decoder, &mut Input::new(&wire[..]), &head).unwrap_err();
        assert_eq!(error.exit, Exit::Protocol, "{wire:?}");
    }
}

#[test]
fn a_file_never_grows_beyond_its_limit() {
    let limits = Limits { file_bytes: 1_000_000, ..Limits::default() };
    for compression in [Compression::Zlibx, Compression::Zlib, Compression::Zstd] {
        let mut wire = Vec::new();
        Packer::new(compression).literal(&vec![0; 1_000_001], &mut wire);
        wire.push(0);
        assert!(wire.len() < 2000, "a bomb");
        let error = read(compression, &wire, &limits).unwrap_err();
        assert_eq!(error.en, "the file is longer than the limit of 1000000 bytes", "{compression:?}");
    }
    let limits = Limits { file_bytes: 6_600, ..limits };
    assert!(read(Compression::None, &ints(&[-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, 0]), &limits).is_ok());
    assert!(
        read(Compression::None, &ints(&[-10, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, 0]), &limits).is_err()
    );
    assert!(read(Compression::None, &ints(&[6_601]), &limits).is_err());
}

#[test]
fn an_lz4_block_is_no_bomb() {
    let mut wire = Vec::new();
    chunk(&lz4_flex::block::compress(&vec![0; PIECE_BYTES + 1]), &mut wire);
    assert_eq!(read(Compression::Lz4, &wire, &Limits::default()).unwrap_err().exit, Exit::Stream);
}

#[test]
fn a_zstd_window_above_the_limit_is_refused_with_what_to_do() {
    let mut encoder = Encoder::new(1).unwrap();
    encoder.set_parameter(CParameter::WindowLog(24)).unwrap();
    let mut wire = Vec::new();
    Packer::Zstd(encoder).literal(&text(1000), &mut wire);
    wire.push(0);
    let error = read(Compression::Zstd, &wire, &Limits::default()).unwrap_err();
    assert_eq!(error.en, "zstd's window is above the limit: use --compress-level=19 or lower");
    let wide = Limits { zstd_window_log: 24, ..Limits::default() };
    assert_eq!(read(Compression::Zstd, &wire, &wide).unwrap(), [Seen::Bytes(text(1000))]);
}

#[test]
fn a_deflate_stream_that_ends_is_damaged() {
    let mut packed = Vec::with_capacity(100);
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    deflate.compress_vec(b"abc", &mut packed, flate2::FlushCompress::Finish).unwrap();
    let mut wire = Vec::new();
    chunk(&packed, &mut wire);
    wire.push(0);
    assert_eq!(read(Compression::Zlibx, &wire, &Limits::default()).unwrap_err().exit, Exit::Stream);
}

#[test]
fn matched_blocks_pass_the_inflater_of_old_z_only() {
    for compression in ALL {
        let mut decoder = Decoder::new(compression, &Limits::default());
        assert_eq!(decoder.wants_blocks(), compression == Compression::Zlib);
        decoder.begin(&HEAD);
        decoder.saw_block(&text(200_000)).unwrap();
    }
}

#[test]
fn every_cut_is_an_error() {
    for compression in ALL {
        let mut wire = match compression {
            Compression::None => ints(&[7, 0x6172_7544, 0x0067_6e61]),
            _ => Vec::new(),
        };
        match compression {
            Compression::None => wire.truncate(11),
            _ => Packer::new(compression).literal(b"Durango", &mut wire),
        }
        wire.extend(if compression == Compression::None { ints(&[-3, 0]) } else { vec![0x82, 0] });
        assert!(read(compression, &wire, &Limits::default()).is_ok(), "{compression:?}");
        for cut in 0..wire.len() {
            assert!(read(compression, &wire[..cut], &Limits::default()).is_err(), "{compression:?} at {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_tokens_panic(wire in proptest::collection::vec(prop_oneof![any::<u8>(), 0x3f_u8..0x48, Just(0)], 0..400)) {
        let limits = Limits { file_bytes: 1 << 20, ..Limits::default() };
        for compression in ALL {
            let _ = read(compression, &wire, &limits);
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_other_bytes(at in 0_usize..3000, bit in 0_u8..8) {
        let limits = Limits { file_bytes: 1 << 20, ..Limits::default() };
        for compression in [Compression::Zlibx, Compression::Zlib, Compression::Zstd, Compression::Lz4] {
            let mut wire = Vec::new();
            Packer::new(compression).literal(&text(5000), &mut wire);
            wire.push(0);
            let at = at % wire.len();
            wire[at] ^= 1 << bit;
            let _ = read(compression, &wire, &limits);
        }
    }
}
