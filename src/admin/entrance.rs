//! Who may come in: links that open once, and the sessions they open.
//!
//! Nothing is kept on disk: a restart asks everybody for a new link. Secrets are kept as
//! their SHA-256, so that a copy of our memory opens nothing.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::Digest;

/// Links and sessions. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    links: VecDeque<Link>,
    sessions: VecDeque<(Digest, Session)>,
}

#[derive(Debug)]
struct Link {
    token: Digest,
    who: String,
    until: Timestamp,
}

/// Somebody who came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who asked for the link, for the ledger.
    pub who: String,
    /// What every form must carry in its field `csrf`.
    pub csrf: String,
    /// When it ends.
    pub until: Timestamp,
}

impl Entrance {
    /// A new link's token and its end. The oldest of too many is forgotten.
    pub fn link(&self, who: String, now: Timestamp) -> io::Result<(String, Timestamp)> {
        let token = super::secret()?;
        let until = now.saturating_add(LINK_LASTS).unwrap_or(now);
        let mut kept = self.kept();
        kept.links.push_back(Link { token: Digest::of(token.as_bytes()), who, until });
        while kept.links.len() > LINKS_MAX {
            kept.links.pop_front();
        }
        Ok((token, until))
    }

    /// Uses a link up: the secret of the new session, and the session. `None` for a link that was used, has
    /// ended or never was.
    pub(super) fn enter(
        &self,
        token: &str,
        lasts: SignedDuration,
        now: Timestamp,
    ) -> io::Result<Option<(String, Session)>> {
        let (secret, csrf) = (super::secret()?, super::secret()?);
        // Hashes are compared: the time it takes tells nothing of the token.
        let token = Digest::of(token.as_bytes());
        let mut kept = self.kept();
        kept.links.retain(|link| now < link.until);
        let found = kept.links.iter().position(|link| link.token == token);
        let Some(link) = found.and_then(|at| kept.links.remove(at)) else { return Ok(None) };
        let until = now.saturating_add(lasts).unwrap_or(now);
        let session = Session { who: link.who, csrf, until };
        kept.sessions.push_back((Digest::of(secret.as_bytes()), session.clone()));
        while kept.sessions.len() > SESSIONS_MAX {
            kept.sessions.pop_front();
        }
        Ok(Some((secret, session)))
    }

    /// The session of a secret, while it lasts.
    pub(super) fn session(&self, secret: &str, now: Timestamp) -> Option<Session> {
        let secret = Digest::of(secret.as_bytes());
        let kept = self.kept();
        let (_, session) = kept.sessions.iter().find(|(known, _)| *known == secret)?;
        (now < session.until).then(|| session.clone())
    }

    /// Ends a session.
    pub(super) fn leave(&self, secret: &str) {
        let secret = Digest::of(secret.as_bytes());
        self.kept().sessions.retain(|(known, _)| *known != secret);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a link may wait to be opened.
const LINK_LASTS: SignedDuration = SignedDuration::from_mins(10);
/// Links that wait at once.
const LINKS_MAX: usize = 32;
/// People and devices that are in at once.
const SESSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn a_link_opens_once() {
        let entrance = Entrance::default();
        let (token, until) = entrance.link("ana".to_owned(), at(0)).unwrap();
        assert_eq!(until, at(10));
        let (secret, session) = entrance.enter(&token, HOUR, at(9)).unwrap().unwrap();
        assert_eq!(session.who, "ana");
        assert_eq!(entrance.enter(&token, HOUR, at(9)).unwrap(), None);
        assert_eq!(entrance.session(&secret, at(68)), Some(session));
        assert_eq!(entrance.session(&secret, at(69)), None);
        assert_eq!(entrance.session(&token, at(9)), None);
    }

    #[test]
    fn a_link_ends_after_ten_minutes() {
        let entrance = Entrance::default();
        let (token, _) = entrance.link("ana".to_owned(), at(0)).unwrap();
        assert_eq!(entrance.enter(&token, HOUR, at(10)).unwrap(), None);
    }

    #[test]
    fn who_leaves_is_out() {
        let entrance = Entrance::default();
        let (token, _) = entrance.link("ana".to_owned(), at(0)).unwrap();
        let (secret, _) = entrance.enter(&token, HOUR, at(1)).unwrap().unwrap();
        entrance.leave(&secret);
        assert_eq!(entrance.session(&secret, at(1)), None);
    }

    #[test]
    fn too_many_links_forget_the_oldest() {
        let entrance = Entrance::default();
        let (first, _) = entrance.link("ana".to_owned(), at(0)).unwrap();
        for _ in 0..LINKS_MAX {
            entrance.link("ana".to_owned(), at(0)).unwrap();
        }
        assert_eq!(entrance.enter(&first, HOUR, at(1)).unwrap(), None);
    }
}
