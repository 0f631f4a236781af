//! `[[alert]]`: the channels to whoever is on duty.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::read::{Reader, Section};
use super::value::Bad;
use super::{count, expected, filled, integer, list, one_of, optional, period, positive, text};
use crate::alert::{Channel, Class, Mail, MailTls, Secret, Way};

pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>, base: &Path) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for (at, s) in r.array(root.get("alert"), "alert") {
        let Some(channel) = channel(r, at.clone(), s, base) else { continue };
        if channels.iter().any(|known| known.name == channel.name) {
            let es = format!("el canal «{}» se repite", channel.name);
            let en = format!("channel '{}' repeats", channel.name);
            r.fault(at, Bad { es, en });
        }
        channels.push(channel);
    }
    channels
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Webhook,
    Email,
    Command,
}

fn channel<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>, base: &Path) -> Option<Channel> {
    let name = r.require(s, at.clone(), "name", |v| Ok(filled(v)?.to_owned()));
    let kinds = [("webhook", By::Webhook), ("email", By::Email), ("command", By::Command)];
    let by = r.require(s, at.clone(), "by", |v| one_of(v, &kinds));
    let on = r.get(s, "on", |v| list(v, class))?;
    let way = match by? {
        By::Webhook => webhook(r, at, s, base),
        By::Email => mail(r, at, s, base),
        By::Command => command(r, at, s),
    };
    Some(Channel {
        name: name?,
        on,
        way: way?,
        root: r.get(s, "root", |v| optional(v, |t| Ok(base.join(t))))?,
        timeout: r.get(s, "timeout", positive)?,
        attempts: r.get(s, "attempts", |v| integer(v, 1, 20)).and_then(|n| u32::try_from(n).ok())?,
        pause: r.get(s, "pause", positive)?,
        group: r.get(s, "group", period)?,
        per_hour: r.get(s, "per-hour", |v| integer(v, 1, 10_000)).and_then(|n| u32::try_from(n).ok())?,
    })
}

fn webhook<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>, base: &Path) -> Option<Way> {
    let url = r.require(s, at, "url", url)?;
    Some(Way::Webhook { url, secret: secret_of(r, s, "secret", base)? })
}

fn mail<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>, base: &Path) -> Option<Way> {
    let server = r.require(s, at.clone(), "server", |v| Ok(filled(v)?.to_owned()));
    let from = r.require(s, at.clone(), "from", |v| mailbox(filled(v)?));
    let to = r.require(s, at.clone(), "to", |v| list(v, mailbox));
    let kinds = [("starttls", MailTls::Start), ("tls", MailTls::Implicit), ("none", MailTls::None)];
    let tls = r.get(s, "tls", |v| one_of(v, &kinds))?;
    let port = r.get(s, "port", |v| count(v, 0, 65_535))?;
    let ordinary = match tls {
        MailTls::Start => 587,
        MailTls::Implicit => 465,
        MailTls::None => 25,
    };
    let (server, from, to) = (server?, from?, to?);
    if tls == MailTls::None && !matches!(server.as_str(), "localhost" | "127.0.0.1" | "::1") {
        let es = "alert.tls = \"none\" solo vale hacia esta máquina".to_owned();
        let en = "alert.tls = \"none\" is for this machine only".to_owned();
        r.fault(at, Bad { es, en });
        return None;
    }
    Some(Way::Mail(Mail {
        server,
        port: u16::try_from(port).ok().filter(|p| *p != 0).unwrap_or(ordinary),
        tls,
        user: r.get(s, "user", |v| Ok(text(v)?.to_owned()))?,
        password: secret_of(r, s, "password", base)?,
        from,
        to,
    }))
}

fn command<'t>(r: &mut Reader<'t>, at: Range<usize>, s: Section<'_, 't>) -> Option<Way> {
    let argv = r.require(s, at, "run", |v| {
        let argv: Vec<String> = list(v, |t| Ok(t.to_owned()))?;
        match argv.first().is_some_and(|program| program.starts_with('/')) {
            true => Ok(argv),
            false => Err(expected(
                "se espera una lista que empieza con la ruta absoluta de un programa; no hay intérprete",
                "a list that begins with the absolute path of a program is expected; there is no shell",
            )),
        }
    });
    argv.map(Way::Command)
}

fn class(text: &str) -> Result<Class, Bad> {
    let found = Class::ALL.iter().find(|(name, _)| *name == text).map(|(_, class)| *class);
    found.ok_or_else(|| {
        let all = Class::ALL.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
        expected(format!("«{text}» no es uno de: {all}"), format!("'{text}' is not one of: {all}"))
    })
}

fn url(v: &DeValue<'_>) -> Result<String, Bad> {
    let url = filled(v)?;
    if url.starts_with("https://") || url.starts_with("http://") {
        Ok(url.to_owned())
    } else {
        Err(expected("se espera una dirección https://", "an https:// address is expected"))
    }
}

fn mailbox(text: &str) -> Result<String, Bad> {
    let good = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if good && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(expected(
            format!("«{text}» no es una dirección de correo"),
            format!("'{text}' is not an e-mail address"),
        ))
    }
}

/// `Some(None)` where none is named.
#[expect(clippy::option_option, reason = "the outer one is the reader's: a fault in a key")]
fn secret_of<'t>(
    r: &mut Reader<'t>,
    s: Section<'_, 't>,
    name: &'static str,
    base: &Path,
) -> Option<Option<Secret>> {
    r.get(s, name, |v| secret(v, base))
}

/// `{ file = "…" }`, `{ credential = "…" }` or `{ env = "…" }`; never the secret itself.
pub(super) fn secret(v: &DeValue<'_>, base: &Path) -> Result<Option<Secret>, Bad> {
    let fault = || {
        expected(
            "el secreto no va aquí: { file = \"ruta\" }, { credential = \"nombre\" } o { env = \"VARIABLE\" }",
            "the secret does not go here: { file = \"path\" }, { credential = \"name\" } or { env = \"VARIABLE\" }",
        )
    };
    if v.as_str() == Some("") {
        return Ok(None);
    }
    let table = v.as_table().filter(|t| t.len() == 1).ok_or_else(fault)?;
    let Some((key, value)) = table.iter().next() else { return Err(fault()) };
    let value = filled(value.get_ref())?;
    let key: &str = key.get_ref();
    match key {
        "file" => Ok(Some(Secret::File(base.join(PathBuf::from(value))))),
        "credential" if !value.contains('/') => Ok(Some(Secret::Credential(value.to_owned()))),
        "env" => Ok(Some(Secret::Env(value.to_owned()))),
        _ => Err(fault()),
    }
}
