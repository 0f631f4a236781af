//! The room from outside: from a file to its verdict.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::tz::TimeZone;

use super::*;
use crate::model::Lang;

/// A sink that keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn dir(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn file(&mut self, _: &str, _: u64, _: i64) -> io::Result<()> {
        Ok(())
    }
    fn data(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const INDEX: (&str, &[u8]) = ("index.html", b"<html><head><BASE href=\"/\"></head>");
const NAME: &str = "20240602_2015_PREP.tar.gz";

fn now() -> Timestamp {
    "2024-06-02T20:16:30-05:00".parse().unwrap()
}

fn rules() -> Rules {
    Rules { zone: TimeZone::get("America/Cancun").unwrap(), ..Rules::default() }
}

fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_717_377_300); // 20:15 in Cancún
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn stored(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn judged(files: &[(&str, &[u8])], rules: &Rules) -> Result<Verified, Rejection> {
    verify(&stored(&pack(files)), NAME, &[], rules, None, now(), &mut Nowhere)
}

fn code(result: Result<Verified, Rejection>) -> Option<Code> {
    result.err().map(|rejection| rejection.code)
}

fn cut(text: &str) -> Cut {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

#[test]
fn a_good_package_gives_its_cut() {
    let files = [
        INDEX,
        ("a/.DS_Store", b"x"),
        ("a/avance.json", br#"{"ultimoCorte":{"fecha":"02 junio 2024","hora":"20:15"}}"#),
    ];
    let verified = judged(&files, &rules()).unwrap();
    let found = verified.cut.unwrap();
    assert_eq!((found.cut.to_string().as_str(), found.source), ("2024-06-02T20:15:00-05:00", Source::Json));
    assert_eq!((verified.files, verified.skipped.count, verified.warnings), (2, 1, vec![]));
    assert_eq!((verified.format, verified.top), (Format::TarGz, None));
}

#[test]
fn names_follow_their_patterns() {
    let rules = Rules { names: vec!["????????_????_PREP*.tar.gz".to_owned()], ..rules() };
    assert_eq!(code(judged(&[INDEX], &rules)), None);
    let foreign = verify(&stored(&pack(&[INDEX])), "otro.tar.gz", &[], &rules, None, now(), &mut Nowhere);
    assert_eq!(code(foreign), Some(Code::NameForeign));
    assert!(
        glob("*a*b", "xaab") && glob("*", "") && !glob("a?", "a") && !glob("*a", "ab") && glob("a**", "a")
    );
}

#[test]
fn required_files_must_be_there_and_hold_something() {
    let rules = Rules { base: BaseTag::Required, ..rules() };
    assert_eq!(code(judged(&[INDEX], &rules)), None);
    assert_eq!(code(judged(&[("a.html", b"<base>")], &rules)), Some(Code::RequiredMissing));
    assert_eq!(code(judged(&[("index.html", b"")], &rules)), Some(Code::RequiredEmpty));
    assert_eq!(code(judged(&[("index.html", b"<html>")], &rules)), Some(Code::RequiredEmpty));
    assert_eq!(code(judged(&[("a/index.html", b"<base>"), ("b", b"")], &rules)), Some(Code::RequiredMissing));
}

#[test]
fn one_top_directory_is_told() {
    let top = |files: &[(&str, &[u8])]| judged(files, &rules()).unwrap().top;
    assert_eq!(top(&[("sitio/index.html", b"x"), ("sitio/a/b", b"")]), Some("sitio".to_owned()));
    assert_eq!(top(&[INDEX, ("sitio/index.html", b"x")]), None);
    let identity = Identity { file: "e.json".into(), pointer: "/e".into(), expected: "23".into() };
    let rules = Rules { identity: vec![identity], base: BaseTag::Required, ..rules() };
    let files: [(&str, &[u8]); 2] = [("sitio/index.html", b"<base>"), ("sitio/e.json", b"{\"e\":23}")];
    assert_eq!(judged(&files, &rules).unwrap().top.as_deref(), Some("sitio"));
}

#[test]
fn json_must_parse() {
    for (path, bytes) in [
        ("a.json", &b"{\"a\":"[..]),
        ("a.GeoJSON", b"<html>"),
        ("a.json", b""),
        ("a.json", b"\x1f\x8b\x08garbage"),
    ] {
        let rejection = judged(&[INDEX, (path, bytes)], &rules()).unwrap_err();
        assert_eq!((rejection.code, rejection.entry.as_deref()), (Code::JsonInvalid, Some(path)));
    }
    assert_eq!(code(judged(&[INDEX, ("a.json", b"\xef\xbb\xbf{}")], &rules())), None);
}

#[test]
fn gzip_inside_json_is_a_policy() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(br#"{"horaCorte":"02/06/2024 20:15"}"#).unwrap();
    let bytes = gzip.finish().unwrap();
    let verified = judged(&[INDEX, ("a.json", &bytes)], &rules()).unwrap();
    assert_eq!(verified.warnings, [Warning::JsonGzip("a.json".to_owned())]);
    assert_eq!(verified.cut.unwrap().source, Source::Json);
    let strict = Rules { gzip_json: GzipJson::Refuse, ..rules() };
    assert_eq!(code(judged(&[INDEX, ("a.json", &bytes)], &strict)), Some(Code::JsonInvalid));
}

#[test]
fn json_over_its_bound_passes_with_a_warning() {
    let rules = Rules { json_bytes: 10, ..rules() };
    let verified = judged(&[INDEX, ("a.json", b"[1,2,3,4,5,6]")], &rules).unwrap();
    assert_eq!(verified.warnings, [Warning::JsonUnread("a.json".to_owned())]);
}

#[test]
fn another_election_is_refused() {
    let identity = |expected: &str| Identity {
        file: "conf/proceso.json".to_owned(),
        pointer: "/entidad/clave".to_owned(),
        expected: expected.to_owned(),
    };
    let rules = |expected| Rules { identity: vec![identity(expected)], ..rules() };
    let file: (&str, &[u8]) = ("conf/proceso.json", br#"{"entidad":{"clave":23}}"#);
    assert_eq!(code(judged(&[INDEX, file], &rules("23"))), None);
    assert_eq!(code(judged(&[INDEX, file], &rules("10"))), Some(Code::WrongElection));
    assert_eq!(code(judged(&[INDEX, ("conf/proceso.json", b"{}")], &rules("23"))), Some(Code::WrongElection));
    assert_eq!(code(judged(&[INDEX], &rules("23"))), Some(Code::RequiredMissing));
}

#[test]
fn a_cut_may_be_neither_ahead_nor_behind() {
    let at = |name: &str, live: Option<&str>| {
        let live = live.map(cut);
        code(verify(&stored(&pack(&[INDEX])), name, &[], &rules(), live, now(), &mut Nowhere))
    };
    let [before, same] = ["2024-06-02T20:00:00-05:00", "2024-06-02T20:15:00-05:00"];
    assert_eq!(at(NAME, Some(before)), None);
    assert_eq!(at(NAME, Some(same)), None, "the same hour again may be a correction");
    assert_eq!(at("20240602_2018_PREP.tar.gz", None), None, "two minutes are forgiven");
    assert_eq!(at("20240602_2019_PREP.tar.gz", None), Some(Code::CutInFuture));
    assert_eq!(at("20990602_2015_PREP.tar.gz", Some(same)), Some(Code::CutInFuture));
    assert_eq!(at("20240602_2000_PREP.tar.gz", Some(same)), Some(Code::CutOlder));
    assert_eq!(at(NAME, Some("2024-06-02T20:15:00-06:00")), Some(Code::CutOlder), "zones count");
}

#[test]
fn stamps_are_trusted_in_order() {
    let json: (&str, &[u8]) = ("a.json", br#"{"ultimoCorte":{"fecha":"02/06/2024","hora":"20:10"}}"#);
    let csv: (&str, &[u8]) = ("b.csv", b"\xef\xbb\xbfTITULO\r02/06/2024 20:05 (UTC-5)\r");
    let zip: (&str, &[u8]) = ("20240602_2005_PREP.zip", b"x");
    let found = |name: &str, files: &[(&str, &[u8])]| {
        let verified = verify(&stored(&pack(files)), name, &[], &rules(), None, now(), &mut Nowhere).unwrap();
        let found = verified.cut.unwrap();
        (found.source, found.cut.label())
    };
    assert_eq!(found(NAME, &[INDEX, json, csv, zip]), (Source::Json, "20:10".to_owned()));
    assert_eq!(found(NAME, &[INDEX, csv, zip]), (Source::Csv, "20:05".to_owned()));
    assert_eq!(found(NAME, &[INDEX, zip]), (Source::Name, "20:15".to_owned()));
    assert_eq!(found("p.tar.gz", &[INDEX, zip]), (Source::Name, "20:05".to_owned()));
    assert_eq!(found("p.tar.gz", &[INDEX]), (Source::Mtime, "20:15".to_owned()));
}

#[test]
fn stamps_that_differ_are_a_warning() {
    let files = [INDEX, ("a.csv", &b"T\n02/06/2024 19:30 (UTC-5)\n"[..])];
    let warnings = judged(&files, &rules()).unwrap().warnings;
    assert_eq!(warnings.iter().map(Warning::code).collect::<Vec<_>>(), ["STAMP_MISMATCH"]);
    let files = [INDEX, ("a.csv", &b"T\n02/06/2024 19:15 (UTC-6)\n"[..])];
    let warnings = judged(&files, &rules()).unwrap().warnings;
    assert_eq!(warnings.iter().map(Warning::code).collect::<Vec<_>>(), ["STAMP_OFFSET"]);
}

#[test]
fn sums_that_name_the_package_must_agree() {
    let bytes = pack(&[INDEX]);
    let hash = Digest::of(&bytes).to_string();
    let other = Digest::of(b"other").to_string();
    let with = |sides: &[(&str, String)]| {
        let sides: Vec<_> = sides.iter().map(|(n, c)| ((*n).to_owned(), c.clone().into_bytes())).collect();
        verify(&stored(&bytes), NAME, &sides, &rules(), None, now(), &mut Nowhere)
    };
    let own = format!("{NAME}.sha256");
    for content in [
        format!("{hash}  {NAME}\n"),
        format!("{hash} *./{NAME}\r\n"),
        format!("SHA256 ({NAME}) = {}\n", hash.to_uppercase()),
        hash.clone(),
        format!("{other}  otro.tar.gz\n{hash}  {NAME}\n"),
    ] {
        assert_eq!(with(&[(&own, content)]).unwrap().sha256, Some(Digest::of(&bytes)));
    }
    for content in [format!("{other}  {NAME}\n"), other.clone(), String::new(), "no hash".to_owned()] {
        assert_eq!(code(with(&[(&own, content)])), Some(Code::SidecarMismatch));
    }
    assert_eq!(
        code(with(&[("SHA256SUMS", format!("{hash}  a\n{other}  {NAME}\n"))])),
        Some(Code::SidecarMismatch)
    );
    assert_eq!(
        code(with(&[(&own, hash.clone()), ("x.md5", "00".repeat(16) + "  " + NAME)])),
        Some(Code::SidecarMismatch)
    );
    let ignored = with(&[("SHA256SUMS", format!("{other}  otro.tar.gz\n"))]).unwrap().warnings;
    assert_eq!(ignored, [Warning::SumIgnored("SHA256SUMS".to_owned())]);
    let renamed = with(&[(&own, format!("{hash}  /tmp/x.tar.gz\n"))]).unwrap().warnings;
    assert_eq!(renamed, [Warning::SumName(own)]);
}

#[test]
fn every_usual_hash_is_compared() {
    use sha2::Digest as _;
    let bytes = pack(&[INDEX]);
    let hex = |hash: &[u8]| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (suffix, hash) in [
        ("md5", hex(&md5::Md5::digest(&bytes))),
        ("sha1", hex(&sha1::Sha1::digest(&bytes))),
        ("sha512", hex(&sha2::Sha512::digest(&bytes))),
    ] {
        let with = |hash: String| {
            let sides = [(format!("{NAME}.{suffix}"), hash.into_bytes())];
            code(verify(&stored(&bytes), NAME, &sides, &rules(), None, now(), &mut Nowhere))
        };
        assert_eq!(with(hash.clone()), None);
        assert_eq!(with("00".repeat(hash.len() / 2)), Some(Code::SidecarMismatch));
    }
}

#[test]
fn a_damaged_container_is_told_before_its_content() {
    let mut bytes = pack(&[("a.json", b"{")]);
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    assert_eq!(
        code(verify(&stored(&bytes), NAME, &[], &rules(), None, now(), &mut Nowhere)),
        Some(Code::GzipCrc)
    );
    let error_page = stored(b"<html><h1>502 Bad Gateway</h1></html>");
    assert_eq!(
        code(verify(&error_page, NAME, &[], &rules(), None, now(), &mut Nowhere)),
        Some(Code::FormatMismatch)
    );
    assert_eq!(
        code(verify(&stored(b""), NAME, &[], &rules(), None, now(), &mut Nowhere)),
        Some(Code::Truncated)
    );
}

#[test]
fn a_sink_says_why_it_failed() {
    struct Full(fn() -> io::Error);
    impl Sink for Full {
        fn dir(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn file(&mut self, _: &str, _: u64, _: i64) -> io::Result<()> {
            Err((self.0)())
        }
        fn data(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let file = stored(&pack(&[INDEX]));
    let with = |fail| code(verify(&file, NAME, &[], &rules(), None, now(), &mut Full(fail)));
    assert_eq!(with(|| io::ErrorKind::StorageFull.into()), Some(Code::NoSpace));
    assert_eq!(with(|| io::Error::other(Rejection::new(Code::NoInodes))), Some(Code::NoInodes));
    assert_eq!(with(|| io::ErrorKind::PermissionDenied.into()), Some(Code::StoreFailed));
}

#[test]
fn an_examiner_alone_judges_a_tree() {
    let rules = Rules { base: BaseTag::Required, ..rules() };
    let examine = |extent, files: &[(&str, &[u8])]| {
        let mut examiner = Examiner::new(&rules, extent, now());
        for (path, bytes) in files {
            examiner.file(path, bytes.len() as u64, 0).unwrap();
            bytes.chunks(3).for_each(|piece| examiner.data(piece).unwrap());
            examiner.end().unwrap();
        }
        examiner.finish("", None)
    };
    let avance: (&str, &[u8]) = ("avance.json", br#"{"horaCorte":"2024-06-02 20:15"}"#);
    let content = examine(Extent::Whole, &[INDEX, avance]).unwrap();
    assert_eq!(content.cut.unwrap().cut.label(), "20:15");
    assert_eq!(examine(Extent::Whole, &[avance]).unwrap_err().code, Code::RequiredMissing);
    assert!(examine(Extent::Changes, &[avance]).is_ok());
    assert_eq!(examine(Extent::Changes, &[("index.html", b"x")]).unwrap_err().code, Code::RequiredEmpty);
    assert_eq!(examine(Extent::Whole, &[]).unwrap_err().code, Code::Empty);
    assert!(examine(Extent::Changes, &[]).is_ok());
}

#[test]
fn the_report_is_one_line_of_json() {
    let line = |verdict| serde_json::to_value(Report::of(&verdict, Lang::Es)).unwrap();
    let reject = line(Err(Rejection::new(Code::PathTraversal).entry("../x")));
    assert_eq!(reject["verdict"], "reject");
    assert_eq!((&reject["stage"], &reject["reason"]), (&"extracción".into(), &"PATH_TRAVERSAL".into()));
    assert_eq!(reject["entry"], "../x");
    let accept = line(judged(&[INDEX], &rules()));
    assert_eq!((&accept["verdict"], &accept["stage"]), (&"accept".into(), &serde_json::Value::Null));
    assert_eq!(accept["accepted"]["cut"], "2024-06-02T20:15:00-05:00");
}

#[test]
fn a_listing_shows_entries_and_hours() {
    let files = [("a/x.csv", &b"T\n02/06/2024 20:15 (UTC-5)\n"[..]), ("a/.gitkeep", b"")];
    let list = inspect(&stored(&pack(&files)), NAME, &rules(), now()).unwrap();
    assert_eq!(list.entries, [Listed { path: "a/x.csv".into(), size: Some(27), mtime: Some(1_717_377_300) }]);
    assert_eq!(
        list.stamps.iter().map(|f| f.source).collect::<Vec<_>>(),
        [Source::Csv, Source::Name, Source::Mtime]
    );
    assert_eq!((list.format.as_str(), list.skipped), ("tar.gz", vec!["a/.gitkeep".to_owned()]));
}

/// A package that has arrived by the time anybody looks.
struct There<'a>(&'a [u8]);

impl archive::Arriving for There<'_> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.peek(buffer, at)
    }

    fn peek(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = self.0.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Watched from `begun` on, judged at `now()`.
fn foreseen(bytes: &[u8], begun: Timestamp) -> Result<Foreseen, Rejection> {
    let rules = rules();
    watch(&There(bytes), &rules, begun, &mut Nowhere)?.judge(NAME, bytes.len() as u64, now())
}

#[test]
fn what_is_foreseen_is_what_is_verified() {
    let bytes = pack(&[
        ("prep/index.html", INDEX.1),
        ("prep/.DS_Store", b"x"),
        ("prep/avance.json", br#"{"ultimoCorte":{"fecha":"02 junio 2024","hora":"20:15"}}"#),
    ]);
    let sums = [(format!("{NAME}.sha256"), Digest::of(&bytes).to_string().into_bytes())];
    let (rules, live) = (rules(), Some(cut("2024-06-02T20:00:00-05:00")));
    let whole = verify(&stored(&bytes), NAME, &sums, &rules, live, now(), &mut Nowhere).unwrap();
    let unread = || -> io::Result<File> { panic!("the hash is known") };
    let foreseen = foreseen(&bytes, now()).unwrap();
    let early = foreseen.confirm(unread, NAME, Digest::of(&bytes), &sums, &rules, live).unwrap();
    assert_eq!(format!("{early:?}"), format!("{whole:?}"));
}

#[test]
fn what_was_foreseen_falls_to_an_older_hour_or_a_wrong_sum() {
    let bytes = pack(&[INDEX]);
    let (rules, id) = (rules(), Digest::of(&bytes));
    let confirm = |live: Option<&str>, side: &str, text: &str| {
        let sums = [(side.to_owned(), text.as_bytes().to_vec())];
        let read = || Ok(stored(&bytes));
        code(foreseen(&bytes, now()).unwrap().confirm(read, NAME, id, &sums, &rules, live.map(cut)))
    };
    let (own, md5) = (format!("{NAME}.sha256"), format!("{NAME}.md5"));
    let right = id.to_string();
    assert_eq!(confirm(None, &own, &right), None);
    assert_eq!(confirm(Some("2024-06-02T20:30:00-05:00"), &own, &right), Some(Code::CutOlder));
    assert_eq!(confirm(None, &own, &Digest::of(b"other").to_string()), Some(Code::SidecarMismatch));
    assert_eq!(confirm(None, &own, "no sum"), Some(Code::SidecarMismatch));
    assert_eq!(confirm(None, &md5, "d41d8cd98f00b204e9800998ecf8427e"), Some(Code::SidecarMismatch));
}

#[test]
fn a_clock_that_passed_a_files_time_meanwhile_makes_the_early_look_void() {
    // The files are of 20:15, the clock shows 20:16:30 at the end; two minutes are forgiven.
    let bytes = pack(&[INDEX]);
    let minutes = |n: i64| now() - SignedDuration::from_mins(n);
    assert!(foreseen(&bytes, minutes(0)).is_ok());
    assert!(foreseen(&bytes, minutes(3)).is_ok());
    assert!(foreseen(&bytes, minutes(5)).is_err(), "seen as a time to come, which it is no more");
    assert!(foreseen(&bytes, minutes(-1)).is_err(), "the clock went back");
}

#[test]
fn data_alone_is_an_increment_where_the_call_knows_them() {
    let taken = Rules { increments: Increments::Taken, ..rules() };
    let data: [(&str, &[u8]); 2] = [("assets/api/a.json", b"{}"), ("assets/20240602_2015_PREP.zip", b"PK")];
    let verified = judged(&data, &taken).unwrap();
    assert_eq!((verified.extent, verified.top), (Extent::Changes, None));
    assert_eq!(judged(&[INDEX, data[0]], &taken).unwrap().extent, Extent::Whole);
    assert_eq!(code(judged(&data, &rules())), Some(Code::RequiredMissing));
    for page in ["otra.html", "main.JS", "x/estilo.css"] {
        assert_eq!(code(judged(&[data[0], (page, b"x")], &taken)), Some(Code::RequiredMissing), "{page}");
    }
    assert_eq!(code(judged(&[], &taken)), Some(Code::Empty));
    let identity = Identity { file: "e.json".into(), pointer: "/e".into(), expected: "28".into() };
    let ours = Rules { identity: vec![identity], ..taken };
    for path in ["e.json", "prep/e.json"] {
        assert_eq!(code(judged(&[(path, b"{\"e\":27}")], &ours)), Some(Code::WrongElection), "{path}");
    }
    assert_eq!(code(judged(&data, &ours)), None);
}
