//! Last byte received to first new byte served over HTTPS, ours and the usual script in turns.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::night::{self, Node};
use crate::receive::cpu;
use crate::script::Script;
use crate::{file_name, packages, report, settle_disk};

/// Ours at loopback speed and at that of a link of 1 Gbit/s, the script once: what it does
/// begins when the file is whole.
pub fn delay(cuts: u64) {
    let packages = packages(cuts);
    let (node, script) = (Node::start(), Script::start());
    let our_url = format!("https://127.0.0.1:{}/.well-known/prep/estado.json", node.https.port());
    let (mut our_reader, mut their_reader) = (Reader::start(our_url), Reader::start(script.url()));
    let (mut theirs, mut fast, mut paced) = (Vec::new(), Vec::new(), Vec::new());
    for (n, package) in packages.iter().enumerate() {
        settle(&node);
        theirs.push(with_script(&script, &mut their_reader, package));
        settle(&node);
        // Each package is pushed once: the same bytes again would need no work.
        match n % 2 {
            0 => fast.push(with_us(&node, &mut our_reader, package, None)),
            _ => paced.push(with_us(&node, &mut our_reader, package, Some(GIGABIT))),
        }
    }
    let median = crate::median(&theirs);
    report("script, ms", &theirs);
    for (what, ours) in [("loopback, ms", &fast), ("1 Gbit/s, ms", &paced)] {
        report(what, &ours.iter().map(|o| o.total).collect::<Vec<_>>());
        for (at, step) in STEPS.iter().enumerate() {
            report(step, &ours.iter().map(|o| o.steps[at]).collect::<Vec<_>>());
        }
        report("  script / ours", &ours.iter().map(|o| median / o.total).collect::<Vec<_>>());
    }
    let ahead = node.ledger_of("verified").iter().filter(|line| line["ahead"] == true).count();
    println!("unpacked while they arrived: {ahead} of {}", packages.len());
}

/// One publication, in milliseconds.
struct Delay {
    total: f64,
    steps: [f64; 3],
}

/// Between the lines of the ledger.
const STEPS: [&str; 3] = ["  kept", "  verified, synced", "  swapped, recorded"];

/// Waits until nothing of an earlier turn weighs on the next: neither what the script left
/// unwritten (ours syncs a file system) nor our compression of the cut before. Real cuts
/// are minutes apart.
fn settle(node: &Node) {
    settle_disk(&node.path("var"));
    loop {
        let before = cpu(node.pid());
        std::thread::sleep(Duration::from_millis(200));
        if cpu(node.pid()) - before < 0.02 {
            return;
        }
    }
}

/// Pushed by `ssh 'cat >'`. Counted from the last byte as the receiver wrote it down, which
/// is before its hash, its fsync and its ledger line.
fn with_us(node: &Node, reader: &mut Reader, package: &Path, pace: Option<f64>) -> Delay {
    let sha256 = night::sha256(package);
    let bytes = fs::read(package).unwrap();
    reader.look_for(sha256);
    push(node, file_name(package), &bytes, pace);
    let seen = reader.seen();
    let when = |kind: &str, field: &str| -> Timestamp {
        node.ledger_of(kind).last().unwrap()[field].as_str().unwrap().parse().unwrap()
    };
    let since = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() * 1e3;
    let last = when("received", "last_byte");
    let [received, verified, published] = ["received", "verified", "published"].map(|kind| when(kind, "t"));
    Delay {
        total: since(last, seen),
        steps: [since(last, received), since(received, verified), since(verified, published)],
    }
}

/// `cat >` with at most so many bytes a second.
fn push(node: &Node, name: &str, bytes: &[u8], pace: Option<f64>) {
    let mut ssh = Command::new("ssh");
    ssh.args(node.ssh_options("id")).args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1"]);
    let ssh = ssh.arg(format!("cat > {name}")).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut ssh = ssh.stderr(Stdio::null()).spawn().unwrap();
    let (mut input, begun, mut sent) = (ssh.stdin.take().unwrap(), Instant::now(), 0.0);
    for piece in bytes.chunks(PIECE) {
        input.write_all(piece).unwrap();
        sent += piece.len() as f64;
        let due = Duration::from_secs_f64(pace.map_or(0.0, |pace| sent / pace));
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    drop(input);
    assert!(ssh.wait().unwrap().success());
}

/// From the rename into the drop directory, with nothing of the transfer: the script
/// learns there that the file is whole.
fn with_script(script: &Script, reader: &mut Reader, package: &Path) -> f64 {
    let name = file_name(package);
    let staged = script.root().join("tmp").join(name);
    fs::copy(package, &staged).unwrap();
    settle_disk(script.root());
    reader.look_for(name.to_owned());
    let begun = now();
    fs::rename(&staged, script.root().join("drop").join(name)).unwrap();
    reader.seen().duration_since(begun).as_secs_f64() * 1e3
}

/// One keep-alive connection that asks again and again while a cut is awaited.
struct Reader {
    orders: Sender<String>,
    began: Receiver<()>,
    answers: Receiver<Timestamp>,
}

impl Reader {
    fn start(url: String) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (orders, taken) = channel::<String>();
        let (begins, began) = channel();
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
            while let Ok(wanted) = taken.recv() {
                let _ = runtime.block_on(has(&client, &url, &wanted));
                begins.send(()).unwrap();
                answer.send(runtime.block_on(first_seen(&client, &url, &wanted))).unwrap();
            }
        });
        Self { orders, began, answers }
    }

    /// Returns when the connection stands and the first answer without it has come.
    fn look_for(&mut self, wanted: String) {
        self.orders.send(wanted).unwrap();
        self.began.recv().unwrap();
    }

    fn seen(&mut self) -> Timestamp {
        self.answers.recv().unwrap()
    }
}

async fn first_seen(client: &reqwest::Client, url: &str, wanted: &str) -> Timestamp {
    let begun = Instant::now();
    while !has(client, url, wanted).await {
        assert!(begun.elapsed() < night::PATIENCE, "never live");
        tokio::time::sleep(POLL).await;
    }
    now()
}

async fn has(client: &reqwest::Client, url: &str, wanted: &str) -> bool {
    let Ok(answer) = client.get(url).send().await else { return false };
    answer.text().await.is_ok_and(|text| text.contains(wanted))
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the wall clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Finer than what is measured, and too seldom to weigh on it.
const POLL: Duration = Duration::from_millis(2);
/// Bytes a second of a link of 1 Gbit/s.
const GIGABIT: f64 = 125e6;
/// Bytes between two looks at the pace.
const PIECE: usize = 64 << 10;
