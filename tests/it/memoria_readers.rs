//! The readers of a memoria are those that this file counts in the raw access log (T-32, T-34).

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::memoria::{Night, OFFICE, figure, instant, seconds};
use crate::night::shown;

/// One line of the access log, as docs/STATISTICS.md has it.
fn hit(
    t: Timestamp,
    zone: &TimeZone,
    (class, visitor): (&str, u64),
    path: &str,
    status: u16,
    bytes: u64,
) -> String {
    let hour = t.to_zoned(zone.clone()).strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    format!(
        "203.0.113.0 - - [{hour}] \"GET {path} HTTP/2.0\" {status} {bytes} \"-\" \"Mozilla/5.0\" time=0.000500 \
         host=prep.mx tls=1.3 cut=- class={class} visitor={visitor:016x} enc=gzip end=whole\n"
    )
}

/// What people did in one log, counted by the words of the calls and nothing of ours.
fn counted(log: &str) -> BTreeMap<&'static str, u64> {
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    let mut sum: BTreeMap<&'static str, u64> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(" class=human ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let hour = format!("{} {}", words[3].trim_start_matches('['), words[4].trim_end_matches(']'));
        let at = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", hour)
            .unwrap()
            .to_timestamp()
            .unwrap()
            .as_second();
        let (path, status) = (words[6], words[8]);
        let good = status == "200" || status == "304";
        let (page, view) = (good && path == "/", good && path.ends_with(".json"));
        let visitor = words.iter().find(|w| w.starts_with("visitor=")).unwrap();
        let goes_on = seen.get(visitor).is_some_and(|last| at - last <= 1800);
        *sum.entry("visitors.w1").or_default() += u64::from(!seen.contains_key(visitor));
        *sum.entry("visits.w1").or_default() += u64::from(!goes_on && (page || view));
        seen.insert(visitor, at);
        *sum.entry("hits.w1").or_default() += 1;
        *sum.entry("valid.w1").or_default() += u64::from(good);
        *sum.entry("pages.w1").or_default() += u64::from(page);
        *sum.entry("views.w1").or_default() += u64::from(view);
        *sum.entry("bytes").or_default() += words[9].parse::<u64>().unwrap();
    }
    sum
}

/// T-32, T-34: readers of the window of the call, from the raw log; the monitor and a robot apart; the log in its
/// annex by its hash; the usual average beside it.
#[test]
fn readers_of_the_memoria_are_those_of_the_raw_log() {
    let night = Night::new(OFFICE);
    let begin = instant("2024-06-02T20:00:00-05:00");
    let mut lines = Vec::new();
    for reader in 0..300_u64 {
        let mut t = begin + seconds(i64::try_from(reader * 41).unwrap());
        for _visit in 0..=reader % 2 {
            lines.push((t, ("human", reader), "/", 200, 4_000));
            for step in 0..reader % 5 {
                t += seconds(i64::try_from(20 + step * 31).unwrap());
                let (path, status) = match (reader + step) % 4 {
                    0 => ("/assets/presidencia/entidad/23.json", 200),
                    1 => ("/main.js", 200),
                    2 => ("/assets/avance.json", 304),
                    _ => ("/no-existe.png", 404),
                };
                lines.push((t, ("human", reader), path, status, 100 + step * 977));
            }
            t += seconds(1801);
        }
    }
    for minute in 0..600 {
        lines.push((begin + seconds(minute * 60), ("monitor", 9_001), "/", 200, 4_000));
        lines.push((begin + seconds(minute * 60 + 7), ("robot", 9_002), "/", 200, 4_000));
    }
    // One second before the window, and the first second behind it.
    lines.push((instant("2024-06-01T23:59:59-05:00"), ("human", 9_003), "/", 200, 1));
    lines.push((instant("2024-06-10T00:00:00-05:00"), ("human", 9_004), "/", 200, 1));
    lines.sort();
    std::fs::create_dir_all(night.node.path("var/access")).unwrap();
    let mut days: BTreeMap<String, String> = BTreeMap::new();
    for (t, who, path, status, bytes) in lines {
        let day = t.to_zoned(night.zone.clone()).date().to_string();
        days.entry(day).or_default().push_str(&hit(t, &night.zone, who, path, status, bytes));
    }
    for (day, text) in &days {
        std::fs::write(night.node.path(&format!("var/access/{day}.log")), text).unwrap();
    }
    let usual = night.node.path("usual.csv");
    std::fs::write(&usual, "fecha,visitas,paginas,hits\n2024-05-01,40,90,500\n2024-05-02,20,70,300\n")
        .unwrap();
    let import =
        ["stats", "import-baseline", "--name", "portal", "--origin", "mayo", usual.to_str().unwrap()];
    for line in [&["stats", "rebuild"][..], &import[..]] {
        let out = night.node.difusor(line);
        assert!(out.status.success(), "{}", shown(&out));
    }
    let report = night.json(&["memoria", "--event", "jornada-2024"]);
    let inside: String = days
        .iter()
        .filter(|(day, _)| (**day).as_str() >= "2024-06-02" && (**day).as_str() <= "2024-06-09")
        .map(|(_, text)| text.as_str())
        .collect();
    let expected = counted(&inside);
    assert!(expected["visits.w1"] > expected["visitors.w1"], "{expected:?}");
    for (id, value) in expected.iter().filter(|(id, _)| **id != "bytes") {
        assert_eq!(figure(&report, id), *value as f64, "{id}: {expected:?}");
    }
    let row = &report["tables"]["windows"]["rows"][0];
    assert_eq!(row.as_array().unwrap().last().unwrap(), &json!(expected["bytes"]), "{row}");
    let classes = report["tables"]["classes"]["rows"].as_array().unwrap();
    let hits: Vec<u64> = classes.iter().map(|row| row[6].as_u64().unwrap()).collect();
    assert_eq!(hits, [expected["hits.w1"], 600, 600, 0]);
    // Each log of the window with the hash that sha256sum gives; those outside it are not there.
    let logs = report["tables"]["logs"]["rows"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        logs.iter().map(|row| (row[0].as_str().unwrap(), row[2].as_str().unwrap())).collect();
    let real: Vec<(String, String)> = (days.iter())
        .filter(|(day, _)| !["2024-06-01", "2024-06-10"].contains(&day.as_str()))
        .map(|(day, text)| (format!("{day}.log"), difusor::model::Digest::of(text.as_bytes()).to_string()))
        .collect();
    assert_eq!(told, real.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    let visits = &report["tables"]["comparison"]["rows"][0];
    let daily = expected["visits.w1"] as f64 / 8.0;
    assert_eq!((&visits[1], &visits[2]), (&json!(30.0), &json!(daily)), "{visits}");
}
