use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::model::{Code, Lang, Outcome, Rejection, Sender, Via};

struct Bench {
    _scratch: tempfile::TempDir,
    history: History,
    incoming: Dir,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        let history = History::open(&root.sub_create("history").unwrap()).unwrap();
        Self { _scratch: scratch, history, incoming: root.sub_create("incoming").unwrap() }
    }

    fn keep(&self, bytes: &[u8], receipt: &Receipt) -> Kept {
        let mut file = self.incoming.create_file("part").unwrap();
        file.write_all(bytes).unwrap();
        self.history.keep(&file, &self.incoming, "part", Digest::of(bytes), receipt).unwrap()
    }
}

fn receipt(name: &str, last_byte: &str) -> Receipt {
    let sender = Sender { name: "ieqroo".to_owned(), key: None, addr: None, via: Via::Sftp };
    let last_byte = last_byte.parse().unwrap();
    Receipt { name: name.to_owned(), sender, first_byte: last_byte, last_byte, bytes: 3 }
}

const EARLY: &str = "2024-06-03T01:00:00Z";
const LATE: &str = "2024-06-03T02:00:00Z";

#[test]
fn a_package_is_kept_byte_equal_and_read_only() {
    let bench = Bench::new();
    let kept = bench.keep(b"abc", &receipt("20240602_2015_PREP.tar.gz", EARLY));
    assert!(kept.is_new && kept.path.ends_with(format!("{}.tar.gz", Digest::of(b"abc"))));
    assert_eq!(std::fs::read(&kept.path).unwrap(), b"abc");
    assert_eq!(std::fs::metadata(&kept.path).unwrap().mode() & 0o777, 0o444);
    assert!(bench.incoming.list().unwrap().is_empty());
    assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Equal);
    let mut bytes = Vec::new();
    bench.history.open_original(kept.id).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abc");
}

#[test]
fn the_same_bytes_are_stored_once_with_both_receipts() {
    let bench = Bench::new();
    let (first, again) = (receipt("a.tar.gz", EARLY), receipt("b.tgz", LATE));
    bench.keep(b"abc", &first);
    let kept = bench.keep(b"abc", &again);
    assert!(!kept.is_new && bench.incoming.list().unwrap().is_empty());
    let record = bench.history.get(kept.id).unwrap().unwrap();
    assert_eq!((record.ext.as_str(), record.receptions), ("tar.gz", vec![first, again]));
    assert_eq!(bench.history.list().unwrap().len(), 1);
}

#[test]
fn the_same_name_with_other_content_keeps_both() {
    let bench = Bench::new();
    bench.keep(b"abc", &receipt("a.zip", EARLY));
    let second = bench.keep(b"abd", &receipt("a.zip", LATE));
    let found = bench.history.find("a.zip").unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].id, second.id);
    assert_eq!(bench.history.find(&second.id.short()).unwrap().len(), 1);
    assert!(bench.history.find("a.zi").unwrap().is_empty());
}

#[test]
fn a_verdict_stays_with_its_package() {
    let bench = Bench::new();
    let kept = bench.keep(b"abc", &receipt("a.tar", EARLY));
    assert!(bench.history.list().unwrap()[0].verdicts.is_empty());
    let no = Rejection::new(Code::EntryType).entry("dev").detail("3".to_owned());
    let verdict = Verdict::of(&Outcome::Rejected(no), LATE.parse().unwrap(), Lang::Es);
    bench.history.record_verdict(kept.id, verdict.clone()).unwrap();
    let record = bench.history.get(kept.id).unwrap().unwrap();
    assert_eq!(record.verdicts, [verdict]);
    assert_eq!((record.receptions.len(), record.verdicts[0].detail.as_deref()), (1, Some("dev: 3")));
    assert!(bench.history.record_verdict(Digest::of(b"x"), record.verdicts[0].clone()).is_err());
}

#[test]
fn a_changed_original_is_noticed_and_mended_by_the_next_reception() {
    let bench = Bench::new();
    let kept = bench.keep(b"abc", &receipt("a.tar", EARLY));
    std::fs::remove_file(&kept.path).unwrap();
    assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Missing);
    std::fs::write(&kept.path, b"abX").unwrap();
    assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Changed(Digest::of(b"abX")));
    bench.keep(b"abc", &receipt("a.tar", LATE));
    assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Equal);
    let aside = kept.path.with_file_name(format!("{}.tar.damaged-1", kept.id));
    assert_eq!(std::fs::read(aside).unwrap(), b"abX");
    assert_eq!(bench.history.list().unwrap().len(), 1);
}

#[test]
fn bytes_without_a_record_are_found_again() {
    let bench = Bench::new();
    let kept = bench.keep(b"abc", &receipt("a.tar.gz", EARLY));
    let json = kept.path.with_file_name(format!("{}.json", kept.id));
    for broken in [None, Some("{\"id\":")] {
        let _ = std::fs::remove_file(&json);
        if let Some(text) = broken {
            std::fs::write(&json, text).unwrap();
        }
        let list = bench.history.list().unwrap();
        assert_eq!((list.len(), list[0].receptions.len()), (1, 0));
        assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Equal);
    }
    bench.keep(b"abc", &receipt("a.tar.gz", LATE));
    assert_eq!(bench.history.list().unwrap()[0].receptions.len(), 1);
}

#[test]
fn a_script_gone_wild_does_not_grow_the_record() {
    let bench = Bench::new();
    let mut record = Record::new(Digest::of(b"abc"), "tar");
    for i in 0..1000 {
        record.receive(&receipt(&format!("{i}.tar"), LATE));
    }
    assert_eq!((record.receptions.len(), record.receptions_left_out), (200, 800));
    assert_eq!((record.receptions[0].name.as_str(), record.name()), ("0.tar", Some("999.tar")));
    bench.history.write(&record).unwrap();
    assert_eq!(bench.history.record(record.id).unwrap(), Some(record));
}

#[test]
fn nothing_goes_before_the_end_of_the_retention() {
    let bench = Bench::new();
    let old = bench.keep(b"abc", &receipt("a.tar", EARLY));
    let new = bench.keep(b"abd", &receipt("b.tar", LATE));
    let (early, late): (Timestamp, Timestamp) =
        ("2024-06-03T01:30:00Z".parse().unwrap(), "2024-06-03T03:00:00Z".parse().unwrap());
    assert!(matches!(bench.history.prune_after(late, early), Err(PruneError::TooEarly(t)) if t == late));
    assert_eq!(bench.history.list().unwrap().len(), 2);
    assert_eq!(bench.history.prune_after(early, late).unwrap(), [old.id]);
    assert_eq!(bench.history.list().unwrap()[0].id, new.id);
    assert_eq!(bench.history.get(old.id).unwrap(), None);
}

#[test]
fn a_pushed_tree_can_be_made_again() {
    let bench = Bench::new();
    let manifest = |parts: &[&[u8]]| {
        parts.iter().map(|p| format!("{}  {}\n", Digest::of(p), p.len())).collect::<String>()
    };
    let text = manifest(&[b"a", b"bb"]);
    assert!(bench.history.keep_tree(&text, &receipt("sitio", EARLY)).is_err());
    for part in [&b"a"[..], b"bb", b"ccc"] {
        bench.incoming.create_file("f").unwrap().write_all(part).unwrap();
        bench.history.keep_blob(&bench.incoming, "f", Digest::of(part)).unwrap();
        bench.history.keep_blob(&bench.incoming, "f", Digest::of(part)).unwrap();
        bench.incoming.remove_file("f").unwrap();
    }
    let kept = bench.history.keep_tree(&text, &receipt("sitio", EARLY)).unwrap();
    assert_eq!((kept.id, kept.is_new), (Digest::of(text.as_bytes()), true));
    assert_eq!(std::fs::read_to_string(&kept.path).unwrap(), text);
    assert_eq!(hash(bench.history.open_blob(Digest::of(b"bb")).unwrap()).unwrap(), Digest::of(b"bb"));
    let newer = bench.history.keep_tree(&manifest(&[b"bb"]), &receipt("sitio", LATE)).unwrap();
    assert_eq!(bench.history.verify(kept.id).unwrap(), Check::Equal);
    // The old tree goes, and with it what only the old tree needed.
    let end = "2024-06-03T01:30:00Z".parse().unwrap();
    assert_eq!(bench.history.prune_after(end, end).unwrap(), [kept.id]);
    let lost = bench.history.open_blob(Digest::of(b"a")).map(drop);
    assert!(lost.is_err() && bench.history.verify(newer.id).unwrap() == Check::Equal);
    bench.history.dir.remove_file(blob_path(Digest::of(b"bb"))).unwrap();
    assert_eq!(bench.history.verify(newer.id).unwrap(), Check::Blobs(vec![Digest::of(b"bb")]));
}

#[test]
fn the_suffix_of_a_name_is_kept_if_it_is_ours() {
    for (name, ext) in [
        ("PREP.TAR.GZ", "tar.gz"),
        ("a.b.tgz", "tgz"),
        ("a.tar.zst", "tar.zst"),
        ("a.tar", "tar"),
        ("a.gz", "bin"),
        ("tar.gz", "bin"),
        ("a.json", "bin"),
        ("../x.zip", "zip"),
    ] {
        assert_eq!(extension(name), ext, "{name}");
    }
}
