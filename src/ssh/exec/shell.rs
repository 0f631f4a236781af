//! A line being run: where it stands, what it reads and writes, and how it ends.
//!
//! Owns the view, the channel and the state that commands of one line share. Commands ask
//! it for paths, input and output and never touch the channel themselves. Imports `drop`,
//! `model` and the channel.
//!
//! What holds after an error: an archive or file that did not come whole spoils the line,
//! and a spoiled line never commits what it did to the site. A client that went away ends
//! the line where it stands, and the view is dropped uncommitted.

use bytes::Bytes;

use crate::drop::{DropError, Open, Submission, Upload, VPath, View};
use crate::model::{Lang, Rejection};
use crate::ssh::io::{Gone, Io};
use crate::ssh::program::Verdict;

use super::Setup;
use super::fault::shown;
use super::glob;
use super::grammar::{Gate, Mode, Word};
use super::plan::{Input, Plan, Routes, Stage, Step, To};
use super::program::Program;
use super::source::{Broken, Source};

/// Exit status of a command, or news that nobody listens any more.
pub(super) type Done = Result<u32, Gone>;

/// The state of one line (or of one script).
#[derive(Debug)]
pub(super) struct Shell<'a> {
    io: Io,
    /// The virtual root. Changes go through this struct's own methods.
    pub(super) view: View,
    /// What the instance lends.
    pub(super) setup: &'a Setup,
    /// Working directory.
    pub(super) cwd: VPath,
    /// Status of the last step.
    pub(super) status: u32,
    /// `set -e`.
    pub(super) stops_at_failure: bool,
    /// Seconds that `sleep` may still take.
    pub(super) sleep_left: f64,
    /// What the line's commands read when nothing else is said.
    standard_input: Input,
    input: Source,
    /// What is read instead of the input: an operand of the present command.
    operand: Option<Source>,
    out: Route,
    err: Route,
    file: Option<Output>,
    captured: Vec<u8>,
    spoiled: bool,
    changed_site: bool,
    refused: bool,
    /// Patterns found more names than a command may take.
    overflowed: bool,
}

/// Where one output of the present command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Out,
    Err,
    File,
    Null,
    Captured,
}

/// A file behind `>`.
#[derive(Debug)]
struct Output {
    name: Vec<u8>,
    path: VPath,
    upload: Upload,
    at: u64,
    failed: Option<DropError>,
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    Step,
    /// The end of the line, with this status.
    Exit(u32),
}

impl<'a> Shell<'a> {
    /// A line that begins in the virtual root.
    pub(super) fn new(io: Io, view: View, setup: &'a Setup) -> Self {
        Self {
            io,
            view,
            setup,
            cwd: VPath::root(),
            status: 0,
            stops_at_failure: false,
            sleep_left: SLEEP_SECONDS_MAX,
            standard_input: Input::Channel,
            input: Source::Empty,
            operand: None,
            out: Route::Out,
            err: Route::Err,
            file: None,
            captured: Vec::new(),
            spoiled: false,
            changed_site: false,
            refused: false,
            overflowed: false,
        }
    }

    /// Runs a line to its end, and gives the exit status.
    pub(super) fn run(mut self, plan: Plan) -> Done {
        for step in &plan.steps {
            if let Next::Exit(status) = self.step(step)? {
                return self.finish(status);
            }
        }
        match plan.ending {
            Some(ending) if self.passes(ending.gate) => self.hand_over(ending.program),
            _ => {
                let status = self.status;
                self.finish(status)
            }
        }
    }

    /// Runs one step, if its gate lets it.
    pub(super) fn step(&mut self, step: &Step) -> Result<Next, Gone> {
        if !self.passes(step.gate) {
            return Ok(Next::Step);
        }
        if let Some(status) = step.exits() {
            return Ok(Next::Exit(status.unwrap_or(self.status)));
        }
        let status = self.pipeline(&step.stages)?;
        self.status = if step.negated { u32::from(status == 0) } else { status };
        let fatal = self.stops_at_failure && step.is_last && !step.negated && self.status != 0;
        Ok(if fatal { Next::Exit(self.status) } else { Next::Step })
    }

    fn passes(&self, gate: Gate) -> bool {
        match gate {
            Gate::Always => true,
            Gate::Success => self.status == 0,
            Gate::Failure => self.status != 0,
        }
    }

    fn pipeline(&mut self, stages: &[Stage]) -> Done {
        let mut stages = stages.iter();
        let Some(last) = stages.next_back() else { return Ok(0) };
        let mut flow = None;
        for stage in stages {
            self.reroute(&stage.routes)?;
            self.input = match flow.take() {
                Some(source) => source,
                None => match self.open_input(&stage.routes, &stage.name)? {
                    Some(source) => source,
                    None => return Ok(1),
                },
            };
            self.out = Route::Captured;
            flow = Some(stage.command.pour(self)?);
        }
        self.last_stage(last, flow)
    }

    fn last_stage(&mut self, stage: &Stage, flow: Option<Source>) -> Done {
        if !self.reroute(&stage.routes)? {
            return Ok(1);
        }
        let input = match flow {
            Some(source) => Some(source),
            None => self.open_input(&stage.routes, &stage.name)?,
        };
        let Some(input) = input else { return Ok(1) };
        self.input = input;
        (self.refused, self.overflowed) = (false, false);
        let mut status = stage.command.run(self)?;
        if self.overflowed {
            self.spoil();
            self.io.err(&format!("{}: Argument list too long", stage.name))?;
            status = 1;
        }
        let closed = self.close_output(&stage.name, status)?;
        Ok(if closed == 0 && self.refused { 1 } else { closed })
    }

    /// Sets the outputs of a command; `false` (told) if its file cannot be written.
    fn reroute(&mut self, routes: &Routes) -> Result<bool, Gone> {
        let route = |to: To| match to {
            To::Out => Route::Out,
            To::Err => Route::Err,
            To::File => Route::File,
            To::Null => Route::Null,
        };
        (self.out, self.err) = (route(routes.out), route(routes.err));
        (self.file, self.operand) = (None, None);
        let Some((word, mode)) = &routes.file else { return Ok(true) };
        let name = word.bytes();
        let open = match mode {
            Mode::Truncate => Open::Truncate,
            Mode::Append => Open::Resume,
        };
        let opened = self.path(&name).and_then(|path| Ok((self.create(&path, open, None)?, path)));
        match opened {
            Ok((upload, path)) => {
                let at = if *mode == Mode::Append { upload.size() } else { 0 };
                self.file = Some(Output { name, path, upload, at, failed: None });
                Ok(true)
            }
            Err(error) => {
                self.io.err(&format!("difusor: {}: {}", shown(&name), self.strerror(&error)))?;
                Ok(false)
            }
        }
    }

    /// The input of a command that no pipe feeds; `None` (told) if its file is not there.
    fn open_input(&mut self, routes: &Routes, command: &str) -> Result<Option<Source>, Gone> {
        match routes.input.as_ref().unwrap_or(&self.standard_input) {
            Input::Channel => Ok(Some(Source::Channel)),
            Input::Null => Ok(Some(Source::Empty)),
            Input::File(word) => {
                let name = word.bytes();
                match self.path(&name).and_then(|path| self.view.read(&path)) {
                    Ok(file) => Ok(Some(Source::Files([file].into()))),
                    Err(error) => {
                        let text = format!("{command}: {}: {}", shown(&name), self.strerror(&error));
                        self.err(text)?;
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Ends the file behind `>`. After a command that failed it is not whole: what is there
    /// stays as a partial upload, as after a broken connection.
    fn close_output(&mut self, command: &str, status: u32) -> Done {
        let Some(output) = self.file.take() else { return Ok(status) };
        let Output { name, path, upload, failed, .. } = output;
        let error = match failed {
            Some(error) => error,
            None if status != 0 => {
                self.spoil_at(&path);
                return Ok(status);
            }
            None => match upload.close() {
                Ok(submission) => {
                    self.await_verdicts(submission)?;
                    return Ok(status);
                }
                Err(error) => error,
            },
        };
        self.spoil_at(&path);
        self.io.err(&format!("{command}: {}: {}", shown(&name), self.strerror(&error)))?;
        Ok(1)
    }

    /// Gives the channel to a program that ends the line.
    fn hand_over(mut self, program: Program) -> Done {
        if self.spoiled {
            return self.finish(1);
        }
        let cwd = std::mem::replace(&mut self.cwd, VPath::root());
        Ok(program.serve(self.io, self.view, &cwd, self.setup))
    }

    /// Commits what was done to the site, if all went well; else says that it was not.
    pub(super) fn finish(self, status: u32) -> Done {
        let lang = self.lang();
        if status != 0 || self.spoiled {
            if self.changed_site {
                self.tell(lang.pick(
                    "hubo errores: los cambios al sitio se descartaron",
                    "there were errors: the changes to the site were dropped",
                ))?;
            }
            return Ok(if status == 0 { 1 } else { status });
        }
        let Self { io, view, setup, .. } = self;
        let verdict = match view.finish() {
            Ok(None) => return Ok(0),
            Ok(Some(submission)) => setup.context.verdict(submission),
            Err(error) => {
                io.err(&format!("difusor: {}", setup.context.explain(&error)))?;
                return Ok(1);
            }
        };
        io.err(&format!("difusor: {}", verdict.line(lang)))?;
        Ok(u32::from(!verdict.is_success()))
    }
}

// What commands ask for.
impl Shell<'_> {
    /// The language of the sentences that are not some tool's own.
    pub(super) fn lang(&self) -> Lang {
        self.setup.context.lang
    }

    /// The next piece of the operand or else of the input; `None` at the clean end.
    pub(super) fn pull(&mut self) -> Result<Option<Bytes>, Broken> {
        self.operand.as_mut().unwrap_or(&mut self.input).pull(&mut self.io)
    }

    /// Takes the input over, for a pipe that only passes it on.
    pub(super) fn take_input(&mut self) -> Source {
        std::mem::take(&mut self.input)
    }

    /// Reads an operand from here on; `None` goes back to the input.
    pub(super) fn read_operand(&mut self, operand: Option<Source>) {
        self.operand = operand;
    }

    /// What was written so far by a command in front of a pipe.
    pub(super) fn take_captured(&mut self) -> Source {
        Source::Bytes(Bytes::from(std::mem::take(&mut self.captured)))
    }

    /// No command after this one reads the channel: a script came through it.
    pub(super) fn detach_input(&mut self) {
        self.standard_input = Input::Null;
    }

    /// The channel itself, for the reader of a script.
    pub(super) fn channel(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Writes to standard output, wherever it leads.
    pub(super) fn out(&mut self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        self.write(self.out, bytes.into())
    }

    /// Writes one line to standard output.
    pub(super) fn line(&mut self, text: impl Into<Vec<u8>>) -> Result<(), Gone> {
        let mut bytes = text.into();
        bytes.push(b'\n');
        self.out(bytes)
    }

    /// Writes one line to standard error, wherever it leads.
    pub(super) fn err(&mut self, text: impl AsRef<str>) -> Result<(), Gone> {
        self.write(self.err, Bytes::from(format!("{}\n", text.as_ref())))
    }

    /// Tells the sender something that no redirection hides: verdicts and refusals.
    pub(super) fn tell(&self, text: &str) -> Result<(), Gone> {
        self.io.err(&format!("difusor: {text}"))
    }

    fn write(&mut self, route: Route, bytes: Bytes) -> Result<(), Gone> {
        match route {
            Route::Out => self.io.out(bytes),
            Route::Err => self.io.err(String::from_utf8_lossy(&bytes).trim_end_matches('\n')),
            Route::Null => Ok(()),
            Route::Captured => {
                self.captured.extend_from_slice(&bytes);
                Ok(())
            }
            Route::File => {
                if let Some(file) = self.file.as_mut().filter(|file| file.failed.is_none()) {
                    match file.upload.write_at(file.at, &bytes) {
                        Ok(()) => file.at += bytes.len() as u64,
                        Err(error) => file.failed = Some(error),
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether writing on is of no use.
    pub(super) fn out_failed(&self) -> bool {
        self.out == Route::File && self.file.as_ref().is_some_and(|file| file.failed.is_some())
    }

    /// What an operand means here. An empty name is no name.
    pub(super) fn path(&self, raw: &[u8]) -> Result<VPath, DropError> {
        match raw {
            [] => Err(DropError::NotFound),
            // A `~` that is still there was quoted.
            [b'~', ..] => self.view.resolve(&self.cwd, &[b"./", raw].concat()),
            _ => self.view.resolve(&self.cwd, raw),
        }
    }

    /// The names that operands stand for, patterns followed.
    pub(super) fn expand(&mut self, words: &[Word]) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        for word in words {
            names.extend(glob::expand(&self.view, &self.cwd, word));
            if names.len() > NAMES_MAX {
                self.overflowed = true;
                return Vec::new();
            }
        }
        names
    }

    /// A failure in the words that scripts know from the C library; our own reasons in ours.
    pub(super) fn strerror(&self, error: &DropError) -> String {
        match error {
            DropError::NotFound => "No such file or directory".to_owned(),
            DropError::Exists => "File exists".to_owned(),
            DropError::IsDir => "Is a directory".to_owned(),
            DropError::NotDir => "Not a directory".to_owned(),
            DropError::NotEmpty => "Directory not empty".to_owned(),
            DropError::Io(_) => "Input/output error".to_owned(),
            DropError::Denied(_) | DropError::Rejected(_) => self.setup.context.explain(error),
        }
    }

    /// Begins to write a file.
    pub(super) fn create(
        &mut self,
        path: &VPath,
        open: Open,
        size: Option<u64>,
    ) -> Result<Upload, DropError> {
        self.changes(path);
        self.view.create(path, open, size)
    }

    /// Notes that the line may do something to the site.
    pub(super) fn changes(&mut self, path: &VPath) {
        self.changed_site |= self.is_in_site(path);
    }

    /// An archive did not come whole. If the line did anything to the site, it must not commit.
    pub(super) fn spoil(&mut self) {
        self.spoiled |= self.changed_site;
    }

    /// One file did not come whole; outside the site a partial file hurts nobody.
    pub(super) fn spoil_at(&mut self, path: &VPath) {
        self.spoiled |= self.is_in_site(path);
    }

    /// Whether a path belongs to the published tree. A path may have been joined since it was
    /// resolved, so aliases are followed again.
    fn is_in_site(&self, path: &VPath) -> bool {
        let path = self.view.resolve(&VPath::root(), &path.to_bytes());
        path.is_ok_and(|path| in_site(&path))
    }

    /// Waits for the verdicts on what a command submitted, and tells them.
    pub(super) fn await_verdicts(
        &mut self,
        submitted: impl IntoIterator<Item = Submission>,
    ) -> Result<(), Gone> {
        for submission in submitted {
            let verdict: Verdict = self.setup.context.verdict(submission);
            self.refused |= !verdict.is_success();
            self.tell(&verdict.line(self.lang()))?;
        }
        Ok(())
    }

    /// Tells a refusal that was found here; the command has failed.
    pub(super) fn reject(&mut self, rejection: &Rejection) -> Result<(), Gone> {
        self.refused = true;
        self.tell(&rejection.line(self.lang()))
    }
}

/// Whether a path belongs to the published tree.
pub(super) fn in_site(path: &VPath) -> bool {
    path.components().first().is_some_and(|first| first == SITE)
}

/// The directory of the virtual root that is the published tree.
pub(super) const SITE: &str = "sitio";

/// Names that the patterns of one command may find together. A site has about 6,000 files;
/// many patterns multiply.
const NAMES_MAX: usize = 100_000;

/// Seconds that all `sleep`s of one line may take together: scripts wait a moment before
/// they look, they do not keep our threads.
const SLEEP_SECONDS_MAX: f64 = 60.0;
