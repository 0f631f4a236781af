//! Alerts: what went wrong, told to whoever is on duty, by webhook, e-mail or a program.
//!
//! Owns the channels and a task for each; writes nothing to disk. Imports `incident` and `model`. The way: an
//! [`Alert`] → [`Post::send`], which never waits → the task of each channel that wants its class: what comes within a few
//! seconds goes in one message, no more than so many messages an hour, each tried several times →
//! [`Delivery`] to whoever keeps the book. Nothing here can hold up a publication.

mod command;
mod mail;
mod message;
mod queue;
mod secret;
#[cfg(test)]
mod tests;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::incident::{Change, Incident, Level, Trouble};
use crate::model::{Contact, Lang};

pub use queue::Post;
pub use secret::Secret;

/// What a channel may want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it; `keys` explains them")]
pub enum Class {
    All,
    Late,
    Missed,
    Rejected,
    Transfer,
    Disk,
    Certificate,
    Clock,
    Mirror,
    Hold,
    Notice,
    Monitor,
    Correction,
    Recovery,
    Other,
    Test,
}

impl Class {
    /// All that can be configured, by their names.
    pub const ALL: [(&'static str, Self); 15] = [
        ("all", Self::All),
        ("late", Self::Late),
        ("missed", Self::Missed),
        ("rejected", Self::Rejected),
        ("transfer", Self::Transfer),
        ("disk", Self::Disk),
        ("certificate", Self::Certificate),
        ("clock", Self::Clock),
        ("mirror", Self::Mirror),
        ("hold", Self::Hold),
        ("notice", Self::Notice),
        ("monitor", Self::Monitor),
        ("correction", Self::Correction),
        ("recovery", Self::Recovery),
        ("other", Self::Other),
    ];

    /// The class of what happened to an incident: a cut is late at first, and missed when that grows.
    pub fn of(incident: &Incident, change: Change) -> Self {
        match incident.kind {
            Trouble::LateCut if change == Change::Opened => Self::Late,
            Trouble::LateCut => Self::Missed,
            Trouble::Rejected | Trouble::Stamp | Trouble::Sum => Self::Rejected,
            Trouble::SlowTransfer | Trouble::SlowPublication | Trouble::Connection => Self::Transfer,
            Trouble::Correction => Self::Correction,
            Trouble::Hold => Self::Hold,
            Trouble::Notice => Self::Notice,
            Trouble::Disk => Self::Disk,
            Trouble::Certificate => Self::Certificate,
            Trouble::Clock => Self::Clock,
            Trouble::Ledger | Trouble::Recovery => Self::Recovery,
            Trouble::Monitor => Self::Monitor,
            Trouble::Mirror => Self::Mirror,
            Trouble::Alert | Trouble::Other => Self::Other,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, class)| *class == self).map_or("test", |(name, _)| name)
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub class: Class,
    /// How grave.
    pub level: Level,
    /// `opened`, `raised`, `noted`, `closed` or `test`.
    pub change: &'static str,
    /// One line, in the language of the instance.
    pub title: String,
    /// What is known, in a few sentences.
    pub text: String,
    /// The incident, where it is about one.
    pub incident: Option<Incident>,
}

/// How a channel is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// JSON by POST, signed where there is a secret.
    Webhook {
        /// Where to.
        url: String,
        /// Key of the signature.
        secret: Option<Secret>,
    },
    /// A message by SMTP.
    Mail(Mail),
    /// A program: its argument vector, no shell; the JSON on its standard input.
    Command(Vec<String>),
}

/// Who carries a message, and from whom to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Name of the server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub tls: MailTls,
    /// Name that is logged in with; empty for none.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
}

/// How the way to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, required (port 587).
    Start,
    /// TLS from the first byte (port 465).
    Implicit,
    /// None: only to this machine.
    None,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// What it wants to be told of.
    pub on: Vec<Class>,
    /// How it is reached.
    pub way: Way,
    /// PEM authority of the server, where it is not a public one.
    pub root: Option<PathBuf>,
    /// Time for one try.
    pub timeout: Duration,
    /// How often one message is tried.
    pub attempts: u32,
    /// Pause before the second try; it doubles for each further one.
    pub pause: Duration,
    /// What comes within this of the first goes in the same message.
    pub group: Duration,
    /// Messages an hour; what is beyond waits and goes together.
    pub per_hour: u32,
}

impl Channel {
    fn wants(&self, alert: &Alert) -> bool {
        let about_itself =
            alert.incident.as_ref().is_some_and(|i| i.kind == Trouble::Alert && i.subject == self.name);
        let asked = self.on.contains(&Class::All) || self.on.contains(&alert.class);
        (asked || alert.class == Class::Test) && !about_itself
    }
}

/// What all messages of an instance have in common.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// Public name of the site.
    pub site: String,
    /// Whom to call.
    pub institute: Contact,
    /// Language of the texts.
    pub lang: Lang,
    /// Zone of the hours in them.
    pub zone: TimeZone,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub channel: String,
    /// Alerts in it.
    pub alerts: usize,
    /// Why it could not be delivered, after every try; `None` if it was.
    pub fault: Option<String>,
}

/// Starts a task for each channel; they end with `stop`.
pub fn start(
    channels: Vec<Channel>,
    head: Letterhead,
    told: mpsc::Sender<Delivery>,
    stop: &CancellationToken,
) -> Post {
    queue::start(channels, &Arc::new(head), &told, stop)
}
