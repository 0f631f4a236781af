//! Hostile answers to the receiver's requests: indices, heads, tokens, sums, compressed data.

use std::io;

use crate::arena::{Arena, PROTOCOLS, SECRET};
use crate::peer::{self, Kind};
use crate::tree::noise;
use crate::wire::numbers::{DONE, int};
use crate::wire::session::TRANSFER;
use crate::wire::{Entry, Head, Request, Session, Start};

fn tree() -> Vec<Entry> {
    vec![
        Entry::dir("."),
        Entry::file("f.bin", noise(3, 20_000)),
        Entry::dir("z"),
        Entry::file("z/x", b"honest"),
    ]
}

const FILE: i32 = 1;
const DIRECTORY: i32 = 2;

/// What the receiver asked of the file under attack.
struct Asked<'a> {
    flags: u16,
    basis: Option<u8>,
    xname: Option<&'a [u8]>,
    head: Head,
    sums: &'a [(u32, Vec<u8>)],
}

impl Asked<'_> {
    fn echo(&self, session: &mut Session) {
        session.put_echo(FILE, self.flags, self.basis, self.xname);
    }
}

/// Sends the tree and gives every request for the file to `lie`; the rest is honest.
fn lying(
    session: &mut Session,
    entries: &[Entry],
    mut lie: impl FnMut(&mut Session, &Asked<'_>) -> io::Result<()>,
) -> io::Result<()> {
    session.filters(&[]);
    session.list(entries);
    session.flush()?;
    session.serve_with(|session, request| match request {
        Request::Item { index: FILE, flags, basis, xname, head: Some(head), sums } => {
            let asked = Asked { flags: *flags, basis: *basis, xname: xname.as_deref(), head: *head, sums };
            lie(session, &asked)?;
            session.flush()
        }
        other => session.answer(other, entries),
    })
}

/// A destination that has an older version of the file, so that the request carries sums.
fn with_basis() -> Arena {
    let arena = Arena::new();
    let mut old = noise(3, 20_000);
    old[5_000] ^= 1;
    std::fs::write(arena.dest().join("f.bin"), old).unwrap();
    arena
}

fn refused(start: impl Fn(&Arena, u8) -> Start, lie: impl Fn(&mut Session, &Asked<'_>) -> io::Result<()>) {
    for protocol in PROTOCOLS {
        let arena = with_basis();
        let old = arena.read("f.bin");
        arena.refused(&start(&arena, protocol), |session| lying(session, &tree(), &lie));
        let now = arena.read("f.bin");
        assert!(
            now == old || now == Some(tree()[1].data.clone()),
            "protocol {protocol}: the file is spoiled"
        );
    }
}

fn plain(arena: &Arena, protocol: u8) -> Start {
    arena.start(protocol)
}

fn heads(heads: impl Fn(Head) -> Head) {
    refused(plain, |session, asked| {
        asked.echo(session);
        session.put(&heads(asked.head).write());
        session.put_literal(b"data");
        session.put(&int(0));
        session.put(&[0; 16]);
        Ok(())
    });
}

#[test]
fn a_negative_count_of_blocks_is_refused() {
    heads(|head| Head { count: -1, ..head });
    heads(|head| Head { count: i32::MIN, ..head });
}

#[test]
fn a_count_of_blocks_beyond_memory_is_refused() {
    heads(|head| Head { count: i32::MAX, ..head });
}

#[test]
fn a_strong_sum_longer_than_the_digest_is_refused() {
    for strong in [17, 64, 255, i32::MAX, -1] {
        heads(|head| Head { strong, ..head });
    }
}

#[test]
fn a_block_length_beyond_the_limit_is_refused() {
    for block in [(1 << 29) + 1, 1 << 30, i32::MAX, -1] {
        heads(|head| Head { block, ..head });
    }
}

#[test]
fn a_block_length_of_zero_is_refused() {
    heads(|head| Head { block: 0, ..head });
}

#[test]
fn a_remainder_beyond_the_block_is_refused() {
    for remainder in [1 << 20, i32::MAX, -1] {
        heads(|head| Head { remainder, ..head });
    }
}

/// Another head than was asked for, each number possible: the receiver keeps to its own.
#[test]
fn a_head_that_was_not_asked_for_reads_nothing_else() {
    for protocol in PROTOCOLS {
        let arena = with_basis();
        let end = arena.attack(&plain(&arena, protocol), |session| {
            lying(session, &tree(), |session, asked| {
                asked.echo(session);
                session
                    .put(&Head { count: 2, block: 8_000, strong: asked.head.strong, remainder: 0 }.write());
                session.put(&int(-1));
                session.put(&int(-2));
                session.put(&int(0));
                session.put(&[1; 16]);
                Ok(())
            })
        });
        assert_ne!(end.code, Some(0), "protocol {protocol}");
    }
}

fn index_refused(index: impl Fn(&Session) -> i32, flags: u16) {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = tree();
        arena.refused(&arena.start(protocol), |session| {
            let index = index(session);
            lying(session, &entries, |session, asked| {
                session.put_echo(index, flags, None, None);
                if flags & TRANSFER != 0 {
                    session.put_file(&entries[1].data, asked.head, asked.sums);
                }
                Ok(())
            })
        });
    }
}

#[test]
fn an_index_beyond_the_list_is_refused() {
    for index in [4, 5, 1000, i32::MAX] {
        index_refused(|_| index, TRANSFER);
    }
}

#[test]
fn a_negative_index_is_refused() {
    // -1 ends a phase, -2 and below -101 have had meanings of their own.
    for index in [-2, -4, -101, -1000, i32::MIN + 1] {
        index_refused(|_| index, TRANSFER);
    }
}

#[test]
fn data_for_a_directory_is_refused() {
    index_refused(|_| DIRECTORY, TRANSFER);
}

#[test]
fn data_for_the_loser_of_a_double_name_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = vec![
            Entry::dir("."),
            Entry::file("f.bin", noise(3, 2_000)),
            Entry::file("twice", b"first"),
            Entry::file("twice", b"second"),
        ];
        let end = arena.attack(&arena.start(protocol), |session| {
            lying(session, &entries, |session, asked| {
                session.put_echo(3, TRANSFER, None, None);
                session.put_file(b"second", asked.head, asked.sums);
                Ok(())
            })
        });
        assert_ne!(end.code, Some(0), "protocol {protocol}");
        assert_ne!(arena.read("twice").as_deref(), Some(&b"second"[..]), "protocol {protocol}");
    }
}

#[test]
fn data_in_the_last_phase_is_refused() {
    for protocol in [29, 30, 31, 32] {
        let arena = Arena::new();
        let entries = tree();
        let end = arena.attack(&arena.start(protocol), |session| {
            session.list(&entries);
            session.flush()?;
            let mut phase = 0;
            loop {
                match session.request()? {
                    Request::Done => {
                        phase += 1;
                        if phase == 3 {
                            session.put_echo(FILE, TRANSFER, None, None);
                            session.put_file(b"planted late", Head::default(), &[]);
                        }
                        session.put_index(DONE);
                        session.flush()?;
                    }
                    item @ Request::Item { .. } => session.answer(&item, &entries)?,
                }
            }
        });
        assert!(peer::kind() == Kind::Stock || end.code != Some(0), "protocol {protocol}: {}", end.text());
        assert_ne!(arena.read("f.bin").as_deref(), Some(&b"planted late"[..]), "protocol {protocol}");
    }
}

#[test]
fn data_that_nobody_asked_for_is_not_taken() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let entries = tree();
        let mut once = false;
        let end = arena.attack(&arena.start(protocol), |session| {
            lying(session, &entries, |session, asked| {
                // The file that was asked for, and then the same index again.
                for _ in 0..2 {
                    asked.echo(session);
                    let data: &[u8] = if once { b"second time" } else { &entries[1].data };
                    session.put_file(data, Head::default(), &[]);
                    once = true;
                }
                Ok(())
            })
        });
        if peer::kind() == Kind::Ours {
            assert_ne!(end.code, Some(0), "protocol {protocol}: {}", end.text());
            assert_ne!(arena.read("f.bin").as_deref(), Some(&b"second time"[..]), "protocol {protocol}");
        }
    }
}

/// CVE-2024-12086: the sender names another basis, whose blocks it then "matches".
#[test]
fn a_basis_named_by_the_sender_is_not_read() {
    for protocol in [29, 30, 31, 32] {
        for (kind, name) in [
            (0x80, "secret"),
            (0x81, "../secret"),
            (0x82, "../../../../../../etc/passwd"),
            (0x83, "../secret"),
            (0x83, "/etc/passwd"),
            (0, "../secret"),
            (255, "../secret"),
        ] {
            let arena = with_basis();
            arena.attack(&plain(&arena, protocol), |session| {
                lying(session, &tree(), |session, asked| {
                    session.put_echo(FILE, asked.flags | 0x1800, Some(kind), Some(name.as_bytes()));
                    session.put(
                        &Head { count: 1, block: SECRET.len() as i32, strong: 16, remainder: 0 }.write(),
                    );
                    session.put(&int(-1));
                    session.put(&int(0));
                    let sum = session.file_sum(SECRET);
                    session.put(&sum);
                    Ok(())
                })
            });
        }
    }
}

#[test]
fn an_overlong_basis_name_is_refused() {
    for protocol in [29, 30, 31, 32] {
        let arena = with_basis();
        arena.refused(&plain(&arena, protocol), |session| {
            lying(session, &tree(), |session, asked| {
                session.put_echo(FILE, asked.flags | 0x1800, Some(0x83), Some(&[b'n'; 32_000]));
                session.put(&[0; 64]);
                Ok(())
            })
        });
    }
}

fn tokens(tokens: &[i32]) {
    refused(plain, |session, asked| {
        asked.echo(session);
        session.put(&asked.head.write());
        for token in tokens {
            session.put(&int(*token));
        }
        session.put(&int(0));
        session.put(&[0; 16]);
        Ok(())
    });
}

#[test]
fn a_token_beyond_the_blocks_is_refused() {
    tokens(&[-1000]);
    tokens(&[i32::MIN]);
    tokens(&[i32::MIN + 1]);
}

#[test]
fn a_token_without_a_basis_is_refused() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        arena.refused(&plain(&arena, protocol), |session| {
            lying(session, &tree(), |session, asked| {
                asked.echo(session);
                session.put(&asked.head.write());
                session.put(&int(-1));
                session.put(&int(0));
                session.put(&[0; 16]);
                Ok(())
            })
        });
        assert_eq!(arena.read("f.bin"), None);
    }
}

#[test]
fn a_literal_of_two_gigabytes_that_never_comes_takes_no_memory() {
    for protocol in PROTOCOLS {
        let arena = with_basis();
        arena.refused(&plain(&arena, protocol), |session| {
            lying(session, &tree(), |session, asked| {
                asked.echo(session);
                session.put(&asked.head.write());
                session.put(&int(i32::MAX));
                session.put(&[0; 1000]);
                session.flush()?;
                session.close();
                Ok(())
            })
        });
    }
}

#[test]
fn more_data_than_declared_is_growth_or_an_error() {
    for protocol in PROTOCOLS {
        let arena = Arena::new();
        let mut entries = tree();
        let data = entries[1].data.clone();
        entries[1].declared = Some(10);
        let end = arena.attack(&plain(&arena, protocol), |session| {
            session.list(&entries);
            session.flush()?;
            session.serve(&entries)
        });
        let read = arena.read("f.bin");
        match end.code {
            Some(0) => assert_eq!(read, Some(data), "protocol {protocol}"),
            _ => assert_eq!(read, None, "protocol {protocol}: {}", end.text()),
        }
    }
}

/// Data in the framing that all compressions share: a literal chunk is 40h–7Fh and a length byte.
fn compressed(choice: &str, bytes: &[u8]) {
    for protocol in [30, 31, 32] {
        let arena = with_basis();
        let start = plain(&arena, protocol).letters("rltz").option(&format!("--compress-choice={choice}"));
        arena.refused(&start, |session| {
            lying(session, &tree(), |session, asked| {
                asked.echo(session);
                session.put(&asked.head.write());
                session.put(bytes);
                session.put(&[0]);
                session.put(&[0; 16]);
                Ok(())
            })
        });
    }
}

fn chunks(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(0x3f00).flat_map(|c| [&[0x40 | (c.len() >> 8) as u8, c.len() as u8], c].concat()).collect()
}

const CHOICES: [&str; 4] = ["zlib", "zlibx", "zstd", "lz4"];

#[test]
fn compressed_garbage_is_refused() {
    for choice in CHOICES {
        compressed(choice, &chunks(&noise(77, 5_000)));
        compressed(choice, &[0x40, 0]);
    }
}

#[test]
fn compressed_tokens_beyond_the_blocks_are_refused() {
    for choice in CHOICES {
        // An absolute token, a run of 65,536, relative runs that add up, a reserved flag.
        compressed(choice, &[&[0x20][..], &int(i32::MAX)].concat());
        compressed(choice, &[&[0x20][..], &int(-1)].concat());
        compressed(choice, &[&[0x20][..], &int(i32::MIN)].concat());
        compressed(choice, &[&[0x21][..], &int(0), &[0xff, 0xff]].concat());
        compressed(choice, &[&[0x21][..], &int(i32::MAX - 1), &[0xff, 0xff]].concat());
        compressed(choice, &[0xff, 0xff, 0xff].repeat(600));
        compressed(choice, &[0xbf; 40]);
        compressed(choice, &[0x10]);
        compressed(choice, &[0x3f]);
    }
}

#[test]
fn a_zstd_window_of_gigabytes_takes_no_memory() {
    // Magic, no single segment, window descriptor of exponent 31; then of 27.
    for window in [0xf8, 0xa8] {
        compressed("zstd", &chunks(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x03, 0x00, 0x10, 0x61]));
    }
}

/// A gigabyte of zeros in a megabyte, for a file declared as 20,000 bytes.
#[test]
fn a_bomb_of_zeros_fills_neither_memory_nor_disk() {
    if peer::kind() == Kind::Stock {
        // Stock writes it all to the disk.
        return;
    }
    // A stored-less deflate stream of zeros: one fixed block, a zero, and matches of 258 at distance 1.
    let mut bits = Bits::default();
    bits.put(0b010, 3);
    bits.code(0x30, 8);
    for _ in 0..4_000_000 {
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    let bomb = chunks(&bits.bytes);
    for choice in ["zlib", "zlibx"] {
        for protocol in [30, 32] {
            let arena = with_basis();
            let start =
                plain(&arena, protocol).letters("rltz").option(&format!("--compress-choice={choice}"));
            arena.refused(&start, |session| {
                lying(session, &tree(), |session, asked| {
                    asked.echo(session);
                    session.put(&asked.head.write());
                    session.put(&bomb);
                    Ok(())
                })
            });
        }
    }
}

/// Deflate's bit order: values from the low bit, codes from the high one.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
    last: u8,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for n in 0..count {
            self.last |= ((value >> n & 1) as u8) << self.used;
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(self.last);
                (self.used, self.last) = (0, 0);
            }
        }
    }

    fn code(&mut self, code: u32, count: u32) {
        for n in (0..count).rev() {
            self.put(code >> n & 1, 1);
        }
    }
}
