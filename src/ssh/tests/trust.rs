//! Who gets in, who does not, and who must leave.

use std::io::ErrorKind;
use std::net::TcpStream;

use super::*;

fn with(mut command: Command, arg: &str) -> Command {
    command.arg(arg);
    command
}

#[test]
fn a_trusted_key_gets_in_and_the_exit_status_comes_through() {
    let bench = Bench::new();
    for status in [0, 3, 127] {
        let output = run(with(bench.ssh(&[]), &format!("exit {status}")), b"");
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
    let output = run(with(bench.ssh(&[]), "nonsense"), b"");
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(127), "no nonsense here\n"));
    assert_eq!(bench.event(|e| matches!(e, Event::Opened(_)).then_some(())), ());
    assert_eq!(bench.closed(), End::Left);
}

#[test]
fn an_unknown_key_is_refused_and_named_to_the_operator() {
    let bench = Bench::with(Limits { refusals_every: Duration::from_millis(50), ..Limits::default() });
    keygen(&bench.path("other"), "ed25519");
    let output = run(with(bench.ssh_as("other", &[]), "exit 0"), b"");
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("Permission denied (publickey)"), "{}", stderr(&output));
    let tally = bench.event(|event| match event {
        Event::Refused(tallies) => tallies.into_iter().find(|t| t.why == Why::UnknownKey),
        _ => None,
    });
    assert!(tally.detail.starts_with("prep SHA256:"), "{}", tally.detail);
}

#[test]
fn an_address_that_no_key_allows_gets_no_byte() {
    let bench = Bench::with(Limits { refusals_every: Duration::from_millis(50), ..Limits::default() });
    let mut socket = connect_from("127.0.0.2", bench.addr);
    let mut got = Vec::new();
    let end = socket.read_to_end(&mut got);
    assert!(got.is_empty() && end.is_ok_and(|n| n == 0), "{got:?}");
    let tally = bench.event(|event| match event {
        Event::Refused(tallies) => tallies.into_iter().next(),
        _ => None,
    });
    assert_eq!((tally.why, tally.count), (Why::Stranger, 1));
    assert_eq!(tally.addr.unwrap().to_string(), "127.0.0.2");
}

fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    socket.set_nonblocking(false).unwrap();
    socket
}

#[test]
fn an_expired_key_is_no_key() {
    let bench = Bench::new();
    let public = std::fs::read_to_string(bench.path("id.pub")).unwrap();
    let file = bench.path("keys/trusted/prep.pub");
    let zone = TimeZone::UTC;
    // Another current key keeps the address admitted.
    keygen(&bench.path("other"), "ecdsa");
    std::fs::copy(bench.path("other.pub"), bench.path("keys/trusted/other.pub")).unwrap();
    std::fs::write(file, format!("expiry-time=\"20200101\" {public}")).unwrap();
    let ring = Keyring::load(&bench.path("keys/trusted"), &zone).unwrap();
    bench.gate.replace(ring, Clock::system().now());
    let output = run(with(bench.ssh(&[]), "exit 0"), b"");
    assert!(stderr(&output).contains("Permission denied"), "{}", stderr(&output));
    assert_eq!(run(with(bench.ssh_as("other", &[]), "exit 0"), b"").status.code(), Some(0));
}

#[test]
fn a_revoked_key_ends_its_sessions() {
    let bench = Bench::new();
    let mut child = start(bench.ssh(&[]).arg("wait"));
    ready(&mut child);
    access::manage::revoke(&bench.path("keys"), "prep", &TimeZone::UTC, Clock::system().now()).unwrap();
    assert_eq!(bench.closed(), End::Revoked);
    assert!(!bench.sunk().clean, "a program in the middle of it is told that its peer is gone");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("the key is no longer trusted"), "{}", stderr(&output));
}

#[test]
fn there_is_no_shell_but_something_to_say() {
    let bench = Bench::new();
    let output = run(bench.ssh(&["-T"]), b"");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "hola prep\n"));
    let output = run(bench.ssh(&["-tt"]), b"");
    assert_eq!(output.status.code(), Some(255), "OpenSSH gives up without the terminal it insists on");
    assert!(stderr(&output).contains("PTY allocation request failed"), "{}", stderr(&output));
}

#[test]
fn somebody_at_a_terminal_is_told_the_same() {
    let bench = Bench::new();
    let ssh = bench.ssh(&[]);
    let words: Vec<_> = ssh.get_args().map(|arg| format!("'{}'", arg.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("ssh {}", words.join(" ")), "/dev/null"]);
    let output = run(script, b"");
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("PTY allocation request failed") && text.contains("hola prep"), "{text}");
}

#[test]
fn nothing_is_forwarded() {
    let bench = Bench::new();
    let output =
        run(with(bench.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"]), "exit 0"), b"");
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("remote port forwarding failed"), "{}", stderr(&output));
    let output = run(bench.ssh(&["-W", "127.0.0.1:1"]), b"");
    assert!(stderr(&output).contains("stdio forwarding failed"), "{}", stderr(&output));
    let output = run(
        with(bench.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "/tmp/none:127.0.0.1:1"]), "exit 0"),
        b"",
    );
    assert_eq!(output.status.code(), Some(255), "{}", stderr(&output));
    let quiet = ["-A", "-X", "-o", "SendEnv=LANG", "-o", "SetEnv=EVIL=1", "-o", "Tunnel=no"];
    let mut ssh = bench.ssh(&quiet);
    ssh.env("DISPLAY", ":99").arg("exit 4");
    assert_eq!(run(ssh, b"").status.code(), Some(4), "agent, X11 and environment do no harm");
}

#[test]
fn an_unknown_subsystem_and_a_second_program_are_refused() {
    let bench = Bench::new();
    let output = run(with(bench.ssh(&["-s"]), "netconf"), b"");
    assert_ne!(output.status.code(), Some(0));
    let output = run(with(bench.ssh(&["-s"]), "sftp"), b"hola");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "hola"));
}

#[test]
fn what_we_offer_is_what_we_mean_to_offer() {
    let bench = Bench::new();
    let output = run(with(bench.ssh(&["-vvv", "-o", "LogLevel=DEBUG3"]), "exit 0"), b"");
    let log = stderr(&output);
    let server = log.split("peer server KEXINIT proposal").nth(1).unwrap();
    let line = |start: &str| server.lines().find(|l| l.contains(start)).unwrap().trim().to_owned();
    assert!(
        line("KEX algorithms")
            .ends_with(": mlkem768x25519-sha256,curve25519-sha256,ext-info-s,kex-strict-s-v00@openssh.com"),
        "{}",
        line("KEX algorithms")
    );
    assert!(line("MACs stoc").split(' ').next_back().unwrap().split(',').all(|mac| mac.contains("-etm@")));
    assert!(line("host key algorithms").ends_with("ssh-ed25519,ecdsa-sha2-nistp256"));
    assert!(line("compression stoc").ends_with(": none"));
    assert!(!line("ciphers stoc").contains("cbc") && !line("MACs stoc").contains("sha1"));
    assert!(log.contains("Remote protocol version 2.0, remote software version difusor"), "{log}");
    let signatures = log.lines().find(|l| l.contains("server-sig-algs=<")).unwrap();
    assert!(!signatures.contains("ssh-rsa,") && !signatures.contains("ssh-rsa>"), "{signatures}");
}

#[test]
fn a_silent_end_of_a_connection_is_an_end() {
    let bench = Bench::new();
    let mut socket = TcpStream::connect(bench.addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut banner = [0; 15];
    socket.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-difusor");
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
    }
}
