//! The outside: verbs, thin, one file each; they call rooms and print.
//!
//! [`main`] is the whole program: parse, run, outcome to exit code. Exit codes: 0 done,
//! 1 the answer is no, 2 wrong usage, 4 no service, 8 a file or disk failed, 78 the
//! configuration is at fault.

mod admin;
mod args;
mod audit;
mod check;
mod demo;
mod doctor;
mod english;
mod explain;
mod healthcheck;
mod incidents;
mod init;
mod keys;
mod ledger;
mod monitor;
mod night;
mod package;
mod paper;
mod releases;
mod reload;
mod report;
mod service;
mod simulate;
mod stats;
mod status;
mod trust;
mod usage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Fault};
use crate::model::Lang;
use args::{Cli, Common, Verb};

/// What a verb ended with.
type Done = Result<ExitCode, Failure>;

/// A verb that could not do its work, and how to say so.
#[derive(Debug)]
enum Failure {
    /// The configuration is at fault: exit 78 (`EX_CONFIG`).
    Config(Vec<Fault>),
    /// Something else; the exit code and one sentence with its remedy.
    Sentence(u8, String),
    /// A file or the disk.
    Io(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Exit code: the answer is no.
const NO: u8 = 1;
/// The line was mistyped, as clap itself says it.
const USAGE: u8 = 2;
/// Exit code: no service is running.
const NO_SERVICE: u8 = 4;
/// Exit code: not found.
const NOT_FOUND: u8 = 6;
/// Exit code: a file or the disk failed.
const IO_FAILED: u8 = 8;
/// Exit code: the configuration is at fault.
const CONFIG: u8 = 78;

/// The program.
pub fn main() -> ExitCode {
    let lang = usage::language(std::env::args_os());
    let command = usage::command(lang);
    let parsed = command.try_get_matches().and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, lang),
    };
    let json = cli.common.json;
    // One crypto back end for every TLS client and server in this process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was there already");
    }
    match run(cli, lang) {
        Ok(code) => code,
        Err(failure) => fail(failure, json, lang),
    }
}

fn run(cli: Cli, lang: Lang) -> Done {
    let out = Out { json: cli.common.json, lang };
    let common = cli.common;
    match cli.verb {
        Verb::Demo(demo) => demo::run(demo, out),
        Verb::Init(init) => init::run(init, out),
        Verb::Run => service::run(&common, service::Half::Both),
        Verb::Receive => service::run(&common, service::Half::Receive),
        Verb::Serve => service::run(&common, service::Half::Serve),
        Verb::Check => check::run(&common, out),
        Verb::Doctor(doctor) => doctor::run(&doctor, &common, out),
        Verb::Status => status::run(&common, out),
        Verb::Releases(verb) => releases::run(verb, &common, out),
        Verb::Notice(verb) => night::notice(verb, &common, out),
        Verb::Night(verb) => night::night(verb, &common, out),
        Verb::Incidents(verb) => incidents::run(verb, &common, out),
        Verb::Alert(verb) => night::alert(verb, &common, out),
        Verb::Monitor(verb) => monitor::run(verb, &common, out),
        Verb::Publish(publish) => releases::publish(publish, &common, out),
        Verb::Keys(verb) => keys::run(verb, &common, out),
        Verb::Trust(verb) => trust::run(verb, &common, out),
        Verb::Explain(explain) => explain::run(&explain, &common, out),
        Verb::Package(verb) => package::run(verb, &common, out),
        Verb::Simulate(verb) => simulate::run(verb, out),
        Verb::Ledger(verb) => ledger::run(verb, &common, out),
        Verb::Log(verb) => stats::log(verb, &common, out),
        Verb::Stats(verb) => stats::run(verb, &common, out),
        Verb::Audit(audit) => audit::run(&audit, &common, out),
        Verb::Reload => reload::run(&common, out),
        Verb::Admin(args::Admin::Link) => admin::link(&common, out),
        Verb::Healthcheck => healthcheck::run(&common, out),
        Verb::Report(verb) => report::run(verb, &common, out),
        Verb::Man(man) => paper::man(&man.dir, lang),
        Verb::Completions(completions) => paper::completions(completions.shell, lang),
    }
}

fn fail(failure: Failure, json: bool, lang: Lang) -> ExitCode {
    let (code, lines) = match failure {
        Failure::Config(faults) => (CONFIG, faults.iter().map(|f| f.line(lang)).collect()),
        Failure::Sentence(code, sentence) => (code, vec![sentence]),
        Failure::Io(error) => (IO_FAILED, vec![error.to_string()]),
    };
    if json {
        let value = json!({"schema": "difusor.error/1", "ok": false, "errors": lines});
        println(&value.to_string());
    }
    for line in lines {
        eprintln(&format!("difusor: {line}"));
    }
    ExitCode::from(code)
}

/// How a verb speaks: as a person reads it, or as JSON.
#[derive(Clone, Copy, Debug)]
struct Out {
    json: bool,
    lang: Lang,
}

impl Out {
    /// One answer: the JSON envelope `{"schema","ok","data"}`, or the text.
    fn answer(self, schema: &str, ok: bool, data: impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            println(&json!({"schema": format!("difusor.{schema}/1"), "ok": ok, "data": data}).to_string());
        } else {
            println(text().trim_end_matches('\n'));
        }
    }

    fn pick<'a>(self, es: &'a str, en: &'a str) -> &'a str {
        self.lang.pick(es, en)
    }
}

impl Common {
    /// The configuration file this command is about.
    fn file(&self) -> PathBuf {
        let here = PathBuf::from("difusor.toml");
        let fallback =
            || if here.exists() { here.clone() } else { PathBuf::from("/etc/difusor/difusor.toml") };
        self.config.clone().unwrap_or_else(fallback)
    }

    fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.file()).map_err(Failure::Config)
    }
}

/// Standard output; a reader that went away (`| head`) is no error.
fn println(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

fn eprintln(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
