//! The shape of a command line: words, quotes, operators and redirections.
//!
//! Knows nothing of commands or files: [`parse`] is a plain function from bytes to a
//! [`Line`], in one pass and in linear time. Imports only [`Fault`]. What it does not
//! understand it refuses; it never guesses, because a word read differently from how the
//! sender's shell meant it is worse than a refusal.
//!
//! Quoting is POSIX's (XCU 2.2). There is no expansion but `~` and, where a command asks
//! for it, `*` and `?`.

use super::fault::{Fault, shown};

/// Longest line. ssh itself sends more, but no script's command line comes near it.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Most words of a line.
pub const WORDS_MAX: usize = 4096;
/// Most commands of a line.
pub const STEPS_MAX: usize = 1000;

/// A command line that was understood as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pipelines in order, each with the condition under which it is run.
    pub steps: Vec<Step>,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it is run.
    pub gate: Gate,
    /// Whether `!` turns its status round.
    pub negated: bool,
    /// Its commands; more than one are joined by pipes.
    pub commands: Vec<Simple>,
    /// As the sender wrote it, made safe to show.
    pub text: String,
}

/// When a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It begins a line or follows `;`.
    Always,
    /// It follows `&&`: when the last status is 0.
    Success,
    /// It follows `||`: when the last status is not 0.
    Failure,
}

/// A command with its words and redirections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simple {
    /// Its name and arguments.
    pub words: Vec<Word>,
    /// In the order they were written.
    pub redirects: Vec<Redirect>,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// `< NAME`.
    Input(Word),
    /// `> NAME`, `2> NAME`, `&> NAME`.
    Output {
        /// What is redirected.
        from: Flow,
        /// Where to.
        name: Word,
        /// `>>`.
        mode: Mode,
    },
    /// `2>&1`, `1>&2`.
    Join {
        /// What is redirected.
        from: Flow,
        /// What it follows from now on.
        to: Flow,
    },
}

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Both (`&>`).
    Both,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `>`.
    Truncate,
    /// `>>`.
    Append,
}

/// One word, its quotes removed but not forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    glyphs: Vec<Glyph>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Glyph {
    byte: u8,
    quoted: bool,
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This byte.
    Byte(u8),
    /// `?`: any one byte.
    One,
    /// `*`: any bytes.
    Any,
}

impl Word {
    /// The bytes it stands for; `~` is the virtual root, whatever user it names.
    pub fn bytes(&self) -> Vec<u8> {
        let home = self.home_length();
        let mut bytes: Vec<u8> = self.glyphs.iter().skip(home).map(|g| g.byte).collect();
        if home > 0 && bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes
    }

    /// Whether an unquoted `*` or `?` is in it.
    pub fn is_pattern(&self) -> bool {
        self.glyphs.iter().any(Glyph::is_wild)
    }

    /// The word as a pattern.
    pub fn pieces(&self) -> Vec<Piece> {
        let piece = |glyph: &Glyph| match (glyph.quoted, glyph.byte) {
            (false, b'*') => Piece::Any,
            (false, b'?') => Piece::One,
            (_, byte) => Piece::Byte(byte),
        };
        let home = self.home_length();
        self.glyphs.iter().skip(home).map(piece).collect()
    }

    /// Whether it is this text, written without quotes.
    pub fn is_plain(&self, text: &str) -> bool {
        self.glyphs.iter().all(|g| !g.quoted) && self.glyphs.iter().map(|g| g.byte).eq(text.bytes())
    }

    /// Whether it is `NAME=value`.
    pub fn is_assignment(&self) -> bool {
        let name = self.glyphs.iter().take_while(|g| !g.quoted && is_name(g.byte)).count();
        let starts = self.glyphs.first().is_some_and(|g| !g.byte.is_ascii_digit());
        name > 0 && starts && self.glyphs.get(name).is_some_and(|g| !g.quoted && g.byte == b'=')
    }

    /// For sentences.
    pub fn shown(&self) -> String {
        shown(&self.bytes())
    }

    /// Glyphs of a leading `~` or `~user`, 0 without.
    fn home_length(&self) -> usize {
        if self.glyphs.first().is_none_or(|g| g.quoted || g.byte != b'~') {
            return 0;
        }
        let end = self.glyphs.iter().position(|g| g.byte == b'/').unwrap_or(self.glyphs.len());
        let user = self.glyphs.get(1..end).unwrap_or_default();
        if user.iter().all(|g| !g.quoted && (is_name(g.byte) || b"-.".contains(&g.byte))) { end } else { 0 }
    }

    fn push(&mut self, byte: u8, quoted: bool) {
        self.glyphs.push(Glyph { byte, quoted });
    }

    /// What a shell would expand and we do not.
    fn check(self) -> Result<Self, Fault> {
        let find = |byte: u8, from: usize| {
            let rest = self.glyphs.get(from..).unwrap_or_default();
            rest.iter().position(|g| !g.quoted && g.byte == byte).map(|at| at + from)
        };
        if find(b'[', 0).is_some_and(|open| find(b']', open + 1).is_some()) {
            return Err(Fault::Bracket);
        }
        if let Some((open, close)) = find(b'{', 0).and_then(|open| Some((open, find(b'}', open)?))) {
            let inside = self.glyphs.get(open..close).unwrap_or_default();
            let dots = inside.windows(2).any(|pair| pair.iter().all(|g| !g.quoted && g.byte == b'.'));
            if dots || inside.iter().any(|g| !g.quoted && g.byte == b',') {
                return Err(Fault::Braces);
            }
        }
        Ok(self)
    }
}

impl Glyph {
    fn is_wild(&self) -> bool {
        !self.quoted && matches!(self.byte, b'*' | b'?')
    }
}

/// A word of exactly these bytes, as if it had been quoted.
impl From<&[u8]> for Word {
    fn from(bytes: &[u8]) -> Self {
        Self { glyphs: bytes.iter().map(|byte| Glyph { byte: *byte, quoted: true }).collect() }
    }
}

/// Reads a whole command line (newlines separate commands).
pub fn parse(text: &[u8]) -> Result<Line, Fault> {
    if text.len() > LINE_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    if text.contains(&0) {
        return Err(Fault::Nul);
    }
    Parser { text, at: 0, words: 0, commands: 0 }.line()
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    words: usize,
    commands: usize,
}

/// What ends or joins commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
    Pipe,
    Semicolon,
    Newline,
    End,
}

impl Parser<'_> {
    fn line(mut self) -> Result<Line, Fault> {
        let mut line = Line::default();
        let mut gate = Gate::Always;
        loop {
            self.blank(Newlines::Skip);
            if self.peek().is_none() {
                return if gate == Gate::Always { Ok(line) } else { Err(Fault::Dangling) };
            }
            let (step, joint) = self.step(gate)?;
            line.steps.push(step);
            gate = match joint {
                Joint::And => Gate::Success,
                Joint::Or => Gate::Failure,
                Joint::Semicolon | Joint::Newline | Joint::End | Joint::Pipe => Gate::Always,
            };
        }
    }

    fn step(&mut self, gate: Gate) -> Result<(Step, Joint), Fault> {
        let begin = self.at;
        let mut step = Step { gate, negated: false, commands: Vec::new(), text: String::new() };
        while self.bang() {
            step.negated = !step.negated;
            self.blank(Newlines::Keep);
        }
        loop {
            step.commands.push(self.simple()?);
            let end = self.at;
            match self.joint()? {
                Joint::Pipe => {
                    self.blank(Newlines::Skip);
                    if self.peek().is_none() {
                        return Err(Fault::Dangling);
                    }
                }
                joint => {
                    step.text = shown(self.text.get(begin..end).unwrap_or_default().trim_ascii());
                    return Ok((step, joint));
                }
            }
        }
    }

    /// A `!` that stands alone.
    fn bang(&mut self) -> bool {
        let alone = self.peek() == Some(b'!') && matches!(self.peek_at(1), Some(b' ' | b'\t'));
        self.at += usize::from(alone);
        alone
    }

    fn simple(&mut self) -> Result<Simple, Fault> {
        self.commands += 1;
        if self.commands > STEPS_MAX {
            return Err(Fault::TooManySteps);
        }
        let mut simple = Simple::default();
        loop {
            self.blank(Newlines::Keep);
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
            } else if let Some(word) = self.word()? {
                if simple.words.is_empty() {
                    keyword(&word)?;
                }
                simple.words.push(word);
            } else {
                break;
            }
        }
        if simple.words.is_empty() {
            // `> file` alone, `&& x`, `; ;`.
            return Err(if self.peek() == Some(b'(') { Fault::Group } else { Fault::Misplaced });
        }
        Ok(simple)
    }

    fn joint(&mut self) -> Result<Joint, Fault> {
        let (joint, length) = match (self.peek(), self.peek_at(1)) {
            (None, _) => (Joint::End, 0),
            (Some(b'\n'), _) => (Joint::Newline, 1),
            (Some(b';'), Some(b';')) => return Err(Fault::Misplaced),
            (Some(b';'), _) => (Joint::Semicolon, 1),
            (Some(b'&'), Some(b'&')) => (Joint::And, 2),
            (Some(b'&'), _) => return Err(Fault::Background),
            (Some(b'|'), Some(b'|')) => (Joint::Or, 2),
            (Some(b'|'), Some(b'&')) => return Err(Fault::Pipe),
            (Some(b'|'), _) => (Joint::Pipe, 1),
            (Some(b'(' | b')'), _) => return Err(Fault::Group),
            _ => return Err(Fault::Misplaced),
        };
        self.at += length;
        Ok(joint)
    }

    /// Skips blanks, escaped newlines and comments.
    fn blank(&mut self, newlines: Newlines) {
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some(b' ' | b'\t'), _) => self.at += 1,
                // The end of a line that a Windows editor wrote.
                (Some(b'\r'), Some(b'\n') | None) => self.at += 1,
                (Some(b'\\'), Some(b'\n')) => self.at += 2,
                (Some(b'\n'), _) if newlines == Newlines::Skip => self.at += 1,
                (Some(b'#'), _) => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, Fault> {
        let (from, length) = match (self.peek(), self.peek_at(1), self.peek_at(2)) {
            (Some(b'&'), Some(b'>'), _) => (Some(Flow::Both), 1),
            (Some(b'<' | b'>'), ..) => (None, 0),
            (Some(b'0'), Some(b'<'), _) => (None, 1),
            (Some(b'1'), Some(b'>'), _) => (Some(Flow::Out), 1),
            (Some(b'2'), Some(b'>'), _) => (Some(Flow::Err), 1),
            _ if self.numbered() => return Err(Fault::Redirect),
            _ => return Ok(None),
        };
        self.at += length;
        let input = self.take() == Some(b'<');
        let redirect = match (input, self.peek()) {
            (true, Some(b'<')) => return Err(Fault::HereDocument),
            (_, Some(b'(')) => return Err(Fault::Substitution),
            (true, Some(b'&' | b'>')) => return Err(Fault::Redirect),
            (true, _) => Redirect::Input(self.target()?),
            (false, Some(b'&')) => self.join(from)?,
            (false, next) => {
                let mode = if next == Some(b'>') { Mode::Append } else { Mode::Truncate };
                // `>|` is `>` where the sender's shell would rather not overwrite.
                self.at += usize::from(matches!(next, Some(b'>' | b'|')));
                Redirect::Output { from: from.unwrap_or(Flow::Out), name: self.target()?, mode }
            }
        };
        Ok(Some(redirect))
    }

    /// Whether a descriptor's number stands here, right before `<` or `>`.
    fn numbered(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        digits > 0 && matches!(rest.get(digits), Some(b'<' | b'>'))
    }

    /// Behind `>&`.
    fn join(&mut self, from: Option<Flow>) -> Result<Redirect, Fault> {
        self.at += 1;
        let to = match self.word()? {
            Some(word) if word.is_plain("1") => Flow::Out,
            Some(word) if word.is_plain("2") => Flow::Err,
            _ => return Err(Fault::Redirect),
        };
        match from.unwrap_or(Flow::Out) {
            Flow::Both => Err(Fault::Redirect),
            from => Ok(Redirect::Join { from, to }),
        }
    }

    fn target(&mut self) -> Result<Word, Fault> {
        self.blank(Newlines::Keep);
        let word = self.word()?.ok_or(Fault::Redirect)?;
        if word.is_pattern() { Err(Fault::Redirect) } else { Ok(word) }
    }

    /// The next word; `None` before an operator or the end.
    fn word(&mut self) -> Result<Option<Word>, Fault> {
        let mut word = Word::default();
        let begin = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                b'\r' if matches!(self.peek_at(1), Some(b'\n') | None) => break,
                b'\'' => self.single(&mut word)?,
                b'"' => self.double(&mut word)?,
                b'\\' => self.escaped(&mut word)?,
                b'`' => return Err(Fault::Substitution),
                b'$' => self.dollar(&mut word, Quotes::None)?,
                _ => {
                    word.push(byte, false);
                    self.at += 1;
                }
            }
        }
        if self.at == begin {
            return Ok(None);
        }
        self.words += 1;
        if self.words > WORDS_MAX {
            return Err(Fault::TooManyWords);
        }
        word.check().map(Some)
    }

    fn single(&mut self, word: &mut Word) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.take().ok_or(Fault::Unclosed('\''))? {
                b'\'' => return Ok(()),
                byte => word.push(byte, true),
            }
        }
    }

    fn double(&mut self, word: &mut Word) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek().ok_or(Fault::Unclosed('"'))? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'`' => return Err(Fault::Substitution),
                b'$' => self.dollar(word, Quotes::Double)?,
                b'\\' => match self.peek_at(1).ok_or(Fault::Unclosed('"'))? {
                    b'\n' => self.at += 2,
                    byte @ (b'$' | b'`' | b'"' | b'\\') => {
                        word.push(byte, true);
                        self.at += 2;
                    }
                    _ => {
                        word.push(b'\\', true);
                        self.at += 1;
                    }
                },
                byte => {
                    word.push(byte, true);
                    self.at += 1;
                }
            }
        }
    }

    fn escaped(&mut self, word: &mut Word) -> Result<(), Fault> {
        match self.peek_at(1).ok_or(Fault::Unclosed('\\'))? {
            b'\n' => {}
            byte => word.push(byte, true),
        }
        self.at += 2;
        Ok(())
    }

    /// A `$` is itself only where no shell would make anything of it.
    fn dollar(&mut self, word: &mut Word, quotes: Quotes) -> Result<(), Fault> {
        match self.peek_at(1) {
            Some(b'(') => Err(Fault::Substitution),
            Some(b'\'' | b'"') if quotes == Quotes::None => Err(Fault::AnsiQuote),
            Some(b'{' | b'[' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => Err(Fault::Variable),
            Some(byte) if is_name(byte) => Err(Fault::Variable),
            _ => {
                word.push(b'$', true);
                self.at += 1;
                Ok(())
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Newlines {
    Keep,
    Skip,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Double,
}

fn keyword(word: &Word) -> Result<(), Fault> {
    if word.is_plain("{") || word.is_plain("}") {
        return Err(Fault::Group);
    }
    match KEYWORDS.iter().find(|k| word.is_plain(k)) {
        Some(found) => Err(Fault::Keyword((*found).to_owned())),
        None => Ok(()),
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// POSIX's reserved words (XCU 2.4), and bash's.
const KEYWORDS: [&str; 17] = [
    "!", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "select",
    "then", "time", "until", "while",
];
