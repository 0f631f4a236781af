//! Replays the corpora of the fuzz targets, whole, cut and turned, without a fuzzing engine.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;

#[test]
fn no_corpus_of_a_fuzz_target_panics() {
    for (name, body) in bodies::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files = 0;
        for file in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            files += 1;
            let bytes = std::fs::read(file.path()).unwrap();
            body(&bytes);
            for at in 0..bytes.len() {
                body(&bytes[..at]);
                let mut turned = bytes.clone();
                for value in [bytes[at] ^ 0x80, bytes[at] ^ 1, 0xff, 0] {
                    turned[at] = value;
                    body(&turned);
                }
            }
        }
        assert!(files > 2, "{name} has {files} files");
    }
}
