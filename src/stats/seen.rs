//! What other rooms' tests see of hits that were offered.

use super::hit::{Hit, Tls};
use super::sink::Sink;

/// A hit, owned.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) status: u16,
    pub(crate) sent: u64,
    pub(crate) is_whole: bool,
    pub(crate) tls: Tls,
    pub(crate) agent_and_referer: String,
    pub(crate) forwarded: String,
    pub(crate) cut: String,
    pub(crate) encoding: String,
}

impl Seen {
    /// All that wait, in the order in which they ended.
    pub(crate) fn all(sink: &Sink) -> Vec<Self> {
        let mut blocks = Vec::new();
        sink.take(&mut blocks);
        let mut seen = Vec::new();
        for block in &blocks {
            let mut rest = block.as_slice();
            while let Some((hit, after)) = Hit::read(rest) {
                rest = after;
                seen.push((hit.at, Self::of(&hit)));
            }
        }
        seen.sort_by_key(|(at, _)| *at);
        seen.into_iter().map(|(_, seen)| seen).collect()
    }

    fn of(hit: &Hit<'_>) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            line: format!("{} {} {}", text(hit.method), text(hit.target), hit.protocol.name()),
            status: hit.status,
            sent: hit.sent,
            is_whole: hit.is_whole,
            tls: hit.tls,
            agent_and_referer: format!("{} {}", text(hit.agent), text(hit.referer)).trim().to_owned(),
            forwarded: text(hit.forwarded),
            cut: text(hit.cut),
            encoding: text(hit.encoding),
        }
    }
}
