//! What this process may do, given up before the first stranger is heard, and proved to be gone.
//!
//! Owns nothing. In comes a [`Plan`]: whose process it becomes, which folders it writes, which ports it
//! opens. Out comes a [`State`] that says what holds and what does not, and why: a kernel without Landlock, a
//! container that forbids seccomp, are no reason to leave readers without results, but nobody is told
//! that a wall stands where there is none. Imports no other room.
//!
//! The flow of [`enter`]: user (`identity`) → capabilities → no new privileges → Landlock (`walls`) →
//! seccomp (`calls`) → attempts at what is forbidden (`proof`). All of it is of the calling thread and of those it
//! starts later: it must come before any other thread is there.

mod calls;
mod identity;
mod proof;
mod walls;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

pub use identity::{Identity, Unknown};

/// What is left to the process.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Whose process it becomes when root started it.
    pub user: Option<Identity>,
    /// Folders it writes; everything else is read at most.
    pub writable: Vec<PathBuf>,
    /// A folder that goes away with the process: it may be emptied and removed.
    pub passing: Option<PathBuf>,
    /// Ports it still has to open.
    pub ports: Vec<u16>,
    /// A folder that must not be writable: that of the configuration.
    pub guarded: PathBuf,
    /// A folder that is.
    pub own: PathBuf,
}

/// How much of the sandbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// Not all: [`State::missing`] says what.
    Partial,
    /// Everything, and every attempt failed.
    Enforced,
}

/// What holds, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// In one word.
    pub level: Level,
    /// Number of the user.
    pub uid: u32,
    /// Powers of root that are left, by name.
    pub capabilities: Vec<String>,
    /// Whether no program can give more.
    pub no_new_privileges: bool,
    /// Landlock: `enforced`, `partial` (an older kernel), `off`.
    pub landlock: Level,
    /// Calls to the kernel that are refused.
    pub seccomp: Level,
    /// What was tried, and whether it was refused.
    pub tried: BTreeMap<String, bool>,
    /// What does not hold, and why.
    pub missing: Vec<String>,
}

/// Gives up what the plan does not leave, and tries whether it is gone. Fails only where the user cannot be
/// changed: to go on as root would be the opposite of what was asked for.
pub fn enter(plan: &Plan) -> io::Result<State> {
    let mut missing = Vec::new();
    if let Some(user) = &plan.user
        && rustix::process::geteuid().is_root()
    {
        user.become_it()?;
    }
    let root = rustix::process::geteuid().is_root();
    if root {
        missing.push("user: root; set service.user".to_owned());
    }
    note(&mut missing, "capabilities", reduce(root));
    note(&mut missing, "no_new_privs", rustix::thread::set_no_new_privs(true).map_err(Into::into));
    let landlock = walls::raise(plan).unwrap_or_else(|why| {
        missing.push(format!("landlock: {why}"));
        Level::Off
    });
    if landlock == Level::Partial {
        missing.push("landlock: this kernel has a part of it".to_owned());
    }
    let seccomp = match calls::refuse() {
        Ok(()) => Level::Enforced,
        Err(why) => {
            missing.push(format!("seccomp: {why}"));
            Level::Off
        }
    };
    Ok(found(plan, landlock, seccomp, missing))
}

/// What is so, read back from the kernel and tried.
fn found(plan: &Plan, landlock: Level, seccomp: Level, mut missing: Vec<String>) -> State {
    let left = rustix::thread::capabilities(None).map(|sets| sets.effective | sets.permitted);
    let left = left.unwrap_or(CapabilitySet::all());
    let capabilities: Vec<String> = left.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    let no_new_privileges = rustix::thread::no_new_privs().unwrap_or(false);
    let tried: BTreeMap<String, bool> =
        proof::attempts(plan).into_iter().map(|(what, refused)| (what.to_owned(), refused)).collect();
    for (what, _) in tried.iter().filter(|(_, refused)| !**refused) {
        missing.push(format!("not refused: {what}"));
    }
    if !capabilities.is_empty() {
        missing.push(format!("capabilities left: {}", capabilities.join(" ")));
    }
    let any = landlock != Level::Off || seccomp != Level::Off;
    let level = match (missing.is_empty(), any) {
        (true, _) => Level::Enforced,
        (false, true) => Level::Partial,
        (false, false) => Level::Off,
    };
    let uid = rustix::process::geteuid().as_raw();
    State { level, uid, capabilities, no_new_privileges, landlock, seccomp, tried, missing }
}

/// Leaves no capability; to root who was given no user, those over files and leases that an instance of
/// another owner needs.
fn reduce(root: bool) -> io::Result<()> {
    let files = CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::LEASE;
    let had = rustix::thread::capabilities(None)?;
    let keep = if root { files & had.permitted } else { CapabilitySet::empty() };
    if had.permitted == keep && had.effective == keep {
        return Ok(());
    }
    // Refused to who has no capability to lower it with: then nothing is ambient either.
    let _ = rustix::thread::clear_ambient_capability_set();
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

fn note(missing: &mut Vec<String>, what: &str, done: io::Result<()>) {
    if let Err(error) = done {
        missing.push(format!("{what}: {error}"));
    }
}
