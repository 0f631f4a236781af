//! Trees written file by file, or unpacked on their way in: one cut at the clean end of the
//! session, from the live tree, or nothing at all (T-02; rsync's own door is a later issue).

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Instant;

use crate::cuts::{Cuts, tree};
use crate::night::{Node, PATIENCE, shown};

/// A live site, and the folder of the institute with what changes.
struct Site {
    node: Node,
    cuts: Cuts,
    dir: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        Self::start_with("")
    }

    fn start_with(more: &str) -> Self {
        let (node, cuts) = (Node::start_with(more), Cuts::good(1));
        let pushed = node.scp(&[], &[&cuts.path(0)], "");
        assert!(pushed.status.success(), "{}", shown(&pushed));
        node.wait_live(&cuts.path(0));
        let site = Self { node, cuts, dir: tempfile::tempdir().unwrap() };
        let index = std::fs::read_to_string(site.node.path("www/current/index.html")).unwrap();
        site.file("index.html", &format!("{index}<!-- otra -->\n"));
        site.file("nuevo/uno.json", "{\"uno\": 1}");
        site.file("nuevo/con espacio.txt", "a");
        site.file("nuevo/ñandú.txt", "b");
        site.file("nuevo/it's.txt", "c");
        site.file("nuevo/más/hondo/vacío.txt", "");
        site
    }

    /// The institute's folder.
    fn folder(&self) -> PathBuf {
        self.dir.path().join("prep")
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What stands at the top of the folder.
    fn tops(&self) -> Vec<PathBuf> {
        ["index.html", "nuevo"].map(|name| self.folder().join(name)).to_vec()
    }

    /// `tar` of the folder, with these options.
    fn tar(&self, options: &[&str]) -> Vec<u8> {
        let done = Command::new("tar").current_dir(self.dir.path()).args(options).output().unwrap();
        assert!(done.status.success(), "{}", shown(&done));
        done.stdout
    }

    fn live(&self) -> BTreeMap<String, String> {
        tree(&self.node.path("www/current"))
    }

    fn releases(&self) -> usize {
        self.node.ledger_of("published").len()
    }

    /// The live tree as it would be with the folder laid over it.
    fn overlaid(&self) -> BTreeMap<String, String> {
        let mut files = self.live();
        files.extend(tree(&self.folder()));
        files
    }

    /// A push that succeeds, makes one release, and leaves exactly `expected`.
    #[track_caller]
    fn publishes(&self, expected: BTreeMap<String, String>, push: impl FnOnce(&Self) -> Output) {
        let (releases, before) = (self.releases(), self.node.state()["release"].clone());
        let pushed = push(self);
        assert!(pushed.status.success(), "{}", shown(&pushed));
        self.node.wait_state("a new release", |s| s["release"] != before);
        assert_eq!(self.live(), expected);
        assert_eq!(self.releases(), releases + 1, "{}", shown(&pushed));
    }

    /// The folder over the live tree, by this push.
    #[track_caller]
    fn overlays(&self, push: impl FnOnce(&Self) -> Output) {
        self.publishes(self.overlaid(), push);
        assert_eq!(self.node.get("/nuevo/con%20espacio.txt").text(), "a");
        assert_eq!(self.node.get("/nuevo/%C3%B1and%C3%BA.txt").text(), "b");
    }

    /// A push that shows `code` and changes nothing.
    #[track_caller]
    fn refuses(&self, code: &str, push: impl FnOnce(&Self) -> Output) -> Output {
        let (releases, before) = (self.releases(), self.live());
        let pushed = push(self);
        assert!(shown(&pushed).contains(code), "{}", shown(&pushed));
        assert_eq!(self.live(), before);
        assert_eq!(self.releases(), releases);
        pushed
    }

    /// Starts `ssh HOST command` and leaves its input open.
    fn begin(&self, command: &str) -> (Child, ChildStdin) {
        let mut ssh = Command::new("timeout");
        ssh.args(["60", "ssh"]).args(self.node.ssh_options("id"));
        ssh.args(["-p", &self.node.ssh.port().to_string(), "prep@127.0.0.1", command]);
        let mut child =
            ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        (child, stdin)
    }

    /// Starts a session that has the turn at the site and waits with its input open.
    fn hold(&self, name: &str) -> (Child, ChildStdin) {
        let (mut child, stdin) =
            self.begin(&format!("mkdir sitio/{name} && echo ya && cat > sitio/{name}/a.txt"));
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ya\n");
        (child, stdin)
    }

    /// Waits until the log has so many lines of this kind.
    fn wait_log(&self, message: &str, lines: usize) {
        let begun = Instant::now();
        while self.node.log().matches(message).count() < lines {
            assert!(begun.elapsed() < PATIENCE, "{}", self.node.log());
            std::thread::yield_now();
        }
    }
}

fn paths(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

#[test]
fn scp_r_is_one_cut_over_the_live_tree() {
    let site = Site::start();
    site.overlays(|s| s.node.scp(&["-r"], &paths(&s.tops()), "sitio/"));
}

#[test]
fn scp_r_in_the_old_protocol_is_one_cut_over_the_live_tree() {
    let site = Site::start();
    site.overlays(|s| s.node.scp(&["-O", "-rp"], &paths(&s.tops()), "sitio/"));
}

#[test]
fn sftp_put_r_is_one_cut_over_the_live_tree() {
    let site = Site::start();
    site.overlays(|s| s.node.sftp(&format!("put -R {}/. sitio\n", s.folder().display())));
}

#[test]
fn tar_through_a_pipe_is_one_cut_over_the_live_tree() {
    let site = Site::start();
    site.overlays(|s| s.node.exec("tar xzf - -C sitio", &s.tar(&["czf", "-", "-C", "prep", "."])));
    site.file("nuevo/dos.json", "{}");
    site.overlays(|s| s.node.exec("tar xf - -C sitio", &s.tar(&["cf", "-", "-C", "prep", "."])));
    site.file("nuevo/tres.json", "{}");
    let stripped = "cd sitio && tar -xzvf - --strip-components=1";
    site.overlays(|s| s.node.exec(stripped, &s.tar(&["czf", "-", "--format=pax", "prep"])));
    site.file("nuevo/cuatro.json", "{}");
    site.overlays(|s| s.node.exec("tar --directory=sitio -xz", &s.tar(&["czf", "-", "-C", "prep", "."])));
}

#[test]
fn a_package_unpacked_from_the_drop_by_the_script_is_one_cut() {
    let site = Site::start();
    let command =
        "cat > sitio.tgz.tmp && mkdir -p sitio && tar xzf sitio.tgz.tmp -C sitio && rm -f sitio.tgz.tmp";
    site.overlays(|s| s.node.exec(command, &s.tar(&["czf", "-", "-C", "prep", "."])));
    // The archive was the script's own affair: it is no package.
    let received = site.node.ledger_of("received");
    assert!(received[1..].iter().all(|l| l["name"] == "sitio"), "{received:?}");
}

#[test]
fn a_zip_unpacked_by_the_script_is_one_cut() {
    let site = Site::start();
    let zip = site.dir.path().join("sitio.zip");
    let made =
        Command::new("zip").current_dir(site.folder()).args(["-qr"]).arg(&zip).arg(".").output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
    let command = "cat > sitio.zip.tmp && unzip -o -q sitio.zip.tmp -d sitio && rm sitio.zip.tmp";
    site.overlays(|s| s.node.exec(command, &std::fs::read(&zip).unwrap()));
}

#[test]
fn emptying_and_filling_the_site_in_one_session_is_a_full_replacement() {
    let site = Site::start();
    let whole = tree(&{
        let unpacked = site.cuts.unpacked(1);
        let _ = std::fs::remove_file(unpacked.path().join("assets/img/.gitkeep"));
        unpacked.keep()
    });
    site.publishes(whole, |s| s.node.exec("rm -rf sitio/* && tar xzf - -C sitio", &s.cuts.bytes(1)));
    assert!(site.node.state()["cut"].as_str().unwrap().contains("T20:15"), "{}", site.node.state());
}

#[test]
fn files_removed_and_renamed_in_a_session_are_so_in_its_cut() {
    let site = Site::start();
    site.overlays(|s| s.node.scp(&["-r"], &paths(&s.tops()), "sitio/"));
    let mut expected = site.live();
    let moved = expected.remove("nuevo/uno.json").unwrap();
    expected.insert("nuevo/dos.json".to_owned(), moved);
    expected.remove("nuevo/ñandú.txt");
    site.publishes(expected, |s| {
        s.node.sftp("cd sitio/nuevo\nrename uno.json dos.json\nrm ñandú.txt\nls -l\n")
    });
}

#[test]
fn a_tree_push_that_dies_changes_nothing_and_holds_nobody_up() {
    let site = Site::start();
    let (before, releases) = (site.live(), site.releases());
    // The first cut's own session may end a moment after its client.
    site.wait_log("session ended", 1);
    let sessions = 1;
    // A tar in the middle of a file.
    let (mut tar, mut input) = site.begin("tar xf - -C sitio");
    let bytes = site.tar(&["cf", "-", "-C", "prep", "."]);
    input.write_all(&bytes[..3000]).unwrap();
    site.wait_log("session opened", sessions + 1);
    tar.kill().unwrap();
    tar.wait().unwrap();
    // timeout does not pass a kill on to its child: the end of its input does.
    drop(input);
    site.wait_log("session ended", sessions + 1);
    // A session with the turn, killed while it writes.
    let (mut held, mut input) = site.hold("a_medias");
    input.write_all(&[b'x'; 100_000]).unwrap();
    let _ = Command::new("pkill").args(["-KILL", "-P", &held.id().to_string()]).status();
    held.wait().unwrap();
    site.wait_log("session ended", sessions + 2);
    assert_eq!((site.live(), site.releases()), (before, releases));
    // Whoever comes next finds the turn free.
    site.overlays(|s| s.node.scp(&["-r"], &paths(&s.tops()), "sitio/"));
    assert!(!site.node.path("www/current/a_medias").exists());
}

#[test]
fn a_tar_that_ends_early_changes_nothing() {
    let site = Site::start();
    let bytes = site.tar(&["czf", "-", "-C", "prep", "."]);
    let refused = site.refuses("tar: ", |s| s.node.exec("tar xzf - -C sitio", &bytes[..bytes.len() / 2]));
    assert!(!refused.status.success(), "{}", shown(&refused));
    let plain = site.tar(&["cf", "-", "-C", "prep", "."]);
    let refused = site.refuses("tar: ", |s| s.node.exec("tar xf - -C sitio", &plain[..2000]));
    assert!(!refused.status.success(), "{}", shown(&refused));
}

#[test]
fn a_tree_that_breaks_a_rule_is_refused_with_its_code() {
    let site = Site::start();
    let removed = site.refuses("REQUIRED_MISSING", |s| s.node.exec("rm sitio/index.html", b""));
    assert_eq!(removed.status.code(), Some(1), "{}", shown(&removed));
    site.file("nuevo/uno.json", "{\"uno\": ");
    let tar = site.tar(&["czf", "-", "-C", "prep", "."]);
    let refused = site.refuses("JSON_INVALID", |s| s.node.exec("tar xzf - -C sitio", &tar));
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    for options in [&["-r"] as &[&str], &["-O", "-r"]] {
        let refused = site.refuses("JSON_INVALID", |s| s.node.scp(options, &paths(&s.tops()), "sitio/"));
        assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
        assert!(shown(&refused).contains("nuevo/uno.json"), "{}", shown(&refused));
    }
    // sftp's own exit code speaks of its commands, not of the session's end: the sentence
    // on its standard error is all that it can be told.
    site.refuses("JSON_INVALID", |s| s.node.sftp(&format!("put -R {}/. sitio\n", s.folder().display())));
    assert_eq!(site.node.ledger_of("rejected").len(), 5);
}

#[test]
fn a_second_push_to_the_site_is_refused_while_the_first_runs_if_so_configured() {
    let site = Site::start_with("[drop]\ntree-busy = \"refuse\"\n");
    let (first, mut input) = site.hold("primero");
    let tar = site.tar(&["czf", "-", "-C", "prep", "."]);
    let second = site.refuses("difusor: ", |s| s.node.exec("tar xzf - -C sitio", &tar));
    assert!(!second.status.success(), "{}", shown(&second));
    // Reading the site, and packages, need no turn.
    assert!(site.node.exec("ls sitio", b"").status.success());
    let mut expected = site.live();
    input.write_all(b"uno").unwrap();
    drop(input);
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", shown(&first));
    expected.insert("primero/a.txt".into(), difusor::model::Digest::of(b"uno").to_string());
    assert_eq!(site.live(), expected);
    site.overlays(|s| s.node.exec("tar xzf - -C sitio", &tar));
}

#[test]
fn a_second_push_to_the_site_waits_for_the_first_and_builds_on_it() {
    let site = Site::start_with("[drop]\ntree-busy = \"wait\"\n");
    let (first, mut input) = site.hold("primero");
    let mut expected = site.overlaid();
    let (second, mut tar) = site.begin("echo ya && tar xzf - -C sitio");
    tar.write_all(&site.tar(&["czf", "-", "-C", "prep", "."])).unwrap();
    drop(tar);
    input.write_all(b"uno").unwrap();
    drop(input);
    for pushed in [first, second] {
        let pushed = pushed.wait_with_output().unwrap();
        assert!(pushed.status.success(), "{}", shown(&pushed));
    }
    expected.insert("primero/a.txt".into(), difusor::model::Digest::of(b"uno").to_string());
    assert_eq!(site.live(), expected);
}

#[test]
fn a_package_that_comes_while_a_tree_is_written_is_not_lost() {
    let site = Site::start();
    let (first, mut input) = site.hold("primero");
    let pushed = site.node.scp(&[], &[&site.cuts.path(1)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    site.node.wait_live(&site.cuts.path(1));
    let cut = site.live();
    input.write_all(b"uno").unwrap();
    drop(input);
    // Whatever becomes of the tree that began before it: no file of the newer cut goes back.
    let first = first.wait_with_output().unwrap();
    let live = site.live();
    assert!(cut.iter().all(|(path, sha)| live.get(path) == Some(sha)), "{}", shown(&first));
}

#[test]
fn the_institutes_absolute_paths_lead_where_the_configuration_says() {
    let site = Site::start_with(
        "[ssh.paths]\n\"/var/www/html/prep\" = \"/sitio\"\n\"/home/prep/entrada\" = \"/paquetes\"\n",
    );
    let tar = || site.tar(&["czf", "-", "-C", "prep", "."]);
    site.overlays(|s| s.node.exec("cd /var/www/html/prep && tar xzf -", &tar()));
    site.file("nuevo/dos.json", "{}");
    site.overlays(|s| s.node.exec("tar xzf - -C /var/www/html/prep", &tar()));
    site.file("nuevo/tres.json", "{}");
    site.overlays(|s| s.node.scp(&["-r"], &paths(&s.tops()), "/var/www/html/prep/"));
    site.file("nuevo/cuatro.json", "{}");
    site.overlays(|s| s.node.scp(&["-O", "-r"], &paths(&s.tops()), "/var/www/html/prep"));
    site.file("nuevo/cinco.json", "{}");
    site.overlays(|s| {
        s.node.sftp(&format!("cd /var/www/html/prep\nlcd {}\nput -R .\n", s.folder().display()))
    });
    let package = site.node.scp(&[], &[&site.cuts.path(1)], "/home/prep/entrada/corte.tar.gz");
    assert!(package.status.success(), "{}", shown(&package));
    site.node.wait_live(&site.cuts.path(1));
}

#[test]
fn names_that_lead_out_are_refused_and_lead_nowhere() {
    let site = Site::start();
    let evil = |transform: &str| {
        site.tar(&[
            "czf",
            "-",
            "-P",
            "-C",
            "prep/nuevo",
            &format!("--transform=s,uno.json,{transform},"),
            "uno.json",
        ])
    };
    for (name, code) in [("../../salió.json", "PATH_TRAVERSAL"), ("/tmp/salió.json", "PATH_ABSOLUTE")] {
        let tar = evil(name);
        let refused = site.refuses(code, |s| s.node.exec("tar xzf - -C sitio", &tar));
        assert!(!refused.status.success(), "{}", shown(&refused));
    }
    std::os::unix::fs::symlink("/etc/passwd", site.folder().join("enlace.txt")).unwrap();
    let tar = site.tar(&["czf", "-", "-C", "prep", "."]);
    let linked = site.refuses("ENTRY_TYPE", |s| s.node.exec("tar xzf - -C sitio", &tar));
    assert!(!linked.status.success(), "{}", shown(&linked));
    for orders in [
        "ln -s /etc/passwd sitio/l\n",
        "ln index.html sitio/l\n",
        "get /etc/passwd x\n",
        "get ../../../etc/passwd x\n",
    ] {
        let refused = site.node.sftp(orders);
        assert!(!refused.status.success(), "{orders}: {}", shown(&refused));
    }
    for command in [
        "cat /etc/passwd",
        "cat ../../../etc/passwd",
        "cp /etc/passwd sitio/x.txt",
        "sha256sum ~root/.ssh/id",
        "ln /etc/passwd x",
    ] {
        let refused = site.node.exec(command, b"");
        assert!(!refused.status.success(), "{command}: {}", shown(&refused));
        assert!(!shown(&refused).contains("root:"), "{command}: {}", shown(&refused));
    }
    let fetched = Command::new("scp")
        .args(site.node.ssh_options("id"))
        .args(["-O", "-P", &site.node.ssh.port().to_string(), "prep@127.0.0.1:/etc/passwd"])
        .arg(site.dir.path().join("traído"))
        .output()
        .unwrap();
    assert!(!fetched.status.success() && !site.dir.path().join("traído").exists(), "{}", shown(&fetched));
    // A name that climbs ends at the sender's own root, nowhere else.
    let climbed = site.node.exec("cat > ../../../../../tmp/difusor-salió.txt", b"x");
    assert!(!Path::new("/tmp/difusor-salió.txt").exists(), "{}", shown(&climbed));
    assert_eq!(site.releases(), 2, "the waiting page and the first cut");
}

/// A client that cannot read a file of its own goes on, ends its session cleanly and fails at
/// home: nobody but its user can know. What the server has of that file stays as it was.
#[test]
fn what_scp_cannot_read_at_home_stays_as_it_was_here() {
    let site = Site::start();
    site.overlays(|s| s.node.scp(&["-r"], &paths(&s.tops()), "sitio/"));
    site.file("nuevo/dos.json", "{\"dos\": 2}");
    let mut expected = site.overlaid();
    let unreadable = site.folder().join("nuevo/uno.json");
    let before = difusor::model::Digest::of(b"{\"uno\": 1}").to_string();
    std::fs::remove_file(&unreadable).unwrap();
    std::os::unix::fs::symlink("/no/hay", &unreadable).unwrap();
    expected.insert("nuevo/uno.json".to_owned(), before);
    let releases = site.releases();
    let pushed = site.node.scp(&["-r"], &[&site.folder().join("nuevo")], "sitio/");
    assert!(!pushed.status.success(), "scp tells its own user: {}", shown(&pushed));
    assert_eq!((site.live(), site.releases()), (expected, releases + 1));
    // In the old protocol it says so, and nothing is published.
    site.file("nuevo/tres.json", "{}");
    let before = site.live();
    let pushed = site.node.scp(&["-O", "-r"], &[&site.folder().join("nuevo")], "sitio/");
    assert!(!pushed.status.success(), "{}", shown(&pushed));
    assert_eq!((site.live(), site.releases()), (before, releases + 1), "{}", shown(&pushed));
}
