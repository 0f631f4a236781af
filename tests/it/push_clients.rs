//! Every stock client that an institute may have, unchanged, against the real door (T-01).
//!
//! Each delivers a good package, byte for byte, and is then given a broken one. What a
//! client shows of a refusal is its own affair: those that look at the status of the SFTP
//! CLOSE or of the command fail with our sentence; where a client does not look, the test
//! says so by name. Nothing broken is ever published, whatever the client shows.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, piped, sha256, shown};

/// A node, good cuts, and a directory that clients may fill.
struct Station {
    node: Node,
    cuts: Cuts,
    dir: tempfile::TempDir,
}

impl Station {
    /// With cuts `0..=last`; the last one is also there broken.
    fn new(last: u32) -> Self {
        let cuts = Cuts::good(last);
        let dir = tempfile::tempdir().unwrap();
        let half = cuts.bytes(last);
        std::fs::write(dir.path().join("roto.tar.gz"), &half[..half.len() / 2]).unwrap();
        Self { node: Node::start(), cuts, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn broken(&self) -> PathBuf {
        self.path("roto.tar.gz")
    }

    fn port(&self) -> String {
        self.node.ssh.port().to_string()
    }

    fn key(&self) -> String {
        self.node.path("id").display().to_string()
    }

    /// A client with a bound on its time and a home of its own.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", program]).current_dir(self.dir.path()).env("HOME", self.dir.path());
        command.env_remove("SSH_AUTH_SOCK").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// `ssh` with all its options, as one line for clients that start it themselves.
    fn ssh_line(&self) -> String {
        format!("ssh -a -x {}", self.node.ssh_options("id").join(" "))
    }

    /// The cut is live, was received whole `via` this way and lies in the history as sent.
    #[track_caller]
    fn arrived(&self, n: u32, via: &str, output: &Output) {
        assert!(output.status.success(), "{}", shown(output));
        self.node.wait_live(&self.cuts.path(n));
        let kept = self.node.path(&format!("var/history/{}.tar.gz", sha256(&self.cuts.path(n))));
        assert_eq!(std::fs::read(kept).unwrap(), self.cuts.bytes(n));
        let received = self.node.ledger_of("received");
        assert_eq!(received.last().unwrap()["sender"]["via"], via, "{received:?}");
    }

    /// The broken package is on record as such, and what was live stays.
    #[track_caller]
    fn stays(&self, live: u32, rejected: usize) {
        let begun = Instant::now();
        while self.node.ledger_of("rejected").len() < rejected {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.node.ledger_of("rejected"));
            std::thread::yield_now();
        }
        let lines = self.node.ledger_of("rejected");
        assert_eq!(lines.len(), rejected, "{lines:?}");
        self.node.wait_live(&self.cuts.path(live));
    }

    /// The client failed and showed our sentence.
    #[track_caller]
    fn told(&self, output: &Output) {
        assert!(!output.status.success(), "{}", shown(output));
        assert!(shown(output).contains("rechazado en integridad"), "{}", shown(output));
        assert!(shown(output).contains("TRUNCATED"), "{}", shown(output));
    }

    /// Waits until a listing shows a partial file of at least so many bytes.
    fn wait_partial(&self, name: &str, bytes: u64) -> u64 {
        let begun = Instant::now();
        loop {
            let listed = String::from_utf8(self.node.exec("ls -l", b"").stdout).unwrap();
            let line = listed.lines().find(|l| l.ends_with(name));
            let size = line.and_then(|l| l.split_whitespace().nth(4)?.parse().ok()).unwrap_or(0);
            if size >= bytes {
                return size;
            }
            assert!(begun.elapsed() < PATIENCE, "{listed}");
        }
    }
}

/// Ends a client as a failing machine does.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn scp_delivers_in_every_mode_and_with_every_usual_option() {
    let at = Station::new(7);
    let send = |n: u32, options: &[&str], target: &str| at.node.scp(options, &[&at.cuts.path(n)], target);
    at.arrived(0, "sftp", &send(0, &[], ""));
    at.arrived(1, "scp", &send(1, &["-O"], ""));
    at.arrived(2, "sftp", &send(2, &["-p"], "paquetes/"));
    at.arrived(3, "scp", &send(3, &["-O", "-p"], "paquetes/"));
    at.arrived(4, "sftp", &send(4, &["-C", "-q"], "otro.tar.gz"));
    // As with a shell at the far end, this protocol wants the name quoted twice.
    at.arrived(5, "scp", &send(5, &["-O"], "'paquetes/nombre nuevo.tar.gz'"));
    at.arrived(6, "sftp", &send(6, &["-c", "aes128-gcm@openssh.com"], "~/con-tilde.tar.gz"));
    at.arrived(7, "scp", &send(7, &["-O", "-l", "80000"], "/paquetes/absoluto.tar.gz"));
    let names: Vec<_> = at.node.ledger_of("received").iter().map(|l| l["name"].clone()).collect();
    assert_eq!(names[4..], ["otro.tar.gz", "nombre nuevo.tar.gz", "con-tilde.tar.gz", "absoluto.tar.gz"]);
}

#[test]
fn scp_fails_with_the_sentence_of_the_refusal() {
    let at = Station::new(1);
    at.arrived(0, "sftp", &at.node.scp(&[], &[&at.cuts.path(0)], ""));
    at.told(&at.node.scp(&[], &[&at.broken()], ""));
    at.told(&at.node.scp(&["-O"], &[&at.broken()], "paquetes/"));
    at.stays(0, 2);
}

#[test]
fn scp_of_several_packages_in_one_go_publishes_the_newest() {
    let at = Station::new(2);
    let all: Vec<_> = (0..=2).map(|n| at.cuts.path(n)).collect();
    let all: Vec<&Path> = all.iter().map(PathBuf::as_path).collect();
    for options in [&[] as &[&str], &["-O"]] {
        let pushed = at.node.scp(options, &all, "");
        assert!(pushed.status.success(), "{}", shown(&pushed));
        at.node.wait_live(&at.cuts.path(2));
    }
}

#[test]
fn sftp_puts_and_renames_from_a_temporary_name() {
    let at = Station::new(4);
    let put = |n: u32, orders: &str| {
        let file = at.cuts.path(n);
        at.node.sftp(&orders.replace("FILE", file.to_str().unwrap()).replace("NAME", &at.cuts.name(n)))
    };
    at.arrived(0, "sftp", &put(0, "put FILE\n"));
    at.arrived(1, "sftp", &put(1, "put FILE paquetes/.NAME.tmp\nrename paquetes/.NAME.tmp paquetes/NAME\n"));
    at.arrived(2, "sftp", &put(2, "cd paquetes\nput FILE NAME.part\nrename -l NAME.part NAME\n"));
    at.arrived(3, "sftp", &put(3, "put -f FILE\n"));
    at.arrived(
        4,
        "sftp",
        &put(4, "put -p FILE prep.tar.gz.filepart\nrename prep.tar.gz.filepart prep.tar.gz\n"),
    );
    let names: Vec<_> = at.node.ledger_of("received").iter().map(|l| l["name"].clone()).collect();
    assert_eq!(
        names,
        [at.cuts.name(0), at.cuts.name(1), at.cuts.name(2), at.cuts.name(3), "prep.tar.gz".into()]
    );
}

#[test]
fn sftp_answers_what_scripts_ask_before_and_after() {
    let at = Station::new(0);
    let file = at.cuts.path(0);
    let size = at.cuts.bytes(0).len().to_string();
    let orders = format!(
        "pwd\nmkdir trabajo\ncd trabajo\nput {file} uno.tmp\nls -l\nchmod 644 uno.tmp\n\
         rename uno.tmp dos.tmp\nls -1\nrm dos.tmp\n-rm dos.tmp\ncd ..\nrmdir trabajo\ndf\ndf -h\nls -la\n",
        file = file.display()
    );
    let done = at.node.sftp(&orders);
    assert!(done.status.success(), "{}", shown(&done));
    for expected in ["Remote working directory: /", &size, "dos.tmp", "%Capacity", "paquetes", "sitio"] {
        assert!(shown(&done).contains(expected), "{expected}: {}", shown(&done));
    }
    // What was never called a package is none.
    assert!(at.node.ledger_of("received").is_empty());
}

#[test]
fn sftp_fails_with_the_sentence_of_the_refusal() {
    let at = Station::new(1);
    at.arrived(0, "sftp", &at.node.sftp(&format!("put {}\n", at.cuts.path(0).display())));
    let orders = format!("put {}\nmkdir nunca\n", at.broken().display());
    let refused = at.node.sftp(&orders);
    at.told(&refused);
    at.stays(0, 1);
    let renamed = at.node.sftp(&format!("put {} x.tmp\nrename x.tmp roto2.tar.gz\n", at.broken().display()));
    assert!(!renamed.status.success(), "{}", shown(&renamed));
    at.stays(0, 2);
}

#[test]
fn sftp_resumes_what_a_killed_put_left_and_nothing_is_published_before() {
    let at = Station::new(0);
    let (file, name) = (at.cuts.path(0), at.cuts.name(0));
    let whole = at.cuts.bytes(0).len() as u64;
    let batch = at.path("orders");
    std::fs::write(&batch, format!("put {}\n", file.display())).unwrap();
    let mut slow = Command::new("sftp");
    // 40 kbit/s: a client that is certainly still at work when it is killed.
    slow.args(at.node.ssh_options("id")).args(["-R", "1", "-B", "4096", "-l", "40", "-P", &at.port(), "-b"]);
    slow.arg(&batch).arg("prep@127.0.0.1").stdout(Stdio::null()).stderr(Stdio::null());
    let child = slow.spawn().unwrap();
    let left = at.wait_partial(&name, 4096);
    kill(child);
    assert!(left < whole, "{left} of {whole}");
    assert!(at.node.ledger_of("received").is_empty());
    let resumed = at.node.sftp(&format!("reput {} {name}\n", file.display()));
    at.arrived(0, "sftp", &resumed);
}

#[test]
fn a_new_put_after_a_killed_one_starts_afresh() {
    let at = Station::new(0);
    let mut ssh = Command::new("ssh");
    ssh.args(at.node.ssh_options("id")).args(["-p", &at.port(), "prep@127.0.0.1"]);
    ssh.arg(format!("cat > {}", at.cuts.name(0))).stdin(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    // Longer than the real one, and of other bytes.
    child.stdin.as_mut().unwrap().write_all(&vec![7; 200_000]).unwrap();
    at.wait_partial(&at.cuts.name(0), 200_000);
    kill(child);
    let put = format!("put {} {}\n", at.cuts.path(0).display(), at.cuts.name(0));
    at.arrived(0, "sftp", &at.node.sftp(&put));
}

#[test]
fn cat_delivers_straight_or_by_a_temporary_name() {
    let at = Station::new(4);
    let send = |n: u32, command: &str| at.node.exec(command, &at.cuts.bytes(n));
    at.arrived(0, "exec", &send(0, "cat > corte.tar.gz"));
    at.arrived(1, "exec", &send(1, "cat > corte.tmp && mv corte.tmp corte1.tar.gz"));
    at.arrived(2, "exec", &send(2, "cat >'paquetes/corte 2.tar.gz'"));
    at.arrived(3, "exec", &send(3, "mkdir -p paquetes && cd paquetes && cat > c3.tar.gz && ls -l c3.tar.gz"));
    let sum = format!("{}  c4.tar.gz", sha256(&at.cuts.path(4)));
    let checked =
        format!("cat > c4.tmp && mv -f c4.tmp c4.tar.gz && echo '{sum}' > s.txt && sha256sum -c s.txt");
    at.arrived(4, "exec", &send(4, &checked));
}

#[test]
fn cat_fails_with_the_sentence_of_the_refusal_and_what_follows_does_not_run() {
    let at = Station::new(1);
    at.arrived(0, "exec", &at.node.exec("cat > a.tar.gz", &at.cuts.bytes(0)));
    let half = std::fs::read(at.broken()).unwrap();
    let refused = at.node.exec("cat > roto.tar.gz && echo listo", &half);
    at.told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(!shown(&refused).contains("listo"), "{}", shown(&refused));
    at.stays(0, 1);
}

#[test]
fn lftp_delivers_and_fails_on_a_refusal() {
    let at = Station::new(2);
    let run = |orders: &str| {
        let set = format!(
            "set cmd:fail-exit yes; set net:max-retries 1; set net:reconnect-interval-base 1; \
             set sftp:auto-confirm yes; set sftp:connect-program \"{}\"; \
             open -p {} -u prep,x sftp://127.0.0.1; {orders}; bye",
            at.ssh_line(),
            at.port()
        );
        at.client("lftp").args(["-c", &set]).output().unwrap()
    };
    at.arrived(0, "sftp", &run(&format!("put {}; cls -l", at.cuts.path(0).display())));
    let renaming = format!(
        "set xfer:use-temp-file yes; set xfer:temp-file-name *.part; cd paquetes; put {}",
        at.cuts.path(1).display()
    );
    at.arrived(1, "sftp", &run(&renaming));
    let refused = run(&format!("put {}", at.broken().display()));
    at.told(&refused);
    // lftp may try again by itself.
    let tries = at.node.ledger_of("rejected").len().max(1);
    at.stays(1, tries);
}

/// The key as PuTTY wants it, and the options that every one of its programs needs.
fn putty(at: &Station) -> Vec<String> {
    let ppk = at.path("id.ppk");
    let made = at.client("puttygen").args([&at.key(), "-O", "private", "-o"]).arg(&ppk).output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
    let mut options = vec!["-batch".into(), "-P".into(), at.port(), "-i".into(), ppk.display().to_string()];
    let public = at.node.path("keys/host/ssh_host_ed25519_key.pub");
    let shown = Command::new("ssh-keygen").arg("-lf").arg(public).output().unwrap();
    let line = String::from_utf8(shown.stdout).unwrap();
    options.extend(["-hostkey".into(), line.split_whitespace().nth(1).unwrap().into()]);
    options
}

#[test]
fn pscp_delivers_in_both_modes() {
    let at = Station::new(2);
    let options = putty(&at);
    let run = |mode: &str, file: &Path| {
        let mut pscp = at.client("pscp");
        pscp.arg(mode).args(&options).arg(file).arg("prep@127.0.0.1:paquetes/").output().unwrap()
    };
    at.arrived(0, "sftp", &run("-sftp", &at.cuts.path(0)));
    at.arrived(1, "scp", &run("-scp", &at.cuts.path(1)));
    at.told(&run("-scp", &at.broken()));
    at.stays(1, 1);
    // In SFTP mode pscp does not look at the status of CLOSE; what it writes to the
    // standard error is all that it can be told.
    let refused = run("-sftp", &at.broken());
    assert!(shown(&refused).contains("rechazado en integridad"), "{}", shown(&refused));
    at.stays(1, 2);
}

#[test]
fn psftp_delivers_and_renames_from_a_temporary_name() {
    let at = Station::new(2);
    let options = putty(&at);
    let run = |orders: String| {
        let batch = at.path("orders");
        std::fs::write(&batch, orders).unwrap();
        at.client("psftp").args(&options).arg("-b").arg(batch).arg("prep@127.0.0.1").output().unwrap()
    };
    at.arrived(0, "sftp", &run(format!("put {}\nls\n", at.cuts.path(0).display())));
    let (file, name) = (at.cuts.path(1), at.cuts.name(1));
    let orders = format!("cd paquetes\nput {} {name}.tmp\nmv {name}.tmp {name}\ndir\n", file.display());
    at.arrived(1, "sftp", &run(orders));
    let refused = run(format!("put {}\n", at.broken().display()));
    assert!(shown(&refused).contains("rechazado en integridad"), "{}", shown(&refused));
    at.stays(1, 1);
}

#[test]
fn plink_delivers_by_cat() {
    let at = Station::new(1);
    let options = putty(&at);
    let run = |input: &[u8], command: &str| {
        let mut plink = at.client("plink");
        piped(plink.arg("-ssh").args(&options).arg("prep@127.0.0.1").arg(command), input)
    };
    at.arrived(0, "exec", &run(&at.cuts.bytes(0), "cat > corte.tar.gz"));
    at.told(&run(&std::fs::read(at.broken()).unwrap(), "cat > roto.tar.gz"));
    at.stays(0, 1);
}

const PARAMIKO: &str = r#"
import sys, paramiko
port, good, broken, *keys = sys.argv[1:]
def connect(**how):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", int(port), "prep", allow_agent=False, look_for_keys=False,
                   timeout=20, auth_timeout=20, banner_timeout=20, **how)
    return client
# Several keys: the trusted one is the third.
with connect(key_filename=keys) as client:
    sftp = client.open_sftp()
    print("put", sftp.put(good, "paquetes/corte.tar.gz").st_size)
    try:
        sftp.put(broken, "roto.tar.gz")
    except IOError as error:
        print("refused", error)
with connect(key_filename=keys[-1]) as client:
    stdin, stdout, stderr = client.exec_command("cat > roto.tar.gz")
    stdin.write(open(broken, "rb").read())
    stdin.channel.shutdown_write()
    print("exit", stdout.channel.recv_exit_status(), stderr.read().decode())
"#;

#[test]
fn paramiko_delivers_with_the_trusted_key_third_and_raises_on_a_refusal() {
    let at = Station::new(1);
    let mut python = at.client("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", PARAMIKO, &at.port()]).arg(at.cuts.path(0)).arg(at.broken());
    for stranger in ["k1", "k2"] {
        let kind = if stranger == "k1" { "ed25519" } else { "ecdsa" };
        let made =
            at.client("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f", stranger]).output().unwrap();
        assert!(made.status.success(), "{}", shown(&made));
        python.arg(stranger);
    }
    let done = python.arg(at.key()).output().unwrap();
    assert!(done.status.success(), "{}", shown(&done));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.contains(&format!("put {}", at.cuts.bytes(0).len())), "{}", shown(&done));
    assert!(text.contains("refused") && text.contains("rechazado en integridad"), "{}", shown(&done));
    assert!(text.contains("exit 1"), "{}", shown(&done));
    at.stays(0, 2);
}

#[test]
fn an_agent_with_the_trusted_key_third_is_served() {
    let at = Station::new(0);
    let socket = at.path("agent");
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !socket.exists() {
        assert!(begun.elapsed() < PATIENCE);
    }
    for stranger in ["k1", "k2"] {
        let made = at.client("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", stranger]).output();
        assert!(made.unwrap().status.success());
    }
    for key in [at.path("k1"), at.path("k2"), at.node.path("id")] {
        let added = at.client("ssh-add").arg(key).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(added.status.success(), "{}", shown(&added));
    }
    let mut scp = at.client("scp");
    scp.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-P", &at.port()]);
    scp.arg("-o").arg(format!("UserKnownHostsFile={}", at.path("known").display()));
    scp.arg("-o").arg(format!("IdentityAgent={}", socket.display()));
    let sent = scp.arg(at.cuts.path(0)).arg("prep@127.0.0.1:").output().unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    at.arrived(0, "sftp", &sent);
}

const ASYNCSSH: &str = r#"
import asyncio, sys, asyncssh
port, key, first, second, third, broken = sys.argv[1:]
async def main():
    async with asyncssh.connect("127.0.0.1", int(port), username="prep", client_keys=[key], known_hosts=None,
                                agent_path=None, config=None) as conn:
        async with conn.start_sftp_client() as sftp:
            await sftp.put(first, "paquetes/uno.tar.gz")
        with open(second, "rb") as data:
            async with conn.create_process("cat > dos.tar.gz", stdin=data, encoding=None) as process:
                done = await process.wait()
                print("process", done.exit_status, done.stderr)
        await asyncssh.scp(third, (conn, "paquetes/tres.tar.gz"))
        print("scp done")
        try:
            async with conn.start_sftp_client() as sftp:
                await sftp.put(broken, "roto.tar.gz")
        except asyncssh.SFTPError as error:
            print("sftp refused", error.reason)
        try:
            await asyncssh.scp(broken, (conn, "roto.tar.gz"))
        except asyncssh.Error as error:
            print("scp refused", error)
asyncio.run(main())
"#;

#[test]
fn asyncssh_delivers_by_sftp_process_and_scp_and_raises_on_a_refusal() {
    let at = Station::new(3);
    let mut python = at.client("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", ASYNCSSH, &at.port(), &at.key()]);
    let done = python.args((0..3).map(|n| at.cuts.path(n))).arg(at.broken()).output().unwrap();
    assert!(done.status.success(), "{}", shown(&done));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    for said in ["process 0", "scp done"] {
        assert!(text.contains(said), "{said}: {}", shown(&done));
    }
    for refused in ["sftp refused", "scp refused"] {
        let line = text.lines().find(|l| l.starts_with(refused));
        assert!(line.is_some_and(|l| l.contains("rechazado en integridad")), "{}", shown(&done));
    }
    at.stays(2, 2);
    let vias: Vec<_> = at
        .node
        .ledger_of("received")
        .iter()
        .map(|l| l["sender"]["via"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(vias, ["sftp", "exec", "scp", "sftp", "scp"]);
}

#[test]
fn curl_delivers_by_sftp_and_scp() {
    let at = Station::new(2);
    let run = |scheme: &str, file: &Path, name: &str| {
        // Without -k: libssh2 asks for a known_hosts file that an unattended machine lacks.
        let url = format!("{scheme}://prep@127.0.0.1:{}/paquetes/{name}", at.port());
        let mut curl = at.client("curl");
        curl.args(["-sS", "-k", "--key", &at.key(), "--pubkey", &format!("{}.pub", at.key()), "-T"]);
        curl.arg(file).arg(url).output().unwrap()
    };
    at.arrived(0, "sftp", &run("sftp", &at.cuts.path(0), "uno.tar.gz"));
    at.arrived(1, "scp", &run("scp", &at.cuts.path(1), "dos.tar.gz"));
    // curl looks at neither the status of CLOSE nor scp's last word: it is told nothing.
    // Who pushes with curl learns the verdict from estado.json or the ledger.
    run("sftp", &at.broken(), "roto.tar.gz");
    at.stays(1, 1);
    run("scp", &at.broken(), "roto2.tar.gz");
    at.stays(1, 2);
}

#[test]
fn rclone_delivers_with_its_own_checks_and_fails_on_a_refusal() {
    let at = Station::new(1);
    let run = |file: &Path| {
        let mut rclone = at.client("rclone");
        rclone
            .args(["--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", "copy"])
            .arg(file);
        rclone.args([":sftp:paquetes", "--sftp-host", "127.0.0.1", "--sftp-user", "prep"]);
        rclone.args(["--sftp-port", &at.port(), "--sftp-key-file", &at.key()]).output().unwrap()
    };
    at.arrived(0, "sftp", &run(&at.cuts.path(0)));
    // The same again: it finds the file there and sends nothing.
    at.arrived(0, "sftp", &run(&at.cuts.path(0)));
    assert_eq!(at.node.ledger_of("received").len(), 1);
    let refused = run(&at.broken());
    assert!(!refused.status.success(), "{}", shown(&refused));
    at.stays(0, at.node.ledger_of("rejected").len().max(1));
}

#[test]
fn a_copy_into_an_sshfs_mount_is_a_package() {
    let at = Station::new(1);
    assert!(Path::new("/dev/fuse").exists(), "this test needs /dev/fuse");
    std::fs::create_dir(at.path("mnt")).unwrap();
    let mut sshfs = at.client("sshfs");
    sshfs.args(["-p", &at.port(), "-o", &format!("ssh_command={}", at.ssh_line()), "prep@127.0.0.1:", "mnt"]);
    let mounted = sshfs.output().unwrap();
    assert!(mounted.status.success(), "{}", shown(&mounted));
    let copy =
        |from: &Path, to: &str| at.client("cp").arg(from).arg(at.path("mnt").join(to)).output().unwrap();
    let copied = copy(&at.cuts.path(0), "paquetes/corte.tar.gz");
    let listed = at.client("ls").args(["-l", "mnt/paquetes"]).output().unwrap();
    // sshfs does not hand on the status of CLOSE: cp may end well. The ledger tells.
    copy(&at.broken(), "roto.tar.gz");
    let ended = at.client("fusermount").args(["-u", "mnt"]).output().unwrap();
    assert!(ended.status.success(), "{}", shown(&ended));
    at.stays(0, 1);
    assert!(shown(&listed).contains("corte.tar.gz"), "{}", shown(&listed));
    assert!(copied.status.success(), "{}", shown(&copied));
}

#[test]
fn dropbear_delivers_by_cat_and_under_scp() {
    let at = Station::new(2);
    let key = at.path("id.db");
    let made =
        at.client("dropbearconvert").args(["openssh", "dropbear", &at.key()]).arg(&key).output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
    let dbclient = |input: &[u8], command: &str| {
        let mut client = at.client("dbclient");
        client.args(["-y", "-y", "-i"]).arg(&key).args(["-p", &at.port(), "prep@127.0.0.1", command]);
        piped(&mut client, input)
    };
    at.arrived(0, "exec", &dbclient(&at.cuts.bytes(0), "cat > corte.tar.gz"));
    at.told(&dbclient(&std::fs::read(at.broken()).unwrap(), "cat > roto.tar.gz"));
    // scp starts it with OpenSSH's own options; a wrapper keeps those that it knows.
    let wrapper = at.path("ssh-dropbear");
    let script = format!(
        "#!/bin/sh\nfor word; do last=$word; done\nexec dbclient -y -y -i {} -p {} prep@127.0.0.1 \"$last\"\n",
        key.display(),
        at.port()
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let scp = |file: &Path| {
        at.client("scp").arg("-O").arg("-S").arg(&wrapper).arg(file).arg("prep@127.0.0.1:").output().unwrap()
    };
    at.arrived(1, "scp", &scp(&at.cuts.path(1)));
    at.told(&scp(&at.broken()));
    at.stays(1, 2);
}

#[test]
fn what_was_sent_can_be_read_back_and_compared() {
    let at = Station::new(0);
    at.arrived(0, "sftp", &at.node.scp(&[], &[&at.cuts.path(0)], "corte.tar.gz"));
    let back = at.path("vuelta.tar.gz");
    let got = at.node.sftp(&format!("get corte.tar.gz {}\n", back.display()));
    assert!(got.status.success(), "{}", shown(&got));
    let mut bytes = Vec::new();
    std::fs::File::open(back).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, at.cuts.bytes(0));
}

#[test]
fn a_connection_cut_anywhere_publishes_nothing_and_leaves_nothing_in_the_history() {
    let at = Station::new(1);
    at.arrived(0, "sftp", &at.node.scp(&[], &[&at.cuts.path(0)], ""));
    let history = || {
        let names = std::fs::read_dir(at.node.path("var/history")).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|n| n.to_string_lossy().ends_with(".tar.gz")).count()
    };
    let bytes = at.cuts.bytes(1);
    for percent in [10, 50, 99] {
        let part = &bytes[..bytes.len() * percent / 100];
        // The old protocol says the size first: an early end is no end.
        let mut announced = format!("C0644 {} corte.tar.gz\n", bytes.len()).into_bytes();
        announced.extend(part);
        let early = at.node.exec("scp -t paquetes", &announced);
        assert!(!early.status.success(), "{percent} %: {}", shown(&early));
        // Where nothing says the size, the client's death does.
        let (name, mut ssh) = (format!("c{percent}.tar.gz"), Command::new("ssh"));
        ssh.args(at.node.ssh_options("id")).args(["-p", &at.port(), "prep@127.0.0.1"]);
        let mut child = ssh.arg(format!("cat > {name}")).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(part).unwrap();
        at.wait_partial(&name, part.len() as u64);
        kill(child);
    }
    assert_eq!(at.node.ledger_of("received").len(), 1);
    assert_eq!(history(), 1);
    // All of that hinders nobody: the whole one is published under one of those names.
    at.arrived(1, "sftp", &at.node.scp(&[], &[&at.cuts.path(1)], "c50.tar.gz"));
    assert_eq!(history(), 2);
}

#[test]
fn two_clients_at_once_under_one_name_do_not_mix() {
    let at = Station::new(1);
    let (first, second) = (at.cuts.path(0), at.cuts.path(1));
    std::thread::scope(|scope| {
        for (file, option) in [(&first, "-O"), (&second, "-s"), (&first, "-s"), (&second, "-O")] {
            let node = &at.node;
            scope.spawn(move || node.scp(&[option], &[file], "corte.tar.gz"));
        }
    });
    at.node.wait_live(&second);
    let kept: Vec<_> = at.node.ledger_of("received").iter().map(|l| l["package"].clone()).collect();
    let whole = [sha256(&first), sha256(&second)];
    assert!(kept.iter().all(|sha| whole.iter().any(|w| sha == w.as_str())), "{kept:?}");
    // The only complaint there may be: that the other one was newer.
    let rejected = at.node.ledger_of("rejected");
    assert!(rejected.iter().all(|l| l["code"] == "CUT_OLDER"), "{rejected:?}");
}

#[test]
fn an_upper_case_name_is_a_package_too() {
    let at = Station::new(0);
    at.arrived(0, "sftp", &at.node.scp(&[], &[&at.cuts.path(0)], "PREP_2000.TAR.GZ"));
}
