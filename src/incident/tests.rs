use jiff::tz::TimeZone;

use super::*;

fn instant(minute: i64) -> Timestamp {
    Timestamp::from_second(1_812_340_800 + minute * 60).unwrap()
}

fn book() -> (tempfile::TempDir, Clock, Ledger, Book) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::at(instant(0));
    let (ledger, _) =
        Ledger::open_with(&Dir::open(dir.path()).unwrap(), clock.clone(), TimeZone::UTC, 0).unwrap();
    let book = Book::open(ledger.clone(), clock.clone()).unwrap();
    (dir, clock, ledger, book)
}

#[test]
fn an_incident_is_what_its_lines_say() {
    let (_dir, clock, ledger, book) = book();
    let opening = Opening::new(Trouble::LateCut, "cadencia", "sin paquete desde las 20:00").about("jornada");
    let (number, new) = book.begin(opening.clone().since(instant(-5))).unwrap();
    assert_eq!((number, new), (1, true));
    assert_eq!(book.begin(opening).unwrap(), (1, false), "one trouble is one incident");
    let remark = Remark {
        who: Some("ana".to_owned()),
        text: "se llamó al instituto".to_owned(),
        affected: Some(true),
        level: Some(Level::Critical),
        ..Remark::default()
    };
    book.note(1, &remark).unwrap();
    clock.set(instant(10));
    assert_eq!(book.lasting().len(), 1);
    book.close(1, &Closing { who: Some("ana".to_owned()), ..Closing::seen("el enlace volvió") }).unwrap();
    assert!(matches!(book.close(1, &Closing::default()), Err(BookError::Closed(1))));
    assert!(matches!(book.note(9, &Remark::default()), Err(BookError::Unknown(9))));
    let told = read(&ledger.dir()).unwrap();
    assert_eq!(told, book.list(), "the lines alone say the same");
    let incident = &told[0];
    assert_eq!(incident.duration(instant(99)), SignedDuration::from_mins(15));
    assert_eq!((incident.level, incident.affected), (Level::Critical, true));
    assert_eq!(
        (incident.stage, incident.cause.as_str()),
        (Some(Stage::Transfer), "sin paquete desde las 20:00")
    );
    assert_eq!(incident.notes[0].who.as_deref(), Some("ana"));
    assert_eq!(incident.action.as_deref(), Some("el enlace volvió"));
    assert!(ledger::verify(&ledger.dir()).unwrap().is_sound());
}

#[test]
fn a_book_opened_again_goes_on_counting() {
    let (_dir, clock, ledger, book) = book();
    book.begin(Opening::new(Trouble::Disk, "vigía", "quedan 3 MiB")).unwrap();
    let again = Book::open(ledger, clock).unwrap();
    assert_eq!(again.begin(Opening::new(Trouble::Disk, "vigía", "otra vez")).unwrap(), (1, false));
    assert_eq!(again.begin(Opening::new(Trouble::Clock, "vigía", "2.1 s")).unwrap(), (2, true));
    again.end(Trouble::Disk, "", &Closing::seen("hay espacio")).unwrap();
    assert_eq!(again.lasting().len(), 1);
}
