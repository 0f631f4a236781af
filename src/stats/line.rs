//! One line of the access log: the combined format, and behind it what T-31 asks for.
//!
//! ```text
//! 203.0.113.0 - - [06/Jun/2027:20:00:01 -0500] "GET /a.json HTTP/1.1" 200 5120 "-" "Mozilla/5.0"
//!   time=0.001234 host=prep.mx tls=1.3 cut=2027-06-06T20:00:00-05:00 class=human visitor=0123456789abcdef enc=gzip end=whole
//! ```
//!
//! (On one line.) Whatever a peer can say is written as printable ASCII: other bytes, quotes and backslashes
//! as `\xHH`, as nginx does. What the statistics count is read from these lines and nothing else.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::query::Class;

/// A line, as it is written or as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Second since 1970.
    pub(super) at: i64,
    /// As much of the reader's address as is kept.
    pub(super) address: IpAddr,
    pub(super) method: Cow<'a, [u8]>,
    pub(super) target: Cow<'a, [u8]>,
    pub(super) protocol: &'a str,
    pub(super) status: u16,
    pub(super) sent: u64,
    pub(super) referer: Cow<'a, [u8]>,
    pub(super) agent: Cow<'a, [u8]>,
    pub(super) taken_micros: u32,
    pub(super) host: Cow<'a, [u8]>,
    pub(super) tls: &'a str,
    pub(super) cut: Cow<'a, [u8]>,
    pub(super) class: Class,
    /// Stands for address and agent together (`visitor`).
    pub(super) visitor: u64,
    pub(super) encoding: Cow<'a, [u8]>,
    pub(super) is_whole: bool,
    /// The number that a distribution network gave the request; empty for our own lines.
    pub(super) id: Cow<'a, [u8]>,
}

/// What a log consists of.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are hits, and none is kept")]
pub(super) enum Read<'a> {
    /// A hit.
    Hit(Line<'a>),
    /// So many hits found no room at that second.
    Lost(i64, u64),
    /// Another remark.
    Remark,
    /// Not a line of ours: torn by a crash, or edited.
    Bad,
}

/// Writes hours as the log has them; the last one is remembered, as most lines share their second.
#[derive(Debug)]
pub(super) struct Hours {
    zone: TimeZone,
    second: i64,
    text: Vec<u8>,
    day: Date,
    /// Seconds for which `day` holds.
    of_day: std::ops::Range<i64>,
}

impl Hours {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, second: i64::MIN, text: Vec::new(), day: Date::ZERO, of_day: 0..0 }
    }

    /// The local day of a second.
    pub(super) fn day(&mut self, second: i64) -> Date {
        if !self.of_day.contains(&second) {
            let zoned = stamp(second).to_zoned(self.zone.clone());
            let begin = zoned.start_of_day().map_or(second, |z| z.timestamp().as_second());
            let end = zoned.tomorrow().and_then(|z| z.start_of_day());
            (self.day, self.of_day) =
                (zoned.date(), begin..end.map_or(second + 1, |z| z.timestamp().as_second()));
        }
        self.day
    }

    /// The first second behind the day that was asked for last.
    pub(super) fn day_end(&self) -> i64 {
        self.of_day.end
    }

    /// The first second of the day that a second lies in.
    pub(super) fn midnight(&mut self, second: i64) -> i64 {
        self.day(second);
        self.of_day.start
    }

    /// `06/Jun/2027:20:00:01 -0500`.
    fn text(&mut self, second: i64) -> &[u8] {
        if self.second != second {
            let zoned = stamp(second).to_zoned(self.zone.clone());
            self.text.clear();
            let _ = write!(self.text, "{}", zoned.strftime("%d/%b/%Y:%H:%M:%S %z"));
            self.second = second;
        }
        &self.text
    }
}

fn stamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Line<'_> {
    /// Puts the line behind what is there, with its end.
    pub(super) fn write(&self, hours: &mut Hours, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        address(self.address, out);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(hours.text(self.at));
        out.extend_from_slice(b"] \"");
        escape(&self.method, out);
        out.push(b' ');
        escape(&self.target, out);
        out.push(b' ');
        out.extend_from_slice(self.protocol.as_bytes());
        out.extend_from_slice(b"\" ");
        decimal(u64::from(self.status), out);
        out.push(b' ');
        decimal(self.sent, out);
        out.extend_from_slice(b" \"");
        quote_or_dash(&self.referer, out);
        out.extend_from_slice(b"\" \"");
        quote_or_dash(&self.agent, out);
        out.extend_from_slice(b"\" time=");
        decimal(u64::from(self.taken_micros / 1_000_000), out);
        out.push(b'.');
        let fraction = self.taken_micros % 1_000_000;
        let mut scale = 100_000;
        while scale > 0 {
            out.push(b'0' + u8::try_from(fraction / scale % 10).unwrap_or(0));
            scale /= 10;
        }
        out.extend_from_slice(b" host=");
        escape_or_dash(&self.host, out);
        out.extend_from_slice(b" tls=");
        out.extend_from_slice(self.tls.as_bytes());
        out.extend_from_slice(b" cut=");
        escape_or_dash(&self.cut, out);
        out.extend_from_slice(b" class=");
        out.extend_from_slice(self.class.name().as_bytes());
        out.extend_from_slice(b" visitor=");
        hex(self.visitor, out);
        out.extend_from_slice(b" enc=");
        escape_or_dash(&self.encoding, out);
        if !self.id.is_empty() {
            out.extend_from_slice(b" id=");
            escape(&self.id, out);
        }
        // The last field: a line without it was torn.
        out.extend_from_slice(if self.is_whole { b" end=whole" } else { b" end=broken" });
        out.push(b'\n');
    }
}

/// The remark that hits were lost.
pub(super) fn write_lost(at: i64, count: u64, out: &mut Vec<u8>) {
    let _ = writeln!(out, "# lost={count} at={at}");
}

/// Understands a line without its end.
pub(super) fn read(line: &[u8]) -> Read<'_> {
    if let Some(remark) = line.strip_prefix(b"#") {
        return lost(remark).map_or(Read::Remark, |(at, count)| Read::Lost(at, count));
    }
    hit(line).map_or(Read::Bad, Read::Hit)
}

fn lost(remark: &[u8]) -> Option<(i64, u64)> {
    let text = std::str::from_utf8(remark).ok()?;
    let (count, at) = text.strip_prefix(" lost=")?.split_once(" at=")?;
    Some((at.parse().ok()?, count.parse().ok()?))
}

fn hit(line: &[u8]) -> Option<Line<'_>> {
    let (combined, rest) = combined(line)?;
    let mut own = combined;
    let (mut has_class, mut has_end) = (false, false);
    for field in rest.split(|b| *b == b' ').filter(|f| !f.is_empty()) {
        let at = memchr::memchr(b'=', field)?;
        let (name, value) = (field.get(..at)?, field.get(at + 1..)?);
        match name {
            b"time" => own.taken_micros = micros(value)?,
            b"host" => own.host = unescape_dash(value),
            b"tls" => own.tls = std::str::from_utf8(value).ok()?,
            b"cut" => own.cut = unescape_dash(value),
            b"class" => (own.class, has_class) = (Class::parse(value)?, true),
            b"visitor" => own.visitor = unhex(value)?,
            b"enc" => own.encoding = unescape_dash(value),
            b"end" => {
                own.is_whole = value == b"whole";
                has_end = own.is_whole || value == b"broken";
            }
            b"id" => own.id = unescape(value),
            // What a later version may add.
            _ => {}
        }
    }
    (has_class && has_end).then_some(own)
}

/// The combined format, which others write too, and what stands behind it.
pub(super) fn combined(line: &[u8]) -> Option<(Line<'_>, &[u8])> {
    let (address, rest) = cut(line, b' ')?;
    let (_, rest) = cut(rest, b'[')?;
    let (hour, rest) = cut(rest, b']')?;
    let (_, rest) = cut(rest, b'"')?;
    let (request, rest) = quoted(rest)?;
    let (status, rest) = cut(rest.strip_prefix(b" ")?, b' ')?;
    let (sent, rest) = cut(rest, b' ').unwrap_or((rest, b""));
    let (referer, rest) = rest.strip_prefix(b"\"").and_then(quoted).unwrap_or((b"-", rest));
    let (agent, rest) = rest.strip_prefix(b" \"").and_then(quoted).unwrap_or((b"-", rest));
    let (method, tail) = cut(request, b' ').unwrap_or((request, b""));
    let (target, protocol) = tail.iter().rposition(|b| *b == b' ').map_or((tail, b"".as_slice()), |at| {
        (tail.get(..at).unwrap_or_default(), tail.get(at + 1..).unwrap_or_default())
    });
    let line = Line {
        at: second(hour)?,
        address: std::str::from_utf8(address).ok()?.parse().ok()?,
        method: unescape(method),
        target: unescape(target),
        protocol: std::str::from_utf8(protocol).ok()?,
        status: number(status).and_then(|n| u16::try_from(n).ok())?,
        sent: if sent == b"-" { 0 } else { number(sent)? },
        referer: unescape_dash(referer),
        agent: unescape_dash(agent),
        taken_micros: 0,
        host: Cow::Borrowed(b""),
        tls: "-",
        cut: Cow::Borrowed(b""),
        class: Class::Human,
        visitor: 0,
        encoding: Cow::Borrowed(b""),
        is_whole: true,
        id: Cow::Borrowed(b""),
    };
    Some((line, rest))
}

/// What stands before a byte and behind it.
fn cut(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(at, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Up to the quote that ends a text; others write `\"` inside of it.
fn quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some((bytes.get(..at)?, bytes.get(at + 1..)?));
        }
        from = at + 2;
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `0.001234`.
fn micros(text: &[u8]) -> Option<u32> {
    let (seconds, fraction) = cut(text, b'.')?;
    let whole = number(seconds)?.checked_mul(1_000_000)?;
    u32::try_from(whole + number(fraction).filter(|_| fraction.len() == 6)?).ok()
}

/// `06/Jun/2027:20:00:01 -0500`: the second since 1970.
fn second(hour: &[u8]) -> Option<i64> {
    let two = |at: usize| {
        let [a, b] = hour.get(at..at + 2)?.try_into().ok()?;
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    let month = MONTHS.iter().position(|m| Some(m.as_bytes()) == hour.get(3..6))?;
    let date = Date::new(
        i16::try_from(two(7)? * 100 + two(9)?).ok()?,
        i8::try_from(month + 1).ok()?,
        i8::try_from(two(0)?).ok()?,
    );
    let days = date.ok()?.since(DAY_ZERO).ok()?.get_days();
    let offset = (two(22)? * 60 + two(24)?) * 60;
    let offset = if hour.get(21) == Some(&b'-') { -offset } else { offset };
    let of_day = (two(12)? * 60 + two(15)?) * 60 + two(18)?;
    Some(i64::from(days) * 86_400 + of_day - offset)
}

const DAY_ZERO: Date = Date::constant(1970, 1, 1);
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (n, octet) in v4.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push(b'.');
                }
                decimal(u64::from(octet), out);
            }
        }
        IpAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let from = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
}

fn hex(number: u64, out: &mut Vec<u8>) {
    out.extend(number.to_be_bytes().iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]));
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn unhex(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() == 16)?;
    u64::from_str_radix(text, 16).ok()
}

/// What no field can hold as it is: it would end it, or do something to a terminal.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

/// A field that stands alone: without spaces.
fn escape_or_dash(text: &[u8], out: &mut Vec<u8>) {
    or_dash(text, escape, out);
}

/// A field between quotes: with its spaces.
fn quote_or_dash(text: &[u8], out: &mut Vec<u8>) {
    or_dash(text, |text, out| escape_all_but(text, b' ', out), out);
}

fn or_dash(text: &[u8], write: impl Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
    match text {
        b"" => out.push(b'-'),
        // So that it is not read as nothing.
        b"-" => out.extend_from_slice(b"\\x2D"),
        text => write(text, out),
    }
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    // A plain byte besides: no exception.
    escape_all_but(text, b'a', out);
}

fn escape_all_but(text: &[u8], kept: u8, out: &mut Vec<u8>) {
    if text.iter().all(|b| is_plain(*b) || *b == kept) {
        return out.extend_from_slice(text);
    }
    for byte in text {
        if is_plain(*byte) || *byte == kept {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4).to_ascii_uppercase()]);
            out.push(digit(byte & 15).to_ascii_uppercase());
        }
    }
}

fn unescape_dash(text: &[u8]) -> Cow<'_, [u8]> {
    if text == b"-" { Cow::Borrowed(b"") } else { unescape(text) }
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Cow::Borrowed(text) };
    let (plain, mut rest) = text.split_at(first);
    let mut out = plain.to_vec();
    while let Some((byte, after)) = rest.split_first() {
        let code = match rest {
            [b'\\', b'x', a, b, ..] => [*a, *b].map(|d| char::from(d).to_digit(16)),
            _ => [None, None],
        };
        if let [Some(high), Some(low)] = code {
            out.push(u8::try_from(high * 16 + low).unwrap_or(0));
            rest = rest.get(4..).unwrap_or_default();
        } else if let [b'\\', quoted @ (b'"' | b'\\'), ..] = rest {
            // Apache's way.
            out.push(*quoted);
            rest = rest.get(2..).unwrap_or_default();
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            at: "2027-06-07T01:00:01Z".parse::<Timestamp>().unwrap().as_second(),
            address: "203.0.113.0".parse().unwrap(),
            method: Cow::Borrowed(b"GET"),
            target: Cow::Borrowed(b"/a.json?rand=1"),
            protocol: "HTTP/1.1",
            status: 200,
            sent: 5120,
            referer: Cow::Borrowed(b""),
            agent: Cow::Borrowed(b"Mozilla/5.0 (X11; Linux x86_64)"),
            taken_micros: 1234,
            host: Cow::Borrowed(b"prep.mx"),
            tls: "1.3",
            cut: Cow::Borrowed(b"2027-06-06T20:00-05:00"),
            class: Class::Human,
            visitor: 0x0123_4567_89ab_cdef,
            encoding: Cow::Borrowed(b"gzip"),
            is_whole: true,
            id: Cow::Borrowed(b""),
        }
    }

    fn written(line: &Line<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        line.write(&mut Hours::new(TimeZone::get("America/Cancun").unwrap()), &mut out);
        out
    }

    #[test]
    fn a_line_is_the_combined_format_and_what_t31_asks_for() {
        assert_eq!(
            String::from_utf8(written(&line())).unwrap(),
            "203.0.113.0 - - [06/Jun/2027:20:00:01 -0500] \"GET /a.json?rand=1 HTTP/1.1\" 200 5120 \"-\" \
             \"Mozilla/5.0 (X11; Linux x86_64)\" time=0.001234 host=prep.mx tls=1.3 \
             cut=2027-06-06T20:00-05:00 class=human visitor=0123456789abcdef enc=gzip end=whole\n"
        );
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let hostile = Line {
            address: "2001:db8::".parse().unwrap(),
            method: Cow::Borrowed(b"G E\"T"),
            target: Cow::Borrowed(b"/\" 200 1 \"\n\x1b[2J\xff\\x41 ["),
            referer: Cow::Borrowed(b"-"),
            agent: Cow::Borrowed(b"a\\\" class=monitor\r\n# lost=9 at=1"),
            host: Cow::Borrowed(b"a b class=robot"),
            cut: Cow::Borrowed(b""),
            encoding: Cow::Borrowed(b""),
            class: Class::Robot,
            is_whole: false,
            taken_micros: u32::MAX,
            sent: u64::MAX,
            tls: "-",
            id: Cow::Borrowed(b"x y="),
            ..line()
        };
        for line in [line(), hostile] {
            let text = written(&line);
            let (body, end) = text.split_at(text.len() - 1);
            assert_eq!(end, b"\n");
            assert!(body.iter().all(|b| b.is_ascii_graphic() || *b == b' '), "{body:?}");
            let Read::Hit(back) = read(body) else { panic!("{}", String::from_utf8_lossy(body)) };
            assert_eq!(back, line);
            assert!(
                (0..body.len()).all(|n| !matches!(read(&body[..n]), Read::Hit(_))),
                "a torn line is none"
            );
        }
    }

    #[test]
    fn hours_of_any_zone_are_read_to_the_second() {
        for (hour, expected) in [
            ("06/Jun/2027:20:00:01 -0500", "2027-06-07T01:00:01Z"),
            ("29/Feb/2024:23:59:59 +0530", "2024-02-29T18:29:59Z"),
            ("31/Dec/1999:18:00:00 -0600", "2000-01-01T00:00:00Z"),
        ] {
            let expected = expected.parse::<Timestamp>().unwrap().as_second();
            assert_eq!(second(hour.as_bytes()), Some(expected), "{hour}");
        }
        assert_eq!(second(b"06/Jun/2027:2"), None);
        assert_eq!(second(b"32/Jun/2027:20:00:01 -0500"), None);
    }

    #[test]
    fn losses_are_remarks_that_other_readers_skip() {
        let mut out = Vec::new();
        write_lost(1_717_380_000, 37, &mut out);
        assert!(matches!(read(&out[..out.len() - 1]), Read::Lost(1_717_380_000, 37)));
        assert!(out.starts_with(b"#"));
    }
}
