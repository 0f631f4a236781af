//! Words, quotes, operators.

use proptest::prelude::*;

use super::super::grammar::{Gate, LINE_BYTES_MAX, STEPS_MAX, WORDS_MAX, parse};
use super::super::plan::{self, Permits};
use super::*;

/// The steps of a line as `gate:word|word`.
fn shape(line: &str) -> Vec<String> {
    let parsed = parse(line.as_bytes()).unwrap();
    let words = |words: &[super::super::grammar::Word]| {
        words.iter().map(|w| String::from_utf8(w.bytes()).unwrap()).collect::<Vec<_>>().join("|")
    };
    let step = |step: &super::super::grammar::Step| {
        let gate = match step.gate {
            Gate::Always => "",
            Gate::Success => "&&",
            Gate::Failure => "||",
        };
        let bang = if step.negated { "!" } else { "" };
        let commands: Vec<String> = step.commands.iter().map(|c| words(&c.words)).collect();
        format!("{gate}{bang}{}", commands.join(" PIPE "))
    };
    parsed.steps.iter().map(step).collect()
}

#[test]
fn words_are_read_as_posix_reads_them() {
    for (line, words) in [
        ("echo a  b", "echo|a|b"),
        ("echo 'a  b'", "echo|a  b"),
        (r#"echo "a \"b\" \$x \\ \n""#, r#"echo|a "b" $x \ \n"#),
        (r"echo a\ b \\ \'", r"echo|a b|\|'"),
        ("echo 'it'\\''s'", "echo|it's"),
        ("echo \"\" ''", "echo||"),
        ("echo a#b # rest ' is a comment", "echo|a#b"),
        ("echo a\\\nb", "echo|ab"),
        ("echo \"a\\\nb\"", "echo|ab"),
        ("echo $ a$ \"$\"", "echo|$|a$|$"),
        ("echo ~ ~/x ~prep/x '~' a~ ~-x", "echo|/|/x|/x|~|a~|/"),
        ("echo {} a{b}c", "echo|{}|a{b}c"),
        ("echo a=b", "echo|a=b"),
        ("[ -d x ]", "[|-d|x|]"),
        ("ls\r\n", "ls"),
        ("echo \u{f1}", "echo|\u{f1}"),
    ] {
        assert_eq!(shape(line), [words], "{line}");
    }
}

#[test]
fn operators_join_commands() {
    assert_eq!(shape("a && b || c; d\n\ne ;"), ["a", "&&b", "||c", "d", "e"]);
    assert_eq!(shape("a &&\n b ||\n c"), ["a", "&&b", "||c"]);
    assert_eq!(shape("! a && ! b"), ["!a", "&&!b"]);
    assert_eq!(shape("a|b | c"), ["a PIPE b PIPE c"]);
    assert_eq!(shape("a>x 2>&1 b"), ["a|b"]);
    assert_eq!(shape("# only a comment\n"), Vec::<String>::new());
}

#[test]
fn what_is_not_understood_is_named() {
    for (line, fault) in [
        ("echo 'a", Fault::Unclosed('\'')),
        ("echo \"a", Fault::Unclosed('"')),
        ("echo a\\", Fault::Unclosed('\\')),
        ("a &&", Fault::Dangling),
        ("a ||\n", Fault::Dangling),
        ("a |", Fault::Dangling),
        ("&& a", Fault::Misplaced),
        ("a ; ; b", Fault::Misplaced),
        ("a ;; b", Fault::Misplaced),
        ("> x", Fault::Misplaced),
        ("echo $HOME", Fault::Variable),
        ("echo \"${x}\"", Fault::Variable),
        ("echo $?", Fault::Variable),
        ("echo $(date)", Fault::Substitution),
        ("echo \"$(date)\"", Fault::Substitution),
        ("echo `date`", Fault::Substitution),
        ("echo \"`date`\"", Fault::Substitution),
        ("echo $'a'", Fault::AnsiQuote),
        ("a &", Fault::Background),
        ("a & b", Fault::Background),
        ("(a)", Fault::Group),
        ("a (b)", Fault::Group),
        ("a && (b)", Fault::Group),
        ("{ a; }", Fault::Group),
        ("cat <<EOF", Fault::HereDocument),
        ("cat <<< x", Fault::HereDocument),
        ("cat <(a)", Fault::Substitution),
        ("a >&-", Fault::Redirect),
        ("a 3>x", Fault::Redirect),
        ("a 10>x", Fault::Redirect),
        ("a <> x", Fault::Redirect),
        ("a > *", Fault::Redirect),
        ("a |& b", Fault::Pipe),
        ("ls x[12]", Fault::Bracket),
        ("mkdir {a,b}", Fault::Braces),
        ("mkdir {1..3}", Fault::Braces),
        ("if true", Fault::Keyword("if".into())),
        ("for f in x", Fault::Keyword("for".into())),
        ("echo \0", Fault::Nul),
    ] {
        assert_eq!(parse(line.as_bytes()).unwrap_err(), fault, "{line}");
    }
}

#[test]
fn bounds_hold() {
    assert_eq!(parse(&vec![b'a'; LINE_BYTES_MAX + 1]).unwrap_err(), Fault::TooLong);
    assert!(parse(&vec![b'a'; LINE_BYTES_MAX]).is_ok());
    assert_eq!(parse("a ".repeat(WORDS_MAX + 1).as_bytes()).unwrap_err(), Fault::TooManyWords);
    assert_eq!(parse("a;".repeat(STEPS_MAX + 1).as_bytes()).unwrap_err(), Fault::TooManySteps);
    assert!(parse("a;".repeat(STEPS_MAX).as_bytes()).is_ok());
}

const ALL: Permits = Permits { scripts: Scripts::Read, sudo: Sudo::Ignore, rsync: true };

/// Pieces that lines are made of, good and bad.
pub(super) fn lines() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "cat",
        "tar",
        "xzf",
        "-C",
        "rm",
        "-rf",
        "*",
        "..",
        "/",
        "~",
        "'",
        "\"",
        "\\",
        "&&",
        "||",
        ";",
        "|",
        ">",
        ">>",
        "2>&1",
        "<",
        "/dev/null",
        " ",
        "\n",
        "#",
        "!",
        "(",
        ")",
        "{",
        "}",
        "$",
        "`",
        "sh",
        "-c",
        "bash",
        "-s",
        "sudo",
        "env",
        "A=b",
        "scp",
        "-t",
        "find",
        "-exec",
        ";",
        "\\;",
        "test",
        "-e",
        "[",
        "]",
        "=",
        "x.tar.gz",
        "../../etc/passwd",
        "echo",
        "-n",
        "printf",
        "%s",
        "%",
        "date",
        "+%Y",
        "+%Q",
        "sleep",
        "0",
        "exit",
        "0",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" ").replace(" ' ", "' "))
}

proptest! {
    #[test]
    fn no_bytes_make_the_planner_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = plan::plan(&bytes, ALL);
    }

    #[test]
    fn no_words_make_the_planner_panic(line in lines()) {
        if let Err(fault) = plan::plan(line.as_bytes(), ALL) {
            prop_assert!(!fault.why(Lang::Es).is_empty() && !fault.why(Lang::En).is_empty());
            prop_assert!(!fault.line(Lang::Es).contains('\n'));
        }
    }

    #[test]
    fn quoted_text_is_kept_byte_for_byte(text in "[^\0']{0,60}") {
        let line = format!("echo '{text}'");
        let parsed = parse(line.as_bytes()).unwrap();
        prop_assert_eq!(parsed.steps[0].commands[0].words[1].bytes(), text.as_bytes());
    }

    #[test]
    fn whatever_is_planned_can_be_run(lines in prop::collection::vec(lines(), 1..20)) {
        let bench = Bench::with(|setup| (setup.sudo, setup.scripts) = (Sudo::Ignore, Scripts::Read));
        bench.ok("mkdir -p x.tar.gz.d && echo hola > x.tmp");
        for line in lines {
            // A panic of the runner fails the join inside.
            let ran = bench.send(&line, b"A=b\nls\n", End::Clean);
            prop_assert!(ran.status < 256, "{line}");
        }
    }
}
