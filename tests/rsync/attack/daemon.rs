//! Hostile clients of the daemon's greeting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};

use crate::daemon::Daemon;
use crate::peer::{self, Kind};

struct Door {
    _scratch: tempfile::TempDir,
    daemon: Daemon,
}

impl Door {
    fn open(extra: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let work = scratch.path();
        std::fs::create_dir(work.join("root")).unwrap();
        std::fs::write(work.join("secrets"), "prep:una clave larga\nother:x\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(work.join("secrets"), private).unwrap();
        let extra = extra.replace("{work}", work.to_str().unwrap());
        let daemon = Daemon::start(peer::peer(), work, &work.join("root"), &extra);
        Self { _scratch: scratch, daemon }
    }

    fn call(&self) -> (TcpStream, BufReader<TcpStream>) {
        let stream = TcpStream::connect(("127.0.0.1", self.daemon.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        (stream, reader)
    }

    /// All that the daemon says to these bytes, the client's side closed after them.
    fn say(&self, bytes: &[u8]) -> String {
        let (mut stream, mut reader) = self.call();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut text = Vec::new();
        let _ = reader.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// It still serves whoever comes next.
    fn alive(&self) {
        let text = self.say(b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n#list\n");
        assert!(text.contains("drop") && text.contains("@RSYNCD: EXIT"), "after the attack: {text}");
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    let _ = reader.read_line(&mut text);
    text
}

#[test]
fn greetings_that_are_none_are_refused() {
    let door = Door::open("");
    let long = [b"@RSYNCD: ".to_vec(), vec![b'3'; 1_000_000]].concat();
    let greetings: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\n".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"@RSYNCD: \n".to_vec(),
        b"@RSYNCD: x.y\ndrop\n".to_vec(),
        b"@RSYNCD: 26\ndrop\n".to_vec(),
        b"@RSYNCD: -1.0\ndrop\n".to_vec(),
        b"@RSYNCD: 30\ndrop\n".to_vec(),
        b"@RSYNCD: 32.0\ndrop\n".to_vec(),
        long,
        b"@RSYNCD: 31.0".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
    ];
    for greeting in greetings {
        let text = door.say(&greeting);
        let shown = greeting[..greeting.len().min(40)].escape_ascii().to_string();
        // Stock still talks to protocol 20, and takes -1 for whatever.
        let old = peer::kind() == Kind::Stock && (shown.contains("26") || shown.contains("-1"));
        assert!(old || !text.contains("@RSYNCD: OK"), "{shown}: {text}");
        door.alive();
    }
}

#[test]
fn modules_and_commands_that_are_none_are_refused() {
    let door = Door::open("");
    let names: Vec<Vec<u8>> = vec![
        b"nothing".to_vec(),
        b"../drop".to_vec(),
        b"/etc".to_vec(),
        b"drop/../..".to_vec(),
        b"#unknown".to_vec(),
        b"#early_input=99999999999".to_vec(),
        b"#early_input=-1".to_vec(),
        b"#early_input=5121".to_vec(),
        vec![b'm'; 100_000],
        b"\xff\xfe".to_vec(),
        b"%s%n".to_vec(),
    ];
    for name in names {
        let text = door.say(&[b"@RSYNCD: 31.0 sha512 md5\n".to_vec(), name.clone(), b"\n".to_vec()].concat());
        let shown = name[..name.len().min(40)].escape_ascii().to_string();
        assert!(!text.contains("@RSYNCD: OK"), "{shown}: {text}");
        door.alive();
    }
}

#[test]
fn no_answer_but_the_right_one_opens() {
    let door = Door::open("auth users = prep\nsecrets file = {work}/secrets");
    for answer in [
        "prep AAAAAAAAAAAAAAAAAAAAAA",
        "prep",
        " ",
        "",
        "prep ",
        "other AAAA",
        "prep,other AAAA",
        "root AAAA",
        "prep una clave larga",
        "prep\u{0}x AAAA",
        "prep \u{ff}\u{fe}",
    ] {
        let (mut stream, mut reader) = door.call();
        line(&mut reader);
        stream.write_all(b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\ndrop\n").unwrap();
        let challenge = line(&mut reader);
        assert!(challenge.starts_with("@RSYNCD: AUTHREQD "), "{challenge}");
        assert!(challenge.len() > 30, "too short a challenge: {challenge}");
        let _ = stream.write_all(format!("{answer}\n").as_bytes());
        let text = line(&mut reader);
        assert!(text.starts_with("@ERROR"), "{answer:?}: {text}");
        door.alive();
    }
}

/// What was heard on the wire is worth nothing on the next connection.
#[test]
fn an_answer_that_was_right_once_opens_nothing_again() {
    let door = Door::open("auth users = prep\nsecrets file = {work}/secrets");
    let call = |answer: Option<String>| {
        let (mut stream, mut reader) = door.call();
        line(&mut reader);
        stream.write_all(b"@RSYNCD: 31.0 md5\ndrop\n").unwrap();
        let challenge = line(&mut reader);
        let challenge = challenge.trim_end().strip_prefix("@RSYNCD: AUTHREQD ").unwrap();
        let right = Md5::new().chain_update("una clave larga").chain_update(challenge).finalize();
        let answer = answer.unwrap_or_else(|| format!("prep {}\n", STANDARD_NO_PAD.encode(right)));
        stream.write_all(answer.as_bytes()).unwrap();
        (line(&mut reader), answer)
    };
    let (opened, answer) = call(None);
    assert_eq!(opened, "@RSYNCD: OK\n");
    let (again, _) = call(Some(answer));
    assert!(again.contains("@ERROR: auth failed on module drop"), "{again}");
    assert_eq!(call(None).0, "@RSYNCD: OK\n", "and the right one still does");
}

#[test]
fn challenges_do_not_repeat() {
    let door = Door::open("auth users = prep\nsecrets file = {work}/secrets");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (mut stream, mut reader) = door.call();
        line(&mut reader);
        stream.write_all(b"@RSYNCD: 31.0 sha512 md5\ndrop\n").unwrap();
        assert!(seen.insert(line(&mut reader)));
    }
}

#[test]
fn a_stranger_is_not_told_more_than_that() {
    let door = Door::open("hosts allow = 192.0.2.1");
    let text = door.say(b"@RSYNCD: 31.0 sha512 md5\ndrop\n");
    assert!(text.contains("@ERROR") && !text.contains("@RSYNCD: OK"), "{text}");
}

#[test]
fn the_connection_over_the_limit_is_told_so() {
    let door = Door::open("max connections = 1");
    let (mut first, mut reader) = door.call();
    line(&mut reader);
    first.write_all(b"@RSYNCD: 31.0 sha512 md5\ndrop\n").unwrap();
    assert_eq!(line(&mut reader), "@RSYNCD: OK\n");
    let text = door.say(b"@RSYNCD: 31.0 sha512 md5\ndrop\n");
    assert!(text.contains("@ERROR: max connections (1) reached -- try again later"), "{text}");
}

#[test]
fn arguments_without_end_are_refused() {
    let door = Door::open("");
    let greeting = b"@RSYNCD: 31.0 sha512 md5\ndrop\n".to_vec();
    let endless: Vec<Vec<u8>> = vec![
        b"--server\0".repeat(200_000),
        vec![b'a'; 5_000_000],
        [vec![b'b'; 4_000], vec![0]].concat().repeat(2_000),
        b"--server\0--sender\0-r\0.\0drop/\0\0".to_vec(),
        b"\0".to_vec(),
        b"--server\0--daemon\0.\0\0".to_vec(),
        b"--server\0-r\0.\0drop/../../etc\0\0".to_vec(),
        b"--server\0-r\0.\0/etc\0\0".to_vec(),
    ];
    for arguments in endless {
        door.say(&[greeting.clone(), arguments].concat());
        door.alive();
    }
}

#[test]
fn a_hundred_silent_callers_do_not_keep_others_out() {
    let door = Door::open("");
    let silent: Vec<_> = (0..100).map(|_| door.call()).collect();
    door.alive();
    drop(silent);
}

/// Stock waits for ever; ours closes at the deadline for a handshake.
#[test]
fn a_caller_that_trickles_is_cut_at_the_deadline() {
    if peer::kind() == Kind::Stock {
        return;
    }
    let door = Door::open("timeout = 2");
    let (mut stream, mut reader) = door.call();
    line(&mut reader);
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut byte = [0];
    for _ in 0..80 {
        let written = stream.write_all(b"@");
        match reader.read(&mut byte) {
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Ok(1) if written.is_ok() => {}
            _ => return,
        }
    }
    panic!("a byte every half second holds a connection for forty seconds");
}
