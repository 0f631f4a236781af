//! Manual pages and completions, from the same sources as the help and the configuration.
//!
//! Pages are written here rather than by clap's generator: its headings are English only,
//! and it has no section for examples or exit codes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, Command};
use clap_complete::Shell;

use super::{Done, usage};
use crate::config::{ARRAYS, KEYS, SECTIONS};
use crate::model::Lang;

/// Day on which the command line last changed; fixed, so that pages are the same on any machine.
const DATE: &str = "2026-11-21";

/// What each exit code means, in both languages; the codes are those of [`super`].
const EXITS: &[(u8, &str, &str)] = &[
    (0, "hecho", "done"),
    (
        super::NO,
        "la respuesta es no: un paquete rechazado, un corte que difiere, una cadena rota",
        "the answer is no: a package refused, a cut that differs, a broken chain",
    ),
    (2, "orden mal escrita", "wrong usage"),
    (super::NO_SERVICE, "ningún servicio en marcha", "no service is running"),
    (super::NOT_FOUND, "no existe lo que se nombró", "what was named does not exist"),
    (super::IO_FAILED, "falló un archivo o el disco", "a file or the disk failed"),
    (
        super::CONFIG,
        "faltas en la configuración, las llaves o las carpetas",
        "faults in configuration, keys or folders",
    ),
];

/// Writes `difusor.8` and one page a verb into `dir`.
pub(super) fn man(dir: &Path, lang: Lang) -> Done {
    std::fs::create_dir_all(dir)?;
    let mut command = usage::command(lang);
    command.build();
    pages(&command, "difusor", &[], dir, lang)?;
    std::fs::write(dir.join("difusor.toml.5"), configuration(lang))?;
    Ok(ExitCode::SUCCESS)
}

/// The page of the configuration file: every section and key, from the table that the file is read by.
fn configuration(lang: Lang) -> String {
    let mut page =
        format!(".TH DIFUSOR.TOML 5 {DATE} \"difusor {}\" difusor\n", escape(env!("CARGO_PKG_VERSION")));
    heading(&mut page, lang.pick("NOMBRE", "NAME"));
    let about = lang.pick("configuración de difusor", "configuration of difusor");
    let _ = writeln!(page, "difusor.toml \\- {}", escape(about));
    heading(&mut page, lang.pick("DESCRIPCIÓN", "DESCRIPTION"));
    let text = lang.pick(
        "TOML, que difusor init escribe comentado. Toda clave tiene un valor por omisión; una desconocida es una falta que nombra la más parecida. Las rutas relativas parten de la carpeta del archivo. Compruébelo con difusor check.",
        "TOML, which difusor init writes with comments. Every key has a default; an unknown one is a fault that names the nearest. Relative paths start from the folder of the file. Check it with difusor check.",
    );
    let _ = writeln!(page, "{}", escape(text));
    for (section, es, en) in SECTIONS {
        let array = ARRAYS.contains(section);
        match *section {
            "" => heading(&mut page, &escape(lang.pick(es, en)).to_uppercase()),
            name if array => heading(&mut page, &escape(&format!("[[{name}]]"))),
            name => heading(&mut page, &escape(&format!("[{name}]"))),
        }
        if !section.is_empty() {
            let _ = writeln!(page, "{}.", escape(lang.pick(es, en)));
        }
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let default =
                if key.default.is_empty() { String::new() } else { format!(" = {}", escape(key.default)) };
            let _ =
                writeln!(page, ".TP\n{}{default}\n{}.", bold(key.name), escape(lang.pick(key.es, key.en)));
        }
    }
    heading(&mut page, lang.pick("VÉASE TAMBIÉN", "SEE ALSO"));
    let _ = writeln!(page, "{}(8),\n{}(8)", bold("difusor"), bold("difusor-check"));
    page
}

/// The page of a verb and those of the verbs under it; `around` is its group and the group's verbs.
fn pages(command: &Command, name: &str, around: &[String], dir: &Path, lang: Lang) -> std::io::Result<()> {
    let under = |verb: &Command| format!("{name}-{}", verb.get_name());
    let mut family = vec![name.to_owned()];
    family.extend(command.get_subcommands().map(under));
    let others: Vec<&String> = around.iter().chain(&family).filter(|other| *other != name).collect();
    std::fs::write(dir.join(format!("{name}.8")), page(command, name, &others, lang))?;
    command.get_subcommands().try_for_each(|verb| pages(verb, &under(verb), &family, dir, lang))
}

/// One page in the man(7) macros.
fn page(command: &Command, name: &str, others: &[&String], lang: Lang) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let path = name.replace('-', " ");
    let mut page = format!(
        ".TH {} 8 {DATE} \"difusor {}\" difusor\n",
        escape(&name.to_uppercase()),
        escape(env!("CARGO_PKG_VERSION"))
    );
    heading(&mut page, lang.pick("NOMBRE", "NAME"));
    let _ = writeln!(page, "{} \\- {}", escape(name), escape(&about));
    heading(&mut page, lang.pick("SINOPSIS", "SYNOPSIS"));
    let synopsis = command.clone().render_usage().to_string();
    let rest = synopsis.split_once(&path).map_or("", |(_, rest)| rest.trim());
    let _ = writeln!(page, "{} {}", bold(&path), escape(rest));
    heading(&mut page, lang.pick("DESCRIPCIÓN", "DESCRIPTION"));
    let _ = writeln!(page, "{}.", escape(&about));
    verbs(&mut page, command, name, lang);
    arguments(&mut page, command, lang);
    heading(&mut page, lang.pick("ESTADO DE SALIDA", "EXIT STATUS"));
    for (code, es, en) in EXITS {
        let _ = writeln!(page, ".TP\n{}\n{}", bold(&code.to_string()), escape(lang.pick(es, en)));
    }
    examples(&mut page, command, lang);
    heading(&mut page, lang.pick("VÉASE TAMBIÉN", "SEE ALSO"));
    let others: Vec<String> = others.iter().map(|other| format!("{}(8)", bold(other))).collect();
    let _ = writeln!(page, "{}", others.join(",\n"));
    page
}

fn heading(page: &mut String, text: &str) {
    let _ = writeln!(page, ".SH {text}");
}

fn verbs(page: &mut String, command: &Command, name: &str, lang: Lang) {
    if !command.has_subcommands() {
        return;
    }
    heading(page, lang.pick("ÓRDENES", "COMMANDS"));
    for verb in command.get_subcommands() {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let title = format!("{}(8)", bold(&format!("{name}-{}", verb.get_name())));
        let _ = writeln!(page, ".TP\n{title}\n{}", escape(&about));
    }
}

fn arguments(page: &mut String, command: &Command, lang: Lang) {
    if command.get_positionals().next().is_some() {
        heading(page, lang.pick("ARGUMENTOS", "ARGUMENTS"));
    }
    for arg in command.get_positionals() {
        described(page, &italic(&usage::value_of(arg)), arg);
    }
    heading(page, lang.pick("OPCIONES", "OPTIONS"));
    for arg in command.get_opts().chain(command.get_arguments().filter(|a| is_flag(a))) {
        let short = arg.get_short().map(|short| bold(&format!("-{short}")));
        let long = arg.get_long().map(|long| bold(&format!("--{long}")));
        let mut title = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
        if usage::takes_value(arg) {
            let _ = write!(title, " {}", italic(&usage::value_of(arg)));
        }
        described(page, &title, arg);
    }
}

fn is_flag(arg: &Arg) -> bool {
    !arg.is_positional() && !usage::takes_value(arg)
}

fn described(page: &mut String, title: &str, arg: &Arg) {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, ".TP\n{title}\n{}", escape(&help));
}

/// The lines of the help's last part that are commands.
fn examples(page: &mut String, command: &Command, lang: Lang) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    heading(page, lang.pick("EJEMPLOS", "EXAMPLES"));
    page.push_str(".EX\n");
    for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
        let _ = writeln!(page, "{}", escape(line));
    }
    page.push_str(".EE\n");
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escape(text))
}

fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escape(text))
}

/// Text that roff shows as it is, fit to be copied from the page into a shell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    if text.starts_with(['.', '\'']) {
        escaped.push_str("\\&");
    }
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '~' => escaped.push_str("\\(ti"),
            '^' => escaped.push_str("\\(ha"),
            '`' => escaped.push_str("\\(ga"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Writes the completions of a shell to standard output.
pub(super) fn completions(shell: Shell, lang: Lang) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut usage::command(lang), "difusor", &mut text);
    super::println(String::from_utf8_lossy(&text).trim_end());
    Ok(ExitCode::SUCCESS)
}
