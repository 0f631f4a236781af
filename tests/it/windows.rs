//! Nothing is visible before the hour, by any path (T-16).

use jiff::{SignedDuration, Timestamp};

use crate::cuts::Cuts;
use crate::night::{Node, shown};

fn event(opens_in: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the service under test reads the wall clock")]
    let now = Timestamp::now();
    let opens = now + SignedDuration::from_secs(opens_in);
    let closes = now + SignedDuration::from_hours(24);
    format!(
        "[[event]]\nname = \"jornada\"\nopens = \"{opens}\"\ncloses = \"{closes}\"\naccepts-from = \"2024-01-01T00:00\"\n"
    )
}

#[test]
fn a_cut_that_came_early_is_live_at_the_opening_and_not_before() {
    let node = Node::start_with(&event(6));
    let cuts = Cuts::good(1);
    for n in [0, 1] {
        let pushed = node.scp(&[], &[&cuts.path(n)], "");
        assert!(pushed.status.success(), "{}", shown(&pushed));
        assert!(shown(&pushed).contains("en espera"), "{}", shown(&pushed));
    }
    let waiting = node.get("/");
    assert_eq!(waiting.status, 200);
    assert!(waiting.text().contains("<base"), "{}", waiting.text());
    let secret = cuts.manifest(0)["files"][0]["path"].as_str().unwrap().to_owned();
    for path in cuts.manifest(0)["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap())
        .filter(|p| p.ends_with(".json"))
    {
        assert_eq!(node.get(&format!("/{path}")).status, 404, "{path}");
        assert_eq!(node.curl(&format!("/{path}"), &["-H", "Range: bytes=0-10"]).status, 404, "{path}");
    }
    assert!(!node.path("www/current").join(&secret).exists() || secret == "index.html");
    assert!(node.state()["cut"].is_null(), "{}", node.state());
    node.wait_live(&cuts.path(1));
    let published = node.ledger_of("published");
    let at: Timestamp = published.last().unwrap()["t"].as_str().unwrap().parse().unwrap();
    let config = std::fs::read_to_string(node.path("difusor.toml")).unwrap();
    let opens: Timestamp =
        config.split("opens = \"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let late = at.duration_since(opens).as_millis();
    assert!((0..1000).contains(&late), "opened {late} ms after the hour");
}

#[test]
fn the_data_of_a_drill_never_opens_with_the_election() {
    let drill = event(0).replace("accepts-from = \"2024-01-01T00:00\"\n", "");
    let node = Node::start_with(&drill);
    let cuts = Cuts::good(0);
    let pushed = node.scp(&[], &[&cuts.path(0)], "");
    assert!(!pushed.status.success() && shown(&pushed).contains("WRONG_ELECTION"), "{}", shown(&pushed));
    assert!(node.state()["cut"].is_null());
}
