//! What may be seen when: the publication windows of an instance.

use jiff::Timestamp;

use crate::model::{Cut, Event};
use crate::rehearsal::Foresee;

/// What readers may see at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window<'a> {
    /// No windows are configured: everything is shown on arrival.
    Always,
    /// The cuts of this event.
    Open(&'a Event),
    /// Nothing but the waiting page.
    Closed,
}

/// Which window an arrival is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// No windows are configured.
    Always,
    /// This event, open or to come.
    Event(&'a Event),
    /// Its cut is older than anything the next event takes: data of a drill, or of
    /// another day (F6, T-36).
    Foreign(&'a Event),
    /// Every event is over.
    Over,
}

/// The windows, and which of them has been opened: a clock that steps back does not
/// close what readers have already seen (T-16).
#[derive(Clone, Debug)]
pub(super) struct Windows {
    events: Vec<Event>,
    opened: Option<String>,
}

impl Windows {
    /// `opened` is the event of the release that was live before a restart.
    pub(super) fn new(events: Vec<Event>, opened: Option<String>) -> Self {
        Self { events, opened }
    }

    /// What may be seen at `now`; remembers an opening.
    pub(super) fn at(&mut self, now: Timestamp) -> Window<'_> {
        if self.events.is_empty() {
            return Window::Always;
        }
        let seen = |e: &&Event| e.is_open(now) || (now < e.closes && self.opened.as_ref() == Some(&e.name));
        match self.events.iter().find(seen) {
            Some(event) => {
                self.opened = Some(event.name.clone());
                Window::Open(event)
            }
            None => Window::Closed,
        }
    }

    /// The event that a package with this cut, arriving at `now`, is for.
    pub(super) fn place(&self, cut: Option<Cut>, now: Timestamp) -> Place<'_> {
        if self.events.is_empty() {
            return Place::Always;
        }
        match self.events.iter().find(|e| now < e.closes) {
            None => Place::Over,
            Some(event) if cut.is_some_and(|c| c.instant() < event.accepts_from) => Place::Foreign(event),
            Some(event) => Place::Event(event),
        }
    }

    /// The hour at which the named event opens.
    pub(super) fn opening_of(&self, event: Option<&str>) -> Option<Timestamp> {
        self.events.iter().find(|e| Some(e.name.as_str()) == event).map(|e| e.opens)
    }

    /// The next opening after `now`.
    pub(super) fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        self.events.iter().map(|e| e.opens).find(|t| *t > now)
    }

    /// The next opening or closing after `now`.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.events.iter().flat_map(|e| [e.opens, e.closes]).filter(|t| *t > now).min()
    }
}

/// What rehearsals are told of the event a cut is for; a foreign cut is left to the publisher.
pub fn foresee(events: Vec<Event>) -> Foresee {
    let windows = Windows::new(events, None);
    Box::new(move |cut, now| match windows.place(cut, now) {
        Place::Always | Place::Over => Some(None),
        Place::Event(event) => Some(Some(event.name.clone())),
        Place::Foreign(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventKind;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn event(name: &str, day: u8) -> Event {
        Event {
            name: name.to_owned(),
            kind: EventKind::Jornada,
            opens: instant(&format!("2027-06-{day:02}T20:00:00-05:00")),
            closes: instant(&format!("2027-06-{:02}T00:00:00-05:00", day + 1)),
            accepts_from: instant(&format!("2027-06-{day:02}T08:00:00-05:00")),
            zone: "America/Cancun".to_owned(),
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_not_close_what_was_open() {
        let mut windows = Windows::new(vec![event("jornada", 6)], None);
        assert_eq!(windows.at(instant("2027-06-06T19:59:59.9-05:00")), Window::Closed);
        assert!(matches!(windows.at(instant("2027-06-06T20:00:00-05:00")), Window::Open(_)));
        assert!(matches!(windows.at(instant("2027-06-06T18:00:00-05:00")), Window::Open(_)));
        assert_eq!(windows.at(instant("2027-06-07T00:00:00-05:00")), Window::Closed);
    }

    #[test]
    fn the_data_of_a_drill_is_not_of_the_election() {
        let windows = Windows::new(vec![event("simulacro", 2), event("jornada", 6)], None);
        let zone = jiff::tz::TimeZone::get("America/Cancun").unwrap();
        let drill = Cut::in_zone(jiff::civil::date(2027, 6, 2).at(20, 15, 0, 0), &zone).unwrap();
        let night = Cut::in_zone(jiff::civil::date(2027, 6, 6).at(19, 45, 0, 0), &zone).unwrap();
        let before = instant("2027-06-06T19:50:00-05:00");
        assert!(matches!(windows.place(Some(drill), before), Place::Foreign(e) if e.name == "jornada"));
        assert!(matches!(windows.place(Some(night), before), Place::Event(e) if e.name == "jornada"));
        assert_eq!(windows.place(Some(night), instant("2027-06-08T00:00:00-05:00")), Place::Over);
    }
}
