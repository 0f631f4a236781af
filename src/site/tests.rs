use std::io::Read as _;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::bench::Bench;
use super::*;
use crate::release::Origin;

fn file<'a>(live: &'a Live, path: &str) -> &'a Arc<Entry> {
    match live.find(path) {
        Found::File(entry) => entry,
        other => panic!("{path}: {other:?}"),
    }
}

fn bytes(live: &Live, path: &str) -> Vec<u8> {
    file(live, path).content.bytes().unwrap().to_vec()
}

fn next(events: &Receiver<SiteEvent>) -> SiteEvent {
    events.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn what_the_pointer_names_is_what_readers_see() {
    let bench = Bench::new(SiteConfig::default());
    let (sender, events) = channel();
    let follower = bench.site.follow(bench.store.reader().clone(), move |e| drop(sender.send(e))).unwrap();
    assert!(bench.site.live().release().is_none());
    for number in 0..3 {
        let page = format!("cut {number}");
        let release = bench.release(number, &[("index.html", page.as_bytes())]);
        assert!(bench.site.live().cut() != release.meta.cut);
        bench.store.point(&release.id).unwrap();
        assert!(matches!(next(&events), SiteEvent::Shown { release: id, .. } if id == release.id));
        let live = bench.site.live();
        assert_eq!((bytes(&live, "index.html"), live.cut()), (page.into_bytes(), release.meta.cut));
    }
    let waiting = bench.store.waiting_release(b"<base href=\"/\">").unwrap();
    bench.store.point(&waiting.id).unwrap();
    assert!(matches!(next(&events), SiteEvent::Shown { cut: None, files: 1, .. }));
    let live = bench.site.live();
    assert!(live.results().is_none() && live.release().unwrap().meta.kind == Origin::Waiting);
    drop(follower);
}

#[test]
fn a_release_that_is_not_what_its_manifest_says_is_not_shown() {
    let bench = Bench::new(SiteConfig::default());
    let (sender, events) = channel();
    let _follower = bench.site.follow(bench.store.reader().clone(), move |e| drop(sender.send(e))).unwrap();
    let good = bench.release(1, &[("index.html", b"good")]);
    bench.store.point(&good.id).unwrap();
    assert!(matches!(next(&events), SiteEvent::Shown { .. }));
    let bad = bench.release(2, &[("index.html", b"next"), ("a.json", b"{}")]);
    std::fs::write(bench.on_disk(&bad, "a.json"), "[]").unwrap();
    bench.store.point(&bad.id).unwrap();
    let SiteEvent::Kept { release, why } = next(&events) else { panic!("shown") };
    assert_eq!((release, why.as_str()), (Some(bad.id), "a.json: is not what the manifest says"));
    assert_eq!(bytes(&bench.site.live(), "index.html"), b"good");
    // Somebody leads the link elsewhere, or removes it: readers see what they saw.
    let link = bench.scratch.path().join("www/current");
    std::fs::remove_file(&link).unwrap();
    assert!(matches!(next(&events), SiteEvent::Kept { release: None, .. }));
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    assert!(matches!(next(&events), SiteEvent::Kept { release: None, .. }));
    assert_eq!(bytes(&bench.site.live(), "index.html"), b"good");
    let better = bench.release(3, &[("index.html", b"better")]);
    bench.store.point(&better.id).unwrap();
    assert!(matches!(next(&events), SiteEvent::Shown { .. }));
    assert_eq!(bytes(&bench.site.live(), "index.html"), b"better");
}

#[tokio::test]
async fn an_unchanged_file_keeps_its_bytes_its_time_and_its_variants() {
    let bench = Bench::new(SiteConfig::default());
    let page = b"<html>".repeat(1000);
    let first = bench.show(1, &[("index.html", &page), ("a.json", b"{\"a\":1}")]);
    bench.site.pressed().await;
    let second = bench.show(2, &[("index.html", &page), ("a.json", b"{\"a\":2}"), ("copy.html", &page)]);
    let (old, new) = (file(&first, "index.html"), file(&second, "index.html"));
    assert!(Arc::ptr_eq(&old.content, &new.content));
    assert!(Arc::ptr_eq(&old.content, &file(&second, "copy.html").content));
    assert_eq!(old.last_modified, new.last_modified);
    assert!(file(&first, "a.json").last_modified < file(&second, "a.json").last_modified);
    let mut back = Vec::new();
    let packed = new.content.variant(Coding::Gzip).unwrap().clone();
    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut back).unwrap();
    assert_eq!(back, page);
    assert_eq!(zstd::bulk::decompress(new.content.variant(Coding::Zstd).unwrap(), 10_000).unwrap(), page);
    let mut back = Vec::new();
    brotli::BrotliDecompress(&mut &**new.content.variant(Coding::Brotli).unwrap(), &mut back).unwrap();
    assert_eq!(back, page);
}

#[tokio::test]
async fn only_what_gets_smaller_is_compressed() {
    let bench = Bench::new(SiteConfig::default());
    let noise: Vec<u8> =
        (0..2000u64).flat_map(|n| crate::model::Digest::of(&n.to_le_bytes()).as_bytes().to_vec()).collect();
    let live = bench.show(1, &[("noise.json", &noise), ("small.json", b"{}"), ("a.zip", &vec![0; 5000])]);
    bench.site.pressed().await;
    for path in ["noise.json", "small.json", "a.zip"] {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            assert!(file(&live, path).content.variant(coding).is_none(), "{path} {coding:?}");
        }
    }
}

#[test]
fn two_contents_of_one_second_have_no_time() {
    let bench = Bench::new(SiteConfig::default());
    bench.show_since(1, 1000, &[("a.json", b"1"), ("b.json", b"b")]);
    let live = bench.show_since(2, 1000, &[("a.json", b"2"), ("b.json", b"b"), ("c.json", b"c")]);
    assert_eq!(file(&live, "a.json").last_modified, None);
    assert_eq!(file(&live, "b.json").last_modified, Some(1000));
    assert_eq!(file(&live, "c.json").last_modified, Some(1000));
    // After a rollback the pointer is younger than the release.
    let live = bench.show_since(3, 1001, &[("a.json", b"1")]);
    assert_eq!(file(&live, "a.json").last_modified, None);
    let future = bench.site.load(live.release().unwrap(), "2999-01-01T00:00:00Z".parse().unwrap()).unwrap();
    assert!(future.since().unwrap() <= bench.site.clock().now());
}

#[test]
fn hashed_scripts_outlive_their_cut_and_nothing_else_does() {
    let bench = Bench::new(SiteConfig::default());
    let old = [
        ("index.html", &b"1"[..]),
        ("main.3f2a8b1c9d0e4f56.js", b"js"),
        ("logo.3f2a8b1c9d0e4f56.png", b"png"),
        ("20240602_2005_PREP.zip", b"zip"),
    ];
    bench.show(1, &old);
    let index = [("index.html", &b"2"[..])];
    for number in 2..4 {
        let live = bench.show(number, &index);
        assert!(matches!(live.find("main.3f2a8b1c9d0e4f56.js"), Found::Retired(_)), "{number}");
        assert!(matches!(live.find("logo.3f2a8b1c9d0e4f56.png"), Found::Absent));
        assert!(matches!(live.find("20240602_2005_PREP.zip"), Found::Absent));
    }
    let live = bench.show(4, &index);
    assert!(matches!(live.find("main.3f2a8b1c9d0e4f56.js"), Found::Absent));
}

#[test]
fn a_name_that_broke_its_promise_is_not_believed_again() {
    let bench = Bench::new(SiteConfig::default());
    let name = "main.3f2a8b1c9d0e4f56.js";
    assert_eq!(file(&bench.show(1, &[(name, b"1")]), name).freshness, Freshness::Hashed);
    assert_eq!(file(&bench.show(2, &[(name, b"2")]), name).freshness, Freshness::Live);
    assert_eq!(file(&bench.show(3, &[(name, b"2")]), name).freshness, Freshness::Live);
}

#[tokio::test]
async fn memory_is_flat_over_fifty_swaps() {
    let bench = Bench::new(SiteConfig::default());
    let mut old: Vec<Weak<Content>> = Vec::new();
    let mut snapshots: Vec<Weak<Live>> = Vec::new();
    let still = vec![b'x'; 10_000];
    for number in 0..50 {
        let changing = format!("{{\"corte\":{number}}}").repeat(500);
        let live = bench.show(number, &[("index.html", &still), ("a.json", changing.as_bytes())]);
        old.push(Arc::downgrade(&file(&live, "a.json").content));
        snapshots.push(Arc::downgrade(&live));
        bench.site.pressed().await;
        bench.store.prune(&|_| false).unwrap();
    }
    bench.site.pressed().await;
    assert_eq!(snapshots.iter().filter(|s| s.strong_count() > 0).count(), 1);
    assert_eq!(old.iter().filter(|c| c.strong_count() > 0).count(), 1);
    // The tree of an old cut is free to go as soon as its snapshot is.
    assert_eq!(bench.store.list().unwrap().len(), 2);
}

#[test]
fn what_does_not_fit_is_read_from_disk() {
    let config = SiteConfig {
        memory_bytes: 2500,
        memory_file_bytes_max: 5000,
        press_threads: 0,
        ..SiteConfig::default()
    };
    let bench = Bench::new(config);
    let sized = |n: usize, c: u8| vec![c; n];
    let live = bench.show(
        1,
        &[
            ("a", &sized(6000, b'a')),
            ("b", &sized(2000, b'b')),
            ("c", &sized(1500, b'c')),
            ("d", &sized(800, b'd')),
        ],
    );
    let in_memory = |path: &str| file(&live, path).content.bytes().is_some();
    assert_eq!(["a", "b", "c", "d"].map(in_memory), [false, false, true, true]);
    let Stored::Disk(open) = &file(&live, "b").content.stored else { panic!() };
    // The handle outlives the tree.
    bench.store.point(&bench.release(2, &[("x", b"")]).id).unwrap();
    let mut block = [0; 2000];
    std::os::unix::fs::FileExt::read_exact_at(&**open, &mut block, 0).unwrap();
    assert_eq!(block, [b'b'; 2000]);
}

#[test]
fn folders_and_indexes_are_found() {
    let bench = Bench::new(SiteConfig::default());
    let files =
        [("index.html", &b"<base href=\"/p/n/\">"[..]), ("app/index.html", b"app"), ("app/x/d.json", b"{}")];
    let live = bench.show(1, &files);
    assert_eq!(live.base(), "/p/n/");
    assert!(matches!(live.find(""), Found::Folder(Some(_))));
    assert!(matches!(live.find("app"), Found::Folder(Some(_))));
    assert!(matches!(live.find("app/x"), Found::Folder(None)));
    assert!(matches!(live.find("app/x/d"), Found::Absent));
    let index = |path: &str| live.index_above(path).unwrap().content.bytes().unwrap().clone();
    assert_eq!(&*index("app/x/route/5"), b"app");
    assert_eq!(&*index("other/route"), b"<base href=\"/p/n/\">");
}
