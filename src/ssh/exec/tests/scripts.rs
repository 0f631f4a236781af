//! `bash -s`, heredocs and `sh -c`.

use super::*;
use crate::ssh::rig::GOOD;

fn bench() -> Bench {
    Bench::with(|setup| setup.scripts = Scripts::Read)
}

#[test]
fn a_heredoc_is_read_line_by_line() {
    let bench = bench();
    bench.put("c.tmp", GOOD);
    let script = b"#!/bin/bash\nset -e\n\ncd paquetes   # here\nmv ../c.tmp \\\n   c.tar.gz\ntest -s c.tar.gz &&\n  echo 'todo\nbien'\n";
    for shell in ["bash -s", "sh", "bash -s -- 1 2", "/bin/bash -l", "bash -ex"] {
        let ran = bench.send(shell, script, End::Clean);
        if shell == "bash -s" {
            assert_eq!(ran, Ran { status: 0, out: "todo\nbien\n".into(), err: PUBLISHED.into() });
        } else {
            // The second time there is nothing to move, and `set -e` ends it there.
            assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{shell}");
        }
    }
}

#[test]
fn a_script_without_set_e_goes_on_after_a_failure() {
    let bench = bench();
    let ran = bench.send("bash", b"cat nada\necho sigue", End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (0, "sigue\n"));
    let ran = bench.send("bash -e", b"cat nada\necho no\n", End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
}

#[test]
fn a_script_ends_at_the_first_line_that_is_not_understood() {
    let bench = bench();
    let ran =
        bench.send("bash -s", b"echo a > sitio/x.html\necho uno\nif true; then\necho dos\nfi\n", End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (127, "uno\n"));
    assert!(ran.err.contains("difusor: l\u{ed}nea 3: no se admite \u{ab}if\u{bb}"), "{}", ran.err);
    assert!(ran.err.contains("se descartaron"), "{}", ran.err);
    assert_eq!(bench.trees(), Vec::<Vec<String>>::new());
    for (script, line) in [("echo 'a\nb", 2), ("true\nscp -t .\n", 2), ("true &&", 1)] {
        let ran = bench.send("bash -s", script.as_bytes(), End::Clean);
        assert_eq!(ran.status, 127, "{script}");
        assert!(ran.err.contains(&format!("l\u{ed}nea {line}:")), "{script}: {}", ran.err);
    }
}

#[test]
fn a_script_that_was_cut_off_commits_nothing() {
    let bench = bench();
    assert_eq!(bench.send("bash -s", b"echo a > sitio/x.html\n", End::Cut).status, 1);
    assert_eq!(bench.trees(), Vec::<Vec<String>>::new());
    assert_eq!(bench.send("bash -s", b"echo a > sitio/x.html\n", End::Clean).status, 0);
    assert_eq!(bench.trees(), [["x.html"]]);
}

#[test]
fn commands_of_a_script_do_not_eat_it() {
    let bench = bench();
    let ran = bench.send("bash -s", b"cat\necho despu\xc3\xa9s\nexit 5\necho no\n", End::Clean);
    assert_eq!((ran.status, ran.out.as_str()), (5, "despu\u{e9}s\n"));
}

#[test]
fn a_line_inside_sh_c_is_the_line() {
    let bench = bench();
    for line in
        ["sh -c 'echo a && echo b'", "bash -lc \"echo a; echo b\"", "exec sh -c \"sh -c 'echo a; echo b'\""]
    {
        assert_eq!(bench.ok(line).out, "a\nb\n", "{line}");
    }
    assert_eq!(bench.send("bash -c 'cat > c.tar.gz'", GOOD, End::Clean).err, PUBLISHED);
    assert_eq!(bench.run("cd x && sh -c 'echo a'").status, 127);
    assert_eq!(bench.run("bash deploy.sh").status, 127);
    assert_eq!(bench.run("bash -i").status, 127);
}

#[test]
fn no_script_is_read_unless_the_configuration_says_so() {
    let bench = Bench::new();
    for line in ["bash -s", "sh", "sh -c 'echo a'", "bash -lc 'echo a'"] {
        let ran = bench.send(line, b"echo a\n", End::Clean);
        assert_eq!((ran.status, ran.out.as_str()), (127, ""), "{line}");
    }
}

#[test]
fn a_script_is_bounded() {
    let long = "echo ".to_owned() + &"a".repeat(70 << 10);
    assert_eq!(bench().send("bash -s", long.as_bytes(), End::Clean).status, 127);
    let many = "true\n".repeat(250_000);
    assert_eq!(bench().send("bash -s", many.as_bytes(), End::Clean).status, 127);
}
