//! The command line in the language of who types, and what a mistyped one is told.
//!
//! clap speaks English only: what it writes by itself (`[OPTIONS]`, `[default: …]`, its
//! errors) is hidden and written here in both languages.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::args::Cli;
use super::english;
use crate::model::Lang;

/// Where help and version stand in the list of options: behind those of [`super::args::Common`].
const LAST: usize = 1_000;

/// The language asked for by `--lang`, else by the locale.
pub(super) fn language(args: impl Iterator<Item = OsString>) -> Lang {
    let args: Vec<String> = args.map(|a| a.to_string_lossy().into_owned()).collect();
    let joined = args.iter().find_map(|a| a.strip_prefix("--lang=").map(str::to_owned));
    let apart = args.iter().position(|a| a == "--lang").and_then(|n| args.get(n + 1).cloned());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|v| std::env::var(v).ok().filter(|l| !l.is_empty()));
    joined.or(apart).or(locale).map_or(Lang::Es, |l| Lang::from_locale(&l))
}

/// The command line in that language.
pub(super) fn command(lang: Lang) -> Command {
    let command = match lang {
        Lang::Es => Cli::command(),
        Lang::En => english::translate(Cli::command()),
    };
    spoken(command, "difusor", lang)
}

/// Replaces all that clap would say in English; `path` is how the verb is called.
fn spoken(command: Command, path: &str, lang: Lang) -> Command {
    let is_root = command.get_version().is_some();
    let usage = usage(&command, path, lang);
    let template = template(&command, lang);
    let mut command = command
        .mut_args(|arg| explained(arg, lang))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .override_usage(usage)
        .help_template(template)
        .arg(flag('h', "help", ArgAction::Help, lang.pick("Muestra esta ayuda", "Show this help")));
    if is_root {
        let help = lang.pick("Muestra la versión", "Show the version");
        command = command.arg(flag('V', "version", ArgAction::Version, help));
    }
    command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        spoken(verb, &path, lang)
    })
}

fn flag(short: char, long: &'static str, action: ArgAction, help: &str) -> Arg {
    Arg::new(long).short(short).long(long).action(action).help(help.to_owned()).display_order(LAST)
}

/// `difusor keys add [OPCIONES] --from <RED>... <NOMBRE> [ARCHIVO]`.
fn usage(command: &Command, path: &str, lang: Lang) -> String {
    let mut usage = format!("{path} {}", lang.pick("[OPCIONES]", "[OPTIONS]"));
    for arg in command.get_opts().filter(|a| a.is_required_set()) {
        let more = if matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
        usage.push_str(&format!(" --{} <{}>{more}", arg.get_long().unwrap_or_default(), value_of(arg)));
    }
    for arg in command.get_positionals() {
        let value = value_of(arg);
        usage.push_str(&if arg.is_required_set() { format!(" <{value}>") } else { format!(" [{value}]") });
    }
    if command.has_subcommands() {
        usage.push_str(lang.pick(" <ORDEN>", " <COMMAND>"));
    }
    usage
}

fn template(command: &Command, lang: Lang) -> String {
    let mut template = format!("{{about-with-newline}}\n{}: {{usage}}\n", lang.pick("Uso", "Usage"));
    if command.has_subcommands() {
        template.push_str(&format!("\n{}:\n{{subcommands}}\n", lang.pick("Órdenes", "Commands")));
    }
    if command.get_positionals().next().is_some() {
        template.push_str(&format!("\n{}:\n{{positionals}}\n", lang.pick("Argumentos", "Arguments")));
    }
    template.push_str(&format!("\n{}:\n{{options}}{{after-help}}", lang.pick("Opciones", "Options")));
    template
}

/// The help of an argument with its values and default behind it.
fn explained(arg: Arg, lang: Lang) -> Arg {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && takes_value(&arg) {
        help.push_str(&format!(" [{}: {}]", lang.pick("valores", "values"), values.join(", ")));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    let default = defaults.join(",");
    if !default.is_empty() && takes_value(&arg) {
        help.push_str(&format!(" [{}: {default}]", lang.pick("por omisión", "default")));
    }
    let quiet = if takes_value(&arg) { arg.hide_possible_values(true).hide_default_value(true) } else { arg };
    quiet.help(help)
}

pub(super) fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The name of an argument's value, as it is shown.
pub(super) fn value_of(arg: &Arg) -> String {
    arg.get_value_names()
        .and_then(|names| names.first())
        .map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

/// Says what is wrong with a command line; help and version are no error.
pub(super) fn explain(error: &clap::Error, lang: Lang) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        super::println(error.render().ansi().to_string().trim_end());
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        super::eprintln(error.render().ansi().to_string().trim_end());
        return ExitCode::from(2);
    }
    super::eprintln(&format!("difusor: {}", sentence(error, lang)));
    let verb = verb_of(&Cli::command(), std::env::args().skip(1));
    super::eprintln(&format!("difusor: {} {verb} --help", lang.pick("vea", "see")));
    ExitCode::from(2)
}

/// The deepest verb that these arguments name, as it is called.
fn verb_of(root: &Command, args: impl Iterator<Item = String>) -> String {
    let (mut command, mut path) = (root, "difusor".to_owned());
    for arg in args {
        if let Some(verb) = command.get_subcommands().find(|c| c.get_name() == arg) {
            path = format!("{path} {arg}");
            command = verb;
        }
    }
    path
}

fn sentence(error: &clap::Error, lang: Lang) -> String {
    let named = |kind| error.get(kind).map(text_of).unwrap_or_default();
    let argument = named(ContextKind::InvalidArg);
    let fault = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("{} «{argument}»", lang.pick("opción desconocida", "unknown option"))
        }
        ErrorKind::UnknownArgument => format!("{} «{argument}»", lang.pick("sobra", "unexpected")),
        ErrorKind::InvalidSubcommand => {
            let verb = named(ContextKind::InvalidSubcommand);
            format!("{} «{verb}»", lang.pick("orden desconocida", "unknown command"))
        }
        ErrorKind::MissingRequiredArgument => format!("{} {argument}", lang.pick("falta", "missing")),
        ErrorKind::MissingSubcommand => lang.pick("falta la orden", "a command is missing").to_owned(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            wrong_value(&argument, &named(ContextKind::InvalidValue), &named(ContextKind::ValidValue), lang)
        }
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{} {argument}", lang.pick("falta el valor de", "a value is missing for"))
        }
        ErrorKind::TooManyValues => {
            let value = named(ContextKind::InvalidValue);
            format!("{} «{value}» {} {argument}", lang.pick("sobra", "unexpected"), lang.pick("en", "in"))
        }
        ErrorKind::ArgumentConflict => conflict(&argument, &named(ContextKind::PriorArg), lang),
        ErrorKind::InvalidUtf8 => {
            lang.pick("hay un argumento que no es texto UTF-8", "an argument is not UTF-8 text").to_owned()
        }
        // Writing help failed, or a kind that clap may add.
        _ => lang.pick("orden mal escrita", "mistyped command line").to_owned(),
    };
    fault + &suggestion(error, lang)
}

fn wrong_value(argument: &str, value: &str, valid: &str, lang: Lang) -> String {
    if value.is_empty() {
        return format!("{} {argument}", lang.pick("falta el valor de", "a value is missing for"));
    }
    let fault = lang.pick("valor no válido", "invalid value");
    let expected = match valid {
        "" => expected(argument, lang).to_owned(),
        valid => valid.to_owned(),
    };
    let expected = match expected.as_str() {
        "" => expected,
        text => format!("; {} {text}", lang.pick("se espera", "expected:")),
    };
    format!("{fault} «{value}» {} {argument}{expected}", lang.pick("para", "for"))
}

/// What a value should look like, by its name on the command line.
fn expected(argument: &str, lang: Lang) -> &'static str {
    let is = |names: [&str; 2]| names.iter().any(|n| argument.contains(&format!("<{n}>")));
    if is(["RED", "NETWORK"]) {
        lang.pick("una red, por ejemplo 203.0.113.0/28", "a network, for example 203.0.113.0/28")
    } else if is(["DIRECCIÓN", "ADDRESS"]) {
        lang.pick(
            "dirección y puerto, por ejemplo 0.0.0.0:2222",
            "address and port, for example 0.0.0.0:2222",
        )
    } else if is(["PUERTO", "PORT"]) {
        lang.pick("un puerto, de 0 a 65535", "a port, 0 to 65535")
    } else if is(["N", "MBPS"]) {
        lang.pick("un número entero desde 0", "a whole number from 0")
    } else {
        ""
    }
}

fn conflict(argument: &str, prior: &str, lang: Lang) -> String {
    if prior.is_empty() || prior == argument {
        return format!("{argument} {}", lang.pick("solo puede ir una vez", "can be given once only"));
    }
    format!("{argument} {} {prior}", lang.pick("no puede ir junto con", "cannot go together with"))
}

fn suggestion(error: &clap::Error, lang: Lang) -> String {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let near: Vec<String> = kinds.iter().filter_map(|k| error.get(*k)).map(text_of).collect();
    match near.is_empty() {
        true => String::new(),
        false => format!("; {} «{}»?", lang.pick("¿quiso decir", "did you mean"), near.join("», «")),
    }
}

fn text_of(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(many) => many.join(", "),
        ContextValue::StyledStrs(many) => many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(args: &[&str], lang: Lang) -> (ErrorKind, String) {
        let line = std::iter::once("difusor").chain(args.iter().copied());
        let error = command(lang).try_get_matches_from(line).unwrap_err();
        (error.kind(), sentence(&error, lang))
    }

    #[test]
    fn each_way_to_mistype_is_told_in_both_languages() {
        use ErrorKind as K;
        let cases: &[(&[&str], K, &str, &str)] = &[
            (
                &["status", "--jsom"],
                K::UnknownArgument,
                "opción desconocida «--jsom»; ¿quiso decir «--json»?",
                "unknown option «--jsom»; did you mean «--json»?",
            ),
            (&["status", "x"], K::UnknownArgument, "sobra «x»", "unexpected «x»"),
            (
                &["simulat"],
                K::InvalidSubcommand,
                "orden desconocida «simulat»; ¿quiso decir «simulate»?",
                "unknown command «simulat»; did you mean «simulate»?",
            ),
            (&["man"], K::MissingRequiredArgument, "falta <CARPETA>", "missing <FOLDER>"),
            (
                &["status", "--lang", "fr"],
                K::InvalidValue,
                "valor no válido «fr» para --lang <IDIOMA>; se espera es, en",
                "invalid value «fr» for --lang <LANGUAGE>; expected: es, en",
            ),
            (
                &["status", "--config"],
                K::InvalidValue,
                "falta el valor de --config <ARCHIVO>",
                "a value is missing for --config <FILE>",
            ),
            (
                &["init", "x", "--ssh", "22"],
                K::ValueValidation,
                "valor no válido «22» para --ssh <DIRECCIÓN>; se espera dirección y puerto, por ejemplo 0.0.0.0:2222",
                "invalid value «22» for --ssh <ADDRESS>; expected: address and port, for example 0.0.0.0:2222",
            ),
            (
                &["demo", "--seed", "1", "--seed", "2"],
                K::ArgumentConflict,
                "--seed <N> solo puede ir una vez",
                "--seed <N> can be given once only",
            ),
        ];
        for (args, kind, es, en) in cases {
            assert_eq!(told(args, Lang::Es), (*kind, (*es).to_owned()), "{args:?}");
            assert_eq!(told(args, Lang::En), (*kind, (*en).to_owned()), "{args:?}");
        }
    }

    #[test]
    fn the_hint_names_the_verb_that_was_meant() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        assert_eq!(verb_of(&Cli::command(), args("--json keys add --form x")), "difusor keys add");
        assert_eq!(verb_of(&Cli::command(), args("kys add")), "difusor");
    }
}
