//! Every option of rsync(1) from 2.6.9 to 3.5.0 and of openrsync, and what a receiver that
//! publishes whole trees makes of it.

use super::{Capabilities, Delete, Options};

/// What an option does here.
#[derive(Clone, Copy)]
pub(super) enum Effect {
    /// Turned on, or off by `--no-…`.
    Flag(fn(&mut Options, bool)),
    /// Takes a value; `None` is one that makes no sense.
    Value(fn(&mut Options, &[u8]) -> Option<()>),
    /// Accepted, without effect on what is published.
    Ignored,
    /// The same, with a value.
    IgnoredValue,
    /// Refused by name.
    Refused,
    /// The same, with a value.
    RefusedValue,
}

impl Effect {
    pub(super) fn takes_value(self) -> bool {
        matches!(self, Self::Value(_) | Self::IgnoredValue | Self::RefusedValue)
    }

    /// Whether `--no-…` makes sense; a value is given up by it only where it has no effect.
    pub(super) fn negates(self) -> bool {
        !matches!(self, Self::Value(_))
    }
}

/// One option.
pub(super) struct Row {
    pub(super) long: &'static str,
    pub(super) short: Option<u8>,
    pub(super) effect: Effect,
}

const fn row(long: &'static str, short: Option<u8>, effect: Effect) -> Row {
    Row { long, short, effect }
}

const fn flag(long: &'static str, short: u8, set: fn(&mut Options, bool)) -> Row {
    row(long, Some(short), Effect::Flag(set))
}

const fn word(long: &'static str, set: fn(&mut Options, bool)) -> Row {
    row(long, None, Effect::Flag(set))
}

const fn value(long: &'static str, set: fn(&mut Options, &[u8]) -> Option<()>) -> Row {
    row(long, None, Effect::Value(set))
}

const fn ignored(long: &'static str) -> Row {
    row(long, None, Effect::Ignored)
}

const fn ignored_value(long: &'static str) -> Row {
    row(long, None, Effect::IgnoredValue)
}

const fn refused(long: &'static str) -> Row {
    row(long, None, Effect::Refused)
}

const fn refused_value(long: &'static str) -> Row {
    row(long, None, Effect::RefusedValue)
}

/// The option of a letter.
pub(super) fn short(letter: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.short == Some(letter))
}

/// The option of a name without dashes.
pub(super) fn long(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.long.as_bytes() == name)
}

pub(super) static TABLE: &[Row] = &[
    // How the command is meant.
    word("server", |_, _| {}),
    word("daemon", |o, on| o.daemon = on),
    refused("sender"),
    row(
        "rsh",
        Some(b'e'),
        Effect::Value(|o, v| {
            o.capabilities = Capabilities::parse(v);
            Some(())
        }),
    ),
    flag("secluded-args", b's', |o, on| o.secluded = on),
    word("protect-args", |o, on| o.secluded = on),
    // What is sent.
    flag("archive", b'a', archive),
    flag("recursive", b'r', |o, on| o.recurse = on),
    flag("dirs", b'd', |o, on| o.dirs = on),
    word("old-dirs", |o, on| o.dirs = on),
    word("old-d", |o, on| o.dirs = on),
    flag("links", b'l', |o, on| o.links = on),
    word("safe-links", |o, on| o.safe_links = on),
    flag("perms", b'p', |o, on| o.perms = on),
    flag("executability", b'E', |o, on| o.executability = on),
    flag("times", b't', |o, on| o.times = on),
    flag("atimes", b'U', |o, on| o.atimes = on),
    flag("crtimes", b'N', |o, on| o.crtimes = on),
    flag("omit-dir-times", b'O', |o, on| o.omit_dir_times = on),
    flag("omit-link-times", b'J', |o, on| o.omit_link_times = on),
    flag("owner", b'o', |o, on| o.owner = on),
    flag("group", b'g', |o, on| o.group = on),
    row("D", Some(b'D'), Effect::Flag(|o, on| (o.devices, o.specials) = (on, on))),
    word("devices", |o, on| o.devices = on),
    word("specials", |o, on| o.specials = on),
    flag("acls", b'A', |o, on| o.acls = on),
    flag("xattrs", b'X', |o, on| o.xattrs = on),
    flag("hard-links", b'H', |o, on| o.hard_links = on),
    word("numeric-ids", |o, on| o.numeric_ids = on),
    flag("relative", b'R', |o, on| o.relative = on),
    word("implied-dirs", |o, on| o.implied_dirs = on),
    word("i-d", |o, on| o.implied_dirs = on),
    value("iconv", |o, v| {
        o.iconv = (v != b"-" && !v.is_empty()).then(|| v.to_vec());
        Some(())
    }),
    // What is left alone.
    flag("checksum", b'c', |o, on| o.checksum = on),
    flag("ignore-times", b'I', |o, on| o.ignore_times = on),
    word("size-only", |o, on| o.size_only = on),
    flag("update", b'u', |o, on| o.update = on),
    word("existing", |o, on| o.existing = on),
    word("ignore-non-existing", |o, on| o.existing = on),
    word("ignore-existing", |o, on| o.ignore_existing = on),
    value("min-size", |o, v| size(v).map(|n| o.min_size = Some(n))),
    value("max-size", |o, v| size(v).map(|n| o.max_size = Some(n))),
    row(
        "modify-window",
        Some(b'@'),
        Effect::Value(|o, v| number(v).map(|n: i32| o.modify_window = i64::from(n))),
    ),
    flag("dry-run", b'n', |o, on| o.dry_run = on),
    flag("prune-empty-dirs", b'm', |o, on| o.prune_empty_dirs = on),
    // What is deleted.
    word("delete", |o, on| o.delete = if on { delete_or(o, Delete::During) } else { Delete::No }),
    word("del", |o, on| o.delete = if on { Delete::During } else { Delete::No }),
    word("delete-before", |o, on| o.delete = if on { Delete::Before } else { Delete::No }),
    word("delete-during", |o, on| o.delete = if on { Delete::During } else { Delete::No }),
    word("delete-delay", |o, on| o.delete = if on { Delete::Delay } else { Delete::No }),
    word("delete-after", |o, on| o.delete = if on { Delete::After } else { Delete::No }),
    word("delete-excluded", |o, on| o.delete_excluded = on),
    word("delete-missing-args", |o, on| o.delete_missing_args = on),
    value("max-delete", |o, v| number(v).map(|n: i64| o.max_delete = Some(u64::try_from(n).unwrap_or(0)))),
    word("force", |o, on| o.force = on),
    word("force-delete", |o, on| o.force = on),
    word("ignore-errors", |o, on| o.ignore_errors = on),
    word("remove-source-files", |o, on| o.remove_source_files = on),
    word("remove-sent-files", |o, on| (o.remove_source_files, o.remove_sent_only) = (on, on)),
    // How files travel.
    flag("whole-file", b'W', |o, on| o.whole_file = Some(on)),
    row(
        "block-size",
        Some(b'B'),
        Effect::Value(|o, v| {
            o.block_size = Some(u32::try_from(size(v)?).ok()?).filter(|n| *n > 0);
            Some(())
        }),
    ),
    word("partial", |o, on| o.partial = on),
    value("partial-dir", |o, _| {
        (o.partial, o.partial_dir) = (true, true);
        o.ignored.push("partial-dir".to_owned());
        Some(())
    }),
    word("append", |o, on| o.append = on),
    word("append-verify", |o, on| o.append = on),
    word("inplace", |o, on| o.inplace = on),
    flag("fuzzy", b'y', |o, on| o.fuzzy = on),
    word("mkpath", |o, on| o.mkpath = on),
    flag("compress", b'z', |o, on| o.compress = on),
    word("new-compress", |o, on| choose_compression(o, on.then_some(b"zlibx"))),
    word("old-compress", |o, on| choose_compression(o, on.then_some(b"zlib"))),
    value("compress-choice", |o, v| {
        choose_compression(o, Some(v));
        Some(())
    }),
    value("zc", |o, v| {
        choose_compression(o, Some(v));
        Some(())
    }),
    value("compress-level", |o, v| number(v).map(|n| o.compress_level = Some(n))),
    value("zl", |o, v| number(v).map(|n| o.compress_level = Some(n))),
    value("checksum-choice", checksum_choice),
    value("cc", checksum_choice),
    value("checksum-seed", |o, v| number(v).map(|n: i32| o.checksum_seed = Some(n).filter(|n| *n != 0))),
    value("timeout", |o, v| number(v).map(|n| o.timeout = n)),
    // What is told.
    flag("verbose", b'v', |o, on| o.verbose = if on { o.verbose.saturating_add(1) } else { 0 }),
    flag("quiet", b'q', |o, on| o.quiet = on),
    flag("itemize-changes", b'i', |o, on| o.itemize = on),
    value("log-format", log_format),
    value("out-format", log_format),
    word("stats", |o, on| o.stats = on),
    word("progress", |o, on| o.progress = on),
    // Accepted: a published tree has its own modes, owners, times and history.
    ignored("super"),
    ignored("fake-super"),
    row("sparse", Some(b'S'), Effect::Ignored),
    ignored("preallocate"),
    row("one-file-system", Some(b'x'), Effect::Ignored),
    row("keep-dirlinks", Some(b'K'), Effect::Ignored),
    ignored("copy-unsafe-links"),
    ignored("munge-links"),
    ignored("drop-D"),
    row("backup", Some(b'b'), Effect::Ignored),
    ignored_value("backup-dir"),
    ignored_value("suffix"),
    ignored("delay-updates"),
    row("temp-dir", Some(b'T'), Effect::IgnoredValue),
    ignored_value("compare-dest"),
    ignored_value("copy-dest"),
    ignored_value("link-dest"),
    ignored("fsync"),
    ignored("open-noatime"),
    ignored_value("usermap"),
    ignored_value("groupmap"),
    ignored_value("chown"),
    ignored_value("chmod"),
    ignored("ignore-missing-args"),
    row("cvs-exclude", Some(b'C'), Effect::Ignored),
    ignored("inc-recursive"),
    ignored("inc-recurse"),
    ignored("i-r"),
    ignored("trust-sender"),
    ignored("old-args"),
    row("from0", Some(b'0'), Effect::Ignored),
    ignored_value("bwlimit"),
    ignored_value("max-alloc"),
    ignored_value("compress-threads"),
    ignored_value("skip-compress"),
    ignored_value("contimeout"),
    ignored_value("protocol"),
    ignored("msgs2stderr"),
    ignored_value("stderr"),
    ignored_value("outbuf"),
    value("info", info),
    ignored_value("debug"),
    row("human-readable", Some(b'h'), Effect::Ignored),
    row("8-bit-output", Some(b'8'), Effect::Ignored),
    ignored("blocking-io"),
    row("ipv4", Some(b'4'), Effect::Ignored),
    row("ipv6", Some(b'6'), Effect::Ignored),
    ignored("motd"),
    ignored_value("stop-after"),
    ignored_value("time-limit"),
    ignored_value("stop-at"),
    // Refused: they name files or devices of this machine, or turn the direction around.
    row("copy-links", Some(b'L'), Effect::Refused),
    row("copy-dirlinks", Some(b'k'), Effect::Refused),
    refused("list-only"),
    refused("copy-devices"),
    refused("write-devices"),
    refused("insecure-links"),
    refused_value("confine-root"),
    refused("use-qsort"),
    refused_value("copy-as"),
    refused_value("files-from"),
    row("filter", Some(b'f'), Effect::RefusedValue),
    row("remote-option", Some(b'M'), Effect::RefusedValue),
    refused_value("exclude"),
    refused_value("exclude-from"),
    refused_value("include"),
    refused_value("include-from"),
    refused_value("write-batch"),
    refused_value("only-write-batch"),
    refused_value("read-batch"),
    refused_value("log-file"),
    refused_value("log-file-format"),
    refused_value("config"),
    refused_value("dparam"),
    refused("detach"),
    refused_value("address"),
    refused_value("port"),
    refused_value("sockopts"),
    refused_value("password-file"),
    refused_value("early-input"),
    refused_value("rsync-path"),
];

fn archive(options: &mut Options, on: bool) {
    let o = options;
    (o.recurse, o.links, o.perms, o.times) = (on, on, on, on);
    (o.owner, o.group, o.devices, o.specials) = (on, on, on, on);
}

/// `--delete` beside a timing says nothing new.
fn delete_or(options: &Options, bare: Delete) -> Delete {
    if options.delete == Delete::No { bare } else { options.delete }
}

fn choose_compression(options: &mut Options, name: Option<&[u8]>) {
    options.compress = name.is_some_and(|name| name != b"none");
    options.compress_choice = name.filter(|name| *name != b"auto").map(<[u8]>::to_vec);
    if name == Some(b"auto") {
        options.compress = true;
    }
}

fn checksum_choice(options: &mut Options, name: &[u8]) -> Option<()> {
    options.checksum_choice = (name != b"auto" && !name.is_empty()).then(|| name.to_vec());
    Some(())
}

/// Words with a level behind them; the two that a receiver has lines for.
fn info(options: &mut Options, words: &[u8]) -> Option<()> {
    for word in words.to_ascii_lowercase().split(|byte| *byte == b',') {
        let name = word.iter().position(u8::is_ascii_digit).map_or(word, |at| word.get(..at).unwrap_or(word));
        let level = match word.get(name.len()..) {
            None | Some([]) => 1,
            Some(digits) => number(digits)?,
        };
        match name {
            b"name" => options.info_name = level,
            b"skip" => options.info_skip = level,
            b"all" => (options.info_name, options.info_skip) = (level, level),
            b"none" => (options.info_name, options.info_skip) = (0, 0),
            _ => {}
        }
    }
    Some(())
}

fn log_format(options: &mut Options, format: &[u8]) -> Option<()> {
    options.itemize |= format.windows(2).any(|pair| pair == b"%i");
    options.log_format = Some(format.to_vec());
    Some(())
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A size of rsync(1): digits, perhaps a fraction, a unit (`K`, `KiB`: 1024; `KB`: 1000) and
/// `+1` or `-1`.
fn size(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (text, shift) = match text.strip_suffix("+1") {
        Some(text) => (text, 1),
        None => text.strip_suffix("-1").map_or((text, 0), |text| (text, -1)),
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = unit(text.get(digits.len()..)?)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    let bytes = u64::checked_mul(whole, factor)?.checked_add(part(fraction, factor)?)?;
    bytes.checked_add_signed(shift)
}

/// The fraction of a unit, in bytes; more than nine digits tell nothing.
fn part(fraction: &str, factor: u64) -> Option<u64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let digits: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(fraction.len() as u32);
    u64::try_from(u128::from(digits) * u128::from(factor) / scale).ok()
}

fn unit(text: &str) -> Option<u64> {
    let mut letters = text.bytes().map(|letter| letter.to_ascii_lowercase());
    let power = match letters.next() {
        None | Some(b'b') => return letters.next().is_none().then_some(1),
        Some(letter) => b"kmgtp".iter().position(|known| *known == letter)? as u32 + 1,
    };
    let base: u64 = match (letters.next(), letters.next(), letters.next()) {
        (None, ..) | (Some(b'i'), Some(b'b'), None) => 1024,
        (Some(b'b'), None, None) => 1000,
        _ => return None,
    };
    base.checked_pow(power)
}
