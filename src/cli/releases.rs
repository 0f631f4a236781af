//! `difusor releases` and `difusor publish`: what an operator does to cuts.

mod rollback;

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::args::{self, Common};
use super::status::hour;
use super::{Done, Failure, IO_FAILED, NO, NOT_FOUND, Out};
use crate::app;
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::model::ReleaseId;
use crate::release::{Difference, Reader, Release};

pub(super) fn run(verb: args::Releases, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    match verb {
        args::Releases::List => list(&config, out),
        args::Releases::Show { id } => show(&config, id, out),
        args::Releases::Verify { id } => verify(&config, id, out),
        args::Releases::Rollback { id, previous, hold, reason } => {
            let wanted = rollback::Wanted { id, previous, hold, reason };
            ask(&config, rollback::chosen(&config, wanted, out)?, out)
        }
        args::Releases::Hold { time, reason } => {
            let seconds = seconds(&time, out)?;
            ask(&config, Request::Hold { seconds, operator: operator(), reason }, out)
        }
        args::Releases::Resume { reason } => {
            ask(&config, Request::Resume { operator: operator(), reason }, out)
        }
    }
}

/// `difusor publish FILE`.
pub(super) fn publish(publish: args::Publish, common: &Common, out: Out) -> Done {
    let config = common.load()?;
    let file = std::fs::canonicalize(&publish.file)
        .map_err(|e| Failure::Sentence(NOT_FOUND, format!("{}: {e}", publish.file.display())))?;
    // The service may see less of the machine than we do: it is given a copy among its own files.
    let lent = match app::control_socket(&config).exists() {
        true => Lent::copy(&config, &file).ok(),
        false => None,
    };
    let file = lent.as_ref().map_or(file, |lent| lent.file.clone());
    ask(&config, Request::Publish { file, operator: operator(), reason: publish.reason }, out)
}

/// A time typed on the command line.
fn seconds(text: &str, out: Out) -> Result<u64, Failure> {
    let time = crate::config::duration(text, out.lang).map_err(|e| Failure::Sentence(super::USAGE, e))?;
    Ok(time.as_secs())
}

/// A copy of an operator's file where the service reads it; gone when dropped.
struct Lent {
    folder: PathBuf,
    file: PathBuf,
}

impl Lent {
    fn copy(config: &Config, file: &Path) -> io::Result<Self> {
        let folder = config.paths.var.join("run").join(format!("publish-{}", std::process::id()));
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        std::fs::DirBuilder::new().mode(0o755).create(&folder)?;
        let lent = Self { file: folder.join(name), folder };
        let mut from = std::fs::File::open(file)?;
        // The service is another user, most of the time.
        let to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&lent.file);
        io::copy(&mut from, &mut to?)?;
        Ok(lent)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // It was published or refused by now; what stays is named after us and harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Asks the running service; without one, does it here and now under the store's lock.
pub(super) fn ask(config: &Config, request: Request, out: Out) -> Done {
    let answer = match control::ask(&app::control_socket(config), &request)? {
        Some(answer) => answer,
        None => app::answer_offline(config, request)
            .map_err(|f| Failure::Sentence(IO_FAILED, f.line(out.lang)))?,
    };
    match answer {
        Answer::Refused { message, code } => {
            let failed = || message.clone();
            if out.json {
                out.answer("operation", false, json!({"message": message, "code": code}), failed);
                return Ok(ExitCode::from(NO));
            }
            Err(Failure::Sentence(NO, message))
        }
        Answer::Done { message } => {
            out.answer("operation", true, json!({"message": message}), || message.clone());
            Ok(ExitCode::SUCCESS)
        }
        Answer::Status(_)
        | Answer::Readers(_)
        | Answer::Traffic(_)
        | Answer::AdminLink { .. }
        | Answer::Reloaded { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn list(config: &Config, out: Out) -> Done {
    let store = app::store_to_read(config)?;
    let ids = store.list()?;
    let all: Vec<Release> = ids.iter().filter_map(|id| store.load(id).ok()).collect();
    let live = live(&store);
    let rows: Vec<_> = all.iter().map(|r| row(r, live.as_ref())).collect();
    out.answer("releases", true, &rows, || {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([
            out.pick("corte", "cut"),
            "id",
            out.pick("verificado", "verified"),
            out.pick("archivos", "files"),
            "",
        ]);
        for release in &all {
            let meta = &release.meta;
            let mark = if Some(&release.id) == live.as_ref() { out.pick("vigente", "live") } else { "" };
            table.add_row([
                meta.cut.map_or_else(|| "–".to_owned(), |c| c.to_string()),
                release.id.to_string(),
                hour(meta.verified.unwrap_or(release.sealed), &config.zone),
                release.manifest.len().to_string(),
                mark.to_owned(),
            ]);
        }
        table.to_string()
    });
    Ok(ExitCode::SUCCESS)
}

fn row(release: &Release, live: Option<&ReleaseId>) -> serde_json::Value {
    let meta = serde_json::to_value(&*release.meta).unwrap_or_default();
    json!({"id": release.id, "live": Some(&release.id) == live, "files": release.manifest.len(),
           "tree": release.tree, "meta": meta})
}

fn live(store: &Reader) -> Option<ReleaseId> {
    store.current().ok().flatten()
}

fn show(config: &Config, id: Option<String>, out: Out) -> Done {
    let store = app::store_to_read(config)?;
    let id = match id {
        Some(id) => Some(parse(&id, out)?),
        None => live(&store),
    };
    let missing = || Failure::Sentence(NOT_FOUND, out.pick("no hay tal corte", "no such cut").to_owned());
    let release = id.and_then(|id| store.load(&id).ok()).ok_or_else(missing)?;
    let value = row(&release, live(&store).as_ref());
    out.answer("release", true, &value, || serde_json::to_string_pretty(&value).unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

fn verify(config: &Config, id: Option<String>, out: Out) -> Done {
    let store = app::store_to_read(config)?;
    let ids = match id {
        Some(id) => vec![parse(&id, out)?],
        None => store.list()?,
    };
    let verified =
        ids.into_iter().map(|id| Ok((store.verify(&id)?, id))).collect::<Result<Vec<_>, io::Error>>()?;
    let sound = verified.iter().all(|(differences, _)| differences.is_empty());
    let data: Vec<_> = (verified.iter())
        .map(|(differences, id)| json!({"release": id, "differences": differences}))
        .collect();
    out.answer("release-verify", sound, data, || {
        verified.iter().map(|(differences, id)| told(id, differences, out)).collect::<Vec<_>>().join("\n")
    });
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// One release compared with its manifest, for a person.
fn told(id: &ReleaseId, differences: &[Difference], out: Out) -> String {
    let verdict = match differences {
        [] => out.pick("íntegro", "sound"),
        _ => out.pick("difiere", "differs"),
    };
    let lines = differences.iter().map(|d| format!("\n  {}: {:?}", d.path, d.what));
    format!("{id}: {verdict}{}", lines.collect::<String>())
}

pub(super) fn parse(id: &str, out: Out) -> Result<ReleaseId, Failure> {
    let bad = || {
        Failure::Sentence(
            NOT_FOUND,
            format!(
                "«{id}»: {}",
                out.pick("no es un corte; vea difusor releases list", "not a cut; see difusor releases list")
            ),
        )
    };
    ReleaseId::parse(id).ok_or_else(bad)
}

/// The name of the person at the keyboard, for the ledger.
pub(super) fn operator() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|v| std::env::var(v).ok());
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
