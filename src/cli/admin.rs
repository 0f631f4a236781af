//! `difusor admin link`: a way into the page of the person on duty.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::Common;
use super::releases::operator;
use super::status::hour;
use super::{Done, Failure, NO, NO_SERVICE, Out};
use crate::app;
use crate::control::{self, Answer, Request};

pub(super) fn link(common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let answer = control::ask(&app::control_socket(&config), &Request::AdminLink { operator: operator() })?;
    let (token, until, addresses, sockets) = match answer {
        Some(Answer::AdminLink { token, until, addresses, sockets }) => (token, until, addresses, sockets),
        Some(Answer::Refused { message, .. }) => return Err(Failure::Sentence(NO, message)),
        _ => {
            let text = out.pick("ningún servicio está en marcha", "no service is running");
            return Err(Failure::Sentence(NO_SERVICE, text.to_owned()));
        }
    };
    let path = format!("/login?t={token}");
    let links: Vec<String> = addresses.iter().map(|a| format!("http://{a}{path}")).collect();
    let data = json!({"links": links, "sockets": sockets, "path": path, "until": until});
    out.answer("admin-link", true, data, || {
        let mut lines = links.clone();
        lines.extend(sockets.iter().map(|socket| by_socket(socket, &path, out)));
        let lasts = out.pick("el enlace abre una sola vez, hasta las", "the link opens once, until");
        lines.push(format!("{lasts} {}", hour(until, &config.zone)));
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

/// No browser opens a unix socket: OpenSSH carries it to a port of one's own machine.
fn by_socket(socket: &Path, path: &str, out: Out) -> String {
    let first = out.pick("desde su máquina", "from your machine");
    let then = out.pick("y luego en su navegador", "and then in your browser");
    format!(
        "{first}:  ssh -N -L 9080:{} {}\n{then}:  http://localhost:9080{path}",
        socket.display(),
        out.pick("USUARIO@SERVIDOR", "USER@SERVER"),
    )
}
