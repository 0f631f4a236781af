//! `difusor run`, `receive`, `serve`: the service, its log and its signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::Common;
use super::{Done, Failure, IO_FAILED};
pub(super) use crate::app::Half;
use crate::app::{self, Reload};
use crate::clock::Clock;
use crate::config;

pub(super) fn run(common: &Common, half: Half) -> Done {
    let config = common.load()?;
    let lang = config.lang;
    let level = log_to(&config.log);
    let failed = |fault| match fault {
        app::StartFault::Config(faults) => Failure::Config(faults),
        other => Failure::Sentence(IO_FAILED, other.line(lang)),
    };
    // While there is one thread.
    let confined = app::confine(&config, half, None).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anybody can know that we are there: who is told to stop stops in order.
        let ended = Ended::new()?;
        let running = app::start(config, half, Clock::system(), confined).await.map_err(failed)?;
        let reload = running.reload().clone();
        reload.room(move |config| {
            if let Some(level) = &level {
                level(&config.log);
            }
        });
        ended.wait(&reload).await;
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// SIGTERM, SIGINT and SIGHUP, caught from its making on.
struct Ended {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Ended {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Until it is told to stop; SIGHUP has the configuration read again.
    async fn wait(mut self, reload: &Reload) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => {
                    let reload = reload.clone();
                    // What came of it is in the log and on the ledger.
                    let _ = tokio::task::spawn_blocking(move || reload.again()).await;
                }
            }
        }
    }
}

/// Sets another level of the log.
type SetLevel = Box<dyn Fn(&config::Log) + Send + Sync>;

/// Where the log goes: the journal when it listens, lines for a person on a terminal,
/// JSON otherwise; all on standard error. Gives what changes its level.
fn log_to(log: &config::Log) -> Option<SetLevel> {
    let (level, handle) = tracing_subscriber::reload::Layer::new(filter(log));
    let registry = tracing_subscriber::registry().with(level);
    let format = match log.format.as_str() {
        "auto" if std::env::var_os("JOURNAL_STREAM").is_some() => "journald",
        "auto" if std::io::stderr().is_terminal() => "text",
        "auto" => "json",
        chosen => chosen,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let set = match (format, tracing_journald::layer()) {
        ("journald", Ok(journal)) => registry.with(journal).try_init(),
        ("text", _) => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        _ => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if let Err(e) = set {
        super::eprintln(&format!("difusor: {e}"));
        return None;
    }
    Some(Box::new(move |log| {
        if let Err(error) = handle.reload(filter(log)) {
            tracing::error!(%error, "the level of the log stays");
        }
    }))
}

/// russh reports at info what a stranger does: that is ours to tell, aggregated.
fn filter(log: &config::Log) -> EnvFilter {
    EnvFilter::new(format!("{},russh=error,notify=warn,h2=warn,rustls=warn", log.level))
}
