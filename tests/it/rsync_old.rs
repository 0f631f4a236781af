//! Senders that Debian has no package of, played by hand through the SSH door: openrsync (macOS) with a
//! flag an argument at protocol 27, and rsync 2.6.9 at 29. Neither reads while it writes.

use std::path::Path;

use crate::cuts::{Cuts, tree};
use crate::night::Node;
use crate::rsync_ssh::cuts_shown;
use crate::wire::list::sorted;
use crate::wire::numbers::int;
use crate::wire::{End, Entry, Session, Start};

const STYLES: [(u8, &str, &str); 2] =
    [(27, "-g -l -o -p -D -r -t", "--delete-before"), (29, "-logDtpr", "--delete")];

/// A folder as entries with owners, in the order that both sides count by.
fn entries(folder: &Path, protocol: u8) -> Vec<Entry> {
    let ids = [int(501), int(20)].concat();
    let mut all = vec![Entry::dir(".")];
    let names = tree(folder);
    for name in names.keys() {
        for (at, _) in name.match_indices('/') {
            if all.iter().all(|known| known.name != name.as_bytes()[..at]) {
                all.push(Entry::dir(&name[..at]));
            }
        }
        all.push(Entry::file(name, std::fs::read(folder.join(name)).unwrap()));
    }
    all.iter_mut().for_each(|entry| entry.tail.clone_from(&ids));
    sorted(&all, protocol)
}

fn push(node: &Node, protocol: u8, options: &str, entries: &[Entry]) -> End {
    let mut start = Start::new(protocol, "sitio/".into());
    start.blocking = true;
    start.program = ["ssh".to_owned()].into_iter().chain(node.ssh_options("id")).collect();
    start.program.extend(["-p", &node.ssh.port().to_string(), "prep@127.0.0.1", "rsync"].map(str::to_owned));
    let words = ["--server"].into_iter().chain(options.split(' ')).chain([".", "sitio/"]);
    start.words = Some(words.map(str::to_owned).collect());
    let mut session = Session::open(&start).unwrap();
    session.deleting = options.contains("--delete");
    session.filters(&[]);
    for entry in entries {
        let bytes = entry.write(protocol, false);
        session.put(&bytes);
    }
    // The end of the list, no names of owners, none of groups, no io_error.
    session.put(&[vec![0], int(0), int(0), int(0)].concat());
    session.flush().unwrap();
    session.serve(entries).unwrap();
    session.finish()
}

#[test]
fn trees_of_openrsync_and_of_2_6_9_are_published() {
    let (node, cuts) = (Node::start(), Cuts::good(3));
    for (n, (protocol, options, deletes)) in (0..).zip(STYLES) {
        let first = cuts.unpacked(n * 2);
        let end = push(&node, protocol, options, &entries(first.path(), protocol));
        assert_eq!(end.code, Some(0), "protocol {protocol}: {}\n{}", end.text(), node.log());
        assert!(end.text().contains("publicado"), "protocol {protocol}: {}", end.text());
        let next = cuts.unpacked(n * 2 + 1);
        let mut entries = entries(next.path(), protocol);
        entries.iter_mut().for_each(|entry| entry.mtime += i64::from(n) + 1);
        let end = push(&node, protocol, &format!("{options} {deletes}"), &entries);
        assert_eq!(end.code, Some(0), "protocol {protocol}: {}\n{}", end.text(), node.log());
        assert_eq!(tree(&node.path("www/current")), tree(next.path()), "protocol {protocol}");
    }
    assert_eq!(cuts_shown(&node), 4);
}
