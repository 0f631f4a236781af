//! Scripts: `bash -s` and heredocs, read line by line through the same grammar.
//!
//! A line that quotes or operators leave open takes the next one with it. The first line
//! that is not understood ends the script, whatever `set -e` says: going on without it would
//! do something else than the script means. What was done to the site until then is dropped.

use crate::drop::{VPath, View};
use crate::model::Lang;
use crate::ssh::io::{Gone, Io};

use super::Setup;
use super::fault::{Fault, UNSUPPORTED};
use super::grammar::LINE_BYTES_MAX;
use super::plan::{self, Plan};
use super::shell::{Next, Shell};

/// Runs the script that the channel brings; the value is the exit status.
pub(super) fn run(io: Io, view: View, cwd: VPath, setup: &Setup, stops_at_failure: bool) -> u32 {
    let mut shell = Shell::new(io, view, setup);
    shell.cwd = cwd;
    shell.stops_at_failure = stops_at_failure;
    shell.detach_input();
    // A client that is gone reads no status, but the session wants one.
    lines(&mut shell).and_then(|status| shell.finish(status)).unwrap_or(1)
}

fn lines(shell: &mut Shell<'_>) -> Result<u32, Gone> {
    let mut script = Script::default();
    while let Some(next) = script.next(shell)? {
        let plan = match next {
            Ok(plan) => plan,
            Err(fault) => {
                let line = script.line;
                let text = fault_line(&fault, line, shell.lang());
                shell.channel().err(&text)?;
                return Ok(UNSUPPORTED);
            }
        };
        for step in &plan.steps {
            if let Next::Exit(status) = shell.step(step)? {
                return Ok(status);
            }
        }
    }
    Ok(shell.status)
}

fn fault_line(fault: &Fault, line: usize, lang: Lang) -> String {
    let why = fault.why(lang);
    let allowed = super::fault::allowed(lang);
    match lang {
        Lang::Es => format!("difusor: línea {line}: {why}; el guion terminó ahí; {allowed}"),
        Lang::En => format!("difusor: line {line}: {why}; the script ended there; {allowed}"),
    }
}

/// How far a script was read.
#[derive(Default)]
struct Script {
    /// Number of the line that was read last.
    line: usize,
    bytes: usize,
}

impl Script {
    /// The next command line, which may span several lines; `None` at the end.
    fn next(&mut self, shell: &mut Shell<'_>) -> Result<Option<Result<Plan, Fault>>, Gone> {
        let permits = shell.setup.permits();
        let mut text = Vec::new();
        loop {
            let ended = self.read_line(shell.channel(), &mut text)?;
            if text.is_empty() && ended {
                return Ok(None);
            }
            if self.bytes > SCRIPT_BYTES_MAX || text.len() > LINE_BYTES_MAX {
                return Ok(Some(Err(Fault::TooLong)));
            }
            match plan::plan(text.strip_suffix(b"\n").unwrap_or(&text), permits) {
                Err(fault) if fault.wants_more() && !ended => {}
                Ok(plan) => {
                    // A program would need the channel that the script comes through.
                    let program = plan.ending.as_ref().map(|ending| ending.program.name().to_owned());
                    return Ok(Some(program.map_or(Ok(plan), |name| Err(Fault::Unknown(name)))));
                }
                Err(fault) => return Ok(Some(Err(fault))),
            }
        }
    }

    /// Adds one line to `text`; whether the script ended with it.
    fn read_line(&mut self, io: &mut Io, text: &mut Vec<u8>) -> Result<bool, Gone> {
        let before = text.len();
        loop {
            let Some(bytes) = io.next()? else {
                self.line += usize::from(text.len() > before);
                return Ok(true);
            };
            let end = bytes.iter().position(|b| *b == b'\n').map(|at| at + 1);
            let taken = end.unwrap_or(bytes.len());
            text.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            self.bytes += taken;
            if taken < bytes.len() {
                io.put_back(bytes.slice(taken..));
            }
            if end.is_some() || text.len() > LINE_BYTES_MAX {
                self.line += 1;
                return Ok(false);
            }
        }
    }
}

/// Longest script. The institutes' own have a few dozen lines.
const SCRIPT_BYTES_MAX: usize = 1 << 20;
