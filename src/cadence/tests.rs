use jiff::civil::date;
use jiff::tz::TimeZone;

use super::*;
use crate::clock::Clock;
use crate::durable::Dir;
use crate::ledger::{self, Entry, Filter, Ledger};
use crate::model::EventKind;

fn at(text: &str) -> Timestamp {
    format!("2027-06-06T{text}-05:00").parse().unwrap()
}

fn next_day(text: &str) -> Timestamp {
    format!("2027-06-07T{text}-05:00").parse().unwrap()
}

fn schedule() -> Schedule {
    Schedule {
        shortest: SignedDuration::from_mins(15),
        longest: SignedDuration::from_mins(15),
        grace: SignedDuration::from_mins(3),
        limit: 3,
        duration: SignedDuration::from_hours(24),
        overtime: SignedDuration::from_hours(1),
    }
}

fn event() -> Event {
    Event {
        name: "jornada".to_owned(),
        kind: EventKind::Jornada,
        opens: at("20:00:00"),
        closes: "2027-06-13T23:59:00-05:00".parse().unwrap(),
        accepts_from: at("08:00:00"),
        zone: "America/Cancun".to_owned(),
    }
}

/// A ledger that is written at hours of its own.
struct Night {
    _dir: tempfile::TempDir,
    clock: Clock,
    ledger: Ledger,
    cadence: Cadence,
    seen: usize,
}

impl Night {
    fn new(events: Vec<Event>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::at(at("12:00:00"));
        let zone = TimeZone::get("America/Cancun").unwrap();
        let (ledger, _) = Ledger::open_with(&Dir::open(dir.path()).unwrap(), clock.clone(), zone, 0).unwrap();
        Self { _dir: dir, clock, ledger, cadence: Cadence::new(schedule(), events), seen: 0 }
    }

    fn say(&mut self, now: Timestamp, entry: Entry) {
        self.clock.set(now);
        self.ledger.append(entry).unwrap();
        let lines = ledger::read(&self.ledger.dir(), Filter::default()).unwrap();
        for line in lines.skip(self.seen) {
            self.cadence.follow(&line.unwrap());
            self.seen += 1;
        }
    }

    fn cut(&mut self, now: Timestamp, name: &str, hour: i8, minute: i8) {
        let day = if now >= next_day("00:00:00") { 7 } else { 6 };
        let cut = Cut::with_offset(date(2027, 6, day).at(hour, minute, 0, 0), -5).unwrap();
        let received = Entry::new(Kind::Received).with("package", name).with("bytes", 33_000_000);
        let first = now - SignedDuration::from_secs(30);
        self.say(now, received.with("first_byte", first).with("last_byte", now));
        let verified =
            Entry::new(Kind::Verified).with("package", name).with("cut", cut).with("release", name);
        self.say(now, verified);
    }

    fn state(&self, now: Timestamp) -> State {
        self.cadence.at(now).state
    }
}

#[test]
fn each_state_begins_at_its_second() {
    let mut night = Night::new(vec![event()]);
    assert_eq!(night.state(at("19:59:59")), State::Idle);
    assert_eq!(night.cadence.at(at("19:00:00")).next_due, Some(at("20:00:00")));
    // F3: nothing there at the opening.
    assert_eq!(night.state(at("20:00:00")), State::Late);
    assert_eq!(night.state(at("20:03:00")), State::Missed1);
    night.cut(at("20:05:00"), "a", 20, 0);
    for (hour, state) in [
        ("20:05:00", State::OnTime),
        ("20:19:59", State::OnTime),
        ("20:20:00", State::Late),
        ("20:22:59", State::Late),
        ("20:23:00", State::Missed1),
        ("20:34:59", State::Missed1),
        ("20:35:00", State::Missed2),
        ("20:46:59", State::Missed2),
        ("20:47:00", State::Missed3),
        ("20:49:59", State::Missed3),
        ("20:50:00", State::Interrupted),
        ("23:00:00", State::Interrupted),
    ] {
        assert_eq!(night.state(at(hour)), state, "{hour}");
    }
    let reading = night.cadence.at(at("20:36:00"));
    assert_eq!((reading.missed, reading.next_due), (2, Some(at("20:20:00"))));
    assert_eq!(reading.interrupted_at, Some(at("20:50:00")));
    night.cut(at("20:51:00"), "b", 20, 45);
    assert_eq!(night.state(at("20:51:00")), State::OnTime);
}

#[test]
fn repeated_packages_are_silence_and_equal_content_under_a_new_stamp_is_not() {
    let mut night = Night::new(vec![event()]);
    night.cut(at("20:01:00"), "a", 20, 0);
    // The same stamp under another hash: not a new cut.
    night.cut(at("20:16:00"), "b", 20, 0);
    night.say(at("20:17:00"), Entry::new(Kind::Repeated).with("package", "a"));
    assert_eq!(night.state(at("20:20:00")), State::Missed1);
    // F10: content does not matter, the stamp does.
    night.cut(at("20:21:00"), "c", 20, 15);
    assert_eq!(night.state(at("20:21:00")), State::OnTime);
    // Off the grid (F6): 20:27 is as good as 20:30.
    night.cut(at("20:29:00"), "d", 20, 27);
    assert_eq!(night.cadence.at(at("20:30:00")).next_due, Some(at("20:44:00")));
}

#[test]
fn a_cut_that_came_before_the_opening_counts_from_the_opening() {
    let mut night = Night::new(vec![event()]);
    night.cut(at("18:49:00"), "a", 18, 45);
    assert_eq!(night.state(at("19:30:00")), State::Idle);
    assert_eq!(night.state(at("20:02:00")), State::Late, "the cut of 20:00 is due");
    night.cut(at("20:02:30"), "b", 20, 0);
    assert_eq!(night.state(at("20:17:00")), State::OnTime);
}

#[test]
fn the_night_ends_early_late_or_by_hand() {
    let mut night = Night::new(vec![event()]);
    night.cut(at("20:01:00"), "a", 20, 0);
    night
        .say(at("20:02:00"), Entry::new(Kind::NightClosed).with("event", "jornada").with("what", "last_cut"));
    assert_eq!(night.state(at("23:00:00")), State::Ended, "the last cut came early");
    night.say(at("23:01:00"), Entry::new(Kind::NightReopened).with("event", "jornada"));
    assert_eq!(night.state(at("23:01:00")), State::Interrupted);

    let mut night = Night::new(vec![event()]);
    // INE 2024: the last one was of 20:05 of the next day.
    night.cut(next_day("19:51:00"), "a", 19, 45);
    assert_eq!(night.state(next_day("20:05:59")), State::OnTime, "the cut of 20:00 is still to come");
    assert_eq!(night.state(next_day("20:09:00")), State::Missed1);
    night.cut(next_day("20:10:00"), "b", 20, 5);
    assert_eq!(night.state(next_day("20:10:00")), State::Ended);
    assert!(!schedule().is_over(at("20:00:00"), next_day("20:59:59")));
    assert!(schedule().is_over(at("20:00:00"), next_day("21:00:00")));
}

#[test]
fn without_windows_the_first_cut_begins_the_night() {
    let mut night = Night::new(Vec::new());
    assert_eq!(night.state(at("20:00:00")), State::Idle);
    night.cut(at("20:01:00"), "a", 20, 0);
    assert_eq!(night.state(at("20:16:00")), State::Late);
    assert_eq!(night.state(next_day("20:10:00")), State::Interrupted);
}

#[test]
fn times_of_a_cut_are_read_from_the_ledger() {
    let mut night = Night::new(vec![event()]);
    night.cut(at("20:01:00"), "a", 20, 0);
    night.say(at("20:01:02"), Entry::new(Kind::Published).with("release", "a").with("package", "a"));
    night.say(at("20:30:00"), Entry::new(Kind::Published).with("release", "a").with("package", "a"));
    let all = timings(&night.ledger.dir(), None, None).unwrap();
    assert_eq!(all.len(), 1);
    let one = &all[0];
    assert_eq!(one.stamp_to_received(), Some(SignedDuration::from_secs(60)));
    assert_eq!(
        one.received_to_published(),
        Some(SignedDuration::from_secs(2)),
        "the first time readers saw it"
    );
    assert_eq!(one.transfer(), SignedDuration::from_secs(30));
    assert!((one.mbps().unwrap() - 8.8).abs() < 1e-9);
    assert_eq!(bandwidth(&all), Some([one.mbps().unwrap(); 3]));
    assert_eq!(bandwidth(&[]), None);
}
