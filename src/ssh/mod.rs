//! The SSH door, and the programs behind it.
//!
//! Owns the listening socket's sessions and `keys/host/`. A [`Door`] takes connections
//! from trusted addresses, proves keys at the [`Gate`](crate::access::Gate) and runs
//! [`Programs`] on channels; programs see an [`io::Io`] and nothing of SSH: [`sftp`], [`scp`]
//! and the command lines of [`exec`], all over the drop's view of a sender. After an error in
//! one connection that connection is over and nothing else has changed.

mod algorithms;
mod door;
pub mod exec;
mod guard;
mod hostkey;
pub mod io;
mod life;
mod limits;
pub mod program;
mod refusals;
#[cfg(test)]
mod rig;
pub mod scp;
mod session;
pub mod sftp;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_clients;
mod visitor;

pub use door::{Door, End, Event, Parts, Watch};
pub use hostkey::{
    HostKey, HostKeyError, HostKeys, Kinds, prepare as prepare_host_key, switch as switch_host_key,
};
pub use limits::Limits;
pub use refusals::{Tally, Why};
pub use session::{Exec, Program, Programs, Sftp, Status};

/// How old the clients may be that we still speak with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// Those that know a key exchange which quantum computers do not break (OpenSSH ≥ 9.9,
    /// PuTTY ≥ 0.83); encrypt-then-MAC only.
    Strict,
    /// Those of the last ten years; each is offered no more than its kind needs.
    #[default]
    Modern,
    /// Also those that know only SHA-1 signatures, group 14 and RSA host keys
    /// (OpenSSH 5.3 of CentOS 6). Weaker; an operator must ask for it.
    Legacy,
}
