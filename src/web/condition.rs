//! Conditional requests (RFC 9110 §13).

use std::time::{Duration, SystemTime};

use super::fields::{Field, Fields};

/// What the conditions of a request come to, for the representation that was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Answer as if there were none.
    Met,
    /// 304: the reader has it.
    NotModified,
    /// 412: the reader wants something else than there is.
    Failed,
}

/// Evaluates in the order of RFC 9110 §13.2.2. `tag` is the strong tag with its quotes, `modified` in seconds
/// since 1970.
pub(super) fn evaluate(fields: &impl Fields, tag: &str, modified: Option<u64>) -> Condition {
    if fields.has(Field::IfMatch) {
        if !lists(fields, Field::IfMatch, tag, Comparison::Strong) {
            return Condition::Failed;
        }
    } else if let (Some(limit), Some(modified)) = (date(fields, Field::IfUnmodifiedSince), modified)
        && modified > limit
    {
        return Condition::Failed;
    }
    if fields.has(Field::IfNoneMatch) {
        let has_it = lists(fields, Field::IfNoneMatch, tag, Comparison::Weak);
        return if has_it { Condition::NotModified } else { Condition::Met };
    }
    match (date(fields, Field::IfModifiedSince), modified) {
        (Some(limit), Some(modified)) if modified <= limit => Condition::NotModified,
        _ => Condition::Met,
    }
}

/// Whether the request says what its reader holds.
pub(super) fn is_conditional(fields: &impl Fields) -> bool {
    [Field::IfNoneMatch, Field::IfMatch, Field::IfRange].iter().any(|field| fields.has(*field))
}

/// Whether the request names this tag as one it holds: then this is the representation
/// to answer with, rather than one that was compressed in the meantime.
pub(super) fn names(fields: &impl Fields, tag: &str) -> bool {
    let in_range = || fields.first(Field::IfRange).is_some_and(|v| v == tag.as_bytes());
    let in_list =
        |field| fields.has(field) && !is_any(fields, field) && lists(fields, field, tag, Comparison::Weak);
    in_list(Field::IfNoneMatch) || in_list(Field::IfMatch) || in_range()
}

/// Whether a range may be answered with a part (RFC 9110 §13.1.5): the tag must be the same,
/// compared strongly, or the date exactly ours.
pub(super) fn range_holds(fields: &impl Fields, tag: &str, modified: Option<u64>) -> bool {
    let Some(value) = fields.first(Field::IfRange) else { return true };
    if value == tag.as_bytes() {
        return true;
    }
    modified.is_some() && date(fields, Field::IfRange) == modified
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn is_any(fields: &impl Fields, field: Field) -> bool {
    fields.first(field).is_some_and(|v| v.trim_ascii() == b"*")
}

fn lists(fields: &impl Fields, field: Field, tag: &str, comparison: Comparison) -> bool {
    if is_any(fields, field) {
        return true;
    }
    let values = fields.texts(field);
    // Our tags hold no comma: cutting foreign ones in two can only make them match nothing.
    values.flat_map(|v| v.split(',')).take(TAGS_MAX).map(str::trim).any(|item| match comparison {
        Comparison::Strong => item == tag,
        Comparison::Weak => item.strip_prefix("W/").unwrap_or(item) == tag,
    })
}

/// A date in any of the three forms; `None` where it cannot be read.
fn date(fields: &impl Fields, field: Field) -> Option<u64> {
    let text = fields.text(field)?;
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs())
}

/// The form that dates are sent in.
pub(super) fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(YEAR_9999)))
}

/// Tags of a list that are compared.
const TAGS_MAX: usize = 64;
/// The last second that an HTTP date can name.
const YEAR_9999: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
    use http::{HeaderMap, HeaderName};

    use super::*;

    fn with(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_are_weighed_in_the_order_of_the_standard() {
        let now = http_date(1000);
        let before = http_date(999);
        let evaluate = |pairs: &[(HeaderName, &str)]| evaluate(&with(pairs), "\"a\"", Some(1000));
        for (pairs, expected) in [
            (&[][..], Condition::Met),
            (&[(IF_NONE_MATCH, "\"a\"")], Condition::NotModified),
            (&[(IF_NONE_MATCH, "\"x\", W/\"a\"")], Condition::NotModified),
            (&[(IF_NONE_MATCH, "\"x\", \"a-gzip\"")], Condition::Met),
            (&[(IF_NONE_MATCH, "*")], Condition::NotModified),
            (&[(IF_MODIFIED_SINCE, &now)], Condition::NotModified),
            (&[(IF_MODIFIED_SINCE, &before)], Condition::Met),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Condition::Met),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, &now)], Condition::Met),
            (&[(IF_MATCH, "\"a\"")], Condition::Met),
            (&[(IF_MATCH, "*")], Condition::Met),
            (&[(IF_MATCH, "W/\"a\"")], Condition::Failed),
            (&[(IF_UNMODIFIED_SINCE, &before)], Condition::Failed),
            (&[(IF_UNMODIFIED_SINCE, &now)], Condition::Met),
        ] {
            assert_eq!(evaluate(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_of_something_else_is_not_given() {
        let date = http_date(1000);
        let holds = |value: &str| range_holds(&with(&[(IF_RANGE, value)]), "\"a\"", Some(1000));
        assert!(holds("\"a\"") && holds(&date));
        assert!(!holds("W/\"a\"") && !holds("\"b\"") && !holds(&http_date(1001)) && !holds("x"));
        assert!(range_holds(&HeaderMap::new(), "\"a\"", None));
        assert!(!range_holds(&with(&[(IF_RANGE, "x")]), "\"a\"", None));
    }
}
