//! What was taken, turned away and cut, by reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

macro_rules! counts {
    ($($name:ident $what:literal;)*) => {
        /// What was taken, turned away or cut, by reason, since the start.
        #[derive(Debug, Default)]
        pub struct Counts {
            $(#[doc = $what] pub $name: AtomicU64,)*
        }

        impl Counts {
            /// Every reason with its count now. The names are what `status --json` shows.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counts! {
    accepted "Connections taken.";
    requests "Requests, whatever became of them.";
    over_total "Connections turned away: too many in all.";
    over_address "Connections turned away: too many of one address.";
    over_new_connections "Connections turned away: too many new ones of one address.";
    over_requests "Requests above the pace of their address: answered 429, or only counted.";
    delayed "Requests that waited for their turn.";
    shed "Requests answered 503: too many of everybody.";
    handshake "Connections cut: no TLS handshake in time, or a failed one.";
    slow_head "Connections cut: a request that did not end.";
    stalled "Connections cut: a response that was not read.";
    flood "Connections cut: bytes without end that ask for nothing.";
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Logs once a minute what was turned away or cut in it, until `stop`.
pub(super) async fn tell(counts: Arc<Counts>, stop: CancellationToken) {
    let mut before = counts.all();
    while stop.run_until_cancelled(tokio::time::sleep(TOLD_EVERY)).await.is_some() {
        let now = counts.all();
        let risen = |((name, now), (_, before)): (&(&str, u64), &(&str, u64))| {
            let is_refusal = !matches!(*name, "accepted" | "requests");
            (is_refusal && now > before).then(|| format!("{name}: {}", now - before))
        };
        let refused: Vec<_> = now.iter().zip(&before).filter_map(risen).collect();
        if !refused.is_empty() {
            tracing::warn!(refused = refused.join(", "), "readers were turned away or cut in this minute");
        }
        before = now;
    }
}

/// One line a minute, however many come.
const TOLD_EVERY: Duration = Duration::from_secs(60);
