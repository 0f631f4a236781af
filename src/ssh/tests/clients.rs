//! Clients other than OpenSSH's.

use super::*;

/// Runs a Python script with the port and the bench's directory as arguments.
fn python(bench: &Bench, script: &str) {
    // Debian's own: there may be another Python in the path, without its modules.
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", script, &bench.addr.port().to_string()]).arg(bench.dir.path());
    let output = run(command, b"");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn paramiko_with_several_keys_gets_in() {
    let bench = Bench::new();
    for (name, kind) in [("one", "ed25519"), ("two", "ecdsa"), ("three", "rsa")] {
        keygen(&bench.path(name), kind);
    }
    python(
        &bench,
        r#"
import sys, paramiko
port, dir = int(sys.argv[1]), sys.argv[2]
t = paramiko.Transport(("127.0.0.1", port))
t.start_client(timeout=10)
t.auth_timeout = 10
# As its own client does with an agent or several files, but naming the kinds: release
# 2.12 takes an ECDSA file for DSA.
kinds = {"one": paramiko.Ed25519Key, "two": paramiko.ECDSAKey, "three": paramiko.RSAKey, "id": paramiko.Ed25519Key}
for name, kind in kinds.items():
    try:
        t.auth_publickey("prep", kind.from_private_key_file(dir + "/" + name))
    except paramiko.AuthenticationException:
        assert name != "id"
assert t.is_authenticated()
c = paramiko.SSHClient()
c._transport = t
i, o, e = c.exec_command("sink")
i.write(b"x" * 3000000)
i.channel.shutdown_write()
assert o.read() == b"3000000\n"
assert o.channel.recv_exit_status() == 0
try:
    c.invoke_shell()
    raise SystemExit("a pty was given")
except paramiko.SSHException:
    pass
"#,
    );
}

#[test]
fn a_peer_that_sends_more_than_its_window_is_cut_off() {
    let bench = Bench::new();
    python(
        &bench,
        r#"
import sys, paramiko
port, dir = int(sys.argv[1]), sys.argv[2]
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", port, "prep", key_filename=dir + "/id", allow_agent=False, look_for_keys=False)
chan = c.get_transport().open_session()
chan.exec_command("talk 64000000")
chan.settimeout(20)
chan.out_window_size = 1 << 30
try:
    for n in range(1 << 30 >> 15):
        chan.sendall(b"x" * 32768)
    raise SystemExit("a gigabyte was taken")
except (OSError, EOFError):
    assert 4 << 20 <= n << 15 <= 64 << 20, n
"#,
    );
    let sunk = bench.sunk();
    assert!(!sunk.clean && sunk.bytes <= 8 << 20, "{sunk:?}");
}

#[test]
fn requests_before_the_program_do_not_pile_up() {
    let bench = Bench::new();
    python(
        &bench,
        r#"
import sys, paramiko
port, dir = int(sys.argv[1]), sys.argv[2]
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", port, "prep", key_filename=dir + "/id", allow_agent=False, look_for_keys=False)
chan = c.get_transport().open_session(timeout=10)
chan.settimeout(10)
for n in range(500):
    chan.set_environment_variable("N%d" % n, "x")
for request in (chan.get_pty, chan.request_x11, lambda: chan.invoke_subsystem("netconf")):
    chan = c.get_transport().open_session(timeout=10)
    chan.settimeout(10)
    try:
        request()
        raise SystemExit("granted: %r" % request)
    except paramiko.SSHException:
        pass
chan = c.get_transport().open_session(timeout=10)
chan.exec_command("exit 3")
assert chan.recv_exit_status() == 3
assert chan.recv(1) == b"" and chan.eof_received
try:
    chan.exec_command("exit 0")
    raise SystemExit("a second program ran")
except paramiko.SSHException:
    pass
"#,
    );
}

#[test]
fn asyncssh_gets_in_and_is_refused_a_pty_in_words() {
    let bench = Bench::new();
    python(
        &bench,
        r#"
import sys, asyncio, asyncssh
port, dir = int(sys.argv[1]), sys.argv[2]
async def main():
    async with asyncssh.connect("127.0.0.1", port, username="prep", client_keys=[dir + "/id"],
                                known_hosts=None, config=None, agent_path=None) as c:
        r = await c.run("sink", input="x" * 3000000)
        assert (r.exit_status, r.stdout) == (0, "3000000\n"), r
        r = await c.run("exit 7", env={"LANG": "es_MX.UTF-8"})
        assert r.exit_status == 7, r
        try:
            await c.run("exit 0", term_type="xterm", request_pty="force")
            raise SystemExit("a pty was given")
        except asyncssh.ChannelOpenError:
            pass
asyncio.run(asyncio.wait_for(main(), 30))
"#,
    );
}

#[test]
fn dropbears_client_gets_in() {
    let bench = Bench::new();
    let key = bench.path("id.dropbear");
    let mut convert = Command::new("dropbearconvert");
    convert.args(["openssh", "dropbear"]).arg(bench.path("id")).arg(&key);
    assert!(run(convert, b"").status.success());
    let mut dbclient = Command::new("dbclient");
    dbclient
        .args(["-y", "-y", "-T", "-p", &bench.addr.port().to_string(), "-i"])
        .arg(key)
        .args(["prep@127.0.0.1", "sink"])
        .env("HOME", bench.dir.path());
    let output = run(dbclient, &vec![b'x'; 3_000_000]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "3000000\n"));
}

#[test]
fn plink_gets_in() {
    let bench = Bench::new();
    let key = bench.path("id.ppk");
    let mut convert = Command::new("puttygen");
    convert.arg(bench.path("id")).args(["-O", "private", "-o"]).arg(&key);
    assert!(run(convert, b"").status.success());
    let hosts = HostKeys::open(&bench.path("keys/host"), Kinds { ecdsa: true, rsa: false }).unwrap();
    let mut plink = Command::new("plink");
    plink
        .args(["-batch", "-ssh", "-P", &bench.addr.port().to_string(), "-i"])
        .arg(key)
        .args(["-hostkey", &hosts.fingerprints()[0].1, "prep@127.0.0.1", "sink"])
        .env("HOME", bench.dir.path());
    let output = run(plink, &vec![b'x'; 3_000_000]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "3000000\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_client_of_2010_gets_in_when_the_operator_allows_it() {
    let old = [
        ["-o", "KexAlgorithms=diffie-hellman-group14-sha1"],
        ["-o", "HostKeyAlgorithms=ssh-rsa"],
        ["-o", "MACs=hmac-sha1"],
        ["-o", "Ciphers=aes128-ctr"],
        ["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"],
    ]
    .concat();
    for (compat, status) in [(Compat::Legacy, 0), (Compat::Modern, 255)] {
        let bench = Bench::made(Limits::default(), compat);
        keygen(&bench.path("old"), "rsa");
        std::fs::copy(bench.path("old.pub"), bench.path("keys/trusted/old.pub")).unwrap();
        let ring = Keyring::load(&bench.path("keys/trusted"), &TimeZone::UTC).unwrap();
        bench.gate.replace(ring, Clock::system().now());
        let mut ssh = bench.ssh_as("old", &old);
        ssh.arg("exit 0");
        assert_eq!(run(ssh, b"").status.code(), Some(status), "{compat:?}");
    }
}
