//! From the path of a request to the path of a file, or a refusal.
//!
//! One spelling per file: percent-escapes are undone once, Unicode is composed (NFC, as
//! the names of releases are), and whatever could mean something else to somebody, `..`, an
//! encoded slash, a backslash, a control character, is refused instead of mended.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Relative to the root, without a slash at either end; empty for the root.
    pub(super) path: String,
    /// How the request ended.
    pub(super) ending: Ending,
}

/// Whether the path named a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Plain,
    Slash,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It could be read in two ways.
    Malformed,
    /// It can name nothing.
    Nothing,
}

impl Wanted {
    /// Reads the path of a request target, without its query.
    pub(super) fn parse(raw: &str) -> Result<Self, Refused> {
        let rest = raw.strip_prefix('/').ok_or(Refused::Malformed)?;
        if raw.len() > RAW_BYTES_MAX {
            return Err(Refused::Malformed);
        }
        let mut path = decode(rest)?;
        if path.split('/').any(|s| s == "." || s == "..") {
            return Err(Refused::Malformed);
        }
        let ending = if path.ends_with('/') || path.is_empty() { Ending::Slash } else { Ending::Plain };
        if path.ends_with('/') {
            path.pop();
        }
        // An empty segment names no file; answering it as if it were one spelling of another path
        // would give caches two names for one thing.
        if rest == "/" || (!path.is_empty() && path.split('/').any(str::is_empty)) {
            return Err(Refused::Nothing);
        }
        if !path.is_ascii() && is_nfc_quick(path.chars()) != IsNormalized::Yes {
            path = path.nfc().collect();
        }
        Ok(Self { path, ending })
    }

    /// The last segment.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the path could be a route of an application: no extension, no dotfile.
    pub(super) fn is_route(&self) -> bool {
        !self.name().contains('.')
    }

    /// The path as it stands in a header, with a slash at both ends.
    pub(super) fn as_folder(&self) -> String {
        let mut out = String::with_capacity(self.path.len() + 2);
        out.push('/');
        for byte in self.path.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    out.push(byte.into())
                }
                byte => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out.push('/');
        out
    }
}

/// Undoes percent-escapes (RFC 3986 §2.1).
fn decode(raw: &str) -> Result<String, Refused> {
    // Nearly every path has nothing to undo.
    if raw.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\')) {
        return Ok(raw.to_owned());
    }
    let mut bytes = raw.bytes();
    let mut out = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let byte = hex(bytes.next())? << 4 | hex(bytes.next())?;
                if byte == b'/' {
                    return Err(Refused::Malformed);
                }
                byte
            }
            byte => byte,
        };
        if byte.is_ascii_control() || byte == b'\\' {
            return Err(Refused::Malformed);
        }
        out.push(byte);
    }
    let path = String::from_utf8(out).map_err(|_| Refused::Malformed)?;
    // C1 controls hide behind two bytes.
    if path.chars().any(char::is_control) { Err(Refused::Malformed) } else { Ok(path) }
}

fn hex(digit: Option<u8>) -> Result<u8, Refused> {
    let value = digit.and_then(|d| char::from(d).to_digit(16)).and_then(|v| u8::try_from(v).ok());
    value.ok_or(Refused::Malformed)
}

/// Three times the longest name of a release, for a path that is all escapes.
const RAW_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for raw in [
            "/%2e%2e%2fetc/passwd",
            "/%2e%2e/etc/passwd",
            "/../etc/passwd",
            "/a/./b",
            "/a/..",
            "/..%5c..%5cx",
            "/a\\b",
            "/a%00.json",
            "/a%0d%0ab",
            "/%c0%ae%c0%ae/x",
            "/%ff",
            "/%c2%85",
            "/%zz",
            "/%4",
            "/a%2fb",
            "*",
            "x",
            "",
        ] {
            assert_eq!(Wanted::parse(raw), Err(Refused::Malformed), "{raw}");
        }
        assert_eq!(Wanted::parse(&format!("/{}", "a".repeat(8192))), Err(Refused::Malformed));
        for raw in ["//", "//etc/passwd", "/a//b", "/a//"] {
            assert_eq!(Wanted::parse(raw), Err(Refused::Nothing), "{raw}");
        }
    }

    #[test]
    fn every_spelling_of_a_name_finds_the_same_file() {
        for raw in ["/peque%C3%B1a%20(1).svg", "/pequen%CC%83a%20(1).svg", "/pequeña%20%281%29.svg"] {
            assert_eq!(Wanted::parse(raw).unwrap().path, "pequeña (1).svg", "{raw}");
        }
        let folder = Wanted::parse("/a%20ñ/").unwrap();
        assert_eq!((folder.path.as_str(), folder.ending), ("a ñ", Ending::Slash));
        assert_eq!(folder.as_folder(), "/a%20%C3%B1/");
        assert_eq!(Wanted::parse("/").unwrap(), Wanted { path: String::new(), ending: Ending::Slash });
    }
}
