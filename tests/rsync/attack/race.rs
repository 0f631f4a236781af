//! Somebody who may write in the destination swaps a directory and a link that leads out, all the
//! time while pushes write below it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::arena::Arena;
use crate::tree::noise;
use crate::wire::list::sorted;
use crate::wire::{Entry, Session};

/// Ends the attack, also where the other side fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// CVE-2024-12747, CVE-2026-29518, CVE-2026-43619, CVE-2026-53785, CVE-2026-53793, CVE-2026-53795,
/// CVE-2026-53796, CVE-2026-53799.
#[test]
fn nothing_is_written_through_a_directory_that_turns_into_a_link() {
    let arena = Arena::new();
    std::fs::create_dir_all(arena.dest().join("d/e")).unwrap();
    std::os::unix::fs::symlink("../neighbour", arena.dest().join("l")).unwrap();
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (d, l) = (arena.dest().join("d"), arena.dest().join("l"));
            while !over.load(Ordering::Relaxed) {
                if renameat_with(CWD, &d, CWD, &l, RenameFlags::EXCHANGE).is_ok() {
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _over = Over(&over);
        let enough = |round: u64| round >= 200 && swaps.load(Ordering::Relaxed) >= 200;
        for round in (0..2_000).take_while(|round| !enough(*round)) {
            // Each round other bytes, so that each file is written, read for its sums, dated and replaced.
            let mut entries = vec![Entry::dir("."), Entry::dir("d"), Entry::dir("d/e")];
            entries.extend((0..6).map(|n| Entry::file(format!("d/e/f{n}"), noise(round * 7 + n, 3_000))));
            entries.extend((0..6).map(|n| Entry::file(format!("d/f{n}"), noise(round * 11 + n, 3_000))));
            entries.sort_by_key(|entry| (entry.is_file(), entry.name.starts_with(b"d/e/")));
            let protocol = [27, 32][round as usize % 2];
            let start = arena.start(protocol).option(["--delete", "--delete-after"][round as usize / 2 % 2]);
            let mut session = Session::spawn(&start);
            let done = session.handshake().and_then(|()| {
                session.filters(&[]);
                session.list(&entries);
                session.flush()?;
                let sorted = sorted(&entries, protocol);
                session.serve(&sorted)
            });
            // What stands in the way is the server's to refuse.
            drop(done);
            let end = session.finish();
            assert!(end.code.is_some_and(|code| code < 100), "round {round}: {:?} {}", end.code, end.text());
            arena.untouched(protocol);
        }
    });
    assert!(swaps.load(Ordering::Relaxed) >= 200, "the attacker hardly came to it");
}
