//! What a line would do, told instead of done: `difusor explain 'COMMAND LINE'`.
//!
//! Runs the same grammar and the same table as [`super::run`] and touches no file, so that a
//! sysadmin can try the institute's script before the first drill.

use std::cell::Cell;
use std::path::PathBuf;

use serde::Serialize;

use crate::archive::Format;
use crate::drop::{Aliases, VPath};
use crate::model::{Lang, escape};
use crate::rsync::{self, Options};

use super::Setup;
use super::fault::UNSUPPORTED;
use super::grammar::{Gate, Word};
use super::plan::{self, Ending, Input, Plan, Step, To};
use super::program::Program;
use super::shell::in_site;

/// What a line would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The line.
    pub command: String,
    /// Whether it would be run at all.
    pub supported: bool,
    /// The exit status it would get if it is not supported; 0 otherwise, if all goes well.
    pub exit: u32,
    /// Why it would not be run: the sentence that the sender would read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What would happen, in order.
    pub steps: Vec<Explained>,
    /// What the clean end would bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// When it happens.
    pub when: When,
    /// As the sender wrote it.
    pub command: String,
    /// What it does.
    pub does: String,
    /// Whether it is accepted and does nothing.
    pub ignored: bool,
}

/// When a step happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// In any case.
    Always,
    /// If what came before went well.
    Success,
    /// If what came before failed.
    Failure,
}

impl From<Gate> for When {
    fn from(gate: Gate) -> Self {
        match gate {
            Gate::Always => Self::Always,
            Gate::Success => Self::Success,
            Gate::Failure => Self::Failure,
        }
    }
}

/// Tells what `command` would do with this setup; `aliases` are the institute's own paths.
pub fn explain(command: &[u8], setup: &Setup, aliases: &[(PathBuf, String)]) -> Explanation {
    let lang = setup.context.lang;
    let shown = super::fault::shown(command.trim_ascii());
    match plan::plan(command, setup.permits()) {
        Ok(plan) => match rsync_refusal(&plan) {
            None => told(shown, &plan, lang, &Aliases::new(aliases)),
            Some(error) => {
                let reason = format!("difusor: {}", error.text(lang.into()));
                Explanation::refusal(shown, error.exit.code().into(), reason)
            }
        },
        Err(fault) => Explanation::refusal(shown, UNSUPPORTED, fault.line(lang)),
    }
}

/// Why rsync would not serve the words that end this line.
fn rsync_refusal(plan: &Plan) -> Option<rsync::Error> {
    match &plan.ending.as_ref()?.program {
        Program::Rsync(words) => Options::parse(words, &rsync::Limits::default()).err(),
        _ => None,
    }
}

fn told(command: String, plan: &Plan, lang: Lang, aliases: &Aliases) -> Explanation {
    let mut teller = Teller { lang, aliases, cwd: VPath::root(), site: Cell::new(false) };
    let mut steps: Vec<Explained> = plan.steps.iter().map(|step| teller.step(step)).collect();
    if let Some(Ending { gate, program, text }) = &plan.ending {
        let does = teller.program(program);
        steps.push(Explained { when: (*gate).into(), command: text.clone(), does, ignored: false });
    }
    if steps.is_empty() {
        let (command, does) = (teller.say("(sin orden)", "(no command)"), teller.program(&Program::Status));
        steps.push(Explained { when: When::Always, command, does, ignored: false });
    }
    let end = teller.site.get().then(|| {
        teller.say(
            "al final, si todo salió bien, los cambios al sitio se publican juntos como un corte; si no, se descartan",
            "at the end, if all went well, the changes to the site are published together as one cut; otherwise they are dropped",
        )
    });
    Explanation { command, supported: true, exit: 0, reason: None, steps, end }
}

impl Explanation {
    fn refusal(command: String, exit: u32, reason: String) -> Self {
        Self { command, supported: false, exit, reason: Some(reason), steps: Vec::new(), end: None }
    }

    /// For people: one line per step.
    pub fn human(&self, lang: Lang) -> String {
        let mut text = String::new();
        if let Some(reason) = &self.reason {
            let exit = lang.pick("código de salida", "exit status");
            return format!("{reason}\n{exit}: {}\n", self.exit);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let when = match step.when {
                When::Always => "",
                When::Success => lang.pick("si lo anterior salió bien, ", "if that went well, "),
                When::Failure => lang.pick("si lo anterior falló, ", "if that failed, "),
            };
            text.push_str(&format!("{}. {}\n   {when}{}\n", at + 1, step.command, step.does));
        }
        if let Some(end) = &self.end {
            text.push_str(&format!("→ {end}\n"));
        }
        text
    }
}

/// Words for what commands would do, and where the telling stands.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    lang: Lang,
    aliases: &'a Aliases,
    cwd: VPath,
    /// Whether a path of the published tree was named.
    site: Cell<bool>,
}

impl Teller<'_> {
    /// One of two texts.
    pub(super) fn say(&self, es: &str, en: &str) -> String {
        self.lang.pick(es, en).to_owned()
    }

    /// For what is accepted and does nothing.
    pub(super) fn ignored(&self) -> String {
        self.say("se acepta y no hace nada", "is accepted and does nothing")
    }

    /// A verb and the paths it is about.
    pub(super) fn about<'w>(&self, es: &str, en: &str, words: impl IntoIterator<Item = &'w Word>) -> String {
        let paths: Vec<String> = words.into_iter().map(|word| self.path(word)).collect();
        let text = format!("{} {}", self.say(es, en), paths.join(", "));
        text.trim_end().to_owned()
    }

    /// A verb, what it moves, and where to.
    pub(super) fn onto(&self, es: &str, en: &str, sources: &[Word], target: &Word) -> String {
        let to = self.say("a", "to");
        format!("{} {to} {}{}", self.about(es, en, sources), self.path(target), self.package(target))
    }

    /// A path as it is named in the virtual root.
    pub(super) fn path(&self, word: &Word) -> String {
        let path = self.resolve(&self.cwd, &word.bytes());
        self.site.set(self.site.get() || in_site(&path));
        escape(&path.to_bytes())
    }

    /// The folder that a chain of `-C` leads to.
    pub(super) fn folder<'w>(&self, chain: impl IntoIterator<Item = &'w Vec<u8>>) -> String {
        let path = chain.into_iter().fold(self.cwd.clone(), |cwd, raw| self.resolve(&cwd, raw));
        self.site.set(self.site.get() || in_site(&path));
        escape(&path.to_bytes())
    }

    fn step(&mut self, step: &Step) -> Explained {
        let mut does = Vec::new();
        for (at, stage) in step.stages.iter().enumerate() {
            if at > 0 {
                does.push("|".to_owned());
            }
            does.push(stage.command.tell(self));
            if let Some(Input::File(word)) = &stage.routes.input {
                does.push(self.about("leyendo", "reading", [word]));
            }
            match &stage.routes.file {
                Some((word, _)) if stage.routes.out == To::File => {
                    let text = self.about("y lo guarda en", "and keeps it in", [word]);
                    does.push(format!("{text}{}", self.package(word)));
                }
                _ => {}
            }
            if let Some(dir) = stage.command.moves_to() {
                self.cwd = self.resolve(&self.cwd, &dir.bytes());
            }
        }
        if step.exits().is_some() {
            does.push(self.say("termina la orden", "ends the line"));
        }
        Explained {
            when: step.gate.into(),
            command: step.text.clone(),
            does: does.join(" "),
            ignored: step.exits().is_none() && step.stages.iter().all(|stage| stage.command.is_ignored()),
        }
    }

    fn program(&self, program: &Program) -> String {
        let last = |args: &[Vec<u8>]| {
            let target = args.last().map_or(b".".as_slice(), Vec::as_slice);
            self.path(&Word::from(target))
        };
        match program {
            Program::Sftp => self.say("atiende una sesión sftp", "serves an sftp session"),
            Program::Scp(args) => {
                format!(
                    "{} {}",
                    self.say("recibe archivos por scp en", "receives files by scp in"),
                    last(args)
                )
            }
            Program::Rsync(args) => self.rsync(args),
            Program::Script { .. } => self.say(
                "lee un guion por la entrada, línea por línea, con estas mismas reglas",
                "reads a script from its input, line by line, by these same rules",
            ),
            Program::Status => self.say("dice qué está publicado", "tells what is live"),
        }
    }

    /// What a push would do, and which of its options change nothing here.
    fn rsync(&self, args: &[Vec<u8>]) -> String {
        let Ok(options) = Options::parse(args, &rsync::Limits::default()) else { return String::new() };
        if options.daemon {
            return self.say("atiende el protocolo del demonio rsync", "serves the rsync daemon's protocol");
        }
        let target = options.destination.as_deref().unwrap_or_default();
        let mut text = match options.secluded {
            true => self
                .say("recibe por rsync donde el cliente diga", "receives by rsync where the client will say"),
            false => {
                let verb = self.say("recibe por rsync en", "receives by rsync in");
                format!("{verb} {}", self.path(&Word::from(target)))
            }
        };
        if options.dry_run {
            text.push_str(&self.say(" (simulacro: no cambia nada)", " (dry run: nothing changes)"));
        }
        if !options.ignored.is_empty() {
            let ignored = options.ignored.join(", ");
            text.push_str(
                &self.say(
                    &format!("; sin efecto aquí: {ignored}"),
                    &format!("; without effect here: {ignored}"),
                ),
            );
        }
        text
    }

    /// What becomes of a file of that name.
    fn package(&self, word: &Word) -> String {
        let path = self.resolve(&self.cwd, &word.bytes());
        let is_archive = path.name().is_some_and(|name| Format::from_name(&name.to_string_lossy()).is_some());
        if !is_archive || in_site(&path) || word.is_pattern() {
            return String::new();
        }
        self.say(
            ": al terminar es un paquete, se verifica y se publica",
            ": once whole it is a package, verified and published",
        )
    }

    /// What a name means, by its letters: as a session would understand it.
    fn resolve(&self, cwd: &VPath, raw: &[u8]) -> VPath {
        self.aliases.follow(VPath::resolve(cwd, raw))
    }
}
