//! PAX records (POSIX.1-2001 `x` and `g` headers): `LENGTH KEY=VALUE\n`, one after the other.

use super::super::{Reason, Refusal};

/// What the records of one entry say that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Whole seconds since 1970.
    pub(super) mtime: Option<i64>,
    /// A sparse file in GNU's PAX form, which is not read.
    pub(super) sparse: bool,
}

impl Pax {
    /// The records of an `x` header.
    pub(super) fn of_entry(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut pax = Self::default();
        for (key, value) in records(bytes)? {
            pax.take(key, value).map_err(|reason| refusal(reason, key))?;
        }
        Ok(pax)
    }

    /// The records of a `g` header: `git archive` writes its commit as a comment.
    /// Anything that would change later entries is refused.
    pub(super) fn check_global(bytes: &[u8]) -> Result<(), Refusal> {
        match records(bytes)?.iter().find(|(key, _)| *key != "comment") {
            Some((key, _)) => Err(refusal(Reason::PaxKey, key).detail(format!("global: {key}"))),
            None => Ok(()),
        }
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), Reason> {
        match key {
            "path" if value.is_empty() => return Err(Reason::PaxMalformed),
            "path" => self.path = Some(value.to_vec()),
            "size" => self.size = Some(decimal(value).ok_or(Reason::PaxMalformed)?),
            "mtime" => self.mtime = Some(seconds(value).ok_or(Reason::PaxMalformed)?),
            key if key.starts_with("GNU.sparse.") => self.sparse = true,
            key if ignored(key) => {}
            _ => return Err(Reason::PaxKey),
        }
        Ok(())
    }
}

/// All records, keys proved unique: tools disagree about which of two wins.
fn records(mut bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, Refusal> {
    let mut records: Vec<(&str, &[u8])> = Vec::new();
    while !bytes.is_empty() {
        let (key, value, rest) = record(bytes).ok_or_else(|| Refusal::new(Reason::PaxMalformed))?;
        if records.iter().any(|(before, _)| *before == key) {
            return Err(refusal(Reason::PaxAmbiguous, key));
        }
        if records.len() == RECORDS_MAX {
            return Err(Refusal::new(Reason::PaxTooBig).detail(format!("> {RECORDS_MAX}")));
        }
        records.push((key, value));
        bytes = rest;
    }
    Ok(records)
}

fn record(bytes: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let blank = bytes.iter().take(LENGTH_DIGITS_MAX + 1).position(|b| *b == b' ')?;
    let digits = bytes.get(..blank)?;
    if digits.first() == Some(&b'0') {
        return None;
    }
    let length = usize::try_from(decimal(digits)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    let key = std::str::from_utf8(body.get(..equals)?).ok()?;
    let clean = !key.is_empty() && !key.chars().any(char::is_control);
    clean.then_some((key, body.get(equals + 1..)?, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, b| sum.checked_mul(10)?.checked_add(u64::from(b - b'0')))
}

/// `1717381200.123`, possibly negative, rounded down to a whole second.
fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = text.splitn(2, |b| *b == b'.');
    let whole = i64::try_from(decimal(halves.next()?)?).ok()?;
    let fraction = halves.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let up = fraction.iter().any(|b| *b != b'0');
    Some(if negative { -whole - i64::from(up) } else { whole })
}

/// Keys that change neither name nor content: owners, times, comments, and what
/// bsdtar, star and SELinux keep of a file's attributes.
fn ignored(key: &str) -> bool {
    let plain = ["atime", "ctime", "uid", "gid", "uname", "gname", "comment", "charset", "hdrcharset"];
    let vendor = ["LIBARCHIVE.", "SCHILY.", "RHT.security.", "MSWINDOWS."];
    // star's words for another size or type of the entry are not attributes.
    let meaning = ["SCHILY.realsize", "SCHILY.filetype", "SCHILY.tarfiletype"];
    (plain.contains(&key) || vendor.iter().any(|prefix| key.starts_with(prefix))) && !meaning.contains(&key)
}

fn refusal(reason: Reason, key: &str) -> Refusal {
    Refusal::new(reason).detail(key.chars().take(64).collect::<String>())
}

/// Digits of a record's length; more than any limit on PAX headers needs.
const LENGTH_DIGITS_MAX: usize = 9;

/// Records of one header. A Mac's file with every attribute has about twenty; the
/// search for duplicates is quadratic in this.
const RECORDS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> Result<Pax, Reason> {
        Pax::of_entry(bytes).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn records_are_read_by_their_length() {
        let pax = reason(b"12 path=a\nb\n20 mtime=1717381.5e0\n").map(|_| ());
        assert_eq!(pax, Err(Reason::PaxMalformed), "an exponent is no time");
        let pax = reason(b"12 path=a=b\n18 mtime=-1717.50\n9 size=7\n14 SCHILY.x=y\n").unwrap();
        assert_eq!((pax.path.as_deref(), pax.size, pax.mtime), (Some(&b"a=b"[..]), Some(7), Some(-1718)));
    }

    #[test]
    fn what_two_tools_could_read_differently_is_refused() {
        for bad in [
            &b"9 path=ab\n"[..],
            b"99 path=a\n",
            b"09 path=a\n",
            b"x path=a\n",
            b"9 path=a\0\0",
            b"7 path\n",
            b"10 path=a\n\0",
            b"4 =\n",
            b"7 path=\n",
            b"4294967306 path=a\n",
            b"-9 path=a\n",
            b" 9 path=a\n",
            b"9 size=x\n",
        ] {
            assert_eq!(reason(bad), Err(Reason::PaxMalformed), "{}", bad.escape_ascii());
        }
        assert_eq!(reason(b"9 path=a\n9 path=b\n"), Err(Reason::PaxAmbiguous));
        assert_eq!(reason(b"14 linkpath=b\n"), Err(Reason::PaxKey));
        assert_eq!(reason(b"15 linkpath=b\n"), Err(Reason::PaxMalformed));
    }
}
