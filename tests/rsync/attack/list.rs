//! Hostile file lists.

use crate::arena::{Arena, PROTOCOLS};
use crate::peer::{self, Kind};
use crate::wire::list::SAME_NAME;
use crate::wire::numbers::{int, varint};
use crate::wire::{Entry, Session};

fn refused_everywhere(entries: &[Entry]) {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        arena.list_refused(&arena.start(protocol), entries);
        assert_eq!(arena.names(), [""; 0], "protocol {protocol}");
    }
}

fn root_and(entries: Vec<Entry>) -> Vec<Entry> {
    let mut all = vec![Entry::dir(".")];
    all.extend(entries);
    all
}

#[test]
fn a_name_that_climbs_is_refused() {
    for name in ["../out", "..", "a/../../out", "../dest/../out"] {
        refused_everywhere(&root_and(vec![Entry::dir("a"), Entry::file(name, b"x")]));
    }
}

#[test]
fn an_absolute_name_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let target = arena.moat().join("neighbour/planted");
        let entries = root_and(vec![Entry::file(target.to_str().unwrap(), b"x")]);
        // Stock strips the slash and then misses the parents; either way nothing is planted.
        let end = arena.list_refused(&arena.start(protocol), &entries);
        assert!(!target.exists(), "{}", end.text());
    }
}

#[test]
fn an_absolute_name_with_relative_paths_stays_below() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let target = arena.moat().join("planted");
        let entries = vec![Entry::file(target.to_str().unwrap(), b"x")];
        arena.attack(&arena.start(protocol).letters("rltR"), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(!target.exists());
    }
}

#[test]
fn a_name_with_nul_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = root_and(vec![Entry::file(b"good\0/../../evil", b"x")]);
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        if peer::kind() == Kind::Ours {
            assert_ne!(end.code, Some(0), "protocol {protocol}");
            assert_eq!(arena.names(), [""; 0], "protocol {protocol}");
        }
    }
}

#[test]
fn the_root_as_a_file_is_refused() {
    refused_everywhere(&[Entry::file(".", b"not a directory")]);
    refused_everywhere(&[Entry::link(".", "/etc")]);
}

#[test]
fn an_empty_name_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = root_and(vec![Entry::file("", b"x")]);
        // Stock cleans it to the root's name, which it has already.
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}");
        assert_eq!(arena.names(), [""; 0], "protocol {protocol}");
    }
}

#[test]
fn a_child_without_its_parent_is_refused() {
    refused_everywhere(&root_and(vec![Entry::file("nowhere/x", b"x")]));
}

#[test]
fn a_child_of_a_file_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = root_and(vec![Entry::file("f", b"x"), Entry::file("f/x", b"x")]);
        arena.list_refused(&arena.start(protocol), &entries);
    }
}

#[test]
fn nothing_is_written_through_a_link_of_the_list() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let neighbour = arena.moat().join("neighbour");
        let entries =
            root_and(vec![Entry::link("d", neighbour.to_str().unwrap()), Entry::file("d/x", b"planted")]);
        arena.list_refused(&arena.start(protocol), &entries);
    }
}

#[test]
fn nothing_is_written_through_a_link_that_hides_behind_a_directory() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let neighbour = arena.moat().join("neighbour");
        let entries = root_and(vec![
            Entry::dir("d"),
            Entry::link("d", neighbour.to_str().unwrap()),
            Entry::file("d/x", b"planted"),
        ]);
        arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve_with(|session, request| {
                let crate::wire::Request::Item { index, flags, basis, xname, head, sums } = request else {
                    return Ok(());
                };
                session.put_echo(*index, *flags, *basis, xname.as_deref());
                if let Some(head) = head {
                    session.put_file(b"planted", *head, sums);
                }
                session.flush()
            })
        });
    }
}

#[test]
fn nothing_is_written_through_a_link_that_was_there() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        std::os::unix::fs::symlink("../neighbour", arena.dest().join("d")).unwrap();
        let entries = root_and(vec![Entry::dir("d"), Entry::file("d/planted", b"planted")]);
        arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn links_that_lead_out_do_not_stay() {
    let deep = [b"x/".repeat(600), b"../".repeat(602)].concat();
    let targets: Vec<Vec<u8>> = vec![
        b"..".to_vec(),
        b"../secret".to_vec(),
        b"/etc/passwd".to_vec(),
        b"a/../../secret".to_vec(),
        b"./../secret".to_vec(),
        b"a/b/../../../secret".to_vec(),
        b"".to_vec(),
        b"//".to_vec(),
        deep,
    ];
    for protocol in PROTOCOLS {
        for target in &targets {
            let arena = Arena::new();
            let entries = root_and(vec![Entry::file("good", b"x"), Entry::link("l", target)]);
            let end = arena.attack(&arena.start(protocol), |session| {
                session.list(&entries);
                session.flush()?;
                session.serve(&entries)
            });
            if peer::kind() == Kind::Ours {
                let name = target.escape_ascii();
                let stays = arena.names().contains(&"l".to_owned());
                assert!(!stays, "protocol {protocol}: link to {name} stays: {}", end.text());
                assert_eq!(arena.read("good").as_deref(), Some(&b"x"[..]), "protocol {protocol}: {name}");
            }
        }
    }
}

#[test]
fn links_that_lead_out_by_way_of_others_do_not_stay() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = root_and(vec![
            Entry::link("a", "b/.."),
            Entry::link("b", "sub"),
            Entry::dir("sub"),
            Entry::link("sub/c", "../a/../secret"),
        ]);
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        for name in ["a", "sub/c"] {
            let through = std::fs::read(arena.dest().join(name)).unwrap_or_default();
            let stock = peer::kind() == Kind::Stock;
            assert!(stock || through != crate::arena::SECRET, "protocol {protocol}: {name}: {}", end.text());
        }
    }
}

#[test]
fn a_hard_link_without_the_option_is_refused() {
    for protocol in [30, 31, 32] {
        let arena = Arena::new();
        let mut second = Entry::file("b", b"x");
        second.leader = Some(Some(1));
        let mut first = Entry::file("a", b"x");
        first.leader = Some(None);
        let entries = root_and(vec![first, second]);
        // Stock copies the leader's fields and links nothing.
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}");
    }
}

#[test]
fn a_hard_link_to_a_leader_that_is_none_is_refused() {
    for protocol in [30, 31, 32] {
        for leader in [-1, -2, 2, 3, 99_999, i32::MAX, i32::MIN] {
            let arena = Arena::new();
            let mut second = Entry::file("b", b"x");
            second.leader = Some(Some(leader));
            let entries = root_and(vec![Entry::file("a", b"x"), second]);
            arena.list_refused(&arena.start(protocol).letters("rltH"), &entries);
        }
    }
}

#[test]
fn a_hard_link_to_a_directory_makes_none() {
    for protocol in [30, 31, 32] {
        let arena = Arena::new();
        let mut second = Entry::file("b", b"x");
        second.leader = Some(Some(0));
        let entries = root_and(vec![Entry::file("a", b"x"), second]);
        arena.attack(&arena.start(protocol).letters("rltH"), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn names_longer_than_a_path_are_refused() {
    refused_everywhere(&root_and(vec![Entry::file([b'n'; 5000], b"x")]));
    for length in [4096, 1 << 20, i32::MAX, -1, i32::MIN] {
        let mut entry = Entry::file("n", b"x");
        entry.name_length = Some(length);
        refused_everywhere(&root_and(vec![entry]));
    }
}

#[test]
fn a_component_longer_than_the_file_system_has_ends_in_an_error() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        arena.list_refused(&arena.start(protocol), &root_and(vec![Entry::file([b'n'; 300], b"x")]));
    }
}

#[test]
fn a_prefix_of_no_name_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let mut entry = Entry::file("x", b"x");
        (entry.flags, entry.shared) = (SAME_NAME, 255);
        // Stock believes it: its last name is a buffer of zeros, so this is a name of 256 bytes.
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(std::slice::from_ref(&entry));
            session.flush()?;
            session.serve(std::slice::from_ref(&entry))
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}");
    }
}

#[test]
fn targets_longer_than_a_path_are_refused() {
    for length in [4097, 1 << 20, i32::MAX, -1, i32::MIN] {
        let mut entry = Entry::link("l", "t");
        entry.link_length = Some(length);
        refused_everywhere(&root_and(vec![entry]));
    }
}

#[test]
fn a_negative_length_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let mut entry = Entry::file("f", b"x");
        entry.declared = Some(if protocol < 30 { -5 } else { i64::MIN });
        arena.list_refused(&arena.start(protocol), &root_and(vec![entry]));
    }
}

#[test]
fn a_length_beyond_any_disk_takes_no_memory() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let mut entry = Entry::file("f", b"x");
        entry.declared = Some(i64::MAX / 2);
        let entries = root_and(vec![entry]);
        arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn devices_and_unknown_types_are_not_made() {
    use std::os::unix::fs::FileTypeExt;
    for protocol in PROTOCOLS {
        for (kind, letters) in [(0o020_000, "rltD"), (0o060_000, "rltD"), (0o130_000, "rlt"), (0, "rlt")] {
            let arena = Arena::new();
            let mut entry = Entry::file("odd", b"x");
            entry.mode = kind | 0o666;
            if letters.contains('D') {
                // Major 1, minor 3.
                entry.tail = match protocol {
                    27 => int(0x0103),
                    28 | 29 => [int(1), int(3)].concat(),
                    _ => [varint(1), varint(3)].concat(),
                };
            }
            let entries = root_and(vec![entry, Entry::file("regular", b"x")]);
            arena.attack(&arena.start(protocol).letters(letters), |session| {
                session.list(&entries);
                session.flush()?;
                session.serve(&entries)
            });
            if peer::kind() == Kind::Ours {
                let odd = std::fs::symlink_metadata(arena.dest().join("odd")).map(|meta| meta.file_type());
                assert!(!odd.is_ok_and(|t| t.is_char_device() || t.is_block_device()), "protocol {protocol}");
            }
        }
    }
}

#[test]
fn nanoseconds_beyond_a_second_do_no_harm() {
    for protocol in [31, 32] {
        for nanoseconds in [1_000_000_000, i32::MAX, -1] {
            let arena = Arena::new();
            let mut entry = Entry::file("f", b"x");
            entry.nanoseconds = Some(nanoseconds);
            let entries = root_and(vec![entry]);
            let end = arena.attack(&arena.start(protocol), |session| {
                session.list(&entries);
                session.flush()?;
                session.serve(&entries)
            });
            assert!(peer::kind() == Kind::Stock || end.code != Some(0), "{nanoseconds} accepted");
        }
    }
}

#[test]
fn the_same_name_twice_is_one_file() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = root_and(vec![Entry::file("same", b"first"), Entry::file("same", b"second")]);
        arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        let read = arena.read("same");
        assert!(read.is_none() || read.as_deref() == Some(b"first"), "protocol {protocol}: {read:?}");
    }
}

#[test]
fn five_hundred_levels_end_without_a_crash() {
    for protocol in [27, 30, 32] {
        let arena = Arena::new();
        let mut entries = root_and(Vec::new());
        let mut path = String::new();
        for level in 0..500 {
            path.push_str(if level == 0 { "d" } else { "/d" });
            entries.push(Entry::dir(&path));
        }
        arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn flags_of_all_ones_end_in_an_error() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        arena.refused(&arena.start(protocol), |session: &mut Session| {
            session.put(&[0xff; 4000]);
            session.flush()?;
            session.serve(&[])
        });
    }
}

#[test]
fn a_list_that_never_ends_is_cut_at_a_limit_or_costs_what_it_holds() {
    // 200,000 entries of one directory; ours and stock keep about a hundred bytes for each.
    for protocol in [27, 32] {
        let arena = Arena::new();
        let entries: Vec<Entry> = (0..200_000).map(|n| Entry::dir(format!("{n:06}"))).collect();
        arena.attack(&arena.start(protocol).letters("nrlt"), |session| {
            for chunk in entries.chunks(5_000) {
                for entry in chunk {
                    let bytes = entry.write(session.protocol, session.varint_flags);
                    session.put(&bytes);
                }
                session.flush()?;
            }
            session.close();
            Ok(())
        });
    }
}
