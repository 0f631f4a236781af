//! nginx: Debian's, and the one whose source a crate carries.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use crate::night::{self, Node};
use crate::script::free_port;

/// Debian's.
pub const OF_DEBIAN: &str = "/usr/sbin/nginx";

/// nginx as a good administrator sets it up.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    /// `program` over these files, with the certificate of `node`, on core 0.
    pub fn start(program: &Path, node: &Node, files: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, port) = (dir.path().display(), free_port());
        let tls = node.path("var/tls");
        let conf = format!(
            "user root; daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error;\n\
             worker_rlimit_nofile 30000; events {{ worker_connections 20000; }}\n\
             http {{ types {{ application/json json; text/csv csv; text/html html; }} access_log off; server_tokens off;\n\
             client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
             sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 75; keepalive_requests 1000000000;\n\
             gzip_static on; gzip_vary on; output_buffers 2 256k;\n\
             open_file_cache max=10000 inactive=60s; open_file_cache_valid 30s; open_file_cache_min_uses 1;\n\
             ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:20m; ssl_session_tickets on;\n\
             ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519;\n\
             ssl_certificate {tls}/self-signed.pem; ssl_certificate_key {tls}/self-signed.key;\n\
             server {{ listen 127.0.0.1:{port} ssl http2 reuseport backlog=4096; root {root}; etag on; }} }}\n",
            tls = tls.display(),
            root = files.display(),
        );
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let mut nginx = Command::new("taskset");
        nginx.args(["-c", "0"]).arg(program).arg("-p").arg(dir.path());
        let child = nginx.arg("-c").arg(dir.path().join("nginx.conf")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _dir: dir }
    }

    /// Its workers.
    pub fn pids(&self) -> Vec<u32> {
        let found = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// nginx 1.28 out of the crate `nginx-src`: fetched by cargo, built against the machine's OpenSSL in a folder of the
/// temporary files, and kept there for the next run.
pub fn of_crate() -> PathBuf {
    let dir = std::env::temp_dir().join("difusor-bench-nginx");
    let program = dir.join("build/objs/nginx");
    if program.exists() {
        return program;
    }
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::write(dir.join("src/lib.rs"), "").unwrap();
    let manifest = "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                    [workspace]\n[dependencies]\nnginx-src = \"1.28\"\n";
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    let told = run(Command::new("cargo").args(["metadata", "--format-version", "1"]).current_dir(&dir));
    let told: Value = serde_json::from_slice(&told).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let found = packages.iter().find(|package| package["name"] == "nginx-src").unwrap();
    let source = Path::new(found["manifest_path"].as_str().unwrap()).with_file_name("nginx");
    run(Command::new("cp").arg("-r").arg(source).arg(dir.join("build")));
    let modules = ["--with-http_ssl_module", "--with-http_v2_module", "--with-http_gzip_static_module"];
    let mut configure = Command::new("sh");
    configure
        .arg("auto/configure")
        .args(modules)
        .args(["--without-http_rewrite_module", "--with-cc-opt=-O2"]);
    run(configure.current_dir(dir.join("build")));
    run(Command::new("make").arg("-j2").current_dir(dir.join("build")));
    program
}

fn run(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", night::shown(&out));
    out.stdout
}
