//! Paths of the virtual root. Everything a client names ends up here or is refused.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// An absolute, normalised path in the sender's virtual root: never holds `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VPath(Vec<OsString>);

impl VPath {
    /// The virtual root, where every session begins.
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// Its components.
    pub fn components(&self) -> &[OsString] {
        &self.0
    }

    /// A child of this directory. `name` must be one plain component.
    pub fn join(&self, name: &OsStr) -> Self {
        let mut parts = self.0.clone();
        parts.push(name.to_owned());
        Self(parts)
    }

    /// The directory above; the root is its own parent.
    pub fn parent(&self) -> Self {
        let mut parts = self.0.clone();
        parts.pop();
        Self(parts)
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&OsStr> {
        self.0.last().map(OsString::as_os_str)
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// `/a/b`, as bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            bytes.push(b'/');
            bytes.extend_from_slice(part.as_bytes());
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes
    }

    /// What `raw` means in directory `cwd`, by its letters alone: `~` and `/` lead to the
    /// root, `..` never above it.
    pub fn resolve(cwd: &Self, raw: &[u8]) -> Self {
        let (mut parts, rest) = match raw {
            [b'/', ..] => (Vec::new(), raw),
            // Whatever user it names: there is one home.
            [b'~', ..] => (
                Vec::new(),
                raw.iter().position(|b| *b == b'/').and_then(|at| raw.get(at..)).unwrap_or_default(),
            ),
            _ => (cwd.0.clone(), raw),
        };
        for part in rest.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                part => parts.push(OsString::from_vec(part.to_vec())),
            }
        }
        Self(parts)
    }

    /// The components below `prefix`, if this lies there.
    pub(super) fn below(&self, prefix: &Self) -> Option<&[OsString]> {
        self.0.strip_prefix(prefix.0.as_slice())
    }

    pub(super) fn extended(&self, rest: &[OsString]) -> Self {
        Self(self.0.iter().chain(rest).cloned().collect())
    }

    /// As a relative path for the file layer.
    pub(super) fn to_relative(&self) -> PathBuf {
        self.0.iter().collect()
    }
}

impl From<&Path> for VPath {
    fn from(path: &Path) -> Self {
        let plain = |c: Component<'_>| match c {
            Component::Normal(part) => Some(part.to_owned()),
            _ => None,
        };
        Self(path.components().filter_map(plain).collect())
    }
}

/// The institute's own absolute paths, and where they lead.
#[derive(Clone, Debug, Default)]
pub struct Aliases(Vec<(VPath, VPath)>);

impl Aliases {
    /// The pairs of the configuration.
    pub fn new(aliases: &[(PathBuf, String)]) -> Self {
        let mut known: Vec<(VPath, VPath)> = aliases
            .iter()
            .map(|(from, to)| (from.as_path().into(), VPath::resolve(&VPath::root(), to.as_bytes())))
            .filter(|(from, _): &(VPath, VPath)| !from.0.is_empty())
            .collect();
        known.sort_by_key(|(from, _)| std::cmp::Reverse(from.0.len()));
        Self(known)
    }

    /// Follows the longest alias that fits. Relative paths too, so that
    /// `cd /var/www/html && tar x -C prep` finds its place.
    pub fn follow(&self, path: VPath) -> VPath {
        let fits = self.0.iter().find_map(|(from, to)| path.below(from).map(|rest| to.extended(rest)));
        fits.unwrap_or(path)
    }

    /// Whether an alias lies below this path: then it must look like a directory.
    pub(super) fn leads_on(&self, path: &VPath) -> bool {
        self.0.iter().any(|(from, _)| from.is_within(path) && from != path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cwd: &str, raw: &str) -> String {
        let cwd = VPath::resolve(&VPath::root(), cwd.as_bytes());
        String::from_utf8(VPath::resolve(&cwd, raw.as_bytes()).to_bytes()).unwrap()
    }

    #[test]
    fn no_path_leads_above_the_root() {
        assert_eq!(shown("/a/b", "../c"), "/a/c");
        assert_eq!(shown("/a", "../../../etc/passwd"), "/etc/passwd");
        assert_eq!(shown("/a", "./x//y/."), "/a/x/y");
        assert_eq!(shown("/a", ""), "/a");
        assert_eq!(shown("/a", "~"), "/");
        assert_eq!(shown("/a", "~prep/x"), "/x");
        assert_eq!(shown("/a", "/../.."), "/");
    }

    #[test]
    fn the_longest_alias_is_followed() {
        let aliases = Aliases::new(&[
            ("/var/www".into(), "/paquetes".to_owned()),
            ("/var/www/html/prep".into(), "/sitio".to_owned()),
        ]);
        let follow = |raw: &str| {
            let path = aliases.follow(VPath::resolve(&VPath::root(), raw.as_bytes()));
            String::from_utf8(path.to_bytes()).unwrap()
        };
        assert_eq!(follow("/var/www/html/prep/index.html"), "/sitio/index.html");
        assert_eq!(follow("/var/www/x.zip"), "/paquetes/x.zip");
        assert_eq!(follow("/var/wwwx"), "/var/wwwx");
        assert!(aliases.leads_on(&VPath::resolve(&VPath::root(), b"/var")));
    }
}
