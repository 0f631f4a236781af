//! Frames of the multiplexed stream: LE32 `(7 + tag) << 24 | length`.
//!
//! [`Input`] turns the peer's frames back into one stream of data and a list of messages;
//! [`frame`] makes ours. Imports the room's error and wire.

use std::io::{ErrorKind, Read};

use super::error::Error;
use super::wire::Take;

/// Bytes of the input buffer; the only memory an [`Input`] takes.
const BUFFER: usize = 64 * 1024;
/// Longest frame of ours: old clients copy a frame into a buffer of this size.
const FRAME: usize = 16 * 1024;
/// Messages that may wait to be looked at.
const PENDING: usize = 1 << 20;

/// Tags of frames (tag 0 is data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// Bytes of the stream.
    Data = 0,
    /// An error that leaves the transfer incomplete: the client ends with 23.
    ErrorXfer = 1,
    /// A line for the client's standard output.
    Info = 2,
    /// A line for its standard error (30 and later).
    Error = 3,
    /// A warning (30 and later).
    Warning = 4,
    /// An error of the socket between generator and receiver.
    ErrorSocket = 5,
    /// A line for the log of a daemon.
    Log = 6,
    /// A line for the client only.
    Client = 7,
    /// An error whose text is UTF-8.
    ErrorUtf8 = 8,
    /// A file to do again, between the two halves of a receiver.
    Redo = 9,
    /// Figures, between the two halves of a receiver.
    Stats = 10,
    /// The io_error bits of a side.
    IoError = 22,
    /// The daemon's timeout, told to the client (31 and later).
    IoTimeout = 33,
    /// Keepalive of protocol 30.
    Noop = 42,
    /// A side ends with this code (31 and later).
    ErrorExit = 86,
    /// A file is done: the sender may remove its source.
    Success = 100,
    /// A name was deleted.
    Deleted = 101,
    /// A file could not be opened.
    NoSend = 102,
}

/// A message of the peer that is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Tag 22: the peer's io_error bits.
    IoError(i32),
    /// Tag 102: this index could not be opened.
    NoSend(i32),
    /// Tag 86 without a code: the peer acknowledges our end. With one it ends the reading at once:
    /// the peer waits for us to hang up, be it in the middle of a file.
    Exit,
    /// Keepalive (42, or empty data).
    Noop,
}

/// The peer's bytes: plain at first, frames from [`Input::demultiplex`] on. Buffered; memory is
/// one buffer whatever the frames say.
pub struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// `Some(protocol)` once the stream is framed.
    framed: Option<u8>,
    /// Data bytes left of the current frame.
    left: usize,
    messages: Vec<Message>,
}

impl<R> std::fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("framed", &self.framed)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Input<R> {
    /// Plain reading of a stream.
    pub fn new(inner: R) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { inner, buffer, start: 0, end: 0, framed: None, left: 0, messages: Vec::new() }
    }

    /// From here on the stream is framed (protocol >= 30 both ways).
    pub fn demultiplex(&mut self, protocol: u8) {
        self.framed = Some(protocol);
    }

    /// Messages that came since the last call, in order.
    pub fn messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Whether [`Input::messages`] has something; costs nothing.
    pub fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// The stream below, to change its deadline.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Up to `buffer.len()` data bytes, at least one; 0 at the end of the stream.
    pub fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let bytes = self.peek(buffer.len())?;
        let n = bytes.len();
        if let Some(target) = buffer.get_mut(..n) {
            target.copy_from_slice(bytes);
        }
        self.consume(n);
        Ok(n)
    }

    /// The next data bytes already in the buffer, at most `max`, at least one (for copying
    /// without another buffer). Empty at the end of the stream and if `max` is 0.
    pub fn peek(&mut self, max: usize) -> Result<&[u8], Error> {
        if max == 0 || !self.at_data()? {
            return Ok(&[]);
        }
        Ok(self.ready(max))
    }

    /// Takes `n` of what [`Input::peek`] showed.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.ready(usize::MAX).len());
        self.start += n;
        if self.framed.is_some() {
            self.left -= n;
        }
    }

    /// Data bytes at hand, at most `max`.
    fn ready(&self, max: usize) -> &[u8] {
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        let frame = if self.framed.is_some() { self.left } else { usize::MAX };
        held.get(..max.min(frame)).unwrap_or(held)
    }

    /// Reads on until a data byte is at hand. `false` at the end of the stream.
    fn at_data(&mut self) -> Result<bool, Error> {
        while self.framed.is_some() && self.left == 0 {
            if !self.header()? {
                return Ok(false);
            }
        }
        if self.start < self.end || self.refill()? {
            return Ok(true);
        }
        if self.framed.is_some() { Err(cut()) } else { Ok(false) }
    }

    /// Reads from the stream into an empty buffer. `false` at its end.
    fn refill(&mut self) -> Result<bool, Error> {
        self.start = 0;
        self.end = 0;
        loop {
            match self.inner.read(&mut self.buffer) {
                Ok(n) => {
                    self.end = n.min(self.buffer.len());
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Raw bytes, whatever the framing.
    fn raw(&mut self, target: &mut [u8]) -> Result<(), Error> {
        let mut rest = target;
        while !rest.is_empty() {
            if self.start == self.end && !self.refill()? {
                return Err(cut());
            }
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            let n = held.len().min(rest.len());
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(held.get(..n).unwrap_or_default());
            self.start += n;
            rest = later;
        }
        Ok(())
    }

    /// Reads one header, and the payload of a message. `false` at the end of the stream.
    fn header(&mut self) -> Result<bool, Error> {
        if self.start == self.end && !self.refill()? {
            return Ok(false);
        }
        let mut four = [0; 4];
        self.raw(&mut four)?;
        let [b0, b1, b2, tag] = four;
        let length = u32::from_le_bytes([b0, b1, b2, 0]);
        if tag == 7 && length > 0 {
            self.left = length as usize;
            return Ok(true);
        }
        let message = self.message(tag, length)?;
        if self.messages.len() >= PENDING {
            return Err(Error::protocol("too many messages between data"));
        }
        if message != Message::Noop || self.messages.last() != Some(&Message::Noop) {
            self.messages.push(message);
        }
        Ok(true)
    }

    /// The message behind a header; what only a receiver may say breaks the protocol.
    fn message(&mut self, tag: u8, length: u32) -> Result<Message, Error> {
        match (tag.wrapping_sub(7), length) {
            (0 | 42, 0) => Ok(Message::Noop),
            (22, 4) => Ok(Message::IoError(self.payload()?)),
            (102, 4) => Ok(Message::NoSend(self.payload()?)),
            (86, 0) if self.framed >= Some(31) => Ok(Message::Exit),
            (86, 4) if self.framed >= Some(31) => match self.payload()? {
                0 => Ok(Message::Exit),
                code => Err(Error::theirs(code)),
            },
            (other, _) => Err(Error::protocol(format!("an unexpected frame (tag {other}, {length} bytes)"))),
        }
    }

    fn payload(&mut self) -> Result<i32, Error> {
        let mut four = [0; 4];
        self.raw(&mut four)?;
        Ok(i32::from_le_bytes(four))
    }
}

impl<R: Read> Take for Input<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let n = self.some(rest)?;
            if n == 0 {
                return Err(cut());
            }
            rest = rest.get_mut(n..).unwrap_or_default();
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let Some(byte) = self.peek(1)?.first().copied() else { return Err(cut()) };
        self.consume(1);
        Ok(byte)
    }

    fn skip(&mut self, mut n: u64) -> Result<(), Error> {
        while n > 0 {
            let piece = self.peek(usize::try_from(n).unwrap_or(usize::MAX))?.len();
            if piece == 0 {
                return Err(cut());
            }
            self.consume(piece);
            n -= piece as u64;
        }
        Ok(())
    }
}

/// The stream ended where more was due.
fn cut() -> Error {
    std::io::Error::from(ErrorKind::UnexpectedEof).into()
}

/// Appends a payload in frames of at most 16 KiB; an empty one makes one empty frame.
pub fn frame(tag: Tag, payload: &[u8], out: &mut Vec<u8>) {
    let mut rest = payload;
    loop {
        let (now, later) = rest.split_at(rest.len().min(FRAME));
        out.extend_from_slice(&header(tag, now.len()));
        out.extend_from_slice(now);
        if later.is_empty() {
            return;
        }
        rest = later;
    }
}

/// The four bytes before a payload of at most 16 MiB - 1.
fn header(tag: Tag, length: usize) -> [u8; 4] {
    let [b0, b1, b2, ..] = length.to_le_bytes();
    [b0, b1, b2, 7 + tag as u8]
}

#[cfg(test)]
mod tests {
    use super::super::error::Exit;
    use proptest::prelude::*;

    use super::*;

    /// Gives one byte at a time, so that every boundary is a boundary of a read.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(1).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn framed(bytes: &[u8], protocol: u8) -> Input<Drip<'_>> {
        let mut input = Input::new(Drip(bytes));
        input.demultiplex(protocol);
        input
    }

    #[test]
    fn plain_bytes_then_frames_with_messages_between() {
        let mut bytes = vec![1, 2, 3, 4];
        frame(Tag::Data, &[5, 6], &mut bytes);
        frame(Tag::NoSend, &7i32.to_le_bytes(), &mut bytes);
        frame(Tag::Data, &[], &mut bytes);
        frame(Tag::Noop, &[], &mut bytes);
        frame(Tag::IoError, &1i32.to_le_bytes(), &mut bytes);
        frame(Tag::Data, &[8, 9], &mut bytes);
        frame(Tag::ErrorExit, &[], &mut bytes);
        let mut input = Input::new(Drip(&bytes));
        assert_eq!(input.int().unwrap(), 0x0403_0201);
        input.demultiplex(31);
        assert_eq!(input.int().unwrap(), 0x0908_0605);
        let messages = [Message::NoSend(7), Message::Noop, Message::IoError(1)];
        assert_eq!(input.messages(), messages);
        assert_eq!(input.some(&mut [0; 9]).unwrap(), 0);
        assert_eq!(input.messages(), [Message::Exit]);
    }

    #[test]
    fn a_frame_is_never_passed_by_what_is_at_hand() {
        let mut bytes = Vec::new();
        frame(Tag::Data, b"abc", &mut bytes);
        frame(Tag::Data, b"def", &mut bytes);
        let mut input = Input::new(&bytes[..]);
        input.demultiplex(30);
        assert_eq!(input.peek(100).unwrap(), b"abc");
        input.consume(2);
        assert_eq!(input.peek(100).unwrap(), b"c");
        input.consume(100);
        assert_eq!(input.bytes(3).unwrap(), b"def");
    }

    #[test]
    fn what_a_sender_never_says_breaks_the_protocol() {
        for (tag, payload) in [
            (Tag::Info, &b"hi"[..]),
            (Tag::Success, &[0; 4]),
            (Tag::Redo, &[0; 4]),
            (Tag::NoSend, &[0; 3]),
            (Tag::IoError, &[]),
            (Tag::Noop, &[1]),
        ] {
            let mut bytes = Vec::new();
            frame(tag, payload, &mut bytes);
            assert!(framed(&bytes, 32).byte().is_err(), "{tag:?}");
        }
        assert!(framed(&[0xFF, 0xFF, 0xFF, 0], 32).byte().is_err());
        let mut exit = Vec::new();
        frame(Tag::ErrorExit, &[0; 4], &mut exit);
        assert!(framed(&exit, 30).byte().is_err());
    }

    #[test]
    fn a_peer_that_ends_is_not_waited_for() {
        let mut bytes = Vec::new();
        frame(Tag::Data, b"ab", &mut bytes);
        frame(Tag::ErrorExit, &20i32.to_le_bytes(), &mut bytes);
        frame(Tag::Data, b"cd", &mut bytes);
        let mut input = framed(&bytes, 31);
        assert_eq!(input.bytes(2).unwrap(), b"ab");
        assert_eq!(input.byte().unwrap_err().exit, Exit::Signal);
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error_or_an_end() {
        let mut bytes = Vec::new();
        frame(Tag::Data, b"abcdef", &mut bytes);
        frame(Tag::IoError, &[0; 4], &mut bytes);
        for cut in 0..bytes.len() {
            let mut input = framed(&bytes[..cut], 31);
            let got = input.bytes(6);
            assert_eq!(got.is_ok(), cut >= 10, "{cut}");
            if got.is_ok() {
                assert_eq!(matches!(input.some(&mut [0; 1]), Ok(0)), cut == 10, "{cut}");
            }
        }
    }

    #[test]
    fn a_huge_frame_takes_no_memory() {
        let mut bytes = vec![0xFF, 0xFF, 0xFF, 7];
        bytes.extend_from_slice(&[b'x'; 1000]);
        let mut input = Input::new(&bytes[..]);
        input.demultiplex(31);
        assert_eq!(input.peek(usize::MAX).unwrap().len(), 1000);
        assert_eq!(input.buffer.len(), BUFFER);
    }

    proptest! {
        #[test]
        fn data_comes_back_whatever_the_frames(data: Vec<u8>, sizes in proptest::collection::vec(1usize..9, 1..9)) {
            let (mut bytes, mut rest, mut sizes) = (Vec::new(), &data[..], sizes.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                frame(Tag::Data, now, &mut bytes);
                rest = later;
            }
            prop_assert_eq!(framed(&bytes, 30).bytes(data.len()).unwrap(), data);
        }

        #[test]
        fn no_frames_panic(bytes: Vec<u8>, protocol in 30u8..=32) {
            let mut input = framed(&bytes, protocol);
            while let Ok(n) = input.some(&mut [0; 7]) {
                if n == 0 { break; }
            }
        }
    }
}
