//! A certificate from an ACME server: Debian's pebble, which is Let's Encrypt's own test server. By
//! default it refuses one nonce in twenty, as the protocol allows.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::night::{Node, PATIENCE, curl, shown};

const DOMAIN: &str = "prep.ejemplo.mx";

/// pebble and its name server, which says that every name is this machine.
struct Pebble {
    children: Vec<Child>,
    management: u16,
}

impl Pebble {
    fn start(dir: &Path, port: u16, node: &Node) -> Self {
        let (management, names, control) = (free_port(), free_port(), free_port());
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.join("api.pem"), "privateKey": dir.join("api.key"),
            "httpPort": node.http.port(), "tlsPort": node.https.port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        std::fs::write(dir.join("pebble.json"), config.to_string()).unwrap();
        let mut server = Command::new("pebble-challtestsrv");
        server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", ""]);
        server.args(["-tlsalpn01", "", "-dns01"]).arg(format!("127.0.0.1:{names}"));
        server.arg("-management").arg(format!("127.0.0.1:{control}"));
        let mut pebble = Command::new("pebble");
        pebble
            .arg("-config")
            .arg(dir.join("pebble.json"))
            .arg("-dnsserver")
            .arg(format!("127.0.0.1:{names}"));
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        let start = |mut c: Command| {
            c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        Self { children: vec![start(server), start(pebble)], management }
    }

    /// The authority that it signs with, made anew at each start.
    fn root(&self) -> String {
        let begun = Instant::now();
        loop {
            let answer = curl(&format!("https://127.0.0.1:{}/roots/0", self.management), &[]);
            if answer.status == 200 {
                return answer.text();
            }
            assert!(begun.elapsed() < PATIENCE, "pebble does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The certificate of the server itself, and the authority that signed it.
fn make_api_certificate(dir: &Path) {
    let (authority_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(dir.join("ca.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let params = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("api.pem"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(dir.join("api.key"), key.serialize_pem()).unwrap();
}

fn obtains(challenge: &str) {
    let dir = tempfile::tempdir().unwrap();
    make_api_certificate(dir.path());
    let port = free_port();
    let mut node = Node::start_with(&format!(
        "domain = \"{DOMAIN}\"\n[acme]\ndirectory = \"https://localhost:{port}/dir\"\n\
         contact = [\"mailto:soporte@ejemplo.mx\"]\nchallenge = \"{challenge}\"\nroot = \"{}\"\n",
        dir.path().join("ca.pem").display()
    ));
    // The server is not there yet: readers see our own certificate, and it is asked again.
    assert_eq!(node.get("/").status, 200);
    let pebble = Pebble::start(dir.path(), port, &node);
    let root = dir.path().join("root.pem");
    std::fs::write(&root, pebble.root()).unwrap();
    let trusted = |node: &Node| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "--max-time", "10", "--cacert"]).arg(&root);
        curl.arg("--resolve").arg(format!("{DOMAIN}:{}:127.0.0.1", node.https.port()));
        curl.arg(format!("https://{DOMAIN}:{}/", node.https.port())).output().unwrap()
    };
    let begun = Instant::now();
    while !trusted(&node).status.success() {
        assert!(begun.elapsed() < PATIENCE, "{}\n{}", shown(&trusted(&node)), node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    // Kept over a restart, with nobody to ask.
    drop(pebble);
    node.stop();
    node.up("run");
    let again = trusted(&node);
    assert!(again.status.success(), "{}", shown(&again));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(node.path("var/tls/acme.pem")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_certificate_is_had_by_http_01() {
    obtains("http-01");
}

#[test]
fn a_certificate_is_had_by_tls_alpn_01() {
    obtains("tls-alpn-01");
}
