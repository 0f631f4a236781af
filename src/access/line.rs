//! One line of an authorized_keys file, read as sshd reads it.
//!
//! Follows sshd(8), AUTHORIZED_KEYS FILE FORMAT: blanks before the line, options with
//! quotes in which blanks and commas are plain text, tabs as blanks, a comment that may
//! be missing or in any encoding. An option we do not know, or know and cannot honour,
//! makes the key not count.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use super::RSA_BITS_MIN;
use super::fault::Wrong;
use super::intake::Intake;
use super::sources::Sources;

/// What a line grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where the key may come from; `None` is anywhere.
    pub from: Option<Sources>,
    /// From when on it no longer counts.
    pub expires: Option<Timestamp>,
    /// What it may do, and how it must prove itself.
    pub rights: Rights,
    /// Whether anything stood before the key.
    pub has_options: bool,
    /// The key.
    pub key: KeyData,
    /// What stands behind it; control characters are blanks.
    pub comment: String,
}

/// What a line's options say beside address and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// `cert-authority`: not the key itself is trusted, but the user certificates it signs.
    pub authority: bool,
    /// `principals=`: one of these must stand in a certificate. `None` asks for the user's name.
    pub principals: Option<Vec<String>>,
    /// `command=`: the one intake it may use; `None` is any.
    pub intake: Option<Intake>,
    /// `verify-required`: a security key must have asked for its PIN.
    pub verify: bool,
    /// `no-touch-required`: a security key need not have been touched.
    pub untouched: bool,
}

impl Line {
    /// The name of the key's algorithm, as in the line.
    pub(crate) fn algorithm(&self) -> String {
        self.key.algorithm().as_str().to_owned()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// Reads one line (without its end). `None` for blank lines and comments; a fault comes
/// with its byte column, from 1. `zone` is the one that `expiry-time` without `Z` means.
pub(crate) fn parse(line: &[u8], zone: &TimeZone) -> Result<Option<Line>, (usize, Wrong)> {
    let mut at = Cursor { text: line.trim_ascii_end(), pos: 0 };
    at.skip_blanks();
    if matches!(at.peek(), None | Some(b'#')) {
        return Ok(None);
    }
    let mut options = Options::default();
    let mut start = at.pos;
    let mut kind = at.word();
    if !looks_like_key_type(kind) {
        at.pos = start;
        options.parse(&mut at, zone)?;
        at.skip_blanks();
        start = at.pos;
        kind = at.word();
    }
    let kind = std::str::from_utf8(kind).ok().filter(|kind| looks_like_key_type(kind.as_bytes()));
    let Some(kind) = kind else { return Err((start + 1, Wrong::NoKey)) };
    if !ACCEPTED_TYPES.contains(&kind) {
        return Err((start + 1, Wrong::KeyType(kind.to_owned())));
    }
    if let Some(wrong) = options.contradiction() {
        return Err((1, wrong));
    }
    at.skip_blanks();
    let blob_at = at.pos;
    let key = key_data(kind, at.word()).map_err(|wrong| (blob_at + 1, wrong))?;
    at.skip_blanks();
    let comment = String::from_utf8_lossy(at.rest()).replace(char::is_control, " ");
    let Options { any: has_options, from, expires, rights } = options;
    Ok(Some(Line { from, expires, rights, has_options, key, comment }))
}

/// The options of a line that parses, each as written.
pub(super) fn options_of(line: &[u8]) -> Vec<String> {
    let (_, options) = split(line);
    let (mut all, mut quoted, mut start) = (Vec::new(), false, 0);
    for (at, byte) in options.iter().enumerate() {
        let escaped = at > 0 && options.get(at - 1) == Some(&b'\\');
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b',' if !quoted => {
                all.push(options.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(options.get(start..).unwrap_or_default());
    all.iter().filter(|o| !o.is_empty()).map(|o| String::from_utf8_lossy(o).into_owned()).collect()
}

/// The same line from its key on, its end included.
pub(super) fn without_options(line: &[u8]) -> &[u8] {
    split(line).0
}

/// Type, key and comment; and what stands before them.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut at = Cursor { text: line, pos: 0 };
    at.skip_blanks();
    let start = at.pos;
    if looks_like_key_type(at.word()) {
        return (line.get(start..).unwrap_or_default(), b"");
    }
    at.pos = start;
    let mut quoted = false;
    while let Some(byte) = at.peek() {
        let escaped = at.pos > start && at.text.get(at.pos - 1) == Some(&b'\\');
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b' ' | b'\t' if !quoted => break,
            _ => {}
        }
        at.pos += 1;
    }
    let end = at.pos;
    at.skip_blanks();
    (at.rest(), line.get(start..end).unwrap_or_default())
}

/// Reads a time as `expiry-time` writes it: `YYYYMMDD[HHMM[SS]]`, in `zone` unless `Z`
/// or `UTC` follows (ssh(1), the same form as `ssh-keygen -V`).
pub(crate) fn parse_time(text: &str, zone: &TimeZone) -> Result<Timestamp, Wrong> {
    let wrong = || Wrong::BadTime(text.to_owned());
    let utc = text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("UTC"));
    let digits = utc.unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).and_then(|d| d.parse::<i16>().ok()).unwrap_or(0);
    let small = |from: usize| i8::try_from(number(from, from + 2)).unwrap_or(i8::MAX);
    let date = Date::new(number(0, 4), small(4), small(6)).map_err(|_| wrong())?;
    let second = if digits.len() == 14 { small(12) } else { 0 };
    let (hour, minute) = if digits.len() > 8 { (small(8), small(10)) } else { (0, 0) };
    let time = Time::new(hour, minute, second, 0).map_err(|_| wrong())?;
    let zone = if utc.is_some() { &TimeZone::UTC } else { zone };
    let zoned = DateTime::from_parts(date, time).to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(zoned.timestamp())
}

fn key_data(kind: &str, blob: &[u8]) -> Result<KeyData, Wrong> {
    if blob.is_empty() {
        return Err(Wrong::NoKey);
    }
    let bytes = BASE64.decode(blob).map_err(|_| Wrong::Damaged)?;
    let key = PublicKey::from_bytes(&bytes).map_err(|_| Wrong::Damaged)?.key_data().clone();
    let found = key.algorithm();
    // An RSA key names no hash; everything else must be what the line says.
    if found.as_str() != kind {
        return Err(Wrong::OtherType { named: kind.to_owned(), found: found.as_str().to_owned() });
    }
    match short_rsa(&key) {
        Some(bits) => Err(Wrong::ShortRsa(bits)),
        None => Ok(key),
    }
}

/// The bits of an RSA key that has too few.
pub(super) fn short_rsa(key: &KeyData) -> Option<u32> {
    rsa_bits(key).filter(|bits| *bits < RSA_BITS_MIN)
}

fn rsa_bits(key: &KeyData) -> Option<u32> {
    let modulus = key.rsa()?.n().as_positive_bytes()?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    Some(u32::try_from(modulus.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(unused))
}

/// What is met where a key must begin: its own kinds, and those of others that we
/// want to name in the refusal.
fn looks_like_key_type(word: &[u8]) -> bool {
    let starts = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"];
    !word.contains(&b'=') && starts.iter().any(|start| word.starts_with(start.as_bytes()))
}

#[derive(Default)]
struct Options {
    any: bool,
    from: Option<Sources>,
    expires: Option<Timestamp>,
    rights: Rights,
}

impl Options {
    /// Options that mean nothing without each other.
    fn contradiction(&self) -> Option<Wrong> {
        (self.rights.principals.is_some() && !self.rights.authority).then_some(Wrong::NoAuthority)
    }

    fn parse(&mut self, at: &mut Cursor<'_>, zone: &TimeZone) -> Result<(), (usize, Wrong)> {
        self.any = true;
        loop {
            let start = at.pos;
            let name = String::from_utf8_lossy(at.until(|b| matches!(b, b',' | b'=' | b' ' | b'\t' | b'"')))
                .to_ascii_lowercase();
            let value_at = at.pos + 2;
            let value = at.value().map_err(|wrong| match wrong {
                Wrong::NoValue(_) => (start + 1, Wrong::NoValue(name.clone())),
                _ => (at.pos + 1, wrong),
            })?;
            self.take(&name, value, zone).map_err(|wrong| match wrong {
                Wrong::UnknownOption(_) | Wrong::Unsupported(_) | Wrong::NoValue(_) | Wrong::Twice(_) => {
                    (start + 1, wrong)
                }
                _ => (value_at + 1, wrong),
            })?;
            match at.peek() {
                Some(b',') => at.pos += 1,
                None | Some(b' ' | b'\t') => return Ok(()),
                Some(_) => return Err((at.pos + 1, Wrong::AfterOption)),
            }
        }
    }

    fn take(&mut self, name: &str, value: Option<String>, zone: &TimeZone) -> Result<(), Wrong> {
        match (name, value) {
            ("from", Some(_)) if self.from.is_some() => return Err(Wrong::Twice(name.to_owned())),
            ("from", Some(list)) => self.from = Some(Sources::parse(&list)?),
            ("expiry-time", Some(time)) => {
                let time = parse_time(&time, zone)?;
                // Of several the earliest counts, as in sshd.
                self.expires = Some(self.expires.map_or(time, |before| before.min(time)));
            }
            ("command", Some(_)) if self.rights.intake.is_some() => {
                return Err(Wrong::Twice(name.to_owned()));
            }
            ("command", Some(line)) => self.rights.intake = Some(Intake::parse(&line)?),
            ("principals", Some(_)) if self.rights.principals.is_some() => {
                return Err(Wrong::Twice(name.to_owned()));
            }
            ("principals", Some(names)) => self.rights.principals = Some(principals(&names)?),
            ("from" | "expiry-time" | "command" | "principals", None) => {
                return Err(Wrong::NoValue(name.to_owned()));
            }
            ("cert-authority", None) => self.rights.authority = true,
            ("verify-required", None) => self.rights.verify = true,
            ("no-touch-required", None) => self.rights.untouched = true,
            ("touch-required", None) => self.rights.untouched = false,
            (name, None) if PLAIN_OPTIONS.contains(&name.strip_prefix("no-").unwrap_or(name)) => {}
            // They only narrow what is refused anyway.
            ("permitopen" | "permitlisten", Some(_)) => {}
            (name, _) if KNOWN_ELSEWHERE.contains(&name) => return Err(Wrong::Unsupported(name.to_owned())),
            (name, _) => return Err(Wrong::UnknownOption(name.to_owned())),
        }
        Ok(())
    }
}

fn principals(names: &str) -> Result<Vec<String>, Wrong> {
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) { Err(Wrong::NoValue("principals".to_owned())) } else { Ok(names) }
}

/// A walk over the bytes of a line.
struct Cursor<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        self.until(|b| !matches!(b, b' ' | b'\t'));
    }

    fn word(&mut self) -> &'a [u8] {
        self.until(|b| matches!(b, b' ' | b'\t'))
    }

    fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let n = rest.iter().position(|b| stop(*b)).unwrap_or(rest.len());
        self.pos += n;
        rest.get(..n).unwrap_or_default()
    }

    /// `="…"` if it stands here. Inside, `\"` is a quote; a backslash before anything
    /// else is itself.
    fn value(&mut self) -> Result<Option<String>, Wrong> {
        if self.peek() != Some(b'=') {
            return Ok(None);
        }
        self.pos += 1;
        if self.peek() != Some(b'"') {
            return Err(Wrong::NoValue(String::new()));
        }
        self.pos += 1;
        let mut value = Vec::new();
        loop {
            match (self.peek(), self.text.get(self.pos + 1)) {
                (None, _) => return Err(Wrong::Unclosed),
                (Some(b'\\'), Some(b'"')) => {
                    value.push(b'"');
                    self.pos += 2;
                }
                (Some(b'"'), _) => {
                    self.pos += 1;
                    return Ok(Some(String::from_utf8_lossy(&value).into_owned()));
                }
                (Some(b), _) => {
                    value.push(b);
                    self.pos += 1;
                }
            }
        }
    }
}

/// DSA is broken; a certificate is trusted by its authority's line, not by one of its own.
const ACCEPTED_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Permissions without a value, with or without `no-`: none of them is given here to
/// anybody, so both forms keep their promise.
const PLAIN_OPTIONS: &[&str] =
    &["restrict", "port-forwarding", "agent-forwarding", "x11-forwarding", "pty", "user-rc"];

/// Options of OpenSSH whose meaning we could not keep.
const KNOWN_ELSEWHERE: &[&str] = &["environment", "tunnel"];

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn read(line: &str) -> Result<Option<Line>, (usize, Wrong)> {
        parse(line.as_bytes(), &TimeZone::UTC)
    }

    fn granted(line: &str) -> Line {
        read(line).unwrap().unwrap()
    }

    #[test]
    fn lines_that_other_parsers_stumble_over_are_read() {
        for line in [
            format!("restrict {KEY}"),
            format!("  \t{KEY}\tcomment"),
            format!("restrict,no-pty\t{KEY}   a  b\r"),
            format!("no-touch-required,permitopen=\"a b,c\" {KEY}"),
        ] {
            assert_eq!(granted(&line).algorithm(), "ssh-ed25519", "{line}");
        }
        assert_eq!(granted(&format!("{KEY} prep@instituto  2027")).comment, "prep@instituto  2027");
        assert_eq!(read("   # nothing").unwrap(), None);
        assert_eq!(read(" \t").unwrap(), None);
    }

    #[test]
    fn a_comment_in_latin_1_harms_nobody() {
        let line = [KEY.as_bytes(), b" Quer\xe9taro\x1b[2J"].concat();
        let comment = parse(&line, &TimeZone::UTC).unwrap().unwrap().comment;
        assert_eq!(comment, "Quer\u{fffd}taro [2J");
    }

    #[test]
    fn options_are_honoured() {
        let line = granted(&format!("from=\"192.0.2.0/24, !192.0.2.9\",EXPIRY-TIME=\"20270606\" {KEY}"));
        assert!(line.from.as_ref().unwrap().allows("192.0.2.1".parse().unwrap()));
        assert!(!line.from.unwrap().allows("192.0.2.9".parse().unwrap()));
        assert_eq!(line.expires.unwrap().to_string(), "2027-06-06T00:00:00Z");
    }

    #[test]
    fn a_line_comes_apart_as_it_was_written() {
        let line =
            format!("from=\"192.0.2.0/24, 10.0.0.1\",restrict,command=\"cat > \\\"x,y\\\"\"  {KEY} a b\n");
        assert_eq!(
            options_of(line.as_bytes()),
            ["from=\"192.0.2.0/24, 10.0.0.1\"", "restrict", "command=\"cat > \\\"x,y\\\"\""]
        );
        assert_eq!(without_options(line.as_bytes()), format!("{KEY} a b\n").as_bytes());
        assert!(options_of(KEY.as_bytes()).is_empty() && without_options(KEY.as_bytes()) == KEY.as_bytes());
    }

    #[test]
    fn rights_are_read() {
        let rights = |options: &str| granted(&format!("{options} {KEY}")).rights;
        assert_eq!(rights("restrict"), Rights::default());
        let authority = rights("cert-authority,principals=\"prep, ieqroo\"");
        assert!(authority.authority);
        assert_eq!(authority.principals.unwrap(), ["prep", "ieqroo"]);
        assert_eq!(rights("command=\"internal-sftp\"").intake, Some(Intake::Sftp));
        assert!(rights("verify-required").verify && rights("no-touch-required").untouched);
    }

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        let zone = TimeZone::get("America/Cancun").unwrap();
        let time = |text| parse_time(text, &zone).map(|t| t.to_string());
        assert_eq!(time("202706062000").unwrap(), "2027-06-07T01:00:00Z");
        assert_eq!(time("20270606200001Z").unwrap(), "2027-06-06T20:00:01Z");
        assert_eq!(time("20270606UTC").unwrap(), "2027-06-06T00:00:00Z");
        for bad in ["2027-06-06", "20271306", "2027060", "202706062460", "", "Z", "٢٠٢٧٠٦٠٦"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_are_named_with_their_column() {
        let wrong = |line: &str| read(line).unwrap_err();
        assert_eq!(wrong(&format!("foo {KEY}")), (1, Wrong::UnknownOption("foo".into())));
        assert_eq!(wrong(&format!("restrict,bar {KEY}")), (10, Wrong::UnknownOption("bar".into())));
        assert_eq!(wrong(&format!("command=\"rm -rf /\" {KEY}")), (10, Wrong::Command("rm -rf /".into())));
        assert_eq!(wrong(&format!("tunnel=\"0\" {KEY}")), (1, Wrong::Unsupported("tunnel".into())));
        assert_eq!(wrong(&format!("principals=\"a\" {KEY}")), (1, Wrong::NoAuthority));
        assert_eq!(wrong(&format!("cert-authority,principals {KEY}")).1, Wrong::NoValue("principals".into()));
        assert_eq!(wrong(&format!("from {KEY}")), (1, Wrong::NoValue("from".into())));
        assert_eq!(wrong(&format!("from=\"1.2.3.4 {KEY}")).1, Wrong::Unclosed);
        assert_eq!(wrong(&format!("from=\"prep.ine.mx\" {KEY}")), (7, Wrong::HostName("prep.ine.mx".into())));
        assert_eq!(wrong(&format!("from=\"*\"x {KEY}")), (9, Wrong::AfterOption));
        assert_eq!(wrong(&format!("restrict, {KEY}")), (10, Wrong::UnknownOption(String::new())));
        assert_eq!(wrong("restrict"), (9, Wrong::NoKey));
        assert_eq!(wrong("ssh-ed25519"), (12, Wrong::NoKey));
        assert_eq!(wrong("ssh-ed25519 AAAA"), (13, Wrong::Damaged));
        assert_eq!(wrong("ssh-dss AAAAB3NzaC1kc3MAAAA= x"), (1, Wrong::KeyType("ssh-dss".into())));
        assert_eq!(
            wrong(&KEY.replace("ssh-ed25519", "ssh-rsa")).1,
            Wrong::OtherType { named: "ssh-rsa".into(), found: "ssh-ed25519".into() }
        );
    }

    #[test]
    fn rubbish_never_panics() {
        for text in
            ["\"", "=", "a=", "a=\"", "a=\"\\", ",", "from=\"\" ssh-rsa", "\\\"", "ssh-", "from=\"*\""]
        {
            let _ = read(text);
        }
    }
}
