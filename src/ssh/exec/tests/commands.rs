//! What lines do to the drop, and how they end.

use super::*;
use crate::ssh::rig::{GOOD, REFUSED};

#[test]
fn cat_makes_a_package_and_tells_its_verdict() {
    let bench = Bench::new();
    let ran = bench.send("cat > corte.tar.gz", GOOD, End::Clean);
    assert_eq!(ran, Ran { status: 0, out: String::new(), err: PUBLISHED.into() });
    assert_eq!(bench.rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}

#[test]
fn a_refused_package_fails_its_step_with_code_and_stage() {
    let bench = Bench::new();
    let ran = bench.send("cat > corte.tar.gz && echo listo", REFUSED, End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("difusor: rechazado en integridad: "), "{}", ran.err);
    assert!(ran.err.contains("[GZIP_CRC]"), "{}", ran.err);
    assert_eq!(bench.send("cat > b.tar.gz || echo mal", REFUSED, End::Clean).out, "mal\n");
}

#[test]
fn no_redirection_hides_a_verdict() {
    let ran = Bench::new().send("cat > corte.tar.gz 2>/dev/null", REFUSED, End::Clean);
    assert!(ran.err.contains("GZIP_CRC"), "{ran:?}");
}

#[test]
fn a_cut_connection_makes_no_package() {
    let bench = Bench::new();
    assert_eq!(bench.send("cat > corte.tar.gz", GOOD, End::Cut).status, 1);
    assert_eq!(bench.rig.arrived(), []);
    // What came may be resumed.
    assert_eq!(bench.rig.size("corte.tar.gz"), Some(GOOD.len() as u64));
}

#[test]
fn an_upload_becomes_a_package_when_it_is_renamed() {
    let bench = Bench::new();
    bench.put("corte.tmp", GOOD);
    assert_eq!(bench.rig.arrived(), []);
    let ran = bench.ok("mv -f corte.tmp paquetes/corte.tar.gz");
    assert_eq!(ran.err, PUBLISHED);
    assert_eq!(bench.packages(), ["corte.tar.gz"]);
    bench.put("otro.tmp", REFUSED);
    assert_eq!(bench.run("mv otro.tmp otro.tar.gz").status, 1);
}

#[test]
fn pieces_put_together_are_one_package() {
    let bench = Bench::new();
    let (a, b) = GOOD.split_at(5);
    bench.put("p.aa", a);
    bench.put("p.ab", b);
    bench.ok("cat p.a? > p.tar.gz");
    assert_eq!(bench.rig.arrived(), [Arrived::package("p.tar.gz", GOOD)]);
}

#[test]
fn nothing_is_done_before_the_whole_line_is_understood() {
    let bench = Bench::new();
    for line in [
        "mkdir x && systemctl reload nginx",
        "mkdir x; rm -rf --one-file-system x",
        "mkdir x && echo $(date)",
        "mkdir x; bash -s",
        "mkdir x; sudo ls",
        "mkdir x; ln -sfn x y",
        "mkdir x; rsync --server . x",
        "mkdir x; scp -f x",
        "mkdir x; internal-sftp; ls",
        "mkdir x; ls | grep y",
        "mkdir *",
        "mkdir x > log",
        "X=1",
        "mkdir x && /opt/prep/deploy.sh",
        "python3 -c 'import os'",
    ] {
        let ran = bench.run(line);
        assert_eq!((ran.status, ran.out.as_str()), (127, ""), "{line}");
        assert!(
            ran.err.starts_with("difusor: ") && ran.err.contains("se admiten scp, sftp, cat, tar"),
            "{line}: {}",
            ran.err
        );
        assert_eq!(ran.err.matches('\n').count(), 1, "{line}: one sentence");
    }
    assert_eq!(bench.ok("ls").out, "paquetes\nsitio\n");
}

#[test]
fn a_refusal_names_the_culprit_in_the_senders_language() {
    let bench = Bench::with(|setup| setup.context.lang = Lang::En);
    let err = bench.run("systemctl reload nginx").err;
    assert!(
        err.starts_with("difusor: 'systemctl' is not allowed; nothing was run; allowed are scp, sftp, cat"),
        "{err}"
    );
    assert!(bench.run("rm --wat x").err.contains("'rm' does not know option --wat"));
    let hostile = bench.run("'\u{1b}[2J'").err;
    assert!(!hostile.contains('\u{1b}'), "{hostile:?}");
}

#[test]
fn no_name_leads_out_of_the_root() {
    let bench = Bench::new();
    for line in [
        "cat /etc/passwd",
        "cat ../../../etc/passwd",
        "cat < /etc/passwd",
        "ls /etc",
        "cp /etc/passwd x",
        "tar xf /etc/passwd",
        "sha256sum /proc/self/environ",
        "cd / && cd .. && cat etc/passwd",
        "cat ~root/.ssh/authorized_keys",
    ] {
        let ran = bench.run(line);
        assert_ne!(ran.status, 0, "{line}");
        assert!(ran.err.contains("No such file or directory"), "{line}: {}", ran.err);
    }
    bench.ok("mkdir -p ../../etc && echo mine > ../../../etc/passwd");
    assert_eq!(bench.text("etc/passwd").unwrap(), "mine\n");
}

#[test]
fn the_site_is_committed_once_at_the_clean_end() {
    let bench = Bench::new();
    let ran = bench.ok("mkdir -p sitio/css && echo a > sitio/index.html && echo b > sitio/css/x.css");
    assert_eq!(ran.err, PUBLISHED);
    assert_eq!(bench.trees().len(), 1);
    assert!(bench.trees()[0].contains(&"css/x.css".to_owned()));
}

#[test]
fn a_line_that_fails_drops_what_it_did_to_the_site() {
    let bench = Bench::new();
    let ran = bench.run("echo a > sitio/index.html; cat nada");
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("los cambios al sitio se descartaron"), "{}", ran.err);
    let ran = bench.run("echo a > sitio/index.html && exit 3");
    assert_eq!(ran.status, 3);
    assert_eq!(bench.send("cat > sitio/index.html", b"half", End::Cut).status, 1);
    // A file of the site that did not come whole is no success, whatever follows.
    let ran = bench.run("cat nada > sitio/index.html; true");
    assert_eq!(ran.status, 1);
    assert_eq!(bench.trees(), Vec::<Vec<String>>::new());
}

#[test]
fn a_line_that_only_looks_at_the_site_says_nothing_of_it() {
    let bench = Bench::new();
    assert_eq!(bench.run("ls sitio; test -e sitio/nada").err, "");
}

#[test]
fn and_or_and_set_e_steer_as_in_a_shell() {
    let bench = Bench::new();
    for (line, status, out) in [
        ("true && echo a || echo b", 0, "a\n"),
        ("false && echo a || echo b", 0, "b\n"),
        ("false || false; echo c", 0, "c\n"),
        ("! true || echo d", 0, "d\n"),
        ("set -e; false; echo no", 1, ""),
        ("set -e; false || true; echo e", 0, "e\n"),
        ("set -e; ! true; echo f", 0, "f\n"),
        ("set -eu; set -o pipefail; false && true; echo g", 0, "g\n"),
        ("exit 4; echo no", 4, ""),
        ("false; exit", 1, ""),
        ("false || exit 9 && echo no", 9, ""),
    ] {
        let ran = bench.run(line);
        assert_eq!((ran.status, ran.out.as_str()), (status, out), "{line}: {}", ran.err);
    }
}

#[test]
fn what_prefixes_a_command_is_overlooked() {
    let bench = Bench::with(|setup| setup.sudo = Sudo::Ignore);
    for line in [
        "sudo -n -u www-data echo x",
        "sudo echo x",
        "nice -n 19 ionice -c 3 echo x",
        "nice -19 echo x",
        "ionice -c2 -n7 echo x",
        "env LC_ALL=C A=b echo x",
        "LC_ALL=C echo x",
        "exec /bin/echo x",
        "command -- echo x",
        "/usr/bin/env echo x",
    ] {
        assert_eq!(bench.ok(line).out, "x\n", "{line}");
    }
    assert_eq!(bench.run("sudo").status, 127);
    assert_eq!(bench.run("sudo systemctl restart nginx").status, 127);
}

#[test]
fn owners_and_modes_are_accepted_and_nothing_is_said() {
    let bench = Bench::new();
    let line = "umask 022; chmod -R 755 sitio; chown -R www-data:www-data *; chgrp x y; sync; ulimit -n 1; \
                export LANG=C; find sitio -type d -exec chmod 755 {} \\; && find . -type f -exec chmod 644 {} +";
    assert_eq!(bench.ok(line), Ran { status: 0, out: String::new(), err: String::new() });
}

#[test]
fn what_a_pattern_finds_is_never_an_option() {
    let bench = Bench::new();
    bench.ok("mkdir t; echo x > t/-rf; echo y > t/b; mkdir t/d");
    let ran = bench.run("cd t && rm *");
    assert_eq!(ran.status, 1);
    assert_eq!(ran.err, "rm: cannot remove 'd': Is a directory\n");
    assert_eq!(bench.ok("ls t").out, "d\n");
}

#[test]
fn the_root_and_fixed_folders_stay() {
    let bench = Bench::new();
    assert_ne!(bench.run("rm -rf /").status, 0);
    assert_ne!(bench.run("rm -rf .").status, 0);
    assert_ne!(bench.run("rmdir paquetes").status, 0);
    assert_eq!(bench.ok("ls").out, "paquetes\nsitio\n");
}

#[test]
fn sums_are_checked_before_the_package_is_named() {
    let bench = Bench::new();
    bench.put("c.tmp", GOOD);
    let sum = bench.ok("sha256sum c.tmp").out;
    bench.put("c.sums", sum.as_bytes());
    let ran = bench.ok("sha256sum -c c.sums && mv c.tmp c.tar.gz");
    assert_eq!(ran.out, "c.tmp: OK\n");
    bench.put("d.tmp", b"other");
    bench.put("d.sums", sum.replace("c.tmp", "d.tmp").as_bytes());
    let ran = bench.run("sha256sum --check d.sums && mv d.tmp d.tar.gz");
    assert_eq!(
        ran,
        Ran {
            status: 1,
            out: "d.tmp: FAILED\n".into(),
            err: "sha256sum: WARNING: 1 computed checksum did NOT match\n".into(),
        }
    );
    assert_eq!(bench.packages(), ["c.tar.gz"]);
}

#[test]
fn the_clock_and_the_zone_are_the_instances() {
    let clock = Clock::at("2024-06-03T02:15:09Z".parse().unwrap());
    let bench = Bench::with(|setup| {
        setup.clock = clock;
        setup.zone = TimeZone::get("America/Mexico_City").unwrap();
    });
    assert_eq!(bench.ok("date").out, "Sun Jun  2 20:15:09 CST 2024\n");
    assert_eq!(bench.ok("date -u +%Y%m%d_%H%M").out, "20240603_0215\n");
    assert_eq!(bench.ok("date +%s; date -Iseconds").out, "1717380909\n2024-06-02T20:15:09-06:00\n");
    assert_eq!(bench.run("date -d yesterday").status, 127);
}

#[test]
fn no_command_at_all_prints_the_status() {
    let bench = Bench::with(|setup| setup.status = Some(Arc::new(|_| ("corte 20:15 publicado".into(), 0))));
    assert_eq!(bench.ok("").out, "corte 20:15 publicado\n");
    assert_eq!(bench.ok("status").out, "corte 20:15 publicado\n");
}

#[test]
fn rsync_gets_its_words_and_its_folder() {
    let bench = Bench::with(|setup| {
        setup.rsync = Some(Arc::new(|args, io, _, cwd, _| {
            let words: Vec<_> = args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
            let cwd = String::from_utf8(cwd.to_bytes()).unwrap();
            io.out(format!("{cwd} {}", words.join("|"))).unwrap();
            23
        }));
    });
    let ran = bench.run(r"mkdir -p x && cd x && rsync --server -vlogDtprze.iLsfxC . sitio/con\ espacio/");
    assert_eq!((ran.status, ran.out.as_str()), (23, "/x --server|-vlogDtprze.iLsfxC|.|sitio/con espacio/"));
    let ran = bench.run("sudo /opt/x/rsync -x --server --sender -l . x");
    assert_eq!(ran.out, "/ --server|--sender|-l|.|x", "its own server refuses it");
}

#[test]
fn scp_receives_where_the_line_stands() {
    let bench = Bench::new();
    let wire = b"C0644 5 a.txt\nhola\n\0";
    let ran = bench.send("mkdir -p x && cd x && scp -t .", wire, End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (0, "\0\0\0"), "{ran:?}");
    assert_eq!(bench.text("x/a.txt").unwrap(), "hola\n");
    assert_eq!(bench.send("/usr/bin/scp -pt ~", wire, End::Clean).status, 0);
    assert_eq!(bench.text("a.txt").unwrap(), "hola\n");
}

#[test]
fn one_line_cannot_sleep_for_long() {
    let bench = Bench::new();
    bench.ok("sleep 0 0.0 0s");
    assert_eq!(bench.run("sleep inf").status, 127);
    assert_eq!(bench.run("sleep -1").status, 127);
}

#[test]
fn files_that_cannot_be_written_fail_their_step() {
    let bench = Bench::new();
    assert_eq!(bench.run("echo x > nada/y").status, 1);
    assert_eq!(bench.run("cat > paquetes").status, 1);
    let ran = bench.run("cat < nada");
    assert_eq!((ran.status, ran.err.as_str()), (1, "cat: nada: No such file or directory\n"));
}

#[test]
fn nothing_multiplies_without_bound() {
    let bench = Bench::with(|setup| setup.limits.unpacked_bytes = 1000);
    let names: String = (0..320).map(|n| format!(" f{n}")).collect();
    bench.ok(&format!("mkdir t && cd t && touch{names}"));
    let ran = bench.run(&format!("cd t && cat{}", " *".repeat(320)));
    assert_eq!((ran.status, ran.err.as_str()), (1, "cat: Argument list too long\n"));
    assert_eq!(
        bench.run(&format!("printf '{}'{}", "%s".to_owned() + &"a".repeat(30_000), " x".repeat(4000))).status,
        127
    );
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut bomb, &[0; 2000]).unwrap();
    bench.put("b.gz", &bomb.finish().unwrap());
    for line in ["zcat b.gz | wc -c", "gunzip b.gz", "gunzip -c b.gz > b.tmp"] {
        let ran = bench.run(line);
        assert_eq!(ran.status, 1, "{line}");
        assert!(ran.err.contains("File too large"), "{line}: {}", ran.err);
    }
}
