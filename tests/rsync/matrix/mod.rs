//! Client version × protocol × options × transport, against what stock's server makes of the same.
//!
//! Every case pushes twice, the second time with a changed source to a disturbed destination. A
//! normal run gives each client each case once, with protocol and transport in rotation;
//! `RSYNC_MATRIX=full` runs the whole product. `RSYNC_CASE`, `RSYNC_PROTOCOL` and `RSYNC_TRANSPORT`
//! pick, `RSYNC_KEEP` keeps the directories of what failed.

mod compare;
mod expected;
mod options;
mod push;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::daemon::Daemon;
use compare::Both;
use options::Case;
use push::{Side, TRANSPORTS, Transport};

use crate::peer::{self, Kind};
use crate::tree;

/// The highest protocol that a client speaks: the one it uses when not told otherwise.
fn native(version: &str) -> u8 {
    if version == "3.2.3" { 31 } else { 32 }
}

fn number(version: &str) -> (u8, u8, u8) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
}

/// Which protocols and transports this run gives to a case.
fn combinations(case: &Case, version: &str, turn: usize) -> Vec<(u8, Transport)> {
    let protocols: Vec<u8> = case.protocols.clone().filter(|p| *p <= native(version)).collect();
    let transports: Vec<Transport> =
        TRANSPORTS.into_iter().filter(|transport| case.only.is_none_or(|only| only == *transport)).collect();
    let wanted = |name: &str, value: String| std::env::var(name).map_or(true, |wanted| wanted == value);
    let full = ["RSYNC_MATRIX", "RSYNC_PROTOCOL", "RSYNC_TRANSPORT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !full {
        return vec![(protocols[turn % protocols.len()], transports[turn / 2 % transports.len()])];
    }
    let all = protocols.iter().flat_map(|p| transports.iter().map(|t| (*p, *t)));
    all.filter(|(p, t)| {
        wanted("RSYNC_PROTOCOL", p.to_string()) && wanted("RSYNC_TRANSPORT", format!("{t:?}"))
    })
    .collect()
}

/// Both servers, each with its daemon, below one directory.
struct Bench {
    base: PathBuf,
    _scratch: Option<tempfile::TempDir>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let scratch =
            tempfile::Builder::new().prefix(&format!("rsync-{name}-")).tempdir_in(peer::scratch()).unwrap();
        let (base, scratch) = if std::env::var_os("RSYNC_KEEP").is_some() {
            (scratch.keep(), None)
        } else {
            (scratch.path().to_owned(), Some(scratch))
        };
        Self { base, _scratch: scratch }
    }

    /// A side of the comparison, with everything that the options may name.
    fn side(&self, name: &str, server: &Path, case: &Case, how: Transport) -> Side {
        let work = self.base.join(name);
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir_all(work.join("root/dest")).unwrap();
        std::fs::create_dir_all(work.join("tmp")).unwrap();
        tree::first(&work.join("src"), case.flavour);
        if case.options.contains("-dest") {
            tree::first(&work.join("root/prev"), case.flavour);
        }
        let list = ["index.html", "data/r0001.json", "data/deep", "css/", "keep/b.txt"];
        std::fs::write(work.join("list"), list.join("\n")).unwrap();
        std::fs::write(work.join("list0"), list.join("\0")).unwrap();
        std::fs::write(work.join("rules"), "- *.tmp\nP extra*\n").unwrap();
        std::fs::write(work.join("excluded"), "# comment\n*.tmp\n/foo\nextra.txt\n").unwrap();
        let daemon = (how != Transport::Shell).then(|| Daemon::start(server, &work, &work.join("root"), ""));
        Side { work, server: server.to_owned(), daemon }
    }

    fn run(&self, case: &Case, version: &str, protocol: u8, how: Transport) -> Result<(), String> {
        let client = peer::client(version);
        let stock = self.side("stock", &peer::client(peer::REFERENCE), case, how);
        let ours = self.side("peers", peer::peer(), case, how);
        let mut both = Both::new(case, protocol);
        for push in 1..=2 {
            let [theirs, mine] = [&stock, &ours].map(|side| {
                if push == 2 {
                    tree::second(&side.work.join("src"), case.flavour);
                    tree::disturb(&side.dest());
                }
                let mut options: Vec<String> = case
                    .options
                    .split(' ')
                    .filter(|word| !word.is_empty())
                    .map(|word| word.replace("{work}", side.work.to_str().unwrap()))
                    .collect();
                if protocol != native(version) {
                    options.push(format!("--protocol={protocol}"));
                }
                side.push_and_look(&client, &options, case.from, case.to, how)
            });
            both.compare(push, &theirs, &mine, &stock, &ours);
        }
        both.verdict(peer::kind() == Kind::Ours)
    }
}

/// Runs a group of cases with one client and reports all that failed.
fn run(version: &str, group: &str) {
    let bench = Bench::new(&format!("{version}-{group}"));
    let client = peer::CLIENTS.iter().position(|known| *known == version).unwrap();
    let wanted = std::env::var("RSYNC_CASE").unwrap_or_default();
    let (mut report, mut ran) = (String::new(), 0);
    for (n, case) in options::group(group).iter().enumerate() {
        if case.since > number(version) || !case.name().contains(&wanted) {
            continue;
        }
        for (protocol, how) in combinations(case, version, n + client) {
            ran += 1;
            if let Err(why) = bench.run(case, version, protocol, how) {
                writeln!(report, "\n{version} --protocol={protocol} {how:?}: {}\n{why}", case.name())
                    .unwrap();
            }
        }
    }
    let picked = ["RSYNC_CASE", "RSYNC_PROTOCOL", "RSYNC_TRANSPORT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    assert!(ran > 0 || picked, "no case of {group} is for {version}");
    assert!(report.is_empty(), "{report}\nkept with RSYNC_KEEP: {}", bench.base.display());
}

macro_rules! clients {
    ($($module:ident $version:literal),*) => { $(
        mod $module {
            groups!($version: basics choosing checksums compression deleting filters updating trees paths attributes refused);
        }
    )* };
}

macro_rules! groups {
    ($version:literal: $($group:ident)*) => { $(
        #[test]
        fn $group() {
            super::run($version, stringify!($group));
        }
    )* };
}

clients!(v3_2_3 "3.2.3", v3_2_7 "3.2.7", v3_4_1 "3.4.1", v3_5_0 "3.5.0");
