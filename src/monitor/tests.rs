use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::*;
use crate::durable::Dir;

fn at(second: i64) -> Timestamp {
    // 2027-06-06T23:00:00-05:00
    Timestamp::from_second(1_812_340_800 + second).unwrap()
}

fn probe(second: i64, ok: bool) -> Probe {
    Probe {
        t: at(second),
        target: "public".to_owned(),
        path: "/".to_owned(),
        status: Some(if ok { 200 } else { 503 }),
        ms: 12,
        bytes: 1000,
        ok,
        why: (!ok).then(|| "503".to_owned()),
        cut: None,
    }
}

fn settings(exclusions: Vec<Exclusion>) -> Settings {
    Settings {
        required: 99.9,
        every: SignedDuration::from_secs(30),
        exclusions,
        zone: TimeZone::get("America/Cancun").unwrap(),
    }
}

fn store() -> (tempfile::TempDir, Dir, Store) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let store = Store::new(dir.clone(), settings(Vec::new()).zone, 40);
    (tmp, dir, store)
}

#[test]
fn every_second_is_up_down_unmeasured_or_excluded() {
    let (_tmp, dir, store) = store();
    for n in 0..240 {
        // Down for two rounds in the first hour; nobody looks for ten minutes in the second.
        if !(130..150).contains(&n) {
            store.keep(&[probe(n * 30, !(10..12).contains(&n))]).unwrap();
        }
    }
    let window = (at(0), at(7200));
    let found = availability(&dir, window.0, window.1, &settings(Vec::new())).unwrap();
    let total = &found[0].total;
    assert_eq!((found[0].rounds, found[0].failed), (220, 2));
    assert_eq!(total.down_ms, 60_000);
    assert_eq!(total.unmeasured_ms, 570_000, "a round speaks for two periods at most");
    assert_eq!(total.up_ms + total.down_ms + total.unmeasured_ms, 7_200_000);
    assert_eq!(total.met, Some(false));
    assert_eq!(found[0].hours.len(), 2);
    assert_eq!(found[0].hours[0].unmeasured_ms, 0);
    // 23:00 and 00:00 of the next day are two days and one month.
    assert_eq!((found[0].days.len(), found[0].months.len()), (2, 1));
    let outage = Exclusion { from: at(290), to: at(7200), reason: "mantenimiento".to_owned() };
    let twice = Exclusion { from: at(4000), ..outage.clone() };
    let found = availability(&dir, window.0, window.1, &settings(vec![outage, twice])).unwrap();
    assert_eq!(found[0].total.percent, Some(100.0));
    assert_eq!(found[0].total.excluded_ms, 6_910_000);
    assert_eq!(found[0].exclusions.len(), 2);
}

#[test]
fn the_verdict_is_what_the_call_says_and_no_more() {
    // 99.9 % of 2,000 rounds are 1,998.
    for (down, met) in [(2, true), (3, false)] {
        let (_tmp, dir, store) = store();
        let rounds: Vec<Probe> = (0..2000).map(|n| probe(n * 30, n >= down)).collect();
        rounds.chunks(1).for_each(|round| store.keep(round).unwrap());
        let found = availability(&dir, at(0), at(60_000), &settings(Vec::new())).unwrap();
        assert_eq!(found[0].total.met, Some(met), "{down} of 2000: {:?}", found[0].total);
    }
}

#[test]
fn days_are_files_and_old_ones_go() {
    let (_tmp, dir, store) = store();
    store.keep(&[probe(3590, true)]).unwrap();
    store.keep(&[probe(3610, true)]).unwrap();
    assert_eq!(dir.list().unwrap().len(), 2);
    assert_eq!(probes(&dir, &settings(Vec::new()).zone, at(0), at(3600)).unwrap().len(), 1);
    assert_eq!(store.prune(at(3600 + 40 * 86_400)).unwrap(), 1);
    assert_eq!(store.prune(at(3600 + 41 * 86_400)).unwrap(), 1);
}
