//! What a line of trust may say, and what a stock client can do with it: certificates, one
//! intake only, successors, security keys, passwords, and the server's own keys.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Instant;

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, piped, shown};
use crate::trust::{Upload, comes_in, is_denied, node_with, pair, refusals, run, trust, wait_keys};

fn keygen(node: &Node, args: &[&str]) {
    let made = Command::new("ssh-keygen").current_dir(node.path("")).args(args).output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
}

/// Signs `KEY.pub` with the authority `ca` of the node.
fn certify(node: &Node, key: &str, args: &[&str]) {
    let _ = std::fs::remove_file(node.path(&format!("{key}-cert.pub")));
    let file = format!("{key}.pub");
    keygen(node, &[&["-q", "-s", "ca", "-I", "prueba"], args, &[file.as_str()]].concat());
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn certificates_of_a_trusted_authority_come_in_and_others_do_not() {
    let mut node = Node::start();
    for key in ["ca", "otra-ca", "maquina"] {
        pair(&node, key, &["ed25519"]);
    }
    let added = node.difusor(&[
        "keys",
        "add",
        "instituto",
        "--from",
        "127.0.0.0/8",
        "--authority",
        "--principal",
        "prep",
        "--principal",
        "envio",
        node.path("ca.pub").to_str().unwrap(),
    ]);
    assert!(added.status.success(), "{}", shown(&added));
    wait_keys(&node, "added", "instituto");
    let enter = |node: &Node| run(node, "maquina", &[], &["pwd"]);
    is_denied(&enter(&node));
    for good in [
        &["-n", "envio", "-V", "-1m:+1h"][..],
        &["-n", "otro,prep"],
        &["-n", "prep", "-O", "source-address=127.0.0.1,10.0.0.0/8"],
        &["-n", "prep", "-O", "force-command=internal-sftp"],
    ] {
        certify(&node, "maquina", good);
        let output = enter(&node);
        if good.contains(&"force-command=internal-sftp") {
            assert_eq!(output.status.code(), Some(127), "{}", shown(&output));
            assert!(shown(&output).contains("internal-sftp"), "{}", shown(&output));
        } else {
            comes_in(&output);
        }
    }
    for bad in [
        &["-n", "root"][..],
        &[],
        &["-n", "prep", "-V", "-2h:-1h"],
        &["-n", "prep", "-V", "+1h:+2h"],
        &["-n", "prep", "-h"],
        &["-n", "prep", "-O", "source-address=10.0.0.0/8"],
        &["-n", "prep", "-O", "force-command=/bin/sh"],
        &["-n", "prep", "-O", "critical:nadie@ejemplo.mx=1"],
    ] {
        certify(&node, "maquina", bad);
        is_denied(&enter(&node));
    }
    keygen(&node, &["-q", "-s", "otra-ca", "-I", "x", "-n", "prep", "maquina.pub"]);
    is_denied(&enter(&node));
    // The authority's own key is nobody's.
    let _ = std::fs::remove_file(node.path("ca-cert.pub"));
    is_denied(&run(&node, "ca", &[], &["pwd"]));
    let refusals = refusals(&mut node);
    for reason in ["certificate", "unknown_authority", "unknown_key"] {
        assert!(refusals.iter().any(|(why, _)| why == reason), "{reason}: {refusals:?}");
    }
}

#[test]
fn a_session_ends_with_its_certificate_and_with_its_authority() {
    let node = Node::start();
    for key in ["ca", "corta", "larga"] {
        pair(&node, key, &["ed25519"]);
    }
    trust(&node, "ca", "from=\"127.0.0.0/8\",cert-authority");
    wait_keys(&node, "added", "ca");
    certify(&node, "larga", &["-n", "prep", "-V", "-1m:+1h"]);
    certify(&node, "corta", &["-n", "prep", "-V", "-1m:+4s"]);
    let (short, long) = (Upload::begin(&node, "corta", "x.tmp"), Upload::begin(&node, "larga", "y.tmp"));
    let ended = short.ended();
    assert!(!ended.status.success(), "{}", shown(&ended));
    let revoked = node.difusor(&["keys", "revoke", "ca"]);
    assert!(revoked.status.success(), "{}", shown(&revoked));
    let ended = long.ended();
    assert!(!ended.status.success(), "{}", shown(&ended));
    assert!(node.ledger_of("received").is_empty());
}

#[test]
fn a_key_with_a_command_does_that_and_nothing_else() {
    let node = node_with("from=\"127.0.0.0/8\",command=\"internal-sftp\"");
    let cuts = Cuts::good(1);
    let other = run(&node, "id", &[], &["pwd"]);
    assert_eq!(other.status.code(), Some(127), "{}", shown(&other));
    assert!(shown(&other).contains("esta llave sólo puede «internal-sftp»"), "{}", shown(&other));
    let classic = node.scp(&["-O"], &[&cuts.path(0)], "");
    assert!(!classic.status.success(), "{}", shown(&classic));
    let modern = node.scp(&[], &[&cuts.path(0)], "");
    assert!(modern.status.success(), "{}", shown(&modern));
    node.wait_live(&cuts.path(0));

    trust(&node, "id", "from=\"127.0.0.0/8\",command=\"rrsync -wo /paquetes\"");
    wait_keys(&node, "changed", "id");
    let sftp = node.scp(&[], &[&cuts.path(1)], "");
    assert!(!sftp.status.success() && shown(&sftp).contains("rrsync"), "{}", shown(&sftp));
    let rsync = |target: &str| -> Output {
        let shell = format!("ssh -p {} {}", node.ssh.port(), node.ssh_options("id").join(" "));
        let mut rsync = Command::new("rsync");
        rsync.args(["-t", "-e", &shell]).arg(cuts.path(1)).arg(format!("prep@127.0.0.1:{target}"));
        rsync.output().unwrap()
    };
    let outside = rsync("../sitio/");
    assert!(!outside.status.success(), "{}", shown(&outside));
    let pushed = rsync("/");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(1));

    trust(&node, "id", "from=\"127.0.0.0/8\",command=\"cat > fijo.tmp\"");
    until("changed twice", || node.ledger_of("keys").iter().filter(|l| l["what"] == "changed").count() >= 2);
    let fixed = piped(
        Command::new("ssh").args(node.ssh_options("id")).args([
            "-p",
            &node.ssh.port().to_string(),
            "prep@127.0.0.1",
            "cat > otro.tmp",
        ]),
        b"hola",
    );
    assert!(fixed.status.success(), "{}", shown(&fixed));
    trust(&node, "id", "from=\"127.0.0.0/8\"");
    until("changed again", || node.ledger_of("keys").iter().filter(|l| l["what"] == "changed").count() >= 3);
    let listed = node.exec("ls", b"");
    assert!(
        shown(&listed).contains("fijo.tmp") && !shown(&listed).contains("otro.tmp"),
        "{}",
        shown(&listed)
    );
}

#[test]
fn a_key_is_followed_by_another_while_both_count() {
    let node = Node::start();
    pair(&node, "nueva", &["ed25519"]);
    trust(&node, "id", "from=\"127.0.0.1,127.0.0.9\",restrict");
    wait_keys(&node, "changed", "id");
    let file = node.path("nueva.pub");
    let rotated =
        node.difusor(&["keys", "rotate", "id", "id-2", file.to_str().unwrap(), "--overlap", "4s", "--json"]);
    assert!(rotated.status.success(), "{}", shown(&rotated));
    wait_keys(&node, "added", "id-2");
    comes_in(&run(&node, "nueva", &[], &["pwd"]));
    let old = Upload::begin(&node, "id", "x.tmp");
    let text = std::fs::read_to_string(node.path("keys/trusted/id-2.pub")).unwrap();
    assert!(text.starts_with("from=\"127.0.0.1,127.0.0.9\",restrict ssh-ed25519 "), "{text}");
    // At its end the old one is out, and so is who came in by it.
    let ended = old.ended();
    assert!(!ended.status.success(), "{}", shown(&ended));
    is_denied(&run(&node, "id", &[], &["pwd"]));
    comes_in(&run(&node, "nueva", &[], &["pwd"]));
    wait_keys(&node, "expired", "id");
    let twice = node.difusor(&["keys", "rotate", "id-2", file.to_str().unwrap()]);
    assert_eq!(twice.status.code(), Some(1), "{}", shown(&twice));
    // Its file may be named alone; the name is then made from the old one's.
    pair(&node, "id_tercera", &["ed25519"]);
    let file = node.path("id_tercera.pub");
    let rotated = node.difusor(&["keys", "rotate", "id-2", file.to_str().unwrap(), "--overlap", "2h"]);
    assert!(shown(&rotated).contains("id-2-2 SHA256:"), "{}", shown(&rotated));
}

#[test]
fn the_list_of_keys_says_what_each_may_do_and_when_it_was_used() {
    let node = Node::start();
    pair(&node, "espejo", &["ed25519"]);
    let added = node.difusor(&[
        "keys",
        "add",
        "espejo",
        "--from",
        "127.0.0.9/32",
        "--command",
        "rrsync -wo /sitio",
        node.path("espejo.pub").to_str().unwrap(),
    ]);
    assert!(added.status.success(), "{}", shown(&added));
    comes_in(&run(&node, "id", &[], &["pwd"]));
    until("a use on disk", || node.path("var/keys-used.json").exists());
    let listed: serde_json::Value =
        serde_json::from_slice(&node.difusor(&["keys", "list", "--json"]).stdout).unwrap();
    let keys = listed["data"]["keys"].as_array().unwrap();
    let find = |name: &str| keys.iter().find(|key| key["name"] == name).unwrap();
    assert_eq!(find("espejo")["may"], "rrsync -wo /sitio");
    assert!(find("espejo")["last_use"].is_null());
    assert_eq!((&find("id")["may"], &find("id")["last_use"]["from"]), (&"any".into(), &"127.0.0.1".into()));
    let text = shown(&node.difusor(&["keys", "list"]));
    assert!(text.contains("rrsync -wo /sitio") && text.contains("último uso"), "{text}");
}

/// `sk-dummy.so` of OpenSSH's own tests stands for the token.
#[test]
fn security_keys_come_in_and_only_when_touched() {
    let provider = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";
    assert!(std::path::Path::new(provider).exists(), "missing: apt-get install openssh-tests");
    let node = Node::start();
    let with = format!("SecurityKeyProvider={provider}");
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-w", provider, "-f"])
            .arg(node.path(kind))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", shown(&made));
        trust(&node, kind, "from=\"127.0.0.0/8\"");
        wait_keys(&node, "added", kind);
        comes_in(&run(&node, kind, &["-o", &with], &["pwd"]));
    }
    // The dummy says that its user was touched, and never that a PIN was asked for.
    trust(&node, "ed25519-sk", "from=\"127.0.0.0/8\",verify-required");
    wait_keys(&node, "changed", "ed25519-sk");
    is_denied(&run(&node, "ed25519-sk", &["-o", &with], &["pwd"]));
    let untouched = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", "ed25519-sk", "-O", "no-touch-required", "-w", provider, "-f"])
        .arg(node.path("lejos"))
        .output()
        .unwrap();
    assert!(untouched.status.success(), "{}", shown(&untouched));
    trust(&node, "lejos", "from=\"127.0.0.0/8\"");
    wait_keys(&node, "added", "lejos");
    is_denied(&run(&node, "lejos", &["-o", &with], &["pwd"]));
    trust(&node, "lejos", "from=\"127.0.0.0/8\",no-touch-required");
    wait_keys(&node, "changed", "lejos");
    comes_in(&run(&node, "lejos", &["-o", &with], &["pwd"]));
}

/// `ssh` that knows the host by this file only.
fn by_known_hosts(node: &Node, known: &str, options: &[&str]) -> Output {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-i", node.path("id").to_str().unwrap(), "-o", "IdentitiesOnly=yes"]);
    ssh.args(["-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=VERBOSE"]);
    ssh.args(["-o", &format!("UserKnownHostsFile={}", node.path(known).display())]).args(options);
    ssh.args(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1", "pwd"]);
    ssh.output().unwrap()
}

#[test]
fn the_next_host_key_is_announced_and_proved_before_the_switch() {
    let node = Node::start();
    let asked = ["-o", "UpdateHostKeys=yes", "-o", "StrictHostKeyChecking=accept-new"];
    let first = by_known_hosts(&node, "known", &asked);
    assert!(first.status.success(), "{}", shown(&first));
    let nothing = node.difusor(&["keys", "host", "rotate", "--switch"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", shown(&nothing));
    let prepared = node.difusor(&["keys", "host", "rotate", "--json"]);
    assert!(prepared.status.success(), "{}", shown(&prepared));
    let prepared: serde_json::Value = serde_json::from_slice(&prepared.stdout).unwrap();
    let next = prepared["data"]["known_hosts"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    let known = || std::fs::read_to_string(node.path("known")).unwrap();
    assert!(!known().contains(&next));
    until("announced", || {
        let seen =
            by_known_hosts(&node, "known", &["-o", "UpdateHostKeys=yes", "-o", "StrictHostKeyChecking=yes"]);
        assert!(seen.status.success(), "{}", shown(&seen));
        known().contains(&next)
    });
    let shown_keys = shown(&node.difusor(&["keys", "host", "show"]));
    assert!(
        shown_keys.contains("siguiente, anunciada") && shown_keys.contains("IN SSHFP 4 2 "),
        "{shown_keys}"
    );
    let switched = node.difusor(&["keys", "host", "rotate", "--switch"]);
    assert!(switched.status.success(), "{}", shown(&switched));
    let port = node.ssh.port().to_string();
    until("switched", || {
        let scan =
            Command::new("ssh-keyscan").args(["-t", "ed25519", "-p", &port, "127.0.0.1"]).output().unwrap();
        String::from_utf8_lossy(&scan.stdout).contains(&next)
    });
    let strict = by_known_hosts(&node, "known", &["-o", "StrictHostKeyChecking=yes"]);
    assert!(strict.status.success(), "{}", shown(&strict));
    let olds = std::fs::read_dir(node.path("keys/host/old")).unwrap().count();
    assert_eq!(olds, 2, "the key that was, and its public half");
}

#[test]
fn a_host_certificate_is_enough_for_who_trusts_its_authority() {
    let mut node = Node::prepare("");
    node.up("run");
    keygen(&node, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    let key = "keys/host/ssh_host_ed25519_key.pub";
    keygen(&node, &["-q", "-s", "ca", "-I", "difusor", "-h", "-n", "127.0.0.1", key]);
    let public = std::fs::read_to_string(node.path("ca.pub")).unwrap();
    std::fs::write(node.path("known"), format!("@cert-authority * {public}")).unwrap();
    // Without a restart.
    until("certified", || {
        by_known_hosts(&node, "known", &["-o", "StrictHostKeyChecking=yes"]).status.success()
    });
    let shown_keys = shown(&node.difusor(&["keys", "host", "show"]));
    assert!(shown_keys.contains("con certificado"), "{shown_keys}");
}

const BY_PASSWORD: &str = r#"
import sys, paramiko
port, password, count = sys.argv[1:]
for _ in range(int(count)):
    transport = paramiko.Transport(("127.0.0.1", int(port)))
    transport.start_client(timeout=30)
    try:
        print("methods", transport.auth_none("iepc"))
    except paramiko.BadAuthenticationType as error:
        print("methods", ",".join(error.allowed_types))
    try:
        transport.auth_password("iepc", password, fallback=False)
        channel = transport.open_session(timeout=30)
        channel.exec_command("pwd")
        print("in", channel.recv(10).decode().strip())
    except paramiko.SSHException as error:
        print("out", type(error).__name__)
    transport.close()
"#;

fn by_password(node: &Node, password: &str, count: usize) -> String {
    let mut python = Command::new("timeout");
    python.args(["120", "/usr/bin/python3", "-W", "ignore", "-c", BY_PASSWORD]);
    let done = python.args([&node.ssh.port().to_string(), password, &count.to_string()]).output().unwrap();
    assert!(done.status.success(), "{}", shown(&done));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_password_counts_where_it_is_asked_for_and_from_trusted_networks_only() {
    let mut node = Node::prepare("");
    let wrong = "[ssh]\npasswords = true\n";
    node.configure(wrong);
    let checked = node.difusor(&["check"]);
    assert!(shown(&checked).contains("nómbrelas en [trust] networks"), "{}", shown(&checked));
    let set = |node: &Node, password: &str| {
        let mut set = Command::new(crate::night::DIFUSOR);
        set.args(["keys", "password", "iepc", "--config"]).arg(node.path("difusor.toml"));
        piped(set.env_remove("LANG").env_remove("LC_ALL"), password.as_bytes())
    };
    node.configure("");
    assert_eq!(set(&node, "corta\n").status.code(), Some(1));
    let done = set(&node, "clave larga 2027\n");
    assert!(done.status.success() && shown(&done).contains("No vale todavía"), "{}", shown(&done));
    let mode = node.path("keys/passwords").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    node.up("run");
    let off = by_password(&node, "clave larga 2027", 1);
    assert!(off.contains("methods publickey\n") && off.contains("out "), "{off}");
    node.stop();
    node.configure("[ssh]\npasswords = true\n[trust]\nnetworks = [\"127.0.0.0/8\"]\n");
    node.up("run");
    let good = by_password(&node, "clave larga 2027", 1);
    assert!(good.contains("password") && good.contains("in /"), "{good}");
    assert!(by_password(&node, "otra clave larga", 1).contains("out "));
    let gone = node.difusor(&["keys", "password", "iepc", "--remove"]);
    assert!(gone.status.success(), "{}", shown(&gone));
    until("withdrawn", || by_password(&node, "clave larga 2027", 1).contains("out "));
    let refusals = refusals(&mut node);
    assert!(refusals.contains(&("password".into(), "127.0.0.1".into())), "{refusals:?}");
}
