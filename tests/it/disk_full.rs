//! A full disk refuses early, says so, and leaves the site as it is (T-14, C8).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::cuts::Cuts;
use crate::night::{Node, shown};

/// A small file system over a folder, gone again at the end.
struct Small(PathBuf);

impl Small {
    fn over(folder: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m,mode=755", "difusor-test"]).arg(&folder);
        let mounted = mount.output().unwrap();
        assert!(mounted.status.success(), "this test mounts a tmpfs and needs root: {}", shown(&mounted));
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_refuses_the_push_and_the_site_stays() {
    let mut node = Node::prepare("");
    let small = Small::over(node.path("var"));
    let cuts = Cuts::good(2);
    node.up("run");
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let ballast = small.0.join("lleno");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 64 << 10]).is_ok() {}
    drop(file);
    for options in [&[] as &[&str], &["-O"]] {
        let refused = node.scp(options, &[&cuts.path(1)], "");
        assert!(!refused.status.success(), "{}", shown(&refused));
        assert!(shown(&refused).contains("NO_SPACE"), "{}", shown(&refused));
    }
    assert_eq!(node.get("/index.html").status, 200);
    node.wait_live(&cuts.path(0));
    // It recovers without a restart.
    std::fs::remove_file(&ballast).unwrap();
    let pushed = node.scp(&[], &[&cuts.path(2)], "");
    assert!(pushed.status.success(), "{}", shown(&pushed));
    node.wait_live(&cuts.path(2));
    assert!(node.difusor(&["ledger", "verify"]).status.success());
    node.stop();
}
