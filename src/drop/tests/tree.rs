//! Transactions on the published tree.

use super::*;

const SITE: &[(&str, &str)] =
    &[("index.html", "home"), ("data/a.json", "1"), ("data/b.json", "2"), ("img/logo.svg", "<svg/>")];

fn bench() -> Bench {
    let bench = Bench::new();
    bench.publish(SITE);
    bench
}

/// The next arrival that is a tree.
fn change(bench: &mut Bench) -> TreeChange {
    match bench.arrivals.try_recv().unwrap().payload {
        Payload::Tree(change) => change,
        Payload::Package { .. } | Payload::Sum(_) => panic!("no tree"),
    }
}

/// What the live tree becomes: path → content, applied in the order of the paths.
fn applied(change: &TreeChange) -> BTreeMap<String, String> {
    let live: BTreeMap<String, String> = SITE.iter().map(|(p, t)| ((*p).into(), (*t).into())).collect();
    let mut tree = live.clone();
    for (path, change_of) in &change.changes {
        tree.retain(|p, _| p != path && !p.starts_with(&format!("{path}/")));
        match change_of {
            Change::File { stored, sha256, size, .. } => {
                let bytes = change.files.read(stored, 1 << 20).unwrap();
                assert_eq!((Digest::of(&bytes), bytes.len() as u64), (*sha256, *size));
                tree.insert(path.clone(), String::from_utf8(bytes).unwrap());
            }
            Change::Live { path: from } => drop(tree.insert(path.clone(), live[from].clone())),
            Change::Removed | Change::Dir => {}
        }
    }
    tree
}

fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(p, t)| ((*p).into(), (*t).into())).collect()
}

#[test]
fn a_session_sees_the_live_tree_and_its_own_changes() {
    let bench = bench();
    let mut view = bench.view();
    assert_eq!(names(&view, "/sitio"), ["data", "img", "index.html"]);
    assert_eq!(text(&view, "/sitio/data/a.json"), "1");
    put(&mut view, "/sitio/data/a.json", b"one").unwrap();
    put(&mut view, "/sitio/data/c.json", b"3").unwrap();
    view.remove(&at("/sitio/data/b.json")).unwrap();
    view.mkdir(&at("/sitio/css/print"), true).unwrap();
    assert_eq!(text(&view, "/sitio/data/a.json"), "one");
    assert_eq!(names(&view, "/sitio/data"), ["a.json", "c.json"]);
    assert_eq!(names(&view, "/sitio"), ["css", "data", "img", "index.html"]);
    assert!(matches!(view.read(&at("/sitio/data/b.json")), Err(DropError::NotFound)));
    assert_eq!(text(&bench.view(), "/sitio/data/a.json"), "1", "others still see the live tree");
    assert_eq!(names(&bench.view_of("other"), "/sitio/data"), ["a.json", "b.json"]);
}

#[test]
fn a_commit_says_what_every_touched_path_becomes() {
    let mut bench = bench();
    let mut view = bench.view();
    put(&mut view, "/sitio/data/a.json", b"one").unwrap();
    put(&mut view, "/sitio/index.html", b"home").unwrap();
    view.remove_dir(&at("/sitio/img"), true).unwrap();
    put(&mut view, "/sitio/img", b"a file now").unwrap();
    view.rename(&at("/sitio/data"), &at("/sitio/datos"), false).unwrap();
    view.copy(&at("/sitio/datos"), &at("/sitio/copia"), true).unwrap();
    put(&mut view, "/sitio/.DS_Store", b"junk").unwrap();
    assert!(view.finish().unwrap().is_some());
    let change = change(&mut bench);
    let expected = [
        ("copia/a.json", "one"),
        ("copia/b.json", "2"),
        ("datos/a.json", "one"),
        ("datos/b.json", "2"),
        ("img", "a file now"),
        ("index.html", "home"),
    ];
    assert_eq!(applied(&change), tree(&expected));
    assert!(!change.changes.contains_key("index.html"), "equal content is no change");
    assert_eq!(change.changes["datos/b.json"], Change::Live { path: "data/b.json".to_owned() });
    assert_eq!(bench.ledger_kinds().last(), Some(&ledger::Kind::Received));
    change.discard().unwrap();
    assert_eq!(std::fs::read_dir(bench.var("incoming")).unwrap().count(), 0);
}

#[test]
fn a_whole_new_site_replaces_the_old_one() {
    for steps in [
        &["rm", "mkdir", "write"][..],
        &["rm", "write"],
        &["write /nuevo", "rm", "mv"],
        &["write /nuevo", "mv away", "mv"],
    ] {
        let mut bench = bench();
        let mut view = bench.view();
        for step in steps {
            match *step {
                "rm" => view.remove_dir(&at("/sitio"), true).unwrap(),
                "mkdir" => view.mkdir(&at("/sitio"), false).unwrap(),
                "write" => drop(put(&mut view, "/sitio/new.html", b"new").unwrap()),
                "mv away" => drop(view.rename(&at("/sitio"), &at("/viejo"), false).unwrap()),
                "mv" => drop(view.rename(&at("/nuevo"), &at("/sitio"), false).unwrap()),
                _ => {
                    view.mkdir(&at("/nuevo/data"), true).unwrap();
                    put(&mut view, "/nuevo/new.html", b"new").unwrap();
                }
            }
        }
        assert_eq!(names(&view, "/sitio").last().unwrap(), "new.html");
        assert!(matches!(view.stat(&at("/nuevo")), Err(DropError::NotFound)));
        view.finish().unwrap().unwrap();
        assert_eq!(applied(&change(&mut bench)), tree(&[("new.html", "new")]), "{steps:?}");
    }
}

#[test]
fn nothing_changed_is_nothing() {
    let mut bench = bench();
    let mut view = bench.view();
    view.mkdir(&at("/sitio/data"), true).unwrap();
    assert!(matches!(view.mkdir(&at("/sitio/data"), false), Err(DropError::Exists)));
    put(&mut view, "/sitio/data/a.json", b"1").unwrap();
    put(&mut view, "/sitio/x.html", b"x").unwrap();
    view.remove(&at("/sitio/x.html")).unwrap();
    view.set_mtime(&at("/sitio/index.html"), 99).unwrap();
    view.mkdir(&at("/sitio/nueva"), false).unwrap();
    assert!(view.finish().unwrap().is_none());
    assert!(bench.quiet() && std::fs::read_dir(bench.var("incoming")).unwrap().count() == 0);
    let mut view = bench.view();
    assert!(view.stat(&at("/sitio/nueva")).unwrap().is_dir, "the next session finds the folder");
    assert_eq!(names(&view, "/sitio"), ["data", "img", "index.html", "nueva"]);
    put(&mut view, "/sitio/nueva/x.html", b"x").unwrap();
    assert!(view.finish().unwrap().is_some());
}

#[test]
fn an_abandoned_transaction_leaves_nothing() {
    let mut bench = bench();
    let mut view = bench.view();
    put(&mut view, "/sitio/index.html", b"changed").unwrap();
    assert_eq!(std::fs::read_dir(bench.var("incoming")).unwrap().count(), 1);
    drop(view);
    assert_eq!(std::fs::read_dir(bench.var("incoming")).unwrap().count(), 0);
    assert_eq!(text(&bench.view(), "/sitio/index.html"), "home");
    assert!(bench.quiet() && bench.ledger_kinds().iter().all(|k| *k != ledger::Kind::Received));
}

#[test]
fn a_half_file_spoils_the_transaction_unless_it_is_sent_again() {
    let mut bench = bench();
    let mut view = bench.view();
    put(&mut view, "/sitio/new.html", b"new").unwrap();
    half(&mut view, "/sitio/data/a.json", b"ha");
    assert_eq!(text(&view, "/sitio/data/a.json"), "1");
    assert_eq!(code(view.finish()), Code::TransferIncomplete);
    let mut view = bench.view();
    let running = view.create(&at("/sitio/index.html"), Open::Truncate, None).unwrap();
    assert_eq!(code(view.finish()), Code::TransferIncomplete);
    assert!(running.close().is_err(), "too late");
    assert!(bench.quiet());
    let mut view = bench.view();
    half(&mut view, "/sitio/data/a.json", b"ha");
    put(&mut view, "/sitio/data/a.json", b"half").unwrap();
    view.finish().unwrap().unwrap();
    assert_eq!(applied(&change(&mut bench))["data/a.json"], "half");
}

#[test]
fn a_file_of_the_tree_can_be_gone_on_with() {
    let mut bench = bench();
    let mut view = bench.view();
    let mut upload = view.create(&at("/sitio/index.html"), Open::Resume, None).unwrap();
    assert_eq!(upload.size(), 4);
    upload.write_at(4, b"!").unwrap();
    upload.close().unwrap();
    assert!(view.create(&at("/sitio/data/a.json"), Open::Resume, None).unwrap().close().unwrap().is_none());
    assert!(matches!(view.create(&at("/sitio/index.html"), Open::New, None), Err(DropError::Exists)));
    view.finish().unwrap().unwrap();
    let change = change(&mut bench);
    assert_eq!(applied(&change)["index.html"], "home!");
    assert_eq!(change.changes.len(), 1);
}

#[test]
fn one_session_at_a_time_changes_the_site() {
    let bench = bench();
    let mut first = bench.view();
    put(&mut first, "/sitio/x.html", b"x").unwrap();
    let mut second = bench.view_of("other");
    assert_eq!(code(put(&mut second, "/sitio/y.html", b"y")), Code::TreeBusy);
    assert_eq!(text(&second, "/sitio/index.html"), "home", "readers never wait");
    put(&mut second, "/p.txt", b"p").unwrap();
    drop(first);
    put(&mut second, "/sitio/y.html", b"y").unwrap();
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let mut bench = Bench::with(|config| config.tree_wait = Duration::from_secs(60));
    let mut first = bench.view();
    put(&mut first, "/sitio/x.html", b"x").unwrap();
    let mut second = bench.view();
    let waiting = std::thread::spawn(move || put(&mut second, "/sitio/y.html", b"y").map(|_| ()));
    first.finish().unwrap().unwrap();
    // The turn is free when the first has its verdict, or nobody will give one.
    drop(bench.arrivals.blocking_recv().unwrap());
    waiting.join().unwrap().unwrap();
}

#[test]
fn names_are_judged_before_the_first_byte() {
    let bench = Bench::with(|config| {
        config.limits.entries = 4;
        config.limits.file_bytes = 8;
        config.limits.unpacked_bytes = 12;
    });
    bench.publish(&[]);
    let mut view = bench.view();
    let mut refused = |path: &str| code(put(&mut view, path, b""));
    assert_eq!(refused("/sitio/a\u{7}b"), Code::PathBadChar);
    assert_eq!(refused("/sitio/a\\b"), Code::PathBadChar);
    assert_eq!(refused("/sitio/nin\u{303}o.html"), Code::PathNotNfc);
    assert_eq!(refused("/sitio/.well-known"), Code::PathDotfile);
    assert_eq!(refused(&format!("/sitio/{}", "x".repeat(300))), Code::PathTooLong);
    assert_eq!(code(view.create(&at("/sitio/big"), Open::Truncate, Some(9))), Code::SizeFile);
    let latin = VPath::resolve(&VPath::root(), b"/sitio/a\xf1o.html");
    assert_eq!(code(view.create(&latin, Open::Truncate, None)), Code::PathNotUtf8);
    assert!(matches!(put(&mut view, "/sitio/no/x", b""), Err(DropError::NotFound)));
    put(&mut view, "/sitio/a", b"12345678").unwrap();
    assert!(matches!(put(&mut view, "/sitio/a/b", b""), Err(DropError::NotDir)));
    assert_eq!(code(put(&mut view, "/sitio/b", b"12345")), Code::SizeTotal);
    for _ in 0..5 {
        // What is overwritten is given back.
        put(&mut view, "/sitio/a", b"1234").unwrap();
    }
    assert_eq!(std::fs::read_dir(bench.var("incoming")).unwrap().count(), 1);
    for name in ["c", "d", "e"] {
        put(&mut view, &format!("/sitio/{name}"), b"").unwrap();
    }
    assert_eq!(code(put(&mut view, "/sitio/f", b"")), Code::Entries);
}

#[test]
fn twins_that_differ_in_case_are_refused_at_the_commit() {
    let bench = bench();
    let mut view = bench.view();
    put(&mut view, "/sitio/Index.html", b"x").unwrap();
    assert_eq!(code(view.finish()), Code::NameCollision);
}

#[test]
fn a_committed_tree_survives_a_restart_and_a_begun_one_does_not() {
    let mut bench = Bench::with(|config| config.tree_wait = Duration::from_secs(60));
    bench.publish(SITE);
    let mut view = bench.view();
    put(&mut view, "/sitio/index.html", b"changed").unwrap();
    view.remove(&at("/sitio/data/b.json")).unwrap();
    view.finish().unwrap().unwrap();
    // The publisher dies with it in its hands: nobody discards the change.
    drop(bench.arrivals.blocking_recv().unwrap());
    let mut begun = bench.view();
    put(&mut begun, "/sitio/index.html", b"later").unwrap();
    std::mem::forget(begun);
    let mut bench = bench.restart();
    let arrival = bench.arrivals.try_recv().unwrap();
    assert_eq!((arrival.receipt.name.as_str(), arrival.receipt.sender.name.as_str()), ("sitio", "iepc"));
    let Payload::Tree(change) = arrival.payload else { panic!() };
    let expected = [("data/a.json", "1"), ("img/logo.svg", "<svg/>"), ("index.html", "changed")];
    assert_eq!(applied(&change), tree(&expected));
    change.discard().unwrap();
    assert!(bench.quiet() && std::fs::read_dir(bench.var("incoming")).unwrap().count() == 0);
    assert_eq!(bench.ledger_kinds().last(), Some(&ledger::Kind::Recovery));
}

#[test]
fn the_institutes_web_root_is_the_tree() {
    let mut bench = Bench::with(|config| {
        config.aliases = vec![("/var/www/html/prep".into(), "/sitio".to_owned())];
    });
    let mut view = bench.view();
    let cwd = view.resolve(&VPath::root(), b"/var/www/html").unwrap();
    let path = view.resolve(&cwd, b"prep/index.html").unwrap();
    assert_eq!(path.to_bytes(), b"/sitio/index.html");
    let mut upload = view.create(&path, Open::Truncate, None).unwrap();
    upload.write_at(0, b"hello").unwrap();
    upload.close().unwrap();
    view.finish().unwrap().unwrap();
    assert_eq!(change(&mut bench).changes.len(), 1);
}
