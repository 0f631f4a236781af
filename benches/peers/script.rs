//! The script that every sysadmin writes, with nginx behind it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The watching script and its nginx.
pub struct Script {
    dir: tempfile::TempDir,
    watcher: Child,
    nginx: Child,
    port: u16,
}

impl Script {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for sub in ["drop", "releases", "tmp"] {
            fs::create_dir(root.join(sub)).unwrap();
        }
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        certify(root);
        fs::write(root.join("nginx.conf"), nginx_conf(root, port)).unwrap();
        // A group of its own, so that inotifywait ends with it.
        let watcher = Command::new("bash")
            .args(["-c", SCRIPT, "script"])
            .arg(root)
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let nginx = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(root.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Self { dir, watcher, nginx, port }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The file that the script writes as the last one of a tree.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/version.txt", self.port)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.watcher), Signal::KILL);
        // TERM, so that the master takes its workers along.
        let _ = kill_process(Pid::from_child(&self.nginx), Signal::TERM);
        let _ = self.watcher.wait();
        let _ = self.nginx.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn certify(root: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-keyout"])
        .arg(root.join("key.pem"))
        .arg("-out")
        .arg(root.join("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success());
}

/// No open_file_cache: with it nginx would go on serving the old tree for its validity.
fn nginx_conf(root: &Path, port: u16) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/tmp; ", root.display()))
        .concat();
    format!(
        "daemon off; pid {r}/nginx.pid; error_log {r}/error.log; user root; worker_processes 1; events {{}}\n\
         http {{ access_log off; {temporary}\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {r}/cert.pem; \
         ssl_certificate_key {r}/key.pem; root {r}/current; }} }}\n",
        r = root.display()
    )
}

/// No fsync anywhere, as such scripts are.
const SCRIPT: &str = r#"
cd "$1"; inotifywait -q -m -e close_write -e moved_to --format %f drop | while read -r f; do
    d=releases/$(date +%s%N); mkdir "$d"; sha256sum "drop/$f" > "$d.sha256"
    tar xzf "drop/$f" -C "$d" && echo "$f" > "$d/version.txt" && ln -s "$d" new && mv -T new current
done"#;
