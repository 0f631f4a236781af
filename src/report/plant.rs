//! The plant: how a package gets from the institute to readers, and what the institute must know to send one.

use std::net::SocketAddr;

use super::chart::WIDTH;
use super::document::{Cell, Chart, Facts, SourceId, Table};
use super::drawing::{Anchor, BLUE, Colour, Drawing, GREY, INK, PALE, RULE, Shape, WHITE};
use super::people;
use super::settings::{Doors, Settings};

/// Adds tables `doors`, `host-keys`, `trusted`, `paths`, `commands`, `addresses` and `capacity`, and the
/// chart `architecture`.
pub(super) fn add(facts: &mut Facts, settings: &Settings, from: SourceId) {
    let tables = [
        doors(settings, from),
        host_keys(settings, from),
        trusted(settings, from),
        paths(settings, from),
        commands(settings, from),
        addresses(settings, from),
        capacity(settings, from),
    ];
    facts.tables.extend(tables);
    facts.missing.extend(settings.doors.faults.iter().cloned());
    let title = settings.lang.pick("Diagrama del servicio", "Diagram of the service");
    facts.charts.push(Chart {
        id: "architecture",
        title: title.to_owned(),
        drawing: diagram(settings),
        source: from,
    });
}

fn doors(s: &Settings, from: SourceId) -> Table {
    let t = |es, en| s.lang.pick(es, en);
    let columns = [
        (t("servicio", "service"), 1.5),
        (t("protocolo", "protocol"), 1.2),
        (t("servidor", "host"), 1.8),
        (t("puerto", "port"), 0.7),
        (t("escucha en", "listens on"), 1.4),
        (t("quién llega", "who may reach it"), 2.6),
    ];
    let mut table = Table::new("doors", t("Puertas", "Doors"), &columns, from);
    let keys = t("llaves de confianza, desde sus redes", "trusted keys, from their networks");
    let modules = t("redes o usuarios de cada módulo", "networks or users of each module");
    let all = t("cualquiera", "anybody");
    let d = &s.doors;
    let rows: [(&str, &str, &Vec<SocketAddr>, &str); 5] = [
        (t("recepción", "reception"), "SSH (scp, sftp, rsync, tar)", &d.ssh, keys),
        (t("recepción", "reception"), "rsync", &d.rsync, modules),
        (t("recepción", "reception"), "rsync + TLS", &d.rsync_tls, modules),
        (t("sitio", "site"), "HTTPS (TLS 1.2, 1.3)", &d.https, all),
        (t("redirección", "redirection"), "HTTP → HTTPS", &d.http, all),
    ];
    for (service, protocol, listen, who) in rows {
        for addr in listen {
            let port = u64::from(addr.port());
            table.row([
                service.into(),
                protocol.into(),
                s.domain.as_str().into(),
                Cell::Text(port.to_string()),
                addr.ip().to_string().into(),
                who.into(),
            ]);
        }
    }
    table
}

fn host_keys(s: &Settings, from: SourceId) -> Table {
    let columns = [(s.lang.pick("algoritmo", "algorithm"), 1.2), (s.lang.pick("huella", "fingerprint"), 4.0)];
    let title = s.lang.pick("Huellas de las llaves del servidor SSH", "Fingerprints of the SSH host keys");
    let mut table = Table::new("host-keys", title, &columns, from).noted(s.lang.pick(
        "compárelas la primera vez que se conecte; ssh-keygen -lf las muestra del lado del instituto",
        "compare them at the first connection; ssh-keygen -lf shows them on the institute's side",
    ));
    for (algorithm, fingerprint) in &s.doors.host_keys {
        table.row([algorithm.as_str().into(), fingerprint.as_str().into()]);
    }
    table
}

fn trusted(s: &Settings, from: SourceId) -> Table {
    let t = |es, en| s.lang.pick(es, en);
    let columns = [
        (t("nombre", "name"), 1.2),
        (t("huella", "fingerprint"), 4.1),
        (t("redes desde las que llega", "networks it may come from"), 1.9),
        (t("hasta", "until"), 1.0),
    ];
    let title = t("Llaves de confianza del instituto", "The institute's trusted keys");
    let mut table = Table::new("trusted", title, &columns, from);
    for (name, fingerprint, networks, until) in &s.doors.trusted {
        table.row([name, fingerprint, networks, until].map(|text| Cell::from(text.as_str())));
    }
    if table.rows.is_empty() {
        table.note = Some(t("todavía ninguna: difusor keys add", "none yet: difusor keys add").to_owned());
    }
    table
}

fn paths(s: &Settings, from: SourceId) -> Table {
    let t = |es, en| s.lang.pick(es, en);
    let columns = [(t("ruta o módulo", "path or module"), 2.0), (t("qué es", "what it is"), 4.0)];
    let title = t("Usuarios, rutas y módulos", "Users, paths and modules");
    let mut table = Table::new("paths", title, &columns, from);
    let users = if s.doors.users.is_empty() {
        t("cualquiera (decide la llave); por costumbre, prep", "any (the key decides); by custom, prep")
            .to_owned()
    } else {
        s.doors.users.join(", ")
    };
    table.row([t("usuario SSH", "SSH user").into(), users.into()]);
    let fixed = [
        (
            "/paquetes/",
            t("un paquete que queda aquí es un corte", "a package that comes to rest here is a cut"),
        ),
        (
            "/sitio/",
            t(
                "árbol publicado: todo o nada al cerrar el canal",
                "the published tree: all or nothing when the channel closes",
            ),
        ),
    ];
    for (path, what) in fixed {
        table.row([path.into(), what.into()]);
    }
    for (path, to) in &s.doors.paths {
        table.row([path.as_str().into(), format!("→ {to}").into()]);
    }
    for (name, path, networks) in &s.doors.modules {
        let networks = if networks.is_empty() { String::new() } else { format!(" · {networks}") };
        table.row([format!("rsync://{}/{name}/", s.domain).into(), format!("→ {path}{networks}").into()]);
    }
    table
}

/// Orders as they are typed, for the first address of each door.
fn commands(s: &Settings, from: SourceId) -> Table {
    let t = |es, en| s.lang.pick(es, en);
    let columns = [(t("orden", "command"), 4.0), (t("qué hace", "what it does"), 2.6)];
    let mut table = Table::new("commands", t("Órdenes aceptadas", "Accepted commands"), &columns, from).noted(t(
        "difusor explain 'ORDEN' dice de antemano qué haría una orden; la lista completa está en docs/COMMANDS.md",
        "difusor explain 'COMMAND' says beforehand what a command would do; the whole list is in docs/COMMANDS.md",
    ));
    let user = s.doors.users.first().map_or("prep", String::as_str);
    let at = format!("{user}@{}", s.domain);
    if let Some(ssh) = s.doors.ssh.first() {
        let (p, capital) = match ssh.port() {
            22 => (String::new(), String::new()),
            port => (format!("-p {port} "), format!("-P {port} ")),
        };
        let package = t("un paquete, un corte", "one package, one cut");
        let tree = t("un árbol: un corte, o nada", "a tree: one cut, or nothing");
        for (command, what) in [
            (format!("scp {capital}p.tar.gz {at}:"), package),
            (format!("sftp {capital}{at}   put p.tar.gz"), package),
            (format!("ssh {p}{at} 'cat > p.tar.gz' < p.tar.gz"), package),
            (format!("rsync -t -e 'ssh {p}' p.tar.gz {at}:").replace(" ' p", "' p"), package),
            (format!("rsync -a --delete -e 'ssh {p}' sitio/ {at}:sitio/").replace(" ' s", "' s"), tree),
            (format!("tar cz -C sitio . | ssh {p}{at} 'tar xzf - -C sitio'"), tree),
            (
                format!("ssh {p}{at} 'sha256sum -c SUMS'"),
                t("sumas, ls, mv, mkdir… sin intérprete", "sums, ls, mv, mkdir… without a shell"),
            ),
        ] {
            table.row([command.into(), what.into()]);
        }
    }
    for (addr, (name, path, _)) in
        s.doors.rsync.iter().take(1).flat_map(|a| s.doors.modules.iter().map(move |m| (a, m)))
    {
        let port = if addr.port() == 873 { String::new() } else { format!(":{}", addr.port()) };
        table.row([
            format!("rsync -a --delete sitio/ rsync://{}{port}/{name}/", s.domain).into(),
            format!("→ {path}").into(),
        ]);
    }
    table
}

fn addresses(s: &Settings, from: SourceId) -> Table {
    let t = |es, en| s.lang.pick(es, en);
    let columns = [(t("dato", "field"), 1.6), (t("valor", "value"), 4.0)];
    let title = t("Direcciones, hora y sitio", "Addresses, time and site");
    let mut table = Table::new("addresses", title, &columns, from);
    let listed = |all: &[String], none: &str| if all.is_empty() { none.to_owned() } else { all.join(", ") };
    let unknown = t("no declaradas: [difusor] addresses", "not declared: [difusor] addresses");
    table.row([
        t("direcciones públicas", "public addresses").into(),
        listed(&s.office.addresses, unknown).into(),
    ]);
    let ntp = t("la del sistema; no declarada: [difusor] ntp", "the system's; not declared: [difusor] ntp");
    table.row(["NTP (UDP 123)".into(), listed(&s.office.ntp, ntp).into()]);
    let zone = s.zone.iana_name().unwrap_or("UTC");
    table.row([t("zona horaria", "time zone").into(), zone.into()]);
    let base = if s.doors.base == "/" { String::new() } else { s.doors.base.clone() };
    table.row([t("dirección del sitio", "address of the site").into(), site(s).into()]);
    if !base.is_empty() {
        table.row([
            t("y también", "and also").into(),
            format!("{}{}", site(s).trim_end_matches('/'), base).into(),
        ]);
    }
    table
}

/// The address that readers open.
pub(super) fn site(s: &Settings) -> String {
    let port = s.doors.https.first().map(SocketAddr::port).filter(|port| *port != 443 && *port != 0);
    // Behind a redirection of ports the public one is 443 all the same; a domain says so.
    let port = port.filter(|_| s.domain == "localhost").map_or_else(String::new, |port| format!(":{port}"));
    format!("https://{}{port}/", s.domain)
}

fn capacity(s: &Settings, from: SourceId) -> Table {
    let columns = [(s.lang.pick("límite", "limit"), 3.0), (s.lang.pick("#valor", "#value"), 2.0)];
    let title = s.lang.pick("Capacidad configurada", "Configured capacity");
    let mut table = Table::new("capacity", title, &columns, from)
        .noted(s.lang.pick("docs/CONFIG.md explica cada clave", "docs/CONFIG.md explains each key"));
    for (key, value) in &s.limits {
        table.row([Cell::from(*key), value.as_str().into()]);
    }
    table
}

/// A box with a title and lines.
struct Frame<'a> {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
    fill: Colour,
    title: &'a str,
    lines: Vec<String>,
}

impl Frame<'_> {
    fn draw(&self, shapes: &mut Vec<Shape>) {
        let Self { x, y, w, h, fill, .. } = *self;
        shapes.push(Shape::Rect { x, y, w, h, fill, edge: Some(BLUE) });
        let dark = fill == BLUE;
        let ink = if dark { WHITE } else { INK };
        shapes.push(
            Shape::text(x + w / 2.0, y + 12.0, 8.0, self.title).anchored(Anchor::Middle).bold().coloured(ink),
        );
        let mut at = y + 23.0;
        for line in &self.lines {
            let line: String = line.chars().take(LETTERS_MAX).collect();
            let small = Shape::text(x + w / 2.0, at, 6.4, line).anchored(Anchor::Middle);
            shapes.push(small.coloured(if dark { WHITE } else { GREY }));
            at += 8.6;
            if at > y + h - 2.0 {
                break;
            }
        }
    }
}

/// Letters of a line in a box.
const LETTERS_MAX: usize = 30;

fn arrow(shapes: &mut Vec<Shape>, from: (f32, f32), to: (f32, f32), label: &str) {
    shapes.push(Shape::line(from, to, 1.1, BLUE));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = (dx * dx + dy * dy).sqrt().max(0.1);
    let (ux, uy) = (dx / length, dy / length);
    let back = (to.0 - ux * 5.0, to.1 - uy * 5.0);
    let (left, right) = ((back.0 - uy * 3.0, back.1 + ux * 3.0), (back.0 + uy * 3.0, back.1 - ux * 3.0));
    shapes.push(Shape::Line { points: vec![left, to, right], width: 1.1, colour: BLUE });
    let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0 - 4.0);
    shapes.push(Shape::text(middle.0, middle.1, 6.2, label).anchored(Anchor::Middle).coloured(GREY));
}

fn ports(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(|a| a.port().to_string()).collect::<Vec<_>>().join(", ")
}

/// The diagram that the calls ask for (NL 4.1.1, INE VI.a.i), drawn from the configuration.
fn diagram(s: &Settings) -> Drawing {
    let t = |es: &'static str, en: &'static str| s.lang.pick(es, en);
    let d = &s.doors;
    let mut shapes = Vec::new();
    // The machine, behind everything on it.
    shapes.push(Shape::Rect { x: 118.0, y: 14.0, w: 262.0, h: 226.0, fill: PALE, edge: Some(RULE) });
    let name = people::name(&s.office.difusor, "difusor");
    let machine = format!("{name} · {}", s.domain);
    shapes.push(
        Shape::text(124.0, 27.0, 7.5, machine.chars().take(58).collect::<String>()).bold().coloured(BLUE),
    );
    for frame in frames(s, d) {
        frame.draw(&mut shapes);
    }
    let ssh = format!("SSH {}", ports(&d.ssh));
    arrow(&mut shapes, (88.0, 74.0), (128.0, 74.0), if d.ssh.is_empty() { "" } else { &ssh });
    if !(d.rsync.is_empty() && d.rsync_tls.is_empty()) {
        let all: Vec<SocketAddr> = d.rsync.iter().chain(&d.rsync_tls).copied().collect();
        arrow(&mut shapes, (88.0, 92.0), (128.0, 92.0), &format!("rsync {}", ports(&all)));
    }
    arrow(&mut shapes, (206.0, 80.0), (216.0, 80.0), "");
    arrow(&mut shapes, (294.0, 80.0), (304.0, 80.0), "");
    arrow(&mut shapes, (338.0, 116.0), (338.0, 138.0), "");
    arrow(&mut shapes, (167.0, 116.0), (167.0, 138.0), "");
    arrow(&mut shapes, (255.0, 116.0), (255.0, 138.0), "");
    let https = format!("HTTPS {}", ports(&d.https));
    let cdn = d.cache != "direct";
    arrow(&mut shapes, (372.0, 166.0), (412.0, 166.0), &https);
    if cdn {
        arrow(&mut shapes, (450.0, 140.0), (450.0, 116.0), "");
    }
    let footing = t(
        "Nada se publica sin llave y red de confianza, ni antes de la hora; los lectores ven siempre un corte completo.",
        "Nothing is published without a trusted key and network, nor before the hour; readers always see one whole cut.",
    );
    shapes.push(Shape::text(WIDTH / 2.0, 258.0, 7.0, footing).anchored(Anchor::Middle).coloured(GREY));
    Drawing { width: WIDTH, height: 266.0, shapes }
}

fn frames<'a>(s: &'a Settings, d: &'a Doors) -> Vec<Frame<'a>> {
    let t = |es: &'static str, en: &'static str| s.lang.pick(es, en);
    let text = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let institute = people::name(&s.office.institute, s.call.institute());
    let networks: Vec<String> = d
        .trusted
        .iter()
        .map(|(name, _, networks, _)| format!("{name} {networks}").chars().take(24).collect())
        .collect();
    let trusted = networks.into_iter().take(4).collect();
    let events = s.events.iter().map(|e| e.name.clone()).take(3).collect::<Vec<_>>();
    let windows = if events.is_empty() { vec![t("sin ventanas", "no windows").to_owned()] } else { events };
    let frame = |x, y, w, h, fill, title, lines| Frame { x, y, w, h, fill, title, lines };
    let mut all = vec![
        frame(4.0, 44.0, 84.0, 72.0, WHITE, institute, trusted),
        frame(
            128.0,
            44.0,
            78.0,
            72.0,
            WHITE,
            t("Puertas", "Doors"),
            text(&[
                t("llave + dirección", "key + address"),
                t("sin intérprete", "no shell"),
                t("límites por red", "limits by network"),
            ]),
        ),
        frame(
            216.0,
            44.0,
            78.0,
            72.0,
            WHITE,
            t("Verificación", "Verification"),
            text(&[
                t("integridad", "integrity"),
                t("extracción", "extraction"),
                t("hora del corte", "hour of the cut"),
            ]),
        ),
        frame(304.0, 44.0, 68.0, 72.0, WHITE, t("Publicador", "Publisher"), windows),
        frame(
            128.0,
            138.0,
            78.0,
            56.0,
            WHITE,
            t("Historia", "History"),
            text(&[t("todo paquete", "every package"), "SHA-256"]),
        ),
        frame(
            216.0,
            138.0,
            78.0,
            56.0,
            WHITE,
            t("Bitácora", "Ledger"),
            text(&[t("encadenada", "hash-chained"), t("incidencias", "incidents")]),
        ),
        frame(
            304.0,
            138.0,
            68.0,
            56.0,
            BLUE,
            t("Sitio", "Site"),
            text(&["TLS 1.2 / 1.3", t("un corte completo", "one whole cut")]),
        ),
        frame(
            128.0,
            206.0,
            244.0,
            26.0,
            WHITE,
            t("Monitor propio · estadísticas · avisos · NTP", "Own monitor · statistics · alerts · NTP"),
            Vec::new(),
        ),
    ];
    let readers = t("Lectores", "Readers");
    let portals =
        || text(&[t("navegadores", "browsers"), t("portales que lo enmarcan", "portals that frame it")]);
    if d.cache == "direct" {
        all.push(frame(412.0, 140.0, 78.0, 54.0, PALE, readers, portals()));
    } else {
        let purged = if d.cache == "cdn-purged" {
            t("purgada en cada corte", "purged at each cut")
        } else {
            t("vigencia de segundos", "kept for seconds")
        };
        all.push(frame(412.0, 140.0, 78.0, 54.0, WHITE, "CDN", text(&[purged])));
        all.push(frame(412.0, 60.0, 78.0, 56.0, PALE, readers, portals()));
    }
    all
}
