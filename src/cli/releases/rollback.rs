//! Which cut to go back to: an id, the one before, or a choice at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use jiff::{SignedDuration, Timestamp};

use super::{live, operator, parse, seconds};
use crate::app;
use crate::cli::{Failure, IO_FAILED, NOT_FOUND, Out, USAGE};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::Request;
use crate::model::{Lang, ReleaseId};
use crate::release::Release;

/// Cuts that are offered: the picker is for the last minutes, `releases list` for the rest.
const OFFERED: usize = 9;

/// What was typed.
pub(super) struct Wanted {
    pub(super) id: Option<String>,
    pub(super) previous: bool,
    pub(super) hold: Option<String>,
    pub(super) reason: Option<String>,
}

/// The request, after asking at the terminal for what was not typed.
pub(super) fn chosen(config: &Config, wanted: Wanted, out: Out) -> Result<Request, Failure> {
    let Wanted { id, previous, hold, reason } = wanted;
    let at_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !out.json;
    let release = match id {
        Some(id) => Some(parse(&id, out)?),
        None if at_terminal && !previous => Some(pick(config, out)?),
        // Without a terminal it is the one before, as `--previous` says.
        None => None,
    };
    let reason = match reason {
        Some(reason) => reason,
        None if at_terminal => ask(out.pick("Motivo (obligatorio): ", "Reason (required): "))?,
        None => String::new(),
    };
    if reason.trim().is_empty() {
        let text = out.pick("falta el motivo: --reason TEXTO", "the reason is missing: --reason TEXT");
        return Err(Failure::Sentence(USAGE, text.to_owned()));
    }
    let hold_s = hold.map(|time| seconds(&time, out)).transpose()?;
    let warning = match hold_s {
        Some(_) => out.pick(
            "AVISO: la convocatoria obliga a publicar el último corte; lo que llegue queda retenido y asentado en la bitácora",
            "NOTE: the call obliges you to publish the last cut; what comes is held, and put on record",
        ),
        None => out.pick(
            "AVISO: el siguiente corte que llegue se publica como siempre; para retenerlo: difusor releases hold",
            "NOTE: the next cut that comes is published as always; to keep it back: difusor releases hold",
        ),
    };
    crate::cli::eprintln(warning);
    Ok(Request::Rollback { release, hold_s, operator: operator(), reason })
}

/// The cuts before the live one, the newest first.
fn pick(config: &Config, out: Out) -> Result<ReleaseId, Failure> {
    let store = app::store_to_read(config)?;
    let ids = store.list()?;
    let all: Vec<Release> = ids.iter().filter_map(|id| store.load(id).ok()).collect();
    let shown = live(&store).and_then(|id| all.iter().find(|r| r.id == id));
    let now = Clock::system().now();
    let no_cut = || {
        let text = out.pick("no hay un corte anterior al vigente", "there is no cut before the live one");
        Failure::Sentence(NOT_FOUND, text.to_owned())
    };
    let shown = shown.ok_or_else(no_cut)?;
    let is_earlier =
        |r: &&Release| !r.meta.kind.is_page() && r.meta.event == shown.meta.event && r.id < shown.id;
    let earlier: Vec<&Release> = all.iter().rev().filter(is_earlier).take(OFFERED).collect();
    if earlier.is_empty() {
        return Err(no_cut());
    }
    let title =
        out.pick("Publicar de nuevo un corte anterior (vigente:", "Publish an earlier cut again (live:");
    crate::cli::eprintln(&format!("{title} {})", told(shown, now, out.lang)));
    for (at, release) in earlier.iter().enumerate() {
        let files = out.pick("archivos", "files");
        let (told, count) = (told(release, now, out.lang), release.manifest.len());
        crate::cli::eprintln(&format!("  {}) {told}  {}  {count} {files}", at + 1, release.id));
    }
    let answer = ask(out.pick("Elija [1]: ", "Choose [1]: "))?;
    let number = if answer.trim().is_empty() { Ok(1) } else { answer.trim().parse::<usize>() };
    let found = number.ok().and_then(|n| earlier.get(n.checked_sub(1)?));
    let text = out.pick("no es uno de la lista", "is not one of the list");
    found.map(|r| r.id.clone()).ok_or_else(|| Failure::Sentence(USAGE, format!("«{}» {text}", answer.trim())))
}

/// `hace 15 min (corte 20:15)`.
fn told(release: &Release, now: Timestamp, lang: Lang) -> String {
    let meta = &release.meta;
    let cut = meta.cut.map_or_else(
        || lang.pick("corte sin hora", "cut without hour").to_owned(),
        |cut| format!("{} {}", lang.pick("corte", "cut"), cut.label()),
    );
    format!("{} ({cut})", ago(now.duration_since(meta.verified.unwrap_or(release.sealed)), lang))
}

/// `hace 15 min`.
fn ago(time: SignedDuration, lang: Lang) -> String {
    let seconds = time.as_secs().max(0);
    let (number, unit) = match seconds {
        s @ 0..60 => (s, "s"),
        s @ 60..3600 => (s / 60, "min"),
        s @ 3600..172_800 => (s / 3600, "h"),
        s => (s / 86_400, "d"),
    };
    match lang {
        Lang::Es => format!("hace {number} {unit}"),
        Lang::En => format!("{number} {unit} ago"),
    }
}

fn ask(question: &str) -> Result<String, Failure> {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|e| Failure::Sentence(IO_FAILED, e.to_string()))?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_count_them() {
        let told = |s| ago(SignedDuration::from_secs(s), Lang::Es);
        assert_eq!(told(-3), "hace 0 s");
        assert_eq!(told(59), "hace 59 s");
        assert_eq!(told(15 * 60 + 59), "hace 15 min");
        assert_eq!(told(3 * 3600), "hace 3 h");
        assert_eq!(told(3 * 86_400), "hace 3 d");
        assert_eq!(ago(SignedDuration::from_secs(900), Lang::En), "15 min ago");
    }
}
