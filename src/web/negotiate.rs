//! What the reader accepts: codings and HTML (RFC 9110 §12.5).

use super::fields::{Field, Fields};
use crate::site::Coding;

/// The codings that a request accepts, best first. Never empty: a reader who refuses
/// everything gets the file as it is, which is more use than an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    order: [Option<Coding>; PREFERENCE.len()],
}

impl Accepted {
    /// Reads `Accept-Encoding`.
    pub(super) fn of(fields: &impl Fields) -> Self {
        let mut weights = [None; PREFERENCE.len()];
        let mut any = None;
        let is_given = fields.has(Field::AcceptEncoding);
        for (token, weight) in items(fields, Field::AcceptEncoding) {
            if token == "*" {
                any = Some(weight);
            }
            let same = |c: &Coding| token.eq_ignore_ascii_case(c.token()) || is_alias(*c, token);
            if let Some(slot) = PREFERENCE.iter().position(same).and_then(|at| weights.get_mut(at)) {
                *slot = Some(weight);
            }
        }
        let weigh = |(coding, weight): (Coding, Option<u16>)| {
            let weight = match (weight, coding) {
                (Some(weight), _) => weight,
                // Acceptable unless refused, and then only if nothing else is.
                (None, Coding::Identity) => any.unwrap_or(if is_given { LEAST } else { FULL }),
                (None, _) => any.unwrap_or(0),
            };
            (weight > 0).then_some((coding, weight))
        };
        let mut ranked = [None; PREFERENCE.len()];
        let weighed = PREFERENCE.into_iter().zip(weights).map(weigh);
        ranked.iter_mut().zip(weighed).for_each(|(slot, weighed)| *slot = weighed);
        // Stable: ours decides among equals.
        ranked.sort_by_key(|r| std::cmp::Reverse(r.map_or(0, |(_, weight)| weight)));
        let mut order = ranked.map(|r| r.map(|(coding, _)| coding));
        if let [first @ None, ..] = &mut order {
            *first = Some(Coding::Identity);
        }
        Self { order }
    }

    /// The accepted codings, best first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Coding> {
        self.order.into_iter().flatten()
    }
}

/// Whether a page is asked for in so many words; `*/*` is what programs send.
pub(super) fn wants_html(fields: &impl Fields) -> bool {
    items(fields, Field::Accept)
        .any(|(range, weight)| weight > 0 && matches!(range, "text/html" | "application/xhtml+xml"))
}

fn is_alias(coding: Coding, token: &str) -> bool {
    coding == Coding::Gzip && token.eq_ignore_ascii_case("x-gzip")
}

/// The members of a weighted list with their weights in thousandths; what cannot be read
/// weighs nothing.
fn items(fields: &impl Fields, field: Field) -> impl Iterator<Item = (&str, u16)> {
    fields.texts(field).flat_map(|value| value.split(',')).take(ITEMS_MAX).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let token = parts.next().unwrap_or_default();
        let quality = |p: &str| {
            let (name, value) = p.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
        };
        (token, parts.find_map(quality).unwrap_or(FULL))
    })
}

/// `0.8` → 800; RFC 9110 §12.4.2 allows three digits after the point.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) if fraction.bytes().all(|b| b == b'0') => FULL,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// Ours among equals.
const PREFERENCE: [Coding; 4] = [Coding::Brotli, Coding::Zstd, Coding::Gzip, Coding::Identity];
/// Weight of what is named without one.
const FULL: u16 = 1000;
/// Weight of the file as it is beside named codings.
const LEAST: u16 = 1;
/// Members of a list that are read; browsers send four.
const ITEMS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{ACCEPT, ACCEPT_ENCODING};

    use super::*;

    fn order(value: &str) -> String {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
        }
        Accepted::of(&headers).iter().map(Coding::token).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn weights_decide_and_preference_breaks_ties() {
        for (value, expected) in [
            ("", "identity"),
            ("gzip", "gzip identity"),
            ("gzip, deflate, br, zstd", "br zstd gzip identity"),
            ("GZIP;Q=1.0 , br;q=0.5", "gzip br identity"),
            ("br;q=0, gzip;q=0.001", "gzip identity"),
            ("identity, gzip;q=0.5", "identity gzip"),
            ("gzip;q=0.5, *;q=0.8", "br zstd identity gzip"),
            ("*;q=0", "identity"),
            ("identity;q=0", "identity"),
            ("gzip;q=0, identity;q=0", "identity"),
            ("gzip, identity;q=0", "gzip"),
            ("x-gzip", "gzip identity"),
            ("deflate", "identity"),
            ("gzip;q=1.5", "identity"),
            ("gzip;q=oops", "identity"),
        ] {
            assert_eq!(order(value), expected, "{value}");
        }
    }

    #[test]
    fn only_a_request_for_html_is_one() {
        for (value, expected) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("*/*", false),
            ("text/html;q=0", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())]);
            assert_eq!(wants_html(&headers), expected, "{value}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }
}
