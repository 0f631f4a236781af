//! Who consulted the results: hits, pages, visits and visitors in the windows of the call, and how that
//! compares with the usual.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::chart::{self, Bar};
use super::document::{Cell, Chart, Facts, SourceId, Table, hour};
use super::drawing::{BLUE, SKY};
use crate::model::Lang;
use crate::stats::{Class, Slot, Summary, Totals};

/// Pages that the list shows; JSON and the statistics themselves have all.
const PAGES_MAX: usize = 60;
/// Slots that one chart can show.
const BARS_MAX: usize = 400;

/// What is known of readers.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    /// One for each window of the call, in their order; none where no statistics were kept.
    pub(super) windows: Vec<Summary>,
    /// The same windows by what was imported from elsewhere (a CDN), one for each window and source.
    pub(super) imported: Vec<Summary>,
    /// The usual, to compare with.
    pub(super) baseline: Option<Usual>,
    /// The minutes around the busiest one.
    pub(super) minutes: Vec<Slot>,
    /// Why there is nothing.
    pub(super) silent: Option<String>,
}

/// The portal's usual average of a day.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    /// Where it comes from, in words.
    pub(super) origin: String,
    /// Visits, pages and hits of a day, where they are known.
    pub(super) mean: [Option<f64>; 3],
}

/// Adds figures `hits.w1`…, tables `windows`, `classes`, `days`, `hours`, `peaks`, `statuses`, `pages`,
/// `stay` and `comparison`, charts `hits-by-hour` and `hits-by-minute`.
pub(super) fn add(
    facts: &mut Facts,
    audience: &Audience,
    lang: Lang,
    zone: &TimeZone,
    from: SourceId,
    base: SourceId,
) {
    figures(facts, audience, from);
    let all = &audience.windows;
    let mut tables = vec![
        windows(audience, lang, zone, from),
        classes(all, lang, from),
        slots("days", lang.pick("Por día", "By day"), all, |s| &s.days, lang, zone, from),
        slots("hours", lang.pick("Por hora", "By hour"), all, |s| &s.hours, lang, zone, from),
        peaks(all, lang, zone, from),
        statuses(all, lang, from),
        pages(all, lang, from),
        stay(all, lang, from),
        comparison(audience, lang, base),
    ];
    if let Some(why) = &audience.silent {
        for table in tables.iter_mut().filter(|t| t.rows.is_empty()) {
            table.note = Some(why.clone());
        }
    }
    facts.tables.append(&mut tables);
    facts.charts.push(by_hour(all, lang, zone, from));
    facts.charts.push(by_minute(&audience.minutes, lang, zone, from));
}

/// Ids of the figures of the first four windows: no call has more.
const FIGURES: [[&str; 6]; 4] = [
    ["hits.w1", "valid.w1", "pages.w1", "views.w1", "visits.w1", "visitors.w1"],
    ["hits.w2", "valid.w2", "pages.w2", "views.w2", "visits.w2", "visitors.w2"],
    ["hits.w3", "valid.w3", "pages.w3", "views.w3", "visits.w3", "visitors.w3"],
    ["hits.w4", "valid.w4", "pages.w4", "views.w4", "visits.w4", "visitors.w4"],
];

fn figures(facts: &mut Facts, audience: &Audience, from: SourceId) {
    for (ids, summary) in FIGURES.iter().zip(&audience.windows) {
        let p = &summary.people;
        let values = [p.hits, p.valid, p.pages, p.views, p.visits, p.visitors];
        ids.iter().zip(values).for_each(|(id, value)| facts.figure(id, value, from));
    }
    let lost: u64 = audience.windows.iter().map(|s| s.lost).sum();
    facts.figure("hits.lost", lost, from);
}

/// What a row of totals shows.
fn totals(t: &Totals) -> [Cell; 8] {
    [t.visits, t.visitors, t.pages, t.views, t.hits, t.valid, t.resources, t.bytes].map(Cell::Count)
}

fn heads(lang: Lang) -> [(&'static str, f32); 8] {
    [
        (lang.pick("#visitas", "#visits"), 1.0),
        (lang.pick("#visitantes", "#visitors"), 1.1),
        (lang.pick("#páginas", "#pages"), 1.0),
        (lang.pick("#vistas de resultados", "#result views"), 1.1),
        (lang.pick("#hits (accesos)", "#hits"), 1.1),
        (lang.pick("#hits válidos", "#valid hits"), 1.1),
        (lang.pick("#hits (recursos)", "#hits (resources)"), 1.25),
        ("#bytes", 1.5),
    ]
}

fn with_heads(first: &[(&'static str, f32)], lang: Lang) -> Vec<(&'static str, f32)> {
    first.iter().copied().chain(heads(lang)).collect()
}

fn windows(audience: &Audience, lang: Lang, zone: &TimeZone, from: SourceId) -> Table {
    let first = [(lang.pick("ventana", "window"), 1.9), (lang.pick("fuente", "source"), 0.9)];
    let title = lang.pick(
        "Visitas, páginas y hits de personas, por ventana",
        "Visits, pages and hits of people, by window",
    );
    let mut table = Table::new("windows", title, &with_heads(&first, lang), from);
    for summary in audience.windows.iter().chain(&audience.imported) {
        let head = [Cell::from(summary.window.name.as_str()), summary.source.as_str().into()];
        table.row(head.into_iter().chain(totals(&summary.people)));
    }
    let spans = audience.windows.iter().map(|s| &s.window);
    let spans: Vec<String> =
        spans.map(|w| format!("{}: {} – {}", w.name, hour(w.from, zone), hour(w.to, zone))).collect();
    table.noted(format!("{} ({})", spans.join("; "), lang.pick("sin incluir el fin", "the end excluded")))
}

fn class(class: Class, lang: Lang) -> &'static str {
    match class {
        Class::Human => lang.pick("personas", "people"),
        Class::Robot => lang.pick("robots", "robots"),
        Class::Monitor => lang.pick("monitores", "monitors"),
        Class::Internal => lang.pick("internos", "internal"),
    }
}

fn classes(all: &[Summary], lang: Lang, from: SourceId) -> Table {
    let first = [(lang.pick("ventana", "window"), 1.7), (lang.pick("clase", "class"), 1.1)];
    let title = lang.pick("Por clase de usuario", "By class of user");
    let mut table = Table::new("classes", title, &with_heads(&first, lang), from);
    for summary in all {
        for (kind, of_class) in &summary.classes {
            let head = [Cell::from(summary.window.name.as_str()), class(*kind, lang).into()];
            table.row(head.into_iter().chain(totals(of_class)));
        }
    }
    table
}

fn slots(
    id: &'static str,
    title: &str,
    all: &[Summary],
    of: impl Fn(&Summary) -> &Vec<Slot>,
    lang: Lang,
    zone: &TimeZone,
    from: SourceId,
) -> Table {
    let first = [(lang.pick("desde", "from"), 1.4)];
    let mut table = Table::new(id, title, &with_heads(&first, lang), from);
    for slot in all.iter().flat_map(of).filter(|slot| slot.people.hits > 0) {
        table.row([Cell::from(hour(slot.from, zone))].into_iter().chain(totals(&slot.people)));
    }
    table.noted(lang.pick("solo los periodos con accesos", "only the periods with hits"))
}

fn peaks(all: &[Summary], lang: Lang, zone: &TimeZone, from: SourceId) -> Table {
    let first = [
        (lang.pick("ventana", "window"), 1.7),
        (lang.pick("pico", "peak"), 0.9),
        (lang.pick("desde", "from"), 1.3),
    ];
    let title = lang.pick("Hora y minuto de mayor consulta", "Busiest hour and minute");
    let mut table = Table::new("peaks", title, &with_heads(&first, lang), from);
    for summary in all {
        let peaks = [
            (lang.pick("hora", "hour"), summary.peak_hour),
            (lang.pick("minuto", "minute"), summary.peak_minute),
        ];
        for (what, slot) in peaks {
            let Some(slot) = slot else { continue };
            let head = [summary.window.name.as_str().into(), what.into(), hour(slot.from, zone).into()];
            table.row(head.into_iter().chain(totals(&slot.people)));
        }
    }
    table
}

fn statuses(all: &[Summary], lang: Lang, from: SourceId) -> Table {
    let columns = [
        (lang.pick("ventana", "window"), 3.0),
        (lang.pick("respuesta", "answer"), 1.0),
        (lang.pick("#veces", "#times"), 1.0),
    ];
    let title = lang.pick(
        "Respuestas a personas, por centena de su código",
        "Answers to people, by hundred of their status",
    );
    let mut table = Table::new("statuses", title, &columns, from);
    for summary in all {
        for (status, count) in &summary.statuses {
            table.row([summary.window.name.as_str().into(), status.as_str().into(), (*count).into()]);
        }
    }
    table
}

fn pages(all: &[Summary], lang: Lang, from: SourceId) -> Table {
    let columns = [
        (lang.pick("página o vista", "page or view"), 3.0),
        (lang.pick("rutas", "paths"), 3.0),
        (lang.pick("#como página", "#as a page"), 0.9),
        (lang.pick("#como vista", "#as a view"), 0.9),
    ];
    let title = lang.pick("Lista de páginas consultadas", "List of pages consulted");
    let mut table = Table::new("pages", title, &columns, from);
    let Some(widest) = widest(all) else { return table };
    for page in widest.pages.iter().take(PAGES_MAX) {
        let paths = page.paths.join(" ");
        table.row([page.name.as_str().into(), paths.into(), page.pages.into(), page.views.into()]);
    }
    let left = widest.pages.len().saturating_sub(PAGES_MAX);
    let window = &widest.window.name;
    let note = match lang {
        Lang::Es if left > 0 => format!("ventana «{window}»; {left} más en las estadísticas"),
        Lang::En if left > 0 => format!("window '{window}'; {left} more in the statistics"),
        Lang::Es => format!("ventana «{window}»"),
        Lang::En => format!("window '{window}'"),
    };
    table.noted(note)
}

/// The window with most hits.
fn widest(all: &[Summary]) -> Option<&Summary> {
    all.iter().max_by_key(|s| s.people.hits)
}

fn stay(all: &[Summary], lang: Lang, from: SourceId) -> Table {
    let columns = [
        (lang.pick("ventana", "window"), 2.4),
        (lang.pick("permanencia", "time on site"), 2.0),
        (lang.pick("#visitas", "#visits"), 1.0),
    ];
    let title = lang.pick("Permanencia en el sitio", "Time on the site");
    let mut table = Table::new("stay", title, &columns, from);
    let mut means = Vec::new();
    for summary in all {
        let name = || Cell::from(summary.window.name.as_str());
        for bucket in &summary.stay.buckets {
            let length = match bucket.to_seconds {
                Some(to) => format!("{} – {}", span(bucket.from_seconds), span(to)),
                None => format!("≥ {}", span(bucket.from_seconds)),
            };
            table.row([name(), length.into(), bucket.visits.into()]);
        }
        table.row([
            name(),
            lang.pick("sin dato (un solo hit)", "unknown (one hit)").into(),
            summary.stay.unknown.into(),
        ]);
        if let (Some(mean), Some(median)) = (summary.stay.mean_seconds, summary.stay.median_seconds) {
            let (m, d) = (lang.pick("media", "mean"), lang.pick("mediana", "median"));
            means.push(format!("{}: {m} {mean:.1} s, {d} {median} s", summary.window.name));
        }
    }
    if means.is_empty() { table } else { table.noted(means.join(" · ")) }
}

fn span(seconds: u64) -> String {
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// The average of the usual against the window, both per day (TAM VI.a.iv, DGO IV.3).
fn comparison(audience: &Audience, lang: Lang, from: SourceId) -> Table {
    let columns = [
        (lang.pick("medida", "measure"), 2.0),
        (lang.pick("#promedio diario usual", "#usual daily average"), 1.4),
        (lang.pick("#promedio diario del periodo", "#daily average of the period"), 1.4),
        (lang.pick("#total del periodo", "#total of the period"), 1.4),
        (lang.pick("#veces lo usual", "#times the usual"), 1.1),
    ];
    let title = lang
        .pick("Comparación con el promedio usual del portal", "Comparison with the portal's usual average");
    let mut table = Table::new("comparison", title, &columns, from);
    let Some(base) = &audience.baseline else {
        return table.noted(lang.pick(
            "no se importó un periodo de comparación: difusor stats import-baseline",
            "no period to compare with was imported: difusor stats import-baseline",
        ));
    };
    type Of = fn(&Totals) -> u64;
    let measures: [(&str, Of); 3] = [
        (lang.pick("visitas", "visits"), |t| t.visits),
        (lang.pick("páginas", "pages"), |t| t.pages + t.views),
        ("hits", |t| t.hits),
    ];
    for summary in &audience.windows {
        let now_days = days(summary.window.from, summary.window.to);
        for ((what, of), usual) in measures.into_iter().zip(base.mean) {
            let total = real(of(&summary.people));
            let daily = total / now_days;
            let times = usual.filter(|usual| *usual > 0.0).map(|usual| daily / usual);
            table.row([
                format!("{what} · {}", summary.window.name).into(),
                usual.map_or(Cell::Empty, |v| Cell::Real(v, 1)),
                Cell::Real(daily, 1),
                Cell::Real(total, 0),
                times.map_or(Cell::Empty, |t| Cell::Real(t, 2)),
            ]);
        }
    }
    let pages = lang.pick("páginas: páginas más vistas de resultados", "pages: pages plus result views");
    table.noted(format!("{}: {} · {pages}", lang.pick("usual", "usual"), base.origin))
}

fn days(from: Timestamp, to: Timestamp) -> f64 {
    (to.duration_since(from).as_secs_f64() / 86_400.0).max(1.0 / 86_400.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a night are far below 2⁵³")]
fn real(n: u64) -> f64 {
    n as f64
}

fn by_hour(all: &[Summary], lang: Lang, zone: &TimeZone, from: SourceId) -> Chart {
    // The hours of all windows, each once: windows of one call touch and never overlap.
    let hours: Vec<&Slot> = all.iter().flat_map(|s| &s.hours).collect();
    let first = hours.iter().position(|slot| slot.people.hits > 0).unwrap_or(0);
    let last = hours.iter().rposition(|slot| slot.people.hits > 0).map_or(0, |at| at + 1);
    let shown = hours.get(first..last).unwrap_or_default();
    let bars: Vec<Bar> = (shown.iter().take(BARS_MAX))
        .map(|slot| {
            let pages = slot.people.pages + slot.people.views;
            let label = slot.from.to_zoned(zone.clone()).strftime("%d %Hh").to_string();
            let rest = real(slot.people.hits.saturating_sub(pages));
            Bar { label, parts: vec![(real(pages), BLUE), (rest, SKY)] }
        })
        .collect();
    let legend = [
        (lang.pick("páginas y vistas", "pages and views"), BLUE),
        (lang.pick("otros hits", "other hits"), SKY),
    ];
    let drawing = chart::bars(lang.pick("hits por hora", "hits by hour"), &bars, &legend, &[]);
    let title = lang.pick("Hits de personas por hora (día y hora)", "Hits of people by hour (day and hour)");
    Chart { id: "hits-by-hour", title: title.to_owned(), drawing, source: from }
}

fn by_minute(minutes: &[Slot], lang: Lang, zone: &TimeZone, from: SourceId) -> Chart {
    let bars: Vec<Bar> = (minutes.iter())
        .map(|slot| {
            Bar::new(
                slot.from.to_zoned(zone.clone()).strftime("%H:%M").to_string(),
                real(slot.people.hits),
                BLUE,
            )
        })
        .collect();
    let drawing = chart::bars(lang.pick("hits por minuto", "hits by minute"), &bars, &[], &[]);
    let title = lang.pick("La hora de mayor consulta, minuto a minuto", "The busiest hour, minute by minute");
    Chart { id: "hits-by-minute", title: title.to_owned(), drawing, source: from }
}
