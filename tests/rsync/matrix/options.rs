//! The options that institutes' scripts use, each with a push that shows its effect.
//!
//! A case is written as the words of its command line. `{work}` is the side's own directory, which
//! holds `src`, `root/dest`, `root/prev` (an older copy for --link-dest), `list`, `rules` and `tmp`.
//! Filters are written with `_` for the space, which rsync allows.

use std::ops::RangeInclusive;

use super::push::Transport;
use crate::tree::Flavour;

/// A command line and what it is about.
#[derive(Clone)]
pub struct Case {
    pub options: &'static str,
    pub flavour: Flavour,
    /// Sources, relative to the side's directory.
    pub from: &'static str,
    /// Destination below `root/dest`.
    pub to: &'static str,
    /// First client that knows the options.
    pub since: (u8, u8, u8),
    pub protocols: RangeInclusive<u8>,
    /// The transport that the options ask for; None: any.
    pub only: Option<Transport>,
    /// Stock itself ends with an error in one of the two pushes.
    pub fails: bool,
}

fn site(options: &'static str) -> Case {
    Case {
        options,
        flavour: Flavour::Site,
        from: "src/",
        to: "",
        since: (0, 0, 0),
        protocols: 27..=32,
        only: None,
        fails: false,
    }
}

impl Case {
    fn of(self, flavour: Flavour) -> Self {
        Self { flavour, ..self }
    }
    fn from(self, from: &'static str) -> Self {
        Self { from, ..self }
    }
    fn to(self, to: &'static str) -> Self {
        Self { to, ..self }
    }
    fn since(self, major: u8, minor: u8, patch: u8) -> Self {
        Self { since: (major, minor, patch), ..self }
    }
    fn protocols(self, protocols: RangeInclusive<u8>) -> Self {
        Self { protocols, ..self }
    }
    fn shell(self) -> Self {
        Self { only: Some(Transport::Shell), ..self }
    }
    fn fails(self) -> Self {
        Self { fails: true, ..self }
    }
    /// How the case is named in reports and in `expected`.
    pub fn name(&self) -> String {
        let mut name = self.options.to_owned();
        if self.flavour != Flavour::Site {
            name.push_str(&format!(" [{:?}]", self.flavour));
        }
        if self.from != "src/" || !self.to.is_empty() {
            name.push_str(&format!(" {} → {}", self.from, if self.to.is_empty() { "." } else { self.to }));
        }
        name
    }
}

/// What a client itself refuses to ask of an older protocol.
fn modern(mut case: Case) -> Case {
    let first = |options: &[&str]| options.iter().any(|option| case.options.contains(option));
    if first(&["-f -p_"]) {
        case.protocols = 30.max(*case.protocols.start())..=32;
    } else if first(&[
        "-m ",
        "-f",
        "-F",
        "***",
        "-y ",
        "--fuzzy",
        "--delete-excluded",
        "-C",
        "--partial-dir",
        "--link-dest=../nowhere",
    ]) {
        case.protocols = 29.max(*case.protocols.start())..=32;
    }
    if case.options.contains("--no-implied-dirs") {
        // Since the fixes of 2025 stock's server takes a child without its parent for an attack, and
        // below 30 clients list no parents.
        case.protocols = 30..=32;
    }
    case
}

/// Groups of cases; each is one test per client.
pub fn group(name: &str) -> Vec<Case> {
    named(name).into_iter().map(modern).collect()
}

fn named(name: &str) -> Vec<Case> {
    match name {
        "basics" => basics(),
        "choosing" => choosing(),
        "checksums" => checksums(),
        "compression" => compression(),
        "deleting" => deleting(),
        "filters" => filters(),
        "updating" => updating(),
        "trees" => trees(),
        "paths" => paths(),
        "attributes" => attributes(),
        "refused" => refused(),
        other => panic!("no group {other}"),
    }
}

fn basics() -> Vec<Case> {
    let lines = [
        "-a",
        "-rt",
        "-r",
        "-rltW",
        "-rltD",
        "-a -n",
        "-a -n -i --delete",
        "-a -i --stats",
        "-r -i --stats",
        "-a -ii",
        "-a -v",
        "-a -v --stats",
        "-a -vv",
        "-a -q",
        "-a --out-format=%i_%n%L",
        "-a --out-format=%o_%n_%l",
        "-a --info=stats2,del1 --delete",
        "-a -h --stats",
        "-a --progress -q",
        "-a --timeout=30",
        "-a --bwlimit=50000",
        "-a -B1024 -i --stats",
        "-a -B512 -i --stats",
        "-a --block-size=65536 -i --stats",
        "-a --checksum-seed=5 -i --stats",
        "-a --numeric-ids",
        "-a --no-inc-recursive",
        "-a --msgs2stderr",
        "-a --blocking-io",
        "-a -8",
        "-a -S",
        "-a -x",
        "-a -xx",
        "-a --ignore-errors --delete",
        "-a --force",
        "-a --max-alloc=2g",
        "-a --no-whole-file -i --stats",
        "-a --remove-source-files",
        "-a --remove-source-files -i -v",
        "-a --remove-sent-files -i",
        "-a --info=name2,skip2,del --existing",
    ];
    let mut cases: Vec<Case> = lines.into_iter().map(site).collect();
    cases.push(site("-a --old-args").since(3, 2, 6));
    cases.push(site("-a --fsync").since(3, 2, 4));
    cases
}

fn choosing() -> Vec<Case> {
    [
        "-a -c -i",
        "-r -c -i",
        "-a -I -i --stats",
        "-r --size-only -i",
        "-a --size-only -i",
        "-a -u -i",
        "-r -u -i",
        "-a --existing -i",
        "-a --ignore-existing -i",
        "-a --existing --ignore-existing --delete -v",
        "-a --min-size=500 -i",
        "-a --max-size=2000 -i",
        "-a --max-size=1K --min-size=100b -i",
        "-a -m -i",
        "-a -m --exclude=*.json -i",
        "-a -W -I --stats",
        "-a --modify-window=1 -i",
        "-a -c -n -i",
        "-a -y -i",
        "-a --inplace -i --stats",
        "-d -i",
        "-d -t",
        "-a --no-r -d -i",
    ]
    .into_iter()
    .map(site)
    .collect()
}

fn checksums() -> Vec<Case> {
    let mut cases = Vec::new();
    for line in ["-a -I --cc=md5 --stats", "-a -c --cc=md5 -i", "-a -I --cc=md4 --stats", "-a -c --cc=md4 -i"]
    {
        cases.push(site(line).protocols(30..=32));
    }
    for line in [
        "-a -I --cc=xxh64 --stats",
        "-a -c --cc=xxh64 -i",
        "-a -I --cc=xxh3 --stats",
        "-a -c --cc=xxh3 -i",
        "-a -I --cc=xxh128 --stats",
        "-a -c --cc=xxh128 -i",
        "-a --cc=xxh64,md5 -c -i",
        "-a --cc=none --stats",
        "-a --cc=auto -c -i",
        "-a -I --cc=xxh128 --checksum-seed=77 --stats",
        "-a --cc=none -W",
    ] {
        cases.push(site(line).protocols(30..=32));
    }
    for line in ["-a -I --cc=sha1 --stats", "-a -c --cc=sha1 -i"] {
        cases.push(site(line).protocols(30..=32).since(3, 2, 7));
    }
    cases.push(site("RSYNC_CHECKSUM_LIST=md5 -a -I --stats").protocols(30..=32));
    cases.push(site("RSYNC_CHECKSUM_LIST=xxh64,md5 -a -I -c --stats").protocols(30..=32));
    cases.push(site("RSYNC_CHECKSUM_LIST=md5,xxh128 -a -I --stats").protocols(30..=32));
    cases
}

fn compression() -> Vec<Case> {
    let mut cases: Vec<Case> =
        ["-a -z", "-a -z -I --stats", "-a -z --zl=1 -I --stats", "-a -z --zl=9", "-a -z --skip-compress=bin"]
            .into_iter()
            .map(site)
            .collect();
    for line in [
        "-a --zc=zstd -I --stats",
        "-a --zc=lz4 -I --stats",
        "-a --zc=zlibx -I --stats",
        "-a --zc=zlib -I --stats",
        "-a -z --zc=none -I --stats",
        "-a --new-compress -I --stats",
        "-a --old-compress -I --stats",
        "-a -zz -I --stats",
        "-a --zc=zstd --zl=19",
        "-a --zc=zstd -c -i",
        "-a --zc=zlib -B700 -I --stats",
        "-a --zc=zlib -B32768 -I --stats",
        "-a --zc=zstd -B131072 -I --stats",
        "RSYNC_COMPRESS_LIST=lz4,zlib -a -z -I --stats",
        "RSYNC_COMPRESS_LIST=zlib -a -z -I --stats",
        "-a --zc=lz4 -W",
        "-a --zc=zstd --delete -i",
    ] {
        cases.push(site(line).protocols(30..=32));
    }
    cases.push(site("-a --zc=zlib -I -B131072").protocols(30..=32).fails());
    cases.push(site("-a -z -I -B131072").protocols(27..=29).fails());
    cases.push(site("-a -z").of(Flavour::Names));
    cases
}

fn deleting() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "-a --delete",
        "-a --delete -v",
        "-a --delete -i --stats",
        "-a --delete-before -i",
        "-a --delete-during -i",
        "-a --delete-delay -i",
        "-a --delete-after -i",
        "-a --delete-excluded --exclude=*.tmp -i",
        "-a --delete --max-delete=100 -i",
        "-a --delete -n -v",
        "-a --delete-after --delay-updates -i",
        "-a --del -i",
        "-a --delete -c -i",
        "-a --delete -m -i",
        "-d --delete -i",
        "-a --delete --force -i",
        "-a --delete --existing --ignore-existing -i",
        "-a --delete --size-only -u -i",
    ]
    .into_iter()
    .map(site)
    .collect();
    cases.push(site("-a --delete --max-delete=2 -i").fails());
    cases.push(site("-a --delete --max-delete=0").fails());
    cases.push(site("-a --delete -i").of(Flavour::Types));
    cases.push(site("-a --force -i").of(Flavour::Types));
    cases.push(site("-a -i").of(Flavour::Types).fails());
    cases.push(site("-a --delete").of(Flavour::Names));
    cases.push(site("-a --delete -H -i").of(Flavour::Links));
    cases.push(site("-a --delete").of(Flavour::Empty));
    cases.push(site("-a --delete -i").of(Flavour::Hollow));
    cases.push(site("-a --delete -i").from("src/data src/keep"));
    cases.push(site("-a -R --delete -i").from("src/./data/deep src/./keep"));
    cases.push(site("-a --delete --files-from={work}/list -i"));
    cases.push(site("-a -r --delete --files-from={work}/list -i"));
    cases.push(site("-a --delete -i").from("src/ nothing").fails());
    cases.push(site("-a --delete --ignore-errors -i").from("src/ nothing").fails());
    cases
}

fn filters() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "-a --delete --exclude=*.tmp -i",
        "-a --delete --exclude=/data -i",
        "-a --delete --exclude=/data/ -i",
        "-a --delete --exclude=keep/ -i",
        "-a --delete --include=/keep/*** --exclude=* -i",
        "-a --delete --exclude=data/**/e -i",
        "-a --delete --exclude=**/g/file.txt -i",
        "-a --delete --exclude=r000[3-5].json -i",
        "-a --delete --exclude=r000[!3-5].json -i",
        "-a --delete --exclude=r00[[:digit:]]1.json -i",
        "-a --delete --exclude=r00??.json -i",
        "-a --delete --exclude=*/x -i",
        "-a --delete --exclude=extra* -i",
        "-a --delete --exclude=data/extra_dir -i",
        "-a --delete -f P_*.tmp -i",
        "-a --delete -f protect_extra* -i",
        "-a --delete -f R_*.json -f P_extra* -i",
        "-a --delete --exclude=*.tmp -f R_x.tmp -i",
        "-a --delete -f -s_*.tmp -i",
        "-a --delete -f -r_*.tmp -i",
        "-a --delete -f H_*.bak -i",
        "-a --delete -f S_*.tmp -f -_*.tmp -i",
        "-a --delete -f -!_/* -i",
        "-a --delete -f -p_extra* -i",
        "-a --delete -f -/_/extra.txt -i",
        "-a --delete-excluded -f P_*.tmp --exclude=*.bak -i",
        "-a --delete --include=*/ --include=*.json --exclude=* -i",
        "-a --delete --exclude-from={work}/excluded -i",
        "-a --delete --include-from={work}/excluded --exclude=*.tmp -i",
        "-a --delete -f ._{work}/rules -i",
        "-a --delete --exclude=ex\\tra* -i",
        "-a --delete --exclude=[e]xtra.txt -i",
        "-a --delete --exclude=data/*** -i",
        "-a --exclude=*.tmp -i",
        "-a -C -i",
        "-a -F -i",
        "-a -FF -i",
        "-a -f :_.rsync-filter -i",
        "-a -f :C -i",
        "-a -f dir-merge,-_.cvsignore -i",
        "-a -m --include=*/ --include=*.json --exclude=* -i",
        "-a --delete -m --include=*/ --include=*.json --exclude=* -i",
        "-a -f ! --exclude=*.bak --delete -i",
        "-a --delete --partial-dir=.part -i",
        "-a --delete --exclude=deep/a/ --exclude=/extra_empty/ -i",
    ]
    .into_iter()
    .map(site)
    .collect();
    cases.push(site("-a -C --delete -i").protocols(29..=32));
    cases.push(site("-a -F --delete -i").protocols(29..=32));
    cases.push(site("-a -f :_.rsync-filter --delete -i").protocols(29..=32));
    cases
}

fn updating() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "-a --partial",
        "-a -P -q",
        "-a --partial-dir=.part -i",
        "-a --inplace",
        "-a --inplace -i --stats -I",
        "-a --append",
        "-a --append-verify",
        "-a --append-verify -i --stats",
        "-a --delay-updates -i",
        "-a --fuzzy -i",
        "-a --backup",
        "-a -b --suffix=.old",
        "-a --backup --backup-dir=../bk",
        "-a -b --delete",
        "-a --preallocate",
        "-a --no-W -I -i --stats",
        "-a --inplace --partial",
    ]
    .into_iter()
    .map(site)
    .collect();
    for line in [
        "-a --link-dest=../prev",
        "-a --copy-dest=../prev",
        "-a --compare-dest=../prev",
        "-a --temp-dir={work}/tmp",
        "-a --link-dest={work}/root/prev -i",
        "-a --copy-dest=../prev --stats",
        "-a --partial-dir={work}/tmp",
        "-a --link-dest=../prev --link-dest=../nowhere",
    ] {
        cases.push(site(line).shell());
    }
    cases
}

fn trees() -> Vec<Case> {
    let mut cases = Vec::new();
    for line in ["-a", "-rt", "-a -c -i", "-a -s -i", "-a -v", "-a -z --delete", "-a --delete -i", "-a -R"] {
        cases.push(site(line).of(Flavour::Names));
    }
    cases.push(site("-a -L").of(Flavour::Links).fails());
    for line in [
        "-a",
        "-a -i",
        "-a -H",
        "-a -H -i --stats",
        "-a -k",
        "-a --safe-links",
        "-a -K",
        "-rl",
        "-rt",
        "-a -H -c",
        "-a -H --delete-after -i",
        "-a -J -i",
        "-a -H -z --inplace",
        "-a -H -n -i",
    ] {
        cases.push(site(line).of(Flavour::Links));
    }
    for line in ["-a", "-a -i --stats", "-d -i", "-rt --delete"] {
        cases.push(site(line).of(Flavour::Empty));
        cases.push(site(line).of(Flavour::Hollow));
    }
    cases.push(site("-a -m -i").of(Flavour::Hollow));
    cases.push(site("-a").of(Flavour::Many));
    cases.push(site("-a --delete -i --stats").of(Flavour::Many));
    cases.push(site("-a --iconv=latin1,utf-8").of(Flavour::Latin).protocols(30..=32).shell());
    cases.push(site("-a --iconv=latin1,utf-8 --delete -i").of(Flavour::Latin).protocols(30..=32).shell());
    cases.push(site("-a --iconv=utf-8,utf-8 -i").protocols(30..=32).shell());
    cases.push(site("-a --iconv=latin1,latin1").of(Flavour::Latin).protocols(30..=32).shell());
    cases
}

fn paths() -> Vec<Case> {
    let mut cases = vec![
        site("-a").from("src/index.html"),
        site("-t").from("src/index.html"),
        site("").from("src/index.html"),
        site("-i --stats").from("src/big.bin"),
        site("-a -i").from("src/big.bin").to("new.bin"),
        site("").from("src/big.bin").to("new.bin"),
        site("-z").from("src/big.bin").to("new.bin"),
        site("-a -i").from("src/big.bin").to("newdir/"),
        site("-a -i").from("src/big.bin src/index.html").to("newdir"),
        site("-a -i").from("src/big.bin src/index.html").to("newdir/"),
        site("-a").from("src"),
        site("-a").from("src/."),
        site("-a -i").from("src/").to("newdir"),
        site("-a -i").from("src/").to("newdir/"),
        site("-a -i").from("src/").to("missing/newdir/").fails(),
        site("-a -i --mkpath").from("src/").to("missing/newdir/"),
        site("-a -i --mkpath").from("src/big.bin").to("missing/newdir/"),
        site("-a -i --mkpath").from("src/big.bin").to("missing/newname"),
        site("-a -R -i").from("src/data/deep"),
        site("-a -R -i").from("src/./data/deep src/./js/app.js"),
        site("-R -i").from("src/./data/deep/a/b/c/d/e/f/g/file.txt"),
        site("-a -R --no-implied-dirs -i").from("src/./data/deep/a/b"),
        site("-a -R --no-implied-dirs -i --mkpath").from("src/./data/deep/a/b/c src/./js/app.js"),
        site("-a -i").from("src/").to("a\\ dir/").shell().since(3, 2, 3),
        site("-a -s -i").from("src/").to("a dir/"),
        site("-a -s -i").from("src/index.html").to("a new name"),
        site("-a -s").from("src/").to("-dash/"),
        site("-i").from("src/data").fails(),
        site("-a -i").from("nothing").fails(),
        site("-a -i").from("nothing src/js").fails(),
        site("-a --files-from={work}/list -i").from("src/"),
        site("-a -r --files-from={work}/list -i").from("src/"),
        site("-a --files-from={work}/list0 -0 -i").from("src/"),
        site("-a --no-R --files-from={work}/list -i").from("src/"),
        site("-a --files-from={work}/list --no-implied-dirs -i").from("src/"),
        site("-a -i").from("src/data src/keep src/index.html"),
        site("-a -i").from("src/data/ src/keep/"),
    ];
    for case in &mut cases {
        // The remote shell's own word splitting of an unescaped space is what --old-args and 3.2.3 have.
        if case.to.contains("\\ ") {
            case.options = "-a -i --old-args";
            case.since = (3, 2, 6);
        }
    }
    cases.push(site("-a -i").from("src/").to("a dir/").shell().since(3, 2, 6));
    cases
}

fn attributes() -> Vec<Case> {
    let of = |line| site(line).of(Flavour::Attributes);
    vec![
        of("-rt"),
        of("-a -i"),
        of("-rlt --chmod=D755,F644 -p -i"),
        of("-rt -E -i"),
        of("-rlptgo -i"),
        of("-a --no-p --no-o --no-g -i"),
        of("-a -A -i").protocols(30..=32),
        of("-rt -X -i").protocols(30..=32),
        of("-a -A -X -i").protocols(30..=32),
        of("-a -X -H -i").protocols(30..=32),
        of("-rt -U -i").protocols(30..=32),
        of("-rt --specials -i"),
        of("-rt -D -i"),
        of("-a --super"),
        of("-rt --fake-super -M--fake-super").protocols(30..=32),
        of("-a --usermap=*:0 --groupmap=*:0").protocols(30..=32),
        of("-a --chown=0:0").protocols(30..=32),
        of("-rt -O -i"),
        of("-a -A -X --delete -n -i").protocols(30..=32),
    ]
}

fn refused() -> Vec<Case> {
    vec![
        site("-a --write-devices").shell().since(3, 2, 0),
        site("-a -M--log-file={work}/root/log").shell(),
        site("-a -M--use-qsort").fails(),
        site("-a -M--not-an-option").fails(),
    ]
}
