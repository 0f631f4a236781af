use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use russh::keys::PublicKey;

use super::manage::{ManageError, NewKey, add, revoke};
use super::*;
use crate::clock::Clock;
use crate::durable::Dir;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPyE92t3amNdAkvmrMq5adoQPd6p4H+ItrYLettajXeV";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFmxZom4xUK1w/MPyj+jGg5+Jh4/075VtTu1ywb5Xd+E";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCXic14qxhTGE0txY0aIhn9Y+Njkj0flclGOUSBbaPxyOesXjNnbe8wUrXqJU4jLhN1pct+IINWhb7Iyp1pTeLaqzZDaTNtbMg7zRMFIQZuI+/gAJbMfFSnLsVku/cxRvfnFQLWUsUU5A8LQi04gHpqqjXF/VSSxnod/rj4nPGyww==";
const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDVHt/u1BGJRBgjxqM+02FYWeSfonN4nCEIDmN26TF+klVbG7KVKfsXD1JoyGcqZ1Xhvgz13nY7IYqHxjus9Zth8p9ma7fCAZp89mKzShX9XsYqXAT72ITjo6gxrOB/OJI42rQGTSqi3B4fUPgR03F5GOHp9zI5eei8vOb1rIrOhk39j0iKKRvR8WfgTbVVX/F9JPWyu3E+ndDiqS5eqSCdTwgbdslB5nt26rl8QKwGy6i7z1R0en0Dle7Y1RcPiZL+AusNDOl/qWse7OUZdfzUnT/8DTYIakcDezBTus9eoAY3Vcr64ETA+woq3Z0gm7x1l4PNgCI0R/ugUofuHe1P";
const P521: &str = "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAEcVnNTE9IGhUETDKNIw26JeVb/QJckh/bVuTDLQoCy3YnKdZ5n/0tATvlIg9Dyh8ssqD98r8BR3gE6d7K0wXpgvAE5KAaT7VtSiGsIBkzaYQpL876jHN5kPhqa6fM42JV7a9aWAV6hsNZaFAAHm2MMSEp/o5qJqrttnIzEnCK6nysmSw==";

fn now() -> Timestamp {
    "2027-06-06T20:00:00Z".parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).unwrap()
}

/// A key directory with these files in `trusted/`.
fn keys(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("trusted")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join("trusted").join(name), text).unwrap();
    }
    dir
}

fn load(dir: &tempfile::TempDir) -> Keyring {
    Keyring::load(&dir.path().join("trusted"), &TimeZone::UTC).unwrap()
}

#[test]
fn a_bad_line_costs_only_its_own_key() {
    let dir = keys(&[
        ("qroo.pub", &format!("# instituto\n\nfrom=\"10.0.0.0/8\" {A} Oficina central\n")),
        ("dos.pub", &format!("\u{feff}{A} uno@x\r\nfoo {B}\r\n{P521}\r\n{RSA_2048} ../etc/passwd\r\n")),
        ("corta.pub", RSA_1024),
        ("privada.pub", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
        ("notas.txt", "hola"),
        ("editor.pub~", "x"),
        (".oculto", "x"),
    ]);
    let ring = load(&dir);
    let names: Vec<_> = ring.keys().iter().map(|k| k.name.as_str()).collect();
    assert_eq!(names, ["uno@x", "dos-3", "_etc_passwd", "qroo"]);
    let faults: Vec<_> = ring.faults().iter().map(|f| (f.place(), f.wrong.clone())).collect();
    assert_eq!(
        faults,
        [
            ("notas.txt".to_owned(), Wrong::Suffix),
            ("corta.pub:1:9".to_owned(), Wrong::ShortRsa(1024)),
            ("dos.pub:2:1".to_owned(), Wrong::UnknownOption("foo".into())),
            ("privada.pub".to_owned(), Wrong::PrivateKey),
        ]
    );
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let dir = keys(&[("a.pub", A), ("r.pub", RSA_2048), ("p.pub", P521)]);
    for trusted in load(&dir).keys() {
        let path = dir.path().join("trusted").join(&trusted.file);
        let out = std::process::Command::new("ssh-keygen").arg("-lf").arg(path).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains(&trusted.fingerprint), "{}", trusted.file);
    }
}

#[test]
fn files_that_others_may_write_to_are_not_ours() {
    let dir = keys(&[("a.pub", A), ("b.pub", B)]);
    let trusted = dir.path().join("trusted");
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&trusted.join("a.pub"), 0o664);
    std::os::unix::fs::symlink("b.pub", trusted.join("c.pub")).unwrap();
    let ring = load(&dir);
    assert_eq!(ring.keys().len(), 1);
    let faults: Vec<_> = ring.faults().iter().map(|f| (f.file.as_str(), f.wrong.clone())).collect();
    assert_eq!(faults, [("a.pub", Wrong::Writable(0o664)), ("c.pub", Wrong::NotAFile)]);
    chmod(&trusted, 0o777);
    assert!(matches!(Keyring::load(&trusted, &TimeZone::UTC), Err(Unusable::Unsafe { .. })));
}

#[test]
fn the_gate_asks_for_address_time_key_and_user() {
    let dir = keys(&[
        ("a.pub", &format!("from=\"192.0.2.0/24\",expiry-time=\"20270607Z\" {A}")),
        ("b.pub", &format!("from=\"198.51.100.7\",expiry-time=\"20270101Z\" {B}")),
    ]);
    let gate = Gate::new(load(&dir), Users::Listed(vec!["prep".into()]));
    assert!(gate.admit(ip("::ffff:192.0.2.1"), now()).is_ok());
    assert_eq!(gate.admit(ip("198.51.100.7"), now()), Err(Refusal::Stranger), "its key has expired");
    assert_eq!(gate.admit(ip("203.0.113.1"), now()), Err(Refusal::Stranger));
    let offered = |user, text, addr| gate.offered(user, &key(text), ip(addr), now()).map(|g| g.name);
    assert_eq!(offered("prep", A, "::ffff:192.0.2.1").unwrap(), "a");
    assert_eq!(offered("root", A, "192.0.2.1"), Err(Refusal::User));
    assert_eq!(offered("prep", A, "198.51.100.7"), Err(Refusal::Address("a".into())));
    assert_eq!(offered("prep", B, "198.51.100.7"), Err(Refusal::Expired("b".into())));
    assert_eq!(offered("prep", RSA_2048, "192.0.2.1"), Err(Refusal::UnknownKey));
}

#[test]
fn a_key_written_twice_counts_where_one_of_its_lines_lets_it_in() {
    let dir =
        keys(&[("a.pub", &format!("from=\"192.0.2.1\" {A}")), ("b.pub", &format!("from=\"192.0.2.2\" {A}"))]);
    let gate = Gate::new(load(&dir), Users::Any);
    assert_eq!(gate.offered("x", &key(A), ip("192.0.2.2"), now()).unwrap().name, "b");
}

#[test]
fn whoever_may_no_longer_be_in_is_told_to_leave() {
    let dir =
        keys(&[("a.pub", &format!("from=\"10.0.0.0/8\",expiry-time=\"20270606210000Z\" {A}")), ("b.pub", B)]);
    let gate = Gate::new(load(&dir), Users::Any);
    let grant = |text, addr: &str| gate.offered("prep", &key(text), ip(addr), now()).unwrap();
    let (near, far, other) = (grant(A, "10.1.1.1"), grant(A, "10.2.2.2"), grant(B, "10.3.3.3"));
    let stays = [&near, &far, &other].map(|g| gate.enter(g, now()));

    std::fs::write(
        dir.path().join("trusted/a.pub"),
        format!("from=\"10.1.0.0/16\",expiry-time=\"20270606210000Z\" {A}"),
    )
    .unwrap();
    let changes = gate.replace(load(&dir), now());
    assert_eq!(
        changes.iter().map(|c| (c.what, c.key.name.as_str())).collect::<Vec<_>>(),
        [(What::Changed, "a")]
    );
    assert!(far.revoked.is_cancelled() && !near.revoked.is_cancelled());

    let later: Timestamp = "2027-06-06T21:00:00Z".parse().unwrap();
    assert!(gate.sweep(now()).is_empty());
    assert_eq!(gate.sweep(later).iter().map(|c| c.what).collect::<Vec<_>>(), [What::Expired]);
    assert!(near.revoked.is_cancelled() && !other.revoked.is_cancelled());

    std::fs::remove_file(dir.path().join("trusted/b.pub")).unwrap();
    let late = grant(B, "10.3.3.3");
    let changes = gate.replace(load(&dir), later);
    assert_eq!(changes.iter().map(|c| c.what).collect::<Vec<_>>(), [What::Removed]);
    assert!(other.revoked.is_cancelled());
    let _stay = gate.enter(&late, later);
    assert!(late.revoked.is_cancelled(), "revoked between proof and entry");
    drop(stays);
    assert_eq!(gate.stays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_followed_within_a_second() {
    let dir = keys(&[("a.pub", A)]);
    let trusted = dir.path().join("trusted");
    let gate = Gate::new(load(&dir), Users::Any);
    let (tell, told) = mpsc::channel();
    let report = move |report| tell.send(report).unwrap();
    let _following = follow(trusted.clone(), TimeZone::UTC, gate.clone(), Clock::system(), report);
    let next = || tokio::task::block_in_place(|| told.recv_timeout(Duration::from_secs(10)).unwrap());

    let grant = gate.offered("x", &key(A), ip("127.0.0.1"), now()).unwrap();
    let _stay = gate.enter(&grant, now());
    revoke(dir.path(), "a", &TimeZone::UTC, now()).unwrap();
    assert!(matches!(next(), Report::Changes(c) if c.len() == 1 && c[0].what == What::Removed));
    assert!(grant.revoked.is_cancelled());

    std::fs::write(trusted.join("b.pub"), format!("{B}\nrubbish\n")).unwrap();
    assert!(matches!(next(), Report::Changes(c) if c[0].what == What::Added));
    assert!(matches!(next(), Report::Faults(f) if f[0].place() == "b.pub:2:1"));

    let keys = Dir::open(dir.path()).unwrap();
    keys.rename("trusted", "away").unwrap();
    assert!(matches!(next(), Report::Unusable(_)));
    assert_eq!(gate.keyring().keys().len(), 1, "the old value stays");
    keys.rename("away", "trusted").unwrap();
    assert!(matches!(next(), Report::Usable));
}

#[test]
fn a_key_is_added_whole_and_never_over_another() {
    let dir = keys(&[]);
    let from = ["192.0.2.0/24".to_owned(), "!192.0.2.9".to_owned()];
    let zone = TimeZone::get("America/Cancun").unwrap();
    let add_until = |name: &str, from: &[String], key: &str, expires: Option<&str>| {
        add(
            dir.path(),
            NewKey { name, from, expires, command: None, principals: None, key: key.as_bytes() },
            &zone,
            now(),
        )
    };
    let add = |name: &str, from: &[String], key: &str| add_until(name, from, key, None);
    let added = add_until("qroo", &from, &format!("{A} of.\n"), Some("2027-06-08")).unwrap();
    assert_eq!(added.expires.unwrap().to_string(), "2027-06-08T05:00:00Z");
    assert_eq!(
        std::fs::read_to_string(dir.path().join("trusted/qroo.pub")).unwrap(),
        format!("from=\"192.0.2.0/24,!192.0.2.9\",expiry-time=\"20270608000000\",restrict {A} of.\n")
    );
    assert!(matches!(add("qroo", &from, B), Err(ManageError::Exists(_))));
    assert!(matches!(add("otra", &from, A), Err(ManageError::Trusted(n)) if n == "qroo"));
    assert!(matches!(add("../x", &from, B), Err(ManageError::Name(_))));
    assert!(matches!(add("x", &[], B), Err(ManageError::NoSources)));
    assert!(matches!(add("x", &from, ""), Err(ManageError::Wrong(Wrong::NoKey))));
    assert!(matches!(add("x", &from, &format!("{A}\n{B}")), Err(ManageError::Many(2))));
    assert!(matches!(add("x", &from, &format!("no-pty {B}")), Err(ManageError::Options)));
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----";
    assert!(matches!(add("x", &from, private), Err(ManageError::Wrong(Wrong::PrivateKey))));
    assert!(matches!(add_until("x", &from, B, Some("20270601")), Err(ManageError::Past(_))));
    assert_eq!(load(&dir).keys().len(), 1);
}

#[test]
fn revoking_keeps_what_people_wrote() {
    let both = format!("# técnicos\n{A} ana\n# Beto, sólo el simulacro\n{B} beto");
    let dir = keys(&[("tecnicos.pub", &both), ("ana2.pub", A)]);
    let revoked = |which: &str| revoke(dir.path(), which, &TimeZone::UTC, now());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();

    let done = revoked("ana").unwrap();
    assert_eq!((done.keys.len(), done.still_trusted_as), (1, vec!["ana2".to_owned()]));
    assert_eq!(read("trusted/tecnicos.pub"), format!("# técnicos\n# Beto, sólo el simulacro\n{B} beto"));
    assert_eq!(read("revoked/tecnicos.pub"), format!("{A} ana\n"));

    let fingerprint = load(&dir).keys().iter().find(|k| k.name == "tecnicos").unwrap().fingerprint.clone();
    let done = revoked(&fingerprint).unwrap();
    assert_eq!(done.kept_in, ["revoked/tecnicos.20270606T200000Z.pub"]);
    assert!(!dir.path().join("trusted/tecnicos.pub").exists());
    assert!(matches!(revoked("nadie"), Err(ManageError::Unknown(_))));
}
