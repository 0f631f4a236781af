//! What real packers make is accepted with exactly their files (K5): GNU tar, bsdtar,
//! Info-ZIP, Python, git. A packer that is not installed is a failure.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::build::{Header, Item, Tar, crc, field, gzip, zip, zip64, zstd};
use super::*;

/// How long the longest path of the tree is: formats differ in what they hold.
#[derive(Clone, Copy, PartialEq)]
enum Longest {
    /// v7: 99 bytes.
    Short,
    /// ustar: up to 255, split at a slash.
    Split,
    /// All others.
    Long,
}

type Files = BTreeMap<String, Vec<u8>>;

/// Makes the tree that is packed, as an institute's template looks; gives its files
/// without those that are left out.
fn make_tree(root: &Path, longest: Longest) -> Files {
    let mut noise = 1_u32;
    let image: Vec<u8> = (0..400_000)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        })
        .collect();
    let mut files = Files::from([
        ("index.html".to_owned(), b"<html><base href=\"/\">".to_vec()),
        ("assets/api/entidad.json".to_owned(), b"{}".to_vec()),
        ("assets/img/P1-35 (1).svg".to_owned(), b"<svg/>".to_vec()),
        ("assets/img/!Ciudad.svg".to_owned(), vec![b'x'; 512]),
        ("assets/img/prep-2021_full_colores@2x.png".to_owned(), image),
        ("assets/empty.txt".to_owned(), Vec::new()),
        ("assets/20240603_2005_PREP.zip".to_owned(), zip(&[Item::stored("a.csv", b"1,2")])),
    ]);
    if longest != Longest::Short {
        files.insert("assets/img/flecha_morada_pequeña-47.svg".to_owned(), b"<svg/>".to_vec());
        files.insert(format!("assets/{}/{}.json", "d".repeat(80), "f".repeat(80)), b"[1]".to_vec());
    }
    if longest == Longest::Long {
        // Old headers hold a hundred bytes, and here the hundredth is a slash, with and
        // without `./` in front.
        for length in [92, 90] {
            files.insert(format!("assets/{}/a.json", "c".repeat(length)), b"[3]".to_vec());
        }
        files.insert(
            format!("assets/{}/{}/{}.json", "a".repeat(120), "b".repeat(120), "ñ".repeat(100)),
            b"[2]".to_vec(),
        );
    }
    for (path, bytes) in &files {
        put(root, path, bytes);
    }
    put(root, "assets/.DS_Store", b"junk");
    put(root, "assets/img/.gitkeep", b"");
    put(root, "__MACOSX/assets/._index.html", b"junk");
    fs::create_dir_all(root.join("vacío")).unwrap();
    files
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Runs `command` inside the tree; its standard output is the archive.
fn packed(command: &str, longest: Longest) -> (Vec<u8>, Files) {
    let dir = tempfile::tempdir().unwrap();
    let files = make_tree(dir.path(), longest);
    let out =
        Command::new("sh").args(["-c", command]).current_dir(dir.path()).env("LC_ALL", "C.UTF-8").output();
    let out = out.unwrap();
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    (out.stdout, files)
}

fn accepts(command: &str, name: &str, longest: Longest) {
    let (bytes, files) = packed(command, longest);
    let (report, memory) =
        agreed(name, &bytes, &Limits::default()).unwrap_or_else(|r| panic!("{command}: {r:?}"));
    let found: Files =
        memory.files().into_iter().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
    assert!(found == files, "{command}: {:?} ≠ {:?}", found.keys(), files.keys());
    assert!(report.skipped.count >= 3, "{command}: {:?}", report.skipped);
}

#[test]
fn gnu_tar_in_all_its_formats() {
    accepts("tar --format=gnu -czf - .", "p.tar.gz", Longest::Long);
    accepts("tar --format=gnu -czf - *", "p.tgz", Longest::Long);
    accepts("tar --format=gnu -b 2048 -cf - .", "p.tar", Longest::Long);
    accepts("tar -cf - . | gzip -9", "p.tar.gz", Longest::Long);
    accepts("tar --format=oldgnu -czf - .", "p.tar.gz", Longest::Long);
    accepts("tar --format=pax -czf - .", "p.tar.gz", Longest::Long);
    accepts("tar --format=ustar -czf - .", "p.tar.gz", Longest::Split);
    accepts("tar --format=v7 -czf - .", "p.tar.gz", Longest::Short);
}

#[test]
fn bsdtar_in_all_its_formats() {
    accepts("bsdtar --format pax -czf - .", "p.tar.gz", Longest::Long);
    accepts("bsdtar --format gnutar -czf - .", "p.tar.gz", Longest::Long);
    accepts("bsdtar --format ustar -czf - .", "p.tar.gz", Longest::Split);
    accepts("bsdtar --format v7tar -czf - .", "p.tar.gz", Longest::Short);
    accepts("bsdtar -cf - .", "p.tar", Longest::Long);
    accepts("bsdtar --zstd -cf - .", "p.tar.zst", Longest::Long);
    accepts("bsdtar --format zip -cf - .", "p.zip", Longest::Long);
    accepts("bsdtar --format zip -cf out.zip * && cat out.zip", "p.zip", Longest::Long);
}

#[test]
fn info_zip() {
    accepts("zip -qr out.zip . && cat out.zip", "p.zip", Longest::Long);
    // To a pipe: data descriptors, and zip64 sizes in case they would be needed.
    accepts("zip -qr - . | cat", "p.zip", Longest::Long);
    accepts("zip -qr -fd out.zip . && cat out.zip", "p.zip", Longest::Long);
    accepts("zip -qr -fz out.zip . && cat out.zip", "p.zip", Longest::Long);
    accepts("zip -qr0 out.zip . && cat out.zip", "p.zip", Longest::Long);
}

#[test]
fn python() {
    for format in ["USTAR", "GNU", "PAX"] {
        let longest = if format == "USTAR" { Longest::Split } else { Longest::Long };
        let command = format!(
            "python3 -c \"import sys,tarfile; t=tarfile.open(fileobj=sys.stdout.buffer,mode='w|gz',\
             format=tarfile.{format}_FORMAT); t.add('.'); t.close()\""
        );
        accepts(&command, "p.tar.gz", longest);
    }
    for method in ["STORED", "DEFLATED"] {
        // Standard output cannot seek, so sizes follow the data.
        let command = format!(
            "python3 -c \"import os,sys,zipfile; z=zipfile.ZipFile(sys.stdout.buffer,'w',zipfile.ZIP_{method})\n\
             for d,_,fs in os.walk('.'):\n  [z.write(os.path.join(d,f)) for f in fs]\nz.close()\" | cat"
        );
        accepts(&command, "p.zip", Longest::Long);
    }
}

#[test]
fn git_archive() {
    let init = "git init -q . && git add -A -f . && git -c user.name=x -c user.email=x@x commit -qm x";
    for (name, format) in [("p.tar.gz", "tar.gz"), ("p.zip", "zip")] {
        accepts(&format!("{init} && git archive --format={format} HEAD"), name, Longest::Long);
    }
}

#[test]
fn members_of_gzip_and_frames_of_zstd_in_any_number() {
    let tar = Tar::site().file("a/b.json", &[b'1'; 9000]).end();
    let (first, second) = tar.split_at(5000);
    let expected = agreed("p.tar", &tar, &Limits::default()).unwrap().1;
    // bgzip ends with an empty member; gzip -N keeps a name in the header.
    let mut named = flate2::GzBuilder::new().filename("p.tar").comment("x").extra(b"bgzf".to_vec());
    named = named.mtime(1);
    let mut named = named.write(Vec::new(), flate2::Compression::fast());
    named.write_all(first).unwrap();
    let members = [named.finish().unwrap(), gzip(second), gzip(b"")].concat();
    assert_eq!(agreed("p.tar.gz", &members, &Limits::default()).unwrap().1, expected);
    let skippable = b"\x50\x2a\x4d\x18\x02\0\0\0hi";
    let frames = [&zstd(first)[..], &skippable[..], &zstd(second)[..]].concat();
    assert_eq!(agreed("p.tar.zst", &frames, &Limits::default()).unwrap().1, expected);
}

#[test]
fn names_of_zip_in_three_encodings() {
    let unicode = |raw: &[u8], name: &str| {
        let extra = field(0x7075, &[&[1][..], &crc(raw).to_le_bytes(), name.as_bytes()].concat());
        Item { name: raw.to_vec(), extra, ..Item::stored("x", b"1") }
    };
    for (item, path) in [
        (Item { flags: 0x800, ..Item::stored("pequeña.svg", b"1") }, "pequeña.svg"),
        (Item::stored("pequeña.svg", b"1"), "pequeña.svg"),
        (Item { name: b"peque\xa4a.svg".to_vec(), ..Item::stored("x", b"1") }, "pequeña.svg"),
        (unicode(b"\xb5rea.svg", "Área.svg"), "Área.svg"),
        (unicode(b"area.svg", "area.svg"), "area.svg"),
    ] {
        let (_, memory) = agreed("p.zip", &zip(&[item]), &Limits::default()).unwrap();
        assert_eq!(memory.files(), BTreeMap::from([(path, &b"1"[..])]));
    }
}

#[test]
fn zip64_and_folders_and_descriptors_of_four_lengths() {
    let item = Item::deflated("a/b.json", b"content of the file");
    let usual = item.descriptor();
    let wide: Vec<u8> =
        [&usual[..8], &u64::from(item.packed).to_le_bytes(), &u64::from(item.size).to_le_bytes()].concat();
    for tail in [usual.clone(), usual[4..].to_vec(), wide.clone(), wide[4..].to_vec()] {
        let items = [Item::dir("a/"), item.clone().streamed(tail), Item::dir("a/")];
        assert!(agreed("p.zip", &zip(&items), &Limits::default()).is_ok());
        assert!(agreed("p.zip", &zip64(&items), &Limits::default()).is_ok());
    }
    // Java deflates its folders: two bytes for nothing.
    let java = Item { name: b"a/".to_vec(), mode: 0, ..Item::deflated("a/", b"") };
    assert!(agreed("p.zip", &zip(&[java, item]), &Limits::default()).is_ok());
}

#[test]
fn a_pushed_tar_tells_its_fault_before_its_end() {
    let bytes = Tar::default().header(&Header::new("../x", b'0', 0)).file("a", &[0; 9000]).gz();
    let mut stream = Stream::new(Format::TarGz, &Limits::default()).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() - 9);
    stream.feed(first, &mut Memory::default()).unwrap();
    assert_eq!(stream.fault().map(|fault| fault.reason), Some(Reason::PathTraversal));
    stream.feed(rest, &mut Memory::default()).unwrap();
    assert!(
        matches!(stream.finish(), Err(Error::Refused(refusal)) if refusal.reason == Reason::PathTraversal)
    );
    assert_eq!(Stream::new(Format::Zip, &Limits::default()).unwrap_err().reason, Reason::FormatMismatch);
}

#[test]
fn a_large_package_is_read_by_two_threads_alike() {
    let noise: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let tar = (0..5).fold(Tar::site(), |tar, n| tar.file(&format!("{n}.bin"), &noise[n..]));
    let packed = tar.clone().gz();
    let (report, memory) = judge("p.tar.gz", &packed, &Limits::default()).unwrap();
    assert_eq!(report.files, 6);
    assert_eq!(push(Format::TarGz, &packed, 32_768, &Limits::default()).unwrap().1, memory);
    let half = &packed[..packed.len() / 2];
    assert_eq!(judge("p.tar.gz", half, &Limits::default()).unwrap_err().reason, Reason::Truncated);
    let early = Tar::default().header(&Header::new("../x", b'0', 0));
    let hostile = Tar([early.0, tar.0].concat()).gz();
    assert_eq!(judge("p.tar.gz", &hostile, &Limits::default()).unwrap_err().reason, Reason::PathTraversal);
    let half = &hostile[..hostile.len() / 2];
    assert_eq!(judge("p.tar.gz", half, &Limits::default()).unwrap_err().reason, Reason::Truncated);
}
