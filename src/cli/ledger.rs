//! `difusor ledger`: the record, its proof and its copy.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::args::{self, Common};
use super::status::hour;
use super::{Done, Failure, NO, Out};
use crate::durable::Dir;
use crate::ledger::{self, Filter, Flaw, Line, Proof, Wrong};
use crate::model::Lang;

pub(super) fn run(verb: args::Ledger, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let dir = Dir::open(config.paths.var.join("ledger"))?;
    match verb {
        args::Ledger::List { last } => {
            let lines = ledger::read(&dir, Filter::default())?.collect::<Result<Vec<_>, _>>()?;
            let skip = last.map_or(0, |n| lines.len().saturating_sub(n));
            for line in lines.iter().skip(skip) {
                super::println(&if out.json {
                    line.raw.trim_end().to_owned()
                } else {
                    sentence(line, &config.zone)
                });
            }
            Ok(ExitCode::SUCCESS)
        }
        args::Ledger::Verify => {
            let proof = ledger::verify(&dir)?;
            out.answer("ledger-verify", proof.is_sound(), &proof, || text(&proof, out));
            Ok(if proof.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
        }
        args::Ledger::Export => export(&dir, out),
    }
}

/// The whole file, but only if the chain holds.
fn export(dir: &Dir, out: Out) -> Done {
    let proof = ledger::verify(dir)?;
    if !proof.is_sound() {
        return Err(Failure::Sentence(NO, text(&proof, out)));
    }
    let mut stdout = std::io::stdout().lock();
    for line in ledger::read(dir, Filter::default())? {
        stdout.write_all(line?.raw.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `812 2027-06-06 20:15:07 published release=… cut=…`
fn sentence(line: &Line, zone: &jiff::tz::TimeZone) -> String {
    let chain = ["n", "t", "prev", "ev"];
    let fields = line.fields.iter().filter(|(k, v)| !chain.contains(&k.as_str()) && !v.is_null());
    let fields: Vec<String> = fields.map(|(k, v)| format!("{k}={}", short(v))).collect();
    let kind = line.text("ev").unwrap_or("?");
    format!("{:>6} {} {kind:<12} {}", line.n, hour(line.at, zone), fields.join(" "))
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            text.chars().take(8).collect()
        }
        Value::String(text) if !text.contains(' ') => text.clone(),
        other => other.to_string(),
    }
}

fn text(proof: &Proof, out: Out) -> String {
    if proof.is_sound() {
        let whole = out.pick("íntegra", "sound");
        let lines = out.pick("líneas", "lines");
        return format!(
            "{whole}: {} {lines}, {} {}",
            proof.lines,
            out.pick("cabeza", "head"),
            proof.head.sha256
        );
    }
    let flaws = proof.flaws.iter().map(|flaw| flaw_line(flaw, out.lang));
    flaws.collect::<Vec<_>>().join("\n")
}

fn flaw_line(flaw: &Flaw, lang: Lang) -> String {
    let n = flaw.n;
    match (lang, &flaw.wrong) {
        (Lang::En, _) => flaw.to_string(),
        (Lang::Es, Wrong::Altered) => format!("línea {n}: alterada"),
        (Lang::Es, Wrong::Unproven) => format!("línea {n}: sin prueba, la siguiente fue alterada"),
        (Lang::Es, Wrong::Damaged) => format!("línea {n}: no es una línea de la bitácora"),
        (Lang::Es, Wrong::Torn) => format!("línea {n}: cortada, no tiene fin"),
        (Lang::Es, Wrong::Removed { from, to }) if from == to => format!("línea {from}: borrada"),
        (Lang::Es, Wrong::Removed { from, to }) => format!("líneas {from} a {to}: borradas"),
        (Lang::Es, Wrong::Swapped { with }) => format!("línea {n}: cambiada de lugar con la {with}"),
        (Lang::Es, Wrong::Moved) => format!("línea {n}: movida, está en el lugar {}", flaw.line),
        (Lang::Es, Wrong::Duplicated) => format!("línea {n}: repetida en el lugar {}", flaw.line),
    }
}
