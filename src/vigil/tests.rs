use jiff::civil::date;

use super::*;
use crate::durable::Dir;
use crate::incident::Level;
use crate::model::{Cut, EventKind};

fn at(text: &str) -> Timestamp {
    format!("2027-06-06T{text}-05:00").parse().unwrap()
}

/// A night by a hand-wound clock: every line that is written is heard.
struct Night {
    _dir: tempfile::TempDir,
    clock: Clock,
    ledger: Ledger,
    book: Book,
    lines: broadcast::Receiver<Arc<Line>>,
    vigil: Vigil,
}

fn parts(ledger: &Ledger, book: &Book, clock: &Clock) -> Parts {
    let zone = TimeZone::get("America/Cancun").unwrap();
    let event = Event {
        name: "jornada".to_owned(),
        kind: EventKind::Jornada,
        opens: at("20:00:00"),
        closes: "2027-06-13T23:59:00-05:00".parse().unwrap(),
        accepts_from: at("08:00:00"),
        zone: "America/Cancun".to_owned(),
    };
    let minutes = SignedDuration::from_mins;
    Parts {
        ledger: ledger.clone(),
        book: book.clone(),
        schedule: Schedule {
            shortest: minutes(15),
            longest: minutes(15),
            grace: minutes(3),
            limit: 3,
            duration: SignedDuration::from_hours(24),
            overtime: minutes(60),
        },
        bounds: Bounds {
            warn: SignedDuration::from_secs(120),
            limit: SignedDuration::from_secs(180),
            bytes: Some((30_000_000, 36_700_160)),
            mbps: 50,
            publish: SignedDuration::from_secs(60),
        },
        events: vec![event],
        thresholds: Thresholds {
            disk_low: 1 << 30,
            certificate: SignedDuration::from_hours(30 * 24),
            clock_warning: SignedDuration::from_secs(1),
            clock_critical: SignedDuration::from_secs(5),
            hold: minutes(30),
            monitor_rounds: 3,
        },
        gauges: Arc::new(Gauges::default),
        post: None,
        institute: Contact {
            name: "IEQROO".to_owned(),
            night_phone: "983 000 0000".to_owned(),
            ..Contact::default()
        },
        clock: clock.clone(),
        zone,
        lang: Lang::Es,
    }
}

impl Night {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::at(at("19:00:00"));
        let zone = TimeZone::get("America/Cancun").unwrap();
        let (ledger, _) = Ledger::open_with(&Dir::open(dir.path()).unwrap(), clock.clone(), zone, 0).unwrap();
        let book = Book::open(ledger.clone(), clock.clone()).unwrap();
        let lines = ledger.follow();
        let vigil = Vigil::new(parts(&ledger, &book, &clock)).unwrap();
        Self { _dir: dir, clock, ledger, book, lines, vigil }
    }

    fn hear(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.vigil.hear(&line);
        }
    }

    fn say(&mut self, now: &str, entry: Entry) {
        self.clock.set(at(now));
        self.ledger.append(entry).unwrap();
        self.hear();
    }

    fn look(&mut self, now: &str) {
        self.clock.set(at(now));
        self.vigil.look(at(now));
        self.hear();
    }

    fn receive(&mut self, now: &str, name: &str, seconds: i64, bytes: u64) {
        let first = at(now) - SignedDuration::from_secs(seconds);
        let entry = Entry::new(Kind::Received).with("package", name).with("name", name).with("bytes", bytes);
        self.say(now, entry.with("first_byte", first).with("last_byte", at(now)));
    }

    fn cut(&mut self, now: &str, name: &str, hour: i8, minute: i8) {
        self.receive(now, name, 10, 33_000_000);
        let cut = Cut::with_offset(date(2027, 6, 6).at(hour, minute, 0, 0), -5).unwrap();
        self.say(
            now,
            Entry::new(Kind::Verified).with("package", name).with("cut", cut).with("release", name),
        );
    }

    fn kinds(&self) -> Vec<Trouble> {
        self.book.list().iter().map(|i| i.kind).collect()
    }
}

#[test]
fn t_19_a_missing_cut_is_told_in_steps_and_closed_with_its_duration() {
    let mut night = Night::new();
    night.cut("20:01:00", "a", 20, 0);
    night.look("20:16:30");
    assert_eq!(night.kinds(), [], "within its grace");
    night.look("20:19:00");
    let open = night.book.find(Trouble::LateCut, "").unwrap();
    assert_eq!((open.level, open.start, open.notes.len()), (Level::Warning, at("20:16:00"), 0));
    // The same package again is no cut.
    night.say("20:25:00", Entry::new(Kind::Repeated).with("package", "a"));
    night.look("20:31:00");
    let open = night.book.find(Trouble::LateCut, "").unwrap();
    assert!(
        open.notes[0].text.contains("falta 2") && open.notes[0].text.contains("983 000 0000"),
        "{open:?}"
    );
    night.look("20:43:00");
    assert_eq!(night.book.find(Trouble::LateCut, "").unwrap().level, Level::Critical);
    night.look("20:46:00");
    let open = night.book.find(Trouble::LateCut, "").unwrap();
    assert!(open.notes[2].text.contains("transmisión interrumpida"), "{open:?}");
    night.cut("20:50:00", "b", 20, 45);
    let closed = &night.book.list()[0];
    assert_eq!(closed.duration(at("23:00:00")), SignedDuration::from_mins(34));
    assert_eq!(closed.cuts.len(), 2);
    let states: Vec<String> = ledger::read(&night.ledger.dir(), Filter::kinds(&[Kind::Cadence]))
        .unwrap()
        .map(|l| l.unwrap().text("state").unwrap().to_owned())
        .collect();
    assert_eq!(states, ["missed_1", "missed_2", "missed_3", "interrupted", "on_time"]);
    night.look("20:51:00");
    assert!(night.book.lasting().is_empty());
}

#[test]
fn t_19_a_restart_goes_on_where_the_warnings_were() {
    let mut night = Night::new();
    night.cut("20:01:00", "a", 20, 0);
    night.look("20:31:00");
    let again = Book::open(night.ledger.clone(), night.clock.clone()).unwrap();
    let mut vigil = Vigil::new(parts(&night.ledger, &again, &night.clock)).unwrap();
    vigil.look(at("20:32:00"));
    assert_eq!(again.list()[0].notes.len(), 1, "nothing is told twice");
    vigil.look(at("20:46:00"));
    assert_eq!(again.list().len(), 1);
    assert_eq!(again.list()[0].level, Level::Critical);
}

#[test]
fn t_46_a_night_that_ended_is_not_late() {
    let mut night = Night::new();
    night.cut("20:01:00", "a", 20, 0);
    night.look("20:25:00");
    night.say("20:26:00", Entry::new(Kind::NightClosed).with("event", "jornada").with("what", "operator"));
    night.look("20:27:00");
    assert!(night.book.lasting().is_empty(), "{:?}", night.book.lasting());
    night.look("23:00:00");
    assert_eq!(night.kinds(), [Trouble::LateCut]);
    night.say("23:01:00", Entry::new(Kind::Warning).with("what", "correction_waits").with("name", "b"));
    assert_eq!(night.book.lasting()[0].kind, Trouble::Correction);
    night.say("23:02:00", Entry::new(Kind::CorrectionAccepted).with("who", "ana").with("why", "confirmada"));
    assert!(night.book.lasting().is_empty());
    assert_eq!(night.book.list()[1].closed_by.as_deref(), Some("ana"));
}

#[test]
fn t_06_transfers_are_measured_against_the_call() {
    let mut night = Night::new();
    // 35 MiB at 10, 2.4 and 1.63 Mbps.
    night.receive("20:01:00", "a", 29, 36_700_160);
    night.receive("20:16:00", "b", 122, 36_700_160);
    night.receive("20:31:00", "c", 180, 36_700_160);
    assert_eq!(night.kinds(), [Trouble::SlowTransfer]);
    let slow = &night.book.list()[0];
    assert_eq!(slow.duration(at("23:00:00")), SignedDuration::from_secs(180));
    assert!(slow.cause.contains("1.63 Mbps") && !slow.is_open(), "{slow:?}");
    night.receive("20:46:00", "d", 20, 29_999_999);
    night.receive("21:01:00", "e", 20, 36_700_161);
    let what: Vec<String> = ledger::read(&night.ledger.dir(), Filter::kinds(&[Kind::Warning]))
        .unwrap()
        .map(|l| l.unwrap().text("what").unwrap().to_owned())
        .collect();
    assert_eq!(what, ["transfer_slow", "size_unusual", "size_unusual"]);
}

#[test]
fn t_35_rejections_recoveries_and_gauges_open_and_close() {
    let mut night = Night::new();
    let entry = Entry::new(Kind::Rejected).with("name", "x.tar.gz").with("code", "GZIP_TRUNCATED");
    night.say("20:16:00", entry.with("stage", crate::model::Stage::Transfer));
    let open = night.book.find(Trouble::Rejected, "").unwrap();
    assert_eq!(open.stage, Some(crate::model::Stage::Transfer));
    assert!(open.affected && open.cause.contains("GZIP_TRUNCATED"));
    night.cut("20:17:00", "b", 20, 15);
    assert!(night.book.find(Trouble::Rejected, "").is_none());
    night.say("20:18:00", Entry::new(Kind::Recovery).with("what", "pointer_mended"));
    let low = Gauges { disk_free: Some(5 << 20), ..Gauges::default() };
    night.vigil.gauge(&low, at("20:19:00"));
    night.vigil.gauge(&low, at("20:19:10"));
    let fine = Gauges { disk_free: Some(50 << 30), ..Gauges::default() };
    night.vigil.gauge(&fine, at("20:20:00"));
    let ends = |days: i64| Gauges {
        certificate_ends: Some(at("20:20:00") + SignedDuration::from_hours(24 * days)),
        ..Gauges::default()
    };
    night.vigil.gauge(&ends(20), at("20:20:00"));
    assert_eq!(night.book.find(Trouble::Certificate, "ends").unwrap().level, Level::Warning);
    night.vigil.gauge(&ends(3), at("20:20:00"));
    assert_eq!(
        night.book.find(Trouble::Certificate, "ends").unwrap().level,
        Level::Critical,
        "before the retention ends"
    );
    night.vigil.gauge(&ends(90), at("20:20:00"));
    night.vigil.gauge(
        &Gauges { clock: Some(Offset(SignedDuration::from_secs(-2))), ..Gauges::default() },
        at("20:21:00"),
    );
    night
        .vigil
        .gauge(&Gauges { clock: Some(Offset(SignedDuration::ZERO)), ..Gauges::default() }, at("20:22:00"));
    for _ in 0..3 {
        night.vigil.probed(&Round { target: "public".to_owned(), fault: Some("/: HTTP 503".to_owned()) });
    }
    night.vigil.probed(&Round { target: "public".to_owned(), fault: None });
    let kinds = [
        Trouble::Rejected,
        Trouble::Recovery,
        Trouble::Disk,
        Trouble::Certificate,
        Trouble::Clock,
        Trouble::Monitor,
    ];
    assert_eq!(night.kinds(), kinds);
    assert!(night.book.lasting().is_empty(), "{:?}", night.book.lasting());
    let csv = crate::incident::csv(&night.book.list(), &TimeZone::UTC, Lang::Es);
    assert_eq!(csv.lines().count(), 7);
}

#[test]
fn t_18_a_publication_that_took_too_long_is_an_incident() {
    let mut night = Night::new();
    night.say("20:01:00", Entry::new(Kind::Published).with("release", "a").with("ms", 59_000));
    night.say("20:17:00", Entry::new(Kind::Published).with("release", "b").with("ms", 61_000));
    assert_eq!(night.kinds(), [Trouble::SlowPublication]);
    assert_eq!(night.book.list()[0].start, at("20:15:59"));
}

#[test]
fn a_hold_is_loud_and_louder_when_it_lasts() {
    let mut night = Night::new();
    night.cut("20:01:00", "a", 20, 0);
    let entry =
        Entry::new(Kind::HoldBegan).with("until", at("21:00:00")).with("who", "ana").with("why", "totales");
    night.say("20:02:00", entry);
    assert_eq!(night.book.find(Trouble::Hold, "").unwrap().level, Level::Critical);
    night.cut("20:16:00", "b", 20, 15);
    night.look("20:31:00");
    assert_eq!(night.book.find(Trouble::Hold, "").unwrap().notes.len(), 0);
    night.look("20:32:00");
    night.look("20:33:00");
    assert_eq!(night.book.find(Trouble::Hold, "").unwrap().notes.len(), 1);
    night.say(
        "20:40:00",
        Entry::new(Kind::HoldEnded).with("what", "resumed").with("who", "ana").with("why", "coincide"),
    );
    assert!(night.book.find(Trouble::Hold, "").is_none());
}

#[tokio::test]
async fn what_happens_is_told_to_the_channel_that_wants_it() {
    // A program that keeps what it is told.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("told");
    let run = ["/bin/sh", "-c", "cat >> \"$0\"; echo >> \"$0\"", file.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec();
    let channel = crate::alert::Channel {
        name: "guardia".to_owned(),
        on: vec![crate::alert::Class::Late],
        way: crate::alert::Way::Command(run),
        root: None,
        timeout: Duration::from_secs(20),
        attempts: 1,
        pause: Duration::from_millis(1),
        group: Duration::ZERO,
        per_hour: 100,
    };
    let (told, mut outcomes) = mpsc::channel(4);
    let institute =
        Contact { name: "IEQROO".to_owned(), night_phone: "983 000 0000".to_owned(), ..Contact::default() };
    let head = crate::alert::Letterhead {
        site: "prep.mx".to_owned(),
        institute,
        lang: Lang::Es,
        zone: TimeZone::UTC,
    };
    let stop = CancellationToken::new();
    let mut night = Night::new();
    night.vigil.parts.post = Some(crate::alert::start(vec![channel], head, told, &stop));
    night.cut("20:01:00", "a", 20, 0);
    // Of another class: not wanted.
    night.say("20:02:00", Entry::new(Kind::Warning).with("what", "disk_full"));
    night.look("20:19:00");
    let outcome = outcomes.recv().await.unwrap();
    assert_eq!((outcome.fault, outcome.alerts), (None, 1));
    let said: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(&file).unwrap().trim()).unwrap();
    assert_eq!(said["alerts"][0]["class"], "late");
    assert_eq!(said["alerts"][0]["incident"]["kind"], "late-cut");
    assert_eq!(said["institute"]["night_phone"], "983 000 0000");
    assert!(said["text"].as_str().unwrap().contains("983 000 0000"), "{said}");
    // What cannot be delivered is on record, and no alert about itself.
    night.vigil.delivered(&Delivery {
        channel: "guardia".to_owned(),
        alerts: 1,
        fault: Some("no".to_owned()),
    });
    assert_eq!(night.book.find(Trouble::Alert, "guardia").unwrap().cause, "guardia: no");
}
