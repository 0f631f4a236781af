//! The whole way of a hit: offered, written, counted, asked for, and counted again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0.0.0 Safari/537.36";
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1)";
const PATHS: &[&str] = &[
    "/",
    "/index.html?x=1",
    "/assets/a.json?rand=7",
    "/assets/b.json",
    "/main.1a2b.js",
    "/logo.svg",
    "/no.html",
];

/// One hit of a made-up night.
#[derive(Clone, Debug)]
struct One {
    at: i64,
    peer: IpAddr,
    agent: &'static str,
    target: &'static str,
    status: u16,
    sent: u64,
    method: &'static str,
}

impl One {
    fn hit(&self) -> Hit<'_> {
        Hit {
            at: Timestamp::from_second(self.at).unwrap(),
            taken_micros: 300,
            peer: self.peer,
            status: self.status,
            sent: self.sent,
            is_whole: true,
            protocol: Protocol::Http2,
            tls: Tls::V13,
            method: self.method.as_bytes(),
            target: self.target.as_bytes(),
            host: b"prep.mx",
            referer: b"",
            agent: self.agent.as_bytes(),
            forwarded: b"",
            cut: b"2024-06-02T20:00-05:00",
            encoding: b"gzip",
        }
    }
}

/// Hits from 18:00 to 04:00 of two days, in order, the same each time.
fn night(count: u64) -> Vec<One> {
    let mut state = 7_u64;
    let mut random = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let start = "2024-06-02T18:00:00-05:00".parse::<Timestamp>().unwrap().as_second();
    let mut hits: Vec<One> = (0..count)
        .map(|_| {
            let reader = random(60);
            let peer = if reader < 50 {
                format!("203.0.{}.{}", 100 + reader / 10, reader).parse().unwrap()
            } else {
                format!("2001:db8:{reader}::1").parse().unwrap()
            };
            One {
                at: start + random(10 * 3600).cast_signed(),
                peer,
                agent: [CHROME, "Mozilla/5.0 (Android 14; Mobile) Firefox/126.0", ROBOT, "difusor-probe/1"]
                    [[0, 0, 0, 1, 1, 2, 3][random(7) as usize]],
                target: PATHS[random(PATHS.len() as u64) as usize],
                status: [200, 200, 200, 304, 206, 404, 308][random(7) as usize],
                sent: random(100_000),
                method: ["GET", "GET", "GET", "HEAD"][random(4) as usize],
            }
        })
        .collect();
    hits.sort_by_key(|one| one.at);
    hits
}

/// The definitions of §4.4 once more, in the plainest way, for one class.
fn counted(hits: &[One], class: Class, from: i64, to: i64) -> (Totals, Vec<u64>) {
    let of = |agent: &str| match agent {
        ROBOT => Class::Robot,
        "difusor-probe/1" => Class::Monitor,
        _ => Class::Human,
    };
    let is_page = |o: &One| {
        o.method == "GET"
            && matches!(o.status, 200 | 304)
            && matches!(o.target, "/" | "/index.html?x=1" | "/no.html")
    };
    let is_view = |o: &One| o.method == "GET" && matches!(o.status, 200 | 304) && o.target.contains(".json");
    let mut totals = Totals::default();
    let mut visitors = HashSet::new();
    for one in hits.iter().filter(|o| of(o.agent) == class && (from..to).contains(&o.at)) {
        totals.hits += 1;
        let is_valid = (200..300).contains(&one.status) || one.status == 304;
        totals.valid += u64::from(is_valid);
        totals.pages += u64::from(is_page(one));
        totals.views += u64::from(is_view(one));
        totals.bytes += one.sent;
        visitors.insert((one.peer, one.agent));
    }
    totals.resources = totals.valid - totals.pages;
    totals.visitors = visitors.len() as u64;
    let mut readers: HashMap<_, Vec<&One>> = HashMap::new();
    for one in hits.iter().filter(|o| of(o.agent) == class) {
        readers.entry((one.peer, one.agent)).or_default().push(one);
    }
    let mut stays = Vec::new();
    for hits in readers.into_values() {
        for chain in hits.chunk_by(|a, b| b.at - a.at <= 1800) {
            let Some(begin) = chain.iter().position(|o| is_page(o) || is_view(o)) else { continue };
            let visit = &chain[begin..];
            if (from..to).contains(&visit[0].at) {
                totals.visits += 1;
                if visit.len() > 1 {
                    stays.push((visit[visit.len() - 1].at - visit[0].at).unsigned_abs());
                }
            }
        }
    }
    stays.sort_unstable();
    (totals, stays)
}

fn zone() -> TimeZone {
    TimeZone::get("America/Cancun").unwrap()
}

fn window(from: &str, to: &str) -> Window {
    let stamp = |text: &str| text.parse::<Timestamp>().unwrap();
    Window { name: String::new(), from: stamp(from), to: stamp(to), zone: "America/Cancun".to_owned() }
}

fn start(var: &Path, clock: &Clock) -> Log {
    let config = LogConfig { settle: Duration::from_secs(3600), ..LogConfig::new(var, zone()) };
    Log::start(config, clock.clone()).unwrap()
}

fn clock() -> Clock {
    Clock::at("2024-06-03T09:00:00Z".parse().unwrap())
}

async fn offer(log: &Log, hits: &[One]) {
    hits.iter().for_each(|one| log.sink().offer(&one.hit()));
    log.desk().settle().await.unwrap();
}

/// A copy of what a killed process would have left.
fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

const WINDOWS: &[(&str, &str)] = &[
    ("2024-06-02T18:00:00-05:00", "2024-06-03T18:00:00-05:00"),
    ("2024-06-02T20:00:00-05:00", "2024-06-02T23:59:00-05:00"),
    ("2024-06-02T20:00:07-05:00", "2024-06-02T23:59:59-05:00"),
    ("2024-06-03T00:00:00-05:00", "2024-06-03T01:30:01-05:00"),
    ("2024-06-02T21:10:10-05:00", "2024-06-02T21:10:40-05:00"),
    ("2024-06-02T21:10:10-05:00", "2024-06-02T21:30:10-05:00"),
    ("2024-06-01T00:00:00-05:00", "2024-06-02T18:00:00-05:00"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_any_window_are_those_of_a_plain_count() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(6000));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    for (from, to) in WINDOWS {
        let window = window(from, to);
        let found = query(scratch.path(), &window).unwrap();
        for (class, _) in Class::ALL {
            let (expected, stays) = counted(&hits, class, window.from.as_second(), window.to.as_second());
            assert_eq!(found.classes[&class], expected, "{class:?} {from} {to}");
            if class == Class::Human {
                assert_eq!(found.people, expected);
                let stay = &found.stay;
                assert_eq!(
                    (stay.known, stay.unknown),
                    (stays.len() as u64, expected.visits - stays.len() as u64)
                );
                let mean = (!stays.is_empty()).then(|| stays.iter().sum::<u64>() as f64 / stays.len() as f64);
                assert_eq!(stay.mean_seconds, mean);
                assert_eq!(stay.buckets.iter().map(|b| b.visits).sum::<u64>(), stay.known);
            }
        }
        let sum = |slots: &[Slot], f: fn(&Totals) -> u64| slots.iter().map(|s| f(&s.people)).sum::<u64>();
        for f in [|t: &Totals| t.hits, |t: &Totals| t.pages, |t: &Totals| t.views, |t: &Totals| t.visits] {
            assert_eq!((sum(&found.hours, f), sum(&found.days, f)), (f(&found.people), f(&found.people)));
        }
        let pages: (u64, u64) =
            (found.pages.iter().map(|p| p.pages).sum(), found.pages.iter().map(|p| p.views).sum());
        assert_eq!(pages, (found.people.pages, found.people.views), "{from} {to}");
        assert_eq!(found.statuses.values().sum::<u64>(), found.people.hits);
    }
    log.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_can_be_seen_minute_by_minute() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(6000));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    let hour = window("2024-06-02T21:00:00-05:00", "2024-06-02T22:00:00-05:00");
    let found = minutes(scratch.path(), &hour).unwrap();
    assert_eq!(found.len(), 60);
    for slot in found {
        let from = slot.from.as_second();
        let (expected, _) = counted(&hits, Class::Human, from, from + 60);
        assert_eq!((slot.people.hits, slot.people.visits), (expected.hits, expected.visits), "{}", slot.from);
    }
    log.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_belongs_to_one_window_only() {
    let scratch = tempfile::tempdir().unwrap();
    let log = start(scratch.path(), &clock());
    let border = "2024-06-03T18:00:00-06:00".parse::<Timestamp>().unwrap().as_second();
    let one = |at| One {
        at,
        peer: "203.0.113.1".parse().unwrap(),
        agent: CHROME,
        target: "/",
        status: 200,
        sent: 1,
        method: "GET",
    };
    offer(&log, &[one(border - 1), one(border), one(border + 1)]).await;
    let monterrey = |from: &str, to: &str| {
        let window = Window { zone: "America/Monterrey".to_owned(), ..window(from, to) };
        query(scratch.path(), &window).unwrap().people
    };
    let first = monterrey("2024-06-02T18:00:00-06:00", "2024-06-03T18:00:00-06:00");
    let second = monterrey("2024-06-03T18:00:00-06:00", "2024-06-10T00:00:00-06:00");
    assert_eq!((first.hits, second.hits), (1, 2));
    // One reader, and one visit, which is counted where it began.
    assert_eq!((first.visits, second.visits, first.visitors, second.visitors), (1, 0, 1, 1));
    log.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_survive_restarts_and_kills_and_are_equal_when_counted_again() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(6000));
    let (var, killed) = (scratch.path().join("var"), scratch.path().join("killed"));
    let whole = window(WINDOWS[0].0, WINDOWS[0].1);
    // In order, and ended in order.
    let log = start(&var, &clock());
    offer(&log, &hits[..2000]).await;
    log.stop();
    // Written, but never counted on disk: what a kill leaves, with half a line at the end.
    let log = start(&var, &clock());
    hits[2000..3500].iter().for_each(|one| log.sink().offer(&one.hit()));
    let written = || {
        let read = |day: &str| std::fs::read(var.join(format!("access/{day}.log"))).unwrap_or_default();
        [read("2024-06-02"), read("2024-06-03")].concat().iter().filter(|b| **b == b'\n').count()
    };
    while written() < 3500 {
        std::thread::yield_now();
    }
    copy(&var, &killed);
    log.stop();
    let newest = shelf_of(&killed, LOCAL).unwrap().days().unwrap().pop().unwrap();
    let file = killed.join(format!("access/{newest}.log"));
    let mut text = std::fs::read(&file).unwrap();
    text.extend_from_slice(b"203.0.113.0 - - [02/Jun/20");
    std::fs::write(&file, text).unwrap();
    let log = start(&killed, &clock());
    offer(&log, &hits[3500..]).await;
    let live = query(&killed, &whole).unwrap();
    let (expected, _) = counted(&hits, Class::Human, whole.from.as_second(), whole.to.as_second());
    assert_eq!((live.people, live.bad, live.lost), (expected, 1, 0));
    // The same from the log alone, compared by the program itself, while the service runs.
    let now = clock().now();
    let compared = rebuild(&killed, Bounds::default(), now, true).unwrap();
    assert_eq!(compared.len(), 1);
    assert_eq!((compared[0].hits, compared[0].bad, compared[0].equal), (6000, 1, Some(true)));
    let again = rebuild(&killed, Bounds::default(), now, false).unwrap();
    assert_eq!(again[0].equal, Some(true));
    assert_eq!(query(&killed, &whole).unwrap(), live);
    // And the service goes on from there.
    let more = One { at: hits[5999].at + 1, ..hits[0].clone() };
    offer(&log, std::slice::from_ref(&more)).await;
    assert_eq!(query(&killed, &whole).unwrap().classes.values().map(|t| t.hits).sum::<u64>(), 6001);
    log.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_and_false_is_found_out() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(500));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    log.stop();
    let now = clock().now();
    let equal = || rebuild(scratch.path(), Bounds::default(), now, true).unwrap()[0].equal;
    assert_eq!(equal(), Some(true));
    let file = scratch.path().join("stats").join(store::FILE);
    let change = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute(sql, []).unwrap();
    change("UPDATE minute SET hits = hits + 1 WHERE minute = (SELECT min(minute) FROM minute)");
    assert_eq!(equal(), Some(false));
    // A file that is none is put aside, and made again from the log.
    std::fs::write(&file, "not a database, but long enough to be taken for one at first sight").unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    let log = start(scratch.path(), &clock());
    log.desk().settle().await.unwrap();
    log.stop();
    assert_eq!(equal(), Some(true));
    assert!(scratch.path().join("stats/stats.sqlite.damaged").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_a_restart_lose_and_double_nothing() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(3000));
    let whole = window(WINDOWS[0].0, WINDOWS[0].1);
    let old = start(scratch.path(), &clock());
    offer(&old, &hits[..1000]).await;
    let new = start(scratch.path(), &clock());
    for (n, one) in hits[1000..].iter().enumerate() {
        let log = if n % 3 == 0 { &old } else { &new };
        log.sink().offer(&one.hit());
        if n % 500 == 0 {
            new.desk().settle().await.unwrap();
            old.desk().settle().await.unwrap();
        }
    }
    old.stop();
    new.desk().settle().await.unwrap();
    let found = query(scratch.path(), &whole).unwrap();
    assert_eq!(found.classes.values().map(|t| t.hits).sum::<u64>(), 3000);
    let compared = rebuild(scratch.path(), Bounds::default(), clock().now(), true).unwrap();
    assert_eq!((compared[0].hits, compared[0].bad, compared[0].equal), (3000, 0, Some(true)));
    new.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_day_has_a_file_and_no_line_is_lost_between_them() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(4000));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    log.stop();
    let mut days = BTreeMap::new();
    for entry in std::fs::read_dir(scratch.path().join("access")).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap();
        // The writers' turn stands beside the files.
        if name == ".lock" {
            continue;
        }
        let day = name[..10].parse::<jiff::civil::Date>().unwrap().strftime("[%d/%b/%Y:").to_string();
        assert!(text.lines().all(|line| line.contains(&day)), "{name}");
        days.insert(name, text.lines().count());
    }
    assert_eq!(days.keys().collect::<Vec<_>>(), ["2024-06-02.log", "2024-06-03.log"]);
    assert_eq!(days.values().sum::<usize>(), 4000);
    let text = std::fs::read_to_string(scratch.path().join("access/2024-06-02.log")).unwrap();
    assert!(!text.contains("203.0.100.7 ") && text.contains("203.0.100.0 "), "addresses are truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_that_find_no_room_are_counted_in_the_log_itself() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(3000));
    let config = LogConfig { queue_bytes: 20_000, ..LogConfig::new(scratch.path(), zone()) };
    let log = Log::start(config, clock()).unwrap();
    let sink = log.sink();
    hits.iter().for_each(|one| sink.offer(&one.hit()));
    log.desk().settle().await.unwrap();
    log.desk().settle().await.unwrap();
    let lost = sink.lost();
    assert!(lost > 0);
    assert_eq!(log.desk().traffic().await.unwrap().lost, lost);
    log.stop();
    let found =
        query(scratch.path(), &window("2024-06-02T18:00:00-05:00", "2024-06-04T00:00:00-05:00")).unwrap();
    assert_eq!(found.classes.values().map(|t| t.hits).sum::<u64>() + found.lost, 3000);
    assert_eq!(found.lost, lost);
    let compared = rebuild(scratch.path(), Bounds::default(), clock().now(), true).unwrap();
    assert_eq!(compared[0].equal, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn today_is_shown_as_it_is_counted_and_after_a_restart() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(3000));
    let clock = Clock::at(Timestamp::from_second(hits[2999].at).unwrap());
    let midnight = "2024-06-03T00:00:00-05:00".parse::<Timestamp>().unwrap().as_second();
    let (expected, _) = counted(&hits, Class::Human, midnight, i64::MAX);
    let mut log = start(scratch.path(), &clock);
    hits.iter().for_each(|one| log.sink().offer(&one.hit()));
    for _ in 0..2 {
        log.desk().settle().await.unwrap();
        let traffic = log.desk().traffic().await.unwrap();
        let people = traffic.today["human"];
        assert_eq!(traffic.day, "2024-06-03");
        assert_eq!(
            (people.hits, people.valid, people.pages),
            (expected.hits, expected.valid, expected.pages)
        );
        assert_eq!(
            (people.views, people.visits, people.bytes),
            (expected.views, expected.visits, expected.bytes)
        );
        assert_eq!(people.visitors, expected.visitors);
        let recent = counted(&hits, Class::Human, (hits[2999].at / 60 - 59) * 60, i64::MAX).0;
        assert_eq!(traffic.minutes.iter().map(|m| m.counted.hits).sum::<u64>(), recent.hits);
        assert_eq!(traffic.pages.iter().map(|(_, n)| n).sum::<u64>(), expected.pages + expected.views);
        assert!(traffic.present > 0 && traffic.settled.is_some());
        log.stop();
        log = start(scratch.path(), &clock);
    }
    log.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_written_out_with_its_sum() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(2000));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    log.stop();
    let window = window("2024-06-02T23:00:00-05:00", "2024-06-03T01:00:00-05:00");
    let out = scratch.path().join("annex.log");
    let made = extract(scratch.path(), window.from, window.to, &out).unwrap();
    let expected =
        hits.iter().filter(|o| (window.from.as_second()..window.to.as_second()).contains(&o.at)).count();
    let text = std::fs::read(&out).unwrap();
    assert_eq!(text.iter().filter(|b| **b == b'\n').count(), expected);
    assert_eq!((made.lines, made.bytes), (expected as u64, text.len() as u64));
    let checked = std::process::Command::new("sha256sum")
        .args(["-c", "annex.log.sha256"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(extract(scratch.path(), window.from, window.to, &out).is_err(), "nothing is overwritten");
}

#[test]
fn foreign_logs_are_a_source_of_their_own_and_no_request_counts_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let config = LogConfig::new(scratch.path(), zone());
    let now = clock().now();
    let head =
        "#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent) sc-bytes x-edge-request-id\n";
    let line = |time: &str, id: &str| {
        format!("2024-06-03\t{time}\t203.0.113.7\tGET\t/\t200\tMozilla/5.0%2520(X11)\t100\t{id}\n")
    };
    let file = |name: &str, text: String| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // Files come in any order, and overlap.
    let late = file("late", format!("{head}{}{}", line("02:00:00", "b"), line("02:10:00", "c")));
    let early = file("early", format!("{head}{}{}", line("01:50:00", "a"), line("02:00:00", "b")));
    let first = import(&config, "cloudfront", std::slice::from_ref(&late), now).unwrap();
    assert_eq!((first.files[0].taken, first.files[0].known), (2, 0));
    let second = import(&config, "cloudfront", &[early, late], now).unwrap();
    assert_eq!((second.files[0].taken, second.files[0].known), (1, 1));
    assert_eq!((second.files[1].taken, second.files[1].known), (0, 2));
    let whole = window(WINDOWS[0].0, WINDOWS[0].1);
    let found = query_source(scratch.path(), &whole, "cloudfront", None).unwrap();
    assert_eq!((found.people.hits, found.people.visits, found.people.bytes), (3, 1, 300));
    assert_eq!(found.stay.mean_seconds, Some(1200.0));
    assert_eq!(imported(scratch.path(), "cloudfront").unwrap().len(), 2);
    assert_eq!(rebuild(scratch.path(), Bounds::default(), now, true).unwrap()[0].equal, Some(true));
    assert!(matches!(import(&config, "../x", &[], now), Err(ImportError::Name(_))));
    assert!(matches!(import(&config, "local", &[], now), Err(ImportError::Name(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_older_than_the_log_are_not_thrown_away() {
    let (scratch, hits) = (tempfile::tempdir().unwrap(), night(2000));
    let log = start(scratch.path(), &clock());
    offer(&log, &hits).await;
    log.stop();
    let day = Duration::from_secs(86_400);
    let gone = expire(scratch.path(), day, "2024-06-05T00:00:00Z".parse().unwrap(), &zone()).unwrap();
    assert_eq!(gone[0].day, "2024-06-02");
    let whole = window(WINDOWS[0].0, WINDOWS[0].1);
    let before = query(scratch.path(), &whole).unwrap();
    let refused = rebuild(scratch.path(), Bounds::default(), clock().now(), false);
    assert!(matches!(refused, Err(RebuildError::Shorter(..))), "{refused:?}");
    assert_eq!(query(scratch.path(), &whole).unwrap(), before);
    let within_a_minute = window(WINDOWS[2].0, WINDOWS[2].1);
    assert!(matches!(query(scratch.path(), &within_a_minute), Err(QueryError::Gone(_))));
}
