//! Stock clients of SFTP and scp against the receiving programs.
//!
//! Each client starts what it takes for `ssh`: a script that carries bytes through FIFOs
//! to the program under test. So this needs no SSH door, and only what travels inside of
//! one is proved. A client that is not installed is a failure: `tests/run`
//! installs them all.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::io::{In, Io, Out};
use super::program::Context;
use super::rig::{Arrived, GOOD, REFUSED, Rig};
use super::{scp, sftp};
use crate::model::{Lang, Via};

/// What clients run in place of `ssh`; `DIR` becomes the station's directory.
const SCRIPT: &str = r#"#!/bin/sh
for word; do :; done
d=$(mktemp -d DIR/c.XXXXXX) && mkfifo "$d/in" "$d/out" "$d/err" "$d/status" || exit 255
printf '%s' "$word" > "$d/command"
exec 3<&0
cat "$d/out" & out=$!
cat "$d/err" >&2 & err=$!
cat <&3 > "$d/in" & in=$!
exec 3<&-
printf '%s\n' "$d" > DIR/door
read status < "$d/status"
wait $out $err
kill $in 2>/dev/null
exit "$status"
"#;

/// The far side of clients, and a directory for their files.
struct Station {
    rig: Rig,
    dir: tempfile::TempDir,
    /// The exit status of each connection that ended.
    ended: mpsc::Receiver<u32>,
}

impl Station {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let script = dir.path().join("ssh");
        fs::write(&script, SCRIPT.replace("DIR", path)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let door = dir.path().join("door");
        assert!(Command::new("mkfifo").arg(&door).status().unwrap().success());
        let rig = Rig::new();
        let far = rig.clone();
        let (tell, ended) = mpsc::channel();
        // Opened for both directions, so that it never ends; the thread dies with the process.
        let mut door = File::options().read(true).write(true).open(door).unwrap();
        thread::spawn(move || {
            let mut line = Vec::new();
            let mut byte = [0];
            while door.read_exact(&mut byte).is_ok() {
                if byte == *b"\n" {
                    let connection = PathBuf::from(String::from_utf8(std::mem::take(&mut line)).unwrap());
                    let (far, tell) = (far.clone(), tell.clone());
                    thread::spawn(move || tell.send(serve(&far, &connection)));
                } else {
                    line.push(byte[0]);
                }
            }
        });
        Self { rig, dir, ended }
    }

    fn path(&self, name: impl AsRef<std::ffi::OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }

    fn file(&self, name: impl AsRef<std::ffi::OsStr>, data: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        path
    }

    /// A small site in `site/`.
    fn site(&self) -> PathBuf {
        self.file("site/index.html", b"<h1>PREP</h1>");
        self.file("site/datos/corte.json", b"{}");
        self.file("site/datos/vac\u{ed}o.csv", b"");
        self.path("site")
    }

    /// A client's command line, in the station's directory, bounded in time.
    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60"]).args(words).current_dir(self.dir.path()).env("HOME", self.dir.path());
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Orders for `sftp -b`.
    fn sftp(&self, options: &[&str], orders: &str) -> Output {
        let batch = self.file("orders", orders.as_bytes());
        let ssh = self.path("ssh");
        let mut words = vec!["sftp", "-S", ssh.to_str().unwrap(), "-b", batch.to_str().unwrap()];
        words.extend(options);
        words.push("prep@difusor");
        self.run(&words)
    }

    fn scp(&self, words: &[&str]) -> Output {
        let ssh = self.path("ssh");
        self.run(&[&["scp", "-S", ssh.to_str().unwrap()], words].concat())
    }
}

/// One connection: from the FIFOs to the program the client asked for, and back.
fn serve(rig: &Rig, connection: &Path) -> u32 {
    let command = fs::read(connection.join("command")).unwrap();
    let mut input = File::open(connection.join("in")).unwrap();
    let mut output = File::options().write(true).open(connection.join("out")).unwrap();
    let mut errors = File::options().write(true).open(connection.join("err")).unwrap();
    let (mut io, to_program, mut from_program) = Io::pair(32);
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(n) = input.read(&mut buffer) {
            let message = if n == 0 { In::Eof } else { In::Data(buffer[..n].to_vec().into()) };
            if to_program.blocking_send(message).is_err() || n == 0 {
                return;
            }
        }
    });
    let writer = thread::spawn(move || {
        while let Some(out) = from_program.blocking_recv() {
            let _ = match out {
                Out::Data(bytes) => output.write_all(&bytes),
                Out::Error(bytes) => errors.write_all(&bytes),
            };
        }
    });
    let context = Context { lang: Lang::Es, verdict_wait: Duration::from_secs(30) };
    let mut words = command.split(|b| *b == b' ').map(<[u8]>::to_vec);
    let status = match words.next().as_deref() {
        Some(b"sftp") => sftp::serve(io, rig.view(Via::Sftp), &context),
        Some(b"scp") => {
            let status = scp::sink(&words.collect::<Vec<_>>(), &mut io, rig.view(Via::Scp), &context);
            drop(io);
            status
        }
        _ => {
            drop(io);
            127
        }
    };
    writer.join().unwrap();
    // Nobody opens the other end if the script was killed with its client.
    let status_file = connection.join("status");
    thread::spawn(move || {
        if let Ok(mut fifo) = File::options().write(true).open(status_file) {
            let _ = writeln!(fifo, "{status}");
        }
    });
    status
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}\n{}\n{}", output.status, errors(output), told(output));
}

#[test]
fn scp_in_either_mode_delivers_a_package_and_shows_the_verdict() {
    for mode in ["-s", "-O"] {
        let station = Station::new();
        station.file("corte.tar.gz", GOOD);
        let output = station.scp(&[mode, "-p", "corte.tar.gz", "prep@difusor:"]);
        succeeds(&output);
        assert!(errors(&output).contains("publicado corte"), "{mode}: {}", errors(&output));
        assert_eq!(station.rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
    }
}

#[test]
fn scp_in_either_mode_fails_with_the_reason_of_a_refusal() {
    for mode in ["-s", "-O"] {
        let station = Station::new();
        station.file("malo.tar.gz", REFUSED);
        let output = station.scp(&[mode, "malo.tar.gz", "prep@difusor:paquetes/"]);
        assert_eq!(output.status.code(), Some(1), "{mode}");
        assert!(errors(&output).contains("rechazado en integridad: "), "{mode}: {}", errors(&output));
    }
}

#[test]
fn scp_in_either_mode_sends_a_tree_as_one_transaction() {
    for mode in ["-s", "-O"] {
        let station = Station::new();
        station.site();
        let output = station.scp(&[mode, "-rp", "site/index.html", "site/datos", "prep@difusor:sitio/"]);
        succeeds(&output);
        assert!(errors(&output).contains("publicado"), "{mode}: {}", errors(&output));
        let tree = ["datos/corte.json", "datos/vacío.csv", "index.html"];
        assert_eq!(station.rig.arrived(), [Arrived::tree(&tree)]);
    }
}

#[test]
fn scp_with_an_unreadable_file_publishes_no_tree() {
    let station = Station::new();
    let site = station.site();
    std::os::unix::fs::symlink("nowhere", site.join("z.json")).unwrap();
    let words = ["-r", "site/index.html", "site/z.json", "prep@difusor:sitio/"];
    let output = station.scp(&[&["-O"], &words[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("nada de lo escrito en el sitio se publica"), "{}", errors(&output));
    assert_eq!(station.rig.arrived(), []);
    // In SFTP mode the client says nothing of it and ends the session as cleanly as ever:
    // only what a tree must hold (required entries) can tell that one is short.
    assert!(!station.scp(&[&["-s"], &words[..]].concat()).status.success());
    assert_eq!(station.rig.arrived(), [Arrived::tree(&["index.html"])]);
}

#[test]
fn scp_keeps_names_with_spaces_and_foreign_letters() {
    for mode in ["-s", "-O"] {
        let station = Station::new();
        for name in [&b"corte 20 15.tar.gz"[..], "mañana.tar.gz".as_bytes(), b"ma\xf1ana.tar.gz"] {
            station.file(std::ffi::OsStr::from_bytes(name), GOOD);
            let mut command = station.command(&["scp", mode, "-S"]);
            command.arg(station.path("ssh")).arg(std::ffi::OsStr::from_bytes(name)).arg("prep@difusor:");
            succeeds(&command.output().unwrap());
        }
        assert_eq!(station.rig.arrived().len(), 3);
    }
}

#[test]
fn scp_does_not_fetch() {
    let station = Station::new();
    let output = station.scp(&["-O", "prep@difusor:corte.tar.gz", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("aquí solo se reciben archivos"), "{}", errors(&output));
}

#[test]
fn sftp_does_all_an_institute_needs() {
    let station = Station::new();
    station.file("corte.tar.gz", GOOD);
    station.file("vacio.part", b"");
    let orders = "put -fp corte.tar.gz\nput vacio.part \"con espacio ñ.part\"\nls -la\nls -l *.part\n\
                  mkdir sitio/nuevo\nput vacio.part sitio/nuevo/a.txt\nrename sitio/nuevo/a.txt sitio/nuevo/b.txt\n\
                  -rename -l falta.txt otro\nchmod 600 sitio/nuevo/b.txt\nrm sitio/nuevo/b.txt\nrmdir sitio/nuevo\n\
                  df -h\ncd paquetes\npwd\nput corte.tar.gz dos.tar.gz\n";
    let output = station.sftp(&[], orders);
    succeeds(&output);
    assert!(told(&output).contains("Remote working directory: /paquetes"), "{}", told(&output));
    assert!(told(&output).contains("con espacio ñ.part"), "{}", told(&output));
    let verdicts = errors(&output).matches("publicado").count();
    assert_eq!(verdicts, station.rig.arrived().len(), "{}", errors(&output));
    let packages =
        station.rig.arrived().into_iter().filter(|arrived| matches!(arrived, Arrived::Package(..)));
    assert_eq!(packages.count(), 2);
}

#[test]
fn sftp_sends_a_tree_as_one_transaction() {
    let station = Station::new();
    station.site();
    let output = station.sftp(&[], "put -Rp site/. sitio\n");
    succeeds(&output);
    let tree = ["datos/corte.json", "datos/vacío.csv", "index.html"];
    assert_eq!(station.rig.arrived(), [Arrived::tree(&tree)]);
}

#[test]
fn sftp_batch_that_fails_publishes_no_tree() {
    let station = Station::new();
    station.site();
    station.file("malo.tar.gz", REFUSED);
    let output = station.sftp(&[], "put -R site/. sitio\nput malo.tar.gz\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("rechazado en integridad: "), "{}", errors(&output));
    let tree = station.rig.arrived().into_iter().find(|arrived| matches!(arrived, Arrived::Tree(_)));
    assert_eq!(tree, None, "the batch stopped before its end");
}

#[test]
fn sftp_with_many_large_requests_in_flight_arrives_whole() {
    let station = Station::new();
    let mut large = GOOD.to_vec();
    large.extend((0..8_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]));
    station.file("grande.tar.gz", &large);
    for options in [&["-R", "64", "-B", "261120"][..], &["-R", "256", "-B", "1000"]] {
        let output = station.sftp(options, "put grande.tar.gz\nget grande.tar.gz vuelta\n");
        succeeds(&output);
        assert!(fs::read(station.path("vuelta")).unwrap() == large, "{options:?}");
    }
    assert_eq!(station.rig.arrived()[0], Arrived::package("grande.tar.gz", &large));
}

#[test]
fn sftp_resumes_what_a_killed_client_left() {
    let station = Station::new();
    let mut large = GOOD.to_vec();
    large.resize(4 << 20, 7);
    station.file("corte.tar.gz", &large);
    let batch = station.file("slow", b"put corte.tar.gz\n");
    let mut client = Command::new("sftp")
        .args(["-l", "8000", "-b"])
        .arg(batch)
        .arg("-S")
        .arg(station.path("ssh"))
        .arg("prep@difusor")
        .current_dir(station.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while station.rig.size("corte.tar.gz").is_none_or(|size| size < 100_000) {
        thread::yield_now();
    }
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(station.ended.recv().unwrap(), 1);
    assert_eq!(station.rig.arrived(), []);
    let left = station.rig.size("corte.tar.gz").unwrap();
    assert!((100_000..4 << 20).contains(&left), "{left} bytes");
    let output = station.sftp(&[], "ls -l corte.tar.gz\nreput corte.tar.gz\n");
    succeeds(&output);
    assert!(told(&output).contains(&left.to_string()), "{}", told(&output));
    assert_eq!(station.rig.arrived(), [Arrived::package("corte.tar.gz", &large)]);
}

#[test]
fn lftp_puts_resumes_and_mirrors() {
    let station = Station::new();
    station.site();
    station.file("corte.tar.gz", GOOD);
    let ssh = station.path("ssh").display().to_string();
    let orders = format!(
        "set cmd:fail-exit yes; set net:max-retries 1; set sftp:auto-confirm yes; \
         set sftp:connect-program \"{ssh}\"; open -u prep,x sftp://difusor; \
         put corte.tar.gz; cls -l; mirror -R site sitio; bye"
    );
    let output = station.run(&["lftp", "-c", &orders]);
    succeeds(&output);
    assert!(told(&output).contains("corte.tar.gz"), "{}", told(&output));
    assert!(station.rig.arrived().contains(&Arrived::package("corte.tar.gz", GOOD)));
}

#[test]
fn sshfs_copies_a_package() {
    let station = Station::new();
    station.file("corte.tar.gz", GOOD);
    fs::create_dir(station.path("mnt")).unwrap();
    let ssh = format!("ssh_command={}", station.path("ssh").display());
    succeeds(&station.run(&["sshfs", "-o", &ssh, "prep@difusor:", "mnt"]));
    let copied = station.run(&["cp", "corte.tar.gz", "mnt/corte.tar.gz"]);
    let listed = station.run(&["ls", "-l", "mnt/"]);
    succeeds(&station.run(&["fusermount3", "-u", "mnt"]));
    succeeds(&copied);
    succeeds(&listed);
    station.rig.wait_for(1);
    assert_eq!(station.rig.arrived(), [Arrived::package("corte.tar.gz", GOOD)]);
}
