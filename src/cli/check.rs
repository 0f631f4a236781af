//! `difusor check`: every fault of configuration, keys and directories at once.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Common;
use super::{CONFIG, Done, Out};
use crate::clock::Clock;
use crate::config::{Config, Fault};
use crate::preflight::{self, Finding, Weight};

pub(super) fn run(common: &Common, out: Out) -> Done {
    let file = common.file();
    let findings = match Config::load(&file) {
        Ok(config) => preflight::check(&config, Clock::system().now()),
        Err(faults) => faults.into_iter().map(Finding::fault).collect(),
    };
    let faults = findings.iter().filter(|f| f.weight == Weight::Fault).count();
    let data: Vec<Value> = findings.iter().map(|f| described(f, out)).collect();
    out.answer("check", faults == 0, json!({"file": file, "findings": data}), || {
        text(&findings, faults, out)
    });
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(CONFIG) })
}

fn described(finding: &Finding, out: Out) -> Value {
    let Fault { file, line, column, .. } = &finding.what;
    let weight = match finding.weight {
        Weight::Fault => "fault",
        Weight::Warning => "warning",
    };
    json!({"weight": weight, "file": file, "line": line, "column": column, "message": finding.what.line(out.lang)})
}

fn text(findings: &[Finding], faults: usize, out: Out) -> String {
    let mark = |f: &Finding| match f.weight {
        Weight::Fault => out.pick("falta", "fault"),
        Weight::Warning => out.pick("aviso", "warning"),
    };
    let mut lines: Vec<String> =
        findings.iter().map(|f| format!("{}: {}", mark(f), f.what.line(out.lang))).collect();
    lines.push(match faults {
        0 => out.pick("todo en orden", "all in order").to_owned(),
        1 => out.pick("1 falta", "1 fault").to_owned(),
        n => format!("{n} {}", out.pick("faltas", "faults")),
    });
    lines.join("\n")
}
