//! A sender that does not read while it writes, as clients before 3.1 do: a server that waits for
//! its own output to be read waits for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::arena::Arena;
use crate::tree::noise;
use crate::wire::numbers::int;
use crate::wire::{End, Entry, Request, Session, Start};

fn start(arena: &Arena, protocol: u8) -> Start {
    let mut start = arena.start(protocol);
    start.blocking = true;
    start.deadline = Duration::from_secs(60);
    start
}

/// So many files that their requests alone fill the pipe to us, and the first of them large enough
/// to fill the pipe to the server while we write them.
fn many() -> Vec<Entry> {
    let mut entries = vec![Entry::dir(".")];
    entries.extend((0..4_500).map(|n| {
        let data = if n < 40 { noise(n, 150_000) } else { b"x".to_vec() };
        Entry::file(format!("a rather long name to be told {n:06}"), data)
    }));
    entries
}

fn arrived(arena: &Arena, protocol: u8, end: &End, entries: &[Entry]) {
    let text: String = end.text().chars().take(300).collect();
    assert_eq!(end.code, Some(0), "protocol {protocol}: {text}");
    assert_eq!(arena.names().len(), entries.len() - 1, "protocol {protocol}");
    let first = std::str::from_utf8(&entries[1].name).unwrap();
    assert_eq!(arena.read(first).as_ref(), Some(&entries[1].data), "protocol {protocol}");
}

/// Spoils sums of the first phase: each file is a warning on a pipe that nobody empties.
#[test]
fn redo_warnings_do_not_wait_for_the_sender() {
    let entries = many();
    for protocol in [27, 29, 30, 32] {
        let arena = Arena::new();
        let mut spoiled = BTreeSet::new();
        let end = arena.attack(&start(&arena, protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve_with(|session, request| {
                let Request::Item { index, flags, head: Some(head), .. } = request else {
                    return session.answer(request, &entries);
                };
                if *index > 400 || !spoiled.insert(*index) {
                    return session.answer(request, &entries);
                }
                session.put_echo(*index, *flags, None, None);
                session.put(&head.write());
                session.put_literal(&entries[*index as usize].data);
                session.put(&int(0));
                session.put(&[0; 16]);
                session.flush()
            })
        });
        arrived(&arena, protocol, &end, &entries);
        assert_eq!(spoiled.len(), 400, "protocol {protocol}");
    }
}

/// With --remove-source-files each file that arrived is a message.
#[test]
fn successes_do_not_wait_for_the_sender() {
    let entries = many();
    for protocol in [27, 29, 30, 32] {
        let arena = Arena::new();
        let start = start(&arena, protocol).option("--remove-source-files");
        let end = arena.attack(&start, |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        arrived(&arena, protocol, &end, &entries);
        let told = end.messages.iter().filter(|(tag, _)| *tag == 100).count();
        assert_eq!(told, entries.len() - 1, "protocol {protocol}: files acknowledged");
    }
}

/// The next file's sums fill the pipe while the sender is still writing the file before.
#[test]
fn sums_do_not_wait_for_the_sender() {
    for protocol in [27, 29, 30, 32] {
        let arena = Arena::new();
        let mut entries = vec![Entry::dir(".")];
        for n in 0..4_u64 {
            let old = noise(n, 6_000_000);
            std::fs::write(arena.dest().join(format!("f{n}")), &old).unwrap();
            entries.push(Entry::file(format!("f{n}"), noise(n + 100, 6_000_000)));
        }
        let start = start(&arena, protocol).option("-B700");
        let end = arena.attack(&start, |session: &mut Session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert_eq!(end.code, Some(0), "protocol {protocol}: {}", end.text());
        assert_eq!(arena.read("f3").as_deref(), Some(&entries[4].data[..]), "protocol {protocol}");
    }
}
