//! What can be known before the night, and what to do about it.
//!
//! Looks and changes nothing. [`check`] is what must hold before a service starts: configuration, keys, folders. [`examine`]
//! is wider: it asks one question after the other about clock, names, ports, certificate, disk, keys and machine, and each is
//! answered by an [`Answer`] with its verdict and remedy. What cannot be known is
//! [`Verdict::Unknown`], never good. Questions to the network are bounded in time and are left out on request.
//!
//! One file a family of questions; `firewall` writes rules, `call` knows what each of the five calls asks for and `clauses`
//! measures an instance by it. Imports the rooms whose things it looks at; what it finds are values, said by
//! the command line.

mod answer;
mod call;
mod check;
mod clauses;
mod clock;
mod doors;
mod firewall;
mod hours;
mod machine;
mod names;
mod page;
mod store;
mod trust;

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::Config;

pub use answer::{Answer, Said, Topic, Verdict};
pub use call::Call;
pub use check::{Finding, Weight, check};
pub use clauses::{Clause, Measured, Standing, clauses, measured};
pub use firewall::{Firewall, rules};

/// What an examination is about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Nothing is asked of the network, this machine's own doors apart.
    pub offline: bool,
    /// Public addresses of this machine, where the operator knows them.
    pub public: Vec<IpAddr>,
    /// Address of the site as readers write it; none: `https://` and the domain.
    pub url: Option<String>,
    /// Root of the file system that is looked at; `/`.
    pub root: PathBuf,
}

impl Default for Asked {
    fn default() -> Self {
        Self { offline: false, public: Vec::new(), url: None, root: PathBuf::from("/") }
    }
}

/// What every question may look at.
struct Scene<'a> {
    config: &'a Config,
    asked: &'a Asked,
    clock: &'a Clock,
    now: Timestamp,
    call: Call,
    running: doors::Running,
}

/// Asks every question about the instance; one answer a line, at least one for each topic.
pub fn examine(config: &Config, asked: &Asked, clock: &Clock) -> Vec<Answer> {
    let scene = Scene {
        config,
        asked,
        clock,
        now: clock.now(),
        call: Call::of(config.profile),
        running: doors::Running::ask(config),
    };
    let mut answers = Vec::new();
    for question in QUESTIONS {
        question(&scene, &mut answers);
    }
    answers
}

type Question = fn(&Scene<'_>, &mut Vec<Answer>);

/// In the order of [`Topic::ALL`].
const QUESTIONS: &[Question] = &[
    instance,
    clock::hour,
    clock::keeper,
    hours::tables,
    hours::windows,
    page::certificate,
    names::names,
    names::address,
    doors::ports,
    doors::port_22,
    page::alive,
    trust::keys,
    trust::networks,
    firewall::in_force,
    store::disk,
    store::inodes,
    store::history,
    machine::hardware,
    store::bandwidth,
];

/// What `difusor check` finds, in one line.
fn instance(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let found = check(scene.config, scene.now);
    let faults = found.iter().filter(|f| f.weight == Weight::Fault).count();
    let warnings = found.len() - faults;
    let verdict = match (faults, warnings) {
        (0, 0) => Verdict::Good,
        (0, _) => Verdict::Attention,
        _ => Verdict::Fault,
    };
    if verdict == Verdict::Good {
        let (es, en) =
            ("configuración, llaves y carpetas sin falta", "configuration, keys and folders without fault");
        return answers.push(Answer::good(Topic::Instance, es, en));
    }
    answers.push(
        Answer::of(
            Topic::Instance,
            verdict,
            format!("configuración, llaves y carpetas: {faults} faltas, {warnings} avisos"),
            format!("configuration, keys and folders: {faults} faults, {warnings} warnings"),
        )
        .todo("véalas con: difusor check", "see them with: difusor check"),
    );
}

#[cfg(test)]
mod tests;
