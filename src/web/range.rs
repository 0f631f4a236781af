//! Parts of a file (RFC 9110 §14).

use super::fields::{Field, Fields};

/// A part: first byte, and how many. Never empty, always within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Part {
    /// The value of `Content-Range`.
    pub(super) fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.start + self.len - 1)
    }
}

/// What a `Range` header comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// Answer the whole file: no header, one that cannot be read, or one that asks for so many
    /// or such parts that the whole is less work.
    Whole,
    /// One part.
    One(Part),
    /// Several that do not overlap.
    Many(Vec<Part>),
    /// None of the parts lies in the file.
    Unsatisfiable,
}

/// Reads the header for a file of `size` bytes.
pub(super) fn ranges(fields: &impl Fields, size: u64) -> Ranges {
    let Some(parts) = fields.text(Field::Range).and_then(|v| parse(v, size)) else {
        return Ranges::Whole;
    };
    let parts: Vec<Part> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [] => Ranges::Unsatisfiable,
        [part] => Ranges::One(*part),
        _ if overlap(&parts) => Ranges::Whole,
        _ => Ranges::Many(parts),
    }
}

/// The parts, `None` for one beyond the end; `None` in all for a header to be ignored.
fn parse(value: &str, size: u64) -> Option<Vec<Option<Part>>> {
    let (unit, specs) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || specs.split(',').count() > PARTS_MAX {
        return None;
    }
    specs.split(',').map(|spec| part(spec.trim(), size)).collect()
}

fn part(spec: &str, size: u64) -> Option<Option<Part>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let len = number(last)?.min(size);
        return Some((len > 0).then_some(Part { start: size - len, len }));
    }
    let start = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < start {
        return None;
    }
    Some((start < size).then(|| Part { start, len: last.min(size - 1) - start + 1 }))
}

/// A number of any length; beyond 64 bits they are all the same to us.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn overlap(parts: &[Part]) -> bool {
    let mut sorted = parts.to_vec();
    sorted.sort_by_key(|p| p.start);
    sorted.windows(2).any(|pair| matches!(pair, [a, b] if a.start + a.len > b.start))
}

/// Parts that are answered one by one; readers that resume a download ask for one or two.
const PARTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::RANGE;

    use super::*;

    fn of(value: &str, size: u64) -> Ranges {
        ranges(&HeaderMap::from_iter([(RANGE, value.parse().unwrap())]), size)
    }

    fn one(start: u64, len: u64) -> Ranges {
        Ranges::One(Part { start, len })
    }

    #[test]
    fn a_part_is_never_more_than_the_file() {
        for (value, expected) in [
            ("bytes=0-0", one(0, 1)),
            ("bytes=0-99", one(0, 10)),
            ("bytes=5-", one(5, 5)),
            ("bytes=-3", one(7, 3)),
            ("bytes=-99", one(0, 10)),
            ("Bytes = 2-3", one(2, 2)),
            ("bytes=0-18446744073709551615", one(0, 10)),
            ("bytes=0-99999999999999999999999", one(0, 10)),
            ("bytes=0-1,20-30", one(0, 2)),
            ("bytes=10-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=18446744073709551615-", Ranges::Unsatisfiable),
            ("bytes=5-4", Ranges::Whole),
            ("bytes=x-", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("items=0-1", Ranges::Whole),
            ("bytes", Ranges::Whole),
            ("bytes=0-5,3-7", Ranges::Whole),
            ("bytes=8-9, 0-1", Ranges::Many(vec![Part { start: 8, len: 2 }, Part { start: 0, len: 2 }])),
        ] {
            assert_eq!(of(value, 10), expected, "{value}");
        }
        let thousand: Vec<String> = (0..1000).map(|n| format!("{n}-{n}")).collect();
        assert_eq!(of(&format!("bytes={}", thousand.join(",")), 5000), Ranges::Whole);
        assert_eq!(of("bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(of("bytes=-1", 0), Ranges::Unsatisfiable);
    }
}
