//! The sender keeps to the rules: what it proves against stock is that its attacks differ only
//! where they mean to.

use crate::arena::{Arena, PROTOCOLS};
use crate::tree::noise;
use crate::wire::numbers::int;
use crate::wire::session::TRANSFER;
use crate::wire::{Entry, Request, Session};

fn tree() -> Vec<Entry> {
    vec![
        Entry::dir("."),
        Entry::file("a.bin", noise(1, 20_000)),
        Entry::file("b.txt", b"text"),
        Entry::file("c.empty", b""),
        Entry::link("l", "b.txt"),
        Entry::dir("sub"),
        Entry::file("sub/x", noise(2, 1000)),
    ]
}

fn push(arena: &Arena, start: &crate::wire::Start, entries: &[Entry]) -> crate::wire::End {
    let mut session = Session::open(start).unwrap();
    session.filters(&[]);
    session.list(entries);
    session.flush().unwrap();
    session.serve(entries).unwrap();
    let end = session.finish();
    assert_eq!(end.code, Some(0), "protocol {}: {}", start.protocol, end.text());
    arena.holds(start, &end);
    end
}

fn arrived(arena: &Arena, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.is_file()) {
        let name = std::str::from_utf8(&entry.name).unwrap();
        assert_eq!(arena.read(name), Some(entry.data.clone()), "{name}");
    }
}

#[test]
fn a_push_and_a_changed_push_arrive() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let mut entries = tree();
        push(&arena, &arena.start(protocol).letters("rlt"), &entries);
        arrived(&arena, &entries);
        entries[1].data[10_000] ^= 0xff;
        entries[1].mtime += 10;
        let end = push(&arena, &arena.start(protocol), &entries);
        arrived(&arena, &entries);
        assert!(end.sent.len() < 5_000, "protocol {protocol}: sent {} bytes: no delta", end.sent.len());
    }
}

#[test]
fn a_push_with_delete_deletes() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = tree();
        push(&arena, &arena.start(protocol), &entries);
        std::fs::write(arena.dest().join("extra"), b"x").unwrap();
        push(&arena, &arena.start(protocol).option("--delete"), &entries);
        arrived(&arena, &entries);
        assert_eq!(arena.read("extra"), None);
    }
}

#[test]
fn a_wrong_sum_is_redone() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = tree();
        let start = arena.start(protocol);
        let mut session = Session::open(&start).unwrap();
        session.list(&entries);
        session.flush().unwrap();
        let mut spoiled = 0;
        session
            .serve_with(|session, request| {
                let Request::Item { index: 1, flags, basis, xname, head: Some(head), .. } = request else {
                    return session.answer(request, &entries);
                };
                spoiled += 1;
                if spoiled > 1 {
                    return session.answer(request, &entries);
                }
                session.put_echo(1, *flags, *basis, xname.as_deref());
                session.put(&head.write());
                session.put_literal(&entries[1].data);
                session.put(&int(0));
                session.put(&[0; 16]);
                session.flush()
            })
            .unwrap();
        let end = session.finish();
        assert_eq!(spoiled, 2, "protocol {protocol}: the file was asked for once more");
        assert_eq!(end.code, Some(0), "protocol {protocol}: {}", end.text());
        arrived(&arena, &entries);
    }
}

#[test]
fn a_sum_wrong_twice_is_an_error_and_no_file() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = tree();
        let start = arena.start(protocol);
        let end = arena.refused(&start, |session| {
            session.list(&entries);
            session.flush()?;
            session.serve_with(|session, request| {
                let Request::Item { index: 1, flags, basis, xname, head: Some(head), .. } = request else {
                    return session.answer(request, &entries);
                };
                assert_ne!(flags & TRANSFER, 0);
                session.put_echo(1, *flags, *basis, xname.as_deref());
                session.put(&head.write());
                session.put_literal(b"not what was promised");
                session.put(&int(0));
                session.put(&[0; 16]);
                session.flush()
            })
        });
        assert_eq!(end.code, Some(23), "protocol {protocol}: {}", end.text());
        assert_eq!(arena.read("a.bin"), None, "protocol {protocol}");
    }
}

#[test]
fn a_file_that_vanished_is_told_and_the_rest_arrives() {
    for protocol in [30, 31, 32] {
        let arena = Arena::new();
        let entries = tree();
        let start = arena.start(protocol);
        arena.attack(&start, |session| {
            session.list(&entries);
            session.flush()?;
            session.serve_with(|session, request| match request {
                Request::Item { index: 1, .. } => session.message(102, &int(1)),
                other => session.answer(other, &entries),
            })
        });
        assert_eq!(arena.read("a.bin"), None, "protocol {protocol}");
    }
}

#[test]
fn an_io_error_of_the_sender_keeps_deletions_away() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        std::fs::write(arena.dest().join("extra"), b"x").unwrap();
        let entries = tree();
        let start = arena.start(protocol).option("--delete");
        arena.attack(&start, |session| {
            session.filters(&[]);
            for entry in &entries {
                let bytes = entry.write(session.protocol, session.varint_flags);
                session.put(&bytes);
            }
            let (protocol, varint) = (session.protocol, session.varint_flags);
            session.put(&crate::wire::list::end(protocol, varint, 1));
            session.flush()?;
            session.serve(&entries)
        });
        assert_eq!(arena.read("extra").as_deref(), Some(&b"x"[..]), "protocol {protocol}");
    }
}

#[test]
fn keepalives_are_taken() {
    for protocol in [29, 30, 31, 32] {
        let arena = Arena::new();
        let entries = tree();
        let start = arena.start(protocol);
        let mut session = Session::open(&start).unwrap();
        session.list(&entries);
        session.flush().unwrap();
        session
            .serve_with(|session, request| {
                match session.protocol {
                    29 => {
                        session.put_echo(entries.len() as i32, 0x2000, None, None);
                        session.flush()?;
                    }
                    30 => session.message(42, b"")?,
                    _ => session.message(0, b"")?,
                }
                session.answer(request, &entries)
            })
            .unwrap();
        let end = session.finish();
        assert_eq!(end.code, Some(0), "protocol {protocol}: {}", end.text());
        arrived(&arena, &entries);
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        push(&arena, &arena.start(protocol).letters("nrlt"), &tree());
        assert_eq!(arena.names(), [""; 0], "protocol {protocol}");
    }
}
