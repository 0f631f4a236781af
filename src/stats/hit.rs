//! One answered request, from the moment it is asked to the record that the log is made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use jiff::Timestamp;

use super::sink::Sink;

/// The protocol of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Http10, "HTTP/1.0"),
        (Self::Http11, "HTTP/1.1"),
        (Self::Http2, "HTTP/2.0"),
        (Self::Http3, "HTTP/3.0"),
    ];

    /// As a request line and the log write it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(p, _)| *p == self).map_or("", |(_, name)| name)
    }

    fn of(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).map_or_else(Self::default, |(p, _)| *p)
    }
}

/// How a request was protected on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: the plain port, which only redirects.
    #[default]
    None,
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl Tls {
    const ALL: [(Self, &'static str); 3] = [(Self::None, "-"), (Self::V12, "1.2"), (Self::V13, "1.3")];

    /// As the log writes it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(t, _)| *t == self).map_or("", |(_, name)| name)
    }

    fn of(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).map_or_else(Self::default, |(t, _)| *t)
    }
}

/// What is known of a request before it is answered. Texts are as they came; empty where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The other end of the connection: a reader, or a proxy.
    pub peer: IpAddr,
    /// When the request was there.
    pub began: Instant,
    /// `GET`.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// The protocol.
    pub protocol: Protocol,
    /// The protection.
    pub tls: Tls,
    /// `Host`, or `:authority`.
    pub host: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub agent: &'a [u8],
    /// The last `X-Forwarded-For`; believed only from proxies that the configuration names.
    pub forwarded: &'a [u8],
}

/// One answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// When the answer ended.
    pub at: Timestamp,
    /// From the request to that, in microseconds.
    pub taken_micros: u32,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the body that were handed to the connection.
    pub sent: u64,
    /// Whether that was all of it.
    pub is_whole: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// The protection.
    pub tls: Tls,
    /// `GET`.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// The host that was asked.
    pub host: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub agent: &'a [u8],
    /// `X-Forwarded-For`.
    pub forwarded: &'a [u8],
    /// The cut that was served.
    pub cut: &'a [u8],
    /// `Content-Encoding` of the answer.
    pub encoding: &'a [u8],
}

/// A request under way. Becomes a [`Hit`] in its sink when it is dropped, which is when its answer ended
/// or broke off.
#[derive(Debug)]
pub struct Observed {
    sink: Sink,
    began: Instant,
    peer: IpAddr,
    protocol: Protocol,
    tls: Tls,
    status: u16,
    sent: u64,
    is_whole: bool,
    /// All texts one behind the other, and where each ends.
    text: Vec<u8>,
    ends: [u16; TEXTS],
}

impl Observed {
    pub(super) fn new(sink: Sink, asked: &Asked<'_>) -> Self {
        let Asked { peer, began, protocol, tls, .. } = *asked;
        let mut text = Vec::with_capacity(
            asked.target.len().min(TARGET_BYTES_MAX)
                + asked.agent.len().min(TEXT_BYTES_MAX)
                + ROOM_FOR_THE_REST,
        );
        let mut ends = [0; TEXTS];
        // Proxies write behind what is there: it is the end that we believe.
        let forwarded = asked.forwarded;
        let forwarded = forwarded.get(forwarded.len().saturating_sub(TEXT_BYTES_MAX)..).unwrap_or(forwarded);
        let texts = [asked.method, asked.target, asked.host, asked.referer, asked.agent, forwarded];
        for ((part, bound), end) in texts.into_iter().zip(BOUNDS).zip(&mut ends) {
            text.extend_from_slice(part.get(..bound).unwrap_or(part));
            *end = u16::try_from(text.len()).unwrap_or(u16::MAX);
        }
        Self { sink, began, peer, protocol, tls, status: 0, sent: 0, is_whole: false, text, ends }
    }

    /// What the answer is: its status, the cut it is of, its content coding.
    pub fn answered(&mut self, status: u16, cut: &[u8], encoding: &[u8]) {
        self.status = status;
        for (part, place) in [(cut, CUT), (encoding, CUT + 1)] {
            self.text.extend_from_slice(part.get(..SHORT_BYTES_MAX).unwrap_or(part));
            if let Some(end) = self.ends.get_mut(place) {
                *end = u16::try_from(self.text.len()).unwrap_or(u16::MAX);
            }
        }
    }

    /// So many more bytes of the body were handed to the connection.
    pub fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// The body came to its end.
    pub fn whole(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // A request that was given up before there was an answer is not a hit.
        if self.status == 0 {
            return;
        }
        let mut texts = [b"".as_slice(); TEXTS];
        let mut from = 0;
        for (end, text) in self.ends.iter().map(|end| usize::from(*end)).zip(&mut texts) {
            *text = self.text.get(from..end).unwrap_or_default();
            from = end;
        }
        let [method, target, host, referer, agent, forwarded, cut, encoding] = texts;
        self.sink.offer(&Hit {
            at: self.sink.now(),
            taken_micros: u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX),
            peer: self.peer,
            status: self.status,
            sent: self.sent,
            is_whole: self.is_whole,
            protocol: self.protocol,
            tls: self.tls,
            method,
            target,
            host,
            referer,
            agent,
            forwarded,
            cut,
            encoding,
        });
    }
}

impl<'a> Hit<'a> {
    /// Bytes that [`Hit::write`] may need.
    pub(super) fn room(&self) -> usize {
        HEAD_BYTES + self.texts().iter().map(|text| text.len()).sum::<usize>()
    }

    fn texts(&self) -> [&'a [u8]; TEXTS] {
        let Hit { method, target, host, referer, agent, forwarded, cut, encoding, .. } = *self;
        [method, target, host, referer, agent, forwarded, cut, encoding]
    }

    /// Puts the hit behind what is there, without an allocation of its own.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.as_millisecond().to_le_bytes());
        out.extend_from_slice(&self.taken_micros.to_le_bytes());
        out.extend_from_slice(&self.sent.to_le_bytes());
        let (family, octets) = match self.peer {
            IpAddr::V4(v4) => (4, v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => (6, v6.octets()),
        };
        out.extend_from_slice(&octets);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&[family, u8::from(self.is_whole), self.protocol as u8, self.tls as u8]);
        for text in self.texts() {
            let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text.get(..usize::from(len)).unwrap_or_default());
        }
    }

    /// The first hit in these bytes, and what follows it. `None` at the end.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let at = Timestamp::from_millisecond(i64::from_le_bytes(take(&mut bytes)?)).ok()?;
        let taken_micros = u32::from_le_bytes(take(&mut bytes)?);
        let sent = u64::from_le_bytes(take(&mut bytes)?);
        let octets = Ipv6Addr::from(take::<16>(&mut bytes)?);
        let status = u16::from_le_bytes(take(&mut bytes)?);
        let [family, is_whole, protocol, tls] = take(&mut bytes)?;
        let v4 = octets.to_ipv4_mapped().filter(|_| family == 4);
        let mut texts = [b"".as_slice(); TEXTS];
        for text in &mut texts {
            let len = usize::from(u16::from_le_bytes(take(&mut bytes)?));
            (*text, bytes) = bytes.split_at_checked(len)?;
        }
        let [method, target, host, referer, agent, forwarded, cut, encoding] = texts;
        let hit = Hit {
            at,
            taken_micros,
            peer: v4.map_or(IpAddr::V6(octets), |v4: Ipv4Addr| IpAddr::V4(v4)),
            status,
            sent,
            is_whole: is_whole != 0,
            protocol: Protocol::of(protocol),
            tls: Tls::of(tls),
            method,
            target,
            host,
            referer,
            agent,
            forwarded,
            cut,
            encoding,
        };
        Some((hit, bytes))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Texts of a hit.
const TEXTS: usize = 8;
/// Where the cut stands among them.
const CUT: usize = 6;
/// Numbers, flags and the lengths of the texts.
const HEAD_BYTES: usize = 8 + 4 + 8 + 16 + 2 + 4 + 2 * TEXTS;
/// Path and query that are kept: what is longer is not of the site.
pub(super) const TARGET_BYTES_MAX: usize = 2048;
/// Any other text of the peer.
pub(super) const TEXT_BYTES_MAX: usize = 512;
/// Texts that have a few letters when they are honest.
const SHORT_BYTES_MAX: usize = 64;
/// Bounds of what the peer says.
const BOUNDS: [usize; 6] =
    [SHORT_BYTES_MAX, TARGET_BYTES_MAX, 256, TEXT_BYTES_MAX, TEXT_BYTES_MAX, TEXT_BYTES_MAX];
/// Method, host, a referer of usual length, the cut: one allocation for nearly every request.
const ROOM_FOR_THE_REST: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_come_back_as_they_were_written() {
        let hit = Hit {
            at: "2027-06-06T20:00:00.123Z".parse().unwrap(),
            taken_micros: 1234,
            peer: "203.0.113.7".parse().unwrap(),
            status: 206,
            sent: 5 << 32,
            is_whole: true,
            protocol: Protocol::Http2,
            tls: Tls::V13,
            method: b"GET",
            target: b"/a?b=\xff\"",
            host: b"prep.mx",
            referer: b"",
            agent: b"Mozilla",
            forwarded: b"1.2.3.4",
            cut: b"2027-06-06T20:00-05:00",
            encoding: b"gzip",
        };
        let six = Hit { peer: "2001:db8::1".parse().unwrap(), is_whole: false, tls: Tls::None, ..hit };
        let mapped = Hit { peer: "::ffff:1.2.3.4".parse().unwrap(), protocol: Protocol::Http10, ..hit };
        let mut bytes = Vec::new();
        for one in [&hit, &six, &mapped] {
            let before = bytes.len();
            one.write(&mut bytes);
            assert_eq!(bytes.len() - before, one.room());
        }
        let (first, rest) = Hit::read(&bytes).unwrap();
        let (second, rest) = Hit::read(rest).unwrap();
        let (third, rest) = Hit::read(rest).unwrap();
        assert_eq!((first, second, third), (hit, six, mapped));
        assert!(Hit::read(rest).is_none());
        assert!((1..hit.room()).all(|n| Hit::read(&bytes[..n]).is_none()), "a torn hit is no hit");
    }

    #[test]
    fn what_a_peer_says_without_end_is_cut() {
        let sink = Sink::new(1 << 20, crate::clock::Clock::system());
        let long = vec![b'a'; 1 << 20];
        let mut observed = sink.observe(&Asked {
            peer: "::1".parse().unwrap(),
            began: Instant::now(),
            method: &long,
            target: &long,
            protocol: Protocol::Http11,
            tls: Tls::None,
            host: &long,
            referer: &long,
            agent: &long,
            forwarded: &long,
        });
        observed.answered(404, &long, &long);
        drop(observed);
        let mut taken = Vec::new();
        sink.take(&mut taken);
        let (hit, _) = Hit::read(&taken[0]).unwrap();
        assert_eq!((hit.method.len(), hit.target.len(), hit.agent.len()), (64, 2048, 512));
        assert_eq!((hit.cut.len(), hit.encoding.len(), hit.status), (64, 64, 404));
    }
}
