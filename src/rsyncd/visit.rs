//! One greeted client: from its arguments to its exit status.

use std::io::{BufReader, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::guest::{Guest, Proof};
use super::module::{Module, Said};
use super::stream::{Stream, Timed};
use super::turnstile::Turnstile;
use super::{Event, Limits, Pushes, Watch, Why};
use crate::access::{Gate, Grant, Offence, Proof as Proved, Rights};
use crate::clock::Clock;
use crate::drop::{Drop, PushConfig, Start, View};
use crate::model::Via;
use crate::rsync::daemon::{self, Greeted};
use crate::rsync::{self, Exit, ForeignLinks, Settings};

/// What all connections share.
pub(super) struct House {
    pub(super) modules: Vec<Module>,
    pub(super) limits: ArcSwap<Limits>,
    pub(super) pushes: Pushes,
    pub(super) drop: Drop,
    pub(super) turnstile: Arc<Turnstile>,
    pub(super) gate: Gate,
    pub(super) clock: Clock,
    pub(super) watch: Watch,
}

impl House {
    /// Serves one connection to its end. `working` is set once it is past its greeting;
    /// `revoked` is cancelled when its address is trusted no longer.
    pub(super) fn attend(
        &self,
        stream: Stream,
        addr: IpAddr,
        said: Said,
        working: &Arc<AtomicBool>,
        revoked: CancellationToken,
    ) {
        let begun = Instant::now();
        let Ok((output, last)) = stream.try_clone().and_then(|a| Ok((a, stream.try_clone()?))) else {
            return;
        };
        let limits = self.limits.load();
        let deadline = begun + limits.handshake;
        let input = Timed::new(stream, deadline, limits.idle, Arc::clone(working));
        let input = BufReader::with_capacity(GREETING_BYTES, input);
        let guest = Guest::new(&self.modules, &self.pushes, &self.turnstile, addr, Proof::Address(said));
        let mut stay = None;
        let admit = |greeted: &Greeted, module: &Module| {
            working.store(true, Ordering::Release);
            let user = greeted.user.as_deref().map(|user| String::from_utf8_lossy(user).into_owned());
            let sender = user.clone().unwrap_or_else(|| module.name.clone());
            (self.watch)(Event::Opened { addr, module: module.name.clone(), sender: sender.clone() });
            let grant = Grant {
                name: sender,
                // There is no key.
                fingerprint: String::new(),
                addr,
                user: user.unwrap_or_default(),
                proof: Proved::Address,
                rights: Rights::default(),
                revoked,
            };
            stay = Some(self.gate.enter(&grant, self.clock.now()));
            self.drop.view(grant, Via::RsyncDaemon)
        };
        let done = converse(&guest, &self.pushes, Box::new(input), Box::new(output), admit);
        match done {
            Ok(Some((module, exit))) => {
                (self.watch)(Event::Closed { addr, module, exit: exit.code(), lasted: begun.elapsed() });
            }
            // A list was all that was asked for.
            Ok(None) => {}
            Err(why) => {
                let offence = match why {
                    Why::Password => Offence::Proof,
                    Why::Handshake => Offence::Grace,
                    _ => Offence::Nothing,
                };
                self.gate.punish(addr, offence, self.clock.now());
                self.gate.count_refused(why.name());
                (self.watch)(Event::Refused { addr, why });
            }
        }
        drop(stay);
        last.shut();
    }
}

/// The daemon's protocol over a channel on which a trusted key was proved (`rsync -e ssh
/// host::module/`); the value is the exit status.
pub fn over_channel(
    modules: &[Module],
    pushes: &Pushes,
    view: View,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
) -> u32 {
    let (turnstile, addr) = (Arc::new(Turnstile::default()), view.grant.addr);
    let guest = Guest::new(modules, pushes, &turnstile, addr, Proof::Key);
    match converse(&guest, pushes, input, output, |_, _| view) {
        Ok(Some((_, exit))) => exit.code().into(),
        Ok(None) => 0,
        Err(_) => Exit::Start.code().into(),
    }
}

/// Greets, and serves what the client asks for.
fn converse(
    guest: &Guest<'_>,
    pushes: &Pushes,
    mut input: Box<dyn Read + Send>,
    mut output: Box<dyn Write + Send>,
    admit: impl FnOnce(&Greeted, &Module) -> View,
) -> Result<Option<(String, Exit)>, Why> {
    let lang = pushes.lang.into();
    let greeted = match daemon::greet(&mut *input, &mut *output, guest, &pushes.limits, lang) {
        Ok(Some(greeted)) => greeted,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::debug!(%error, "rsync greeting ended");
            return Err(if error.exit == Exit::Timeout { Why::Handshake } else { guest.stuck() });
        }
    };
    let Some(module) = guest.module(&greeted.module) else { return Err(Why::Module) };
    let _place = guest.seat();
    let push = admit(&greeted, module).push(PushConfig {
        start: Start::Confined(module.root.clone()),
        module: module.name.clone(),
        verdict_wait: pushes.verdict_wait,
        similar: pushes.similar,
        vanished: pushes.vanished,
    });
    let io_timeout = u32::try_from(module.timeout.as_secs()).unwrap_or(u32::MAX);
    let settings = Settings { version: Some(greeted.protocol), io_timeout, ..pushes.settings() };
    // The daemon's protocol has no stream for errors beside its own.
    let mut stderr = |line: &str| tracing::debug!(line, "rsync session");
    let exit = match &greeted.refused {
        None => rsync::serve(greeted.options, input, output, &mut stderr, &push, &settings),
        Some(error) => rsync::refuse(error, input, output, &mut stderr, &settings),
    };
    Ok(Some((module.name.clone(), exit)))
}

impl Pushes {
    /// What a session over SSH is told; the daemon's protocol adds its version.
    pub fn settings(&self) -> Settings {
        let [a, b, c, d, ..] = random();
        Settings {
            limits: self.limits,
            lang: self.lang.into(),
            version: None,
            seed: (i32::from_le_bytes([a, b, c, d]) & i32::MAX).max(1),
            links: ForeignLinks::Refuse,
            io_timeout: 0,
            keepalive: KEEPALIVE,
            // The tree decides: what lies beside the site is no tree that must be whole.
            whole_only: false,
            keeps_broken: true,
            list_within: self.list_within,
        }
    }
}

/// Bytes that nobody can foresee.
pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    if rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).is_err() {
        tracing::error!("no random bytes; a challenge cannot be trusted");
    }
    bytes
}

/// The greeting is a few lines; larger reads pass the buffer by.
const GREETING_BYTES: usize = 1024;

/// While a verdict is reached, clients hear from us this often.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(10);
