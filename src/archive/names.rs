//! Which names a package may use, and which of them clash.
//!
//! One policy for tar and zip. A name that two tools, two systems or two pairs of eyes
//! could read differently is refused; what packers leave behind is skipped.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::{Limits, Reason, Refusal};

/// What to do with a name that is not in Unicode form NFC, as old Macs write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nfd {
    /// Refuse it: the pages would ask for the composed form and get a 404.
    #[default]
    Refuse,
    /// Store the file under its composed form.
    Compose,
}

/// A name that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A relative path without `.`, `..` or empty components.
    Path(String),
    /// The root itself (`./`): nothing to make.
    Root,
    /// Junk of packers and desktops, or a dotfile: left out, by its cleaned name.
    Skip(String),
}

/// Judges the raw name of one entry.
///
/// Leading and inner `.` components and doubled slashes are dropped, as every
/// extractor does (GNU tar stores `site//index.html` when told to pack `site//`).
pub fn check_name(raw: &[u8], limits: &Limits) -> Result<Name, Refusal> {
    judge(raw, limits).map_err(|reason| Refusal::new(reason).entry(raw))
}

fn judge(raw: &[u8], limits: &Limits) -> Result<Name, Reason> {
    if raw.is_empty() {
        return Err(Reason::PathEmpty);
    }
    // Compared before anything is allocated; the slack is for `./` and slashes.
    if raw.len() > limits.name_bytes.saturating_add(NAME_SLACK) {
        return Err(Reason::PathTooLong);
    }
    let text = std::str::from_utf8(raw).map_err(|_| Reason::PathNotUtf8)?;
    if is_absolute(text) {
        return Err(Reason::PathAbsolute);
    }
    if text.chars().any(is_bad) {
        return Err(Reason::PathBadChar);
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(Reason::PathTraversal);
    }
    if parts.is_empty() {
        return Ok(Name::Root);
    }
    let path = composed(parts.join("/"), limits)?;
    measure(&path, limits)?;
    sort_out(path)
}

fn is_absolute(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with(['/', '\\'])
}

/// Characters that break logs, terminals, URLs or the eye: controls, backslash
/// (a separator elsewhere), marks that reorder text, line separators, the BOM.
fn is_bad(c: char) -> bool {
    c.is_control()
        || c == '\\'
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn composed(path: String, limits: &Limits) -> Result<String, Reason> {
    if is_nfc(&path) {
        return Ok(path);
    }
    match limits.nfd {
        Nfd::Refuse => Err(Reason::PathNotNfc),
        Nfd::Compose => Ok(path.nfc().collect()),
    }
}

fn measure(path: &str, limits: &Limits) -> Result<(), Reason> {
    if path.split('/').count() > limits.depth {
        return Err(Reason::PathTooDeep);
    }
    let long = path.split('/').any(|part| part.len() > limits.component_bytes);
    if long || path.len() > limits.name_bytes { Err(Reason::PathTooLong) } else { Ok(()) }
}

/// Reserved, junk, or a path to keep.
fn sort_out(path: String) -> Result<Name, Reason> {
    // The prefix under which the difusor speaks for itself, wherever the site's
    // root may turn out to be.
    if path.split('/').any(|part| part.eq_ignore_ascii_case(".well-known")) {
        return Err(Reason::PathDotfile);
    }
    if path.split('/').any(is_junk) { Ok(Name::Skip(path)) } else { Ok(Name::Path(path)) }
}

/// `.DS_Store`, `._x`, `.gitkeep`, `.git/` and every other dotfile begin with a dot.
fn is_junk(part: &str) -> bool {
    part.starts_with('.') || JUNK.iter().any(|junk| part.eq_ignore_ascii_case(junk))
}

/// Two names that cannot both be in a package, by their second comer.
#[derive(Debug, Default)]
pub(super) struct Index {
    seen: HashMap<u128, Seen>,
    keys: [RandomState; 2],
    dirs: u64,
}

/// What stands under one folded path. Paths are kept as 128-bit keyed hashes: 50,000
/// names of 1 KiB would take more memory than a hostile package deserves.
#[derive(Clone, Copy, Debug)]
struct Seen {
    exact: u128,
    kind: Kind,
}

/// File or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory, announced or implied.
    Dir,
}

impl Index {
    /// Adds a path and the directories it implies.
    pub(super) fn add(&mut self, path: &str, kind: Kind) -> Result<(), Reason> {
        for (at, _) in path.match_indices('/') {
            self.put(path.get(..at).unwrap_or(path), Kind::Dir)?;
        }
        self.put(path, kind)
    }

    /// Distinct paths so far.
    pub(super) fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Distinct directories so far.
    pub(super) fn dirs(&self) -> u64 {
        self.dirs
    }

    fn put(&mut self, path: &str, kind: Kind) -> Result<(), Reason> {
        let now = Seen { exact: self.key(path), kind };
        let Some(before) = self.seen.insert(self.key(&folded(path)), now) else {
            self.dirs += u64::from(kind == Kind::Dir);
            return Ok(());
        };
        match (before.exact == now.exact, before.kind, kind) {
            (true, Kind::Dir, Kind::Dir) => Ok(()),
            (true, Kind::File, Kind::File) => Err(Reason::DuplicateEntry),
            _ => Err(Reason::NameCollision),
        }
    }

    fn key(&self, text: &str) -> u128 {
        let [high, low] = &self.keys;
        u128::from(high.hash_one(text)) << 64 | u128::from(low.hash_one(text))
    }
}

/// The form in which case twins are equal. Upper case first, so that `ß` meets `ss`
/// and the long s meets the short one.
fn folded(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    path.to_uppercase().to_lowercase().nfc().collect()
}

/// Names without a leading dot that desktops leave behind.
const JUNK: &[&str] = &["__MACOSX", "Thumbs.db", "desktop.ini"];

/// How much longer than its limit a raw name may be before it is cleaned.
const NAME_SLACK: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(raw: impl AsRef<[u8]>) -> Result<Name, Reason> {
        check_name(raw.as_ref(), &Limits::default()).map_err(|refusal| refusal.reason)
    }

    fn path(text: &str) -> Result<Name, Reason> {
        Ok(Name::Path(text.to_owned()))
    }

    #[test]
    fn real_names_pass() {
        for real in ["index.html", "assets/P1-35 (1).svg", "img/!Ciudad.svg", "a/prep@2x.png", "pequeña.svg"]
        {
            assert_eq!(name(real), path(real));
        }
        assert_eq!(name("./site//a/./b/"), path("site/a/b"));
        assert_eq!(name("././"), Ok(Name::Root));
    }

    #[test]
    fn names_that_leave_the_site_are_refused() {
        for raw in ["../x", "a/../../x", "a/..", "..", "__MACOSX/../../x", "./../x", ".git/../../x"] {
            assert_eq!(name(raw), Err(Reason::PathTraversal), "{raw}");
        }
        for raw in ["/etc/passwd", "//x", "C:/x", "c:x", "\\\\server\\x", "\\x"] {
            assert_eq!(name(raw), Err(Reason::PathAbsolute), "{raw}");
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for raw in
            ["a\\b", "..\\x", "a\nb", "a\0b", "a\x7f", "a\u{85}", "fdp\u{202e}exe", "a\u{2066}", "\u{feff}a"]
        {
            assert_eq!(name(raw), Err(Reason::PathBadChar), "{raw:?}");
        }
        assert_eq!(name(b"peque\xa4a.svg"), Err(Reason::PathNotUtf8));
        assert_eq!(name(b"a/\xc0\xae\xc0\xae/x"), Err(Reason::PathNotUtf8));
        assert_eq!(name("pequen\u{303}a.svg"), Err(Reason::PathNotNfc));
        assert_eq!(name(""), Err(Reason::PathEmpty));
    }

    #[test]
    fn long_and_deep_names_are_refused() {
        assert_eq!(name("a".repeat(255)), path(&"a".repeat(255)));
        assert_eq!(name("a".repeat(256)), Err(Reason::PathTooLong));
        assert_eq!(name(vec![b'a'; 1 << 20]), Err(Reason::PathTooLong));
        assert_eq!(name("abcdefg/".repeat(30) + &"x".repeat(790)), Err(Reason::PathTooLong));
        assert_eq!(name("d/".repeat(200) + "x"), Err(Reason::PathTooDeep));
    }

    #[test]
    fn junk_is_skipped_and_the_reserved_prefix_refused() {
        for raw in
            [".DS_Store", "a/._x.png", "__MACOSX/a/b", "img/.gitkeep", "a/thumbs.db", ".git/config", "..."]
        {
            assert_eq!(name(raw), Ok(Name::Skip(raw.to_owned())));
        }
        for raw in [".well-known/prep/estado.json", "sitio/.Well-Known/x", ".well-known"] {
            assert_eq!(name(raw), Err(Reason::PathDotfile));
        }
    }

    #[test]
    fn composing_is_a_policy() {
        let limits = Limits { nfd: Nfd::Compose, ..Limits::default() };
        assert_eq!(check_name("pequen\u{303}a".as_bytes(), &limits), Ok(Name::Path("pequeña".to_owned())));
    }

    #[test]
    fn twins_and_clashes_are_found() {
        let mut index = Index::default();
        assert_eq!(index.add("a/b/c.json", Kind::File), Ok(()));
        assert_eq!((index.len(), index.dirs()), (3, 2), "implied directories count");
        assert_eq!(index.add("a/b", Kind::Dir), Ok(()), "a directory may be announced late");
        assert_eq!(index.add("a/b/c.json", Kind::File), Err(Reason::DuplicateEntry));
        assert_eq!(index.add("a/B/d", Kind::File), Err(Reason::NameCollision));
        assert_eq!(index.add("a/b", Kind::File), Err(Reason::NameCollision));
        let mut index = Index::default();
        assert_eq!(index.add("x", Kind::File), Ok(()));
        assert_eq!(index.add("x/y", Kind::File), Err(Reason::NameCollision));
        assert_eq!(index.add("Straße", Kind::File), Ok(()));
        assert_eq!(index.add("STRASSE", Kind::File), Err(Reason::NameCollision));
        assert_eq!(index.add("ñ", Kind::File), Ok(()));
        assert_eq!(index.add("Ñ", Kind::File), Err(Reason::NameCollision));
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_clean_and_stable(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Name::Path(path)) = name(&raw) {
                let limits = Limits::default();
                prop_assert!(!path.starts_with('/') && !path.ends_with('/'));
                prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255));
                prop_assert!(path.split('/').count() <= limits.depth);
                prop_assert!(!path.chars().any(is_bad) && is_nfc(&path));
                prop_assert_eq!(name(&path), Ok(Name::Path(path)));
            }
        }

        #[test]
        fn dots_and_slashes_never_climb(raw in "[./a\\\\]{0,24}") {
            if let Ok(Name::Path(path) | Name::Skip(path)) = name(&raw) {
                let depth = path.split('/').count();
                let joined = std::path::Path::new("/root").join(&path);
                prop_assert!(joined.starts_with("/root") && joined.components().count() == depth + 2);
            }
        }

        #[test]
        fn folding_is_idempotent(text in "\\PC{0,24}") {
            prop_assert_eq!(folded(&folded(&text)), folded(&text));
        }
    }
}
