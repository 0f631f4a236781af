//! What a release holds: path by path, what `sha256sum` would say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::Digest;

/// What is known of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Modification time the package gave, in seconds since 1970. Never trusted for anything
    /// but being shown.
    pub mtime: i64,
}

/// Every file of a tree by its relative path, sorted by the bytes of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    files: BTreeMap<String, FileFacts>,
}

/// A manifest that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the manifest is not one of sha256sum")]
pub struct ManifestError {
    /// Which line, from 1.
    pub line: usize,
}

impl Manifest {
    /// The files by path.
    pub fn files(&self) -> &BTreeMap<String, FileFacts> {
        &self.files
    }

    /// What is known of one file.
    pub fn get(&self, path: &str) -> Option<&FileFacts> {
        self.files.get(path)
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|f| f.size).sum()
    }

    /// Adds or replaces a file; gives what was there.
    pub fn insert(&mut self, path: impl Into<String>, facts: FileFacts) -> Option<FileFacts> {
        self.files.insert(path.into(), facts)
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Option<FileFacts> {
        self.files.remove(path)
    }

    /// Paths of `path` itself, if it is a file, and of every file beneath it.
    pub fn beneath(&self, path: &str) -> Vec<String> {
        let inside = format!("{path}/");
        let own = self.files.get_key_value(path).map(|(p, _)| p.clone());
        let below = self.files.range(inside.clone()..).take_while(|(p, _)| p.starts_with(&inside));
        own.into_iter().chain(below.map(|(p, _)| p.clone())).collect()
    }

    /// The one directory at the top that everything lies beneath, if there is one.
    pub fn common_top(&self) -> Option<&str> {
        let (first, _) = self.files.first_key_value()?;
        let (top, _) = first.split_once('/')?;
        let inside = |path: &String| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        self.files.keys().all(inside).then_some(top)
    }

    /// As `sha256sum` writes it and `sha256sum --check` reads it, sorted by path.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.files.len() * 100);
        for (path, facts) in &self.files {
            let plain = !path.contains(['\\', '\n', '\r']);
            let path = if plain { path.clone() } else { escaped(path) };
            let mark = if plain { "" } else { "\\" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{mark}{}  {path}", facts.sha256);
        }
        text
    }

    /// SHA-256 of the text: the one name of the whole tree's content.
    pub fn tree_hash(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Reads what [`Manifest::text`] wrote; sizes and times are 0, they are not in it.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let (path, sha256) = parse_line(line).ok_or(ManifestError { line: at + 1 })?;
            files.insert(path, FileFacts { sha256, size: 0, mtime: 0 });
        }
        Ok(Self { files })
    }

    pub(super) fn files_mut(&mut self) -> &mut BTreeMap<String, FileFacts> {
        &mut self.files
    }

    /// The same tree with `top/` taken from every path; `None` if something lies elsewhere.
    pub fn stripped(&self, top: &str) -> Option<Self> {
        let strip = |path: &String| Some(path.strip_prefix(top)?.strip_prefix('/')?.to_owned());
        let files = self.files.iter().map(|(path, facts)| Some((strip(path)?, *facts)));
        Some(Self { files: files.collect::<Option<_>>()? })
    }
}

impl FromIterator<(String, FileFacts)> for Manifest {
    fn from_iter<I: IntoIterator<Item = (String, FileFacts)>>(files: I) -> Self {
        Self { files: files.into_iter().collect() }
    }
}

fn parse_line(line: &str) -> Option<(String, Digest)> {
    let (is_escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hash, path) = line.split_once("  ")?;
    let path = if is_escaped { unescaped(path)? } else { path.to_owned() };
    (!path.is_empty()).then_some((path, hash.parse().ok()?))
}

fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(path: &str) -> Option<String> {
    let (mut plain, mut chars) = (String::with_capacity(path.len()), path.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str]) -> Manifest {
        let facts = |p: &str| FileFacts { sha256: Digest::of(p.as_bytes()), size: 0, mtime: 0 };
        paths.iter().map(|p| ((*p).to_owned(), facts(p))).collect()
    }

    #[test]
    fn sha256sum_writes_the_same_text() {
        let scratch = tempfile::tempdir().unwrap();
        let names = ["a b", "a\\b", "a\nb", "ñ.json", "z/index.html"];
        std::fs::create_dir(scratch.path().join("z")).unwrap();
        for name in names {
            std::fs::write(scratch.path().join(name), name).unwrap();
        }
        let out = std::process::Command::new("sha256sum")
            .args(["a\nb", "a b", "a\\b", "z/index.html", "ñ.json"])
            .current_dir(scratch.path())
            .output()
            .unwrap();
        let text = of(&names).text();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        assert_eq!(Manifest::parse(&text).unwrap(), of(&names));
    }

    #[test]
    fn a_damaged_manifest_is_refused() {
        let text = of(&["a", "b"]).text();
        for bad in [text.replace("  b", " b"), text.replace("  b", "  "), format!("{text}x\n")] {
            assert!(Manifest::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_one_top_directory_is_found() {
        assert_eq!(of(&["prep/a", "prep/b/c"]).common_top(), Some("prep"));
        assert_eq!(of(&["prep/a", "prep2/b"]).common_top(), None);
        assert_eq!(of(&["prep", "prep/b"]).common_top(), None);
        assert_eq!(of(&[]).common_top(), None);
        assert_eq!(
            of(&["prep/a", "prep/b/c"]).stripped("prep"),
            Some(Manifest {
                files: of(&["prep/a", "prep/b/c"])
                    .files
                    .into_iter()
                    .map(|(p, f)| (p[5..].to_owned(), f))
                    .collect()
            })
        );
    }

    #[test]
    fn what_lies_beneath_a_path_is_found() {
        let manifest = of(&["a", "a.b", "a/b", "a/b/c", "ab"]);
        assert_eq!(manifest.beneath("a"), ["a", "a/b", "a/b/c"]);
        assert_eq!(manifest.beneath("a/b/c"), ["a/b/c"]);
        assert!(manifest.beneath("c").is_empty());
    }
}
