//! `difusor package`: a verdict or a listing of a file on disk, without a service.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::args::{self, Common};
use super::{Done, Failure, NO, NOT_FOUND, Out};
use crate::app;
use crate::archive::Sink;
use crate::clock::Clock;
use crate::config::Config;
use crate::package::{self, Listing, Report, Rules};

/// Sums that may lie beside a package are small; a larger file is none.
const SIDECAR_BYTES_MAX: u64 = 1 << 20;

pub(super) fn run(verb: args::Package, common: &Common, out: Out) -> Done {
    match verb {
        args::Package::Verify { file } => verify(&file, &rules(common)?, out),
        args::Package::Inspect { file } => inspect(&file, &rules(common)?, out),
    }
}

/// The rules of an instance if one is named, else those of any package.
fn rules(common: &Common) -> Result<Rules, Failure> {
    match &common.config {
        Some(_) => Ok(app::rules(&common.load()?)),
        None => Ok(app::rules(&Config::default_for(common.file()).map_err(Failure::Config)?)),
    }
}

fn open(path: &Path) -> Result<(File, String), Failure> {
    let file =
        File::open(path).map_err(|e| Failure::Sentence(NOT_FOUND, format!("{}: {e}", path.display())))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((file, name))
}

/// One JSON line, whatever the terminal: scripts read it.
fn verify(path: &Path, rules: &Rules, out: Out) -> Done {
    let (file, name) = open(path)?;
    let sidecars = beside(path, &name)?;
    let verdict = package::verify(&file, &name, &sidecars, rules, None, Clock::system().now(), &mut Nowhere);
    let report = Report::of(&verdict, out.lang);
    super::println(&serde_json::to_string(&report).map_err(io::Error::from)?);
    if let Err(rejection) = &verdict {
        super::eprintln(&format!("difusor: {}", rejection.line(out.lang)));
        return Ok(ExitCode::from(NO));
    }
    Ok(ExitCode::SUCCESS)
}

/// Sums lying beside the file, as they would come with it.
fn beside(path: &Path, name: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        let small = entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= SIDECAR_BYTES_MAX);
        let own = other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        if small && own && package::is_sidecar(&other) {
            found.push((other, std::fs::read(entry.path())?));
        }
    }
    Ok(found)
}

fn inspect(path: &Path, rules: &Rules, out: Out) -> Done {
    let (file, name) = open(path)?;
    match package::inspect(&file, &name, rules, Clock::system().now()) {
        Ok(listing) => {
            out.answer("package-inspect", true, &listing, || text(&listing, out));
            Ok(ExitCode::SUCCESS)
        }
        Err(rejection) => Err(Failure::Sentence(NO, rejection.line(out.lang))),
    }
}

fn text(listing: &Listing, out: Out) -> String {
    let mut text = String::new();
    for entry in &listing.entries {
        let size = entry.size.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let _ = writeln!(text, "{size:>12}  {}", entry.path);
    }
    let _ = writeln!(text, "\n{}: {}", out.pick("formato", "format"), listing.format);
    let _ = writeln!(
        text,
        "{}: {} ({} bytes)",
        out.pick("entradas", "entries"),
        listing.entries.len(),
        listing.bytes
    );
    if !listing.skipped.is_empty() {
        let _ = writeln!(text, "{}: {}", out.pick("omitidos", "skipped"), listing.skipped.join(", "));
    }
    for found in &listing.stamps {
        let _ = writeln!(text, "{}: {} ({})", out.pick("corte", "cut"), found.cut, found.place);
    }
    text
}

/// Where entries go when only the verdict matters.
struct Nowhere;

impl Sink for Nowhere {
    fn dir(&mut self, _path: &str) -> io::Result<()> {
        Ok(())
    }
    fn file(&mut self, _path: &str, _size: u64, _mtime: i64) -> io::Result<()> {
        Ok(())
    }
    fn data(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
