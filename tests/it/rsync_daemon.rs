//! The rsync daemon's own protocol: modules, passwords, trust before the greeting, bounds.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, PATIENCE, shown};
use crate::rsync_ssh::inside;

const LISTEN: &str = "[rsync]\nlisten = [\"127.0.0.1:0\"]\n";

/// A node with a daemon; `more` are keys of `[rsync]`, then modules.
pub fn start(more: &str) -> Node {
    Node::start_with(&format!("{LISTEN}{more}"))
}

pub fn module(name: &str, path: &str, more: &str) -> String {
    format!("[[rsync.module]]\nname = \"{name}\"\npath = \"{path}\"\nnetworks = [\"127.0.0.0/8\"]\n{more}")
}

pub fn address(node: &Node, key: &str) -> SocketAddr {
    let text = std::fs::read(node.path("var/run/receive.json")).unwrap();
    let bound: serde_json::Value = serde_json::from_slice(&text).unwrap();
    bound[key][0].as_str().unwrap().parse().unwrap()
}

pub fn rsync(node: &Node, password: Option<&str>, options: &[&str], source: &str, module: &str) -> Output {
    let mut rsync = Command::new("rsync");
    let user = if password.is_some() { "iepc@" } else { "" };
    rsync.args(options).args((!source.is_empty()).then_some(source));
    rsync.arg(format!("rsync://{user}{}/{module}", address(node, "rsync")));
    rsync.env("RSYNC_PASSWORD", password.unwrap_or_default()).output().unwrap()
}

pub fn knock(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(address(node, "rsync")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What comes until this text has come.
pub fn until(socket: &mut TcpStream, text: &str) {
    let (mut came, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&came).contains(text) {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&came));
        came.push(byte[0]);
    }
}

/// What is left until the far side closes.
pub fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}"),
    }
    rest
}

#[test]
fn trees_and_packages_come_in_by_modules() {
    let prep = module("prep", "/sitio", "comment = \"el sitio\"\n");
    let hidden = module("oculto", "/paquetes", "list = false\n");
    let node =
        start(&format!("motd = \"Bienvenidos\"\n{prep}{}{hidden}", module("paquetes", "/paquetes", "")));
    let (cuts, source) = (Cuts::good(1), Cuts::good(0).unpacked(0));
    let listed = rsync(&node, None, &[], "", "");
    for line in ["Bienvenidos", "prep           \tel sitio", "paquetes"] {
        assert!(shown(&listed).contains(line), "{line}: {}", shown(&listed));
    }
    assert!(!shown(&listed).contains("oculto"));
    let pushed = rsync(&node, None, &["-a", "--delete"], &inside(source.path()), "prep/");
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    assert!(shown(&pushed).contains("publicado"), "{}", shown(&pushed));
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
    let package = cuts.path(1).display().to_string();
    let pushed = rsync(&node, None, &["-t"], &package, "paquetes/");
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    node.wait_live(&cuts.path(1));
    let received = node.ledger_of("received");
    assert_eq!(received[0]["sender"]["via"], "rsync-daemon", "{}", received[0]);
    assert_eq!(received[0]["sender"]["name"], "prep");
    for path in ["prep/../paquetes/", "../"] {
        let strayed = rsync(&node, None, &["-t"], &package, path);
        assert!(!strayed.status.success(), "{path}: {}", shown(&strayed));
    }
    let unknown = rsync(&node, None, &["-t"], &package, "nada/");
    assert_eq!(unknown.status.code(), Some(5), "{}", shown(&unknown));
    assert!(shown(&unknown).contains("Unknown module 'nada'"));
}

#[test]
fn a_password_opens_its_module_and_a_wrong_one_does_not() {
    let keys = "users = [\"iepc\"]\nsecrets = \"secretos\"\n";
    let node = Node::prepare(&format!("{LISTEN}{}", module("prep", "/sitio", keys)));
    let secrets = node.path("secretos");
    std::fs::write(&secrets, "iepc:clave secreta\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let checked = node.difusor(&["check"]);
    assert!(!checked.status.success() && shown(&checked).contains("chmod 600"), "{}", shown(&checked));
    mode(0o600);
    let mut node = node;
    node.up("run");
    let source = Cuts::good(0).unpacked(0);
    let push = |password| rsync(&node, Some(password), &["-a"], &inside(source.path()), "prep/");
    let wrong = push("otra");
    assert_eq!(wrong.status.code(), Some(5), "{}", shown(&wrong));
    assert!(shown(&wrong).contains("auth failed"), "{}", shown(&wrong));
    assert!(!node.path("www/current/data").exists());
    let right = push("clave secreta");
    assert!(right.status.success(), "{}\n{}", shown(&right), node.log());
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
    assert_eq!(node.ledger_of("received")[0]["sender"]["name"], "iepc");
    node.stop();
    assert!(node.ledger_of("refused").iter().any(|line| line["reason"] == "rsync_password"));
}

#[test]
fn an_address_that_no_module_trusts_gets_no_greeting() {
    let module = "[[rsync.module]]\nname = \"prep\"\nnetworks = [\"203.0.113.0/24\"]\n";
    let mut node = start(module);
    assert_eq!(rest(&mut knock(&node)), b"");
    node.stop();
    assert!(node.ledger_of("refused").iter().any(|line| line["reason"] == "rsync_stranger"));
}

#[test]
fn a_module_takes_so_many_and_says_so() {
    let node = start(&module("prep", "/sitio", "max-connections = 1\n"));
    let mut first = knock(&node);
    until(&mut first, "\n");
    first.write_all(b"@RSYNCD: 31.0\nprep\n").unwrap();
    until(&mut first, "@RSYNCD: OK\n");
    let source = Cuts::good(0).unpacked(0);
    let second = rsync(&node, None, &["-a"], &inside(source.path()), "prep/");
    assert_eq!(second.status.code(), Some(5), "{}", shown(&second));
    assert!(shown(&second).contains("max connections (1) reached -- try again later"), "{}", shown(&second));
    first.shutdown(std::net::Shutdown::Both).unwrap();
    assert!((0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        rsync(&node, None, &["-a"], &inside(source.path()), "prep/").status.success()
    }));
}

#[test]
fn silence_is_cut_at_the_greeting_and_after_it() {
    let node = start(&format!("handshake = \"400ms\"\n{}", module("prep", "/sitio", "")));
    let mut silent = knock(&node);
    until(&mut silent, "@RSYNCD: ");
    rest(&mut silent);
    let node = start(&format!("idle = \"400ms\"\n{}", module("prep", "/sitio", "")));
    let mut silent = knock(&node);
    until(&mut silent, "\n");
    silent.write_all(b"@RSYNCD: 31.0\nprep\n").unwrap();
    until(&mut silent, "@RSYNCD: OK\n");
    silent.write_all(b"--server\0-logDtpre.iLsfxCIvu\0.\0prep/\0\0").unwrap();
    rest(&mut silent);
    assert_eq!(node.ledger_of("received").len(), 0);
}

#[test]
fn connections_of_one_address_are_bounded() {
    let node = start(&format!("connections-per-address = 2\n{}", module("prep", "/sitio", "")));
    let mut held = [knock(&node), knock(&node)];
    held.iter_mut().for_each(|socket| until(socket, "@RSYNCD: "));
    assert_eq!(rest(&mut knock(&node)), b"");
}

#[test]
fn the_daemon_speaks_under_tls() {
    let tls = format!("[rsync]\ntls-listen = [\"127.0.0.1:0\"]\n{}", module("prep", "/sitio", ""));
    let node = Node::start_with(&tls);
    let source = Cuts::good(0).unpacked(0);
    let through = format!("openssl s_client -quiet -verify_quiet -connect {}", address(&node, "rsync_tls"));
    let mut rsync = Command::new("rsync");
    rsync.env("RSYNC_CONNECT_PROG", through).args(["-a", &inside(source.path()), "rsync://difusor/prep/"]);
    let pushed = rsync.output().unwrap();
    assert!(pushed.status.success(), "{}\n{}", shown(&pushed), node.log());
    assert_eq!(tree(&node.path("www/current")), tree(source.path()));
}

/// The script of Debian's package, with each library it can use; trust as it has it by default.
#[test]
fn rsync_ssl_pushes_and_trusts_no_other_certificate() {
    let tls = format!("[rsync]\ntls-listen = [\"127.0.0.1:0\"]\n{}", module("prep", "/sitio", ""));
    let node = Node::prepare("");
    let pem = |name: &str| node.path(name).display().to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(pem("own.pem"), own.pem()).unwrap();
    std::fs::write(pem("own.key"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(pem("own.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let files = format!("[https]\ncertificate = \"{}\"\nkey = \"{}\"\n", pem("own.pem"), pem("own.key"));
    node.configure(&format!("{files}{tls}"));
    let mut node = node;
    node.up("run");
    let cuts = Cuts::good(1);
    let port = address(&node, "rsync_tls").port().to_string();
    let push = |kind: &str, trusted: Option<&str>, source: &Path| {
        let mut rsync = Command::new("rsync-ssl");
        rsync.arg(format!("--type={kind}")).args(["-a", "--delete", &inside(source)]);
        rsync.arg("rsync://localhost/prep/").env("RSYNC_SSL_PORT", &port).env_remove("RSYNC_PORT");
        match trusted {
            Some(trusted) => rsync.env("RSYNC_SSL_CA_CERT", trusted),
            None => rsync.env_remove("RSYNC_SSL_CA_CERT"),
        };
        rsync.output().unwrap()
    };
    for (n, kind) in (0..).zip(["openssl", "stunnel"]) {
        let source = cuts.unpacked(n);
        let strange = push(kind, None, source.path());
        assert!(!strange.status.success(), "{kind}: {}", shown(&strange));
        let pushed = push(kind, Some(&node.path("own.pem").display().to_string()), source.path());
        assert!(pushed.status.success(), "{kind}: {}\n{}", shown(&pushed), node.log());
        assert!(shown(&pushed).contains("publicado"), "{kind}: {}", shown(&pushed));
        assert_eq!(tree(&node.path("www/current")), tree(source.path()), "{kind}");
    }
}

#[test]
fn an_open_module_is_no_configuration_and_a_plain_one_is_warned_of() {
    let node = Node::prepare("");
    node.configure(&format!("{LISTEN}[[rsync.module]]\nname = \"prep\"\n"));
    let checked = node.difusor(&["check"]);
    assert!(!checked.status.success(), "{}", shown(&checked));
    assert!(shown(&checked).contains("quedaría abierto a todos"), "{}", shown(&checked));
    node.configure(&format!("{LISTEN}{}", module("prep", "/sitio", "")));
    let checked = node.difusor(&["check"]);
    assert!(shown(&checked).contains("no cifra"), "{}", shown(&checked));
    let durango = Node::prepare(&format!("profile = \"durango\"\n{LISTEN}networks = [\"127.0.0.0/8\"]\n"));
    let checked = durango.difusor(&["check"]);
    assert!(checked.status.success(), "its modules are there: {}", shown(&checked));
    assert!(Path::new(&durango.path("difusor.toml")).exists());
}

#[test]
fn the_status_says_where_the_doors_listen() {
    let node = start(&module("prep", "/sitio", ""));
    let status = node.difusor(&["status"]);
    let line = format!("escucha rsync: {}", address(&node, "rsync"));
    assert!(shown(&status).contains(&line), "{line}: {}", shown(&status));
}

/// What a push may take is the operator's to say, and the refusal names the bound.
#[test]
fn the_bounds_of_a_push_are_configured() {
    let node = start(&format!(
        "list-memory = \"64KiB\"\nfilter-rules = 2\narguments = 12\n{}",
        module("prep", "/sitio", "")
    ));
    let before = tree(&node.path("www/current"));
    let wide = node.path("wide");
    std::fs::create_dir(&wide).unwrap();
    for n in 0..2_000 {
        std::fs::write(wide.join(format!("una-casilla-de-nombre-largo-{n}.json")), "{}").unwrap();
    }
    let wide = format!("{}/", wide.display());
    let refused = |options: &[&str], code, says| {
        let out = rsync(&node, None, options, &wide, "prep/");
        assert_eq!(out.status.code(), Some(code), "{}", shown(&out));
        assert!(shown(&out).contains(says), "{}", shown(&out));
    };
    refused(&["-a"], 22, "lista de archivos");
    let rules = ["-a", "--delete", "--filter=P uno", "--filter=P dos", "--filter=P tres"];
    refused(&rules, 1, "los filtros pasan de 2 reglas");
    let many: Vec<String> = (0..12).map(|n| format!("--copy-dest=/otro{n}")).collect();
    let many: Vec<&str> = ["-a"].into_iter().chain(many.iter().map(String::as_str)).collect();
    refused(&many, 1, "la orden de rsync pasa de 12 palabras");
    assert_eq!(tree(&node.path("www/current")), before, "nothing was published");
}
