//! Pushes by rsync, as the protocol drives them: the tree it sees, writes and commits.

use super::*;
use crate::drop::{Push, PushConfig, Start, Vanished};
use crate::rsync::{Committed, Exit, Found, Intent, Kind, Meta, NewFile, Refused, Summary, Time, Tree};

const SITE: &[(&str, &str)] = &[("index.html", "home"), ("data/a.json", "1"), ("data/b.json", "2")];

fn bench() -> Bench {
    let bench = Bench::new();
    bench.publish(SITE);
    bench
}

impl Bench {
    fn push(&self) -> Push {
        self.push_with(|_| {})
    }

    fn push_with(&self, change: impl FnOnce(&mut PushConfig)) -> Push {
        let mut config = PushConfig {
            start: Start::Within(VPath::root()),
            module: "ssh".to_owned(),
            verdict_wait: Duration::ZERO,
            similar: true,
            vanished: Vanished::Refuse,
        };
        change(&mut config);
        self.view().push(config)
    }

    /// A push to the site that has begun.
    fn begun(&self) -> Push {
        let push = self.push();
        begin(&push, "sitio").unwrap();
        push
    }

    fn change(&mut self) -> Vec<(String, Change)> {
        match self.arrivals.try_recv().unwrap().payload {
            Payload::Tree(change) => change.changes.into_iter().collect(),
            Payload::Package { .. } | Payload::Sum(_) => panic!("a package"),
        }
    }
}

fn begin(push: &Push, destination: &str) -> Result<(), Refused> {
    push.begin(&Intent {
        destination: destination.into(),
        single: false,
        dry_run: false,
        deletes: false,
        bytes: 0,
        entries: 10,
    })
}

fn meta(mtime: i64) -> Meta {
    Meta { mtime: Some(Time { secs: mtime, nanos: 0 }), mode: None }
}

fn write(push: &Push, path: &str, bytes: &[u8]) -> Result<(), Refused> {
    let mut file = push.create(path.as_bytes(), bytes.len() as u64)?;
    file.write(bytes)?;
    file.finish(&meta(100))
}

fn look(push: &Push, path: &str) -> Option<Found> {
    push.look(path.as_bytes()).unwrap()
}

fn names(push: &Push, path: &str) -> Vec<String> {
    let listed = push.list(path.as_bytes()).unwrap();
    let mut names: Vec<_> = listed.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect();
    names.sort();
    names
}

fn basis(push: &Push, path: &str, size: u64) -> Option<Vec<u8>> {
    let basis = push.basis(path.as_bytes(), size).unwrap()?;
    let mut bytes = vec![0; usize::try_from(basis.size()).unwrap()];
    basis.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

#[test]
fn words_of_the_client_lead_into_the_virtual_root() {
    let bench = Bench::with(|config| config.aliases = vec![("/var/www/html/prep".into(), "/sitio".into())]);
    let push = bench.push();
    for (raw, path) in [
        ("", ""),
        (".", ""),
        ("~/paquetes/", "paquetes"),
        ("/var/www/html/prep/", "sitio"),
        ("sitio/../../etc", "etc"),
    ] {
        assert_eq!(push.destination(raw.as_bytes()).unwrap(), path.as_bytes(), "{raw}");
    }
    let confined = bench.push_with(|config| config.start = Start::Confined(at("/sitio")));
    for raw in ["", "/", "..", "../../paquetes/..", "~"] {
        assert_eq!(confined.destination(raw.as_bytes()).unwrap(), b"sitio", "{raw}");
    }
    assert_eq!(look(&push, "var/www").unwrap().kind, Kind::Dir);
}

#[test]
fn a_push_is_one_change_at_its_clean_end_and_nothing_before() {
    let mut bench = bench();
    let push = bench.begun();
    assert_eq!(look(&push, "sitio/data/a.json").unwrap().size, 1);
    write(&push, "sitio/data/a.json", b"one").unwrap();
    push.make_dir(b"sitio/css").unwrap();
    write(&push, "sitio/css/x.css", b"x").unwrap();
    push.remove(b"sitio/data/b.json").unwrap();
    assert_eq!(names(&push, "sitio"), ["css", "data", "index.html"]);
    assert!(bench.quiet(), "nothing is handed on before the end");
    assert!(matches!(
        push.commit(&Summary::default()).unwrap(),
        Committed::Pending(Some(line)) if line.contains("pendiente")
    ));
    let changes = bench.change();
    let paths: Vec<_> = changes.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["css/x.css", "data/a.json", "data/b.json"]);
    assert_eq!(changes[2].1, Change::Removed);
    assert!(matches!(changes[1].1, Change::File { mtime: 100, .. }));
}

#[test]
fn a_push_that_breaks_off_changes_nothing_and_lends_its_bytes_to_the_next() {
    let mut bench = bench();
    let push = bench.begun();
    write(&push, "sitio/whole.bin", b"all of it").unwrap();
    let mut half = push.create(b"sitio/data/a.json", 9).unwrap();
    half.write(b"half").unwrap();
    half.keep();
    drop(push);
    assert!(bench.quiet());
    let push = bench.begun();
    assert!(look(&push, "sitio/whole.bin").is_none(), "what is kept is not shown");
    assert_eq!(basis(&push, "sitio/whole.bin", 9).unwrap(), b"all of it");
    assert_eq!(basis(&push, "sitio/data/a.json", 9).unwrap(), b"half1", "and the live file after it");
    write(&push, "sitio/whole.bin", b"all of it").unwrap();
    push.commit(&Summary::default()).unwrap();
    drop(push);
    assert!(bench.change().iter().any(|(path, _)| path == "whole.bin"));
    assert!(basis(&bench.push(), "sitio/data/a.json", 9).is_some_and(|bytes| bytes == b"1"), "given up");
}

#[test]
fn an_incomplete_source_publishes_nothing() {
    let mut bench = bench();
    let push = bench.begun();
    write(&push, "sitio/new.html", b"new").unwrap();
    let summary = Summary { incomplete: Some("x".to_owned()), ..Summary::default() };
    let refused = push.commit(&summary).unwrap_err();
    assert_eq!(refused.exit, Exit::Partial);
    assert!(refused.text.contains("lo anterior sigue vigente"), "{}", refused.text);
    drop(push);
    let push = bench.begun();
    write(&push, "sitio/new.html", b"new").unwrap();
    let gone = Summary { vanished: true, ..Summary::default() };
    assert!(push.commit(&gone).is_err() && bench.quiet());
    let push = bench.push_with(|config| config.vanished = Vanished::Publish);
    drop(begin(&push, "sitio"));
    drop(push);
    let empty = bench.push().begin(&Intent {
        destination: b"sitio".to_vec(),
        single: false,
        dry_run: false,
        deletes: true,
        bytes: 0,
        entries: 1,
    });
    assert!(empty.unwrap_err().text.contains("vacío"));
}

#[test]
fn a_name_that_no_site_may_hold_refuses_the_whole_push() {
    let mut bench = bench();
    for bad in [b"sitio/\xff.html".as_slice(), b"sitio/a\nb", "sitio/n\u{303}".as_bytes()] {
        let push = bench.begun();
        write(&push, "sitio/good.html", b"good").unwrap();
        let refused = push.create(bad, 1).map(|_| ()).unwrap_err();
        assert_eq!(refused.exit, Exit::Partial);
        assert_eq!(push.commit(&Summary::default()).unwrap_err().text, refused.text);
        assert!(bench.quiet());
    }
    let push = bench.begun();
    write(&push, "sitio/INDEX.html", b"twin").unwrap();
    assert!(push.commit(&Summary::default()).unwrap_err().text.contains("NAME_COLLISION"));
    assert!(bench.quiet());
}

#[test]
fn the_second_of_two_pushes_waits_or_is_refused() {
    let bench = bench();
    let _first = bench.begun();
    let refused = begin(&bench.push(), "sitio").unwrap_err();
    assert!(refused.text.contains("TREE_BUSY"), "{}", refused.text);
    begin(&bench.push(), "paquetes").unwrap();
}

#[test]
fn a_dry_run_takes_no_turn_and_sees_the_live_tree() {
    let bench = bench();
    let _first = bench.begun();
    let push = bench.push();
    let intent = Intent {
        destination: b"sitio".to_vec(),
        single: false,
        dry_run: true,
        deletes: true,
        bytes: 0,
        entries: 3,
    };
    push.begin(&intent).unwrap();
    assert_eq!(names(&push, "sitio/data"), ["a.json", "b.json"]);
    assert_eq!(look(&push, "sitio/index.html").unwrap().mtime.secs, 7);
}

#[test]
fn times_without_new_content_are_no_cut_and_are_found_again() {
    let mut bench = bench();
    let push = bench.begun();
    push.set(b"sitio/data", &meta(50)).unwrap();
    push.set(b"sitio/index.html", &meta(60)).unwrap();
    write(&push, "sitio/data/a.json", b"1").unwrap();
    write(&push, "sitio/data/.gitkeep", b"").unwrap();
    assert_eq!(push.commit(&Summary::default()).unwrap(), Committed::Done(None));
    drop(push);
    assert!(bench.quiet());
    let push = bench.begun();
    let times = ["sitio/data", "sitio/index.html", "sitio/data/a.json", "sitio/data/b.json"];
    assert_eq!(times.map(|path| look(&push, path).unwrap().mtime.secs), [50, 60, 100, 7]);
    assert_eq!(look(&push, "sitio/data/.gitkeep").unwrap().mtime.secs, 100, "left out, and not sent again");
    assert_eq!(names(&push, "sitio/data"), [".gitkeep", "a.json", "b.json"]);
    push.remove(b"sitio/data/.gitkeep").unwrap();
    assert!(look(&push, "sitio/data/.gitkeep").is_none());
}

#[test]
fn a_link_inside_the_site_becomes_the_content_it_leads_to() {
    let mut bench = Bench::with(|config| config.tree_wait = Duration::from_secs(20));
    bench.publish(SITE);
    let push = bench.begun();
    push.make_link(b"sitio/hoy.html", b"./index.html", &meta(5)).unwrap();
    push.make_link(b"sitio/data/c.json", b"../hoy.html", &meta(5)).unwrap();
    push.make_link(b"sitio/nada", b"no-existe", &meta(5)).unwrap();
    assert_eq!(names(&push, "sitio"), ["data", "hoy.html", "index.html", "nada"]);
    assert_eq!(look(&push, "sitio/hoy.html").unwrap().kind, Kind::Link(b"./index.html".to_vec()));
    push.commit(&Summary::default()).unwrap();
    let expected = ["data/c.json", "hoy.html"]
        .map(|path| (path.to_owned(), Change::Live { path: "index.html".to_owned() }));
    assert_eq!(bench.change(), expected);
    let push = bench.begun();
    push.make_link(b"sitio/carpeta", b"data", &meta(5)).unwrap();
    let refused = push.commit(&Summary::default()).unwrap_err();
    assert!(refused.text.contains("carpeta") && refused.text.contains("rsync -L"), "{}", refused.text);
}

#[test]
fn files_outside_the_site_become_packages() {
    let mut bench = bench();
    let push = bench.push();
    begin(&push, "paquetes").unwrap();
    write(&push, "paquetes/c1.tar.gz", b"first cut").unwrap();
    assert_eq!(bench.package(), ("c1.tar.gz".to_owned(), b"first cut".to_vec()));
    assert!(matches!(
        push.commit(&Summary::default()).unwrap(),
        Committed::Pending(Some(line)) if line.contains("pendiente")
    ));
    let push = bench.push();
    assert_eq!(look(&push, "paquetes/c1.tar.gz").unwrap().mtime.secs, 100);
    assert_eq!(names(&push, ""), [""; 0], "the folder that every client finds is nobody's to delete");
    assert!(push.make_link(b"paquetes/l", b"c1.tar.gz", &meta(1)).is_err());
}

#[test]
fn a_package_of_a_new_name_is_signed_against_the_newest() {
    let mut bench = bench();
    let (first, size) = (vec![b'a'; 100_000], 100_000);
    write(&bench.push(), "paquetes/c1.tar.gz", &first).unwrap();
    bench.package();
    assert_eq!(basis(&bench.push(), "paquetes/c2.tar.gz", size).unwrap(), first);
    assert_eq!(basis(&bench.push(), "otra/c2.tgz", size), None, "a folder that is not there");
    bench.push().make_dir(b"otra").unwrap();
    assert_eq!(basis(&bench.push(), "otra/c2.tar.gz", size).unwrap(), first, "from the history");
    assert_eq!(basis(&bench.push(), "paquetes/c2.zip", size), None, "another container");
    let push = bench.push_with(|config| config.similar = false);
    assert_eq!(basis(&push, "paquetes/c2.tar.gz", size), None);
}

#[test]
fn a_package_that_breaks_off_is_kept_even_if_the_next_push_breaks_sooner() {
    let mut bench = bench();
    let keep = |push: &Push, bytes: &[u8]| {
        let mut file: Box<dyn NewFile> = push.create(b"paquetes/c1.tar.gz", 9).unwrap();
        file.write(bytes).unwrap();
        file.keep();
    };
    keep(&bench.push(), b"123456");
    assert!(look(&bench.push(), "paquetes/c1.tar.gz").is_none(), "-u must not spare it");
    keep(&bench.push(), b"12");
    assert_eq!(basis(&bench.push(), "paquetes/c1.tar.gz", 9).unwrap(), b"12345612");
    write(&bench.push(), "paquetes/c1.tar.gz", b"123456789").unwrap();
    assert_eq!(bench.package().1, b"123456789");
    assert_eq!(basis(&bench.push(), "paquetes/c1.tar.gz", 9).unwrap(), b"123456789");
    drop(bench.push().create(b"paquetes/x.tar.gz", 9).unwrap());
    assert!(!bench.inbox("paquetes/.~x.tar.gz").exists(), "dropped without a word, nothing stays");
}

#[test]
fn what_is_kept_of_broken_pushes_is_bounded() {
    let bench = Bench::with(|config| config.partial_bytes = 10);
    bench.publish(SITE);
    for (name, bytes) in [("a", b"12345678".as_slice()), ("b", b"12345678"), ("c", b"123456789012")] {
        let push = bench.begun();
        write(&push, &format!("sitio/{name}"), bytes).unwrap();
        drop(push);
    }
    let kept = |name: &str| basis(&bench.push(), &format!("sitio/{name}"), 8).is_some();
    assert!(!kept("c"), "more than the bound is never kept");
    assert_eq!([kept("a"), kept("b")].iter().filter(|kept| **kept).count(), 1);
}
