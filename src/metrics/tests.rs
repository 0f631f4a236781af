use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::clock::Clock;
use crate::control::{Readers, Status};
use crate::durable::Dir;
use crate::ledger::{Entry, Kind};

fn scene() -> Scene {
    let counts = [("requests", 7), ("accepted", 3), ("over_total", 2)];
    Scene {
        now: Timestamp::UNIX_EPOCH,
        status: Some(Status { waiting: true, ..Status::default() }),
        readers: Some(Readers {
            connections: 1,
            counts: counts.map(|(name, n)| (name.to_owned(), n)).into_iter().collect::<BTreeMap<_, _>>(),
            certificate_ends: Some(Timestamp::UNIX_EPOCH),
            ..Readers::default()
        }),
        var: std::env::temp_dir(),
    }
}

/// Writes the lines to a real ledger and counts them.
async fn counted(entries: Vec<Entry>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let dir = Dir::open(dir.path()).unwrap();
    let (ledger, _) = Ledger::open_with(&dir, Clock::at(Timestamp::UNIX_EPOCH), TimeZone::UTC, 0).unwrap();
    let metrics = Metrics::default();
    let counting = metrics.follow(&ledger);
    for entry in entries {
        ledger.append(entry).unwrap();
    }
    drop(ledger);
    counting.await;
    metrics.ssh_session();
    metrics.text(&scene(), Form::Classic).unwrap()
}

fn a_night() -> Vec<Entry> {
    let received = Entry::new(Kind::Received).with("bytes", 33_000_000_u64);
    let received = received.with("sender", serde_json::json!({"name": "ieqroo", "via": "scp"}));
    vec![
        received
            .with("first_byte", "2027-06-06T20:15:00.000-05:00")
            .with("last_byte", "2027-06-06T20:15:04.000-05:00"),
        Entry::new(Kind::Published).with("package", "00").with("ms", 800_u64),
        // The waiting page.
        Entry::new(Kind::Published).with("package", None::<&str>).with("ms", 800_u64),
        Entry::new(Kind::Rejected).with("code", "SIZE"),
        Entry::new(Kind::Refused).with("reason", "unknown_key").with("count", 40_u64),
        Entry::new(Kind::Warning).with("what", "disk_full"),
    ]
}

#[tokio::test]
async fn what_is_on_record_is_counted() {
    let text = counted(a_night()).await;
    for line in [
        "difusor_cuts_total{result=\"published\"} 1",
        "difusor_cuts_total{result=\"rejected\"} 1",
        "difusor_cuts_total{result=\"duplicate\"} 0",
        "difusor_cut_rejections_total{code=\"SIZE\"} 1",
        "difusor_receive_bytes_total{via=\"scp\"} 33000000",
        "difusor_receive_seconds_sum{via=\"scp\"} 4.0",
        "difusor_publish_seconds_count 1",
        "difusor_ssh_auth_total{result=\"accepted\"} 1",
        "difusor_ssh_auth_total{result=\"unknown_key\"} 40",
        "difusor_refusals_total{reason=\"unknown_key\"} 40",
        "difusor_warnings_total{what=\"disk_full\"} 1",
        "difusor_http_requests_total 7",
        "difusor_http_turned_away_total{reason=\"over_total\"} 2",
        "difusor_cert_expiry_timestamp_seconds 0.0",
        "difusor_window_open 0",
    ] {
        assert!(text.lines().any(|l| l == line), "no «{line}» in\n{text}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say() {
    let text = counted(a_night()).await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.is_empty(), "{words}\n{text}");
}

#[tokio::test]
async fn a_flood_of_new_words_does_not_grow_the_answer() {
    let flood = (0..1_000).map(|n| Entry::new(Kind::Warning).with("what", format!("word_{n}")));
    let text = counted(flood.collect()).await;
    let words = text.lines().filter(|l| l.starts_with("difusor_warnings_total")).count();
    assert!(words < 200, "{words}");
    assert!(text.contains("difusor_warnings_total{what=\"other\"}"));
}

#[test]
fn openmetrics_is_given_to_who_asks_for_it() {
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    assert_eq!((Form::accepted(accept), Form::accepted("*/*")), (Form::OpenMetrics, Form::Classic));
    let open = Metrics::default().text(&scene(), Form::OpenMetrics).unwrap();
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE difusor_build info\n"), "{open}");
    let classic = Metrics::default().text(&scene(), Form::Classic).unwrap();
    assert!(!classic.contains("EOF") && classic.contains("# TYPE difusor_build_info gauge\n"), "{classic}");
}

#[tokio::test]
async fn every_metric_is_documented() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let text = counted(a_night()).await;
    for name in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(docs.contains(&format!("`{name}")), "{name} is not in docs/METRICS.md");
    }
}
