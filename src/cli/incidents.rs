//! `difusor incidents`: what went wrong, from the ledger; what people add to it, into the ledger.

use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;

use super::args::{self, Affected, Common, Format, Which};
use super::releases::{ask, operator};
use super::status::hour;
use super::{Done, Failure, NOT_FOUND, Out, USAGE};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::control::{IncidentAct, Request};
use crate::durable::Dir;
use crate::incident::{self, Incident, Remark, Trouble};

pub(super) fn run(verb: args::Incidents, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let act = match verb {
        args::Incidents::List { which } => return list(&config, &which, out),
        args::Incidents::Show { number } => return show(&config, number, out),
        args::Incidents::Export { which, format } => return export(&config, &which, format, out),
        args::Incidents::Open { cause, kind, affected, since } => IncidentAct::Open {
            kind: trouble(&kind, out)?,
            cause,
            affected: affected.map(Affected::is_yes),
            start: since.map(|text| instant(&text, &config, out)).transpose()?,
        },
        args::Incidents::Note { number, text, cause, affected } => {
            let remark =
                Remark { text, cause, affected: affected.map(Affected::is_yes), ..Remark::default() };
            IncidentAct::Note { number, remark }
        }
        args::Incidents::Close { number, action } => IncidentAct::Close { number, action },
    };
    ask(&config, Request::Incident { act, operator: operator() }, out)
}

impl Affected {
    fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

fn trouble(name: &str, out: Out) -> Result<Trouble, Failure> {
    name.parse().map_err(|_| {
        let all: Vec<&str> = Trouble::ALL.iter().map(|t| t.name()).collect();
        let expected = out.pick("no es una clase; se espera", "is not a kind; expected:");
        Failure::Sentence(USAGE, format!("«{name}» {expected} {}", all.join(", ")))
    })
}

/// An hour typed on the command line, in the zone of the election.
pub(super) fn instant(text: &str, config: &Config, out: Out) -> Result<Timestamp, Failure> {
    config::instant(text, &config.zone, out.lang).map_err(|e| Failure::Sentence(USAGE, e))
}

fn read(config: &Config, which: &Which, out: Out) -> Result<Vec<Incident>, Failure> {
    let bound = |text: &Option<String>| text.as_deref().map(|t| instant(t, config, out)).transpose();
    let (from, to) = (bound(&which.from)?, bound(&which.to)?);
    let mut all = incident::read(&Dir::open(config.paths.var.join("ledger"))?)?;
    all.retain(|i| {
        (!which.open || i.is_open())
            && (!which.affected || i.affected)
            && from.is_none_or(|from| i.start >= from)
            && to.is_none_or(|to| i.start < to)
    });
    Ok(all)
}

fn list(config: &Config, which: &Which, out: Out) -> Done {
    let all = read(config, which, out)?;
    let now = Clock::system().now();
    out.answer("incidents", true, &all, || {
        if all.is_empty() {
            return out.pick("ningún incidente", "no incident").to_owned();
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([
            "n",
            out.pick("desde", "since"),
            out.pick("duró", "lasted"),
            out.pick("nivel", "level"),
            out.pick("afectó", "affected"),
            out.pick("qué", "what"),
            out.pick("causa", "cause"),
        ]);
        for one in &all {
            let lasted = incident::spoken(one.duration(now));
            let lasted =
                if one.is_open() { format!("{lasted} {}", out.pick("(abierto)", "(open)")) } else { lasted };
            table.add_row([
                one.number.to_string(),
                hour(one.start, &config.zone),
                lasted,
                one.level.label(out.lang).to_owned(),
                out.pick(if one.affected { "sí" } else { "no" }, if one.affected { "yes" } else { "no" })
                    .to_owned(),
                one.kind.label(out.lang).to_owned(),
                one.cause.clone(),
            ]);
        }
        table.to_string()
    });
    Ok(ExitCode::SUCCESS)
}

fn show(config: &Config, number: u64, out: Out) -> Done {
    let all = incident::read(&Dir::open(config.paths.var.join("ledger"))?)?;
    let missing = || {
        Failure::Sentence(
            NOT_FOUND,
            format!("{} {number}", out.pick("no hay tal incidente:", "there is no incident")),
        )
    };
    let one = all.into_iter().find(|i| i.number == number).ok_or_else(missing)?;
    out.answer("incident", true, &one, || told(&one, config, out));
    Ok(ExitCode::SUCCESS)
}

fn told(one: &Incident, config: &Config, out: Out) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}");
        }
    };
    let labels = |es, en| out.pick(es, en).to_owned();
    line(&labels("incidente", "incident"), &format!("{} · {}", one.number, one.kind.label(out.lang)));
    line(&labels("nivel", "level"), one.level.label(out.lang));
    line(&labels("etapa", "stage"), one.stage.map_or("", |s| s.label(out.lang)));
    line(&labels("empezó", "began"), &hour(one.start, &config.zone));
    line(
        &labels("terminó", "ended"),
        &one.end.map_or_else(|| labels("sigue abierto", "still open"), |t| hour(t, &config.zone)),
    );
    line(&labels("duró", "lasted"), &incident::spoken(one.duration(Clock::system().now())));
    line(&labels("cortes", "cuts"), &one.cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    line(&labels("causa", "cause"), &one.cause);
    line(
        &labels("afectó la publicación", "affected publication"),
        out.pick(if one.affected { "sí" } else { "no" }, if one.affected { "yes" } else { "no" }),
    );
    line(&labels("lo detectó", "detected by"), &one.detected_by);
    line(&labels("lo abrió", "opened by"), one.opened_by.as_deref().unwrap_or_default());
    line(&labels("lo cerró", "closed by"), one.closed_by.as_deref().unwrap_or_default());
    line(&labels("qué se hizo", "what was done"), one.action.as_deref().unwrap_or_default());
    for note in &one.notes {
        let who = note.who.as_deref().unwrap_or("difusor");
        let _ = writeln!(text, "  {} {who}: {}", hour(note.at, &config.zone), note.text);
    }
    text
}

fn export(config: &Config, which: &Which, format: Format, out: Out) -> Done {
    let all = read(config, which, out)?;
    if format == Format::Json || out.json {
        out_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    super::println(incident::csv(&all, &config.zone, out.lang).trim_end());
    Ok(ExitCode::SUCCESS)
}

fn out_json(all: &[Incident]) -> Result<(), Failure> {
    let data = serde_json::json!({"schema": "difusor.incidents/1", "ok": true, "data": all});
    super::println(&serde_json::to_string_pretty(&data).map_err(std::io::Error::from)?);
    Ok(())
}
