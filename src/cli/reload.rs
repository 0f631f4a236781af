//! `difusor reload`: the running halves read their configuration again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::json;

use super::args::Common;
use super::{CONFIG, Done, Failure, NO, NO_SERVICE, Out};
use crate::app;
use crate::config::Config;
use crate::control::{self, Answer, Request};

pub(super) fn run(common: &Common, out: Out) -> Done {
    let (config, at_fault) = match Config::load(&common.file()) {
        Ok(config) => (config, None),
        // The service is asked all the same: it puts on record that it was asked in vain.
        Err(faults) => {
            (Config::default_for(common.file()).map_err(|_| Failure::Config(faults.clone()))?, Some(faults))
        }
    };
    let (mut applied, mut restart) = (BTreeSet::new(), BTreeSet::new());
    let (mut faults, mut halves) = (Vec::new(), 0_u8);
    for socket in [app::control_socket(&config), app::readers_socket(&config)] {
        match control::ask(&socket, &Request::Reload) {
            Ok(Some(Answer::Reloaded { applied: now, restart: later, faults: found })) => {
                halves += 1;
                applied.extend(now);
                restart.extend(later);
                faults = found;
                if !faults.is_empty() {
                    break;
                }
            }
            Ok(Some(Answer::Refused { message, .. })) => return Err(Failure::Sentence(NO, message)),
            Ok(_) => {}
            // Under systemd each half is told by its own unit, as its own user.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(faults) = at_fault {
        return Err(Failure::Config(faults));
    }
    if !faults.is_empty() {
        let all = faults.join("\n");
        return Err(Failure::Sentence(CONFIG, all));
    }
    if halves == 0 {
        let text = out.pick("ningún servicio está en marcha", "no service is running");
        return Err(Failure::Sentence(NO_SERVICE, text.to_owned()));
    }
    let data = json!({"applied": applied, "restart": restart});
    out.answer("reload", true, data, || text(&applied, &restart, out));
    Ok(ExitCode::SUCCESS)
}

fn text(applied: &BTreeSet<String>, restart: &BTreeSet<String>, out: Out) -> String {
    let list = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    if !applied.is_empty() {
        lines.push(format!("{}: {}", out.pick("ya vale", "holds now"), list(applied)));
    }
    if !restart.is_empty() {
        lines.push(format!(
            "{}: {}",
            out.pick("valdrá al reiniciar", "holds after a restart"),
            list(restart)
        ));
    }
    if lines.is_empty() {
        lines.push(out.pick("nada cambió", "nothing changed").to_owned());
    }
    lines.join("\n")
}
