//! Abuse from all sides, while an institute pushes and readers read.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, curl, shown};
use crate::trust::{connect, node_with, pair};

/// Attackers that were let in by `from="*"` or are the institute's own neighbours.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 5, 1);
/// One that no key allows.
const REFUSED: Ipv4Addr = Ipv4Addr::new(127, 200, 0, 1);

fn scp(node: &Node, file: &Path) -> Output {
    let mut scp = Command::new("timeout");
    scp.args(["120", "scp"]).args(node.ssh_options("id")).args(["-P", &node.ssh.port().to_string()]);
    scp.arg(file).arg("prep@127.0.0.1:").output().unwrap()
}

/// Runs `attack` again and again until the pushes are done; gives what readers met.
fn besieged(node: &Node, attack: impl Fn(SocketAddr) + Sync, pushes: impl FnOnce()) -> usize {
    let (over, rounds, errors) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                attack(node.ssh);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let url = format!("https://127.0.0.1:{}/", node.https.port());
            while !over.load(Ordering::Relaxed) {
                errors.fetch_add(usize::from(curl(&url, &[]).status != 200), Ordering::Relaxed);
            }
        });
        // The attack is under way.
        let begun = std::time::Instant::now();
        while rounds.load(Ordering::Relaxed) == 0 {
            assert!(begun.elapsed() < PATIENCE * 2, "the attack never came to its first end");
            std::thread::sleep(Duration::from_millis(10));
        }
        pushes();
        over.store(true, Ordering::Relaxed);
    });
    errors.into_inner()
}

#[test]
fn a_push_gets_through_half_open_logins_slow_banners_connects_and_a_refused_flood() {
    let mut node = node_with("from=\"127.0.0.0/16\"");
    let cuts = Cuts::good(2);
    assert!(scp(&node, &cuts.path(0)).status.success());
    node.wait_live(&cuts.path(0));
    let before = std::fs::metadata(node.path("log")).unwrap().len();
    let ledger = node.ledger().len();

    // A thousand logins that stop after the first word, and as many banners that drip.
    let half_open: Vec<TcpStream> = (0..1000_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            let mut stream = connect(Ipv4Addr::new(127, 0, 16 + high, low.max(1)), node.ssh);
            let _ = stream.write_all(if n % 2 == 0 { b"SSH-2.0-x\r\n" } else { b"S" });
            stream
        })
        .collect();
    let attack = |to: SocketAddr| {
        for n in 0..500 {
            for from in [NEIGHBOUR, REFUSED] {
                drop(connect(from, to));
            }
            if n % 50 == 0 {
                for slow in half_open.iter().step_by(100) {
                    let _ = (&*slow).write_all(b"S");
                }
            }
        }
    };
    let errors = besieged(&node, attack, || {
        for n in 1..=2 {
            let pushed = scp(&node, &cuts.path(n));
            assert!(pushed.status.success(), "{}", shown(&pushed));
            node.wait_live(&cuts.path(n));
        }
    });
    assert_eq!(errors, 0, "readers saw errors");
    // At least ten thousand in all, whatever the machine's pace.
    (0..4_000).for_each(|_| drop(connect(NEIGHBOUR, node.ssh)));
    (0..6_000).for_each(|_| drop(connect(REFUSED, node.ssh)));
    drop(half_open);
    node.stop();
    let refused = node.ledger_of("refused");
    let counted: u64 = refused.iter().map(|line| line["count"].as_u64().unwrap()).sum();
    assert!(counted >= 6_000, "{counted}");
    // One line a minute for each of few sources and reasons, not one for each of thousands.
    assert!(node.ledger().len() - ledger < 400, "{}", node.ledger().len() - ledger);
    let logged = std::fs::metadata(node.path("log")).unwrap().len() - before;
    assert!(logged < 256 << 10, "{logged} bytes of log");
}

#[test]
fn who_fails_keys_is_not_heard_for_a_while_and_the_institute_always() {
    let mut node = Node::prepare("");
    // One key of the institute's, by name; one that may come from anywhere.
    let public = std::fs::read_to_string(node.path("id.pub")).unwrap();
    std::fs::write(node.path("keys/trusted/id.pub"), format!("from=\"127.0.0.1\" {public}")).unwrap();
    pair(&node, "viaje", &["ed25519"]);
    pair(&node, "ajena", &["ed25519"]);
    let public = std::fs::read_to_string(node.path("viaje.pub")).unwrap();
    std::fs::write(node.path("keys/trusted/viaje.pub"), format!("from=\"*\" {public}")).unwrap();
    node.up("run");
    let enter = |key: &str, from: &str| {
        let mut ssh = Command::new("timeout");
        ssh.args(["30", "ssh"]).args(node.ssh_options(key)).args(["-b", from]);
        ssh.args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1", "pwd"]).output().unwrap()
    };
    assert!(enter("viaje", "127.0.0.7").status.success());
    for from in ["127.0.0.7", "127.0.0.1"] {
        // Three would do if they took no time.
        for _ in 0..5 {
            assert!(!enter("ajena", from).status.success());
        }
    }
    let mut banned = connect(Ipv4Addr::new(127, 0, 0, 7), node.ssh);
    let mut heard = Vec::new();
    let _ = banned.read_to_end(&mut heard);
    assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));
    assert!(!enter("viaje", "127.0.0.7").status.success(), "a good key neither");
    assert!(enter("viaje", "127.0.0.8").status.success(), "other addresses are others");
    assert!(enter("id", "127.0.0.1").status.success(), "the institute is never banned");
    node.stop();
    let lines = node.ledger_of("refused");
    let from = |line: &serde_json::Value| line["from"].as_str().and_then(|a| a.parse::<IpAddr>().ok());
    assert!(
        lines.iter().any(|l| l["reason"] == "penalty" && from(l) == Some(Ipv4Addr::new(127, 0, 0, 7).into()))
    );
    assert!(!lines.iter().any(|l| l["reason"] == "penalty" && from(l) == Some(Ipv4Addr::LOCALHOST.into())));
}

/// The release of PyPI that `tests/run` installs; what is on the machine may be older.
fn ssh_audit(node: &Node) -> Vec<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/ssh-audit");
    assert!(own.exists(), "missing: pip install --target target/clients/ssh-audit ssh-audit");
    let mut audit = Command::new("/usr/bin/python3");
    audit.env("PYTHONPATH", own).args(["-m", "ssh_audit", "-n", "-p", &node.ssh.port().to_string()]);
    let done = audit.arg("127.0.0.1").output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.contains("(kex) mlkem768x25519-sha256"), "{}", shown(&done));
    let bad = |line: &&str| line.contains("[fail]") || line.contains("[warn]") || line.contains("DHEat");
    text.lines().filter(bad).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn ssh_audit_finds_nothing_but_the_key_exchange_that_older_clients_need() {
    let mut node = Node::start();
    let found = ssh_audit(&node);
    let known = |line: &String| line.contains("curve25519-sha256") && line.contains("post-quantum");
    assert!(found.iter().all(known) && found.len() <= 1, "{found:#?}");
    node.stop();
    node.configure("[ssh]\nalgorithms = \"strict\"\n");
    node.up("run");
    assert_eq!(ssh_audit(&node), [""; 0]);
}
