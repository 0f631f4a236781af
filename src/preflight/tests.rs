use super::*;

/// An instance in a folder, and a machine of files in another; answers by topic.
struct Stage {
    dir: tempfile::TempDir,
    root: tempfile::TempDir,
    now: &'static str,
}

impl Stage {
    fn new(now: &'static str) -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap(), root: tempfile::tempdir().unwrap(), now };
        for folder in ["keys/trusted", "www", "var/history", "var/releases", "var/ledger"] {
            std::fs::create_dir_all(stage.dir.path().join(folder)).unwrap();
        }
        stage
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn machine(&self, file: &str, text: &str) {
        let path = self.root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn config(&self, text: &str) -> Config {
        Config::parse(&self.dir.path().join("difusor.toml"), text).unwrap()
    }

    fn ask(&self, text: &str) -> Vec<Answer> {
        let asked = Asked { offline: true, root: self.root.path().to_owned(), ..Asked::default() };
        examine(&self.config(text), &asked, &Clock::at(self.now.parse().unwrap()))
    }

    fn worst(&self, text: &str, topic: Topic) -> (Verdict, String) {
        let answers = self.ask(text);
        let about = answers.iter().filter(|a| a.topic == topic);
        let worst = about.max_by_key(|a| a.verdict).unwrap();
        (worst.verdict, worst.found.text(crate::model::Lang::Es).to_owned())
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ieqroo\n";
const NOW: &str = "2027-06-05T12:00:00Z";
const EVENT: &str = "profile = \"quintana-roo\"\n[[event]]\nname = \"jornada\"\nopens = \"2027-06-06T20:00\"\ncloses = \"2027-06-14T00:00\"\n";

#[test]
fn every_topic_is_answered_and_nothing_is_asked_of_the_network() {
    let answers = Stage::new(NOW).ask("");
    for topic in Topic::ALL {
        assert!(answers.iter().any(|answer| answer.topic == *topic), "{topic:?}");
    }
    let codes: Vec<_> = answers.iter().map(|a| a.topic).collect();
    let mut sorted = codes.clone();
    sorted.sort();
    assert_eq!(codes, sorted, "in the order of the topics");
    for answer in &answers {
        let wrong = matches!(answer.verdict, Verdict::Fault | Verdict::Attention);
        assert!(!wrong || answer.remedy.is_some(), "no remedy: {answer:?}");
    }
}

#[test]
fn a_clock_without_witness_is_unknown() {
    let stage = Stage::new(NOW);
    assert_eq!(stage.worst("", Topic::Clock).0, Verdict::Unknown);
    assert_eq!(stage.worst("", Topic::ClockKeeper).0, Verdict::Unknown);
    stage.machine("run/systemd/timesync/synchronized", "");
    assert_eq!(stage.worst("", Topic::Clock).0, Verdict::Good);
    assert_eq!(stage.worst("", Topic::ClockKeeper).0, Verdict::Good);
}

#[test]
fn a_key_that_ends_during_the_night_is_named() {
    let stage = Stage::new(NOW);
    assert_eq!(stage.worst(EVENT, Topic::Keys).0, Verdict::Fault, "no key at all");
    let key = |end: &str| format!("from=\"203.0.113.0/28\",expiry-time=\"{end}\" {KEY}");
    stage.write("keys/trusted/ieqroo.pub", &key("20270607030000Z"));
    let (verdict, found) = stage.worst(EVENT, Topic::Keys);
    assert_eq!(verdict, Verdict::Fault);
    assert!(found.contains("«ieqroo»"), "{found}");
    stage.write("keys/trusted/ieqroo.pub", &key("20270609030000Z"));
    assert_eq!(stage.worst(EVENT, Topic::Keys).0, Verdict::Good);
}

#[test]
fn what_is_trusted_from_anywhere_is_named() {
    let stage = Stage::new(NOW);
    assert_eq!(stage.worst(EVENT, Topic::Networks).0, Verdict::Fault, "nobody is trusted");
    stage.write("keys/trusted/ieqroo.pub", KEY);
    assert_eq!(stage.worst(EVENT, Topic::Networks).0, Verdict::Attention);
    let house = format!("{EVENT}[trust]\nnetworks = [\"198.51.100.0/24\"]\n");
    let (verdict, found) = stage.worst(&house, Topic::Networks);
    assert_eq!(verdict, Verdict::Good, "the list of the house keeps others out");
    assert!(found.contains("198.51.100.0/24"), "{found}");
    let ending = house.replace(
        "\"198.51.100.0/24\"",
        "{ net = \"198.51.100.0/24\", note = \"IEQROO\", expires = \"2027-06-06\" }",
    );
    let (verdict, found) = stage.worst(&ending, Topic::Networks);
    assert!(verdict == Verdict::Attention && found.contains("198.51.100.0/24"), "{found}");
    stage.write("keys/trusted/ieqroo.pub", &format!("from=\"203.0.113.0/28,2001:db8::/48\" {KEY}"));
    let (verdict, found) = stage.worst(EVENT, Topic::Networks);
    assert_eq!(verdict, Verdict::Good);
    assert!(found.contains("203.0.113.0/28") && found.contains("2001:db8::/48"), "{found}");
}

#[test]
fn windows_are_measured_by_the_call() {
    let stage = Stage::new(NOW);
    assert_eq!(stage.worst("", Topic::Windows).0, Verdict::Attention, "no event");
    assert_eq!(stage.worst(EVENT, Topic::Windows).0, Verdict::Good);
    // 20:00 of the centre is 21:00 in Cancún.
    let centre = EVENT.replace("2027-06-06T20:00", "2027-06-06T20:00:00-06:00");
    assert_eq!(stage.worst(&centre, Topic::Windows).0, Verdict::Attention);
    let short = EVENT.replace("2027-06-14T00:00", "2027-06-10T00:00");
    assert_eq!(stage.worst(&short, Topic::Windows).0, Verdict::Attention);
    let drill = EVENT.replace("opens", "kind = \"simulacro\"\nopens");
    assert_eq!(stage.worst(&drill, Topic::Windows).0, Verdict::Attention, "drills only");
}

#[test]
fn the_disk_is_measured_by_the_cuts_to_come() {
    let stage = Stage::new(NOW);
    let small = "profile = \"quintana-roo\"\n[release]\nmin-free = \"1MiB\"\n";
    let (verdict, found) = stage.worst(small, Topic::Disk);
    // 24 hours of a cut every 15 minutes, of the size that the call names.
    assert!(found.contains("96 cortes de 36 MB"), "{verdict:?} {found}");
    let line = |n: u64, bytes: u64, end: &str| {
        format!(
            "{{\"n\":{n},\"t\":\"2027-06-05T10:00:00-05:00\",\"prev\":\"{}\",\"ev\":\"received\",\"bytes\":{bytes},\"first_byte\":\"2027-06-05T10:00:00Z\",\"last_byte\":\"{end}\",\"addr\":\"203.0.113.1\",\"via\":\"rsync\"}}\n",
            "0".repeat(64)
        )
    };
    let drill = line(1, 50_000_000, "2027-06-05T10:00:04Z") + &line(2, 60_000_000, "2027-06-05T10:00:16Z");
    stage.write("var/ledger/ledger.jsonl", &drill);
    let (_, found) = stage.worst(small, Topic::Disk);
    assert!(found.contains("96 cortes de 55 MB"), "{found}");
    let (verdict, found) = stage.worst(small, Topic::Bandwidth);
    assert!(verdict == Verdict::Good && found.contains("máximo 100"), "{verdict:?} {found}");
    let durango = small.replace("quintana-roo", "durango");
    assert_eq!(stage.worst(&durango, Topic::Bandwidth).0, Verdict::Good, "100 Mbit/s were measured");
    stage.write("var/ledger/ledger.jsonl", &line(1, 50_000_000, "2027-06-05T10:03:01Z"));
    assert_eq!(stage.worst(small, Topic::Bandwidth).0, Verdict::Fault, "more than three minutes");
    assert_eq!(stage.worst(&durango, Topic::Bandwidth).0, Verdict::Attention, "2 of 100 Mbit/s");
    let huge = small.replace("1MiB", "8000TiB");
    assert_eq!(stage.worst(&huge, Topic::Disk).0, Verdict::Fault);
}

#[test]
fn senders_that_all_look_like_the_gateway_are_told() {
    let stage = Stage::new(NOW);
    let line = "{\"n\":1,\"t\":\"2027-06-05T10:00:00-05:00\",\"prev\":\"0\",\"ev\":\"received\",\"bytes\":5,\"first_byte\":\"2027-06-05T10:00:00Z\",\"last_byte\":\"2027-06-05T10:00:01Z\",\"addr\":\"172.17.0.1\",\"via\":\"rsync\"}\n";
    stage.write("var/ledger/ledger.jsonl", line);
    assert!(!stage.worst("", Topic::Address).1.contains("puerta de enlace"));
    let gateway = u32::from_ne_bytes([172, 17, 0, 1]);
    stage.machine("proc/net/route", &format!("Iface Destination Gateway\neth0 00000000 {gateway:08X} 3\n"));
    let (verdict, found) = stage.worst("", Topic::Address);
    assert!(verdict == Verdict::Attention && found.contains("172.17.0.1"), "{found}");
}

#[test]
fn port_22_in_other_hands_has_three_ways_out() {
    let stage = Stage::new(NOW);
    assert_eq!(stage.worst("", Topic::Port22).0, Verdict::Unknown);
    let table = |port: u16| format!("sl local rem st\n 0: 00000000:{port:04X} 00000000:0000 0A 0\n");
    stage.machine("proc/net/tcp", &table(22));
    let answers = stage.ask("");
    let answer = answers.iter().find(|a| a.topic == Topic::Port22).unwrap();
    assert_eq!(answer.verdict, Verdict::Attention);
    let remedy = answer.remedy.as_ref().unwrap().text(crate::model::Lang::Es);
    assert!(["(a)", "(b)", "(c)"].iter().all(|way| remedy.contains(way)), "{remedy}");
    let ours = "[ssh]\nlisten = [\"0.0.0.0:22\"]\n";
    assert_eq!(stage.worst(ours, Topic::Port22).0, Verdict::Fault, "we are to have it");
    stage.machine("proc/net/tcp", &table(2222));
    assert_eq!(stage.worst(ours, Topic::Port22).0, Verdict::Good);
}

#[test]
fn rules_name_what_is_open_to_whom() {
    let stage = Stage::new(NOW);
    stage.write(
        "keys/trusted/ieqroo.pub",
        &format!("from=\"203.0.113.0/28,!203.0.113.7,2001:db8::/48\" {KEY}"),
    );
    let config =
        stage.config("[ssh]\nlisten = [\"0.0.0.0:2222\"]\n[[rsync.module]]\nname = \"prep\"\nnetworks = [\"198.51.100.0/24\"]\n");
    let clock = Clock::at(stage.now.parse().unwrap());
    let admin = ["192.0.2.0/24".parse().unwrap()];
    let nft = rules(Firewall::Nft, &config, &admin, &clock, crate::model::Lang::Es);
    for part in [
        "tcp dport { 80, 443, 8080, 8443 } accept",
        "ip saddr @confianza4 tcp dport { 22, 873, 2222, 2873 } accept",
        "ip6 saddr @confianza6 tcp dport { 22, 873, 2222, 2873 } accept",
        "elements = { 198.51.100.0/24, 203.0.113.0/28 }",
        "elements = { 2001:db8::/48 }",
        "elements = { 203.0.113.7/32 }",
        "ip saddr @administracion4 tcp dport 22 accept",
        "tcp dport 22 redirect to :2222",
        "policy drop",
    ] {
        assert!(nft.contains(part), "{part}\n{nft}");
    }
    let ufw = rules(Firewall::Ufw, &config, &[], &clock, crate::model::Lang::Es);
    for part in [
        "ufw allow proto tcp from any to any port 80,443,8080,8443",
        "ufw allow proto tcp from 203.0.113.0/28 to any port 22,873,2222,2873",
        "ufw allow proto tcp from 2001:db8::/48 to any port 22,873,2222,2873",
        "AVISO: sin --admin",
    ] {
        assert!(ufw.contains(part), "{part}\n{ufw}");
    }
    let denied = ufw.find("ufw deny proto tcp from 203.0.113.7/32").unwrap();
    assert!(denied < ufw.find("from 203.0.113.0/28").unwrap(), "the first rule that fits decides\n{ufw}");
}
