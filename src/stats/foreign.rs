//! Logs that others wrote: distribution networks and other servers.
//!
//! CloudFront: tab-separated, the columns named by `#Fields:`; hours are UTC and of the end of the answer, agents are
//! percent-encoded twice. Cloudflare Logpush: a JSON object a line. The combined format of Apache and nginx, and
//! our own. Each line gives what our own log would have held, with the network's number of the request.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;

use super::line::{self, Line, Read};

/// Who wrote a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Amazon CloudFront, standard log.
    Cloudfront,
    /// Cloudflare Logpush, `http_requests`.
    Cloudflare,
    /// Apache, nginx and most others.
    Combined,
}

/// Reads the lines of one file.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    format: Option<Format>,
    columns: Vec<String>,
}

/// A line, with the whole address, which is not kept.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) line: Line<'a>,
    pub(super) address: IpAddr,
    /// Whether class and visitor are in the line already: it is of another difusor.
    pub(super) is_ours: bool,
}

/// What a line came to.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Request(Box<Request<'a>>),
    Nothing,
    Bad,
}

impl Foreign {
    /// The format, once a line was seen.
    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    pub(super) fn read<'a>(&mut self, text: &'a [u8]) -> Found<'a> {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Found::Nothing;
        }
        if let Some(remark) = text.strip_prefix(b"#") {
            if let Some(columns) = remark.strip_prefix(b"Fields:") {
                self.format = Some(Format::Cloudfront);
                let columns = String::from_utf8_lossy(columns);
                self.columns = columns.split_whitespace().map(str::to_owned).collect();
            }
            return Found::Nothing;
        }
        let format = *self.format.get_or_insert_with(|| {
            if text.starts_with(b"{") { Format::Cloudflare } else { Format::Combined }
        });
        let found = match format {
            Format::Cloudfront => self.cloudfront(text),
            Format::Cloudflare => cloudflare(text),
            Format::Combined => combined(text),
        };
        found.map_or(Found::Bad, |request| Found::Request(Box::new(request)))
    }

    fn cloudfront<'a>(&self, text: &'a [u8]) -> Option<Request<'a>> {
        let values: Vec<&str> = std::str::from_utf8(text).ok()?.split('\t').collect();
        let get = |name: &str| {
            let at = self.columns.iter().position(|column| column == name)?;
            values.get(at).copied().filter(|value| *value != "-")
        };
        let at = format!("{}T{}Z", get("date")?, get("time")?).parse::<Timestamp>().ok()?;
        let address: IpAddr = get("c-ip")?.parse().ok()?;
        let mut target = get("cs-uri-stem").unwrap_or("/").as_bytes().to_vec();
        if let Some(query) = get("cs-uri-query") {
            target.push(b'?');
            target.extend_from_slice(query.as_bytes());
        }
        let taken = get("time-taken").and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        Some(Request {
            address,
            is_ours: false,
            line: Line {
                method: Cow::Borrowed(get("cs-method")?.as_bytes()),
                target: Cow::Owned(target),
                protocol: protocol(get("cs-protocol-version").unwrap_or("")),
                status: get("sc-status")?.parse().ok()?,
                // `sc-bytes` has the head in it.
                sent: get("sc-content-len")
                    .or_else(|| get("sc-bytes"))
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0),
                referer: Cow::Owned(decoded(get("cs(Referer)").unwrap_or("").as_bytes())),
                agent: Cow::Owned(decoded(&decoded(get("cs(User-Agent)").unwrap_or("").as_bytes()))),
                taken_micros: (taken * 1e6).round() as u32,
                host: Cow::Borrowed(
                    get("x-host-header").or_else(|| get("cs(Host)")).unwrap_or("").as_bytes(),
                ),
                tls: tls(get("ssl-protocol").unwrap_or("")),
                id: Cow::Borrowed(get("x-edge-request-id").unwrap_or("").as_bytes()),
                ..blank(at.as_second(), address)
            },
        })
    }
}

/// The fields of Logpush that we read; all are optional there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pushed {
    #[serde(rename = "ClientIP")]
    client_ip: IpAddr,
    client_request_method: Option<String>,
    #[serde(rename = "ClientRequestURI")]
    client_request_uri: Option<String>,
    client_request_host: Option<String>,
    client_request_referer: Option<String>,
    client_request_user_agent: Option<String>,
    client_request_protocol: Option<String>,
    #[serde(rename = "ClientSSLProtocol")]
    client_ssl_protocol: Option<String>,
    edge_response_status: u16,
    edge_response_bytes: Option<u64>,
    edge_response_body_bytes: Option<u64>,
    edge_start_timestamp: Option<Moment>,
    edge_end_timestamp: Option<Moment>,
    #[serde(rename = "RayID")]
    ray_id: Option<String>,
}

/// An instant in any of the three forms that Logpush can be told to write.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Number(i64),
    Text(Timestamp),
}

impl Moment {
    fn nanos(&self) -> Option<i128> {
        match self {
            Self::Text(at) => Some(at.as_nanosecond()),
            // Seconds until the year 5138, nanoseconds since 1973.
            Self::Number(n) if n.abs() < 100_000_000_000 => Some(i128::from(*n) * 1_000_000_000),
            Self::Number(n) => Some(i128::from(*n)),
        }
    }
}

fn cloudflare(text: &[u8]) -> Option<Request<'_>> {
    let pushed: Pushed = serde_json::from_slice(text).ok()?;
    let start = pushed.edge_start_timestamp.as_ref().and_then(Moment::nanos);
    let end = pushed.edge_end_timestamp.as_ref().and_then(Moment::nanos).or(start)?;
    let owned = |text: Option<String>| Cow::Owned(text.unwrap_or_default().into_bytes());
    let address = pushed.client_ip.to_canonical();
    let taken = start.map_or(0, |start| (end - start) / 1000);
    Some(Request {
        address,
        is_ours: false,
        line: Line {
            method: owned(pushed.client_request_method),
            target: owned(pushed.client_request_uri),
            protocol: protocol(pushed.client_request_protocol.as_deref().unwrap_or("")),
            status: pushed.edge_response_status,
            sent: pushed.edge_response_body_bytes.or(pushed.edge_response_bytes).unwrap_or(0),
            referer: owned(pushed.client_request_referer),
            agent: owned(pushed.client_request_user_agent),
            taken_micros: u32::try_from(taken).unwrap_or(0),
            host: owned(pushed.client_request_host),
            tls: tls(pushed.client_ssl_protocol.as_deref().unwrap_or("")),
            id: owned(pushed.ray_id),
            ..blank(i64::try_from(end.div_euclid(1_000_000_000)).ok()?, address)
        },
    })
}

fn combined(text: &[u8]) -> Option<Request<'_>> {
    if let Read::Hit(line) = line::read(text) {
        return Some(Request { address: line.address, line, is_ours: true });
    }
    let (line, _) = line::combined(text)?;
    let known = protocol(line.protocol);
    Some(Request { address: line.address, is_ours: false, line: Line { protocol: known, ..line } })
}

fn blank(at: i64, address: IpAddr) -> Line<'static> {
    Line {
        at,
        address,
        method: Cow::Borrowed(b""),
        target: Cow::Borrowed(b""),
        protocol: "HTTP/1.1",
        status: 0,
        sent: 0,
        referer: Cow::Borrowed(b""),
        agent: Cow::Borrowed(b""),
        taken_micros: 0,
        host: Cow::Borrowed(b""),
        tls: "-",
        cut: Cow::Borrowed(b""),
        class: super::Class::Human,
        visitor: 0,
        encoding: Cow::Borrowed(b""),
        is_whole: true,
        id: Cow::Borrowed(b""),
    }
}

/// One of the names that our own lines have.
fn protocol(name: &str) -> &'static str {
    match name {
        "HTTP/1.0" => "HTTP/1.0",
        "HTTP/2" | "HTTP/2.0" => "HTTP/2.0",
        "HTTP/3" | "HTTP/3.0" => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn tls(name: &str) -> &'static str {
    match name {
        "TLSv1.2" => "1.2",
        "TLSv1.3" => "1.3",
        _ => "-",
    }
}

/// Without percent-encoding (RFC 3986 §2.1); what is none stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let code = match rest {
            [b'%', a, b, ..] => [*a, *b].map(|d| char::from(d).to_digit(16)),
            _ => [None, None],
        };
        if let [Some(high), Some(low)] = code {
            out.push(u8::try_from(high * 16 + low).unwrap_or(0));
            rest = rest.get(3..).unwrap_or_default();
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Option<Format>, Vec<(String, IpAddr)>, usize) {
        let mut foreign = Foreign::default();
        let (mut found, mut bad) = (Vec::new(), 0);
        for line in text.lines() {
            match foreign.read(line.as_bytes()) {
                Found::Request(request) => {
                    let l = &request.line;
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let shown = format!(
                        "{} {} {} {} {} {} [{}] [{}] {} {} {} {}",
                        Timestamp::from_second(l.at).unwrap(),
                        text(&l.method),
                        text(&l.target),
                        l.protocol,
                        l.status,
                        l.sent,
                        text(&l.referer),
                        text(&l.agent),
                        l.taken_micros,
                        text(&l.host),
                        l.tls,
                        text(&l.id)
                    );
                    found.push((shown, request.address));
                }
                Found::Nothing => {}
                Found::Bad => bad += 1,
            }
        }
        (foreign.format(), found, bad)
    }

    #[test]
    fn cloudfront_names_its_columns() {
        let (format, found, bad) = all(
            "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status \
             cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header \
             cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type \
             cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte \
             x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end\n\
             2024-06-03\t01:00:01\tQRO50-P1\t5600\t203.0.113.7\tGET\td1.cloudfront.net\t/a.json\t200\t\
             https://x.mx/\tMozilla/5.0%2520(X11)\tr=1\t-\tHit\tabc==\tprep.mx\thttps\t20\t0.012\t-\tTLSv1.3\tx\tHit\t\
             HTTP/2.0\t-\t-\t4711\t0.001\tHit\tapplication/json\t5120\t-\t-\nbroken\tline\n",
        );
        assert_eq!((format, bad), (Some(Format::Cloudfront), 1));
        let expected = "2024-06-03T01:00:01Z GET /a.json?r=1 HTTP/2.0 200 5120 [https://x.mx/] [Mozilla/5.0 (X11)] 12000 prep.mx 1.3 abc==";
        assert_eq!(found, [(expected.to_owned(), "203.0.113.7".parse().unwrap())]);
    }

    #[test]
    fn cloudflare_writes_objects_with_hours_of_three_kinds() {
        let line = |start: &str, end: &str| {
            format!(
                "{{\"ClientIP\":\"2001:db8::7\",\"ClientRequestMethod\":\"GET\",\"ClientRequestURI\":\"/\",\"ClientRequestHost\":\"prep.mx\",\"ClientRequestUserAgent\":\"M\",\"ClientRequestProtocol\":\"HTTP/3\",\"ClientSSLProtocol\":\"TLSv1.3\",\"EdgeResponseStatus\":304,\"EdgeResponseBytes\":9,\"EdgeStartTimestamp\":{start},\"EdgeEndTimestamp\":{end},\"RayID\":\"r1\"}}"
            )
        };
        let text = [
            line("1717376400500000000", "1717376401500000000"),
            line("\"2024-06-03T01:00:00Z\"", "\"2024-06-03T01:00:01Z\""),
            line("1717376400", "1717376401"),
            "{\"no\":1}".to_owned(),
        ]
        .join("\n");
        let (format, found, bad) = all(&text);
        assert_eq!((format, bad, found.len()), (Some(Format::Cloudflare), 1, 3));
        let expected = "2024-06-03T01:00:01Z GET / HTTP/3.0 304 9 [] [M] 1000000 prep.mx 1.3 r1";
        assert!(found.iter().all(|(shown, _)| shown == expected), "{found:?}");
    }

    #[test]
    fn combined_is_what_the_others_write() {
        let (format, found, bad) = all(
            "203.0.113.7 - juan [02/Jun/2024:20:00:01 -0500] \"GET /a HTTP/1.1\" 200 - \"-\" \"a \\\"b\\\"\"\n\
             203.0.113.7 - - [02/Jun/2024:20:00:01 -0500] \"GET /a HTTP/1.0\" 404 12\nnot a line\n",
        );
        assert_eq!((format, bad), (Some(Format::Combined), 1));
        assert_eq!(found[0].0, "2024-06-03T01:00:01Z GET /a HTTP/1.1 200 0 [] [a \"b\"] 0  - ");
        assert_eq!(found[1].0, "2024-06-03T01:00:01Z GET /a HTTP/1.0 404 12 [] [] 0  - ");
    }
}
