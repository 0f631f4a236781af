//! Incidents and availability, as the calls want them told.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::{Cell, Facts, SourceId, Table, hour};
use super::operation::percentile;
use crate::incident::Incident;
use crate::model::{Cut, Lang};
use crate::monitor::{Availability, Probe, Share};

/// Hours that the table of hours shows: those in which something was wrong.
const HOURS_MAX: usize = 200;

/// Adds figures `incidents.*`, tables `incidents` (those that affected publication) and `incidents-other`.
pub(super) fn add_incidents(
    facts: &mut Facts,
    incidents: &[Incident],
    as_of: Timestamp,
    lang: Lang,
    zone: &TimeZone,
    from: SourceId,
) {
    let (affected, others): (Vec<&Incident>, Vec<&Incident>) = incidents.iter().partition(|i| i.affected);
    facts.figure("incidents.affected", affected.len(), from);
    facts.figure("incidents.other", others.len(), from);
    facts.figure("incidents.open", incidents.iter().filter(|i| i.is_open()).count(), from);
    let seconds: i64 = affected.iter().map(|i| i.duration(as_of).as_secs()).sum();
    facts.figure("incidents.affected-seconds", u64::try_from(seconds).unwrap_or(0), from);
    let title = lang.pick("Incidencias que afectaron la publicación", "Incidents that affected publication");
    facts.tables.push(incidents_table("incidents", title, &affected, as_of, lang, zone, from));
    let title = lang.pick("Las demás incidencias", "The other incidents");
    facts.tables.push(incidents_table("incidents-other", title, &others, as_of, lang, zone, from));
}

fn incidents_table(
    id: &'static str,
    title: &str,
    incidents: &[&Incident],
    as_of: Timestamp,
    lang: Lang,
    zone: &TimeZone,
    from: SourceId,
) -> Table {
    let t = |es, en| lang.pick(es, en);
    let columns = [
        ("#", 0.45),
        (t("incidencia", "incident"), 1.5),
        (t("etapa", "stage"), 1.05),
        (t("inicio", "start"), 1.1),
        (t("fin", "end"), 1.1),
        (t("#duración", "#duration"), 0.9),
        (t("cortes", "cuts"), 0.9),
        (t("causa", "cause"), 2.2),
        (t("acción y notas", "action and notes"), 2.2),
        (t("detectó", "detected by"), 0.9),
    ];
    let mut table = Table::new(id, title, &columns, from);
    for i in incidents {
        let notes = i.notes.iter().map(|note| {
            let who = note.who.as_deref().map_or_else(String::new, |who| format!(" ({who})"));
            format!("{}{who}: {}", hour(note.at, zone).chars().skip(11).collect::<String>(), note.text)
        });
        let told: Vec<String> = i.action.iter().cloned().chain(notes).collect();
        let cuts: Vec<String> = i.cuts.iter().map(|cut| Cut::label(*cut)).collect();
        table.row([
            i.number.to_string().into(),
            i.kind.label(lang).into(),
            i.stage.map(|s| s.label(lang)).into(),
            hour(i.start, zone).into(),
            i.end.map_or_else(|| t("abierta", "open").to_owned(), |end| hour(end, zone)).into(),
            length(i.duration(as_of).as_secs()).into(),
            cuts.join(" ").into(),
            i.cause.as_str().into(),
            told.join(" · ").into(),
            i.detected_by.as_str().into(),
        ]);
    }
    if table.rows.is_empty() {
        table.note = Some(t("ninguna", "none").to_owned());
    }
    table
}

/// `1 h 02 min 05 s`.
pub(super) fn length(seconds: i64) -> String {
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) => format!("{s} s"),
        (0, m) => format!("{m} min {s:02} s"),
        (h, m) => format!("{h} h {m:02} min {s:02} s"),
    }
}

/// Adds the figure `availability.percent`, tables `availability`, `availability-days`,
/// `availability-hours`, `exclusions` and `response`.
pub(super) fn add_availability(
    facts: &mut Facts,
    all: &[Availability],
    probes: &[Probe],
    lang: Lang,
    zone: &TimeZone,
    from: SourceId,
) {
    let public = all.iter().find(|a| a.target == "public").or_else(|| all.first());
    let percent = public.and_then(|a| a.total.percent);
    facts.figure("availability.percent", percent.map_or(Cell::Empty, |p| Cell::Percent(p / 100.0, 4)), from);
    facts.figure("availability.rounds", public.map(|a| a.rounds), from);
    let t = |es, en| lang.pick(es, en);
    let none = t("no hay sondeos en la ventana", "there are no probes in the window");
    let mut total = shares(
        "availability",
        t("Disponibilidad de la ventana y por mes", "Availability of the window and by month"),
        lang,
        from,
    );
    let mut days =
        shares("availability-days", t("Disponibilidad por día", "Availability by day"), lang, from);
    let mut hours =
        shares("availability-hours", t("Horas con alguna falla", "Hours with a failure"), lang, from);
    let mut exclusions = Table::new(
        "exclusions",
        t("Tiempos excluidos del cómputo", "Times left out of the reckoning"),
        &[(t("desde", "from"), 1.0), (t("hasta", "to"), 1.0), (t("motivo", "reason"), 3.0)],
        from,
    );
    for a in all {
        share(&mut total, &a.target, t("ventana", "window"), &a.total, a.required, zone, lang);
        a.months
            .iter()
            .for_each(|s| share(&mut total, &a.target, t("mes", "month"), s, a.required, zone, lang));
        a.days.iter().for_each(|s| share(&mut days, &a.target, t("día", "day"), s, a.required, zone, lang));
        let faulty = a.hours.iter().filter(|s| s.down_ms + s.unmeasured_ms > 0).take(HOURS_MAX);
        faulty.for_each(|s| share(&mut hours, &a.target, t("hora", "hour"), s, a.required, zone, lang));
    }
    for e in public.into_iter().flat_map(|a| &a.exclusions) {
        exclusions.row([hour(e.from, zone).into(), hour(e.to, zone).into(), e.reason.as_str().into()]);
    }
    if exclusions.rows.is_empty() {
        exclusions.note = Some(t("ninguno", "none").to_owned());
    }
    if hours.rows.is_empty() {
        hours.note = Some(t("ninguna", "none").to_owned());
    }
    if all.is_empty() {
        [&mut total, &mut days, &mut hours].into_iter().for_each(|table| table.note = Some(none.to_owned()));
    }
    facts.tables.extend([total, days, hours, exclusions, response(probes, lang, from, none)]);
}

fn shares(id: &'static str, title: &str, lang: Lang, from: SourceId) -> Table {
    let t = |es, en| lang.pick(es, en);
    let columns = [
        (t("vía", "way"), 0.8),
        (t("tramo", "stretch"), 0.9),
        (t("desde", "from"), 1.6),
        (t("hasta", "to"), 1.6),
        (t("#disponible", "#available"), 1.2),
        (t("#caído s", "#down s"), 0.9),
        (t("#sin medir s", "#unmeasured s"), 1.0),
        (t("#excluido s", "#left out s"), 1.0),
        (t("pide", "asked"), 0.9),
        (t("cumple", "met"), 0.8),
    ];
    Table::new(id, title, &columns, from)
}

fn share(table: &mut Table, target: &str, what: &str, s: &Share, required: f64, zone: &TimeZone, lang: Lang) {
    let seconds = |ms: u64| Cell::Real(std::time::Duration::from_millis(ms).as_secs_f64(), 1);
    table.row([
        target.into(),
        what.into(),
        hour(s.from, zone).into(),
        hour(s.to, zone).into(),
        s.percent.map_or(Cell::Empty, |p| Cell::Percent(p / 100.0, 4)),
        seconds(s.down_ms),
        seconds(s.unmeasured_ms),
        seconds(s.excluded_ms),
        format!("{required} %").into(),
        s.met.map(|met| if met { lang.pick("sí", "yes") } else { lang.pick("no", "no") }).into(),
    ]);
}

/// Response times of each page, against the ten seconds of INE II.a.iii.3 and QRoo II.3.3.
fn response(probes: &[Probe], lang: Lang, from: SourceId, none: &str) -> Table {
    let t = |es, en| lang.pick(es, en);
    let columns = [
        (t("vía", "way"), 0.8),
        (t("página", "page"), 3.0),
        (t("#sondeos", "#probes"), 0.9),
        ("#p50 ms", 0.9),
        ("#p95 ms", 0.9),
        ("#p99 ms", 0.9),
        (t("#máx ms", "#max ms"), 0.9),
        (t("≤ 10 s", "≤ 10 s"), 0.8),
    ];
    let title = t("Tiempos de respuesta por página", "Response times by page");
    let mut table = Table::new("response", title, &columns, from);
    let mut pages: Vec<(&str, &str)> = probes.iter().map(|p| (p.target.as_str(), p.path.as_str())).collect();
    pages.sort_unstable();
    pages.dedup();
    for (target, path) in pages {
        let of = probes.iter().filter(|p| p.target == target && p.path == path && p.status.is_some());
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one answer")]
        let times: Vec<f64> = of.map(|p| p.ms as f64).collect();
        let at = |percent| percentile(&times, percent).map_or(Cell::Empty, |ms| Cell::Real(ms, 0));
        let met =
            percentile(&times, 100).map(|ms| if ms <= 10_000.0 { t("sí", "yes") } else { t("no", "no") });
        table.row([
            target.into(),
            path.into(),
            times.len().into(),
            at(50),
            at(95),
            at(99),
            at(100),
            met.into(),
        ]);
    }
    if table.rows.is_empty() {
        table.note = Some(none.to_owned());
    }
    table
}
