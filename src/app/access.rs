//! The access log and its statistics: started with the serving half, asked over `readers.sock`; old files go with
//! the receiving half, which has the ledger.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::{Entry, Kind, Ledger};
use crate::stats::{self, Bounds, Classes, LogConfig};

/// What the log has to be told.
pub fn log(config: &Config) -> LogConfig {
    let (own, stats) = (&config.access_log, &config.stats);
    LogConfig {
        proxies: own.proxies.clone(),
        addresses: own.addresses,
        keep: own.keep,
        classes: Classes {
            internal: stats.internal.clone(),
            monitors: stats.monitors.clone(),
            monitor_agents: stats.monitor_agents.clone(),
            robots: stats.robots.clone(),
        },
        bounds: Bounds { sessions: stats.sessions, paths: stats.paths },
        queue_bytes: usize::try_from(own.queue).unwrap_or(usize::MAX),
        sync: own.sync,
        settle: stats.settle,
        names: stats.pages.clone(),
        ..LogConfig::new(&config.paths.var, config.zone.clone())
    }
}

/// Removes files of the log that are past their time, at the start and then once an hour, and says so on the ledger.
pub(super) async fn expire(
    config: std::sync::Arc<Config>,
    clock: Clock,
    ledger: Ledger,
    stop: CancellationToken,
) {
    let keep = config.access_log.keep;
    loop {
        let (var, zone, now) = (config.paths.var.clone(), config.zone.clone(), clock.now());
        let gone = tokio::task::spawn_blocking(move || stats::expire(&var, keep, now, &zone)).await;
        match gone {
            Ok(Ok(gone)) if gone.is_empty() => {}
            Ok(Ok(gone)) => {
                let days: Vec<&str> = gone.iter().map(|one| one.day.as_str()).collect();
                let bytes: u64 = gone.iter().map(|one| one.bytes).sum();
                let entry = Entry::new(Kind::Pruned).with("access_log", days).with("bytes", bytes);
                if let Err(error) = ledger.append(entry.with("keep_s", keep.as_secs())) {
                    tracing::error!(%error, "the ledger cannot be written");
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "old access logs cannot be removed"),
            Err(error) => tracing::error!(%error, "old access logs cannot be removed"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(3600);
