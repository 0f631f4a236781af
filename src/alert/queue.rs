//! One task for each channel: gathers, keeps to the pace, tries again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::Message;
use super::{Alert, Channel, Class, Delivery, Letterhead, Way, command, mail, webhook};
use crate::clock::Clock;
use crate::incident::Level;

/// Alerts that wait for one channel; beyond it they are counted.
const WAITING_MAX: usize = 256;
/// Alerts told one by one in one message.
const TOGETHER_MAX: usize = 20;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

/// What reaches a channel.
enum Job {
    Tell(Arc<Alert>),
    /// A test goes at once, once, and its outcome back.
    Test(Arc<Alert>, oneshot::Sender<Result<(), String>>),
}

/// The channels of an instance. Clones share them.
#[derive(Clone, Debug)]
pub struct Post {
    boxes: Vec<(Channel, mpsc::Sender<Job>)>,
}

impl Post {
    /// Hands an alert to every channel that wants it. Never waits; where a channel is so far behind that its
    /// box is full, the alert is dropped and the log says so.
    pub fn send(&self, alert: Alert) {
        let alert = Arc::new(alert);
        for (channel, to) in self.boxes.iter().filter(|(channel, _)| channel.wants(&alert)) {
            if to.try_send(Job::Tell(Arc::clone(&alert))).is_err() {
                tracing::error!(
                    channel = channel.name,
                    title = alert.title,
                    "an alert was dropped: too many wait"
                );
            }
        }
    }

    /// Names of the channels.
    pub fn names(&self) -> Vec<&str> {
        self.boxes.iter().map(|(channel, _)| channel.name.as_str()).collect()
    }

    /// Sends a test through the named channel, or all: each with its outcome.
    pub async fn test(
        &self,
        name: Option<&str>,
        title: &str,
        now: Timestamp,
    ) -> Vec<(String, Result<(), String>)> {
        let mut outcomes = Vec::new();
        for (channel, to) in self.boxes.iter().filter(|(c, _)| name.is_none_or(|name| c.name == name)) {
            let alert = Alert {
                at: now,
                class: Class::Test,
                level: Level::Warning,
                change: "test",
                title: title.to_owned(),
                text: String::new(),
                incident: None,
            };
            let (back, outcome) = oneshot::channel();
            let sent = to.try_send(Job::Test(Arc::new(alert), back)).is_ok();
            let patience = channel.timeout + channel.group + Duration::from_secs(2);
            let outcome = match tokio::time::timeout(patience, outcome).await {
                Ok(Ok(outcome)) if sent => outcome,
                _ => Err("the channel is busy with an earlier message".to_owned()),
            };
            outcomes.push((channel.name.clone(), outcome));
        }
        outcomes
    }
}

pub(super) fn start(
    channels: Vec<Channel>,
    head: &Arc<Letterhead>,
    told: &mpsc::Sender<Delivery>,
    stop: &CancellationToken,
) -> Post {
    let boxes = channels.into_iter().map(|channel| {
        let (to, from) = mpsc::channel(WAITING_MAX);
        let worker = Worker {
            channel: channel.clone(),
            head: Arc::clone(head),
            told: told.clone(),
            sent: VecDeque::new(),
            count: 0,
            clock: Clock::system(),
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = worker.run(from) => {}
                () = stop.cancelled() => {}
            }
        });
        (channel, to)
    });
    Post { boxes: boxes.collect() }
}

struct Worker {
    channel: Channel,
    head: Arc<Letterhead>,
    told: mpsc::Sender<Delivery>,
    /// When the messages of the last hour went.
    sent: VecDeque<Instant>,
    count: u64,
    clock: Clock,
}

impl Worker {
    async fn run(mut self, mut from: mpsc::Receiver<Job>) {
        while let Some(job) = from.recv().await {
            match job {
                Job::Test(alert, back) => self.test(&alert, back).await,
                Job::Tell(alert) => {
                    let (alerts, left_out, tests) = self.gather(alert, &mut from).await;
                    self.deliver(&alerts, left_out).await;
                    for (alert, back) in tests {
                        self.test(&alert, back).await;
                    }
                }
            }
        }
    }

    async fn test(&mut self, alert: &Alert, back: oneshot::Sender<Result<(), String>>) {
        let message = self.message(std::slice::from_ref(alert), 0);
        let outcome = self.attempt(&message).await;
        // Who asked may have gone.
        let _ = back.send(outcome);
    }

    /// What comes within a moment of the first, and while the hour is used up.
    async fn gather(
        &mut self,
        first: Arc<Alert>,
        from: &mut mpsc::Receiver<Job>,
    ) -> (Vec<Alert>, usize, Vec<(Arc<Alert>, oneshot::Sender<Result<(), String>>)>) {
        let (mut alerts, mut left_out, mut tests) = (vec![(*first).clone()], 0, Vec::new());
        let mut until = Instant::now() + self.channel.group;
        if let Some(free) = self.next_free() {
            until = until.max(free);
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                job = from.recv() => match job {
                    Some(Job::Tell(alert)) if alerts.len() < TOGETHER_MAX => alerts.push((*alert).clone()),
                    Some(Job::Tell(_)) => left_out += 1,
                    Some(Job::Test(alert, back)) => tests.push((alert, back)),
                    None => break,
                },
            }
        }
        (alerts, left_out, tests)
    }

    /// When the pace allows the next message; `None` for at once.
    fn next_free(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            self.sent.pop_front();
        }
        let full = self.sent.len() >= usize::try_from(self.channel.per_hour).unwrap_or(usize::MAX);
        self.sent.front().filter(|_| full).map(|at| *at + HOUR)
    }

    async fn deliver(&mut self, alerts: &[Alert], left_out: usize) {
        let message = self.message(alerts, left_out);
        self.sent.push_back(Instant::now());
        let mut pause = self.channel.pause;
        let mut fault = None;
        for attempt in 1..=self.channel.attempts.max(1) {
            match self.attempt(&message).await {
                Ok(()) => {
                    fault = None;
                    break;
                }
                Err(why) => {
                    tracing::warn!(
                        channel = self.channel.name,
                        attempt,
                        why,
                        "an alert could not be delivered"
                    );
                    fault = Some(why);
                }
            }
            if attempt < self.channel.attempts {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        let delivery =
            Delivery { channel: self.channel.name.clone(), alerts: alerts.len() + left_out, fault };
        // Whoever keeps the book may be stopping.
        let _ = self.told.try_send(delivery);
    }

    fn message(&mut self, alerts: &[Alert], left_out: usize) -> Message {
        self.count += 1;
        let id = format!("{}-{}-{}", self.channel.name, self.clock.now().as_millisecond(), self.count);
        Message::of(alerts, left_out, &self.head, id)
    }

    async fn attempt(&self, message: &Message) -> Result<(), String> {
        let channel = &self.channel;
        match &channel.way {
            Way::Webhook { url, secret } => {
                let secret =
                    secret.as_ref().map(super::Secret::read).transpose().map_err(|e| e.to_string())?;
                webhook::post(channel, url, secret.as_deref(), message, self.clock.now()).await
            }
            Way::Mail(letter) => {
                let password = letter.password.as_ref().map(super::Secret::read).transpose();
                mail::send(channel, letter, password.map_err(|e| e.to_string())?, message).await
            }
            Way::Command(argv) => command::run(argv, channel.timeout, message).await,
        }
    }
}
