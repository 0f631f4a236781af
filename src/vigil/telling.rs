//! Lines about incidents → alerts, whoever wrote them.

use super::Vigil;
use crate::alert::{Alert, Class};
use crate::incident::{Change, Incident, Level, change_of, spoken};
use crate::ledger::Line;
use crate::model::Lang;

impl Vigil {
    /// Hands an alert out where a line is about an incident that somebody should be told of.
    pub(super) fn tell(&self, line: &Line) {
        let Some(post) = &self.parts.post else { return };
        let Some((number, change)) = change_of(line) else { return };
        // What people note they know already.
        if change == Change::Noted {
            return;
        }
        let Some(incident) = self.parts.book.list().into_iter().find(|i| i.number == number) else { return };
        // One that was over when it was noticed is told once.
        if change == Change::Closed && incident.action.is_none() && incident.closed_by.is_none() {
            return;
        }
        let (lang, level) = (self.parts.lang, self.level(&incident, change));
        let (title, text) = (title(&incident, change, line, lang), self.text(&incident, change, line));
        post.send(Alert {
            at: line.at,
            class: Class::of(&incident, change),
            level,
            change: name(change),
            title,
            text,
            incident: Some(incident),
        });
    }

    /// Something about a transfer that is worth a word and no incident.
    pub(super) fn alarm(&self, at: jiff::Timestamp, title: &str, text: &str) {
        let Some(post) = &self.parts.post else { return };
        post.send(Alert {
            at,
            class: Class::Transfer,
            level: Level::Warning,
            change: "noted",
            title: title.to_owned(),
            text: text.to_owned(),
            incident: None,
        });
    }

    fn level(&self, incident: &Incident, change: Change) -> Level {
        match change {
            Change::Raised(level) => level,
            Change::Closed | Change::Noted => Level::Warning,
            Change::Opened => incident.level,
        }
    }

    fn text(&self, incident: &Incident, change: Change, line: &Line) -> String {
        let lang = self.parts.lang;
        let mut text = vec![incident.cause.clone()];
        if matches!(change, Change::Raised(_)) {
            text.extend(line.text("text").map(str::to_owned));
        }
        let since = lang.pick("desde", "since");
        text.push(format!("{since} {}", self.hour(incident.start)));
        if let Some(end) = incident.end {
            let lasted = spoken(incident.duration(end));
            text.push(format!("{} {lasted}", lang.pick("duró", "lasted")));
            text.extend(incident.action.clone());
        }
        if !incident.cuts.is_empty() {
            let cuts: Vec<String> = incident.cuts.iter().map(|c| c.label()).collect();
            text.push(format!("{} {}", lang.pick("cortes", "cuts"), cuts.join(", ")));
        }
        let more = lang.pick("más: difusor incidents show", "more: difusor incidents show");
        text.push(format!("{more} {}", incident.number));
        text.retain(|line| !line.is_empty());
        text.join("\n")
    }
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Opened => "opened",
        Change::Raised(_) => "raised",
        Change::Noted => "noted",
        Change::Closed => "closed",
    }
}

/// `corte tardío o faltante: falta 2 (incidente 3)`
fn title(incident: &Incident, change: Change, line: &Line, lang: Lang) -> String {
    let what = incident.kind.label(lang);
    let number = format!("({} {})", lang.pick("incidente", "incident"), incident.number);
    match change {
        Change::Closed => format!("{}: {what} {number}", lang.pick("terminó", "over")),
        Change::Raised(_) => match line.text("text").and_then(|t| t.lines().next()) {
            Some(first) => format!("{what}: {first} {number}"),
            None => format!("{what} {number}"),
        },
        _ => format!("{what} {number}"),
    }
}
