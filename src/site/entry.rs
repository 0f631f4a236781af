//! One path of a snapshot: its content, and what HTTP says about it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::content::{Coding, Content};
use super::media::{Class, Media};

/// How long a copy of a file may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The name holds a hash of the content, and no cut was seen to break that.
    Hashed,
    /// A package named by its cut, `20240602_2015_PREP….zip`. Institutes have re-issued one
    /// under the same name weeks later, so it is not believed for ever.
    Stamped,
    /// Everything else: ask again.
    Live,
}

/// What HTTP says about one representation, composed once for all its answers.
#[derive(Clone, Debug)]
pub struct Head {
    /// The strong entity tag, with its quotes.
    pub tag: HeaderValue,
    /// The head of a whole answer.
    pub whole: Arc<Block>,
    /// The head of a 304.
    pub unchanged: Arc<Block>,
}

/// A header block in both forms that it leaves in.
#[derive(Clone, Debug)]
pub struct Block {
    /// By name.
    pub fields: HeaderMap,
    /// Status line and field lines of HTTP/1, without those of the connection and the empty line at the end.
    pub lines: Bytes,
}

/// One path of a snapshot.
#[derive(Debug)]
pub struct Entry {
    /// Its bytes.
    pub content: Arc<Content>,
    /// Its type.
    pub media: Media,
    /// How long a copy may be believed.
    pub freshness: Freshness,
    /// Seconds since 1970 from which readers saw these bytes at this path; never ahead of
    /// the clock. `None` where two contents would carry the same second, as a reader who
    /// only compares times would then keep the older one.
    pub last_modified: Option<u64>,
    heads: [OnceLock<Head>; Coding::ALL.len()],
}

impl Entry {
    /// The entry for `content` at `path`, which `since` (seconds) made public, after `previous`.
    pub(super) fn new(path: &str, content: Arc<Content>, since: u64, previous: Option<&Self>) -> Self {
        let same = previous.filter(|p| p.content.sha256 == content.sha256);
        let (last_modified, freshness) = match (same, previous) {
            (Some(same), _) => (same.last_modified, same.freshness),
            // The name promised that the bytes never change, and they did.
            (None, Some(old)) => {
                let later = old.last_modified.is_some_and(|t| t < since);
                (later.then_some(since), Freshness::Live)
            }
            (None, None) => (Some(since), freshness(path)),
        };
        Self { media: Media::of(path), content, freshness, last_modified, heads: Default::default() }
    }

    /// Gzip bytes under the name of something that is not an archive, as a publisher who
    /// stores ready-compressed objects leaves them (F16).
    pub fn is_gzip_in_disguise(&self) -> bool {
        self.content.is_gzip && !matches!(self.media.class, Class::Packed)
    }

    /// The head of one representation, composed the first time it is asked for.
    pub fn head(&self, coding: Coding, compose: impl FnOnce() -> Head) -> &Head {
        let [identity, gzip, brotli, zstd] = &self.heads;
        let slot = match coding {
            Coding::Identity => identity,
            Coding::Gzip => gzip,
            Coding::Brotli => brotli,
            Coding::Zstd => zstd,
        };
        slot.get_or_init(compose)
    }
}

/// What the name alone promises.
fn freshness(path: &str) -> Freshness {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_stamped(name) {
        Freshness::Stamped
    } else if is_hashed(name) {
        Freshness::Hashed
    } else {
        Freshness::Live
    }
}

/// `20240602_2015_PREP….zip`
fn is_stamped(name: &str) -> bool {
    let bytes = name.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    digits(0..8)
        && bytes.get(8) == Some(&b'_')
        && digits(9..13)
        && name.get(13..).is_some_and(|rest| rest.starts_with("_PREP"))
        && name.to_ascii_lowercase().ends_with(".zip")
}

/// Whether the name carries a content hash as bundlers write it, on a file of the kinds
/// they bundle. Doubt means no: a wrong yes shows an old file for a year.
fn is_hashed(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('.').collect();
    let (Some(suffix), Some(_)) = (parts.pop(), parts.first()) else { return false };
    // `main.HASH.js.map`
    if suffix == "map" && parts.last().is_some_and(|p| BUNDLED.contains(p)) {
        parts.pop();
    } else if !BUNDLED.contains(&suffix) {
        return false;
    }
    let Some(stem) = parts.pop() else { return false };
    let dotted = !parts.is_empty() && is_hash(stem);
    dotted || stem.rsplit_once('-').is_some_and(|(before, hash)| !before.is_empty() && is_hash(hash))
}

/// Webpack and older Angular write 8 to 64 hexadecimal digits, newer Angular (esbuild) eight of base32,
/// Vite eight of base64url. Dates and words such as `Entidad1` are none of these.
fn is_hash(text: &str) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let (digits, upper, lower) =
        (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex {
        return (8..=64).contains(&text.len()) && digits > 0 && lower > 0;
    }
    let inner_digit = text.get(1..7).is_some_and(|inner| inner.bytes().any(|b| b.is_ascii_digit()));
    text.len() == 8
        && digits + upper + lower == 8
        && inner_digit
        && ((lower == 0 && upper >= 3) || (lower >= 2 && upper >= 2))
}

/// Suffixes of files that a bundler names by their content.
const BUNDLED: &[&str] = &[
    "js", "mjs", "css", "woff", "woff2", "ttf", "otf", "eot", "svg", "png", "jpg", "jpeg", "gif", "webp",
    "avif", "ico", "wasm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_content_hash_are_believed() {
        for hashed in [
            "assets/main.3f2a8b1c9d0e4f56.js",
            "main-es2015.0b6c3a4d7f33f9a5b6f8.js",
            "polyfills.0b6c3a4d.js.map",
            "main-5JXN7XZG.js",
            "index-BkQ2x7aD.css",
            "roboto.1a2b3c4d5e6f7081.woff2",
        ] {
            assert_eq!(freshness(hashed), Freshness::Hashed, "{hashed}");
        }
        for plain in [
            "index.html",
            "avance.3f2a8b1c9d0e4f56.json",
            "mapa-20240602.png",
            "mapa-Entidad1.js",
            "P1-35.svg",
            "3f2a8b1c.js",
            "-5JXN7XZG.js",
            "main.js",
            "chunk-vendors.js",
            "prep-quintana.css",
            ".js",
            "",
        ] {
            assert_eq!(freshness(plain), Freshness::Live, "{plain}");
        }
    }

    #[test]
    fn only_zips_with_a_cut_in_front_are_stamped() {
        assert_eq!(freshness("assets/20240603_2005_PREP_PRES.zip"), Freshness::Stamped);
        for plain in ["20240603_2005_PREP.json", "2024063_2005_PREP.zip", "PREP.zip", "20240603_2005_ñ.zip"]
        {
            assert_eq!(freshness(plain), Freshness::Live, "{plain}");
        }
    }
}
