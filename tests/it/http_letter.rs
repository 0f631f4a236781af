//! The site as foreign clients see it: a browser that stays on the page over a swap, h2load, and
//! Python's h2, which holds every frame against the standard.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, shown};

/// Chromium, told what to do through a pipe (DevTools protocol).
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut bash = Command::new("bash");
        bash.args([
            "-c",
            "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>&1",
            "chromium",
            "--headless",
            "--no-sandbox",
        ]);
        bash.args(["--remote-debugging-pipe", "--ignore-certificate-errors", "--disable-gpu"]);
        bash.args(["--disable-dev-shm-usage", "--no-first-run"]);
        bash.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = bash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser = Self { child, to, from, calls: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": url}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut text = Vec::new();
            assert!(self.from.read_until(0, &mut text).unwrap() > 0, "the browser has ended");
            text.pop();
            let answer: Value = serde_json::from_slice(&text).unwrap();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// What an expression of the page comes to.
    fn sees(&mut self, expression: &str) -> String {
        let value = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        value["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    fn wait(&mut self, expression: &str, good: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let seen = self.sees(expression);
            if good(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "the page shows «{seen}»");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_browser_on_the_page_sees_the_swap() {
    let (node, cuts) = (Node::start(), Cuts::good(1));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let mut browser = Browser::open(&format!("https://{}/", node.https));
    // The page's own words: hour of the cut, and how many votes it shows.
    let shown = "(document.getElementById('hora')?.textContent ?? '') + '|' + \
                 (document.getElementById('elecciones')?.textContent ?? '')";
    let first = browser.wait(shown, |text| text.len() > 10 && !text.starts_with("--"));
    assert!(node.scp(&[], &[&cuts.path(1)], "").status.success());
    node.wait_live(&cuts.path(1));
    let second = browser.wait(shown, |text| text != first && text.len() > 10);
    assert_ne!(first, second);
    let state = browser.sees("document.body.className");
    assert!(!state.contains("fallo"), "{state}");
}

#[test]
fn h2load_gets_every_answer_over_both_protocols() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    for options in [&["--h1"][..], &["-m", "16"]] {
        let mut h2load = Command::new("h2load");
        h2load.args(["-n", "2000", "-c", "20"]).args(options).arg(format!("https://{}/", node.https));
        let out = h2load.output().unwrap();
        assert!(shown(&out).contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{}", shown(&out));
        assert!(shown(&out).contains("status codes: 2000 2xx"), "{}", shown(&out));
    }
}

/// Asks with HEAD, GET and POST on three streams of one connection, with a window that opens late.
const STRICT: &str = r#"
import h2.config, h2.connection, h2.events, h2.settings, socket, ssl, sys
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["h2"])
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost")
assert stream.selected_alpn_protocol() == "h2"
link = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
link.initiate_connection()
link.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
for number, method in ((1, "HEAD"), (3, "GET"), (5, "POST")):
    link.send_headers(number, [(":method", method), (":path", "/"), (":authority", "localhost"), (":scheme", "https")], end_stream=True)
stream.sendall(link.data_to_send())
heads, bodies, ended = {}, {1: b"", 3: b"", 5: b""}, set()
while len(ended) < 3:
    for event in link.receive_data(stream.recv(65536)):
        if isinstance(event, h2.events.ResponseReceived): heads[event.stream_id] = dict(event.headers)
        if isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            assert event.flow_controlled_length <= 10
            for window in (None, event.stream_id):
                if event.flow_controlled_length and event.stream_ended is None:
                    link.increment_flow_control_window(event.flow_controlled_length, window)
        if isinstance(event, h2.events.StreamEnded): ended.add(event.stream_id)
        assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
    stream.sendall(link.data_to_send())
assert heads[1][":status"] == heads[3][":status"] == "200", heads
assert bodies[1] == b"" and heads[1]["content-length"] == str(len(bodies[3])), heads
same = lambda head: {k: v for k, v in head.items() if k != "date"}
assert same(heads[1]) == same(heads[3])
assert heads[5][":status"] == "405" and heads[5]["allow"] == "GET, HEAD"
assert all(name == name.lower() for head in heads.values() for name in head)
print(len(bodies[3]))
"#;

#[test]
fn python_h2_finds_nothing_against_the_standard() {
    let (node, cuts) = (Node::start(), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let mut python = Command::new("/usr/bin/python3");
    let out = python.args(["-c", STRICT, &node.https.port().to_string()]).output().unwrap();
    assert!(out.status.success(), "{}", shown(&out));
    let length = node.get("/").body.len().to_string();
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), length);
}

#[test]
fn a_half_written_certificate_is_an_incident_and_changes_nothing() {
    let mut node = Node::prepare("[https]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n");
    let key = rcgen::KeyPair::generate().unwrap();
    let pem =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    std::fs::write(node.path("c.pem"), &pem).unwrap();
    std::fs::write(node.path("k.pem"), key.serialize_pem()).unwrap();
    node.up("run");
    let trusted = |node: &Node| {
        let url = format!("https://localhost:{}/", node.https.port());
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "--cacert"])
            .arg(node.path("good.pem"))
            .arg(url)
            .output()
            .unwrap()
    };
    std::fs::write(node.path("good.pem"), &pem).unwrap();
    assert!(trusted(&node).status.success(), "{}", shown(&trusted(&node)));
    let fingerprint = node.ledger_of("certificate").pop().expect("on record")["sha256"].clone();
    std::fs::write(node.path("c.pem"), &pem.as_bytes()[..200]).unwrap();
    let begun = Instant::now();
    let incident = loop {
        let lines = node.ledger_of("warning");
        if let Some(line) = lines.into_iter().find(|line| line["what"] == "certificate_rejected") {
            break line;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(incident["why"].as_str().unwrap().contains("c.pem"), "{incident}");
    assert!(trusted(&node).status.success());
    let status: Value = serde_json::from_slice(&node.difusor(&["status", "--json"]).stdout).unwrap();
    let readers = &status["data"]["readers"];
    assert_eq!(readers["certificate"], fingerprint);
    assert!(
        readers["certificate_rejected"].is_string() && readers["certificate_ends"].is_string(),
        "{readers}"
    );
    std::fs::write(node.path("c.pem"), &pem).unwrap();
}
