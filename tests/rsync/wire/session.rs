//! A session as client with a server on pipes: handshake, list, requests, answers, goodbye.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use md4::{Digest, Md4};
use md5::Md5;

use super::list::{self, Entry};
use super::numbers::{DONE, Index, int, vstring};
use crate::peer;
use crate::run;

pub const TRANSFER: u16 = 0x8000;
const BASIS_FOLLOWS: u16 = 0x0800;
const XNAME_FOLLOWS: u16 = 0x1000;
const DEL_STATS: i32 = -3;
const ERROR_XFER: u8 = 1;
const ERROR: u8 = 3;
const ERROR_EXIT: u8 = 86;

/// How to start a session.
#[derive(Clone)]
pub struct Start {
    pub protocol: u8,
    /// Short options, `rlt` unless told otherwise.
    pub letters: String,
    pub options: Vec<String>,
    pub dest: PathBuf,
    /// These words in place of all others.
    pub words: Option<Vec<String>>,
    /// Words after the destination, where none belong.
    pub more: Vec<String>,
    /// What is run with these words: the server under test, or a way to another one.
    pub program: Vec<String>,
    /// Reads only between writes, as clients before 3.1 do: a server that waits for us to read hangs.
    pub blocking: bool,
    /// After this the server is killed and the session counts as hung.
    pub deadline: Duration,
}

impl Start {
    pub fn new(protocol: u8, dest: PathBuf) -> Self {
        let deadline = Duration::from_secs(20);
        Self {
            protocol,
            letters: "rlt".to_owned(),
            options: Vec::new(),
            dest,
            words: None,
            more: Vec::new(),
            program: Vec::new(),
            blocking: false,
            deadline,
        }
    }

    pub fn letters(mut self, letters: &str) -> Self {
        letters.clone_into(&mut self.letters);
        self
    }

    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    fn program(&self) -> Vec<OsString> {
        match &self.program[..] {
            [] => vec![peer::peer().into()],
            program => program.iter().map(OsString::from).collect(),
        }
    }

    /// The words after the server's name.
    pub fn argv(&self) -> Vec<String> {
        if let Some(words) = &self.words {
            return words.clone();
        }
        let mut words = vec!["--server".to_owned()];
        if self.protocol >= 30 {
            words.push(format!("-{}e.LsfxCvu", self.letters));
            words.push("--checksum-choice=md5".to_owned());
        } else {
            words.push(format!("-{}", self.letters));
        }
        words.extend(self.options.iter().cloned());
        words.push(".".to_owned());
        words.push(self.dest.to_str().unwrap().to_owned());
        words.extend(self.more.iter().cloned());
        words
    }
}

/// What the receiver says of its basis, and what must be echoed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub count: i32,
    pub block: i32,
    pub strong: i32,
    pub remainder: i32,
}

impl Head {
    pub fn write(self) -> Vec<u8> {
        [self.count, self.block, self.strong, self.remainder].into_iter().flat_map(int).collect()
    }
}

/// One request of the receiver.
#[derive(Clone, Debug)]
pub enum Request {
    Done,
    Item {
        index: i32,
        flags: u16,
        basis: Option<u8>,
        xname: Option<Vec<u8>>,
        head: Option<Head>,
        sums: Vec<(u32, Vec<u8>)>,
    },
}

/// How a session ended.
#[derive(Debug)]
pub struct End {
    /// Exit code; 128 and more for a signal; None: it hung and was killed.
    pub code: Option<i32>,
    pub stderr: String,
    /// Messages outside the data: tag and body.
    pub messages: Vec<(u8, Vec<u8>)>,
    /// Peak resident memory seen, in KiB.
    pub peak_kib: u64,
    /// Every byte that was written to the server.
    pub sent: Vec<u8>,
}

impl End {
    /// All that the server said to people.
    pub fn text(&self) -> String {
        let said = self.messages.iter().filter(|(tag, _)| matches!(tag, 1..=5 | 8));
        let lines: String = said.map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect();
        format!("{lines}{}", self.stderr)
    }
}

enum Input {
    Eager(Receiver<Vec<u8>>),
    Blocking(ChildStdout),
}

pub struct Session {
    pub protocol: u8,
    pub seed: i32,
    pub varint_flags: bool,
    pub seed_fix: bool,
    pub messages: Vec<(u8, Vec<u8>)>,
    pub deleting: bool,
    pub dry_run: bool,
    /// Requests seen, for what the test wants to know of them.
    pub requests: Vec<Request>,
    pub sent: Vec<u8>,
    /// The connection breaks after so many bytes.
    pub cut: Option<usize>,
    /// The byte at this place is spoiled by these bits.
    pub turn: Option<(usize, u8)>,
    /// How long to wait for the server's next word before giving up on it.
    pub patience: Duration,
    stdin: Option<ChildStdin>,
    input: Input,
    raw: VecDeque<u8>,
    data: VecDeque<u8>,
    muxed_in: bool,
    muxed_out: bool,
    out: Vec<u8>,
    write_index: Index,
    read_index: Index,
    child: Child,
    guard: Guard,
}

/// The threads beside a session: watchdog, memory, stderr.
struct Guard {
    hung: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    stop: mpsc::Sender<()>,
    stderr: Arc<Mutex<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

fn ended() -> io::Error {
    ErrorKind::UnexpectedEof.into()
}

impl Session {
    /// Starts the server and says nothing yet.
    pub fn spawn(start: &Start) -> Self {
        // A ceiling on address space: a length believed before it is checked shows as an abort.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "ulimit -v 2000000; exec \"$0\" \"$@\""])
            .args(start.program())
            .args(start.argv())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut guard = guard(&mut child, start.deadline);
        let input = if start.blocking {
            Input::Blocking(stdout)
        } else {
            let (input, reader) = eager(stdout);
            guard.threads.push(reader);
            input
        };
        Self {
            protocol: start.protocol,
            seed: 0,
            varint_flags: false,
            seed_fix: false,
            messages: Vec::new(),
            deleting: start.options.iter().any(|option| option.starts_with("--delete")),
            dry_run: start.letters.contains('n'),
            requests: Vec::new(),
            sent: Vec::new(),
            cut: None,
            turn: None,
            patience: start.deadline * 2,
            stdin: Some(stdin),
            input,
            raw: VecDeque::new(),
            data: VecDeque::new(),
            muxed_in: false,
            muxed_out: false,
            out: Vec::new(),
            write_index: Index::default(),
            read_index: Index::default(),
            child,
            guard,
        }
    }

    /// Versions, compatibility flags, seed: after this both sides talk in frames (ours from 30 on).
    pub fn handshake(&mut self) -> io::Result<()> {
        self.put(&int(i32::from(self.protocol)));
        self.flush()?;
        let theirs = self.need_int()?;
        assert!(theirs >= 27, "the server speaks {theirs}");
        if self.protocol >= 30 {
            let flags = self.need_varint()?;
            self.varint_flags = flags & 0x80 != 0;
            self.seed_fix = flags & 0x20 != 0;
            assert_eq!(flags & 1, 0, "incremental recursion that was not offered");
        }
        self.seed = self.need_int()?;
        self.muxed_in = true;
        self.muxed_out = self.protocol >= 30;
        Ok(())
    }

    /// Starts, shakes hands.
    pub fn open(start: &Start) -> io::Result<Self> {
        let mut session = Self::spawn(start);
        session.handshake()?;
        Ok(session)
    }

    /// Queues bytes for the next flush.
    pub fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends what was queued, framed where the protocol frames.
    pub fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.out);
        if !self.muxed_out {
            return self.write_raw(&bytes);
        }
        let frames: Vec<u8> = bytes
            .chunks(32 * 1024)
            .flat_map(|chunk| [&(7 << 24 | chunk.len() as u32).to_le_bytes()[..], chunk].concat())
            .collect();
        self.write_raw(&frames)
    }

    /// Sends bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.sent.len();
        self.sent.extend_from_slice(bytes);
        if let Some((at, bits)) = self.turn
            && at >= before
            && let Some(byte) = self.sent.get_mut(at)
        {
            *byte ^= bits;
        }
        let whole = self.cut.is_none_or(|cut| self.sent.len() <= cut);
        self.sent.truncate(self.cut.unwrap_or(usize::MAX));
        let stdin = self.stdin.as_mut().ok_or_else(ended)?;
        stdin.write_all(&self.sent[before..])?;
        stdin.flush()?;
        if !whole {
            self.stdin = None;
            return Err(ended());
        }
        Ok(())
    }

    /// Sends a message outside the data.
    pub fn message(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        self.flush()?;
        let header = u32::from(tag + 7) << 24 | body.len() as u32;
        self.write_raw(&[&header.to_le_bytes()[..], body].concat())
    }

    /// Closes our side.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// A real client hangs up on an error that ends the session; before 31 it is not told that it ends.
    fn patience_left(&self) -> Duration {
        let told = |tags: &[u8]| self.messages.iter().any(|(tag, _)| tags.contains(tag));
        match (told(&[ERROR_EXIT]), told(&[ERROR_XFER, ERROR])) {
            (true, _) => Duration::ZERO,
            (false, true) => self.patience.min(Duration::from_millis(600)),
            (false, false) => self.patience,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let patience = if self.stdin.is_some() { self.patience_left() } else { self.patience };
        let bytes = match &mut self.input {
            Input::Eager(chunks) => chunks.recv_timeout(patience).map_err(|_| ended())?,
            Input::Blocking(stdout) => {
                let mut buffer = vec![0; 32 * 1024];
                let count = stdout.read(&mut buffer)?;
                buffer.truncate(count);
                buffer
            }
        };
        if bytes.is_empty() {
            return Err(ended());
        }
        self.raw.extend(bytes);
        Ok(())
    }

    fn need_raw(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.raw.len() < count {
            self.fill()?;
        }
        Ok(self.raw.drain(..count).collect())
    }

    /// So many bytes of data; messages in between are kept aside.
    pub fn need(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if !self.muxed_in {
            return self.need_raw(count);
        }
        while self.data.len() < count {
            self.frame()?;
        }
        Ok(self.data.drain(..count).collect())
    }

    fn frame(&mut self) -> io::Result<()> {
        let header = u32::from_le_bytes(self.need_raw(4)?.try_into().unwrap());
        let body = self.need_raw((header & 0x00ff_ffff) as usize)?;
        match (header >> 24) as u8 {
            7 => self.data.extend(body),
            tag if tag > 7 => self.messages.push((tag - 7, body)),
            tag => panic!("frame of tag {tag} from the server"),
        }
        Ok(())
    }

    fn need_int(&mut self) -> io::Result<i32> {
        Ok(i32::from_le_bytes(self.need(4)?.try_into().unwrap()))
    }

    fn need_varint(&mut self) -> io::Result<i32> {
        let first = self.need(1)?[0];
        let extra = first.leading_ones() as usize;
        let low = self.need(extra)?;
        let top = u32::from(first) & (0x7f >> extra);
        let low: u32 = low.iter().enumerate().map(|(n, byte)| u32::from(*byte) << (8 * n)).sum();
        Ok((if extra < 4 { top << (8 * extra) | low } else { low }).cast_signed())
    }

    /// The filter rules, if the options ask for a list.
    pub fn filters(&mut self, rules: &[&[u8]]) {
        if self.deleting {
            for rule in rules {
                self.put(&int(rule.len() as i32));
                self.put(rule);
            }
            self.put(&int(0));
        }
    }

    /// The whole list.
    pub fn list(&mut self, entries: &[Entry]) {
        for entry in entries {
            let bytes = entry.write(self.protocol, self.varint_flags);
            self.put(&bytes);
        }
        self.put(&list::end(self.protocol, self.varint_flags, 0));
    }

    /// The receiver's next wish.
    pub fn request(&mut self) -> io::Result<Request> {
        let index = self.next_index()?;
        if index == DONE {
            self.requests.push(Request::Done);
            return Ok(Request::Done);
        }
        if index == DEL_STATS {
            for _ in 0..5 {
                self.need_varint()?;
            }
            return self.request();
        }
        let mut flags = TRANSFER;
        let (mut basis, mut xname) = (None, None);
        if self.protocol >= 29 {
            flags = u16::from_le_bytes(self.need(2)?.try_into().unwrap());
            if flags & BASIS_FOLLOWS != 0 {
                basis = Some(self.need(1)?[0]);
            }
            if flags & XNAME_FOLLOWS != 0 {
                let first = usize::from(self.need(1)?[0]);
                let length = if first & 0x80 == 0 {
                    first
                } else {
                    (first & 0x7f) << 8 | usize::from(self.need(1)?[0])
                };
                xname = Some(self.need(length)?);
            }
        }
        let (mut head, mut sums) = (None, Vec::new());
        if flags & TRANSFER != 0 && !self.dry_run {
            let asked = Head {
                count: self.need_int()?,
                block: self.need_int()?,
                strong: self.need_int()?,
                remainder: self.need_int()?,
            };
            for _ in 0..asked.count {
                let rolling = self.need_int()?.cast_unsigned();
                sums.push((rolling, self.need(asked.strong as usize)?));
            }
            head = Some(asked);
        }
        let request = Request::Item { index, flags, basis, xname, head, sums };
        self.requests.push(request.clone());
        Ok(request)
    }

    fn next_index(&mut self) -> io::Result<i32> {
        let mut state = self.read_index.clone();
        let protocol = self.protocol;
        let index = state.read(protocol, |count| self.need(count))?;
        self.read_index = state;
        Ok(index)
    }

    /// Writes an index as the protocol does.
    pub fn put_index(&mut self, index: i32) {
        let bytes = self.write_index.write(self.protocol, index);
        self.put(&bytes);
    }

    /// The echo of a request's index and flags, up to the head.
    pub fn put_echo(&mut self, index: i32, flags: u16, basis: Option<u8>, xname: Option<&[u8]>) {
        self.put_index(index);
        if self.protocol >= 29 {
            self.put(&flags.to_le_bytes());
            if let Some(basis) = basis {
                self.put(&[basis]);
            }
            if let Some(xname) = xname {
                self.put(&vstring(xname));
            }
        }
    }

    /// One literal.
    pub fn put_literal(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(32 * 1024) {
            self.put(&int(chunk.len() as i32));
            self.put(chunk);
        }
    }

    /// The sum over a whole file that closes its transfer.
    pub fn file_sum(&self, data: &[u8]) -> Vec<u8> {
        if self.protocol >= 30 {
            return Md5::digest(data).to_vec();
        }
        Md4::new().chain_update(self.seed.to_le_bytes()).chain_update(data).finalize().to_vec()
    }

    /// The strong sum of a block, as long as the digest.
    pub fn block_sum(&self, data: &[u8]) -> Vec<u8> {
        let seed = self.seed.to_le_bytes();
        match (self.protocol >= 30, self.seed_fix) {
            (false, _) => Md4::new().chain_update(data).chain_update(seed).finalize().to_vec(),
            (true, true) => Md5::new().chain_update(seed).chain_update(data).finalize().to_vec(),
            (true, false) => Md5::new().chain_update(data).chain_update(seed).finalize().to_vec(),
        }
    }

    /// The data of one file as an honest sender gives it: blocks that are where the basis has them
    /// as tokens, the rest as literals.
    pub fn put_file(&mut self, data: &[u8], head: Head, sums: &[(u32, Vec<u8>)]) {
        self.put(&head.write());
        let block = usize::try_from(head.block).unwrap();
        let mut literal = Vec::new();
        let mut at = 0;
        for (n, (rolling, strong)) in sums.iter().enumerate() {
            let last = n + 1 == sums.len() && head.remainder > 0;
            let len = if last { head.remainder as usize } else { block };
            let Some(piece) = data.get(n * block..n * block + len) else { break };
            if super::session::rolling(piece) == *rolling && self.block_sum(piece).starts_with(strong) {
                self.put_literal(&std::mem::take(&mut literal));
                self.put(&int(-(n as i32 + 1)));
            } else {
                literal.extend_from_slice(piece);
            }
            at = n * block + len;
        }
        literal.extend_from_slice(&data[at..]);
        self.put_literal(&literal);
        self.put(&int(0));
        let sum = self.file_sum(data);
        self.put(&sum);
    }

    /// Answers one request honestly. `entries` in the order of their indices.
    pub fn answer(&mut self, request: &Request, entries: &[Entry]) -> io::Result<()> {
        let Request::Item { index, flags, basis, xname, head, sums } = request else { return Ok(()) };
        self.put_echo(*index, *flags, *basis, xname.as_deref());
        if let Some(head) = head {
            let entry = usize::try_from(*index).ok().and_then(|index| entries.get(index));
            let entry = entry.filter(|entry| entry.is_file());
            let entry = entry.ok_or_else(|| io::Error::other(format!("data asked of {index}")))?;
            self.put_file(&entry.data, *head, sums);
        }
        self.flush()
    }

    /// Serves requests to the goodbye, each answered by `answer`.
    pub fn serve_with(
        &mut self,
        mut answer: impl FnMut(&mut Self, &Request) -> io::Result<()>,
    ) -> io::Result<()> {
        let total = match self.protocol {
            ..29 => 3,
            29..31 => 4,
            31.. => 5,
        };
        let mut seen = 0;
        while seen < total {
            match self.request()? {
                Request::Done => {
                    seen += 1;
                    if seen < total {
                        self.put_index(DONE);
                        self.flush()?;
                    }
                }
                request @ Request::Item { .. } => answer(self, &request)?,
            }
        }
        Ok(())
    }

    /// Serves honestly to the goodbye.
    pub fn serve(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.serve_with(|session, request| session.answer(request, entries))
    }

    /// Closes, drains what the server still says, waits for its end.
    pub fn finish(mut self) -> End {
        let _ = self.flush();
        self.stdin = None;
        self.patience = Duration::from_secs(3600);
        if self.muxed_in {
            while self.frame().is_ok() {}
        } else {
            while self.fill().is_ok() {}
        }
        let status = self.child.wait().unwrap();
        self.guard.over.store(true, Ordering::Relaxed);
        let _ = self.guard.stop.send(());
        // What a killed server's child still holds open must not hold us.
        run::kill_group(self.child.id());
        drop(std::mem::replace(&mut self.input, Input::Eager(mpsc::channel().1)));
        for thread in std::mem::take(&mut self.guard.threads) {
            let _ = thread.join();
        }
        let hung = self.guard.hung.load(Ordering::Relaxed);
        End {
            code: (!hung).then(|| run::code_of(status)),
            stderr: String::from_utf8_lossy(&self.guard.stderr.lock().unwrap()).into_owned(),
            messages: self.messages,
            peak_kib: self.guard.peak.load(Ordering::Relaxed),
            sent: self.sent,
        }
    }
}

/// The rolling sum of a block: sum of signed bytes, and sum of its running values.
pub fn rolling(block: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    for byte in block {
        low = low.wrapping_add(i32::from(byte.cast_signed()).cast_unsigned());
        high = high.wrapping_add(low);
    }
    (low & 0xffff).wrapping_add(high << 16)
}

fn eager(mut stdout: ChildStdout) -> (Input, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = stdout.read(&mut buffer) {
            if count == 0 || tell.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    (Input::Eager(told), reader)
}

fn guard(child: &mut Child, deadline: Duration) -> Guard {
    let (hung, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (peak, stderr) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (stop, stopped) = mpsc::channel();
    let pid = child.id();
    let mut threads = Vec::new();
    let told = hung.clone();
    threads.push(std::thread::spawn(move || {
        if stopped.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
            told.store(true, Ordering::Relaxed);
            run::kill_group(pid);
        }
    }));
    let (most, finished) = (peak.clone(), over.clone());
    threads.push(std::thread::spawn(move || {
        while !finished.load(Ordering::Relaxed) {
            let Some(now) = resident_peak(pid) else { break };
            most.fetch_max(now, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(2));
        }
    }));
    let (mut pipe, kept) = (child.stderr.take().unwrap(), stderr.clone());
    threads.push(std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        *kept.lock().unwrap() = text;
    }));
    Guard { hung, over, peak, stop, stderr, threads }
}

/// VmHWM of a process, in KiB.
fn resident_peak(pid: u32) -> Option<u64> {
    // Until it has become the server, a child shares our own memory.
    if std::fs::read_link(format!("/proc/{pid}/exe")).ok()? == std::env::current_exe().ok()? {
        return Some(0);
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
