//! Whether this machine's clock is right: what other machines say the hour is, and who keeps ours.
//!
//! [`ask`] is one question by SNTP (RFC 4330, RFC 5905) over UDP, with a bound on its time; it sets nothing.
//! [`kept`] looks for a program that keeps the clock: systemd-timesyncd, chrony, or whatever made the kernel
//! believe that it is in step. A service under `ProtectClock=` may not even read `adjtimex`, so
//! what cannot be known is said to be unknown and never taken for good. Imports `clock`.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// The port of RFC 5905.
const PORT: u16 = 123;
/// Seconds from 1900, the beginning of NTP's count, to 1970.
const SECONDS_1900_TO_1970: i64 = 2_208_988_800;
/// A packet without extensions.
const PACKET_BYTES: usize = 48;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Bytes of an answer of a program that are read.
const TOLD_BYTES_MAX: u64 = 4 << 10;

/// What one server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub server: SocketAddr,
    /// How far our clock is ahead of the server's; negative where it is behind.
    pub ahead: SignedDuration,
    /// How long question and answer took on the way: the offset is no surer than half of it.
    pub delay: SignedDuration,
    /// Distance of the server from a reference clock, 1 to 15.
    pub stratum: u8,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Its name leads nowhere.
    #[error("the name leads to no address")]
    Name,
    /// Sending or receiving failed, or took too long.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no answer to our question.
    #[error("what came is no answer: {0}")]
    Nonsense(&'static str),
    /// It says itself that it does not know the hour (RFC 4330, §5: leap indicator 3, stratum 0).
    #[error("the server does not know the hour itself")]
    Unsynchronised,
}

/// Asks `server` (`name`, `name:port` or an address) for the hour, at most for `wait` each address.
pub fn ask(server: &str, wait: Duration, clock: &Clock) -> Result<Answer, NoAnswer> {
    let name = server.to_owned();
    let found = within(wait, move || addresses(&name)).flatten().unwrap_or_default();
    let mut last = NoAnswer::Name;
    for address in found.into_iter().take(ADDRESSES_MAX) {
        match ask_one(address, wait, clock) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn addresses(server: &str) -> Option<Vec<SocketAddr>> {
    let with_port = server.to_socket_addrs();
    let found = with_port.or_else(|_| (server.trim_matches(['[', ']']), PORT).to_socket_addrs());
    Some(found.ok()?.collect())
}

fn ask_one(server: SocketAddr, wait: Duration, clock: &Clock) -> Result<Answer, NoAnswer> {
    let here = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(here)?;
    socket.connect(server)?;
    // The server gives our stamp back: a random one proves that the answer is to our question.
    let mut nonce = [0; 8];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| io::Error::other("no random bytes"))?;
    let mut question = [0; PACKET_BYTES];
    // Version 4, mode 3: a client.
    question[0] = 0b00_100_011;
    question[40..].copy_from_slice(&nonce);
    let begun = Instant::now();
    let sent = clock.now();
    socket.send(&question)?;
    loop {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        socket.set_read_timeout(Some(left))?;
        let mut packet = [0; PACKET_BYTES];
        let n = socket.recv(&mut packet)?;
        let received = clock.now();
        // A late answer to an earlier question is passed over, not believed.
        if n >= PACKET_BYTES && packet[24..32] != nonce {
            continue;
        }
        return read(packet.get(..n).unwrap_or_default(), server, sent, received);
    }
}

/// RFC 4330, §5: what makes an answer, and the four stamps in it.
fn read(packet: &[u8], server: SocketAddr, sent: Timestamp, received: Timestamp) -> Result<Answer, NoAnswer> {
    let packet: &[u8; PACKET_BYTES] = packet.try_into().map_err(|_| NoAnswer::Nonsense("too short"))?;
    let (leap, mode, stratum) = (packet[0] >> 6, packet[0] & 7, packet[1]);
    if mode != 4 {
        return Err(NoAnswer::Nonsense("not from a server"));
    }
    if leap == 3 || stratum == 0 || stratum > 15 {
        return Err(NoAnswer::Unsynchronised);
    }
    let stamp = |at: usize| packet.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let (Some(taken), Some(answered)) = (stamp(32), stamp(40)) else {
        return Err(NoAnswer::Nonsense("too short"));
    };
    if answered == 0 {
        return Err(NoAnswer::Unsynchronised);
    }
    let (there, back) = (between(taken, count(sent)), between(answered, count(received)));
    let ahead = -halved(there + back);
    Ok(Answer { server, ahead, delay: (there - back).max(SignedDuration::ZERO), stratum })
}

/// NTP's count of an instant: seconds since 1900 and a fraction, 32 bits each. It wraps in 2036.
fn count(at: Timestamp) -> u64 {
    let seconds = at.as_second() + SECONDS_1900_TO_1970;
    let fraction = (i64::from(at.subsec_nanosecond()) << 32) / 1_000_000_000;
    ((seconds << 32) + fraction).cast_unsigned()
}

/// The time from `earlier` to `later`, whichever era they are of: right within 68 years.
fn between(later: u64, earlier: u64) -> SignedDuration {
    let ticks = later.wrapping_sub(earlier).cast_signed();
    let nanos = (i128::from(ticks) * 1_000_000_000) >> 32;
    SignedDuration::from_nanos_i128(nanos)
}

fn halved(sum: SignedDuration) -> SignedDuration {
    SignedDuration::from_nanos_i128(sum.as_nanos() / 2)
}

/// Who keeps this machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// This one says that the clock is in step.
    InStep(&'static str),
    /// This one runs and says that it is not (yet).
    OutOfStep(&'static str),
    /// Nothing that could be asked knows.
    Unknown,
}

/// Looks for the keeper of the clock of the machine whose files lie under `root` (`/`); asks the programs of this
/// machine only where `root` is `/`, each for `wait` at most.
pub fn kept(root: &Path, wait: Duration) -> Keeper {
    let runs = |path: &str| root.join(path).exists();
    // systemd-timesyncd(8) touches it at each answer of its server, and makes it anew at each boot.
    if runs("run/systemd/timesync/synchronized") {
        return Keeper::InStep("systemd-timesyncd");
    }
    if root == Path::new("/") {
        if let Some(told) = told("chronyc", &["-n", "-c", "tracking"], wait) {
            return chrony(&told);
        }
        // adjtimex, asked through timedated: it may where we may not.
        if let Some(told) = told("timedatectl", &["show", "--property=NTPSynchronized", "--value"], wait) {
            match told.trim() {
                "yes" => return Keeper::InStep("timedatectl"),
                "no" => return Keeper::OutOfStep("timedatectl"),
                _ => {}
            }
        }
    }
    if runs("run/systemd/timesync") { Keeper::OutOfStep("systemd-timesyncd") } else { Keeper::Unknown }
}

/// The last field of `chronyc -c tracking` (chronyc(1)): the state of the leap second, or that it is not in step.
fn chrony(told: &str) -> Keeper {
    match told.trim().rsplit(',').next() {
        Some("Normal" | "Insert second" | "Delete second") => Keeper::InStep("chrony"),
        _ => Keeper::OutOfStep("chrony"),
    }
}

/// What a program of the system says on its standard output, if it ends well and in time.
pub fn told(program: &str, args: &[&str], wait: Duration) -> Option<String> {
    use std::io::Read as _;
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let out = child.stdout.take()?;
    let text = within(wait, move || {
        let mut text = String::new();
        out.take(TOLD_BYTES_MAX).read_to_string(&mut text).ok().map(|_| text)
    });
    if text.is_none() {
        let _ = child.kill();
    }
    child.wait().ok()?.success().then_some(text??)
}

/// The result of `work`, unless it takes longer than `wait`; then its thread is left to end by itself (a
/// resolver gives up after some seconds).
pub fn within<T: Send + 'static>(wait: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (to, from) = mpsc::channel();
    std::thread::spawn(move || to.send(work()).is_ok());
    from.recv_timeout(wait).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers one question, as its clock and `change` have it.
    fn server(at: Timestamp, change: fn(&mut [u8; 48])) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let mut packet = [0; 48];
            let (_, from) = socket.recv_from(&mut packet).unwrap();
            let mut answer = [0; 48];
            (answer[0], answer[1]) = (0b00_100_100, 2);
            answer[24..32].copy_from_slice(&packet[40..48]);
            answer[32..40].copy_from_slice(&count(at).to_be_bytes());
            answer[40..48].copy_from_slice(&count(at).to_be_bytes());
            change(&mut answer);
            // What somebody else might send first.
            let mut stray = answer;
            stray[24] ^= 1;
            socket.send_to(&stray, from).unwrap();
            socket.send_to(&answer, from).unwrap();
        });
        address
    }

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn the_difference_to_a_server_is_measured_with_its_sign() {
        let now: Timestamp = "2027-06-06T20:00:00.25Z".parse().unwrap();
        for (theirs, ahead) in [
            ("2027-06-06T20:00:00.25Z", 0),
            ("2027-06-06T19:59:53.25Z", 7_000),
            ("2027-06-06T20:00:02.75Z", -2_500),
        ] {
            let address = server(theirs.parse().unwrap(), |_| {});
            let answer = ask(&address, WAIT, &Clock::at(now)).unwrap();
            assert_eq!(answer.ahead.as_millis(), ahead, "{theirs}");
            assert_eq!(answer.stratum, 2);
        }
    }

    #[test]
    fn the_wrap_of_2036_changes_nothing() {
        let now: Timestamp = "2036-02-07T06:28:15Z".parse().unwrap();
        let address = server("2036-02-07T06:28:17Z".parse().unwrap(), |_| {});
        let answer = ask(&address, WAIT, &Clock::at(now)).unwrap();
        assert_eq!(answer.ahead.as_millis(), -2_000);
    }

    #[test]
    fn an_answer_that_is_none_is_not_believed() {
        let now: Timestamp = "2027-06-06T20:00:00Z".parse().unwrap();
        let asked = |change| ask(&server(now, change), WAIT, &Clock::at(now)).unwrap_err();
        assert!(matches!(asked(|p| p[0] |= 0b11_000_000), NoAnswer::Unsynchronised));
        assert!(matches!(asked(|p| p[1] = 0), NoAnswer::Unsynchronised));
        assert!(matches!(asked(|p| p[1] = 16), NoAnswer::Unsynchronised));
        assert!(matches!(asked(|p| p[40..].fill(0)), NoAnswer::Unsynchronised));
        assert!(matches!(asked(|p| p[0] = 0b00_100_011), NoAnswer::Nonsense(_)));
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let wait = Duration::from_millis(50);
        assert!(matches!(ask(&address, wait, &Clock::at(now)), Err(NoAnswer::Io(_))));
    }

    #[test]
    fn a_clock_that_nobody_vouches_for_is_unknown_not_good() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(kept(root.path(), WAIT), Keeper::Unknown);
        std::fs::create_dir_all(root.path().join("run/systemd/timesync")).unwrap();
        assert_eq!(kept(root.path(), WAIT), Keeper::OutOfStep("systemd-timesyncd"));
        std::fs::write(root.path().join("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(kept(root.path(), WAIT), Keeper::InStep("systemd-timesyncd"));
    }

    #[test]
    fn chrony_is_believed_only_in_step() {
        let line = "C0A80101,192.168.1.1,3,1700000000.1,0.000012,0.00001,0.00002,1.2,0.0,0.1,0.01,0.02,64.2,";
        assert_eq!(chrony(&format!("{line}Normal\n")), Keeper::InStep("chrony"));
        assert_eq!(chrony(&format!("{line}Not synchronised\n")), Keeper::OutOfStep("chrony"));
        assert_eq!(chrony(""), Keeper::OutOfStep("chrony"));
    }
}
