//! Before the list: arguments, filters, frames, silence.

use std::time::Duration;

use crate::arena::{Arena, PROTOCOLS};
use crate::peer::{self, Kind};
use crate::wire::numbers::int;
use crate::wire::{Entry, Session};

fn tree() -> Vec<Entry> {
    vec![Entry::dir("."), Entry::file("f", b"x")]
}

fn options(protocol: u8, options: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let arena = Arena::new();
    let mut start = arena.start(protocol);
    start.options =
        options.iter().map(|option| (*option).replace("{moat}", arena.moat().to_str().unwrap())).collect();
    let entries = tree();
    let end = arena.attack(&start, |session| {
        session.filters(&[]);
        session.list(&entries);
        session.flush()?;
        session.serve(&entries)
    });
    (end.code, end.text(), arena.names())
}

#[test]
fn options_that_would_touch_our_files_are_refused_by_name() {
    let hostile = [
        "--sender",
        "--daemon",
        "--log-file={moat}/log",
        "--config={moat}/conf",
        "--files-from={moat}/secret",
        "--write-batch={moat}/batch",
        "--only-write-batch={moat}/batch",
        "--read-batch={moat}/secret",
        "--write-devices",
        "--copy-devices",
        "--use-qsort",
        "--insecure-links",
        "--not-an-option",
        "--copy-as=root",
    ];
    for protocol in [27, 30, 32] {
        for option in hostile {
            if peer::kind() == Kind::Stock {
                // Stock serves whoever has a shell: it may do as it was told.
                continue;
            }
            let (code, text, names) = options(protocol, &[option]);
            assert!(code.is_some_and(|code| code != 0), "{option} at {protocol}: {code:?}");
            let word = option.split('=').next().unwrap().trim_start_matches('-');
            // --daemon makes it another command, in which nothing else is known.
            let named = text.contains(word) || ["--sender", "--daemon"].contains(&option) && !text.is_empty();
            assert!(named, "{option} at {protocol} is not named: {text:?}");
            assert_eq!(names, [""; 0], "{option} at {protocol}");
        }
    }
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    for protocol in [27, 32] {
        for option in [
            "--max-size=99999999999999999999",
            "--max-size=-1",
            "--min-size=99999999999999999999999",
            "-B4294967296",
            "-B-1",
            "-B0",
            "--max-delete=99999999999999",
            "--timeout=-1",
            "--timeout=99999999999",
            "--bwlimit=-1",
            "--checksum-seed=99999999999999",
            "--compress-level=9999999",
            "--modify-window=99999999999999",
            "--max-alloc=999999999999999999999",
            "--compress-threads=1000000",
            "--block-size=",
            "--max-size=",
        ] {
            // Whether each is refused differs among stock's versions; that it is survived does not.
            options(protocol, &[option]);
        }
    }
}

#[test]
fn a_thousand_arguments_and_long_ones_do_no_harm() {
    let many = vec!["--numeric-ids"; 2_000];
    options(32, &many);
    let long = format!("--suffix={}", "x".repeat(100_000));
    options(32, &[&long]);
    let backslash = format!("--partial-dir={}\\", "y".repeat(4_096));
    options(32, &[&backslash]);
}

#[test]
fn directories_named_by_options_are_not_touched() {
    for option in [
        "--partial-dir={moat}/part",
        "--backup-dir={moat}/bk",
        "--temp-dir={moat}",
        "--link-dest={moat}/neighbour",
        "--copy-dest={moat}",
        "--compare-dest={moat}/neighbour",
        "--partial-dir=../part",
        "--backup-dir=../bk",
    ] {
        if peer::kind() == Kind::Ours {
            options(32, &[option]);
        }
    }
}

#[test]
fn a_destination_with_dots_stays_where_it_is_or_is_refused() {
    if peer::kind() == Kind::Stock {
        return;
    }
    for protocol in [27, 32] {
        let arena = Arena::new();
        let mut start = arena.start(protocol);
        start.dest = arena.dest().join("../neighbour");
        let entries = tree();
        let end = arena.refused(&start, |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(!end.text().is_empty());
    }
}

#[test]
fn two_destinations_are_refused() {
    for protocol in [27, 32] {
        let arena = Arena::new();
        let mut start = arena.start(protocol);
        start.more = vec![arena.moat().join("neighbour").to_str().unwrap().to_owned()];
        let entries = tree();
        let end = arena.attack(&start, |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}");
    }
}

fn filters(send: impl Fn(&mut Session)) {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        std::fs::write(arena.dest().join("extra"), b"x").unwrap();
        let entries = tree();
        let start = arena.start(protocol).option("--delete");
        arena.attack(&start, |session| {
            send(session);
            session.put(&int(0));
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn filter_rules_beyond_the_limit_are_refused() {
    for length in [4097, 1 << 20, i32::MAX, -1, i32::MIN] {
        for protocol in PROTOCOLS {
            let arena = Arena::new();
            arena.refused(&arena.start(protocol).option("--delete"), |session| {
                session.put(&int(length));
                session.put(&[b'x'; 100]);
                session.flush()?;
                session.close();
                Ok(())
            });
        }
    }
}

#[test]
fn odd_filter_rules_do_no_harm() {
    let rules: Vec<Vec<u8>> = vec![
        b"- \\".to_vec(),
        b"- a\\".to_vec(),
        b"- [".to_vec(),
        b"- [[:alpha:".to_vec(),
        b"- [z-a]".to_vec(),
        b"- ".to_vec(),
        b"-".to_vec(),
        b"+".to_vec(),
        b"!".to_vec(),
        b"\0".to_vec(),
        b"-/!Cnwexsrp".to_vec(),
        b"- ***".to_vec(),
        b"- a/***/b".to_vec(),
        [b"- ".to_vec(), b"*a".repeat(1_500)].concat(),
        [b"- ".to_vec(), b"**/".repeat(1_300), b"z".to_vec()].concat(),
        b"- \xff\xfe".to_vec(),
        b"???".to_vec(),
    ];
    for rule in rules {
        filters(|session| {
            session.put(&int(rule.len() as i32));
            session.put(&rule);
        });
    }
}

#[test]
fn patterns_of_many_stars_cost_no_evening() {
    let deep = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let arena = Arena::new();
    for n in 0..20 {
        std::fs::write(arena.dest().join(format!("{deep}{n}")), b"x").unwrap();
    }
    let entries = tree();
    let start = arena.start(31).option("--delete");
    let rule = [b"- ".to_vec(), b"*a".repeat(12), b"*b".to_vec()].concat();
    arena.attack(&start, |session| {
        session.put(&int(rule.len() as i32));
        session.put(&rule);
        session.put(&int(0));
        session.list(&entries);
        session.flush()?;
        session.serve(&entries)
    });
}

#[test]
fn a_merge_rule_with_deletion_reads_nothing_of_ours() {
    for protocol in [29, 32] {
        let arena = Arena::new();
        std::fs::write(arena.dest().join("extra"), b"x").unwrap();
        let entries = tree();
        let rule = format!(". {}/secret", arena.moat().display());
        arena.attack(&arena.start(protocol).option("--delete"), |session| {
            session.filters(&[rule.as_bytes()]);
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
    }
}

#[test]
fn frames_that_lie_are_refused() {
    for protocol in [30, 31, 32] {
        // Tags nobody knows, a tag below the base, a frame of 16 MB that does not come.
        for header in [0x0600_0004_u32, 0x0000_0004, 0xfe00_0004, 0x0b00_0004, 0x07ff_ffff, 0x6bff_ffff] {
            let arena = Arena::new();
            arena.refused(&arena.start(protocol), |session| {
                session.write_raw(&header.to_le_bytes())?;
                session.write_raw(b"junk")?;
                session.close();
                Ok(())
            });
        }
    }
}

#[test]
fn messages_of_the_wrong_size_are_refused() {
    for protocol in [30, 31, 32] {
        for (tag, body) in [
            (102, &b"12345"[..]),
            (102, b""),
            (22, b"1"),
            (86, b"123"),
            (33, b"1234"),
            (100, b"1234"),
            (102, b"\xff\xff\xff\x7f"),
        ] {
            let arena = Arena::new();
            let entries = tree();
            let end = arena.attack(&arena.start(protocol), |session| {
                session.message(tag, body)?;
                session.list(&entries);
                session.flush()?;
                session.serve(&entries)
            });
            assert!(peer::kind() == Kind::Stock || end.code != Some(0), "tag {tag} {body:?} at {protocol}");
        }
    }
}

#[test]
fn text_from_the_sender_is_no_message() {
    // MSG_INFO and MSG_ERROR go the other way only.
    for protocol in [30, 31, 32] {
        let arena = Arena::new();
        let entries = tree();
        let end = arena.attack(&arena.start(protocol), |session| {
            session.message(2, b"\x1b]0;title\x07\n")?;
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}");
    }
}

#[test]
fn versions_that_nobody_speaks_are_refused() {
    for version in [0, 1, 19, 26, -1, i32::MAX, i32::MIN, 0x5353_4820] {
        let arena = Arena::new();
        let start = arena.start(32);
        let mut session = Session::spawn(&start);
        let _ = session.write_raw(&int(version));
        session.close();
        let end = session.finish();
        assert_ne!(end.code, Some(0), "version {version}");
        arena.holds(&start, &end);
    }
}

#[test]
fn silence_ends_at_the_timeout() {
    for protocol in [27, 30, 32] {
        for stage in 0..4 {
            let arena = Arena::new();
            let mut start = arena.start(protocol).option("--timeout=1");
            start.deadline = Duration::from_secs(15);
            let mut session = Session::spawn(&start);
            let entries = vec![Entry::dir("."), Entry::file("f", vec![7; 100_000])];
            let _ = (|| {
                if stage == 0 {
                    return session.need(1_000).map(drop);
                }
                session.handshake()?;
                if stage > 1 {
                    session.list(&entries);
                }
                session.flush()?;
                // Answers half a file and then nothing; reads on until the server has had enough.
                loop {
                    let request = session.request()?;
                    if stage > 2 && matches!(request, crate::wire::Request::Item { index: 1, .. }) {
                        session.put_echo(1, 0x8000, None, None);
                        session.put(&[0; 16]);
                        session.put(&int(30_000));
                        session.put(&[7; 20_000]);
                        session.flush()?;
                    }
                }
            })();
            let end = session.finish();
            // Stock counts no time before the versions are exchanged.
            if stage > 0 || peer::kind() == Kind::Ours {
                arena.holds(&start, &end);
                assert_eq!(end.code, Some(30), "protocol {protocol}, stage {stage}: {}", end.text());
            }
            assert_eq!(arena.names(), [""; 0], "protocol {protocol}, stage {stage}");
        }
    }
}

#[test]
fn secluded_arguments_without_end_are_refused() {
    for (count, length) in [(200_000, 10), (1, 5_000_000), (5_000, 4_000)] {
        let arena = Arena::new();
        let mut start = arena.start(32);
        start.letters = "s".to_owned();
        // Stock takes twenty seconds to read a list of two megabytes.
        start.deadline = Duration::from_secs(90);
        let mut session = Session::spawn(&start);
        let words = [vec![b'a'; length], vec![0]].concat().repeat(count);
        let _ = session.write_raw(&words);
        session.close();
        let end = session.finish();
        assert_ne!(end.code, Some(0));
        arena.holds(&start, &end);
    }
}
