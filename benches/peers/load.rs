//! Peak memory and disk of a whole night, pushed back to back.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::night::{self, Node};
use crate::receive::cpu;
use crate::{file_name, packages};

pub fn whole_night(cuts: u64) {
    let packages = packages(cuts);
    let node = Node::start();
    let begun = Instant::now();
    for (number, package) in packages.iter().enumerate() {
        let pushed = node.exec(&format!("cat > {}", file_name(package)), &fs::read(package).unwrap());
        assert!(pushed.status.success(), "{}", night::shown(&pushed));
        if number % EVERY == 0 {
            println!("cut {number:>3}: {}", memory(node.pid()));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let disk = Command::new("du").args(["-sm"]).arg(node.path("var")).output().unwrap();
    let disk = String::from_utf8_lossy(&disk.stdout).split_whitespace().next().unwrap().to_owned();
    println!("{cuts} cuts in {seconds:.0} s, CPU {:.0} s", cpu(node.pid()));
    println!("{}, disk {disk} MiB", memory(node.pid()));
}

/// Peak and present resident memory of a process.
pub fn memory(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mebibytes = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    format!("peak {} MiB, now {} MiB", mebibytes("VmHWM"), mebibytes("VmRSS"))
}

/// Cuts between two lines of progress.
const EVERY: usize = 12;
