//! The rsync daemon's door: plain on 873 and 2873, under TLS where it is asked for.
//!
//! Owns the listeners' connections, their bounds and clocks, the modules and the passwords
//! of their users. Imports `rsync` (the protocol), `drop` (what a push writes into),
//! `access`, `clock` and `model`. Changes nothing itself; what was received is the drop's.
//!
//! The path of a connection: accept → an address that some module trusts, or closed without
//! a byte → a place among the connections → a thread of its own, so that an idle peer costs
//! a stack and nothing else → greeting, module, password (`guest`) → the session (`visit`).
//! After any error the connection ends and every other goes on; a failed accept ends nothing.

mod door;
mod guest;
mod module;
mod stream;
mod turnstile;
mod visit;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Gate;
use crate::clock::Clock;
use crate::drop::{Drop, VPath, Vanished};
use crate::model::Lang;
use crate::rsync;

pub use door::Door;
pub use module::{Module, SecretsFault, check_secrets};
pub use visit::over_channel;

/// What a door is made of.
pub struct Parts {
    /// What lies behind it.
    pub modules: Vec<Module>,
    /// Its bounds.
    pub limits: Limits,
    /// How pushes are received.
    pub pushes: Pushes,
    /// What pushes write into.
    pub drop: Drop,
    /// Who is listened to, and who may reach a module that names no networks: whoever has
    /// some trusted key's leave to come from there.
    pub gate: Gate,
    /// For TLS listeners.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// For the records.
    pub clock: Clock,
    /// Told of who comes and goes.
    pub watch: Watch,
}

/// Told of every [`Event`], from the connections' threads; should not wait long.
pub type Watch = Arc<dyn Fn(Event) + Send + Sync>;

/// How pushes are received, whatever carries them.
#[derive(Clone, Debug)]
pub struct Pushes {
    /// Language of everything the sender reads.
    pub lang: Lang,
    /// What the daemon says to everybody who connects, line by line.
    pub motd: Vec<String>,
    /// Bounds of one session.
    pub limits: rsync::Limits,
    /// How long a sender waits for its verdict.
    pub verdict_wait: Duration,
    /// Whether a new name may be rebuilt from a kin under another one.
    pub similar: bool,
    /// What becomes of a source that lost files.
    pub vanished: Vanished,
    /// How long a file list may take to come.
    pub list_within: Duration,
}

/// Bounds of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// … from one source (an IPv4 address, or an IPv6 /64).
    pub connections_per_source: usize,
    /// From accept to the end of the arguments.
    pub handshake: Duration,
    /// Without a byte while it is the client's turn.
    pub idle: Duration,
    /// For sessions when the service stops.
    pub drain: Duration,
}

/// Who comes and goes.
#[derive(Debug)]
pub enum Event {
    /// Somebody was let into a module.
    Opened {
        /// Where it comes from.
        addr: IpAddr,
        /// Which module.
        module: String,
        /// As whom.
        sender: String,
    },
    /// That session ended.
    Closed {
        /// Where it came from.
        addr: IpAddr,
        /// Which module.
        module: String,
        /// Its exit status.
        exit: u8,
        /// How long it lasted.
        lasted: Duration,
    },
    /// Somebody was turned away.
    Refused {
        /// Where it came from.
        addr: IpAddr,
        /// Why.
        why: Why,
    },
}

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The address is in none of the trusted networks.
    Network,
    /// No module trusts the address.
    Stranger,
    /// It misbehaved before and must wait.
    Penalty,
    /// A balancer did not say who is behind it.
    Proxy,
    /// There are enough connections.
    Full,
    /// The greeting did not end in time, or not at all.
    Handshake,
    /// No such module, or not for this address.
    Module,
    /// The module has enough sessions.
    Busy,
    /// User or password are wrong, or the digest is too weak.
    Password,
}

impl Why {
    /// The word for ledgers and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "rsync_network",
            Self::Stranger => "rsync_stranger",
            Self::Penalty => "rsync_penalty",
            Self::Proxy => "rsync_proxy",
            Self::Full => "rsync_full",
            Self::Handshake => "rsync_handshake",
            Self::Module => "rsync_module",
            Self::Busy => "rsync_busy",
            Self::Password => "rsync_password",
        }
    }
}

/// The modules that every instance has for those who come through SSH, where a trusted key
/// has been proved already and the file names none.
pub fn usual_modules() -> Vec<Module> {
    let module = |name: &str, path: &str| Module::open(name, VPath::root().join(path.as_ref()));
    vec![module("prep", "sitio"), module("paquetes", "paquetes")]
}
