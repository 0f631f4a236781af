//! From the shape of a line to what it would do, all of it before any of it is done.
//!
//! Looks up every command, sorts its options and checks its redirections and pipes. A
//! [`Plan`] in hand therefore means that the whole line is understood; the first thing that
//! is not refuses the line. Touches no file.

use super::builtins::{self, Builtin, Output, Patterns, Pipes};
use super::fault::{Fault, shown};
use super::grammar::{self, Flow, Gate, Line, Mode, Redirect, Simple, Word};
use super::options::Call;
use super::program::Program;
use super::{Scripts, Sudo};

/// What a configuration lets lines do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permits {
    pub(super) scripts: Scripts,
    pub(super) sudo: Sudo,
    pub(super) rsync: bool,
}

/// A line that was understood.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What we do ourselves.
    pub(super) steps: Vec<Step>,
    /// What takes the channel over at the end.
    pub(super) ending: Option<Ending>,
}

/// The program that ends a line.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) gate: Gate,
    pub(super) program: Program,
    /// As the sender wrote it.
    pub(super) text: String,
}

/// One pipeline.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) gate: Gate,
    pub(super) negated: bool,
    /// Whether it ends its list of `&&` and `||`, where `set -e` looks.
    pub(super) is_last: bool,
    pub(super) stages: Vec<Stage>,
    /// As the sender wrote it.
    pub(super) text: String,
    exit: Option<Option<u32>>,
}

/// One command of a pipeline.
#[derive(Debug)]
pub(super) struct Stage {
    /// The name messages begin with.
    pub(super) name: String,
    pub(super) command: Box<dyn Builtin>,
    pub(super) routes: Routes,
}

/// Where a command's streams lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routes {
    /// `<`; without it, what the line has.
    pub(super) input: Option<Input>,
    pub(super) out: To,
    pub(super) err: To,
    /// The file behind [`To::File`].
    pub(super) file: Option<(Word, Mode)>,
}

/// What a command reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Channel,
    Null,
    File(Word),
}

/// What a command writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Out,
    Err,
    File,
    Null,
}

impl Step {
    /// The status of an `exit`: its own, or the last one's.
    pub(super) fn exits(&self) -> Option<Option<u32>> {
        self.exit
    }
}

/// Understands a whole command line.
pub(super) fn plan(command: &[u8], permits: Permits) -> Result<Plan, Fault> {
    plan_nested(command, permits, 0)
}

fn plan_nested(command: &[u8], permits: Permits, depth: usize) -> Result<Plan, Fault> {
    let line = grammar::parse(command)?;
    if let Some(inner) = shell_line(&line, permits)? {
        return if depth < SHELLS_MAX { plan_nested(&inner, permits, depth + 1) } else { Err(Fault::Script) };
    }
    let mut plan = Plan::default();
    let count = line.steps.len();
    for (at, step) in line.steps.iter().enumerate() {
        let is_last = line.steps.get(at + 1).is_none_or(|next| next.gate == Gate::Always);
        match program(step, permits)? {
            Some(program) if at + 1 == count => {
                plan.ending = Some(Ending { gate: step.gate, program, text: step.text.clone() });
            }
            Some(program) => return Err(Fault::NotAlone(program.name().to_owned())),
            None => plan.steps.push(plan_step(step, is_last, permits)?),
        }
    }
    Ok(plan)
}

/// The line inside `sh -c 'LINE'`, where that is the whole of this one.
fn shell_line(line: &Line, permits: Permits) -> Result<Option<Vec<u8>>, Fault> {
    for step in &line.steps {
        let [command] = step.commands.as_slice() else { continue };
        if rsync(command, permits).is_some() {
            continue;
        }
        let words = bare(command, permits)?;
        let Some((name, args)) = named(words) else { continue };
        let Some(inner) = SHELLS.contains(&name.as_str()).then(|| dash_c(args)).flatten() else { continue };
        if permits.scripts == Scripts::Refuse {
            return Err(Fault::Script);
        }
        if line.steps.len() > 1 || step.negated || !command.redirects.is_empty() {
            return Err(Fault::NotAlone(format!("{name} -c")));
        }
        return Ok(Some(inner));
    }
    Ok(None)
}

/// What follows `-c` (also `-lc`, `-ec`).
fn dash_c(args: &[Word]) -> Option<Vec<u8>> {
    let at = args.iter().position(|word| {
        let bytes = word.bytes();
        bytes.starts_with(b"-") && !bytes.starts_with(b"--") && bytes.contains(&b'c')
    })?;
    let options = args.get(..at)?;
    let plain = options.iter().all(|word| word.bytes().starts_with(b"-"));
    plain.then(|| args.get(at + 1).map(Word::bytes)).flatten()
}

fn program(step: &grammar::Step, permits: Permits) -> Result<Option<Program>, Fault> {
    let [command] = step.commands.as_slice() else { return Ok(None) };
    let rsync = rsync(command, permits);
    let words = match rsync {
        Some(words) => words,
        None => bare(command, permits)?,
    };
    let Some((name, args)) = named(words) else { return Ok(None) };
    let name = if rsync.is_some() { "rsync".to_owned() } else { name };
    let program = Program::find(&name, args, permits)?;
    if program.is_some() && (step.negated || !command.redirects.is_empty()) {
        return Err(Fault::Redirect);
    }
    Ok(program)
}

/// The words of `rsync --server`, whatever path or prefix `--rsync-path` gave it: `sudo` gives
/// nobody anything here, and the client's configuration is often nobody's to change.
fn rsync(command: &Simple, permits: Permits) -> Option<&[Word]> {
    let words = bare(command, Permits { sudo: Sudo::Ignore, ..permits }).ok()?;
    let (first, args) = words.split_first()?;
    let is_rsync = first.bytes().rsplit(|b| *b == b'/').next() == Some(b"rsync");
    (is_rsync && args.iter().any(|word| word.bytes() == b"--server")).then_some(words)
}

fn plan_step(step: &grammar::Step, is_last: bool, permits: Permits) -> Result<Step, Fault> {
    let mut planned = Step {
        gate: step.gate,
        negated: step.negated,
        is_last,
        stages: Vec::new(),
        text: step.text.clone(),
        exit: None,
    };
    if let [command] = step.commands.as_slice() {
        planned.exit = exit(bare(command, permits)?)?;
        if planned.exit.is_some() {
            return Ok(planned);
        }
    }
    let count = step.commands.len();
    for (at, command) in step.commands.iter().enumerate() {
        planned.stages.push(stage(command, permits, Place { first: at == 0, last: at + 1 == count })?);
    }
    Ok(planned)
}

/// Where in its pipeline a command stands.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

fn stage(command: &Simple, permits: Permits, place: Place) -> Result<Stage, Fault> {
    let words = bare(command, permits)?;
    let (name, args) = named(words).ok_or(Fault::Assignment)?;
    let row = builtins::find(&name).ok_or_else(|| Fault::Unknown(shown(name.as_bytes())))?;
    if row.patterns == Patterns::None && args.iter().any(Word::is_pattern) {
        return Err(Fault::Pattern(name));
    }
    let routes = Routes::of(&command.redirects)?;
    if routes.file.is_some() && row.output == Output::Idle {
        return Err(Fault::OutputFile(name));
    }
    let pours = place.last || (row.pipes.pours() && routes.out == To::Out && routes.err != To::Out);
    let drinks = place.first || (row.pipes.drinks() && routes.input.is_none());
    if !pours || !drinks {
        return Err(Fault::Pipe);
    }
    let command = (row.parse)(&Call { name: &name, args })?;
    Ok(Stage { name, command, routes })
}

/// The words of a command without what may stand before it: `sudo`, `env X=1`, `nice`…
fn bare(command: &Simple, permits: Permits) -> Result<&[Word], Fault> {
    let mut words = command.words.as_slice();
    while let [first, rest @ ..] = words {
        let Some((name, _)) = named(words) else { break };
        words = match name.as_str() {
            _ if first.is_assignment() => rest,
            "sudo" if permits.sudo == Sudo::Refuse => return Err(Fault::Sudo),
            "sudo" => skip(rest, &["-u", "-g", "-p"], &["-n", "-E", "-H", "-S", "-k", "-i", "--"], "sudo")?,
            "nice" => skip(rest, &["-n"], &["--"], "nice")?,
            "ionice" => skip(rest, &["-c", "-n"], &["-t", "--"], "ionice")?,
            "env" => skip(rest, &["-u"], &["-i", "-", "--"], "env")?,
            "exec" | "command" | "nohup" => skip(rest, &[], &["--"], &name)?,
            _ => break,
        };
    }
    Ok(words)
}

/// Skips the options of a prefix: `pairs` take the next word too.
fn skip<'w>(words: &'w [Word], pairs: &[&str], alone: &[&str], name: &str) -> Result<&'w [Word], Fault> {
    let mut words = words;
    while let [first, rest @ ..] = words {
        let bytes = first.bytes();
        let is = |options: &[&str]| options.iter().any(|option| option.as_bytes() == bytes);
        words = if is(pairs) {
            rest.get(1..).unwrap_or_default()
        } else if is(alone) || pairs.iter().any(|p| bytes.starts_with(p.as_bytes())) || is_niceness(&bytes) {
            rest
        } else if bytes.starts_with(b"-") {
            return Err(Fault::Option { command: name.to_owned(), option: first.shown() });
        } else {
            return Ok(words);
        };
    }
    Err(Fault::Usage { command: name.to_owned(), usage: "… COMMAND" })
}

/// `nice -19`.
fn is_niceness(bytes: &[u8]) -> bool {
    matches!(bytes, [b'-', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// The name of a command, its usual directory gone, and its arguments.
fn named(words: &[Word]) -> Option<(String, &[Word])> {
    let (first, args) = words.split_first()?;
    let bytes = first.bytes();
    let base = DIRECTORIES.iter().find_map(|dir| bytes.strip_prefix(dir.as_bytes())).unwrap_or(&bytes);
    Some((String::from_utf8_lossy(base).into_owned(), args))
}

fn exit(words: &[Word]) -> Result<Option<Option<u32>>, Fault> {
    let Some((name, args)) = named(words).filter(|(name, _)| name == "exit" || name == "logout") else {
        return Ok(None);
    };
    match args {
        [] => Ok(Some(None)),
        [number] => match String::from_utf8_lossy(&number.bytes()).parse::<u8>() {
            Ok(number) => Ok(Some(Some(u32::from(number)))),
            Err(_) => Err(Fault::Usage { command: name, usage: "exit [0-255]" }),
        },
        _ => Err(Fault::Usage { command: name, usage: "exit [0-255]" }),
    }
}

impl Routes {
    /// Follows redirections in the order they were written, as a shell does.
    fn of(redirects: &[Redirect]) -> Result<Self, Fault> {
        let mut routes = Self { input: None, out: To::Out, err: To::Err, file: None };
        for redirect in redirects {
            match redirect {
                Redirect::Input(name) if is_null(name) => routes.input = Some(Input::Null),
                Redirect::Input(name) => routes.input = Some(Input::File(name.clone())),
                Redirect::Output { from, name, .. } if is_null(name) => routes.set(*from, To::Null),
                Redirect::Output { from: Flow::Out, name, mode } => {
                    if routes.file.is_some() {
                        return Err(Fault::Redirect);
                    }
                    routes.file = Some((name.clone(), *mode));
                    routes.out = To::File;
                }
                Redirect::Output { .. } => return Err(Fault::Redirect),
                Redirect::Join { from, to } => {
                    let to = match to {
                        Flow::Err => routes.err,
                        Flow::Out | Flow::Both => routes.out,
                    };
                    routes.set(*from, to);
                }
            }
        }
        Ok(routes)
    }

    fn set(&mut self, flow: Flow, to: To) {
        if matches!(flow, Flow::Out | Flow::Both) {
            self.out = to;
        }
        if matches!(flow, Flow::Err | Flow::Both) {
            self.err = to;
        }
    }
}

fn is_null(name: &Word) -> bool {
    name.bytes() == b"/dev/null"
}

impl Pipes {
    fn pours(self) -> bool {
        matches!(self, Self::Front | Self::Both)
    }

    fn drinks(self) -> bool {
        matches!(self, Self::Back | Self::Both)
    }
}

/// Where scripts call our commands by their full names.
const DIRECTORIES: [&str; 8] = [
    "/usr/lib/openssh/",
    "/usr/libexec/openssh/",
    "/usr/lib/ssh/",
    "/usr/libexec/",
    "/usr/local/bin/",
    "/usr/bin/",
    "/bin/",
    "/usr/sbin/",
];

/// Names of shells.
pub(super) const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ash"];

/// `sh -c "sh -c '…'"` this deep: one wrapper of the institute's, one of a tool's.
const SHELLS_MAX: usize = 4;
