//! SFTP requests, parsed straight out of the channel.
//!
//! Owns the numbers of draft-ietf-secsh-filexfer-02 and the names of OpenSSH's PROTOCOL
//! file that a client may send, and the bounds on what it may declare. The one flow:
//! [`receive`] frames a packet and parses it; [`piece`] hands out the data of a write.
//! A packet that does not parse is skipped to its last byte, so the next one is read
//! from its first; one longer than [`PACKET_MAX`] ends the session, because where the
//! next begins would be the peer's word.

use std::io::{self, Read as _};

use bytes::Bytes;

use crate::ssh::io::{Gone, Io};

/// Longest packet that a client which asks for our limits will send (OpenSSH's own bound).
pub(super) const PACKET_ADVERTISED: u64 = 256 * 1024;
/// Longest data of one read or write: a packet less its header.
pub(super) const DATA_MAX: u32 = 255 * 1024;
/// Longest packet taken: the advertised bound, and slack for clients that count only the data.
const PACKET_MAX: u32 = 256 * 1024 + 4096;
/// Longest path, as Linux has it.
const PATH_MAX: usize = 4096;
/// Longest name of an extension that is worth reading.
const EXTENSION_NAME_MAX: usize = 256;
/// Length of our handles; all others are foreign.
pub(super) const HANDLE_LENGTH: usize = 8;

const SSH_FXP_INIT: u8 = 1;
const SSH_FXP_OPEN: u8 = 3;
const SSH_FXP_CLOSE: u8 = 4;
const SSH_FXP_READ: u8 = 5;
const SSH_FXP_WRITE: u8 = 6;
const SSH_FXP_LSTAT: u8 = 7;
const SSH_FXP_FSTAT: u8 = 8;
const SSH_FXP_SETSTAT: u8 = 9;
const SSH_FXP_FSETSTAT: u8 = 10;
const SSH_FXP_OPENDIR: u8 = 11;
const SSH_FXP_READDIR: u8 = 12;
const SSH_FXP_REMOVE: u8 = 13;
const SSH_FXP_MKDIR: u8 = 14;
const SSH_FXP_RMDIR: u8 = 15;
const SSH_FXP_REALPATH: u8 = 16;
const SSH_FXP_STAT: u8 = 17;
const SSH_FXP_RENAME: u8 = 18;
const SSH_FXP_READLINK: u8 = 19;
const SSH_FXP_SYMLINK: u8 = 20;
const SSH_FXP_EXTENDED: u8 = 200;

pub(super) const ATTR_SIZE: u32 = 0x1;
pub(super) const ATTR_UIDGID: u32 = 0x2;
pub(super) const ATTR_PERMISSIONS: u32 = 0x4;
pub(super) const ATTR_ACMODTIME: u32 = 0x8;

/// Flags of OPEN (section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFlags(pub(super) u32);

impl OpenFlags {
    pub(super) const WRITE: u32 = 0x02;
    pub(super) const APPEND: u32 = 0x04;
    pub(super) const CREATE: u32 = 0x08;
    pub(super) const TRUNCATE: u32 = 0x10;
    pub(super) const EXCLUSIVE: u32 = 0x20;

    pub(super) fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// The attributes of a request that are honoured. Owner and mode are read and forgotten:
/// everything here is public and belongs to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) size: Option<u64>,
    /// Seconds since 1970.
    pub(super) mtime: Option<i64>,
}

/// A handle as the peer names it; `None` for one that cannot be ours.
pub(super) type HandleName = Option<[u8; HANDLE_LENGTH]>;

/// What is asked. Paths are bytes: a name in Latin-1 stays what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Open {
        path: Vec<u8>,
        flags: OpenFlags,
        wish: Wish,
    },
    Close {
        handle: HandleName,
    },
    Read {
        handle: HandleName,
        offset: u64,
        length: u32,
    },
    /// The data has not been read: so many bytes of it wait in the channel.
    Write {
        handle: HandleName,
        offset: u64,
        length: usize,
    },
    Stat {
        path: Vec<u8>,
    },
    Fstat {
        handle: HandleName,
    },
    Setstat {
        path: Vec<u8>,
        wish: Wish,
    },
    Fsetstat {
        handle: HandleName,
        wish: Wish,
    },
    Opendir {
        path: Vec<u8>,
    },
    Readdir {
        handle: HandleName,
    },
    Remove {
        path: Vec<u8>,
    },
    Mkdir {
        path: Vec<u8>,
    },
    Rmdir {
        path: Vec<u8>,
    },
    Realpath {
        path: Vec<u8>,
    },
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
        target: Target,
    },
    Link,
    Fsync {
        handle: HandleName,
    },
    Space,
    Limits,
    Unknown,
}

/// What a rename does with a file that has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Fails, as plain RENAME does.
    Keep,
    /// Replaces it, as posix-rename@openssh.com does.
    Replace,
}

/// One packet of the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The first of a session.
    Init,
    /// A request that wants exactly one reply with its id.
    Request {
        id: u32,
        /// `None` if its fields did not fit into it.
        request: Option<Request>,
        /// Bytes of it that are still in the channel: a write's data and what follows it.
        left: usize,
    },
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer's end of file, between two packets.
    Clean,
    /// The peer's end of file in the middle of a packet.
    Torn,
    /// The connection went away.
    Gone,
    /// What came was not SFTP.
    Garbage,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Torn } else { Self::Gone }
    }
}

/// Reads the next packet, except for the data of a write.
pub(super) fn receive(io: &mut Io) -> Result<Packet, End> {
    let Some(first) = io.next()? else { return Err(End::Clean) };
    io.put_back(first);
    let mut head = [0; 5];
    io.read_exact(&mut head)?;
    let [a, b, c, d, kind] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    // Every packet holds its type and an id (INIT: the version) of four bytes.
    if !(5..=PACKET_MAX).contains(&length) {
        return Err(End::Garbage);
    }
    let mut fields = Fields { io, left: length as usize - 1 };
    let id = fields.u32().map_err(Unparsed::end)?;
    if kind == SSH_FXP_INIT {
        fields.skip()?;
        return Ok(Packet::Init);
    }
    let request = match parse(kind, &mut fields) {
        Ok(request) => Some(request),
        Err(Unparsed::Misfit) => None,
        Err(Unparsed::End(end)) => return Err(end),
    };
    if !matches!(request, Some(Request::Write { .. })) {
        fields.skip()?;
    }
    Ok(Packet::Request { id, request, left: fields.left })
}

/// The next piece of what is left of a packet, as it came from the network; `None` when
/// nothing is.
pub(super) fn piece(io: &mut Io, left: &mut usize) -> Result<Option<Bytes>, End> {
    if *left == 0 {
        return Ok(None);
    }
    let mut bytes = io.next()?.ok_or(End::Torn)?;
    if bytes.len() > *left {
        io.put_back(bytes.split_off(*left));
    }
    *left -= bytes.len();
    Ok(Some(bytes))
}

fn parse(kind: u8, fields: &mut Fields<'_>) -> Result<Request, Unparsed> {
    Ok(match kind {
        SSH_FXP_OPEN => {
            Request::Open { path: fields.path()?, flags: OpenFlags(fields.u32()?), wish: fields.wish()? }
        }
        SSH_FXP_CLOSE => Request::Close { handle: fields.handle()? },
        SSH_FXP_READ => {
            Request::Read { handle: fields.handle()?, offset: fields.u64()?, length: fields.u32()? }
        }
        SSH_FXP_WRITE => {
            Request::Write { handle: fields.handle()?, offset: fields.u64()?, length: fields.data_follows()? }
        }
        SSH_FXP_LSTAT | SSH_FXP_STAT => Request::Stat { path: fields.path()? },
        SSH_FXP_FSTAT => Request::Fstat { handle: fields.handle()? },
        SSH_FXP_SETSTAT => Request::Setstat { path: fields.path()?, wish: fields.wish()? },
        SSH_FXP_FSETSTAT => Request::Fsetstat { handle: fields.handle()?, wish: fields.wish()? },
        SSH_FXP_OPENDIR => Request::Opendir { path: fields.path()? },
        SSH_FXP_READDIR => Request::Readdir { handle: fields.handle()? },
        SSH_FXP_REMOVE => Request::Remove { path: fields.path()? },
        SSH_FXP_MKDIR => Request::Mkdir { path: fields.path()? },
        SSH_FXP_RMDIR => Request::Rmdir { path: fields.path()? },
        SSH_FXP_REALPATH => Request::Realpath { path: fields.path()? },
        SSH_FXP_RENAME => Request::Rename { from: fields.path()?, to: fields.path()?, target: Target::Keep },
        SSH_FXP_READLINK | SSH_FXP_SYMLINK => Request::Link,
        SSH_FXP_EXTENDED => parse_extended(fields)?,
        _ => Request::Unknown,
    })
}

fn parse_extended(fields: &mut Fields<'_>) -> Result<Request, Unparsed> {
    let name = fields.string(EXTENSION_NAME_MAX)?;
    Ok(match name.as_slice() {
        b"posix-rename@openssh.com" => {
            Request::Rename { from: fields.path()?, to: fields.path()?, target: Target::Replace }
        }
        b"statvfs@openssh.com" | b"fstatvfs@openssh.com" => Request::Space,
        b"fsync@openssh.com" => Request::Fsync { handle: fields.handle()? },
        b"lsetstat@openssh.com" => Request::Setstat { path: fields.path()?, wish: fields.wish()? },
        b"limits@openssh.com" => Request::Limits,
        b"expand-path@openssh.com" => Request::Realpath { path: fields.path()? },
        _ => Request::Unknown,
    })
}

/// Why a packet was not parsed.
enum Unparsed {
    /// Its fields do not fit into it, or into our bounds: the next packet is still whole.
    Misfit,
    /// There is no next packet.
    End(End),
}

impl Unparsed {
    fn end(self) -> End {
        match self {
            Self::Misfit => End::Garbage,
            Self::End(end) => end,
        }
    }
}

impl From<io::Error> for Unparsed {
    fn from(error: io::Error) -> Self {
        Self::End(error.into())
    }
}

/// The fields of one packet; never reads beyond it.
struct Fields<'a> {
    io: &'a mut Io,
    left: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unparsed> {
        self.left = self.left.checked_sub(N).ok_or(Unparsed::Misfit)?;
        let mut bytes = [0; N];
        self.io.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Unparsed> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, Unparsed> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn string(&mut self, max: usize) -> Result<Vec<u8>, Unparsed> {
        let length = self.u32()? as usize;
        if length > max || length > self.left {
            return Err(Unparsed::Misfit);
        }
        let mut bytes = vec![0; length];
        self.io.read_exact(&mut bytes)?;
        self.left -= length;
        Ok(bytes)
    }

    fn path(&mut self) -> Result<Vec<u8>, Unparsed> {
        self.string(PATH_MAX)
    }

    fn handle(&mut self) -> Result<HandleName, Unparsed> {
        match self.u32()? as usize {
            HANDLE_LENGTH => Ok(Some(self.take()?)),
            // Not ours; what follows it is still read, so that the error is the handle's.
            length if length <= self.left => {
                let mut rest = length;
                self.discard(&mut rest)?;
                Ok(None)
            }
            _ => Err(Unparsed::Misfit),
        }
    }

    /// The length of a write's data. More may follow: rclone sends the whole of its last
    /// buffer, and the reference server ignores what no field speaks of.
    fn data_follows(&mut self) -> Result<usize, Unparsed> {
        let length = self.u32()? as usize;
        if length <= self.left { Ok(length) } else { Err(Unparsed::Misfit) }
    }

    fn wish(&mut self) -> Result<Wish, Unparsed> {
        let flags = self.u32()?;
        let mut wish = Wish::default();
        if flags & ATTR_SIZE != 0 {
            wish.size = Some(self.u64()?);
        }
        if flags & ATTR_UIDGID != 0 {
            self.u64()?;
        }
        if flags & ATTR_PERMISSIONS != 0 {
            self.u32()?;
        }
        if flags & ATTR_ACMODTIME != 0 {
            self.u32()?;
            wish.mtime = Some(self.u32()?.into());
        }
        // Extended attributes, if any, are the last field of every request that has them.
        Ok(wish)
    }

    fn discard(&mut self, count: &mut usize) -> Result<(), Unparsed> {
        self.left -= *count;
        while piece(self.io, count).map_err(Unparsed::End)?.is_some() {}
        Ok(())
    }

    fn skip(&mut self) -> Result<(), End> {
        while piece(self.io, &mut self.left)?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::io::In;

    /// All packets of a stream that arrives in pieces of `step` bytes, with the data of
    /// writes, and how it ended.
    fn packets(stream: &[u8], step: usize) -> (Vec<(Packet, Vec<u8>)>, End) {
        let (mut io, to_program, _out) = Io::pair(stream.len() / step + 2);
        for part in stream.chunks(step) {
            to_program.blocking_send(In::Data(Bytes::copy_from_slice(part))).unwrap();
        }
        to_program.blocking_send(In::Eof).unwrap();
        let mut all = Vec::new();
        loop {
            let packet = match receive(&mut io) {
                Ok(packet) => packet,
                Err(end) => return (all, end),
            };
            let mut data = Vec::new();
            if let Packet::Request { mut left, .. } = packet {
                loop {
                    match piece(&mut io, &mut left) {
                        Ok(Some(piece)) => data.extend_from_slice(&piece),
                        Ok(None) => break,
                        Err(end) => return (all, end),
                    }
                }
            }
            all.push((packet, data));
        }
    }

    fn packet(kind: u8, id: u32, fields: &[&[u8]]) -> Vec<u8> {
        let fields = fields.concat();
        let length = u32::try_from(fields.len() + 5).unwrap();
        [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), &fields].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    #[test]
    fn packets_read_the_same_however_the_network_cuts_them() {
        let data = vec![7; 40_000];
        let stream = [
            packet(SSH_FXP_INIT, 3, &[]),
            packet(
                SSH_FXP_OPEN,
                1,
                &[&string(b"a\xf1o"), &0x1a_u32.to_be_bytes(), &4_u32.to_be_bytes(), &[0; 4]],
            ),
            packet(SSH_FXP_WRITE, 2, &[&string(b"12345678"), &9_u64.to_be_bytes(), &string(&data)]),
            packet(SSH_FXP_CLOSE, 3, &[&string(b"12345678")]),
        ]
        .concat();
        for step in [1, 3, 29, 4096, stream.len()] {
            let (all, end) = packets(&stream, step);
            assert_eq!(end, End::Clean);
            let handle = Some(*b"12345678");
            let requests = [
                Request::Open { path: b"a\xf1o".to_vec(), flags: OpenFlags(0x1a), wish: Wish::default() },
                Request::Write { handle, offset: 9, length: data.len() },
                Request::Close { handle },
            ];
            assert_eq!(all.len(), 4);
            assert_eq!(all[0].0, Packet::Init);
            for (n, request) in requests.into_iter().enumerate() {
                let Packet::Request { id, request: Some(found), .. } = &all[n + 1].0 else { panic!() };
                assert_eq!((*id as usize, found), (n + 1, &request));
            }
            assert_eq!(all[2].1, data);
        }
    }

    #[test]
    fn a_packet_that_does_not_parse_costs_only_itself() {
        let long = u32::MAX.to_be_bytes();
        let stream = [
            packet(SSH_FXP_STAT, 7, &[&long, b"name"]),
            packet(SSH_FXP_WRITE, 8, &[&string(b"12345678"), &[0; 8], &[0, 0, 0, 9], b"four"]),
            packet(SSH_FXP_CLOSE, 9, &[]),
            packet(SSH_FXP_READ, 10, &[&string(b"another's"), &[0; 8], &[0; 4]]),
            packet(99, 11, &[b"?"]),
            packet(SSH_FXP_EXTENDED, 12, &[&string(b"hardlink@openssh.com"), &string(b"a"), &string(b"b")]),
        ]
        .concat();
        let (all, end) = packets(&stream, 1024);
        assert_eq!(end, End::Clean);
        let read = Request::Read { handle: None, offset: 0, length: 0 };
        let expected = [None, None, None, Some(read), Some(Request::Unknown), Some(Request::Unknown)];
        for (n, request) in expected.into_iter().enumerate() {
            let id = 7 + u32::try_from(n).unwrap();
            assert_eq!(all[n].0, Packet::Request { id, request, left: 0 });
        }
    }

    #[test]
    fn a_length_beyond_the_bound_ends_the_session() {
        for length in [0, 4, PACKET_MAX + 1, u32::MAX] {
            let stream = [&length.to_be_bytes()[..], &[SSH_FXP_STAT, 0, 0, 0, 1]].concat();
            assert_eq!(packets(&stream, 64), (Vec::new(), End::Garbage));
        }
    }

    #[test]
    fn an_end_inside_a_packet_is_not_a_clean_one() {
        let stream = packet(SSH_FXP_WRITE, 8, &[&string(b"12345678"), &[0; 8], &string(b"data")]);
        for cut in 1..stream.len() {
            assert_eq!(packets(&stream[..cut], 64).1, End::Torn, "cut at {cut}");
        }
    }

    #[test]
    fn attributes_that_are_not_honoured_are_read_over() {
        let flags = ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_ACMODTIME | 0x8000_0000;
        let fields: [&[u8]; 6] = [
            &string(b"f"),
            &flags.to_be_bytes(),
            &5_u64.to_be_bytes(),
            &[1; 12],
            &[0, 0, 0, 1, 0, 0, 0, 2],
            &[0, 0, 0, 0],
        ];
        let (all, _) = packets(&packet(SSH_FXP_SETSTAT, 1, &fields), 64);
        let wish = Wish { size: Some(5), mtime: Some(2) };
        let request = Some(Request::Setstat { path: b"f".to_vec(), wish });
        assert_eq!(all[0].0, Packet::Request { id: 1, request, left: 0 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(stream in prop::collection::vec(any::<u8>(), 0..600), step in 1..99_usize) {
            packets(&stream, step);
        }

        #[test]
        fn any_fields_of_any_kind_cost_only_their_packet(
            kind in 2..=255_u8,
            fields in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let stream = [packet(kind, 5, &[&fields]), packet(SSH_FXP_STAT, 6, &[&string(b"x")])].concat();
            let (all, end) = packets(&stream, 64);
            prop_assert_eq!(end, End::Clean);
            prop_assert_eq!(all.len(), 2);
            let request = Some(Request::Stat { path: b"x".to_vec() });
            prop_assert_eq!(&all[1].0, &Packet::Request { id: 6, request, left: 0 });
        }
    }
}
