//! A node of our own on free loopback ports: a real `difusor` process in a temporary
//! instance, with real clients around it.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const DIFUSOR: &str = env!("CARGO_BIN_EXE_difusor");

/// A running instance.
pub struct Node {
    dir: tempfile::TempDir,
    children: Vec<(&'static str, Child)>,
    pub ssh: SocketAddr,
    pub https: SocketAddr,
    pub http: SocketAddr,
}

/// One answer over HTTPS.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Node {
    /// A fresh instance with one trusted key, both halves in one process.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with more configuration (whole sections that the base does not have, or
    /// top-level keys first).
    pub fn start_with(more: &str) -> Self {
        let mut node = Self::prepare(more);
        node.up("run");
        node
    }

    /// An instance laid out but not started.
    pub fn prepare(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let init = Command::new(DIFUSOR)
            .args(["init", "--profile", "quintana-roo"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(init.status.success(), "{}", shown(&init));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let node = Self { dir, children: Vec::new(), ssh: nowhere, https: nowhere, http: nowhere };
        node.configure(more);
        node.make_key("id", "127.0.0.0/8");
        node
    }

    /// Replaces the configuration; takes effect at the next start.
    pub fn configure(&self, more: &str) {
        let (top, sections) = more.split_at(more.find('[').unwrap_or(more.len()));
        let mut text = format!("{top}\n");
        let base = [
            ("[ssh]", "listen = [\"127.0.0.1:0\"]\nstop-grace = \"2s\"\n"),
            ("[https]", "listen = [\"127.0.0.1:0\"]\nstop-grace = \"2s\"\n"),
            ("[http]", "listen = [\"127.0.0.1:0\"]\n"),
            ("[drop]", "settle = \"300ms\"\n"),
            ("[release]", "min-free = \"1MiB\"\n"),
        ];
        let mut rest = sections.to_owned();
        for (head, keys) in base {
            match rest.find(head) {
                Some(at) => rest.insert_str(at + head.len() + 1, keys),
                None => text.push_str(&format!("{head}\n{keys}")),
            }
        }
        std::fs::write(self.path("difusor.toml"), format!("{text}{rest}")).unwrap();
    }

    /// A new key pair `name`, trusted from `network`.
    pub fn make_key(&self, name: &str, network: &str) {
        let private = self.path(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&private)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", shown(&made));
        let added = self.difusor(&[
            "keys",
            "add",
            name,
            "--from",
            network,
            self.path(&format!("{name}.pub")).to_str().unwrap(),
        ]);
        assert!(added.status.success(), "{}", shown(&added));
    }

    /// Starts a half (`run`, `receive`, `serve`) and waits until it says that it is ready.
    pub fn up(&mut self, half: &'static str) {
        assert!(self.start_half(half, Command::new(DIFUSOR)), "{half} did not come up\n{}", self.log());
    }

    /// The same, by a command line that becomes the program at its end.
    pub fn up_as(&mut self, half: &'static str, command: Command) {
        assert!(self.start_half(half, command), "{half} did not come up\n{}", self.log());
    }

    /// An orderly stop of the first process of a half; gives its exit code.
    pub fn stop_half(&mut self, half: &str) -> Option<i32> {
        let at = self.children.iter().position(|(name, _)| *name == half).unwrap();
        let (_, mut child) = self.children.remove(at);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap().code()
    }

    /// The same under strace with this injection; it may die before it is ready.
    pub fn up_traced(&mut self, half: &'static str, injection: &str) {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", injection, DIFUSOR]);
        self.start_half(half, strace);
    }

    /// Whether the half has ended by itself (or by the hand of strace).
    pub fn has_died(&mut self, half: &str) -> bool {
        let child = self.children.iter_mut().find(|(name, _)| *name == half);
        child.is_none_or(|(_, child)| child.try_wait().unwrap().is_some())
    }

    fn start_half(&mut self, half: &'static str, mut command: Command) -> bool {
        let socket = self.path(&format!("notify-{half}"));
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).unwrap();
        // The service may be another user by then.
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&socket, anybody).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.arg(half).arg("--config").arg(self.path("difusor.toml"));
        command.env("NOTIFY_SOCKET", &socket).env_remove("LANG").env_remove("LC_ALL");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        notify.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let begun = Instant::now();
        let mut message = [0; 4096];
        let ready = loop {
            if let Ok(n) = notify.recv(&mut message)
                && String::from_utf8_lossy(&message[..n]).contains("READY=1")
            {
                break true;
            }
            if child.try_wait().unwrap().is_some() || begun.elapsed() > PATIENCE {
                break false;
            }
        };
        self.children.push((half, child));
        if ready {
            self.read_addresses();
        }
        ready
    }

    fn read_addresses(&mut self) {
        for half in ["receive", "serve"] {
            let Ok(text) = std::fs::read(self.path(&format!("var/run/{half}.json"))) else { continue };
            let bound: Value = serde_json::from_slice(&text).unwrap();
            let first = |name: &str| bound[name][0].as_str().and_then(|a| a.parse().ok());
            self.ssh = first("ssh").unwrap_or(self.ssh);
            self.https = first("https").unwrap_or(self.https);
            self.http = first("http").unwrap_or(self.http);
        }
    }

    /// `kill -9` of every half, or of the named one.
    pub fn kill(&mut self, half: Option<&str>) {
        for (name, child) in &mut self.children {
            if half.is_none_or(|h| h == *name) {
                // A traced half is the child of strace, and outlives it for a moment.
                let traced = children_of(child.id());
                traced.iter().for_each(|pid| _ = Command::new("kill").args(["-KILL", pid]).output());
                child.kill().unwrap();
                child.wait().unwrap();
                while traced.iter().any(|pid| Path::new("/proc").join(pid).exists()) {
                    std::thread::yield_now();
                }
            }
        }
        self.children.retain(|(name, _)| half.is_some_and(|h| h != *name));
    }

    /// An orderly stop; gives the exit code of the (first) process.
    pub fn stop(&mut self) -> Option<i32> {
        for (_, child) in &self.children {
            let pid = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let codes: Vec<_> = self.children.drain(..).map(|(_, mut c)| c.wait().unwrap().code()).collect();
        codes.first().copied().flatten()
    }

    /// Process id of the first half.
    pub fn pid(&self) -> u32 {
        self.children[0].1.id()
    }

    /// A path in the instance.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Everything the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A verb of our own on this instance.
    pub fn difusor(&self, args: &[&str]) -> Output {
        let mut command = Command::new(DIFUSOR);
        command
            .args(args)
            .arg("--config")
            .arg(self.path("difusor.toml"))
            .env_remove("LANG")
            .env_remove("LC_ALL");
        command.output().unwrap()
    }

    /// The options that every OpenSSH client of this node needs.
    pub fn ssh_options(&self, key: &str) -> Vec<String> {
        let mut options =
            vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned(), self.path(key).display().to_string()];
        for option in [
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "LogLevel=ERROR",
            "UserKnownHostsFile=/dev/null",
            "IdentityAgent=none",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// `ssh HOST 'command'` with the given standard input.
    pub fn exec(&self, command: &str, input: &[u8]) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.args(self.ssh_options("id")).args([
            "-p",
            &self.ssh.port().to_string(),
            "prep@127.0.0.1",
            command,
        ]);
        piped(&mut ssh, input)
    }

    /// `scp` with further options; `sources` go to `target` in the virtual root.
    pub fn scp(&self, options: &[&str], sources: &[&Path], target: &str) -> Output {
        let mut scp = Command::new("scp");
        scp.args(self.ssh_options("id")).args(["-P", &self.ssh.port().to_string()]).args(options);
        scp.args(sources).arg(format!("prep@127.0.0.1:{target}"));
        scp.output().unwrap()
    }

    /// `sftp -b -` with the given batch.
    pub fn sftp(&self, batch: &str) -> Output {
        let mut sftp = Command::new("sftp");
        sftp.args(self.ssh_options("id")).args([
            "-P",
            &self.ssh.port().to_string(),
            "-b",
            "-",
            "prep@127.0.0.1",
        ]);
        piped(&mut sftp, batch.as_bytes())
    }

    /// `curl` on a path of the site, with further options.
    pub fn curl(&self, path: &str, options: &[&str]) -> Answer {
        let url = format!("https://127.0.0.1:{}{path}", self.https.port());
        curl(&url, options)
    }

    /// The same without further options.
    pub fn get(&self, path: &str) -> Answer {
        self.curl(path, &[])
    }

    /// The public state.
    pub fn state(&self) -> Value {
        let answer = self.get("/.well-known/prep/estado.json");
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    /// Waits until the public state satisfies `good`.
    pub fn wait_state(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let state = self.state();
            if good(&state) {
                return state;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {state}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the live package is the file at `package`.
    pub fn wait_live(&self, package: &Path) -> Value {
        let sha = sha256(package);
        self.wait_state(&format!("live: {}", package.display()), |s| s["package_sha256"] == sha.as_str())
    }

    /// The ledger, one value a line.
    pub fn ledger(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("var/ledger/ledger.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Lines of the ledger of one kind.
    pub fn ledger_of(&self, kind: &str) -> Vec<Value> {
        self.ledger().into_iter().filter(|line| line["ev"] == kind).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the node ---\n{}", self.log());
        }
    }
}

fn children_of(pid: u32) -> Vec<String> {
    let output = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Runs a command with this standard input.
pub fn piped(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            use std::io::Write as _;
            // A peer that refuses early closes its end: the exit code tells, not this.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// `curl -k` on a whole URL.
pub fn curl(url: &str, options: &[&str]) -> Answer {
    let output =
        Command::new("curl").args(["-sk", "-i", "--max-time", "30"]).args(options).arg(url).output().unwrap();
    let split =
        output.stdout.windows(4).position(|w| w == b"\r\n\r\n").map_or(output.stdout.len(), |at| at + 4);
    let (head, body) = output.stdout.split_at(split);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head, body: body.to_vec() }
}

/// What a client printed, for a failed assertion.
pub fn shown(output: &Output) -> String {
    format!(
        "{}\n--- out\n{}\n--- err\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// SHA-256 of a file, by our own hand.
pub fn sha256(path: &Path) -> String {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    difusor::model::Digest::of(&bytes).to_string()
}
