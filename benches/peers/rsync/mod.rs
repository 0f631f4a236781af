//! Pushes by stock rsync: to us and to OpenSSH's sshd with rsync behind it, to our daemon and to
//! rsync's own, in turns, the best of each. Verdicts are not waited for: what is compared
//! is the receiving, made durable on our side.

mod alone;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::memory;
use crate::night::Node;
use crate::script::free_port;
use crate::sshd::Sshd;

pub use alone::alone;

const CONFIG: &str = "[ssh]\nverdict-wait = \"0s\"\n[rsync]\nlisten = [\"127.0.0.1:0\"]\n\
    [[rsync.module]]\nname = \"m\"\npath = \"/\"\nnetworks = [\"127.0.0.0/8\"]\n";

/// Where a push goes: words before the source, and the target of a round.
struct Way {
    name: &'static str,
    options: Vec<String>,
    target: Box<dyn Fn(&str) -> String>,
}

/// `rounds` of a 33 MB package, one small file, a tree of 500 files, the same tree again, 3,000 small
/// files more, and 530 of which 23 % changed.
pub fn rsync(rounds: u64) {
    let packages = crate::packages(rounds);
    let node = Node::start_with(CONFIG);
    let sshd = Sshd::start(&node.path("id"));
    let stock = Stock::start();
    let shell =
        |port: u16| vec!["-e".to_owned(), format!("ssh {} -p {port}", node.ssh_options("id").join(" "))];
    let bound = fs::read(node.path("var/run/receive.json")).unwrap();
    let bound: serde_json::Value = serde_json::from_slice(&bound).unwrap();
    let ours = bound["rsync"][0].as_str().unwrap().to_owned();
    let scratch = tempfile::tempdir().unwrap();
    let (far, there) = (scratch.path().display().to_string(), stock.address.clone());
    let ways = [
        Way {
            name: "ssh, difusor",
            options: shell(node.ssh.port()),
            target: Box::new(|at| format!("prep@127.0.0.1:{at}")),
        },
        Way {
            name: "ssh, sshd + rsync",
            options: shell(sshd.port),
            target: Box::new(move |at| format!("127.0.0.1:{far}/{at}")),
        },
        Way {
            name: "daemon, difusor",
            options: vec![],
            target: Box::new(move |at| format!("rsync://{ours}/m/{at}")),
        },
        Way {
            name: "daemon, rsync",
            options: vec![],
            target: Box::new(move |at| format!("rsync://{there}/m/{at}")),
        },
    ];
    fs::create_dir_all(scratch.path().join("sitio")).unwrap();
    let small = scratch.path().join("nota.txt");
    fs::write(&small, "uno\n").unwrap();
    let tree = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("xzf").arg(&packages[0]).arg("-C").arg(tree.path()).status();
    assert!(unpacked.unwrap().success());
    let inside = PathBuf::from(format!("{}/", tree.path().display()));
    let whole = |n: usize| packages[n].clone();
    table(&ways, rounds, "package 33 MB, whole", &["-tW"], &|n| (whole(n), format!("w{n}.tar.gz")));
    table(&ways, rounds, "one small file", &["-tI"], &|_| (small.clone(), "nota.txt".to_owned()));
    let quiet = || wait_quiet(&node);
    table(&ways, 1, "tree, first push", &["-a"], &|_| (inside.clone(), "sitio/".to_owned()));
    quiet();
    table(&ways, rounds, "tree, unchanged", &["-a"], &|_| (inside.clone(), "sitio/".to_owned()));
    let made = |name: &str, files: usize, bytes: usize| {
        let at = scratch.path().join(name);
        trees::make(&at, files, bytes);
        at
    };
    let slashed = |at: &Path| PathBuf::from(format!("{}/", at.display()));
    // Each way finds its own folder new.
    let small = made("small", 3_000, 8_000);
    for round in 0..rounds {
        for (n, way) in ways.iter().enumerate() {
            quiet();
            let to = format!("sitio/r{round}w{n}/");
            costs(n, push(way, &["-a"], &slashed(&small), &to), "3,000 small files, first push", way);
        }
    }
    let some = made("some", 530, 60_000);
    for round in 0..=rounds {
        trees::change(&some, 530, 23, round);
        for (n, way) in ways.iter().enumerate() {
            quiet();
            let took = push(way, &["-a"], &slashed(&some), &format!("sitio/w{n}/"));
            if round > 0 {
                costs(n, took, "530 files, 23 % changed", way);
            }
        }
    }
    println!("{}", memory(node.pid()));
}

/// One line for each push: the reader takes medians of a way.
fn costs(n: usize, took: Duration, what: &str, way: &Way) {
    println!("{what}: {n} {} {:.3} s", way.name, took.as_secs_f64());
}

/// What a push left to do does not run beside the next one.
fn wait_quiet(node: &Node) {
    while fs::read_dir(node.path("var/incoming")).unwrap().next().is_some() {
        std::thread::sleep(Duration::from_millis(20));
    }
    crate::settle_disk(&node.path("var"));
}

/// Best time of each way, and ours in terms of the peer's.
fn table(
    ways: &[Way],
    rounds: u64,
    what: &str,
    options: &[&str],
    round: &dyn Fn(usize) -> (PathBuf, String),
) {
    let mut best = vec![Duration::MAX; ways.len()];
    for n in 0..rounds {
        for (at, way) in ways.iter().enumerate() {
            let (source, target) = round(usize::try_from(n).unwrap());
            best[at] = best[at].min(push(way, options, &source, &target));
        }
    }
    for pair in ways.iter().zip(&best).collect::<Vec<_>>().chunks(2) {
        let [(ours, a), (theirs, b)] = pair else { continue };
        let ratio = a.as_secs_f64() / b.as_secs_f64();
        println!(
            "{what}: {} {:.3} s, {} {:.3} s: {ratio:.2}",
            ours.name,
            a.as_secs_f64(),
            theirs.name,
            b.as_secs_f64()
        );
    }
}

fn push(way: &Way, options: &[&str], source: &Path, target: &str) -> Duration {
    let mut rsync = Command::new("rsync");
    rsync.args(options).args(&way.options).arg(source).arg((way.target)(target));
    let begun = Instant::now();
    let done = rsync.output().unwrap();
    let took = begun.elapsed();
    assert!(done.status.success(), "{}: {}", way.name, crate::night::shown(&done));
    took
}

/// rsync's own daemon on a module `m`.
struct Stock {
    dir: tempfile::TempDir,
    child: Child,
    address: String,
}

impl Stock {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, file) = (free_port(), dir.path().join("rsyncd.conf"));
        fs::create_dir_all(dir.path().join("m/sitio")).unwrap();
        let module = dir.path().join("m");
        let text =
            format!("use chroot = no\n[m]\npath = {}\nread only = no\nuid = 0\ngid = 0\n", module.display());
        fs::write(&file, text).unwrap();
        let mut rsync = Command::new("rsync");
        rsync.args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}")]);
        rsync.arg(format!("--config={}", file.display())).stderr(Stdio::null());
        let child = rsync.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Self { dir, child, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.dir.path().join("m"));
    }
}
