//! The page of the person on duty, from outside: links, networks, sockets; and the health check.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Answer, Node, curl, piped, shown};

/// Where the page is on TCP.
fn address(node: &Node) -> String {
    let bound: Value =
        serde_json::from_slice(&std::fs::read(node.path("var/run/receive.json")).unwrap()).unwrap();
    bound["admin"][0].as_str().unwrap().to_owned()
}

fn link(node: &Node) -> Value {
    let asked = node.difusor(&["admin", "link", "--json"]);
    assert!(asked.status.success(), "{}", shown(&asked));
    let value: Value = serde_json::from_slice(&asked.stdout).unwrap();
    value["data"].clone()
}

/// Follows a link with curl's own cookies and asks for a path.
fn with_cookies(jar: &Path, url: &str) -> Answer {
    let jar = jar.to_str().unwrap();
    curl(url, &["-b", jar, "-c", jar])
}

#[test]
fn a_link_opens_the_page_once_and_is_on_record() {
    let node = Node::start_with("[admin]\nlisten = [\"127.0.0.1:0\"]\n");
    let (at, link) = (format!("http://{}", address(&node)), link(&node));
    let link = link["links"][0].as_str().unwrap();
    assert!(link.starts_with(&format!("{at}/login?t=")), "{link}");
    assert_eq!(curl(&format!("{at}/"), &[]).status, 401);
    assert_eq!(curl(&format!("{at}/healthz"), &[]).text(), "ok\n");
    let jar = node.path("jar");
    let entered = with_cookies(&jar, link);
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")), "{entered:?}");
    let page = with_cookies(&jar, &format!("{at}/estado.json"));
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(curl(link, &[]).status, 401);
    // Readers never reach it.
    assert_eq!(node.get("/healthz").status, 404);
    let told: Vec<Value> = node.ledger_of("admin").iter().map(|line| line["what"].clone()).collect();
    assert_eq!(told, ["link", "entered"]);
}

#[test]
fn by_default_the_page_is_a_socket_of_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start();
    let socket = node.path("var/run/admin.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let through = ["--unix-socket", socket.to_str().unwrap()];
    assert_eq!(curl("http://localhost/healthz", &through).text(), "ok\n");
    assert_eq!(curl("http://evil.example/healthz", &through).status, 421);
    let text = node.difusor(&["admin", "link"]);
    assert!(shown(&text).contains("ssh -N -L 9080:"), "{}", shown(&text));
    let link = link(&node);
    let entered = curl(&format!("http://localhost{}", link["path"].as_str().unwrap()), &through);
    assert_eq!(entered.status, 303, "{entered:?}");
}

#[test]
fn the_health_check_tells_a_service_that_answers_from_one_that_does_not() {
    let mut node = Node::start();
    let well = node.difusor(&["healthcheck"]);
    assert_eq!(well.status.code(), Some(0), "{}", shown(&well));
    // One that hangs is not well.
    let pid = node.pid().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    let hung = node.difusor(&["healthcheck"]);
    assert!(Command::new("kill").args(["-CONT", &pid]).status().unwrap().success());
    assert_eq!(hung.status.code(), Some(1), "{}", shown(&hung));
    node.stop();
    let gone = node.difusor(&["healthcheck"]);
    assert_eq!(gone.status.code(), Some(1), "{}", shown(&gone));
    // Half a service is well by itself.
    node.up("serve");
    let half = node.difusor(&["healthcheck"]);
    assert_eq!(half.status.code(), Some(0), "{}", shown(&half));
}

#[test]
fn a_monitor_measures_the_night_without_a_link() {
    let (node, cuts) = (Node::start_with("[admin]\nlisten = [\"127.0.0.1:0\"]\n"), Cuts::good(0));
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let url = format!("http://{}/metrics", address(&node));
    let answer = curl(&url, &[]);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let value = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|v| v.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    assert_eq!(value("difusor_cuts_total{result=\"published\"}"), 1.0);
    assert_eq!(value("difusor_receive_seconds_count{via=\"sftp\"}"), 1.0);
    let bytes = std::fs::metadata(cuts.path(0)).unwrap().len() as f64;
    assert_eq!(value("difusor_receive_bytes_total{via=\"sftp\"}"), bytes);
    assert!(value("difusor_ssh_auth_total{result=\"accepted\"}") >= 1.0);
    assert!(value("difusor_http_requests_total") >= 1.0 && value("difusor_disk_free_bytes") > 0.0);
    assert!(value("difusor_cut_age_seconds") >= 0.0 && value("difusor_cert_expiry_timestamp_seconds") > 0.0);
    let checked = piped(Command::new("promtool").args(["check", "metrics"]), text.as_bytes());
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", shown(&checked));
    let open = curl(&url, &["-H", "Accept: application/openmetrics-text;version=1.0.0"]);
    assert!(open.text().ends_with("# EOF\n"), "{}", open.text());
}
