//! One push from its head to its goodbye: generator, receiver and writer.
//!
//! Owns the three threads of a session and what they share. The receiver (the caller's thread)
//! reads and never waits for output; the generator compares and asks; the writer alone touches
//! the output. [`serve`] is the one flow: negotiate, rules and list, destination,
//! [`Tree::begin`], the phases, [`Tree::commit`], goodbye. Whatever breaks on the way ends in one
//! sentence for the peer and no commit.

mod delete;
mod ending;
mod generator;
mod item;
mod links;
mod meeting;
mod outbox;
mod push;
mod rebuilt;
mod receiver;
mod target;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::ending::Ending;
use self::generator::Generator;
use self::meeting::Meeting;
use self::outbox::Outbox;
use self::push::{IO_GENERAL, IO_VANISHED, Push, Tally};
use self::receiver::Receiver;
use self::target::Plan;
use super::Limits;
use super::error::{Error, Exit, Lang};
use super::filter::Rules;
use super::flist::FileList;
use super::mux::{Input, Tag};
use super::negotiate::{Agreed, negotiate};
use super::options::{Options, read_words};
use super::tree::{Intent, Refused, Tree};

/// What the host decides about a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds of what the peer may send.
    pub limits: Limits,
    /// Language of our sentences.
    pub lang: Lang,
    /// Protocol agreed by the daemon's greeting; `None`: integers first (SSH).
    pub version: Option<u8>,
    /// A seed: any non-zero positive number.
    pub seed: i32,
    /// What becomes of symbolic links that lead out of the destination.
    pub links: ForeignLinks,
    /// Keepalives are sent this often while we work, if the client set no timeout.
    pub keepalive: Duration,
    /// The module's own timeout in seconds, told to clients of the daemon; 0 is none.
    pub io_timeout: u32,
    /// Publish nothing when the source was not whole.
    pub whole_only: bool,
    /// What arrived of a file is kept in any case when the session breaks, as nobody sees it; else with
    /// `--partial` only.
    pub keeps_broken: bool,
    /// How long the file list may take to come: a peer that trickles is never idle.
    pub list_within: Duration,
}

/// What becomes of symbolic links that lead out of the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignLinks {
    /// The push ends with 23 (and with `whole_only` publishes nothing).
    #[default]
    Refuse,
    /// They are left out, with a warning.
    Drop,
}

/// The peer's bytes; a clone can drain them after the session.
type Shared = Arc<Mutex<Box<dyn Read + Send>>>;

/// Reads through the shared half, until the list is whole against a deadline.
struct Source {
    shared: Shared,
    until: Option<Instant>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.until.is_some_and(|until| Instant::now() > until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

/// Serves one push. `stderr` takes plain text before the stream is framed (SSH extended data).
/// The value is the exit status. A panic of a thread or of the host's tree ends this session only.
pub fn serve(
    options: Options,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    stderr: &mut dyn FnMut(&str),
    tree: &dyn Tree,
    settings: &Settings,
) -> Exit {
    let input: Shared = Arc::new(Mutex::new(input));
    let out = match Outbox::start(output) {
        Ok(out) => out,
        Err(error) => {
            stderr(error.text(settings.lang));
            return error.exit;
        }
    };
    let mut ending = Ending::new(out.clone(), Arc::clone(&input), settings.lang);
    let pushed = catch_unwind(AssertUnwindSafe(|| push(options, &input, &out, &mut ending, tree, settings)));
    let pushed = pushed.unwrap_or_else(|_| Err(panicked()));
    match pushed {
        Ok(exit) => ending.clean(exit),
        Err(error) => ending.broken(&error, stderr),
    }
}

/// Says to a client why its command line is refused: the streams are brought to where errors can
/// be told, and then this one is.
pub fn refuse(
    error: &Error,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    stderr: &mut dyn FnMut(&str),
    settings: &Settings,
) -> Exit {
    let input: Shared = Arc::new(Mutex::new(input));
    let Ok(out) = Outbox::start(output) else {
        stderr(error.text(settings.lang));
        return error.exit;
    };
    let ending = Ending::new(out.clone(), Arc::clone(&input), settings.lang);
    let mut source = Input::new(Source { shared: input, until: None });
    // No capabilities: nothing but versions and a seed is exchanged.
    let agreed = head(&mut source, &out, &Options::default(), settings);
    if let Ok(agreed) = agreed {
        out.multiplex(agreed.protocol, None);
    }
    ending.broken(error, stderr)
}

fn head(
    input: &mut Input<Source>,
    out: &Outbox,
    options: &Options,
    settings: &Settings,
) -> Result<Agreed, Error> {
    negotiate(input, &mut |bytes| out.data(bytes, true), settings.version, options, settings.seed)
}

fn push(
    mut options: Options,
    input: &Shared,
    out: &Outbox,
    ending: &mut Ending,
    tree: &dyn Tree,
    settings: &Settings,
) -> Result<Exit, Error> {
    let limits = &settings.limits;
    let until = Instant::now().checked_add(settings.list_within);
    let mut input = Input::new(Source { shared: Arc::clone(input), until });
    if options.secluded && settings.version.is_none() {
        let words = read_words(&mut input, 0, limits)?;
        options = options.parse_secluded(&words, limits)?;
    }
    let agreed = head(&mut input, out, &options, settings)?;
    if settings.io_timeout > 0 && (options.timeout == 0 || options.timeout > settings.io_timeout) {
        options.timeout = settings.io_timeout;
    }
    ending.timeout(options.timeout);
    out.multiplex(agreed.protocol, Some(keepalive(&options, settings)));
    if settings.version.is_some() && settings.io_timeout > 0 && agreed.protocol >= 31 {
        out.message(Tag::IoTimeout, &settings.io_timeout.to_le_bytes())?;
    }
    if agreed.framed_input {
        input.demultiplex(agreed.protocol);
    }
    let rules = if Rules::expected(&options, agreed.protocol) {
        Rules::read(&mut input, &options, agreed.protocol, limits)?
    } else {
        Rules::default()
    };
    let list = FileList::read(&mut input, &options, &agreed.shape, limits)?;
    input.get_mut().until = None;
    out.entries(list.len());
    if list.bytes() > limits.total_bytes {
        return Err(too_much(limits.total_bytes));
    }
    let mut plan =
        Plan::new(&options, &list, tree, settings.lang).map_err(|refused| target::hard(&refused))?;
    let mut push = Push {
        options: &options,
        settings,
        agreed,
        rules: &rules,
        list: &list,
        pruned: push::pruned(&options, &list, &rules),
        tree,
        target: plan.target.clone(),
        out: out.clone(),
        meeting: Meeting::default(),
        tally: Tally::default(),
    };
    push.tally.source_error(list.io_error() & (IO_GENERAL | IO_VANISHED));
    begin(&mut push, &mut plan)?;
    both(&push, &mut input)
}

/// The host's consent, and the directory that receives.
fn begin(push: &mut Push<'_>, plan: &mut Plan) -> Result<(), Error> {
    let intent = Intent {
        destination: push.target.path.clone(),
        single: push.target.single,
        dry_run: push.options.dry_run,
        deletes: push.deletes(),
        bytes: push.list.bytes(),
        entries: push.list.len() as u64,
    };
    let prepared = push.tree.begin(&intent).and_then(|()| plan.prepare(push.options, push.tree));
    push.target.made = plan.target.made;
    let line = match prepared {
        Err(refused) if refused.exit == Exit::Partial => return push.refuse_all(&refused),
        Err(refused) => return Err(target::hard(&refused)),
        Ok(line) => line,
    };
    if push.settings.whole_only
        && push.deletes()
        && push.list.iter().all(|(_, entry)| entry.name().is_empty())
    {
        let (es, en) = (
            "la lista llegó vacía y con --delete: no se vacía el sitio",
            "the list is empty and --delete was asked: the site is not emptied",
        );
        push.refuse_all(&Refused::partial(push.settings.lang.pick(es, en)))?;
    }
    match line.filter(|_| push.options.verbose > 0 || push.itemizes() > 0) {
        Some(line) => push.info(&line),
        None => Ok(()),
    }
}

/// Runs generator and receiver to the end; the first reason of a failure is the one that counts.
fn both(push: &Push<'_>, input: &mut Input<Source>) -> Result<Exit, Error> {
    let ends = |side: &mut dyn FnMut() -> Result<Exit, Error>| {
        let ended = catch_unwind(AssertUnwindSafe(side)).unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = &ended {
            // The other side may wait for this one, or for a client that does.
            if error.exit != Exit::Signal {
                push.out.last_words(error, push.settings.lang);
            }
            push.meeting.end();
            push.out.halt();
        }
        ended
    };
    thread::scope(|scope| {
        let generator = thread::Builder::new()
            .name("rsync-generator".into())
            .spawn_scoped(scope, || ends(&mut || Generator::new(push).run()))
            .map_err(|e| Error::new(Exit::Memory, format!("sin hilos: {e}"), format!("no threads: {e}")))?;
        let received = ends(&mut || Receiver::new(push, input).run().map(|()| Exit::Ok));
        let generated = generator.join().unwrap_or_else(|_| Err(panicked()));
        match (received, generated) {
            (Ok(_), generated) => generated,
            (Err(received), Err(generated))
                if generated.exit != Exit::Signal && received.exit == Exit::Stream =>
            {
                Err(generated)
            }
            (Err(received), _) => Err(received),
        }
    })
}

impl Push<'_> {
    /// Nothing of this push is wanted: the client is told and no data is asked for.
    fn refuse_all(&self, refused: &Refused) -> Result<(), Error> {
        self.tally.refused.store(true, Ordering::Relaxed);
        self.soft(refused)
    }
}

/// Half the client's timeout, as stock; else the host's own.
fn keepalive(options: &Options, settings: &Settings) -> Duration {
    match options.timeout {
        0 => settings.keepalive,
        seconds => Duration::from_millis(u64::from(seconds) * 500),
    }
}

fn too_much(limit: u64) -> Error {
    Error::new(
        Exit::FileIo,
        format!("la lista suma más que el límite de {limit} bytes"),
        format!("the list adds up to more than the limit of {limit} bytes"),
    )
}

fn panicked() -> Error {
    Error::new(Exit::Stream, "error interno: la sesión se detuvo", "internal error: the session stopped")
}
