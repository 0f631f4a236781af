//! Throughput and server CPU of each way in, ours and OpenSSH's sshd in turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::night::{self, Node};
use crate::sshd::Sshd;
use crate::{median, quantile};

/// One server that receives.
struct Server {
    port: u16,
    pid: u32,
    options: Vec<String>,
    /// Where uploads go, as the client says it.
    target: String,
    /// Where that is.
    stored: PathBuf,
}

/// What one upload took.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// Uploads to memory where there is some: the disk is the same for both, and slower than
/// either. Ours takes no hash here and sshd none anyway: the name is no package's.
pub fn receive(mebibytes: u64) {
    if Path::new(MEMORY).is_dir() {
        tempfile::env::override_temp_dir(Path::new(MEMORY)).unwrap();
    }
    let node = Node::start_with("[limits]\npackage-size = \"2GiB\"\n");
    let sshd = Sshd::start(&node.path("id"));
    let scratch = tempfile::tempdir().unwrap();
    let server = |port, pid, dir: &str, stored: PathBuf| Server {
        port,
        pid,
        options: node.ssh_options("id"),
        target: format!("{dir}{NAME}"),
        stored,
    };
    let ours = server(node.ssh.port(), node.pid(), "", node.path("var/inbox/id").join(NAME));
    let stored = scratch.path().join(NAME);
    let theirs = server(sshd.port, sshd.pid(), &format!("{}/", scratch.path().display()), stored);
    for (size, rounds) in [(mebibytes << 20, 3), (35 << 20, 7)] {
        let source = source_file(scratch.path(), size);
        println!("\n{} MiB, medians of {rounds}; ratios are ours to sshd's", size >> 20);
        println!("| way | cipher | ours MB/s | sshd MB/s | speed (range) | CPU | ours, sshd CPU s |");
        println!("|---|---|---|---|---|---|---|");
        for cipher in CIPHERS {
            for way in ["scp", "scp -O", "sftp", "cat"] {
                let round = |_| (upload(&theirs, way, cipher, &source), upload(&ours, way, cipher, &source));
                let pairs: Vec<(Cost, Cost)> = (0..rounds).map(round).collect();
                print_row(way, cipher, size, &pairs);
            }
        }
        fs::remove_file(source).unwrap();
    }
}

fn print_row(way: &str, cipher: &str, size: u64, pairs: &[(Cost, Cost)]) {
    let each = |pick: fn(&(Cost, Cost)) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
    let speed = each(|(t, o)| t.wall / o.wall);
    let rate = |wall: &[f64]| size as f64 / 1e6 / median(wall);
    let (our_cpu, their_cpu) = (median(&each(|(_, o)| o.cpu)), median(&each(|(t, _)| t.cpu)));
    println!(
        "| {way} | {} | {:.0} | {:.0} | {:.2} ({:.2}–{:.2}) | {:.2} | {our_cpu:.2}, {their_cpu:.2} |",
        cipher.split('@').next().unwrap_or(cipher),
        rate(&each(|(_, o)| o.wall)),
        rate(&each(|(t, _)| t.wall)),
        median(&speed),
        quantile(&speed, 0.0),
        quantile(&speed, 1.0),
        our_cpu / their_cpu,
    );
}

fn source_file(dir: &Path, size: u64) -> PathBuf {
    let path = dir.join(format!("source-{size}"));
    let made =
        Command::new("openssl").args(["rand", "-out"]).arg(&path).arg(size.to_string()).status().unwrap();
    assert!(made.success());
    path
}

/// One upload by a stock client, its connection included.
fn upload(server: &Server, way: &str, cipher: &str, source: &Path) -> Cost {
    let mut client = client(server, way, cipher, source);
    let before = cpu(server.pid);
    let begun = Instant::now();
    let done = client.stdout(Stdio::null()).output().unwrap();
    let wall = begun.elapsed().as_secs_f64();
    assert!(done.status.success(), "{way}: {}", night::shown(&done));
    // sshd's children are counted when it has waited for them.
    std::thread::sleep(Duration::from_millis(150));
    let spent = cpu(server.pid) - before;
    let stored = fs::metadata(&server.stored).unwrap().len();
    assert_eq!(stored, fs::metadata(source).unwrap().len(), "{way}");
    fs::remove_file(&server.stored).unwrap();
    Cost { wall, cpu: spent }
}

fn client(server: &Server, way: &str, cipher: &str, source: &Path) -> Command {
    let port = server.port.to_string();
    let (program, port_option) = match way {
        "cat" => ("ssh", "-p"),
        "sftp" => ("sftp", "-P"),
        _ => ("scp", "-P"),
    };
    let mut command = Command::new(program);
    command.args(&server.options).args(["-c", cipher, port_option, &port]);
    match way {
        "cat" => {
            command.arg("root@127.0.0.1").arg(format!("cat > {}", server.target));
            command.stdin(fs::File::open(source).unwrap());
        }
        "sftp" => {
            let batch = source.with_file_name("batch");
            fs::write(&batch, format!("put {} {}\n", source.display(), server.target)).unwrap();
            command.args(["-q", "-b"]).arg(&batch).arg("root@127.0.0.1");
        }
        _ => {
            command.arg("-q").args(way.split(' ').skip(1));
            command.arg(source).arg(format!("root@127.0.0.1:{}", server.target));
        }
    }
    command
}

/// Server CPU of a connection with key and one trivial command, in turns of twenty.
pub fn handshake(count: u64) {
    let node = Node::start();
    let sshd = Sshd::start(&node.path("id"));
    let (mut ours, mut theirs) = (0.0, 0.0);
    for _ in 0..count.div_ceil(TURN) {
        ours += handshakes(&node, node.ssh.port(), node.pid());
        theirs += handshakes(&node, sshd.port, sshd.pid());
    }
    let each = |total: f64| total * 1e3 / (count.div_ceil(TURN) * TURN) as f64;
    let (ours, theirs) = (each(ours), each(theirs));
    println!("handshake with key, server CPU: ours {ours:.2} ms, sshd {theirs:.1} ms, {:.4}", ours / theirs);
}

fn handshakes(node: &Node, port: u16, pid: u32) -> f64 {
    let before = cpu(pid);
    for _ in 0..TURN {
        let mut ssh = Command::new("ssh");
        ssh.args(node.ssh_options("id")).args(["-p", &port.to_string(), "root@127.0.0.1", "true"]);
        let done = ssh.output().unwrap();
        assert!(done.status.success(), "{}", night::shown(&done));
    }
    std::thread::sleep(Duration::from_millis(150));
    cpu(pid) - before
}

/// CPU seconds of a process and the children it has waited for.
pub fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..15].iter().map(|f| f.parse::<f64>().unwrap()).sum();
    ticks / *TICKS_PER_SECOND
}

static TICKS_PER_SECOND: LazyLock<f64> = LazyLock::new(|| {
    let said = Command::new("getconf").arg("CLK_TCK").output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().parse().unwrap()
});

const CIPHERS: [&str; 2] = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
/// A name that no rule makes a package.
const NAME: &str = "bench.bin";
/// The file system in memory.
const MEMORY: &str = "/dev/shm";
/// Connections before the other server has its turn.
const TURN: u64 = 20;
