//! Commands that only say something: `echo`, `printf`, `date`, `pwd`, who and where.

use jiff::Zoned;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Value};
use super::super::shell::{Done, Shell};
use super::{Builtin, bad};

/// Text that is known beforehand.
#[derive(Debug)]
struct Say(Vec<u8>);

impl Builtin for Say {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        shell.out(self.0.clone())?;
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        let text = super::super::fault::shown(self.0.strip_suffix(b"\n").unwrap_or(&self.0));
        format!("{} «{text}»", teller.say("escribe", "writes"))
    }
}

/// `echo [-neE] [WORD…]`, as bash has it.
pub(super) fn echo(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let is_option = |word: &&Word| {
        let bytes = word.bytes();
        bytes.len() > 1 && bytes.starts_with(b"-") && bytes.iter().skip(1).all(|b| b"neE".contains(b))
    };
    let letters: Vec<u8> = call.args.iter().take_while(is_option).flat_map(Word::bytes).collect();
    let words: Vec<Vec<u8>> = call.args.iter().skip_while(is_option).map(Word::bytes).collect();
    let mut text = words.join(b" ".as_slice());
    if letters.iter().rev().find(|b| matches!(b, b'e' | b'E')) == Some(&b'e') {
        text = unescape(&text, Octal::AfterZero);
    }
    if !letters.contains(&b'n') {
        text.push(b'\n');
    }
    Ok(Box::new(Say(text)))
}

/// `printf FORMAT [WORD…]` with `%s`, `%d`, `%b` and `%%`.
pub(super) fn printf(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "printf FORMAT [WORD…] (%s, %d, %b, %%)";
    let words = match call.args {
        [first, rest @ ..] if first.bytes() == b"--" => rest,
        words => words,
    };
    let (format, words) = words.split_first().ok_or_else(|| bad(call, USAGE))?;
    let format = format.bytes();
    let mut words = words.iter().map(Word::bytes).peekable();
    let mut text = Vec::new();
    loop {
        let taken = format_once(&format, &mut words, &mut text).ok_or_else(|| bad(call, USAGE))?;
        // A long format and many words multiply.
        if text.len() > TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        // The format is used again while words are left, unless it takes none.
        if words.peek().is_none() || taken == 0 {
            return Ok(Box::new(Say(text)));
        }
    }
}

/// One pass over the format; how many words it took, `None` if it asks for what we lack.
fn format_once(
    format: &[u8],
    words: &mut impl Iterator<Item = Vec<u8>>,
    text: &mut Vec<u8>,
) -> Option<usize> {
    let mut taken = 0;
    let mut rest = format;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        text.extend(unescape(rest.get(..at)?, Octal::Plain));
        let kind = *rest.get(at + 1)?;
        rest = rest.get(at + 2..)?;
        if kind == b'%' {
            text.push(b'%');
            continue;
        }
        taken += 1;
        let word = words.next().unwrap_or_default();
        match kind {
            b's' => text.extend(word),
            b'b' => text.extend(unescape(&word, Octal::AfterZero)),
            b'd' | b'i' => {
                let digits = String::from_utf8(word).ok()?;
                let number: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
                text.extend(number.to_string().into_bytes());
            }
            _ => return None,
        }
    }
    text.extend(unescape(rest, Octal::Plain));
    Some(taken)
}

/// How bytes are written in octal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Octal {
    /// `\NNN`, in the format of `printf`.
    Plain,
    /// `\0NNN`, for `echo -e` and `%b`.
    AfterZero,
}

/// Backslash escapes of `echo -e` and `printf`.
fn unescape(text: &[u8], octal: Octal) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let next = if byte == b'\\' { bytes.peek().copied() } else { None };
        let plain = match next {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'\\') => b'\\',
            Some(b'"') if octal == Octal::Plain => b'"',
            Some(digit @ b'0'..=b'7') if octal == Octal::Plain || digit == b'0' => {
                let mut value = 0_u32;
                for _ in 0..if octal == Octal::Plain { 3 } else { 4 } {
                    let Some(digit) = bytes.next_if(|b| matches!(b, b'0'..=b'7')) else { break };
                    value = value * 8 + u32::from(digit - b'0');
                }
                out.push(u8::try_from(value & 0xff).unwrap_or_default());
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        bytes.next();
        out.push(plain);
    }
    out
}

/// `pwd`.
#[derive(Debug)]
struct Pwd;

pub(super) fn pwd(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    call.options(&[('L', "", Value::None), ('P', "", Value::None)])?;
    Ok(Box::new(Pwd))
}

impl Builtin for Pwd {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let cwd = shell.cwd.to_bytes();
        shell.line(cwd)?;
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.say("escribe la carpeta actual", "writes the working folder")
    }
}

/// `date [-u] [-I[seconds]] [+FORMAT]`.
#[derive(Debug)]
struct Date {
    utc: bool,
    format: String,
}

pub(super) fn date(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "date [-u] [-Iseconds] [+FORMAT]";
    let options = call.options(&[('u', "utc", Value::None), ('I', "iso-8601", Value::Maybe)])?;
    let format = match options.operands.as_slice() {
        [] if options.has('I') => {
            iso(options.value('I').unwrap_or(b"date")).ok_or_else(|| bad(call, USAGE))?.to_owned()
        }
        [] => "%a %b %e %H:%M:%S %Z %Y".to_owned(),
        [word] => {
            let text = String::from_utf8(word.bytes()).map_err(|_| bad(call, USAGE))?;
            text.strip_prefix('+').ok_or_else(|| bad(call, USAGE))?.to_owned()
        }
        _ => return Err(bad(call, USAGE)),
    };
    // What cannot be written is known now, before anything is done.
    let probe = Zoned::new(jiff::Timestamp::UNIX_EPOCH, TimeZone::UTC);
    strtime::format(&format, &probe).map_err(|_| bad(call, USAGE))?;
    Ok(Box::new(Date { utc: options.has('u'), format }))
}

fn iso(precision: &[u8]) -> Option<&'static str> {
    match precision {
        b"date" => Some("%Y-%m-%d"),
        b"minutes" => Some("%Y-%m-%dT%H:%M%:z"),
        b"seconds" => Some("%Y-%m-%dT%H:%M:%S%:z"),
        _ => None,
    }
}

impl Builtin for Date {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let zone = if self.utc { TimeZone::UTC } else { shell.setup.zone.clone() };
        let now = Zoned::new(shell.setup.clock.now(), zone);
        // The format was tried when the line was planned.
        let text = strtime::format(&self.format, &now).unwrap_or_default();
        shell.line(text)?;
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.say("escribe la fecha y hora", "writes date and hour")
    }
}

/// Bytes that one `printf` may write: as many as a line may have.
const TEXT_BYTES_MAX: usize = super::super::grammar::LINE_BYTES_MAX;

/// `whoami`, `id`, `hostname`, `uname`: fixed texts that tell nothing of this machine.
pub(super) fn identity(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options: Vec<u8> = call.args.iter().flat_map(Word::bytes).collect();
    let text = match (call.name, options.as_slice()) {
        ("whoami", b"") | ("id", b"-un" | b"-gn") => "prep",
        ("id", b"-u" | b"-g") => "1000",
        ("id", b"") => "uid=1000(prep) gid=1000(prep) groups=1000(prep)",
        ("hostname", b"" | b"-s" | b"-f") | ("uname", b"-n") => "difusor",
        ("uname", b"" | b"-s") => "Linux",
        ("uname", b"-m" | b"-p" | b"-i") => "x86_64",
        ("uname", b"-a") => "Linux difusor x86_64 GNU/Linux",
        _ => return Err(bad(call, "whoami | id [-u|-g|-un] | hostname | uname [-s|-n|-m|-a]")),
    };
    Ok(Box::new(Say(format!("{text}\n").into_bytes())))
}
