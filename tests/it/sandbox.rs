//! What the service gives up before the first stranger is heard, seen from outside.

use std::process::Command;

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Node, shown};

/// A field of `/proc/PID/status` of every thread.
fn of_threads(node: &Node, field: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
    let read = |thread: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    threads.filter_map(read).collect()
}

fn status(node: &Node) -> Value {
    let status = node.difusor(&["status", "--json"]);
    serde_json::from_slice::<Value>(&status.stdout).unwrap()["data"].clone()
}

#[test]
fn started_as_root_it_becomes_its_user_and_every_forbidden_thing_is_refused() {
    let mut node = Node::prepare("[service]\nuser = \"nobody\"\nsandbox = \"required\"\n");
    // An address that needs a privilege, and is nobody else's.
    let config = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    let config =
        config.replace("[https]\nlisten = [\"127.0.0.1:0\"]", "[https]\nlisten = [\"127.0.77.7:443\"]");
    std::fs::write(node.path("difusor.toml"), config).unwrap();
    let owned = Command::new("chown").args(["-R", "nobody"]).arg(node.path("")).status().unwrap();
    assert!(owned.success(), "this test needs root");
    node.up("run");
    assert!(of_threads(&node, "Uid").iter().all(|ids| ids == "65534 65534 65534 65534"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(of_threads(&node, set).iter().all(|caps| caps == "0000000000000000"), "{set}");
    }
    assert!(of_threads(&node, "NoNewPrivs").iter().all(|set| set == "1"));
    assert!(of_threads(&node, "Seccomp").iter().all(|mode| mode == "2"));
    assert!(of_threads(&node, "Uid").len() > 1);
    let told = status(&node);
    for state in [&told["sandbox"], &told["readers"]["sandbox"]] {
        assert_eq!(state["level"], "enforced", "{state}");
        let tried = state["tried"].as_object().unwrap();
        for what in ["write_shadow", "write_outside", "mount", "make_device", "become_root", "open_port"] {
            assert_eq!(tried[what], true, "{what}: {state}");
        }
    }
    let text = node.difusor(&["status"]);
    assert!(shown(&text).contains("aislamiento (recibe): completo y probado"), "{}", shown(&text));
    // It is still a whole service, and an operator's file is handed over, wherever it lies.
    assert_eq!(node.https.to_string(), "127.0.77.7:443");
    let cuts = Cuts::good(1);
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    let private = Command::new("chmod").args(["-R", "go="]).arg(cuts.dir()).status().unwrap();
    assert!(private.success());
    let published = node.difusor(&["publish", cuts.path(1).to_str().unwrap(), "--reason", "prueba"]);
    assert!(published.status.success(), "{}", shown(&published));
    let left = std::fs::read_dir(node.path("var/run")).unwrap();
    assert!(left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with("publish-")));
}

#[test]
fn what_does_not_hold_is_told() {
    let node = Node::start();
    let state = status(&node)["sandbox"].clone();
    // The tests run as root, and nobody was named.
    assert_eq!((&state["level"], &state["uid"]), (&"partial".into(), &0.into()), "{state}");
    assert!(state["missing"][0].as_str().unwrap().contains("service.user"), "{state}");
    assert_eq!((&state["landlock"], &state["seccomp"]), (&"enforced".into(), &"enforced".into()), "{state}");
    let text = node.difusor(&["status"]);
    assert!(shown(&text).contains("aislamiento (recibe): parcial ("), "{}", shown(&text));
}

#[test]
fn without_a_sandbox_a_service_that_requires_one_does_not_start() {
    let node = Node::prepare("[service]\nsandbox = \"required\"\n");
    let run = node.difusor(&["run"]);
    assert_eq!(run.status.code(), Some(8), "{}", shown(&run));
    assert!(shown(&run).contains("service.user"), "{}", shown(&run));
    node.configure("[service]\nuser = \"nadie-de-aqui\"\n");
    let run = node.difusor(&["run"]);
    assert_eq!(run.status.code(), Some(78), "{}", shown(&run));
}

#[test]
fn turned_off_it_says_so() {
    let node = Node::start_with("[service]\nsandbox = \"off\"\n");
    assert_eq!(status(&node)["sandbox"], Value::Null);
    assert!(of_threads(&node, "Seccomp").iter().all(|mode| mode == "0"));
    let text = node.difusor(&["status"]);
    assert!(shown(&text).contains("aislamiento (recibe): apagado"), "{}", shown(&text));
}
