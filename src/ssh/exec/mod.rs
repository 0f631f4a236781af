//! Command lines without a shell: what `ssh prep@host 'COMMAND'` does.
//!
//! Owns the grammar, the commands and their words. Imports `drop`, `archive`, `model` and
//! the neighbouring programs. One flow: [`grammar`] gives a line its shape, `plan` looks up
//! every command in it, `shell` runs the steps on a [`View`], and the clean end commits.
//!
//! * Nothing is done before the whole line is understood; what is not understood ends with
//!   [`fault::UNSUPPORTED`] and one sentence.
//! * Every name goes through [`View::resolve`]: nothing outside the virtual root exists.
//! * What a command submits is waited for (bounded) and told in one line; a refusal makes
//!   the command fail, as the sender's `&&` expects.
//! * Changes to the site are committed at the end of the line if its status is 0, and
//!   dropped otherwise.

mod builtins;
pub mod explain;
pub mod fault;
mod glob;
pub mod grammar;
mod options;
mod plan;
mod program;
mod script;
mod shell;
mod source;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::archive::Limits;
use crate::clock::Clock;
use crate::drop::View;
use crate::model::Lang;

use super::io::Io;
use super::program::Context;

pub use explain::{Explanation, explain};
pub use program::RsyncServer;

use fault::{Fault, UNSUPPORTED};
use plan::Permits;
use shell::Shell;

/// The text that tells a sender what is live, and whether all is well.
pub type StatusText = Arc<dyn Fn(Lang) -> (String, u32) + Send + Sync>;

/// What the instance lends to command lines.
#[derive(Clone)]
pub struct Setup {
    /// Language and patience.
    pub context: Context,
    /// For `date`, `touch` and `find -mtime`.
    pub clock: Clock,
    /// Zone of `date` and `ls -l`.
    pub zone: TimeZone,
    /// Bounds of an archive that is unpacked here.
    pub limits: Limits,
    /// Whether `bash -s`, heredocs and `sh -c` are read.
    pub scripts: Scripts,
    /// What a leading `sudo` does.
    pub sudo: Sudo,
    /// What `status`, and no command at all, print.
    pub status: Option<StatusText>,
    /// Who serves rsync.
    pub rsync: Option<RsyncServer>,
}

/// Whether scripts are read through the grammar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Refused with a sentence.
    #[default]
    Refuse,
    /// Read line by line.
    Read,
}

/// What a leading `sudo` does. It never gives anybody anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sudo {
    /// Refuses the line.
    #[default]
    Refuse,
    /// Is overlooked, so that old scripts run unchanged.
    Ignore,
}

impl Setup {
    /// The careful defaults: no scripts, no sudo, no rsync, the clock of the system.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            clock: Clock::system(),
            zone: TimeZone::UTC,
            limits: Limits::default(),
            scripts: Scripts::default(),
            sudo: Sudo::default(),
            status: None,
            rsync: None,
        }
    }

    fn permits(&self) -> Permits {
        Permits { scripts: self.scripts, sudo: self.sudo, rsync: self.rsync.is_some() }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("context", &self.context)
            .field("scripts", &self.scripts)
            .field("sudo", &self.sudo)
            .finish_non_exhaustive()
    }
}

/// Runs the command of an exec request on a blocking thread; the value is the exit status.
/// An empty command (a session without one) prints the status.
pub fn run(command: &[u8], io: Io, view: View, setup: &Setup) -> u32 {
    let lang = setup.context.lang;
    match plan::plan(command, setup.permits()) {
        Ok(plan) if plan.steps.is_empty() && plan.ending.is_none() => status(&io, setup),
        // A client that is gone reads no status, but the session wants one.
        Ok(plan) => Shell::new(io, view, setup).run(plan).unwrap_or(1),
        Err(fault) => refuse(&io, &fault, lang),
    }
}

/// Tells why a line is not run.
fn refuse(io: &Io, fault: &Fault, lang: Lang) -> u32 {
    tracing::info!(reason = fault.why(Lang::En), "command line refused");
    // The status says the same to a client that reads nothing.
    let _ = io.err(&fault.line(lang));
    UNSUPPORTED
}

fn status(io: &Io, setup: &Setup) -> u32 {
    let lang = setup.context.lang;
    let (text, status) = setup.status.as_ref().map_or_else(
        || (lang.pick("difusor: en servicio", "difusor: in service").to_owned(), 0),
        |status| status(lang),
    );
    match io.out(format!("{}\n", text.trim_end())) {
        Ok(()) => status,
        Err(_) => 1,
    }
}
