//! From a request to the facts of its report: which window, which files, which figures.

use std::fmt::Write as _;
use std::io;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::audience::{self, Audience};
use super::calls::Span;
use super::document::{Cell, Document, Facts, SourceId, Table, hour};
use super::night::{self, Night};
use super::operation::{self, About};
use super::{Fault, Kind, Request, Settings, people, plant, troubles};
use crate::durable::Dir;
use crate::incident::{self, Incident};
use crate::model::{Digest, Event, EventKind, Hasher, Lang};
use crate::monitor;
use crate::stats;

/// What a report tells of.
struct Scope {
    /// What people call it.
    title: String,
    /// The event, where it is one of the configuration.
    event: Option<Event>,
    /// When what is told of began and ended.
    whole: Span,
    /// The windows in which readers are counted.
    windows: Vec<Span>,
    /// No later line of the ledger counts.
    as_of: Timestamp,
    /// Where the request says so, no later hit or probe counts either; without it all there are do.
    clip: Option<Timestamp>,
}

impl Scope {
    /// The end of a span for readers and probes.
    fn until(&self, to: Timestamp) -> Timestamp {
        self.clip.map_or(to, |clip| to.min(later(clip, SignedDuration::from_millis(1))))
    }
}

/// The keys of the sources.
#[derive(Clone, Copy)]
struct From {
    ledger: SourceId,
    incidents: SourceId,
    stats: SourceId,
    base: SourceId,
    probes: SourceId,
    config: SourceId,
    logs: SourceId,
}

/// The document with its facts and no body yet, and what templates see beside the facts.
pub(super) fn facts(settings: &Settings, request: &Request) -> Result<(Document, Value), Fault> {
    let scope = scope(settings, request)?;
    let mut facts = Facts::default();
    let from = sources(&mut facts, settings, &scope);
    people::add(&mut facts, settings, from.config);
    plant::add(&mut facts, settings, from.config);
    let mut more = context(settings, &scope);
    if request.kind.has_window() {
        more.extend(of_the_window(&mut facts, settings, &scope, from)?);
    }
    facts.tables.push(sources_table(&facts, settings.lang, from.config));
    let document = Document {
        kind: request.kind.name(),
        title: String::new(),
        subtitle: String::new(),
        lang: settings.lang,
        zone: settings.zone.clone(),
        as_of: scope.as_of,
        blocks: Vec::new(),
        facts,
    };
    Ok((document, Value::Object(more)))
}

fn ledger_dir(settings: &Settings) -> io::Result<Option<Dir>> {
    there(Dir::open(settings.var.join("ledger")))
}

/// What is not there yet is nothing, not a fault.
fn there(dir: io::Result<Dir>) -> io::Result<Option<Dir>> {
    match dir {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn scope(settings: &Settings, request: &Request) -> Result<Scope, Fault> {
    let dir = ledger_dir(settings)?;
    let last = dir.as_ref().map(night::last_line).transpose()?.flatten();
    let event = event(settings, request)?;
    let as_of = request.as_of.or(last);
    let lang = settings.lang;
    if let Some((from, to)) = request.window {
        let title = format!("{} – {}", hour(from, &settings.zone), hour(to, &settings.zone));
        let name = lang.pick("ventana pedida", "window asked for").to_owned();
        let whole = Span { name, from, to };
        let windows = vec![whole.clone()];
        return Ok(Scope { title, event, whole, windows, as_of: as_of.unwrap_or(to), clip: request.as_of });
    }
    let as_of = as_of.or_else(|| event.as_ref().map(|e| e.closes)).unwrap_or(Timestamp::UNIX_EPOCH);
    let Some(event) = event else {
        return implied(settings, dir.as_ref(), as_of, request.as_of);
    };
    // What was received for the event: from when it takes cuts on, but not what belonged to the one before.
    let before = settings.events.iter().filter(|e| e.closes <= event.opens).map(|e| e.closes).max();
    let begins = before.map_or(event.accepts_from, |closed| closed.max(event.accepts_from));
    let whole = Span { name: event.name.clone(), from: begins, to: event.closes };
    let windows = settings.call.windows(&event, &settings.zone, lang);
    Ok(Scope { title: event.name.clone(), event: Some(event), whole, windows, as_of, clip: request.as_of })
}

/// The event that is asked for, by name, else the only one of that kind; without a wish the one of the report's kind.
fn event(settings: &Settings, request: &Request) -> Result<Option<Event>, Fault> {
    let events = &settings.events;
    let kind = if request.kind == Kind::Drill { EventKind::Simulacro } else { EventKind::Jornada };
    let Some(wanted) = &request.event else {
        let mut of_kind = events.iter().filter(|e| e.kind == kind);
        return Ok(of_kind.next_back().filter(|_| request.window.is_none()).cloned());
    };
    let kind_of = |e: &&Event| match e.kind {
        EventKind::Jornada => wanted == "jornada",
        EventKind::Simulacro => wanted == "simulacro",
    };
    let found = events.iter().find(|e| e.name == *wanted).or_else(|| events.iter().rfind(kind_of));
    // An instance without windows has one event, which everybody calls so.
    let nameless = events.is_empty() && (wanted == "jornada" || wanted == "simulacro");
    match found {
        Some(event) => Ok(Some(event.clone())),
        None if nameless => Ok(None),
        None => {
            let known: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
            Err(Fault::Event { wanted: wanted.clone(), known: known.join(", ") })
        }
    }
}

/// Without windows of publication: all that was received, and the call's windows around the first day.
fn implied(
    settings: &Settings,
    dir: Option<&Dir>,
    as_of: Timestamp,
    clip: Option<Timestamp>,
) -> Result<Scope, Fault> {
    let all = match dir {
        Some(dir) => night::read(dir, Timestamp::MIN, Timestamp::MAX, as_of)?,
        None => Night::default(),
    };
    let first = all.receptions.iter().map(|r| r.last_byte).min().unwrap_or(as_of);
    let title = settings.lang.pick("jornada", "election").to_owned();
    let end = later(as_of.max(first), SignedDuration::from_millis(1));
    let event = Event {
        name: title.clone(),
        kind: EventKind::Jornada,
        opens: first,
        closes: end,
        accepts_from: first,
        zone: settings.zone.iana_name().unwrap_or("UTC").to_owned(),
    };
    let windows = settings.call.windows(&event, &settings.zone, settings.lang);
    let whole = Span { name: title.clone(), from: first, to: end };
    Ok(Scope { title, event: None, whole, windows, as_of, clip })
}

fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.checked_add(by).unwrap_or(instant)
}

fn sources(facts: &mut Facts, settings: &Settings, scope: &Scope) -> From {
    let lang = settings.lang;
    let t = |es: &'static str, en: &'static str| lang.pick(es, en);
    let zone = &settings.zone;
    let window = |span: &Span| format!("{} – {}", hour(span.from, zone), hour(span.to, zone));
    let windows = scope.windows.iter().map(window).collect::<Vec<_>>().join("; ");
    let whole = window(&scope.whole);
    From {
        ledger: facts.source(
            format!("{} {whole}", t("recepciones cuyo último byte llegó en el periodo, y las líneas received, verified, published, rejected, superseded, repeated, held, refused y rolled_back que les tocan; periodo", "receptions whose last byte came in the period, and the lines received, verified, published, rejected, superseded, repeated, held, refused and rolled_back about them; period")),
            "var/ledger/ledger.jsonl",
            "difusor ledger verify; difusor ledger export",
        ),
        incidents: facts.source(
            format!("{} {whole}", t("incidencias que empezaron en el periodo, o lo alcanzaron; periodo", "incidents that began in the period, or reached into it; period")),
            t("var/ledger/ledger.jsonl, líneas incident_*", "var/ledger/ledger.jsonl, lines incident_*"),
            "difusor incidents export",
        ),
        stats: facts.source(
            format!("{} {windows}", t("motor de estadísticas sobre las bitácoras de acceso, con las definiciones impresas en la sección 5; ventanas", "the statistics engine over the access logs, with the definitions printed in section 5; windows")),
            "var/stats, var/access",
            "difusor stats show; difusor stats rebuild",
        ),
        base: facts.source(
            t("promedios diarios usuales importados, comparados con el total de cada ventana entre sus días", "the usual daily averages as imported, compared with the total of each window by its days"),
            "var/stats",
            "difusor stats import-baseline",
        ),
        probes: facts.source(
            format!("{} {whole}", t("sondeos propios por la dirección pública; percentiles por rango más cercano; periodo", "our own probes through the public address; percentiles by nearest rank; period")),
            "var/monitor",
            "difusor monitor show",
        ),
        config: facts.source(t("configuración de la instancia", "configuration of the instance"), "difusor.toml", "difusor check"),
        logs: facts.source(
            t("archivos de bitácora tal como están en disco; SHA-256 de cada uno", "log files as they are on disk; SHA-256 of each"),
            "var/access",
            "sha256sum var/access/*; difusor log export",
        ),
    }
}

/// The text that templates see.
fn context(settings: &Settings, scope: &Scope) -> serde_json::Map<String, Value> {
    let zone = &settings.zone;
    let call = settings.call;
    let office = &settings.office;
    let span = |s: &Span| json!({"name": s.name, "from": hour(s.from, zone), "to": hour(s.to, zone)});
    let windows: Vec<Value> = scope.windows.iter().map(span).collect();
    let party = |party: &super::Party, otherwise: &str| {
        json!({"name": people::name(party, otherwise), "contact": party.contact, "post": party.post, "phone": party.phone,
               "email": party.email, "hours": party.hours, "address": party.address, "city": party.city, "state": party.state,
               "representative": party.representative, "description": party.description, "hosting": party.hosting})
    };
    let value = json!({
        "call": {"name": call.name(), "institute": call.institute()},
        "event": {"title": scope.title, "name": scope.whole.name, "from": hour(scope.whole.from, zone), "to": hour(scope.whole.to, zone)},
        "windows": windows,
        "window_from": hour(scope.whole.from, zone),
        "window_to": hour(scope.whole.to, zone),
        "as_of": hour(scope.as_of, zone),
        "zone": zone.iana_name().unwrap_or("UTC"),
        "site": plant::site(settings),
        "difusor": party(&office.difusor, &settings.domain),
        "institute": party(&office.institute, call.institute()),
        "criteria": settings.remarks.criteria,
        "comments": settings.remarks.comments,
        "period_minutes": settings.period_seconds / 60,
        "cdn": settings.doors.cache != "direct",
    });
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}

/// Everything that is told of a stretch of time.
fn of_the_window(
    facts: &mut Facts,
    settings: &Settings,
    scope: &Scope,
    from: From,
) -> Result<serde_json::Map<String, Value>, Fault> {
    let (lang, zone) = (settings.lang, &settings.zone);
    let dir = ledger_dir(settings)?;
    let night = match &dir {
        Some(dir) => night::read(dir, scope.whole.from, scope.whole.to, scope.as_of)?,
        None => Night::default(),
    };
    seal(facts, from.ledger, &night, lang);
    let opens = scope.event.as_ref().map(|e| e.opens);
    let about = About { call: settings.call, lang, zone, opens, period_seconds: settings.period_seconds };
    operation::add(facts, &night, &about, from.ledger);
    facts.tables.push(identification(settings, scope, from.config));
    facts.tables.push(events(settings, scope, dir.as_ref(), from.ledger)?);
    facts.tables.push(clauses(settings, from.config));
    drill(facts, settings, scope, &night, from.ledger);
    let incidents = incidents(dir.as_ref(), scope)?;
    troubles::add_incidents(facts, &incidents, scope.as_of, lang, zone, from.incidents);
    let audience = audience(settings, scope)?;
    audience::add(facts, &audience, lang, zone, from.stats, from.base);
    facts.tables.push(logs(settings, scope, from.logs)?);
    availability(facts, settings, scope, from.probes)?;
    let mut more = serde_json::Map::new();
    let mut imported: Vec<&str> = audience.imported.iter().map(|w| w.source.as_str()).collect();
    imported.dedup();
    more.insert("imported".to_owned(), json!(imported.join(", ")));
    more.insert("no_statistics".to_owned(), json!(audience.silent.unwrap_or_default()));
    more.insert("availability_method".to_owned(), json!(method(lang)));
    Ok(more)
}

/// Which lines the figures rest on, so that the annex can say it.
fn seal(facts: &mut Facts, source: SourceId, night: &Night, lang: Lang) {
    let Some(head) = night.head else { return };
    let Some(source) = facts.source_mut(source) else { return };
    let text = match lang {
        Lang::Es => format!("; {} líneas leídas, la última con SHA-256 {head}", night.lines),
        Lang::En => format!("; {} lines read, the last with SHA-256 {head}", night.lines),
    };
    source.from.push_str(&text);
}

fn method(lang: Lang) -> &'static str {
    lang.pick(
        "Método: cada ronda de sondeos por la dirección pública vale hasta la siguiente, y nunca por más de dos periodos; una ronda es buena si toda página respondió 200 con lo esperado y el corte servido era el más nuevo aceptado. Disponibilidad = tiempo bueno entre tiempo contado; el tiempo sin medir cuenta como caído; los tiempos excluidos se listan con su motivo.",
        "Method: each round of probes through the public address holds until the next one, and never for more than two periods; a round is good if every page answered 200 with what was expected and the cut served was the newest accepted. Availability = good time by counted time; time that was not measured counts as down; times left out are listed with their reason.",
    )
}

fn identification(settings: &Settings, scope: &Scope, from: SourceId) -> Table {
    let (lang, zone) = (settings.lang, &settings.zone);
    let t = |es: &'static str, en: &'static str| lang.pick(es, en);
    let columns = [(t("dato", "field"), 1.6), (t("valor", "value"), 4.0)];
    let mut table = Table::new("identification", t("Identificación", "Identification"), &columns, from);
    let office = &settings.office;
    let mut row = |what: &str, value: String| table.row([Cell::from(what), value.into()]);
    row(t("difusor", "difusor"), people::name(&office.difusor, &settings.domain).to_owned());
    row(t("sitio", "site"), plant::site(settings));
    row(t("instituto", "institute"), people::name(&office.institute, settings.call.institute()).to_owned());
    row(t("convocatoria", "call"), settings.call.name().to_owned());
    row(t("evento", "event"), scope.title.clone());
    if let Some(event) = &scope.event {
        row(t("apertura", "opening"), hour(event.opens, zone));
        row(t("fin de la publicación", "end of publication"), hour(event.closes, zone));
    }
    for span in &scope.windows {
        row(&span.name, format!("{} – {}", hour(span.from, zone), hour(span.to, zone)));
    }
    row(t("zona horaria", "time zone"), zone.iana_name().unwrap_or("UTC").to_owned());
    row(t("datos hasta", "data until"), hour(scope.as_of, zone));
    let jornada = scope.event.as_ref().is_some_and(|e| e.kind == EventKind::Jornada);
    if let (true, Some((days, clause)), Some(event)) = (jornada, settings.call.due(), &scope.event) {
        let day = event.opens.to_zoned(zone.clone()).date().checked_add(days.days());
        row(
            t("entrega de la memoria", "memoria due"),
            day.map_or_else(|_| String::new(), |d| format!("{d} ({clause})")),
        );
    }
    row(t("programa", "program"), format!("difusor {}", env!("CARGO_PKG_VERSION")));
    table
}

/// Drills and election, each with what came.
fn events(settings: &Settings, scope: &Scope, dir: Option<&Dir>, from: SourceId) -> Result<Table, Fault> {
    let (lang, zone) = (settings.lang, &settings.zone);
    let t = |es: &'static str, en: &'static str| lang.pick(es, en);
    let columns = [
        (t("evento", "event"), 1.6),
        (t("clase", "kind"), 1.0),
        (t("apertura", "opening"), 1.5),
        (t("fin", "end"), 1.5),
        (t("#recibidos", "#received"), 0.9),
        (t("#publicados", "#published"), 0.9),
        (t("#rechazados", "#rejected"), 0.9),
    ];
    let mut table = Table::new("events", t("Simulacros y jornada", "Drills and election"), &columns, from);
    for event in &settings.events {
        let night = match dir {
            Some(dir) => night::read(dir, event.accepts_from, event.closes, scope.as_of)?,
            None => Night::default(),
        };
        let shown = night.receptions.iter().filter(|r| r.published.is_some()).count();
        let refused = night.receptions.iter().filter(|r| matches!(r.fate, night::Fate::Rejected(..))).count();
        let kind = match event.kind {
            EventKind::Jornada => t("jornada", "election"),
            EventKind::Simulacro => t("simulacro", "drill"),
        };
        table.row([
            event.name.as_str().into(),
            kind.into(),
            hour(event.opens, zone).into(),
            hour(event.closes, zone).into(),
            night.receptions.len().into(),
            shown.into(),
            refused.into(),
        ]);
    }
    if table.rows.is_empty() {
        table.note =
            Some(t("sin [[event]] en la configuración", "no [[event]] in the configuration").to_owned());
    }
    Ok(table)
}

fn clauses(settings: &Settings, from: SourceId) -> Table {
    let t = |es: &'static str, en: &'static str| settings.lang.pick(es, en);
    let columns =
        [(t("cláusula", "clause"), 1.0), (t("sección de esta memoria", "section of this report"), 4.0)];
    let title = format!("{} {}", t("Convocatoria de", "Call of"), settings.call.name());
    let mut table = Table::new("clauses", title, &columns, from);
    for (section, clause) in settings.call.clauses() {
        table.row([Cell::from(*clause), section_name(section, settings.lang).into()]);
    }
    table
}

fn section_name(section: &str, lang: Lang) -> String {
    let name = match section {
        "4" => lang.pick("Análisis de los usuarios que consultaron", "Analysis of the users who consulted"),
        "5" => lang.pick("Visitas, páginas y hits", "Visits, pages and hits"),
        "6" => lang.pick("Visitantes, páginas y permanencia", "Visitors, pages and time on site"),
        "7" => lang.pick("Comparación con el promedio usual", "Comparison with the usual average"),
        "8" => lang.pick("Incidencias que afectaron la publicación", "Incidents that affected publication"),
        "9" => lang.pick("Disponibilidad y tiempos de respuesta", "Availability and response times"),
        "10" => lang.pick(
            "Criterios de mejora, comentarios y sugerencias",
            "Criteria for improvement, comments and suggestions",
        ),
        _ => lang.pick("Anexo: bitácoras de acceso", "Annex: access logs"),
    };
    format!("{section}. {name}")
}

/// How many cuts the period makes one expect, and how many came late.
fn drill(facts: &mut Facts, settings: &Settings, scope: &Scope, night: &Night, from: SourceId) {
    let period = settings.period_seconds.max(1);
    let expected = scope.event.as_ref().map(|e| {
        let length = e
            .closes
            .min(later(scope.as_of, SignedDuration::from_millis(1)))
            .duration_since(e.opens)
            .as_secs();
        u64::try_from(length).unwrap_or(0).div_ceil(period)
    });
    facts.figure("drill.expected", expected, from);
    #[expect(clippy::cast_precision_loss, reason = "a period in seconds")]
    let late = night.receptions.iter().filter(|r| {
        r.cut.is_some_and(|cut| r.last_byte.duration_since(cut.instant()).as_secs_f64() > period as f64)
    });
    facts.figure("drill.late", late.count(), from);
}

/// Those that touch the period, as they stood at `as_of`.
fn incidents(dir: Option<&Dir>, scope: &Scope) -> Result<Vec<Incident>, Fault> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let mut all = incident::read(dir)?;
    all.retain(|i| {
        i.start < scope.whole.to && i.start <= scope.as_of && i.end.is_none_or(|end| end >= scope.whole.from)
    });
    for incident in &mut all {
        incident.end = incident.end.filter(|end| *end <= scope.as_of);
        incident.notes.retain(|note| note.at <= scope.as_of);
    }
    Ok(all)
}

fn audience(settings: &Settings, scope: &Scope) -> Result<Audience, Fault> {
    let mut audience = Audience::default();
    let zone = settings.zone.iana_name().unwrap_or("UTC").to_owned();
    let ask = |name: &str, from, to| {
        stats::query(&settings.var, &stats::Window { name: name.to_owned(), from, to, zone: zone.clone() })
    };
    for span in &scope.windows {
        let to = scope.until(span.to);
        if to <= span.from {
            continue;
        }
        match ask(&span.name, span.from, to) {
            Ok(summary) => audience.windows.push(summary),
            Err(stats::QueryError::Nothing) => {
                let none = settings.lang.pick(
                    "No se llevaron estadísticas en esta instancia.",
                    "No statistics were kept on this instance.",
                );
                audience.silent = Some(none.to_owned());
                return Ok(audience);
            }
            // A report without readers says so; cuts and incidents do not wait for it.
            Err(e) => {
                audience.silent = Some(e.to_string());
                return Ok(audience);
            }
        }
    }
    audience.imported = imported(settings, scope)?;
    audience.baseline = usual(settings)?;
    let busiest = audience.windows.iter().filter_map(|s| s.peak_hour).max_by_key(|slot| slot.people.hits);
    if let Some(hour) = busiest {
        let window = stats::Window {
            name: String::new(),
            from: hour.from,
            to: later(hour.from, SignedDuration::from_hours(1)),
            zone,
        };
        audience.minutes = stats::minutes(&settings.var, &window).unwrap_or_default();
    }
    Ok(audience)
}

/// What was imported from elsewhere, window by window.
fn imported(settings: &Settings, scope: &Scope) -> Result<Vec<stats::Summary>, Fault> {
    let broken = |e: stats::QueryError| io::Error::other(e.to_string());
    let zone = settings.zone.iana_name().unwrap_or("UTC").to_owned();
    let mut all = Vec::new();
    for source in stats::sources(&settings.var).map_err(broken)?.iter().filter(|s| *s != "local") {
        for span in &scope.windows {
            let to = scope.until(span.to);
            if to > span.from {
                let window =
                    stats::Window { name: span.name.clone(), from: span.from, to, zone: zone.clone() };
                all.push(stats::query_source(&settings.var, &window, source, None).map_err(broken)?);
            }
        }
    }
    Ok(all)
}

/// The last baseline by name.
fn usual(settings: &Settings) -> Result<Option<audience::Usual>, Fault> {
    let Some(base) = stats::baselines(&settings.var)?.pop() else { return Ok(None) };
    let days = settings.lang.pick("días", "days");
    let origin = format!(
        "{} · {} ({} {days}, {}, sha256 {})",
        base.name,
        base.origin,
        base.days.len(),
        base.file,
        base.sha256
    );
    Ok(Some(audience::Usual { origin, mean: [base.mean.visits, base.mean.pages, base.mean.hits] }))
}

/// The log files of the days of the windows.
fn logs(settings: &Settings, scope: &Scope, from: SourceId) -> Result<Table, Fault> {
    let t = |es: &'static str, en: &'static str| settings.lang.pick(es, en);
    let columns = [(t("archivo", "file"), 1.6), ("#bytes", 1.0), ("SHA-256", 3.4)];
    let title = t("Bitácoras de acceso del periodo", "Access logs of the period");
    let mut table = Table::new("logs", title, &columns, from);
    let Some(dir) = there(Dir::open(settings.var.join("access")))? else {
        return Ok(table.noted(t("no hay bitácoras de acceso", "there are no access logs")));
    };
    let (first, last) = days(scope, &settings.zone);
    for listed in dir.list()?.into_iter().filter(crate::durable::Listed::is_file) {
        let name = listed.name.to_string_lossy().into_owned();
        let in_days =
            date_in(&name).is_none_or(|day| day.as_str() >= first.as_str() && day.as_str() <= last.as_str());
        // A lock of ours is no log.
        if !in_days || name.starts_with('.') {
            continue;
        }
        let (bytes, sha256) = hash(&dir, &name)?;
        table.row([name.into(), bytes.into(), sha256.to_string().into()]);
    }
    if table.rows.is_empty() {
        table.note = Some(t("ninguna en el periodo", "none in the period").to_owned());
    }
    Ok(table)
}

/// First and last day of the windows, as `2027-06-06`.
fn days(scope: &Scope, zone: &TimeZone) -> (String, String) {
    let day = |t: Timestamp| t.to_zoned(zone.clone()).date().to_string();
    let first = scope.windows.iter().map(|s| s.from).min().unwrap_or(scope.whole.from);
    let last = scope.windows.iter().map(|s| s.to).max().unwrap_or(scope.whole.to);
    (day(first), day(later(last, SignedDuration::from_millis(-1))))
}

/// The date in a file name, where there is one.
fn date_in(name: &str) -> Option<String> {
    name.split(|c: char| !c.is_ascii_digit() && c != '-').map(|part| part.trim_matches('-')).find_map(
        |part| {
            let date: String = part.chars().take(10).collect();
            date.parse::<jiff::civil::Date>().ok().map(|d| d.to_string())
        },
    )
}

fn hash(dir: &Dir, name: &str) -> io::Result<(u64, Digest)> {
    use std::io::Read as _;
    let (mut file, mut hasher, mut bytes) = (dir.open_file(name)?, Hasher::new(), 0_u64);
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => return Ok((bytes, hasher.finish())),
            n => {
                bytes += n as u64;
                hasher.update(block.get(..n).unwrap_or_default());
            }
        }
    }
}

fn availability(facts: &mut Facts, settings: &Settings, scope: &Scope, from: SourceId) -> Result<(), Fault> {
    let (lang, zone) = (settings.lang, &settings.zone);
    let to = scope.until(scope.whole.to);
    let begin = scope.event.as_ref().map_or(scope.whole.from, |e| e.opens.min(scope.whole.to));
    let (mut all, mut probes) = (Vec::new(), Vec::new());
    if let (Some(dir), Some(how)) = (there(Dir::open(settings.var.join("monitor")))?, &settings.monitor) {
        all = monitor::availability(&dir, begin, to, how)?;
        probes = monitor::probes(&dir, zone, begin, to)?;
    }
    troubles::add_availability(facts, &all, &probes, lang, zone, from);
    Ok(())
}

/// How each figure was obtained.
fn sources_table(facts: &Facts, lang: Lang, from: SourceId) -> Table {
    let t = |es: &'static str, en: &'static str| lang.pick(es, en);
    let columns = [
        (t("clave", "key"), 0.5),
        (t("cómo se obtuvo", "how it was obtained"), 3.4),
        (t("de dónde", "from where"), 2.2),
        (t("cómo repetirlo", "how to repeat it"), 1.8),
        (t("qué sale de ahí", "what comes from it"), 2.6),
    ];
    let mut table = Table::new("sources", t("Cómo se obtuvo", "How it was obtained"), &columns, from);
    for (at, source) in facts.sources.iter().enumerate() {
        let id = SourceId::nth(at);
        let mut uses = String::new();
        let tables = facts.tables.iter().filter(|t| t.source == id).map(|t| t.id);
        let charts = facts.charts.iter().filter(|c| c.source == id).map(|c| c.id);
        let figures = facts.figures.iter().filter(|f| f.source == id).map(|f| f.id);
        tables.chain(charts).chain(figures).for_each(|used| _ = write!(uses, "{used} "));
        table.row([
            id.to_string().into(),
            source.how.as_str().into(),
            source.from.as_str().into(),
            source.query.as_str().into(),
            uses.trim_end().into(),
        ]);
    }
    table
}
