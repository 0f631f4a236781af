//! Is there room for the cuts to come, is everything kept, and how fast did packages come?

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::Scene;
use super::answer::{Answer, Topic, Verdict};
use super::hours;
use crate::durable::Dir;
use crate::ledger::{self, Filter, Kind, Line};
use crate::release::Reader;

/// The newest receptions tell what packages are like; a night has a hundred.
const RECEPTIONS_MAX: usize = 400;
/// Smaller things come too fast for their speed to mean anything.
const MEASURED_BYTES: u64 = 1_000_000;
/// Files of a release, before there is one: the real trees had 245 to 2,135.
const FILES: u64 = 3_000;

/// One reception of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    pub(super) from: Option<IpAddr>,
    bytes: u64,
    took: SignedDuration,
    by_wire: bool,
}

impl Reception {
    fn of(line: &Line) -> Option<Self> {
        let at = |name: &str| line.text(name)?.parse::<Timestamp>().ok();
        Some(Self {
            from: line.text("addr").and_then(|a| a.parse().ok()),
            bytes: line.fields.get("bytes")?.as_u64()?,
            took: at("last_byte")?.duration_since(at("first_byte")?),
            by_wire: !matches!(line.text("via"), Some("drop" | "operator")),
        })
    }

    /// Megabits a second.
    fn mbps(&self) -> Option<f64> {
        let measured = self.by_wire && self.bytes >= MEASURED_BYTES && self.took > SignedDuration::ZERO;
        // Both are far below 2^52.
        measured.then(|| self.bytes as f64 * 8.0 / 1e6 / self.took.as_secs_f64())
    }
}

/// The newest receptions, oldest first; none where the ledger cannot be read.
pub(super) fn receptions(scene: &Scene<'_>) -> Vec<Reception> {
    let Ok(dir) = Dir::open(scene.config.paths.var.join("ledger")) else { return Vec::new() };
    let Ok(lines) = ledger::read(&dir, Filter::kinds(&[Kind::Received])) else { return Vec::new() };
    let mut newest = VecDeque::new();
    for reception in lines.filter_map(Result::ok).filter_map(|line| Reception::of(&line)) {
        newest.push_back(reception);
        if newest.len() > RECEPTIONS_MAX {
            newest.pop_front();
        }
    }
    newest.into()
}

/// What the cuts to come will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    cuts: u64,
    package: u64,
    bytes: u64,
    inodes: u64,
}

fn need(scene: &Scene<'_>) -> Need {
    let sizes: Vec<u64> =
        receptions(scene).iter().map(|r| r.bytes).filter(|b| *b >= MEASURED_BYTES).collect();
    let package = match u64::try_from(sizes.len()) {
        Ok(n) if n > 0 => sizes.iter().sum::<u64>() / n,
        _ => scene.call.package,
    };
    let (unpacked, files) = live(scene).unwrap_or_else(|| (package.saturating_mul(2), FILES));
    let period = scene.call.period.as_secs().max(1);
    let cuts = u64::try_from(hours::time_to_come(scene).as_secs() / period).unwrap_or(0);
    let trees = scene.config.release.keep as u64 + 1;
    let bytes = cuts
        .saturating_mul(package)
        .saturating_add(trees.saturating_mul(unpacked))
        .saturating_add(scene.config.release.min_free);
    // A package and its record each; extracted trees beside them.
    let inodes = cuts.saturating_mul(2).saturating_add(trees.saturating_mul(files));
    Need { cuts, package, bytes, inodes }
}

/// Bytes and files of what readers see now.
fn live(scene: &Scene<'_>) -> Option<(u64, u64)> {
    let paths = &scene.config.paths;
    let reader = Reader::new(Dir::open(paths.var.join("releases")).ok()?, Dir::open(&paths.www).ok()?);
    let release = reader.load_current().ok()??;
    let files = u64::try_from(release.manifest.len()).unwrap_or(u64::MAX);
    // A waiting page is no measure of a site.
    (files > 1).then(|| (release.manifest.bytes(), files))
}

/// Bytes free for every cut of every window to come.
pub(super) fn disk(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let space = match Dir::open(&scene.config.paths.var).and_then(|dir| dir.space()) {
        Ok(space) => space,
        Err(error) => return answers.push(unreadable(Topic::Disk, &error)),
    };
    let need = need(scene);
    let asked = scene.call.free_gb.saturating_mul(1_000_000_000);
    let (free, wanted) = (gb(space.free_bytes), gb(need.bytes));
    let (cuts, mb) = (need.cuts, need.package / 1_000_000);
    let (es, en) = (
        format!("{free} GB libres; {cuts} cortes de {mb} MB por venir piden {wanted} GB"),
        format!("{free} GB free; {cuts} cuts of {mb} MB to come need {wanted} GB"),
    );
    let more = ("amplíe el disco de var", "enlarge the disk of var");
    answers.push(if space.free_bytes < need.bytes {
        Answer::of(Topic::Disk, Verdict::Fault, es, en).todo(more.0, more.1)
    } else if space.free_bytes < asked {
        let asked = gb(asked);
        Answer::of(
            Topic::Disk,
            Verdict::Fault,
            format!("{es}; la convocatoria pide {asked} GB libres"),
            format!("{en}; the call asks for {asked} GB free"),
        )
        .todo(more.0, more.1)
    } else if space.free_bytes < need.bytes.saturating_mul(2) {
        Answer::of(
            Topic::Disk,
            Verdict::Attention,
            format!("{es}: alcanza justo"),
            format!("{en}: just enough"),
        )
        .todo(more.0, more.1)
    } else {
        Answer::good(Topic::Disk, es, en)
    });
}

/// Names free for every file of every cut.
pub(super) fn inodes(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let space = match Dir::open(&scene.config.paths.var).and_then(|dir| dir.space()) {
        Ok(space) => space,
        Err(error) => return answers.push(unreadable(Topic::Inodes, &error)),
    };
    let (free, wanted) = (space.free_inodes, need(scene).inodes);
    answers.push(if free == u64::MAX {
        let (es, en) = ("este sistema de archivos no los cuenta", "this file system does not count them");
        Answer::good(Topic::Inodes, es, en)
    } else if free < wanted {
        Answer::of(
            Topic::Inodes,
            Verdict::Fault,
            format!("quedan {free} y harán falta {wanted}"),
            format!("{free} are left and {wanted} will be needed"),
        )
        .todo(
            "use otro sistema de archivos para var, o menos release.keep",
            "use another file system for var, or a lesser release.keep",
        )
    } else {
        Answer::good(
            Topic::Inodes,
            format!("quedan {free}; harán falta {wanted}"),
            format!("{free} are left; {wanted} will be needed"),
        )
    });
}

/// Every package is kept, and nothing removes one before the duty ends (INE II.a.ii.3, Tamaulipas II.c).
pub(super) fn history(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let folder = scene.config.paths.var.join("history");
    let records = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "json"))
            .count(),
        Err(error) => return answers.push(unreadable(Topic::History, &error)),
    };
    if scene.config.events.is_empty() {
        return answers.push(
            Answer::of(
                Topic::History,
                Verdict::Attention,
                format!("{records} paquetes guardados; sin ningún evento no se sabe hasta cuándo hay que conservarlos"),
                format!("{records} packages kept; without an event it is not known until when they must be"),
            )
            .todo("escriba un [[event]] con closes", "write an [[event]] with closes"),
        );
    }
    let until = hours::duty_ends(scene).to_zoned(scene.config.zone.clone()).strftime("%F %H:%M").to_string();
    answers.push(Answer::good(
        Topic::History,
        format!("{records} paquetes guardados; ninguno se borra antes del {until}"),
        format!("{records} packages kept; none is removed before {until}"),
    ));
}

/// What drills measured, against the call's figure (T-07, T-06).
pub(super) fn bandwidth(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let all = receptions(scene);
    let mut speeds: Vec<f64> = all.iter().filter_map(Reception::mbps).collect();
    speeds.sort_by(f64::total_cmp);
    let want = scene.call.mbps;
    let (Some(slowest), Some(median), Some(fastest)) =
        (speeds.first(), speeds.get(speeds.len() / 2), speeds.last())
    else {
        return answers.push(
            Answer::of(
                Topic::Bandwidth,
                Verdict::Unknown,
                "todavía no llegó ningún paquete de más de 1 MB",
                "no package of more than 1 MB has come yet",
            )
            .todo("pida al instituto un envío de prueba", "ask the institute for a test push"),
        );
    };
    let limit = scene.call.transfer;
    let slow = all.iter().filter(|r| r.by_wire && !limit.is_zero() && r.took > limit).count();
    let (es, en) = (
        format!(
            "{} envíos: mínimo {slowest:.0}, mediana {median:.0}, máximo {fastest:.0} Mbit/s",
            speeds.len()
        ),
        format!("{} pushes: least {slowest:.0}, median {median:.0}, most {fastest:.0} Mbit/s", speeds.len()),
    );
    answers.push(if slow > 0 {
        let minutes = limit.as_mins();
        Answer::of(
            Topic::Bandwidth,
            Verdict::Fault,
            format!("{es}; {slow} tardaron más de {minutes} minutos"),
            format!("{en}; {slow} took more than {minutes} minutes"),
        )
        .todo("revise el enlace con el instituto", "look at the link with the institute")
    } else if want > 0 && *fastest < want as f64 {
        Answer::of(
            Topic::Bandwidth,
            Verdict::Attention,
            format!("{es}; la convocatoria pide {want}"),
            format!("{en}; the call asks for {want}"),
        )
        .todo(
            "puede ser el lado del instituto: mida con un paquete grande, o acredite el enlace con su contrato",
            "it may be the institute's side: measure with a large package, or prove the link by its contract",
        )
    } else {
        Answer::good(Topic::Bandwidth, es, en)
    });
}

fn unreadable(topic: Topic, error: &io::Error) -> Answer {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let (es, en) = ("sin permiso para mirar", "no permission to look");
            Answer::of(topic, Verdict::Unknown, es, en).todo("ejecute doctor como root", "run doctor as root")
        }
        _ => Answer::of(topic, Verdict::Fault, error.to_string(), error.to_string())
            .todo("créela con: difusor init", "make it with: difusor init"),
    }
}

/// Gigabytes with one decimal.
fn gb(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
