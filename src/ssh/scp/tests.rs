//! The far side of scp, byte by byte. What stock clients make of it is tested with them.

use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::model::{Lang, Via};
use crate::ssh::io::{In, Out};
use crate::ssh::rig::{Arrived, GOOD, REFUSED, Rig};

/// A transfer in which the client says everything at once; what it is answered.
struct Said {
    status: u32,
    out: String,
    errors: String,
}

fn context() -> Context {
    Context { lang: Lang::Es, verdict_wait: Duration::from_secs(60) }
}

fn start(rig: &Rig, words: &str) -> (mpsc::Sender<In>, mpsc::Receiver<Out>, thread::JoinHandle<u32>) {
    let (mut io, to, from) = Io::pair(256);
    let view = rig.view(Via::Scp);
    let args: Vec<_> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    (to, from, thread::spawn(move || sink(&args, &mut io, view, &context())))
}

fn say(rig: &Rig, words: &str, bytes: &[u8], step: usize) -> Said {
    let (to, mut from, server) = start(rig, words);
    for part in bytes.chunks(step) {
        let _ = to.blocking_send(In::Data(Bytes::copy_from_slice(part)));
    }
    let _ = to.blocking_send(In::Eof);
    let (mut out, mut errors) = (String::new(), String::new());
    while let Some(answer) = from.blocking_recv() {
        match answer {
            Out::Data(bytes) => out += std::str::from_utf8(&bytes).unwrap(),
            Out::Error(bytes) => errors += std::str::from_utf8(&bytes).unwrap(),
        }
    }
    Said { status: server.join().unwrap(), out, errors }
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    [format!("C0644 {} {name}\n", data.len()).as_bytes(), data, b"\0"].concat()
}

#[test]
fn a_file_is_taken_however_the_network_cuts_it() {
    for step in [1, 2, 7, 100] {
        let rig = Rig::new();
        let words = [b"T1700000000 0 1700000000 0\n", &file("corte.tar.gz", GOOD)[..]].concat();
        let said = say(&rig, "-p -t .", &words, step);
        assert_eq!((said.status, said.out.as_str()), (0, "\0\0\0\0"));
        assert!(said.errors.starts_with("publicado"), "{}", said.errors);
        assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
    }
}

#[test]
fn a_refusal_is_a_warning_and_the_next_file_is_taken() {
    let rig = Rig::new();
    let words = [file("uno.tar.gz", REFUSED), file("dos.tar.gz", GOOD)].concat();
    let said = say(&rig, "-t .", &words, 4096);
    assert_eq!(said.status, 1);
    let (before, after) = said.out.split_once("\x01scp: rechazado en integridad: ").unwrap();
    assert_eq!((before, &after[after.len() - 3..]), ("\0\0", "\n\0\0"));
    assert_eq!(rig.arrived().len(), 2);
}

#[test]
fn a_single_file_takes_the_name_of_a_target_that_is_no_folder() {
    let rig = Rig::new();
    assert_eq!(say(&rig, "-t final.tar.gz", &file("local.tar.gz", GOOD), 4096).status, 0);
    assert_eq!(rig.arrived(), [Arrived::package("final.tar.gz", GOOD)]);
    let said = say(&rig, "-d -t falta", &file("local.tar.gz", GOOD), 4096);
    assert_eq!((said.status, said.out.starts_with("\x02scp: falta: ")), (1, true), "{}", said.out);
    assert_eq!(say(&rig, "-t falta/", &file("local.tar.gz", GOOD), 4096).status, 1);
    assert_eq!(rig.arrived().len(), 1);
}

#[test]
fn a_transfer_cut_short_is_no_package() {
    let rig = Rig::new();
    let words = file("corte.tar.gz", GOOD);
    for cut in 1..words.len() - 1 {
        let said = say(&rig, "-t .", &words[..cut], 4096);
        assert_eq!(said.status, 1, "cut at {cut}");
    }
    let (to, from, server) = start(&rig, "-t .");
    to.blocking_send(In::Data(Bytes::copy_from_slice(&words[..words.len() - 1]))).unwrap();
    drop((to, from));
    assert_eq!(server.join().unwrap(), 1);
    assert_eq!(rig.arrived(), []);
}

#[test]
fn libssh2_ends_without_the_last_byte_of_the_protocol() {
    let rig = Rig::new();
    let mut words = file("corte.tar.gz", GOOD);
    words.pop();
    assert_eq!(say(&rig, "-t corte.tar.gz", &words, 4096).status, 0);
    assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

#[test]
fn a_file_that_the_client_could_not_read_is_no_package() {
    let rig = Rig::new();
    let mut words = file("corte.tar.gz", GOOD);
    words.pop();
    words.extend_from_slice(b"\x01scp: corte.tar.gz: Input/output error\n");
    let said = say(&rig, "-t .", &words, 4096);
    assert_eq!((said.status, said.out.contains("no llegó completo")), (1, true));
    assert_eq!(rig.arrived(), []);
}

#[test]
fn a_tree_is_committed_at_the_clean_end() {
    let rig = Rig::new();
    let words = [b"D0755 0 datos\n", &file("a.json", b"{}")[..], b"E\n", &file("i.html", b"")].concat();
    let said = say(&rig, "-r -t sitio", &words, 4096);
    assert_eq!((said.status, said.out.as_str()), (0, "\0\0\0\0\0\0\0"));
    assert!(said.errors.starts_with("publicado"), "{}", said.errors);
    assert_eq!(rig.arrived(), [Arrived::tree(&["datos/a.json", "i.html"])]);
}

#[test]
fn a_tree_with_a_hole_is_not_committed() {
    let whole = [b"D0755 0 datos\n", &file("a.json", b"{}")[..], b"E\n"].concat();
    let unread = [&whole[..], b"\x01scp: b.json: Permission denied\n"].concat();
    let open = &whole[..whole.len() - 2];
    for words in [&unread[..], open, &whole[..whole.len() - 4]] {
        let rig = Rig::new();
        let said = say(&rig, "-r -t sitio", words, 4096);
        assert_eq!(said.status, 1);
        assert!(said.errors.contains("nada de lo escrito en el sitio"), "{}", said.errors);
        assert_eq!(rig.arrived(), []);
    }
}

#[test]
fn what_is_not_served_is_refused_in_one_sentence() {
    let rig = Rig::new();
    let said = say(&rig, "-f corte.tar.gz", b"\0", 4096);
    assert_eq!(said.status, 1);
    assert!(said.out.starts_with("\x02scp: aquí solo se reciben archivos"), "{}", said.out);
    for words in [&b"C0644 1 ../x\n"[..], b"C0644 1 a/b\n", b"D0755 0 d\n", b"ls\n", &[b'C'; 9000]] {
        let said = say(&rig, "-t .", words, 4096);
        assert_eq!((said.status, said.out.starts_with("\0\x02scp: ")), (1, true), "{}", said.out);
    }
    let deep = b"D0755 0 d\n".repeat(DEPTH_MAX + 1);
    assert_eq!(say(&rig, "-r -t sitio", &deep, 4096).status, 1);
    assert_eq!(rig.arrived(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nonsense_ends_without_a_package(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"CDET0123 \n\0\x01a."[..])], 0..200),
        step in 1..50_usize,
    ) {
        let rig = Rig::new();
        say(&rig, "-r -t .", &bytes, step);
        prop_assert_eq!(rig.arrived().len(), 0);
    }
}
