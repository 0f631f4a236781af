//! Archives that real packers make, unpacked into site and packages area.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::ssh::rig::{GOOD, REFUSED};

/// A small site on disk.
fn site() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("dist/index.html", b"<html></html>");
    write("dist/datos/actas.csv", b"1,2,3\n".repeat(30_000).as_slice());
    write("dist/descargas/BASE.zip", b"PK\x03\x04 not even a zip");
    scratch
}

/// The output of a packer that runs in the folder.
fn packed(dir: &Path, command: &str) -> Vec<u8> {
    let output = Command::new("sh").args(["-c", command]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    output.stdout
}

const TREE: [&str; 3] = ["datos/actas.csv", "descargas/BASE.zip", "index.html"];

#[test]
fn every_way_to_write_tar_fills_the_site() {
    let site = site();
    for (packer, line) in [
        ("tar czf - -C dist .", "tar xzf - -C sitio"),
        ("tar czf - -C dist .", "tar -xzf - -C sitio"),
        ("tar czf - -C dist .", "tar xz -C sitio"),
        ("tar czf - -C dist .", "tar -C sitio -x -z -f -"),
        ("tar czf - -C dist .", "tar xzfC - sitio"),
        ("tar czf - -C dist .", "tar --extract --gzip --file=- --directory=sitio"),
        ("tar czf - -C dist .", "cd sitio && tar xvzpf - --no-same-owner -m --overwrite > /dev/null"),
        ("tar czf - -C dist .", "mkdir -p sitio && cd sitio && gunzip -c | tar xf -"),
        ("tar czf - -C dist .", "cat | tar xzf - -C sitio"),
        ("tar czf - dist", "tar xzf - -C sitio --strip-components=1"),
        ("tar czf - dist", "tar -zx --strip-components 1 -C sitio dist/"),
        ("tar cf - -C dist .", "tar xf - -C sitio"),
        ("tar --format=pax -cf - -C dist .", "tar x -C ~/sitio"),
        ("bsdtar --format=gnutar -czf - -C dist .", "tar xzf - -C sitio"),
        ("bsdtar --format=pax -cf - -C dist .", "tar xf - -C /sitio"),
        ("tar --zstd -cf - -C dist .", "tar --zstd -xf - -C sitio"),
        ("tar --zstd -cf - -C dist .", "tar xf - -C sitio"),
    ] {
        let bench = Bench::new();
        let ran = bench.send(line, &packed(site.path(), packer), End::Clean);
        assert_eq!(ran, Ran { status: 0, out: String::new(), err: PUBLISHED.into() }, "{packer} | {line}");
        assert_eq!(bench.trees(), [TREE], "{packer} | {line}");
        // A download inside the site is no package of ours.
        assert_eq!(bench.packages(), Vec::<String>::new());
    }
}

#[test]
fn an_archive_that_was_sent_before_is_unpacked_from_its_file() {
    let site = site();
    let tgz = packed(site.path(), "tar czf - dist");
    let zip = packed(site.path(), "cd dist && zip -qr - . && cd ..");
    for (name, bytes, line) in [
        ("s.tmp", &tgz, "tar xzf s.tmp --strip-components=1 -C sitio && rm s.tmp"),
        ("s.tmp", &tgz, "cd sitio && tar -xf ../s.tmp --strip-components=1"),
        ("s.tmp", &tgz, "mkdir -p n && tar xzf s.tmp -C n && cp -r n/dist/. sitio/ && rm -rf n"),
        (
            "s.tmp",
            &tgz,
            "mkdir n && tar xzf s.tmp -C n && rm -rf sitio/* && mv n/dist/* sitio/ && rm -r n s.tmp",
        ),
        ("s.tmp", &tgz, "zcat s.tmp | tar x --strip-components=1 -C sitio"),
        ("s.tmp", &tgz, "cat s.tmp | tar xz --strip-components=1 -C sitio"),
        ("s.tmp", &tgz, "tar xz --strip-components=1 -C sitio < s.tmp"),
        ("s.tmp", &zip, "unzip -qo s.tmp -d sitio"),
        ("s.tmp", &zip, "unzip -o -q -d sitio s.tmp"),
        ("s.tmp", &zip, "cd sitio && unzip -oq ../s.tmp && unzip -tq ../s.tmp"),
    ] {
        let bench = Bench::new();
        bench.put(name, bytes);
        let ran = bench.ok(line);
        assert_eq!(ran.err, PUBLISHED, "{line}");
        assert_eq!(bench.trees(), [TREE], "{line}");
    }
}

#[test]
fn unpacked_bytes_are_the_packed_ones() {
    let site = site();
    let bench = Bench::new();
    bench.send("mkdir s && tar xzf - -C s", &packed(site.path(), "tar czf - -C dist ."), End::Clean);
    for name in ["index.html", "datos/actas.csv"] {
        let sent = std::fs::read_to_string(site.path().join("dist").join(name)).unwrap();
        assert_eq!(bench.text(&format!("s/{name}")), Some(sent));
    }
    let mtime = packed(site.path(), "stat -c %Y dist/index.html");
    assert_eq!(bench.ok("stat -c %Y s/index.html").out.as_bytes(), mtime);
}

#[test]
fn half_a_stream_commits_nothing() {
    let site = site();
    let tgz = packed(site.path(), "tar czf - -C dist .");
    let half = &tgz[..tgz.len() / 2];
    let bench = Bench::new();
    for line in ["tar xzf - -C sitio", "tar xzf - -C sitio; true", "tar xzf - -C sitio || echo mal"] {
        let ran = bench.send(line, half, End::Clean);
        assert_ne!(ran.status, 0, "{line}");
        assert!(
            ran.err.contains("rechazado en integridad: el paquete est\u{e1} incompleto"),
            "{line}: {}",
            ran.err
        );
        assert!(ran.err.contains("los cambios al sitio se descartaron"), "{line}: {}", ran.err);
    }
    assert_eq!(bench.send("tar xzf - -C sitio", half, End::Cut).status, 1);
    assert_eq!(bench.send("tar xzf - -C sitio", b"", End::Clean).status, 2);
    assert_eq!(bench.rig.arrived(), []);
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let site = site();
    let dir = site.path();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("dist/enlace")).unwrap();
    let bench = Bench::new();
    for (packer, code) in [
        ("tar czf - -C dist .", "ENTRY_TYPE"),
        ("tar czPf - dist/../../../etc/hostname 2>/dev/null || tar czPf - /etc/hostname", "PATH_"),
        ("tar czPf - /etc/hostname", "PATH_ABSOLUTE"),
        ("tar czPf - --transform 's,^,../../,' dist/index.html", "PATH_TRAVERSAL"),
        ("tar --hard-dereference -cf - dist/index.html dist/index.html | gzip -c", "DUPLICATE_ENTRY"),
        ("tar czf - dist/index.html; echo basura", "GZIP_TRAILING"),
        ("echo nada", "FORMAT_MISMATCH"),
        ("cd dist && zip -qr - index.html", "FORMAT_MISMATCH"),
    ] {
        let bytes = packed(dir, packer);
        let ran = bench.send("tar xzf - -C sitio && echo listo", &bytes, End::Clean);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{packer}: {}", ran.err);
        assert!(ran.err.contains(code) && ran.err.contains("rechazado en "), "{packer}: {}", ran.err);
    }
    assert_eq!(bench.rig.arrived(), []);
    assert_eq!(bench.text("etc/hostname"), None);
}

#[test]
fn packages_inside_a_tar_are_packages_after_its_clean_end() {
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(scratch.path().join(name), bytes).unwrap();
    write("c.tar.gz", GOOD);
    write("c.tar.gz.sha256", b"x");
    write("m.tar.gz", REFUSED);
    write("index.html", b"x");
    let bench = Bench::new();
    let tar = packed(scratch.path(), "tar cf - c.tar.gz c.tar.gz.sha256");
    assert_ne!(bench.send("tar xf -", &tar[..1024], End::Clean).status, 0);
    assert_eq!(bench.rig.arrived(), []);
    let ran = bench.send("tar xf -", &tar, End::Clean);
    assert_eq!((ran.status, ran.err.as_str()), (0, PUBLISHED));
    assert_eq!(bench.packages(), ["c.tar.gz"]);
    let ran = bench.send("tar xzf - -C paquetes", &packed(scratch.path(), "tar czf - m.tar.gz"), End::Clean);
    assert_eq!(ran.status, 1, "{ran:?}");
    // A site that holds a download is a site.
    bench.send("tar xf -", &packed(scratch.path(), "tar cf - m.tar.gz index.html"), End::Clean);
    assert_eq!(bench.packages(), ["c.tar.gz", "m.tar.gz"]);
}

#[test]
fn names_are_told_when_asked_for() {
    let site = site();
    let bench = Bench::new();
    let tgz = packed(site.path(), "tar czf - dist/index.html dist/datos");
    assert_eq!(
        bench.send("tar tzf -", &tgz, End::Clean).out,
        "dist/index.html\ndist/datos/\ndist/datos/actas.csv\n"
    );
    assert_eq!(bench.ok("ls").out, "paquetes\nsitio\n");
    let ran = bench.send("tar xvzf - dist/index.html", &tgz, End::Clean);
    assert_eq!(ran.out, "dist/index.html\n");
    assert_eq!(bench.ok("find dist -type f").out, "dist/index.html\n");
    bench.put("z.tmp", &packed(site.path(), "cd dist && zip -q - index.html"));
    assert_eq!(bench.ok("unzip -o z.tmp").out, "Archive:  z.tmp\n  inflating: index.html\n");
}

#[test]
fn failures_end_as_the_tools_do() {
    let site = site();
    let bench = Bench::new();
    let tgz = packed(site.path(), "tar czf - -C dist index.html");
    for (line, status, err) in [
        (
            "tar xzf nope.tgz",
            2,
            "tar: nope.tgz: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now\n",
        ),
        (
            "tar xzf - -C nope",
            2,
            "tar: nope: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now\n",
        ),
        (
            "tar xzf - otro",
            2,
            "tar: otro: Not found in archive\ntar: Exiting with failure status due to previous errors\n",
        ),
        ("unzip nope", 9, "unzip:  cannot find or open nope, nope.zip or nope.ZIP.\n"),
    ] {
        let ran = bench.send(line, &tgz, End::Clean);
        assert_eq!((ran.status, ran.err.as_str()), (status, err), "{line}");
    }
    bench.ok("echo x > index.html");
    let ran = bench.send("tar xzkf -", &tgz, End::Clean);
    assert_eq!(ran.status, 2);
    assert!(ran.err.starts_with("tar: index.html: Cannot open: File exists\n"), "{}", ran.err);
    bench.ok("echo x > index.html");
    assert_eq!(bench.send("tar xzf - --skip-old-files; cat index.html", &tgz, End::Clean).out, "x\n");
    for line in [
        "tar czf x.tgz .",
        "tar xjf x",
        "tar f x",
        "tar",
        "tar xzf x --to-command=sh",
        "tar -xSf x",
        "unzip -p x",
        "gzip x",
    ] {
        assert_eq!(bench.run(line).status, 127, "{line}");
    }
}

#[test]
fn a_sender_that_goes_on_after_the_end_is_heard_out() {
    let site = site();
    let mut tar = packed(site.path(), "tar cf - -C dist index.html");
    // GNU tar fills its last record with zeros, and more of them do no harm.
    tar.extend(vec![0; 1 << 20]);
    let bench = Bench::new();
    assert_eq!(bench.send("tar xf -", &tar, End::Clean).status, 0);
}
