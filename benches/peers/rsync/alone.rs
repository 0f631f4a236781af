//! The protocol alone: stock rsync pushes to `rsync --server` and to `examples/rsync_peer`, through a
//! script in ssh's place that has `time` tell what the server took.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::trees;
use crate::median;

/// What one push took of the server: seconds of CPU, MB at the peak; and of the clock.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    peak: f64,
}

/// Four pushes in turns, medians of `rounds`.
pub fn alone(rounds: u64) {
    let ours = Path::new(crate::night::DIFUSOR).parent().unwrap().join("examples/rsync_peer");
    assert!(ours.is_file(), "first: cargo build --release --example rsync_peer");
    let servers = [ours, PathBuf::from("/usr/bin/rsync")];
    let scratch = tempfile::tempdir().unwrap();
    let source = |name: &str| scratch.path().join(name);
    let shell = source("shell");
    let text = format!(
        "#!/bin/sh\nshift\nexec /usr/bin/time -f '%U %S %M' -o {} sh -c \"exec $*\"\n",
        source("cost").display()
    );
    fs::write(&shell, text).unwrap();
    fs::set_permissions(&shell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let push = |server: &Path, from: &Path, to: &str| -> Cost {
        let begun = Instant::now();
        let done = Command::new("rsync")
            .args(["-a", "--no-whole-file", "-e"])
            .arg(&shell)
            .arg(format!("--rsync-path={}", server.display()))
            .arg(format!("{}/", from.display()))
            .arg(format!("host:{}/", source(to).display()))
            .output()
            .unwrap();
        let wall = begun.elapsed().as_secs_f64();
        assert!(done.status.success(), "{}", crate::night::shown(&done));
        let told = fs::read_to_string(source("cost")).unwrap();
        let figures: Vec<f64> = told.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        Cost { wall, cpu: figures[0] + figures[1], peak: figures[2] / 1024.0 }
    };
    println!("| push | wall | CPU | memory | ours s, s, MB | stock s, s, MB |\n|---|---|---|---|---|---|");
    fs::create_dir(source("one")).unwrap();
    fs::write(source("one/corte.tar.gz"), trees::noise(7, 33 << 20)).unwrap();
    trees::make(&source("small"), 3_000, 8_000);
    trees::make(&source("some"), 530, 60_000);
    trees::make(&source("large"), 100_000, 40);
    for (name, what, again) in [
        ("one", "package of 33 MB, whole", false),
        ("small", "3,000 small files, first push", false),
        ("some", "530 files, 23 % changed", true),
        ("large", "100,000 files, unchanged", true),
    ] {
        let mut costs: [Vec<Cost>; 2] = Default::default();
        for round in 0..rounds {
            for (at, server) in servers.iter().enumerate() {
                let to = format!("to-{name}-{at}");
                if again && round == 0 {
                    push(server, &source(name), &to);
                }
            }
            if name == "some" {
                trees::change(&source(name), 530, 23, round);
            }
            for (at, server) in servers.iter().enumerate() {
                // A new folder each time, and none removed before the end: ext4 spends seconds on inodes
                // that were freed a moment ago.
                let to = if again { format!("to-{name}-{at}") } else { format!("to-{name}-{at}-{round}") };
                crate::settle_disk(scratch.path());
                costs[at].push(push(server, &source(name), &to));
            }
        }
        let middle =
            |at: usize, figure: fn(&Cost) -> f64| median(&costs[at].iter().map(figure).collect::<Vec<f64>>());
        let [ours, stock] = [0, 1].map(|at| Cost {
            wall: middle(at, |cost| cost.wall),
            cpu: middle(at, |cost| cost.cpu),
            peak: middle(at, |cost| cost.peak),
        });
        println!(
            "| {what} | {:.2} | {:.2} | {:.2} | {:.3}, {:.3}, {:.1} | {:.3}, {:.3}, {:.1} |",
            ours.wall / stock.wall,
            ours.cpu / stock.cpu.max(0.001),
            ours.peak / stock.peak,
            ours.wall,
            ours.cpu,
            ours.peak,
            stock.wall,
            stock.cpu,
            stock.peak
        );
    }
}
