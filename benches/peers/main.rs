//! Figures against the peers that a sysadmin would use instead, in one run, as ratios.
//!
//! `cargo bench --bench peers -- delay [cuts]` publication delay against inotifywait, tar and nginx;
//! `… -- receive [MiB]` throughput and server CPU against OpenSSH's sshd; `… -- handshake [n]`;
//! `… -- rsync [rounds]` pushes by rsync against sshd and against rsync's own daemon;
//! `… -- rsync-alone [rounds]` the protocol alone against `rsync --server`;
//! `… -- night [cuts]` memory and disk of a whole night; `… -- readers [rounds] [seconds]` server CPU of a
//! request against nginx, with `--nginx-src` also against 1.28; `… -- stats [rounds] [seconds]` what the access log costs it; `… -- idle [connections]` memory of connections that say nothing. `benches/README.md` has the numbers
//! and says how to read them. Whatever is started here is ended here, a panic included.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::needless_pass_by_ref_mut,
    reason = "a bench"
)]

mod delay;
mod load;
mod nginx;
#[path = "../../tests/it/night.rs"]
#[allow(dead_code, reason = "a bench needs half of it")]
mod night;
mod readers;
mod receive;
mod rsync;
mod script;
mod siege;
mod sshd;
#[path = "../../tests/it/steady.rs"]
#[allow(dead_code, reason = "a bench needs one part of it")]
mod steady;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |n: usize, default: u64| args.get(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let verb = args.first().map(String::as_str);
    println!("load {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    match verb {
        Some("delay") => delay::delay(number(1, 30)),
        Some("receive") => receive::receive(number(1, 1024)),
        Some("handshake") => receive::handshake(number(1, 200)),
        Some("rsync") => rsync::rsync(number(1, 5)),
        Some("rsync-alone") => rsync::alone(number(1, 5)),
        Some("night") => load::whole_night(number(1, 97)),
        Some("readers") => readers::compare(number(1, 3), number(2, 2), has("--nginx-src")),
        Some("siege") => siege::siege(number(1, 5)),
        Some("stats") => readers::statistics(number(1, 5), number(2, 3)),
        Some("idle") => readers::idle(usize::try_from(number(1, 10_000)).unwrap()),
        _ => println!(
            "say which: readers [rounds] [seconds] [--nginx-src] | stats [rounds] [seconds] | idle [connections] | delay [cuts] | receive [MiB] | handshake [n] | rsync [rounds] | rsync-alone [rounds] | night [cuts] | siege [rounds]"
        ),
    }
    println!("load {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
}

/// Cuts of the Quintana Roo profile, made once and kept for the next run.
fn packages(count: u64) -> Vec<PathBuf> {
    let dir = std::env::temp_dir().join("difusor-bench-packages");
    fs::create_dir_all(&dir).unwrap();
    let last = count.saturating_sub(1);
    let cuts = format!("0..{last}");
    let missing = (0..count).any(|n| one_file(&dir.join(format!("cut_{n:03}"))).is_none());
    if missing {
        let made = Command::new(night::DIFUSOR)
            .args(["simulate", "packages", "--profile", "qroo", "--seed", "7", "--cuts", &cuts, "--out"])
            .arg(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", night::shown(&made));
    }
    (0..count).map(|n| one_file(&dir.join(format!("cut_{n:03}"))).unwrap()).collect()
}

fn one_file(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?;
    entries.flatten().map(|e| e.path()).find(|p| p.to_string_lossy().ends_with(".tar.gz"))
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What an earlier turn wrote must not be flushed at the cost of the next one.
fn settle_disk(dir: &Path) {
    let synced = Command::new("sync").arg("-f").arg(dir).status().unwrap();
    assert!(synced.success());
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

fn report(what: &str, values: &[f64]) {
    let at = |q| quantile(values, q);
    let (p50, p90, p99) = (at(0.5), at(0.9), at(0.99));
    println!("{what:<18} p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  min {:.1}  max {:.1}", at(0.0), at(1.0));
}
