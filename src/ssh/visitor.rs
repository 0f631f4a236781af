//! russh's callbacks, translated: each is one decision and leaves the rest to others.
//!
//! Every request gets an answer. russh's defaults send neither success nor failure, and a
//! client that wants a reply would wait for ever.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::{Certificate, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::oneshot;

use super::algorithms::RSA_SHA1;
use super::door::House;
use super::life::{Life, Phase};
use super::limits::Place;
use super::session::{Program, converse};
use super::{Compat, Why};
use crate::access::{Grant, PASSWORD_BYTES_MAX, Refusal, Stay};

/// The peer of one connection.
pub(super) struct Visitor {
    house: Arc<House>,
    addr: IpAddr,
    life: Arc<Life>,
    place: Place,
    stay: Option<Stay>,
    /// Channels that wait for their program.
    unstarted: HashMap<ChannelId, oneshot::Sender<Program>>,
}

impl Visitor {
    pub(super) fn new(house: Arc<House>, addr: IpAddr, life: Arc<Life>, place: Place) -> Self {
        Self { house, addr, life, place, stay: None, unstarted: HashMap::new() }
    }

    fn judge(&self, user: &str, offered: &Offered<'_>) -> Result<Grant, ()> {
        let (gate, now) = (&self.house.gate, self.house.clock.now());
        let judged = match offered.certificate {
            _ if *offered.algorithm == RSA_SHA1 && self.house.compat == Compat::Modern => {
                Err(Refusal::Algorithm)
            }
            Some(certificate) => gate.certified(user, certificate, self.addr, now),
            None => gate.offered(user, offered.key, self.addr, now),
        };
        judged.and_then(|grant| offered.attended(grant)).map_err(|refusal| {
            let fingerprint = offered.key.fingerprint(russh::keys::HashAlg::Sha256);
            let user: String = user.chars().take(USER_CHARS_MAX).flat_map(char::escape_default).collect();
            tracing::debug!(addr = %self.addr, %fingerprint, user, reason = %refusal, "key refused");
            self.life.proved_nothing();
            self.house.refuse(self.addr, why(&refusal), format!("{user} {fingerprint}"));
        })
    }

    /// Lets somebody in who has proved what the grant rests on.
    fn enter(&mut self, grant: Grant) -> Auth {
        if self.place.seat().is_err() {
            self.house.refuse(self.addr, Why::Full, grant.name);
            return Auth::reject();
        }
        self.stay = Some(self.house.gate.enter(&grant, self.house.clock.now()));
        self.house.opened(&grant);
        self.life.authenticated(grant);
        Auth::Accept
    }

    /// Gives the channel its program, the first and only one.
    fn begin(&mut self, channel: ChannelId, make: impl FnOnce(&House, &Grant) -> Program) -> Answer {
        let Some(grant) = self.life.grant() else { return Answer::No };
        if self.house.stop.is_cancelled() || grant.revoked.is_cancelled() {
            return Answer::No;
        }
        let Some(start) = self.unstarted.remove(&channel) else { return Answer::No };
        self.life.reach(Phase::Working);
        self.life.touch();
        match start.send(make(&self.house, grant)) {
            Ok(()) => Answer::Yes,
            Err(_) => Answer::No,
        }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let offered = Offered {
            key: offer.public_key,
            algorithm: offer.algorithm,
            certificate: offer.certificate,
            signed: None,
        };
        Ok(match self.judge(user, &offered) {
            Ok(_) => Auth::Accept,
            Err(()) => Auth::reject(),
        })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self
            .judge(user, &Offered::verified(&key, None))
            .map_or_else(|()| Auth::reject(), |g| self.enter(g)))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let offered = Offered::verified(&key, Some(certificate));
        Ok(self.judge(user, &offered).map_or_else(|()| Auth::reject(), |g| self.enter(g)))
    }

    /// Takes the same work and the same time for a wrong password as for a wrong user. Who
    /// guesses waits: passwords come from the institute's networks only, which are never banned.
    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let (house, addr) = (Arc::clone(&self.house), self.addr);
        let judged = match house.gate.passwords(addr, house.clock.now()) {
            Some(passwords) if password.len() <= PASSWORD_BYTES_MAX && user.len() <= USER_BYTES_MAX => {
                tokio::time::sleep(house.gate.password_wait(addr)).await;
                let _turn = house.hashing.acquire().await;
                let (name, password) = (user.to_owned(), password.to_owned());
                let proving = tokio::task::spawn_blocking(move || passwords.prove(&name, &password));
                let proved = proving.await.ok().flatten();
                house.gate.password_tried(addr, proved.is_some());
                match proved {
                    Some(hash) => house.gate.knows_password(user, hash, addr, house.clock.now()),
                    None => Err(Refusal::Password),
                }
            }
            _ => Err(Refusal::Password),
        };
        Ok(match judged {
            Ok(grant) => self.enter(grant),
            Err(refusal) => {
                let user: String = user.chars().take(USER_CHARS_MAX).flat_map(char::escape_default).collect();
                self.life.proved_nothing();
                self.house.refuse(addr, why(&refusal), user);
                Auth::reject()
            }
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(open) = self.life.open_channel() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let (start, started) = oneshot::channel();
        // Channels that closed unused.
        self.unstarted.retain(|_, start| !start.is_closed());
        self.unstarted.insert(channel.id(), start);
        let (handle, life) = (session.handle(), self.life.clone());
        self.life.spawn(async move {
            converse(channel, handle, started, life).await;
            drop(open);
        });
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if command.len() > self.life.limits.command_bytes_max {
            return Answer::No.give(session, channel);
        }
        self.begin(channel, |house, grant| (house.programs.exec)(grant, command)).give(session, channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name != "sftp" {
            return Answer::No.give(session, channel);
        }
        self.begin(channel, |house, grant| (house.programs.sftp)(grant)).give(session, channel)
    }

    /// `ssh host` alone: there is no shell, but there is something to say.
    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let status = |house: &House, grant: &Grant| -> Program {
            let (status, grant) = (house.programs.status.clone(), grant.clone());
            Box::new(move |io| match io.out(status(&grant).into_bytes()) {
                Ok(()) => 0,
                Err(_) => 1,
            })
        };
        self.begin(channel, status).give(session, channel)
    }

    /// Accepted and forgotten: many clients send LANG and their users could not care less.
    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Answer::Yes.give(session, channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Answer::No.give(session, channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _auth_protocol: &str,
        _auth_cookie: &str,
        _screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Answer::No.give(session, channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Answer::No.give(session, channel)
    }

    /// False makes russh answer with failure.
    async fn agent_request(
        &mut self,
        _channel: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }

    // Channels of other kinds (direct-tcpip, direct-streamlocal, x11) and global requests
    // (tcpip-forward, streamlocal-forward) are refused by russh's own defaults: a reply
    // that is dropped says "administratively prohibited", `false` says failure.
}

/// A key, or the certificate of one, before or after its owner signed.
struct Offered<'a> {
    key: &'a PublicKey,
    algorithm: &'a russh::keys::Algorithm,
    certificate: Option<&'a Certificate>,
    /// The flags of a security key's signature (0 for other keys), once there is one.
    signed: Option<u8>,
}

impl<'a> Offered<'a> {
    fn verified(key: &VerifiedPublicKey<'a>, certificate: Option<&'a Certificate>) -> Self {
        let signed = Some(key.security_flags.unwrap_or(0));
        Self { key: key.public_key, algorithm: key.algorithm, certificate, signed }
    }

    /// Whether a security key was touched, and asked for its PIN, where its line wants that
    /// (OpenSSH's PROTOCOL.u2f).
    fn attended(&self, grant: Grant) -> Result<Grant, Refusal> {
        use russh::keys::Algorithm::{SkEcdsaSha2NistP256, SkEd25519};
        let is_security_key = matches!(self.algorithm, SkEd25519 | SkEcdsaSha2NistP256);
        let Some(flags) = self.signed else { return Ok(grant) };
        let touched = !is_security_key || grant.rights.untouched || flags & PRESENT != 0;
        let verified = !grant.rights.verify || flags & VERIFIED != 0;
        if touched && verified { Ok(grant) } else { Err(Refusal::Presence(grant.name)) }
    }
}

/// The answer to a channel request, where one is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl Answer {
    fn give(self, session: &mut Session, channel: ChannelId) -> Result<(), russh::Error> {
        match self {
            Self::Yes => session.channel_success(channel),
            Self::No => session.channel_failure(channel),
        }
    }
}

pub(super) fn why(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Network => Why::Network,
        Refusal::Penalty => Why::Penalty,
        Refusal::UnknownAuthority => Why::UnknownAuthority,
        Refusal::Certificate(..) => Why::Certificate,
        Refusal::Presence(_) => Why::Presence,
        Refusal::Password => Why::Password,
        Refusal::Stranger => Why::Stranger,
        Refusal::UnknownKey => Why::UnknownKey,
        Refusal::Address(_) => Why::KeyAddress,
        Refusal::Expired(_) => Why::KeyExpired,
        Refusal::User => Why::User,
        Refusal::Algorithm => Why::Algorithm,
    }
}

/// A security key's flags: its user was present, and was verified.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;
/// Longer than any name of ours.
const USER_BYTES_MAX: usize = 256;
/// A user name in a ledger line; what is longer was not one.
const USER_CHARS_MAX: usize = 64;
