//! The commented file that `init` writes, and the reference in `docs/CONFIG.md`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::keys::{ARRAYS, KEYS, Key, SECTIONS};
use super::profile::Profile;
use crate::model::Lang;

/// What `init` was told on the command line; `None` leaves the default.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Address of the SSH door.
    pub ssh: Option<SocketAddr>,
    /// Address of the site.
    pub https: Option<SocketAddr>,
    /// Address of the redirection.
    pub http: Option<SocketAddr>,
    /// Address of the rsync daemon.
    pub rsync: Option<SocketAddr>,
    /// Public name.
    pub domain: Option<String>,
}

impl Addresses {
    fn value_of(&self, key: &Key) -> Option<String> {
        let address = match (key.section, key.name) {
            ("ssh", "listen") => self.ssh,
            ("https", "listen") => self.https,
            ("http", "listen") => self.http,
            ("rsync", "listen") => self.rsync,
            ("", "domain") => return self.domain.as_ref().map(|d| format!("{d:?}")),
            _ => None,
        };
        address.map(|a| format!("[\"{a}\"]"))
    }
}

/// A whole commented file. Keys that keep their default are commented out, so that the
/// file shows what was decided here.
pub fn sample(profile: Profile, addresses: &Addresses, lang: Lang) -> String {
    let mut file = String::new();
    let head = lang.pick(
        "# Configuración de difusor. Compruébela con: difusor check --config ESTE-ARCHIVO\n\
         # Lo que empieza con # vale lo que muestra; quite el # para cambiarlo.\n",
        "# difusor configuration. Check it with: difusor check --config THIS-FILE\n\
         # A line that begins with # has the value it shows; remove the # to change it.\n",
    );
    file.push_str(head);
    for (section, es, en) in SECTIONS {
        let _ = writeln!(file, "\n# --- {} ---", lang.pick(es, en));
        let array = ARRAYS.contains(section);
        match *section {
            "" => {}
            name if array => _ = writeln!(file, "#[[{name}]]"),
            name => _ = writeln!(file, "[{name}]"),
        }
        for key in KEYS.iter().filter(|k| k.section == *section) {
            let _ = writeln!(file, "# {}", lang.pick(key.es, key.en));
            let own = addresses.value_of(key);
            let fixed = own.is_some()
                || matches!(key.name, "version" | "profile" | "domain" | "timezone") && section.is_empty();
            let value = own.unwrap_or_else(|| example(profile, key).to_owned());
            let mark = if fixed { "" } else { "#" };
            let _ = writeln!(file, "{mark}{} = {value}", key.name);
        }
    }
    file
}

fn example(profile: Profile, key: &Key) -> &'static str {
    match (key.section, key.name) {
        ("rsync.module", "name") => "\"prep\"",
        ("package.identity", "file") => "\"assets/api/entidad.json\"",
        ("package.identity", "pointer") => "\"/proceso\"",
        ("package.identity", "value") => "\"jornada\"",
        ("stats.page", "pattern") => "\"assets/presidencia/entidad/23.json\"",
        ("stats.page", "name") => "\"Presidencia · Quintana Roo\"",
        ("stats.window", "name") => "\"primera-hora\"",
        ("stats.window", "from") => "\"2027-06-06T20:00\"",
        ("stats.window", "to") => "\"2027-06-06T21:00\"",
        ("alert", "name") => "\"guardia\"",
        ("alert", "by") => "\"webhook\"",
        ("alert", "url") => "\"https://avisos.ejemplo.mx/prep\"",
        ("alert", "server") => "\"correo.ejemplo.mx\"",
        ("alert", "from") => "\"prep@ejemplo.mx\"",
        ("alert", "to") => "[\"guardia@ejemplo.mx\"]",
        ("alert", "run") => "[\"/usr/local/bin/avisar\"]",
        ("monitor.exclusion", "from") => "\"2027-06-05T02:00\"",
        ("monitor.exclusion", "to") => "\"2027-06-05T03:00\"",
        ("monitor.exclusion", "reason") => "\"mantenimiento acordado\"",
        ("event", "name") => "\"jornada-2027\"",
        ("event", "opens") => "\"2027-06-06T20:00\"",
        ("staff", "name") => "\"María Pech\"",
        ("staff", "post") => "\"soporte\"",
        ("staff", "phone") => "\"998 123 4567\"",
        ("staff", "email") => "\"soporte@ejemplo.mx\"",
        ("evidence", "what") => "\"ISO/IEC 27001:2022\"",
        ("evidence", "file") => "\"evidencias/iso-27001.pdf\"",
        ("event", "closes") => "\"2027-06-13T23:59\"",
        _ => profile.default_of(key),
    }
}

/// The reference of all keys, in English and Spanish, as Markdown.
pub fn reference() -> String {
    let mut doc = String::from(
        "# difusor.toml\n\nMade from `src/config/keys.rs`; a test keeps it so. Unknown keys are errors that name the\n\
         nearest known key; `difusor check` names every fault at once with file, line and column.\n",
    );
    for (section, es, en) in SECTIONS {
        let name = match *section {
            "" => "Top of the file".to_owned(),
            s if ARRAYS.contains(&s) => format!("`[[{s}]]`"),
            s => format!("`[{s}]`"),
        };
        let _ = write!(
            doc,
            "\n## {name}\n\n{en}. *{es}.*\n\n| key | default | meaning | significado |\n|---|---|---|---|\n"
        );
        for key in KEYS.iter().filter(|k| k.section == *section) {
            let default =
                if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
            let _ = writeln!(doc, "| `{}` | {default} | {} | {} |", key.name, key.en, key.es);
        }
    }
    doc
}
