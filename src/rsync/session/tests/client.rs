//! A small client of protocol 31 (md5, no compression, no capabilities): enough to push files,
//! and to misbehave where a test asks for it.

use std::io::{PipeReader, PipeWriter, Read, Write};

use crate::rsync::checksum::{Algorithm, FileSum};
use crate::rsync::mux::{Tag, frame};
use crate::rsync::wire::{NDX_DONE, NdxReader, NdxWriter, put_int, put_short, put_varlong};

const MTIME: i64 = 1_600_000_000;

/// A file and what the client does when it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// Sums that are sent wrong, first ones first.
    pub(super) wrong_sums: u32,
    /// It can not be opened.
    pub(super) unreadable: bool,
}

impl Source {
    pub(super) fn new(name: &'static str, bytes: &[u8]) -> Self {
        Self { name, bytes: bytes.to_vec(), wrong_sums: 0, unreadable: false }
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Lines by tag, without their ends.
    pub(super) lines: Vec<(u8, String)>,
    pub(super) keepalives: u32,
    pub(super) done: u32,
    pub(super) successes: Vec<i32>,
}

impl Heard {
    pub(super) fn has(&self, tag: Tag, text: &str) -> bool {
        self.lines.iter().any(|(heard, line)| *heard == tag as u8 && line.contains(text))
    }
}

/// Writes until a number of bytes, then closes.
struct Wire {
    pipe: Option<PipeWriter>,
    left: usize,
}

impl Wire {
    fn send(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(self.left);
        self.left -= n;
        if let Some(pipe) = &mut self.pipe {
            // The server may be gone, which is for the test to judge.
            let _ = pipe.write_all(&bytes[..n]);
        }
        if n < bytes.len() {
            self.pipe = None;
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        frame(Tag::Data, bytes, &mut out);
        self.send(&out);
    }
}

pub(super) struct Client {
    pub(super) sources: Vec<Source>,
    pub(super) deletes: bool,
    /// Bytes after which it hangs up.
    pub(super) cut: usize,
    /// Told of each keepalive.
    pub(super) on_keepalive: Box<dyn FnMut() + Send>,
}

impl Client {
    pub(super) fn new(sources: &[Source]) -> Self {
        let sources = sources.to_vec();
        Self { sources, deletes: false, cut: usize::MAX, on_keepalive: Box::new(|| {}) }
    }

    /// Plays the client to the end of the stream. Gives what it heard and how much it said.
    pub(super) fn run(mut self, output: PipeReader, input: PipeWriter) -> (Heard, usize) {
        let mut wire = Wire { pipe: Some(input), left: self.cut };
        let before = self.cut;
        let mut ears = Ears { pipe: output, data: Vec::new(), heard: Heard::default() };
        // A server that hangs up early ends the play, not the test.
        let _ = self.play(&mut wire, &mut ears);
        let said = before - wire.left;
        wire.pipe = None;
        while ears.frame(&mut self.on_keepalive).is_some() {}
        (ears.heard, said)
    }

    fn play(&mut self, wire: &mut Wire, ears: &mut Ears) -> Option<()> {
        wire.send(&31i32.to_le_bytes());
        // Version, flags (none), seed.
        ears.raw(4)?;
        assert_eq!(ears.raw(1)?, [0], "no capability was offered, none may be set");
        ears.raw(4)?;
        if self.deletes {
            wire.data(&0i32.to_le_bytes());
        }
        wire.data(&self.list());
        let (mut reader, mut writer) = (NdxReader::new(31), NdxWriter::new(31));
        loop {
            let ndx = ears.ndx(&mut reader, &mut self.on_keepalive)?;
            let mut answer = Vec::new();
            if ndx == NDX_DONE {
                ears.heard.done += 1;
                if ears.heard.done == 5 {
                    return Some(());
                }
                writer.write(NDX_DONE, &mut answer);
                wire.data(&answer);
                continue;
            }
            let flags = ears.take(2, &mut self.on_keepalive)?;
            let flags = u16::from_le_bytes([flags[0], flags[1]]);
            let item = |answer: &mut Vec<u8>, writer: &mut NdxWriter| {
                writer.write(ndx, answer);
                put_short(answer, flags);
            };
            if flags & 0x8000 == 0 {
                item(&mut answer, &mut writer);
                wire.data(&answer);
                continue;
            }
            let head = ears.take(16, &mut self.on_keepalive)?;
            let count = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let strong = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
            ears.take((count * (4 + strong)) as usize, &mut self.on_keepalive)?;
            // The root has index 0.
            let source = &mut self.sources[ndx as usize - 1];
            if source.unreadable {
                frame(Tag::NoSend, &ndx.to_le_bytes(), &mut answer);
                wire.send(&answer);
                continue;
            }
            item(&mut answer, &mut writer);
            answer.extend_from_slice(&head);
            if !source.bytes.is_empty() {
                put_int(&mut answer, source.bytes.len() as i32);
                answer.extend_from_slice(&source.bytes);
            }
            put_int(&mut answer, 0);
            let mut sum = FileSum::new(Algorithm::Md5, 31, 0);
            sum.update(&source.bytes);
            let mut sum = sum.finish().as_bytes().to_vec();
            if source.wrong_sums > 0 {
                source.wrong_sums -= 1;
                sum[0] ^= 1;
            }
            answer.extend_from_slice(&sum);
            wire.data(&answer);
        }
    }

    /// The root and the files, which must come in order.
    fn list(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut entry = |flags: u8, name: &str, size: usize, mode: i32| {
            out.push(flags);
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            put_varlong(&mut out, size as i64, 3);
            put_varlong(&mut out, MTIME, 4);
            put_int(&mut out, mode);
        };
        entry(1, ".", 4096, 0o040_755);
        for source in &self.sources {
            // Flags of no bit would be the end of the list.
            let extended = 1 << 4;
            entry(extended, source.name, source.bytes.len(), 0o100_644);
        }
        out.push(0);
        out
    }
}

struct Ears {
    pipe: PipeReader,
    data: Vec<u8>,
    heard: Heard,
}

impl Ears {
    fn raw(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.pipe.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    fn frame(&mut self, on_keepalive: &mut dyn FnMut()) -> Option<()> {
        let head = self.raw(4)?;
        let payload = self.raw(u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize)?;
        match head[3] - 7 {
            0 if payload.is_empty() => {
                self.heard.keepalives += 1;
                on_keepalive();
            }
            0 => self.data.extend_from_slice(&payload),
            100 => self.heard.successes.push(i32::from_le_bytes(payload.try_into().unwrap())),
            tag => {
                let text = String::from_utf8_lossy(&payload);
                self.heard.lines.push((tag, text.trim_end().to_owned()));
                // As stock: told to exit, it does.
                if tag == Tag::ErrorExit as u8 {
                    return None;
                }
            }
        }
        Some(())
    }

    fn take(&mut self, n: usize, on_keepalive: &mut dyn FnMut()) -> Option<Vec<u8>> {
        while self.data.len() < n {
            self.frame(on_keepalive)?;
        }
        Some(self.data.drain(..n).collect())
    }

    fn ndx(&mut self, reader: &mut NdxReader, on_keepalive: &mut dyn FnMut()) -> Option<i32> {
        loop {
            let (mut slice, mut ahead) = (&self.data[..], *reader);
            if let Ok(ndx) = ahead.read(&mut slice) {
                let used = self.data.len() - slice.len();
                self.data.drain(..used);
                *reader = ahead;
                return Some(ndx);
            }
            self.frame(on_keepalive)?;
        }
    }
}
