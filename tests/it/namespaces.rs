//! Addresses, in networks of our own: trusted, untrusted, IPv6, v4-mapped, and balancers.
//! Needs root, as the machine of an administrator has it.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::night::{Node, PATIENCE, shown};

/// Three hosts, each at the other end of a wire of its own: `10.77.N.2` and `fd77:N::2`,
/// where we are `10.77.N.1` and `fd77:N::1`. Gone when dropped.
struct Wires {
    tag: String,
    /// Two tests at once would lay the same addresses.
    _turn: File,
}

const TRUSTED: u8 = 1;
const STRANGER: u8 = 2;
const BALANCER: u8 = 3;

impl Wires {
    fn lay() -> Self {
        let turn = File::create(std::env::temp_dir().join("difusor-wires.lock")).unwrap();
        turn.lock().unwrap();
        let wires = Self { tag: format!("d{}", std::process::id() % 100_000), _turn: turn };
        for n in [TRUSTED, STRANGER, BALANCER] {
            let (space, near, far) =
                (wires.space(n), format!("{}n{n}", wires.tag), format!("{}f{n}", wires.tag));
            ip(&["netns", "add", &space]);
            ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &space]);
            for (inside, device, last) in [(None, &near, 1), (Some(&space), &far, 2)] {
                let within = |args: &[&str]| {
                    let prefix = inside.map_or(Vec::new(), |space| vec!["-n", space.as_str()]);
                    ip(&[&prefix[..], args].concat());
                };
                within(&["addr", "add", &format!("10.77.{n}.{last}/24"), "dev", device]);
                // Without the wait for somebody who has the same address.
                within(&["addr", "add", &format!("fd77:{n}::{last}/64"), "dev", device, "nodad"]);
                within(&["link", "set", device, "up"]);
            }
        }
        wires
    }

    fn space(&self, n: u8) -> String {
        format!("{}s{n}", self.tag)
    }

    /// A program on one of the hosts.
    fn on(&self, n: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(n), "timeout", "60", program]);
        command
    }

    /// What a host hears that says this and listens until it is closed, or has eight bytes.
    fn hears(&self, n: u8, to: &str, port: u16, says: &[u8]) -> String {
        let hex: String = says.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut python = self.on(n, "/usr/bin/python3");
        let heard = python.args(["-c", LISTENER, to, &port.to_string(), &hex]).output().unwrap();
        assert!(heard.status.success(), "{}", shown(&heard));
        String::from_utf8(heard.stdout).unwrap().trim().to_owned()
    }

    fn ssh(&self, n: u8, node: &Node, to: &str, command: &str) -> Command {
        let mut ssh = self.on(n, "ssh");
        ssh.args(node.ssh_options("id")).args([
            "-o",
            "ConnectTimeout=20",
            "-p",
            &node.ssh.port().to_string(),
        ]);
        ssh.arg(format!("prep@{to}")).arg(command);
        ssh
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for n in [TRUSTED, STRANGER, BALANCER] {
            let _ = Command::new("ip").args(["netns", "del", &self.space(n)]).output();
        }
    }
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output().unwrap();
    assert!(done.status.success(), "this test needs root: ip {args:?}: {}", shown(&done));
}

const LISTENER: &str = r#"
import socket, sys
host, port, says = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
peer = socket.create_connection((host, port), timeout=20)
heard = b""
try:
    peer.sendall(says)
    while len(heard) < 8:
        more = peer.recv(8 - len(heard))
        if not more:
            break
        heard += more
except (ConnectionResetError, BrokenPipeError):
    pass
print(heard.decode() or "nothing")
"#;

/// A header of the PROXY protocol, version 2, that names `source`.
fn header(source: &str) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match source.parse().unwrap() {
        std::net::IpAddr::V4(v4) => {
            header.extend([0x11, 0, 12]);
            header.extend(v4.octets());
            header.extend([10, 77, 3, 1, 0x30, 0x39, 0, 22]);
        }
        std::net::IpAddr::V6(v6) => {
            header.extend([0x21, 0, 36]);
            header.extend(v6.octets());
            header.extend([0; 20]);
        }
    }
    header
}

fn with_banner(header: Vec<u8>, banner: &[u8]) -> Vec<u8> {
    [header, banner.to_vec()].concat()
}

const CLIENT: &[u8] = b"SSH-2.0-OpenSSH_9.2p1\r\n";

fn node() -> Node {
    let mut node = Node::prepare("");
    node.configure(
        "[ssh]\n[trust]\nnetworks = [\"10.77.1.0/24\", { net = \"fd77:1::/64\", note = \"instituto\" }]\n\
         proxies = [\"10.77.3.2\"]\n[rsync]\nlisten = [\"[::]:0\"]\n\
         [[rsync.module]]\nname = \"prep\"\n",
    );
    let config = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    std::fs::write(
        node.path("difusor.toml"),
        config.replace("[ssh]\nlisten = [\"127.0.0.1:0\"]", "[ssh]\nlisten = [\"[::]:0\"]"),
    )
    .unwrap();
    let public = std::fs::read_to_string(node.path("id.pub")).unwrap();
    let line = format!("from=\"10.77.0.0/16,fd77::/16\" {public}");
    std::fs::write(node.path("keys/trusted/id.pub"), line).unwrap();
    node.up("run");
    node
}

fn rsync_port(node: &Node) -> u16 {
    let text = std::fs::read(node.path("var/run/receive.json")).unwrap();
    let bound: serde_json::Value = serde_json::from_slice(&text).unwrap();
    bound["rsync"][0].as_str().unwrap().parse::<SocketAddr>().unwrap().port()
}

fn comes_in(output: &Output) {
    assert!(output.status.success() && output.stdout == b"/\n", "{}", shown(output));
}

#[test]
fn a_trusted_network_is_heard_and_a_stranger_gets_no_byte_at_any_door() {
    let (wires, mut node) = (Wires::lay(), node());
    let doors = [(node.ssh.port(), "SSH-2.0-", CLIENT), (rsync_port(&node), "@RSYNCD:", b"@RSYNCD: 31.0\n")];
    // The sockets are IPv6: an IPv4 peer is a mapped address to them.
    for to in ["10.77.1.1", "fd77:1::1"] {
        comes_in(&wires.ssh(TRUSTED, &node, to, "pwd").output().unwrap());
        for (port, greeting, says) in doors {
            assert_eq!(wires.hears(TRUSTED, to, port, says), greeting);
        }
    }
    for to in ["10.77.2.1", "fd77:2::1"] {
        for (port, _, says) in doors {
            assert_eq!(wires.hears(STRANGER, to, port, b""), "nothing");
            let header = with_banner(header("10.77.1.2"), says);
            assert_eq!(wires.hears(STRANGER, to, port, &header), "nothing", "a stranger's word for it");
        }
    }
    node.stop();
    let reasons: Vec<_> = node.ledger_of("refused").iter().map(|l| l["reason"].clone()).collect();
    assert!(reasons.contains(&"network".into()) && reasons.contains(&"rsync_network".into()), "{reasons:?}");
}

#[test]
fn only_a_named_balancer_says_who_is_behind_it() {
    let (wires, mut node) = (Wires::lay(), node());
    let doors = [(node.ssh.port(), "SSH-2.0-", CLIENT), (rsync_port(&node), "@RSYNCD:", b"@RSYNCD: 31.0\n")];
    for (port, greeting, says) in doors {
        let brings =
            |source: &str| wires.hears(BALANCER, "10.77.3.1", port, &with_banner(header(source), says));
        assert_eq!(brings("10.77.1.2"), greeting);
        assert_eq!(brings("::ffff:10.77.1.2"), greeting, "mapped");
        assert_eq!(brings("fd77:1::2"), greeting);
        assert_eq!(brings("10.77.2.2"), "nothing", "a stranger stays one");
        assert_eq!(wires.hears(BALANCER, "10.77.3.1", port, says), "nothing", "it must say");
        let old = with_banner(b"PROXY TCP4 10.77.1.2 10.77.3.1 1 2\r\n".to_vec(), says);
        assert_eq!(wires.hears(BALANCER, "10.77.3.1", port, &old), "nothing", "version 1");
    }
    // From a trusted peer that is no balancer it is a breach: the connection ends at once.
    let spoofed = with_banner(header("10.77.1.9"), CLIENT);
    let mut python = wires.on(TRUSTED, "/usr/bin/python3");
    let whole = LISTENER.replace("len(heard) < 8", "True").replace("8 - len(heard)", "4096");
    let hex: String = spoofed.iter().map(|byte| format!("{byte:02x}")).collect();
    let heard =
        python.args(["-c", &whole, "10.77.1.1", &node.ssh.port().to_string(), &hex]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.stdout).trim(), "SSH-2.0-difusor", "{}", shown(&heard));
    node.stop();
    let reasons: Vec<_> = node.ledger_of("refused").iter().map(|l| l["reason"].clone()).collect();
    for reason in ["network", "proxy", "rsync_network", "rsync_proxy", "protocol"] {
        assert!(reasons.contains(&reason.into()), "{reason}: {reasons:?}");
    }
}

#[test]
fn networks_come_and_go_without_a_restart_and_take_their_sessions_along() {
    let (wires, node) = (Wires::lay(), node());
    let closed = wires.ssh(STRANGER, &node, "10.77.2.1", "pwd").output().unwrap();
    assert_eq!(closed.status.code(), Some(255), "{}", shown(&closed));
    let before = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    let added = node.difusor(&["trust", "add", "10.77.2.0/24", "--note", "sede alterna"]);
    assert!(added.status.success(), "{}", shown(&added));
    let told = |what: &str, net: &str| {
        let begun = Instant::now();
        let has =
            |line: &serde_json::Value| line[what].as_array().is_some_and(|nets| nets.contains(&net.into()));
        while !node.ledger_of("networks").iter().any(has) {
            assert!(begun.elapsed() < PATIENCE, "{:?}", node.ledger_of("networks"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    told("added", "10.77.2.0/24");
    let listed = shown(&node.difusor(&["trust", "list"]));
    assert!(listed.contains("sede alterna") && listed.contains("instituto"), "{listed}");
    comes_in(&wires.ssh(STRANGER, &node, "10.77.2.1", "pwd").output().unwrap());
    let mut push = wires.ssh(STRANGER, &node, "10.77.2.1", "cat > x.tmp");
    let mut push = push.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !shown(&wires.ssh(TRUSTED, &node, "10.77.1.1", "ls").output().unwrap()).contains("x.tmp") {
        assert!(begun.elapsed() < PATIENCE);
    }
    // A file with a fault changes nothing.
    let good = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    std::fs::write(node.path("difusor.toml"), good.replace("sede alterna\"", "sede alterna")).unwrap();
    let begun = Instant::now();
    while !node.log().contains("the networks trusted before stay") {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(push.try_wait().unwrap().is_none());
    std::fs::write(node.path("difusor.toml"), good).unwrap();
    let removed = node.difusor(&["trust", "remove", "10.77.2.0/24"]);
    assert!(removed.status.success(), "{}", shown(&removed));
    told("removed", "10.77.2.0/24");
    assert!(!push.wait().unwrap().success(), "its session ended");
    let closed = wires.ssh(STRANGER, &node, "10.77.2.1", "pwd").output().unwrap();
    assert_eq!(closed.status.code(), Some(255), "{}", shown(&closed));
    comes_in(&wires.ssh(TRUSTED, &node, "10.77.1.1", "pwd").output().unwrap());
    let after: toml::Table = std::fs::read_to_string(node.path("difusor.toml")).unwrap().parse().unwrap();
    assert_eq!(after, before.parse().unwrap());
}
