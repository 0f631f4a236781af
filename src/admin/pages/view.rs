//! What is seen, in words: everything the template prints is made here, in the reader's language and the
//! zone of the election.

use askama::Template;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::Session;
use super::acts::Said;
use super::night::Sight;
use super::strip::{self, Bar, Fate};
use crate::access::TrustedKey;
use crate::cadence::{State, Timing};
use crate::config::Config;
use crate::control::{Readers, Shown};
use crate::incident::Incident;
use crate::model::Lang;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    lang: Lang,
    domain: String,
    profile: String,
    who: String,
    /// What forms carry; `None` where the page only shows.
    csrf: Option<String>,
    said: Option<Said>,
    now: String,
    zone: String,
    rhythm: Line,
    loud: Vec<Loud>,
    live: Option<Cut>,
    staged: Option<Cut>,
    waiting: bool,
    running: bool,
    next_due: String,
    missed: String,
    strip: String,
    cuts: Vec<Row>,
    earlier: Vec<Choice>,
    traffic: Vec<Line>,
    machine: Vec<Line>,
    incidents: Vec<Trouble>,
    keys: Vec<Key>,
    key_faults: Vec<String>,
    networks: Vec<Net>,
    is_held: bool,
    is_noticed: bool,
    is_ended: bool,
}

/// A label, its value, and how it stands.
struct Line {
    label: String,
    value: String,
    class: &'static str,
}

/// What must not be overlooked, and the order that ends it.
struct Loud {
    class: &'static str,
    title: String,
    text: String,
    command: String,
}

/// A release.
struct Cut {
    cut: String,
    since: String,
    sha: String,
    release: String,
    files: usize,
}

/// A reception.
struct Row {
    id: String,
    cut: String,
    class: &'static str,
    sign: &'static str,
    fate: String,
    name: String,
    received: String,
    transfer: String,
    published: String,
    delay: String,
    sha: String,
    release: String,
    sender: String,
}

/// A release that may be shown again.
struct Choice {
    release: String,
    label: String,
}

struct Trouble {
    number: u64,
    class: &'static str,
    level: String,
    kind: String,
    stage: String,
    start: String,
    lasted: String,
    cause: String,
    affected: bool,
    is_open: bool,
    notes: Vec<String>,
}

struct Key {
    name: String,
    fingerprint: String,
    from: String,
    expires: String,
    used: String,
    is_current: bool,
}

struct Net {
    net: String,
    note: String,
    expires: String,
}

impl Page {
    pub(super) fn of(
        sight: &Sight,
        config: &Config,
        session: &Session,
        lang: Lang,
        said: Option<Said>,
    ) -> Self {
        let words = Words { lang, zone: &config.zone, now: sight.now };
        let status = sight.status.as_ref();
        let live = status.and_then(|s| s.live.as_ref());
        let waiting = status.is_some_and(|s| s.waiting);
        let reading = status.and_then(|s| s.cadence.as_ref());
        let rows: Vec<Row> = sight.cuts.iter().rev().take(ROWS_MAX).map(|t| words.row(t, config)).collect();
        let bars: Vec<Bar> = sight.cuts.iter().map(|t| words.bar(t, config)).collect();
        Self {
            lang,
            domain: config.domain.clone(),
            profile: config.profile.name().to_owned(),
            who: session.who.clone(),
            csrf: config.admin.actions.then(|| session.csrf.clone()),
            said,
            now: words.clock(sight.now),
            zone: config.zone.iana_name().unwrap_or("UTC").to_owned(),
            rhythm: words.rhythm(reading.map(|r| r.state), status.is_some()),
            loud: words.loud(sight),
            live: live.filter(|_| !waiting).map(|shown| words.shown(shown)),
            staged: status.and_then(|s| s.staged.as_ref()).map(|shown| words.shown(shown)),
            waiting,
            running: status.is_some(),
            next_due: reading.and_then(|r| r.next_due).map_or_else(|| "–".to_owned(), |t| words.hour(t)),
            missed: reading.map_or_else(|| "–".to_owned(), |r| format!("{}/{}", r.missed, r.limit)),
            strip: strip::draw(
                &bars,
                lang.pick(
                    "Cortes recibidos, del más antiguo al más nuevo",
                    "Cuts received, oldest to newest",
                ),
            ),
            cuts: rows,
            earlier: words.earlier(&sight.cuts, live),
            traffic: words.traffic(sight.readers.as_ref(), sight.refused),
            machine: words.machine(sight, config),
            incidents: sight.incidents.iter().rev().take(INCIDENTS_MAX).map(|i| words.trouble(i)).collect(),
            keys: words.keys(sight),
            key_faults: words.key_faults(sight),
            networks: words.networks(config),
            is_held: status.is_some_and(|s| s.hold.is_some()),
            is_noticed: status.is_some_and(|s| s.notice.is_some()),
            is_ended: status.is_some_and(|s| s.ended.is_some()),
        }
    }

    /// A word of the template.
    fn t<'a>(&self, es: &'a str, en: &'a str) -> &'a str {
        self.lang.pick(es, en)
    }

    fn code(&self) -> &'static str {
        self.lang.pick("es", "en")
    }

    fn other(&self) -> &'static str {
        self.lang.pick("en", "es")
    }
}

/// How things are said: the language, the zone, the moment.
struct Words<'a> {
    lang: Lang,
    zone: &'a TimeZone,
    now: Timestamp,
}

impl Words<'_> {
    fn pick<'t>(&self, es: &'t str, en: &'t str) -> &'t str {
        self.lang.pick(es, en)
    }

    fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The hour alone where it is today.
    fn hour(&self, at: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), self.now.to_zoned(self.zone.clone()));
        let form = if at.date() == now.date() { "%H:%M:%S" } else { "%m-%d %H:%M:%S" };
        at.strftime(form).to_string()
    }

    /// `hace 4 min`.
    fn ago(&self, at: Timestamp) -> String {
        let span = self.span(self.now.duration_since(at).max(SignedDuration::ZERO));
        match self.lang {
            Lang::Es => format!("hace {span}"),
            Lang::En => format!("{span} ago"),
        }
    }

    /// A time in the unit that a person would use.
    fn span(&self, time: SignedDuration) -> String {
        let seconds = time.as_secs_f64();
        match seconds {
            s if s.abs() < 10.0 => format!("{s:.1} s"),
            s if s.abs() < 120.0 => format!("{s:.0} s"),
            s if s.abs() < 7_200.0 => format!("{:.0} min", s / 60.0),
            s if s.abs() < 172_800.0 => format!("{:.1} h", s / 3_600.0),
            s => format!("{:.0} {}", s / 86_400.0, self.pick("días", "days")),
        }
    }

    fn rhythm(&self, state: Option<State>, running: bool) -> Line {
        let (value, class) = match state {
            None if running => (self.pick("sin ritmo esperado", "no rhythm expected"), "neutro"),
            None => (self.pick("el servicio no responde", "the service does not answer"), "grave"),
            Some(state) => {
                let class = match state {
                    State::OnTime => "bien",
                    State::Late => "tarde",
                    State::Idle | State::Ended => "neutro",
                    State::Missed1 | State::Missed2 | State::Missed3 | State::Interrupted => "grave",
                };
                (state.label(self.lang), class)
            }
        };
        Line { label: String::new(), value: value.to_owned(), class }
    }

    fn loud(&self, sight: &Sight) -> Vec<Loud> {
        let mut loud = Vec::new();
        if let Some(status) = &sight.status {
            if let Some(notice) = &status.notice {
                loud.push(Loud {
                    class: "grave",
                    title: self.pick("Aviso del instituto puesto", "The institute's notice is up").to_owned(),
                    text: format!("{}, {}: {}", self.hour(notice.since), notice.who, notice.why),
                    command: "difusor notice off --reason …".to_owned(),
                });
            }
            if let Some(hold) = &status.hold {
                let until = format!("{} {}", self.pick("hasta", "until"), self.hour(hold.until));
                loud.push(Loud {
                    class: "grave",
                    title: self.pick("Publicación retenida", "Publication on hold").to_owned(),
                    text: format!("{until}, {}: {}", hold.who, hold.why),
                    command: "difusor releases resume".to_owned(),
                });
            }
            if let Some(ended) = status.ended.as_ref() {
                loud.push(Loud {
                    class: "neutro",
                    title: self.pick("Noche cerrada", "Night closed").to_owned(),
                    text: format!("{} ({})", self.hour(ended.since), ended.how),
                    command: "difusor night reopen --reason …".to_owned(),
                });
            }
        }
        for part in &sight.missing {
            loud.push(Loud {
                class: "grave",
                title: self.pick("No se pudo leer", "Could not be read").to_owned(),
                text: (*part).to_owned(),
                command: "difusor check".to_owned(),
            });
        }
        loud
    }

    fn shown(&self, shown: &Shown) -> Cut {
        let since = shown.since.map_or_else(String::new, |t| format!("{} ({})", self.hour(t), self.ago(t)));
        Cut {
            cut: shown.cut.map_or_else(|| "–".to_owned(), |cut| cut.label()),
            since,
            sha: shown.package.as_ref().map_or_else(String::new, ToString::to_string),
            release: shown.release.to_string(),
            files: shown.files,
        }
    }

    fn fate(timing: &Timing, config: &Config) -> Fate {
        if timing.code.is_some() {
            return Fate::Refused;
        }
        let slack = config.schedule.longest.saturating_add(config.schedule.grace);
        match timing.published {
            None => Fate::Kept,
            Some(_) if timing.stamp_to_received().is_some_and(|late| late > slack) => Fate::Late,
            Some(_) => Fate::Good,
        }
    }

    fn told(&self, fate: Fate, timing: &Timing) -> String {
        match fate {
            Fate::Good => self.pick("publicado", "published").to_owned(),
            Fate::Late => self.pick("publicado tarde", "published late").to_owned(),
            Fate::Kept => self.pick("guardado, no publicado", "kept, not published").to_owned(),
            Fate::Refused => {
                let code = timing.code.as_deref().unwrap_or_default();
                format!("{} {code}", self.pick("rechazado:", "rejected:"))
            }
        }
    }

    fn label(&self, timing: &Timing) -> String {
        match timing.cut {
            Some(cut) => cut.civil().strftime("%H:%M").to_string(),
            None => timing.last_byte.to_zoned(self.zone.clone()).strftime("%H:%M").to_string(),
        }
    }

    fn bar(&self, timing: &Timing, config: &Config) -> Bar {
        let fate = Self::fate(timing, config);
        let label = self.label(timing);
        let transfer = self.span(timing.transfer());
        let told = format!("{label} · {} · {transfer}", self.told(fate, timing));
        Bar { label, fate, seconds: timing.transfer().as_secs_f64(), told }
    }

    fn row(&self, timing: &Timing, config: &Config) -> Row {
        let fate = Self::fate(timing, config);
        let mut transfer = format!("{} MB, {}", megabytes(timing.bytes), self.span(timing.transfer()));
        if let Some(mbps) = timing.mbps() {
            transfer.push_str(&format!(", {mbps:.0} Mbps"));
        }
        let sender = timing.sender.as_ref().map_or_else(String::new, |sender| {
            let from = sender.addr.map_or_else(String::new, |addr| format!("@{addr}"));
            format!("{} {}{from}", sender.via.name(), sender.name)
        });
        let short = timing.package.get(..12).unwrap_or(&timing.package);
        Row {
            id: format!("c-{short}-{}", timing.last_byte.as_millisecond()),
            cut: self.label(timing),
            class: fate.class(),
            sign: fate.sign(),
            fate: self.told(fate, timing),
            name: timing.name.clone(),
            received: self.hour(timing.last_byte),
            transfer,
            published: timing.published.map_or_else(|| "–".to_owned(), |t| self.hour(t)),
            delay: timing.received_to_published().map_or_else(|| "–".to_owned(), |d| self.span(d)),
            sha: timing.package.clone(),
            release: timing.release.as_ref().map_or_else(String::new, ToString::to_string),
            sender,
        }
    }

    /// What may be shown again, newest first: what was shown before and is not shown now.
    fn earlier(&self, cuts: &[Timing], live: Option<&Shown>) -> Vec<Choice> {
        let shown = cuts.iter().rev().filter(|t| t.published.is_some());
        let mut choices: Vec<Choice> = Vec::new();
        for timing in shown {
            let Some(release) = &timing.release else { continue };
            let known = choices.iter().any(|c| c.release == release.as_str());
            if known || live.is_some_and(|live| live.release == *release) {
                continue;
            }
            let ago = timing.published.map_or_else(String::new, |t| self.ago(t));
            let corte = self.pick("corte", "cut");
            choices.push(Choice {
                release: release.to_string(),
                label: format!("{corte} {} · {ago}", self.label(timing)),
            });
            if choices.len() == CHOICES_MAX {
                break;
            }
        }
        choices
    }

    fn traffic(&self, readers: Option<&Readers>, refused: u64) -> Vec<Line> {
        let line = |label: &str, value: String, class| Line { label: label.to_owned(), value, class };
        let refusals = line(
            self.pick("rechazos en las puertas (36 h)", "refusals at the doors (36 h)"),
            refused.to_string(),
            "neutro",
        );
        let Some(readers) = readers else {
            let none = self.pick("la mitad que sirve no responde", "the serving half does not answer");
            return vec![line(self.pick("lectores", "readers"), none.to_owned(), "grave"), refusals];
        };
        let count = |name: &str| readers.counts.get(name).copied().unwrap_or_default();
        let mut lines = vec![
            line(self.pick("conexiones ahora", "connections now"), readers.connections.to_string(), "neutro"),
            line(
                self.pick("consultas desde el inicio", "requests since the start"),
                count("requests").to_string(),
                "neutro",
            ),
        ];
        let turned: u64 = readers
            .counts
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "requests" | "accepted"))
            .map(|(_, n)| n)
            .sum();
        lines.push(line(
            self.pick("lectores rechazados o cortados", "readers turned away or cut"),
            turned.to_string(),
            "neutro",
        ));
        lines.push(refusals);
        lines
    }

    fn machine(&self, sight: &Sight, config: &Config) -> Vec<Line> {
        let line = |label: &str, value: String, class| Line { label: label.to_owned(), value, class };
        let unknown = || (self.pick("desconocido", "unknown").to_owned(), "tarde");
        let (disk, disk_class) = sight.space.map_or_else(unknown, |space| {
            let largest = sight.cuts.iter().map(|t| t.bytes).max().unwrap_or(0).max(1);
            let free = space.free_bytes;
            let mut text = format!("{} GB {}", free / 1_000_000_000, self.pick("libres", "free"));
            if largest > 1 {
                text.push_str(&format!(" (≈ {} {})", free / largest, self.pick("cortes", "cuts")));
            }
            (text, if free < config.release.min_free { "grave" } else { "bien" })
        });
        let ends = sight.readers.as_ref().and_then(|r| r.certificate_ends);
        let (certificate, certificate_class) = ends.map_or_else(unknown, |ends| {
            let left = ends.duration_since(sight.now);
            let days = left.as_hours() / 24;
            let needed = config.events.iter().map(|e| e.closes).max();
            let short = needed.is_some_and(|needed| ends < needed);
            let word = self.pick("días, vence", "days, ends");
            (format!("{days} {word} {}", self.clock(ends)), if days < 14 || short { "grave" } else { "bien" })
        });
        let (n, sum) = &sight.head;
        let open = sight.incidents.iter().filter(|i| i.is_open());
        let clock = open.clone().find(|i| i.kind == crate::incident::Trouble::Clock);
        let (clock, clock_class) = match clock {
            Some(incident) => (incident.cause.clone(), "grave"),
            None => (self.pick("sin diferencia conocida", "no known offset").to_owned(), "neutro"),
        };
        vec![
            line(self.pick("disco", "disk"), disk, disk_class),
            line(self.pick("certificado", "certificate"), certificate, certificate_class),
            line(self.pick("reloj", "clock"), clock, clock_class),
            line(
                self.pick("bitácora", "ledger"),
                format!("{} {n}, sha256 {}…", self.pick("línea", "line"), sum.get(..12).unwrap_or(sum)),
                "neutro",
            ),
            line(self.pick("espejos", "mirrors"), self.pick("ninguno", "none").to_owned(), "neutro"),
        ]
    }

    fn trouble(&self, incident: &Incident) -> Trouble {
        let who = |who: &Option<String>| who.as_ref().map_or_else(String::new, |w| format!(" ({w})"));
        let notes = incident.notes.iter();
        let mut notes: Vec<String> =
            notes.map(|n| format!("{} {}{}", self.hour(n.at), n.text, who(&n.who))).collect();
        if let Some(action) = &incident.action {
            notes.push(format!("{}: {action}{}", self.pick("cierre", "closed"), who(&incident.closed_by)));
        }
        let class = match (incident.is_open(), incident.level) {
            (false, _) => "cerrado",
            (true, crate::incident::Level::Critical) => "grave",
            (true, _) => "tarde",
        };
        Trouble {
            number: incident.number,
            class,
            level: incident.level.label(self.lang).to_owned(),
            kind: incident.kind.label(self.lang).to_owned(),
            stage: incident.stage.map_or_else(String::new, |stage| stage.label(self.lang).to_owned()),
            start: self.hour(incident.start),
            lasted: self.span(incident.duration(self.now)),
            cause: incident.cause.clone(),
            affected: incident.affected,
            is_open: incident.is_open(),
            notes,
        }
    }

    fn keys(&self, sight: &Sight) -> Vec<Key> {
        let keys = sight.keys.iter().flat_map(|ring| ring.keys());
        keys.map(|key: &TrustedKey| Key {
            name: key.name.clone(),
            fingerprint: key.fingerprint.clone(),
            from: key.from.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string),
            expires: key.expires.map_or_else(|| "–".to_owned(), |t| self.clock(t)),
            used: sight.uses.of(&key.fingerprint).map_or_else(
                || self.pick("nunca", "never").to_owned(),
                |used| format!("{} {}", self.ago(used.at), used.from),
            ),
            is_current: key.is_current(self.now),
        })
        .collect()
    }

    fn key_faults(&self, sight: &Sight) -> Vec<String> {
        let faults = sight.keys.iter().flat_map(|ring| ring.faults());
        faults.map(|fault| format!("{}: {}", fault.place(), fault.text(self.lang))).collect()
    }

    fn networks(&self, config: &Config) -> Vec<Net> {
        let all = config.trust.networks.iter();
        all.map(|network| Net {
            net: network.net().to_string(),
            note: network.note.clone(),
            expires: network.expires.map_or_else(|| "–".to_owned(), |t| self.clock(t)),
        })
        .collect()
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// Receptions in the table.
const ROWS_MAX: usize = 40;
/// Incidents on the page; all are in `difusor incidents list`.
const INCIDENTS_MAX: usize = 20;
/// Releases offered to go back to.
const CHOICES_MAX: usize = 10;
