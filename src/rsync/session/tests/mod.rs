//! Whole sessions against a tree in memory and a small client.

mod client;
mod memory;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use self::client::{Client, Heard, Source};
use self::memory::{Memory, Node};
use super::{ForeignLinks, Settings, serve};
use crate::rsync::error::{Exit, Lang};
use crate::rsync::mux::Tag;
use crate::rsync::options::Options;
use crate::rsync::tree::{Committed, Refused};
use crate::rsync::{Limits, refuse};

fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        lang: Lang::En,
        version: None,
        seed: 7,
        links: ForeignLinks::Refuse,
        keepalive: Duration::from_secs(60),
        io_timeout: 0,
        whole_only: true,
        keeps_broken: true,
        list_within: Duration::from_secs(600),
    }
}

fn options(words: &str) -> Options {
    let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    Options::parse(&words, &Limits::default()).unwrap()
}

struct Ended {
    exit: Exit,
    heard: Heard,
    /// Bytes the client sent.
    said: usize,
}

fn push(client: Client, words: &str, tree: &Memory, settings: &Settings) -> Ended {
    let (input, theirs) = std::io::pipe().unwrap();
    let (ours, output) = std::io::pipe().unwrap();
    let client = thread::spawn(move || client.run(ours, theirs));
    let exit = serve(options(words), Box::new(input), Box::new(output), &mut |_| {}, tree, settings);
    let (heard, said) = client.join().unwrap();
    Ended { exit, heard, said }
}

const ARCHIVE: &str = "--server -rt . dst/";

fn two() -> [Source; 2] {
    [Source::new("one", b"first"), Source::new("two", &[9; 5000])]
}

#[test]
fn a_push_is_committed_once_at_its_clean_end() {
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let ended = push(Client::new(&two()), ARCHIVE, &tree, &settings());
    assert_eq!(ended.exit, Exit::Ok);
    assert_eq!(ended.heard.done, 5);
    assert_eq!(tree.file("dst/one").unwrap(), b"first");
    assert_eq!(tree.file("dst/two").unwrap(), [9; 5000]);
    let commits = tree.commits.lock().unwrap();
    assert_eq!((commits.len(), commits[0].transferred, commits[0].literal), (1, 2, 5005));
    let begun = &tree.begun.lock().unwrap()[0];
    assert_eq!((begun.entries, begun.bytes, begun.destination.as_slice()), (3, 5005, &b"dst"[..]));
}

#[test]
fn a_session_cut_at_any_byte_commits_nothing_and_ends() {
    let whole = push(Client::new(&two()), ARCHIVE, &Memory::new(&[("dst", Node::Dir)]), &settings());
    // The literal's inside is one case many times over.
    let cuts = (0..whole.said).filter(|at| !(300..whole.said - 150).contains(at) || at % 997 == 0);
    for cut in cuts {
        let tree = Memory::new(&[("dst", Node::Dir)]);
        let ended = push(Client { cut, ..Client::new(&two()) }, ARCHIVE, &tree, &settings());
        assert_eq!(tree.committed(), 0, "cut at {cut} of {}", whole.said);
        assert_eq!(ended.exit, Exit::Stream, "cut at {cut} of {}", whole.said);
    }
}

#[test]
fn what_arrived_of_a_broken_push_is_kept() {
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let whole = push(Client::new(&two()), ARCHIVE, &Memory::new(&[("dst", Node::Dir)]), &settings());
    push(Client { cut: whole.said - 1000, ..Client::new(&two()) }, ARCHIVE, &tree, &settings());
    assert_eq!(tree.file("dst/one").unwrap(), b"first");
    let kept = tree.kept.lock().unwrap();
    assert!(kept.len() == 1 && kept[0].len() > 3000 && kept[0].iter().all(|byte| *byte == 9), "{kept:?}");
}

#[test]
fn a_refused_commit_reaches_the_client_as_23() {
    let mut tree = Memory::new(&[("dst", Node::Dir)]);
    tree.verdict = Box::new(|| Err(Refused::partial("integridad: falta el índice")));
    let ended = push(Client::new(&two()), "--server -rt --remove-source-files . dst/", &tree, &settings());
    assert_eq!(ended.exit, Exit::Partial);
    assert!(ended.heard.has(Tag::ErrorXfer, "falta el índice"));
    assert_eq!(ended.heard.done, 5, "the goodbye is said all the same");
    assert!(ended.heard.successes.is_empty(), "nothing is acknowledged that was not published");
}

#[test]
fn sources_are_acknowledged_after_the_commit() {
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let ended = push(Client::new(&two()), "--server -rt --remove-source-files . dst/", &tree, &settings());
    assert_eq!((ended.exit, ended.heard.successes), (Exit::Ok, vec![1, 2]));
}

#[test]
fn sources_are_not_acknowledged_while_the_host_has_yet_to_decide() {
    let mut tree = Memory::new(&[("dst", Node::Dir)]);
    tree.verdict = Box::new(|| Ok(Committed::Pending(Some("pending".into()))));
    let ended = push(Client::new(&two()), "--server -rt --remove-source-files . dst/", &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Ok, 1));
    assert!(ended.heard.has(Tag::Info, "pending") && ended.heard.successes.is_empty(), "{:?}", ended.heard);
}

#[test]
fn a_source_that_is_not_whole_is_not_published() {
    let mut sources = two();
    sources[0].unreadable = true;
    for whole_only in [true, false] {
        let tree = Memory::new(&[("dst", Node::Dir)]);
        let settings = Settings { whole_only, ..settings() };
        let ended = push(Client::new(&sources), ARCHIVE, &tree, &settings);
        assert_eq!(tree.committed(), usize::from(!whole_only));
        if whole_only {
            assert_eq!(ended.exit, Exit::Partial);
            assert!(ended.heard.has(Tag::ErrorXfer, "could not read \"one\""), "{:?}", ended.heard);
        } else {
            assert!(tree.commits.lock().unwrap()[0].incomplete.is_some());
        }
    }
}

#[test]
fn a_wrong_sum_is_tried_once_more() {
    let mut sources = two();
    sources[1].wrong_sums = 1;
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let ended = push(Client::new(&sources), ARCHIVE, &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Ok, 1));
    assert_eq!(tree.file("dst/two").unwrap(), [9; 5000]);

    sources[1].wrong_sums = 2;
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let ended = push(Client::new(&sources), ARCHIVE, &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Partial, 0));
    assert!(ended.heard.has(Tag::ErrorXfer, "two failed verification"), "{:?}", ended.heard);
}

#[test]
fn deletions_stay_below_the_destination() {
    let file = || Node::File(b"x".to_vec());
    let tree = Memory::new(&[
        ("beside", file()),
        ("dst", Node::Dir),
        ("dst/extra", file()),
        ("dst/gone", Node::Dir),
        ("dst/gone/inner", file()),
        ("dst2", file()),
    ]);
    let client = Client { deletes: true, ..Client::new(&two()) };
    let ended = push(client, "--server -vrt --delete . dst/", &tree, &settings());
    assert_eq!(ended.exit, Exit::Ok);
    let nodes = tree.nodes.lock().unwrap();
    let names: Vec<_> = nodes.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["", "beside", "dst", "dst/one", "dst/two", "dst2"]);
    assert!(ended.heard.has(Tag::Deleted, "gone/inner") && ended.heard.has(Tag::Deleted, "extra"));
}

#[test]
fn an_empty_list_does_not_empty_the_site() {
    let tree = Memory::new(&[("dst", Node::Dir), ("dst/index.html", Node::File(b"live".to_vec()))]);
    let client = Client { deletes: true, ..Client::new(&[]) };
    let ended = push(client, "--server -rt --delete . dst/", &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Partial, 0));
    assert_eq!(tree.file("dst/index.html").unwrap(), b"live");
    assert!(ended.heard.has(Tag::ErrorXfer, "not emptied"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let tree = Memory::new(&[("dst", Node::Dir)]);
    let before = tree.nodes.lock().unwrap().clone();
    // The small client sends data for what a dry run only names.
    let ended = push(Client::new(&[]), "--server -nrt . dst/", &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Ok, 0));
    assert_eq!(*tree.nodes.lock().unwrap(), before);
}

#[test]
fn a_panic_ends_this_session_alone() {
    let mut tree = Memory::new(&[("dst", Node::Dir)]);
    tree.panics_at = Some(b"dst/two".to_vec());
    let ended = push(Client::new(&two()), ARCHIVE, &tree, &settings());
    assert_eq!((ended.exit, tree.committed()), (Exit::Stream, 0));
    assert!(ended.heard.has(Tag::Error, "internal error"), "{:?}", ended.heard);
}

#[test]
fn the_client_hears_from_us_while_the_commit_takes_its_time() {
    let (heard, keepalive) = mpsc::channel();
    let mut tree = Memory::new(&[("dst", Node::Dir)]);
    let keepalive = std::sync::Mutex::new(keepalive);
    tree.verdict = Box::new(move || {
        for _ in 0..2 {
            keepalive
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(20))
                .map_err(|_| Refused::partial("silence"))?;
        }
        Ok(Committed::Done(Some("published".into())))
    });
    let on_keepalive = Box::new(move || {
        let _ = heard.send(());
    });
    let settings = Settings { keepalive: Duration::from_millis(20), ..settings() };
    let ended = push(Client { on_keepalive, ..Client::new(&two()) }, ARCHIVE, &tree, &settings);
    assert_eq!(ended.exit, Exit::Ok, "{:?}", ended.heard);
    assert!(ended.heard.has(Tag::Info, "published"));
}

#[test]
fn a_refused_command_line_is_said_on_the_error_channel() {
    let words: Vec<Vec<u8>> =
        ["--server", "--sender", "-r", ".", "x"].iter().map(|word| word.as_bytes().to_vec()).collect();
    let error = Options::parse(&words, &Limits::default()).unwrap_err();
    let (input, theirs) = std::io::pipe().unwrap();
    let (ours, output) = std::io::pipe().unwrap();
    let client = thread::spawn(move || Client { cut: 4, ..Client::new(&[]) }.run(ours, theirs));
    let exit = refuse(&error, Box::new(input), Box::new(output), &mut |_| {}, &settings());
    let (heard, _) = client.join().unwrap();
    assert_eq!(exit, Exit::Unsupported);
    assert!(heard.has(Tag::Error, error.text(Lang::En)), "{heard:?}");
    assert!(heard.lines.iter().any(|(tag, _)| *tag == Tag::ErrorExit as u8));
}
