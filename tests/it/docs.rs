//! The documents that are made from the code say what the code says.

use std::fmt::Write as _;
use std::path::Path;

use difusor::model::{Code, Lang};

#[test]
fn codes_in_docs_are_those_of_the_code() {
    let mut made = String::from(
        "# Codes of refusal\n\nStable: scripts, ledger and reports rely on them. `difusor package verify FILE` gives the same\n\
         verdict without a service. Made from `src/model/code.rs`; a test keeps it so.\n\n\
         | code | stage (etapa) | what | qué | what to do | qué hacer |\n|---|---|---|---|---|---|\n",
    );
    for code in Code::all() {
        let stage = format!("{} ({})", code.stage().label(Lang::En), code.stage().label(Lang::Es));
        let texts = [code.what(Lang::En), code.what(Lang::Es), code.todo(Lang::En), code.todo(Lang::Es)];
        let _ = writeln!(made, "| `{code}` | {stage} | {} |", texts.join(" | "));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CODES.md");
    if std::env::var_os("DIFUSOR_BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "docs/CODES.md is stale: run DIFUSOR_BLESS=1 cargo it codes_in_docs");
}

/// The two READMEs have the same shape: as many sections, commands and table rows.
#[test]
fn the_spanish_readme_keeps_step_with_the_english_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shape = |name: &str| {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let count = |head: &str| text.lines().filter(|l| l.starts_with(head)).count();
        let links = text.matches("](").count();
        (count("## "), count("```"), count("| "), count("1. ") + count("7. "), links)
    };
    assert_eq!(shape("README.md"), shape("README.es.md"));
}
