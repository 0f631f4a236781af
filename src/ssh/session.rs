//! One channel: a program on a blocking thread, and the bytes between it and the peer.
//!
//! The two directions never wait for each other. What the peer sends is taken off
//! russh's hands at once and held here until the program wants it; the peer may send at
//! most a window ahead, because the window grows only by what the program took. What the
//! program writes goes out when the peer has room for it, or the channel ends after
//! [`Limits::write_timeout`](super::Limits::write_timeout).
//!
//! A connection that breaks before the peer's end-of-file leaves the program with
//! [`Gone`](super::io::Gone): half a file never looks like a whole one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::io::{In, Io, Out};
use super::life::Life;
use crate::access::Grant;

/// What runs on a channel: synchronous, on a blocking thread; returns the exit status.
pub type Program = Box<dyn FnOnce(Io) -> u32 + Send>;

/// Makes the program for a command line, which is the peer's and not yet understood.
pub type Exec = Arc<dyn Fn(&Grant, &[u8]) -> Program + Send + Sync>;
/// Makes the SFTP server.
pub type Sftp = Arc<dyn Fn(&Grant) -> Program + Send + Sync>;
/// The text for somebody who asks for a shell.
pub type Status = Arc<dyn Fn(&Grant) -> String + Send + Sync>;

/// What the house offers behind the door. The makers are called from the connection's own
/// task and return at once; what takes time belongs into the program.
#[derive(Clone)]
pub struct Programs {
    /// For `ssh host COMMAND`, scp's old protocol, `cat >`, `tar x`.
    pub exec: Exec,
    /// For the subsystem `sftp`.
    pub sftp: Sftp,
    /// For `ssh host` alone.
    pub status: Status,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Programs")
    }
}

/// Serves one channel to its end: waits for a program, runs it, reports its exit status.
pub(super) async fn converse(
    channel: Channel<Msg>,
    session: Handle,
    start: oneshot::Receiver<Program>,
    life: Arc<Life>,
) {
    let (read, write) = channel.split();
    let mut inlet = Inlet::new(read, session, write.id(), &life);
    let program = tokio::select! {
        program = start => program.ok(),
        () = inlet.collect() => None,
    };
    let Some(program) = program else { return };
    let (io, to_program, mut output) = Io::pair(PIPE_MESSAGES);
    let running = life.run(move || program(io));
    let ended = tokio::select! {
        biased;
        () = speak(&write, &mut output, running, &life) => return,
        ended = inlet.feed(to_program) => ended,
    };
    if ended == Ended::Whole {
        // The peer has said all and hung up. What is still said to it is lost, but the
        // program finishes its work undisturbed.
        while output.recv().await.is_some() {}
    }
}

/// Sends what the program says, then its exit status, end-of-file and close.
async fn speak(
    write: &ChannelWriteHalf<Msg>,
    output: &mut mpsc::Receiver<Out>,
    running: JoinHandle<u32>,
    life: &Life,
) {
    let mut outlet = Outlet { output, held: None };
    while let Some(out) = outlet.next().await {
        if say(write, out, life).await.is_err() {
            // Too slow, or gone: the caller drops both ends and the program sees it.
            tracing::info!(channel = %write.id(), "peer does not take what is written to it");
            let _ = timeout(FAREWELL, write.close()).await;
            return;
        }
    }
    let status = running.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a program panicked");
        EXIT_SOFTWARE
    });
    let farewell = async {
        write.exit_status(status).await?;
        write.eof().await?;
        write.close().await
    };
    let _ = timeout(life.limits.write_timeout, farewell).await;
}

/// In pieces, so that a slow peer that does take something is not called stuck.
async fn say(write: &ChannelWriteHalf<Msg>, out: Out, life: &Life) -> Result<(), ()> {
    let (Out::Data(mut bytes) | Out::Error(mut bytes)) = out.clone();
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        let sending = async {
            match out {
                Out::Data(_) => write.data_bytes(piece).await,
                Out::Error(_) => write.extended_data_bytes(STDERR, piece).await,
            }
        };
        match timeout(life.limits.write_timeout, sending).await {
            Ok(Ok(())) => life.touch(),
            _ => return Err(()),
        }
    }
    Ok(())
}

/// What the program says, small pieces put together where they are already there: an
/// SFTP server answers every 32 KiB with thirty bytes.
struct Outlet<'a> {
    output: &'a mut mpsc::Receiver<Out>,
    /// Met while looking for more of something else.
    held: Option<Out>,
}

impl Outlet<'_> {
    async fn next(&mut self) -> Option<Out> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.output.recv().await?,
        };
        match first {
            Out::Data(bytes) if bytes.len() < PIECE_BYTES && !self.output.is_empty() => {
                Some(Out::Data(self.gather(bytes)))
            }
            other => Some(other),
        }
    }

    fn gather(&mut self, first: Bytes) -> Bytes {
        let mut all = BytesMut::from(first);
        while all.len() < PIECE_BYTES {
            match self.output.try_recv() {
                Ok(Out::Data(bytes)) => all.extend_from_slice(&bytes),
                Ok(other) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        all.freeze()
    }
}

/// How the peer's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// After its end-of-file, and the program got all of it.
    Whole,
    /// Before.
    Cut,
}

/// What the peer has sent and the program has not taken yet: at most a window.
struct Inlet<'a> {
    read: ChannelReadHalf,
    session: Handle,
    id: ChannelId,
    life: &'a Life,
    queue: VecDeque<Bytes>,
    /// Small packets, put together so that a window of single bytes stays a window.
    small: BytesMut,
    /// Bytes taken since the peer was last told.
    taken: u32,
    ended: bool,
}

impl<'a> Inlet<'a> {
    fn new(read: ChannelReadHalf, session: Handle, id: ChannelId, life: &'a Life) -> Self {
        let (queue, small) = (VecDeque::new(), BytesMut::new());
        Self { read, session, id, life, queue, small, taken: 0, ended: false }
    }

    /// Takes what comes before there is a program. Returns when the channel has closed.
    async fn collect(&mut self) {
        while let Some(message) = self.read.wait().await {
            if matches!(message, ChannelMsg::Close) {
                return;
            }
            self.take(message);
        }
    }

    /// Gives the program what comes. Returns when the channel has closed. A program that
    /// stopped reading does not stop us from taking.
    async fn feed(&mut self, to_program: mpsc::Sender<In>) -> Ended {
        let life = self.life;
        let mut reads = true;
        let mut open = true;
        let _busy = loop {
            let waiting = self.has_data() || self.ended;
            if !open && (!self.ended || !reads) {
                return if self.ended { Ended::Whole } else { Ended::Cut };
            }
            tokio::select! {
                biased;
                room = to_program.reserve(), if waiting && reads => match room {
                    Ok(room) => match self.next() {
                        Some(bytes) => room.send(In::Data(bytes)),
                        None => {
                            room.send(In::Eof);
                            break life.our_turn();
                        }
                    },
                    Err(_) => reads = false,
                },
                message = self.read.wait(), if open => match message {
                    None | Some(ChannelMsg::Close) => open = false,
                    Some(_) if !reads => {}
                    Some(message) => self.take(message),
                },
            }
        };
        // All is said; it is ours to answer. Nothing more can come but the close.
        if open {
            self.collect().await;
        }
        Ended::Whole
    }

    fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => self.push(data),
            // Nobody reads a client's standard error, but it used up window.
            ChannelMsg::ExtendedData { data, .. } => self.consumed(data.len()),
            ChannelMsg::Eof => self.ended = true,
            _ => {}
        }
    }

    fn push(&mut self, data: Bytes) {
        self.life.touch();
        if data.len() >= SMALL_BYTES {
            self.seal();
            self.queue.push_back(data);
        } else {
            self.small.extend_from_slice(&data);
            if self.small.len() >= PIECE_BYTES {
                self.seal();
            }
        }
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.queue.push_back(self.small.split().freeze());
        }
    }

    fn has_data(&self) -> bool {
        !self.queue.is_empty() || !self.small.is_empty()
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.queue.is_empty() {
            self.seal();
        }
        let bytes = self.queue.pop_front()?;
        self.consumed(bytes.len());
        Some(bytes)
    }

    fn consumed(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.taken >= self.life.limits.window_bytes / 4 {
            self.session.consumed(self.id, std::mem::take(&mut self.taken));
        }
    }
}

/// SSH_EXTENDED_DATA_STDERR (RFC 4254 section 5.2).
const STDERR: u32 = 1;
/// `EX_SOFTWARE` of sysexits.h: the program fell over.
const EXIT_SOFTWARE: u32 = 70;
/// Messages between the channel and the program, each way: 1 MiB of ordinary packets.
const PIPE_MESSAGES: usize = 32;
/// How much is sent under one timeout, and put together from small pieces.
const PIECE_BYTES: usize = 32 * 1024;
/// A packet below this is copied; a larger one is handed on as it is.
const SMALL_BYTES: usize = 4 * 1024;
/// For a close that nobody may be listening to.
const FAREWELL: Duration = Duration::from_millis(500);
