//! One pattern of rsync(1), "PATTERN MATCHING RULES".
//!
//! Matching walks the text once with the set of places in the pattern that are still possible,
//! so that its time is at most the product of both lengths, whatever a peer sends.

/// A step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// This byte.
    Byte(u8),
    /// `?`: any byte but a slash.
    One,
    /// `*`: any run without a slash.
    Run,
    /// `**`: any run.
    Any,
    /// `[…]`: any byte of the set but a slash.
    Class(Box<[u64; 4]>),
}

/// Where in a path a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// At the path's beginning only.
    Root,
    /// Behind any slash too.
    Anywhere,
    /// So many components from the end.
    Last(usize),
}

/// A pattern ready to match.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    steps: Vec<Step>,
    /// All steps are bytes.
    literal: Option<Vec<u8>>,
    start: Start,
    /// A slash at the end: directories only.
    dirs_only: bool,
    /// Begins with `**`: matches as if a slash stood before the path.
    slash_before: bool,
    /// Ends with `***`: a directory matches as if a slash stood behind it.
    slash_behind: bool,
}

impl Pattern {
    /// Prepares a pattern.
    pub(super) fn new(text: &[u8]) -> Self {
        let (text, dirs_only) = match text {
            [before @ .., b'/'] if !before.is_empty() => (before, true),
            _ => (text, false),
        };
        let wild = text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        let deep = wild && text.windows(2).any(|pair| pair == b"**");
        let slash_before = deep && text.starts_with(b"**");
        let slashes = text.iter().filter(|byte| **byte == b'/').count();
        let (body, start) = match text {
            [b'/', body @ ..] => (body, Start::Root),
            _ if slash_before => (text, Start::Root),
            _ if deep => (text, Start::Anywhere),
            _ => (text, Start::Last(slashes + 1)),
        };
        Self {
            steps: if wild { steps(body) } else { Vec::new() },
            literal: (!wild).then(|| body.to_vec()),
            start,
            dirs_only,
            slash_before,
            slash_behind: deep && text.ends_with(b"***"),
        }
    }

    /// Whether it matches a path.
    pub(super) fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if path.is_empty() || (self.dirs_only && !is_dir) {
            return false;
        }
        let path = match self.start {
            Start::Last(components) => last(path, components),
            _ => path,
        };
        if let Some(literal) = &self.literal {
            return path.strip_prefix(b"/").unwrap_or(path) == literal;
        }
        let before: &[u8] = if self.slash_before && !path.starts_with(b"/") { b"/" } else { b"" };
        let behind: &[u8] = if self.slash_behind && is_dir { b"/" } else { b"" };
        let path = match path {
            [b'/', rest @ ..] if !self.slash_before => rest,
            _ => path,
        };
        let text = before.iter().chain(path).chain(behind).copied();
        run(&self.steps, text, self.start == Start::Anywhere)
    }
}

/// The last components of a path; the whole path if it has no more.
fn last(path: &[u8], components: usize) -> &[u8] {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    let cut = slashes.map(|(at, _)| at + 1).nth(components - 1);
    cut.and_then(|cut| path.get(cut..)).unwrap_or(path)
}

/// Takes a pattern apart.
fn steps(text: &[u8]) -> Vec<Step> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let step = match byte {
            b'*' => {
                let stars = rest.iter().take_while(|byte| **byte == b'*').count();
                rest = rest.get(stars..).unwrap_or_default();
                if stars > 0 { Step::Any } else { Step::Run }
            }
            b'?' => Step::One,
            b'[' => {
                let Some((class, tail)) = class(rest) else { return vec![Step::Class(Box::default())] };
                rest = tail;
                class
            }
            b'\\' => {
                let (byte, tail) = rest.split_first().unwrap_or((&b'\\', &[]));
                rest = tail;
                Step::Byte(*byte)
            }
            byte => Step::Byte(*byte),
        };
        out.push(step);
    }
    out
}

/// A class behind its bracket; `None` if it never closes, which matches nothing.
fn class(text: &[u8]) -> Option<(Step, &[u8])> {
    let mut set = [0u64; 4];
    let (negated, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut first = true;
    loop {
        if let [b']', tail @ ..] = rest
            && !first
        {
            rest = tail;
            break;
        }
        first = false;
        if let Some((name, tail)) = named(rest) {
            (0..=u8::MAX).filter(|byte| named_has(name, *byte)).for_each(|byte| add(&mut set, byte));
            rest = tail;
            continue;
        }
        let (low, tail) = member(rest)?;
        rest = tail;
        let high = match rest {
            [b'-', tail @ ..] if !tail.starts_with(b"]") => {
                let (high, tail) = member(tail)?;
                rest = tail;
                high
            }
            _ => low,
        };
        (low..=high).for_each(|byte| add(&mut set, byte));
    }
    if negated {
        set = set.map(|bits| !bits);
    }
    let [low, ..] = &mut set;
    *low &= !(1 << b'/');
    Some((Step::Class(Box::new(set)), rest))
}

fn member(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// `[:name:]` at the beginning of a text.
fn named(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"[:")?;
    let end = inside.windows(2).position(|pair| pair == b":]")?;
    Some((inside.get(..end)?, inside.get(end + 2..)?))
}

fn named_has(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0B,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

fn add(set: &mut [u64; 4], byte: u8) {
    if let Some(bits) = set.get_mut(usize::from(byte >> 6)) {
        *bits |= 1 << (byte & 63);
    }
}

fn has(set: &[u64; 4], byte: u8) -> bool {
    set.get(usize::from(byte >> 6)).is_some_and(|bits| bits & (1 << (byte & 63)) != 0)
}

/// Whether all steps take all of a text. `anywhere`: a match may begin behind any slash.
fn run(steps: &[Step], text: impl Iterator<Item = u8>, anywhere: bool) -> bool {
    let mut now = vec![false; steps.len() + 1];
    let mut next = now.clone();
    enter(steps, &mut now, 0);
    for byte in text {
        next.fill(false);
        for (at, step) in steps.iter().enumerate() {
            if !now.get(at).copied().unwrap_or_default() {
                continue;
            }
            match step {
                Step::Byte(wanted) if *wanted == byte => enter(steps, &mut next, at + 1),
                Step::One if byte != b'/' => enter(steps, &mut next, at + 1),
                Step::Class(set) if has(set, byte) => enter(steps, &mut next, at + 1),
                Step::Run if byte != b'/' => enter(steps, &mut next, at),
                Step::Any => enter(steps, &mut next, at),
                _ => {}
            }
        }
        std::mem::swap(&mut now, &mut next);
        if anywhere && byte == b'/' {
            enter(steps, &mut now, 0);
        }
    }
    now.last().copied().unwrap_or_default()
}

/// Marks a place, and those behind runs that take nothing.
fn enter(steps: &[Step], places: &mut [bool], mut at: usize) {
    while let Some(place) = places.get_mut(at) {
        *place = true;
        if !matches!(steps.get(at), Some(Step::Run | Step::Any)) {
            return;
        }
        at += 1;
    }
}
