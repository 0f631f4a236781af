use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::*;
use crate::model::ReleaseId;

struct Bench {
    scratch: tempfile::TempDir,
    dir: Dir,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::create(scratch.path()).unwrap();
        Self { scratch, dir, clock: Clock::at("2024-06-03T01:15:07.412Z".parse().unwrap()) }
    }

    fn open(&self) -> (Ledger, Recovery) {
        let zone = TimeZone::get("America/Cancun").unwrap();
        Ledger::open_with(&self.dir, self.clock.clone(), zone, 64 * 1024).unwrap()
    }

    fn with_lines(count: u64) -> Self {
        let bench = Self::new();
        let (ledger, _) = bench.open();
        for i in 1..=count {
            ledger.append(Entry::new(Kind::Received).with("name", format!("p{i}.tar.gz"))).unwrap();
        }
        bench
    }

    fn path(&self) -> std::path::PathBuf {
        self.scratch.path().join(LEDGER)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.text().lines().map(|l| format!("{l}\n")).collect()
    }

    fn set(&self, lines: &[String]) {
        std::fs::write(self.path(), lines.concat()).unwrap();
    }

    fn flaws(&self) -> Vec<String> {
        verify(&self.dir).unwrap().flaws.iter().map(ToString::to_string).collect()
    }
}

/// A line whose every hash is right again after `count` characters: what somebody
/// who rewrites the end of the chain would do.
fn rechained(lines: &mut [String], from: usize) {
    for at in from..lines.len() {
        let prev = Digest::of(lines[at - 1].as_bytes()).to_string();
        let old = lines[at].split("\"prev\":\"").nth(1).unwrap()[..64].to_owned();
        lines[at] = lines[at].replace(&old, &prev);
    }
}

#[test]
fn a_line_is_chained_and_local() {
    let bench = Bench::with_lines(2);
    let zeros = "0".repeat(64);
    let first = format!(
        "{{\"n\":1,\"t\":\"2024-06-02T20:15:07.412-05:00\",\"prev\":\"{zeros}\",\"ev\":\"received\",\"name\":\"p1.tar.gz\"}}\n"
    );
    assert_eq!(bench.lines()[0], first);
    assert!(bench.lines()[1].contains(&format!("\"prev\":\"{}\"", Digest::of(first.as_bytes()))));
    assert!(verify(&bench.dir).unwrap().is_sound());
}

#[test]
fn a_follower_is_given_each_line_as_it_stands_in_the_file() {
    let bench = Bench::with_lines(1);
    let (ledger, _) = bench.open();
    let mut followed = ledger.follow();
    ledger.append(Entry::new(Kind::Opened).with("event", "jornada")).unwrap();
    ledger.note(Entry::new(Kind::Warning).with("what", "late")).unwrap();
    let lines = bench.lines();
    for (n, kind) in [(2, Kind::Opened), (3, Kind::Warning)] {
        let line = followed.try_recv().unwrap();
        assert_eq!((line.n, line.kind), (n, Some(kind)));
        assert_eq!(line.raw, lines[usize::try_from(n).unwrap() - 1]);
    }
    assert!(followed.try_recv().is_err());
}

#[test]
fn a_reopened_ledger_goes_on() {
    let bench = Bench::with_lines(3);
    let (ledger, recovery) = bench.open();
    assert_eq!(recovery, Recovery::default());
    ledger.note(Entry::new(Kind::Stop)).unwrap();
    let proof = verify(&bench.dir).unwrap();
    assert!(proof.is_sound());
    assert_eq!((proof.lines, proof.head), (4, ledger.head()));
}

#[test]
fn foreign_text_never_breaks_a_line() {
    let bench = Bench::new();
    let (ledger, _) = bench.open();
    let evil = "a\n{\"n\":9}\r\0\u{7f}\u{85}\u{2028}\u{202e}\u{1b}[2J\"\\ñ\u{1f600}";
    ledger.append(Entry::new(Kind::Refused).with("name", evil).with("n", 7).with("prev", "x")).unwrap();
    let text = bench.text();
    assert_eq!(text.lines().count(), 1);
    assert!(!text.trim_end().chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{202e}'));
    let line = read(&bench.dir, Filter::default()).unwrap().next().unwrap().unwrap();
    assert_eq!((line.n, line.text("name"), line.fields["n_"].as_u64()), (1, Some(evil), Some(7)));
    assert!(verify(&bench.dir).unwrap().is_sound());
}

#[test]
fn a_line_is_bounded() {
    let bench = Bench::new();
    let (ledger, _) = bench.open();
    let long = "x".repeat(1_000_000);
    ledger.append(Entry::new(Kind::Warning).with("what", "long").with("name", &long)).unwrap();
    let mut many = Entry::new(Kind::Warning);
    for i in 0..5000 {
        many = many.with(&format!("field{i}"), i);
    }
    ledger.append(many).unwrap();
    assert!(
        bench.lines().iter().all(|l| l.len() <= line::LINE_BYTES_MAX && l.contains("\"shortened\":true"))
    );
    assert!(bench.lines()[0].contains("\"what\":\"long\""));
    assert!(verify(&bench.dir).unwrap().is_sound());
}

#[test]
fn a_tail_torn_at_any_byte_is_moved_aside_and_recorded() {
    let whole = Bench::with_lines(3);
    let (lines, head) = (whole.lines(), std::fs::read(whole.scratch.path().join(HEAD)).unwrap());
    let older = format!("{:>20} {}\n", 2, Digest::of(lines[1].as_bytes()));
    assert_eq!(head.len(), older.len());
    for cut in 1..lines[2].len() {
        let bench = Bench::new();
        let torn = &lines[2][..cut];
        std::fs::write(bench.path(), format!("{}{}{torn}", lines[0], lines[1])).unwrap();
        std::fs::write(bench.scratch.path().join(HEAD), &older).unwrap();
        assert_eq!(bench.flaws(), ["line 3: torn, it has no end"]);
        let (ledger, recovery) = bench.open();
        let file = "ledger.torn-3".to_owned();
        assert_eq!(recovery.found, [Finding::TornLine { n: 3, file: file.clone(), bytes: cut as u64 }]);
        assert_eq!(std::fs::read_to_string(bench.scratch.path().join(file)).unwrap(), torn);
        ledger.append(Entry::new(Kind::Start)).unwrap();
        assert_eq!(bench.flaws(), [""; 0], "cut at {cut}");
        assert!(bench.lines()[2].contains("\"ev\":\"recovery\",\"what\":\"torn_line\",\"line\":3"));
        assert_eq!(bench.lines().len(), 4);
    }
}

#[test]
fn a_last_line_of_garbage_is_torn_too() {
    let bench = Bench::with_lines(2);
    let mut text = bench.text().into_bytes();
    text.extend_from_slice(&[0; 300]);
    text.push(b'\n');
    std::fs::write(bench.path(), text).unwrap();
    let (_, recovery) = bench.open();
    assert!(matches!(&recovery.found[..], [Finding::TornLine { n: 3, bytes: 301, .. }]));
    assert!(verify(&bench.dir).unwrap().is_sound());
}

#[test]
fn an_altered_line_is_named() {
    for at in 0..6 {
        let bench = Bench::with_lines(6);
        let mut lines = bench.lines();
        lines[at] = lines[at].replace("tar.gz", "tar.xz");
        bench.set(&lines);
        assert_eq!(bench.flaws(), [format!("line {}: altered", at + 1)]);
        lines[at] = "{\"n\":3}\n".to_owned();
        bench.set(&lines);
        assert_eq!(bench.flaws(), [format!("line {}: not a line of the ledger", at + 1)]);
    }
}

#[test]
fn a_line_altered_with_its_link_is_named() {
    let bench = Bench::with_lines(5);
    let mut lines = bench.lines();
    lines[2] = lines[2].replace("\"prev\":\"", "\"prev\":\"0").replace("\",\"ev\"", "X\",\"ev\"");
    let shortened: String = lines[2].replace("X\",\"ev\"", "\",\"ev\"");
    let head = shortened.find("\"prev\":\"0").unwrap() + 8;
    lines[2] = format!("{}{}", &shortened[..head + 64], &shortened[head + 65..]);
    bench.set(&lines);
    assert_eq!(bench.flaws(), ["line 2: unproven, the line after it was altered", "line 3: altered"]);
}

#[test]
fn a_rewritten_end_is_caught_by_the_head() {
    let bench = Bench::with_lines(5);
    let mut lines = bench.lines();
    lines[2] = lines[2].replace("tar.gz", "tar.xz");
    rechained(&mut lines, 3);
    bench.set(&lines);
    assert_eq!(bench.flaws(), ["line 5: altered"]);
}

#[test]
fn removed_lines_are_named() {
    for (range, flaw) in [
        (0..1, "line 1: removed"),
        (1..4, "lines 2 to 4: removed"),
        (4..6, "lines 5 to 6: removed"),
        (0..6, "lines 1 to 6: removed"),
    ] {
        let bench = Bench::with_lines(6);
        let mut lines = bench.lines();
        lines.drain(range);
        bench.set(&lines);
        assert_eq!(bench.flaws(), [flaw]);
    }
    let bench = Bench::with_lines(2);
    std::fs::remove_file(bench.path()).unwrap();
    assert_eq!(bench.flaws(), ["lines 1 to 2: removed"]);
}

#[test]
fn swapped_moved_and_duplicated_lines_are_named() {
    let bench = Bench::with_lines(8);
    let lines = bench.lines();
    for (a, b) in [(0, 1), (2, 3), (2, 6), (6, 7)] {
        let mut swapped = lines.clone();
        swapped.swap(a, b);
        bench.set(&swapped);
        let (a, b) = (a + 1, b + 1);
        assert_eq!(
            bench.flaws(),
            [format!("line {a}: swapped with line {b}"), format!("line {b}: swapped with line {a}")]
        );
    }
    let mut moved = lines.clone();
    let third = moved.remove(2);
    moved.insert(5, third);
    bench.set(&moved);
    assert_eq!(bench.flaws(), ["line 3: moved, it stands in place 6"]);
    let mut moved = lines.clone();
    let sixth = moved.remove(5);
    moved.insert(2, sixth);
    bench.set(&moved);
    assert_eq!(bench.flaws(), ["line 6: moved, it stands in place 3"]);
    let mut twice = lines.clone();
    twice.insert(5, lines[2].clone());
    bench.set(&twice);
    assert_eq!(bench.flaws(), ["line 3: duplicated in place 6"]);
}

#[test]
fn a_broken_chain_is_told_once_and_appending_goes_on() {
    let bench = Bench::with_lines(4);
    let mut lines = bench.lines();
    lines[1] = lines[1].replace("p2", "p9");
    bench.set(&lines);
    let (ledger, recovery) = bench.open();
    assert!(matches!(&recovery.found[..], [Finding::ChainBroken { line: 2, .. }]));
    ledger.append(Entry::new(Kind::Start)).unwrap();
    assert_eq!(bench.flaws(), ["line 2: altered"]);
    assert_eq!(bench.open().1, Recovery::default());
    assert_eq!(bench.lines().len(), 6);
}

#[test]
fn a_cut_end_can_be_proved_after_the_next_start() {
    let bench = Bench::with_lines(5);
    bench.set(&bench.lines()[..3]);
    let (ledger, recovery) = bench.open();
    assert!(matches!(&recovery.found[..], [Finding::ChainBroken { line: 4, .. }]), "{recovery:?}");
    ledger.append(Entry::new(Kind::Start)).unwrap();
    assert_eq!(bench.flaws(), ["lines 4 to 5: removed"]);
    // The same while the service runs, and the file gone altogether.
    bench.set(&bench.lines()[..1]);
    ledger.append(Entry::new(Kind::Stop)).unwrap();
    assert_eq!(bench.flaws(), ["lines 2 to 7: removed"]);
    std::fs::remove_file(bench.path()).unwrap();
    ledger.append(Entry::new(Kind::Stop)).unwrap();
    assert_eq!(bench.flaws(), ["lines 1 to 8: removed"]);
}

#[test]
fn two_processes_share_one_chain() {
    let bench = Bench::new();
    let ((a, _), (b, _)) = (bench.open(), bench.open());
    std::thread::scope(|threads| {
        for ledger in [&a, &b, &a, &b] {
            threads.spawn(move || {
                for _ in 0..50 {
                    ledger.note(Entry::new(Kind::Keys).with("key", "x")).unwrap();
                }
            });
        }
    });
    let proof = verify(&bench.dir).unwrap();
    assert_eq!((proof.lines, proof.flaws), (200, Vec::new()));
}

#[test]
fn what_a_killed_process_left_is_moved_aside_by_the_next_append() {
    let bench = Bench::with_lines(2);
    let (ledger, _) = bench.open();
    let end = bench.text().len() as u64;
    bench.dir.open_file_rw(LEDGER).unwrap().write_all_at(b"{\"n\":3,\"t\":\"2024", end).unwrap();
    ledger.append(Entry::new(Kind::Keys)).unwrap();
    assert!(verify(&bench.dir).unwrap().is_sound());
    assert_eq!(bench.lines().len(), 4);
    assert!(bench.dir.exists("ledger.torn-3"));
}

#[test]
fn the_ballast_lets_a_full_disk_be_recorded() {
    let bench = Bench::with_lines(1);
    let (ledger, _) = bench.open();
    assert_eq!(bench.dir.stat(BALLAST).unwrap().st_size, 64 * 1024);
    ledger.inner().full = true;
    ledger.append(Entry::new(Kind::Received).with("name", "last")).unwrap();
    assert!(!bench.dir.exists(BALLAST));
    let lines = bench.lines();
    assert!(lines[1].contains("\"last\"") && lines[2].contains("disk_full"));
    assert!(verify(&bench.dir).unwrap().is_sound());
    // There is room again: the ballast comes back by itself.
    ledger.inner().full = false;
    ledger.append(Entry::new(Kind::Stop)).unwrap();
    assert!(bench.dir.exists(BALLAST));
}

#[test]
fn a_failed_append_leaves_no_half_line() {
    let bench = Bench::with_lines(1);
    let (ledger, _) = bench.open();
    let before = bench.text();
    ledger.inner().full = true;
    let result = ledger.inner().write(&Entry::new(Kind::Stop), Durability::Synced);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(bench.text(), before);
}

#[test]
fn lines_are_read_by_time_and_kind() {
    let bench = Bench::new();
    let (ledger, _) = bench.open();
    ledger.append(Entry::new(Kind::Start)).unwrap();
    bench.clock.set("2024-06-03T02:00:00Z".parse().unwrap());
    ledger.append(Entry::new(Kind::Keys).with("name", "\"start\"")).unwrap();
    ledger.append(Entry::new(Kind::Start)).unwrap();
    let ns = |filter| read(&bench.dir, filter).unwrap().map(|l| l.unwrap().n).collect::<Vec<_>>();
    assert_eq!(ns(Filter::default()), [1, 2, 3]);
    assert_eq!(ns(Filter::kinds(&[Kind::Start])), [1, 3]);
    let t = Some("2024-06-03T02:00:00Z".parse().unwrap());
    assert_eq!(ns(Filter { since: t, ..Filter::default() }), [2, 3]);
    assert_eq!(ns(Filter { until: t, ..Filter::default() }), [1]);
    let raw: String = read(&bench.dir, Filter::default()).unwrap().map(|l| l.unwrap().raw).collect();
    assert_eq!(raw, bench.text());
}

#[test]
fn published_releases_and_open_intentions_are_found() {
    let bench = Bench::new();
    let (ledger, _) = bench.open();
    let say = |kind, id: &str| ledger.append(Entry::new(kind).with("release", id)).unwrap();
    assert!(published(&bench.dir).unwrap().is_empty() && unfinished(&bench.dir).unwrap().is_none());
    say(Kind::Intention, "000001-a");
    say(Kind::Published, "000001-a");
    say(Kind::Intention, "000002-b");
    say(Kind::Published, "000002-b");
    say(Kind::RolledBack, "000001-a");
    assert!(unfinished(&bench.dir).unwrap().is_none());
    say(Kind::Intention, "000003-c");
    let ids: Vec<_> = published(&bench.dir).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["000001-a", "000002-b"]);
    assert_eq!(unfinished(&bench.dir).unwrap().unwrap().text("release"), Some("000003-c"));
    assert!(ReleaseId::parse("000003-c").is_some());
}

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let bench = Bench::new();
    let (ledger, _) = bench.open();
    let refusals = Refusals::new(ledger);
    let start: jiff::Timestamp = "2024-06-03T01:00:00Z".parse().unwrap();
    for i in 0..100_000_u32 {
        let addr = IpAddr::from([203, (i >> 10) as u8, (i >> 2) as u8, i as u8]);
        let reason = if i % 2 == 0 { "address" } else { "key" };
        refusals.count(addr, reason, start).unwrap();
    }
    assert_eq!(bench.text(), "");
    refusals.tick(start + jiff::SignedDuration::from_secs(59)).unwrap();
    assert_eq!(bench.text(), "");
    refusals.tick(start + jiff::SignedDuration::from_secs(60)).unwrap();
    let lines: Vec<Line> = read(&bench.dir, Filter::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 18);
    let total: u64 = lines.iter().map(|l| l.fields["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 100_000);
    assert_eq!(lines[1].text("from"), Some("203.0.0.0/24"));
    refusals.count("::ffff:192.0.2.7".parse().unwrap(), "key", start).unwrap();
    refusals.flush().unwrap();
    let last = read(&bench.dir, Filter::default()).unwrap().last().unwrap().unwrap();
    assert_eq!(last.text("from"), Some("192.0.2.0/24"));
}

#[test]
fn every_kind_reads_back_by_its_name() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(*kind));
    }
    assert!("nothing".parse::<Kind>().is_err());
}

#[test]
fn a_notary_can_check_the_chain_with_the_documented_loop() {
    let record =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECORD.md")).unwrap();
    let script = record.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let bench = Bench::with_lines(4);
    let check = |what: &str| {
        let out = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(bench.scratch.path())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        (out.status.success(), said.contains(what), said)
    };
    assert!(matches!(check("4 lines"), (true, true, _)), "{:?}", check(""));
    let lines = bench.lines();
    let mut bad = lines.clone();
    bad[1] = bad[1].replace("p2", "p9");
    bench.set(&bad);
    assert!(matches!(check("line 2"), (false, true, _)), "{:?}", check(""));
    bench.set(&[&lines[..1], &lines[2..]].concat());
    assert!(!check("").0);
    bench.set(&lines[..3]);
    assert!(!check("").0, "the head names a line that is gone");
}

#[test]
fn every_kind_is_documented() {
    let record =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECORD.md")).unwrap();
    let rows: Vec<&str> = record
        .split("<!-- kinds -->")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split('`').next())
        .filter(|name| *name != "ev")
        .collect();
    let names: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
    assert_eq!(rows, names);
    for kind in Kind::ALL {
        assert!(record.contains(kind.what()), "{kind}");
    }
}
