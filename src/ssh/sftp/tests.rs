//! The subsystem, packet by packet. What stock clients make of it is tested with them.

use std::thread;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::model::{Lang, Via};
use crate::ssh::io::{In, Out};
use crate::ssh::rig::{Arrived, GOOD, REFUSED, Rig};

const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const FSETSTAT: u8 = 10;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const RMDIR: u8 = 15;
const REALPATH: u8 = 16;
const STAT: u8 = 17;
const RENAME: u8 = 18;
const READLINK: u8 = 19;
const SYMLINK: u8 = 20;
const EXTENDED: u8 = 200;

const PUT: u32 = 0x1a;
const RESUME: u32 = 0x0a;
const REPUT: u32 = 0x0e;

struct Client {
    to: mpsc::Sender<In>,
    from: mpsc::Receiver<Out>,
    server: thread::JoinHandle<u32>,
    replies: Vec<u8>,
    /// How many messages the replies came in.
    messages: usize,
    errors: String,
    id: u32,
}

struct Reply {
    kind: u8,
    id: u32,
    body: Bytes,
}

impl Reply {
    fn status(&self) -> (u32, String) {
        assert_eq!(self.kind, 101, "a status");
        let mut body = self.body.clone();
        let code = body.get_u32();
        (code, text(&mut body))
    }

    fn handle(&self) -> Vec<u8> {
        assert_eq!(self.kind, 102, "a handle, not {:?}", self.body);
        self.body[4..].to_vec()
    }

    fn names(&self) -> Vec<String> {
        assert_eq!(self.kind, 104, "names");
        let mut body = self.body.clone();
        let count = body.get_u32();
        let name = |body: &mut Bytes| {
            let name = text(body);
            text(body);
            let flags = body.get_u32();
            body.advance(if flags == 0 { 0 } else { 28 });
            name
        };
        (0..count).map(|_| name(&mut body)).collect()
    }

    fn size(&self) -> u64 {
        assert_eq!(self.kind, 105, "attributes, not {:?}", self.body);
        (&self.body[4..]).get_u64()
    }
}

fn text(body: &mut Bytes) -> String {
    let length = body.get_u32() as usize;
    String::from_utf8_lossy(&body.split_to(length)).into_owned()
}

fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

impl Client {
    fn new(rig: &Rig) -> Self {
        let mut client = Self::unready(rig);
        client.packet(1, &[&3_u32.to_be_bytes()]);
        let version = client.reply();
        assert_eq!((version.kind, version.id), (2, 3));
        client
    }

    fn unready(rig: &Rig) -> Self {
        let (io, to, from) = Io::pair(256);
        let view = rig.view(Via::Sftp);
        let context = Context { lang: Lang::Es, verdict_wait: Duration::from_secs(60) };
        let server = thread::spawn(move || serve(io, view, &context));
        Self { to, from, server, replies: Vec::new(), messages: 0, errors: String::new(), id: 100 }
    }

    fn packet(&self, kind: u8, fields: &[&[u8]]) {
        let fields = fields.concat();
        let head = u32::try_from(fields.len() + 1).unwrap().to_be_bytes();
        let packet = [&head[..], &[kind], &fields].concat();
        let _ = self.to.blocking_send(In::Data(packet.into()));
    }

    /// Sends a request without waiting for its reply; gives its id.
    fn ask(&mut self, kind: u8, fields: &[&[u8]]) -> u32 {
        self.id += 1;
        self.packet(kind, &[&[&self.id.to_be_bytes()[..]], fields].concat());
        self.id
    }

    fn reply(&mut self) -> Reply {
        loop {
            if let Some(length) = self.replies.first_chunk::<4>().map(|l| u32::from_be_bytes(*l) as usize)
                && self.replies.len() >= length + 4
            {
                let mut packet = Bytes::from(self.replies.drain(..length + 4).collect::<Vec<_>>());
                packet.advance(4);
                return Reply { kind: packet.get_u8(), id: packet.get_u32(), body: packet };
            }
            match self.from.blocking_recv().expect("a reply") {
                Out::Data(bytes) => {
                    self.messages += 1;
                    self.replies.extend_from_slice(&bytes);
                }
                Out::Error(bytes) => self.errors += std::str::from_utf8(&bytes).unwrap(),
            }
        }
    }

    fn call(&mut self, kind: u8, fields: &[&[u8]]) -> Reply {
        let id = self.ask(kind, fields);
        let reply = self.reply();
        assert_eq!(reply.id, id);
        reply
    }

    fn code(&mut self, kind: u8, fields: &[&[u8]]) -> u32 {
        self.call(kind, fields).status().0
    }

    fn named(&mut self, kind: u8, path: &str) -> u32 {
        self.code(kind, &[&string(path), &[0; 4]])
    }

    fn open(&mut self, path: impl AsRef<[u8]>, flags: u32) -> Vec<u8> {
        self.call(OPEN, &[&string(path), &flags.to_be_bytes(), &[0; 4]]).handle()
    }

    fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> u32 {
        self.code(WRITE, &[&string(handle), &offset.to_be_bytes(), &string(data)])
    }

    fn close(&mut self, handle: &[u8]) -> (u32, String) {
        self.call(CLOSE, &[&string(handle)]).status()
    }

    fn put(&mut self, path: impl AsRef<[u8]>, data: &[u8]) -> (u32, String) {
        let handle = self.open(path, PUT);
        assert_eq!(self.write(&handle, 0, data), 0);
        self.close(&handle)
    }

    /// The clean end; exit status and standard error.
    fn finish(mut self) -> (u32, String) {
        let _ = self.to.blocking_send(In::Eof);
        while let Some(out) = self.from.blocking_recv() {
            if let Out::Error(bytes) = out {
                self.errors += std::str::from_utf8(&bytes).unwrap();
            }
        }
        (self.server.join().unwrap(), self.errors)
    }

    /// The connection is cut.
    fn vanish(self) {
        drop((self.to, self.from));
        self.server.join().unwrap();
    }
}

#[test]
fn the_close_of_a_package_brings_its_verdict() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let (code, text) = client.put("corte.tar.gz", GOOD);
    assert_eq!(code, 0);
    assert!(text.starts_with("publicado"), "{text}");
    let (status, errors) = client.finish();
    assert_eq!((status, errors.lines().count()), (0, 1));
    assert_eq!(errors.trim_end(), text);
    assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

#[test]
fn a_refused_package_fails_its_close_with_the_reason() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let (code, text) = client.put("corte.tar.gz", REFUSED);
    assert_eq!(code, 4);
    assert!(text.starts_with("rechazado en integridad: "), "{text}");
    let (status, errors) = client.finish();
    assert_eq!((status, errors.trim_end()), (1, text.as_str()));
}

#[test]
fn a_confirming_stat_right_after_a_refused_close_fails_too() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let (_, refusal) = client.put("corte.tar.gz", REFUSED);
    let confirmation = client.call(STAT, &[&string("./corte.tar.gz")]).status();
    assert_eq!(confirmation, (4, refusal));
    assert_eq!(client.call(STAT, &[&string("corte.tar.gz")]).size(), REFUSED.len() as u64);
    client.put("corte.tar.gz", REFUSED);
    assert_eq!(client.named(REMOVE, "falta"), 2);
    assert_eq!(client.call(STAT, &[&string("corte.tar.gz")]).size(), REFUSED.len() as u64);
}

#[test]
fn errors_have_the_code_and_the_id_of_their_request() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    for kind in [LSTAT, STAT, REMOVE, OPENDIR] {
        assert_eq!(client.named(kind, "falta.tar.gz"), 2, "request {kind}");
    }
    assert_eq!(client.code(OPEN, &[&string("falta.tar.gz"), &1_u32.to_be_bytes(), &[0; 4]]), 2);
    assert_eq!(client.code(OPEN, &[&string("falta.tar.gz"), &2_u32.to_be_bytes(), &[0; 4]]), 2);
    assert_eq!(client.code(RENAME, &[&string("falta"), &string("otro")]), 2);
    assert_eq!(client.code(SYMLINK, &[&string("/etc/passwd"), &string("x")]), 3);
    assert_eq!(client.code(READLINK, &[&string("x")]), 3);
    assert_eq!(client.code(77, &[]), 8);
    assert_eq!(client.code(EXTENDED, &[&string("hardlink@openssh.com"), &string("a"), &string("b")]), 8);
    assert_eq!(client.code(STAT, &[&[0xff; 4]]), 5);
    for kind in [CLOSE, FSTAT, READDIR] {
        assert_eq!(client.code(kind, &[&string("12345678")]), 4, "request {kind}");
    }
    assert_eq!(client.write(b"12345678", 0, &[1; 1000]), 4);
    assert_eq!(client.finish().0, 0, "nothing was refused that was sent");
}

#[test]
fn a_session_cut_short_leaves_no_package_and_can_be_resumed() {
    let rig = Rig::new();
    let (start, rest) = GOOD.split_at(4);
    let mut client = Client::new(&rig);
    let handle = client.open("corte.tar.gz", PUT);
    assert_eq!(client.write(&handle, 0, start), 0);
    client.vanish();
    let mut client = Client::new(&rig);
    assert_eq!(client.call(STAT, &[&string("corte.tar.gz")]).size(), 4);
    let handle = client.open("corte.tar.gz", REPUT);
    assert_eq!(client.finish_without_close(&handle), 1, "a killed client ends its channel cleanly");
    assert_eq!(rig.arrived(), []);
    let mut client = Client::new(&rig);
    let handle = client.open("corte.tar.gz", REPUT);
    assert_eq!(client.call(FSTAT, &[&string(&handle)]).size(), 4);
    assert_eq!(client.write(&handle, 0, rest), 0, "APPEND ignores the offset");
    assert_eq!(client.close(&handle).0, 0);
    assert_eq!(client.finish().0, 0);
    assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

impl Client {
    fn finish_without_close(self, _handle: &[u8]) -> u32 {
        let (status, errors) = self.finish();
        assert!(errors.contains("archivo incompleto"), "{errors}");
        status
    }
}

#[test]
fn what_follows_the_data_of_a_write_is_no_data() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handle = client.open("corte.tar.gz", PUT);
    let fields: [&[u8]; 4] = [&string(&handle), &[0; 8], &string(GOOD), b"the rest of a buffer"];
    assert_eq!(client.code(WRITE, &fields), 0);
    assert_eq!(client.close(&handle).0, 0);
    assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

#[test]
fn a_file_with_a_failed_write_is_no_package() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handle = client.open("corte.tar.gz", PUT);
    assert_eq!(client.write(&handle, 0, GOOD), 0);
    for _ in 0..5 {
        assert_eq!(client.write(&handle, 1 << 50, b"beyond every limit"), 4);
    }
    assert_eq!(client.close(&handle).0, 4);
    let (status, errors) = client.finish();
    assert_eq!((status, errors.matches("SIZE_PACKAGE").count()), (1, 1), "{errors}");
    assert_eq!(rig.arrived(), []);
}

#[test]
fn a_name_that_was_used_before_brings_another_package() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    for content in [&b"\x1f\x8b one"[..], b"\x1f\x8b two", b""] {
        assert_eq!(client.put("corte.tar.gz", content).0, 0);
        assert_eq!(client.call(STAT, &[&string("corte.tar.gz")]).size(), content.len() as u64);
    }
    let names: Vec<_> = rig
        .arrived()
        .into_iter()
        .map(|a| matches!(a, Arrived::Package(n, _) if n == "corte.tar.gz"))
        .collect();
    assert_eq!(names, [true; 3]);
}

#[test]
fn writes_in_any_order_make_the_file() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handle = client.open("corte.tar.gz", RESUME);
    for (n, byte) in GOOD.iter().enumerate().rev() {
        assert_eq!(client.write(&handle, n as u64, &[*byte]), 0);
    }
    assert_eq!(client.close(&handle).0, 0);
    client.finish();
    assert_eq!(rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

#[test]
fn a_rename_makes_a_package_and_brings_its_verdict() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    assert_eq!(client.put("corte.tar.gz.part", REFUSED).0, 0);
    assert_eq!(rig.arrived(), []);
    let (code, text) = client.call(RENAME, &[&string("corte.tar.gz.part"), &string("corte.tar.gz")]).status();
    assert_eq!(code, 4);
    assert!(text.starts_with("rechazado"), "{text}");
    assert_eq!(client.put("dos.part", GOOD).0, 0);
    let posix = string("posix-rename@openssh.com");
    assert_eq!(client.code(EXTENDED, &[&posix, &string("dos.part"), &string("dos.tar.gz")]), 0);
    assert_eq!(client.finish().0, 1);
    assert_eq!(rig.arrived().len(), 2);
}

#[test]
fn a_plain_rename_does_not_replace_and_posix_rename_does() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    client.put("a.part", b"a");
    client.put("b.part", b"bb");
    let (from, to) = (string("a.part"), string("b.part"));
    assert_eq!(client.code(RENAME, &[&from, &to]), 4);
    assert_eq!(client.call(STAT, &[&to]).size(), 2);
    assert_eq!(client.code(EXTENDED, &[&string("posix-rename@openssh.com"), &from, &to]), 0);
    assert_eq!(client.call(STAT, &[&to]).size(), 1);
    assert_eq!(client.finish().0, 0);
}

#[test]
fn a_tree_is_committed_at_the_clean_end_only() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    assert_eq!(client.named(MKDIR, "sitio/datos"), 0);
    assert_eq!(client.named(MKDIR, "sitio/datos"), 4);
    assert_eq!(client.put("sitio/datos/a.json", b"{}").0, 0);
    assert_eq!(rig.arrived(), []);
    client.vanish();
    assert_eq!(rig.arrived(), []);
    let mut client = Client::new(&rig);
    assert_eq!(client.named(MKDIR, "sitio/datos"), 0);
    assert_eq!(client.put("sitio/datos/a.json", b"{}").0, 0);
    let (status, errors) = client.finish();
    assert_eq!((status, errors.starts_with("publicado")), (0, true), "{errors}");
    assert_eq!(rig.arrived(), [Arrived::tree(&["datos/a.json"])]);
}

#[test]
fn a_tree_with_a_hole_is_not_committed() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    assert_eq!(client.put("sitio/a.json", b"{}").0, 0);
    client.open("sitio/b.json", PUT);
    let (status, errors) = client.finish();
    assert_eq!((status, errors.contains("nada de lo escrito en el sitio")), (1, true));
    assert_eq!(rig.arrived(), []);
}

#[test]
fn times_and_sizes_are_set_and_modes_ignored() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handle = client.open("notas.part", PUT);
    assert_eq!(client.write(&handle, 0, b"0123456789"), 0);
    let size = [&1_u32.to_be_bytes()[..], &4_u64.to_be_bytes()].concat();
    let mode = [&4_u32.to_be_bytes()[..], &[0; 4]].concat();
    assert_eq!(client.code(FSETSTAT, &[&string(&handle), &size]), 0);
    assert_eq!(client.code(FSETSTAT, &[&string(&handle), &mode]), 0);
    assert_eq!(client.code(EXTENDED, &[&string("fsync@openssh.com"), &string(&handle)]), 0);
    assert_eq!(client.close(&handle).0, 0);
    let read = client.open("notas.part", 1);
    let data = client.call(READ, &[&string(&read), &[0; 8], &9_u32.to_be_bytes()]);
    assert_eq!((data.kind, &data.body[4..]), (103, &b"0123"[..]));
    assert_eq!(client.code(READ, &[&string(&read), &4_u64.to_be_bytes(), &9_u32.to_be_bytes()]), 1);
    assert_eq!(client.close(&read).0, 0);
    assert_eq!(client.close(&read).0, 4, "a handle closes once");
}

#[test]
fn folders_list_and_only_empty_ones_go() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    assert_eq!(client.named(MKDIR, "sitio/d"), 0);
    assert_eq!(client.put("sitio/d/f", b"1").0, 0);
    assert_eq!(client.named(RMDIR, "sitio/d"), 4);
    let handle = client.call(OPENDIR, &[&string("sitio/d")]).handle();
    assert_eq!(client.call(READDIR, &[&string(&handle)]).names(), [".", "..", "f"]);
    assert_eq!(client.code(READDIR, &[&string(&handle)]), 1);
    assert_eq!(client.close(&handle).0, 0);
    assert_eq!(client.named(REMOVE, "sitio/d"), 4);
    assert_eq!(client.named(REMOVE, "sitio/d/f"), 0);
    assert_eq!(client.named(RMDIR, "sitio/d"), 0);
}

#[test]
fn every_path_stays_in_the_virtual_root() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    for (asked, given) in [
        ("", "/"),
        (".", "/"),
        ("/..", "/"),
        ("../../etc/passwd", "/etc/passwd"),
        ("~", "/"),
        ("sitio/./a/../b", "/sitio/b"),
    ] {
        assert_eq!(client.call(REALPATH, &[&string(asked)]).names(), [given], "{asked}");
    }
    let expand = client.call(EXTENDED, &[&string("expand-path@openssh.com"), &string("~/x")]);
    assert_eq!(expand.names(), ["/x"]);
}

#[test]
fn names_are_bytes() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let latin = b"ma\xf1ana.part";
    assert_eq!(client.put(latin, b"1").0, 0);
    assert_eq!(client.put("mañana.part", b"22").0, 0);
    assert_eq!(client.call(STAT, &[&string(latin)]).size(), 1);
    assert_eq!(client.call(STAT, &[&string("mañana.part")]).size(), 2);
}

#[test]
fn extensions_answer_in_their_shape() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let limits = client.call(EXTENDED, &[&string("limits@openssh.com")]);
    assert_eq!((limits.kind, limits.body.len()), (201, 4 * 8));
    let space = client.call(EXTENDED, &[&string("statvfs@openssh.com"), &string(".")]);
    assert_eq!((space.kind, space.body.len()), (201, 11 * 8));
}

#[test]
fn handles_are_bounded_and_come_back() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handles: Vec<_> = (0..HANDLES_MAX).map(|_| client.call(OPENDIR, &[&string("/")]).handle()).collect();
    assert_eq!(client.named(OPENDIR, "/"), 4);
    assert_eq!(client.close(&handles[7]).0, 0);
    let new = client.call(OPENDIR, &[&string("/")]).handle();
    assert_ne!(new, handles[7], "an old name never means a new file");
}

#[test]
fn replies_to_queued_writes_travel_together() {
    let rig = Rig::new();
    let mut client = Client::new(&rig);
    let handle = client.open("grande.part", PUT);
    let before = client.messages;
    // One message for the session, so that the server finds them all waiting.
    let writes = (0..64_u32).map(|n| {
        let fields =
            [&n.to_be_bytes()[..], &string(&handle), &u64::from(n).to_be_bytes(), &string("x")].concat();
        [&u32::try_from(fields.len() + 1).unwrap().to_be_bytes()[..], &[WRITE], &fields].concat()
    });
    let all = writes.collect::<Vec<_>>().concat();
    client.to.blocking_send(In::Data(all.into())).unwrap();
    for n in 0..64 {
        let reply = client.reply();
        assert_eq!((reply.id, reply.status().0), (n, 0));
    }
    assert_eq!(client.messages - before, 64 / REPLIES_TOGETHER);
}

#[test]
fn what_is_not_sftp_is_told_so() {
    let rig = Rig::new();
    let client = Client::unready(&rig);
    client.to.blocking_send(In::Data(Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"))).unwrap();
    let (status, errors) = client.finish();
    assert_eq!((status, errors.contains("no es SFTP")), (1, true));
    let client = Client::unready(&rig);
    client.packet(STAT, &[&[0; 4], &string("x")]);
    assert_eq!(client.finish().0, 1, "a request before INIT");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn well_framed_nonsense_is_answered_one_by_one(
        requests in prop::collection::vec(
            (2..=255_u8, prop::collection::vec(any::<u8>(), 0..40)),
            0..40,
        ),
        paths in prop::collection::vec(("[a-z./~\u{f1}]{0,12}", 0..=63_u32, 3..=20_u8), 0..20),
    ) {
        let rig = Rig::new();
        let mut client = Client::new(&rig);
        for (kind, fields) in &requests {
            client.call(*kind, &[fields]);
        }
        for (path, number, kind) in &paths {
            client.call(*kind, &[&string(path), &number.to_be_bytes(), &[0; 8]]);
        }
        client.finish();
    }
}
