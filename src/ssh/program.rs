//! What every program of the SSH door shares: its surroundings, the wait for a
//! verdict, and the words for what went wrong.
//!
//! Owns nothing. Programs (SFTP, scp, the command grammar) are synchronous and run on a
//! blocking thread, so the wait here parks that thread and needs no runtime. Imports
//! `drop` and `model`. An error or a wait that ran out never undoes anything: what was
//! submitted is durable already, and only the news of its verdict may come later.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::drop::{DropError, Submission};
use crate::model::{Lang, Outcome};

/// What a program must know of the instance it runs in.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Language of everything the sender reads.
    pub lang: Lang,
    /// How long a sender waits for the verdict on what it sent before it is told that
    /// the verdict will follow.
    pub verdict_wait: Duration,
}

/// What a sender can be told of something it submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The publisher decided.
    Reached(Outcome),
    /// Stored durably; the publisher did not decide within the wait, or is shutting down.
    Pending,
}

impl Context {
    /// Waits for the verdict on `submission`, at most [`Context::verdict_wait`].
    pub fn verdict(&self, submission: Submission) -> Verdict {
        match wait(submission.verdict, self.verdict_wait) {
            Some(Ok(outcome)) => Verdict::Reached(outcome),
            Some(Err(_)) | None => Verdict::Pending,
        }
    }

    /// What is said when a session that wrote a tree ends without its commit.
    pub fn unpublished(&self) -> &'static str {
        match self.lang {
            Lang::Es => "como algo no llegó bien, nada de lo escrito en el sitio se publica",
            Lang::En => "as something did not arrive well, nothing written to the site is published",
        }
    }

    /// One sentence, without period, for a failed operation on the virtual root.
    pub fn explain(&self, error: &DropError) -> String {
        let text = match error {
            DropError::NotFound => {
                self.lang.pick("no existe el archivo o la carpeta", "no such file or folder")
            }
            DropError::Exists => self.lang.pick("el nombre ya existe", "the name exists already"),
            DropError::IsDir => self.lang.pick("es una carpeta", "it is a folder"),
            DropError::NotDir => self.lang.pick("no es una carpeta", "it is not a folder"),
            DropError::NotEmpty => self.lang.pick("la carpeta no está vacía", "the folder is not empty"),
            DropError::Io(_) => self.lang.pick(
                "el difusor no pudo leer o escribir en su disco; avise a su operador",
                "the difusor could not read or write its disk; tell its operator",
            ),
            DropError::Denied(reason) => reason,
            DropError::Rejected(rejection) => return rejection.line(self.lang),
        };
        text.to_owned()
    }
}

impl Verdict {
    /// Whether the sender's command should end with 0. What is pending is durable, and
    /// sending it again would help nobody: it counts as success.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Reached(outcome) => outcome.is_success(),
            Self::Pending => true,
        }
    }

    /// The one line the sender reads.
    pub fn line(&self, lang: Lang) -> String {
        match self {
            Self::Reached(outcome) => outcome.line(lang),
            Self::Pending => lang
                .pick(
                    "recibido y a salvo; el veredicto sigue pendiente, no lo envíe de nuevo",
                    "received and safe; the verdict is still pending, do not send it again",
                )
                .to_owned(),
        }
    }
}

/// Parks this thread until `future` is ready, at most `patience`; `None` when it ran out.
fn wait<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut task = std::task::Context::from_waker(&waker);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return Some(output);
        }
        let left = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::model::{Code, Rejection};

    fn context(patience: Duration) -> Context {
        Context { lang: Lang::Es, verdict_wait: patience }
    }

    fn submission() -> (oneshot::Sender<Outcome>, Submission) {
        let (sender, verdict) = oneshot::channel();
        (sender, Submission { name: "p.tar.gz".into(), verdict })
    }

    #[test]
    fn a_verdict_from_another_thread_ends_the_wait() {
        let (sender, submission) = submission();
        let publisher = thread::spawn(move || sender.send(Outcome::Rejected(Rejection::new(Code::GzipCrc))));
        let verdict = context(Duration::from_secs(60)).verdict(submission);
        publisher.join().unwrap().unwrap();
        assert!(!verdict.is_success());
        assert!(verdict.line(Lang::Es).starts_with("rechazado en integridad"));
    }

    #[test]
    fn no_verdict_in_time_is_not_a_failure() {
        let (_sender, submission) = submission();
        assert_eq!(context(Duration::ZERO).verdict(submission), Verdict::Pending);
        assert!(Verdict::Pending.is_success());
    }

    #[test]
    fn a_publisher_that_went_away_leaves_the_verdict_pending() {
        let (sender, submission) = submission();
        drop(sender);
        assert_eq!(context(Duration::from_secs(60)).verdict(submission), Verdict::Pending);
    }
}
