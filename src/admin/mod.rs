//! The room of the person on duty: a page on a listener of its own, which readers never reach.
//!
//! Owns the listener (a unix socket or loopback by default), who may come in (`entrance`), what
//! every request must satisfy before a page sees it (`guard`), the pages (`pages`), and what monitors
//! read (`measures`). Imports `control`, `ledger`, `metrics`, `config`, `clock` and `model`: a page reads the ledger and asks the
//! running service what the command line asks, and changes nothing by itself.
//!
//! The flow: `listener` admits a connection by its address → `guard` checks host, origin, login, form
//! token and whether actions are allowed → a page. Before the login only `/healthz` and, to `admin.metrics`, `/metrics` answer. After an
//! error the connection ends and every other goes on.

mod entrance;
mod guard;
mod listener;
mod measures;
mod pages;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, Answer, Asked, Readers, Request, Status};
use crate::ledger::Ledger;
use crate::metrics::Metrics;

pub use entrance::{Entrance, Session};
pub use guard::Peer;
pub use listener::{Inherited, Listeners, bind};

/// What the pages know of the house. Clones are cheap.
#[derive(Clone, Debug)]
pub struct House {
    /// The configuration that holds now; it changes when it is read again.
    pub config: watch::Receiver<Arc<Config>>,
    /// Now.
    pub clock: Clock,
    /// The record: [`crate::ledger::read`] it, or follow it as it is written.
    pub ledger: Ledger,
    /// Orders and questions to the running service, as from the control socket.
    pub control: mpsc::Sender<Asked>,
    /// Socket of the serving half, which may be another process.
    pub readers: PathBuf,
    /// Who may come in.
    pub entrance: Entrance,
    /// What monitors measure.
    pub metrics: Metrics,
}

impl House {
    /// The configuration that holds now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// Whether pages may change anything (`[admin] actions`).
    pub fn acts(&self) -> bool {
        self.config.borrow().admin.actions
    }

    /// Asks the running service; `None` when it is stopping or does not answer in time.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let (back, answer) = oneshot::channel();
        let asked = async {
            self.control.send((request, back)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(ANSWER_WAIT, asked).await.ok().flatten()
    }

    /// What is live, staged, and came last.
    pub async fn status(&self) -> Option<Status> {
        match self.ask(Request::Status).await? {
            Answer::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// How the readers fare; `None` where no serving half answers in time.
    pub async fn readers(&self) -> Option<Readers> {
        let socket = self.readers.clone();
        let asked = tokio::task::spawn_blocking(move || {
            control::ask_within(&socket, &Request::Readers, READERS_WAIT)
        });
        match asked.await {
            Ok(Ok(Some(Answer::Readers(readers)))) => Some(*readers),
            _ => None,
        }
    }
}

/// Serves the pages on these listeners until `stop`.
pub fn serve(house: House, listeners: Listeners, stop: CancellationToken) -> JoinHandle<()> {
    let config = house.config();
    let connections = config.admin.connections;
    let service = guard::guarded(house.clone(), pages::routes().merge(measures::routes()));
    tokio::spawn(listener::run(listeners, house, service, connections, stop))
}

/// Random text that nobody can guess: 32 bytes, in the alphabet of URLs.
fn secret() -> io::Result<String> {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// A page does not wait longer for the service.
const ANSWER_WAIT: Duration = Duration::from_secs(8);
/// Nor for the serving half.
const READERS_WAIT: Duration = Duration::from_secs(2);
