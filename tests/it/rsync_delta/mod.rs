//! Sums, signatures, tokens, negotiation and the daemon's greeting against stock rsync.

mod peer;
mod recorded;

use std::process::Output;

use difusor::rsync::checksum::Algorithm;
use difusor::rsync::daemon::Module;
use difusor::rsync::token::Compression;
use difusor::rsync::{Error, Exit};
use peer::{Got, Shop, meet, meet_with};

/// Text that repeats little, compresses somewhat and has bytes of both signs.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(bytes + 32);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
        out.extend_from_slice("casilla,votos,ñ;".as_bytes());
    }
    out.truncate(bytes);
    out
}

/// Yesterday's and today's bytes of a file: something inserted, changed, cut, moved.
fn evening(bytes: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let old = noise(bytes, seed);
    let mut new = old[bytes / 3..].to_vec();
    new.splice(1000..1000, noise(777, seed + 1));
    new.extend_from_slice(&old[..bytes / 3]);
    let middle = new.len() / 2;
    new[middle..middle + 5].copy_from_slice(b"PREP!");
    new.truncate(new.len() - 10);
    (old, new)
}

struct Night {
    old: Vec<(String, Vec<u8>)>,
    new: Vec<(String, Vec<u8>)>,
}

impl Night {
    fn new() -> Self {
        let sizes = [("a.csv", 150_000), ("b.csv", 700 * 40), ("c.csv", 2_000_000)];
        let (old, new) = sizes
            .iter()
            .enumerate()
            .map(|(n, (name, size))| {
                let (old, new) = evening(*size, n as u64 * 77 + 5);
                ((name.to_string(), old), (name.to_string(), new))
            })
            .unzip();
        Self { old, new }
    }

    fn small() -> Self {
        let (old, new) = evening(9_000, 3);
        Self { old: vec![("a.csv".into(), old)], new: vec![("a.csv".into(), new)] }
    }

    fn held(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.old.iter().find(|(old, _)| old.as_bytes() == name).map(|(_, bytes)| bytes.clone())
    }

    /// Pushes it with stock rsync.
    fn push(&self, args: &[&str], user: &str, shop: &Shop) -> (Output, Got) {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.new {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let names = self.new.iter().map(|(name, _)| name.as_str());
        let args: Vec<&str> = args.iter().copied().chain(names).collect();
        meet(dir.path(), &args, user, "m/", shop, &|name| self.held(name))
    }

    /// The push arrived whole, and most of it from what we held.
    fn arrived(&self, what: &str, (output, got): &(Output, Got)) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(got.error.is_none(), "{what}: {:?} {stderr}", got.error);
        assert_eq!(output.status.code(), Some(0), "{what}: {stderr}");
        assert_eq!(got.files.len(), self.new.len(), "{what}");
        for ((name, bytes), (new, expected)) in got.files.iter().zip(&self.new) {
            assert_eq!(name, new.as_bytes(), "{what}");
            assert!(bytes == expected, "{what}: {new} differs");
        }
    }
}

#[test]
fn every_protocol_and_sum_finds_our_blocks() {
    let night = Night::new();
    for protocol in 27..=32 {
        let sums: &[&str] = if protocol < 30 {
            &["auto"]
        } else {
            &["auto", "xxh128", "xxh3", "xxh64", "md5", "sha1", "md4"]
        };
        for sum in sums {
            let what = format!("protocol {protocol}, {sum}");
            let (protocol, choice) = (format!("--protocol={protocol}"), format!("--checksum-choice={sum}"));
            let mut args = vec![protocol.as_str(), "--no-W"];
            args.extend((*sum != "auto").then_some(choice.as_str()));
            let done = night.push(&args, "", &Shop::default());
            night.arrived(&what, &done);
            let (literal, matched) = (done.1.literal, done.1.matched);
            assert!(literal * 20 < matched, "{what}: {literal} literal, {matched} matched");
        }
    }
}

#[test]
fn every_compression_arrives_with_and_without_a_basis() {
    let night = Night::new();
    let bare = Night { old: vec![], new: night.new.clone() };
    for protocol in 27..=32 {
        let codecs: &[&str] = if protocol < 30 {
            &["--old-compress"]
        } else {
            &["--zc=zlib", "--zc=zlibx", "--zc=zstd", "--zc=lz4", "--zc=none", "-z"]
        };
        for codec in codecs {
            let what = format!("protocol {protocol}, {codec}");
            let args = [&*format!("--protocol={protocol}"), "--no-W", codec];
            night.arrived(&what, &night.push(&args, "", &Shop::default()));
            if protocol == 32 {
                let args = [args[0], args[1], codec, "--zl=0"];
                night.arrived(&format!("{what} level 0"), &night.push(&args, "", &Shop::default()));
            }
            bare.arrived(&what, &bare.push(&args, "", &Shop::default()));
        }
    }
}

#[test]
fn a_choice_of_names_in_the_clients_environment_is_obeyed() {
    let night = Night::small();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.csv"), &night.new[0].1).unwrap();
    for (sums, packings, expected) in [
        ("md5 xxh128", "lz4 zstd", (Algorithm::Md5, Compression::Lz4)),
        ("sha1", "zlib", (Algorithm::Sha1, Compression::Zlib)),
        ("md4 xxh3", "none zstd", (Algorithm::Xxh3, Compression::None)),
    ] {
        let names = [("RSYNC_CHECKSUM_LIST", sums), ("RSYNC_COMPRESS_LIST", packings)];
        let args = ["-z", "--no-W", "a.csv"];
        let done = meet_with(dir.path(), &args, &names, "", "m/", &Shop::default(), &|name| night.held(name));
        night.arrived(sums, &done);
        let agreed = done.1.agreed.unwrap();
        assert_eq!((agreed.transfer_sum, agreed.compression), expected);
    }
}

#[test]
fn without_a_sum_whole_files_arrive() {
    let night = Night::small();
    let done = night.push(&["--no-W", "--cc=none"], "", &Shop::default());
    night.arrived("none", &done);
    assert_eq!(done.1.matched, 0);
}

#[test]
fn sums_of_files_in_the_list_have_the_length_that_was_agreed() {
    let night = Night::small();
    for args in
        [["-c", "--protocol=29"], ["-c", "--protocol=30"], ["-c", "--cc=xxh3"], ["-c", "--cc=xxh64,sha1"]]
    {
        night.arrived(args[1], &night.push(&args, "", &Shop::default()));
    }
}

/// A module with the password that clients here are given.
fn locked(floor: Option<&str>) -> Shop {
    let module = Module { auth: true, floor: floor.map(String::from), ..Module::default() };
    Shop { module, secret: Some(b"secreto".to_vec()), ..Shop::default() }
}

#[test]
fn a_password_opens_a_module_at_every_protocol() {
    let night = Night::small();
    for protocol in ["--protocol=27", "--protocol=29", "--protocol=30", "--protocol=31", "--protocol=32"] {
        let done = night.push(&[protocol], "prep@", &locked(None));
        night.arrived(protocol, &done);
        assert_eq!(done.1.greeted.unwrap().user.as_deref(), Some(&b"prep"[..]));
    }
}

/// What a client that is turned away shows and ends with.
fn turned_away(args: &[&str], user: &str, shop: &Shop) -> (i32, String, Error) {
    let (output, got) = Night::small().push(args, user, shop);
    assert!(got.files.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), stderr, got.error.expect("an error"))
}

#[test]
fn a_wrong_password_or_user_ends_with_rsyncs_own_sentence() {
    let wrong = Shop { secret: Some(b"otro".to_vec()), ..locked(None) };
    let empty = Shop { secret: Some(Vec::new()), ..locked(None) };
    for (shop, user) in [(&wrong, "prep@"), (&empty, "prep@"), (&locked(None), "nadie@")] {
        let (code, stderr, error) = turned_away(&[], user, shop);
        assert!(stderr.contains("@ERROR: auth failed on module m\n"), "{stderr}");
        assert_eq!((code, error.exit), (5, Exit::Start));
    }
}

#[test]
fn a_floor_turns_weak_digests_away_before_a_password_is_used() {
    for protocol in ["--protocol=27", "--protocol=29"] {
        // Even these send a list of digests, since the client is new.
        Night::small().arrived(protocol, &Night::small().push(&[protocol], "prep@", &locked(Some("sha256"))));
    }
    let (code, stderr, _) = turned_away(&[], "prep@", &locked(Some("sha3")));
    assert!(stderr.contains("@ERROR: module m asks for sha3 or stronger"), "{stderr}");
    assert_eq!(code, 5);
}

#[test]
fn a_full_or_unknown_module_is_told_as_stock_daemons_do() {
    let (code, stderr, _) = turned_away(&[], "", &Shop { full: Some(4), ..Shop::default() });
    assert!(stderr.contains("@ERROR: max connections (4) reached -- try again later"), "{stderr}");
    assert_eq!(code, 5);
    let (output, _) = meet("/".as_ref(), &["/dev/null"], "", "otro/x", &Shop::default(), &|_| None);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("@ERROR: Unknown module 'otro'"), "{stderr}");
}

#[test]
fn refusals_after_the_greeting_reach_the_client_with_their_code() {
    let read_only = Shop { module: Module { read_only: true, ..Module::default() }, ..Shop::default() };
    let (code, stderr, _) = turned_away(&[], "", &read_only);
    assert!(stderr.contains("ERROR: module is read only"), "{stderr}");
    assert_eq!(code, 1);
    let strict =
        Shop { module: Module { refuse: vec!["checksum".into()], ..Module::default() }, ..Shop::default() };
    let (code, stderr, _) = turned_away(&["-c"], "", &strict);
    assert!(stderr.contains("The server is configured to refuse --checksum"), "{stderr}");
    assert_eq!(code, 4);
    let (code, stderr, _) = turned_away(&["-z", "-M--write-devices"], "", &Shop::default());
    assert!(stderr.contains("--write-devices"), "{stderr}");
    assert_eq!(code, 4);
}

/// What stock rsync prints without a source.
fn asked(path: &str, shop: &Shop) -> (String, Got) {
    let (output, got) = meet("/".as_ref(), &[], "", path, shop, &|_| None);
    (String::from_utf8(output.stdout).unwrap(), got)
}

#[test]
fn modules_are_listed_below_the_message_of_the_day() {
    let shop = Shop { motd: vec!["PREP Durango".into()], ..Shop::default() };
    let (stdout, got) = asked("", &shop);
    assert_eq!(stdout, "PREP Durango\nm              \tresultados\n");
    assert!(got.error.is_none() && got.greeted.is_none());
}

#[test]
fn a_pull_is_refused_by_name() {
    let (_, got) = asked("m/", &Shop::default());
    assert_eq!(got.error.unwrap().exit, Exit::Unsupported);
}

#[test]
fn early_input_and_secluded_words_and_any_name_arrive() {
    let night = Night::small();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.csv"), &night.new[0].1).unwrap();
    std::fs::write(dir.path().join("early"), "token de entrada").unwrap();
    for protocol in ["--protocol=29", "--protocol=30", "--protocol=32"] {
        for extra in [&["--early-input=early"][..], &["-s"], &["--old-args"], &["-s", "--partial-dir=.a b"]] {
            for (path, expected) in [
                ("m", None),
                ("m/", None),
                ("m/dir con [x]*\\ y/ñ", Some("dir con [x]*\\ y/ñ")),
                ("m/m/", Some("m/")),
            ] {
                let args: Vec<&str> = [protocol, "a.csv"].into_iter().chain(extra.iter().copied()).collect();
                let done = meet(dir.path(), &args, "", path, &Shop::default(), &|_| None);
                night.arrived(&format!("{args:?} {path}"), &done);
                let destination = done.1.greeted.unwrap().options.destination;
                assert_eq!(destination.as_deref(), expected.map(str::as_bytes), "{args:?}");
            }
        }
    }
}

/// A figure of `--stats`.
fn figure(stats: &str, name: &str) -> u64 {
    let line = stats.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn a_delta_moves_the_bytes_that_stock_moves() {
    let night = Night::new();
    let stock = tempfile::tempdir().unwrap();
    let (old, new) = (stock.path().join("old"), stock.path().join("new"));
    std::fs::create_dir_all(&old).unwrap();
    std::fs::create_dir_all(&new).unwrap();
    for (dir, files) in [(&old, &night.old), (&new, &night.new)] {
        files.iter().for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes).unwrap());
    }
    let args = ["--stats", "--no-W", "--ignore-times", "--no-human-readable"];
    let files = night.new.iter().map(|(name, _)| new.join(name));
    let local = std::process::Command::new("rsync").args(args).args(files).arg(&old).output().unwrap();
    let local = String::from_utf8(local.stdout).unwrap();
    let done = night.push(&args, "", &Shop::default());
    night.arrived("delta", &done);
    let ours = String::from_utf8(done.0.stdout).unwrap();
    for name in ["Literal data: ", "Matched data: "] {
        assert_eq!(figure(&ours, name), figure(&local, name), "{name}");
    }
    for name in ["Total bytes sent: ", "Total bytes received: "] {
        let (ours, stock) = (figure(&ours, name), figure(&local, name));
        assert!(ours * 100 <= stock * 102, "{name}{ours}, stock {stock}");
    }
}
