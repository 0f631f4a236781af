//! An rsync daemon on loopback, stock's or the one under test, for as long as the value lives.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run;

pub struct Daemon {
    child: Child,
    pub port: u16,
    pub config: PathBuf,
}

impl Daemon {
    /// Serves `root` as module `drop`. `extra` lines go into the module's section.
    pub fn start(server: &Path, work: &Path, root: &Path, extra: &str) -> Self {
        let config = work.join("rsyncd.conf");
        // Root's stock daemon becomes nobody unless told; ours knows no other user than its own.
        let stock = server.file_name().is_some_and(|name| name == "rsync");
        // Without chroot stock would also prefix links, and hush -vv.
        let user = if stock { "uid = 0\ngid = 0\nmunge symlinks = no\nmax verbosity = 5\n" } else { "" };
        let text =
            format!("use chroot = no\n[drop]\npath = {}\nread only = no\n{user}{extra}\n", root.display());
        std::fs::write(&config, text).unwrap();
        let log = File::create(work.join("daemon.log")).unwrap();
        // Another process may take the port between our asking and the daemon's binding: ask again.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = Command::new(server)
                .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
                .arg(format!("--port={port}"))
                .arg(format!("--config={}", config.display()))
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log.try_clone().unwrap())
                .process_group(0)
                .spawn()
                .unwrap();
            if answers(&mut child, port) {
                return Self { child, port, config };
            }
        }
        panic!("the daemon does not answer: {}", std::fs::read_to_string(work.join("daemon.log")).unwrap());
    }
}

/// Waits until the port takes a connection; false if the daemon ended instead.
fn answers(child: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    run::kill_group(child.id());
    false
}

impl Drop for Daemon {
    fn drop(&mut self) {
        run::kill_group(self.child.id());
        let _ = self.child.wait();
    }
}
