//! `difusor stats` and `difusor log`: who consulted the results, and the lines that say so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::tz::TimeZone;
use serde_json::json;

use super::args::{self, Common};
use super::status::hour;
use super::{Done, Failure, IO_FAILED, NO, NOT_FOUND, Out};
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::control::{self, Request};
use crate::durable::Dir;
use crate::model::{Digest, Lang};
use crate::stats::{self, Class, ImportedFile, LOCAL, QueryError, Rebuilt, Slot, Summary, Totals, Window};

/// `difusor log`.
pub(super) fn log(verb: args::Log, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let args::Log::Export { window, out: file } = verb;
    let window = chosen(&window, &config, out)?;
    settle(&config);
    let made = stats::extract(&config.paths.var, window.from, window.to, &file)
        .map_err(|e| Failure::Sentence(IO_FAILED, format!("{}: {e}", file.display())))?;
    out.answer("log-export", true, json!({"file": file, "window": window, "export": made}), || {
        let lost = if made.lost > 0 {
            format!("; {} {}", made.lost, out.pick("peticiones perdidas", "requests lost"))
        } else {
            String::new()
        };
        format!(
            "{}: {} {}, {} bytes{lost}\nsha256 {}",
            file.display(),
            made.lines,
            out.pick("líneas", "lines"),
            made.bytes,
            made.sha256
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// `difusor stats`.
pub(super) fn run(verb: args::Stats, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    match verb {
        args::Stats::Show { window, source } => {
            let summary = summary(&window, source.as_deref(), &config, out)?;
            out.answer("stats", true, &summary, || text(&summary, out));
            Ok(ExitCode::SUCCESS)
        }
        args::Stats::Export { window, source, out: folder } => {
            let summary = summary(&window, source.as_deref(), &config, out)?;
            export(&summary, &folder, out)
        }
        args::Stats::Windows => {
            let windows = &config.stats.windows;
            out.answer("stats-windows", true, windows, || {
                let lines = windows.iter().map(|w| {
                    let zone = TimeZone::get(&w.zone).unwrap_or(TimeZone::UTC);
                    let (from, to) = (hour(w.from, &zone), hour(w.to, &zone));
                    format!("{}: {from} – {to} ({})", w.name, w.zone)
                });
                let lines: Vec<String> = lines.collect();
                if lines.is_empty() {
                    let none = "ninguna: las da cada [[event]] de tipo jornada, o [[stats.window]]";
                    out.pick(none, "none: each [[event]] of kind jornada gives them, or [[stats.window]]")
                        .to_owned()
                } else {
                    lines.join("\n")
                }
            });
            Ok(ExitCode::SUCCESS)
        }
        args::Stats::Rebuild { check } => rebuild(&config, check, out),
        args::Stats::Import { source, files } => import(&config, &source, &files, out),
        args::Stats::ImportBaseline { name, origin, file } => baseline(&config, (&name, &origin), &file, out),
        args::Stats::Crosscheck { source } => crosscheck(&config, source.as_deref().unwrap_or(LOCAL), out),
    }
}

/// The window that was asked for: by its name, by its ends, or today.
fn chosen(asked: &args::WindowOf, config: &Config, out: Out) -> Result<Window, Failure> {
    if let Some(name) = &asked.window {
        let known = config.stats.windows.iter().find(|w| w.name == *name);
        return known.cloned().ok_or_else(|| {
            let names: Vec<&str> = config.stats.windows.iter().map(|w| w.name.as_str()).collect();
            let es = format!("no hay ventana «{name}»; hay: {}", names.join(", "));
            let en = format!("there is no window '{name}'; there are: {}", names.join(", "));
            Failure::Sentence(NOT_FOUND, out.pick(&es, &en).to_owned())
        });
    }
    let instant = |text: &String| {
        config::instant(text, &config.zone, out.lang).map_err(|sentence| Failure::Sentence(2, sentence))
    };
    let today = Clock::system().now().to_zoned(config.zone.clone()).start_of_day();
    let today = today.map_err(std::io::Error::other)?;
    let tomorrow = today.tomorrow().map_err(std::io::Error::other)?;
    Ok(Window {
        name: String::new(),
        from: asked.from.as_ref().map_or_else(|| Ok(today.timestamp()), instant)?,
        to: asked.to.as_ref().map_or_else(|| Ok(tomorrow.timestamp()), instant)?,
        zone: config.zone.iana_name().unwrap_or("UTC").to_owned(),
    })
}

/// Has a running service write down what it has counted. Without one everything is on disk.
fn settle(config: &Config) {
    if let Err(error) = control::ask(&app::readers_socket(config), &Request::Settle) {
        tracing::debug!(%error, "the service was not asked");
    }
}

fn summary(
    window: &args::WindowOf,
    source: Option<&str>,
    config: &Config,
    out: Out,
) -> Result<Summary, Failure> {
    let window = chosen(window, config, out)?;
    settle(config);
    let names = Some(config.stats.pages.as_slice());
    stats::query_source(&config.paths.var, &window, source.unwrap_or(LOCAL), names)
        .map_err(|error| refused(&error, out.lang))
}

fn refused(error: &QueryError, lang: Lang) -> Failure {
    let sentence = match (lang, error) {
        (Lang::En, error) => error.to_string(),
        (Lang::Es, QueryError::Nothing) => {
            "no hay estadísticas aquí; las hay cuando corre «difusor run» o «difusor serve» con access-log.enabled"
                .to_owned()
        }
        (Lang::Es, QueryError::Zone(zone)) => format!("zona horaria desconocida: {zone}"),
        (Lang::Es, QueryError::Window) => "la ventana está vacía, o pasa de un año".to_owned(),
        (Lang::Es, QueryError::Gone(at)) => format!(
            "la bitácora ya no llega a {at}: la ventana debe empezar y terminar en un minuto entero"
        ),
        (Lang::Es, QueryError::Store(error)) => format!("no se leen las estadísticas: {error}"),
        (Lang::Es, QueryError::Log(error)) => format!("no se lee la bitácora de accesos: {error}"),
    };
    Failure::Sentence(if matches!(error, QueryError::Nothing) { NOT_FOUND } else { NO }, sentence)
}

fn text(summary: &Summary, out: Out) -> String {
    let zone = TimeZone::get(&summary.window.zone).unwrap_or(TimeZone::UTC);
    let at = |instant| hour(instant, &zone);
    let mut text = String::new();
    let name =
        if summary.window.name.is_empty() { String::new() } else { format!("{}: ", summary.window.name) };
    let _ = writeln!(
        text,
        "{name}{} – {} ({}), {} {}",
        at(summary.window.from),
        at(summary.window.to),
        summary.window.zone,
        out.pick("fuente", "source"),
        summary.source
    );
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(heading(out, out.pick("clase", "class")));
    for (class, totals) in &summary.classes {
        table.add_row(row(class_name(*class, out), totals));
    }
    let _ = writeln!(text, "{table}\n");
    let stay = &summary.stay;
    let mean = stay.mean_seconds.map_or_else(|| "–".to_owned(), |s| format!("{s:.0} s"));
    let median = stay.median_seconds.map_or_else(|| "–".to_owned(), |s| format!("{s} s"));
    let _ = writeln!(
        text,
        "{}: {} {mean}, {} {median}; {} {}",
        out.pick("permanencia", "time on site"),
        out.pick("media", "mean"),
        out.pick("mediana", "median"),
        stay.unknown,
        out.pick("visitas de un solo acceso, sin dato", "visits of one hit, unknown")
    );
    let peak = |what: &str, slot: &Option<Slot>| {
        slot.map_or_else(String::new, |s| format!("{what}: {}, {} hits\n", at(s.from), s.people.hits))
    };
    text.push_str(&peak(out.pick("hora pico", "peak hour"), &summary.peak_hour));
    text.push_str(&peak(out.pick("minuto pico", "peak minute"), &summary.peak_minute));
    for page in summary.pages.iter().take(PAGES_SHOWN) {
        let _ = writeln!(text, "{:>10}  {}", page.pages + page.views, page.name);
    }
    if summary.lost + summary.bad + summary.untracked > 0 {
        let _ = writeln!(
            text,
            "{}: {} {}, {} {}, {} {}",
            out.pick("¡atención!", "attention!"),
            summary.lost,
            out.pick("peticiones perdidas para la bitácora", "requests lost to the log"),
            summary.bad,
            out.pick("líneas ilegibles", "unreadable lines"),
            summary.untracked,
            out.pick("accesos sin visita por falta de memoria", "hits in no visit for want of memory")
        );
    }
    text
}

fn heading(out: Out, first: &str) -> [String; 9] {
    let names = match out.lang {
        Lang::Es => [
            first,
            "accesos (hits)",
            "hits válidos",
            "recursos",
            "páginas",
            "vistas",
            "visitas",
            "visitantes",
            "bytes",
        ],
        Lang::En => {
            [first, "hits", "valid hits", "resources", "pages", "views", "visits", "visitors", "bytes"]
        }
    };
    names.map(str::to_owned)
}

fn row(first: impl Into<String>, t: &Totals) -> [String; 9] {
    let [a, b, c, d, e, f, g, h] =
        [t.hits, t.valid, t.resources, t.pages, t.views, t.visits, t.visitors, t.bytes]
            .map(|n| n.to_string());
    [first.into(), a, b, c, d, e, f, g, h]
}

fn class_name(class: Class, out: Out) -> &'static str {
    match class {
        Class::Human => out.pick("personas", "people"),
        Class::Robot => out.pick("robots", "robots"),
        Class::Monitor => out.pick("monitores", "monitors"),
        Class::Internal => out.pick("internos", "internal"),
    }
}

/// Tables for spreadsheets, the whole as JSON, and the sums of all.
fn export(summary: &Summary, folder: &Path, out: Out) -> Done {
    let zone = TimeZone::get(&summary.window.zone).unwrap_or(TimeZone::UTC);
    let slots = |slots: &[Slot], first: &str| {
        let rows = slots.iter().map(|s| {
            row(s.from.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(), &s.people)
        });
        csv(std::iter::once(heading(out, first)).chain(rows))
    };
    let classes = summary.classes.iter().map(|(class, totals)| row(class_name(*class, out), totals));
    let pages = summary.pages.iter().map(|page| {
        [page.name.clone(), page.pages.to_string(), page.views.to_string(), page.paths.join(" ")]
    });
    let page_heading = match out.lang {
        Lang::Es => ["página", "páginas", "vistas", "rutas"],
        Lang::En => ["page", "pages", "views", "paths"],
    };
    let whole = serde_json::to_string_pretty(summary).map_err(std::io::Error::other)?;
    let files = [
        (
            out.pick("clases.csv", "classes.csv"),
            csv(std::iter::once(heading(out, out.pick("clase", "class"))).chain(classes)),
        ),
        (out.pick("horas.csv", "hours.csv"), slots(&summary.hours, out.pick("hora", "hour"))),
        (out.pick("dias.csv", "days.csv"), slots(&summary.days, out.pick("día", "day"))),
        (
            out.pick("paginas.csv", "pages.csv"),
            csv(std::iter::once(page_heading.map(str::to_owned)).chain(pages)),
        ),
        (out.pick("resumen.json", "summary.json"), format!("{whole}\n")),
    ];
    let dir = Dir::create(folder)?;
    let mut sums = String::new();
    for (name, text) in &files {
        dir.write_atomic(name, text.as_bytes())?;
        let _ = writeln!(sums, "{}  {name}", Digest::of(text.as_bytes()));
    }
    dir.write_atomic("SHA256SUMS", sums.as_bytes())?;
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).chain(["SHA256SUMS"]).collect();
    out.answer("stats-export", true, json!({"folder": folder, "files": names}), || {
        format!("{}: {}", folder.display(), names.join(", "))
    });
    Ok(ExitCode::SUCCESS)
}

/// RFC 4180; a cell that a spreadsheet would take for a formula is text.
fn csv<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let cell = |cell: &String| {
        let cell = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell.clone() };
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    let line = |row: [String; N]| format!("{}\r\n", row.iter().map(cell).collect::<Vec<_>>().join(","));
    rows.map(line).collect()
}

fn rebuild(config: &Config, check: bool, out: Out) -> Done {
    settle(config);
    let bounds = app::access_log(config).bounds;
    let done = stats::rebuild(&config.paths.var, bounds, Clock::system().now(), check)
        .map_err(|error| Failure::Sentence(NO, said(&error, out)))?;
    let equal = done.iter().all(|one| one.equal != Some(false));
    out.answer("stats-rebuild", equal || !check, &done, || {
        let line = |one: &Rebuilt| {
            let compared = match one.equal {
                Some(true) => out.pick("igual a lo contado en vivo", "equal to what was counted live"),
                Some(false) => {
                    out.pick("¡distinto de lo contado en vivo!", "different from what was counted live!")
                }
                None => out.pick("sin cuenta anterior", "nothing counted before"),
            };
            let (hits, bad) = (out.pick("accesos", "hits"), out.pick("líneas ilegibles", "unreadable lines"));
            format!("{}: {} {hits}, {} {bad}; {compared}", one.source, one.hits, one.bad)
        };
        done.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(if equal || !check { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn said(error: &stats::RebuildError, out: Out) -> String {
    match error {
        stats::RebuildError::Shorter(source, at) => format!(
            "{source}: {} {at}; {}",
            out.pick("la bitácora empieza apenas en", "the log begins only at"),
            out.pick(
                "lo contado antes se perdería; nada cambió",
                "what was counted before would be lost; nothing changed"
            )
        ),
        other => other.to_string(),
    }
}

fn import(config: &Config, source: &str, files: &[PathBuf], out: Out) -> Done {
    let log = app::access_log(config);
    let done = stats::import(&log, source, files, Clock::system().now()).map_err(|error| {
        let sentence = match &error {
            stats::ImportError::Name(name) => {
                let es = format!("«{name}» no puede ser una fuente: letras, cifras y guiones, y no «local»");
                out.pick(&es, &error.to_string()).to_owned()
            }
            stats::ImportError::Much => out
                .pick("demasiadas peticiones de una vez: impórtelas por partes", &error.to_string())
                .to_owned(),
            stats::ImportError::Count(error) => said(error, out),
            other => other.to_string(),
        };
        Failure::Sentence(NO, sentence)
    })?;
    out.answer("stats-import", true, &done, || {
        let line = |one: &ImportedFile| {
            format!(
                "{} ({}): {} {}, {} {}, {} {}",
                one.file,
                one.format,
                one.taken,
                out.pick("peticiones", "requests"),
                one.known,
                out.pick("ya conocidas", "known already"),
                one.bad,
                out.pick("líneas ilegibles", "unreadable lines")
            )
        };
        done.files.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

fn baseline(config: &Config, named: (&str, &str), file: &Path, out: Out) -> Done {
    let made = stats::import_baseline(&config.paths.var, named, file, Clock::system().now());
    let made = made.map_err(|error| {
        let sentence = match &error {
            stats::BaselineError::Columns => out
                .pick(
                    "la primera línea debe nombrar las columnas: fecha, y visitas, paginas o hits",
                    &error.to_string(),
                )
                .to_owned(),
            stats::BaselineError::Line(n) => {
                out.pick(&format!("no se entiende la línea {n}"), &error.to_string()).to_owned()
            }
            stats::BaselineError::Days => {
                out.pick("no hay ningún día, o hay demasiados", &error.to_string()).to_owned()
            }
            stats::BaselineError::Name(name) => {
                let es = format!("«{name}» no puede ser un nombre: letras, cifras y guiones");
                out.pick(&es, &error.to_string()).to_owned()
            }
            stats::BaselineError::Io(error) => error.to_string(),
        };
        Failure::Sentence(NO, format!("{}: {sentence}", file.display()))
    })?;
    out.answer("stats-baseline", true, &made, || {
        let mean = |mean: Option<f64>| mean.map_or_else(|| "–".to_owned(), |m| format!("{m:.1}"));
        format!(
            "{}: {} {}; {} {} {}, {} {}, {} hits",
            made.name,
            made.days.len(),
            out.pick("días", "days"),
            out.pick("promedio por día", "mean of a day"),
            mean(made.mean.visits),
            out.pick("visitas", "visits"),
            mean(made.mean.pages),
            out.pick("páginas", "pages"),
            mean(made.mean.hits)
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn crosscheck(config: &Config, source: &str, out: Out) -> Done {
    let check = stats::crosscheck(&config.paths.var, source, &config.zone)?;
    out.answer("stats-crosscheck", true, &check, || {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(match out.lang {
            Lang::Es => ["día", "GoAccess: hits", "visitantes", "AWStats: hits", "páginas", "visitas"],
            Lang::En => ["day", "GoAccess: hits", "visitors", "AWStats: hits", "pages", "visits"],
        });
        for (day, d) in &check.days {
            let numbers =
                [d.goaccess_hits, d.goaccess_visitors, d.awstats_hits, d.awstats_pages, d.awstats_visits];
            table.add_row(std::iter::once(day.clone()).chain(numbers.map(|n| n.to_string())));
        }
        let requests = out.pick("peticiones", "requests");
        format!("{table}\nGoAccess: {} {requests}, {} bytes", check.goaccess_requests, check.goaccess_bytes)
    });
    Ok(ExitCode::SUCCESS)
}

/// Pages shown to a person; the export has all.
const PAGES_SHOWN: usize = 20;
