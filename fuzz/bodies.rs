//! What each fuzz target does with its bytes; the corpus in git is replayed through the same.
//!
//! The first bytes choose the protocol and the options, the rest is what the peer sends. Nothing may
//! panic, and nothing may go on for ever: every body reads a slice to its end at most.

#![allow(dead_code, reason = "each target uses one of them")]

use std::io::{self, Read};

use difusor::rsync::daemon::{Module, Modules, greet};
use difusor::rsync::filter::Rules;
use difusor::rsync::flist::{FileList, Shape};
use difusor::rsync::mux::Input;
use difusor::rsync::options::lex;
use difusor::rsync::signature::SumHead;
use difusor::rsync::token::{Compression, Decoder, Token};
use difusor::rsync::{Lang, Limits, Options};

type Body = fn(&[u8]);

/// Every target by its name.
pub const ALL: [(&str, Body); 6] = [
    ("flist", flist),
    ("mux", mux),
    ("tokens", tokens),
    ("arguments", arguments),
    ("filters", filters),
    ("greeting", greeting),
];

fn limits() -> Limits {
    Limits { entries: 20_000, list_bytes: 16 << 20, file_bytes: 1 << 20, ..Limits::default() }
}

fn protocol(byte: u8) -> u8 {
    27 + byte % 6
}

/// Options from a byte: each bit a letter that changes the list's form.
fn options(bits: u8, more: u8) -> Option<Options> {
    let mut letters = b"-rt".to_vec();
    letters.extend((0..8).filter(|bit| bits >> bit & 1 == 1).map(|bit| b"logDHcAX"[bit]));
    let mut words = vec![b"--server".to_vec(), letters];
    for (bit, word) in
        ["--numeric-ids", "--delete", "-R", "-U", "--iconv=utf-8", "-d", "-m", "-z"].iter().enumerate()
    {
        if more >> bit & 1 == 1 {
            words.push(word.as_bytes().to_vec());
        }
    }
    words.extend([b".".to_vec(), b"/dest".to_vec()]);
    Options::parse(&words, &limits()).ok()
}

/// A file list: protocol, two bytes of options, form, then the wire.
pub fn flist(data: &[u8]) {
    let [version, bits, more, form, wire @ ..] = data else { return };
    let Some(options) = options(*bits, *more) else { return };
    let shape = Shape {
        protocol: protocol(*version),
        varint_flags: form & 1 == 1,
        safe_flist: form & 2 == 2,
        id0_names: form & 4 == 4,
        sum_len: if form & 8 == 8 { 8 } else { 16 },
    };
    let mut input = Input::new(wire);
    let Ok(list) = FileList::read(&mut input, &options, &shape, &limits()) else { return };
    for (_, entry) in list.iter() {
        let _ = (entry.name(), entry.kind(), entry.size(), entry.mtime(), entry.mode(), entry.leader());
    }
}

/// Frames, read in pieces of a size that the first byte chooses.
pub fn mux(data: &[u8]) {
    let [version, piece, wire @ ..] = data else { return };
    let mut input = Input::new(wire);
    input.demultiplex(protocol(*version).max(30));
    let mut buffer = vec![0; usize::from(*piece) + 1];
    while matches!(input.some(&mut buffer), Ok(1..)) {
        input.messages();
    }
}

/// Tokens of one compression against a head that the data chooses too.
pub fn tokens(data: &[u8]) {
    let [which, count, block, wire @ ..] = data else { return };
    let names: [&[u8]; 5] = [b"none", b"zlib", b"zlibx", b"zstd", b"lz4"];
    let name = names[usize::from(*which) % names.len()];
    let Some(compression) = Compression::from_name(name) else { return };
    let mut decoder = Decoder::new(compression, &limits());
    let head =
        SumHead { count: u32::from(*count), block: 1 + u32::from(*block) * 64, strong: 16, remainder: 0 };
    let mut input = Input::new(wire);
    // zstd's stream spans files.
    for _ in 0..3 {
        decoder.begin(&head);
        loop {
            let (first, blocks) = match decoder.next(&mut input) {
                Ok(Token::Literal(_)) => continue,
                Ok(Token::Blocks { first, count }) => (first, count),
                Ok(Token::End) => break,
                Err(_) => return,
            };
            assert!(first.checked_add(blocks).is_some_and(|end| end <= head.count), "blocks that nobody has");
            if decoder.wants_blocks() && decoder.saw_block(&vec![7; head.block as usize]).is_err() {
                return;
            }
        }
    }
}

/// A command line as the shell would split it, and then as options.
pub fn arguments(data: &[u8]) {
    let Ok(words) = lex(data, &limits()) else { return };
    if let Ok(options) = Options::parse(&words, &limits()) {
        let _ = options.parse_secluded(&words, &limits());
    }
    let words: Vec<Vec<u8>> = data.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let _ = Options::parse(&words, &limits());
}

/// A filter list, and what it says of names.
pub fn filters(data: &[u8]) {
    let [version, more, wire @ ..] = data else { return };
    let Some(options) = options(0, *more) else { return };
    let mut input = Input::new(wire);
    let Ok(rules) = Rules::read(&mut input, &options, protocol(*version), &limits()) else { return };
    for name in [&b"a"[..], b"a.tmp", b"data/deep/a/b", b"\xff/x", b"a/b/c/d/e/f", &[b'a'; 255]] {
        rules.protects(name, false);
        rules.protects(name, true);
    }
}

/// What a daemon's caller says, with a module that asks for a password if the first byte is odd.
pub fn greeting(data: &[u8]) {
    let [asks, wire @ ..] = data else { return };
    let _ = greet(&mut Slow(wire), &mut io::sink(), &One { auth: asks & 1 == 1 }, &limits(), Lang::En);
}

struct One {
    auth: bool,
}

impl Modules for One {
    fn motd(&self) -> Vec<String> {
        vec!["hello".to_owned()]
    }
    fn list(&self) -> Vec<(String, String)> {
        vec![("drop".to_owned(), "comment".to_owned())]
    }
    fn find(&self, name: &[u8]) -> Option<Module> {
        (name == b"drop").then(|| Module { auth: self.auth, ..Module::default() })
    }
    fn enter(&self, _: &[u8]) -> Result<(), u32> {
        Ok(())
    }
    fn secret(&self, _: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        (user == b"prep").then(|| b"secret".to_vec())
    }
    fn random(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// A reader that gives a few bytes at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(3);
        self.0.read(&mut buffer[..most])
    }
}
