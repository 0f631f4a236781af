//! The service's ear for the operator: one JSON line in, one JSON line out, over a unix
//! socket that only the instance's own user can open.
//!
//! Owns `var/run/control.sock`. The publisher answers; the command line asks. Imports the
//! model, and what `stats` counts: requests and answers are values.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::cadence::Reading;
use crate::incident::{Incident, Remark, Trouble};
use crate::model::{Code, Cut, Digest, Receipt, ReleaseId};
use crate::sandbox::State;
pub use crate::stats::{Counted, Minute, Traffic};

/// A request is a path and a reason; nobody needs more.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// Time for the whole exchange of a manual publication of the largest package.
const ANSWER_WAIT: Duration = Duration::from_secs(600);

/// What an operator asks of the running service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// What is live, staged, and came last.
    Status,
    /// How the readers fare; asked of the serving half, which has a socket of its own.
    Readers,
    /// Who reads what, as counted now; asked of the serving half.
    Traffic,
    /// Write the statistics down, so that who reads them from disk finds all there is; asked of the serving half.
    Settle,
    /// Read the configuration again; asked of each half.
    Reload,
    /// A link to the admin page that opens once.
    AdminLink {
        /// Name of the operator, who comes in under it.
        operator: String,
    },
    /// Publish a file of this machine by hand.
    Publish {
        /// Absolute path.
        file: PathBuf,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Show an earlier release again.
    Rollback {
        /// Which; `None` is the one before the live one.
        release: Option<ReleaseId>,
        /// How long what arrives is kept back afterwards, in seconds; `None` not at all.
        #[serde(default)]
        hold_s: Option<u64>,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Keep what arrives verified and stored, but unpublished, for so many seconds.
    Hold {
        /// How long.
        seconds: u64,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// End the hold: the newest of what came is published.
    Resume {
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Put the institute's notice in the place of the results.
    NoticeOn {
        /// Its text: paragraphs, or a whole HTML page.
        text: String,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Remove it.
    NoticeOff {
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Say that the last cut is in, or that it is not.
    Night {
        /// What.
        act: NightAct,
        /// Name of the operator.
        operator: String,
        /// Why, for the ledger.
        reason: String,
    },
    /// Write into the book of incidents.
    Incident {
        /// What.
        act: IncidentAct,
        /// Name of the operator.
        operator: String,
    },
    /// Send a test through the channels of alerts.
    AlertTest {
        /// Its name; `None` for all.
        channel: Option<String>,
        /// Name of the operator.
        operator: String,
    },
}

/// What an operator says of the night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NightAct {
    /// The last cut is in.
    Close,
    /// It is not: cuts are published again as they come.
    Reopen,
    /// Publish the package that came after the end.
    Accept,
}

/// What an operator writes into the book of incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum IncidentAct {
    /// A trouble that no rule saw.
    Open {
        /// Its kind.
        kind: Trouble,
        /// What it is.
        cause: String,
        /// Whether readers were affected; by default what its kind says.
        affected: Option<bool>,
        /// When it began; `None` for now.
        start: Option<Timestamp>,
    },
    /// A remark on one.
    Note {
        /// Which.
        number: u64,
        /// What to add or to change.
        remark: Remark,
    },
    /// Its end.
    Close {
        /// Which.
        number: u64,
        /// What was done.
        action: String,
    },
}

/// The service's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Readers`].
    Readers(Box<Readers>),
    /// To [`Request::Traffic`].
    Traffic(Box<Traffic>),
    /// To [`Request::Reload`].
    Reloaded {
        /// Keys that changed and hold.
        applied: Vec<String>,
        /// Keys that changed and hold after a restart.
        restart: Vec<String>,
        /// What is wrong with the file: then nothing changed.
        faults: Vec<String>,
    },
    /// To [`Request::AdminLink`].
    AdminLink {
        /// Secret of the link: `http://…/login?t=` goes before it.
        token: String,
        /// When it ends.
        until: Timestamp,
        /// Where the page listens on TCP.
        addresses: Vec<SocketAddr>,
        /// Unix sockets it listens on.
        sockets: Vec<PathBuf>,
    },
    /// Done; the sentence says what.
    Done {
        /// In the language of the instance.
        message: String,
    },
    /// Not done, and why.
    Refused {
        /// In the language of the instance.
        message: String,
        /// The reason, where a rule refused it.
        code: Option<Code>,
    },
}

/// The state of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether the service answered, or the files on disk did.
    pub running: bool,
    /// When it started.
    pub started: Option<Timestamp>,
    /// What readers see.
    pub live: Option<Shown>,
    /// Newest verified cut that waits for its window.
    pub staged: Option<Shown>,
    /// Whether a page of our own is up: the waiting page, or the notice.
    pub waiting: bool,
    /// What keeps what arrives from being published.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The institute's notice, while it is up.
    #[serde(default)]
    pub notice: Option<Posted>,
    /// The last night that is over.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// The rhythm of the cuts.
    #[serde(default)]
    pub cadence: Option<Reading>,
    /// Incidents that last.
    #[serde(default)]
    pub incidents: Vec<Incident>,
    /// Hour of the next opening or closing.
    pub next_change: Option<Timestamp>,
    /// The last receptions, newest first.
    pub receptions: Vec<Reception>,
    /// What the receiving half gave up, and whether that holds; `None` where nothing was tried.
    #[serde(default)]
    pub sandbox: Option<State>,
    /// How the readers fare, if the serving half runs.
    #[serde(default)]
    pub readers: Option<Readers>,
    /// Who reads what today, if the serving half runs and keeps a log.
    #[serde(default)]
    pub traffic: Option<Traffic>,
    /// Where each door listens, by its name.
    #[serde(default)]
    pub listening: BTreeMap<String, Vec<SocketAddr>>,
}

/// What the serving half says of its readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readers {
    /// Connections at this moment.
    pub connections: usize,
    /// What the serving half gave up, and whether that holds; `None` where nothing was tried.
    #[serde(default)]
    pub sandbox: Option<State>,
    /// What was taken, turned away and cut since the start, by reason.
    pub counts: BTreeMap<String, u64>,
    /// Requests that found no room on their way to the access log, since the start.
    #[serde(default)]
    pub log_lost: u64,
    /// SHA-256 of the certificate that they are shown.
    pub certificate: String,
    /// When it ends.
    pub certificate_ends: Option<Timestamp>,
    /// Why the files of a newer one are not used.
    pub certificate_rejected: Option<String>,
}

/// A hold: what arrives is verified and stored, and not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// The institute's notice, in the place of the results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// When it was put up.
    pub since: Timestamp,
    /// The release that holds its page.
    pub page: ReleaseId,
    /// The event with which it ends; `None` where there are no windows.
    pub event: Option<String>,
    /// Who put it up.
    pub who: String,
    /// Why.
    pub why: String,
}

/// A night that is over: what comes later waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When that was put on record.
    pub since: Timestamp,
    /// The event; `None` where there are no windows.
    pub event: Option<String>,
    /// `last_cut`, `hours` or `operator`.
    pub how: String,
    /// The cut that readers saw then.
    pub cut: Option<Cut>,
    /// The operator, if it was one.
    pub who: String,
    /// Why.
    pub why: String,
}

/// A release as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its id.
    pub release: ReleaseId,
    /// Its cut.
    pub cut: Option<Cut>,
    /// SHA-256 of its package.
    pub package: Option<Digest>,
    /// When it became live or was staged.
    pub since: Option<Timestamp>,
    /// Files in it.
    pub files: usize,
    /// The sums file that came after its package and contradicts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// One reception and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reception {
    /// The facts of the transfer.
    pub receipt: Receipt,
    /// The verdict, as its sender read it; `None` while it is being verified.
    pub verdict: Option<String>,
    /// The code of a refusal.
    pub code: Option<Code>,
}

/// A request with its way back.
pub type Asked = (Request, oneshot::Sender<Answer>);

/// An open socket; requests wait in it until somebody hears.
pub struct Ear {
    listener: UnixListener,
    _named: Named,
}

impl Ear {
    /// Opens the socket (mode 0600). Must be called within a tokio runtime.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, _named: Named::at(path)? })
    }

    /// Hands every request on, until the task is aborted.
    pub async fn hear(self, to: mpsc::Sender<Asked>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => _ = tokio::spawn(answer(stream, to.clone())),
                Err(e) => {
                    tracing::warn!(error = %e, "control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

/// The socket's name, taken away when nobody listens any more: what stays tells of a crash. Another
/// process may have put its own there meanwhile.
struct Named {
    path: PathBuf,
    inode: u64,
}

impl Named {
    fn at(path: PathBuf) -> io::Result<Self> {
        let inode = std::fs::symlink_metadata(&path)?.ino();
        Ok(Self { path, inode })
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode) {
            // Left behind it says what a crash would: nobody answers there.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, to: mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => {
            let (back, reply) = oneshot::channel();
            let sent = to.send((request, back)).await.is_ok();
            reply.await.ok().filter(|_| sent)
        }
        Err(e) => Some(Answer::Refused { message: e.to_string(), code: None }),
    };
    let stopping = || Answer::Refused { message: "el servicio se está deteniendo".to_owned(), code: None };
    let mut text = serde_json::to_vec(&reply.unwrap_or_else(stopping))?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks the running service; `None` if none is running.
pub fn ask(path: &Path, request: &Request) -> io::Result<Option<Answer>> {
    ask_within(path, request, ANSWER_WAIT)
}

/// The same, waiting no longer than this for the answer.
pub fn ask_within(path: &Path, request: &Request, wait: Duration) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    io::BufReader::new(stream).read_line(&mut reply)?;
    Ok(Some(serde_json::from_str(&reply)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_comes_back_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        assert_eq!(ask(&path, &Request::Status).unwrap(), None);
        let (to, mut from) = mpsc::channel::<Asked>(1);
        let server = tokio::spawn(Ear::open(path.clone()).unwrap().hear(to));
        tokio::spawn(async move {
            while let Some((request, back)) = from.recv().await {
                assert_eq!(request, Request::Status);
                back.send(Answer::Status(Box::default())).unwrap();
            }
        });
        let answer = tokio::task::spawn_blocking(move || {
            loop {
                if let Some(answer) = ask(&path, &Request::Status).unwrap() {
                    return answer;
                }
                std::thread::yield_now();
            }
        });
        assert_eq!(answer.await.unwrap(), Answer::Status(Box::default()));
        server.abort();
    }
}
