//! `difusor keys password`: for an institute that has no keys.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use rustix::termios::{self, LocalModes, OptionalActions};
use serde_json::json;

use super::super::{Done, Failure, NO, NOT_FOUND, Out};
use super::refused;
use crate::access::manage;
use crate::config::Config;

/// A password is a line.
const LINE_BYTES_MAX: u64 = 4096;

pub(super) fn run(config: &Config, user: &str, remove: bool, out: Out) -> Done {
    let password = if remove { None } else { Some(read(user, out)?) };
    let was =
        manage::set_password(&config.paths.keys, user, password.as_deref()).map_err(|e| refused(&e, out))?;
    if remove && !was {
        let sentence = out.pick("no tiene contraseña", "has no password");
        return Err(Failure::Sentence(NOT_FOUND, format!("{user} {sentence}")));
    }
    let data = json!({"user": user, "removed": remove, "taken": config.ssh.passwords});
    out.answer("keys-password", true, data, || {
        let done = match remove {
            true => out.pick("contraseña retirada:", "password taken away:"),
            false => out.pick("contraseña puesta:", "password set:"),
        };
        let off = out.pick(
            "\nNo vale todavía: falta passwords = true en [ssh], y reiniciar.",
            "\nIt does not count yet: passwords = true in [ssh] is missing, and a restart.",
        );
        format!("{done} {user}{}", if config.ssh.passwords || remove { "" } else { off })
    });
    Ok(ExitCode::SUCCESS)
}

/// From a terminal twice and unseen, else the first line of standard input.
fn read(user: &str, out: Out) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let ask = |text: &str| -> Result<String, Failure> {
        eprint!("{text} {user}: ");
        std::io::stderr().flush()?;
        let typed = unseen(line);
        eprintln!();
        typed
    };
    let first = ask(out.pick("Contraseña de", "Password of"))?;
    let second = ask(out.pick("Otra vez, la contraseña de", "Again, the password of"))?;
    if first == second {
        return Ok(first);
    }
    Err(Failure::Sentence(NO, out.pick("no son iguales", "they are not the same").to_owned()))
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::BufReader::new(std::io::stdin().lock().take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Does something while the terminal shows nothing of what is typed.
fn unseen<T>(typing: impl FnOnce() -> T) -> T {
    let terminal = std::io::stdin();
    let before = termios::tcgetattr(&terminal);
    if let Ok(seen) = &before {
        let mut hidden = seen.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = termios::tcsetattr(&terminal, OptionalActions::Flush, &hidden);
    }
    let done = typing();
    if let Ok(seen) = &before {
        let _ = termios::tcsetattr(&terminal, OptionalActions::Flush, seen);
    }
    done
}
