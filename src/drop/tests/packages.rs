//! The packages area.

use std::os::unix::fs::MetadataExt as _;

use super::*;

#[test]
fn a_closed_file_with_a_packages_name_is_a_package() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    assert!(put(&mut view, "/p.tar.gz", b"whole").unwrap().is_some());
    assert_eq!(bench.package(), ("p.tar.gz".to_owned(), b"whole".to_vec()));
    assert_eq!(bench.ledger_kinds().last(), Some(&ledger::Kind::Received));
    assert!(put(&mut view, "/paquetes/q.ZIP", b"other").unwrap().is_some());
    assert_eq!(bench.package().0, "q.ZIP");
    assert!(put(&mut view, "/notes.txt", b"text").unwrap().is_none());
    assert!(bench.quiet());
    assert_eq!(names(&view, "/"), ["notes.txt", "p.tar.gz", "paquetes", "sitio"]);
    assert_eq!(text(&view, "/p.tar.gz"), "whole");
}

#[test]
fn a_half_upload_is_no_package_and_can_be_resumed() {
    let mut bench = Bench::new();
    half(&mut bench.view(), "/p.tar.gz", b"first half, ");
    assert!(bench.quiet());
    let mut view = bench.view();
    assert_eq!(view.stat(&at("/p.tar.gz")).unwrap().size, 12);
    assert_eq!(names(&view, "/"), ["p.tar.gz", "paquetes", "sitio"]);
    let mut upload = view.create(&at("/p.tar.gz"), Open::Resume, None).unwrap();
    assert_eq!(upload.size(), 12);
    upload.write_at(12, b"second half").unwrap();
    assert!(upload.close().unwrap().is_some());
    assert_eq!(bench.package().1, b"first half, second half");
    assert_eq!(view.stat(&at("/p.tar.gz")).unwrap().size, 23);
}

#[test]
fn a_half_upload_survives_a_restart() {
    let bench = Bench::new();
    let mut view = bench.view();
    let mut upload = view.create(&at("/d.zip"), Open::New, None).unwrap();
    upload.write_at(0, b"half").unwrap();
    std::mem::forget(upload);
    std::mem::forget(view);
    let mut bench = bench.restart();
    let mut view = bench.view();
    assert_eq!(view.stat(&at("/d.zip")).unwrap().size, 4);
    view.remove(&at("/d.zip")).unwrap();
    assert!(matches!(view.stat(&at("/d.zip")), Err(DropError::NotFound)));
    assert!(bench.quiet());
}

#[test]
fn a_rename_from_a_temporary_name_submits() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    for (from, to) in [("/p.tar.gz.filepart", "/p.tar.gz"), ("/.q.tar.gz.AbC", "/paquetes/q.tar.gz")] {
        assert!(put(&mut view, from, from.as_bytes()).unwrap().is_none());
        assert!(bench.quiet());
        assert!(view.rename(&at(from), &at(to), true).unwrap().is_some());
        assert_eq!(bench.package().1, from.as_bytes());
        assert!(matches!(view.stat(&at(from)), Err(DropError::NotFound)));
        assert_eq!(text(&view, to), from);
    }
    assert!(view.rename(&at("/p.tar.gz"), &at("/paquetes/done.tar.gz"), false).unwrap().is_none());
    assert!(bench.quiet(), "a known package under another name is not new");
    assert!(view.rename(&at("/paquetes/done.tar.gz"), &at("/done.zip"), false).unwrap().is_some());
}

#[test]
fn a_half_file_is_not_renamed_into_a_package() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    half(&mut view, "/p.tar.gz.tmp", b"half");
    let refused = view.rename(&at("/p.tar.gz.tmp"), &at("/p.tar.gz"), true);
    assert_eq!(code(refused), Code::TransferIncomplete);
    assert!(bench.quiet());
}

#[test]
fn an_original_is_never_written_to() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    put(&mut view, "/p.tar.gz", b"cut one").unwrap();
    let first = std::fs::metadata(bench.inbox("p.tar.gz")).unwrap();
    assert!(first.nlink() > 1, "what the sender sees is the original itself");
    // Going on with a whole package, as `reput` and `cat >>` do.
    let mut upload = view.create(&at("/p.tar.gz"), Open::Resume, None).unwrap();
    upload.write_at(7, b" and more").unwrap();
    assert_eq!(text(&view, "/p.tar.gz"), "cut one", "the old stays visible until the close");
    upload.close().unwrap();
    put(&mut view, "/p.tar.gz", b"cut two").unwrap();
    view.set_mtime(&at("/p.tar.gz"), 1).unwrap();
    let packages = [bench.package().1, bench.package().1, bench.package().1];
    assert_eq!(packages, [b"cut one".to_vec(), b"cut one and more".to_vec(), b"cut two".to_vec()]);
    assert_eq!(text(&view, "/p.tar.gz"), "cut two");
}

#[test]
fn an_upload_left_untouched_is_nothing() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    put(&mut view, "/p.tar.gz", b"whole").unwrap();
    bench.package();
    assert!(view.create(&at("/p.tar.gz"), Open::Resume, None).unwrap().close().unwrap().is_none());
    half(&mut view, "/q.tar.gz", b"half");
    assert!(view.create(&at("/q.tar.gz"), Open::Resume, None).unwrap().close().unwrap().is_none());
    assert!(bench.quiet());
    assert_eq!(view.stat(&at("/q.tar.gz")).unwrap().size, 4);
}

#[test]
fn two_uploads_of_one_name_are_two_packages() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.view(), bench.view());
    let mut first = one.create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    first.write_at(0, b"fir").unwrap();
    let mut second = two.create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    second.write_at(0, b"second").unwrap();
    first.write_at(3, b"st").unwrap();
    second.close().unwrap();
    first.close().unwrap();
    assert_eq!((bench.package().1, bench.package().1), (b"second".to_vec(), b"first".to_vec()));
    assert_eq!(std::fs::read_dir(bench.var("incoming")).unwrap().count(), 0);
}

#[test]
fn a_session_that_resumes_takes_the_file_from_a_dead_one() {
    let mut bench = Bench::new();
    let mut dead = bench.view();
    let mut lost = dead.create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    lost.write_at(0, b"half").unwrap();
    let mut view = bench.view();
    let mut upload = view.create(&at("/p.tar.gz"), Open::Resume, None).unwrap();
    assert!(lost.write_at(4, b"XXXX").is_err());
    assert!(lost.close().is_err());
    upload.write_at(4, b" and half").unwrap();
    upload.close().unwrap();
    assert_eq!(bench.package().1, b"half and half");
    assert!(bench.quiet());
}

#[test]
fn bytes_out_of_order_are_hashed_as_they_lie() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    let mut upload = view.create(&at("/p.tar"), Open::Truncate, None).unwrap();
    upload.write_at(3, b"def").unwrap();
    upload.write_at(0, b"abc").unwrap();
    assert_eq!(upload.read_at(1, 4).unwrap(), b"bcde");
    upload.write_at(1, b"B").unwrap();
    upload.set_size(5).unwrap();
    upload.close().unwrap();
    let arrival = bench.arrivals.try_recv().unwrap();
    let Payload::Package { kept, .. } = arrival.payload else { panic!() };
    assert_eq!(kept.id, Digest::of(b"aBcde"));
}

#[test]
fn a_file_with_a_failed_write_is_not_whole() {
    let mut bench = Bench::with(|config| config.limits.package_bytes = 8);
    let mut view = bench.view();
    assert_eq!(code(view.create(&at("/p.tar"), Open::Truncate, Some(9))), Code::SizePackage);
    let mut upload = view.create(&at("/p.tar"), Open::Truncate, None).unwrap();
    upload.write_at(0, b"12345678").unwrap();
    assert_eq!(code(upload.write_at(8, b"9")), Code::SizePackage);
    assert_eq!(code(upload.close()), Code::SizePackage);
    assert!(bench.quiet() && matches!(view.stat(&at("/p.tar")), Err(DropError::NotFound)));
}

#[test]
fn sums_travel_with_their_package_and_old_ones_do_not() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    let sidecars = |bench: &mut Bench| match bench.arrivals.try_recv().unwrap().payload {
        Payload::Package { sidecars, .. } => sidecars.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        Payload::Tree(_) | Payload::Sum(_) => panic!("no package"),
    };
    put(&mut view, "/p.tar.gz.sha256", Digest::of(b"one").to_string().as_bytes()).unwrap();
    put(&mut view, "/other.tar.gz.md5", b"x").unwrap();
    put(&mut view, "/p.tar.gz", b"one").unwrap();
    assert_eq!(sidecars(&mut bench), ["p.tar.gz.sha256"]);
    // The next cut under the same names, its sum after it.
    put(&mut view, "/p.tar.gz", b"two").unwrap();
    assert!(sidecars(&mut bench).is_empty(), "the sum of the last cut does not condemn this one");
    let summed = put(&mut view, "/p.tar.gz.sha256", Digest::of(b"two").to_string().as_bytes()).unwrap();
    assert!(summed.is_some() && late(&mut bench) == [Digest::of(b"two")]);
    // A package that a sum has spoken of is not asked about again: this one is about what comes.
    assert!(put(&mut view, "/p.tar.gz.sha256", b"00").unwrap().is_none());
    put(&mut view, "/p.tar.gz", b"three").unwrap();
    assert_eq!(sidecars(&mut bench), ["p.tar.gz.sha256"]);
}

/// The packages that the next arrival, a late sum, is about.
fn late(bench: &mut Bench) -> Vec<Digest> {
    match bench.arrivals.try_recv().unwrap().payload {
        Payload::Sum(sum) => sum.packages.into_iter().map(|(package, _)| package).collect(),
        Payload::Package { .. } | Payload::Tree(_) => panic!("no sum"),
    }
}

#[test]
fn a_sum_after_its_package_is_handed_on_for_a_while() {
    let mut bench = Bench::with(|config| config.late_sums = Duration::from_secs(60));
    let mut view = bench.view();
    put(&mut view, "/p.tar.gz", b"p").unwrap();
    put(&mut view, "/q.zip", b"q").unwrap();
    assert_eq!((bench.package().1, bench.package().1), (b"p".to_vec(), b"q".to_vec()));
    // Neither a stranger's nor one of another file.
    put(&mut bench.view_of("other"), "/p.tar.gz.sha256", b"00").unwrap();
    put(&mut view, "/x.tar.gz.sha256", b"00").unwrap();
    assert!(bench.quiet());
    // A wrong one, and then a list with the right ones, renamed into its name.
    assert!(put(&mut view, "/p.tar.gz.md5", b"00").unwrap().is_some());
    assert_eq!(late(&mut bench), [Digest::of(b"p")]);
    let list = format!("{}  p.tar.gz\n{}  q.zip\n", Digest::of(b"p"), Digest::of(b"q"));
    put(&mut view, "/list.tmp", list.as_bytes()).unwrap();
    assert!(view.rename(&at("/list.tmp"), &at("/SHA256SUMS"), true).unwrap().is_some());
    assert_eq!(late(&mut bench), [Digest::of(b"p"), Digest::of(b"q")]);
    put(&mut view, "/r.zip", b"r").unwrap();
    bench.package();
    bench.clock.set(bench.clock.now().checked_add(jiff::SignedDuration::from_secs(61)).unwrap());
    assert!(put(&mut view, "/r.zip.sha256", b"00").unwrap().is_none() && bench.quiet(), "too late");
}

#[test]
fn only_the_newest_packages_stay_visible() {
    let mut bench = Bench::with(|config| config.visible = 2);
    let mut view = bench.view();
    for n in 0..4 {
        put(&mut view, &format!("/p{n}.tar.gz"), &[n]).unwrap();
        assert_eq!(bench.package().1, [n]);
    }
    assert_eq!(names(&view, "/"), ["p2.tar.gz", "p3.tar.gz", "paquetes", "sitio"]);
}

#[test]
fn keys_do_not_see_each_other() {
    let bench = Bench::new();
    put(&mut bench.view_of("a/../b"), "/x.txt", b"x").unwrap();
    assert_eq!(names(&bench.view_of("b"), "/"), ["paquetes", "sitio"]);
    assert_eq!(names(&bench.view_of("a/../b"), "/"), ["paquetes", "sitio", "x.txt"]);
    assert_eq!(std::fs::read_dir(bench.var("inbox")).unwrap().count(), 2);
}

#[test]
fn directories_are_the_senders_own() {
    let bench = Bench::new();
    let mut view = bench.view();
    view.mkdir(&at("/a/b"), true).unwrap();
    view.mkdir(&at("/a/b"), true).unwrap();
    assert!(matches!(view.mkdir(&at("/a"), false), Err(DropError::Exists)));
    put(&mut view, "/a/b/x.txt", b"x").unwrap();
    half(&mut view, "/a/b/y.txt", b"y");
    assert!(matches!(view.remove_dir(&at("/a/b"), false), Err(DropError::NotEmpty)));
    assert!(matches!(view.remove(&at("/a/b")), Err(DropError::IsDir)));
    assert!(view.rename(&at("/a"), &at("/a/b/c"), false).is_err());
    view.rename(&at("/a"), &at("/z"), false).unwrap();
    assert_eq!(names(&view, "/z/b"), ["x.txt", "y.txt"]);
    assert!(matches!(view.create(&at("/z/b"), Open::Truncate, None), Err(DropError::IsDir)));
    assert!(matches!(view.create(&at("/z/no/x"), Open::Truncate, None), Err(DropError::NotFound)));
    view.remove_dir(&at("/z"), true).unwrap();
    assert!(view.remove_dir(&at("/"), true).is_err() && view.remove_dir(&at("/paquetes"), false).is_err());
    view.remove_dir(&at("/paquetes"), true).unwrap();
    assert_eq!(names(&view, "/"), ["paquetes", "sitio"]);
}

#[test]
fn scratch_names_are_out_of_reach() {
    let bench = Bench::new();
    let mut view = bench.view();
    half(&mut view, "/p.tar.gz", b"half");
    assert!(matches!(view.stat(&at("/.~p.tar.gz")), Err(DropError::NotFound)));
    assert!(matches!(view.read(&at("/.~p.tar.gz")), Err(DropError::NotFound)));
    assert!(matches!(view.create(&at("/.~x"), Open::Truncate, None), Err(DropError::Denied(_))));
    assert!(view.rename(&at("/.~p.tar.gz"), &at("/x"), false).is_err());
    assert!(view.resolve(&VPath::root(), b"a\0b").is_err());
    assert_eq!(code(view.create(&at("/a\nb"), Open::Truncate, None)), Code::PathBadChar);
    assert_eq!(code(view.create(&at(&"x".repeat(250)), Open::Truncate, None)), Code::PathTooLong);
}

#[test]
fn the_institutes_own_paths_lead_here() {
    let mut bench = Bench::with(|config| {
        config.aliases = vec![("/home/prep/envios".into(), "/paquetes".to_owned())];
    });
    let mut view = bench.view();
    let path = view.resolve(&VPath::root(), b"/home/prep/envios/p.zip").unwrap();
    assert_eq!(path.to_bytes(), b"/paquetes/p.zip");
    assert!(view.stat(&at("/home/prep")).unwrap().is_dir);
    view.mkdir(&at("/home/prep/envios"), true).unwrap();
    assert!(put(&mut view, "/home/prep/envios/p.zip", b"p").unwrap().is_some());
    assert_eq!(bench.package().0, "p.zip");
}

#[test]
fn what_is_unpacked_is_no_package() {
    let mut bench = Bench::new();
    let mut view = bench.view();
    let mut upload = view.create_unpacked(&at("/20240602_2000_PREP.zip"), None).unwrap();
    upload.write_at(0, b"csv").unwrap();
    assert!(upload.close().unwrap().is_none() && bench.quiet());
    assert_eq!(view.copy(&at("/20240602_2000_PREP.zip"), &at("/p.zip"), false).unwrap().len(), 1);
}

#[test]
fn bounds_hold() {
    let bench = Bench::with(|config| {
        config.uploads_max = 2;
        config.names_max = 5;
        config.inbox_bytes = 100;
    });
    let mut view = bench.view();
    let one = view.create(&at("/1"), Open::Truncate, None).unwrap();
    let _two = view.create(&at("/2"), Open::Truncate, None).unwrap();
    assert!(matches!(view.create(&at("/3"), Open::Truncate, None), Err(DropError::Denied(_))));
    one.close().unwrap();
    assert!(matches!(put(&mut view, "/3", &[0; 101]), Err(DropError::Denied(_))));
    for _ in 0..20 {
        put(&mut view, "/3", &[0; 90]).unwrap();
        view.remove(&at("/3")).unwrap();
    }
    view.mkdir(&at("/d1"), false).unwrap();
    let many: Vec<_> = (0..6).map(|n| view.mkdir(&at(&format!("/e{n}")), false).is_ok()).collect();
    assert!(many.contains(&false), "names are bounded: {many:?}");
}

#[test]
fn old_partial_uploads_are_swept_and_running_ones_are_not() {
    let bench = Bench::with(|config| config.partial_age = Duration::from_secs(60));
    let mut view = bench.view();
    half(&mut view, "/old.zip", b"old");
    let running = view.create(&at("/running.zip"), Open::Truncate, None).unwrap();
    bench.clock.set(Timestamp::MAX);
    assert_eq!(bench.drop.sweep().unwrap(), 1);
    assert_eq!(names(&view, "/"), ["paquetes", "running.zip", "sitio"]);
    drop(running);
}

#[test]
fn a_full_queue_loses_nothing() {
    let bench = Bench::with(|config| config.queue = 8);
    let mut view = bench.view();
    for n in 0..=8_u8 {
        assert!(put(&mut view, &format!("/p{n}.zip"), &[n]).unwrap().is_some());
    }
    assert_eq!(std::fs::read_dir(bench.var("history")).unwrap().count(), 2 * 9 + 2);
}

#[test]
fn the_verdict_reaches_the_sender() {
    let mut bench = Bench::new();
    let submission = put(&mut bench.view(), "/p.zip", b"p").unwrap().unwrap();
    let outcome = Outcome::Rejected(Rejection::new(Code::Truncated));
    bench.arrivals.try_recv().unwrap().verdict.send(outcome.clone()).unwrap();
    assert_eq!(submission.wait(Duration::from_secs(5)), Some(outcome));
    let submission = put(&mut bench.view(), "/p.zip", b"q").unwrap().unwrap();
    assert_eq!(submission.wait(Duration::ZERO), None);
}

#[test]
fn a_full_disk_is_refused_and_given_back() {
    let scratch = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=32m", "difusor-test"])
        .arg(scratch.path())
        .output();
    assert!(mount.is_ok_and(|done| done.status.success()), "this test mounts a tmpfs and needs root");
    let _mounted = Mounted(scratch.path().to_owned());
    let mut bench = Bench::at(scratch, |_| {});
    let mut view = bench.view();
    assert_eq!(code(view.create(&at("/p.zip"), Open::Truncate, Some(40 << 20))), Code::NoSpace);
    put(&mut view, "/good.zip", b"good").unwrap();
    let mut upload = view.create(&at("/p.zip"), Open::Truncate, None).unwrap();
    upload.write_at(0, &[1; 1000]).unwrap();
    // Somebody else fills the disk, behind the back of what was asked ahead.
    let ballast = bench.scratch.path().join("ballast");
    assert!(std::fs::write(&ballast, vec![0; 40 << 20]).is_err());
    assert_eq!(code(upload.write_at(1000, &[1; 65536])), Code::NoSpace);
    assert_eq!(code(upload.close()), Code::NoSpace);
    assert!(matches!(view.stat(&at("/p.zip")), Err(DropError::NotFound)));
    assert_eq!(code(put(&mut view, "/q.zip", b"q")), Code::NoSpace);
    std::fs::remove_file(ballast).unwrap();
    put(&mut view, "/q.zip", b"q").unwrap();
    assert_eq!((bench.package().1, bench.package().1), (b"good".to_vec(), b"q".to_vec()));
}

struct Mounted(PathBuf);

impl std::ops::Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn many_sessions_at_once_keep_apart() {
    let bench = Bench::with(|config| config.queue_wait = Duration::from_secs(30));
    let threads: Vec<_> = (0..8_u8)
        .map(|n| {
            let mut view = bench.view();
            std::thread::spawn(move || {
                for round in 0..4_u8 {
                    let bytes = vec![n * 16 + round; 100_000];
                    // All under one name, as scripts of two servers might.
                    put(&mut view, "/p.tar.gz", &bytes).unwrap().unwrap();
                }
            })
        })
        .collect();
    // Only the sessions keep the queue open: it ends with the last of them, well or badly.
    let Bench { scratch, drop: shared, mut arrivals, .. } = bench;
    drop(shared);
    let mut seen = std::collections::BTreeSet::new();
    while let Some(arrival) = arrivals.blocking_recv() {
        let Payload::Package { kept, .. } = arrival.payload else { panic!() };
        let bytes = std::fs::read(&kept.path).unwrap();
        assert_eq!(Digest::of(&bytes), kept.id);
        assert!(bytes.len() == 100_000 && bytes.iter().all(|b| b == &bytes[0]));
        seen.insert(bytes[0]);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(seen.len(), 32);
    assert_eq!(std::fs::read_dir(scratch.path().join("var/incoming")).unwrap().count(), 0);
    assert_eq!(names(&Bench::at(scratch, |_| {}).view(), "/"), ["p.tar.gz", "paquetes", "sitio"]);
}

#[test]
fn an_upload_that_finishes_is_not_moved_by_one_that_begins() {
    let bench = Bench::new();
    let room = &bench.drop.room;
    let file = room.inbox.create_file(".~p.tar.gz").unwrap();
    let (dir, name) = (room.inbox.clone(), ".~p.tar.gz".into());
    let mut slot = room::Slot { dir, name, standing: room::Standing::First };
    slot.move_aside(room).unwrap();
    let finishing = slot.name.clone();
    // The other session looked while the file still had its first name.
    slot.move_aside(room).unwrap();
    assert_eq!(slot.name, finishing);
    let id = |raw| room::inode(&raw);
    assert_eq!(id(slot.dir.stat(&finishing).unwrap()), id(rustix::fs::fstat(&file).unwrap()));
}

#[test]
fn a_wrong_sum_after_one_cut_does_not_condemn_the_next() {
    let mut bench = Bench::with(|config| config.late_sums = Duration::from_secs(60));
    let mut view = bench.view();
    let sums = |bench: &mut Bench| match bench.arrivals.try_recv().unwrap().payload {
        Payload::Package { sidecars, .. } => sidecars.len(),
        Payload::Tree(_) | Payload::Sum(_) => panic!("no package"),
    };
    put(&mut view, "/p.tar.gz", b"one").unwrap();
    assert_eq!(sums(&mut bench), 0);
    put(&mut view, "/p.tar.gz.sha256", Digest::of(b"no").to_string().as_bytes()).unwrap();
    assert_eq!(late(&mut bench), [Digest::of(b"one")]);
    // The package once more, the wrong sum still beside it, and a right one under another name.
    put(&mut view, "/p.tar.gz", b"one").unwrap();
    sums(&mut bench);
    put(&mut view, "/p.tar.gz.md5", b"00").unwrap();
    assert_eq!(late(&mut bench), [Digest::of(b"one")]);
    view.remove(&at("/p.tar.gz.md5")).unwrap();
    // At once it may be about what follows; a quarter of an hour later it is not.
    put(&mut view, "/p.tar.gz", b"two").unwrap();
    assert_eq!(sums(&mut bench), 1);
    bench.clock.set(bench.clock.now().checked_add(jiff::SignedDuration::from_mins(15)).unwrap());
    put(&mut view, "/p.tar.gz", b"three").unwrap();
    assert_eq!(sums(&mut bench), 0);
}
