//! Commands that steer a line, and those that are accepted and do nothing.

use std::thread;
use std::time::Duration;

use crate::drop::DropError;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::Call;
use super::super::shell::{Done, Shell};
use super::Builtin;

/// `true`, `false`, `:`.
#[derive(Debug)]
struct Constant(u32);

pub(super) fn constant(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    Ok(Box::new(Constant(u32::from(call.name == "false"))))
}

impl Builtin for Constant {
    fn run(&self, _: &mut Shell<'_>) -> Done {
        Ok(self.0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        match self.0 {
            0 => teller.say("no hace nada y termina bien", "does nothing and succeeds"),
            _ => teller.say("no hace nada y termina mal", "does nothing and fails"),
        }
    }
}

/// `cd [DIR]`.
#[derive(Debug)]
struct Cd(Word);

pub(super) fn cd(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let words = match call.args {
        [first, rest @ ..] if first.bytes() == b"--" => rest,
        words => words,
    };
    match words {
        [] => Ok(Box::new(Cd(b"/".as_slice().into()))),
        [dir] if !dir.bytes().starts_with(b"-") => Ok(Box::new(Cd(dir.clone()))),
        _ => Err(call.usage("cd [DIR]")),
    }
}

impl Builtin for Cd {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let name = self.0.bytes();
        let path = shell.path(&name).and_then(|path| match shell.view.stat(&path)?.is_dir {
            true => Ok(path),
            false => Err(DropError::NotDir),
        });
        match path {
            Ok(path) => {
                shell.cwd = path;
                Ok(0)
            }
            Err(error) => {
                let text = format!("cd: {}: {}", self.0.shown(), shell.strerror(&error));
                shell.err(text)?;
                Ok(1)
            }
        }
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("pasa a la carpeta", "goes to folder", [&self.0])
    }

    fn moves_to(&self) -> Option<&Word> {
        Some(&self.0)
    }
}

/// `set -e`, and what else scripts set.
#[derive(Debug)]
struct Set {
    stops_at_failure: Option<bool>,
}

pub(super) fn set(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "set -e | -u | -x | -o pipefail";
    let mut stops_at_failure = None;
    let mut words = call.args.iter().map(Word::bytes);
    while let Some(word) = words.next() {
        let [sign @ (b'-' | b'+'), letters @ ..] = word.as_slice() else { return Err(call.usage(USAGE)) };
        if letters.is_empty() || !letters.iter().all(|l| b"euxvo".contains(l)) {
            return Err(call.unknown(&word));
        }
        let on = *sign == b'-';
        if letters.contains(&b'e') {
            stops_at_failure = Some(on);
        }
        if letters.contains(&b'o') {
            match words.next().as_deref() {
                Some(b"errexit") => stops_at_failure = Some(on),
                Some(b"pipefail" | b"nounset" | b"xtrace" | b"posix") => {}
                _ => return Err(call.usage(USAGE)),
            }
        }
    }
    Ok(Box::new(Set { stops_at_failure }))
}

impl Builtin for Set {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        if let Some(stops) = self.stops_at_failure {
            shell.stops_at_failure = stops;
        }
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        match self.stops_at_failure {
            Some(true) => teller.say(
                "desde aquí, el primer error termina la orden",
                "from here on the first failure ends the line",
            ),
            Some(false) => teller.say(
                "desde aquí, los errores no terminan la orden",
                "from here on failures do not end the line",
            ),
            None => teller.ignored(),
        }
    }

    fn is_ignored(&self) -> bool {
        self.stops_at_failure.is_none()
    }
}

/// Accepted, because scripts do it out of habit; owners and modes are ours alone.
#[derive(Debug)]
struct Ignored(String);

pub(super) fn ignored(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    Ok(Box::new(Ignored(call.name.to_owned())))
}

impl Builtin for Ignored {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        tracing::info!(command = self.0, key = shell.view.grant.name, "command accepted and ignored");
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.ignored()
    }

    fn is_ignored(&self) -> bool {
        true
    }
}

/// `sleep N`.
#[derive(Debug)]
struct Sleep(f64);

pub(super) fn sleep(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const USAGE: &str = "sleep SECONDS";
    let mut total = 0.0;
    for word in call.args {
        let text = String::from_utf8_lossy(&word.bytes()).into_owned();
        let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
            Some(number) if text.ends_with('m') => (number, 60.0),
            Some(number) if text.ends_with('h') => (number, 3600.0),
            Some(number) => (number, 1.0),
            None => (text.as_str(), 1.0),
        };
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let seconds: f64 = digits.then(|| number.parse().ok()).flatten().ok_or_else(|| call.usage(USAGE))?;
        total += seconds * unit;
    }
    if call.args.is_empty() { Err(call.usage(USAGE)) } else { Ok(Box::new(Sleep(total))) }
}

impl Builtin for Sleep {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let seconds = self.0.min(shell.sleep_left);
        shell.sleep_left -= seconds;
        thread::sleep(Duration::from_secs_f64(seconds));
        Ok(0)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        let text = teller.say("espera (a lo más un minuto por orden)", "waits (a minute per line at most)");
        format!("{text}: {} s", self.0)
    }
}
