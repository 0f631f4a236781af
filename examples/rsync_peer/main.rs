//! The room `rsync` alone, as a program that stands in for stock's `rsync` on the receiving side:
//!
//! * `rsync_peer --server …` on standard input and output (`rsync --rsync-path=rsync_peer …`),
//!   writing straight to the destination;
//! * `rsync_peer --server --daemon [--config=FILE] .`, the daemon protocol over the same;
//! * `rsync_peer --daemon --no-detach [--address=IP] [--port=N] [--config=FILE]`.
//!
//! What is received equals what stock would have made, less what a published site never holds:
//! files are 0644 and directories 0755, no devices, no symbolic links that leave the destination.

// The names of a stand-in are English, as stock's are.
mod conf;
mod daemon;
mod disk;
mod newborn;
mod stdio;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use difusor::rsync::{Exit, ForeignLinks, Lang, Limits, Options, Settings, refuse, serve};

use crate::disk::{Disk, Start};

/// What `--daemon` was told.
#[derive(Clone, Debug, Default)]
struct Listen {
    address: Option<String>,
    port: Option<u16>,
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    // New files get 0644 and directories 0755 by this alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Err(error) = std::thread::Builder::new().name("signals".into()).spawn(signals) {
        let _ = writeln!(std::io::stderr(), "no threads: {error}");
    }
    let words: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsString::into_vec).collect();
    let has = |word: &[u8]| words.iter().any(|given| given == word);
    let exit = match words.first().map(Vec::as_slice) {
        _ if has(b"--server") && has(b"--daemon") => listen(&words).map_or_else(told, |listen| daemon::over_stdio(&listen)),
        Some(b"--server") => server(&words),
        Some(b"--version") => version(),
        _ if has(b"--daemon") => listen(&words).map_or_else(told, |listen| daemon::listen(&listen)),
        _ => told("usage: rsync_peer --server … | rsync_peer --daemon --no-detach [--address=] [--port=] [--config=]".into()),
    };
    ExitCode::from(exit.code())
}

/// Ends the program on a signal, without what it had not finished.
fn signals() {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = async {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let mut hup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        newborn::clear_away();
        std::process::exit(Exit::Signal.code().into())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let ended: std::io::Result<()> = runtime.and_then(|runtime| runtime.block_on(caught));
    if let Err(error) = ended {
        let _ = writeln!(std::io::stderr(), "signals: {error}");
    }
}

/// Says why not, as stock does: on standard error, with the code for syntax.
fn told(why: String) -> Exit {
    let _ = writeln!(std::io::stderr(), "{why}");
    Exit::Syntax
}

fn version() -> Exit {
    let _ = writeln!(std::io::stdout(), "rsync  version 3.4.1  protocol version 32");
    Exit::Ok
}

/// One push over standard input and output.
fn server(words: &[Vec<u8>]) -> Exit {
    let settings = settings();
    let (input, output) = stdio::streams();
    let mut stderr = |text: &str| {
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    match Options::parse(words, &settings.limits) {
        Err(error) => refuse(&error, Box::new(input), Box::new(output), &mut stderr, &settings),
        Ok(options) => {
            let input = input.patient(options.timeout);
            if options.partial && !options.partial_dir {
                newborn::keep_unfinished();
            }
            let disk = Disk::new(Start::Here);
            serve(options, Box::new(input), Box::new(output), &mut stderr, &disk, &settings)
        }
    }
}

/// What all sessions of this program share.
fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        lang: Lang::En,
        version: None,
        seed: seed(),
        links: ForeignLinks::Refuse,
        keepalive: Duration::from_secs(30),
        io_timeout: 0,
        whole_only: false,
        keeps_broken: false,
        list_within: Duration::from_secs(600),
    }
}

fn seed() -> i32 {
    let [a, b, c, d, ..] = random();
    i32::from_le_bytes([a, b, c, d & 0x3f]).max(1)
}

/// Bytes of the kernel's generator.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    if let Err(error) = read {
        // A challenge that can be guessed is worse than no service.
        let _ = writeln!(std::io::stderr(), "/dev/urandom: {error}");
        std::process::exit(i32::from(Exit::Start.code()));
    }
    bytes
}

/// Reads the options of `--daemon`; each value behind `=` or as the next word.
fn listen(words: &[Vec<u8>]) -> Result<Listen, String> {
    let mut listen = Listen::default();
    let mut words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    while let Some(word) = words.next() {
        let (name, value) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        let mut value =
            || value.clone().or_else(|| words.next()).ok_or_else(|| format!("{name}: a value is missing"));
        match name {
            "--daemon" | "--no-detach" | "--server" | "." | "-v" | "-4" | "-6" | "--ipv4" | "--ipv6" => {}
            "--address" => listen.address = Some(value()?),
            "--port" => listen.port = Some(value()?.parse().map_err(|error| format!("--port: {error}"))?),
            "--config" => listen.config = Some(PathBuf::from(value()?)),
            "--log-file" | "--dparam" | "-M" | "--bwlimit" | "--sockopts" => drop(value()?),
            _ => return Err(format!("{name}: unknown option")),
        }
    }
    Ok(listen)
}

/// The configuration, or the empty one if no file was named.
fn configuration(path: Option<&Path>) -> Result<conf::Conf, String> {
    match path {
        None => Ok(conf::Conf::default()),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            conf::Conf::parse(&text)
        }
    }
}
