//! The operator's ear: questions from the control socket to whoever can answer them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::Reload;
use crate::admin::Entrance;
use crate::alert::Post;
use crate::cadence::Reading;
use crate::clock::Clock;
use crate::control::{Answer, Asked, Ear, IncidentAct, Request, Status};
use crate::drop::{Drop, DropError};
use crate::incident::{Book, BookError, Closing, Opening, Remark};
use crate::ledger::{Entry, Kind, Ledger};
use crate::model::{Lang, Outcome, Sender, Via};
use crate::publisher::{By, Order, Ordered};
use crate::sandbox::State;

/// Operators at once; each waits for its answer.
const AT_ONCE: usize = 8;
/// Verification of the largest package, with room to spare.
const VERDICT_WAIT: Duration = Duration::from_secs(300);

/// Whoever can answer an operator.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) drop: Drop,
    pub(super) ledger: Ledger,
    pub(super) orders: mpsc::Sender<Ordered>,
    pub(super) lang: Lang,
    pub(super) page: Option<Page>,
    /// The book of incidents.
    pub(super) book: Book,
    /// The rhythm, as the watch sees it.
    pub(super) readings: Option<watch::Receiver<Option<Reading>>>,
    /// The channels of alerts.
    pub(super) post: Option<Post>,
    pub(super) clock: Clock,
    pub(super) reload: Option<Reload>,
    pub(super) sandbox: Option<State>,
}

/// The admin page, as its links are given out.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) entrance: Entrance,
    pub(super) clock: Clock,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) sockets: Vec<PathBuf>,
}

/// A way to the desk, for the control socket and for the admin page.
pub(super) fn line() -> (mpsc::Sender<Asked>, mpsc::Receiver<Asked>) {
    mpsc::channel(AT_ONCE)
}

/// Answers on the control socket, and whoever else holds the line, until the task is aborted.
pub(super) async fn listen(
    ear: Ear,
    desk: Desk,
    (to, mut from): (mpsc::Sender<Asked>, mpsc::Receiver<Asked>),
) {
    let answering = async {
        while let Some((request, back)) = from.recv().await {
            let desk = desk.clone();
            tokio::spawn(async move {
                // An operator who went away finds the outcome in the ledger.
                let _ = back.send(answer(request, &desk).await);
            });
        }
    };
    tokio::join!(ear.hear(to), answering);
}

/// One question.
pub(super) async fn answer(request: Request, desk: &Desk) -> Answer {
    let Desk { drop, ledger, orders, lang, page, book, readings, post, clock, reload, sandbox } = desk;
    let lang = *lang;
    match request {
        Request::Status => {
            let mut answer =
                with_the_night(order(Order::Status, orders, lang).await, book, readings.as_ref());
            if let Answer::Status(status) = &mut answer {
                status.sandbox.clone_from(sandbox);
            }
            answer
        }
        Request::Readers | Request::Traffic | Request::Settle => refused(
            lang.pick("se pregunta a la mitad que sirve", "that is asked of the serving half").to_owned(),
        ),
        Request::Reload => match reload {
            Some(reload) => reload.asked().await,
            None => refused(lang.pick("ningún servicio está en marcha", "no service is running").to_owned()),
        },
        Request::AdminLink { operator } => link(operator, page.as_ref(), ledger, lang),
        Request::Rollback { release, hold_s, operator, reason } => {
            order(Order::Rollback { release, hold_s, operator, reason }, orders, lang).await
        }
        Request::Hold { seconds, operator, reason } => {
            order(Order::Hold(seconds, by(operator, reason)), orders, lang).await
        }
        Request::Resume { operator, reason } => {
            order(Order::Resume(by(operator, reason)), orders, lang).await
        }
        Request::NoticeOn { text, operator, reason } => {
            order(Order::NoticeOn(text, by(operator, reason)), orders, lang).await
        }
        Request::NoticeOff { operator, reason } => {
            order(Order::NoticeOff(by(operator, reason)), orders, lang).await
        }
        Request::Night { act, operator, reason } => {
            order(Order::Night(act, by(operator, reason)), orders, lang).await
        }
        Request::Incident { act, operator } => incident(act, operator, book, lang),
        Request::AlertTest { channel, operator } => {
            test(channel.as_deref(), &operator, post.as_ref(), clock, lang).await
        }
        Request::Publish { file, operator, reason } => {
            publish(&file, operator, &reason, drop, ledger, lang).await
        }
    }
}

fn by(who: String, why: String) -> By {
    By { who, why }
}

/// A status with what the watch knows.
fn with_the_night(
    answer: Answer,
    book: &Book,
    readings: Option<&watch::Receiver<Option<Reading>>>,
) -> Answer {
    let cadence = readings.and_then(|r| r.borrow().clone());
    match answer {
        Answer::Status(status) => {
            Answer::Status(Box::new(Status { incidents: book.lasting(), cadence, ..*status }))
        }
        other => other,
    }
}

/// A test through the channels: done only if every one arrived.
async fn test(name: Option<&str>, who: &str, post: Option<&Post>, clock: &Clock, lang: Lang) -> Answer {
    let title = format!("{} {who}", lang.pick("prueba pedida por", "test asked for by"));
    let outcomes = match post {
        Some(post) => post.test(name, &title, clock.now()).await,
        None => Vec::new(),
    };
    if outcomes.is_empty() {
        let text = lang.pick(
            "no hay tal canal de avisos; vea [[alert]] en la configuración",
            "there is no such channel of alerts; see [[alert]] in the configuration",
        );
        return refused(text.to_owned());
    }
    let arrived = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    let line = |(name, outcome): &(String, Result<(), String>)| match outcome {
        Ok(()) => format!("{name}: {}", lang.pick("entregado", "delivered")),
        Err(why) => format!("{name}: {}: {why}", lang.pick("no se pudo entregar", "could not be delivered")),
    };
    let message = outcomes.iter().map(line).collect::<Vec<_>>().join("\n");
    if arrived { Answer::Done { message } } else { refused(message) }
}

/// What an operator writes into the book.
pub(super) fn incident(act: IncidentAct, who: String, book: &Book, lang: Lang) -> Answer {
    let written = match act {
        IncidentAct::Open { kind, cause, affected, start } => {
            let opening = Opening { who: Some(who), start, ..Opening::new(kind, "operador", cause) };
            let affected = affected.unwrap_or(opening.affected);
            // Two troubles that a person tells apart are two.
            let subject = format!("operador-{}", book.list().len() + 1);
            book.begin(Opening { affected, subject, ..opening }).map(|(number, _)| number)
        }
        IncidentAct::Note { number, remark } => {
            book.note(number, &Remark { who: Some(who), ..remark }).map(|()| number)
        }
        IncidentAct::Close { number, action } => {
            book.close(number, &Closing { who: Some(who), ..Closing::seen(action) }).map(|()| number)
        }
    };
    match written {
        Ok(number) => Answer::Done { message: format!("{} {number}", lang.pick("incidente", "incident")) },
        Err(BookError::Unknown(number)) => {
            refused(format!("{} {number}", lang.pick("no hay tal incidente:", "there is no incident")))
        }
        Err(BookError::Closed(number)) => refused(format!(
            "{} {number}",
            lang.pick("ya está cerrado (abra otro): incidente", "closed already (open another): incident")
        )),
        Err(BookError::Ledger(error)) => refused(error.to_string()),
    }
}

/// A link to the admin page, on record under the name of who asked.
fn link(who: String, page: Option<&Page>, ledger: &Ledger, lang: Lang) -> Answer {
    let Some(page) = page else {
        let text = lang.pick(
            "la página está apagada: ponga admin.listen y reinicie",
            "the page is off: set admin.listen and restart",
        );
        return refused(text.to_owned());
    };
    let entry = Entry::new(Kind::Admin).with("what", "link").with("who", &who);
    if let Err(error) = ledger.append(entry) {
        return refused(error.to_string());
    }
    match page.entrance.link(who, page.clock.now()) {
        Ok((token, until)) => Answer::AdminLink {
            token,
            until,
            addresses: page.addresses.clone(),
            sockets: page.sockets.clone(),
        },
        Err(error) => refused(error.to_string()),
    }
}

async fn order(order: Order, orders: &mpsc::Sender<Ordered>, lang: Lang) -> Answer {
    let (back, answer) = oneshot::channel();
    let sent = orders.send((order, back)).await.is_ok();
    let stopping =
        || refused(lang.pick("el servicio se está deteniendo", "the service is stopping").to_owned());
    match answer.await {
        Ok(answer) if sent => answer,
        _ => stopping(),
    }
}

/// An operator's file takes the same way as the institute's, under the operator's name.
async fn publish(
    file: &Path,
    operator: String,
    reason: &str,
    drop: &Drop,
    ledger: &Ledger,
    lang: Lang,
) -> Answer {
    let Some(name) = file.file_name().map(ToOwned::to_owned) else {
        return refused(file.display().to_string());
    };
    let line =
        Entry::new(Kind::Warning).with("what", "published_by_hand").with("name", name.to_string_lossy());
    if let Err(error) = ledger.append(line.with("who", &operator).with("why", reason)) {
        return refused(error.to_string());
    }
    let sender = Sender { name: operator, key: None, addr: None, via: Via::Operator };
    let (drop, path) = (drop.clone(), file.to_owned());
    let deposited = tokio::task::spawn_blocking(move || {
        let mut source = File::open(&path)?;
        drop.deposit(&mut source, &name, sender, Vec::new())
    });
    let submission = match deposited.await {
        Ok(Ok(submission)) => submission,
        Ok(Err(DropError::Rejected(rejection))) => {
            return Answer::Refused { message: rejection.line(lang), code: Some(rejection.code) };
        }
        Ok(Err(error)) => return refused(format!("{}: {error}", file.display())),
        Err(error) => return refused(error.to_string()),
    };
    match submission.outcome(VERDICT_WAIT).await {
        Some(Outcome::Rejected(rejection)) => {
            Answer::Refused { message: rejection.line(lang), code: Some(rejection.code) }
        }
        Some(outcome) => Answer::Done { message: outcome.line(lang) },
        None => Answer::Done {
            message: lang
                .pick("recibido; el veredicto sigue pendiente", "received; the verdict is still pending")
                .to_owned(),
        },
    }
}

fn refused(message: String) -> Answer {
    Answer::Refused { message, code: None }
}
