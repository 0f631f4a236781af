//! `difusor healthcheck`: whether the service answers, without curl.
//!
//! Each half that has a socket must answer on it, and there must be one. What has to be up is
//! told by the sockets: a half that was never started here has none.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::args::Common;
use super::{Done, NO, Out};
use crate::app;
use crate::control::{self, Answer, Request};

pub(super) fn run(common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let halves = [
        ("receive", app::control_socket(&config), Request::Status),
        ("serve", app::readers_socket(&config), Request::Readers),
    ];
    let mut found = Vec::new();
    for (half, socket, question) in halves {
        if socket.exists() {
            found.push((half, asked(&socket, &question)));
        }
    }
    let healthy = !found.is_empty() && found.iter().all(|(_, answer)| answer.is_ok());
    let halves: serde_json::Map<_, _> = found
        .iter()
        .map(|(half, answer)| {
            (
                (*half).to_owned(),
                json!(answer.as_ref().map_or_else(ToString::to_string, |()| "ok".to_owned())),
            )
        })
        .collect();
    out.answer("healthcheck", healthy, halves, || {
        if found.is_empty() {
            return out.pick("ningún servicio está en marcha", "no service is running").to_owned();
        }
        let line = |(half, answer): &(&str, io::Result<()>)| match answer {
            Ok(()) => format!("{half}: ok"),
            Err(error) => format!("{half}: {error}"),
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn asked(socket: &Path, question: &Request) -> io::Result<()> {
    match control::ask_within(socket, question, PATIENCE)? {
        Some(Answer::Status(_) | Answer::Readers(_)) => Ok(()),
        Some(Answer::Refused { message, .. }) => Err(io::Error::other(message)),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

/// A supervisor asks again soon; a service this slow is not well.
const PATIENCE: Duration = Duration::from_secs(5);
