//! Alerts reach real servers: SMTP over STARTTLS and TLS, and a webhook whose signature another program checks.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::cuts::Cuts;
use crate::night::{Node, PATIENCE, shown};

/// Speaks SMTP or HTTP on a port it names first, and prints what it was told, a JSON line each.
const PEER: &str = r#"
import hashlib, hmac, json, ssl, sys, time
kind, cert, key = sys.argv[1:4]
def say(**fields): print(json.dumps(fields), flush=True)
if kind == "http":
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            signed = self.headers["x-difusor-timestamp"].encode() + b"." + body
            own = "sha256=" + hmac.new(b"s3creto", signed, hashlib.sha256).hexdigest()
            say(good=hmac.compare_digest(own, self.headers["x-difusor-signature"]), text=json.loads(body)["text"],
                classes=[a["class"] for a in json.loads(body)["alerts"]], agent=self.headers["user-agent"])
            self.send_response(204); self.end_headers()
        def log_message(self, *args): pass
    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    say(port=server.server_address[1])
    server.serve_forever()
else:
    import asyncio, email, email.policy
    from aiosmtpd.smtp import SMTP, AuthResult
    class Handler:
        async def handle_DATA(self, server, session, envelope):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            say(to=envelope.rcpt_tos, subject=message["subject"], text=message.get_content(), tls=session.ssl is not None or kind == "smtps")
            return "250 OK"
    def login(server, session, envelope, mechanism, data):
        return AuthResult(success=data.login == b"prep" and data.password == b"s3creto")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(cert, key)
    async def main():
        def make():
            options = dict(authenticator=login, auth_required=True, auth_require_tls=kind == "smtp")
            if kind == "smtp": options.update(tls_context=context, require_starttls=True)
            return SMTP(Handler(), **options)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if kind == "smtps" else None)
        say(port=server.sockets[0].getsockname()[1])
        await server.serve_forever()
    asyncio.run(main())
"#;

struct Peer {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    port: u64,
}

impl Peer {
    fn start(node: &Node, kind: &str) -> Self {
        let (cert, key) = (node.path("peer.pem"), node.path("peer.key"));
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", PEER, kind]).arg(cert).arg(key).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        Self { child, lines, port: first["port"].as_u64().unwrap() }
    }

    fn heard(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn certificate(node: &Node) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    std::fs::write(node.path("peer.pem"), made.pem()).unwrap();
    std::fs::write(node.path("peer.key"), key.serialize_pem()).unwrap();
    std::fs::write(node.path("secreto"), "s3creto\n").unwrap();
}

#[test]
fn an_alert_reaches_a_webhook_and_two_mail_servers_with_whom_to_call() {
    let mut node = Node::prepare("");
    certificate(&node);
    let (mut http, mut smtp, mut smtps) =
        (Peer::start(&node, "http"), Peer::start(&node, "smtp"), Peer::start(&node, "smtps"));
    let mail = |name: &str, tls: &str, port: u64| {
        format!(
            "[[alert]]\nname = \"{name}\"\nby = \"email\"\nserver = \"localhost\"\nport = {port}\ntls = \"{tls}\"\nuser = \"prep\"\n\
             password = {{ file = \"secreto\" }}\nfrom = \"prep@ejemplo.mx\"\nto = [\"guardia@ejemplo.mx\"]\nroot = \"peer.pem\"\ngroup = \"0s\"\n"
        )
    };
    let config = format!(
        "[institute]\nname = \"IEQROO\"\nnight-phone = \"983 000 0000\"\n\
         [[alert]]\nname = \"tablero\"\nby = \"webhook\"\nurl = \"https://localhost:{}/aviso\"\nsecret = {{ file = \"secreto\" }}\nroot = \"peer.pem\"\ngroup = \"0s\"\non = [\"rejected\"]\n{}{}",
        http.port,
        mail("correo", "starttls", smtp.port),
        mail("correo-tls", "tls", smtps.port)
    );
    node.configure(&config);
    node.up("run");
    let tested = node.difusor(&["alert", "test"]);
    assert!(tested.status.success(), "{}", shown(&tested));
    assert_eq!(http.heard()["classes"][0], "test");
    for peer in [&mut smtp, &mut smtps] {
        let heard = peer.heard();
        assert_eq!((&heard["tls"], &heard["to"][0]), (&true.into(), &"guardia@ejemplo.mx".into()), "{heard}");
    }
    // A package that is refused is told to all three, with the contact.
    let cuts = Cuts::with("0..0", &["--fault", "truncate-gz@0"]);
    assert!(!node.scp(&[], &[&cuts.path(0)], "").status.success());
    let heard = http.heard();
    assert_eq!((&heard["good"], &heard["classes"][0]), (&true.into(), &"rejected".into()), "{heard}");
    assert!(heard["text"].as_str().unwrap().contains("983 000 0000"), "{heard}");
    for peer in [&mut smtp, &mut smtps] {
        let mut heard = peer.heard();
        while !heard["subject"].as_str().unwrap().contains("rechazado") {
            heard = peer.heard();
        }
        assert!(heard["text"].as_str().unwrap().contains("IEQROO"), "{heard}");
    }
}

#[test]
fn a_channel_that_fails_is_an_incident_and_publication_goes_on() {
    let more = "[[alert]]\nname = \"caido\"\nby = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nattempts = 1\ngroup = \"0s\"\n";
    let node = Node::start_with(more);
    let tested = node.difusor(&["alert", "test", "caido"]);
    assert_eq!(tested.status.code(), Some(1), "{}", shown(&tested));
    let bad = Cuts::with("0..1", &["--fault", "truncate-gz@0"]);
    assert!(!node.scp(&[], &[&bad.path(0)], "").status.success());
    assert!(node.scp(&[], &[&bad.path(1)], "").status.success());
    node.wait_live(&bad.path(1));
    let begun = std::time::Instant::now();
    let is_told =
        || node.ledger_of("warning").iter().any(|l| l["what"] == "alert_failed" && l["channel"] == "caido");
    while !is_told() {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
