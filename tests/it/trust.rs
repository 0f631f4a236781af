//! Who may speak to the door, who may come in, and what nobody gets (T-04, T-05).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, piped, shown};

/// A node whose one key `id` stands in its file with these options.
pub fn node_with(options: &str) -> Node {
    let mut node = Node::prepare("");
    trust(&node, "id", options);
    node.up("run");
    node
}

/// Writes `trusted/NAME.pub` by hand, as an administrator does.
pub fn trust(node: &Node, name: &str, options: &str) {
    let public = std::fs::read_to_string(node.path(&format!("{name}.pub"))).unwrap();
    std::fs::write(node.path(&format!("keys/trusted/{name}.pub")), format!("{options} {public}")).unwrap();
}

/// A key pair that nobody trusts yet.
pub fn pair(node: &Node, name: &str, kind: &[&str]) {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-N", "", "-C", name, "-t"]).args(kind).arg("-f").arg(node.path(name));
    let made = keygen.output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
}

/// `ssh` with a key of the node and further options before the host.
pub fn ssh(node: &Node, key: &str, options: &[&str], rest: &[&str]) -> Command {
    let mut ssh = Command::new("timeout");
    ssh.args(["30", "ssh"]).args(node.ssh_options(key)).args(options);
    ssh.args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1"]).args(rest);
    ssh
}

pub fn run(node: &Node, key: &str, options: &[&str], rest: &[&str]) -> Output {
    piped(&mut ssh(node, key, options, rest), b"")
}

#[track_caller]
pub fn comes_in(output: &Output) {
    assert!(output.status.success(), "{}", shown(output));
    assert_eq!(output.stdout, b"/\n", "{}", shown(output));
}

#[track_caller]
pub fn is_denied(output: &Output) {
    assert_eq!(output.status.code(), Some(255), "{}", shown(output));
    assert!(shown(output).contains("Permission denied (publickey)"), "{}", shown(output));
}

/// Connects from an address of the loopback network.
pub fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::V4(from), 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything the other end says until it closes.
pub fn heard(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("{e}"),
        _ => bytes,
    }
}

/// Reasons in the ledger's lines of refusals; the counts are written at the latest at the stop.
pub fn refusals(node: &mut Node) -> Vec<(String, String)> {
    node.stop();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    node.ledger_of("refused").iter().map(|l| (text(&l["reason"]), text(&l["from"]))).collect()
}

/// Waits for a line about a key, and gives it.
pub fn wait_keys(node: &Node, what: &str, name: &str) -> Value {
    let begun = Instant::now();
    loop {
        let lines = node.ledger_of("keys");
        if let Some(line) = lines.iter().find(|l| l["what"] == what && l["name"] == name) {
            return line.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{lines:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An upload that has begun and goes on until its input ends.
pub struct Upload {
    pub child: Child,
}

impl Upload {
    pub fn begin(node: &Node, key: &str, name: &str) -> Self {
        let mut command = ssh(node, key, &[], &[&format!("cat > {name}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(&[7; 10_000]).unwrap();
        let begun = Instant::now();
        let lists = || piped(&mut ssh(node, key, &[], &["ls -l"]), b"");
        while !shown(&lists()).contains("10000") {
            assert!(begun.elapsed() < PATIENCE, "{}", shown(&lists()));
            std::thread::sleep(Duration::from_millis(100));
        }
        Self { child }
    }

    /// Waits for its end without ending it.
    pub fn ended(mut self) -> Output {
        let _open = self.child.stdin.take();
        self.child.wait_with_output().unwrap()
    }
}

#[test]
fn an_untrusted_address_is_closed_before_the_first_byte() {
    let mut node = node_with("from=\"127.0.0.1\"");
    let stranger = connect(Ipv4Addr::new(127, 0, 0, 2), node.ssh);
    assert_eq!(heard(&stranger), b"");
    let known = connect(Ipv4Addr::LOCALHOST, node.ssh);
    let mut banner = [0; 8];
    (&known).read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    drop(known);
    let refused = run(&node, "id", &["-b", "127.0.0.2"], &["pwd"]);
    assert_eq!(refused.status.code(), Some(255), "{}", shown(&refused));
    comes_in(&run(&node, "id", &[], &["pwd"]));
    let refusals = refusals(&mut node);
    assert!(refusals.contains(&("stranger".into(), "127.0.0.2".into())), "{refusals:?}");
}

#[test]
fn a_negated_address_is_a_stranger_within_its_trusted_network() {
    let node = node_with("from=\"!127.0.0.1,127.0.0.0/8\"");
    assert_eq!(heard(&connect(Ipv4Addr::LOCALHOST, node.ssh)), b"");
    comes_in(&run(&node, "id", &["-b", "127.0.0.2"], &["pwd"]));
}

#[test]
fn a_key_is_refused_from_an_address_that_only_another_key_may_use() {
    let mut node = Node::start();
    pair(&node, "otra", &["ed25519"]);
    trust(&node, "otra", "from=\"127.0.0.9\"");
    wait_keys(&node, "added", "otra");
    is_denied(&run(&node, "otra", &[], &["pwd"]));
    comes_in(&run(&node, "otra", &["-b", "127.0.0.9"], &["pwd"]));
    let refusals = refusals(&mut node);
    assert!(refusals.contains(&("key_address".into(), "127.0.0.1".into())), "{refusals:?}");
}

#[test]
fn an_unknown_key_and_an_expired_one_are_refused() {
    let mut node = Node::start();
    pair(&node, "ajena", &["ed25519"]);
    is_denied(&run(&node, "ajena", &[], &["pwd"]));
    pair(&node, "vieja", &["ed25519"]);
    trust(&node, "vieja", "from=\"127.0.0.0/8\",expiry-time=\"20200101\"");
    pair(&node, "marca", &["ed25519"]);
    trust(&node, "marca", "from=\"127.0.0.0/8\",expiry-time=\"20990101\"");
    wait_keys(&node, "added", "marca");
    is_denied(&run(&node, "vieja", &[], &["pwd"]));
    comes_in(&run(&node, "marca", &[], &["pwd"]));
    let refusals = refusals(&mut node);
    for reason in ["unknown_key", "key_expired"] {
        assert!(refusals.contains(&(reason.into(), "127.0.0.1".into())), "{refusals:?}");
    }
}

#[test]
fn an_added_key_comes_in_within_a_second_and_a_running_upload_goes_on() {
    let node = Node::start();
    let cuts = Cuts::good(0);
    let mut upload = Upload::begin(&node, "id", "x.tmp");
    node.make_key("nueva", "127.0.0.0/8");
    let changed = std::fs::metadata(node.path("keys/trusted/nueva.pub")).unwrap().modified().unwrap();
    let line = wait_keys(&node, "added", "nueva");
    let at: Timestamp = line["t"].as_str().unwrap().parse().unwrap();
    let late = at.duration_since(Timestamp::try_from(changed).unwrap());
    assert!(late.as_millis() < 1000, "{late}");
    comes_in(&run(&node, "nueva", &[], &["pwd"]));
    assert!(line["key"].as_str().unwrap().starts_with("SHA256:"), "{line}");
    upload.child.stdin.as_mut().unwrap().write_all(&cuts.bytes(0)).unwrap();
    drop(upload.child.stdin.take());
    let ended = upload.child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", shown(&ended));
    let listed = node.difusor(&["keys", "list"]);
    assert!(shown(&listed).contains("nueva"), "{}", shown(&listed));
}

#[test]
fn a_revoked_key_loses_its_running_upload_and_nobody_else_does() {
    let node = Node::start();
    node.make_key("segunda", "127.0.0.0/8");
    wait_keys(&node, "added", "segunda");
    let (lost, mut kept) = (Upload::begin(&node, "segunda", "x.tar.gz"), Upload::begin(&node, "id", "y.tmp"));
    let revoked = node.difusor(&["keys", "revoke", "segunda"]);
    assert!(revoked.status.success(), "{}", shown(&revoked));
    let ended = lost.ended();
    assert!(!ended.status.success(), "{}", shown(&ended));
    wait_keys(&node, "removed", "segunda");
    is_denied(&run(&node, "segunda", &[], &["pwd"]));
    assert!(node.ledger_of("received").is_empty());
    drop(kept.child.stdin.take());
    let ended = kept.child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", shown(&ended));
}

#[test]
fn a_key_whose_file_is_removed_by_hand_is_out_too() {
    let node = Node::start();
    node.make_key("segunda", "127.0.0.0/8");
    wait_keys(&node, "added", "segunda");
    let lost = Upload::begin(&node, "segunda", "x.tmp");
    std::fs::remove_file(node.path("keys/trusted/segunda.pub")).unwrap();
    let ended = lost.ended();
    assert!(!ended.status.success(), "{}", shown(&ended));
    wait_keys(&node, "removed", "segunda");
}

#[test]
fn a_bad_line_is_named_and_the_others_count() {
    let node = Node::start();
    for name in ["uno", "dos", "tres"] {
        pair(&node, name, &["ed25519"]);
    }
    let public = |name: &str| std::fs::read_to_string(node.path(&format!("{name}.pub"))).unwrap();
    let text = format!(
        "# instituto\n\nfrom=\"127.0.0.0/8\" {}from=\"127.0.0.0/8\" ssh-ed25519 AAAAroto\n\
         from=\"127.0.0.0/8\",sin-sentido {}\trestrict,from=\"127.0.0.0/8\"\t{}",
        public("uno"),
        public("dos"),
        public("tres")
    );
    std::fs::write(node.path("keys/trusted/instituto.pub"), text).unwrap();
    let begun = Instant::now();
    while node.ledger_of("keys").iter().filter(|l| l["what"] == "added").count() < 2 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", node.ledger_of("keys"));
        std::thread::sleep(Duration::from_millis(10));
    }
    comes_in(&run(&node, "uno", &[], &["pwd"]));
    comes_in(&run(&node, "tres", &[], &["pwd"]));
    comes_in(&run(&node, "id", &[], &["pwd"]));
    is_denied(&run(&node, "dos", &[], &["pwd"]));
    let checked = node.difusor(&["check"]);
    assert_eq!(checked.status.code(), Some(78), "{}", shown(&checked));
    for place in ["instituto.pub:4", "instituto.pub:5"] {
        assert!(shown(&checked).contains(place), "{place}: {}", shown(&checked));
        assert!(node.log().contains(place), "{place}: {}", node.log());
    }
    assert!(shown(&checked).contains("sin-sentido"), "{}", shown(&checked));
}

#[test]
fn only_public_keys_are_offered() {
    let node = Node::start();
    let mut asked = Command::new("ssh");
    asked.args(["-F", "none", "-v", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    asked.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "PubkeyAuthentication=no"]);
    asked.args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1", "pwd"]);
    let asked = asked.env_remove("SSH_AUTH_SOCK").output().unwrap();
    assert!(!asked.status.success());
    let text = shown(&asked);
    let offered = text.lines().find(|l| l.contains("Authentications that can continue")).unwrap();
    assert_eq!(offered.rsplit(": ").next().unwrap().trim(), "publickey");
}

const ASK_FOR_MORE: &str = r#"
import sys, paramiko
port, key, web = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), "prep", key_filename=key, allow_agent=False, look_for_keys=False)
transport = client.get_transport()
def refused(name, ask):
    try:
        ask()
        print("GRANTED", name)
    except (paramiko.SSHException, EOFError) as error:
        print("refused", name, error)
channel = lambda: transport.open_session(timeout=20)
refused("pty", lambda: channel().get_pty())
refused("x11", lambda: channel().request_x11())
refused("direct-tcpip", lambda: transport.open_channel("direct-tcpip", ("127.0.0.1", int(web)), ("127.0.0.1", 1)))
refused("tcpip-forward", lambda: transport.request_port_forward("127.0.0.1", 0))
refused("other subsystem", lambda: channel().invoke_subsystem("netconf"))
refused("unknown channel", lambda: transport.open_channel("auth-agent@openssh.com"))
stdin, stdout, stderr = client.exec_command("pwd")
print("still", stdout.read().decode().strip(), stdout.channel.recv_exit_status())
"#;

#[test]
fn no_terminal_no_forwarding_no_x11_and_no_other_subsystem() {
    let node = Node::start();
    let mut python = Command::new("timeout");
    python.args(["60", "/usr/bin/python3", "-W", "ignore", "-c", ASK_FOR_MORE, &node.ssh.port().to_string()]);
    let done = python.arg(node.path("id")).arg(node.https.port().to_string()).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(!text.contains("GRANTED"), "{}", shown(&done));
    assert_eq!(text.matches("refused ").count(), 6, "{}", shown(&done));
    assert!(text.contains("still / 0"), "{}", shown(&done));
}

#[test]
fn openssh_gets_no_tunnel_either_way_and_a_terminal_shows_only_the_status() {
    let node = Node::start();
    let web = node.https.port();
    let through = run(&node, "id", &["-W", &format!("127.0.0.1:{web}")], &[]);
    assert_eq!(through.status.code(), Some(255), "{}", shown(&through));
    assert!(through.stdout.is_empty(), "{}", shown(&through));
    let forward = format!("0:127.0.0.1:{web}");
    let back = run(&node, "id", &["-o", "ExitOnForwardFailure=yes", "-R", &forward], &["pwd"]);
    assert_eq!(back.status.code(), Some(255), "{}", shown(&back));
    let terminal = run(&node, "id", &["-tt"], &[]);
    assert_eq!(terminal.status.code(), Some(255), "{}", shown(&terminal));
    assert!(shown(&terminal).contains("PTY allocation request failed"), "{}", shown(&terminal));
    let status = run(&node, "id", &["-T"], &[]);
    assert_eq!(status.status.code(), Some(0), "{}", shown(&status));
    assert!(shown(&status).contains("no hay shell"), "{}", shown(&status));
    let agent = run(&node, "id", &["-A"], &["echo $SSH_AUTH_SOCK"]);
    assert!(!shown(&agent).contains("/tmp"), "{}", shown(&agent));
    // A jump through us to our own site.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut socks = ssh(&node, "id", &["-N", "-D", &free.to_string()], &[]);
    let mut socks = socks.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while TcpStream::connect(free).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    let site = format!("https://127.0.0.1:{web}/");
    let answer = crate::night::curl(&site, &["-x", &format!("socks5://{free}")]);
    socks.kill().unwrap();
    socks.wait().unwrap();
    assert_eq!(answer.status, 0, "{}", answer.text());
}

#[test]
fn a_list_of_users_turns_other_names_away() {
    let mut node = Node::start_with("[ssh]\nusers = [\"prep\"]\n");
    comes_in(&run(&node, "id", &[], &["pwd"]));
    let mut other = Command::new("ssh");
    other.args(node.ssh_options("id")).args(["-p", &node.ssh.port().to_string(), "root@127.0.0.1", "pwd"]);
    is_denied(&piped(&mut other, b""));
    let refusals = refusals(&mut node);
    assert!(refusals.contains(&("user".into(), "127.0.0.1".into())), "{refusals:?}");
}

#[test]
fn any_user_name_is_served_where_no_list_is_given() {
    let node = Node::start();
    let mut other = Command::new("ssh");
    other.args(node.ssh_options("id")).args([
        "-p",
        &node.ssh.port().to_string(),
        "ieqroo\\ñ@127.0.0.1",
        "pwd",
    ]);
    comes_in(&piped(&mut other, b""));
}

#[test]
fn rsa_and_ecdsa_keys_come_in_and_weak_ones_do_not() {
    let node = Node::start();
    let add = |name: &str| {
        let file = node.path(&format!("{name}.pub"));
        node.difusor(&["keys", "add", name, "--from", "127.0.0.0/8", file.to_str().unwrap()])
    };
    let kinds: [(&str, &[&str]); 4] = [
        ("rsa3072", &["rsa", "-b", "3072"]),
        ("p256", &["ecdsa", "-b", "256"]),
        ("p384", &["ecdsa", "-b", "384"]),
        ("p521", &["ecdsa", "-b", "521"]),
    ];
    for (name, kind) in kinds {
        pair(&node, name, kind);
        let added = add(name);
        assert!(added.status.success(), "{}", shown(&added));
        wait_keys(&node, "added", name);
        comes_in(&run(&node, name, &[], &["pwd"]));
    }
    pair(&node, "rsa1024", &["rsa", "-b", "1024"]);
    let weak = add("rsa1024");
    assert!(!weak.status.success(), "{}", shown(&weak));
    // SHA-1 signatures by a good key: the client is told beforehand that we take none.
    is_denied(&run(&node, "rsa3072", &["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"], &["pwd"]));
}

#[test]
fn host_keys_are_private_and_outlive_restarts_and_ecdsa_is_shown_when_asked_for() {
    let mut node = Node::start();
    let scan = |node: &Node| {
        let mut scan = Command::new("ssh-keyscan");
        scan.args(["-T", "20", "-t", "rsa,ecdsa,ed25519", "-p", &node.ssh.port().to_string(), "127.0.0.1"]);
        let text = String::from_utf8(scan.output().unwrap().stdout).unwrap();
        let mut keys: Vec<_> =
            text.lines().filter_map(|l| l.split_once(' ')).map(|(_, key)| key.to_owned()).collect();
        keys.sort();
        keys
    };
    let kinds = |keys: &[String]| -> Vec<String> {
        keys.iter().map(|key| key.split(' ').next().unwrap().to_owned()).collect()
    };
    let before = scan(&node);
    assert_eq!(kinds(&before), ["ssh-ed25519"]);
    for absent in ["ssh_host_ecdsa_key", "ssh_host_rsa_key"] {
        assert!(!node.path(&format!("keys/host/{absent}")).exists());
    }
    node.stop();
    node.configure("[ssh]\necdsa-host-key = true\n");
    node.up("run");
    let after = scan(&node);
    assert_eq!(kinds(&after), ["ecdsa-sha2-nistp256", "ssh-ed25519"]);
    assert_eq!(after[1], before[0]);
    for file in ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"] {
        let mode = node.path(&format!("keys/host/{file}")).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn three_hundred_silent_connections_keep_nobody_out_and_are_closed() {
    let mut node = Node::start_with("[ssh]\ngrace = \"2s\"\n");
    let cuts = Cuts::good(0);
    // From fifteen addresses: one alone is held back by its own rate.
    let silent: Vec<_> =
        (0..300_u16).map(|n| connect(Ipv4Addr::new(127, 0, 1, (n % 15) as u8), node.ssh)).collect();
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(0));
    for stream in &silent {
        let said = heard(stream);
        assert!(said.is_empty() || said.starts_with(b"SSH-2.0-"), "{said:?}");
    }
    let refusals = refusals(&mut node);
    assert!(refusals.iter().any(|(why, _)| why == "grace" || why == "displaced"), "{refusals:?}");
}

#[test]
fn silent_connections_of_the_same_address_give_way_to_its_push() {
    let node = Node::start();
    let cuts = Cuts::good(0);
    // All that the burst admits but the one that the push needs.
    let _silent: Vec<_> = (0..18).map(|_| connect(Ipv4Addr::LOCALHOST, node.ssh)).collect();
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(0));
}

#[test]
fn a_client_that_drips_bytes_without_a_key_is_closed_at_the_grace() {
    let mut node = Node::start_with("[ssh]\ngrace = \"2s\"\n");
    let mut stream = connect(Ipv4Addr::LOCALHOST, node.ssh);
    stream.write_all(b"SSH-2.0-gota\r\n").unwrap();
    let reader = stream.try_clone().unwrap();
    let closed = std::thread::spawn(move || heard(&reader));
    let begun = Instant::now();
    while !closed.is_finished() {
        // SSH_MSG_IGNORE: well-formed, and leads to nothing (RFC 4253, 6 and 11.2).
        let _ = stream.write_all(&[0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(closed.join().unwrap().starts_with(b"SSH-2.0-"));
    let refusals = refusals(&mut node);
    assert!(refusals.contains(&("grace".into(), "127.0.0.1".into())), "{refusals:?}");
}

#[test]
fn ipv6_networks_are_honoured_and_a_mapped_address_counts_as_ipv4() {
    let mut node = Node::prepare("");
    let config = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    std::fs::write(node.path("difusor.toml"), config.replacen("127.0.0.1:0", "[::]:0", 1)).unwrap();
    trust(&node, "id", "from=\"127.0.0.1\"");
    pair(&node, "seis", &["ed25519"]);
    trust(&node, "seis", "from=\"::1/128\"");
    node.up("run");
    let port = node.ssh.port().to_string();
    let by_six = |key: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args(node.ssh_options(key)).args(["-p", &port, "prep@::1", "pwd"]);
        piped(&mut ssh, b"")
    };
    comes_in(&run(&node, "id", &[], &["pwd"]));
    comes_in(&by_six("seis"));
    is_denied(&by_six("id"));
    is_denied(&run(&node, "seis", &[], &["pwd"]));
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, node.ssh.port()));
    assert_eq!(heard(&connect(Ipv4Addr::new(127, 0, 0, 2), v4)), b"");
}
