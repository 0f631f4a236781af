//! The building has floors: a room may lean on lower floors only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Lowest floor first. Rooms on one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["archive", "durable", "clock", "rsync", "sandbox"],
    &["model", "ntp"],
    &["ledger", "access", "simulate", "stats"],
    &["history", "incident", "cadence", "monitor"],
    &["control", "alert", "report"],
    &["drop", "metrics", "vigil"],
    &["package"],
    &["release"],
    &["site", "audit", "rehearsal"],
    &["ssh", "rsyncd", "web", "publisher"],
    &["config"],
    &["admin"],
    &["preflight", "app"],
    &["cli"],
];

#[test]
fn rooms_import_only_lower_floors() {
    let floor: BTreeMap<&str, usize> =
        FLOORS.iter().enumerate().flat_map(|(n, rooms)| rooms.iter().map(move |r| (*r, n))).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    visit(&src, &mut |path, text| {
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "main")
            || relative.ends_with("tests.rs")
            || relative.iter().any(|p| p == "tests")
        {
            return;
        }
        let Some(&here) = floor.get(room) else {
            wrong.push(format!("{}: room `{room}` has no floor; add it to FLOORS", relative.display()));
            return;
        };
        for used in imports(production(text)) {
            if used != room && floor.get(used.as_str()).is_some_and(|&there| there >= here) {
                wrong.push(format!("{}: `{room}` (floor {here}) imports `{used}`", relative.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let mut silent = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
        let is_test = path.ends_with("tests.rs") || path.iter().any(|p| p == "tests");
        if !is_test && !text.starts_with("//!") {
            silent.push(path.display().to_string());
        }
    });
    assert!(silent.is_empty(), "no module doc:\n{}", silent.join("\n"));
}

/// The part of a file above its unit tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// Names that follow `crate::`, singly or in a brace group.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for tail in text.split("crate::").skip(1) {
        match tail.strip_prefix('{') {
            Some(group) => names.extend(members(group)),
            None => names.push(first_word(tail)),
        }
    }
    names
}

/// The first words of a brace group's members, nested groups skipped.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut begin, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                found.push(first_word(&group[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn visit(dir: &Path, see: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|e| e == "rs") {
            see(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
