//! The memoria técnica of a simulated night, faults included: its figures are those that this file counts by
//! itself from the raw files (T-34, T-35, T-38, T-40, T-49).

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use difusor::clock::Clock;
use difusor::durable::Dir;
use difusor::incident::{Book, Closing, Opening, Remark, Trouble};
use difusor::ledger::{Entry, Kind, Ledger};
use difusor::monitor::{Probe, Store};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::night::{Node, shown};

const EVENT: &str = "
[[event]]
name = \"simulacro-1\"
kind = \"simulacro\"
opens = \"2024-05-26T20:00\"
closes = \"2024-05-27T02:00\"

[[event]]
name = \"jornada-2024\"
opens = \"2024-06-02T20:00\"
closes = \"2024-06-09T23:59\"
";

pub const OFFICE: &str = "
[difusor]
name = \"Diario de Prueba\"
representative = \"Ana Canul\"
contact = \"Luis Ek\"
post = \"Infraestructura\"
phone = \"998 765 4321\"
email = \"luis@ejemplo.mx\"
hours = \"24 h\"
logo = \"logo.svg\"
addresses = [\"198.51.100.7\"]
ntp = [\"0.mx.pool.ntp.org\"]

[monitor]
every = \"1m\"

[institute]
name = \"IEQROO\"
contact = \"Informática\"
phone = \"983 832 1920\"
email = \"prep@ejemplo.mx\"
hours = \"10 a 14 h\"

[[staff]]
name = \"Luis Ek\"
post = \"soporte\"
phone = \"998 765 4321\"
email = \"luis@ejemplo.mx\"
";

/// The night, as it is written into the instance.
pub struct Night {
    pub node: Node,
    ledger: Ledger,
    clock: Clock,
    pub zone: TimeZone,
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

impl Night {
    pub fn new(more: &str) -> Self {
        let node = Node::prepare(&format!("{EVENT}{more}"));
        let zone = TimeZone::get("America/Cancun").unwrap();
        let clock = Clock::at(instant("2024-06-02T17:00:00-05:00"));
        let dir = Dir::create(node.path("var/ledger")).unwrap();
        let (ledger, _) = Ledger::open_with(&dir, clock.clone(), zone.clone(), 0).unwrap();
        Self { node, ledger, clock, zone }
    }

    fn line(&self, at: Timestamp, entry: Entry) {
        self.clock.set(at);
        self.ledger.note(entry).unwrap();
    }

    /// A package of the cut `n` whose last byte comes `late` seconds after its stamp, sent in `took` milliseconds.
    fn received(&self, n: i64, late: i64, took: i64, id: &str) -> Timestamp {
        let stamp = instant("2024-06-02T20:00:00-05:00") + seconds(n * 900);
        let last = stamp + seconds(late);
        let entry = Entry::new(Kind::Received).with("name", format!("corte-{n}.tar.gz"));
        let entry = entry.with("bytes", 33_000_000 + n * 1_000);
        let sender = json!({"name": "ieqroo", "key": "SHA256:x", "addr": "203.0.113.5", "via": "sftp"});
        let entry = entry.with("sender", sender).with("first_byte", last - SignedDuration::from_millis(took));
        self.line(last + SignedDuration::from_millis(20), entry.with("last_byte", last).with("package", id));
        last
    }

    fn published(&self, n: i64, last: Timestamp, id: &str) {
        let stamp = instant("2024-06-02T20:00:00-05:00") + seconds(n * 900);
        let cut = stamp.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let release = format!("{:06}-{n}", n + 1);
        let fact = |kind| {
            let entry = Entry::new(kind).with("release", &release).with("cut", &cut);
            entry.with("package", id).with("tree", id)
        };
        let shown = last.max(instant("2024-06-02T20:00:00-05:00"));
        self.line(last + SignedDuration::from_millis(300), fact(Kind::Verified).with("files", 4000));
        self.line(shown + SignedDuration::from_millis(400), fact(Kind::Intention));
        let delay = 500 + (n * 37) % 700;
        self.line(shown + SignedDuration::from_millis(delay), fact(Kind::Published).with("ms", delay));
    }

    /// 97 cuts of 15 minutes: one never comes, one is refused and sent again, one comes twice, one is
    /// seven minutes late, one crawls, one is older than what is live.
    fn play(&self) {
        for n in 0..97 {
            let id = format!("{:064x}", n + 1);
            match n {
                10 => {}
                20 => {
                    let bad = format!("{:064x}", 5000);
                    let last = self.received(n, 20, 2600, &bad);
                    let no = Entry::new(Kind::Rejected).with("package", &bad).with("name", "corte-20.tar.gz");
                    let no = no.with("code", "GZIP_CRC").with("stage", "integridad");
                    self.line(last + SignedDuration::from_millis(200), no);
                    let last = self.received(n, 200, 2600, &id);
                    self.published(n, last, &id);
                }
                30 => {
                    let last = self.received(n, 25, 2600, &id);
                    self.published(n, last, &id);
                    let last = self.received(n, 90, 2600, &id);
                    let again =
                        Entry::new(Kind::Repeated).with("package", &id).with("name", "corte-30.tar.gz");
                    self.line(last + SignedDuration::from_millis(50), again);
                }
                60 => {
                    let old = format!("{:064x}", 6000);
                    let last = self.received(n, 10, 2600, &old);
                    let no =
                        Entry::new(Kind::Superseded).with("package", &old).with("name", "corte-60.tar.gz");
                    self.line(last + SignedDuration::from_millis(90), no.with("code", "CUT_OLDER"));
                    let last = self.received(n, 40, 2600, &id);
                    self.published(n, last, &id);
                }
                _ => {
                    let (late, took) = match n {
                        40 => (420, 2600),
                        50 => (230, 200_000),
                        _ => (20 + n % 13, 2_200 + (n * 53) % 1500),
                    };
                    let last = self.received(n, late, took, &id);
                    self.published(n, last, &id);
                }
            }
        }
        self.line(
            self.clock.now() + seconds(60),
            Entry::new(Kind::Refused).with("reason", "untrusted").with("count", 12),
        );
        self.incidents();
        self.probes();
    }

    fn incidents(&self) {
        let book = Book::open(self.ledger.clone(), self.clock.clone()).unwrap();
        let begun = |hour: &str| instant(&format!("2024-06-02T{hour}-05:00"));
        let cases = [
            (Trouble::LateCut, "22:30:00", 1080, "no llegó el corte de las 22:30", true),
            (Trouble::SlowTransfer, "23:00:00", 200, "200 s por corte", false),
            (Trouble::Rejected, "23:20:00", 180, "GZIP_CRC", true),
        ];
        for (kind, hour, lasted, cause, affected) in cases {
            let opening = Opening { affected, ..Opening::new(kind, "cadencia", cause) };
            let (number, _) = book.begin(opening.since(begun(hour))).unwrap();
            let remark = Remark {
                who: Some("ana".to_owned()),
                text: "se llamó al instituto".to_owned(),
                ..Remark::default()
            };
            book.note(number, &remark).unwrap();
            let end = Some(begun(hour) + seconds(lasted));
            book.close(number, &Closing { end, ..Closing::seen("llegó el siguiente") }).unwrap();
        }
    }

    /// A day of probes, one round a minute over two pages; three rounds fail.
    fn probes(&self) {
        let store = Store::new(Dir::create(self.node.path("var/monitor")).unwrap(), self.zone.clone(), 400);
        for minute in 0..1440_i64 {
            let t = instant("2024-06-02T20:00:00-05:00") + seconds(minute * 60);
            let bad = matches!(minute, 100 | 101 | 700);
            let probe = |path: &str, ms| Probe {
                t,
                target: "public".to_owned(),
                path: path.to_owned(),
                status: if bad { None } else { Some(200) },
                ms,
                bytes: 900,
                ok: !bad,
                why: bad.then(|| "sin respuesta".to_owned()),
                cut: None,
            };
            let ms = |by: i64| u64::try_from((minute * by) % 97 + 3).unwrap();
            store.keep(&[probe("/", ms(7)), probe("/assets/avance.json", ms(11))]).unwrap();
        }
    }

    fn report(&self, args: &[&str]) -> Vec<u8> {
        let out = self.node.difusor(&[&["report"], args].concat());
        assert!(out.status.success(), "{}", shown(&out));
        out.stdout
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.report(&[args, &["--format", "json", "--out", "-"]].concat())).unwrap()
    }

    fn raw(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.node.path("var/ledger/ledger.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn count(lines: &[Value], kind: &str) -> u64 {
    lines.iter().filter(|line| line["ev"] == kind).count() as u64
}

pub fn figure(report: &Value, id: &str) -> f64 {
    report["figures"][id]["value"].as_f64().unwrap_or_else(|| panic!("{id}: {}", report["figures"][id]))
}

fn at(line: &Value, field: &str) -> Timestamp {
    line[field].as_str().unwrap().parse().unwrap()
}

/// Nearest rank, by sorting: written again here on purpose.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len().div_ceil(2) - 1]
}

#[test]
fn the_memoria_of_a_night_says_what_the_raw_files_say() {
    let night = Night::new(OFFICE);
    night.play();
    let report = night.json(&["memoria", "--event", "jornada-2024"]);
    let lines = night.raw();
    for (id, kind) in [
        ("cuts.received", "received"),
        ("cuts.published", "published"),
        ("cuts.rejected", "rejected"),
        ("cuts.repeated", "repeated"),
        ("cuts.superseded", "superseded"),
    ] {
        assert_eq!(figure(&report, id), count(&lines, kind) as f64, "{id}");
    }
    assert_eq!(figure(&report, "cuts.published"), 96.0);
    assert_eq!(figure(&report, "cuts.missing"), 1.0, "the cut of 22:30 never came");
    let received: Vec<&Value> = lines.iter().filter(|l| l["ev"] == "received").collect();
    let bytes: u64 = received.iter().map(|l| l["bytes"].as_u64().unwrap()).sum();
    assert_eq!(figure(&report, "cuts.bytes"), bytes as f64);
    let took = |l: &&Value| at(l, "last_byte").duration_since(at(l, "first_byte")).as_secs_f64();
    let times: Vec<f64> = received.iter().map(took).collect();
    let close = |id: &str, expected: f64| {
        let found = figure(&report, id);
        assert!((found - expected).abs() < 0.005, "{id}: {found} and {expected}");
    };
    close("transfer.seconds.max", 200.0);
    close("transfer.seconds.p50", median(times));
    let speeds = received.iter().map(|l| l["bytes"].as_f64().unwrap() * 8.0 / 1e6 / took(l));
    close("transfer.mbps.p50", median(speeds.collect()));
    // What the service itself noted as the delay of each cut.
    let delays: Vec<f64> =
        lines.iter().filter(|l| l["ev"] == "published").map(|l| l["ms"].as_f64().unwrap() / 1e3).collect();
    close("delay.max", delays.iter().copied().fold(0.0, f64::max));
    close("delay.p50", median(delays));
    // The table of cuts: a row for each reception, each with its package.
    let rows = report["tables"]["hashes"]["rows"].as_array().unwrap();
    let told: Vec<&str> = rows.iter().map(|row| row[3].as_str().unwrap()).collect();
    let raw: Vec<&str> = received.iter().map(|l| l["package"].as_str().unwrap()).collect();
    assert_eq!(told, raw);
    assert_eq!(report["tables"]["cuts"]["rows"].as_array().unwrap().len(), raw.len());
    let refusal = &report["tables"]["refusals"]["rows"][0];
    assert_eq!((&refusal[2], &refusal[3]), (&json!("integridad"), &json!("GZIP_CRC")), "{refusal}");
    // Incidents: those that affected publication, and the others in their annex (T-35).
    let causes = |table: &str| -> BTreeSet<String> {
        let rows = report["tables"][table]["rows"].as_array().unwrap();
        rows.iter().map(|row| row[7].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(causes("incidents"), ["GZIP_CRC", "no llegó el corte de las 22:30"].map(str::to_owned).into());
    assert_eq!(causes("incidents-other"), ["200 s por corte".to_owned()].into());
    assert_eq!(figure(&report, "incidents.affected-seconds"), 1260.0);
    // 1,440 rounds of a minute, three of them bad (T-38): the share is exact.
    assert!((figure(&report, "availability.percent") - 1437.0 / 1440.0).abs() < 1e-9);
    let first = &report["tables"]["availability"]["rows"][0];
    assert_eq!((&first[5], &first[8]), (&json!(180.0), &json!("99.9 %")), "{first}");
}

#[test]
fn every_figure_leads_to_a_source_and_a_command() {
    let night = Night::new(OFFICE);
    night.play();
    let report = night.json(&["memoria", "--event", "jornada"]);
    let sources = report["sources"].as_array().unwrap();
    let known: BTreeSet<&str> = sources.iter().map(|s| s["id"].as_str().unwrap()).collect();
    for group in ["figures", "tables", "charts"] {
        for (id, thing) in report[group].as_object().unwrap() {
            assert!(known.contains(thing["source"].as_str().unwrap()), "{group} {id}");
        }
    }
    for source in sources {
        assert!(!source["how"].as_str().unwrap().is_empty() && !source["query"].as_str().unwrap().is_empty());
    }
    // The ledger's own source names the last line it rests on, by its hash.
    let text = std::fs::read_to_string(night.node.path("var/ledger/ledger.jsonl")).unwrap();
    let refused = text.lines().rfind(|line| line.contains("\"ev\":\"refused\"")).unwrap();
    let hash = difusor::model::Digest::of(format!("{refused}\n").as_bytes()).to_string();
    assert!(sources[0]["from"].as_str().unwrap().contains(&hash), "{}", sources[0]);
    // All sections of the union, in order.
    let headings: Vec<&str> = report["body"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|b| b["level"] == 1)
        .map(|b| b["heading"].as_str().unwrap())
        .collect();
    for (number, heading) in (1..=10).zip(&headings) {
        assert!(heading.starts_with(&format!("{number}. ")), "{headings:?}");
    }
    assert_eq!(headings.iter().filter(|h| h.starts_with("Anexo ")).count(), 6, "{headings:?}");
}

#[test]
fn the_same_input_gives_the_same_bytes_in_every_form() {
    let night = Night::new(OFFICE);
    night.play();
    let all = |folder: &str, more: &[&str]| {
        let out = night.node.path(folder);
        let args =
            ["memoria", "--event", "jornada", "--format", "html,pdf,xlsx,csv,json", "--tables", "--out"];
        night.report(&[&args[..], &[out.to_str().unwrap()], more].concat());
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&out)
            .unwrap()
            .map(|f| f.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&p).unwrap()))
            .collect();
        files.sort();
        for (name, _) in &files {
            let mode = std::fs::metadata(out.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name} (T-49)");
        }
        files
    };
    let last = night.raw().last().unwrap()["t"].as_str().unwrap().to_owned();
    let first = all("uno/", &[]);
    assert!(first.len() > 25, "{}", first.len());
    let differ = |a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)]| -> Vec<String> {
        a.iter().zip(b).filter(|(a, b)| a != b).map(|(a, _)| a.0.clone()).collect()
    };
    assert_eq!(differ(&first, &all("dos/", &[])), Vec::<String>::new());
    // Lines written later change nothing of a report that speaks of an earlier instant.
    night.line(
        night.clock.now() + seconds(7200),
        Entry::new(Kind::Refused).with("reason", "later").with("count", 1),
    );
    let late = night.received(96, 4000, 2600, &format!("{:064x}", 7777));
    assert!(late > last.parse().unwrap());
    assert_eq!(differ(&first, &all("tres/", &["--as-of", &last])), Vec::<String>::new());
    assert!(!differ(&first, &all("cuatro/", &[])).is_empty(), "without an instant the new lines count");
}

fn python(code: &str, file: &Path) -> String {
    let out = Command::new("/usr/bin/python3").args(["-c", code]).arg(file).output().unwrap();
    assert!(out.status.success(), "{}", shown(&out));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn html_pdf_workbook_and_csv_say_the_same() {
    let night = Night::new(OFFICE);
    night.play();
    for (lang, heading) in [("es", "3. Operación"), ("en", "3. Operation")] {
        let out = night.node.path(lang);
        let args = ["memoria", "--format", "html,pdf,xlsx,csv,json", "--lang", lang, "--out"];
        night.report(&[&args[..], &[out.to_str().unwrap()]].concat());
        let file = |suffix: &str| out.join(format!("memoria-jornada-2024.{suffix}"));
        let report: Value = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
        let shown = |id: &str| report["figures"][id]["shown"].as_str().unwrap().to_owned();
        let html = std::fs::read_to_string(file("html")).unwrap();
        assert!(html.contains(heading) && html.contains("<svg ") && !html.contains("<script"), "{lang}");
        let pdf = Command::new("pdftotext").arg("-layout").arg(file("pdf")).arg("-").output().unwrap();
        let pdf = String::from_utf8(pdf.stdout).unwrap();
        assert!(pdf.contains(heading) && pdf.contains(report["zone"].as_str().unwrap()), "{pdf}");
        for id in
            ["cuts.bytes", "cuts.published", "delay.p50", "transfer.seconds.max", "availability.percent"]
        {
            assert!(html.contains(&shown(id)) && pdf.contains(&shown(id)), "{lang} {id} {}", shown(id));
        }
        let sum = python(
            "import sys, openpyxl\nb = openpyxl.load_workbook(sys.argv[1])\ns = b['hashes']\nprint(len(b.sheetnames), sum(r[2].value for r in s.iter_rows(min_row=5)), b['cuts'].max_row - 4, b.properties.created)",
            &file("xlsx"),
        );
        let words: Vec<&str> = sum.split_whitespace().collect();
        assert_eq!(words[1].parse::<f64>().unwrap(), figure(&report, "cuts.bytes"));
        assert_eq!(words[2].parse::<f64>().unwrap(), figure(&report, "cuts.received"));
        assert!(words[3].starts_with("2024-06-"), "the hour is the night's: {sum}");
        let csv = python(
            "import sys, csv\nrows = list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8')))\nat = next(i for i, r in enumerate(rows) if r[:2] == ['#', 'hashes'])\nbody = rows[at + 2:]\nend = next((i for i, r in enumerate(body) if not r), len(body))\nprint(sum(int(r[2]) for r in body[:end]), end)",
            &file("csv"),
        );
        assert_eq!(
            csv.split_whitespace().next().unwrap().parse::<f64>().unwrap(),
            figure(&report, "cuts.bytes")
        );
    }
}

#[test]
fn an_institute_brings_its_own_form() {
    let night = Night::new(OFFICE);
    night.play();
    let form = night.node.path("formato.md");
    std::fs::write(&form, "% Formato IEQROO\n% Anexo\n# I. Incidencias\n{{ f('incidents.affected') }} incidencias\n\n[[table incidents]]\n").unwrap();
    let report = night.json(&["memoria", "--template", form.to_str().unwrap()]);
    assert_eq!(report["title"], "Formato IEQROO");
    let body = report["body"].as_array().unwrap();
    assert_eq!(body[1], json!({"paragraph": "2 [C2] incidencias"}));
    assert_eq!(body[2], json!({"table": "incidents"}));
    let pdf = night.node.path("formato.pdf");
    night.report(&[
        "memoria",
        "--template",
        form.to_str().unwrap(),
        "--format",
        "pdf",
        "--out",
        pdf.to_str().unwrap(),
    ]);
    let text = Command::new("pdftotext").arg(&pdf).arg("-").output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("I. Incidencias"));
    // A form in HTML is the institute's own page.
    let page = night.node.path("formato.html");
    std::fs::write(&page, "<h1>{{ call.institute }}</h1>{{ table('transfers') }}{{ chart('delays') }}")
        .unwrap();
    let made = night.node.path("hecho.html");
    night.report(&["memoria", "--template", page.to_str().unwrap(), "--out", made.to_str().unwrap()]);
    let made = std::fs::read_to_string(made).unwrap();
    assert!(made.starts_with("<h1>IEQROO</h1><div") && made.contains("<svg "), "{made}");
    // A form at fault is named with its line; nothing is written.
    std::fs::write(&form, "% X\n\n{{ f('no.hay') }}\n").unwrap();
    let out = night.node.difusor(&["report", "memoria", "--template", form.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
    assert!(shown(&out).contains("formato.md, línea 3") && shown(&out).contains("no.hay"), "{}", shown(&out));
    // Ours can be had to begin with.
    let ours = String::from_utf8(night.report(&["template", "memoria"])).unwrap();
    assert!(ours.contains("[[table cuts]]"), "{ours}");
}

#[test]
fn a_drill_has_a_report_of_its_own() {
    let night = Night::new(OFFICE);
    let stamp = instant("2024-05-26T20:00:00-05:00");
    for n in 0..8 {
        let id = format!("{:064x}", n + 1);
        let last = stamp + seconds(n * 900 + if n == 3 { 1000 } else { 30 });
        let cut = (stamp + seconds(n * 900))
            .to_zoned(night.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string();
        let entry =
            Entry::new(Kind::Received).with("name", "c.tar.gz").with("bytes", 1000).with("package", &id);
        night.line(last, entry.with("first_byte", last - seconds(1)).with("last_byte", last));
        let entry =
            |kind| Entry::new(kind).with("release", n.to_string()).with("cut", &cut).with("package", &id);
        night.line(last + seconds(1), entry(Kind::Verified));
        night.line(last + seconds(2), entry(Kind::Published));
    }
    night.line(instant("2024-05-27T03:00:00-05:00"), Entry::new(Kind::Closed).with("event", "simulacro-1"));
    let report = night.json(&["drill", "--event", "simulacro-1"]);
    let told =
        ["drill.expected", "cuts.received", "cuts.published", "drill.late"].map(|id| figure(&report, id));
    assert_eq!(told, [24.0, 8.0, 8.0, 1.0]);
    let events = &report["tables"]["identification"]["rows"];
    assert!(events.as_array().unwrap().iter().any(|row| row[1] == "simulacro-1"), "{events}");
    // Nothing of it is in the memoria of the election.
    assert_eq!(figure(&night.json(&["memoria", "--event", "jornada-2024"]), "cuts.received"), 0.0);
}

#[test]
fn papers_name_what_is_missing_with_its_clause_and_stay_private() {
    let bare = Night::new("");
    let out = bare.node.difusor(&["report", "dossier", "--format", "json", "--out", "-"]);
    assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
    for part in ["difusor.phone", "cláusula VI de Quintana Roo", "[[staff]]"] {
        assert!(shown(&out).contains(part), "{part}: {}", shown(&out));
    }
    let night = Night::new(OFFICE);
    let sheet = night.json(&["interconnection"]);
    let told = sheet.to_string();
    let keys = night.node.difusor(&["keys", "list", "--json"]);
    let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
    let fingerprint = keys.to_string().split("SHA256:").nth(1).unwrap().chars().take(43).collect::<String>();
    assert_eq!(sheet["missing"], json!([]), "everything the call asks for is there");
    for part in [
        "983 832 1920",
        fingerprint.as_str(),
        "127.0.0.0/8",
        "198.51.100.7",
        "0.mx.pool.ntp.org",
        "ssh-ed25519",
        "sftp",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let server = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(night.node.path("keys/host/ssh_host_ed25519_key"))
        .output()
        .unwrap();
    let server = String::from_utf8(server.stdout).unwrap();
    assert!(told.contains(server.split_whitespace().nth(1).unwrap()), "{server} {told}");
    let drawn = String::from_utf8(night.report(&["architecture", "--format", "html", "--out", "-"])).unwrap();
    assert!(drawn.contains("<svg ") && drawn.contains("Diario de Prueba"), "{drawn}");
    // Never where readers could fetch it.
    let public = night.node.path("www/informe.pdf");
    let out =
        night.node.difusor(&["report", "architecture", "--format", "pdf", "--out", public.to_str().unwrap()]);
    assert!(!out.status.success() && shown(&out).contains("los lectores"), "{}", shown(&out));
    assert!(!public.exists());
}
