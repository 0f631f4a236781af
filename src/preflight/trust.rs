//! Who may push through the night, and from where.

use std::io;

use ipnet::IpNet;
use jiff::Timestamp;

use super::answer::{Answer, Topic, Verdict};
use super::{Scene, hours};
use crate::access::{Keyring, Network, TrustedKey, Unusable};

/// Names shown where there are many.
const SHOWN_MAX: usize = 5;

pub(super) fn ring(scene: &Scene<'_>) -> Result<Keyring, Unusable> {
    Keyring::load(&scene.config.paths.keys.join("trusted"), &scene.config.zone)
}

/// Keys are there, and none ends before the last package of the night.
pub(super) fn keys(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let ring = match ring(scene) {
        Ok(ring) => ring,
        Err(error) => return answers.push(unreadable(Topic::Keys, &error)),
    };
    let (now, end) = (scene.now, hours::night_ends(scene));
    let current: Vec<&TrustedKey> = ring.keys().iter().filter(|key| key.is_current(now)).collect();
    let ending: Vec<&TrustedKey> = current.iter().copied().filter(|key| !key.is_current(end)).collect();
    let add = (
        "agregue una: difusor keys add NOMBRE --from RED LLAVE.pub",
        "add one: difusor keys add NAME --from NETWORK KEY.pub",
    );
    if scene.config.ssh.listen.is_empty() {
        let (es, en) = ("la puerta SSH está apagada: no se usan", "the SSH door is off: none is used");
        return answers.push(Answer::good(Topic::Keys, es, en));
    }
    if current.is_empty() {
        let (es, en) =
            ("ninguna vigente: nadie podrá enviar por SSH", "none is current: nobody can push over SSH");
        return answers.push(Answer::of(Topic::Keys, Verdict::Fault, es, en).todo(add.0, add.1));
    }
    let count = current.len();
    if ending.is_empty() {
        let until = day(scene, end);
        return answers.push(Answer::good(
            Topic::Keys,
            format!("{count} vigentes hasta después de la noche ({until})"),
            format!("{count} current until after the night ({until})"),
        ));
    }
    let verdict = if ending.len() == count { Verdict::Fault } else { Verdict::Attention };
    let list = named(ending.iter().map(|key| {
        let at = key.expires.map(|at| day(scene, at)).unwrap_or_default();
        format!("«{}» {at}", key.name)
    }));
    answers.push(
        Answer::of(
            Topic::Keys,
            verdict,
            format!("{} de {count} vencen antes de que acabe la noche: {list}", ending.len()),
            format!("{} of {count} end before the night does: {list}", ending.len()),
        )
        .todo(
            "cambie expiry-time en su línea de keys/trusted",
            "change expiry-time in its line of keys/trusted",
        ),
    );
}

/// Every way in names the networks it may be used from.
pub(super) fn networks(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let ring = match ring(scene) {
        Ok(ring) => ring,
        Err(error) => return answers.push(unreadable(Topic::Networks, &error)),
    };
    let anywhere = |from: Option<(&[IpNet], &[IpNet])>| {
        from.is_none_or(|(nets, _)| nets.iter().any(|n| n.prefix_len() == 0))
    };
    let mut open: Vec<String> = Vec::new();
    let current = ring.keys().iter().filter(|key| key.is_current(scene.now));
    for key in current {
        let lists = key.from.as_ref().map(|from| from.networks());
        if anywhere(lists.as_ref().map(|(nets, not)| (nets.as_slice(), not.as_slice()))) {
            open.push(format!("llave «{}»", key.name));
        }
    }
    let modules = scene.config.rsync.modules.iter();
    open.extend(
        modules
            .filter(|m| m.networks.iter().any(|n| n.prefix_len() == 0))
            .map(|m| format!("rsync «{}»", m.name)),
    );
    let (trusted, _) = trusted(scene);
    let end = hours::night_ends(scene);
    let ending = scene.config.trust.networks.iter();
    let ending = ending.filter(|net| net.is_current(scene.now) && !net.is_current(end));
    let ending: Vec<String> = ending.map(|net| net.net().to_string()).collect();
    if !ending.is_empty() {
        let list = named(ending.into_iter());
        return answers.push(
            Answer::of(
                Topic::Networks,
                Verdict::Attention,
                format!("dejan de ser de confianza antes de que acabe la noche: {list}"),
                format!("trusted no longer before the night ends: {list}"),
            )
            .todo("cambie su expires en [trust] networks", "change its expires in [trust] networks"),
        );
    }
    // Where the list of the house names networks, nothing of this is open to others.
    if !open.is_empty() && scene.config.trust.networks.is_empty() {
        let list = named(open.into_iter());
        return answers.push(
            Answer::of(
                Topic::Networks,
                Verdict::Attention,
                format!("valen desde cualquier dirección: {list}"),
                format!("valid from any address: {list}"),
            )
            .todo(
                "añada from=\"RED\" a la llave, o networks al módulo",
                "add from=\"NETWORK\" to the key, or networks to the module",
            ),
        );
    }
    if trusted.is_empty() {
        let (es, en) = ("ninguna: no se admite a nadie", "none: nobody is admitted");
        return answers.push(Answer::of(Topic::Networks, Verdict::Fault, es, en).todo(
            "pida sus direcciones al instituto y use difusor keys add --from",
            "ask the institute for its addresses and use difusor keys add --from",
        ));
    }
    let list = named(trusted.iter().map(ToString::to_string));
    answers.push(Answer::good(Topic::Networks, list.clone(), list));
}

/// All networks that anything of ours is trusted from, and those that are taken out of them.
/// Where `[trust]` names any, nobody else is heard, whatever keys and modules say.
pub(super) fn trusted(scene: &Scene<'_>) -> (Vec<IpNet>, Vec<IpNet>) {
    let (mut nets, mut excluded) = (Vec::new(), Vec::new());
    let house = &scene.config.trust.networks;
    if !house.is_empty() {
        nets.extend(house.iter().filter(|net| net.is_current(scene.now)).map(Network::net));
        return (IpNet::aggregate(&nets), excluded);
    }
    if let Ok(ring) = ring(scene) {
        for key in ring.keys().iter().filter(|key| key.is_current(scene.now)) {
            if let Some((from, not)) = key.from.as_ref().map(|from| from.networks()) {
                nets.extend(from);
                excluded.extend(not);
            }
        }
    }
    nets.extend(scene.config.rsync.modules.iter().flat_map(|module| &module.networks));
    (IpNet::aggregate(&nets), IpNet::aggregate(&excluded))
}

fn unreadable(topic: Topic, error: &Unusable) -> Answer {
    let denied =
        matches!(error, Unusable::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied);
    let (es, en) = (error.text(crate::model::Lang::Es), error.text(crate::model::Lang::En));
    match denied {
        true => {
            Answer::of(topic, Verdict::Unknown, es, en).todo("ejecute doctor como root", "run doctor as root")
        }
        false => Answer::of(topic, Verdict::Fault, es, en)
            .todo("véalo con: difusor check", "see it with: difusor check"),
    }
}

fn day(scene: &Scene<'_>, at: Timestamp) -> String {
    at.to_zoned(scene.config.zone.clone()).strftime("%F %H:%M").to_string()
}

fn named(names: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names.collect();
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut text = all.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" … +{more}"));
    }
    text
}
