//! `difusor monitor show`: availability and response times, from what our own probes saw.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::args::{self, Common};
use super::incidents::instant;
use super::status::hour;
use super::{Done, Out};
use crate::clock::Clock;
use crate::config::Config;
use crate::durable::Dir;
use crate::monitor::{Availability, Probe, Share, availability, probes};

pub(super) fn run(verb: args::Monitor, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let args::Monitor::Show { from, to } = verb;
    let bound = |text: Option<String>| text.map(|t| instant(&t, &config, out)).transpose();
    let (from, to) = (bound(from)?.unwrap_or(Timestamp::UNIX_EPOCH), bound(to)?);
    let to = to.unwrap_or_else(|| Clock::system().now());
    let dir = match Dir::open(config.paths.var.join("monitor")) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        dir => Some(dir?),
    };
    let settings = config.monitor.availability(&config.zone);
    let found =
        dir.as_ref().map(|dir| availability(dir, from, to, &settings)).transpose()?.unwrap_or_default();
    let asked = dir.as_ref().map(|dir| probes(dir, &config.zone, from, to)).transpose()?.unwrap_or_default();
    let times = times(&asked);
    let data = json!({"availability": found, "response": times, "method": method(out)});
    out.answer("monitor", true, data, || text(&found, &times, &config, out));
    Ok(ExitCode::SUCCESS)
}

/// How long a page took to answer.
#[derive(serde::Serialize)]
struct Times {
    target: String,
    path: String,
    probes: usize,
    failed: usize,
    p50_ms: u64,
    p95_ms: u64,
    p99_ms: u64,
    max_ms: u64,
    last_fault: Option<String>,
}

fn times(asked: &[Probe]) -> Vec<Times> {
    let mut by: BTreeMap<(&str, &str), Vec<&Probe>> = BTreeMap::new();
    for probe in asked {
        by.entry((&probe.target, &probe.path)).or_default().push(probe);
    }
    let of = |((target, path), probes): ((&str, &str), Vec<&Probe>)| {
        let mut ms: Vec<u64> = probes.iter().filter(|p| p.status.is_some()).map(|p| p.ms).collect();
        ms.sort_unstable();
        // The value that so many percent do not exceed.
        let at = |percent: usize| {
            ms.get((ms.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
        };
        Times {
            target: target.to_owned(),
            path: path.to_owned(),
            probes: probes.len(),
            failed: probes.iter().filter(|p| !p.ok).count(),
            p50_ms: at(50),
            p95_ms: at(95),
            p99_ms: at(99),
            max_ms: at(100),
            last_fault: probes.iter().rev().find_map(|p| p.why.clone()),
        }
    };
    by.into_iter().map(of).collect()
}

fn method(out: Out) -> &'static str {
    out.pick(
        "cada ronda de preguntas vale por el tiempo hasta la siguiente, a lo más dos periodos; el tiempo sin medir cuenta como caída; las exclusiones no cuentan",
        "each round of probes speaks for the time until the next, at most two periods; time not measured counts as down; exclusions do not count",
    )
}

fn text(found: &[Availability], times: &[Times], config: &Config, out: Out) -> String {
    if found.is_empty() {
        return out
            .pick(
                "aún no hay mediciones (vea monitor.url en la configuración)",
                "no measurements yet (see monitor.url in the configuration)",
            )
            .to_owned();
    }
    let mut text = String::new();
    for one in found {
        let _ = writeln!(
            text,
            "{}: {} · {} {} %",
            one.target,
            share(&one.total, out),
            out.pick("se pide", "asked for"),
            one.required
        );
        for (name, parts) in [
            (out.pick("mes", "month"), &one.months),
            (out.pick("día", "day"), &one.days),
            (out.pick("hora", "hour"), &one.hours),
        ] {
            let hours = out.pick("hora", "hour");
            // Of the hours, those that were not whole.
            for part in parts.iter().filter(|p| name != hours || p.met == Some(false)) {
                let _ = writeln!(text, "  {name} {}  {}", hour(part.from, &config.zone), share(part, out));
            }
        }
        for left in &one.exclusions {
            let label = out.pick("no cuenta", "does not count");
            let _ = writeln!(
                text,
                "  {label}: {} – {}: {}",
                hour(left.from, &config.zone),
                hour(left.to, &config.zone),
                left.reason
            );
        }
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        out.pick("vía", "way"),
        out.pick("página", "page"),
        "n",
        out.pick("malas", "bad"),
        "p50 ms",
        "p95",
        "p99",
        "max",
    ]);
    for one in times {
        let numbers = [one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms].map(|n| n.to_string());
        let head = [one.target.clone(), one.path.clone(), one.probes.to_string(), one.failed.to_string()];
        table.add_row(head.into_iter().chain(numbers));
    }
    let _ = write!(text, "\n{table}\n\n{}", method(out));
    text
}

fn share(share: &Share, out: Out) -> String {
    let percent =
        share.percent.map_or_else(|| "–".to_owned(), |p| format!("{:.3} %", (p * 1000.0).floor() / 1000.0));
    let seconds = |ms: u64| ms / 1000;
    let verdict = match share.met {
        Some(true) => out.pick("cumple", "met"),
        Some(false) => out.pick("no cumple", "not met"),
        None => "",
    };
    format!(
        "{percent} {verdict} ({} {} s, {} {} s)",
        out.pick("caído", "down"),
        seconds(share.down_ms),
        out.pick("sin medir", "not measured"),
        seconds(share.unmeasured_ms)
    )
}
