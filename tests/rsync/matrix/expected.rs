//! Where ours differs from stock on purpose: one row per decision, with its reason.
//!
//! A row that finds no difference any more fails too, so that the table stays true.

use crate::tree::{Snapshot, What};

/// What two pushes can differ in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// Exit code of the client.
    Code,
    /// Paths, contents, link targets.
    Tree,
    /// Times of files and directories.
    Times,
    /// Groups of hard links.
    Links,
    /// What the client printed, without figures of speed.
    Output,
    /// Silence on stderr.
    Errors,
    /// Literal and matched data.
    Delta,
    /// What is left of the source.
    Source,
}

/// What must hold in place of equality.
#[derive(Clone, Copy)]
pub enum Instead {
    /// The client ends with this code in at least one push.
    Code(i32),
    /// Refused after the handshake: code 4 reaches the client since protocol 31, before as a broken stream.
    Refused,
    /// The destination holds all the source's files with their bytes.
    SourceArrived,
    /// Stock's tree without the paths that the function names.
    Without(fn(&str) -> bool),
}

pub struct Row {
    /// Applies to the cases whose name has all of these.
    pub when: &'static [&'static str],
    pub aspects: &'static [Aspect],
    /// Shows at every client, protocol and transport.
    pub always: bool,
    pub instead: Instead,
    pub reason: &'static str,
}

impl Row {
    pub fn applies(&self, case: &str) -> bool {
        self.when.iter().all(|part| case.contains(part))
    }
}

use Aspect::{Code, Delta, Errors, Links, Output, Source, Times, Tree};

pub const ROWS: &[Row] = &[
    Row {
        when: &["-a --append"],
        aspects: &[Tree],
        always: false,
        instead: Instead::Code(0),
        reason: "a file that grew is sent whole: stock adds the end to whatever is there",
    },
    Row {
        when: &["--append-verify"],
        aspects: &[Errors, Output, Delta],
        always: false,
        instead: Instead::Code(0),
        reason: "written elsewhere and compared whole: there is nothing to try again",
    },
    Row {
        when: &["--backup"],
        aspects: &[Tree, Times, Output],
        always: false,
        instead: Instead::Without(is_backup),
        reason: "the history of cuts replaces backups",
    },
    Row {
        when: &["-a -b --suffix"],
        aspects: &[Tree, Times, Output],
        always: false,
        instead: Instead::Without(is_backup),
        reason: "the history of cuts replaces backups",
    },
    Row {
        when: &["-a -b --delete"],
        aspects: &[Tree, Times, Output],
        always: false,
        instead: Instead::SourceArrived,
        reason: "no backups, nor the directories that stock keeps because they hold some",
    },
    Row {
        when: &["--compare-dest"],
        aspects: &[Tree, Times, Output, Delta],
        always: true,
        instead: Instead::SourceArrived,
        reason: "a cut is whole: what another directory has must be here too",
    },
    Row {
        when: &["[Attributes]"],
        aspects: &[Tree, Output, Errors],
        always: false,
        instead: Instead::Without(|path| path == "fifo"),
        reason: "a site has no FIFO, and modes are 0644 and 0755 whatever was pushed",
    },
    Row {
        when: &["--log-file"],
        aspects: &[Code, Tree, Times, Errors, Output],
        always: true,
        instead: Instead::Refused,
        reason: "a client writes no file of ours",
    },
    Row {
        when: &["--write-devices"],
        aspects: &[Code, Tree, Times, Errors, Output],
        always: true,
        instead: Instead::Refused,
        reason: "no devices",
    },
    Row {
        when: &["-C --delete"],
        aspects: &[Code, Tree, Times, Errors, Output],
        always: true,
        instead: Instead::Refused,
        reason: "a merge rule would read files of our tree to decide what to delete",
    },
    Row {
        when: &["-F --delete"],
        aspects: &[Code, Tree, Times, Errors, Output],
        always: true,
        instead: Instead::Refused,
        reason: "a merge rule would read files of our tree to decide what to delete",
    },
    Row {
        when: &["-f :_.rsync-filter --delete"],
        aspects: &[Code, Tree, Times, Errors, Output],
        always: true,
        instead: Instead::Refused,
        reason: "a merge rule would read files of our tree to decide what to delete",
    },
    Row {
        when: &["--max-delete"],
        aspects: &[Code],
        always: false,
        instead: Instead::Code(25),
        reason: "stock's daemon does not always tell its client that deletions were left out",
    },
    Row {
        when: &["--inplace", "[Links]"],
        aspects: &[Tree, Times, Links],
        always: true,
        instead: Instead::SourceArrived,
        reason: "written elsewhere: stock in place changes the file's other names too",
    },
    Row {
        when: &["--iconv=latin1,latin1"],
        aspects: &[Tree, Times, Output],
        always: true,
        instead: Instead::Code(0),
        reason: "names are UTF-8 here, as they come",
    },
    Row {
        when: &["RSYNC_CHECKSUM_LIST=md5,xxh128"],
        aspects: &[Code, Tree, Times, Errors, Output, Delta, Source],
        always: false,
        instead: Instead::SourceArrived,
        reason: "stock 3.5.0 as server prefers its own order and fails every file",
    },
    Row {
        when: &["-I -B131072"],
        aspects: &[Code, Tree, Times, Errors, Output, Delta],
        always: false,
        instead: Instead::SourceArrived,
        reason: "blocks beyond 32 KiB end old -z clients: with stock's server they die, with ours they get shorter ones",
    },
    Row {
        when: &["-dest="],
        aspects: &[Output, Delta, Errors, Links],
        always: false,
        instead: Instead::SourceArrived,
        reason: "the basis is ours to choose; directories that the client names are not looked at",
    },
];

fn is_backup(path: &str) -> bool {
    path.ends_with('~') || path.ends_with(".old") || path == "bk" || path.starts_with("bk/")
}

/// Whether every file of the source is at the destination with its bytes.
pub fn arrived(source: &Snapshot, dest: &Snapshot) -> Result<(), String> {
    for (path, node) in source {
        // Made by `tree::disturb` to look unchanged.
        if path.ends_with(b"data/r0008.json") {
            continue;
        }
        let there = dest.get(path).map(|node| &node.what);
        if matches!(node.what, What::File(_)) && there != Some(&node.what) {
            return Err(format!("{} is {there:?}, not {:?}", path.escape_ascii(), node.what));
        }
    }
    Ok(())
}
