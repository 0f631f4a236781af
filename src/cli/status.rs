//! `difusor status`: what is live, what waits, what came last.

use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::Common;
use super::{Done, NO_SERVICE, Out};
use crate::app;
use crate::config::Config;
use crate::control::{self, Answer, Readers, Reception, Request, Shown, Status, Traffic};
use crate::sandbox::{Level, State};

/// What is counted of readers who were not turned away.
const COMMON: &[&str] = &["accepted", "requests"];

pub(super) fn run(common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let answer = control::ask(&app::control_socket(&config), &Request::Status)?;
    let mut status = match answer {
        Some(Answer::Status(status)) => Status { listening: app::listening(&config), ..*status },
        _ => app::status_on_disk(&config)?,
    };
    if let Ok(Some(Answer::Readers(readers))) = control::ask(&app::readers_socket(&config), &Request::Readers)
    {
        status.readers = Some(*readers);
    }
    if let Ok(Some(Answer::Traffic(traffic))) = control::ask(&app::readers_socket(&config), &Request::Traffic)
    {
        status.traffic = Some(*traffic);
    }
    out.answer("status", status.running, &status, || text(&status, &config, out));
    Ok(if status.running { ExitCode::SUCCESS } else { ExitCode::from(NO_SERVICE) })
}

fn text(status: &Status, config: &Config, out: Out) -> String {
    let zone = &config.zone;
    let mut text = loud(status, zone, out);
    let state = if status.running {
        out.pick("en marcha", "running")
    } else {
        out.pick("detenido (lo que hay en disco)", "stopped (what is on disk)")
    };
    let _ = writeln!(text, "{}: {state}", out.pick("servicio", "service"));
    let live = match (&status.live, status.waiting) {
        (Some(live), false) => shown(live, zone, out),
        _ => out.pick("página de espera, ningún corte a la vista", "waiting page, no cut visible").to_owned(),
    };
    let _ = writeln!(text, "{}: {live}", out.pick("vigente", "live"));
    if let Some(staged) = &status.staged {
        let _ = writeln!(text, "{}: {}", out.pick("en espera", "staged"), shown(staged, zone, out));
    }
    if let Some(reading) = &status.cadence {
        text.push_str(&super::night::rhythm(reading, config, out));
    }
    if let Some(change) = status.next_change {
        let _ = writeln!(
            text,
            "{}: {}",
            out.pick("próxima apertura o cierre", "next opening or closing"),
            hour(change, zone)
        );
    }
    if let Some(readers) = &status.readers {
        let _ = writeln!(text, "{}: {}", out.pick("lectores", "readers"), said(readers, out));
    }
    if let Some(traffic) = &status.traffic {
        let _ = writeln!(text, "{}: {}", out.pick("hoy", "today"), today(traffic, out));
    }
    let halves = [
        (out.pick("recibe", "receives"), status.sandbox.as_ref()),
        (out.pick("sirve", "serves"), status.readers.as_ref().and_then(|r| r.sandbox.as_ref())),
    ];
    for (half, state) in halves {
        if status.running || state.is_some() {
            let _ =
                writeln!(text, "{} ({half}): {}", out.pick("aislamiento", "sandbox"), sandbox(state, out));
        }
    }
    for (door, addresses) in &status.listening {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{} {door}: {}", out.pick("escucha", "listens"), addresses.join(", "));
    }
    if !status.receptions.is_empty() {
        let _ = write!(text, "\n{}", table(&status.receptions, zone, out));
    }
    text
}

/// What the person on duty must not overlook, first.
fn loud(status: &Status, zone: &TimeZone, out: Out) -> String {
    let mut text = String::new();
    let mut line = |es: &str, en: &str, what: String| _ = writeln!(text, "¡{}! {what}", out.pick(es, en));
    if let Some(notice) = &status.notice {
        let since = hour(notice.since, zone);
        line(
            "AVISO DEL INSTITUTO PUESTO",
            "NOTICE OF THE INSTITUTE IS UP",
            format!("{since}, {}: {} (difusor notice off)", notice.who, notice.why),
        );
    }
    if let Some(hold) = &status.hold {
        let until = hour(hold.until, zone);
        let label = out.pick("hasta", "until");
        line(
            "PUBLICACIÓN RETENIDA",
            "PUBLICATION ON HOLD",
            format!("{label} {until}, {}: {} (difusor releases resume)", hold.who, hold.why),
        );
    }
    if let Some(ended) = &status.ended {
        let waits = if status.staged.is_some() {
            out.pick(
                "; un paquete espera su decisión: difusor night accept",
                "; a package awaits your decision: difusor night accept",
            )
        } else {
            ""
        };
        line("NOCHE CERRADA", "NIGHT CLOSED", format!("{} ({}){waits}", hour(ended.since, zone), ended.how));
    }
    for one in &status.incidents {
        let number = format!("{} {}", out.pick("incidente", "incident"), one.number);
        line(
            one.level.label(crate::model::Lang::Es),
            one.level.label(crate::model::Lang::En),
            format!("{number}: {} – {}", one.kind.label(out.lang), one.cause),
        );
    }
    text
}

/// What a half gave up, and what it could not.
fn sandbox(state: Option<&State>, out: Out) -> String {
    let Some(state) = state else {
        return out.pick("apagado", "off").to_owned();
    };
    let level = match state.level {
        Level::Enforced => out.pick("completo y probado", "enforced and proved"),
        Level::Partial => out.pick("parcial", "partial"),
        Level::Off => out.pick("apagado", "off"),
    };
    match state.missing.is_empty() {
        true => level.to_owned(),
        false => format!("{level} ({})", state.missing.join("; ")),
    }
}

/// Connections, requests, and every reason for which somebody was turned away.
fn said(readers: &Readers, out: Out) -> String {
    let count = |name: &str| readers.counts.get(name).copied().unwrap_or_default();
    let mut text = format!(
        "{} {}, {} {}",
        readers.connections,
        out.pick("conexiones", "connections"),
        count("requests"),
        out.pick("consultas", "requests")
    );
    let refused = readers.counts.iter().filter(|(name, n)| **n > 0 && !COMMON.contains(&name.as_str()));
    for (name, count) in refused {
        let _ = write!(text, ", {name} {count}");
    }
    if let Some(why) = &readers.certificate_rejected {
        let _ =
            write!(text, "; {}: {why}", out.pick("certificado nuevo sin usar", "new certificate not used"));
    }
    text
}

/// What people did today, and what is missing of it in the log.
fn today(traffic: &Traffic, out: Out) -> String {
    let people = traffic.today.get("human").copied().unwrap_or_default();
    let mut text = format!(
        "{} {}, {} {}, {} {}, {} {}, {} {}",
        people.visits,
        out.pick("visitas", "visits"),
        people.visitors,
        out.pick("visitantes", "visitors"),
        people.pages,
        out.pick("páginas", "pages"),
        people.views,
        out.pick("vistas de resultados", "views of results"),
        people.hits,
        out.pick("accesos", "hits")
    );
    if traffic.lost > 0 {
        let lost = out.pick("¡perdidos para la bitácora!", "lost to the access log!");
        let _ = write!(text, "; {} {lost}", traffic.lost);
    }
    text
}

fn shown(shown: &Shown, zone: &TimeZone, out: Out) -> String {
    let cut = shown.cut.map_or_else(|| "–".to_owned(), |c| c.to_string());
    let since = shown
        .since
        .map_or_else(String::new, |t| format!(", {} {}", out.pick("desde", "since"), hour(t, zone)));
    let doubt = shown.doubt.as_ref().map_or_else(String::new, |sums| {
        let what = out.pick("¡atención! lo contradice la suma", "attention! contradicted by the sum");
        format!(" {what} «{sums}»")
    });
    format!(
        "{} {cut}, {} {}{since} [{}]{doubt}",
        out.pick("corte", "cut"),
        shown.files,
        out.pick("archivos", "files"),
        shown.release
    )
}

fn table(receptions: &[Reception], zone: &TimeZone, out: Out) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(match out.lang {
        crate::model::Lang::Es => ["recibido", "de", "vía", "paquete", "bytes", "veredicto"],
        crate::model::Lang::En => ["received", "from", "via", "package", "bytes", "verdict"],
    });
    for one in receptions {
        let sender = &one.receipt.sender;
        let from = sender.addr.map_or_else(|| sender.name.clone(), |a| format!("{}@{a}", sender.name));
        table.add_row([
            hour(one.receipt.last_byte, zone),
            from,
            sender.via.name().to_owned(),
            one.receipt.name.clone(),
            one.receipt.bytes.to_string(),
            verdict(one, out),
        ]);
    }
    table.to_string()
}

/// What became of a package: the sentence its sender read, or from disk one word; with the code of a refusal.
fn verdict(one: &Reception, out: Out) -> String {
    let text = match one.verdict.as_deref() {
        None => out.pick("en verificación", "being verified"),
        Some("published") => out.pick("publicado", "published"),
        Some("staged") => out.pick("en espera", "staged"),
        Some("held") => out.pick("retenido", "held"),
        Some("repeated") => out.pick("repetido", "repeated"),
        Some("rejected") => out.pick("rechazado", "refused"),
        Some(sentence) => sentence,
    };
    one.code.map_or_else(|| text.to_owned(), |code| format!("{text} ({code})"))
}

/// An instant as the operator's clock on the wall shows it.
pub(super) fn hour(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
