//! Runs a program to its end or to a deadline, with what it said and the memory it took.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest that one push of the matrix may take on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How a program ended.
pub struct Outcome {
    /// Exit status; a signal as 128 plus its number, as a shell says it. None: killed at the deadline.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Exit code as a shell would say it.
pub fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Kills the whole group that `group_leader` started: stock forks, and ssh stands between.
pub fn kill_group(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

/// Waits for the child; at the deadline kills its group and says None.
pub fn wait(mut child: Child, deadline: Duration) -> Option<ExitStatus> {
    let pid = child.id();
    let (tell, told) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = tell.send(child.wait());
    });
    let status = told.recv_timeout(deadline).ok();
    if status.is_none() {
        kill_group(pid);
    }
    let _ = waiter.join();
    status.map(|status| status.unwrap())
}

/// Runs to the end; what it prints goes through files in `scratch`, so that no pipe can fill up.
pub fn bounded(command: &mut Command, scratch: &Path, deadline: Duration) -> Outcome {
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    let child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let code = wait(child, deadline).map(code_of);
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    Outcome { code, out: text(&out), err: text(&err) }
}
