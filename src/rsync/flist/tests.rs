use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::writer::Item;
use super::*;
use crate::rsync::filter::Rules;
use crate::rsync::mux::Input;
use crate::rsync::options;
use crate::rsync::wire::{put_int, put_varint, put_varlong};

fn shape(protocol: u8) -> Shape {
    let modern = protocol >= 31;
    Shape { protocol, varint_flags: modern, safe_flist: modern, id0_names: modern, sum_len: 16 }
}

fn wire(items: &[Item], options: &Options, protocol: u8) -> Vec<u8> {
    writer::wire(items, options, &shape(protocol))
}

fn read(items: &[Item], options: &Options, protocol: u8) -> Result<FileList, Error> {
    let bytes = wire(items, options, protocol);
    let mut input = &bytes[..];
    let list = FileList::read(&mut input, options, &shape(protocol), &Limits::default())?;
    assert!(input.is_empty(), "{} bytes left", input.len());
    Ok(list)
}

fn options() -> Options {
    Options { recurse: true, links: true, implied_dirs: true, ..Options::default() }
}

fn names(list: &FileList) -> Vec<String> {
    list.iter().map(|(_, entry)| String::from_utf8_lossy(&entry.name()).into_owned()).collect()
}

/// The head of a recorded client's bytes, then its list. The file beside it is what the
/// client itself says its list is (`--debug=flist3`): index, mode, name.
fn replay(args: &[u8], bytes: &[u8]) -> Result<FileList, Error> {
    let limits = Limits::default();
    let words: Vec<Vec<u8>> = args.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let mut options = Options::parse(&words, &limits)?;
    let mut input = Input::new(bytes);
    if options.secluded {
        let rest = options::read_words(&mut input, 0, &limits)?;
        options = options.parse_secluded(&rest, &limits)?;
    }
    let protocol = input.int()?.min(32) as u8;
    let caps = options.capabilities;
    let varint_flags = caps.varint_flags && protocol >= 30;
    if varint_flags {
        input.vstring(256)?;
    }
    if protocol >= 30 {
        input.demultiplex(protocol);
    }
    if Rules::expected(&options, protocol) {
        Rules::read(&mut input, &options, protocol, &limits)?;
    }
    let (safe_flist, id0_names) = (caps.safe_flist, caps.id0_names && protocol >= 30);
    let shape = Shape { protocol, varint_flags, safe_flist, id0_names, sum_len: 16 };
    let list = FileList::read(&mut input, &options, &shape, &limits)?;
    assert_eq!(input.some(&mut [0; 9])?, 0, "bytes left");
    Ok(list)
}

macro_rules! recorded {
    ($($name:literal),* $(,)?) => { [$((
        $name,
        include_bytes!(concat!("../../../tests/data/rsync/codec-", $name, "/args")),
        include_bytes!(concat!("../../../tests/data/rsync/codec-", $name, "/in")),
        include_str!(concat!("../../../tests/data/rsync/codec-", $name, "/list")),
    )),*] };
}

const RECORDED: [(&str, &[u8], &[u8], &str); 10] = recorded![
    "350-p32-checksums",
    "350-p32-iconv",
    "341-p31-relative",
    "327-p31-secluded",
    "323-p30-atimes",
    "350-p29-twice",
    "350-p29-unlisted",
    "323-p28-checksums",
    "350-p27-links",
    "openrsync-p27",
];

#[test]
fn lists_of_stock_clients_have_the_index_that_the_client_has() {
    for (case, args, bytes, told) in RECORDED {
        let list = replay(args, bytes).unwrap();
        let mut told_count = 0;
        for line in told.lines() {
            let [ndx, mode, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let name = name.strip_prefix('.').unwrap_or(name);
            let name: Vec<u8> = (0..name.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&name[at..at + 2], 16).unwrap())
                .collect();
            let entry = list.get(ndx.parse().unwrap()).unwrap();
            assert_eq!(*entry.name(), name, "{case} {ndx}");
            assert!(mode == "-" || mode == format!("{:o}", entry.mode()), "{case} {ndx} {mode}");
            told_count += 1;
        }
        assert_eq!(list.iter().count(), told_count, "{case}");
    }
}

#[test]
fn a_recorded_list_cut_anywhere_is_an_error() {
    for (case, args, bytes, _) in RECORDED {
        for cut in 0..bytes.len() {
            assert!(replay(args, &bytes[..cut]).is_err(), "{case} cut at {cut}");
        }
    }
}

#[test]
fn attributes_of_a_recorded_list() {
    let (_, args, bytes, _) = RECORDED[0];
    let list = replay(args, bytes).unwrap();
    let get = |name: &str| list.get(list.find(name.as_bytes()).unwrap()).unwrap();
    assert_eq!(get("a/z.html").mtime(), Time { secs: 1_700_000_001, nanos: 1 });
    assert_eq!(get("grande.bin").size(), 70_000);
    assert_eq!(get("l3").kind(), EntryKind::Link(b"/etc/passwd"));
    assert_eq!(get("fifo").kind(), EntryKind::Special);
    assert_eq!(get("nul").kind(), EntryKind::Device);
    assert!(get("").top_dir() && !get("a").top_dir());
    // md5 of the empty file.
    assert_eq!(get("con espacio.html").sum().unwrap()[..4], [0xd4, 0x1d, 0x8c, 0xd9]);
    assert_eq!(get("h1").sum(), get("zz-h3").sum());
    let leader = list.find(b"h1");
    assert!(leader.is_some());
    for name in ["h1", "zz-h3", "a/h2"] {
        assert_eq!(get(name).leader(), leader, "{name}");
    }
    assert_eq!(get("foo.txt").leader(), None);
}

#[test]
fn duplicates_keep_their_place_and_the_directory_wins() {
    let items = [
        Item::file("x"),
        Item::dir("d"),
        Item::file("d"),
        Item::file("x"),
        Item::file("d/f"),
        Item::dir("d"),
    ];
    for protocol in 27..=32 {
        let list = read(&items, &options(), protocol).unwrap();
        assert_eq!(list.len(), 6);
        let live: Vec<_> = list.iter().map(|(_, entry)| entry.name().into_owned()).collect();
        let expected: &[&[u8]] = if protocol < 29 { &[b"d", b"d/f", b"x"] } else { &[b"x", b"d", b"d/f"] };
        assert_eq!(live, expected, "{protocol}");
        assert!(matches!(list.get(list.find(b"d").unwrap()).unwrap().kind(), EntryKind::Dir { .. }));
        assert_eq!((0..6).filter(|ndx| list.get(*ndx).is_some()).count(), 3);
    }
}

/// CVE-2024-12087: what is below a link never passes the list.
#[test]
fn nothing_hangs_below_what_is_not_a_listed_directory() {
    for protocol in 27..=32 {
        let astray = [Item::link("d", "/etc"), Item::file("d/x")];
        assert!(read(&astray, &options(), protocol).is_err(), "{protocol}");
        assert!(read(&[Item::file("d/x")], &options(), protocol).is_err(), "{protocol}");
        assert!(read(&[Item::dir("a/b"), Item::file("a/b/c")], &options(), protocol).is_err(), "{protocol}");
        let relative = Options { relative: true, ..options() };
        assert!(read(&astray, &relative, protocol).is_err(), "{protocol}");
        let deep = [Item::link("d", "/etc"), Item::file("d/e/x")];
        assert!(read(&deep, &relative, protocol).is_err(), "{protocol}");
        assert_eq!(read(&[Item::file("d/e/x")], &relative, protocol).is_ok(), protocol < 30);
    }
}

/// CVE-2022-29154, CVE-2026-70459.
#[test]
fn names_that_lead_out_break_the_protocol() {
    for name in ["..", "../x", "a/../x", "/x", "x/..", "", "x\0y"] {
        let list = read(
            &[Item::dir("a"), Item::dir("x"), Item { name: name.into(), ..Item::file("") }],
            &options(),
            31,
        );
        assert!(list.is_err(), "{name:?}");
    }
    for name in [".", "./", "a/.", "a/"] {
        assert!(read(&[Item::dir("a"), Item::file(name)], &options(), 31).is_err(), "{name:?}");
    }
    let relative = Options { relative: true, ..options() };
    let list = read(&[Item::dir("/a"), Item::file("/a/b"), Item::file("c")], &relative, 31).unwrap();
    assert_eq!(names(&list), ["c", "a", "a/b"]);
    assert_eq!(list.find(b"a/b"), Some(2));
    assert!(read(&[Item::file("/..")], &relative, 31).is_err());
}

#[test]
fn names_are_cleaned_as_clients_clean_them() {
    let items =
        [Item::dir("./a"), Item::file("a//b"), Item::file("a//c"), Item::dir("a/d/."), Item::file("a/d/./e")];
    let list = read(&items, &options(), 31).unwrap();
    assert_eq!(names(&list), ["a", "a/b", "a/c", "a/d", "a/d/e"]);
}

/// CVE-2026-70458.
#[test]
fn hard_links_point_at_leaders_that_came_before() {
    let linked = Options { hard_links: true, ..options() };
    let pair = [Item { inode: 4, ..Item::file("b") }, Item { inode: 4, ..Item::file("a") }];
    let list = read(&pair, &linked, 31).unwrap();
    assert_eq!(list.get(1).unwrap().leader(), Some(0));
    let bytes = wire(&pair, &linked, 31);
    assert!(FileList::read(&mut &bytes[..], &options(), &shape(31), &Limits::default()).is_err());
    for index in [-1, 0, 1, 2, i32::MAX] {
        let mut out = wire(&[Item::file("x")], &linked, 31);
        out.truncate(out.len() - 2);
        put_varint(&mut out, 1 << 9);
        out.extend_from_slice(b"\x01b");
        put_varint(&mut out, index);
        out.extend_from_slice(&[0, 0]);
        assert!(FileList::read(&mut &out[..], &linked, &shape(31), &Limits::default()).is_err(), "{index}");
    }
    let links =
        [Item { inode: 4, ..Item::link("b", "there") }, Item { inode: 4, ..Item::link("a", "there") }];
    for protocol in 28..=32 {
        let list = read(&links, &linked, protocol).unwrap();
        assert!(
            list.iter()
                .all(|(_, entry)| entry.kind() == EntryKind::Link(b"there") && entry.leader() == Some(0))
        );
    }
    let dirs = [Item { inode: 4, ..Item::dir("b") }];
    assert!(read(&dirs, &linked, 31).is_err());
}

#[test]
fn an_entry_takes_32_bytes() {
    assert_eq!(size_of::<Raw>(), 32);
}

#[test]
fn every_count_and_length_is_bounded() {
    let small = Limits { entries: 2, ..Limits::default() };
    let bytes = wire(&[Item::file("a"), Item::file("b"), Item::file("c")], &options(), 31);
    let error = FileList::read(&mut &bytes[..], &options(), &shape(31), &small).unwrap_err();
    assert_eq!(error.exit, crate::rsync::error::Exit::Memory);

    let tight = Limits { list_bytes: 4096, ..Limits::default() };
    let items: Vec<Item> = (0..100).map(|n| Item::file(&format!("{n:0100}"))).collect();
    let bytes = wire(&items, &options(), 31);
    assert!(FileList::read(&mut &bytes[..], &options(), &shape(31), &tight).is_err());

    assert!(read(&[Item::file(&"x".repeat(4095))], &options(), 31).is_ok());
    assert!(read(&[Item::file(&"x".repeat(4096))], &options(), 31).is_err());
    assert!(read(&[Item::link("l", &"x".repeat(4095))], &options(), 31).is_ok());
    assert!(read(&[Item::link("l", &"x".repeat(4096))], &options(), 31).is_err());
    for size in [-1, i64::MIN, i64::MAX, 1 << 48] {
        assert!(read(&[Item { size, ..Item::file("x") }], &options(), 31).is_err(), "{size}");
    }
    let list = read(&[Item { size: (1 << 48) - 2, ..Item::file("x") }], &options(), 31).unwrap();
    assert_eq!(list.bytes(), (1 << 48) - 2);
    assert!(read(&[Item { nanos: 1_000_000_000, ..Item::file("x") }], &options(), 31).is_err());
    for mode in [0, 0o644, 0o070_000, 0o150_000] {
        assert!(read(&[Item { mode, ..Item::file("x") }], &options(), 31).is_err(), "{mode:o}");
    }
    let missing = Options { delete_missing_args: true, ..options() };
    let list = read(&[Item { mode: 0, top: true, ..Item::file("gone/x") }], &missing, 31).unwrap();
    assert_eq!(list.get(0).unwrap().kind(), EntryKind::Missing);
}

#[test]
fn an_end_with_an_error_must_have_been_agreed() {
    let bytes: &[u8] = &[0x04, 0x10, 3];
    let mut shape = Shape { protocol: 30, ..Shape::default() };
    assert!(FileList::read(&mut &bytes[..], &options(), &shape, &Limits::default()).is_err());
    shape.safe_flist = true;
    let list = FileList::read(&mut &bytes[..], &options(), &shape, &Limits::default()).unwrap();
    assert_eq!((list.io_error(), list.len()), (3, 0));
}

#[test]
fn content_below_30_follows_the_directories_of_the_command_line() {
    let items = [
        Item { top: true, ..Item::dir("a") },
        Item::dir("a/b"),
        Item::dir("c"),
        Item { top: true, ..Item::dir("d") },
    ];
    let relative = Options { relative: true, ..options() };
    for (options, expected) in [(options(), [true; 4]), (relative, [true, true, false, true])] {
        let list = read(&items, &options, 29).unwrap();
        let content = list.iter().map(|(_, entry)| entry.kind() == EntryKind::Dir { content: true });
        assert_eq!(content.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn acls_attributes_and_births_are_passed_over() {
    let all =
        Options { acls: true, xattrs: true, crtimes: true, atimes: true, numeric_ids: true, ..options() };
    let mut out = Vec::new();
    put_varint(&mut out, (1 << 6) | (1 << 10));
    out.extend_from_slice(b"\x01d\0\0\0"); // name, length
    put_varlong(&mut out, 9, 4); // time of change, then of birth
    put_varlong(&mut out, 8, 4);
    put_int(&mut out, 0o040_755);
    out.extend_from_slice(&[0, 1 | 2 | 4 | 8 | 16, 7, 5, 7, 5, 2]); // an ACL with two names
    out.extend_from_slice(&[9, 0x06, 10, 0x07, 3, b'a', b'n', b'a']);
    out.push(1); // the default ACL: known
    out.extend_from_slice(&[0, 2, 3, 2, b'u', b'.', b'a', b'1', b'2', 1, 33, b'z']); // two attributes
    out.extend_from_slice(&[0; 16]);
    put_varint(&mut out, (1 << 17) | (1 << 6) | 2);
    out.extend_from_slice(b"\x02d2\0\0\0");
    put_varlong(&mut out, 9, 4);
    out.extend_from_slice(&[1, 1, 1, 0, 0]);
    let mut input = &out[..];
    let list = FileList::read(&mut input, &all, &shape(31), &Limits::default()).unwrap();
    assert!(input.is_empty());
    assert_eq!(names(&list), ["d", "d2"]);
}

/// Order by the manual's words, as slowly as it may be.
fn compare(a: &(Vec<u8>, bool), b: &(Vec<u8>, bool), protocol: u8) -> Ordering {
    if protocol < 29 {
        return a.0.cmp(&b.0);
    }
    let (mut left, mut right) = (a.0.split(|c| *c == b'/').peekable(), b.0.split(|c| *c == b'/').peekable());
    loop {
        let (Some(x), Some(y)) = (left.next(), right.next()) else { return a.0.len().cmp(&b.0.len()) };
        let dirs = (left.peek().is_some() || a.1, right.peek().is_some() || b.1);
        let (x, y) =
            ([x, if dirs.0 { b"/" } else { b"" }].concat(), [y, if dirs.1 { b"/" } else { b"" }].concat());
        let order = dirs.0.cmp(&dirs.1).then(x.cmp(&y));
        if order.is_ne() {
            return order;
        }
    }
}

fn trees() -> impl Strategy<Value = Vec<Item>> {
    let component = proptest::sample::select(vec!["a", "a.b", "a-", "ab", "b", "B", "é", "a b"]);
    let path = proptest::collection::vec(component, 1..5);
    let attributes = (0..3i64, 0..4i64, 0..2u32, 0..3i32, 0..3i64);
    proptest::collection::vec((path, attributes), 0..25).prop_shuffle().prop_map(|paths| {
        let mut tree: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
        for (path, (size, secs, nanos, uid, inode)) in &paths {
            for depth in 1..path.len() {
                let name = path[..depth].join("/");
                tree.insert(name.clone().into(), Item { secs: *secs, ..Item::dir(&name) });
            }
            let name = path.join("/");
            // Names of one inode have the same attributes.
            let (size, secs, uid) = if *inode == 0 { (*size, *secs, *uid) } else { (*inode, *inode, 1) };
            let item = Item {
                size,
                secs,
                nanos: *nanos * u32::from(*inode == 0),
                uid,
                inode: *inode,
                ..Item::file(&name)
            };
            tree.entry(name.into()).or_insert(item);
        }
        let mut items: Vec<Item> = tree.into_values().collect();
        items.sort_by_key(|item| (item.name.len() * 7 + item.secs as usize) % 11);
        items
    })
}

proptest! {
    #[test]
    fn every_list_comes_back_in_the_order_of_the_client(
        items in trees(), protocol in 27u8..=32, hard_links: bool, checksum: bool, owner: bool, iconv: bool,
    ) {
        let iconv = iconv.then(|| b"latin1".to_vec());
        let options = Options { hard_links, checksum, owner, iconv, ..options() };
        let list = read(&items, &options, protocol).unwrap();
        let mut expected: Vec<_> = items.iter().map(|i| (i.name.clone(), i.mode & 0o170_000 == 0o040_000)).collect();
        expected.sort_by(|a, b| compare(a, b, protocol));
        let got: Vec<_> = list.iter().map(|(_, e)| (e.name().into_owned(), matches!(e.kind(), EntryKind::Dir { .. }))).collect();
        prop_assert_eq!(&got, &expected);
        for (ndx, entry) in list.iter() {
            let arrival = items.iter().position(|item| *item.name == *entry.name()).unwrap();
            let item = &items[arrival];
            prop_assert_eq!(list.find(&item.name), Some(ndx));
            prop_assert_eq!(&list.get(ndx).unwrap().name(), &entry.name());
            prop_assert!(options.iconv.is_none() || ndx == arrival);
            prop_assert_eq!((entry.size(), entry.mtime().secs), (item.size as u64, item.secs));
            prop_assert_eq!(entry.mtime().nanos, if protocol >= 31 { item.nanos } else { 0 });
            let twins = items.iter().filter(|other| item.inode != 0 && other.inode == item.inode).count();
            prop_assert_eq!(entry.leader().is_some(), hard_links && twins > 1);
            if let Some(leader) = entry.leader() {
                let leader = list.get(leader).unwrap();
                prop_assert_eq!(leader.leader(), entry.leader());
                prop_assert_eq!(leader.sum(), entry.sum().map(|_| leader.sum().unwrap()));
            }
            let mut buffer = b"x".to_vec();
            entry.name_into(&mut buffer);
            prop_assert_eq!(&buffer[..], &*entry.name());
        }
        prop_assert_eq!(list.find(b"no such name"), None);
    }

    #[test]
    fn no_bytes_panic_or_take_memory(bytes: Vec<u8>, protocol in 27u8..=32, bits: u16) {
        let on = |bit: u16| bits & (1 << bit) != 0;
        let options = Options {
            hard_links: on(0), checksum: on(1), owner: on(2), group: on(3), devices: on(4), specials: on(5),
            acls: on(6), xattrs: on(7), relative: on(8), atimes: on(9), crtimes: on(10), links: on(11), ..options()
        };
        let shape = Shape { varint_flags: on(12) && protocol >= 30, ..shape(protocol) };
        let _ = FileList::read(&mut &bytes[..], &options, &shape, &Limits::default());
    }

    #[test]
    fn no_damaged_list_panics(items in trees(), protocol in 27u8..=32, at: proptest::sample::Index, byte: u8) {
        let options = Options { hard_links: true, checksum: true, ..options() };
        let mut bytes = wire(&items, &options, protocol);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(list) = FileList::read(&mut &bytes[..], &options, &shape(protocol), &Limits::default()) {
            for (ndx, entry) in list.iter() {
                prop_assert_eq!(list.find(&entry.name()), Some(ndx));
            }
        }
    }
}
