//! What abuse of the doors costs an institute: the same push undisturbed and besieged, in turn.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::night::{Node, shown};

/// Pushes a package of Quintana Roo's size `rounds` times each way; prints the median of each
/// and their ratio, which issue 5 bounds by 1.5.
pub fn siege(rounds: u64) {
    let packages = crate::packages(2 * rounds);
    let mut node = Node::prepare("");
    let public = std::fs::read_to_string(node.path("id.pub")).unwrap();
    let line = format!("from=\"127.0.0.0/16\" {public}");
    std::fs::write(node.path("keys/trusted/id.pub"), line).unwrap();
    node.up("run");
    let half_open = AtomicU64::new(0);
    let (mut calm, mut besieged) = (Vec::new(), Vec::new());
    for pair in packages.chunks(2) {
        let [first, second] = pair else { continue };
        calm.push(push(&node, first));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| held_open(node.ssh, &over, &half_open));
            scope.spawn(|| knocks(node.ssh, Ipv4Addr::new(127, 0, 5, 1), &over));
            scope.spawn(|| knocks(node.ssh, Ipv4Addr::new(127, 200, 0, 1), &over));
            // The thousand are there.
            while half_open.load(Ordering::Relaxed) < 1000 {
                std::thread::sleep(Duration::from_millis(20));
            }
            besieged.push(push(&node, second));
            over.store(true, Ordering::Relaxed);
        });
        half_open.store(0, Ordering::Relaxed);
    }
    let (calm, besieged) = (median(calm), median(besieged));
    println!(
        "undisturbed {calm:?}, besieged {besieged:?}, ratio {:.2}",
        besieged.as_secs_f64() / calm.as_secs_f64()
    );
}

fn push(node: &Node, package: &Path) -> Duration {
    let begun = Instant::now();
    let pushed = node.scp(&[], &[package], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    begun.elapsed()
}

/// A thousand logins that stop after the first word, from two hundred and fifty addresses, made
/// again as they are closed.
fn held_open(to: SocketAddr, over: &AtomicBool, made: &AtomicU64) {
    let mut held = std::collections::VecDeque::new();
    for n in 0_u32.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Some(mut stream) = connect(Ipv4Addr::from_bits(0x7f00_1000 + 1 + n % 250), to) {
            let _ = stream.write_all(if n % 2 == 0 { b"SSH-2.0-x\r\n" } else { b"S" });
            held.push_back(stream);
            made.fetch_add(1, Ordering::Relaxed);
        }
        if held.len() > 1000 {
            held.pop_front();
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Connects and leaves, without end.
fn knocks(to: SocketAddr, from: Ipv4Addr, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        drop(connect(from, to));
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from((IpAddr::V4(from), 0)).into()).ok()?;
    socket.connect(&to.into()).ok()?;
    Some(socket.into())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
