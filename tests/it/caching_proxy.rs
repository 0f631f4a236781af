//! Real caches in front (T-28): within five seconds of a swap no path answers the old cut, whether the
//! cache is purged by its tags or only believes the headers.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cuts::{Cuts, tree};
use crate::night::{Node, PATIENCE, curl};

/// What the requirement gives a swap to reach every path.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);

/// A program in front that ends with the test.
struct Front {
    child: Child,
    port: u16,
}

impl Front {
    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let front = Self { child, port };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        front
    }

    /// nginx with a cache, and beside it one without on the next port: Varnish speaks no TLS.
    fn nginx(node: &Node, dir: &Path) -> (Self, u16) {
        let (cached, plain) = (free_port(), free_port());
        let path = dir.display();
        let origin = format!(
            "proxy_pass https://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_set_header Host $host;",
            node.https
        );
        let config = format!(
            "user root; daemon off; pid {path}/pid; error_log stderr crit; events {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; \
             fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
             proxy_cache_path {path}/cache keys_zone=k:8m;\n\
             server {{ listen 127.0.0.1:{plain}; location / {{ {origin} }} }}\n\
             server {{ listen 127.0.0.1:{cached}; location / {{ {origin} proxy_cache k; \
             proxy_cache_revalidate on; proxy_cache_background_update on; proxy_cache_lock on; \
             add_header X-Cache $upstream_cache_status always; }} }} }}"
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf"));
        (Self::start(nginx, cached), plain)
    }

    fn varnish(backend: u16, dir: &Path) -> Self {
        let vcl = format!(
            "vcl 4.1;\nbackend default {{ .host = \"127.0.0.1\"; .port = \"{backend}\"; }}\n\
             sub vcl_recv {{ if (req.method == \"BAN\") {{ ban(\"obj.http.surrogate-key ~ \" + req.http.x-tag); \
             return (synth(200)); }} }}\n\
             sub vcl_deliver {{ if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} \
             else {{ set resp.http.X-Cache = \"MISS\"; }} }}\n"
        );
        std::fs::write(dir.join("front.vcl"), vcl).unwrap();
        let port = free_port();
        let mut varnish = Command::new("/usr/sbin/varnishd");
        varnish.args(["-F", "-j", "none", "-s", "malloc,128m", "-a"]).arg(format!("127.0.0.1:{port}"));
        varnish.arg("-f").arg(dir.join("front.vcl")).arg("-n").arg(dir.join("varnish"));
        varnish.stderr(Stdio::null());
        Self::start(varnish, port)
    }

    fn get(&self, path: &str, options: &[&str]) -> crate::night::Answer {
        curl(&format!("http://127.0.0.1:{}/{path}", self.port), options)
    }

    /// Every path through this front: its hash, and how many came out of the cache.
    fn all(&self, paths: &BTreeMap<String, String>) -> (BTreeMap<String, String>, usize) {
        let mut hits = 0;
        let mut seen = |path: &String| {
            let answer = self.get(path, &[]);
            hits += usize::from(answer.header("x-cache") == Some("HIT"));
            (path.clone(), difusor::model::Digest::of(&answer.body).to_string())
        };
        (paths.keys().map(&mut seen).collect(), hits)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // nginx and varnishd end their workers when they are asked to end themselves.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Paths of a cut with their hashes; few, and of every kind.
fn some_paths(cuts: &Cuts, n: u32) -> BTreeMap<String, String> {
    let plain = |p: &String| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let all = tree(cuts.unpacked(n).path());
    let step = (all.len() / 40).max(1);
    all.into_iter().filter(|(p, _)| plain(p)).step_by(step).collect()
}

fn publish(node: &Node, cuts: &Cuts, n: u32) {
    assert!(node.scp(&[], &[&cuts.path(n)], "").status.success());
    node.wait_live(&cuts.path(n));
}

#[test]
fn within_five_seconds_of_a_swap_no_path_answers_the_old_cut() {
    let (dir, cuts) = (tempfile::tempdir().unwrap(), Cuts::good(1));
    let node = Node::start_with("[site]\ncache = \"cdn\"\n");
    publish(&node, &cuts, 0);
    let (nginx, plain) = Front::nginx(&node, dir.path());
    let varnish = Front::varnish(plain, dir.path());
    let (old, new) = (some_paths(&cuts, 0), some_paths(&cuts, 1));
    for (name, front) in [("nginx", &nginx), ("varnish", &varnish)] {
        let (first, _) = front.all(&old);
        assert_eq!(first, old, "{name}");
        // Otherwise what follows would prove nothing: it does keep copies.
        assert!(front.get("index.html", &[]).status == 200 && front.all(&old).1 > 0, "{name} keeps nothing");
    }
    publish(&node, &cuts, 1);
    let swapped = Instant::now();
    // No event tells that a copy has grown old: the bound itself is what is waited for.
    std::thread::sleep(VISIBLE_WITHIN.saturating_sub(swapped.elapsed()));
    for (name, front) in [("nginx", &nginx), ("varnish", &varnish)] {
        assert_eq!(front.all(&new).0, new, "{name}");
    }
}

#[test]
fn a_purge_by_tag_shows_the_new_cut_and_keeps_what_cannot_change() {
    let (dir, cuts) = (tempfile::tempdir().unwrap(), Cuts::good(1));
    let node = Node::start_with("[site]\ncache = \"cdn-purged\"\n");
    publish(&node, &cuts, 0);
    let (_nginx, plain) = Front::nginx(&node, dir.path());
    let varnish = Front::varnish(plain, dir.path());
    let (old, new) = (some_paths(&cuts, 0), some_paths(&cuts, 1));
    assert_eq!(varnish.all(&old).0, old);
    publish(&node, &cuts, 1);
    // For a quarter of an hour it would go on: the purge is what tells it.
    assert_eq!(varnish.all(&old).0, old);
    let release = node.state()["release"].as_str().unwrap().to_owned();
    let purged = varnish.get("", &["-X", "BAN", "-H", "X-Tag: prep-vigente"]);
    assert_eq!(purged.status, 200);
    assert_eq!(varnish.all(&new).0, new);
    let index = varnish.get("index.html", &[]);
    let tags = index.header("surrogate-key").unwrap();
    assert_eq!(tags, format!("prep prep-vigente {release}"));
    assert_eq!(index.header("cache-tag"), Some(tags.replace(' ', ",").as_str()));
    // Everything of one release can be purged too.
    assert_eq!(varnish.get("index.html", &[]).header("x-cache"), Some("HIT"));
    varnish.get("", &["-X", "BAN", "-H", &format!("X-Tag: {release}")]);
    assert_eq!(varnish.get("index.html", &[]).header("x-cache"), Some("MISS"));
}

#[test]
fn after_a_swap_a_reader_gets_the_new_body_once() {
    let cuts = Cuts::good(1);
    let node = Node::start();
    publish(&node, &cuts, 0);
    let tag = |answer: &crate::night::Answer| answer.header("etag").unwrap().to_owned();
    let (before, after) = (tree(cuts.unpacked(0).path()), some_paths(&cuts, 1));
    let held: Vec<_> = after
        .iter()
        .filter(|(path, _)| before.contains_key(*path))
        .map(|(path, hash)| (path, before[path] == *hash, tag(&node.get(&format!("/{path}")))))
        .collect();
    publish(&node, &cuts, 1);
    assert!(held.iter().any(|(_, is_same, _)| !is_same), "something changes");
    for (path, is_same, old) in held {
        let ask = |tag: &str| node.curl(&format!("/{path}"), &["-H", &format!("If-None-Match: {tag}")]);
        let first = ask(&old);
        // The tag changes exactly when the bytes do.
        assert_eq!(first.status, if is_same { 304 } else { 200 }, "{path}");
        assert_eq!(tag(&first) == old, is_same, "{path}");
        assert_eq!(ask(&tag(&first)).status, 304, "{path}");
    }
}
