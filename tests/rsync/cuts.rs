//! A session cut at every byte: an error, no hang, nothing half written.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::arena::Arena;
use crate::wire::{Entry, Session, Start};

fn tree() -> Vec<Entry> {
    let first = Entry::file("a.txt", b"the first file of the cut");
    vec![Entry::dir("."), first, Entry::dir("sub"), Entry::file("sub/b.txt", b"the second one")]
}

fn start(arena: &Arena, protocol: u8) -> Start {
    let mut start = arena.start(protocol).option("--checksum-seed=1").option("--delete");
    start.deadline = Duration::from_secs(30);
    start
}

fn honest(session: &mut Session) -> io::Result<()> {
    let entries = tree();
    session.handshake()?;
    session.filters(&[b"- *.tmp"]);
    session.list(&entries);
    session.flush()?;
    session.serve(&entries)
}

/// What a whole session sends.
fn recording(protocol: u8) -> Vec<u8> {
    let arena = Arena::new();
    let mut session = Session::spawn(&start(&arena, protocol));
    honest(&mut session).unwrap();
    let end = session.finish();
    assert_eq!(end.code, Some(0), "protocol {protocol}: {}", end.text());
    end.sent
}

/// Most of a session's time is waiting for processes to start and end.
fn side_by_side(places: usize, work: impl Fn(usize) + Sync) {
    const LANES: usize = 8;
    let work = &work;
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || (lane..places).step_by(LANES).for_each(work));
        }
    });
}

fn cut_everywhere(protocol: u8) {
    let tape = recording(protocol);
    side_by_side(tape.len() + 1, |length| {
        let arena = Arena::new();
        std::fs::write(arena.dest().join("there before"), b"x").unwrap();
        let start = start(&arena, protocol);
        let mut session = Session::spawn(&start);
        session.cut = Some(length);
        let _ = honest(&mut session);
        let end = session.finish();
        arena.holds(&start, &end);
        let whole = length == tape.len();
        assert_eq!(
            end.code == Some(0),
            whole,
            "cut at {length} of {}: {:?} {}",
            tape.len(),
            end.code,
            end.text()
        );
        for name in arena.names() {
            let known = ["a.txt", "sub", "sub/b.txt", "there before"].contains(&name.as_str());
            assert!(known, "cut at {length}: {name} was left behind");
        }
        for entry in tree().iter().filter(|entry| entry.is_file()) {
            let read = arena.read(std::str::from_utf8(&entry.name).unwrap());
            assert!(read.is_none_or(|read| read == entry.data), "cut at {length}: half a file");
        }
    });
}

#[test]
fn a_session_of_27_cut_at_every_byte_ends_in_an_error() {
    cut_everywhere(27);
}

#[test]
fn a_session_of_29_cut_at_every_byte_ends_in_an_error() {
    cut_everywhere(29);
}

#[test]
fn a_session_of_30_cut_at_every_byte_ends_in_an_error() {
    cut_everywhere(30);
}

#[test]
fn a_session_of_32_cut_at_every_byte_ends_in_an_error() {
    cut_everywhere(32);
}

/// One bit of the session turned, at each byte: any end will do but a hang, a crash or a touch outside.
#[test]
fn a_session_with_any_byte_turned_does_no_harm() {
    for protocol in [27, 29, 30, 32] {
        let tape = recording(protocol);
        side_by_side(tape.len() / 2, |place| {
            // Every second byte, and the others at the next protocol.
            let at = place * 2 + usize::from(protocol % 2);
            let arena = Arena::new();
            let start = start(&arena, protocol);
            let mut session = Session::spawn(&start);
            session.patience = Duration::from_millis(300);
            session.turn = Some((at, 1 << (at % 8)));
            // A length that grew waits for bytes that do not come, until we give up and close.
            let _ = honest(&mut session);
            arena.holds(&start, &session.finish());
        });
    }
}

/// Everything a client sent, at once and to a server that never asked for it: whatever the server
/// makes of it, it ends by itself.
#[test]
fn recordings_played_without_listening_do_no_harm() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rsync/whole");
    let names: Vec<PathBuf> = std::fs::read_dir(&whole)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "in"))
        .collect();
    assert!(names.len() > 10, "recordings are missing in {}", whole.display());
    side_by_side(names.len(), |n| {
        let arena = Arena::new();
        let mut start = arena.start(32);
        let words = std::fs::read_to_string(names[n].with_extension("argv")).unwrap();
        let dest = arena.dest();
        let word = |word: &str| word.replace("/tmp/rec/d/", dest.to_str().unwrap());
        start.words = Some(words.split_terminator('\0').map(word).collect());
        let mut session = Session::spawn(&start);
        let _ = session.write_raw(&std::fs::read(&names[n]).unwrap());
        session.close();
        arena.holds(&start, &session.finish());
    });
}
