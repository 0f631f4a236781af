//! A stock sshd that trusts our key.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::script::free_port;

/// The server; its sessions end with their clients.
pub struct Sshd {
    _dir: tempfile::TempDir,
    child: Child,
    pub port: u16,
}

impl Sshd {
    pub fn start(key: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let (host, authorized) = (dir.path().join("host"), dir.path().join("authorized"));
        let mut keygen = Command::new("ssh-keygen");
        assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host).status().unwrap().success());
        fs::copy(key.with_extension("pub"), &authorized).unwrap();
        let port = free_port();
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", "/dev/null"]);
        for option in [
            format!("Port {port}"),
            "ListenAddress 127.0.0.1".to_owned(),
            "StrictModes no".to_owned(),
            "UsePAM no".to_owned(),
            "PidFile none".to_owned(),
            "MaxStartups 100".to_owned(),
            "Subsystem sftp /usr/lib/openssh/sftp-server".to_owned(),
            format!("HostKey {}", host.display()),
            format!("AuthorizedKeysFile {}", authorized.display()),
        ] {
            sshd.arg("-o").arg(option);
        }
        let child = sshd.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Self { _dir: dir, child, port }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
