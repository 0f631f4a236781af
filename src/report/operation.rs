//! What came and what became of it: cuts, transfers, refusals, hashes, and how that compares with the call.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::calls::Call;
use super::chart::{self, Bar, Bound};
use super::document::{Cell, Chart, Facts, SourceId, Table, hour};
use super::drawing::{AMBER, BLUE, GREEN, GREY, RED};
use super::night::{Fate, Night, Reception};
use crate::model::{Code, Lang, Via};

/// What the facts are made for.
pub(super) struct About<'a> {
    /// Whose call.
    pub(super) call: Call,
    /// In which language.
    pub(super) lang: Lang,
    /// Whose hours.
    pub(super) zone: &'a TimeZone,
    /// When the cuts could be seen first, where there was a window.
    pub(super) opens: Option<Timestamp>,
    /// Longest ordinary time between two cuts, in seconds.
    pub(super) period_seconds: u64,
}

/// Adds figures `cuts.*` and `transfer.*`, tables `cuts`, `transfers`, `refusals`, `peers`, `acts` and
/// `hashes`, charts `delays`, `speeds` and `intervals`.
pub(super) fn add(facts: &mut Facts, night: &Night, about: &About<'_>, from: SourceId) {
    figures(facts, night, about, from);
    facts.tables.push(cuts(night, about, from));
    facts.tables.push(transfers(night, about, from));
    facts.tables.push(refusals(night, about, from));
    facts.tables.push(peers(night, about, from));
    facts.tables.push(acts(night, about, from));
    facts.tables.push(hashes(night, about, from));
    facts.charts.push(delays(night, about, from));
    facts.charts.push(speeds(night, about, from));
    facts.charts.push(intervals(night, about, from));
}

fn figures(facts: &mut Facts, night: &Night, about: &About<'_>, from: SourceId) {
    let count = |fate: &dyn Fn(&Fate) -> bool| night.receptions.iter().filter(|r| fate(&r.fate)).count();
    let bytes: u64 = night.receptions.iter().map(|r| r.bytes).sum();
    facts.figure("cuts.received", night.receptions.len(), from);
    facts.figure("cuts.published", count(&|f| *f == Fate::Published), from);
    facts.figure("cuts.rejected", count(&|f| matches!(f, Fate::Rejected(..))), from);
    facts.figure("cuts.repeated", count(&|f| *f == Fate::Repeated), from);
    facts.figure("cuts.superseded", count(&|f| matches!(f, Fate::Superseded | Fate::Verified)), from);
    facts.figure("cuts.held", count(&|f| *f == Fate::Held), from);
    facts.figure("cuts.bytes", bytes, from);
    let late = published(night).filter(|r| r.delay(about.opens).is_some_and(|d| d > about.call.delay().0));
    facts.figure("cuts.late", late.count(), from);
    let first = published(night).filter_map(|r| r.published).min();
    let last = published(night).filter_map(|r| r.published).max();
    facts.figure("cuts.first", first, from);
    facts.figure("cuts.last", last, from);
    facts.figure("cuts.first-stamp", published(night).filter_map(|r| r.cut).min().map(|c| c.instant()), from);
    facts.figure("cuts.last-stamp", published(night).filter_map(|r| r.cut).max().map(|c| c.instant()), from);
    facts.figure("cuts.missing", gaps(night, about).1, from);
    for (ids, values) in [
        (["transfer.seconds.min", "transfer.seconds.p50", "transfer.seconds.max"], seconds(night)),
        (["transfer.mbps.min", "transfer.mbps.p50", "transfer.mbps.max"], speeds_of(night)),
        (["delay.min", "delay.p50", "delay.max"], delays_of(night, about)),
    ] {
        for (id, value) in ids.into_iter().zip(three(&values)) {
            facts.figure(id, value.map_or(Cell::Empty, |v| Cell::Real(v, 2)), from);
        }
    }
}

fn published(night: &Night) -> impl Iterator<Item = &Reception> {
    night.receptions.iter().filter(|r| r.published.is_some())
}

fn seconds(night: &Night) -> Vec<f64> {
    night.receptions.iter().map(Reception::seconds).collect()
}

fn speeds_of(night: &Night) -> Vec<f64> {
    night.receptions.iter().filter_map(Reception::mbps).collect()
}

fn delays_of(night: &Night, about: &About<'_>) -> Vec<f64> {
    published(night).filter_map(|r| r.delay(about.opens)).collect()
}

/// Least, middle (nearest rank) and greatest.
pub(super) fn three(values: &[f64]) -> [Option<f64>; 3] {
    [percentile(values, 0), percentile(values, 50), percentile(values, 100)]
}

/// The value at or above which no more than the rest lies: nearest rank, no interpolation.
pub(super) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The longest gap between two stamps in seconds, and how many stamps of the period are missing.
fn gaps(night: &Night, about: &About<'_>) -> (u64, u64) {
    let mut stamps: Vec<_> = published(night).filter_map(|r| r.cut).map(crate::model::Cut::instant).collect();
    stamps.sort_unstable();
    stamps.dedup();
    let between = |pair: &[Timestamp]| match pair {
        [a, b] => u64::try_from(b.duration_since(*a).as_secs()).unwrap_or(0),
        _ => 0,
    };
    let gaps: Vec<u64> = stamps.windows(2).map(between).collect();
    let period = about.period_seconds.max(1);
    let missing = gaps.iter().map(|gap| gap.saturating_sub(1) / period).sum();
    (gaps.iter().copied().max().unwrap_or(0), missing)
}

fn stamp(reception: &Reception, about: &About<'_>) -> Cell {
    let Some(cut) = reception.cut else { return Cell::Empty };
    // As the institute stamped it: its own offset, not ours.
    let text = cut.civil().strftime("%Y-%m-%d %H:%M").to_string();
    let own = about.zone.to_offset(cut.instant());
    let same = cut.to_string().ends_with(&offset(own));
    if same {
        text.into()
    } else {
        format!("{text} ({})", cut.to_string().chars().skip(19).collect::<String>()).into()
    }
}

fn offset(offset: jiff::tz::Offset) -> String {
    let seconds = offset.seconds();
    let (sign, abs) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    format!("{sign}{:02}:{:02}", abs / 3600, abs / 60 % 60)
}

/// What became of it, in a word or two.
fn fate(reception: &Reception, lang: Lang) -> String {
    match &reception.fate {
        Fate::Published => lang.pick("publicado", "published").to_owned(),
        Fate::Verified => lang.pick("verificado, no mostrado", "verified, not shown").to_owned(),
        Fate::Superseded => lang.pick("anterior al vigente", "older than the live one").to_owned(),
        Fate::Repeated => lang.pick("repetido", "repeated").to_owned(),
        Fate::Held => lang.pick("en espera", "held").to_owned(),
        Fate::Rejected(code, ..) => format!("{} {code}", lang.pick("rechazado", "rejected")),
        Fate::Unknown => lang.pick("sin veredicto", "no verdict").to_owned(),
    }
}

fn short(hash: Option<&str>) -> Cell {
    hash.map(|h| h.chars().take(8).collect::<String>()).into()
}

fn cuts(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    // Widths in points: each holds its longest value on one line.
    let columns = [
        (t("corte", "cut"), 72.0),
        (t("recibido", "received"), 82.0),
        ("#bytes", 47.0),
        ("#s", 31.0),
        ("#Mbps", 32.0),
        (t("verificado", "verified"), 42.0),
        (t("publicado", "published"), 42.0),
        (t("#demora s", "#delay s"), 41.0),
        (t("resultado", "outcome"), 62.0),
        ("sha256", 42.0),
    ];
    let title = t("Tabla de cortes", "Table of cuts");
    let mut table = Table::new("cuts", title, &columns, from).noted(t(
        "s y Mbps: del primer al último byte; demora: del último byte (o de la apertura) a la vista del lector; sha256 abreviado, completo en el anexo D",
        "s and Mbps: from first to last byte; delay: from the last byte (or the opening) to the reader; sha256 shortened, whole in annex D",
    ));
    let time = |t: Option<Timestamp>| {
        Cell::from(t.map(|t| hour(t, about.zone).chars().skip(11).collect::<String>()))
    };
    for r in &night.receptions {
        table.row([
            stamp(r, about),
            Cell::At(r.last_byte),
            r.bytes.into(),
            Cell::Real(r.seconds(), 2),
            r.mbps().map_or(Cell::Empty, |v| Cell::Real(v, 1)),
            time(r.verified),
            time(r.published),
            r.delay(about.opens).map_or(Cell::Empty, |v| Cell::Real(v, 2)),
            fate(r, about.lang).into(),
            short(r.package.as_deref()),
        ]);
    }
    table
}

/// Times and speeds against what the call asks for.
fn transfers(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    let columns = [
        (t("medida", "measure"), 2.6),
        (t("#mínimo", "#least"), 1.0),
        (t("#mediana", "#median"), 1.0),
        (t("#máximo", "#greatest"), 1.0),
        (t("lo que pide la convocatoria", "what the call asks for"), 2.4),
        (t("cumple", "met"), 0.9),
    ];
    let title = t("Recepción y publicación", "Reception and publication");
    let mut table = Table::new("transfers", title, &columns, from).noted(t(
        "mediana por rango más cercano, sin interpolar",
        "median by nearest rank, not interpolated",
    ));
    let yes = |met: bool| if met { t("sí", "yes") } else { t("no", "no") };
    let mut row = |what: &str, values: &[f64], asked: Option<(String, bool)>| {
        let [least, middle, most] = three(values).map(|v| v.map_or(Cell::Empty, |v| Cell::Real(v, 2)));
        let met = if values.is_empty() { None } else { asked.as_ref().map(|(_, met)| yes(*met)) };
        table.row([what.into(), least, middle, most, asked.map(|(text, _)| text).into(), met.into()]);
    };
    let all = seconds(night);
    let below = |values: &[f64], limit: f64| values.iter().all(|v| *v <= limit);
    let limit = about.call.transfer().map(|(s, clause)| (format!("≤ {s} s ({clause})"), below(&all, s)));
    row(t("transferencia, segundos", "transfer, seconds"), &all, limit);
    let speeds = speeds_of(night);
    // The link is a duty of ours; what a sender uses of it shows that it carries so much, at least.
    let link = about.call.link().map(|(mbps, clause)| {
        let most = percentile(&speeds, 100).unwrap_or(0.0);
        (format!("{} ≥ {mbps} Mbps ({clause})", t("enlace", "link")), most >= mbps)
    });
    row(t("velocidad observada, Mbps", "speed observed, Mbps"), &speeds, link);
    let delays = delays_of(night, about);
    let (bound, clause) = about.call.delay();
    row(
        t("demora de publicación, segundos", "delay of publication, seconds"),
        &delays,
        Some((format!("≤ {bound} s ({clause})"), below(&delays, bound))),
    );
    let ages: Vec<f64> = published(night).filter_map(Reception::age).collect();
    row(
        t(
            "de la hora del corte a su publicación, segundos",
            "from the hour of the cut to its publication, seconds",
        ),
        &ages,
        None,
    );
    table
}

fn refusals(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    let columns = [
        (t("recibido", "received"), 1.5),
        (t("paquete", "package"), 2.2),
        (t("etapa", "stage"), 1.0),
        (t("código", "code"), 1.3),
        (t("qué", "what"), 2.8),
        (t("remitente", "sender"), 1.4),
    ];
    let title = t("Paquetes rechazados, por etapa", "Rejected packages, by stage");
    let mut table = Table::new("refusals", title, &columns, from).noted(t(
        "el sitio siguió mostrando el último corte bueno",
        "the site went on showing the last good cut",
    ));
    for r in &night.receptions {
        let Fate::Rejected(code, stage, detail) = &r.fate else { continue };
        let known = Code::all().find(|c| c.name() == code);
        let what = known.map_or("", |c| c.what(about.lang));
        let what = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        let stage = known.map_or(stage.as_str(), |c| c.stage().label(about.lang));
        table.row([
            Cell::At(r.last_byte),
            r.name.as_str().into(),
            stage.into(),
            code.as_str().into(),
            what.into(),
            sender(r).into(),
        ]);
    }
    if table.rows.is_empty() {
        table.note = Some(t("ninguno", "none").to_owned());
    }
    table
}

fn sender(r: &Reception) -> String {
    let Some(sender) = &r.sender else { return String::new() };
    let addr = sender.addr.map_or_else(String::new, |a| format!(" {a}"));
    format!("{}{addr} {}", sender.name, Via::name(sender.via))
}

/// Peers that were refused at a door.
fn peers(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    let columns = [(t("motivo", "reason"), 4.0), (t("#veces", "#times"), 1.0)];
    let title = t("Intentos rechazados en las puertas", "Attempts refused at the doors");
    let mut table = Table::new("peers", title, &columns, from);
    let refused: &BTreeMap<String, u64> = &night.refused;
    for (reason, count) in refused {
        table.row([reason.as_str().into(), (*count).into()]);
    }
    if table.rows.is_empty() {
        table.note = Some(t("ninguno", "none").to_owned());
    }
    table
}

/// What people did by hand.
fn acts(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    let columns = [
        (t("cuándo", "when"), 1.5),
        (t("qué", "what"), 1.3),
        (t("quién", "who"), 1.0),
        (t("sobre qué y por qué", "on what and why"), 4.0),
    ];
    let mut table = Table::new("acts", t("Actos de operadores", "Acts of operators"), &columns, from);
    for (at, kind, who, why) in &night.acts {
        let kind = match kind.as_str() {
            "rolled_back" => t("regreso a un corte anterior", "return to an earlier cut"),
            "published_by_hand" => t("publicación a mano", "publication by hand"),
            other => other,
        };
        table.row([Cell::At(*at), kind.into(), who.as_str().into(), why.as_str().into()]);
    }
    if table.rows.is_empty() {
        table.note = Some(t("ninguno", "none").to_owned());
    }
    table
}

fn hashes(night: &Night, about: &About<'_>, from: SourceId) -> Table {
    let t = |es, en| about.lang.pick(es, en);
    let columns =
        [(t("corte", "cut"), 66.0), (t("paquete", "package"), 108.0), ("#bytes", 46.0), ("SHA-256", 273.0)];
    let title = t("Paquetes recibidos, con su SHA-256", "Packages received, with their SHA-256");
    let mut table = Table::new("hashes", title, &columns, from).noted(t(
        "de un árbol enviado archivo por archivo, el SHA-256 es el de su lista; los originales se conservan",
        "of a tree that was pushed file by file the SHA-256 is that of its list; the originals are kept",
    ));
    for r in &night.receptions {
        table.row([stamp(r, about), r.name.as_str().into(), r.bytes.into(), r.package.as_deref().into()]);
    }
    table
}

fn label(r: &Reception, about: &About<'_>) -> String {
    r.cut.map_or_else(
        || hour(r.last_byte, about.zone).chars().skip(11).take(5).collect(),
        crate::model::Cut::label,
    )
}

/// The line of cuts: how long each took to be seen, and those that never were.
fn delays(night: &Night, about: &About<'_>, from: SourceId) -> Chart {
    let t = |es, en| about.lang.pick(es, en);
    let (bound, clause) = about.call.delay();
    let highest = delays_of(night, about).into_iter().fold(0.1, f64::max);
    let bars: Vec<Bar> = (night.receptions.iter())
        .filter(|r| r.fate != Fate::Repeated)
        .map(|r| match (r.delay(about.opens), &r.fate) {
            (Some(delay), _) => {
                let colour = if delay > bound {
                    RED
                } else if delay > bound / 2.0 {
                    AMBER
                } else {
                    GREEN
                };
                Bar::new(label(r, about), delay, colour)
            }
            (None, Fate::Rejected(..)) => Bar::new(label(r, about), highest, RED),
            (None, _) => Bar::new(label(r, about), highest, GREY),
        })
        .collect();
    let legend = [
        (t("publicado a tiempo", "published in time"), GREEN),
        (t("más de medio plazo", "over half the time"), AMBER),
        (t("rechazado o fuera de plazo", "rejected or too late"), RED),
        (t("no mostrado", "not shown"), GREY),
    ];
    let bounds = [Bound {
        value: bound,
        label: format!("{} {bound} s ({clause})", t("límite", "limit")),
        colour: RED,
    }];
    let unit = t("segundos del último byte al lector", "seconds from the last byte to the reader");
    let drawing = chart::bars(unit, &bars, &legend, &bounds);
    Chart {
        id: "delays",
        title: t("Cortes y su demora", "Cuts and their delay").to_owned(),
        drawing,
        source: from,
    }
}

fn speeds(night: &Night, about: &About<'_>, from: SourceId) -> Chart {
    let t = |es, en| about.lang.pick(es, en);
    let bars: Vec<Bar> =
        night.receptions.iter().map(|r| Bar::new(label(r, about), r.mbps().unwrap_or(0.0), BLUE)).collect();
    let bounds: Vec<Bound> = (about.call.link().into_iter())
        .map(|(value, clause)| Bound {
            value,
            label: format!("{} {value} Mbps ({clause})", t("enlace", "link")),
            colour: AMBER,
        })
        .collect();
    let drawing = chart::bars("Mbps", &bars, &[], &bounds);
    Chart {
        id: "speeds",
        title: t("Velocidad de cada transferencia", "Speed of each transfer").to_owned(),
        drawing,
        source: from,
    }
}

/// Minutes between a stamp and the one before it.
fn intervals(night: &Night, about: &About<'_>, from: SourceId) -> Chart {
    let t = |es, en| about.lang.pick(es, en);
    let mut cuts: Vec<_> = published(night).filter_map(|r| r.cut).collect();
    cuts.sort();
    cuts.dedup();
    #[expect(clippy::cast_precision_loss, reason = "a period in seconds")]
    let period = about.period_seconds as f64 / 60.0;
    let bars: Vec<Bar> = (cuts.windows(2))
        .filter_map(|pair| {
            let [a, b] = pair else { return None };
            let gap: SignedDuration = b.instant().duration_since(a.instant());
            let minutes = gap.as_secs_f64() / 60.0;
            Some(Bar::new(b.label(), minutes, if minutes > period * 1.2 { RED } else { BLUE }))
        })
        .collect();
    let label = format!("{} {period:.0} min", t("periodo", "period"));
    let bounds = [Bound { value: period, label, colour: AMBER }];
    let drawing = chart::bars(
        t("minutos desde el corte anterior", "minutes since the cut before"),
        &bars,
        &[],
        &bounds,
    );
    Chart {
        id: "intervals",
        title: t("Tiempo entre cortes", "Time between cuts").to_owned(),
        drawing,
        source: from,
    }
}
