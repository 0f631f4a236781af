//! Incidents as a table that a spreadsheet opens.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Incident;
use crate::model::Lang;

/// Incidents as CSV (RFC 4180) with hours of `zone`; the first line names the columns.
pub fn csv(incidents: &[Incident], zone: &TimeZone, lang: Lang) -> String {
    let mut text = lang.pick(HEAD_ES, HEAD_EN).to_owned();
    text.push_str("\r\n");
    let hour = |t: Timestamp| t.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    for one in incidents {
        let yes = lang.pick(if one.affected { "sí" } else { "no" }, if one.affected { "yes" } else { "no" });
        let notes = one
            .notes
            .iter()
            .map(|n| format!("{} {}: {}", hour(n.at), n.who.as_deref().unwrap_or("difusor"), n.text));
        let cells = [
            one.number.to_string(),
            one.kind.label(lang).to_owned(),
            one.stage.map_or_else(String::new, |s| s.label(lang).to_owned()),
            one.level.label(lang).to_owned(),
            hour(one.start),
            one.end.map_or_else(String::new, hour),
            one.end.map_or_else(String::new, |end| one.duration(end).as_secs().to_string()),
            one.cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            one.cause.clone(),
            yes.to_owned(),
            one.detected_by.clone(),
            one.opened_by.clone().unwrap_or_default(),
            one.closed_by.clone().unwrap_or_default(),
            one.action.clone().unwrap_or_default(),
            notes.collect::<Vec<_>>().join(" | "),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A cell; what a spreadsheet would take for a formula is text.
fn quoted(cell: &str) -> String {
    let mark = if cell.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

/// `1 h 04 min 10 s`.
pub fn spoken(time: SignedDuration) -> String {
    let s = time.as_secs().max(0);
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, s) => format!("{h} h {m:02} min {s:02} s"),
    }
}

const HEAD_ES: &str = "numero,clase,etapa,nivel,inicio,fin,duracion_s,cortes,causa,afecto_publicacion,detectado_por,abierto_por,cerrado_por,accion,notas";
const HEAD_EN: &str = "number,kind,stage,level,start,end,duration_s,cuts,cause,affected_publication,detected_by,opened_by,closed_by,action,notes";
