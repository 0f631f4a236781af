//! Many, slow and silent connections.

use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

fn quick() -> Limits {
    Limits {
        grace: Duration::from_secs(3),
        connections_per_second: 10_000,
        connections_burst: 10_000,
        refusals_every: Duration::from_millis(100),
        ..Limits::default()
    }
}

#[test]
fn silent_connections_die_and_a_push_gets_through() {
    let bench = Bench::with(quick());
    let mut silent: Vec<_> = (0..300).map(|_| TcpStream::connect(bench.addr).unwrap()).collect();
    let mut ssh = bench.ssh(&[]);
    ssh.arg("sink");
    let output = run(ssh, b"push");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for socket in &mut silent {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let end = socket.read_to_end(&mut Vec::new());
        let gone = end.is_ok() || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(gone, "still open after its grace");
    }
}

#[test]
fn a_drip_of_bytes_does_not_prolong_the_grace() {
    let bench = Bench::with(Limits { grace: Duration::from_millis(700), ..quick() });
    let mut socket = TcpStream::connect(bench.addr).unwrap();
    socket.write_all(b"SSH-2.0-drip\r\n").unwrap();
    let mut dripping = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        while dripping.write_all(b"\0").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = socket.read_to_end(&mut Vec::new());
    let why = bench.event(|event| match event {
        Event::Refused(tallies) => tallies.into_iter().next().map(|t| t.why),
        _ => None,
    });
    assert_eq!(why, Why::Grace);
}

#[test]
fn a_session_without_a_program_ends_with_the_grace() {
    let bench = Bench::with(Limits { grace: Duration::from_secs(1), ..quick() });
    let output = run(bench.ssh(&["-N"]), b"");
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("nothing was asked for in time"), "{}", stderr(&output));
    assert_eq!(bench.closed(), End::Grace);
}

#[test]
fn a_listener_without_descriptors_lives_on() {
    let bench = Bench::with(quick());
    let before = getrlimit(Resource::Nofile);
    // Started before the descriptors are gone; connects when told to.
    let connect =
        format!("read go; exec 3<>/dev/tcp/127.0.0.1/{} && echo ready && head -c 15 <&3", bench.addr.port());
    let mut peer = start(Command::new("bash").args(["-c", &connect]));
    // Those three are taken, and no others may be.
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: before.maximum }).unwrap();
    peer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    ready(&mut peer);
    // The door cannot take it now.
    bench.event(|event| matches!(event, Event::Unable(_)).then_some(()));
    setrlimit(Resource::Nofile, before).unwrap();
    let output = peer.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "SSH-2.0-difusor");
}

#[test]
fn more_sessions_than_allowed_are_refused() {
    let bench = Bench::with(Limits { sessions_per_source_max: 2, ..quick() });
    let mut sessions: Vec<_> = (0..2).map(|_| start(bench.ssh(&[]).arg("wait"))).collect();
    sessions.iter_mut().for_each(ready);
    let mut third = bench.ssh(&[]);
    third.arg("exit 0");
    assert_eq!(run(third, b"").status.code(), Some(255));
    for mut session in sessions {
        drop(session.stdin.take());
        assert!(session.wait().unwrap().success());
    }
}
