//! Who looks at a package while it comes is told the truth, and holds nobody up.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Eyes {
    told: Arc<Mutex<Vec<Told>>>,
    /// How many times it can give way.
    ways: AtomicUsize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// Bytes that could be read.
    Grown(Vec<u8>),
    Whole(String, Digest),
    Gone,
}

#[derive(Debug)]
struct Eye {
    file: File,
    told: Arc<Mutex<Vec<Told>>>,
    is_whole: bool,
}

impl Eyes {
    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

impl Ahead for Eyes {
    fn begin(&self, file: File) -> Option<Box<dyn Look>> {
        Some(Box::new(Eye { file, told: Arc::clone(&self.told), is_whole: false }))
    }

    fn give_way(&self, _: Duration) -> bool {
        self.ways.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }
}

impl Look for Eye {
    fn grown(&mut self, bytes: u64) {
        let mut there = vec![0; bytes as usize];
        self.file.read_exact_at(&mut there, 0).unwrap();
        self.told.lock().unwrap().push(Told::Grown(there));
    }

    fn whole(mut self: Box<Self>, sha256: Digest, receipt: &Receipt) -> Early {
        self.is_whole = true;
        self.told.lock().unwrap().push(Told::Whole(receipt.name.clone(), sha256));
        Early::new(receipt.bytes)
    }
}

impl std::ops::Drop for Eye {
    fn drop(&mut self) {
        if !self.is_whole {
            self.told.lock().unwrap().push(Told::Gone);
        }
    }
}

fn grown(bytes: &[u8]) -> Told {
    Told::Grown(bytes.to_vec())
}

/// The bytes that the early finding of the next arrival speaks of.
fn early(bench: &mut Bench) -> Option<u64> {
    let Payload::Package { early, .. } = bench.arrivals.try_recv().unwrap().payload else { panic!("a tree") };
    early.map(|early| *early.open::<u64>().unwrap())
}

fn watched() -> (Bench, Arc<Eyes>) {
    let eyes = Arc::new(Eyes::default());
    (Bench::seen_by(eyes.clone(), |_| {}), eyes)
}

#[test]
fn a_package_is_seen_as_far_as_it_has_come() {
    let (mut bench, eyes) = watched();
    let mut upload = bench.view().create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    upload.write_at(0, b"one, ").unwrap();
    upload.write_at(5, b"two").unwrap();
    assert_eq!(eyes.told(), [grown(b""), grown(b"one, "), grown(b"one, two")]);
    upload.close().unwrap();
    assert_eq!(eyes.told(), [Told::Whole("p.tar.gz".to_owned(), Digest::of(b"one, two"))]);
    assert_eq!(early(&mut bench), Some(8));
}

#[test]
fn a_piece_that_overtakes_is_shown_when_the_gap_is_filled() {
    let (mut bench, eyes) = watched();
    let mut upload = bench.view().create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    upload.write_at(5, b"two").unwrap();
    upload.write_at(0, b"one, ").unwrap();
    upload.close().unwrap();
    let whole = Told::Whole("p.tar.gz".to_owned(), Digest::of(b"one, two"));
    assert_eq!(eyes.told(), [grown(b""), grown(b""), grown(b"one, two"), whole]);
    assert_eq!(early(&mut bench), Some(8));
}

#[test]
fn what_is_written_twice_is_looked_at_no_more() {
    let (mut bench, eyes) = watched();
    let mut upload = bench.view().create(&at("/p.tar.gz"), Open::Truncate, None).unwrap();
    upload.write_at(0, b"one").unwrap();
    upload.write_at(0, b"two").unwrap();
    upload.write_at(3, b"!").unwrap();
    assert_eq!(eyes.told(), [grown(b""), grown(b"one"), Told::Gone]);
    upload.close().unwrap();
    assert_eq!(early(&mut bench), None);
    let mut upload = bench.view().create(&at("/q.tar.gz"), Open::Truncate, None).unwrap();
    upload.set_size(7).unwrap();
    assert_eq!(eyes.told(), [grown(b""), Told::Gone]);
}

#[test]
fn a_resumed_upload_is_seen_from_its_first_byte() {
    let (mut bench, eyes) = watched();
    half(&mut bench.view(), "/p.tar.gz", b"first, ");
    assert_eq!(eyes.told(), [grown(b""), grown(b"first, "), Told::Gone]);
    let mut upload = bench.view().create(&at("/p.tar.gz"), Open::Resume, None).unwrap();
    upload.write_at(7, b"second").unwrap();
    upload.close().unwrap();
    let whole = Told::Whole("p.tar.gz".to_owned(), Digest::of(b"first, second"));
    assert_eq!(eyes.told(), [grown(b"first, "), grown(b"first, second"), whole]);
    assert_eq!(early(&mut bench), Some(13));
}

#[test]
fn a_package_that_gets_its_name_at_the_end_was_seen_all_the_same() {
    let (mut bench, eyes) = watched();
    let mut view = bench.view();
    put(&mut view, "/p.tar.gz.part", b"whole").unwrap();
    assert_eq!(eyes.told(), [grown(b""), grown(b"whole")]);
    view.rename(&at("/p.tar.gz.part"), &at("/p.tar.gz"), false).unwrap();
    assert_eq!(eyes.told(), [Told::Whole("p.tar.gz".to_owned(), Digest::of(b"whole"))]);
    assert_eq!(early(&mut bench), Some(5));
    put(&mut view, "/q.tar.gz.part", b"left").unwrap();
    eyes.told();
    bench.clock.set(bench.clock.now() + jiff::SignedDuration::from_mins(2));
    bench.drop.sweep().unwrap();
    assert_eq!(eyes.told(), [Told::Gone]);
}

#[test]
fn files_that_are_no_packages_are_nobodys_business() {
    let (bench, eyes) = watched();
    let mut view = bench.view();
    put(&mut view, "/notes.txt", b"text").unwrap();
    put(&mut view, "/sitio/a.tar.gz", b"a download").unwrap();
    assert_eq!(eyes.told(), []);
}

#[test]
fn a_short_disk_is_asked_again_when_what_was_unpacked_ahead_is_gone() {
    let eyes = Arc::new(Eyes::default());
    let bench = Bench::seen_by(eyes.clone(), |config| config.reserve_bytes = u64::MAX);
    eyes.ways.store(1, Ordering::SeqCst);
    // There is no disk this large: refused all the same, but not before room was made.
    assert_eq!(code(put(&mut bench.view(), "/p.tar.gz", b"x")), Code::NoSpace);
    assert_eq!(eyes.ways.load(Ordering::SeqCst), 0);
}
