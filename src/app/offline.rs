//! What can be known and done when no service is running: the files on disk tell.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{StartFault, operator, receive};
use crate::cadence::{self, Cadence, Reading};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Answer, Reception, Request, Shown, Status};
use crate::durable::Dir;
use crate::history::History;
use crate::incident;
use crate::ledger::{self, Filter};
use crate::release::Reader;

/// Receptions shown by `status`.
const SHOWN: usize = 20;

/// The release store, for those who only read.
pub fn store_to_read(config: &Config) -> io::Result<Reader> {
    Ok(Reader::new(Dir::open(config.paths.var.join("releases"))?, Dir::open(&config.paths.www)?))
}

/// The state of a stopped instance.
pub fn status_on_disk(config: &Config) -> io::Result<Status> {
    let live = store_to_read(config)?.load_current()?;
    let history = History::open(&Dir::open(config.paths.var.join("history"))?)?;
    let receptions = history.list()?.into_iter().rev().take(SHOWN).filter_map(|record| {
        let receipt = record.receptions.last()?.clone();
        let verdict = record.verdicts.last();
        let code = verdict.and_then(|v| v.code);
        let verdict = verdict.map(|v| format!("{:?}", v.result).to_lowercase());
        Some(Reception { receipt, verdict, code })
    });
    let waiting = live.as_ref().is_none_or(|r| r.meta.kind.is_page());
    Ok(Status {
        running: false,
        waiting,
        live: live.filter(|_| !waiting).map(|r| Shown {
            release: r.id.clone(),
            cut: r.meta.cut,
            package: r.meta.package,
            since: r.meta.verified,
            files: r.manifest.len(),
            doubt: None,
        }),
        receptions: receptions.collect(),
        incidents: incident::read(&Dir::open(config.paths.var.join("ledger"))?)?
            .into_iter()
            .filter(incident::Incident::is_open)
            .collect(),
        ..Status::default()
    })
}

/// The rhythm of the cuts as the ledger tells it.
pub fn cadence_on_disk(config: &Config, ledger: &Dir, now: jiff::Timestamp) -> io::Result<Reading> {
    let mut cadence = Cadence::new(config.schedule.clone(), config.events.clone());
    for line in ledger::read(ledger, Filter::kinds(&cadence::KINDS))?.flatten() {
        cadence.follow(&line);
    }
    Ok(cadence.at(now))
}

/// Where the halves that run say they listen.
pub fn listening(config: &Config) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut doors = BTreeMap::new();
    for half in ["receive.json", "serve.json"] {
        let read = Dir::open(config.paths.var.join("run")).and_then(|run| run.read(half, BOUND_BYTES_MAX));
        let said: Option<BTreeMap<String, Vec<SocketAddr>>> =
            read.ok().and_then(|text| serde_json::from_slice(&text).ok());
        doors.extend(said.into_iter().flatten().filter(|(_, addresses)| !addresses.is_empty()));
    }
    doors
}

/// A file of a dozen addresses.
const BOUND_BYTES_MAX: u64 = 64 << 10;

/// Does what an operator asks under the store's lock, as the service would.
pub fn answer_offline(config: &Config, request: Request) -> Result<Answer, StartFault> {
    let runtime = super::doing("runtime", tokio::runtime::Builder::new_multi_thread().enable_all().build())?;
    let clock = Clock::system();
    runtime.block_on(async {
        let core = tokio::task::block_in_place(|| receive::core(config, &clock, None))?;
        let (drop, arrivals) = core.drop(config, &clock)?;
        let (orders, ordered) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let publisher = tokio::spawn(core.publisher.run(arrivals, ordered, stop.clone()));
        let (ledger, book) = (core.ledger, core.book);
        let desk = operator::Desk {
            drop,
            ledger,
            orders,
            lang: config.lang,
            page: None,
            book,
            readings: None,
            post: None,
            clock,
            reload: None,
            sandbox: None,
        };
        let answer = operator::answer(request, &desk).await;
        stop.cancel();
        // A panic in there was already told; the answer is the operator's.
        let _ = publisher.await;
        Ok(answer)
    })
}
