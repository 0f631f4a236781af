//! Why a command line is refused as a whole, in one sentence that names what is allowed.
//!
//! Owns the words only. A fault is always found before anything was done.

use crate::model::{Lang, escape};

use super::builtins;

/// Exit status of a line that is refused, as a shell's "command not found".
pub const UNSUPPORTED: u32 = 127;

/// Why nothing of a line is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Longer than [`super::grammar::LINE_BYTES_MAX`].
    TooLong,
    /// More words than [`super::grammar::WORDS_MAX`].
    TooManyWords,
    /// More commands than [`super::grammar::STEPS_MAX`].
    TooManySteps,
    /// A NUL byte.
    Nul,
    /// A quote or a trailing backslash that nothing closes.
    Unclosed(char),
    /// An operator with nothing behind it at the end of the line.
    Dangling,
    /// An operator where a command should stand.
    Misplaced,
    /// `$NAME` and its kin.
    Variable,
    /// Backticks or `$(…)`.
    Substitution,
    /// `$'…'` and `$"…"`.
    AnsiQuote,
    /// `&` at the end of a command.
    Background,
    /// `( … )` or `{ …; }`.
    Group,
    /// `<<` in the command line itself.
    HereDocument,
    /// A redirection we do not know.
    Redirect,
    /// `[abc]` in a name.
    Bracket,
    /// `{a,b}` in a name.
    Braces,
    /// `if`, `for` and so on.
    Keyword(String),
    /// `X=1` on its own.
    Assignment,
    /// A command that is not one of ours.
    Unknown(String),
    /// An option that a command of ours does not know.
    Option {
        /// The command.
        command: String,
        /// The option as it was written.
        option: String,
    },
    /// Arguments that a command of ours cannot make sense of.
    Usage {
        /// The command.
        command: String,
        /// How it may be called.
        usage: &'static str,
    },
    /// A pattern for a command that takes none.
    Pattern(String),
    /// Output into a file after a command that has none worth keeping.
    OutputFile(String),
    /// A pipe that is not one of the known ones.
    Pipe,
    /// `sudo`, where the configuration does not ignore it.
    Sudo,
    /// A shell that reads a script, where the configuration does not allow it.
    Script,
    /// `sh -c` or a receiving program as part of a longer line.
    NotAlone(String),
    /// `scp -f`, `rsync --sender`: the door takes and never gives.
    Download,
    /// `ln`: there are no links.
    Link,
    /// rsync, where no one serves it.
    Rsync,
}

impl Fault {
    /// Whether the next line of a script may complete this one.
    pub fn wants_more(&self) -> bool {
        matches!(self, Self::Unclosed(_) | Self::Dangling)
    }

    /// What is wrong, without capital or period.
    pub fn why(&self, lang: Lang) -> String {
        let fixed = match self {
            Self::TooLong => lang.pick("la orden es demasiado larga", "the command line is too long"),
            Self::TooManyWords => {
                lang.pick("la orden tiene demasiadas palabras", "the line has too many words")
            }
            Self::TooManySteps => {
                lang.pick("la orden tiene demasiados pasos", "the line has too many commands")
            }
            Self::Nul => lang.pick("la orden contiene un byte nulo", "the line holds a NUL byte"),
            Self::Dangling => lang.pick("la orden termina en un operador", "the line ends in an operator"),
            Self::Misplaced => {
                lang.pick("falta una orden junto a un operador", "a command is missing beside an operator")
            }
            Self::Variable => lang.pick("no hay variables ($X)", "there are no variables ($X)"),
            Self::Substitution => lang.pick(
                "no hay sustitución de órdenes ($(…) o comillas invertidas)",
                "there is no command substitution ($(…) or backticks)",
            ),
            Self::AnsiQuote => lang.pick("no se admiten comillas $'…'", "$'…' quotes are not supported"),
            Self::Background => {
                lang.pick("nada corre en segundo plano (&)", "nothing runs in the background (&)")
            }
            Self::Group => {
                lang.pick("no se admiten grupos con ( ) o { }", "groups with ( ) or { } are not supported")
            }
            Self::HereDocument => {
                lang.pick("no se admite << dentro de la orden", "<< inside the command line is not supported")
            }
            Self::Redirect => lang.pick("no se admite esa redirección", "that redirection is not supported"),
            Self::Bracket => {
                lang.pick("no se admiten patrones con [ ]", "patterns with [ ] are not supported")
            }
            Self::Braces => lang.pick("no se admiten listas {a,b}", "lists like {a,b} are not supported"),
            Self::Assignment => lang.pick("no hay variables (X=…)", "there are no variables (X=…)"),
            Self::Pipe => lang.pick("no se admite esa tubería (|)", "that pipe (|) is not supported"),
            Self::Sudo => {
                lang.pick("«sudo» no está permitido ni hace falta", "sudo is neither allowed nor needed")
            }
            Self::Script => lang.pick("no se leen guiones de shell", "shell scripts are not read"),
            Self::Download => lang.pick(
                "por aquí solo se recibe, no se descarga",
                "this door only receives, nothing is downloaded",
            ),
            Self::Link => lang.pick(
                "aquí no hay enlaces: envíe el paquete, el cambio ya es atómico",
                "there are no links here: send the package, the switch is atomic already",
            ),
            Self::Rsync => lang.pick("rsync no está disponible", "rsync is not available"),
            _ => return self.named(lang),
        };
        fixed.to_owned()
    }

    fn named(&self, lang: Lang) -> String {
        let (es, en) = match self {
            Self::Unclosed(mark) => (format!("queda abierto un {mark}"), format!("unclosed {mark}")),
            Self::Keyword(word) => (
                format!("no se admite «{word}»: no hay shell"),
                format!("'{word}' is not supported: there is no shell"),
            ),
            Self::Unknown(name) => {
                (format!("«{name}» no está permitido"), format!("'{name}' is not allowed"))
            }
            Self::Option { command, option } => (
                format!("«{command}» no admite aquí la opción {option}"),
                format!("'{command}' does not know option {option} here"),
            ),
            Self::Usage { command, usage } => (
                format!("«{command}» se usa así: {usage}"),
                format!("'{command}' is used like this: {usage}"),
            ),
            Self::Pattern(name) => {
                (format!("«{name}» no admite patrones (*, ?)"), format!("'{name}' takes no patterns (*, ?)"))
            }
            Self::OutputFile(name) => (
                format!("la salida de «{name}» no se guarda en un archivo"),
                format!("the output of '{name}' is not kept in a file"),
            ),
            Self::NotAlone(name) => (
                format!("«{name}» debe ser lo último de la orden"),
                format!("'{name}' must be the last of the line"),
            ),
            // The others have fixed words.
            _ => return String::new(),
        };
        lang.pick(&es, &en).to_owned()
    }

    /// The one sentence that the sender reads.
    pub fn line(&self, lang: Lang) -> String {
        let (why, allowed) = (self.why(lang), allowed(lang));
        match lang {
            Lang::Es => format!("difusor: {why}; no se ejecutó nada; {allowed}"),
            Lang::En => format!("difusor: {why}; nothing was run; {allowed}"),
        }
    }
}

/// What the door knows, for the end of a refusal.
pub fn allowed(lang: Lang) -> String {
    let names = builtins::names().collect::<Vec<_>>().join(", ");
    match lang {
        Lang::Es => format!("se admiten scp, sftp, {names}, con &&, ||, ; y comillas"),
        Lang::En => format!("allowed are scp, sftp, {names}, with &&, ||, ; and quotes"),
    }
}

/// Foreign bytes in a sentence, cut where they only would fill the line.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = escape(bytes);
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    text.chars().take(SHOWN_CHARS).chain(['…']).collect()
}

/// Characters of a foreign word in a sentence.
const SHOWN_CHARS: usize = 80;
