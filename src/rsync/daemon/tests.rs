//! Clients that speak by script, most of them badly. Stock clients are met in `tests/it`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use proptest::prelude::*;
use sha2::Digest as _;

use super::*;

struct Shop(Module);

impl Modules for Shop {
    fn motd(&self) -> Vec<String> {
        vec!["hola".into()]
    }
    fn list(&self) -> Vec<(String, String)> {
        vec![("site".into(), "el sitio".into())]
    }
    fn find(&self, name: &[u8]) -> Option<Module> {
        (name == b"site").then(|| self.0.clone())
    }
    fn enter(&self, _: &[u8]) -> Result<(), u32> {
        Ok(())
    }
    fn secret(&self, _: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        (user == b"prep").then(|| b"secreto".to_vec())
    }
    fn random(&self) -> [u8; 32] {
        [7; 32]
    }
}

fn open() -> Shop {
    Shop(Module::default())
}

fn locked(floor: Option<&str>) -> Shop {
    Shop(Module { auth: true, floor: floor.map(String::from), ..Module::default() })
}

/// What came of it, what we said, what was left unread.
fn talk(said: &[u8], shop: &Shop) -> (Result<Option<Greeted>, Error>, String, usize) {
    let mut input = said;
    let mut output = Vec::new();
    let done = greet(&mut input, &mut output, shop, &Limits::default(), Lang::En);
    (done, String::from_utf8(output).unwrap(), input.len())
}

const HELLO: &[u8] = b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n";
const ARGS: &[u8] = b"--server\0-logDtpre.iLsfxCIvu\0.\0site/dir/\0\0";

fn after_hello(rest: &[&[u8]]) -> Vec<u8> {
    [HELLO, &rest.concat()].concat()
}

#[test]
fn a_greeting_ends_behind_the_arguments() {
    let (done, said, left) = talk(&after_hello(&[b"site\n", ARGS, b"more"]), &open());
    let greeted = done.unwrap().unwrap();
    assert_eq!(said, "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\nhola\n@RSYNCD: OK\n");
    assert_eq!((greeted.protocol, greeted.module.as_slice()), (32, &b"site"[..]));
    assert_eq!(greeted.options.destination.as_deref(), Some(&b"dir/"[..]));
    assert!(greeted.options.capabilities.varint_flags && greeted.refused.is_none());
    assert_eq!(left, 4);
}

#[test]
fn versions_are_agreed_as_each_client_says_them() {
    for (hello, expected) in [
        (&b"@RSYNCD: 27\n"[..], 27),
        (b"@RSYNCD: 29\n", 29),
        (b"@RSYNCD: 30.0\n", 30),
        (b"@RSYNCD: 31.0\r\n", 31),
        (b"@RSYNCD: 31.14 md5\n", 30),
        (b"@RSYNCD: 33.0 sha512\n", 32),
        (b"@RSYNCD: 40.1 sha512\n", 32),
    ] {
        let args = if expected < 30 {
            &b"--server\n-logDtpr\n.\nsite/\n\n"[..]
        } else {
            b"--server\0-re.LsfxC\0.\0site/\0\0"
        };
        let (done, ..) = talk(&[hello, b"site\n", args].concat(), &open());
        let greeted = done.unwrap().unwrap();
        assert!(greeted.refused.is_none(), "{:?}", greeted.refused);
        assert_eq!(greeted.protocol, expected, "{}", hello.escape_ascii());
    }
}

#[test]
fn greetings_that_are_none_are_refused() {
    let long = vec![b'x'; 2000];
    for (hello, text) in [
        (&b"GET / HTTP/1.1\r\n"[..], "protocol startup error"),
        (b"@RSYNCD: \n", "protocol startup error"),
        (b"@RSYNCD: 999.0\n", "protocol startup error"),
        (b"@RSYNCD: -31.0\n", "protocol startup error"),
        (b"@RSYNCD: 31.x\n", "protocol startup error"),
        (b"@RSYNCD: 26\n", "protocol 26, 27 or later is needed"),
        (b"@RSYNCD: 30\n", "omitted the subprotocol value"),
        (b"@RSYNCD: 32.0\n", "omitted the digest name list"),
        (b"@RSYNCD: 32.0 crc32\n", "does not support any of our digests"),
        (&long, "line too long"),
        (&after_hello(&[b"#early_input=0\n"]), "invalid early_input length"),
        (&after_hello(&[b"#early_input=5121\n"]), "invalid early_input length"),
        (&after_hello(&[b"#early_input=99999999999999999999\n"]), "invalid early_input length"),
        (&after_hello(&[b"#reboot\n"]), "Unknown command '#reboot'"),
        (&after_hello(&[b"si\x1b[2Jte\n"]), r"Unknown module 'si\x1b[2Jte'"),
        (&after_hello(&[b"../site\n"]), "Unknown module '../site'"),
    ] {
        let (done, said, _) = talk(hello, &open());
        done.expect_err(text);
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("@ERROR: ") && last.contains(text), "{last}");
    }
}

#[test]
fn early_input_is_passed_over() {
    let (done, ..) = talk(&after_hello(&[b"#early_input=5\n", b"a\nb\n\0", b"site\n", ARGS]), &open());
    assert!(done.unwrap().is_some());
}

#[test]
fn a_list_ends_the_talk() {
    for ask in [&b"\n"[..], b"#list\n"] {
        let (done, said, _) = talk(&after_hello(&[ask]), &locked(None));
        assert!(done.unwrap().is_none());
        assert!(said.ends_with("site           \tel sitio\n@RSYNCD: EXIT\n"));
    }
}

fn challenge() -> String {
    STANDARD_NO_PAD.encode([7; 32])
}

fn answer(digest: &[u8]) -> Vec<u8> {
    format!("prep {}\n", STANDARD_NO_PAD.encode(digest)).into_bytes()
}

#[test]
fn the_digest_is_the_first_of_the_clients_that_we_offer() {
    let text = format!("secreto{}", challenge());
    let seeded = [&[0; 4][..], text.as_bytes()].concat();
    for (hello, digest, args) in [
        (&b"@RSYNCD: 32.0 crc32 sha256 md4\n"[..], sha2::Sha256::digest(&text).to_vec(), ARGS),
        (b"@RSYNCD: 32.0 md4\n", md4::Md4::digest(&text).to_vec(), ARGS),
        (b"@RSYNCD: 31.0 sha1\n", sha1::Sha1::digest(&text).to_vec(), ARGS),
        (b"@RSYNCD: 31.0\n", md5::Md5::digest(&text).to_vec(), ARGS),
        (b"@RSYNCD: 29\n", md4::Md4::digest(&seeded).to_vec(), b"--server\n-r\n.\nsite/\n\n"),
    ] {
        let said = [hello, b"site\n", &answer(&digest), args].concat();
        let (done, said, _) = talk(&said, &locked(None));
        assert_eq!(done.unwrap().unwrap().user.as_deref(), Some(&b"prep"[..]), "{}", hello.escape_ascii());
        assert!(said.contains(&format!("@RSYNCD: AUTHREQD {}\n", challenge())));
    }
}

#[test]
fn a_weak_digest_gets_no_challenge() {
    for (hello, floor) in [
        (&b"@RSYNCD: 31.0\n"[..], "sha256"),
        (b"@RSYNCD: 29\n", "md5"),
        (b"@RSYNCD: 32.0 sha1 sha512\n", "sha256"),
        (b"@RSYNCD: 32.0 sha512\n", "unknown"),
    ] {
        let (done, said, _) = talk(&[hello, b"site\n"].concat(), &locked(Some(floor)));
        assert_eq!(done.unwrap_err().exit, Exit::Start);
        assert!(
            !said.contains("AUTHREQD") && said.contains(&format!("asks for {floor} or stronger")),
            "{said}"
        );
    }
    for (hello, floor) in [(&b"@RSYNCD: 29\n"[..], "md4"), (b"@RSYNCD: 31.0\n", "md5"), (HELLO, "sha512")] {
        let (_, said, _) = talk(&[hello, b"site\n"].concat(), &locked(Some(floor)));
        assert!(said.contains("AUTHREQD"), "{said}");
    }
}

#[test]
fn answers_that_prove_nothing_end_the_talk_at_once() {
    let good = sha2::Sha512::digest(format!("secreto{}", challenge()));
    let encoded = STANDARD_NO_PAD.encode(good);
    let nobody = STANDARD_NO_PAD.encode(sha2::Sha512::digest(format!("nobody's{}", challenge())));
    for line in [
        String::new(),
        " ".into(),
        "prep".into(),
        "prep ".into(),
        format!(" {encoded}"),
        format!("prep  {encoded}"),
        format!("prep {encoded} x"),
        format!("prep {encoded}=="),
        format!("prep {}", &encoded[..40]),
        format!("prep,otro {encoded}"),
        format!("otro {encoded}"),
        format!("nadie {nobody}"),
        format!("prep {}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(format!("secreto{}", challenge())))),
        format!("prep {}", STANDARD_NO_PAD.encode(sha2::Sha512::digest("secreto"))),
    ] {
        let again = format!("prep {encoded}\n");
        let said = after_hello(&[b"site\n", line.as_bytes(), b"\n", again.as_bytes(), ARGS]);
        let (done, said, _) = talk(&said, &locked(None));
        assert_eq!(done.expect_err(&line).exit, Exit::Start);
        assert!(said.ends_with("@ERROR: auth failed on module site\n"), "one attempt: {said}");
    }
}

#[test]
fn arguments_beyond_their_bounds_are_refused_where_a_client_shows_it() {
    let many =
        |count: usize| [b"--server\0".to_vec(), b"-r\0".repeat(count - 3), b".\0site/\0\0".to_vec()].concat();
    let long =
        |length: usize| [b"--server\0-r\0.\0site/", vec![b'x'; length - 5].as_slice(), b"\0\0"].concat();
    for (args, fits) in
        [(many(100), true), (many(101), false), (many(1000), false), (long(4096), true), (long(4097), false)]
    {
        let (done, said, _) = talk(&after_hello(&[b"site\n", &args]), &open());
        assert_eq!(done.unwrap().unwrap().refused.is_none(), fits);
        assert!(said.ends_with("@RSYNCD: OK\n"));
    }
}

#[test]
fn options_are_unescaped_and_paths_are_not() {
    let args = b"--server\0-re.LsfxCIvu\0--log-format\0%i\\ x\0.\0site/a\\ b\0\0";
    let (done, ..) = talk(&after_hello(&[b"site\n", args]), &open());
    let options = done.unwrap().unwrap().options;
    assert_eq!(options.log_format.as_deref(), Some(&b"%i x"[..]));
    assert_eq!(options.destination.as_deref(), Some(&br"a\ b"[..]));
}

#[test]
fn the_module_is_taken_off_once() {
    let strip = |word: &[u8]| strip_module(word, b"site");
    for (word, path) in [
        (&b"site"[..], None),
        (b"site/", None),
        (b"site//", None),
        (b"site/site/x", Some(&b"site/x"[..])),
        (b"site///etc/passwd", Some(b"etc/passwd")),
        (b"/etc/passwd", Some(b"etc/passwd")),
        (b"sites/x", Some(b"sites/x")),
    ] {
        assert_eq!(strip(word).as_deref(), path);
    }
}

#[test]
fn every_cut_is_an_error() {
    let digest = sha2::Sha512::digest(format!("secreto{}", challenge()));
    let whole = after_hello(&[b"#early_input=3\n", b"abc", b"site\n", &answer(&digest), ARGS]);
    assert!(talk(&whole, &locked(None)).0.is_ok());
    for cut in 0..whole.len() {
        let (done, said, _) = talk(&whole[..cut], &locked(None));
        assert_eq!(done.unwrap_err().exit, Exit::Stream, "at {cut}: {said}");
    }
}

proptest! {
    #[test]
    fn nothing_a_client_says_panics(lines in proptest::collection::vec("[@#a-zA-Z0-9=.: \\x00-\\x1f]{0,40}", 0..12), hello: bool, site: bool) {
        let head = if hello { HELLO } else { b"" };
        let module = if site { &b"site\n"[..] } else { b"" };
        let said = [head, module, lines.join("\n").as_bytes()].concat();
        talk(&said, &open()).0.ok();
        talk(&said, &locked(None)).0.ok();
    }
}
