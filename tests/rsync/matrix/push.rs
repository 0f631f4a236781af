//! One push by a stock client to a server, over a transport.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::Daemon;
use crate::run::{self, Outcome};
use crate::tree::{self, Snapshot};

/// How the client reaches the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// `-e ssh host:path`, with a script in ssh's place that runs the command here.
    Shell,
    /// `rsync://127.0.0.1:port/module/path`.
    Tcp,
    /// `-e ssh host::module/path`: the daemon's protocol through ssh.
    DaemonInShell,
}

pub const TRANSPORTS: [Transport; 3] = [Transport::Shell, Transport::Tcp, Transport::DaemonInShell];

/// One side of the comparison: a server with its own copy of the source and its own destination.
pub struct Side {
    /// Holds `src`, `root/dest`, `root/prev` and what the client printed.
    pub work: PathBuf,
    /// The program that serves.
    pub server: PathBuf,
    pub daemon: Option<Daemon>,
}

/// What a push left behind.
pub struct Pushed {
    pub end: Outcome,
    pub dest: Snapshot,
    pub source: Snapshot,
}

impl Side {
    pub fn dest(&self) -> PathBuf {
        self.work.join("root/dest")
    }

    /// Writes the script that stands in for ssh: it drops the host and runs the rest as sshd's shell would.
    pub fn write_shell(&self) -> PathBuf {
        let script = self.work.join("ssh");
        std::fs::write(&script, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        script
    }

    /// Pushes `from` (words relative to the source's parent) to `to` below the destination.
    pub fn push(&self, client: &Path, options: &[String], from: &str, to: &str, how: Transport) -> Outcome {
        let mut command = Command::new(client);
        command.current_dir(&self.work).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command.env("HOME", &self.work).env("TZ", "UTC");
        let mut options = options.to_vec();
        while options.first().is_some_and(|word| word.starts_with("RSYNC_")) {
            let setting = options.remove(0);
            let (name, value) = setting.split_once('=').unwrap();
            command.env(name, value.replace(',', " "));
        }
        command.args(options);
        command.args(from.split(' '));
        let (ssh, server) = (self.write_shell(), self.server.display());
        match how {
            Transport::Shell => {
                command.arg("-e").arg(ssh).arg(format!("--rsync-path={server}"));
                command.arg(format!("host:{}/{to}", self.dest().display()));
            }
            Transport::Tcp => {
                let port = self.daemon.as_ref().unwrap().port;
                command.arg(format!("rsync://127.0.0.1:{port}/drop/dest/{to}"));
            }
            Transport::DaemonInShell => {
                let config = self.daemon.as_ref().unwrap().config.display();
                command.arg("-e").arg(ssh).arg(format!("--rsync-path={server} --config={config}"));
                command.arg(format!("host::drop/dest/{to}"));
            }
        }
        run::bounded(&mut command, &self.work, run::DEADLINE)
    }

    /// Pushes and looks at what came of it.
    pub fn push_and_look(
        &self,
        client: &Path,
        options: &[String],
        from: &str,
        to: &str,
        how: Transport,
    ) -> Pushed {
        let end = self.push(client, options, from, to, how);
        Pushed { end, dest: tree::snapshot(&self.dest()), source: tree::snapshot(&self.work.join("src")) }
    }
}
