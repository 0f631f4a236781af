//! Bytes through a channel: whole, bounded, and never waiting for each other.

use super::*;

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn expected(data: &[u8], sunk: Sunk) {
    assert_eq!((sunk.bytes, sunk.clean), (data.len() as u64, true));
}

#[test]
fn an_upload_arrives_whole_across_many_rekeys() {
    let bench = Bench::new();
    let data = noise(35_000_000);
    for options in [&["-o", "RekeyLimit=1M"][..], &["-c", "aes128-gcm@openssh.com"], &["-c", "aes256-ctr"]] {
        let mut ssh = bench.ssh(options);
        ssh.arg("sink");
        let output = run(ssh, &data);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "35000000\n"));
        expected(&data, bench.sunk());
    }
}

#[test]
fn what_is_echoed_is_what_was_sent() {
    let bench = Bench::new();
    let data = noise(20_000_000);
    let mut ssh = bench.ssh(&["-o", "RekeyLimit=1M"]);
    ssh.arg("echo");
    let output = run(ssh, &data);
    assert!(output.status.success() && output.stdout == data);
}

#[test]
fn both_outputs_keep_every_line() {
    let bench = Bench::new();
    let mut ssh = bench.ssh(&[]);
    ssh.arg("lines");
    let output = run(ssh, b"");
    assert_eq!((stdout(&output), stderr(&output)), ("o\n".repeat(100), "e\n".repeat(100)));
}

#[test]
fn a_program_that_writes_before_it_reads_wedges_nothing() {
    let bench = Bench::new();
    let data = noise(16_000_000);
    let mut ssh = bench.ssh(&[]);
    ssh.arg("talk 64000000");
    let output = run(ssh, &data);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.len() > 63_900_000);
    expected(&data, bench.sunk());
}

#[test]
fn a_peer_that_takes_nothing_loses_its_channel_and_nobody_else_waits() {
    let bench = Bench::with(Limits { write_timeout: Duration::from_millis(500), ..Limits::default() });
    // Its output is never read, its input never ends.
    let mut deaf = start(bench.ssh(&[]).arg("talk 64000000"));
    let sunk = bench.sunk();
    assert!(!sunk.clean, "the program is told");
    let mut ssh = bench.ssh(&[]);
    ssh.arg("exit 5");
    assert_eq!(run(ssh, b"").status.code(), Some(5));
    deaf.kill().unwrap();
    deaf.wait().unwrap();
}

#[test]
fn a_program_that_does_not_read_is_left_with_its_exit_status() {
    let bench = Bench::new();
    let mut ssh = bench.ssh(&[]);
    ssh.arg("exit 9");
    assert_eq!(run(ssh, &noise(20_000_000)).status.code(), Some(9));
}

#[test]
fn a_killed_client_never_looks_like_an_end_of_file() {
    let bench = Bench::new();
    let mut child = start(bench.ssh(&[]).arg("wait"));
    ready(&mut child);
    child.stdin.as_mut().unwrap().write_all(&noise(1_000_000)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let sunk = bench.sunk();
    assert!(!sunk.clean && sunk.bytes <= 1_000_000, "{sunk:?}");
}

#[test]
fn a_program_that_panics_takes_nobody_with_it() {
    let bench = Bench::new();
    let mut other = start(bench.ssh(&[]).arg("wait"));
    ready(&mut other);
    let mut ssh = bench.ssh(&[]);
    ssh.arg("panic");
    assert_eq!(run(ssh, b"").status.code(), Some(70));
    drop(other.stdin.take());
    assert!(other.wait_with_output().unwrap().status.success() && bench.sunk().clean);
}

#[test]
fn channels_of_one_session_are_capped_and_given_back() {
    let bench = Bench::with(Limits { channels_per_session_max: 3, ..Limits::default() });
    let socket = bench.path("control").display().to_string();
    let control = ["-S", &socket];
    let master = ["-M", "-S", &socket, "-o", "ControlPersist=no"];
    let mut children = vec![start(bench.ssh(&master).arg("wait"))];
    ready(&mut children[0]);
    for _ in 0..2 {
        let mut child = start(bench.ssh(&control).arg("wait"));
        ready(&mut child);
        children.push(child);
    }
    let mut fourth = bench.ssh(&control);
    // Without a way of its own: the multiplexed channel or nothing.
    fourth.args(["exit 0"]).env("SSH_ASKPASS", "/bin/false");
    let output = run(fourth, b"");
    assert!(stderr(&output).contains("Session open refused by peer"), "{}", stderr(&output));
    let mut third = children.pop().unwrap();
    drop(third.stdin.take());
    assert!(third.wait().unwrap().success());
    let mut again = bench.ssh(&control);
    again.arg("exit 6");
    assert_eq!(run(again, b"").status.code(), Some(6));
    for mut child in children.into_iter().rev() {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn stopping_lets_an_upload_finish_and_takes_nobody_new() {
    let bench = Bench::new();
    let mut upload = start(bench.ssh(&[]).arg("wait"));
    ready(&mut upload);
    let door = bench.door.clone();
    let stopping = bench.runtime.spawn(async move { door.stop().await });
    let data = noise(3_000_000);
    let mut stdin = upload.stdin.take().unwrap();
    stdin.write_all(&data).unwrap();
    let refused = loop {
        let mut ssh = bench.ssh(&["-o", "ConnectTimeout=2"]);
        ssh.arg("exit 0");
        if run(ssh, b"").status.code() != Some(0) {
            break true;
        }
    };
    drop(stdin);
    assert!(refused && upload.wait_with_output().unwrap().status.success());
    expected(&data, bench.sunk());
    bench.runtime.block_on(stopping).unwrap();
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let bench = Bench::with(Limits { drain: Duration::from_millis(200), ..Limits::default() });
    let mut upload = start(bench.ssh(&[]).arg("wait"));
    ready(&mut upload);
    bench.runtime.block_on(bench.door.stop());
    assert_eq!(bench.closed(), End::Stopped);
    assert!(!bench.sunk().clean);
    let output = upload.wait_with_output().unwrap();
    assert!(stderr(&output).contains("the service stops; try again"), "{}", stderr(&output));
}

#[test]
fn a_session_that_says_nothing_is_closed_but_not_while_it_waits_for_us() {
    let bench = Bench::with(Limits { idle: Duration::from_millis(150), ..Limits::default() });
    let mut ssh = bench.ssh(&[]);
    ssh.arg("slow");
    assert_eq!(run(ssh, b"all").status.code(), Some(0), "its turn was over");
    assert!(bench.sunk().clean);
    assert_eq!(bench.closed(), End::Left);
    let mut silent = start(bench.ssh(&[]).arg("wait"));
    ready(&mut silent);
    assert_eq!(bench.closed(), End::Idle);
    silent.wait().unwrap();
}
