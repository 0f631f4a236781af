//! `test`, `[` and `[[`: questions about files, texts and numbers.

use std::cmp::Ordering;

use crate::drop::Stat;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::Call;
use super::super::shell::{Done, Shell};
use super::Builtin;

/// A question whose words were understood.
#[derive(Debug)]
enum Question {
    Known(bool),
    Not(Box<Self>),
    /// `-e`, `-f`… and a name.
    File(FileTest, Word),
    /// `-nt`, `-ot`.
    Newer {
        a: Word,
        b: Word,
        wanted: Ordering,
    },
}

#[derive(Clone, Copy, Debug)]
enum FileTest {
    Exists,
    File,
    Dir,
    HoldsSomething,
}

/// The command, with its words for telling.
#[derive(Debug)]
struct Test {
    question: Question,
    text: String,
}

pub(super) fn test(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let words = match (call.name, call.args.split_last()) {
        ("[", Some((last, words))) if last.bytes() == b"]" => words,
        ("[[", Some((last, words))) if last.bytes() == b"]]" => words,
        ("[" | "[[", _) => return Err(call.usage("[ -e|-f|-d|-s NAME ]")),
        _ => call.args,
    };
    let question =
        question(words).ok_or_else(|| call.usage("test [!] -e|-f|-d|-s NAME | A = B | N -eq M"))?;
    let text = words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
    Ok(Box::new(Test { question, text }))
}

/// By the number of words, as POSIX has it.
fn question(words: &[Word]) -> Option<Question> {
    match words {
        [] => Some(Question::Known(false)),
        [word] => Some(Question::Known(!word.bytes().is_empty())),
        [not, rest @ ..] if not.bytes() == b"!" && rest.len() != 2 => {
            Some(Question::Not(Box::new(question(rest)?)))
        }
        [operator, operand] if operator.bytes() == b"!" => Some(Question::Known(operand.bytes().is_empty())),
        [operator, operand] => unary(&operator.bytes(), operand),
        [a, operator, b] => binary(a, &operator.bytes(), b).or_else(|| {
            let negated = a.bytes() == b"!";
            negated.then(|| unary(&operator.bytes(), b)).flatten().map(|q| Question::Not(Box::new(q)))
        }),
        _ => None,
    }
}

fn unary(operator: &[u8], operand: &Word) -> Option<Question> {
    let file = |test| Some(Question::File(test, operand.clone()));
    match operator {
        b"-n" => Some(Question::Known(!operand.bytes().is_empty())),
        b"-z" => Some(Question::Known(operand.bytes().is_empty())),
        // What is there may be read; whether it may be written the write itself will tell.
        b"-e" | b"-r" | b"-w" => file(FileTest::Exists),
        b"-f" => file(FileTest::File),
        // Only folders can be entered, and nothing can be executed.
        b"-d" | b"-x" => file(FileTest::Dir),
        b"-s" => file(FileTest::HoldsSomething),
        // There are no links, and no terminal.
        b"-L" | b"-h" | b"-t" | b"-p" | b"-S" | b"-b" | b"-c" => Some(Question::Known(false)),
        _ => None,
    }
}

fn binary(a: &Word, operator: &[u8], b: &Word) -> Option<Question> {
    let number = |word: &Word| String::from_utf8(word.bytes()).ok()?.trim().parse::<i64>().ok();
    let numbers = || Some(number(a)?.cmp(&number(b)?));
    let known = match operator {
        b"=" | b"==" => a.bytes() == b.bytes(),
        b"!=" => a.bytes() != b.bytes(),
        b"-eq" => numbers()?.is_eq(),
        b"-ne" => numbers()?.is_ne(),
        b"-gt" => numbers()?.is_gt(),
        b"-ge" => numbers()?.is_ge(),
        b"-lt" => numbers()?.is_lt(),
        b"-le" => numbers()?.is_le(),
        b"-nt" => return Some(Question::Newer { a: a.clone(), b: b.clone(), wanted: Ordering::Greater }),
        b"-ot" => return Some(Question::Newer { a: a.clone(), b: b.clone(), wanted: Ordering::Less }),
        _ => return None,
    };
    Some(Question::Known(known))
}

impl Question {
    fn answer(&self, shell: &Shell<'_>) -> bool {
        match self {
            Self::Known(known) => *known,
            Self::Not(inner) => !inner.answer(shell),
            Self::File(test, name) => stat(shell, name).is_some_and(|stat| match test {
                FileTest::Exists => true,
                FileTest::File => !stat.is_dir,
                FileTest::Dir => stat.is_dir,
                FileTest::HoldsSomething => stat.is_dir || stat.size > 0,
            }),
            // What exists is newer than what does not.
            Self::Newer { a, b, wanted } => {
                let mtime = |word| stat(shell, word).map(|stat| stat.mtime);
                mtime(a).cmp(&mtime(b)) == *wanted
            }
        }
    }
}

fn stat(shell: &Shell<'_>, name: &Word) -> Option<Stat> {
    let path = shell.path(&name.bytes()).ok()?;
    shell.view.stat(&path).ok()
}

impl Builtin for Test {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        Ok(u32::from(!self.question.answer(shell)))
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        format!("{} «{}»", teller.say("pregunta si", "asks whether"), self.text)
    }
}
