//! A program of the operator's: argument vector, no shell, the JSON on its standard input, a bound on its time.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::message::Message;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it on the blocking pool and waits for its exit code.
pub(super) async fn run(argv: &[String], timeout: Duration, message: &Message) -> Result<(), String> {
    let (argv, message) = (argv.to_vec(), message.clone());
    let ran = tokio::task::spawn_blocking(move || run_here(&argv, timeout, &message)).await;
    ran.map_err(|e| e.to_string())?
}

fn run_here(argv: &[String], timeout: Duration, message: &Message) -> Result<(), String> {
    let (program, arguments) = argv.split_first().ok_or("no program")?;
    let failed = |e: std::io::Error| format!("{program}: {e}");
    let mut command = Command::new(program);
    command.args(arguments).env("DIFUSOR_ALERT_SUBJECT", &message.subject);
    command.env("DIFUSOR_ALERT_LEVEL", message.level.name()).env("DIFUSOR_ALERT_CLASS", message.class);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        let json = message.json.clone();
        // On a thread of its own: a program that does not read its input must not hold us. If it is done all the
        // same its exit code tells.
        std::thread::spawn(move || _ = stdin.write_all(&json));
    }
    let until = Instant::now() + timeout;
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{program}: {status}")),
            None if Instant::now() >= until => {
                // It may have ended between the look and the kill; both are the same to us.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program}: not done in time"));
            }
            None => std::thread::sleep(LOOK),
        }
    }
}
