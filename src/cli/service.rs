//! `difusor run`, `receive`, `serve`: the service, its log and its signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::Common;
use super::{Done, Failure, IO_FAILED};
use crate::app;
pub(super) use crate::app::Half;
use crate::clock::Clock;
use crate::config;

pub(super) fn run(common: &Common, half: Half) -> Done {
    let config = common.load()?;
    let lang = config.lang;
    log_to(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anybody can know that we are there: who is told to stop stops in order.
        let ended = Ended::new()?;
        let running = app::start(config, half, Clock::system()).await;
        let running = running.map_err(|fault| match fault {
            app::StartFault::Config(faults) => Failure::Config(faults),
            other => Failure::Sentence(IO_FAILED, other.line(lang)),
        })?;
        ended.wait().await;
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// SIGTERM and SIGINT, caught from its making on.
struct Ended {
    term: Signal,
    int: Signal,
}

impl Ended {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Where the log goes: the journal when it listens, lines for a person on a terminal,
/// JSON otherwise; all on standard error.
fn log_to(log: &config::Log) {
    // russh reports at info what a stranger does: that is ours to tell, aggregated.
    let filter = EnvFilter::new(format!("{},russh=error,notify=warn,h2=warn,rustls=warn", log.level));
    let registry = tracing_subscriber::registry().with(filter);
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
    }
}
