//! What the greeting may tell one peer: the modules it may know of, and their passwords.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::module::{Module, Said};
use super::turnstile::{Place, Turnstile};
use super::{Pushes, Why};
use crate::rsync::daemon;

/// How a peer has proved itself before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// By its address, of which this is said.
    Address(Said),
    /// By a trusted key, over SSH: no password could say more.
    Key,
}

/// One peer at the greeting.
#[derive(Debug)]
pub(super) struct Guest<'h> {
    modules: &'h [Module],
    pushes: &'h Pushes,
    turnstile: &'h Arc<Turnstile>,
    addr: IpAddr,
    proof: Proof,
    state: Mutex<State>,
}

/// How far it came.
#[derive(Debug, Default)]
struct State {
    place: Option<Place>,
    stuck: Option<Why>,
}

impl<'h> Guest<'h> {
    pub(super) fn new(
        modules: &'h [Module],
        pushes: &'h Pushes,
        turnstile: &'h Arc<Turnstile>,
        addr: IpAddr,
        proof: Proof,
    ) -> Self {
        Self { modules, pushes, turnstile, addr, proof, state: Mutex::default() }
    }

    /// Whether any module may be known to it.
    pub(super) fn is_welcome(&self) -> bool {
        self.known().next().is_some()
    }

    /// A module by its name, if it may know of it.
    pub(super) fn module(&self, name: &[u8]) -> Option<&'h Module> {
        self.known().find(|module| module.name.as_bytes() == name)
    }

    /// Where the greeting got stuck, if it did.
    pub(super) fn stuck(&self) -> Why {
        self.state().stuck.unwrap_or(Why::Handshake)
    }

    /// Its place in the module, to be held as long as the session lasts.
    pub(super) fn seat(&self) -> Option<Place> {
        self.state().place.take()
    }

    fn known(&self) -> impl Iterator<Item = &'h Module> {
        let (addr, proof) = (self.addr, self.proof);
        self.modules.iter().filter(move |module| match proof {
            Proof::Key => true,
            Proof::Address(said) => module.trusts(addr, said),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl daemon::Modules for Guest<'_> {
    fn motd(&self) -> Vec<String> {
        self.pushes.motd.clone()
    }

    fn list(&self) -> Vec<(String, String)> {
        let listed = self.known().filter(|module| module.listed);
        listed.map(|module| (module.name.clone(), module.comment.clone())).collect()
    }

    fn find(&self, name: &[u8]) -> Option<daemon::Module> {
        let Some(module) = self.module(name) else {
            self.state().stuck = Some(Why::Module);
            return None;
        };
        let auth = !module.users.is_empty() && self.proof != Proof::Key;
        Some(daemon::Module {
            auth,
            floor: auth.then(|| module.digest.clone()),
            read_only: false,
            refuse: Vec::new(),
            timeout: u32::try_from(module.timeout.as_secs()).unwrap_or(u32::MAX),
        })
    }

    fn enter(&self, name: &[u8]) -> Result<(), u32> {
        let Some(module) = self.module(name) else { return Err(0) };
        let place = self.turnstile.enter(&module.name, module.sessions_max);
        let mut state = self.state();
        if place.is_none() {
            state.stuck = Some(Why::Busy);
            return Err(u32::try_from(module.sessions_max).unwrap_or(u32::MAX));
        }
        state.place = place;
        if !module.users.is_empty() && self.proof != Proof::Key {
            // What fails from here to the end of the greeting is the password.
            state.stuck = Some(Why::Password);
        }
        Ok(())
    }

    fn secret(&self, module: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        self.module(module)?.secret(user)
    }

    fn random(&self) -> [u8; 32] {
        super::visit::random()
    }
}
