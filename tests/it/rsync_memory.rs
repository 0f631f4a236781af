//! What connections and sessions of the rsync daemon take of the service's memory.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::night::Node;
use crate::rsync_daemon::{address, knock, module, until};
use crate::rsync_transactions::{noise, wait_bytes};

/// Resident memory of the service that is its own, KiB.
fn resident(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_connection_takes_less_than_100_kb() {
    const IDLE: u64 = 300;
    let bounds = "[rsync]\nlisten = [\"127.0.0.1:0\"]\nconnections = 1000\nconnections-per-address = 1000\n";
    let node = Node::start_with(&format!("{bounds}{}", module("prep", "/sitio", "max-connections = 1000\n")));
    let greeted = |_| {
        let mut socket = knock(&node);
        until(&mut socket, "@RSYNCD: ");
        until(&mut socket, "\n");
        socket
    };
    let _warm: Vec<TcpStream> = (0..20).map(greeted).collect();
    let before = resident(&node);
    let mut idle: Vec<TcpStream> = (0..IDLE).map(greeted).collect();
    let each = (resident(&node) - before) / IDLE;
    assert!(each < 100, "{each} KiB before the module");
    for socket in &mut idle {
        socket.write_all(b"@RSYNCD: 31.0\nprep\n").unwrap();
        until(socket, "@RSYNCD: OK\n");
    }
    let each = (resident(&node) - before) / IDLE;
    assert!(each < 100, "{each} KiB behind it");
}

#[test]
fn a_session_takes_less_than_16_mb() {
    const SESSIONS: u64 = 6;
    let daemon = "[rsync]\nlisten = [\"127.0.0.1:0\"]\n";
    let node = Node::start_with(&format!("{daemon}{}", module("paquetes", "/paquetes", "")));
    let source = tempfile::tempdir().unwrap();
    let push = |n: u64, options: &[&str]| -> Child {
        let file = source.path().join(format!("{n}.dat"));
        std::fs::write(&file, noise(6 << 20, n)).unwrap();
        let mut rsync = Command::new("rsync");
        // 19: the largest window that is taken.
        rsync.args(["-t", "--zc=zstd", "--zl=19"]).args(options).arg(&file);
        rsync.arg(format!("rsync://{}/paquetes/", address(&node, "rsync")));
        rsync.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    assert!(push(0, &[]).wait().unwrap().success());
    let before = resident(&node);
    let mut pushing: Vec<Child> = (1..=SESSIONS).map(|n| push(n, &["--bwlimit=600"])).collect();
    wait_bytes(&node, "var/inbox", (6 << 20) + SESSIONS * (1 << 20));
    let each = (resident(&node).saturating_sub(before)) / SESSIONS;
    for child in &mut pushing {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(each < 16 << 10, "{each} KiB");
}
