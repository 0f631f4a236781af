//! What of the site a request was for: a page, a view of results, or something they are made with.

/// What a valid GET was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An HTML document: an index, a route of an application, our own frame.
    Page,
    /// Data of results.
    View,
    /// A script, a style, an image, a download.
    Other,
}

/// What a target is for, by its name alone: the log of a distribution network has no more, and a 304 has no
/// type. Whatever has no extension is a page, as applications route by path.
pub(super) fn kind(path: &[u8]) -> Kind {
    if path.starts_with(OURS) {
        return if path == FRAME { Kind::Page } else { Kind::Other };
    }
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let Some(at) = memchr::memrchr(b'.', name) else { return Kind::Page };
    let extension = name.get(at + 1..).unwrap_or_default();
    if is_one_of(extension, &["html", "htm", "xhtml"]) {
        Kind::Page
    } else if extension.eq_ignore_ascii_case(b"json") && !is_one_of(name, NO_RESULTS) {
        Kind::View
    } else {
        Kind::Other
    }
}

/// The path of a target, without its query.
pub(super) fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    target.get(..end).unwrap_or(target)
}

/// The path under which a page or a view is counted: an index is its folder.
pub(super) fn counted(path: &[u8]) -> &[u8] {
    let folder = path.strip_suffix(b"index.html").filter(|folder| folder.ends_with(b"/"));
    let path = folder.unwrap_or(path);
    path.get(..PATH_BYTES_MAX).unwrap_or(path)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name))
}

/// A page, or several, by the name that people know.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PageName {
    /// The path, with or without the slash in front; `*` stands for anything.
    pub pattern: String,
    /// The name; `{}` stands for what the first `*` stood for.
    pub name: String,
}

impl PageName {
    /// The name of this path, if the pattern is of it.
    pub(super) fn of(&self, path: &str) -> Option<String> {
        let (pattern, path) = (self.pattern.trim_start_matches('/'), path.trim_start_matches('/'));
        let stood_for = matches(pattern, path)?;
        Some(self.name.replace("{}", stood_for))
    }
}

/// What the first star stands for, if the pattern is of the whole text.
fn matches<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == text).then_some("");
    };
    let rest = text.strip_prefix(before)?;
    // Shortest first; names have few stars, and few letters.
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.filter_map(|end| Some((rest.get(..end)?, rest.get(end..)?)))
        .find(|(_, tail)| matches(after, tail).is_some())
        .map(|(stood_for, _)| stood_for)
}

/// What we say ourselves is no page of results,
const OURS: &[u8] = b"/.well-known/";
/// but the frame that other portals show is a page.
const FRAME: &[u8] = b"/.well-known/prep/marco";
/// JSON that applications are made with.
const NO_RESULTS: &[&str] =
    &["manifest.json", "ngsw.json", "asset-manifest.json", "package.json", "stats.json", "config.json"];
/// Longest path that is counted by itself.
const PATH_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_html_and_views_are_data() {
        for (target, expected) in [
            ("/", Kind::Page),
            ("/index.html?x=1.js", Kind::Page),
            ("/publicacion/nacional/", Kind::Page),
            ("/entidad/23", Kind::Page),
            ("/.well-known/prep/marco", Kind::Page),
            ("/.well-known/prep/estado.json", Kind::Other),
            ("/.well-known/acme-challenge/x", Kind::Other),
            ("/assets/presidencia/entidad/23.json?rand=0.3", Kind::View),
            ("/assets/presidencia/entidad/23.JSON", Kind::View),
            ("/manifest.json", Kind::Other),
            ("/base.csv", Kind::Other),
            ("/main.1a2b.js", Kind::Other),
            ("/v1.2/avance", Kind::Page),
        ] {
            assert_eq!(kind(path(target.as_bytes())), expected, "{target}");
        }
        assert_eq!(counted(b"/a/index.html"), b"/a/");
        assert_eq!(counted(b"/myindex.html"), b"/myindex.html");
    }

    #[test]
    fn pages_have_names_that_people_know() {
        let name =
            |pattern: &str, name: &str| PageName { pattern: pattern.to_owned(), name: name.to_owned() };
        let one = name("assets/presidencia/entidad/23.json", "Presidencia · Quintana Roo");
        let many = name("/assets/*/entidad/*.json", "Entidad, {}");
        assert_eq!(one.of("/assets/presidencia/entidad/23.json").unwrap(), "Presidencia · Quintana Roo");
        assert_eq!(many.of("/assets/senado/entidad/9.json").unwrap(), "Entidad, senado");
        assert_eq!(one.of("/assets/presidencia/entidad/2.json"), None);
        assert_eq!(many.of("/assets/senado/entidad/9.json.gz"), None);
        assert_eq!(name("*", "Todo {}").of("/ñ").unwrap(), "Todo ñ");
    }
}
