//! `difusor report`: the papers that the calls ask for.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::args::{self, Common, Form, OfWindow};
use super::{Done, Failure, IO_FAILED, NO, NOT_FOUND, Out};
use crate::app;
use crate::config::{self, Config};
use crate::control;
use crate::model::{Digest, Lang};
use crate::report::{self, Format, Kind, Made, Request, Template};

/// Longest template that is read.
const TEMPLATE_BYTES_MAX: u64 = 4 << 20;
/// Reports are for those they are made for (T-49).
const PRIVATE: u32 = 0o600;

pub(super) fn run(verb: args::Report, common: &Common, out: Out) -> Done {
    let (kind, window, form) = match verb {
        args::Report::Template { report } => return template(&report, out),
        args::Report::Memoria(of) => (Kind::Memoria, Some(of), None),
        args::Report::Availability(of) => (Kind::Availability, Some(of), None),
        args::Report::Drill(of) => (Kind::Drill, Some(of), None),
        args::Report::Interconnection(of) => (Kind::Interconnection, None, Some(of.form)),
        args::Report::Architecture(of) => (Kind::Architecture, None, Some(of.form)),
        args::Report::Dossier(of) => (Kind::Dossier, None, Some(of.form)),
    };
    let config = common.load()?;
    let mut settings = app::report_settings(&config, out.lang)?;
    let mut request = Request { kind, event: None, window: None, as_of: None, template: None };
    let form = match (window, form) {
        (Some(of), _) => {
            if let Some(file) = &of.comments {
                settings.remarks.comments = app::paragraphs(file)?;
            }
            windowed(&mut request, &of, &config, out)?;
            of.form
        }
        (None, Some(form)) => form,
        (None, None) => return Err(wrong("")),
    };
    let formats = formats(&form, out)?;
    request.template = own_template(&form, kind, &config)?;
    if kind == Kind::Memoria {
        settle(&config);
    }
    let made = report::make(&settings, &request).map_err(|fault| failed(&fault, out.lang))?;
    refuse_missing(&made, kind, &form, out)?;
    deliver(&made, &form, &formats, &config, out)
}

/// Has a running service write down what it has counted. Without one everything is on disk.
fn settle(config: &Config) {
    if let Err(error) = control::ask(&app::readers_socket(config), &control::Request::Settle) {
        tracing::debug!(%error, "the service was not asked");
    }
}

/// `difusor report template KIND`.
fn template(name: &str, out: Out) -> Done {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let all = Kind::ALL.map(Kind::name).join(", ");
        wrong(&format!("«{name}»: {} {all}", out.pick("no es uno de", "is not one of")))
    })?;
    let template = kind.template(out.lang);
    out.answer("report-template", true, json!({"name": template.name, "text": template.text}), || {
        template.text.clone()
    });
    Ok(ExitCode::SUCCESS)
}

/// Exit 2: the line is wrong.
fn wrong(sentence: &str) -> Failure {
    Failure::Sentence(2, sentence.to_owned())
}

fn failed(fault: &report::Fault, lang: Lang) -> Failure {
    let code = match fault {
        report::Fault::Template(_) => NO,
        report::Fault::Event { .. } => NOT_FOUND,
        report::Fault::Io(_) => IO_FAILED,
    };
    Failure::Sentence(code, fault.text(lang))
}

fn windowed(request: &mut Request, of: &OfWindow, config: &Config, out: Out) -> Result<(), Failure> {
    let instant = |text: &String| config::instant(text, &config.zone, out.lang).map_err(|e| wrong(&e));
    request.event = of.event.clone();
    request.as_of = of.as_of.as_ref().map(instant).transpose()?;
    let ends = (of.from.as_ref().map(instant).transpose()?, of.to.as_ref().map(instant).transpose()?);
    if let (Some(from), Some(to)) = ends {
        if to <= from {
            return Err(wrong(out.pick("--to no es posterior a --from", "--to is not after --from")));
        }
        request.window = Some((from, to));
    }
    Ok(())
}

fn formats(form: &Form, out: Out) -> Result<Vec<Format>, Failure> {
    let mut formats = Vec::new();
    for name in &form.format {
        let found = Format::ALL.iter().find(|(_, known)| known == name).map(|(format, _)| *format);
        let format = found.ok_or_else(|| {
            let all = Format::ALL.map(|(_, name)| name).join(", ");
            wrong(&format!(
                "«{name}»: {} {all}",
                out.pick("no es un formato; hay", "is not a format; there are")
            ))
        })?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    Ok(formats)
}

/// The template of the line, else for the memoria that of the configuration.
fn own_template(form: &Form, kind: Kind, config: &Config) -> Result<Option<Template>, Failure> {
    let configured = config.office.report.template.as_ref().filter(|_| kind == Kind::Memoria);
    let Some(path) = form.template.as_ref().or(configured) else { return Ok(None) };
    let mut text = String::new();
    let named = |e: io::Error| Failure::Sentence(IO_FAILED, format!("{}: {e}", path.display()));
    std::fs::File::open(path)
        .and_then(|f| f.take(TEMPLATE_BYTES_MAX).read_to_string(&mut text))
        .map_err(named)?;
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Ok(Some(Template { name, text }))
}

/// What the call asks for and is not there: an error of the dossier, a warning elsewhere.
fn refuse_missing(made: &Made, kind: Kind, form: &Form, out: Out) -> Result<(), Failure> {
    let missing = &made.document.facts.missing;
    if missing.is_empty() {
        return Ok(());
    }
    if form.strict || kind == Kind::Dossier {
        return Err(Failure::Sentence(NO, missing.join("\n")));
    }
    let count = missing.len();
    let text = match out.lang {
        Lang::Es => format!(
            "difusor: faltan {count} datos que pide la convocatoria; véalos con: difusor report dossier"
        ),
        Lang::En => format!(
            "difusor: {count} fields that the call asks for are missing; see them with: difusor report dossier"
        ),
    };
    super::eprintln(&text);
    Ok(())
}

/// Writes every file, or the one to standard output.
fn deliver(made: &Made, form: &Form, formats: &[Format], config: &Config, out: Out) -> Done {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    match (&made.text, &form.template) {
        (Some(text), Some(path)) => {
            let suffix =
                path.extension().map_or_else(|| "txt".to_owned(), |e| e.to_string_lossy().into_owned());
            files.push((suffix, text.clone().into_bytes()));
        }
        (Some(text), None) => files.push(("html".to_owned(), text.clone().into_bytes())),
        (None, _) => {
            for format in formats {
                files.push((format.suffix().to_owned(), report::render(&made.document, *format)?));
            }
        }
    }
    if form.out.as_deref() == Some(Path::new("-")) {
        let [(_, bytes)] = files.as_slice() else {
            return Err(wrong(
                out.pick("a la salida estándar cabe un solo formato", "standard output takes one format"),
            ));
        };
        io::stdout().lock().write_all(bytes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stem = stem(made);
    let place = place(form, &stem, &files);
    let mut written = Vec::new();
    for (suffix, bytes) in &files {
        let path = match &place {
            Place::File(path) => path.clone(),
            Place::Folder(folder) => folder.join(format!("{stem}.{suffix}")),
        };
        written.push(write(&path, bytes, config, out)?);
    }
    if form.tables {
        let folder = match &place {
            Place::Folder(folder) => folder.clone(),
            Place::File(path) => path.parent().map(Path::to_owned).unwrap_or_default(),
        };
        for (name, text) in report::annexes(&made.document) {
            written.push(write(&folder.join(format!("{stem}-{name}")), text.as_bytes(), config, out)?);
        }
    }
    let data: Vec<_> = written
        .iter()
        .map(|(path, bytes, sha)| json!({"file": path, "bytes": bytes, "sha256": sha}))
        .collect();
    let missing = &made.document.facts.missing;
    out.answer("report", true, json!({"files": data, "missing": missing}), || {
        let lines = written
            .iter()
            .map(|(path, bytes, sha)| format!("{}  {bytes} bytes  sha256 {sha}", path.display()));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

enum Place {
    File(PathBuf),
    Folder(PathBuf),
}

fn place(form: &Form, stem: &str, files: &[(String, Vec<u8>)]) -> Place {
    let Some(out) = &form.out else {
        return match files {
            [(suffix, _)] => Place::File(PathBuf::from(format!("{stem}.{suffix}"))),
            _ => Place::Folder(PathBuf::from(".")),
        };
    };
    let folder = out.is_dir() || files.len() > 1 || out.to_string_lossy().ends_with('/');
    if folder { Place::Folder(out.clone()) } else { Place::File(out.clone()) }
}

/// `memoria-jornada-2027`.
fn stem(made: &Made) -> String {
    let document = &made.document;
    let event = made.event.as_deref().unwrap_or_default();
    let plain: String = event.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { document.kind.to_owned() } else { format!("{}-{plain}", document.kind) }
}

/// One file, readable by its owner alone, and never where readers could fetch it (T-49).
fn write(path: &Path, bytes: &[u8], config: &Config, out: Out) -> Result<(PathBuf, usize, Digest), Failure> {
    let named = |e: io::Error| Failure::Sentence(IO_FAILED, format!("{}: {e}", path.display()));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).map_err(named)?;
    let folder = std::fs::canonicalize(folder).map_err(named)?;
    let public = [config.paths.www.clone(), config.paths.var.join("releases")];
    let is_public = |public: &PathBuf| std::fs::canonicalize(public).is_ok_and(|p| folder.starts_with(p));
    if public.iter().any(is_public) {
        let why = out.pick(
            "los lectores podrían verlo; elija otra carpeta",
            "readers could see it; choose another folder",
        );
        return Err(Failure::Sentence(NO, format!("{}: {why}", path.display())));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PRIVATE);
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits();
    options.custom_flags(i32::try_from(no_links).unwrap_or(0));
    let mut file = options.open(path).map_err(named)?;
    file.set_permissions(Permissions::from_mode(PRIVATE)).map_err(named)?;
    file.write_all(bytes).map_err(named)?;
    Ok((path.to_owned(), bytes.len(), Digest::of(bytes)))
}
