use proptest::prelude::*;

use super::*;

fn words(line: &str) -> Vec<Vec<u8>> {
    lex(line.as_bytes(), &Limits::default()).unwrap()
}

fn parse(line: &str) -> Result<Options, Error> {
    Options::parse(&words(line), &Limits::default())
}

/// What `-logDtpr` turns on.
fn archive() -> Options {
    let (links, owner, group, devices, specials) = (true, true, true, true, true);
    let (times, perms, recurse, implied_dirs) = (true, true, true, true);
    Options {
        links,
        owner,
        group,
        devices,
        specials,
        times,
        perms,
        recurse,
        implied_dirs,
        ..Options::default()
    }
}

/// Without what a test does not look at.
fn bare(line: &str) -> Options {
    let options = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    Options { used: Vec::new(), capabilities: Capabilities::default(), destination: None, ..options }
}

#[test]
fn what_stock_clients_send_is_understood() {
    let every = "-e.iLsfxCIvu";
    let archive_with = |set: fn(&mut Options)| {
        let mut options = archive();
        set(&mut options);
        options
    };
    let cases: &[(&str, Options)] = &[
        // 2.6.9, 3.0.9, 3.1.3, 3.2.3 and later, openrsync.
        ("--server -logDtpr . drop/", archive()),
        ("--server -logDtpre.iLsf . drop/", archive()),
        ("--server -logDtpre.iLsfxC . drop/", archive()),
        ("--server -logDtpre.iLsfxCIvu . drop/", archive()),
        ("--server -logDtpre31.14.iLsfxCIvu . drop/", archive()),
        ("--server -g -l -o -p -D -r -t . drop/", archive()),
        (
            "--server -vlogDtprz --delete . drop/",
            archive_with(|o| {
                (o.verbose, o.compress, o.delete) = (1, true, Delete::During);
            }),
        ),
        (
            "--server --delete-before -g -l -o -p -D -r -t -v -z . drop/",
            archive_with(|o| {
                (o.verbose, o.compress, o.delete) = (1, true, Delete::Before);
            }),
        ),
        (
            "--server -logDtpr --delete --delete-after --delay-updates . drop/",
            archive_with(|o| {
                o.delete = Delete::After;
                o.ignored = vec!["delay-updates".into()];
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --log-format=%i --stats . drop",
            archive_with(|o| {
                (o.itemize, o.stats, o.log_format) = (true, true, Some(b"%i".to_vec()));
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --log-format=X --partial . drop",
            archive_with(|o| {
                (o.partial, o.log_format) = (true, Some(b"X".to_vec()));
            }),
        ),
        (
            "--server -lHogDtpAXre.iLsfxCIvu --numeric-ids . drop",
            archive_with(|o| {
                (o.hard_links, o.acls, o.xattrs, o.numeric_ids) = (true, true, true, true);
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --append --append --inplace . drop",
            archive_with(|o| {
                (o.append, o.inplace) = (true, true);
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu -B1024 --bwlimit=1000 --checksum-seed=5 --timeout=60 -@2 . .",
            archive_with(|o| {
                (o.block_size, o.checksum_seed, o.timeout, o.modify_window) = (Some(1024), Some(5), 60, 2);
                o.ignored = vec!["bwlimit".into()];
            }),
        ),
        (
            "--server -logDtpr --modify-window=-1 --checksum-seed=0 --max-delete=-1 --delete-delay . .",
            archive_with(|o| {
                (o.modify_window, o.max_delete, o.delete) = (-1, Some(0), Delete::Delay);
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --compress-level=3 --compress-choice=zstd . .",
            archive_with(|o| {
                (o.compress, o.compress_level, o.compress_choice) = (true, Some(3), Some(b"zstd".to_vec()));
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --new-compress . .",
            archive_with(|o| {
                (o.compress, o.compress_choice) = (true, Some(b"zlibx".to_vec()));
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --checksum-choice=xxh64 . .",
            archive_with(|o| {
                o.checksum_choice = Some(b"xxh64".to_vec());
            }),
        ),
        (
            "--server -blogDtpre.iLsfxCIvu --backup-dir bk --partial-dir .part --temp-dir /tmp --link-dest ../prev . .",
            archive_with(|o| {
                (o.partial, o.partial_dir) = (true, true);
                o.ignored =
                    ["backup", "backup-dir", "partial-dir", "temp-dir", "link-dest"].map(String::from).into();
            }),
        ),
        (
            "--server -logDtpRe.LsfxCIvu --no-implied-dirs . .",
            archive_with(|o| {
                (o.relative, o.implied_dirs, o.recurse) = (true, false, false);
            }),
        ),
        (
            "--server -logDtpre.iLsfxCIvu --iconv=latin1 --mkpath --fsync . .",
            archive_with(|o| {
                (o.iconv, o.mkpath) = (Some(b"latin1".to_vec()), true);
                o.ignored = vec!["fsync".into()];
            }),
        ),
        (
            "--server -gloprt -D --no-specials --max-delete=3 -x -x --sparse . .",
            archive_with(|o| {
                (o.specials, o.max_delete) = (false, Some(3));
                o.ignored = vec!["one-file-system".into(), "sparse".into()];
            }),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(bare(line), *expected, "{line}");
    }
    let caps = parse(&format!("--server -r{} . x", every.trim_start_matches('-'))).unwrap().capabilities;
    let all = Capabilities { pre_release: true, ..Capabilities::parse(b".iLsfxCIvuV") };
    assert_eq!(caps, Capabilities { pre_release: false, ..all });
    assert!(caps.varint_flags && caps.id0_names && caps.safe_flist && caps.checksum_seed_fix && caps.any);
    assert_eq!(parse("--server -r . x").unwrap().capabilities, Capabilities::default());
}

#[test]
fn directories_alone_and_sizes() {
    let options = bare("--server -de.LsfxCIvu --no-r --delete --max-size=10.5m --min-size=1 . .");
    assert!(options.dirs && !options.recurse && options.delete == Delete::During);
    assert_eq!((options.max_size, options.min_size), (Some(10 << 20 | 1 << 19), Some(1)));
    let sizes = [
        ("3", 3),
        ("1K", 1024),
        ("1kb", 1000),
        ("1KiB", 1024),
        ("2g-1", (2 << 30) - 1),
        ("1b", 1),
        (".5k+1", 513),
    ];
    for (text, bytes) in sizes {
        assert_eq!(bare(&format!("--server -r --max-size={text} . .")).max_size, Some(bytes), "{text}");
    }
    // CVE-2026-70456: a number that does not fit is a bad value.
    for text in
        ["99999999999999999999", "18446744073709551615K", "1X", "K", "-5", "", "1.x", "1e3", "1KB2", "0-1"]
    {
        assert_eq!(
            parse(&format!("--server -r --max-size={text} . .")).unwrap_err().exit,
            Exit::Syntax,
            "{text}"
        );
    }
    for text in
        ["--timeout=-1", "--timeout=x", "-B0x", "--checksum-seed=4294967296", "--recursive=1", "--timeout"]
    {
        assert_eq!(parse(&format!("--server -r {text}")).unwrap_err().exit, Exit::Syntax, "{text}");
    }
}

#[test]
fn what_we_do_not_do_is_refused_by_name() {
    for (line, name) in [
        ("--server --sender -logDtpr . src", "pull"),
        ("--server -r --write-devices . x", "--write-devices"),
        ("--server -r --copy-devices . x", "--copy-devices"),
        ("--server -r --files-from list . x", "--files-from"),
        ("--server -r --files-from=- . x", "--files-from"),
        ("--server -r --only-write-batch=x . x", "--only-write-batch"),
        ("--server -r --log-file=/etc/x . x", "--log-file"),
        ("--server --daemon --config=/x .", "--config"),
        ("--server -r --use-qsort . x", "--use-qsort"),
        ("--server -r --copy-as=root . x", "--copy-as"),
        ("--server -rL . x", "--copy-links"),
        ("--server -rk . x", "--copy-dirlinks"),
        ("--server -r --insecure-links . x", "--insecure-links"),
        ("--server -rY . x", "-Y"),
        ("--server -r --no-such . x", "--no-such"),
        ("--server -r --no-timeout . x", "--no-timeout"),
        ("--server -r . one two", "2 destinations"),
        ("--server -r . a/../b", "'..'"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit, Exit::Unsupported, "{line}");
        assert!(error.en.contains(name), "{line}: {}", error.en);
    }
    for line in ["", "-r . x", "--server -r x", "--server --delete . x", "--server -t --delete-excluded . x"]
    {
        assert_eq!(parse(line).unwrap_err().exit, Exit::Syntax, "{line}");
    }
}

#[test]
fn destinations_are_taken_as_they_are() {
    for (line, destination) in [
        ("--server -r .", None),
        ("--server -r . ''", None),
        ("--server -r . .", Some(&b"."[..])),
        ("--server -r . dir\\ with\\ space", Some(b"dir with space")),
        ("--server -r . ~/x", Some(b"~/x")),
        ("--server -r . -n", Some(b"-n")),
        ("--server -r . a..b/...", Some(b"a..b/...")),
    ] {
        assert_eq!(parse(line).unwrap().destination.as_deref(), destination, "{line}");
    }
}

#[test]
fn a_secluded_list_goes_on_where_the_command_ended() {
    let options = parse("--server -slogDtpre.iLsfxCIvu").unwrap();
    assert!(options.secluded);
    let mut wire = &b"rsync\0--delete\0.\0con espacio\0\0rest"[..];
    let rest = read_words(&mut wire, 0, &Limits::default()).unwrap();
    let options = options.parse_secluded(&rest, &Limits::default()).unwrap();
    assert!(!options.secluded && options.recurse && options.delete == Delete::During);
    assert_eq!(options.destination.as_deref(), Some(&b"con espacio"[..]));
    assert_eq!(wire, b"rest");
}

#[test]
fn daemon_mode_and_names_used_are_told() {
    assert!(parse("--server --daemon .").unwrap().daemon);
    let used = parse("--server -rz --delete --delete --no-links --bwlimit=3 . x").unwrap().used;
    assert_eq!(used, ["server", "recursive", "compress", "delete", "bwlimit"]);
}

#[test]
fn words_are_lexed_as_a_shell_would_without_expanding() {
    let cases: &[(&str, &[&str])] = &[
        ("a  b\tc", &["a", "b", "c"]),
        (r"a\ b \'c\' \\", &["a b", "'c'", "\\"]),
        (r#"'a b'"c d"e"#, &["a bc de"]),
        (r#""a\"b\$c\d" '' """#, &["a\"b$c\\d", "", ""]),
        ("$HOME ~ * `x` a\\", &["$HOME", "~", "*", "`x`", "a\\"]),
    ];
    for (line, expected) in cases {
        let got = words(line);
        assert_eq!(
            got.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            expected.iter().map(|w| w.as_bytes()).collect::<Vec<_>>(),
            "{line}"
        );
    }
    for line in ["'a", "\"a", "a\0b"] {
        assert!(lex(line.as_bytes(), &Limits::default()).is_err(), "{line:?}");
    }
    assert_eq!(unescape(br"a\ b\\c\"), br"a b\c\");
}

/// CVE-2026-70456: 100 words pass, 101 and 1000 do not; nor does one of 4097 bytes.
#[test]
fn words_are_bounded() {
    let limits = Limits::default();
    for (count, fits) in [(100, true), (101, false), (1000, false)] {
        let line = "--server ".to_owned() + &"-r ".repeat(count - 1);
        assert_eq!(lex(line.as_bytes(), &limits).is_ok(), fits, "{count}");
        let list = vec![b"--server".to_vec(); count];
        assert_eq!(Options::parse(&list, &limits).is_ok(), fits, "{count}");
        let wire = "r\0".repeat(count) + "\0";
        assert_eq!(read_words(&mut wire.as_bytes(), 0, &limits).is_ok(), fits, "{count}");
    }
    for (length, fits) in [(4096, true), (4097, false)] {
        let word = "x".repeat(length);
        assert_eq!(lex(word.as_bytes(), &limits).is_ok(), fits, "{length}");
        assert_eq!(lex(format!("'{word}'").as_bytes(), &limits).is_ok(), fits, "{length}");
        assert_eq!(
            read_words(&mut format!("{word}\n\n").as_bytes(), b'\n', &limits).is_ok(),
            fits,
            "{length}"
        );
    }
}

#[test]
fn a_refusal_shows_no_control_characters() {
    let error =
        Options::parse(&[b"--server".to_vec(), b"--a\x1b[2J\nb".to_vec()], &Limits::default()).unwrap_err();
    assert!(!error.es.chars().any(char::is_control), "{}", error.es);
}

#[test]
fn every_option_has_one_row() {
    for row in table::TABLE {
        assert!(std::ptr::eq(table::long(row.long.as_bytes()).unwrap(), row), "{}", row.long);
        if let Some(letter) = row.short {
            assert!(std::ptr::eq(table::short(letter).unwrap(), row), "{}", row.long);
        }
    }
}

proptest! {
    #[test]
    fn quoting_comes_back(list in proptest::collection::vec("[ -~\\n]{0,9}", 0..6)) {
        let single: Vec<String> = list.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        let escaped: Vec<String> = list.iter().map(|word| if word.is_empty() { "''".into() } else { word.chars().flat_map(|c| ['\\', c]).collect() }).collect();
        for line in [single.join(" "), escaped.join("\t")] {
            let expected: Vec<Vec<u8>> = list.iter().map(|word| word.clone().into()).collect();
            prop_assert_eq!(words(&line), expected);
        }
    }

    #[test]
    fn no_words_panic(list in proptest::collection::vec("(--?)?[a-zA-Z0-9@=.,%-]{0,9}", 0..9)) {
        let list: Vec<Vec<u8>> = std::iter::once("--server".to_owned()).chain(list).map(String::into_bytes).collect();
        if let Ok(options) = Options::parse(&list, &Limits::default()) {
            let _ = options.parse_secluded(&list, &Limits::default());
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let limits = Limits::default();
        let _ = read_words(&mut &bytes[..], 0, &limits);
        let escaped = unescape(&bytes);
        prop_assert!(escaped.len() <= bytes.len());
        if let Ok(list) = lex(&bytes, &limits) {
            let _ = Options::parse(&list, &limits);
        }
    }
}
