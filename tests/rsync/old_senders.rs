//! Senders that Debian has no package of: openrsync (macOS), which gives each flag an argument of its
//! own at protocol 27, and rsync 2.6.9, which bundles them at 29 and knows no `-e.`. Both do
//! not read while they write.

use crate::arena::Arena;
use crate::tree::noise;
use crate::wire::numbers::int;
use crate::wire::{Entry, Session, Start};

/// How a client says what `-a` says; then what it adds to delete.
struct Style {
    protocol: u8,
    words: &'static [&'static str],
    deletes: &'static str,
}

const STYLES: [Style; 3] = [
    Style {
        protocol: 27,
        words: &["-g", "-l", "-o", "-p", "-D", "-r", "-t", "-v"],
        deletes: "--delete-before",
    },
    Style { protocol: 29, words: &["-vlogDtpr"], deletes: "--delete" },
    Style { protocol: 28, words: &["-logDtpr", "--timeout=60"], deletes: "--delete-after" },
];

/// `-o` and `-g` bring two numbers into each entry; for what is no link they are its last.
fn owned(entries: Vec<Entry>) -> Vec<Entry> {
    let ids = [int(1000), int(100)].concat();
    entries.into_iter().map(|entry| Entry { tail: ids.clone(), ..entry }).collect()
}

fn tree(seed: u64) -> Vec<Entry> {
    let mut files = owned(vec![Entry::dir(".")]);
    files.extend(owned((0..300).map(|n| Entry::file(format!("a{n:03}"), noise(n, 700))).collect()));
    let mut large = noise(1, 400_000);
    large[(seed as usize) * 1_000] ^= 0xff;
    files.extend(owned(vec![
        Entry::file("b.bin", large),
        Entry::dir("sub"),
        Entry::file("sub/x", noise(seed, 90)),
    ]));
    for entry in files.iter_mut().filter(|entry| entry.is_file()) {
        entry.mtime += i64::try_from(seed).unwrap();
    }
    files
}

/// One push as such a client makes it.
fn push(start: &Start, deletes: bool, entries: &[Entry]) -> usize {
    let mut session = Session::open(start).unwrap();
    session.deleting = deletes;
    session.filters(&[b"- *.keep"]);
    for entry in entries {
        let bytes = entry.write(session.protocol, false);
        session.put(&bytes);
    }
    session.put(&[0]);
    // Names of owners, names of groups: none. io_error.
    session.put(&[int(1000), b"\x03ana".to_vec(), int(0), int(0), int(0)].concat());
    session.flush().unwrap();
    session.serve(entries).unwrap();
    let end = session.finish();
    assert_eq!(end.code, Some(0), "protocol {}: {}", start.protocol, end.text());
    end.sent.len()
}

#[test]
fn senders_of_old_push_and_push_again_and_delete() {
    for style in STYLES {
        let arena = Arena::new();
        let mut start = arena.start(style.protocol);
        start.blocking = true;
        let words = |more: Option<&str>| {
            let dest = arena.dest().display().to_string();
            let options = style.words.iter().copied().chain(more);
            let words = ["--server"].into_iter().chain(options).chain([".", &dest]);
            Some(words.map(str::to_owned).collect())
        };
        start.words = words(None);
        let first = push(&start, false, &tree(1));
        std::fs::write(arena.dest().join("old.keep"), "kept by a rule").unwrap();
        std::fs::write(arena.dest().join("old.html"), "gone").unwrap();
        start.words = words(Some(style.deletes));
        let second = push(&start, true, &tree(2));
        for entry in tree(2).iter().filter(|entry| entry.is_file()) {
            let name = std::str::from_utf8(&entry.name).unwrap();
            assert_eq!(arena.read(name).as_ref(), Some(&entry.data), "protocol {}: {name}", style.protocol);
        }
        assert!(arena.read("old.keep").is_some() && arena.read("old.html").is_none());
        assert!(second < first / 2, "protocol {}: {second} of {first} bytes: no delta", style.protocol);
    }
}
