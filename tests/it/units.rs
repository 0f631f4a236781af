//! The units under a systemd that is really booted: what no reading of a unit file shows.

use std::path::Path;
use std::process::Command;

use crate::cuts::Cuts;
use crate::night::{DIFUSOR, shown};

#[test]
fn the_units_serve_a_night_under_a_booted_systemd() {
    let (cuts, out) = (Cuts::good(2), tempfile::tempdir().unwrap());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let namespaces = ["-m", "-p", "-f", "-C", "-u", "-i", "-n", "--kill-child"];
    let booted = Command::new("timeout")
        .args(["180", "unshare"])
        .args(namespaces)
        .arg(here.join("tests/it/units.sh"))
        .args([
            DIFUSOR.as_ref(),
            here.join("systemd").as_os_str(),
            cuts.dir().as_os_str(),
            out.path().as_os_str(),
        ])
        .output()
        .unwrap();
    let told = std::fs::read_to_string(out.path().join("told")).unwrap_or_default();
    let well = told.lines().any(|line| line == "todo bien");
    assert!(well, "this test needs root and namespaces\n{}\n{told}", shown(&booted));
}
