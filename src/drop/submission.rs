//! What was submitted, the wait for its verdict, and the way the verdict takes.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::room::Turn;
use crate::model::Outcome;

/// A durable package or tree whose verdict is on its way.
#[derive(Debug)]
pub struct Submission {
    /// Its name as the sender knows it.
    pub name: String,
    /// The verdict, when the publisher has reached it.
    pub verdict: oneshot::Receiver<Outcome>,
}

impl Submission {
    /// The verdict, if it is reached within `bound`; `None` too if the publisher went away.
    /// Parks this thread, so it needs no runtime.
    pub fn wait(self, bound: Duration) -> Option<Outcome> {
        let mut verdict = pin!(self.verdict);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut task = Context::from_waker(&waker);
        let begun = Instant::now();
        loop {
            if let Poll::Ready(outcome) = verdict.as_mut().poll(&mut task) {
                return outcome.ok();
            }
            let left = bound.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
            thread::park_timeout(left);
        }
    }

    /// The same for a task.
    pub async fn outcome(self, bound: Duration) -> Option<Outcome> {
        tokio::time::timeout(bound, self.verdict).await.ok()?.ok()
    }
}

/// The publisher's end of a submission. Dropped without an answer it tells that none will come.
#[derive(Debug)]
pub struct Answer {
    to: oneshot::Sender<Outcome>,
    turn: Option<Turn>,
}

impl Answer {
    /// The two ends for what is called `name`. An arrival that has the turn at the site keeps it
    /// until its verdict: whoever comes next must begin from what this one left, or would
    /// publish a site without it.
    pub(super) fn promise(name: &str, turn: Option<Turn>) -> (Self, Submission) {
        let (to, verdict) = oneshot::channel();
        (Self { to, turn }, Submission { name: name.to_owned(), verdict })
    }

    /// For what nobody waits for.
    pub fn to_nobody() -> Self {
        Self::promise("", None).0
    }

    /// Gives the turn back, then the verdict to whoever waits; the verdict comes back if nobody does.
    pub fn send(self, outcome: Outcome) -> Result<(), Outcome> {
        drop(self.turn);
        self.to.send(outcome)
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
    use super::*;
    use crate::model::{Code, Rejection};

    fn submission() -> (oneshot::Sender<Outcome>, Submission) {
        let (sender, verdict) = oneshot::channel();
        (sender, Submission { name: "p.tar.gz".into(), verdict })
    }

    #[test]
    fn a_verdict_from_another_thread_ends_the_wait() {
        let (sender, submission) = submission();
        let outcome = Outcome::Rejected(Rejection::new(Code::GzipCrc));
        let told = outcome.clone();
        let publisher = thread::spawn(move || sender.send(told));
        assert_eq!(submission.wait(Duration::from_secs(60)), Some(outcome));
        publisher.join().unwrap().unwrap();
    }

    #[test]
    fn no_verdict_in_time_is_none() {
        let (_sender, submission) = submission();
        assert_eq!(submission.wait(Duration::ZERO), None);
    }

    #[test]
    fn a_publisher_that_went_away_ends_the_wait() {
        let (sender, submission) = submission();
        drop(sender);
        assert_eq!(submission.wait(Duration::from_secs(60)), None);
    }
}
