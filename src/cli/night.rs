//! `difusor notice`, `difusor night` and `difusor alert`: what an operator says of the night.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use jiff::SignedDuration;
use serde_json::json;

use super::args::{self, Common};
use super::releases::{ask, operator};
use super::status::hour;
use super::{Done, Failure, NO_SERVICE, NOT_FOUND, Out, USAGE};
use crate::app;
use crate::cadence::{Bounds, Reading, Timing, bandwidth, timings};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, NightAct, Request};
use crate::durable::Dir;

/// A notice is a page of text; a request has room for twice as much.
const NOTICE_BYTES_MAX: u64 = 32 << 10;
/// Cuts that are shown of a night.
const SHOWN: usize = 20;

pub(super) fn notice(verb: args::Notice, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let request = match verb {
        args::Notice::On { why, text } => {
            let text = text.map(|file| read(&file, out)).transpose()?.unwrap_or_default();
            Request::NoticeOn { text, operator: operator(), reason: why.reason }
        }
        args::Notice::Off { why } => Request::NoticeOff { operator: operator(), reason: why.reason },
    };
    ask(&config, request, out)
}

fn read(file: &Path, out: Out) -> Result<String, Failure> {
    let fault = |code, why: &str| Failure::Sentence(code, format!("{}: {why}", file.display()));
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(|e| fault(NOT_FOUND, &e.to_string()))?;
    opened.take(NOTICE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > NOTICE_BYTES_MAX {
        let long = out.pick(
            "pasa de 32 KiB: el aviso es texto, sin imágenes incrustadas",
            "is longer than 32 KiB: a notice is text, without embedded pictures",
        );
        return Err(fault(USAGE, long));
    }
    String::from_utf8(text).map_err(|_| fault(USAGE, out.pick("no es UTF-8", "is not UTF-8")))
}

pub(super) fn night(verb: args::Night, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let (act, reason) = match verb {
        args::Night::Show => return show(&config, out),
        args::Night::Close { why } => (NightAct::Close, why.reason),
        args::Night::Reopen { why } => (NightAct::Reopen, why.reason),
        args::Night::Accept { why } => (NightAct::Accept, why.reason),
    };
    ask(&config, Request::Night { act, operator: operator(), reason }, out)
}

pub(super) fn alert(verb: args::Alert, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let args::Alert::Test { channel } = verb;
    let request = Request::AlertTest { channel, operator: operator() };
    if control::ask(&app::control_socket(&config), &Request::Status)?.is_none() {
        let text = out.pick(
            "el servicio no está en marcha: los avisos salen de él",
            "the service is not running: alerts go out from it",
        );
        return Err(Failure::Sentence(NO_SERVICE, text.to_owned()));
    }
    ask(&config, request, out)
}

/// The rhythm, and what each cut took.
fn show(config: &Config, out: Out) -> Done {
    let dir = Dir::open(config.paths.var.join("ledger"))?;
    let reading = app::cadence_on_disk(config, &dir, Clock::system().now())?;
    let all = timings(&dir, None, None)?;
    let data = json!({
        "cadence": reading,
        "bandwidth": {"mbps_min_p50_max": bandwidth(&all), "asked_mbps": config.bounds.mbps},
        "cuts": all.iter().map(|t| row(t, &config.bounds)).collect::<Vec<_>>(),
    });
    out.answer("night", true, data, || text(&reading, &all, config, out));
    Ok(ExitCode::SUCCESS)
}

fn row(timing: &Timing, bounds: &Bounds) -> serde_json::Value {
    let mut value = serde_json::to_value(timing).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        let seconds = |d: Option<SignedDuration>| d.map(|d| d.as_secs_f64());
        fields.insert("transfer_s".to_owned(), json!(timing.transfer().as_secs_f64()));
        fields.insert("mbps".to_owned(), json!(timing.mbps()));
        fields.insert("stamp_to_received_s".to_owned(), json!(seconds(timing.stamp_to_received())));
        fields.insert("received_to_published_s".to_owned(), json!(seconds(timing.received_to_published())));
        fields.insert("transfer_within_limit".to_owned(), json!(timing.transfer() <= bounds.limit));
    }
    value
}

fn text(reading: &Reading, all: &[Timing], config: &Config, out: Out) -> String {
    let mut text = rhythm(reading, config, out);
    if let Some([slowest, middle, fastest]) = bandwidth(all) {
        let asked = match config.bounds.mbps {
            0 => String::new(),
            mbps => format!("; {} {mbps}", out.pick("la convocatoria pide", "the call asks for")),
        };
        let label = out.pick("enlace, Mbps (mínimo, mediana, máximo)", "link, Mbps (least, median, most)");
        let _ = writeln!(text, "{label}: {slowest:.1}, {middle:.1}, {fastest:.1}{asked}");
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        out.pick("corte", "cut"),
        out.pick("recibido", "received"),
        out.pick("demora del sello", "since stamp"),
        out.pick("transferencia", "transfer"),
        "Mbps",
        "bytes",
        out.pick("publicado tras", "published after"),
    ]);
    let seconds =
        |d: Option<SignedDuration>| d.map_or_else(|| "–".to_owned(), |d| format!("{:.1} s", d.as_secs_f64()));
    for one in all.iter().rev().take(SHOWN).rev() {
        table.add_row([
            one.cut.map_or_else(|| "–".to_owned(), |c| c.label()),
            hour(one.last_byte, &config.zone),
            seconds(one.stamp_to_received()),
            seconds(Some(one.transfer())),
            one.mbps().map_or_else(|| "–".to_owned(), |m| format!("{m:.1}")),
            one.bytes.to_string(),
            one.code.clone().unwrap_or_else(|| seconds(one.received_to_published())),
        ]);
    }
    if !all.is_empty() {
        let _ = write!(text, "\n{table}");
    }
    text
}

/// `ritmo: tarde; último corte 20:15, el siguiente a las 20:31:04 (cada 15 min, gracia 3 min)`
pub(super) fn rhythm(reading: &Reading, config: &Config, out: Out) -> String {
    let last = reading.last_cut.map_or_else(String::new, |cut| {
        format!("; {} {}", out.pick("último corte", "last cut"), cut.label())
    });
    let due = reading.next_due.map_or_else(String::new, |due| {
        let due = due.to_zoned(config.zone.clone()).strftime("%H:%M:%S").to_string();
        format!("; {} {due}", out.pick("el siguiente a las", "the next at"))
    });
    let interrupted =
        reading.interrupted_at.filter(|_| reading.state.is_missing()).map_or_else(String::new, |at| {
            let at = at.to_zoned(config.zone.clone()).strftime("%H:%M:%S").to_string();
            format!("; {} {at}", out.pick("interrupción a las", "interruption at"))
        });
    let grace = reading.grace_s;
    format!(
        "{}: {}{last}{due}{interrupted} ({} {} s, {} {grace} s)\n",
        out.pick("ritmo", "rhythm"),
        reading.state.label(out.lang),
        out.pick("periodo", "period"),
        reading.period_s,
        out.pick("gracia", "grace"),
    )
}
