use proptest::prelude::*;

use super::*;
use crate::rsync::wire::put_int;

fn options() -> Options {
    Options { recurse: true, delete: Delete::During, ..Options::default() }
}

fn wire(rules: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for rule in rules {
        put_int(&mut out, rule.len() as i32);
        out.extend_from_slice(rule.as_bytes());
    }
    put_int(&mut out, 0);
    out
}

fn read(rules: &[&str], protocol: u8) -> Result<Rules, Error> {
    Rules::read(&mut &wire(rules)[..], &options(), protocol, &Limits::default())
}

fn spares(rule: &str, path: &str) -> bool {
    let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    read(&[rule], 31).unwrap().protects(path.as_bytes(), is_dir)
}

#[test]
fn patterns_match_as_the_manual_says() {
    let cases = [
        ("- *.o", "a/b/x.o", true),
        ("- *.o", "a/b/x.oo", false),
        ("- /foo", "foo", true),
        ("- /foo", "a/foo", false),
        ("- foo/", "a/foo/", true),
        ("- foo/", "a/foo", false),
        ("- foo/*/bar", "x/foo/y/bar", true),
        ("- foo/*/bar", "x/foo/y/z/bar", false),
        ("- foo/**/bar", "x/foo/y/z/bar", true),
        ("- /foo/**/bar", "x/foo/y/bar", false),
        ("- foo/bar", "x/foo/bar", true),
        ("- foo/bar", "xfoo/bar", false),
        ("- foo/bar", "foo/bar/baz", false),
        ("- **/foo", "foo", true),
        ("- **/foo", "a/b/foo", true),
        ("- **foo", "a/bfoo", true),
        ("- dir/***", "dir/", true),
        ("- dir/***", "dir/a/b", true),
        ("- dir/***", "dir", false),
        ("- dir/**", "dir/", false),
        ("- dir/**", "dir/a/b", true),
        ("- /dir/***", "x/dir/a", false),
        ("- ?at", "cat", true),
        ("- a?b", "a/b", false),
        ("- [a-c]x", "bx", true),
        ("- [!a-c]x", "bx", false),
        ("- [^a-c]x", "dx", true),
        ("- x[!a]y", "x/y", false),
        ("- []]x", "]x", true),
        ("- [[:digit:]]*", "1a", true),
        ("- [[:digit:]]*", "a1", false),
        ("- [\\]-]x", "]x", true),
        ("- a\\*b*", "a*bc", true),
        ("- a\\*b*", "axbc", false),
        ("- a\\b", "a\\b", true),
        ("- [abc", "a", false),
        ("-! *.html", "x.css", true),
        ("-! *.html", "x.html", false),
        ("-! dir/", "file", true),
        ("- *", "x/y", true),
        ("- *", ".hidden", true),
    ];
    for (rule, path, expected) in cases {
        assert_eq!(spares(rule, path), expected, "'{rule}' of '{path}'");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = read(&["+ /keep/x", "- /keep/*", "-r y", "-s z", "+r *.x", "- *.x"], 31).unwrap();
    assert!(!rules.protects(b"keep/x", false));
    assert!(rules.protects(b"keep/y", false));
    assert!(rules.protects(b"a/y", false));
    assert!(!rules.protects(b"z", false));
    assert!(!rules.protects(b"b.x", false));
    assert!(!rules.protects(b"other", true));
}

#[test]
fn a_lone_mark_forgets_what_came_before() {
    assert!(!read(&["- a", "!"], 29).unwrap().protects(b"a", false));
    assert!(!read(&["a", "!"], 28).unwrap().protects(b"a", false));
}

#[test]
fn perishable_rules_spare_nothing_inside_what_goes() {
    let rules = read(&["-p *.svn", "- *.keep"], 30).unwrap();
    assert!(rules.protects(b"d/x.svn", false));
    assert!(!rules.protects_inside(b"d/x.svn", false));
    assert!(rules.protects_inside(b"d/x.keep", false));
}

#[test]
fn old_protocols_have_bare_patterns() {
    let rules = read(&["+ a.tmp", "*.tmp", "- b", "-c"], 28).unwrap();
    assert!(!rules.protects(b"a.tmp", false));
    assert!(rules.protects(b"b.tmp", false));
    assert!(rules.protects(b"b", false));
    assert!(rules.protects(b"-c", false));
}

#[test]
fn delete_excluded_keeps_only_rules_of_our_side() {
    let mut options = options();
    options.delete_excluded = true;
    let rules = Rules::read(&mut &wire(&["- a", "-r b"])[..], &options, 31, &Limits::default()).unwrap();
    assert!(!rules.protects(b"a", false));
    assert!(rules.protects(b"b", false));
    assert!(!Rules::expected(&options, 28));
    assert!(Rules::expected(&options, 29));
}

#[test]
fn absolute_rules_are_of_an_absolute_destination() {
    let mut options = options();
    let bytes = wire(&["-/ /srv/site/cache"]);
    let rules = Rules::read(&mut &bytes[..], &options, 31, &Limits::default()).unwrap();
    assert!(!rules.protects(b"cache", true));
    options.destination = Some(b"/srv/site/".to_vec());
    let rules = Rules::read(&mut &bytes[..], &options, 31, &Limits::default()).unwrap();
    assert!(rules.protects(b"cache", true));
    assert!(!rules.protects(b"x/cache", true));
}

#[test]
fn rules_in_files_are_refused_where_they_would_decide() {
    for rule in [": .rules", ":C .cvsignore", ". x", ": /.rsync-filter"] {
        assert_eq!(read(&[rule], 31).unwrap_err().exit, Exit::Unsupported, "{rule}");
        let options = Options { prune_empty_dirs: true, ..Options::default() };
        assert!(Rules::read(&mut &wire(&[rule])[..], &options, 31, &Limits::default()).is_ok());
    }
}

/// CVE-2026-70461, -70457: sizes are looked at before memory is taken.
#[test]
fn sizes_of_rules_are_bounded() {
    let long = format!("- {}", "x".repeat(4094));
    assert!(read(&[&long], 31).is_ok());
    assert!(read(&[&format!("{long}x")], 31).is_err());
    for length in [-1, i32::MIN, i32::MAX] {
        assert!(Rules::read(&mut &length.to_le_bytes()[..], &options(), 31, &Limits::default()).is_err());
    }
    let limits = Limits { rules: 3, ..Limits::default() };
    let many = wire(&["- a"; 4]);
    assert!(Rules::read(&mut &many[..], &options(), 31, &limits).is_err());
    for rule in ["- ", "-", "x y", "-z y", "-"] {
        assert!(read(&[rule], 31).is_err(), "{rule}");
    }
    assert!(read(&["- a\\", "- [", "- [a-", "- [[:", "- \\"], 31).is_ok());
}

#[test]
fn a_pattern_made_to_explode_does_not() {
    let rules = read(&[&format!("- {}b", "**a*".repeat(500))], 31).unwrap();
    assert!(!rules.protects("a/".repeat(2000).as_bytes(), false));
}

proptest! {
    #[test]
    fn no_rules_panic(rules in proptest::collection::vec("[-+:.PRSH!]?[/!Cpsr]{0,2} ?[a-b/*?\\[\\]!^:\\\\-]{0,12}", 0..6), path in "[a-b/]{0,9}", protocol in 27u8..=32) {
        let rules: Vec<&str> = rules.iter().map(String::as_str).filter(|rule| !rule.is_empty()).collect();
        if let Ok(rules) = read(&rules, protocol) {
            rules.protects(path.as_bytes(), true);
            rules.protects_inside(path.as_bytes(), false);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, protocol in 27u8..=32) {
        let _ = Rules::read(&mut &bytes[..], &options(), protocol, &Limits::default());
    }

    #[test]
    fn a_name_matches_itself_escaped(name in "[a-z*?\\[]{1,12}", dir in "[a-z]{1,5}") {
        let escaped: String = name.chars().flat_map(|c| if c.is_ascii_lowercase() { vec![c] } else { vec!['\\', c] }).collect();
        let pattern = if escaped == name { name.clone() } else { escaped };
        prop_assert!(spares(&format!("- {pattern}"), &name), "{}", pattern);
        let (rule, path) = (format!("- /{dir}/{pattern}"), format!("{dir}/{name}"));
        prop_assert!(spares(&rule, &path), "{}", rule);
    }
}
