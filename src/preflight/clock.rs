//! Is the clock right, and who keeps it so? (T-42)

use std::time::Duration;

use jiff::SignedDuration;

use super::Scene;
use super::answer::{Answer, Topic, Verdict};
use crate::ntp::{self, Keeper};

/// From here on the operator should know (T-42).
const WARNED: SignedDuration = SignedDuration::from_secs(1);
/// From here on cuts and windows are wrong (T-42).
const CRITICAL: SignedDuration = SignedDuration::from_secs(5);

/// The hour, compared with a server's; without one, what the keeper of the clock says.
pub(super) fn hour(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let doctor = &scene.config.doctor;
    let mut silent = Vec::new();
    if !scene.asked.offline {
        for server in &doctor.ntp {
            match ntp::ask(server, doctor.timeout, scene.clock) {
                Ok(answer) => return answers.push(compared(server, answer.ahead, answer.delay)),
                Err(error) => silent.push(format!("{server}: {error}")),
            }
        }
    }
    answers.push(unmeasured(ntp::kept(&scene.asked.root, doctor.timeout), &silent.join("; ")));
}

fn compared(server: &str, ahead: SignedDuration, delay: SignedDuration) -> Answer {
    let off = ahead.abs();
    // What the way may hide is not held against the clock.
    let sure = (off - delay / 2).max(SignedDuration::ZERO);
    let ms = off.as_millis();
    let (es, en) = match ahead.is_negative() {
        false => (format!("adelantado {ms} ms según {server}"), format!("{ms} ms ahead of {server}")),
        true => (format!("atrasado {ms} ms según {server}"), format!("{ms} ms behind {server}")),
    };
    let verdict = match sure {
        off if off > CRITICAL => Verdict::Fault,
        off if off > WARNED => Verdict::Attention,
        _ => return Answer::good(Topic::Clock, es, en),
    };
    Answer::of(Topic::Clock, verdict, es, en).todo(
        "póngalo en hora: timedatectl set-ntp true (o instale chrony) y permita UDP 123 de salida",
        "set it: timedatectl set-ntp true (or install chrony) and let UDP 123 out",
    )
}

fn unmeasured(keeper: Keeper, silent: &str) -> Answer {
    let (es, en) = match silent {
        "" => (String::new(), String::new()),
        silent => (format!(" (sin respuesta: {silent})"), format!(" (no answer: {silent})")),
    };
    match keeper {
        Keeper::InStep(who) => Answer::good(
            Topic::Clock,
            format!("sincronizado según {who}; la diferencia no se midió{es}"),
            format!("synchronised, says {who}; the difference was not measured{en}"),
        ),
        Keeper::OutOfStep(who) => Answer::of(
            Topic::Clock,
            Verdict::Attention,
            format!("{who} dice que no está sincronizado{es}"),
            format!("{who} says that it is not synchronised{en}"),
        )
        .todo("permita UDP 123 de salida y espere; luego otra vez difusor doctor", "let UDP 123 out and wait; then difusor doctor again"),
        Keeper::Unknown => Answer::of(
            Topic::Clock,
            Verdict::Unknown,
            format!("nada ni nadie pudo decir si está en hora{es}"),
            format!("nothing and nobody could tell whether it is right{en}"),
        )
        .todo(
            "compárelo a mano (https://www.cenam.mx/hora_oficial/), o indique un servidor alcanzable en doctor.ntp",
            "compare it by hand, or name a server that can be reached in doctor.ntp",
        ),
    }
}

/// A clock that is right today and kept by nobody is wrong some other day (Durango II.e).
pub(super) fn keeper(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let wait = scene.config.doctor.timeout.max(Duration::from_secs(1));
    let remedy = (
        "active uno: timedatectl set-ntp true, o apt install chrony",
        "turn one on: timedatectl set-ntp true, or apt install chrony",
    );
    answers.push(match ntp::kept(&scene.asked.root, wait) {
        Keeper::InStep(who) => Answer::good(
            Topic::ClockKeeper,
            format!("{who} mantiene la hora"),
            format!("{who} keeps the hour"),
        ),
        Keeper::OutOfStep(who) => Answer::of(
            Topic::ClockKeeper,
            Verdict::Attention,
            format!("según {who} nadie mantiene la hora todavía"),
            format!("{who}: nobody keeps the hour yet"),
        )
        .todo(remedy.0, remedy.1),
        Keeper::Unknown => Answer::of(
            Topic::ClockKeeper,
            Verdict::Unknown,
            "no se sabe si algún cliente NTP mantiene la hora (en un contenedor lo hace el anfitrión)",
            "whether an NTP client keeps the hour is not known (in a container the host's does)",
        )
        .todo(remedy.0, remedy.1),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_told_and_five_are_a_fault() {
        let verdict = |ms, delay| {
            compared("x", SignedDuration::from_millis(ms), SignedDuration::from_millis(delay)).verdict
        };
        assert_eq!(verdict(900, 0), Verdict::Good);
        assert_eq!(verdict(-900, 0), Verdict::Good);
        assert_eq!(verdict(1_500, 100), Verdict::Attention);
        assert_eq!(verdict(-6_000, 100), Verdict::Fault);
        // A slow way hides as much as half of it.
        assert_eq!(verdict(1_500, 2_000), Verdict::Good);
    }

    #[test]
    fn what_nobody_knows_is_never_good() {
        assert_eq!(unmeasured(Keeper::Unknown, "").verdict, Verdict::Unknown);
        assert_eq!(unmeasured(Keeper::OutOfStep("chrony"), "").verdict, Verdict::Attention);
        assert_eq!(unmeasured(Keeper::InStep("chrony"), "a: b").verdict, Verdict::Good);
    }
}
