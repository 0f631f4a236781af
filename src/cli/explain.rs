//! `difusor explain`: what the institute's command line would do, without doing it.

use std::process::ExitCode;

use super::args::{Common, Explain};
use super::{Done, NO, Out};
use crate::app;
use crate::config::Config;
use crate::ssh::exec;

pub(super) fn run(explain: &Explain, common: &Common, out: Out) -> Done {
    let file = common.file();
    // The institute's paths come from the instance; without one the defaults explain.
    let config = match common.config.is_some() || file.exists() {
        true => common.load()?,
        false => Config::default_for(file).map_err(super::Failure::Config)?,
    };
    let mut setup = app::commands(&config);
    setup.context.lang = out.lang;
    let explanation = exec::explain(explain.command.as_bytes(), &setup, &config.ssh.paths);
    out.answer("explain", explanation.supported, &explanation, || explanation.human(out.lang));
    Ok(if explanation.supported { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
