//! The runner on a real drop, beside the tools it stands for.

mod archives;
mod commands;
mod corpus;
mod explained;
mod grammar;
mod peers;
mod scripts;

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZone;

use super::*;
use crate::drop::VPath;
use crate::model::Via;
use crate::ssh::io::{In, Out};
use crate::ssh::rig::{Arrived, Rig};

/// How the client's side of a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With an end of file.
    Clean,
    /// The connection is lost.
    Cut,
}

/// What a client sees of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ran {
    status: u32,
    out: String,
    err: String,
}

/// An instance and its settings.
struct Bench {
    rig: Rig,
    setup: Setup,
}

impl Bench {
    fn new() -> Self {
        let context = Context { lang: Lang::Es, verdict_wait: Duration::from_secs(30) };
        let mut setup = Setup::new(context);
        setup.zone = TimeZone::UTC;
        Self { rig: Rig::new(), setup }
    }

    fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut bench = Self::new();
        change(&mut bench.setup);
        bench
    }

    /// Runs a command that reads nothing.
    fn run(&self, command: &str) -> Ran {
        self.send(command, b"", End::Clean)
    }

    /// Runs a command that must succeed.
    fn ok(&self, command: &str) -> Ran {
        let ran = self.run(command);
        assert_eq!(ran.status, 0, "{command}: {ran:?}");
        ran
    }

    /// Runs a command and sends it these bytes.
    fn send(&self, command: &str, input: &[u8], end: End) -> Ran {
        let (io, to_program, mut from_program) = Io::pair(8);
        let (view, setup, line) = (self.rig.view(Via::Exec), self.setup.clone(), command.to_owned());
        let program = thread::spawn(move || run(line.as_bytes(), io, view, &setup));
        let input = Bytes::copy_from_slice(input);
        let feeder = thread::spawn(move || {
            for at in (0..input.len()).step_by(32 << 10) {
                let piece = input.slice(at..input.len().min(at + (32 << 10)));
                // A program that refused reads no further.
                if to_program.blocking_send(In::Data(piece)).is_err() {
                    return;
                }
            }
            if end == End::Clean {
                let _ = to_program.blocking_send(In::Eof);
            }
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = from_program.blocking_recv() {
            match piece {
                Out::Data(bytes) => out.extend_from_slice(&bytes),
                Out::Error(bytes) => err.extend_from_slice(&bytes),
            }
        }
        feeder.join().unwrap();
        let status = program.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { status, out: text(out), err: text(err) }
    }

    /// Stores a file.
    fn put(&self, name: &str, content: &[u8]) {
        let ran = self.send(&format!("cat > '{name}'"), content, End::Clean);
        assert_eq!(ran.status, 0, "{ran:?}");
    }

    /// The content of a file as its sender sees it.
    fn text(&self, name: &str) -> Option<String> {
        let view = self.rig.view(Via::Exec);
        let path = view.resolve(&VPath::root(), name.as_bytes()).ok()?;
        Some(std::io::read_to_string(view.read(&path).ok()?).unwrap())
    }

    /// The trees that reached the publisher.
    fn trees(&self) -> Vec<Vec<String>> {
        let tree = |arrived| match arrived {
            Arrived::Tree(paths) => Some(paths),
            Arrived::Package(..) => None,
        };
        self.rig.arrived().into_iter().filter_map(tree).collect()
    }

    /// The names of the packages that reached the publisher.
    fn packages(&self) -> Vec<String> {
        let package = |arrived| match arrived {
            Arrived::Package(name, _) => Some(name),
            Arrived::Tree(_) => None,
        };
        self.rig.arrived().into_iter().filter_map(package).collect()
    }
}

/// What a publication is told with.
const PUBLISHED: &str = "difusor: publicado corte sin hora, 0.2 s\n";
