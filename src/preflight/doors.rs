//! Do our doors answer, and who holds port 22?

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::answer::{Answer, Topic, Verdict};
use super::{Scene, names};
use crate::config::Config;
use crate::control::{self, Request};

/// The port that the institutes' scripts use.
const SSH_PORT: u16 = 22;
/// Bytes of a greeting that are shown.
const GREETING_BYTES_MAX: usize = 64;
/// A door on this machine answers at once.
const LOCAL_WAIT: Duration = Duration::from_secs(2);

/// What of the service is up, and where it listens.
#[derive(Debug)]
pub(super) struct Running {
    receiving: bool,
    serving: bool,
    /// Neither socket may be opened by this user: nothing is known.
    hidden: bool,
    bound: BTreeMap<String, Vec<SocketAddr>>,
}

impl Running {
    /// Asks both halves of the instance.
    pub(super) fn ask(config: &Config) -> Self {
        let run = config.paths.var.join("run");
        let mut all = Self { receiving: false, serving: false, hidden: false, bound: BTreeMap::new() };
        let mut up = |socket: &str, request: &Request, file: &str| {
            let answered = control::ask(&run.join(socket), request);
            all.hidden |= matches!(&answered, Err(e) if e.kind() == io::ErrorKind::PermissionDenied);
            if !matches!(answered, Ok(Some(_))) {
                return false;
            }
            let text = std::fs::read(run.join(file)).unwrap_or_default();
            let bound: BTreeMap<String, Vec<SocketAddr>> = serde_json::from_slice(&text).unwrap_or_default();
            all.bound.extend(bound.into_iter().filter(|(_, at)| !at.is_empty()));
            true
        };
        let receiving = up("control.sock", &Request::Status, "receive.json");
        let serving = up("readers.sock", &Request::Readers, "serve.json");
        Self { receiving, serving, ..all }
    }

    /// Where this machine's own HTTPS can be asked.
    pub(super) fn https(&self) -> Option<SocketAddr> {
        self.bound.get("https")?.first().copied().map(reachable)
    }

    fn has(&self, door: &str) -> bool {
        if matches!(door, "https" | "http") { self.serving } else { self.receiving }
    }
}

/// An address that listens everywhere is asked on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn configured(config: &Config) -> [(&'static str, &[SocketAddr]); 5] {
    [
        ("ssh", &config.ssh.listen),
        ("rsync", &config.rsync.listen),
        ("rsync_tls", &config.rsync.tls_listen),
        ("https", &config.https.listen),
        ("http", &config.http_listen),
    ]
}

/// Each door answers here, and through the public address where there is one.
pub(super) fn ports(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let mut any = false;
    for (door, addresses) in configured(scene.config) {
        let bound = scene.running.bound.get(door).map_or(addresses, Vec::as_slice);
        for address in bound {
            any = true;
            answers.push(here(scene, door, *address));
            if scene.asked.offline {
                continue;
            }
            for public in names::known_public(scene) {
                answers.push(outside(
                    door,
                    SocketAddr::new(public, address.port()),
                    scene.config.doctor.timeout,
                ));
            }
        }
    }
    if !any {
        let (es, en) = ("ninguna puerta configurada", "no door is configured");
        answers.push(Answer::of(Topic::Ports, Verdict::Fault, es, en));
    }
}

fn here(scene: &Scene<'_>, door: &str, address: SocketAddr) -> Answer {
    let at = format!("{door} {address}");
    if scene.running.has(door) {
        return match TcpStream::connect_timeout(&reachable(address), LOCAL_WAIT) {
            Ok(_) => Answer::good(Topic::Ports, format!("{at} contesta"), format!("{at} answers")),
            Err(e) => Answer::of(
                Topic::Ports,
                Verdict::Fault,
                format!("{at} no contesta: {e}"),
                format!("{at} does not answer: {e}"),
            )
            .todo("vea difusor status y el registro", "look at difusor status and the log"),
        };
    }
    match TcpListener::bind(address) {
        Ok(_) => Answer::of(
            Topic::Ports,
            Verdict::Attention,
            format!("{at} está libre: el servicio no está en marcha"),
            format!("{at} is free: the service is not running"),
        )
        .todo("systemctl start difusor", "systemctl start difusor"),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Answer::of(
            Topic::Ports,
            Verdict::Unknown,
            format!("{at}: sin permiso para probarlo"),
            format!("{at}: no permission to try it"),
        )
        .todo("ejecute doctor como root", "run doctor as root"),
        Err(e) if scene.running.hidden && e.kind() == io::ErrorKind::AddrInUse => Answer::of(
            Topic::Ports,
            Verdict::Unknown,
            format!("{at} está ocupado, quizá por el servicio, que este usuario no puede consultar"),
            format!("{at} is taken, perhaps by the service, which this user may not ask"),
        )
        .todo(
            "ejecute doctor como root o como el usuario difusor",
            "run doctor as root or as the user difusor",
        ),
        Err(e) => Answer::of(
            Topic::Ports,
            Verdict::Fault,
            format!("{at} no se puede abrir: {e}"),
            format!("{at} cannot be opened: {e}"),
        )
        .todo("vea quién lo usa: ss -ltnp", "see who uses it: ss -ltnp"),
    }
}

fn outside(door: &str, address: SocketAddr, wait: Duration) -> Answer {
    let at = format!("{door} {address}");
    match TcpStream::connect_timeout(&address, wait) {
        Ok(_) => Answer::good(
            Topic::Ports,
            format!("{at} contesta por la dirección pública"),
            format!("{at} answers through the public address"),
        ),
        Err(e) => Answer::of(
            Topic::Ports,
            Verdict::Attention,
            format!("{at} no contesta por la dirección pública, vista desde aquí: {e}"),
            format!("{at} does not answer through the public address, seen from here: {e}"),
        )
        .todo(
            "pruebe desde fuera (algunos routers no dan la vuelta); revise la redirección y el cortafuegos",
            "try from outside (some routers do not turn around); look at forwarding and firewall",
        ),
    }
}

/// Institutes push to port 22, and so does the machine's own sshd listen there: three ways out.
pub(super) fn port_22(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let ssh = scene.running.bound.get("ssh").unwrap_or(&scene.config.ssh.listen);
    let Some(other) = ssh.first().map(SocketAddr::port) else {
        let (es, en) = ("la puerta SSH está apagada", "the SSH door is off");
        return answers.push(Answer::good(Topic::Port22, es, en));
    };
    let ours = ssh.iter().any(|address| address.port() == SSH_PORT);
    let taken = listens(&scene.asked.root, SSH_PORT);
    if ours && scene.running.receiving {
        let (es, en) = ("es de difusor", "is difusor's");
        return answers.push(Answer::good(Topic::Port22, es, en));
    }
    let drop = scene.config.paths.var.join("drop");
    let drop = drop.display();
    let ways = (
        format!(
            "tres salidas: (a) difusor en otro puerto y una redirección solo para el instituto: difusor doctor --firewall nft; (b) mueva su sshd (Port en sshd_config) y dé el 22 a difusor (ssh.listen); (c) reciba con su sshd: ForceCommand internal-sftp -d {drop}, la carpeta que difusor vigila"
        ),
        format!(
            "three ways out: (a) difusor on another port and a redirection for the institute only: difusor doctor --firewall nft; (b) move your sshd (Port in sshd_config) and give 22 to difusor (ssh.listen); (c) receive with your sshd: ForceCommand internal-sftp -d {drop}, the folder that difusor watches"
        ),
    );
    answers.push(match (taken, ours) {
        (None, _) => {
            let (es, en) = ("no se sabe quién escucha en él", "who listens on it is not known");
            Answer::of(Topic::Port22, Verdict::Unknown, es, en)
        }
        (Some(true), _) => {
            let who = greeting(SSH_PORT);
            let verdict = if ours { Verdict::Fault } else { Verdict::Attention };
            Answer::of(
                Topic::Port22,
                verdict,
                format!("lo ocupa otro programa ({who}), y los guiones del instituto usan el 22"),
                format!("another program holds it ({who}), and the institute's scripts use 22"),
            )
            .todo(ways.0, ways.1)
        }
        (Some(false), true) => {
            let (es, en) = ("libre para difusor", "free for difusor");
            Answer::good(Topic::Port22, es, en)
        }
        (Some(false), false) => Answer::of(
            Topic::Port22,
            Verdict::Attention,
            format!("nadie escucha en él; difusor está en el {other}"),
            format!("nobody listens on it; difusor is on {other}"),
        )
        .todo(
            format!("ponga ssh.listen en el 22, o diga al instituto que envíe al {other}"),
            format!("set ssh.listen to 22, or tell the institute to push to {other}"),
        ),
    });
}

/// Whether anybody listens on a port, as the kernel has it (`/proc/net/tcp`, state 0A); `None` where it does not say.
fn listens(root: &Path, port: u16) -> Option<bool> {
    let mut known = false;
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        let Ok(text) = std::fs::read_to_string(root.join(table)) else { continue };
        known = true;
        let found = text.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
            let at = local.rsplit_once(':').and_then(|(_, p)| u16::from_str_radix(p, 16).ok());
            state == "0A" && at == Some(port)
        });
        if found {
            return Some(true);
        }
    }
    known.then_some(false)
}

/// The first line of whoever listens on this machine's port.
fn greeting(port: u16) -> String {
    let heard = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), LOCAL_WAIT)?;
        stream.set_read_timeout(Some(LOCAL_WAIT))?;
        let mut bytes = [0; GREETING_BYTES_MAX];
        let n = stream.read(&mut bytes)?;
        let text = String::from_utf8_lossy(bytes.get(..n).unwrap_or_default()).into_owned();
        Ok(text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect())
    };
    heard().ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_tells_who_listens() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(listens(root.path(), 22), None);
        std::fs::create_dir_all(root.path().join("proc/net")).unwrap();
        let head = "  sl  local_address rem_address   st tx_queue\n";
        let line = |port: u16, state: &str| format!("   0: 00000000:{port:04X} 00000000:0000 {state} 0:0\n");
        let text = format!("{head}{}{}", line(22, "01"), line(2222, "0A"));
        std::fs::write(root.path().join("proc/net/tcp"), text).unwrap();
        assert_eq!(listens(root.path(), 22), Some(false), "a connection is not a listener");
        assert_eq!(listens(root.path(), 2222), Some(true));
        let six = format!("{head}   0: {}:0016 {}:0000 0A 0:0\n", "0".repeat(32), "0".repeat(32));
        std::fs::write(root.path().join("proc/net/tcp6"), six).unwrap();
        assert_eq!(listens(root.path(), 22), Some(true));
    }
}
