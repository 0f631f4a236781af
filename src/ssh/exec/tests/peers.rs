//! The same command lines in a real shell with the real tools: status, output and errors
//! must be the same.

use std::io::Write as _;
use std::process::Command;

use super::*;

/// What every line begins from, in both worlds.
const FILES: &str = "mkdir -p w/d/e w/vacia && cd w && printf 'uno\\ndos\\n' > a.txt && printf xyz > b.txt && \
                     echo z > d/e/c.txt && echo y > d/f.txt && printf '' > nada.txt && echo q > \"it's\"";

/// What a real shell makes of the line.
fn real(line: &str) -> Ran {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("{FILES} || exit 99\n{line}")])
        .current_dir(scratch.path())
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    // bash puts its own name before what its built-in commands say.
    let err = text(output.stderr);
    let err = err.lines().map(|line| match line.split_once(": line ") {
        Some(("bash", rest)) => rest.split_once(": ").map_or(rest, |(_, text)| text).to_owned() + "\n",
        _ => line.to_owned() + "\n",
    });
    Ran {
        status: output.status.code().unwrap().try_into().unwrap(),
        out: text(output.stdout),
        err: err.collect(),
    }
}

fn ours(line: &str) -> Ran {
    let bench = Bench::new();
    bench.ok(FILES);
    bench.run(&format!("cd w; {line}"))
}

#[track_caller]
fn same(lines: &[&str]) {
    let differ = |line: &&&str| {
        (ours(line) != real(line)).then(|| format!("{line}\n  {:?}\n  {:?}", ours(line), real(line)))
    };
    let differences: Vec<String> = lines.iter().filter_map(|line| differ(&line)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn listing_and_looking() {
    same(&[
        "ls",
        "ls -1 d",
        "ls -a d",
        "ls -A d vacia",
        "ls -d d a.txt",
        "ls a.txt d nada2",
        "ls -r",
        "ls -S a.txt b.txt nada.txt",
        "ls *.txt",
        "ls d/*",
        "ls */*/*",
        "ls ?.txt d/?.txt",
        "ls x*",
        "ls -p",
        "stat -c %s a.txt b.txt",
        "stat -c '%n %s %F' a.txt d nada.txt",
        "stat --format=%s nope",
        "stat --printf=%s a.txt",
        "wc -c a.txt",
        "wc -l a.txt",
        "wc -c a.txt b.txt nope",
        "wc -c < a.txt",
        "cat a.txt | wc -l",
        "find . -type f -name nope",
        "find d -name c.txt",
        "find d -type d -name e",
        "find d -maxdepth 1 -name '*.txt'",
        "find d -mindepth 1 -name 'f*' -print",
        "find vacia -empty",
        "find nope",
        "du -sb a.txt",
        "pwd > /dev/null; test -d d; echo x",
    ]);
}

#[test]
fn making_and_removing() {
    same(&[
        "mkdir n && ls",
        "mkdir d",
        "mkdir n/m",
        "mkdir -p n/m/o d && ls n/m",
        "mkdir -pv d",
        "mkdir -v n",
        "mkdir -m 755 n && ls",
        "mkdir a.txt",
        "mkdir a.txt/x",
        "rmdir vacia && ls",
        "rmdir d",
        "rmdir nope",
        "rmdir a.txt",
        "rm a.txt && ls",
        "rm nope",
        "rm -f nope && echo sí",
        "rm d",
        "rm -r d && ls",
        "rm -rf d nope a.txt && ls",
        "rm -v a.txt",
        "rm -d vacia && ls",
        "rm -f",
        "rm *.txt; ls",
        "rm 'no such'",
        "rm \"it's not\"",
        "rm -rf ./",
        "touch t && ls",
        "touch -c t && ls",
        "touch nope/t",
        "find d -name c.txt -delete && ls d d/e",
        "find vacia -delete; ls",
        "find d -delete; ls",
    ]);
}

#[test]
fn moving_and_copying() {
    same(&[
        "mv a.txt n.txt && ls",
        "mv a.txt d && ls d",
        "mv a.txt b.txt d/ && ls d",
        "mv nope d",
        "mv a.txt nope/x",
        "mv a.txt nope/",
        "mv a.txt b.txt nope",
        "mv a.txt b.txt nada.txt",
        "mv -n a.txt b.txt; cat b.txt",
        "mv -f a.txt b.txt && cat b.txt && ls",
        "mv -v a.txt n",
        "mv d n && ls n",
        "mv d vacia && ls vacia",
        "mv -T d vacia && ls vacia",
        "mv -T vacia d",
        "mv d a.txt",
        "mv a.txt a.txt",
        "mv d d/e",
        "mv -t d a.txt && ls d",
        "mv *.txt vacia && ls vacia",
        "mv vacia/ v2 && ls",
        "cp a.txt n && cat n",
        "cp a.txt d && ls d",
        "cp a.txt b.txt d && ls d",
        "cp d n",
        "cp -r d n && find n -name c.txt",
        "cp -r d vacia && ls vacia vacia/d",
        "cp -R d/. vacia && ls vacia",
        "cp -a d/* vacia/ && ls vacia",
        "cp -rT d vacia && ls vacia",
        "cp nope n",
        "cp a.txt nope/x",
        "cp a.txt nope/",
        "cp a.txt b.txt nope",
        "cp a.txt b.txt nada.txt",
        "cp -v a.txt n",
        "cp -n a.txt b.txt; cat b.txt",
        "cp a.txt a.txt",
        "cp -r d d/x",
        "cp -p a.txt n && cp -f n b.txt && cat b.txt",
    ]);
}

#[test]
fn saying_and_asking() {
    same(&[
        "echo a b; echo -n c; echo; echo -e 'x\\ty\\n'; echo -x; echo - -n",
        "echo -en 'a\\101\\n'; echo 'a\\nb'",
        "printf 'a\\n'; printf '%s-%s\\n' a b c d; printf '%d%%\\n' 7; printf '%b' 'x\\n'; printf -- '-\\n'",
        "printf '%s'; printf 'sin fin'",
        "cat a.txt b.txt; cat nope; echo x",
        "cat d",
        "cat a.txt - < b.txt",
        "cat < a.txt",
        "echo x > n; echo y >> n; cat n",
        "echo x > n 2>&1; cat n nope 2>/dev/null; echo z >/dev/null",
        "cat nope > n 2>/dev/null; echo x",
        "cat nope 2>&1",
        "echo err 1>&2",
        "cat nope &>/dev/null || echo falló",
        "true; false; : ; echo fin",
        "cd nope",
        "cd a.txt",
        "cd d/e && cat c.txt && cd ../.. && cat b.txt",
        "cd d; cat f.txt",
        "test -e a.txt && test -f a.txt && test -d d && echo sí",
        "test -s nada.txt || echo no; [ -s a.txt ] && echo sí; [[ -d d ]] && echo sí",
        "[ ! -e nope ] && echo no está; test ! -d a.txt && echo x",
        "test -z '' && test -n x && [ a = a ] && [ a != b ] && [ 3 -gt 2 ] && [ 2 -le 2 ] && echo bien",
        "test; test x && echo x; test '' || echo vacío; [ ! '' ] && echo y; test -e && echo raro",
        "test a.txt -nt nope && echo nt; test nope -ot a.txt && echo ot",
        "date +%Y > /dev/null && echo bien",
        "exit 3",
        "set -e; cat nope; echo no",
        "uname; uname -s",
    ]);
}

#[test]
fn sums() {
    same(&[
        "sha256sum a.txt",
        "sha512sum a.txt b.txt",
        "sha1sum a.txt nope",
        "md5sum *.txt",
        "cksum a.txt nada.txt",
        "cksum < a.txt",
        "sha256sum --tag a.txt",
        "sha256sum < a.txt",
        "cat a.txt | md5sum",
        "sha256sum -b a.txt",
        "sha256sum d",
        "sha256sum a.txt b.txt > S && sha256sum -c S",
        "sha256sum a.txt b.txt > S && sha256sum -c --quiet S && sha256sum --status -c S && echo sí",
        "md5sum --tag a.txt > S && md5sum -c S",
        "sha256sum a.txt b.txt > S && echo x > a.txt && rm b.txt && sha256sum -c S",
        "sha256sum a.txt b.txt > S && echo x > a.txt && sha256sum --status -c S; echo y",
        "sha256sum a.txt b.txt > S && rm a.txt && sha256sum -c --ignore-missing S",
        "sha256sum a.txt > S && rm a.txt && sha256sum -c --ignore-missing S",
        "echo basura > S && sha256sum -c S",
        "sha256sum a.txt > S; echo basura >> S; sha256sum -c S; sha256sum -c --strict S; echo x; sha256sum -c -w S",
        "sha256sum -c nope",
        "echo '4bac8d9d2c6d0ee5a0ea1c0e3e9a1dba  a.txt' | md5sum -c -",
        "sha256sum a.txt > S && cat S | sha256sum -c",
    ]);
}

#[test]
fn gzip_files() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"uno\n").unwrap();
    let octal: String = packed.finish().unwrap().iter().map(|byte| format!("\\{byte:03o}")).collect();
    let pack = format!("printf '{octal}' > p.gz");
    let bad = "printf 'nada' > p.gz";
    for line in [
        "gunzip p.gz && cat p && ls",
        "gunzip -k p.gz && ls",
        "gzip -d p.gz && cat p",
        "gunzip -c p.gz; ls",
        "zcat p.gz",
        "cat p.gz | gunzip",
        "zcat p.gz | md5sum",
        "gzip -t p.gz && echo sí",
        "gunzip < p.gz",
        "gunzip a.txt",
        "gunzip nope.gz",
        "touch p; gunzip -f p.gz && cat p",
    ] {
        same(&[&format!("{pack}; {line}")]);
    }
    // The words differ with the version, the outcome does not.
    for line in ["gunzip p.gz", "zcat p.gz", "gzip -t p.gz"] {
        let line = format!("{bad}; {line} 2>/dev/null; ls");
        same(&[&line]);
    }
}
