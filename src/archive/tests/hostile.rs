//! A hostile archive of every kind, and the one reason each is refused for.

use super::build::{
    BLOCK, Header, Item, Tar, crc, deflate, end_record, field, gzip, record, zip, zip_with, zip64, zstd,
};
use super::*;

/// What is wrong, the file name, the bytes, the verdict.
struct Case(&'static str, &'static str, Vec<u8>, Reason);

fn tar(what: &'static str, tar: Tar, reason: Reason) -> Case {
    Case(what, "p.tar.gz", tar.gz(), reason)
}

fn zipped(what: &'static str, items: &[Item], reason: Reason) -> Case {
    Case(what, "p.zip", zip(items), reason)
}

fn index() -> Item {
    Item::deflated("index.html", b"<html><base href=\"/\">")
}

fn site() -> Tar {
    Tar::site()
}

#[test]
fn each_is_refused_for_its_own_reason() {
    let mut wrong = Vec::new();
    for Case(what, name, bytes, wanted) in cases() {
        let found = reason(name, &bytes);
        if found != Some(wanted) {
            wrong.push(format!("{name}, {what}: {found:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_reason_has_a_case() {
    let cases = cases();
    for reason in ALL {
        assert!(cases.iter().any(|case| case.3 == reason) || reason == Reason::SizePackage, "{reason:?}");
    }
}

fn cases() -> Vec<Case> {
    let mut cases = names();
    cases.extend(types());
    cases.extend(limits());
    cases.extend(headers());
    cases.extend(pax());
    cases.extend(containers());
    cases.extend(zip_places());
    cases.extend(zip_words());
    cases
}

fn names() -> Vec<Case> {
    use Reason::*;
    let named = [
        ("../index.html", PathTraversal),
        ("a/../../x", PathTraversal),
        ("a/..", PathTraversal),
        ("/etc/cron.d/x", PathAbsolute),
        ("C:\\x", PathAbsolute),
        ("\\\\host\\x", PathAbsolute),
        ("a\\..\\x", PathBadChar),
        ("a\nb", PathBadChar),
        ("a\x1b[2Jb", PathBadChar),
        ("a\u{202e}lmth.x", PathBadChar),
        ("nin\u{303}o", PathNotNfc),
        (".well-known/prep/estado.json", PathDotfile),
        ("sitio/.well-known/x", PathDotfile),
    ];
    let mut cases = Vec::new();
    for (name, reason) in named {
        cases.push(tar(name, site().file(name, b"x"), reason));
        cases.push(tar(name, site().pax(&[("path", name)]).file("harmless", b"x"), reason));
        cases.push(tar(name, site().header(&Header::new(name, b'5', 0)), reason));
        cases.push(zipped(name, &[index(), Item { flags: 0x800, ..Item::stored(name, b"x") }], reason));
    }
    let latin = Header::new("pequ", b'0', 0).with(4, b"\xf1");
    let long = "d/".repeat(120) + "x";
    cases.extend([
        tar("Latin-1 in tar", site().header(&latin), PathNotUtf8),
        tar("NUL in PAX", site().pax(&[("path", "a\0b")]).file("x", b""), PathBadChar),
        zipped(
            "flag without UTF-8",
            &[index(), Item { name: b"\xf1".to_vec(), flags: 0x800, ..index() }],
            PathNotUtf8,
        ),
        zipped("NUL in zip", &[index(), Item::stored("a\0b", b"")], PathBadChar),
        tar("long component", site().pax(&[("path", &"x".repeat(256))]).file("x", b""), PathTooLong),
        tar("GNU long name too long", site().meta(b'L', &[b'x'; 2000]).file("x", b""), PathTooLong),
        tar("deep", site().pax(&[("path", &long)]).file("x", b""), PathTooDeep),
        tar("no name", site().file("", b""), PathEmpty),
        tar("the root as a file", site().file("./", b""), HeaderAmbiguous),
        tar("the root as a file, again", site().file(".", b""), PathEmpty),
        zipped("no name", &[index(), Item::stored("", b"")], PathEmpty),
        tar("twice", site().file("index.html", b"2"), DuplicateEntry),
        tar("twice with ./", site().file("./index.html", b"2"), DuplicateEntry),
        zipped("twice", &[index(), index()], DuplicateEntry),
        tar("case twins", site().file("Index.html", b"2"), NameCollision),
        tar("case twins of folders", site().file("a/x", b"").file("A/y", b""), NameCollision),
        tar("case twins beyond ASCII", site().file("ÑU", b"").file("ñu", b""), NameCollision),
        tar("a file where a folder is", site().file("a/x", b"").file("a", b""), NameCollision),
        tar("a folder where a file is", site().file("index.html/x", b""), NameCollision),
        zipped("case twins", &[index(), Item::stored("INDEX.html", b"")], NameCollision),
    ]);
    cases
}

fn types() -> Vec<Case> {
    use Reason::*;
    let mut cases = Vec::new();
    for (what, kind) in [
        ("hard link", b'1'),
        ("symbolic link", b'2'),
        ("character device", b'3'),
        ("block device", b'4'),
        ("FIFO", b'6'),
        ("contiguous", b'7'),
        ("GNU sparse", b'S'),
        ("GNU volume", b'V'),
        ("unknown", b'Z'),
    ] {
        cases.push(tar(what, site().entry("data", kind), EntryType));
    }
    let with_type = |mode| Item { mode, ..Item::stored("data", b"/etc/passwd") };
    let sparse = [("GNU.sparse.major", "1"), ("GNU.sparse.name", "data"), ("path", "GNUSparseFile.0/data")];
    cases.extend([
        tar("link with a long target", site().meta(b'K', &[b'x'; 200]).entry("data", b'2'), EntryType),
        tar("PAX sparse", site().pax(&sparse).file("x", b""), EntryType),
        zipped("symbolic link", &[index(), with_type(0o120_777)], EntryType),
        zipped("FIFO", &[index(), with_type(0o010_644)], EntryType),
    ]);
    cases
}

fn limits() -> Vec<Case> {
    use Reason::*;
    let many = (0..60_000).fold(site(), |tar, n| tar.file(&format!("f{n}"), b""));
    // Every path is new from its first component on, so that few entries make many directories.
    let implied = (0..3000).fold(site(), |tar, n| tar.file(&format!("{n}/{}x", "d/".repeat(20)), b""));
    let total = (0..5).fold(Vec::new(), |mut items, n| {
        items.push(Item { size: 250 << 20, ..Item::deflated(&format!("f{n}"), b"x") });
        items
    });
    let base256 = Header::new("big", b'0', 0).with(124, &[0x80, 0, 0, 0, 0, 0, 0, 2, 0x80, 0, 0, 0]);
    vec![
        tar("entries", many, Entries),
        tar("implied directories", implied, Entries),
        tar("10 GiB declared", site().header(&base256), SizeFile),
        tar("10 GiB declared in PAX", site().pax(&[("size", "10737418240")]).entry("big", b'0'), SizeFile),
        zipped("a large file declared", &[Item { size: 1 << 30, ..Item::deflated("big", b"x") }], SizeFile),
        zipped("large files declared", &total, SizeTotal),
        Case("entries declared", "p.zip", zip_entries(60_000), Entries),
    ]
}

fn zip_entries(count: u16) -> Vec<u8> {
    let mut bytes = zip(&[index()]);
    let at = bytes.len() - 14;
    bytes[at..at + 2].copy_from_slice(&count.to_le_bytes());
    bytes[at + 2..at + 4].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn headers() -> Vec<Case> {
    use Reason::*;
    let plain = || Header::new("data", b'0', 0);
    let mut broken = plain();
    broken.0[0] ^= 1;
    vec![
        tar("checksum", site().header(&broken), HeaderChecksum),
        tar("checksum of the first", Tar::default().header(&broken), HeaderChecksum),
        tar("size in letters", site().header(&plain().with(124, b"0000000000x\0")), HeaderBad),
        tar("size in two words", site().header(&plain().with(124, b"0000 000001\0")), HeaderBad),
        tar("no size", site().header(&plain().with(124, &[0; 12])), HeaderBad),
        tar("negative size", site().header(&plain().with(124, &[0xff; 12])), HeaderBad),
        tar("mtime in letters", site().header(&plain().with(136, b"yesterday00\0")), HeaderBad),
        tar("foreign magic", site().header(&plain().with(257, b"TARtar00")), HeaderBad),
        tar("a folder with data", site().header(&Header::new("d/", b'5', 5)).data(b"12345"), HeaderAmbiguous),
        tar("a file named as a folder", site().file("d/", b""), HeaderAmbiguous),
        tar("GNU with a prefix", site().header(&plain().gnu().with(345, b"a/b")), HeaderAmbiguous),
        tar("v7 with a prefix", site().header(&plain().v7().with(345, b"a/b")), HeaderAmbiguous),
        tar("star", site().header(&plain().with(508, b"tar\0")), HeaderAmbiguous),
        tar("bytes behind a NUL", site().header(&plain().with(5, b"x")), HeaderAmbiguous),
        tar("two long names", site().meta(b'L', b"a\0").meta(b'L', b"b\0").file("x", b""), HeaderAmbiguous),
        tar(
            "bytes behind the NUL of a long name",
            site().meta(b'L', b"a\0b\0").file("x", b""),
            HeaderAmbiguous,
        ),
        tar("a long name for nothing", site().meta(b'L', b"a\0"), HeaderAmbiguous),
        tar("a link target for a file", site().meta(b'K', b"a\0").file("x", b""), HeaderAmbiguous),
        tar("an old folder, a long file", site().meta(b'L', b"a\0").entry("d/", 0), HeaderAmbiguous),
        tar("a long file name with a slash", site().meta(b'L', b"a/\0").file("x", b""), HeaderAmbiguous),
    ]
}

fn pax() -> Vec<Case> {
    use Reason::*;
    let one = |key, value| site().pax(&[(key, value)]).file("data", b"x");
    let raw = |bytes: &[u8]| site().meta(b'x', bytes).file("data", b"x");
    let global = |key, value| site().meta(b'g', &record(key, value)).file("data", b"x");
    vec![
        tar("unknown key", one("EVIL.key", "1"), PaxKey),
        tar("link target of a file", one("linkpath", "/etc/passwd"), PaxKey),
        tar("star's other size", one("SCHILY.realsize", "9"), PaxKey),
        tar("global path", global("path", "x"), PaxKey),
        tar("global size", global("size", "0"), PaxKey),
        tar("length too long", raw(b"99 path=a\n"), PaxMalformed),
        tar("no length", raw(b"path=a\n"), PaxMalformed),
        tar("padded with NUL", raw(b"10 path=aa\0\0"), PaxMalformed),
        tar("empty path", one("path", ""), PaxMalformed),
        tar("size in letters", one("size", "1x"), PaxMalformed),
        tar("key twice", site().pax(&[("path", "a"), ("path", "b")]).file("x", b""), PaxAmbiguous),
        tar("two headers", site().pax(&[("path", "a")]).pax(&[("mtime", "1")]).file("x", b""), PaxAmbiguous),
        tar("another size", one("size", "513"), PaxAmbiguous),
        tar("size of a folder", site().pax(&[("size", "512")]).entry("d/", b'5'), PaxAmbiguous),
        tar("with a GNU name", site().meta(b'L', b"a\0").pax(&[("path", "b")]).file("x", b""), PaxAmbiguous),
        tar(
            "global in between",
            site().pax(&[("path", "b")]).meta(b'g', &record("comment", "x")).file("x", b""),
            PaxAmbiguous,
        ),
        tar("for nothing", site().pax(&[("path", "a")]), PaxAmbiguous),
        tar("large", site().meta(b'x', &vec![b'x'; 70_000]).file("x", b""), PaxTooBig),
        tar(
            "many",
            raw(&(0..300).flat_map(|n| record(&format!("SCHILY.x{n}"), "")).collect::<Vec<_>>()),
            PaxTooBig,
        ),
    ]
}

fn containers() -> Vec<Case> {
    use Reason::*;
    let good = site().end();
    let packed = gzip(&good);
    let changed = |at: usize, mask: u8| {
        let mut bytes = packed.clone();
        let at = if at < 100 { at } else { bytes.len() - (200 - at) };
        bytes[at] ^= mask;
        bytes
    };
    let html = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head></html>\n".repeat(20);
    let with = |bytes: &[u8], tail: &[u8]| [bytes, tail].concat();
    let lone = |after: &[u8]| gzip(&[&Tar::site().0, &[0; BLOCK][..], after].concat());
    let zst = zstd(&good);
    let mut damaged_zst = zst.clone();
    *damaged_zst.last_mut().unwrap() ^= 1;
    vec![
        Case("CRC", "p.tar.gz", changed(192, 1), GzipCrc),
        Case("ISIZE", "p.tar.gz", changed(196, 1), SizeMismatch),
        Case("method", "p.tar.gz", changed(2, 1), HeaderBad),
        Case("reserved flag", "p.tar.gz", changed(3, 0x80), HeaderBad),
        Case("damaged deflate", "p.tar.gz", changed(30, 0xff), GzipCrc),
        Case("text behind", "p.tar.gz", with(&packed, b"junk"), GzipTrailing),
        Case("zeros behind", "p.tgz", with(&packed, &[0; 512]), GzipTrailing),
        Case("zeros, then text", "p.tgz", with(&with(&packed, &[0; 900]), b"text"), GzipTrailing),
        Case("a member behind padding", "p.tgz", with(&with(&packed, &[0; 8]), &gzip(b"")), GzipTrailing),
        Case(
            "a flood of zeros behind",
            "p.tgz",
            with(&packed, &vec![0; (5 << 20) - packed.len()]),
            GzipTrailing,
        ),
        Case("text behind a second member", "p.tgz", with(&with(&packed, &gzip(b"")), b"x"), GzipTrailing),
        Case("half a second member", "p.tgz", with(&packed, &gzip(b"")[..9]), Truncated),
        Case("two tars", "p.tgz", with(&packed, &packed), TarTrailing),
        Case("no end blocks", "p.tgz", gzip(&Tar::site().0), Truncated),
        Case("one end block", "p.tgz", lone(b""), Truncated),
        Case("one end block, then more", "p.tgz", lone(&Tar::site().end()), TarTrailing),
        Case("half a file", "p.tgz", gzip(&good[..520]), Truncated),
        Case("text behind the tar", "p.tar", with(&good, b"junk"), TarTrailing),
        Case("a flood of zeros", "p.tgz", gzip(&with(&good, &vec![0; 17 << 20])), TarTrailing),
        Case("truncated and hostile", "p.tgz", site().file("../x", b"").gz()[..90].to_vec(), Truncated),
        Case(
            "damaged and hostile",
            "p.tgz",
            {
                let mut b = site().file("../x", b"").gz();
                let n = b.len();
                b[n - 8] ^= 1;
                b
            },
            GzipCrc,
        ),
        Case("an error page", "p.tar.gz", html.clone(), FormatMismatch),
        Case("an error page", "p.tar", html.clone(), FormatMismatch),
        Case("a short error page", "p.tar", html[..60].to_vec(), FormatMismatch),
        Case("an error page", "p.zip", html.clone(), FormatMismatch),
        Case("an error page inside", "p.tar.gz", gzip(&html), FormatMismatch),
        Case("a zip by another name", "p.tar.gz", zip(&[index()]), FormatMismatch),
        Case("a tar.gz by another name", "p.zip", packed.clone(), FormatMismatch),
        Case("a tar by another name", "p.tar.gz", good.clone(), FormatMismatch),
        Case("a name of no format", "p.gz", packed.clone(), FormatMismatch),
        Case("no bytes", "p.tar.gz", Vec::new(), Truncated),
        Case("no bytes", "p.zip", Vec::new(), Truncated),
        Case("no bytes", "p.tar", Vec::new(), Truncated),
        Case("no entries", "p.tar.gz", Tar::default().gz(), Empty),
        Case("no entries", "p.tar", Tar::default().end(), Empty),
        Case("no entries", "p.zip", zip(&[]), Empty),
        Case("folders only", "p.tgz", Tar::default().entry("a/", b'5').gz(), Empty),
        Case("junk only", "p.zip", zip(&[Item::stored(".DS_Store", b"x")]), Empty),
        Case("half", "p.tar.zst", zst[..zst.len() - 3].to_vec(), Truncated),
        Case("checksum", "p.tar.zst", damaged_zst, GzipCrc),
        Case("text behind", "p.tar.zst", with(&zst, b"junk"), GzipTrailing),
        Case("text behind that begins like a frame", "p.tar.zst", with(&zst, b"(text)"), GzipTrailing),
    ]
}

fn zip_places() -> Vec<Case> {
    use Reason::*;
    let good = zip(&[index()]);
    let with = |head: &[u8], bytes: &[u8], tail: &[u8]| [head, bytes, tail].concat();
    let hole = Item { tail: b"hidden".to_vec(), ..index() };
    let quoted = Item { offset: Some(0), only_listed: true, ..Item::stored("copy", b"x") };
    let nested = zip(&[Item::stored("inner.zip", &good), index()]);
    let inner_end = nested.windows(4).position(|w| w == b"PK\x05\x06").unwrap() + 22;
    let shrunk = Item { packed: 5, size: 5, crc: crc(b"01234"), ..Item::stored("a", b"0123456789") };
    let grown = Item { packed: 50, size: 50, ..Item::stored("a", b"0123456789") };
    let unlisted = {
        let both = zip(&[index(), Item::stored("secret", b"x")]);
        let directory = zip(&[index()]).len() - 22;
        let local = both.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let central = &zip(&[index()])[directory - 46 - 10..directory];
        let tail = end_record(1, central.len() as u32, local as u32, b"");
        with(&both[..local], central, &tail)
    };
    vec![
        Case("a program in front", "p.zip", with(b"#!/bin/sh\nexit\n", &good, b""), ZipPrefix),
        Case("a zip in front", "p.zip", with(&zip(&[Item::stored("a", b"")]), &good, b""), ZipPrefix),
        Case("a zip64 with a zip in front", "p.zip", with(&good, &zip64(&[index()]), b""), ZipPrefix),
        Case("text behind", "p.zip", with(b"", &good, b"junk"), ZipTrailing),
        Case("zeros behind", "p.zip", with(b"", &good, &[0; 512]), ZipTrailing),
        Case("much behind", "p.zip", with(b"", &good, &[7; 100_000]), ZipTrailing),
        Case("half", "p.zip", good[..good.len() / 2].to_vec(), Truncated),
        Case("comment cut", "p.zip", zip_with(&[index()], b"comment")[..good.len() + 3].to_vec(), Truncated),
        Case("cut behind a stored zip", "p.zip", nested[..inner_end].to_vec(), Truncated),
        Case("a zip in the comment", "p.zip", zip_with(&[index()], &good), ZipAmbiguous),
        Case("a hole between entries", "p.zip", zip(&[hole.clone(), Item::stored("b", b"")]), ZipHidden),
        Case("a hole before the directory", "p.zip", zip(&[hole]), ZipHidden),
        Case("an unlisted entry", "p.zip", unlisted, ZipHidden),
        Case("a short entry", "p.zip", zip(&[shrunk, index()]), ZipHidden),
        Case("a long entry", "p.zip", zip(&[grown, index()]), ZipOverlap),
        Case("one content, two names", "p.zip", zip(&[index(), quoted]), ZipOverlap),
        Case("no directory", "p.zip", with(b"", &good[..30], &end_record(1, 9, 0, b"")), ZipBad),
        Case(
            "a directory that is none",
            "p.zip",
            {
                let mut b = good.clone();
                let at = b.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
                b[at + 2] = 9;
                b
            },
            ZipBad,
        ),
        Case(
            "fewer entries than listed",
            "p.zip",
            {
                let two = zip(&[index(), Item::stored("b", b"")]);
                let n = two.len();
                let mut b = two;
                b[n - 14] = 1;
                b[n - 12] = 1;
                b
            },
            ZipHidden,
        ),
        Case("more entries than listed", "p.zip", zip_entries(2), ZipBad),
        Case(
            "two disks",
            "p.zip",
            {
                let mut b = good.clone();
                let n = b.len();
                b[n - 18] = 1;
                b
            },
            ZipBad,
        ),
        Case(
            "zip64 asked for, not there",
            "p.zip",
            {
                let mut b = good.clone();
                let n = b.len();
                b[n - 10..n - 6].fill(0xff);
                b
            },
            ZipBad,
        ),
        Case(
            "zip64 says otherwise",
            "p.zip",
            {
                let mut b = zip64(&[index()]);
                let n = b.len();
                b[n - 14] = 9;
                b[n - 13] = 0;
                b[n - 12] = 9;
                b[n - 11] = 0;
                b
            },
            ZipAmbiguous,
        ),
    ]
}

fn zip_words() -> Vec<Case> {
    use Reason::*;
    let streamed = |change: fn(&mut Vec<u8>)| {
        let item = index();
        let mut tail = item.descriptor();
        change(&mut tail);
        item.streamed(tail)
    };
    let unicode = |raw: &str, name: &[u8]| {
        let body = [&[1][..], &crc(raw.as_bytes()).to_le_bytes(), name].concat();
        Item { extra: field(0x7075, &body), ..Item::stored(raw, b"") }
    };
    let stale = Item { extra: field(0x7075, b"\x01\0\0\0\0a"), ..Item::stored("a", b"") };
    let liar = |size: u32| Item { size, ..Item::deflated("a", &[b'x'; 1000]) };
    let loose = {
        let mut item = Item::deflated("a", b"content");
        item.data.extend_from_slice(b"more");
        item.packed += 4;
        item
    };
    let cut = {
        let packed = deflate(&[b'x'; 5000]);
        Item {
            data: packed[..packed.len() - 3].to_vec(),
            packed: packed.len() as u32 - 3,
            ..Item::deflated("a", &[b'x'; 5000])
        }
    };
    let named = |local: &str| Item { local_name: Some(local.as_bytes().to_vec()), ..index() };
    let one = |item: Item| vec![item, Item::stored("b", b"")];
    vec![
        zipped("CRC", &one(Item { crc: 7, ..Item::stored("a", b"x") }), ZipCrc),
        zipped("CRC of deflate", &one(Item { crc: 7, ..index() }), ZipCrc),
        zipped(
            "damaged deflate",
            &one(Item { data: vec![0xff; 30], packed: 30, ..Item::deflated("a", b"x") }),
            ZipCrc,
        ),
        zipped("more than declared", &one(liar(10)), SizeMismatch),
        zipped("less than declared", &one(liar(2000)), SizeMismatch),
        zipped("stored in two sizes", &one(Item { size: 3, ..Item::stored("a", b"0123") }), SizeMismatch),
        zipped("deflate without its end", &one(cut), SizeMismatch),
        zipped("bytes behind the deflate data", &one(loose), ZipHidden),
        zipped("encrypted", &one(Item { flags: 1, ..index() }), ZipEncrypted),
        zipped("AES", &one(Item { method: 99, ..index() }), ZipEncrypted),
        zipped("masked directory", &one(Item { flags: 0x2000, ..index() }), ZipEncrypted),
        zipped("bzip2", &one(Item { method: 12, ..index() }), ZipMethod),
        zipped("patch", &one(Item { flags: 0x20, ..index() }), ZipMethod),
        zipped("another local name", &one(named("../x.html")), ZipMismatch),
        zipped(
            "a longer local name",
            &one(Item { packed: 0, size: 0, crc: 0, data: Vec::new(), ..named("index.htmlindex.html") }),
            ZipMismatch,
        ),
        zipped("descriptor CRC", &one(streamed(|tail| tail[4] ^= 1)), ZipMismatch),
        zipped("descriptor size", &one(streamed(|tail| tail[12] ^= 1)), ZipMismatch),
        zipped("no descriptor", &one(streamed(Vec::clear)), ZipMismatch),
        zipped("a long descriptor", &one(streamed(|tail| tail.extend([0; 30]))), ZipHidden),
        zipped("another Unicode path", &one(unicode("a", b"../b")), ZipAmbiguous),
        zipped("a stale Unicode path", &one(stale), ZipAmbiguous),
        zipped(
            "a folder by mode only",
            &one(Item { mode: 0o040_755, ..Item::stored("d", b"") }),
            ZipAmbiguous,
        ),
        zipped(
            "a folder by name only",
            &one(Item { mode: 0o100_644, ..Item::stored("d/", b"") }),
            ZipAmbiguous,
        ),
        zipped("a folder with data", &one(Item { mode: 0, ..Item::stored("d/", b"x") }), ZipAmbiguous),
        zipped("an extra field that overruns", &one(Item { extra: vec![1, 0, 9, 0, 0], ..index() }), ZipBad),
        zipped("zip64 sizes that are not there", &one(Item { size: u32::MAX, ..index() }), ZipBad),
    ]
}

#[test]
fn a_package_over_its_size_is_refused_unread() {
    let limits = Limits { package_bytes: 100, ..Limits::default() };
    let bytes = Tar::site().gz();
    assert_eq!(judge("p.tar.gz", &bytes, &limits).unwrap_err().reason, Reason::SizePackage);
    assert_eq!(push(Format::TarGz, &bytes, 7, &limits).unwrap_err().reason, Reason::SizePackage);
}

#[test]
fn the_entry_at_fault_is_named() {
    for (name, bytes) in [
        ("p.tar.gz", site().meta(b'L', b"assets/evil\0").entry("assets/ev", b'2').gz()),
        ("p.tar.gz", site().pax(&[("path", "assets/evil")]).entry("x", b'1').gz()),
        ("p.zip", zip(&[index(), Item { mode: 0o120_777, ..Item::stored("assets/evil", b"/") }])),
        ("p.zip", zip(&[index(), Item { crc: 1, ..Item::stored("assets/evil", b"/") }])),
    ] {
        let refusal = agreed(name, &bytes, &Limits::default()).unwrap_err();
        assert_eq!(refusal.entry.as_deref(), Some(&b"assets/evil"[..]), "{refusal:?}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    struct Nothing;
    impl Sink for Nothing {
        fn dir(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn file(&mut self, path: &str, _: u64, _: i64) -> io::Result<()> {
            panic!("{path} was begun")
        }
        fn data(&mut self, _: &[u8]) -> io::Result<()> {
            unreachable!()
        }
        fn end(&mut self) -> io::Result<()> {
            unreachable!()
        }
    }
    let base256 = Header::new("big", b'0', 0).with(124, &[0x80, 0, 0, 0, 0, 0, 0, 2, 0x80, 0, 0, 0]);
    let tar = Tar::default().header(&base256).gz();
    let result = read_bytes(&tar, "p.tgz", &Limits::default(), &mut Nothing);
    assert!(matches!(result, Err(Error::Refused(refusal)) if refusal.reason == Reason::SizeFile));
    let overlapping: Vec<Item> = (0..200)
        .map(|n| Item {
            offset: Some(0),
            only_listed: n > 0,
            ..Item::deflated(&format!("f{n}"), &[0; 90_000])
        })
        .collect();
    let result = read_bytes(&zip(&overlapping), "p.zip", &Limits::default(), &mut Nothing);
    assert!(matches!(result, Err(Error::Refused(refusal)) if refusal.reason == Reason::ZipOverlap));
}

#[test]
fn a_first_cut_of_52_to_1_passes() {
    let zeros = b"{\"votos\":\"0\"},".repeat(200_000);
    let packed = Tar::site().file("data.json", &zeros).gz();
    assert!(zeros.len() / packed.len() > 52);
    assert!(agreed("p.tar.gz", &packed, &Limits::default()).is_ok());
}

/// Kept complete by `is_named`: a newcomer does not compile until it is listed.
const ALL: [Reason; 40] = {
    use Reason::*;
    [
        PathTraversal,
        PathAbsolute,
        PathBadChar,
        PathNotUtf8,
        PathNotNfc,
        PathTooLong,
        PathTooDeep,
        PathEmpty,
        PathDotfile,
        NameCollision,
        DuplicateEntry,
        EntryType,
        Entries,
        SizeFile,
        SizeTotal,
        SizePackage,
        SizeMismatch,
        HeaderBad,
        HeaderChecksum,
        HeaderAmbiguous,
        PaxKey,
        PaxMalformed,
        PaxAmbiguous,
        PaxTooBig,
        TarTrailing,
        GzipCrc,
        GzipTrailing,
        Truncated,
        FormatMismatch,
        Empty,
        ZipOverlap,
        ZipMismatch,
        ZipAmbiguous,
        ZipPrefix,
        ZipTrailing,
        ZipEncrypted,
        ZipMethod,
        ZipCrc,
        ZipHidden,
        ZipBad,
    ]
};
const _: () = assert!(ALL.len() == Reason::ZipBad as usize + 1);
