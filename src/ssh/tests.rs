//! A door on loopback with tiny programs behind it, and stock clients before it.

mod clients;
mod flood;
mod transfer;
mod trust;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::io::Io;
use super::*;
use crate::access::{self, Gate, Grant, Keyring, Users};
use crate::clock::Clock;
use crate::model::Lang;

/// A running door. Everything it needs lies in one temporary directory.
struct Bench {
    runtime: Runtime,
    dir: tempfile::TempDir,
    door: Door,
    gate: Gate,
    addr: SocketAddr,
    events: mpsc::Receiver<Event>,
    /// What the `sink` program got: length, and whether the end was clean.
    sunk: mpsc::Receiver<Sunk>,
    _following: access::Following,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sunk {
    bytes: u64,
    sum: u64,
    clean: bool,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    /// Trusts the key `id` from 127.0.0.1 only.
    fn with(limits: Limits) -> Self {
        Self::made(limits, Compat::Modern)
    }

    fn made(limits: Limits, compat: Compat) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let trusted = dir.path().join("keys/trusted");
        std::fs::create_dir_all(&trusted).unwrap();
        keygen(&dir.path().join("id"), "ed25519");
        let public = std::fs::read_to_string(dir.path().join("id.pub")).unwrap();
        std::fs::write(trusted.join("prep.pub"), format!("from=\"127.0.0.1\" {public}")).unwrap();

        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let gate = Gate::new(Keyring::load(&trusted, &TimeZone::UTC).unwrap(), Users::Any);
        let (tell, events) = mpsc::channel();
        let (sink, sunk) = mpsc::channel();
        let door = Door::new(Parts {
            host_keys: HostKeys::open(
                &dir.path().join("keys/host"),
                Kinds { ecdsa: true, rsa: compat == Compat::Legacy },
            )
            .unwrap(),
            gate: gate.clone(),
            programs: programs(sink),
            limits,
            compat,
            lang: Lang::En,
            clock: Clock::system(),
            watch: Arc::new(move |event| drop(tell.send(event))),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = door.clone();
        runtime.spawn(async move { serving.serve(listener).await });
        let guard = runtime.enter();
        let _following = access::follow(trusted, TimeZone::UTC, gate.clone(), Clock::system(), |_| ());
        drop(guard);
        Self { runtime, dir, door, gate, addr, events, sunk, _following }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// OpenSSH's client with the trusted key and no configuration of the machine's.
    fn ssh(&self, options: &[&str]) -> Command {
        self.ssh_as("id", options)
    }

    fn ssh_as(&self, key: &str, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"])
            .arg("-i")
            .arg(self.path(key))
            .args(["-p", &self.addr.port().to_string()])
            .args(options)
            .arg("prep@127.0.0.1")
            .env_remove("SSH_AUTH_SOCK");
        ssh
    }

    /// The next event that `wanted` makes something of.
    fn event<T>(&self, wanted: impl Fn(Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(30)).expect("an event");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    fn closed(&self) -> End {
        self.event(|event| match event {
            Event::Closed { end, .. } => Some(end),
            _ => None,
        })
    }

    fn sunk(&self) -> Sunk {
        self.sunk.recv_timeout(Duration::from_secs(30)).expect("a program that ended")
    }
}

/// The programs behind the door:
/// `sink` counts what comes, `echo` sends it back, `talk N` writes N bytes before it
/// reads, `exit N` ends at once, `wait` reads and says so first, `panic` falls over.
fn programs(sunk: mpsc::Sender<Sunk>) -> Programs {
    let make = move |command: &[u8]| -> Program {
        let command = String::from_utf8_lossy(command).into_owned();
        let (verb, number) = command.split_once(' ').unwrap_or((&command, "0"));
        let number: usize = number.parse().unwrap_or(0);
        let sunk = sunk.clone();
        match verb {
            "sink" => Box::new(move |io| sink(io, &sunk)),
            "wait" => Box::new(move |io| {
                let _ = io.out("ready\n");
                sink(io, &sunk)
            }),
            "slow" => Box::new(move |io| {
                std::thread::sleep(Duration::from_millis(300));
                sink(io, &sunk)
            }),
            "echo" => Box::new(|mut io| {
                while let Ok(Some(bytes)) = io.next() {
                    if io.out(bytes).is_err() {
                        return 1;
                    }
                }
                0
            }),
            "talk" => Box::new(move |io| {
                for _ in 0..number / 32_768 {
                    if io.out(vec![b'x'; 32_768]).is_err() {
                        break;
                    }
                }
                sink(io, &sunk)
            }),
            "lines" => Box::new(|io| {
                for _ in 0..100 {
                    let _ = io.out("o\n");
                    let _ = io.err("e");
                }
                0
            }),
            "exit" => Box::new(move |_| u32::try_from(number).unwrap()),
            "panic" => Box::new(|_| panic!("as asked")),
            _ => Box::new(move |io| {
                let _ = io.err(&format!("no {command} here"));
                127
            }),
        }
    };
    let exec = make.clone();
    Programs {
        exec: Arc::new(move |_: &Grant, command: &[u8]| exec(command)),
        sftp: Arc::new(move |_: &Grant| make(b"echo")),
        status: Arc::new(|grant: &Grant| format!("hola {}\n", grant.name)),
    }
}

fn sink(mut io: Io, sunk: &mpsc::Sender<Sunk>) -> u32 {
    let (mut bytes, mut sum) = (0, 0u64);
    let clean = loop {
        match io.next() {
            Ok(Some(data)) => {
                bytes += data.len() as u64;
                sum = data.iter().step_by(509).fold(sum, |sum, b| sum.wrapping_mul(31) + u64::from(*b));
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let _ = sunk.send(Sunk { bytes, sum, clean });
    let _ = io.out(format!("{bytes}\n"));
    0
}

fn keygen(path: &Path, kind: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "test", "-t", kind, "-f"]).arg(path);
    assert!(command.status().unwrap().success());
}

/// Runs to the end with this on standard input.
fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = start(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for `wait` to say that it runs.
fn ready(child: &mut Child) {
    let mut word = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ready\n");
}
