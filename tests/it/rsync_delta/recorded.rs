//! What stock 3.5.0 once said, byte for byte, under `tests/data/rsync/`: replayed without a
//! client, whole, cut at every byte, and with bytes changed. Recorded anew with
//! `DIFUSOR_BLESS=1 cargo nextest run recordings`.

use std::io::sink;
use std::path::PathBuf;

use super::Night;
use super::peer::{Shop, replay};

/// Name and client's options: each codec, each old framing, each kind of sum once.
const TALKS: [(&str, &[&str]); 7] = [
    ("27-md4", &["--protocol=27"]),
    ("29-zlib", &["--protocol=29", "-z"]),
    ("30-md5-zlibx", &["--protocol=30", "--cc=md5", "--zc=zlibx"]),
    ("31-sha1-zlib", &["--protocol=31", "--cc=sha1", "--zc=zlib"]),
    ("32-xxh128", &["--protocol=32"]),
    ("32-xxh3-zstd", &["--protocol=32", "--cc=xxh3", "--zc=zstd"]),
    ("32-xxh64-lz4", &["--protocol=32", "--cc=xxh64", "--zc=lz4"]),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/rsync/delta-{name}.bin"))
}

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{}: {error}", path(name).display()))
}

#[test]
fn recordings_end_in_the_same_file() {
    let night = Night::small();
    for (name, args) in TALKS {
        if std::env::var_os("DIFUSOR_BLESS").is_some() {
            let done = night.push(&[args, &["--no-W"]].concat(), "", &Shop::default());
            night.arrived(name, &done);
            std::fs::write(path(name), &done.1.heard).unwrap();
        }
        let got = replay(&recorded(name)[..], sink(), &Shop::default(), &|name| night.held(name));
        assert!(got.error.is_none(), "{name}: {:?}", got.error);
        assert!(got.files[0].1 == night.new[0].1, "{name}");
        assert!(got.matched > got.literal, "{name}: {} of {}", got.literal, got.matched);
    }
}

#[test]
fn a_recording_cut_at_any_byte_gives_no_file() {
    let night = Night::small();
    for (name, _) in TALKS {
        let whole = recorded(name);
        let before_sum = whole.len().saturating_sub(60);
        for cut in 0..before_sum {
            let got = replay(&whole[..cut], sink(), &Shop::default(), &|name| night.held(name));
            assert!(got.error.is_some() && got.files.is_empty(), "{name} at {cut}");
        }
    }
}

#[test]
fn a_changed_recording_never_panics_nor_gives_other_bytes() {
    let night = Night::small();
    for (name, _) in TALKS {
        let whole = recorded(name);
        for at in (0..whole.len()).step_by(7) {
            for change in [0x01, 0x80, 0xff] {
                let mut said = whole.clone();
                said[at] ^= change;
                let got = replay(&said[..], sink(), &Shop::default(), &|name| night.held(name));
                for (_, bytes) in &got.files {
                    assert!(*bytes == night.new[0].1, "{name}: byte {at} ^ {change:#x} passed the sum");
                }
            }
        }
    }
}
