//! What is written for people: help, manual pages, completions, units, and what a verb says to machines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{DIFUSOR, Node, PATIENCE, curl, shown};

/// Every verb, with the group it is in.
const VERBS: &[&str] = &[
    "",
    "demo",
    "init",
    "run",
    "receive",
    "serve",
    "check",
    "doctor",
    "status",
    "releases",
    "releases list",
    "releases show",
    "releases verify",
    "releases rollback",
    "releases hold",
    "releases resume",
    "notice",
    "notice on",
    "notice off",
    "night",
    "night show",
    "night close",
    "night reopen",
    "night accept",
    "incidents",
    "incidents list",
    "incidents show",
    "incidents open",
    "incidents note",
    "incidents close",
    "incidents export",
    "alert",
    "alert test",
    "monitor",
    "monitor show",
    "publish",
    "keys",
    "keys list",
    "keys add",
    "keys revoke",
    "keys rotate",
    "keys password",
    "keys host",
    "keys host show",
    "keys host rotate",
    "trust",
    "trust list",
    "trust add",
    "trust remove",
    "explain",
    "package",
    "package verify",
    "package inspect",
    "simulate",
    "simulate packages",
    "ledger",
    "ledger list",
    "ledger verify",
    "ledger export",
    "log",
    "log export",
    "stats",
    "stats show",
    "stats export",
    "stats windows",
    "stats rebuild",
    "stats import",
    "stats import-baseline",
    "stats crosscheck",
    "audit",
    "reload",
    "admin",
    "admin link",
    "healthcheck",
    "report",
    "report memoria",
    "report interconnection",
    "report architecture",
    "report availability",
    "report drill",
    "report dossier",
    "report template",
    "man",
    "completions",
];

/// Words that give away the other language.
const SPANISH: &[&str] = &[
    "Uso:",
    "Órdenes",
    "Opciones",
    "Ejemplos",
    "Salidas",
    "por omisión",
    "valores",
    "ARCHIVO",
    "CARPETA",
    "IDIOMA",
    "NOMBRE",
    "ORDEN",
    "PERFIL",
    " el ",
    " la ",
    " los ",
    " de ",
    " que ",
    "ción",
    "ejemplo",
];
const ENGLISH: &[&str] = &[
    "Usage",
    "OPTIONS",
    "COMMAND",
    "Options",
    "Commands",
    "Arguments",
    "Examples",
    "default:",
    "values:",
    "possible",
    "Print ",
    "Show ",
    " the ",
    " of ",
    " and ",
    " for ",
    "example",
    "FILE",
    "FOLDER",
];

fn difusor(line: &str, lang: &str) -> Output {
    let mut command = Command::new(DIFUSOR);
    command.args(line.split_whitespace()).args(["--lang", lang]);
    command.env_remove("LANG").env_remove("LC_ALL").env_remove("LC_MESSAGES").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

#[test]
fn every_help_has_examples_and_speaks_one_language() {
    let foreign = [("es", "Ejemplos:\n  difusor", ENGLISH), ("en", "Examples:\n  difusor", SPANISH)];
    for (lang, examples, words) in foreign {
        for verb in VERBS {
            let help = difusor(&format!("{verb} --help"), lang);
            assert!(help.status.success(), "{verb}: {}", shown(&help));
            let help = text(&help.stdout);
            assert!(help.contains(examples), "{verb}: {help}");
            for word in words {
                assert!(!help.contains(word), "{verb} says «{word}» in {lang}:\n{help}");
            }
        }
    }
}

#[test]
fn the_list_of_verbs_here_is_whole() {
    for group in VERBS {
        let help = text(&difusor(&format!("{group} --help"), "es").stdout);
        let Some((_, list)) = help.split_once("Órdenes:\n") else { continue };
        let (list, _) = list.split_once("\n\n").unwrap();
        for line in list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let verb = format!("{group} {}", line.split_whitespace().next().unwrap());
            assert!(VERBS.contains(&verb.trim()), "{verb} is not in the list of this test");
        }
    }
}

#[test]
fn without_arguments_the_help_is_shown_and_the_exit_is_2() {
    for (locale, heading) in [("C.UTF-8", "Órdenes:"), ("en_US.UTF-8", "Commands:")] {
        for verb in [None, Some("keys")] {
            let bare = Command::new(DIFUSOR).args(verb).env("LC_ALL", locale).output().unwrap();
            assert_eq!(bare.status.code(), Some(2), "{}", shown(&bare));
            assert!(text(&bare.stderr).contains(heading) && bare.stdout.is_empty(), "{}", shown(&bare));
        }
    }
}

#[test]
fn a_mistyped_line_names_the_nearest_and_the_help_to_read() {
    let cases = [
        ("es", "keys ad x", "orden desconocida «ad»; ¿quiso decir «add»?", "vea difusor keys --help"),
        (
            "en",
            "keys add x --form 10.0.0.0/8",
            "unknown option «--form»; did you mean «--from»?",
            "see difusor keys add --help",
        ),
    ];
    for (lang, line, told, hint) in cases {
        let wrong = difusor(line, lang);
        assert_eq!(wrong.status.code(), Some(2), "{}", shown(&wrong));
        let text = text(&wrong.stderr);
        assert!(text.contains(told) && text.contains(hint), "{text}");
    }
}

#[test]
fn manual_pages_are_whole_and_clean() {
    let headings = [
        (
            "es",
            [
                "NOMBRE",
                "SINOPSIS",
                "DESCRIPCIÓN",
                "OPCIONES",
                "ESTADO DE SALIDA",
                "EJEMPLOS",
                "VÉASE TAMBIÉN",
            ],
        ),
        ("en", ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]),
    ];
    for (lang, headings) in headings {
        let dir = tempfile::tempdir().unwrap();
        let made = difusor(&format!("man {}", dir.path().display()), lang);
        assert!(made.status.success(), "{}", shown(&made));
        let pages: Vec<PathBuf> = VERBS
            .iter()
            .map(|verb| dir.path().join(format!("difusor {verb}").trim().replace(' ', "-") + ".8"))
            .collect();
        let file = dir.path().join("difusor.toml.5");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), pages.len() + 1);
        for page in &pages {
            let text = std::fs::read_to_string(page).unwrap();
            for heading in headings {
                assert!(text.contains(&format!("\n.SH {heading}\n")), "{}: {heading}", page.display());
            }
            let (_, examples) = text.split_once(".EX\n").unwrap();
            assert!(examples.starts_with("difusor"), "{}: no example", page.display());
            for code in [0, 1, 2, 4, 6, 8, 78] {
                assert!(text.contains(&format!("\\fB{code}\\fR")), "{}: exit {code}", page.display());
            }
        }
        let keys = std::fs::read_to_string(&file).unwrap();
        for key in difusor::config::KEYS {
            let name = key.name.replace('-', "\\-");
            assert!(keys.contains(&format!("\n.TP\n\\fB{name}\\fR")), "difusor.toml(5): {}", key.name);
        }
        let lint = Command::new("mandoc")
            .args(["-Tlint", "-W", "warning"])
            .args(&pages)
            .arg(&file)
            .output()
            .unwrap();
        assert!(lint.status.success() && lint.stdout.is_empty(), "{}", shown(&lint));
    }
}

#[test]
fn completions_are_what_their_shell_can_read() {
    for shell in ["bash", "zsh", "fish"] {
        let made = difusor(&format!("completions {shell}"), "es");
        assert!(made.status.success(), "{}", shown(&made));
        let script = text(&made.stdout);
        for word in ["releases", "rollback", "--reason"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let read = Command::new(shell).arg("-n").arg(file.path()).output().unwrap();
        assert!(read.status.success(), "{shell}: {}", shown(&read));
    }
}

const UNITS: [&str; 3] = ["difusor.service", "difusor-receive.service", "difusor-serve.service"];

#[test]
fn units_are_valid_and_hardened() {
    let dir = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let file = root("systemd").join(unit);
        let text = std::fs::read_to_string(&file).unwrap();
        // Verification wants the program to be there.
        let here = dir.path().join(unit);
        std::fs::write(&here, text.replace("/usr/bin/difusor", DIFUSOR)).unwrap();
        let valid = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here).output().unwrap();
        assert!(valid.status.success() && valid.stderr.is_empty(), "{unit}: {}", shown(&valid));
        let safe = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(safe.status.success(), "{unit}: {}", shown(&safe));
    }
}

#[test]
fn sockets_are_valid_and_named_after_their_doors() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |unit: &str| {
        let text = std::fs::read_to_string(root("systemd").join(unit)).unwrap();
        let here = dir.path().join(unit);
        std::fs::write(&here, text.replace("/usr/bin/difusor", DIFUSOR)).unwrap();
        (here, text)
    };
    copy("difusor-serve.service");
    copy("difusor-receive.service");
    for door in ["https", "http", "ssh", "rsync", "rsync-alt", "admin"] {
        let (here, text) = copy(&format!("difusor-{door}.socket"));
        assert!(text.contains(&format!("\nFileDescriptorName={door}\n")));
        let valid = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here).output().unwrap();
        assert!(valid.status.success() && valid.stderr.is_empty(), "{door}: {}", shown(&valid));
    }
}

#[test]
fn every_directive_of_a_unit_has_its_reason() {
    for unit in UNITS {
        let text = std::fs::read_to_string(root("systemd").join(unit)).unwrap();
        let (_, service) = text.split_once("[Service]\n").unwrap();
        let (service, _) = service.split_once("[Install]").unwrap();
        for block in service.split("\n\n").filter(|block| !block.is_empty()) {
            assert!(block.starts_with('#'), "{unit}: no reason for\n{block}");
        }
    }
}

/// What we ask for and can do without: `site::press` lowers its own priority where it may, and the sandbox gives up
/// what root has and tries what must be refused.
const DISPENSABLE: [&str; 7] = ["setpriority", "capset", "mount", "mknod", "mknodat", "setuid", "fchown"];

/// What the filter of the units forbids would fail on the night: no call that we need is in it.
#[test]
fn the_service_calls_nothing_that_its_unit_forbids() {
    let (mut node, cuts) = (Node::prepare(""), Cuts::good(3));
    let mut service = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(node.path("trace"))
        .args([DIFUSOR, "run", "--config"])
        .arg(node.path("difusor.toml"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !node.path("var/run/receive.json").exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let bound: Value =
        serde_json::from_slice(&std::fs::read(node.path("var/run/receive.json")).unwrap()).unwrap();
    node.ssh = bound["ssh"][0].as_str().unwrap().parse().unwrap();
    let tree = cuts.unpacked(3);
    let (index, data) = (tree.path().join("index.html"), tree.path().join("assets"));
    let pushed = [
        node.scp(&[], &[&cuts.path(0)], ""),
        node.scp(&["-O"], &[&cuts.path(1)], ""),
        node.sftp(&format!("put {} paquetes/\n", cuts.path(2).display())),
        node.scp(&["-r"], &[&index, &data], "sitio/"),
        node.difusor(&["publish", cuts.path(3).to_str().unwrap()]),
    ];
    let seen =
        curl(&format!("https://{}/index.html", bound["https"][0].as_str().unwrap()), &["--compressed"]);
    let trace = std::fs::read_to_string(node.path("trace")).unwrap();
    let pid = trace.split_whitespace().next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(service.wait().unwrap().success());
    for push in &pushed {
        assert!(push.status.success(), "{}", shown(push));
    }
    assert_eq!(seen.status, 200, "{}", seen.head);
    let trace = std::fs::read_to_string(node.path("trace")).unwrap();
    let calls: BTreeSet<&str> = trace
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1.trim_start().split_once('(')?.0))
        .filter(|call| call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    assert!(calls.contains("openat2") && calls.contains("accept4"), "{calls:?}");
    for unit in UNITS {
        let allowed = allowed(&std::fs::read_to_string(root("systemd").join(unit)).unwrap());
        let refused: Vec<_> =
            calls.iter().filter(|c| !allowed.contains(**c) && !DISPENSABLE.contains(c)).collect();
        assert!(refused.is_empty(), "{unit} forbids {refused:?}");
    }
}

/// The calls that the filter lines of a unit leave, taken in their order.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut allowed = set("@default");
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (words, adds) = line.strip_prefix('~').map_or((line, true), |words| (words, false));
        let calls =
            words.split(' ').flat_map(|w| if w.starts_with('@') { set(w) } else { [w.to_owned()].into() });
        for call in calls {
            if adds {
                allowed.insert(call)
            } else {
                allowed.remove(&call)
            };
        }
    }
    allowed
}

/// The calls in a set of systemd's, with those of the sets it names.
fn set(name: &str) -> BTreeSet<String> {
    let shown = Command::new("systemd-analyze").args(["syscall-filter", name]).output().unwrap();
    let lines = text(&shown.stdout);
    let words =
        lines.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    words.flat_map(|w| if w.starts_with('@') { set(w) } else { [w.to_owned()].into() }).collect()
}

const PROFILES: [&str; 5] = ["quintana-roo", "durango", "ine", "nuevo-leon", "tamaulipas"];

fn init(dir: &Path, profile: &str) -> Output {
    let mut command = Command::new(DIFUSOR);
    command.arg("init").arg(dir).args(["--profile", profile]);
    for door in ["--ssh", "--https", "--http"] {
        command.args([door, "127.0.0.1:0"]);
    }
    command.env_remove("LANG").env_remove("LC_ALL").output().unwrap()
}

#[test]
fn a_new_instance_of_each_profile_has_no_fault() {
    for profile in PROFILES {
        for lang in ["es", "en"] {
            let dir = tempfile::tempdir().unwrap();
            assert!(init(dir.path(), profile).status.success());
            let config = dir.path().join("difusor.toml");
            let check = difusor(&format!("check --config {}", config.display()), lang);
            assert_eq!(check.status.code(), Some(0), "{profile}: {}", shown(&check));
        }
    }
}

#[test]
fn init_twice_makes_nothing_new_and_keeps_what_was_edited() {
    let dir = tempfile::tempdir().unwrap();
    assert!(init(dir.path(), "quintana-roo").status.success());
    let config = dir.path().join("difusor.toml");
    std::fs::write(&config, "# mío\n").unwrap();
    std::fs::write(dir.path().join("keys/README.md"), "mío\n").unwrap();
    std::fs::remove_dir(dir.path().join("var/drop")).unwrap();
    let again = init(dir.path(), "durango");
    assert!(again.status.success(), "{}", shown(&again));
    assert!(text(&again.stdout).contains("creado: var/drop/\n"), "{}", shown(&again));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "# mío\n");
    assert_eq!(std::fs::read_to_string(dir.path().join("keys/README.md")).unwrap(), "mío\n");
    let third = init(dir.path(), "durango");
    assert!(text(&third.stdout).contains("no se cambió nada"), "{}", shown(&third));
}

#[test]
fn check_tells_every_fault_at_once() {
    let node = Node::prepare("");
    let toml =
        "lang = \"fr\"\n[ssh]\nlisten = [\"127.0.0.1:0\"]\nidel = \"3s\"\n[https]\nstop-grace = \"pronto\"\n";
    std::fs::write(node.path("difusor.toml"), toml).unwrap();
    let check = node.difusor(&["check"]);
    assert_eq!(check.status.code(), Some(78), "{}", shown(&check));
    let told = text(&check.stdout);
    for part in ["difusor.toml:1:", "difusor.toml:4:", "¿quiso decir «idle»?", "difusor.toml:6:"] {
        assert!(told.contains(part), "{part} is missing:\n{told}");
    }
    let check: Value = serde_json::from_slice(&node.difusor(&["check", "--json"]).stdout).unwrap();
    assert_eq!(check["ok"], false);
    assert_eq!(check["data"]["findings"].as_array().unwrap().len(), 3, "{check}");
    // What lies beside a sound configuration: keys and folders.
    let node = Node::prepare("");
    std::fs::write(node.path("keys/trusted/mala.pub"), "ssh-ed25519 no-es-base64\n").unwrap();
    std::fs::remove_dir_all(node.path("www")).unwrap();
    let check = node.difusor(&["check"]);
    assert_eq!(check.status.code(), Some(78), "{}", shown(&check));
    let told = text(&check.stdout);
    assert!(told.contains("mala.pub") && told.contains("www: no existe"), "{told}");
}

#[test]
fn every_verb_answers_machines_without_a_service() {
    let (node, cuts) = (Node::prepare(""), Cuts::good(0));
    let package = cuts.path(0);
    let package = package.to_str().unwrap();
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let published = node.difusor(&["publish", package, "--reason", "prueba", "--json"]);
    assert_eq!(envelope(&published), "difusor.operation/1");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["status"], 4, "difusor.status/1"),
        (&["check"], 0, "difusor.check/1"),
        (&["doctor", "--offline"], 1, "difusor.doctor/1"),
        (&["doctor", "--offline", "--requirements", "durango"], 1, "difusor.requirements/1"),
        (&["doctor", "--firewall", "nft"], 0, "difusor.firewall/1"),
        (&["keys", "list"], 0, "difusor.keys/1"),
        (&["releases", "list"], 0, "difusor.releases/1"),
        (&["releases", "show"], 0, "difusor.release/1"),
        (&["releases", "verify"], 0, "difusor.release-verify/1"),
        (&["ledger", "verify"], 0, "difusor.ledger-verify/1"),
        (&["package", "inspect", package], 0, "difusor.package-inspect/1"),
        (&["audit"], 0, "difusor.audit/1"),
        (&["night", "show"], 0, "difusor.night/1"),
        (&["incidents", "open", "prueba"], 0, "difusor.operation/1"),
        (&["incidents", "list"], 0, "difusor.incidents/1"),
        (&["incidents", "show", "1"], 0, "difusor.incident/1"),
        (&["incidents", "show", "9"], 6, "difusor.error/1"),
        (&["simulate", "packages", "--profile", "mini", "--out", out], 0, "difusor.simulate/1"),
        (&["init", out], 0, "difusor.init/1"),
        (&["keys", "revoke", "nadie"], 6, "difusor.error/1"),
    ];
    for (args, code, schema) in cases {
        let answer = node.difusor(&[*args, &["--json"]].concat());
        assert_eq!(answer.status.code(), Some(*code), "{args:?}: {}", shown(&answer));
        assert_eq!(envelope(&answer), *schema, "{args:?}: {}", shown(&answer));
    }
    let verified = node.difusor(&["releases", "verify", "--json"]);
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let all: Vec<_> = verified["data"].as_array().unwrap().iter().map(|one| &one["differences"]).collect();
    assert_eq!(all, [&Value::Array(Vec::new()); 2], "waiting page and cut: {verified}");
    let verdict = node.difusor(&["package", "verify", package, "--json"]);
    let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap();
    assert_eq!(verdict["verdict"], "accept");
    let lines = text(&node.difusor(&["ledger", "list", "--json"]).stdout);
    assert!(lines.lines().count() > 1);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["ev"].is_string(), "{line}");
    }
}

/// The first of the README's two commands, on free ports, for calls of both kinds.
#[test]
fn the_demo_plays_its_cuts_and_ends_well() {
    for (lang, profile, cuts, said) in
        [("en", "mini", "3", "published cut"), ("es", "tamps", "2", "publicado corte")]
    {
        let ports = "--ssh 0 --https 0 --http 0";
        let played = difusor(&format!("demo --cuts {cuts} --every 1s --profile {profile} {ports}"), lang);
        assert!(played.status.success(), "{profile}: {}", shown(&played));
        let lines = text(&played.stdout);
        assert_eq!(lines.matches(said).count().to_string(), cuts, "{profile}: {lines}");
    }
}

/// The schema of the one JSON value that was printed.
fn envelope(output: &Output) -> String {
    schema(text(&output.stdout).trim_end(), output)
}

fn schema(line: &str, output: &Output) -> String {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {}", shown(output)));
    let good = value["ok"].is_boolean() && (value.get("data").is_some() || value["errors"].is_array());
    assert!(good, "{value}");
    value["schema"].as_str().unwrap().to_owned()
}
