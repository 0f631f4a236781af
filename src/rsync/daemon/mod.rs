//! The daemon's head (`@RSYNCD:`): greeting, modules, challenge, arguments. Sync code over two
//! halves; the host gives bytes, modules and deadlines.
//!
//! Never reads past the arguments, one byte at a time: hand in a buffered reader and pass the
//! same one on to the session. One flow: [`greet`] → [`Greeted`] → [`super::serve`], or
//! `session::refuse` if [`Greeted::refused`] says so, since after `@RSYNCD: OK` clients only
//! understand framed errors. Sentences that begin with `@ERROR` are rsync's own, in English, as scripts expect them.

mod auth;
mod modules;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Limits;
use super::error::{Error, Exit, Lang};
use super::negotiate::{NEWEST, OLDEST};
use super::options::{Options, read_words, unescape};
use super::wire::Take;
use auth::Digest;
pub use modules::{Module, Modules};

/// A greeted client: what follows is a session as over SSH, without version integers.
#[derive(Clone, Debug)]
pub struct Greeted {
    /// The module's name.
    pub module: Vec<u8>,
    /// Its settings.
    pub settings: Module,
    /// Who authenticated, if the module asks for it.
    pub user: Option<Vec<u8>>,
    /// Agreed version.
    pub protocol: u8,
    /// Destination has the module's name stripped.
    pub options: Options,
    /// Why there will be no push (the options are then those of nobody): `session::refuse` says it
    /// in a way that clients show.
    pub refused: Option<Error>,
}

/// Bytes of a line of the greeting.
const LINE_BYTES: usize = 1024;
/// Bytes of early input (the reference's bound).
const EARLY_BYTES: u64 = 5120;

/// Greets to the end of the arguments. `Ok(None)`: the client only wanted a list. An error has
/// been told to the client already, as `@ERROR`.
pub fn greet(
    input: &mut dyn Read,
    output: &mut dyn Write,
    modules: &dyn Modules,
    limits: &Limits,
    lang: Lang,
) -> Result<Option<Greeted>, Error> {
    Talk { input: Raw(input), output, lang }.greet(modules, limits)
}

/// What the client said of itself.
struct Hello {
    protocol: u8,
    digest: Digest,
}

struct Talk<'a> {
    input: Raw<'a>,
    output: &'a mut dyn Write,
    lang: Lang,
}

impl Talk<'_> {
    fn greet(&mut self, modules: &dyn Modules, limits: &Limits) -> Result<Option<Greeted>, Error> {
        let mut greeting = format!("@RSYNCD: {NEWEST}.0 {}\n", Digest::offered());
        for line in modules.motd() {
            greeting.push_str(&line);
            greeting.push('\n');
        }
        self.say(&greeting)?;
        let hello = self.hello()?;
        let name = match self.request()? {
            Request::List => {
                self.list(modules)?;
                return Ok(None);
            }
            Request::Module(name) => name,
        };
        let Some(settings) = modules.find(&name) else {
            return Err(self.unknown_module(&name));
        };
        if let Err(max) = modules.enter(&name) {
            return Err(self.turn_away(
                Exit::Start,
                &format!("max connections ({max}) reached -- try again later"),
                format!("se alcanzó el máximo de {max} conexiones del módulo {}", name.escape_ascii()),
            ));
        }
        let user =
            if settings.auth { Some(self.authenticate(&name, &settings, &hello, modules)?) } else { None };
        self.say("@RSYNCD: OK\n")?;
        let (options, refused) = self.arguments(&name, &settings, hello.protocol, limits)?;
        Ok(Some(Greeted { module: name, settings, user, protocol: hello.protocol, options, refused }))
    }

    fn say(&mut self, text: &str) -> Result<(), Error> {
        self.output.write_all(text.as_bytes())?;
        Ok(self.output.flush()?)
    }

    /// Tells rsync's own sentence; the error has ours too. The connection is over anyway, so that
    /// a failing write adds nothing.
    fn turn_away(&mut self, exit: Exit, text: &str, es: String) -> Error {
        let _ = self.say(&format!("@ERROR: {text}\n"));
        Error::new(exit, es, text)
    }

    /// Tells a sentence of our own, in the language of the host.
    fn object(&mut self, exit: Exit, es: String, en: String) -> Error {
        let _ = self.say(&format!("@ERROR: {}\n", self.lang.pick(&es, &en)));
        Error::new(exit, es, en)
    }

    fn unknown_module(&mut self, name: &[u8]) -> Error {
        let name = shown(name);
        self.turn_away(
            Exit::Start,
            &format!("Unknown module '{name}'"),
            format!("el módulo {name} no existe"),
        )
    }

    fn bad(&mut self, text: &str) -> Error {
        self.turn_away(Exit::Protocol, text, format!("saludo de rsync: {text}"))
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut line = Vec::with_capacity(64);
        loop {
            match self.input.byte()? {
                b'\n' => break,
                _ if line.len() >= LINE_BYTES => return Err(self.bad("line too long")),
                byte => line.push(byte),
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    fn hello(&mut self) -> Result<Hello, Error> {
        let line = self.line()?;
        let text = String::from_utf8_lossy(&line);
        let Some(rest) = text.strip_prefix("@RSYNCD: ") else {
            return Err(self.bad("protocol startup error"));
        };
        let mut words = rest.split_ascii_whitespace();
        let (version, sub) = words.next().map_or(("", None), |word| {
            word.split_once('.').map_or((word, None), |(version, sub)| (version, Some(sub)))
        });
        let (Ok(version), Ok(sub)) = (version.parse::<u8>(), sub.map(str::parse::<u32>).transpose()) else {
            return Err(self.bad("protocol startup error"));
        };
        if version < OLDEST {
            return Err(self.object(
                Exit::Protocol,
                format!("el rsync del remitente habla el protocolo {version} y se necesita {OLDEST} o mayor: instale rsync 2.6 o posterior"),
                format!("the sender's rsync speaks protocol {version}, {OLDEST} or later is needed: install rsync 2.6 or later"),
            ));
        }
        if version >= 30 && sub.is_none() {
            return Err(self.bad(&format!("your client omitted the subprotocol value: {version}")));
        }
        // A pre-release of a version is taken as the version before.
        let known = if sub.unwrap_or(0) != 0 { version - 1 } else { version };
        let protocol = known.clamp(OLDEST, NEWEST);
        let mut digests = words.peekable();
        if version > 31 && digests.peek().is_none() {
            return Err(self.bad("your client omitted the digest name list"));
        }
        match Digest::choose(digests, protocol) {
            Some(digest) => Ok(Hello { protocol, digest }),
            None => Err(self.bad("your client does not support any of our digests")),
        }
    }

    fn request(&mut self) -> Result<Request, Error> {
        let mut line = self.line()?;
        if let Some(length) = line.strip_prefix(b"#early_input=") {
            let length = std::str::from_utf8(length)
                .ok()
                .and_then(|length| length.parse().ok())
                .filter(|length| (1..=EARLY_BYTES).contains(length));
            let Some(length) = length else {
                return Err(self.bad("invalid early_input length"));
            };
            // It is meant for a script of the daemon, and there is none.
            self.input.skip(length)?;
            line = self.line()?;
        }
        match line.as_slice() {
            b"" | b"#list" => Ok(Request::List),
            [b'#', ..] => Err(self.bad(&format!("Unknown command '{}'", shown(&line)))),
            _ => Ok(Request::Module(line)),
        }
    }

    fn list(&mut self, modules: &dyn Modules) -> Result<(), Error> {
        let lines: String =
            modules.list().iter().map(|(name, comment)| format!("{name:<15}\t{comment}\n")).collect();
        self.say(&format!("{lines}@RSYNCD: EXIT\n"))
    }

    /// One attempt. An unknown user costs as much as a wrong password.
    fn authenticate(
        &mut self,
        name: &[u8],
        module: &Module,
        hello: &Hello,
        modules: &dyn Modules,
    ) -> Result<Vec<u8>, Error> {
        if !hello.digest.reaches(module.floor.as_deref()) {
            let floor = module.floor.as_deref().unwrap_or_default();
            let (name, theirs) = (shown(name), hello.digest.name());
            return Err(self.object(
                Exit::Start,
                format!("el módulo {name} pide {floor} o mejor y el rsync del remitente ofrece {theirs}: instale rsync 3.2.7 o posterior"),
                format!("module {name} asks for {floor} or stronger and the sender's rsync offers {theirs}: install rsync 3.2.7 or later"),
            ));
        }
        let challenge = STANDARD_NO_PAD.encode(modules.random());
        self.say(&format!("@RSYNCD: AUTHREQD {challenge}\n"))?;
        let line = self.line()?;
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let user = parts.next().unwrap_or_default();
        let given = STANDARD_NO_PAD.decode(parts.next().unwrap_or_default()).unwrap_or_default();
        let secret = if user.is_empty() {
            None
        } else {
            modules.secret(name, user).filter(|secret| !secret.is_empty())
        };
        if hello.digest.proves(secret.as_deref(), challenge.as_bytes(), &given) {
            return Ok(user.to_vec());
        }
        Err(self.turn_away(
            Exit::Start,
            &format!("auth failed on module {}", shown(name)),
            format!("usuario o contraseña incorrectos para el módulo {}", shown(name)),
        ))
    }

    /// The argument vector, in one or (`-s`) two lists, or why there will be no push.
    fn arguments(
        &mut self,
        name: &[u8],
        module: &Module,
        protocol: u8,
        limits: &Limits,
    ) -> Result<(Options, Option<Error>), Error> {
        match self.options(name, module, protocol, limits) {
            Ok(options) => Ok((options, None)),
            // The stream itself is gone.
            Err(error) if matches!(error.exit, Exit::Timeout | Exit::Stream) => Err(error),
            Err(error) => Ok((Options::default(), Some(error))),
        }
    }

    fn options(
        &mut self,
        name: &[u8],
        module: &Module,
        protocol: u8,
        limits: &Limits,
    ) -> Result<Options, Error> {
        let mut words = read_words(&mut self.input, if protocol >= 30 { 0 } else { b'\n' }, limits)?;
        unescape_options(&mut words);
        if is_secluded(&words) {
            // Below protocol 30 clients also send here what the second list repeats, and `(null)`.
            words.retain(|word| word == b"--server" || is_bundle(word));
        }
        let mut options = Options::parse(&words, limits)?;
        if options.secluded {
            let more = read_words(&mut self.input, 0, limits)?;
            options = options.parse_secluded(&more, limits)?;
        }
        options.destination = options.destination.and_then(|word| strip_module(&word, name));
        module.objection(&options).map_or(Ok(options), Err)
    }
}

/// The raw stream, for the readers of words.
struct Raw<'a>(&'a mut dyn Read);

impl Take for Raw<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(self.0.read_exact(buffer)?)
    }
}

enum Request {
    List,
    Module(Vec<u8>),
}

/// A name of the peer in a sentence: no control characters, not without end.
fn shown(name: &[u8]) -> String {
    name.iter().take(64).copied().collect::<Vec<_>>().escape_ascii().to_string()
}

/// Whether a bundle of letters asks for a second list ('e', 'B' and '@' take the rest of a word).
fn is_secluded(words: &[Vec<u8>]) -> bool {
    let bundles = words.iter().take_while(|word| word.as_slice() != b".").filter(|word| is_bundle(word));
    let mut letters = bundles.flat_map(|word| word.iter().take_while(|letter| !b"eB@".contains(letter)));
    letters.any(|letter| *letter == b's')
}

fn is_bundle(word: &[u8]) -> bool {
    matches!(word, [b'-', letter, ..] if *letter != b'-')
}

/// Clients put backslashes before what a shell would eat in option values; paths behind the lone
/// dot come as they are.
fn unescape_options(words: &mut [Vec<u8>]) {
    for word in words.iter_mut().take_while(|word| word.as_slice() != b".") {
        *word = unescape(word);
    }
}

/// `module/path` without the module; what does not begin with it is relative to it. `None` is the
/// module's root.
fn strip_module(word: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let path = match word.strip_prefix(name) {
        Some(rest) if rest.is_empty() || rest.first() == Some(&b'/') => rest,
        _ => word,
    };
    let path = path.iter().skip_while(|byte| **byte == b'/').copied().collect::<Vec<_>>();
    if path.is_empty() { None } else { Some(path) }
}
