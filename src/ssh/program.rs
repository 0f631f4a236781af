//! What every program of the SSH door shares: its surroundings, the wait for a
//! verdict, and the words for what went wrong.
//!
//! Owns nothing. Programs (SFTP, scp, the command grammar) are synchronous and run on a
//! blocking thread, so the wait here parks that thread and needs no runtime. Imports
//! `drop` and `model`. An error or a wait that ran out never undoes anything: what was
//! submitted is durable already, and only the news of its verdict may come later.

use std::time::Duration;

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
        submission.wait(self.verdict_wait).map_or(Verdict::Pending, Verdict::Reached)
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
        error.explain(self.lang)
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::model::{Code, Rejection};

    fn told(outcome: Option<Outcome>) -> Verdict {
        let context = Context { lang: Lang::Es, verdict_wait: Duration::ZERO };
        let (sender, verdict) = oneshot::channel();
        if let Some(outcome) = outcome {
            sender.send(outcome).unwrap();
        }
        context.verdict(Submission { name: "p.tar.gz".into(), verdict })
    }

    #[test]
    fn a_refusal_is_told_in_the_senders_language() {
        let verdict = told(Some(Outcome::Rejected(Rejection::new(Code::GzipCrc))));
        assert!(!verdict.is_success());
        assert!(verdict.line(Lang::Es).starts_with("rechazado en integridad"));
    }

    #[test]
    fn no_verdict_in_time_is_not_a_failure() {
        assert_eq!(told(None), Verdict::Pending);
        assert!(Verdict::Pending.is_success());
    }
}
