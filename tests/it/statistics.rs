//! Who consulted the results (T-31, T-32, T-33): the log of a service that runs, its figures, and what GoAccess
//! and AWStats say of the same lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::night::{Node, sha256, shown};

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
const BEHIND_OURSELVES: &str = "[access-log]\nproxies = [\"127.0.0.0/8\"]\n[stats]\nmonitors = [\"198.51.100.7\"]\n\
                                [[stats.page]]\npattern = \"avance.json\"\nname = \"Avance\"\n";

/// A site of four files, published by hand.
fn publish(node: &Node) {
    let dir = node.path("cut");
    std::fs::create_dir(&dir).unwrap();
    for (name, text) in [
        ("index.html", "<html><head><base href=\"/\"></head></html>"),
        ("avance.json", "{\"actas\":1}"),
        ("main.0123abcd.js", "1"),
        ("base.csv", "a,b\n"),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let file = node.path("20240602_2000_PREP.tar.gz");
    let packed = Command::new("tar").arg("czf").arg(&file).arg("-C").arg(&dir).arg(".").status().unwrap();
    assert!(packed.success());
    let done = node.difusor(&["publish", file.to_str().unwrap(), "--reason", "prueba"]);
    assert!(done.status.success(), "{}", shown(&done));
}

/// Asks as a reader of that address with that agent.
fn ask(node: &Node, from: &str, agent: &str, path: &str, more: &[&str]) {
    let forwarded = format!("X-Forwarded-For: 9.9.9.9, {from}");
    let mut options = vec!["-A", agent, "-H", &forwarded];
    options.extend_from_slice(more);
    node.curl(path, &options);
}

fn json(node: &Node, args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.push("--json");
    let out = node.difusor(&all);
    assert!(out.status.success(), "{}", shown(&out));
    serde_json::from_slice::<Value>(&out.stdout).unwrap()["data"].clone()
}

fn log_text(node: &Node) -> String {
    let mut names: Vec<_> =
        std::fs::read_dir(node.path("var/access")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.iter().map(|name| std::fs::read_to_string(name).unwrap()).collect()
}

#[test]
fn what_readers_did_is_in_the_log_and_in_the_figures_after_a_kill_too() {
    let mut node = Node::start_with(BEHIND_OURSELVES);
    publish(&node);
    let readers = || {
        ask(&node, "203.0.113.77", CHROME, "/", &[]);
        ask(&node, "203.0.113.77", CHROME, "/avance.json?rand=1", &["--compressed"]);
        ask(&node, "203.0.113.77", CHROME, "/main.0123abcd.js", &["--http1.1"]);
        ask(&node, "203.0.113.99", SAFARI, "/resultados/entidad", &["-H", "Accept: text/html"]);
        ask(&node, "203.0.113.99", SAFARI, "/nada.json", &[]);
        ask(&node, "198.51.100.7", CHROME, "/", &[]);
        ask(&node, "203.0.113.5", "python-requests/2.31", "/avance.json", &["-e", "https://a/\"b"]);
    };
    readers();
    let first = json(&node, &["stats", "show"]);
    let people = &first["people"];
    let figures = ["hits", "valid", "resources", "pages", "views", "visits", "visitors"]
        .map(|k| people[k].as_u64().unwrap());
    assert_eq!(figures, [5, 4, 2, 2, 1, 2, 2], "{first:#}");
    let classes =
        ["human", "robot", "monitor", "internal"].map(|c| first["classes"][c]["hits"].as_u64().unwrap());
    assert_eq!(classes, [5, 1, 1, 0]);
    let names: Vec<_> =
        first["pages"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["/", "/resultados/entidad", "Avance"]);
    // T-31, field by field.
    let log = log_text(&node);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 7, "{log}");
    assert!(lines.iter().all(|l| l.starts_with("203.0.113.0 - - [") || l.starts_with("198.51.100.0 - - [")));
    assert!(
        lines[0].contains("] \"GET / HTTP/2.0\" 200 ")
            && lines[0].contains(&format!("\"-\" \"{CHROME}\" time=0."))
    );
    assert!(
        lines[0].contains(" host=127.0.0.1:")
            && lines[0].contains(" tls=1.3 cut=2024-06-02T20:00:00-05:00 class=human visitor=")
    );
    assert!(lines[1].contains(" \"GET /avance.json?rand=1 HTTP/2.0\" 200 "));
    assert!(
        lines[2].contains(" HTTP/1.1\" 200 1 ") && lines[4].contains(" 404 ") && lines[4].contains(" cut=- ")
    );
    assert!(
        lines[5].contains(" class=monitor ")
            && lines[6].contains(" class=robot ")
            && lines[6].contains("\"https://a/\\x22b\"")
    );
    // Local time with offset: Cancún.
    assert!(lines.iter().all(|l| l.contains(" -0500] ")));
    // A kill: the lines are there already, and the figures are made of them.
    readers();
    while log_text(&node).lines().count() < 14 {
        std::thread::yield_now();
    }
    node.kill(None);
    node.up("run");
    let again = json(&node, &["stats", "show"]);
    assert_eq!(again["classes"]["human"]["hits"], 10);
    assert_eq!((&again["people"]["visits"], &again["people"]["visitors"]), (&2.into(), &2.into()));
    let compared = json(&node, &["stats", "rebuild", "--check"]);
    assert_eq!((&compared[0]["hits"], &compared[0]["equal"]), (&14.into(), &true.into()), "{compared}");
    let status = json(&node, &["status"]);
    assert_eq!(status["traffic"]["today"]["human"]["hits"], 10, "{status:#}");
    assert_eq!(status["traffic"]["lost"], 0);
    // The annex of a report.
    let out = node.path("annex.log");
    let exported = json(&node, &["log", "export", "--out", out.to_str().unwrap()]);
    assert_eq!(exported["export"]["lines"], 14);
    assert_eq!(exported["export"]["sha256"], sha256(&out));
    let tables = node.path("tables");
    json(&node, &["stats", "export", "--out", tables.to_str().unwrap()]);
    let sums = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&tables).output().unwrap();
    assert!(sums.status.success(), "{}", shown(&sums));
    let classes = std::fs::read_to_string(tables.join("clases.csv")).unwrap();
    assert!(classes.contains("personas,10,8,4,4,2,2,2,"), "{classes}");
}

#[test]
fn the_serving_half_alone_writes_the_log_and_a_stranger_is_not_believed() {
    let mut node = Node::prepare("");
    node.up("receive");
    node.up("serve");
    publish(&node);
    while node.get("/").status != 200 {
        std::thread::yield_now();
    }
    ask(&node, "203.0.113.77", CHROME, "/avance.json", &[]);
    let shown = json(&node, &["stats", "show"]);
    assert_eq!(shown["people"]["views"], 1);
    let log = log_text(&node);
    assert!(log.lines().all(|line| line.starts_with("127.0.0.0 ")), "nobody named a proxy: {log}");
    // An orderly stop writes everything.
    ask(&node, "203.0.113.77", CHROME, "/base.csv", &[]);
    node.stop_half("serve");
    assert!(log_text(&node).contains("/base.csv"));
    assert_eq!(json(&node, &["stats", "rebuild", "--check"])[0]["equal"], true);
}

#[test]
fn windows_of_the_call_have_names() {
    let node = Node::prepare(
        "timezone = \"America/Monterrey\"\n[stats]\n[[event]]\nname = \"jornada\"\nopens = \"2024-06-02T18:00\"\ncloses = \"2024-06-09T23:59\"\n",
    );
    let text = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    std::fs::write(node.path("difusor.toml"), format!("profile = \"nuevo-leon\"\n{text}")).unwrap();
    let windows = json(&node, &["stats", "windows"]);
    let ends: Vec<_> = windows
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (w["name"].as_str().unwrap(), w["from"].as_str().unwrap(), w["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        ends,
        [
            ("jornada/jornada", "2024-06-03T00:00:00Z", "2024-06-04T00:00:00Z"),
            ("jornada/resultados", "2024-06-04T00:00:00Z", "2024-06-10T06:00:00Z"),
        ]
    );
    let unknown = node.difusor(&["stats", "show", "--window", "otra"]);
    assert_eq!(unknown.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("jornada/resultados"));
}

/// The log of a night as another server would have written it, the same each time.
fn foreign_night(lines: u64) -> String {
    let mut state = 11_u64;
    let mut random = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut at: Vec<u64> = (0..lines).map(|_| random(30 * 3600)).collect();
    at.sort_unstable();
    let mut text = String::new();
    for at in at {
        let of_day = (18 * 3600 + at) % 86_400;
        let day = 2 + (18 * 3600 + at) / 86_400;
        let agent = [
            CHROME,
            SAFARI,
            CHROME,
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ][random(4) as usize];
        let path = [
            "/",
            "/index.html",
            "/assets/a.json?rand=7",
            "/main.1a.js",
            "/base.csv",
            "/no.html",
            "/v1.2/avance",
            "/l.svg",
        ][random(8) as usize];
        let status = [200, 200, 200, 304, 206, 404, 301, 405][random(8) as usize];
        let method = ["GET", "GET", "GET", "HEAD", "POST"][random(5) as usize];
        let _ = writeln!(
            text,
            "203.0.{}.{} - - [{day:02}/Jun/2024:{:02}:{:02}:{:02} -0500] \"{method} {path} HTTP/1.1\" {status} {} \"-\" \"{agent}\"",
            100 + random(30),
            random(5),
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            random(50_000),
        );
    }
    text
}

#[test]
fn goaccess_and_awstats_give_their_own_figures_of_the_same_log() {
    let node = Node::prepare("");
    let foreign = node.path("foreign.log");
    std::fs::write(&foreign, foreign_night(4000)).unwrap();
    let taken = json(&node, &["stats", "import", "--source", "noche", foreign.to_str().unwrap()]);
    assert_eq!((&taken["files"][0]["taken"], &taken["files"][0]["bad"]), (&4000.into(), &0.into()));
    let ours = json(&node, &["stats", "crosscheck", "--source", "noche"]);
    // One file, as rotation leaves several.
    let all: String = ["2024-06-02", "2024-06-03"]
        .iter()
        .map(|day| std::fs::read_to_string(node.path(&format!("var/stats/imports/noche/{day}.log"))).unwrap())
        .collect();
    let whole = node.path("whole.log");
    std::fs::write(&whole, &all).unwrap();

    let found = goaccess(&whole, &node.path("goaccess.json"));
    assert_eq!(found["general"]["valid_requests"], ours["goaccess_requests"]);
    assert_eq!(
        (&found["general"]["valid_requests"], &found["general"]["failed_requests"]),
        (&4000.into(), &0.into())
    );
    assert_eq!(found["general"]["bandwidth"], ours["goaccess_bytes"]);
    for day in found["visitors"]["data"].as_array().unwrap() {
        let name = day["data"].as_str().unwrap();
        let own = &ours["days"][format!("{}-{}-{}", &name[..4], &name[4..6], &name[6..])];
        assert_eq!(day["hits"]["count"], own["goaccess_hits"], "{name}");
        assert_eq!(day["visitors"]["count"], own["goaccess_visitors"], "{name}");
    }

    let people: String =
        all.lines().filter(|l| l.contains(" class=human ")).map(|l| format!("{l}\n")).collect();
    std::fs::write(&whole, people).unwrap();
    let days = awstats(&whole, &node.path("awstats"));
    assert_eq!(days.len(), 2);
    for (day, (pages, hits, visits)) in days {
        let own = &ours["days"][&day];
        let own = ["awstats_pages", "awstats_hits", "awstats_visits"].map(|k| own[k].as_u64().unwrap());
        assert_eq!(own, [pages, hits, visits], "{day}");
    }

    // And our own figures of it, by our own definitions, are those of a plain count.
    let shown = json(
        &node,
        &["stats", "show", "--source", "noche", "--from", "2024-06-02T18:00", "--to", "2024-06-04T00:00"],
    );
    let sum: u64 = ["human", "robot"].map(|c| shown["classes"][c]["hits"].as_u64().unwrap()).iter().sum();
    assert_eq!(sum, 4000);
    let robots = foreign_night(4000).lines().filter(|l| l.contains("Googlebot")).count() as u64;
    assert_eq!(shown["classes"]["robot"]["hits"], robots);
}

fn goaccess(log: &Path, out: &Path) -> Value {
    let done = Command::new("goaccess")
        .arg(log)
        .args(["--log-format=COMBINED", "--no-global-config", "--no-progress", "-o"])
        .arg(out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", shown(&done));
    serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
}

/// Pages, hits and visits of each day.
fn awstats(log: &Path, data: &Path) -> BTreeMap<String, (u64, u64, u64)> {
    std::fs::create_dir(data).unwrap();
    let config = format!(
        "LogFile=\"{}\"\nLogType=W\nLogFormat=1\nLogSeparator=\" \"\nSiteDomain=\"prep.mx\"\nHostAliases=\"localhost\"\n\
         DNSLookup=0\nDirData=\"{}\"\nDirCgi=\"/cgi-bin\"\nDirIcons=\"/icon\"\nSkipFiles=\"\"\nAllowToUpdateStatsFromBrowser=0\n\
         ValidHTTPCodes=\"200 304\"\nNotPageList=\"css js class gif jpg jpeg png bmp ico rss xml swf eot woff woff2 json csv zip \
         gz svg map txt ttf geojson webmanifest\"\n",
        log.display(),
        data.display()
    );
    std::fs::write(data.join("awstats.night.conf"), config).unwrap();
    let configured = format!("-configdir={}", data.display());
    let done = Command::new("/usr/lib/cgi-bin/awstats.pl")
        .args(["-config=night", &configured, "-update"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", shown(&done));
    let text = std::fs::read_to_string(data.join("awstats062024.night.txt")).unwrap();
    let days = text.split("\nBEGIN_DAY ").nth(1).unwrap().split("\nEND_DAY").next().unwrap();
    days.lines()
        .skip(1)
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |n: usize| words[n].parse().unwrap();
            let day = words[0];
            (format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]), (number(1), number(2), number(4)))
        })
        .collect()
}

#[test]
fn a_usual_month_can_be_stated_to_compare_with() {
    let node = Node::prepare("");
    let file = node.path("portal.csv");
    std::fs::write(&file, "fecha,visitas,hits\n2024-05-01,100,1000\n2024-05-02,300,3000\n").unwrap();
    let args = ["stats", "import-baseline", "--name", "portal", "--origin", "AWStats"];
    let mut all = args.to_vec();
    all.push(file.to_str().unwrap());
    let made = json(&node, &all);
    assert_eq!((&made["mean"]["visits"], &made["mean"]["hits"]), (&200.0.into(), &2000.0.into()));
}
