//! Damage of small packages, exhaustively (K4): each flipped bit is refused or changes
//! nothing that readers see; each missing tail is `Truncated`; nothing panics.

use proptest::prelude::*;

use super::build::{Item, Tar, zip, zip_with, zip64, zstd};
use super::*;

fn small_tar() -> Tar {
    Tar::site().entry("assets/", b'5').file("assets/avance.json", b"{\"actasCapturadas\":\"2136\"}")
}

fn small_zip() -> [Item; 3] {
    let page = Item::deflated("index.html", b"<html><base href=\"/\">");
    let streamed =
        Item::deflated("avance.json", b"{\"actasCapturadas\":\"2136\",\"actasCapturadas\":\"2136\"}");
    let tail = streamed.descriptor();
    [page, Item::stored("a/x.csv", b"1|2"), streamed.streamed(tail)]
}

/// Flips every bit in turn. Gives how many flips were accepted.
fn flip_all(name: &str, bytes: &[u8]) -> usize {
    let whole = judge(name, bytes, &Limits::default()).unwrap().1;
    let mut accepted = 0;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok((_, memory)) = judge(name, &damaged, &Limits::default()) {
            assert_eq!(memory.files(), whole.files(), "{name}, bit {bit}");
            accepted += 1;
        }
    }
    accepted
}

fn cut_all(name: &str, bytes: &[u8]) {
    for length in 0..bytes.len() {
        let found = judge(name, &bytes[..length], &Limits::default()).err().map(|refusal| refusal.reason);
        assert_eq!(found, Some(Reason::Truncated), "{name}, {length} of {} bytes", bytes.len());
    }
}

#[test]
fn no_flipped_bit_of_a_tar_gz_is_published() {
    // What may pass is the header's time, its hints and its system: 8 + 48 bits or so.
    assert!(flip_all("p.tar.gz", &small_tar().gz()) <= 64);
}

#[test]
fn no_flipped_bit_of_a_zip_is_published() {
    flip_all("p.zip", &zip(&small_zip()));
    flip_all("p.zip", &zip64(&small_zip()[..2]));
}

#[test]
fn no_flipped_bit_of_a_tar_zst_is_published() {
    flip_all("p.tar.zst", &zstd(&small_tar().end()));
}

#[test]
fn every_cut_tail_is_told_as_truncated() {
    cut_all("p.tar.gz", &small_tar().gz());
    cut_all("p.tar.zst", &zstd(&small_tar().end()));
    cut_all("p.zip", &zip(&small_zip()));
    cut_all("p.zip", &zip_with(&small_zip(), b"PREP 2024"));
    cut_all("p.zip", &zip64(&small_zip()));
    let nested = Item::stored("datos.zip", &zip(&small_zip()));
    cut_all("p.zip", &zip(&[nested.clone(), Item { name: b"2.zip".to_vec(), ..nested }]));
    let tar = small_tar().end();
    cut_all("p.tar", &tar);
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        name in prop::sample::select(vec!["p.tar.gz", "p.tar", "p.tar.zst", "p.zip"]),
    ) {
        let _ = judge(name, &bytes, &Limits::default());
        for format in [Format::TarGz, Format::Tar, Format::TarZst] {
            let _ = push(format, &bytes, 97, &Limits::default());
        }
    }

    #[test]
    fn mutated_archives_never_panic(
        at in 0_usize..4000,
        patch in proptest::collection::vec(any::<u8>(), 1..9),
        remove in 0_usize..5,
    ) {
        for (name, mut bytes) in [
            ("p.tar", small_tar().pax(&[("path", "a/b")]).file("x", b"y").end()),
            ("p.zip", zip(&small_zip())),
            ("p.zip", zip64(&small_zip())),
        ] {
            let at = at % bytes.len();
            let to = (at + remove).min(bytes.len());
            bytes.splice(at..to, patch.iter().copied());
            let _ = agreed(name, &bytes, &Limits::default());
        }
    }
}
