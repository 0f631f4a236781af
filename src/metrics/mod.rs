//! What a monitor measures: counters that grow while we run, and gauges read when it asks.
//!
//! Owns the counters, from the start of the process. They are fed by following the ledger
//! (`counted`): whatever is on record is counted, and no other room knows of it. Gauges are read off a
//! [`Scene`] at each question (`scene`). Imports `ledger`, `control`, `durable` and `model`.
//!
//! The flow: ledger line → counter; question → [`Scene`] → [`Metrics::text`]. Labels come from our own
//! words and are bounded in number, so that no stranger makes a monitor grow. To add a gauge: a line in
//! `scene`; to add a counter: a field and a line in `counted`.

mod classic;
mod counted;
mod scene;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::sync::broadcast::error::RecvError;

use crate::ledger::Ledger;
use counted::Counted;
pub use scene::Scene;

/// The counters of this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    counted: Arc<Counted>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format 0.0.4, which every monitor reads.
    Classic,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Form {
    /// What the header `Accept` asks for.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Classic }
    }

    /// The header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Counts every line that this process writes from now on, until the ledger is gone.
    pub fn follow(&self, ledger: &Ledger) -> impl Future<Output = ()> + Send + use<> {
        let (mut lines, counted) = (ledger.follow(), Arc::clone(&self.counted));
        async move {
            loop {
                match lines.recv().await {
                    Ok(line) => counted.line(&line),
                    Err(RecvError::Lagged(missed)) => counted.missed(missed),
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// A session was opened by a trusted key.
    pub fn ssh_session(&self) {
        self.counted.ssh_session();
    }

    /// Everything, as it stands now.
    pub fn text(&self, scene: &Scene, form: Form) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("difusor");
        self.counted.register(&mut registry);
        scene.register(&mut registry);
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(match form {
            Form::OpenMetrics => text,
            Form::Classic => classic::classic(&text),
        })
    }
}
