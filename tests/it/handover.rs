//! A restart under load: systemd holds the listening sockets, and no reader notices. What systemd does
//! is done here by bash, to the letter of `sd_listen_fds(3)`.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::process::Command;

use crate::cuts::Cuts;
use crate::night::{Node, shown};
use crate::steady::{Load, Steady};

/// Sockets that stay open while processes come and go.
struct Held {
    https: TcpListener,
    http: TcpListener,
}

impl Held {
    fn open() -> Self {
        let open = || {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
            socket
        };
        Self { https: open(), http: open() }
    }

    /// A command line that gives the program these sockets, and becomes it.
    fn give(&self) -> Command {
        let mut bash = Command::new("bash");
        let (https, http) = (self.https.as_raw_fd(), self.http.as_raw_fd());
        // The numbers 3 and 4 may be those of the sockets themselves: first out of their way.
        let script = format!(
            "exec 100<&{https} 101<&{http}; exec 3<&100 4<&101; exec 100<&- 101<&-; \
             export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=https:http; exec \"$0\" \"$@\""
        );
        bash.args(["-c", &script, crate::night::DIFUSOR]);
        bash
    }
}

#[test]
fn a_restart_under_load_loses_no_request() {
    let held = Held::open();
    let (cuts, mut node) = (Cuts::good(0), Node::prepare(""));
    node.up("receive");
    node.up_as("serve", held.give());
    let address = held.https.local_addr().unwrap();
    assert_eq!(node.https, address, "the inherited socket is served");
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let load = Load::start(&[Steady::Http1; 12], address);
    let http2 = Load::start(&[Steady::Http2; 2], address);
    for _ in 0..3 {
        load.wait_for_answers(300);
        http2.wait_for_answers(100);
        assert_eq!(node.stop_half("serve"), Some(0));
        node.up_as("serve", held.give());
    }
    load.wait_for_answers(300);
    let (answers, lost) = load.finish();
    assert!(lost.is_empty(), "{} of {answers}: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    let (answers, lost) = http2.finish();
    assert!(lost.is_empty(), "{} of {answers}: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert!(load_is_redirected(held.http.local_addr().unwrap()));
}

fn load_is_redirected(address: SocketAddr) -> bool {
    crate::night::curl(&format!("http://{address}/"), &[]).status == 308
}

#[test]
fn tickets_outlive_a_restart() {
    let mut node = Node::start();
    let session = node.path("session");
    let resumed = |node: &Node, options: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-tls1_2", "-connect", &node.https.to_string()])
            .args(options)
            .arg(&session);
        openssl.stdin(std::process::Stdio::null());
        shown(&openssl.output().unwrap())
    };
    assert!(resumed(&node, &["-sess_out"]).contains("New, TLSv1.2"));
    node.stop();
    node.up("run");
    let again = resumed(&node, &["-sess_in"]);
    assert!(again.contains("Reused, TLSv1.2"), "{again}");
}

#[test]
fn a_socket_of_no_door_is_refused_in_words() {
    let node = Node::prepare("");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    let script = format!(
        "exec 100<&{}; exec 3<&100; exec 100<&-; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=nadie; exec \"$0\" \"$@\"",
        socket.as_raw_fd()
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, crate::night::DIFUSOR, "serve", "--config"]).arg(node.path("difusor.toml"));
    let refused = bash.output().unwrap();
    assert!(!refused.status.success());
    assert!(shown(&refused).contains("«nadie»"), "{}", shown(&refused));
}

#[test]
fn many_processes_may_share_one_socket() {
    let held = Held::open();
    let mut node = Node::prepare("");
    node.up_as("serve", held.give());
    // The second one of the same instance, as in the middle of an upgrade.
    node.up_as("serve", held.give());
    let load = Load::start(&[Steady::Http1; 4], held.https.local_addr().unwrap());
    load.wait_for_answers(200);
    assert_eq!(node.stop_half("serve"), Some(0));
    load.wait_for_answers(200);
    let (answers, lost) = load.finish();
    assert!(lost.is_empty(), "{} of {answers}: {lost:?}", lost.len());
}
