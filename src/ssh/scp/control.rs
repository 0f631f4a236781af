//! The words of the scp protocol: the command line of its far side and its control lines.

use crate::model::Lang;

/// Longest control line: a header with the longest name, or a client's complaint
/// about the longest path.
pub(super) const LINE_MAX: usize = 8192;
/// Longest name of a file, as Linux has it.
const NAME_MAX: usize = 255;

/// What `scp -t …` was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) target: Vec<u8>,
    /// `-r`: folders may come.
    pub(super) recursive: bool,
    /// `-d`: the target must be a folder.
    folder: bool,
}

/// Why a command line is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unserved {
    /// `-f`: the client wants to fetch.
    Fetch,
    /// Neither `-t` nor `-f`, an unknown option, or not exactly one target.
    Usage,
}

impl Unserved {
    pub(super) fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::Fetch => lang.pick(
                "aquí solo se reciben archivos; para comprobar lo enviado use sftp o sha256sum",
                "files are only received here; to check what you sent use sftp or sha256sum",
            ),
            Self::Usage => lang.pick(
                "se espera scp -t [-r] [-p] [-d] [-v] [-q] [--] DESTINO",
                "expected scp -t [-r] [-p] [-d] [-v] [-q] [--] TARGET",
            ),
        }
    }
}

impl Request {
    /// Reads the words after `scp`. Options may be combined (`-prt`) and, as getopt has it
    /// on Linux, stand behind the target.
    pub(super) fn parse(args: &[Vec<u8>]) -> Result<Self, Unserved> {
        let (mut sink, mut fetch, mut recursive, mut folder) = (false, false, false, false);
        let mut targets = Vec::new();
        let mut options_end = false;
        for word in args {
            match word.as_slice() {
                b"--" if !options_end => options_end = true,
                [b'-', flags @ ..] if !options_end && !flags.is_empty() => {
                    for flag in flags {
                        match flag {
                            b't' => sink = true,
                            b'f' => fetch = true,
                            b'r' => recursive = true,
                            b'd' => folder = true,
                            // Times come with their own lines; the rest only talks.
                            b'p' | b'v' | b'q' => {}
                            _ => return Err(Unserved::Usage),
                        }
                    }
                }
                _ => targets.push(word.clone()),
            }
        }
        match <[Vec<u8>; 1]>::try_from(targets) {
            _ if fetch => Err(Unserved::Fetch),
            Ok([target]) if sink => Ok(Self { target, recursive, folder }),
            _ => Err(Unserved::Usage),
        }
    }

    /// Whether the target must be a folder already.
    pub(super) fn wants_folder(&self) -> bool {
        self.folder || self.target.ends_with(b"/")
    }
}

/// One control line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// `C0644 SIZE NAME`: that many bytes follow.
    File { size: u64, name: Vec<u8> },
    /// `D0755 0 NAME`: what follows goes into this folder…
    Folder { name: Vec<u8> },
    /// `E`: …until here.
    FolderEnd,
    /// `TMTIME 0 ATIME 0`: when the next file or folder was changed, seconds since 1970.
    Time(i64),
    /// `\x01…`: the client could not read something, and goes on.
    Warning,
    /// `\x02…`: the client gives up.
    Fatal,
}

impl Control {
    /// Reads a line without its newline; `None` for anything else, and for names that
    /// would lead out of their folder.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        match kind {
            b'C' => {
                let (size, name) = header(rest)?;
                Some(Self::File { size, name })
            }
            b'D' => header(rest).map(|(_, name)| Self::Folder { name }),
            b'E' => rest.is_empty().then_some(Self::FolderEnd),
            b'T' => time(rest).map(Self::Time),
            1 => Some(Self::Warning),
            2 => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// `0644 SIZE NAME`
fn header(text: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (mode, rest) = text.split_at_checked(4)?;
    if !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    let space = rest.iter().position(|b| *b == b' ')?;
    let (size, name) = rest.split_at_checked(space)?;
    let name = name.strip_prefix(b" ")?;
    let size = number(size)?.try_into().ok()?;
    let plain = !name.is_empty()
        && name.len() <= NAME_MAX
        && name != b"."
        && name != b".."
        && !name.iter().any(|b| matches!(b, b'/' | 0));
    plain.then(|| (size, name.to_vec()))
}

/// `MTIME MICROSECONDS ATIME MICROSECONDS`
fn time(text: &[u8]) -> Option<i64> {
    let numbers: Vec<_> = text.split(|b| *b == b' ').map(number).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [mtime, _, _, _] => Some(*mtime),
        _ => None,
    }
}

/// Decimal digits only, at most `i64::MAX`: no length or time of a file is more.
fn number(digits: &[u8]) -> Option<i64> {
    let only_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| only_digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn flags_come_single_or_combined_and_end_at_two_dashes() {
        let plain = Request { target: b".".to_vec(), recursive: false, folder: false };
        assert_eq!(Request::parse(&words("-t .")), Ok(plain));
        let all = Request { target: b"-x".to_vec(), recursive: true, folder: true };
        assert_eq!(Request::parse(&words("-v -prtd -q -- -x")), Ok(all));
        assert_eq!(Request::parse(&words("-pt a b")), Err(Unserved::Usage));
        assert_eq!(Request::parse(&words("-tz a")), Err(Unserved::Usage));
        assert_eq!(Request::parse(&words("a")), Err(Unserved::Usage));
        assert_eq!(Request::parse(&words("-pf a")), Err(Unserved::Fetch));
    }

    #[test]
    fn control_lines_read_as_the_reference_reads_them() {
        let file = Control::File { size: 12, name: "dir ñ.tgz".into() };
        assert_eq!(Control::parse("C0644 12 dir ñ.tgz".as_bytes()), Some(file));
        assert_eq!(Control::parse(b"D0755 0 a"), Some(Control::Folder { name: b"a".to_vec() }));
        assert_eq!(Control::parse(b"T1700000000 0 1700000001 0"), Some(Control::Time(1_700_000_000)));
        assert_eq!(Control::parse(b"E"), Some(Control::FolderEnd));
        assert_eq!(Control::parse(b"\x01scp: x: No such file"), Some(Control::Warning));
    }

    #[test]
    fn lines_that_could_lead_elsewhere_are_not_read() {
        for line in [
            "",
            "C",
            "C0644",
            "C0644 ",
            "C0644 1",
            "C0644 1 ",
            "C0644 1 .",
            "C0644 1 ..",
            "C0644 1 a/b",
            "C0644 1 /etc/passwd",
            "C0644 1 a\0b",
            "C0844 1 a",
            "C644 1 a",
            "C0644 -1 a",
            "C0644 +1 a",
            "C0644 9223372036854775808 a",
            "D0755 0 ..",
            "Ex",
            "T1 0 2",
            "T-1 0 1 0",
            "No match.",
        ] {
            assert_eq!(Control::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_not(line in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(Control::File { name, .. } | Control::Folder { name }) = Control::parse(&line) {
                prop_assert!(!name.contains(&b'/') && name != b"..");
            }
        }
    }
}
