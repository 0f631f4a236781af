//! The programs that take a channel over: what a client starts on the far side.
//!
//! Owns nothing: finds them by their words, and hands them channel and view. They answer
//! for the exit status themselves.

use std::sync::Arc;

use crate::drop::{VPath, View};
use crate::ssh::io::Io;
use crate::ssh::program::Context;
use crate::ssh::{scp, sftp};

use super::fault::Fault;
use super::grammar::Word;
use super::options::Call;
use super::plan::{Permits, SHELLS};
use super::{Scripts, Setup, script};

/// Serves `rsync --server …`: the words behind `rsync`, the channel, the view, and the
/// directory that relative names begin in.
pub type RsyncServer = Arc<dyn Fn(&[Vec<u8>], Io, View, &VPath, &Context) -> u32 + Send + Sync>;

/// A program that ends a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// `internal-sftp`, `sftp-server`.
    Sftp,
    /// `scp -t`, with the words behind `scp`.
    Scp(Vec<Vec<u8>>),
    /// `rsync --server`, with the words behind `rsync`.
    Rsync(Vec<Vec<u8>>),
    /// `bash -s` and its kin.
    Script {
        /// `-e`.
        stops_at_failure: bool,
    },
    /// `status`: what is live.
    Status,
}

impl Program {
    /// The program that these words start, if they start one.
    pub(super) fn find(name: &str, args: &[Word], permits: Permits) -> Result<Option<Self>, Fault> {
        match name {
            "internal-sftp" | "sftp-server" => Ok(Some(Self::Sftp)),
            "status" if args.is_empty() => Ok(Some(Self::Status)),
            "scp" => Self::scp(args).map(Some),
            "rsync" => Self::rsync(args, permits).map(Some),
            shell if SHELLS.contains(&shell) => Self::script(shell, args, permits).map(Some),
            _ => Ok(None),
        }
    }

    /// How the sender knows it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Scp(_) => "scp",
            Self::Rsync(_) => "rsync",
            Self::Script { .. } => "bash -s",
            Self::Status => "status",
        }
    }

    fn scp(args: &[Word]) -> Result<Self, Fault> {
        let words: Vec<Vec<u8>> = args.iter().map(Word::bytes).collect();
        let options = words.iter().take_while(|word| word.starts_with(b"-") && *word != b"--");
        let letters = options.flatten().copied().collect::<Vec<u8>>();
        if letters.contains(&b'f') {
            return Err(Fault::Download);
        }
        if !letters.contains(&b't') {
            return Err(Fault::Usage { command: "scp".into(), usage: "scp -t [-prdv] PATH" });
        }
        Ok(Self::Scp(words))
    }

    fn rsync(args: &[Word], permits: Permits) -> Result<Self, Fault> {
        let words: Vec<Vec<u8>> = args.iter().map(Word::bytes).collect();
        let has = |option: &[u8]| words.iter().any(|word| word == option);
        let Some(at) = words.iter().position(|word| word == b"--server") else {
            return Err(Fault::Usage { command: "rsync".into(), usage: "rsync --server …" });
        };
        match permits.rsync {
            // Its own server tells in its own words what it does not do.
            true => Ok(Self::Rsync(words.get(at..).unwrap_or_default().to_vec())),
            false if has(b"--sender") => Err(Fault::Download),
            false => Err(Fault::Rsync),
        }
    }

    /// A shell that would read its commands from standard input.
    fn script(name: &str, args: &[Word], permits: Permits) -> Result<Self, Fault> {
        if permits.scripts == Scripts::Refuse {
            return Err(Fault::Script);
        }
        let call = Call { name, args };
        let mut stops_at_failure = false;
        let mut words = args.iter().map(Word::bytes);
        while let Some(word) = words.next() {
            match word.as_slice() {
                b"--login" | b"--norc" | b"--noprofile" | b"--posix" => {}
                b"-o" => stops_at_failure |= words.next().as_deref() == Some(b"errexit"),
                // What follows would be `$1`, `$2`…, which no line can name.
                b"--" | b"-" => break,
                [b'-', letters @ ..] if letters.iter().all(|l| b"selxuv".contains(l)) => {
                    stops_at_failure |= letters.contains(&b'e');
                    if letters.contains(&b's') {
                        continue;
                    }
                }
                [b'-', ..] => return Err(call.unknown(&word)),
                // A script that lies in the drop is never run.
                _ => return Err(Fault::Script),
            }
        }
        Ok(Self::Script { stops_at_failure })
    }

    /// Runs it to its end; the value is the exit status.
    pub(super) fn serve(self, io: Io, view: View, cwd: &VPath, setup: &Setup) -> u32 {
        match self {
            Self::Sftp => sftp::serve(io, view, &setup.context),
            Self::Scp(mut args) => {
                let mut io = io;
                if let Some(target) = args.last_mut() {
                    *target = from(cwd, target);
                }
                scp::sink(&args, &mut io, view, &setup.context)
            }
            Self::Rsync(args) => match &setup.rsync {
                Some(rsync) => rsync(&args, io, view, cwd, &setup.context),
                None => super::refuse(&io, &Fault::Rsync, setup.context.lang),
            },
            Self::Script { stops_at_failure } => script::run(io, view, cwd.clone(), setup, stops_at_failure),
            Self::Status => super::status(&io, setup),
        }
    }
}

/// A target as it is named from the root, for a program that knows no working directory.
fn from(cwd: &VPath, target: &[u8]) -> Vec<u8> {
    match target {
        [b'/' | b'~', ..] => target.to_vec(),
        _ if cwd.components().is_empty() => target.to_vec(),
        [] => cwd.to_bytes(),
        _ => [cwd.to_bytes().as_slice(), b"/", target].concat(),
    }
}
