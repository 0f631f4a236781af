//! Trees as they are pushed: made of noise, the same at every run.

use std::fs;
use std::path::Path;

/// `files` files of about `bytes` bytes, a hundred a folder, names as sites have them.
pub fn make(at: &Path, files: usize, bytes: usize) {
    for n in 0..files {
        let folder = at.join(format!("acta/{:03}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("seccion-{n:06}.json")), noise(n as u64, bytes / 2 + n % bytes))
            .unwrap();
    }
}

/// Writes `part` files of a hundred anew, spread over all, and gives the time of each a second more.
pub fn change(at: &Path, files: usize, part: usize, round: u64) {
    for n in (0..files).filter(|n| n * part / 100 != (n + 1) * part / 100) {
        let file = at.join(format!("acta/{:03}/seccion-{n:06}.json", n / 100));
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].iter_mut().take(64).for_each(|byte| *byte = byte.wrapping_add(round as u8 + 1));
        fs::write(&file, bytes).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_780_000_000 + round);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    }
}

pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}
